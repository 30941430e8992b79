// SPDX-License-Identifier: GPL-2.0-or-later
// The guest's screen for people and tests: as plain text, and as a PNG file.
#ifndef RING3_MONITOR_FRONT_PICTURE_H
#define RING3_MONITOR_FRONT_PICTURE_H

#include "monitor/run/machine.h"

// Prints the text screen as UTF-8, one line a row, without trailing blanks; in graphics modes one line
// that says so.
void picture_text(struct machine *m, FILE *f);
// Writes the screen to a PNG file. On failure *err says what, and no file is left behind.
bool picture_png(struct machine *m, const char *path, struct err *err);
// The Unicode character that a PC's character generator shows for a code.
u32 picture_unicode(u8 code);
// Writes a character as UTF-8 to buf, which has room for four bytes and a zero.
void picture_utf8(u32 c, char buf[5]);

#endif
