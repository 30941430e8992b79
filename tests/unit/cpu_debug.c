// SPDX-License-Identifier: GPL-2.0-or-later
// Single-step, the debug registers, RF, alignment checks.
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

#define DR6(bits) (0xffff0ff0u | (bits))
#define BS BIT(14)

SNIPPET(step, "push $0x102\n popf\n nop\n nop\n hlt");
SNIPPET(step_rep, "mov $3, %ecx\n mov $0x20000, %edi\n push $0x102\n popf\n rep stosb\n hlt");
SNIPPET(step_int, "push $0x102\n popf\n int $0x80\n hlt");
SNIPPET(step_mov_ss, "mov %ss, %eax\n push $0x102\n popf\n mov %eax, %ss\n nop\n nop\n hlt");
SNIPPET(step_off, "push $2\n push $0x102\n popf\n popf\n nop\n hlt");
SNIPPET(step_fault, "push $0x102\n popf\n ud2");
SNIPPET(store, "movl $1, 0x20004\n nop\n hlt");
SNIPPET(two_nops, "nop\n nop\n hlt");
SNIPPET(loop_back, "mov $2, %ecx\n 1: nop\n loop 1b\n hlt");
SNIPPET(movs, "mov $8, %ecx\n mov $0x20000, %esi\n mov $0x20100, %edi\n rep movsb\n hlt");
SNIPPET(store_mov_ss, "mov %ss, 0x20004\n mov 0x20004, %ss\n nop\n nop\n hlt");
SNIPPET(dr_access, "mov %dr0, %eax\n hlt");
SNIPPET(icebp, "nop\n .byte 0xf1\n hlt");
SNIPPET(dr4, "mov %dr4, %eax\n hlt");

START_TEST(single_step_after_the_next_instruction)
{
    rig_go(r, step);
    ck_vector(r, X_DB);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 7); // after the first NOP
    ck_assert_uint_eq(rig_frame(r, 2), FL_FIXED1 | FL_TF);
    ck_assert_uint_eq(r->v->dr[6], DR6(BS));
    ck_assert_uint_eq(r->v->eflags & FL_TF, 0);
}
END_TEST

START_TEST(single_step_between_iterations)
{
    rig_go(r, step_rep);
    ck_vector(r, X_DB);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 16); // still at REP STOSB
    ck_assert_uint_eq(r->v->gpr[R_ECX], 2);
    ck_assert_uint_eq(rig_frame(r, 2) & FL_RF, FL_RF);
}
END_TEST

START_TEST(no_single_step_after_int)
{
    rig_go(r, step_int);
    ck_assert_uint_eq(peek(r, RIG_VECTOR) & 0xff, 0x80);
    ck_assert_uint_eq(rig_frame(r, 2) & FL_TF, FL_TF);
    ck_assert_uint_eq(r->v->dr[6], DR6(0));
}
END_TEST

START_TEST(mov_ss_swallows_its_trap)
{
    rig_go(r, step_mov_ss);
    ck_vector(r, X_DB);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 11); // after the NOP that follows
}
END_TEST

START_TEST(clearing_tf_still_traps)
{
    rig_go(r, step_off);
    ck_vector(r, X_DB);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 9);
    ck_assert_uint_eq(rig_frame(r, 2) & FL_TF, 0);
}
END_TEST

START_TEST(a_fault_goes_before_single_step)
{
    rig_go(r, step_fault);
    ck_vector(r, X_UD);
    ck_assert_uint_eq(rig_frame(r, 2), FL_FIXED1 | FL_TF | FL_RF);
    ck_assert_uint_eq(r->v->dr[6], DR6(0));
}
END_TEST

START_TEST(branch_stepping)
{
    cpu_wrmsr(r->v, 0x1d9, 2);
    r->v->eflags |= FL_TF;
    rig_go(r, loop_back);
    ck_vector(r, X_DB);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 5); // the target of the taken LOOP
    ck_assert_uint_eq(cpu_rdmsr(r->v, 0x1d9), 0);
}
END_TEST

START_TEST(write_breakpoint)
{
    r->v->dr[1] = 0x20004;
    r->v->dr[7] |= 1 << 2 | 0xdu << 20; // L1, write, 4 bytes
    rig_go(r, store);
    ck_vector(r, X_DB);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 10);
    ck_assert_uint_eq(r->v->dr[6], DR6(2));
    ck_assert_uint_eq(peek(r, 0x20004), 1);
}
END_TEST

START_TEST(breakpoint_overlaps_by_a_byte)
{
    r->v->dr[0] = 0x20007;
    r->v->dr[7] |= 2 | 0x1u << 16; // G0, write, 1 byte
    rig_go(r, store);
    ck_vector(r, X_DB);
    ck_assert_uint_eq(r->v->dr[6], DR6(1));
}
END_TEST

START_TEST(breakpoint_beside_it)
{
    r->v->dr[0] = 0x20008;
    r->v->dr[7] |= 2 | 0xdu << 16;
    rig_go(r, store);
    ck_vector(r, -1);
}
END_TEST

START_TEST(disabled_breakpoint)
{
    r->v->dr[0] = 0x20004;
    r->v->dr[7] |= 0xdu << 16;
    rig_go(r, store);
    ck_vector(r, -1);
}
END_TEST

START_TEST(instruction_breakpoint)
{
    r->v->dr[2] = RIG_CODE + 1;
    r->v->dr[7] |= 1 << 4;
    rig_go(r, two_nops);
    ck_vector(r, X_DB);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 1);
    ck_assert_uint_eq(r->v->dr[6], DR6(4));
    ck_assert_uint_eq(rig_frame(r, 2) & FL_RF, 0);
}
END_TEST

