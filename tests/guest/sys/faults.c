// SPDX-License-Identifier: GPL-2.0-or-later
// Which exception comes first, and what becomes of one that comes up in the delivery of another: pages of the stack,
// the IDT, the GDT and the TSS that are missing, bad inner stacks, error codes with EXT, classes (SDM 3A 6.9, 6.15).
// Run: tests/guest/run-sys faults
#include "tests/guest/lib/modes.h"

#define SEL(i) (SPARE + 8 * (i))

static u8 *const hole = arena[3]; // never mapped here
static u64 *const moved_idt = (u64 *)arena[6];

struct table {
    u16 limit;
    u32 base;
} __attribute__((packed));

static void set_pte(const void *p, u32 entry)
{
    page_table[(u32)p >> 12] = entry;
    invlpg((u32)p);
}

#define CASE(name, code)                                                                     \
    static void name(void *p)                                                                \
    {                                                                                        \
        (void)p;                                                                             \
        __asm__ volatile(code : : "d"(p) : "eax", "ecx", "memory", "cc");                    \
    }
CASE(ud2, "ud2")
CASE(int90, "int $0x90")
CASE(int_none, "int $0x20")
CASE(read_hole, "movl (%%edx), %%eax")
CASE(divide, "xorl %%ecx, %%ecx; divl %%ecx")
CASE(divide_hole, "divl (%%edx)")
CASE(fpu, "fld1")
CASE(fpu_hole, "flds (%%edx)")
CASE(lock_nop, ".byte 0xf0, 0x90")
CASE(lock_hole, ".byte 0xf0, 0x8b, 0x02") // LOCK MOV EAX, [EDX]
CASE(long_insn, ".byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90")
CASE(hlt_hole, "hlt")
CASE(unaligned, "movl 1(%%edx), %%eax")
CASE(load_ss, "movl %%edx, %%eax; movl %%eax, %%ss")
CASE(into, "movb $0x7f, %%al; incb %%al; into")
CASE(bound_hole, "movl $1, %%eax; boundl %%eax, (%%edx)")
CASE(int3, "int3")
CASE(sse_unaligned, "movaps 4(%%edx), %%xmm0")
CASE(movs_hole, "leal arena, %%esi; movl %%edx, %%edi; movl $1, %%ecx; rep movsl")

static void both(const char *name, void (*f)(void *), void *p, int vector, u32 error)
{
    check(name, (u32)guarded_call(f, p), (u32)vector);
    check("  error code", last.error, error);
}

static void user(const char *name, void (*f)(void *), void *p, u32 flags, int vector, u32 error)
{
    check(name, (u32)guarded_user(f, p, flags), (u32)vector);
    check("  error code", last.error, error);
}

// ---- Of several exceptions of one instruction
static void priorities(void)
{
    set_pte(hole, 0);
    both("LOCK on NOP", lock_nop, NULL, 6, 0);
    both("LOCK on MOV goes before its operand", lock_hole, hole, 6, 0);
    both("16 bytes", long_insn, NULL, 13, 0);
    both("a missing operand before the division", divide_hole, hole, 14, 0);
    write_cr0(read_cr0() | 8);
    both("TS before the operand", fpu_hole, hole, 7, 0);
    write_cr0(read_cr0() & ~8u);
    both("the operand", fpu_hole, hole, 14, 0);
    user("CPL before all else", hlt_hole, hole, 0x202, 13, 0);
    write_cr0(read_cr0() | 0x40000);
    user("alignment before the page", unaligned, hole, 0x40202, 17, 0);
    user("the page without AC", unaligned, hole, 0x202, 14, 4);
    write_cr0(read_cr0() & ~0x40000u);
    write_cr4(read_cr4() | 0x600);
    both("SSE's own alignment", sse_unaligned, arena[0], 13, 0);
    both("goes before the page", sse_unaligned, hole, 13, 0);
    both("BOUND's operand", bound_hole, hole, 14, 0);
    user("a movs to nowhere", movs_hole, hole, 0x202, 14, 6);
    both("INT n without a gate's fault: DPL is no matter at CPL 0", int_none, NULL, 0x20, 0);
    user("at CPL 3 it is", int_none, NULL, 0x202, 13, 0x20 * 8 + 2);
    set_pte(hole, (u32)hole | 7);
}

// ---- The IDT
static void use_idt(u32 limit)
{
    struct table t = { (u16)limit, (u32)moved_idt };

    __asm__ volatile("lidt %0" : : "m"(t));
}

