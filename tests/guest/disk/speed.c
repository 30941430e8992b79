// SPDX-License-Identifier: GPL-2.0-or-later
// Reads the whole disk in order, writes it, and writes it again with a flush at the end; says when each begins and ends.
// Whoever reads the serial port takes the time: bench/disk.
#include "disk.h"

#define PIECE DISK_MAX

static u8 buf[DISK_REQUESTS][PIECE] __attribute__((aligned(4096)));

static bool pass(const char *name, enum disk_op op)
{
    u32 sectors = disk_sectors() / (PIECE / SECTOR) * (PIECE / SECTOR), n = 0;
    bool ok = true;

    print("begin %s\n", name);
    for (u32 at = 0; at < sectors; at += PIECE / SECTOR, n++) {
        if (disk_busy() == DISK_REQUESTS)
            ok = disk_wait() && ok;
        disk_start(op, at, buf[n % DISK_REQUESTS], PIECE);
    }
    while (disk_busy())
        ok = disk_wait() && ok;
    print("end %s %s\n", name, ok ? "ok" : "FAILED");
    return ok;
}

void kernel_main(void);
void kernel_main(void)
{
    const char *name = disk_find();

    if (!name)
        debug_exit(17);
    print("%s\n", name);
    for (int i = 0; i < 3; i++)
        if (!pass("read", DISK_READ) || !pass("write", DISK_WRITE))
            debug_exit(18);
    debug_exit(16);
}
