// SPDX-License-Identifier: GPL-2.0-or-later
// The two forms of every memory access, and what segments add to them.
//
// Direct: [r12 + reg + disp], one instruction. The sum is made in 64 bits of zero-extended registers, so an address
// that wraps at 4 GiB in the guest falls into the window's guards here; the engine then sets HINT_WRAP, and the
// sum is made in 32 bits first. (The design's `gs:` form adds two cycles to each load's latency, LEA adds one and
// needs no segment base to be switched: LEA serves for both.)
//
// Checked: by a call of a stub (stubs.c) where the address space is young, as such code runs seldom and should be small;
// else in line: the linear address in r8d, the software TLB's entry compared with the page of the last byte (so
// that page-crossing accesses miss), the host address in r10 + r8. Flags are saved around it: a fault must find them.
//
// Segments that are not flat: the offset in r8d, compared with the limit in ways that keep the flags and stay off the
// path to the access; then [r9 + r8] with the segment's origin, window + base, in r9.
#include "trans.h"

#define TLB_OFF(field) ((i32)(offsetof(struct vcpu, tlb) + offsetof(struct tlb_entry, field)))

bool seg_flat(const struct trans *t, unsigned seg)
{
    switch (seg) {
    case S_CS: return !trans_mode(t, MODE_SEGMENTED);
    case S_SS: return !trans_mode(t, MODE_SEGMENTED) || trans_mode(t, MODE_SS_FLAT);
    case S_DS: return trans_mode(t, MODE_DS_FLAT);
    case S_ES: return trans_mode(t, MODE_ES_FLAT);
    default: return false;
    }
}

void emit_ea(struct trans *t, const struct insn *insn, unsigned dst)
{
    int base = insn->base < 0 ? -1 : (int)host_gpr(insn->base);
    i32 disp = (u32)insn->disp + (insn->base == R_ESP ? (u32)t->delta : 0);
    int only = insn->index < 0 ? base : base < 0 && !insn->scale ? insn->index : -1;

    if (base < 0 && insn->index < 0) {
        emit_mov_ri(t->e, dst, insn->addrsize == 2 ? (u16)disp : (u32)disp);
    } else if (insn->addrsize == 2 && only >= 0 && !disp) {
        emit_rr(t->e, 0, OP0F(0xb7), dst, only);    // movzx dst, reg16
    } else {
        emit_lea(t->e, dst, base, insn->index, insn->scale, disp);
        if (insn->addrsize == 2)
            emit_rr(t->e, 0, OP0F(0xb7), dst, dst); // movzx dst, dst16
    }
}

static unsigned hint(const struct trans *t)
{
    return t->rq->hints ? t->rq->hints[t->offset[t->cur]] : 0;
}

static bool checked(const struct trans *t)
{
    return !t->bt->opt.direct || trans_mode(t, MODE_CHECKED) || hint(t) & (HINT_CHECKED | HINT_FAULTS);
}

static bool wraps(const struct trans *t)
{
    return hint(t) & HINT_WRAP;
}

// The linear address is in r8d. asid_off: where the TLB number to match is.
static struct hmem check_linear(struct trans *t, unsigned size, enum mem_access access, i32 asid_off)
{
    struct emit *e = t->e;
    i32 tag = access == MEMACC_READ ? TLB_OFF(rtag) : TLB_OFF(wtag);
    bool save = !t->flags_dead[t->cur];
    u32 retry = t->host[t->cur]; // nothing is committed before an access: redo it all
    struct tail *tail = &t->tail[t->tails];

    if (trans_mode(t, MODE_CHECKED) && t->bt->opt.direct) {
        const struct bt_check *check = bt_check_for(&t->bt->stubs, save, access, size);

        if (asid_off != VCPU_OFF(asid))
            emit_load(e, H_R9, H_VCPU, asid_off);
        emit_call(e, asid_off == VCPU_OFF(asid) ? check->flat : check->seg);
        return (struct hmem){ H_R10, H_R8, 0, 0 };
    }
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
    t->tails++;
    *tail = (struct tail){
        .kind = TAIL_MEMORY, .insn = t->cur, .size = size, .access = access, .retry = retry,
        .delta = t->delta, .patch = emit_here(e) + 2, .flags = save,
    };
    emit_jcc(e, CC_NE, emit_here(e) + 6);
    emit_rm(e, E_W, 0x8b, H_R10, &(struct hmem){ H_VCPU, H_R10, 0, TLB_OFF(addend) });
    if (save)
        bt_restore_flags(&t->bt->stubs, e);
    tail->back = emit_here(e);
    return (struct hmem){ H_R10, H_R8, 0, 0 };
}

