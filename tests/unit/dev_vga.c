// SPDX-License-Identifier: GPL-2.0-or-later
// The VGA's registers and memory as IBM's Technical Reference describes them.
#include "vga_rig.h"

// ---- Registers

START_TEST(registers_keep_what_they_have)
{
    static const u8 seq_mask[5] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
    static const u8 gfx_mask[9] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
    static const u8 values[] = { 0x00, 0xff, 0xa5, 0x5a };

    for (unsigned v = 0; v < ARRAY_LEN(values); v++) {
        for (unsigned n = 0; n < 5; n++) {
            rig_out16(r, 0x3c4, n | values[v] << 8); // index and data at once
            ck_assert_uint_eq(in_index(0x3c4, n), values[v] & seq_mask[n]);
        }
        for (unsigned n = 0; n < 9; n++) {
            gfx(n, values[v]);
            ck_assert_uint_eq(rig_in16(r, 0x3ce), n | (values[v] & gfx_mask[n]) << 8);
        }
        crtc(0x11, 0);
        for (unsigned n = 0; n < 0x19; n++)
            if (n != 0x11) {
                crtc(n, values[v]);
                ck_assert_uint_eq(in_index(0x3d4, n), values[v]);
            }
    }
    // Beyond the last there is nothing.
    seq(5, 0xff);
    gfx(9, 0xff);
    crtc(0x19, 0xff);
    ck_assert_uint_eq(in_index(0x3c4, 5) | in_index(0x3ce, 9) | in_index(0x3d4, 0x19), 0);
    ck_assert_uint_eq(in_index(0x3c4, 4), 0x5a & 0x0e);
}
END_TEST

START_TEST(write_protection)
{
    crtc(0x11, 0x80);
    for (unsigned n = 0; n < 8; n++) {
        u8 before = in_index(0x3d4, n);

        crtc(n, ~before);
        // Bit 8 of line compare, in register 7, is not protected.
        ck_assert_uint_eq(in_index(0x3d4, n), n == 7 ? before ^ 0x10 : before);
    }
    crtc(8, 0x55);
    ck_assert_uint_eq(in_index(0x3d4, 8), 0x55);
}
END_TEST

START_TEST(attribute_flip_flop)
{
    rig_in(r, 0x3da);
    rig_out(r, 0x3c0, 0x11); // the palette belongs to the CPU
    rig_out(r, 0x3c0, 0x2a);
    rig_out(r, 0x3c0, 0x03);
    rig_out(r, 0x3c0, 0xff);
    rig_out(r, 0x3c0, 0x23); // to the screen: it can not be written
    rig_out(r, 0x3c0, 0x01);
    ck_assert_uint_eq(rig_in(r, 0x3c0), 0x23);
    ck_assert_uint_eq(attr_in(0x11), 0x2a);
    ck_assert_uint_eq(attr_in(3), 0x3f);
    attr(0x10, 0xff);
    ck_assert_uint_eq(attr_in(0x10), 0xef);
    attr(0x15, 0xff);
    ck_assert_uint_eq(attr_in(0x15), 0);
    // At 3BAh for monochrome adapters.
    rig_out(r, 0x3c2, 0x66);
    rig_out(r, 0x3c0, 0x12); // after the attr() above: data or index
    rig_in(r, 0x3ba);
    rig_out(r, 0x3c0, 0x31);
    rig_out(r, 0x3c0, 0x07);
    rig_in(r, 0x3ba);
    rig_out(r, 0x3c0, 0x31);
    ck_assert_uint_eq(rig_in(r, 0x3c1), 0x07);
    ck_assert_uint_eq(rig_in(r, 0x3d4), 0xff);
    rig_out16(r, 0x3b4, 0x120f);
    ck_assert_uint_eq(rig_in(r, 0x3b5), 0x12);
    rig_out(r, 0x3c2, 0x67);
    ck_assert_uint_eq(rig_in(r, 0x3cc), 0x67);
    ck_assert_uint_eq(rig_in(r, 0x3b4), 0xff);
    ck_assert_uint_eq(in_index(0x3d4, 0x0f), 0x12);
}
END_TEST

