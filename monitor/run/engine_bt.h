// SPDX-License-Identifier: GPL-2.0-or-later
// The binary-translation engine, shared by its files:
//   engine_bt.c     create, run, options, statistics
//   bt_dispatch.c   what runs next: events, modes, look-up, translation, invalidation
//   bt_mode.c       modes and segments
//   bt_pages.c      pages of code that are written
//   bt_share.c      pages of code that lie at several linear addresses
//   bt_callout.c    the C side of the stubs
//   bt_signal.c     host signals become callouts
//   bt_fpu.c        who holds the guest's x87 and SSE state
//   bt_trace.c      blocks for people to read
//   bt_profile.c    where samples fell; hot blocks
#ifndef RING3_MONITOR_RUN_ENGINE_BT_H
#define RING3_MONITOR_RUN_ENGINE_BT_H

#include "bt/bt.h"
#include "cache/arena.h"
#include "engine.h"
#include "monitor/base/phase.h"
#include "profile.h"
#include "shadow-mmu/window.h"

#include <pthread.h>

#define BT_COUNTER_LIST(X)                                                                   \
    X(translated, "blocks translated")                                                       \
    X(guest_bytes, "guest bytes translated")                                                 \
    X(host_bytes, "host bytes emitted")                                                      \
    X(translate_ns, "nanoseconds translating")                                               \
    X(lookups, "indirect targets looked up in C")                                            \
    X(slots, "branches to other pages looked up in C")                                       \
    X(links, "branches chained")                                                             \
    X(memory, "checked accesses that missed the TLB")                                        \
    X(emulated, "instructions left to the emulator")                                         \
    X(faults, "hidden faults: host signals on guest accesses")                               \
    X(fills, "hidden faults answered by a mapping")                                          \
    X(grown, "address spaces that grew up")                                                    \
    X(retries, "pages mapped when a page fault's instruction came back")                     \
    X(wraps, "sites converted to 32-bit address sums")                                       \
    X(conversions, "sites converted to the checked form")                                    \
    X(faulting, "sites converted because they kept faulting")                                 \
    X(reverted, "blocks made direct again: hot, or missing the TLB often")                            \
    X(events, "events taken in translated code")                                             \
    X(steps, "host single steps to an instruction boundary")                                 \
    X(shared, "pages of code met at a second linear address")                                \
    X(invalidated, "blocks invalidated")                                                     \
    X(opened, "pages of code whose protection was given up")                                 \
    X(changed, "blocks that found their bytes changed")                                      \
    X(replaced, "blocks translated anew in their place")                                     \
    X(flushes, "times the code cache was emptied")                                           \
    X(spaces, "spaces cleared")                                                              \
    X(interp_slices, "slices interpreted in modes that are not translated")

// Somebody who watches each block (lockstep.h): then every exit of a block comes to C, and events are taken there only.
struct bt_watch {
    // n guest instructions, what their faults led to included, have been executed since the last call; v is exact. False:
    // stop here.
    bool (*ran)(struct bt_watch *w, u32 n);
    bool (*interrupted)(struct bt_watch *w);   // an interrupt was delivered
    bool (*entering)(struct bt_watch *w, const struct block *b); // false: interpret one instruction instead
    bool stop_block;  // set by the watch: leave the block behind the instruction that C code executes
};

// What bt_pages.c and bt_share.c know of a guest-physical page.
struct code_page {
    u32 sum;    // of what was in the open page when that was looked at last
    u32 stamp;  // when the burst began, or the open page's code last changed; by a clock of its own
    u8 cost;    // of the writes of the present burst
    u8 rest;    // how often it was opened, up to a maximum
    bool open;  // its blocks compare, it is not protected
    bool shared; // its blocks of user code are good at any linear address
    u32 linear; // where it was met last, and 1; 0: nowhere yet
    u32 epoch;         // low half of engine.flush_count for which this holds, else it is 0:
    u32 slot, in, out; // bt_page_slot + 1; slots (struct slot_last) to it and from it
};

// What an instruction's accesses have met of late, in one address space: shared code meets fresh pages in each process.
#define BT_SITES 256
struct bt_site_record {
    u32 eip, window; // linear address; the address space's window
    u16 faults;      // hidden ones
    u16 misses;      // of the TLB, on pages that had been there since the last flush
    bool wide;       // it goes over so many pages that the TLB does not help: always direct
};
#define BT_SEEN 8192 // pages that missed the TLB, remembered

