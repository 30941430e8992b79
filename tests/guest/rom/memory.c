// SPDX-License-Identifier: GPL-2.0-or-later
// Stages 16 to 18: paging, virtual-8086 mode, the debug registers.
#include "rom.h"
#include "tests/guest/lib/modes.h"

static volatile u32 sink;

static void read_at(void *p)
{
    sink = *(volatile u32 *)p;
}
static void write_at(void *p)
{
    *(volatile u32 *)p = 0xc3c3c3c3;
}
static void call_at(void *p)
{
    ((void (*)(void))p)();
}

static u32 *pte(const void *p)
{
    return &page_table[(u32)p >> 12];
}
static void set(const void *p, u32 entry)
{
    *pte(p) = entry;
    invlpg((u32)p);
}

static void paging(void)
{
    u8 *a = arena[0], *b = arena[1];

    stage(0x16, "paging");
    *(u32 *)a = 0xa;
    *(u32 *)b = 0xb;
    paging_on();
    read_at(a);
    MUST((peek(pte(a)) & 0x60) == PTE_A);
    write_at(a);
    MUST((peek(pte(a)) & 0x60) == (PTE_A | PTE_D));
    MUST(peek(page_directory) & PTE_A);
    set(a, (u32)b | 7); // a's address, b's page
    read_at(a);
    MUST(sink == 0xb);
    set(a, 0);
    FAULTS(read_at, a, 14);
    MUST(last_cr2 == (u32)a && last.error == 0);
    FAULTS(write_at, a + 8, 14);
    MUST(last_cr2 == (u32)a + 8 && last.error == 2);
    FAULTS(call_at, a, 14);
    MUST(last.eip == (u32)a && last.error == 0);
    USER_FAULTS(read_at, a, 14);
    MUST(last.error == 4);
    set(a, (u32)a | PTE_P | PTE_W); // the kernel's
    FAULTS(read_at, a, NO_FAULT);
    USER_FAULTS(read_at, a, 14);
    MUST(last.error == 5);
    USER_FAULTS(write_at, a, 14);
    MUST(last.error == 7);
    set(a, (u32)a | PTE_P | PTE_U); // read-only
    USER_FAULTS(read_at, a, NO_FAULT);
    USER_FAULTS(write_at, a, 14);
    write_cr0(read_cr0() & ~0x10000u); // for the kernel only with WP, which came with the 486
    FAULTS(write_at, a, NO_FAULT);
    write_cr0(read_cr0() | 0x10000);
    FAULTS(write_at, a, 14);
    MUST(last.error == 3);
    set(a, (u32)a | 7);
    set(b, 0);
    FAULTS(read_at, b - 2, 14); // over two pages
    MUST(last_cr2 == (u32)b);
    set(b, (u32)b | 7);
    write_cr0(read_cr0() & 0x7fffffff);
    read_at(b);
    write_cr0(read_cr0() | 0x80000000);
}

// ---- Virtual-8086 mode
V86_CODE(moves, "movw $0x1234, %ax; movw %cs, %bx; movw $0xa00, %dx; movw %dx, %ds;"
                "movw %ax, 0x10; movl $0x12345678, %ecx; int $0x20");
V86_CODE(sensitive, "pushfw; popw %ax; ud2");
V86_CODE(port, "inb $0x21, %al; ud2");
V86_CODE(beyond, "movl $0x10000, %eax; movb (%eax), %al; ud2");

static void v86(void)
{
    stage(0x17, "virtual-8086 mode");
    MUST(RUN_V86(moves, 0x3000) == 13); // INT 20h: the gate's DPL is 0
    MUST(last.error == 0x20 * 8 + 2);
    MUST((last.eax & 0xffff) == 0x1234 && (last.ebx & 0xffff) == 0x900 && last.ecx == 0x12345678);
    MUST(last.eflags & 0x20000 && last.cs == 0x900 && last.v86_ds == 0xa00 && last.ss == 0);
    MUST(*(volatile u16 *)0xa010 == 0x1234);
    MUST(RUN_V86(moves, 0) == 13); // IOPL 0: INT itself is not allowed
    MUST(last.error == 0);
    MUST(RUN_V86(sensitive, 0x3000) == 6);
    MUST(RUN_V86(sensitive, 0) == 13);
    MUST(last.eip == 0);
    MUST(RUN_V86(port, 0x3000) == 13); // ports go by the map whatever the IOPL
    MUST(RUN_V86(beyond, 0x3000) == 13);
}

// ---- Debug registers
static volatile u32 hits, hit_dr6, hit_eip;

static void hit(struct trap *t)
{
    hits++;
    hit_dr6 = read_dr6();
    hit_eip = t->eip;
    write_dr6(0xffff0ff0);
    t->eflags |= 0x10000; // RF
    if (hits > 20)
        t->eflags &= ~0x100u;
}

extern const u8 bp_here[], step_1[], step_3[];

static __attribute__((noinline, noclone)) void with_breakpoint(void)
{
    __asm__ volatile(".globl bp_here; bp_here: nop");
}

static __attribute__((noinline, noclone)) void stepping(void)
{
    __asm__ volatile(".globl step_1, step_3; pushfl; orl $0x100, (%%esp); popfl; nop; step_1: nop;"
                     "pushfl; andl $~0x100, (%%esp); popfl; step_3: nop" : : : "memory", "cc");
}

static void debug(void)
{
    static u32 watched[2];
    u64 kept = idt[1];

    stage(0x18, "debug registers");
    handle(1, hit);
    MUST((read_dr7() & 0xffff) == 0x400);
    write_dr6(0xffff0ff0); // real mode has stepped
    write_dr0((u32)bp_here);
    write_dr7(0x402);
    with_breakpoint();
    MUST(hits == 1 && hit_eip == (u32)bp_here && (hit_dr6 & 15) == 1);
    write_dr1((u32)&watched[1]);
    write_dr7(0x00d00408);
    *(volatile u32 *)&watched[0] = 1;
    sink = *(volatile u32 *)&watched[1];
    MUST(hits == 1);
    *(volatile u8 *)((u32)watched + 6) = 1;
    MUST(hits == 2 && (hit_dr6 & 15) == 2);
    write_dr7(0x00f00408);
    sink = *(volatile u32 *)&watched[1];
    MUST(hits == 3);
    write_dr7(0x400);
    hits = 0;
    stepping();
    MUST(hits == 5 && hit_eip == (u32)step_3 && (hit_dr6 & 0xe00f) == 0x4000);
    idt[1] = kept;
}

void memory_stages(void)
{
    paging();
    v86();
    debug();
}
