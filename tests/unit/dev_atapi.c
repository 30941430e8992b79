// SPDX-License-Identifier: GPL-2.0-or-later
// The CD-ROM drive's packets, as SFF-8020i and MMC have them, and the handshake around them.
#include "disk_rig.h"

#define CD 0x170
#define SECTORS 100 // of 2048 bytes

static struct rig *r;
static struct board *board;
static int cd_fd;

static void setup(void)
{
    static char name[64];
    const struct board_drive drive = { DRIVE_IDE, 2, { .file = name, .cdrom = true } };
    const struct board_config config = { .ram_size = 1 << 20, .debug_exit_base = -1, .drive = &drive, .drives = 1 };

    cd_fd = image_new(SECTORS * 4, name);
    r = rig_new();
    board = rig_board(r, &config);
}

static void teardown(void)
{
    board_destroy(board);
    rig_free(r);
    close(cd_fd);
}

static u8 in(u16 port) { return rig_in(r, port); }
static void out(u16 port, u8 v) { rig_out(r, port, v); }

static u8 done(void)
{
    AWAIT(r, board, !(in(CD + 0x206) & 0x80));
    return in(CD + 7);
}

static u8 packet(const u8 *bytes, u16 limit)
{
    out(CD + 6, 0xa0);
    out(CD + 1, 0);
    out(CD + 4, limit);
    out(CD + 5, limit >> 8);
    out(CD + 7, 0xa0);
    ck_assert_uint_eq(in(CD + 7), 0x58);
    ck_assert_uint_eq(in(CD + 2) & 7, 1); // a command, to the drive
    for (int i = 0; i < 12; i += 2)
        rig_out16(r, CD, bytes[i] | bytes[i + 1] << 8);
    return done();
}
#define PACKET(limit, ...) packet((const u8[12]){ __VA_ARGS__ }, limit)

// All that the drive sends, in pieces of at most `limit`, which it was told; the number of bytes.
static u32 fetch(u8 *buf, u16 limit)
{
    u32 len = 0;

    while (done() & 8) {
        u32 n = in(CD + 4) | in(CD + 5) << 8;

        ck_assert_uint_eq(in(CD + 2) & 7, 2); // data, to the host
        ck_assert(n > 0 && n <= limit);
        for (u32 i = 0; i < n; i += 2) {
            u16 w = rig_in16(r, CD);

            memcpy(buf + len + i, &w, n - i < 2 ? 1 : 2);
        }
        len += n;
    }
    ck_assert_uint_eq(in(CD + 7), 0x50);
    ck_assert_uint_eq(in(CD + 2) & 7, 3); // completed
    return len;
}

// Key, code and qualifier as 0xKKCCQQ.
static u32 sense(void)
{
    u8 b[18];

    ck_assert_uint_eq(PACKET(18, 3, 0, 0, 0, 18), 0x58);
    ck_assert_uint_eq(fetch(b, 18), 18);
    ck_assert_uint_eq(b[7], 10);
    return (u32)b[2] << 16 | b[12] << 8 | b[13];
}

static bool fails(u8 status, u32 expected)
{
    ck_assert_uint_eq(status & 0x89, 1);
    ck_assert_uint_eq(in(CD + 1) >> 4, expected >> 16);
    ck_assert_uint_eq(in(CD + 2) & 7, 3);
    return sense() == expected;
}

static void get_ready(void)
{
    if (PACKET(0, 0) & 1)
        sense();
    ck_assert_uint_eq(PACKET(0, 0), 0x50);
}

START_TEST(identity)
{
    u8 b[64];
    u16 w[256];

    ck_assert_uint_eq(PACKET(36, 0x12, 0, 0, 0, 36), 0x58);
    ck_assert_uint_eq(fetch(b, 36), 36);
    ck_assert(b[0] == 5 && b[1] == 0x80 && b[4] == 31); // a CD-ROM, removable
    ck_assert_mem_eq(b + 8, "RING3   ", 8);
    ck_assert_uint_eq(PACKET(64, 0x12, 0, 0, 0, 5), 0x58); // no more than asked for
    ck_assert_uint_eq(fetch(b, 64), 5);
    get_ready();
    ck_assert(fails(PACKET(64, 0x12, 1, 0, 0, 36), 0x052400));
    out(CD + 7, 0xa1);
    ck_assert_uint_eq(done(), 0x58);
    for (unsigned i = 0; i < 256; i++)
        w[i] = rig_in16(r, CD);
    ck_assert_uint_eq(w[0] & 0xdf03, 0x8500); // ATAPI, CD-ROM, removable, packets of 12 bytes
    ck_assert_uint_eq(w[0] & 0x60, w[0] & 0x40); // DRQ comes without an interrupt
    ck_assert_uint_eq(w[49] & 0x300, 0x300);
}
END_TEST

