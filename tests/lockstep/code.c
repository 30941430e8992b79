// SPDX-License-Identifier: GPL-2.0-or-later
// Random code: mostly valid instructions, with what systems do to themselves in between.
#include "fuzz.h"

#include <string.h>

static u32 address(struct rng *r)
{
    static const u32 around[] = { AT_DATA, AT_DATA, AT_DATA, AT_STACK, AT_CODE, AT_GDT, AT_IDT, 0xa0000, 0x400000,
                                  0xfffff, 0xfffffff0, 0 };
    u32 base = around[rng_below(r, ARRAY_LEN(around))];

    return base + (rng_one_in(r, 3) ? rng_below(r, 0x10000) : rng_below(r, 64) + 4096 * rng_below(r, 4) - 16);
}

static u32 value(struct rng *r)
{
    switch (rng_below(r, 6)) {
    case 0: return rng_next(r);
    case 1: return rng_below(r, 256) - 128;
    case 2: return 1u << rng_below(r, 32);
    case 3: return rng_below(r, 32) * 8 | rng_below(r, 4); // a selector
    default: return address(r);
    }
}

static unsigned put(u8 *to, u32 x, unsigned size)
{
    memcpy(to, &x, size);
    return size;
}

// One instruction by its opcode; 0 if what came out is not wanted.
static unsigned any(struct rng *r, u8 *out, bool code32)
{
    u8 b[32];
    unsigned n = 0;
    struct insn insn;
    u32 x;

    if (rng_one_in(r, 10))
        b[n++] = 0x66;
    if (rng_one_in(r, 20))
        b[n++] = 0x67;
    if (rng_one_in(r, 16)) {
        static const u8 seg[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
        b[n++] = seg[rng_below(r, sizeof(seg))];
    }
    if (rng_one_in(r, 24))
        b[n++] = rng_one_in(r, 3) ? 0xf0 : 0xf2 + rng_below(r, 2);
    if (rng_one_in(r, 4))
        b[n++] = 0x0f;
    for (unsigned i = n; i < sizeof(b); i++)
        b[i] = rng_next(r);
    n++; // ModRM, perhaps, with what may follow
    if (rng_one_in(r, 2)) {
        x = address(r);
        memcpy(b + n + 1 + rng_below(r, 2), &x, 4);
    } else if (rng_one_in(r, 2)) {
        memset(b + n + 3, 0, 4);
    }
    if (insn_decode(&insn, b, INSN_MAX, code32) != INSN_OK)
        return 0;
    if ((insn.attr & INSN_UD || insn.flow == FLOW_FAR) && !rng_one_in(r, 16))
        return 0;
    if ((insn.sensitive == SENS_HLT || insn.op == OP1(0xea) || insn.op == OP1(0x9a)) && !rng_one_in(r, 8))
        return 0;
    if (insn.op == OP0F(0x22) && insn.reg == 3) // tables of random words are never the same twice
        return 0;
    if (insn.flow == FLOW_JCC || insn.flow == FLOW_JMP || insn.flow == FLOW_CALL) {
        i32 rel = (i32)rng_below(r, 120) - 40;
        unsigned size = insn.op < OP1(0x80) || (insn.op >= OP1(0xe0) && insn.op < OP1(0xe8)) || insn.op == OP1(0xeb)
                            ? 1 : insn.opsize;

        if (insn.len > size)
            memcpy(b + insn.len - size, &rel, size);
    }
    memcpy(out, b, insn.len);
    return insn.len;
}

static unsigned mov_imm(u8 *to, unsigned reg, u32 imm, bool code32)
{
    unsigned n = 0;

    if (!code32)
        to[n++] = 0x66;
    to[n++] = 0xb8 + reg;
    return n + put(to + n, imm, 4);
}

// MOV EAX, CRn / XOR EAX, mask / MOV CRn, EAX.
static unsigned flip(u8 *to, unsigned cr, u32 mask, bool code32)
{
    unsigned n = 0;

    to[n++] = 0x0f, to[n++] = 0x20, to[n++] = 0xc0 | cr << 3;
    if (!code32)
        to[n++] = 0x66;
    to[n++] = 0x35;
    n += put(to + n, mask, 4);
    to[n++] = 0x0f, to[n++] = 0x22, to[n++] = 0xc0 | cr << 3;
    return n;
}

static u32 random_bit(struct rng *r, const u8 *bits, unsigned n)
{
    return BIT(bits[rng_below(r, n)]);
}

static unsigned pair(u8 *to, u8 a, u8 b)
{
    to[0] = a, to[1] = b;
    return 2;
}

// What random opcodes do too rarely. At most 32 bytes.
static unsigned template(struct rng *r, u8 *to, bool code32)
{
    static const u8 cr0[] = { 1, 2, 3, 3, 5, 16, 16, 18, 0, 31 }, cr4[] = { 2, 3, 4, 7, 7, 9, 10, 0, 1, 5 };
    static const u8 flags[] = { 0, 2, 6, 7, 8, 9, 9, 10, 10, 11, 12, 13, 14, 18 };
    unsigned n = 0, reg = rng_below(r, 8);

    switch (rng_below(r, 19)) {
    case 0: case 1: case 2:
        return mov_imm(to, reg == R_ESP ? R_EAX : reg, value(r), code32);
    case 3: // a segment register
        n = mov_imm(to, R_EAX, rng_below(r, 33) * 8 | (rng_one_in(r, 3) ? rng_below(r, 8) : 0), code32);
        return n + pair(to + n, 0x8e, 0xc0 | (rng_one_in(r, 4) ? 2 : rng_below(r, 6)) << 3);
    case 4:
        return flip(to, 0, random_bit(r, cr0, sizeof(cr0) - (rng_one_in(r, 4) ? 0 : 2)), code32);
    case 5:
        return flip(to, 4, random_bit(r, cr4, sizeof(cr4) - (rng_one_in(r, 8) ? 0 : 1)), code32);
    case 6:
        return flip(to, 3, 0, code32);
    case 7: // INVLPG [EBX]
        n = mov_imm(to, R_EBX, address(r), code32);
        if (!code32)
            to[n++] = 0x67;
        to[n++] = 0x0f, to[n++] = 0x01, to[n++] = 0x3b;
        return n;
    case 8: // STOS anywhere, page tables and code included
        n = mov_imm(to, R_EDI, address(r), code32);
        n += mov_imm(to + n, R_EAX, rng_one_in(r, 2) ? address(r) | rng_below(r, 512) : rng_next(r), code32);
        to[n++] = 0xab;
        return n;
    case 9: // a repeated string instruction
        n = mov_imm(to, R_ECX, rng_below(r, rng_one_in(r, 8) ? 6000 : 40), code32);
        n += pair(to + n, rng_one_in(r, 6) ? 0xfd : 0xfc, 0xf2 + rng_below(r, 2));
        to[n++] = (const u8[]){ 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf }[rng_below(r, 10)];
        return n;
    case 10: // flags: PUSH, POPF
        if (!code32)
            to[n++] = 0x66;
        to[n++] = 0x68;
        n += put(to + n, 2 | random_bit(r, flags, sizeof(flags)) | random_bit(r, flags, sizeof(flags)), 4);
        if (!code32)
            to[n++] = 0x66;
        to[n++] = 0x9d;
        return n;
    case 11:
        return pair(to, 0xfa + rng_below(r, 2), 0x90);
    case 12: // a loop over what follows it backwards
        return pair(to, rng_one_in(r, 2) ? 0xe2 : 0x75, 0x100 - 2 - rng_below(r, 40));
    case 13:
        n = mov_imm(to, R_ECX, rng_below(r, 60), code32);
        return n;
    case 14: case 15: // x87, MMX, SSE
        if (rng_one_in(r, 3))
            return pair(to, 0x0f, 0x77);
        return pair(to, 0xd8 + rng_below(r, 8), 0xc0 | rng_below(r, 64));
    case 16: // a far transfer
        to[n++] = rng_one_in(r, 2) ? 0x9a : 0xea;
        n += put(to + n, AT_CODE + rng_below(r, 0xff00), code32 ? 4 : 2);
        return n + put(to + n, rng_below(r, 33) * 8 | rng_below(r, 4), 2);
    case 17:
        return pair(to, 0xcd, rng_below(r, 64));
    default:
        return pair(to, (const u8[]){ 0xcf, 0xcb, 0xc3, 0x9c, 0x60, 0x61 }[rng_below(r, 6)], 0x90);
    }
}

void code_make(struct guest *g, struct rng *rng, u32 at, u32 len, bool code32)
{
    u8 b[64];
    u32 i = 0;

    while (i < len) {
        unsigned n = rng_one_in(rng, 6) ? template(rng, b, code32) : any(rng, b, code32);

        if (rng_one_in(rng, 400)) { // nonsense
            n = 1 + rng_below(rng, 8);
            for (unsigned j = 0; j < n; j++)
                b[j] = rng_next(rng);
        }
        if (n > len - i)
            n = len - i;
        memcpy(g->mem + at + i, b, n);
        i += n;
    }
}
