// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's costs: processes and threads.
#include "kernel.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define COW_PAGES 256

static uint32_t reap(pid_t pid)
{
    int status;

    bench_need(pid > 0 && waitpid(pid, &status, 0) == pid, "fork and wait");
    return WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 255;
}

static uint32_t fork_wait(struct bench *b, uint32_t n)
{
    uint32_t sum = 0;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        pid_t pid = fork();

        if (pid == 0)
            _exit((int)(i & 7));
        sum += reap(pid);
    }
    return sum;
}

// The child writes to a mebibyte of its parent's memory.
static uint32_t fork_cow(struct bench *b, uint32_t n)
{
    char *memory = mmap(NULL, COW_PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t sum = 0;

    bench_need(memory != MAP_FAILED, "mmap");
    memset(memory, 1, COW_PAGES * 4096);
    bench_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            uint32_t seen = 0;

            for (int p = 0; p < COW_PAGES; p++)
                seen += (uint32_t)(memory[p * 4096] += 1);
            _exit(seen == 2 * COW_PAGES ? 3 : 4);
        }
        sum += reap(pid);
    }
    bench_end(b);
    return sum + (uint32_t)memory[0];
}

static uint32_t fork_exec(struct bench *b, uint32_t n)
{
    uint32_t sum = 0;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            execl("/proc/self/exe", "kernel", "-exit", NULL);
            _exit(1);
        }
        sum += reap(pid);
    }
    return sum;
}

// vfork's child runs on its parent's stack: a function of its own keeps the loop's variables out of its reach.
static NOINLINE uint32_t vfork_exec_once(void)
{
    pid_t pid = vfork();

    if (pid == 0) {
        execl("/proc/self/exe", "kernel", "-exit", NULL);
        _exit(1);
    }
    return reap(pid);
}

static uint32_t vfork_exec(struct bench *b, uint32_t n)
{
    uint32_t sum = 0;

    (void)b;
    for (uint32_t i = 0; i < n; i++)
        sum += vfork_exec_once();
    return sum;
}

static void *thread(void *count)
{
    *(uint32_t *)count += 1;
    return NULL;
}

static uint32_t thread_create(struct bench *b, uint32_t n)
{
    uint32_t count = 0;
    pthread_t t;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        bench_need(!pthread_create(&t, NULL, thread, &count), "pthread_create");
        pthread_join(t, NULL);
    }
    return count;
}

// Two processes that yield to each other.
static uint32_t yield(struct bench *b, uint32_t n)
{
    pid_t pid;

    (void)b;
    kernel_one_cpu();
    pid = fork();
    for (uint32_t i = 0; i < n; i++)
        sched_yield();
    if (pid == 0)
        _exit(5);
    return reap(pid);
}

const struct work kernel_process[] = {
    {"fork_wait", fork_wait, 2500},
    {"fork_cow", fork_cow, 250},
    {"fork_exec", fork_exec, 400},
    {"vfork_exec", vfork_exec, 500},
    {"thread", thread_create, 6000},
    {"yield", yield, 50000},
    {NULL, NULL, 0},
};
