// SPDX-License-Identifier: GPL-2.0-or-later
// The two forms of every memory access.
//
// Direct: [r12 + reg + disp], one instruction. The sum is made in 64 bits of zero-extended registers, so an address
// that wraps at 4 GiB in the guest falls into the window's guards here; the engine then sets HINT_WRAP, and the
// sum is made in 32 bits first. (The design's `gs:` form adds two cycles to each load's latency, LEA adds one and
// needs no segment base to be switched: LEA serves for both.)
//
// Checked: the linear address in r8d, the software TLB's entry compared with the page of the last byte (so
// that page-crossing accesses miss), the host address in r10 + r8. Flags are saved around it: a fault must find them.
#include "trans.h"

#define TLB_OFF(field) ((i32)(offsetof(struct vcpu, tlb) + offsetof(struct tlb_entry, field)))

bool seg_flat(const struct trans *t, unsigned seg)
{
    switch (seg) {
    case S_CS: case S_SS: return true;
    case S_DS: return t->rq->mode & MODE_DS_FLAT;
    case S_ES: return t->rq->mode & MODE_ES_FLAT;
    default: return false;
    }
}

void emit_ea(struct trans *t, const struct insn *insn, unsigned dst)
{
    int base = insn->base < 0 ? -1 : (int)host_gpr(insn->base);
    i32 disp = (u32)insn->disp + (insn->base == R_ESP ? (u32)t->delta : 0);

    if (base < 0 && insn->index < 0)
        emit_mov_ri(t->e, dst, insn->addrsize == 2 ? (u16)disp : (u32)disp);
    else
        emit_lea(t->e, dst, base, insn->index, insn->scale, disp);
    if (insn->addrsize == 2 && (base >= 0 || insn->index >= 0))
        emit_rr(t->e, 0, OP0F(0xb7), dst, dst); // movzx dst, dst16
}

static bool checked(const struct trans *t)
{
    const u8 *hints = t->rq->hints;

    return !t->bt->opt.direct || t->rq->mode & MODE_CHECKED || (hints && hints[t->offset[t->cur]] & (HINT_CHECKED | HINT_FAULTS));
}

static bool wraps(const struct trans *t)
{
    const u8 *hints = t->rq->hints;

    return hints && hints[t->offset[t->cur]] & HINT_WRAP;
}

// The linear address is in r8d. asid_off: where the TLB number to match is.
static struct hmem check_linear(struct trans *t, unsigned size, enum mem_access access, i32 asid_off)
{
    struct emit *e = t->e;
    i32 tag = access == MEMACC_READ ? TLB_OFF(rtag) : TLB_OFF(wtag);
    bool save = !t->flags_dead[t->cur];
    u32 retry = t->host[t->cur]; // nothing is committed before an access: redo it all

    if (save)
        bt_save_flags(&t->bt->stubs, e);
    emit_lea(e, H_R9, H_R8, -1, 0, size - 1);
    emit_mov_rr(e, H_R10, H_R8);
    emit_rr(e, 0, 0xc1, 5, H_R10), emit8(e, PAGE_SHIFT - 5);         // shr r10d, 7
    emit_alu_ri(e, 4, H_R10, (TLB_SIZE - 1) << 5);                   // and
    emit_alu_ri(e, 4, H_R9, PAGE_MASK);
    emit_rm(e, 0, 0x0b, H_R9, &(struct hmem){ H_VCPU, -1, 0, asid_off }); // or
    emit_rm(e, 0, 0x3b, H_R9, &(struct hmem){ H_VCPU, H_R10, 0, tag });  // cmp
    CHECK(t->tails < MAX_TAILS);
    t->tail[t->tails++] = (struct tail){
        .kind = TAIL_MEMORY, .insn = t->cur, .size = size, .access = access, .retry = retry,
        .delta = t->delta, .patch = emit_here(e) + 2, .target = save,
    };
    emit_jcc(e, CC_NE, emit_here(e) + 6);
    emit_rm(e, E_W, 0x8b, H_R10, &(struct hmem){ H_VCPU, H_R10, 0, TLB_OFF(addend) });
    if (save)
        bt_restore_flags(&t->bt->stubs, e);
    return (struct hmem){ H_R10, H_R8, 0, 0 };
}

struct hmem linear_operand(struct trans *t, int base, i32 disp, unsigned size,
                           enum mem_access access)
{
    if (checked(t)) {
        if (base != H_R8 || disp)
            emit_lea(t->e, H_R8, base, -1, 0, disp);
        return check_linear(t, size, access, VCPU_OFF(asid));
    }
    if (wraps(t)) {
        emit_lea(t->e, H_R8, base, -1, 0, disp);
        return (struct hmem){ H_WINDOW, H_R8, 0, 0 };
    }
    return (struct hmem){ H_WINDOW, base, 0, disp };
}

struct hmem stack_operand(struct trans *t, i32 offset, unsigned size, enum mem_access access)
{
    return linear_operand(t, H_ESP, t->delta + offset, size, access);
}

struct hmem mem_operand(struct trans *t, const struct insn *insn, unsigned size,
                        enum mem_access access)
{
    struct emit *e = t->e;
    i32 disp = (u32)insn->disp + (insn->base == R_ESP ? (u32)t->delta : 0);
    bool two = insn->base >= 0 && insn->index >= 0;

    if (!seg_flat(t, insn->seg)) {
        unsigned s = insn->seg;

        emit_ea(t, insn, H_R8);
        emit_load(e, H_R9, H_VCPU, FRAME_OFF(seg_base) + 4 * s);
        emit_lea(e, H_R8, H_R8, H_R9, 0, 0);
        if (checked(t))
            return check_linear(t, size, access, FRAME_OFF(seg_asid) + 4 * s);
        emit_load64(e, H_R9, H_VCPU, FRAME_OFF(seg_window) + 8 * s);
        return (struct hmem){ H_R9, H_R8, 0, 0 };
    }
    if (checked(t) || wraps(t) || two || insn->addrsize == 2 ||
        (insn->base < 0 && insn->index < 0 && insn->disp < 0)) {
        emit_ea(t, insn, H_R8);
        if (checked(t))
            return check_linear(t, size, access, VCPU_OFF(asid));
        return (struct hmem){ H_WINDOW, H_R8, 0, 0 };
    }
    if (insn->base >= 0)
        return (struct hmem){ H_WINDOW, host_gpr(insn->base), 0, disp };
    return (struct hmem){ H_WINDOW, insn->index, insn->scale, disp };
}
