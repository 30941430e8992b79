// SPDX-License-Identifier: GPL-2.0-or-later
#include "idle.h"

// The latest that a tick may be, in ns: four of Linux's usual 250 a second.
#define LATE_MAX 16000000ull
// A tick that takes longer than this found work.
#define WORK 1000000ull
// Ticks in a row before they are relied on: a quarter of a second at 250 Hz.
#define STEADY 64

// Whether step is some ticks, of which no more than can be late at once.
static bool is_ticks(u64 step, u64 period)
{
    u64 n = period ? (step + period / 2) / period : 0;
    u64 off = step > n * period ? step - n * period : n * period - step;

    return n > 0 && n <= LATE_MAX / period + 1 && off <= period / 8;
}

u64 idle_late(struct idle *idle, u64 now, u64 deadline, bool once)
{
    u64 step = deadline - idle->due;
    bool tick = once && idle->reached && deadline != UINT64_MAX && now - idle->woke < WORK;

    idle->due = deadline;
    if (!tick || !is_ticks(step, idle->period)) {
        idle->period = tick ? step : 0;
        idle->steady = 0;
        return 0;
    }
    if (idle->steady < STEADY) {
        idle->steady++;
        return 0;
    }
    return LATE_MAX / idle->period * idle->period;
}

void idle_woke(struct idle *idle, u64 now, bool reached)
{
    idle->woke = now;
    idle->reached = reached;
}
