// SPDX-License-Identifier: GPL-2.0-or-later
// Accesses through the software TLB: page crossings, staleness, devices, code pages, fetch.
#include "unit/mmu_guest.h"

#define RW (PTE_P | PTE_W)
#define RWU (RW | PTE_U)

static struct guest *paged(u32 cr4)
{
    struct guest *g = guest_new();
    u32 root;

    g->v->cr4 = cr4;
    root = guest_space(g);
    guest_paging(g, root);
    return g;
}

START_TEST(crossing)
{
    struct guest *g = paged(0);
    struct vcpu *v = g->v;
    u8 buf[PAGE_SIZE];

    guest_map(g, v->cr3, 0x10000, 0x400000 | RW);
    guest_map(g, v->cr3, 0x11000, 0x300000 | RW);
    mmu_write64(v, 0x10ffd, 0x8877665544332211, false);
    ck_assert(mmu_read64(v, 0x10ffd, false) == 0x8877665544332211);
    ck_assert_uint_eq(phys_read32(&g->phys, 0x400ffc), 0x33221100);
    ck_assert_uint_eq(phys_read32(&g->phys, 0x300000), 0x77665544);
    ck_assert_uint_eq(mmu_read16(v, 0x10fff, false), 0x4433);
    // Nothing is written if the second page faults, and CR2 is its first byte.
    guest_map(g, v->cr3, 0x11000, 0x300000 | PTE_P);
    mmu_invlpg(v, 0x11000);
    ck_assert(RAISES(g, mmu_write32(v, 0x10ffe, 0xdeadbeef, false)));
    ck_assert_uint_eq(v->fault.vector, X_PF);
    ck_assert_uint_eq(v->fault.error, PFERR_P | PFERR_W);
    ck_assert_uint_eq(v->cr2, 0x11000);
    ck_assert_uint_eq(phys_read32(&g->phys, 0x400ffc), 0x33221100);
    memset(buf, 1, sizeof(buf));
    ck_assert(RAISES(g, mmu_write(v, 0x10800, buf, sizeof(buf), false)));
    ck_assert_uint_eq(phys_read32(&g->phys, 0x400800), 0);
    // If the first faults, CR2 is the access's first byte.
    guest_map(g, v->cr3, 0x10000, 0);
    mmu_invlpg(v, 0x10abc);
    ck_assert(RAISES(g, mmu_read32(v, 0x10ffe, false)));
    ck_assert_uint_eq(v->cr2, 0x10ffe);
    ck_assert_uint_eq(v->fault.error, 0);
    guest_free(g);
}
END_TEST

START_TEST(wrap)
{
    struct guest *g = paged(0);

    guest_map(g, g->v->cr3, 0xfffff000, 0x400000 | RW);
    guest_map(g, g->v->cr3, 0, 0x300000 | RW);
    mmu_write32(g->v, 0xfffffffe, 0x44332211, false);
    ck_assert_uint_eq(phys_read32(&g->phys, 0x400ffc), 0x22110000);
    ck_assert_uint_eq(phys_read32(&g->phys, 0x300000), 0x4433);
    ck_assert_uint_eq(mmu_read32(g->v, 0xfffffffe, false), 0x44332211);
    mmu_probe(g->v, 0xfffff800, PAGE_SIZE, ACC_WRITE, false);
    guest_free(g);
}
END_TEST

// A translation may stay until it is flushed, and must be gone after.
START_TEST(stale)
{
    struct guest *g = paged(CR4_PSE);
    struct vcpu *v = g->v;
    u32 root = v->cr3;

    phys_write32(&g->phys, 0x400000, 4);
    phys_write32(&g->phys, 0x500000, 5);
    guest_map(g, root, 0x10000, 0x400000 | RW);
    ck_assert_uint_eq(mmu_read32(v, 0x10000, false), 4);
    guest_map(g, root, 0x10000, 0x500000 | RW);
    ck_assert_uint_eq(mmu_read32(v, 0x10000, false), 4);
    mmu_invlpg(v, 0x20000); // another page
    ck_assert_uint_eq(mmu_read32(v, 0x10000, false), 4);
    mmu_invlpg(v, 0x10fff);
    ck_assert_uint_eq(mmu_read32(v, 0x10000, false), 5);
    guest_map(g, root, 0x10000, 0x400000 | RW);
    mmu_cr3_written(v);
    ck_assert_uint_eq(mmu_read32(v, 0x10000, false), 4);
    // Rights added need no flush.
    guest_map(g, root, 0x10000, 0);
    mmu_invlpg(v, 0x10000);
    ck_assert(RAISES(g, mmu_read32(v, 0x10000, false)));
    guest_map(g, root, 0x10000, 0x500000 | PTE_P);
    ck_assert_uint_eq(mmu_read32(v, 0x10000, false), 5);
    ck_assert(RAISES(g, mmu_write32(v, 0x10000, 6, false)));
    guest_map(g, root, 0x10000, 0x500000 | RW);
    mmu_write32(v, 0x10000, 6, false);
    ck_assert_uint_eq(phys_read32(&g->phys, 0x500000), 6);
    guest_free(g);
}
END_TEST

