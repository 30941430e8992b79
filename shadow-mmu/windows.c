// SPDX-License-Identifier: GPL-2.0-or-later
// The life of windows: which one is current, which are kept, and the budget of host mappings.
#include "windows.h"
#include "tlb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GIB (1ull << 30)
#define GUARD_BELOW (2 * GIB)
// Emitted string instructions rely on it: an address in a window has the low 32 bits of its
// linear address.
#define WINDOW_ALIGN (4 * GIB)
#define STRIDE (44 * GIB) // a window and the guard above it, which the next one shares
#define WINDOWS_DEFAULT 64
#define WINDOWS_MIN 4
#define WINDOWS_MAX 2048 // must fit rmap_node.where
#define DIRS_MAX 2048

static unsigned maps_default(void)
{
    FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
    unsigned n = 0;

    if (!f || fscanf(f, "%u", &n) != 1 || n < 1000)
        n = 65530;
    if (f)
        fclose(f);
    return n / 4 * 3;
}

static u32 mode_of(const struct vcpu *v)
{
    if (!(v->cr0 & CR0_PG))
        return 0;
    if (!(v->cr4 & CR4_PAE))
        return MODE_PG | (v->cr4 & CR4_PSE);
    return MODE_PG | CR4_PAE | (v->efer & EFER_NXE ? MODE_NXE : 0);
}