START_TEST(colour_registers)
{
    rig_out(r, 0x3c8, 254);
    ck_assert_uint_eq(rig_in(r, 0x3c7), 0);
    for (unsigned i = 0; i < 9; i++)
        rig_out(r, 0x3c9, 0xc1 + i); // six bits each
    ck_assert_uint_eq(rig_in(r, 0x3c8), 1);
    rig_out(r, 0x3c7, 255);
    ck_assert_uint_eq(rig_in(r, 0x3c7), 3);
    for (unsigned i = 3; i < 9; i++)
        ck_assert_uint_eq(rig_in(r, 0x3c9), 1 + i);
    // A colour is written when its third part comes.
    rig_out(r, 0x3c8, 7);
    rig_out(r, 0x3c9, 1);
    rig_out(r, 0x3c9, 2);
    rig_out(r, 0x3c7, 7);
    ck_assert_uint_eq(rig_in(r, 0x3c9), 7);
    put(0, 0, 0x72);
    look();
    ck_assert(shows(0, 0, glyph(0, 0, 0), 2, 7));
    rig_out(r, 0x3c6, 0xfb); // the mask
    look();
    ck_assert(shows(0, 0, glyph(0, 0, 0), 2, 3));
    rig_out(r, 0x3c6, 0xff);
    // Attributes' colours: six bits, of which the colour select register may replace two and adds two.
    attr(7, 0x27);
    attr(0x14, 0x09);
    look();
    ck_assert_uint_eq(at(0, 0), color(glyph(0, 0, 0) & 0x80 ? 0x80 : 0x80 | 0x27));
    attr(0x10, 0x8c);
    look();
    ck_assert_uint_eq(at(0, 0), color(glyph(0, 0, 0) & 0x80 ? 0x90 : 0x90 | 0x07));
}
END_TEST

START_TEST(retrace)
{
    unsigned retraces = 0, lines = 0;
    u8 before = 0;

    for (u64 end = r->now + 1000000000; r->now < end; r->now += 3000) {
        u8 status = rig_in(r, 0x3da);

        retraces += ~before & status & 8;
        lines += ~before & status & 1;
        ck_assert(!(status & 8) || status & 1);
        before = status;
    }
    ck_assert_uint_eq(retraces / 8, 70);
    ck_assert_uint_gt(lines, 70 * 390);
}
END_TEST

// ---- Memory

// The graphics controller, a plane at a time.
static u8 model_write(u8 mode, unsigned plane, u8 byte, u8 latch, const u8 *g)
{
    u8 rotated = byte >> (g[3] & 7) | byte << (8 - (g[3] & 7)), mask = g[8], value;

    switch (mode) {
    case 0:
        value = g[1] >> plane & 1 ? (g[0] >> plane & 1 ? 0xff : 0) : rotated;
        break;
    case 1:
        return latch;
    case 2:
        value = byte >> plane & 1 ? 0xff : 0;
        break;
    default:
        value = g[0] >> plane & 1 ? 0xff : 0;
        mask &= rotated;
    }
    switch (g[3] >> 3) {
    case 1: value &= latch; break;
    case 2: value |= latch; break;
    case 3: value ^= latch; break;
    }
    return (value & mask) | (latch & ~mask);
}

