// SPDX-License-Identifier: GPL-2.0-or-later
// Far RET and IRET: to the same and outer rings, to virtual-8086 mode, and to the nested task;
// INT n and its kin.
#include "exec.h"
#include "local.h"
#include "mem.h"

#define NMI_DONE(v) ((v)->nmi_blocked = false)

// Pops CS:EIP (and the flags of IRET) and checks CS for a return; what does not raise can be
// committed.
struct ret {
    unsigned size;
    u32 sp;      // after what was popped so far
    u32 eip;
    u16 cs;
    u32 flags;
    struct desc d;
};

static void ret_check_cs(struct vcpu *v, struct ret *r)
{
    unsigned rpl = r->cs & 3;

    if (sel_null(r->cs))
        raise_gp(v, 0);
    if (!desc_read(v, r->cs, &r->d) || !desc_code(&r->d) || rpl < v->cpl)
        raise_gp(v, sel_error(r->cs));
    if (desc_conforming(&r->d) ? desc_dpl(&r->d) > rpl : desc_dpl(&r->d) != rpl)
        raise_gp(v, sel_error(r->cs));
    if (!desc_present(&r->d))
        vcpu_raise(v, X_NP, sel_error(r->cs));
}

static void ret_check_eip(struct vcpu *v, const struct ret *r)
{
    struct seg s;

    desc_to_seg(&r->d, 0, &s);
    if (r->eip > s.limit)
        raise_gp(v, 0);
}

// The outer stack: pops ESP and SS, checks, and commits everything but the flags.
static void ret_outer(struct vcpu *v, struct ret *r, u32 release)
{
    unsigned cpl = r->cs & 3;
    u32 esp = stack_pop(v, &r->sp, r->size);
    u16 ss = stack_pop(v, &r->sp, r->size);
    struct desc d;

    ss_check(v, ss, cpl, X_GP, &d);
    ret_check_eip(v, r);
    desc_accessed(v, &d);
    desc_accessed(v, &r->d);
    cs_commit(v, r->cs, &r->d, cpl);
    desc_to_seg(&d, ss, &v->seg[S_SS]);
    esp += release;
    // A 16-bit stack leaves the upper half of ESP as it is.
    if (d.hi & BIT(22))
        v->gpr[R_ESP] = esp;
    else
        reg16_write(v, R_ESP, esp);
    v->eip = r->eip;
    seg_drop_inner(v);
}

// CA has the bytes to release as immediate, CB none.
enum done op_ret_far(struct vcpu *v, const struct insn *insn)
{
    struct ret r = { .size = insn->opsize, .sp = v->gpr[R_ESP] };
    u32 release = insn->op == OP1(0xca) ? insn->imm & 0xffff : 0;

    r.eip = stack_pop(v, &r.sp, r.size);
    r.cs = stack_pop(v, &r.sp, r.size);
    r.sp += release;
    if (!vcpu_protected(v)) {
        if (r.eip > v->seg[S_CS].limit)
            raise_gp(v, 0);
        seg_load_real(v, S_CS, r.cs);
        stack_commit(v, r.sp);
        v->eip = r.eip;
        return DONE_JUMPED;
    }
    ret_check_cs(v, &r);
    if ((r.cs & 3) > v->cpl) {
        ret_outer(v, &r, release);
        return DONE_JUMPED;
    }
    ret_check_eip(v, &r);
    desc_accessed(v, &r.d);
    cs_commit(v, r.cs, &r.d, v->cpl);
    stack_commit(v, r.sp);
    v->eip = r.eip;
    return DONE_JUMPED;
}

// ---- IRET
static enum done iret_real(struct vcpu *v, struct ret *r)
{
    bool vme = cpu_v86(v) && vcpu_iopl(v) < 3;

    if (r->eip > v->seg[S_CS].limit)
        raise_gp(v, 0);
    if (vme)
        v->eflags = flags_from_vme(v, r->flags);
    else
        flags_write(v, r->flags, flags_changeable(v, r->size));
    seg_load_real(v, S_CS, r->cs);
    stack_commit(v, r->sp);
    v->eip = r->eip;
    NMI_DONE(v);
    return DONE_JUMPED;
}

// Six more dwords, and no check but the instruction pointer's.
static enum done iret_to_v86(struct vcpu *v, struct ret *r)
{
    u32 esp;
    u16 sel[S_COUNT];

    esp = stack_pop(v, &r->sp, 4);
    sel[S_SS] = stack_pop(v, &r->sp, 4);
    sel[S_ES] = stack_pop(v, &r->sp, 4);
    sel[S_DS] = stack_pop(v, &r->sp, 4);
    sel[S_FS] = stack_pop(v, &r->sp, 4);
    sel[S_GS] = stack_pop(v, &r->sp, 4);
    sel[S_CS] = r->cs;
    if (r->eip > 0xffff)
        raise_gp(v, 0);
    flags_write(v, r->flags, flags_changeable(v, 4) | FL_VM | FL_VIF | FL_VIP);
    seg_load_v86(v, sel);
    cpu_set_cpl(v, 3);
    v->gpr[R_ESP] = esp;
    v->eip = r->eip;
    NMI_DONE(v);
    return DONE_JUMPED;
}

static enum done iret_task(struct vcpu *v, const struct insn *insn)
{
    u16 sel = mmu_read16(v, v->tr.base, false);
    struct desc d;

