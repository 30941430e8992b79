// SPDX-License-Identifier: GPL-2.0-or-later
// A -cpu model agrees with itself: what EFLAGS and CPUID announce works, in registers, control bits and MSRs, and what they
// do not is #UD or #GP (SDM 1 chapter 20, 2A CPUID, 3A 2.5). Run: tests/guest/run-sys model; -c 486 for another model.
#include "tests/guest/lib/kernel.h"

static u32 edx, ecx, signature, max_leaf, ext_edx, ext_ecx, leaf7;
static bool has_cpuid;

#define CASE(name, code)                                                                     \
    static void name(void *p)                                                                \
    {                                                                                        \
        __asm__ volatile(code : : "c"(p) : "eax", "ebx", "edx", "esi", "memory", "cc");      \
    }
CASE(cpuid_insn, "xorl %%eax, %%eax; cpuid")
CASE(bswap, "bswap %%eax")
CASE(xadd, "pushl %%ecx; xaddl %%eax, (%%esp); popl %%ecx")
CASE(cmpxchg, "pushl %%ecx; cmpxchgl %%eax, (%%esp); popl %%ecx")
CASE(invlpg_insn, "invlpg (%%esp)")
CASE(wbinvd, "wbinvd")
CASE(cr4, "movl %%cr4, %%eax; movl %%eax, %%cr4")
CASE(rdtsc, "rdtsc")
CASE(rdmsr, "rdmsr")
CASE(cmpxchg8b, "pushl $0; pushl $0; cmpxchg8b (%%esp); popl %%eax; popl %%eax")
CASE(rsm, "rsm")
CASE(cmov, "cmovel %%eax, %%ebx")
CASE(fcmov, "fninit; fld1; fld1; fcmove %%st(1), %%st")
CASE(fcomi, "fninit; fld1; fld1; fcomi %%st(1), %%st")
CASE(rdpmc, "xorl %%ecx, %%ecx; rdpmc")
CASE(ud2, "ud2")
CASE(nop_modrm, ".byte 0x0f, 0x1f, 0xc0")
CASE(emms, "emms")
CASE(paddb, "paddb %%mm0, %%mm1; emms")
CASE(fxsave, "leal arena, %%eax; fxsave (%%eax)")
CASE(fxrstor, "fxrstor (%%ecx)")
CASE(sysexit_user, "sysenter")
CASE(xorps, "xorps %%xmm0, %%xmm0")
CASE(sfence, "sfence")
CASE(prefetch, "prefetcht0 (%%esp)")
CASE(pshufw, "pshufw $0, %%mm0, %%mm1; emms")
CASE(xorpd, "xorpd %%xmm0, %%xmm0")
CASE(lfence, "lfence")
CASE(pause_insn, "pause")
CASE(movnti, "pushl %%ecx; movnti %%eax, (%%esp); popl %%ecx")
CASE(clflush, "clflush (%%esp)")
CASE(haddps, "haddps %%xmm0, %%xmm0")
CASE(pshufb, "pshufb %%xmm0, %%xmm0")
CASE(pmulld, "pmulld %%xmm0, %%xmm0")
CASE(crc32, "crc32b %%al, %%ebx")
CASE(popcnt, "popcntl %%eax, %%eax")
CASE(movbe, "movbel (%%esp), %%eax")
CASE(aesenc, "aesenc %%xmm0, %%xmm0")
CASE(pclmul, "pclmulqdq $0, %%xmm0, %%xmm0")
CASE(rdrand, "rdrand %%eax")
CASE(adcx, "adcx %%eax, %%eax")
CASE(vaddps, ".byte 0xc5, 0xf8, 0x58, 0xc0")
CASE(andn, ".byte 0xc4, 0xe2, 0x78, 0xf2, 0xc0")
CASE(syscall_insn, ".byte 0x0f, 0x05")
CASE(femms, ".byte 0x0f, 0x0e")
CASE(pfadd, ".byte 0x0f, 0x0f, 0xc0, 0x9e")

static bool toggles(u32 flag)
{
    u32 before = read_eflags(), after;

    __asm__ volatile("pushl %1; popfl; pushfl; popl %0; pushl %2; popfl" : "=r"(after) : "r"(before ^ flag), "r"(before)
                     : "cc");
    return (before ^ after) & flag;
}

