// SPDX-License-Identifier: GPL-2.0-or-later
// ACPI 2.0, chapter 5. PCI interrupts arrive at ISA lines, and so at the same numbers with and without
// the I/O APIC.
#include "acpi.h"

#include "aml.h"
#include "ioapic.h"
#include "piix3.h"
#include "piix4pm.h"

#include <string.h>

#define RSDP_LEN 20
#define HEADER_LEN 36
#define RSDT_LEN(config) (HEADER_LEN + ((config)->apic ? 8 : 4))
#define FADT_LEN 244
#define FACS_LEN 64
// The tables' places: the two of variable use last.
#define RSDT_AT 32
#define FACS_AT 128
#define FADT_AT 192
#define MADT_AT 448
#define DSDT_AT 576

#define PCI_HOLE_END 0xfebfffffu // I/O and local APICs lie above

struct table {
    u8 *out;
    size_t size; // bytes of out that may be written
};

static void put(struct table *t, size_t at, u32 value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        if (at + i < t->size)
            t->out[at + i] = value >> (8 * i);
}

static void put_text(struct table *t, size_t at, const char *text)
{
    for (; *text; text++)
        put(t, at++, *text, 1);
}

// Makes the bytes of [at, at+len) add up to zero.
static void checksum(struct table *t, size_t at, size_t len, size_t where)
{
    u8 sum = 0;

    if (at + len > t->size)
        return;
    t->out[where] = 0;
    for (size_t i = 0; i < len; i++)
        sum += t->out[at + i];
    t->out[where] = -sum;
}

static void header(struct table *t, size_t at, const char *signature, u32 len, u8 revision)
{
    put_text(t, at, signature);
    put(t, at + 4, len, 4);
    put(t, at + 8, revision, 1);
    put_text(t, at + 10, "RING3 ");
    put_text(t, at + 16, "RING3PC ");
    put(t, at + 24, 1, 4);
    put_text(t, at + 28, "RNG3");
    put(t, at + 32, 1, 4);
}

// Generic address structure of a port.
static void put_port(struct table *t, size_t at, u16 port, u8 bits)
{
    put(t, at, 1, 1); // system I/O
    put(t, at + 1, bits, 1);
    put(t, at + 2, 0, 1);
    put(t, at + 3, bits == 8 ? 1 : bits == 16 ? 2 : 3, 1);
    put(t, at + 4, port, 4);
}

static void fadt(struct table *t, size_t at, u32 base)
{
    const u16 pm = PIIX4PM_BASE;

    header(t, at, "FACP", FADT_LEN, 3);
    put(t, at + 36, base + FACS_AT, 4);
    put(t, at + 40, base + DSDT_AT, 4);
    put(t, at + 45, 1, 1);                // profile: desktop
    put(t, at + 46, PIIX4PM_SCI, 2);
    put(t, at + 48, PIIX4PM_APM, 4);
    put(t, at + 52, PIIX4PM_ACPI_ON, 1);
    put(t, at + 53, PIIX4PM_ACPI_OFF, 1);
    put(t, at + 56, pm, 4);               // PM1a events
    put(t, at + 64, pm + 4, 4);           // PM1a control
    put(t, at + 76, pm + 8, 4);           // PM timer
    put(t, at + 80, pm + 12, 4);          // GPE0
    put(t, at + 88, 4, 1);                // lengths of the same
    put(t, at + 89, 2, 1);
    put(t, at + 91, 4, 1);
    put(t, at + 92, 4, 1);
    put(t, at + 96, 0x0fff, 2);           // no C2
    put(t, at + 98, 0x0fff, 2);           // no C3
    put(t, at + 108, 0x32, 1);            // the RTC's century
    put(t, at + 109, 0x03, 2);            // ISA devices; an 8042
    // WBINVD works, C1 works, no sleep button (the power button is a fixed one), reset register.
    put(t, at + 112, BIT(0) | BIT(2) | BIT(5) | BIT(10), 4);
    put_port(t, at + 116, 0xcf9, 8);
    put(t, at + 128, 0x06, 1);
    put(t, at + 132, base + FACS_AT, 4);
    put(t, at + 140, base + DSDT_AT, 4);
    put_port(t, at + 148, pm, 32);
    put_port(t, at + 172, pm + 4, 16);
    put_port(t, at + 208, pm + 8, 32);
    put_port(t, at + 220, pm + 12, 32);
    checksum(t, at, FADT_LEN, at + 9);
}

