// SPDX-License-Identifier: GPL-2.0-or-later
// Makes cases, and says what may be compared of their outcome.
#ifndef RING3_TESTS_ORACLE_GENERATE_H
#define RING3_TESTS_ORACLE_GENERATE_H

#include "segments.h"
#include "decoder/insn.h"

// Kinds of cases; --kind takes the names.
#define KIND_LIST(X)                                                                         \
    X(INTEGER, "integer") X(STRING, "string") X(FLOW, "flow") X(X87, "x87") X(SIMD, "simd")  \
    X(BYTES, "bytes") X(LOOP, "loop") X(SMC, "smc") X(SEGMENT, "segment")

enum kind {
#define X(id, name) KIND_##id,
    KIND_LIST(X)
#undef X
    KIND_COUNT
};

struct generator {
    u64 random;
    u32 fixed;     // bit per instruction of the case: its branch has its target already
    u32 patches;   // bit per instruction: a store that is to hit the case's code
    u64 mem_seed;  // of the cases to come
    u32 kinds;     // bit per enum kind
    bool has_zero;
};

// Makes the case that belongs to a seed: the same seed and settings give the same case.
void generate(struct generator *g, u64 seed, struct oracle_case *c);

// Whether the oracle may run this instruction natively at all: not if its outcome depends on the host's kernel
// or on what this machine has and ring3's models don't.
bool insn_allowed(const u8 *bytes, const struct insn *insn);

// The arithmetic flags that are undefined after the instruction.
u32 insn_undefined_flags(const struct insn *insn);
// The flags of the outcome that cannot be compared, if the case ended at end_eip.
u32 case_undefined_flags(const struct oracle_case *c, u32 end_eip);

// Whether the outcome is one that processors differ in: an access that runs across the end of the 4 GiB of a flat
// segment may fault or wrap (SDM volume 3A, 5.3); which operand of CMPS faults first.
bool case_implementation_specific(const struct oracle_case *c, const struct oracle_result *native);

#endif
