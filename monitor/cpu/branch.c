// SPDX-License-Identifier: GPL-2.0-or-later
// Near control transfers, LOOP, JCXZ, BOUND.
#include "exec.h"
#include "local.h"
#include "mem.h"

// A target outside the code segment is the branch's own fault.
static inline enum done jump(struct vcpu *v, u32 target)
{
    if (unlikely(target > v->seg[S_CS].limit))
        raise_gp(v, 0);
    v->eip = target;
    return DONE_JUMPED;
}

enum done op_jcc(struct vcpu *v, const struct insn *insn)
{
    if (!cond(v->eflags, insn->op & 15))
        return DONE_NEXT;
    return jump(v, insn_target(insn, v->eip));
}

enum done op_jmp(struct vcpu *v, const struct insn *insn)
{
    return jump(v, insn_target(insn, v->eip));
}

static enum done call(struct vcpu *v, const struct insn *insn, u32 target)
{
    u32 sp;

    if (unlikely(target > v->seg[S_CS].limit))
        raise_gp(v, 0);
    sp = stack_push(v, v->gpr[R_ESP], v->eip + insn->len, insn->opsize);
    stack_commit(v, sp);
    v->eip = target;
    return DONE_JUMPED;
}

enum done op_call(struct vcpu *v, const struct insn *insn)
{
    return call(v, insn, insn_target(insn, v->eip));
}

enum done op_call_ev(struct vcpu *v, const struct insn *insn)
{
    return call(v, insn, rm_read(v, insn, insn->opsize));
}

enum done op_jmp_ev(struct vcpu *v, const struct insn *insn)
{
    return jump(v, rm_read(v, insn, insn->opsize));
}

// C2 has the bytes to release as immediate, C3 none.
enum done op_ret(struct vcpu *v, const struct insn *insn)
{
    u32 sp = v->gpr[R_ESP];
    u32 target = stack_pop(v, &sp, insn->opsize);

    jump(v, target);
    stack_commit(v, sp + (insn->op == OP1(0xc2) ? insn->imm & 0xffff : 0));
    return DONE_JUMPED;
}

// LOOPNE LOOPE LOOP count in CX or ECX, by the address size.
enum done op_loop(struct vcpu *v, const struct insn *insn)
{
    u32 count = reg_read(v, R_ECX, insn->addrsize) - 1;
    bool taken = insn->addrsize == 2 ? count & 0xffff : count;

    if (insn->op == OP1(0xe0))
        taken = taken && !(v->eflags & FL_ZF);
    else if (insn->op == OP1(0xe1))
        taken = taken && v->eflags & FL_ZF;
    if (taken)
        jump(v, insn_target(insn, v->eip));
    reg_write(v, R_ECX, count, insn->addrsize);
    return taken ? DONE_JUMPED : DONE_NEXT;
}

enum done op_jcxz(struct vcpu *v, const struct insn *insn)
{
    if (reg_read(v, R_ECX, insn->addrsize))
        return DONE_NEXT;
    return jump(v, insn_target(insn, v->eip));
}

enum done op_bound(struct vcpu *v, const struct insn *insn)
{
    unsigned size = insn->opsize;
    u32 ea = mem_ea(v, insn);
    i32 lo, hi, index = v->gpr[insn->reg];

    // Two accesses, each with an alignment of its own.
    lo = mem_read(v, mem_linear(v, insn->seg, ea, size, ACC_READ), size);
    hi = mem_read(v, mem_linear(v, insn->seg, ea + size, size, ACC_READ), size);
    if (size == 2)
        lo = (i16)lo, hi = (i16)hi, index = (i16)index;
    if (index < lo || index > hi)
        vcpu_raise(v, X_BR, 0);
    return DONE_NEXT;
}
