// SPDX-License-Identifier: GPL-2.0-or-later
// The C side of the stubs: each saves nothing and decides where translated code goes on.
#include "engine_bt.h"

#include "shadow-mmu/tlb.h"

#include <signal.h>
#include <string.h>

_Static_assert((int)ACC_READ == 0 && (int)ACC_WRITE == 1, "bt_site.access is an enum access");

// Runs body with guest faults caught; evaluates to true if there was none.
#define GUARDED(v, body)                                                                     \
    ({                                                                                       \
        jmp_buf catcher_;                                                                    \
        bool fine_ = true;                                                                   \
        (v)->catcher = &catcher_;                                                            \
        if (_setjmp(catcher_) == 0) {                                                        \
            body;                                                                            \
        } else {                                                                             \
            fine_ = false;                                                                   \
        }                                                                                    \
        (v)->catcher = NULL;                                                                 \
        fine_;                                                                               \
    })

static u64 fault_now(struct engine *e)
{
    struct vcpu *v = e->v;

    return bt_deliver(e, cpu_deliver(v, EVENT_FAULT, v->fault.vector, v->fault.error));
}

static u64 lookup(struct vcpu *v, const void *data)
{
    struct engine *e = bt_engine(v);

    v->phase = PHASE_LOOKUP;
    (void)data;
    bt_fpu_note(v);
    e->count.lookups++;
    v->eip = (u32)bt_frame(v)->r8 - v->seg[S_CS].base;
    e->ran = bt_frame(v)->executed; // 0 without a watch
    return bt_dispatch(e);
}

// A link, or some table, leads to a block that was killed: from now on to its successor.
static u64 stale(struct vcpu *v, const void *data)
{
    struct engine *e = bt_engine(v);
    struct block *b = block_at_host(&e->blocks, (u64)data - 1), *to;
    u32 n = b - e->blocks.block, slot;
    u64 flushes = e->flush_count, host;

    v->phase = PHASE_LOOKUP;
    bt_fpu_note(v);
    e->count.lookups++;
    v->eip = bt_block_linear(e, e->space, b) - v->seg[S_CS].base;
    e->ran = bt_frame(v)->executed; // 0 without a watch
    host = bt_dispatch(e);
    if (!e->bt.opt.chain || e->flush_count != flushes || host < e->bt.stubs.end)
        return host;
    to = block_at_host(&e->blocks, host);
    b = &e->blocks.block[n];
    if (to->entry == host && to->valid && to->eip == b->eip && to->mode == b->mode && to->gpa_page == b->gpa_page &&
        !to->gpa_page2)
        bt_redirect(&e->arena, b, host);
    else if ((slot = slot_find(&e->spaces, bt_linear(v), e->key)) != SLOT_NONE) // shared since
        space_fill_slot(&e->spaces, e->space, slot, host);
    return host;
}

// Control is at the empty slot of a branch to another page.
static u64 slot_(struct vcpu *v, const void *data)
{
    struct engine *e = bt_engine(v);
    u32 slot = (u32)bt_frame(v)->r8, page = SLOT_NONE, base = 0, target;
    const struct slot_key *k = slot_key_of(&e->spaces, slot);
    u64 host, key = e->key, flushes = e->flush_count;

    v->phase = PHASE_LOOKUP;
    bt_fpu_note(v);
    (void)data;
    e->count.slots++;
    if (k->mode & MODE_SHARED) {
        page = bt_page_slot(&e->spaces, k->mode >> 32);
        base = (u32)e->space->table->slot[page];
    }
    target = base + k->eip - v->seg[S_CS].base;
    v->eip = target;
    e->ran = bt_frame(v)->executed; // 0 without a watch
    host = bt_dispatch(e);
    // Only if that is where we came to, and the slot still stands for it.
    if (e->bt.opt.chain && v->eip == target && e->key == key && e->flush_count == flushes && host >= e->bt.stubs.end &&
        (page == SLOT_NONE || (u32)e->space->table->slot[page] == base)) {
        space_fill_slot(&e->spaces, e->space, slot, host);
        if (page != SLOT_NONE)
            bt_share_slot(e, slot, host);
    }
    return host;
}

