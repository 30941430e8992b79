// SPDX-License-Identifier: GPL-2.0-or-later
#include "tlb.h"
#include "windows.h"

#include <string.h>

#define ASID_MAX (TLB_ASID_NONE - 1)

static void note_local(struct mmu *mmu, unsigned slot)
{
    if (mmu->locals < ARRAY_LEN(mmu->local))
        mmu->local[mmu->locals] = slot;
    mmu->locals += mmu->locals <= ARRAY_LEN(mmu->local);
}

static void tlb_fill(struct vcpu *v, gla_t gla, const struct walk *w, enum access access,
                     bool user)
{
    struct phys *phys = v->mmu->phys;
    struct phys_page *p = phys_page(phys, w->gpa);
    struct tlb_entry *e = tlb_slot(v, gla);
    u32 tag = tlb_tag(v, gla, user);
    u32 page = w->gpa >> PAGE_SHIFT;

    if (!(p->flags & PHYS_READ))
        return;
    v->count.tlb_fills++;
    if (w->page_size != PAGE_SIZE)
        v->mmu->large[gla >> 27] |= BIT(gla >> 22 & 31);
    // Only a fetch gives the right to fetch (invariant 2); a later read of the page keeps it.
    if (access == ACC_FETCH)
        e->xtag = tag;
    else if (e->xtag != tag || e->page != page || w->nx)
        e->xtag = 0;
    if (!user && !w->global)
        note_local(v->mmu, e - v->tlb);
    e->rtag = tag;
    e->wtag = 0;
    e->free = 0;
    if (p->flags & PHYS_WRITE && w->dirty && walk_allows(v, w, ACC_WRITE, user)) {
        if (!(p->flags & PHYS_CODE)) {
            e->wtag = tag;
        } else if (phys->code_map) {
            e->free = ~phys->code_map[page];
            p->flags |= PHYS_MIXED;
        }
    }
    e->addend = (uintptr_t)phys_frame_host(phys, p->frame) - (gla & PAGE_MASK);
    e->page = page;
}

bool tlb_translate(struct vcpu *v, gla_t gla, enum access access, bool user, gpa_t *gpa,
                   u32 *pferr)
{
    struct walk w;

    if (!walk(v, v->mmu->phys, gla, access, user, &w, pferr))
        return false;
    if (access == ACC_FETCH && v->mmu->windows)
        windows_note_fetch(v->mmu->windows, gla, &w);
    tlb_fill(v, gla, &w, access, user);
    *gpa = w.gpa;
    return true;
}

void tlb_flush(struct vcpu *v)
{
    struct mmu *mmu = v->mmu;

    v->count.tlb_flushes++;
    if (mmu->next_asid + 1 > ASID_MAX) {
        memset(v->tlb, 0, sizeof(v->tlb));
        mmu->next_asid = 1;
    }
    mmu->asid_super = mmu->next_asid++;
    mmu->asid_user = mmu->next_asid++;
    memset(mmu->large, 0, sizeof(mmu->large));
    mmu->locals = 0;
    mmu_cpl_changed(v);
}

static void drop(struct tlb_entry *e)
{
    e->rtag = e->wtag = e->xtag = 0;
}

// Between two CR3 writes a kernel touches few pages that are not global: its user's buffers.
void tlb_flush_local(struct vcpu *v)
{
    struct mmu *mmu = v->mmu;

    if (!(v->cr4 & CR4_PGE) || mmu->locals > ARRAY_LEN(mmu->local) ||
        mmu->next_asid > ASID_MAX) {
        tlb_flush(v);
        return;
    }
    v->count.tlb_flushes++;
    for (unsigned i = 0; i < mmu->locals; i++)
        drop(&v->tlb[mmu->local[i]]);
    mmu->locals = 0;
    mmu->asid_user = mmu->next_asid++;
    mmu_cpl_changed(v);
}

void tlb_flush_page(struct vcpu *v, gla_t gla)
{
    struct tlb_entry *e = tlb_slot(v, gla);

    if (((e->rtag ^ gla) & PAGE_MASK) == 0)
        drop(e);
    // The guest may have replaced the large page by now, so the tables can't tell its size: the
    // fills do. 4 MiB are as many pages as the TLB has slots: look at all of them.
    if (mmu_large_at(v->mmu, gla)) {
        for (e = v->tlb; e < v->tlb + TLB_SIZE; e++)
            if ((e->rtag ^ gla) >> 22 == 0)
                drop(e);
    }
}

void tlb_protect(struct vcpu *v, gpa_t gpa)
{
    for (struct tlb_entry *e = v->tlb; e < v->tlb + TLB_SIZE; e++)
        if (e->wtag && e->page == gpa >> PAGE_SHIFT)
            e->wtag = 0;
}

void tlb_protect_parts(struct vcpu *v, gpa_t gpa, u64 bits)
{
    for (struct tlb_entry *e = v->tlb; e < v->tlb + TLB_SIZE; e++)
        if (e->page == gpa >> PAGE_SHIFT)
            e->free &= ~bits;
}

void tlb_forget_code(struct vcpu *v)
{
    for (struct tlb_entry *e = v->tlb; e < v->tlb + TLB_SIZE; e++)
        e->xtag = 0;
}
