// SPDX-License-Identifier: GPL-2.0-or-later
// Single steps through each control transfer, in 32- and 16-bit code: where each #DB comes from, one by one, that DR6 has BS
// alone, and that each was taken once; TF in frames and tasks; RF through exceptions, interrupts, IRET, POPF and tasks
// (SDM 3B 18.3.1, 3A 6.8.3). Run: tests/guest/run-sys steps
#include "tests/guest/lib/modes.h"

#define SEL(i) (SPARE + 8 * (i))
#define CODE16 SEL(0)
#define TF 0x100u
#define RF 0x10000u

extern const u8 code16_base[];
static volatile u32 taken, at[64], dr6s[64];

static u32 linear(const struct trap *t)
{
    return t->eip + ((t->cs & ~3u) == CODE16 ? (u32)code16_base : 0);
}

static void record(struct trap *t)
{
    u32 n = taken < 64 ? taken : 63;

    at[n] = linear(t);
    dr6s[n] = read_dr6();
    taken = n + 1;
    write_dr6(0xffff0ff0);
    if (n == 63)
        t->eflags &= ~TF;
}

// A piece of code, and the addresses that its steps come from, in their order.
#define STEPS(name, bits, on, code, off, ...)                                                \
    extern const u8 name[];                                                                  \
    extern const u32 name##_steps[];                                                         \
    __asm__(".pushsection .text\n.code" #bits "\n" #name ": " on "\n" code "\n" #name "_off: " off               \
            ".code32\n.pushsection .rodata\n.balign 4\n" #name "_steps: .long " #__VA_ARGS__ ", 0\n.popsection\n" \
            ".popsection\n")
