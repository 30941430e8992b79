// SPDX-License-Identifier: GPL-2.0-or-later
// BMI1 (SDM 2A 2.3, 2B ANDN, BEXTR, BLSI, BLSMSK, BLSR, TZCNT): results and defined flags against C, every register,
// memory operands of both address sizes, faults; what VEX must not have before or in it; LES and LDS, whose opcodes VEX
// has taken; virtual-8086 mode, which has no VEX. Without BMI1 in CPUID all of it is #UD, and TZCNT is BSF.
// Run: tests/guest/run-sys bmi
#include "tests/guest/lib/modes.h"

enum { CF = 1, ZF = 0x40, SF = 0x80, OF = 0x800 };

static const u32 values[] = { 0, 1, 2, 0x10, 0x80, 0xff00, 0x7fffffff, 0x80000000, 0xffffffff, 0x12345678, 0xfedcba98 };
static u8 *const code = arena[0];
static bool has;

// EAX, ECX, EDX, EBX... of the code, as POPA and PUSHA have them.
struct regs {
    u32 edi, esi, ebp, esp, ebx, edx, ecx, eax, eflags;
};
static struct regs regs;

// Runs the bytes at code, which end in a RET, with the registers of `regs`.
static __attribute__((noinline, noclone)) void run(void *unused)
{
    (void)unused;
    __asm__ volatile("pushal; movl %%esp, keep\n"
                     "movl $regs, %%esp; popal; popfl; movl keep, %%esp; call arena; movl %%esp, keep\n"
                     "movl $regs + 36, %%esp; pushfl; pushal; movl keep, %%esp; popal\n"
                     ".pushsection .bss; keep: .skip 4; .popsection" : : : "memory", "cc");
}

static u32 *reg_of(u32 n)
{
    return &regs.eax - n;
}

static u8 *emit(u8 *at, const char *bytes, u32 n)
{
    for (u32 i = 0; i < n; i++)
        *(volatile u8 *)at++ = (u8)bytes[i];
    return at;
}

// C4 E2 [W vvvv L pp] opcode ModRM, vvvv as a register.
static u8 *vex(u8 *at, u32 vvvv, u8 w_l_pp, u8 opcode, u8 modrm)
{
    return emit(at, (char[]){ (char)0xc4, (char)0xe2, (char)((~vvvv & 15) << 3 | w_l_pp), (char)opcode, (char)modrm }, 5);
}

enum { ANDN, BLSR, BLSMSK, BLSI, BEXTR, OPS };
static const char *const op_name[OPS] = { "ANDN", "BLSR", "BLSMSK", "BLSI", "BEXTR" };

// a: the operand in ModRM.rm, b: that in vvvv (not of BLS*). Returns the result; *flags are those defined.
static u32 expected(u32 op, u32 a, u32 b, u32 *flags)
{
    u32 start = b & 0xff, len = b >> 8 & 0xff, r, carry = 0;

    switch (op) {
    case ANDN:
        r = ~b & a;
        break;
    case BLSR:
        r = a & (a - 1);
        carry = a == 0;
        break;
    case BLSMSK:
        r = a ^ (a - 1);
        carry = a == 0;
        break;
    case BLSI:
        r = a & -a;
        carry = a != 0;
        break;
    default:
        r = start < 32 ? a >> start : 0;
        if (len < 32)
            r &= (1u << len) - 1;
        *flags = r ? 0 : ZF;
        return r;
    }
    *flags = (r ? 0 : ZF) | (r >> 31 ? SF : 0) | carry;
    return r;
}

