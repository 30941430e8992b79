// SPDX-License-Identifier: GPL-2.0-or-later
// The pair of 8259s: initialisation, priorities, the end-of-interrupt commands, triggering, polling.
#include "dev_rig.h"

#include "monitor/dev/i8259.h"

struct pics {
    struct i8259 pic[2];
    bool intr;
    unsigned acked;
};

static struct pics p;

static void intr(void *sink, int pin, bool level)
{
    (void)pin;
    ((struct pics *)sink)->intr = level;
}

static void acked(void *opaque) { ((struct pics *)opaque)->acked++; }

static void out(int n, unsigned a0, u8 v) { i8259_ops.write(&p.pic[n], a0, v, 1); }
static u8 in(int n, unsigned a0) { return i8259_ops.read(&p.pic[n], a0, 1); }
static void elcr(int n, u8 v) { i8259_elcr_ops.write(&p.pic[n], 0, v, 1); }
static u8 irr(int n) { out(n, 0, 0x0a); return in(n, 0); }
static u8 isr(int n) { out(n, 0, 0x0b); return in(n, 0); }

static void line(int irq, bool level) { i8259_set(&p.pic[irq / 8], irq % 8, level); }
static void edge(int irq) { line(irq, false); line(irq, true); }

static void initialise(u8 icw4)
{
    for (int n = 0; n < 2; n++) {
        out(n, 0, 0x11);
        out(n, 1, n ? 0x70 : 0x08);
        out(n, 1, n ? 0x02 : 0x04);
        out(n, 1, icw4);
    }
}

static void setup(void)
{
    memset(&p, 0, sizeof(p));
    p.pic[0].out = (struct irq){ intr, &p, 0 };
    p.pic[1].out = (struct irq){ i8259_set, &p.pic[0], 2 };
    p.pic[0].slave = &p.pic[1];
    p.pic[0].elcr_mask = 0xf8;
    p.pic[1].elcr_mask = 0xde;
    p.pic[0].acked = acked;
    p.pic[0].acked_opaque = &p;
    i8259_reset(&p.pic[0]);
    i8259_reset(&p.pic[1]);
}

static void ready(void)
{
    setup();
    initialise(0x01);
}

static int ack(void)
{
    ck_assert(p.intr);
    return i8259_ack(&p.pic[0]);
}

START_TEST(silent_until_initialised)
{
    edge(1);
    ck_assert(!p.intr);
    out(0, 0, 0x11);
    out(0, 1, 0x08);
    out(0, 1, 0x04);
    edge(1);
    ck_assert(!p.intr);
    out(0, 1, 0x01);
    ck_assert(p.intr);
    ck_assert_int_eq(ack(), 0x09);
}
END_TEST

START_TEST(icw1_forgets_edges_mask_and_service)
{
    edge(3);
    edge(4);
    ack();
    out(0, 1, 0xaa);
    ck_assert_uint_eq(isr(0), 0x08);
    ck_assert_uint_eq(irr(0), 0x10);
    initialise(0x01);
    ck_assert_uint_eq(in(0, 1), 0x00);
    ck_assert_uint_eq(isr(0), 0x00);
    ck_assert_uint_eq(irr(0), 0x00);
    line(4, true); // high before and after is no edge
    ck_assert(!p.intr);
    edge(4);
    ck_assert(p.intr);
}
END_TEST

START_TEST(sequences_without_icw3_or_icw4)
{
    out(0, 0, 0x12); // single, no ICW4
    out(0, 1, 0x40);
    out(0, 1, 0x5a); // the sequence is over: a mask
    ck_assert_uint_eq(in(0, 1), 0x5a);
    out(0, 0, 0x10); // cascaded, no ICW4
    out(0, 1, 0x40);
    out(0, 1, 0x04);
    out(0, 1, 0xa5);
    ck_assert_uint_eq(in(0, 1), 0xa5);
    out(0, 0, 0x13); // single, with ICW4
    out(0, 1, 0x40);
    out(0, 1, 0x01);
    out(0, 1, 0x99);
    ck_assert_uint_eq(in(0, 1), 0x99);
}
END_TEST

START_TEST(vector_bits)
{
    out(0, 0, 0x11);
    out(0, 1, 0x3f); // the low three bits are the input's
    out(0, 1, 0x04);
    out(0, 1, 0x01);
    edge(5);
    ck_assert_int_eq(ack(), 0x3d);
}
END_TEST

START_TEST(fully_nested)
{
    edge(4);
    ck_assert_int_eq(ack(), 0x0c);
    edge(6);
    ck_assert(!p.intr); // lower waits
    edge(1);
    ck_assert_int_eq(ack(), 0x09); // higher nests
    edge(0);
    ck_assert_int_eq(ack(), 0x08);
    ck_assert_uint_eq(isr(0), 0x13);
    edge(4);
    ck_assert(!p.intr); // its own level waits
    out(0, 0, 0x20);
    ck_assert_uint_eq(isr(0), 0x12);
    out(0, 0, 0x20);
    ck_assert_uint_eq(isr(0), 0x10);
    ck_assert(!p.intr);
    out(0, 0, 0x20);
    ck_assert_int_eq(ack(), 0x0c);
    out(0, 0, 0x64); // specific
    ck_assert_int_eq(ack(), 0x0e);
    ck_assert_uint_eq(p.acked, 1);
}
END_TEST