static u64 link_exit(struct vcpu *v, const void *data)
{
    struct engine *e = bt_engine(v);
    const struct bt_link link = *(const struct bt_link *)data;
    const struct block *from = block_at_host(&e->blocks, link.patch), *to;
    u64 flushes = e->flush_count, host, key = e->key;
    u32 page = from->gpa_page, target = link.target;
    bool shared = from->mode & MODE_SHARED;

    v->phase = PHASE_LINK;
    bt_fpu_note(v);
    if (shared)
        target += bt_block_linear(e, e->space, from) & PAGE_MASK;
    v->eip = target;
    host = bt_dispatch(e);
    // Only if that is where we came to, and the code to patch is still there.
    if (e->bt.opt.chain && v->eip == target && e->key == key && e->flush_count == flushes &&
        host >= e->bt.stubs.end && (to = block_at_host(&e->blocks, host))->gpa_page == page && !to->gpa_page2 &&
        !(to->mode & MODE_SHARED) == !shared) {
        bt_patch_rel32(&e->arena, link.patch, host);
        e->count.links++;
    }
    return host;
}

// Goes on inside the block, or through its linked exit, after an instruction the emulator did, if nothing that
// the code there relies on has changed.
static u64 go_on(struct engine *e, const struct bt_site *site, u32 eip, u64 invalidations, bool stop)
{
    struct vcpu *v = e->v;
    const struct space *space = e->space;
    u64 key = e->key, flushes = e->flush_count;

    if (!site->next || v->eip != eip + site->len || e->invalidations != invalidations ||
        v->shadow || e->spaces_stale || (e->watch && e->watch->stop_block) || v->event != bt_frame(v)->seen || v->halted)
        return bt_dispatch(e);
    if (stop && (!bt_refresh(e) || e->key != key || e->space != space || e->space_cleared ||
                 e->flush_count != flushes))
        return bt_dispatch(e);
    if (!stop && bt_mode(v) != ((u32)key & ~MODE_CHECKED))
        return bt_dispatch(e);
    e->ran = 0;
    v->gpr[R_ESP] -= site->delta_next;
    bt_fpu_load(e);
    return site->next;
}

// INVLPG and MOV to CR3 change translations and nothing else; most often none that code depends on.
static bool only_flushes(const struct insn *insn)
{
    return insn->sensitive == SENS_INVLPG || (insn->sensitive == SENS_MOV_TO_CR && insn->reg == 3);
}

// An SS load in the shadow of another one has none of its own (BLOCK_INSN_SS). host: where its code starts.
static void end_row(struct engine *e, u64 host)
{
    const struct block *b = e->v->shadow >= 2 ? block_at_host(&e->blocks, host) : NULL;

    if (b && block_insn_at_host(&e->blocks, b, host)->flags & BLOCK_INSN_SS)
        e->v->shadow = 0;
}

// Interprets the instruction whose code starts at host.
static u64 step(struct engine *e, u64 host)
{
    u64 flushes = e->flush_count;
    enum cpu_exit exit = interp_step(e->v);

    e->count.emulated++;
    if (flushes == e->flush_count)
        end_row(e, host);
    return bt_deliver(e, exit);
}

static u64 emulate_site(struct engine *e, const struct bt_site *site, const struct insn *insn)
{
    struct vcpu *v = e->v;
    u64 invalidations = e->invalidations, flushes = e->flush_count;
    struct bt_site copy = *site; // the cache may be emptied under us
    u32 eip = v->eip;
    bool stop = insn->attr & INSN_STOP;

    e->count.emulated++;
    if (!GUARDED(v, interp_insn(v, insn)))
        return fault_now(e);
    // A REP that is done here, because its pages were not mapped once, takes most of the time: events will find it here.
    if (insn->attr & INSN_STRING && v->event != bt_frame(v)->seen && e->flush_count == flushes) {
        struct block *b = block_at_host(&e->blocks, copy.retry);

        if (b && b->valid)
            bt_unhint(e, b);
    }
    if (unlikely(v->shadow) && flushes == e->flush_count)
        end_row(e, copy.retry);
    return go_on(e, &copy, eip, invalidations, stop && !(only_flushes(insn) && bt_same_code(e)));
}

// The instruction of this site is x87's, and may be one of a row.
static void settle_at(struct engine *e, const struct bt_site *site)
{
    const struct block *b = block_at_host(&e->blocks, site->retry);

    bt_fpu_settle(e, b, block_insn_at_host(&e->blocks, b, site->retry));
}

