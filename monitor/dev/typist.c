// SPDX-License-Identifier: GPL-2.0-or-later
#include "typist.h"

#include <string.h>

#define MS 1000000ull
#define PAUSE_MS 20 // between two chords

static void press(struct typist *t)
{
    const struct typist_chord *c = &t->queue[t->head];

    for (unsigned i = 0; i < c->count; i++)
        ps2_keyboard_key(t->kbd, c->key[i], true);
    t->down = true;
    timer_arm(t->timers, &t->timer, timers_now(t->timers) + c->hold_ms * MS);
}

static void release(struct typist *t)
{
    const struct typist_chord *c = &t->queue[t->head];

    for (unsigned i = c->count; i-- > 0;)
        ps2_keyboard_key(t->kbd, c->key[i], false);
    t->down = false;
    t->head = (t->head + 1) % TYPIST_QUEUE;
    t->count--;
    timer_arm(t->timers, &t->timer, timers_now(t->timers) + PAUSE_MS * MS);
}

static void fire(void *opaque)
{
    struct typist *t = opaque;

    if (t->down)
        release(t);
    else if (t->count)
        press(t);
}

void typist_init(struct typist *t, struct timers *timers, struct ps2_keyboard *kbd)
{
    memset(t, 0, sizeof(*t));
    t->timers = timers;
    t->kbd = kbd;
    timer_init(&t->timer, fire, t);
}

void typist_reset(struct typist *t)
{
    timer_arm(t->timers, &t->timer, TIMER_NEVER);
    t->head = t->count = 0;
    t->down = false;
}

bool typist_press(struct typist *t, const u8 *keys, unsigned count, unsigned hold_ms)
{
    struct typist_chord *c = &t->queue[(t->head + t->count) % TYPIST_QUEUE];

    if (t->count == TYPIST_QUEUE || count == 0 || count > TYPIST_CHORD)
        return false;
    memcpy(c->key, keys, count);
    c->count = count;
    c->hold_ms = MIN(hold_ms, 10000u);
    t->count++;
    if (!t->timer.armed)
        timer_arm(t->timers, &t->timer, timers_now(t->timers));
    return true;
}
