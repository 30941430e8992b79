// SPDX-License-Identifier: GPL-2.0-or-later
// The generator: opcodes at random, operands so that most accesses land in memory that is there.
#include "generate.h"

#include <string.h>

static u64 rnd(struct generator *g)
{
    return random_next(&g->random);
}
static u32 below(struct generator *g, u32 n)
{
    return rnd(g) % n;
}
static bool chance(struct generator *g, u32 percent)
{
    return below(g, 100) < percent;
}

// An address: mostly inside the data pages, often close to an edge of one.
static u32 pick_address(struct generator *g)
{
    static const u32 edges[] = {
        0x10000000, 0x10001000, 0x10001000, 0x10001000, 0x10002000, 0x10003000, 0x10004000, 0x10005000, 0,
    };
    u32 r = below(g, 100);

    if (r < 55)
        return 0x10000100 + below(g, 0x1e00);
    if (r < 65)
        return 0x10000100 + (below(g, 0x1e00) & ~15u);
    if (r < 72)
        return 0x10004000 + below(g, PAGE_SIZE);
    if (r < 74)
        return 0x10002000 + below(g, PAGE_SIZE); // read-only
    if (r < 95)
        return edges[below(g, ARRAY_LEN(edges))] + below(g, 24) - 16;
    return rnd(g);
}

static u32 pick_value(struct generator *g)
{
    static const u32 special[] = {
        0, 1, 2, ~0u, 0x7fffffff, 0x80000000, 0x7fff, 0x8000, 0xffff, 0x7f, 0x80, 0xff, 0x80008000, 31, 32, 33,
    };

    switch (below(g, 8)) {
    case 0: case 1: case 2:
        return pick_address(g);
    case 3:
        return special[below(g, ARRAY_LEN(special))];
    case 4:
        return (i32)(i8)rnd(g);
    case 5:
        return below(g, 64);
    default:
        return rnd(g);
    }
}

// ---- Opcodes

static u16 pick_integer(struct generator *g)
{
    static const u16 two_byte[] = {
        0x40, 0x90, 0xa3, 0xa4, 0xa5, 0xab, 0xac, 0xad, 0xaf, 0xb0, 0xb1, 0xb3, 0xb6, 0xb7, 0xba, 0xbb, 0xbc,
        0xbd, 0xbe, 0xbf, 0xc0, 0xc1, 0xc7, 0xc8, 0x1f, 0x0b, 0xb8, 0xb2, 0xb4, 0xb5, 0xa0, 0xa1, 0xa8, 0xa9,
    };
    u32 r = below(g, 100);

    if (r < 68)
        return OP1(below(g, 256));
    if (r < 94) {
        u16 op = two_byte[below(g, ARRAY_LEN(two_byte))];

        if (op == 0x40 || op == 0x90)
            op += below(g, 16);
        else if (op == 0xc8)
            op += below(g, 8);
        return OP0F(op);
    }
    return below(g, 4) ? OP0F(below(g, 256)) : OP0F38(0xf0 + below(g, 8));
}

static u16 pick_opcode(struct generator *g, enum kind kind)
{
    static const u8 string[] = { 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0x6c, 0x6e };

    switch (kind) {
    case KIND_STRING:
        if (chance(g, 60))
            return OP1(string[below(g, chance(g, 2) ? 12 : 10)]);
        break;
    case KIND_X87:
        if (chance(g, 85))
            return OP1(0xd8 + below(g, 8));
        break;
    case KIND_SIMD:
        if (chance(g, 85)) {
            u32 r = below(g, 10);

            return r < 8 ? OP0F(0x10 + below(g, 0xf0)) : r < 9 ? OP0F38(below(g, 256)) : OP0F3A(below(g, 256));
        }
        break;
    case KIND_BYTES:
        return chance(g, 60) ? OP1(below(g, 256)) : OP0F(below(g, 256));
    case KIND_LOOP:
        if (chance(g, 15))
            return OP1(string[below(g, 10)]);
        break;
    case KIND_FLOW: {
        static const u16 flow[] = { 0x70, 0x72, 0x74, 0x7c, 0xe0, 0xe1, 0xe2, 0xe3, 0xe8, 0xe9, 0xeb, 0xc3, 0xc2, 0xff,
                                    0x55, 0x5d, 0xc9, 0x9c, 0x9d, 0xcd, 0xcc, 0xce, 0x62,
                                    OP0F(0x84), OP0F(0x8c), OP0F(0x82), 0xc8, 0x60, 0x61,
                                    0x07, 0x1f, 0x06, 0x16, 0x17, 0x8e, 0x8c };

        if (chance(g, 55))
            return flow[below(g, ARRAY_LEN(flow))];
        break;
    }
    default:
        break;
    }
    return pick_integer(g);
}

