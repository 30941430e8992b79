// SPDX-License-Identifier: GPL-2.0-or-later
// What runs next.
#include "engine_bt.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

// Instructions interpreted at a time in modes that are not translated.
#define INTERPRET_SLICE 256

#define EV_MACHINE (EV_KICK | EV_STOP)

void bt_ran_to(struct engine *e, u64 host, u32 more)
{
    const struct block *b;

    if (likely(!e->watch))
        return;
    b = block_at_host(&e->blocks, host);
    CHECK(b != NULL);
    e->ran = block_insn_at_host(&e->blocks, b, host) - e->blocks.unpacked + more;
}

static bool tell_watch(struct engine *e)
{
    u32 n = e->ran;

    e->ran = 0;
    return !n || e->watch->ran(e->watch, n);
}

u64 bt_leave(struct engine *e, enum cpu_exit exit)
{
    if (unlikely(e->watch) && !tell_watch(e))
        exit = CPU_DIVERGED;
    e->exit = exit;
    bt_frame(e->v)->seen = e->v->event;
    return e->bt.stubs.leave;
}

void bt_reset_stack(struct engine *e)
{
    bt_frame(e->v)->host_sp = e->stack_top[e->stack_user];
}

void bt_flush(struct engine *e)
{
    if (e->v->fpu_live)
        bt_fpu_sync(e->v); // its instruction pointer leads through the block tables
    for (u32 n = 1; n <= e->blocks.count; n++) {
        const struct block *b = &e->blocks.block[n];

        if (b->valid)
            bt_uncover(e, b->gpa_page);
        if (b->valid && b->gpa_page2)
            bt_uncover(e, b->gpa_page2);
    }
    bt_hot_forget(e);
    blocks_reset(&e->blocks);
    spaces_reset(&e->spaces);
    arena_reset(&e->arena);
    for (int i = 0; i < 2; i++)
        e->host_stack[i].space = NULL;
    e->space = NULL;
    e->flush_count++;
    e->invalidations++;
    e->pause_pc = 0;
    e->count.flushes++;
}

void bt_mapping_changed(void *opaque, gla_t gla, u32 len)
{
    struct engine *e = opaque;

    (void)gla, (void)len;
    if (!e->bt.opt.direct) // with windows, their code generations tell more exactly (bt_refresh)
        e->spaces_stale = true;
}

u8 *bt_hints(struct engine *e, u32 gpa_page)
{
    u8 **page = &e->hints[gpa_page];

    if (!*page)
        *page = calloc(1, PAGE_SIZE);
    if (!*page)
        err_no_memory("the translator");
    return *page;
}

void bt_hint(struct engine *e, struct block *block, u32 guest_offset, u8 hint)
{
    u8 *hints = bt_hints(e, block->gpa_page);
    struct block *b, *next;
    u32 at = (block->eip + guest_offset) & (PAGE_SIZE - 1);

    if (hints[at] & hint)
        return;
    hints[at] |= hint;
    for (b = block_first_in_page(&e->blocks, block->gpa_page); b; b = next) {
        next = block_next_in_page(&e->blocks, b);
        if (at - (b->eip & (PAGE_SIZE - 1)) >= b->guest_len)
            continue;
        bt_kill(e, b);
    }
}

void bt_unhint(struct engine *e, struct block *block)
{
    u8 *hints = e->hints[block->gpa_page];
    u32 at = block->eip & (PAGE_SIZE - 1), end = MIN(at + block->guest_len, PAGE_SIZE), first = end, last = 0;
    struct block *b, *next;

    for (; hints && at < end; at++) {
        if (!(hints[at] & HINT_FAULTS))
            continue;
        hints[at] &= ~HINT_FAULTS;
        first = MIN(first, at);
        last = at;
    }
    if (first == end)
        return;
    e->count.reverted++;
    // Blocks overlap: all that hold such an instruction, as nothing will tell of them when an event meets them.
    for (b = block_first_in_page(&e->blocks, block->gpa_page); b; b = next) {
        u32 start = b->eip & (PAGE_SIZE - 1);

        next = block_next_in_page(&e->blocks, b);
        if (start <= last && first < start + b->guest_len)
            bt_kill(e, b);
    }
}

