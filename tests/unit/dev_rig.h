// SPDX-License-Identifier: GPL-2.0-or-later
// A host for chips under test: a clock that the test moves, and a record of what comes out.
#ifndef RING3_TESTS_UNIT_DEV_RIG_H
#define RING3_TESTS_UNIT_DEV_RIG_H

#include "monitor/dev/board.h"
#include "monitor/dev/timers.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

struct rig {
    struct board_host host;
    struct bus bus;
    struct log log;
    u64 now, wall_us;
    bool intr, a20;
    unsigned resets, power_offs, exits, rooms, moved;
    u32 exit_value;
    char serial[4][4096], debug[256], parallel[256];
    size_t serial_len[4], debug_len, parallel_len;
    u8 mem[1 << 20];
    struct { u32 base, len; bool read, write; } map[64];
    unsigned maps;
    u64 dma_last;
};

static u64 rig_now(void *r) { return ((struct rig *)r)->now; }
static u64 rig_wall(void *r) { return ((struct rig *)r)->wall_us; }
static void rig_intr(void *r, bool level) { ((struct rig *)r)->intr = level; }
static void rig_reset(void *r) { ((struct rig *)r)->resets++; }
static void rig_power_off(void *r) { ((struct rig *)r)->power_offs++; }
static void rig_a20(void *r, bool on) { ((struct rig *)r)->a20 = on; }
static void rig_timer(void *r) { ((struct rig *)r)->moved++; }

static void rig_exit(void *opaque, u32 value)
{
    struct rig *r = opaque;

    r->exits++;
    r->exit_value = value;
}

static void rig_serial(void *opaque, int port, const u8 *bytes, size_t len)
{
    struct rig *r = opaque;

    for (size_t i = 0; i < len; i++)
        r->serial[port][r->serial_len[port]++ % sizeof(r->serial[0])] = bytes[i];
}

static void rig_debug(void *opaque, u8 byte)
{
    struct rig *r = opaque;

    r->debug[r->debug_len++ % sizeof(r->debug)] = byte;
}

static void rig_parallel(void *opaque, u8 byte)
{
    struct rig *r = opaque;

    r->parallel[r->parallel_len++ % sizeof(r->parallel)] = byte;
}

static void rig_room(void *opaque, int port)
{
    (void)port;
    ((struct rig *)opaque)->rooms++;
}

static void rig_map(void *opaque, u32 base, u32 len, bool read, bool write)
{
    struct rig *r = opaque;

    r->map[r->maps % 64].base = base;
    r->map[r->maps % 64].len = len;
    r->map[r->maps % 64].read = read;
    r->map[r->maps++ % 64].write = write;
}

static void rig_dma_read(void *opaque, u64 gpa, void *buf, size_t len)
{
    struct rig *r = opaque;

    r->dma_last = gpa;
    for (size_t i = 0; i < len; i++)
        ((u8 *)buf)[i] = r->mem[(gpa + i) % sizeof(r->mem)];
}

static void rig_dma_write(void *opaque, u64 gpa, const void *buf, size_t len)
{
    struct rig *r = opaque;

    r->dma_last = gpa;
    for (size_t i = 0; i < len; i++)
        r->mem[(gpa + i) % sizeof(r->mem)] = ((const u8 *)buf)[i];
}

static inline struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof(*r));

    ck_assert_ptr_nonnull(r);
    r->host = (struct board_host){
        .opaque = r, .now_ns = rig_now, .wall_us = rig_wall, .intr = rig_intr, .reset = rig_reset,
        .power_off = rig_power_off, .debug_exit = rig_exit, .set_a20 = rig_a20,
        .serial_out = rig_serial, .debug_out = rig_debug, .timer_changed = rig_timer,
        .serial_room = rig_room, .memory_map = rig_map, .dma_read = rig_dma_read,
        .dma_write = rig_dma_write, .parallel_out = rig_parallel,
    };
    r->now = 1000000000;
    r->wall_us = 1700000000ull * 1000000 + 250000; // 2023-11-14 22:13:20.25, a Tuesday
    r->log.file = stderr;
    bus_init(&r->bus);
    return r;
}

static inline void rig_free(struct rig *r)
{
    bus_destroy(&r->bus);
    free(r);
}

static inline u8 rig_in(struct rig *r, u16 port) { return bus_read(&r->bus, BUS_PORT, port, 1); }
static inline void rig_out(struct rig *r, u16 port, u8 v)
{
    bus_write(&r->bus, BUS_PORT, port, v, 1);
}

// A board on the rig; the caller destroys both.
static inline struct board *rig_board(struct rig *r, const struct board_config *config)
{
    struct err err;
    struct board *board = board_create(config, &r->host, &r->bus, &r->log, &err);

    ck_assert_msg(board != NULL, "%s", err.text);
    return board;
}

// Lets time pass as a machine would: from deadline to deadline.
static inline void rig_run(struct rig *r, struct board *board, u64 ns)
{
    u64 end = r->now + ns;

    while (board_deadline(board) <= end) {
        r->now = MAX(r->now, board_deadline(board));
        board_poll(board);
    }
    r->now = end;
}

#endif
