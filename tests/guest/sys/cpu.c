// SPDX-License-Identifier: GPL-2.0-or-later
// The processor's registers and its answers: reserved bits of the control registers, CPUID against what works, MSRs and
// their reserved values, RDTSC, RDPMC, undefined opcodes, LTR and LLDT, all descriptor types for LAR LSL VERR
// VERW, x87's switches, SYSENTER (SDM 2A, 3A 2.5, 4). Run: tests/guest/run-sys cpu
#include "tests/guest/lib/kernel.h"

#define SEL(i) (SPARE + 8 * (i))

static u32 features, extended, msr_low, msr_high;

#define CASE(name, code)                                                                     \
    static void name(void *p)                                                                \
    {                                                                                        \
        (void)p;                                                                             \
        __asm__ volatile(code : : "a"(p), "d"(0), "c"(p) : "ebx", "memory", "cc");           \
    }
CASE(to_cr0, "movl %%eax, %%cr0")
CASE(to_cr4, "movl %%eax, %%cr4")
CASE(cr1, "movl %%cr1, %%eax")
CASE(cr5, "movl %%eax, %%cr5")
CASE(cr8, ".byte 0xf0; movl %%cr0, %%eax")
CASE(ltr, "ltr %%ax")
CASE(lldt, "lldt %%ax")
CASE(rdpmc, "rdpmc")
CASE(rdtsc, "rdtsc")
CASE(cpuid_insn, "movl $1, %%eax; cpuid")
CASE(rsm, "rsm")
CASE(ud2, "ud2")
CASE(ud1, ".byte 0x0f, 0xb9, 0xc0")
CASE(ud0, ".byte 0x0f, 0xff, 0xc0")
CASE(invd, "invd")
CASE(wbinvd, "wbinvd")
CASE(fld, "fninit; fld1; fstp %%st(0)")
CASE(fwait, "fwait")
CASE(emms, "emms")
CASE(sse, "xorps %%xmm0, %%xmm0")
CASE(fxsave, "fxsave arena")
CASE(sysenter, "sysenter")
CASE(sysexit, "sysexit")
CASE(lmsw_off, "smsw %%ax; andb $0xfe, %%al; lmsw %%ax")
CASE(invlpg_reg, ".byte 0x0f, 0x01, 0xf8")
CASE(lgdt_reg, ".byte 0x0f, 0x01, 0xd0")
CASE(group6_6, ".byte 0x0f, 0x00, 0xf0")
CASE(group8_0, ".byte 0x0f, 0xba, 0xc0, 0x01")
CASE(pop_1, ".byte 0x8f, 0xc8")
CASE(ff_7, ".byte 0xff, 0xf8")
CASE(fe_2, ".byte 0xfe, 0xd0")
CASE(mov_cs, ".byte 0x8e, 0xc8")
CASE(mov_sreg6, ".byte 0x8e, 0xf0")
CASE(from_sreg7, ".byte 0x8c, 0xf8")
CASE(les_reg, ".byte 0xc4, 0xc0")
CASE(bound_reg, ".byte 0x62, 0xc0")
CASE(lea_reg, ".byte 0x8d, 0xc0")
CASE(cmpxchg8b_reg, ".byte 0x0f, 0xc7, 0xc8")
CASE(ljmp_reg, ".byte 0xff, 0xe8")
CASE(lcall_reg, ".byte 0xff, 0xd8")
CASE(d6_aam0, "aam $0")

static void rdmsr(void *msr)
{
    __asm__ volatile("rdmsr" : "=a"(msr_low), "=d"(msr_high) : "c"(msr));
}

static u32 wr_low, wr_high;

static void wrmsr(void *msr)
{
    __asm__ volatile("wrmsr" : : "a"(wr_low), "d"(wr_high), "c"(msr));
}

static int read_msr(u32 msr)
{
    return guarded_call(rdmsr, (void *)msr);
}

static int write_msr(u32 msr, u32 high, u32 low)
{
    wr_low = low;
    wr_high = high;
    return guarded_call(wrmsr, (void *)msr);
}

static void faults(const char *name, void (*f)(void *), u32 argument, int vector)
{
    check(name, (u32)guarded_call(f, (void *)argument), (u32)vector);
}

