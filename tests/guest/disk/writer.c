// SPDX-License-Identifier: GPL-2.0-or-later
// Writes numbered sectors for ever and says on the serial port which writes and flushes the disk has acknowledged:
// "w NUMBER", "f NUMBER". After each flush it reads the disk's last sector. Sector 0 holds the first number. What lies
// where is in numbered.h. Run: tests/guest/run-kill, tests/guest/run-disks
#include "disk.h"
#include "numbered.h"

static u8 buf[DISK_REQUESTS][NUMBERED_SLOT * SECTOR] __attribute__((aligned(4096)));
static u8 first[SECTOR] __attribute__((aligned(4096)));

static void fill(u8 *to, u32 number)
{
    for (u32 i = 0; i < NUMBERED_SLOT * SECTOR / 4; i++)
        ((u32 *)(void *)to)[i] = numbered_word(number, i);
}

void kernel_main(void);
void kernel_main(void)
{
    u32 number, done;
    const char *name = disk_find();

    if (!name || !disk_do(DISK_READ, 0, first, SECTOR)) {
        print("FAILED: no disk\n");
        debug_exit(17);
    }
    number = done = *(u32 *)(void *)first;
    print("%s, %u sectors, from %u on\n", name, disk_sectors(), number);
    for (;;) {
        // IDE takes one at a time, virtio as many as there is room for.
        u32 batch = name[0] == 'v' ? 1 + number % (DISK_REQUESTS - 1) : 1;

        for (u32 i = 0; i < batch; i++, number++) {
            fill(buf[i], number);
            disk_start(DISK_WRITE, numbered_sector(number), buf[i], NUMBERED_SLOT * SECTOR);
        }
        while (disk_busy()) {
            if (!disk_wait()) {
                print("error %u\n", done);
                debug_exit(18);
            }
            print("w %u\n", done++);
        }
        if (number % 5 == 0) {
            if (!disk_do(DISK_FLUSH, 0, NULL, 0)) {
                print("flush error\n");
                debug_exit(18);
            }
            print("f %u\n", number - 1);
            if (!disk_do(DISK_READ, disk_sectors() - 1, first, SECTOR)) {
                print("read error\n");
                debug_exit(18);
            }
        }
    }
}
