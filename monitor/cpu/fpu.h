// SPDX-License-Identifier: GPL-2.0-or-later
// The guest's x87, MMX and SSE state as an FXSAVE image in the 32-bit format, and what turns it
// into the older images of FNSTENV and FNSAVE and back (SDM volume 1, 8.1.10 and 10.5.1).
//
// Invariants of an image in struct vcpu.fx
//  1. FSW.ES and FSW.B equal "an exception flag is set that FCW does not mask" (fpu_normalise).
//  2. FCW and MXCSR hold only bits that FLDCW and LDMXCSR can set, so that the host's FXRSTOR takes
//     it.
//  3. FIP, FCS, FOP, FDP and FDS are the guest's (offsets and selectors), never the host's; whoever
//     copies an image out of the host's unit keeps these fields.
#ifndef RING3_MONITOR_CPU_FPU_H
#define RING3_MONITOR_CPU_FPU_H

#include "decoder/insn.h"
#include "monitor/base/vcpu.h"

#include <string.h>

// Offsets into the image.
enum {
    FX_FCW = 0, FX_FSW = 2, FX_FTW = 4 /* abridged, a byte */, FX_FOP = 6, FX_FIP = 8, FX_FCS = 12,
    FX_FDP = 16, FX_FDS = 20, FX_MXCSR = 24, FX_MXCSR_MASK = 28,
    FX_ST = 32,   // ST(i) at 16 * i
    FX_XMM = 160, // XMMi at 16 * i
    FX_SIZE = 512,
    FX_USED = 288, // what the processor reads and writes outside 64-bit mode
};

// Status word.
#define FSW_EXCEPTIONS 0x3fu // PE UE OE ZE DE IE
#define FSW_IE BIT(0)
#define FSW_DE BIT(1)
#define FSW_OE BIT(3)
#define FSW_UE BIT(4)
#define FSW_ES BIT(7)
#define FSW_B BIT(15)
#define FSW_TOP_SHIFT 11

#define FCW_BITS 0x1f7fu // writable ones
#define FCW_ONE BIT(6)   // always reads as one
#define FCW_MASKS 0x3fu
#define FOP_BITS 0x7ffu

#define MXCSR_FLAGS 0x3fu
#define MXCSR_MASKS 0x1f80u
#define MXCSR_MASK_SHIFT 7
#define MXCSR_UM BIT(11)
#define MXCSR_RESET 0x1f80u

static inline u16 fx_get16(const u8 *fx, unsigned at)
{
    u16 x;

    memcpy(&x, fx + at, sizeof(x));
    return x;
}

static inline u32 fx_get32(const u8 *fx, unsigned at)
{
    u32 x;

    memcpy(&x, fx + at, sizeof(x));
    return x;
}

static inline void fx_put16(u8 *fx, unsigned at, u16 x)
{
    memcpy(fx + at, &x, sizeof(x));
}

static inline void fx_put32(u8 *fx, unsigned at, u32 x)
{
    memcpy(fx + at, &x, sizeof(x));
}

static inline unsigned fpu_top(const u8 *fx)
{
    return fx_get16(fx, FX_FSW) >> FSW_TOP_SHIFT & 7;
}

// An exception is pending: the next waiting instruction raises #MF.
static inline bool fpu_pending(const u8 *fx)
{
    return fx_get16(fx, FX_FSW) & ~fx_get16(fx, FX_FCW) & FSW_EXCEPTIONS;
}

// Where register R(n), and so MMn, is found in the image, which keeps the stack's order.
static inline unsigned fpu_reg_at(const u8 *fx, unsigned n)
{
    return FX_ST + 16 * ((n - fpu_top(fx)) & 7);
}

// ---- fpu_image.c: pure functions on images.
// Sets FSW.TOP, with every physical register keeping its contents (the image is in the stack's
// order).
void fpu_set_top(u8 *fx, unsigned top);
// The x87 part after FNINIT; registers' contents stay.
void fpu_init(u8 *fx);
// Recomputes FSW.ES and FSW.B (invariant 1).
void fpu_normalise(u8 *fx);
// The full tag word: two bits for each physical register; 0 valid, 1 zero, 2 special, 3 empty.
u16 fpu_tags(const u8 *fx);
// The reverse: FXSAVE's byte, a one for each register that is not empty.
u8 fpu_tags_abridge(u16 tags);

// The four formats of the environment: FPU_ENV_32 for 32-bit operand size, FPU_ENV_REAL for real
// and virtual-8086 mode.
enum { FPU_ENV_REAL = 1, FPU_ENV_32 = 2 };
#define FPU_ENV_MAX 28
#define FPU_SAVE_MAX (FPU_ENV_MAX + 80)

static inline unsigned fpu_env_size(unsigned format)
{
    return format & FPU_ENV_32 ? 28 : 14;
}

// FNSTENV's and FLDENV's image. Stores fpu_env_size(format) bytes; does not change fx's masks.
void fpu_env_store(const u8 *fx, unsigned format, u8 *env);
void fpu_env_load(u8 *fx, unsigned format, const u8 *env);
// FNSAVE's and FRSTOR's: the environment and the eight registers; 80 bytes more.
void fpu_save_store(const u8 *fx, unsigned format, u8 *image);
void fpu_save_load(u8 *fx, unsigned format, const u8 *image);

// ---- fpu.c
// The MXCSR bits that exist in the guest's model; 0 if it has no SSE.
u32 fpu_mxcsr_mask(const struct vcpu *v);
// Those of the host's CPU, as its FXSAVE says (SDM 1, 11.6.6): AMD's have bit 17, for misaligned operands.
u32 fpu_host_mxcsr_mask(void);
// Before a waiting x87 or MMX instruction: raises #MF if an exception is pending (CR0.NE), or
// asserts FERR#. True: execute (with the exception ignored, if one is pending, as IGNNE# would have
// it). False: the interrupt that FERR# caused comes first, and insn is to be executed again after
// it.
bool fpu_wait(struct vcpu *v);
// After FSW or FCW changed: invariant 1, and FERR# follows it down.
void fpu_changed(struct vcpu *v);
// FXSAVE and FXRSTOR, all checks included.
void fpu_fxsave(struct vcpu *v, const struct insn *insn);
void fpu_fxrstor(struct vcpu *v, const struct insn *insn);

#endif
