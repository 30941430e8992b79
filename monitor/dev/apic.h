// SPDX-License-Identifier: GPL-2.0-or-later
// The local APIC of an xAPIC processor (SDM volume 3A, chapter 10), the only one of its machine.
//
//   I/O APIC ----- message ----> IRR --- priority above PPR? ---> INT --+--> the CPU
//   timer, errors, self-IPIs --/                                        |
//   8259 INT ----- LINT0, as ExtINT (virtual wire) ---------------------+
//
// Invariants
//  1. `out` is high exactly while apic_pending() is true.
//  2. The timer is armed only while its interrupt is unmasked; counts are computed from `due`.
//  3. tmr has the bit of a vector that arrived as level-triggered; its EOI goes to the I/O APIC.
#ifndef RING3_MONITOR_DEV_APIC_H
#define RING3_MONITOR_DEV_APIC_H

#include "monitor/base/bus.h"
#include "monitor/base/irq.h"
#include "timers.h"

#include <stdio.h>

#define APIC_BASE 0xfee00000u
#define APIC_LEN 0x1000u
#define APIC_BUS_NS 10 // one tick of the bus clock that the timer divides

enum apic_mode { // delivery modes
    APIC_FIXED = 0, APIC_LOWEST = 1, APIC_SMI = 2, APIC_NMI = 4, APIC_INIT = 5, APIC_STARTUP = 6,
    APIC_EXTINT = 7,
};

enum apic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };
#define LVT_MASKED BIT(16)

struct apic {
    // Wiring, kept over a reset.
    struct timers *timers;
    struct irq out;                          // to the CPU
    void (*nmi)(void *opaque);               // may be NULL, as the next three
    void (*init)(void *opaque);              // INIT for this processor
    void (*eoi)(void *opaque, u8 vector);    // of a level-triggered one: for the I/O APIC
    void (*acked)(void *opaque, u8 vector);  // the CPU has taken it
    void *opaque;
    bool pic_int;                            // the 8259s' INT, wired to LINT0

    bool enabled;                            // IA32_APIC_BASE.EN
    u32 id, tpr, ldr, dfr, svr, esr, errors; // errors: those since ESR was last written
    u32 icr[2];
    u32 lvt[LVT_COUNT];
    u32 isr[8], tmr[8], irr[8];
    u32 initial, divide;                     // of the timer
    u64 due;                                 // ns: when the count is, or was, zero; 0: never started
    struct timer timer;
    u64 count[256];                          // delivered, for `info apic`
};

extern const struct bus_ops apic_ops; // APIC_LEN bytes

void apic_init(struct apic *apic, struct timers *timers);
// As after power-on: enabled, LINT0 passing the 8259s' interrupts as ExtINT, so that firmware which
// knows no APIC works as before; the manual leaves that to the BIOS.
void apic_reset(struct apic *apic);
// IA32_APIC_BASE.EN changed. Disabled, it lets the 8259s' INT through and forgets its state.
void apic_enable(struct apic *apic, bool on);
// The 8259s' INT; the shape of struct irq.
void apic_pic(void *apic, int pin, bool level);
// A message on the APIC bus: delivered if `dest` (physical or logical) is this processor.
void apic_message(struct apic *apic, u8 dest, bool logical, enum apic_mode mode, u8 vector, bool level);
// The vector is requested and waits.
static inline bool apic_requested(const struct apic *apic, u8 vector)
{
    return apic->irr[vector / 32] & BIT(vector % 32);
}
// INTA: the vector, now in service; -1 if the 8259s are to give one, -2 if nobody asks for anything.
int apic_ack(struct apic *apic);
// What a BIOS leaves: enabled by software too, in virtual-wire mode.
void apic_hand_over(struct apic *apic);
void apic_print(const struct apic *apic, FILE *f);

#endif
