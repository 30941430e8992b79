// SPDX-License-Identifier: GPL-2.0-or-later
// A guest that edits its page tables at random, flushes as the architecture demands (or leaves
// the page alone until it has), and reads and writes through windows, software TLB and fetch at
// random. Whatever gets through must be what a walk of the tables gives at that moment.
#include "unit/mmu_window.h"

#define SPACES 5
#define USER_BASE 0x08000000u
#define KERNEL_BASE 0xc0000000u
#define SPAN 0x00800000u // bytes edited at each base: two or four regions
#define PAGES (SPAN >> PAGE_SHIFT)

struct world {
    struct guest *g;
    u64 seed;
    u32 root[SPACES];
    unsigned space;
    // Pages edited and not flushed yet: of each space's user part, and of the shared kernel
    // part.
    bool stale[SPACES][PAGES], kernel_stale[PAGES];
    bool code_was_fetched[PAGES];
};

static u32 rnd(struct world *w, u32 n)
{
    w->seed = w->seed * 6364136223846793005ull + 1442695040888963407ull;
    return (w->seed >> 33) % n;
}

static u64 random_leaf(struct world *w, bool user, bool large)
{
    static const u32 rights[] = { RWAD, RWAD, RWAD, PTE_P | PTE_A, RW, RW | PTE_A, PTE_P, 0 };
    u64 entry = rights[rnd(w, ARRAY_LEN(rights))];

    if (user || rnd(w, 20) == 0)
        entry |= PTE_U;
    if (!user && rnd(w, 2))
        entry |= PTE_G;
    entry |= rnd(w, 8) << 9;
    if (large)
        return entry | PTE_PS | (0x1000000 + (rnd(w, 4) << 22));
    // Often in a row, so that fills find neighbours.
    return entry | (0x400000 + (rnd(w, 3) ? rnd(w, 64) : rnd(w, 2000)) * PAGE_SIZE);
}

static void flush_done(struct world *w, bool global)
{
    struct guest *g = w->g;

    memset(w->stale[w->space], 0, sizeof(w->stale[w->space]));
    if (global || !(g->v->cr4 & CR4_PGE))
        memset(w->kernel_stale, 0, sizeof(w->kernel_stale));
}

static void switch_space(struct world *w, unsigned space)
{
    // A CR3 write flushes what is not global. Kernel entries may have been global when they were
    // cached, so of them nothing is certain.
    w->space = space;
    guest_enter(w->g, w->root[space]);
    flush_done(w, false);
}

static void edit_page(struct world *w)
{
    struct guest *g = w->g;
    bool user = rnd(w, 2), row = rnd(w, 4) == 0;
    u32 page = rnd(w, PAGES), n = row ? rnd(w, 30) + 1 : 1;
    u64 entry = random_leaf(w, user, false);

    for (u32 i = 0; i < n && page + i < PAGES; i++, entry += PAGE_SIZE) {
        gla_t gla = (user ? USER_BASE : KERNEL_BASE) + ((page + i) << PAGE_SHIFT);

        if (guest_get(g, guest_pde(g, w->root[w->space], gla)) & PTE_PS)
            return;
        guest_map(g, w->root[w->space], gla, entry);
        *(user ? &w->stale[w->space][page + i] : &w->kernel_stale[page + i]) = true;
        if (rnd(w, 2)) {
            mmu_invlpg(g->v, gla | rnd(w, PAGE_SIZE));
            *(user ? &w->stale[w->space][page + i] : &w->kernel_stale[page + i]) = false;
        }
    }
}

