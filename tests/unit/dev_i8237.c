// SPDX-License-Identifier: GPL-2.0-or-later
// The DMA controllers: registers with their flip-flop, and transfers in all modes.
#include "dev_rig.h"

#include "monitor/dev/i8237.h"

static struct rig *r;
static struct i8237 dma[2];
static struct i8237_pages pages;

static void setup(void)
{
    r = rig_new();
    memset(&pages, 0, sizeof(pages));
    for (int n = 0; n < 2; n++) {
        i8237_init(&dma[n], &r->host, &pages, n == 1);
        i8237_reset(&dma[n]);
    }
    for (size_t i = 0; i < sizeof(r->mem); i++)
        r->mem[i] = i * 31 >> 4;
}

static void teardown(void) { rig_free(r); }

// By the ports' numbers.
static void out(u8 port, u8 v)
{
    if (port >= 0xc0)
        i8237_ops.write(&dma[1], port - 0xc0, v, 1);
    else if (port >= 0x80)
        i8237_page_ops.write(&pages, port - 0x81, v, 1);
    else
        i8237_ops.write(&dma[0], port, v, 1);
}

static u8 in(u8 port)
{
    if (port >= 0xc0)
        return i8237_ops.read(&dma[1], port - 0xc0, 1);
    if (port >= 0x80)
        return i8237_page_ops.read(&pages, port - 0x81, 1);
    return i8237_ops.read(&dma[0], port, 1);
}

// Channel 2, as for a floppy.
static void program2(u8 mode, u32 gpa, u16 count)
{
    out(0x0a, 0x06);
    out(0x0c, 0);
    out(0x0b, mode | 2);
    out(0x04, gpa & 0xff);
    out(0x04, gpa >> 8);
    out(0x81, gpa >> 16);
    out(0x05, count & 0xff);
    out(0x05, count >> 8);
    out(0x0a, 0x02);
}

START_TEST(registers)
{
    out(0x0c, 0);
    out(0x02, 0x34);
    out(0x02, 0x12);
    out(0x03, 0x78);
    out(0x03, 0x56);
    ck_assert_uint_eq(in(0x02), 0x34);
    ck_assert_uint_eq(in(0x02), 0x12);
    ck_assert_uint_eq(in(0x03), 0x78);
    out(0x0c, 0); // the flip-flop starts again
    ck_assert_uint_eq(in(0x03), 0x78);
    ck_assert_uint_eq(in(0x03), 0x56);
    out(0x0f, 0x05);
    ck_assert_uint_eq(in(0x0f), 0xf5);
    out(0x0a, 0x05);
    ck_assert_uint_eq(in(0x0f), 0xf7);
    out(0x0a, 0x00);
    ck_assert_uint_eq(in(0x0f), 0xf6);
    out(0x0e, 0);
    ck_assert_uint_eq(in(0x0f), 0xf0);
    out(0x09, 0x05); // a software request shows in the status
    ck_assert_uint_eq(in(0x08), 0x20);
    ck_assert_uint_eq(in(0x0d), 0x00);
    out(0x0d, 0);
    ck_assert_uint_eq(in(0x0f), 0xff);
    // The second chip's registers lie two ports apart.
    out(0xd8, 0);
    out(0xc4, 0xcd);
    out(0xc4, 0xab);
    out(0xd8, 0);
    ck_assert_uint_eq(in(0xc4), 0xcd);
    ck_assert_uint_eq(in(0xc5), 0xab);
    for (unsigned port = 0x81; port < 0x90; port++) {
        out(port, port ^ 0xff);
        ck_assert_uint_eq(in(port), port ^ 0xff);
    }
}
END_TEST

START_TEST(to_memory)
{
    u8 sector[512];
    bool done;

    for (int i = 0; i < 512; i++)
        sector[i] = i * 7;
    program2(0x44, 0x51234, 511);
    ck_assert_uint_eq(i8237_transfer(&dma[0], 2, true, sector, 300, &done), 300);
    ck_assert(!done);
    ck_assert_uint_eq(in(0x08), 0);
    out(0x0c, 0);
    ck_assert_uint_eq(in(0x05), 211); // left, less one
    ck_assert_uint_eq(in(0x05), 0);
    ck_assert_uint_eq(i8237_transfer(&dma[0], 2, true, sector + 300, 300, &done), 212);
    ck_assert(done);
    ck_assert_mem_eq(r->mem + 0x51234, sector, 512);
    ck_assert_uint_eq(in(0x08), 0x04); // terminal count, once
    ck_assert_uint_eq(in(0x08), 0x00);
    ck_assert_uint_eq(in(0x0f) & 4, 4); // masked itself
    ck_assert_uint_eq(i8237_transfer(&dma[0], 2, true, sector, 1, &done), 0);
}
END_TEST

