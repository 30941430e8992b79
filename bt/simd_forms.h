// SPDX-License-Identifier: GPL-2.0-or-later
// Which MMX and SSE forms name a general register where others name an MMX or XMM register (SDM volume 2, appendix A).
#ifndef RING3_BT_SIMD_FORMS_H
#define RING3_BT_SIMD_FORMS_H

#include "decoder/insn.h"

enum { SIMD_REG_GPR = BIT(0), SIMD_RM_GPR = BIT(1), SIMD_EMULATE = BIT(2) };

static inline unsigned simd_roles(const struct insn *insn)
{
    switch (insn->op) {
    case OP0F(0x2a): case OP0F(0x6e): case OP0F(0xc4): // CVTPI2PS/CVTSI2SS, MOVD, PINSRW
        return SIMD_RM_GPR;
    case OP0F(0x7e):                                   // MOVD; F3: MOVQ
        return insn->prefix & PFX_REP ? 0 : SIMD_RM_GPR;
    case OP0F(0x2c): case OP0F(0x2d): case OP0F(0x50): case OP0F(0xc5): case OP0F(0xd7):
        return SIMD_REG_GPR;                           // CVT(T)xx2SI, MOVMSKPx, PEXTRW, PMOVMSKB
    case OP0F(0xc3):                                   // MOVNTI
        return SIMD_REG_GPR;
    case OP0F(0xf7):                                   // MASKMOVQ, MASKMOVDQU: store at [EDI]
        return SIMD_EMULATE;
    case OP0F(0xae):                                   // all but LDMXCSR and STMXCSR
        return insn->has_mem && (insn->reg == 2 || insn->reg == 3) ? 0 : SIMD_EMULATE;
    }
    if (insn->op >= OP0F3A(0x14) && insn->op <= OP0F3A(0x17))
        return SIMD_RM_GPR;
    if (insn->op == OP0F3A(0x20) || insn->op == OP0F3A(0x22))
        return SIMD_RM_GPR;
    if (insn->op >= OP0F3A(0x60) && insn->op <= OP0F3A(0x63)) // PCMPxSTRx: ECX, XMM0, flags
        return 0;
    return 0;
}

#endif
