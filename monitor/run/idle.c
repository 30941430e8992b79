// SPDX-License-Identifier: GPL-2.0-or-later
#include "idle.h"

// The latest that a tick may be, in ns: eight of Linux's usual 250 a second.
#define LATE_MAX 32000000ull
// A tick that takes more CPU time than this found work.
#define WORK 1000000ull
// Ticks in a row before they are relied on: a quarter of a second at 250 Hz.
#define STEADY 64

// Whether a deadline is that of the next tick: `step`, some ticks, behind the last deadline, and `left` from now.
static bool is_tick(u64 step, u64 left, u64 period)
{
    u64 n = period ? (step + period / 2) / period : 0;
    u64 off = step > n * period ? step - n * period : n * period - step;

    return n > 0 && off <= period / 8 && left <= period + period / 8;
}

u64 idle_late(struct idle *idle, u64 now, u64 cpu, u64 deadline, bool once)
{
    u64 step = deadline - idle->due, left = deadline > now ? deadline - now : 0;
    bool tick = once && idle->reached && deadline != UINT64_MAX && cpu - idle->cpu < WORK;

    idle->due = deadline;
    idle->cpu = cpu;
    if (!tick || !is_tick(step, left, idle->period)) {
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

void idle_woke(struct idle *idle, bool reached)
{
    idle->reached = reached;
}
