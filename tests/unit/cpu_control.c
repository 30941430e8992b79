// SPDX-License-Identifier: GPL-2.0-or-later
// Control registers, MSRs, CPUID and what each model has; port permission; strings over edges.
#include "cpu_rig.h"

static struct rig rig, *r = &rig;

static void setup(void)
{
    rig_init(r);
    rig_protected(r, 0);
}

static void teardown(void)
{
    rig_free(r);
}

// Runs one instruction and tells which exception it raised, -1 for none.
static int one(const char *bytes, unsigned len)
{
    jmp_buf catcher;
    struct insn insn;
    u8 buf[16] = { 0 };

    memcpy(buf, bytes, len);
    ck_assert_int_eq(insn_decode(&insn, buf, len, true), INSN_OK);
    r->v->eip = RIG_CODE;
    r->v->catcher = &catcher;
    if (_setjmp(catcher)) {
        ck_assert_uint_eq(r->v->eip, RIG_CODE);
        return r->v->fault.vector;
    }
    interp_insn(r->v, &insn);
    return -1;
}

#define ONE(bytes) one(bytes, sizeof(bytes) - 1)
#define MOV_CR0_EAX "\x0f\x22\xc0"
#define MOV_CR3_EAX "\x0f\x22\xd8"
#define MOV_CR4_EAX "\x0f\x22\xe0"
#define MOV_EAX_CR4 "\x0f\x20\xe0"
#define RDMSR "\x0f\x32"
#define WRMSR "\x0f\x30"
#define CPUID "\x0f\xa2"
#define RDTSC "\x0f\x31"
#define CMOV "\x0f\x44\xc1"
#define NOPL "\x0f\x1f\xc0"
#define CMPXCHG8B "\x0f\xc7\x0d\x00\x00\x02\x00"

START_TEST(models_differ)
{
    static const struct {
        const char *model;
        int cmov, cpuid, cx8, cr4, nopl, sse2;
    } c[] = {
        { "486", X_UD, X_UD, X_UD, X_UD, X_UD, X_UD },
        { "pentium", X_UD, -1, -1, -1, X_UD, X_UD },
        { "pentium3", -1, -1, -1, -1, -1, X_UD },
        { "max", -1, -1, -1, -1, -1, -1 },
    };

    for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
        r->v->model = cpu_model_find(c[i].model);
        ck_assert_ptr_nonnull(r->v->model);
        r->v->cr4 = i < 2 ? 0 : CR4_OSFXSR;
        ck_assert_int_eq(ONE(CMOV), c[i].cmov);
        ck_assert_int_eq(ONE(CPUID), c[i].cpuid);
        ck_assert_int_eq(ONE(CMPXCHG8B), c[i].cx8);
        ck_assert_int_eq(ONE(MOV_EAX_CR4), c[i].cr4);
        ck_assert_int_eq(ONE(NOPL), c[i].nopl);
        ck_assert_int_eq(ONE("\x66\x0f\xef\xc0"), c[i].sse2); // PXOR XMM0
    }
    ck_assert_ptr_null(cpu_model_find("pentium4"));
}
END_TEST

SNIPPET(flip_id, "pushf\n pop %eax\n xor $0x200000, %eax\n push %eax\n popf\n pushf\n pop %ebx\n hlt");

START_TEST(the_id_flag_says_cpuid)
{
    rig_go(r, flip_id);
    ck_assert_uint_eq(r->v->gpr[R_EBX] & FL_ID, FL_ID);
    r->v->model = cpu_model_find("486");
    r->v->halted = false;
    rig_protected(r, 0);
    r->v->eflags = FL_FIXED1;
    rig_go(r, flip_id);
    ck_assert_uint_eq(r->v->gpr[R_EBX] & FL_ID, 0);
}
END_TEST

static int write_cr0(u32 value)
{
    r->v->gpr[R_EAX] = value;
    return ONE(MOV_CR0_EAX);
}

START_TEST(cr0_combinations)
{
    ck_assert_int_eq(write_cr0(CR0_PG), X_GP);
    ck_assert_int_eq(write_cr0(CR0_PE | CR0_NW), X_GP);
    ck_assert_int_eq(write_cr0(CR0_PE | CR0_NW | CR0_CD), -1);
    ck_assert_int_eq(write_cr0(CR0_PE | 0x0ffa0000), -1);
    ck_assert_uint_eq(r->v->cr0, CR0_PE | CR0_ET); // reserved bits stay clear, ET set
}
END_TEST

START_TEST(lmsw_sets_but_never_clears_pe)
{
    r->v->gpr[R_EAX] = 0xfffe;
    ck_assert_int_eq(ONE("\x0f\x01\xf0"), -1);
    ck_assert_uint_eq(r->v->cr0 & 0xf, 0xf);
    r->v->gpr[R_EAX] = 0;
    ck_assert_int_eq(ONE("\x0f\x01\xf0"), -1);
    ck_assert_uint_eq(r->v->cr0 & 0xf, CR0_PE);
}
END_TEST