// One instruction; rm may be 8: memory. Returns whether result, flags and all other registers are right.
static bool one(u32 op, u32 dest, u32 rm, u32 vvvv, u32 a, u32 b, bool w, bool cf)
{
    u32 defined = op == BEXTR ? CF | ZF | OF : CF | ZF | SF | OF, want, flags;
    u32 reg = op == ANDN || op == BEXTR ? dest : op, target = op == ANDN || op == BEXTR ? dest : vvvv;
    struct regs before;
    u8 *at = code;

    if (op == ANDN || op == BEXTR) {
        if (rm == vvvv)
            a = b;
    }
    at = vex(at, vvvv | (w ? 8 : 0), w ? 0x80 : 0, op == ANDN ? 0xf2 : op == BEXTR ? 0xf7 : 0xf3,
             (u8)((rm == 8 ? 0x05 : 0xc0 | rm) | reg << 3));
    if (rm == 8) {
        *(volatile u32 *)at = (u32)arena[1];
        at += 4;
        *(volatile u32 *)arena[1] = a;
    }
    emit(at, "\xc3", 1);
    for (u32 i = 0; i < 8; i++)
        *reg_of(i) = 0x01010101 * (i + 1);
    *reg_of(vvvv) = b;
    if (rm != 8)
        *reg_of(rm) = a;
    if (rm == vvvv)
        b = a;
    regs.eflags = cf ? 0x8d7 : 2;
    want = expected(op, a, b, &flags);
    before = regs;
    if (guarded_call(run, NULL) != NO_FAULT)
        return false;
    regs.esp = before.esp; // PUSHA's own
    if (*reg_of(target) != want || (regs.eflags & defined) != flags)
        return false;
    *reg_of(target) = ((u32 *)&before)[7 - target];
    regs.eflags = before.eflags;
    for (u32 i = 0; i < 8; i++)
        if (((u32 *)&regs)[i] != ((u32 *)&before)[i])
            return false;
    return true;
}

// ESP (4) is left out as an operand: the code returns by it.
static void results(void)
{
    for (u32 op = 0; op < OPS; op++) {
        u32 wrong = 0, n = 0;

        for (u32 i = 0; i < sizeof(values) / 4; i++)
            for (u32 k = 0; k < sizeof(values) / 4; k++)
                for (u32 form = 0; form < 4; form++, n++)
                    wrong += !one(op, 0, form & 1 ? 8 : 3, 1, values[i], values[k], form & 2, k & 1);
        for (u32 dest = 0; dest < 8; dest++)
            for (u32 rm = 0; rm < 9; rm++)
                for (u32 vvvv = 0; vvvv < 8; vvvv++)
                    if (dest != 4 && rm != 4 && vvvv != 4) {
                        wrong += !one(op, dest, rm, vvvv, 0xfedcba98, 0x0c04, false, true);
                        n++;
                    }
        if (op == BEXTR)
            for (u32 control = 0; control < 0x4000; control += 0x103, n++)
                wrong += !one(op, 2, 8, 6, 0x9abcdef1, control, false, false);
        check(op_name[op], wrong, 0);
        check("  tried", n > 800, true);
    }
}

// ---- Memory operands
static u32 try_bytes(const char *bytes, u32 n)
{
    emit(emit(code, bytes, n), "\xc3", 1);
    for (u32 i = 0; i < 8; i++)
        *reg_of(i) = 0;
    regs.eflags = 2;
    return (u32)guarded_call(run, NULL);
}
#define TRY(bytes) try_bytes(bytes, sizeof(bytes) - 1)

