// SPDX-License-Identifier: GPL-2.0-or-later
// Far JMP and CALL: direct, through call gates, and to tasks (SDM volume 3A, 5.8), and the
// stack frames that they, interrupts and exceptions build.
#include "exec.h"
#include "local.h"
#include "mem.h"

// ---- Frames
void frame_current(struct vcpu *v, struct frame *f, unsigned size)
{
    f->ss = v->seg[S_SS];
    f->esp = v->gpr[R_ESP];
    f->user = v->cpl == 3;
    f->error_sel = 0;
    f->size = size;
    f->count = 0;
}

void frame_inner(struct vcpu *v, struct frame *f, unsigned size, unsigned cpl)
{
    bool tss32 = v->tr.attr & 8;
    u32 at = tss32 ? cpl * 8 + 4 : cpl * 4 + 2;
    struct desc d;
    u16 sel;

    if (at + (tss32 ? 5 : 3) > v->tr.limit)
        vcpu_raise(v, X_TS, sel_error(v->tr.sel));
    f->esp = tss32 ? mmu_read32(v, v->tr.base + at, false) : mmu_read16(v, v->tr.base + at, false);
    sel = mmu_read16(v, v->tr.base + at + (tss32 ? 4 : 2), false);
    ss_check(v, sel, cpl, X_TS, &d);
    desc_accessed(v, &d);
    desc_to_seg(&d, sel, &f->ss);
    f->user = cpl == 3;
    f->error_sel = sel_error(sel);
    f->size = size;
    f->count = 0;
}

static u32 frame_slot(const struct frame *f, unsigned i)
{
    u32 mask = f->ss.attr & SEG_DB ? 0xffffffff : 0xffff;

    return (f->esp - (i + 1) * f->size) & mask;
}

void frame_check(struct vcpu *v, struct frame *f)
{
    for (unsigned i = 0; i < f->count; i++)
        if (!seg_allows(v, &f->ss, frame_slot(f, i), f->size, ACC_WRITE))
            vcpu_raise(v, X_SS, f->error_sel);
}

void frame_write(struct vcpu *v, struct frame *f)
{
    u32 mask = f->ss.attr & SEG_DB ? 0xffffffff : 0xffff;

    for (unsigned i = 0; i < f->count; i++) {
        gla_t gla = f->ss.base + frame_slot(f, i);

        if (unlikely(mem_watched(v)))
            (f->user ? debug_access : debug_data)(v, gla, f->size, ACC_WRITE);
        if (f->size == 4)
            mmu_write32(v, gla, f->slot[i], f->user);
        else
            mmu_write16(v, gla, f->slot[i], f->user);
    }
    f->esp = (f->esp & ~mask) | ((f->esp - f->count * f->size) & mask);
}

void frame_commit(struct vcpu *v, const struct frame *f, bool inner)
{
    if (inner)
        v->seg[S_SS] = f->ss;
    v->gpr[R_ESP] = f->esp;
}

void cs_commit(struct vcpu *v, u16 sel, const struct desc *d, unsigned cpl)
{
    desc_to_seg(d, (sel & ~3u) | cpl, &v->seg[S_CS]);
    if (v->cpl != cpl)
        cpu_set_cpl(v, cpl);
}

static u32 desc_limit(const struct desc *d)
{
    struct seg s;

    desc_to_seg(d, 0, &s);
    return s.limit;
}

// ---- Targets
struct far {
    u16 sel;
    u32 offset;
    unsigned size; // operand size
    bool call;
    u32 next; // return address of a CALL
};

static void far_real(struct vcpu *v, const struct far *t)
{
    struct frame f;

    frame_current(v, &f, t->size);
    if (t->call) {
        frame_add(&f, v->seg[S_CS].sel);
        frame_add(&f, t->next);
    }
    frame_check(v, &f);
    if (t->offset > v->seg[S_CS].limit)
        raise_gp(v, 0);
    frame_write(v, &f);
    frame_commit(v, &f, false);
    seg_load_real(v, S_CS, t->sel);
    v->eip = t->offset;
}

// To a code segment of the same privilege: d has been read; sel's RPL counts unless it came
// from a gate.
static void far_same(struct vcpu *v, const struct far *t, u16 sel, u32 offset, struct desc *d)
{
    struct frame f;

    frame_current(v, &f, t->size);
    if (t->call) {
        frame_add(&f, v->seg[S_CS].sel);
        frame_add(&f, t->next);
    }
    frame_check(v, &f);
    if (offset > desc_limit(d))
        raise_gp(v, 0);
    frame_write(v, &f);
    desc_accessed(v, d);
    frame_commit(v, &f, false);
    cs_commit(v, sel, d, v->cpl);
    v->eip = offset;
}

// A CALL through a gate to an inner ring: a new stack, with `count` parameters copied.
static void far_inner(struct vcpu *v, const struct far *t, u16 sel, u32 offset, struct desc *d,
                      unsigned count)
{
    unsigned cpl = desc_dpl(d);
    u32 old = v->gpr[R_ESP], mask = stack_mask(v);
    struct frame f;

    frame_inner(v, &f, t->size, cpl);
    frame_add(&f, v->seg[S_SS].sel);
    frame_add(&f, old);
    for (unsigned i = count; i-- > 0;) {
        u32 at = (old + i * t->size) & mask;

        frame_add(&f,
                  mem_read(v, mem_linear(v, S_SS, at, t->size, ACC_READ), t->size));
    }
    frame_add(&f, v->seg[S_CS].sel);
    frame_add(&f, t->next);
    frame_check(v, &f);
    if (offset > desc_limit(d))
        raise_gp(v, 0);
    frame_write(v, &f);
    desc_accessed(v, d);
    cs_commit(v, sel, d, cpl);
    frame_commit(v, &f, true);
    v->eip = offset;
}