// Guest calls of user and of kernel code have a stack of return points each, so that a system call does
// not cost the caller's; it is good for the space it was filled in, as it was then.
static void switch_stack(struct engine *e, struct space *to, u32 generation)
{
    struct bt_frame *f = bt_frame(e->v);
    unsigned user = !!(e->mode & MODE_USER);

    e->host_stack[e->stack_user].sp = f->host_sp;
    if (e->space != to)
        e->stack_user = user;
    f->host_sp = e->host_stack[user].sp;
    if (e->host_stack[user].space != to || e->host_stack[user].generation != generation) {
        e->host_stack[user].space = to;
        e->host_stack[user].generation = generation;
        bt_reset_stack(e);
    }
}

// Too few pages for anything but a new process under an old page directory.
#define RENEWED_PAGES 8

static bool young(struct engine *e, const struct window *w)
{
    if (!e->bt.opt.young || e->v->cpl != 3 || !w || w->kind != WINDOW_USER)
        return false;
    if (w->id >= e->aspaces) {
        e->aspace = realloc(e->aspace, (w->id + 1) * sizeof(*e->aspace));
        if (!e->aspace)
            err_no_memory("the translator");
        memset(e->aspace + e->aspaces, 0, (w->id + 1 - e->aspaces) * sizeof(*e->aspace));
        e->aspaces = w->id + 1;
    }
    if (e->aspace[w->id].generation != w->code_generation) {
        e->aspace[w->id].generation = w->code_generation;
        if (w->pages < RENEWED_PAGES) {
            e->aspace[w->id].met = 0;
            e->aspace[w->id].grown = false;
        }
    }
    return !e->aspace[w->id].grown;
}

#define GROWN_UP 2 // interrupts

// An interrupt has met the current address space in translated user code.
static void grow_up(struct engine *e)
{
    const struct window *w = mmu_window(e->v);

    if (e->v->cpl == 3 && young(e, w) && ++e->aspace[w->id].met == GROWN_UP) {
        e->aspace[w->id].grown = true;
        e->count.grown++;
    }
}

// System calls go back and forth between two spaces.
static struct space *find_space(struct engine *e, u64 key)
{
    for (int i = 0; i < 2; i++)
        if (e->host_stack[i].space && e->host_stack[i].space->key == key)
            return e->host_stack[i].space;
    return space_get(&e->spaces, key);
}

bool bt_refresh(struct engine *e)
{
    struct vcpu *v = e->v;
    struct bt_frame *f = bt_frame(v);
    struct window *w;
    u64 key;
    u32 generation;
    struct space *space;

    e->mode = bt_mode(v);
    if (e->mode == MODE_INTERPRET)
        return false;
    w = mmu_window(v);
    if (young(e, w))
        e->mode |= MODE_CHECKED;
    bt_refresh_key(e);
    key = 1ull << 63 | (u64)e->mode << 32 | (w ? w->id : v->asid);
    generation = w ? w->code_generation : 0;
    space = e->space && e->space->key == key ? e->space : find_space(e, key);

    e->space_cleared = space->generation != generation;
    // x87's pointer to its last instruction may be into shared code, whose place only its space knows.
    if (v->fpu_live && e->mode & MODE_USER && e->host_stack[1].space &&
        (e->space_cleared || (u32)e->host_stack[1].space->key != (u32)key))
        bt_fpu_sync(v);
    if (e->space_cleared) {
        space_clear(&e->spaces, space);
        space->generation = generation;
        e->count.spaces++;
    }
    if (space != e->space || e->host_stack[e->stack_user].generation != generation)
        switch_stack(e, space, generation);
    e->space = space;
    f->table = (u64)space->table;
    f->window = w ? (u64)w->base : 0;
    bt_refresh_segments(e);
    return true;
}

