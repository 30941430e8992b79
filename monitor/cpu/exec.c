// SPDX-License-Identifier: GPL-2.0-or-later
// The opcode maps: which handler executes what (SDM volume 2D, appendix A). An empty slot is
// undefined.
#include "exec.h"
#include "local.h"

#define ALU(op, name)                                                                        \
    [op] = op_##name##_eb_gb, [op + 1] = op_##name##_ev_gv, [op + 2] = op_##name##_gb_eb,    \
    [op + 3] = op_##name##_gv_ev, [op + 4] = op_##name##_al_ib, [op + 5] = op_##name##_ax_iv

static const exec_fn map_1[256] = {
    ALU(0x00, add), [0x06] = op_push_seg, [0x07] = op_pop_seg,
    ALU(0x08, or), [0x0e] = op_push_seg,
    ALU(0x10, adc), [0x16] = op_push_seg, [0x17] = op_pop_seg,
    ALU(0x18, sbb), [0x1e] = op_push_seg, [0x1f] = op_pop_seg,
    ALU(0x20, and), [0x27] = op_daa,
    ALU(0x28, sub), [0x2f] = op_das,
    ALU(0x30, xor), [0x37] = op_aaa,
    ALU(0x38, cmp), [0x3f] = op_aas,
    [0x40 ... 0x47] = op_inc_reg, [0x48 ... 0x4f] = op_dec_reg,
    [0x50 ... 0x57] = op_push_r, [0x58 ... 0x5f] = op_pop_r,
    [0x60] = op_pusha, [0x61] = op_popa, [0x62] = op_bound, [0x63] = op_arpl,
    [0x68] = op_push_iv, [0x69] = op_imul_gv_ev_iv, [0x6a] = op_push_iv,
    [0x6b] = op_imul_gv_ev_iv,
    [0x6c ... 0x6d] = op_ins, [0x6e ... 0x6f] = op_outs,
    [0x70 ... 0x7f] = op_jcc,
    [0x80] = op_alu_eb_ib, [0x81] = op_alu_ev_iv, [0x82] = op_alu_eb_ib, [0x83] = op_alu_ev_iv,
    [0x84] = op_test_eb_gb, [0x85] = op_test_ev_gv,
    [0x86] = op_xchg_eb_gb, [0x87] = op_xchg_ev_gv,
    [0x88] = op_mov_eb_gb, [0x89] = op_mov_ev_gv, [0x8a] = op_mov_gb_eb, [0x8b] = op_mov_gv_ev,
    [0x8c] = op_mov_ev_sw, [0x8d] = op_lea, [0x8e] = op_mov_sw_ew, [0x8f] = op_pop_ev,
    [0x90] = op_nop, [0x91 ... 0x97] = op_xchg_ax_r,
    [0x98] = op_cbw, [0x99] = op_cwd, [0x9a] = op_call_far, [0x9b] = op_x87,
    [0x9c] = op_pushf, [0x9d] = op_popf, [0x9e] = op_sahf, [0x9f] = op_lahf,
    [0xa0] = op_mov_al_ob, [0xa1] = op_mov_ax_ov, [0xa2] = op_mov_ob_al, [0xa3] = op_mov_ov_ax,
    [0xa4 ... 0xa5] = op_movs, [0xa6 ... 0xa7] = op_cmps,
    [0xa8] = op_test_al_ib, [0xa9] = op_test_ax_iv,
    [0xaa ... 0xab] = op_stos, [0xac ... 0xad] = op_lods, [0xae ... 0xaf] = op_scas,
    [0xb0 ... 0xb7] = op_mov_r8_ib, [0xb8 ... 0xbf] = op_mov_r_iv,
    [0xc0] = op_shift_eb_ib, [0xc1] = op_shift_ev_ib,
    [0xc2 ... 0xc3] = op_ret, [0xc4 ... 0xc5] = op_load_far,
    [0xc6] = op_mov_eb_ib, [0xc7] = op_mov_ev_iv, [0xc8] = op_enter, [0xc9] = op_leave,
    [0xca ... 0xcb] = op_ret_far,
    [0xcc] = op_int3, [0xcd] = op_int, [0xce] = op_into, [0xcf] = op_iret,
    [0xd0] = op_shift_eb_1, [0xd1] = op_shift_ev_1, [0xd2] = op_shift_eb_cl,
    [0xd3] = op_shift_ev_cl,
    [0xd4] = op_aam, [0xd5] = op_aad, [0xd6] = op_salc, [0xd7] = op_xlat,
    [0xd8 ... 0xdf] = op_x87,
    [0xe0 ... 0xe2] = op_loop, [0xe3] = op_jcxz,
    [0xe4 ... 0xe5] = op_in, [0xe6 ... 0xe7] = op_out,
    [0xe8] = op_call, [0xe9] = op_jmp, [0xea] = op_jmp_far, [0xeb] = op_jmp,
    [0xec ... 0xed] = op_in, [0xee ... 0xef] = op_out,
    [0xf1] = op_int1, [0xf4] = op_hlt, [0xf5] = op_flag,
    [0xf6] = op_group3_eb, [0xf7] = op_group3_ev,
    [0xf8 ... 0xf9] = op_flag, [0xfa] = op_cli, [0xfb] = op_sti, [0xfc ... 0xfd] = op_flag,
    [0xfe] = op_incdec_eb, [0xff] = op_group5,
};