static void far_gate(struct vcpu *v, struct far *t, const struct desc *gate)
{
    u16 sel = gate->lo >> 16;
    u32 offset = gate_offset(gate);
    struct desc d;

    if (!desc_present(gate))
        vcpu_raise(v, X_NP, sel_error(t->sel));
    if (sel_null(sel))
        raise_gp(v, 0);
    if (!desc_read(v, sel, &d) || !desc_code(&d) || desc_dpl(&d) > v->cpl)
        raise_gp(v, sel_error(sel));
    if (!t->call && !desc_conforming(&d) && desc_dpl(&d) != v->cpl)
        raise_gp(v, sel_error(sel));
    if (!desc_present(&d))
        vcpu_raise(v, X_NP, sel_error(sel));
    t->size = desc_type(gate) == SYS_CALL32 ? 4 : 2;
    if (t->call && !desc_conforming(&d) && desc_dpl(&d) < v->cpl)
        far_inner(v, t, sel, offset, &d, gate->hi & 31);
    else
        far_same(v, t, sel, offset, &d);
}

static void far_task(struct vcpu *v, const struct far *t, u16 sel, struct desc *tss)
{
    task_switch(v, t->call ? TASK_CALL : TASK_JMP, sel, tss, t->next, v->eflags);
    if (v->eip > v->seg[S_CS].limit)
        raise_gp(v, 0);
}

static void far_system(struct vcpu *v, struct far *t, struct desc *d)
{
    struct desc tss;

    switch (desc_type(d)) {
    case SYS_CALL16:
    case SYS_CALL32:
    case SYS_TASK_GATE:
    case SYS_TSS16:
    case SYS_TSS32:
        if (desc_dpl(d) < v->cpl || desc_dpl(d) < (t->sel & 3))
            raise_gp(v, sel_error(t->sel));
        break;
    default:
        raise_gp(v, sel_error(t->sel));
    }
    if (desc_type(d) == SYS_TASK_GATE) {
        u16 sel = d->lo >> 16;

        if (!desc_present(d))
            vcpu_raise(v, X_NP, sel_error(t->sel));
        task_gate_tss(v, sel, &tss);
        far_task(v, t, sel, &tss);
    } else if (desc_type(d) == SYS_CALL16 || desc_type(d) == SYS_CALL32) {
        far_gate(v, t, d);
    } else {
        if (t->sel & 4)
            raise_gp(v, sel_error(t->sel));
        if (!desc_present(d))
            vcpu_raise(v, X_NP, sel_error(t->sel));
        far_task(v, t, t->sel, d);
    }
}

static enum done far_transfer(struct vcpu *v, const struct insn *insn, u16 sel, u32 offset,
                              bool call)
{
    struct far t = { sel, offset, insn->opsize, call, v->eip + insn->len };
    struct desc d;
    bool ok;

    if (t.size == 2)
        t.offset &= 0xffff;
    if (!vcpu_protected(v)) {
        far_real(v, &t);
        return DONE_JUMPED;
    }
    if (sel_null(sel))
        raise_gp(v, 0);
    if (!desc_read(v, sel, &d))
        raise_gp(v, sel_error(sel));
    if (desc_system(&d)) {
        far_system(v, &t, &d);
        return DONE_JUMPED;
    }
    ok = desc_conforming(&d) ? desc_dpl(&d) <= v->cpl
                             : desc_code(&d) && (sel & 3) <= v->cpl && desc_dpl(&d) == v->cpl;
    if (!ok)
        raise_gp(v, sel_error(sel));
    if (!desc_present(&d))
        vcpu_raise(v, X_NP, sel_error(sel));
    far_same(v, &t, sel, t.offset, &d);
    return DONE_JUMPED;
}

enum done op_call_far(struct vcpu *v, const struct insn *insn)
{
    return far_transfer(v, insn, insn->imm2, insn->imm, true);
}

enum done op_jmp_far(struct vcpu *v, const struct insn *insn)
{
    return far_transfer(v, insn, insn->imm2, insn->imm, false);
}

static enum done far_memory(struct vcpu *v, const struct insn *insn, bool call)
{
    unsigned size = insn->opsize;
    u32 ea = mem_ea(v, insn);
    u32 offset = mem_read(v, mem_linear(v, insn->seg, ea, size, ACC_READ), size);
    u16 sel = mem_read16(v, mem_linear(v, insn->seg, ea + size, 2, ACC_READ));

    return far_transfer(v, insn, sel, offset, call);
}

enum done op_call_far_mem(struct vcpu *v, const struct insn *insn)
{
    return far_memory(v, insn, true);
}

enum done op_jmp_far_mem(struct vcpu *v, const struct insn *insn)
{
    return far_memory(v, insn, false);
}
