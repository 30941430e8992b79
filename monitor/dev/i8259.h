// SPDX-License-Identifier: GPL-2.0-or-later
// Intel 8259A programmable interrupt controller, as the PIIX3 contains two of them: the trigger
// mode of each input is set in an edge/level control register (ELCR) instead of ICW1.LTIM.
//
// Invariants
//  1. irr has the bit of a level-triggered input exactly while its line is high.
//  2. The INT output is high exactly while i8259_best would name a request.
#ifndef RING3_MONITOR_DEV_I8259_H
#define RING3_MONITOR_DEV_I8259_H

#include "monitor/base/bus.h"
#include "monitor/base/irq.h"

#include <stdio.h>

struct i8259 {
    // Wiring, kept over a reset.
    struct irq out;         // INT
    struct i8259 *slave;    // on IR2 of the master; NULL in the slave itself
    u8 elcr_mask;           // the inputs whose ELCR bit can be set
    void (*acked)(void *opaque); // called when IR0's request has been acknowledged; may be NULL
    void *acked_opaque;

    u8 lines;               // levels of IR0-IR7
    u8 irr, isr, imr;
    u8 elcr;
    u8 lowest;              // the input with the lowest priority, normally 7
    u8 icw[5];              // [1]..[4]
    u8 expect;              // the ICW the next write to the odd port is; 0: OCW1
    bool ready;             // an initialisation sequence has been completed
    bool special_mask, rotate_aeoi;
    bool read_isr, poll;    // what the next read of the even port gives
    u64 spurious;           // acknowledged with nothing requested
};

extern const struct bus_ops i8259_ops;      // two ports: 20h/A0h
extern const struct bus_ops i8259_elcr_ops; // one port: 4D0h/4D1h

// As after power-on: waiting for ICW1. Lines keep their levels.
void i8259_reset(struct i8259 *pic);
// Input pin changed; the shape of struct irq.
void i8259_set(void *pic, int pin, bool level);
// The INT output.
bool i8259_int(const struct i8259 *pic);
// INTA to the master and, if it chose the cascade input, to the slave: the vector. Like the real
// chip it always has one: IR7's if the request went away.
u8 i8259_ack(struct i8259 *pic);
// The trigger mode, for firmware-less boards; bits outside elcr_mask are ignored.
void i8259_set_elcr(struct i8259 *pic, u8 value);
void i8259_print(const struct i8259 *pic, const char *name, FILE *f);

#endif
