// SPDX-License-Identifier: GPL-2.0-or-later
// String instructions, for DF = 0; the REP forms for flat segments and 32-bit addresses.
//
// Windows lie at multiples of 4 GiB, so a guest address and its place in the window have the same low 32
// bits: the REP forms run on the host with RSI and RDI moved into the window, and at any fault or event
// between iterations their low halves, with ECX, are the guest's state.
#include "trans.h"

enum { S_SRC = 1, S_DST = 2 };

static unsigned operands(const struct insn *insn)
{
    switch (insn->op & ~1) {
    case OP1(0xa4): case OP1(0xa6): return S_SRC | S_DST; // MOVS, CMPS
    case OP1(0xac): return S_SRC;                          // LODS
    default: return S_DST;                                 // STOS, SCAS
    }
}

static void rep(struct trans *t, const struct insn *insn)
{
    struct emit *e = t->e;
    unsigned uses = operands(insn);

    t->out->insn[t->cur].flags |= BLOCK_INSN_REP | ((insn->op & ~1) == OP1(0xa6) ? BLOCK_INSN_CMPS : 0);
    if (uses & S_SRC)
        emit_rm(e, E_W, 0x8d, H_RSI, &(struct hmem){ H_WINDOW, H_RSI, 0, 0 });
    if (uses & S_DST)
        emit_rm(e, E_W, 0x8d, H_RDI, &(struct hmem){ H_WINDOW, H_RDI, 0, 0 });
    if (insn->opsize == 2 && insn->op & 1)
        emit8(e, 0x66);
    emit8(e, insn->prefix & PFX_REPNE ? 0xf2 : 0xf3);
    emit8(e, insn->op);
    if (uses & S_SRC)
        emit_mov_rr(e, H_RSI, H_RSI);
    if (uses & S_DST)
        emit_mov_rr(e, H_RDI, H_RDI);
}

static void advance(struct emit *e, const struct insn *insn, unsigned reg, unsigned size)
{
    if (insn->addrsize == 4) {
        emit_lea(e, reg, reg, -1, 0, size);
        return;
    }
    emit_lea(e, H_R8, reg, -1, 0, size);
    emit_rr(e, E_66, 0x8b, reg, H_R8);
}

// The first of two operands, kept in memory: the second's check needs the registers.
static void load_first(struct emit *e, const struct hmem *m, unsigned size)
{
    if (size == 4)
        emit_rm(e, 0, 0x8b, H_R9, m);
    else
        emit_rm(e, 0, size == 2 ? OP0F(0xb7) : OP0F(0xb6), H_R9, m);
    emit_store(e, H_VCPU, FRAME_OFF(tmp), H_R9);
}

static void once(struct trans *t, const struct insn *insn, unsigned size)
{
    struct emit *e = t->e;
    unsigned form = size == 2 ? E_66 : 0, wide = insn->op & 1;
    struct hmem m;

    switch (insn->op & ~1) {
    case OP1(0xa4): // MOVS
        m = index_operand(t, insn->seg, H_RSI, insn->addrsize, size, MEMACC_READ);
        load_first(e, &m, size);
        m = index_operand(t, S_ES, H_RDI, insn->addrsize, size, MEMACC_WRITE);
        emit_load(e, H_R11, H_VCPU, FRAME_OFF(tmp));
        emit_rm(e, form, 0x88 | wide, H_R11, &m);
        break;
    case OP1(0xa6): // CMPS: ES:EDI first, as the emulator does, which shows where both fault
        m = index_operand(t, S_ES, H_RDI, insn->addrsize, size, MEMACC_READ);
        load_first(e, &m, size);
        m = index_operand(t, insn->seg, H_RSI, insn->addrsize, size, MEMACC_READ);
        emit_load(e, H_R11, H_VCPU, FRAME_OFF(tmp));
        emit_rm(e, form, 0x38 | wide, H_R11, &m);
        break;
    case OP1(0xaa): // STOS
        m = index_operand(t, S_ES, H_RDI, insn->addrsize, size, MEMACC_WRITE);
        emit_rm(e, form, 0x88 | wide, H_RAX, &m);
        break;
    case OP1(0xac): // LODS
        m = index_operand(t, insn->seg, H_RSI, insn->addrsize, size, MEMACC_READ);
        emit_rm(e, form, 0x8a | wide, H_RAX, &m);
        break;
    case OP1(0xae): // SCAS
        m = index_operand(t, S_ES, H_RDI, insn->addrsize, size, MEMACC_READ);
        emit_rm(e, form, 0x3a | wide, H_RAX, &m);
        break;
    }
    if (operands(insn) & S_SRC)
        advance(e, insn, H_RSI, size);
    if (operands(insn) & S_DST)
        advance(e, insn, H_RDI, size);
}

bool string_translate(struct trans *t, const struct insn *insn)
{
    const u8 *hints = t->rq->hints;
    unsigned uses;

    if (insn->op < OP1(0xa4) || insn->op > OP1(0xaf) || insn->op == OP1(0xa8) || insn->op == OP1(0xa9))
        return false;
    uses = operands(insn);
    if (!t->bt->opt.sensitive || t->rq->mode & MODE_DF)
        return false;
    if (insn->prefix & (PFX_REP | PFX_REPNE)) {
        if (insn->addrsize != 4 || (uses & S_SRC && !seg_flat(t, insn->seg)) ||
            (uses & S_DST && !seg_flat(t, S_ES)))
            return false;
        // What keeps missing the window is done in bulk by the emulator, and so is what may wrap.
        if (!t->bt->opt.direct || t->rq->mode & MODE_CHECKED || (hints && hints[t->offset[t->cur]]))
            return false;
        rep(t, insn);
        return true;
    }
    once(t, insn, insn->op & 1 ? insn->opsize : 1);
    return true;
}
