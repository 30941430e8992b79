// SPDX-License-Identifier: GPL-2.0-or-later
// IDE channels by their ports: a disk and a CD-ROM drive (ATA/ATAPI-6; PIIX3's bus master).
#include "disk_rig.h"

#define SECTORS 20000
#define BASE 0x1f0
#define CD 0x170
#define BM 0xc100

static struct rig *r;
static struct board *board;
static int disk_fd, cd_fd;

static void setup(void)
{
    static char disk[64], cd[64];
    struct board_drive drives[] = {
        { DRIVE_IDE, 0, { .file = disk, .format = "raw" } }, { DRIVE_IDE, 2, { .file = cd, .cdrom = true } },
    };
    struct board_config config = {
        .ram_size = 1 << 20, .debug_exit_base = -1, .drive = drives, .drives = 2,
    };

    disk_fd = image_new(SECTORS, disk);
    cd_fd = image_new(400, cd);
    r = rig_new();
    board = rig_board(r, &config);
    rig_pci_out(r, 1 << 3 | 1, 0x20, BM);
    rig_pci_out(r, 1 << 3 | 1, 4, 5);
}

static void teardown(void)
{
    board_destroy(board);
    rig_free(r);
    close(disk_fd);
    close(cd_fd);
}

static u8 in(u16 port) { return rig_in(r, port); }
static void out(u16 port, u8 v) { rig_out(r, port, v); }

static u8 done(u16 base)
{
    AWAIT(r, board, !(in(base + 0x206) & 0x80));
    return in(base + 7);
}

static void command(u16 base, u8 select, u32 lba, u8 count, u8 code)
{
    out(base + 6, select);
    out(base + 2, count);
    out(base + 3, lba);
    out(base + 4, lba >> 8);
    out(base + 5, lba >> 16);
    out(base + 7, code);
}

static void command48(u64 lba, u16 count, u8 code)
{
    out(BASE + 6, 0x40);
    out(BASE + 2, count >> 8);
    out(BASE + 2, count);
    for (int i = 0; i < 3; i++) {
        out(BASE + 3 + i, lba >> (24 + 8 * i));
        out(BASE + 3 + i, lba >> (8 * i));
    }
    out(BASE + 7, code);
}

static void fetch(u16 base, u8 *buf, u32 len)
{
    for (u32 i = 0; i < len; i += 2) {
        u16 w = rig_in16(r, base);

        memcpy(buf + i, &w, 2);
    }
}

static void store(const u8 *buf, u32 len)
{
    for (u32 i = 0; i < len; i += 4) {
        u32 w;

        memcpy(&w, buf + i, 4);
        rig_out32(r, BASE, w);
    }
}

START_TEST(signatures)
{
    out(0x3f6, 4);
    ck_assert_uint_eq(in(0x3f6) & 0x80, 0x80);
    out(0x3f6, 0);
    ck_assert_uint_eq(in(BASE + 7), 0x50);
    ck_assert_uint_eq(in(BASE + 1), 1);
    ck_assert_uint_eq(in(BASE + 2), 1);
    ck_assert_uint_eq(in(BASE + 3), 1);
    ck_assert_uint_eq(in(BASE + 4), 0);
    ck_assert_uint_eq(in(BASE + 5), 0);
    out(0x376, 4);
    out(0x376, 0);
    ck_assert_uint_eq(in(CD + 7), 0);
    ck_assert_uint_eq(in(CD + 4), 0x14);
    ck_assert_uint_eq(in(CD + 5), 0xeb);
    out(BASE + 6, 0xb0); // nobody there: drive 0 answers with status 0
    ck_assert_uint_eq(in(BASE + 7), 0);
    // EXECUTE DEVICE DIAGNOSTIC is for both drives, and selects the first.
    out(BASE + 4, 0x55);
    out(BASE + 7, 0x90);
    AWAIT(r, board, in(BM + 2) & 4);
    out(BM + 2, 4);
    ck_assert_uint_eq(in(BASE + 6) & 0x10, 0);
    ck_assert_uint_eq(in(BASE + 7), 0x50);
    ck_assert_uint_eq(in(BASE + 1), 1);
    ck_assert_uint_eq(in(BASE + 4), 0);
    out(BASE + 6, 0xb0);
    command(BASE, 0xb0, 0, 1, 0x20); // any other one finds nobody
    rig_run(r, board, 1000000000);
    ck_assert_uint_eq(in(BASE + 7), 0);
    ck_assert_uint_eq(in(BM + 2) & 4, 0);
}
END_TEST

