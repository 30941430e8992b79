// SPDX-License-Identifier: GPL-2.0-or-later
// fpwork SEED: x87 and SSE arithmetic that yields the CPU all the time, with registers live across the switch.
// Several of them at once find out whether each process keeps its own floating-point state. Prints a hash that
// is the same on every correct CPU.
#include "linux.h"

typedef float v4 __attribute__((vector_size(16)));

static unsigned fold(unsigned hash, const void *bytes, unsigned len)
{
    const unsigned char *p = bytes;

    while (len--)
        hash = (hash ^ *p++) * 16777619u;
    return hash;
}

// The accumulator stays on the x87 stack and in xmm7 across every system call.
static unsigned work(unsigned seed, unsigned rounds)
{
    unsigned hash = 2166136261u;
    double x = seed + 0.5, step = 1.0 / (seed + 3);
    v4 f = { 1.0f, 1.5f, 2.0f, (float)seed };

    for (unsigned i = 0; i < rounds; i++) {
        unsigned char image[10];
        v4 out;

        __asm__ volatile("fldl %2\n fldl %3\n fsqrt\n fmul %%st(1), %%st\n fld1\n faddp\n"
                         "movups %4, %%xmm7\n mulps %%xmm7, %%xmm7\n"
                         LINUX_CALL "\n"
                         "fsqrt\n fxch\n fadd %%st(1), %%st\n fstpl %2\n fstpt %1\n"
                         "sqrtps %%xmm7, %%xmm7\n movups %%xmm7, %0\n"
                         : "=m"(out), "=m"(image), "+m"(x)
                         : "m"(step), "m"(f), "a"(SYS_SCHED_YIELD)
                         : LINUX_CLOBBERS, "xmm7");
        hash = fold(hash, image, sizeof(image));
        hash = fold(hash, &out, sizeof(out));
        x = x * 0.75 + i * step;
        f = f * 0.5f + 1.25f;
    }
    return fold(hash, &x, sizeof(x));
}

static int program(int argc, char **argv)
{
    char line[] = "fpwork ........ ........\n";
    unsigned seed = argc > 1 ? decimal(argv[1]) : 1;

    hex(line + 7, seed);
    hex(line + 16, work(seed, 20000));
    print(line);
    return 0;
}
