// SPDX-License-Identifier: GPL-2.0-or-later
// Debug exceptions: TF through each control transfer, RF, BTF, data breakpoints of all lengths by all kinds of
// access, I/O and instruction breakpoints, MOV SS, DR7.GD, DR4-7 (SDM 3B chapter 18).
// Run: tests/guest/run-sys debug
#include "tests/guest/lib/modes.h"

#define SEL(i) (SPARE + 8 * (i))

static volatile u32 steps, eips[64], dr6s[64], frame_tf[64];
static bool stop_stepping;

// Keeps where each #DB came from; TF is kept by the frame until the code clears it.
static void record(struct trap *t)
{
    u32 n = steps < 64 ? steps : 63;

    eips[n] = t->eip;
    dr6s[n] = read_dr6();
    frame_tf[n] = t->eflags & 0x100;
    steps = n + 1;
    write_dr6(0xffff0ff0);
    t->eflags |= 0x10000;
    if (stop_stepping || n == 63)
        t->eflags &= ~0x100u;
}

static void clear(void)
{
    steps = 0;
    write_dr6(0xffff0ff0);
}

#define TF_ON "pushfl; orl $0x100, (%%esp); popfl\n"
#define TF_OFF "pushfl; andl $~0x100, (%%esp); popfl\n"
extern const u8 at_1[], at_2[], at_3[], at_4[], at_5[], at_6[];

static void expect_steps(const char *name, const u32 *want, u32 n)
{
    u32 i = 0;

    while (i < n && i < steps && eips[i] == want[i] && (dr6s[i] & 0xe00f) == 0x4000)
        i++;
    if (i < n)
        print("step %u of %u at %08x, not %08x; DR6 %08x\n", i, steps, eips[i], want[i], dr6s[i]);
    check(name, i, n);
}

static void return_only(struct trap *t)
{
    (void)t;
}

static __attribute__((noinline, noclone)) void near_transfers(void)
{
    clear();
    __asm__ volatile(".globl at_1, at_2, at_3, at_4, at_5, at_6\n" TF_ON
                     "jmp 1f; nop\n"
                     "1: at_1: call 2f\n at_2: movl $3f, %%eax; jmp *%%eax\n"
                     "2: at_3: ret\n"
                     "3: at_4: movl $2, %%ecx; 4: at_5: loop 4b\n"
                     "at_6: pushl $5f; ret; 5:" TF_OFF : : : "eax", "ecx", "memory", "cc");
    expect_steps("near transfers", (u32[]){ (u32)at_1, (u32)at_3, (u32)at_2, (u32)at_2 + 5, (u32)at_4,
                 (u32)at_5, (u32)at_5, (u32)at_6 }, 8);
}

static __attribute__((noinline, noclone)) void far_transfers(void)
{
    extern const u8 far_1[], far_2[], far_3[];

    clear();
    __asm__ volatile(".globl far_1, far_2, far_3\n" TF_ON
                     "lcall $8, $1f\n far_2: jmp 2f\n1: far_1: lret\n"
                     "2: far_3: ljmp $8, $3f; 3: nop\n"
                     "pushfl; pushl %%cs; pushl $4f; iret; 4:" TF_OFF : : : "memory", "cc");
    expect_steps("far transfers", (u32[]){ (u32)far_1, (u32)far_2, (u32)far_3, (u32)far_3 + 7,
                 (u32)far_3 + 8 }, 5);
    check("IRET with TF, and behind it", steps, 5 + 4 + 3);
}