START_TEST(cr4_reserved_bits)
{
    r->v->gpr[R_EAX] = BIT(20);
    ck_assert_int_eq(ONE(MOV_CR4_EAX), X_GP);
    r->v->model = cpu_model_find("pentium");
    r->v->gpr[R_EAX] = CR4_PAE;
    ck_assert_int_eq(ONE(MOV_CR4_EAX), X_GP);
    r->v->gpr[R_EAX] = CR4_PSE | CR4_DE;
    ck_assert_int_eq(ONE(MOV_CR4_EAX), -1);
}
END_TEST

START_TEST(pdptes_are_checked)
{
    struct vcpu *v = r->v;

    v->cr4 = CR4_PAE;
    v->cr3 = 0x100000;
    phys_write64(&r->phys, 0x100000, 0x101001 | BIT(5));
    ck_assert_int_eq(write_cr0(CR0_PE | CR0_PG), X_GP);
    ck_assert_uint_eq(v->cr0 & CR0_PG, 0);
    phys_write64(&r->phys, 0x100000, 0x101001);
    phys_write64(&r->phys, 0x101000, 0x83); // 2 MiB, identity
    ck_assert_int_eq(write_cr0(CR0_PE | CR0_PG), -1);
    ck_assert_uint_eq(v->pdpte[0], 0x101001);
    phys_write64(&r->phys, 0x100028, 2); // not present: anything goes
    v->gpr[R_EAX] = 0x100020;
    phys_write64(&r->phys, 0x100020, 1ull << 40 | 1);
    ck_assert_int_eq(ONE(MOV_CR3_EAX), X_GP);
    ck_assert_uint_eq(v->cr3, 0x100000);
    phys_write64(&r->phys, 0x100020, 0x101001);
    ck_assert_int_eq(ONE(MOV_CR3_EAX), -1);
    ck_assert_uint_eq(v->pdpte[1], 2);
}
END_TEST

static int wrmsr(u32 msr, u64 value)
{
    r->v->gpr[R_ECX] = msr;
    r->v->gpr[R_EAX] = value;
    r->v->gpr[R_EDX] = value >> 32;
    return ONE(WRMSR);
}

static int rdmsr(u32 msr)
{
    r->v->gpr[R_ECX] = msr;
    return ONE(RDMSR);
}

START_TEST(msrs)
{
    ck_assert_int_eq(rdmsr(0x12345), X_GP);
    ck_assert_int_eq(wrmsr(MSR_PAT, 0x0007040600070402), X_GP);
    ck_assert_int_eq(wrmsr(MSR_PAT, 0x0007040600070401), -1);
    ck_assert_int_eq(rdmsr(MSR_PAT), -1);
    ck_assert_uint_eq(r->v->gpr[R_EAX], 0x00070401);
    ck_assert_int_eq(wrmsr(MSR_EFER, EFER_NXE), -1);
    ck_assert_int_eq(wrmsr(MSR_EFER, 1 << 8), X_GP); // no long mode
    ck_assert_int_eq(wrmsr(MSR_MTRR_FIRST, 2), X_GP);
    ck_assert_int_eq(wrmsr(MSR_SYSENTER_CS, 8), -1);
    ck_assert_uint_eq(r->v->sysenter_cs, 8);
    r->v->model = cpu_model_find("pentium");
    ck_assert_int_eq(rdmsr(MSR_SYSENTER_CS), X_GP);
    ck_assert_int_eq(rdmsr(MSR_EFER), X_GP);
    ck_assert_int_eq(rdmsr(MSR_TSC), -1);
    cpu_set_cpl(r->v, 3);
    ck_assert_int_eq(rdmsr(MSR_TSC), X_GP);
}
END_TEST

START_TEST(the_tsc_can_be_set_and_withheld)
{
    u64 tsc;

    ck_assert_int_eq(wrmsr(MSR_TSC, 1ull << 40), -1);
    ck_assert_int_eq(ONE(RDTSC), -1);
    tsc = (u64)r->v->gpr[R_EDX] << 32 | r->v->gpr[R_EAX];
    ck_assert(tsc >= 1ull << 40 && tsc < (1ull << 40) + 10000000000);
    ck_assert_int_eq(rdmsr(0x3b), -1); // TSC_ADJUST knows
    ck_assert_int_eq(wrmsr(0x3b, 0), -1);
    ck_assert_int_eq(ONE(RDTSC), -1);
    tsc = (u64)r->v->gpr[R_EDX] << 32 | r->v->gpr[R_EAX];
    ck_assert(tsc + 10000000000 - __builtin_ia32_rdtsc() < 20000000000);
    r->v->cr4 |= CR4_TSD;
    ck_assert_int_eq(ONE(RDTSC), -1);
    cpu_set_cpl(r->v, 3);
    ck_assert_int_eq(ONE(RDTSC), X_GP);
}
END_TEST

