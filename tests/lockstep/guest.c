// SPDX-License-Identifier: GPL-2.0-or-later
// Random guests: a mode to start in, tables, and code.
#include "fuzz.h"

#include "monitor/cpu/fpu.h"

#include <string.h>

// GDT entries.
enum {
    CODE32 = 1, DATA32, CODE16, DATA16, CODE32_USER, DATA32_USER, CODE32_BASED, DATA32_BASED, CODE16_USER, DATA16_USER,
    DATA_DOWN, SEL_TSS, SEL_LDT, CALL_GATE, TASK_GATE, SEL_TSS2, CODE_CONFORMING, CODE_ONLY, DATA_ONLY, STACK16, STACK16_USER,
    CODE32_BASED_USER, DATA32_BASED_USER, GDT_RANDOM, GDT_COUNT = 32,
};

static void put32(struct guest *g, u32 at, u32 x)
{
    memcpy(g->mem + at, &x, 4);
}

static void put64(struct guest *g, u32 at, u64 x)
{
    memcpy(g->mem + at, &x, 8);
}

// access is byte 5, flags the high nibble of byte 6.
static void descriptor(struct guest *g, unsigned n, u32 base, u32 limit, u8 access, u8 flags)
{
    if (flags & 8)
        limit >>= 12;
    put64(g, AT_GDT + 8 * n, (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 |
                                 (u64)(limit >> 16 & 15) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56);
}

static u64 gate(u16 sel, u32 offset, u8 access)
{
    return (offset & 0xffff) | (u32)sel << 16 | (u64)access << 40 | (u64)(offset >> 16) << 48;
}

static void make_gdt(struct guest *g, struct rng *r)
{
    u32 base = rng_below(r, 0x100) << rng_below(r, 5), limit = 0xffff + rng_below(r, 0x30000);

    descriptor(g, CODE32, 0, ~0u, 0x9b, 0xc);
    descriptor(g, DATA32, 0, ~0u, 0x93, 0xc);
    descriptor(g, CODE16, AT_CODE, 0xffff, 0x9b, 0);
    descriptor(g, DATA16, AT_DATA, 0xffff, 0x93, 0);
    descriptor(g, CODE32_USER, 0, ~0u, 0xfb, 0xc);
    descriptor(g, DATA32_USER, 0, ~0u, 0xf3, 0xc);
    descriptor(g, CODE32_BASED, base, limit, 0x9b, 4);
    descriptor(g, DATA32_BASED, base, rng_one_in(r, 2) ? ~0u : limit, 0x93, rng_one_in(r, 2) ? 0xc : 4);
    descriptor(g, CODE16_USER, AT_CODE, 0xffff, 0xfb, 0);
    descriptor(g, DATA16_USER, AT_DATA, 0xffff, 0xf3, 0);
    descriptor(g, DATA_DOWN, 0, rng_below(r, 0x20000), 0xf7, rng_one_in(r, 2) ? 4 : 0);
    descriptor(g, SEL_TSS, AT_TSS, 0x1ff, 0x8b, 0);
    descriptor(g, SEL_LDT, AT_LDT, 0xff, 0x82, 0);
    put64(g, AT_GDT + 8 * CALL_GATE, gate(CODE32 * 8, AT_CODE + rng_below(r, 0xf000), 0xec) | (u64)rng_below(r, 4) << 32);
    put64(g, AT_GDT + 8 * TASK_GATE, gate(SEL_TSS2 * 8, 0, 0xe5));
    descriptor(g, SEL_TSS2, AT_TSS2, 0x1ff, 0x89, 0);
    descriptor(g, CODE_CONFORMING, 0, ~0u, 0x9f, 0xc);
    descriptor(g, CODE_ONLY, 0, ~0u, 0xf8, 0xc);
    descriptor(g, DATA_ONLY, 0, ~0u, 0xf0, 0xc);
    descriptor(g, STACK16, AT_STACK, 0xffff, 0x93, 0);
    descriptor(g, STACK16_USER, AT_STACK, 0xffff, 0xf3, 0);
    descriptor(g, CODE32_BASED_USER, base, limit, 0xfb, 4);
    descriptor(g, DATA32_BASED_USER, base, limit, 0xf3, 4);
    for (unsigned i = GDT_RANDOM; i < GDT_COUNT; i++)
        put64(g, AT_GDT + 8 * i, rng_next(r) & (rng_one_in(r, 2) ? ~0ull : 0x00cfff00ffffffffull));
    for (unsigned i = 0; i < 32; i++)
        memcpy(g->mem + AT_LDT + 8 * i, g->mem + AT_GDT + 8 * rng_below(r, GDT_COUNT), 8);
}

static struct seg segment(const struct guest *g, unsigned n, unsigned rpl)
{
    u64 d;
    u32 limit;

    memcpy(&d, g->mem + AT_GDT + 8 * n, 8);
    limit = (d & 0xffff) | (d >> 32 & 0xf0000);
    if (d >> 55 & 1)
        limit = limit << 12 | 0xfff;
    return (struct seg){ n * 8 | rpl, (d >> 40 & 0xff) | (d >> 40 & 0xf000), (d >> 16 & 0xffffff) | (d >> 56) << 24, limit };
}

// A handler that skips a byte or some of what failed, so that random code goes on.
static void handler(struct guest *g, struct rng *r, u32 at, unsigned vector, bool code32, bool errors)
{
    u8 *p = g->mem + at;
    bool error = errors && vector < 32 && X_HAS_ERROR & BIT(vector);
    unsigned skip = vector < 32 && vector != 1 ? 1 + rng_below(r, 3) : 0;

    if (g->ends && rng_one_in(r, 5)) {
        memcpy(p, "\xfa\xf4\xeb\xfc", 4); // CLI, HLT, again
        return;
    }
    if (rng_one_in(r, 12)) { // some of everything first
        code_make(g, r, at, 12, code32);
        p += 12;
    }
    if (code32 && error)
        memcpy(p, "\x83\xc4\x04", 3), p += 3;
    else if (error)
        memcpy(p, "\x83\xc4\x02", 3), p += 3;
    if (code32 && skip)
        memcpy(p, (const u8[]){ 0x83, 0x04, 0x24, skip }, 4), p += 4;
    else if (skip) // push bp; mov bp, sp; add word [bp+2], skip; pop bp
        memcpy(p, (const u8[]){ 0x55, 0x89, 0xe5, 0x83, 0x46, 2, skip, 0x5d }, 8), p += 8;
    *p = 0xcf;
}

static void make_idt(struct guest *g, struct rng *r)
{
    unsigned kind = rng_below(r, 4); // mostly 32-bit gates

    for (unsigned i = 0; i < 64; i++) {
        bool wide = kind ? true : rng_one_in(r, 2);
        u8 access = (wide ? 0x8e : 0x86) | rng_below(r, 2) | (rng_one_in(r, 3) ? 0x60 : 0);

        handler(g, r, AT_HANDLERS16 + 32 * i, i, false, !wide);
        handler(g, r, AT_HANDLERS32 + 32 * i, i, true, true);
        put32(g, AT_IVT + 4 * i, AT_HANDLERS16 + 32 * i);
        // 16-bit gates lead to 32-bit segments too: then the handler finds a frame it does not expect.
        put64(g, AT_IDT + 8 * i, i == X_DF && rng_one_in(r, 2) ? gate(TASK_GATE * 8, 0, 0x85)
                                 : wide ? gate((rng_one_in(r, 20) ? CODE_CONFORMING : CODE32) * 8, AT_HANDLERS32 + 32 * i, access)
                                        : gate(CODE32 * 8, AT_HANDLERS32 + 32 * i, access));
    }
}

static void make_tss(struct guest *g, struct rng *r, u32 at)
{
    u32 user = rng_one_in(r, 2) ? 3 : 0;

    put32(g, at + 4, AT_STACK + 0x8000), put32(g, at + 8, DATA32 * 8);
    put32(g, at + 28, AT_PAGING);
    put32(g, at + 32, AT_CODE + rng_below(r, 0xf000)), put32(g, at + 36, 2 | rng_below(r, 2) << 9);
    for (unsigned i = 0; i < 8; i++)
        put32(g, at + 40 + 4 * i, i == R_ESP ? AT_STACK + 0xc000 : AT_DATA + rng_below(r, 0x10000));
    for (unsigned i = 0; i < 6; i++)
        put32(g, at + 72 + 4 * i, (i == S_CS ? user ? CODE32_USER : CODE32 : user ? DATA32_USER : DATA32) * 8 | user);
    put32(g, at + 96, SEL_LDT * 8);
    put32(g, at + 100, 0x68 << 16 | rng_one_in(r, 8)); // the I/O bitmap, and T
    for (unsigned i = 0; i < 64; i++)
        g->mem[at + 0x68 + i] = rng_one_in(r, 3) ? rng_next(r) : 0;
}

static u64 page_bits(struct rng *r)
{
    u64 bits = PTE_P | PTE_W | PTE_U;

    if (rng_one_in(r, 8))
        bits ^= 1u << rng_below(r, 3);
    if (rng_one_in(r, 8))
        bits |= 1u << (5 + rng_below(r, 4));
    return bits;
}

// The first MiB one to one, mostly; some pages elsewhere, and mirrored at 4 MiB.
static void put_entry(struct guest *g, u32 at, u64 entry, unsigned size)
{
    memcpy(g->paging + (at - AT_PAGING), &entry, size);
}

// The first MiB one to one, mostly; some pages elsewhere, and mirrored at 1 MiB.
static void make_paging(struct guest *g, struct rng *r, bool pae)
{
    u32 table = AT_PAGING + 0x3000, dir = pae ? AT_PAGING + 0x1000 : AT_PAGING;
    unsigned size = pae ? 8 : 4, span = pae ? 512 : 1024;
    u64 high = pae && rng_one_in(r, 3) ? 1ull << 63 : 0;

    for (unsigned i = 0; i < 4 && pae; i++)
        put_entry(g, AT_PAGING + 8 * i, dir | PTE_P, 8);
    for (unsigned i = 0; i < 4; i++) {
        u64 large = 0x400000 + rng_below(r, 2) * 0x400000ull;

        put_entry(g, dir + size * i, table | PTE_P | PTE_W | (rng_one_in(r, 12) ? 0 : PTE_U), size);
        put_entry(g, dir + size * (i + 4), large | page_bits(r) | PTE_PS, size);
        put_entry(g, dir + size * (span - 1), large | page_bits(r) | PTE_PS, size);
    }
    for (unsigned i = 0; i < 512; i++) {
        u32 to = (i & 255) << 12;
        u64 entry = page_bits(r);

        if (to >= AT_PAGING && to < AT_PAGING + PAGING_LEN)
            continue;
        if (to >= AT_CODE && to < AT_END && rng_one_in(r, 20))
            to = AT_CODE + (rng_below(r, (AT_END - AT_CODE) >> 12) << 12); // an alias
        if (to < AT_CODE) // the tables: reachable, or the guest ends at once
            entry = PTE_P | PTE_W | (rng_one_in(r, 2) ? PTE_U : 0);
        else if (high && rng_one_in(r, 6))
            entry |= high;
        put_entry(g, table + size * i, entry | to, size);
    }
}

static void make_cpu(struct guest *g, struct rng *r)
{
    static const char *const names[] = { "real", "16-bit", "flat", "flat user", "based", "based user", "16-bit user", "V86" };
    unsigned mode = rng_below(r, ARRAY_LEN(names)), cs, ds, ss;
    struct vcpu *v = &g->start;
    bool user = mode == 3 || mode >= 5, paging = mode && rng_one_in(r, 2), pae = rng_one_in(r, 2);

    g->mode = names[mode];
    for (unsigned i = 0; i < 8; i++)
        v->gpr[i] = rng_one_in(r, 4) ? rng_next(r) : rng_below(r, 0xfff0);
    v->eflags = FL_FIXED1 | (rng_next(r) & (FL_ARITH | FL_DF | FL_IF | FL_AC | (rng_one_in(r, 6) ? FL_IOPL : 0)));
    if (rng_one_in(r, 16))
        v->eflags |= FL_TF;
    v->eip = rng_below(r, 0xf000);
    v->gpr[R_ESP] = 0x8000 + rng_below(r, 0x7000);
    v->gdtr = (struct dtable){ AT_GDT, 8 * GDT_COUNT - 1 };
    v->idtr = (struct dtable){ mode ? AT_IDT : AT_IVT, mode ? 8 * 64 - 1 : 0x3ff };
    v->cr0 = CR0_ET | (mode ? CR0_PE : 0) | (rng_next(r) & (CR0_MP | CR0_NE | CR0_WP | CR0_AM)) |
             (rng_one_in(r, 8) ? CR0_TS : 0) | (rng_one_in(r, 16) ? CR0_EM : 0);
    v->cr4 = rng_next(r) & (CR4_VME | CR4_PVI | CR4_DE | CR4_PSE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT);
    if (rng_one_in(r, 8))
        v->cr4 |= CR4_TSD;
    v->tr = segment(g, SEL_TSS, 0);
    v->ldtr = segment(g, SEL_LDT, 0);
    v->cpl = user ? 3 : 0;
    make_paging(g, r, pae);
    v->cr3 = AT_PAGING;
    v->cr4 |= pae ? CR4_PAE : 0;
    v->efer = pae && rng_one_in(r, 2) ? EFER_NXE : 0;
    if (paging) {
        v->cr0 |= CR0_PG;
        for (unsigned i = 0; i < 4 && pae; i++)
            memcpy(&v->pdpte[i], g->paging + 8 * i, 8);
    }
    switch (mode) {
    case 0: case 7:
        for (unsigned i = 0; i < S_COUNT; i++) {
            u32 base = i == S_CS ? AT_CODE : i == S_SS ? AT_STACK : AT_DATA;

            v->seg[i] = (struct seg){ base >> 4, SEG_P | SEG_S | SEG_W | SEG_A | (mode ? 3 << SEG_DPL_SHIFT : 0), base, 0xffff };
        }
        v->eflags = mode ? v->eflags | FL_VM : v->eflags;
        return;
    case 1: cs = CODE16, ds = DATA16, ss = STACK16; break;
    case 2: cs = CODE32, ds = DATA32, ss = DATA32; break;
    case 3: cs = CODE32_USER, ds = DATA32_USER, ss = DATA32_USER; break;
    case 4: cs = CODE32_BASED, ds = DATA32_BASED, ss = rng_one_in(r, 2) ? DATA32 : DATA32_BASED; break;
    case 5: cs = CODE32_BASED_USER, ds = DATA32_BASED_USER, ss = rng_one_in(r, 2) ? DATA32_USER : DATA32_BASED_USER; break;
    default: cs = CODE16_USER, ds = DATA16_USER, ss = STACK16_USER; break;
    }
    for (unsigned i = 0; i < S_COUNT; i++)
        v->seg[i] = segment(g, i == S_CS ? cs : i == S_SS ? ss : rng_one_in(r, 10) ? DATA32_USER : ds, user ? 3 : 0);
    if (mode >= 2 && mode <= 5) {
        v->eip += AT_CODE - v->seg[S_CS].base;
        v->gpr[R_ESP] += AT_STACK - v->seg[S_SS].base;
        for (unsigned i = 0; i < 8; i++)
            if (i != R_ESP && i != R_ECX && v->gpr[i] < 0x10000)
                v->gpr[i] += AT_DATA;
    }
}

static bool starts_wide(const struct guest *g)
{
    return g->start.seg[S_CS].attr & SEG_DB;
}

void guest_move(struct guest *g, struct rng *r)
{
    struct vcpu *v = &g->start;
    bool based = v->seg[S_CS].base == AT_CODE;

    for (unsigned i = 0; i < 8; i++)
        if (i != R_ESP)
            v->gpr[i] = rng_one_in(r, 4) ? rng_next(r) : based ? rng_below(r, 0xfff0) : AT_DATA + rng_below(r, 0x1fff0);
    v->eip = (based ? 0 : AT_CODE - v->seg[S_CS].base) + rng_below(r, 0xff00);
    v->gpr[R_ESP] = (v->seg[S_SS].base == AT_STACK ? 0 : AT_STACK - v->seg[S_SS].base) + 0x8000 + rng_below(r, 0x7000);
}

void guest_make(struct guest *g, u64 number)
{
    struct rng rng = { number * 0x2545f4914f6cdd1dull }, *r = &rng;
    static u8 fx[512];

    memset(g, 0, sizeof(*g));
    g->number = number;
    g->ends = rng_one_in(r, 3);
    for (u32 i = AT_DATA; i < AT_END; i += 8)
        put64(g, i, rng_one_in(r, 4) ? rng_next(r) : rng_below(r, 0x100));
    make_gdt(g, r);
    make_tss(g, r, AT_TSS);
    make_tss(g, r, AT_TSS2);
    make_cpu(g, r);
    make_idt(g, r);
    // Pages of their own now and then, so that short loops are met often.
    for (u32 at = AT_CODE; at < AT_DATA; at += PAGE_SIZE)
        code_make(g, r, at, PAGE_SIZE, rng_one_in(r, 12) ? !starts_wide(g) : starts_wide(g));
    fpu_init(fx);
    memcpy(g->start.fx, fx, sizeof(fx));
    fx_put32(g->start.fx, FX_MXCSR, rng_one_in(r, 4) ? rng_next(r) & 0xffbf : 0x1f80);
    g->start.fx[0] = rng_one_in(r, 4) ? (rng_next(r) & 0x3f) | 0x40 : 0x7f;
    for (unsigned i = 0; i < 8; i++)
        for (unsigned j = 0; j < 16; j++)
            g->start.fx[FX_XMM + 16 * i + j] = rng_next(r);
    fpu_normalise(g->start.fx);
}
