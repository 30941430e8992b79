// SPDX-License-Identifier: GPL-2.0-or-later
// The tables, in the manual's notation (SDM volume 2, appendix A): the operand letters P Q V W G E,
// then the bytes in memory. Instructions that do more than compute (MASKMOVQ, FXSAVE, shifts by an
// immediate...) are in simd.c.
#include "simd_form.h"

#include "fpu_host.h"

#define P KIND_M
#define Q KIND_M
#define V KIND_X
#define W KIND_X
#define G KIND_G
#define E KIND_G

// reg, rm, memory bytes, flags; and with an immediate. A: aligned, S: stores, M: memory only, R:
// register only.
#define F(reg, rm, size, flags) { reg, rm, size, flags, 0 }
#define I(reg, rm, size, flags, imm) { reg, rm, size, flags, 1 + HOST_IMM_##imm }
#define A FORM_ALIGNED
#define S FORM_STORE
#define M FORM_MEM
#define R FORM_REG
#define NONE { 0, 0, 0, 0, 0 }

// The usual families.
#define PQ_VW { F(P, Q, 8, 0), F(V, W, 16, A) }                  // MMX, and the same in SSE2
#define VW_66 { NONE, F(V, W, 16, A) }                           // 66 only
#define PS_PD { F(V, W, 16, A), F(V, W, 16, A) }
#define PS_PD_SS_SD { F(V, W, 16, A), F(V, W, 16, A), F(V, W, 4, 0), F(V, W, 8, 0) }
#define PS_SS { F(V, W, 16, A), NONE, F(V, W, 4, 0) }
#define PD_PS_F2 { NONE, F(V, W, 16, A), NONE, F(V, W, 16, A) }  // SSE3's 66 and F2
#define VW_SIZE(size) { NONE, F(V, W, size, 0) }

