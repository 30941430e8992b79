// SPDX-License-Identifier: GPL-2.0-or-later
// The two address spaces that devices answer in: I/O ports and memory-mapped I/O. Both use the
// same callback shape and the same table; ranges never overlap.
#ifndef RING3_BASE_BUS_H
#define RING3_BASE_BUS_H

#include "err.h"
#include "types.h"

// A device's window. addr is relative to the start of the range; size is 1, 2 or 4 (and 8 for
// MMIO only). A device that handles only bytes sets max_size to 1, and the bus splits wider
// accesses, lowest address first.
struct bus_ops {
    u64 (*read)(void *dev, u32 addr, unsigned size);
    void (*write)(void *dev, u32 addr, u64 value, unsigned size);
    unsigned max_size; // 1, 2, 4 or 8; 0 means 4
};

enum bus_space { BUS_PORT, BUS_MMIO, BUS_SPACES };

struct bus_range {
    u32 base, len;
    const struct bus_ops *ops;
    void *dev;
    const char *name; // not owned; for `info mtree` and messages
};

struct bus {
    struct bus_range *range[BUS_SPACES]; // sorted by base
    unsigned count[BUS_SPACES];
    u64 unassigned; // accesses that nothing answered
};

void bus_init(struct bus *bus);
void bus_destroy(struct bus *bus);

// Adds a range. Fails, leaving the bus as it was, if it overlaps another.
bool bus_add(struct bus *bus, enum bus_space space, u32 base, u32 len,
             const struct bus_ops *ops, void *dev, const char *name, struct err *err);
// Removes the range that starts at base and belongs to dev, if there is one (PCI BARs move).
void bus_remove(struct bus *bus, enum bus_space space, u32 base, void *dev);

// The range that holds addr, or NULL.
const struct bus_range *bus_find(const struct bus *bus, enum bus_space space, u32 addr);

// Accesses what answers at addr. Nothing there reads as all ones and ignores writes. An access
// that runs over the end of a range is split into bytes.
u64 bus_read(struct bus *bus, enum bus_space space, u32 addr, unsigned size);
void bus_write(struct bus *bus, enum bus_space space, u32 addr, u64 value, unsigned size);

#endif
