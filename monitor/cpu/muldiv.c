// SPDX-License-Identifier: GPL-2.0-or-later
// Group 3 (TEST NOT NEG MUL IMUL DIV IDIV) and the two- and three-operand IMUL.
#include "exec.h"
#include "hostflags.h"
#include "local.h"
#include "mem.h"

// The host's instruction with the guest's flags in and out: what it leaves in the undefined ones is
// what translated code sees. lo and hi are the accumulator and its extension.
#define WIDE(name, mnemonic)                                                                 \
    static void name(u32 *eflags, u32 *lo, u32 *hi, u32 operand)                             \
    {                                                                                        \
        u32 fl = flags_pack(*eflags), a = *lo, d = *hi;                                      \
                                                                                             \
        asm("movl %[fl], %%eax\n\t" FLAGS_IN "movl %[a], %%eax\n\t" mnemonic "\n\t"          \
            "movl %%eax, %[a]" FLAGS_OUT "\n\tmovl %%eax, %[fl]"                             \
            : [fl] "+&r"(fl), [a] "+&r"(a), "+&d"(d)                                         \
            : [op] "r"(operand)                                                              \
            : "cc", "eax");                                                                  \
        flags_set(eflags, fl, FL_ARITH);                                                     \
        *lo = a;                                                                             \
        *hi = d;                                                                             \
    }
WIDE(mul8, "mulb %b[op]")
WIDE(mul16, "mulw %w[op]")
WIDE(mul32, "mull %[op]")
WIDE(imul8, "imulb %b[op]")
WIDE(imul16, "imulw %w[op]")
WIDE(imul32, "imull %[op]")
WIDE(div8, "divb %b[op]")
WIDE(div16, "divw %w[op]")
WIDE(div32, "divl %[op]")
WIDE(idiv8, "idivb %b[op]")
WIDE(idiv16, "idivw %w[op]")
WIDE(idiv32, "idivl %[op]")

typedef void wide_fn(u32 *eflags, u32 *lo, u32 *hi, u32 operand);

static unsigned size_index(unsigned size)
{
    return size >> 1; // 1, 2, 4 -> 0, 1, 2
}

// Whether the quotient does not fit, or the divisor is 0.
static bool div_overflows(u64 dividend, u32 divisor, unsigned size)
{
    return divisor == 0 || dividend >> 8 * size >= divisor;
}

static bool idiv_overflows(i64 dividend, i32 divisor, unsigned size)
{
    i64 limit = 1ll << (8 * size - 1), quotient;

    if (divisor == 0 || (dividend == INT64_MIN && divisor == -1))
        return true;
    quotient = dividend / divisor;
    return quotient < -limit || quotient >= limit;
}

static i32 sign_extend(u32 value, unsigned size)
{
    return size == 4 ? (i32)value : size == 2 ? (i16)value : (i8)value;
}

static enum done wide(struct vcpu *v, const struct insn *insn, unsigned size)
{
    static wide_fn *const fn[4][3] = {
        { mul8, mul16, mul32 },
        { imul8, imul16, imul32 },
        { div8, div16, div32 },
        { idiv8, idiv16, idiv32 },
    };
    u32 operand = rm_read(v, insn, size), eax = v->gpr[R_EAX], edx = v->gpr[R_EDX];

    if (insn->reg >= 6) {
        u64 dividend = size == 4   ? (u64)edx << 32 | eax
                       : size == 2 ? (edx & 0xffff) << 16 | (eax & 0xffff)
                                   : eax & 0xffff;
        i64 sdividend = size == 4   ? (i64)dividend
                        : size == 2 ? (i32)dividend
                                    : (i16)dividend;

        if (insn->reg == 6 ? div_overflows(dividend, operand, size)
                           : idiv_overflows(sdividend, sign_extend(operand, size), size))
            vcpu_raise(v, X_DE, 0);
    }
    fn[insn->reg - 4][size_index(size)](&v->eflags, &eax, &edx, operand);
    v->gpr[R_EAX] = eax;
    v->gpr[R_EDX] = edx;
    return DONE_NEXT;
}

static enum done neg(struct vcpu *v, const struct insn *insn, unsigned size)
{
    struct rmw m;
    u32 a = rmw_begin(v, insn, size, &m), ax;

    if (size == 4)
        asm("negl %[a]" FLAGS_OUT : [a] "+q"(a), "=&a"(ax) : : "cc");
    else if (size == 2)
        asm("negw %w[a]" FLAGS_OUT : [a] "+q"(a), "=&a"(ax) : : "cc");
    else
        asm("negb %b[a]" FLAGS_OUT : [a] "+q"(a), "=&a"(ax) : : "cc");
    flags_set(&v->eflags, ax, FL_ARITH);
    rmw_end(v, &m, a, size);
    return DONE_NEXT;
}

static enum done group3(struct vcpu *v, const struct insn *insn, unsigned size)
{
    struct rmw m;
    u32 a, ax;

    switch (insn->reg) {
    case 0:
    case 1:
        a = rm_read(v, insn, size) & insn->imm;
        a = sign_extend(a, size);
        asm("testl %[a], %[a]" FLAGS_OUT : "=&a"(ax) : [a] "r"(a) : "cc");
        flags_set(&v->eflags, ax, FL_ARITH);
        return DONE_NEXT;
    case 2:
        a = rmw_begin(v, insn, size, &m);
        rmw_end(v, &m, ~a, size);
        return DONE_NEXT;
    case 3:
        return neg(v, insn, size);
    default:
        return wide(v, insn, size);
    }
}

enum done op_group3_eb(struct vcpu *v, const struct insn *insn)
{
    return group3(v, insn, 1);
}

enum done op_group3_ev(struct vcpu *v, const struct insn *insn)
{
    return group3(v, insn, insn->opsize);
}

static void imul2(struct vcpu *v, const struct insn *insn, u32 a, u32 b)
{
    u32 ax = flags_pack(v->eflags);

    if (insn->opsize == 4)
        asm(FLAGS_IN "imull %[b], %[a]" FLAGS_OUT : [a] "+r"(a), "+&a"(ax) : [b] "r"(b) : "cc");
    else
        asm(FLAGS_IN "imulw %w[b], %w[a]" FLAGS_OUT
            : [a] "+r"(a), "+&a"(ax)
            : [b] "r"(b)
            : "cc");
    flags_set(&v->eflags, ax, FL_ARITH);
    reg_write(v, insn->reg, a, insn->opsize);
}

enum done op_imul_gv_ev(struct vcpu *v, const struct insn *insn)
{
    imul2(v, insn, v->gpr[insn->reg], rm_read(v, insn, insn->opsize));
    return DONE_NEXT;
}

enum done op_imul_gv_ev_iv(struct vcpu *v, const struct insn *insn)
{
    imul2(v, insn, rm_read(v, insn, insn->opsize), insn->imm);
    return DONE_NEXT;
}
