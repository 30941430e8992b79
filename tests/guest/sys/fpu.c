// SPDX-License-Identifier: GPL-2.0-or-later
// x87's pointers to its last instruction and operand, and their selectors, as FNSTENV and FXSAVE store them after segment
// registers and address spaces have changed; the environment's four formats (SDM 1 8.1.8 to 8.1.10).
// Run: tests/guest/run-sys fpu
#include "tests/guest/lib/modes.h"

#define SEL(i) (SPARE + 8 * (i))
#define CODE SEL(0)  // conforming, flat
#define BASED SEL(1) // data, based at the arena

static struct {
    u32 fcw, fsw, ftw, fip, fcs_fop, fdp, fds;
} env;

static struct {
    u16 fcw, fsw, ftw, fip, fcs, fdp, fds;
} small;

static u32 number = 0x3f800000;
static u8 fx[512] __attribute__((aligned(16)));

static void store(void)
{
    __asm__ volatile("fnstenv %0; fldenv %0" : "=m"(env));
}

static void expect(const char *name, u32 fip, u32 fcs, u32 fop, u32 fdp, u32 fds)
{
    bool right = (!fip || env.fip == fip) && (env.fcs_fop & 0xffff) == fcs && (!fop || env.fcs_fop >> 16 == fop) &&
                 env.fdp == fdp && (env.fds & 0xffff) == fds;

    if (!right)
        print("FIP %08x, not %08x; FCS %x, not %x; FOP %03x, not %03x; FDP %08x, not %08x; FDS %x, not %x\n", env.fip,
              fip, env.fcs_fop & 0xffff, fcs, env.fcs_fop >> 16, fop, env.fdp, fdp, env.fds & 0xffff, fds);
    check(name, right, true);
}
#define LEAVES(code, ...) (code, expect(__VA_ARGS__))

extern const u8 at_a[], at_b[], at_c[], at_d[], at_e[], at_f[], at_g[];

static __attribute__((noinline, noclone)) void load(void)
{
    __asm__ volatile("fninit; .globl at_a; at_a: flds %0" : : "m"(number));
    store();
}

static void by_stack(void)
{
    __asm__ volatile("fninit; pushl %0; flds (%%esp); fsqrt; popl %%eax" : : "m"(number) : "eax");
    store();
}

static void control(void)
{
    __asm__ volatile("fninit; flds %0; fnstcw %1; fldcw %1; fnstsw %%ax; fnclex; fwait" : : "m"(number), "m"(small)
                     : "eax");
    store();
}

// The operand's segment is another one by the time it is stored.
static __attribute__((noinline, noclone)) void es_changed(void)
{
    __asm__ volatile("fninit; fld1; movl %1, %%es; .globl at_b; at_b: flds %%es:16; movl %0, %%es; fabs"
                     : : "r"(KERNEL_DS), "r"(BASED));
    store();
}

static void two_loads(void)
{
    __asm__ volatile("fninit; movl %1, %%es; flds %%es:16; movl %0, %%es; flds %2; movl %1, %%es; fxch;"
                     "movl %0, %%es" : : "r"(KERNEL_DS), "r"(BASED), "m"(number));
    store();
}

static void null_by_now(void)
{
    __asm__ volatile("fninit; movl %1, %%fs; flds %%fs:16; movl %0, %%fs; fabs; fchs" : : "r"(0), "r"(BASED));
    store();
}

static void loop(void)
{
    __asm__ volatile("fninit; fldz; movl $3, %%ecx; 1: flds %2; movl %1, %%es; fadds %%es:16; movl %0, %%es;"
                     "fstp %%st(0); loop 1b" : : "r"(KERNEL_DS), "r"(BASED), "m"(number) : "ecx");
    store();
}

static void other_loop(void)
{
    __asm__ volatile("fninit; movl $3, %%ecx; movl %1, %%es; 1: flds %%es:16; fadds %2; fstp %%st(0);"
                     "loop 1b; flds %%es:16; movl %0, %%es" : : "r"(KERNEL_DS), "r"(BASED), "m"(number) : "ecx");
    store();
}

static __attribute__((noinline, noclone)) void far_code(void)
{
    __asm__ volatile("fninit; lcall %0, $1f; jmp 2f; 1: .globl at_c; at_c: fld1; lret; 2:" : : "i"(CODE));
    store();
}