START_TEST(planes)
{
    static u8 plane[4][256];
    u8 latch[4] = { 0 }, g[9] = { 0 };

    srand(7);
    seq(4, 6);
    gfx(6, 5);
    seq(2, 0xf);
    gfx(5, 0);
    for (unsigned n = 0; n < 256; n++)
        poke(0xa0000 + n, 0);
    for (unsigned n = 0; n < 20000; n++) {
        unsigned where = rand() % 256;
        u8 mode = rand() & 3, map = rand() & 15, byte = rand(), expected = 0xff;

        for (unsigned i = 0; i < 9; i++)
            if (i != 5 && i != 6) {
                static const u8 mask[9] = { 15, 15, 15, 31, 3, 0, 0, 15, 255 };

                g[i] = rand() & mask[i];
                gfx(i, g[i]);
            }
        gfx(5, mode | (n & 1) << 3);
        seq(2, map);
        if (n % 3 == 0) { // a read fills the latches
            for (unsigned p = 0; p < 4; p++) {
                latch[p] = plane[p][where];
                if (g[7] >> p & 1)
                    expected &= ~(latch[p] ^ (g[2] >> p & 1 ? 0xff : 0));
            }
            ck_assert_uint_eq(peek(0xa0000 + where), n & 1 ? expected : latch[g[4]]);
            continue;
        }
        poke(0xa0000 + where, byte);
        for (unsigned p = 0; p < 4; p++)
            if (map >> p & 1)
                plane[p][where] = model_write(mode, p, byte, latch[p], g);
    }
    gfx(5, 0);
    for (unsigned p = 0; p < 4; p++) {
        gfx(4, p);
        for (unsigned n = 0; n < 256; n++)
            ck_assert_uint_eq(peek(0xa0000 + n), plane[p][n]);
    }
}
END_TEST

START_TEST(windows)
{
    put(0, 0x12, 0x34);
    ck_assert_uint_eq(peek(0xb0000), 0xff); // not chosen
    ck_assert_uint_eq(peek(0xa0000), 0xff);
    gfx(6, 0x0a); // as a monochrome adapter's
    ck_assert_uint_eq(peek(0xb0000), 0x12);
    ck_assert_uint_eq(peek(0xb0001), 0x34);
    ck_assert_uint_eq(peek(TEXT), 0xff);
    gfx(6, 0x02); // all of 128 KiB
    ck_assert_uint_eq(peek(0xa0000), 0x12);
    rig_out(r, 0x3c2, 0x65); // no memory
    ck_assert_uint_eq(peek(0xa0000), 0xff);
    poke(0xa0000, 0);
    rig_out(r, 0x3c2, 0x67);
    ck_assert_uint_eq(peek(0xa0000), 0x12);
    // Accesses of any size.
    gfx(6, 0x0e);
    bus_write(&r->bus, BUS_MMIO, TEXT + 3, 0x8877665544332211, 8);
    ck_assert_uint_eq(bus_read(&r->bus, BUS_MMIO, TEXT + 4, 4), 0x55443322);
    ck_assert_uint_eq(peek(TEXT + 10), 0x88);
}
END_TEST

// ---- The Bochs extensions

static void vbe(u16 index, u16 value)
{
    rig_out16(r, 0x1ce, index);
    rig_out16(r, 0x1cf, value);
}

static u16 vbe_in(u16 index)
{
    rig_out16(r, 0x1ce, index);
    return rig_in16(r, 0x1d0); // where it is aligned
}

static void vbe_mode(u16 x, u16 y, u16 bpp, u16 enable)
{
    vbe(4, 0);
    vbe(1, x);
    vbe(2, y);
    vbe(3, bpp);
    vbe(4, enable);
}

