// SPDX-License-Identifier: GPL-2.0-or-later
// MOV in its forms, XCHG, LEA, far-pointer loads, extensions, XLAT, LAHF/SAHF and single flags.
#include "exec.h"
#include "local.h"
#include "mem.h"

enum done op_mov_eb_gb(struct vcpu *v, const struct insn *insn)
{
    rm_write(v, insn, *reg8(v, insn->reg), 1);
    return DONE_NEXT;
}

enum done op_mov_ev_gv(struct vcpu *v, const struct insn *insn)
{
    if (likely(insn->opsize == 4))
        rm_write(v, insn, v->gpr[insn->reg], 4);
    else
        rm_write(v, insn, v->gpr[insn->reg], 2);
    return DONE_NEXT;
}

enum done op_mov_gb_eb(struct vcpu *v, const struct insn *insn)
{
    *reg8(v, insn->reg) = rm_read(v, insn, 1);
    return DONE_NEXT;
}

enum done op_mov_gv_ev(struct vcpu *v, const struct insn *insn)
{
    if (likely(insn->opsize == 4))
        v->gpr[insn->reg] = rm_read(v, insn, 4);
    else
        reg16_write(v, insn->reg, rm_read(v, insn, 2));
    return DONE_NEXT;
}

// C6 and C7: /0 only.
enum done op_mov_eb_ib(struct vcpu *v, const struct insn *insn)
{
    if (insn->reg)
        return op_undefined(v, insn);
    rm_write(v, insn, insn->imm, 1);
    return DONE_NEXT;
}

enum done op_mov_ev_iv(struct vcpu *v, const struct insn *insn)
{
    if (insn->reg)
        return op_undefined(v, insn);
    rm_write(v, insn, insn->imm, insn->opsize);
    return DONE_NEXT;
}

enum done op_mov_r8_ib(struct vcpu *v, const struct insn *insn)
{
    *reg8(v, insn->op & 7) = insn->imm;
    return DONE_NEXT;
}

enum done op_mov_r_iv(struct vcpu *v, const struct insn *insn)
{
    reg_write(v, insn->op & 7, insn->imm, insn->opsize);
    return DONE_NEXT;
}

// A0 to A3: the offset is the displacement.
enum done op_mov_al_ob(struct vcpu *v, const struct insn *insn)
{
    *reg8(v, R_EAX) = mem_read8(v, mem_operand(v, insn, 1, ACC_READ));
    return DONE_NEXT;
}

enum done op_mov_ax_ov(struct vcpu *v, const struct insn *insn)
{
    unsigned size = insn->opsize;

    reg_write(v, R_EAX, mem_read(v, mem_operand(v, insn, size, ACC_READ), size), size);
    return DONE_NEXT;
}

enum done op_mov_ob_al(struct vcpu *v, const struct insn *insn)
{
    mem_write8(v, mem_operand(v, insn, 1, ACC_WRITE), v->gpr[R_EAX]);
    return DONE_NEXT;
}

enum done op_mov_ov_ax(struct vcpu *v, const struct insn *insn)
{
    unsigned size = insn->opsize;

    mem_write(v, mem_operand(v, insn, size, ACC_WRITE), v->gpr[R_EAX], size);
    return DONE_NEXT;
}

// A selector to memory is 16 bits whatever the operand size; to a 32-bit register it is
// zero-extended.
enum done op_mov_ev_sw(struct vcpu *v, const struct insn *insn)
{
    if (insn->reg >= S_COUNT)
        return op_undefined(v, insn);
    rm_write(v, insn, v->seg[insn->reg].sel, insn->has_mem ? 2 : insn->opsize);
    return DONE_NEXT;
}

enum done op_mov_sw_ew(struct vcpu *v, const struct insn *insn)
{
    if (insn->reg >= S_COUNT || insn->reg == S_CS)
        return op_undefined(v, insn);
    seg_load(v, insn->reg, rm_read(v, insn, 2));
    if (insn->reg == S_SS)
        v->shadow = 2;
    return DONE_NEXT;
}

enum done op_lea(struct vcpu *v, const struct insn *insn)
{
    if (!insn->has_mem)
        return op_undefined(v, insn);
    reg_write(v, insn->reg, mem_ea(v, insn), insn->opsize);
    return DONE_NEXT;
}

// LES LDS LSS LFS LGS.
enum done op_load_far(struct vcpu *v, const struct insn *insn)
{
    unsigned size = insn->opsize, seg;
    u32 offset, ea;

