// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's costs: mappings, page faults and signals.
#include "kernel.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define TOUCH_SIZE (4u << 20)

static char *map(size_t size, int protection)
{
    char *memory = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    bench_need(memory != MAP_FAILED, "mmap");
    return memory;
}

static uint32_t mmap_touch(struct bench *b, uint32_t n)
{
    uint32_t sum = 0;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        char *memory = map(TOUCH_SIZE, PROT_READ | PROT_WRITE);

        for (size_t at = 0; at < TOUCH_SIZE; at += 4096)
            sum += (uint32_t)(memory[at] += 1);
        munmap(memory, TOUCH_SIZE);
    }
    return sum;
}

static uint32_t mmap_small(struct bench *b, uint32_t n)
{
    uint32_t sum = 0;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        char *memory = map(4096, PROT_READ | PROT_WRITE);

        sum += (uint32_t)(memory[i & 0xfff] += 1);
        munmap(memory, 4096);
    }
    return sum;
}

// One page's protection flips, and is written to in between.
static uint32_t protect(struct bench *b, uint32_t n)
{
    char *memory = map(4096, PROT_READ | PROT_WRITE);
    uint32_t sum = 0;

    bench_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        mprotect(memory, 4096, PROT_READ | PROT_WRITE);
        *(volatile char *)memory += 1;
        mprotect(memory, 4096, PROT_READ);
        sum += (uint32_t)*(volatile char *)memory;
    }
    return sum;
}

// Handlers have no argument of ours, hence two counters of the program.
static volatile uint32_t handled;

static void count(int number)
{
    (void)number;
    handled++;
}

static uint32_t signals(struct bench *b, uint32_t n)
{
    struct sigaction action = {.sa_handler = count};
    pid_t self = getpid();

    sigaction(SIGUSR1, &action, NULL);
    bench_begin(b);
    for (uint32_t i = 0; i < n; i++)
        kill(self, SIGUSR1);
    bench_end(b);
    return handled;
}

#ifdef __i386__
enum { PC = REG_EIP };
#else
enum { PC = REG_RIP };
#endif

// Steps over the faulting instruction, movb $0,(%eax): three bytes.
static void step_over(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    (void)number;
    (void)info;
    uc->uc_mcontext.gregs[PC] += 3;
    handled++;
}

static uint32_t segv(struct bench *b, uint32_t n)
{
    struct sigaction action = {.sa_sigaction = step_over, .sa_flags = SA_SIGINFO};
    char *memory = map(4096, PROT_NONE);

    sigaction(SIGSEGV, &action, NULL);
    bench_begin(b);
    for (uint32_t i = 0; i < n; i++)
        asm volatile("movb $0, (%0)" : : "a"(memory) : "memory");
    bench_end(b);
    return handled;
}

// Sets a timer and takes it back.
static uint32_t timer_arm(struct bench *b, uint32_t n)
{
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    struct itimerspec later = {.it_value.tv_sec = 100}, off = {0};
    uint32_t sum = 0;
    timer_t timer;

    bench_need(!timer_create(CLOCK_MONOTONIC, &event, &timer), "timer_create");
    bench_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        sum += timer_settime(timer, 0, &later, NULL) == 0;
        sum += timer_settime(timer, 0, &off, NULL) == 0;
    }
    bench_end(b);
    timer_delete(timer);
    return sum;
}

// Short sleeps: what counts is how late they end.
static uint32_t sleeps(struct bench *b, uint32_t n)
{
    uint32_t sum = 0;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        struct timespec t = {.tv_nsec = 200000};

        sum += nanosleep(&t, NULL) == 0;
    }
    return sum;
}

const struct work kernel_memory[] = {
    {"mmap_touch", mmap_touch, 40},
    {"mmap_small", mmap_small, 20000},
    {"mprotect", protect, 80000},
    {"signal", signals, 20000},
    {"segv", segv, 15000},
    {"timer_arm", timer_arm, 200000},
    {"sleep_200us", sleeps, 600},
    {NULL, NULL, 0},
};
