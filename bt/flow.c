// SPDX-License-Identifier: GPL-2.0-or-later
// Control flow: exits, links, calls and returns (cache/space.h says how targets are found).
//
// A guest call pushes its return address on the guest's stack and is a host CALL; the guest's RET loads the address into
// r8d and is a host RET; the return point compares r8d with the address it stands for. A mismatch (the guest switched
// stacks, or changed its return address) looks r8d up.
#include "trans.h"

#include "cache/arena.h"

#include <string.h>

#define SLOT_OFF ((i32)offsetof(struct space_table, slot))

void flush_delta(struct trans *t)
{
    if (t->delta)
        emit_lea(t->e, H_ESP, H_ESP, -1, 0, t->delta);
    t->delta = 0;
}

// Half of a shared block's page slot.
static struct hmem page_operand(const struct trans *t, bool negated)
{
    return (struct hmem){ H_TABLE, -1, 0, SLOT_OFF + 8 * (i32)t->rq->page_slot + 4 * negated };
}

void flow_linear(struct trans *t, unsigned dst, u32 eip)
{
    struct hmem page = page_operand(t, false);

    if (!trans_mode(t, MODE_SHARED)) {
        emit_mov_ri(t->e, dst, eip);
        return;
    }
    emit_rm(t->e, 0, 0x8b, dst, &page);
    emit_lea(t->e, dst, dst, -1, 0, eip);
}

// Flags are kept even where the code that follows overwrites them: on a mismatch control goes elsewhere.
void flow_check_target(struct trans *t, u32 eip, u32 otherwise)
{
    struct emit *e = t->e;
    u8 *equal;

    emit_mov64_rr(e, H_R9, H_RCX);
    if (trans_mode(t, MODE_SEGMENTED)) {
        emit_load64(e, H_RCX, H_VCPU, FRAME_OFF(cs_key));
        emit_mov64_ri(e, H_R10, -((u64)t->rq->cs << 32 | eip));
        emit_rm(e, E_W, 0x8d, H_RCX, &(struct hmem){ H_RCX, H_R10, 0, 0 });
        emit_rm(e, E_W, 0x8d, H_RCX, &(struct hmem){ H_RCX, H_R8, 0, 0 });
    } else if (trans_mode(t, MODE_SHARED)) {
        struct hmem page = page_operand(t, true);

        emit_rm(e, 0, 0x8b, H_RCX, &page);
        emit8(e, 0x42), emit8(e, 0x8d), emit8(e, 0x8c), emit8(e, 0x01), emit32(e, -eip); // lea ecx, [rcx + r8 - eip]
    } else {
        emit8(e, 0x41), emit8(e, 0x8d), emit8(e, 0x88), emit32(e, -eip); // lea ecx, [r8 - eip]
    }
    equal = emit_short(e, 0xe3);                             // jrcxz
    emit_mov64_rr(e, H_RCX, H_R9);
    emit_jmp(e, otherwise);
    emit_land(e, equal);
    emit_mov64_rr(e, H_RCX, H_R9);
}

static bool same_page(const struct trans *t, u32 target)
{
    return (target ^ t->rq->eip) < PAGE_SIZE && t->bt->opt.chain;
}

// An instruction that runs on into another page is reached through slots only: its block is good where both
// pages are mapped as they were.
static bool linkable(const struct trans *t, u32 target)
{
    return same_page(t, target) && !(t->next_crosses && target == trans_linear(t, t->count));
}

static u32 slot_number(struct trans *t, u32 target)
{
    u32 slot = slot_for(t->bt->spaces, target, bt_mode_key(t->rq->mode, t->rq->cs));

    if (slot != SLOT_NONE)
        return slot;
    t->full = true;
    return 0;
}

// Control goes to where the slot says (ext: 2 CALL, 4 JMP); if it is empty, its number must be in r8d there.
static void slot_branch(struct trans *t, u32 slot, unsigned ext)
{
    emit_mov_ri(t->e, H_R8, slot);
    emit_rm(t->e, 0, 0xff, ext, &(struct hmem){ H_TABLE, -1, 0, SLOT_OFF + 8 * (i32)slot });
}

// How many instructions have been executed where the current one leaves the block.
static unsigned executed(const struct trans *t)
{
    return t->cur < t->count ? t->cur + 1 : t->count;
}

static void note_executed(struct trans *t, unsigned count)
{
    if (t->bt->opt.count)
        emit_store_imm(t->e, H_VCPU, FRAME_OFF(executed), count);
}

