// SPDX-License-Identifier: GPL-2.0-or-later
// The decimal adjustments (SDM volume 2), which 64-bit code lacks. The flags that the manual
// leaves undefined are what AMD's processors make of them: those of the addition or subtraction
// of the correction.
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

// OF of old + correction (or minus, for a negative one), given the result.
static u32 overflow(u32 old, u32 result, u32 correction, unsigned sign_bit)
{
    return (old ^ result) & (correction ^ result) & sign_bit ? FL_OF : 0;
}

enum done op_daa(struct vcpu *v, const struct insn *insn)
{
    u8 old = v->gpr[R_EAX], add = 0, al;
    u32 fl = 0;

    (void)insn;
    if ((old & 15) > 9 || v->eflags & FL_AF) {
        add += 6;
        fl |= FL_AF;
    }
    if (old > 0x99 || v->eflags & FL_CF) {
        add += 0x60;
        fl |= FL_CF;
    }
    al = old + add;
    *reg8(v, R_EAX) = al;
    set_flags(v, al, fl | overflow(old, al, add, 0x80));
    return DONE_NEXT;
}

enum done op_das(struct vcpu *v, const struct insn *insn)
{
    u8 old = v->gpr[R_EAX], sub = 0, al;
    u32 fl = 0;

    (void)insn;
    if ((old & 15) > 9 || v->eflags & FL_AF) {
        if (old < 6)
            fl |= FL_CF;
        sub += 6;
        fl |= FL_AF;
    }
    if (old > 0x99 || v->eflags & FL_CF) {
        sub += 0x60;
        fl |= FL_CF;
    }
    al = old - sub;
    *reg8(v, R_EAX) = al;
    set_flags(v, al, fl | overflow(old, al, ~sub, 0x80));
    return DONE_NEXT;
}

// SF, ZF, PF and OF are those of the 16-bit sum, before AL's upper half is cleared.
static enum done ascii_adjust(struct vcpu *v, u16 correction)
{
    u16 old = v->gpr[R_EAX], ax = old;
    u32 fl = 0;

    if ((old & 15) > 9 || v->eflags & FL_AF) {
        ax += correction;
        fl = FL_AF | FL_CF | overflow(old, ax, correction, 0x8000);
    }
    set_flags(v, ax, fl);
    v->eflags &= ~(FL_SF | FL_ZF);
    if (ax & 0x8000)
        v->eflags |= FL_SF;
    if (!ax)
        v->eflags |= FL_ZF;
    reg16_write(v, R_EAX, ax & 0xff0f);
    return DONE_NEXT;
}

enum done op_aaa(struct vcpu *v, const struct insn *insn)
{
    (void)insn;
    return ascii_adjust(v, 0x106);
}

enum done op_aas(struct vcpu *v, const struct insn *insn)
{
    (void)insn;
    return ascii_adjust(v, -0x106);
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
