// SPDX-License-Identifier: GPL-2.0-or-later
// Mixed modes: 16-bit stacks under 32-bit code and 32-bit stacks under 16-bit code, 16-bit gates, paging and
// protection switched in the middle of straight-line code, real mode from here and back with big limits
// and A20 either way (SDM 3A 9.9, chapter 20 and 21).
// Run: tests/guest/run-sys modes
#include "tests/guest/lib/kernel.h"

#define SEL(i) (SPARE + 8 * (i))
#define CODE16 SEL(0)  // at linear 0x8000
#define DATA16 SEL(1)  // a 16-bit stack
#define CODE32 SEL(2)  // 32-bit, at linear 0x8000
#define BIG SEL(3)     // flat data

// The blocks are copied to 0x8000. Interrupts stay off; the results are left in `out`, a page below 1 MiB.
static volatile u32 *const out = (volatile u32 *)0xa000;

#define BLOCK(name, bits, code)                                                              \
    extern const u8 name##_start[], name##_end[];                                            \
    __asm__(".pushsection .text\n.code" #bits "\n" #name "_start:\n" code "\n" #name         \
            "_end:\n.code32\n.popsection")

static void copy(const u8 *start, const u8 *end)
{
    for (u32 i = 0; start + i < end; i++)
        ((volatile u8 *)0x8000)[i] = start[i];
}

static void far_call(u32 selector)
{
    u32 pointer[2] = { 0, selector };

    __asm__ volatile("pushal; lcall *(%0); popal" : : "r"(pointer) : "memory", "cc");
}

#define RUN(name, selector) (copy(name##_start, name##_end), far_call(selector))

// ---- 16-bit code in protected mode, on the kernel's 32-bit stack. RETs are 32-bit far ones.
BLOCK(sixteen, 16, "movl %esp, %esi; pushw $0x1234; pushl $0x56789abc; popl %eax; popw %bx; pushal; popal;"
                   "movl %eax, 0xa000; movw %bx, 0xa004; call 1f; movl %esp, %eax; subl %esi, %eax;"
                   "movl %eax, 0xa008; movl $0xa00c, %edi; movl $0x11223344, (%edi); .byte 0x66; lret;"
                   "1: movl %esp, %edx; movzwl (%esp), %ecx; movl %ecx, 0xa010; ret");
BLOCK(enters, 16, "movl %esp, %esi; movl %ebp, %edi; enterl $8, $0; movl %esp, %eax; subl %esi, %eax;"
                  "movl %eax, 0xa000; leavel; movl %esp, %eax; subl %esi, %eax; movl %eax, 0xa004;"
                  "subl %edi, %ebp; movl %ebp, 0xa008; movl %edi, %ebp; .byte 0x66; lret");
// A 16-bit stack, under 32-bit code: only SP moves, whatever the upper half of ESP.
BLOCK(small_stack, 32, "movl %ss, %ebx; movl %esp, %esi; movl $0x38, %eax; movl %eax, %ss;"
                       "movl $0x12340004, %esp; pushl $0x11111111; movl %esp, 0xa000; pushw $0x2222;"
                       "call 1f; 1: popl %eax; movl %esp, 0xa004; popw %cx; movzwl %cx, %ecx;"
                       "movl %ecx, 0xa008; popl %edx; movl %edx, 0xa00c; movl %esp, 0xa010;"
                       "pushal; movl %esp, 0xa014; popal; enter $16, $0; movl %esp, 0xa018; leave;"
                       "movl %esp, 0xa01c; pushfl; popl %eax; int $0x90; movl %esp, 0xa020;"
                       "movl %ebx, %ss; movl %esi, %esp; lret");
// CR0.PG and CR0.PE in straight-line code.
BLOCK(switches, 32, "movl %cr0, %eax; movl %eax, %ebx; andl $0x7fffffff, %eax; orl $0x80000000, %ebx;"
                    "movl $50, %ecx; xorl %edx, %edx;"
                    "1: movl %eax, %cr0; addl 0xb000, %edx; movl %ebx, %cr0; addl 0xb000, %edx; loop 1b;"
                    "movl %eax, %cr0; addl 0xb000, %edx; movl %edx, 0xa000; lret");
