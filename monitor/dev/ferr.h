// SPDX-License-Identifier: GPL-2.0-or-later
// The AT's coprocessor error wiring: FERR# raises IRQ 13 until port F0h is written.
#ifndef RING3_MONITOR_DEV_FERR_H
#define RING3_MONITOR_DEV_FERR_H

#include "monitor/base/bus.h"
#include "monitor/base/irq.h"

struct ferr {
    struct irq irq;
    bool level; // FERR#, asserted
};

extern const struct bus_ops ferr_ops; // two ports: F0h clears, F1h resets the 80287 of old

void ferr_reset(struct ferr *ferr);
// The CPU's output changed.
void ferr_set(struct ferr *ferr, bool level);

#endif
