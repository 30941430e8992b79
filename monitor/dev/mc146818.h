// SPDX-License-Identifier: GPL-2.0-or-later
// Motorola MC146818 real-time clock with 128 bytes of CMOS RAM.
//
// The clock is a broken-down time that was true at the start of a certain second, moved on when
// somebody looks. Its divider chain is an epoch: seconds and periodic ticks begin at whole
// multiples from there.
#ifndef RING3_MONITOR_DEV_MC146818_H
#define RING3_MONITOR_DEV_MC146818_H

#include "monitor/base/bus.h"
#include "monitor/base/irq.h"
#include "timers.h"

#include <stdio.h>

struct mc146818 {
    // Wiring, kept over a reset.
    struct timers *timers;
    struct irq irq;
    void (*alarm)(void *opaque); // the alarm matched (ACPI RTC_STS); may be NULL
    void *alarm_opaque;

    u8 index;            // port 70h, without bit 7
    bool nmi_masked;     // port 70h bit 7
    u8 ram[128];         // registers A to D in 0Ah-0Dh; the time bytes are made when read
    u8 flags;            // register C

    // Time, always binary and 24-hour here.
    u32 sec, min, hour, wday, mday, mon, year, century;
    u64 epoch;           // ns: a second began here
    u64 second;          // seconds since epoch that the time includes
    u64 period;          // periodic ticks since epoch that were looked at
    struct timer timer;  // the next interrupt
};

extern const struct bus_ops mc146818_ops; // two ports: 70h

// Sets the time from the host's clock. ram_size fills in the memory-size bytes.
void mc146818_init(struct mc146818 *rtc, struct timers *timers, u64 ram_size);
// Clears interrupts; time and RAM are on the battery.
void mc146818_reset(struct mc146818 *rtc);
void mc146818_print(struct mc146818 *rtc, FILE *f);

#endif
