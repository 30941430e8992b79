// SPDX-License-Identifier: GPL-2.0-or-later
#include "mmu.h"
#include "tlb.h"
#include "windows.h"

#include <string.h>

bool mmu_init(struct mmu *mmu, struct vcpu *v, struct phys *phys, struct err *err)
{
    (void)err;
    memset(mmu, 0, sizeof(*mmu));
    mmu->phys = phys;
    mmu->next_asid = 1;
    v->mmu = mmu;
    memset(v->tlb, 0, sizeof(v->tlb));
    tlb_flush(v);
    return true;
}

void mmu_destroy(struct mmu *mmu)
{
    windows_destroy(mmu);
    memset(mmu, 0, sizeof(*mmu));
}

_Noreturn static void raise_pf(struct vcpu *v, gla_t gla, u32 pferr)
{
    v->cr2 = gla;
    vcpu_raise(v, X_PF, pferr);
}

static gpa_t translate(struct vcpu *v, gla_t gla, enum access access, bool user)
{
    gpa_t gpa;
    u32 pferr;

    if (!tlb_translate(v, gla, access, user, &gpa, &pferr))
        raise_pf(v, gla, pferr);
    return gpa;
}

static void note_mmio(struct vcpu *v, gpa_t gpa)
{
    if (!phys_host(v->mmu->phys, gpa))
        v->count.mmio++;
}

static void note_write(struct vcpu *v, gpa_t gpa)
{
    note_mmio(v, gpa);
    if (phys_page(v->mmu->phys, gpa)->flags & PHYS_CODE)
        v->count.code_writes++;
}

// ---- Any length up to a page, in at most two pieces.
void mmu_read(struct vcpu *v, gla_t gla, void *buf, u32 len, bool user)
{
    u32 first = MIN(len, PAGE_SIZE - (gla & ~PAGE_MASK));
    gpa_t a, b = 0;

    if (!len)
        return;
    a = translate(v, gla, ACC_READ, user);
    if (first < len)
        b = translate(v, gla + first, ACC_READ, user);
    note_mmio(v, a);
    phys_read(v->mmu->phys, a, buf, first);
    if (first < len) {
        note_mmio(v, b);
        phys_read(v->mmu->phys, b, (u8 *)buf + first, len - first);
    }
}

void mmu_write(struct vcpu *v, gla_t gla, const void *buf, u32 len, bool user)
{
    u32 first = MIN(len, PAGE_SIZE - (gla & ~PAGE_MASK));
    gpa_t a, b = 0;

    if (!len)
        return;
    a = translate(v, gla, ACC_WRITE, user);
    if (first < len)
        b = translate(v, gla + first, ACC_WRITE, user);
    note_write(v, a);
    phys_write(v->mmu->phys, a, buf, first);
    if (first < len) {
        note_write(v, b);
        phys_write(v->mmu->phys, b, (const u8 *)buf + first, len - first);
    }
}

// ---- Fixed sizes. On a miss within a page a device sees one access of the operand's size.
static u64 read_slow(struct vcpu *v, gla_t gla, unsigned size, bool user)
{
    u64 value = 0;
    gpa_t gpa;

    if ((gla & ~PAGE_MASK) + size > PAGE_SIZE) {
        mmu_read(v, gla, &value, size, user);
        return value;
    }
    gpa = translate(v, gla, ACC_READ, user);
    note_mmio(v, gpa);
    return phys_load(v->mmu->phys, gpa, size);
}

static void write_slow(struct vcpu *v, gla_t gla, u64 value, unsigned size, bool user)
{
    gpa_t gpa;

    if ((gla & ~PAGE_MASK) + size > PAGE_SIZE) {
        mmu_write(v, gla, &value, size, user);
        return;
    }
    gpa = translate(v, gla, ACC_WRITE, user);
    note_write(v, gpa);
    phys_store(v->mmu->phys, gpa, value, size);
}

#define ACCESSORS(bits)                                                                      \
    u##bits mmu_read##bits(struct vcpu *v, gla_t gla, bool user)                             \
    {                                                                                        \
        const u8 *host = tlb_read(v, gla, bits / 8, user);                                   \
        u##bits value;                                                                       \
                                                                                             \
        if (unlikely(!host))                                                                 \
            return read_slow(v, gla, bits / 8, user);                                        \
        memcpy(&value, host, sizeof(value));                                                 \
        return value;                                                                        \
    }                                                                                        \
    void mmu_write##bits(struct vcpu *v, gla_t gla, u##bits value, bool user)                \
    {                                                                                        \
        u8 *host = tlb_write(v, gla, bits / 8, user);                                        \
                                                                                             \
        if (unlikely(!host))                                                                 \
            host = tlb_write_beside(v, gla, bits / 8, user);                                 \
        if (unlikely(!host))                                                                 \
            write_slow(v, gla, value, bits / 8, user);                                       \
        else                                                                                 \
            memcpy(host, &value, sizeof(value));                                             \
    }
ACCESSORS(8)
ACCESSORS(16)
ACCESSORS(32)
ACCESSORS(64)