// ---- One instruction

static unsigned put_prefixes(struct generator *g, enum kind kind, u16 op, u8 *p)
{
    static const u8 segs[6] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
    unsigned n = 0;
    bool string = (op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf);

    if (kind == KIND_SEGMENT && chance(g, 40))
        p[n++] = segs[below(g, 6)];
    if (string ? chance(g, 55) : kind == KIND_SIMD ? chance(g, 40) : chance(g, 3))
        p[n++] = 0xf2 + below(g, 2);
    if (chance(g, kind == KIND_SIMD ? 40 : 14))
        p[n++] = 0x66;
    if (chance(g, 4))
        p[n++] = 0x67;
    if (chance(g, 5))
        p[n++] = segs[below(g, 6)];
    if (chance(g, 4))
        p[n++] = 0xf0;
    if (n > 1 && chance(g, 40)) {
        u8 t = p[0];

        p[0] = p[n - 1];
        p[n - 1] = t;
    }
    if (kind == KIND_BYTES)
        while (n < 14 && chance(g, 10))
            p[n++] = segs[below(g, 6)];
    return n;
}

// The offset in a segment of an address; at times one at the segment's limit instead.
static u32 to_offset(struct generator *g, u16 sel, u32 address)
{
    const struct ldt_entry *e = ldt_find(sel);

    if (!e)
        return address;
    if (chance(g, 30))
        return (e->flags & LDT_PAGES ? e->limit << 12 | 0xfff : e->limit) + below(g, 20) - 12;
    return address - e->base;
}

// Points the memory operand at something, going by the registers' first values.
static void aim(struct generator *g, const struct oracle_case *c, const struct insn *insn, u8 *bytes)
{
    u32 disp = pick_address(g), at;

    if (!insn->has_mem || insn->disp_len < 2)
        return;
    at = insn->len - insn->disp_len - insn->imm_len;
    if (insn->op >= OP1(0xa0) && insn->op <= OP1(0xa3))
        at = insn->len - insn->disp_len;
    disp = to_offset(g, c->seg[insn->seg], disp);
    if (insn->base >= 0)
        disp -= c->gpr[insn->base];
    if (insn->index >= 0)
        disp -= c->gpr[insn->index] << insn->scale;
    memcpy(bytes + at, &disp, insn->disp_len);
}

static void encode_operands(struct generator *g, u8 *p)
{
    // Registers, or [base+disp32], or [base+index+disp32], or absolute; at times anything.
    switch (below(g, 10)) {
    case 0: case 1: case 2:
        p[0] |= 0xc0;
        break;
    case 3: case 4:
        p[0] = (p[0] & 0x3f) | 0x80;
        break;
    case 5: case 6:
        p[0] = (p[0] & 0x38) | 0x84;
        break;
    case 7:
        p[0] = (p[0] & 0x38) | 5;
        break;
    }
}

static unsigned put_opcode(u16 op, u8 *p)
{
    unsigned n = 0;

    if (op >> 8)
        p[n++] = 0x0f;
    if (op >> 8 >= MAP_0F38)
        p[n++] = op >> 8 == MAP_0F38 ? 0x38 : 0x3a;
    p[n++] = op;
    return n;
}

