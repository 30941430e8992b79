// SPDX-License-Identifier: GPL-2.0-or-later
// -cpu models: what CPUID says, and which instructions and MSRs exist.
#ifndef RING3_MONITOR_CPU_MODEL_H
#define RING3_MONITOR_CPU_MODEL_H

#include "decoder/insn.h"
#include "monitor/base/types.h"

// CPUID.1:EDX
enum {
    CPUID_FPU = BIT(0), CPUID_VME = BIT(1), CPUID_DE = BIT(2), CPUID_PSE = BIT(3),
    CPUID_TSC = BIT(4), CPUID_MSR = BIT(5), CPUID_PAE = BIT(6), CPUID_MCE = BIT(7),
    CPUID_CX8 = BIT(8), CPUID_APIC = BIT(9), CPUID_SEP = BIT(11), CPUID_MTRR = BIT(12),
    CPUID_PGE = BIT(13), CPUID_MCA = BIT(14), CPUID_CMOV = BIT(15), CPUID_PAT = BIT(16),
    CPUID_PSE36 = BIT(17), CPUID_CLFSH = BIT(19), CPUID_MMX = BIT(23), CPUID_FXSR = BIT(24),
    CPUID_SSE = BIT(25), CPUID_SSE2 = BIT(26),
};
#define CPUID_EXT_NX BIT(20) // CPUID.80000001h:EDX
#define CPUID_7_TSC_ADJUST BIT(1) // CPUID.7.0:EBX

struct cpu_model {
    const char *name, *help;
    u32 isa;            // bit per enum insn_isa
    u32 signature;      // CPUID.1:EAX, also EDX at reset
    u32 features_edx, features_ecx; // CPUID.1
    u32 ext_edx;        // CPUID.80000001h:EDX (NX)
    u32 ext_ecx;        // CPUID.80000001h:ECX (LZCNT)
    u32 leaf7_ebx;      // CPUID.7.0
    u32 max_leaf;       // over 2 only once MISC_ENABLE no longer limits it, as old systems need
    char vendor[12];
    char brand[48];
    bool has_cpuid;     // EFLAGS.ID can be toggled
    u32 cr4_mask;       // bits that may be set
};

// By name ("pentium3", "pentium", "486", "max"), or NULL. `max` is filled from the host's CPUID
// on first use.
const struct cpu_model *cpu_model_find(const char *name);
// The i-th model, or NULL past the end: for -cpu help.
const struct cpu_model *cpu_model_at(unsigned i);

static inline bool cpu_model_has(const struct cpu_model *m, unsigned isa)
{
    return m->isa & BIT(isa);
}

#endif