// ---- Creation
static bool reserve_area(struct windows *ws)
{
    for (; ws->count >= WINDOWS_MIN; ws->count /= 2) {
        ws->area_size = GUARD_BELOW + ws->count * STRIDE + WINDOW_ALIGN;
        ws->area = mmap(NULL, ws->area_size, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (ws->area != MAP_FAILED)
            return true;
    }
    ws->area = NULL;
    return false;
}

bool windows_init(struct mmu *mmu, struct vcpu *v, const struct window_limits *limits,
                  struct err *err)
{
    struct windows *ws = calloc(1, sizeof(*ws));
    uintptr_t base;

    if (!ws)
        return err_set(err, EXIT_HOST, "out of memory for the windows");
    ws->mmu = mmu;
    ws->phys = mmu->phys;
    ws->v = v;
    ws->count = limits && limits->windows ? limits->windows : WINDOWS_DEFAULT;
    ws->count = MAX(MIN(ws->count, WINDOWS_MAX), WINDOWS_MIN);
    ws->maps_max = limits && limits->maps ? limits->maps : maps_default();
    if (!reserve_area(ws)) {
        err_set(err, EXIT_HOST,
                "cannot reserve address space for the guest's windows: %s; raise ulimit -v",
                strerror(errno));
        goto fail;
    }
    // Aligned to 4 MiB, as guest frames and large pages are, so that the host can use huge
    // pages.
    base = ((uintptr_t)ws->area + GUARD_BELOW + WINDOW_ALIGN - 1) & ~(uintptr_t)(WINDOW_ALIGN - 1);
    ws->window = calloc(ws->count, sizeof(*ws->window));
    if (!ws->window || !rmap_init(&ws->rmap, mmu->phys->mem_size >> PAGE_SHIFT)) {
        err_set(err, EXIT_HOST, "out of memory for the windows");
        goto fail;
    }
    for (unsigned i = 0; i < ws->count; i++) {
        ws->window[i].id = i;
        ws->window[i].base = (u8 *)(base + i * STRIDE);
    }
    mmu->windows = ws;
    windows_mode_changed(ws);
    // What the TLB holds was filled without noting fetches.
    tlb_forget_code(v);
    if (mmu->window[0])
        return true;
    err_set(err, EXIT_HOST, "out of memory for the windows");
fail:
    mmu->windows = ws;
    windows_destroy(mmu);
    return false;
}

void windows_destroy(struct mmu *mmu)
{
    struct windows *ws = mmu->windows;

    if (!ws)
        return;
    for (unsigned i = 0; ws->window && i < ws->count; i++) {
        struct window *w = &ws->window[i];

        while (w->regions)
            region_free(w, w->list[w->regions - 1]);
        free(w->region);
        free(w->list);
    }
    if (ws->area)
        munmap(ws->area, ws->area_size);
    rmap_destroy(&ws->rmap);
    free(ws->window);
    free(ws);
    mmu->windows = NULL;
    mmu->window[0] = mmu->window[1] = NULL;
}

// ---- Taking and releasing
static bool is_current(const struct windows *ws, const struct window *w)
{
    return w == ws->mmu->window[0] || w == ws->mmu->window[1];
}

static void window_release(struct windows *ws, struct window *w)
{
    window_reset(ws, w);
    ws->supers -= w->kind == WINDOW_SUPER;
    w->kind = WINDOW_FREE;
    w->code_generation++;
    ws->stat.evicted++;
}

// The window, not current and not `keep`, that was used longest ago; with_pages: that has any
// mapped.
static struct window *least_used(struct windows *ws, const struct window *keep, bool with_pages)
{
    struct window *least = NULL;

    for (struct window *w = ws->window; w < ws->window + ws->count; w++) {
        if (w->kind == WINDOW_FREE || w == keep || is_current(ws, w) || (with_pages && !w->pages))
            continue;
        if (!least || w->used < least->used)
            least = w;
    }
    return least;
}

static struct window *free_window(struct windows *ws, const struct window *keep)
{
    struct window *w;

    for (w = ws->window; w < ws->window + ws->count; w++)
        if (w->kind == WINDOW_FREE)
            return w;
    w = least_used(ws, keep, false);
    window_release(ws, w);
    return w;
}

// A window for an address space, empty and checked. NULL if memory is refused. At least four
// windows and at most three that must stay (the two current ones, `keep`) leave one to take.
static struct window *window_take(struct windows *ws, enum window_kind kind, u32 mode,
                                  const struct window *keep)
{
    struct window *w = free_window(ws, keep);

    if (!w->region)
        w->region = calloc(DIRS_MAX, sizeof(*w->region));
    if (!w->list)
        w->list = calloc(DIRS_MAX, sizeof(*w->list));
    if (!w->region || !w->list)
        return NULL;
    ws->supers += kind == WINDOW_SUPER;
    w->kind = kind;
    w->mode = mode;
    w->cr3 = ws->v->cr3;
    memcpy(w->pdpte, ws->v->pdpte, sizeof(w->pdpte));
    w->epoch = ws->epoch;
    w->global_epoch = ws->global_epoch;
    w->used = ++ws->clock;
    w->code_generation++;
    ws->stat.created++;
    return w;
}

bool windows_relieve(struct windows *ws, const struct window *keep)
{
    struct window *w = least_used(ws, keep, true);

    if (w) {
        window_release(ws, w);
        return true;
    }
    for (int k = 0; k < 2; k++) {
        w = ws->mmu->window[k];
        if (w && w != keep && w->pages) {
            window_reset(ws, w);
            return true;
        }
    }
    return false;
}

bool windows_make_room(struct windows *ws, unsigned need)
{
    if (need > ws->maps_max)
        return false;
    while (ws->maps + need > ws->maps_max) {
        // The current windows go last, and then the one whose fill needs the room goes first: it
        // is the one that fills.
        const struct window *other = ws->mmu->window[ws->v->cpl != 3];

        CHECK(windows_relieve(ws, other) || windows_relieve(ws, NULL));
    }
    return true;
}

// ---- Which window is current
static bool super_fits(struct windows *ws, struct window *w)
{
    w->cr3 = ws->v->cr3;
    memcpy(w->pdpte, ws->v->pdpte, sizeof(w->pdpte));
    // Global pages of it may have been flushed while it was not current.
    if (w->global_epoch != ws->global_epoch)
        return !window_mismatches(ws, w, false);
    return !window_mismatches(ws, w, true);
}

static u32 *remembered_super(struct windows *ws, u32 cr3)
{
    unsigned slot = (cr3 >> 12 ^ cr3 >> 5) % SUPER_MEMORY;

    if (ws->super_of[slot].cr3 != cr3) {
        ws->super_of[slot].cr3 = cr3;
        ws->super_of[slot].id = ~0u;
    }
    return &ws->super_of[slot].id;
}

static bool is_super(const struct window *w, u32 mode)
{
    return w->kind == WINDOW_SUPER && w->mode == mode;
}

// The super window that suits the new CR3 best. Most kernels need but one, whose mappings are
// the same under every CR3. If much of what it has is missing under this CR3, as with page-table
// isolation, another one is kept for such CR3s.
static struct window *choose_super(struct windows *ws, u32 mode)
{
    struct window *best = ws->mmu->window[0], *fit = NULL, *other = NULL, *w;
    u32 *id = remembered_super(ws, ws->v->cr3);
    unsigned supers = 0;

    if (*id < ws->count && is_super(&ws->window[*id], mode))
        best = &ws->window[*id];
    else if (best && !is_super(best, mode))
        best = NULL;
    if (best && *id == best->id && super_fits(ws, best))
        return best;
    // Of several that fit, the one with most in it: a small one fits nearly everywhere.
    for (w = ws->window; w < ws->window + ws->count; w++) {
        if (!is_super(w, mode))
            continue;
        supers++;
        if (super_fits(ws, w) && (!fit || w->regions > fit->regions))
            fit = w;
        if (w != best && !is_current(ws, w) && (!other || w->used < other->used))
            other = w;
    }
    if (fit) {
        best = fit;
    } else if (!best || (ws->count > WINDOWS_MIN &&
                         window_mismatches(ws, best, true) > best->regions / 2)) {
        if (supers >= SUPERS_MAX && other)
            window_release(ws, other);
        best = window_take(ws, WINDOW_SUPER, mode, NULL);
    }
    if (best)
        *id = best->id;
    return best;
}

static void enter_super(struct windows *ws, u32 mode, bool skip_global)
{
    struct window *w = ws->mmu->window[0];

    // The usual case: there is but one, and nothing in it depends on CR3.
    if (!w || !is_super(w, mode) || ws->supers > 1 || w->nonglobal || !skip_global)
        w = choose_super(ws, mode);
    ws->mmu->window[0] = w;
    if (!w)
        return;
    w->cr3 = ws->v->cr3;
    memcpy(w->pdpte, ws->v->pdpte, sizeof(w->pdpte));
    w->used = ++ws->clock;
    skip_global &= w->global_epoch == ws->global_epoch;
    w->epoch = ws->epoch;
    w->global_epoch = ws->global_epoch;
    if (!skip_global || w->nonglobal)
        window_check(ws, w, skip_global);
}

static bool same_space(const struct window *w, u32 mode, u32 cr3)
{
    return w->kind == WINDOW_USER && w->mode == mode && w->cr3 == cr3;
}

struct window *window_enter_user(struct vcpu *v)
{
    struct windows *ws = v->mmu->windows;
    u32 mode = mode_of(v);
    struct window *w;

    for (w = ws->window; w < ws->window + ws->count; w++)
        if (same_space(w, mode, v->cr3))
            break;
    if (w == ws->window + ws->count) {
        w = window_take(ws, WINDOW_USER, mode, NULL);
    } else if (w->epoch != ws->epoch) {
        memcpy(w->pdpte, v->pdpte, sizeof(w->pdpte));
        w->epoch = ws->epoch;
        window_check(ws, w, false);
    }
    if (w)
        w->used = ++ws->clock;
    ws->mmu->window[1] = w;
    return w;
}

static struct window *identity_window(struct windows *ws)
{
    struct window *w;

    for (w = ws->window; w < ws->window + ws->count; w++)
        if (w->kind == WINDOW_IDENTITY)
            return w;
    return window_take(ws, WINDOW_IDENTITY, 0, NULL);
}

// ---- Events
void windows_cr3_written(struct windows *ws)
{
    ws->epoch++;
    if (!(ws->v->cr0 & CR0_PG))
        return;
    ws->mmu->window[1] = NULL;
    enter_super(ws, mode_of(ws->v), ws->v->cr4 & CR4_PGE);
}

void windows_mode_changed(struct windows *ws)
{
    struct window *w;
    u32 mode = mode_of(ws->v);

    ws->epoch++;
    ws->global_epoch++;
    ws->mmu->window[1] = NULL;
    if (!mode) {
        ws->mmu->window[0] = NULL;
        w = identity_window(ws);
        if (w)
            w->used = ++ws->clock;
        ws->mmu->window[0] = ws->mmu->window[1] = w;
        return;
    }
    // With CR0.WP clear supervisor writes ignore R/W; what was mapped so must go when it is set.
    for (w = ws->window; ws->v->cr0 & CR0_WP && w < ws->window + ws->count; w++)
        if (w->wp_used)
            window_reset(ws, w);
    enter_super(ws, mode, false);
}

void windows_invlpg(struct windows *ws, gla_t gla)
{
    struct mmu *mmu = ws->mmu;

    churn_slot(ws, gla >> PAGE_SHIFT)->flushed = true;
    if (mmu->window[0])
        window_check_page(ws, mmu->window[0], gla);
    if (mmu->window[1])
        window_check_page(ws, mmu->window[1], gla);
    // In a super window that is not current it may be global, and then nothing else would drop
    // it.
    if (ws->supers < 2)
        return;
    for (struct window *w = ws->window; w < ws->window + ws->count; w++)
        if (w->kind == WINDOW_SUPER && !is_current(ws, w))
            window_drop_page(ws, w, gla);
}

void windows_flush_all(struct windows *ws)
{
    ws->epoch++;
    ws->global_epoch++;
    for (struct window *w = ws->window; w < ws->window + ws->count; w++)
        if (w->kind != WINDOW_FREE)
            window_reset(ws, w);
}

void windows_protect_code(struct windows *ws, const struct phys_page *p)
{
    ws->stat.protects++;
    rmap_protect(ws, p->frame);
}

void windows_note_fetch(struct windows *ws, gla_t gla, const struct walk *walk)
{
    struct window *w = mmu_window(ws->v);
    struct region *r = w ? region_for(ws, w, gla, walk) : NULL;

    if (r)
        bit_set(r->fetched, (gla >> PAGE_SHIFT) % region_pages(w));
    else if (w)
        w->untracked = true;
}

// ---- What they hold
const struct window_stats *windows_stats(const struct mmu *mmu)
{
    return mmu->windows ? &mmu->windows->stat : NULL;
}

void windows_print_stats(const struct mmu *mmu, FILE *f)
{
    const struct windows *ws = mmu->windows;

    if (!ws)
        return;
#define X(id, help) fprintf(f, "%16llu  " help "\n", (unsigned long long)ws->stat.id);
    WINDOW_STAT_LIST(X)
#undef X
    fprintf(f, "%16u  host mappings in use, of %u\n", ws->maps, ws->maps_max);
}

void windows_print(const struct mmu *mmu, FILE *f)
{
    static const char *const name[] = { "free", "identity", "super", "user" };
    const struct windows *ws = mmu->windows;

    if (!ws)
        return;
    for (unsigned i = 0; i < ws->count; i++) {
        const struct window *w = &ws->window[i];

        if (w->kind == WINDOW_FREE)
            continue;
        fprintf(f, "%3u %-8s cr3 %08x  %u regions, %u pages in %u mappings, generation %u%s\n",
                w->id, name[w->kind], w->cr3, w->regions, w->pages, w->maps, w->code_generation,
                w == mmu->window[0] || w == mmu->window[1] ? ", current" : "");
    }
    fprintf(f, "host mappings: %u of at most %u\n", ws->maps, ws->maps_max);
}
