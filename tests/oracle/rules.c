// SPDX-License-Identifier: GPL-2.0-or-later
// What the oracle must not run, and what of an outcome it must not compare.
#include "rules.h"

#include "trace.h"

#include "monitor/cpu/model.h"

#include <cpuid.h>

// Depends on the host's kernel, on time, on this CPU's model, or leaves the 32-bit world.
static bool map_0f_allowed(const u8 *bytes, const struct insn *insn)
{
    (void)bytes;
    switch ((u8)insn->op) {
    case 0x00:            // SLDT, STR (UMIP); LAR's family sees the kernel's GDT
    case 0x02: case 0x03: // LAR, LSL
    case 0x05: case 0x07: // SYSCALL, SYSRET: AMD's in 32-bit code
    case 0x0e: case 0x0f: // 3DNow!
        return false;
    case 0x0d:            // its register form is Intel's NOP, AMD's #UD
        return insn->has_mem;
    case 0x01:            // SGDT, SMSW (UMIP); MONITORX, CLZERO, RDTSCP...
    case 0x31: case 0x33: case 0x34: case 0x35: case 0x37: // RDTSC, RDPMC, SYSENTER, SYSEXIT, GETSEC
    case 0xa2:            // CPUID
    case 0x78: case 0x79: // SSE4A
        return false;
    case 0x20: case 0x22: // LOCK makes CR0 CR8 on AMD's processors
        return !(insn->prefix & PFX_LOCK);
    case 0x1a: case 0x1b: case 0x1e: // MPX, CET
        return true;
    case 0x2b:            // MOVNTSS, MOVNTSD of SSE4A
        return !(insn->prefix & (PFX_REP | PFX_REPNE));
    case 0xae:
        // FXSAVE's format has bytes we don't compare; XSAVE, CLWB, CLFLUSHOPT, FSGSBASE, PTWRITE...
        if (!insn->has_mem)
            return insn->reg >= 5 && !(insn->prefix & (PFX_66 | PFX_REP | PFX_REPNE));
        return (insn->reg == 2 || insn->reg == 3 || insn->reg == 7) &&
               !(insn->prefix & (PFX_66 | PFX_REP | PFX_REPNE));
    case 0xc7:            // RDRAND, RDSEED, XSAVEC, RDPID
        return insn->reg == 1;
    }
    return true;
}

static bool map_0f38_allowed(const struct insn *insn)
{
    u8 op = insn->op;

    if (op >= 0x80 && op <= 0x82) // INVPCID
        return false;
    return op < 0xc8 || (op >= 0xd8 && op <= 0xdf) || op == 0xf0 || op == 0xf1 || op == 0xf6;
}

bool insn_allowed(const u8 *bytes, const struct insn *insn)
{
    u8 op = insn->op;

    switch (insn->op >> 8) {
    case MAP_0F:
        return map_0f_allowed(bytes, insn);
    case MAP_0F38:
        return map_0f38_allowed(insn);
    case MAP_0F3A:
        return op < 0xcc || op == 0xdf;
    case MAP_VEX38: // which the model has if the host does
        return cpu_model_has(cpu_model_find("max"), insn->isa);
    }
    switch (op) {
    case 0xe0: case 0xe1:            // LOOPcc: F2 and F3 choose the condition on AMD's processors
        return !(insn->prefix & (PFX_REP | PFX_REPNE));
    case 0xcd:                       // INT n: Linux's system call gate
        return (u8)insn->imm != 0x80;
    case 0xc4: case 0xc5: case 0x62: // AVX, AVX-512
        return insn->has_mem;
    case 0x8f:                       // XOP
        return insn->reg == 0;
    case 0xd8 ... 0xdf:              // FDS is not known once a register form came after
        return !insn->has_mem || insn->seg != S_CS;
    case 0xf1:                       // INT1: Linux asks DR6
        return false;
    }
    return true;
}

bool insn_shows_pointers(const struct insn *insn)
{
    return insn->has_mem && insn->reg == 6 && (insn->op == OP1(0xd9) || insn->op == OP1(0xdd));
}

