// SPDX-License-Identifier: GPL-2.0-or-later
// Code that changes: by itself, the next instruction, the same block, through another page, by strings, pushes,
// x87, a CR3 switch; and code that crosses pages, segment ends and 4 GiB (SDM 3A 8.1.3, 11.6).
// Run: tests/guest/run-sys code
#include "tests/guest/lib/kernel.h"

#define SEL(i) (SPARE + 8 * (i))

static u8 *const a = arena[0], *const b = arena[1], *const c = arena[2];

static u32 run(const void *at)
{
    u32 value = 0;

    __asm__ volatile("call *%1" : "+a"(value) : "r"(at) : "ecx", "edx", "memory", "cc");
    return value;
}

static void put(u8 *at, const char *bytes, u32 n)
{
    for (u32 i = 0; i < n; i++)
        ((volatile u8 *)at)[i] = (u8)bytes[i];
}
#define PUT(at, bytes) put(at, bytes, sizeof(bytes) - 1)

static void set_pte(const void *p, u32 entry)
{
    page_table[(u32)p >> 12] = entry;
    invlpg((u32)p);
}

// MOV EAX, value; RET
static void returns(u8 *at, u32 value)
{
    PUT(at, "\xb8\0\0\0\0\xc3");
    *(volatile u32 *)(at + 1) = value;
}

// ---- By itself
static void next_insn(void)
{
    // mov byte [a + 8], 5; mov al, 1 (whose immediate is at a + 8); movzx eax, al; ret
    PUT(a, "\xc6\x05\0\0\0\0\x05\xb0\x01\x0f\xb6\xc0\xc3");
    *(volatile u32 *)(a + 2) = (u32)a + 8;
    check("the next instruction", run(a), 5);
    a[8] = 1;
    check("again", run(a), 5);
    for (u32 i = 0; i < 200; i++)
        run(a);
    a[8] = 1;
    check("when it is hot", run(a), 5);
    // The instruction writes over itself: C7 05 [itself + 2] ...
    PUT(a, "\x31\xc0\xc7\x05\0\0\0\0\x40\x40\x40\xc3\xc3"); // xor eax, eax; mov dword [a + 2], ...
    *(volatile u32 *)(a + 4) = (u32)a + 2;
    check("over itself, once", run(a), 0);
    check("what it became", run(a), 3); // 40 40 40 c3: inc eax three times; ret
    // A loop whose body counts itself up: inc byte [imm of add]; add eax, imm; loop
    PUT(a, "\x31\xc0\xb9\x0a\0\0\0\xfe\x05\0\0\0\0\x83\xc0\x00\xe2\xf5\xc3");
    *(volatile u32 *)(a + 9) = (u32)a + 15;
    check("in a loop", run(a), 55);
    check("once more", run(a), 55 + 100);
    // By the stack: PUSH writes the instruction behind.
    PUT(a, "\x89\xe2\xbc\0\0\0\0\x68\x40\x40\x40\x90\x90\x90\x90\x90\x89\xd4\xc3");
    *(volatile u32 *)(a + 3) = (u32)a + 16;
    check("by PUSH", run(a), 3);
    // By STOSD, REP MOVSB, FSTP, XCHG, CMPXCHG-like RMW: each changes the immediate of the MOV behind it.
    PUT(a, "\xbf\0\0\0\0\xb8\x77\0\0\0\xab\xb8\x01\0\0\0\xc3");
    *(volatile u32 *)(a + 1) = (u32)a + 12;
    check("by STOS", run(a), 0x77);
    PUT(a, "\xbf\0\0\0\0\xbe\0\0\0\0\xb9\x04\0\0\0\x56\x57\xf3\xa4\x5f\x5e\xb8\x01\0\0\0\xc3");
    *(volatile u32 *)(a + 1) = (u32)a + 22;
    *(volatile u32 *)(a + 6) = (u32)c;
    *(volatile u32 *)c = 0x12345678;
    __asm__ volatile("pushl %%esi; pushl %%edi; call *%0; popl %%edi; popl %%esi"
                     : : "r"(a), "a"(0) : "ecx", "edx", "memory");
    check("by REP MOVSB", *(volatile u32 *)(a + 22), 0x12345678);
    PUT(a, "\xd9\xe8\xd9\x1d\0\0\0\0\xb8\x01\0\0\0\xc3");
    *(volatile u32 *)(a + 4) = (u32)a + 9;
    check("by FSTP", run(a), 0x3f800000);
    PUT(a, "\xb8\x05\0\0\0\xf0\x01\x05\0\0\0\0\xb8\x01\0\0\0\xc3");
    *(volatile u32 *)(a + 8) = (u32)a + 13;
    check("by LOCK ADD", run(a), 6);
}

