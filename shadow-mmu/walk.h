// SPDX-License-Identifier: GPL-2.0-or-later
// The architectural page walk: linear to physical, with permissions (SDM volume 3A, chapter 4).
#ifndef RING3_SHADOW_MMU_WALK_H
#define RING3_SHADOW_MMU_WALK_H

#include "monitor/base/vcpu.h"
#include "phys.h"

enum access { ACC_READ, ACC_WRITE, ACC_FETCH };

struct walk {
    gpa_t gpa;      // of the byte asked for
    u32 page_size;  // 4096, 2 MiB or 4 MiB; 4096 with paging off
    bool user;      // U at all levels
    bool writable;  // R/W at all levels
    bool nx;        // NX at any level (with EFER.NXE)
    bool global;    // G in the leaf, with CR4.PGE
    bool dirty;     // D in the leaf, after this access
    gpa_t pte_gpa;  // where the leaf entry lies; GPA_NONE with paging off
    gpa_t pde_gpa;  // where the directory entry lies; GPA_NONE with paging off
    u64 pte, pde;   // their values after the walk
};

// Walks the guest's tables for an access by privilege `user` (CPL 3). On success fills *w, sets
// the accessed bits, and the dirty bit for a write, in guest memory, and returns true. Otherwise
// returns false with the #PF error code in *pferr, having set what accessed bits hardware sets;
// CR2 is left to the caller.
bool walk(struct vcpu *v, struct phys *phys, gla_t gla, enum access access, bool user,
          struct walk *w, u32 *pferr);

// The same without side effects and without permission checks, for debuggers and translators'
// prefetch: true if present.
bool walk_probe(struct vcpu *v, struct phys *phys, gla_t gla, struct walk *w);

// Whether a present translation permits the access (SDM 4.6, with CR0.WP).
bool walk_allows(const struct vcpu *v, const struct walk *w, enum access access, bool user);

// Reads the four PAE page-directory-pointer entries that CR3 would load (SDM 4.4.1). False if a
// present one has reserved bits set: the load of CR3 (or CR0, CR4) is then #GP(0).
bool walk_pdptes(struct phys *phys, u32 cr3, u64 pdpte[4]);

#endif
