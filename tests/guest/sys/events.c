// SPDX-License-Identifier: GPL-2.0-or-later
// Exceptions and interrupts: gates and their flags, faults during delivery, double faults, task gates, IRET in its
// forms, the shadow of STI and MOV SS, single-step, breakpoints, interrupts into running loops (SDM 3A chapter 6, 17).
// Run: tests/guest/run-sys events
#include "tests/guest/lib/kernel.h"

static volatile u32 count, seen, where;

static void raise_int(void *unused)
{
    (void)unused;
    __asm__ volatile("int $0x90");
}
static void raise_ud(void *unused)
{
    (void)unused;
    __asm__ volatile("ud2");
}
static void raise_de(void *unused)
{
    u32 a = 1, d = 0, c = 0;

    (void)unused;
    __asm__ volatile("divl %2" : "+a"(a), "+d"(d) : "r"(c));
}

static void note_flags(struct trap *t)
{
    (void)t;
    seen = read_eflags();
}

// ---- Gates
static void gates(void)
{
    u64 kept = idt[0x90];

    handle(0x90, note_flags);
    __asm__ volatile("sti; int $0x90; cli");
    check("interrupt gate clears IF", seen & 0x200, 0);
    idt[0x90] = (kept & ~(0xffull << 40)) | (u64)0xef << 40;
    __asm__ volatile("sti; int $0x90; cli");
    check("trap gate keeps IF", seen & 0x200, 0x200);
    idt[0x90] = (kept & ~(0xffull << 40)) | (u64)0x8e << 40;
    check("INT n above the gate's DPL", (u32)guarded_user(raise_int, NULL, 0x202), 13);
    check("its error code", last.error, 0x90 * 8 + 2);
    check("EIP is the INT", *(u8 *)last.eip, 0xcd);
    idt[0x90] = kept & ~(0x80ull << 40);
    check("gate not present", (u32)guarded_call(raise_int, NULL), 11);
    check("its error code", last.error, 0x90 * 8 + 2);
    idt[0x90] = gate(0, (u32)trap_stubs, 0x8e);
    check("gate to a null selector", (u32)guarded_call(raise_int, NULL), 13);
    check("its error code", last.error, 0);
    idt[0x90] = gate(KERNEL_DS, (u32)trap_stubs, 0x8e);
    check("gate to a data segment", (u32)guarded_call(raise_int, NULL), 13);
    check("its error code", last.error, KERNEL_DS);
    idt[0x90] = gate(KERNEL_CS, 0, 0x8c);
    check("a call gate in the IDT", (u32)guarded_call(raise_int, NULL), 13);
    check("its error code", last.error, 0x90 * 8 + 2);
    idt[0x90] = kept;
    handle(0x90, NULL);
}

// ---- Faults during delivery
static void nesting(void)
{
    u64 ud = idt[6], de = idt[0], gp = idt[13];

    idt[6] = 0; // #GP in delivering #UD: served as #GP, with EXT
    check("benign, then contributory", (u32)guarded_call(raise_ud, NULL), 13);
    check("its error code", last.error, 6 * 8 + 3);
    check("EIP is the UD2's", *(u16 *)last.eip, 0x0b0f);
    idt[6] = ud;
    idt[0] = 0; // #GP in delivering #DE: both contributory
    check("contributory twice is a double fault", (u32)guarded_call(raise_de, NULL), 8);
    check("its error code", last.error, 0);
    idt[0] = ud & ~(0x80ull << 40);
    check("#NP in delivering #DE", (u32)guarded_call(raise_de, NULL), 8);
    idt[0] = de;
    idt[13] = gp & ~(0x80ull << 40);
    idt[0x90] &= ~(0x80ull << 40); // #NP, whose gate is fine
    check("#NP, not #GP", (u32)guarded_call(raise_int, NULL), 11);
    idt[0x90] |= 0x80ull << 40;
    idt[13] = gp;
}

// ---- IRET
static u32 frame[8];

static void iret_to_frame(void *words)
{
    __asm__ volatile("movl %%esp, %%esi\n"
                     "movl %1, %%ecx\n"
                     "1: testl %%ecx, %%ecx; jz 2f; decl %%ecx; pushl (%0, %%ecx, 4); jmp 1b\n"
                     "2: iret\n"
                     : : "r"(frame), "r"(words) : "ecx", "esi", "memory", "cc");
}

