// SPDX-License-Identifier: GPL-2.0-or-later
// A VGA with fonts and colours that tests can predict, driven through its ports and its window.
#ifndef RING3_TESTS_UNIT_VGA_RIG_H
#define RING3_TESTS_UNIT_VGA_RIG_H

#include "disk_rig.h"

#define TEXT 0xb8000u

static struct rig *r;
static struct board *board;
static struct screen_pixels shot;
static struct screen_text text;

static inline void out_index(u16 port, u8 index, u8 value)
{
    rig_out(r, port, index);
    rig_out(r, port + 1, value);
}
static inline u8 in_index(u16 port, u8 index)
{
    rig_out(r, port, index);
    return rig_in(r, port + 1);
}
static inline void seq(u8 index, u8 value) { out_index(0x3c4, index, value); }
static inline void gfx(u8 index, u8 value) { out_index(0x3ce, index, value); }
static inline void crtc(u8 index, u8 value) { out_index(0x3d4, index, value); }
static inline void attr(u8 index, u8 value)
{
    rig_in(r, 0x3da); // the next write is an index
    rig_out(r, 0x3c0, index);
    rig_out(r, 0x3c0, value);
    rig_out(r, 0x3c0, 0x20); // the screen on again
}
static inline u8 attr_in(u8 index)
{
    rig_in(r, 0x3da);
    rig_out(r, 0x3c0, index | 0x20);
    return rig_in(r, 0x3c1);
}
static inline void poke(u32 at, u8 value) { bus_write(&r->bus, BUS_MMIO, at, value, 1); }
static inline u8 peek(u32 at) { return bus_read(&r->bus, BUS_MMIO, at, 1); }

static inline void put(unsigned cell, u8 code, u8 attribute)
{
    poke(TEXT + 2 * cell, code);
    poke(TEXT + 2 * cell + 1, attribute);
}

// The fonts of the tests: map m has this in line `row` of a character.
static inline u8 glyph(unsigned m, u8 code, unsigned row) { return (u8)(code * 5 + row * 37 + m * 91 + 1); }

// As a program does it: plane 2 alone, addresses as they are.
static inline void load_fonts(void)
{
    static const u16 place[8] = { 0, 0x4000, 0x8000, 0xc000, 0x2000, 0x6000, 0xa000, 0xe000 };

    seq(2, 4);
    seq(4, 7);
    gfx(5, 0);
    gfx(6, 4);
    for (unsigned m = 0; m < 8; m++)
        for (unsigned n = 0; n < 256 * 32; n++)
            poke(0xa0000 + place[m] + n, glyph(m, n / 32, n % 32));
    seq(2, 3);
    seq(4, 2);
    gfx(5, 0x10);
    gfx(6, 0x0e);
}

// Mode 3 as the board hands it over; attribute n is colour n, which is n, 2n, 3n.
static inline void setup(void)
{
    struct board_config config = { .ram_size = 16 << 20, .debug_exit_base = -1, .serial_ports = 1 };

    r = rig_new();
    board = rig_board(r, &config);
    load_fonts();
    for (unsigned n = 0; n < 16; n++)
        attr(n, n);
    rig_out(r, 0x3c8, 0);
    for (unsigned n = 0; n < 256; n++)
        for (unsigned i = 1; i <= 3; i++)
            rig_out(r, 0x3c9, n * i);
    crtc(11, 0x20 | 0x0d); // no cursor but where a test wants it
    crtc(10, 0x20);
    crtc(0x11, 0x0e);      // the first eight registers may be written
}

static inline void teardown(void)
{
    free(shot.rgb);
    shot.rgb = NULL;
    board_destroy(board);
    rig_free(r);
}

static inline u32 color(u8 n)
{
    u32 rgb = 0;

    for (unsigned i = 1; i <= 3; i++) {
        u8 c = n * i & 0x3f;

        rgb = rgb << 8 | c << 2 | c >> 4;
    }
    return rgb;
}

static inline void look(void)
{
    free(shot.rgb);
    ck_assert(board_pixels(board, &shot));
    board_screen(board, &text);
}

static inline u32 at(unsigned x, unsigned y)
{
    ck_assert_uint_lt(x, shot.width);
    ck_assert_uint_lt(y, shot.height);
    return shot.rgb[y * shot.width + x];
}

// Eight dots from (x, y) on show `bits`; dots left of the screen count as right.
static inline bool shows(int x, unsigned y, u8 bits, u8 fore, u8 back)
{
    for (int i = 0; i < 8; i++)
        if (x + i >= 0 && at(x + i, y) != color(bits & 0x80 >> i ? fore : back))
            return false;
    return true;
}

#endif
