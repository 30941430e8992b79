// SPDX-License-Identifier: GPL-2.0-or-later
// One block: decode, find where flags are dead, emit.
//
// A block has one entry and may have many exits: it goes on behind calls and conditional branches, up to an unconditional
// transfer, an instruction that may change the mode, the end of the page or a length limit. So what follows a call lies right
// behind its return point, and the path that does not branch costs nothing.
#include "trans.h"

#include <string.h>

bool insn_ends_block(const struct insn *insn)
{
    switch (insn->flow) {
    case FLOW_JMP: case FLOW_RET: case FLOW_IJMP: case FLOW_FAR:
        return true;
    }
    return insn->attr & (INSN_STOP | INSN_UD);
}

static void decode_block(struct trans *t)
{
    const struct bt_request *rq = t->rq;
    u32 at = 0, max = rq->crossing ? 1 : MIN(t->bt->opt.block_insns, BT_MAX_INSNS);

    while (t->count < max) {
        struct insn *insn = &t->insn[t->count];

        if (insn_decode(insn, rq->bytes + at, rq->avail - at, !trans_mode(t, MODE_CODE16)) != INSN_OK) {
            t->next_crosses = true;
            break;
        }
        if (at + insn->len > t->fence)
            break;
        t->offset[t->count++] = at;
        at += insn->len;
        t->offset[t->count] = at;
        if (insn_ends_block(insn) && !sensitive_continues(t, insn))
            break;
        if (rq->compare && compare_ends(t, insn))
            break;
    }
    t->offset[t->count] = at;
}

static bool emulated(const struct trans *t, unsigned i)
{
    const struct insn *insn = &t->insn[i];
    const u8 *hints = t->rq->hints;

    if (insn->has_mem && insn->seg == S_CS && insn->mem & MEM_WRITE && seg_flat(t, S_CS))
        return true; // #GP: code segments are not writable
    if (insn->attr & INSN_UD || (hints && hints[t->offset[i]] & HINT_EMULATE))
        return true;
    if (insn->op == OP0F(0xbc) || insn->op == OP0F(0xbd)) // TZCNT and LZCNT are BSF and BSR on older CPUs
        return false;
    if (insn->op == OP0F(0xae) && insn->has_mem && insn->reg == 2 && !t->bt->mxcsr)
        return true; // LDMXCSR: #GP
    return !(t->bt->isa & BIT(insn->isa));
}

// Flags are dead before an instruction if all of them are overwritten before anything reads them or can fault:
// a fault shows EFLAGS to the guest.
static void find_dead_flags(struct trans *t)
{
    unsigned live = FL_ARITH;

    t->flags_dead[t->count] = false;
    for (int i = t->count - 1; i >= 0; i--) {
        const struct insn *insn = &t->insn[i];
        // STD, and CLD where DF is set: the next instruction belongs to another mode.
        bool flips = insn->op == (trans_mode(t, MODE_DF) ? OP1(0xfc) : OP1(0xfd));
        bool quiet = !insn->sensitive && insn->flow == FLOW_NONE && insn->op != OP1(0xd7) && !flips &&
                     (insn->mem == MEM_NONE || insn->mem == MEM_ADDRESS) && !emulated(t, i) &&
                     !(insn->attr & (INSN_X87 | INSN_MMX | INSN_SSE | INSN_STRING | INSN_STACK | INSN_STOP)) &&
                     insn->op != OP1(0xd4) && // AAM 0: #DE
                     !((insn->op == OP1(0xf6) || insn->op == OP1(0xf7)) && insn->reg >= 6);

        if (quiet)
            live = (live & ~insn->flags_written) | (insn->flags_read & FL_ARITH);
        else
            live = FL_ARITH;
        t->flags_dead[i] = !live;
    }
}

