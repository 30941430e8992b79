// SPDX-License-Identifier: GPL-2.0-or-later
#include "ferr.h"

void ferr_set(struct ferr *ferr, bool level)
{
    if (level && !ferr->level)
        irq_set(&ferr->irq, true);
    ferr->level = level;
}

void ferr_reset(struct ferr *ferr)
{
    ferr->level = false;
    irq_set(&ferr->irq, false);
}

static u64 ferr_read(void *dev, u32 addr, unsigned size)
{
    (void)dev, (void)addr, (void)size;
    return 0xff;
}

static void ferr_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct ferr *ferr = dev;

    (void)addr, (void)value, (void)size;
    irq_set(&ferr->irq, false);
}

const struct bus_ops ferr_ops = { ferr_read, ferr_write, 1 };