// INT clears TF for its handler; the step is taken behind the next instruction.
static __attribute__((noinline, noclone)) void interrupts(void)
{
    extern const u8 int_1[];

    handle(0x90, return_only);
    clear();
    __asm__ volatile(TF_ON "int $0x90; .globl int_1; int_1: nop; nop\n" TF_OFF : : : "memory", "cc");
    expect_steps("INT n", (u32[]){ (u32)int_1 + 1, (u32)int_1 + 2 }, 2);
    handle(3, return_only);
    clear();
    __asm__ volatile(TF_ON "int3; nop; nop\n" TF_OFF : : : "memory", "cc");
    check("INT3", steps, 2 + 3);
    clear();
    __asm__ volatile(TF_ON "movl $3, %%ecx; rep stosb; nop\n" TF_OFF
                     : : "D"(arena[0]) : "ecx", "memory", "cc");
    check("each iteration of REP", steps, 1 + 3 + 1 + 3);
    clear();
    __asm__ volatile(TF_ON "xorl %%ecx, %%ecx; rep stosb; nop\n" TF_OFF
                     : : "D"(arena[0]) : "ecx", "memory", "cc");
    check("REP without a count", steps, 3 + 3);
    clear();
    __asm__ volatile(TF_ON "movl %%ss, %%eax; movl %%eax, %%ss; nop; nop\n" TF_OFF
                     : : : "eax", "memory", "cc");
    check("MOV SS and what follows are one", steps, 1 + 1 + 1 + 3);
    clear();
    __asm__ volatile(TF_ON "pushl %%ss; popl %%ss; nop; nop\n" TF_OFF : : : "memory", "cc");
    check("POP SS and what follows are one", steps, 1 + 1 + 1 + 3);
    clear();
    __asm__ volatile(TF_ON "sti; nop; cli; nop\n" TF_OFF : : : "memory", "cc");
    check("STI shades no trap", steps, 4 + 3);
    clear();
    __asm__ volatile(TF_ON "pushfl; popl %%eax\n" TF_OFF "movl %%eax, %0" : "=m"(frame_tf[0])
                     : : "eax", "memory", "cc");
    check("PUSHF shows TF", frame_tf[0] & 0x100, 0x100);
}

// To inner and outer rings.
static void user_gate(void *selector)
{
    u32 pointer[2] = { 0, (u32)selector };

    __asm__ volatile(TF_ON "lcall *%0; nop\n" TF_OFF : : "m"(pointer) : "memory", "cc");
}

static void do_nothing(void *unused)
{
    (void)unused;
}

static void rings(void)
{
    arena[1][0] = 0x90, arena[1][1] = 0xcb; // NOP; RETF
    gdt[SEL(0) / 8] = gate(KERNEL_CS, (u32)arena[1], 0xec);
    clear();
    check("a call gate", (u32)guarded_user(user_gate, (void *)(SEL(0) | 3), 0x202), (u32)NO_FAULT);
    check("a step behind the gate", eips[0], (u32)arena[1]);
    check("in its NOP", eips[1], (u32)arena[1] + 1);
    check("all of them", steps, 4 + 3);
    clear();
    stop_stepping = true;
    check("IRET to CPL 3 with TF", (u32)guarded_user(do_nothing, NULL, 0x302), (u32)NO_FAULT);
    check("steps there", steps, 1);
    stop_stepping = false;
}

// ---- Data breakpoints
// With room below, for the handler when ESP is here.
#define cells ((u32 *)(arena[2] + 3072))
static volatile u32 sink;

enum { BP_EXECUTE, BP_WRITE, BP_IO, BP_ACCESS };

static void arm(u32 n, u32 address, u32 rw, u32 len)
{
    u32 bits = rw | (len == 1 ? 0 : len == 2 ? 1 : 3) << 2;

    switch (n) {
    case 0: write_dr0(address); break;
    case 1: write_dr1(address); break;
    case 2: write_dr2(address); break;
    default: write_dr3(address); break;
    }
    write_dr7((read_dr7() & ~(15u << (16 + 4 * n)) & ~(3u << 2 * n)) | bits << (16 + 4 * n) |
              2u << 2 * n | 0x400);
}

static void disarm(void)
{
    write_dr7(0x400);
    clear();
}

#define HITS(name, code, n, mask)                                                            \
    do {                                                                                     \
        u32 at_ = (u32)cells;                                                                \
                                                                                             \
        clear();                                                                             \
        __asm__ volatile(code : "+S"(at_) : : "eax", "ecx", "edx", "edi", "memory", "cc");   \
        check(name, steps, n);                                                               \
        if (n)                                                                               \
            check("  DR6", dr6s[0] & 0xe00f, mask);                                          \
    } while (0)

