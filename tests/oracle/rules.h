// SPDX-License-Identifier: GPL-2.0-or-later
// What may run natively, and what of an outcome may be compared.
//
// The interpreter follows the processor it was measured on, AMD's, in what the manual leaves undefined; most of it
// comes from the host's own instructions. On hosts of other makes the oracle goes by the manual instead: flags that it
// calls undefined are not compared, and cases that depend on them are not run.
#ifndef RING3_TESTS_ORACLE_RULES_H
#define RING3_TESTS_ORACLE_RULES_H

#include "segments.h"
#include "decoder/insn.h"

struct rules {
    bool mask_undefined; // flags and results that the manual leaves undefined
    bool no_pointers;    // FNSTENV and FNSAVE do not store x87's last instruction and operand as ring3 does
};

// By the host's processor; or, manual, as on one that ring3 does not follow.
void rules_init(struct rules *rules, bool manual);

// Whether the oracle may run this instruction natively at all: not if its outcome depends on the host's kernel
// or on what this machine has and ring3's models don't.
bool insn_allowed(const u8 *bytes, const struct insn *insn);
// Likewise, for this host.
bool rules_allow(const struct rules *rules, const struct insn *insn);

// FNSTENV or FNSAVE.
bool insn_shows_pointers(const struct insn *insn);

// The arithmetic flags that the manual calls undefined after the instruction (SDM volume 1, appendix A, and volume 2).
// ecx is its value before.
u32 insn_undefined_flags(const struct insn *insn, u32 ecx);
// Its destination is.
bool insn_undefined_result(const struct insn *insn, u32 ecx);

struct trace;
// Whether the outcome is one that processors differ in: an access that runs across the end of the 4 GiB of a flat
// segment may fault or wrap (SDM volume 3A, 5.3); which operand of CMPS faults first.
bool case_implementation_specific(const struct oracle_case *c, const struct oracle_result *native,
                                  const struct trace *trace);

#endif
