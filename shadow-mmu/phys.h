// SPDX-License-Identifier: GPL-2.0-or-later
// The guest-physical memory map: which page is RAM, ROM or a device's.
//
//   0          640K  A0000    C0000     1M           top of RAM     E0000000    FFFC0000  4G
//   |  RAM      |    | MMIO   | ROM/RAM |   RAM       |   MMIO / nothing         | ROM     |
//
// Invariants
//  1. RAM and ROM contents live in one memfd, so that any page can be mapped into any window; a
//     gpa's page has the same memfd offset for its lifetime, except where phys_map changes it.
//  2. Every write to a page with PHYS_CODE that does not come through the engine's own fault
//     path calls code_write first, whoever writes: the CPU's slow path, DMA, a loader, phys_map.
//  3. No pointer into guest memory outlives the call that got it, except TLB addends and
//     windows, which are dropped (mmu_flush_all) whenever the map changes.
//  4. An entry of page[] without PHYS_KNOWN has not been looked at yet: phys_page fills it with
//     its default, so that start-up costs nothing per page of RAM. Only phys.c and the
//     inline accessor below touch page[].
#ifndef RING3_SHADOW_MMU_PHYS_H
#define RING3_SHADOW_MMU_PHYS_H

#include "monitor/base/bus.h"
#include "monitor/base/err.h"
#include "monitor/base/types.h"

enum { // struct phys_page.flags
    PHYS_READ = BIT(0),  // reads come from the memfd (else: the bus)
    PHYS_WRITE = BIT(1), // writes go to the memfd (else: the bus, or ignored for ROM)
    PHYS_ROM = BIT(2),   // writes are ignored
    PHYS_CODE = BIT(3),  // translated code exists for this page
    PHYS_MIXED = BIT(4), // and a TLB entry allows writes beside it
    PHYS_KNOWN = BIT(7), // phys.c's own (invariant 4)
};

struct phys_page {
    u32 frame; // memfd offset >> 12
    u8 flags;
};

struct phys {
    int memfd;
    u8 *mem;          // the monitor's own mapping of the whole memfd, read-write
    u64 mem_size;     // bytes in the memfd: RAM, then the space for ROMs and video memory
    u64 ram_size;     // bytes; RAM is guest-physical [0, ram_size) but for the hole at A0000-BFFFF
    u32 a20_mask;     // ~0, or ~0x100000 with A20 off; applied to every physical address
    struct phys_page *page; // one per 4 KiB of the 4 GiB physical space; see phys_page()
    struct phys_page nowhere; // what lies beyond 4 GiB: no flags but PHYS_KNOWN
    u64 spare_used;   // bytes of that space handed out
    struct bus *bus;  // answers where there is no memory
    // Called before a page with PHYS_CODE is written; clears PHYS_CODE if no code is left in it.
    // NULL until an engine wants it.
    void (*code_write)(void *opaque, gpa_t gpa, u32 len);
    void *opaque;
    // Per page, which 64 bytes of it hold translated code, a bit each; the engine's. NULL: nobody knows.
    const u64 *code_map;
};

// Creates RAM of ram_size bytes (a multiple of 4 KiB, 1 MiB..0xe0000000 bytes) at 0, with
// A0000-BFFFF left to the bus and C0000-FFFFF as RAM. *phys owns the memfd and mapping; on
// failure nothing is left behind.
bool phys_init(struct phys *phys, u64 ram_size, struct bus *bus, struct err *err);
void phys_destroy(struct phys *phys);

// Places a ROM image (len rounded up to pages) at gpa and returns its contents' host address,
// writable by the monitor, or NULL when the space for such (32 MiB) is used up.
u8 *phys_add_rom(struct phys *phys, gpa_t gpa, const u8 *image, u32 len);

// Takes len bytes (rounded up to pages) of that space, zeroed, for phys_map to place: the first
// frame, or 0 when it is used up.
u32 phys_reserve(struct phys *phys, u32 len);

// Changes how [gpa, gpa+len) answers (PAM registers, SMRAM): from the frames starting at
// `frame`, with flags. The caller flushes the MMU afterwards (mmu_flush_all).
void phys_map(struct phys *phys, gpa_t gpa, u32 len, u32 frame, u8 flags);

// gpa as the address pins show it with A20 as it is now.
static inline gpa_t phys_a20(const struct phys *phys, gpa_t gpa)
{
    return gpa & (phys->a20_mask | ~(gpa_t)0xffffffff);
}

// The part of phys_page that is rarely needed.
struct phys_page *phys_page_default(struct phys *phys, gpa_t gpa);

// The page that holds gpa; beyond 4 GiB a page with no PHYS_READ or PHYS_WRITE. Applies the A20
// mask.
static inline struct phys_page *phys_page(struct phys *phys, gpa_t gpa)
{
    struct phys_page *p;

    gpa = phys_a20(phys, gpa);
    if (unlikely(gpa >> 32))
        return &phys->nowhere;
    p = &phys->page[gpa >> PAGE_SHIFT];
    return likely(p->flags & PHYS_KNOWN) ? p : phys_page_default(phys, gpa);
}

// The host address of a page of the memfd.
static inline u8 *phys_frame_host(const struct phys *phys, u32 frame)
{
    return phys->mem + ((u64)frame << PAGE_SHIFT);
}

// The host address of gpa if reads of its page come from memory, else NULL. Valid to the end of
// the page.
static inline u8 *phys_host(struct phys *phys, gpa_t gpa)
{
    struct phys_page *p = phys_page(phys, gpa);

    return p->flags & PHYS_READ ? phys_frame_host(phys, p->frame) + (gpa & ~PAGE_MASK) : NULL;
}

// Where [gpa, gpa+len), which lies in one page, is to be written as a whole; NULL if that is not plain memory. Code made of it
// is forgotten first.
u8 *phys_host_write(struct phys *phys, gpa_t gpa, u32 len);

// One access of 1, 2, 4 or 8 bytes that does not cross a page: memory, or one bus access.
u64 phys_load(struct phys *phys, gpa_t gpa, unsigned size);
void phys_store(struct phys *phys, gpa_t gpa, u64 value, unsigned size);

// DMA, loaders, page walks: any length, any alignment; crosses pages, RAM and MMIO as needed.
// Reads of nothing give 0xff. Writes honour invariant 2.
void phys_read(struct phys *phys, gpa_t gpa, void *buf, size_t len);
void phys_write(struct phys *phys, gpa_t gpa, const void *buf, size_t len);
// The host address of [gpa, gpa+len), if all of it is memory that lies together; else NULL, as for len 0. With `write` it is
// to be written now: translated code of it is forgotten.
u8 *phys_range(struct phys *phys, gpa_t gpa, size_t len, bool write);
u32 phys_read32(struct phys *phys, gpa_t gpa);
u64 phys_read64(struct phys *phys, gpa_t gpa);
void phys_write32(struct phys *phys, gpa_t gpa, u32 value);
void phys_write64(struct phys *phys, gpa_t gpa, u64 value);

#endif