static void jump_table(struct trans *t, unsigned ext)
{
    note_executed(t, executed(t));
    bt_jump_table(t->e, ext);
}

static void add_tail_exit(struct trans *t, u32 target)
{
    CHECK(t->tails < MAX_TAILS);
    t->tail[t->tails++] = (struct tail){
        .kind = TAIL_EXIT, .target = target, .patch = emit_here(t->e) - 4, .insn = executed(t),
    };
}

// Emits `opcode rel32` (with an optional 0F) to a tail that links or looks up.
static void exit_through_tail(struct trans *t, int escape, u8 opcode, u32 target)
{
    if (escape >= 0)
        emit8(t->e, escape);
    emit8(t->e, opcode);
    emit32(t->e, 0);
    add_tail_exit(t, target);
}

void flow_goto(struct trans *t, u32 target)
{
    flush_delta(t);
    if (linkable(t, target)) {
        exit_through_tail(t, -1, 0xe9, target);
    } else {
        note_executed(t, executed(t));
        slot_branch(t, slot_number(t, target), 4);
    }
}

// The instruction of this block at eip, if control may go straight to it now.
static int inner_target(const struct trans *t, u32 target)
{
    if (!t->bt->opt.loops)
        return -1;
    for (unsigned i = 0; i <= t->cur; i++)
        if (trans_linear(t, i) == target && t->delta_at[i] == 0 &&
            !(t->out->insn[i].flags & BLOCK_INSN_SHADOW) && // a loop that no event could stop
            !(i && t->out->insn[i].flags & t->out->insn[i - 1].flags & BLOCK_INSN_X87)) // bt_fpu_settle: the one before has run
            return i;
    return -1;
}

// The linear address of a direct branch's target. False if it lies outside the code segment, so that the branch faults.
static bool direct_target(const struct trans *t, const struct insn *insn, u32 *target)
{
    u32 eip = insn_target(insn, trans_eip(t, t->cur));

    *target = t->base + eip;
    return eip <= t->limit;
}

// JCXZ and LOOPcc, which count in CX or ECX, up to where they are taken. Returns how many jumps to fall[] do not.
static int translate_count(struct trans *t, const struct insn *insn, u8 *fall[2])
{
    struct emit *e = t->e;
    bool cx = insn->addrsize == 2, loop = insn->op != OP1(0xe3);
    u8 *zero;
    int falls = 0;

    if (loop && cx) {
        emit_lea(e, H_R8, H_RCX, -1, 0, -1);
        emit_rr(e, E_66, 0x8b, H_RCX, H_R8);
    } else if (loop) {
        emit_lea(e, H_RCX, H_RCX, -1, 0, -1);
    }
    if (cx) {
        emit_mov64_rr(e, H_R9, H_RCX);
        emit_rr(e, 0, OP0F(0xb7), H_RCX, H_RCX);             // movzx ecx, cx
    }
    zero = emit_short(e, 0xe3);                              // jrcxz
    if (cx)
        emit_mov64_rr(e, H_RCX, H_R9);
    if (loop && insn->op == OP1(0xe0))
        fall[falls++] = emit_short(e, 0x74);                 // loopne stops at ZF
    else if (loop && insn->op == OP1(0xe1))
        fall[falls++] = emit_short(e, 0x75);
    if (loop) {
        fall[falls++] = zero;
        return falls;
    }
    fall[falls++] = emit_short(e, 0xeb);
    emit_land(e, zero);
    if (cx)
        emit_mov64_rr(e, H_RCX, H_R9);
    return falls;
}

static void translate_jcc(struct trans *t, const struct insn *insn, u32 target)
{
    struct emit *e = t->e;
    int inner;

    flush_delta(t);
    inner = inner_target(t, target);
    if (insn->op >= OP1(0xe0) && insn->op <= OP1(0xe3)) {
        u8 *fall[2];
        int falls = translate_count(t, insn, fall);

        if (inner >= 0)
            emit_jmp(e, t->host[inner]);
        else
            flow_goto(t, target);
        while (falls > 0)
            emit_land(e, fall[--falls]);
        if (insn->addrsize == 2) // r9 has rcx on all ways here
            emit_mov64_rr(e, H_RCX, H_R9);
        return;
    }
    if (inner >= 0)
        emit_jcc(e, insn->op & 15, t->host[inner]);
    else
        exit_through_tail(t, 0x0f, 0x80 | (insn->op & 15), target);
}

