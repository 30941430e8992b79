// SPDX-License-Identifier: GPL-2.0-or-later
// Behaviour from Intel's 8254 data sheet (231164), "mode definitions". The clock is 14.31818 MHz /
// 12.
#include "i8254.h"

#include <string.h>

#define NEVER UINT64_MAX
// Closer edges than this are bunched, so that a tiny count cannot keep the vCPU from running.
#define MIN_GAP_NS 20000
// Ticks the guest was too slow for are owed to it, as otherwise clocks that count ticks would fall
// behind: up to this many seconds of them, each a quarter period after the last was acknowledged.
#define OWED_S 10
#define CATCH_UP 4

// ns * (14318180 / 12) / 10^9, exactly; and the first ns at which that many ticks have passed.
static u64 ns_to_tick(u64 ns)
{
    return (u64)((unsigned __int128)ns * 715909 / 600000000);
}

static u64 tick_to_ns(u64 tick)
{
    unsigned __int128 ns = ((unsigned __int128)tick * 600000000 + 715908) / 715909;

    return ns > NEVER ? NEVER : (u64)ns;
}

// ---- One channel

static u32 modulus(const struct i8254_channel *c)
{
    return c->bcd ? 10000 : 65536;
}

static bool periodic(const struct i8254_channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

static void set_out(struct i8254_channel *c, bool level)
{
    c->rises += level && !c->out;
    c->out = level;
}

// Modes 2 and 3: takes the count register for the next period (or half of one). A count of one is
// illegal there and is taken for the longest one.
static void start_period(struct i8254_channel *c)
{
    c->period = c->reload == 1 ? modulus(c) : c->reload;
    c->count = (c->mode == 3 ? c->period & ~1u : c->period) % modulus(c);
    c->null_count = false;
}

// The clock pulse that moves the count register to the counting element.
static void load(struct i8254_channel *c)
{
    c->load = false;
    c->counting = true;
    if (periodic(c)) {
        start_period(c);
        set_out(c, true);
        return;
    }
    c->count = c->reload % modulus(c);
    c->null_count = false;
    c->armed = true;
    set_out(c, c->mode >= 4); // modes 0 and 1 are low until the count is over
}

static bool runs(const struct i8254_channel *c)
{
    return c->counting && (c->gate || c->mode == 1 || c->mode == 5);
}

// Ticks until something happens to OUT, with the counter as it is and nothing to load.
static u64 event_in(const struct i8254_channel *c)
{
    u32 left = c->count ? c->count : modulus(c);

    if (c->mode >= 4 && !c->out)
        return 1; // the strobe ends, gate or not
    if (!runs(c))
        return NEVER;
    switch (c->mode) {
    case 2:
        return c->out && left > 2 ? left - 1 : 1;
    case 3: // an odd count keeps OUT high one tick longer than low
        return c->out && (c->period & 1) ? c->count / 2 + 1 : left / 2;
    default:
        return c->armed ? left : NEVER;
    }
}

// What happens then. Whole periods before `to` are skipped, with only their edges counted.
static void event(struct i8254_channel *c, u64 to)
{
    switch (c->mode) {
    case 0:
    case 1:
        set_out(c, true);
        c->armed = false;
        break;
    case 4:
    case 5:
        if (c->out)
            c->armed = false;
        set_out(c, !c->out);
        break;
    case 2:
    case 3:
        if (c->mode == 3 || !c->out)
            start_period(c);
        set_out(c, !c->out);
        if (c->out) {
            u64 skip = (to - c->at) / c->period;

            c->at += skip * c->period;
            c->rises += skip;
        }
        break;
    }
}

static void count_down(struct i8254_channel *c, u64 ticks)
{
    u32 m = modulus(c), by = (c->mode == 3 ? 2 * ticks : ticks) % m;

    c->count = (c->count + m - by) % m;
}

void i8254_advance(struct i8254_channel *c, u64 to)
{
    while (c->at < to) {
        u64 left = to - c->at, n;

        if (c->load) {
            c->at++;
            load(c);
            continue;
        }
        n = event_in(c);
        if (runs(c))
            count_down(c, MIN(n, left));
        c->at += MIN(n, left);
        if (n <= left)
            event(c, to);
    }
}

u64 i8254_next_rise(const struct i8254_channel *c)
{
    struct i8254_channel future = *c;

    while (future.rises == c->rises) { // a load, a fall and a rise at the most
        u64 n = future.load ? 1 : event_in(&future);

        if (n == NEVER)
            return NEVER;
        i8254_advance(&future, future.at + n);
    }
    return future.at;
}

static u16 shown(const struct i8254_channel *c, u32 n)
{
    if (!c->bcd)
        return n;
    return n / 1000 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10;
}

static u8 status(const struct i8254_channel *c)
{
    return c->out << 7 | c->null_count << 6 | c->access << 4 | c->mode << 1 | c->bcd;
}

static void latch_count(struct i8254_channel *c)
{
    if (c->latched) // the first one stays until it is read
        return;
    c->latched = true;
    c->latch = shown(c, c->count);
}

static u8 channel_read(struct i8254_channel *c)
{
    u16 value = c->latched ? c->latch : shown(c, c->count);
    bool high = c->access == 2 || (c->access == 3 && c->read_high);

    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    if (c->access == 3)
        c->read_high = !c->read_high;
    if (c->access != 3 || high)
        c->latched = false;
    return high ? value >> 8 : value;
}

static void new_count(struct i8254_channel *c, u16 value)
{
    u32 n = value;

    if (c->bcd)
        n = (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 + (value & 15);
    n %= modulus(c);
    c->reload = n ? n : modulus(c);
    c->loaded = c->null_count = true;
    if (c->mode == 0)
        set_out(c, false);
    // Modes 1 and 5 wait for the gate, modes 2 and 3 for the end of the period.
    if (c->mode == 0 || c->mode == 4 || (periodic(c) && !c->counting))
        c->load = true;
}

static void channel_write(struct i8254_channel *c, u8 value)
{
    if (c->access == 1) {
        new_count(c, value);
    } else if (c->access == 2) {
        new_count(c, value << 8);
    } else if (c->write_high) {
        c->write_high = false;
        new_count(c, value << 8 | c->write_low);
    } else {
        c->write_high = true;
        c->write_low = value;
        if (c->mode == 0) { // half a count stops the counter
            c->counting = c->load = false;
            set_out(c, false);
        }
    }
}

static void set_mode(struct i8254_channel *c, u8 control)
{
    u8 mode = control >> 1 & 7;

    c->mode = mode > 5 ? mode & 3 : mode;
    c->access = control >> 4 & 3;
    c->bcd = control & 1;
    c->loaded = c->load = c->counting = c->armed = false;
    c->write_high = c->read_high = c->latched = c->status_latched = false;
    c->null_count = true;
    c->count %= modulus(c);
    set_out(c, c->mode != 0);
}

static void set_gate(struct i8254_channel *c, bool gate)
{
    bool rise = gate && !c->gate;

    c->gate = gate;
    if (rise && c->loaded && (c->mode & 3) != 0) // a trigger in modes 1, 2, 3 and 5
        c->load = true;
    if (!gate && periodic(c))
        set_out(c, true);
}

// ---- The chip

static void pulse_irq0(struct i8254 *pit)
{
    irq_pulse(&pit->irq0);
    irq_set(&pit->irq0, true); // OUT rests high in all modes that a PC uses here
}

static void tick(struct i8254 *pit, u64 n)
{
    const struct i8254_channel *c = &pit->ch[0];
    u64 most = periodic(c) && c->counting ? OWED_S * 14318180ull / 12 / c->period : 0;

    if (!pit->irq0_pending(pit->pic)) {
        pulse_irq0(pit);
        n--;
    }
    // A guest that has the line masked wants no clock.
    if (pit->irq0_masked(pit->pic))
        most = 0;
    pit->owed += n;
    if (pit->owed > most) {
        pit->lost += pit->owed - most;
        pit->owed = most;
    }
}

// Brings channel 0 up to date and its edges to the interrupt controller.
static void update(struct i8254 *pit)
{
    struct i8254_channel *c = &pit->ch[0];
    u64 now = timers_now(pit->timers), due, n;

    i8254_advance(c, ns_to_tick(now));
    n = c->rises - pit->seen;
    pit->seen = c->rises;
    if (n)
        tick(pit, n);
    else if (c->mode < 2)
        irq_set(&pit->irq0, c->out);
    if (pit->owed && now >= pit->catch_up && !pit->irq0_pending(pit->pic)) {
        pit->owed--;
        pulse_irq0(pit);
    }
    due = i8254_next_rise(c);
    if (due != NEVER)
        due = MAX(tick_to_ns(due), now + MIN_GAP_NS);
    if (pit->owed && pit->catch_up > now)
        due = MIN(due, pit->catch_up);
    timer_arm(pit->timers, &pit->timer, due);
}

static void timer_fired(void *opaque)
{
    update(opaque);
}

void i8254_irq0_acked(void *opaque)
{
    struct i8254 *pit = opaque;
    u64 gap = tick_to_ns(pit->ch[0].period) / CATCH_UP;

    if (!pit->owed)
        return;
    pit->catch_up = timers_now(pit->timers) + MAX(gap, MIN_GAP_NS);
    update(pit);
}

static void sync(struct i8254 *pit, unsigned n)
{
    if (n == 0)
        update(pit);
    else
        i8254_advance(&pit->ch[n], ns_to_tick(timers_now(pit->timers)));
}

static void read_back(struct i8254 *pit, u8 command)
{
    for (unsigned n = 0; n < 3; n++) {
        struct i8254_channel *c = &pit->ch[n];

        if (!(command & BIT(n + 1)))
            continue;
        sync(pit, n);
        if (!(command & BIT(5)))
            latch_count(c);
        if (!(command & BIT(4)) && !c->status_latched) {
            c->status_latched = true;
            c->status = status(c);
        }
    }
}

static void i8254_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct i8254 *pit = dev;
    unsigned n = addr < 3 ? addr : value >> 6 & 3;

    (void)size;
    if (n == 3) {
        read_back(pit, value);
        return;
    }
    sync(pit, n);
    if (addr < 3) {
        channel_write(&pit->ch[n], value);
    } else if (!(value & 0x30)) {
        latch_count(&pit->ch[n]);
    } else {
        set_mode(&pit->ch[n], value);
        if (n == 0)
            pit->owed = 0;
    }
    if (n == 0)
        update(pit);
}

static u64 i8254_read(void *dev, u32 addr, unsigned size)
{
    struct i8254 *pit = dev;

    (void)size;
    if (addr == 3)
        return 0xff; // write only
    sync(pit, addr);
    return channel_read(&pit->ch[addr]);
}

const struct bus_ops i8254_ops = { i8254_read, i8254_write, 1 };

static u64 port61_read(void *dev, u32 addr, unsigned size)
{
    struct i8254 *pit = dev;
    const struct i8254_channel *c = &pit->ch[2];

    (void)addr, (void)size;
    sync(pit, 2);
    // Bit 4 toggles with every refresh request, which a BIOS makes channel 1 issue every 18 ticks.
    return c->gate | pit->speaker << 1 | pit->nmi_enable
           | (c->at / 18 & 1) << 4 | c->out << 5;
}

static void port61_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct i8254 *pit = dev;

    (void)addr, (void)size;
    sync(pit, 2);
    set_gate(&pit->ch[2], value & 1);
    pit->speaker = value & 2;
    pit->nmi_enable = value & 0x0c;
}

