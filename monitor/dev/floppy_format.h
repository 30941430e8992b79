// SPDX-License-Identifier: GPL-2.0-or-later
// The floppy formats of PCs.
#ifndef RING3_MONITOR_DEV_FLOPPY_FORMAT_H
#define RING3_MONITOR_DEV_FLOPPY_FORMAT_H

#include "monitor/base/types.h"

enum floppy_rate { RATE_500 = 0, RATE_300 = 1, RATE_250 = 2, RATE_1000 = 3 }; // kbit/s, as CCR has them
enum floppy_drive { DRIVE_360K = 1, DRIVE_1200K, DRIVE_720K, DRIVE_1440K, DRIVE_2880K }; // as CMOS has them

struct floppy_format {
    u8 sectors, heads, tracks;
    u8 rate;  // in the drive below
    u8 drive; // that reads it
};

// The format of a medium with so many bytes: the smallest that holds them, or NULL if none does.
const struct floppy_format *floppy_format(u64 bytes);
static inline u32 floppy_bytes(const struct floppy_format *f)
{
    return 512u * f->sectors * f->heads * f->tracks;
}

#endif
