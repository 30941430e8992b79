// SPDX-License-Identifier: GPL-2.0-or-later
// Control registers and the time-stamp counter (SDM volume 3A, 2.5).
#include "local.h"

#include <string.h>
#include <x86intrin.h>

#define CR0_DEFINED                                                                          \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD |\
     CR0_PG)
// Changing one of these changes what addresses mean. PE alone does not: paging is off then, before and after.
#define CR0_PAGING (CR0_WP | CR0_PG)
#define CR4_PAGING (CR4_PSE | CR4_PAE | CR4_PGE)

// P aside, a PDPTE has PWT, PCD, three ignored bits and an address of up to 36 bits (SDM 4.4.1).
#define PDPTE_RESERVED 0xfffffff0000001e6ull

void pdpte_load(struct vcpu *v, u32 cr3)
{
    u64 pdpte[4];

    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = phys_read64(v->mmu->phys, (cr3 & ~31u) + i * 8);
        if (pdpte[i] & PTE_P && pdpte[i] & PDPTE_RESERVED)
            raise_gp(v, 0);
    }
    memcpy(v->pdpte, pdpte, sizeof(pdpte));
}

void cpu_write_cr0(struct vcpu *v, u32 value)
{
    u32 changed;

    value = (value & CR0_DEFINED) | CR0_ET;
    if ((value & CR0_PG && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
        raise_gp(v, 0);
    changed = v->cr0 ^ value;
    if (value & CR0_PG && v->cr4 & CR4_PAE && changed & (CR0_PG | CR0_CD | CR0_NW))
        pdpte_load(v, v->cr3);
    v->cr0 = value;
    if (changed & CR0_PAGING)
        mmu_mode_changed(v);
}

void cpu_write_cr3(struct vcpu *v, u32 value)
{
    if (cpu_pae_paging(v))
        pdpte_load(v, value);
    v->cr3 = value;
    mmu_cr3_written(v);
}

void cpu_write_cr4(struct vcpu *v, u32 value)
{
    u32 changed = v->cr4 ^ value;

    if (value & ~v->model->cr4_mask)
        raise_gp(v, 0);
    if (v->cr0 & CR0_PG && value & CR4_PAE && changed & CR4_PAGING)
        pdpte_load(v, v->cr3);
    v->cr4 = value;
    if (changed & CR4_PAGING)
        mmu_mode_changed(v);
}

u64 cpu_read_tsc(struct vcpu *v)
{
    return v->clock ? v->clock(v) : __rdtsc() + v->tsc_offset;
}
