// SPDX-License-Identifier: GPL-2.0-or-later
// Two Intel 8237A DMA controllers, cascaded as in the AT, and their page registers. Channels 0-3
// move bytes, 5-7 words; channel 4 is the cascade.
#ifndef RING3_MONITOR_DEV_I8237_H
#define RING3_MONITOR_DEV_I8237_H

#include "board.h"
#include "monitor/base/bus.h"

#include <stdio.h>

struct i8237_channel {
    u16 base_addr, addr;
    u16 base_count, count;
    u8 mode;
};

struct i8237 {
    struct i8237_channel ch[4];
    const struct board_host *host; // not owned
    u8 *page;                      // the page registers, by port - 80h; shared by both chips
    bool wide;                     // the second chip: word addresses, ports two apart
    u8 command, status, request, mask, temporary;
    bool high_byte;                // the flip-flop
};

struct i8237_pages {
    u8 reg[16];
};

extern const struct bus_ops i8237_ops;      // 16 ports: 00h; 32 for the second chip: C0h
extern const struct bus_ops i8237_page_ops; // 15 ports: 81h (80h belongs to POST codes)

void i8237_init(struct i8237 *dma, const struct board_host *host, struct i8237_pages *pages,
                bool wide);
void i8237_reset(struct i8237 *dma);

// A device on channel n (0-3 of this chip) has data for memory (to_memory) or wants some: moves up
// to len bytes, as far as the channel is programmed for that direction, unmasked, and not at its
// end. Returns how many were moved; *done is set at terminal count. len is a multiple of 2 on the
// second chip.
size_t i8237_transfer(struct i8237 *dma, unsigned n, bool to_memory, u8 *buf, size_t len,
                      bool *done);
void i8237_print(const struct i8237 *dma, FILE *f);

#endif