// ---- From elsewhere
static void others(void)
{
    u32 sum = 0;

    for (u32 i = 0; i < 300; i++) {
        returns(a + (i & 1) * 64, i);
        sum += run(a + (i & 1) * 64);
    }
    check("rewritten each time", sum, 300 * 299 / 2);
    // Data beside code in one page, written often.
    returns(a, 7);
    sum = 0;
    for (u32 i = 0; i < 2000; i++) {
        ((volatile u32 *)(a + 2048))[i & 255] = i;
        sum += run(a);
    }
    check("data in a page of code", sum, 14000);
    returns(a, 8);
    check("and code again", run(a), 8);
    // Another linear address.
    set_pte(b, (u32)a | 7);
    returns(b, 9);
    check("through an alias", run(a), 9);
    check("the alias itself", run(b), 9);
    b[1] = 10;
    check("both see it", run(a) << 8 | run(b), 0x0a0a);
    for (u32 i = 0; i < 100; i++) {
        run(a);
        b[1] = (u8)i;
        if (run(a) != i || run(b) != i)
            check("alternately", i, 1000);
    }
    set_pte(b, (u32)b | 7);
    // A callee that rewrites its caller's code behind the CALL.
    PUT(a, "\xe8\x0b\0\0\0\xb8\x01\0\0\0\xc3\x90\x90\x90\x90\x90"); // call a + 16; mov eax, 1; ret
    PUT(a + 16, "\xc7\x05\0\0\0\0\x21\0\0\0\xc3");                  // mov dword [a + 6], 21h; ret
    *(volatile u32 *)(a + 18) = (u32)a + 6;
    check("the caller's code behind a CALL", run(a), 0x21);
}

// ---- Tables
static u32 other_directory[1024] __attribute__((aligned(4096)));
static u32 other_table[1024] __attribute__((aligned(4096)));

static void user_run(void *p)
{
    __asm__ volatile("call *%0" : : "r"(p) : "eax", "memory");
}

static void tables(void)
{
    u32 sum = 0;

    returns(a, 1);
    returns(b, 2);
    returns(c, 3);
    for (u32 i = 0; i < 1024; i++) {
        other_directory[i] = page_directory[i];
        other_table[i] = page_table[((u32)a >> 22) * 1024 + i];
    }
    other_directory[(u32)a >> 22] = (u32)other_table | 7;
    other_table[(u32)a >> 12 & 1023] = (u32)b | 7;
    for (u32 i = 0; i < 100; i++) {
        write_cr3((u32)other_directory);
        sum += run(a);
        write_cr3((u32)page_directory);
        sum += run(a) * 1000;
    }
    check("two address spaces", sum, 100200);
    other_table[(u32)a >> 12 & 1023] = (u32)c | 7;
    write_cr3((u32)other_directory);
    check("changed meanwhile", run(a), 3);
    c[1] = 33;
    check("written under it", run(a), 33);
    write_cr3((u32)page_directory);
    check("the first", run(a), 1);
    // A frame that was code becomes data, then code of another page.
    set_pte(a, (u32)b | 7);
    check("mapped to b", run(a), 2);
    b[1] = 22;
    check("b written", run(a), 22);
    set_pte(a, (u32)a | 7);
    check("mapped back", run(a), 1);
    set_pte(a, (u32)a | 5);
    write_cr0(read_cr0() & ~0x10000u);
    a[1] = 77; // a read-only page, WP clear
    check("written without WP", run(a), 77);
    write_cr0(read_cr0() | 0x10000);
    set_pte(a, (u32)a | 3);
    check("a supervisor's code", (u32)guarded_user(user_run, a, 0x202), 14);
    set_pte(a, (u32)a | 7);
    check("the user's", (u32)guarded_user(user_run, a, 0x202), (u32)NO_FAULT);
    write_cr0(read_cr0() & 0x7fffffff);
    a[1] = 5;
    check("paging off", run(a), 5);
    write_cr0(read_cr0() | 0x80000000);
    a[1] = 6;
    check("and on", run(a), 6);
}

