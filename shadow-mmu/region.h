// SPDX-License-Identifier: GPL-2.0-or-later
// A region is the part of a window that one directory entry maps: 4 MiB, or 2 MiB with PAE. It
// holds the copies of the guest's entries that its mappings and fetches relied on.
#ifndef RING3_SHADOW_MMU_REGION_H
#define RING3_SHADOW_MMU_REGION_H

#include "window.h"

#define REGION_WORDS 16 // bitmaps of up to 1024 pages

struct region {
    u64 dir;     // the directory entry as last used
    gpa_t table; // its page table; GPA_NONE for a large page and with paging off
    u32 page;    // first linear page number
    u16 place;   // in window.list
    u16 lo, hi;  // the tracked entries lie in [lo, hi]
    u16 tracked, nonglobal; // counts of entries; a large page is one
    bool scattered; // some page's frame number is not that of its physical address (ROM, PAM)
    u64 mapped[REGION_WORDS], writable[REGION_WORDS], fetched[REGION_WORDS];
    // Copies of the page table's entries, 0 where nothing relied on them. None for a large page.
    union {
        u32 e32[0];
        u64 e64[0];
    } entry __attribute__((aligned(16)));
};

// Bits of an entry that, when they change, change what a mapping may do. The others (available
// bits, PWT, PCD, PAT; D and G of a directory entry that leads to a table) only need copying.
#define ENTRY_IGNORED 0xe18ull
#define LEAF_IGNORED (ENTRY_IGNORED | 0x80) // bit 7 is PAT in a page-table entry
#define DIR_IGNORED (ENTRY_IGNORED | PTE_D | PTE_G)
#define LARGE_IGNORED (ENTRY_IGNORED | 0x1000)

static inline bool bit_get(const u64 *map, unsigned i)
{
    return map[i / 64] >> (i % 64) & 1;
}
static inline void bit_set(u64 *map, unsigned i)
{
    map[i / 64] |= 1ull << (i % 64);
}
static inline void bit_clear(u64 *map, unsigned i)
{
    map[i / 64] &= ~(1ull << (i % 64));
}

static inline unsigned region_pages(const struct window *w)
{
    return w->mode & CR4_PAE ? 512 : 1024;
}
static inline unsigned region_index(const struct window *w, gla_t gla)
{
    return w->mode & CR4_PAE ? gla >> 21 : gla >> 22;
}
static inline bool region_large(const struct region *r)
{
    return r->table == GPA_NONE;
}
static inline u64 region_entry(const struct window *w, const struct region *r, unsigned i)
{
    return w->mode & CR4_PAE ? r->entry.e64[i] : r->entry.e32[i];
}

// Whether a directory entry maps a large page in this window's mode.
bool dir_is_large(const struct window *w, u64 dir);
// Bits in which two directory entries differ in a way that matters.
u64 dir_differs(const struct window *w, u64 a, u64 b);
// The guest's directory entry for the region now; 0 if a PAE pointer entry is not present.
u64 dir_read(const struct window *w, struct phys *phys, unsigned index);

// The guest-physical address of page i of the region, by the copies.
gpa_t region_gpa(const struct window *w, const struct region *r, unsigned i);

// Makes an empty region. NULL if memory is refused.
struct region *region_new(struct window *w, unsigned index, u64 dir);
// Forgets a region with no mapped pages.
void region_free(struct window *w, struct region *r);

// Copies an entry (index 0 for a large page's, whose value dir already is); counts it.
void region_track(struct window *w, struct region *r, unsigned i, u64 entry);
void region_untrack(struct window *w, struct region *r, unsigned i);

// ---- The host's side. `page` is a linear page number. Each keeps the bitmaps and window.maps
// true. Those that return bool return false where the host refuses; but for window_map, which
// leaves the range unmapped, they have then emptied the window instead: its regions are gone.

// Maps [page, page+n), all in one region, to the frames from `frame` on. The copies of the
// entries must be in place. When it fails the window may have been emptied, too.
bool window_map(struct windows *ws, struct window *w, u32 page, unsigned n, u32 frame,
                bool writable);
// Takes the right to write from [page, page+n), all mapped, in one region.
bool window_protect(struct windows *ws, struct window *w, u32 page, unsigned n);
// Unmaps [page, page+n) of one region, whether mapped or not.
bool window_unmap(struct windows *ws, struct window *w, u32 page, unsigned n);
// Drops a region with all it has mapped.
bool region_drop(struct windows *ws, struct window *w, struct region *r);
// Drops everything and forgets what was fetched.
void window_reset(struct windows *ws, struct window *w);
// Invariant 6 of window.h; len 0 means everything.
void window_code_changed(struct windows *ws, struct window *w, gla_t gla, u32 len);

// The most host mappings that mapping one run can add: it splits what is there in two.
#define MAPS_PER_RUN 2

#endif
