// SPDX-License-Identifier: GPL-2.0-or-later
// Names and numbers as in the SDM, volume 3A, chapter 10.
#include "apic.h"

#include <string.h>

// The version that systems know from Pentium 4 and Xeon: six local vectors.
#define VERSION 0x00050014

enum { // register numbers: offset / 16
    ID = 0x02, VERSION_REG = 0x03, TPR = 0x08, APR = 0x09, PPR = 0x0a, EOI = 0x0b, RRD = 0x0c, LDR = 0x0d,
    DFR = 0x0e, SVR = 0x0f, ISR = 0x10, TMR = 0x18, IRR = 0x20, ESR = 0x28, ICR_LOW = 0x30,
    ICR_HIGH = 0x31, LVT_FIRST = 0x32, LVT_LAST = 0x37, INITIAL = 0x38, CURRENT = 0x39, DIVIDE = 0x3e,
};
#define SVR_ENABLED BIT(8)
#define LVT_PENDING BIT(12)
#define LVT_LEVEL BIT(15)
#define LVT_PERIODIC BIT(17)
#define ICR_LOGICAL BIT(11)
#define ICR_ASSERT BIT(14)
#define ICR_LEVEL BIT(15)

enum { ERR_SEND_VECTOR = BIT(5), ERR_RECEIVE_VECTOR = BIT(6), ERR_REGISTER = BIT(7) };

// Periods shorter than this many ns would leave the guest no time between two interrupts.
#define SHORTEST_PERIOD 20000

static void set_bit(u32 bits[8], u8 n)
{
    bits[n / 32] |= BIT(n % 32);
}

static void clear_bit(u32 bits[8], u8 n)
{
    bits[n / 32] &= ~BIT(n % 32);
}

// The highest bit, or -1.
static int highest(const u32 bits[8])
{
    for (int i = 7; i >= 0; i--)
        if (bits[i])
            return 32 * i + 31 - __builtin_clz(bits[i]);
    return -1;
}

static u8 processor_priority(const struct apic *apic)
{
    int serving = highest(apic->isr);
    u8 in_service = serving < 0 ? 0 : serving & 0xf0;

    return (apic->tpr & 0xf0) >= in_service ? apic->tpr : in_service;
}

// The vector that may interrupt the CPU now, or -1.
static int deliverable(const struct apic *apic)
{
    int vector = highest(apic->irr);

    if (!apic->enabled || !(apic->svr & SVR_ENABLED) || vector < 0)
        return -1;
    return (vector & 0xf0) > (processor_priority(apic) & 0xf0) ? vector : -1;
}

// Whether the 8259s' INT reaches the CPU.
static bool external(const struct apic *apic)
{
    u32 lint0 = apic->lvt[LVT_LINT0];

    if (!apic->enabled)
        return apic->pic_int;
    return apic->pic_int && !(lint0 & LVT_MASKED) && (lint0 >> 8 & 7) == APIC_EXTINT;
}

static void update(struct apic *apic)
{
    irq_set(&apic->out, deliverable(apic) >= 0 || external(apic));
}

// ---- Requests

static void request(struct apic *apic, u8 vector, bool level);

static void error(struct apic *apic, u32 bit)
{
    u32 lvt = apic->lvt[LVT_ERROR];

    if (apic->errors & bit)
        return;
    apic->errors |= bit;
    // An unfit vector in the error entry itself is not reported again.
    if (!(lvt & LVT_MASKED) && (lvt & 0xff) >= 16)
        request(apic, lvt, false);
}

static void request(struct apic *apic, u8 vector, bool level)
{
    if (!(apic->svr & SVR_ENABLED))
        return;
    if (vector < 16) {
        error(apic, ERR_RECEIVE_VECTOR);
        return;
    }
    set_bit(apic->irr, vector);
    if (level)
        set_bit(apic->tmr, vector);
    else
        clear_bit(apic->tmr, vector);
    update(apic);
}

