// SPDX-License-Identifier: GPL-2.0-or-later
// The integer loop of real16.S on the bare CPU; and turns its guest's output into times: real16 [OUTPUT]
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

static unsigned short words[8192];

static unsigned long long native_loop(void)
{
    unsigned long long begin = __rdtsc();

    for (int i = 0; i < 4096; i++) {
        unsigned long long at = 0, sum = 0, count = 8192;

        __asm__ volatile("1: addw (%3,%1), %w0\n rolw $3, %w0\n xorw %w1, %w0\n movw %w0, (%3,%1)\n"
                         "addw $2, %w1\n decw %w2\n jnz 1b"
                         : "+r"(sum), "+r"(at), "+r"(count) : "r"(words) : "memory");
    }
    return __rdtsc() - begin;
}

static double ticks_per_second(void)
{
    struct timespec a, b, pause = { 0, 50000000 };
    unsigned long long begin;

    clock_gettime(CLOCK_MONOTONIC, &a);
    begin = __rdtsc();
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (__rdtsc() - begin) / (b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) * 1e-9);
}

int main(void)
{
    unsigned long long least = ~0ull, ticks;
    double hz = ticks_per_second();
    char name[16];

    for (int i = 0; i < 5; i++) {
        ticks = native_loop();
        least = ticks < least ? ticks : least;
    }
    printf("%-8s %8.3f s natively\n", "loop", least / hz);
    while (scanf(" @real16 %15s %llx", name, &ticks) == 2) {
        printf("%-8s %8.3f s in ring3", name, ticks / hz);
        if (strcmp(name, "loop") == 0)
            printf(", %.2f times native (to be at most 2)", (double)ticks / least);
        else
            printf(" (to be under %s)", strcmp(name, "int") == 0 ? "0.2" : "1");
        printf("\n");
    }
    return 0;
}
