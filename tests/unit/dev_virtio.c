// SPDX-License-Identifier: GPL-2.0-or-later
// A disk over virtio, by both its register layouts (VIRTIO 1.1, sections 2.6, 4.1 and 5.2).
#include "disk_rig.h"

#define SECTORS 4096
#define DEVFN (8 << 3)
#define IO 0xc200
#define MMIO 0xe0000000u
#define DESC 0x4000
#define AVAIL 0x5000
#define USED 0x6000 // where the legacy layout of 256 entries has it
#define SIZE 256

static struct rig *r;
static struct board *board;
static int fd;
static u16 offered; // entries of the available ring

static void setup_disk(bool readonly)
{
    static char name[64];
    const struct board_drive drive = { DRIVE_VIRTIO, 0, { .file = name, .format = "raw", .readonly = readonly } };
    const struct board_config config = { .ram_size = 1 << 20, .debug_exit_base = -1, .drive = &drive, .drives = 1 };

    fd = image_new(SECTORS, name);
    r = rig_new();
    board = rig_board(r, &config);
    rig_pci_out(r, DEVFN, 0x10, IO);
    rig_pci_out(r, DEVFN, 0x20, MMIO);
    rig_pci_out(r, DEVFN, 4, 7);
    offered = 0;
}

static void teardown(void)
{
    board_destroy(board);
    rig_free(r);
    close(fd);
}

static u32 mmio_in(u32 at, unsigned size) { return (u32)bus_read(&r->bus, BUS_MMIO, MMIO + at, size); }
static void mmio_out(u32 at, u32 v, unsigned size) { bus_write(&r->bus, BUS_MMIO, MMIO + at, v, size); }

static void legacy(void)
{
    rig_out(r, IO + 0x12, 0);
    rig_out(r, IO + 0x12, 3);
    rig_out32(r, IO + 4, 1 << 9);
    rig_out16(r, IO + 0x0e, 0);
    ck_assert_uint_eq(rig_in16(r, IO + 0x0c), SIZE);
    rig_out32(r, IO + 8, DESC >> 12);
    rig_out(r, IO + 0x12, 7);
}

static void modern(void)
{
    mmio_out(0x14, 0, 1);
    ck_assert_uint_eq(mmio_in(0x14, 1), 0);
    mmio_out(0x14, 3, 1);
    mmio_out(0x00, 1, 4);
    ck_assert_uint_eq(mmio_in(0x04, 4) & 1, 1); // VERSION_1
    mmio_out(0x08, 1, 4);
    mmio_out(0x0c, 1, 4);
    mmio_out(0x08, 0, 4);
    mmio_out(0x0c, 1 << 9 | 1 << 28, 4);
    mmio_out(0x14, 11, 1);
    ck_assert_uint_eq(mmio_in(0x14, 1), 11); // agreed
    mmio_out(0x16, 0, 2);
    mmio_out(0x18, 16, 2);
    mmio_out(0x20, DESC, 4);
    mmio_out(0x24, 0, 4);
    mmio_out(0x28, AVAIL, 4);
    mmio_out(0x30, USED, 4);
    mmio_out(0x1c, 1, 2);
    mmio_out(0x14, 15, 1);
}

static void desc(u32 n, u64 gpa, u32 len, u16 flags, u16 next)
{
    memcpy(r->mem + DESC + 16 * n, &gpa, 8);
    rig_put32(r, DESC + 16 * n + 8, len);
    rig_put16(r, DESC + 16 * n + 12, flags);
    rig_put16(r, DESC + 16 * n + 14, next);
}

// A header at 7000h + 20h * n, its status byte behind it.
static void request(u32 n, u32 type, u64 sector)
{
    rig_put32(r, 0x7000 + 32 * n, type);
    rig_put32(r, 0x7004 + 32 * n, 0);
    memcpy(r->mem + 0x7008 + 32 * n, &sector, 8);
    r->mem[0x7010 + 32 * n] = 0xff;
}

static void offer(u16 head, u32 size)
{
    rig_put16(r, AVAIL + 4 + 2 * (offered % size), head);
    rig_put16(r, AVAIL + 2, ++offered);
}

static u16 used(void)
{
    u16 v;

    memcpy(&v, r->mem + USED + 2, 2);
    return v;
}

static u8 status(u32 n) { return r->mem[0x7010 + 32 * n]; }

// Header, data, status in descriptors 3n...
static void chain(u32 n, u32 type, u64 sector, u32 gpa, u32 len)
{
    request(n, type, sector);
    desc(3 * n, 0x7000 + 32 * n, 16, 1, len ? 3 * n + 1 : 3 * n + 2);
    desc(3 * n + 1, gpa, len, type == 1 ? 1 : 3, 3 * n + 2);
    desc(3 * n + 2, 0x7010 + 32 * n, 1, 2, 0);
}

