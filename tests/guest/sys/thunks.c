// SPDX-License-Identifier: GPL-2.0-or-later
// Thunks: position-independent code calls `mov reg, [esp]; ret` to learn where it lies. A translator may do without the call
// as long as nobody can tell: not by the registers, flags and stack, nor by writing, mapping or replacing the thunk.
// Run: tests/guest/run-sys thunks
#include "tests/guest/lib/kernel.h"

#define FAR 0x3000 // what callers add

static u8 *const caller = arena[0], *const thunk = arena[1], *const other = arena[2];
static volatile struct {
    u32 reg, carry, below, eax, ecx;
} seen;

static void put32(u8 *at, u32 value) { *(volatile u32 *)at = value; }

static void put_bytes(u8 *at, const u8 *bytes, u32 n)
{
    for (u32 i = 0; i < n; i++)
        ((volatile u8 *)at)[i] = bytes[i];
}

static void set_pte(const void *p, u32 entry)
{
    page_table[(u32)p >> 12] = entry;
    invlpg((u32)p);
}

static void put_thunk(u8 *at, u32 reg)
{
    put_bytes(at, (u8[]){ 0x8b, (u8)(0x04 | reg << 3), 0x24, 0xc3 }, 4);
}

// call target; setc [carry]; add reg, FAR; and what can then be seen. Returns the call's return address.
static u32 put_caller(u8 *at, u32 reg, const u8 *target)
{
    static const u8 code[] = {
        0xe8, 0, 0, 0, 0,                      // 0: call target
        0x0f, 0x92, 0x05, 0, 0, 0, 0,          // 5: setc [carry]
        0x81, 0xc0, 0, 0, 0, 0,                // 12: add reg, FAR
        0x89, 0x05, 0, 0, 0, 0,                // 18: mov [reg], reg
        0xa3, 0, 0, 0, 0,                      // 24: mov [eax], eax
        0x89, 0x0d, 0, 0, 0, 0,                // 29: mov [ecx], ecx
        0x8b, 0x44, 0x24, 0xfc,                // 35: mov eax, [esp - 4]
        0xa3, 0, 0, 0, 0,                      // 39: mov [below], eax
        0xc3,
    };

    put_bytes(at, code, sizeof(code));
    put32(at + 1, (u32)target - (u32)(at + 5));
    put32(at + 8, (u32)&seen.carry);
    at[13] = (u8)(0xc0 | reg);
    put32(at + 14, FAR);
    at[19] = (u8)(0x05 | reg << 3);
    put32(at + 20, (u32)&seen.reg);
    put32(at + 25, (u32)&seen.eax);
    put32(at + 31, (u32)&seen.ecx);
    put32(at + 40, (u32)&seen.below);
    return (u32)(at + 5);
}

static void run(const u8 *at, bool carry)
{
    seen.reg = seen.carry = seen.below = seen.eax = seen.ecx = 0;
    __asm__ volatile("pushal; movl %%eax, %%esi; movl $0x1111, %%eax; movl $0x3333, %%edx; movl $0x4444, %%ebx;"
                     "movl $0x5555, %%ebp; movl $0x6666, %%edi; shrl $1, %%ecx; movl $0x2222, %%ecx; call *%%esi; popal"
                     : : "a"(at), "c"((u32)carry) : "memory", "cc");
}

static void run_caller(void *unused)
{
    (void)unused;
    run(caller, true);
}

static bool as_expected(u32 reg, u32 value, u32 carry, u32 below)
{
    return seen.reg == value + FAR && seen.carry == carry && seen.below == below &&
           seen.eax == (reg == 0 ? value + FAR : 0x1111) && seen.ecx == (reg == 1 ? value + FAR : 0x2222);
}

static void plain(void)
{
    for (u32 reg = 0; reg < 8; reg++) {
        u32 back, right = 0;

        if (reg == 4)
            continue;
        put_thunk(thunk, reg);
        back = put_caller(caller, reg, thunk);
        for (u32 i = 0; i < 100; i++) {
            run(caller, i & 1);
            right += as_expected(reg, back, i & 1, back);
        }
        check("a thunk of each register", right, 100);
    }
}

