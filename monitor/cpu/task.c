// SPDX-License-Identifier: GPL-2.0-or-later
// The hardware task switch (SDM volume 3A, chapter 7.3).
//
//   check the new TSS -> save the old task -> load everything from the new TSS -> validate selectors
//   faults: old task     old task             (none: both TSSs are probed)        new task
#include "local.h"
#include "mem.h"

// Where a TSS keeps things: 16- and 32-bit.
struct tss_layout {
    unsigned word; // bytes a register
    unsigned min_limit;
    unsigned eip, eflags, gpr, seg, segs, ldt;
    unsigned seg_step;
    unsigned dynamic, dynamic_len; // what a switch away writes
};

static const struct tss_layout layout16 = { 2, 43, 0x0e, 0x10, 0x12, 0x22, 4, 0x2a, 2, 0x0e, 0x1c };
static const struct tss_layout layout32 = { 4, 103, 0x20, 0x24, 0x28, 0x48, 6, 0x60, 4, 0x20, 0x40 };

static const struct tss_layout *layout(u16 attr)
{
    return attr & 8 ? &layout32 : &layout16;
}

static u32 tss_get(struct vcpu *v, gla_t gla, unsigned size)
{
    return size == 4 ? mmu_read32(v, gla, false) : mmu_read16(v, gla, false);
}

static void tss_put(struct vcpu *v, gla_t gla, u32 value, unsigned size)
{
    if (size == 4)
        mmu_write32(v, gla, value, false);
    else
        mmu_write16(v, gla, value, false);
}

static void set_busy(struct vcpu *v, struct desc *d, bool busy)
{
    d->hi = busy ? d->hi | BIT(9) : d->hi & ~BIT(9);
    mmu_write8(v, d->gla + 5, d->hi >> 8, false);
}

static void save_old(struct vcpu *v, u32 eip, u32 flags)
{
    const struct tss_layout *l = layout(v->tr.attr);
    gla_t base = v->tr.base;

    tss_put(v, base + l->eip, eip, l->word);
    tss_put(v, base + l->eflags, flags, l->word);
    for (unsigned i = 0; i < 8; i++)
        tss_put(v, base + l->gpr + i * l->word, v->gpr[i], l->word);
    for (unsigned i = 0; i < l->segs; i++)
        tss_put(v, base + l->seg + i * l->seg_step, v->seg[i].sel, 2);
}

struct task {
    u32 cr3, eip, eflags, gpr[8];
    u16 seg[S_COUNT], ldt;
    bool trap;
};

static void read_new(struct vcpu *v, const struct seg *tss, struct task *t)
{
    const struct tss_layout *l = layout(tss->attr);
    gla_t base = tss->base;

    *t = (struct task){ 0 };
    t->eip = tss_get(v, base + l->eip, l->word);
    t->eflags = tss_get(v, base + l->eflags, l->word);
    for (unsigned i = 0; i < 8; i++) {
        t->gpr[i] = tss_get(v, base + l->gpr + i * l->word, l->word);
        if (l->word == 2)
            t->gpr[i] |= 0xffff0000;
    }
    for (unsigned i = 0; i < l->segs; i++)
        t->seg[i] = mmu_read16(v, base + l->seg + i * l->seg_step, false);
    t->ldt = mmu_read16(v, base + l->ldt, false);
    if (l->word == 4) {
        t->cr3 = mmu_read32(v, base + 0x1c, false);
        t->trap = mmu_read16(v, base + 0x64, false) & 1;
    }
}

static void load_cs(struct vcpu *v, u16 sel)
{
    unsigned rpl = sel & 3;
    struct desc d;

    if (sel_null(sel) || !desc_read(v, sel, &d) || !desc_code(&d) ||
        (desc_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl))
        vcpu_raise(v, X_TS, sel_error(sel));
    if (!desc_present(&d))
        vcpu_raise(v, X_NP, sel_error(sel));
    desc_accessed(v, &d);
    desc_to_seg(&d, sel, &v->seg[S_CS]);
}

static void load_data(struct vcpu *v, unsigned seg, u16 sel)
{
    struct desc d;

    if (sel_null(sel))
        return;
    if (!desc_read(v, sel, &d) || desc_system(&d) || (desc_code(&d) && !(d.hi & BIT(9))) ||
        (!desc_conforming(&d) && ((sel & 3) > desc_dpl(&d) || v->cpl > desc_dpl(&d))))
        vcpu_raise(v, X_TS, sel_error(sel));
    if (!desc_present(&d))
        vcpu_raise(v, X_NP, sel_error(sel));
    desc_accessed(v, &d);
    desc_to_seg(&d, sel, &v->seg[seg]);
}

