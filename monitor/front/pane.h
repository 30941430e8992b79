// SPDX-License-Identifier: GPL-2.0-or-later
// A pane of text as a plain printer leaves it, with the few control sequences that line editors use.
// The oldest lines are forgotten.
#ifndef RING3_MONITOR_FRONT_PANE_H
#define RING3_MONITOR_FRONT_PANE_H

#include "monitor/base/types.h"

#define PANE_LINES 512
#define PANE_COLUMNS 240

struct pane {
    char line[PANE_LINES][PANE_COLUMNS]; // a ring; NUL: nothing there
    unsigned last;      // the line that is written to
    unsigned used;      // lines so far, at most PANE_LINES
    unsigned x;         // in it
    unsigned columns;   // where long lines are folded
    unsigned back;      // by how many lines the reader has scrolled back
    bool changed;
    // Of an escape sequence: nothing, ESC, or ESC [ and so far this argument.
    enum { PANE_PLAIN, PANE_ESCAPE, PANE_CONTROL } state;
    unsigned argument;
};

void pane_init(struct pane *p, unsigned columns);
void pane_put(struct pane *p, u8 ch);
// The line `up` lines above the last one, or NULL.
const char *pane_line(const struct pane *p, unsigned up);

#endif
