// SPDX-License-Identifier: GPL-2.0-or-later
#include "region.h"

#include "monitor/base/phase.h"
#include "pte.h"
#include "tlb.h"
#include "windows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// Runs of at most this many pages are populated as they are mapped: see the README's table.
#define POPULATE_MAX 16

static bool pae(const struct window *w)
{
    return w->mode & CR4_PAE;
}

bool dir_is_large(const struct window *w, u64 dir)
{
    return w->kind == WINDOW_IDENTITY || (dir & PTE_PS && w->mode & (CR4_PAE | CR4_PSE));
}

u64 dir_differs(const struct window *w, u64 a, u64 b)
{
    if (!dir_is_large(w, a))
        return (a ^ b) & ~DIR_IGNORED;
    // D set by the guest or a checked write does not hurt what is mapped read-only.
    return (a ^ b) & ~(LARGE_IGNORED | (a & PTE_D ? 0 : PTE_D));
}

u64 dir_read(const struct window *w, struct phys *phys, unsigned index)
{
    u64 pdpte;

    if (!pae(w))
        return pte_read(phys, false, (w->cr3 & PAGE_MASK) + index * 4);
    pdpte = w->pdpte[index >> 9];
    if (!(pdpte & PTE_P))
        return 0;
    return pte_read(phys, true, (pdpte & PAE_ADDRESS) + (index & 511) * 8);
}

gpa_t region_gpa(const struct window *w, const struct region *r, unsigned i)
{
    gpa_t offset = (gpa_t)i << PAGE_SHIFT;

    if (w->kind == WINDOW_IDENTITY)
        return ((gpa_t)r->page << PAGE_SHIFT) + offset;
    if (region_large(r))
        return pde_large_gpa(pae(w), r->dir) + offset;
    return pte_gpa(pae(w), region_entry(w, r, i));
}

// ---- The list of regions: [0, nonglobal) have entries that are not global.
static void list_swap(struct window *w, unsigned a, unsigned b)
{
    struct region *t = w->list[a];

    w->list[a] = w->list[b];
    w->list[b] = t;
    w->list[a]->place = a;
    w->list[b]->place = b;
}

static void set_nonglobal(struct window *w, struct region *r, unsigned count)
{
    bool was = r->nonglobal, is = count;

    r->nonglobal = count;
    if (!was && is)
        list_swap(w, r->place, w->nonglobal++);
    else if (was && !is)
        list_swap(w, r->place, --w->nonglobal);
}

struct region *region_new(struct window *w, unsigned index, u64 dir)
{
    bool large = dir_is_large(w, dir);
    struct region *r = aligned_alloc(16, sizeof(*r) + (large ? 0 : PAGE_SIZE));

    if (!r)
        return NULL;
    memset(r, 0, sizeof(*r) + (large ? 0 : PAGE_SIZE));
    r->dir = dir;
    r->table = large ? GPA_NONE : pte_gpa(pae(w), dir);
    r->page = index * region_pages(w);
    r->lo = region_pages(w);
    r->place = w->regions;
    w->list[w->regions++] = r;
    w->region[index] = r;
    if (large)
        region_track(w, r, 0, dir);
    return r;
}

void region_free(struct window *w, struct region *r)
{
    set_nonglobal(w, r, 0);
    list_swap(w, r->place, w->regions - 1);
    w->regions--;
    w->region[r->page / region_pages(w)] = NULL;
    free(r);
}

void region_track(struct window *w, struct region *r, unsigned i, u64 entry)
{
    if (!region_large(r)) {
        if (region_entry(w, r, i))
            region_untrack(w, r, i);
        if (pae(w))
            r->entry.e64[i] = entry;
        else
            r->entry.e32[i] = entry;
    }
    r->lo = MIN(r->lo, i);
    r->hi = MAX(r->hi, i);
    r->tracked++;
    if (!(entry & PTE_G))
        set_nonglobal(w, r, r->nonglobal + 1);
}

void region_untrack(struct window *w, struct region *r, unsigned i)
{
    u64 old = region_entry(w, r, i);

    if (!old)
        return;
    if (pae(w))
        r->entry.e64[i] = 0;
    else
        r->entry.e32[i] = 0;
    r->tracked--;
    if (!(old & PTE_G))
        set_nonglobal(w, r, r->nonglobal - 1);
}