bool bt_same_code(struct engine *e)
{
    const struct window *w = mmu_window(e->v);
    const struct bt_frame *f = bt_frame(e->v);

    if (!w || !e->space || f->window != (u64)w->base || e->space->generation != w->code_generation)
        return false;
    bt_refresh_asid(e);
    return true;
}

// Where the instruction at v->eip, whose bytes end with the page, goes on: its bytes to buf, the physical page
// number returned. Raises #PF. 0 where no memory answers, or what is there is not protected.
static u32 fetch_crossing(struct engine *e, gpa_t gpa, u8 *buf, u32 avail)
{
    struct vcpu *v = e->v;
    gpa_t next = mmu_fetch_gpa(v, bt_linear(v) + avail);
    const u8 *from = phys_host(v->mmu->phys, next);

    if (!from || bt_page_open(e, next >> PAGE_SHIFT))
        return 0;
    memcpy(buf, phys_host(v->mmu->phys, gpa), avail);
    memcpy(buf + avail, from, INSN_MAX - avail);
    mmu_protect_code(v, next);
    return next >> PAGE_SHIFT;
}

static bool crosses(const u8 *bytes, u32 avail, bool code32)
{
    struct insn insn;

    return avail < INSN_MAX && insn_decode(&insn, bytes, avail, code32) == INSN_TRUNCATED;
}

static void trace(const struct engine *e, const struct bt_code *code, const u8 *guest, const u8 *host)
{
    const struct log *log = e->v->log;
    const struct block *b = &code->block;
    u32 eip = bt_linear(e->v);

    if (log_on(log, LOG_IN_ASM) || log_on(log, LOG_OUT_ASM))
        fprintf(log->file, "block: %08x, %u bytes, mode %x, to %08x, %u bytes\n", eip, b->guest_len,
                (u32)b->mode, b->host, b->host_len);
    if (log_on(log, LOG_OUT_ASM))
        bt_trace_block(e, log->file, b, code->insn, guest, host);
    else if (log_on(log, LOG_IN_ASM))
        insn_print(log->file, guest, b->guest_len, eip, b->mode & MODE_CODE16 ? 16 : 32);
}

// In the midst of things: the current space and its tables are there again.
static void flush_now(struct engine *e)
{
    bt_flush(e);
    bt_refresh(e);
}

static void request_address(struct engine *e, struct bt_request *rq, u32 gpa_page, bool shared)
{
    rq->eip = bt_linear(e->v);
    rq->mode = e->mode;
    rq->cs = e->key >> 32;
    if (!shared)
        return;
    rq->eip &= ~PAGE_MASK;
    rq->mode |= MODE_SHARED;
    rq->cs = gpa_page;
    rq->page_slot = bt_page_slot(&e->spaces, gpa_page);
}

static u64 clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void count_translation(struct engine *e, const struct bt_code *code, u64 before)
{
    e->count.translate_ns += clock_ns() - before;
    e->count.translated++;
    for (u32 i = 0; i < SENS_COUNT; i++)
        e->count.sites[i] += code->sites[i];
    e->count.guest_bytes += code->block.guest_len;
    e->count.host_bytes += code->block.host_len;
}

