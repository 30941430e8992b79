// SPDX-License-Identifier: GPL-2.0-or-later
#include "unit/mmu_guest.h"

struct device {
    u32 addr[16];
    unsigned size[16], reads, writes;
    u64 value;
};

static u64 dev_read(void *opaque, u32 addr, unsigned size)
{
    struct device *d = opaque;

    d->addr[d->reads & 15] = addr;
    d->size[d->reads++ & 15] = size;
    return 0x8877665544332211ull >> (8 * (addr & 3));
}

static void dev_write(void *opaque, u32 addr, u64 value, unsigned size)
{
    struct device *d = opaque;

    d->addr[d->writes & 15] = addr;
    d->size[d->writes++ & 15] = size;
    d->value = value;
}

static const struct bus_ops dev_ops = { dev_read, dev_write, 4 };

START_TEST(bad_sizes)
{
    static const u64 sizes[] = { 0, 4096, (1 << 20) - 4096, (1 << 20) + 1, 0xe0001000, 1ull << 33 };
    struct bus bus;
    struct phys phys;
    struct err err;

    bus_init(&bus);
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        ck_assert(!phys_init(&phys, sizes[i], &bus, &err));
        ck_assert_int_eq(err.status, EXIT_USAGE);
    }
    ck_assert(phys_init(&phys, 1 << 20, &bus, &err));
    phys_destroy(&phys);
    ck_assert(phys_init(&phys, 0xe0000000, &bus, &err));
    ck_assert_ptr_nonnull(phys_host(&phys, 0xdffffffc));
    ck_assert_ptr_null(phys_host(&phys, 0xe0000000));
    phys_write32(&phys, 0xdffffffc, 77);
    ck_assert_uint_eq(phys_read32(&phys, 0xdffffffc), 77);
    phys_destroy(&phys);
}
END_TEST

START_TEST(edges)
{
    struct guest *g = guest_new();
    struct phys *p = &g->phys;

    // Memory ends and begins where it should.
    ck_assert_ptr_nonnull(phys_host(p, 0));
    ck_assert_ptr_nonnull(phys_host(p, 0x9ffff));
    ck_assert_ptr_null(phys_host(p, 0xa0000));
    ck_assert_ptr_null(phys_host(p, 0xbffff));
    ck_assert_ptr_nonnull(phys_host(p, 0xc0000));
    ck_assert_ptr_nonnull(phys_host(p, GUEST_RAM - 1));
    ck_assert_ptr_null(phys_host(p, GUEST_RAM));
    ck_assert_ptr_null(phys_host(p, 1ull << 32));
    ck_assert_uint_eq(phys_read32(p, 1ull << 32), ~0u);
    ck_assert(phys_read64(p, 1ull << 35) == ~0ull);
    phys_write32(p, 1ull << 32, 1); // ignored
    ck_assert_uint_eq(phys_read32(p, 0), 0);
    // Accesses run over the edges, part memory, part nothing.
    phys_write32(p, GUEST_RAM - 2, 0x12345678);
    ck_assert_uint_eq(phys_read32(p, GUEST_RAM - 2), 0xffff5678);
    phys_write64(p, 0x9fffe, 0x1122334455667788);
    ck_assert(phys_read64(p, 0x9fffe) == 0xffffffffffff7788);
    ck_assert_uint_eq(phys_read32(p, 0xfffffffe), ~0u);
    guest_free(g);
}
END_TEST

START_TEST(devices)
{
    struct guest *g = guest_new();
    struct device d = { 0 };
    struct err err;
    u8 buf[11];

    ck_assert(bus_add(&g->bus, BUS_MMIO, 0xa0000, 0x20000, &dev_ops, &d, "d", &err));
    ck_assert_uint_eq(phys_read32(&g->phys, 0xa0004), 0x44332211);
    ck_assert_uint_eq(d.size[0], 4);
    ck_assert_uint_eq(d.addr[0], 4);
    // DMA: naturally aligned pieces.
    d.reads = 0;
    phys_read(&g->phys, 0xa0001, buf, sizeof(buf));
    ck_assert_uint_eq(d.reads, 4);
    ck_assert_uint_eq(d.size[0], 1);
    ck_assert_uint_eq(d.size[1], 2);
    ck_assert_uint_eq(d.size[2], 4);
    ck_assert_uint_eq(d.size[3], 4);
    // From RAM into the device.
    memset(buf, 0x5a, sizeof(buf));
    phys_write(&g->phys, 0x9fffc, buf, 8);
    ck_assert_uint_eq(d.writes, 1);
    ck_assert_uint_eq(d.value, 0x5a5a5a5a);
    ck_assert_uint_eq(phys_read32(&g->phys, 0x9fffc), 0x5a5a5a5a);
    guest_free(g);
}
END_TEST