START_TEST(linear_modes)
{
    static const struct { u16 bpp; u32 bytes, value, rgb; } depths[] = {
        { 8, 1, 5, 0 }, { 15, 2, 0x7c1f, 0xf800f8 }, { 16, 2, 0x07e0, 0x00fc00 }, { 24, 3, 0x123456, 0x123456 },
        { 32, 4, 0xff123456, 0x123456 },
    };

    ck_assert_uint_eq(vbe_in(0), 0xb0c5);
    vbe(0, 0xb0c1); // an older interface is asked for
    ck_assert_uint_eq(vbe_in(0), 0xb0c1);
    ck_assert_uint_eq(vbe_in(10), 16 << 20 >> 16);
    vbe(4, 2); // what is the most
    ck_assert(vbe_in(1) >= 1024 && vbe_in(2) >= 768 && vbe_in(3) == 32);
    put(0, 'T', 0x07);
    for (unsigned n = 0; n < ARRAY_LEN(depths); n++) {
        u32 line = 800 * depths[n].bytes, place = 599 * line + 700 * depths[n].bytes;

        vbe_mode(800, 600, depths[n].bpp, 0x41);
        vbe(5, place >> 16); // the bank
        for (unsigned i = 0; i < depths[n].bytes; i++) {
            vbe(5, (place + i) >> 16);
            poke(0xa0000 + ((place + i) & 0xffff), depths[n].value >> (8 * i));
            ck_assert_uint_eq(peek(0xa0000 + ((place + i) & 0xffff)), (u8)(depths[n].value >> (8 * i)));
        }
        look();
        ck_assert(shot.width == 800 && shot.height == 600 && !text.text);
        ck_assert_uint_eq(at(700, 599), depths[n].bpp == 8 ? color(5) : depths[n].rgb);
        ck_assert_uint_eq(at(699, 599), depths[n].bpp == 8 ? color(0) : 0);
        // A longer line, and a window into it.
        vbe(6, 1600);
        ck_assert_uint_eq(vbe_in(6), 1600);
        vbe(8, 800 + 100 - 1);
        ck_assert_uint_eq(vbe_in(8), 0); // does not fit
        vbe(8, 800);
        vbe(9, 299);
        look();
        ck_assert_uint_eq(at(700, 0), depths[n].bpp == 8 ? color(5) : depths[n].rgb);
        vbe_mode(800, 600, depths[n].bpp, 0xc1); // without clearing
        look();
        ck_assert_uint_eq(at(700, 599), depths[n].bpp == 8 ? color(5) : depths[n].rgb);
    }
    vbe_mode(4000, 600, 8, 0x41); // refused: the last that fitted stays
    ck_assert_uint_eq(vbe_in(1), 800);
    vbe(4, 0);
    gfx(6, 0x0e);
    look();
    ck_assert(text.text);
    // Eight bits of each colour.
    vbe_mode(320, 200, 8, 0x61);
    rig_out(r, 0x3c8, 0);
    for (unsigned i = 0; i < 3; i++)
        rig_out(r, 0x3c9, 0xf1 + i);
    look();
    ck_assert_uint_eq(at(0, 0), 0xf1f2f3);
}
END_TEST

START_TEST(nonsense)
{
    srand(23);
    for (unsigned n = 0; n < 3000; n++) {
        for (unsigned i = rand() % 20; i > 0; i--)
            switch (rand() % 8) {
            case 0: seq(rand() % 5, rand()); break;
            case 1: gfx(rand() % 9, rand()); break;
            case 2: attr(rand() % 21, rand()); break;
            case 3: rig_out(r, 0x3b0 + rand() % 0x30, rand()); break;
            case 4: bus_write(&r->bus, BUS_MMIO, 0xa0000 + rand() % 0x20000, rand(), 1u << rand() % 4); break;
            case 5: rig_out16(r, 0x1ce, rand() % 11), rig_out16(r, 0x1cf, rand()); break;
            case 6: rig_out16(r, 0x1ce, 4), rig_out16(r, 0x1cf, rand() & 1); break;
            default: crtc(rand() % 0x19, rand()); break;
            }
        r->now += 123456;
        rig_in(r, 0x3da);
        if (n % 10 == 0)
            look();
        else
            board_screen(board, &text);
        ck_assert_uint_le(text.rows * text.columns, SCREEN_CELLS);
        ck_assert(text.cursor_y < (int)text.rows && text.cursor_x < (int)text.columns);
    }
}
END_TEST

// ---- Memory that the guest writes by itself: the view

static u8 memory[17 << 20], *window;
static u32 window_base, window_len;

