// SPDX-License-Identifier: GPL-2.0-or-later
// Names and numbers as in Intel's 8259A data sheet (231468) and the 82371SB's (290550).
#include "i8259.h"

#define CASCADE 2

// ICW1
#define ICW1_IC4 BIT(0)  // ICW4 follows
#define ICW1_SNGL BIT(1) // no ICW3
// ICW4
#define ICW4_AEOI BIT(1)
#define ICW4_SFNM BIT(4)
// OCW3
#define OCW3_RIS BIT(0)
#define OCW3_RR BIT(1)
#define OCW3_P BIT(2)
#define OCW3_SMM BIT(5)
#define OCW3_ESMM BIT(6)

// Rotates so that bit 0 is the input with the highest priority.
static u8 by_priority(const struct i8259 *pic, u8 bits)
{
    unsigned n = (pic->lowest + 1) & 7;

    return bits >> n | bits << (8 - n);
}

// The highest-priority bit, 0-7, of a non-zero set.
static int highest(const struct i8259 *pic, u8 bits)
{
    return (__builtin_ctz(by_priority(pic, bits)) + pic->lowest + 1) & 7;
}

// The input whose request is to be served now, or -1.
static int i8259_best(const struct i8259 *pic)
{
    u8 requests = pic->irr & ~pic->imr;
    u8 serving = pic->isr;

    if (!pic->ready || !requests)
        return -1;
    // Special mask mode: a level that is in service and masked does not hold up the others.
    if (pic->special_mask)
        serving &= ~pic->imr;
    u8 r = by_priority(pic, requests), s = by_priority(pic, serving);

    // Only what ranks above everything in service gets through.
    if (s) {
        u8 above = (s & -s) - 1;

        // Special fully nested mode: the slave in service may ask again, for a higher one of its
        // own.
        if (pic->slave && (pic->icw[4] & ICW4_SFNM) && highest(pic, serving) == CASCADE)
            above |= s & -s;
        r &= above;
    }
    return r ? (__builtin_ctz(r) + pic->lowest + 1) & 7 : -1;
}

bool i8259_int(const struct i8259 *pic)
{
    return i8259_best(pic) >= 0;
}

static void i8259_update(struct i8259 *pic)
{
    irq_set(&pic->out, i8259_best(pic) >= 0);
}

void i8259_set(void *opaque, int pin, bool level)
{
    struct i8259 *pic = opaque;
    u8 bit = BIT(pin);
    bool rise = level && !(pic->lines & bit);

    pic->lines = level ? pic->lines | bit : pic->lines & ~bit;
    // In both trigger modes a request must stay high until it is acknowledged (data sheet, "edge
    // and level triggered modes"), so a falling line takes an edge's latch with it.
    if (!level)
        pic->irr &= ~bit;
    else if (rise || (pic->elcr & bit))
        pic->irr |= bit;
    i8259_update(pic);
}

// INTA on this chip alone: moves the best request into service and returns its input, 7 if there is
// none.
static int i8259_take(struct i8259 *pic, bool *spurious)
{
    int n = i8259_best(pic);

    *spurious = n < 0;
    if (n < 0) {
        pic->spurious++;
        return 7;
    }
    if (!(pic->elcr & BIT(n)))
        pic->irr &= ~BIT(n);
    if (!(pic->icw[4] & ICW4_AEOI))
        pic->isr |= BIT(n);
    else if (pic->rotate_aeoi)
        pic->lowest = n;
    return n;
}

u8 i8259_ack(struct i8259 *pic)
{
    bool spurious;
    int n = i8259_take(pic, &spurious);
    u8 vector = (pic->icw[2] & 0xf8) | n;

    if (pic->slave && n == CASCADE && !spurious)
        vector = i8259_ack(pic->slave);
    i8259_update(pic);
    // The watcher may raise the line again at once, which must meet a settled chip.
    if (n == 0 && !spurious && pic->acked)
        pic->acked(pic->acked_opaque);
    return vector;
}

static void icw1(struct i8259 *pic, u8 value)
{
    pic->icw[1] = value;
    pic->expect = 2;
    pic->ready = false;
    // The edge sense circuit is reset: what is high now must fall and rise again to be a request.
    pic->irr = pic->lines & pic->elcr;
    pic->isr = 0;
    pic->imr = 0;
    pic->lowest = 7;
    pic->special_mask = pic->rotate_aeoi = false;
    pic->read_isr = pic->poll = false;
    if (!(value & ICW1_IC4))
        pic->icw[4] = 0;
}

