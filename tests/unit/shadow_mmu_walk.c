// SPDX-License-Identifier: GPL-2.0-or-later
// Every combination of entry bits, access, privilege and paging mode against a flat statement of
// the manual's rules (SDM 3A 4.3 to 4.8).
#include "unit/mmu_guest.h"

#define GLA 0x40403000u // page 3 of its table in both formats
#define FRAME 0x00800000u

enum { M_32, M_PSE, M_PAE, M_NX, MODES };

struct outcome {
    bool ok;
    u32 pferr;
    u64 pde, pte; // after the walk
    gpa_t gpa;
};

struct trial {
    int mode;
    bool wp, pge, user;
    enum access access;
    u64 pde, pte;
};

// The rules, from the top down.
static struct outcome expect(const struct trial *t)
{
    bool pae = t->mode >= M_PAE, nxe = t->mode == M_NX;
    bool large = t->pde & PTE_PS && t->mode != M_32;
    struct outcome o = { .pde = t->pde, .pte = t->pte };
    u64 high = pae ? ~((1ull << 36) - 1) & ~(nxe ? PTE_NX : 0) : 0;
    u64 rights = large ? t->pde : t->pde & t->pte, any = large ? t->pde : t->pde | t->pte;
    bool reserved = false, allowed;

    o.pferr = (t->user ? PFERR_U : 0) | (t->access == ACC_WRITE ? PFERR_W : 0) |
              (t->access == ACC_FETCH && nxe ? PFERR_I : 0);
    if (!(t->pde & PTE_P))
        return o;
    if (large)
        reserved = t->pde & (high | (pae ? 0x1fe000 : 0x3e0000));
    else
        reserved = t->pde & high;
    if (!reserved && !large) {
        o.pde |= PTE_A;
        if (!(t->pte & PTE_P))
            return o;
        reserved = t->pte & high;
    }
    o.pferr |= PFERR_P;
    if (reserved) {
        o.pferr |= PFERR_RSVD;
        return o;
    }
    allowed = !(t->user && !(rights & PTE_U)) &&
              !(t->access == ACC_WRITE && !(rights & PTE_W) && (t->user || t->wp)) &&
              !(t->access == ACC_FETCH && nxe && any & PTE_NX);
    if (!allowed)
        return o;
    o.ok = true;
    *(large ? &o.pde : &o.pte) |= PTE_A | (t->access == ACC_WRITE ? PTE_D : 0);
    if (!large)
        o.gpa = FRAME | 0x123;
    else if (pae)
        o.gpa = FRAME | (GLA & 0x1fffff) | 0x123;
    else
        o.gpa = FRAME | (t->pde >> 13 & 0xf) << 32 | (GLA & 0x3fffff) | 0x123;
    return o;
}

static void set_mode(struct guest *g, int mode, bool wp, bool pge)
{
    struct vcpu *v = g->v;

    v->cr0 = CR0_PE | CR0_PG | (wp ? CR0_WP : 0);
    v->cr4 = (mode == M_PSE ? CR4_PSE : 0) | (mode >= M_PAE ? CR4_PAE : 0) |
             (pge ? CR4_PGE : 0);
    v->efer = mode == M_NX ? EFER_NXE : 0;
}

static void try_one(struct guest *g, gpa_t pde_at, gpa_t pte_at, const struct trial *t)
{
    struct outcome o = expect(t);
    struct walk w, probe;
    u32 pferr = 0;
    bool ok, large = t->pde & PTE_PS && t->mode != M_32;

    guest_put(g, pde_at, t->pde);
    guest_put(g, pte_at, t->pte);
    walk_probe(g->v, &g->phys, GLA | 0x123, &probe);
    ck_assert(guest_get(g, pde_at) == t->pde && guest_get(g, pte_at) == t->pte);
    ok = walk(g->v, &g->phys, GLA | 0x123, t->access, t->user, &w, &pferr);
    if (ok != o.ok || (!ok && pferr != o.pferr) || guest_get(g, pde_at) != o.pde ||
        guest_get(g, pte_at) != o.pte)
        ck_abort_msg("mode %d wp %d user %d access %d pde %llx pte %llx: %d/%x, want %d/%x; "
                     "pde %llx want %llx; pte %llx want %llx",
                     t->mode, t->wp, t->user, t->access, (long long)t->pde, (long long)t->pte, ok,
                     pferr, o.ok, o.pferr, (long long)guest_get(g, pde_at), (long long)o.pde,
                     (long long)guest_get(g, pte_at), (long long)o.pte);
    if (!ok)
        return;
    ck_assert(w.gpa == o.gpa && probe.gpa == o.gpa);
    ck_assert(w.pde == o.pde && w.pte == (large ? o.pde : o.pte));
    ck_assert(w.pde_gpa == pde_at && w.pte_gpa == (large ? pde_at : pte_at));
    ck_assert_uint_eq(w.page_size, !large ? 4096 : t->mode >= M_PAE ? 2u << 20 : 4u << 20);
    ck_assert_int_eq(w.dirty, !!(w.pte & PTE_D));
    ck_assert_int_eq(w.global, t->pge && w.pte & PTE_G);
    ck_assert_int_eq(w.user, !!(t->pde & (large ? ~0ull : t->pte) & PTE_U));
    ck_assert_int_eq(w.writable, !!(t->pde & (large ? ~0ull : t->pte) & PTE_W));
    ck_assert_int_eq(w.nx, t->mode == M_NX && (t->pde | (large ? 0 : t->pte)) & PTE_NX);
}

