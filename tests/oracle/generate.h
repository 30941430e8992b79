// SPDX-License-Identifier: GPL-2.0-or-later
// Makes cases.
#ifndef RING3_TESTS_ORACLE_GENERATE_H
#define RING3_TESTS_ORACLE_GENERATE_H

#include "forms.h"
#include "rules.h"

// Kinds of cases; --kind takes the names.
#define KIND_LIST(X)                                                                         \
    X(INTEGER, "integer") X(STRING, "string") X(FLOW, "flow") X(X87, "x87") X(SIMD, "simd")  \
    X(BYTES, "bytes") X(LOOP, "loop") X(SMC, "smc") X(SEGMENT, "segment") \
    X(FORM, "form")

enum kind {
#define X(id, name) KIND_##id,
    KIND_LIST(X)
#undef X
    KIND_COUNT
};

struct generator {
    const struct form_set *forms; // the opcode table, which the kind `form` picks from
    u64 random;
    u32 fixed;     // bit per instruction of the case: its branch has its target already
    u32 patches;   // bit per instruction: a store that is to hit the case's code
    u64 mem_seed;  // of the cases to come
    u32 kinds;     // bit per enum kind
    bool has_zero, has_ldt; // struct batch's
};

// The n-th of all encodings by opcode and ModRM (memory operands once for each reg), as a case of one instruction with
// a random prefix and random operands, in 32-bit or 16-bit code. n is below EVERY. False: not for the oracle.
#define EVERY (4u * 256 * 72)
bool generate_every(struct generator *g, u64 seed, u32 n, struct oracle_case *c);

// Makes the case that belongs to a seed: the same seed and settings give the same case.
void generate(struct generator *g, u64 seed, struct oracle_case *c);

#endif