static void control_registers(void)
{
    u32 cr0 = read_cr0(), cr4 = read_cr4();

    faults("PG without PE", to_cr0, 0x80000000, 13);
    faults("NW without CD", to_cr0, (cr0 & ~0x40000000u) | 0x20000000, 13);
    check("CR0 is as it was", read_cr0(), cr0);
    write_cr0(cr0 & ~0x10u);
    check("ET can't be cleared", read_cr0() & 0x10, 0x10);
    write_cr0(cr0 | 0x1ff80000 | 0x7ffc0);
    check("reserved bits of CR0 are not kept", read_cr0() & 0x1ffaffc0, 0);
    write_cr0(cr0);
    faults("LMSW does not leave protected mode", lmsw_off, 0, NO_FAULT);
    check("PE", read_cr0() & 1, 1);
    faults("a reserved bit of CR4", to_cr4, cr4 | 0x800, 13);
    faults("another", to_cr4, cr4 | 0x80000000, 13);
    check("CR4 is as it was", read_cr4(), cr4);
    for (u32 bit = 0; bit < 8; bit++) {
        // VME, PVI, TSD, DE, PSE, PAE, MCE, PGE by their CPUID bits
        static const u8 by[8] = { 1, 1, 4, 2, 3, 6, 7, 13 };

        if (bit == 5)
            continue;
        check("a bit of CR4 as CPUID says", (u32)guarded_call(to_cr4, (void *)(cr4 | 1u << bit)),
              features >> by[bit] & 1 ? (u32)NO_FAULT : 13);
        write_cr4(cr4);
    }
    write_cr3(0x12345fff);
    check("CR3 keeps its bits", read_cr3(), 0x12345fff);
    write_cr3(0);
    write_cr2(0x12345678);
    check("CR2 can be written", read_cr2(), 0x12345678);
    faults("CR1", cr1, 0, 6);
    faults("CR5", cr5, 0, 6);
    faults("LOCK MOV CR0", cr8, 0, 6);
}

static void cpuid(u32 leaf, u32 out[4])
{
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "0"(leaf), "2"(0));
}

static void identification(void)
{
    u32 out[4], past[4], max;

    cpuid(0, out);
    max = out[0];
    check("CPUID has a leaf 1", max >= 1, 1);
    check("a vendor", out[1] != 0 && out[2] != 0 && out[3] != 0, 1);
    cpuid(1, out);
    features = out[3];
    check("a family", (out[0] >> 8 & 15) >= 4, 1);
    check("an FPU", features & 1, 1);
    check("bits that 32-bit processors never had", features & (1u << 10 | 1u << 20), 0);
    cpuid(0x80000000, out);
    check("extended leaves", out[0] >= 0x80000001 && out[0] < 0x80000100, 1);
    cpuid(0x80000001, out);
    extended = out[3];
    check("no long mode", extended & 1u << 29, 0);
    cpuid(0x7fffffff, out);
    cpuid(max, past);
    check("beyond the last leaf: as the last", out[0] == past[0] && out[3] == past[3], 1);
    check("ID in EFLAGS", read_eflags() & 0x200000, 0);
    __asm__ volatile("pushfl; xorl $0x200000, (%%esp); popfl" : : : "cc");
    check("can be set", read_eflags() & 0x200000, 0x200000);
    __asm__ volatile("pushfl; xorl $0x200000, (%%esp); popfl" : : : "cc");
    check("CPUID at CPL 3", (u32)guarded_user(cpuid_insn, NULL, 0x202), (u32)NO_FAULT);
}