static void try_iret(const char *name, u32 words, int fault, u32 error)
{
    check(name, (u32)guarded_call(iret_to_frame, (void *)words), (u32)fault);
    if (fault != NO_FAULT)
        check("  its error code", last.error, error);
}

static void set_frame(u32 eip, u32 cs, u32 eflags, u32 esp, u32 ss)
{
    frame[0] = eip;
    frame[1] = cs;
    frame[2] = eflags;
    frame[3] = esp;
    frame[4] = ss;
}

static void land(void)
{
    __asm__ volatile("int $0x91");
}

static void landed(struct trap *t)
{
    seen = t->eflags;
    where = t->cs;
    recover(NO_FAULT);
}

static void irets(void)
{
    u32 user_stack = (u32)user_stack_top - 64;

    handle(0x91, landed);
    set_frame((u32)land, USER_CS, 0x202, user_stack, USER_DS);
    try_iret("IRET to CPL 3", 5, NO_FAULT, 0);
    check("its CS", where, USER_CS);
    set_frame((u32)land, USER_CS, 0x3202 | 0xcd5, user_stack, USER_DS);
    try_iret("IRET with IOPL 3 and flags", 5, NO_FAULT, 0);
    check("its EFLAGS", seen & 0x3fd7, (0x3202 | 0xcd5) & 0x3fd7);
    set_frame((u32)land, KERNEL_CS, 2, 0, 0);
    try_iret("IRET to the same CPL", 3, NO_FAULT, 0);
    set_frame((u32)land, 0, 2, 0, 0);
    try_iret("IRET to a null CS", 3, 13, 0);
    set_frame((u32)land, KERNEL_DS, 2, 0, 0);
    try_iret("IRET to a data segment", 3, 13, KERNEL_DS);
    set_frame((u32)land, USER_CS, 0x202, user_stack, 0);
    try_iret("IRET with a null SS", 5, 13, 0);
    set_frame((u32)land, USER_CS, 0x202, user_stack, KERNEL_DS);
    try_iret("IRET with the kernel's SS", 5, 13, KERNEL_DS);
    set_frame((u32)land, USER_CS & ~3, 0x202, user_stack, USER_DS);
    try_iret("IRET with RPL below DPL", 5, 13, USER_CS & ~3u);
    set_frame((u32)land, 0xff8 | 3, 0x202, user_stack, USER_DS);
    try_iret("IRET beyond the GDT", 5, 13, 0xff8);
    gdt[SPARE / 8] = descriptor(0, 0x1000, 0xfb, 4); // limit below every function here
    set_frame((u32)land, SPARE | 3, 0x202, user_stack, USER_DS);
    try_iret("IRET beyond the limit of CS", 5, 13, 0);
    handle(0x91, NULL);
}

// ---- Flags that IRET and POPF may change at CPL 3
static void user_popf(void *unused)
{
    (void)unused;
    __asm__ volatile("pushfl; pushl $0x3ad7; popfl; pushfl; popl %0; popfl" : "=r"(seen));
}
static void user_flags(void)
{
    guarded_user(user_popf, NULL, 0x202);
    check("POPF at CPL 3 keeps IF and IOPL", seen & 0x3200, 0x200);
    guarded_user(user_popf, NULL, 0x3002);
    check("POPF with IOPL 3 changes IF", seen & 0x3200, 0x3200);
}

