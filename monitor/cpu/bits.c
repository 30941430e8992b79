// SPDX-License-Identifier: GPL-2.0-or-later
// Bit tests and scans, SETcc, CMOVcc, BSWAP, MOVBE, POPCNT, CRC32, RDRAND, BMI1.
#include "exec.h"
#include "hostflags.h"
#include "local.h"
#include "mem.h"

enum { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

// With a register as bit offset, memory is a string of bits that reaches 2 Gbit either way; the
// access is of the operand's size, at the element that holds the bit.
static enum done bit_test(struct vcpu *v, const struct insn *insn, u32 offset, bool far,
                          unsigned what)
{
    unsigned size = insn->opsize, bit = offset & (size * 8 - 1);
    struct insn at = *insn;
    struct rmw m;
    u32 a, mask = BIT(bit);

    if (far && insn->has_mem) {
        i32 o = size == 4 ? (i32)offset : (i16)offset;

        at.disp += (o >> (size == 4 ? 5 : 4)) * (i32)size;
    }
    a = what == BIT_TEST ? rm_read(v, &at, size) : rmw_begin(v, &at, size, &m);
    if (what == BIT_SET)
        rmw_end(v, &m, a | mask, size);
    else if (what == BIT_RESET)
        rmw_end(v, &m, a & ~mask, size);
    else if (what == BIT_COMPLEMENT)
        rmw_end(v, &m, a ^ mask, size);
    v->eflags = a & mask ? v->eflags | FL_CF : v->eflags & ~FL_CF;
    return DONE_NEXT;
}

enum done op_bt(struct vcpu *v, const struct insn *insn)
{
    return bit_test(v, insn, v->gpr[insn->reg], true, BIT_TEST);
}

enum done op_bts(struct vcpu *v, const struct insn *insn)
{
    return bit_test(v, insn, v->gpr[insn->reg], true, BIT_SET);
}

enum done op_btr(struct vcpu *v, const struct insn *insn)
{
    return bit_test(v, insn, v->gpr[insn->reg], true, BIT_RESET);
}

enum done op_btc(struct vcpu *v, const struct insn *insn)
{
    return bit_test(v, insn, v->gpr[insn->reg], true, BIT_COMPLEMENT);
}

// 0F BA /4 to /7.
enum done op_bt_ib(struct vcpu *v, const struct insn *insn)
{
    if (insn->reg < 4)
        return op_undefined(v, insn);
    return bit_test(v, insn, insn->imm, false, insn->reg - 4);
}

// The host's instruction on a and b, with its flags. (BSF and BSR of 0 leave a as it was.)
#define BIT_OP(name, mnemonic)                                                               \
    static u32 name(u32 *eflags, u32 a, u32 b)                                               \
    {                                                                                        \
        u32 ax = flags_pack(*eflags);                                                        \
                                                                                             \
        asm(FLAGS_IN mnemonic FLAGS_OUT : [a] "+r"(a), "+&a"(ax) : [b] "r"(b) : "cc");       \
        flags_set(eflags, ax, FL_ARITH);                                                     \
        return a;                                                                            \
    }
BIT_OP(bsf16, "bsfw %w[b], %w[a]")
BIT_OP(bsf32, "bsfl %[b], %[a]")
BIT_OP(bsr16, "bsrw %w[b], %w[a]")
BIT_OP(bsr32, "bsrl %[b], %[a]")
// On hosts without them these execute as BSF and BSR, and no model has them then.
BIT_OP(tzcnt16, "tzcntw %w[b], %w[a]")
BIT_OP(tzcnt32, "tzcntl %[b], %[a]")
BIT_OP(lzcnt16, "lzcntw %w[b], %w[a]")
BIT_OP(lzcnt32, "lzcntl %[b], %[a]")
BIT_OP(popcnt16, "popcntw %w[b], %w[a]")
BIT_OP(popcnt32, "popcntl %[b], %[a]")

typedef u32 scan_fn(u32 *eflags, u32 a, u32 b);

static enum done scan(struct vcpu *v, const struct insn *insn, scan_fn *f16, scan_fn *f32)
{
    u32 b = rm_read(v, insn, insn->opsize), a = v->gpr[insn->reg];

