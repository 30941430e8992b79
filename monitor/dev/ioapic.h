// SPDX-License-Identifier: GPL-2.0-or-later
// Intel 82093AA I/O APIC: 24 inputs, of which 0 to 15 are the ISA lines, but for the timer, which is
// on input 2, and input 0, which has the 8259s' INT.
//
// Inputs are true while somebody asks, whatever the polarity that a guest sets: the board has no
// inverters to be told about.
//
// Invariant: an entry in level mode with Remote IRR set has a request under way that the local APIC
// has not ended (ioapic_eoi) yet.
#ifndef RING3_MONITOR_DEV_IOAPIC_H
#define RING3_MONITOR_DEV_IOAPIC_H

#include "apic.h"

#define IOAPIC_BASE 0xfec00000u
#define IOAPIC_LEN 0x1000u
#define IOAPIC_PINS 24
#define IOAPIC_TIMER_PIN 2

struct ioapic {
    struct apic *apic;   // where messages go; not owned
    u8 select, id;
    u32 lines;           // levels of the inputs
    u64 entry[IOAPIC_PINS];
    u64 sent[IOAPIC_PINS]; // messages, for `info ioapic`
};

extern const struct bus_ops ioapic_ops; // IOAPIC_LEN bytes

void ioapic_init(struct ioapic *io, struct apic *apic);
void ioapic_reset(struct ioapic *io);
// An input changed; the shape of struct irq.
void ioapic_set(void *io, int pin, bool level);
// The local APIC has ended a level-triggered interrupt.
void ioapic_eoi(struct ioapic *io, u8 vector);
static inline bool ioapic_masked(const struct ioapic *io, int pin)
{
    return io->entry[pin] & BIT(16);
}
static inline u8 ioapic_vector(const struct ioapic *io, int pin)
{
    return io->entry[pin];
}
void ioapic_print(const struct ioapic *io, FILE *f);

#endif