// Global translations outlive a CR3 write; nothing else may, whatever was cached in between.
START_TEST(stale_global)
{
    struct guest *g = paged(CR4_PGE);
    struct vcpu *v = g->v;
    u32 root = v->cr3;

    for (u32 i = 0; i < 512; i++) {
        phys_write32(&g->phys, 0x400000 + (i << 12), i);
        phys_write32(&g->phys, 0x800000 + (i << 12), 10000 + i);
    }
    for (u32 round = 0; round < 3; round++) {
        u32 n = round == 1 ? 512 : 40, old = round & 1 ? 0x800000 : 0x400000;

        for (u32 i = 0; i < n; i++)
            guest_map(g, root, 0x10000000 + (i << 12),
                      (old + (i << 12)) | RWU | (i & 1 ? PTE_G : 0));
        v->cr4 &= ~CR4_PGE;
        mmu_mode_changed(v);
        v->cr4 |= CR4_PGE;
        mmu_mode_changed(v);
        for (u32 i = 0; i < n; i++)
            ck_assert_uint_eq(mmu_read32(v, 0x10000000 + (i << 12), false),
                              i + (round & 1 ? 10000 : 0));
        for (u32 i = 0; i < n; i++)
            guest_map(g, root, 0x10000000 + (i << 12),
                      ((old ^ 0xc00000) + (i << 12)) | RWU | (i & 1 ? PTE_G : 0));
        mmu_cr3_written(v);
        for (u32 i = 0; i < n; i++) {
            bool kept = i & 1 && n == 40;
            u32 value = mmu_read32(v, 0x10000000 + (i << 12), false);

            // With too many to remember, all go.
            ck_assert_uint_eq(value, i + ((round & 1) == kept ? 10000 : 0));
        }
        mmu_invlpg(v, 0x10001000);
        ck_assert_uint_eq(mmu_read32(v, 0x10001000, false), 1 + (round & 1 ? 0 : 10000));
    }
    guest_free(g);
}
END_TEST

START_TEST(stale_large)
{
    struct guest *g = paged(CR4_PSE);
    struct vcpu *v = g->v;
    u32 root = v->cr3;

    for (u32 k = 0; k < 2; k++)
        for (u32 i = 0; i < 1024; i += 10)
            phys_write32(&g->phys, 0x800000 + (k << 22) + (i << 12), k * 10000 + i);
    phys_write32(&g->phys, root + 4 * 5, 0x800000 | RW | PTE_PS);
    for (u32 i = 0; i < 1024; i += 10)
        ck_assert_uint_eq(mmu_read32(v, 0x1400000 + (i << 12), false), i);
    phys_write32(&g->phys, root + 4 * 5, 0xc00000 | RW | PTE_PS);
    ck_assert_uint_eq(mmu_read32(v, 0x1400000, false), 0);
    // One INVLPG anywhere in the large page drops all of it.
    mmu_invlpg(v, 0x1567890);
    for (u32 i = 0; i < 1024; i += 10)
        ck_assert_uint_eq(mmu_read32(v, 0x1400000 + (i << 12), false), 10000 + i);
    guest_free(g);
}
END_TEST

