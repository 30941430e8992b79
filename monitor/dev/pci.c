// SPDX-License-Identifier: GPL-2.0-or-later
// PCI Local Bus Specification 2.1, chapter 6 and section 3.7.4.1.
#include "pci.h"

#include <string.h>

#define ADDRESS_ENABLE BIT(31)
#define RESET_HARD BIT(1) // the whole board, not the CPU alone
#define RESET_CPU BIT(2)

// ---- Functions

void pci_func_init(struct pci_func *f, const char *name, u8 devfn, u16 vendor, u16 device,
                   u32 class, u8 revision)
{
    memset(f, 0, sizeof(*f));
    f->name = name;
    f->devfn = devfn;
    pci_put16(f->power_on, PCI_VENDOR, vendor);
    pci_put16(f->power_on, PCI_DEVICE, device);
    pci_put32(f->power_on, PCI_REVISION, class << 8 | revision);
    // The board's identity, by which firmware for virtual 440FX boards knows it.
    pci_put16(f->power_on, PCI_SUBSYSTEM_VENDOR, 0x1af4);
    pci_put16(f->power_on, PCI_SUBSYSTEM, 0x1100);
    pci_func_writable(f, PCI_LINE, 1, 0xff);
}

void pci_func_writable(struct pci_func *f, unsigned at, unsigned len, u8 mask)
{
    memset(f->writable + at, mask, len);
}

void pci_func_bar(struct pci_func *f, unsigned n, enum bus_space space, u32 size,
                  const struct bus_ops *ops, void *dev)
{
    CHECK(n < PCI_BARS && size >= (space == BUS_PORT ? 4 : 16) && !(size & (size - 1)));
    f->bar[n] = (struct pci_bar){ .space = space, .size = size, .ops = ops, .dev = dev };
    f->power_on[PCI_BAR0 + 4 * n] = space == BUS_PORT;
    pci_put32(f->writable, PCI_BAR0 + 4 * n, ~(size - 1));
    f->writable[PCI_COMMAND] |= space == BUS_PORT ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
}

void pci_func_pin(struct pci_func *f, u8 pin)
{
    f->power_on[PCI_PIN] = pin;
    f->writable[PCI_COMMAND + 1] |= PCI_COMMAND_INTX_OFF >> 8;
}

static void unmap(struct pci_func *f, struct pci_bar *bar)
{
    if (bar->mapped)
        bus_remove(f->pci->bus, bar->space, bar->base, bar->dev);
    bar->mapped = false;
}

void pci_remove(struct pci_func *f)
{
    for (unsigned n = 0; n < PCI_BARS; n++)
        unmap(f, &f->bar[n]);
}

// Where the guest wants BAR n, or 0: not decoded, or no address a range can have (sizing leaves
// such).
static u32 wanted_base(const struct pci_func *f, unsigned n)
{
    const struct pci_bar *bar = &f->bar[n];
    u8 enable = bar->space == BUS_PORT ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
    u32 base = pci_get32(f, PCI_BAR0 + 4 * n) & ~(bar->size - 1);
    u64 limit = bar->space == BUS_PORT ? 0x10000 : 0x100000000ull;

    if (!bar->size || !(f->config[PCI_COMMAND] & enable) || (u64)base + bar->size > limit)
        return 0;
    return base;
}

static void map_bars(struct pci_func *f)
{
    struct err err;

    for (unsigned n = 0; n < PCI_BARS; n++) {
        struct pci_bar *bar = &f->bar[n];
        u32 base = wanted_base(f, n);

        if (bar->mapped && bar->base == base)
            continue;
        unmap(f, bar);
        if (!base)
            continue;
        bar->base = base;
        bar->mapped = bus_add(f->pci->bus, bar->space, base, bar->size, bar->ops, bar->dev, f->name,
                              &err);
        if (!bar->mapped)
            log_to(f->pci->log, LOG_GUEST, "pci: %s\n", err.text);
    }
}

void pci_add(struct pci *pci, struct pci_func *f)
{
    CHECK(!pci->func[f->devfn]);
    pci->func[f->devfn] = f;
    f->pci = pci;
    memcpy(f->config, f->power_on, sizeof(f->config));
}

// ---- Interrupts

unsigned pci_pirq(unsigned slot, unsigned pin)
{
    return (slot - 1 + pin) % PCI_PIRQS;
}

// Several functions of a slot share its wires.
static void update_wire(struct pci *pci, unsigned slot, unsigned pin)
{
    unsigned wire = pci_pirq(slot, pin - 1);
    bool level = false;

    for (unsigned fn = 0; fn < 8; fn++) {
        const struct pci_func *f = pci->func[slot << 3 | fn];

        if (f && f->intx && f->config[PCI_PIN] == pin
            && !(pci_get16(f, PCI_COMMAND) & PCI_COMMAND_INTX_OFF))
            level = true;
    }
    // Two pins of one slot never meet on one wire, so a bit per slot will do.
    pci->driving[wire] = (pci->driving[wire] & ~BIT(slot)) | (level ? BIT(slot) : 0);
    irq_set(&pci->pirq[wire], pci->driving[wire] != 0);
}