// Encodes one allowed instruction at p; false if this try failed.
static bool try_insn(struct generator *g, enum kind kind, const struct oracle_case *c, u8 *p, struct insn *insn)
{
    u8 bytes[40];
    const struct form *form = kind == KIND_FORM ? &g->forms->form[below(g, g->forms->count)] : NULL;
    u16 op = form ? form->op : pick_opcode(g, kind);
    unsigned n = form && chance(g, 70) ? 0 : put_prefixes(g, kind, op, bytes);
    u64 r;
    u32 imm;

    n += form ? form_opcode(form, rnd(g), bytes + n) : put_opcode(op, bytes + n);
    for (unsigned i = n; i < sizeof(bytes); i += 8) {
        r = rnd(g);
        memcpy(bytes + i, &r, sizeof(bytes) - i < 8 ? sizeof(bytes) - i : 8);
    }
    encode_operands(g, bytes + n);
    if (form && form->has_rm)
        bytes[n] = form_modrm(form, bytes[n]);
    if (insn_decode(insn, bytes, sizeof(bytes), case_code32(c)) != INSN_OK)
        return kind == KIND_BYTES && chance(g, 5) && (memcpy(p, bytes, 15), insn->len = 15, insn->op = 0x90, true);
    if (!(insn->attr & INSN_MODRM) && insn->imm_len == 4 && chance(g, 50)) {
        imm = pick_value(g);
        memcpy(bytes + insn->len - 4, &imm, 4);
    }
    if (chance(g, 92))
        aim(g, c, insn, bytes);
    if (insn_decode(insn, bytes, sizeof(bytes), case_code32(c)) != INSN_OK || !insn_allowed(bytes, insn))
        return false;
    if (insn->attr & INSN_UD && !chance(g, 6))
        return false;
    if (insn->flow == FLOW_FAR && kind != KIND_FLOW && !chance(g, 15))
        return false;
    memcpy(p, bytes, insn->len);
    return true;
}

static void append(struct oracle_case *c, const void *bytes, unsigned len)
{
    memcpy(c->code + c->code_len, bytes, len);
    c->len[c->count++] = len;
    c->code_len += len;
}

static bool room(const struct oracle_case *c)
{
    return c->count + 3 < CASE_INSNS && c->code_len + 40 < CASE_CODE;
}

// ---- A sequence

// Direct branches go to the start of some instruction of the case or to its end, forward for the most part.
static void aim_branches(struct generator *g, struct oracle_case *c)
{
    u32 start[CASE_INSNS + 1] = { 0 };

    for (unsigned i = 0; i < c->count; i++)
        start[i + 1] = start[i] + c->len[i];
    for (unsigned i = 0; i < c->count; i++) {
        struct insn insn;
        unsigned target;
        u32 imm;

        if (insn_decode(&insn, c->code + start[i], c->len[i], case_code32(c)) != INSN_OK)
            continue;
        if (g->fixed & BIT(i))
            continue;
        if (insn.flow != FLOW_JCC && insn.flow != FLOW_JMP && insn.flow != FLOW_CALL)
            continue;
        target = chance(g, 85) ? i + 1 + below(g, c->count - i) : below(g, c->count + 1);
        imm = start[target] - start[i + 1];
        memcpy(c->code + start[i + 1] - insn.imm_len, &imm, insn.imm_len);
    }
}

