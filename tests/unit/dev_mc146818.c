// SPDX-License-Identifier: GPL-2.0-or-later
// The real-time clock: setting, formats, carries, updates, its three interrupts, the CMOS bytes.
#include "dev_rig.h"

#include "monitor/dev/mc146818.h"

#define MS 1000000ull
#define US 1000ull

static struct rig *r;
static struct timers timers;
static struct mc146818 rtc;
static bool irq;
static unsigned edges, alarms;

static void line(void *sink, int pin, bool level)
{
    (void)sink, (void)pin;
    edges += level && !irq;
    irq = level;
}

static void alarm_hook(void *opaque)
{
    (void)opaque;
    alarms++;
}

static void start(u64 ram_size)
{
    irq = false;
    edges = alarms = 0;
    timers_init(&timers, &r->host);
    mc146818_init(&rtc, &timers, ram_size);
    rtc.irq = (struct irq){ line, NULL, 0 };
    rtc.alarm = alarm_hook;
    mc146818_reset(&rtc);
}

static void setup(void)
{
    r = rig_new();
    start(256 << 20);
}

static void teardown(void) { rig_free(r); }

static void set(u8 reg, u8 v)
{
    mc146818_ops.write(&rtc, 0, reg, 1);
    mc146818_ops.write(&rtc, 1, v, 1);
}

