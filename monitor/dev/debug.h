// SPDX-License-Identifier: GPL-2.0-or-later
// Ports for people: POST codes, the debug console, and a way to leave with a status.
#ifndef RING3_MONITOR_DEV_DEBUG_H
#define RING3_MONITOR_DEV_DEBUG_H

#include "board.h"

struct debug {
    const struct board_host *host; // not owned
    struct log *log;
    u8 post; // the last POST code
};

extern const struct bus_ops debug_post_ops;    // one port: 80h
extern const struct bus_ops debug_console_ops; // one port: E9h; reads E9h to say it is there
extern const struct bus_ops debug_firmware_ops; // one port: 402h, where firmware writes its log
extern const struct bus_ops debug_exit_ops;    // isa-debug-exit: any write ends the machine

void debug_init(struct debug *debug, const struct board_host *host, struct log *log);

#endif
