// SPDX-License-Identifier: GPL-2.0-or-later
// Model-specific registers (SDM volume 4) and CPUID (volume 2). A register exists if the
// model's CPUID says so; any other is #GP(0), with a line under -d guest_errors.
#include "local.h"

#include <string.h>

enum {
    MSR_EBL_CR_POWERON = 0x2a, MSR_TSC_ADJUST = 0x3b, MSR_BBL_CR_CTL = 0x119,
    MSR_DEBUGCTL = 0x1d9, MSR_MTRR_LAST = 0x20f,
    MSR_MTRR_64K = 0x250, MSR_MTRR_16K = 0x258, MSR_MTRR_4K = 0x268, MSR_MTRR_4K_LAST = 0x26f,
};
#define MTRR_CAP 0x508 // eight variable ranges, the fixed ones, write combining
#define MICROCODE_REVISION 0x219

// Which CPUID.1:EDX bit announces a register; 0: none needed, ~0: there is no such register.
static u32 msr_feature(const struct vcpu *v, u32 msr)
{
    bool p6 = (v->model->signature >> 8 & 15) >= 6;

    switch (msr) {
    case MSR_P5_MC_ADDR:
    case MSR_P5_MC_TYPE:
        return CPUID_MCE;
    case MSR_TSC:
        return CPUID_TSC;
    case MSR_PLATFORM_ID:
    case MSR_APIC_BASE:
    case MSR_EBL_CR_POWERON:
    case MSR_UCODE_REV:
    case MSR_BBL_CR_CTL:
    case MSR_MISC_ENABLE:
    case MSR_DEBUGCTL:
        return p6 ? CPUID_MSR : ~0u;
    case MSR_MTRRCAP:
    case MSR_MTRR_DEFTYPE:
    case MSR_MTRR_FIRST ... MSR_MTRR_LAST:
    case MSR_MTRR_64K:
    case MSR_MTRR_16K ... MSR_MTRR_16K + 1:
    case MSR_MTRR_4K ... MSR_MTRR_4K_LAST:
        return CPUID_MTRR;
    case MSR_SYSENTER_CS:
    case MSR_SYSENTER_ESP:
    case MSR_SYSENTER_EIP:
        return CPUID_SEP;
    case MSR_MCG_CAP:
    case MSR_MCG_STATUS:
        return CPUID_MCA;
    case MSR_PAT:
        return CPUID_PAT;
    case MSR_TSC_ADJUST:
        return v->model->leaf7_ebx & CPUID_7_TSC_ADJUST ? CPUID_MSR : ~0u;
    case MSR_EFER:
        return v->model->ext_edx & CPUID_EXT_NX ? CPUID_MSR : ~0u;
    default:
        return ~0u;
    }
}

_Noreturn static void msr_fault(struct vcpu *v, const char *what, u32 msr, u64 value)
{
    log_to(v->log, LOG_GUEST, "%s of MSR %#x (%#llx) at %04x:%08x: #GP\n", what, msr,
           (unsigned long long)value, v->seg[S_CS].sel, v->eip);
    raise_gp(v, 0);
}

static bool msr_exists(const struct vcpu *v, u32 msr)
{
    u32 feature = msr_feature(v, msr);

    return (v->model->features_edx & feature) == feature;
}

// The slot of registers that only store.
static u64 *msr_slot(struct vcpu *v, u32 msr)
{
    switch (msr) {
    case MSR_P5_MC_ADDR:
        return &v->misc_msr[MISC_MC_ADDR];
    case MSR_P5_MC_TYPE:
        return &v->misc_msr[MISC_MC_TYPE];
    case MSR_EBL_CR_POWERON:
        return &v->misc_msr[MISC_EBL];
    case MSR_BBL_CR_CTL:
        return &v->misc_msr[MISC_BBL];
    case MSR_MISC_ENABLE:
        return &v->misc_msr[MISC_ENABLE];
    case MSR_DEBUGCTL:
        return &v->misc_msr[MISC_DEBUGCTL];
    case MSR_TSC_ADJUST:
        return &v->misc_msr[MISC_TSC_ADJUST];
    case MSR_MCG_STATUS:
        return &v->misc_msr[MISC_MCG_STATUS];
    case MSR_APIC_BASE:
        return &v->apic_base;
    case MSR_MTRR_DEFTYPE:
        return &v->mtrr_deftype;
    case MSR_MTRR_FIRST ... MSR_MTRR_LAST:
        return &v->mtrr[msr - MSR_MTRR_FIRST];
    case MSR_MTRR_64K:
        return &v->mtrr_fixed[0];
    case MSR_MTRR_16K ... MSR_MTRR_16K + 1:
        return &v->mtrr_fixed[1 + msr - MSR_MTRR_16K];
    case MSR_MTRR_4K ... MSR_MTRR_4K_LAST:
        return &v->mtrr_fixed[3 + msr - MSR_MTRR_4K];
    case MSR_PAT:
        return &v->pat;
    default:
        return NULL;
    }
}

u64 cpu_rdmsr(struct vcpu *v, u32 msr)
{
    const u64 *slot;

    if (!msr_exists(v, msr))
        msr_fault(v, "read", msr, 0);
    switch (msr) {
    case MSR_TSC:
        return cpu_read_tsc(v);
    case MSR_UCODE_REV:
        return (u64)MICROCODE_REVISION << 32;
    case MSR_MTRRCAP:
        return MTRR_CAP;
    case MSR_SYSENTER_CS:
        return v->sysenter_cs;
    case MSR_SYSENTER_ESP:
        return v->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return v->sysenter_eip;
    case MSR_EFER:
        return v->efer;
    }
    slot = msr_slot(v, msr);
    return slot ? *slot : 0; // PLATFORM_ID, MCG_CAP: no banks
}

