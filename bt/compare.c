// SPDX-License-Identifier: GPL-2.0-or-later
// Blocks of pages that are written so often that protecting them costs more than it saves: programs that have
// data beside their code, patch operands, or compile. Such a block compares its bytes before it runs. What it
// translates ends behind the first instruction that may write memory, so that code which changes what comes next
// is seen to do so. A write to a constant address in the code's own page, as programs have that keep data beside code,
// is known to miss the block.
//
// An immediate that was seen to change by itself is no part of what is compared: the instruction reads it from guest memory.
#include "trans.h"

#include <string.h>

// Writes before the block, or behind it, where the block then must not grow to: t->fence.
static bool writes_beside(struct trans *t, const struct insn *insn)
{
    u32 eip = t->rq->eip, at = insn->addrsize == 2 ? (u16)insn->disp : (u32)insn->disp;

    if (trans_mode(t, MODE_SHARED) || !seg_flat(t, insn->seg) || !insn->has_mem || insn->base >= 0 ||
        insn->index >= 0 || !insn->mem_size || (at ^ eip) >= PAGE_SIZE ||
        (at & ~PAGE_MASK) + insn->mem_size > PAGE_SIZE)
        return false;
    if (at + insn->mem_size <= eip)
        return true;
    if (at < eip + t->offset[t->count])
        return false;
    t->fence = MIN(t->fence, at - eip);
    return true;
}

// BTS, BTR and BTC with a register write at a distance from their operand; MASKMOVQ and MASKMOVDQU at [EDI], which is no
// operand.
static bool writes_far(const struct insn *insn)
{
    switch (insn->op) {
    case OP0F(0xab): case OP0F(0xb3): case OP0F(0xbb):
        return insn->has_mem;
    case OP0F(0xf7):
        return true;
    }
    return false;
}

bool compare_ends(struct trans *t, const struct insn *insn)
{
    bool pop = insn->op >= OP1(0x58) && insn->op <= OP1(0x5f);

    return writes_far(insn) || (insn->mem & MEM_WRITE && !writes_beside(t, insn)) || insn->sensitive || insn->flow == FLOW_CALL ||
           insn->attr & INSN_STRING || (insn->attr & INSN_STACK && !pop) || t->offset[t->count] >= COMPARE_MAX;
}

bool bt_may_vary(const struct insn *insn)
{
    if (insn->imm_len != 4 || insn->opsize != 4 || insn->has_mem || insn->flow != FLOW_NONE || insn->attr & INSN_UD)
        return false;
    switch (insn->op) {
    case OP1(0x05): case OP1(0x0d): case OP1(0x15): case OP1(0x1d): case OP1(0x25): case OP1(0x2d): case OP1(0x35):
    case OP1(0x3d): case OP1(0xa9):
        return true;
    case OP1(0x81): case OP1(0xc7):
        return insn->rm != R_ESP;
    case OP1(0xf7):
        return insn->rm != R_ESP && insn->reg < 2;
    case OP1(0x69):
        return insn->rm != R_ESP && insn->reg != R_ESP;
    case OP1(0xb8) ... OP1(0xbf):
        return (insn->op & 7) != R_ESP;
    }
    return false;
}

static bool varies(const struct trans *t, unsigned i)
{
    u8 hints = t->rq->compare && t->rq->hints ? t->rq->hints[t->offset[i]] : 0;

    return t->bt->opt.operands && hints & HINT_VARIES && !(hints & HINT_EMULATE) && bt_may_vary(&t->insn[i]);
}

bool compare_translate(struct trans *t, const struct insn *insn)
{
    struct emit *e = t->e;
    const struct hmem m = { H_R10, -1, 0, t->offset[t->cur] + insn->len - 4 };
    u8 op = insn->op;

    if (!varies(t, t->cur))
        return false;
    emit_mov64_ri(e, H_R10, (u64)t->rq->compare);
    switch (op) {
    case 0x05 ... 0x3d:
        emit_rm(e, 0, op - 2, H_RAX, &m);
        break;
    case 0x81:
        emit_rm(e, 0, insn->reg << 3 | 3, insn->rm, &m);
        break;
    case 0xa9: case 0xf7:
        emit_rm(e, 0, 0x85, op == 0xa9 ? H_RAX : insn->rm, &m);
        break;
    case 0x69:
        emit_rm(e, 0, 0x8b, H_R8, &m);
        emit_rr(e, 0, OP0F(0xaf), H_R8, insn->rm);
        emit_mov_rr(e, insn->reg, H_R8);
        break;
    default:
        emit_rm(e, 0, 0x8b, op == 0xc7 ? insn->rm : op & 7, &m);
    }
    return true;
}

// rcx: what lies at [r10 + at], less what is expected there.
static void difference(struct trans *t, u32 at, unsigned size)
{
    struct emit *e = t->e;
    struct hmem m = { H_R10, -1, 0, at };
    u64 value = 0;
    u8 *equal;

    memcpy(&value, t->rq->bytes + at, size);
    if (size == 8) {
        emit_mov64_ri(e, H_R8, -value);
        emit_rm(e, E_W, 0x8b, H_RCX, &m);
        emit_rm(e, E_W, 0x8d, H_RCX, &(struct hmem){ H_RCX, H_R8, 0, 0 });
    } else {
        emit_rm(e, 0, size == 4 ? 0x8b : size == 2 ? OP0F(0xb7) : OP0F(0xb6), H_RCX, &m);
        emit_lea(e, H_RCX, H_RCX, -1, 0, -(u32)value);
    }
    equal = emit_short(e, 0xe3);                        // jrcxz: flags are the guest's
    emit8(e, 0xe9), emit32(e, 0);
    CHECK(t->changes < ARRAY_LEN(t->changed));
    t->changed[t->changes++] = emit_here(e) - 4;
    emit_land(e, equal);
}

static void compare_bytes(struct trans *t, u32 at, u32 end)
{
    u32 start = at;

    for (; end - at >= 8; at += 8)
        difference(t, at, 8);
    if (at > start && at < end) { // some of the last eight once more
        difference(t, end - 8, 8);
        return;
    }
    for (unsigned size = 4; size; size /= 2)
        if (end - at >= size) {
            difference(t, at, size);
            at += size;
        }
}

void compare_emit(struct trans *t)
{
    u32 at = 0;

    emit_mov64_rr(t->e, H_R9, H_RCX);
    emit_mov64_ri(t->e, H_R10, (u64)t->rq->compare);
    for (unsigned i = 0; i < t->count; i++)
        if (varies(t, i)) {
            compare_bytes(t, at, t->offset[i + 1] - 4u);
            at = t->offset[i + 1];
        }
    compare_bytes(t, at, t->offset[t->count]);
    emit_mov64_rr(t->e, H_RCX, H_R9);
}

void compare_tail(struct trans *t)
{
    struct emit *e = t->e;

    for (unsigned i = 0; i < t->changes; i++) {
        u32 rel = emit_here(e) - (t->changed[i] + 4);

        if (!emit_overflowed(e))
            memcpy(e->start + (t->changed[i] - (u32)e->rx), &rel, 4);
    }
    if (!t->changes)
        return;
    emit_mov64_rr(e, H_RCX, H_R9);
    emit_call(e, t->bt->stubs.changed);
    emit_bytes(e, t->rq->bytes, t->offset[t->count]);
}
