// SPDX-License-Identifier: GPL-2.0-or-later
// The 8254: its modes against a model that steps one clock at a time, then its ports and IRQ 0.
#include "dev_rig.h"

#include "monitor/dev/i8254.h"

#include <stdio.h>

// ---- The model: the data sheet's waveforms, clock by clock.

struct model {
    int mode;
    bool bcd, gate, out, loaded, load, counting, armed, null_count;
    u32 reload, count, rises;
    bool odd_tail; // mode 3: the extra high clock of an odd count
    u32 period;
};

static u32 model_mod(const struct model *m) { return m->bcd ? 10000 : 65536; }

static void model_out(struct model *m, bool level)
{
    if (level && !m->out)
        m->rises++;
    m->out = level;
}

static void model_reload(struct model *m)
{
    m->period = m->reload == 1 ? model_mod(m) : m->reload;
    m->count = m->mode == 3 && (m->period & 1) ? m->period - 1 : m->period;
    m->count %= model_mod(m);
    m->null_count = false;
    m->odd_tail = false;
}

static void model_load(struct model *m)
{
    m->load = false;
    m->counting = true;
    model_reload(m);
    if (m->mode != 2 && m->mode != 3) {
        m->count = m->reload % model_mod(m);
        m->armed = true;
    }
    model_out(m, m->mode >= 2);
}

static void model_dec(struct model *m, u32 by)
{
    m->count = (m->count + model_mod(m) - by) % model_mod(m);
}

static void model_clock3(struct model *m)
{
    if (m->odd_tail) {
        model_reload(m);
        model_out(m, false);
        return;
    }
    model_dec(m, 2);
    if (m->count != 0)
        return;
    if (m->out && (m->period & 1)) {
        m->odd_tail = true;
        return;
    }
    model_reload(m);
    model_out(m, !m->out);
}

static void model_clock(struct model *m)
{
    bool strobe_ends = m->mode >= 4 && !m->out;

    if (m->load) {
        model_load(m);
        return;
    }
    if (m->counting && (m->gate || m->mode == 1 || m->mode == 5)) {
        if (m->mode == 3) {
            model_clock3(m);
        } else if (m->mode == 2 && !m->out) {
            model_reload(m);
            model_out(m, true);
        } else {
            model_dec(m, 1);
            if (m->mode == 2 && m->count == 1)
                m->out = false;
            if ((m->mode == 0 || m->mode == 1) && m->count == 0 && m->armed) {
                m->armed = false;
                model_out(m, true);
            }
            if (m->mode >= 4 && m->count == 0 && m->armed && !strobe_ends) {
                m->armed = false;
                m->out = false;
            }
        }
    }
    if (strobe_ends)
        model_out(m, true);
}

static void model_gate(struct model *m, bool gate)
{
    if (gate && !m->gate && m->loaded && m->mode != 0 && m->mode != 4)
        m->load = true;
    if (!gate && (m->mode == 2 || m->mode == 3))
        model_out(m, true);
    m->gate = gate;
}

static void model_count(struct model *m, u32 n)
{
    m->reload = n ? n : model_mod(m);
    m->loaded = m->null_count = true;
    if (m->mode == 0)
        m->out = false;
    if (m->mode == 0 || m->mode == 4 || ((m->mode == 2 || m->mode == 3) && !m->counting))
        m->load = true;
}

static void model_mode(struct model *m, int mode, bool bcd)
{
    *m = (struct model){ .mode = mode, .bcd = bcd, .gate = m->gate, .out = m->out,
                         .count = m->count % (bcd ? 10000 : 65536), .rises = m->rises,
                         .null_count = true };
    model_out(m, mode != 0);
}

// ---- The chip on a rig

struct pit_rig {
    struct rig *r;
    struct timers timers;
    struct i8254 pit;
    bool pending, masked;
    unsigned edges;
};