static const struct simd_form form_0f[256][4] = { // none, 66, F3, F2
    [0x10] = { F(V, W, 16, 0), F(V, W, 16, 0), F(V, W, 4, 0), F(V, W, 8, 0) }, // MOVUPx MOVSx
    [0x11] = { F(V, W, 16, S), F(V, W, 16, S), F(V, W, 4, S), F(V, W, 8, S) },
    [0x12] = { F(V, W, 8, 0), F(V, W, 8, M), F(V, W, 16, A), F(V, W, 8, 0) },  // MOVLPx MOVSLDUP MOVDDUP
    [0x13] = { F(V, W, 8, S | M), F(V, W, 8, S | M) },
    [0x14] = PS_PD,                                                            // UNPCKLPx
    [0x15] = PS_PD,                                                            // UNPCKHPx
    [0x16] = { F(V, W, 8, 0), F(V, W, 8, M), F(V, W, 16, A) },                 // MOVHPx MOVSHDUP
    [0x17] = { F(V, W, 8, S | M), F(V, W, 8, S | M) },
    [0x28] = PS_PD,                                                            // MOVAPx
    [0x29] = { F(V, W, 16, A | S), F(V, W, 16, A | S) },
    [0x2a] = { F(V, Q, 8, 0), F(V, Q, 8, 0), F(V, E, 4, 0), F(V, E, 4, 0) },   // CVTPI2Px CVTSI2Sx
    [0x2b] = { F(V, W, 16, A | S | M), F(V, W, 16, A | S | M) },               // MOVNTPx
    [0x2c] = { F(P, W, 8, 0), F(P, W, 16, A), F(G, W, 4, 0), F(G, W, 8, 0) },  // CVTTPx2PI CVTTSx2SI
    [0x2d] = { F(P, W, 8, 0), F(P, W, 16, A), F(G, W, 4, 0), F(G, W, 8, 0) },  // CVTPx2PI CVTSx2SI
    [0x2e] = { F(V, W, 4, 0), F(V, W, 8, 0) },                                 // UCOMISx
    [0x2f] = { F(V, W, 4, 0), F(V, W, 8, 0) },                                 // COMISx
    [0x50] = { F(G, W, 0, R), F(G, W, 0, R) },                                 // MOVMSKPx
    [0x51] = PS_PD_SS_SD,                                                      // SQRT
    [0x52] = PS_SS,                                                            // RSQRT
    [0x53] = PS_SS,                                                            // RCP
    [0x54] = PS_PD,                                                            // AND
    [0x55] = PS_PD,                                                            // ANDN
    [0x56] = PS_PD,                                                            // OR
    [0x57] = PS_PD,                                                            // XOR
    [0x58] = PS_PD_SS_SD,                                                      // ADD
    [0x59] = PS_PD_SS_SD,                                                      // MUL
    [0x5a] = { F(V, W, 8, 0), F(V, W, 16, A), F(V, W, 4, 0), F(V, W, 8, 0) },  // CVTPS2PD and so on
    [0x5b] = { F(V, W, 16, A), F(V, W, 16, A), F(V, W, 16, A) },               // CVTDQ2PS CVT(T)PS2DQ
    [0x5c] = PS_PD_SS_SD,                                                      // SUB
    [0x5d] = PS_PD_SS_SD,                                                      // MIN
    [0x5e] = PS_PD_SS_SD,                                                      // DIV
    [0x5f] = PS_PD_SS_SD,                                                      // MAX
    [0x60] = { F(P, Q, 4, 0), F(V, W, 16, A) },                                // PUNPCKLBW
    [0x61] = { F(P, Q, 4, 0), F(V, W, 16, A) },                                // PUNPCKLWD
    [0x62] = { F(P, Q, 4, 0), F(V, W, 16, A) },                                // PUNPCKLDQ
    [0x63] = PQ_VW, [0x64] = PQ_VW, [0x65] = PQ_VW, [0x66] = PQ_VW, [0x67] = PQ_VW,
    [0x68] = PQ_VW, [0x69] = PQ_VW, [0x6a] = PQ_VW, [0x6b] = PQ_VW,
    [0x6c] = VW_66, [0x6d] = VW_66,                                            // PUNPCKxQDQ
    [0x6e] = { F(P, E, 4, 0), F(V, E, 4, 0) },                                 // MOVD
    [0x6f] = { F(P, Q, 8, 0), F(V, W, 16, A), F(V, W, 16, 0) },                // MOVQ MOVDQA MOVDQU
    [0x70] = { I(P, Q, 8, 0, np_0f_70), I(V, W, 16, A, p66_0f_70), I(V, W, 16, A, pf3_0f_70),
               I(V, W, 16, A, pf2_0f_70) },                                        // PSHUF
    [0x74] = PQ_VW, [0x75] = PQ_VW, [0x76] = PQ_VW,                            // PCMPEQ
    [0x7c] = PD_PS_F2, [0x7d] = PD_PS_F2,                                      // HADD HSUB
    [0x7e] = { F(P, E, 4, S), F(V, E, 4, S), F(V, W, 8, 0) },                  // MOVD MOVQ
    [0x7f] = { F(P, Q, 8, S), F(V, W, 16, A | S), F(V, W, 16, S) },
    [0xc2] = { I(V, W, 16, A, np_0f_C2), I(V, W, 16, A, p66_0f_C2), I(V, W, 4, 0, pf3_0f_C2),
               I(V, W, 8, 0, pf2_0f_C2) },                                         // CMP
    [0xc4] = { I(P, E, 2, 0, np_0f_C4), I(V, E, 2, 0, p66_0f_C4) },            // PINSRW
    [0xc5] = { I(G, Q, 0, R, np_0f_C5), I(G, W, 0, R, p66_0f_C5) },            // PEXTRW
    [0xc6] = { I(V, W, 16, A, np_0f_C6), I(V, W, 16, A, p66_0f_C6) },          // SHUFPx
    [0xd0] = PD_PS_F2,                                                         // ADDSUB
    [0xd1] = PQ_VW, [0xd2] = PQ_VW, [0xd3] = PQ_VW, [0xd4] = PQ_VW, [0xd5] = PQ_VW,
    [0xd6] = { NONE, F(V, W, 8, S), F(V, Q, 0, R), F(P, W, 0, R) },            // MOVQ MOVQ2DQ MOVDQ2Q
    [0xd7] = { F(G, Q, 0, R), F(G, W, 0, R) },                                 // PMOVMSKB
    [0xd8] = PQ_VW, [0xd9] = PQ_VW, [0xda] = PQ_VW, [0xdb] = PQ_VW, [0xdc] = PQ_VW,
    [0xdd] = PQ_VW, [0xde] = PQ_VW, [0xdf] = PQ_VW, [0xe0] = PQ_VW, [0xe1] = PQ_VW,
    [0xe2] = PQ_VW, [0xe3] = PQ_VW, [0xe4] = PQ_VW, [0xe5] = PQ_VW,
    [0xe6] = { NONE, F(V, W, 16, A), F(V, W, 8, 0), F(V, W, 16, A) },          // CVTxPD2DQ CVTDQ2PD
    [0xe7] = { F(P, Q, 8, S | M), F(V, W, 16, A | S | M) },                    // MOVNTQ MOVNTDQ
    [0xe8] = PQ_VW, [0xe9] = PQ_VW, [0xea] = PQ_VW, [0xeb] = PQ_VW, [0xec] = PQ_VW,
    [0xed] = PQ_VW, [0xee] = PQ_VW, [0xef] = PQ_VW,
    [0xf0] = { NONE, NONE, NONE, F(V, W, 16, M) },                             // LDDQU
    [0xf1] = PQ_VW, [0xf2] = PQ_VW, [0xf3] = PQ_VW, [0xf4] = PQ_VW, [0xf5] = PQ_VW,
    [0xf6] = PQ_VW, [0xf8] = PQ_VW, [0xf9] = PQ_VW, [0xfa] = PQ_VW, [0xfb] = PQ_VW,
    [0xfc] = PQ_VW, [0xfd] = PQ_VW, [0xfe] = PQ_VW,
};

