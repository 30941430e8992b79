// SPDX-License-Identifier: GPL-2.0-or-later
// Intel 82077AA floppy disk controller with two drives.
//
//   command bytes --> execution: sectors between image and DMA channel 2 (or the FIFO) --> result bytes
//        ^                                                                                     |
//        +-------------------------------------------------------------------------------------+
#ifndef RING3_MONITOR_DEV_I82077_H
#define RING3_MONITOR_DEV_I82077_H

#include "block.h"
#include "floppy_format.h"
#include "i8237.h"
#include "monitor/base/irq.h"
#include "timers.h"

#define FLOPPY_DRIVES 2

enum i82077_phase { FDC_COMMAND, FDC_EXECUTION, FDC_RESULT };

struct floppy_unit {
    bool present;
    struct block *block;                // not owned; NULL: no disk
    const struct floppy_format *format; // of the disk; NULL: none
    u8 drive;                           // enum floppy_drive
    u8 track;                           // where the head is
    bool changed;                       // DIR's disk change line
};

struct i82077 {
    struct timers *timers;
    struct irq irq;
    struct i8237 *dma;       // the controller whose channel 2 is ours
    struct floppy_unit unit[4];

    u8 dor, tdr, rate;
    enum i82077_phase phase;
    u8 fifo[16];             // command, then result
    unsigned count, want, at;
    bool irq_level;
    u8 interrupts;           // bit a unit: SENSE INTERRUPT STATUS has something to tell
    u8 seeking;              // bit a unit: its head is under way
    u8 st0[4];
    u8 reset_sense;          // those four that follow a reset
    // SPECIFY, CONFIGURE, LOCK, PERPENDICULAR MODE
    u8 specify[2], configure[2], perpendicular;
    bool lock;

    // The command in execution.
    u8 cylinder, head, sector, size_code, last, unit_no;
    u8 st1, st2;
    u8 sectors_left;         // FORMAT TRACK
    bool pio_ready;          // the FIFO offers or wants a byte
    u8 buf[512];
    unsigned pos;
    struct block_request request;
    struct timer timer;      // the next step of the execution
    void (*step)(struct i82077 *fdc);
    unsigned waits;          // steps that found the DMA channel closed
    bool terminal;           // terminal count came with the sector that is being written
};

extern const struct bus_ops i82077_ops;     // six ports: 3F0h
extern const struct bus_ops i82077_dir_ops; // one port: 3F7h

void i82077_init(struct i82077 *fdc, struct timers *timers, struct i8237 *dma);
// Installs drive n; block NULL: without a disk.
void i82077_drive(struct i82077 *fdc, unsigned n, struct block *block);
// Puts another disk in, or none.
void i82077_change(struct i82077 *fdc, unsigned n, struct block *block);
void i82077_reset(struct i82077 *fdc);
void i82077_print(struct i82077 *fdc, FILE *f);
// The drives' types for CMOS byte 10h.
u8 i82077_types(const struct i82077 *fdc);

#endif