// ---- Counting host mappings. The host joins neighbours that continue each other, so a window's
// number of mappings is the number of borders between pages that don't, plus one.
#define STATE_NONE 0

static u64 page_state(const struct windows *ws, const struct window *w, u32 page)
{
    const struct region *r;
    unsigned i = page % region_pages(w);

    if (page >> 20)
        return STATE_NONE;
    r = w->region[page / region_pages(w)];
    if (!r || !bit_get(r->mapped, i))
        return STATE_NONE;
    return (u64)phys_page(ws->phys, region_gpa(w, r, i))->frame << 2 |
           (bit_get(r->writable, i) ? 3 : 1);
}

static bool joined(u64 a, u64 b)
{
    return a ? b == a + 4 : !b;
}

// Borders from the one before `page` to the one after page + n - 1.
static unsigned borders(const struct windows *ws, const struct window *w, u32 page, unsigned n)
{
    u64 a = page_state(ws, w, page - 1), b;
    unsigned count = 0;

    for (unsigned i = 0; i <= n; i++, a = b) {
        b = page_state(ws, w, page + i);
        count += !joined(a, b);
    }
    return count;
}

static bool any_mapped(const struct region *r, unsigned i, unsigned n)
{
    for (unsigned k = i; k < i + n; k++) {
        if (!r->mapped[k / 64])
            k |= 63;
        else if (bit_get(r->mapped, k))
            return true;
    }
    return false;
}

static void add_maps(struct windows *ws, struct window *w, int delta)
{
    w->maps += delta;
    ws->maps += delta;
}

// The two outer borders of a range that is uniform inside.
static unsigned outer_borders(const struct windows *ws, const struct window *w, u32 page,
                              unsigned n)
{
    return !joined(page_state(ws, w, page - 1), page_state(ws, w, page)) +
           !joined(page_state(ws, w, page + n - 1), page_state(ws, w, page + n));
}

static u8 *host_of(const struct window *w, u32 page)
{
    return w->base + ((u64)page << PAGE_SHIFT);
}

static bool reserve(u8 *at, u64 len)
{
    return mmap(at, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
                0) != MAP_FAILED;
}

// Like reserve, for all that is mapped in a window, or may be missing there, and can't fail. The host refuses even to
// replace mappings when the process has more than it may; removing them it can't refuse, unless there are none (one
// reservation would become two), and then there is room.
static void reserve_all(u8 *at, u64 len)
{
    if (reserve(at, len) || munmap(at, len) < 0)
        return;
    CHECK(mmap(at, len, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) == at);
}

bool window_map(struct windows *ws, struct window *w, u32 page, unsigned n, u32 frame,
                bool writable)
{
    struct region *r = w->region[page / region_pages(w)];
    unsigned i = page % region_pages(w);
    unsigned before = any_mapped(r, i, n) ? borders(ws, w, page, n)
                                          : outer_borders(ws, w, page, n);
    int prot = PROT_READ | (writable ? PROT_WRITE : 0);
    int flags = MAP_SHARED | MAP_FIXED | MAP_NORESERVE | (n <= POPULATE_MAX ? MAP_POPULATE : 0);
    enum phase phase = ws->v->phase;
    void *at;

    ws->v->phase = PHASE_HOST_MAP;
    at = mmap(host_of(w, page), (u64)n << PAGE_SHIFT, prot, flags, ws->phys->memfd,
              (off_t)frame << PAGE_SHIFT);
    ws->v->phase = phase;
    if (at == MAP_FAILED) {
        ws->stat.refused++;
        // The host may have removed what was there before it failed.
        window_unmap(ws, w, page, n);
        return false;
    }
    if (frame != region_gpa(w, r, i) >> PAGE_SHIFT)
        r->scattered = true;
    for (unsigned k = i; k < i + n; k++) {
        w->pages += !bit_get(r->mapped, k);
        bit_set(r->mapped, k);
        if (writable)
            bit_set(r->writable, k);
        else
            bit_clear(r->writable, k);
    }
    add_maps(ws, w, (int)outer_borders(ws, w, page, n) - (int)before);
    return true;
}

