// SPDX-License-Identifier: GPL-2.0-or-later
// The user's terminal in raw mode, and back, however the program ends.
#ifndef RING3_MONITOR_FRONT_TERM_H
#define RING3_MONITOR_FRONT_TERM_H

#include "monitor/base/types.h"

// Installs handlers that give the terminal back on a crash, on SIGTSTP (raw again when continued)
// and at exit. Once, before an engine installs its own for host faults (which pass on what they
// don't know).
void term_guard(void);
// Makes the terminal on fd raw; false if fd is no terminal.
bool term_raw(int fd);
// The terminal on fd is in the state another library gave it; `saved` is what it was before, and
// `leave` a string that ends what that library set up. term_restore gives it back from now on.
struct termios;
void term_adopt(int fd, const struct termios *saved, const char *leave);
// True once after the terminal's size changed, or after a stop: all must be drawn again.
bool term_changed(void);
// Gives it back. Async-signal-safe, and harmless when nothing is raw.
void term_restore(void);

#endif
