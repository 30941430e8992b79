// SPDX-License-Identifier: GPL-2.0-or-later
// Instructions that move or change EFLAGS, where the emulator is not needed: PUSHF, POPF, CLI, STI, CLD.
#include "trans.h"

#define EFLAGS VCPU_OFF(eflags)

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

// Goes to the emulator, which does the instruction from its start. flags: they are in r11.
static void emulate_if(struct trans *t, unsigned cc, bool flags)
{
    CHECK(t->tails < MAX_TAILS);
    t->tail[t->tails++] = (struct tail){
        .kind = TAIL_EMULATE, .insn = t->cur, .delta = t->delta, .retry = t->host[t->cur],
        .patch = emit_here(t->e) + 2, .flags = flags,
    };
    emit_jcc(t->e, cc, emit_here(t->e) + 6);
}

static const struct hmem event = { H_VCPU, -1, 0, VCPU_OFF(event) }, eflags = { H_VCPU, -1, 0, EFLAGS };

// CLI and STI with I/O privilege. STI looks for pending events first and leaves to the emulator if there are any; one that
// comes later cannot be taken before the instruction that follows (BLOCK_INSN_SHADOW).
static void set_if(struct trans *t, bool on)
{
    struct emit *e = t->e;
    // STI left to the emulator is where interrupts are taken: their frames show the flags, dead or not.
    bool save = on || !t->flags_dead[t->cur + 1];

    if (save)
        bt_save_flags(&t->bt->stubs, e);
    if (on) {
        emit_rm(e, 0, 0x83, 7, &event), emit8(e, 0);     // cmp dword [event], 0
        emulate_if(t, CC_NE, save);
        t->shadow = BLOCK_INSN_SHADOW;
    }
    emit_rm(e, 0, 0x81, on ? 1 : 4, &eflags);            // or / and dword [eflags]
    emit32(e, on ? FL_IF : ~FL_IF);
    if (save)
        bt_restore_flags(&t->bt->stubs, e);
}

// The arithmetic flags of r9d's EFLAGS image become the host's. Uses r10.
static void set_arithmetic(struct trans *t)
{
    struct emit *e = t->e;

    if (!t->bt->stubs.lahf) {
        emit_alu_ri(e, 4, H_R9, FL_ARITH);                   // and
        emit8(e, 0x41), emit8(e, 0x51), emit8(e, 0x9d);      // push r9; popfq
        return;
    }
    emit_mov_rr(e, H_R10, H_RAX);
    emit_mov_rr(e, H_RAX, H_R9);
    emit_rr(e, 0, 0xc1, 4, H_RAX), emit8(e, 8);              // shl eax, 8: AH is the low byte
    emit_rr(e, 0, 0xc1, 4, H_R9), emit8(e, 31 - 11);         // shl r9d, 20: OF is the sign
    emit_alu_ri(e, 0, H_R9, 0x80000000);                     // add: overflows if it was set
    emit8(e, 0x9e);                                          // sahf
    emit_mov_rr(e, H_RAX, H_R10);
}

// POPF that changes nothing but arithmetic flags and, at CPL 0, IF. All else is left to the emulator.
static bool popf(struct trans *t, unsigned size)
{
    struct emit *e = t->e;
    bool user = trans_mode(t, MODE_USER);
    u32 kept = FL_TF | FL_DF | FL_NT | FL_AC | FL_ID | (user ? FL_IF : FL_IOPL);
    struct hmem m = stack_operand(t, 0, size, MEMACC_READ);

    emit_rm(e, 0, size == 2 ? OP0F(0xb7) : 0x8b, H_R9, &m);
    emit_load(e, H_R10, H_VCPU, EFLAGS);
    emit_rr(e, 0, 0x31, H_R9, H_R10);                        // xor r10d, r9d
    emit_rr(e, 0, 0xf7, 0, H_R10);                           // test r10d, imm
    emit32(e, size == 2 ? kept & 0xffff : kept);
    emulate_if(t, CC_NE, false);                             // which reads all flags anew
    if (!user) {
        u8 *same, *off;

        emit_rr(e, 0, 0xf7, 0, H_R10), emit32(e, FL_IF);
        same = emit_short(e, 0x74);                          // je
        emit_rr(e, 0, 0xf7, 0, H_R9), emit32(e, FL_IF);
        off = emit_short(e, 0x74);
        emit_rm(e, 0, 0x83, 7, &event), emit8(e, 0);         // cmp dword [event], 0
        emulate_if(t, CC_NE, false);
        emit_land(e, off);
        emit_rm(e, 0, 0x81, 6, &eflags), emit32(e, FL_IF);   // xor
        emit_land(e, same);
    }
    set_arithmetic(t);
    stack_move(t, size, false);
    return true;
}

// Whether code of this mode may do what IOPL allows. CPL 0 may always.
static bool privileged(const struct trans *t)
{
    return !trans_mode(t, MODE_USER | MODE_INNER);
}

bool eflags_continues(const struct trans *t, const struct insn *insn)
{
    switch (insn->op) {
    case OP1(0xfa): case OP1(0xfb):
        return privileged(t);
    case OP1(0x9d):
        return !trans_mode(t, MODE_V86 | MODE_INNER);
    }
    return false;
}

bool eflags_translate(struct trans *t, const struct insn *insn)
{
    switch (insn->op) {
    case OP1(0xfc): // CLD: the block's mode says that DF is clear already
        return !(t->rq->mode & MODE_DF);
    case OP1(0x9c):
        if (trans_mode(t, MODE_V86))
            return false;
        eflags_to_tmp(t);
        return stack_push_tmp(t, insn->opsize);
    case OP1(0x9d):
        return eflags_continues(t, insn) && popf(t, insn->opsize);
    case OP1(0xfa): case OP1(0xfb):
        if (!privileged(t))
            return false;
        set_if(t, insn->op == OP1(0xfb));
        return true;
    }
    return false;
}
