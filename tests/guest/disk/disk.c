// SPDX-License-Identifier: GPL-2.0-or-later
#include "disk.h"

#define RING 256

struct desc {
    u64 address;
    u32 len;
    u16 flags, next;
};

// A legacy virtqueue of 256 entries.
static struct {
    struct desc desc[RING];
    u16 avail_flags, avail_index, avail[RING], avail_event;
    u8 pad[4096 - 2 * (3 + RING)];
    volatile u16 used_flags, used_index;
    volatile struct { u32 id, len; } used[RING];
    u16 used_event;
} __attribute__((packed, aligned(4096))) vring;

static struct {
    struct { u32 type, priority; u64 sector; } header;
    u8 status;
} request[DISK_REQUESTS];

static struct { u32 address, len; } prd[DISK_MAX >> 16] __attribute__((aligned(4096)));

static u32 port, sectors; // port: of virtio's registers, or of the bus master
static bool virtio;
static u16 started, ended;
static bool ide_ok;

static u32 pci_read(u32 devfn, u32 at)
{
    outl(0xcf8, 0x80000000 | devfn << 8 | at);
    return inl(0xcfc);
}

static u32 pci_find(u32 id)
{
    for (u32 devfn = 0; devfn < 256; devfn++)
        if (pci_read(devfn, 0) == id) {
            outl(0xcf8, 0x80000000 | devfn << 8 | 4);
            outl(0xcfc, 5); // I/O, bus master
            return devfn;
        }
    return 0;
}

// Firmware would have placed it.
static u32 place(u32 devfn, u32 bar, u32 at)
{
    if (!(pci_read(devfn, bar) & ~3u)) {
        outl(0xcf8, 0x80000000 | devfn << 8 | bar);
        outl(0xcfc, at);
    }
    return pci_read(devfn, bar) & ~3u;
}

static void find_virtio(u32 devfn)
{
    virtio = true;
    port = place(devfn, 0x10, 0xc000);
    outb(port + 0x12, 0);
    outb(port + 0x12, 3); // seen, driver
    outl(port + 4, 1 << 9); // FLUSH
    outw(port + 0x0e, 0);
    outl(port + 8, (u32)&vring >> 12);
    outb(port + 0x12, 7);
    sectors = inl(port + 0x14);
    for (u32 i = 0; i < DISK_REQUESTS; i++) {
        vring.desc[3 * i] = (struct desc){ (u32)&request[i].header, 16, 1, 3 * i + 1 };
        vring.desc[3 * i + 2] = (struct desc){ (u32)&request[i].status, 1, 2, 0 };
    }
}

static u8 ide_idle(void)
{
    u8 status;

    while ((status = inb(0x1f7)) & 0x80)
        continue;
    return status;
}

static void find_ide(u32 devfn)
{
    u16 words[256];

    port = place(devfn, 0x20, 0xc000);
    outb(0x3f6, 0); // the bus master shows interrupts, which the CPU does not take
    outb(0x1f6, 0xe0);
    outb(0x1f7, 0xec);
    ide_idle();
    for (u32 i = 0; i < 256; i++)
        words[i] = inw(0x1f0);
    sectors = words[60] | (u32)words[61] << 16;
}

const char *disk_find(void)
{
    u32 devfn = pci_find(0x10011af4);

    if (devfn) {
        find_virtio(devfn);
        return "virtio";
    }
    devfn = pci_find(0x70108086);
    if (!devfn)
        return NULL;
    find_ide(devfn);
    return "ide";
}

u32 disk_sectors(void) { return sectors; }
unsigned disk_busy(void) { return (u16)(started - ended); }

static void virtio_start(enum disk_op op, u32 sector, void *buf, u32 len)
{
    static const u8 types[] = { 0, 1, 4 };
    u32 n = started % DISK_REQUESTS;
    struct desc *d = &vring.desc[3 * n];

    request[n].header.type = types[op];
    request[n].header.sector = sector;
    request[n].status = 0xff;
    d[0].next = len ? 3 * n + 1 : 3 * n + 2;
    d[1] = (struct desc){ (u32)buf, len, op == DISK_READ ? 3 : 1, 3 * n + 2 };
    vring.avail[vring.avail_index % RING] = 3 * n;
    __asm__ volatile("" : : : "memory");
    vring.avail_index++;
    __asm__ volatile("" : : : "memory");
    outw(port + 0x10, 0);
}

static void ide_start(enum disk_op op, u32 sector, void *buf, u32 len)
{
    u32 address = (u32)buf, count = len / SECTOR, n = 0;

    ide_idle();
    if (op == DISK_FLUSH) {
        outb(0x1f6, 0xe0);
        outb(0x1f7, 0xea);
        ide_ok = !(ide_idle() & 1);
        return;
    }
    for (u32 left = len; left;) { // no region crosses 64 KiB
        u32 piece = 0x10000 - (address & 0xffff);

        piece = piece < left ? piece : left;
        prd[n].address = address;
        prd[n].len = (piece & 0xffff) | (piece == left ? 0x80000000 : 0);
        n++;
        address += piece;
        left -= piece;
    }
    outl(port + 4, (u32)prd);
    outb(port, op == DISK_READ ? 8 : 0);
    outb(port + 2, 6);
    outb(0x1f6, 0x40);
    outb(0x1f2, (u8)(count >> 8));
    outb(0x1f3, (u8)(sector >> 24));
    outb(0x1f4, 0);
    outb(0x1f5, 0);
    outb(0x1f2, (u8)count);
    outb(0x1f3, (u8)sector);
    outb(0x1f4, (u8)(sector >> 8));
    outb(0x1f5, (u8)(sector >> 16));
    outb(0x1f7, op == DISK_READ ? 0x25 : 0x35);
    outb(port, op == DISK_READ ? 9 : 1);
    while (!(inb(port + 2) & 4))
        continue;
    outb(port, 0);
    ide_ok = !(ide_idle() & 1) && !(inb(port + 2) & 2);
}

void disk_start(enum disk_op op, u32 sector, void *buf, u32 len)
{
    if (virtio)
        virtio_start(op, sector, buf, len);
    else
        ide_start(op, sector, buf, len);
    started++;
}

bool disk_wait(void)
{
    bool ok = ide_ok;

    if (virtio) { // they may end in any order
        while (*(volatile u8 *)&request[ended % DISK_REQUESTS].status == 0xff)
            continue;
        __asm__ volatile("" : : : "memory");
        ok = request[ended % DISK_REQUESTS].status == 0;
    }
    ended++;
    return ok;
}

bool disk_do(enum disk_op op, u32 sector, void *buf, u32 len)
{
    disk_start(op, sector, buf, len);
    return disk_wait();
}