// ---- Page ends
static void crossing(void)
{
    u8 *edge = b, *at = edge - 3;

    returns(at, 0x11223344);
    check("an instruction over a page's end", run(at), 0x11223344);
    for (u32 i = 0; i < 100; i++)
        run(at);
    edge[0] = 0x99;
    check("its second half changes", run(at), 0x11993344);
    edge[-1] = 0x88;
    check("its first half", run(at), 0x11998844);
    PUT(c, "\x55\x44\xc3");
    set_pte(edge, (u32)c | 7);
    check("its second page is another", run(at), 0x44558844);
    c[0] = 0x66;
    check("which changes", run(at), 0x44668844);
    set_pte(edge, 0);
    check("which is missing", (u32)guarded_call(user_run, at), 14);
    check("CR2", last_cr2, (u32)edge);
    check("EIP", last.eip, (u32)at);
    set_pte(edge, (u32)edge | 7);
    check("back", run(at), 0x11998844);
    edge[-1] = 0xc3;
    check("a RET as a page's last byte", run(edge - 1) | 1, 1);
    edge[-1] = 0x90;
    returns(edge, 4);
    check("falls into the next page", run(edge - 1), 4);
    set_pte(edge, (u32)c | 7);
    returns(c, 44);
    check("which is another now", run(edge - 1), 44);
    set_pte(edge, 0);
    check("and missing", (u32)guarded_call(user_run, edge - 1), 14);
    check("EIP is in it", last.eip, (u32)edge);
    set_pte(edge, (u32)edge | 7);
}

// ---- Segment ends
static void far_run(void *offset)
{
    u32 pointer[2] = { (u32)offset, SEL(0) };

    __asm__ volatile("lcall *%0" : : "m"(pointer) : "eax", "memory");
}

static void limits(void)
{
    PUT(a + 0x100, "\x90\x90\xb8\x01\0\0\0\xcb"); // two NOPs, MOV, RETF
    gdt[SEL(0) / 8] = descriptor((u32)a + 0x100, 7, 0x9b, 4);
    check("to the limit", (u32)guarded_call(far_run, 0), (u32)NO_FAULT);
    for (u32 limit = 0; limit < 7; limit++) {
        gdt[SEL(0) / 8] = descriptor((u32)a + 0x100, limit, 0x9b, 4);
        check("over it", (u32)guarded_call(far_run, 0), 13);
        check("  EIP", last.eip, limit == 0 ? 1 : limit < 6 ? 2 : 7);
    }
    gdt[SEL(0) / 8] = descriptor((u32)a + 0x100, 7, 0x9b, 0);
    check("a far call over it", (u32)guarded_call(far_run, (void *)8), 13);
    check("  EIP is the call's", last.cs, KERNEL_CS);
    // 16-bit code wraps at 64 KiB only with its limit: 0xffff + 1 is beyond.
    gdt[SEL(0) / 8] = descriptor((u32)a - 0xf000, 0xffff, 0x9b, 0);
    PUT(a + 0xffe, "\x90\x90");
    check("16-bit code runs out of its segment", (u32)guarded_call(far_run, (void *)0xfffe), 13);
    check("  EIP", last.eip, 0x10000);
}

// At the end of 4 GiB code goes on at 0 in a flat segment.
static void wrap(void)
{
    page_directory[1023] = (u32)other_table | 7;
    for (u32 i = 0; i < 1024; i++)
        other_table[i] = 0;
    other_table[1023] = (u32)c | 7;
    set_pte(NULL, (u32)b | 7);
    PUT(c + 0xffe, "\x90\xb8");
    PUT(b, "\x78\x56\x34\x12\xc3");
    check("an instruction over the end of 4 GiB", run((void *)0xfffffffe), 0x12345678);
    page_table[0] = 7;
    write_cr3(read_cr3());
    page_directory[1023] = 0;
    write_cr3(read_cr3());
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    write_cr0(read_cr0() & ~0xcu);
    next_insn();
    paging_on();
    for (u32 i = 0; i < 3; i++) {
        next_insn();
        others();
        tables();
        crossing();
        limits();
        wrap();
    }
    finish();
}