static void icw2_to_4(struct i8259 *pic, u8 value)
{
    unsigned n = pic->expect;

    pic->icw[n] = value;
    if (n == 2 && !(pic->icw[1] & ICW1_SNGL))
        pic->expect = 3;
    else if (n <= 3 && (pic->icw[1] & ICW1_IC4))
        pic->expect = 4;
    else
        pic->expect = 0;
    pic->ready = pic->expect == 0;
}

static void ocw2(struct i8259 *pic, u8 value)
{
    unsigned command = value >> 5;
    u8 serving = pic->special_mask ? pic->isr & ~pic->imr : pic->isr;
    int n = value & 7;

    switch (command) {
    case 0: // rotate in AEOI mode (clear)
    case 4: // rotate in AEOI mode (set)
        pic->rotate_aeoi = command == 4;
        break;
    case 1: // non-specific EOI
    case 5: // rotate on non-specific EOI
        if (!serving)
            break;
        n = highest(pic, serving);
        pic->isr &= ~BIT(n);
        if (command == 5)
            pic->lowest = n;
        break;
    case 3: // specific EOI
        pic->isr &= ~BIT(n);
        break;
    case 6: // set priority
        pic->lowest = n;
        break;
    case 7: // rotate on specific EOI
        pic->isr &= ~BIT(n);
        pic->lowest = n;
        break;
    }
}

static void ocw3(struct i8259 *pic, u8 value)
{
    if (value & OCW3_ESMM)
        pic->special_mask = value & OCW3_SMM;
    pic->poll = value & OCW3_P;
    if (value & OCW3_RR)
        pic->read_isr = value & OCW3_RIS;
}

static void i8259_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct i8259 *pic = dev;

    (void)size;
    if (addr == 0 && (value & BIT(4)))
        icw1(pic, value);
    else if (addr == 0 && (value & BIT(3)))
        ocw3(pic, value);
    else if (addr == 0)
        ocw2(pic, value);
    else if (pic->expect)
        icw2_to_4(pic, value);
    else
        pic->imr = value;
    i8259_update(pic);
}

static u64 i8259_read(void *dev, u32 addr, unsigned size)
{
    struct i8259 *pic = dev;

    (void)size;
    if (pic->poll) { // the read itself is the acknowledge, by this chip alone
        bool spurious;
        int n = i8259_take(pic, &spurious);

        pic->poll = false;
        i8259_update(pic);
        if (n == 0 && !spurious && pic->acked)
            pic->acked(pic->acked_opaque);
        return spurious ? 0 : 0x80 | n;
    }
    if (addr == 1)
        return pic->imr;
    return pic->read_isr ? pic->isr : pic->irr;
}

const struct bus_ops i8259_ops = { i8259_read, i8259_write, 1 };

void i8259_set_elcr(struct i8259 *pic, u8 value)
{
    u8 level = value & pic->elcr_mask;

    // An input that turns to level-triggered requests at once if it is high; one that turns to
    // edge-triggered has seen no edge.
    pic->irr = (pic->irr & ~(level | pic->elcr)) | (pic->irr & ~level & ~pic->elcr)
               | (pic->lines & level);
    pic->elcr = level;
    i8259_update(pic);
}

static u64 elcr_read(void *dev, u32 addr, unsigned size)
{
    const struct i8259 *pic = dev;

    (void)addr, (void)size;
    return pic->elcr;
}

static void elcr_write(void *dev, u32 addr, u64 value, unsigned size)
{
    (void)addr, (void)size;
    i8259_set_elcr(dev, value);
}

const struct bus_ops i8259_elcr_ops = { elcr_read, elcr_write, 1 };

void i8259_reset(struct i8259 *pic)
{
    pic->elcr = 0;
    for (unsigned i = 0; i < ARRAY_LEN(pic->icw); i++)
        pic->icw[i] = 0;
    icw1(pic, 0);
    pic->expect = 0;
    i8259_update(pic);
}

void i8259_print(const struct i8259 *pic, const char *name, FILE *f)
{
    fprintf(f, "%s: irr %02x isr %02x imr %02x lines %02x elcr %02x base %02x lowest %d%s%s%s%s%s "
            "spurious %llu\n", name, pic->irr, pic->isr, pic->imr, pic->lines, pic->elcr,
            pic->icw[2] & 0xf8, pic->lowest, pic->ready ? "" : " uninitialised",
            pic->icw[4] & ICW4_AEOI ? " aeoi" : "", pic->icw[4] & ICW4_SFNM ? " sfnm" : "",
            pic->special_mask ? " smm" : "", pic->rotate_aeoi ? " rotate" : "",
            (unsigned long long)pic->spurious);
}
