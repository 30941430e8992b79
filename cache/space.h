// SPDX-License-Identifier: GPL-2.0-or-later
// Where control goes inside the cache, per address space: what makes blocks that are shared by all processes safe
// to chain across pages.
//
// A direct branch inside one page is patched to its target for good: both ends lie on the same physical
// page. A branch to another page goes through a *slot*: slots are numbered per (target eip, mode), the same in
// every space, and each space has its own array of them. Returns and indirect branches go through the *jump
// table*, indexed by the low 16 bits of the target; what is found there checks the whole target itself (the
// block's indirect entry). An unfilled entry holds the address of the look-up stub.
//
// Emitted code reaches the tables of the current space through r14:
//
//   r14 -> jump[65536] of u32 host addresses, then slot[SPACE_SLOTS] of u64 host addresses, then far[SPACE_FAR]
//
// Targets whose low 16 bits are alike evict one another from the jump table. What is not found there is looked for in
// `far`, indexed by a hash of the whole target, which it is compared with; only then in C.
//
// Invariants
//  1. An entry of a space is filled only with a block that the space's mapping of the target page leads to.
//     When such a mapping changes, space_clear empties the space.
//  2. Every filled entry is in the space's journal, so that clearing costs what was used.
#ifndef RING3_CACHE_SPACE_H
#define RING3_CACHE_SPACE_H

#include "monitor/base/err.h"
#include "monitor/base/types.h"

#define SPACE_JUMPS 65536u
#define SPACE_SLOTS 65536u
#define SPACE_MAX 192u
#define SPACE_FAR_BITS 14
#define SPACE_FAR (1u << SPACE_FAR_BITS)
#define SLOT_NONE (~0u)

struct space_table {
    u32 jump[SPACE_JUMPS];
    u64 slot[SPACE_SLOTS];
    struct space_far {
        u32 eip, host; // an empty entry has an eip that belongs elsewhere
    } far[SPACE_FAR];
};

static inline u32 space_far_index(u32 eip)
{
    return (eip ^ eip >> SPACE_FAR_BITS) & (SPACE_FAR - 1);
}

struct space {
    u64 key;          // which guest address space and mode: the engine's choice; 0: unused
    u32 generation;   // of the mappings it was filled under; the engine's
    u64 used;         // clock of last use
    struct space_table *table;
    u32 *journal;     // entries filled: jump index, SPACE_JUMPS + slot index, or behind those far index
    u32 journal_count, journal_capacity;
};

// What a slot led to last, for the engine, which finds and fills slots that go from one page to another together. Links are
// slot numbers + 1; 0: none.
struct slot_last {
    u32 host;     // 0: not known
    u32 gpa_page; // of the block there
    u32 next;     // another slot of the two pages
    u32 in, out;  // of the first of them: the first of another two, with the same target page or source page
};

struct slot_key {
    u64 mode;
    u32 eip;      // linear
    u32 slot;     // 0-based number + 1; 0: free
};

struct spaces {
    struct space space[SPACE_MAX];
    u32 default_target; // low address of the look-up stub, in empty entries of jump tables
    u32 empty_slot;     // of the stub that looks a slot's target up
    int empty_jumps;    // descriptor of a jump table that leads nowhere but there
    u64 clock;
    struct slot_key *slot_hash; // open addressing
    u32 *slot_place;            // where in slot_hash each number stands
    struct slot_last *slot_last; // by number
    u32 slot_count;
};

bool spaces_init(struct spaces *s, u32 default_target, u32 empty_slot, struct err *err);
void spaces_destroy(struct spaces *s);
// Empties all spaces and forgets all slot numbers: the code they name is gone.
void spaces_reset(struct spaces *s);

// The space with this key, taking the least recently used one, emptied, if there is none.
struct space *space_get(struct spaces *s, u64 key);
void space_clear(struct spaces *s, struct space *space);

// The slot number for a target, made if need be; SLOT_NONE when all are used up (the engine then empties the cache).
u32 slot_for(struct spaces *s, u32 eip, u64 mode);
// The number if there is one, else SLOT_NONE.
u32 slot_find(const struct spaces *s, u32 eip, u64 mode);
// What slot_for was given for this number.
static inline const struct slot_key *slot_key_of(const struct spaces *s, u32 slot)
{
    return &s->slot_hash[s->slot_place[slot]];
}

void space_fill_jump(const struct spaces *s, struct space *space, u32 eip, u32 host);
// host: the block's direct entry, as the whole target has been compared.
void space_fill_far(struct space *space, u32 eip, u32 host);
// value: a host address, or whatever else the engine keeps in this slot.
void space_fill_slot(const struct spaces *s, struct space *space, u32 slot, u64 value);

#endif
