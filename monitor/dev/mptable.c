// SPDX-License-Identifier: GPL-2.0-or-later
#include "mptable.h"

#include "ioapic.h"
#include "piix3.h"

#include <string.h>

#define POINTER_LEN 16
#define HEADER_LEN 44
#define BUS_PCI 0
#define BUS_ISA 1
#define IOAPIC_ID 0
#define ALL_APICS 0xff

enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_IO_INT, ENTRY_LOCAL_INT };
enum { INT_VECTORED, INT_NMI, INT_SMI, INT_EXTINT };
#define FLAGS_CONFORM 0x0
#define FLAGS_LEVEL_HIGH 0xd // level-triggered, active high

struct writer {
    u8 *out;
    size_t at;
    u16 entries;
};

static void put(struct writer *w, u32 value, unsigned bytes)
{
    CHECK(w->at + bytes <= MPTABLE_MAX);
    for (unsigned i = 0; i < bytes; i++)
        w->out[w->at++] = value >> (8 * i);
}

static void put_text(struct writer *w, const char *text, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        put(w, *text ? *text++ : ' ', 1);
}

static void bus(struct writer *w, u8 id, const char *type)
{
    put(w, ENTRY_BUS, 1);
    put(w, id, 1);
    put_text(w, type, 6);
    w->entries++;
}

static void interrupt(struct writer *w, u8 entry, u8 type, u16 flags, u8 bus_id, u8 source, u8 apic, u8 pin)
{
    put(w, entry, 1);
    put(w, type, 1);
    put(w, flags, 2);
    put(w, bus_id, 1);
    put(w, source, 1);
    put(w, apic, 1);
    put(w, pin, 1);
    w->entries++;
}

static void entries(struct writer *w, const struct mptable_config *config)
{
    put(w, ENTRY_CPU, 1);
    put(w, 0, 1);
    put(w, 0x14, 1);
    put(w, 0x03, 1); // enabled, the boot processor
    put(w, config->cpu_signature, 4);
    put(w, config->cpu_features, 4);
    put(w, 0, 4);
    put(w, 0, 4);
    w->entries++;
    bus(w, BUS_PCI, "PCI");
    bus(w, BUS_ISA, "ISA");
    put(w, ENTRY_IOAPIC, 1);
    put(w, IOAPIC_ID, 1);
    put(w, 0x11, 1);
    put(w, 0x01, 1); // usable
    put(w, IOAPIC_BASE, 4);
    w->entries++;
    // PCI devices by slot and pin; there is nothing behind the bridges.
    for (unsigned slot = 1; slot < 8; slot++)
        for (unsigned pin = 0; pin < 4; pin++)
            interrupt(w, ENTRY_IO_INT, INT_VECTORED, FLAGS_LEVEL_HIGH, BUS_PCI, slot << 2 | pin, IOAPIC_ID,
                      (u8)piix3_default_line(pci_pirq(slot, pin)));
    interrupt(w, ENTRY_IO_INT, INT_EXTINT, FLAGS_CONFORM, BUS_ISA, 0, IOAPIC_ID, 0);
    for (unsigned line = 0; line < 16; line++)
        if (line != 2 && !(config->pci_lines & BIT(line)))
            interrupt(w, ENTRY_IO_INT, INT_VECTORED, FLAGS_CONFORM, BUS_ISA, line, IOAPIC_ID,
                      line ? line : IOAPIC_TIMER_PIN);
    interrupt(w, ENTRY_LOCAL_INT, INT_EXTINT, FLAGS_CONFORM, BUS_ISA, 0, ALL_APICS, 0);
    interrupt(w, ENTRY_LOCAL_INT, INT_NMI, FLAGS_CONFORM, BUS_ISA, 0, ALL_APICS, 1);
}

static void checksum(u8 *table, size_t len, size_t where)
{
    u8 sum = 0;

    for (size_t i = 0; i < len; i++)
        sum += table[i];
    table[where] = -sum;
}

size_t mptable_build(const struct mptable_config *config, u32 base, u8 out[MPTABLE_MAX])
{
    struct writer w = { .out = out };
    u8 *table = out + POINTER_LEN;

    memset(out, 0, MPTABLE_MAX);
    put_text(&w, "_MP_", 4);
    put(&w, base + POINTER_LEN, 4);
    put(&w, 1, 1); // length in paragraphs
    put(&w, 4, 1); // 1.4
    checksum(out, POINTER_LEN, 10);
    w.at = POINTER_LEN + HEADER_LEN;
    entries(&w, config);

    size_t end = w.at;

    w.at = POINTER_LEN;
    put_text(&w, "PCMP", 4);
    put(&w, end - POINTER_LEN, 2);
    put(&w, 4, 1);
    put(&w, 0, 1);
    put_text(&w, "RING3", 8);
    put_text(&w, "PC", 12);
    put(&w, 0, 4);
    put(&w, 0, 2);
    put(&w, w.entries, 2);
    put(&w, APIC_BASE, 4);
    checksum(table, end - POINTER_LEN, 7);
    return end;
}
