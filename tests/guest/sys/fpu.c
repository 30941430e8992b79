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

// A host's signal between the instruction and this loses the pointers on some processors: that a few tries show them will do.
static bool expect(const char *name, u32 fip, u32 fcs, u32 fop, u32 fdp, u32 fds)
{
    static u32 tries;
    bool right = (!fip || env.fip == fip) && (env.fcs_fop & 0xffff) == fcs && (!fop || env.fcs_fop >> 16 == fop) &&
                 env.fdp == fdp && (env.fds & 0xffff) == fds;

    if (!right && ++tries < 10)
        return false;
    if (!right)
        print("FIP %08x, not %08x; FCS %x, not %x; FOP %03x, not %03x; FDP %08x, not %08x; FDS %x, not %x\n", env.fip,
              fip, env.fcs_fop & 0xffff, fcs, env.fcs_fop >> 16, fop, env.fdp, fdp, env.fds & 0xffff, fds);
    check(name, right, true);
    tries = 0;
    return true;
}
#define UNTIL(code, name, fip, fcs, fop, fdp, fds)                                           \
    do {                                                                                     \
        code;                                                                                \
    } while (!expect(name, fip, fcs, fop, fdp, fds))

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
        UNTIL(load(), "a load", (u32)at_a, KERNEL_CS, 0x105, (u32)&number, KERNEL_DS);
        UNTIL(by_stack(), "by the stack segment", 0, KERNEL_CS, 0x1fa, env.fdp, KERNEL_DS);
        UNTIL(control(), "control instructions", 0, KERNEL_CS, 0x105, (u32)&number, KERNEL_DS);
        UNTIL(es_changed(), "ES changed", (u32)at_b + 9, KERNEL_CS, 0x1e1, 16, BASED);
        UNTIL(two_loads(), "and then DS's", 0, KERNEL_CS, 0, (u32)&number, KERNEL_DS);
        UNTIL(null_by_now(), "null by now, and others between", 0, KERNEL_CS, 0x1e0, 16, BASED);
        UNTIL(loop(), "two segments in a loop", 0, KERNEL_CS, 0x5d8, 16, BASED);
        UNTIL(other_loop(), "and the other way", 0, KERNEL_CS, 0x105, 16, BASED);
        UNTIL(far_code(), "another code segment", (u32)at_c, CODE, 0x1e8, 0, 0);
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
        UNTIL(guarded_user(user, NULL, 0x202), "of CPL 3, stored at CPL 0", (u32)at_d, USER_CS, 0x105, (u32)&number,
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
        UNTIL(linear(), "16-bit real format", start + (u32)at_e, 0, 0x106, 0xa020, 0);
        UNTIL(linear32(), "32-bit real format", start + (u32)at_g, 0, 0x1e8, 0xa020, 0);
        UNTIL(words(), "16-bit protected format", (u32)at_f & 0xffff, KERNEL_CS, 0, (u32)&number & 0xffff, KERNEL_DS);
    }
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
    }
    finish();
}