START_TEST(identify)
{
    u16 w[256];

    command(BASE, 0xa0, 0, 0, 0xec);
    ck_assert_uint_eq(done(BASE), 0x58);
    fetch(BASE, (u8 *)w, 512);
    ck_assert_uint_eq(in(BASE + 7), 0x50);
    ck_assert_uint_eq(w[60] | w[61] << 16, SECTORS);
    ck_assert_uint_eq(w[100] | w[101] << 16, SECTORS);
    ck_assert_uint_eq(w[3], 16);
    ck_assert_uint_eq(w[6], 63);
    ck_assert_uint_eq(w[1], SECTORS / (16 * 63));
    ck_assert_uint_eq(w[49] & 0x300, 0x300);
    ck_assert_uint_eq(w[83] & 0x6400, 0x6400); // flush, 48 bits
    ck_assert_mem_eq(w + 27, "IRGN3", 4);
    command(CD, 0xa0, 0, 0, 0xec); // not for CD-ROMs: aborted, with the signature
    ck_assert_uint_eq(done(CD) & 1, 1);
    ck_assert_uint_eq(in(CD + 1), 4);
    ck_assert_uint_eq(in(CD + 5), 0xeb);
    command(CD, 0xa0, 0, 0, 0xa1);
    ck_assert_uint_eq(done(CD), 0x58);
}
END_TEST

START_TEST(pio_read)
{
    u8 buf[8 * 512];

    command(BASE, 0xe0, 1234, 8, 0x20);
    for (int s = 0; s < 8; s++) { // DRQ for each sector
        ck_assert_uint_eq(done(BASE), 0x58);
        fetch(BASE, buf + s * 512, 512);
    }
    ck_assert(holds(buf, 1234, 8));
    ck_assert_uint_eq(in(BASE + 7), 0x50);
    ck_assert_uint_eq(in(BASE + 3) | in(BASE + 4) << 8, 1241);
    ck_assert_uint_eq(in(BASE + 2), 0);
    ck_assert_uint_eq(rig_in16(r, BASE), 0); // nothing more to fetch
    command(BASE, 0xe0, 0, 4, 0xc6);
    ck_assert_uint_eq(done(BASE), 0x50);
    command(BASE, 0xe0, 50, 6, 0xc4); // 4 + 2 sectors
    ck_assert_uint_eq(done(BASE), 0x58);
    fetch(BASE, buf, 4 * 512);
    ck_assert_uint_eq(done(BASE), 0x58);
    fetch(BASE, buf + 4 * 512, 2 * 512);
    ck_assert_uint_eq(in(BASE + 7), 0x50);
    ck_assert(holds(buf, 50, 6));
    command(BASE, 0xe0, 0, 3, 0xc6); // no power of two
    ck_assert_uint_eq(done(BASE) & 1, 1);
}
END_TEST

START_TEST(pio_write)
{
    u8 buf[1024], back[1024];

    for (int i = 0; i < 1024; i++)
        buf[i] = i * 11;
    command(BASE, 0xe0, 77, 2, 0x30);
    ck_assert_uint_eq(in(BASE + 7), 0x58); // at once, without an interrupt
    store(buf, 512);
    ck_assert_uint_eq(done(BASE), 0x58);
    store(buf + 512, 512);
    ck_assert_uint_eq(done(BASE), 0x50);
    ck_assert(image_has(disk_fd, 77, buf, 1024)); // before the status says so
    command48(77, 2, 0x24);
    done(BASE);
    fetch(BASE, back, 512);
    done(BASE);
    fetch(BASE, back + 512, 512);
    ck_assert_mem_eq(buf, back, 1024);
    command(BASE, 0xe0, 0, 0, 0xe7);
    ck_assert_uint_eq(done(BASE), 0x50);
}
END_TEST

