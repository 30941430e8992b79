// SPDX-License-Identifier: GPL-2.0-or-later
// Windows, really read and written: a SIGSEGV handler stands in for the engine's, and every
// access that does not fault on the host must give what the guest's tables say.
#include "unit/mmu_window.h"

#include <sys/mman.h>

START_TEST(identity)
{
    struct guest *g = paged(0, NULL);
    struct vcpu *v = g->v;
    u32 value = 3, pferr;

    v->cr0 &= ~CR0_PG;
    mmu_mode_changed(v);
    for (u32 at = 0x200000; at < GUEST_RAM; at += 0x101000)
        ck_assert_uint_eq(page_at(g, at), at);
    ck_assert_uint_le(windows_stats(&g->mmu)->fills, GUEST_RAM >> 22);
    ck_assert_int_eq(access_word(g, 0x2000, true, &value, &pferr), WINDOW_FILLED);
    ck_assert_uint_eq(phys_read32(&g->phys, 0x2000), 3);
    ck_assert_int_eq(access_word(g, 0xa0000, true, &value, &pferr), WINDOW_NOT_PLAIN);
    ck_assert_int_eq(access_word(g, GUEST_RAM, false, &value, &pferr), WINDOW_NOT_PLAIN);
    // The same window serves CPL 3 while paging is off.
    guest_cpl(g, 3);
    ck_assert(mapped(g, 0x2000, true));
    check_maps(g);
    // A20: the second megabyte is the first.
    g->phys.a20_mask = ~0x100000u;
    mmu_flush_all(v);
    ck_assert(!mapped(g, 0x2000, false));
    ck_assert_uint_eq(page_at(g, 0x301000), 0x201000);
    ck_assert_int_eq(access_word(g, 0x102000, false, &value, &pferr), WINDOW_FILLED);
    ck_assert_uint_eq(value, 3);
    check_maps(g);
    guest_free(g);
}
END_TEST

// Each permission combination of a page, by each privilege: a direct access succeeds exactly
// when the walk says so, and what the window then lets through later is no more than that.
static void permissions(u32 cr4)
{
    struct guest *g = paged(cr4, NULL);
    struct vcpu *v = g->v;
    u32 root = v->cr3, n = 0;

    for (u32 bits = 0; bits < 64; bits++) {
        for (u32 k = 0; k < 8; k++, n++) {
            bool user = k & 1, write = k & 2, wp = k & 4, ok, super_on_user;
            gla_t gla = 0x10000000 + (n % 512 << 13);
            u32 value = 77, pferr, want;
            enum window_fault found;
            struct walk w;
            u64 entry = (bits & 7) | (bits & 8 ? PTE_A : 0) | (bits & 16 ? PTE_D : 0) |
                        (bits & 32 ? PTE_G : 0) | (0x400000 + (n % 512 << 12));

            v->cr0 = CR0_PE | CR0_PG | (wp ? CR0_WP : 0);
            guest_map(g, root, gla, entry);
            mmu_mode_changed(v);
            guest_cpl(g, user ? 3 : 0);
            found = access_word(g, gla, write, &value, &pferr);
            ok = (bits & 1) && (!user || bits & 4) && (!write || bits & 2 || (!user && !wp));
            super_on_user = ok && !user && bits & 4;
            want = super_on_user ? WINDOW_USER_FROM_SUPER : ok ? WINDOW_FILLED : WINDOW_GUEST_PF;
            ck_assert_msg(found == want, "bits %x k %x: %d, want %d", bits, k, found, want);
            entry = guest_get(g, guest_pte(g, root, gla));
            if (ok)
                ck_assert((entry & PTE_A) && (!write || entry & PTE_D));
            if (found == WINDOW_GUEST_PF)
                ck_assert_uint_eq(pferr, (bits & 1) | (write ? PFERR_W : 0) |
                                             (user ? PFERR_U : 0));
            // Whatever is mapped now is no more than the entry allows.
            ck_assert(walk_probe(v, &g->phys, gla, &w) == (bits & 1));
            if (mapped(g, gla, false))
                ck_assert(ok && entry & PTE_A);
            if (mapped(g, gla, true))
                ck_assert(entry & PTE_D && walk_allows(v, &w, ACC_WRITE, user));
            // And nothing of it for the other privilege.
            guest_cpl(g, user ? 0 : 3);
            ck_assert(!mapped(g, gla, false) || !(v->cr0 & CR0_PG));
        }
    }
    check_maps(g);
    guest_free(g);
}

