// SPDX-License-Identifier: GPL-2.0-or-later
// The A20 gate, and port 92h with its fast way to it and to a reset. The 8042 has the other hand on
// the gate; whoever wrote last decides, as with chipsets that answer for the 8042 themselves.
#ifndef RING3_MONITOR_DEV_A20_H
#define RING3_MONITOR_DEV_A20_H

#include "board.h"

struct a20 {
    const struct board_host *host; // not owned
    bool on;
    bool reset; // port 92h bit 0
    void (*reset_cpu)(void *opaque);
    void *opaque;
};

extern const struct bus_ops a20_ops; // one port: 92h

void a20_init(struct a20 *a20, const struct board_host *host);
// Open, so that memory is whole from the start; firmware that wants it closed closes it.
void a20_reset(struct a20 *a20);
void a20_set(void *a20, bool on);
bool a20_get(void *a20);

#endif
