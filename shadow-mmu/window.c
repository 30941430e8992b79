// SPDX-License-Identifier: GPL-2.0-or-later
// Faults in windows: whose they are, and the fill.
#include "window.h"
#include "pte.h"
#include "windows.h"

// With more runs than this in one large page (or a quarter of the budget), only the one asked
// for is mapped: a page full of scattered code pages would spend the budget on what nobody
// touches.
#define LARGE_RUNS_MAX 64

// A page that was flushed and filled this often is taken for one that comes and goes; then this
// many faults after a flush are answered without mapping it. A fill costs as much as three such
// faults, so at the fourth it is mapped after all, and is no longer taken for one.
#define CHURN_MAX 8
#define CHURN_FAULTS 3

// How a page can be mapped. 0: not at all.
enum { MAP_READ = 1, MAP_WRITE = 2 };

static unsigned page_maps(const struct phys_page *p, bool write_allowed)
{
    if (!(p->flags & PHYS_READ))
        return 0;
    if (write_allowed && (p->flags & (PHYS_WRITE | PHYS_CODE)) == PHYS_WRITE)
        return MAP_READ | MAP_WRITE;
    return MAP_READ;
}

// The first touch of each 2 MiB of memory goes through the monitor's own mapping, the one that
// asks for huge pages, so that windows find huge pages too.
static void touch(struct windows *ws, u32 frame)
{
    u64 *word = &ws->touched[frame >> 9 >> 6], bit = 1ull << (frame >> 9 & 63);

    if (!(*word & bit)) {
        *word |= bit;
        (void)*(volatile u8 *)phys_frame_host(ws->phys, frame);
    }
}

static bool map_run(struct windows *ws, struct window *w, struct region *r, unsigned i,
                    unsigned n, u32 frame, bool writable)
{
    u32 page = r->page + i;

    if (writable && !rmap_add(ws, w, page, frame, n, region_large(r)))
        return false;
    if (!window_map(ws, w, page, n, frame, writable))
        return false;
    ws->stat.fill_pages += n;
    return true;
}

// What a fill knows of the page asked for.
struct fill {
    struct windows *ws;
    struct window *w;
    struct region *r;
    const struct walk *walk;
    unsigned i;         // the page in its region
    bool write_allowed; // by the guest's entries
    u32 frame;
    unsigned how;
    unsigned runs_max; // that may be mapped at once
};

// ---- Page tables: as many neighbours as continue the page, in the table and in memory.
static bool neighbour(const struct fill *f, const void *table, int delta)
{
    unsigned j = f->i + delta;
    bool pae = f->w->mode & CR4_PAE;
    u64 entry = pae ? ((const u64 *)table)[j] : ((const u32 *)table)[j];
    u64 want = f->walk->pte + delta * (i64)PAGE_SIZE;
    const struct phys_page *p;

    if ((entry ^ want) & ~LEAF_IGNORED || bit_get(f->r->mapped, j))
        return false;
    p = phys_page(f->ws->phys, pte_gpa(pae, entry));
    return p->frame == f->frame + delta && page_maps(p, f->write_allowed) == f->how;
}

static bool fill_small(struct fill *f)
{
    const void *table = phys_host(f->ws->phys, f->r->table);
    int first = f->i, last = f->i, end = region_pages(f->w) - 1;

    while (table && last < end && neighbour(f, table, last + 1 - (int)f->i))
        last++;
    while (table && first > 0 && neighbour(f, table, first - 1 - (int)f->i))
        first--;
    for (int j = first; j <= last; j++) {
        u64 entry = f->walk->pte + (j - (int)f->i) * (i64)PAGE_SIZE;

        if (!region_update(f->ws, f->w, f->r, j, entry))
            return false;
        if (!region_entry(f->w, f->r, j))
            region_track(f->w, f->r, j, entry);
    }
    return map_run(f->ws, f->w, f->r, first, last - first + 1, f->frame - f->i + first,
                   f->how & MAP_WRITE);
}

// ---- Large pages, and identity: all of the region that is memory.
static unsigned run_length(const struct fill *f, unsigned i, u32 *frame, unsigned *how)
{
    struct phys *phys = f->ws->phys;
    const struct phys_page *p = phys_page(phys, region_gpa(f->w, f->r, i));
    unsigned n = 0, pages = region_pages(f->w);

    *frame = p->frame;
    *how = page_maps(p, f->write_allowed);
    do {
        n++;
        p = phys_page(phys, region_gpa(f->w, f->r, i + n));
    } while (i + n < pages && page_maps(p, f->write_allowed) == *how &&
             (!*how || p->frame == *frame + n));
    return n;
}

static bool fill_large(struct fill *f)
{
    unsigned pages = region_pages(f->w), runs = 0, how, n;
    u32 frame;

    // A page that is mapped already gets its other rights; the rest of the region stays.
    if (bit_get(f->r->mapped, f->i))
        return map_run(f->ws, f->w, f->r, f->i, 1, f->frame, f->how & MAP_WRITE);
    for (unsigned i = 0; i < pages; i += run_length(f, i, &frame, &how))
        runs++;
    for (unsigned i = 0; i < pages; i += n) {
        n = run_length(f, i, &frame, &how);
        if (!how || (runs > f->runs_max && (f->i < i || f->i >= i + n)))
            continue;
        if (!map_run(f->ws, f->w, f->r, i, n, frame, how & MAP_WRITE))
            return false;
    }
    return true;
}