// One bit of an entry that is there: rights and status come and go while the translation stays.
static void edit_bit(struct world *w)
{
    static const u32 bits[] = { PTE_W, PTE_W, PTE_D, PTE_D, PTE_A, PTE_U, PTE_P, PTE_G, 0x200 };
    struct guest *g = w->g;
    bool user = rnd(w, 2);
    u32 page = rnd(w, PAGES), bit = bits[rnd(w, ARRAY_LEN(bits))], k;
    gla_t gla;
    gpa_t pte;

    // From a random page on, the first that is mapped.
    for (k = 0; k < 64; k++, page = (page + 1) % PAGES) {
        gla = (user ? USER_BASE : KERNEL_BASE) + (page << PAGE_SHIFT);
        if (guest_get(g, guest_pde(g, w->root[w->space], gla)) & PTE_PS)
            return;
        pte = guest_pte(g, w->root[w->space], gla);
        if (guest_get(g, pte) & PTE_P)
            break;
    }
    if (k == 64 || (user && bit == PTE_G))
        return;
    guest_put(g, pte, guest_get(g, pte) ^ bit);
    mmu_invlpg(g->v, gla);
    *(user ? &w->stale[w->space][page] : &w->kernel_stale[page]) = false;
}

// A directory entry: to a large page or to a table, in all spaces if it is the kernel's.
static void edit_directory(struct world *w)
{
    struct guest *g = w->g;
    u32 size = g->v->cr4 & CR4_PAE ? 2u << 20 : 4u << 20, n = SPAN / size, at = rnd(w, n) * size;
    bool user = rnd(w, 2), large = rnd(w, 2);
    u64 entry = large ? random_leaf(w, user, true) : guest_table(g) | RWU | PTE_A;

    if (g->next_table > 0x3f0000)
        return;
    for (unsigned s = 0; s < SPACES; s++)
        if (!user || s == w->space)
            guest_put(g, guest_pde(g, w->root[s], (user ? USER_BASE : KERNEL_BASE) + at), entry);
    if (user) {
        mmu_cr3_written(g->v);
    } else {
        g->v->cr4 ^= CR4_PGE;
        mmu_mode_changed(g->v);
        g->v->cr4 ^= CR4_PGE;
        mmu_mode_changed(g->v);
    }
    flush_done(w, !user);
}

static void check_access(struct world *w)
{
    struct guest *g = w->g;
    struct vcpu *v = g->v;
    bool high = rnd(w, 2), write = rnd(w, 2), user = rnd(w, 2);
    u32 page = rnd(w, PAGES), value = 0, pferr;
    gla_t gla = (high ? KERNEL_BASE : USER_BASE) + (page << PAGE_SHIFT) + 8;
    bool stale = high ? w->kernel_stale[page] : w->stale[w->space][page];
    struct walk before;
    bool present = walk_probe(v, &g->phys, gla, &before), allowed;
    enum window_fault found;
    gpa_t gpa;

    if (stale)
        return;
    guest_cpl(g, user ? 3 : 0);
    allowed = present && walk_allows(v, &before, write ? ACC_WRITE : ACC_READ, user);
    value = before.gpa & PAGE_MASK; // writes write what is there
    found = access_word(g, gla, write, &value, &pferr);
    if (!allowed)
        ck_assert_int_eq(found, WINDOW_GUEST_PF);
    else if (found == WINDOW_FILLED)
        ck_assert_uint_eq(value, before.gpa & PAGE_MASK);
    else if (found == WINDOW_USER_FROM_SUPER)
        ck_assert(!user && before.user);
    else if (found == WINDOW_TRANSIENT)
        ck_assert(!user);
    else
        ck_assert(found == WINDOW_CODE_PAGE && phys_page(&g->phys, before.gpa)->flags & PHYS_CODE);
    if (!allowed)
        return;
    ck_assert(walk_probe(v, &g->phys, gla, &before));
    // A global large page may have been cached through another space's directory entry.
    if (!high || before.page_size == PAGE_SIZE)
        ck_assert(before.pte & PTE_A && (!write || before.dirty));
    if (found == WINDOW_FILLED && rnd(w, 4) == 0)
        window_fill_ahead(v, gla, rnd(w, 8));
    if (found == WINDOW_CODE_PAGE && rnd(w, 2))
        phys_page(&g->phys, before.gpa)->flags &= ~PHYS_CODE;
    ck_assert_uint_eq(mmu_read32(v, gla, user), before.gpa & PAGE_MASK);
    if (rnd(w, 4) == 0) {
        gpa = mmu_fetch_gpa(v, gla);
        ck_assert(gpa == before.gpa);
        if (rnd(w, 4) == 0 && !(gpa >> 32))
            mmu_protect_code(v, gpa);
    }
}