// Cylinder, head, sector, as built and as the host sets it.
START_TEST(chs)
{
    u8 buf[512];

    command(BASE, 0xa0 | 3, 5 << 8 | 9, 1, 0x20);
    ck_assert_uint_eq(done(BASE), 0x58);
    fetch(BASE, buf, 512);
    ck_assert(holds(buf, (5 * 16 + 3) * 63 + 8, 1));
    command(BASE, 0xa0 | 7, 0, 17, 0x91); // 8 heads, 17 sectors
    ck_assert_uint_eq(done(BASE), 0x50);
    command(BASE, 0xa0 | 7, 2 << 8 | 17, 2, 0x20);
    done(BASE);
    fetch(BASE, buf, 512);
    ck_assert(holds(buf, (2 * 8 + 7) * 17 + 16, 1));
    done(BASE);
    fetch(BASE, buf, 512);
    ck_assert_uint_eq(in(BASE + 3), 1); // the next track's first sector
    ck_assert_uint_eq(in(BASE + 4), 3);
    ck_assert_uint_eq(in(BASE + 6) & 15, 0);
    command(BASE, 0xa0, 0, 1, 0x20); // sector 0 is none
    ck_assert_uint_eq(done(BASE) & 1, 1);
    ck_assert_uint_eq(in(BASE + 1), 0x10);
    command(BASE, 0xa0 | 8, 1, 1, 0x20);
    ck_assert_uint_eq(done(BASE) & 1, 1);
    command(BASE, 0xa0, 18, 1, 0x20);
    ck_assert_uint_eq(done(BASE) & 1, 1);
}
END_TEST

static u8 cmos(u8 at)
{
    out(0x70, at);
    return in(0x71);
}

// What systems from before IDENTIFY DEVICE look for: the AT's drive types, 47 with a geometry of its own.
START_TEST(drive_types)
{
    u16 cylinders = SECTORS / (16 * 63), sum = 0;

    ck_assert_uint_eq(cmos(0x12), 0xf0);
    ck_assert_uint_eq(cmos(0x19), 47);
    ck_assert_uint_eq(cmos(0x1a), 0);
    ck_assert_uint_eq(cmos(0x1b) | cmos(0x1c) << 8, cylinders);
    ck_assert_uint_eq(cmos(0x1d), 16);
    ck_assert_uint_eq(cmos(0x1e) & cmos(0x1f), 0xff); // no precompensation
    ck_assert_uint_eq(cmos(0x20), 0xc8);              // no retries; more than eight heads
    ck_assert_uint_eq(cmos(0x21) | cmos(0x22) << 8, cylinders);
    ck_assert_uint_eq(cmos(0x23), 63);
    for (u8 at = 0x24; at < 0x2d; at++) // no second disk
        ck_assert_uint_eq(cmos(at), 0);
    for (u8 at = 0x10; at < 0x2e; at++)
        sum += cmos(at);
    ck_assert_uint_eq(cmos(0x2e) << 8 | cmos(0x2f), sum);
}
END_TEST

START_TEST(limits)
{
    command(BASE, 0xe0, SECTORS - 1, 2, 0x20);
    ck_assert_uint_eq(done(BASE), 0x51);
    ck_assert_uint_eq(in(BASE + 1), 0x10); // ID not found
    command48(1ull << 40, 1, 0x24);
    ck_assert_uint_eq(done(BASE), 0x51);
    command(BASE, 0xe0, 0, 1, 0x5f); // no command
    ck_assert_uint_eq(done(BASE), 0x51);
    ck_assert_uint_eq(in(BASE + 1), 4);
    command48(0, 0, 0x27);
    ck_assert_uint_eq(done(BASE), 0x50);
    ck_assert_uint_eq(in(BASE + 3) | in(BASE + 4) << 8, SECTORS - 1);
    out(0x3f6, 0x80); // what was written before shows
    ck_assert_uint_eq(in(BASE + 3), 0);
    out(0x3f6, 0);
    command(BASE, 0xe0, 100, 5, 0x40); // verify
    ck_assert_uint_eq(done(BASE), 0x50);
    command(BASE, 0xe0, 0, 0, 0xe5);
    done(BASE);
    ck_assert_uint_eq(in(BASE + 2), 0xff);
}
END_TEST

