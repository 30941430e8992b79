// SPDX-License-Identifier: GPL-2.0-or-later
// The CPU models.
//
// pentium3 has the Pentium III's features and, beside them, NX. Its signature is that of a
// later in-order core of family 6 (model 1Ch): Linux 4.15 and later decide by vendor, family
// and model whether a CPU leaks through speculation, and turn page-table isolation and
// retpolines on unless they know better. Under translation CPL 3 has no mapping of supervisor
// pages at all, so isolating them again buys nothing, and costs a TLB flush a system call.
// In-order cores are on Linux's list of those that do not speculate; nothing else about the
// model is looked at when the feature bits are absent. `max` has the same signature, for the same
// reason, whatever the host's make.
//
// A TSC that never stops or changes its rate, and TSC_ADJUST, tell Linux that it need not check
// the TSC against timers, which lag where the host is busy. They are seen once MISC_ENABLE's
// limit on CPUID is lifted, as Linux does at once; systems of the time, which fail with more
// than three leaves, see two.
#include "model.h"

#include <cpuid.h>
#include <pthread.h>
#include <string.h>

#define F_486 CPUID_FPU
#define F_P5                                                                                 \
    (CPUID_FPU | CPUID_VME | CPUID_DE | CPUID_PSE | CPUID_TSC | CPUID_MSR | CPUID_MCE | CPUID_CX8 | \
     CPUID_APIC)
#define F_P3                                                                                 \
    (F_P5 | CPUID_PAE | CPUID_SEP | CPUID_MTRR | CPUID_PGE | CPUID_MCA | CPUID_CMOV |        \
     CPUID_PAT | CPUID_PSE36 | CPUID_MMX | CPUID_FXSR | CPUID_SSE)

#define I_486 (BIT(ISA_386) | BIT(ISA_486))
#define I_P5 (I_486 | BIT(ISA_P5))
#define I_P3                                                                                 \
    (I_P5 | BIT(ISA_CMOV) | BIT(ISA_MMX) | BIT(ISA_P6) | BIT(ISA_SEP) | BIT(ISA_FXSR) |      \
     BIT(ISA_SSE))

#define C_P5 (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_MCE)
#define C_P3 (C_P5 | CR4_PAE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT)

static const struct cpu_model models[] = {
    {
        .name = "pentium3",
        .help = "Pentium III: MMX, SSE, PAE, and NX (the default)",
        .isa = I_P3,
        .signature = 0x106ca,
        .features_edx = F_P3,
        .ext_edx = CPUID_EXT_NX,
        .max_leaf = 7,
        .leaf7_ebx = CPUID_7_TSC_ADJUST,
        .vendor = "GenuineIntel",
        .brand = "Pentium III (ring3)",
        .has_cpuid = true,
        .cr4_mask = C_P3,
    },
    {
        .name = "pentium",
        .help = "Pentium (P54C): no MMX, no CMOV, no PAE",
        .isa = I_P5,
        .signature = 0x52c,
        .features_edx = F_P5,
        .max_leaf = 1,
        .vendor = "GenuineIntel",
        .has_cpuid = true,
        .cr4_mask = C_P5,
    },
    {
        .name = "486",
        .help = "486DX: no CPUID, no TSC, no CR4",
        .isa = I_486,
        .signature = 0x435,
        .features_edx = F_486,
        .vendor = "GenuineIntel",
    },
};

// ---- max: what of the host carries over
struct feature {
    u32 bit;
    unsigned isa;
};

static u32 pick(u32 host, const struct feature *list, unsigned n, u32 *isa)
{
    u32 have = 0;

    for (unsigned i = 0; i < n; i++)
        if (host & list[i].bit) {
            have |= list[i].bit;
            *isa |= BIT(list[i].isa);
        }
    return have;
}

static struct cpu_model max_model;
static pthread_once_t max_once = PTHREAD_ONCE_INIT;

static void max_fill(void)
{
    static const struct feature ecx[] = {
        { BIT(0), ISA_SSE3 }, { BIT(1), ISA_PCLMUL }, { BIT(9), ISA_SSSE3 },
        { BIT(19), ISA_SSE41 }, { BIT(20), ISA_SSE42 }, { BIT(22), ISA_MOVBE },
        { BIT(23), ISA_POPCNT }, { BIT(25), ISA_AES }, { BIT(30), ISA_RDRAND },
    };
    static const struct feature leaf7[] = {
        { BIT(3), ISA_TZCNT }, { BIT(3), ISA_BMI1 }, { BIT(18), ISA_RDSEED }, { BIT(19), ISA_ADX },
    };
    static const struct feature ext[] = { { BIT(5), ISA_LZCNT } };
    struct cpu_model *m = &max_model;
    u32 a = 0, b = 0, c = 0, d = 0, isa = I_P3 | BIT(ISA_SSE2);

    *m = models[0];
    m->name = "max";
    m->help = "what the host has and a 32-bit guest can use: SSE2 to SSE4.2, AES...; no AVX";
    __get_cpuid(1, &a, &b, &c, &d);
    m->features_edx = F_P3 | CPUID_SSE2 | (d & CPUID_CLFSH);
    m->features_ecx = pick(c, ecx, ARRAY_LEN(ecx), &isa);
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        m->leaf7_ebx |= pick(b, leaf7, ARRAY_LEN(leaf7), &isa) | (b & BIT(9)); // ERMS
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
        m->ext_ecx = pick(c, ext, ARRAY_LEN(ext), &isa);
    for (u32 i = 0; i < 3; i++)
        if (__get_cpuid(0x80000002 + i, &a, &b, &c, &d))
            memcpy(m->brand + 16 * i, (u32[]){ a, b, c, d }, 16);
    m->isa = isa;
}

const struct cpu_model *cpu_model_at(unsigned i)
{
    if (i < ARRAY_LEN(models))
        return &models[i];
    if (i > ARRAY_LEN(models))
        return NULL;
    pthread_once(&max_once, max_fill);
    return &max_model;
}

const struct cpu_model *cpu_model_find(const char *name)
{
    const struct cpu_model *m;

    for (unsigned i = 0; (m = cpu_model_at(i)); i++)
        if (strcmp(m->name, name) == 0)
            return m;
    return NULL;
}
