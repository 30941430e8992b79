// SPDX-License-Identifier: GPL-2.0-or-later
// How each engine does a form, found out by asking it: the interpreter for its handler, the translator for its code.
#ifndef RING3_TESTS_OPCODES_WAYS_H
#define RING3_TESTS_OPCODES_WAYS_H

#include "forms.h"

struct ways;

// NULL, with a message printed, if there is no memory for translations.
struct ways *ways_new(void);
void ways_free(struct ways *w);

// An encoding of the form, with what is open filled with ones and [EBX], ECX or the like, and how it decodes.
void ways_example(const struct form *form, u8 bytes[INSN_MAX], struct insn *insn);
// The interpreter's handler, as in monitor/cpu/exec.c.
const char *ways_interp(struct ways *w, const struct insn *insn);
// "copied", "inline" or "emulated" in flat 32-bit code, both privileged and not: README.md says what that means. text has
// room for 64 bytes.
void ways_bt(struct ways *w, const u8 *bytes, const struct insn *insn, char *text);
// The operands in the manual's manner: "r/m32, r32". text has room for 128 bytes.
void ways_operands(struct ways *w, const u8 *bytes, const struct form *form, char *text);

#endif
