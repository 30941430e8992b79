// SPDX-License-Identifier: GPL-2.0-or-later
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool err_set(struct err *e, enum exit_status status, const char *fmt, ...)
{
    va_list ap;

    e->status = status;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    return false;
}

_Noreturn void err_no_memory(const char *what)
{
    fprintf(stderr, "ring3: the host has no more memory for %s: give the guest less (-m), or ring3 more "
                    "(ulimit -v, vm.max_map_count)\n", what);
    exit(EXIT_HOST);
}
