// SPDX-License-Identifier: GPL-2.0-or-later
// The reverse map: from a frame to the places where windows may map it writable.
//
// A node is a hint: it names a window and a linear page, and whoever follows it looks there
// whether the frame is still mapped writable. So dropping pages and windows costs nothing here;
// nodes that have become untrue are removed when their list is next walked or added to.
//
// Invariants
//  1. A frame mapped writable as a 4 KiB page is named by a node of its own list; one mapped as
//      part of a large
//     page or with paging off, by a node of its 2 MiB chunk's list, which names the region.
#ifndef RING3_SHADOW_MMU_RMAP_H
#define RING3_SHADOW_MMU_RMAP_H

#include "monitor/base/types.h"

struct window;
struct windows;

struct rmap_node {
    u32 next;  // index of the next node; 0 ends the list
    u32 where; // window id << 20 | linear page number
};

struct rmap {
    u32 *frame, *chunk; // heads, by frame and by frame / 512
    size_t frames;
    struct rmap_node *node;
    u32 size, used; // of node[]; node 0 is never used
    u32 free;       // list of free nodes
};

bool rmap_init(struct rmap *rmap, size_t frames);
void rmap_destroy(struct rmap *rmap);

// Records that w maps frames [frame, frame+n) writable from linear page `page` on, as 4 KiB
// pages or as part of a large region. False if memory is refused: the caller must not map them
// writable.
bool rmap_add(struct windows *ws, const struct window *w, u32 page, u32 frame, unsigned n,
              bool large);
// Makes the frame read-only wherever it is mapped.
void rmap_protect(struct windows *ws, u32 frame);

#endif