// To real mode and back, from a 16-bit segment. GS keeps a limit of 4 GiB.
BLOCK(real, 16, "pushl %eax; movl %ss, %ebx; movl %esp, %esi; movw $0x48, %ax; movw %ax, %gs;"
                "movw $0x38, %ax; movw %ax, %ss; movw %ax, %ds; movw %ax, %es; movl $0x7000, %esp;"
                "movl %cr0, %eax; andb $0xfe, %al; movl %eax, %cr0;"
                "ljmpw $0x800, $1f - real_start\n"
                "1: xorw %ax, %ax; movw %ax, %ds; movw %ax, %es; movw %ax, %ss; movw $0x7000, %sp;"
                "movw %cs, 0xa000; smsw %ax; movw %ax, 0xa002; movl $0x100000, %edi;"
                "movl %gs:(%edi), %eax; movl %eax, 0xa004;"
                "movw $0xffff, %ax; movw %ax, %es; movl %es:0x10, %eax; movl %eax, 0xa008; movb %al, %es:0x10;"
                "movw $0x1234, %bp; pushw %bp; popw %cx; movw %cx, 0xa00c;"
                "sgdt 0xa010; movl $0x12345678, %edx; movw $0xfff0, %di; movw $0xffff, %bp;"
                "movw $5, %cx; xorw %ax, %ax; 2: addw %cx, %ax; loop 2b;"
                "movw %ax, 0xa00e; movl %cr0, %eax; orb $1, %al; movl %eax, %cr0;"
                "ljmpl $0x8, $3f - real_start + 0x8000\n.code32\n"
                "3: movl $0x10, %eax; movl %eax, %ds; movl %eax, %es; movl %eax, %ss; movl %esi, %esp;"
                "popl %eax; lret\n.code16");
BLOCK(a20_off, 32, "movb $0, %al; outb %al, $0x92; movl 0x100500, %eax; movl %eax, 0xa000;"
                   "movl $0x77777777, 0x100504; movb $2, %al; outb %al, $0x92;"
                   "movl 0x500, %eax; movl %eax, 0xa004; movl 0x504, %eax; movl %eax, 0xa008;"
                   "movl 0x100500, %eax; movl %eax, 0xa00c; lret");

extern u32 gate_esp;
u32 gate_esp;
extern void note(void);
__asm__("note: movl %esp, gate_esp; iret");

static volatile u8 *low(u32 address)
{
    __asm__("" : "+r"(address));
    return (volatile u8 *)address;
}

static void segments(void)
{
    gdt[CODE16 / 8] = descriptor(0x8000, 0xffff, 0x9b, 0);
    gdt[DATA16 / 8] = descriptor(0, 0xffff, 0x93, 0);
    gdt[CODE32 / 8] = descriptor(0x8000, 0xffff, 0x9b, 4);
    gdt[BIG / 8] = descriptor(0, 0xfffff, 0x93, 0xc);
}

static void stacks(void)
{
    RUN(sixteen, CODE16);
    check("16-bit code: PUSH and POP of a dword", out[0], 0x56789abc);
    check("and of a word", out[1] & 0xffff, 0x1234);
    check("the stack is even", out[2], 0);
    check("32-bit addresses", out[3], 0x11223344);
    check("a near CALL's return address is 16 bits", out[4] < 0x100, 1);
    RUN(enters, CODE16);
    check("ENTER on a 32-bit stack", out[0], (u32)-12);
    check("LEAVE", out[1], 0);
    check("EBP", out[2], 0);
    idt[0x90] = gate(KERNEL_CS, (u32)note, 0x8e);
    RUN(small_stack, CODE32);
    check("a push to the bottom of a 16-bit stack", out[0], 0x12340000);
    check("one of a word goes on at its top", out[1], 0x1234fffe);
    check("it", out[2], 0x2222);
    check("the dword", out[3], 0x11111111);
    check("where it began", out[4], 0x12340004);
    check("PUSHA", out[5], 0x1234ffe4);
    check("ENTER", out[6], 0x1234fff0);
    check("LEAVE", out[7], 0x12340004);
    check("an interrupt on it", out[8], 0x12340004);
    check("its stack", gate_esp, 0x1234fff8);
}

