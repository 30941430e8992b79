// SPDX-License-Identifier: GPL-2.0-or-later
// What a translation by itself takes: a code cache, dummy callouts, options.
#ifndef RING3_TESTS_BT_RIG_H
#define RING3_TESTS_BT_RIG_H

#include "bt/bt.h"
#include "cache/arena.h"

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_SIZE (256u << 10)
#define CANARY 64 // bytes behind the room that must stay as they are

struct rig {
    struct bt bt;
    struct bt_stubs stubs[2]; // by opt.lahf
    struct arena arena;
    struct spaces spaces;
    ZydisDecoder decoder;
    u8 *room;                 // the last translation
    bool silent;
};

static u64 never_called(struct vcpu *v, const void *data)
{
    (void)v, (void)data;
    abort();
}

static void rig_init(struct rig *r)
{
    static const struct bt_callouts none = {
        never_called, never_called, never_called, never_called, never_called, never_called, never_called,
        never_called, never_called, never_called,
    };
    struct err err;

    memset(r, 0, sizeof(*r));
    if (!arena_init(&r->arena, ARENA_SIZE, &err) || !spaces_init(&r->spaces, 0, 0, &err)) {
        fprintf(stderr, "no memory for the code cache\n");
        exit(77);
    }
    for (int lahf = 0; lahf < 2; lahf++) {
        u8 *room = arena_reserve(&r->arena, BT_STUBS_MAX);
        struct emit e = { room, room, room + BT_STUBS_MAX, (u64)arena_rx(&r->arena, room) };

        bt_stubs_emit(&r->stubs[lahf], &e, &none, lahf);
        arena_commit(&r->arena, e.p - e.start);
    }
    r->arena.floor = r->arena.used;
#define X(id, def, help) r->bt.opt.id = def;
    BT_OPTION_LIST(X)
#undef X
    r->bt.opt.block_insns = BT_MAX_INSNS;
    r->bt.isa = ~0u;
    r->bt.mxcsr = true;
    r->bt.spaces = &r->spaces;
    ZydisDecoderInit(&r->decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

static inline void rig_destroy(struct rig *r)
{
    spaces_destroy(&r->spaces);
    arena_destroy(&r->arena);
}

// All options at once: a bit each, in BT_OPTION_LIST's order.
static inline void rig_options(struct rig *r, u32 bits)
{
#define X(id, def, help) r->bt.opt.id = bits & 1, bits >>= 1;
    BT_OPTION_LIST(X)
#undef X
}

// For requests at random: no engine makes others.
static inline void rig_sane(struct bt_request *rq)
{
    if (rq->mode & MODE_SEGMENTED)
        rq->mode &= ~MODE_SHARED;
    if (!(rq->mode & MODE_SHARED))
        return;
    rq->eip &= ~PAGE_MASK;
    rq->mode = (rq->mode | MODE_USER) & ~(MODE_CODE16 | MODE_STACK16 | MODE_REAL | MODE_V86);
    if (!rq->crossing)
        rq->avail = MIN(rq->avail, PAGE_SIZE - rq->eip);
    rq->page_slot = rq->cs % SPACE_SLOTS;
    rq->compare = NULL;
}

#endif
