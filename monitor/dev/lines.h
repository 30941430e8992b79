// SPDX-License-Identifier: GPL-2.0-or-later
// The sixteen ISA interrupt request lines. Several devices may drive one line (COM1 and COM3,
// shared PCI interrupts, the SCI): it is high while any of them drives it high. From here the lines
// go to the two 8259s.
#ifndef RING3_MONITOR_DEV_LINES_H
#define RING3_MONITOR_DEV_LINES_H

#include "monitor/base/irq.h"

#define LINES 16
#define LINE_DRIVERS 8

struct lines {
    u8 driven[LINES];     // bit per driver that holds the line high
    u8 drivers[LINES];    // drivers connected so far
    u64 rises[LINES];     // for `info irq`
    struct irq sink[LINES];
};

void lines_init(struct lines *lines);
// A new driver's end of line n. At most LINE_DRIVERS of them.
struct irq lines_connect(struct lines *lines, int n);

#endif
