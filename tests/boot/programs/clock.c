// SPDX-License-Identifier: GPL-2.0-or-later
// clock: prints the wall clock as "clock SECONDS.NANOSECONDS", read as late as possible.
#include "linux.h"

static int program(int argc, char **argv)
{
    char line[] = "clock ....................\n";
    unsigned long ts[2];

    (void)argc, (void)argv;
    linux_call(SYS_CLOCK_GETTIME, 0, (long)ts, 0);
    for (int i = 15; i >= 6; i--, ts[0] /= 10)
        line[i] = (char)('0' + ts[0] % 10);
    line[16] = '.';
    for (int i = 25; i >= 17; i--, ts[1] /= 10)
        line[i] = (char)('0' + ts[1] % 10);
    print(line);
    return 0;
}
