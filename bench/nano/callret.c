// SPDX-License-Identifier: GPL-2.0-or-later
// What a call and its return cost on the bare CPU, in cycles of the time-stamp counter: nano.c's callret.
#include <stdio.h>

enum { BATCHES = 15, COUNT = 40000 };

#define LOOP(body)                                                                                                     \
    asm volatile("movl %0, %%ecx\n .balign 16\n 1: " body "decl %%ecx\n jnz 1b\n jmp 3f\n 2: ret\n 3:" : : "i"(COUNT)  \
                 : "ecx", "memory")

static unsigned long long least(int call)
{
    unsigned long long best = ~0ull;

    for (int i = 0; i < BATCHES; i++) {
        unsigned long long begin = __builtin_ia32_rdtsc(), took;

        if (call)
            LOOP("call 2f\n");
        else
            LOOP("");
        took = __builtin_ia32_rdtsc() - begin;
        best = took < best ? took : best;
    }
    return best;
}

int main(void)
{
    unsigned long long with = least(1), without = least(0);

    printf("%.2f\n", with > without ? (double)(with - without) / COUNT : 0.0);
    return 0;
}