// ---- CPL 1: I/O privilege is more than the kernel's own
static void cli_lands(void)
{
    __asm__ volatile("cli; int $0x91");
}
static void sti_lands(void)
{
    __asm__ volatile("sti; int $0x91");
}
static void popf_lands(void)
{
    __asm__ volatile("pushl $0x1002; popfl; int $0x91"); // IF and IOPL as they are not
}
static void inner_ring(void)
{
    u32 stack = (u32)user_stack_top - 64;

    gdt[SPARE / 8] = descriptor(0, 0xfffff, 0xbb, 0xc);
    gdt[SPARE / 8 + 1] = descriptor(0, 0xfffff, 0xb3, 0xc);
    handle(0x91, landed);
    set_frame((u32)cli_lands, SPARE | 1, 0x202, stack, (SPARE + 8) | 1);
    try_iret("CLI at CPL 1, IOPL 0", 5, 13, 0);
    set_frame((u32)sti_lands, SPARE | 1, 0x2, stack, (SPARE + 8) | 1);
    try_iret("STI at CPL 1, IOPL 0", 5, 13, 0);
    set_frame((u32)cli_lands, SPARE | 1, 0x1202, stack, (SPARE + 8) | 1);
    try_iret("CLI at CPL 1, IOPL 1", 5, NO_FAULT, 0);
    check("clears IF", seen & 0x3200, 0x1000);
    set_frame((u32)popf_lands, SPARE | 1, 0x202, stack, (SPARE + 8) | 1);
    try_iret("POPF at CPL 1, IOPL 0", 5, NO_FAULT, 0);
    check("keeps IF and IOPL", seen & 0x3200, 0x200);
    set_frame((u32)popf_lands, SPARE | 1, 0x1202, stack, (SPARE + 8) | 1);
    try_iret("POPF at CPL 1, IOPL 1", 5, NO_FAULT, 0);
    check("clears IF", seen & 0x3200, 0x1000);
    handle(0x91, NULL);
}