static u8 get(u8 reg)
{
    mc146818_ops.write(&rtc, 0, reg, 1);
    return mc146818_ops.read(&rtc, 1, 1);
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

static void expect(u8 year, u8 month, u8 day, u8 wday, u8 hour, u8 minute, u8 second)
{
    ck_assert_uint_eq(get(9), year);
    ck_assert_uint_eq(get(8), month);
    ck_assert_uint_eq(get(7), day);
    ck_assert_uint_eq(get(6), wday);
    ck_assert_uint_eq(get(4), hour);
    ck_assert_uint_eq(get(2), minute);
    ck_assert_uint_eq(get(0), second);
}

START_TEST(set_from_the_host)
{
    expect(0x23, 0x11, 0x14, 3, 0x22, 0x13, 0x20); // a Tuesday
    ck_assert_uint_eq(get(0x32), 0x20);
    ck_assert_uint_eq(get(0x0a), 0x26);
    ck_assert_uint_eq(get(0x0b), 0x02);
    ck_assert_uint_eq(get(0x0d), 0x80);
    // Its seconds begin when the host's do: 750 ms from now.
    pass(750 * MS - 1);
    ck_assert_uint_eq(get(0), 0x20);
    pass(1);
    ck_assert_uint_eq(get(0), 0x21);
    // It keeps time and survives a reset.
    pass(86400 * NS_PER_S);
    mc146818_reset(&rtc);
    expect(0x23, 0x11, 0x15, 4, 0x22, 0x13, 0x21);
}
END_TEST

START_TEST(formats)
{
    set(0x0b, 0x06); // binary, 24 hours
    expect(23, 11, 14, 3, 22, 13, 20);
    set(0x0b, 0x04); // binary, 12 hours
    ck_assert_uint_eq(get(4), 0x80 | 10);
    set(0x0b, 0x00); // BCD, 12 hours
    ck_assert_uint_eq(get(4), 0x90);
    set(4, 0x12); // midnight
    set(0x0b, 0x02);
    ck_assert_uint_eq(get(4), 0x00);
    set(0x0b, 0x00);
    set(4, 0x92); // noon
    set(0x0b, 0x02);
    ck_assert_uint_eq(get(4), 0x12);
    for (unsigned h = 0; h < 24; h++) { // all hours there and back
        set(0x0b, 0x06);
        set(4, h);
        set(0x0b, 0x00);
        u8 twelve = get(4);
        ck_assert_uint_eq(twelve, (h % 12 ? h % 12 : 12) % 10 + (h % 12 == 0 || h % 12 > 9) * 16
                                      + (h >= 12 ? 0x80 : 0));
        set(4, twelve);
        set(0x0b, 0x06);
        ck_assert_uint_eq(get(4), h);
    }
}
END_TEST

struct carry {
    u8 from[7], to[7]; // century, year, month, day, hour, minute, second, all BCD
};
static const struct carry carries[] = {
    { { 0x20, 0x23, 0x12, 0x31, 0x23, 0x59, 0x59 }, { 0x20, 0x24, 0x01, 0x01, 0, 0, 0 } },
    { { 0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x59 }, { 0x20, 0x24, 0x02, 0x29, 0, 0, 0 } },
    { { 0x20, 0x23, 0x02, 0x28, 0x23, 0x59, 0x59 }, { 0x20, 0x23, 0x03, 0x01, 0, 0, 0 } },
    { { 0x21, 0x00, 0x02, 0x28, 0x23, 0x59, 0x59 }, { 0x21, 0x00, 0x03, 0x01, 0, 0, 0 } },
    { { 0x20, 0x00, 0x02, 0x29, 0x23, 0x59, 0x59 }, { 0x20, 0x00, 0x03, 0x01, 0, 0, 0 } },
    { { 0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59 }, { 0x20, 0x00, 0x01, 0x01, 0, 0, 0 } },
    { { 0x20, 0x23, 0x04, 0x30, 0x23, 0x59, 0x59 }, { 0x20, 0x23, 0x05, 0x01, 0, 0, 0 } },
    { { 0x20, 0x23, 0x04, 0x30, 0x22, 0x59, 0x59 }, { 0x20, 0x23, 0x04, 0x30, 0x23, 0, 0 } },
};
static const u8 carry_regs[7] = { 0x32, 9, 8, 7, 4, 2, 0 };

START_TEST(carry)
{
    const struct carry *c = &carries[_i];

    set(0x0b, 0x82);
    for (int i = 0; i < 7; i++)
        set(carry_regs[i], c->from[i]);
    set(6, 7);
    pass(5 * NS_PER_S); // SET holds it
    for (int i = 0; i < 7; i++)
        ck_assert_uint_eq(get(carry_regs[i]), c->from[i]);
    set(0x0b, 0x02);
    pass(NS_PER_S);
    for (int i = 0; i < 7; i++)
        ck_assert_uint_eq(get(carry_regs[i]), c->to[i]);
    ck_assert_uint_eq(get(6), c->to[4] ? 7 : 1); // the week went round
}
END_TEST

START_TEST(update_in_progress)
{
    pass(750 * MS); // a second begins
    ck_assert_uint_eq(get(0x0a) & 0x80, 0);
    pass(NS_PER_S - 2228 * US - 1);
    ck_assert_uint_eq(get(0x0a) & 0x80, 0);
    pass(1);
    ck_assert_uint_eq(get(0x0a) & 0x80, 0x80);
    pass(2228 * US - 1);
    ck_assert_uint_eq(get(0x0a) & 0x80, 0x80);
    pass(1);
    ck_assert_uint_eq(get(0x0a) & 0x80, 0);
    // Never while it is stopped.
    set(0x0b, 0x82);
    pass(NS_PER_S - 1000);
    ck_assert_uint_eq(get(0x0a) & 0x80, 0);
    set(0x0a, 0xff); // and the bit cannot be written
    ck_assert_uint_eq(get(0x0a), 0x7f);
}
END_TEST

START_TEST(divider_reset)
{
    set(0x0a, 0x66); // held
    pass(10 * NS_PER_S);
    u8 second = get(0);
    set(0x0a, 0x26); // the first update comes half a second later
    pass(500 * MS - 1);
    ck_assert_uint_eq(get(0), second);
    pass(1);
    ck_assert_uint_ne(get(0), second);
    pass(NS_PER_S - 1);
    u8 next = get(0);
    pass(1);
    ck_assert_uint_ne(get(0), next);
}
END_TEST

START_TEST(update_interrupt)
{
    get(0x0c);
    set(0x0b, 0x12);
    pass(750 * MS - 1);
    ck_assert(!irq);
    pass(1);
    ck_assert(irq);
    pass(3 * NS_PER_S); // held until register C is read
    ck_assert_uint_eq(edges, 1);
    ck_assert_uint_eq(get(0x0c) & 0x90, 0x90);
    ck_assert(!irq);
    ck_assert_uint_eq(get(0x0c) & 0x90, 0);
    pass(NS_PER_S);
    ck_assert(irq);
    // SET clears the enable.
    set(0x0b, 0x92);
    ck_assert_uint_eq(get(0x0b), 0x82);
    ck_assert(!irq);
}
END_TEST

START_TEST(flags_without_interrupts)
{
    get(0x0c);
    pass(750 * MS);
    ck_assert_uint_eq(get(0x0c), 0x50); // periodic and update, but no IRQF
    ck_assert(!irq);
    set(0x0a, 0x20); // rate none
    get(0x0c);
    pass(10 * MS);
    ck_assert_uint_eq(get(0x0c), 0x00);
    // Enabling one whose flag is up asks at once.
    pass(NS_PER_S);
    set(0x0b, 0x12);
    ck_assert(irq);
}
END_TEST

START_TEST(alarm_interrupt)
{
    // 22:13:20.25 now; the alarm at 22:13:22.
    set(5, 0x22);
    set(3, 0x13);
    set(1, 0x22);
    set(0x0b, 0x22);
    get(0x0c);
    pass(1750 * MS - 1);
    ck_assert(!irq);
    pass(1);
    ck_assert(irq);
    ck_assert_uint_eq(get(0x0c) & 0xa0, 0xa0);
    ck_assert_uint_eq(alarms, 1);
    pass(86399 * NS_PER_S);
    ck_assert(!irq);
    pass(NS_PER_S); // tomorrow again
    ck_assert(irq);
    get(0x0c);
    // Any hour, any minute, at second 5; then every second.
    set(5, 0xff);
    set(3, 0xc0);
    set(1, 0x05);
    edges = 0;
    for (int i = 0; i < 3600; i++) {
        pass(NS_PER_S);
        get(0x0c);
    }
    ck_assert_uint_eq(edges, 60);
    set(1, 0xff);
    edges = 0;
    for (int i = 0; i < 100; i++) {
        pass(NS_PER_S);
        get(0x0c);
    }
    ck_assert_uint_eq(edges, 100);
}
END_TEST

START_TEST(periodic_rates)
{
    static const u32 hz[16] = { 0, 256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4,
                                2 };

    set(0x0b, 0x42);
    for (unsigned rate = 0; rate < 16; rate++) {
        set(0x0a, 0x20 | rate);
        get(0x0c);
        edges = 0;
        for (u64 end = r->now + 10 * NS_PER_S; r->now < end;) {
            pass(MIN(50 * US, end - r->now));
            if (irq)
                ck_assert_uint_eq(get(0x0c) & 0xc0, 0xc0);
        }
        ck_assert_uint_eq(edges, 10 * hz[rate]); // to the tick
    }
}
END_TEST

START_TEST(index_port)
{
    mc146818_ops.write(&rtc, 0, 0x80 | 0x0d, 1);
    ck_assert(rtc.nmi_masked);
    ck_assert_uint_eq(mc146818_ops.read(&rtc, 1, 1), 0x80);
    ck_assert_uint_eq(mc146818_ops.read(&rtc, 0, 1), 0xff);
    mc146818_ops.write(&rtc, 0, 0x0d, 1);
    ck_assert(!rtc.nmi_masked);
    set(0x0c, 0xff); // read-only
    set(0x0d, 0x00);
    ck_assert_uint_eq(get(0x0d), 0x80);
    for (unsigned i = 0x0e; i < 0x80; i++) // all else is memory
        if (i != 0x32) {
            set(i, i ^ 0x5a);
            ck_assert_uint_eq(get(i), i ^ 0x5a);
        }
}
END_TEST

START_TEST(memory_size)
{
    static const struct {
        u64 size;
        u16 above_1m, above_16m;
    } sizes[] = {
        { 1 << 20, 0, 0 },           { 8 << 20, 7168, 0 },          { 16 << 20, 15360, 0 },
        { 64 << 20, 64512, 768 },    { 256 << 20, 65535, 3840 },    { 3ull << 30, 65535, 48896 },
    };

    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        start(sizes[i].size);
        ck_assert_uint_eq(get(0x15) | get(0x16) << 8, 640);
        ck_assert_uint_eq(get(0x17) | get(0x18) << 8, sizes[i].above_1m);
        ck_assert_uint_eq(get(0x30) | get(0x31) << 8, sizes[i].above_1m);
        ck_assert_uint_eq(get(0x34) | get(0x35) << 8, sizes[i].above_16m);
        ck_assert_uint_eq(get(0x5b) | get(0x5c) | get(0x5d), 0);
        ck_assert_uint_eq(get(0x14) & 0x02, 0x02); // a coprocessor
        u16 sum = 0;
        for (unsigned at = 0x10; at < 0x2e; at++)
            sum += get(at);
        ck_assert_uint_eq(get(0x2e) << 8 | get(0x2f), sum);
    }
}
END_TEST

START_TEST(random_operation)
{
    srand(_i);
    for (int op = 0; op < 20000; op++) {
        if (rand() & 1)
            set(rand(), rand());
        else
            get(rand());
        pass(rand() % 4 ? rand() % (10 * MS) : (u64)rand() * 1000);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mc146818");
    TCase *t = tcase_create("mc146818");

    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, set_from_the_host);
    tcase_add_test(t, formats);
    tcase_add_loop_test(t, carry, 0, ARRAY_LEN(carries));
    tcase_add_test(t, update_in_progress);
    tcase_add_test(t, divider_reset);
    tcase_add_test(t, update_interrupt);
    tcase_add_test(t, flags_without_interrupts);
    tcase_add_test(t, alarm_interrupt);
    tcase_add_test(t, periodic_rates);
    tcase_add_test(t, index_port);
    tcase_add_test(t, memory_size);
    tcase_add_loop_test(t, random_operation, 0, 4);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
