// SPDX-License-Identifier: GPL-2.0-or-later
// A wire from a device's interrupt output to something's input.
#ifndef RING3_BASE_IRQ_H
#define RING3_BASE_IRQ_H

#include "types.h"

struct irq {
    void (*set)(void *sink, int pin, bool level); // NULL: not connected
    void *sink;
    int pin;
};

static inline void irq_set(const struct irq *irq, bool level)
{
    if (irq->set)
        irq->set(irq->sink, irq->pin, level);
}

static inline void irq_pulse(const struct irq *irq)
{
    irq_set(irq, true);
    irq_set(irq, false);
}

#endif
