// SPDX-License-Identifier: GPL-2.0-or-later
// Registers as in the 82371SB data sheet (290550).
#include "piix3.h"

#include <string.h>

enum { PIRQRC = 0x60 };

#define PIRQRC_OFF BIT(7)
// Lines 0, 1, 2, 8 and 13 are reserved.
#define ROUTABLE 0xdef8u

int piix3_default_line(unsigned pirq)
{
    return pirq < 2 ? 10 : 11;
}

int piix3_line(const struct piix3 *piix, unsigned pirq)
{
    u8 rc = piix->func.config[PIRQRC + pirq];

    return (rc & PIRQRC_OFF) || !(ROUTABLE & BIT(rc & 0x0f)) ? -1 : rc & 0x0f;
}

static void update(struct piix3 *piix, unsigned pirq)
{
    int to = piix3_line(piix, pirq);

    for (int line = 0; line < LINES; line++)
        if (ROUTABLE & BIT(line))
            irq_set(&piix->route[pirq][line], piix->level[pirq] && line == to);
}

void piix3_pirq(void *opaque, int pirq, bool level)
{
    struct piix3 *piix = opaque;

    piix->level[pirq] = level;
    update(piix, pirq);
}

static void written(void *opaque, unsigned at, unsigned len)
{
    struct piix3 *piix = opaque;

    if (at + len <= PIRQRC || at >= PIRQRC + PCI_PIRQS)
        return;
    for (unsigned pirq = 0; pirq < PCI_PIRQS; pirq++)
        update(piix, pirq);
}

void piix3_init(struct piix3 *piix, struct lines *lines, bool routed)
{
    struct pci_func *f = &piix->func;

    pci_func_init(f, "PIIX3", PIIX3_SLOT << 3, 0x8086, 0x7000, 0x060100, 0x00);
    memset(piix->level, 0, sizeof(piix->level));
    f->written = written;
    f->opaque = piix;
    pci_put16(f->power_on, PCI_COMMAND, 0x0007);
    pci_put16(f->power_on, PCI_STATUS, 0x0200);
    f->power_on[PCI_HEADER] = 0x80;             // multi-function
    f->writable[PCI_COMMAND] = 0x08;            // special cycles
    f->clearable[PCI_STATUS + 1] = 0x78;
    f->power_on[0x4c] = 0x4d;                   // ISA I/O recovery
    f->power_on[0x4e] = 0x03;                   // X-bus chip select
    f->power_on[0x69] = 0x02;                   // top of memory
    f->power_on[0x70] = 0x80;                   // motherboard device interrupt
    f->power_on[0x76] = f->power_on[0x77] = 0x0c; // motherboard device DMA
    f->power_on[0xa0] = 0x08;                   // SMI control
    pci_func_writable(f, 0x4c, 1, 0xff);
    pci_func_writable(f, 0x4e, 2, 0xff);
    pci_func_writable(f, PIRQRC, PCI_PIRQS, 0x8f);
    pci_func_writable(f, 0x69, 1, 0xfe);
    pci_func_writable(f, 0x6a, 2, 0xff);
    pci_func_writable(f, 0x70, 1, 0xef);
    pci_func_writable(f, 0x76, 3, 0xff);
    pci_func_writable(f, 0x80, 1, 0x7f);
    pci_func_writable(f, 0x82, 1, 0x0f);
    pci_func_writable(f, 0xa0, 16, 0xff);
    for (unsigned pirq = 0; pirq < PCI_PIRQS; pirq++) {
        f->power_on[PIRQRC + pirq] = routed ? (u8)piix3_default_line(pirq) : PIRQRC_OFF;
        for (unsigned line = 0; line < LINES; line++)
            if (ROUTABLE & BIT(line))
                piix->route[pirq][line] = lines_connect(lines, line);
    }
}

void piix3_print(const struct piix3 *piix, FILE *f)
{
    for (unsigned pirq = 0; pirq < PCI_PIRQS; pirq++) {
        int line = piix3_line(piix, pirq);

        fprintf(f, "pirq%c: %s", 'a' + (int)pirq, piix->level[pirq] ? "asserted, " : "");
        if (line < 0)
            fprintf(f, "not routed\n");
        else
            fprintf(f, "irq %d\n", line);
    }
}
