// SPDX-License-Identifier: GPL-2.0-or-later
// The ways between C and translated code. All live at the start of the arena.
//
//   C --bt_enter--> resume --> translated code --call--> callout stub --> C function --> resume
//                     ^                                                       |
//                     +--- host address to go on at, or `leave` --------------+
//
// A callout stub saves the whole guest state to struct vcpu, runs the C function on the monitor's
// stack, and goes on
// where it says. Host signals in translated code are turned into a callout by pointing the host's
// RIP at `signal`.
#ifndef RING3_BT_STUBS_H
#define RING3_BT_STUBS_H

#include "emit.h"
#include "monitor/base/log.h"

// A C function behind a stub: data is what follows the call in the code (struct bt_site, struct
// bt_link), in the
// executable view. Returns the host address to go on at.
typedef u64 (*bt_callout)(struct vcpu *v, const void *data);

struct bt_callouts {
    bt_callout lookup;  // indirect target in frame.r8; no data
    // a block that was killed has been entered; data: where it ends
    bt_callout stale;
    bt_callout slot;    // an empty slot: its number in frame.r8; no data
    bt_callout link;    // struct bt_link
    bt_callout memory;  // struct bt_site; the linear address in frame.r8
    // the same from a check stub: size and enum mem_access in frame.r9 (bt_miss_size, bt_miss_access); data: behind the
    // stub's call, in the block
    bt_callout missed;
    bt_callout emulate; // struct bt_site, then struct insn
    bt_callout signal;  // no data: frame.fault_*
    // no data: an event came before re-entry; frame.resume is where we would have gone
    bt_callout event;
    // the block that calls it no longer is what memory holds; data: the guest code it was made of, in the block
    bt_callout changed;
};

// The look-up of a checked access: r8d's linear address, of `size` bytes, leaves the host address in r10 + r8; uses r9
// and r11. A miss becomes a callout, which does the instruction again or for good. flat: the current space's TLB number;
// seg: the number is in r9d. By whether flags matter, mem_access, and the size's logarithm.
struct bt_check {
    u32 flat, seg;
};
#define BT_CHECK_SIZES 5
#define BT_CALL_LEN 5 // of their call

// lookup: r8d's target, in C. probe: in the current space's far table first. jump: the same,
// through the jump table first; what is there checks r8d.
struct bt_stubs {
    u32 enter, resume, leave, lookup, stale, slot, probe, jump, link, memory, missed, emulate, signal, changed,
        sentinel;
    struct bt_check check[2][2][BT_CHECK_SIZES];
    u32 checks;         // the first of them; they are the last stubs
    u32 end;            // all stubs lie below
    bool lahf;          // LAHF and SAHF exist in 64-bit mode
};

#define BT_STUBS_MAX 8192 // bytes

static inline u32 bt_miss_size(u64 r9) { return (u8)r9; }
static inline u32 bt_miss_access(u64 r9) { return (u8)(r9 >> 8); }
// Of an access: a size between is rounded up, which at most finds a miss at a page's end.
static inline const struct bt_check *bt_check_for(const struct bt_stubs *s, bool flags, unsigned access, unsigned size)
{
    unsigned n = 0;

    while (1u << n < size)
        n++;
    CHECK(n < BT_CHECK_SIZES);
    return &s->check[flags][access][n];
}

// Emits all stubs. lahf: use LAHF/SAHF rather than PUSHF/POPF.
void bt_stubs_emit(struct bt_stubs *s, struct emit *e, const struct bt_callouts *c, bool lahf);

// Goes to (ext 4) or calls (ext 2) the current space's jump-table entry for r8d.
void bt_jump_table(struct emit *e, unsigned ext);

// Saves the guest's flags, in host flags, to r11; eax is preserved. And back.
void bt_save_flags(const struct bt_stubs *s, struct emit *e);
void bt_restore_flags(const struct bt_stubs *s, struct emit *e);

#endif
