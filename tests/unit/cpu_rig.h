// SPDX-License-Identifier: GPL-2.0-or-later
// A bare machine for the tests of the CPU's system side: 4 MiB, a GDT, an IDT whose handlers
// record their vector and halt, one TSS. Snippets are written in assembly beside the test and
// run by interp_run until HLT.
//
//   0500  vector taken last    1000  GDT     1800  IDT    2000  TSS (32-bit)    3000  more TSSs
//   4000  the handlers        10000  code   20000  data  30000  ring 0 stack   38000  ring 3's
#ifndef RING3_TESTS_CPU_RIG_H
#define RING3_TESTS_CPU_RIG_H

#include "monitor/cpu/cpu.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RIG_VECTOR = 0x500, RIG_GDT = 0x1000, RIG_IDT = 0x1800, RIG_TSS = 0x2000, RIG_TSS2 = 0x3000,
    RIG_HANDLERS = 0x4000, RIG_CODE = 0x10000, RIG_DATA = 0x20000, RIG_STACK0 = 0x30000,
    RIG_STACK3 = 0x38000,
};

#define RIG_HANDLER(n) (RIG_HANDLERS + 16 * (n))

// Selectors: flat code and data of rings 0 and 3, then what tests put there.
enum {
    SEL_CODE0 = 0x08, SEL_DATA0 = 0x10, SEL_CODE3 = 0x1b, SEL_DATA3 = 0x23, SEL_TSS = 0x28,
    SEL_A = 0x30, SEL_B = 0x38, SEL_C = 0x40, SEL_D = 0x48,
};

// Descriptor attributes as in struct seg.
enum {
    AT_CODE0 = 0xc09b, AT_DATA0 = 0xc093, AT_CODE3 = 0xc0fb, AT_DATA3 = 0xc0f3,
    AT_INT32 = 0x8e, AT_TRAP32 = 0x8f, AT_INT32_DPL3 = 0xee,
};

struct rig {
    struct vcpu *v;
    struct phys phys;
    struct mmu mmu;
    struct bus bus;
    struct log log;
    FILE *quiet;
    int vector; // what rig_ack gives
};

