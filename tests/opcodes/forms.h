// SPDX-License-Identifier: GPL-2.0-or-later
// Instruction forms: what the rows of the decoder's own tables come to when each is split into its memory and its
// register form. A form is what has a row of OPCODES.md.
#ifndef RING3_TESTS_OPCODES_FORMS_H
#define RING3_TESTS_OPCODES_FORMS_H

#include "decoder/row.h"

#define FORM_ANY 0xff
#define FORM_KEY 32 // bytes that form_key needs
#define MAX_FORMS 2048

enum form_rm { RM_NONE, RM_MEM, RM_REG }; // no ModRM; ModRM names memory, a register

struct form {
    const struct row *row;
    u16 op;       // OP(); the first of eight if the low bits are a register
    u8 prefix;    // 0 none, 1 66, 2 F3, 3 F2: mandatory; FORM_ANY
    u8 reg, rm;   // ModRM fields that belong to the opcode; FORM_ANY
    u8 has_rm;    // enum form_rm
    u8 opcodes;   // 1, or 8 or 7 (XCHG) for a register in the opcode
};

struct form_set {
    struct form form[MAX_FORMS];
    unsigned count;
    unsigned undefined; // encodings that no form covers: rows of the tables left empty
    struct {
        const struct row *row;
        u8 has_rm;
        u16 form;
    } lookup[2 * MAX_FORMS]; // by opcode
    unsigned lookups, first[MAP_COUNT * 256 + 1];
};

void forms_init(struct form_set *set);
// The form of a decoded instruction; -1 for an undefined one.
int form_find(const struct form_set *set, const struct insn *insn);
// In the manual's notation: "F3 0F 58 /r reg".
void form_key(const struct form *form, char *key);

// Writes mandatory prefix and opcode; which of its opcodes counts modulo their number. Returns the length. What the form
// leaves open follows: ModRM (form_modrm), SIB, displacement, immediate.
unsigned form_opcode(const struct form *form, unsigned which, u8 *bytes);
// The ModRM byte that is of the form and closest to the one wanted. Only for forms with has_rm.
u8 form_modrm(const struct form *form, u8 wanted);

// The exceptions it can raise, as a bit for each vector, if used in 32-bit protected mode. LOCK (#UD), fetching
// (#PF, #GP) and single-stepping (#DB) apart, which any can.
u32 form_faults(const struct form *form);

#endif