START_TEST(masks)
{
    out(0, 1, 0x02);
    edge(1);
    ck_assert(!p.intr);
    ck_assert_uint_eq(irr(0), 0x02);
    out(0, 1, 0x00); // the edge was remembered
    ck_assert_int_eq(ack(), 0x09);
    edge(1);
    out(0, 0, 0x20);
    ck_assert(p.intr);
    out(0, 1, 0x02); // masked after it was asked for
    ck_assert(!p.intr);
}
END_TEST

START_TEST(slave_through_cascade)
{
    edge(12);
    ck_assert_int_eq(ack(), 0x74);
    ck_assert_uint_eq(isr(0), 0x04);
    ck_assert_uint_eq(isr(1), 0x10);
    edge(9); // higher in the slave, but the master's level is taken
    ck_assert(!p.intr);
    edge(1);
    ck_assert_int_eq(ack(), 0x09);
    out(0, 0, 0x20);
    out(1, 0, 0x20);
    out(0, 0, 0x20);
    ck_assert_int_eq(ack(), 0x71);
}
END_TEST

START_TEST(special_fully_nested)
{
    initialise(0x11);
    edge(12);
    ck_assert_int_eq(ack(), 0x74);
    edge(14);
    ck_assert(!p.intr); // lower in the slave
    edge(9);
    ck_assert_int_eq(ack(), 0x71); // higher gets through
    edge(3);
    ck_assert(!p.intr); // lower in the master
    out(1, 0, 0x20);
    ck_assert_uint_eq(isr(1), 0x10);
}
END_TEST

START_TEST(spurious)
{
    // A request that goes away before the acknowledge gives IR7's vector and sets nothing in service.
    line(3, true);
    line(3, false);
    ck_assert(!p.intr);
    ck_assert_int_eq(i8259_ack(&p.pic[0]), 0x0f);
    ck_assert_uint_eq(isr(0), 0x00);
    // In the slave: IRQ 15, and the master believes in it.
    p.pic[1].out = (struct irq){ 0 }; // its output does not fall in time
    i8259_set(&p.pic[0], 2, true);
    ck_assert_int_eq(ack(), 0x77);
    ck_assert_uint_eq(isr(1), 0x00);
    ck_assert_uint_eq(isr(0), 0x04);
    ck_assert_uint_eq(p.pic[0].spurious, 1);
    ck_assert_uint_eq(p.pic[1].spurious, 1);
}
END_TEST

START_TEST(levels)
{
    elcr(1, 0xff);
    ck_assert_uint_eq(i8259_elcr_ops.read(&p.pic[1], 0, 1), 0xde); // 8 and 13 are edges
    elcr(0, 0xff);
    ck_assert_uint_eq(i8259_elcr_ops.read(&p.pic[0], 0, 1), 0xf8); // 0, 1 and 2 are
    line(11, true);
    ck_assert_int_eq(ack(), 0x73);
    ck_assert_uint_eq(irr(1), 0x08); // still asking
    out(1, 0, 0x20);
    out(0, 0, 0x20);
    ck_assert_int_eq(ack(), 0x73);
    line(11, false);
    out(1, 0, 0x20);
    out(0, 0, 0x20);
    ck_assert(!p.intr);
    ck_assert_uint_eq(irr(1), 0);
    // Turning a high line to level asks, turning it back does not.
    elcr(0, 0);
    line(5, true);
    ack();
    out(0, 0, 0x20);
    ck_assert(!p.intr);
    elcr(0, 0x20);
    ck_assert(p.intr);
    elcr(0, 0);
    ck_assert(!p.intr);
    // An edge that waits survives a change of other inputs' modes.
    edge(6);
    elcr(0, 0x80);
    ck_assert_int_eq(ack(), 0x0e);
}
END_TEST

START_TEST(automatic_eoi)
{
    initialise(0x03);
    edge(4);
    ck_assert_int_eq(ack(), 0x0c);
    ck_assert_uint_eq(isr(0), 0);
    edge(4);
    ck_assert_int_eq(ack(), 0x0c);
    // With rotation the one just served becomes the lowest.
    out(0, 0, 0x80);
    edge(3);
    ck_assert_int_eq(ack(), 0x0b);
    edge(3);
    edge(5);
    ck_assert_int_eq(ack(), 0x0d);
    ck_assert_int_eq(ack(), 0x0b);
    out(0, 0, 0x00); // rotation off: priorities stay where they are, 3 lowest
    edge(3);
    edge(2);
    edge(4);
    ck_assert_int_eq(ack(), 0x0c);
}
END_TEST

