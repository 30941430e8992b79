// SPDX-License-Identifier: GPL-2.0-or-later
// An option ROM that starts a Linux kernel from fw_cfg under a PC BIOS: what -kernel with -bios uses. The
// BIOS finds it as a boot device of its own (PnP BIOS, "bootstrap entry vector"), first in its order.
#ifndef RING3_MONITOR_DEV_LINUXBOOT_H
#define RING3_MONITOR_DEV_LINUXBOOT_H

#include "fw_cfg.h"

// Adds the kernel's pieces, the ROM and the boot order to fw. False when out of memory.
bool linuxboot_describe(struct fw_cfg *fw, const struct board_kernel *kernel);

#endif
