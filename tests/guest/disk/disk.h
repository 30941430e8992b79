// SPDX-License-Identifier: GPL-2.0-or-later
// Drivers that poll, for guests upon lib/kernel.h: the first virtio disk (legacy interface, several requests at a
// time), or else the first IDE disk by bus-master DMA.
#ifndef RING3_TESTS_GUEST_DISK_H
#define RING3_TESTS_GUEST_DISK_H

#include "tests/guest/lib/kernel.h"

#define SECTOR 512
#define DISK_REQUESTS 8      // that can be under way
#define DISK_MAX (256 << 10) // bytes of one request

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH };

// Finds the disk; its name, or NULL.
const char *disk_find(void);
// How many sectors it has.
u32 disk_sectors(void);
// Starts a request (buf: physical, even), when there is room for it. disk_wait ends the oldest; false after an error.
void disk_start(enum disk_op op, u32 sector, void *buf, u32 len);
bool disk_wait(void);
unsigned disk_busy(void);
// Both, with nothing else under way.
bool disk_do(enum disk_op op, u32 sector, void *buf, u32 len);

#endif
