// SPDX-License-Identifier: GPL-2.0-or-later
// The floppy controller by its ports, with the DMA controller's (82077AA data sheet): each PC format.
#include "disk_rig.h"

static struct rig *r;
static struct board *board;
static int fd;

static void setup_disk(u32 kilobytes)
{
    static char name[64];
    const struct board_drive drive = { DRIVE_FLOPPY, 0, { .file = name, .floppy = true } };
    const struct board_config config = { .ram_size = 1 << 20, .debug_exit_base = -1, .drive = &drive, .drives = 1 };

    fd = image_new(kilobytes * 2, name);
    r = rig_new();
    board = rig_board(r, &config);
}

static void setup(void) { setup_disk(1440); }

static void teardown(void)
{
    board_destroy(board);
    rig_free(r);
    close(fd);
}

static u8 in(u16 port) { return rig_in(r, port); }
static void out(u16 port, u8 v) { rig_out(r, port, v); }

static void command(unsigned len, const u8 *bytes)
{
    for (unsigned i = 0; i < len; i++) {
        ck_assert_uint_eq(in(0x3f4) & 0xc0, 0x80);
        out(0x3f5, bytes[i]);
    }
}
#define COMMAND(...) command(sizeof((const u8[]){ __VA_ARGS__ }), (const u8[]){ __VA_ARGS__ })

static void result(u8 *to, unsigned len)
{
    AWAIT(r, board, (in(0x3f4) & 0xc0) == 0xc0);
    for (unsigned i = 0; i < len; i++) {
        ck_assert_uint_eq(in(0x3f4) & 0xd0, 0xd0);
        to[i] = in(0x3f5);
    }
    ck_assert_uint_eq(in(0x3f4) & 0xf0, 0x80);
}

static void start(u8 rate)
{
    u8 bytes[2];

    out(0x3f2, 0);
    out(0x3f2, 0x1c); // drive 0, its motor, DMA
    rig_run(r, board, 10000000);
    for (int n = 0; n < 4; n++) {
        COMMAND(8);
        result(bytes, 2);
        ck_assert_uint_eq(bytes[0], 0xc0 | n);
    }
    COMMAND(8); // nothing more to tell
    result(bytes, 1);
    ck_assert_uint_eq(bytes[0], 0x80);
    out(0x3f7, rate);
    COMMAND(3, 0xdf, 2);
}

static void seek(u8 head, u8 track)
{
    u8 bytes[2];

    COMMAND(0x0f, head << 2, track);
    rig_run(r, board, 100000000);
    COMMAND(8);
    result(bytes, 2);
    ck_assert_uint_eq(bytes[0], 0x20 | head << 2);
    ck_assert_uint_eq(bytes[1], track);
}

static void dma2(u8 mode, u32 gpa, u32 count)
{
    out(0x0a, 6);
    out(0x0c, 0);
    out(0x0b, mode | 2);
    out(0x04, gpa);
    out(0x04, gpa >> 8);
    out(0x81, gpa >> 16);
    out(0x05, count - 1);
    out(0x05, (count - 1) >> 8);
    out(0x0a, 2);
}

static const struct { u32 kilobytes; u8 sectors, heads, tracks, rate; } formats[] = {
    { 160, 8, 1, 40, 1 }, { 180, 9, 1, 40, 1 }, { 320, 8, 2, 40, 1 }, { 360, 9, 2, 40, 1 }, { 720, 9, 2, 80, 2 },
    { 1200, 15, 2, 80, 0 }, { 1440, 18, 2, 80, 0 }, { 2880, 36, 2, 80, 3 },
};

// The last sector of each format, and what comes behind it.
START_TEST(each_format)
{
    u8 sectors = formats[_i].sectors, head = formats[_i].heads - 1, track = formats[_i].tracks - 1, bytes[7];

    setup_disk(formats[_i].kilobytes);
    start(formats[_i].rate);
    seek(head, track);
    dma2(0x44, 0x20000, 512);
    COMMAND(0x46, head << 2, track, head, sectors, 2, sectors, 27, 255);
    result(bytes, 7);
    ck_assert_uint_eq(bytes[0] & 0xc0, 0);
    ck_assert(holds(r->mem + 0x20000, formats[_i].kilobytes * 2 - 1, 1));
    dma2(0x44, 0x20000, 512);
    COMMAND(0x46, head << 2, track, head, sectors + 1, 2, sectors + 1, 27, 255);
    result(bytes, 7);
    ck_assert_uint_eq(bytes[0] & 0xc0, 0x40);
    ck_assert_uint_eq(bytes[1] & 4, 4); // no such sector
    out(0x3f7, (formats[_i].rate + 1) & 3); // the wrong speed
    COMMAND(0x4a, head << 2);
    result(bytes, 7);
    ck_assert_uint_eq(bytes[0] & 0xc0, 0x40);
    ck_assert_uint_eq(bytes[1] & 1, 1); // no mark
    teardown();
}
END_TEST