// What is called is something else each time, or was something else before.
static void others(void)
{
    u32 back, right = 0;

    put_thunk(thunk, 3);
    back = put_caller(caller, 3, thunk);
    for (u32 i = 0; i < 40; i++) {
        run(caller, true);
        right += as_expected(3, back, 1, back);
        put_bytes(thunk, (u8[]){ 0x89, 0xe3, 0xf8, 0xc3 }, 4); // mov ebx, esp; clc; ret
        run(caller, true);
        right += seen.carry == 0 && seen.reg != back + FAR && seen.below == back;
        put_thunk(thunk, 3);
        run(caller, false);
        right += as_expected(3, back, 0, back);
        put_thunk(thunk, 2); // of another register: EBX is what it was
        run(caller, true);
        right += as_expected(3, 0x4444, 1, back);
        put_thunk(thunk, 3);
    }
    check("a thunk that is written", right, 160);
    right = 0;
    back = put_caller(caller, 0, thunk);
    for (u32 i = 0; i < 40; i++) {
        put_bytes(thunk, (u8[]){ 0xb8, (u8)i, 1, 0, 0, 0xf9, 0xc3 }, 7); // mov eax, i + 256; stc; ret
        run(caller, false);
        right += as_expected(0, i + 256, 1, back);
    }
    check("no thunk, but likely to be one", right, 40);
    right = 0;
    put_bytes(thunk, (u8[]){ 0x0f, 0x1f, 0x43, 0x00, 0xc3 }, 5); // what a translator may mark thunks with
    for (u32 i = 0; i < 40; i++) {
        run(caller, true);
        right += as_expected(0, 0x1111, 1, back);
    }
    check("a NOP", right, 40);
    right = 0;
    put_bytes(thunk, (u8[]){ 0x8b, 0x44, 0x24, 0x00, 0xc3 }, 5); // the long form of one
    for (u32 i = 0; i < 40; i++) {
        run(caller, true);
        right += as_expected(0, back, 1, back);
    }
    check("with a displacement of 0", right, 40);
    right = 0;
    put_bytes(thunk, (u8[]){ 0x3e, 0x8b, 0x04, 0x24, 0xc3 }, 5); // ds:
    for (u32 i = 0; i < 40; i++) {
        run(caller, true);
        right += as_expected(0, back, 1, back);
    }
    check("through DS", right, 40);
}

// call next; next: pop. And a call of what follows it, which returns: to what follows, too.
static void inside(void)
{
    u32 right = 0;

    put_bytes(caller, (u8[]){ 0xe8, 0, 0, 0, 0, 0x58, 0x8b, 0x4c, 0x24, 0xfc, 0xc3 }, 11); // pop eax; mov ecx, [esp - 4]
    put_bytes(other, (u8[]){ 0x31, 0xc0, 0xe8, 0, 0, 0, 0, 0x40, 0xc3 }, 9);               // xor eax, eax; call next; inc eax
    for (u32 i = 0; i < 40; i++) {
        u32 eax, ecx, twice;

        __asm__ volatile("call *%2" : "=a"(eax), "=c"(ecx) : "r"(caller) : "edx", "memory", "cc");
        __asm__ volatile("call *%1" : "=a"(twice) : "r"(other) : "ecx", "edx", "memory", "cc");
        right += eax == (u32)caller + 5 && ecx == eax && twice == 2;
    }
    check("calls of the next instruction", right, 40);
}

static void mapped(void)
{
    u32 was = page_table[(u32)thunk >> 12], back, right = 0;

    put_thunk(thunk, 3);
    put_bytes(other, (u8[]){ 0x31, 0xdb, 0xc3 }, 3); // xor ebx, ebx; ret
    back = put_caller(caller, 3, thunk);
    for (u32 i = 0; i < 40; i++) {
        run(caller, true);
        right += as_expected(3, back, 1, back);
        set_pte(thunk, page_table[(u32)other >> 12]);
        run(caller, true);
        right += as_expected(3, 0, 0, back);
        set_pte(thunk, was);
    }
    check("a thunk that is mapped elsewhere", right, 80);
    right = 0;
    for (u32 i = 0; i < 40; i++) {
        run(caller, true);
        right += as_expected(3, back, 1, back);
        other[0] = 0x8b, other[1] = 0x1c, other[2] = 0x24, other[3] = 0xc3;
        set_pte(thunk, page_table[(u32)other >> 12]);
        run(caller, true);
        right += as_expected(3, back, 1, back);
        other[1] = 0x0c;                                     // of ECX now
        run(caller, true);
        right += seen.reg == 0x4444 + FAR && seen.ecx == back;
        set_pte(thunk, was);
    }
    check("to another thunk, which is written", right, 120);
    right = 0;
    for (u32 i = 0; i < 40; i++) {
        run(caller, true);
        set_pte(thunk, was & ~1u);
        right += (u32)guarded_call(run_caller, NULL) == 14 && last.eip == (u32)thunk;
        set_pte(thunk, was);
        run(caller, true);
        right += as_expected(3, back, 1, back);
    }
    check("a thunk that is absent", right, 80);
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    plain();
    others();
    inside();
    paging_on();
    for (u32 i = 0; i < 3; i++) {
        plain();
        others();
        inside();
        mapped();
    }
    finish();
}
