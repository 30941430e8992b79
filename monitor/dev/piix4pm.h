// SPDX-License-Identifier: GPL-2.0-or-later
// The power-management function of Intel's 82371AB (PIIX4), 0:1.3: the ACPI fixed registers, and
// the APM ports that switch ACPI mode on.
#ifndef RING3_MONITOR_DEV_PIIX4PM_H
#define RING3_MONITOR_DEV_PIIX4PM_H

#include "monitor/base/irq.h"
#include "pci.h"
#include "timers.h"

#define PIIX4PM_BASE 0x600  // where firmware maps the registers, and what the ACPI tables say
#define PIIX4PM_LEN 64
#define PIIX4PM_SCI 9
#define PIIX4PM_APM 0xb2
#define PIIX4PM_ACPI_ON 0xf1 // written to the APM command port
#define PIIX4PM_ACPI_OFF 0xf0

struct piix4pm {
    struct pci_func func;
    struct timers *timers;      // not owned
    struct irq sci;
    void (*power_off)(void *opaque);
    void *opaque;

    u8 reg[PIIX4PM_LEN];        // but for the timer
    u64 wraps;                  // changes of the timer's bit 23 that were looked at
    u64 start;                  // ns: the timer was zero
    struct timer timer;         // its bit 23 changes
    u32 mapped;                 // port base of the registers, 0: none
    u8 apm[2];                  // command, status
};

extern const struct bus_ops piix4pm_apm_ops; // two ports: B2h

// mapped: the registers leave reset at PIIX4PM_BASE, as firmware puts them.
void piix4pm_init(struct piix4pm *pm, struct timers *timers, bool mapped);
void piix4pm_reset(struct piix4pm *pm);
// Before the function goes away: takes its registers off the bus.
void piix4pm_remove(struct piix4pm *pm);
void piix4pm_power_button(struct piix4pm *pm);
void piix4pm_rtc_alarm(void *pm);
void piix4pm_print(struct piix4pm *pm, FILE *f);

#endif
