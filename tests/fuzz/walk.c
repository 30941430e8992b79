// SPDX-License-Identifier: GPL-2.0-or-later
// Fuzzes the page walk and the windows' bookkeeping over hostile page tables.
//
// The input: a byte of mode bits, 4 bytes of CR3, 4 of EFER/A20 bits, then records of 12 bytes:
// a byte that says what to do, a byte of access bits, 2 bytes, a linear or physical address, a
// value. What a walk does is held against walk.h's contract; windows are filled, checked and
// dropped as a run loop would, never touched.
#include "shadow-mmu/mmu.h"
#include "shadow-mmu/windows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLDS(cond)                                                                          \
    do {                                                                                     \
        if (!(cond)) {                                                                       \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #cond);         \
            abort();                                                                         \
        }                                                                                    \
    } while (0)

#define RAM (1u << 20)
#define RECORD 12

struct world {
    struct bus bus;
    struct phys phys;
    struct mmu mmu;
    struct vcpu *v;
    jmp_buf catcher;
};

static u32 get32(const u8 *p)
{
    u32 value;

    memcpy(&value, p, sizeof(value));
    return value;
}

static void check_walk(struct world *w, gla_t gla, enum access access, bool user)
{
    struct vcpu *v = w->v;
    struct walk a, b;
    u32 pferr = 0, pferr2;
    bool present = walk_probe(v, &w->phys, gla, &b);
    bool ok = walk(v, &w->phys, gla, access, user, &a, &pferr);

    if (!ok) {
        HOLDS(!(pferr & ~(PFERR_P | PFERR_W | PFERR_U | PFERR_RSVD | PFERR_I)));
        HOLDS(!(pferr & PFERR_W) == (access != ACC_WRITE) && !(pferr & PFERR_U) == !user);
        HOLDS(!(pferr & PFERR_RSVD) || pferr & PFERR_P);
        HOLDS(v->cr0 & CR0_PG);
        // A fault that the probe does not see either is one of permissions.
        HOLDS(present == ((pferr & (PFERR_P | PFERR_RSVD)) == PFERR_P) || b.pte_gpa != GPA_NONE);
        return;
    }
    HOLDS(walk_allows(v, &a, access, user));
    HOLDS(a.page_size == 4096 || a.page_size == 2u << 20 || a.page_size == 4u << 20);
    HOLDS((a.gpa & 0xfff) == (gla & 0xfff) && a.gpa < 1ull << 36);
    HOLDS(access != ACC_WRITE || a.dirty);
    // Once done, a walk has nothing more to set, unless the entries are not memory or name
    // themselves.
    if (walk(v, &w->phys, gla, access, user, &b, &pferr2) && b.pte == a.pte && b.pde == a.pde)
        HOLDS(a.gpa == b.gpa && a.user == b.user && a.writable == b.writable && a.nx == b.nx);
}

static void check_window(struct world *w, gla_t gla, enum access access)
{
    struct vcpu *v = w->v;
    enum window_fault found;
    bool writable;
    u32 pferr;

    if (access == ACC_FETCH) {
        if (!setjmp(w->catcher))
            mmu_fetch_gpa(v, gla);
        return;
    }
    found = window_fault(v, gla, access, &pferr);
    if (found == WINDOW_FILLED) {
        HOLDS(window_maps(mmu_window(v), gla, &writable));
        HOLDS(writable || access == ACC_READ);
        window_fill_ahead(v, gla, gla & 7);
    }
}

static void set_mode(struct world *w, u8 bits, u32 more)
{
    struct vcpu *v = w->v;

    v->cr0 = CR0_PE | (bits & 1 ? CR0_PG : 0) | (bits & 2 ? CR0_WP : 0);
    v->cr4 = (bits & 4 ? CR4_PSE : 0) | (bits & 8 ? CR4_PAE : 0) | (bits & 16 ? CR4_PGE : 0);
    v->efer = bits & 32 ? EFER_NXE : 0;
    w->phys.a20_mask = more & 1 ? ~0x100000u : ~0u;
    if (v->cr4 & CR4_PAE && !walk_pdptes(&w->phys, v->cr3, v->pdpte))
        v->cr4 &= ~CR4_PAE;
    mmu_mode_changed(v);
}

static void play(struct world *w, const u8 *r)
{
    struct vcpu *v = w->v;
    u32 at = get32(r + 4), value = get32(r + 8);
    enum access access = r[1] % 3;

    v->cpl = r[1] & 4 ? 3 : 0;
    mmu_cpl_changed(v);
    switch (r[0] % 10) {
    case 0: case 1:
        phys_write32(&w->phys, at % RAM, value);
        break;
    case 2: case 3:
        check_walk(w, at, access, r[1] & 4);
        break;
    case 4: case 5:
        check_window(w, at, access);
        break;
    case 6:
        mmu_invlpg(v, at);
        break;
    case 7:
        v->cr3 = at;
        if (!(v->cr4 & CR4_PAE) || walk_pdptes(&w->phys, at, v->pdpte))
            mmu_cr3_written(v);
        else
            set_mode(w, r[2] & ~8, 0);
        break;
    case 8:
        set_mode(w, r[2], 0);
        break;
    case 9:
        mmu_protect_code(v, at);
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct window_limits limits = { .windows = 4, .maps = 40 };
    struct world *w = calloc(1, sizeof(*w));
    struct err err;

    w->v = aligned_alloc(64, sizeof(*w->v));
    memset(w->v, 0, sizeof(*w->v));
    w->v->catcher = &w->catcher;
    bus_init(&w->bus);
    HOLDS(phys_init(&w->phys, RAM, &w->bus, &err));
    HOLDS(mmu_init(&w->mmu, w->v, &w->phys, &err));
    HOLDS(windows_init(&w->mmu, w->v, &limits, &err));
    if (size >= 9) {
        w->v->cr3 = get32(data + 1);
        set_mode(w, data[0], get32(data + 5));
        if (get32(data + 5) & 1)
            mmu_flush_all(w->v);
        for (size_t i = 9; i + RECORD <= size; i += RECORD)
            play(w, data + i);
    }
    mmu_destroy(&w->mmu);
    phys_destroy(&w->phys);
    bus_destroy(&w->bus);
    free(w->v);
    free(w);
    return 0;
}
