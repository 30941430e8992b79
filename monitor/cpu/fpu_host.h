// SPDX-License-Identifier: GPL-2.0-or-later
// Running single x87, MMX and SSE instructions on the host's own unit: the operand block, the
// pre-assembled instructions ("stubs") and the trampolines that run one of them with the guest's
// state.
//
// A stub is one instruction and a RET in eight bytes. All its operands are fixed, so that a few
// thousand stubs, assembled at build time, cover every encoding and nothing is ever generated at
// run time:
//
//   ModRM.reg   xmm1, mm1 or ecx         memory      [rdi], the block's mem[]
//   ModRM.rm    xmm2, mm2 or edx         implicit    xmm0, eax, edx -> ecx, arithmetic flags
//
// x87 stubs are different: they keep their ST(i), since the whole stack is loaded for them.
#ifndef RING3_MONITOR_CPU_FPU_HOST_H
#define RING3_MONITOR_CPU_FPU_HOST_H

// The instructions with an immediate byte: 256 stubs per form. X(mandatory prefix, map, opcode).
#define HOST_IMM_LIST(X)                                                                     \
    X(np, 0f, 70) X(p66, 0f, 70) X(pf3, 0f, 70) X(pf2, 0f, 70)                               \
    X(np, 0f, C2) X(p66, 0f, C2) X(pf3, 0f, C2) X(pf2, 0f, C2)                               \
    X(np, 0f, C4) X(p66, 0f, C4) X(np, 0f, C5) X(p66, 0f, C5)                                \
    X(np, 0f, C6) X(p66, 0f, C6)                                                             \
    X(p66, 3a, 08) X(p66, 3a, 09) X(p66, 3a, 0A) X(p66, 3a, 0B)                              \
    X(p66, 3a, 0C) X(p66, 3a, 0D) X(p66, 3a, 0E) X(np, 3a, 0F) X(p66, 3a, 0F)                \
    X(p66, 3a, 14) X(p66, 3a, 15) X(p66, 3a, 16) X(p66, 3a, 17)                              \
    X(p66, 3a, 20) X(p66, 3a, 21) X(p66, 3a, 22)                                             \
    X(p66, 3a, 40) X(p66, 3a, 41) X(p66, 3a, 42) X(p66, 3a, 44)                              \
    X(p66, 3a, 60) X(p66, 3a, 61) X(p66, 3a, 62) X(p66, 3a, 63) X(p66, 3a, DF)

// Offsets into struct fpu_host, for the trampolines.
#define HOST_XMM 0
#define HOST_MM 48
#define HOST_MEM 64
#define HOST_FLAGS 128
#define HOST_EAX 136
#define HOST_ECX 140
#define HOST_EDX 144
#define HOST_MXCSR 148
#define HOST_FAULTED 152

#define HOST_STUB_SIZE 8

#ifndef __ASSEMBLER__
#include "monitor/base/types.h"

struct fpu_host {
    _Alignas(16) u8 xmm[3][16]; // implicit xmm0, reg, rm
    u8 mm[2][8];                // reg, rm
    u8 mem[64];                 // the memory operand
    u64 flags;                  // arithmetic flags before and after
    u32 eax, ecx, edx;          // implicit eax; reg; rm
    u32 mxcsr;
    u32 faulted;                // SIMD: the instruction raised an unmasked exception
};
_Static_assert(offsetof(struct fpu_host, mm) == HOST_MM, "fpu_host.S");
_Static_assert(offsetof(struct fpu_host, mem) == HOST_MEM, "fpu_host.S");
_Static_assert(offsetof(struct fpu_host, flags) == HOST_FLAGS, "fpu_host.S");
_Static_assert(offsetof(struct fpu_host, eax) == HOST_EAX, "fpu_host.S");
_Static_assert(offsetof(struct fpu_host, ecx) == HOST_ECX, "fpu_host.S");
_Static_assert(offsetof(struct fpu_host, edx) == HOST_EDX, "fpu_host.S");
_Static_assert(offsetof(struct fpu_host, mxcsr) == HOST_MXCSR, "fpu_host.S");
_Static_assert(offsetof(struct fpu_host, faulted) == HOST_FAULTED, "fpu_host.S");

// Indices into fpu_stub_imm, in units of 2 (register, memory) * 256 stubs.
enum host_imm {
#define X(pfx, map, op) HOST_IMM_##pfx##_##map##_##op,
    HOST_IMM_LIST(X)
#undef X
};

typedef u8 fpu_stub[HOST_STUB_SIZE];

extern const fpu_stub fpu_stub_first[], fpu_stub_end[];
extern const fpu_stub fpu_stub_x87[8][64 + 8];  // [opcode - D8][ModRM & 63, or 64 + reg: memory]
extern const fpu_stub fpu_stub_0f[256][4][2];   // [opcode][none 66 F3 F2][register memory]
extern const fpu_stub fpu_stub_0f38[256][2][2]; // [opcode][none 66][register memory]
extern const fpu_stub fpu_stub_imm[][2][256];   // [host_imm][register memory][immediate]

// Each runs one stub on *h and leaves the host's MXCSR, x87 control word and (empty) x87 stack as
// they were. fpu_host_x87 loads and stores the FXSAVE image fx, 16-byte aligned, whose status word
// must have no unmasked exception pending; the other registers of fx are scratch.
void fpu_host_x87(u8 *fx, struct fpu_host *h, const u8 *stub);
typedef void fpu_host_fn(struct fpu_host *h, const u8 *stub);
fpu_host_fn fpu_host_xmm;
fpu_host_fn fpu_host_mmx; // MMX registers as well

// Runs the stub, of fpu_host_xmm or fpu_host_mmx, with exceptions unmasked. If it raises one,
// h->faulted is set, h->mxcsr has the flags, and nothing else has changed. Takes SIGFPE for the
// time of the call.
void fpu_host_trap(fpu_host_fn *run, struct fpu_host *h, const u8 *stub);
#endif

#endif
