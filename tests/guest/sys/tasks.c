// SPDX-License-Identifier: GPL-2.0-or-later
// Hardware tasks: the switch by CALL, JMP, INT, exception and IRET between 32- and 16-bit tasks; busy bits, NT,
// links, LDT, CR3, TS, the T bit, error codes on the new stack, and each way it fails (SDM 3A chapter 7).
// Run: tests/guest/run-sys tasks
#include "tests/guest/lib/modes.h"

#define SEL(i) (SPARE + 8 * (i))
#define MAIN TSS_SELECTOR
#define OTHER SEL(0)
#define SMALL SEL(1) // a 16-bit task
#define GATE SEL(2)
#define LDT SEL(3)

static struct tss32 other;
static struct tss16 small;
static u64 ldt[4];
static volatile u32 seen[8], visits;

static u32 type_of(u32 selector)
{
    return (u32)(gdt[selector / 8] >> 40) & 15;
}

static void set_busy(u32 selector, bool busy)
{
    gdt[selector / 8] = (gdt[selector / 8] & ~(2ull << 40)) | (u64)(busy ? 2 : 0) << 40;
}

static void call_task(void *selector)
{
    u32 pointer[2] = { 0x1234, (u32)selector };

    __asm__ volatile("lcall *%0" : : "m"(pointer) : "memory", "cc");
}

static void jump_task(void *selector)
{
    u32 pointer[2] = { 0x1234, (u32)selector };

    __asm__ volatile("ljmp *%0" : : "m"(pointer) : "memory", "cc");
}

static void int_task(void *unused)
{
    (void)unused;
    __asm__ volatile("int $0x91");
}

// ---- The other task's code
static void returning(void)
{
    for (;;) {
        visits++;
        seen[0] = read_eflags();
        seen[1] = read_cr0();
        __asm__ volatile("str %%ax; movzwl %%ax, %%eax; movl %%eax, %0" : "=m"(seen[2]) : : "eax");
        __asm__ volatile("clts; iret");
    }
}

static void jumping(void)
{
    for (;;) {
        visits++;
        jump_task((void *)MAIN);
    }
}

static void reset_other(void (*entry)(void))
{
    other = task32(entry, (u32)arena[4]);
    gdt[OTHER / 8] = descriptor((u32)&other, sizeof(other) - 1, 0x89, 0);
    gdt[GATE / 8] = gate(OTHER, 0, 0xe5);
    idt[0x91] = gate(OTHER, 0, 0xe5);
    set_busy(MAIN, true);
}

static void switches(void)
{
    reset_other(returning);
    visits = 0;
    call_task((void *)OTHER);
    check("CALL of a TSS", visits, 1);
    check("NT in the new task", seen[0] & 0x4000, 0x4000);
    check("and not in ours", read_eflags() & 0x4000, 0);
    check("TS", seen[1] & 8, 8);
    check("TR", seen[2], OTHER);
    check("the link", other.link, MAIN);
    check("the other is available again", type_of(OTHER), 9);
    check("we are busy", type_of(MAIN), 11);
    check("NT was cleared in the saved flags", other.eflags & 0x4000, 0);
    check("its EIP was saved behind the IRET", *(u8 *)(other.eip - 1), 0xcf);
    call_task((void *)GATE);
    check("CALL of a task gate goes on there", visits, 2);
    int_task(NULL);
    check("INT through a task gate", visits, 3);
    check("from CPL 3", (u32)guarded_user(int_task, NULL, 0x202), (u32)NO_FAULT);
    check("goes there", visits, 4);
    check("CALL of the gate from CPL 3", (u32)guarded_user(call_task, (void *)(GATE | 3), 0x202),
          (u32)NO_FAULT);
    check("goes there", visits, 5);
    check("of the TSS itself is denied", (u32)guarded_user(call_task, (void *)(OTHER | 3), 0x202), 13);
    check("its error code", last.error, OTHER);
    reset_other(jumping);
    visits = 0;
    jump_task((void *)OTHER);
    check("JMP and back", visits, 1);
    check("the other is available", type_of(OTHER), 9);
    check("we are busy", type_of(MAIN), 11);
    check("no NT", read_eflags() & 0x4000, 0);
    check("no link", other.link, 0);
    for (u32 i = 0; i < 100; i++)
        jump_task((void *)GATE);
    check("a hundred times", visits, 101);
    __asm__ volatile("clts");
}