bool bt_retranslate(struct engine *e, struct block *b)
{
    struct vcpu *v = e->v;
    const struct seg *cs = &v->seg[S_CS];
    gpa_t gpa = (gpa_t)b->gpa_page << PAGE_SHIFT | (b->eip & ~PAGE_MASK);
    const u8 *bytes = phys_host(v->mmu->phys, gpa);
    u32 limit = cs->limit - v->eip, avail = PAGE_SIZE - (b->eip & ~PAGE_MASK);
    struct bt_request rq = {
        .bytes = bytes, .compare = bytes, .avail = limit < avail ? limit + 1 : avail, .eip = b->eip, .mode = e->mode,
        .cs = e->key >> 32, .base = cs->base, .limit = cs->limit,
    };
    struct bt_code code;
    struct emit emit = { e->scratch, e->scratch, e->scratch + BT_MAX_CODE, b->host };
    enum phase phase = v->phase;
    u64 before;
    bool fits;

    // Host return addresses and the x87's last instruction may not change their meaning, nor counts and logs.
    if (!e->bt.opt.replace || b->mode != e->key || b->ret_count || b->x87 || e->hot ||
        log_on(v->log, LOG_IN_ASM) || log_on(v->log, LOG_OUT_ASM))
        return false;
    before = clock_ns();
    v->phase = PHASE_TRANSLATE;
    if (e->hints[b->gpa_page])
        rq.hints = e->hints[b->gpa_page] + (b->eip & ~PAGE_MASK);
    fits = bt_translate(&e->bt, &emit, &rq, &code) && code.block.host_len <= b->room && !code.block.ret_count;
    v->phase = phase;
    if (!fits)
        return false;
    memcpy(arena_rw(&e->arena, (u8 *)(u64)b->host), e->scratch, code.block.host_len);
    profile_code(v->profile, b->host, e->scratch, code.block.host_len, b->eip, NULL);
    block_replace(&e->blocks, b, &code.block, code.insn);
    e->count.replaced++;
    count_translation(e, &code, before);
    return true;
}

static struct block *translate(struct engine *e, gpa_t gpa, bool shared)
{
    struct vcpu *v = e->v;
    const struct seg *cs = &v->seg[S_CS];
    u32 offset = bt_linear(v) & (PAGE_SIZE - 1), page2 = 0, room = cs->limit - v->eip;
    struct bt_request rq = {
        .bytes = phys_host(v->mmu->phys, gpa), .avail = PAGE_SIZE - offset, .base = cs->base, .limit = cs->limit,
    };
    struct bt_code code;
    struct emit emit;
    u64 before = clock_ns();
    u8 both[INSN_MAX];
    u32 n;
    enum phase phase = v->phase;

    if (!rq.bytes)
        return NULL;
    if (bt_page_open(e, gpa >> PAGE_SHIFT))
        rq.compare = rq.bytes;
    else
        mmu_protect_code(v, gpa);
    if (!rq.compare && room >= rq.avail && crosses(rq.bytes, rq.avail, !(e->mode & MODE_CODE16))) {
        page2 = fetch_crossing(e, gpa, both, rq.avail);
        if (page2) {
            rq.bytes = both;
            rq.avail = INSN_MAX;
            rq.crossing = true;
        }
    }
    if (room < rq.avail)
        rq.avail = room + 1; // an instruction that runs on beyond the limit is the emulator's
    if (e->hints[gpa >> PAGE_SHIFT])
        rq.hints = e->hints[gpa >> PAGE_SHIFT] + offset;
    v->phase = PHASE_TRANSLATE;
    for (int attempt = 0; ; attempt++) {
        u8 *room = arena_reserve(&e->arena, BT_MAX_CODE);

        if (room && e->arena.used + blocks_bytes(&e->blocks) < e->bt.opt.cache_size) {
            rq.counter = bt_hot_counter(e);
            request_address(e, &rq, gpa >> PAGE_SHIFT, shared);
            emit = (struct emit){ room, room, room + BT_MAX_CODE, (u64)arena_rx(&e->arena, room) };
            if (bt_translate(&e->bt, &emit, &rq, &code))
                break;
        }
        CHECK(attempt == 0);
        flush_now(e);
        shared = shared && bt_shares(e, gpa >> PAGE_SHIFT, bt_linear(v)); // numbers its slot anew
        if (!rq.compare)
            mmu_protect_code(v, gpa); // the flush lifted all protection
        if (page2)
            mmu_protect_code(v, (gpa_t)page2 << PAGE_SHIFT);
    }
    code.block.room = code.block.host_len;
    if (e->spare) // what it replaces has changed before: the next time it may be longer
        code.block.room = MIN(code.block.host_len + code.block.host_len / 4, (u32)(emit.end - emit.start));
    e->spare = false;
    arena_commit(&e->arena, code.block.room);
    code.block.gpa_page = gpa >> PAGE_SHIFT;
    code.block.gpa_page2 = page2;
    n = block_new(&e->blocks, &code.block, code.insn, code.ret_point);
    if (!code.block.compares)
        bt_cover(e, &code.block);
    profile_code(v->profile, code.block.host, emit.start, code.block.host_len, bt_linear(v), NULL);
    count_translation(e, &code, before);
    trace(e, &code, rq.bytes, emit.start);
    v->phase = phase;
    return &e->blocks.block[n];
}

