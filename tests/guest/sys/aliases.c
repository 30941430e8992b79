// SPDX-License-Identifier: GPL-2.0-or-later
// User code whose page lies at several linear addresses, in one address space and in two: what it calls, returns to,
// jumps to, reads of its own address and faults at is where it runs; and what changes it changes it everywhere.
// Run: tests/guest/run-sys aliases
#include "tests/guest/lib/kernel.h"

// Its second page is another one at each address. Nothing here depends on where it runs but as written.
__asm__(".pushsection .text\n"
        ".balign 4096\n"
        "code:\n"
        "where: call 1f\n"
        "1: popl %eax\n"
        "   ret\n"
        "returns_to: call 1f\n"
        "returned: ret\n"
        "1: movl (%esp), %eax\n"
        "   ret\n"
        "calls: movl $300, %ecx\n"
        "   xorl %eax, %eax\n"
        "1: call 2f\n"
        "   decl %ecx\n"
        "   jnz 1b\n"
        "   ret\n"
        "2: incl %eax\n"
        "   ret\n"
        "jumps: call 1f\n"
        "1: popl %edx\n"
        "   addl $2f - 1b, %edx\n"
        "   jmp *%edx\n"
        "   ud2\n"
        "2: addl $3f - 2b, %edx\n"
        "   call *%edx\n"
        "   ret\n"
        "3: leal -(3b - code)(%edx), %eax\n"
        "   ret\n"
        "reads: movl $5, %eax\n"
        "read: movl 0x40000000, %eax\n"
        "divides: xorl %edx, %edx\n"
        "   xorl %ecx, %ecx\n"
        "divide: divl %ecx\n"
        "halts: nop\n"
        "halt: hlt\n"
        "breaks: int3\n"
        "broke: nop\n"
        "floats: fninit\n"
        "float: fld1\n"
        "   ret\n"
        "calls_next: call code + 4096 + 16\n"
        "   shll $8, %eax\n"
        "   call code + 4096 + 16\n"
        "   ret\n"
        "counts: movl $200, %ecx\n"
        "   xorl %eax, %eax\n"
        "1: incl %eax\n"
        "   loop 1b\n"
        "   ret\n"
        ".org code + 4093, 0x90\n"
        "crosses: movl $0x11111111, %eax\n" // three bytes of it are in the second page
        ".org code + 4096 + 2\n"
        "   ret\n"
        ".org code + 4096 + 16\n"
        "   movb $1, %al\n"
        "   ret\n"
        ".balign 4096\n"
        "second: .byte 0x22, 0x22\n"
        "   ret\n"
        ".org second + 16\n"
        "   movb $2, %al\n"
        "   ret\n"
        ".balign 4096\n"
        // Branches that keep half of EIP.
        "words: .byte 0x66, 0xe9; .word 1f - words - 4\n"
        "   ud2\n"
        "1: .byte 0x66, 0xe8; .word 3f - 2f\n"
        "2: ret\n"
        "   ud2\n"
        "3: movzwl (%esp), %eax\n"
        "   .byte 0x66, 0xc3\n"
        ".balign 4096\n"
        ".popsection\n");
extern u8 code[], where[], returns_to[], returned[], calls[], jumps[], reads[], read[], divides[], divide[], halts[],
    halt[], breaks[], broke[], floats[], float_[] __asm__("float"), calls_next[], counts[], crosses[], second[], words[];

static u32 *table; // the current page table
static u32 directory2[1024] __attribute__((aligned(4096))), table2[4096] __attribute__((aligned(4096)));

static void map(u32 at, const void *to)
{
    table[at >> 12] = (u32)to | PTE_P | PTE_W | PTE_U;
    invlpg(at);
}

static void map_code(u32 at, unsigned other)
{
    map(at, code);
    map(at + 4096, other ? second : code + 4096);
}

struct job {
    u32 at, result;
};

static void user_job(void *p)
{
    struct job *j = p;

    __asm__ volatile("call *%1" : "=a"(j->result) : "r"(j->at) : "ecx", "edx", "memory", "cc");
}

// What the code that is at `label` of the code page returns when it runs at page `at`.
static u32 run(u32 at, const u8 *label)
{
    struct job job = { at + (u32)(label - code), 0 };
    int fault = guarded_user(user_job, &job, 0x202);

    return fault == NO_FAULT ? job.result : 0xfa000000 + (u32)fault;
}

// Where it faults, in the page.
static u32 faults(u32 at, const u8 *label)
{
    return run(at, label) == 0xfa000000 + last.vector ? last.eip - at : ~0u;
}

// All of it, at one address.
static u32 wrong(u32 at, unsigned other)
{
    u32 n = 0, expected = other ? 0x2202 : 0x1101;

    n += run(at, where) != at + 5;
    n += run(at, returns_to) != at + (u32)(returned - code);
    n += run(at, calls) != 300;
    n += run(at, jumps) != at;
    n += faults(at, reads) != (u32)(read - code) || last_cr2 != 0x40000000;
    n += faults(at, divides) != (u32)(divide - code);
    n += faults(at, halts) != (u32)(halt - code);
    n += faults(at, breaks) != (u32)(broke - code);
    n += (run(at, calls_next) & 0xffff) != (expected & 0xff) * 0x101;
    n += run(at, counts) != 200;
    n += run(at, crosses) != (other ? 0x22221111u : 0x11111111u);
    return n;
}

