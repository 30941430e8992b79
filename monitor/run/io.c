// SPDX-License-Identifier: GPL-2.0-or-later
#include "io.h"

#include "monitor/base/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000ull

static struct timespec to_timespec(u64 ns)
{
    return (struct timespec){ (time_t)(ns / NS), (long)(ns % NS) };
}

static u64 clock_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (u64)ts.tv_sec * NS + (u64)ts.tv_nsec;
}

u64 io_now(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

u64 io_cpu_time(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void drain(int fd)
{
    u64 count;

    // Non-blocking; nothing there is as good as drained.
    if (read(fd, &count, sizeof(count)) < 0)
        return;
}

static void *io_thread(void *opaque)
{
    struct io *io = opaque;

    prctl(PR_SET_NAME, "ring3-io");
    prctl(PR_SET_TIMERSLACK, 1ul);
    for (;;) {
        struct epoll_event event[4];
        int n = epoll_wait(io->epoll, event, ARRAY_LEN(event), -1);
        u32 bits = 0;

        for (int i = 0; i < n; i++) {
            int fd = event[i].data.fd;

            if (fd == io->stop)
                return NULL;
            if (fd == io->front) {
                bits |= IO_FRONT;
            } else {
                drain(fd);
                bits |= fd == io->timer ? IO_TIMER : IO_LIMIT;
            }
        }
        if (bits) {
            __atomic_or_fetch(&io->pending, bits, __ATOMIC_SEQ_CST);
            io->ready(io->opaque);
        }
    }
}

static bool watch(struct io *io, int fd, u32 events)
{
    struct epoll_event event = { .events = events, .data.fd = fd };

    return fd >= 0 && epoll_ctl(io->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool io_start(struct io *io)
{
    sigset_t all, old;
    int rc;

    // Signals are for the vCPU thread, whose handlers know what to do with them.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&io->thread, NULL, io_thread, io);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    io->running = rc == 0;
    errno = rc;
    return rc == 0;
}

bool io_init(struct io *io, int front, unsigned limit_s, void (*ready)(void *), void *opaque,
             struct err *err)
{
    struct itimerspec limit = { .it_value = to_timespec(io_now() + limit_s * NS) };
    bool ok;

    *io = (struct io){ .front = front, .armed = IO_NEVER, .ready = ready, .opaque = opaque };
    io->epoll = epoll_create1(EPOLL_CLOEXEC);
    io->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    io->limit = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    io->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    io->stop = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ok = io->epoll >= 0 && io->wake >= 0 && watch(io, io->timer, EPOLLIN) &&
         watch(io, io->limit, EPOLLIN) && watch(io, io->stop, EPOLLIN) &&
         (front < 0 || watch(io, front, EPOLLIN | EPOLLONESHOT)) &&
         (!limit_s || timerfd_settime(io->limit, TFD_TIMER_ABSTIME, &limit, NULL) == 0) &&
         io_start(io);
    if (!ok) {
        err_set(err, EXIT_HOST, "cannot set up timers and events: %s", strerror(errno));
        io_destroy(io);
    }
    return ok;
}

void io_destroy(struct io *io)
{
    const int fds[] = { io->epoll, io->timer, io->limit, io->wake, io->stop };
    u64 one = 1;

    if (io->running) {
        CHECK(write(io->stop, &one, sizeof(one)) == sizeof(one));
        pthread_join(io->thread, NULL);
    }
    for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    *io = (struct io){ .epoll = -1, .timer = -1, .limit = -1, .wake = -1, .stop = -1,
                       .front = -1 };
}

static void set_timer(struct io *io, u64 deadline)
{
    // A zero it_value disarms.
    struct itimerspec when = { .it_value = to_timespec(deadline == IO_NEVER ? 0 : MAX(deadline,
                                                                                      1ull)) };

    io->armed = deadline;
    CHECK(timerfd_settime(io->timer, TFD_TIMER_ABSTIME, &when, NULL) == 0);
}

void io_arm(struct io *io, u64 deadline)
{
    // A deadline that moved away costs one early wake-up, which is less than a system call per
    // move.
    if (deadline < io->armed)
        set_timer(io, deadline);
}

void io_listen(struct io *io)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.fd = io->front };

    if (io->front >= 0)
        CHECK(epoll_ctl(io->epoll, EPOLL_CTL_MOD, io->front, &event) == 0);
}

u32 io_take(struct io *io)
{
    u32 bits = __atomic_exchange_n(&io->pending, 0, __ATOMIC_SEQ_CST);

    if (bits & IO_TIMER)
        io->armed = IO_NEVER;
    return bits;
}

bool io_sleep(struct io *io, u64 deadline, const u32 *event, u32 mask)
{
    struct pollfd fd = { .fd = io->wake, .events = POLLIN };
    struct timespec left;
    bool woken = true;
    u64 now;

    // The sleeper keeps the time itself: one thread switch less for every tick of an idle guest.
    if (io->armed != IO_NEVER)
        set_timer(io, IO_NEVER);
    __atomic_store_n(&io->sleeping, 1, __ATOMIC_SEQ_CST);
    if (!(__atomic_load_n(event, __ATOMIC_SEQ_CST) & mask)) {
        now = io_now();
        left = to_timespec(deadline > now ? deadline - now : 0);
        woken = ppoll(&fd, 1, deadline == IO_NEVER ? NULL : &left, NULL) != 0;
    }
    __atomic_store_n(&io->sleeping, 0, __ATOMIC_SEQ_CST);
    // A wake-up that comes after the time-out ends the next sleep early, no more.
    if (woken)
        drain(io->wake);
    return woken;
}

void io_wake(struct io *io)
{
    u64 one = 1;
    int saved = errno;

    // A full eventfd is readable, which is all that is wanted.
    if (__atomic_load_n(&io->sleeping, __ATOMIC_SEQ_CST) && write(io->wake, &one, sizeof(one)) < 0)
        errno = saved;
}