// push imm32 / mov r, imm32 with the address of a later instruction, then a transfer that uses it. The address is
// filled in when the layout is known: behind what follows, so the start of the next piece.
static void add_indirect(struct generator *g, struct oracle_case *c)
{
    unsigned reg = below(g, 8), skip = below(g, 3);
    u8 first[5] = { chance(g, 50) ? 0x68 : 0xb8 | reg };
    u8 second[2];
    u32 len, target;

    if (first[0] == 0x68) {
        second[0] = 0xc3, len = 1;
    } else {
        second[0] = 0xff, second[1] = 0xd0 | reg | (chance(g, 50) ? 0x10 : 0), len = 2;
    }
    target = c->eip + c->code_len + 5 + len + skip;
    memcpy(first + 1, &target, 4);
    append(c, first, 5);
    append(c, second, len);
    while (skip--)
        append(c, "\x90", 1);
}

// A counter in memory, and the branch back: the body lies in between.
static void open_loop(struct generator *g, struct oracle_case *c, u32 *counter)
{
    u8 bytes[7] = { 0x83, 0x25, 0, 0, 0, 0, chance(g, 80) ? 7 : 63 }; // and dword [counter], 7

    *counter = 0x10000080 + 4 * below(g, 16);
    memcpy(bytes + 2, counter, 4);
    append(c, bytes, sizeof(bytes));
}

static void close_loop(struct generator *g, struct oracle_case *c, u32 counter, u32 start)
{
    u8 bytes[7] = { 0x83, 0x2d, 0, 0, 0, 0, 1 }; // sub dword [counter], 1; jns start
    u32 back;

    memcpy(bytes + 2, &counter, 4);
    append(c, bytes, sizeof(bytes));
    back = start - (c->code_len + 2);
    g->fixed |= BIT(c->count);
    if (back >= -128u) {
        append(c, (u8[]){ 0x79, back }, 2);
    } else {
        u8 far[6] = { 0x0f, 0x89 };

        back -= 4;
        memcpy(far + 2, &back, 4);
        append(c, far, 6);
    }
}

// A store whose operand patch_code aims at the case's own code, or an instruction that is good to be changed.
static void add_patch(struct generator *g, struct oracle_case *c, bool looping)
{
    static const u8 stores[][3] = { // opcode bytes, ModRM, length of the immediate in the high nibble of the count
        { 0xc6, 0x05, 1 }, { 0xc7, 0x05, 4 }, { 0x88, 0x05, 0 }, { 0x89, 0x05, 0 }, { 0xc6, 0x05, 1 },
        // Not in loops: CPUID and the like might come to stand there.
        { 0x80, 0x35, 1 }, { 0xfe, 0x05, 0 }, { 0x87, 0x05, 0 }, { 0x86, 0x05, 0 }, { 0x80, 0x05, 1 }, { 0xd0, 0x05, 0 },
    };
    u8 bytes[16] = { 0 };
    u64 r = rnd(g);

    if (chance(g, 55)) {
        const u8 *store = stores[below(g, looping ? 5 : ARRAY_LEN(stores))];

        bytes[0] = store[0];
        bytes[1] = store[1];
        if (bytes[0] == 0x88 || bytes[0] == 0x89 || bytes[0] == 0x86 || bytes[0] == 0x87)
            bytes[1] |= (r & 7) << 3;
        bytes[6] = chance(g, 60) ? 0x40 + (r >> 8) % 16 : r >> 8;
        memcpy(bytes + 7, (u8 *)&r + 2, 3);
        g->patches |= BIT(c->count);
        append(c, bytes, 6 + store[2]);
    } else if (chance(g, 50)) {
        append(c, (u8[]){ 0x40 + r % 16 }, 1);
    } else {
        bytes[0] = 0xb8 + r % 8;
        memcpy(bytes + 1, (u8 *)&r + 2, 4);
        append(c, bytes, 5);
    }
}

static void patch_code(struct generator *g, struct oracle_case *c)
{
    u32 at = 0, start[CASE_INSNS + 1] = { 0 };

    for (unsigned i = 0; i < c->count; i++)
        start[i + 1] = start[i] + c->len[i];
    for (unsigned i = 0; i < c->count; at += c->len[i++]) {
        unsigned k = below(g, c->count);
        u32 target = c->eip + (chance(g, 60) ? start[k + 1] - 1 : start[k]);

        if (!(g->patches & BIT(i)))
            continue;
        if (chance(g, 20))
            target -= below(g, 4);
        if (c->eip < 0x10000000 && chance(g, 30))
            target += 0x04000000; // through the alias
        memcpy(c->code + at + 2, &target, 4);
    }
}