bool rules_allow(const struct rules *rules, const struct insn *insn)
{
    return !rules->no_pointers || !insn_shows_pointers(insn);
}

// Processors of AMD's since Zen 2 (XSAVEERPTR) keep x87's pointers across the kernel's context switches; Intel's recent
// ones store no selectors, and operands' addresses after unmasked exceptions only (CPUID.7.0:EBX bits 13 and 6).
void rules_init(struct rules *rules, bool manual)
{
    u32 a = 0, b = 0, c = 0, d = 0;
    bool amd;

    __get_cpuid(0, &a, &b, &c, &d);
    amd = b == signature_AMD_ebx && !manual;
    rules->mask_undefined = !amd;
    b = 0;
    __get_cpuid(0x80000008, &a, &b, &c, &d);
    rules->no_pointers = !amd || !(b & BIT(2));
}

// ---- What the manual leaves undefined

static unsigned operand_bits(const struct insn *insn)
{
    return insn->attr & INSN_8BIT ? 8 : insn->opsize * 8;
}

// Shifts and rotates; by 1: OF is defined.
static u32 shift_undefined(const struct insn *insn, u32 count)
{
    unsigned kind = insn->reg, bits = operand_bits(insn);
    u32 undefined = 0;

    count &= 31;
    if (!count)
        return 0;
    if (count != 1)
        undefined |= FL_OF;
    if (kind >= 4)
        undefined |= FL_AF;
    if (kind >= 4 && kind != 7 && count >= bits)
        undefined |= FL_CF;
    return undefined;
}

static u32 double_shift_undefined(const struct insn *insn, u32 count)
{
    count &= 31;
    if (!count)
        return 0;
    return count > operand_bits(insn) ? FL_ARITH : count == 1 ? FL_AF : FL_AF | FL_OF;
}

u32 insn_undefined_flags(const struct insn *insn, u32 ecx)
{
    static const u32 mul = FL_SF | FL_ZF | FL_AF | FL_PF;

    switch (insn->op) {
    case OP1(0x08) ... OP1(0x0d): case OP1(0x20) ... OP1(0x25): case OP1(0x30) ... OP1(0x35): // OR AND XOR
    case OP1(0x84): case OP1(0x85): case OP1(0xa8): case OP1(0xa9):                           // TEST
        return FL_AF;
    case OP1(0x80) ... OP1(0x83):
        return insn->reg == 1 || insn->reg == 4 || insn->reg == 6 ? FL_AF : 0;
    case OP1(0x27): case OP1(0x2f): // DAA DAS
        return FL_OF;
    case OP1(0x37): case OP1(0x3f): // AAA AAS
        return FL_OF | FL_SF | FL_ZF | FL_PF;
    case OP1(0xd4): case OP1(0xd5): // AAM AAD
        return FL_OF | FL_AF | FL_CF;
    case OP1(0x69): case OP1(0x6b): case OP0F(0xaf):
        return mul;
    case OP1(0xf6): case OP1(0xf7):
        return insn->reg < 2 ? FL_AF : insn->reg < 4 ? 0 : insn->reg < 6 ? mul : FL_ARITH;
    case OP1(0xc0): case OP1(0xc1):
        return shift_undefined(insn, insn->imm);
    case OP1(0xd0): case OP1(0xd1):
        return shift_undefined(insn, 1);
    case OP1(0xd2): case OP1(0xd3):
        return shift_undefined(insn, ecx);
    case OP0F(0xa4): case OP0F(0xac):
        return double_shift_undefined(insn, insn->imm);
    case OP0F(0xa5): case OP0F(0xad):
        return double_shift_undefined(insn, ecx);
    case OP0F(0xa3): case OP0F(0xab): case OP0F(0xb3): case OP0F(0xba): case OP0F(0xbb): // BT and its like
        return FL_OF | FL_SF | FL_AF | FL_PF;
    case OPVEX38(0xf2): case OPVEX38(0xf3): // ANDN, BLSR...
        return FL_AF | FL_PF;
    case OPVEX38(0xf7): // BEXTR
        return FL_SF | FL_AF | FL_PF;
    case OP0F(0xbc): case OP0F(0xbd):
        if (insn->isa == ISA_LZCNT || insn->isa == ISA_TZCNT)
            return FL_OF | FL_SF | FL_AF | FL_PF;
        return FL_CF | FL_OF | FL_SF | FL_AF | FL_PF;
    }
    return 0;
}