static void line(void *sink, int pin, bool level)
{
    struct pit_rig *p = sink;

    (void)pin;
    if (level && !p->pending) {
        p->pending = true;
        p->edges++;
    }
}

static bool pending(void *opaque) { return ((struct pit_rig *)opaque)->pending; }
static bool masked(void *opaque) { return ((struct pit_rig *)opaque)->masked; }

static struct pit_rig *pit_new(void)
{
    struct pit_rig *p = calloc(1, sizeof(*p));

    p->r = rig_new();
    timers_init(&p->timers, &p->r->host);
    i8254_init(&p->pit, &p->timers);
    p->pit.irq0 = (struct irq){ line, p, 0 };
    p->pit.irq0_pending = pending;
    p->pit.irq0_masked = masked;
    p->pit.pic = p;
    i8254_reset(&p->pit);
    return p;
}

static void pit_free(struct pit_rig *p)
{
    rig_free(p->r);
    free(p);
}

static void out(struct pit_rig *p, unsigned reg, u8 v) { i8254_ops.write(&p->pit, reg, v, 1); }
static u8 in(struct pit_rig *p, unsigned reg) { return i8254_ops.read(&p->pit, reg, 1); }
static u8 in61(struct pit_rig *p) { return i8254_port61_ops.read(&p->pit, 0, 1); }
static void out61(struct pit_rig *p, u8 v) { i8254_port61_ops.write(&p->pit, 0, v, 1); }

// The first ns of a tick.
static u64 tick_ns(u64 tick)
{
    return (u64)(((unsigned __int128)tick * 600000000 + 715908) / 715909);
}

static u64 tick_of(u64 ns)
{
    return (u64)((unsigned __int128)ns * 715909 / 600000000);
}

static void step_ticks(struct pit_rig *p, u64 n) { p->r->now = tick_ns(tick_of(p->r->now) + n); }

static u32 from_bcd(u16 v)
{
    return (v >> 12) * 1000 + (v >> 8 & 15) * 100 + (v >> 4 & 15) * 10 + (v & 15);
}

static u16 to_bcd(u32 v)
{
    return v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10;
}

// Channel 2 through its ports, against the model, under random counts, gates, reads and waits.
START_TEST(random_operation)
{
    struct pit_rig *p = pit_new();
    struct model m = { .mode = 3, .out = true };
    int mode = _i % 6;
    bool bcd = _i / 6 & 1;

    srand(_i + 1);
    out(p, 3, 0xb0 | mode << 1 | bcd);
    model_mode(&m, mode, bcd);
    out61(p, 1);
    model_gate(&m, true);
    for (int op = 0; op < 3000; op++) {
        u32 wait = rand() % 8 ? rand() % 12 : rand() % 400, n;
        u16 raw;
        u8 status;

        switch (rand() % 8) {
        case 0: // a count, mostly small enough to see its end
            n = rand() % 6 ? 2u + rand() % 20 : rand() % model_mod(&m);
            raw = bcd ? to_bcd(n) : n;
            if (rand() % 2 && mode == 0) { // between the bytes the counter stands still
                out(p, 2, raw & 0xff);
                m.counting = m.load = false;
                m.out = false;
                step_ticks(p, 3);
                for (int i = 0; i < 3; i++)
                    model_clock(&m);
                out(p, 2, raw >> 8);
            } else {
                out(p, 2, raw & 0xff);
                if (mode == 0)
                    m.counting = m.load = false;
                out(p, 2, raw >> 8);
            }
            model_count(&m, n);
            break;
        case 1:
        case 2:
            n = rand() & 1;
            out61(p, n);
            model_gate(&m, n);
            break;
        case 3: // now and then the mode again
            if (rand() % 8 == 0) {
                out(p, 3, 0xb0 | mode << 1 | bcd);
                model_mode(&m, mode, bcd);
            }
            break;
        }
        step_ticks(p, wait);
        while (wait--)
            model_clock(&m);
        out(p, 3, 0xc8); // read-back: status and count
        status = in(p, 2);
        raw = in(p, 2);
        raw |= in(p, 2) << 8;
        ck_assert_msg(status == (m.out << 7 | m.null_count << 6 | 0x30 | mode << 1 | bcd),
                      "mode %d op %d: status %02x, model out %d null %d", mode, op, status, m.out,
                      m.null_count);
        if (m.counting)
            ck_assert_msg((bcd ? from_bcd(raw) : raw) == m.count, "mode %d op %d: %u, model %u",
                          mode, op, raw, m.count);
        ck_assert_uint_eq(in61(p) >> 5 & 1, m.out);
        ck_assert_uint_eq(p->pit.ch[2].rises, m.rises);
    }
    pit_free(p);
}
END_TEST