void emit_emulate(struct trans *t, const struct insn *insn)
{
    struct emit *e = t->e;
    bool last = insn->flow != FLOW_NONE || insn->attr & INSN_UD;
    struct bt_site site = {
        .eip = trans_site_eip(t, t->cur), .delta = t->delta, .retry = t->host[t->cur], .len = insn->len,
        .shared = trans_mode(t, MODE_SHARED),
    };

    emit_call(e, t->bt->stubs.emulate);
    if (!last)
        site.next = emit_here(e) + sizeof(site) + sizeof(*insn);
    emit_bytes(e, &site, sizeof(site));
    emit_bytes(e, insn, sizeof(*insn));
    t->delta = 0;
    t->ended = last;
    t->x87_noted = 0;
}

// True if the instruction names ESP as an operand other than a base register, a push or a pop.
static bool names_esp(const struct insn *insn)
{
    if (insn->op >= OP1(0x50) && insn->op <= OP1(0x5f))
        return false;
    if (insn->op >= OP1(0x40) && insn->op <= OP1(0x4f))
        return (insn->op & 7) == R_ESP;
    if (insn->op >= OP1(0x90) && insn->op <= OP1(0x97))
        return (insn->op & 7) == R_ESP;
    if (insn->op >= OP1(0xb8) && insn->op <= OP1(0xbf))
        return (insn->op & 7) == R_ESP;
    if (insn->op >= OP0F(0xc8) && insn->op <= OP0F(0xcf))
        return (insn->op & 7) == R_ESP;
    if (!(insn->attr & INSN_MODRM) || insn->attr & (INSN_8BIT | INSN_X87) || insn->op == OP1(0x8d) ||
        insn->op == OP1(0xff))
        return insn->op == OP1(0xff) && insn->reg < 2 && !insn->has_mem && insn->rm == R_ESP;
    return insn->reg == R_ESP || (!insn->has_mem && insn->rm == R_ESP);
}

// SUB/ADD ESP, imm where nobody looks at the flags: only the pending delta changes.
static bool merges_esp(const struct trans *t, const struct insn *insn)
{
    return t->bt->opt.esp && !trans_mode(t, MODE_STACK16) && !insn->has_mem && insn->rm == R_ESP && insn->opsize == 4 &&
           (insn->op == OP1(0x81) || insn->op == OP1(0x83)) && (insn->reg == 0 || insn->reg == 5) &&
           t->flags_dead[t->cur + 1] && (i32)insn->imm <= 4096 && (i32)insn->imm >= -4096;
}

static void translate_insn(struct trans *t, const struct insn *insn)
{
    t->out->sites[insn->sensitive]++;
    if (emulated(t, t->cur))
        emit_emulate(t, insn);
    else if (insn->flow != FLOW_NONE)
        flow_translate(t, insn);
    else if (merges_esp(t, insn))
        t->delta += insn->reg ? -(i32)insn->imm : (i32)insn->imm;
    else if (!compare_translate(t, insn) && !stack_translate(t, insn) && !string_translate(t, insn) &&
             !sensitive_translate(t, insn) && !simple_translate(t, insn))
        emit_emulate(t, insn);
}

// The first instruction crosses the end of the page (or is longer than 15 bytes): the emulator fetches it.
static void translate_crossing(struct trans *t)
{
    struct insn none = { .attr = INSN_STOP, .len = 0 };

    t->count = 1;
    t->offset[1] = 0;
    t->insn[0] = none;
    t->host[0] = emit_here(t->e);
    emit_emulate(t, &none);
}

// Counts an execution; keeps the flags. It belongs to the first instruction, whose repetition counts again.
static void emit_count(struct emit *e, u32 counter)
{
    static const u8 load[] = { 0x44, 0x8b, 0x04, 0x25 }, store[] = { 0x44, 0x89, 0x04, 0x25 };

    emit_bytes(e, load, sizeof(load)), emit32(e, counter);   // mov r8d, [counter]
    emit_rm(e, 0, 0x8d, H_R8, &(struct hmem){ H_R8, -1, 0, 1 }); // lea r8d, [r8+1]
    emit_bytes(e, store, sizeof(store)), emit32(e, counter); // mov [counter], r8d
}