// The block at v->eip, made if need be; NULL where no memory answers, or beyond CS's limit. Raises #PF.
static struct block *find(struct engine *e)
{
    struct vcpu *v = e->v;
    u32 at = bt_linear(v);
    struct block *b;
    bool shared;
    gpa_t gpa;

    if (unlikely(v->eip > v->seg[S_CS].limit))
        return NULL;
    gpa = mmu_fetch_gpa(v, at);
    shared = bt_shares(e, gpa >> PAGE_SHIFT, at);
    b = shared ? block_find(&e->blocks, gpa >> PAGE_SHIFT, at & ~PAGE_MASK, bt_shared_key(e->mode, gpa >> PAGE_SHIFT))
               : block_find(&e->blocks, gpa >> PAGE_SHIFT, at, e->key);
    if (b && b->gpa_page2 &&
        mmu_fetch_gpa(v, (at & PAGE_MASK) + PAGE_SIZE) >> PAGE_SHIFT != b->gpa_page2) {
        bt_kill(e, b);
        b = NULL;
    }
    return b ? b : translate(e, gpa, shared);
}

static void fill(struct engine *e, const struct block *b)
{
    u32 at = bt_linear(e->v);

    if (unlikely(e->watch))
        return;
    space_fill_jump(&e->spaces, e->space, at, b->host);
    if (!(b->mode & MODE_SEGMENTED))
        space_fill_far(e->space, at, b->entry);
}

// True if e->exit says that run must return.
static bool settle(struct engine *e, enum cpu_exit exit)
{
    e->exit = exit;
    return exit != CPU_RAN;
}

u64 bt_deliver(struct engine *e, enum cpu_exit exit)
{
    return settle(e, exit) ? bt_leave(e, exit) : bt_dispatch(e);
}

static void empty_spaces(struct engine *e)
{
    if (e->v->fpu_live)
        bt_fpu_sync(e->v); // as in bt_refresh
    for (u32 i = 0; i < SPACE_MAX; i++)
        if (e->spaces.space[i].journal_count)
            space_clear(&e->spaces, &e->spaces.space[i]);
    for (int i = 0; i < 2; i++)
        e->host_stack[i].space = NULL;
    e->space = NULL;
    e->spaces_stale = false;
    e->count.spaces++;
}

// What the space's tables have for v->eip, without the block tables; 0 if nothing.
static u64 known_entry(struct engine *e)
{
    u32 at = bt_linear(e->v), host;
    const struct space_far *far;

    if (e->bt.opt.flush_every || log_on(e->v->log, LOG_EXEC))
        return 0;
    if (!(e->mode & MODE_SEGMENTED)) {
        far = &e->space->table->far[space_far_index(at)];
        return far->eip == at && *(const u8 *)(u64)far->host != BT_KILLED ? far->host : 0;
    }
    host = e->space->table->jump[at & (SPACE_JUMPS - 1)];
    return host == e->spaces.default_target ? 0 : bt_entry_if(host, at, e->key);
}

// Whether what was interrupted in a block is, in the current mode and space, what v->eip stands for.
static bool resumes(struct engine *e, const struct block *b)
{
    u32 at = bt_linear(e->v), page = mmu_fetch_gpa(e->v, at) >> PAGE_SHIFT;

    if (!b->valid || b->gpa_page != page)
        return false;
    return b->mode & MODE_SHARED ? b->mode == bt_shared_key(e->mode, page) && bt_shares(e, page, at)
                                 : b->mode == e->key;
}