// One long sleep and many short ones end in the same state.
START_TEST(skipping_periods)
{
    for (int mode = 0; mode < 6; mode++)
        for (u32 n = 2; n < 40; n++) {
            struct i8254_channel a = { .mode = mode, .access = 3, .gate = true, .loaded = true,
                                       .load = true, .reload = n, .out = mode != 0 };
            struct i8254_channel b = a;

            i8254_advance(&a, 100003);
            for (u64 t = 1; t <= 100003; t += 1 + t % 3)
                i8254_advance(&b, t);
            i8254_advance(&b, 100003);
            ck_assert_mem_eq(&a, &b, sizeof(a));
            if (mode == 2 || mode == 3) // loaded at 1, then high again every n
                ck_assert_uint_eq(a.rises, (100003 - 1) / n);
        }
}
END_TEST

START_TEST(next_rise_is_when_it_rises)
{
    for (int mode = 0; mode < 6; mode++)
        for (u32 n = 2; n < 30; n++) {
            struct i8254_channel c = { .mode = mode, .access = 3, .gate = true, .loaded = true,
                                       .load = true, .reload = n, .out = mode != 0, .at = 77 };

            for (int i = 0; i < 5; i++) {
                u64 t = i8254_next_rise(&c), before = c.rises;

                if (t == UINT64_MAX) {
                    i8254_advance(&c, c.at + 200000);
                    ck_assert_uint_eq(c.rises, before);
                    break;
                }
                i8254_advance(&c, t - 1);
                ck_assert_uint_eq(c.rises, before);
                i8254_advance(&c, t);
                ck_assert_uint_eq(c.rises, before + 1);
            }
        }
}
END_TEST

START_TEST(access_modes_and_latches)
{
    struct pit_rig *p = pit_new();

    // Low byte only: the high byte is zero.
    out(p, 3, 0x94);
    out(p, 2, 100);
    out61(p, 1);
    step_ticks(p, 2);
    ck_assert_uint_eq(in(p, 2), 99);
    ck_assert_uint_eq(in(p, 2), 99);
    // High byte only: the low byte is zero.
    out(p, 3, 0xa4);
    out(p, 2, 2);
    step_ticks(p, 1);
    ck_assert_uint_eq(in(p, 2), 2);
    step_ticks(p, 1);
    ck_assert_uint_eq(in(p, 2), 1); // 1FFh
    // Low then high; unlatched reads follow the counter from byte to byte.
    out(p, 3, 0xb4);
    out(p, 2, 0x00);
    out(p, 2, 0x10);
    step_ticks(p, 1);
    ck_assert_uint_eq(in(p, 2), 0x00);
    step_ticks(p, 1);
    ck_assert_uint_eq(in(p, 2), 0x0f);
    // A latched count stands still, a second latch is ignored, and after reading it follows again.
    out(p, 3, 0x80);
    step_ticks(p, 5);
    out(p, 3, 0x80);
    ck_assert_uint_eq(in(p, 2), 0xff);
    ck_assert_uint_eq(in(p, 2), 0x0f);
    ck_assert_uint_eq(in(p, 2), 0xfa);
    ck_assert_uint_eq(in(p, 2), 0x0f);
    // Read-back of status alone; the count stays unlatched.
    out(p, 3, 0xe8);
    ck_assert_uint_eq(in(p, 2), 0xb4);
    ck_assert_uint_eq(in(p, 2), 0xfa);
    ck_assert_uint_eq(in(p, 2), 0x0f);
    // Read-back of several channels at once leaves the others' latches alone.
    out(p, 3, 0xde); // counts of all three
    step_ticks(p, 9);
    ck_assert_uint_eq(in(p, 2), 0xfa);
    // The control port is write-only.
    ck_assert_uint_eq(in(p, 3), 0xff);
    pit_free(p);
}
END_TEST

