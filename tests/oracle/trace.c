// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace.h"

#include "monitor/cpu/cpu.h"

#include <string.h>

#define MAX_STEPS 20000

// The bytes at CS:EIP as far as they can be executed.
static unsigned code_bytes(const struct rig *rig, u8 *bytes)
{
    u32 gla = rig->v->seg[S_CS].base + rig->v->eip;
    unsigned n;

    for (n = 0; n < INSN_MAX; n++) {
        int at = memory_offset(gla + n);

        if (at < 0 || !memory_executable(gla + n))
            break;
        bytes[n] = rig->image[at];
    }
    return n;
}

const struct trace_step *trace_find(const struct trace *trace, u32 eip)
{
    for (unsigned i = 1; i <= trace->steps && i <= TRACE_STEPS; i++) {
        const struct trace_step *step = &trace->step[(trace->steps - i) % TRACE_STEPS];

        if (step->eip == eip)
            return step;
    }
    return NULL;
}

// Where the selector of a far transfer comes from.
static bool far_selector(const struct rig *rig, const struct insn *insn, u16 *selector)
{
    struct vcpu *v = rig->v;
    u32 at = insn->opsize;
    int offset;

    switch (insn->op) {
    case OP1(0x9a): case OP1(0xea):
        *selector = insn->imm2;
        return true;
    case OP1(0xca): case OP1(0xcb): case OP1(0xcf):
        at += v->seg[S_SS].attr & SEG_DB ? v->gpr[R_ESP] : (u16)v->gpr[R_ESP];
        at += v->seg[S_SS].base;
        break;
    default: // FF /3 and /5
        at += op_ea(v, insn) + v->seg[insn->seg].base;
    }
    for (int i = 0; i < 2; i++) {
        offset = memory_offset(at + i);
        if (offset < 0)
            return false;
        ((u8 *)selector)[i] = rig->image[offset];
    }
    return true;
}

// A far transfer may go to the LDT's segments and to the flat one; what else the host's GDT holds, 64-bit code above all,
// is not for cases. IRET with NT is a task switch in the guest and none in the host.
static bool leaves_the_world(const struct rig *rig, const struct insn *insn)
{
    bool far = insn->op == OP1(0x9a) || insn->op == OP1(0xea) || insn->op == OP1(0xca) || insn->op == OP1(0xcb) ||
               insn->op == OP1(0xcf) || (insn->op == OP1(0xff) && (insn->reg == 3 || insn->reg == 5));
    u16 selector = 0;

    if (!far || insn->attr & INSN_UD)
        return false;
    if (insn->op == OP1(0xcf) && rig->v->eflags & FL_NT)
        return true;
    return !far_selector(rig, insn, &selector) ||
           !(selector & 4 || (selector & ~3) == (SEL_CODE & ~3) || !(selector & ~3));
}

static bool forbidden(const struct rules *rules, struct trace *trace, const struct insn *insn,
                      const u8 *bytes, u32 ecx)
{
    u32 undefined = 0;

    if (!insn_allowed(bytes, insn) || !rules_allow(rules, insn))
        return true;
    if (insn->attr & INSN_STRING && insn->prefix & (PFX_REP | PFX_REPNE))
        trace->repeats = true;
    if (insn_shows_pointers(insn)) {
        trace->shows_pointers = true;
        if (trace->moves) // bt stores the selectors of now: a known deviation
            return true;
    }
    trace->computes |= !!(insn->attr & INSN_X87);
    if (insn->sensitive == SENS_POP_SEG || insn->sensitive == SENS_MOV_TO_SEG ||
        insn->sensitive == SENS_LOAD_FAR_PTR || insn->flow == FLOW_FAR)
        trace->moves |= trace->computes;
    if (rules->mask_undefined) {
        undefined = insn_undefined_flags(insn, ecx);
        if (insn->flags_read & trace->undefined & ~undefined || insn_undefined_result(insn, ecx))
            return true;
        trace->undefined = (trace->undefined & ~insn->flags_written) | undefined;
    }
    return false;
}

void trace_case(struct rig *rig, const struct rules *rules, const struct oracle_case *c, const u8 *before,
                struct trace *trace, struct record *record)
{
    struct vcpu *v = rig->v;

    memset(trace, 0, offsetof(struct trace, step));
    rig_start(rig, c, before);
    while (trace->steps < MAX_STEPS) {
        struct trace_step *step = &trace->step[trace->steps++ % TRACE_STEPS];
        u8 bytes[INSN_MAX] = { 0 };
        unsigned n = code_bytes(rig, bytes);
        u32 undefined = trace->undefined;

        step->eip = v->eip;
        step->fetched = insn_decode(&step->insn, bytes, n, v->seg[S_CS].attr & SEG_DB) == INSN_OK;
        if (step->fetched &&
            (leaves_the_world(rig, &step->insn) ||
             forbidden(rules, trace, &step->insn, bytes, v->gpr[R_ECX])))
            return;
        if (interp_step(v) == CPU_TRIPLE_FAULT)
            return;
        if (step->fetched)
            record_add(record, &step->insn, v->cpl == 0 ? (int)rig_vector(rig) : -1);
        if (v->cpl == 0) {
            trace->usable = true;
            trace->undefined = rig_vector(rig) == X_DE ? FL_ARITH & (undefined | trace->undefined) : undefined;
            return;
        }
    }
}
