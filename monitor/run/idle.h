// SPDX-License-Identifier: GPL-2.0-or-later
// How late the timer tick of an idle guest may be.
//
// Old kernels tick while they idle: 250 wake-ups a second that find nothing to do, each of which meets cold caches. A
// guest that has done nothing but that for a while, and programs its timer anew for each tick, is woken for several
// ticks at once; it finds by its clock how many they were. Anything else (input, a timer that is not the tick's, a
// tick that found work) makes wake-ups exact again.
#ifndef RING3_MONITOR_RUN_IDLE_H
#define RING3_MONITOR_RUN_IDLE_H

#include "monitor/base/types.h"

struct idle {
    u64 due;      // the last sleep's deadline, in ns
    u64 cpu;      // the CPU time when it began
    u64 period;   // between deadlines
    u32 steady;   // how many of them followed it
    bool reached; // the last sleep ended by the deadline
};

// The guest goes to sleep at `now` until `deadline` (UINT64_MAX: none): for how many ns longer it may. cpu: the CPU time,
// in ns, that the vCPU's thread has taken so far (what others on the host take does not make a tick one with work). once:
// the guest has programmed this deadline, and no other follows it by itself.
u64 idle_late(struct idle *idle, u64 now, u64 cpu, u64 deadline, bool once);
// It was woken, by the deadline or by something else.
void idle_woke(struct idle *idle, bool reached);

#endif