// Visible state first, everything invalid behind it; then each selector is validated in the new
// task.
static void load_new(struct vcpu *v, const struct task *t, bool tss32)
{
    static const u8 data_segs[] = { S_DS, S_ES, S_FS, S_GS };
    struct desc d;

    if (tss32 && v->cr0 & CR0_PG && t->cr3 != v->cr3)
        cpu_write_cr3(v, t->cr3);
    v->eip = t->eip;
    memcpy(v->gpr, t->gpr, sizeof(v->gpr));
    v->eflags = FL_FIXED1;
    flags_write(v, t->eflags,
                FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_VM | FL_AC |
                    FL_VIF | FL_VIP | (v->model->has_cpuid ? FL_ID : 0));
    for (unsigned i = 0; i < S_COUNT; i++)
        v->seg[i] = (struct seg){ .sel = t->seg[i] };
    cpu_set_cpl(v, t->eflags & FL_VM ? 3 : t->seg[S_CS] & 3);
    v->ldtr = (struct seg){ .sel = t->ldt };
    ldt_load(v, t->ldt, X_TS);
    if (cpu_v86(v)) {
        seg_load_v86(v, t->seg);
        return;
    }
    load_cs(v, t->seg[S_CS]);
    ss_check(v, t->seg[S_SS], v->cpl, X_TS, &d);
    desc_accessed(v, &d);
    desc_to_seg(&d, t->seg[S_SS], &v->seg[S_SS]);
    for (unsigned i = 0; i < ARRAY_LEN(data_segs); i++)
        load_data(v, data_segs[i], t->seg[data_segs[i]]);
}

void task_gate_tss(struct vcpu *v, u16 sel, struct desc *tss)
{
    if (sel_null(sel) || sel & 4 || !desc_read(v, sel, tss) || !desc_system(tss) ||
        (desc_type(tss) != SYS_TSS16 && desc_type(tss) != SYS_TSS32))
        raise_gp(v, sel_error(sel));
    if (!desc_present(tss))
        vcpu_raise(v, X_NP, sel_error(sel));
}

void task_switch(struct vcpu *v, enum task_cause cause, u16 sel, struct desc *tss, u32 eip,
                 u32 flags)
{
    const struct tss_layout *old = layout(v->tr.attr), *new;
    struct desc old_desc;
    struct seg tr;
    struct task t;

    desc_to_seg(tss, sel, &tr);
    new = layout(tr.attr);
    if (tr.limit < new->min_limit || v->tr.limit < old->min_limit)
        vcpu_raise(v, X_TS, sel_error(tr.limit < new->min_limit ? sel : v->tr.sel));
    // Whatever can fault in the old task does so now.
    mmu_probe(v, v->tr.base + old->dynamic, old->dynamic_len, ACC_WRITE, false);
    mmu_probe(v, tr.base, new->min_limit + 1, ACC_READ, false);
    if (cause == TASK_CALL || cause == TASK_EVENT)
        mmu_probe(v, tr.base, 2, ACC_WRITE, false);
    mmu_probe(v, tss->gla, 8, ACC_WRITE, false);
    if (cause == TASK_JMP || cause == TASK_IRET) {
        if (!sel_null(v->tr.sel) && desc_read(v, v->tr.sel, &old_desc))
            set_busy(v, &old_desc, false);
    }
    save_old(v, eip, flags);
    if (cause == TASK_CALL || cause == TASK_EVENT)
        mmu_write16(v, tr.base, v->tr.sel, false);
    read_new(v, &tr, &t);
    if (cause == TASK_CALL || cause == TASK_EVENT)
        t.eflags |= FL_NT;
    if (cause != TASK_IRET)
        set_busy(v, tss, true);
    desc_to_seg(tss, sel, &v->tr);
    v->cr0 |= CR0_TS;
    v->dr[7] &= ~0x155u; // local breakpoints end with their task
    load_new(v, &t, new == &layout32);
    if (t.trap)
        DB_PENDING(v) |= DR6_BT;
}

void task_push_error(struct vcpu *v, u32 error)
{
    unsigned size = v->tr.attr & 8 ? 4 : 2;
    struct frame f;

    frame_current(v, &f, size);
    frame_add(&f, error);
    frame_check(v, &f);
    frame_write(v, &f);
    frame_commit(v, &f, false);
}