static u16 pick_selector(struct generator *g)
{
    static const u16 global[] = { SEL_DATA, SEL_DATA, SEL_CODE, 0, 3, 0x10, 0x18, 0x1b, 0x7000,
        LDT_SEL(LDT_COUNT), LDT_SEL(0) & ~3 };

    return chance(g, 75) ? LDT_SEL(below(g, LDT_COUNT)) : global[below(g, ARRAY_LEN(global))];
}

// Loads of segment registers: MOV r16, imm16 with PUSH and POP or MOV, and the instructions that look at descriptors.
static void add_selector(struct generator *g, struct oracle_case *c)
{
    u16 sel = chance(g, 92) ? pick_selector(g) : rnd(g);
    bool big = case_code32(c);
    unsigned reg = below(g, 8), seg = below(g, 6);
    u8 load[5] = { 0x66, 0xb8 | reg };

    if (chance(g, 40)) { // PUSH imm, POP seg
        static const u8 pops[3] = { 0x07, 0x17, 0x1f };
        u8 push[5] = { 0x68, sel, sel >> 8 };

        append(c, push, big ? 5 : 3);
        if (chance(g, 60))
            append(c, pops + below(g, 3), 1);
        else
            append(c, (u8[]){ 0x0f, chance(g, 50) ? 0xa1 : 0xa9 }, 2);
        return;
    }
    memcpy(load + 2, &sel, 2);
    append(c, load + !big, 4 - !big);
    if (chance(g, 65)) {
        append(c, (u8[]){ 0x8e, 0xc0 | (seg == S_CS ? S_ES : seg) << 3 | reg }, 2);
    } else if (sel & 4) {
        u8 look[3] = { 0x0f, 0x02 + below(g, 2), 0xc0 | below(g, 8) << 3 | reg }; // LAR, LSL

        if (chance(g, 40))
            look[1] = 0, look[2] = (chance(g, 50) ? 0xe0 : 0xe8) | reg; // VERR, VERW
        append(c, look, 3);
    }
}

// A far jump, call or return to what follows, as seen from another code segment.
static void add_far(struct generator *g, struct oracle_case *c)
{
    static const u16 codes[] = { SEL_CODE, LDT_SEL(LDT_ENTRY_CODE), LDT_SEL(LDT_ENTRY_CODE_BASED),
        LDT_SEL(LDT_ENTRY_CODE_BASED), LDT_SEL(LDT_ENTRY_CODE16), LDT_SEL(LDT_ENTRY_CODE_CLOSED),
        LDT_SEL(LDT_ENTRY_CODE_SHORT) };
    u16 sel = chance(g, 85) ? codes[below(g, ARRAY_LEN(codes))] : pick_selector(g);
    unsigned kind = below(g, 4);
    u8 bytes[12] = { kind ? 0xea : 0x9a };
    u32 target = case_code_at(c) + c->code_len - segment_base(sel), wide = sel;

    if (kind < 2) {
        target += 7;
        memcpy(bytes + 1, &target, 4);
        memcpy(bytes + 5, &sel, 2);
        append(c, bytes, 7);
        return;
    }
    if (kind == 3)
        append(c, "\x9c", 1), target++; // PUSHF
    target += 11;
    bytes[0] = bytes[5] = 0x68;
    memcpy(bytes + 1, &wide, 4);
    memcpy(bytes + 6, &target, 4);
    append(c, bytes, 5);
    append(c, bytes + 5, 5);
    append(c, kind == 3 ? "\xcf" : "\xcb", 1); // IRET, RETF
}

