// SPDX-License-Identifier: GPL-2.0-or-later
// Blocks of pages that are written so often that protecting them costs more than it saves: programs that have
// data beside their code, patch operands, or compile. Such a block compares its bytes before it runs. What it
// translates ends behind the first instruction that may write memory, so that code which changes what comes next
// is seen to do so; and loops in it compare each time around.
#include "trans.h"

#include <string.h>

bool compare_ends(const struct trans *t, const struct insn *insn)
{
    bool pop = insn->op >= OP1(0x58) && insn->op <= OP1(0x5f);

    (void)t;
    return insn->mem & MEM_WRITE || insn->sensitive || insn->flow == FLOW_CALL ||
           insn->attr & INSN_STRING || (insn->attr & INSN_STACK && !pop);
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

void compare_emit(struct trans *t)
{
    u32 len = t->offset[t->count], at = 0;

    emit_mov64_rr(t->e, H_R9, H_RCX);
    emit_mov64_ri(t->e, H_R10, (u64)t->rq->compare);
    for (; len - at >= 8; at += 8)
        difference(t, at, 8);
    if (at && at < len) { // some of the last eight once more
        difference(t, len - 8, 8);
    } else {
        for (unsigned size = 4; size; size /= 2)
            if (len - at >= size) {
                difference(t, at, size);
                at += size;
            }
    }
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
}