void pci_intx(struct pci_func *f, bool level)
{
    if (!f->config[PCI_PIN])
        return;
    f->intx = level;
    f->config[PCI_STATUS] = (f->config[PCI_STATUS] & ~PCI_STATUS_INTX)
                            | (level ? PCI_STATUS_INTX : 0);
    update_wire(f->pci, f->devfn >> 3, f->config[PCI_PIN]);
}

// ---- Configuration accesses

static void config_write(struct pci_func *f, unsigned at, u32 value, unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        u8 *byte = &f->config[at + i], w = f->writable[at + i], v = value >> (8 * i);

        *byte = (*byte & ~w) | (v & w);
        *byte &= ~(v & f->clearable[at + i]);
    }
    if (at < PCI_BAR0 + 4 * PCI_BARS)
        map_bars(f);
    if (at <= PCI_COMMAND + 1 && f->config[PCI_PIN])
        update_wire(f->pci, f->devfn >> 3, f->config[PCI_PIN]);
    if (f->written)
        f->written(f->opaque, at, len);
}

// The function the address register selects, or NULL.
static struct pci_func *selected(const struct pci *pci)
{
    if (!(pci->address & ADDRESS_ENABLE) || (pci->address >> 16 & 0xff) != 0)
        return NULL;
    return pci->func[pci->address >> 8 & 0xff];
}

static u64 data_read(void *dev, u32 addr, unsigned size)
{
    struct pci *pci = dev;
    const struct pci_func *f = selected(pci);
    u32 value = 0;

    if (!f)
        return ~0ull >> (64 - 8 * size);
    for (unsigned i = 0; i < size; i++)
        value |= (u32)f->config[(pci->address & 0xfc) + addr + i] << (8 * i);
    return value;
}

static void data_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct pci *pci = dev;
    struct pci_func *f = selected(pci);

    if (!f)
        return;
    log_to(pci->log, LOG_DEV, "pci: %s[%02x] <- %0*x\n", f->name, (pci->address & 0xfc) + addr,
           2 * size, (u32)value);
    config_write(f, (pci->address & 0xfc) + addr, value, size);
}

const struct bus_ops pci_data_ops = { data_read, data_write, 4 };

// Only a double word reaches the address register. CF9h is the PIIX3's reset control register.
static u64 address_read(void *dev, u32 addr, unsigned size)
{
    const struct pci *pci = dev;

    if (size == 4)
        return pci->address;
    return addr == 1 && size == 1 ? pci->reset_control : ~0ull >> (64 - 8 * size);
}

static void address_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct pci *pci = dev;
    u8 before = pci->reset_control;

    if (size == 4) {
        pci->address = value & 0x80fffffc;
    } else if (addr == 1) {
        pci->reset_control = value & 0x06;
        if (~before & value & RESET_CPU)
            (value & RESET_HARD ? pci->reset : pci->init)(pci->opaque);
    }
}

const struct bus_ops pci_address_ops = { address_read, address_write, 4 };

// ---- The bus

void pci_init(struct pci *pci, struct bus *bus, struct log *log)
{
    *pci = (struct pci){ .bus = bus, .log = log };
}

void pci_reset(struct pci *pci)
{
    pci->address = 0;
    pci->reset_control = 0;
    for (unsigned n = 0; n < PCI_FUNCS; n++) {
        struct pci_func *f = pci->func[n];

        if (!f)
            continue;
        pci_intx(f, false);
        memcpy(f->config, f->power_on, sizeof(f->config));
        map_bars(f);
        if (f->written)
            f->written(f->opaque, 0, sizeof(f->config));
    }
}

void pci_print(const struct pci *pci, FILE *f)
{
    for (unsigned n = 0; n < PCI_FUNCS; n++) {
        const struct pci_func *fn = pci->func[n];

        if (!fn)
            continue;
        fprintf(f, "00:%02x.%u %04x:%04x class %06x rev %02x command %04x status %04x %s\n", n >> 3,
                n & 7, pci_get16(fn, PCI_VENDOR), pci_get16(fn, PCI_DEVICE),
                pci_get32(fn, PCI_REVISION) >> 8, fn->config[PCI_REVISION],
                pci_get16(fn, PCI_COMMAND), pci_get16(fn, PCI_STATUS), fn->name);
        for (unsigned b = 0; b < PCI_BARS; b++)
            if (fn->bar[b].size)
                fprintf(f, "        bar %u: %s %08x+%x%s\n", b,
                        fn->bar[b].space == BUS_PORT ? "ports" : "memory",
                        pci_get32(fn, PCI_BAR0 + 4 * b) & ~(fn->bar[b].size - 1), fn->bar[b].size,
                        fn->bar[b].mapped ? "" : " (not decoded)");
        if (fn->config[PCI_PIN])
            fprintf(f, "        int%c -> pirq%c, line %u%s\n", 'a' + fn->config[PCI_PIN] - 1,
                    'a' + (int)pci_pirq(n >> 3, fn->config[PCI_PIN] - 1), fn->config[PCI_LINE],
                    fn->intx ? " (asserted)" : "");
    }
}
