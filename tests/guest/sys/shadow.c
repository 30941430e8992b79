// SPDX-License-Identifier: GPL-2.0-or-later
// No interrupt is taken between STI and the instruction behind it, whatever that is and whatever it takes to do it: loops
// under a fast timer, whose handler looks where it came.
#include "tests/guest/lib/kernel.h"

#define INTERRUPTS 400

static volatile u32 count, bad;
static u32 forbidden;

static void timer(struct trap *t)
{
    count++;
    // Behind the first iteration of a repeated instruction the shadow is over: ECX tells.
    if (t->eip == forbidden && t->ecx == 3)
        bad++;
    outb(0x20, 0x20);
}

static void start_timer(u32 hertz)
{
    u32 divisor = 1193182 / hertz;

    handle(0x20, timer);
    outb(0x20, 0x11), outb(0x21, 0x20), outb(0x21, 4), outb(0x21, 1), outb(0x21, 0xfe);
    outb(0xa0, 0x11), outb(0xa1, 0x28), outb(0xa1, 2), outb(0xa1, 1), outb(0xa1, 0xff);
    outb(0x43, 0x34), outb(0x40, divisor & 0xff), outb(0x40, (u8)(divisor >> 8));
}

// A function that executes `before`, STI, `insn` and CLI with ECX = 3 over and over, until the timer has come often enough.
#define SHADED(name, before, insn)                                                           \
    static __attribute__((noinline, noclone)) void name(void)                                \
    {                                                                                        \
        __asm__ volatile("movl $" #name "_shaded, %0; movl $0, %1; movl $0, %2\n"            \
                         "1: cld; movl %4, %%esi; leal 4096(%%esi), %%edi; movl $3, %%ecx\n" \
                         before "\n"                                                         \
                         "sti\n" #name "_shaded: " insn "\n"                                 \
                         "cli; cmpl %3, %2; jb 1b"                                           \
                         : "=m"(forbidden), "=m"(bad), "+m"(count)                           \
                         : "i"(INTERRUPTS), "i"(arena)                                       \
                         : "eax", "ecx", "esi", "edi", "memory", "cc");                      \
        check(#name, bad, 0);                                                                \
    }

SHADED(rep_movsb, "", "rep movsb")
SHADED(rep_stosl, "", "rep stosl")
SHADED(repne_scasb, "", "repne scasb")
SHADED(rep_first_touch, "invlpg (%%edi)", "rep movsb")
SHADED(load_first_touch, "invlpg (%%esi)", "movl (%%esi), %%eax")
SHADED(store_first_touch, "invlpg (%%edi)", "movl %%eax, (%%edi)")
SHADED(push_pop, "", "pushl (%%esi); popl %%eax")
SHADED(port, "", "inb $0x61, %%al")
SHADED(emulated, "", "smsw %%ax")

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    paging_on();
    for (u32 i = 0; i < 4096; i++)
        page_table[i] &= ~PTE_U; // ours alone: direct accesses, not checked ones
    write_cr3(read_cr3());
    start_timer(8000);
    rep_movsb();
    rep_stosl();
    repne_scasb();
    rep_first_touch();
    load_first_touch();
    store_first_touch();
    push_pop();
    port();
    emulated();
    outb(0x21, 0xff);
    finish();
}