// An engine that remembers what it fetched, as links between blocks do: for as long as window
// and generation stay the same, it must not be wrong.
struct memory {
    struct window *window;
    u32 generation;
    gla_t gla;
    gpa_t gpa;
};

static void check_memory(struct world *w, struct memory *m)
{
    struct guest *g = w->g;
    struct vcpu *v = g->v;
    bool high = rnd(w, 2);
    u32 page = rnd(w, PAGES);
    gla_t gla = (high ? KERNEL_BASE : USER_BASE) + (page << PAGE_SHIFT);
    struct walk now;

    guest_cpl(g, rnd(w, 2) ? 3 : 0);
    if (m->window == mmu_window(v) && m->generation == m->window->code_generation) {
        u32 old = (m->gla & (SPAN - 1)) >> PAGE_SHIFT;
        bool stale = m->gla >= KERNEL_BASE ? w->kernel_stale[old] : w->stale[w->space][old];

        if (!stale)
            ck_assert(walk_probe(v, &g->phys, m->gla, &now) && now.gpa == m->gpa);
        return;
    }
    if (high ? w->kernel_stale[page] : w->stale[w->space][page])
        return;
    if (RAISES(g, m->gpa = mmu_fetch_gpa(v, gla)))
        return;
    m->gla = gla;
    m->window = mmu_window(v);
    m->generation = m->window->code_generation;
}

static void play(u32 cr4, unsigned maps, unsigned windows, unsigned rounds)
{
    struct window_limits limits = { .maps = maps, .windows = windows };
    struct world *w = calloc(1, sizeof(*w));
    struct memory memory[8] = { 0 };

    w->g = paged(cr4, &limits);
    w->seed = cr4 + maps;
    w->root[0] = w->g->v->cr3;
    for (unsigned s = 0; s < SPACES; s++) {
        if (s)
            w->root[s] = guest_space(w->g);
        for (u32 at = 0; at < SPAN; at += 2u << 20) {
            gpa_t pde = guest_pde(w->g, w->root[s], KERNEL_BASE + at);

            guest_pte(w->g, w->root[s], USER_BASE + at);
            guest_pte(w->g, w->root[0], KERNEL_BASE + at);
            guest_put(w->g, guest_pde(w->g, w->root[0], KERNEL_BASE + at),
                      guest_get(w->g, guest_pde(w->g, w->root[0], KERNEL_BASE + at)) | PTE_A);
            guest_put(w->g, pde,
                      guest_get(w->g, guest_pde(w->g, w->root[0], KERNEL_BASE + at)));
        }
    }
    guest_paging(w->g, w->root[0]);
    for (unsigned n = 0; n < rounds; n++) {
        switch (rnd(w, 16)) {
        case 0:
            switch_space(w, rnd(w, SPACES));
            break;
        case 1: case 2: case 3:
            edit_page(w);
            break;
        case 4:
            if (rnd(w, 8) == 0)
                edit_directory(w);
            break;
        case 5: case 6:
            edit_bit(w);
            break;
        case 7: case 8:
            check_memory(w, &memory[rnd(w, ARRAY_LEN(memory))]);
            break;
        default:
            check_access(w);
        }
        if (n % 512 == 0) {
            check_maps(w->g);
            check_writable(w->g);
        }
    }
    guest_free(w->g);
    free(w);
}

START_TEST(pse) { play(CR4_PSE, 0, 0, 15000); }
END_TEST
START_TEST(pse_global) { play(CR4_PSE | CR4_PGE, 0, 0, 15000); }
END_TEST
START_TEST(pae) { play(CR4_PAE, 0, 0, 15000); }
END_TEST
START_TEST(pae_global) { play(CR4_PAE | CR4_PGE, 0, 0, 15000); }
END_TEST
START_TEST(few_maps) { play(CR4_PSE | CR4_PGE, 100, 0, 10000); }
END_TEST
START_TEST(few_windows) { play(CR4_PAE | CR4_PGE, 1000, 4, 10000); }
END_TEST

GUEST_TESTS("shadow-mmu: random guests", pse, pse_global, pae, pae_global, few_maps, few_windows)