START_TEST(permissions_32) { permissions(CR4_PGE); }
END_TEST
START_TEST(permissions_pae) { permissions(CR4_PGE | CR4_PAE); }
END_TEST

START_TEST(staleness)
{
    struct guest *g = paged(CR4_PGE, NULL);
    struct vcpu *v = g->v;
    u32 root = v->cr3, value = 1, pferr;
    gla_t gla = 0xc0010000;

    guest_map(g, root, gla, 0x400000 | RW);
    ck_assert_uint_eq(page_at(g, gla), 0x400000);
    ck_assert(!mapped(g, gla, true)); // D = 0: the first write must be seen
    ck_assert_int_eq(access_word(g, gla, true, &value, &pferr), WINDOW_FILLED);
    ck_assert(guest_get(g, guest_pte(g, root, gla)) & PTE_D);
    guest_map(g, root, gla, 0x500000 | RW);
    ck_assert_uint_eq(page_at(g, gla), 0x400000);
    mmu_invlpg(v, gla + 5);
    ck_assert_uint_eq(page_at(g, gla), 0x500000);
    guest_map(g, root, gla, 0x400000 | RW);
    mmu_cr3_written(v);
    ck_assert_uint_eq(page_at(g, gla), 0x400000);
    // A cleared, D cleared, W taken: each must be noticed at a flush.
    ck_assert_int_eq(access_word(g, gla, true, &value, &pferr), WINDOW_FILLED);
    guest_map(g, root, gla, 0x400000 | RW | PTE_D);
    mmu_cr3_written(v);
    ck_assert(!mapped(g, gla, false));
    ck_assert_int_eq(access_word(g, gla, true, &value, &pferr), WINDOW_FILLED);
    guest_map(g, root, gla, 0x400000 | RW | PTE_A);
    mmu_cr3_written(v);
    ck_assert(mapped(g, gla, false) && !mapped(g, gla, true));
    ck_assert_int_eq(access_word(g, gla, true, &value, &pferr), WINDOW_FILLED);
    guest_map(g, root, gla, 0x400000 | PTE_P | PTE_A | PTE_D);
    mmu_cr3_written(v);
    ck_assert(mapped(g, gla, false) && !mapped(g, gla, true));
    ck_assert_int_eq(access_word(g, gla, true, &value, &pferr), WINDOW_GUEST_PF);
    // Software bits don't matter.
    guest_map(g, root, gla, 0x400000 | PTE_P | PTE_A | PTE_D | 0xe00);
    mmu_cr3_written(v);
    ck_assert(mapped(g, gla, false));
    guest_map(g, root, gla, 0);
    mmu_cr3_written(v);
    ck_assert(!mapped(g, gla, false));
    // Global pages outlive CR3 but not INVLPG or a change of CR4.PGE.
    guest_map(g, root, gla, 0x400000 | RW | PTE_G);
    ck_assert_uint_eq(page_at(g, gla), 0x400000);
    guest_map(g, root, gla, 0x500000 | RW | PTE_G);
    mmu_cr3_written(v);
    ck_assert_uint_eq(page_at(g, gla), 0x400000);
    v->cr4 &= ~CR4_PGE;
    mmu_mode_changed(v);
    ck_assert_uint_eq(page_at(g, gla), 0x500000);
    check_maps(g);
    guest_free(g);
}
END_TEST

// A directory entry changes: all of its pages go, at a flush or at the INVLPG of any of them.
START_TEST(directory)
{
    struct guest *g = paged(CR4_PSE, NULL);
    struct vcpu *v = g->v;
    u32 root = v->cr3, table;

    for (u32 i = 0; i < 40; i++)
        guest_map(g, root, 0xd0000000 + (i << 12), (0x400000 + (i << 13)) | RW);
    for (u32 i = 0; i < 40; i++)
        ck_assert_uint_eq(page_at(g, 0xd0000000 + (i << 12)), 0x400000 + (i << 13));
    table = guest_table(g);
    phys_write32(&g->phys, root + 4 * 0x340, table | RW);
    phys_write32(&g->phys, table, 0x600000 | RW);
    mmu_cr3_written(v);
    ck_assert_uint_eq(page_at(g, 0xd0000000), 0x600000);
    ck_assert(!mapped(g, 0xd0001000, false));
    // From a table to a large page and back, with the guest flushing or not.
    phys_write32(&g->phys, root + 4 * 0x340, 0x800000 | RW | PTE_PS);
    ck_assert_uint_eq(page_at(g, 0xd0005000), 0x805000);
    ck_assert_uint_eq(page_at(g, 0xd0000000), 0x800000);
    phys_write32(&g->phys, root + 4 * 0x340, table | RW);
    mmu_invlpg(v, 0xd0000000);
    ck_assert_uint_eq(page_at(g, 0xd0000000), 0x600000);
    ck_assert(!mapped(g, 0xd0005000, false));
    check_maps(g);
    guest_free(g);
}
END_TEST

