// SPDX-License-Identifier: GPL-2.0-or-later
#include "debug.h"

void debug_init(struct debug *debug, const struct board_host *host, struct log *log)
{
    *debug = (struct debug){ .host = host, .log = log };
}

static u64 post_read(void *dev, u32 addr, unsigned size)
{
    (void)addr, (void)size;
    return ((struct debug *)dev)->post;
}

// Systems write here for the delay far more often than for the code.
static void post_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct debug *debug = dev;

    (void)addr, (void)size;
    if (debug->post != value)
        log_to(debug->log, LOG_POST, "post: %02x\n", (unsigned)value);
    debug->post = value;
}

const struct bus_ops debug_post_ops = { post_read, post_write, 1 };

static u64 console_read(void *dev, u32 addr, unsigned size)
{
    (void)dev, (void)addr, (void)size;
    return 0xe9;
}

static void console_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct debug *debug = dev;

    (void)addr, (void)size;
    debug->host->debug_out(debug->host->opaque, value);
}

const struct bus_ops debug_console_ops = { console_read, console_write, 1 };

// Firmware that does not find E9h here saves itself the trouble.
static u64 firmware_read(void *dev, u32 addr, unsigned size)
{
    const struct debug *debug = dev;

    (void)addr, (void)size;
    return log_on(debug->log, LOG_FIRMWARE) ? 0xe9 : 0xff;
}

static void firmware_write(void *dev, u32 addr, u64 value, unsigned size)
{
    const struct debug *debug = dev;

    (void)addr, (void)size;
    log_to(debug->log, LOG_FIRMWARE, "%c", (char)value);
}

const struct bus_ops debug_firmware_ops = { firmware_read, firmware_write, 1 };

static u64 exit_read(void *dev, u32 addr, unsigned size)
{
    (void)dev, (void)addr, (void)size;
    return 0;
}

static void exit_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct debug *debug = dev;

    (void)addr, (void)size;
    debug->host->debug_exit(debug->host->opaque, value);
}

const struct bus_ops debug_exit_ops = { exit_read, exit_write, 4 };
