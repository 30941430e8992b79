// SPDX-License-Identifier: GPL-2.0-or-later
// The forms of MMX and SSE instructions: operand kinds, sizes and checks, by opcode and mandatory
// prefix.
#ifndef RING3_MONITOR_CPU_SIMD_FORM_H
#define RING3_MONITOR_CPU_SIMD_FORM_H

#include "decoder/insn.h"

enum { // kinds of register operands, after the manual's letters
    KIND_NONE,
    KIND_X, // xmm: V in ModRM.reg, W in ModRM.rm
    KIND_M, // mm: P, Q
    KIND_G, // general register: G, E
};

enum { // struct simd_form.flags
    FORM_ALIGNED = BIT(0), // the memory operand must be aligned on its 16 bytes
    FORM_STORE = BIT(1),   // ModRM.rm is the destination, ModRM.reg a source
    FORM_MEM = BIT(2),     // memory only
    FORM_REG = BIT(3),     // register only
    FORM_LENGTHS = BIT(4), // PCMPESTRx: EAX and EDX are operands
    FORM_INDEX = BIT(5),   // PCMPxSTRI: ECX is the result
    FORM_XMM0 = BIT(6),    // PCMPxSTRM: XMM0 is the result
};

struct simd_form {
    u8 reg, rm;  // KIND_*; KIND_NONE in reg: no such instruction
    u8 size;     // of the memory operand, in bytes
    u8 flags;    // FORM_*
    u8 imm;      // 1 + enum host_imm, or 0
};

// The form that insn's opcode and prefixes name, and its prefix's index (none 66 F3 F2) in *prefix,
// or NULL.
const struct simd_form *simd_form_find(const struct insn *insn, unsigned *prefix);

#endif
