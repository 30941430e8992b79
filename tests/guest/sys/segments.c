// SPDX-License-Identifier: GPL-2.0-or-later
// Segments: bases, byte and page limits, expand-down, read-only, execute-only, not present, null; 16-bit code and
// stacks; LAR LSL VERR VERW; call gates and conforming code; the LDT (SDM 3A chapters 3, 5, 6).
// QEMU checks no limits, so it fails here. Run: tests/guest/run-sys segments
#include "tests/guest/lib/kernel.h"

#define SEL(i) (SPARE + 8 * (i))

static volatile u32 result;
static u32 access_selector, access_offset;
static u8 *const data = arena[0];

// Accesses of each size through FS.
#define FS_ACCESS(id, code)                                                                  \
    static void id(void *unused)                                                             \
    {                                                                                        \
        u32 value = 0;                                                                       \
                                                                                             \
        (void)unused;                                                                        \
        __asm__ volatile("movl %1, %%fs\n" code "\nxorl %%ecx, %%ecx; movl %%ecx, %%fs"      \
                         : "+a"(value) : "r"(access_selector), "d"(access_offset)            \
                         : "ecx", "memory", "cc");                                           \
        result = value;                                                                      \
    }
FS_ACCESS(read8, "movb %%fs:(%%edx), %%al")
FS_ACCESS(read16, "movw %%fs:(%%edx), %%ax")
FS_ACCESS(read32, "movl %%fs:(%%edx), %%eax")
FS_ACCESS(write8, "movb %%al, %%fs:(%%edx)")
FS_ACCESS(write32, "movl %%eax, %%fs:(%%edx)")
FS_ACCESS(add32, "addl $1, %%fs:(%%edx)")
FS_ACCESS(indexed, "movl %%fs:4(%%edx, %%eax, 4), %%eax")
FS_ACCESS(load_only, "nop")

static void expect(const char *name, void (*function)(void *), u32 selector, u32 offset, int fault)
{
    access_selector = selector;
    access_offset = offset;
    check(name, (u32)guarded_call(function, NULL), (u32)fault);
}

static void limits(void)
{
    for (u32 i = 0; i < 4096; i++)
        data[i] = (u8)(i * 7);
    gdt[SEL(0) / 8] = descriptor((u32)data + 16, 99, 0x93, 4); // bytes 0 to 99
    expect("byte at the limit", read8, SEL(0), 99, NO_FAULT);
    check("base applies", result, data[16 + 99]);
    expect("byte behind it", read8, SEL(0), 100, 13);
    check("error code 0", last.error, 0);
    expect("word at its end", read16, SEL(0), 98, NO_FAULT);
    expect("word over the limit", read16, SEL(0), 99, 13);
    expect("dword over the limit", read32, SEL(0), 97, 13);
    expect("dword at its end", read32, SEL(0), 96, NO_FAULT);
    expect("write over the limit", write32, SEL(0), 98, 13);
    expect("read-modify-write", add32, SEL(0), 97, 13);
    expect("indexed", indexed, SEL(0), 92, NO_FAULT);
    expect("indexed, over", indexed, SEL(0), 93, 13);
    expect("far behind", read8, SEL(0), 0xfffffff0, 13);
    expect("wrap of the access", read32, SEL(0), 0xfffffffe, 13);
    gdt[SEL(1) / 8] = descriptor((u32)data, 0, 0x93, 0xc); // one page
    expect("page limit, last", read32, SEL(1), 4092, NO_FAULT);
    expect("page limit, over", read32, SEL(1), 4093, 13);
    gdt[SEL(2) / 8] = descriptor((u32)data, 99, 0x97, 4); // expand-down: 100 to 4 GiB - 1
    expect("expand-down, below", read8, SEL(2), 99, 13);
    expect("expand-down, first", read8, SEL(2), 100, NO_FAULT);
    expect("expand-down, dword below", read32, SEL(2), 97, 13);
    expect("expand-down, far up", read8, SEL(2), 0xfff, NO_FAULT);
    gdt[SEL(3) / 8] = descriptor((u32)data, 99, 0x97, 0); // expand-down, 16 bits: 100 to 0xffff
    expect("16-bit expand-down, last", read8, SEL(3), 0xffff, NO_FAULT);
    expect("16-bit expand-down, over", read8, SEL(3), 0x10000, 13);
    expect("16-bit expand-down, across", read16, SEL(3), 0xffff, 13);
    // The base and the offset wrap at 4 GiB.
    gdt[SEL(4) / 8] = descriptor((u32)data - 0x1000, 0xfffff, 0x93, 0xc);
    expect("base below", read8, SEL(4), 0x1005, NO_FAULT);
    check("its value", result, data[5]);
    gdt[SEL(4) / 8] = descriptor((u32)data + 0x1000, 0xfffff, 0x93, 0xc);
    expect("wrap of base and offset", read8, SEL(4), 0xfffff003, NO_FAULT);
    check("its value", result, data[3]);
}

