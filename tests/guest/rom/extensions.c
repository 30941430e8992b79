// SPDX-License-Identifier: GPL-2.0-or-later
// Stages 20 to 25: x87, DMA into code, and what came with the 486, Pentium and P6.
#include "rom.h"

static volatile u32 interrupts;
static volatile u16 status;

#define RUN(name, code)                                                                      \
    static void name(void *p)                                                                \
    {                                                                                        \
        (void)p;                                                                             \
        __asm__ volatile(code : : "d"(p) : "eax", "ecx", "memory", "cc");                    \
    }
RUN(fp, "fninit")
RUN(divide, "pushl $0x37b; fninit; fldcw (%%esp); popl %%eax; fld1; fldz; fdivrp; fwait")
RUN(sse, "xorps %%xmm0, %%xmm0")
RUN(unaligned, "movl 1(%%edx), %%eax")
RUN(invalid_opcode, "ud2")
RUN(rdmsr_none, "movl $0x12345678, %%ecx; rdmsr")
RUN(rdtsc, "rdtsc")

static void ferr(struct trap *t)
{
    (void)t;
    interrupts++;
    __asm__ volatile("fnstsw %0; fnclex" : "=m"(status));
    outb(0xf0, 0);
    outb(0xa0, 0x20);
    outb(0x20, 0x20);
}

static void x87(void)
{
    double d;
    u16 word;
    u32 integer;
    u8 image[108];

    stage(0x20, "x87");
    write_cr0((read_cr0() & ~4u) | 0xa); // MP, TS
    FAULTS(fp, 0, 7);
    write_cr0((read_cr0() & ~8u) | 4); // EM
    FAULTS(fp, 0, 7);
    write_cr0(read_cr0() & ~0xcu);
    __asm__ volatile("fninit; fnstcw %0" : "=m"(word));
    MUST(word == 0x37f);
    __asm__ volatile("fnstsw %0" : "=a"(word));
    MUST(word == 0);
    __asm__ volatile("fldpi; fstpl %0" : "=m"(d));
    MUST(((u32 *)&d)[1] == 0x400921fb && ((u32 *)&d)[0] == 0x54442d18);
    __asm__ volatile("fld1; fld1; faddp; fsqrt; fstpl %0" : "=m"(d));
    MUST(((u32 *)&d)[1] == 0x3ff6a09e && ((u32 *)&d)[0] == 0x667f3bcd);
    integer = 7;
    __asm__ volatile("fildl %0; fld1; faddp; fistpl %0" : "+m"(integer));
    MUST(integer == 8);
    __asm__ volatile("fld1; fldz; fcompp; fnstsw %0" : "=a"(word));
    MUST((word & 0x4500) == 0x100);
    __asm__ volatile("fninit; fld1; fldz; fdivrp; fnstsw %0; fstp %%st" : "=a"(word));
    MUST(word & 4); // ZE, masked
    __asm__ volatile("fninit; fld1; fnsave %0" : "=m"(image));
    MUST(image[36] == 0xff || ((u16 *)image)[4] == 0x3fff);
    // An unmasked error comes as #MF with NE, else by IRQ 13.
    write_cr0(read_cr0() | 0x20);
    FAULTS(divide, 0, 16);
    __asm__ volatile("fnclex");
    write_cr0(read_cr0() & ~0x20u);
    handle(0x2d, ferr);
    outb(0x20, 0x11), outb(0x21, 0x20), outb(0x21, 4), outb(0x21, 1), outb(0x21, 0xfb);
    outb(0xa0, 0x11), outb(0xa1, 0x28), outb(0xa1, 2), outb(0xa1, 1), outb(0xa1, 0xdf);
    __asm__ volatile("sti");
    divide(NULL);
    __asm__ volatile("cli");
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    MUST(interrupts == 1 && status & 4);
    write_cr0(read_cr0() | 0x20);
    __asm__ volatile("fninit");
}

static void i486(void)
{
    u32 a = 0x12345678, b = 1, c = 5;
    u8 zf;

    stage(0x21, "486: BSWAP, XADD, CMPXCHG, alignment checks");
    __asm__("bswap %0" : "+r"(a));
    MUST(a == 0x78563412);
    __asm__("lock xaddl %1, %0" : "+m"(c), "+r"(b));
    MUST(c == 6 && b == 5);
    a = 6, b = 9;
    __asm__("lock cmpxchgl %3, %1; setz %2" : "+a"(a), "+m"(c), "=q"(zf) : "r"(b));
    MUST(c == 9 && zf);
    __asm__("lock cmpxchgl %3, %1; setz %2" : "+a"(a), "+m"(c), "=q"(zf) : "r"(b));
    MUST(a == 9 && !zf);
    write_cr0(read_cr0() | 0x40000); // AM
    MUST(guarded_user(unaligned, arena[0], 0x202) == NO_FAULT);
    MUST(guarded_user(unaligned, arena[0], 0x40202) == 17);
    MUST(last.error == 0);
    write_cr0(read_cr0() & ~0x40000u);
}