START_TEST(from_memory)
{
    u8 buf[64];
    bool done;

    program2(0x48, 0x20010, 63);
    ck_assert_uint_eq(i8237_transfer(&dma[0], 2, false, buf, 64, &done), 64);
    ck_assert(done);
    ck_assert_mem_eq(buf, r->mem + 0x20010, 64);
    // Not in the direction it is programmed for, nor with the controller off.
    program2(0x48, 0x20010, 63);
    ck_assert_uint_eq(i8237_transfer(&dma[0], 2, true, buf, 64, &done), 0);
    out(0x08, 0x04);
    ck_assert_uint_eq(i8237_transfer(&dma[0], 2, false, buf, 64, &done), 0);
}
END_TEST

START_TEST(verify_moves_nothing)
{
    u8 buf[16] = { 1, 2, 3 }, before[16];
    bool done;

    memcpy(before, r->mem + 0x1000, 16);
    program2(0x40, 0x1000, 15);
    ck_assert_uint_eq(i8237_transfer(&dma[0], 2, true, buf, 16, &done), 16);
    ck_assert(done);
    ck_assert_mem_eq(before, r->mem + 0x1000, 16);
}
END_TEST

START_TEST(wraps_inside_its_page)
{
    u8 buf[32];
    bool done;

    program2(0x48, 0x3fff0, 31);
    ck_assert_uint_eq(i8237_transfer(&dma[0], 2, false, buf, 32, &done), 32);
    ck_assert_mem_eq(buf, r->mem + 0x3fff0, 16);
    ck_assert_mem_eq(buf + 16, r->mem + 0x30000, 16);
}
END_TEST

START_TEST(downwards)
{
    u8 buf[4];
    bool done;

    program2(0x68, 0x2345, 3);
    ck_assert_uint_eq(i8237_transfer(&dma[0], 2, false, buf, 4, &done), 4);
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(buf[i], r->mem[0x2345 - i]);
}
END_TEST

START_TEST(auto_initialises)
{
    u8 buf[24];
    bool done;

    program2(0x58, 0x2000, 9);
    ck_assert_uint_eq(i8237_transfer(&dma[0], 2, false, buf, 24, &done), 10);
    ck_assert(done);
    ck_assert_uint_eq(i8237_transfer(&dma[0], 2, false, buf, 10, &done), 10); // from the start
    ck_assert_mem_eq(buf, r->mem + 0x2000, 10);
    ck_assert_uint_eq(in(0x0f) & 4, 0);
}
END_TEST

START_TEST(words)
{
    u8 buf[32];
    bool done;

    out(0xd8, 0);
    out(0xd6, 0x49); // channel 5
    out(0xc4, 0x00);
    out(0xc4, 0x80); // word address 8000h: byte 10000h of its 128 KiB
    out(0x8b, 0x03); // page: bit 0 does not count
    out(0xc6, 15);
    out(0xc6, 0);
    out(0xd4, 0x01);
    ck_assert_uint_eq(i8237_transfer(&dma[1], 1, false, buf, 33, &done), 32);
    ck_assert(done);
    ck_assert_uint_eq(r->dma_last, 0x30000);
    ck_assert_mem_eq(buf, r->mem + 0x30000, 32);
}
END_TEST

START_TEST(without_memory)
{
    u8 buf[4] = { 0 };
    bool done;

    r->host.dma_read = NULL;
    r->host.dma_write = NULL;
    program2(0x48, 0, 3);
    i8237_transfer(&dma[0], 2, false, buf, 4, &done);
    ck_assert_mem_eq(buf, "\xff\xff\xff\xff", 4);
    program2(0x44, 0, 3);
    ck_assert_uint_eq(i8237_transfer(&dma[0], 2, true, buf, 4, &done), 4);
}
END_TEST

START_TEST(random_operation)
{
    u8 buf[4096];
    bool done;

    srand(_i);
    for (int op = 0; op < 20000; op++) {
        unsigned chip = rand() & 1;
        size_t len = rand() % sizeof(buf);

        if (rand() & 1)
            i8237_ops.write(&dma[chip], rand() % (chip ? 32 : 16), rand(), 1);
        else
            i8237_ops.read(&dma[chip], rand() % (chip ? 32 : 16), 1);
        if (rand() % 8 == 0)
            i8237_page_ops.write(&pages, rand() % 15, rand(), 1);
        if (rand() % 4 == 0)
            ck_assert_uint_le(i8237_transfer(&dma[chip], rand() % 4, rand() & 1, buf, len, &done),
                              len);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("i8237");
    TCase *t = tcase_create("i8237");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, registers);
    tcase_add_test(t, to_memory);
    tcase_add_test(t, from_memory);
    tcase_add_test(t, verify_moves_nothing);
    tcase_add_test(t, wraps_inside_its_page);
    tcase_add_test(t, downwards);
    tcase_add_test(t, auto_initialises);
    tcase_add_test(t, words);
    tcase_add_test(t, without_memory);
    tcase_add_loop_test(t, random_operation, 0, 4);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
