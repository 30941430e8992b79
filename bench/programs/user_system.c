// SPDX-License-Identifier: GPL-2.0-or-later
// User code: what touches segments, locks and counters.
#include "user.h"

static __thread uint32_t own[16];

// Thread-local variables are at %gs:OFFSET on i386.
static uint32_t thread_local_data(struct bench *b, uint32_t n)
{
    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        own[i & 15] += i;
        own[3] ^= own[(i >> 4) & 15];
        asm volatile("" : : : "memory");
    }
    return own[3] + own[7];
}

static uint32_t locked(struct bench *b, uint32_t n)
{
    static uint32_t word, other;
    uint32_t sum = 0;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t expected = word;

        __atomic_fetch_add(&other, i, __ATOMIC_SEQ_CST);
        sum += __atomic_compare_exchange_n(&word, &expected, i, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        sum += __atomic_exchange_n(&other, i, __ATOMIC_SEQ_CST) & 1;
    }
    return sum + word;
}

static uint32_t locked64(struct bench *b, uint32_t n)
{
    static uint64_t word __attribute__((aligned(8)));

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t expected = word;

        __atomic_compare_exchange_n(&word, &expected, expected * 3 + i, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    return (uint32_t)(word ^ word >> 32);
}

static uint32_t rdtsc(struct bench *b, uint32_t n)
{
    uint64_t last = 0;
    uint32_t back = 0;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t now = __builtin_ia32_rdtsc();

        back += now < last;
        last = now;
    }
    return back;
}

#ifdef __i386__
// Flags in memory and back: what compilers avoid and old libraries do.
static uint32_t flags(struct bench *b, uint32_t n)
{
    uint32_t sum = 0;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t x = i * 2654435761u, f;

        asm volatile("addl %1, %1\n pushf\n popl %0\n pushl %0\n popf\n adcl $0, %1\n"
                     : "=&r"(f), "+r"(x)
                     :
                     : "cc", "memory");
        sum += x;
        sum += f & 0x8d5;
    }
    return sum;
}
#endif

const struct work user_system[] = {
    {"thread_local", thread_local_data, 115000000},
    {"locked", locked, 30000000},
    {"locked64", locked64, 44000000},
    {"rdtsc", rdtsc, 20000000},
#ifdef __i386__
    {"flags", flags, 30000000},
#endif
    {NULL, NULL, 0},
};
