// SPDX-License-Identifier: GPL-2.0-or-later
// Which exceptions a form can raise: by what its row says of it, and what the manual (SDM volume 2) says of the few that
// are special.
#include "forms.h"

#define MEMORY (BIT(X_GP) | BIT(X_SS) | BIT(X_PF) | BIT(X_AC))
#define SEGMENT (BIT(X_GP) | BIT(X_SS) | BIT(X_NP) | BIT(X_PF) | BIT(X_AC))
#define TRANSFER (SEGMENT | BIT(X_TS))

static u32 sensitive_faults(const struct row *row)
{
    switch (row->sensitive) {
    case SENS_NONE: case SENS_CPUID: case SENS_PUSHF: case SENS_ARPL: case SENS_LAR: case SENS_LSL: case SENS_VERR:
    case SENS_VERW: case SENS_PUSH_SEG: case SENS_MOV_FROM_SEG:
        return 0;
    case SENS_INS: case SENS_OUTS:
        return MEMORY;
    case SENS_IN: case SENS_OUT:
        return BIT(X_GP) | BIT(X_PF); // the I/O permission map
    case SENS_MOV_FROM_DR: case SENS_MOV_TO_DR:
        return BIT(X_GP) | BIT(X_UD) | BIT(X_DB);
    case SENS_MOV_FROM_CR: case SENS_MOV_TO_CR:
        return BIT(X_GP) | BIT(X_UD) | BIT(X_PF);
    case SENS_POP_SEG: case SENS_MOV_TO_SEG: case SENS_LOAD_FAR_PTR:
        return SEGMENT;
    case SENS_LLDT: case SENS_LTR:
        return SEGMENT;
    case SENS_FAR_CALL: case SENS_FAR_JMP: case SENS_FAR_RET: case SENS_IRET: case SENS_INT:
        return TRANSFER;
    case SENS_INT3:
        return BIT(X_BP);
    case SENS_INTO:
        return BIT(X_OF);
    case SENS_INT1:
        return BIT(X_DB);
    case SENS_RSM:
        return BIT(X_UD);
    default:
        return BIT(X_GP);
    }
}

// SSE instructions that compute in floating point: they report exceptions by #XM, or by #UD where the system has not
// announced a handler.
static bool computes(u16 op, unsigned prefix)
{
    switch (op) {
    case OP0F(0x2a): case OP0F(0x2c) ... OP0F(0x2f): case OP0F(0x51): case OP0F(0x58) ... OP0F(0x5f): case OP0F(0xc2):
    case OP0F(0x7c): case OP0F(0x7d): case OP0F(0xd0): case OP0F(0xe6):
    case OP0F3A(0x08) ... OP0F3A(0x0b): case OP0F3A(0x40): case OP0F3A(0x41):
        return true;
    }
    (void)prefix;
    return false;
}

u32 form_faults(const struct form *form)
{
    const struct row *row = form->row;
    u16 attr = ENC_ATTR(row->enc), op = form->op;
    unsigned use = ENC_MEM(row->enc);
    u32 faults = sensitive_faults(row);
    bool memory = (form->has_rm == RM_MEM || ENC_IMM(row->enc) == IMM_O) && use != MEM_NONE && use != MEM_ADDRESS;

    if (attr & INSN_UD)
        return BIT(X_UD);
    if (memory || attr & (INSN_STACK | INSN_STRING) || op == OP1(0xd7))
        faults |= MEMORY;
    if (row->flow != FLOW_NONE)
        faults |= BIT(X_GP) | BIT(X_PF); // the target
    if (form->op <= OP1(0xff) && attr & INSN_X87)
        faults |= BIT(X_NM) | BIT(X_MF);
    else if (attr & INSN_X87)
        faults |= BIT(X_NM) | MEMORY; // FXSAVE, FXRSTOR
    if (attr & INSN_MMX || op == OP0F(0x77))
        faults |= BIT(X_UD) | BIT(X_NM) | BIT(X_MF);
    if (attr & INSN_SSE)
        faults |= BIT(X_UD) | BIT(X_NM) | (computes(op, form->prefix) ? BIT(X_XM) : 0);
    switch (op) {
    case OP1(0xf6): case OP1(0xf7):
        return faults | (form->reg >= 6 ? BIT(X_DE) : 0);
    case OP1(0xd4):
        return faults | BIT(X_DE);
    case OP1(0x62):
        return faults | BIT(X_BR);
    case OP1(0xc8): case OP1(0xc9):
        return faults | MEMORY;
    case OP0F(0xae): // LDMXCSR: reserved bits
        return faults;
    case OP0F(0xf7): // MASKMOVQ stores at [EDI]
        return faults | MEMORY;
    case OP0F(0x00):
        return faults | (form->reg == 4 || form->reg == 5 || form->reg < 2 ? BIT(X_UD) : 0);
    }
    return faults;
}
