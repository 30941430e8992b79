// SPDX-License-Identifier: GPL-2.0-or-later
#include "ps2.h"

bool ps2_queue(struct ps2 *dev, u8 byte)
{
    if (dev->count == ARRAY_LEN(dev->queue))
        return false;
    dev->queue[(dev->head + dev->count) % ARRAY_LEN(dev->queue)] = byte;
    if (dev->count++ == 0)
        dev->ready(dev->opaque);
    return true;
}

u8 ps2_take(struct ps2 *dev)
{
    u8 byte = dev->queue[dev->head];

    dev->head = (dev->head + 1) % ARRAY_LEN(dev->queue);
    dev->count--;
    return byte;
}
