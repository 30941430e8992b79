// SPDX-License-Identifier: GPL-2.0-or-later
// -display curses: the guest's text screen on the terminal, its keyboard on the terminal's, and beside
// it two panes of text, the prompt and the first serial port. Alt-1, Alt-2 and Alt-3 choose.
//
// Everything runs on the vCPU thread, in display_poll, some times a second: what has changed on the
// screen since the last time is drawn. What is written to standard error meanwhile is held back: it
// appears in the prompt's pane, and on the real standard error when the display stops.
#ifndef RING3_MONITOR_FRONT_DISPLAY_H
#define RING3_MONITOR_FRONT_DISPLAY_H

#include "prompt.h"

enum display_pane { PANE_MONITOR, PANE_SERIAL, PANES };

struct display; // display.c

// Whether ring3 was built with it.
bool display_possible(void);
// NULL, with *err, if it was not, or out of memory.
struct display *display_new(struct err *err);
void display_free(struct display *d);
// A descriptor that is readable when display_poll has something to do.
int display_events(const struct display *d);
// Takes the terminal (standard input and output). typed, if not NULL, gets what is typed in the serial
// pane. On failure the terminal is as it was.
bool display_start(struct display *d, struct machine *machine, struct prompt *prompt,
                   void (*typed)(void *opaque, u8 ch), void *opaque, struct err *err);
void display_stop(struct display *d);
void display_poll(struct display *d);
// Adds to what a pane shows.
void display_print(struct display *d, enum display_pane pane, const u8 *bytes, size_t len);

#endif
