// SPDX-License-Identifier: GPL-2.0-or-later
// What the interpreter's instruction files share: the shape of a handler, and every handler's name.
//
// Invariants
//  1. While a handler runs, v->eip is the first byte of its instruction, so that a fault needs
//     no clean-up.
//  2. A handler changes registers and flags only after everything that can fault has been done.
//     Repeated string instructions do so per iteration; a task switch faults in the new task,
//     as the architecture has it.
//  3. Only handlers that return DONE_NEXT leave advancing eip to their caller.
#ifndef RING3_MONITOR_CPU_EXEC_H
#define RING3_MONITOR_CPU_EXEC_H

#include "cpu.h"

enum done {
    DONE_NEXT,    // fell through: the caller adds the length to eip
    DONE_JUMPED,  // set eip itself: a branch taken
    DONE_AGAIN,   // a repeated string instruction that is not through: eip stays
    DONE_ENTERED, // jumped through an interrupt gate: no single-step trap follows
};

typedef enum done exec_proto(struct vcpu *v, const struct insn *insn);
typedef exec_proto *exec_fn;

// The handler of a decoded instruction: op_undefined where the encoding or the CPU model says so.
exec_fn exec_find(const struct vcpu *v, const struct insn *insn);

// ---- alu.c
#define ALU_HANDLERS(name)                                                                   \
    exec_proto op_##name##_eb_gb, op_##name##_ev_gv, op_##name##_gb_eb, op_##name##_gv_ev,   \
               op_##name##_al_ib, op_##name##_ax_iv
ALU_HANDLERS(add);
ALU_HANDLERS(or);
ALU_HANDLERS(adc);
ALU_HANDLERS(sbb);
ALU_HANDLERS(and);
ALU_HANDLERS(sub);
ALU_HANDLERS(xor);
ALU_HANDLERS(cmp);
#undef ALU_HANDLERS
exec_proto op_alu_eb_ib, op_alu_ev_iv, op_test_eb_gb, op_test_ev_gv, op_test_al_ib, op_test_ax_iv;
exec_proto op_inc_reg, op_dec_reg, op_incdec_eb, op_group5, op_cmpxchg_eb, op_cmpxchg_ev;
exec_proto op_xadd_eb, op_xadd_ev, op_cmpxchg8b, op_adx;

// ---- muldiv.c
exec_proto op_group3_eb, op_group3_ev, op_imul_gv_ev, op_imul_gv_ev_iv;

// ---- shift.c
exec_proto op_shift_eb_ib, op_shift_ev_ib, op_shift_eb_1, op_shift_ev_1, op_shift_eb_cl, op_shift_ev_cl;
exec_proto op_shld_ib, op_shld_cl, op_shrd_ib, op_shrd_cl;

// ---- bits.c
exec_proto op_bt, op_bts, op_btr, op_btc, op_bt_ib, op_bsf, op_bsr, op_popcnt, op_crc32;
exec_proto op_setcc, op_cmovcc, op_bswap, op_movbe, op_rdrand;
exec_proto op_andn, op_bls, op_bextr;

// ---- bcd.c
exec_proto op_daa, op_das, op_aaa, op_aas, op_aam, op_aad;

// ---- move.c
exec_proto op_mov_eb_gb, op_mov_ev_gv, op_mov_gb_eb, op_mov_gv_ev, op_mov_eb_ib, op_mov_ev_iv;
exec_proto op_mov_r8_ib, op_mov_r_iv, op_mov_al_ob, op_mov_ax_ov, op_mov_ob_al, op_mov_ov_ax;
exec_proto op_mov_ev_sw, op_mov_sw_ew, op_lea, op_load_far, op_movzx, op_movsx;
exec_proto op_xchg_eb_gb, op_xchg_ev_gv, op_xchg_ax_r, op_nop, op_xlat, op_cbw, op_cwd, op_lahf, op_sahf;
exec_proto op_salc, op_flag;

// ---- stack.c
exec_proto op_push_r, op_pop_r, op_push_iv, op_pop_ev, op_push_seg, op_pop_seg, op_pusha, op_popa;
exec_proto op_pushf, op_popf, op_enter, op_leave;
enum done op_push_ev(struct vcpu *v, const struct insn *insn); // part of group 5

// ---- branch.c
exec_proto op_jcc, op_jmp, op_call, op_ret, op_loop, op_jcxz, op_bound;
exec_proto op_call_ev, op_jmp_ev; // parts of group 5

// ---- string.c and portio.c
exec_proto op_movs, op_cmps, op_stos, op_lods, op_scas, op_ins, op_outs, op_in, op_out;

// ---- far.c and iret.c
exec_proto op_call_far, op_jmp_far, op_call_far_mem, op_jmp_far_mem, op_ret_far, op_iret;
exec_proto op_int, op_int3, op_int1, op_into;

// ---- flags.c
exec_proto op_cli, op_sti;

// ---- segment.c's instructions: segop.c
exec_proto op_group6, op_lar, op_lsl, op_arpl;

// ---- system.c
exec_proto op_group7, op_clts, op_mov_from_cr, op_mov_to_cr, op_mov_from_dr, op_mov_to_dr, op_invd;
exec_proto op_hlt, op_rdmsr, op_wrmsr, op_rdtsc, op_rdpmc, op_cpuid, op_sysenter, op_sysexit;

// ---- the rest
exec_proto op_undefined, op_x87, op_simd;

#endif