// A 16-bit interrupt gate and a 16-bit call gate push words.
extern void handler16(void);
extern u32 frame16[4];
u32 frame16[4];
__asm__("handler16: pushl %eax; movl 4(%esp), %eax; movl %eax, frame16; movl 8(%esp), %eax;"
        "movl %eax, frame16 + 4; popl %eax; .byte 0x66; iret");

static void gates16(void)
{
    u64 kept = idt[0x90];
    u32 before, after;

    // The handler must lie below 64 KiB: the gate has 16 bits. A jump at 0x9000 leads there.
    low(0x9000)[0] = 0xe9;
    *(volatile u32 *)low(0x9001) = (u32)handler16 - 0x9005;
    idt[0x90] = gate(KERNEL_CS, 0x9000, 0x86);
    low(0x9010)[0] = 0xcd, low(0x9011)[0] = 0x90, low(0x9012)[0] = 0xc3; // INT 90h; RET
    __asm__ volatile("movl %%esp, %0; call *%2; movl %%esp, %1"
                     : "=&r"(before), "=&r"(after) : "r"(0x9010) : "memory", "cc");
    check("a 16-bit interrupt gate: IP and CS", frame16[0], (u32)KERNEL_CS << 16 | 0x9012);
    check("the flags", frame16[1] & 0xffff, (frame16[1] & 0xed7) | 2);
    check("the stack", after, before);
    idt[0x90] = kept;
}

static void paging(void)
{
    u8 *page = arena[0];

    *(volatile u32 *)0xb000 = 1;
    *(volatile u32 *)page = 1000;
    page_table[0xb] = (u32)page | 7;
    write_cr3((u32)page_directory);
    write_cr0(read_cr0() & 0x7fffffff);
    RUN(switches, CODE32);
    check("paging off and on in a loop", out[0], 50 * 1001 + 1);
    far_call(CODE32);
    check("again", out[0], 50 * 1001 + 1);
    page_table[0xb] = 0xb007;
}

static void real_mode(void)
{
    for (u32 i = 0; i < 20; i++) {
        RUN(real, CODE16);
        check("real mode: CS", out[0] & 0xffff, 0x800);
        check("no PE", out[0] >> 16 & 1, 0);
        check("a big segment", out[1], *(volatile u32 *)0x100000);
        check("above 1 MiB by FFFF:0010", out[2], *(volatile u32 *)0x100000);
        check("its stack", out[3] & 0xffff, 0x1234);
        check("a loop", out[3] >> 16, 15);
        check("the GDT's base", (out[4] >> 16 | out[5] << 16) & 0xffffff, (u32)gdt & 0xffffff);
    }
}

static void a20(void)
{
    u32 kept = *(volatile u32 *)0x100504, original = *(volatile u32 *)0x100500;

    *(volatile u32 *)low(0x500) = 0x55555555;
    *(volatile u32 *)low(0x504) = 0x66666666;
    RUN(a20_off, CODE32);
    check("A20 off: 1 MiB is 0", out[0], 0x55555555);
    check("what was there stays", out[1], 0x55555555);
    check("a write goes there", out[2], 0x77777777);
    check("A20 on: it is not", out[3], original);
    check("nor is the written", *(volatile u32 *)0x100504, kept);
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    segments();
    paging_on();
    write_cr0(read_cr0() & 0x7fffffff);
    for (u32 round = 0; round < 3; round++) {
        stacks();
        gates16();
        paging();
        real_mode();
        a20();
    }
    write_cr3((u32)page_directory);
    write_cr0(read_cr0() | 0x80000000);
    stacks();
    gates16();
    finish();
}
