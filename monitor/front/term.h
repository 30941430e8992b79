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
// Gives it back. Async-signal-safe, and harmless when nothing is raw.
void term_restore(void);

#endif