static void large(u32 cr4)
{
    struct guest *g = paged(cr4, NULL);
    struct vcpu *v = g->v;
    u32 root = v->cr3, size = cr4 & CR4_PAE ? 2u << 20 : 4u << 20, value = 5, pferr;
    gla_t gla = 0xc0800000;
    const struct window_stats *stat = windows_stats(&g->mmu);
    u64 fills = stat->fills;

    guest_put(g, guest_pde(g, root, gla), 0x1000000 | RW | PTE_PS);
    for (u32 at = 0; at < size; at += 0x3000)
        ck_assert_uint_eq(page_at(g, gla + at), 0x1000000 + at);
    ck_assert_uint_eq(stat->fills, fills + 1);
    check_maps(g);
    // D was 0: one write makes all of it writable.
    ck_assert(!mapped(g, gla, true));
    ck_assert_int_eq(access_word(g, gla + 0x10, true, &value, &pferr), WINDOW_FILLED);
    ck_assert(guest_get(g, guest_pde(g, root, gla)) & PTE_D);
    ck_assert(mapped(g, gla + size - PAGE_SIZE, true));
    check_maps(g);
    mmu_cr3_written(v);
    ck_assert(mapped(g, gla, true));
    // Code in the middle.
    mmu_protect_code(v, 0x1005000);
    ck_assert(mapped(g, gla + 0x4000, true) && !mapped(g, gla + 0x5000, true));
    ck_assert(mapped(g, gla + 0x5000, false));
    ck_assert_int_eq(access_word(g, gla + 0x5010, true, &value, &pferr), WINDOW_CODE_PAGE);
    check_maps(g);
    phys_page(&g->phys, 0x1005000)->flags &= ~PHYS_CODE;
    ck_assert_int_eq(access_word(g, gla + 0x5010, true, &value, &pferr), WINDOW_FILLED);
    check_maps(g);
    // Memory's end within a large page.
    guest_put(g, guest_pde(g, root, 0xd0000000), (0x80000 & 0) | RW | PTE_PS);
    ck_assert_int_eq(access_word(g, 0xd0000000, false, &value, &pferr), WINDOW_FILLED);
    ck_assert_int_eq(access_word(g, 0xd00a0000, false, &value, &pferr), WINDOW_NOT_PLAIN);
    ck_assert_int_eq(access_word(g, 0xd00c0000, false, &value, &pferr), WINDOW_FILLED);
    check_maps(g);
    guest_free(g);
}

START_TEST(large_4m) { large(CR4_PSE | CR4_PGE); }
END_TEST
START_TEST(large_2m) { large(CR4_PAE | CR4_PGE); }
END_TEST

START_TEST(code)
{
    struct guest *g = paged(0, NULL);
    struct vcpu *v = g->v;
    u32 a = v->cr3, b = guest_space(g), value = 9, pferr;

    // One frame, three places: two spaces' user windows and the super window.
    guest_map(g, a, 0x8000000, 0x400000 | RWUAD);
    guest_map(g, a, 0x8001000, 0x401000 | RWUAD);
    guest_map(g, b, 0x9000000, 0x400000 | RWUAD);
    guest_map(g, a, 0xc0000000, 0x400000 | RWAD);
    guest_put(g, guest_pde(g, b, 0xc0000000), guest_get(g, guest_pde(g, a, 0xc0000000)));
    ck_assert_int_eq(access_word(g, 0xc0000000, true, &value, &pferr), WINDOW_FILLED);
    guest_cpl(g, 3);
    ck_assert_int_eq(access_word(g, 0x8000000, true, &value, &pferr), WINDOW_FILLED);
    ck_assert(mapped(g, 0x8001000, true)); // filled ahead
    guest_enter(g, b);
    ck_assert_int_eq(access_word(g, 0x9000000, true, &value, &pferr), WINDOW_FILLED);
    mmu_protect_code(v, 0x400000);
    ck_assert(!mapped(g, 0x9000000, true) && mapped(g, 0x9000000, false));
    ck_assert_int_eq(access_word(g, 0x9000000, true, &value, &pferr), WINDOW_CODE_PAGE);
    guest_enter(g, a);
    ck_assert(!mapped(g, 0x8000000, true) && mapped(g, 0x8000000, false));
    ck_assert(mapped(g, 0x8001000, true));
    guest_cpl(g, 0);
    ck_assert(!mapped(g, 0xc0000000, true) && mapped(g, 0xc0000000, false));
    check_maps(g);
    // Unprotected, each comes back by itself; a page that is code when it is filled is
    // read-only.
    phys_page(&g->phys, 0x400000)->flags &= ~PHYS_CODE;
    ck_assert_int_eq(access_word(g, 0xc0000000, true, &value, &pferr), WINDOW_FILLED);
    mmu_protect_code(v, 0x402000);
    guest_map(g, a, 0x8002000, 0x402000 | RWUAD);
    guest_cpl(g, 3);
    ck_assert_uint_eq(page_at(g, 0x8002000), 0x402000);
    ck_assert(!mapped(g, 0x8002000, true));
    check_maps(g);
    guest_free(g);
}
END_TEST

