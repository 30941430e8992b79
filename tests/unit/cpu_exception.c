// SPDX-License-Identifier: GPL-2.0-or-later
// Exceptions, interrupts, and what they push: frames, error codes, double and triple faults,
// gates and rings.
#include "cpu_rig.h"

static struct rig rig, *r = &rig;

static void setup(void)
{
    rig_init(r);
}

static void teardown(void)
{
    rig_free(r);
}

SNIPPET(ud, "nop\n ud2\n hlt");
SNIPPET(gp_sel, "mov $0x1234, %ax\n mov %ax, %ds\n hlt");
SNIPPET(de, "xor %ecx, %ecx\n div %ecx\n hlt");
SNIPPET(bp, "nop\n int3\n hlt");
SNIPPET(of, "mov $0x7f, %al\n add $1, %al\n into\n hlt");
SNIPPET(br, "mov $5, %eax\n movl $6, 0x20000\n movl $9, 0x20004\n bound %eax, 0x20000\n hlt");
SNIPPET(soft, "int $0x80\n hlt");
SNIPPET(nop_hlt, "nop\n hlt");
SNIPPET(spin, "1: jmp 1b");
SNIPPET(too_long, ".fill 15, 1, 0x66\n nop\n hlt");

START_TEST(faults_push_the_instruction)
{
    rig_protected(r, 0);
    rig_go(r, ud);
    ck_vector(r, X_UD);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 1);
    ck_assert_uint_eq(rig_frame(r, 1), SEL_CODE0);
    ck_assert_uint_eq(rig_frame(r, 2), FL_FIXED1 | FL_RF);
    ck_assert_uint_eq(r->v->gpr[R_ESP], RIG_STACK0 - 12);
}
END_TEST

START_TEST(error_code_names_the_selector)
{
    rig_protected(r, 0);
    rig_go(r, gp_sel);
    ck_vector(r, X_GP);
    ck_assert_uint_eq(rig_frame(r, 0), 0x1234);
    ck_assert_uint_eq(rig_frame(r, 1), RIG_CODE + 4);
}
END_TEST

START_TEST(divide_error)
{
    rig_protected(r, 0);
    rig_go(r, de);
    ck_vector(r, X_DE);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 2);
}
END_TEST

START_TEST(traps_push_the_next_instruction)
{
    rig_protected(r, 0);
    rig_go(r, bp);
    ck_vector(r, X_BP);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 2);
    ck_assert_uint_eq(rig_frame(r, 2) & FL_RF, 0);
}
END_TEST

START_TEST(overflow_trap)
{
    rig_protected(r, 0);
    rig_go(r, of);
    ck_vector(r, X_OF);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 5);
}
END_TEST

START_TEST(bound_fault)
{
    rig_protected(r, 0);
    rig_go(r, br);
    ck_vector(r, X_BR);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 25);
}
END_TEST

START_TEST(over_fifteen_bytes)
{
    rig_protected(r, 0);
    rig_go(r, too_long);
    ck_vector(r, X_GP);
    ck_assert_uint_eq(rig_frame(r, 0), 0);
    ck_assert_uint_eq(rig_frame(r, 1), RIG_CODE);
}
END_TEST

START_TEST(from_ring_3_through_a_gate)
{
    rig_protected(r, 3);
    rig_gate(r, RIG_IDT + 8 * 0x80, SEL_CODE0, RIG_HANDLER(0x80), AT_INT32_DPL3, 0);
    r->v->eflags |= FL_IF | FL_NT;
    rig_go(r, soft);
    ck_assert_uint_eq(peek(r, RIG_VECTOR) & 0xff, 0x80);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 2);
    ck_assert_uint_eq(rig_frame(r, 1), SEL_CODE3);
    ck_assert_uint_eq(rig_frame(r, 2), FL_FIXED1 | FL_IF | FL_NT);
    ck_assert_uint_eq(rig_frame(r, 3), RIG_STACK3);
    ck_assert_uint_eq(rig_frame(r, 4), SEL_DATA3);
    ck_assert_uint_eq(r->v->gpr[R_ESP], RIG_STACK0 - 20);
    ck_assert_uint_eq(r->v->cpl, 0);
    ck_assert_uint_eq(r->v->seg[S_SS].sel, SEL_DATA0);
    ck_assert_uint_eq(r->v->eflags, FL_FIXED1);
}
END_TEST

START_TEST(gate_privilege_is_for_software)
{
    rig_protected(r, 3);
    rig_go(r, soft); // the gate's DPL is 0
    ck_vector(r, X_GP);
    ck_assert_uint_eq(rig_frame(r, 0), 0x80 * 8 + 2);
    ck_assert_uint_eq(rig_frame(r, 1), RIG_CODE);
}
END_TEST