START_TEST(both_heads)
{
    u8 bytes[7];

    start(0);
    seek(0, 3);
    dma2(0x44, 0x20000, 4 * 512);
    COMMAND(0xe6, 0, 3, 0, 17, 2, 18, 27, 255); // multi-track: on with head 1
    result(bytes, 7);
    ck_assert_uint_eq(bytes[0] & 0xc0, 0);
    ck_assert(holds(r->mem + 0x20000, 3 * 36 + 16, 4));
    ck_assert_uint_eq(bytes[3], 3);
    ck_assert_uint_eq(bytes[4], 1);
    ck_assert_uint_eq(bytes[5], 3);
    dma2(0x44, 0x20000, 4 * 512);
    COMMAND(0x46, 0, 3, 0, 17, 2, 18, 27, 255); // without: the track ends first
    result(bytes, 7);
    ck_assert_uint_eq(bytes[0] & 0xc0, 0x40);
    ck_assert_uint_eq(bytes[1] & 0x80, 0x80);
}
END_TEST

START_TEST(write_and_format)
{
    u8 bytes[7], blank[512];

    start(0);
    seek(1, 40);
    for (int i = 0; i < 1024; i++)
        r->mem[0x30000 + i] = i * 5;
    dma2(0x48, 0x30000, 1024);
    COMMAND(0x45, 4, 40, 1, 6, 2, 18, 27, 255);
    result(bytes, 7);
    ck_assert_uint_eq(bytes[0] & 0xc0, 0);
    ck_assert(image_has(fd, (40 * 2 + 1) * 18 + 5, r->mem + 0x30000, 1024));
    for (int i = 0; i < 18; i++)
        memcpy(r->mem + 0x30000 + 4 * i, (const u8[]){ 40, 1, i + 1, 2 }, 4);
    dma2(0x48, 0x30000, 72);
    COMMAND(0x4d, 4, 2, 18, 84, 0xf6);
    result(bytes, 7);
    ck_assert_uint_eq(bytes[0] & 0xc0, 0);
    memset(blank, 0xf6, sizeof(blank));
    ck_assert(image_has(fd, (40 * 2 + 1) * 18, blank, 512) && image_has(fd, (40 * 2 + 1) * 18 + 17, blank, 512));
    ck_assert(!image_has(fd, (40 * 2 + 2) * 18, blank, 512));
}
END_TEST

START_TEST(without_dma)
{
    u8 bytes[7], buf[512];

    start(0);
    COMMAND(3, 0xdf, 3);
    seek(0, 0);
    COMMAND(0x46, 0, 0, 0, 18, 2, 18, 27, 255);
    for (int i = 0; i < 512; i++) {
        AWAIT(r, board, (in(0x3f4) & 0xe0) == 0xe0);
        buf[i] = in(0x3f5);
    }
    ck_assert(holds(buf, 17, 1));
    result(bytes, 7);
    ck_assert_uint_eq(bytes[1] & 0x80, 0x80); // no terminal count ever came
}
END_TEST