static void msrs(void)
{
    static const u32 none[] = { 0x12345678, 0x3, 0xc0000081, 0xc0000100, 0x40000000 };
    static const u32 fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e,
                                 0x26f };
    u32 cap;

    for (u32 i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        check("RDMSR of none", (u32)read_msr(none[i]), 13);
        check("WRMSR of none", (u32)write_msr(none[i], 0, 0), 13);
    }
    check("TSC", (u32)read_msr(0x10), (u32)NO_FAULT);
    check("APIC base", (u32)read_msr(0x1b), (u32)NO_FAULT);
    check("SYSENTER_CS", (u32)write_msr(0x174, 0, 0x1234), (u32)NO_FAULT);
    check("reads", (u32)read_msr(0x174), (u32)NO_FAULT);
    check("back", msr_low, 0x1234);
    check("PAT", (u32)read_msr(0x277), (u32)NO_FAULT);
    check("as after reset, low", msr_low, 0x00070406);
    check("high", msr_high, 0x00070406);
    check("a reserved type in PAT", (u32)write_msr(0x277, 0, 2), 13);
    check("all types", (u32)write_msr(0x277, 0x06050401, 0x00070406), (u32)NO_FAULT);
    check("MTRRcap", (u32)read_msr(0xfe), (u32)NO_FAULT);
    cap = msr_low;
    check("eight ranges", cap & 0xff, 8);
    check("is read-only", (u32)write_msr(0xfe, 0, cap), 13);
    for (u32 i = 0; i < 16; i++)
        check("a variable range", (u32)read_msr(0x200 + i), (u32)NO_FAULT);
    check("a reserved type", (u32)write_msr(0x200, 0, 2), 13);
    check("beyond 36 bits", (u32)write_msr(0x201, 0x10, 0x800), 13);
    check("fixed ranges", cap >> 8 & 1, 1);
    for (u32 i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        check("a fixed range", (u32)write_msr(fixed[i], 0x06060606, 0x04050100 + i % 2), (u32)NO_FAULT);
        check("reads", (u32)read_msr(fixed[i]), (u32)NO_FAULT);
        check("back", msr_low, 0x04050100 + i % 2);
        check("high", msr_high, 0x06060606);
        check("a reserved type", (u32)write_msr(fixed[i], 0, 2), 13);
        write_msr(fixed[i], 0, 0);
    }
    check("MTRRdefType", (u32)write_msr(0x2ff, 0, 0xc06), (u32)NO_FAULT);
    check("a reserved bit", (u32)write_msr(0x2ff, 0, 0x1000), 13);
    check("a reserved type", (u32)write_msr(0x2ff, 0, 3), 13);
    check("EFER", (u32)read_msr(0xc0000080), (u32)NO_FAULT);
    check("LME", (u32)write_msr(0xc0000080, 0, 0x100), 13);
    check("NXE", (u32)write_msr(0xc0000080, 0, 0x800), extended >> 20 & 1 ? (u32)NO_FAULT : 13);
    write_msr(0xc0000080, 0, 0);
}

static void counters(void)
{
    u32 first, second, high;

    __asm__ volatile("rdtsc" : "=a"(first), "=d"(high));
    __asm__ volatile("rdtsc" : "=a"(second), "=d"(high));
    check("RDTSC rises", second - first < 0x40000000, 1);
    check("at CPL 3", (u32)guarded_user(rdtsc, NULL, 0x202), (u32)NO_FAULT);
    write_cr4(read_cr4() | 4);
    check("not with TSD", (u32)guarded_user(rdtsc, NULL, 0x202), 13);
    check("but at CPL 0", (u32)guarded_call(rdtsc, NULL), (u32)NO_FAULT);
    write_cr4(read_cr4() & ~4u);
    check("RDPMC", (u32)guarded_call(rdpmc, NULL), (u32)NO_FAULT);
    check("of none", (u32)guarded_call(rdpmc, (void *)0x100), 13);
    check("at CPL 3", (u32)guarded_user(rdpmc, NULL, 0x202), 13);
    write_cr4(read_cr4() | 0x100);
    check("with PCE", (u32)guarded_user(rdpmc, NULL, 0x202), (u32)NO_FAULT);
    write_cr4(read_cr4() & ~0x100u);
    faults("INVD", invd, 0, NO_FAULT);
    faults("WBINVD", wbinvd, 0, NO_FAULT);
}

static void undefined(void)
{
    static void (*const list[])(void *) = {
        rsm, ud2, ud1, ud0, invlpg_reg, lgdt_reg, group6_6, group8_0, pop_1, ff_7, fe_2, mov_cs, mov_sreg6,
        from_sreg7, les_reg, bound_reg, lea_reg, cmpxchg8b_reg, ljmp_reg, lcall_reg,
    };

    for (u32 i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        check("undefined at CPL 0", (u32)guarded_call(list[i], NULL), 6);
        check("its EIP", last.eip - (u32)list[i] < 16, 1);
        check("at CPL 3", (u32)guarded_user(list[i], NULL, 0x202), 6);
    }
    faults("AAM 0", d6_aam0, 0, 0);
}

