// SPDX-License-Identifier: GPL-2.0-or-later
// The translator: guest bytes in, host code out. It sees bytes and mode bits, never page tables or guest state.
#ifndef RING3_BT_BT_H
#define RING3_BT_BT_H

#include "cache/block.h"
#include "cache/space.h"
#include "decoder/insn.h"
#include "emit.h"
#include "stubs.h"

// The mode bits a block is translated under. Without MODE_SEGMENTED code is 32-bit with a flat CS and a flat 32-bit
// SS, and nothing is checked but what the window checks. With it each segment register that is not known to be flat
// has a base and limits, CS's being known to the translator (struct bt_request).
enum {
    MODE_USER = BIT(0),     // CPL 3
    MODE_DS_FLAT = BIT(1),
    MODE_ES_FLAT = BIT(2),
    MODE_NO_FPU = BIT(3),   // CR0.EM or CR0.TS: x87 and SIMD instructions go to the emulator
    MODE_NO_SSE = BIT(4),   // CR4.OSFXSR clear
    MODE_DF = BIT(5),       // EFLAGS.DF set
    MODE_TSC = BIT(6),      // RDTSC does not fault
    MODE_CHECKED = BIT(7),  // all accesses in the checked form: the address space is young (engine_bt.h)
    MODE_SEGMENTED = BIT(8),
    // The rest only with MODE_SEGMENTED.
    MODE_CODE16 = BIT(9),   // CS.D clear
    MODE_STACK16 = BIT(10), // SS.B clear: the stack pointer is SP
    MODE_SS_FLAT = BIT(11),
    MODE_DATA64K = BIT(12), // DS, ES and SS can be read and written up to FFFF at least
    MODE_REAL = BIT(13),    // real or V86 mode: loading a segment changes its base only; MODE_DATA64K holds for all six
    MODE_V86 = BIT(14),     // and in V86 mode this too
    MODE_INNER = BIT(15),   // CPL 1 or 2: without MODE_SEGMENTED too
    // Never with MODE_SEGMENTED: the block is good at any linear address, and takes that of its page from a slot.
    MODE_SHARED = BIT(16),
};
#define MODE_BITS 17

// What is known of one guest instruction, from the faults it took: kept per code page by the engine.
enum {
    HINT_WRAP = BIT(0),     // its address sum wraps: compute it in 32 bits first
    HINT_CHECKED = BIT(1),  // its accesses keep missing the window: use the software TLB
    HINT_EMULATE = BIT(2),
    HINT_FAULTS = BIT(3),   // checked because it faulted often of late; direct again when hot, or its misses are many
    HINT_LIMITS = BIT(4),   // its segment has a limit: check that
    HINT_VARIES = BIT(5),   // its immediate was seen to change (struct bt_request.compare)
};
#define HINT_BITS 6

// -bt options: every optimisation has its switch.
#define BT_OPTION_LIST(X)                                                                    \
    X(chain, true, "patch direct branches to their targets")                                 \
    X(direct, true, "access memory through the window (off: always the software TLB)")       \
    X(young, true, "run new address spaces in the checked form until timer interrupts have met them twice") \
    X(adaptive, true, "sites that keep faulting take the checked form until they are hot")       \
    X(returns, true, "guest calls and returns are host calls and returns")                   \
    X(thunks, true, "calls of functions that return their return address, as PIC code makes them, are not made") \
    X(esp, true, "merge adjustments of ESP within a block")                                  \
    X(lahf, true, "save flags with LAHF rather than PUSHF")                                  \
    X(sensitive, true, "sensitive and string instructions inline where that pays")             \
    X(loops, true, "branch inside a block without leaving it")                               \
    X(unlock, true, "leave LOCK out: the guest has one CPU")                                 \
    X(compare, true, "pages whose code is often written are not protected: their blocks compare") \
    X(replace, true, "blocks that compare are translated anew in their place")                   \
    X(operands, true, "blocks that compare read immediates which change from guest memory")     \
    X(share, true, "user code that is met at a second linear address is translated for all of them")  \
    X(count, false, "exits of blocks say how many instructions were executed (-accel lockstep)")

struct bt_options {
#define X(id, def, help) bool id;
    BT_OPTION_LIST(X)
#undef X
    u32 cache_size;   // bytes
    u32 block_insns;  // longest block
    u32 flush_every;  // tests: empty the cache every so many exits; 0: never
};

