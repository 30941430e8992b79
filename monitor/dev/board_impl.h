// SPDX-License-Identifier: GPL-2.0-or-later
// What the board is made of: for board.c (the table and the wires) and board_info.c (looking at it).
#ifndef RING3_MONITOR_DEV_BOARD_IMPL_H
#define RING3_MONITOR_DEV_BOARD_IMPL_H

#include "board.h"
#include "monitor/base/x86.h"

#include "a20.h"
#include "acpi.h"
#include "apic.h"
#include "debug.h"
#include "ferr.h"
#include "firmware.h"
#include "i440fx.h"
#include "i8042.h"
#include "i82077.h"
#include "i8237.h"
#include "i8254.h"
#include "i8259.h"
#include "ide.h"
#include "ioapic.h"
#include "lines.h"
#include "linuxboot.h"
#include "lpt.h"
#include "mc146818.h"
#include "mptable.h"
#include "ns16550.h"
#include "pci.h"
#include "piix3.h"
#include "piix4pm.h"
#include "typist.h"
#include "vga.h"
#include "virtio_blk.h"

#define MAX_SERIAL 4
#define VIRTIO_SLOT 8 // of the first virtio disk

struct board {
    struct board_host host;
    struct board_config config;
    struct bus *bus;
    struct timers timers;
    struct lines lines;

    struct i8259 pic[2];
    struct apic apic;
    struct ioapic ioapic;
    u32 apic_at;            // where the local APIC answers; 0: nowhere
    struct i8254 pit;
    struct mc146818 rtc;
    struct i8042 kbc;
    struct ps2_keyboard kbd;
    struct a20 a20;
    struct ns16550 com[MAX_SERIAL];
    struct lpt lpt;
    struct i8237_pages pages;
    struct i8237 dma[2];
    struct ferr ferr;
    struct debug debug;
    struct fw_cfg fw;
    struct pci pci;
    struct i440fx fx;
    struct piix3 piix;
    struct piix4pm pm;
    struct vga vga;
    struct typist typist;
    struct board_drive drive[BOARD_DRIVES];
    struct block *block[BOARD_DRIVES]; // by drive; NULL: no medium
    struct ide ide;
    struct i82077 fdc;
    struct virtio_blk *virtio_blk[BOARD_DRIVES]; // by drive
};

// What a slot depends on.
enum option {
    ALWAYS,
    COM1, COM2, COM3, COM4, // there are that many serial ports
    LPT,                    // the host prints
    FIRMWARE,               // there is firmware to read them
    APIC,                   // the CPU has a local one
};

// The board: every chip with fixed ports or addresses, and the interrupt line it drives.
struct slot {
    const char *name;
    u32 base, len;      // ports, and from 64 KiB up memory
    const struct bus_ops *ops;
    size_t chip;        // offset in struct board
    enum option option;
    int irq;            // -1: none
    size_t wire;        // offset of the chip's struct irq
};

static inline enum bus_space slot_space(const struct slot *slot)
{
    return slot->base < 0x10000 ? BUS_PORT : BUS_MMIO;
}

extern const struct slot board_slots[];
extern const unsigned board_slots_count;

// Whether the chip of a slot is there.
bool board_present(const struct board *board, const struct slot *slot);

#endif
