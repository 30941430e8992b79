// SPDX-License-Identifier: GPL-2.0-or-later
// The SMBIOS tables: what a system reads to learn maker, model and memory of its computer.
#ifndef RING3_MONITOR_DEV_SMBIOS_H
#define RING3_MONITOR_DEV_SMBIOS_H

#include "monitor/base/types.h"

#define SMBIOS_ANCHOR_LEN 31
#define SMBIOS_MAX 1024 // bytes of tables, at most

// Writes the anchor, for tables at an address still to be filled in (its checksums are for address
// 0), and the tables; returns the length of the tables.
size_t smbios_build(u64 ram_size, u8 anchor[SMBIOS_ANCHOR_LEN], u8 tables[SMBIOS_MAX]);

#endif