static void data(void)
{
    arm(0, (u32)&cells[2], BP_WRITE, 4);
    HITS("write before", "movl %%eax, 4(%%esi)", 0, 0);
    HITS("write behind", "movl %%eax, 12(%%esi)", 0, 0);
    HITS("write into the end", "movl %%eax, 5(%%esi)", 1, 1);
    HITS("write of its last byte", "movb %%al, 11(%%esi)", 1, 1);
    HITS("read", "movl 8(%%esi), %%eax", 0, 0);
    HITS("add", "addl $1, 8(%%esi)", 1, 1);
    HITS("cmp", "cmpl $1, 8(%%esi)", 0, 0);
    HITS("xchg", "xchgl %%eax, 8(%%esi)", 1, 1);
    HITS("push", "movl %%esp, %%edi; leal 12(%%esi), %%esp; pushl $1; movl %%edi, %%esp", 1, 1);
    HITS("call", "movl %%esp, %%edi; leal 12(%%esi), %%esp; call 1f; 1: movl %%edi, %%esp", 1, 1);
    HITS("pusha", "movl %%esp, %%edx; leal 32(%%esi), %%esp; pushal; movl %%edx, %%esp", 1, 1);
    HITS("movs", "movl %%esi, %%edi; movl $4, %%ecx; cld; rep movsl", 1, 1);
    HITS("stosb, byte by byte", "movl %%esi, %%edi; movl $32, %%ecx; rep stosb", 4, 1);
    HITS("fstp", "fninit; fld1; fstps 8(%%esi)", 1, 1);
    HITS("fnsave", "fnsave 8(%%esi); fninit", 1, 1);
    HITS("setc", "setc 8(%%esi)", 1, 1);
    HITS("bts at a distance", "movl $64, %%ecx; btsl %%ecx, (%%esi)", 1, 1);
    HITS("cmpxchg that fails writes too", "movl $123, %%eax; cmpxchgl %%ecx, 8(%%esi)", 1, 1);
    check("the trap is behind the instruction", steps, 1);
    disarm();
    arm(1, (u32)&cells[2], BP_ACCESS, 2);
    HITS("read of a word", "movw 8(%%esi), %%ax", 1, 2);
    HITS("read above it", "movw 10(%%esi), %%ax", 0, 0);
    HITS("read over it", "movl 7(%%esi), %%eax", 1, 2);
    HITS("lods", "leal 8(%%esi), %%esi; lodsb", 1, 2);
    HITS("scas", "movl %%esi, %%edi; movl $3, %%ecx; movl $0x5a5a5a5a, %%eax; repne scasl", 1, 2);
    HITS("fld", "flds 8(%%esi); fstp %%st(0)", 1, 2);
    HITS("lea does not access", "leal 8(%%esi), %%eax", 0, 0);
    HITS("invlpg neither", "invlpg 8(%%esi)", 0, 0);
    HITS("twice in one instruction", "leal 8(%%esi), %%edi; pushl (%%edi); popl (%%edi)", 2, 2);
    arm(3, (u32)&cells[2], BP_WRITE, 4);
    HITS("two at once", "addl $1, 8(%%esi)", 1, 10);
    disarm();
    arm(2, (u32)&cells[2], BP_ACCESS, 1);
    HITS("with TF", TF_ON "movb 8(%%esi), %%al\n" TF_OFF, 4, 0x4004);
    disarm();
    write_dr0((u32)&cells[2]);
    HITS("not enabled", "movl %%eax, 8(%%esi)", 0, 0);
    // The trap of the instruction in MOV SS's shadow waits for the next boundary.
    cells[0] = KERNEL_DS;
    arm(0, (u32)cells, BP_ACCESS, 4);
    clear();
    {
        extern const u8 shadow_1[];

        __asm__ volatile("movw (%0), %%ss; nop; .globl shadow_1; shadow_1: nop" : : "r"(cells) : "memory");
        check("data breakpoint by MOV SS", steps, 1);
        check("is held back by one instruction", eips[0], (u32)shadow_1);
    }
    disarm();
}

