// SPDX-License-Identifier: GPL-2.0-or-later
// Sensitive instructions whose inline form is cheaper than a callout.
#include "trans.h"

static void rdtsc(struct trans *t)
{
    struct emit *e = t->e;
    struct hmem offset = { H_VCPU, -1, 0, VCPU_OFF(tsc_offset) };

    bt_save_flags(&t->bt->stubs, e);
    emit8(e, 0x0f), emit8(e, 0x31);                      // rdtsc
    emit_rr(e, E_W, 0xc1, 4, H_RDX), emit8(e, 32);       // shl rdx, 32
    emit_rr(e, E_W, 0x09, H_RDX, H_RAX);                 // or rax, rdx
    emit_rm(e, E_W, 0x03, H_RAX, &offset);               // add rax, [tsc_offset]
    emit_mov64_rr(e, H_RDX, H_RAX);
    emit_rr(e, E_W, 0xc1, 5, H_RDX), emit8(e, 32);       // shr rdx, 32
    emit_mov_rr(e, H_RAX, H_RAX);
    bt_restore_flags(&t->bt->stubs, e);
}

// BT, BTS, BTR, BTC m32, r32: the bit may lie anywhere within 256 MiB of the operand.
static bool bit_memory(struct trans *t, const struct insn *insn)
{
    struct emit *e = t->e;
    struct hmem m;

    // With 16-bit addresses the sum would have to wrap once more.
    if (insn->opsize != 4 || insn->addrsize != 4 || !seg_flat(t, insn->seg) || insn->reg == R_ESP)
        return false;
    bt_save_flags(&t->bt->stubs, e);
    emit_mov_rr(e, H_R9, insn->reg);
    emit_alu_ri(e, 4, H_R9, 31);
    emit_store(e, H_VCPU, FRAME_OFF(tmp), H_R9);
    emit_mov_rr(e, H_R9, insn->reg);
    emit_rr(e, 0, 0xc1, 7, H_R9), emit8(e, 5);           // sar r9d, 5
    emit_ea(t, insn, H_R8);
    emit_lea(e, H_R8, H_R8, H_R9, 2, 0);
    bt_restore_flags(&t->bt->stubs, e);
    m = linear_operand(t, H_R8, 0, 4, insn->op == OP0F(0xa3) ? MEMACC_READ : MEMACC_WRITE);
    emit_load(e, H_R9, H_VCPU, FRAME_OFF(tmp));
    emit_rm(e, lock_form(t, insn), insn->op, H_R9, &m);
    return true;
}

static void load_selector(struct trans *t, unsigned dst, unsigned seg)
{
    emit_rm(t->e, 0, OP0F(0xb7), dst, &(struct hmem){ H_VCPU, -1, 0, SEG_OFF(seg, sel) });
}

static bool push_seg(struct trans *t, unsigned seg, unsigned size)
{
    load_selector(t, H_R9, seg);
    emit_store(t->e, H_VCPU, FRAME_OFF(tmp), H_R9);
    return stack_push_tmp(t, size);
}

static bool store_seg(struct trans *t, const struct insn *insn)
{
    struct hmem m;

    if (!insn->has_mem) {
        if (insn->opsize == 4) {
            load_selector(t, host_gpr(insn->rm), insn->reg);
            return true;
        }
        load_selector(t, H_R11, insn->reg);
        emit_rr(t->e, E_66, 0x8b, host_gpr(insn->rm), H_R11);
        return true;
    }
    m = mem_operand(t, insn, 2, MEMACC_WRITE);
    load_selector(t, H_R11, insn->reg);
    emit_rm(t->e, E_66, 0x89, H_R11, &m);
    return true;
}

// ---- Loads of segment registers in real and V86 mode: the selector, and a base that is sixteen times it.

// Which one an instruction loads, -1 if none.
static int loaded_seg(const struct insn *insn)
{
    switch (insn->op) {
    case OP1(0x8e): return insn->reg == S_CS || insn->reg > S_GS ? -1 : insn->reg;
    case OP1(0x07): case OP1(0x17): case OP1(0x1f): return insn->op >> 3 & 3;
    case OP0F(0xa1): return S_FS;
    case OP0F(0xa9): return S_GS;
    case OP1(0xc4): return S_ES;
    case OP1(0xc5): return S_DS;
    case OP0F(0xb2): return S_SS;
    case OP0F(0xb4): return S_FS;
    case OP0F(0xb5): return S_GS;
    default: return -1;
    }
}

static bool is_far_load(const struct insn *insn)
{
    return insn->op == OP1(0xc4) || insn->op == OP1(0xc5) || insn->op >= OP0F(0xb2);
}

