// SPDX-License-Identifier: GPL-2.0-or-later
#include "timers.h"

void timers_init(struct timers *timers, const struct board_host *host)
{
    *timers = (struct timers){ .host = host };
}

static void timer_unlink(struct timers *timers, struct timer *t)
{
    struct timer **p = &timers->head;

    while (*p != t)
        p = &(*p)->next;
    *p = t->next;
    t->armed = false;
}

void timer_arm(struct timers *timers, struct timer *t, u64 due)
{
    struct timer **p = &timers->head;

    if (t->armed) {
        if (t->due == due)
            return;
        timer_unlink(timers, t);
    }
    if (due == TIMER_NEVER)
        return;
    if (timers->running && due <= timers->now)
        due = timers->now + 1;
    while (*p && (*p)->due <= due)
        p = &(*p)->next;
    t->due = due;
    t->programmed = !timers->running;
    t->next = *p;
    t->armed = true;
    *p = t;
    if (timers->head == t && !timers->running && timers->host->timer_changed)
        timers->host->timer_changed(timers->host->opaque);
}

u64 timers_deadline(const struct timers *timers)
{
    return timers->head ? timers->head->due : TIMER_NEVER;
}

void timers_run(struct timers *timers)
{
    timers->now = timers_now(timers);
    timers->running = true;
    while (timers->head && timers->head->due <= timers->now) {
        struct timer *t = timers->head;

        timers->head = t->next;
        t->armed = false;
        t->fire(t->opaque);
    }
    timers->running = false;
}
