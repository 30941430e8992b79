// SPDX-License-Identifier: GPL-2.0-or-later
// Names of keys and chords, as `sendkey` takes them, and the keys that type a character.
#ifndef RING3_MONITOR_FRONT_KEYS_H
#define RING3_MONITOR_FRONT_KEYS_H

#include "monitor/base/types.h"

#define KEYS_CHORD 4

// The code of a key (set 1, 80h added with an E0 prefix) by its name, as "ret" or "f1"; 0: unknown.
u8 key_find(const char *name, size_t len);
// Parses a chord as "ctrl-alt-delete" or "a"; the number of keys, or 0 if it is none.
unsigned key_chord(const char *text, size_t len, u8 keys[KEYS_CHORD]);
// The chord that types an ASCII character on a US keyboard; the number of keys, or 0.
unsigned key_type(char c, u8 keys[KEYS_CHORD]);
// The i-th name, or NULL past the end.
const char *key_nth_name(unsigned i);

#endif