START_TEST(hardware_passes_any_gate)
{
    rig_protected(r, 3);
    r->v->eflags |= FL_IF;
    r->vector = 0x80;
    r->v->intr_line = true;
    vcpu_post(r->v, EV_INTR);
    rig_go(r, spin);
    ck_assert_uint_eq(peek(r, RIG_VECTOR) & 0xff, 0x80);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE);
    ck_assert_uint_eq(rig_frame(r, 2) & FL_RF, 0);
    ck_assert_uint_eq(r->v->event, 0);
}
END_TEST

START_TEST(not_present_gate_names_the_vector)
{
    rig_protected(r, 0);
    rig_gate(r, RIG_IDT + 8 * X_UD, SEL_CODE0, 0, 0x0e, 0);
    rig_go(r, ud);
    ck_vector(r, X_NP);
    // EXT: the #UD was not asked for.
    ck_assert_uint_eq(rig_frame(r, 0), X_UD * 8 + 2 + 1);
    ck_assert_uint_eq(rig_frame(r, 1), RIG_CODE + 1);
}
END_TEST

START_TEST(software_interrupt_has_no_ext)
{
    rig_protected(r, 0);
    rig_gate(r, RIG_IDT + 8 * 0x80, SEL_CODE0, 0, 0x0e, 0);
    rig_go(r, soft);
    ck_vector(r, X_NP);
    ck_assert_uint_eq(rig_frame(r, 0), 0x80 * 8 + 2);
    ck_assert_uint_eq(rig_frame(r, 1), RIG_CODE);
}
END_TEST

START_TEST(beyond_the_idt)
{
    rig_protected(r, 0);
    r->v->idtr.limit = 0x80 * 8 + 6;
    rig_go(r, soft);
    ck_vector(r, X_GP);
    ck_assert_uint_eq(rig_frame(r, 0), 0x80 * 8 + 2);
}
END_TEST

START_TEST(contributory_twice_is_a_double_fault)
{
    rig_protected(r, 0);
    rig_gate(r, RIG_IDT + 8 * X_GP, SEL_CODE0, 0, 0x0e, 0); // #GP -> #NP
    rig_go(r, gp_sel);
    ck_vector(r, X_DF);
    ck_assert_uint_eq(rig_frame(r, 0), 0);
    ck_assert_uint_eq(rig_frame(r, 1), RIG_CODE + 4);
}
END_TEST

START_TEST(benign_then_contributory_is_not)
{
    rig_protected(r, 0);
    rig_gate(r, RIG_IDT + 8 * X_BP, SEL_CODE0, 0, 0x0e, 0);
    rig_go(r, bp);
    ck_vector(r, X_NP);
    ck_assert_uint_eq(rig_frame(r, 0), X_BP * 8 + 2);
    ck_assert_uint_eq(rig_frame(r, 1), RIG_CODE + 1); // INT3 faulted
}
END_TEST

START_TEST(three_times_is_shutdown)
{
    rig_protected(r, 0);
    r->v->idtr.limit = 0;
    rig_load(r, RIG_CODE, ud);
    ck_assert_int_eq(rig_run(r), CPU_TRIPLE_FAULT);
}
END_TEST

START_TEST(bad_inner_stack_is_ts)
{
    rig_protected(r, 3);
    poke(r, RIG_TSS + 8, SEL_DATA3);
    rig_gate(r, RIG_IDT + 8 * 0x80, SEL_CODE0, RIG_HANDLER(0x80), AT_INT32_DPL3, 0);
    rig_gate(r, RIG_IDT + 8 * X_TS, SEL_TSS, 0, 0x85, 0); // a task gate, to be able to see it
    rig_desc(r, SEL_A, RIG_TSS2, 0x67, 0x89);
    rig_gate(r, RIG_IDT + 8 * X_TS, SEL_A, 0, 0x85, 0);
    poke(r, RIG_TSS2 + 0x20, RIG_HANDLER(X_TS));
    poke(r, RIG_TSS2 + 0x38, RIG_STACK0);
    for (unsigned i = 0; i < 6; i++)
        poke(r, RIG_TSS2 + 0x48 + 4 * i, i == 1 ? SEL_CODE0 : SEL_DATA0);
    rig_go(r, soft);
    ck_vector(r, X_TS);
    ck_assert_uint_eq(rig_frame(r, 0), SEL_DATA3 & ~3u);
    ck_assert_uint_eq(r->v->tr.sel, SEL_A);
    ck_assert_uint_eq(peek(r, RIG_TSS2) & 0xffff, SEL_TSS); // back link
    ck_assert(r->v->eflags & FL_NT);
    ck_assert_uint_eq(peek(r, RIG_TSS + 0x20), RIG_CODE); // the old task's EIP
}
END_TEST