START_TEST(spaces)
{
    struct window_limits limits = { .windows = 8 };
    struct guest *g = paged(CR4_PGE, &limits);
    struct vcpu *v = g->v;
    u32 root[20];
    struct window *w[20];
    u64 fills;
    const struct window_stats *stat = windows_stats(&g->mmu);

    guest_cpl(g, 3);
    for (u32 i = 0; i < 20; i++) {
        root[i] = guest_space(g);
        guest_map(g, root[i], 0x8048000, (0x400000 + (i << 12)) | RWUAD);
        guest_map(g, root[i], 0xbffff000, (0x500000 + (i << 12)) | RWUAD);
    }
    for (u32 i = 0; i < 5; i++) {
        guest_enter(g, root[i]);
        w[i] = mmu_window(v);
        ck_assert_uint_eq(page_at(g, 0x8048000), 0x400000 + (i << 12));
        ck_assert_uint_eq(page_at(g, 0xbffff000), 0x500000 + (i << 12));
    }
    // Kept across CR3 writes.
    fills = stat->fills;
    for (u32 round = 0; round < 3; round++) {
        for (u32 i = 0; i < 5; i++) {
            guest_enter(g, root[i]);
            ck_assert_ptr_eq(mmu_window(v), w[i]);
            ck_assert_uint_eq(page_at(g, 0x8048000), 0x400000 + (i << 12));
        }
    }
    ck_assert_uint_eq(stat->fills, fills);
    // Changed while not current: noticed when it is entered in user mode, not before.
    guest_map(g, root[2], 0x8048000, 0x600000 | RWUAD);
    guest_cpl(g, 0);
    fills = stat->checks;
    guest_enter(g, root[2]);
    guest_enter(g, root[2]);
    ck_assert_uint_eq(stat->checks, fills);
    guest_cpl(g, 3);
    ck_assert_uint_eq(page_at(g, 0x8048000), 0x600000);
    ck_assert(mapped(g, 0xbffff000, true));
    // More spaces than windows: the least recently used go.
    for (u32 i = 0; i < 20; i++) {
        guest_enter(g, root[i]);
        ck_assert_uint_eq(page_at(g, 0xbffff000), 0x500000 + (i << 12));
    }
    ck_assert_uint_ge(stat->evicted, 12);
    guest_enter(g, root[19]);
    ck_assert(mapped(g, 0xbffff000, true));
    guest_enter(g, root[3]);
    ck_assert(!mapped(g, 0xbffff000, true));
    check_maps(g);
    guest_free(g);
}
END_TEST

