// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's costs: processes and threads that pass a byte to and fro.
#include "kernel.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void kernel_one_cpu(void)
{
    cpu_set_t set;
    int cpu = sched_getcpu();

    CPU_ZERO(&set);
    CPU_SET(cpu < 0 ? 0 : (unsigned)cpu, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

// The child adds one to each byte that it sends back.
static uint32_t ping_pong(struct bench *b, uint32_t n, int read_here, int write_there, int read_there, int write_here)
{
    uint32_t sum = 0;
    unsigned char c;
    pid_t pid;

    kernel_one_cpu();
    pid = fork();
    bench_need(pid >= 0, "fork");
    if (pid == 0) {
        close(write_here);
        close(read_here);
        while (read(read_there, &c, 1) == 1) {
            c++;
            if (write(write_there, &c, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    bench_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        c = (unsigned char)i;
        if (write(write_here, &c, 1) != 1 || read(read_here, &c, 1) != 1)
            bench_need(false, "ping-pong");
        sum += c;
    }
    bench_end(b);
    close(write_here);
    if (read_here != write_here)
        close(read_there);
    waitpid(pid, NULL, 0);
    return sum;
}

static uint32_t pipe_talk(struct bench *b, uint32_t n)
{
    int to[2], from[2];

    bench_need(!pipe(to) && !pipe(from), "pipe");
    return ping_pong(b, n, from[0], from[1], to[0], to[1]);
}

static uint32_t socket_talk(struct bench *b, uint32_t n)
{
    int pair[2];

    bench_need(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
    return ping_pong(b, n, pair[0], pair[1], pair[1], pair[0]);
}

struct turn {
    uint32_t value; // whose turn it is: even ours, odd the other thread's
    uint32_t n;
};

static long futex(uint32_t *word, int op, uint32_t value)
{
    return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static void take_turns(struct turn *turn, uint32_t mine)
{
    for (uint32_t i = mine; i < 2 * turn->n; i += 2) {
        uint32_t value;

        while ((value = __atomic_load_n(&turn->value, __ATOMIC_ACQUIRE)) != i)
            futex(&turn->value, FUTEX_WAIT_PRIVATE, value);
        __atomic_store_n(&turn->value, i + 1, __ATOMIC_RELEASE);
        futex(&turn->value, FUTEX_WAKE_PRIVATE, 1);
    }
}

static void *other_side(void *turn)
{
    take_turns(turn, 1);
    return NULL;
}

static uint32_t futex_talk(struct bench *b, uint32_t n)
{
    struct turn turn = {.n = n};
    pthread_t thread;

    kernel_one_cpu();
    bench_need(!pthread_create(&thread, NULL, other_side, &turn), "pthread_create");
    bench_begin(b);
    take_turns(&turn, 0);
    pthread_join(thread, NULL);
    bench_end(b);
    return turn.value;
}

// What an uncontended lock costs that goes to the kernel all the same.
static uint32_t futex_wake(struct bench *b, uint32_t n)
{
    uint32_t word = 0, sum = 0;

    (void)b;
    for (uint32_t i = 0; i < n; i++)
        sum += (uint32_t)futex(&word, FUTEX_WAKE_PRIVATE, 1);
    return sum;
}

const struct work kernel_talk[] = {
    {"pipe", pipe_talk, 40000},
    {"socket", socket_talk, 30000},
    {"futex_talk", futex_talk, 40000},
    {"futex_wake", futex_wake, 600000},
    {NULL, NULL, 0},
};
