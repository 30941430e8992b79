// SPDX-License-Identifier: GPL-2.0-or-later
// Intel 82441FX (440FX) host bridge: PCI function 0:0.0. What matters of it are the PAM registers,
// which make C0000-FFFFF RAM or ROM piece by piece, and SMRAM, which opens the RAM behind the
// VGA's.
#ifndef RING3_MONITOR_DEV_I440FX_H
#define RING3_MONITOR_DEV_I440FX_H

#include "board.h"
#include "pci.h"

#define I440FX_AREAS 14

struct i440fx {
    struct pci_func func;
    const struct board_host *host; // not owned
    u8 area[I440FX_AREAS];         // read and write enables last told to the machine
};

// ram_size fills in the DRAM row boundaries. `open` makes all shadow areas RAM at reset, as
// firmware leaves those it does not use.
void i440fx_init(struct i440fx *fx, const struct board_host *host, u64 ram_size, bool open);

#endif