// The machine code between the labels of a snippet.
struct snippet {
    const u8 *start, *end;
};
#define SNIPPET_BITS(bits, name, text)                                                       \
    extern const u8 name##_start[], name##_end[];                                            \
    asm(".pushsection .rodata\n.code" #bits "\n" #name "_start:\n" text "\n" #name "_end:\n" \
        ".code64\n.popsection");                                                             \
    static const struct snippet name = { name##_start, name##_end }
#define SNIPPET(name, text) SNIPPET_BITS(32, name, text)
#define SNIPPET16(name, text) SNIPPET_BITS(16, name, text)

static inline u32 peek(struct rig *r, u32 gpa)
{
    return phys_read32(&r->phys, gpa);
}

static inline void poke(struct rig *r, u32 gpa, u32 value)
{
    phys_write32(&r->phys, gpa, value);
}

static inline void rig_desc(struct rig *r, unsigned sel, u32 base, u32 limit, u32 attr)
{
    u32 at = RIG_GDT + (sel & ~7u);

    if (attr & SEG_G)
        limit >>= 12;
    poke(r, at, (limit & 0xffff) | base << 16);
    poke(r, at + 4, (base >> 16 & 0xff) | (attr & 0xff) << 8 | (limit & 0xf0000) |
                        (attr & 0xf000) << 8 | (base & 0xff000000));
}

// A gate at `at` in the GDT or IDT.
static inline void rig_gate(struct rig *r, u32 at, u16 sel, u32 offset, u32 attr, unsigned count)
{
    poke(r, at, (u32)sel << 16 | (offset & 0xffff));
    poke(r, at + 4, (offset & 0xffff0000) | attr << 8 | count);
}

static inline int rig_ack(void *opaque)
{
    struct rig *r = opaque;

    r->v->intr_line = false;
    return r->vector;
}

static inline void rig_init(struct rig *r)
{
    struct err err;
    struct vcpu *v;

    memset(r, 0, sizeof(*r));
    r->quiet = fopen("/dev/null", "w");
    r->log.file = r->quiet;
    bus_init(&r->bus);
    ck_assert(phys_init(&r->phys, 4 << 20, &r->bus, &err));
    v = r->v = aligned_alloc(64, (sizeof(*v) + 63) & ~63ul);
    memset(v, 0, sizeof(*v));
    v->bus = &r->bus;
    v->log = &r->log;
    v->model = cpu_model_find("max");
    v->intr_ack = rig_ack;
    v->pic = r;
    ck_assert(mmu_init(&r->mmu, v, &r->phys, &err));
    cpu_reset(v);
    for (unsigned n = 0; n < 256; n++) {
        // mov byte ss:[vector], n; hlt: whatever DS is, the stack is good
        u8 handler[] = { 0x36, 0xc6, 0x05, RIG_VECTOR & 0xff, RIG_VECTOR >> 8, 0, 0, n, 0xf4 };

        phys_write(&r->phys, RIG_HANDLER(n), handler, sizeof(handler));
        rig_gate(r, RIG_IDT + 8 * n, SEL_CODE0, RIG_HANDLER(n), AT_INT32, 0);
    }
    poke(r, RIG_VECTOR, 0xffffffff);
    rig_desc(r, SEL_CODE0, 0, 0xffffffff, AT_CODE0);
    rig_desc(r, SEL_DATA0, 0, 0xffffffff, AT_DATA0);
    rig_desc(r, SEL_CODE3, 0, 0xffffffff, AT_CODE3);
    rig_desc(r, SEL_DATA3, 0, 0xffffffff, AT_DATA3);
    rig_desc(r, SEL_TSS, RIG_TSS, 0x2068, 0x8b);
    poke(r, RIG_TSS + 4, RIG_STACK0);
    poke(r, RIG_TSS + 8, SEL_DATA0);
    poke(r, RIG_TSS + 0x64, 0x88 << 16); // room for the redirection map before the I/O map
    v->gdtr = (struct dtable){ RIG_GDT, 0x7ff };
    v->idtr = (struct dtable){ RIG_IDT, 0x7ff };
}

static inline void rig_free(struct rig *r)
{
    interp_release(r->v);
    mmu_destroy(&r->mmu);
    phys_destroy(&r->phys);
    bus_destroy(&r->bus);
    free(r->v);
    fclose(r->quiet);
}

static inline void rig_load(struct rig *r, u32 gpa, struct snippet s)
{
    phys_write(&r->phys, gpa, s.start, s.end - s.start);
}

// Flat protected mode in ring 0 or 3, at the code; TR loaded.
static inline void rig_protected(struct rig *r, unsigned cpl)
{
    struct vcpu *v = r->v;
    u16 rpl = cpl == 3 ? 0x60 : 0;

    v->cr0 |= CR0_PE;
    for (unsigned i = 0; i < S_COUNT; i++)
        v->seg[i] = (struct seg){ cpl ? SEL_DATA3 : SEL_DATA0, AT_DATA0 | rpl, 0, 0xffffffff };
    v->seg[S_CS] = (struct seg){ cpl ? SEL_CODE3 : SEL_CODE0, AT_CODE0 | rpl, 0, 0xffffffff };
    v->tr = (struct seg){ SEL_TSS, 0x8b, RIG_TSS, 0x2068 };
    v->gpr[R_ESP] = cpl ? RIG_STACK3 : RIG_STACK0;
    v->eip = RIG_CODE;
    cpu_set_cpl(v, cpl);
}

// Virtual-8086 mode at 1000:0 (RIG_CODE), stack 3000:8000, as IRET would enter it.
static inline void rig_v86(struct rig *r, unsigned iopl)
{
    struct vcpu *v = r->v;

    rig_protected(r, 3);
    v->eflags |= FL_VM | iopl << 12;
    for (unsigned i = 0; i < S_COUNT; i++)
        seg_load_real(v, i, i == S_CS ? RIG_CODE >> 4 : i == S_SS ? 0x3000 : RIG_DATA >> 4);
    v->gpr[R_ESP] = 0x8000;
    v->eip = 0;
}

// Runs until HLT; at most a few thousand instructions.
static inline enum cpu_exit rig_run(struct rig *r)
{
    return interp_run(r->v, 10000);
}

static inline void rig_go(struct rig *r, struct snippet s)
{
    rig_load(r, RIG_CODE, s);
    ck_assert_int_eq(rig_run(r), CPU_HALTED);
}

// A dword of the frame that the handler met.
static inline u32 rig_frame(struct rig *r, unsigned i)
{
    return peek(r, r->v->seg[S_SS].base + r->v->gpr[R_ESP] + 4 * i);
}

#define ck_vector(r, n) ck_assert_int_eq((i8)peek(r, RIG_VECTOR), n)

#endif