#define L1 0xa00000u
#define L2 0xb03000u
#define L3 0xc07000u

static void one_space(void)
{
    u32 n = 0;

    table = page_table;
    map_code(L1, 0);
    check("at the first address", wrong(L1, 0), 0);
    map_code(L2, 1);
    map_code(L3, 0);
    for (unsigned i = 0; i < 20; i++)
        n += wrong(L1, 0) + wrong(L2, 1) + wrong(L3, 0);
    check("at three by turns", n, 0);
    map(L1, second); // its own bytes there: 22 22 c3 is AND AH, [EDX], RET
    map_code(L2, 0);
    n = 0;
    for (unsigned i = 0; i < 20; i++)
        n += wrong(L2, 0) + wrong(L3, 0);
    check("when one has gone, and one changed", n, 0);
    map_code(L1, 1);
    for (unsigned i = 0; i < 20; i++)
        n += wrong(L3, 0) + wrong(L2, 0) + wrong(L1, 1);
    check("and back", n, 0);
}

static void switch_to(unsigned space)
{
    write_cr3((u32)(space ? directory2 : page_directory));
    table = space ? table2 : page_table;
}

static void two_spaces(void)
{
    u32 n = 0;

    for (u32 i = 0; i < 4096; i++)
        table2[i] = page_table[i];
    for (u32 i = 0; i < 1024; i++)
        directory2[i] = page_directory[i];
    for (u32 i = 0; i < 4; i++)
        directory2[i] = (u32)(table2 + 1024 * i) | PTE_P | PTE_W | PTE_U;
    switch_to(1);
    map_code(L1, 1);
    map_code(L2, 0);
    map_code(L3, 1);
    switch_to(0);
    map_code(L1, 0);
    map_code(L2, 1);
    map_code(L3, 0);
    for (unsigned i = 0; i < 20; i++) {
        switch_to(i & 1);
        n += i & 2 ? wrong(L3, i & 1) : wrong(L1, i & 1);
    }
    check("two address spaces, one address in turn", n, 0);
    for (unsigned i = 0; i < 20; i++) {
        switch_to(i & 1);
        n += i & 1 ? wrong(L2, 0) + wrong(L3, 1) : wrong(L1, 0) + wrong(L2, 1);
    }
    check("two address spaces, two addresses each", n, 0);
    switch_to(0);
}

static u32 last_float(void)
{
    u32 environment[7];

    __asm__ volatile("fnstenv %0" : "=m"(environment));
    return environment[3];
}

static void x87(void)
{
    u32 n = 0;

    write_cr0(read_cr0() & ~0xcu); // EM, TS
    for (unsigned i = 0; i < 10; i++) {
        u32 at = i % 3 == 0 ? L1 : i % 3 == 1 ? L2 : L3, found;

        run(at, floats);
        if (i & 1) {
            switch_to(1);
            run(at == L1 ? L2 : L1, counts);
        }
        found = last_float();
        n += found != at + (u32)(float_ - code);
        switch_to(0);
    }
    check("the last x87 instruction's address", n, 0);
}

static void halves(void)
{
    u32 n = 0, back = (u32)7 + 3; // behind the 66 E8

    for (unsigned i = 0; i < 20; i++) {
        u32 at = i & 1 ? 0x8000 : 0x5000;
        struct job job = { at, 0 };

        map(at, words);
        n += guarded_user(user_job, &job, 0x202) != NO_FAULT || job.result != at + back;
    }
    check("branches that keep half of EIP", n, 0);
}

// MOV EAX, value; CALL to a RET; RET
static void written(void)
{
    static const u8 bytes[] = { 0xb8, 1, 0, 0, 0, 0xe8, 1, 0, 0, 0, 0xc3, 0xc3 };
    u32 n = 0;

    for (u32 i = 0; i < sizeof(bytes); i++)
        ((volatile u8 *)arena[0])[i] = bytes[i];
    map(L1, arena[0]);
    map(L2, arena[0]);
    for (u32 i = 0; i < 3; i++)
        n += run(L1, code) != 1 || run(L2, code) != 1;
    ((volatile u8 *)L1)[1] = 2;
    n += run(L1, code) != 2 || run(L2, code) != 2;
    ((volatile u8 *)L2)[1] = 3;
    n += run(L2, code) != 3 || run(L1, code) != 3;
    ((volatile u8 *)arena[0])[1] = 4;
    n += run(L1, code) != 4 || run(L2, code) != 4;
    check("written through each", n, 0);
    for (u32 i = 0; i < 200; i++) {
        ((volatile u8 *)(i & 1 ? L1 : L2))[1] = (u8)i;
        n += run(L1, code) != i || run(L2, code) != i;
    }
    check("written often", n, 0);
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    paging_on();
    one_space();
    two_spaces();
    x87();
    halves();
    written();
    finish();
}
