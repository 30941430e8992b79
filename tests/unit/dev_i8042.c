// SPDX-License-Identifier: GPL-2.0-or-later
// The keyboard controller and the keyboard behind it.
#include "dev_rig.h"

#include "monitor/dev/i8042.h"
#include "monitor/dev/scancodes.h"

#define OBF 0x01
#define AUX 0x20
#define BYTE_NS 500000

static struct rig *r;
static struct timers timers;
static struct i8042 kbc;
static struct ps2_keyboard kbd;
static bool irq1, irq12, a20;
static unsigned edges, resets;

static void line(void *sink, int pin, bool level)
{
    bool *irq = pin == 1 ? &irq1 : &irq12;

    (void)sink;
    edges += level && !*irq;
    *irq = level;
}

static void set_a20(void *opaque, bool on)
{
    (void)opaque;
    a20 = on;
}

static bool get_a20(void *opaque)
{
    (void)opaque;
    return a20;
}

static void reset_cpu(void *opaque)
{
    (void)opaque;
    resets++;
}

static void setup(void)
{
    r = rig_new();
    irq1 = irq12 = false;
    a20 = true;
    edges = resets = 0;
    timers_init(&timers, &r->host);
    ps2_keyboard_init(&kbd, &timers);
    i8042_init(&kbc, &timers, &kbd.port, NULL);
    kbc.kbd.irq = (struct irq){ line, NULL, 1 };
    kbc.aux.irq = (struct irq){ line, NULL, 12 };
    kbc.set_a20 = set_a20;
    kbc.get_a20 = get_a20;
    kbc.reset_cpu = reset_cpu;
    i8042_reset(&kbc);
}

static void teardown(void) { rig_free(r); }

static u8 status(void) { return i8042_command_ops.read(&kbc, 0, 1); }
static u8 data(void) { return i8042_data_ops.read(&kbc, 0, 1); }
static void command(u8 c) { i8042_command_ops.write(&kbc, 0, c, 1); }
static void write60(u8 b) { i8042_data_ops.write(&kbc, 0, b, 1); }

static void command_with(u8 c, u8 b)
{
    command(c);
    write60(b);
}

static void pass(u64 ns)
{
    u64 end = r->now + ns;

    while (timers_deadline(&timers) <= end) {
        r->now = MAX(r->now, timers_deadline(&timers));
        timers_run(&timers);
    }
    r->now = end;
}

// The next byte, waiting for it as a driver does; -1 if none comes.
static int next(void)
{
    for (int i = 0; i < 20 && !(status() & OBF); i++)
        pass(100000);
    return status() & OBF ? data() : -1;
}

static int ask(u8 c)
{
    command(c);
    return next();
}

static void expect(const u8 *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int got = next();

        ck_assert_msg(got == bytes[i], "byte %u of %u is %02x, not %02x", i, n, got, bytes[i]);
    }
    ck_assert_int_eq(next(), -1);
}
#define EXPECT(...) expect((const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))

START_TEST(self_tests)
{
    ck_assert_int_eq(ask(0xaa), 0x55);
    ck_assert_uint_eq(status() & 0x04, 0x04); // system flag
    ck_assert_int_eq(ask(0xab), 0x00);
    ck_assert_int_eq(ask(0xa9), 0x00);
    ck_assert_int_eq(ask(0xa4), 0xf1);
    ck_assert_int_eq(ask(0xc0), 0xb0);
    ck_assert_int_eq(ask(0x20) & 0x70, 0x70); // both ports off, translating
}
END_TEST

START_TEST(command_byte)
{
    command_with(0x60, 0x45);
    ck_assert_int_eq(ask(0x20), 0x45);
    command(0xad);
    ck_assert_int_eq(ask(0x20), 0x55);
    command(0xae);
    ck_assert_int_eq(ask(0x20), 0x45);
    command(0xa7);
    ck_assert_int_eq(ask(0x20), 0x65);
    command(0xa8);
    ck_assert_int_eq(ask(0x20), 0x45);
    command_with(0x60, 0x41); // the system flag shows in the status
    ck_assert_uint_eq(status() & 0x04, 0);
    command_with(0x6a, 0x77); // the other bytes of its memory
    ck_assert_int_eq(ask(0x2a), 0x77);
}
END_TEST