static u64 emulate(struct vcpu *v, const void *data)
{
    struct engine *e = bt_engine(v);
    const struct bt_site *site = data;
    struct insn insn; // a copy: the cache holds it at any alignment, and may be emptied under us

    memcpy(&insn, site + 1, sizeof(insn));
    v->phase = PHASE_EMULATE;
    bt_fpu_note(v);
    e->emulating = insn.sensitive;
    v->eip = bt_site_eip(e, site);
    v->gpr[R_ESP] += site->delta;
    if (insn.attr & INSN_X87)
        settle_at(e, site);
    bt_ran_to(e, site->retry, 1);
    if (insn.len == 0) { // crosses a page, or too long: let the interpreter fetch it
        e->count.emulated++;
        return bt_deliver(e, interp_step(v));
    }
    e->count.sensitive[insn.sensitive]++;
    return emulate_site(e, site, &insn);
}

// So many hidden faults make a site checked; so many misses of the TLB by pages that had been in it make it direct for good.
#define FAULTS_MANY 8
#define MISSES_MANY 128
// Neighbours on either side that a fault maps, too, of such a wide site and of others.
#define AHEAD_WIDE 24
#define AHEAD 4

static struct bt_site_record *site_record(struct engine *e, u32 eip)
{
    u32 window = (u32)e->space->key;
    struct bt_site_record *r = &e->site[(eip ^ window) * 0x9e3779b1u >> 24];

    _Static_assert(BT_SITES == 256, "eight bits of hash");
    if (r->eip != eip || r->window != window)
        *r = (struct bt_site_record){ .eip = eip, .window = window };
    return r;
}

// Has this page missed the TLB before, since the last flush?
static bool seen_before(struct engine *e, u32 gla, u64 flushes)
{
    u32 page = gla >> PAGE_SHIFT, *seen = &e->seen[page % BT_SEEN], now = (u32)flushes << 7 | page / BT_SEEN;
    bool before = *seen == now;

    *seen = now;
    return before;
}

// A site that is checked because it faulted often has missed the TLB on a page that had been in it: its pages are more than
// the TLB holds, if that happens often. True if it was made direct.
static bool direct_again(struct engine *e, u32 host)
{
    struct bt_site_record *r = site_record(e, bt_linear(e->v));
    u64 reverted = e->count.reverted;
    struct block *b;
    bool made;

    if (!e->bt.opt.adaptive || ++r->misses % MISSES_MANY)
        return false;
    b = block_at_host(&e->blocks, host);
    if (b && b->valid && !(b->mode & MODE_CHECKED))
        bt_unhint(e, b);
    made = e->count.reverted != reverted;
    r->wide |= made;
    return made;
}

// A checked access of the instruction whose code is at host, whose state is the guest's but for delta, missed the TLB.
static u64 missed_at(struct engine *e, u32 host, i32 delta, u32 size, enum access access)
{
    struct vcpu *v = e->v;
    u32 gla = (u32)bt_frame(v)->r8, pferr;
    u64 flushes = v->count.tlb_flushes + v->count.invlpg;
    // Filling the TLB did not help the last time: two operands whose pages share an entry, or a segment that no
    // entry is good for.
    bool again = v->eip == e->missed_eip && flushes == e->missed_flushes &&
                 ((gla ^ e->missed) >> PAGE_SHIFT & (TLB_SIZE - 1)) == 0;
    gpa_t gpa;

    v->phase = PHASE_MEMORY;
    e->count.memory++;
    e->missed_eip = v->eip;
    e->missed = gla;
    e->missed_flushes = flushes;
    if (!again && (gla & (PAGE_SIZE - 1)) + size <= PAGE_SIZE && v->event == bt_frame(v)->seen) {
        struct tlb_entry *t = &v->tlb[gla >> PAGE_SHIFT & (TLB_SIZE - 1)];

        // If it faults: a segment's limit or an alignment may come first, the emulator knows.
        if (tlb_translate(v, gla, access, v->cpl == 3, &gpa, &pferr) &&
            (access == ACC_WRITE ? t->wtag : t->rtag) == ((gla & PAGE_MASK) | v->asid) &&
            !(seen_before(e, gla, flushes) && direct_again(e, host))) {
            v->gpr[R_ESP] -= delta;
            return host;
        }
    }
    // A device, a code page, two pages, a segment with a limit, a fault: do the whole instruction in C.
    bt_fpu_note(v);
    bt_ran_to(e, host, 1);
    return step(e, host);
}