START_TEST(rotation)
{
    out(0, 0, 0xc3); // set priority: 3 is lowest, 4 highest
    edge(3);
    edge(0);
    edge(4);
    ck_assert_int_eq(ack(), 0x0c);
    ck_assert(!p.intr);
    out(0, 0, 0xa0); // rotate on non-specific EOI: now 4 is lowest, 5 highest
    ck_assert_int_eq(ack(), 0x08);
    edge(4);
    ck_assert(!p.intr);
    out(0, 0, 0xe0); // rotate on specific EOI of 0: 0 is lowest, 1 highest
    ck_assert_int_eq(ack(), 0x0b);
    edge(0);
    ck_assert(!p.intr);
    out(0, 0, 0x20);
    ck_assert_int_eq(ack(), 0x0c);
    out(0, 0, 0x20);
    ck_assert_int_eq(ack(), 0x08);
}
END_TEST

START_TEST(special_mask)
{
    edge(2 + 1);
    ck_assert_int_eq(ack(), 0x0b);
    edge(6);
    ck_assert(!p.intr);
    out(0, 1, 0x08); // masks the one in service...
    ck_assert(!p.intr);
    out(0, 0, 0x68); // ...which in special mask mode lets lower ones through
    ck_assert_int_eq(ack(), 0x0e);
    out(0, 0, 0x20); // non-specific EOI does not see the masked one
    ck_assert_uint_eq(isr(0), 0x08);
    out(0, 0, 0x48); // off again
    edge(6);
    ck_assert(!p.intr);
    out(0, 0, 0x63);
    ck_assert_int_eq(ack(), 0x0e);
}
END_TEST

START_TEST(polling)
{
    out(0, 0, 0x0c);
    ck_assert_uint_eq(in(0, 0), 0x00); // nothing, and nothing in service
    edge(5);
    edge(3);
    out(0, 0, 0x0c);
    ck_assert_uint_eq(in(0, 0), 0x83);
    ck_assert_uint_eq(isr(0), 0x08);
    ck_assert(!p.intr);
    out(0, 0, 0x20);
    out(0, 0, 0x0c);
    ck_assert_uint_eq(in(0, 1), 0x85); // either address will do
    ck_assert_uint_eq(in(0, 1), 0x00); // once
    out(0, 0, 0x20);
    edge(0);
    out(0, 0, 0x0c);
    ck_assert_uint_eq(in(0, 0), 0x80);
    ck_assert_uint_eq(p.acked, 1);
}
END_TEST

START_TEST(status_selection_stays)
{
    edge(1);
    ck_assert_uint_eq(in(0, 0), 0x02); // IRR after initialisation
    out(0, 0, 0x0b);
    ack();
    ck_assert_uint_eq(in(0, 0), 0x02);
    ck_assert_uint_eq(in(0, 0), 0x02);
    out(0, 0, 0x08); // no selection: keeps ISR
    ck_assert_uint_eq(in(0, 0), 0x02);
    out(0, 0, 0x20);
    ck_assert_uint_eq(in(0, 0), 0x00);
}
END_TEST

// Check's own assertions write to a pipe each, which is slow for many.
#define ck_check(cond)                                                                       \
    do {                                                                                     \
        if (!(cond))                                                                         \
            ck_abort_msg("operation %d: %s", op, #cond);                                     \
    } while (0)

// No sequence of anything breaks the invariants.
START_TEST(random_operation)
{
    srand(_i);
    for (int op = 0; op < 20000; op++) {
        int n = rand() & 1;

        switch (rand() % 6) {
        case 0:
            out(n, rand() & 1, rand());
            break;
        case 1:
            in(n, rand() & 1);
            break;
        case 2:
            elcr(n, rand());
            break;
        case 3:
            if (p.intr)
                i8259_ack(&p.pic[0]);
            break;
        default:
            n = rand() % 16;
            if (n != 2)
                line(n, rand() & 1);
        }
        for (n = 0; n < 2; n++) {
            const struct i8259 *pic = &p.pic[n];

            ck_check(!(pic->elcr & ~pic->elcr_mask));
            ck_check((pic->irr & pic->elcr) == (pic->lines & pic->elcr));
            ck_check(!(pic->irr & ~pic->lines));
        }
        ck_check(p.intr == i8259_int(&p.pic[0]));
        ck_check(!!(p.pic[0].lines & 4) == i8259_int(&p.pic[1]));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("i8259");
    TCase *raw = tcase_create("reset"), *t = tcase_create("initialised");

    tcase_set_timeout(raw, 60);
    tcase_add_checked_fixture(raw, setup, NULL);
    tcase_add_test(raw, silent_until_initialised);
    tcase_add_test(raw, sequences_without_icw3_or_icw4);
    tcase_add_test(raw, vector_bits);
    tcase_add_loop_test(raw, random_operation, 0, 8);
    tcase_add_checked_fixture(t, ready, NULL);
    tcase_add_test(t, icw1_forgets_edges_mask_and_service);
    tcase_add_test(t, fully_nested);
    tcase_add_test(t, masks);
    tcase_add_test(t, slave_through_cascade);
    tcase_add_test(t, special_fully_nested);
    tcase_add_test(t, spurious);
    tcase_add_test(t, levels);
    tcase_add_test(t, automatic_eoi);
    tcase_add_test(t, rotation);
    tcase_add_test(t, special_mask);
    tcase_add_test(t, polling);
    tcase_add_test(t, status_selection_stays);
    suite_add_tcase(s, raw);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