// The instruction works exactly if `there`; else it is #UD.
static void expect(const char *name, void (*f)(void *), bool there)
{
    check(name, (u32)guarded_call(f, NULL), there ? (u32)NO_FAULT : 6);
    check("  by CPL 3", (u32)guarded_user(f, NULL, 0x202) == 6, !there);
}

static void leaf(u32 n, u32 *a, u32 *b, u32 *c, u32 *d)
{
    __asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "a"(n), "c"(0));
}

static void identify(void)
{
    u32 a, b, c, d;

    check("AC can be toggled", toggles(0x40000), true);
    check("reserved flags can not", toggles(0x8028) || toggles(0x20000), false);
    has_cpuid = toggles(0x200000);
    expect("CPUID", cpuid_insn, has_cpuid);
    if (!has_cpuid)
        return;
    leaf(0, &max_leaf, &b, &c, &d);
    leaf(1, &signature, &b, &ecx, &edx);
    check("it shows itself only where it can be", !!(edx & 1), true);
    if ((signature >> 8 & 15) >= 6) // all leaves
        __asm__ volatile("rdmsr; andl $~(1 << 22), %%eax; wrmsr" : : "c"(0x1a0) : "eax", "edx");
    leaf(0, &max_leaf, &b, &c, &d);
    if (max_leaf >= 7)
        leaf(7, &a, &leaf7, &c, &d);
    leaf(0x80000000, &a, &b, &c, &d);
    if (a > 0x80000000 && a < 0x80000100)
        leaf(0x80000001, &a, &b, &ext_ecx, &ext_edx);
}

static void instructions(void)
{
    expect("BSWAP", bswap, true);
    expect("XADD", xadd, true);
    expect("CMPXCHG", cmpxchg, true);
    check("INVLPG", (u32)guarded_call(invlpg_insn, NULL), (u32)NO_FAULT);
    check("WBINVD", (u32)guarded_call(wbinvd, NULL), (u32)NO_FAULT);
    check("CR4", (u32)guarded_call(cr4, NULL), has_cpuid ? (u32)NO_FAULT : 6);
    expect("RDTSC", rdtsc, edx & 1 << 4);
    check("RDMSR", (u32)guarded_call(rdmsr, (void *)0x10), edx & 1 << 5 ? (u32)NO_FAULT : 6);
    check("of a register that nobody has", (u32)guarded_call(rdmsr, (void *)0xdeadbeef), edx & 1 << 5 ? 13 : 6);
    expect("CMPXCHG8B", cmpxchg8b, edx & 1 << 8);
    expect("RSM", rsm, false);
    expect("CMOV", cmov, edx & 1 << 15);
    expect("FCMOV", fcmov, edx & 1 << 15);
    expect("FCOMI", fcomi, edx & 1 << 15);
    check("RDPMC", (u32)guarded_call(rdpmc, NULL), (signature >> 8 & 15) >= 6 ? (u32)NO_FAULT : 6);
    expect("UD2", ud2, false);
    expect("NOP with ModRM", nop_modrm, (signature >> 8 & 15) >= 6);
    expect("EMMS", emms, edx & 1 << 23);
    expect("PADDB", paddb, edx & 1 << 23);
    expect("FXSAVE", fxsave, edx & 1 << 24);
    check("SYSENTER without a target", (u32)guarded_call(sysexit_user, NULL), edx & 1 << 11 ? 13 : 6);
    expect("XORPS", xorps, edx & 1 << 25);
    expect("SFENCE", sfence, edx & 1 << 25);
    expect("PREFETCH", prefetch, edx & 1 << 25 || (signature >> 8 & 15) >= 6);
    expect("PSHUFW", pshufw, edx & 1 << 25);
    expect("PAUSE is NOP at least", pause_insn, true);
    expect("XORPD", xorpd, edx & 1 << 26);
    expect("LFENCE", lfence, edx & 1 << 26);
    expect("MOVNTI", movnti, edx & 1 << 26);
    expect("CLFLUSH", clflush, edx & 1 << 19);
    expect("HADDPS", haddps, ecx & 1);
    expect("PSHUFB", pshufb, ecx & 1 << 9);
    expect("PMULLD", pmulld, ecx & 1 << 19);
    expect("CRC32", crc32, ecx & 1 << 20);
    expect("POPCNT", popcnt, ecx & 1 << 23);
    expect("MOVBE", movbe, ecx & 1 << 22);
    expect("AESENC", aesenc, ecx & 1 << 25);
    expect("PCLMULQDQ", pclmul, ecx & 1 << 1);
    expect("RDRAND", rdrand, ecx & 1 << 30);
    expect("ADCX", adcx, leaf7 & 1 << 19);
    expect("ANDN", andn, leaf7 & 1 << 3);
    expect("SYSCALL", syscall_insn, ext_edx & 1 << 11);
    expect("FEMMS", femms, ext_edx & 1u << 31);
    expect("3DNow!", pfadd, ext_edx & 1u << 31);
    check("no AVX, no XSAVE", ecx & (1 << 28 | 1 << 26), 0);
    check("other VEX is LDS of a register", (u32)guarded_call(vaddps, NULL), 6);
}