START_TEST(cpuid_leaves)
{
    u32 out[4];

    r->v->model = cpu_model_find("pentium3");
    cpu_cpuid(r->v, 0, 0, out);
    ck_assert_uint_eq(out[0], 2);
    ck_assert_mem_eq(&out[1], "Genu", 4);
    ck_assert_mem_eq(&out[3], "ineI", 4);
    ck_assert_mem_eq(&out[2], "ntel", 4);
    cpu_cpuid(r->v, 1, 0, out);
    ck_assert_uint_eq(out[0] >> 8 & 15, 6);
    ck_assert_uint_eq(out[3] & (CPUID_SSE | CPUID_PAE | CPUID_SEP), CPUID_SSE | CPUID_PAE | CPUID_SEP);
    ck_assert_uint_eq(out[3] & (CPUID_SSE2 | CPUID_APIC), 0);
    // More leaves once the limit for old systems is lifted.
    cpu_cpuid(r->v, 7, 0, out);
    ck_assert_uint_eq(out[1], 0);
    ck_assert_int_eq(rdmsr(MSR_MISC_ENABLE), -1);
    ck_assert_int_eq(wrmsr(MSR_MISC_ENABLE, 0), -1);
    cpu_cpuid(r->v, 0, 0, out);
    ck_assert_uint_eq(out[0], 7);
    cpu_cpuid(r->v, 7, 0, out);
    ck_assert_uint_eq(out[1], CPUID_7_TSC_ADJUST);
    cpu_cpuid(r->v, 0x80000001, 0, out);
    ck_assert_uint_eq(out[3], CPUID_EXT_NX);
}
END_TEST

START_TEST(privileged_instructions)
{
    static const struct {
        const char *bytes;
        unsigned len;
    } c[] = {
        { "\xf4", 1 },         { "\x0f\x06", 2 },     { "\x0f\x09", 2 },     { "\x0f\x08", 2 },
        { "\x0f\x20\xc0", 3 }, { "\x0f\x22\xc0", 3 }, { "\x0f\x21\xc0", 3 }, { "\x0f\x23\xc0", 3 },
        { "\x0f\x00\xd0", 3 }, { "\x0f\x00\xd8", 3 }, { "\x0f\x01\xf0", 3 }, { "\x0f\x30", 2 },
        { "\x0f\x01\x15\0\0\2\0", 7 }, { "\x0f\x01\x3d\0\0\2\0", 7 }, { "\x0f\x35", 2 },
        { "\xfa", 1 },         { "\xfb", 1 },         { "\xe4\x60", 2 },     { "\xee", 1 },
    };

    rig_protected(r, 3);
    r->v->tr.limit = 0x67; // no I/O map
    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        ck_assert_int_eq(one(c[i].bytes, c[i].len), X_GP);
    r->v->eflags |= FL_VM;
    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        // LLDT and LTR don't exist in V86 mode; I/O goes by the map alone.
        ck_assert_int_eq(one(c[i].bytes, c[i].len), i == 8 || i == 9 ? X_UD : X_GP);
}
END_TEST

START_TEST(io_permission_map)
{
    rig_protected(r, 3);
    for (unsigned i = 0; i < 0x2000; i += 4)
        poke(r, RIG_TSS + 0x88 + i, 0);
    poke(r, RIG_TSS + 0x88 + 0x60 / 8, BIT(1)); // port 61
    ck_assert_int_eq(ONE("\xe4\x60"), -1);         // in al,60
    ck_assert_int_eq(ONE("\xe4\x61"), X_GP);
    ck_assert_int_eq(ONE("\x66\xe5\x60"), X_GP);   // in ax,60 touches 61
    ck_assert_int_eq(ONE("\xe5\x62"), -1);
    r->v->tr.limit = 0x88 + 0x60 / 8;              // the second byte of the map is beyond
    ck_assert_int_eq(ONE("\xe4\x60"), X_GP);
    r->v->eflags |= FL_IOPL;
    ck_assert_int_eq(ONE("\xe4\x60"), -1);         // IOPL 3 needs no map,
    r->v->eflags |= FL_VM;
    ck_assert_int_eq(ONE("\xe4\x60"), X_GP);       // but in V86 mode
}
END_TEST

SNIPPET(copy, "mov $0x21ffe, %esi\n mov $0x23ffd, %edi\n mov $0x1003, %ecx\n rep movsb\n hlt");
SNIPPET(fill, "mov $0x20001, %edi\n mov $0x21000, %esi\n mov $0x12345678, %eax\n mov $0x801, %ecx\n"
              " rep stosl\n hlt");