// Neighbours that the guest has used, and could use now, and no others; never with more rights than they have.
START_TEST(ahead)
{
    static const struct { i32 page; u32 bits; bool is, writable; } around[] = {
        { -5, RWUAD, false, false }, // too far
        { -4, RWUAD, true, true },
        { -3, PTE_P | PTE_U | PTE_A, true, false },
        { -2, RWU | PTE_A, true, false },
        { -1, RWU, false, false },   // not used yet: A is the guest's to see
        { 1, 0, false, false },
        { 2, RWAD, false, false },   // the supervisor's
        { 3, RWUAD, true, false },   // holds code
        { 4, RWUAD, true, true },
    };
    struct guest *g = paged(CR4_PGE, NULL);
    struct vcpu *v = g->v;
    u32 root = guest_space(g), value = 0, pferr;
    gla_t at = 0x8050000, end = 0x8400000;

    for (unsigned i = 0; i < ARRAY_LEN(around); i++)
        guest_map(g, root, at + (around[i].page * (i32)PAGE_SIZE), around[i].bits | (0x440000 - (i << 13)));
    guest_map(g, root, at, RWUAD | 0x300000);
    guest_map(g, root, end - PAGE_SIZE, RWUAD | 0x301000);
    guest_map(g, root, end, RWUAD | 0x303000);
    guest_enter(g, root);
    guest_cpl(g, 3);
    mmu_protect_code(v, 0x440000 - (7 << 13));
    window_fill_ahead(v, at, 4); // nothing is known of this part of the space yet
    ck_assert_int_eq(access_word(g, at, false, &value, &pferr), WINDOW_FILLED);
    window_fill_ahead(v, at, 4);
    for (unsigned i = 0; i < ARRAY_LEN(around); i++) {
        gla_t gla = at + (around[i].page * (i32)PAGE_SIZE);

        ck_assert_int_eq(mapped(g, gla, false), around[i].is);
        ck_assert_int_eq(mapped(g, gla, true), around[i].writable);
        ck_assert_uint_eq(guest_get(g, guest_pte(g, root, gla)) & (PAGE_SIZE - 1), around[i].bits);
    }
    // Up to the end of the page table, and no further.
    ck_assert_int_eq(access_word(g, end - PAGE_SIZE, false, &value, &pferr), WINDOW_FILLED);
    window_fill_ahead(v, end - PAGE_SIZE, 4);
    ck_assert(!mapped(g, end, false));
    // A flush finds what has changed, as for any other page.
    guest_map(g, root, at - 4 * PAGE_SIZE, RWUAD | 0x500000);
    guest_map(g, root, at + 4 * PAGE_SIZE, PTE_P | PTE_U | PTE_A | PTE_D | (0x440000 - (8 << 13)));
    mmu_cr3_written(v);
    ck_assert(!mapped(g, at - 4 * PAGE_SIZE, false));
    ck_assert(mapped(g, at + 4 * PAGE_SIZE, false) && !mapped(g, at + 4 * PAGE_SIZE, true));
    // Not for the supervisor, whose window has no such pages.
    guest_cpl(g, 0);
    window_fill_ahead(v, at, 4);
    ck_assert(!mapped(g, at + 3 * PAGE_SIZE, false));
    check_writable(g);
    check_maps(g);
    guest_free(g);
}
END_TEST

static unsigned hook_calls;
static void on_change(void *opaque, gla_t gla, u32 len)
{
    (void)opaque;
    (void)gla;
    (void)len;
    hook_calls++;
}