static void types(void)
{
    gdt[SEL(0) / 8] = descriptor((u32)data, 0xfff, 0x91, 4);
    expect("read-only reads", read8, SEL(0), 0, NO_FAULT);
    expect("read-only does not write", write8, SEL(0), 0, 13);
    gdt[SEL(0) / 8] = descriptor((u32)data, 0xfff, 0x99, 4);
    expect("execute-only does not load", load_only, SEL(0), 0, 13);
    check("its selector", last.error, SEL(0));
    gdt[SEL(0) / 8] = descriptor((u32)data, 0xfff, 0x9b, 4);
    expect("execute-read reads", read8, SEL(0), 0, NO_FAULT);
    expect("code does not write", write8, SEL(0), 0, 13);
    gdt[SEL(0) / 8] = descriptor((u32)data, 0xfff, 0x13, 4);
    expect("not present", load_only, SEL(0), 0, 11);
    check("its selector", last.error, SEL(0));
    gdt[SEL(0) / 8] = descriptor((u32)data, 0xfff, 0x92, 4);
    expect("accessed bit", load_only, SEL(0), 0, NO_FAULT);
    check("is set", (u32)(gdt[SEL(0) / 8] >> 40) & 0xff, 0x93);
    expect("null loads", load_only, 0, 0, NO_FAULT);
    expect("null with RPL loads", load_only, 3, 0, NO_FAULT);
    expect("null does not read", read8, 0, 0, 13);
    expect("beyond the GDT", load_only, sizeof(gdt) + 8, 0, 13);
    check("its selector", last.error, sizeof(gdt) + 8);
    expect("no LDT", load_only, 12, 0, 13);
    gdt[SEL(0) / 8] = descriptor((u32)data, 0xfff, 0x89, 0);
    expect("system segment", load_only, SEL(0), 0, 13);
}

// The stack segment: #SS, limits under PUSH, 16-bit stacks that wrap and leave the high half of ESP alone.
static u32 stack_esp, stack_after, stack_code;

static void on_stack(void *unused)
{
    (void)unused;
    __asm__ volatile("movl %%esp, %%edi; movl %%ss, %%esi\n"
                     "movl %2, %%ecx; movl %3, %%edx; movl %4, %%ebx\n"
                     "movl %%ecx, %%ss; movl %%edx, %%esp\n"
                     "cmpl $0, %%ebx; jne 1f; pushl %%eax; jmp 9f\n"
                     "1: cmpl $1, %%ebx; jne 2f; pushw %%ax; jmp 9f\n"
                     "2: cmpl $2, %%ebx; jne 3f; popl %%ecx; jmp 9f\n"
                     "3: call 9f\n"
                     "9: movl %%esp, %0; movl %%esi, %%ss; movl %%edi, %%esp\n"
                     : "=m"(stack_after), "=m"(result)
                     : "m"(access_selector), "m"(stack_esp), "m"(stack_code), "a"(0x12345678)
                     : "ebx", "ecx", "edx", "esi", "edi", "memory", "cc");
}

static void stack(const char *name, u32 selector, u32 esp, u32 what, int fault, u32 after)
{
    stack_esp = esp;
    stack_code = what;
    expect(name, on_stack, selector, 0, fault);
    if (fault == NO_FAULT)
        check("  its ESP", stack_after, after);
}

static void stacks(void)
{

    gdt[SEL(5) / 8] = descriptor((u32)arena[1], 0xfff, 0x93, 4);
    stack("32-bit push", SEL(5), 0x800, 0, NO_FAULT, 0x7fc);
    stack("32-bit push of a word", SEL(5), 0x800, 1, NO_FAULT, 0x7fe);
    stack("call", SEL(5), 0x800, 3, NO_FAULT, 0x7fc);
    gdt[SEL(6) / 8] = descriptor((u32)arena, 0xffff, 0x93, 0); // B = 0: SP is 16 bits
    stack("16-bit push", SEL(6), 0xabcd0800, 0, NO_FAULT, 0xabcd07fc);
    stack("16-bit push wraps", SEL(6), 0xabcd0000, 0, NO_FAULT, 0xabcdfffc);
    check("where it was written", *(u32 *)(arena[15] + 0xffc), 0x12345678);
    stack("16-bit pop", SEL(6), 0x1111fffc, 2, NO_FAULT, 0x11110000);
    stack("16-bit call", SEL(6), 0x22220004, 3, NO_FAULT, 0x22220000);
}

