// SPDX-License-Identifier: GPL-2.0-or-later
// How fast the translator is, and how much its code grows: guest bytes a second, host bytes per guest byte.
//   cc -O2 -D_GNU_SOURCE -I. bench/micro/translate.c bt/*.c cache/*.c decoder/*.c monitor/base/log.c
//      monitor/base/err.c -lcapstone -o bench_translate
//   ./bench_translate FILE OFFSET LENGTH      (.text of an i386 vmlinux or program: readelf -S)
// Blocks follow each other as the code does, page by page, in kernel and in user mode, direct and checked; the best of
// five passes counts. bench/run's code/once and -stats say the same of whole systems.
#include "bt/bt.h"
#include "cache/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARENA (64u << 20)

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static u64 none(struct vcpu *v, const void *data)
{
    (void)v, (void)data;
    return 0;
}

struct totals {
    u64 guest, host, blocks, insns;
};

static void pass(struct bt *bt, struct arena *arena, const u8 *code, u32 size, u32 mode, struct totals *t)
{
    static struct bt_code out;

    *t = (struct totals){ 0 };
    arena_reset(arena);
    spaces_reset(bt->spaces);
    for (u32 at = 0; at < size;) {
        struct bt_request rq = {
            .bytes = code + at, .eip = 0x08048000 + at, .mode = mode,
            .avail = MIN(PAGE_SIZE - (0x08048000 + at) % PAGE_SIZE, size - at),
        };
        u8 *room = arena_reserve(arena, BT_MAX_CODE);
        struct emit emit;

        if (!room) {
            arena_reset(arena);
            continue;
        }
        emit = (struct emit){ room, room, room + BT_MAX_CODE, (u64)arena_rx(arena, room) };
        if (!bt_translate(bt, &emit, &rq, &out)) {
            spaces_reset(bt->spaces);
            continue;
        }
        arena_commit(arena, out.block.host_len);
        t->guest += out.block.guest_len;
        t->host += out.block.host_len;
        t->insns += out.block.insn_count;
        t->blocks++;
        at += MAX(out.block.guest_len, 1u);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        u32 mode;
    } ways[] = {
        { "kernel", MODE_DS_FLAT | MODE_ES_FLAT | MODE_TSC },
        { "user", MODE_DS_FLAT | MODE_ES_FLAT | MODE_TSC | MODE_USER },
        { "user, checked", MODE_DS_FLAT | MODE_ES_FLAT | MODE_TSC | MODE_USER | MODE_CHECKED },
    };
    const struct bt_callouts callouts = { none, none, none, none, none, none, none, none, none };
    u32 size = argc > 3 ? (u32)strtoul(argv[3], NULL, 0) : 0;
    static struct spaces spaces;
    struct bt bt = { .spaces = &spaces, .isa = ~0u };
    struct arena arena;
    struct err err;
    u8 *code = malloc(size + INSN_MAX), *room;
    struct emit emit;
    FILE *f = argc > 3 ? fopen(argv[1], "rb") : NULL;

    if (!f || !code || fseek(f, strtol(argv[2], NULL, 0), SEEK_SET) || fread(code, 1, size, f) != size) {
        fprintf(stderr, "usage: bench_translate FILE OFFSET LENGTH\n");
        return 2;
    }
    fclose(f);
#define X(id, def, help) bt.opt.id = def;
    BT_OPTION_LIST(X)
#undef X
    bt.opt.block_insns = 48;
    if (!arena_init(&arena, ARENA, &err))
        return 1;
    room = arena_reserve(&arena, PAGE_SIZE);
    emit = (struct emit){ room, room, room + PAGE_SIZE, (u64)arena_rx(&arena, room) };
    bt_stubs_emit(&bt.stubs, &emit, &callouts, true);
    arena_commit(&arena, (u32)(emit.p - emit.start));
    arena.floor = arena.used;
    if (!spaces_init(&spaces, bt.stubs.lookup, bt.stubs.slot, &err))
        return 1;
    for (unsigned w = 0; w < ARRAY_LEN(ways); w++) {
        double best = 1e9;
        struct totals t;

        for (int i = 0; i < 5; i++) {
            double begin = now();

            pass(&bt, &arena, code, size, ways[w].mode, &t);
            best = MIN(best, now() - begin);
        }
        printf("%-14s %6.1f MB/s of guest code, %.0f ns an instruction; %.2f host bytes per guest byte; "
               "%.1f instructions a block\n", ways[w].name, (double)t.guest / best / 1e6,
               best * 1e9 / (double)t.insns, (double)t.host / (double)t.guest,
               (double)t.insns / (double)t.blocks);
    }
    return 0;
}