START_TEST(generations)
{
    struct guest *g = paged(CR4_PSE | CR4_PGE, NULL);
    struct vcpu *v = g->v;
    u32 a = v->cr3, b = guest_space(g), gen;
    struct window *super, *user;

    g->mmu.mapping_changed = on_change;
    // A kernel text of global large pages and one table page, and a program, in two spaces.
    guest_put(g, guest_pde(g, a, 0xc0000000), 0 | RW | PTE_PS | PTE_G);
    guest_map(g, a, 0xf8000000, 0x400000 | RW);
    guest_put(g, guest_pde(g, b, 0xc0000000), 0 | RW | PTE_PS | PTE_G);
    // With A as in a's entry after its use: a directory entry without A must not be relied on.
    guest_put(g, guest_pde(g, b, 0xf8000000), guest_get(g, guest_pde(g, a, 0xf8000000)) | PTE_A);
    guest_map(g, a, 0x8048000, 0x500000 | RWU);
    guest_map(g, a, 0x8049000, 0x501000 | RWU);
    guest_map(g, b, 0x8048000, 0x502000 | RWU);
    mmu_fetch_gpa(v, 0xc0123456);
    mmu_fetch_gpa(v, 0xf8000000);
    super = mmu_window(v);
    gen = super->code_generation;
    hook_calls = 0;
    for (int i = 0; i < 4; i++) {
        guest_enter(g, i & 1 ? a : b);
        ck_assert_ptr_eq(mmu_window(v), super);
        mmu_fetch_gpa(v, 0xf8000000);
    }
    ck_assert_uint_eq(super->code_generation, gen);
    ck_assert_uint_eq(hook_calls, 0);
    // Data that is next to code may change freely; code may not.
    guest_enter(g, a);
    guest_map(g, a, 0xf8001000, 0x600000 | RW);
    ck_assert_uint_eq(page_at(g, 0xf8001000), 0x600000);
    guest_map(g, a, 0xf8001000, 0);
    mmu_invlpg(v, 0xf8001000);
    ck_assert_uint_eq(super->code_generation, gen);
    guest_map(g, a, 0xf8000000, 0x601000 | RW);
    mmu_invlpg(v, 0xf8000000);
    ck_assert_uint_ne(super->code_generation, gen);
    ck_assert_uint_eq(hook_calls, 1);
    // The same for a program; a fetch from a page that was read before counts, too.
    guest_cpl(g, 3);
    user = mmu_window(v);
    ck_assert_ptr_ne(user, super);
    gen = user->code_generation;
    mmu_read32(v, 0x8048000, true);
    mmu_fetch_gpa(v, 0x8048000);
    mmu_read32(v, 0x8049000, true);
    guest_map(g, a, 0x8049000, 0x503000 | RWU);
    guest_enter(g, b);
    ck_assert_ptr_ne(mmu_window(v), user);
    guest_enter(g, a);
    ck_assert_ptr_eq(mmu_window(v), user);
    ck_assert_uint_eq(user->code_generation, gen);
    guest_map(g, a, 0x8048000, 0x503000 | RWU);
    guest_enter(g, a);
    ck_assert_uint_eq(user->code_generation, gen); // not looked at yet
    mmu_window(v);
    ck_assert_uint_ne(user->code_generation, gen);
    ck_assert(mmu_fetch_gpa(v, 0x8048000) == 0x503000);
    // W and D of a page of code don't matter, A does not change its translation but its TLB
    // entry.
    gen = user->code_generation;
    guest_map(g, a, 0x8048000, 0x503000 | PTE_P | PTE_U | PTE_A);
    guest_enter(g, a);
    ck_assert_uint_eq(mmu_window(v)->code_generation, gen);
    guest_free(g);
}
END_TEST

// Page-table isolation: the kernel's half is there under one CR3 and all but missing under its
// twin.
START_TEST(isolation)
{
    struct guest *g = paged(CR4_PAE, NULL);
    struct vcpu *v = g->v;
    u32 full = v->cr3, thin = guest_space(g);
    struct window *w_full, *w_thin;
    u64 fills;

    for (u32 i = 0; i < 16; i++)
        guest_put(g, guest_pde(g, full, 0xc0000000 + (i << 21)), (i << 21) | RWAD | PTE_PS);
    guest_put(g, guest_pde(g, thin, 0xc0200000), 0x200000 | RWAD | PTE_PS);
    for (u32 i = 1; i < 16; i++)
        ck_assert_uint_eq(page_at(g, 0xc0001000 + (i << 21)), 0x1000 + (i << 21));
    w_full = mmu_window(v);
    guest_enter(g, thin);
    w_thin = mmu_window(v);
    ck_assert_ptr_ne(w_full, w_thin);
    ck_assert_uint_eq(page_at(g, 0xc0201000), 0x201000);
    fills = windows_stats(&g->mmu)->fills;
    for (int i = 0; i < 10; i++) {
        guest_enter(g, i & 1 ? thin : full);
        ck_assert_ptr_eq(mmu_window(v), i & 1 ? w_thin : w_full);
        ck_assert_uint_eq(page_at(g, 0xc0201000), 0x201000);
        ck_assert_int_eq(mapped(g, 0xc0400000, true), !(i & 1));
    }
    ck_assert_uint_eq(windows_stats(&g->mmu)->fills, fills);
    // A global page of the one that is not current: INVLPG and a flush of global pages reach it.
    v->cr4 |= CR4_PGE;
    mmu_mode_changed(v);
    guest_enter(g, full);
    guest_map(g, full, 0xf8000000, 0x400000 | RW | PTE_G);
    guest_map(g, full, 0xf8001000, 0x402000 | RW | PTE_G);
    ck_assert_uint_eq(page_at(g, 0xf8000000), 0x400000);
    ck_assert_uint_eq(page_at(g, 0xf8001000), 0x402000);
    guest_map(g, full, 0xf8000000, 0x500000 | RW | PTE_G);
    guest_enter(g, thin);
    ck_assert_ptr_eq(mmu_window(v), w_thin);
    mmu_invlpg(v, 0xf8000000);
    guest_enter(g, full);
    ck_assert_ptr_eq(mmu_window(v), w_full);
    ck_assert_uint_eq(page_at(g, 0xf8000000), 0x500000);
    guest_enter(g, thin);
    guest_map(g, full, 0xf8001000, 0x501000 | RW | PTE_G);
    v->cr4 &= ~CR4_PGE;
    mmu_mode_changed(v);
    v->cr4 |= CR4_PGE;
    mmu_mode_changed(v);
    guest_enter(g, full);
    ck_assert_uint_eq(page_at(g, 0xf8001000), 0x501000);
    guest_free(g);
}
END_TEST

