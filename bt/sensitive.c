// SPDX-License-Identifier: GPL-2.0-or-later
// Sensitive instructions whose inline form is cheaper than a callout.
#include "trans.h"

#define EFLAGS VCPU_OFF(eflags)
#define SEG_SEL(s) (VCPU_OFF(seg) + (i32)sizeof(struct seg) * (s) + (i32)offsetof(struct seg, sel))

// The current EFLAGS image, as PUSHF pushes it, to frame.tmp.
static void eflags_to_tmp(struct trans *t)
{
    struct emit *e = t->e;

    bt_save_flags(&t->bt->stubs, e);
    if (t->bt->stubs.lahf) {
        emit_rr(e, 0, OP0F(0xb6), H_R9, H_R11);          // movzx r9d, r11b: OF
        emit_mov_rr(e, H_R10, H_R11);
        emit_rr(e, 0, 0xc1, 4, H_R9), emit8(e, 11);      // shl r9d, 11
        emit_rr(e, 0, 0xc1, 5, H_R10), emit8(e, 8);      // shr r10d, 8
        emit_rr(e, 0, OP0F(0xb6), H_R10, H_R10);         // movzx r10d, r10b
        emit_rr(e, 0, 0x09, H_R10, H_R9);                // or r9d, r10d
    } else {
        emit_mov_rr(e, H_R9, H_R11);
    }
    emit_alu_ri(e, 4, H_R9, FL_ARITH);
    emit_load(e, H_R10, H_VCPU, EFLAGS);
    emit_alu_ri(e, 4, H_R10, ~(FL_ARITH | FL_VM | FL_RF));
    emit_rr(e, 0, 0x09, H_R10, H_R9);
    emit_store(e, H_VCPU, FRAME_OFF(tmp), H_R9);
    bt_restore_flags(&t->bt->stubs, e);
}

// CLI and STI with I/O privilege. STI looks for pending events first and leaves to the emulator if there are any; one that
// comes later cannot be taken before the instruction that follows (BLOCK_INSN_SHADOW).
static void set_if(struct trans *t, const struct insn *insn, bool on)
{
    struct emit *e = t->e;
    struct hmem event = { H_VCPU, -1, 0, VCPU_OFF(event) }, eflags = { H_VCPU, -1, 0, EFLAGS };
    // STI left to the emulator is where interrupts are taken: their frames show the flags, dead or not.
    bool save = on || !t->flags_dead[t->cur + 1];

    (void)insn;
    if (save)
        bt_save_flags(&t->bt->stubs, e);
    if (on) {
        emit_rm(e, 0, 0x83, 7, &event), emit8(e, 0);     // cmp dword [event], 0
        CHECK(t->tails < MAX_TAILS);
        t->tail[t->tails++] = (struct tail){
            .kind = TAIL_EMULATE, .insn = t->cur, .delta = t->delta, .retry = t->host[t->cur],
            .patch = emit_here(e) + 2, .target = save,
        };
        emit_jcc(e, CC_NE, emit_here(e) + 6);
        t->shadow = true;
    }
    emit_rm(e, 0, 0x81, on ? 1 : 4, &eflags);            // or / and dword [eflags]
    emit32(e, on ? FL_IF : ~FL_IF);
    if (save)
        bt_restore_flags(&t->bt->stubs, e);
}

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
    emit_rm(e, insn->prefix & PFX_LOCK ? E_LOCK : 0, insn->op, H_R9, &m);
    return true;
}

static bool push_seg(struct trans *t, unsigned seg)
{
    emit_rm(t->e, 0, OP0F(0xb7), H_R9, &(struct hmem){ H_VCPU, -1, 0, SEG_SEL(seg) });
    emit_store(t->e, H_VCPU, FRAME_OFF(tmp), H_R9);
    return stack_push_tmp(t);
}

bool sensitive_continues(const struct trans *t, const struct insn *insn)
{
    if (!t->bt->opt.sensitive)
        return false;
    if (insn->op == OP1(0xfb)) // STI: what follows belongs to it
        return !(t->rq->mode & MODE_USER) && t->count < MIN(t->bt->opt.block_insns, BT_MAX_INSNS);
    return insn->op == OP1(0xfa) && !(t->rq->mode & MODE_USER);
}

bool sensitive_translate(struct trans *t, const struct insn *insn)
{
    if (!t->bt->opt.sensitive)
        return false;
    switch (insn->op) {
    case OP1(0xfc): // CLD: the block's mode says that DF is clear already
        return !(t->rq->mode & MODE_DF);
    case OP1(0xfa):
        if (t->rq->mode & MODE_USER)
            return false;
        set_if(t, insn, false);
        return true;
    case OP1(0xfb): // the last one of a block goes to the emulator, which knows of the shadow
        if (t->rq->mode & MODE_USER || t->cur + 1 == t->count)
            return false;
        set_if(t, insn, true);
        return true;
    case OP1(0x9c):
        if (insn->opsize != 4)
            return false;
        eflags_to_tmp(t);
        return stack_push_tmp(t);
    case OP1(0x06): case OP1(0x0e): case OP1(0x16): case OP1(0x1e):
        return insn->opsize == 4 && push_seg(t, insn->op >> 3 & 3);
    case OP0F(0xa0): case OP0F(0xa8):
        return insn->opsize == 4 && push_seg(t, insn->op == OP0F(0xa0) ? S_FS : S_GS);
    case OP1(0x8c): // MOV r, seg
        if (insn->has_mem || insn->opsize != 4)
            return false;
        emit_rm(t->e, 0, OP0F(0xb7), host_gpr(insn->rm), &(struct hmem){ H_VCPU, -1, 0, SEG_SEL(insn->reg) });
        return true;
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