START_TEST(commands_without_data)
{
    u8 bytes[10];

    start(0);
    seek(0, 50);
    COMMAND(7, 0);
    rig_run(r, board, 100000000);
    COMMAND(8);
    result(bytes, 2);
    ck_assert_uint_eq(bytes[0], 0x20);
    ck_assert_uint_eq(bytes[1], 0);
    COMMAND(4, 0);
    result(bytes, 1);
    ck_assert_uint_eq(bytes[0] & 0x30, 0x30); // ready, at track 0
    COMMAND(7, 1); // nobody there
    rig_run(r, board, 100000000);
    COMMAND(8);
    result(bytes, 2);
    ck_assert_uint_eq(bytes[0], 0x71);
    COMMAND(0x10);
    result(bytes, 1);
    ck_assert_uint_eq(bytes[0], 0x90);
    COMMAND(0x18); // the 82078's
    result(bytes, 1);
    ck_assert_uint_eq(bytes[0], 0x80);
    COMMAND(0x13, 0, 0x57, 0);
    COMMAND(0x94);
    result(bytes, 1);
    ck_assert_uint_eq(bytes[0], 0x10);
    COMMAND(0x0e);
    result(bytes, 10);
    ck_assert_uint_eq(bytes[8], 0x57);
    ck_assert_uint_eq(bytes[7] & 0x80, 0x80);
}
END_TEST

START_TEST(another_disk)
{
    char name[64];
    int other = image_new(1440, name); // sectors: 720 KB
    struct err err;
    u8 bytes[7];

    start(0);
    seek(0, 1);
    ck_assert_uint_eq(in(0x3f7) & 0x80, 0);
    ck_assert(board_change(board, "floppy0", NULL, &err));
    ck_assert_uint_eq(in(0x3f7) & 0x80, 0x80);
    seek(0, 2); // without a disk the line stays
    ck_assert_uint_eq(in(0x3f7) & 0x80, 0x80);
    ck_assert(board_change(board, "floppy0", name, &err));
    ck_assert_uint_eq(in(0x3f7) & 0x80, 0x80);
    seek(0, 1);
    ck_assert_uint_eq(in(0x3f7) & 0x80, 0);
    out(0x3f7, 2);
    COMMAND(0x4a, 0);
    result(bytes, 7);
    ck_assert_uint_eq(bytes[0] & 0xc0, 0);
    close(other);
}
END_TEST

// Heads move beside other commands, and each of them reports.
START_TEST(overlapping_seeks)
{
    u8 bytes[10];

    start(0);
    COMMAND(0x0f, 0, 70);
    ck_assert_uint_eq(in(0x3f4), 0x81);
    COMMAND(0x0f, 1, 7); // no such drive
    ck_assert_uint_eq(in(0x3f4), 0x83);
    COMMAND(8); // nothing yet
    result(bytes, 1);
    ck_assert_uint_eq(bytes[0], 0x80);
    rig_run(r, board, 100000000);
    ck_assert_uint_eq(in(0x3f4), 0x80);
    ck_assert_uint_eq(in(0x3f0) & 0x80, 0x80); // interrupt pending
    COMMAND(8);
    result(bytes, 2);
    ck_assert_uint_eq(bytes[0], 0x20);
    ck_assert_uint_eq(bytes[1], 70);
    ck_assert_uint_eq(in(0x3f0) & 0x80, 0x80);
    COMMAND(8);
    result(bytes, 2);
    ck_assert_uint_eq(bytes[0], 0x61);
    ck_assert_uint_eq(in(0x3f0) & 0x80, 0);
    // A command that needs the controller's clock does not lose them.
    COMMAND(0x0f, 0, 3);
    COMMAND(0x4a, 0);
    result(bytes, 7);
    ck_assert_uint_eq(bytes[3], 3);
    COMMAND(8);
    result(bytes, 2);
    ck_assert_uint_eq(bytes[1], 3);
    // A reset forgets them.
    COMMAND(0x0f, 0, 9);
    start(0);
}
END_TEST

// Drivers of the XT's time ask once after a reset, where the AT's ask four times; then what is told is of the next interrupt.
START_TEST(asked_once_after_reset)
{
    u8 bytes[2];

    out(0x3f2, 0);
    out(0x3f2, 0x1c);
    rig_run(r, board, 10000000);
    COMMAND(8);
    result(bytes, 2);
    ck_assert_uint_eq(bytes[0], 0xc0);
    COMMAND(3, 0xdf, 2);
    COMMAND(7, 0);
    rig_run(r, board, 100000000);
    COMMAND(8);
    result(bytes, 2);
    ck_assert_uint_eq(bytes[0], 0x20);
    ck_assert_uint_eq(bytes[1], 0);
    seek(0, 12);
    COMMAND(8);
    result(bytes, 1);
    ck_assert_uint_eq(bytes[0], 0x80);
}
END_TEST

