// SPDX-License-Identifier: GPL-2.0-or-later
// Intel 8254 programmable interval timer, and port 61h, which gates its channel 2.
//
// A channel is a small state machine over the clock's ticks. It is not stepped: i8254_advance moves
// it to the present in one go per event, so that time costs nothing while nobody looks.
#ifndef RING3_MONITOR_DEV_I8254_H
#define RING3_MONITOR_DEV_I8254_H

#include "monitor/base/bus.h"
#include "monitor/base/irq.h"
#include "timers.h"

#include <stdio.h>

struct i8254_channel {
    u64 at;         // the clock tick everything below is true at
    u64 rises;      // rising edges of OUT so far
    u32 count;      // the counting element, 0..modulus-1, always binary
    u32 reload;     // the count register, 1..modulus
    u32 period;     // modes 2, 3: the count in use, which reload may have replaced
    u8 mode;        // 0-5
    u8 access;      // 1: low byte, 2: high byte, 3: low then high
    bool bcd, gate, out;
    bool loaded;    // a count has been written since the control word
    bool load;      // the next tick loads the counting element
    bool counting;  // it has been loaded
    bool armed;     // modes 0, 1, 4, 5: OUT has an edge still to come
    bool null_count; // the count register has not reached the counting element
    // The byte-wide data port.
    bool write_high, read_high;
    u8 write_low;
    bool latched;   // `latch` is to be read, not the counter
    u16 latch;
    bool status_latched;
    u8 status;
};

struct i8254 {
    // Wiring, kept over a reset.
    struct timers *timers;
    struct irq irq0;
    bool (*irq0_pending)(void *opaque); // the last edge on irq0 has not been acknowledged
    bool (*irq0_masked)(void *opaque);
    void *pic;

    struct i8254_channel ch[3];
    struct timer timer;   // channel 0's next edge
    u64 seen;             // rises of channel 0 that were passed on
    u64 owed;             // ticks that came while one was pending, to be delivered one by one
    u64 catch_up;         // ns: when the next of them may be
    u64 lost;             // ticks given up
    bool speaker;         // port 61h bit 1
    u8 nmi_enable;        // port 61h bits 2, 3: kept, nothing raises either
};

extern const struct bus_ops i8254_ops;        // four ports: 40h
extern const struct bus_ops i8254_port61_ops; // one port

void i8254_init(struct i8254 *pit, struct timers *timers);
void i8254_reset(struct i8254 *pit);
// The interrupt controller has acknowledged irq0: an owed tick may follow.
void i8254_irq0_acked(void *pit);

// Moves a channel to clock tick `to`. For the chip itself and its tests.
void i8254_advance(struct i8254_channel *c, u64 to);
// The tick of the next rising edge of OUT if nobody touches the channel, or UINT64_MAX.
u64 i8254_next_rise(const struct i8254_channel *c);

void i8254_print(struct i8254 *pit, FILE *f);

#endif
