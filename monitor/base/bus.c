// SPDX-License-Identifier: GPL-2.0-or-later
#include "bus.h"

#include <stdlib.h>
#include <string.h>

void bus_init(struct bus *bus)
{
    memset(bus, 0, sizeof(*bus));
}

void bus_destroy(struct bus *bus)
{
    for (int s = 0; s < BUS_SPACES; s++)
        free(bus->range[s]);
    memset(bus, 0, sizeof(*bus));
}

// The index of the first range that ends after addr.
static unsigned bus_slot(const struct bus *bus, enum bus_space space, u32 addr)
{
    const struct bus_range *range = bus->range[space];
    unsigned lo = 0, hi = bus->count[space];

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        if (range[mid].base + (range[mid].len - 1) < addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool bus_add(struct bus *bus, enum bus_space space, u32 base, u32 len,
             const struct bus_ops *ops, void *dev, const char *name, struct err *err)
{
    unsigned slot = bus_slot(bus, space, base), n = bus->count[space];
    struct bus_range *range = bus->range[space];

    if (len == 0 || base + (len - 1) < base)
        return err_set(err, EXIT_BUG, "%s: the range %#x+%#x is empty or wraps", name, base, len);
    if (slot < n && range[slot].base <= base + (len - 1))
        return err_set(err, EXIT_USAGE, "%s at %#x overlaps %s at %#x: move one of them", name,
                       base, range[slot].name, range[slot].base);
    range = realloc(range, (n + 1) * sizeof(*range));
    if (!range)
        return err_set(err, EXIT_HOST, "out of memory for the bus");
    memmove(range + slot + 1, range + slot, (n - slot) * sizeof(*range));
    range[slot] = (struct bus_range){ base, len, ops, dev, name };
    bus->range[space] = range;
    bus->count[space] = n + 1;
    return true;
}

void bus_remove(struct bus *bus, enum bus_space space, u32 base, void *dev)
{
    unsigned slot = bus_slot(bus, space, base);
    struct bus_range *range = bus->range[space];

    if (slot >= bus->count[space] || range[slot].base != base || range[slot].dev != dev)
        return;
    bus->count[space]--;
    memmove(range + slot, range + slot + 1, (bus->count[space] - slot) * sizeof(*range));
}

const struct bus_range *bus_find(const struct bus *bus, enum bus_space space, u32 addr)
{
    unsigned slot = bus_slot(bus, space, addr);

    if (slot >= bus->count[space] || bus->range[space][slot].base > addr)
        return NULL;
    return &bus->range[space][slot];
}

static unsigned max_size(const struct bus_range *r)
{
    return r->ops->max_size ? r->ops->max_size : 4;
}

u64 bus_read(struct bus *bus, enum bus_space space, u32 addr, unsigned size)
{
    const struct bus_range *r = bus_find(bus, space, addr);
    u64 value = 0;

    if (!r) {
        bus->unassigned++;
        if (size == 1 || !bus_find(bus, space, addr + size - 1))
            return ~0ull >> (64 - 8 * size);
    } else if (size <= max_size(r) && addr - r->base + size <= r->len) {
        return r->ops->read(r->dev, addr - r->base, size);
    }
    // A half is the widest piece that either side could still take.
    for (unsigned i = 0; i < size; i += size / 2)
        value |= bus_read(bus, space, addr + i, size / 2) << (8 * i);
    return value;
}

void bus_write(struct bus *bus, enum bus_space space, u32 addr, u64 value, unsigned size)
{
    const struct bus_range *r = bus_find(bus, space, addr);

    if (!r) {
        bus->unassigned++;
        if (size == 1 || !bus_find(bus, space, addr + size - 1))
            return;
    } else if (size <= max_size(r) && addr - r->base + size <= r->len) {
        r->ops->write(r->dev, addr - r->base, value, size);
        return;
    }
    for (unsigned i = 0; i < size; i += size / 2)
        bus_write(bus, space, addr + i, value >> (8 * i) & (~0ull >> (64 - 4 * size)), size / 2);
}
