// SPDX-License-Identifier: GPL-2.0-or-later
// Flush by comparison: the copies of the entries that mappings relied on against the guest's
// tables.
#include "pte.h"
#include "windows.h"

#include <string.h>

typedef u32 u32x4 __attribute__((vector_size(16)));
typedef u64 u64x2 __attribute__((vector_size(16)));

// What an entry's change means for what is mapped and fetched through it.
enum verdict {
    KEEP,
    DOWNGRADE, // a mapping must become read-only
    DROP,
};

static enum verdict judge(u64 old, u64 now)
{
    u64 differs = (old ^ now) & ~LEAF_IGNORED;

    if (differs & ~(u64)(PTE_W | PTE_D))
        return DROP;
    return differs & old ? DOWNGRADE : KEEP;
}

static u64 entry_at(const struct window *w, const void *table, unsigned i)
{
    return w->mode & CR4_PAE ? ((const u64 *)table)[i] : ((const u32 *)table)[i];
}

// Whether a tracked entry in [lo, hi] differs from the guest's. What this looks at besides, to
// the next multiple of 16 bytes, is not tracked or differs as well.
static bool table_differs(const struct window *w, const struct region *r, const void *now)
{
    if (w->mode & CR4_PAE) {
        const u64x2 *a = (const u64x2 *)r->entry.e64, *b = now;
        u64x2 found = { 0 };

        for (unsigned i = r->lo / 2; i <= r->hi / 2u; i++)
            found |= (a[i] ^ b[i]) & -(a[i] & 1);
        return (found[0] | found[1]) & ~LEAF_IGNORED;
    } else {
        const u32x4 *a = (const u32x4 *)r->entry.e32, *b = now;
        u32x4 found = { 0 };

        for (unsigned i = r->lo / 4; i <= r->hi / 4u; i++)
            found |= (a[i] ^ b[i]) & -(a[i] & 1);
        return (found[0] | found[1] | found[2] | found[3]) & ~(u32)LEAF_IGNORED;
    }
}

// Unmaps the pages of `drop` that are mapped, in as few calls as bridging unmapped gaps allows.
static bool drop_pages(struct windows *ws, struct window *w, struct region *r, const u64 *drop)
{
    unsigned last = 0, n = 0;

    for (unsigned i = r->lo; i <= r->hi; i++) {
        if (!bit_get(r->mapped, i))
            continue;
        if (bit_get(drop, i)) {
            n = n ? n : i + 1; // the run's start, plus 1
            last = i;
            ws->stat.dropped++;
        } else if (n) {
            if (!window_unmap(ws, w, r->page + n - 1, last - n + 2))
                return false;
            n = 0;
        }
    }
    return !n || window_unmap(ws, w, r->page + n - 1, last - n + 2);
}

static bool downgrade_pages(struct windows *ws, struct window *w, struct region *r,
                            const u64 *down)
{
    for (unsigned i = r->lo, n; i <= r->hi; i += n + 1) {
        for (n = 0; i + n <= r->hi && bit_get(down, i + n) && bit_get(r->writable, i + n);)
            n++;
        if (!n)
            continue;
        ws->stat.downgraded += n;
        if (!window_protect(ws, w, r->page + i, n))
            return false;
    }
    return true;
}

// Brings entries [lo, hi] in accord with `now`, a copy or the guest's table. False if the window
// was emptied.
static bool update_entries(struct windows *ws, struct window *w, struct region *r,
                           const void *now, unsigned lo, unsigned hi, bool skip_global)
{
    u64 drop[REGION_WORDS] = { 0 }, down[REGION_WORDS] = { 0 };
    bool any_drop = false, any_down = false, code = false;

    for (unsigned i = lo; i <= hi; i++) {
        u64 old = region_entry(w, r, i), new = entry_at(w, now, i);

        if (!old || old == new || (skip_global && old & PTE_G))
            continue;
        switch (judge(old, new)) {
        case KEEP:
            break;
        case DOWNGRADE:
            any_down = true;
            bit_set(down, i);
            break;
        case DROP:
            any_drop = true;
            bit_set(drop, i);
            break;
        }
    }
    // The host's side first: it counts by the copies as they were.
    if (any_drop && !drop_pages(ws, w, r, drop))
        return false;
    if (any_down && !downgrade_pages(ws, w, r, down))
        return false;
    for (unsigned i = lo; i <= hi; i++) {
        u64 old = region_entry(w, r, i), new = entry_at(w, now, i);

        if (bit_get(drop, i)) {
            code |= bit_get(r->fetched, i);
            bit_clear(r->fetched, i);
            region_untrack(w, r, i);
        } else if (old && old != new && !(skip_global && old & PTE_G)) {
            // Not through region_track: the counts stay as they are.
            if (w->mode & CR4_PAE)
                r->entry.e64[i] = new;
            else
                r->entry.e32[i] = new;
        }
    }
    if (code)
        window_code_changed(ws, w, r->page << PAGE_SHIFT, region_pages(w) << PAGE_SHIFT);
    return true;
}