START_TEST(interrupts)
{
    out(0x21, 0);
    command(BASE, 0xe0, 0, 0, 0xe7);
    AWAIT(r, board, in(BM + 2) & 4);
    out(BM + 2, 4);
    ck_assert_uint_eq(in(BM + 2) & 4, 0);
    ck_assert_uint_eq(in(0x3f6), 0x50); // leaves the interrupt as it is
    out(0x3f6, 2); // nIEN: the wire is cut
    command(BASE, 0xe0, 0, 0, 0xe7);
    ck_assert_uint_eq(done(BASE), 0x50);
    ck_assert_uint_eq(in(BM + 2) & 4, 0);
    command(BASE, 0xe0, 0, 0, 0xe7);
    AWAIT(r, board, !(in(0x3f6) & 0x80));
    out(0x3f6, 0); // and back: it was still pending
    ck_assert_uint_eq(in(BM + 2) & 4, 4);
}
END_TEST

static void prd(u32 at, u32 address, u32 len, bool last)
{
    rig_put32(r, at, address);
    rig_put32(r, at + 4, (len & 0xffff) | (last ? 0x80000000 : 0));
}

static u8 dma(bool to_memory, u16 bm)
{
    rig_out32(r, bm + 4, 0x1000);
    out(bm, to_memory ? 8 : 0);
    out(bm + 2, 6);
    out(bm, to_memory ? 9 : 1);
    AWAIT(r, board, in(bm + 2) & 4);
    out(bm, 0);
    return in(bm + 2);
}

START_TEST(dma_transfers)
{
    prd(0x1000, 0x20000, 1024, false);
    prd(0x1008, 0x30000, 512 * 3, true);
    command(BASE, 0xe0, 300, 5, 0xc8);
    ck_assert_uint_eq(dma(true, BM) & 7, 4);
    ck_assert_uint_eq(in(BASE + 7), 0x50);
    ck_assert(holds(r->mem + 0x20000, 300, 2) && holds(r->mem + 0x30000, 302, 3));
    command48(9000, 5, 0x35);
    ck_assert_uint_eq(dma(false, BM) & 7, 4);
    ck_assert_uint_eq(in(BASE + 7), 0x50);
    ck_assert(image_has(disk_fd, 9000, r->mem + 0x20000, 1024));
    ck_assert(image_has(disk_fd, 9002, r->mem + 0x30000, 1536));
    // 0 stands for 64 KiB.
    prd(0x1000, 0x40000, 0, true);
    command(BASE, 0xe0, 1000, 128, 0xc8);
    ck_assert_uint_eq(dma(true, BM) & 7, 4);
    ck_assert(holds(r->mem + 0x40000, 1000, 128));
}
END_TEST

START_TEST(dma_tables_that_do_not_fit)
{
    prd(0x1000, 0x20000, 512, true); // too short: the drive fails
    command(BASE, 0xe0, 300, 3, 0xc8);
    dma(true, BM);
    ck_assert_uint_eq(in(BASE + 7) & 0x81, 1);
    prd(0x1000, 0x20000, 2048, true); // too long: the bus master stays active
    command(BASE, 0xe0, 300, 1, 0xc8);
    rig_out32(r, BM + 4, 0x1000);
    out(BM + 2, 6);
    out(BM, 9);
    AWAIT(r, board, in(BM + 2) & 4);
    ck_assert_uint_eq(in(BM + 2) & 1, 1);
    out(BM, 0);
    ck_assert_uint_eq(in(BM + 2) & 1, 0);
    ck_assert_uint_eq(in(BASE + 7), 0x50);
}
END_TEST

