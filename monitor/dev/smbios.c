// SPDX-License-Identifier: GPL-2.0-or-later
// System Management BIOS Reference Specification 2.4.
#include "smbios.h"

#include "monitor/base/log.h"

#include <string.h>

struct writer {
    u8 *out;
    size_t at;
    size_t structure;   // where the current one began
    size_t largest;
    unsigned count;
};

static void put(struct writer *w, u64 value, unsigned size)
{
    CHECK(w->at + size <= SMBIOS_MAX);
    for (unsigned i = 0; i < size; i++)
        w->out[w->at++] = value >> (8 * i);
}

static void open_structure(struct writer *w, u8 type, u16 handle)
{
    w->structure = w->at;
    put(w, type, 1);
    put(w, 0, 1); // its length
    put(w, handle, 2);
}

// Ends the formatted part; strings follow, each with its zero, and one more zero.
static void close_structure(struct writer *w, const char *const *strings)
{
    w->out[w->structure + 1] = w->at - w->structure;
    for (; strings && *strings; strings++) {
        for (const char *c = *strings; *c; c++)
            put(w, *c, 1);
        put(w, 0, 1);
    }
    if (w->at - w->structure == w->out[w->structure + 1])
        put(w, 0, 1);
    put(w, 0, 1);
    w->largest = MAX(w->largest, w->at - w->structure);
    w->count++;
}

static void firmware(struct writer *w)
{
    static const char *const strings[] = { "SeaBIOS", "1.0", "04/01/2014", NULL };

    open_structure(w, 0, 0x0000);
    put(w, 0x0201, 2);           // vendor, version
    put(w, 0xe800, 2);           // runtime segment
    put(w, 3, 1);                // date
    put(w, 0, 1);                // ROM size: 64 KiB
    put(w, BIT(3), 8);           // no characteristics told
    put(w, 0x0400, 2);           // a virtual machine
    put(w, 0xffff0001, 4);       // release 1.0, no embedded controller
    close_structure(w, strings);
}

static void machine(struct writer *w)
{
    static const char *const strings[] = { "ring3", "i440FX PC", "1", NULL };

    open_structure(w, 1, 0x0100);
    put(w, 0x00030201, 4);       // maker, product, version; no serial number
    put(w, 0, 8);                // UUID: not set
    put(w, 0, 8);
    put(w, 0x06, 1);             // woken by the power switch
    put(w, 0, 2);
    close_structure(w, strings);

    open_structure(w, 3, 0x0300);
    put(w, 1, 1);
    put(w, 0x01, 1);             // chassis: other
    put(w, 0x000003, 3);         // version; no serial number, no asset tag
    put(w, 0x02030303, 4);       // boot-up, power, thermal state safe; security unknown
    put(w, 0, 4);
    put(w, 0, 4);                // height, cords, elements
    close_structure(w, strings);
}

static void processor(struct writer *w)
{
    static const char *const strings[] = { "CPU 1", "ring3", NULL };

    open_structure(w, 4, 0x0400);
    put(w, 0x0301, 2);           // socket; other type
    put(w, 0x01, 1);             // family: other
    put(w, 2, 1);
    put(w, 0, 8);                // identifier: see CPUID
    put(w, 0, 1);
    put(w, 0, 1);                // voltage
    put(w, 0, 2);                // clocks unknown
    put(w, 0, 2);
    put(w, 0, 2);
    put(w, 0x41, 1);             // populated and enabled
    put(w, 0x01, 1);
    put(w, 0xffff, 2);           // caches not told
    put(w, 0xffff, 2);
    put(w, 0xffff, 2);
    put(w, 0, 3);                // serial number, tag, part
    close_structure(w, strings);
}

static void memory(struct writer *w, u64 ram_size)
{
    static const char *const strings[] = { "DIMM 0", NULL };
    u64 kib = ram_size >> 10, mib = ram_size >> 20;

    open_structure(w, 16, 0x1000);
    put(w, 0x03, 1);             // on the board
    put(w, 0x03, 1);             // system memory
    put(w, 0x03, 1);             // no error correction
    put(w, kib, 4);
    put(w, 0xfffe, 2);           // no error information
    put(w, 1, 2);
    close_structure(w, NULL);

    open_structure(w, 17, 0x1100);
    put(w, 0x1000, 2);
    put(w, 0xfffe, 2);
    put(w, 64, 2);
    put(w, 64, 2);
    put(w, mib >= 0x7fff ? kib | 0x8000 : mib, 2);
    put(w, 0x09, 1);             // DIMM
    put(w, 0, 1);
    put(w, 1, 1);                // locator
    put(w, 0, 1);
    put(w, 0x02, 1);             // type unknown
    put(w, 0, 2);
    put(w, 0, 2);                // speed
    put(w, 0, 4);                // maker, serial number, tag, part
    close_structure(w, strings);

    open_structure(w, 19, 0x1300);
    put(w, 0, 4);
    put(w, kib - 1, 4);
    put(w, 0x1000, 2);
    put(w, 1, 1);
    close_structure(w, NULL);
}

static u8 negative_sum(const u8 *bytes, size_t len)
{
    u8 sum = 0;

    for (size_t i = 0; i < len; i++)
        sum -= bytes[i];
    return sum;
}

size_t smbios_build(u64 ram_size, u8 anchor[SMBIOS_ANCHOR_LEN], u8 tables[SMBIOS_MAX])
{
    struct writer w = { .out = tables };
    struct writer a = { .out = anchor };

    firmware(&w);
    machine(&w);
    processor(&w);
    memory(&w, ram_size);
    open_structure(&w, 32, 0x2000);
    put(&w, 0, 6);
    put(&w, 0, 1);               // no boot errors
    close_structure(&w, NULL);
    open_structure(&w, 127, 0x7f00);
    close_structure(&w, NULL);

    memset(anchor, 0, SMBIOS_ANCHOR_LEN);
    memcpy(anchor, "_SM_", 4);
    a.at = 5;
    put(&a, SMBIOS_ANCHOR_LEN, 1);
    put(&a, 0x0402, 2);          // version 2.4
    put(&a, w.largest, 2);
    memcpy(anchor + 16, "_DMI_", 5);
    a.at = 22;
    put(&a, w.at, 2);
    put(&a, 0, 4);               // address
    put(&a, w.count, 2);
    put(&a, 0x24, 1);
    anchor[21] = negative_sum(anchor + 16, 15);
    anchor[4] = negative_sum(anchor, SMBIOS_ANCHOR_LEN);
    return w.at;
}