// Stores a call's return address; the stack pointer stays.
static void store_return(struct trans *t, const struct insn *insn)
{
    unsigned size = insn->opsize;
    struct hmem m = stack_operand(t, -(i32)size, size, MEMACC_WRITE);
    u32 eip = trans_eip(t, t->cur) + insn->len;

    if (trans_mode(t, MODE_SHARED)) {
        flow_linear(t, H_R11, eip);
        emit_rm(t->e, 0, 0x89, H_R11, &m);
    } else {
        emit_rm(t->e, size == 2 ? E_66 : 0, 0xc7, 0, &m);
        emit_bytes(t->e, &eip, size);
    }
}

static void push_return(struct trans *t, const struct insn *insn)
{
    store_return(t, insn);
    stack_move(t, -(i32)insn->opsize, false);
}

static void return_point(struct trans *t, const struct insn *insn)
{
    if (!t->bt->opt.returns)
        return;
    t->out->ret_point[t->out->block.ret_count++] = emit_here(t->e);
    flow_check_target(t, trans_linear(t, t->cur) + insn->len, t->bt->stubs.jump);
}

// ---- Thunks: functions `mov reg, [esp]; ret`, which position-independent code calls to learn
// where it lies, as often as any other. Their blocks' entries begin with a NOP that no other block's begins with, and that
// names the register. A call which is likely to be one of a thunk looks where its slot leads: if there is the mark, it does
// what the thunk does. That holds for this space, as the slot does; and killing a block overwrites its mark.
#define MARK(reg) (0x431f0f41u | (u32)(reg) << 27) // nop dword [r11 + 0]

static bool thunks(const struct trans *t)
{
    const struct bt_options *opt = &t->bt->opt;

    return opt->thunks && opt->chain && opt->returns && !opt->count && !trans_mode(t, MODE_SEGMENTED) && !t->rq->compare;
}

void flow_mark_thunk(struct trans *t)
{
    const struct insn *load = &t->insn[0], *ret = &t->insn[1];

    if (!thunks(t) || t->count != 2 || load->op != OP1(0x8b) || load->opsize != 4 || load->reg == R_ESP || !load->has_mem ||
        load->addrsize != 4 || load->base != R_ESP || load->index >= 0 || load->disp || load->seg != S_SS ||
        ret->op != OP1(0xc3) || ret->opsize != 4)
        return;
    emit32(t->e, MARK(load->reg));
    emit8(t->e, 0);
}

// The register of the thunk that the call is likely to be one of: the one to which code then adds a distance. -1: none.
static int thunk_register(const struct trans *t)
{
    unsigned last = MIN(t->cur + 3, t->count - 1);

    for (unsigned i = t->cur + 1; i <= last && t->insn[i].flow == FLOW_NONE; i++) {
        const struct insn *insn = &t->insn[i];
        int reg = insn->op == OP1(0x05) ? R_EAX : insn->op == OP1(0x81) && insn->reg == 0 && !insn->has_mem ? insn->rm : -1;

        if (reg >= 0)
            return reg == R_ESP || insn->opsize != 4 ? -1 : reg;
    }
    return -1;
}

static void translate_thunk_call(struct trans *t, const struct insn *insn, u32 target, unsigned reg)
{
    struct emit *e = t->e;
    u32 slot = slot_number(t, target);
    u8 *marked, *done;

    store_return(t, insn);
    flush_delta(t);
    emit_mov64_rr(e, H_R9, H_RCX);
    emit_load(e, H_R10, H_TABLE, SLOT_OFF + 8 * (i32)slot);
    emit_load(e, H_R10, H_R10, 0);
    emit_lea(e, H_RCX, H_R10, -1, 0, -(i32)MARK(reg));
    marked = emit_short(e, 0xe3);                            // jrcxz
    emit_mov64_rr(e, H_RCX, H_R9);
    emit_lea(e, H_ESP, H_ESP, -1, 0, -4);
    slot_branch(t, slot, 2);
    return_point(t, insn);
    done = emit_short(e, 0xeb);
    emit_land(e, marked);
    if (reg != R_ECX)
        emit_mov64_rr(e, H_RCX, H_R9);
    flow_linear(t, reg, trans_eip(t, t->cur) + insn->len);
    emit_land(e, done);
}

static void translate_call(struct trans *t, const struct insn *insn, u32 target)
{
    int thunk = thunks(t) && insn->opsize == 4 && !linkable(t, target) ? thunk_register(t) : -1;

    if (thunk >= 0) {
        translate_thunk_call(t, insn, target, thunk);
        return;
    }
    push_return(t, insn);
    // Of the instruction behind it, to learn where that lies: no more than a push.
    if (t->bt->opt.thunks && t->cur + 1 < t->count && target == trans_linear(t, t->cur + 1))
        return;
    flush_delta(t);
    if (!t->bt->opt.returns) {
        flow_goto(t, target);
        t->ended = true;
        return;
    }
    if (linkable(t, target)) {
        exit_through_tail(t, -1, 0xe8, target);
    } else {
        slot_branch(t, slot_number(t, target), 2);
    }
    return_point(t, insn);
}

