// SPDX-License-Identifier: GPL-2.0-or-later
#include "space.h"

#include "monitor/base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOT_HASH (SPACE_SLOTS * 2)
#define JUMP_BYTES (SPACE_JUMPS * sizeof(u32))

// An empty jump table in a memfd: spaces map it copy-on-write, and have memory only where they filled entries.
static int empty_jumps(u32 default_target)
{
    int fd = memfd_create("ring3-jumps", MFD_CLOEXEC);
    u32 *jump;

    if (fd < 0 || ftruncate(fd, JUMP_BYTES) < 0)
        return fd;
    jump = mmap(NULL, JUMP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (jump == MAP_FAILED) {
        close(fd);
        return -1;
    }
    for (u32 i = 0; i < SPACE_JUMPS; i++)
        jump[i] = default_target;
    munmap(jump, JUMP_BYTES);
    return fd;
}

bool spaces_init(struct spaces *s, u32 default_target, u32 empty_slot, struct err *err)
{
    memset(s, 0, sizeof(*s));
    s->default_target = default_target;
    s->empty_slot = empty_slot;
    s->empty_jumps = empty_jumps(default_target);
    s->slot_hash = calloc(SLOT_HASH, sizeof(*s->slot_hash));
    s->slot_place = calloc(SPACE_SLOTS, sizeof(*s->slot_place));
    s->slot_last = calloc(SPACE_SLOTS, sizeof(*s->slot_last));
    if (!s->slot_hash || !s->slot_place || !s->slot_last || s->empty_jumps < 0)
        return err_set(err, EXIT_HOST, "out of memory for the branch slots");
    return true;
}

void spaces_destroy(struct spaces *s)
{
    for (u32 i = 0; i < SPACE_MAX; i++) {
        if (s->space[i].table)
            munmap(s->space[i].table, sizeof(struct space_table));
        free(s->space[i].journal);
    }
    free(s->slot_hash);
    free(s->slot_place);
    free(s->slot_last);
    if (s->empty_jumps > 0)
        close(s->empty_jumps);
    memset(s, 0, sizeof(*s));
}

// Zero, which fresh memory holds, is an address that belongs to entry 0 alone.
static u32 far_empty(u32 index)
{
    return index == 0;
}

void space_clear(struct spaces *s, struct space *space)
{
    for (u32 i = 0; i < space->journal_count; i++) {
        u32 at = space->journal[i];

        if (at < SPACE_JUMPS)
            space->table->jump[at] = s->default_target;
        else if (at < SPACE_JUMPS + SPACE_SLOTS)
            space->table->slot[at - SPACE_JUMPS] = s->empty_slot;
        else
            space->table->far[at - SPACE_JUMPS - SPACE_SLOTS].eip = far_empty(at - SPACE_JUMPS - SPACE_SLOTS);
    }
    space->journal_count = 0;
}

void spaces_reset(struct spaces *s)
{
    for (u32 i = 0; i < SPACE_MAX; i++)
        space_clear(s, &s->space[i]);
    while (s->slot_count > 0)
        s->slot_hash[s->slot_place[--s->slot_count]] = (struct slot_key){ 0 };
}

static void table_create(struct spaces *s, struct space *space)
{
    struct space_table *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (t == MAP_FAILED || mmap(t->jump, JUMP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, s->empty_jumps,
                                0) == MAP_FAILED)
        err_no_memory("the translator's tables");
    for (u32 i = 0; i < s->slot_count; i++)
        t->slot[i] = s->empty_slot;
    t->far[0].eip = far_empty(0);
    space->table = t;
}

struct space *space_get(struct spaces *s, u64 key)
{
    struct space *victim = &s->space[0];

    for (u32 i = 0; i < SPACE_MAX; i++) {
        struct space *space = &s->space[i];

        if (space->key == key) {
            space->used = ++s->clock;
            return space;
        }
        if (space->used < victim->used)
            victim = space;
    }
    if (victim->table)
        space_clear(s, victim);
    else
        table_create(s, victim);
    victim->key = key;
    victim->used = ++s->clock;
    victim->generation = 0;
    return victim;
}

static struct slot_key *slot_probe(const struct spaces *s, u32 eip, u64 mode)
{
    u32 h = (u32)(eip + mode + (mode >> 19)) * 0x9e3779b1u / (u32)((1ull << 32) / SLOT_HASH); // the high bits are the mixed ones

    while (s->slot_hash[h].slot && (s->slot_hash[h].eip != eip || s->slot_hash[h].mode != mode))
        h = (h + 1) % SLOT_HASH;
    return &s->slot_hash[h];
}

u32 slot_find(const struct spaces *s, u32 eip, u64 mode)
{
    return slot_probe(s, eip, mode)->slot - 1; // 0, none, wraps to SLOT_NONE
}

u32 slot_for(struct spaces *s, u32 eip, u64 mode)
{
    struct slot_key *k = slot_probe(s, eip, mode);

    if (k->slot)
        return k->slot - 1;
    if (s->slot_count == SPACE_SLOTS)
        return SLOT_NONE;
    s->slot_place[s->slot_count] = k - s->slot_hash;
    *k = (struct slot_key){ mode, eip, ++s->slot_count };
    s->slot_last[k->slot - 1] = (struct slot_last){ 0 };
    // A slot number is new to every table that exists.
    for (u32 i = 0; i < SPACE_MAX; i++)
        if (s->space[i].table)
            s->space[i].table->slot[k->slot - 1] = s->empty_slot;
    return k->slot - 1;
}

static void journal(struct space *space, u32 at)
{
    if (space->journal_count == space->journal_capacity) {
        space->journal_capacity = space->journal_capacity ? space->journal_capacity * 2 : 256;
        space->journal = realloc(space->journal,
                                 space->journal_capacity * sizeof(*space->journal));
        if (!space->journal)
            err_no_memory("the translator's tables");
    }
    space->journal[space->journal_count++] = at;
}

void space_fill_jump(const struct spaces *s, struct space *space, u32 eip, u32 host)
{
    u32 *entry = &space->table->jump[eip & (SPACE_JUMPS - 1)];

    if (*entry == s->default_target)
        journal(space, eip & (SPACE_JUMPS - 1));
    *entry = host;
}

void space_fill_far(struct space *space, u32 eip, u32 host)
{
    u32 index = space_far_index(eip);
    struct space_far *entry = &space->table->far[index];

    if (entry->eip == far_empty(index))
        journal(space, SPACE_JUMPS + SPACE_SLOTS + index);
    *entry = (struct space_far){ eip, host };
}

void space_fill_slot(const struct spaces *s, struct space *space, u32 slot, u64 value)
{
    u64 *entry = &space->table->slot[slot];

    if (*entry == s->empty_slot)
        journal(space, SPACE_JUMPS + slot);
    *entry = value;
}