// ---- Registers
static void show_registers(void)
{
    __asm__ volatile("movl %%eax, %0; movl %%edi, %1; movl %%ebp, %2; movw %%fs, %%ax; movzwl %%ax, %%eax;"
                     "movl %%eax, %3; movl %%esp, %4; clts; iret"
                     : "=m"(seen[0]), "=m"(seen[1]), "=m"(seen[2]), "=m"(seen[3]), "=m"(seen[4]));
}

static void registers(void)
{
    u32 kept_ebx = 0;

    reset_other(show_registers);
    other.eax = 0x11111111, other.edi = 0x22222222, other.ebp = 0x33333333;
    other.fs = USER_DS;
    __asm__ volatile("movl $0x55aa55aa, %%ebx; lcall %1, $0; movl %%ebx, %0"
                     : "=r"(kept_ebx) : "i"(OTHER) : "ebx", "memory", "cc");
    check("EAX of the TSS", seen[0], 0x11111111);
    check("EDI", seen[1], 0x22222222);
    check("EBP", seen[2], 0x33333333);
    check("FS", seen[3], USER_DS);
    check("ESP", seen[4], (u32)arena[4]);
    check("our EBX comes back", kept_ebx, 0x55aa55aa);
    check("ours was saved", tss[13], 0x55aa55aa); // EBX
    check("CS too", tss[19], KERNEL_CS);
    check("FS is written back", other.fs, USER_DS);
}

// A task with its own LDT and its own address space.
static u32 other_directory[1024] __attribute__((aligned(4096)));
static u32 other_table[1024] __attribute__((aligned(4096)));

static void ldt_user(void)
{
    __asm__ volatile("movl %%fs:0, %%eax; movl %%eax, %0; sldt %%ax; movzwl %%ax, %%eax; movl %%eax, %1;"
                     "movl arena + 0x5000, %%eax; movl %%eax, %2; clts; iret"
                     : "=m"(seen[0]), "=m"(seen[1]), "=m"(seen[2]));
}

static void spaces(void)
{
    paging_on();
    for (u32 i = 0; i < 1024; i++) {
        other_directory[i] = page_directory[i];
        other_table[i] = page_table[((u32)arena[5] >> 22) * 1024 + i];
    }
    other_directory[(u32)arena[5] >> 22] = (u32)other_table | 7;
    other_table[(u32)arena[5] >> 12 & 1023] = (u32)arena[6] | 7;
    *(volatile u32 *)arena[5] = 0x5555;
    *(volatile u32 *)arena[6] = 0x6666;
    *(volatile u32 *)arena[7] = 0x7777;
    ldt[1] = descriptor((u32)arena[7], 0xfff, 0x93, 4);
    gdt[LDT / 8] = descriptor((u32)ldt, sizeof(ldt) - 1, 0x82, 0);
    reset_other(ldt_user);
    other.cr3 = (u32)other_directory;
    other.ldt = LDT;
    other.fs = 12;
    tss[7] = (u32)page_directory; // CR3 is static: we are returned to by it
    call_task((void *)OTHER);
    check("a segment of the task's LDT", seen[0], 0x7777);
    check("its LDTR", seen[1], LDT);
    check("its address space", seen[2], 0x6666);
    check("ours again", *(volatile u32 *)arena[5], 0x5555);
    check("our CR3", read_cr3(), (u32)page_directory);
}

// ---- Failures before the switch: in the old task, which stays as it is
static void fail(const char *name, void (*how)(void *), u32 selector, int vector, u32 error)
{
    check(name, (u32)guarded_call(how, (void *)selector), (u32)vector);
    check("  its error code", last.error, error);
}

