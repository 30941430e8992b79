// SPDX-License-Identifier: GPL-2.0-or-later
#include "log.h"

#include "err.h"

#include <stdarg.h>
#include <unistd.h>

void (*check_hook)(void);

void log_to(const struct log *log, enum log_category c, const char *fmt, ...)
{
    va_list ap;

    if (!log_on(log, c))
        return;
    va_start(ap, fmt);
    vfprintf(log->file, fmt, ap);
    va_end(ap);
}

_Noreturn void check_failed(const char *file, int line, const char *what)
{
    void (*hook)(void) = check_hook;

    fprintf(stderr, "ring3: internal error at %s:%d: %s does not hold. This is a bug of ring3's; "
                    "please report it with the lines around this one.\n", file, line, what);
    check_hook = NULL;
    if (hook)
        hook();
    _exit(EXIT_BUG);
}