// The instruction that took the guest's last page fault is about to run again: it would fault once more, to be
// answered by a mapping.
static void retry_fault(struct engine *e)
{
    u32 pferr;

    e->retry_pending = false;
    if (e->mode & MODE_CHECKED || !mmu_window(e->v))
        return;
    if (window_fault(e->v, e->retry_gla, e->retry_access, &pferr) == WINDOW_FILLED)
        e->count.retries++;
}

u64 bt_dispatch(struct engine *e)
{
    struct vcpu *v = e->v;
    struct bt_frame *f = bt_frame(v);
    jmp_buf catcher;
    struct block *volatile b;
    u64 host;
    volatile u32 pause = e->pause_pc, rf = 0;

    e->pause_pc = 0;
    for (;;) {
        u32 events;
        enum cpu_exit exit = CPU_RAN;

        if (settle(e, cpu_traps(v)))
            return bt_leave(e, e->exit);
        if (unlikely(e->watch) && !tell_watch(e))
            return bt_leave(e, CPU_DIVERGED);
        events = __atomic_load_n(&v->event, __ATOMIC_SEQ_CST);
        f->seen = events;
        if (v->halted && !cpu_interruptible(v))
            return bt_leave(e, CPU_HALTED);
        if (events & EV_MACHINE) {
            e->pause_pc = pause;
            return bt_leave(e, CPU_RAN);
        }
        if (v->shadow) {
            // The one instruction after STI or MOV SS.
            e->ran = 1;
            if (settle(e, interp_step(v)))
                return bt_leave(e, e->exit);
            continue;
        }
        if (events) {
            grow_up(e);
            bt_pages_rest(e);
        }
        if (events && cpu_interrupt(v, &exit)) {
            if (unlikely(e->watch) && !e->watch->interrupted(e->watch))
                return bt_leave(e, CPU_DIVERGED);
            if (settle(e, exit))
                return bt_leave(e, exit);
            pause = 0;
            continue;
        }
        if (e->spaces_stale)
            empty_spaces(e);
        if (!bt_refresh(e)) {
            e->count.interp_slices++;
            e->ran = 1;
            v->phase = PHASE_INTERPRET;
            if (settle(e, unlikely(e->watch) ? interp_step(v) : interp_run(v, INTERPRET_SLICE)))
                return bt_leave(e, e->exit);
            continue;
        }
        // Holds off breakpoints, of which translated code has none, for one instruction. What comes before that sees it.
        rf = v->eflags & FL_RF;
        v->eflags &= ~FL_RF;
        e->rf_host = 0;
        if (e->retry_pending && v->eip == e->retry_eip)
            retry_fault(e);
        host = known_entry(e);
        if (host && !pause) {
            e->rf_host = rf ? host : 0;
            bt_fpu_load(e);
            return host;
        }
        v->catcher = &catcher;
        if (_setjmp(catcher)) {
            v->catcher = NULL;
            e->ran = 1;
            if (settle(e, cpu_deliver(v, EVENT_FAULT, v->fault.vector, v->fault.error)))
                return bt_leave(e, e->exit);
            continue;
        }
        if (pause && e->pause_eip == v->eip) {
            struct block *paused = block_at_host(&e->blocks, pause);

            if (paused && resumes(e, paused)) {
                v->gpr[R_ESP] -= block_insn_at_host(&e->blocks, paused, pause)->esp_delta;
                v->catcher = NULL;
                e->rf_host = rf ? pause : 0;
                bt_fpu_load(e);
                return pause;
            }
        }
        if (e->bt.opt.flush_every && ++e->exits % e->bt.opt.flush_every == 0)
            flush_now(e);
        b = find(e);
        v->catcher = NULL;
        if (b && (likely(!e->watch) || e->watch->entering(e->watch, b)))
            break;
        e->ran = 1;
        if (settle(e, interp_step(v)))
            return bt_leave(e, e->exit);
    }
    fill(e, b);
    if (log_on(v->log, LOG_EXEC))
        log_to(v->log, LOG_EXEC, "exec: %08x\n", v->eip);
    e->rf_host = rf ? b->entry : 0;
    bt_fpu_load(e);
    return b->entry;
}