// LAR, LSL, VERR, VERW: value or 0xffffffff if ZF is clear.
#define INFO(id, code)                                                                       \
    static u32 id(u32 selector)                                                              \
    {                                                                                        \
        u32 value = 0;                                                                       \
        u8 zf;                                                                               \
                                                                                             \
        __asm__ volatile(code "; setz %1" : "+r"(value), "=q"(zf) : "r"(selector) : "memory"); \
        return zf ? value : 0xffffffff;                                                      \
    }
INFO(lar, "larl %2, %0")
INFO(lsl, "lsll %2, %0")
INFO(verr, "verr %w2")
INFO(verw, "verw %w2")

static void info(void)
{
    check("LAR of code", lar(KERNEL_CS), 0x00cf9b00);
    check("LAR of user data", lar(USER_DS), 0x00cff300);
    check("LAR of null", lar(0), 0xffffffff);
    check("LAR of the busy TSS", lar(TSS_SELECTOR), 0x00008b00);
    check("LAR beyond", lar(0xfff8), 0xffffffff);
    check("LAR with RPL above DPL", lar(KERNEL_DS | 3), 0xffffffff);
    check("LSL of code", lsl(KERNEL_CS), 0xffffffff);
    check("LSL of the TSS", lsl(TSS_SELECTOR), sizeof(tss) - 1);
    gdt[SEL(0) / 8] = gate(KERNEL_CS, 0, 0x8c);
    check("LSL of a call gate", lsl(SEL(0)), 0xffffffff);
    check("LAR of a call gate", lar(SEL(0)), 0x00008c00);
    gdt[SEL(0) / 8] = gate(KERNEL_CS, 0, 0x8e);
    check("LAR of an interrupt gate", lar(SEL(0)), 0xffffffff);
    check("VERR of data", verr(KERNEL_DS), 0);
    check("VERW of data", verw(KERNEL_DS), 0);
    check("VERW of code", verw(KERNEL_CS), 0xffffffff);
    check("VERR of the TSS", verr(TSS_SELECTOR), 0xffffffff);
    gdt[SEL(0) / 8] = descriptor(0, 0xfff, 0x99, 4);
    check("VERR of execute-only", verr(SEL(0)), 0xffffffff);
    gdt[SEL(0) / 8] = descriptor(0, 0xfff, 0x9f, 4);
    check("VERR of conforming code", verr(SEL(0) | 3), 0);
}

// Code segments: a base, a limit, 16-bit code, conforming code from CPL 3, call gates with parameters.
static u32 far_pointer[2];

static u32 far_call(u32 selector, u32 offset)
{
    u32 value = 0;

    far_pointer[0] = offset;
    far_pointer[1] = selector;
    __asm__ volatile("lcall *%1" : "+a"(value) : "m"(far_pointer[0]) : "ecx", "edx", "memory", "cc");
    return value;
}
static void far_call_faulting(void *selector)
{
    result = far_call((u32)selector, 0);
}

static void put(u8 *at, const char *bytes, u32 n)
{
    for (u32 i = 0; i < n; i++)
        at[i] = (u8)bytes[i];
}

static void code(void)
{
    put(arena[3], "\xb8\x04\x03\x02\x01\xcb", 6); // mov eax, 01020304; retf
    gdt[SEL(0) / 8] = descriptor((u32)arena[3], 0xfff, 0x9b, 4);
    check("code with a base", far_call(SEL(0), 0), 0x01020304);
    put(arena[3] + 0x100, "\xb8\x34\x12\x66\xcb", 5); // 16-bit: mov ax, 1234; o32 retf
    gdt[SEL(1) / 8] = descriptor((u32)arena[3], 0xfff, 0x9b, 0);
    check("16-bit code", far_call(SEL(1), 0x100), 0x1234);
    put(arena[3] + 0x200, "\x2e\xa1\x00\x01\x00\x00\xcb", 7); // mov eax, cs:[0x100]; retf
    check("CS override with a base", far_call(SEL(0), 0x200), 0x661234b8);
    gdt[SEL(0) / 8] = descriptor((u32)arena[3], 4, 0x9b, 4);
    check("RETF behind the limit", (u32)guarded_call(far_call_faulting, (void *)SEL(0)), 13);
    check("its EIP", last.eip, 5);
    gdt[SEL(0) / 8] = descriptor((u32)arena[3], 2, 0x9b, 4);
    check("an instruction over the limit", (u32)guarded_call(far_call_faulting, (void *)SEL(0)), 13);
    check("its EIP", last.eip, 0);
    // Straight-line 16-bit code with 32-bit forms between.
    put(arena[3] + 0x300, "\x66\xb8\x78\x56\x34\x12\x05\x01\x00\x66\x83\xc0\x10\x66\xcb", 15);
    check("16-bit code, 32-bit operands", far_call(SEL(1), 0x300), 0x12345689);
}