// What cannot be read is an uncorrectable error at its place; the drive goes on.
START_TEST(unreadable)
{
    u8 buf[512];

    ck_assert_int_eq(ftruncate(disk_fd, 5000 * 512), 0);
    command(BASE, 0xe0, 4999, 3, 0x20);
    ck_assert_uint_eq(done(BASE), 0x58);
    fetch(BASE, buf, 512);
    ck_assert_uint_eq(done(BASE), 0x51);
    ck_assert_uint_eq(in(BASE + 1), 0x40);
    ck_assert_uint_eq(in(BASE + 3) | in(BASE + 4) << 8, 5000);
    prd(0x1000, 0x20000, 1024, true);
    command(BASE, 0xe0, 6000, 2, 0xc8);
    ck_assert_uint_eq(dma(true, BM) & 4, 4);
    ck_assert_uint_eq(in(BASE + 7), 0x51);
    ck_assert_uint_eq(in(BASE + 1), 0x40);
    command(BASE, 0xe0, 10, 1, 0x20);
    ck_assert_uint_eq(done(BASE), 0x58);
    fetch(BASE, buf, 512);
    ck_assert(holds(buf, 10, 1));
}
END_TEST

// A transfer whose bus master is never started waits until a reset, and holds nothing else up.
START_TEST(dma_that_never_starts)
{
    u8 buf[512];

    prd(0x1000, 0x20000, 512, true);
    command(BASE, 0xe0, 3, 1, 0xc8);
    rig_run(r, board, 5000000000ull);
    ck_assert_uint_eq(in(0x3f6) & 0x80, 0x80);
    ck_assert_uint_eq(in(BM + 2) & 4, 0);
    command(BASE, 0xe0, 0, 1, 0xec); // not heard
    ck_assert_uint_eq(in(0x3f6) & 0x80, 0x80);
    out(0x3f6, 4);
    out(0x3f6, 0);
    command(BASE, 0xe0, 3, 1, 0x20);
    ck_assert_uint_eq(done(BASE), 0x58);
    fetch(BASE, buf, 512);
    ck_assert(holds(buf, 3, 1));
}
END_TEST

// A reset in the middle leaves a drive that works.
START_TEST(reset_while_busy)
{
    u8 buf[512];

    for (int i = 0; i < 50; i++) {
        command(BASE, 0xe0, i * 100, 200, 0x20);
        if (i & 1)
            done(BASE);
        out(0x3f6, 4);
        out(0x3f6, 0);
        ck_assert_uint_eq(in(BASE + 7), 0x50);
        command(BASE, 0xe0, i, 1, 0x20);
        ck_assert_uint_eq(done(BASE), 0x58);
        fetch(BASE, buf, 512);
        ck_assert(holds(buf, i, 1));
    }
}
END_TEST

// ---- ATAPI

static u8 packet(const u8 *bytes, u16 limit)
{
    out(CD + 6, 0xa0);
    out(CD + 1, 0);
    out(CD + 4, limit);
    out(CD + 5, limit >> 8);
    out(CD + 7, 0xa0);
    ck_assert_uint_eq(in(CD + 7), 0x58);
    ck_assert_uint_eq(in(CD + 2) & 7, 1); // command
    for (int i = 0; i < 12; i += 2)
        rig_out16(r, CD, bytes[i] | bytes[i + 1] << 8);
    return done(CD);
}

static u8 sense(u8 *asc)
{
    static const u8 request[12] = { 3, 0, 0, 0, 18 };
    u8 buf[18];

    ck_assert_uint_eq(packet(request, 18), 0x58);
    fetch(CD, buf, 18);
    ck_assert_uint_eq(buf[0], 0x70);
    *asc = buf[12];
    return buf[2];
}