static void deliver(struct apic *apic, enum apic_mode mode, u8 vector, bool level)
{
    switch (mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        request(apic, vector, level);
        break;
    case APIC_NMI:
        if (apic->nmi)
            apic->nmi(apic->opaque);
        break;
    case APIC_INIT:
        if (apic->init)
            apic->init(apic->opaque);
        break;
    default: // a running processor ignores start-ups; there is no SMI here
        break;
    }
}

// Whether a destination means this processor (SDM 10.6.2).
static bool addressed(const struct apic *apic, u8 dest, bool logical)
{
    u8 ldr = apic->ldr >> 24;

    if (dest == 0xff)
        return true;
    if (!logical)
        return dest == apic->id >> 24;
    if (apic->dfr >> 28 == 0xf)
        return dest & ldr;
    return dest >> 4 == ldr >> 4 && (dest & ldr & 0x0f);
}

void apic_message(struct apic *apic, u8 dest, bool logical, enum apic_mode mode, u8 vector, bool level)
{
    if (apic->enabled && addressed(apic, dest, logical))
        deliver(apic, mode, vector, level);
}

static void send(struct apic *apic)
{
    u32 icr = apic->icr[0];
    enum apic_mode mode = icr >> 8 & 7;
    unsigned shorthand = icr >> 18 & 3;
    u8 vector = icr;

    if ((mode == APIC_FIXED || mode == APIC_LOWEST) && vector < 16) {
        error(apic, ERR_SEND_VECTOR);
        return;
    }
    // INIT level de-assert only sets arbitration numbers.
    if (mode == APIC_INIT && !(icr & ICR_ASSERT))
        return;
    if (shorthand == 0)
        apic_message(apic, apic->icr[1] >> 24, icr & ICR_LOGICAL, mode, vector, false);
    else if (shorthand == 1 || shorthand == 2)
        deliver(apic, mode, vector, false);
}

void apic_pic(void *opaque, int pin, bool level)
{
    struct apic *apic = opaque;
    u32 lint0 = apic->lvt[LVT_LINT0];
    bool rise = level && !apic->pic_int;

    (void)pin;
    apic->pic_int = level;
    if (apic->enabled && rise && !(lint0 & LVT_MASKED) && (lint0 >> 8 & 7) != APIC_EXTINT)
        deliver(apic, lint0 >> 8 & 7, lint0, lint0 & LVT_LEVEL);
    update(apic);
}

int apic_ack(struct apic *apic)
{
    int vector = deliverable(apic);

    if (vector < 0)
        return external(apic) ? -1 : -2;
    clear_bit(apic->irr, vector);
    set_bit(apic->isr, vector);
    apic->count[vector]++;
    update(apic);
    if (apic->acked)
        apic->acked(apic->opaque, vector);
    return vector;
}

static void end_of_interrupt(struct apic *apic)
{
    int vector = highest(apic->isr);

    if (vector < 0)
        return;
    clear_bit(apic->isr, vector);
    if (apic->tmr[vector / 32] & BIT(vector % 32) && apic->eoi)
        apic->eoi(apic->opaque, vector);
    update(apic);
}

// ---- The timer

// ns per count.
static u64 tick(const struct apic *apic)
{
    unsigned code = (apic->divide & 3) | (apic->divide >> 1 & 4);

    return (u64)APIC_BUS_NS << ((code + 1) & 7);
}

static u64 period(const struct apic *apic)
{
    return apic->initial * tick(apic);
}

static bool periodic(const struct apic *apic)
{
    return apic->lvt[LVT_TIMER] & LVT_PERIODIC;
}

// Moves a periodic timer's `due` into the future.
static void roll(struct apic *apic, u64 now)
{
    u64 length = MAX(period(apic), 1ull);

    if (periodic(apic) && apic->due && now >= apic->due)
        apic->due += ((now - apic->due) / length + 1) * length;
}

static u32 current(struct apic *apic)
{
    u64 now = timers_now(apic->timers);

    roll(apic, now);
    if (now >= apic->due)
        return 0;
    return MIN((apic->due - now + tick(apic) - 1) / tick(apic), (u64)apic->initial);
}

