// SPDX-License-Identifier: GPL-2.0-or-later
// From what ncurses makes of a terminal's keyboard to the keys of a PC's.
#ifndef RING3_MONITOR_FRONT_TERM_KEYS_H
#define RING3_MONITOR_FRONT_TERM_KEYS_H

#include "keys.h"

// The keys to press for a code of getch, with Alt or without; 0: there are none.
unsigned term_key(int code, bool alt, u8 keys[KEYS_CHORD]);

#endif
