// SPDX-License-Identifier: GPL-2.0-or-later
#include "a20.h"

#define PORT92_RESET BIT(0)
#define PORT92_A20 BIT(1)

void a20_init(struct a20 *a20, const struct board_host *host)
{
    *a20 = (struct a20){ .host = host, .on = true };
}

void a20_set(void *opaque, bool on)
{
    struct a20 *a20 = opaque;

    if (a20->on == on)
        return;
    a20->on = on;
    a20->host->set_a20(a20->host->opaque, on);
}

bool a20_get(void *opaque)
{
    return ((struct a20 *)opaque)->on;
}

void a20_reset(struct a20 *a20)
{
    a20->reset = false;
    a20->on = true;
    a20->host->set_a20(a20->host->opaque, true);
}

static u64 port92_read(void *dev, u32 addr, unsigned size)
{
    const struct a20 *a20 = dev;

    (void)addr, (void)size;
    return (a20->on ? PORT92_A20 : 0) | (a20->reset ? PORT92_RESET : 0);
}

static void port92_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct a20 *a20 = dev;
    bool rise = !a20->reset && (value & PORT92_RESET);

    (void)addr, (void)size;
    a20->reset = value & PORT92_RESET;
    a20_set(a20, value & PORT92_A20);
    if (rise)
        a20->reset_cpu(a20->opaque);
}

const struct bus_ops a20_ops = { port92_read, port92_write, 1 };
