// SPDX-License-Identifier: GPL-2.0-or-later
// Registers as in the 82093AA data sheet (290566).
#include "ioapic.h"

#define VERSION (0x11 | (IOAPIC_PINS - 1) << 16)

enum { REG_ID = 0, REG_VERSION = 1, REG_ARBITRATION = 2, REG_TABLE = 0x10 };

#define ENTRY_LOGICAL BIT(11)
#define ENTRY_REMOTE_IRR BIT(14)
#define ENTRY_LEVEL BIT(15)
#define ENTRY_MASKED BIT(16)
#define ENTRY_WRITABLE 0x1afffu // of the low half: all but status, remote IRR and what is reserved

static enum apic_mode mode_of(u64 entry)
{
    return entry >> 8 & 7;
}

static void send(struct ioapic *io, int pin)
{
    u64 entry = io->entry[pin];
    bool level = entry & ENTRY_LEVEL;

    io->sent[pin]++;
    apic_message(io->apic, entry >> 56, entry & ENTRY_LOGICAL, mode_of(entry), entry, level);
}

// Sends what a level-triggered input asks for.
static void serve(struct ioapic *io, int pin)
{
    u64 entry = io->entry[pin];

    if (!(io->lines & BIT(pin)) || !(entry & ENTRY_LEVEL) || entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR))
        return;
    // Only fixed interrupts have an end to wait for.
    if (mode_of(entry) == APIC_FIXED || mode_of(entry) == APIC_LOWEST)
        io->entry[pin] |= ENTRY_REMOTE_IRR;
    send(io, pin);
}

void ioapic_set(void *opaque, int pin, bool level)
{
    struct ioapic *io = opaque;
    bool rise = level && !(io->lines & BIT(pin));

    io->lines = level ? io->lines | BIT(pin) : io->lines & ~BIT(pin);
    if (io->entry[pin] & ENTRY_LEVEL)
        serve(io, pin);
    else if (rise && !ioapic_masked(io, pin)) // an edge that meets a mask is lost
        send(io, pin);
}

void ioapic_eoi(struct ioapic *io, u8 vector)
{
    for (int pin = 0; pin < IOAPIC_PINS; pin++)
        if (io->entry[pin] & ENTRY_REMOTE_IRR && ioapic_vector(io, pin) == vector) {
            io->entry[pin] &= ~(u64)ENTRY_REMOTE_IRR;
            serve(io, pin);
        }
}

static void write_entry(struct ioapic *io, int pin, bool high, u32 value)
{
    u64 *entry = &io->entry[pin];

    if (high) {
        *entry = (*entry & 0xffffffff) | (u64)(value & 0xff000000) << 32;
        return;
    }
    *entry = (*entry & ~(u64)ENTRY_WRITABLE) | (value & ENTRY_WRITABLE);
    // Remote IRR belongs to level mode; switching it off is how systems get rid of a stuck one.
    if (!(value & ENTRY_LEVEL))
        *entry &= ~(u64)ENTRY_REMOTE_IRR;
    serve(io, pin);
}

static u32 read_register(const struct ioapic *io)
{
    unsigned n = io->select - REG_TABLE;

    if (io->select == REG_ID || io->select == REG_ARBITRATION)
        return io->id << 24;
    if (io->select == REG_VERSION)
        return VERSION;
    if (io->select >= REG_TABLE && n < 2 * IOAPIC_PINS)
        return io->entry[n / 2] >> (n % 2 ? 32 : 0);
    return 0;
}

static void write_register(struct ioapic *io, u32 value)
{
    unsigned n = io->select - REG_TABLE;

    if (io->select == REG_ID)
        io->id = value >> 24 & 0x0f;
    else if (io->select >= REG_TABLE && n < 2 * IOAPIC_PINS)
        write_entry(io, n / 2, n % 2, value);
}

// IOREGSEL is a byte at 0, IOWIN 32 bits at 10h.
static u64 ioapic_read(void *dev, u32 addr, unsigned size)
{
    const struct ioapic *io = dev;
    u32 value = addr < 4 ? io->select : addr >= 0x10 && addr < 0x14 ? read_register(io) : 0;

    return (addr & 3) + size > 4 ? 0 : value >> (8 * (addr & 3)) & (~0ull >> (64 - 8 * size));
}

static void ioapic_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct ioapic *io = dev;

    if (addr == 0)
        io->select = value;
    else if (addr == 0x10 && size == 4)
        write_register(io, value);
}

const struct bus_ops ioapic_ops = { ioapic_read, ioapic_write, 4 };

void ioapic_init(struct ioapic *io, struct apic *apic)
{
    *io = (struct ioapic){ .apic = apic };
    ioapic_reset(io);
}

void ioapic_reset(struct ioapic *io)
{
    io->select = io->id = 0;
    for (int pin = 0; pin < IOAPIC_PINS; pin++)
        io->entry[pin] = ENTRY_MASKED;
}

void ioapic_print(const struct ioapic *io, FILE *f)
{
    for (int pin = 0; pin < IOAPIC_PINS; pin++) {
        u64 entry = io->entry[pin];

        if (entry == ENTRY_MASKED && !(io->lines & BIT(pin)))
            continue;
        fprintf(f, "input %2d: %s %s vector %02x mode %u to %s %02x%s%s  %llu sent\n", pin,
                io->lines & BIT(pin) ? "high" : "low ", entry & ENTRY_LEVEL ? "level" : "edge ",
                ioapic_vector(io, pin), mode_of(entry), entry & ENTRY_LOGICAL ? "logical" : "physical",
                (unsigned)(entry >> 56), entry & ENTRY_MASKED ? " masked" : "",
                entry & ENTRY_REMOTE_IRR ? " remote irr" : "", (unsigned long long)io->sent[pin]);
    }
}