START_TEST(status_bits)
{
    ck_assert_uint_eq(status(), 0x14);
    command(0xaa);
    ck_assert_uint_eq(status() & 0x09, 0x09); // output full; the last write was a command
    write60(0xf4);
    ck_assert_uint_eq(status() & 0x08, 0);
    data();
    ck_assert_uint_eq(status() & OBF, 0);
    ck_assert_uint_eq(data(), 0x55); // the register keeps its value
}
END_TEST

START_TEST(output_port)
{
    ck_assert_int_eq(ask(0xd0) & 0x03, 0x03);
    command_with(0xd1, 0xdd);
    ck_assert(!a20);
    ck_assert_int_eq(ask(0xd0) & 0x03, 0x01);
    command_with(0xd1, 0xdf);
    ck_assert(a20);
    command(0xdd);
    ck_assert(!a20);
    command(0xdf);
    ck_assert(a20);
    ck_assert_uint_eq(resets, 0);
    command(0xff); // pulses nothing
    ck_assert_uint_eq(resets, 0);
    command(0xfe);
    ck_assert_uint_eq(resets, 1);
    command_with(0xd1, 0xde);
    ck_assert_uint_eq(resets, 2);
    // Bits 4 and 5 say whose byte is in the output buffer at that moment.
    command_with(0xd3, 0x11);
    command(0xd0);
    data();
    ck_assert_int_eq(next() & 0x30, 0x20);
    ck_assert_int_eq(ask(0xd0) & 0x30, 0x00);
}
END_TEST

START_TEST(interrupts)
{
    command_with(0x60, 0x47);
    ck_assert(!irq1);
    command_with(0xd2, 0x2a);
    ck_assert(irq1);
    ck_assert(!irq12);
    ck_assert_uint_eq(data(), 0x2a);
    ck_assert(!irq1);
    command_with(0xd3, 0x2b);
    ck_assert(irq12);
    ck_assert_uint_eq(status() & (AUX | OBF), AUX | OBF);
    ck_assert(!irq1);
    ck_assert_uint_eq(data(), 0x2b);
    ck_assert(!irq12);
    ck_assert_uint_eq(status() & (AUX | OBF), 0);
    command_with(0x60, 0x44);
    command_with(0xd2, 0x2a);
    ck_assert(!irq1);
    command_with(0x60, 0x45); // a byte that waits asks as soon as it may
    ck_assert(irq1);
}
END_TEST

START_TEST(no_mouse)
{
    command_with(0xd4, 0xff);
    ck_assert_uint_eq(status() & 0x60, 0x60); // time-out
    ck_assert_int_eq(next(), 0xfe);
    ck_assert_uint_eq(status() & 0x60, 0);
}
END_TEST

START_TEST(keyboard_commands)
{
    command_with(0x60, 0x04); // no translation
    write60(0xee);
    EXPECT(0xee);
    write60(0xf2);
    EXPECT(0xfa, 0xab, 0x83);
    write60(0xed);
    EXPECT(0xfa);
    write60(0x05);
    EXPECT(0xfa);
    ck_assert_uint_eq(kbd.leds, 5);
    write60(0xf3);
    EXPECT(0xfa);
    write60(0x00);
    EXPECT(0xfa);
    ck_assert_uint_eq(kbd.rate, 0);
    write60(0xf0);
    EXPECT(0xfa);
    write60(0x00);
    EXPECT(0xfa, 0x02);
    write60(0xf0);
    EXPECT(0xfa);
    write60(0x03);
    EXPECT(0xfa);
    write60(0xf0);
    EXPECT(0xfa);
    write60(0x00);
    EXPECT(0xfa, 0x03);
    write60(0xf0);
    EXPECT(0xfa);
    write60(0x04);
    EXPECT(0xfe);
    write60(0xf6);
    EXPECT(0xfa);
    ck_assert_uint_eq(kbd.set, 2);
    write60(0x00); // no command
    EXPECT(0xfe);
    write60(0xed); // a command where an argument belongs is a command
    EXPECT(0xfa);
    write60(0xf2);
    EXPECT(0xfa, 0xab, 0x83);
    write60(0xfe);
    EXPECT(0x83);
    write60(0xff);
    EXPECT(0xfa, 0xaa);
    write60(0xfb); // key types of set 3
    EXPECT(0xfa);
    write60(0x1c);
    EXPECT(0xfa);
    write60(0x1b);
    EXPECT(0xfa);
    write60(0xf5);
    EXPECT(0xfa);
    ck_assert(!kbd.scanning);
    ps2_keyboard_key(&kbd, 0x1e, true);
    ck_assert_int_eq(next(), -1);
    write60(0xf4);
    EXPECT(0xfa);
    ps2_keyboard_key(&kbd, 0x1e, true);
    ck_assert_int_eq(next(), 0x1c);
}
END_TEST

