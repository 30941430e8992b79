// SPDX-License-Identifier: GPL-2.0-or-later
// The layout that writer.c and kill.c agree on: number n fills slot n % NUMBERED_SLOTS, each sector in its own way.
#ifndef RING3_TESTS_GUEST_NUMBERED_H
#define RING3_TESTS_GUEST_NUMBERED_H

#define NUMBERED_SLOT 16   // sectors
#define NUMBERED_SLOTS 200

static inline unsigned numbered_sector(unsigned number)
{
    return 16 + number % NUMBERED_SLOTS * NUMBERED_SLOT;
}

// Word i of what number n writes.
static inline unsigned numbered_word(unsigned number, unsigned i)
{
    return i % 128 == 0 ? number : (number * 2654435761u) ^ (i * 40503u);
}

#endif
