// SPDX-License-Identifier: GPL-2.0-or-later
// The decoder's tables: one row per opcode, written in the notation of the Intel SDM's opcode maps
// (volume 2D, appendix A.2) with | for the comma: I("add", Ev | Gv | RW | LK, FW(FL_ARITH)).
//
// A row either describes an instruction or chooses among the rows at sub:
//
//   map_1[0xf7] -- BY_REG --> sub[modrm.reg]             group 3
//   map_0f[0x10] - BY_PFX --> sub[none, 66, F3, F2]      movups movupd movss movsd
//   map_1[0xd9] -- BY_MODREG > sub[modrm.reg + 8 * (mod == 3)] -- BY_RM --> sub[modrm.rm]
//
// A row without a name is an undefined encoding.
#ifndef RING3_DECODER_ROW_H
#define RING3_DECODER_ROW_H

#include "insn.h"

enum row_by { BY_NONE, BY_PFX, BY_REG, BY_MOD, BY_MODREG, BY_RM };

struct row {
    const char *name;
    const struct row *sub;
    u64 enc;            // what follows the opcode, and attributes: below
    u16 flags_read, flags_written;
    u8 flow, sensitive, isa;
    u8 by;              // enum row_by
};

// The row that a choice of `row` (row->by is not BY_NONE) leads to. All but BY_PFX look at ModRM, which must have been read.
static inline const struct row *row_choose(const struct row *row, const struct insn *insn)
{
    switch (row->by) {
    case BY_PFX:
        // F2 and F3 select before 66 does (SDM volume 2, 2.1.2 and the opcode maps).
        return row->sub + (insn->prefix & PFX_REPNE ? 3 : insn->prefix & PFX_REP ? 2
                           : insn->prefix & PFX_66 ? 1 : 0);
    case BY_REG:
        return row->sub + insn->reg;
    case BY_MOD:
        return row->sub + (insn->mod == 3);
    case BY_MODREG:
        return row->sub + insn->reg + (insn->mod == 3 ? 8 : 0);
    default:
        return row->sub + insn->rm;
    }
}

extern const struct row insn_map_1[256], insn_map_0f[256], insn_map_0f38[256], insn_map_0f3a[256];
extern const struct row insn_map_vex38[256];
extern const struct row insn_x87[8][16]; // D8..DF: by modrm.reg, memory forms first

// row.enc:
//
//   47      32    18   17   16   15   14    13   12   11..8  7..5  4..1  0
//  | INSN_* | .. | FIX_.. |OS32|OS16|NOMEM|REG |MEM | IMM  | MEM | SIZE |MODRM|
#define E_MODRM 1ull
#define E_SIZE(n) ((u64)(n) << 1)
#define E_MEM(n) ((u64)(n) << 5)
#define E_IMM(n) ((u64)(n) << 8)
#define E_MEM_ONLY (1ull << 12) // the register form is undefined
#define E_REG_ONLY (1ull << 13) // the memory form is undefined
#define E_NO_MEM (1ull << 14)   // modrm.mod is ignored: MOV to and from CRn, DRn
#define E_OS16 (1ull << 15)     // the operand size is 16 whatever the prefixes say
#define E_OS32 (1ull << 16)     // likewise 32
#define E_FIX_COUNT (1ull << 17) // an immediate count of 0 (modulo 32) leaves the flags alone
#define E_FIX_REP (1ull << 18)  // with REP, and ECX = 0, it leaves the flags alone
#define E_ATTR(a) ((u64)(a) << 32)

#define ENC_SIZE(enc) ((enc) >> 1 & 15)
#define ENC_MEM(enc) ((enc) >> 5 & 7)
#define ENC_IMM(enc) ((enc) >> 8 & 15)
#define ENC_ATTR(enc) ((u16)((enc) >> 32))

// Sizes of memory operands. Those from SIZE_V on depend on the operand size.
enum {
    SIZE_0, SIZE_1, SIZE_2, SIZE_4, SIZE_8, SIZE_6, SIZE_10, SIZE_16,
    SIZE_V,    // word or dword
    SIZE_P,    // far pointer
    SIZE_A,    // BOUND's pair
    SIZE_ENV,  // FLDENV
    SIZE_SAVE, // FRSTOR
};

enum { IMM_NONE, IMM_B, IMM_W, IMM_Z, IMM_AP, IMM_WB, IMM_O };

// How the memory operand is used; LK: and the instruction can be locked.
#define RD E_MEM(MEM_READ)
#define WR E_MEM(MEM_WRITE)
#define RW E_MEM(MEM_RMW)
#define AD E_MEM(MEM_ADDRESS)
#define LK E_ATTR(INSN_LOCKABLE)

