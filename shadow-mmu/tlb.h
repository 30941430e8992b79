// SPDX-License-Identifier: GPL-2.0-or-later
// The software TLB (struct vcpu.tlb): the look-ups that hit, inline for the interpreter's and
// the fetch's hot paths, and the fill behind them.
//
// Invariants
//  1. An rtag, wtag or xtag that matches means that the page was readable, writable or
//     executable by that address space and privilege when it was filled, that A (and D, for
//     wtag) is set in the guest's tables, and that the memfd answers: no MMIO, and for wtag no
//     ROM and no PHYS_CODE.
//  2. With windows, an xtag that matches means also that the fetch is recorded
//      (windows_note_fetch).
//  3. `free` is 0 but for pages with PHYS_CODE that could be written otherwise, and has no bit of
//     bytes that hold translated code.
//  4. An asid names one address space and privilege until the whole TLB is cleared.
#ifndef RING3_SHADOW_MMU_TLB_H
#define RING3_SHADOW_MMU_TLB_H

#include "mmu.h"

static inline struct tlb_entry *tlb_slot(struct vcpu *v, gla_t gla)
{
    return &v->tlb[gla >> PAGE_SHIFT & (TLB_SIZE - 1)];
}

static inline u32 tlb_tag(const struct vcpu *v, gla_t gla, bool user)
{
    return (gla & PAGE_MASK) | (user ? v->mmu->asid_user : v->mmu->asid_super);
}

// The host address of [gla, gla+size) if the TLB has it and it lies in one page, else NULL. size
// is a power of two.
static inline u8 *tlb_read(struct vcpu *v, gla_t gla, u32 size, bool user)
{
    const struct tlb_entry *e = tlb_slot(v, gla);

    if (likely(e->rtag == tlb_tag(v, gla, user) && (gla & ~PAGE_MASK) <= PAGE_SIZE - size))
        return (u8 *)(e->addend + gla);
    return NULL;
}

static inline u8 *tlb_write(struct vcpu *v, gla_t gla, u32 size, bool user)
{
    const struct tlb_entry *e = tlb_slot(v, gla);

    if (likely(e->wtag == tlb_tag(v, gla, user) && (gla & ~PAGE_MASK) <= PAGE_SIZE - size))
        return (u8 *)(e->addend + gla);
    return NULL;
}

// The same where translated code lies beside it in the page.
static inline u8 *tlb_write_beside(struct vcpu *v, gla_t gla, u32 size, bool user)
{
    const struct tlb_entry *e = tlb_slot(v, gla);
    u32 at = gla & ~PAGE_MASK;

    if (e->rtag == tlb_tag(v, gla, user) && at <= PAGE_SIZE - size && e->free >> at / 64 & 1 &&
        e->free >> (at + size - 1) / 64 & 1)
        return (u8 *)(e->addend + gla);
    return NULL;
}

// The host address of code at gla for the current CPL, and its physical address; NULL if the TLB
// has no such entry. Valid to the end of the page.
static inline const u8 *tlb_fetch(struct vcpu *v, gla_t gla, gpa_t *gpa)
{
    const struct tlb_entry *e = tlb_slot(v, gla);

    if (unlikely(e->xtag != ((gla & PAGE_MASK) | v->asid)))
        return NULL;
    *gpa = (gpa_t)e->page << PAGE_SHIFT | (gla & ~PAGE_MASK);
    return (const u8 *)(e->addend + gla);
}

// Translates by the guest's tables and fills the TLB. False, with the error code, if the access
// faults.
bool tlb_translate(struct vcpu *v, gla_t gla, enum access access, bool user, gpa_t *gpa,
                   u32 *pferr);

// Drops everything, by new asids.
void tlb_flush(struct vcpu *v);
// Drops everything but what is global and the supervisor's, as a CR3 write does.
void tlb_flush_local(struct vcpu *v);
// Drops one page, and the whole large page if it may lie in one.
void tlb_flush_page(struct vcpu *v, gla_t gla);
// Takes the right to write to the physical page at gpa from all entries (invariant 1).
void tlb_protect(struct vcpu *v, gpa_t gpa);
// Takes the right to write to parts of a page with code, which get code: `bits` as in `free`.
void tlb_protect_parts(struct vcpu *v, gpa_t gpa, u64 bits);
// Takes the right to fetch from all entries.
void tlb_forget_code(struct vcpu *v);

#endif
