// SPDX-License-Identifier: GPL-2.0-or-later
#include "rmap.h"
#include "windows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK_SHIFT 9 // frames of a 2 MiB chunk
#define WHERE_PAGE 0xfffffu

static u32 *map_heads(size_t n)
{
    void *p = mmap(NULL, n * sizeof(u32), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

bool rmap_init(struct rmap *rmap, size_t frames)
{
    memset(rmap, 0, sizeof(*rmap));
    rmap->frames = frames;
    rmap->frame = map_heads(frames);
    rmap->chunk = map_heads((frames >> CHUNK_SHIFT) + 1);
    rmap->used = 1;
    if (rmap->frame && rmap->chunk)
        return true;
    rmap_destroy(rmap);
    return false;
}

void rmap_destroy(struct rmap *rmap)
{
    if (rmap->frame)
        munmap(rmap->frame, rmap->frames * sizeof(u32));
    if (rmap->chunk)
        munmap(rmap->chunk, ((rmap->frames >> CHUNK_SHIFT) + 1) * sizeof(u32));
    free(rmap->node);
    memset(rmap, 0, sizeof(*rmap));
}

static u32 node_new(struct rmap *rmap)
{
    u32 i = rmap->free;

    if (i) {
        rmap->free = rmap->node[i].next;
        return i;
    }
    if (rmap->used >= rmap->size) {
        u32 size = rmap->size ? rmap->size * 2 : 1024;
        struct rmap_node *node = realloc(rmap->node, size * sizeof(*node));

        if (!node)
            return 0;
        rmap->node = node;
        rmap->size = size;
    }
    return rmap->used++;
}

static struct window *node_window(struct windows *ws, u32 where)
{
    return &ws->window[where >> 20];
}

static struct region *node_region(struct windows *ws, u32 where)
{
    const struct window *w = node_window(ws, where);

    if (w->kind == WINDOW_FREE)
        return NULL;
    return w->region[(where & WHERE_PAGE) / region_pages(w)];
}

static u32 frame_at(struct windows *ws, const struct window *w, const struct region *r,
                    unsigned i)
{
    return phys_page(ws->phys, region_gpa(w, r, i))->frame;
}

// Whether a node of a frame's list is true: the frame is mapped writable at that page.
static bool frame_node_holds(struct windows *ws, u32 where, u32 frame)
{
    const struct window *w = node_window(ws, where);
    const struct region *r = node_region(ws, where);
    unsigned i;

    if (!r)
        return false;
    i = (where & WHERE_PAGE) % region_pages(w);
    return bit_get(r->writable, i) && frame_at(ws, w, r, i) == frame;
}

// Whether a node of a chunk's list is true: a large region maps some of the chunk.
static bool chunk_node_holds(struct windows *ws, u32 where, u32 chunk)
{
    const struct window *w = node_window(ws, where);
    const struct region *r = node_region(ws, where);
    u32 first, last;

    if (!r || !region_large(r))
        return false;
    if (r->scattered)
        return true;
    first = region_gpa(w, r, 0) >> PAGE_SHIFT >> CHUNK_SHIFT;
    last = region_gpa(w, r, region_pages(w) - 1) >> PAGE_SHIFT >> CHUNK_SHIFT;
    return chunk >= first && chunk <= last;
}

// Adds a node unless it is there, removing untrue ones on the way.
static bool list_add(struct windows *ws, u32 *head, u32 where, u32 key,
                     bool (*holds)(struct windows *, u32, u32))
{
    struct rmap *rmap = &ws->rmap;
    u32 *link = head, i;

    while ((i = *link)) {
        struct rmap_node *node = &rmap->node[i];

        if (node->where == where)
            return true;
        if (holds(ws, node->where, key)) {
            link = &node->next;
        } else {
            *link = node->next;
            node->next = rmap->free;
            rmap->free = i;
        }
    }
    i = node_new(rmap);
    if (!i)
        return false;
    rmap->node[i] = (struct rmap_node){ *head, where };
    *head = i;
    return true;
}

bool rmap_add(struct windows *ws, const struct window *w, u32 page, u32 frame, unsigned n,
              bool large)
{
    u32 where = w->id << 20 | page;

    if (large) {
        for (u32 c = frame >> CHUNK_SHIFT; c <= (frame + n - 1) >> CHUNK_SHIFT; c++)
            if (!list_add(ws, &ws->rmap.chunk[c], where - page % region_pages(w), c,
                          chunk_node_holds))
                return false;
        return true;
    }
    for (unsigned i = 0; i < n; i++)
        if (!list_add(ws, &ws->rmap.frame[frame + i], where + i, frame + i, frame_node_holds))
            return false;
    return true;
}

// Protects the frame in a large region, where it is at most one page unless the region is
// scattered.
static void protect_in_region(struct windows *ws, struct window *w, struct region *r, u32 frame)
{
    unsigned first = 0, last = region_pages(w) - 1;

    if (!r->scattered)
        first = last = frame - (region_gpa(w, r, 0) >> PAGE_SHIFT);
    for (unsigned k = first; k <= last; k++)
        if (bit_get(r->writable, k) && frame_at(ws, w, r, k) == frame &&
            !window_protect(ws, w, r->page + k, 1))
            return;
}

void rmap_protect(struct windows *ws, u32 frame)
{
    struct rmap *rmap = &ws->rmap;
    u32 chunk = frame >> CHUNK_SHIFT, i, next;

    for (i = rmap->frame[frame]; i; i = next) {
        u32 where = rmap->node[i].where;

        next = rmap->node[i].next;
        if (frame_node_holds(ws, where, frame))
            window_protect(ws, node_window(ws, where), where & WHERE_PAGE, 1);
        rmap->node[i].next = rmap->free;
        rmap->free = i;
    }
    rmap->frame[frame] = 0;
    for (i = rmap->chunk[chunk]; i; i = rmap->node[i].next) {
        u32 where = rmap->node[i].where;

        if (chunk_node_holds(ws, where, chunk))
            protect_in_region(ws, node_window(ws, where), node_region(ws, where), frame);
    }
}
