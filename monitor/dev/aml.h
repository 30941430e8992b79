// SPDX-License-Identifier: GPL-2.0-or-later
// A small writer of ACPI machine language (ACPI 2.0, chapter 17): as much as describing a fixed
// board takes. Packages are opened and closed; their lengths are filled in on closing.
#ifndef RING3_MONITOR_DEV_AML_H
#define RING3_MONITOR_DEV_AML_H

#include "monitor/base/types.h"

#define AML_DEPTH 8

struct aml {
    u8 *out;
    size_t size, at;            // at goes on beyond size, so that the length needed can be told
    size_t open[AML_DEPTH];     // where the length of each open package belongs
    unsigned depth;
};

static inline void aml_init(struct aml *a, u8 *out, size_t size)
{
    *a = (struct aml){ .out = out, .size = size };
}

void aml_byte(struct aml *a, u8 byte);
void aml_bytes(struct aml *a, const void *bytes, size_t n);

// Names have one segment of up to four characters, or a leading backslash and one.
void aml_scope(struct aml *a, const char *name);
void aml_device(struct aml *a, const char *name);
// Name (name, ...): the object follows.
void aml_name(struct aml *a, const char *name);
void aml_package(struct aml *a, u8 elements);
// A ResourceTemplate: aml_io to aml_bus_range follow.
void aml_resources(struct aml *a);
// Closes the innermost scope, device, package or resource template.
void aml_close(struct aml *a);

void aml_integer(struct aml *a, u32 value);
// The integer that a plug-and-play identifier ("PNP0A03") is encoded as.
void aml_eisa_id(struct aml *a, const char *id);

// Resource descriptors.
void aml_io(struct aml *a, u16 base, u8 len);
void aml_irq(struct aml *a, unsigned irq);
void aml_dma(struct aml *a, unsigned channel);
// Address spaces a bridge passes on: ports, memory, bus numbers; limits are inclusive.
void aml_port_window(struct aml *a, u16 first, u16 last);
void aml_memory_window(struct aml *a, u32 first, u32 last, bool cacheable);
void aml_bus_range(struct aml *a, u8 first, u8 last);

#endif