static void segments(void)
{
    for (u32 i = 0; i < 20; i++) {
        LEAVES(load(), "a load", (u32)at_a, KERNEL_CS, 0x105, (u32)&number, KERNEL_DS);
        LEAVES(by_stack(), "by the stack segment", 0, KERNEL_CS, 0x1fa, env.fdp, KERNEL_DS);
        LEAVES(control(), "control instructions", 0, KERNEL_CS, 0x105, (u32)&number, KERNEL_DS);
        LEAVES(es_changed(), "ES changed", (u32)at_b + 9, KERNEL_CS, 0x1e1, 16, BASED);
        LEAVES(two_loads(), "and then DS's", 0, KERNEL_CS, 0, (u32)&number, KERNEL_DS);
        LEAVES(null_by_now(), "null by now, and others between", 0, KERNEL_CS, 0x1e0, 16, BASED);
        LEAVES(loop(), "two segments in a loop", 0, KERNEL_CS, 0x5d8, 16, BASED);
        LEAVES(other_loop(), "and the other way", 0, KERNEL_CS, 0x105, 16, BASED);
        LEAVES(far_code(), "another code segment", (u32)at_c, CODE, 0x1e8, 0, 0);
    }
}

static void user(void *unused)
{
    (void)unused;
    __asm__ volatile("fninit; .globl at_d; at_d: flds %0; int $0x90" : : "m"(number));
}

static void in_handler(struct trap *t)
{
    (void)t;
    if (cpu_has(24)) {
        __asm__ volatile("fxsave %0" : "=m"(fx));
        env.fip = ((u32 *)fx)[2], env.fcs_fop = ((u32 *)fx)[3] | 0x105u << 16;
        env.fdp = ((u32 *)fx)[4], env.fds = ((u32 *)fx)[5];
    } else {
        store();
    }
}

static void in_handler_2(struct trap *t)
{
    (void)t;
    store();
}

static void privileges(void)
{
    for (u32 i = 0; i < 20; i++) {
        handle(0x90, i & 1 ? in_handler : in_handler_2);
        LEAVES(guarded_user(user, NULL, 0x202), "of CPL 3, stored at CPL 0", (u32)at_d, USER_CS, 0x105, (u32)&number,
              USER_DS);
    }
}

// FLDS of linear 0xa020 by ES = 0A00h (virtual-8086 mode, as real mode), then ES is loaded anew.
V86_CODE(real, "fninit; movw $0xa00, %ax; movw %ax, %es; .globl at_e; at_e: flds %es:0x20; xorw %ax, %ax;"
               "movw %ax, %es; fnstenv %ds:0x100; fldenv %ds:0x100; .globl at_g; at_g: fld1; fnstenvl %ds:0x120; ud2");

static void linear(void)
{
    volatile u16 *image = (volatile u16 *)0x9100;

    RUN_V86(real, 0x3000);
    env.fip = image[3] | (image[4] >> 12) << 16;
    env.fcs_fop = (image[4] & 0x7ffu) << 16;
    env.fdp = image[5] | (u32)(image[6] >> 12) << 16;
    env.fds = 0;
}

static void linear32(void)
{
    volatile u32 *image = (volatile u32 *)0x9120;

    RUN_V86(real, 0x3000);
    env.fip = (image[3] & 0xffff) | image[4] >> 12 << 16;
    env.fcs_fop = (image[4] & 0x7ff) << 16;
    env.fdp = (image[5] & 0xffff) | image[6] >> 12 << 16;
    env.fds = 0;
}

static __attribute__((noinline, noclone)) void words(void)
{
    __asm__ volatile("fninit; .globl at_f; at_f: flds %1; .byte 0x66; fnstenv %0" : "=m"(small) : "m"(number));
    env.fip = small.fip, env.fcs_fop = small.fcs, env.fdp = small.fdp, env.fds = small.fds;
}

static void formats(void)
{
    const u32 start = 0x9000 - (u32)real_start;

    *(volatile u32 *)0xa020 = number;
    for (u32 i = 0; i < 10; i++) {
        LEAVES(linear(), "16-bit real format", start + (u32)at_e, 0, 0x106, 0xa020, 0);
        LEAVES(linear32(), "32-bit real format", start + (u32)at_g, 0, 0x1e8, 0xa020, 0);
        LEAVES(words(), "16-bit protected format", (u32)at_f & 0xffff, KERNEL_CS, 0, (u32)&number & 0xffff, KERNEL_DS);
    }
}