// Bits to combine. The address bits among the reserved ones are chosen to be wrong in some modes
// only.
static const u64 pde_bits[] = { PTE_P, PTE_W, PTE_U, PTE_A, PTE_D, PTE_PS,
                                1 << 14, 1 << 18, 1ull << 36, PTE_NX };
static const u64 pte_bits[] = { PTE_P, PTE_W, PTE_U, PTE_A, PTE_D, PTE_G, 1ull << 51, PTE_NX };

static u64 spread(unsigned n, const u64 *bits, size_t count)
{
    u64 value = 0;

    for (size_t i = 0; i < count; i++)
        value |= n >> i & 1 ? bits[i] : 0;
    return value;
}

static void combinations(int mode)
{
    struct guest *g = guest_new();
    bool pae = mode >= M_PAE;
    gpa_t pde_at, pte_at;
    u32 root, table;

    set_mode(g, mode, false, false);
    root = guest_space(g);
    g->v->cr3 = root;
    if (pae)
        ck_assert(walk_pdptes(&g->phys, root, g->v->pdpte));
    pde_at = guest_pde(g, root, GLA);
    table = guest_pte(g, root, GLA) & PAGE_MASK;
    pte_at = guest_pte(g, root, GLA);
    for (unsigned d = 0; d < BIT(ARRAY_LEN(pde_bits)); d++) {
        struct trial t = { .mode = mode, .pde = spread(d, pde_bits, ARRAY_LEN(pde_bits)) };
        bool large = t.pde & PTE_PS && mode != M_32;

        if (!pae && t.pde >> 32)
            continue;
        // In a directory entry for a table bits 13 and up are its address.
        if (!large && t.pde & (1 << 14 | 1 << 18))
            continue;
        t.pde |= large ? FRAME : table;
        for (unsigned e = 0; e < BIT(ARRAY_LEN(pte_bits)); e++) {
            t.pte = spread(e, pte_bits, ARRAY_LEN(pte_bits)) | FRAME;
            if ((!pae && t.pte >> 32) || (large && e > 1 && e < 255))
                continue;
            for (unsigned k = 0; k < 24; k++) {
                t.wp = k & 1;
                t.pge = k & 2;
                t.user = k & 4;
                t.access = k >> 3;
                set_mode(g, mode, t.wp, t.pge);
                try_one(g, pde_at, pte_at, &t);
            }
        }
    }
    guest_free(g);
}

START_TEST(walk_32) { combinations(M_32); }
END_TEST
START_TEST(walk_pse) { combinations(M_PSE); }
END_TEST
START_TEST(walk_pae) { combinations(M_PAE); }
END_TEST
START_TEST(walk_nx) { combinations(M_NX); }
END_TEST

START_TEST(pointers)
{
    struct guest *g = guest_new();
    u64 pdpte[4];
    struct walk w;
    u32 root, pferr;

    g->v->cr4 = CR4_PAE;
    root = guest_space(g) + 0x20; // needs only 32-byte alignment
    for (int i = 0; i < 4; i++)
        phys_write64(&g->phys, root + 8 * i, i == 2 ? 0x1e6 : GUEST_TABLES | PTE_P | 0xe18);
    ck_assert(walk_pdptes(&g->phys, root | 7, pdpte));
    for (unsigned bit = 0; bit < 64; bit++) {
        bool reserved = (bit > 0 && bit < 3) || (bit > 4 && bit < 9) || bit >= 36;

        phys_write64(&g->phys, root + 8, GUEST_TABLES | PTE_P | 1ull << bit);
        ck_assert_int_eq(walk_pdptes(&g->phys, root, pdpte), !reserved);
    }
    g->v->cr0 |= CR0_PG;
    memset(g->v->pdpte, 0, sizeof(g->v->pdpte));
    ck_assert(!walk(g->v, &g->phys, 0xc0000000, ACC_WRITE, true, &w, &pferr));
    ck_assert_uint_eq(pferr, PFERR_W | PFERR_U);
    guest_free(g);
}
END_TEST

START_TEST(no_paging)
{
    struct guest *g = guest_new();
    struct walk w;
    u32 pferr;

    g->phys.a20_mask = ~0x100000u;
    ck_assert(walk(g->v, &g->phys, 0xfff12345, ACC_WRITE, true, &w, &pferr));
    ck_assert(w.gpa == 0xffe12345 && w.user && w.writable && w.dirty && !w.nx);
    ck_assert(w.pte_gpa == GPA_NONE && w.pde_gpa == GPA_NONE);
    guest_free(g);
}
END_TEST

GUEST_TESTS("shadow-mmu: page walk", walk_32, walk_pse, walk_pae, walk_nx, pointers, no_paging)