SNIPPET(spread, "movl $0x44332211, 0x20000\n mov $0x20000, %esi\n mov $0x20003, %edi\n"
                " mov $30, %ecx\n rep movsb\n hlt");
SNIPPET(wrap16, "mov $0xabcdfff0, %edi\n mov $0x12340020, %ecx\n mov $0x5a, %al\n addr16 rep stosb\n"
                " hlt");

START_TEST(bulk_strings)
{
    u8 expect[0x1003], got[0x1003];

    for (unsigned i = 0; i < sizeof(expect); i++)
        expect[i] = i * 7 + (i >> 8);
    phys_write(&r->phys, 0x21ffe, expect, sizeof(expect));
    rig_go(r, copy);
    phys_read(&r->phys, 0x23ffd, got, sizeof(got));
    ck_assert_mem_eq(got, expect, sizeof(got));
    ck_assert_uint_eq(r->v->gpr[R_ECX], 0);
    ck_assert_uint_eq(r->v->gpr[R_ESI], 0x21ffe + 0x1003);
    ck_assert_uint_eq(r->v->gpr[R_EDI], 0x23ffd + 0x1003);
}
END_TEST

START_TEST(bulk_fill_over_pages)
{
    poke(r, 0x20000 + 1 + 0x801 * 4, 0xffffffff);
    rig_go(r, fill);
    ck_assert_uint_eq(peek(r, 0x20001), 0x12345678);
    ck_assert_uint_eq(peek(r, 0x20ffd), 0x12345678); // across the page
    ck_assert_uint_eq(peek(r, 0x20001 + 0x800 * 4), 0x12345678);
    ck_assert_uint_eq(peek(r, 0x20001 + 0x801 * 4), 0xffffffff);
    ck_assert_uint_eq(r->v->gpr[R_EDI], 0x20001 + 0x801 * 4);
}
END_TEST

START_TEST(overlapping_copy_repeats_its_pattern)
{
    rig_go(r, spread);
    for (unsigned i = 0; i < 33; i++)
        ck_assert_uint_eq(peek(r, 0x20000 + i) & 0xff, 0x11 * (i % 3 + 1));
}
END_TEST

START_TEST(sixteen_bit_strings_wrap)
{
    r->v->seg[S_ES] = (struct seg){ SEL_DATA0, 0x93, 0x40000, 0xffff };
    rig_go(r, wrap16);
    ck_vector(r, -1);
    ck_assert_uint_eq(peek(r, 0x4fffc), 0x5a5a5a5a);
    ck_assert_uint_eq(peek(r, 0x4000c), 0x5a5a5a5a);
    ck_assert_uint_eq(peek(r, 0x50000), 0);
    ck_assert_uint_eq(r->v->gpr[R_EDI], 0xabcd0010);
    ck_assert_uint_eq(r->v->gpr[R_ECX], 0x12340000);
}
END_TEST

START_TEST(reset_state)
{
    struct vcpu *v = r->v;

    cpu_reset(v);
    ck_assert_uint_eq(v->eip, 0xfff0);
    ck_assert_uint_eq(v->seg[S_CS].sel, 0xf000);
    ck_assert_uint_eq(v->seg[S_CS].base, 0xffff0000);
    ck_assert_uint_eq(v->cr0, 0x60000010);
    ck_assert_uint_eq(v->gpr[R_EDX], v->model->signature);
    ck_assert_uint_eq(v->eflags, 2);
    ck_assert_uint_eq(v->idtr.limit, 0xffff);
    ck_assert_uint_eq(v->dr[6], 0xffff0ff0);
    ck_assert_uint_eq(v->dr[7], 0x400);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("control");
    TCase *tc = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, models_differ);
    tcase_add_test(tc, the_id_flag_says_cpuid);
    tcase_add_test(tc, cr0_combinations);
    tcase_add_test(tc, lmsw_sets_but_never_clears_pe);
    tcase_add_test(tc, cr4_reserved_bits);
    tcase_add_test(tc, pdptes_are_checked);
    tcase_add_test(tc, msrs);
    tcase_add_test(tc, the_tsc_can_be_set_and_withheld);
    tcase_add_test(tc, cpuid_leaves);
    tcase_add_test(tc, privileged_instructions);
    tcase_add_test(tc, io_permission_map);
    tcase_add_test(tc, bulk_strings);
    tcase_add_test(tc, bulk_fill_over_pages);
    tcase_add_test(tc, overlapping_copy_repeats_its_pattern);
    tcase_add_test(tc, sixteen_bit_strings_wrap);
    tcase_add_test(tc, reset_state);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
