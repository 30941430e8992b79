// SPDX-License-Identifier: GPL-2.0-or-later
// Local APIC and I/O APIC, through their registers on a board.
#include "dev_rig.h"

#include "monitor/dev/board_impl.h"

#define LAPIC 0xfee00000u
#define IOAPIC 0xfec00000u

static struct rig *r;
static struct board *board;

static u32 rd(u32 reg) { return bus_read(&r->bus, BUS_MMIO, LAPIC + reg, 4); }
static void wr(u32 reg, u32 v) { bus_write(&r->bus, BUS_MMIO, LAPIC + reg, v, 4); }

static u32 io_rd(u8 reg)
{
    bus_write(&r->bus, BUS_MMIO, IOAPIC, reg, 4);
    return bus_read(&r->bus, BUS_MMIO, IOAPIC + 0x10, 4);
}

static void io_wr(u8 reg, u32 v)
{
    bus_write(&r->bus, BUS_MMIO, IOAPIC, reg, 4);
    bus_write(&r->bus, BUS_MMIO, IOAPIC + 0x10, v, 4);
}

static void route(int pin, u32 low)
{
    io_wr(0x11 + 2 * pin, 0);
    io_wr(0x10 + 2 * pin, low);
}

static void line(int n, bool level) { irq_set(&board->lines.sink[n], level); }
static int ack(void) { return board_intr_ack(board); }
static void eoi(void) { wr(0xb0, 0); }

static void setup(void)
{
    struct board_config config = { .ram_size = 64 << 20, .debug_exit_base = -1, .firmware = true,
                                   .apic = true };

    r = rig_new();
    board = rig_board(r, &config);
    wr(0xf0, 0x1ff);
}

static void teardown(void)
{
    board_destroy(board);
    rig_free(r);
}

START_TEST(power_on)
{
    board_reset(board);
    ck_assert_uint_eq(rd(0x20), 0);
    ck_assert_uint_eq(rd(0x30), 0x50014);
    ck_assert_uint_eq(rd(0x80), 0);
    ck_assert_uint_eq(rd(0xe0), 0xffffffff);
    ck_assert_uint_eq(rd(0xf0), 0xff);
    for (u32 lvt = 0x320; lvt <= 0x370; lvt += 0x10)
        ck_assert_uint_eq(rd(lvt), lvt == 0x350 ? 0x700 : 0x10000);
    ck_assert_uint_eq(io_rd(1), 0x170011);
    for (int pin = 0; pin < 24; pin++)
        ck_assert_uint_eq(io_rd(0x10 + 2 * pin), 0x10000);
}
END_TEST

START_TEST(priorities)
{
    wr(0x300, 0x40000 | 0x45); // to itself
    ck_assert(r->intr);
    ck_assert_uint_eq(rd(0x220), 1u << 5);
    ck_assert_int_eq(ack(), 0x45);
    ck_assert(!r->intr);
    ck_assert_uint_eq(rd(0x120), 1u << 5);
    ck_assert_uint_eq(rd(0xa0), 0x40);
    wr(0x300, 0x40000 | 0x4f); // of the same class: waits
    ck_assert(!r->intr);
    wr(0x300, 0x40000 | 0x50); // of a higher one: nests
    ck_assert_int_eq(ack(), 0x50);
    wr(0x300, 0x80000 | 0x61); // to all, itself among them
    wr(0x300, 0xc0000 | 0x71); // to all others: nobody
    ck_assert_int_eq(ack(), 0x61);
    eoi();
    eoi();
    ck_assert(!r->intr);
    eoi();
    ck_assert_int_eq(ack(), 0x4f);
    eoi();
    ck_assert_int_eq(ack(), -1);
    wr(0x80, 0x50); // the task's priority
    ck_assert_uint_eq(rd(0xa0), 0x50);
    wr(0x300, 0x40000 | 0x5f);
    ck_assert(!r->intr);
    wr(0x80, 0x4f);
    ck_assert(r->intr);
    // Disabled by software nothing is delivered, and all local vectors are masked.
    wr(0xf0, 0xff);
    ck_assert(!r->intr);
    wr(0x320, 0x40);
    ck_assert_uint_eq(rd(0x320), 0x10040);
}
END_TEST

