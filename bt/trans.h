// SPDX-License-Identifier: GPL-2.0-or-later
// State of one translation, shared by the files of this folder.
#ifndef RING3_BT_TRANS_H
#define RING3_BT_TRANS_H

#include "bt.h"

// As enum access of shadow-mmu, which this folder does not know; the engine asserts that they agree.
enum mem_access { MEMACC_READ, MEMACC_WRITE };

// Code that is emitted behind the block, because it seldom runs.
struct tail {
    enum { TAIL_MEMORY, TAIL_EXIT, TAIL_EMULATE } kind;
    u32 patch;          // offset of the rel32 that jumps here
    u32 target;         // TAIL_EXIT: linear
    u16 insn;           // TAIL_MEMORY: index of the instruction; TAIL_EXIT: instructions executed
    u8 size, access;
    bool flags;         // they are in r11
    bool rcx;           // it is in r9
    u32 retry;          // host address
    u32 back;           // TAIL_MEMORY: behind the check
    i16 delta;
};

enum { X87_CS = 255 };
#define MAX_TAILS (BT_MAX_INSNS * 10)
#define COMPARE_MAX 192 // bytes of guest code in a block that compares, but for one instruction more

struct trans {
    const struct bt *bt;
    struct emit *e;
    const struct bt_request *rq;
    struct insn insn[BT_MAX_INSNS];
    u16 offset[BT_MAX_INSNS + 1]; // of each instruction from eip
    bool flags_dead[BT_MAX_INSNS + 1]; // no arithmetic flag matters before it, not even to a fault
    u16 fence;          // a block that compares ends before this offset: what it writes lies there
    unsigned count;
    unsigned cur;       // instruction being emitted
    i32 delta;          // guest ESP = r13 + delta; 0 with MODE_STACK16
    u32 base, limit;    // of CS
    bool next_crosses;  // the instruction behind the block crosses the end of the page
    bool ended;         // control does not fall through
    u16 shadow;         // BLOCK_INSN_SHADOW, _SS: of the next instruction, which is in the shadow of this one
    bool full;          // slots ran out
    u8 x87_noted;       // 1 + segment of the last x87 operand, as noted in the frame; X87_CS: CS only; 0: nothing yet
    struct tail tail[MAX_TAILS];
    unsigned tails;
    u32 changed[COMPARE_MAX]; // host addresses of rel32s that lead to `changed`
    unsigned changes;
    u32 host[BT_MAX_INSNS + 1];   // host address of each instruction
    i16 delta_at[BT_MAX_INSNS + 1];
    struct bt_code *out;
};

// An instruction's address, linear and in its segment.
// (With MODE_SHARED the linear address is that in a page at 0.)
static inline u32 trans_linear(const struct trans *t, unsigned i) { return t->rq->eip + t->offset[i]; }
static inline u32 trans_eip(const struct trans *t, unsigned i) { return trans_linear(t, i) - t->base; }
static inline bool trans_mode(const struct trans *t, u32 mode) { return t->rq->mode & mode; }
// The same for struct bt_site.
static inline u32 trans_site_eip(const struct trans *t, unsigned i)
{
    return trans_eip(t, i) | (trans_mode(t, MODE_SHARED) ? t->rq->page_slot << PAGE_SHIFT : 0);
}
static inline unsigned host_gpr(unsigned guest) { return guest == R_ESP ? H_ESP : guest; }

// Applies the pending ESP adjustment; flags are kept.
void flush_delta(struct trans *t);

// ---- memory.c: each returns the host operand for an access of `size` bytes, having emitted what must come
// before it. Uses r8, r10 and (checked form) r9 and r11. State is that before the instruction when it can fault.
struct hmem mem_operand(struct trans *t, const struct insn *insn, unsigned size, enum mem_access access);
struct hmem stack_operand(struct trans *t, i32 offset, unsigned size, enum mem_access access);
// Whether stack_operand needs no registers, nor stack_move.
bool stack_is_simple(const struct trans *t);
// The offset is in r8d, and at most max.
struct hmem segment_operand(struct trans *t, unsigned seg, u32 max, unsigned size, enum mem_access access);
// The offset is in a register, of which an address size of 2 takes the lower half.
struct hmem index_operand(struct trans *t, unsigned seg, unsigned reg, unsigned addrsize, unsigned size,
                          enum mem_access access);
// Goes to the emulator unless r8d is at most limit; flags are kept.
void check_target(struct trans *t, u32 limit);
// See memory.c.
unsigned write_beside(struct trans *t, const struct tail *tail, u8 *miss[3]);
// Adds n to the stack pointer. Uses r8, but not if `keep`, then r9.
void stack_move(struct trans *t, i32 n, bool keep);
// An address held in host registers: [base + index << scale + disp] computed in 32 bits, in a flat segment.
struct hmem linear_operand(struct trans *t, int base, i32 disp, unsigned size, enum mem_access access);
bool seg_flat(const struct trans *t, unsigned seg);
// The offset of the memory operand into dst, flags kept.
void emit_ea(struct trans *t, const struct insn *insn, unsigned dst);

// ---- flow.c
void flow_translate(struct trans *t, const struct insn *insn);
// Control goes on at guest eip `target`, in another block.
void flow_goto(struct trans *t, u32 target);
void flow_tails(struct trans *t);
// If the block is `mov reg, [esp]; ret`, marks its entry, which is here, for calls in other blocks.
void flow_mark_thunk(struct trans *t);
// The linear address `eip` to r8d-r11d; flags are kept.
void flow_linear(struct trans *t, unsigned dst, u32 eip);
// Is r8d, and with MODE_SEGMENTED cs_key, that of the instruction at linear address eip here? Falls through if so, else goes to
// the stub `otherwise`.
void flow_check_target(struct trans *t, u32 eip, u32 otherwise);

// ---- compare.c: blocks that compare their bytes (struct bt_request.compare).
// True if the last instruction decoded ends such a block: it may write what is in it.
bool compare_ends(struct trans *t, const struct insn *insn);
// In front of the first instruction, as part of it.
void compare_emit(struct trans *t);
// The current instruction if its immediate is to be read from guest memory; false if not.
bool compare_translate(struct trans *t, const struct insn *insn);
void compare_tail(struct trans *t);

// Each translates the instructions of its kind; false: not one of them, or better left to the emulator.
bool stack_translate(struct trans *t, const struct insn *insn);
bool string_translate(struct trans *t, const struct insn *insn);
bool sensitive_translate(struct trans *t, const struct insn *insn);
// ---- eflags.c: PUSHF, POPF, CLI, STI, CLD; for sensitive.c
bool eflags_translate(struct trans *t, const struct insn *insn);
bool eflags_continues(const struct trans *t, const struct insn *insn);
// Pushes frame.tmp, 2 or 4 bytes of it.
bool stack_push_tmp(struct trans *t, unsigned size);
// True for the sensitive instructions behind which a block goes on although the decoder says INSN_STOP.
bool sensitive_continues(const struct trans *t, const struct insn *insn);

// ---- simple.c: everything that is copied nearly as it is. False: leave it to the emulator.
// E_LOCK if the host's instruction is to have the guest's LOCK.
unsigned lock_form(const struct trans *t, const struct insn *insn);
bool simple_translate(struct trans *t, const struct insn *insn);

// Calls the emulator for the current instruction.
void emit_emulate(struct trans *t, const struct insn *insn);
bool insn_ends_block(const struct insn *insn);

#endif