    a = insn->opsize == 4 ? f32(&v->eflags, a, b) : f16(&v->eflags, a, b);
    // A 16-bit scan of 0 must not touch the upper half either, as reg_write sees to.
    reg_write(v, insn->reg, a, insn->opsize);
    return DONE_NEXT;
}

// F3 makes it TZCNT where the model has that; before, the prefix means nothing.
enum done op_bsf(struct vcpu *v, const struct insn *insn)
{
    if (insn->prefix & PFX_REP && cpu_model_has(v->model, ISA_TZCNT))
        return scan(v, insn, tzcnt16, tzcnt32);
    return scan(v, insn, bsf16, bsf32);
}

enum done op_bsr(struct vcpu *v, const struct insn *insn)
{
    if (insn->prefix & PFX_REP && cpu_model_has(v->model, ISA_LZCNT))
        return scan(v, insn, lzcnt16, lzcnt32);
    return scan(v, insn, bsr16, bsr32);
}

enum done op_popcnt(struct vcpu *v, const struct insn *insn)
{
    if (!(insn->prefix & PFX_REP))
        return op_undefined(v, insn);
    return scan(v, insn, popcnt16, popcnt32);
}

enum done op_setcc(struct vcpu *v, const struct insn *insn)
{
    rm_write(v, insn, cond(v->eflags, insn->op & 15), 1);
    return DONE_NEXT;
}

// Reads its source, and may fault, whatever the condition.
enum done op_cmovcc(struct vcpu *v, const struct insn *insn)
{
    u32 value = rm_read(v, insn, insn->opsize);

    if (cond(v->eflags, insn->op & 15))
        reg_write(v, insn->reg, value, insn->opsize);
    return DONE_NEXT;
}

// With a 16-bit operand the result is undefined; processors agree on zeroing the half.
enum done op_bswap(struct vcpu *v, const struct insn *insn)
{
    unsigned reg = insn->op & 7;

    if (insn->opsize == 4)
        v->gpr[reg] = __builtin_bswap32(v->gpr[reg]);
    else
        reg16_write(v, reg, 0);
    return DONE_NEXT;
}

// 0F 38 F0 and F1 without F2.
enum done op_movbe(struct vcpu *v, const struct insn *insn)
{
    unsigned size = insn->opsize;
    u32 value;

    if (!insn->has_mem)
        return op_undefined(v, insn);
    value = insn->op & 1 ? reg_read(v, insn->reg, size) : rm_read(v, insn, size);
    value = size == 4 ? __builtin_bswap32(value) : __builtin_bswap16(value);
    if (insn->op & 1)
        rm_write(v, insn, value, size);
    else
        reg_write(v, insn->reg, value, size);
    return DONE_NEXT;
}

// F2 0F 38 F0 and F1: CRC-32C, reflected.
enum done op_crc32(struct vcpu *v, const struct insn *insn)
{
    unsigned size = insn->op & 1 ? insn->opsize : 1;
    u32 crc = v->gpr[insn->reg], value;

    if (!(insn->prefix & PFX_REPNE))
        return op_movbe(v, insn);
    value = rm_read(v, insn, size);
    for (unsigned i = 0; i < size; i++) {
        crc ^= value >> 8 * i & 0xff;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    v->gpr[insn->reg] = crc;
    return DONE_NEXT;
}

// RDRAND and RDSEED from the host's RDRAND, which the model has only where the host has it.
enum done op_rdrand(struct vcpu *v, const struct insn *insn)
{
    u32 value;
    u8 ok;

    if (!cpu_model_has(v->model, insn->reg == 6 ? ISA_RDRAND : ISA_RDSEED))
        return op_undefined(v, insn);
    do
        asm volatile("rdrand %0\n\tsetc %1" : "=r"(value), "=q"(ok) : : "cc");
    while (!ok);
    reg_write(v, insn->rm, value, insn->opsize);
    v->eflags = (v->eflags & ~FL_ARITH) | FL_CF;
    return DONE_NEXT;
}

// ---- BMI1 in VEX encoding, which real and virtual-8086 mode don't have. No model has it where the host has not.
BIT_OP(andn, "andnl %[b], %[a], %[a]")
BIT_OP(blsr, "blsrl %[b], %[a]")
BIT_OP(blsmsk, "blsmskl %[b], %[a]")
BIT_OP(blsi, "blsil %[b], %[a]")
BIT_OP(bextr, "bextrl %[b], %[a], %[a]")

static void require_protected(struct vcpu *v, const struct insn *insn)
{
    if (!vcpu_protected(v))
        op_undefined(v, insn);
}

enum done op_andn(struct vcpu *v, const struct insn *insn)
{
    require_protected(v, insn);
    v->gpr[insn->reg] = andn(&v->eflags, v->gpr[insn->vreg], rm_read(v, insn, 4));
    return DONE_NEXT;
}

enum done op_bls(struct vcpu *v, const struct insn *insn)
{
    u32 value;

    require_protected(v, insn);
    value = rm_read(v, insn, 4);
    v->gpr[insn->vreg] = insn->reg == 1   ? blsr(&v->eflags, 0, value)
                         : insn->reg == 2 ? blsmsk(&v->eflags, 0, value)
                                          : blsi(&v->eflags, 0, value);
    return DONE_NEXT;
}

enum done op_bextr(struct vcpu *v, const struct insn *insn)
{
    require_protected(v, insn);
    v->gpr[insn->reg] = bextr(&v->eflags, rm_read(v, insn, 4), v->gpr[insn->vreg]);
    return DONE_NEXT;
}