static void fill_segments(struct generator *g, struct oracle_case *c)
{
    static const u8 codes[] = { LDT_ENTRY_CODE, LDT_ENTRY_CODE_BASED, LDT_ENTRY_CODE_BASED, LDT_ENTRY_CODE16, LDT_ENTRY_CODE16,
                                LDT_ENTRY_CODE_CLOSED, LDT_ENTRY_CODE_SHORT };
    static const u8 data[] = { LDT_ENTRY_FLAT, LDT_ENTRY_BASED, LDT_ENTRY_BYTES, LDT_ENTRY_PAGE,
        LDT_ENTRY_UNALIGNED, LDT_ENTRY_DOWN,
                               LDT_ENTRY_DOWN16, LDT_ENTRY_DOWN_PAGES, LDT_ENTRY_CLOSED, LDT_ENTRY_WRAPPING, LDT_ENTRY_STACK16,
                               LDT_ENTRY_CODE, LDT_ENTRY_CODE_BASED };

    for (int i = 0; i < S_COUNT; i++)
        if (i != S_CS && i != S_SS && chance(g, 60))
            c->seg[i] = chance(g, 94) ? LDT_SEL(data[below(g, ARRAY_LEN(data))]) : 0;
    if (chance(g, 15)) {
        static const u8 stacks[] = { LDT_ENTRY_FLAT, LDT_ENTRY_BASED, LDT_ENTRY_BYTES, LDT_ENTRY_DOWN, LDT_ENTRY_PAGE };

        c->seg[S_SS] = LDT_SEL(stacks[below(g, ARRAY_LEN(stacks))]);
        c->gpr[R_ESP] = to_offset(g, c->seg[S_SS], c->gpr[R_ESP]);
    }
    if (chance(g, 35)) {
        c->seg[S_CS] = LDT_SEL(codes[below(g, ARRAY_LEN(codes))]);
        if (segment_base(c->seg[S_CS]))
            c->eip &= 0x1fff;
        if (c->seg[S_CS] == LDT_SEL(LDT_ENTRY_CODE_SHORT))
            c->eip = chance(g, 60) ? 0x600 - below(g, 40) : below(g, 0x580);
    }
    if (chance(g, 50))
        c->gpr[R_ESI] = to_offset(g, c->seg[S_DS], pick_address(g));
    if (chance(g, 50))
        c->gpr[R_EDI] = to_offset(g, c->seg[S_ES], pick_address(g));
}

static void fill_state(struct generator *g, struct oracle_case *c)
{
    u32 flags = rnd(g) & FL_ARITH;

    for (int i = 0; i < 8; i++)
        c->gpr[i] = pick_value(g);
    if (chance(g, 90))
        c->gpr[R_ESP] = 0x10000200 + below(g, 0x1b00) * (chance(g, 70) ? 1 : 0);
    if (chance(g, 70))
        c->gpr[R_ESP] &= ~3u;
    if (chance(g, 20))
        flags |= FL_DF;
    if (chance(g, 3))
        flags |= FL_AC;
    if (chance(g, 2))
        flags |= FL_NT;
    if (chance(g, 5))
        flags |= FL_ID;
    c->eflags = flags | FL_FIXED1 | FL_IF;
    for (int i = 0; i < S_COUNT; i++)
        c->seg[i] = SEL_DATA;
    c->seg[S_CS] = SEL_CODE;
    switch (below(g, 10)) {
    case 0: case 1: case 2: case 3: case 4: case 5:
        c->eip = 0x08000100 + below(g, 0xe00);
        break;
    case 6: case 7:
        c->eip = 0x08001000 - below(g, 40);
        break;
    case 8:
        c->eip = 0x08002000 - below(g, 60);
        break;
    default:
        c->eip = 0xffffe000 + below(g, 0x1f80);
    }
}