static void ltr_lldt(void)
{
    for (u32 type = 0; type < 16; type++) {
        bool tss_ok = type == 1 || type == 9, ldt_ok = type == 2;

        gdt[SEL(0) / 8] = descriptor((u32)arena[0], 0x67, 0x80 | (u8)type, 0);
        check("LTR by type", (u32)guarded_call(ltr, (void *)SEL(0)), tss_ok ? (u32)NO_FAULT : 13);
        if (tss_ok)
            check("is busy", (u32)(gdt[SEL(0) / 8] >> 40) & 15, type | 2);
        gdt[SEL(0) / 8] = descriptor((u32)arena[0], 0x67, 0x80 | (u8)type, 0);
        check("LLDT by type", (u32)guarded_call(lldt, (void *)SEL(0)), ldt_ok ? (u32)NO_FAULT : 13);
        gdt[SEL(0) / 8] = descriptor((u32)arena[0], 0x67, 0x90 | (u8)type, 0);
        check("LTR of segments", (u32)guarded_call(ltr, (void *)SEL(0)), 13);
        check("error code", last.error, SEL(0));
    }
    gdt[SEL(0) / 8] = descriptor((u32)arena[0], 0x67, 0x09, 0);
    faults("LTR, not present", ltr, SEL(0), 11);
    gdt[SEL(0) / 8] = descriptor((u32)arena[0], 0x67, 0x02, 0);
    faults("LLDT, not present", lldt, SEL(0), 11);
    faults("LTR of null", ltr, 0, 13);
    faults("LTR of the LDT", ltr, SEL(0) | 4, 13);
    check("error code", last.error, SEL(0) | 4);
    faults("LTR beyond the GDT", ltr, 0x1000, 13);
    faults("LLDT of null", lldt, 3, NO_FAULT);
    gdt[TSS_SELECTOR / 8] &= ~(2ull << 40);
    __asm__ volatile("ltr %w0" : : "r"(TSS_SELECTOR));
    check("LTR at CPL 3", (u32)guarded_user(ltr, (void *)TSS_SELECTOR, 0x202), 13);
}

// LAR, LSL, VERR and VERW of each type, DPL and RPL, at both privileges, by the manual's tables.
static u32 looked[4], look_sel;

static void look(void *unused)
{
    u32 r = 0xffffffff;
    u8 z;

    (void)unused;
    __asm__ volatile("larl %2, %0; setz %1" : "+r"(r), "=q"(z) : "r"(look_sel) : "cc");
    looked[0] = z ? r : 0xffffffff;
    r = 0xffffffff;
    __asm__ volatile("lsll %2, %0; setz %1" : "+r"(r), "=q"(z) : "r"(look_sel) : "cc");
    looked[1] = z ? r : 0xffffffff;
    __asm__ volatile("verr %w1; setz %0" : "=q"(z) : "r"(look_sel) : "cc");
    looked[2] = z;
    __asm__ volatile("verw %w1; setz %0" : "=q"(z) : "r"(look_sel) : "cc");
    looked[3] = z;
}

// TSSs and LDTs have limits; call and task gates have rights too.
#define LSL_TYPES (1u << 1 | 1u << 2 | 1u << 3 | 1u << 9 | 1u << 11)
#define LAR_TYPES (LSL_TYPES | 1u << 4 | 1u << 5 | 1u << 12)

static void descriptors(void)
{
    u32 bad = 0, cases = 0;

    for (u32 n = 0; n < 32 * 4 * 4 * 2 * 2; n++) {
        u32 type = n & 31, dpl = n >> 5 & 3, rpl = n >> 7 & 3, present = n >> 9 & 1;
        bool user = n >> 10 & 1, system = !(type & 16), code = type & 8, lar, lsl, verr, verw, seen;
        u32 cpl = user ? 3 : 0, access = type | dpl << 5 | present << 7;
        bool conforming = !system && code && type & 4;

        seen = conforming || (dpl >= cpl && dpl >= rpl);
        lar = seen && (!system || LAR_TYPES >> type & 1);
        lsl = seen && (!system || LSL_TYPES >> type & 1);
        verr = seen && !system && (!code || type & 2);
        verw = seen && !system && !code && type & 2;
        gdt[SEL(1) / 8] = descriptor(0x1000, 0x12345, (u8)access, 0xd);
        look_sel = SEL(1) | rpl;
        if (user)
            guarded_user(look, NULL, 0x202);
        else
            guarded_call(look, NULL);
        cases++;
        if (looked[0] != (lar ? 0x00d10000 | access << 8 : 0xffffffff) ||
            looked[1] != (lsl ? 0x12345fff : 0xffffffff) || looked[2] != verr || looked[3] != verw) {
            if (bad++ < 5)
                print("FAILED type %x, DPL %u, RPL %u, CPL %u: LAR %x LSL %x VERR %x VERW %x\n", type, dpl, rpl,
                      cpl, looked[0], looked[1], looked[2], looked[3]);
        }
    }
    print("%u descriptors\n", cases);
    check("LAR, LSL, VERR, VERW", bad, 0);
}

