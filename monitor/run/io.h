// SPDX-License-Identifier: GPL-2.0-or-later The helper thread that waits for what the outside world
// does while the vCPU thread runs guest code: the board's next deadline, the front end, the time
// limit. And the place where an idle vCPU thread sleeps.
//
//   vCPU thread                                     I/O thread
//   io_arm ---- timerfd ---------------------------> epoll_wait
//   io_listen - front fd, one shot ---------------> epoll_wait
//   guest code <--- ready(): event bit and kick ---- sets `pending`
//   io_take, serves what is pending
//   io_sleep <----- eventfd, only while sleeping --- io_wake
//
// Invariants
//  1. No device runs on the I/O thread: it sets bits in `pending` and calls ready, nothing else.
//  2. A wake-up is never lost: the sleeper sets `sleeping` before it looks at the event word a
//     last time, a waker sets the event word before it looks at `sleeping` (both sequentially
//     consistent).
//  3. The front fd is watched for one event, then not again until io_listen.
#ifndef RING3_MONITOR_RUN_IO_H
#define RING3_MONITOR_RUN_IO_H

#include "monitor/base/err.h"
#include "monitor/base/types.h"

#include <pthread.h>

#define IO_NEVER UINT64_MAX

enum { // io_take
    IO_TIMER = BIT(0),  // the armed deadline is reached
    IO_FRONT = BIT(1),  // the front end's descriptor is readable
    IO_LIMIT = BIT(2),  // the time limit is reached
};

struct io {
    int epoll, timer, limit, wake, stop, front; // file descriptors; -1: none
    pthread_t thread;
    bool running;
    u32 pending;             // IO_*; atomic
    u32 sleeping;            // atomic; see invariant 2
    u64 armed;               // what the timerfd is set to; the vCPU thread's own
    void (*ready)(void *opaque);
    void *opaque;
};

// Starts the thread. front: -1 or a descriptor (not owned); limit_s: 0 or the time limit in
// seconds. ready is called on the I/O thread after bits were set in `pending`. On failure nothing
// is left behind.
bool io_init(struct io *io, int front, unsigned limit_s, void (*ready)(void *), void *opaque,
             struct err *err);
void io_destroy(struct io *io);

// CLOCK_MONOTONIC in ns, the clock of all deadlines here.
u64 io_now(void);
// CPU time of the calling thread, in ns.
u64 io_cpu_time(void);

// Makes ready be called at `deadline` at the latest (perhaps also earlier, from an older arming).
void io_arm(struct io *io, u64 deadline);
// Watches the front fd for its next event.
void io_listen(struct io *io);
// Takes the pending bits.
u32 io_take(struct io *io);

// Blocks until io_wake or the deadline. *event is looked at before sleeping: unless one of the bits
// in mask is set there, whoever sets one must call io_wake afterwards. False: the deadline was reached.
bool io_sleep(struct io *io, u64 deadline, const u32 *event, u32 mask);
// Ends io_sleep. Async-signal-safe, any thread.
void io_wake(struct io *io);

#endif
