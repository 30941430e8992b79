// SPDX-License-Identifier: GPL-2.0-or-later
// The MMU as the rest of the monitor sees it: linear memory accesses that raise guest faults,
// and the events that drop translations. The software TLB (struct vcpu.tlb) and the windows
// behind it are its caches.
#ifndef RING3_SHADOW_MMU_MMU_H
#define RING3_SHADOW_MMU_MMU_H

#include "monitor/base/vcpu.h"
#include "phys.h"
#include "walk.h"

struct window;  // window.h
struct windows; // windows.h

struct mmu {
    struct phys *phys;
    u32 next_asid;
    u32 asid_super, asid_user; // of the current address space
    // TLB slots that took supervisor translations which are not global since the last flush;
    // locals > 64: too many to name.
    u16 local[64];
    unsigned locals;
    u32 large[32]; // bit per 4 MiB of linear space: the TLB may hold parts of a large page there
    // NULL, or the windows (windows_init); window[] is for CPL < 3 and CPL 3, see mmu_window.
    struct windows *windows;
    struct window *window[2];
    // Called by the MMU when linear-to-physical mappings of the current or any address space may
    // have changed: the engine drops what depends on them. gla/len give the range; len 0 means
    // everything. With windows it is called only for changes to code, see windows_init.
    void (*mapping_changed)(void *opaque, gla_t gla, u32 len);
    void *opaque;
};

static inline bool mmu_large_at(const struct mmu *mmu, gla_t gla)
{
    return mmu->large[gla >> 27] & BIT(gla >> 22 & 31);
}

// Makes v use this MMU, with nothing cached. *phys is not owned. False, *err filled, if the host
// lacks something.
bool mmu_init(struct mmu *mmu, struct vcpu *v, struct phys *phys, struct err *err);
void mmu_destroy(struct mmu *mmu);

// ---- Accesses from C code. Addresses are linear; segmentation is the caller's. They raise #PF
// with vcpu_raise, having changed nothing (a write that crosses pages checks both pages first).
// `user` is normally v->cpl == 3; descriptor tables, TSS and the like are read with user = false
// whatever the CPL.
u8 mmu_read8(struct vcpu *v, gla_t gla, bool user);
u16 mmu_read16(struct vcpu *v, gla_t gla, bool user);
u32 mmu_read32(struct vcpu *v, gla_t gla, bool user);
u64 mmu_read64(struct vcpu *v, gla_t gla, bool user);
void mmu_write8(struct vcpu *v, gla_t gla, u8 value, bool user);
void mmu_write16(struct vcpu *v, gla_t gla, u16 value, bool user);
void mmu_write32(struct vcpu *v, gla_t gla, u32 value, bool user);
void mmu_write64(struct vcpu *v, gla_t gla, u64 value, bool user);
// Any length up to a page.
void mmu_read(struct vcpu *v, gla_t gla, void *buf, u32 len, bool user);
void mmu_write(struct vcpu *v, gla_t gla, const void *buf, u32 len, bool user);
// Raises #PF if [gla, gla+len) may not be accessed so; the first offending byte gives CR2.
void mmu_probe(struct vcpu *v, gla_t gla, u32 len, enum access access, bool user);

// The host address of gla if plain memory backs it for this access, valid to the end of its page
// and until the next guest instruction; NULL if the access must take the calls above (MMIO, code
// page). Raises #PF.
u8 *mmu_host(struct vcpu *v, gla_t gla, enum access access, bool user);
// For writing all of [gla, gla+len), which lie in one page: in a page with code, too, for whose end the write counts.
u8 *mmu_host_write(struct vcpu *v, gla_t gla, u32 len, bool user);

// Fetches up to len code bytes at gla, across at most one page boundary; returns the number of
// bytes before the first page that faults (0: raises #PF itself). *gpa is the physical address
// of the first byte.
unsigned mmu_fetch(struct vcpu *v, gla_t gla, u8 *buf, unsigned len, gpa_t *gpa);
// The physical address of code at gla for the current CPL; raises #PF.
gpa_t mmu_fetch_gpa(struct vcpu *v, gla_t gla);

// ---- Events. The CPU calls these after changing the register in question.
// MOV CR3, task switch (with PAE, v->pdpte too): all but global entries.
void mmu_cr3_written(struct vcpu *v);
// CR0.PG/WP/PE, CR4.PAE/PSE/PGE, EFER.NXE; also after reset: everything.
void mmu_mode_changed(struct vcpu *v);
void mmu_invlpg(struct vcpu *v, gla_t gla);
// CPL moved between 3 and less.
void mmu_cpl_changed(struct vcpu *v);
// The physical map changed (PAM, A20, MMIO moved).
void mmu_flush_all(struct vcpu *v);
// The engine has translated code from this physical page: writes to it must be seen. Sets
// PHYS_CODE.
void mmu_protect_code(struct vcpu *v, gpa_t gpa);
// `bits` have been added to phys.code_map's for the page of gpa.
void mmu_protect_parts(struct vcpu *v, gpa_t gpa, u64 bits);

#endif