// CR0.EM, TS and MP for each kind of instruction; CR4.OSFXSR.
static void coprocessor(void)
{
    u32 cr0 = read_cr0() & ~0xeu, bad = 0;

    write_cr4(read_cr4() | 0x600);
    for (u32 n = 0; n < 16; n++) {
        bool mp = n & 1, em = n & 2, ts = n & 4, osfxsr = n & 8;
        int x87 = em || ts ? 7 : NO_FAULT, wait = mp && ts ? 7 : NO_FAULT;
        int mmx = em ? 6 : ts ? 7 : NO_FAULT, simd = em || !osfxsr ? 6 : ts ? 7 : NO_FAULT;

        for (u32 user = 0; user < 2; user++) {
            int got[5];
            static void (*const f[])(void *) = { fld, fwait, emms, sse, fxsave };

            for (u32 i = 0; i < 5; i++) {
                write_cr4((read_cr4() & ~0x200u) | (osfxsr ? 0x200 : 0));
                write_cr0(cr0 | (mp ? 2 : 0) | (em ? 4 : 0) | (ts ? 8 : 0) | 0x20);
                got[i] = user ? guarded_user(f[i], NULL, 0x202) : guarded_call(f[i], NULL);
                write_cr0(cr0 | 0x20);
            }
            if (got[0] != x87 || got[1] != wait || got[2] != mmx || got[3] != simd || got[4] != x87) {
                bad++;
                print("FAILED MP %u EM %u TS %u OSFXSR %u: %d %d %d %d %d\n", mp, em, ts, osfxsr, got[0], got[1],
                      got[2], got[3], got[4]);
            }
        }
    }
    check("EM, TS, MP and OSFXSR", bad, 0);
    write_cr4(read_cr4() | 0x600);
}

// ---- SYSENTER
extern volatile u32 enter_esp, enter_cs, enter_flags, leave_cs;
volatile u32 enter_esp, enter_cs, enter_flags, leave_cs;
extern void entry(void);
__asm__("entry: movl %esp, enter_esp; pushfl; popl enter_flags; movl %cs, %eax; movl %eax, enter_cs\n"
        "movl $1f, %edx; movl $user_stack_top - 256, %ecx; sysexit\n"
        "1: movl %cs, %eax; movl %eax, leave_cs; int $0x81");

static void fast_calls(void)
{
    write_msr(0x174, 0, 0);
    faults("SYSENTER without a CS", sysenter, 0, 13);
    faults("SYSEXIT without one", sysexit, 0, 13);
    write_msr(0x174, 0, 3);
    faults("with a null one", sysenter, 0, 13);
    write_msr(0x174, 0, KERNEL_CS | 3);
    write_msr(0x175, 0, (u32)trap_stack_top - 128);
    write_msr(0x176, 0, (u32)entry);
    check("SYSEXIT at CPL 3", (u32)guarded_user(sysexit, NULL, 0x202), 13);
    check("SYSENTER and SYSEXIT", (u32)guarded_user(sysenter, NULL, 0x202), (u32)NO_FAULT);
    check("ESP", enter_esp, (u32)trap_stack_top - 128);
    check("CS", enter_cs, KERNEL_CS);
    check("IF is clear", enter_flags & 0x200, 0);
    check("CS outside", leave_cs, KERNEL_CS + 16 + 3);
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    write_cr0((read_cr0() & ~0xcu) | 0x20);
    identification();
    control_registers();
    msrs();
    counters();
    undefined();
    ltr_lldt();
    descriptors();
    coprocessor();
    fast_calls();
    finish();
}
