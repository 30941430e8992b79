// SPDX-License-Identifier: GPL-2.0-or-later
// The arithmetic flags as the host's own instructions produce and take them: LAHF and SETO pack
// them into AX, which costs less than computing them, and makes the undefined ones what
// translated code sees.
//
//   AX:  15 SF | 14 ZF | 12 AF | 10 PF | 9 set | 8 CF | 0 OF
#ifndef RING3_MONITOR_CPU_HOSTFLAGS_H
#define RING3_MONITOR_CPU_HOSTFLAGS_H

#include "monitor/base/x86.h"

// Follows the instruction in an asm whose EAX is free.
#define FLAGS_OUT "\n\tlahf\n\tseto %%al"
// Precedes it, with EAX from flags_pack: 1 + 127 overflows, and SAHF leaves OF alone.
#define FLAGS_IN "addb $127, %%al\n\tsahf\n\t"

#define FL_LOW (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF)

static inline u32 flags_pack(u32 eflags)
{
    return (eflags & FL_LOW) << 8 | (eflags >> 11 & 1);
}

static inline u32 flags_unpack(u32 ax)
{
    return (ax >> 8 & FL_LOW) | (ax & 1) << 11;
}

// *eflags with the flags in mask replaced by those in AX.
static inline void flags_set(u32 *eflags, u32 ax, u32 mask)
{
    *eflags = (*eflags & ~mask) | (flags_unpack(ax) & mask);
}

#endif
