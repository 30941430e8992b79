// SPDX-License-Identifier: GPL-2.0-or-later
// The decimal adjustments (SDM volume 2). 64-bit hosts lack them. The flags the manual leaves undefined are what
// processors since the Pentium do: as after the addition of the correction, or of the result.
#include "exec.h"
#include "local.h"
#include "mem.h"

// SF, ZF and PF of a byte; the others as given.
static void set_flags(struct vcpu *v, u8 result, u32 others)
{
    u32 fl = others;

    if (!result)
        fl |= FL_ZF;
    if (result & 0x80)
        fl |= FL_SF;
    if (!__builtin_parity(result))
        fl |= FL_PF;
    v->eflags = (v->eflags & ~FL_ARITH) | fl;
}

enum done op_daa(struct vcpu *v, const struct insn *insn)
{
    u8 old = v->gpr[R_EAX], al = old;
    u32 fl = 0;

    (void)insn;
    if ((old & 15) > 9 || v->eflags & FL_AF) {
        al += 6;
        fl |= FL_AF;
    }
    if (old > 0x99 || v->eflags & FL_CF) {
        al += 0x60;
        fl |= FL_CF;
    }
    *reg8(v, R_EAX) = al;
    set_flags(v, al, fl);
    return DONE_NEXT;
}

enum done op_das(struct vcpu *v, const struct insn *insn)
{
    u8 old = v->gpr[R_EAX], al = old;
    u32 fl = 0;

    (void)insn;
    if ((old & 15) > 9 || v->eflags & FL_AF) {
        if (old < 6 || v->eflags & FL_CF)
            fl |= FL_CF;
        al -= 6;
        fl |= FL_AF;
    }
    if (old > 0x99 || v->eflags & FL_CF) {
        al -= 0x60;
        fl |= FL_CF;
    }
    *reg8(v, R_EAX) = al;
    set_flags(v, al, fl);
    return DONE_NEXT;
}

static enum done ascii_adjust(struct vcpu *v, int sign)
{
    u16 ax = v->gpr[R_EAX];
    u32 fl = 0;

    if ((ax & 15) > 9 || v->eflags & FL_AF) {
        ax += sign * 0x106;
        fl = FL_AF | FL_CF;
    }
    ax &= 0xff0f;
    reg16_write(v, R_EAX, ax);
    set_flags(v, ax, fl);
    return DONE_NEXT;
}

enum done op_aaa(struct vcpu *v, const struct insn *insn)
{
    (void)insn;
    return ascii_adjust(v, 1);
}

enum done op_aas(struct vcpu *v, const struct insn *insn)
{
    (void)insn;
    return ascii_adjust(v, -1);
}

enum done op_aam(struct vcpu *v, const struct insn *insn)
{
    u8 al = v->gpr[R_EAX], base = insn->imm;

    if (!base)
        vcpu_raise(v, X_DE, 0);
    reg16_write(v, R_EAX, al / base << 8 | al % base);
    set_flags(v, al % base, 0);
    return DONE_NEXT;
}

// AF, CF and OF as ADD of the two summands leaves them.
enum done op_aad(struct vcpu *v, const struct insn *insn)
{
    u8 al = v->gpr[R_EAX], product = (v->gpr[R_EAX] >> 8) * (u8)insn->imm, sum = al + product;
    u32 fl = 0;

    if (sum < al)
        fl |= FL_CF;
    if ((al ^ product ^ sum) & 0x10)
        fl |= FL_AF;
    if ((al ^ sum) & (product ^ sum) & 0x80)
        fl |= FL_OF;
    reg16_write(v, R_EAX, sum);
    set_flags(v, sum, fl);
    return DONE_NEXT;
}