struct bt {
    struct bt_options opt;
    struct bt_stubs stubs;
    struct spaces *spaces;
    u32 isa;          // bit per enum insn_isa the guest's CPU has
    bool mxcsr;       // MXCSR has the same bits in the guest's CPU and the host's
};

#define BT_MAX_INSNS 64
#define BT_MAX_CODE 57344 // bytes of host code of one block, at most
#define BT_STALE_LEN 5 // bytes of the stub at the end of every block

// Bytes of the indirect entry, which compares r8d with the block's eip; and where in it the negated eip stands. With
// MODE_SEGMENTED it compares cs_key too, and has both, negated, in eight bytes.
static inline u32 bt_header_len(u32 mode) { return mode & MODE_SEGMENTED ? 41 : mode & MODE_SHARED ? 31 : 23; }
static inline u32 bt_header_key(u32 mode) { return mode & MODE_SEGMENTED ? 12 : mode & MODE_SHARED ? 14 : 6; }

// What struct block.mode and slots say of a block's mode: MODE_* and the number of its code segment, or with
// MODE_SHARED that of its guest-physical page.
static inline u64 bt_mode_key(u32 mode, u32 cs) { return mode | (u64)cs << 32; }

// The slot that says where a guest-physical page with shared blocks lies in a space: its linear address in the lower
// half, the negated one in the upper. (No slot for a target has such a key: those have MODE_USER too.)
static inline u32 bt_page_slot(struct spaces *s, u32 gpa_page) { return slot_for(s, gpa_page, MODE_SHARED); }
static inline u64 bt_page_value(u32 linear) { return linear | (u64)-linear << 32; }

struct bt_request {
    const u8 *bytes;      // guest code from eip to the end of its page, at most
    u32 avail;
    u32 eip;              // linear address: base + EIP; with MODE_SHARED the offset in the page
    u32 mode;             // MODE_*
    // With MODE_SHARED: cs is the guest-physical page's number, and page_slot its bt_page_slot.
    u32 page_slot;
    // With MODE_SEGMENTED: the engine's number for what CS is, its base, and its limit, which no byte exceeds.
    u32 cs, base, limit;  // cs < 2^31
    bool crossing;        // bytes hold one instruction that runs on into the next page, and no more
    u32 counter;          // address of a u32 below 2 GiB to count executions in; 0: none
    const u8 *hints;      // HINT_* per byte of guest code, or NULL
    // NULL, or where the same bytes lie while the block lives: whenever it is entered, and whenever it may have
    // written them, it compares them with what was translated, and calls `changed` if they differ, with these as data.
    const u8 *compare;
};

struct bt_code {
    struct block block;   // eip, mode, host, entry, lengths and counts filled
    struct block_insn insn[BT_MAX_INSNS + 1];
    u32 ret_point[BT_MAX_INSNS];
    u16 sites[SENS_COUNT];        // sensitive instructions translated, by kind
};

// Translates one block into e, which has room for BT_MAX_CODE bytes. False if slots ran out: empty the cache
// and try again. Where an instruction crosses the end of the bytes the
// block ends before it; if it is the first, it is left to the emulator.
bool bt_translate(const struct bt *bt, struct emit *e, const struct bt_request *rq,
                  struct bt_code *out);

// Does an instruction end with an immediate of 4 bytes that HINT_VARIES has an effect on?
bool bt_may_vary(const struct insn *insn);

// Overwrites an invalidated block's entry and return points, through the writable view, so that control that still
// comes there looks its target up anew.
struct arena;
void bt_block_kill(const struct bt *bt, struct arena *a, const struct blocks *b,
                   const struct block *block);
// The first byte at the entry of a block that was killed, and of some others.
#define BT_KILLED 0xe9
// The entry of the valid block whose indirect entry is at `host` if it is the one for eip (struct block's), else 0. key is
// bt_mode_key's, and its mode the block's.
u32 bt_entry_if(u32 host, u32 eip, u64 key);
// Makes an invalidated block's entry lead to host address `target`, its replacement.
void bt_redirect(struct arena *a, const struct block *block, u32 target);
// Patches the rel32 at host address `patch` to go to `target`.
void bt_patch_rel32(struct arena *a, u32 patch, u32 target);

#endif