START_TEST(translated_keys)
{
    ps2_keyboard_key(&kbd, 0x1e, true); // A
    EXPECT(0x1e);
    ps2_keyboard_key(&kbd, 0x1e, false);
    EXPECT(0x9e);
    ps2_keyboard_key(&kbd, 0xc8, true); // up
    EXPECT(0xe0, 0x48);
    ps2_keyboard_key(&kbd, 0xc8, false);
    EXPECT(0xe0, 0xc8);
    ps2_keyboard_key(&kbd, 0x41, true); // F7, the odd one of set 2
    ps2_keyboard_key(&kbd, 0x41, false);
    EXPECT(0x41, 0xc1);
    ps2_keyboard_key(&kbd, SCANCODE_PAUSE, true);
    ps2_keyboard_key(&kbd, SCANCODE_PAUSE, false);
    EXPECT(0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
    ps2_keyboard_key(&kbd, SCANCODE_PRINT, true);
    ps2_keyboard_key(&kbd, SCANCODE_PRINT, false);
    EXPECT(0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa);
}
END_TEST

START_TEST(other_sets)
{
    command_with(0x60, 0x04);
    ps2_keyboard_key(&kbd, 0x1e, true);
    ps2_keyboard_key(&kbd, 0x1e, false);
    EXPECT(0x1c, 0xf0, 0x1c);
    ps2_keyboard_key(&kbd, 0x9d, true); // right control
    ps2_keyboard_key(&kbd, 0x9d, false);
    EXPECT(0xe0, 0x14, 0xe0, 0xf0, 0x14);
    write60(0xf0);
    next();
    write60(0x01);
    next();
    ps2_keyboard_key(&kbd, 0x1e, true);
    ps2_keyboard_key(&kbd, 0x1e, false);
    EXPECT(0x1e, 0x9e);
    write60(0xf0);
    next();
    write60(0x03);
    next();
    ps2_keyboard_key(&kbd, 0x9d, true);
    ps2_keyboard_key(&kbd, 0x9d, false);
    EXPECT(0x58, 0xf0, 0x58);
    ps2_keyboard_key(&kbd, 0x53, true); // keypad point
    EXPECT(0x71);
}
END_TEST

// What any key sends in set 2 is, translated, what it sends in set 1.
START_TEST(sets_agree)
{
    u8 two[SCANCODE_MAX], one[SCANCODE_MAX], seen[256] = { 0 };

    for (int key = 1; key < 256; key++)
        for (int down = 0; down < 2; down++) {
            unsigned n2 = scancode_of(key, 2, down, two), n1 = scancode_of(key, 1, down, one);
            unsigned n = 0;
            u8 brk = 0;

            for (unsigned i = 0; i < n2; i++)
                if (two[i] == 0xf0)
                    brk = 0x80;
                else {
                    ck_assert_uint_eq(one[n], scancode_translate(two[i]) | brk);
                    n++;
                    brk = 0;
                }
            ck_assert_uint_eq(n, n1);
            if (down && n2 == 1)
                ck_assert_uint_eq(seen[two[0]]++, 0); // no two keys share a code
        }
    memset(seen, 0, sizeof(seen));
    for (int key = 1; key < 256; key++)
        if (scancode_of(key, 3, true, two) == 1)
            // The main and the grey Print Screen are one key there.
            ck_assert_msg(seen[two[0]]++ == 0 || two[0] == 0x57, "code %02x", two[0]);
}
END_TEST

START_TEST(bytes_take_time)
{
    ps2_keyboard_key(&kbd, 0xc8, true);
    ck_assert_uint_eq(status() & OBF, 0);
    pass(BYTE_NS);
    ck_assert(irq1);
    ck_assert_uint_eq(data(), 0xe0);
    ck_assert(!irq1);
    ck_assert_uint_eq(data(), 0xe0); // a second read in the same handler sees the same byte
    ck_assert(!irq1);
    pass(BYTE_NS);
    ck_assert_uint_eq(data(), 0x48);
    ck_assert_uint_eq(edges, 2);
}
END_TEST

START_TEST(disabled_keyboard_waits)
{
    command(0xad);
    ps2_keyboard_key(&kbd, 0x1e, true);
    ps2_keyboard_key(&kbd, 0x1e, false);
    ck_assert_int_eq(next(), -1);
    command(0xae);
    EXPECT(0x1e, 0x9e);
}
END_TEST

START_TEST(controller_answers_first)
{
    ps2_keyboard_key(&kbd, 0x1e, true);
    command(0xaa); // while a key is on the wire
    ck_assert_int_eq(next(), 0x55);
    command(0xae);
    ck_assert_int_eq(next(), 0x1e);
}
END_TEST

START_TEST(typematic)
{
    unsigned n = 0;

    ps2_keyboard_key(&kbd, 0x1e, true);
    ck_assert_int_eq(next(), 0x1e);
    for (u64 end = r->now + 490000000; r->now < end;) { // not before 500 ms
        pass(1000000);
        ck_assert_uint_eq(status() & OBF, 0);
    }
    for (u64 end = r->now + 1010000000; r->now < end;) { // then 10.9 a second
        pass(1000000);
        if (status() & OBF) {
            ck_assert_uint_eq(data(), 0x1e);
            n++;
        }
    }
    ck_assert_uint_ge(n, 11);
    ck_assert_uint_le(n, 12);
    ps2_keyboard_key(&kbd, 0x1e, false);
    EXPECT(0x9e);
}
END_TEST

START_TEST(overrun)
{
    for (int i = 0; i < 40; i++) // nobody reads
        ps2_keyboard_key(&kbd, 0x1e, true);
    command_with(0x60, 0x04);
    int n = 0, byte, last = -1;
    while ((byte = next()) >= 0) {
        last = byte;
        n++;
    }
    ck_assert_int_le(n, 18);
    ck_assert_int_eq(last, 0x00);
    ps2_keyboard_key(&kbd, 0x1e, true);
    ck_assert_int_eq(next(), 0x1c);
}
END_TEST

START_TEST(random_operation)
{
    srand(_i);
    for (int op = 0; op < 30000; op++) {
        switch (rand() % 6) {
        case 0:
            command(rand());
            break;
        case 1:
            write60(rand());
            break;
        case 2:
            data();
            break;
        case 3:
            status();
            break;
        case 4:
            ps2_keyboard_key(&kbd, rand(), rand() & 1);
            break;
        case 5:
            pass(rand() % 2000000);
            break;
        }
        ck_assert(!irq1 || (status() & OBF));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("i8042");
    TCase *t = tcase_create("i8042");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, self_tests);
    tcase_add_test(t, command_byte);
    tcase_add_test(t, status_bits);
    tcase_add_test(t, output_port);
    tcase_add_test(t, interrupts);
    tcase_add_test(t, no_mouse);
    tcase_add_test(t, keyboard_commands);
    tcase_add_test(t, translated_keys);
    tcase_add_test(t, other_sets);
    tcase_add_test(t, sets_agree);
    tcase_add_test(t, bytes_take_time);
    tcase_add_test(t, disabled_keyboard_waits);
    tcase_add_test(t, controller_answers_first);
    tcase_add_test(t, typematic);
    tcase_add_test(t, overrun);
    tcase_add_loop_test(t, random_operation, 0, 8);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