static void idt_faults(void)
{
    // The IDT starts 128 vectors below a page's end: what is above 7f lies in the next page.
    for (u32 i = 0; i < 256; i++)
        moved_idt[384 + i] = idt[i];
    {
        struct table t = { 0x7ff, (u32)&moved_idt[384] };

        __asm__ volatile("lidt %0" : : "m"(t));
    }
    both("through the moved table", int90, NULL, 0x90, 0);
    set_pte(arena[7], 0);
    both("a gate in a missing page", int90, NULL, 14, 0);
    check("CR2 is the gate", last_cr2, (u32)&moved_idt[384 + 0x90]);
    check("EIP is the INT", *(u8 *)last.eip, 0xcd);
    user("from CPL 3: a supervisor's access", int90, NULL, 0x202, 14, 0);
    set_pte(arena[7], (u32)arena[7] | 7);
    for (u32 i = 0; i < 256; i++)
        moved_idt[i] = idt[i];
    use_idt(0x90 * 8 + 6);
    both("a gate beyond the limit", int90, NULL, 13, 0x90 * 8 + 2);
    use_idt(0x90 * 8 + 7);
    both("within", int90, NULL, 0x90, 0);
    // #UD's gate is missing, #NP's is there: contributory after benign.
    use_idt(0x7ff);
    moved_idt[6] &= ~(0x80ull << 40);
    both("benign, then #NP", ud2, NULL, 11, 6 * 8 + 3);
    moved_idt[11] &= ~(0x80ull << 40);
    both("then #NP again: a double fault", ud2, NULL, 8, 0);
    moved_idt[11] = idt[11];
    moved_idt[6] = idt[6];
    moved_idt[14] &= ~(0x80ull << 40);
    set_pte(hole, 0);
    both("#PF, then #NP: a double fault", read_hole, hole, 8, 0);
    check("CR2 is the first one's", last_cr2, (u32)hole);
    moved_idt[14] = gate(KERNEL_DS, 0, 0x8e);
    both("#PF, then #GP", read_hole, hole, 8, 0);
    moved_idt[14] = idt[14];
    moved_idt[0] = gate(KERNEL_DS, 0, 0x8e);
    both("#DE, then #GP", divide, NULL, 8, 0);
    moved_idt[0] = gate(0, 0, 0x8e);
    both("#DE, then #GP of a null selector", divide, NULL, 8, 0);
    moved_idt[0] = idt[0];
    moved_idt[3] = gate(KERNEL_DS, 0, 0xee);
    both("INT3, then #GP: no EXT", int3, NULL, 13, KERNEL_DS);
    check("EIP is the INT3", *(u8 *)last.eip, 0xcc);
    moved_idt[3] = idt[3];
    moved_idt[4] = gate(KERNEL_CS, 0, 0x6e);
    both("INTO, then #NP: no EXT", into, NULL, 11, 4 * 8 + 2);
    moved_idt[4] = idt[4];
    moved_idt[7] = gate(KERNEL_DS, 0, 0x8e);
    write_cr0(read_cr0() | 8);
    both("#NM, then #GP: EXT", fpu, NULL, 13, KERNEL_DS + 1);
    write_cr0(read_cr0() & ~8u);
    moved_idt[7] = idt[7];
    moved_idt[0x90] = gate(KERNEL_CS, (u32)trap_stubs, 0xe5);
    both("a task gate to code", int90, NULL, 13, KERNEL_CS);
    moved_idt[0x90] = gate(KERNEL_CS, (u32)trap_stubs, 0xe0);
    both("type 0", int90, NULL, 13, 0x90 * 8 + 2);
    moved_idt[0x90] = gate(KERNEL_CS, (u32)trap_stubs, 0xf2);
    both("a data segment in the IDT", int90, NULL, 13, 0x90 * 8 + 2);
    gdt[SEL(0) / 8] = descriptor(0, 0xfff, 0x9b, 4);
    moved_idt[0x90] = gate(SEL(0), (u32)trap_stubs, 0xee);
    both("an offset over the limit of CS", int90, NULL, 13, 0);
    gdt[SEL(0) / 8] = descriptor(0, 0xfffff, 0x1b, 12);
    both("CS not present", int90, NULL, 11, SEL(0));
    {
        struct table t = { 0x7ff, (u32)idt };

        __asm__ volatile("lidt %0" : : "m"(t));
    }
    set_pte(hole, (u32)hole | 7);
}

// ---- The inner stack. The handlers of #TS, #SS and #DF need one of their own: they are a task.
static struct tss32 judge;
extern u32 judged_error;
u32 judged_error;
extern void judging(void);
__asm__("judging: popl judged_error; call judged");
static volatile u32 judged_vector, current;

#define JUDGE SEL(4)

