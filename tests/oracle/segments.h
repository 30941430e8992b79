// SPDX-License-Identifier: GPL-2.0-or-later
// The local descriptor table that cases have on the host (modify_ldt) and in the guest.
#ifndef RING3_TESTS_ORACLE_SEGMENTS_H
#define RING3_TESTS_ORACLE_SEGMENTS_H

#include "case.h"

enum { // struct ldt_entry.flags; the first are modify_ldt's `contents` (conforming code it refuses)
    LDT_UP, LDT_DOWN, LDT_CODE, LDT_CONTENTS = 3,
    LDT_BIG = BIT(2),     // D/B
    LDT_PAGES = BIT(3),   // G: the limit is in pages
    LDT_CLOSED = BIT(4),  // data: read-only; code: execute-only
    LDT_ABSENT = BIT(5),
};

struct ldt_entry {
    u32 base, limit; // limit as in the descriptor: 20 bits
    u8 flags;
};

#define LDT_LIST(X)                                                                          \
    X(FLAT, 0, 0xfffff, LDT_UP | LDT_BIG | LDT_PAGES)                                        \
    X(BASED, 0x10000000, 0xfffff, LDT_UP | LDT_BIG | LDT_PAGES)                              \
    X(BYTES, 0x10000800, 0x7fe, LDT_UP | LDT_BIG)                                            \
    X(PAGE, 0x10000000, 0x1, LDT_UP | LDT_BIG | LDT_PAGES)                                   \
    X(UNALIGNED, 0x10000801, 0x1ffd, LDT_UP | LDT_BIG)                                       \
    X(DOWN, 0x10000000, 0x7ff, LDT_DOWN | LDT_BIG)                                           \
    X(DOWN16, 0x0fff1000, 0xefff, LDT_DOWN)                                                  \
    X(DOWN_PAGES, 0x10000000, 0, LDT_DOWN | LDT_BIG | LDT_PAGES)                             \
    X(CLOSED, 0x10000000, 0x1fff, LDT_UP | LDT_BIG | LDT_CLOSED)                             \
    X(ABSENT, 0x10000000, 0x1fff, LDT_UP | LDT_BIG | LDT_ABSENT)                             \
    X(WRAPPING, 0xfffff000, 0xfffff, LDT_UP | LDT_BIG | LDT_PAGES)                           \
    X(STACK16, 0x10000000, 0x1fff, LDT_UP)                                                   \
    X(CODE, 0, 0xfffff, LDT_CODE | LDT_BIG | LDT_PAGES)                                      \
    X(CODE_BASED, 0x08000000, 0x1fff, LDT_CODE | LDT_BIG)                                    \
    X(CODE16, 0x08000000, 0x1fff, LDT_CODE)                                                  \
    X(CODE_CLOSED, 0, 0xfffff, LDT_CODE | LDT_BIG | LDT_PAGES | LDT_CLOSED)                  \
    X(CODE_SHORT, 0x08000000, 0x5ff, LDT_CODE | LDT_BIG)                                     \
    X(BASED_INSIDE, 0x10000802, 0xfffff, LDT_UP | LDT_BIG | LDT_PAGES)

enum {
#define X(id, base, limit, flags) LDT_ENTRY_##id,
    LDT_LIST(X)
#undef X
    LDT_COUNT
};
static const struct ldt_entry ldt[LDT_COUNT] = {
#define X(id, base, limit, flags) { base, limit, flags },
    LDT_LIST(X)
#undef X
};

#define LDT_SEL(n) ((u16)((n) << 3 | 7))

// NULL if the selector is not one of ours in the LDT.
static inline const struct ldt_entry *ldt_find(u16 sel)
{
    return (sel & 4) && sel >> 3 < LDT_COUNT ? &ldt[sel >> 3] : NULL;
}

static inline u32 segment_base(u16 sel)
{
    const struct ldt_entry *e = ldt_find(sel);

    return e ? e->base : 0;
}

// Where a case's code lies, and whether it is 32-bit code.
static inline u32 case_code_at(const struct oracle_case *c)
{
    return c->eip + segment_base(c->seg[1]);
}

static inline bool case_code32(const struct oracle_case *c)
{
    const struct ldt_entry *e = ldt_find(c->seg[1]);

    return !e || e->flags & LDT_BIG;
}

#endif