static void memory(void)
{
    *(volatile u32 *)arena[2] = 0x00ff00f0;
    emit(code, "\xc4\xe2\x78\xf2\x4c\x9e\x08\xc3", 8); // andn ecx, eax, [esi + ebx * 4 + 8]
    regs.eax = 0xf, regs.esi = (u32)arena[2] - 16, regs.ebx = 2, regs.eflags = 2;
    check("a SIB byte", (u32)guarded_call(run, NULL), (u32)NO_FAULT);
    check("  its result", regs.ecx, 0x00ff00f0);
    *(volatile u32 *)0x9010 = 0x3000;
    emit(code, "\x67\xc4\xe2\x70\xf3\x58\x10\xc3", 8); // blsi ecx, [bx + si + 10h]
    regs.ebx = 0x8000, regs.esi = 0xffff1000;
    check("a 16-bit address", (u32)guarded_call(run, NULL), (u32)NO_FAULT);
    check("  its result", regs.ecx, 0x1000);
    gdt[SPARE / 8] = descriptor((u32)arena[2], 3, 0x93, 4);
    __asm__ volatile("movw %w0, %%fs" : : "r"(SPARE));
    check("a segment", TRY("\x64\xc4\xe2\x70\xf3\x0d\0\0\0\0"), (u32)NO_FAULT); // blsr ecx, fs:[0]
    check("  its result", regs.ecx, 0x00ff00e0);
    check("  its limit", TRY("\x64\xc4\xe2\x70\xf3\x0d\x01\0\0\0"), 13);
    check("  changes nothing", regs.ecx, 0);
    __asm__ volatile("movw %w0, %%fs" : : "r"(0));
    check("a null segment", TRY("\x64\xc4\xe2\x78\xf7\x0d\0\0\0\0"), 13);
    page_table[(u32)arena[3] >> 12] = 0;
    invlpg((u32)arena[3]);
    emit(code, "\xc4\xe2\x68\xf7\x0e\xc3", 6); // bextr ecx, [esi], edx
    regs.esi = (u32)arena[3] - 2;
    check("an absent page", (u32)guarded_call(run, NULL), 14);
    check("  is read", last.error, 0);
    check("  CR2", last_cr2, (u32)arena[3]);
    page_table[(u32)arena[3] >> 12] = (u32)arena[3] | 7;
    write_cr3(read_cr3());
}

// ---- What is not there
static void undefined(void)
{
    check("66 before VEX", TRY("\x66\xc4\xe2\x70\xf2\xc0"), 6);
    check("F2", TRY("\xf2\xc4\xe2\x70\xf2\xc0"), 6);
    check("F3", TRY("\xf3\xc4\xe2\x70\xf2\xc0"), 6);
    check("LOCK", TRY("\xf0\xc4\xe2\x70\xf2\x05\0\0\x20\0"), 6);
    check("VEX.L", TRY("\xc4\xe2\x74\xf2\xc0"), 6);
    check("VEX.pp 1", TRY("\xc4\xe2\x71\xf2\xc0"), 6);
    check("VEX.pp 2", TRY("\xc4\xe2\x72\xf2\xc0"), 6);
    check("VEX.pp 3", TRY("\xc4\xe2\x73\xf2\xc0"), 6);
    check("group 17 /0", TRY("\xc4\xe2\x70\xf3\xc0"), 6);
    check("group 17 /4", TRY("\xc4\xe2\x70\xf3\xe0"), 6);
    check("group 17 /7", TRY("\xc4\xe2\x70\xf3\xf8"), 6);
    check("map 1", TRY("\xc4\xe1\x70\xf2\xc0"), 6);
    check("map 3", TRY("\xc4\xe3\x70\xf2\xc0"), 6);
    check("map 0", TRY("\xc4\xe0\x70\xf2\xc0"), 6);
    check("map 31", TRY("\xc4\xff\x70\xf2\xc0"), 6);
    check("BZHI, of BMI2", TRY("\xc4\xe2\x70\xf5\xc0"), 6);
    check("RORX, of BMI2", TRY("\xc4\xe3\x7b\xf0\xc0\x01"), 6);
    check("VADDPS", TRY("\xc5\xf8\x58\xc0"), 6);
    check("ANDN without VEX", TRY("\x0f\x38\xf2\xc0"), 6);
    check("BLSR without VEX", TRY("\x0f\x38\xf3\xc8"), 6);
    if (has)
        check("too long", TRY("\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\xc4\xe2\x70\xf2\xc0"), 13);
    check("fifteen bytes", TRY("\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\xc4\xe2\x70\xf2\xc0"), has ? (u32)NO_FAULT : 6);
    // With memory the opcodes are what they always were.
    *(volatile u32 *)arena[2] = 0x12345678;
    *(volatile u32 *)(arena[2] + 4) = KERNEL_DS;
    emit(code, "\xc4\x06\xc3", 3); // les eax, [esi]
    regs.esi = (u32)arena[2];
    check("LES", (u32)guarded_call(run, NULL), (u32)NO_FAULT);
    check("  its offset", regs.eax, 0x12345678);
    emit(code, "\xc5\x0e\xc3", 3); // lds ecx, [esi]
    check("LDS", (u32)guarded_call(run, NULL), (u32)NO_FAULT);
    check("  its offset", regs.ecx, 0x12345678);
}