static __attribute__((used)) void judged(void)
{
    judged_vector = current;
    // Back into the guarded call: as a jump to the first task with its registers mended.
    gdt[TSS_SELECTOR / 8] &= ~(2ull << 40);
    __asm__ volatile("clts");
    tss[2] = KERNEL_DS;
    tss[1] = (u32)trap_stack_top;
    {
        u32 far[2] = { 0, TSS_SELECTOR };

        __asm__ volatile("ljmp *%0" : : "m"(far) : "memory");
    }
}

static void judge_by(u8 vector)
{
    judge = task32(judging, (u32)arena[10]);
    gdt[JUDGE / 8] = descriptor((u32)&judge, sizeof(judge) - 1, 0x89, 0);
    idt[vector] = gate(JUDGE, 0, 0x85);
    current = vector;
    judged_vector = 0xdead;
    judged_error = 0xdead;
}

static void undefined(void *unused)
{
    (void)unused;
    __asm__ volatile("ud2");
}

static void inner(const char *name, u8 vector, u32 esp0, u32 ss0, u32 error)
{
    u64 kept = idt[vector];
    int got;

    judge_by(vector);
    tss[1] = esp0;
    tss[2] = ss0;
    got = guarded_user(undefined, NULL, 0x202);
    idt[vector] = kept;
    tss[1] = (u32)trap_stack_top;
    tss[2] = KERNEL_DS;
    check(name, judged_vector, vector);
    check("  its error code", judged_error, error);
    check("  the faulting code goes on", (u32)got, (u32)NO_FAULT);
}

static void resume_6(struct trap *t)
{
    t->eip += 2;
}

static void inner_stacks(void)
{
    tss[7] = read_cr3();
    handle(6, resume_6);
    inner("SS0 null", 10, (u32)trap_stack_top, 0, 0 + 1);
    inner("SS0 of CPL 3", 10, (u32)trap_stack_top, USER_DS, (USER_DS & ~3u) + 1);
    inner("SS0 beyond the GDT", 10, (u32)trap_stack_top, 0x1000, 0x1000 + 1);
    inner("SS0 is code", 10, (u32)trap_stack_top, KERNEL_CS, KERNEL_CS + 1);
    gdt[SEL(1) / 8] = descriptor(0, 0xfffff, 0x91, 0xc);
    inner("SS0 read-only", 10, (u32)trap_stack_top, SEL(1), SEL(1) + 1);
    gdt[SEL(1) / 8] = descriptor(0, 0xfffff, 0x13, 0xc);
    inner("SS0 not present", 12, (u32)trap_stack_top, SEL(1), SEL(1) + 1);
    gdt[SEL(1) / 8] = descriptor(0, 0xfff, 0x93, 4);
    inner("ESP0 over the limit of SS0", 12, (u32)trap_stack_top, SEL(1), SEL(1) + 1);
    set_pte(hole, 0);
    inner("ESP0 in a missing page", 8, (u32)hole + 64, KERNEL_DS, 0);
    set_pte(hole, (u32)hole | 1);
    inner("ESP0 in a read-only page", 8, (u32)hole + 64, KERNEL_DS, 0);
    set_pte(hole, (u32)hole | 7);
    handle(6, NULL);
}

// ---- A GDT whose second part, from selector 40h on, is in another page
static void tables(void)
{
    u64 *split = (u64 *)(arena[9] - 0x40);
    struct table t = { 0x7f, (u32)split }, old = { sizeof(gdt) - 1, (u32)gdt };

    for (u32 i = 0; i < 16; i++)
        split[i] = gdt[i];
    split[8] = descriptor(0, 0xfffff, 0x92, 0xc);
    __asm__ volatile("lgdt %0" : : "m"(t));
    set_pte(arena[9], 0);
    both("a selector load, its descriptor's page missing", load_ss, (void *)0x40, 14, 0);
    check("CR2 is the descriptor", last_cr2, (u32)&split[8]);
    set_pte(arena[9], (u32)arena[9] | 1);
    both("A can't be set in a read-only page", load_ss, (void *)0x40, 14, 3);
    check("CR2 is in it", last_cr2 & ~7u, (u32)&split[8]);
    set_pte(arena[9], (u32)arena[9] | 3);
    both("a selector load", load_ss, (void *)0x40, NO_FAULT, last.error);
    check("sets A", (u32)(split[8] >> 40) & 1, 1);
    set_pte(arena[9], (u32)arena[9] | 7);
    __asm__ volatile("movl %0, %%ss" : : "r"(KERNEL_DS));
    __asm__ volatile("lgdt %0" : : "m"(old));
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    write_cr0(read_cr0() & ~0xcu);
    paging_on();
    for (u32 round = 0; round < 3; round++) {
        priorities();
        idt_faults();
        inner_stacks();
        tables();
    }
    finish();
}
