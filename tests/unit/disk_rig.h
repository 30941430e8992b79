// SPDX-License-Identifier: GPL-2.0-or-later
// Images of numbered sectors for the tests of disks, and waiting for the images' threads.
#ifndef RING3_TESTS_UNIT_DISK_RIG_H
#define RING3_TESTS_UNIT_DISK_RIG_H

#include "dev_rig.h"

#include <sys/mman.h>
#include <unistd.h>

// A file in memory: byte b of sector s is sector_byte(s, b). Returns its descriptor, and its name in `name`.
static inline u8 sector_byte(u32 sector, u32 at) { return (u8)(sector * 7 + at * 3 + (at >> 8) + (sector >> 8)); }

static inline int image_new(u32 sectors, char name[64])
{
    int fd = memfd_create("image", MFD_CLOEXEC);
    u8 buf[512];

    ck_assert_int_ge(fd, 0);
    for (u32 s = 0; s < sectors; s++) {
        for (u32 i = 0; i < sizeof(buf); i++)
            buf[i] = sector_byte(s, i);
        ck_assert_int_eq(write(fd, buf, sizeof(buf)), sizeof(buf));
    }
    snprintf(name, 64, "/proc/%d/fd/%d", (int)getpid(), fd);
    return fd;
}

// Whether buf holds what image_new wrote into these sectors.
static inline bool holds(const u8 *buf, u32 sector, u32 sectors)
{
    for (u32 i = 0; i < sectors * 512; i++)
        if (buf[i] != sector_byte(sector + i / 512, i % 512))
            return false;
    return true;
}

// Whether the image itself has these bytes at a sector.
static inline bool image_has(int fd, u32 sector, const void *bytes, u32 len)
{
    u8 buf[65536];

    return pread(fd, buf, len, sector * 512ll) == (ssize_t)len && memcmp(buf, bytes, len) == 0;
}

// Time passes until cond holds; the images' threads get theirs.
#define AWAIT(rig, board, cond)                                                                  \
    do {                                                                                         \
        int tries_ = 0;                                                                          \
                                                                                                 \
        while (!(cond)) {                                                                        \
            ck_assert_msg(tries_++ < 20000, "%s does not come true", #cond);                     \
            usleep(100);                                                                         \
            rig_run(rig, board, 100000);                                                         \
            board_poll(board);                                                                   \
        }                                                                                        \
    } while (0)

static inline u16 rig_in16(struct rig *r, u16 port) { return (u16)bus_read(&r->bus, BUS_PORT, port, 2); }
static inline u32 rig_in32(struct rig *r, u16 port) { return (u32)bus_read(&r->bus, BUS_PORT, port, 4); }
static inline void rig_out16(struct rig *r, u16 port, u16 v) { bus_write(&r->bus, BUS_PORT, port, v, 2); }
static inline void rig_out32(struct rig *r, u16 port, u32 v) { bus_write(&r->bus, BUS_PORT, port, v, 4); }

static inline void rig_pci_out(struct rig *r, u32 devfn, u32 at, u32 value)
{
    rig_out32(r, 0xcf8, 0x80000000 | devfn << 8 | at);
    rig_out32(r, 0xcfc, value);
}

static inline void rig_put32(struct rig *r, u32 gpa, u32 value) { memcpy(r->mem + gpa, &value, 4); }
static inline void rig_put16(struct rig *r, u32 gpa, u16 value) { memcpy(r->mem + gpa, &value, 2); }

static inline int run_tests(SRunner *runner)
{
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