bool region_update(struct windows *ws, struct window *w, struct region *r, unsigned i, u64 entry)
{
    u64 old = region_entry(w, r, i), drop[REGION_WORDS] = { 0 };

    if (!old || old == entry)
        return true;
    switch (judge(old, entry)) {
    case DROP:
        bit_set(drop, i);
        if (!drop_pages(ws, w, r, drop))
            return false;
        region_untrack(w, r, i);
        if (bit_get(r->fetched, i)) {
            bit_clear(r->fetched, i);
            window_code_changed(ws, w, (r->page + i) << PAGE_SHIFT, PAGE_SIZE);
        }
        return true;
    case DOWNGRADE:
        bit_set(drop, i);
        if (!downgrade_pages(ws, w, r, drop))
            return false;
        break;
    case KEEP:
        break;
    }
    if (w->mode & CR4_PAE)
        r->entry.e64[i] = entry;
    else
        r->entry.e32[i] = entry;
    return true;
}

// False if the window was emptied.
static bool check_region(struct windows *ws, struct window *w, struct region *r,
                         bool skip_global)
{
    u64 dir = dir_read(w, ws->phys, r->page / region_pages(w));
    const void *now;

    if (dir_differs(w, r->dir, dir))
        return region_drop(ws, w, r);
    if (region_large(r))
        return true;
    now = phys_host(ws->phys, r->table);
    // A page table in a device's memory: nobody does that, and nothing is lost by not caching
    // it.
    if (!now)
        return region_drop(ws, w, r);
    ws->stat.table_checks++;
    if (table_differs(w, r, now) &&
        !update_entries(ws, w, r, now, r->lo, r->hi, skip_global))
        return false;
    if (!r->tracked)
        region_free(w, r);
    return true;
}

unsigned window_mismatches(struct windows *ws, const struct window *w, bool skip_global)
{
    unsigned n = skip_global ? w->nonglobal : w->regions, count = 0;

    for (unsigned k = 0; k < n; k++) {
        const struct region *r = w->list[k];

        count += !!dir_differs(w, r->dir, dir_read(w, ws->phys, r->page / region_pages(w)));
    }
    return count;
}

void window_check(struct windows *ws, struct window *w, bool skip_global)
{
    if (w->kind == WINDOW_IDENTITY || w->kind == WINDOW_FREE)
        return;
    ws->stat.checks++;
    if (w->untracked) {
        w->untracked = false;
        window_code_changed(ws, w, 0, 0);
    }
    // Another address space under the same CR3, as after exec: one call drops it all.
    if (!skip_global && w->regions > 2 &&
        window_mismatches(ws, w, false) > w->regions - w->regions / 4) {
        window_reset(ws, w);
        return;
    }
    // Downwards: what a removed or moved region is replaced by has been looked at already.
    for (unsigned k = skip_global ? w->nonglobal : w->regions; k-- > 0;)
        if (!check_region(ws, w, w->list[k], skip_global))
            return;
}

void window_check_page(struct windows *ws, struct window *w, gla_t gla)
{
    struct region *r = w->region ? w->region[region_index(w, gla)] : NULL;
    unsigned i = (gla >> PAGE_SHIFT) % region_pages(w);
    const void *now;

    if (!r || w->kind == WINDOW_IDENTITY)
        return;
    if (dir_differs(w, r->dir, dir_read(w, ws->phys, region_index(w, gla)))) {
        region_drop(ws, w, r);
        return;
    }
    if (region_large(r))
        return;
    now = phys_host(ws->phys, r->table);
    if (!now)
        region_drop(ws, w, r);
    else if (region_update(ws, w, r, i, entry_at(w, now, i)) && !r->tracked)
        region_free(w, r);
}

void window_drop_page(struct windows *ws, struct window *w, gla_t gla)
{
    struct region *r = w->region ? w->region[region_index(w, gla)] : NULL;

    if (!r || w->kind == WINDOW_IDENTITY)
        return;
    if (region_large(r))
        region_drop(ws, w, r);
    else
        region_update(ws, w, r, (gla >> PAGE_SHIFT) % region_pages(w), 0);
}

struct region *region_for(struct windows *ws, struct window *w, gla_t gla,
                          const struct walk *walk)
{
    unsigned index = region_index(w, gla), i = (gla >> PAGE_SHIFT) % region_pages(w);
    struct region *r = w->region[index];
    u64 dir = walk->pde;

    if (w->kind == WINDOW_IDENTITY)
        dir = PTE_P | PTE_A;
    // The guest changed the entry and did not flush: what is cached of it may go at any time.
    if (r && dir_differs(w, r->dir, dir)) {
        region_drop(ws, w, r);
        r = NULL;
    }
    if (!r)
        r = region_new(w, index, dir);
    if (!r || region_large(r))
        return r;
    if (!region_update(ws, w, r, i, walk->pte)) {
        r = region_new(w, index, dir);
        if (!r)
            return NULL;
    }
    if (!region_entry(w, r, i))
        region_track(w, r, i, walk->pte);
    return r;
}