// ---- MADT: 5.2.8

enum { MADT_LAPIC, MADT_IOAPIC, MADT_OVERRIDE, MADT_LAPIC_NMI = 4 };

// Line `line` is input `pin` of the I/O APIC.
static size_t override(struct table *t, size_t at, u8 line, u8 pin, u16 flags)
{
    put(t, at, MADT_OVERRIDE, 1);
    put(t, at + 1, 10, 1);
    put(t, at + 3, line, 1);
    put(t, at + 4, pin, 4);
    put(t, at + 8, flags, 2);
    return at + 10;
}

static void madt(struct table *t)
{
    const u16 level_high = 0xd;
    u16 level = BIT(PIIX4PM_SCI);
    size_t at = MADT_AT + HEADER_LEN;

    put(t, at, APIC_BASE, 4);
    put(t, at + 4, 1, 4); // there are 8259s too
    at += 8;
    put(t, at, MADT_LAPIC, 1);
    put(t, at + 1, 8, 1);
    put(t, at + 4, 1, 4); // enabled
    at += 8;
    put(t, at, MADT_IOAPIC, 1);
    put(t, at + 1, 12, 1);
    put(t, at + 4, IOAPIC_BASE, 4);
    at += 12;
    at = override(t, at, 0, IOAPIC_TIMER_PIN, 0);
    for (unsigned pirq = 0; pirq < PCI_PIRQS; pirq++)
        level |= BIT(piix3_default_line(pirq));
    for (unsigned line = 1; line < 16; line++)
        if (level & BIT(line))
            at = override(t, at, line, line, level_high);
    put(t, at, MADT_LAPIC_NMI, 1);
    put(t, at + 1, 6, 1);
    put(t, at + 2, 0xff, 1); // all processors
    put(t, at + 5, 1, 1);    // LINT1
    at += 6;
    CHECK(at <= DSDT_AT);
    header(t, MADT_AT, "APIC", at - MADT_AT, 1);
    checksum(t, MADT_AT, at - MADT_AT, MADT_AT + 9);
}

// ---- DSDT

static void isa_device(struct aml *a, const char *name, const char *id)
{
    aml_device(a, name);
    aml_name(a, "_HID");
    aml_eisa_id(a, id);
}

static void current_resources(struct aml *a)
{
    aml_name(a, "_CRS");
    aml_resources(a);
}

static void isa_devices(struct aml *a, const struct acpi_config *config)
{
    isa_device(a, "RTC", "PNP0B00");
    current_resources(a);
    aml_io(a, 0x70, 2);
    aml_irq(a, 8);
    aml_close(a);
    aml_close(a);

    isa_device(a, "KBD", "PNP0303");
    current_resources(a);
    aml_io(a, 0x60, 1);
    aml_io(a, 0x64, 1);
    aml_irq(a, 1);
    aml_close(a);
    aml_close(a);

    if (config->mouse) {
        isa_device(a, "MOU", "PNP0F13");
        current_resources(a);
        aml_irq(a, 12);
        aml_close(a);
        aml_close(a);
    }
    if (config->floppy) { // by this udev loads Linux's driver
        isa_device(a, "FDC0", "PNP0700");
        current_resources(a);
        aml_io(a, 0x3f2, 4);
        aml_io(a, 0x3f7, 1);
        aml_irq(a, 6);
        aml_dma(a, 2);
        aml_close(a);
        aml_close(a);
    }
    if (config->printer) {
        isa_device(a, "LPT1", "PNP0400");
        current_resources(a);
        aml_io(a, 0x378, 3);
        aml_irq(a, 7);
        aml_close(a);
        aml_close(a);
    }
    for (unsigned n = 0; n < config->serial_ports; n++) {
        char name[5] = { 'C', 'O', 'M', '1' + n, 0 };

        isa_device(a, name, "PNP0501");
        aml_name(a, "_UID");
        aml_integer(a, n + 1);
        current_resources(a);
        aml_io(a, config->serial_base[n], 8);
        aml_irq(a, config->serial_irq[n]);
        aml_close(a);
        aml_close(a);
    }
    // Ports of the board that no driver may take for its own.
    isa_device(a, "MBRD", "PNP0C02");
    current_resources(a);
    aml_io(a, PIIX4PM_BASE, PIIX4PM_LEN);
    aml_io(a, PIIX4PM_APM, 2);
    aml_io(a, 0x4d0, 2);
    aml_close(a);
    aml_close(a);
}