static u64 memory(struct vcpu *v, const void *data)
{
    struct engine *e = bt_engine(v);
    const struct bt_site *site = data;

    v->eip = bt_site_eip(e, site);
    v->gpr[R_ESP] += site->delta;
    if (site->x87)
        settle_at(e, site);
    return missed_at(e, site->retry, site->delta, site->size, site->access);
}

static u64 missed(struct vcpu *v, const void *data)
{
    struct engine *e = bt_engine(v);
    u64 r9 = bt_frame(v)->r9;
    const struct block *b = block_at_host(&e->blocks, (u64)data - 1);
    const struct block_insn *insn = block_insn_at_host(&e->blocks, b, (u64)data - 1);

    bt_state_at(e, b, insn);
    bt_fpu_settle(e, b, insn);
    return missed_at(e, b->host + insn->host, insn->esp_delta, bt_miss_size(r9), bt_miss_access(r9));
}

// A write beside code, in its page: such a site is checked from now on, so that it costs no signals.
static u64 code_page(struct engine *e, struct block *b, u32 guest)
{
    u64 invalidations = e->invalidations;
    enum cpu_exit exit;

    e->count.emulated++;
    exit = interp_step(e->v);
    if (e->invalidations == invalidations) {
        e->count.conversions++;
        bt_hint(e, b, guest, HINT_CHECKED);
    }
    return bt_deliver(e, exit);
}

// A guest access hit what its window does not map.
static u64 memory_fault(struct engine *e, struct block *b, const struct block_insn *insn)
{
    struct vcpu *v = e->v;
    struct bt_frame *f = bt_frame(v);
    u64 offset = f->fault_addr - f->window;
    u32 host = b->host + insn->host, delta = insn->esp_delta, guest = insn->guest;
    struct bt_site_record *record;
    u32 pferr = 0;

    if (offset >> 32) {
        // A guard: the sum of the address has to wrap, or a segment's limit to be checked. Or no address at
        // all: a misaligned SSE operand.
        if (offset + (4ull << 30) < (48ull << 30)) {
            e->count.wraps++;
            bt_hint(e, b, guest, HINT_WRAP | HINT_LIMITS);
        }
        return step(e, host);
    }
    // Not shared code: its next process has the same to learn, and each block replaced leaves a jump in the way of links.
    record = site_record(e, bt_linear(v));
    if (e->bt.opt.adaptive && !(b->mode & MODE_SHARED) && !record->wide && ++record->faults % FAULTS_MANY == 0) {
        e->count.faulting++;
        bt_hint(e, b, guest, HINT_FAULTS);
        return step(e, host);
    }
    switch (window_fault(v, (u32)offset, f->fault_error & PFERR_W ? ACC_WRITE : ACC_READ, &pferr)) {
    case WINDOW_FILLED:
        window_fill_ahead(v, (u32)offset, record->wide ? AHEAD_WIDE : AHEAD);
        e->ran = 0;
        e->count.fills++;
        v->gpr[R_ESP] -= delta;
        return host; // nothing was committed: do the instruction again
    case WINDOW_GUEST_PF:
        // An access that runs over 4 GiB has broken the segment's limit first.
        if ((u32)offset >= 0u - PAGE_SIZE || insn->flags & BLOCK_INSN_CMPS)
            break;
        v->cr2 = (u32)offset;
        e->retry_pending = true;
        e->retry_eip = v->eip;
        e->retry_gla = (u32)offset;
        e->retry_access = f->fault_error & PFERR_W ? ACC_WRITE : ACC_READ;
        return bt_deliver(e, cpu_deliver(v, EVENT_FAULT, X_PF, pferr));
    case WINDOW_CODE_PAGE:
        return code_page(e, b, guest);
    case WINDOW_TRANSIENT:
    case WINDOW_NOT_PLAIN:
    case WINDOW_USER_FROM_SUPER:
        e->count.conversions++;
        bt_hint(e, b, guest, HINT_CHECKED);
        break;
    }
    return step(e, host);
}