START_TEST(destinations)
{
    wr(0xd0, 0x12000000); // logical: flat model first
    wr(0x310, 0x02000000);
    wr(0x300, 0x4800 | 0x40);
    ck_assert_int_eq(ack(), 0x40);
    eoi();
    wr(0x310, 0x04000000);
    wr(0x300, 0x4800 | 0x40);
    ck_assert(!r->intr);
    wr(0xe0, 0x0fffffff); // clusters
    wr(0x310, 0x22000000);
    wr(0x300, 0x4800 | 0x40);
    ck_assert(!r->intr);
    wr(0x310, 0x13000000);
    wr(0x300, 0x4800 | 0x40);
    ck_assert_int_eq(ack(), 0x40);
    eoi();
    wr(0x20, 0x05000000); // another identity
    wr(0x310, 0x00000000);
    wr(0x300, 0x4000 | 0x40);
    ck_assert(!r->intr);
    wr(0x310, 0x05000000);
    wr(0x300, 0x4000 | 0x40);
    ck_assert_int_eq(ack(), 0x40);
}
END_TEST

START_TEST(errors)
{
    wr(0x370, 0x33);
    wr(0x300, 0x40000 | 0x0f); // no such vector
    ck_assert_uint_eq(rd(0x280), 0);
    ck_assert_int_eq(ack(), 0x33);
    wr(0x280, 0);
    ck_assert_uint_eq(rd(0x280), 0x20);
    wr(0x280, 0);
    ck_assert_uint_eq(rd(0x280), 0);
    eoi();
    rd(0x3f0); // no such register
    ck_assert_int_eq(ack(), 0x33);
    wr(0x280, 0);
    ck_assert_uint_eq(rd(0x280), 0x80);
}
END_TEST

START_TEST(timer)
{
    wr(0x3e0, 0x3); // by 16: 160 ns
    wr(0x320, 0x40);
    wr(0x380, 1000);
    r->now += 100 * 160;
    ck_assert_uint_eq(rd(0x390), 900);
    rig_run(r, board, 899 * 160);
    ck_assert(!r->intr);
    rig_run(r, board, 160);
    ck_assert_int_eq(ack(), 0x40);
    eoi();
    ck_assert_uint_eq(rd(0x390), 0);
    rig_run(r, board, 1000000);
    ck_assert(!r->intr);

    wr(0x320, 0x20041); // periodic
    wr(0x380, 1000);
    for (int i = 0; i < 5; i++) {
        rig_run(r, board, 160000);
        ck_assert_int_eq(ack(), 0x41);
        eoi();
    }
    wr(0x3e0, 0xb); // by 1: the count goes on from where it is
    ck_assert_uint_eq(rd(0x390), 1000);
    wr(0x320, 0x30041); // masked it goes on counting
    rig_run(r, board, 1000000);
    ck_assert(!r->intr);
    wr(0x380, 0); // stopped
    ck_assert_uint_eq(rd(0x390), 0);
    wr(0x320, 0x20041);
    ck_assert_uint_eq(board_deadline(board), UINT64_MAX);
    // The shortest period leaves the guest time to run.
    wr(0x380, 1);
    for (int i = 0; i < 100; i++) {
        ck_assert_uint_gt(board_deadline(board), r->now + 1000);
        r->now = board_deadline(board);
        board_poll(board);
    }
}
END_TEST

START_TEST(edges)
{
    route(5, 0x1005a); // masked: the edge is lost
    line(5, true);
    route(5, 0x5a);
    ck_assert(!r->intr);
    line(5, false);
    line(5, true);
    ck_assert_int_eq(ack(), 0x5a);
    eoi();
    ck_assert(!r->intr);
    line(0, false); // the timer is on another input
    route(2, 0x32);
    line(0, true);
    ck_assert_int_eq(ack(), 0x32);
}
END_TEST

START_TEST(levels)
{
    route(11, 0x805b);
    line(11, true);
    ck_assert_uint_eq(io_rd(0x26), 0xc05b); // remote IRR
    ck_assert_int_eq(ack(), 0x5b);
    ck_assert_uint_eq(rd(0x1a0), 1u << 27); // TMR
    ck_assert(!r->intr);
    eoi(); // still asserted: once more
    ck_assert_int_eq(ack(), 0x5b);
    line(11, false);
    eoi();
    ck_assert(!r->intr);
    ck_assert_uint_eq(io_rd(0x26), 0x805b);
    // Masked while asserted, and unmasked again.
    route(11, 0x1805b);
    line(11, true);
    ck_assert(!r->intr);
    route(11, 0x805b);
    ck_assert(r->intr);
    // Edge mode forgets remote IRR.
    route(11, 0x1005b);
    ck_assert_uint_eq(io_rd(0x26), 0x1005b);
}
END_TEST