const struct bus_ops i8254_port61_ops = { port61_read, port61_write, 1 };

void i8254_init(struct i8254 *pit, struct timers *timers)
{
    memset(pit, 0, sizeof(*pit));
    pit->timers = timers;
    timer_init(&pit->timer, timer_fired, pit);
}

void i8254_reset(struct i8254 *pit)
{
    u64 now = ns_to_tick(timers_now(pit->timers));

    for (unsigned n = 0; n < 3; n++)
        pit->ch[n] = (struct i8254_channel){ .at = now, .mode = 3, .access = 3, .gate = n < 2,
                                             .out = true, .null_count = true };
    pit->seen = pit->owed = 0;
    pit->speaker = false;
    pit->nmi_enable = 0;
    irq_set(&pit->irq0, false);
    update(pit);
}

void i8254_print(struct i8254 *pit, FILE *f)
{
    for (unsigned n = 0; n < 3; n++) {
        const struct i8254_channel *c = &pit->ch[n];

        sync(pit, n);
        fprintf(f, "pit %u: mode %u%s count %u reload %u gate %d out %d%s\n", n, c->mode,
                c->bcd ? " bcd" : "", c->count, c->reload, c->gate, c->out,
                c->counting ? "" : " stopped");
    }
    fprintf(f, "pit 0: %llu ticks, %llu owed, %llu lost\n", (unsigned long long)pit->seen,
            (unsigned long long)pit->owed, (unsigned long long)pit->lost);
}