static void cpuid(u32 leaf, u32 out[4])
{
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "0"(leaf), "2"(0));
}

static void pentium(void)
{
    u32 out[4], low, high, before, a = 1, d = 2;
    u64 cell = 0x200000001ull;
    u8 zf;

    stage(0x23, "Pentium: CPUID, CMPXCHG8B, RDTSC, MSRs, 4 MiB pages");
    cpuid(0, out);
    MUST(out[0] >= 1);
    cpuid(1, out);
    MUST(out[3] & 1 && out[3] & 1 << 8 && out[3] & 1 << 4 && out[3] & 1 << 5 && out[3] & 1 << 3);
    __asm__("lock cmpxchg8b %0; setz %1" : "+m"(cell), "=q"(zf), "+a"(a), "+d"(d) : "b"(7), "c"(8));
    MUST(cell == 0x800000007ull && zf);
    __asm__("lock cmpxchg8b %0; setz %1" : "+m"(cell), "=q"(zf), "+a"(a), "+d"(d) : "b"(0), "c"(0));
    MUST(a == 7 && d == 8 && !zf);
    __asm__ volatile("rdtsc" : "=a"(before), "=d"(high));
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    MUST(low - before < 0x80000000);
    USER_FAULTS(rdtsc, 0, NO_FAULT);
    write_cr4(read_cr4() | 4); // TSD
    USER_FAULTS(rdtsc, 0, 13);
    write_cr4(read_cr4() & ~4u);
    FAULTS(rdmsr_none, 0, 13);
    write_cr4(read_cr4() | 0x10);
    page_directory[0x200] = 0x83;
    MUST(*(volatile u32 *)(0x80000000 + (u32)arena[0]) == *(volatile u32 *)arena[0]);
    *(volatile u32 *)(0x80000000 + (u32)arena[0]) = 99;
    MUST(*(volatile u32 *)arena[0] == 99);
    MUST((peek(&page_directory[0x200]) & 0x60) == (PTE_A | PTE_D));
    page_directory[0x200] = 0;
    invlpg(0x80000000);
}

// ---- P6
static void entered(void);
extern volatile u32 entered_cs, left_cs;
volatile u32 entered_cs, left_cs;

static __attribute__((naked, used)) void entered(void)
{
    __asm__("movl %cs, %eax; movl %eax, entered_cs; movl $1f, %edx;"
            "movl $user_stack_top - 64, %ecx; sysexit;"
            "1: movl %cs, %eax; movl %eax, left_cs; int $0x81");
}
static void enter(void *unused)
{
    (void)unused;
    __asm__ volatile("sysenter");
}
static void wrmsr(u32 msr, u32 value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"(value), "d"(0));
}

static u64 pdpt[4] __attribute__((aligned(32)));

static void p6(void)
{
    u32 out[4], a = 1, b = 2;
    u8 cf;

    cpuid(1, out);
    stage(0x24, "P6: CMOVcc, FCOMI, UD2, SYSENTER, global pages, PAE");
    if (out[3] & 1 << 15) {
        __asm__("cmpl %1, %0; cmovb %1, %0" : "+r"(a) : "r"(b));
        MUST(a == 2);
        __asm__("fld1; fldz; fcomip; setb %0; fstp %%st" : "=q"(cf));
        MUST(cf);
    }
    FAULTS(invalid_opcode, 0, 6);
    if (out[3] & 1 << 11) {
        wrmsr(0x174, 0);
        FAULTS(enter, 0, 13);
        wrmsr(0x174, KERNEL_CS);
        wrmsr(0x175, (u32)trap_stack_top);
        wrmsr(0x176, (u32)entered);
        USER_FAULTS(enter, 0, NO_FAULT);
        MUST(entered_cs == KERNEL_CS && left_cs == USER_CS);
    }
    if (out[3] & 1 << 13) {
        page_table[(u32)arena[2] >> 12] |= PTE_G;
        write_cr4(read_cr4() | 0x80);
        MUST(*(volatile u32 *)arena[2] == 0);
        page_table[(u32)arena[2] >> 12] = (u32)arena[0] | 7;
        write_cr4(read_cr4() & ~0x80u); // flushes all
        MUST(*(volatile u32 *)arena[2] == 99);
        page_table[(u32)arena[2] >> 12] = (u32)arena[2] | 7;
        invlpg((u32)arena[2]);
    }
    if (out[3] & 1 << 6) {
        u64 *directory = (u64 *)arena[4];

        for (u32 i = 0; i < 8; i++)
            directory[i] = i << 21 | 0x87;
        directory[8] = 0x83; // an alias of the first 2 MiB
        pdpt[0] = (u32)directory | 1;
        write_cr0(read_cr0() & 0x7fffffff);
        write_cr4(read_cr4() | 0x20);
        write_cr3((u32)pdpt);
        write_cr0(read_cr0() | 0x80000000);
        MUST(*(volatile u32 *)(0x1000000 + (u32)arena[0]) == 99);
        write_cr0(read_cr0() & 0x7fffffff);
        write_cr4(read_cr4() & ~0x20u);
        write_cr3((u32)page_directory);
        write_cr0(read_cr0() | 0x80000000);
    }
}

