// SPDX-License-Identifier: GPL-2.0-or-later
// When the tick of an idle guest may be late (monitor/run/idle.h), on a clock of our own.
#include "monitor/run/idle.h"

#include <check.h>

#define MS 1000000ull

static struct idle idle;
static u64 now, cpu, due;

// Sleeps to the next tick, `period` after the last; the tick takes 50 us. Returns how late it was allowed to be.
static u64 tick(u64 period, bool once)
{
    u64 late;

    due += period;
    late = idle_late(&idle, now, cpu, due, once);
    idle_woke(&idle, true);
    now = due + late + 50000;
    cpu += 50000;
    due = now / period * period; // the guest counts the ticks that it missed
    return late;
}

static void settle(u64 period)
{
    for (unsigned i = 0; i < 100; i++)
        tick(period, true);
}

static void setup(void)
{
    idle = (struct idle){ 0 };
    now = due = 1000 * MS;
    cpu = 5 * MS;
}

START_TEST(ticks_alone_may_be_late)
{
    for (unsigned i = 0; i < 50; i++)
        ck_assert_uint_eq(tick(4 * MS, true), 0);
    settle(4 * MS);
    for (unsigned i = 0; i < 50; i++)
        ck_assert_uint_eq(tick(4 * MS, true), 32 * MS);
}
END_TEST

START_TEST(slow_ticks_are_never_late)
{
    settle(40 * MS);
    ck_assert_uint_eq(tick(40 * MS, true), 0);
}
END_TEST

// What else the host does delays wake-ups; ticks missed by that are ticks all the same.
START_TEST(delays_are_no_work)
{
    settle(4 * MS);
    now += 51 * MS;
    due = now / (4 * MS) * (4 * MS);
    ck_assert_uint_eq(tick(4 * MS, true), 32 * MS);
}
END_TEST

// A guest that stops its tick while it idles has a timer then.
START_TEST(timers_far_off_are_never_late)
{
    settle(4 * MS);
    due += 36 * MS;
    ck_assert_uint_eq(tick(4 * MS, true), 0);
}
END_TEST

START_TEST(repeating_timers_are_never_late)
{
    for (unsigned i = 0; i < 200; i++)
        ck_assert_uint_eq(tick(4 * MS, false), 0);
}
END_TEST

START_TEST(anything_else_makes_them_exact)
{
    settle(4 * MS);
    ck_assert_uint_eq(idle_late(&idle, now, cpu, due + MS, true), 0); // a timer that is not the tick's
    setup();
    settle(4 * MS);
    ck_assert_uint_eq(idle_late(&idle, now, cpu, UINT64_MAX, true), 0);
    setup();
    settle(4 * MS);
    idle_woke(&idle, false); // input
    ck_assert_uint_eq(idle_late(&idle, now, cpu, due + 4 * MS, true), 0);
    setup();
    settle(4 * MS);
    cpu += 2 * MS; // work
    ck_assert_uint_eq(idle_late(&idle, now, cpu, due + 4 * MS, true), 0);
    idle_woke(&idle, true);
    now = due += 4 * MS;
    for (unsigned i = 0; i < 50; i++) // and it takes a while again
        ck_assert_uint_eq(tick(4 * MS, true), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("idle");
    TCase *tcase = tcase_create("idle");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, ticks_alone_may_be_late);
    tcase_add_test(tcase, slow_ticks_are_never_late);
    tcase_add_test(tcase, delays_are_no_work);
    tcase_add_test(tcase, timers_far_off_are_never_late);
    tcase_add_test(tcase, repeating_timers_are_never_late);
    tcase_add_test(tcase, anything_else_makes_them_exact);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
