// SPDX-License-Identifier: GPL-2.0-or-later
// The 16550A: registers, FIFOs, each interrupt's cause and cure, loop-back, and that no byte is lost.
#include "dev_rig.h"

#include "monitor/dev/ns16550.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, THR = RBR, FCR = IIR };

#define CHAR_NS 1041666 // 10 bits at 9600 baud

static struct rig *r;
static struct timers timers;
static struct ns16550 u;
static bool irq;

static void line(void *sink, int pin, bool level)
{
    (void)sink, (void)pin;
    irq = level;
}

static void setup(void)
{
    r = rig_new();
    timers_init(&timers, &r->host);
    ns16550_init(&u, &timers, 0);
    u.irq = (struct irq){ line, NULL, 0 };
    ns16550_reset(&u);
}

static void teardown(void) { rig_free(r); }

static void out(unsigned reg, u8 v) { ns16550_ops.write(&u, reg, v, 1); }
static u8 in(unsigned reg) { return ns16550_ops.read(&u, reg, 1); }

static void pass(u64 ns)
{
    r->now += ns;
    timers_run(&timers);
}

static size_t give(const char *text) { return ns16550_in(&u, (const u8 *)text, strlen(text)); }

// 8N1 at 9600, OUT2 on, FIFOs with a trigger level of 8.
static void program(void)
{
    out(LCR, 0x83);
    out(RBR, 12);
    out(IER, 0);
    out(LCR, 0x03);
    out(MCR, 0x0b);
    out(FCR, 0x87);
    in(MSR);
}

START_TEST(after_reset)
{
    ck_assert_uint_eq(in(IER), 0x00);
    ck_assert_uint_eq(in(IIR), 0x01);
    ck_assert_uint_eq(in(LCR), 0x00);
    ck_assert_uint_eq(in(MCR), 0x00);
    ck_assert_uint_eq(in(LSR), 0x60);
    ck_assert_uint_eq(in(MSR), 0xb0); // a terminal is there
    ck_assert(!irq);
}
END_TEST

START_TEST(register_bits)
{
    out(SCR, 0x5a);
    ck_assert_uint_eq(in(SCR), 0x5a);
    out(MCR, 0xff);
    ck_assert_uint_eq(in(MCR), 0x1f);
    out(MCR, 0x00);
    out(LCR, 0x80);
    out(RBR, 0x34);
    out(IER, 0x12);
    ck_assert_uint_eq(in(RBR), 0x34);
    ck_assert_uint_eq(in(IER), 0x12);
    out(LCR, 0x1b);
    out(IER, 0xff);
    ck_assert_uint_eq(in(IER), 0x0f);
    ck_assert_uint_eq(u.divisor, 0x1234);
    out(LSR, 0xff); // read-only
    out(MSR, 0xff);
    ck_assert_uint_eq(in(LSR), 0x60);
    ck_assert_uint_eq(in(MSR) & 0xf0, 0xb0);
}
END_TEST

START_TEST(which_uart_is_it)
{
    // As drivers find out: IIR's top bits follow FCR's enable.
    ck_assert_uint_eq(in(IIR) >> 6, 0);
    out(FCR, 0x01);
    ck_assert_uint_eq(in(IIR) >> 6, 3);
    out(FCR, 0xc8); // without the enable no other bit is taken
    ck_assert_uint_eq(in(IIR) >> 6, 0);
    ck_assert_uint_eq(u.fcr, 0);
}
END_TEST

START_TEST(transmits_at_once)
{
    program();
    out(THR, 'h');
    out(THR, 'i');
    ck_assert_uint_eq(r->serial_len[0], 2);
    ck_assert_mem_eq(r->serial[0], "hi", 2);
    ck_assert_uint_eq(in(LSR), 0x60);
    out(LCR, 0x00); // there is no wire to save bits on
    out(THR, 'x');
    ck_assert_int_eq(r->serial[0][2], 'x');
    out(LCR, 0x43); // a break holds the line
    out(THR, 'x');
    ck_assert_uint_eq(r->serial_len[0], 3);
}
END_TEST

START_TEST(transmitter_interrupt)
{
    program();
    out(IER, 0x02); // enabling with the register empty asks at once
    ck_assert(irq);
    ck_assert_uint_eq(in(IIR), 0xc2); // and reading that clears it
    ck_assert(!irq);
    ck_assert_uint_eq(in(IIR), 0xc1);
    out(THR, 'a'); // sent: empty again
    ck_assert(irq);
    ck_assert_uint_eq(in(IIR), 0xc2);
    ck_assert(!irq);
    out(IER, 0x02); // already enabled: nothing new
    ck_assert(!irq);
    out(IER, 0x00);
    out(IER, 0x02);
    ck_assert(irq);
    out(IER, 0x00); // off: no longer shown...
    ck_assert(!irq);
    ck_assert_uint_eq(in(IIR), 0xc1);
    out(IER, 0x02); // ...but it was not cleared
    ck_assert(irq);
    // A higher-priority cause hides it, and reading IIR then does not clear it.
    out(IER, 0x07);
    give("12345678");
    ck_assert_uint_eq(in(IIR), 0xc4);
    while (in(LSR) & 1)
        in(RBR);
    ck_assert(irq);
    ck_assert_uint_eq(in(IIR), 0xc2);
}
END_TEST