static void failures(void)
{
    reset_other(returning);
    gdt[OTHER / 8] = descriptor((u32)&other, 0x66, 0x89, 0);
    fail("a limit below 103", call_task, OTHER, 10, OTHER);
    fail("by INT, which is not external", int_task, 0, 10, OTHER);
    reset_other(returning);
    set_busy(OTHER, true);
    fail("a busy TSS", call_task, OTHER, 13, OTHER);
    fail("by JMP", jump_task, OTHER, 13, OTHER);
    fail("through a gate", call_task, GATE, 13, OTHER);
    fail("by INT", int_task, 0, 13, OTHER);
    reset_other(returning);
    gdt[OTHER / 8] &= ~(0x80ull << 40);
    fail("not present", call_task, OTHER, 11, OTHER);
    fail("through a gate", call_task, GATE, 11, OTHER);
    gdt[GATE / 8] &= ~(0x80ull << 40);
    fail("a gate not present", call_task, GATE, 11, GATE);
    gdt[GATE / 8] = gate(KERNEL_DS, 0, 0xe5);
    fail("a gate to no TSS", call_task, GATE, 13, KERNEL_DS);
    gdt[GATE / 8] = gate(0, 0, 0xe5);
    fail("to null", call_task, GATE, 13, 0);
    gdt[GATE / 8] = gate(OTHER | 4, 0, 0xe5);
    fail("to the LDT", call_task, GATE, 13, OTHER | 4);
    check("still in the first task", type_of(MAIN), 11);
}

// ---- Failures in the new task: #TS there, with the new TSS loaded
// The handler is a task itself: the error code is on its stack, the failing task in its link. MAIN is
// busy while a nested task runs, and has to be made available before a JMP leads back to it.
extern u32 caught_error;
u32 caught_error;
extern void catching(void);
__asm__("catching: popl caught_error; call caught");

static __attribute__((used)) void caught(void)
{
    seen[0] = caught_error;
    set_busy(MAIN, false);
    __asm__ volatile("clts");
    jump_task((void *)MAIN);
}

static struct tss32 catcher;
#define CATCHER SEL(4)

static void fail_inside(const char *name, u32 error, u8 vector)
{
    u64 kept = idt[vector];

    catcher = task32(catching, (u32)arena[10]);
    gdt[CATCHER / 8] = descriptor((u32)&catcher, sizeof(catcher) - 1, 0x89, 0);
    gdt[OTHER / 8] = descriptor((u32)&other, sizeof(other) - 1, 0x89, 0);
    idt[vector] = gate(CATCHER, 0, 0x85);
    set_busy(MAIN, true);
    seen[0] = seen[1] = 0xdead;
    call_task((void *)OTHER);
    idt[vector] = kept;
    check(name, seen[0], error);
    check("  taken in the new task", catcher.link, OTHER);
}

static void failures_inside(void)
{
    reset_other(returning);
    other.cs = 0;
    fail_inside("a null CS", 0, 10);
    reset_other(returning);
    other.cs = KERNEL_DS;
    fail_inside("CS is data", KERNEL_DS, 10);
    reset_other(returning);
    other.ss = 0;
    fail_inside("a null SS", 0, 10);
    reset_other(returning);
    other.ss = USER_DS;
    fail_inside("SS of another privilege", USER_DS & ~3u, 10);
    reset_other(returning);
    other.ds = 0xff8;
    fail_inside("DS beyond the GDT", 0xff8, 10);
    reset_other(returning);
    other.gs = MAIN;
    fail_inside("GS is a TSS", MAIN, 10);
    reset_other(returning);
    other.ldt = KERNEL_DS;
    fail_inside("LDT is data", KERNEL_DS, 10);
    reset_other(returning);
    gdt[LDT / 8] = descriptor(0, 0xfff, 0x13, 4);
    other.ds = LDT;
    fail_inside("DS not present", LDT, 11);
    reset_other(returning);
    other.ss = LDT;
    fail_inside("SS not present", LDT, 12);
}