static void gates(void)
{
    // Parameters are copied only between stacks; from CPL 0 to 0 the gate is a far call to elsewhere.
    put(arena[3] + 0x400, "\x8c\xc8\xcb", 3); // mov eax, cs; retf
    gdt[SEL(0) / 8] = gate(KERNEL_CS, (u32)arena[3] + 0x400, 0x8c);
    check("call gate at CPL 0", far_call(SEL(0), 0xdead) & 0xffff, KERNEL_CS);
    gdt[SEL(0) / 8] = gate(KERNEL_CS, (u32)arena[3] + 0x400, 0x0c);
    check("gate not present", (u32)guarded_call(far_call_faulting, (void *)SEL(0)), 11);
    gdt[SEL(0) / 8] = gate(USER_CS, (u32)arena[3] + 0x400, 0x8c);
    check("gate to an outer segment", (u32)guarded_call(far_call_faulting, (void *)SEL(0)), 13);
    gdt[SEL(0) / 8] = gate(0, (u32)arena[3] + 0x400, 0x8c);
    check("gate to null", (u32)guarded_call(far_call_faulting, (void *)SEL(0)), 13);
    gdt[SEL(0) / 8] = gate(KERNEL_CS, (u32)arena[3] + 0x400, 0x8c);
    check("gate above its DPL", (u32)guarded_user(far_call_faulting, (void *)(SEL(0) | 3), 0x202), 13);
    // From CPL 3 with two parameters: the inner stack holds ss, esp, parameters, cs, eip.
    put(arena[3] + 0x500, "\x8b\x44\x24\x08\x03\x44\x24\x0c\x8c\xca\xca\x08\x00", 13);
    gdt[SEL(0) / 8] = gate(KERNEL_CS, (u32)arena[3] + 0x500, 0xec) | (u64)2 << 32;
}

static void through_gate(void *unused)
{
    u32 value = 0, cs = 0;

    (void)unused;
    far_pointer[0] = 0;
    far_pointer[1] = SEL(0) | 3;
    __asm__ volatile("movl %%esp, %%esi; pushl $1000; pushl $234; lcall *%2; subl %%esp, %%esi; addl %%esi, %%eax"
                     : "+a"(value), "+d"(cs) : "m"(far_pointer[0]) : "esi", "ecx", "memory", "cc");
    result = value | cs << 16;
}

static void conforming_cpl(void *unused)
{
    (void)unused;
    result = far_call(SEL(1) | 3, 0x400);
}

static void inner(void)
{
    check("call gate from CPL 3", (u32)guarded_user(through_gate, NULL, 0x202), (u32)NO_FAULT);
    check("its parameters, stack and CPL", result, 1234 | KERNEL_CS << 16);
    gdt[SEL(1) / 8] = descriptor((u32)arena[3], 0xfff, 0x9f, 4);
    check("conforming code from CPL 3", (u32)guarded_user(conforming_cpl, NULL, 0x202), (u32)NO_FAULT);
    check("CPL stays 3", result & 3, 3);
}

// Descriptors in an LDT.
static u64 ldt[4];

static void local(void)
{
    ldt[1] = descriptor((u32)data + 0x40, 15, 0xf3, 4);
    gdt[SEL(2) / 8] = descriptor((u32)ldt, sizeof(ldt) - 1, 0x82, 0);
    __asm__ volatile("lldt %w0" : : "r"(SEL(2)));
    expect("LDT segment", read8, 12, 15, NO_FAULT);
    check("its base", result, data[0x4f]);
    expect("LDT limit", read8, 12, 16, 13);
    expect("beyond the LDT", load_only, 36, 0, 13);
    check("the error code has TI", last.error, 36);
    // A loaded descriptor stays as it was loaded.
    __asm__ volatile("movl %0, %%fs" : : "r"(12));
    ldt[1] = 0;
    __asm__ volatile("movb %%fs:2, %b0" : "=q"(result));
    check("hidden part outlives its descriptor", result & 0xff, data[0x42]);
    __asm__ volatile("movl %0, %%fs; lldt %w0" : : "r"(0));
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    limits();
    types();
    stacks();
    info();
    code();
    gates();
    inner();
    local();
    finish();
}
