// SPDX-License-Identifier: GPL-2.0-or-later
#include "floppy_format.h"

// By size. What 5.25" drives wrote is read in the 1.2 MB drive, which turns faster: hence 300 kbit/s.
static const struct floppy_format formats[] = {
    { 8, 1, 40, RATE_300, DRIVE_1200K },   // 160K
    { 9, 1, 40, RATE_300, DRIVE_1200K },   // 180K
    { 8, 2, 40, RATE_300, DRIVE_1200K },   // 320K
    { 9, 2, 40, RATE_300, DRIVE_1200K },   // 360K
    { 10, 2, 40, RATE_300, DRIVE_1200K },  // 400K
    { 9, 2, 80, RATE_250, DRIVE_1440K },   // 720K
    { 10, 2, 80, RATE_250, DRIVE_1440K },  // 800K
    { 15, 2, 80, RATE_500, DRIVE_1200K },  // 1.2M
    { 18, 2, 80, RATE_500, DRIVE_1440K },  // 1.44M
    { 18, 2, 82, RATE_500, DRIVE_1440K },
    { 18, 2, 83, RATE_500, DRIVE_1440K },
    { 20, 2, 80, RATE_500, DRIVE_1440K },  // 1.6M
    { 21, 2, 80, RATE_500, DRIVE_1440K },  // 1.68M
    { 21, 2, 82, RATE_500, DRIVE_1440K },
    { 36, 2, 80, RATE_1000, DRIVE_2880K }, // 2.88M
    { 39, 2, 80, RATE_1000, DRIVE_2880K },
};

const struct floppy_format *floppy_format(u64 bytes)
{
    const struct floppy_format *best = 0;

    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        const struct floppy_format *f = &formats[i];

        if (floppy_bytes(f) == bytes)
            return f;
    }
    // No format's own size: the rest of the disk was left out of the file. Then it is one of the common formats.
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        const struct floppy_format *f = &formats[i];
        bool common = f->tracks == 40 ? f->sectors == 9 && f->heads == 2
                                      : f->tracks == 80 && (f->sectors == 9 || f->sectors == 15
                                                            || f->sectors == 18 || f->sectors == 36);

        if (common && floppy_bytes(f) > bytes && (!best || floppy_bytes(f) < floppy_bytes(best)))
            best = f;
    }
    return best;
}
