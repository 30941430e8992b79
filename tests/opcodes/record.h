// SPDX-License-Identifier: GPL-2.0-or-later
// What a test executed: how often each form, and with what exceptions. As text, a line a form:
//
//   COUNT FINE FAULTS KEY       FINE: of them without an exception; FAULTS: in hexadecimal, a bit for each vector
#ifndef RING3_TESTS_OPCODES_RECORD_H
#define RING3_TESTS_OPCODES_RECORD_H

#include "forms.h"

struct record {
    struct form_set forms;
    struct { u64 count, fine; u32 faults; } of[MAX_FORMS];
};

// vector: the exception raised, or -1.
void record_add(struct record *r, const struct insn *insn, int vector);
// False, with a message printed, on failure. A key that no form has is one.
bool record_write(const struct record *r, const char *path);
bool record_read(struct record *r, const char *path);

#endif