// In a tail, with r8-r10 as check_linear left them: a write to bytes that are free of code, in a page with code, goes on.
// Returns the places to be landed where it does not.
unsigned write_beside(struct trans *t, const struct tail *tail, u8 *miss[3])
{
    struct emit *e = t->e;
    unsigned n = 0;

    emit_rm(e, 0, 0x3b, H_R9, &(struct hmem){ H_VCPU, H_R10, 0, TLB_OFF(rtag) });
    miss[n++] = emit_short(e, 0x75);                                 // jne
    for (u32 at = 0; at < tail->size; at += MAX(tail->size - 1u, 1u)) {
        emit_lea(e, H_R9, H_R8, -1, 0, at);
        emit_rr(e, 0, 0xc1, 5, H_R9), emit8(e, 6);                   // shr r9d, 6
        emit_alu_ri(e, 4, H_R9, 63);
        emit_rm(e, E_W, OP0F(0xa3), H_R9, &(struct hmem){ H_VCPU, H_R10, 0, TLB_OFF(free) }); // bt
        miss[n++] = emit_short(e, 0x73);                             // jae
    }
    emit_rm(e, E_W, 0x8b, H_R10, &(struct hmem){ H_VCPU, H_R10, 0, TLB_OFF(addend) });
    if (tail->flags)
        bt_restore_flags(&t->bt->stubs, e);
    emit_jmp(e, tail->back);
    return n;
}

// ---- Limits
// rcx, of which r9 has a copy, is 0: goes on, with rcx restored. Otherwise the emulator does the instruction.
static void go_on_if_zero(struct trans *t)
{
    struct emit *e = t->e;
    u8 *fine = emit_short(e, 0xe3); // jrcxz

    CHECK(t->tails < MAX_TAILS);
    t->tail[t->tails++] = (struct tail){
        .kind = TAIL_EMULATE, .insn = t->cur, .delta = t->delta, .retry = t->host[t->cur],
        .patch = emit_here(e) + 1, .rcx = true,
    };
    emit_jmp(e, emit_here(e) + 5);
    emit_land(e, fine);
    emit_mov64_rr(e, H_RCX, H_R9);
}

// ecx = r8d; is it at most r10, a number of 64 bits, less `less`?
static void check_limit(struct trans *t, u32 less)
{
    struct emit *e = t->e;

    emit_rr(e, E_W, 0xf7, 2, H_RCX);                                        // not: -offset - 1
    emit_rm(e, E_W, 0x8d, H_RCX, &(struct hmem){ H_RCX, H_R10, 0, 1 - (i32)less }); // lea
    emit8(e, 0x48), emit8(e, 0x0f), emit8(e, 0xc9);                          // bswap rcx
    emit_mov_rr(e, H_RCX, H_RCX);                                            // the upper half is the sign
    go_on_if_zero(t);
}

void check_target(struct trans *t, u32 limit)
{
    emit_mov64_rr(t->e, H_R9, H_RCX);
    emit_mov_ri(t->e, H_R10, limit);
    emit_mov_rr(t->e, H_RCX, H_R8);
    check_limit(t, 0);
}

// Offsets up to FFFF are known to be good.
static bool reaches_64k(const struct trans *t, unsigned seg)
{
    return trans_mode(t, MODE_DATA64K) &&
           (trans_mode(t, MODE_REAL) || seg == S_DS || seg == S_ES || seg == S_SS);
}

static void check_segment(struct trans *t, unsigned seg, u32 max, unsigned size, enum mem_access access)
{
    struct emit *e = t->e;
    bool simple = reaches_64k(t, seg) && max <= 0xffff;

    if (simple && max + size - 1 <= 0xffff)
        return;
    emit_mov64_rr(e, H_R9, H_RCX);
    if (simple) {
        // No byte may lie beyond FFFF (the limit may be higher: the emulator knows).
        emit_lea(e, H_RCX, H_R8, -1, 0, size - 1);
        emit8(e, 0x0f), emit8(e, 0xc9);                                     // bswap ecx
        emit_rr(e, 0, OP0F(0xb7), H_RCX, H_RCX);                            // movzx ecx, cx
        go_on_if_zero(t);
        return;
    }
    emit_load64(e, H_R10, H_VCPU, access == MEMACC_READ ? FRAME_OFF(seg_rlimit) + 8 * (i32)seg
                                                        : FRAME_OFF(seg_wlimit) + 8 * (i32)seg);
    emit_mov_rr(e, H_RCX, H_R8);
    check_limit(t, size - 1);
}