static const struct simd_form form_0f38[256][2] = { // none, 66
    // SSSE3
    [0x00] = PQ_VW, [0x01] = PQ_VW, [0x02] = PQ_VW, [0x03] = PQ_VW, [0x04] = PQ_VW, [0x05] = PQ_VW,
    [0x06] = PQ_VW, [0x07] = PQ_VW, [0x08] = PQ_VW, [0x09] = PQ_VW, [0x0a] = PQ_VW, [0x0b] = PQ_VW,
    [0x1c] = PQ_VW, [0x1d] = PQ_VW, [0x1e] = PQ_VW,
    // SSE4.1 and SSE4.2
    [0x10] = VW_66, [0x14] = VW_66, [0x15] = VW_66, [0x17] = VW_66,            // xBLENDVx PTEST
    [0x20] = VW_SIZE(8), [0x21] = VW_SIZE(4), [0x22] = VW_SIZE(2),             // PMOVSX
    [0x23] = VW_SIZE(8), [0x24] = VW_SIZE(4), [0x25] = VW_SIZE(8),
    [0x28] = VW_66, [0x29] = VW_66,
    [0x2a] = { NONE, F(V, W, 16, A | M) },                                     // MOVNTDQA
    [0x2b] = VW_66,
    [0x30] = VW_SIZE(8), [0x31] = VW_SIZE(4), [0x32] = VW_SIZE(2),             // PMOVZX
    [0x33] = VW_SIZE(8), [0x34] = VW_SIZE(4), [0x35] = VW_SIZE(8),
    [0x37] = VW_66, [0x38] = VW_66, [0x39] = VW_66, [0x3a] = VW_66, [0x3b] = VW_66,
    [0x3c] = VW_66, [0x3d] = VW_66, [0x3e] = VW_66, [0x3f] = VW_66, [0x40] = VW_66,
    [0x41] = VW_66,
    // AES
    [0xdb] = VW_66, [0xdc] = VW_66, [0xdd] = VW_66, [0xde] = VW_66, [0xdf] = VW_66,
};

#define VW_66_IMM(op) { NONE, I(V, W, 16, A, p66_3a_##op) }
#define STRING(op, flags) { NONE, I(V, W, 16, flags, p66_3a_##op) }

static const struct simd_form form_0f3a[256][2] = { // none, 66
    [0x08] = VW_66_IMM(08), [0x09] = VW_66_IMM(09),                            // ROUND
    [0x0a] = { NONE, I(V, W, 4, 0, p66_3a_0A) },
    [0x0b] = { NONE, I(V, W, 8, 0, p66_3a_0B) },
    [0x0c] = VW_66_IMM(0C), [0x0d] = VW_66_IMM(0D), [0x0e] = VW_66_IMM(0E),    // BLEND
    [0x0f] = { I(P, Q, 8, 0, np_3a_0F), I(V, W, 16, A, p66_3a_0F) },           // PALIGNR
    [0x14] = { NONE, I(V, E, 1, S, p66_3a_14) },                               // PEXTRB
    [0x15] = { NONE, I(V, E, 2, S, p66_3a_15) },                               // PEXTRW
    [0x16] = { NONE, I(V, E, 4, S, p66_3a_16) },                               // PEXTRD
    [0x17] = { NONE, I(V, E, 4, S, p66_3a_17) },                               // EXTRACTPS
    [0x20] = { NONE, I(V, E, 1, 0, p66_3a_20) },                               // PINSRB
    [0x21] = { NONE, I(V, W, 4, 0, p66_3a_21) },                               // INSERTPS
    [0x22] = { NONE, I(V, E, 4, 0, p66_3a_22) },                               // PINSRD
    [0x40] = VW_66_IMM(40), [0x41] = VW_66_IMM(41), [0x42] = VW_66_IMM(42),    // DPPx MPSADBW
    [0x44] = VW_66_IMM(44),                                                    // PCLMULQDQ
    [0x60] = STRING(60, FORM_LENGTHS | FORM_XMM0), [0x61] = STRING(61, FORM_LENGTHS | FORM_INDEX),
    [0x62] = STRING(62, FORM_XMM0), [0x63] = STRING(63, FORM_INDEX),           // PCMPxSTRx
    [0xdf] = VW_66_IMM(DF),                                                    // AESKEYGENASSIST
};

const struct simd_form *simd_form_find(const struct insn *insn, unsigned *prefix)
{
    const struct simd_form *form = NULL;
    u8 op = insn->op;

    // F3 and F2 are mandatory prefixes before 66 is.
    if (insn->prefix & PFX_REPNE)
        *prefix = 3;
    else if (insn->prefix & PFX_REP)
        *prefix = 2;
    else
        *prefix = insn->prefix & PFX_66 ? 1 : 0;
    switch (insn->op >> 8) {
    case MAP_0F:
        form = &form_0f[op][*prefix];
        break;
    case MAP_0F38:
        form = *prefix < 2 ? &form_0f38[op][*prefix] : NULL;
        break;
    case MAP_0F3A:
        form = *prefix < 2 ? &form_0f3a[op][*prefix] : NULL;
        break;
    }
    if (!form || !form->reg || (insn->has_mem ? form->flags & FORM_REG : form->flags & FORM_MEM))
        return NULL;
    return form;
}