// A watchpoint hit by MOV SS, and then the kernel is entered: by INT, behind which the trap comes; by a fault or
// INT1, which drop it.
#define SHADOWED(name, code, n, at)                                                          \
    do {                                                                                     \
        clear();                                                                             \
        __asm__ volatile("movw (%0), %%ss;" code : : "r"(cells) : "eax", "memory", "cc");    \
        check(name, steps, n);                                                               \
        if (n)                                                                               \
            check("  where", eips[0], at);                                                   \
    } while (0)

static void skip_ud(struct trap *t)
{
    t->eip += 2;
}

static void shadowed(void)
{
    extern const u8 icebp_1[];

    cells[0] = KERNEL_DS;
    arm(0, (u32)cells, BP_ACCESS, 4);
    handle(3, return_only);
    handle(6, skip_ud);
    handle(0x90, return_only);
    SHADOWED("MOV SS, INT n", "int $0x90", 1, (u32)trap_stubs + 16 * 0x90);
    SHADOWED("MOV SS, INT3", "int3", 1, (u32)trap_stubs + 16 * 3);
    SHADOWED("MOV SS, UD2", "ud2", 0, 0);
    SHADOWED("MOV SS, INT1", ".byte 0xf1; .globl icebp_1; icebp_1:", 1, (u32)icebp_1);
    check("  DR6", dr6s[0] & 0xe00f, 0);
    clear();
    __asm__ volatile("movw (%0), %%ss; int $1" : : "r"(cells) : "memory");
    check("MOV SS, INT 1", steps, 2);
    check("  the trap, at the handler", eips[0], (u32)trap_stubs + 16);
    check("  DR6", dr6s[0] & 0xe00f, 1);
    disarm();
    // What the delivery pushes.
    arm(0, (u32)&cells[4], BP_WRITE, 4);
    HITS("a frame", "movl %%esp, %%edi; leal 24(%%esi), %%esp; int $0x90; movl %%edi, %%esp", 1, 1);
    disarm();
    handle(3, NULL);
    handle(6, NULL);
}

// TF in the shadow of MOV SS, then INT1, which has a #DB of its own; or an access to DR0 with GD.
static void stepped_shadow(void)
{
    extern const u8 step_1[], step_2[];

    clear();
    __asm__ volatile("pushfl; orl $0x100, (%%esp); movl %%ss, %%eax; popfl; movl %%eax, %%ss; .byte 0xf1\n"
                     ".globl step_1; step_1: nop\n" TF_OFF : : : "eax", "memory", "cc");
    check("MOV SS, INT1, with TF", steps, 1 + 4);
    check("the first behind INT1", eips[0], (u32)step_1);
    check("not by TF", dr6s[0] & 0xe00f, 0);
    check("the next behind the NOP", eips[1], (u32)step_1 + 1);
    clear();
    write_dr7(0x2400);
    __asm__ volatile("pushfl; orl $0x100, (%%esp); movl %%ss, %%eax; popfl; movl %%eax, %%ss\n"
                     ".globl step_2; step_2: movl %%db0, %%eax\n" TF_OFF : : : "eax", "memory", "cc");
    check("MOV SS, MOV from DR0 with GD and TF", steps, 1 + 4);
    check("the first is its fault", eips[0], (u32)step_2);
    check("BD alone", dr6s[0] & 0xe00f, 0x2000);
    disarm();
}

static __attribute__((noinline, noclone)) void breakpointed(void)
{
    __asm__ volatile(".globl bp_1, bp_2, bp_3\n bp_1: nop; bp_2: nop\n"
                     "movl %%ss, %%eax; movl %%eax, %%ss; bp_3: nop" : : : "eax");
}
extern const u8 bp_1[], bp_2[], bp_3[];