// An access may not run over 4 GiB, whatever the base.
static void check_top(struct trans *t, unsigned size)
{
    struct emit *e = t->e;

    emit_mov64_rr(e, H_R9, H_RCX);
    emit_rm(e, E_W, 0x8d, H_RCX, &(struct hmem){ H_R8, -1, 0, size - 1 });   // lea rcx, [r8+size-1]
    emit8(e, 0x48), emit8(e, 0x0f), emit8(e, 0xc9);                          // bswap rcx
    emit_mov_rr(e, H_RCX, H_RCX);
    go_on_if_zero(t);
}

static void add_base(struct trans *t, unsigned seg)
{
    emit_load(t->e, H_R9, H_VCPU, SEG_OFF(seg, base));
    emit_lea(t->e, H_R8, H_R8, H_R9, 0, 0);
}

struct hmem segment_operand(struct trans *t, unsigned seg, u32 max, unsigned size, enum mem_access access)
{
    bool limits = trans_mode(t, MODE_SEGMENTED) || hint(t) & HINT_LIMITS;

    if (seg_flat(t, seg)) {
        if (checked(t))
            return check_linear(t, size, access, VCPU_OFF(asid));
        return (struct hmem){ H_WINDOW, H_R8, 0, 0 };
    }
    if (limits)
        check_segment(t, seg, max, size, access);
    else if ((u64)max + size - 1 > ~0u)
        check_top(t, size);
    if (checked(t)) {
        add_base(t, seg);
        return check_linear(t, size, access, limits ? VCPU_OFF(asid) : FRAME_OFF(seg_asid) + 4 * (i32)seg);
    }
    if (limits && wraps(t)) {
        add_base(t, seg);
        return (struct hmem){ H_WINDOW, H_R8, 0, 0 };
    }
    if (limits) {
        emit_load64(t->e, H_R9, H_VCPU, FRAME_OFF(seg_origin) + 8 * (i32)seg);
    } else {
        add_base(t, seg);
        emit_load64(t->e, H_R9, H_VCPU, FRAME_OFF(seg_window) + 8 * (i32)seg);
    }
    return (struct hmem){ H_R9, H_R8, 0, 0 };
}

// ---- Operands
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

struct hmem index_operand(struct trans *t, unsigned seg, unsigned reg, unsigned addrsize, unsigned size,
                          enum mem_access access)
{
    if (addrsize == 4 && seg_flat(t, seg))
        return linear_operand(t, reg, 0, size, access);
    if (addrsize == 2)
        emit_rr(t->e, 0, OP0F(0xb7), H_R8, reg);
    else
        emit_mov_rr(t->e, H_R8, reg);
    return segment_operand(t, seg, addrsize == 2 ? 0xffff : ~0u, size, access);
}

struct hmem stack_operand(struct trans *t, i32 offset, unsigned size, enum mem_access access)
{
    bool sp = trans_mode(t, MODE_STACK16);

    if (!sp && seg_flat(t, S_SS))
        return linear_operand(t, H_ESP, t->delta + offset, size, access);
    if (!sp || offset)
        emit_lea(t->e, H_R8, H_ESP, -1, 0, t->delta + offset);
    if (sp)
        emit_rr(t->e, 0, OP0F(0xb7), H_R8, offset ? H_R8 : H_ESP);
    return segment_operand(t, S_SS, sp ? 0xffff : ~0u, size, access);
}

bool stack_is_simple(const struct trans *t)
{
    return !trans_mode(t, MODE_STACK16) && seg_flat(t, S_SS) && !checked(t) && !wraps(t);
}

void stack_move(struct trans *t, i32 n, bool keep)
{
    unsigned scratch = keep ? H_R9 : H_R8;

    if (!trans_mode(t, MODE_STACK16)) {
        t->delta += n;
        return;
    }
    emit_lea(t->e, scratch, H_ESP, -1, 0, n);
    emit_rr(t->e, E_66, 0x8b, H_ESP, scratch); // the upper half stays
}

struct hmem mem_operand(struct trans *t, const struct insn *insn, unsigned size,
                        enum mem_access access)
{
    i32 disp = (u32)insn->disp + (insn->base == R_ESP ? (u32)t->delta : 0);
    bool two = insn->base >= 0 && insn->index >= 0;

    if (!seg_flat(t, insn->seg) || checked(t) || wraps(t) || two || insn->addrsize == 2 ||
        (insn->base < 0 && insn->index < 0 && insn->disp < 0)) {
        u32 max = insn->addrsize == 2 ? 0xffff : ~0u;

        if (insn->base < 0 && insn->index < 0)
            max &= (u32)insn->disp;
        emit_ea(t, insn, H_R8);
        return segment_operand(t, insn->seg, max, size, access);
    }
    if (insn->base >= 0)
        return (struct hmem){ H_WINDOW, host_gpr(insn->base), 0, disp };
    return (struct hmem){ H_WINDOW, insn->index, insn->scale, disp };
}