// The selector is in r11d. Uses r8.
static void load_real(struct trans *t, unsigned seg)
{
    struct emit *e = t->e;

    emit_rm(e, E_66, 0x89, H_R11, &(struct hmem){ H_VCPU, -1, 0, SEG_OFF(seg, sel) });
    emit_lea(e, H_R8, -1, H_R11, 3, 0);
    emit_lea(e, H_R8, H_R8, H_R8, 0, 0);
    emit_store(e, H_VCPU, SEG_OFF(seg, base), H_R8);
    emit_rm(e, E_W, 0x8d, H_R8, &(struct hmem){ H_WINDOW, H_R8, 0, 0 });
    emit_store64(e, H_VCPU, FRAME_OFF(seg_origin) + 8 * (i32)seg, H_R8);
}

static bool load_seg(struct trans *t, const struct insn *insn)
{
    unsigned size = insn->opsize, seg = loaded_seg(insn);
    struct emit *e = t->e;
    struct hmem m;

    if (is_far_load(insn)) {
        if (!insn->has_mem || insn->reg == R_ESP)
            return false;
        m = mem_operand(t, insn, size + 2, MEMACC_READ);
        emit_rm(e, size == 2 ? E_66 : 0, 0x8b, H_R11, &m);
        m.disp = size;
        emit_rm(e, 0, OP0F(0xb7), H_R8, &m);
        emit_rr(e, size == 2 ? E_66 : 0, 0x8b, insn->reg, H_R11);
        emit_mov_rr(e, H_R11, H_R8);
    } else if (insn->op != OP1(0x8e)) {
        m = stack_operand(t, 0, size, MEMACC_READ);
        emit_rm(e, 0, OP0F(0xb7), H_R11, &m);
        stack_move(t, size, false);
    } else if (insn->has_mem) {
        m = mem_operand(t, insn, 2, MEMACC_READ);
        emit_rm(e, 0, OP0F(0xb7), H_R11, &m);
    } else {
        emit_rr(e, 0, OP0F(0xb7), H_R11, host_gpr(insn->rm));
    }
    load_real(t, seg);
    // A row of such loads shades every other one.
    if (seg == S_SS && !is_far_load(insn) && !(t->out->insn[t->cur].flags & BLOCK_INSN_SS))
        t->shadow = BLOCK_INSN_SHADOW | BLOCK_INSN_SS;
    return true;
}

static bool loads_inline(const struct trans *t, const struct insn *insn)
{
    return trans_mode(t, MODE_REAL) && loaded_seg(insn) >= 0;
}

// Instructions that the next one belongs to: interrupts wait.
static bool shadows(const struct insn *insn)
{
    return insn->op == OP1(0xfb) || (loaded_seg(insn) == S_SS && !is_far_load(insn));
}

// What follows belongs to it.
static bool room_for_shadow(const struct trans *t)
{
    return t->count < MIN(t->bt->opt.block_insns, BT_MAX_INSNS);
}

bool sensitive_continues(const struct trans *t, const struct insn *insn)
{
    if (!t->bt->opt.sensitive)
        return false;
    if (loaded_seg(insn) < 0)
        return eflags_continues(t, insn) && (!shadows(insn) || room_for_shadow(t));
    if (!trans_mode(t, MODE_REAL))
        return false;
    return !shadows(insn) || room_for_shadow(t);
}

bool sensitive_translate(struct trans *t, const struct insn *insn)
{
    if (!t->bt->opt.sensitive)
        return false;
    if (shadows(insn) && t->cur + 1 == t->count)
        return false; // the emulator knows of the shadow
    if (loads_inline(t, insn))
        return load_seg(t, insn);
    if (eflags_translate(t, insn))
        return true;
    switch (insn->op) {
    case OP1(0x06): case OP1(0x0e): case OP1(0x16): case OP1(0x1e):
        return push_seg(t, insn->op >> 3 & 3, insn->opsize);
    case OP0F(0xa0): case OP0F(0xa8):
        return push_seg(t, insn->op == OP0F(0xa0) ? S_FS : S_GS, insn->opsize);
    case OP1(0x8c): // MOV r, seg
        return insn->reg <= S_GS && store_seg(t, insn);
    case OP0F(0x31):
        if (!(t->rq->mode & MODE_TSC) || t->bt->opt.count) // who counts also wants to see what was read
            return false;
        rdtsc(t);
        return true;
    case OP0F(0xa3): case OP0F(0xab): case OP0F(0xb3): case OP0F(0xbb):
        return insn->has_mem && bit_memory(t, insn);
    }
    return false;
}
