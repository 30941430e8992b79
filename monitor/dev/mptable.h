// SPDX-License-Identifier: GPL-2.0-or-later
// The MultiProcessor tables (Intel's MP Specification 1.4), for a machine without firmware: the
// floating pointer, and behind it the configuration table.
#ifndef RING3_MONITOR_DEV_MPTABLE_H
#define RING3_MONITOR_DEV_MPTABLE_H

#include "board.h"

#define MPTABLE_MAX BOARD_MP_MAX

struct mptable_config {
    u32 cpu_signature, cpu_features; // CPUID.1's EAX and EDX
    u16 pci_lines; // the ISA lines that PCI interrupts arrive at: level-triggered
};

// Writes them as they are to lie at `base`, a multiple of 16; returns the size.
size_t mptable_build(const struct mptable_config *config, u32 base, u8 out[MPTABLE_MAX]);

#endif