static u64 signal_(struct vcpu *v, const void *data)
{
    struct engine *e = bt_engine(v);
    struct bt_frame *f = bt_frame(v);
    struct block *b = block_at_host(&e->blocks, f->fault_pc);
    const struct block_insn *insn;

    v->phase = PHASE_FAULT;
    (void)data;
    bt_fpu_note(v);
    CHECK(b != NULL);
    insn = block_insn_at_host(&e->blocks, b, f->fault_pc);
    bt_state_at(e, b, insn);
    bt_fpu_settle(e, b, insn);
    if (f->fault_signo == 0) {
        bt_ran_to(e, f->fault_pc, 0);
        e->count.events++;
        if (b->host + insn->host != f->fault_pc)
            v->eflags |= FL_RF; // between two iterations
        if (b->valid)
            bt_unhint(e, b);
        if (b->compares) { // whoever goes on in it compares first
            bt_page_hot(e, b->gpa_page);
            return bt_dispatch(e);
        }
        e->pause_pc = b->host + insn->host;
        e->pause_eip = v->eip;
        return bt_dispatch(e);
    }
    bt_ran_to(e, f->fault_pc, 1);
    e->count.faults++;
    if (f->fault_signo == SIGSEGV && e->bt.opt.direct)
        return memory_fault(e, b, insn);
    // What the host's CPU would not do (divide errors, misaligned SSE, unmasked floating-point exceptions),
    // the emulator does by the book.
    return step(e, b->host + insn->host);
}

// What the instruction before has left in vcpu.shadow.
static u8 shadow_at(const struct block_insn *insn)
{
    return insn->flags & BLOCK_INSN_SS ? 2 : insn->flags & BLOCK_INSN_SHADOW ? 1 : 0;
}

// An event came after C code had looked, before translated code went on at frame.resume, which is the entry of a
// block, the start of an instruction in one, or the exit at its end.
static u64 event(struct vcpu *v, const void *data)
{
    struct engine *e = bt_engine(v);
    struct bt_frame *f = bt_frame(v);
    struct block *b;

    v->phase = PHASE_EVENT;
    (void)data;
    bt_fpu_note(v);
    if (f->resume == e->bt.stubs.leave) {
        f->seen = v->event;
        return f->resume;
    }
    b = block_at_host(&e->blocks, f->resume);
    CHECK(b != NULL);
    {
        const struct block_insn *insn = block_insn_at_host(&e->blocks, b, f->resume);
        const struct block_insn *first = e->blocks.unpacked;

        if (b->host + insn->host >= f->resume) { // a block that compares does so before its first instruction
            if (insn->flags & BLOCK_INSN_REP) { // may have done some iterations: RF tells, which the emulator sets
                bt_state_at(e, b, insn);
                v->shadow = shadow_at(insn);
                bt_ran_to(e, f->resume, 1);
                e->count.emulated++;
                return bt_deliver(e, interp_step(v));
            }
            // Instructions may have no code of their own (ESP adjusted later, flags that are dead): none of them is done.
            while (insn > first && insn[-1].host == insn->host)
                insn--;
            bt_state_at(e, b, insn);
            v->shadow = shadow_at(insn);
            if (f->resume == e->rf_host)
                v->eflags |= FL_RF;
            e->ran = e->watch ? insn - first : 0;
        } else { // the exit behind an emulated last instruction
            v->eip = bt_block_linear(e, e->space, b) + b->guest_len - v->seg[S_CS].base;
            bt_ran_to(e, f->resume, 1);
        }
    }
    return bt_dispatch(e);
}

static u64 changed(struct vcpu *v, const void *data)
{
    struct engine *e = bt_engine(v);
    struct block *b = block_at_host(&e->blocks, (u64)data);

    v->phase = PHASE_LOOKUP;
    CHECK(b != NULL);
    bt_fpu_note(v);
    bt_state_at(e, b, block_insns(&e->blocks, b));
    if (bt_page_changed(e, b, data)) {
        v->gpr[R_ESP] -= block_insns(&e->blocks, b)->esp_delta;
        bt_fpu_load(e);
        return b->entry;
    }
    return bt_dispatch(e);
}

const struct bt_callouts bt_engine_callouts = {
    .lookup = lookup, .stale = stale, .slot = slot_, .link = link_exit, .memory = memory, .missed = missed,
    .emulate = emulate, .signal = signal_, .event = event, .changed = changed,
};
