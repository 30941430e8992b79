// SPDX-License-Identifier: GPL-2.0-or-later
// A drive as the user asks for it: which image, in which drive, how it is used.
#ifndef RING3_MONITOR_DEV_DRIVE_H
#define RING3_MONITOR_DEV_DRIVE_H

#include "monitor/base/types.h"

#define BOARD_DRIVES 16

enum drive_bus { DRIVE_IDE, DRIVE_FLOPPY, DRIVE_VIRTIO, DRIVE_BUSES };

enum block_error { BLOCK_ERROR_ENOSPC, BLOCK_ERROR_STOP, BLOCK_ERROR_REPORT };
enum block_cache { BLOCK_WRITEBACK, BLOCK_WRITETHROUGH, BLOCK_UNSAFE };

struct block_config {
    const char *file;        // path, or the URI of an NBD or web server
    const char *format;      // "raw", another that qemu-nbd knows, or NULL: look
    bool readonly, snapshot; // snapshot: writes are kept in a temporary file, and thrown away
    bool floppy, cdrom;      // what sizes are fit
    enum block_cache cache;
    unsigned timeout_s;      // how long an NBD server may be silent; 0: the usual time
    enum block_error werror, rerror; // what stops the guest: a full disk or a lost server only, every error, none
};

struct board_drive {
    enum drive_bus bus;
    unsigned index;            // IDE: channel * 2 + drive; floppy: 0, 1; virtio: 0...
    struct block_config image; // file NULL: a CD-ROM or floppy drive without a medium
};

#endif
