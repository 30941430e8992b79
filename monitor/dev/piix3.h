// SPDX-License-Identifier: GPL-2.0-or-later
// Intel 82371SB (PIIX3) PCI-to-ISA bridge: function 0:1.0. It routes the four PCI interrupt wires
// to ISA lines.
#ifndef RING3_MONITOR_DEV_PIIX3_H
#define RING3_MONITOR_DEV_PIIX3_H

#include "lines.h"
#include "pci.h"

#define PIIX3_SLOT 1

struct piix3 {
    struct pci_func func;
    bool level[PCI_PIRQS];
    struct irq route[PCI_PIRQS][LINES]; // those a PIRQ may be routed to are connected
};

// routed: PIRQs leave reset routed to lines as piix3_default_line says, else not at all.
void piix3_init(struct piix3 *piix, struct lines *lines, bool routed);
// The input for PIRQ n; the shape of struct irq.
void piix3_pirq(void *piix, int pirq, bool level);
// Where firmware routes PIRQ n, and what the ACPI tables say: 10, 10, 11, 11.
int piix3_default_line(unsigned pirq);
// The line PIRQ n is routed to, or -1.
int piix3_line(const struct piix3 *piix, unsigned pirq);
void piix3_print(const struct piix3 *piix, FILE *f);

#endif
