// SPDX-License-Identifier: GPL-2.0-or-later
// Registers as on IBM's parallel printer adapter, with the PS/2's direction bit.
#include "lpt.h"

enum { DATA, STATUS, CONTROL };

#define CONTROL_STROBE BIT(0)
#define CONTROL_INIT BIT(2) // low resets the printer
#define CONTROL_IRQ BIT(4)
#define CONTROL_INPUT BIT(5)
#define CONTROL_UNUSED 0xc0 // read as ones

// Not busy, no acknowledge under way, paper there, selected, no error.
#define STATUS_READY 0xdf

void lpt_init(struct lpt *lpt, const struct board_host *host)
{
    *lpt = (struct lpt){ .host = host };
}

void lpt_reset(struct lpt *lpt)
{
    lpt->data = 0;
    lpt->control = CONTROL_INIT;
    irq_set(&lpt->irq, true); // follows ACK#, which rests high
}

// The printer takes the byte when the strobe begins, and acknowledges it at once.
static void strobe(struct lpt *lpt)
{
    lpt->host->parallel_out(lpt->host->opaque, lpt->data);
    if (!(lpt->control & CONTROL_IRQ))
        return;
    irq_set(&lpt->irq, false);
    irq_set(&lpt->irq, true);
}

static u64 lpt_read(void *dev, u32 addr, unsigned size)
{
    const struct lpt *lpt = dev;

    (void)size;
    switch (addr) {
    case DATA: // with the drivers off nobody drives the lines
        return lpt->control & CONTROL_INPUT ? 0xff : lpt->data;
    case STATUS:
        return STATUS_READY;
    default:
        return lpt->control | CONTROL_UNUSED;
    }
}

static void lpt_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct lpt *lpt = dev;
    u8 before = lpt->control;

    (void)size;
    if (addr == DATA) {
        lpt->data = value;
    } else if (addr == CONTROL) {
        lpt->control = value & ~CONTROL_UNUSED;
        if (~before & value & CONTROL_STROBE)
            strobe(lpt);
    }
}

const struct bus_ops lpt_ops = { lpt_read, lpt_write, 1 };