    if (sel_null(sel) || sel & 4 || !desc_read(v, sel, &d) || !desc_system(&d) ||
        (desc_type(&d) != SYS_TSS16_BUSY && desc_type(&d) != SYS_TSS32_BUSY))
        vcpu_raise(v, X_TS, sel_error(sel));
    if (!desc_present(&d))
        vcpu_raise(v, X_NP, sel_error(sel));
    NMI_DONE(v);
    task_switch(v, TASK_IRET, sel, &d, v->eip + insn->len, v->eflags & ~FL_NT);
    if (v->eip > v->seg[S_CS].limit)
        raise_gp(v, 0);
    return DONE_JUMPED;
}

enum done op_iret(struct vcpu *v, const struct insn *insn)
{
    struct ret r = { .size = insn->opsize, .sp = v->gpr[R_ESP] };
    u32 mask;

    if (cpu_v86(v) && vcpu_iopl(v) < 3 && (!(v->cr4 & CR4_VME) || insn->opsize != 2))
        raise_gp(v, 0);
    if (vcpu_protected(v) && v->eflags & FL_NT)
        return iret_task(v, insn);
    r.eip = stack_pop(v, &r.sp, r.size);
    r.cs = stack_pop(v, &r.sp, r.size);
    r.flags = stack_pop(v, &r.sp, r.size);
    if (!vcpu_protected(v))
        return iret_real(v, &r);
    if (r.size == 4 && r.flags & FL_VM && v->cpl == 0)
        return iret_to_v86(v, &r);
    ret_check_cs(v, &r);
    // By the privilege that executes the IRET.
    mask = flags_changeable(v, r.size);
    if (v->cpl == 0 && r.size == 4)
        mask |= FL_VIF | FL_VIP;
    if ((r.cs & 3) > v->cpl) {
        ret_outer(v, &r, 0);
    } else {
        ret_check_eip(v, &r);
        desc_accessed(v, &r.d);
        cs_commit(v, r.cs, &r.d, v->cpl);
        stack_commit(v, r.sp);
        v->eip = r.eip;
    }
    flags_write(v, r.flags, mask);
    NMI_DONE(v);
    return DONE_JUMPED;
}

// ---- Software interrupts
// In V86 mode with VME a clear bit in the TSS's redirection map sends INT n to the 8086
// program's own vector.
static bool redirected(struct vcpu *v, u8 vector)
{
    u32 map, at;

    if (!(v->cr4 & CR4_VME))
        return false;
    // A TSS of 16 bits, or one that ends before the map's base, has no map.
    if (!(v->tr.attr & 8) || v->tr.limit < 0x67)
        raise_gp(v, 0);
    map = mmu_read16(v, v->tr.base + 0x66, false);
    at = map - 32 + vector / 8;
    if (map < 32 || at > v->tr.limit)
        raise_gp(v, 0);
    return !(mmu_read8(v, v->tr.base + at, false) >> (vector & 7) & 1);
}

static void int_redirected(struct vcpu *v, u8 vector, u32 next)
{
    u32 target = mmu_read32(v, vector * 4, true);
    struct frame f;

    frame_current(v, &f, 2);
    frame_add(&f, vcpu_iopl(v) < 3 ? flags_to_vme(v) : v->eflags & 0xffff);
    frame_add(&f, v->seg[S_CS].sel);
    frame_add(&f, next);
    frame_check(v, &f);
    frame_write(v, &f);
    frame_commit(v, &f, false);
    seg_load_real(v, S_CS, target >> 16);
    v->eip = target & 0xffff;
    v->eflags &= ~(FL_TF | FL_NT | FL_RF | (vcpu_iopl(v) < 3 ? FL_VIF : FL_IF));
    v->count.softints++;
}

enum done op_int(struct vcpu *v, const struct insn *insn)
{
    u8 vector = insn->imm;
    u32 next = v->eip + insn->len;

    if (cpu_v86(v)) {
        if (redirected(v, vector)) {
            int_redirected(v, vector, next);
            return DONE_ENTERED;
        }
        if (vcpu_iopl(v) < 3)
            raise_gp(v, 0);
    }
    event_enter(v, EVENT_SOFT, vector, 0, next);
    return DONE_ENTERED;
}

enum done op_int3(struct vcpu *v, const struct insn *insn)
{
    event_enter(v, EVENT_TRAP, X_BP, 0, v->eip + insn->len);
    return DONE_ENTERED;
}

// INT1 is a #DB of its own: no gate privilege check, nothing in DR6; a fault in its delivery has the EXT bit.
enum done op_int1(struct vcpu *v, const struct insn *insn)
{
    jmp_buf catcher, *outer = v->catcher;

    if (_setjmp(catcher)) {
        v->catcher = outer;
        if (BIT(v->fault.vector) & (BIT(X_TS) | BIT(X_NP) | BIT(X_SS) | BIT(X_GP)))
            v->fault.error |= 1;
        vcpu_raise(v, v->fault.vector, v->fault.error);
    }
    v->catcher = &catcher;
    event_enter(v, EVENT_TRAP, X_DB, 0, v->eip + insn->len);
    v->catcher = outer;
    return DONE_ENTERED;
}

enum done op_into(struct vcpu *v, const struct insn *insn)
{
    if (!(v->eflags & FL_OF))
        return DONE_NEXT;
    event_enter(v, EVENT_TRAP, X_OF, 0, v->eip + insn->len);
    return DONE_ENTERED;
}