static bool fill(struct windows *ws, struct window *w, gla_t gla, const struct walk *walk,
                 const struct phys_page *p, bool user)
{
    struct fill f = {
        .ws = ws, .w = w, .walk = walk, .frame = p->frame,
        .write_allowed = walk->dirty && walk_allows(ws->v, walk, ACC_WRITE, user),
    };

    bool large = walk->page_size != PAGE_SIZE || w->kind == WINDOW_IDENTITY;

    f.runs_max = large ? MAX(MIN(LARGE_RUNS_MAX, ws->maps_max / 4), 1) : 1;
    // Before the region is looked up: making room may empty this very window.
    if (!windows_make_room(ws, f.runs_max * MAPS_PER_RUN))
        return false;
    f.r = region_for(ws, w, gla, walk);
    if (!f.r)
        return false;
    f.i = (gla >> PAGE_SHIFT) % region_pages(w);
    f.how = page_maps(p, f.write_allowed);
    if (f.how & MAP_WRITE && !walk->writable)
        w->wp_used = true;
    touch(ws, f.frame);
    if (!region_large(f.r))
        return fill_small(&f);
    if (w->kind != WINDOW_IDENTITY && walk->pde & PTE_D && !(f.r->dir & PTE_D)) {
        // Now that the large page is dirty, all of it may be mapped writable.
        if (!window_unmap(ws, w, f.r->page, region_pages(w)))
            return false;
        f.r->dir = walk->pde;
    }
    return fill_large(&f);
}

static bool comes_and_goes(struct windows *ws, const struct window *w, gla_t gla)
{
    u32 page = gla >> PAGE_SHIFT, where = w->id << 20 | page;
    struct churn *c = churn_slot(ws, page);
    bool flushed = c->flushed || c->epoch != w->epoch;

    if (c->where != where) {
        *c = (struct churn){ .where = where, .epoch = w->epoch };
        return false;
    }
    c->flushed = false;
    c->epoch = w->epoch;
    if (flushed) {
        c->answered = 0;
        c->score += c->score < CHURN_MAX;
    }
    if (c->score < CHURN_MAX)
        return false;
    if (c->answered++ < CHURN_FAULTS)
        return true;
    c->score = 0;
    return false;
}

enum window_fault window_fault(struct vcpu *v, gla_t gla, enum access access, u32 *pferr)
{
    struct window *w = mmu_window(v);
    struct windows *ws = v->mmu->windows;
    const struct phys_page *p;
    bool user = v->cpl == 3;
    struct walk walked;

    ws->stat.faults++;
    if (!walk(v, ws->phys, gla, access, user, &walked, pferr)) {
        ws->stat.guest_faults++;
        return WINDOW_GUEST_PF;
    }
    p = phys_page(ws->phys, walked.gpa);
    if (!(p->flags & PHYS_READ))
        return WINDOW_NOT_PLAIN;
    if (w && w->kind == WINDOW_SUPER && walked.user)
        return WINDOW_USER_FROM_SUPER;
    if (access == ACC_WRITE && !(p->flags & PHYS_WRITE))
        return WINDOW_NOT_PLAIN;
    if (access == ACC_WRITE && p->flags & PHYS_CODE)
        return WINDOW_CODE_PAGE;
    if (w && w->kind == WINDOW_SUPER && walked.page_size == PAGE_SIZE &&
        comes_and_goes(ws, w, gla)) {
        ws->stat.transient++;
        return WINDOW_TRANSIENT;
    }
    while (w && !fill(ws, w, gla, &walked, p, user))
        if (!windows_relieve(ws, w) && !windows_relieve(ws, NULL))
            return WINDOW_NOT_PLAIN;
    if (!w)
        return WINDOW_NOT_PLAIN;
    ws->stat.fills++;
    if (v->log && log_on(v->log, LOG_MMU))
        log_to(v->log, LOG_MMU, "fill %u: %08x -> %09llx%s%s\n", w->id, gla,
               (unsigned long long)walked.gpa, walked.page_size != PAGE_SIZE ? " large" : "",
               access == ACC_WRITE ? " write" : "");
    return WINDOW_FILLED;
}

void window_fill_ahead(struct vcpu *v, gla_t gla, unsigned pages)
{
    struct window *w = mmu_window(v);
    struct windows *ws = v->mmu->windows;
    u32 page = gla >> PAGE_SHIFT, index, first, last;

    if (!w || w->kind != WINDOW_USER)
        return;
    index = region_index(w, gla);
    first = index * region_pages(w);
    last = first + region_pages(w) - 1;
    first = page - first > pages ? page - pages : first;
    last = last - page > pages ? page + pages : last;
    for (u32 at = first; at <= last; at++) {
        const struct phys_page *p;
        struct walk walked;
        bool writable;

        if (window_maps(w, at << PAGE_SHIFT, &writable) || !walk_probe(v, ws->phys, at << PAGE_SHIFT, &walked) ||
            walked.page_size != PAGE_SIZE || !walked.user || !(walked.pte & PTE_A) || !(walked.pde & PTE_A))
            continue;
        p = phys_page(ws->phys, walked.gpa);
        if (p->flags & PHYS_READ && !fill(ws, w, at << PAGE_SHIFT, &walked, p, true))
            return;
    }
}

bool window_maps(const struct window *w, gla_t gla, bool *writable)
{
    const struct region *r = w->region ? w->region[region_index(w, gla)] : NULL;
    unsigned i = (gla >> PAGE_SHIFT) % region_pages(w);

    if (!r || !bit_get(r->mapped, i))
        return false;
    *writable = bit_get(r->writable, i);
    return true;
}
