// SPDX-License-Identifier: GPL-2.0-or-later
// What plugs into a port of the 8042, and the one such device so far: an enhanced (101-key)
// keyboard.
#ifndef RING3_MONITOR_DEV_PS2_H
#define RING3_MONITOR_DEV_PS2_H

#include "timers.h"

struct ps2;

struct ps2_ops {
    // The host sent a byte; replies go through ps2_queue.
    void (*write)(struct ps2 *dev, u8 byte);
    void (*reset)(struct ps2 *dev); // power-on
};

// The common part, first in every device: its output buffer.
struct ps2 {
    const struct ps2_ops *ops;
    void (*ready)(void *opaque); // the queue was empty and is not any more
    void *opaque;
    u8 queue[64];
    unsigned head, count;
};

// Appends a byte; false if the buffer is full.
bool ps2_queue(struct ps2 *dev, u8 byte);
// Takes the first byte; the queue must not be empty.
u8 ps2_take(struct ps2 *dev);
static inline void ps2_clear(struct ps2 *dev)
{
    dev->count = 0;
}

struct ps2_keyboard {
    struct ps2 port;
    struct timers *timers;
    struct timer typematic;
    u8 command;       // that waits for its argument; 0: none
    u8 last;          // sent, for RESEND
    u8 set;           // scan-code set 1-3
    u8 leds;          // bit 0 scroll, 1 num, 2 caps lock
    u8 rate;          // typematic rate and delay, as F3h sets them
    bool scanning;
    bool overrun;     // a key was lost: said so when there is room
    u8 repeating;     // the key that is held; 0: none
};

void ps2_keyboard_init(struct ps2_keyboard *kbd, struct timers *timers);

// A key goes down or up. Keys are named by their set-1 make code; 80h added for those with an E0
// prefix (right control 9Dh, up arrow C8h). C6h is Pause (or, held with control, Break), B7h Print
// Screen.
void ps2_keyboard_key(struct ps2_keyboard *kbd, u8 key, bool down);

#endif
