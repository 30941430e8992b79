// SPDX-License-Identifier: GPL-2.0-or-later
// The address fields of paging-structure entries (SDM 3A, 4.3 and 4.4), for the files of this
// folder.
#ifndef RING3_SHADOW_MMU_PTE_H
#define RING3_SHADOW_MMU_PTE_H

#include "monitor/base/x86.h"
#include "phys.h"

#include <string.h>

// Physical address lines of every CPU model; the bits above are reserved in PAE entries and,
// through PSE-36, in 4 MiB entries.
#define ADDRESS_BITS 36

//  32-bit paging, 4 MiB page (SDM table 4-4):
//   31      22 21     17 16      13 12  11  9 8 7 6 5 4   3   2 1 0
//  | base    | reserved | base39:32|PAT| avl |G|1|D|A|PCD|PWT|U|W|P|
#define PDE4M_RESERVED 0x003e0000u
//  PAE, 2 MiB page (table 4-9): bits 20-13 are reserved.
#define PDE2M_RESERVED 0x001fe000ull
#define PAE_ADDRESS (((1ull << ADDRESS_BITS) - 1) & ~0xfffull)
#define PAE_RESERVED (~((1ull << ADDRESS_BITS) - 1) & ~PTE_NX)
//  PDPTE (table 4-8): bits 1-2 and 5-8 are reserved besides the address bits that don't exist.
#define PDPTE_RESERVED (~((1ull << ADDRESS_BITS) - 1) | 0x1e6ull)

// Reads an entry: of 8 bytes with PAE, else of 4. Entries are aligned, so they lie in one page. Where no memory answers it is
// all ones and no device is asked: how often tables are read depends on what is cached, and no access of the
// guest's stands behind it.
static inline u64 pte_read(struct phys *phys, bool pae, gpa_t at)
{
    const u8 *host = phys_host(phys, at);
    u64 wide;
    u32 narrow;

    if (unlikely(!host))
        return pae ? ~0ull : ~0u;
    if (pae) {
        memcpy(&wide, host, sizeof(wide));
        return wide;
    }
    memcpy(&narrow, host, sizeof(narrow));
    return narrow;
}

// The page table that a directory entry leads to, or the page of a page-table entry.
static inline gpa_t pte_gpa(bool pae, u64 entry)
{
    return entry & (pae ? PAE_ADDRESS : PAGE_MASK);
}

// The first byte of the large page of a directory entry.
static inline gpa_t pde_large_gpa(bool pae, u64 entry)
{
    if (pae)
        return entry & PAE_ADDRESS & ~0x1fffffull;
    return (entry & 0xffc00000u) | (entry >> 13 & 0xf) << 32;
}

#endif