START_TEST(cd_read)
{
    static const u8 ready[12], read[12] = { 0x28, 0, 0, 0, 0, 7, 0, 0, 3 }, far[12] = { 0x28, 0, 0, 0, 0, 99, 0, 0, 2 },
                    capacity[12] = { 0x25 };
    u8 buf[3 * 2048], asc;

    if (packet(ready, 0) & 1) // a medium that has come may be news
        sense(&asc);
    ck_assert_uint_eq(packet(ready, 0), 0x50);
    ck_assert_uint_eq(packet(capacity, 8), 0x58);
    fetch(CD, buf, 8);
    ck_assert_mem_eq(buf, "\0\0\0\x63\0\0\x08\0", 8);
    ck_assert_uint_eq(packet(read, 2048), 0x58); // in portions of the limit
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(done(CD), 0x58);
        ck_assert_uint_eq(in(CD + 2) & 7, 2); // data, in
        ck_assert_uint_eq(in(CD + 4) | in(CD + 5) << 8, 2048);
        fetch(CD, buf + i * 2048, 2048);
    }
    ck_assert_uint_eq(done(CD), 0x50);
    ck_assert_uint_eq(in(CD + 2) & 7, 3); // status
    ck_assert(holds(buf, 28, 12));
    ck_assert_uint_eq(packet(far, 2048) & 0x81, 1);
    ck_assert_uint_eq(in(CD + 1) >> 4, 5);
    ck_assert_uint_eq(sense(&asc), 5);
    ck_assert_uint_eq(asc, 0x21);
    ck_assert_uint_eq(sense(&asc), 0); // told once
}
END_TEST

START_TEST(cd_change)
{
    static const u8 ready[12];
    char name[64];
    u8 asc;
    int fd = image_new(800, name);
    struct err err;

    if (packet(ready, 0) & 1)
        sense(&asc);
    ck_assert(board_change(board, "ide1-cd0", NULL, &err));
    ck_assert_uint_eq(packet(ready, 0) & 1, 1);
    ck_assert_uint_eq(sense(&asc), 2);
    ck_assert_uint_eq(asc, 0x3a);
    ck_assert(board_change(board, "ide1-cd0", name, &err));
    ck_assert_uint_eq(packet(ready, 0) & 1, 1);
    ck_assert_uint_eq(sense(&asc), 6); // unit attention: may have changed
    ck_assert_uint_eq(asc, 0x28);
    ck_assert_uint_eq(packet(ready, 0), 0x50);
    ck_assert_msg(board_change(board, "ide1-cd0", name, &err), "%s", err.text); // the same again
    ck_assert(!board_change(board, "ide1-cd0", "/nowhere", &err));
    ck_assert(!board_change(board, "ide0-hd0", name, &err));
    close(fd);
}
END_TEST

START_TEST(cd_dma)
{
    static const u8 read[12] = { 0x28, 0, 0, 0, 0, 2, 0, 0, 2 };
    static const u8 ready[12];
    u8 asc;

    if (packet(ready, 0) & 1)
        sense(&asc);
    prd(0x1000, 0x20000, 4096, true);
    out(CD + 1, 1);
    out(CD + 7, 0xa0);
    for (int i = 0; i < 12; i += 2)
        rig_out16(r, CD, read[i] | read[i + 1] << 8);
    ck_assert_uint_eq(dma(true, BM + 8) & 7, 4);
    ck_assert_uint_eq(in(CD + 7), 0x50);
    ck_assert(holds(r->mem + 0x20000, 8, 8));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ide");
    TCase *t = tcase_create("ide");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, signatures);
    tcase_add_test(t, identify);
    tcase_add_test(t, pio_read);
    tcase_add_test(t, pio_write);
    tcase_add_test(t, chs);
    tcase_add_test(t, drive_types);
    tcase_add_test(t, limits);
    tcase_add_test(t, interrupts);
    tcase_add_test(t, dma_transfers);
    tcase_add_test(t, dma_tables_that_do_not_fit);
    tcase_add_test(t, unreadable);
    tcase_add_test(t, dma_that_never_starts);
    tcase_add_test(t, reset_while_busy);
    tcase_add_test(t, cd_read);
    tcase_add_test(t, cd_change);
    tcase_add_test(t, cd_dma);
    suite_add_tcase(s, t);
    return run_tests(srunner_create(s));
}
