// SPDX-License-Identifier: GPL-2.0-or-later
// SLDT STR LLDT LTR VERR VERW (group 6), LAR, LSL, ARPL. All are #UD outside protected mode.
#include "exec.h"
#include "local.h"
#include "mem.h"

static void set_zf(struct vcpu *v, bool on)
{
    v->eflags = on ? v->eflags | FL_ZF : v->eflags & ~FL_ZF;
}

// Whether the current privilege and RPL may see the descriptor's segment as data.
static bool visible(const struct vcpu *v, u16 sel, const struct desc *d)
{
    return desc_conforming(d) || (desc_dpl(d) >= v->cpl && desc_dpl(d) >= (sel & 3));
}

static void require_cpl0(struct vcpu *v)
{
    if (v->cpl)
        raise_gp(v, 0);
}

static enum done ltr(struct vcpu *v, u16 sel)
{
    struct desc d;

    if (sel_null(sel))
        raise_gp(v, 0);
    if (sel & 4 || !desc_read(v, sel, &d) || !desc_system(&d) ||
        (desc_type(&d) != SYS_TSS16 && desc_type(&d) != SYS_TSS32))
        raise_gp(v, sel_error(sel));
    if (!desc_present(&d))
        vcpu_raise(v, X_NP, sel_error(sel));
    mmu_write8(v, d.gla + 5, d.hi >> 8 | 2, false);
    d.hi |= BIT(9);
    desc_to_seg(&d, sel, &v->tr);
    return DONE_NEXT;
}

static enum done verify(struct vcpu *v, u16 sel, bool write)
{
    struct desc d;
    bool ok = !sel_null(sel) && desc_read(v, sel, &d) && !desc_system(&d) && visible(v, sel, &d);

    if (ok)
        ok = write ? desc_writable_data(&d) : !desc_code(&d) || d.hi & BIT(9);
    set_zf(v, ok);
    return DONE_NEXT;
}

enum done op_group6(struct vcpu *v, const struct insn *insn)
{
    if (!vcpu_protected(v) || insn->reg > 5)
        return op_undefined(v, insn);
    switch (insn->reg) {
    case 0:
        rm_write(v, insn, v->ldtr.sel, insn->has_mem ? 2 : insn->opsize);
        return DONE_NEXT;
    case 1:
        rm_write(v, insn, v->tr.sel, insn->has_mem ? 2 : insn->opsize);
        return DONE_NEXT;
    case 2:
        require_cpl0(v);
        ldt_load(v, rm_read(v, insn, 2), X_GP);
        return DONE_NEXT;
    case 3:
        require_cpl0(v);
        return ltr(v, rm_read(v, insn, 2));
    default:
        return verify(v, rm_read(v, insn, 2), insn->reg == 5);
    }
}

// Types of system descriptors that LAR and LSL accept, a bit each.
#define LSL_TYPES                                                                            \
    (BIT(SYS_TSS16) | BIT(SYS_LDT) | BIT(SYS_TSS16_BUSY) | BIT(SYS_TSS32) | BIT(SYS_TSS32_BUSY))
#define LAR_TYPES (LSL_TYPES | BIT(SYS_CALL16) | BIT(SYS_TASK_GATE) | BIT(SYS_CALL32))

static bool look_up(struct vcpu *v, u16 sel, u32 types, struct desc *d)
{
    return !sel_null(sel) && desc_read(v, sel, d) &&
           (!desc_system(d) || types & BIT(desc_type(d))) && visible(v, sel, d);
}

enum done op_lar(struct vcpu *v, const struct insn *insn)
{
    struct desc d;
    bool ok;

    if (!vcpu_protected(v))
        return op_undefined(v, insn);
    ok = look_up(v, rm_read(v, insn, 2), LAR_TYPES, &d);
    if (ok)
        reg_write(v, insn->reg, d.hi & (insn->opsize == 4 ? 0x00ffff00 : 0xff00), insn->opsize);
    set_zf(v, ok);
    return DONE_NEXT;
}

enum done op_lsl(struct vcpu *v, const struct insn *insn)
{
    struct desc d;
    struct seg s;
    bool ok;

    if (!vcpu_protected(v))
        return op_undefined(v, insn);
    ok = look_up(v, rm_read(v, insn, 2), LSL_TYPES, &d);
    if (ok) {
        desc_to_seg(&d, 0, &s);
        reg_write(v, insn->reg, s.limit, insn->opsize);
    }
    set_zf(v, ok);
    return DONE_NEXT;
}

enum done op_arpl(struct vcpu *v, const struct insn *insn)
{
    unsigned rpl = v->gpr[insn->reg] & 3;
    gla_t gla = 0;
    u32 sel;
    bool change;

    if (!vcpu_protected(v))
        return op_undefined(v, insn);
    // Segment and page must be writable only if there is something to write, on the host's processors.
    if (insn->has_mem)
        gla = mem_operand(v, insn, 2, ACC_READ);
    sel = insn->has_mem ? mem_read16(v, gla) : reg_read(v, insn->rm, 2);
    change = (sel & 3) < rpl;
    sel = (sel & ~3u) | rpl;
    if (change && insn->has_mem)
        mem_write16(v, mem_operand(v, insn, 2, ACC_WRITE), sel);
    else if (change)
        reg_write(v, insn->rm, sel, 2);
    set_zf(v, change);
    return DONE_NEXT;
}
