// SPDX-License-Identifier: GPL-2.0-or-later
// A guest small enough to reason about, for the tests of shadow-mmu: a vCPU, memory, an empty
// bus, and helpers that write page tables into guest memory.
#ifndef RING3_TESTS_UNIT_MMU_GUEST_H
#define RING3_TESTS_UNIT_MMU_GUEST_H

#include "shadow-mmu/tlb.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

struct guest {
    struct bus bus;
    struct phys phys;
    struct mmu mmu;
    struct vcpu *v;
    struct log log;
    jmp_buf catcher;
    u32 next_table; // physical page for the next table
};

#define GUEST_TABLES 0x100000u // where page tables are made
#define GUEST_RAM (64u << 20)

static inline struct guest *guest_new(void)
{
    struct guest *g = calloc(1, sizeof(*g));
    struct err err;

    g->v = aligned_alloc(64, sizeof(*g->v));
    memset(g->v, 0, sizeof(*g->v));
    bus_init(&g->bus);
    ck_assert_msg(phys_init(&g->phys, GUEST_RAM, &g->bus, &err), "%s", err.text);
    ck_assert(mmu_init(&g->mmu, g->v, &g->phys, &err));
    g->log.file = stderr;
    g->v->log = &g->log;
    g->v->bus = &g->bus;
    g->v->catcher = &g->catcher;
    g->v->cr0 = CR0_PE;
    g->next_table = GUEST_TABLES;
    mmu_mode_changed(g->v);
    return g;
}

static inline void guest_free(struct guest *g)
{
    mmu_destroy(&g->mmu);
    phys_destroy(&g->phys);
    bus_destroy(&g->bus);
    free(g->v);
    free(g);
}

static inline u32 guest_table(struct guest *g)
{
    u32 at = g->next_table;
    u8 zero[PAGE_SIZE] = { 0 };

    g->next_table += PAGE_SIZE;
    phys_write(&g->phys, at, zero, sizeof(zero));
    return at;
}

// A new address space, as CR3 names it: a page directory, or with CR4.PAE four and their
// pointers.
static inline u32 guest_space(struct guest *g)
{
    u32 root = guest_table(g);

    if (g->v->cr4 & CR4_PAE)
        for (int i = 0; i < 4; i++)
            phys_write64(&g->phys, root + 8 * i, guest_table(g) | PTE_P);
    return root;
}

static inline u64 guest_get(struct guest *g, gpa_t at)
{
    return g->v->cr4 & CR4_PAE ? phys_read64(&g->phys, at) : phys_read32(&g->phys, at);
}

static inline void guest_put(struct guest *g, gpa_t at, u64 entry)
{
    if (g->v->cr4 & CR4_PAE)
        phys_write64(&g->phys, at, entry);
    else
        phys_write32(&g->phys, at, entry);
}

// Where the directory entry for gla lies in the space `root`.
static inline gpa_t guest_pde(struct guest *g, u32 root, gla_t gla)
{
    if (g->v->cr4 & CR4_PAE)
        return (phys_read64(&g->phys, root + 8 * (gla >> 30)) & PAGE_MASK) +
               8 * (gla >> 21 & 511);
    return root + 4 * (gla >> 22);
}

// Where the table entry lies; makes a table with all rights if there is none.
static inline gpa_t guest_pte(struct guest *g, u32 root, gla_t gla)
{
    gpa_t pde = guest_pde(g, root, gla);

    if (!(guest_get(g, pde) & PTE_P))
        guest_put(g, pde, guest_table(g) | PTE_P | PTE_W | PTE_U);
    if (g->v->cr4 & CR4_PAE)
        return (guest_get(g, pde) & 0xffffff000ull) + 8 * (gla >> 12 & 511);
    return (guest_get(g, pde) & PAGE_MASK) + 4 * (gla >> 12 & 1023);
}

static inline void guest_map(struct guest *g, u32 root, gla_t gla, u64 entry)
{
    guest_put(g, guest_pte(g, root, gla), entry);
}

// MOV CR3.
static inline void guest_enter(struct guest *g, u32 root)
{
    g->v->cr3 = root;
    if (g->v->cr4 & CR4_PAE)
        ck_assert(walk_pdptes(&g->phys, root, g->v->pdpte));
    mmu_cr3_written(g->v);
}

static inline void guest_paging(struct guest *g, u32 root)
{
    g->v->cr3 = root;
    if (g->v->cr4 & CR4_PAE)
        ck_assert(walk_pdptes(&g->phys, root, g->v->pdpte));
    g->v->cr0 |= CR0_PG | CR0_WP;
    mmu_mode_changed(g->v);
}

static inline void guest_cpl(struct guest *g, unsigned cpl)
{
    g->v->cpl = cpl;
    mmu_cpl_changed(g->v);
}

// Runs Check tests as one suite; the exit status of a test program.
static inline int guest_run_tests(const char *name, const TTest *const *tests, size_t n)
{
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create(name);
    SRunner *runner;
    int failed;

    tcase_set_timeout(tc, 60);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#define GUEST_TESTS(name, ...)                                                               \
    int main(void)                                                                           \
    {                                                                                        \
        const TTest *const tests[] = { __VA_ARGS__ };                                        \
                                                                                             \
        return guest_run_tests(name, tests, ARRAY_LEN(tests));                               \
    }

// Runs the statement; true if it raised a fault, which is in g->v->fault.
#define RAISES(g, statement) (setjmp((g)->catcher) ? true : ((void)(statement), false))

#endif