static void execution(void)
{
    arm(0, (u32)bp_1, BP_EXECUTE, 1);
    arm(1, (u32)bp_2, BP_EXECUTE, 1);
    clear();
    breakpointed();
    check("two instruction breakpoints", steps, 2);
    check("the first", eips[0], (u32)bp_1);
    check("the second", eips[1], (u32)bp_2);
    check("DR6 of the second", dr6s[1] & 0xe00f, 2);
    for (u32 i = 0; i < 20; i++)
        breakpointed();
    check("each time", steps, 42);
    disarm();
    breakpointed();
    check("disarmed", steps, 0);
    arm(2, (u32)bp_3, BP_EXECUTE, 1);
    breakpointed();
    check("none in the shadow of MOV SS", steps, 0);
    disarm();
    // In pages that are translated already, and in a loop.
    sink = 0;
    for (u32 i = 0; i < 1000; i++) {
        if (i == 500)
            arm(0, (u32)bp_1, BP_EXECUTE, 1);
        breakpointed();
    }
    check("armed in mid-run", steps, 64); // as many as are kept
    disarm();
}

static void io(void)
{
    write_cr4(read_cr4() | 8); // DE
    arm(0, 0x80, BP_IO, 1);
    HITS("out to the port", "outb %%al, $0x80", 1, 1);
    HITS("in from the port", "inb $0x80, %%al", 1, 1);
    HITS("out to another", "outb %%al, $0x84", 0, 0);
    HITS("a word over it", "movw $0x7f, %%dx; inw %%dx, %%ax", 1, 1);
    HITS("memory at that address", "movb 0x80, %%al", 0, 0);
    HITS("rep outsb", "movl $0x80, %%edx; movl $3, %%ecx; rep outsb", 3, 1);
    disarm();
    write_cr4(read_cr4() & ~8u);
}

static void from_dr4(void *unused)
{
    (void)unused;
    __asm__ volatile("movl %%db4, %%eax; movl %%eax, %0" : "=m"(sink) : : "eax");
}
static void read_dr0_(void *unused)
{
    (void)unused;
    sink = read_dr0();
}

static void registers(void)
{
    u32 seen;

    write_dr7(0xffff0000 | 0x400);
    check("DR7's bits", read_dr7(), 0xffff0400);
    write_dr7(0);
    check("bit 10 is always set", read_dr7(), 0x400);
    write_dr7(0xffffd800 & ~0x2000u);
    check("bits 11, 12, 14 and 15 never", read_dr7() & 0xd800, 0);
    write_dr7(0x400);
    write_dr6(0);
    check("DR6's fixed bits", read_dr6(), 0xffff0ff0);
    write_dr6(0xffffffff);
    check("DR6's own", read_dr6(), 0xffffefff);
    clear();
    from_dr4(NULL);
    check("DR4 is DR6", sink, 0xffff0ff0);
    write_cr4(read_cr4() | 8);
    check("but not with CR4.DE", (u32)guarded_call(from_dr4, NULL), 6);
    write_cr4(read_cr4() & ~8u);
    write_dr7(0x2400); // GD
    handle(1, NULL);
    seen = (u32)guarded_call(read_dr0_, NULL);
    check("GD", seen, 1);
    check("DR6.BD, and GD is cleared", read_dr6() & 0xe00f, 0x2000);
    check("by the delivery", read_dr7() & 0x2000, 0);
    handle(1, record);
    clear();
    __asm__ volatile(".byte 0xf1");
    check("INT1", steps, 1);
    check("leaves DR6 alone", dr6s[0] & 0xe00f, 0);
}

// DEBUGCTL.BTF: TF traps at branches only; #DB clears it.
static void branches(void)
{
    u32 low, high;

    clear();
    __asm__ volatile("wrmsr" : : "c"(0x1d9), "a"(2), "d"(0));
    __asm__ volatile(TF_ON "nop; nop; nop; jmp 1f; nop; 1: nop\n" TF_OFF : : : "memory", "cc");
    check("BTF: the branch, then each again", steps, 1 + 4);
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0x1d9));
    check("BTF is cleared", low & 2, 0);
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    write_cr0(read_cr0() & ~0xcu);
    for (u32 paging = 0; paging < 2; paging++) {
        print(paging ? "with paging\n" : "without paging\n");
        if (paging)
            paging_on();
        handle(1, record);
        near_transfers();
        far_transfers();
        interrupts();
        rings();
        data();
        shadowed();
        stepped_shadow();
        execution();
        io();
        registers();
        branches();
    }
    finish();
}