static const exec_fn map_0f[256] = {
    [0x00] = op_group6, [0x01] = op_group7, [0x02] = op_lar, [0x03] = op_lsl, [0x06] = op_clts,
    [0x08 ... 0x09] = op_invd, [0x0d] = op_nop,
    [0x10 ... 0x17] = op_simd, [0x18 ... 0x1f] = op_nop,
    [0x20] = op_mov_from_cr, [0x21] = op_mov_from_dr, [0x22] = op_mov_to_cr,
    [0x23] = op_mov_to_dr,
    [0x28 ... 0x2f] = op_simd,
    [0x30] = op_wrmsr, [0x31] = op_rdtsc, [0x32] = op_rdmsr, [0x33] = op_rdpmc,
    [0x34] = op_sysenter, [0x35] = op_sysexit,
    [0x40 ... 0x4f] = op_cmovcc,
    [0x50 ... 0x7f] = op_simd,
    [0x80 ... 0x8f] = op_jcc, [0x90 ... 0x9f] = op_setcc,
    [0xa0] = op_push_seg, [0xa1] = op_pop_seg, [0xa2] = op_cpuid, [0xa3] = op_bt,
    [0xa4] = op_shld_ib, [0xa5] = op_shld_cl, [0xa8] = op_push_seg, [0xa9] = op_pop_seg,
    [0xab] = op_bts, [0xac] = op_shrd_ib, [0xad] = op_shrd_cl, [0xae] = op_simd,
    [0xaf] = op_imul_gv_ev,
    [0xb0] = op_cmpxchg_eb, [0xb1] = op_cmpxchg_ev, [0xb2] = op_load_far, [0xb3] = op_btr,
    [0xb4 ... 0xb5] = op_load_far, [0xb6 ... 0xb7] = op_movzx, [0xb8] = op_popcnt,
    [0xba] = op_bt_ib, [0xbb] = op_btc, [0xbc] = op_bsf, [0xbd] = op_bsr,
    [0xbe ... 0xbf] = op_movsx,
    [0xc0] = op_xadd_eb, [0xc1] = op_xadd_ev, [0xc2 ... 0xc6] = op_simd, [0xc7] = op_cmpxchg8b,
    [0xc8 ... 0xcf] = op_bswap,
    [0xd0 ... 0xfe] = op_simd,
};

static const exec_fn map_0f38[256] = {
    [0x00 ... 0xef] = op_simd, [0xf0 ... 0xf1] = op_crc32, [0xf6] = op_adx,
};

static const exec_fn map_vex38[256] = {
    [0xf2] = op_andn, [0xf3] = op_bls, [0xf7] = op_bextr,
};

enum done op_undefined(struct vcpu *v, const struct insn *insn)
{
    v->count.undefined++;
    log_to(v->log, LOG_GUEST, "undefined instruction (%s) at %04x:%08x: #UD\n",
           insn->name ? insn->name : "?", v->seg[S_CS].sel, v->eip);
    vcpu_raise(v, X_UD, 0);
}

enum done op_x87(struct vcpu *v, const struct insn *insn)
{
    interp_x87(v, insn);
    return DONE_NEXT;
}

enum done op_simd(struct vcpu *v, const struct insn *insn)
{
    interp_simd(v, insn);
    return DONE_NEXT;
}

exec_fn exec_find(const struct vcpu *v, const struct insn *insn)
{
    exec_fn fn;

    if (unlikely(insn->attr & INSN_UD))
        return op_undefined;
    // TZCNT and LZCNT are BSF and BSR to those who don't know them.
    if (unlikely(!cpu_model_has(v->model, insn->isa)) && insn->isa != ISA_TZCNT &&
        insn->isa != ISA_LZCNT)
        return op_undefined;
    switch (insn->op >> 8) {
    case MAP_1:
        fn = map_1[insn->op & 0xff];
        break;
    case MAP_0F:
        fn = map_0f[insn->op & 0xff];
        break;
    case MAP_0F38:
        fn = map_0f38[insn->op & 0xff];
        break;
    case MAP_VEX38:
        fn = map_vex38[insn->op & 0xff];
        break;
    default:
        fn = op_simd;
        break;
    }
    return fn ? fn : op_undefined;
}