static void pic_initialise(void)
{
    static const u8 script[][2] = { { 0x20, 0x11 }, { 0x21, 0x08 }, { 0x21, 0x04 }, { 0x21, 0x01 },
                                    { 0x21, 0x00 } };

    for (unsigned i = 0; i < ARRAY_LEN(script); i++)
        rig_out(r, script[i][0], script[i][1]);
}

START_TEST(virtual_wire)
{
    pic_initialise();
    line(4, true);
    ck_assert(r->intr); // LINT0 is as reset left it
    wr(0x350, 0x10700);
    ck_assert(!r->intr);
    wr(0x350, 0x700);
    ck_assert(r->intr);
    ck_assert_int_eq(ack(), 0x0c);
    wr(0x350, 0x10700);
    rig_out(r, 0x20, 0x20);
    line(4, false);
    line(4, true);
    ck_assert(!r->intr);
    // Disabled by its MSR, the APIC is not in the way, nor at its address.
    board_apic_base(board, LAPIC);
    ck_assert(r->intr);
    ck_assert_int_eq(ack(), 0x0c);
    ck_assert_uint_eq(rd(0x30), 0xffffffff);
    board_apic_base(board, 0xfed10000 | 0x800);
    ck_assert_uint_eq(bus_read(&r->bus, BUS_MMIO, 0xfed10030, 4), 0x50014);
    board_reset(board);
    ck_assert_uint_eq(rd(0x30), 0x50014);
}
END_TEST

START_TEST(odd_accesses)
{
    // Nothing but aligned 32-bit accesses does anything; none of any size does harm.
    bus_write(&r->bus, BUS_MMIO, LAPIC + 0x80, 0x55, 1);
    bus_write(&r->bus, BUS_MMIO, LAPIC + 0x82, 0x55, 4);
    ck_assert_uint_eq(rd(0x80), 0);
    ck_assert_uint_eq(bus_read(&r->bus, BUS_MMIO, LAPIC + 0x32, 2), 0x5);
    srand(1);
    for (int i = 0; i < 200000; i++) {
        u32 addr = (rand() & 1 ? LAPIC : IOAPIC) + (rand() & 0x3ff);
        unsigned size = 1u << rand() % 4;

        if (rand() & 1)
            bus_write(&r->bus, BUS_MMIO, addr, (u64)rand() << (rand() & 31), size);
        else
            bus_read(&r->bus, BUS_MMIO, addr, size);
        line(rand() & 15, rand() & 1);
        if (r->intr && rand() & 1)
            ack();
        r->now += (u64)(rand() & 0xffff);
        if (board_deadline(board) <= r->now)
            board_poll(board);
    }
}
END_TEST

// A walk over the MP tables as systems do it.
START_TEST(mp_table)
{
    static const u8 size[] = { 20, 8, 8, 8, 8 };
    u8 t[BOARD_MP_MAX], sum = 0;
    unsigned count[5] = { 0 }, at = 16 + 44, entries;
    size_t len = board_mp_table(board, 0xf5c00, t);

    ck_assert_mem_eq(t, "_MP_", 4);
    for (int i = 0; i < 16; i++)
        sum += t[i];
    ck_assert_uint_eq(sum, 0);
    ck_assert_uint_eq(*(u32 *)(t + 4), 0xf5c10);
    ck_assert_mem_eq(t + 16, "PCMP", 4);
    ck_assert_uint_eq(*(u16 *)(t + 20) + 16u, len);
    for (unsigned i = 16; i < len; i++)
        sum += t[i];
    ck_assert_uint_eq(sum, 0);
    entries = *(u16 *)(t + 16 + 34);
    while (entries--) {
        ck_assert_uint_lt(t[at], 5);
        count[t[at]]++;
        at += size[t[at]];
    }
    ck_assert_uint_eq(at, len);
    ck_assert_uint_eq(count[0], 1);
    ck_assert_uint_eq(count[2], 1);
    ck_assert_uint_eq(count[4], 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("apic");
    TCase *t = tcase_create("apic");
    SRunner *runner = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, power_on);
    tcase_add_test(t, priorities);
    tcase_add_test(t, destinations);
    tcase_add_test(t, errors);
    tcase_add_test(t, timer);
    tcase_add_test(t, edges);
    tcase_add_test(t, levels);
    tcase_add_test(t, virtual_wire);
    tcase_add_test(t, odd_accesses);
    tcase_add_test(t, mp_table);
    suite_add_tcase(s, t);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