// ECX of string instructions: small, unless they are to run into a fault.
static void tame_strings(struct generator *g, struct oracle_case *c)
{
    if (chance(g, 90))
        c->gpr[R_ECX] = (chance(g, 90) ? 0 : rnd(g) & 0xffff0000) | below(g, chance(g, 80) ? 20 : 3000);
    if (chance(g, 90))
        c->gpr[R_ESI] = pick_address(g);
    if (chance(g, 90))
        c->gpr[R_EDI] = pick_address(g);
}

static u16 random_fcw(struct generator *g)
{
    u16 fcw = 0x40 | (rnd(g) & 0xf00);

    return fcw | (chance(g, 75) ? 0x3f : rnd(g) & 0x3f);
}

static void put_extended(struct generator *g, u8 *p)
{
    static const u16 exponents[] = { 0, 1, 0x7ffe, 0x7fff, 0x3fff, 0x3ffe, 0x4000, 0x3fff - 63, 0x403e, 0x401e, 0x400e };
    static const u64 mantissas[] = { 0, 1ull << 63, ~0ull, 3ull << 62, 1, 1ull << 62, (1ull << 63) + 1,
                                     0xfffffffffffff800, 0x8000000000000400, 0xffffff0000000000, 0xffffff8000000000 };
    u64 mantissa = chance(g, 50) ? rnd(g) | (chance(g, 90) ? 1ull << 63 : 0) : mantissas[below(g, ARRAY_LEN(mantissas))];
    u16 exponent = chance(g, 40) ? exponents[below(g, ARRAY_LEN(exponents))] : 0x3fff - 40 + below(g, 80);

    exponent |= chance(g, 50) ? 0x8000 : 0;
    memcpy(p, &mantissa, 8);
    memcpy(p + 8, &exponent, 2);
}

static u32 pick_single(struct generator *g)
{
    static const u32 special[] = { 0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001,
                                   0xffffffff, 1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x4effffff };

    return chance(g, 50) ? special[below(g, ARRAY_LEN(special))]
                         : chance(g, 50) ? rnd(g) : (rnd(g) & 0x807fffff) | (110 + below(g, 40)) << 23;
}

static u64 pick_double(struct generator *g)
{
    static const u64 special[] = { 0, 1ull << 63, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000,
                                   0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 1, 0x000fffffffffffff,
                                   0x0010000000000000, 0x7fefffffffffffff, 0x41dfffffffc00000, 0xc1e0000000000000,
                                   0x43e0000000000000, 0x3810000000000000 };

    return chance(g, 50) ? special[below(g, ARRAY_LEN(special))]
                         : (rnd(g) & 0x800fffffffffffff) | (u64)(980 + below(g, 90)) << 52;
}

static void fill_fpu(struct generator *g, struct oracle_case *c)
{
    u16 fcw = 0x37f, fsw = 0;
    u8 ftw = 0;
    u32 mxcsr = 0x1f80;

    memset(c->fx, 0, sizeof(c->fx));
    if (c->fpu) {
        fcw = random_fcw(g);
        fsw = (rnd(g) & 0x7f00) | (chance(g, 20) ? rnd(g) & 0x3f & fcw : 0) | (chance(g, 10) ? 0x40 : 0);
        if (chance(g, 2))
            fsw |= rnd(g) & 0x3f; // an exception is pending
        if (fsw & ~fcw & 0x3f)
            fsw |= 0x8080;
        ftw = chance(g, 60) ? 0xff : rnd(g);
        mxcsr = (rnd(g) & 0xe040) | (chance(g, 80) ? 0x1f80 : rnd(g) & 0x1f80) | (chance(g, 20) ? rnd(g) & 0x3f : 0);
        if (chance(g, 60))
            mxcsr &= ~0x8040u;
        for (int i = 0; i < 8; i++) {
            put_extended(g, c->fx + 32 + 16 * i);
            for (int k = 0; k < 16; k += 8) {
                u64 x = pick_single(g) | (u64)pick_single(g) << 32;

                if (chance(g, 50))
                    x = pick_double(g);
                memcpy(c->fx + 160 + 16 * i + k, &x, 8);
            }
        }
    }
    memcpy(c->fx, &fcw, 2);
    memcpy(c->fx + 2, &fsw, 2);
    c->fx[4] = ftw;
    memcpy(c->fx + 24, &mxcsr, 4);
}

