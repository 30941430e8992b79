// SPDX-License-Identifier: GPL-2.0-or-later
// -cpu models: what CPUID says, and which instructions and MSRs exist.
#ifndef RING3_MONITOR_CPU_MODEL_H
#define RING3_MONITOR_CPU_MODEL_H

#include "decoder/insn.h"
#include "monitor/base/types.h"

struct cpu_model {
    const char *name, *help;
    u32 isa;            // bit per enum insn_isa
    u32 signature;      // CPUID.1:EAX, also EDX at reset
    u32 features_edx, features_ecx; // CPUID.1
    u32 ext_edx;        // CPUID.80000001h:EDX (NX)
    u32 max_leaf;
    char vendor[12];
    char brand[48];
    bool has_cpuid;     // EFLAGS.ID can be toggled
    u32 cr4_mask;       // bits that may be set
};

// By name ("pentium3", "pentium", "486", "max"), or NULL. `max` is filled from the host's CPUID on first use.
const struct cpu_model *cpu_model_find(const char *name);
// The i-th model, or NULL past the end: for -cpu help.
const struct cpu_model *cpu_model_at(unsigned i);

static inline bool cpu_model_has(const struct cpu_model *m, unsigned isa)
{
    return m->isa & BIT(isa);
}

#endif
