// SPDX-License-Identifier: GPL-2.0-or-later
// What the display shows just now, as pixels and, in text modes, as characters.
#ifndef RING3_MONITOR_DEV_SCREEN_H
#define RING3_MONITOR_DEV_SCREEN_H

#include "monitor/base/types.h"

#define SCREEN_COLUMNS 256
#define SCREEN_ROWS 256
#define SCREEN_CELLS (SCREEN_COLUMNS * 100)

struct screen_text {
    bool text;               // in a text mode, and not blank; else only width and height mean something
    unsigned width, height;  // in pixels
    unsigned columns, rows;
    int cursor_x, cursor_y;  // -1: hidden
    u16 cell[SCREEN_CELLS];  // row by row: character in the low byte, attribute in the high one
    bool blink;              // attribute bit 7 means blinking, not a bright background
};

struct screen_pixels {
    unsigned width, height;  // 0: nothing is shown
    u32 *rgb;                // 0x00rrggbb, row by row; the receiver frees it
};

#endif