START_TEST(rom)
{
    struct guest *g = guest_new();
    u8 image[5000], *at, *big;
    u32 n = 0;

    memset(image, 7, sizeof(image));
    at = phys_add_rom(&g->phys, 0xffffe000, image, sizeof(image));
    ck_assert_ptr_nonnull(at);
    ck_assert_uint_eq(phys_read32(&g->phys, 0xffffe000), 0x07070707);
    phys_write32(&g->phys, 0xffffe000, 0); // ignored
    ck_assert_uint_eq(phys_read32(&g->phys, 0xffffe000), 0x07070707);
    ck_assert_uint_eq(phys_read32(&g->phys, 0xfffff000 + 5000 - 4096), 0);
    at[0] = 9;
    ck_assert_uint_eq(phys_read32(&g->phys, 0xffffe000), 0x07070709);
    // The space has an end, and a ROM can't run over the top.
    big = calloc(1, 1 << 20);
    ck_assert_ptr_null(phys_add_rom(&g->phys, 0xfffff000, big, 8192));
    ck_assert_ptr_null(phys_add_rom(&g->phys, 0xf0000800, big, 4096));
    while (n < 100 && (at = phys_add_rom(&g->phys, 0xf0000000 + (n << 20), big, 1 << 20))) {
        ck_assert_ptr_eq(phys_host(&g->phys, 0xf0000000 + (n << 20)), at);
        n++;
    }
    ck_assert_uint_ge(n, 3);
    ck_assert_uint_lt(n, 100);
    ck_assert_ptr_null(phys_host(&g->phys, 0xf0000000 + (n << 20)));
    free(big);
    guest_free(g);
}
END_TEST

static void code_written(void *opaque, gpa_t gpa, u32 len)
{
    struct guest *g = opaque;

    phys_page(&g->phys, gpa)->flags &= ~PHYS_CODE;
    g->next_table = gpa + len; // the end of the last report
}

START_TEST(code_pages)
{
    struct guest *g = guest_new();

    g->phys.code_write = code_written;
    g->phys.opaque = g;
    mmu_protect_code(g->v, 0x5000);
    ck_assert(phys_page(&g->phys, 0x5000)->flags & PHYS_CODE);
    phys_write32(&g->phys, 0x4ffc, 1);
    ck_assert_uint_eq(g->next_table, GUEST_TABLES);
    phys_write32(&g->phys, 0x4ffe, 1);
    ck_assert_uint_eq(g->next_table, 0x5002);
    ck_assert(!(phys_page(&g->phys, 0x5000)->flags & PHYS_CODE));
    // Remapping a page is as good as writing it.
    mmu_protect_code(g->v, 0xc0000);
    phys_map(&g->phys, 0xc0000, 0x4000, 0x10, PHYS_READ);
    ck_assert_uint_eq(g->next_table, 0xc1000);
    ck_assert_ptr_eq(phys_host(&g->phys, 0xc1234), g->phys.mem + 0x11234);
    // Neither ROM nor devices can be written, so they need no protection.
    mmu_protect_code(g->v, 0xa0000);
    ck_assert(!(phys_page(&g->phys, 0xa0000)->flags & PHYS_CODE));
    guest_free(g);
}
END_TEST

START_TEST(a20)
{
    struct guest *g = guest_new();

    phys_write32(&g->phys, 0x100010, 1);
    phys_write32(&g->phys, 0x10, 2);
    g->phys.a20_mask = ~0x100000u;
    ck_assert_uint_eq(phys_read32(&g->phys, 0x100010), 2);
    ck_assert_uint_eq(mmu_read32(g->v, 0x300010, false), phys_read32(&g->phys, 0x200010));
    phys_write32(&g->phys, 0x100010, 3);
    g->phys.a20_mask = ~0u;
    mmu_flush_all(g->v);
    ck_assert_uint_eq(phys_read32(&g->phys, 0x10), 3);
    ck_assert_uint_eq(phys_read32(&g->phys, 0x100010), 1);
    guest_free(g);
}
END_TEST

GUEST_TESTS("shadow-mmu: physical map", bad_sizes, edges, devices, rom, code_pages, a20)