// Operands. Those that are encoded in neither ModRM.rm nor an immediate are here to be read.
#define Eb (E_MODRM | E_SIZE(SIZE_1) | E_ATTR(INSN_8BIT))
#define Eb_zx (E_MODRM | E_SIZE(SIZE_1)) // a byte operand beside a larger one
#define Ew (E_MODRM | E_SIZE(SIZE_2))
#define Ed (E_MODRM | E_SIZE(SIZE_4) | E_OS32)
#define Ev (E_MODRM | E_SIZE(SIZE_V))
#define Ep (E_MODRM | E_SIZE(SIZE_P) | E_MEM_ONLY)
#define Gb E_ATTR(INSN_8BIT)
#define Gw 0ull
#define Gd E_OS32
#define Bd E_OS32 // VEX.vvvv
#define Gv 0ull
#define Rv (E_MODRM | E_REG_ONLY)
#define Rd (E_MODRM | E_NO_MEM | E_OS32)
#define Cd 0ull
#define Dd 0ull
#define Sw 0ull
#define Zv 0ull // a register in the opcode's low three bits
#define Zb 0ull
#define AL 0ull
#define eAX 0ull
#define DX 0ull
#define CL 0ull
#define Ib E_IMM(IMM_B)
#define Iw E_IMM(IMM_W)
#define Iz E_IMM(IMM_Z)
#define IwIb E_IMM(IMM_WB)
#define Jb E_IMM(IMM_B)
#define Jz E_IMM(IMM_Z)
#define Ap E_IMM(IMM_AP)
#define Ob (E_IMM(IMM_O) | E_SIZE(SIZE_1))
#define Ov (E_IMM(IMM_O) | E_SIZE(SIZE_V))
#define M (E_MODRM | E_MEM_ONLY)
#define Mb (M | E_SIZE(SIZE_1))
#define Mw (M | E_SIZE(SIZE_2))
#define Md (M | E_SIZE(SIZE_4))
#define Mq (M | E_SIZE(SIZE_8))
#define Mx (M | E_SIZE(SIZE_16))
#define Mv (M | E_SIZE(SIZE_V))
#define Ma (M | E_SIZE(SIZE_A))
#define Mp (M | E_SIZE(SIZE_P))
#define Ms (M | E_SIZE(SIZE_6))
// MMX and XMM registers, and memory of the size named.
#define Pq E_ATTR(INSN_MMX)
#define Qq (E_MODRM | E_SIZE(SIZE_8) | E_ATTR(INSN_MMX))
#define Qd (E_MODRM | E_SIZE(SIZE_4) | E_ATTR(INSN_MMX))
#define Nq (E_MODRM | E_REG_ONLY | E_ATTR(INSN_MMX))
#define Vx E_ATTR(INSN_SSE)
#define Wx (E_MODRM | E_SIZE(SIZE_16) | E_ATTR(INSN_SSE))
#define Wq (E_MODRM | E_SIZE(SIZE_8) | E_ATTR(INSN_SSE))
#define Wd (E_MODRM | E_SIZE(SIZE_4) | E_ATTR(INSN_SSE))
#define Ww (E_MODRM | E_SIZE(SIZE_2) | E_ATTR(INSN_SSE))
#define Ux (E_MODRM | E_REG_ONLY | E_ATTR(INSN_SSE))

#define STACK E_ATTR(INSN_STACK)
#define STRING E_ATTR(INSN_STRING)
#define STOP E_ATTR(INSN_STOP)
#define X87 E_ATTR(INSN_X87)
#define UD E_ATTR(INSN_UD)

// Row constructors and the optional columns that may follow the first two.
#define I(mnemonic, encoding, ...) { .name = (mnemonic), .enc = (encoding), ##__VA_ARGS__ }
#define FR(mask) .flags_read = (mask)
#define FW(mask) .flags_written = (mask)
#define FLOW(kind) .flow = FLOW_##kind
#define SENS(kind) .sensitive = SENS_##kind
#define ISA(step) .isa = ISA_##step
#define CHOOSE(how, ...) { .by = (how), .sub = (const struct row[]){ __VA_ARGS__ } }
#define PFX(...) CHOOSE(BY_PFX, __VA_ARGS__)
#define PFX2(none, with_66) PFX(none, with_66, NONE, NONE)
#define NONE { .name = NULL }
// Eight rows for the registers in an opcode's low three bits; or seven, without the first.
#define REGS(op, ...) [op] = I(__VA_ARGS__), REGS_1_7(op, __VA_ARGS__)
#define REGS_1_7(op, ...)                                                                    \
    [op + 1] = I(__VA_ARGS__), [op + 2] = I(__VA_ARGS__), [op + 3] = I(__VA_ARGS__),         \
    [op + 4] = I(__VA_ARGS__), [op + 5] = I(__VA_ARGS__), [op + 6] = I(__VA_ARGS__),         \
    [op + 7] = I(__VA_ARGS__)

#define FL_MUL (FL_CF | FL_OF)

// Everything that leaves the instruction stream sees, or may save, every flag.
#define FL_EVERY (FL_ARITH | FL_DF)
#define FAR(kind) SENS(kind), FLOW(FAR), FR(FL_EVERY)

// The sixteen conditions (SDM volume 1, appendix B): code, suffix, flags tested.
#define CC_LIST(X, ...)                                                                      \
    X(0x0, "o", FL_OF, ##__VA_ARGS__) X(0x1, "no", FL_OF, ##__VA_ARGS__)                     \
    X(0x2, "b", FL_CF, ##__VA_ARGS__) X(0x3, "ae", FL_CF, ##__VA_ARGS__)                     \
    X(0x4, "e", FL_ZF, ##__VA_ARGS__) X(0x5, "ne", FL_ZF, ##__VA_ARGS__)                     \
    X(0x6, "be", FL_CF | FL_ZF, ##__VA_ARGS__) X(0x7, "a", FL_CF | FL_ZF, ##__VA_ARGS__)     \
    X(0x8, "s", FL_SF, ##__VA_ARGS__) X(0x9, "ns", FL_SF, ##__VA_ARGS__)                     \
    X(0xa, "p", FL_PF, ##__VA_ARGS__) X(0xb, "np", FL_PF, ##__VA_ARGS__)                     \
    X(0xc, "l", FL_SF | FL_OF, ##__VA_ARGS__) X(0xd, "ge", FL_SF | FL_OF, ##__VA_ARGS__)     \
    X(0xe, "le", FL_ZF | FL_SF | FL_OF, ##__VA_ARGS__)                                       \
    X(0xf, "g", FL_ZF | FL_SF | FL_OF, ##__VA_ARGS__)

#endif