// With CR0.WP clear the supervisor writes to read-only pages; once it is set, no more.
START_TEST(write_protect)
{
    struct guest *g = paged(CR4_PGE | CR4_PSE, NULL);
    struct vcpu *v = g->v;
    u32 value = 1, pferr;

    guest_map(g, v->cr3, 0xc0000000, 0x400000 | PTE_P | PTE_A | PTE_D | PTE_G);
    guest_put(g, guest_pde(g, v->cr3, 0xc0400000), 0x800000 | PTE_P | PTE_PS | PTE_G);
    for (int i = 0; i < 3; i++) {
        gla_t gla = i ? 0xc0400010 : 0xc0000010;

        ck_assert_int_eq(access_word(g, gla, false, &value, &pferr), WINDOW_FILLED);
        ck_assert_int_eq(access_word(g, gla, true, &value, &pferr), WINDOW_GUEST_PF);
        v->cr0 &= ~CR0_WP;
        mmu_mode_changed(v);
        ck_assert_int_eq(access_word(g, gla, true, &value, &pferr), WINDOW_FILLED);
        v->cr0 |= CR0_WP;
        mmu_mode_changed(v);
        ck_assert(!mapped(g, gla, true));
        ck_assert_int_eq(access_word(g, gla, true, &value, &pferr), WINDOW_GUEST_PF);
        ck_assert_uint_eq(pferr, PFERR_P | PFERR_W);
    }
    guest_free(g);
}
END_TEST

// AddressSanitizer's own allocator does not survive a host that refuses mappings.
#ifdef __has_feature
#define ASAN __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define ASAN 1
#else
#define ASAN 0
#endif

// Takes host mappings until the process may have no more.
static void exhaust_mappings(void)
{
    size_t size = 1ull << 30;
    u8 *area = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    ck_assert_ptr_ne(area, MAP_FAILED);
    for (size_t at = 0; at < size; at += 2 * PAGE_SIZE)
        if (mprotect(area + at, PAGE_SIZE, PROT_READ) < 0)
            return;
    ck_abort_msg("the host never refuses a mapping");
}

// The host refuses mappings long before the budget is used up: every access is still right, if need
// be in the checked form.
START_TEST(refused)
{
    struct guest *g = paged(CR4_PSE, NULL);
    struct vcpu *v = g->v;
    u32 root[2], value, pferr, seed = 7, filled = 0;

    for (u32 s = 0; s < 2; s++) {
        root[s] = guest_space(g);
        for (u32 i = 0; i < 500; i++)
            guest_map(g, root[s], 0x8000000 + (i << 12), (0x400000 + (i * 7 % 500 << 12)) | RWUAD);
        guest_put(g, guest_pde(g, root[s], 0xc0000000), 0x400000 | RWAD | PTE_PS);
        guest_enter(g, root[s]);
        guest_cpl(g, 3);
        for (u32 i = 0; i < 300; i++)
            page_at(g, 0x8000000 + (i << 12));
        guest_cpl(g, 0);
    }
    if (!ASAN)
        exhaust_mappings();
    for (u32 n = 0; n < 5000; n++) {
        u32 i;
        bool user;
        gla_t gla;

        seed = seed * 1664525 + 1013904223;
        i = (seed >> 8) % 500;
        user = seed >> 31;
        if ((seed >> 20 & 63) == 0)
            guest_enter(g, root[seed >> 30 & 1]);
        guest_cpl(g, user ? 3 : 0);
        gla = (user ? 0x8000000 : 0xc0000000) + (i << 12);
        switch (access_word(g, gla + 8, false, &value, &pferr)) {
        case WINDOW_FILLED:
            ck_assert_uint_eq(value, 0x400000 + ((user ? i * 7 % 500 : i) << 12));
            filled++;
            break;
        case WINDOW_NOT_PLAIN:
            ck_assert_uint_eq(mmu_read32(v, gla + 8, user),
                              0x400000 + ((user ? i * 7 % 500 : i) << 12));
            break;
        default:
            ck_abort();
        }
        if (n % 100 == 0)
            mmu_protect_code(v, 0x400000 + (i << 12));
        if (n % 50 == 0)
            mmu_invlpg(v, gla);
        if (n % 1000 == 0) {
            check_maps(g);
            check_writable(g);
        }
    }
    ck_assert(ASAN || windows_stats(&g->mmu)->refused > 0);
    ck_assert_uint_gt(filled, 0);
    guest_free(g);
}
END_TEST

