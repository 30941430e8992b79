// SPDX-License-Identifier: GPL-2.0-or-later
// Intel 8042 with the PS/2 keyboard controller's program: ports 60h and 64h, two device ports, A20
// and reset.
#ifndef RING3_MONITOR_DEV_I8042_H
#define RING3_MONITOR_DEV_I8042_H

#include "monitor/base/bus.h"
#include "monitor/base/irq.h"
#include "ps2.h"

#include <stdio.h>

struct i8042_port {
    struct ps2 *dev; // NULL: nothing plugged in. Not owned.
    struct irq irq;
};

struct i8042 {
    // Wiring, kept over a reset.
    struct timers *timers;
    struct i8042_port kbd, aux;
    void (*set_a20)(void *opaque, bool on);
    bool (*get_a20)(void *opaque);
    void *opaque;
    void (*reset_cpu)(void *opaque);
    void *reset_opaque;

    u8 ram[32];          // [0] is the command byte
    u8 status;           // as port 64h shows it
    u8 output;           // the output buffer; keeps its value when read
    u8 command;          // that waits for its byte at port 60h; 0: none
    u8 outport;          // the other bits of the output port
    u8 replies[4];       // what the controller itself has to say, before any device
    u8 reply_flags[4];   // status bits that go with each
    unsigned reply_count;
    bool breaking;       // translation has swallowed an F0h
    struct timer wire;   // the next byte from a device has been clocked in
};

extern const struct bus_ops i8042_data_ops;    // one port: 60h
extern const struct bus_ops i8042_command_ops; // one port: 64h

// Plugs the devices in. dev's `ready` and `opaque` become the controller's.
void i8042_init(struct i8042 *kbc, struct timers *timers, struct ps2 *kbd, struct ps2 *aux);
void i8042_reset(struct i8042 *kbc);
void i8042_print(const struct i8042 *kbc, FILE *f);

#endif
