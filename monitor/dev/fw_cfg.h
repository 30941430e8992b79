// SPDX-License-Identifier: GPL-2.0-or-later
// The configuration interface between a virtual machine and its firmware that QEMU defined and SeaBIOS, U-Boot
// and others read: numbered items, and named files listed in a directory item. By ports one byte at
// a time, or by DMA.
#ifndef RING3_MONITOR_DEV_FW_CFG_H
#define RING3_MONITOR_DEV_FW_CFG_H

#include "board.h"

#define FW_CFG_NAME 56
#define FW_CFG_ITEMS 64

// Keys of the items that have a number.
enum {
    FW_CFG_SIGNATURE = 0x00, FW_CFG_ID = 0x01, FW_CFG_UUID = 0x02, FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NO_GRAPHIC = 0x04, FW_CFG_CPUS = 0x05, FW_CFG_BOOT_MENU = 0x0e, FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_DIRECTORY = 0x19, FW_CFG_FIRST_FILE = 0x20,
};

struct fw_cfg_item {
    u16 key;
    char name[FW_CFG_NAME]; // of a file; else empty
    u8 *data;               // owned
    u32 len;
};

struct fw_cfg {
    const struct board_host *host; // not owned
    struct fw_cfg_item item[FW_CFG_ITEMS];
    unsigned count;
    u16 selected;                  // key
    u32 offset;                    // of the next byte of the selected item
    u64 dma;                       // address register, as far as written
};

extern const struct bus_ops fw_cfg_ops;     // two ports: 510h
extern const struct bus_ops fw_cfg_dma_ops; // eight ports: 514h

void fw_cfg_init(struct fw_cfg *fw, const struct board_host *host);
void fw_cfg_reset(struct fw_cfg *fw);
void fw_cfg_destroy(struct fw_cfg *fw);

// Sets an item to a copy of data, replacing what it was. False when out of memory or of items.
bool fw_cfg_set(struct fw_cfg *fw, u16 key, const void *data, u32 len);
bool fw_cfg_set_number(struct fw_cfg *fw, u16 key, u64 value, unsigned size);
// The same for a file; it gets a key on its first mention.
bool fw_cfg_file(struct fw_cfg *fw, const char *name, const void *data, u32 len);
bool fw_cfg_file_number(struct fw_cfg *fw, const char *name, u64 value, unsigned size);
// Removes a file if it is there.
void fw_cfg_remove(struct fw_cfg *fw, const char *name);

#endif
