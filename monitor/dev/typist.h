// SPDX-License-Identifier: GPL-2.0-or-later
// Hands on the keyboard: presses chords of keys one after the other, as slowly as a person must.
#ifndef RING3_MONITOR_DEV_TYPIST_H
#define RING3_MONITOR_DEV_TYPIST_H

#include "ps2.h"

#define TYPIST_CHORD 4
#define TYPIST_QUEUE 256

struct typist_chord {
    u8 key[TYPIST_CHORD]; // ps2.h's names, in the order of pressing
    u8 count;
    u16 hold_ms;
};

struct typist {
    struct timers *timers;
    struct ps2_keyboard *kbd;
    struct timer timer;
    struct typist_chord queue[TYPIST_QUEUE];
    unsigned head, count;
    bool down;            // the first of the queue is being held
};

void typist_init(struct typist *t, struct timers *timers, struct ps2_keyboard *kbd);
void typist_reset(struct typist *t);
// Queues a chord; false if the queue is full.
bool typist_press(struct typist *t, const u8 *keys, unsigned count, unsigned hold_ms);

#endif