// ---- Timer interrupts
static void timer(struct trap *t)
{
    count++;
    where = t->eip;
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

static void user_spin(void *unused)
{
    (void)unused;
    for (u32 until = count + 5; count != until;)
        continue;
}

static u32 mixed_sum(bool interrupted)
{
    u32 a = 1, b = 2, c = 3, d = 4, s = 5, n = 3000000;

    if (interrupted)
        __asm__ volatile("sti");
    __asm__ volatile("1: leal (%0, %1), %0; roll $3, %1; xorl %0, %2; subl %2, %3; adcl $7, %4\n"
                     "decl %5; jnz 1b; cli"
                     : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(s), "+m"(n) : : "cc");
    return a ^ b ^ c ^ d ^ s;
}

// Spins with interrupts off until the interrupt controller has the timer's request, however late the host is with it.
static void await_request(void)
{
    outb(0x20, 0x0a); // OCW3: reads give the request register
    while (!(inb(0x20) & 1))
        continue;
}

static void interrupts(void)
{
    u32 flags, before;

    start_timer(1000);
    count = 0;
    // A loop of two instructions that never leaves translated code by itself.
    __asm__ volatile("sti; 1: cmpl $20, %0; jb 1b; cli" : : "m"(count) : "memory");
    check("interrupts reach a tight loop", count >= 20, 1);
    __asm__ volatile("sti; 1: jmp 2f; 2: cmpl $40, %0; jae 3f; jmp 1b; 3: cli" : : "m"(count) : "memory");
    check("and one of jumps", count >= 40, 1);
    check("and user code", (u32)guarded_user(user_spin, NULL, 0x202), (u32)NO_FAULT);
    before = count;
    await_request();
    check("none with IF clear", count, before);
    __asm__ volatile("sti; nop; cli");
    check("one is pending", count > before, 1);
    // STI's shadow: with one pending, STI; CLI lets none in.
    await_request();
    before = count;
    __asm__ volatile("sti; cli");
    check("the shadow of STI", count, before);
    __asm__ volatile("sti; movl %%ss, %%eax; movl %%eax, %%ss; nop; cli" : : : "eax");
    check("comes after it", count > before, 1);
    // STI; HLT never sleeps through the interrupt that was pending.
    for (u32 i = 0; i < 10; i++)
        __asm__ volatile("sti; hlt; cli");
    check("HLT wakes up", count >= before + 10, 1);
    // POPF and IRET open the window at once.
    await_request();
    before = count;
    flags = read_eflags() | 0x200;
    __asm__ volatile("pushl %0; popfl; nop; cli" : : "r"(flags));
    check("POPF lets it in", count > before, 1);
    // The interrupted loop's registers and flags survive: the same sum with and without interrupts.
    check("a sum under interrupts", mixed_sum(true), mixed_sum(false));
    // Strings are interruptible and go on where they were.
    before = count;
    {
        u32 di = (u32)arena, cx, total = 0;

        while (count < before + 10) {
            __asm__ volatile("cld; sti; rep stosb; cli" : "=c"(cx), "=D"(di)
                             : "0"(sizeof(arena)), "1"(arena), "a"(total & 0xff) : "memory");
            if (cx != 0 || di != (u32)arena + sizeof(arena) || arena[15][4095] != (total & 0xff)) {
                check("rep stosb under interrupts", 0, 1);
                break;
            }
            total++;
        }
        check("rep stosb under interrupts", cx, 0);
    }
    outb(0x21, 0xff);
    handle(0x20, NULL);
}

// ---- Single-step and breakpoints
static volatile u32 steps, step_eip[32], step_dr6;

static void step(struct trap *t)
{
    step_eip[steps < 32 ? steps : 31] = t->eip;
    steps++;
    step_dr6 = read_dr6();
    write_dr6(0xffff0ff0);
    if (steps >= 32)
        t->eflags &= ~0x100u;
}

extern u8 step_start[], step_end[];

static __attribute__((noinline, noclone)) void single_step(void)
{
    handle(1, step);
    steps = 0;
    __asm__ volatile("pushfl; orl $0x100, (%%esp); popfl\n"
                     "step_start: nop\n"
                     "jmp 1f; nop; nop\n"
                     "1: call 2f; jmp 3f\n"
                     "2: ret\n"
                     "3: movl %%ss, %%eax; movl %%eax, %%ss; nop\n"
                     "pushfl; andl $~0x100, (%%esp); popfl\n"
                     "step_end: nop\n" : : : "eax", "memory", "cc");
    // nop, jmp, call, ret, jmp, mov, (mov ss; nop as one), pushf, and, popf
    check("steps", steps, 10);
    check("the first is behind the NOP", step_eip[0], (u32)step_start + 1);
    check("the last is behind the POPF", step_eip[9], (u32)step_end);
    check("DR6.BS", step_dr6 & 0xe00f, 0x4000);
    steps = 0;
    __asm__ volatile("pushfl; orl $0x100, (%%esp); popfl; movl $3, %%ecx; rep lodsb; int $0x92\n"
                     "pushfl; andl $~0x100, (%%esp); popfl" : : "S"(arena) : "eax", "ecx", "memory", "cc");
    // mov, lodsb three times; INT's gate clears TF, its IRET sets it again: the step is behind pushf.
    check("steps over REP and INT", steps, 7);
}

static void ignore(struct trap *t)
{
    (void)t;
}

static u32 watched[4];

static void breakpoints(void)
{
    handle(1, step);
    steps = 0;
    write_dr0((u32)&watched[1]);
    write_dr7(0x000d0402 | 1); // DR0: write, 4 bytes
    watched[0] = 1;
    watched[2] = 3;
    check("no write there", steps, 0);
    *(volatile u32 *)&watched[1] = 2;
    check("data write", steps, 1);
    check("DR6.B0", step_dr6 & 0xf, 1);
    *(volatile u8 *)((u32)&watched[1] + 3) = 2;
    check("a byte of it", steps, 2);
    (void)*(volatile u32 *)&watched[1];
    check("reads do not count", steps, 2);
    write_dr7(0x000f0402 | 1); // read or write
    (void)*(volatile u32 *)&watched[1];
    check("read", steps, 3);
    __asm__ volatile("cld; rep movsl" : : "c"(2), "S"(watched), "D"(watched + 2) : "memory");
    check("in a string instruction", steps, 4);
    write_dr7(0x400);
    watched[1] = 0;
    check("disabled", steps, 4);
    write_dr7(0x400);
    handle(1, NULL);
}

static __attribute__((noinline, noclone)) void at_breakpoint(void *unused)
{
    (void)unused;
    __asm__ volatile(".globl break_two; break_two: nop" : : : "memory");
}
extern u8 break_two[];

static void resume(struct trap *t)
{
    steps++;
    step_eip[0] = t->eip;
    t->eflags |= 0x10000; // RF
}

static void execution(void)
{
    write_dr1((u32)break_two);
    write_dr7(0x400 | 8);
    check("execution breakpoint", (u32)guarded_call(at_breakpoint, NULL), 1);
    check("is before its instruction", last.eip, (u32)break_two);
    check("DR6.B1", read_dr6() & 0xf, 2);
    handle(1, resume);
    steps = 0;
    for (u32 i = 0; i < 5; i++)
        at_breakpoint(NULL);
    check("RF steps over it", steps, 5);
    write_dr7(0x400);
    handle(1, NULL);
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    gates();
    nesting();
    irets();
    user_flags();
    inner_ring();
    interrupts();
    handle(0x92, ignore);
    single_step();
    breakpoints();
    execution();
    finish();
}