#define STEPS32(name, code, ...)                                                             \
    STEPS(name, 32, "pushfl; orl $0x100, (%esp); popfl", code,                               \
          "pushfl; " #name "_1: andl $~0x100, (%esp); " #name "_2: popfl; " #name "_3: ret\n", __VA_ARGS__, \
          name##_off, name##_1, name##_2, name##_3)
// Entered by a far call of 32 bits.
#define STEPS16(name, code, ...)                                                             \
    STEPS(name, 16, "pushfw; popw %ax; orw $0x100, %ax; pushw %ax; popfw", code,             \
          "pushfw; " #name "_1: popw %ax; " #name "_2: andw $~0x100, %ax; " #name "_3: pushw %ax; " #name            \
          "_4: popfw; " #name "_5: lretl\n", __VA_ARGS__, name##_off, name##_1, name##_2, name##_3, name##_4, name##_5)

__asm__(".pushsection .text\n.balign 16\ncode16_base: .popsection");

STEPS32(jcc32, "xorl %eax, %eax; a1: jz b1; nop; b1: jnz c1; d1: .byte 0x0f, 0x84; .long e1 - c1; c1: nop; nop; "
               "e1: .byte 0x0f, 0x85;"
               ".long 8; f1: clc; g1: jc e1; h1: cmc; i1: jc j1; nop; j1: jo e1",
        a1, b1, d1, e1, f1, g1, h1, i1, j1);
STEPS32(loops32, "movl $2, %ecx; a2: loop a2; b2: jecxz c2; nop; c2: movl $5, %ecx; d2: testl %esp, %esp; "
                 "e2: loopz d2; f2: loopnz g2;"
                 "nop; g2: .byte 0x67; loop h2; nop; h2: .byte 0x67; jecxz c2; i2: nop",
        a2, a2, b2, c2, d2, e2, f2, g2, h2, i2);
STEPS32(calls32, "pushl $0; a3: call b3; c3: jmp d3; b3: ret $4; d3: movl $e3, %eax; f3: call *%eax; "
                 "g3: jmp *h3; e3: ret;"
                 "i3: .long k3; h3: .long j3; j3: call *i3; m3: nop; jmp n3; k3: ret; n3: nop",
        a3, b3, c3, d3, f3, e3, g3, j3, k3, m3, m3 + 1, n3);
STEPS32(far32, "lcall $8, $a4; b4: pushl %cs; c4: pushl $d4; e4: lret; a4: lret; nop; d4: ljmp $8, $f4; nop; "
               "f4: lcall *g4; h4: jmp i4;"
               "g4: .long a4; .word 8; i4: lcall $0x38, $0; j4: lcall $0x40, $0; k4: pushl %cs; n4: pushl $m4;"
               "o4: ljmp $0x38, $0; l4: lret; m4:",
        a4, b4, c4, e4, d4, f4, a4, h4, i4, l4, j4, l4, k4, n4, o4, l4);
STEPS32(iret32, "pushfl; a5: pushl %cs; b5: pushl $c5; d5: iret; nop; c5: nop", a5, b5, d5, c5);
STEPS32(ints32, "int $0x90; nop; a6: nop; b6: int3; nop; c6: movb $0x7f, %al; d6: addb $1, %al; e6: into; nop; f6: nop",
        a6, b6, c6, d6, e6, f6);
STEPS32(faults32, "nop; a7: ud2; nop; b7: nop; c7: xorl %ecx, %ecx; d7: divl %ecx; nop; e7: nop", a7, b7, c7, d7, e7);
STEPS32(strings32, "movl $3, %ecx; a8: movl $arena, %edi; b8: rep stosb; c8: movl $2, %ecx; "
                   "d8: movl $arena, %esi; e8: rep lodsb; f8: repe cmpsb; g8: xorl %ecx, %ecx;"
                   "h8: rep stosb; i8: movl $1, %ecx; j8: rep movsb; k8: nop",
        a8, b8, b8, b8, c8, d8, e8, e8, f8, g8, h8, i8, j8, k8);
STEPS32(shadows32, "movl %ss, %eax; a9: movl %eax, %ss; nop; b9: pushl %ss; c9: popl %ss; nop; d9: sti; "
                   "e9: cli; f9: movl %eax, %ss; jmp g9; nop;"
                   "g9: movl %eax, %ss; pushfl; i9: popl %eax",
        a9, b9, c9, d9, e9, f9, g9, i9);

STEPS16(jcc16, "xorl %eax, %eax; a11: jz b11; nop; b11: jnz c11; d11: .byte 0x0f, 0x84; .word e11 - c11; "
               "c11: nop; nop; e11: .byte 0x0f, 0x85;"
               ".word 8; f11: clc; g11: jc e11; h11: cmc; i11: jc j11; nop; j11: jo e11",
        a11, b11, d11, e11, f11, g11, h11, i11, j11);
STEPS16(loops16, "movw $2, %cx; a12: loop a12; b12: jcxz c12; nop; c12: movw $5, %cx; d12: cmpw %cx, %ax; "
                 "e12: loopz d12; f12: loopnz g12;"
                 "nop; g12: nop", a12, a12, b12, c12, d12, e12, f12, g12);
STEPS16(calls16, "pushw $0; a13: call b13; c13: jmp d13; b13: ret $2; d13: movw $(e13 - code16_base), %ax; "
                 "f13: call *%ax; g13: jmp h13; e13: ret;"
                 "h13: calll i13; j13: jmp k13; i13: retl; k13: nop",
        a13, b13, c13, d13, f13, e13, g13, h13, i13, j13, k13);
STEPS16(far16, "lcallw $0x30, $(a14 - code16_base); b14: ljmpw $0x30, $(c14 - code16_base); a14: lretw; "
               "c14: lcalll $0x30, $(d14 - code16_base);"
               "e14: ljmpl $0x30, $(f14 - code16_base); d14: lretl; f14: nop",
        a14, b14, c14, d14, e14, f14);
STEPS16(ints16, "int $0x90; nop; a16: nop; b16: int3; nop; c16: ud2; nop; d16: nop", a16, b16, c16, d16);
STEPS16(iret16, "pushfw; a15: pushw %cs; b15: pushw $(c15 - code16_base); d15: iretw; c15: nop; e15: pushfl; "
                "f15: pushl %cs;"
                "g15: pushl $(h15 - code16_base); i15: iretl; h15: nop",
        a15, b15, d15, c15, e15, f15, g15, i15, h15);

static void verdict(const char *name, const u32 *want)
{
    u32 i = 0;

    while (want[i] && i < taken && at[i] == want[i] && (dr6s[i] & 0xe00f) == 0x4000)
        i++;
    if (want[i] || i != taken)
        print("%s: step %u of %u comes from %08x, not %08x; DR6 %08x\n", name, i, taken, at[i], want[i], dr6s[i]);
    check(name, !want[i] && i == taken, true);
}

static void skip_2(struct trap *t)
{
    t->eip += 2;
}

static void nothing(struct trap *t)
{
    (void)t;
}

// Three times: the code is new, known, and known to be stepped.
static void run32(const char *name, const u8 *code, const u32 *want)
{
    for (u32 i = 0; i < 3; i++) {
        taken = 0;
        write_dr6(0xffff0ff0);
        __asm__ volatile("pushal; call *%0; popal" : : "S"(code) : "memory", "cc");
        verdict(name, want);
    }
}

static void run16(const char *name, const u8 *code, const u32 *want)
{
    for (u32 i = 0; i < 3; i++) {
        struct {
            u32 offset;
            u16 selector;
        } __attribute__((packed)) pointer = { (u32)code - (u32)code16_base, CODE16 };

        taken = 0;
        write_dr6(0xffff0ff0);
        __asm__ volatile("pushal; lcall *(%0); popal" : : "S"(&pointer) : "memory", "cc");
        verdict(name, want);
    }
}
#define RUN32(name) run32(#name, name, name##_steps)
#define RUN16(name) run16(#name, name, name##_steps)

// ---- Into other rings
extern const u8 sysenter_1[], sysenter_2[], sysexit_1[], sysexit_2[];
__asm__(".pushsection .text\n"
        "sysexit_1: nop\n sysexit_2: pushfl; andl $~0x100, (%esp); popfl; ud2\n"
        "sysenter_1: nop\n sysenter_2: movl $sysexit_1, %edx; movl $user_stack_top - 64, %ecx; sysexit\n"
        ".popsection");

static void enters(void *unused)
{
    (void)unused;
    __asm__ volatile("pushfl; orl $0x100, (%%esp); popfl; sysenter" : : : "memory");
}

static void wrmsr(u32 msr, u32 value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"(value), "d"(0));
}

static void fast_calls(void)
{
    if (!cpu_has(11))
        return;
    // USER_CS and USER_DS are not where SYSEXIT wants them; the spare ones are.
    gdt[SEL(3) / 8] = gdt[KERNEL_CS / 8], gdt[SEL(4) / 8] = gdt[KERNEL_DS / 8];
    gdt[SEL(5) / 8] = gdt[USER_CS / 8], gdt[SEL(6) / 8] = gdt[USER_DS / 8];
    wrmsr(0x174, SEL(3));
    wrmsr(0x175, (u32)stack_top + 4096);
    wrmsr(0x176, (u32)sysenter_1);
    for (u32 i = 0; i < 3; i++) {
        taken = 0;
        check("SYSENTER and SYSEXIT", (u32)guarded_user(enters, NULL, 0x202), 6);
        check("SYSENTER leaves TF: a step at its target", at[0], (u32)sysenter_1);
        check("the next", at[1], (u32)sysenter_2);
        check("and so on", at[2], (u32)sysenter_2 + 5);
        check("", at[3], (u32)sysenter_2 + 10);
        check("SYSEXIT's target", at[4], (u32)sysexit_1);
        check("the next", at[5], (u32)sysexit_2);
        check("all", taken, 9);
        check("#UD's frame", last.cs, SEL(5) | 3);
    }
}

// A frame with TF, to CPL 3: the first step is behind the first instruction there. The handler's frame has TF, its code not.
static volatile u32 seen_flags;

static void look(struct trap *t)
{
    seen_flags = t->eflags << 1 | (read_eflags() >> 8 & 1);
}

static void user_code(void *unused)
{
    (void)unused;
    __asm__ volatile("nop; int $0x90; nop; pushfl; andl $~0x100, (%%esp); popfl" : : : "memory", "cc");
}

static void rings(void)
{
    for (u32 i = 0; i < 3; i++) {
        taken = 0;
        handle(0x90, look);
        check("CPL 3 with TF", (u32)guarded_user(user_code, NULL, 0x302), (u32)NO_FAULT);
        check("TF is in INT's frame, and clear in its handler", seen_flags >> 1 & TF, TF);
        check("", seen_flags & 1, 0);
        check("steps", taken, 5);
        handle(0x90, nothing);
    }
}

// ---- Tasks
static struct tss32 old, other;
extern const u8 task_code[], task_next[], task_end[];
__asm__(".pushsection .text\n"
        "task_code: nop\ntask_next: nop\n pushfl; andl $~0x100, (%esp); popfl; task_end: iret; "
        "jmp task_code\n.popsection");
static u32 task_stack[256];

static void tasks(void)
{
    static const u8 code[] = { 0x9a, 0, 0, 0, 0, SEL(8), 0, 0xc3 }; // CALL FAR; RET
    u16 kept;

    __asm__ volatile("str %0" : "=r"(kept));
    for (u32 gate_too = 0; gate_too < 2; gate_too++)
        for (u32 i = 0; i < 3; i++) {
            for (u32 k = 0; k < sizeof(code); k++)
                ((volatile u8 *)arena[1])[k] = code[k];
            arena[1][5] = gate_too ? SEL(9) : SEL(8);
            old = task32(NULL, 0);
            other = task32((void (*)(void))task_code, (u32)(task_stack + 250));
            other.eflags = 2 | TF;
            gdt[SEL(7) / 8] = descriptor((u32)&old, sizeof(old) - 1, 0x89, 0);
            gdt[SEL(8) / 8] = descriptor((u32)&other, sizeof(other) - 1, 0x89, 0);
            gdt[SEL(9) / 8] = gate(SEL(8), 0, 0x85);
            __asm__ volatile("ltr %w0" : : "r"(SEL(7)));
            taken = 0;
            __asm__ volatile("pushal; call *%0; popal; clts" : : "S"(arena[1]) : "memory", "cc");
            check("a task whose EFLAGS have TF", at[0], (u32)task_next);
            check("its next instruction", at[1], (u32)task_next + 1);
            check("until it clears TF", taken, 5);
            check("at its IRET", at[4], (u32)task_end);
            check("TF was never the caller's", read_eflags() & TF, 0);
        }
    gdt[kept / 8] &= ~(u64)(2ull << 40);
    __asm__ volatile("ltr %w0" : : "r"((u32)kept));
}

// ---- RF: an instruction breakpoint on each of these; how often it traps, and what is in the frames
static volatile u32 frame_rf;

static void note_rf(struct trap *t)
{
    taken++;
    frame_rf = t->eflags & RF;
    write_dr6(0xffff0ff0);
    t->eflags |= RF; // go on
}

// What the frame of an exception has; goes on behind the instruction, with RF as the test wants it.
static volatile u32 other_rf, return_rf, skip;

static void note_other(struct trap *t)
{
    other_rf = t->eflags & RF;
    t->eflags = (t->eflags & ~RF) | return_rf;
    t->eip += skip;
}

static void watch(const void *address)
{
    write_dr0((u32)address);
    write_dr7(0x402);
}

extern const u8 rf_nop[], rf_ud[], rf_after[], rf_int[], rf_rep[], rf_iret[], rf_popf[], rf_target[];
__asm__(".pushsection .text\n"
        "rf_nop: nop; ret\n"
        "rf_ud: ud2; rf_after: nop; ret\n"
        "rf_int: int $0x90; nop; ret\n"
        "rf_rep: rep stosb; ret\n"
        // A frame with RF: its instruction's breakpoint is not taken.
        "rf_iret: pushfl; orl $0x10000, (%esp); pushl %cs; pushl $rf_target; iret\n"
        "rf_popf: pushfl; orl $0x10000, (%esp); popfl\n"
        "rf_target: nop; pushfl; popl %eax; ret\n"
        ".popsection");

static u32 go(const void *code)
{
    u32 eax = 0;

    taken = 0;
    frame_rf = other_rf = 1;
    __asm__ volatile("pushl %%edi; call *%1; popl %%edi" : "+a"(eax) : "S"(code), "D"(arena[2]), "c"(5) : "edx", "memory", "cc");
    return eax;
}

static void resumes(void)
{
    handle(1, note_rf);
    for (u32 i = 0; i < 4; i++) {
        watch(rf_nop);
        go(rf_nop);
        check("a breakpoint, once", taken, 1);
        check("its frame has no RF", frame_rf, 0);
        handle(6, note_other);
        watch(rf_ud);
        skip = 2, return_rf = 0;
        go(rf_ud);
        check("on UD2", taken, 1);
        check("#UD's frame has RF", other_rf, RF);
        watch(rf_after);
        return_rf = RF;
        go(rf_ud);
        check("returned to with RF", taken, 0);
        return_rf = 0;
        go(rf_ud);
        check("and without", taken, 1);
        handle(6, NULL);
        handle(0x90, note_other);
        skip = 0;
        watch(rf_int);
        go(rf_int);
        check("on INT", taken, 1);
        check("whose frame has none, though it ran with RF", other_rf, 0);
        handle(0x90, nothing);
        watch(rf_rep);
        go(rf_rep);
        check("on REP STOS, before its first iteration", taken, 1);
        watch(rf_target);
        check("by IRET with RF", go(rf_iret) & RF, 0);
        check("none", taken, 0);
        check("by POPF with RF", go(rf_popf) & RF, 0);
        check("which does not set it", taken, 1);
        write_dr7(0x400);
    }
    handle(1, record);
}

// A fault in the middle of REP: #PF's frame has RF, and ECX what is left.
static volatile u32 fault_ecx;

static void map_page(struct trap *t)
{
    other_rf = t->eflags & RF;
    fault_ecx = t->ecx;
    page_table[(u32)arena[6] >> 12] = (u32)arena[6] | 7;
    invlpg((u32)arena[6]);
}

static void repeated_fault(void)
{
    handle(14, map_page);
    for (u32 i = 0; i < 3; i++) {
        page_table[(u32)arena[6] >> 12] = 0;
        invlpg((u32)arena[6]);
        other_rf = 1;
        __asm__ volatile("rep stosb" : : "D"(arena[6] - 3), "c"(10), "a"(0) : "memory");
        check("#PF in REP STOS: RF", other_rf, RF);
        check("  ECX", fault_ecx, 7);
    }
    handle(14, NULL);
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    write_cr0(read_cr0() & ~0xcu);
    gdt[CODE16 / 8] = descriptor((u32)code16_base, 0xffff, 0x9b, 0);
    for (u32 paging = 0; paging < 2; paging++) {
        print(paging ? "with paging\n" : "without paging\n");
        if (paging)
            paging_on();
        gdt[SEL(1) / 8] = gate(KERNEL_CS, (u32)far32_steps[9], 0x8c); // call gates of 32 bits, 38h and 40h
        gdt[SEL(2) / 8] = gate(KERNEL_CS, (u32)far32_steps[9], 0x8c);
        handle(1, record);
        handle(3, nothing);
        handle(4, nothing);
        handle(0x90, nothing);
        handle(6, skip_2);
        handle(0, skip_2);
        RUN32(jcc32);
        RUN32(loops32);
        RUN32(calls32);
        RUN32(far32);
        RUN32(iret32);
        RUN32(ints32);
        RUN32(faults32);
        RUN32(strings32);
        RUN32(shadows32);
        RUN16(jcc16);
        RUN16(loops16);
        RUN16(calls16);
        RUN16(far16);
        RUN16(iret16);
        RUN16(ints16);
        handle(6, NULL);
        handle(0, NULL);
        rings();
        fast_calls();
        gdt[SEL(3) / 8] = 0;
        tasks();
        resumes();
        if (paging)
            repeated_fault();
    }
    finish();
}
