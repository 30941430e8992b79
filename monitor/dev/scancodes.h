// SPDX-License-Identifier: GPL-2.0-or-later
// The three scan-code sets, and the 8042's translation of the second into the first.
#ifndef RING3_MONITOR_DEV_SCANCODES_H
#define RING3_MONITOR_DEV_SCANCODES_H

#include "monitor/base/types.h"

#define SCANCODE_MAX 8
#define SCANCODE_PAUSE 0xc6
#define SCANCODE_PRINT 0xb7

// Set 2 to set 1, as the 8042 does it for each byte but F0h, which it takes for the break bit.
u8 scancode_translate(u8 set2);
// The bytes that `key` (its set-1 make code, 80h added for E0-prefixed ones) sends in a set when it
// goes down or up: at most SCANCODE_MAX, none for a key that does not exist there.
unsigned scancode_of(u8 key, unsigned set, bool down, u8 *out);

#endif