START_TEST(out2_gates_the_line)
{
    program();
    out(MCR, 0x03);
    out(IER, 0x02);
    ck_assert(!irq);
    ck_assert_uint_eq(in(IIR), 0xc2);
    out(IER, 0x00);
    out(IER, 0x02);
    out(MCR, 0x0b);
    ck_assert(irq);
}
END_TEST

START_TEST(receives_without_fifo)
{
    program();
    out(FCR, 0x00);
    out(IER, 0x01);
    ck_assert_uint_eq(ns16550_room(&u), 1);
    ck_assert_uint_eq(give("ab"), 1);
    ck_assert(irq);
    ck_assert_uint_eq(in(IIR), 0x04);
    ck_assert_uint_eq(in(LSR), 0x61);
    ck_assert_uint_eq(give("b"), 0);
    ck_assert_uint_eq(in(RBR), 'a');
    ck_assert(!irq);
    ck_assert_uint_eq(in(LSR), 0x60);
}
END_TEST

START_TEST(trigger_levels)
{
    static const u8 level[4] = { 1, 4, 8, 14 };

    program();
    for (unsigned i = 0; i < 4; i++) {
        out(FCR, 0x03 | i << 6);
        out(IER, 0x01);
        for (unsigned n = 1; n < level[i]; n++) {
            ck_assert_uint_eq(give("x"), 1);
            ck_assert(!irq);
        }
        give("y");
        ck_assert(irq);
        ck_assert_uint_eq(in(IIR), 0xc4);
        in(RBR); // below the level again
        ck_assert(!irq);
        out(FCR, 0x03);
        pass(NS_PER_S);
    }
}
END_TEST

START_TEST(character_timeout)
{
    program();
    out(IER, 0x01);
    give("abc");
    ck_assert(!irq);
    pass(4 * CHAR_NS - 1000);
    ck_assert(!irq);
    pass(2000);
    ck_assert(irq);
    ck_assert_uint_eq(in(IIR), 0xcc);
    ck_assert_uint_eq(in(IIR), 0xcc); // reading it is no cure
    ck_assert_uint_eq(in(RBR), 'a');  // reading a byte is, and starts the time again
    ck_assert(!irq);
    pass(3 * CHAR_NS);
    give("d"); // so does a new one
    pass(3 * CHAR_NS);
    ck_assert(!irq);
    pass(CHAR_NS + 1000);
    ck_assert_uint_eq(in(IIR), 0xcc);
    in(RBR), in(RBR), in(RBR);
    ck_assert(!irq);
    pass(NS_PER_S); // nothing in it: no time-out
    ck_assert(!irq);
    give("ef"); // at 9600 baud; then they are faster, and so is the time-out
    out(LCR, 0x83);
    out(RBR, 1);
    out(LCR, 0x03);
    pass(0);
    pass(4 * CHAR_NS / 12 + 1000);
    ck_assert(irq);
    in(RBR);
    out(FCR, 0x83); // cleared: nor then
    pass(NS_PER_S);
    ck_assert(!irq);
    ck_assert_uint_eq(in(LSR), 0x60);
}
END_TEST

START_TEST(modem_status)
{
    program();
    out(MCR, 0x1b); // loop: RTS and DTR come back as CTS and DSR, OUT2 as DCD
    ck_assert_uint_eq(in(MSR), 0xb0);
    out(MCR, 0x18);
    ck_assert_uint_eq(in(MSR), 0x83); // both changed
    ck_assert_uint_eq(in(MSR), 0x80); // reading clears the changes
    out(IER, 0x08);
    out(MCR, 0x14); // RI rises, DCD falls
    ck_assert_uint_eq(in(IIR), 0xc0);
    ck_assert_uint_eq(in(MSR), 0x48);
    ck_assert_uint_eq(in(IIR), 0xc1);
    out(MCR, 0x18); // RI's trailing edge counts
    ck_assert(irq);
    ck_assert_uint_eq(in(MSR), 0x8c);
    ck_assert(!irq);
}
END_TEST