static u8 *create(void *opaque, u32 len, u32 *handle)
{
    (void)opaque;
    ck_assert_uint_le(len, sizeof(memory));
    memset(memory, 0, sizeof(memory));
    *handle = 1;
    return memory;
}

static bool place(void *opaque, u32 base, u32 len, u32 handle, u32 offset, enum memory_kind kind)
{
    (void)opaque, (void)handle, (void)kind;
    if (base < 0xa0000 || base >= 0xc0000)
        return true;
    window = memory + offset;
    window_base = base;
    window_len = len;
    return true;
}

// Two boards, one of which has such memory, show the same and read the same.
START_TEST(views)
{
    struct board_config config = { .ram_size = 16 << 20, .debug_exit_base = -1, .serial_ports = 1 };
    struct rig *rigs[2] = { r, rig_new() };
    struct board *boards[2] = { board, NULL };
    unsigned viewed = 0;

    rigs[1]->host.memory_create = create;
    rigs[1]->host.memory_place = place;
    boards[1] = rig_board(rigs[1], &config);
    r = rigs[1];
    load_fonts();
    for (unsigned n = 0; n < 16; n++)
        attr(n, n);
    rig_out(r, 0x3c8, 0);
    for (unsigned n = 0; n < 768; n++)
        rig_out(r, 0x3c9, n / 3 * (n % 3 + 1));
    crtc(0x11, 0x0e);
    crtc(11, 0x2d);
    crtc(10, 0x20);
    ck_assert_uint_eq(window_base, TEXT);
    ck_assert_uint_eq(window_len, 0x8000);
    srand(5);
    for (unsigned n = 0; n < 60000; n++) {
        u32 where = 0xa0000 + rand() % 0x20000;
        unsigned what = n % 512 == 0 ? 256 : rand() % 256;
        u8 byte = rand(), seen[2] = { 0 };

        for (unsigned k = 0; k < 2; k++) {
            bool direct = k == 1 && where - window_base < window_len;

            r = rigs[k];
            if (what == 0)
                gfx(6, byte & 15);
            else if (what == 1)
                gfx(5, byte & 0x10), seq(4, byte & 4 ? 2 : 6), seq(2, byte & 8 ? 3 : 15);
            else if (what == 2)
                rig_out(r, 0x3c2, byte | 1), rig_out(r, 0x3c2, 0x67);
            else if (what == 256) // text again
                seq(4, 2), seq(2, 3), gfx(5, 0x10), gfx(6, byte & 1 ? 0x0e : 0x0a);
            else if (what < 130 && direct)
                window[where - window_base] = byte;
            else if (what < 130)
                poke(where, byte);
            else
                seen[k] = direct ? window[where - window_base] : peek(where);
            viewed += direct;
        }
        ck_assert_uint_eq(seen[0], seen[1]);
        if (n % 1000 == 0) {
            struct screen_pixels a, b;

            ck_assert(board_pixels(boards[0], &a) && board_pixels(boards[1], &b));
            ck_assert_uint_eq(a.width, b.width);
            ck_assert_mem_eq(a.rgb, b.rgb, a.width * a.height * sizeof(*a.rgb));
            free(a.rgb);
            free(b.rgb);
        }
    }
    ck_assert_uint_gt(viewed, 3000);
    board_destroy(boards[1]);
    rig_free(rigs[1]);
    r = rigs[0];
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vga");
    TCase *tc = tcase_create("vga");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, registers_keep_what_they_have);
    tcase_add_test(tc, write_protection);
    tcase_add_test(tc, attribute_flip_flop);
    tcase_add_test(tc, colour_registers);
    tcase_add_test(tc, retrace);
    tcase_add_test(tc, planes);
    tcase_add_test(tc, windows);
    tcase_add_test(tc, linear_modes);
    tcase_add_test(tc, nonsense);
    tcase_add_test(tc, views);
    suite_add_tcase(suite, tc);
    return run_tests(srunner_create(suite));
}