static void set_mxcsr(void *bits)
{
    __asm__ volatile("ldmxcsr %0; stmxcsr arena" : : "m"(bits) : "memory");
}

// The host's CPU may have bits that the model has not: AMD's allow misaligned operands with bit 17.
static void mxcsr_bits(void)
{
    u32 *image = (u32 *)arena[1], mask = edx & 1 << 26 ? 0xffff : 0xffbf; // without DAZ

    if (!(edx & 1 << 25))
        return;
    __asm__ volatile("fxsave (%0)" : : "r"(image) : "memory");
    check("MXCSR_MASK", image[7], mask);
    for (u32 bit = 0; bit < 32; bit++) {
        u32 value = 0x1f80 | 1u << bit;
        bool allowed = mask >> bit & 1;

        check("a bit of MXCSR", (u32)guarded_call(set_mxcsr, (void *)value), allowed ? (u32)NO_FAULT : 13);
        if (allowed)
            check("  is kept", *(u32 *)arena[0], value);
        image[6] = value;
        check("  in FXRSTOR", (u32)guarded_call(fxrstor, image), allowed ? (u32)NO_FAULT : 13);
    }
    set_mxcsr((void *)0x1f80);
}

static void set_cr4(void *bits)
{
    write_cr4(read_cr4() | (u32)bits);
}

static void cr4_bits(void)
{
    const struct {
        u32 bit, feature;
    } bits[] = { { 0, 1 }, { 1, 1 }, { 2, 4 }, { 3, 2 }, { 4, 3 }, { 5, 6 }, { 6, 7 }, { 7, 13 }, { 9, 24 }, { 10, 25 } };
    u32 allowed = 0, kept = read_cr4();

    for (u32 i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
        allowed |= (edx >> bits[i].feature & 1) << bits[i].bit;
    for (u32 bit = 0; bit < 32; bit++) {
        if (bit == 8) // PCE is announced by nothing
            continue;
        check("a bit of CR4", (u32)guarded_call(set_cr4, (void *)(1u << bit)), allowed >> bit & 1 ? (u32)NO_FAULT : 13);
        write_cr4(kept);
    }
}

static void msrs(void)
{
    static const struct {
        u32 msr;
        u8 feature; // of CPUID.1:EDX
    } list[] = { { 0x10, 4 }, { 0x0, 7 }, { 0x1, 7 }, { 0x174, 11 }, { 0x175, 11 }, { 0x176, 11 }, { 0xfe, 12 },
                 { 0x2ff, 12 }, { 0x200, 12 }, { 0x250, 12 }, { 0x179, 14 }, { 0x17a, 14 }, { 0x277, 16 } };

    for (u32 i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        check("an MSR", (u32)guarded_call(rdmsr, (void *)list[i].msr), edx >> list[i].feature & 1 ? (u32)NO_FAULT : 13);
    check("EFER", (u32)guarded_call(rdmsr, (void *)0xc0000080), ext_edx & (1 << 20 | 1 << 29) ? (u32)NO_FAULT : 13);
    check("no STAR", (u32)guarded_call(rdmsr, (void *)0xc0000081), 13);
    check("none of AMD's", (u32)guarded_call(rdmsr, (void *)0xc0010015), 13);
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    write_cr0(read_cr0() & ~0xcu);
    identify();
    if (edx & 1 << 24)
        write_cr4(read_cr4() | 0x600 * (edx >> 25 & 1) | 0x200);
    for (u32 i = 0; i < 3; i++) {
        instructions();
        if (!has_cpuid)
            continue;
        mxcsr_bits();
        cr4_bits();
        if (edx & 1 << 5)
            msrs();
    }
    print("signature %x, features %x %x\n", signature, edx, ecx);
    finish();
}
