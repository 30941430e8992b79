// SPDX-License-Identifier: GPL-2.0-or-later
// What the tests of windows share: a guest with windows, and accesses through them with a
// SIGSEGV handler that stands in for the engine's.
#ifndef RING3_TESTS_UNIT_MMU_WINDOW_H
#define RING3_TESTS_UNIT_MMU_WINDOW_H

#include "unit/mmu_guest.h"

#include "shadow-mmu/windows.h"

#include <signal.h>
#include <stdio.h>

#define RW (PTE_P | PTE_W)
#define RWU (RW | PTE_U)
#define RWUAD (RWU | PTE_A | PTE_D)
#define RWAD (RW | PTE_A | PTE_D)

static sigjmp_buf on_fault;
static void *fault_address;

static inline void on_sigsegv(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    fault_address = info->si_addr;
    siglongjmp(on_fault, 1);
}

static inline struct guest *paged(u32 cr4, const struct window_limits *limits)
{
    struct sigaction sa = { .sa_sigaction = on_sigsegv, .sa_flags = SA_SIGINFO | SA_NODEFER };
    struct guest *g = guest_new();
    struct err err;

    sigaction(SIGSEGV, &sa, NULL);
    ck_assert_msg(windows_init(&g->mmu, g->v, limits, &err), "%s", err.text);
    g->v->cr4 = cr4;
    guest_paging(g, guest_space(g));
    // Every page of memory says which one it is.
    for (u32 at = 0x200000; at < GUEST_RAM; at += PAGE_SIZE)
        phys_write32(&g->phys, at + 8, at);
    return g;
}

// The host's page tables as one access in the current window sees them.
static inline bool host_access(struct guest *g, gla_t gla, bool write, u32 *value)
{
    volatile u32 *at = (volatile u32 *)(mmu_window(g->v)->base + gla);

    if (sigsetjmp(on_fault, 1)) {
        ck_assert_ptr_eq(fault_address, (void *)at);
        return false;
    }
    if (write)
        *at = *value;
    else
        *value = *at;
    return true;
}

static inline bool mapped(struct guest *g, gla_t gla, bool write)
{
    u32 value = 0;
    bool is_writable = false, is = window_maps(mmu_window(g->v), gla, &is_writable);
    // Never written, so that looking does not change the page: the second word is scratch.
    bool found = host_access(g, gla | 0x10, write, &value);

    ck_assert_int_eq(found, is && (!write || is_writable));
    return found;
}

// What an engine does with a direct access. WINDOW_FILLED means that it went through.
static inline enum window_fault access_word(struct guest *g, gla_t gla, bool write, u32 *value,
                                            u32 *pferr)
{
    for (int tries = 0; tries < 3; tries++) {
        enum window_fault found;

        if (host_access(g, gla, write, value))
            return WINDOW_FILLED;
        found = window_fault(g->v, gla, write ? ACC_WRITE : ACC_READ, pferr);
        if (found != WINDOW_FILLED)
            return found;
    }
    ck_abort_msg("%08x faults again and again", gla);
}

// The page that gla shows, which must be mapped without a guest fault.
static inline u32 page_at(struct guest *g, gla_t gla)
{
    u32 value = 0, pferr;

    ck_assert_int_eq(access_word(g, gla + 8, false, &value, &pferr), WINDOW_FILLED);
    return value;
}

// The host must have as many mappings in the windows as they believe.
static inline void check_maps(struct guest *g)
{
    struct windows *ws = g->mmu.windows;
    char line[512], perms[8];
    unsigned count = 0, sum = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    unsigned long lo, hi;

    while (fgets(line, sizeof(line), f)) {
        ck_assert_int_eq(sscanf(line, "%lx-%lx %7s", &lo, &hi, perms), 3);
        if (lo < (unsigned long)(ws->area + ws->area_size) && hi > (unsigned long)ws->area)
            count++;
    }
    fclose(f);
    for (unsigned i = 0; i < ws->count; i++)
        sum += ws->window[i].maps;
    ck_assert_uint_eq(sum, ws->maps);
    ck_assert_uint_eq(count, ws->maps + 1);
}

// Invariant 2 of window.h, and that no page with PHYS_CODE is mapped writable anywhere.
static inline void check_writable(struct guest *g)
{
    struct windows *ws = g->mmu.windows;

    for (struct window *w = ws->window; w < ws->window + ws->count; w++) {
        for (unsigned k = 0; k < w->regions; k++) {
            const struct region *r = w->list[k];

            for (unsigned i = 0; i < region_pages(w); i++) {
                u64 entry = region_large(r) ? r->dir : region_entry(w, r, i);
                const struct phys_page *p;

                if (!bit_get(r->mapped, i)) {
                    ck_assert(!bit_get(r->writable, i));
                    continue;
                }
                p = phys_page(&g->phys, region_gpa(w, r, i));
                ck_assert(entry & PTE_A);
                if (bit_get(r->writable, i)) {
                    ck_assert(w->kind == WINDOW_IDENTITY || entry & PTE_D);
                    ck_assert((p->flags & (PHYS_WRITE | PHYS_CODE)) == PHYS_WRITE);
                }
            }
        }
    }
}

#endif