START_TEST(modes_6_and_7_are_2_and_3)
{
    struct pit_rig *p = pit_new();

    out(p, 3, 0xbc);
    out(p, 3, 0xe8);
    ck_assert_uint_eq(in(p, 2) >> 1 & 7, 2);
    out(p, 3, 0xbe);
    out(p, 3, 0xe8);
    ck_assert_uint_eq(in(p, 2) >> 1 & 7, 3);
    pit_free(p);
}
END_TEST

START_TEST(port_61)
{
    struct pit_rig *p = pit_new();
    unsigned toggles = 0, before;

    out61(p, 0xff);
    ck_assert_uint_eq(in61(p) & 0x0f, 0x0f);
    ck_assert_uint_eq(in61(p) & 0xc0, 0); // no parity or channel errors
    out61(p, 0x02);
    ck_assert_uint_eq(in61(p) & 0x0f, 0x02);
    // The refresh bit toggles every 15.085 us: 66 or 67 times a millisecond.
    before = in61(p) & 0x10;
    for (int us = 0; us < 1000; us++) {
        p->r->now += 1000;
        if ((in61(p) & 0x10) != before)
            toggles++;
        before = in61(p) & 0x10;
    }
    ck_assert_uint_ge(toggles, 66);
    ck_assert_uint_le(toggles, 67);
    // Mode 0 on channel 2, as delay loops use it: OUT2 rises after n + 1 clocks with the gate open.
    out61(p, 0x01);
    out(p, 3, 0xb0);
    out(p, 2, 0x10);
    out(p, 2, 0x00);
    step_ticks(p, 16);
    ck_assert_uint_eq(in61(p) & 0x20, 0);
    step_ticks(p, 1);
    ck_assert_uint_eq(in61(p) & 0x20, 0x20);
    pit_free(p);
}
END_TEST

// ---- IRQ 0

static void program0(struct pit_rig *p, u8 mode, u16 count)
{
    out(p, 3, 0x30 | mode << 1);
    out(p, 0, count & 0xff);
    out(p, 0, count >> 8);
    p->pending = false; // an edge the control word made
    p->edges = 0;
}

static void acknowledge(struct pit_rig *p)
{
    p->pending = false;
    i8254_irq0_acked(&p->pit);
}

START_TEST(irq0_does_not_drift)
{
    struct pit_rig *p = pit_new();
    u64 start, ticks = 0;
    u8 mode = _i ? 2 : 3;

    program0(p, mode, 11932); // some 100 Hz
    start = tick_of(p->r->now) + 1;
    while (ticks < 6000) { // a minute, polled with a jitter of up to 1 ms
        u64 due = timers_deadline(&p->timers);

        // Exactly at the multiples of the period.
        ck_assert_uint_eq(due, tick_ns(start + (ticks + 1) * 11932));
        p->r->now = due + rand() % 1000000;
        timers_run(&p->timers);
        ticks++;
        ck_assert_uint_eq(p->edges, ticks);
        acknowledge(p);
    }
    pit_free(p);
}
END_TEST

