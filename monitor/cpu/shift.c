// SPDX-License-Identifier: GPL-2.0-or-later
// Shifts and rotates, on the host's own: it masks counts as the guest's would, leaves flags
// alone for a count of 0, and gives the undefined flags as translated code sees them.
#include "exec.h"
#include "hostflags.h"
#include "mem.h"

#define SHIFT(name, mnemonic)                                                                \
    static u32 name(u32 *eflags, u32 a, u32 count)                                           \
    {                                                                                        \
        u32 ax = flags_pack(*eflags);                                                        \
                                                                                             \
        asm(FLAGS_IN mnemonic FLAGS_OUT : [a] "+q"(a), "+&a"(ax) : "c"(count) : "cc");       \
        flags_set(eflags, ax, FL_ARITH);                                                     \
        return a;                                                                            \
    }
#define SHIFT_SIZES(name)                                                                    \
    SHIFT(name##8, #name "b %%cl, %b[a]")                                                    \
    SHIFT(name##16, #name "w %%cl, %w[a]")                                                   \
    SHIFT(name##32, #name "l %%cl, %[a]")
SHIFT_SIZES(rol)
SHIFT_SIZES(ror)
SHIFT_SIZES(rcl)
SHIFT_SIZES(rcr)
SHIFT_SIZES(shl)
SHIFT_SIZES(shr)
SHIFT_SIZES(sar)

static enum done shift(struct vcpu *v, const struct insn *insn, unsigned size, u32 count)
{
    static u32 (*const fn[8][3])(u32 *, u32, u32) = {
        { rol8, rol16, rol32 }, { ror8, ror16, ror32 }, { rcl8, rcl16, rcl32 },
        { rcr8, rcr16, rcr32 }, { shl8, shl16, shl32 }, { shr8, shr16, shr32 },
        { shl8, shl16, shl32 }, { sar8, sar16, sar32 },
    };
    struct rmw m;
    u32 a = rmw_begin(v, insn, size, &m);

    rmw_end(v, &m, fn[insn->reg][size >> 1](&v->eflags, a, count & 31), size);
    return DONE_NEXT;
}

enum done op_shift_eb_ib(struct vcpu *v, const struct insn *insn)
{
    return shift(v, insn, 1, insn->imm);
}

enum done op_shift_ev_ib(struct vcpu *v, const struct insn *insn)
{
    return shift(v, insn, insn->opsize, insn->imm);
}

enum done op_shift_eb_1(struct vcpu *v, const struct insn *insn)
{
    return shift(v, insn, 1, 1);
}

enum done op_shift_ev_1(struct vcpu *v, const struct insn *insn)
{
    return shift(v, insn, insn->opsize, 1);
}

enum done op_shift_eb_cl(struct vcpu *v, const struct insn *insn)
{
    return shift(v, insn, 1, v->gpr[R_ECX]);
}

enum done op_shift_ev_cl(struct vcpu *v, const struct insn *insn)
{
    return shift(v, insn, insn->opsize, v->gpr[R_ECX]);
}

#define DOUBLE_SHIFT(name, mnemonic)                                                         \
    static u32 name(u32 *eflags, u32 a, u32 b, u32 count)                                    \
    {                                                                                        \
        u32 ax = flags_pack(*eflags);                                                        \
                                                                                             \
        asm(FLAGS_IN mnemonic FLAGS_OUT                                                      \
            : [a] "+r"(a), "+&a"(ax)                                                         \
            : [b] "r"(b), "c"(count)                                                         \
            : "cc");                                                                         \
        flags_set(eflags, ax, FL_ARITH);                                                     \
        return a;                                                                            \
    }
DOUBLE_SHIFT(shld16, "shldw %%cl, %w[b], %w[a]")
DOUBLE_SHIFT(shld32, "shldl %%cl, %[b], %[a]")
DOUBLE_SHIFT(shrd16, "shrdw %%cl, %w[b], %w[a]")
DOUBLE_SHIFT(shrd32, "shrdl %%cl, %[b], %[a]")

static enum done double_shift(struct vcpu *v, const struct insn *insn, u32 count, bool left)
{
    unsigned size = insn->opsize;
    struct rmw m;
    u32 a = rmw_begin(v, insn, size, &m), b = v->gpr[insn->reg];

    count &= 31;
    if (size == 4)
        a = left ? shld32(&v->eflags, a, b, count) : shrd32(&v->eflags, a, b, count);
    else
        a = left ? shld16(&v->eflags, a, b, count) : shrd16(&v->eflags, a, b, count);
    rmw_end(v, &m, a, size);
    return DONE_NEXT;
}

enum done op_shld_ib(struct vcpu *v, const struct insn *insn)
{
    return double_shift(v, insn, insn->imm, true);
}

enum done op_shld_cl(struct vcpu *v, const struct insn *insn)
{
    return double_shift(v, insn, v->gpr[R_ECX], true);
}

enum done op_shrd_ib(struct vcpu *v, const struct insn *insn)
{
    return double_shift(v, insn, insn->imm, false);
}

enum done op_shrd_cl(struct vcpu *v, const struct insn *insn)
{
    return double_shift(v, insn, v->gpr[R_ECX], false);
}
