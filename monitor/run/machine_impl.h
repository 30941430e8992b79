// SPDX-License-Identifier: GPL-2.0-or-later
// What a machine is made of: for machine.c (building it) and loop.c (running it).
#ifndef RING3_MONITOR_RUN_MACHINE_IMPL_H
#define RING3_MONITOR_RUN_MACHINE_IMPL_H

#include "idle.h"
#include "io.h"
#include "lowmem.h"
#include "machine.h"
#include "monitor/base/phase.h"
#include "monitor/dev/board.h"

// Why the run loop was asked to stop (EV_STOP): one bit each, atomic, cleared by the loop.
enum {
    REQ_RESET = BIT(0),
    REQ_POWER_OFF = BIT(1),
    REQ_DEBUG_EXIT = BIT(2),
    REQ_QUIT = BIT(3),
    REQ_INIT = BIT(4),
};

struct machine {
    struct machine_config config;
    struct vcpu *v;
    struct bus bus;
    struct phys phys;
    struct lowmem lowmem;
    struct mmu mmu;
    struct board *board;
    const struct engine_ops *ops;
    struct engine *engine;
    struct io io;
    struct idle idle;
    struct profile *profile; // or NULL

    u32 requests;       // REQ_*; atomic
    u32 debug_value;    // what was written to isa-debug-exit
    bool built;         // the board may call back: everything above is there
    u8 input_waits;     // bit per port whose input stopped for want of room in it
    u64 paused_at;      // host time at which the guest was paused; 0: it runs
    u64 paused_tsc;     // host TSC then
    u64 time_lost;      // host time minus guest time, in ns
    u64 resets, exits, sleeps; // counted for -stats
};

// The guest's clock: host time without the pauses.
u64 machine_now(void *machine);

// Puts the guest as after power-on: CPU and board reset, kernel loaded. RAM keeps what the loader
// does not overwrite, as on hardware.
bool machine_load(struct machine *m, struct err *err);
// INIT: the CPU goes to its reset vector, and all else goes on.
void machine_init(struct machine *m);

#endif
