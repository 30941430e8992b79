// SPDX-License-Identifier: GPL-2.0-or-later
// The measured loops (loops.S) and their handlers.
#ifndef NANO_H
#define NANO_H

#define NANO_HOLE 0xc00000 // a page that is not present
#define NANO_PAGE 0xc01000 // one whose entry changes

#ifndef __ASSEMBLER__
#include "tests/guest/lib/kernel.h"

extern u32 nano_directories[2];

// Each runs its operation `count` times.
void loop_empty(u32 count), loop_in(u32 count), loop_cr3(u32 count), loop_call(u32 count), loop_pgfault(u32 count),
    loop_divide(u32 count), loop_pte(u32 count), loop_pte_used(u32 count), loop_invlpg(u32 count),
    loop_sti_cli(u32 count), loop_int80(u32 count), loop_sysenter(u32 count);

// Gates lead here. The faults' handlers step over the faulting instruction, two bytes long.
void on_divide(void), on_page_fault(void), on_int80(void), on_sysenter(void);
#endif

#endif
