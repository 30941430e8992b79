// SPDX-License-Identifier: GPL-2.0-or-later
// A PC parallel port with a printer that is always ready: what is strobed out goes to the host.
#ifndef RING3_MONITOR_DEV_LPT_H
#define RING3_MONITOR_DEV_LPT_H

#include "board.h"

struct lpt {
    const struct board_host *host; // not owned
    struct irq irq;
    u8 data, control;
};

extern const struct bus_ops lpt_ops; // three ports: 378h

void lpt_init(struct lpt *lpt, const struct board_host *host);
void lpt_reset(struct lpt *lpt);

#endif
