// SPDX-License-Identifier: GPL-2.0-or-later
// Host code, byte by byte. Emission never fails: past the end of the buffer it only counts, and
// emit_overflowed tells afterwards.
#ifndef RING3_BT_EMIT_H
#define RING3_BT_EMIT_H

#include "frame.h"
#include "monitor/base/types.h"

#include <string.h>

struct emit {
    u8 *start, *p, *end; // writable view
    u64 rx;              // address at which start will execute
};

// A host memory operand: [base + index << scale + disp]. base or index may be -1.
struct hmem {
    i8 base, index;
    u8 scale;
    i32 disp;
};

enum { // instruction form flags for the emit_insn family
    E_66 = BIT(0), E_F2 = BIT(1), E_F3 = BIT(2), E_LOCK = BIT(3), E_W = BIT(4), E_REX = BIT(5),
};

static inline bool emit_overflowed(const struct emit *e) { return e->p > e->end; }
static inline u32 emit_here(const struct emit *e) { return (u32)(e->rx + (e->p - e->start)); }

// The low `len` bytes of a number, len <= 8. May write all eight: what lies behind p is not in use yet.
static inline void emit_put(struct emit *e, u64 bytes, unsigned len)
{
    if (likely((u64)(e->end - e->p) >= 8 && e->p <= e->end))
        memcpy(e->p, &bytes, 8);
    else
        for (unsigned i = 0; i < len && e->p + i < e->end; i++)
            e->p[i] = bytes >> 8 * i;
    e->p += len;
}

static inline void emit8(struct emit *e, u8 v) { emit_put(e, v, 1); }
static inline void emit16(struct emit *e, u16 v) { emit_put(e, v, 2); }
static inline void emit32(struct emit *e, u32 v) { emit_put(e, v, 4); }
static inline void emit64(struct emit *e, u64 v) { emit_put(e, v, 8); }
void emit_bytes(struct emit *e, const void *bytes, u32 len);

// op is map << 8 | opcode, as in struct insn.
// reg, rm: host register numbers 0-15 (or an opcode extension in reg).
void emit_rr(struct emit *e, unsigned form, unsigned op, unsigned reg, unsigned rm);
void emit_rm(struct emit *e, unsigned form, unsigned op, unsigned reg, const struct hmem *m);

// Shorthands; 32-bit operations unless their names say 64.
void emit_mov_rr(struct emit *e, unsigned dst, unsigned src);
void emit_mov64_rr(struct emit *e, unsigned dst, unsigned src);
void emit_mov_ri(struct emit *e, unsigned dst, u32 imm);
void emit_mov64_ri(struct emit *e, unsigned dst, u64 imm);
void emit_lea(struct emit *e, unsigned dst, int base, int index, unsigned scale, i32 disp);
void emit_load(struct emit *e, unsigned dst, unsigned base, i32 disp);    // mov dst, [base+disp]
void emit_load64(struct emit *e, unsigned dst, unsigned base, i32 disp);
void emit_store(struct emit *e, unsigned base, i32 disp, unsigned src);
void emit_store64(struct emit *e, unsigned base, i32 disp, unsigned src);
void emit_store_imm(struct emit *e, unsigned base, i32 disp, u32 imm);    // mov dword [base+disp], imm
void emit_alu_ri(struct emit *e, unsigned ext, unsigned reg, u32 imm);    // 81 /ext
void emit_jmp(struct emit *e, u32 target);          // jmp rel32
void emit_call(struct emit *e, u32 target);
void emit_jcc(struct emit *e, unsigned cc, u32 target);
// Short forward jumps: emits the jump, returns the place for emit_land.
u8 *emit_short(struct emit *e, u8 opcode);
void emit_land(struct emit *e, u8 *place);
void emit_align(struct emit *e, unsigned to);       // with multi-byte NOPs

enum { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };

#endif