START_TEST(rf_passes_one_instruction)
{
    r->v->dr[2] = RIG_CODE;
    r->v->dr[3] = RIG_CODE + 1;
    r->v->dr[7] |= 1 << 4 | 1 << 6;
    r->v->eflags |= FL_RF;
    rig_go(r, two_nops);
    ck_vector(r, X_DB);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 1);
}
END_TEST

START_TEST(data_breakpoint_in_a_string)
{
    r->v->dr[0] = 0x20002;
    r->v->dr[7] |= 1 | 0x3u << 16; // access, 1 byte: the third source byte
    rig_go(r, movs);
    ck_vector(r, X_DB);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 15);
    ck_assert_uint_eq(r->v->gpr[R_ECX], 5);
    ck_assert_uint_eq(rig_frame(r, 2) & FL_RF, FL_RF);
}
END_TEST

START_TEST(data_breakpoint_of_mov_ss_waits)
{
    r->v->dr[0] = 0x20004;
    r->v->dr[7] |= 1 | 0x7u << 16; // access, 2 bytes
    r->v->eflags |= FL_RF;
    poke(r, 0x20004, SEL_DATA0);
    rig_load(r, RIG_CODE, store_mov_ss);
    r->v->eip = RIG_CODE + 6;
    ck_assert_int_eq(rig_run(r), CPU_HALTED);
    ck_vector(r, X_DB);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 13);
    ck_assert_uint_eq(r->v->dr[6], DR6(1));
}
END_TEST

START_TEST(general_detect)
{
    r->v->dr[7] |= BIT(13);
    rig_go(r, dr_access);
    ck_vector(r, X_DB);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE);
    ck_assert_uint_eq(r->v->dr[6], DR6(BIT(13)));
    ck_assert_uint_eq(r->v->dr[7], 0x400); // the handler may look
}
END_TEST

START_TEST(int1_leaves_dr6)
{
    rig_go(r, icebp);
    ck_vector(r, X_DB);
    ck_assert_uint_eq(rig_frame(r, 0), RIG_CODE + 2);
    ck_assert_uint_eq(r->v->dr[6], DR6(0));
}
END_TEST

START_TEST(dr4_is_dr6_without_de)
{
    rig_go(r, dr4);
    ck_vector(r, -1);
    ck_assert_uint_eq(r->v->gpr[R_EAX], DR6(0));
}
END_TEST

START_TEST(dr4_is_undefined_with_de)
{
    r->v->cr4 |= CR4_DE;
    rig_go(r, dr4);
    ck_vector(r, X_UD);
}
END_TEST

SNIPPET(unaligned, "mov 0x20001, %al\n mov 0x20002, %ax\n mov 0x20001, %ax\n hlt");
SNIPPET(unaligned_dword, "mov 0x20002, %eax\n hlt");

START_TEST(alignment_check)
{
    rig_protected(r, 3);
    r->v->cr0 |= CR0_AM;
    r->v->eflags |= FL_AC;
    rig_go(r, unaligned);
    ck_vector(r, X_AC);
    ck_assert_uint_eq(rig_frame(r, 0), 0);
    ck_assert_uint_eq(rig_frame(r, 1), RIG_CODE + 11);
}
END_TEST

START_TEST(alignment_of_a_dword)
{
    rig_protected(r, 3);
    r->v->cr0 |= CR0_AM;
    r->v->eflags |= FL_AC;
    rig_go(r, unaligned_dword);
    ck_vector(r, X_AC);
}
END_TEST

SNIPPET(unaligned_pairs, "lesw 0x20002, %ax\n .byte 0x66, 0x62, 0x05; .long 0x20006\n sgdt 0x20102\n"
                         " sgdt 0x20104\n hlt");

START_TEST(alignment_of_pairs_is_that_of_their_parts)
{
    rig_protected(r, 3);
    r->v->cr0 |= CR0_AM;
    r->v->eflags |= FL_AC;
    rig_go(r, unaligned_pairs);
    ck_vector(r, X_AC);
    ck_assert_uint_eq(rig_frame(r, 1), RIG_CODE + 21); // only the last one
}
END_TEST

START_TEST(alignment_needs_all_three)
{
    r->v->cr0 |= CR0_AM;
    r->v->eflags |= FL_AC; // but ring 0
    rig_go(r, unaligned_dword);
    ck_vector(r, -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("debug");
    TCase *tc = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, single_step_after_the_next_instruction);
    tcase_add_test(tc, single_step_between_iterations);
    tcase_add_test(tc, no_single_step_after_int);
    tcase_add_test(tc, mov_ss_swallows_its_trap);
    tcase_add_test(tc, clearing_tf_still_traps);
    tcase_add_test(tc, a_fault_goes_before_single_step);
    tcase_add_test(tc, branch_stepping);
    tcase_add_test(tc, write_breakpoint);
    tcase_add_test(tc, breakpoint_overlaps_by_a_byte);
    tcase_add_test(tc, breakpoint_beside_it);
    tcase_add_test(tc, disabled_breakpoint);
    tcase_add_test(tc, instruction_breakpoint);
    tcase_add_test(tc, rf_passes_one_instruction);
    tcase_add_test(tc, data_breakpoint_in_a_string);
    tcase_add_test(tc, data_breakpoint_of_mov_ss_waits);
    tcase_add_test(tc, general_detect);
    tcase_add_test(tc, int1_leaves_dr6);
    tcase_add_test(tc, dr4_is_dr6_without_de);
    tcase_add_test(tc, dr4_is_undefined_with_de);
    tcase_add_test(tc, alignment_check);
    tcase_add_test(tc, alignment_of_a_dword);
    tcase_add_test(tc, alignment_of_pairs_is_that_of_their_parts);
    tcase_add_test(tc, alignment_needs_all_three);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