START_TEST(owed_ticks_come_one_by_one)
{
    struct pit_rig *p = pit_new();
    u64 last;

    program0(p, 2, 1193); // 1 ms
    p->r->now += 50 * 1000000 + 500000; // the vCPU was away for 50 ticks
    timers_run(&p->timers);
    ck_assert_uint_eq(p->edges, 1);
    ck_assert_uint_eq(p->pit.owed, 49);
    last = p->r->now;
    while (p->pit.owed) {
        u64 edges = p->edges;

        if (p->pending)
            acknowledge(p);
        ck_assert_uint_eq(p->edges, edges); // not in the acknowledge itself
        p->r->now = MAX(p->r->now, timers_deadline(&p->timers));
        timers_run(&p->timers);
        ck_assert_uint_le(p->edges, edges + 1);
    }
    // Three extra ones a period: the debt is paid after some 17 periods.
    ck_assert_uint_ge(p->r->now - last, 15 * 1000000);
    ck_assert_uint_le(p->r->now - last, 19 * 1000000);
    // Every tick since the start was delivered.
    ck_assert_uint_eq(p->edges, p->pit.seen);
    ck_assert_uint_eq(p->pit.lost, 0);
    pit_free(p);
}
END_TEST

START_TEST(owed_ticks_are_bounded)
{
    struct pit_rig *p = pit_new();

    program0(p, 2, 11932);
    p->r->now += 3600 * NS_PER_S;
    timers_run(&p->timers);
    ck_assert_uint_eq(p->edges, 1);
    ck_assert_uint_le(p->pit.owed, 1000);
    ck_assert_uint_gt(p->pit.lost, 350000);
    // A new mode forgives the debt; so does a masked line.
    program0(p, 2, 11932);
    ck_assert_uint_eq(p->pit.owed, 0);
    p->masked = true;
    p->r->now += NS_PER_S;
    timers_run(&p->timers);
    ck_assert_uint_eq(p->pit.owed, 0);
    pit_free(p);
}
END_TEST

START_TEST(one_shots)
{
    struct pit_rig *p = pit_new();
    u8 mode = _i ? 4 : 0;

    program0(p, mode, 1000);
    // Mode 0 rises after n + 1 clocks, mode 4 one clock later, when its strobe ends.
    ck_assert_uint_eq(timers_deadline(&p->timers),
                      tick_ns(tick_of(p->r->now) + 1000 + 1 + (mode == 4)));
    p->r->now += 2000000;
    timers_run(&p->timers);
    ck_assert_uint_eq(p->edges, 1);
    acknowledge(p);
    ck_assert_uint_eq(timers_deadline(&p->timers), TIMER_NEVER);
    out(p, 0, 0xe8); // again, by the count alone
    out(p, 0, 0x03);
    p->r->now += 2000000;
    timers_run(&p->timers);
    ck_assert_uint_eq(p->edges, 2);
    pit_free(p);
}
END_TEST

START_TEST(tiny_counts_do_not_storm)
{
    struct pit_rig *p = pit_new();
    unsigned runs = 0;
    u64 end;

    program0(p, 2, _i);
    end = p->r->now + 10000000;
    while (timers_deadline(&p->timers) <= end) {
        p->r->now = MAX(p->r->now, timers_deadline(&p->timers));
        timers_run(&p->timers);
        acknowledge(p);
        runs++;
    }
    ck_assert_uint_le(runs, 3000);
    pit_free(p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("i8254");
    TCase *t = tcase_create("i8254");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, random_operation, 0, 24);
    tcase_add_test(t, skipping_periods);
    tcase_add_test(t, next_rise_is_when_it_rises);
    tcase_add_test(t, access_modes_and_latches);
    tcase_add_test(t, modes_6_and_7_are_2_and_3);
    tcase_add_test(t, port_61);
    tcase_add_loop_test(t, irq0_does_not_drift, 0, 2);
    tcase_add_test(t, owed_ticks_come_one_by_one);
    tcase_add_test(t, owed_ticks_are_bounded);
    tcase_add_loop_test(t, one_shots, 0, 2);
    tcase_add_loop_test(t, tiny_counts_do_not_storm, 0, 4);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