// 48 tracks an inch in a drive of 96: the driver steps twice.
START_TEST(double_steps)
{
    u8 bytes[10];

    setup_disk(360);
    start(1);
    for (u8 track = 0; track < 40; track += 13) {
        seek(1, 2 * track);
        COMMAND(0x4a, 4);
        result(bytes, 7);
        ck_assert_uint_eq(bytes[0] & 0xc0, 0);
        ck_assert_uint_eq(bytes[3], track);
        dma2(0x44, 0x20000, 512);
        COMMAND(0x46, 4, track, 1, 2, 2, 9, 27, 255);
        result(bytes, 7);
        ck_assert_uint_eq(bytes[0] & 0xc0, 0);
        ck_assert(holds(r->mem + 0x20000, (track * 2 + 1) * 9 + 1, 1));
        COMMAND(0x0e); // the head is where it was
        result(bytes, 10);
        ck_assert_uint_eq(bytes[0], 2 * track);
    }
    seek(1, 80); // beyond the last
    COMMAND(0x4a, 4);
    result(bytes, 7);
    ck_assert_uint_eq(bytes[1] & 1, 1);
    teardown();
}
END_TEST

START_TEST(implied_seeks)
{
    u8 bytes[10];

    start(0);
    seek(0, 5);
    COMMAND(0x13, 0, 0x47, 0);
    dma2(0x44, 0x20000, 512);
    COMMAND(0x46, 0, 33, 0, 1, 2, 18, 27, 255);
    result(bytes, 7);
    ck_assert(holds(r->mem + 0x20000, 33 * 36, 1));
    COMMAND(0x0e);
    result(bytes, 10);
    ck_assert_uint_eq(bytes[0], 33);
    COMMAND(0xcf, 0, 4); // relative: inwards, then out
    rig_run(r, board, 100000000);
    COMMAND(8);
    result(bytes, 2);
    ck_assert_uint_eq(bytes[1], 37);
    COMMAND(0x8f, 0, 40);
    rig_run(r, board, 100000000);
    COMMAND(8);
    result(bytes, 2);
    ck_assert_uint_eq(bytes[1], 0);
    // CONFIGURE is forgotten by a reset unless it is locked, PERPENDICULAR MODE is kept.
    COMMAND(0x12, 0x8f);
    COMMAND(0x0e);
    result(bytes, 10);
    ck_assert_uint_eq(bytes[7], 0x0f);
    start(0);
    COMMAND(0x12, 0x33); // the drives' bits change with bit 7 alone
    COMMAND(0x0e);
    result(bytes, 10);
    ck_assert_uint_eq(bytes[8], 0x20);
    ck_assert_uint_eq(bytes[7], 0x0f);
    start(0);
    COMMAND(0x0e);
    result(bytes, 10);
    ck_assert_uint_eq(bytes[7], 0x0c); // and two of them a reset leaves
}
END_TEST

START_TEST(dma_that_never_comes)
{
    u8 bytes[7];

    start(0);
    out(0x0a, 6); // masked
    COMMAND(0x46, 0, 0, 0, 1, 2, 18, 27, 255);
    rig_run(r, board, 3000000000ull);
    result(bytes, 7);
    ck_assert_uint_eq(bytes[0] & 0xc0, 0x40);
    ck_assert_uint_eq(bytes[1] & 0x10, 0x10); // overrun
}
END_TEST

int main(void)
{
    Suite *s = suite_create("i82077");
    TCase *t = tcase_create("i82077"), *f = tcase_create("formats");

    tcase_set_timeout(t, 60);
    tcase_set_timeout(f, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(f, double_steps);
    tcase_add_loop_test(f, each_format, 0, ARRAY_LEN(formats));
    tcase_add_test(t, both_heads);
    tcase_add_test(t, write_and_format);
    tcase_add_test(t, without_dma);
    tcase_add_test(t, commands_without_data);
    tcase_add_test(t, another_disk);
    tcase_add_test(t, overlapping_seeks);
    tcase_add_test(t, asked_once_after_reset);
    tcase_add_test(t, implied_seeks);
    tcase_add_test(t, dma_that_never_comes);
    suite_add_tcase(s, f);
    suite_add_tcase(s, t);
    return run_tests(srunner_create(s));
}
