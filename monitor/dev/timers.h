// SPDX-License-Identifier: GPL-2.0-or-later
// The board's clock and the short sorted list of what is due when.
//
// Invariants
//  1. The list is sorted by `due`; a timer is in it exactly while `armed`.
//  2. A timer is out of the list before its `fire` is called, which may arm it again.
#ifndef RING3_MONITOR_DEV_TIMERS_H
#define RING3_MONITOR_DEV_TIMERS_H

#include "board.h"

#define TIMER_NEVER UINT64_MAX
#define NS_PER_S 1000000000ull

struct timer {
    void (*fire)(void *opaque);
    void *opaque;
    u64 due; // ns
    bool armed;
    bool programmed; // armed from outside timers_run: by the guest, as a rule
    struct timer *next;
};

struct timers {
    const struct board_host *host; // not owned
    struct timer *head;
    bool running; // inside timers_run: its caller asks for the deadline anyway
    u64 now;      // when the current run began
};

void timers_init(struct timers *timers, const struct board_host *host);

static inline u64 timers_now(const struct timers *timers)
{
    return timers->host->now_ns(timers->host->opaque);
}

// Prepares a timer that belongs to its caller and lives as long as the list.
static inline void timer_init(struct timer *t, void (*fire)(void *), void *opaque)
{
    *t = (struct timer){ .fire = fire, .opaque = opaque };
}

// Makes t due at `due` (ns, past times included), replacing what it was armed for; TIMER_NEVER
// disarms.
void timer_arm(struct timers *timers, struct timer *t, u64 due);
// The earliest `due`, or TIMER_NEVER.
u64 timers_deadline(const struct timers *timers);
// Fires everything that is due now. What is armed for the past meanwhile waits for the next run, so
// that no timer can hold the vCPU here.
void timers_run(struct timers *timers);

#endif