START_TEST(privilege)
{
    struct guest *g = paged(0);
    struct vcpu *v = g->v;

    guest_map(g, v->cr3, 0x10000, 0x400000 | RW);
    mmu_write32(v, 0x10000, 1, false);
    // The supervisor's entry in the TLB must not serve the user.
    ck_assert(RAISES(g, mmu_read32(v, 0x10000, true)));
    ck_assert_uint_eq(v->fault.error, PFERR_P | PFERR_U);
    ck_assert(RAISES(g, mmu_write32(v, 0x10000, 1, true)));
    ck_assert_uint_eq(v->fault.error, PFERR_P | PFERR_U | PFERR_W);
    ck_assert(RAISES(g, mmu_host(v, 0x10000, ACC_WRITE, true)));
    ck_assert(RAISES(g, mmu_probe(v, 0x10000, 1, ACC_READ, true)));
    // WP: a read-only user page, written by the supervisor.
    guest_map(g, v->cr3, 0x11000, 0x401000 | PTE_P | PTE_U);
    ck_assert(RAISES(g, mmu_write8(v, 0x11000, 1, false)));
    v->cr0 &= ~CR0_WP;
    mmu_mode_changed(v);
    mmu_write8(v, 0x11000, 1, false);
    ck_assert(RAISES(g, mmu_write8(v, 0x11000, 1, true)));
    v->cr0 |= CR0_WP;
    mmu_mode_changed(v);
    ck_assert(RAISES(g, mmu_write8(v, 0x11000, 1, false)));
    guest_free(g);
}
END_TEST

START_TEST(dirty)
{
    struct guest *g = paged(0);
    struct vcpu *v = g->v;
    gpa_t pte = guest_pte(g, v->cr3, 0x10000);

    guest_map(g, v->cr3, 0x10000, 0x400000 | RW);
    mmu_read32(v, 0x10000, false);
    ck_assert_uint_eq(phys_read32(&g->phys, pte) & (PTE_A | PTE_D), PTE_A);
    mmu_write32(v, 0x10000, 1, false);
    ck_assert_uint_eq(phys_read32(&g->phys, pte) & (PTE_A | PTE_D), PTE_A | PTE_D);
    // Cleared and flushed, the next write sets it again.
    phys_write32(&g->phys, pte, 0x400000 | RW);
    mmu_invlpg(v, 0x10000);
    mmu_read32(v, 0x10000, false);
    ck_assert_uint_eq(phys_read32(&g->phys, pte) & PTE_D, 0);
    mmu_host(v, 0x10000, ACC_WRITE, false);
    ck_assert_uint_eq(phys_read32(&g->phys, pte) & PTE_D, PTE_D);
    guest_free(g);
}
END_TEST

struct device {
    unsigned writes, reads, size;
};

static u64 dev_read(void *opaque, u32 addr, unsigned size)
{
    struct device *d = opaque;

    d->reads++;
    d->size = size;
    return addr + 1;
}

static void dev_write(void *opaque, u32 addr, u64 value, unsigned size)
{
    struct device *d = opaque;

    (void)addr;
    (void)value;
    d->writes++;
    d->size = size;
}

START_TEST(devices)
{
    static const struct bus_ops ops = { dev_read, dev_write, 4 };
    struct guest *g = paged(0);
    struct vcpu *v = g->v;
    struct device d = { 0 };
    struct err err;

    ck_assert(bus_add(&g->bus, BUS_MMIO, 0xe0000000, 0x1000, &ops, &d, "d", &err));
    guest_map(g, v->cr3, 0x10000, 0xe0000000 | RW);
    guest_map(g, v->cr3, 0x11000, 0x400000 | RW);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_uint_eq(mmu_read32(v, 0x10020, false), 0x21);
        ck_assert_uint_eq(d.reads, i); // never cached
    }
    mmu_write16(v, 0x10020, 7, false);
    ck_assert_uint_eq(d.size, 2);
    ck_assert_ptr_null(mmu_host(v, 0x10020, ACC_READ, false));
    // Half device, half memory.
    mmu_write32(v, 0x10ffe, 0xaabbccdd, false);
    ck_assert_uint_eq(d.writes, 2);
    ck_assert_uint_eq(phys_read32(&g->phys, 0x400000), 0xaabb);
    // The device half is not touched when the memory half faults.
    guest_map(g, v->cr3, 0x11000, 0);
    mmu_invlpg(v, 0x11000);
    ck_assert(RAISES(g, mmu_write32(v, 0x10ffe, 1, false)));
    ck_assert_uint_eq(d.writes, 2);
    guest_free(g);
}
END_TEST

static unsigned code_writes;

static void code_written(void *opaque, gpa_t gpa, u32 len)
{
    struct guest *g = opaque;

    ck_assert_uint_eq(phys_read32(&g->phys, gpa), 0); // before the write
    ck_assert_uint_gt(len, 0);
    phys_page(&g->phys, gpa)->flags &= ~PHYS_CODE;
    code_writes++;
}

