// SPDX-License-Identifier: GPL-2.0-or-later
// Segment checks, descriptors, and loads of segment registers (SDM volume 3A, chapters 3.4 and 5).
#include "local.h"
#include "mem.h"

bool seg_allows(const struct vcpu *v, const struct seg *s, u32 offset, u32 size,
                enum access access)
{
    u32 top;

    // Real mode has limits, but doesn't look at types: CS can be written.
    if (v->cr0 & CR0_PE) {
        if (!(s->attr & SEG_P))
            return false;
        if (s->attr & SEG_CODE ? access == ACC_WRITE || (access == ACC_READ && !(s->attr & SEG_R))
                               : access == ACC_WRITE && !(s->attr & SEG_W))
            return false;
    }
    if (!(s->attr & SEG_CODE) && s->attr & SEG_E) {
        top = s->attr & SEG_DB ? 0xffffffff : 0xffff;
        return offset > s->limit && offset <= top && size - 1 <= top - offset;
    }
    // With a limit of 4 GiB - 1 an access may wrap or fault, says the manual; on silicon it faults.
    return offset <= s->limit && size - 1 <= s->limit - offset;
}

gla_t seg_check(struct vcpu *v, unsigned seg, u32 offset, u32 size, enum access access)
{
    const struct seg *s = &v->seg[seg];
    gla_t gla = s->base + offset;

    if (unlikely(!seg_allows(v, s, offset, size, access)))
        vcpu_raise(v, seg == S_SS ? X_SS : X_GP, 0);
    if (unlikely(mem_watched(v)))
        debug_access(v, gla, size, access);
    return gla;
}

// ---- Descriptors
bool desc_read(struct vcpu *v, u16 sel, struct desc *d)
{
    u32 base = v->gdtr.base, limit = v->gdtr.limit;
    u64 raw;

    if (sel & 4) {
        if (!(v->ldtr.attr & SEG_P))
            return false;
        base = v->ldtr.base;
        limit = v->ldtr.limit;
    }
    if ((sel | 7u) > limit)
        return false;
    d->gla = base + (sel & 0xfff8);
    raw = mmu_read64(v, d->gla, false);
    d->lo = raw;
    d->hi = raw >> 32;
    return true;
}

void desc_to_seg(const struct desc *d, u16 sel, struct seg *s)
{
    u32 limit = (d->lo & 0xffff) | (d->hi & 0xf0000);

    s->sel = sel;
    s->attr = (d->hi >> 8 & 0xff) | (d->hi >> 8 & 0xf000);
    s->base = d->lo >> 16 | (d->hi & 0xff) << 16 | (d->hi & 0xff000000);
    s->limit = s->attr & SEG_G ? limit << 12 | 0xfff : limit;
}

void desc_accessed(struct vcpu *v, struct desc *d)
{
    if (d->hi & BIT(8))
        return;
    mmu_write8(v, d->gla + 5, d->hi >> 8 | SEG_A, false);
    d->hi |= BIT(8);
}

// ---- Loads
void seg_load_real(struct vcpu *v, unsigned seg, u16 sel)
{
    struct seg *s = &v->seg[seg];

    s->sel = sel;
    s->base = (u32)sel << 4;
    if (cpu_v86(v)) {
        s->limit = 0xffff;
        s->attr = SEG_P | 3 << SEG_DPL_SHIFT | SEG_S | SEG_W | SEG_A;
    } else if (!(s->attr & SEG_P)) {
        // Left null by protected mode: what reset would have put there.
        s->limit = 0xffff;
        s->attr = SEG_P | SEG_S | SEG_W | SEG_A | (seg == S_CS ? SEG_CODE : 0);
    }
}

void seg_load_v86(struct vcpu *v, const u16 sel[S_COUNT])
{
    for (unsigned i = 0; i < S_COUNT; i++)
        seg_load_real(v, i, sel[i]);
}

static void seg_load_null(struct vcpu *v, unsigned seg, u16 sel)
{
    v->seg[seg] = (struct seg){ .sel = sel };
}

void ss_check(struct vcpu *v, u16 sel, unsigned cpl, u8 vector, struct desc *d)
{
    if (sel_null(sel))
        vcpu_raise(v, vector, vector == X_GP ? 0 : sel_error(sel));
    if (!desc_read(v, sel, d) || (sel & 3) != cpl || !desc_writable_data(d) ||
        desc_dpl(d) != cpl)
        vcpu_raise(v, vector, sel_error(sel));
    if (!desc_present(d))
        vcpu_raise(v, X_SS, sel_error(sel));
}

void seg_load(struct vcpu *v, unsigned seg, u16 sel)
{
    struct desc d;

    if (!vcpu_protected(v)) {
        seg_load_real(v, seg, sel);
        return;
    }
    if (seg == S_SS) {
        ss_check(v, sel, v->cpl, X_GP, &d);
    } else {
        if (sel_null(sel)) {
            seg_load_null(v, seg, sel);
            return;
        }
        if (!desc_read(v, sel, &d) || desc_system(&d) ||
            (desc_code(&d) && !(d.hi & BIT(9))))
            raise_gp(v, sel_error(sel));
        if (!desc_conforming(&d) && ((sel & 3) > desc_dpl(&d) || v->cpl > desc_dpl(&d)))
            raise_gp(v, sel_error(sel));
        if (!desc_present(&d))
            vcpu_raise(v, X_NP, sel_error(sel));
    }
    desc_accessed(v, &d);
    desc_to_seg(&d, sel, &v->seg[seg]);
}

void ldt_load(struct vcpu *v, u16 sel, u8 vector)
{
    struct desc d;

    if (sel_null(sel)) {
        v->ldtr = (struct seg){ .sel = sel };
        return;
    }
    if (sel & 4 || !desc_read(v, sel, &d) || !desc_system(&d) || desc_type(&d) != SYS_LDT)
        vcpu_raise(v, vector, sel_error(sel));
    if (!desc_present(&d))
        vcpu_raise(v, vector == X_GP ? X_NP : vector, sel_error(sel));
    desc_to_seg(&d, sel, &v->ldtr);
}

void seg_drop_inner(struct vcpu *v)
{
    static const u8 data_segs[] = { S_ES, S_DS, S_FS, S_GS };

    for (unsigned i = 0; i < ARRAY_LEN(data_segs); i++) {
        struct seg *s = &v->seg[data_segs[i]];
        bool conforming = (s->attr & (SEG_CODE | SEG_C)) == (SEG_CODE | SEG_C);

        // A null one counts as ring 0's: processors clear its RPL too.
        if (!(s->attr & SEG_P) ||
            (!conforming && (s->attr >> SEG_DPL_SHIFT & 3) < v->cpl))
            seg_load_null(v, data_segs[i], 0);
    }
}

void cpu_set_cpl(struct vcpu *v, unsigned cpl)
{
    bool changed = (v->cpl == 3) != (cpl == 3);

    v->cpl = cpl;
    if (changed)
        mmu_cpl_changed(v);
}