// VEX may not be cut off at C4 E2 and be taken for LES: the rest is fetched.
static void fetched(void)
{
    static const u8 bytes[] = { 0xc4, 0xe2, 0x70, 0xf2, 0xc0 };
    u8 *edge = arena[4];

    page_table[(u32)edge >> 12] = 0;
    invlpg((u32)edge);
    for (u32 n = 2; n < sizeof(bytes); n++) {
        for (u32 i = 0; i < n; i++)
            ((volatile u8 *)edge)[(int)(i - n)] = bytes[i];
        check("cut by an absent page", (u32)guarded_call((void (*)(void *))(edge - n), NULL), 14);
        check("  CR2", last_cr2, (u32)edge);
        check("  EIP", last.eip, (u32)edge - n);
    }
    page_table[(u32)edge >> 12] = (u32)edge | 7;
    write_cr3(read_cr3());
}

V86_CODE(v86_andn, ".byte 0xc4, 0xe2, 0x70, 0xf2, 0xc0; hlt");
V86_CODE(v86_blsr, ".byte 0xc4, 0xe2, 0x70, 0xf3, 0xc8; hlt");
V86_CODE(v86_bextr, ".byte 0xc4, 0xe2, 0x70, 0xf7, 0xc0; hlt");
V86_CODE(v86_tzcnt, "movl $0x100, %eax; .byte 0x66, 0xf3, 0x0f, 0xbc, 0xc8; hlt");

static void virtual_8086(void)
{
    check("ANDN in V86 mode", (u32)RUN_V86(v86_andn, 0x3000), 6);
    check("BLSR in V86 mode", (u32)RUN_V86(v86_blsr, 0x3000), 6);
    check("BEXTR in V86 mode", (u32)RUN_V86(v86_bextr, 0x3000), 6);
    check("TZCNT in V86 mode", (u32)RUN_V86(v86_tzcnt, 0x3000), 13);
    check("  works", last.ecx, 8);
}

static void tzcnt(void)
{
    emit(code, "\xf3\x0f\xbc\xcb\xc3", 5); // tzcnt ecx, ebx
    regs.ecx = 77, regs.ebx = 0, regs.eflags = 2;
    check("TZCNT of 0", (u32)guarded_call(run, NULL), (u32)NO_FAULT);
    check("  is 32; BSF changes nothing", regs.ecx, has ? 32 : 77);
    check("  sets CF; BSF sets ZF", regs.eflags & (has ? CF | ZF : ZF), has ? CF : ZF);
    regs.ebx = 0x50;
    guarded_call(run, NULL);
    check("of 50h", regs.ecx, 4);
    regs.ebx = 1;
    guarded_call(run, NULL);
    check("of 1: ZF", regs.eflags & (has ? CF | ZF : ZF), has ? ZF : 0);
}

void kernel_main(void);
void kernel_main(void)
{
    u32 a, b, c, d;

    kernel_init();
    paging_on();
    if (cpu_has(1 << 5)) // all leaves, on family 6
        __asm__ volatile("rdmsr; andl $~(1 << 22), %%eax; wrmsr" : : "c"(0x1a0) : "eax", "edx");
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0));
    if (a >= 7)
        __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
    has = b & 8 && a < 0x100;
    print("BMI1: %s\n", has ? "yes" : "no");
    for (u32 round = 0; round < 2; round++) {
        tzcnt();
        undefined();
        virtual_8086();
        if (has) {
            results();
            memory();
            fetched();
        } else {
            check("ANDN", TRY("\xc4\xe2\x70\xf2\xc0"), 6);
            check("BLSR", TRY("\xc4\xe2\x70\xf3\xc8"), 6);
            check("BEXTR", TRY("\xc4\xe2\x70\xf7\xc0"), 6);
        }
    }
    finish();
}
