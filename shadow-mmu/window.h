// SPDX-License-Identifier: GPL-2.0-or-later
// Windows: the guest's address spaces as ranges of host addresses, into which pages of guest
// memory are mapped where the guest's page tables put them. The host's MMU then does the guest's
// translation.
//
//     base-2G          base            base+4G                                    base+44G
//       |  guard        |  the guest's 4 GiB |  guard (shared with the next window)  |
//
// The kinds of window:
//   identity  paging is off; all privileges
//   super     CPL < 3: pages with U = 0 only; user pages are accessed in the checked form
//   user      CPL 3: pages with U = 1 only; one window per CR3 and paging mode
//
//           window_take                 window_fault: FILLED
//   FREE ---------------> current, empty ------------------> current, pages mapped
//    ^                                                          |   ^
//    | window_release                       another CR3 or mode |   | mmu_window: window_check
//    +---------------- cached, unchecked <----------------------+   | drops what changed
//                            |                                      |
//                            +--------------------------------------+
//
// A window is a TLB. The architecture lets translations go stale until a flush, so page tables
// are not write-protected: of every entry that a mapping or a fetch relied on, the window keeps
// a copy, and a flush compares (window_check) and drops what differs.
//
// Invariants
//  1. Within [base-2G, base+44G) nothing is mapped but this window's pages: the rest is
//      PROT_NONE.
//  2. A mapped page has A = 1 in the guest's entry, as copied; a page mapped writable also D =
//      1, has
//     PHYS_WRITE and no PHYS_CODE, and its entries (or CR0.WP = 0, in a super window) allow the
//     write.
//  3. mmu.window[] of the current privilege is checked: no flush lies between its last check and
//      now. NULL
//     stands for a user window that has not been looked up or checked since the last flush.
//  4. Every writable mapping of a frame can be found from the frame (rmap.h).
//  5. `maps` is at least the number of host mappings (VMAs) that the window's pages make.
//  6. code_generation changes whenever the translation of a page that code was fetched from may
//      have
//     changed, or was forgotten.
#ifndef RING3_SHADOW_MMU_WINDOW_H
#define RING3_SHADOW_MMU_WINDOW_H

#include "mmu.h"

#include <stdio.h>

struct region;  // region.h
struct windows; // windows.h

enum window_kind { WINDOW_FREE, WINDOW_IDENTITY, WINDOW_SUPER, WINDOW_USER };

struct window {
    // What engines use. id is stable and < window_limits.windows; it comes back for other
    // address spaces, with another code_generation.
    u8 *base;
    u32 id;
    u32 code_generation;
    void *user_data; // the engine's own; NULL at first, kept when the window is given another space

    // Which address space it is.
    enum window_kind kind;
    u32 mode; // MODE_* of windows.h
    u32 cr3;  // of a super window: the last one
    u64 pdpte[4];

    // When it was checked (windows.epoch), also for global pages, and last used, for LRU.
    u64 epoch, global_epoch, used;
    bool wp_used;    // a page is mapped writable only because CR0.WP was 0
    bool untracked;  // memory for a region was refused: fetches are not all known
    unsigned maps;   // host mappings (invariant 5)
    unsigned pages;  // mapped pages

    // Regions: what one directory entry maps. list[0..nonglobal) have entries that are not
    // global.
    struct region **region; // by directory index; NULL where nothing is tracked
    struct region **list;
    unsigned regions, nonglobal;
};

// 0 means the default.
struct window_limits {
    unsigned windows; // address spaces kept; default 64, at least 4
    unsigned maps;    // host mappings in use at once; default 3/4 of vm.max_map_count
};

enum window_fault {
    WINDOW_FILLED,          // mapped now: retry the instruction
    WINDOW_GUEST_PF,        // the guest's #PF; CR2 is left to the caller
    WINDOW_CODE_PAGE,       // a write to a page with PHYS_CODE
    WINDOW_NOT_PLAIN,       // a device, ROM, or a page the host won't map: use the checked form
    WINDOW_TRANSIENT,       // a page that comes and goes: not mapped, the checked form is cheaper
    WINDOW_USER_FROM_SUPER, // CPL < 3 on a user page, which the guest's tables allow: checked form
};

#define WINDOW_STAT_LIST(X)                                                                  \
    X(faults, "hidden and other window faults")                                              \
    X(fills, "fills")                                                                        \
    X(fill_pages, "pages mapped by fills")                                                   \
    X(guest_faults, "faults that are the guest's")                                           \
    X(transient, "faults on pages that come and go, not mapped")                             \
    X(created, "windows given to an address space")                                          \
    X(evicted, "windows taken from an address space")                                        \
    X(resets, "windows emptied at once")                                                     \
    X(checks, "windows checked after a flush")                                               \
    X(table_checks, "page tables compared")                                                  \
    X(dropped, "pages dropped because their entries changed")                                \
    X(downgraded, "pages made read-only because their entries changed")                      \
    X(protects, "frames write-protected because of code")                                    \
    X(generations, "changes of code mappings")                                               \
    X(refused, "mappings refused by the host")

struct window_stats {
#define X(id, help) u64 id;
    WINDOW_STAT_LIST(X)
#undef X
};

// Gives the MMU windows; until then mmu_window returns NULL and nothing is tracked. From then on
// mmu.mapping_changed is called exactly when the code_generation of a window changes, with the
// linear range concerned. limits may be NULL. On failure the MMU works as before.
bool windows_init(struct mmu *mmu, struct vcpu *v, const struct window_limits *limits,
                  struct err *err);
// mmu_destroy calls it. No emitted code may run any more.
void windows_destroy(struct mmu *mmu);
const struct window_stats *windows_stats(const struct mmu *mmu);
// Their part of -stats; nothing without windows.
void windows_print_stats(const struct mmu *mmu, FILE *f);
// What the windows hold, one line each: `info tlb`.
void windows_print(const struct mmu *mmu, FILE *f);

// Looks up or makes, and checks, the user window of the current address space.
struct window *window_enter_user(struct vcpu *v);

// The window of the current address space and CPL, checked; NULL without windows_init. Valid
// until the next call of an mmu_ event function or of window_fault, which may give it to another
// space.
static inline struct window *mmu_window(struct vcpu *v)
{
    struct window *w = v->mmu->window[v->cpl == 3];

    return likely(w) || !v->mmu->windows ? w : window_enter_user(v);
}

// Emitted code of the current CPL hit a host SIGSEGV at linear address gla of mmu_window(v):
// decides whose fault it is, and maps the page if it is ours. *pferr is set for WINDOW_GUEST_PF.
// Never raises. Not for signal handlers. May drop other pages of any window, but not change
// mmu_window(v).
enum window_fault window_fault(struct vcpu *v, gla_t gla, enum access access, u32 *pferr);

// Behind a WINDOW_FILLED at gla in user mode, for an instruction that walks over many pages: maps those of up to `pages`
// neighbours on either side which the guest has used (A) and could use now, without setting A or D. A mapping costs a fifth
// of a fault or less.
void window_fill_ahead(struct vcpu *v, gla_t gla, unsigned pages);

// Whether the window maps the page of gla, and writable: for tests and `info tlb`.
bool window_maps(const struct window *w, gla_t gla, bool *writable);

#endif