static bool memory_type_ok(u8 type, bool pat)
{
    return type == 0 || type == 1 || (type >= 4 && type <= 6) || (pat && type == 7);
}

// Eight of them, a byte each.
static bool memory_types_ok(u64 types, bool pat)
{
    for (unsigned i = 0; i < 8; i++)
        if (!memory_type_ok(types >> 8 * i, pat))
            return false;
    return true;
}

// Whether the register takes the value.
static bool msr_valid(u32 msr, u64 value)
{
    switch (msr) {
    case MSR_PAT:
        return memory_types_ok(value, true);
    case MSR_MTRR_64K:
    case MSR_MTRR_16K ... MSR_MTRR_16K + 1:
    case MSR_MTRR_4K ... MSR_MTRR_4K_LAST:
        return memory_types_ok(value, false);
    case MSR_MTRR_DEFTYPE:
        return memory_type_ok(value, false) && !(value & ~0xcffull);
    case MSR_MTRR_FIRST ... MSR_MTRR_LAST:
        if (msr & 1)
            return !(value & ~0xffffff800ull);
        return memory_type_ok(value, false) && !(value & ~0xffffff0ffull);
    case MSR_EFER:
        return !(value & ~(u64)EFER_NXE);
    case MSR_DEBUGCTL:
        return !(value & ~0x3full);
    case MSR_APIC_BASE: // 36 bits of address
        return !(value & ~0xffffff900ull);
    case MSR_PLATFORM_ID:
    case MSR_MTRRCAP:
    case MSR_MCG_CAP:
        return false;
    default:
        return true;
    }
}

void cpu_wrmsr(struct vcpu *v, u32 msr, u64 value)
{
    u64 *slot, old;

    if (!msr_exists(v, msr) || !msr_valid(msr, value))
        msr_fault(v, "write", msr, value);
    switch (msr) {
    case MSR_TSC:
        value -= cpu_read_tsc(v); // by how much it moves
        v->tsc_offset += value;
        v->misc_msr[MISC_TSC_ADJUST] += value;
        return;
    case MSR_TSC_ADJUST:
        v->tsc_offset += value - v->misc_msr[MISC_TSC_ADJUST];
        break;
    case MSR_APIC_BASE:
        if (!v->has_apic)
            value &= ~(u64)APIC_BASE_ENABLE;
        v->apic_base = value;
        if (v->apic_base_changed)
            v->apic_base_changed(v->pic, value);
        return;
    case MSR_SYSENTER_CS:
        v->sysenter_cs = value;
        return;
    case MSR_SYSENTER_ESP:
        v->sysenter_esp = value;
        return;
    case MSR_SYSENTER_EIP:
        v->sysenter_eip = value;
        return;
    case MSR_EFER:
        old = v->efer;
        v->efer = value;
        if ((old ^ value) & EFER_NXE)
            mmu_mode_changed(v);
        return;
    }
    slot = msr_slot(v, msr);
    if (slot)
        *slot = value;
}

// ---- CPUID
static void cpuid_vendor(const struct cpu_model *m, u32 max, u32 out[4])
{
    out[0] = max;
    memcpy(&out[1], m->vendor, 4);
    memcpy(&out[3], m->vendor + 4, 4);
    memcpy(&out[2], m->vendor + 8, 4);
}

#define EXT_MAX 0x80000008u

static void cpuid_extended(const struct cpu_model *m, u32 leaf, u32 out[4])
{
    switch (leaf) {
    case 0x80000000:
        out[0] = EXT_MAX;
        break;
    case 0x80000001:
        out[2] = m->ext_ecx;
        out[3] = m->ext_edx;
        break;
    case 0x80000002 ... 0x80000004:
        memcpy(out, m->brand + 16 * (leaf - 0x80000002), 16);
        break;
    case 0x80000007:
        out[3] = BIT(8); // the TSC ticks at one rate, always
        break;
    case 0x80000008:
        out[0] = 0x2024; // 36 physical, 32 linear address bits
        break;
    }
}

void cpu_cpuid(struct vcpu *v, u32 leaf, u32 subleaf, u32 out[4])
{
    const struct cpu_model *m = v->model;
    u32 max = m->max_leaf;

    if (max > 2 && v->misc_msr[MISC_ENABLE] & MISC_ENABLE_LIMIT_CPUID)
        max = 2;
    memset(out, 0, 4 * sizeof(*out));
    if (leaf & 0x80000000 && m->ext_edx && leaf <= EXT_MAX) {
        cpuid_extended(m, leaf, out);
        return;
    }
    if (leaf > max)
        leaf = max;
    switch (leaf) {
    case 0:
        cpuid_vendor(m, max, out);
        break;
    case 1:
        out[0] = m->signature;
        out[1] = m->features_edx & CPUID_CLFSH ? 8 << 8 : 0;
        out[2] = m->features_ecx;
        out[3] = m->features_edx;
        // Without a local APIC, or with it disabled, the bit is clear (SDM 10.4.3).
        if (!(v->apic_base & APIC_BASE_ENABLE))
            out[3] &= ~(u32)CPUID_APIC;
        break;
    case 2: // TLBs, 16 KiB first-level caches, a second level of 256 KiB
        out[0] = 0x03020101;
        out[3] = 0x0c040882;
        break;
    case 7:
        if (subleaf == 0)
            out[1] = m->leaf7_ebx;
        break;
    }
}