bool insn_undefined_result(const struct insn *insn, u32 ecx)
{
    switch (insn->op) {
    case OP0F(0xa4): case OP0F(0xac):
        return (insn->imm & 31) > operand_bits(insn);
    case OP0F(0xa5): case OP0F(0xad):
        return (ecx & 31) > operand_bits(insn);
    case OP0F(0xbc): case OP0F(0xbd): // of 0; its value is not at hand
        return insn->isa != ISA_LZCNT && insn->isa != ISA_TZCNT;
    case OP0F(0xc8) ... OP0F(0xcf):   // BSWAP
        return insn->opsize == 2;
    }
    return false;
}

// ---- What processors differ in

// Several accesses, and more than one of them could have faulted.
static bool fault_order_is_free(const struct insn *insn)
{
    if (insn->attr & INSN_X87 && insn->mem_size == 10) // eight bytes and two
        return true;
    switch (insn->op) {
    case OP1(0xa6): case OP1(0xa7): // CMPS
    case OP1(0xc8):                 // ENTER: which of its many wraps or faults, with what written before
    case OP1(0xe8): case OP1(0xff): case OP1(0x9a): // CALL: the push, or the target's limit
    case OP1(0xca): case OP1(0xcb): // RETF: an outer stack's pointer is read ahead
    case OP1(0xcf):                 // IRET: the last dword first, or the first
    case OP1(0x61):                 // POPA: AMD's keep what was popped before the fault
        return true;
    case OP1(0xd9): case OP1(0xdd): // FLDENV, FNSTENV, FRSTOR, FNSAVE
        return insn->has_mem && (insn->reg == 4 || insn->reg == 6);
    case OP0F(0xae): case OP0F(0xf7): // FXRSTOR; MASKMOVQ enters MMX mode first
        return true;
    }
    return false;
}

// A repeated string instruction has written over the case's code, perhaps over itself: whether it then goes on
// depends on when an interrupt comes.
static bool repeat_overwrites_code(const struct oracle_case *c, const struct oracle_result *native,
                                   const struct trace *trace)
{
    u32 n = native->diffs < MAX_DIFFS ? native->diffs : MAX_DIFFS, code = memory_offset(case_code_at(c));
    bool overwritten = native->diffs > MAX_DIFFS; // who knows

    for (u32 i = 0; i < n; i++)
        overwritten |= native->diff[i].at - code < c->code_len;
    return trace->repeats && overwritten;
}

bool case_implementation_specific(const struct oracle_case *c, const struct oracle_result *native,
                                  const struct trace *trace)
{
    const struct trace_step *step = trace_find(trace, native->eip);
    const struct insn *insn = &step->insn;

    if (repeat_overwrites_code(c, native, trace))
        return true;
    if (!step)
        return false;
    if (!step->fetched)
        return native->vector == X_UD || native->eip > 0xfffffff0 || native->eip < 16;
    // Undefined forms: how many of their bytes are fetched before they are refused?
    if ((native->vector == X_PF || native->vector == X_UD) && insn->attr & INSN_UD &&
        (native->eip & ~PAGE_MASK) + insn->len > PAGE_SIZE - INSN_MAX)
        return true;
    if (native->vector == X_GP && insn->attr & INSN_UD && c->seg[S_CS] & 4)
        return true; // likewise, at the segment's end
    if (insn->op == OP1(CODE_FILL)) // the ordinary end
        return false;
    if (native->vector == X_PF || native->vector == X_AC)
        return fault_order_is_free(insn);
    if (native->vector != X_GP && native->vector != X_SS)
        return false;
    return fault_order_is_free(insn);
}