bool window_protect(struct windows *ws, struct window *w, u32 page, unsigned n)
{
    struct region *r = w->region[page / region_pages(w)];
    unsigned i = page % region_pages(w), before = borders(ws, w, page, n);
    enum phase phase = ws->v->phase;
    int failed;

    ws->v->phase = PHASE_HOST_MAP;
    failed = mprotect(host_of(w, page), (u64)n << PAGE_SHIFT, PROT_READ);
    ws->v->phase = phase;
    if (failed) {
        ws->stat.refused++;
        window_reset(ws, w);
        return false;
    }
    for (unsigned k = i; k < i + n; k++)
        bit_clear(r->writable, k);
    add_maps(ws, w, (int)borders(ws, w, page, n) - (int)before);
    return true;
}

bool window_unmap(struct windows *ws, struct window *w, u32 page, unsigned n)
{
    struct region *r = w->region[page / region_pages(w)];
    unsigned i = page % region_pages(w), before = borders(ws, w, page, n);
    enum phase phase = ws->v->phase;
    bool done;

    ws->v->phase = PHASE_HOST_MAP;
    done = reserve(host_of(w, page), (u64)n << PAGE_SHIFT);
    ws->v->phase = phase;
    if (!done) {
        u8 *at = host_of(w, page);

        ws->stat.refused++;
        window_reset(ws, w);
        // What window_map found missing: left open, the hole could get a mapping of the monitor's own, which the next one
        // of the window's would replace.
        reserve_all(at, (u64)n << PAGE_SHIFT);
        return false;
    }
    for (unsigned k = i; k < i + n; k++) {
        w->pages -= bit_get(r->mapped, k);
        bit_clear(r->mapped, k);
        bit_clear(r->writable, k);
    }
    add_maps(ws, w, (int)outer_borders(ws, w, page, n) - (int)before);
    return true;
}

// The mapped pages of a region, as [*first, *last); false if there are none.
static bool mapped_span(const struct window *w, const struct region *r, u32 *first, u32 *last)
{
    unsigned a = 0, b = region_pages(w);

    while (a < b && !bit_get(r->mapped, a))
        a++;
    while (b > a && !bit_get(r->mapped, b - 1))
        b--;
    *first = r->page + a;
    *last = r->page + b;
    return a < b;
}

void window_reset(struct windows *ws, struct window *w)
{
    u32 first = ~0u, last = 0, a, b;

    for (unsigned k = 0; k < w->regions; k++) {
        if (mapped_span(w, w->list[k], &a, &b)) {
            first = MIN(first, a);
            last = MAX(last, b);
        }
    }
    if (first < last) {
        reserve_all(host_of(w, first), (u64)(last - first) << PAGE_SHIFT);
        ws->stat.resets++;
    }
    add_maps(ws, w, -(int)w->maps);
    w->pages = 0;
    if (w->regions)
        window_code_changed(ws, w, 0, 0);
    while (w->regions)
        region_free(w, w->list[w->regions - 1]);
    w->wp_used = w->untracked = false;
}

bool region_drop(struct windows *ws, struct window *w, struct region *r)
{
    u64 fetched = 0;
    u32 first, last;

    if (mapped_span(w, r, &first, &last)) {
        for (unsigned k = 0; k < REGION_WORDS; k++)
            ws->stat.dropped += __builtin_popcountll(r->mapped[k]);
        if (!window_unmap(ws, w, first, last - first))
            return false;
    }
    for (unsigned k = 0; k < REGION_WORDS; k++)
        fetched |= r->fetched[k];
    if (fetched)
        window_code_changed(ws, w, r->page << PAGE_SHIFT, region_pages(w) << PAGE_SHIFT);
    region_free(w, r);
    return true;
}

void window_code_changed(struct windows *ws, struct window *w, gla_t gla, u32 len)
{
    struct mmu *mmu = ws->mmu;

    w->code_generation++;
    ws->stat.generations++;
    // An xtag stands for a fetch that is recorded, and it is not any more.
    tlb_forget_code(ws->v);
    if (mmu->mapping_changed)
        mmu->mapping_changed(mmu->opaque, gla, len);
}