SNIPPET(sti_nop, "sti\n nop\n nop\n hlt");
SNIPPET(sti_sti, "sti\n sti\n nop\n hlt");
SNIPPET(mov_ss, "mov %ss, %eax\n mov %eax, %ss\n nop\n nop\n hlt");

static void pend(void)
{
    r->vector = 0x20;
    r->v->intr_line = true;
    vcpu_post(r->v, EV_INTR);
}

START_TEST(sti_shades_one_instruction)
{
    rig_protected(r, 0);
    pend();
    rig_go(r, sti_nop);
    ck_vector(r, 0x20);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 2);
}
END_TEST

START_TEST(a_second_sti_shades_nothing)
{
    rig_protected(r, 0);
    pend();
    rig_go(r, sti_sti);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 2);
}
END_TEST

START_TEST(mov_ss_shades_interrupts)
{
    rig_protected(r, 0);
    r->v->eflags |= FL_IF;
    rig_load(r, RIG_CODE, mov_ss);
    ck_assert_int_eq(interp_run(r->v, 2), CPU_RAN);
    pend();
    vcpu_post(r->v, EV_NMI);
    ck_assert(!cpu_interruptible(r->v));
    ck_assert_int_eq(rig_run(r), CPU_HALTED);
    ck_vector(r, X_NMI); // before the interrupt, which IF = 0 then holds back
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 5);
    ck_assert(r->v->nmi_blocked);
}
END_TEST

START_TEST(halt_sleeps_until_an_interrupt)
{
    rig_protected(r, 0);
    r->v->eflags |= FL_IF;
    rig_go(r, nop_hlt);
    ck_assert_int_eq(rig_run(r), CPU_HALTED);
    pend();
    ck_assert_int_eq(rig_run(r), CPU_HALTED);
    ck_vector(r, 0x20);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 2);
}
END_TEST

// Page faults: identity mapping of 4 MiB, with holes.
static void page(void)
{
    poke(r, 0x100000, 0x101000 | 7);
    for (u32 i = 0; i < 1024; i++)
        poke(r, 0x101000 + 4 * i, i << 12 | 7);
    r->v->cr3 = 0x100000;
    cpu_write_cr0(r->v, r->v->cr0 | CR0_PG);
}

SNIPPET(touch, "movl $1, 0x21000\n hlt");

START_TEST(page_fault)
{
    rig_protected(r, 3);
    page();
    poke(r, 0x101000 + 4 * 0x21, 0x21000 | 5);
    rig_go(r, touch);
    ck_vector(r, X_PF);
    ck_assert_uint_eq(r->v->cr2, 0x21000);
    ck_assert_uint_eq(rig_frame(r, 0), PFERR_P | PFERR_W | PFERR_U);
    ck_assert_uint_eq(rig_frame(r, 1), RIG_CODE);
    ck_assert_uint_eq(rig_frame(r, 3) & FL_RF, FL_RF);
}
END_TEST

START_TEST(page_fault_then_contributory_is_a_double_fault)
{
    rig_protected(r, 0);
    page();
    poke(r, 0x101000 + 4 * 0x21, 0);
    rig_gate(r, RIG_IDT + 8 * X_PF, SEL_CODE0, 0, 0x0e, 0);
    rig_go(r, touch);
    ck_vector(r, X_DF);
    ck_assert_uint_eq(r->v->cr2, 0x21000);
}
END_TEST

START_TEST(contributory_then_page_fault_is_not)
{
    rig_protected(r, 0);
    page();
    // The #GP gate lies on a page of its own that is not there.
    r->v->idtr.base = 0x30f98; // vector 13 at 31000
    phys_write(&r->phys, 0x30f98, phys_host(&r->phys, RIG_IDT), 0x68);
    poke(r, 0x101000 + 4 * 0x31, 0);
    rig_load(r, RIG_CODE, gp_sel);
    // #PF's gate (vector 14) is on the missing page too: #GP, #PF, then #PF in #PF is #DF,
    // whose gate is there.
    ck_assert_int_eq(rig_run(r), CPU_HALTED);
    ck_vector(r, X_DF);
    ck_assert_uint_eq(r->v->cr2, 0x31000 + 8);
}
END_TEST