static void emit_block(struct trans *t)
{
    for (t->cur = 0; t->cur < t->count && !t->ended; t->cur++) {
        const struct insn *insn = &t->insn[t->cur];

        // In front of the instruction, not in it: its state when it faults is that at its start.
        if (!t->bt->opt.esp || t->delta > 8192 || t->delta < -8192 ||
            (names_esp(insn) && !merges_esp(t, insn)))
            flush_delta(t);
        // Before the first instruction, not in it: loops have nothing to compare anew.
        if (t->cur == 0 && t->rq->compare)
            compare_emit(t);
        t->host[t->cur] = emit_here(t->e);
        t->delta_at[t->cur] = t->delta;
        t->out->insn[t->cur] = (struct block_insn){
            .host = t->host[t->cur] - t->out->block.host, .guest = t->offset[t->cur],
            .esp_delta = t->delta, .flags = t->shadow,
        };
        t->shadow = 0;
        if (t->cur == 0 && t->rq->counter)
            emit_count(t->e, t->rq->counter);
        translate_insn(t, insn);
    }
    t->count = t->cur;
    t->host[t->count] = emit_here(t->e);
    t->delta_at[t->count] = t->delta;
    if (!t->ended)
        flow_goto(t, trans_linear(t, t->count));
}

// Not an initializer: most of the struct is arrays, of which little is used, and clearing them would cost more than a
// short block's translation.
static void trans_init(struct trans *t, const struct bt *bt, struct emit *e, const struct bt_request *rq,
                       struct bt_code *out)
{
    bool segmented = rq->mode & MODE_SEGMENTED;

    t->bt = bt;
    t->e = e;
    t->rq = rq;
    t->out = out;
    t->count = t->cur = t->tails = t->changes = 0;
    t->delta = 0;
    t->fence = PAGE_SIZE;
    t->base = segmented ? rq->base : 0;
    t->limit = segmented ? rq->limit : ~0u;
    t->next_crosses = t->ended = t->full = false;
    t->shadow = 0;
    t->x87_noted = 0;
}

bool bt_translate(const struct bt *bt, struct emit *e, const struct bt_request *rq,
                  struct bt_code *out)
{
    struct trans t;
    struct block *b = &out->block;

    trans_init(&t, bt, e, rq, out);

    memset(b, 0, sizeof(*b));
    memset(out->sites, 0, sizeof(out->sites));
    b->eip = rq->eip;
    b->mode = bt_mode_key(rq->mode, rq->cs);
    b->compares = rq->compare;
    b->host = emit_here(e);
    decode_block(&t);
    find_dead_flags(&t);
    flow_check_target(&t, rq->eip, rq->mode & MODE_SEGMENTED ? bt->stubs.lookup : bt->stubs.probe);
    b->entry = emit_here(e);
    CHECK(b->entry - b->host == bt_header_len(rq->mode));
    flow_mark_thunk(&t);
    if (t.count == 0) {
        t.out->insn[0] = (struct block_insn){ .host = b->entry - b->host };
        translate_crossing(&t);
    } else {
        emit_block(&t);
    }
    b->guest_len = t.offset[t.count];
    if (emit_here(e) < b->entry + 5) // room for bt_block_kill's jump
        emit_align(e, 16);
    flow_tails(&t);
    compare_tail(&t);
    emit_call(e, bt->stubs.stale);
    b->host_len = emit_here(e) - b->host;
    b->insn_count = t.count;
    for (unsigned i = 0; i < t.count; i++)
        b->x87 |= t.insn[i].attr & INSN_X87;
    CHECK(!emit_overflowed(e) && b->host_len <= 0xffff);
    return !t.full;
}
