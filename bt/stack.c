// SPDX-License-Identifier: GPL-2.0-or-later
// PUSH, POP, LEAVE. ESP moves only after the access: a fault finds it as it was.
#include "trans.h"

static unsigned form(unsigned size) { return size == 2 ? E_66 : 0; }

static bool push_reg(struct trans *t, unsigned reg, unsigned size)
{
    struct hmem m = stack_operand(t, -(i32)size, size, MEMACC_WRITE);

    if (reg == R_ESP) {
        emit_lea(t->e, H_R11, H_ESP, -1, 0, t->delta); // r9 may hold a segment's window
        emit_rm(t->e, form(size), 0x89, H_R11, &m);
    } else {
        emit_rm(t->e, form(size), 0x89, reg, &m);
    }
    stack_move(t, -(i32)size, false);
    return true;
}

bool stack_push_tmp(struct trans *t, unsigned size)
{
    struct hmem m = stack_operand(t, -(i32)size, size, MEMACC_WRITE);

    emit_load(t->e, H_R11, H_VCPU, FRAME_OFF(tmp));
    emit_rm(t->e, form(size), 0x89, H_R11, &m);
    stack_move(t, -(i32)size, false);
    return true;
}

static bool push_imm(struct trans *t, u32 imm, unsigned size)
{
    struct hmem m = stack_operand(t, -(i32)size, size, MEMACC_WRITE);

    emit_rm(t->e, form(size), 0xc7, 0, &m);
    emit_bytes(t->e, &imm, size);
    stack_move(t, -(i32)size, false);
    return true;
}

static bool push_mem(struct trans *t, const struct insn *insn)
{
    struct hmem m = mem_operand(t, insn, insn->opsize, MEMACC_READ);

    emit_rm(t->e, 0, insn->opsize == 2 ? OP0F(0xb7) : 0x8b, H_R9, &m);
    emit_store(t->e, H_VCPU, FRAME_OFF(tmp), H_R9); // the second access may use every scratch register
    return stack_push_tmp(t, insn->opsize);
}

static bool pop_reg(struct trans *t, unsigned reg, unsigned size)
{
    struct hmem m;

    if (reg == R_ESP && size == 2 && !trans_mode(t, MODE_STACK16))
        return false; // ESP moves, and then its lower half is replaced
    m = stack_operand(t, 0, size, MEMACC_READ);
    if (reg == R_ESP) {
        emit_rm(t->e, form(size), 0x8b, H_ESP, &m);
        t->delta = 0;
        return true;
    }
    emit_rm(t->e, form(size), 0x8b, reg, &m);
    stack_move(t, size, false);
    return true;
}

// POP m computes its address after ESP has moved (SDM, POP).
static bool pop_mem(struct trans *t, const struct insn *insn)
{
    struct insn moved = *insn;
    unsigned size = insn->opsize;
    struct hmem m;

    if (moved.base == R_ESP && trans_mode(t, MODE_STACK16))
        return false;
    m = stack_operand(t, 0, size, MEMACC_READ);
    emit_rm(t->e, 0, size == 2 ? OP0F(0xb7) : 0x8b, H_R9, &m);
    emit_store(t->e, H_VCPU, FRAME_OFF(tmp), H_R9);
    if (moved.base == R_ESP)
        moved.disp = (u32)moved.disp + size;
    m = mem_operand(t, &moved, size, MEMACC_WRITE);
    emit_load(t->e, H_R11, H_VCPU, FRAME_OFF(tmp)); // r9 may hold a segment's window
    emit_rm(t->e, form(size), 0x89, H_R11, &m);
    stack_move(t, size, false);
    return true;
}

static bool translate_leave(struct trans *t, unsigned size)
{
    bool sp = trans_mode(t, MODE_STACK16);
    struct hmem m = index_operand(t, S_SS, H_RBP, sp ? 2 : 4, size, MEMACC_READ);

    emit_rm(t->e, 0, size == 2 ? OP0F(0xb7) : 0x8b, H_R9, &m);
    if (sp) {
        emit_lea(t->e, H_R8, H_RBP, -1, 0, size);
        emit_rr(t->e, E_66, 0x8b, H_ESP, H_R8);
    } else {
        emit_lea(t->e, H_ESP, H_RBP, -1, 0, size);
    }
    emit_rr(t->e, form(size), 0x8b, H_RBP, H_R9);
    t->delta = 0;
    return true;
}

bool stack_translate(struct trans *t, const struct insn *insn)
{
    unsigned size = insn->opsize;

    switch (insn->op) {
    case OP1(0x50) ... OP1(0x57):
        return push_reg(t, insn->op & 7, size);
    case OP1(0x58) ... OP1(0x5f):
        return pop_reg(t, insn->op & 7, size);
    case OP1(0x68): case OP1(0x6a):
        return push_imm(t, insn->imm, size);
    case OP1(0x8f):
        return insn->has_mem ? pop_mem(t, insn) : pop_reg(t, insn->rm, size);
    case OP1(0xff):
        if (insn->reg != 6)
            return false;
        return insn->has_mem ? push_mem(t, insn) : push_reg(t, insn->rm, size);
    case OP1(0xc9):
        return translate_leave(t, size);
    }
    return false;
}