static void schedule(struct apic *apic, u64 now)
{
    bool runs = apic->enabled && apic->due && !(apic->lvt[LVT_TIMER] & LVT_MASKED);

    // A one-shot count that has reached zero stays there.
    roll(apic, now);
    timer_arm(apic->timers, &apic->timer,
              runs && apic->due > now ? MAX(apic->due, periodic(apic) ? now + SHORTEST_PERIOD : 0)
                                      : TIMER_NEVER);
}

static void timer_fire(void *opaque)
{
    struct apic *apic = opaque;

    request(apic, apic->lvt[LVT_TIMER], false);
    schedule(apic, MAX(timers_now(apic->timers), apic->due));
}

static void set_initial(struct apic *apic, u32 value)
{
    u64 now = timers_now(apic->timers);

    apic->initial = value;
    apic->due = value ? now + period(apic) : 0;
    schedule(apic, now);
}

static void set_divide(struct apic *apic, u32 value)
{
    u64 now = timers_now(apic->timers);
    u32 left = current(apic);

    apic->divide = value & 0x0b;
    if (left) {
        apic->due = now + left * tick(apic);
        schedule(apic, now);
    }
}

// ---- Registers

static void set_lvt(struct apic *apic, unsigned n, u32 value)
{
    static const u32 mask[LVT_COUNT] = {
        [LVT_TIMER] = 0x300ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
        [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff, [LVT_ERROR] = 0x100ff,
    };

    apic->lvt[n] = value & mask[n];
    if (!(apic->svr & SVR_ENABLED))
        apic->lvt[n] |= LVT_MASKED;
    if (n == LVT_TIMER)
        schedule(apic, timers_now(apic->timers));
    update(apic);
}

static void set_svr(struct apic *apic, u32 value)
{
    apic->svr = value & 0x1ff;
    if (!(value & SVR_ENABLED))
        for (unsigned n = 0; n < LVT_COUNT; n++)
            set_lvt(apic, n, apic->lvt[n] | LVT_MASKED);
    update(apic);
}

static u32 read_register(struct apic *apic, unsigned reg)
{
    switch (reg) {
    case ID:
        return apic->id;
    case VERSION_REG:
        return VERSION;
    case TPR:
        return apic->tpr;
    case PPR:
        return processor_priority(apic);
    case APR:
    case RRD:
    case EOI:
        return 0;
    case LDR:
        return apic->ldr;
    case DFR:
        return apic->dfr;
    case SVR:
        return apic->svr;
    case ISR ... ISR + 7:
        return apic->isr[reg - ISR];
    case TMR ... TMR + 7:
        return apic->tmr[reg - TMR];
    case IRR ... IRR + 7:
        return apic->irr[reg - IRR];
    case ESR:
        return apic->esr;
    case ICR_LOW:
    case ICR_HIGH:
        return apic->icr[reg - ICR_LOW];
    case LVT_FIRST ... LVT_LAST:
        return apic->lvt[reg - LVT_FIRST];
    case INITIAL:
        return apic->initial;
    case CURRENT:
        return current(apic);
    case DIVIDE:
        return apic->divide;
    default:
        error(apic, ERR_REGISTER);
        return 0;
    }
}

static void write_register(struct apic *apic, unsigned reg, u32 value)
{
    switch (reg) {
    case ID:
        apic->id = value & 0xff000000;
        break;
    case TPR:
        apic->tpr = value & 0xff;
        update(apic);
        break;
    case EOI:
        end_of_interrupt(apic);
        break;
    case LDR:
        apic->ldr = value & 0xff000000;
        break;
    case DFR:
        apic->dfr = value | 0x0fffffff;
        break;
    case SVR:
        set_svr(apic, value);
        break;
    case ESR: // a write shows what has been collected since the last one
        apic->esr = apic->errors;
        apic->errors = 0;
        break;
    case ICR_LOW:
        apic->icr[0] = value & 0x000ccfff;
        send(apic);
        break;
    case ICR_HIGH:
        apic->icr[1] = value & 0xff000000;
        break;
    case LVT_FIRST ... LVT_LAST:
        set_lvt(apic, reg - LVT_FIRST, value);
        break;
    case INITIAL:
        set_initial(apic, value);
        break;
    case DIVIDE:
        set_divide(apic, value);
        break;
    case VERSION_REG:
    case APR:
    case PPR:
    case RRD:
    case ISR ... ISR + 7:
    case TMR ... TMR + 7:
    case IRR ... IRR + 7:
    case CURRENT:
        break; // read-only
    default:
        error(apic, ERR_REGISTER);
    }
}

// Registers are 32 bits wide at multiples of 16; the manual defines no other access. Parts of one can
// be read, and nothing else happens.
static u64 apic_read(void *dev, u32 addr, unsigned size)
{
    struct apic *apic = dev;

    if ((addr & 15) + size > 4)
        return 0;
    return read_register(apic, addr >> 4) >> (8 * (addr & 3)) & (~0ull >> (64 - 8 * size));
}

static void apic_write(void *dev, u32 addr, u64 value, unsigned size)
{
    if (!(addr & 15) && size == 4)
        write_register(dev, addr >> 4, value);
}

const struct bus_ops apic_ops = { apic_read, apic_write, 4 };

// ---- The device

static void clear(struct apic *apic)
{
    apic->id = apic->tpr = apic->ldr = apic->esr = apic->errors = 0;
    apic->dfr = 0xffffffff;
    apic->svr = 0xff;
    memset(apic->icr, 0, sizeof(apic->icr));
    memset(apic->isr, 0, sizeof(apic->isr));
    memset(apic->tmr, 0, sizeof(apic->tmr));
    memset(apic->irr, 0, sizeof(apic->irr));
    for (unsigned n = 0; n < LVT_COUNT; n++)
        apic->lvt[n] = LVT_MASKED;
    apic->lvt[LVT_LINT0] = APIC_EXTINT << 8;
    apic->initial = apic->divide = 0;
    apic->due = 0;
    timer_arm(apic->timers, &apic->timer, TIMER_NEVER);
}

void apic_init(struct apic *apic, struct timers *timers)
{
    *apic = (struct apic){ .timers = timers };
    timer_init(&apic->timer, timer_fire, apic);
}

void apic_reset(struct apic *apic)
{
    clear(apic);
    apic->enabled = true;
    update(apic);
}

void apic_enable(struct apic *apic, bool on)
{
    if (apic->enabled == on)
        return;
    clear(apic);
    apic->enabled = on;
    update(apic);
}

void apic_hand_over(struct apic *apic)
{
    write_register(apic, SVR, SVR_ENABLED | 0xff);
    set_lvt(apic, LVT_LINT0, APIC_EXTINT << 8 | LVT_LEVEL);
    set_lvt(apic, LVT_LINT1, APIC_NMI << 8 | LVT_LEVEL);
}

void apic_print(const struct apic *apic, FILE *f)
{
    static const char *const name[LVT_COUNT] = { "timer", "thermal", "perf", "lint0", "lint1", "error" };

    fprintf(f, "apic: %s, id %u tpr %02x ppr %02x svr %03x ldr %08x dfr %08x esr %02x\n",
            !apic->enabled ? "disabled" : apic->svr & SVR_ENABLED ? "enabled" : "disabled by software",
            apic->id >> 24, apic->tpr, processor_priority(apic), apic->svr, apic->ldr, apic->dfr, apic->esr);
    for (unsigned n = 0; n < LVT_COUNT; n++)
        fprintf(f, "  %-7s vector %02x mode %u%s%s\n", name[n], apic->lvt[n] & 0xff,
                apic->lvt[n] >> 8 & 7, apic->lvt[n] & LVT_MASKED ? " masked" : "",
                n == LVT_TIMER && periodic(apic) ? " periodic" : "");
    fprintf(f, "  timer: initial %u, %llu ns a count\n", apic->initial, (unsigned long long)tick(apic));
    for (unsigned n = 0; n < 256; n++) {
        bool irr = apic_requested(apic, n), isr = apic->isr[n / 32] & BIT(n % 32);

        if (apic->count[n] || irr || isr)
            fprintf(f, "  vector %02x: %llu%s%s\n", n, (unsigned long long)apic->count[n],
                    irr ? " requested" : "", isr ? " in service" : "");
    }
}