// However odd the limit is that the host gives.
START_TEST(portions)
{
    static const u16 limits[] = { 2, 3, 12, 511, 2048, 2050, 6000, 0xfffe, 0xffff, 0 };
    u8 b[5 * 2048];

    get_ready();
    for (unsigned i = 0; i < ARRAY_LEN(limits); i++) {
        u16 most = limits[i] & 0xfffe ? limits[i] & 0xfffe : 0xfffe;

        memset(b, 0, sizeof(b));
        ck_assert_uint_eq(PACKET(limits[i], 0x28, 0, 0, 0, 0, 9, 0, 0, 5), 0x58);
        ck_assert_uint_eq(fetch(b, most), sizeof(b));
        ck_assert(holds(b, 36, 20));
    }
    // The long form, and nothing at all.
    ck_assert_uint_eq(PACKET(0xfffe, 0xa8, 0, 0, 0, 0, 90, 0, 0, 0, 2), 0x58);
    ck_assert_uint_eq(fetch(b, 0xfffe), 4096);
    ck_assert(holds(b, 360, 8));
    ck_assert_uint_eq(PACKET(0xfffe, 0x28, 0, 0, 0, 0, 9), 0x50);
    ck_assert(fails(PACKET(0xfffe, 0x28, 0, 0, 0, 0, SECTORS, 0, 0, 1), 0x052100));
    ck_assert(fails(PACKET(0xfffe, 0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff), 0x052100));
}
END_TEST

START_TEST(raw_sectors)
{
    u8 b[2352];

    get_ready();
    ck_assert_uint_eq(PACKET(0xfffe, 0xbe, 0, 0, 0, 0, 7, 0, 0, 1, 0xf8), 0x58);
    ck_assert_uint_eq(fetch(b, 0xfffe), 2352);
    ck_assert_mem_eq(b, "\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0", 12); // sync
    ck_assert_mem_eq(b + 12, "\x00\x02\x07\x01", 4);                        // 0:02:07, mode 1
    ck_assert(holds(b + 16, 28, 4));
    ck_assert_uint_eq(PACKET(0xfffe, 0xbe, 0, 0, 0, 0, 7, 0, 0, 1, 0x10), 0x58); // its data alone
    ck_assert_uint_eq(fetch(b, 0xfffe), 2048);
    ck_assert(holds(b, 28, 4));
    ck_assert_uint_eq(PACKET(0xfffe, 0xbe, 0, 0, 0, 0, 7, 0, 0, 1, 0), 0x50); // nothing of it
    ck_assert(fails(PACKET(0xfffe, 0xbe, 0, 0, 0, 0, 7, 0, 0, 1, 0x48), 0x052400));
}
END_TEST

START_TEST(contents)
{
    u8 b[64];

    get_ready();
    ck_assert_uint_eq(PACKET(0xfffe, 0x43, 0, 0, 0, 0, 0, 0, 0, 64), 0x58);
    ck_assert_uint_eq(fetch(b, 0xfffe), 20);
    ck_assert_mem_eq(b, "\0\x12\1\1\0\x14\1\0\0\0\0\0\0\x14\xaa\0\0\0\0\x64", 20);
    ck_assert_uint_eq(PACKET(0xfffe, 0x43, 2, 0, 0, 0, 0, 0xaa, 0, 64), 0x58); // the lead-out, in minutes and seconds
    ck_assert_uint_eq(fetch(b, 0xfffe), 12);
    ck_assert_mem_eq(b + 8, "\0\0\3\x19", 4); // 100 + 150 frames
    ck_assert(fails(PACKET(0xfffe, 0x43, 0, 0, 0, 0, 0, 2, 0, 64), 0x052400)); // no second track
    ck_assert_uint_eq(PACKET(0xfffe, 0x43, 0, 1, 0, 0, 0, 0, 0, 64), 0x58);     // sessions
    ck_assert_uint_eq(fetch(b, 0xfffe), 12);
    ck_assert_uint_eq(PACKET(0xfffe, 0x43, 0, 0, 0, 0, 0, 0, 0, 12, 0x80), 0x58); // the whole, as SFF-8020i asks
    ck_assert_uint_eq(fetch(b, 0xfffe), 12);
    ck_assert_uint_eq(b[1], 46); // of 48 bytes
}
END_TEST

START_TEST(mode_pages)
{
    u8 b[64];

    get_ready();
    ck_assert_uint_eq(PACKET(0xfffe, 0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 64), 0x58);
    ck_assert_uint_eq(fetch(b, 0xfffe), 8 + 22);
    ck_assert(b[1] == 28 && b[8] == 0x2a && b[9] == 20);
    ck_assert_uint_eq(b[14] & 0x2b, 0x29); // not locked
    ck_assert_uint_eq(PACKET(0xfffe, 0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 64), 0x58);
    ck_assert_uint_eq(fetch(b, 0xfffe), 8 + 8 + 16 + 22);
    ck_assert(fails(PACKET(0xfffe, 0x5a, 0, 0x15, 0, 0, 0, 0, 0, 64), 0x052400));
    ck_assert(fails(PACKET(0xfffe, 0x5a, 0, 0xea, 0, 0, 0, 0, 0, 64), 0x053900)); // nothing is saved
    ck_assert(fails(PACKET(0xfffe, 0x99), 0x052000)); // no such command
}
END_TEST

