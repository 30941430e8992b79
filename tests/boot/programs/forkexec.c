// SPDX-License-Identifier: GPL-2.0-or-later
// forkexec N: forks, runs itself and waits, N times. Prints how many children ended as they should.
#include "linux.h"

static int program(int argc, char **argv)
{
    unsigned n = argc > 1 ? decimal(argv[1]) : 0, good = 0;
    char line[] = "forkexec ........\n";
    const char *self = "/proc/self/exe";

    if (argc > 2) // the child
        return 42;
    for (unsigned i = 0; i < n; i++) {
        long pid = linux_call(SYS_FORK, 0, 0, 0);
        int status = 0;

        if (pid == 0) {
            char *child[] = { argv[0], argv[1], (char *)"child", 0 };
            char *environment[] = { 0 };

            linux_call(SYS_EXECVE, (long)self, (long)child, (long)environment);
            return 1;
        }
        linux_call(SYS_WAITPID, pid, (long)&status, 0);
        good += status == 42 << 8;
    }
    hex(line + 9, good);
    print(line);
    return good != n;
}
