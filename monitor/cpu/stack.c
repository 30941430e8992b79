// SPDX-License-Identifier: GPL-2.0-or-later
// PUSH and POP in their forms, PUSHA/POPA, PUSHF/POPF, ENTER, LEAVE.
#include "exec.h"
#include "local.h"
#include "mem.h"

static inline enum done push(struct vcpu *v, u32 value, unsigned size)
{
    stack_commit(v, stack_push(v, v->gpr[R_ESP], value, size));
    return DONE_NEXT;
}

enum done op_push_r(struct vcpu *v, const struct insn *insn)
{
    return push(v, v->gpr[insn->op & 7], insn->opsize);
}

enum done op_push_iv(struct vcpu *v, const struct insn *insn)
{
    return push(v, insn->imm, insn->opsize);
}

enum done op_push_ev(struct vcpu *v, const struct insn *insn)
{
    return push(v, rm_read(v, insn, insn->opsize), insn->opsize);
}

static unsigned stack_seg(const struct insn *insn)
{
    // 06 0E 16 1E; 0F A0 A1 and A8 A9.
    return insn->op >> 8 ? S_FS + (insn->op >> 3 & 1) : insn->op >> 3 & 3;
}

// A 32-bit push of a selector is zero-extended, as on the P6 and on AMD's.
enum done op_push_seg(struct vcpu *v, const struct insn *insn)
{
    return push(v, v->seg[stack_seg(insn)].sel, insn->opsize);
}

enum done op_pop_seg(struct vcpu *v, const struct insn *insn)
{
    unsigned seg = stack_seg(insn);
    u32 sp = v->gpr[R_ESP];
    u32 mask = stack_mask(v); // of the stack popped from: the load may change it
    u16 sel = stack_pop(v, &sp, insn->opsize);

    seg_load(v, seg, sel);
    v->gpr[R_ESP] = (v->gpr[R_ESP] & ~mask) | (sp & mask);
    if (seg == S_SS)
        v->shadow = 2;
    return DONE_NEXT;
}

enum done op_pop_r(struct vcpu *v, const struct insn *insn)
{
    u32 sp = v->gpr[R_ESP];
    u32 value = stack_pop(v, &sp, insn->opsize);

    stack_commit(v, sp);
    reg_write(v, insn->op & 7, value, insn->opsize);
    return DONE_NEXT;
}

// An address based on ESP is computed with ESP already incremented.
enum done op_pop_ev(struct vcpu *v, const struct insn *insn)
{
    u32 sp = v->gpr[R_ESP], mask = stack_mask(v), value, esp;
    struct insn at = *insn;

    if (insn->reg)
        return op_undefined(v, insn);
    value = stack_pop(v, &sp, insn->opsize);
    esp = (v->gpr[R_ESP] & ~mask) | (sp & mask);
    if (insn->has_mem && insn->base == R_ESP)
        at.disp += esp - v->gpr[R_ESP];
    if (insn->has_mem)
        rm_write(v, &at, value, insn->opsize);
    v->gpr[R_ESP] = esp;
    if (!insn->has_mem)
        rm_write(v, insn, value, insn->opsize);
    return DONE_NEXT;
}

enum done op_pusha(struct vcpu *v, const struct insn *insn)
{
    u32 sp = v->gpr[R_ESP];

    for (unsigned reg = 0; reg < 8; reg++)
        sp = stack_push(v, sp, v->gpr[reg], insn->opsize);
    stack_commit(v, sp);
    return DONE_NEXT;
}

enum done op_popa(struct vcpu *v, const struct insn *insn)
{
    u32 sp = v->gpr[R_ESP], value[8];

    for (int reg = 7; reg >= 0; reg--)
        value[reg] = stack_pop(v, &sp, insn->opsize);
    for (unsigned reg = 0; reg < 8; reg++)
        if (reg != R_ESP)
            reg_write(v, reg, value[reg], insn->opsize);
    stack_commit(v, sp);
    return DONE_NEXT;
}

enum done op_pushf(struct vcpu *v, const struct insn *insn)
{
    u32 image = v->eflags & ~(FL_VM | FL_RF);

    if (cpu_v86(v) && vcpu_iopl(v) < 3) {
        if (!(v->cr4 & CR4_VME) || insn->opsize != 2)
            raise_gp(v, 0);
        image = flags_to_vme(v);
    }
    return push(v, image, insn->opsize);
}

enum done op_popf(struct vcpu *v, const struct insn *insn)
{
    u32 sp = v->gpr[R_ESP], value;

    if (cpu_v86(v) && vcpu_iopl(v) < 3) {
        if (!(v->cr4 & CR4_VME) || insn->opsize != 2)
            raise_gp(v, 0);
        value = flags_from_vme(v, stack_pop(v, &sp, 2));
        stack_commit(v, sp);
        v->eflags = value;
        return DONE_NEXT;
    }
    value = stack_pop(v, &sp, insn->opsize);
    stack_commit(v, sp);
    // RF is cleared by a 32-bit POPF, as by any instruction's end.
    flags_write(v, value & ~FL_RF, flags_changeable(v, insn->opsize));
    return DONE_NEXT;
}

enum done op_enter(struct vcpu *v, const struct insn *insn)
{
    unsigned size = insn->opsize, level = insn->imm2 & 31;
    u32 mask = stack_mask(v), ebp = v->gpr[R_EBP], frame, sp, link = ebp;

    sp = stack_push(v, v->gpr[R_ESP], ebp, size);
    frame = (v->gpr[R_ESP] & ~mask) | sp;
    if (level) {
        for (unsigned i = 1; i < level; i++) {
            link = (link - size) & mask;
            sp = stack_push(
                v, sp, mem_read(v, mem_linear(v, S_SS, link, size, ACC_READ), size), size);
        }
        sp = stack_push(v, sp, frame, size);
    }
    sp = (sp - (insn->imm & 0xffff)) & mask;
    // The new top of the stack must be writable.
    mmu_probe(v, mem_linear(v, S_SS, sp, size, ACC_WRITE), size, ACC_WRITE, mem_user(v));
    reg_write(v, R_EBP, frame, size);
    stack_commit(v, sp);
    return DONE_NEXT;
}

enum done op_leave(struct vcpu *v, const struct insn *insn)
{
    u32 sp = v->gpr[R_EBP];
    u32 value = stack_pop(v, &sp, insn->opsize);

    stack_commit(v, sp);
    reg_write(v, R_EBP, value, insn->opsize);
    return DONE_NEXT;
}