START_TEST(fetch_across_the_limit)
{
    rig_protected(r, 0);
    r->v->seg[S_CS].limit = RIG_CODE + 2;
    r->v->seg[S_CS].attr = 0x409b;
    phys_write(&r->phys, RIG_CODE, "\x90\x90\xb8\x01\x02\x03\x04", 7);
    ck_assert_int_eq(rig_run(r), CPU_HALTED);
    ck_vector(r, X_GP);
    ck_assert_uint_eq(rig_frame(r, 0), 0);
    ck_assert_uint_eq(rig_frame(r, 1), RIG_CODE + 2);
}
END_TEST

START_TEST(fetch_across_a_missing_page)
{
    rig_protected(r, 0);
    page();
    poke(r, 0x101000 + 4 * 0x12, 0);
    phys_write(&r->phys, 0x11ffe, "\xb8\x01", 2);
    r->v->eip = 0x11ffe;
    ck_assert_int_eq(rig_run(r), CPU_HALTED);
    ck_vector(r, X_PF);
    ck_assert_uint_eq(r->v->cr2, 0x12000);
    ck_assert_uint_eq(rig_frame(r, 1), 0x11ffe);
}
END_TEST

SNIPPET16(real_int, "int $0x21\n hlt");
SNIPPET16(real_iret, "iret");

START_TEST(real_mode_interrupt)
{
    struct vcpu *v = r->v;

    v->idtr = (struct dtable){ 0, 0x3ff };
    seg_load_real(v, S_CS, RIG_CODE >> 4);
    seg_load_real(v, S_SS, 0x3000);
    v->gpr[R_ESP] = 0x12340100;
    v->eip = 0;
    v->eflags |= FL_IF | FL_CF;
    poke(r, 0x21 * 4, 0x20000000); // 2000:0
    rig_load(r, 0x20000, real_iret);
    rig_load(r, RIG_CODE, real_int);
    ck_assert_int_eq(interp_run(v, 1), CPU_RAN);
    ck_assert_uint_eq(v->seg[S_CS].base, 0x20000);
    ck_assert_uint_eq(v->gpr[R_ESP], 0x123400fa);
    ck_assert_uint_eq(v->eflags, FL_FIXED1 | FL_CF);
    ck_assert_uint_eq(peek(r, 0x300fa), 0x10000002);
    ck_assert_uint_eq(peek(r, 0x300fe) & 0xffff, FL_FIXED1 | FL_CF | FL_IF);
    ck_assert_int_eq(rig_run(r), CPU_HALTED);
    ck_assert_uint_eq(v->eip, 3);
    ck_assert_uint_eq(v->seg[S_CS].sel, 0x1000);
    ck_assert_uint_eq(v->gpr[R_ESP], 0x12340100);
    ck_assert_uint_eq(v->eflags, FL_FIXED1 | FL_CF | FL_IF);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exceptions");
    TCase *tc = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, faults_push_the_instruction);
    tcase_add_test(tc, error_code_names_the_selector);
    tcase_add_test(tc, divide_error);
    tcase_add_test(tc, traps_push_the_next_instruction);
    tcase_add_test(tc, overflow_trap);
    tcase_add_test(tc, bound_fault);
    tcase_add_test(tc, over_fifteen_bytes);
    tcase_add_test(tc, from_ring_3_through_a_gate);
    tcase_add_test(tc, gate_privilege_is_for_software);
    tcase_add_test(tc, hardware_passes_any_gate);
    tcase_add_test(tc, not_present_gate_names_the_vector);
    tcase_add_test(tc, software_interrupt_has_no_ext);
    tcase_add_test(tc, beyond_the_idt);
    tcase_add_test(tc, contributory_twice_is_a_double_fault);
    tcase_add_test(tc, benign_then_contributory_is_not);
    tcase_add_test(tc, three_times_is_shutdown);
    tcase_add_test(tc, bad_inner_stack_is_ts);
    tcase_add_test(tc, sti_shades_one_instruction);
    tcase_add_test(tc, a_second_sti_shades_nothing);
    tcase_add_test(tc, mov_ss_shades_interrupts);
    tcase_add_test(tc, halt_sleeps_until_an_interrupt);
    tcase_add_test(tc, page_fault);
    tcase_add_test(tc, page_fault_then_contributory_is_a_double_fault);
    tcase_add_test(tc, contributory_then_page_fault_is_not);
    tcase_add_test(tc, fetch_across_the_limit);
    tcase_add_test(tc, fetch_across_a_missing_page);
    tcase_add_test(tc, real_mode_interrupt);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
