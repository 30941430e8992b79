// SPDX-License-Identifier: GPL-2.0-or-later
// National Semiconductor PC16550D UART.
//
// Bytes leave at once and without a baud rate. Bytes come in as fast as the guest takes them, but
// with a pause after each FIFO's worth that grows with the time the guest took for it: a driver
// that is fed without pause would never leave its interrupt handler, and its buffers would overflow
// behind it.
#ifndef RING3_MONITOR_DEV_NS16550_H
#define RING3_MONITOR_DEV_NS16550_H

#include "monitor/base/bus.h"
#include "monitor/base/irq.h"
#include "timers.h"

#include <stdio.h>

#define NS16550_FIFO 16

struct ns16550 {
    // Wiring, kept over a reset.
    struct timers *timers;
    struct irq irq;
    int port; // 0: COM1

    u8 ier, lcr, mcr, msr, scr, fcr;
    u16 divisor;
    u8 lsr_errors;          // OE, and PE, FE, BI of the byte on top
    bool thre;              // a transmitter-empty interrupt is pending
    bool timeout;           // a character-timeout interrupt is pending
    u8 data[NS16550_FIFO];  // a ring of what was received...
    u8 flags[NS16550_FIFO]; // ...with the LSR error bits of each
    unsigned head, count;
    bool full;              // it was full and is not empty yet: nothing more till then

    struct timer silence;   // looks whether no byte came or went for four character times
    u64 active;             // ns: when the last one did
    struct timer pause;     // until then nothing is taken from the host
    u64 filled;             // ns: when the FIFO was last filled from empty
    u64 received, sent;
};

extern const struct bus_ops ns16550_ops; // eight ports

void ns16550_init(struct ns16550 *uart, struct timers *timers, int port);
void ns16550_reset(struct ns16550 *uart);
// Bytes it would take from the host now.
size_t ns16550_room(const struct ns16550 *uart);
// Takes up to len bytes; returns how many.
size_t ns16550_in(struct ns16550 *uart, const u8 *bytes, size_t len);
void ns16550_print(const struct ns16550 *uart, FILE *f);

#endif
