// SPDX-License-Identifier: GPL-2.0-or-later
// Registers as in Intel's 8237A data sheet (231466). What the AT does not wire (memory-to-memory,
// cascade arbitration, timing) is kept in the registers but does nothing.
#include "i8237.h"

#include <string.h>

// Registers above the channels' eight.
enum {
    COMMAND = 8, REQUEST, SINGLE_MASK, MODE, CLEAR_FLIP_FLOP, MASTER_CLEAR, CLEAR_MASK, ALL_MASK,
};

#define COMMAND_OFF BIT(2)
#define MODE_TYPE 0x0c
#define MODE_VERIFY 0x00
#define MODE_WRITE 0x04 // to memory
#define MODE_READ 0x08
#define MODE_AUTO BIT(4)
#define MODE_DOWN BIT(5)

void i8237_init(struct i8237 *dma, const struct board_host *host, struct i8237_pages *pages,
                bool wide)
{
    memset(dma, 0, sizeof(*dma));
    dma->host = host;
    dma->page = pages->reg;
    dma->wide = wide;
}

void i8237_reset(struct i8237 *dma)
{
    dma->command = dma->status = dma->request = dma->temporary = 0;
    dma->mask = 0x0f;
    dma->high_byte = false;
}

// ---- Transfers

// Page registers lie in the order the AT's decoder gave them.
static u8 page(const struct i8237 *dma, unsigned n)
{
    static const u8 narrow[4] = { 0x7, 0x3, 0x1, 0x2 }, wide[4] = { 0xf, 0xb, 0x9, 0xa };

    return dma->page[dma->wide ? wide[n] : narrow[n]];
}

// Addresses wrap inside their 64 KiB (128 KiB on the second chip): the page does not count.
static u64 address(const struct i8237 *dma, unsigned n)
{
    u16 addr = dma->ch[n].addr;

    if (dma->wide)
        return (u64)(page(dma, n) & 0xfe) << 16 | (u32)addr << 1;
    return (u64)page(dma, n) << 16 | addr;
}

static void move(struct i8237 *dma, u64 gpa, bool to_memory, u8 *buf, size_t len)
{
    const struct board_host *host = dma->host;

    if (to_memory) {
        if (host->dma_write)
            host->dma_write(host->opaque, gpa, buf, len);
    } else if (host->dma_read) {
        host->dma_read(host->opaque, gpa, buf, len);
    } else {
        memset(buf, 0xff, len);
    }
}

// How many units fit in one access of memory: all of them up to the wrap, but one by one downwards.
static u32 run_length(const struct i8237_channel *c, size_t want)
{
    u32 n = MIN(want, (u32)c->count + 1);

    return c->mode & MODE_DOWN ? 1 : MIN(n, 0x10000u - c->addr);
}

static bool ready(const struct i8237 *dma, unsigned n, bool to_memory)
{
    u8 type = dma->ch[n].mode & MODE_TYPE;

    if ((dma->command & COMMAND_OFF) || (dma->mask & BIT(n)))
        return false;
    return type == MODE_VERIFY || type == (to_memory ? MODE_WRITE : MODE_READ);
}

size_t i8237_transfer(struct i8237 *dma, unsigned n, bool to_memory, u8 *buf, size_t len,
                      bool *done)
{
    struct i8237_channel *c = &dma->ch[n];
    unsigned unit = dma->wide ? 2 : 1;
    size_t left = len / unit;

    *done = false;
    while (left && !*done && ready(dma, n, to_memory)) {
        u32 units = run_length(c, left);

        if ((c->mode & MODE_TYPE) != MODE_VERIFY)
            move(dma, address(dma, n), to_memory, buf, (size_t)units * unit);
        buf += units * unit;
        left -= units;
        c->addr += c->mode & MODE_DOWN ? -1u : units;
        *done = units > c->count; // past zero: terminal count
        c->count -= units;
    }
    if (*done) {
        dma->status |= BIT(n);
        dma->request &= ~BIT(n);
        if (c->mode & MODE_AUTO) {
            c->addr = c->base_addr;
            c->count = c->base_count;
        } else {
            dma->mask |= BIT(n);
        }
    }
    return len / unit * unit - left * unit;
}

// ---- Registers

static void channel_write(struct i8237 *dma, unsigned reg, u8 value)
{
    struct i8237_channel *c = &dma->ch[reg >> 1];
    u16 *base = reg & 1 ? &c->base_count : &c->base_addr;
    u16 *current = reg & 1 ? &c->count : &c->addr;

    if (dma->high_byte)
        *base = (*base & 0x00ff) | value << 8;
    else
        *base = (*base & 0xff00) | value;
    *current = *base;
    dma->high_byte = !dma->high_byte;
}

static u8 channel_read(struct i8237 *dma, unsigned reg)
{
    const struct i8237_channel *c = &dma->ch[reg >> 1];
    u16 value = reg & 1 ? c->count : c->addr;
    bool high = dma->high_byte;

    dma->high_byte = !high;
    return high ? value >> 8 : value;
}

static void set_bit(u8 *bits, u8 value)
{
    u8 bit = BIT(value & 3);

    *bits = value & 4 ? *bits | bit : *bits & ~bit;
}

static void i8237_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct i8237 *dma = dev;
    unsigned reg = dma->wide ? addr >> 1 : addr;

    (void)size;
    switch (reg) {
    case 0 ... 7:
        channel_write(dma, reg, value);
        break;
    case COMMAND:
        dma->command = value;
        break;
    case REQUEST:
        set_bit(&dma->request, value);
        break;
    case SINGLE_MASK:
        set_bit(&dma->mask, value);
        break;
    case MODE:
        dma->ch[value & 3].mode = value & 0xfc;
        break;
    case CLEAR_FLIP_FLOP:
        dma->high_byte = false;
        break;
    case MASTER_CLEAR:
        i8237_reset(dma);
        break;
    case CLEAR_MASK:
        dma->mask = 0;
        break;
    case ALL_MASK:
        dma->mask = value & 0x0f;
        break;
    }
}

static u64 i8237_read(void *dev, u32 addr, unsigned size)
{
    struct i8237 *dma = dev;
    unsigned reg = dma->wide ? addr >> 1 : addr;
    u8 value;

    (void)size;
    switch (reg) {
    case 0 ... 7:
        return channel_read(dma, reg);
    case COMMAND: // reads as status; the terminal-count bits go with it
        value = dma->status | dma->request << 4;
        dma->status = 0;
        return value;
    case MASTER_CLEAR:
        return dma->temporary;
    case ALL_MASK:
        return dma->mask | 0xf0;
    default:
        return 0xff;
    }
}

const struct bus_ops i8237_ops = { i8237_read, i8237_write, 1 };

static u64 page_read(void *dev, u32 addr, unsigned size)
{
    const struct i8237_pages *pages = dev;

    (void)size;
    return pages->reg[addr + 1];
}

static void page_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct i8237_pages *pages = dev;

    (void)size;
    pages->reg[addr + 1] = value;
}

const struct bus_ops i8237_page_ops = { page_read, page_write, 1 };

void i8237_print(const struct i8237 *dma, FILE *f)
{
    for (unsigned n = 0; n < 4; n++) {
        const struct i8237_channel *c = &dma->ch[n];

        fprintf(f, "dma %u: %s mode %02x address %06llx count %04x%s\n", n + 4 * dma->wide,
                dma->mask & BIT(n) ? "masked" : "open", c->mode,
                (unsigned long long)address(dma, n), c->count,
                dma->status & BIT(n) ? " done" : "");
    }
}
