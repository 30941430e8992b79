// SPDX-License-Identifier: GPL-2.0-or-later
// Runs one x87, MMX or SSE instruction on the host itself and in the interpreter, from the same
// random state, and compares everything: the encodings are the same in 64-bit mode. The host is the
// oracle, so what a host does not have (SSE4.2 on an old one) goes unchecked.
#ifndef RING3_TESTS_CPU_FPU_NATIVE_H
#define RING3_TESTS_CPU_FPU_NATIVE_H

#include "monitor/cpu/cpu.h"
#include "monitor/cpu/fpu.h"

// One page at the same address for the host and the guest, so that EDI can be equal as well.
#define TEST_PAGE 0x1000000u
#define TEST_OFFSET 0x800u
#define TEST_AT (TEST_PAGE + TEST_OFFSET) // where EDI points, give or take a misalignment
#define TEST_RAM (32u << 20)

// What the host does, and what the interpreter is given and does.
struct trial {
    _Alignas(64) u8 fx[FX_SIZE];
    u8 mem[PAGE_SIZE]; // contents of the page
    u32 gpr[8];
    u32 eflags;        // arithmetic flags
    int signal;        // of the host; the interpreter's vector is turned into one. 0: none
};

struct rig {
    struct vcpu *v;
    struct mmu mmu;
    struct phys phys;
    struct bus bus;
    struct log log;
    u8 *code, *page; // host mappings
    u64 random;
};

// Exits if the machine cannot be built.
struct rig *rig_new(void);
void rig_free(struct rig *b);
u64 rig_random(struct rig *b);

// A random state: floating-point values of all classes, stack and tags mostly consistent,
// exceptions mostly masked, FSW's pending exceptions only if `pending`.
void rig_state(struct rig *b, struct trial *t, bool pending);

// Both change *t from the state before to the state after.
void rig_native(struct rig *b, struct trial *t, const u8 *bytes, unsigned len);
void rig_interp(struct rig *b, struct trial *t, const struct insn *insn);

// NULL if equal, else a description of the first difference in static storage. mem_skip: bytes of
// memory at TEST_AT, from and to, that may differ.
const char *rig_compare(const struct trial *native, const struct trial *interp, unsigned skip_from,
                          unsigned skip_to);

#endif