// ---- IRET with NT, and its failures
static void nested_iret(void *link)
{
    *(volatile u16 *)tss = (u16)(u32)link;
    __asm__ volatile("pushfl; orl $0x4000, (%%esp); popfl; iret" : : : "memory", "cc");
}

static void links(void)
{
    reset_other(returning);
    set_busy(OTHER, true);
    fail("IRET to no task", nested_iret, 0, 10, 0);
    check("NT in its frame", last.eflags & 0x4000, 0x4000);
    fail("to a data segment", nested_iret, KERNEL_DS, 10, KERNEL_DS);
    set_busy(OTHER, false);
    fail("to a task that is not busy", nested_iret, OTHER, 10, OTHER);
    fail("into the LDT", nested_iret, OTHER | 4, 10, OTHER | 4);
    *(volatile u16 *)tss = 0;
}

// ---- 16-bit tasks
static void sixteen(void)
{
    static const u8 code[] = {
        0xb8, 0x34, 0x12,             // mov ax, 1234
        0x66, 0x89, 0xc3,             // mov ebx, eax
        0xcf,                         // iret
    };

    for (u32 i = 0; i < sizeof(code); i++)
        arena[12][i] = code[i];
    small = (struct tss16){ .ip = 0, .flags = 2, .sp = 0xff0, .cs = SEL(5), .ss = SEL(6), .ds = SEL(6),
                            .es = SEL(6), .ax = 1, .bx = 2 };
    gdt[SEL(5) / 8] = descriptor((u32)arena[12], 0xfff, 0x9b, 0);
    gdt[SEL(6) / 8] = descriptor((u32)arena[13], 0xfff, 0x93, 0);
    gdt[SMALL / 8] = descriptor((u32)&small, sizeof(small) - 1, 0x81, 0);
    set_busy(MAIN, true);
    call_task((void *)SMALL);
    check("a 16-bit task ran", small.bx, 0x1234);
    check("its IP", small.ip, 7);
    check("its link", small.link, MAIN);
    check("is available", type_of(SMALL), 1);
    gdt[SMALL / 8] = descriptor((u32)&small, 42, 0x81, 0);
    fail("a limit below 43", call_task, SMALL, 10, SMALL);
    __asm__ volatile("clts");
}

// ---- The T bit, and a double fault that finds a task
static volatile u32 debug_eip, debug_dr6;

static void debug_trap(struct trap *t)
{
    debug_eip = t->eip;
    debug_dr6 = read_dr6();
    write_dr6(0xffff0ff0);
}

extern const u8 df_next[];
extern void double_fault(void);
__asm__("double_fault: popl caught_error; call mend");

static __attribute__((used)) void mend(void)
{
    tss[8] = (u32)df_next; // the EIP of the task that failed
    caught();
}

static void special(void)
{
    u64 df = idt[8];

    handle(1, debug_trap);
    reset_other(returning);
    other.trap = 1;
    debug_eip = 0;
    call_task((void *)OTHER);
    check("the T bit traps before the first instruction", debug_eip, (u32)returning);
    check("DR6.BT", debug_dr6 & 0xe00f, 0x8000);
    handle(1, NULL);
    // A stack that is not there: #PF, then #PF in its delivery, then the task of #DF.
    catcher = task32(double_fault, (u32)arena[10]);
    gdt[CATCHER / 8] = descriptor((u32)&catcher, sizeof(catcher) - 1, 0x89, 0);
    idt[8] = gate(CATCHER, 0, 0x85);
    seen[0] = 0xdead;
    __asm__ volatile("movl %%esp, %%ebx; movl $0x70000000, %%esp\n"
                     ".globl df_push, df_next\n"
                     "df_push: pushl %%eax\n df_next: movl %%ebx, %%esp\n"
                     : : : "eax", "ebx", "memory");
    idt[8] = df;
    check("the double fault's error code", seen[0], 0);
    check("its link", catcher.link, MAIN);
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    switches();
    registers();
    failures();
    links();
    sixteen();
    spaces();
    switches();
    failures();
    failures_inside();
    special();
    finish();
}
