// SPDX-License-Identifier: GPL-2.0-or-later
// Registers as in Motorola's MC146818 data sheet; the CMOS bytes as IBM's AT and its successors use
// them.
#include "mc146818.h"

#include <string.h>

enum {
    SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, MONTHDAY,
    MONTH, YEAR, REG_A, REG_B, REG_C, REG_D, CENTURY = 0x32,
};

#define A_UIP BIT(7)
#define A_DIVIDER 0x70
#define A_RATE 0x0f
#define B_SET BIT(7)
#define B_24H BIT(1)
#define B_BINARY BIT(2)
#define F_PERIODIC BIT(6) // PIE in register B, PF in C
#define F_ALARM BIT(5)
#define F_UPDATE BIT(4)
#define F_ALL (F_PERIODIC | F_ALARM | F_UPDATE)
#define C_IRQF BIT(7)
#define D_VALID BIT(7)

#define HOUR_PM BIT(7)
#define ANY 0xc0 // an alarm byte with both bits set matches always

// UIP rises 244 us before an update, which takes 1984 us with a 32,768 Hz crystal.
#define UIP_NS (244000 + 1984000)

// ---- Calendar

static bool leap(u32 year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static u32 month_days(const struct mc146818 *rtc)
{
    static const u8 days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    u32 year = rtc->century * 100 + rtc->year;

    if (rtc->mon == 2)
        return 28 + leap(year);
    return rtc->mon >= 1 && rtc->mon <= 12 ? days[rtc->mon - 1] : 31;
}

static void next_day(struct mc146818 *rtc)
{
    rtc->wday = rtc->wday % 7 + 1;
    if (++rtc->mday <= month_days(rtc))
        return;
    rtc->mday = 1;
    if (++rtc->mon <= 12)
        return;
    rtc->mon = 1;
    if (++rtc->year <= 99)
        return;
    rtc->year = 0;
    rtc->century = (rtc->century + 1) % 100;
}

// Like the chip, each field carries when it reaches its end, whatever nonsense the guest put there.
static void add_seconds(struct mc146818 *rtc, u64 n)
{
    u64 day = rtc->hour * 3600ull + rtc->min * 60 + rtc->sec + n;
    u64 days = MIN(day / 86400, 400 * 366); // years with nobody looking are no reason to be slow

    rtc->sec = day % 60;
    rtc->min = day / 60 % 60;
    rtc->hour = day / 3600 % 24;
    while (days--)
        next_day(rtc);
}

static void set_from_host(struct mc146818 *rtc)
{
    const struct board_host *host = rtc->timers->host;
    u64 us = host->wall_us(host->opaque), now = timers_now(rtc->timers);

    rtc->sec = rtc->min = rtc->hour = rtc->year = 0;
    rtc->mday = rtc->mon = 1;
    rtc->century = 20;
    rtc->wday = 7; // 1 January 2000 was a Saturday
    if (us >= 946684800000000ull)
        add_seconds(rtc, us / 1000000 - 946684800);
    rtc->second = 0;
    // Seconds begin when the host's do; the epoch may lie before the machine's time began.
    rtc->epoch = now - us % 1000000 * 1000;
}

// ---- Encoding

static u8 encode(const struct mc146818 *rtc, u32 value)
{
    return rtc->ram[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10;
}

static u32 decode(const struct mc146818 *rtc, u8 value)
{
    return rtc->ram[REG_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static u8 encode_hour(const struct mc146818 *rtc, u32 hour)
{
    if (rtc->ram[REG_B] & B_24H)
        return encode(rtc, hour);
    return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static u32 decode_hour(const struct mc146818 *rtc, u8 value)
{
    if (rtc->ram[REG_B] & B_24H)
        return decode(rtc, value);
    return decode(rtc, value & ~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

static u32 *time_field(struct mc146818 *rtc, unsigned reg)
{
    switch (reg) {
    case SECONDS:
        return &rtc->sec;
    case MINUTES:
        return &rtc->min;
    case HOURS:
        return &rtc->hour;
    case WEEKDAY:
        return &rtc->wday;
    case MONTHDAY:
        return &rtc->mday;
    case MONTH:
        return &rtc->mon;
    case YEAR:
        return &rtc->year;
    case CENTURY:
        return &rtc->century;
    default:
        return NULL;
    }
}

// ---- The divider chain

// 32,768 Hz time bases only, as on every PC; 110 and 111 hold the chain in reset.
static bool ticking(const struct mc146818 *rtc)
{
    return (rtc->ram[REG_A] & A_DIVIDER) == 0x20;
}

static bool updating(const struct mc146818 *rtc)
{
    return ticking(rtc) && !(rtc->ram[REG_B] & B_SET);
}

// Periodic rate in ticks of 1/32768 s; 0: none.
static u32 rate(const struct mc146818 *rtc)
{
    u32 rs = rtc->ram[REG_A] & A_RATE;

    if (!rs || !ticking(rtc))
        return 0;
    return rs <= 2 ? 64u << rs : 1u << (rs - 1);
}

// ns since epoch -> periodic ticks, and the first ns of tick n.
static u64 ns_to_period(u64 ns, u32 rate)
{
    return (u64)((unsigned __int128)ns * 32768 / (NS_PER_S * rate));
}

static u64 period_to_ns(u64 n, u32 rate)
{
    return (u64)(((unsigned __int128)n * rate * NS_PER_S + 32767) / 32768);
}

static bool alarm_byte(const struct mc146818 *rtc, unsigned reg, u8 now)
{
    u8 alarm = rtc->ram[reg];

    return (alarm & ANY) == ANY || alarm == now;
}

static bool alarm_matches(const struct mc146818 *rtc)
{
    return alarm_byte(rtc, SECONDS_ALARM, encode(rtc, rtc->sec))
           && alarm_byte(rtc, MINUTES_ALARM, encode(rtc, rtc->min))
           && alarm_byte(rtc, HOURS_ALARM, encode_hour(rtc, rtc->hour));
}

// One update cycle: time moves on by n seconds, of which each could have met the alarm. After a day
// they repeat.
static void update_time(struct mc146818 *rtc, u64 n)
{
    u64 look = MIN(n, 86400);

    rtc->second += n;
    add_seconds(rtc, n - look);
    rtc->flags |= F_UPDATE;
    while (look--) {
        add_seconds(rtc, 1);
        if (alarm_matches(rtc)) {
            rtc->flags |= F_ALARM;
            if (rtc->alarm)
                rtc->alarm(rtc->alarm_opaque);
        }
    }
}

static void set_irq(struct mc146818 *rtc)
{
    if (rtc->flags & rtc->ram[REG_B] & F_ALL)
        rtc->flags |= C_IRQF;
    else
        rtc->flags &= ~C_IRQF;
    irq_set(&rtc->irq, rtc->flags & C_IRQF);
}

// Brings time and flags up to now.
static void sync(struct mc146818 *rtc)
{
    u64 past = timers_now(rtc->timers) - rtc->epoch;
    u64 second = past / NS_PER_S;
    u32 r = rate(rtc);

    if (!ticking(rtc))
        return;
    if (!updating(rtc))
        rtc->second = second;
    else if (second > rtc->second)
        update_time(rtc, second - rtc->second);
    if (r && ns_to_period(past, r) > rtc->period) {
        rtc->period = ns_to_period(past, r);
        rtc->flags |= F_PERIODIC;
    }
}

// Arms the timer for the next moment at which an enabled interrupt could become pending.
static void arm(struct mc146818 *rtc)
{
    u8 wanted = rtc->ram[REG_B] & ~rtc->flags;
    u64 due = TIMER_NEVER;

    if (updating(rtc) && (wanted & (F_UPDATE | F_ALARM)))
        due = rtc->epoch + (rtc->second + 1) * NS_PER_S;
    if (rate(rtc) && (wanted & F_PERIODIC))
        due = MIN(due, rtc->epoch + period_to_ns(rtc->period + 1, rate(rtc)));
    timer_arm(rtc->timers, &rtc->timer, due);
}

static void timer_fired(void *opaque)
{
    struct mc146818 *rtc = opaque;

    sync(rtc);
    set_irq(rtc);
    arm(rtc);
}

// ---- Registers

static void write_a(struct mc146818 *rtc, u8 value)
{
    bool was_ticking = ticking(rtc);
    u64 now = timers_now(rtc->timers);

    rtc->ram[REG_A] = value & ~A_UIP;
    // Out of reset, the first update comes half a second later.
    if (!was_ticking && ticking(rtc)) {
        rtc->epoch = now - NS_PER_S / 2;
        rtc->second = 0;
    }
    rtc->period = rate(rtc) ? ns_to_period(now - rtc->epoch, rate(rtc)) : 0;
}

static void cmos_write(struct mc146818 *rtc, unsigned reg, u8 value)
{
    u32 *field = time_field(rtc, reg);

    sync(rtc);
    if (reg == REG_A)
        write_a(rtc, value);
    else if (reg == REG_B) // SET clears the update interrupt's enable
        rtc->ram[REG_B] = value & B_SET ? value & ~F_UPDATE : value;
    else if (reg == REG_C || reg == REG_D)
        return;
    else if (reg == HOURS)
        rtc->hour = decode_hour(rtc, value);
    else if (reg == CENTURY) // BCD always: a convention of BIOSes, not of the chip
        rtc->century = (value >> 4) * 10 + (value & 15);
    else if (field)
        *field = decode(rtc, value);
    else
        rtc->ram[reg] = value;
    set_irq(rtc);
    arm(rtc);
}

static u8 read_c(struct mc146818 *rtc)
{
    u8 value;

    set_irq(rtc);
    value = rtc->flags;
    rtc->flags = 0;
    set_irq(rtc);
    arm(rtc);
    return value;
}

static bool update_in_progress(const struct mc146818 *rtc)
{
    u64 past = timers_now(rtc->timers) - rtc->epoch;

    return updating(rtc) && past % NS_PER_S >= NS_PER_S - UIP_NS;
}

static u8 cmos_read(struct mc146818 *rtc, unsigned reg)
{
    u32 *field = time_field(rtc, reg);

    sync(rtc);
    if (reg == REG_A)
        return rtc->ram[REG_A] | (update_in_progress(rtc) ? A_UIP : 0);
    if (reg == REG_C)
        return read_c(rtc);
    if (reg == HOURS)
        return encode_hour(rtc, rtc->hour);
    if (reg == CENTURY)
        return rtc->century / 10 << 4 | rtc->century % 10;
    if (field)
        return encode(rtc, *field);
    return rtc->ram[reg];
}

static void mc146818_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct mc146818 *rtc = dev;

    (void)size;
    if (addr == 0) {
        rtc->index = value & 0x7f;
        rtc->nmi_masked = value & 0x80;
    } else {
        cmos_write(rtc, rtc->index, value);
    }
}

static u64 mc146818_read(void *dev, u32 addr, unsigned size)
{
    struct mc146818 *rtc = dev;

    (void)size;
    return addr == 0 ? 0xff : cmos_read(rtc, rtc->index); // the index is write-only
}

const struct bus_ops mc146818_ops = { mc146818_read, mc146818_write, 1 };

// ---- CMOS contents

static void put16(struct mc146818 *rtc, unsigned at, u64 value)
{
    rtc->ram[at] = value;
    rtc->ram[at + 1] = value >> 8;
}

static void set_memory_size(struct mc146818 *rtc, u64 ram_size)
{
    u64 above_1m = ram_size > (1 << 20) ? ram_size - (1 << 20) : 0;
    u64 above_16m = ram_size > (16 << 20) ? ram_size - (16 << 20) : 0;

    put16(rtc, 0x15, 640);
    put16(rtc, 0x17, MIN(above_1m >> 10, 0xffff));
    put16(rtc, 0x30, MIN(above_1m >> 10, 0xffff));
    put16(rtc, 0x34, MIN(above_16m >> 16, 0xffff));
    // 5Bh-5Dh: memory above 4 GiB in units of 64 KiB: a 32-bit PC of ours has none.
}

void mc146818_init(struct mc146818 *rtc, struct timers *timers, u64 ram_size)
{
    u32 sum = 0;

    memset(rtc, 0, sizeof(*rtc));
    rtc->timers = timers;
    timer_init(&rtc->timer, timer_fired, rtc);
    rtc->ram[REG_A] = 0x26; // 32,768 Hz, 1024 Hz periodic
    rtc->ram[REG_B] = B_24H;
    rtc->ram[REG_D] = D_VALID;
    rtc->ram[0x14] = 0x06;  // a coprocessor and a pointing device; VGA; no floppy
    set_memory_size(rtc, ram_size);
    for (unsigned i = 0x10; i < 0x2e; i++)
        sum += rtc->ram[i];
    rtc->ram[0x2e] = sum >> 8; // high byte first
    rtc->ram[0x2f] = sum;
    set_from_host(rtc);
    rtc->period = 0;
}

void mc146818_reset(struct mc146818 *rtc)
{
    sync(rtc);
    rtc->ram[REG_B] &= ~(F_ALL | BIT(3)); // interrupts and the square wave
    rtc->flags = 0;
    rtc->nmi_masked = false;
    set_irq(rtc);
    arm(rtc);
}

void mc146818_print(struct mc146818 *rtc, FILE *f)
{
    sync(rtc);
    fprintf(f, "rtc: %02u%02u-%02u-%02u %02u:%02u:%02u a %02x b %02x c %02x nmi %s\n",
            rtc->century, rtc->year, rtc->mon, rtc->mday, rtc->hour, rtc->min, rtc->sec,
            rtc->ram[REG_A], rtc->ram[REG_B], rtc->flags, rtc->nmi_masked ? "masked" : "enabled");
}
