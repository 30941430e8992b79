// SPDX-License-Identifier: GPL-2.0-or-later
// Memory for host code: bounded, bump-allocated, mapped twice so that no mapping is both writable
// and executable. It lies in the low 4 GiB, so that a code address fits 32 bits.
//
//   free --arena_reserve--> reserved --arena_commit--> committed --arena_reset--> free
//                              \--(no commit: the next reserve takes the same bytes)
#ifndef RING3_CACHE_ARENA_H
#define RING3_CACHE_ARENA_H

#include "monitor/base/err.h"
#include "monitor/base/types.h"

struct arena {
    u8 *rx;       // executable view
    u8 *rw;       // writable view of the same bytes
    u32 size;     // bytes
    u32 used;     // committed bytes, from the start
    u32 touched;  // bytes, from the start, that have memory in both views: some ahead of what is used
    u32 floor;    // arena_reset goes back to here: the stubs below stay
};

// Maps size bytes (a multiple of the page size). On failure nothing is left behind.
bool arena_init(struct arena *a, u32 size, struct err *err);
void arena_destroy(struct arena *a);

// The writable address where the next code goes, 16-byte aligned, with at least len bytes
// behind it; NULL if there is no room. Reserving again without a commit gives the same place.
u8 *arena_reserve(struct arena *a, u32 len);
// Keeps the first len bytes of what was last reserved.
void arena_commit(struct arena *a, u32 len);
// Forgets everything above the floor.
void arena_reset(struct arena *a);

static inline u8 *arena_rx(const struct arena *a, const u8 *rw) { return a->rx + (rw - a->rw); }
static inline u8 *arena_rw(const struct arena *a, const u8 *rx) { return a->rw + (rx - a->rx); }
static inline bool arena_has(const struct arena *a, u64 rx)
{
    return rx - (u64)a->rx < a->size;
}

#endif