struct engine {
    struct vcpu *v;
    struct bt_watch *watch; // NULL: nobody
    u32 ran;                // what it has not been told of yet
    struct bt bt;
    struct arena arena;
    struct blocks blocks;
    struct spaces spaces;
    struct space *space;     // current
    bool space_cleared;      // the last bt_refresh emptied it: its mappings changed
    u32 mode;                // MODE_*, current
    u64 key;                 // the same with the number of the code segment (bt_mode_key)
    struct cs_numbers *cs;   // bt_mode.c
    // Address spaces, by window number. A young one runs in the checked form, so that a short-lived process
    // costs neither mappings nor signals; the second interrupt that meets it in user mode makes it grown up. It is young
    // again when its window has lost its pages: another process got its page directory.
    struct {
        u32 generation;
        u32 met;      // how often an interrupt met it while it was young
        bool grown;
    } *aspace;
    u32 aspaces;
    // The guest's page fault that was delivered last: when its instruction comes back, the page is mapped at once.
    bool retry_pending;
    u32 retry_eip, retry_gla;
    enum access retry_access;
    u8 **hints;              // per guest-physical page, NULL or HINT_* per byte
    u64 *code_map;           // per guest-physical page: which 64 bytes of it blocks are made of, a bit each
    struct code_page *code_page; // per guest-physical page: bt_pages.c
    u32 open_pages[256], open_first, open_last; // open pages, a ring
    enum cpu_exit exit;      // why run returns
    bool spaces_stale;       // a mapping changed: empty them before going on
    // Where translated code was interrupted to leave for the machine, to go on there if nothing else comes up.
    u32 pause_pc, pause_eip;
    struct bt_site_record site[BT_SITES];
    u32 seen[BT_SEEN];       // by page: the rest of its number, and how many flushes there had been when it missed the TLB
    u64 flush_count, invalidations;
    u8 scratch[BT_MAX_CODE]; // a block that may replace another one
    bool spare;              // what is translated next replaces code that changed, and gets room to grow
    u32 missed_eip, missed;  // the last checked access that missed the TLB: whose, and where
    u64 missed_flushes;      // and how many flushes there had been
    u8 *stack;               // the host stacks of translated code, each with a guard page below
    u64 stack_top[2];        // where their sentinels lie
    unsigned stack_user;     // which one frame.host_sp is in: 1 for CPL 3
    struct {
        struct space *space; // what its return points belong to; NULL: nothing
        u32 generation;
        u64 sp;
    } host_stack[2];
    u64 rf_host;             // where translated code was to go on with RF set; 0: it was clear
    u64 stepped_from;        // where the last host single step began
    void *signal_stack;
    u32 *hot;                // executions by block number, below 2 GiB; NULL: they are not counted
    u8 emulating;            // enum sensitive of what the emulator does, for samples
    pthread_t thread;
    volatile bool running;
    u64 exits;
    struct {
#define X(id, help) u64 id;
        BT_COUNTER_LIST(X)
#undef X
        u64 sensitive[SENS_COUNT]; // done by the emulator
        u64 sites[SENS_COUNT];     // translated, inline or as callouts
    } count;
};

#define HOST_STACK_SIZE (256u << 10)
#define HOST_STACK_GUARD PAGE_SIZE

// ---- bt_dispatch.c
// The host address to go on at with the guest at v->eip: an entry of a block, or the stub that leaves, with e->exit
// set. Delivers what is pending, interprets what is not translated. Catches guest faults itself.
u64 bt_dispatch(struct engine *e);
// The same, having first delivered a fault that C code raised for the guest.
u64 bt_deliver(struct engine *e, enum cpu_exit exit);
u64 bt_leave(struct engine *e, enum cpu_exit exit);
// For the watch: the instructions of a block that lie before host address `host` in it have been executed, and `more`.
void bt_ran_to(struct engine *e, u64 host, u32 more);
void bt_mapping_changed(void *opaque, gla_t gla, u32 len);
void bt_flush(struct engine *e);
void bt_reset_stack(struct engine *e);
// Records a hint for the guest instruction at eip (its page must be mapped), and drops the blocks that hold it.
void bt_hint(struct engine *e, struct block *block, u32 guest_offset, u8 hint);
// The hints of a page, made if need be.
u8 *bt_hints(struct engine *e, u32 gpa_page);
// Takes back HINT_FAULTS within a block, and drops the blocks that hold such instructions.
void bt_unhint(struct engine *e, struct block *block);
// Translates a block that compares, is the current mode's, and has found its bytes changed, in its place. False if it
// can't be.
bool bt_retranslate(struct engine *e, struct block *b);
// Sets e->mode (false: MODE_INTERPRET), frame.window, table, seg_* for the current space and segments.
bool bt_refresh(struct engine *e);
// After a flush that changed nothing but translations, at CPL 0: true if none was of code, so that the current space holds
// and bt_refresh would find nothing new. The frame is then up to date.
bool bt_same_code(struct engine *e);

