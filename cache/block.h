// SPDX-License-Identifier: GPL-2.0-or-later
// Translated blocks: found by what they translate, by the page they came from, and by host address.
//
// Invariants
//  1. Blocks are numbered in the order of their host code, so that a host address finds its block by
//     binary search.
//  2. A valid block's bytes are what guest memory holds: its page is protected (PHYS_CODE), or it compares.
//  3. An invalid block's entry and return points have been overwritten with jumps (the engine does that
//     before block_invalidate); its code stays where it is until blocks_reset, because a host return
//     address, a link or a jump-table entry may still name it.
//
//   block_new -> valid --block_invalidate--> invalid --blocks_reset--> gone
#ifndef RING3_CACHE_BLOCK_H
#define RING3_CACHE_BLOCK_H

#include "monitor/base/err.h"
#include "monitor/base/types.h"

#define BLOCK_NONE 0u // block numbers start at 1

// One guest instruction of a block: host offset to guest state.
struct block_insn {
    u16 host;       // offset of its first host byte from the block's code
    u16 guest;      // offset from the block's eip
    i16 esp_delta;  // guest ESP = r13 + esp_delta here
    u16 flags;      // BLOCK_INSN_*
};
enum { // block_insn.flags
    BLOCK_INSN_SHADOW = BIT(0), // no event may be taken before this instruction
    BLOCK_INSN_REP = BIT(1),    // a host REP instruction does it: between iterations state is exact
    BLOCK_INSN_SS = BIT(2),     // with SHADOW: the instruction before has loaded SS
    BLOCK_INSN_CMPS = BIT(3),   // with REP: of its two operands the host may look at either one first
    BLOCK_INSN_X87 = BIT(4),    // never with REP: the upper bits are the opcode that x87 keeps of it (FOP)
    BLOCK_INSN_FOP_SHIFT = 5,
};

#define BLOCK_INSNS 65 // at most

struct block { // a cache line
    // The key (together with the guest bytes themselves).
    u64 mode;       // what else it was translated under: the engine's (bt_mode_key)
    u32 gpa_page;   // guest-physical page number
    u32 gpa_page2;  // the page its only instruction runs on into; 0: none (page 0 is never the second)
    u32 eip;        // linear address of the first instruction (CS base + EIP)
    // Its code, in the arena's executable view.
    u32 host;       // start (the indirect entry)
    u32 entry;      // direct entry
    u32 insn_first; // its instructions are packed in insn[insn_first .. insn_first + insn_room)
    u32 ret_first;  // return points: ret_point[ret_first ..), host addresses
    u32 hash_next, page_next, page2_next; // chains, by number
    u16 host_len, room; // bytes, and how many there are for it
    u16 guest_len;
    u16 insn_room;
    u8 insn_count;
    u8 ret_count;
    bool valid;
    bool compares;  // compares its bytes when entered: its page need not be protected
    bool x87;       // the guest's last x87 instruction may be one of it
};

struct blocks {
    struct block *block;  // [1..count]
    u32 count, capacity;
    u8 *insn;             // packed: two bytes each, mostly (block.c)
    u32 insn_count, insn_capacity;
    u32 *ret_point;
    u32 ret_count, ret_capacity;
    u32 *hash;            // heads, by key
    u32 *page, *page2;    // heads, by guest-physical page number (4 GiB)
    u32 *from;            // by page of host code, since the first block's: the first block that starts there or later
    u32 from_count, from_capacity;
    struct block_insn unpacked[BLOCK_INSNS];
};

bool blocks_init(struct blocks *b, struct err *err);
void blocks_destroy(struct blocks *b);
// Forgets all blocks.
void blocks_reset(struct blocks *b);

// Adds a block; all fields but the chains are copied. Returns its number.
u32 block_new(struct blocks *b, const struct block *proto, const struct block_insn *insn,
              const u32 *ret_point);
// The block, which has the same key as proto and no return points, neither has proto, is made of that from now on; its code
// has been overwritten, and fits its room.
void block_replace(struct blocks *b, struct block *block, const struct block *proto, const struct block_insn *insn);
// The valid block with this key, or NULL.
struct block *block_find(struct blocks *b, u32 gpa_page, u32 eip, u64 mode);
// The block, valid or not, whose code holds this host address, or NULL.
struct block *block_at_host(struct blocks *b, u64 host);
// The first block that runs on into this page from another one, or NULL.
struct block *block_first_into_page(struct blocks *b, u32 gpa_page);
struct block *block_next_into_page(struct blocks *b, struct block *block);
// The first valid block of a page; go on with block_next_in_page, from a block that may have been invalidated since.
struct block *block_first_in_page(struct blocks *b, u32 gpa_page);
struct block *block_next_in_page(struct blocks *b, struct block *block);
// The block is found by key and page no longer. It leaves the chains of its pages when they are next followed.
void block_invalidate(struct blocks *b, struct block *block);

// A block's instructions, and the one whose host code holds a host address (the last one that starts at or before it). They
// lie in b->unpacked, until the next call of either.
const struct block_insn *block_insns(struct blocks *b, const struct block *block);
const struct block_insn *block_insn_at_host(struct blocks *b, const struct block *block, u64 host);
// The same, where somebody may hold what the other two have returned.
struct block_insn block_insn_copy(const struct blocks *b, const struct block *block, u64 host);
// Memory that blocks take beside their code, in bytes.
static inline u32 blocks_bytes(const struct blocks *b)
{
    return b->count * sizeof(*b->block) + b->insn_count + b->ret_count * sizeof(*b->ret_point);
}

#endif