    switch (insn->op) {
    case OP1(0xc4):
        seg = S_ES;
        break;
    case OP1(0xc5):
        seg = S_DS;
        break;
    case OP0F(0xb2):
        seg = S_SS;
        break;
    default:
        seg = insn->op & 7; // 0F B4 and B5: FS and GS
        break;
    }
    if (!insn->has_mem)
        return op_undefined(v, insn);
    // Two accesses, each with an alignment of its own.
    ea = mem_ea(v, insn);
    offset = mem_read(v, mem_linear(v, insn->seg, ea, size, ACC_READ), size);
    seg_load(v, seg, mem_read16(v, mem_linear(v, insn->seg, ea + size, 2, ACC_READ)));
    reg_write(v, insn->reg, offset, size);
    return DONE_NEXT;
}

enum done op_movzx(struct vcpu *v, const struct insn *insn)
{
    reg_write(v, insn->reg, rm_read(v, insn, insn->op & 1 ? 2 : 1), insn->opsize);
    return DONE_NEXT;
}

enum done op_movsx(struct vcpu *v, const struct insn *insn)
{
    u32 value = insn->op & 1 ? (u32)(i16)rm_read(v, insn, 2) : (u32)(i8)rm_read(v, insn, 1);

    reg_write(v, insn->reg, value, insn->opsize);
    return DONE_NEXT;
}

static enum done xchg(struct vcpu *v, const struct insn *insn, unsigned size)
{
    struct rmw m;
    u32 a = rmw_begin(v, insn, size, &m);

    rmw_end(v, &m, reg_read(v, insn->reg, size), size);
    reg_write(v, insn->reg, a, size);
    return DONE_NEXT;
}

enum done op_xchg_eb_gb(struct vcpu *v, const struct insn *insn)
{
    return xchg(v, insn, 1);
}

enum done op_xchg_ev_gv(struct vcpu *v, const struct insn *insn)
{
    return xchg(v, insn, insn->opsize);
}

enum done op_xchg_ax_r(struct vcpu *v, const struct insn *insn)
{
    unsigned reg = insn->op & 7, size = insn->opsize;
    u32 a = reg_read(v, R_EAX, size);

    reg_write(v, R_EAX, reg_read(v, reg, size), size);
    reg_write(v, reg, a, size);
    return DONE_NEXT;
}

// NOP, PAUSE, the long NOPs and prefetches: nothing is accessed.
enum done op_nop(struct vcpu *v, const struct insn *insn)
{
    (void)v, (void)insn;
    return DONE_NEXT;
}

enum done op_xlat(struct vcpu *v, const struct insn *insn)
{
    u32 offset = v->gpr[R_EBX] + (u8)v->gpr[R_EAX];

    if (insn->addrsize == 2)
        offset &= 0xffff;
    *reg8(v, R_EAX) = mem_read8(v, mem_linear(v, insn->seg, offset, 1, ACC_READ));
    return DONE_NEXT;
}

// CBW, CWDE.
enum done op_cbw(struct vcpu *v, const struct insn *insn)
{
    if (insn->opsize == 4)
        v->gpr[R_EAX] = (i16)v->gpr[R_EAX];
    else
        reg16_write(v, R_EAX, (i8)v->gpr[R_EAX]);
    return DONE_NEXT;
}

// CWD, CDQ.
enum done op_cwd(struct vcpu *v, const struct insn *insn)
{
    if (insn->opsize == 4)
        v->gpr[R_EDX] = (i32)v->gpr[R_EAX] >> 31;
    else
        reg16_write(v, R_EDX, (i16)v->gpr[R_EAX] >> 15);
    return DONE_NEXT;
}

#define FL_AH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF)

enum done op_lahf(struct vcpu *v, const struct insn *insn)
{
    (void)insn;
    *reg8(v, 4) = (v->eflags & FL_AH) | FL_FIXED1;
    return DONE_NEXT;
}

enum done op_sahf(struct vcpu *v, const struct insn *insn)
{
    (void)insn;
    v->eflags = (v->eflags & ~FL_AH) | (*reg8(v, 4) & FL_AH);
    return DONE_NEXT;
}

// D6, undocumented but everywhere: AL = CF ? FF : 00.
enum done op_salc(struct vcpu *v, const struct insn *insn)
{
    (void)insn;
    *reg8(v, R_EAX) = v->eflags & FL_CF ? 0xff : 0;
    return DONE_NEXT;
}

// CMC CLC STC CLD STD.
enum done op_flag(struct vcpu *v, const struct insn *insn)
{
    switch (insn->op) {
    case OP1(0xf5):
        v->eflags ^= FL_CF;
        break;
    case OP1(0xf8):
        v->eflags &= ~FL_CF;
        break;
    case OP1(0xf9):
        v->eflags |= FL_CF;
        break;
    case OP1(0xfc):
        v->eflags &= ~FL_DF;
        break;
    case OP1(0xfd):
        v->eflags |= FL_DF;
        break;
    }
    return DONE_NEXT;
}