START_TEST(tray)
{
    u8 b[8];

    get_ready();
    PACKET(0xfffe, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    fetch(b, 0xfffe); // what came before is told
    ck_assert_uint_eq(PACKET(0, 0x1e, 0, 0, 0, 1), 0x50); // locked
    ck_assert(fails(PACKET(0, 0x1b, 0, 0, 0, 2), 0x025302));
    ck_assert_uint_eq(PACKET(0, 0), 0x50);
    ck_assert_uint_eq(PACKET(0, 0x1e, 0, 0, 0, 0), 0x50);
    ck_assert_uint_eq(PACKET(0, 0x1b, 0, 0, 0, 2), 0x50); // out
    ck_assert(fails(PACKET(0, 0), 0x023a02));
    ck_assert(fails(PACKET(8, 0x25), 0x023a02));
    PACKET(0xfffe, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    ck_assert_uint_eq(fetch(b, 0xfffe), 8);
    ck_assert_uint_eq(b[5] & 1, 1); // open
    ck_assert_uint_eq(PACKET(0, 0x1b, 0, 0, 0, 3), 0x50); // in
    get_ready();
    ck_assert_uint_eq(PACKET(8, 0x25), 0x58);
    fetch(b, 8);
    ck_assert_mem_eq(b, "\0\0\0\x63\0\0\x08\0", 8);
}
END_TEST

START_TEST(another_disc)
{
    char name[64];
    int fd = image_new(80, name);
    struct err err;
    u8 b[36];

    get_ready();
    PACKET(0xfffe, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    fetch(b, 0xfffe);
    ck_assert(board_change(board, "ide1-cd0", NULL, &err));
    PACKET(0xfffe, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    fetch(b, 0xfffe);
    ck_assert(b[4] == 3 && !(b[5] & 2)); // removed
    ck_assert(fails(PACKET(0, 0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0x023a01));
    ck_assert(board_change(board, "ide1-cd0", name, &err));
    PACKET(0xfffe, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    fetch(b, 0xfffe);
    ck_assert(b[4] == 2 && b[5] & 2); // new
    PACKET(0xfffe, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    fetch(b, 0xfffe);
    ck_assert_uint_eq(b[4], 0); // told once
    ck_assert_uint_eq(PACKET(36, 0x12, 0, 0, 0, 36), 0x58); // goes before the news
    fetch(b, 36);
    ck_assert(fails(PACKET(8, 0x25), 0x062800));
    ck_assert_uint_eq(PACKET(8, 0x25), 0x58);
    fetch(b, 8);
    ck_assert_mem_eq(b, "\0\0\0\x13", 4);
    close(fd);
}
END_TEST

START_TEST(resets)
{
    u8 b[2048];

    get_ready();
    PACKET(2048, 0x28, 0, 0, 0, 0, 1, 0, 0, 9);
    out(CD + 7, 0x08); // DEVICE RESET gets through, in the middle of a transfer
    ck_assert_uint_eq(in(CD + 7), 0);
    ck_assert(in(CD + 4) == 0x14 && in(CD + 5) == 0xeb && in(CD + 2) == 1 && in(CD + 3) == 1);
    get_ready();
    out(CD + 1, 0);
    out(CD + 7, 0xa0); // a packet that never comes
    out(0x376, 4);
    out(0x376, 0);
    ck_assert_uint_eq(in(CD + 7), 0);
    get_ready();
    ck_assert_uint_eq(PACKET(2048, 0x28, 0, 0, 0, 0, 1, 0, 0, 1), 0x58);
    ck_assert_uint_eq(fetch(b, 2048), 2048);
    ck_assert(holds(b, 4, 4));
}
END_TEST

START_TEST(nonsense)
{
    srand(_i);
    for (unsigned n = 0; n < 3000; n++) {
        u8 bytes[12];

        for (unsigned i = 0; i < 12; i++)
            bytes[i] = rand() & (rand() % 3 ? 0x0f : 0xff);
        if (rand() % 2)
            bytes[0] = (const u8[]){ 0x28, 0xa8, 0xbe, 0x43, 0x5a, 0x4a, 0x12, 0x46, 0x51, 0x52, 0x42, 0xbd }[rand() % 12];
        out(0x376, 4);
        out(0x376, 0);
        packet(bytes, rand());
        for (unsigned i = 0; i < 200 && in(CD + 7) & 8; i++)
            rig_in16(r, CD);
    }
    out(0x376, 4);
    out(0x376, 0);
    PACKET(0, 0x1b, 0, 0, 0, 3);
    get_ready();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("atapi");
    TCase *tc = tcase_create("atapi");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, identity);
    tcase_add_test(tc, portions);
    tcase_add_test(tc, raw_sectors);
    tcase_add_test(tc, contents);
    tcase_add_test(tc, mode_pages);
    tcase_add_test(tc, tray);
    tcase_add_test(tc, another_disc);
    tcase_add_test(tc, resets);
    tcase_add_loop_test(tc, nonsense, 0, 2);
    suite_add_tcase(suite, tc);
    return run_tests(srunner_create(suite));
}