START_TEST(code_page)
{
    struct guest *g = paged(0);
    struct vcpu *v = g->v;

    g->phys.code_write = code_written;
    g->phys.opaque = g;
    guest_map(g, v->cr3, 0x10000, 0x400000 | RW);
    guest_map(g, v->cr3, 0x20000, 0x400000 | RW); // an alias
    mmu_write32(v, 0x10000, 0, false);
    mmu_write32(v, 0x20000, 0, false);
    mmu_protect_code(v, 0x400abc);
    ck_assert_ptr_nonnull(mmu_host(v, 0x10000, ACC_READ, false));
    ck_assert_ptr_null(mmu_host(v, 0x10000, ACC_WRITE, false));
    mmu_write32(v, 0x20000, 5, false);
    ck_assert_uint_eq(code_writes, 1);
    ck_assert_uint_eq(mmu_read32(v, 0x10000, false), 5);
    mmu_write32(v, 0x10000, 6, false);
    ck_assert_uint_eq(code_writes, 1);
    ck_assert_ptr_nonnull(mmu_host(v, 0x10000, ACC_WRITE, false));
    guest_free(g);
}
END_TEST

START_TEST(fetch)
{
    struct guest *g = paged(CR4_PAE);
    struct vcpu *v = g->v;
    u8 buf[15];
    gpa_t gpa;

    v->efer = EFER_NXE;
    mmu_mode_changed(v);
    guest_map(g, v->cr3, 0x10000, 0x400000 | RWU);
    guest_map(g, v->cr3, 0x11000, 0x300000 | RWU | PTE_NX);
    phys_write32(&g->phys, 0x400ffc, 0x04030201);
    ck_assert_uint_eq(mmu_fetch(v, 0x10ff0, buf, 15, &gpa), 15);
    ck_assert(gpa == 0x400ff0);
    // Reading the data page must not make it executable.
    mmu_read32(v, 0x11000, false);
    ck_assert_uint_eq(mmu_fetch(v, 0x10ffc, buf, 15, &gpa), 4);
    ck_assert_uint_eq(buf[3], 4);
    ck_assert(RAISES(g, mmu_fetch(v, 0x11000, buf, 15, &gpa)));
    ck_assert_uint_eq(v->fault.error, PFERR_P | PFERR_I);
    ck_assert(RAISES(g, mmu_fetch_gpa(v, 0x11000)));
    ck_assert(RAISES(g, mmu_probe(v, 0x11000, 1, ACC_FETCH, true)));
    ck_assert_uint_eq(v->fault.error, PFERR_P | PFERR_I | PFERR_U);
    guest_map(g, v->cr3, 0x11000, 0x300000 | RWU);
    mmu_invlpg(v, 0x11000);
    ck_assert_uint_eq(mmu_fetch(v, 0x10ffc, buf, 15, &gpa), 15);
    guest_cpl(g, 3);
    ck_assert(mmu_fetch_gpa(v, 0x11010) == 0x300010);
    guest_map(g, v->cr3, 0x12000, 0x300000 | RW);
    ck_assert(RAISES(g, mmu_fetch_gpa(v, 0x12000)));
    ck_assert_uint_eq(v->fault.error, PFERR_P | PFERR_I | PFERR_U);
    guest_free(g);
}
END_TEST

// Thousands of CR3 writes use up the address-space numbers several times.
START_TEST(asids)
{
    struct guest *g = paged(0);
    struct vcpu *v = g->v;
    u32 other = guest_space(g), root = v->cr3;

    guest_map(g, root, 0x10000, 0x400000 | RWU);
    guest_map(g, other, 0x10000, 0x500000 | RWU);
    phys_write32(&g->phys, 0x400000, 4);
    phys_write32(&g->phys, 0x500000, 5);
    for (unsigned i = 0; i < 10000; i++) {
        guest_enter(g, i & 1 ? root : other);
        ck_assert_uint_eq(mmu_read32(v, 0x10000, i & 2), i & 1 ? 4 : 5);
        ck_assert_uint_lt(v->mmu->asid_super, TLB_ASID_NONE);
        ck_assert_uint_lt(v->mmu->asid_user, TLB_ASID_NONE);
        ck_assert_uint_ne(v->asid, 0);
    }
    guest_free(g);
}
END_TEST

GUEST_TESTS("shadow-mmu: accesses", crossing, wrap, stale, stale_global, stale_large, privilege,
            dirty, devices, code_page, fetch, asids)
