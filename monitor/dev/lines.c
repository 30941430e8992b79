// SPDX-License-Identifier: GPL-2.0-or-later
#include "lines.h"

#include "monitor/base/log.h"

#include <string.h>

void lines_init(struct lines *lines)
{
    memset(lines, 0, sizeof(*lines));
}

// pin is the line, with the driver's number in the bits above.
static void lines_set(void *sink, int pin, bool level)
{
    struct lines *lines = sink;
    int n = pin % LINES;
    u8 before = lines->driven[n], bit = BIT(pin / LINES);
    u8 after = level ? before | bit : before & ~bit;

    lines->driven[n] = after;
    if (!before == !after)
        return;
    lines->rises[n] += after != 0;
    irq_set(&lines->sink[n], after != 0);
}

struct irq lines_connect(struct lines *lines, int n)
{
    CHECK(n >= 0 && n < LINES && lines->drivers[n] < LINE_DRIVERS);
    return (struct irq){ lines_set, lines, n + LINES * lines->drivers[n]++ };
}
