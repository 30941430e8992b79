// SPDX-License-Identifier: GPL-2.0-or-later
// What a case executes, found out by interpreting it instruction by instruction before anything else runs it.
#ifndef RING3_TESTS_ORACLE_TRACE_H
#define RING3_TESTS_ORACLE_TRACE_H

#include "record.h"
#include "rig.h"
#include "rules.h"

#define TRACE_STEPS 32

struct trace {
    bool usable;          // it came to an end without an instruction that the rules forbid
    bool repeats;         // a repeated string instruction was among them
    bool shows_pointers;  // FNSTENV or FNSAVE was
    bool computes;        // an x87 instruction was
    bool moves;           // a segment register, CS included, was loaded behind one
    u32 undefined;        // flags that are undefined at the end, if the rules mask them
    unsigned steps;       // executed; the last of them is the one that ended it
    struct trace_step {
        u32 eip;
        bool fetched;     // insn is what was there; else fetching it was what faulted
        struct insn insn;
    } step[TRACE_STEPS];  // step n at n % TRACE_STEPS
};

// The last step at an address, or NULL.
const struct trace_step *trace_find(const struct trace *trace, u32 eip);

// rig: an interpreter's. before: the memory image. What it executes is added to the record.
void trace_case(struct rig *rig, const struct rules *rules, const struct oracle_case *c, const u8 *before,
                struct trace *trace, struct record *record);

#endif