// ---- bt_mode.c
// The current mode's MODE_* bits, or MODE_INTERPRET.
#define MODE_INTERPRET (~0u)
u32 bt_mode(const struct vcpu *v);
// Sets e->key for e->mode and CS. May empty the cache, when numbers run out.
void bt_refresh_key(struct engine *e);
// Fills the frame's seg_* and cs_key for the current window.
void bt_refresh_segments(struct engine *e);
// The same where only the TLB's number of the address space has changed.
void bt_refresh_asid(struct engine *e);
bool bt_cs_init(struct engine *e, struct err *err);
void bt_cs_destroy(struct engine *e);
// The base of the code segment with the number in a mode key.
u32 bt_cs_base(const struct engine *e, u64 key);
// The linear address of v->eip.
static inline u32 bt_linear(const struct vcpu *v)
{
    return v->seg[S_CS].base + v->eip;
}
// Makes v->eip and ESP those before an instruction of block, which is of the current code segment.
void bt_state_at(struct engine *e, const struct block *b, const struct block_insn *insn);

// ---- bt_pages.c
void bt_code_write(void *opaque, gpa_t gpa, u32 len);
void bt_uncover(struct engine *e, u32 gpa_page);
// A block of a protected page was made.
void bt_cover(struct engine *e, const struct block *b);
void bt_kill(struct engine *e, struct block *b);
static inline bool bt_page_open(const struct engine *e, u32 gpa_page) { return e->code_page[gpa_page].open; }
// A block of an open page, which control is at the entry of, found its bytes changed, which were `old`. True if it has been
// translated anew in its place, else it is killed.
bool bt_page_changed(struct engine *e, struct block *b, const u8 *old);
// An event met code of this page.
void bt_page_hot(struct engine *e, u32 gpa_page);
// At an event: protects pages again that were opened, and have not changed for a while.
void bt_pages_rest(struct engine *e);

// ---- bt_share.c
// Whether code of a guest-physical page runs by shared blocks at linear address `at` in the current mode and
// space, whose slot for the page is filled then.
bool bt_shares(struct engine *e, u32 page, u32 at);
// The page has no code any more.
void bt_unshare(struct engine *e, u32 page);
// The linear address of a block's first instruction in a space (where that is NULL, or does not know: where it
// was met last).
u32 bt_block_linear(const struct engine *e, const struct space *space, const struct block *b);
// A shared block's slot leads to host address `host` in the current space.
void bt_share_slot(struct engine *e, u32 slot, u32 host);
// The EIP of the instruction whose code in the current space has just called out.
u32 bt_site_eip(const struct engine *e, const struct bt_site *site);
static inline u64 bt_shared_key(u32 mode, u32 gpa_page) { return bt_mode_key(mode | MODE_SHARED, gpa_page); }

// ---- bt_callout.c
extern const struct bt_callouts bt_engine_callouts;

// ---- bt_trace.c
// Prints a block: each guest instruction (from the bytes at guest) and the host code for it. insn and host are the
// block's instructions and code, in whatever view.
void bt_trace_block(const struct engine *e, FILE *f, const struct block *b,
                    const struct block_insn *insn, const u8 *guest, const u8 *host);

// ---- bt_profile.c
// For -hot: makes and frees e->hot.
bool bt_hot_create(struct engine *e, struct err *err);
void bt_hot_destroy(struct engine *e);
// The address of the counter of the block that is translated next; 0: none.
u32 bt_hot_counter(const struct engine *e);
void bt_hot_forget(struct engine *e); // the cache is emptied
void bt_print_hot(struct engine *e, unsigned n, FILE *f);
void bt_locate(struct engine *e, const void *context, struct profile_place *place);

// ---- bt_signal.c
bool bt_signals_install(struct engine *e, struct err *err);
void bt_signals_remove(struct engine *e);
void bt_signal_thread(struct engine *e); // this thread runs e from now on (NULL: none)
void bt_kick(struct engine *e);

// ---- bt_fpu.c
void bt_fpu_load(struct engine *e);
void bt_fpu_sync(struct vcpu *v);
// Guest code has been stopped in block b before the instruction at `at` (in b's unpacked ones), with the registers as they are
// then: of a row of x87 instructions translated code notes the last only, and this the last that has run.
void bt_fpu_settle(struct engine *e, const struct block *b, const struct block_insn *at);
void bt_fpu_note_segments(struct vcpu *v);

static inline struct engine *bt_engine(struct vcpu *v)
{
    return bt_frame(v)->owner;
}

// To be called before C code may change a segment register or the window.
static inline void bt_fpu_note(struct vcpu *v)
{
    if (bt_frame(v)->x87_cs | bt_frame(v)->x87_data)
        bt_fpu_note_segments(v);
}

#endif
