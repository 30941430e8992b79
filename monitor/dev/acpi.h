// SPDX-License-Identifier: GPL-2.0-or-later
// The ACPI tables of the board: RSDP, RSDT, FADT, FACS, a MADT where there are APICs, and a DSDT.
#ifndef RING3_MONITOR_DEV_ACPI_H
#define RING3_MONITOR_DEV_ACPI_H

#include "monitor/base/types.h"

struct acpi_config {
    u64 ram_size;          // PCI memory is offered above it
    unsigned serial_ports; // COM1..COMn
    u16 serial_base[4];
    u8 serial_irq[4];
    bool mouse, printer, floppy;
    bool apic;
};

// Writes the tables as they are to lie at `base` (a multiple of 64); the RSDP first. At most len
// bytes are written (out may be NULL if len is 0); returns the number needed. What does not fit is
// cut off, so compare.
size_t acpi_build(const struct acpi_config *config, u32 base, u8 *out, size_t len);

#endif