// r8d has an indirect branch's target, of `size` bytes, in the code segment: checks it, and makes it linear.
static void finish_target(struct trans *t, unsigned size)
{
    if (t->limit < (size == 2 ? 0xffff : 0xffffffff))
        check_target(t, t->limit);
    if (t->base)
        emit_lea(t->e, H_R8, H_R8, -1, 0, t->base);
}

static void load_target(struct trans *t, const struct insn *insn)
{
    unsigned size = insn->opsize;

    if (insn->has_mem) {
        struct hmem m = mem_operand(t, insn, size, MEMACC_READ);

        emit_rm(t->e, 0, size == 2 ? OP0F(0xb7) : 0x8b, H_R8, &m);
    } else {
        if (insn->rm == R_ESP)
            emit_lea(t->e, H_R8, H_ESP, -1, 0, t->delta);
        else
            emit_mov_rr(t->e, H_R8, insn->rm);
        if (size == 2)
            emit_rr(t->e, 0, OP0F(0xb7), H_R8, H_R8);
    }
    finish_target(t, size);
}

void flow_translate(struct trans *t, const struct insn *insn)
{
    struct emit *e = t->e;
    u32 target = 0;

    if (trans_mode(t, MODE_SHARED) && insn->opsize == 2 && insn->flow != FLOW_RET && insn->flow != FLOW_IJMP) {
        emit_emulate(t, insn); // the target, or the return address, is half of EIP
        return;
    }
    if ((insn->flow == FLOW_JCC || insn->flow == FLOW_JMP || insn->flow == FLOW_CALL) &&
        !direct_target(t, insn, &target)) {
        emit_emulate(t, insn);
        return;
    }
    switch (insn->flow) {
    case FLOW_JCC:
        translate_jcc(t, insn, target);
        break;
    case FLOW_JMP: {
        int inner;

        flush_delta(t);
        inner = inner_target(t, target);
        if (inner >= 0)
            emit_jmp(e, t->host[inner]);
        else
            flow_goto(t, target);
        t->ended = true;
        break;
    }
    case FLOW_CALL:
        translate_call(t, insn, target);
        break;
    case FLOW_RET: {
        struct hmem m = stack_operand(t, 0, insn->opsize, MEMACC_READ);

        emit_rm(e, 0, insn->opsize == 2 ? OP0F(0xb7) : 0x8b, H_R8, &m);
        finish_target(t, insn->opsize);
        stack_move(t, insn->opsize + (insn->op == OP1(0xc2) ? (u16)insn->imm : 0), true);
        flush_delta(t);
        if (t->bt->opt.returns)
            emit8(e, 0xc3);
        else
            jump_table(t, 4);
        t->ended = true;
        break;
    }
    case FLOW_IJMP:
        load_target(t, insn);
        flush_delta(t);
        jump_table(t, 4);
        t->ended = true;
        break;
    case FLOW_ICALL: {
        bool kept = stack_is_simple(t); // then the push leaves r8 alone

        load_target(t, insn);
        if (!kept)
            emit_store(e, H_VCPU, FRAME_OFF(tmp), H_R8);
        push_return(t, insn);
        flush_delta(t);
        if (!kept)
            emit_load(e, H_R8, H_VCPU, FRAME_OFF(tmp));
        jump_table(t, t->bt->opt.returns ? 2 : 4);
        if (t->bt->opt.returns)
            return_point(t, insn);
        else
            t->ended = true;
        break;
    }
    default:
        emit_emulate(t, insn);
        t->ended = true;
    }
}

static void tail_memory(struct trans *t, const struct tail *tail)
{
    struct emit *e = t->e;
    const struct insn *insn = &t->insn[tail->insn];
    struct bt_site site = {
        .eip = trans_site_eip(t, tail->insn), .shared = trans_mode(t, MODE_SHARED), .delta = tail->delta,
        .delta_next = t->delta_at[tail->insn + 1], .retry = tail->retry,
        .next = tail->insn + 1u < t->count ? t->host[tail->insn + 1] : 0, .len = insn->len, .size = tail->size,
        .access = tail->access, .x87 = !!(insn->attr & INSN_X87),
    };

    if (tail->access == MEMACC_WRITE) {
        u8 *miss[3];
        unsigned n = write_beside(t, tail, miss);

        while (n > 0)
            emit_land(e, miss[--n]);
    }
    if (tail->flags)
        bt_restore_flags(&t->bt->stubs, e);
    emit_call(e, t->bt->stubs.memory);
    emit_bytes(e, &site, sizeof(site));
}

