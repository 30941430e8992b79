// SPDX-License-Identifier: GPL-2.0-or-later
#include "lowmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VIDEO 0xa0000u
#define SHADOW 0xc0000u
#define SHADOW_LEN 0x40000u
#define AREA_SHIFT 14
#define MIB (1u << 20)
#define CHIPSET 0xfec00000u // interrupt controllers, firmware
#define ROM_ALIAS (128u << 10)
#define ROM_MAX (8u << 20)

// ---- The RAM behind what is read

static u64 behind_read(void *dev, u32 addr, unsigned size)
{
    (void)dev, (void)addr;
    return ~0ull >> (64 - 8 * size);
}

static void behind_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct lowmem *lm = dev;

    // No code can have been translated from there: the guest cannot read it at this address, nor
    // at another.
    if (lm->write_behind[addr >> AREA_SHIFT])
        memcpy(lm->phys->mem + SHADOW + addr, &value, size);
}

static const struct bus_ops behind_ops = { behind_read, behind_write, 8 };

bool lowmem_init(struct lowmem *lm, struct phys *phys, struct bus *bus, struct err *err)
{
    *lm = (struct lowmem){ .phys = phys };
    return bus_add(bus, BUS_MMIO, SHADOW, SHADOW_LEN, &behind_ops, lm, "shadow RAM", err);
}

void lowmem_destroy(struct lowmem *lm, struct bus *bus)
{
    bus_remove(bus, BUS_MMIO, SHADOW, lm);
}

// ---- Maps

static void map_video(struct lowmem *lm)
{
    u32 all = SHADOW - VIDEO;

    if (lm->smram) {
        phys_map(lm->phys, VIDEO, all, VIDEO >> PAGE_SHIFT, PHYS_READ | PHYS_WRITE);
        return;
    }
    phys_map(lm->phys, VIDEO, all, 0, 0);
    if (lm->video_len)
        phys_map(lm->phys, lm->video_base, lm->video_len, lm->video_frame, PHYS_READ | PHYS_WRITE);
}

void lowmem_video(struct lowmem *lm, u32 base, u32 len, u32 frame)
{
    lm->video_base = base;
    lm->video_len = len;
    lm->video_frame = frame;
    map_video(lm);
}

bool lowmem_place(struct lowmem *lm, u32 base, u32 len, u32 frame, u8 flags)
{
    if (base % PAGE_SIZE || len % PAGE_SIZE || base < MAX(lm->phys->ram_size, (u64)MIB)
        || base >= CHIPSET || len > CHIPSET - base)
        return false;
    phys_map(lm->phys, base, len, frame, flags);
    return true;
}

static void map_area(struct lowmem *lm, u32 base, bool read_ram, bool write_ram)
{
    u32 len = 1u << AREA_SHIFT;

    lm->write_behind[(base - SHADOW) >> AREA_SHIFT] = write_ram && !read_ram;
    if (read_ram)
        phys_map(lm->phys, base, len, base >> PAGE_SHIFT,
                 PHYS_READ | (write_ram ? PHYS_WRITE : PHYS_ROM));
    else if (lm->rom_frame && base >= lm->rom_base)
        phys_map(lm->phys, base, len, lm->rom_frame + ((base - lm->rom_base) >> PAGE_SHIFT),
                 PHYS_READ | (write_ram ? 0 : PHYS_ROM));
    else
        phys_map(lm->phys, base, len, 0, 0);
}

void lowmem_map(struct lowmem *lm, u32 base, u32 len, bool read_ram, bool write_ram)
{
    if (base < SHADOW) {
        lm->smram = read_ram;
        map_video(lm);
        return;
    }
    for (u32 at = base; at < base + len; at += 1u << AREA_SHIFT)
        map_area(lm, at, read_ram, write_ram);
}

// ---- Firmware

u8 *lowmem_read(const char *path, u32 max, u32 *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    u8 *bytes = NULL;

    *len = 0;
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= max)
        bytes = malloc((size_t)st.st_size);
    if (bytes && read(fd, bytes, (size_t)st.st_size) != st.st_size) {
        free(bytes);
        bytes = NULL;
    }
    close(fd);
    *len = bytes ? (u32)st.st_size : 0;
    return bytes;
}

// The whole firmware; NULL on failure.
static u8 *read_firmware(const char *path, u32 *len, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    u8 *bytes = NULL;

    if (fd < 0) {
        err_set(err, EXIT_INPUT, "cannot open the firmware %s: %s%s", path, strerror(errno),
                errno == ENOENT ? "; install the package seabios, or name another file with -bios"
                                : "");
        return NULL;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > ROM_MAX ||
        st.st_size % (1 << AREA_SHIFT)) {
        err_set(err, EXIT_INPUT, "the firmware %s is no ROM image: its size must be a multiple of 16 KiB, "
                "and at most 8 MiB", path);
        close(fd);
        return NULL;
    }
    *len = (u32)st.st_size;
    bytes = malloc(*len);
    if (!bytes || read(fd, bytes, *len) != (ssize_t)*len) {
        err_set(err, EXIT_INPUT, "cannot read the firmware %s", path);
        free(bytes);
        bytes = NULL;
    }
    close(fd);
    return bytes;
}

bool lowmem_firmware(struct lowmem *lm, const char *path, struct err *err)
{
    u32 len, low;
    u8 *bytes = read_firmware(path, &len, err), *rom;

    if (!bytes)
        return false;
    rom = phys_add_rom(lm->phys, 0x100000000ull - len, bytes, len);
    lm->u_boot = memmem(bytes, len, "U-Boot 20", 9);
    free(bytes);
    if (!rom)
        return err_set(err, EXIT_INPUT, "the firmware %s is too large", path);
    low = MIN(len, ROM_ALIAS);
    lm->rom_base = MIB - low;
    lm->rom_frame = (u32)((rom + len - low - lm->phys->mem) >> PAGE_SHIFT);
    return true;
}
