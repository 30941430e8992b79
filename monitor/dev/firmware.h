// SPDX-License-Identifier: GPL-2.0-or-later
// What the board tells its firmware through fw_cfg: memory map, ACPI and SMBIOS tables, boot menu.
#ifndef RING3_MONITOR_DEV_FIRMWARE_H
#define RING3_MONITOR_DEV_FIRMWARE_H

#include "fw_cfg.h"

struct firmware_config {
    u64 ram_size;
    bool boot_menu;
    unsigned menu_wait_ms;  // how long the menu's prompt stays; 0: the firmware's own choice
    const u8 *acpi;         // the tables as acpi_build makes them for base 0
    u32 acpi_len;
};

// Fills in fw. False when out of memory.
bool firmware_describe(struct fw_cfg *fw, const struct firmware_config *config);

#endif