static void tail_emulate(struct trans *t, const struct tail *tail)
{
    struct emit *e = t->e;
    const struct insn *insn = &t->insn[tail->insn];
    struct bt_site site = {
        .eip = trans_site_eip(t, tail->insn), .delta = tail->delta, .retry = tail->retry,
        .shared = trans_mode(t, MODE_SHARED), .len = insn->len,
    };

    if (tail->rcx)
        emit_mov64_rr(e, H_RCX, H_R9);
    if (tail->flags)
        bt_restore_flags(&t->bt->stubs, e);
    emit_call(e, t->bt->stubs.emulate);
    emit_bytes(e, &site, sizeof(site));
    emit_bytes(e, insn, sizeof(*insn));
}

static void tail_exit(struct trans *t, const struct tail *tail)
{
    struct emit *e = t->e;
    struct bt_link link = { .target = tail->target - t->base, .patch = tail->patch };

    if (linkable(t, tail->target)) {
        emit_call(e, t->bt->stubs.link);
        emit_bytes(e, &link, sizeof(link));
    } else {
        note_executed(t, tail->insn);
        slot_branch(t, slot_number(t, tail->target), 4);
    }
}

static void land_tail(struct trans *t, const struct tail *tail, u32 target)
{
    u8 *at = t->e->start + (tail->patch - (u32)t->e->rx);
    u32 rel = target - (tail->patch + 4);

    if (at + 4 <= t->e->end)
        memcpy(at, &rel, 4);
}

void flow_tails(struct trans *t)
{
    const struct tail *last = NULL; // that goes to the emulator, and where
    u32 last_at = 0;

    for (unsigned i = 0; i < t->tails; i++) {
        struct tail *tail = &t->tail[i];

        if (tail->kind == TAIL_EMULATE && last && last->insn == tail->insn && last->rcx == tail->rcx &&
            last->flags == tail->flags) {
            land_tail(t, tail, last_at);
            continue;
        }
        land_tail(t, tail, emit_here(t->e));
        if (tail->kind == TAIL_EMULATE) {
            last = tail;
            last_at = emit_here(t->e);
        }
        if (tail->kind == TAIL_MEMORY)
            tail_memory(t, tail);
        else if (tail->kind == TAIL_EMULATE)
            tail_emulate(t, tail);
        else
            tail_exit(t, tail);
    }
}

void bt_patch_rel32(struct arena *a, u32 patch, u32 target)
{
    u32 rel = target - (patch + 4);

    memcpy(arena_rw(a, (u8 *)(u64)patch), &rel, 4);
}

static void write_jmp(struct arena *a, u32 at, u32 target)
{
    *arena_rw(a, (u8 *)(u64)at) = 0xe9;
    bt_patch_rel32(a, at + 1, target);
}

u32 bt_entry_if(u32 host, u32 eip, u64 key)
{
    const u8 *at = (const u8 *)(u64)(host + bt_header_key(key));
    u64 negated = 0;

    if (key & MODE_SEGMENTED) {
        memcpy(&negated, at, 8);
        return negated == -((key & ~0xffffffffull) | eip) ? host + bt_header_len(key) : 0;
    }
    memcpy(&negated, at, 4);
    return (u32)negated == -eip ? host + bt_header_len(key) : 0;
}

void bt_redirect(struct arena *a, const struct block *block, u32 target)
{
    write_jmp(a, block->entry, target);
}

void bt_block_kill(const struct bt *bt, struct arena *a, const struct blocks *b,
                   const struct block *block)
{
    // The stale stub: the last bytes of every block.
    static const u64 nowhere = 1; // of a segmented block: no key is -1
    u32 no_target = -block->eip + 1;
    u8 *key = arena_rw(a, (u8 *)(u64)block->host) + bt_header_key(block->mode);

    write_jmp(a, block->entry, block->host + block->host_len - BT_STALE_LEN);
    if (block->mode & MODE_SEGMENTED)
        memcpy(key, &nowhere, 8);
    else
        memcpy(key, &no_target, 4);
    for (u32 i = 0; i < block->ret_count; i++)
        write_jmp(a, b->ret_point[block->ret_first + i], bt->stubs.lookup);
}