START_TEST(loop_back)
{
    program();
    out(MCR, 0x1b);
    give("host");
    ck_assert_uint_eq(in(LSR), 0x60); // cut off from the line
    for (int i = 0; i < 16; i++)
        out(THR, i);
    ck_assert_uint_eq(r->serial_len[0], 0);
    ck_assert_uint_eq(in(LSR), 0x61);
    out(IER, 0x04);
    out(THR, 99); // one too many
    ck_assert_uint_eq(in(IIR), 0xc6);
    ck_assert_uint_eq(in(LSR), 0x63);
    ck_assert_uint_eq(in(LSR), 0x61);
    ck_assert_uint_eq(in(IIR), 0xc1);
    for (int i = 0; i < 16; i++)
        ck_assert_uint_eq(in(RBR), i);
    ck_assert_uint_eq(in(LSR), 0x60);
    // Without FIFOs an overrun loses the older byte.
    out(FCR, 0);
    out(THR, 1);
    out(THR, 2);
    ck_assert_uint_eq(in(LSR), 0x63);
    ck_assert_uint_eq(in(RBR), 2);
    // A break is a zero with BI, which shows when it reaches the top.
    out(FCR, 0x07);
    out(THR, 'q');
    out(LCR, 0x43);
    ck_assert_uint_eq(in(LSR), 0xe1); // in the FIFO somewhere
    ck_assert_uint_eq(in(RBR), 'q');
    ck_assert_uint_eq(in(LSR), 0xf1);
    ck_assert_uint_eq(in(LSR), 0x61);
    ck_assert_uint_eq(in(RBR), 0);
}
END_TEST

START_TEST(priorities)
{
    program();
    out(IER, 0x0f);
    out(MCR, 0x1b);
    out(MCR, 0x1a);
    for (int i = 0; i < 17; i++)
        out(THR, i);
    ck_assert_uint_eq(in(IIR), 0xc6);
    in(LSR);
    ck_assert_uint_eq(in(IIR), 0xc4);
    for (int i = 0; i < 16; i++)
        in(RBR);
    ck_assert_uint_eq(in(IIR), 0xc2);
    ck_assert_uint_eq(in(IIR), 0xc0);
    in(MSR);
    ck_assert_uint_eq(in(IIR), 0xc1);
    ck_assert(!irq);
}
END_TEST

// A megabyte through an interrupt handler like Linux's, on a guest of which each access takes some time.
START_TEST(nothing_is_lost)
{
    u64 ns_per_access = _i == 0 ? 300 : _i == 1 ? 3000 : 40000, busy = 0, start;
    size_t sent = 0, got = 0, total = 1 << 20;
    unsigned fed_in_handler = 0;

    program();
    out(IER, 0x01);
    start = r->now;
    while (got < total) {
        u8 chunk[64];
        size_t n = MIN(sizeof(chunk), total - sent), took;

        for (size_t i = 0; i < n; i++)
            chunk[i] = (sent + i) * 7 >> 3;
        took = ns16550_in(&u, chunk, n);
        sent += took;
        if (irq) {
            u64 begun = r->now;
            unsigned in_handler = 0;

            while (in(LSR) & 1) {
                if (in(RBR) != (u8)(got * 7 >> 3))
                    ck_abort_msg("byte %zu is wrong", got);
                r->now += 2 * ns_per_access;
                got++;
                in_handler++;
                // The machine offers more whenever it can, also in between.
                if ((in(LSR) & 1) && ns16550_in(&u, chunk + took, n - took))
                    ck_abort_msg("fed while it was being emptied");
            }
            fed_in_handler = MAX(fed_in_handler, in_handler);
            busy += r->now - begun;
        } else {
            if (timers_deadline(&timers) == TIMER_NEVER)
                ck_abort_msg("nothing would ever happen");
            r->now = MAX(r->now, timers_deadline(&timers));
            timers_run(&timers);
        }
    }
    ck_assert_uint_eq(sent, total);
    ck_assert_uint_le(fed_in_handler, 16);
    // The guest keeps at least two thirds of its time for what is behind the handler.
    ck_assert_uint_le(busy * 3, r->now - start);
    ck_assert_uint_gt(r->rooms, 1000);
}
END_TEST

START_TEST(random_operation)
{
    srand(_i);
    for (int op = 0; op < 50000; op++) {
        u8 text[20] = { 0 };
        size_t room;

        switch (rand() % 4) {
        case 0:
            out(rand() % 8, rand());
            break;
        case 1:
            in(rand() % 8);
            break;
        case 2:
            room = ns16550_room(&u);
            ck_assert_uint_eq(ns16550_in(&u, text, 20), room);
            break;
        case 3:
            pass(rand() % 3000000);
            break;
        }
        ck_assert_uint_le(u.count, 16);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ns16550");
    TCase *t = tcase_create("ns16550");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, after_reset);
    tcase_add_test(t, register_bits);
    tcase_add_test(t, which_uart_is_it);
    tcase_add_test(t, transmits_at_once);
    tcase_add_test(t, transmitter_interrupt);
    tcase_add_test(t, out2_gates_the_line);
    tcase_add_test(t, receives_without_fifo);
    tcase_add_test(t, trigger_levels);
    tcase_add_test(t, character_timeout);
    tcase_add_test(t, modem_status);
    tcase_add_test(t, loop_back);
    tcase_add_test(t, priorities);
    tcase_add_loop_test(t, nothing_is_lost, 0, 3);
    tcase_add_loop_test(t, random_operation, 0, 8);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
