// SPDX-License-Identifier: GPL-2.0-or-later
// A guest for the profiling options (run-profile): all its time goes to profile_spin, called through profile_outer.
#include "tests/guest/lib/kernel.h"

#define FRAMED __attribute__((noinline, noclone, optimize("no-omit-frame-pointer")))

u32 profile_spin(u32 n), profile_outer(u32 n);

FRAMED u32 profile_spin(u32 n)
{
    u32 x = 1;

    for (u32 i = 0; i < n; i++) {
        x = x * 5 + i;
        __asm__ volatile("" : "+r"(x));
    }
    return x;
}

FRAMED u32 profile_outer(u32 n)
{
    return profile_spin(n) + 1;
}

_Noreturn void kernel_main(u32 info)
{
    (void)info;
    kernel_init();
    print("%x\n", profile_outer(300u * 1000 * 1000));
    power_off();
}