void mmu_probe(struct vcpu *v, gla_t gla, u32 len, enum access access, bool user)
{
    while (len) {
        u32 n = MIN(len, PAGE_SIZE - (gla & ~PAGE_MASK));
        const u8 *host = access == ACC_WRITE  ? tlb_write(v, gla, 1, user)
                         : access == ACC_READ ? tlb_read(v, gla, 1, user)
                                              : NULL;

        if (!host)
            translate(v, gla, access, user);
        gla += n, len -= n;
    }
}

u8 *mmu_host(struct vcpu *v, gla_t gla, enum access access, bool user)
{
    u8 *host = access == ACC_WRITE ? tlb_write(v, gla, 1, user) : tlb_read(v, gla, 1, user);
    struct phys_page *p;
    gpa_t gpa;

    if (likely(host && access != ACC_FETCH))
        return host;
    gpa = translate(v, gla, access, user);
    p = phys_page(v->mmu->phys, gpa);
    if (!(p->flags & PHYS_READ) ||
        (access == ACC_WRITE && (p->flags & (PHYS_WRITE | PHYS_CODE)) != PHYS_WRITE))
        return NULL;
    return phys_frame_host(v->mmu->phys, p->frame) + (gpa & ~PAGE_MASK);
}

u8 *mmu_host_write(struct vcpu *v, gla_t gla, u32 len, bool user)
{
    u8 *host = tlb_write(v, gla, 1, user);

    return likely(host) ? host : phys_host_write(v->mmu->phys, translate(v, gla, ACC_WRITE, user), len);
}

// ---- Fetch
gpa_t mmu_fetch_gpa(struct vcpu *v, gla_t gla)
{
    gpa_t gpa;

    if (likely(tlb_fetch(v, gla, &gpa)))
        return gpa;
    return translate(v, gla, ACC_FETCH, v->cpl == 3);
}

unsigned mmu_fetch(struct vcpu *v, gla_t gla, u8 *buf, unsigned len, gpa_t *gpa)
{
    unsigned first = MIN(len, PAGE_SIZE - (gla & ~PAGE_MASK));
    const u8 *host = tlb_fetch(v, gla, gpa);
    u32 pferr;
    gpa_t rest;

    if (likely(host)) {
        memcpy(buf, host, first);
    } else {
        *gpa = translate(v, gla, ACC_FETCH, v->cpl == 3);
        phys_read(v->mmu->phys, *gpa, buf, first);
    }
    if (likely(first == len))
        return len;
    host = tlb_fetch(v, gla + first, &rest);
    if (host) {
        memcpy(buf + first, host, len - first);
    } else {
        if (!tlb_translate(v, gla + first, ACC_FETCH, v->cpl == 3, &rest, &pferr))
            return first;
        phys_read(v->mmu->phys, rest, buf + first, len - first);
    }
    return len;
}

// ---- Events. Without windows nobody knows which translations changed: all or those of the
// page.
static void changed(struct vcpu *v, gla_t gla, u32 len)
{
    if (v->mmu->mapping_changed)
        v->mmu->mapping_changed(v->mmu->opaque, gla, len);
}

void mmu_cr3_written(struct vcpu *v)
{
    struct mmu *mmu = v->mmu;
    const struct window *super = mmu->window[0];

    tlb_flush_local(v);
    if (!mmu->windows) {
        changed(v, 0, 0);
        return;
    }
    windows_cr3_written(mmu->windows);
    // The fetches that xtags stand for are recorded in the window they were made in.
    if (mmu->window[0] != super)
        tlb_forget_code(v);
}

void mmu_mode_changed(struct vcpu *v)
{
    tlb_flush(v);
    if (v->mmu->windows)
        windows_mode_changed(v->mmu->windows);
    else
        changed(v, 0, 0);
}

void mmu_invlpg(struct vcpu *v, gla_t gla)
{
    bool large = mmu_large_at(v->mmu, gla);

    v->count.invlpg++;
    tlb_flush_page(v, gla);
    if (v->mmu->windows)
        windows_invlpg(v->mmu->windows, gla);
    else if (large)
        changed(v, gla & ~0x3fffffu, 4u << 20);
    else
        changed(v, gla & PAGE_MASK, PAGE_SIZE);
}

void mmu_cpl_changed(struct vcpu *v)
{
    v->asid = v->cpl == 3 ? v->mmu->asid_user : v->mmu->asid_super;
}

void mmu_flush_all(struct vcpu *v)
{
    tlb_flush(v);
    if (v->mmu->windows)
        windows_flush_all(v->mmu->windows);
    else
        changed(v, 0, 0);
}

void mmu_protect_parts(struct vcpu *v, gpa_t gpa, u64 bits)
{
    if (phys_page(v->mmu->phys, gpa)->flags & PHYS_MIXED)
        tlb_protect_parts(v, phys_a20(v->mmu->phys, gpa), bits);
}

void mmu_protect_code(struct vcpu *v, gpa_t gpa)
{
    struct phys_page *p = phys_page(v->mmu->phys, gpa);

    // Writes to ROM are ignored and those to devices go through the bus: no code changes by
    // them. But ROM may be mapped away (phys_map), which PHYS_CODE tells the engine of.
    if (p->flags & PHYS_CODE || !(p->flags & PHYS_READ))
        return;
    p->flags |= PHYS_CODE;
    if (!(p->flags & PHYS_WRITE))
        return;
    tlb_protect(v, phys_a20(v->mmu->phys, gpa));
    if (v->mmu->windows)
        windows_protect_code(v->mmu->windows, p);
}