START_TEST(legacy_layout)
{
    setup_disk(false);
    legacy();
    ck_assert_uint_eq(rig_in32(r, IO + 0x14), SECTORS);
    chain(0, 0, 17, 0x20000, 2048);
    chain(1, 0, 400, 0x30000, 65536);
    offer(0, SIZE);
    offer(3, SIZE);
    rig_out16(r, IO + 0x10, 0);
    AWAIT(r, board, used() == 2);
    ck_assert(status(0) == 0 && status(1) == 0);
    ck_assert(holds(r->mem + 0x20000, 17, 4) && holds(r->mem + 0x30000, 400, 128));
    ck_assert_uint_eq(rig_in(r, IO + 0x13), 1); // one interrupt, gone when read
    ck_assert_uint_eq(rig_in(r, IO + 0x13), 0);
    chain(0, 1, 33, 0x30000, 1024);
    chain(1, 4, 0, 0, 0);
    chain(2, 8, 0, 0x21000, 20);
    offer(0, SIZE);
    offer(3, SIZE);
    offer(6, SIZE);
    rig_out16(r, IO + 0x10, 0);
    AWAIT(r, board, used() == 5);
    ck_assert(status(0) == 0 && status(1) == 0 && status(2) == 0);
    ck_assert(image_has(fd, 33, r->mem + 0x30000, 1024));
    ck_assert_mem_eq(r->mem + 0x21000, "ring3-", 6);
    teardown();
}
END_TEST

START_TEST(modern_layout)
{
    setup_disk(false);
    modern();
    ck_assert_uint_eq(mmio_in(0x2000, 4), SECTORS);
    for (u32 i = 0; i < 100; i++) { // round the rings of 16
        chain(i % 4, 0, i * 3, 0x20000, 1024);
        offer(i % 4 * 3, 16);
        mmio_out(0x3000, 0, 2);
        AWAIT(r, board, used() == i + 1);
        ck_assert(status(i % 4) == 0 && holds(r->mem + 0x20000, i * 3, 2));
    }
    ck_assert_uint_eq(mmio_in(0x1000, 1), 1);
    teardown();
}
END_TEST

// Data in pieces of any length, through a table of its own.
START_TEST(pieces)
{
    setup_disk(false);
    modern();
    request(0, 1, 100);
    for (int i = 0; i < 1024; i++)
        r->mem[0x20000 + i] = i * 13;
    desc(0, 0x8000, 16 * 5, 4, 0);
    for (u32 i = 0; i < 5; i++) {
        static const struct { u32 gpa, len; u16 flags; } d[5] = {
            { 0x7000, 16, 1 }, { 0x20000, 100, 1 }, { 0x20064, 1, 1 }, { 0x20065, 923, 1 }, { 0x7010, 1, 2 },
        };

        rig_put32(r, 0x8000 + 16 * i, d[i].gpa);
        rig_put32(r, 0x8004 + 16 * i, 0);
        rig_put32(r, 0x8008 + 16 * i, d[i].len);
        rig_put16(r, 0x800c + 16 * i, d[i].flags);
        rig_put16(r, 0x800e + 16 * i, i + 1);
    }
    offer(0, 16);
    mmio_out(0x3000, 0, 2);
    AWAIT(r, board, used() == 1);
    ck_assert_uint_eq(status(0), 0);
    ck_assert(image_has(fd, 100, r->mem + 0x20000, 1024));
    teardown();
}
END_TEST

START_TEST(refused)
{
    setup_disk(true);
    legacy();
    ck_assert_uint_eq(rig_in32(r, IO) & 1 << 5, 1 << 5); // read-only
    chain(0, 1, 5, 0x20000, 512);
    chain(1, 0, SECTORS - 1, 0x20000, 1024);
    chain(2, 0, ~0ull, 0x20000, 512);
    chain(3, 0, 5, 0x20000, 513);
    chain(4, 77, 5, 0x20000, 512);
    for (u32 n = 0; n < 5; n++)
        offer(3 * n, SIZE);
    rig_out16(r, IO + 0x10, 0);
    AWAIT(r, board, used() == 5);
    for (u32 n = 0; n < 4; n++)
        ck_assert_uint_eq(status(n), 1);
    ck_assert_uint_eq(status(4), 2);
    teardown();
}
END_TEST

// What makes no sense stops the queue until a reset.
START_TEST(nonsense)
{
    setup_disk(false);
    modern();
    switch (_i) {
    case 0: // in a circle
        desc(0, 0x7000, 16, 1, 1);
        desc(1, 0x20000, 512, 1, 0);
        break;
    case 1: // beyond the table
        desc(0, 0x7000, 16, 1, 99);
        break;
    case 2: // no status
        desc(0, 0x7000, 16, 0, 0);
        break;
    case 3: // written, then read
        desc(0, 0x7010, 1, 3, 1);
        desc(1, 0x7000, 16, 0, 0);
        break;
    case 4: // a table with an odd length
        desc(0, 0x8000, 17, 4, 0);
        break;
    }
    offer(0, 16);
    mmio_out(0x3000, 0, 2);
    ck_assert_uint_eq(mmio_in(0x14, 1) & 0x40, 0x40); // needs a reset
    ck_assert_uint_eq(used(), 0);
    offered = 0;
    memset(r->mem + AVAIL, 0, 0x1000);
    modern();
    chain(0, 0, 9, 0x20000, 512);
    offer(0, 16);
    mmio_out(0x3000, 0, 2);
    AWAIT(r, board, used() == 1);
    ck_assert(holds(r->mem + 0x20000, 9, 1));
    teardown();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("virtio");
    TCase *t = tcase_create("virtio");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, legacy_layout);
    tcase_add_test(t, modern_layout);
    tcase_add_test(t, pieces);
    tcase_add_test(t, refused);
    tcase_add_loop_test(t, nonsense, 0, 5);
    suite_add_tcase(s, t);
    return run_tests(srunner_create(s));
}
