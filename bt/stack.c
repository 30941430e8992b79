// SPDX-License-Identifier: GPL-2.0-or-later
// PUSH, POP, LEAVE. ESP moves only after the access: a fault finds it as it was.
#include "trans.h"

static bool push_reg(struct trans *t, unsigned reg)
{
    struct hmem m = stack_operand(t, -4, 4, MEMACC_WRITE);

    if (reg == R_ESP) {
        emit_lea(t->e, H_R9, H_ESP, -1, 0, t->delta);
        emit_rm(t->e, 0, 0x89, H_R9, &m);
    } else {
        emit_rm(t->e, 0, 0x89, reg, &m);
    }
    t->delta -= 4;
    return true;
}

bool stack_push_tmp(struct trans *t)
{
    struct hmem m = stack_operand(t, -4, 4, MEMACC_WRITE);

    emit_load(t->e, H_R9, H_VCPU, FRAME_OFF(tmp));
    emit_rm(t->e, 0, 0x89, H_R9, &m);
    t->delta -= 4;
    return true;
}

static bool push_imm(struct trans *t, u32 imm)
{
    struct hmem m = stack_operand(t, -4, 4, MEMACC_WRITE);

    emit_rm(t->e, 0, 0xc7, 0, &m);
    emit32(t->e, imm);
    t->delta -= 4;
    return true;
}

static bool push_mem(struct trans *t, const struct insn *insn)
{
    struct hmem m = mem_operand(t, insn, 4, MEMACC_READ);

    emit_rm(t->e, 0, 0x8b, H_R9, &m);
    emit_store(t->e, H_VCPU, FRAME_OFF(tmp), H_R9); // the second access may use every scratch register
    return stack_push_tmp(t);
}

static bool pop_reg(struct trans *t, unsigned reg)
{
    struct hmem m = stack_operand(t, 0, 4, MEMACC_READ);

    if (reg == R_ESP) {
        emit_rm(t->e, 0, 0x8b, H_ESP, &m);
        t->delta = 0;
        return true;
    }
    emit_rm(t->e, 0, 0x8b, reg, &m);
    t->delta += 4;
    return true;
}

// POP m computes its address after ESP has moved (SDM, POP).
static bool pop_mem(struct trans *t, const struct insn *insn)
{
    struct insn moved = *insn;
    struct hmem m = stack_operand(t, 0, 4, MEMACC_READ);

    emit_rm(t->e, 0, 0x8b, H_R9, &m);
    emit_store(t->e, H_VCPU, FRAME_OFF(tmp), H_R9);
    if (moved.base == R_ESP)
        moved.disp = (u32)moved.disp + 4;
    m = mem_operand(t, &moved, 4, MEMACC_WRITE);
    emit_load(t->e, H_R11, H_VCPU, FRAME_OFF(tmp)); // r9 may hold a segment's window
    emit_rm(t->e, 0, 0x89, H_R11, &m);
    t->delta += 4;
    return true;
}

static bool translate_leave(struct trans *t)
{
    struct hmem m = linear_operand(t, H_RBP, 0, 4, MEMACC_READ);

    emit_rm(t->e, 0, 0x8b, H_R9, &m);
    emit_lea(t->e, H_ESP, H_RBP, -1, 0, 4);
    emit_mov_rr(t->e, H_RBP, H_R9);
    t->delta = 0;
    return true;
}

bool stack_translate(struct trans *t, const struct insn *insn)
{
    if (insn->opsize != 4)
        return false;
    switch (insn->op) {
    case OP1(0x50) ... OP1(0x57):
        return push_reg(t, insn->op & 7);
    case OP1(0x58) ... OP1(0x5f):
        return pop_reg(t, insn->op & 7);
    case OP1(0x68): case OP1(0x6a):
        return push_imm(t, insn->imm);
    case OP1(0x8f):
        return insn->has_mem ? pop_mem(t, insn) : pop_reg(t, insn->rm);
    case OP1(0xff):
        if (insn->reg != 6)
            return false;
        return insn->has_mem ? push_mem(t, insn) : push_reg(t, insn->rm);
    case OP1(0xc9):
        return translate_leave(t);
    }
    return false;
}
