// SPDX-License-Identifier: GPL-2.0-or-later
// All windows of a machine: private to shadow-mmu.
#ifndef RING3_SHADOW_MMU_WINDOWS_H
#define RING3_SHADOW_MMU_WINDOWS_H

#include "region.h"
#include "rmap.h"
#include "window.h"

// Paging modes in window.mode: the bits that change what the tables mean.
#define MODE_PG BIT(31)  // CR0.PG
#define MODE_NXE BIT(11) // EFER.NXE, with PAE
// and CR4_PAE, CR4_PSE where they are in CR4

#define SUPERS_MAX 4
#define SUPER_MEMORY 64 // entries of the CR3 -> super window memory

#define CHURN_SLOTS 64

// A supervisor page that was filled lately. Kernels have pages through which they look at other
// memory for a moment (fixmap, kmap, text poking): a signal and two host mappings for one
// access. See window.c.
struct churn {
    u32 where;   // window id << 20 | linear page number
    u8 score;    // how often it was flushed and filled again
    u8 answered; // faults since it was last flushed that were not filled
    bool flushed;
    u64 epoch;   // of the window, at its last fault
};

struct windows {
    struct mmu *mmu;
    struct phys *phys;
    struct vcpu *v;
    u8 *area; // the reservation that all windows lie in
    size_t area_size;
    struct window *window;
    unsigned count, supers; // supers: of them, those of kind super

    u64 epoch;        // counts flushes
    u64 global_epoch; // counts those that take global pages too
    u64 clock;        // for LRU

    unsigned maps, maps_max; // of all windows

    // Which super window a CR3 used last: with page-table isolation kernels have two kinds of
    // CR3, and dropping the kernel's window at each system call would cost more than anything
    // else.
    struct {
        u32 cr3;
        u32 id;
    } super_of[SUPER_MEMORY];

    struct rmap rmap;
    u64 touched[(1u << 20) / 512 / 64]; // bit per 2 MiB of the memfd: see window.c
    struct churn churn[CHURN_SLOTS];
    struct window_stats stat;
};

static inline struct churn *churn_slot(struct windows *ws, u32 page)
{
    return &ws->churn[(page ^ page >> 6) % CHURN_SLOTS];
}

// ---- windows.c
// Evicts windows, least recently used first, until `need` more host mappings fit; empties a
// current window only as the last resort. False if need exceeds the budget.
bool windows_make_room(struct windows *ws, unsigned need);
// The host refused something although the budget had room: evicts or empties the window, other
// than `keep`, that was used least recently. False if there is none with pages.
bool windows_relieve(struct windows *ws, const struct window *keep);

// ---- check.c: compares copies with the guest's tables and drops what differs.
// The whole window, or with skip_global only entries that are not global.
void window_check(struct windows *ws, struct window *w, bool skip_global);
// One page, or the large page it lies in.
void window_check_page(struct windows *ws, struct window *w, gla_t gla);
// Drops one page, or the large page it lies in.
void window_drop_page(struct windows *ws, struct window *w, gla_t gla);
// How many of the regions that window_check would look at have another directory entry now.
unsigned window_mismatches(struct windows *ws, const struct window *w, bool skip_global);
// Makes the copy of entry i say `entry`, dropping or downgrading a mapping that it no longer
// carries. False if the window was emptied.
bool region_update(struct windows *ws, struct window *w, struct region *r, unsigned i, u64 entry);
// The region of gla, made if needed, in accord with a walk just done. NULL if memory is refused.
struct region *region_for(struct windows *ws, struct window *w, gla_t gla,
                          const struct walk *walk);

// ---- events, called by mmu.c
void windows_cr3_written(struct windows *ws);
void windows_mode_changed(struct windows *ws);
void windows_invlpg(struct windows *ws, gla_t gla);
void windows_flush_all(struct windows *ws);
void windows_protect_code(struct windows *ws, const struct phys_page *p);
// Code was fetched through this translation.
void windows_note_fetch(struct windows *ws, gla_t gla, const struct walk *walk);

#endif