// A page through which the kernel looks at other memory is soon not worth mapping; one that is used
// a lot each time is, and so is every page that stays.
START_TEST(transient)
{
    struct guest *g = paged(CR4_PGE, NULL);
    struct vcpu *v = g->v;
    const struct window_stats *stat = windows_stats(&g->mmu);
    u32 value, pferr;
    u64 fills;

    for (u32 i = 0; i < 100; i++) {
        guest_map(g, v->cr3, 0xffa00000, (0x400000 + (i << 12)) | RWAD);
        mmu_invlpg(v, 0xffa00000);
        if (access_word(g, 0xffa00008, false, &value, &pferr) == WINDOW_FILLED)
            ck_assert_uint_eq(value, 0x400000 + (i << 12));
    }
    ck_assert_uint_le(stat->fills, 10);
    ck_assert_uint_ge(stat->transient, 90);
    fills = stat->fills;
    for (u32 i = 0; i < 100; i++) {
        guest_map(g, v->cr3, 0xffb00000, (0x400000 + (i << 12)) | RWAD);
        mmu_invlpg(v, 0xffb00000);
        for (int k = 0; k < 10; k++)
            access_word(g, 0xffb00008 + 4 * k, false, &value, &pferr);
        ck_assert(mapped(g, 0xffb00000, true));
    }
    ck_assert_uint_eq(stat->fills, fills + 100);
    fills = stat->fills;
    for (u32 i = 0; i < 100; i++) {
        guest_map(g, v->cr3, 0xff000000 + (i << 12), (0x400000 + (i << 13)) | RWAD);
        ck_assert_uint_eq(page_at(g, 0xff000000 + (i << 12)), 0x400000 + (i << 13));
    }
    ck_assert_uint_eq(stat->fills, fills + 100);
    guest_free(g);
}
END_TEST

// Scattered pages, a limit of a few hundred host mappings, and several spaces that all want
// more.
static void budget(unsigned maps)
{
    struct window_limits limits = { .maps = maps };
    struct guest *g = paged(CR4_PSE, &limits);
    struct vcpu *v = g->v;
    u32 root[4], seed = 1, boot = v->cr3;

    for (u32 s = 0; s < 4; s++) {
        root[s] = guest_space(g);
        for (u32 i = 0; i < 500; i++)
            guest_map(g, root[s], 0x8000000 + (i << 12), (0x400000 + (i * 7 % 500 << 12)) | RWUAD);
        guest_put(g, guest_pde(g, root[s], 0xc0000000), 0x400000 | RWAD | PTE_PS);
    }
    for (u32 i = 0; i < 1000; i += 2)
        mmu_protect_code(v, 0x400000 + (i << 12));
    for (u32 n = 0; n < 6000; n++) {
        u32 i;

        seed = seed * 1664525 + 1013904223;
        i = (seed >> 8) % 500;
        if (seed >> 28 == 0) {
            guest_enter(g, root[seed >> 24 & 3]);
        } else if (seed >> 28 < 3) {
            guest_cpl(g, 0);
            ck_assert_uint_eq(page_at(g, 0xc0000000 + (i << 12)), 0x400000 + (i << 12));
        } else if (v->cr3 != boot) {
            guest_cpl(g, 3);
            ck_assert_uint_eq(page_at(g, 0x8000000 + (i << 12)), 0x400000 + (i * 7 % 500 << 12));
        }
        ck_assert_uint_le(g->mmu.windows->maps, maps);
        if (n % 100 == 0)
            check_maps(g);
    }
    ck_assert_uint_gt(windows_stats(&g->mmu)->resets, 0);
    guest_free(g);
}

START_TEST(budget_300) { budget(300); }
END_TEST
START_TEST(budget_20) { budget(20); }
END_TEST

GUEST_TESTS("shadow-mmu: windows", identity, permissions_32, permissions_pae, staleness,
            directory, large_4m, large_2m, code, spaces, ahead, generations, isolation, write_protect,
            transient, refused, budget_300, budget_20)
