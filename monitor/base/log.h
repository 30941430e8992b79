// SPDX-License-Identifier: GPL-2.0-or-later
// Traces (-d LIST, -D FILE) and the CHECK that our own bugs end in.
#ifndef RING3_BASE_LOG_H
#define RING3_BASE_LOG_H

#include "types.h"

#include <stdio.h>

// Every trace category: enumerator, its name on the command line, its help line.
#define LOG_LIST(X)                                                                          \
    X(IN_ASM, "in_asm", "guest code of each block as it is translated")                      \
    X(OUT_ASM, "out_asm", "host code of each block, below the guest code it does")                  \
    X(INT, "int", "exceptions and interrupts, with the state they met")                      \
    X(MMU, "mmu", "shadow fills, drops and flushes")                                         \
    X(EXEC, "exec", "each block as it is entered from the run loop")                         \
    X(SENSITIVE, "sensitive", "sensitive instructions, with counts at exit")                 \
    X(GUEST, "guest_errors", "what guests do wrong: unknown ports, MSRs, instructions")      \
    X(UNIMP, "unimp", "what ring3 does not implement")                                       \
    X(DEV, "dev", "device registers")                                                        \
    X(POST, "post", "power-on self-test codes, ports 80 and 190")                        \
    X(FIRMWARE, "firmware", "the firmware's own log, port 402")                             \
    X(SCREEN, "screen", "the text screen, at exit")

enum log_category {
#define X(id, name, help) LOG_##id,
    LOG_LIST(X)
#undef X
    LOG_CATEGORIES
};

struct log {
    u32 mask;   // bit per log_category
    FILE *file; // never NULL once initialised; stderr by default
};

static inline bool log_on(const struct log *log, enum log_category c)
{
    return unlikely(log->mask & BIT(c));
}

// Writes one message if the category is on. The caller supplies the newline.
void log_to(const struct log *log, enum log_category c, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// Our own bug: prints the place and exits with EXIT_BUG. If check_hook is set it is called
// first, once, to print machine state; it must not return to guest code.
extern void (*check_hook)(void);
_Noreturn void check_failed(const char *file, int line, const char *what);

#define CHECK(cond)                                                                          \
    do {                                                                                     \
        if (unlikely(!(cond)))                                                               \
            check_failed(__FILE__, __LINE__, #cond);                                         \
    } while (0)

#endif