static enum kind pick_kind(struct generator *g)
{
    enum kind kind;

    do
        kind = below(g, KIND_COUNT);
    while (!(g->kinds & BIT(kind)));
    return kind;
}

static void start_case(struct generator *g, u64 seed, struct oracle_case *c)
{
    memset(c, 0, sizeof(*c));
    g->random = seed;
    g->fixed = g->patches = 0;
    c->id = seed;
    c->mem_seed = g->mem_seed;
}

void generate(struct generator *g, u64 seed, struct oracle_case *c)
{
    enum kind kind;
    u32 counter = 0, loop = 0;
    unsigned want;
    bool looping;

    start_case(g, seed, c);
    kind = pick_kind(g);
    fill_state(g, c);
    if (kind == KIND_STRING)
        tame_strings(g, c);
    if (kind == KIND_SEGMENT)
        fill_segments(g, c);
    c->fpu = kind == KIND_X87 || kind == KIND_SIMD || kind == KIND_FORM || chance(g, 5);
    fill_fpu(g, c);
    looping = kind == KIND_LOOP || (kind == KIND_SMC && chance(g, 60));
    if (looping) {
        open_loop(g, c, &counter);
        loop = c->code_len;
    }
    for (want = 1 + below(g, chance(g, 30) ? 14 : 6); want && room(c); want--) {
        struct insn insn;
        u8 bytes[40];

        if (kind == KIND_SMC && chance(g, 70)) {
            add_patch(g, c, looping);
            continue;
        }
        if (kind == KIND_SEGMENT && chance(g, 25)) {
            add_selector(g, c);
            continue;
        }
        if ((kind == KIND_SEGMENT ? g->has_ldt : kind == KIND_FLOW) && case_code32(c) && chance(g, 8)) {
            add_far(g, c);
            continue;
        }
        if ((kind == KIND_FLOW || kind == KIND_LOOP) && chance(g, 15)) {
            add_indirect(g, c);
            continue;
        }
        if (!try_insn(g, kind, c, bytes, &insn)) {
            want++;
            continue;
        }
        append(c, bytes, insn.len);
    }
    if (looping)
        close_loop(g, c, counter, loop);
    patch_code(g, c);
    aim_branches(g, c);
}

bool generate_every(struct generator *g, u64 seed, u32 n, struct oracle_case *c)
{
    static const u8 prefix[] = { 0, 0, 0x66, 0xf3, 0xf2, 0xf0, 0x67 };
    unsigned op = n / 72, operands = n % 72, len = 0;
    struct insn insn;
    u8 bytes[40];

    start_case(g, seed, c);
    fill_state(g, c);
    if (g->has_ldt && chance(g, 25)) {
        c->seg[S_CS] = LDT_SEL(LDT_ENTRY_CODE16);
        c->eip = 0x100 + below(g, 0x1e00);
    }
    c->fpu = true;
    fill_fpu(g, c);
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = rnd(g);
    for (int k = 0; k < 2; k++)
        if ((bytes[len] = prefix[below(g, ARRAY_LEN(prefix))]))
            len++;
    len += put_opcode(op, bytes + len);
    bytes[len] = operands < 64 ? 0xc0 | operands : 0x83 | (operands - 64) << 3;
    if (insn_decode(&insn, bytes, sizeof(bytes), case_code32(c)) != INSN_OK)
        return false;
    aim(g, c, &insn, bytes);
    if (insn_decode(&insn, bytes, sizeof(bytes), case_code32(c)) != INSN_OK || !insn_allowed(bytes, &insn))
        return false;
    append(c, bytes, insn.len);
    return true;
}