static void simd(void)
{
    static float __attribute__((aligned(16))) v[4], ones[4];
    u32 out[4], sum, mask;
    u64 bytes = 0xff01fe027f038004ull;

    cpuid(1, out);
    stage(0x25, "MMX and SSE");
    if (out[3] & 1 << 23) {
        __asm__ volatile("movq %0, %%mm0; paddusb %%mm0, %%mm0; movq %%mm0, %0; emms"
                         : "+m"(bytes));
        MUST(bytes == 0xff02ff04fe06ff08ull);
    }
    if (!(out[3] & 1 << 25))
        return;
    FAULTS(sse, 0, 6); // without CR4.OSFXSR
    write_cr4(read_cr4() | 0x600);
    FAULTS(sse, 0, NO_FAULT);
    for (u32 i = 0; i < 4; i++)
        ((u32 *)ones)[i] = 0x3f800000;
    __asm__ volatile("movaps %2, %%xmm1; addps %%xmm1, %%xmm1; mulps %%xmm1, %%xmm1;"
                     "movaps %%xmm1, %0; cmpneqps %2, %%xmm1; movmskps %%xmm1, %1"
                     : "=m"(v), "=r"(mask) : "m"(ones));
    sum = ((u32 *)v)[0];
    MUST(sum == 0x40800000 && ((u32 *)v)[3] == sum && mask == 15);
    __asm__ volatile("stmxcsr %0" : "=m"(sum));
    MUST(sum == 0x1f80);
}

// ---- Devices that write code: fw_cfg has DMA; on other machines there is nothing to see.
static u32 swap(u32 x)
{
    return x << 24 | (x & 0xff00) << 8 | (x >> 8 & 0xff00) | x >> 24;
}

static void dma(void)
{
    static volatile u32 request[4];
    u8 *code = arena[5];
    u32 value;

    outw(0x510, 0);
    if (inb(0x511) != 'Q' || inb(0x511) != 'E' || inb(0x511) != 'M' || inb(0x511) != 'U')
        return;
    stage(0x22, "code that a device writes");
    for (u32 i = 0; i < 100; i++) {
        code[0] = 0xb8, code[5] = 0xc3; // MOV EAX, i; RET
        *(volatile u32 *)(code + 1) = i;
        __asm__ volatile("call *%1" : "=a"(value) : "r"(code) : "memory");
        MUST(value == i);
        request[0] = swap(8 | 2); // select item 0, the signature, and read it
        request[1] = swap(4);
        request[2] = 0;
        request[3] = swap((u32)code + 1);
        __asm__ volatile("" : : : "memory");
        outl(0x514, 0);
        outl(0x518, swap((u32)request));
        while (request[0])
            continue;
        __asm__ volatile("call *%1" : "=a"(value) : "r"(code) : "memory");
        MUST(value == 0x554d4551);
    }
}

// A processor with CPUID lets EFLAGS.ID change.
static bool has_cpuid(void)
{
    u32 flags;

    __asm__("pushfl; xorl $0x200000, (%%esp); popfl; pushfl; popl %0" : "=r"(flags));
    __asm__("pushfl; xorl $0x200000, (%%esp); popfl" : : : "cc");
    return flags & 0x200000;
}

void extension_stages(void)
{
    x87();
    i486();
    dma();
    if (!has_cpuid())
        return;
    pentium();
    p6();
    simd();
}