// ---- What may come between the instruction and whoever asks
static u32 run_at(const void *code)
{
    u32 eax = 0;

    __asm__ volatile("call *%1" : "+a"(eax) : "r"(code) : "memory");
    return eax;
}

// The code is another one by now.
static void overwritten(u32 i)
{
    static const u8 first[] = { 0xdb, 0xe3, 0xd9, 0x05, 0, 0, 0, 0, 0xd9, 0xfa, 0xc3 }; // FNINIT, FLDS, FSQRT, RET
    volatile u8 *code = arena[1];

    for (u32 k = 0; k < sizeof(first); k++)
        code[k] = first[k];
    *(volatile u32 *)(code + 4) = (u32)&number;
    run_at(arena[1]);
    code[9] = 0xe1 - (i & 1); // FABS, FCHS
    store();
}

// A load that faults is not the last instruction: #PF's handler sees the one before, and maps the page.
static u32 mapped;

static void on_page_fault(struct trap *t)
{
    (void)t;
    store();
    page_table[(u32)arena[3] >> 12] = (u32)arena[3] | 7;
    invlpg((u32)arena[3]);
    mapped++;
}

static __attribute__((noinline, noclone)) void faults(void)
{
    handle(14, on_page_fault);
    page_table[(u32)arena[3] >> 12] = 0;
    invlpg((u32)arena[3]);
    __asm__ volatile("fninit; flds %0; .globl at_h; at_h: fabs; .globl at_i; at_i: fadds (%1); fnop; fchs; fmuls 4(%1)"
                     : : "m"(number), "r"(arena[3]));
}
extern const u8 at_h[], at_i[];

// Pages touched, other code run, code written: signals, blocks, and with a small cache its end.
static void busy(void)
{
    static volatile u32 sum;

    __asm__ volatile("fninit; .globl at_j; at_j: fildl %0" : : "m"(number));
    for (u32 i = 4; i < 16; i++)
        for (u32 k = 0; k < 4096; k += 64) {
            *(volatile u16 *)(arena[i] + k) = 0xc340; // INC EAX; RET
            sum += run_at(arena[i] + k);
        }
    store();
}
extern const u8 at_j[];

// An exception that is reported at a later instruction names the one that raised it.
static void on_math_fault(struct trap *t)
{
    (void)t;
    store();
    __asm__ volatile("fninit");
}

static __attribute__((noinline, noclone)) void divides(void)
{
    static const u16 fcw = 0x37b; // #Z unmasked
    static const float zero = 0;

    handle(16, on_math_fault);
    write_cr0(read_cr0() | 0x20);
    __asm__ volatile("fninit; fldcw %0; fld1; .globl at_k; at_k: fdivs %1; fnstsw %%ax; nop; fchs" : : "m"(fcw), "m"(zero)
                     : "eax");
    handle(16, NULL);
}
extern const u8 at_k[];

static void between(u32 paging)
{
    for (u32 i = 0; i < 10; i++) {
        LEAVES(overwritten(i), "code that has changed since", (u32)arena[1] + 8, KERNEL_CS, 0x1fa, (u32)&number, KERNEL_DS);
        LEAVES(divides(), "an unmasked exception", (u32)at_k, KERNEL_CS, 0x035, env.fdp, KERNEL_DS);
        LEAVES(busy(), "much that happens meanwhile", (u32)at_j, KERNEL_CS, 0x305, (u32)&number, KERNEL_DS);
        if (!paging)
            continue;
        LEAVES(faults(), "before a load that faults", (u32)at_h, KERNEL_CS, 0x1e1, (u32)&number, KERNEL_DS);
        check("faulted once", mapped, i + 1);
        LEAVES(store(), "behind it", 0, KERNEL_CS, 0, (u32)arena[3] + 4, KERNEL_DS);
    }
    handle(14, NULL);
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    write_cr0(read_cr0() & ~0xcu);
    write_cr4(read_cr4() | (cpu_has(24) ? 0x200 : 0));
    gdt[CODE / 8] = descriptor(0, 0xfffff, 0x9f, 0xc);
    gdt[BASED / 8] = descriptor((u32)arena, 0xfffff, 0x93, 0xc);
    *(u32 *)(arena[0] + 16) = number;
    for (u32 mode = 0; mode < 2; mode++) {
        print(mode ? "with paging\n" : "without paging\n");
        if (mode)
            paging_on();
        segments();
        privileges();
        formats();
        between(mode);
    }
    finish();
}