// The interrupt line of every pin of every slot.
static void pci_routing(struct aml *a)
{
    aml_name(a, "_PRT");
    aml_package(a, 31 * 4);
    for (unsigned slot = 1; slot < 32; slot++)
        for (unsigned pin = 0; pin < 4; pin++) {
            aml_package(a, 4);
            aml_integer(a, slot << 16 | 0xffff);
            aml_integer(a, pin);
            aml_integer(a, 0); // wired, not through a link device
            aml_integer(a, piix3_default_line(pci_pirq(slot, pin)));
            aml_close(a);
        }
    aml_close(a);
}

static void pci_root(struct aml *a, const struct acpi_config *config)
{
    u64 hole = MAX(config->ram_size, 1ull << 24);

    aml_device(a, "PCI0");
    aml_name(a, "_HID");
    aml_eisa_id(a, "PNP0A03");
    aml_name(a, "_ADR");
    aml_integer(a, 0);
    aml_name(a, "_UID");
    aml_integer(a, 0);
    current_resources(a);
    aml_bus_range(a, 0, 255);
    aml_io(a, 0xcf8, 8);
    aml_port_window(a, 0x0000, 0x0cf7);
    aml_port_window(a, 0x0d00, 0xffff);
    aml_memory_window(a, 0xa0000, 0xbffff, true);
    if (hole <= PCI_HOLE_END)
        aml_memory_window(a, hole, PCI_HOLE_END, false);
    aml_close(a);
    pci_routing(a);
    aml_device(a, "ISA");
    aml_name(a, "_ADR");
    aml_integer(a, PIIX3_SLOT << 16);
    isa_devices(a, config);
    aml_close(a);
    aml_close(a);
}

static size_t dsdt(struct table *t, size_t at, const struct acpi_config *config)
{
    struct aml a;
    size_t len;

    aml_init(&a, at < t->size ? t->out + at : NULL, at < t->size ? t->size - at : 0);
    for (unsigned i = 0; i < HEADER_LEN; i++)
        aml_byte(&a, 0);
    aml_scope(&a, "\\_SB");
    pci_root(&a, config);
    aml_close(&a);
    aml_name(&a, "\\_S5");
    aml_package(&a, 4); // SLP_TYP for PM1a, PM1b; reserved
    for (unsigned i = 0; i < 4; i++)
        aml_integer(&a, 0);
    aml_close(&a);
    CHECK(a.depth == 0);
    len = a.at;
    header(t, at, "DSDT", len, 1); // integers are 32 bits wide
    checksum(t, at, len, at + 9);
    return len;
}

size_t acpi_build(const struct acpi_config *config, u32 base, u8 *out, size_t len)
{
    struct table t = { out, len };

    if (len)
        memset(out, 0, MIN(len, DSDT_AT));
    put_text(&t, 0, "RSD PTR ");
    put_text(&t, 9, "RING3 ");
    put(&t, 16, base + RSDT_AT, 4);
    checksum(&t, 0, RSDP_LEN, 8);
    header(&t, RSDT_AT, "RSDT", RSDT_LEN(config), 1);
    put(&t, RSDT_AT + HEADER_LEN, base + FADT_AT, 4);
    if (config->apic) {
        put(&t, RSDT_AT + HEADER_LEN + 4, base + MADT_AT, 4);
        madt(&t);
    }
    checksum(&t, RSDT_AT, RSDT_LEN(config), RSDT_AT + 9);
    put_text(&t, FACS_AT, "FACS");
    put(&t, FACS_AT + 4, FACS_LEN, 4);
    put(&t, FACS_AT + 32, 1, 1); // version
    fadt(&t, FADT_AT, base);
    return DSDT_AT + dsdt(&t, DSDT_AT, config);
}
