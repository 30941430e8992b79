// SPDX-License-Identifier: GPL-2.0-or-later
// The 32-bit half of the test ROM.
#ifndef RING3_TESTS_GUEST_ROM_H
#define RING3_TESTS_GUEST_ROM_H

#include "tests/guest/lib/kernel.h"

// Shows the code and the name of what comes next.
void stage(u8 code, const char *name);
// The verdict, and the end.
_Noreturn void failed(const char *file, int line, const char *what);

#define MUST(condition)                                                                      \
    do {                                                                                     \
        if (!(condition))                                                                    \
            failed(__FILE_NAME__, __LINE__, #condition);                                     \
    } while (0)
// The call must end with this exception, or NO_FAULT.
#define FAULTS(function, argument, vector) \
    MUST(guarded_call(function, (void *)(argument)) == (vector))
#define USER_FAULTS(function, argument, vector) \
    MUST(guarded_user(function, (void *)(argument), 0x202) == (vector))

// What memory holds now: of entries that the processor changes.
static inline u32 peek(const u32 *p)
{
    u32 entry;

    __asm__ volatile("movl %1, %0" : "=r"(entry) : "m"(*p) : "memory");
    return entry;
}

// The stages, by file.
void protected_stages(void);  // protected.c: segments, gates, privilege, tasks, exceptions
void memory_stages(void);     // memory.c: paging, virtual-8086 mode, debug registers
void extension_stages(void);  // extensions.c: x87 and what came with the 486, Pentium and P6

#endif
