// SPDX-License-Identifier: GPL-2.0-or-later
// The VGA's text modes as IBM's Technical Reference describes them: what each register does to the picture, dot by dot.
#include "vga_rig.h"

// ---- Characters

START_TEST(characters)
{
    for (unsigned n = 0; n < 256; n++)
        put(n, n, n * 7);
    look();
    ck_assert_uint_eq(shot.width, 720);
    ck_assert_uint_eq(shot.height, 400);
    for (unsigned n = 0; n < 256; n++) {
        u8 fore = n * 7 & 15, back = n * 7 >> 4 & 7;

        for (unsigned row = 0; row < 16; row++) {
            u8 bits = glyph(0, n, row);
            bool ninth = n >= 0xc0 && n <= 0xdf && bits & 1;

            ck_assert(shows(n % 80 * 9, n / 80 * 16 + row, bits, fore, back));
            ck_assert_uint_eq(at(n % 80 * 9 + 8, n / 80 * 16 + row), color(ninth ? fore : back));
        }
        ck_assert_uint_eq(text.cell[n], n | (n * 7 & 0xff) << 8);
    }
    // Without line graphics the ninth column is background.
    attr(0x10, 0x08);
    look();
    for (unsigned n = 0xc0; n < 0xe0; n++)
        ck_assert_uint_eq(at(n % 80 * 9 + 8, n / 80 * 16), color(n * 7 >> 4 & 7));
    // Eight dots a character.
    seq(1, 0x01);
    look();
    ck_assert_uint_eq(shot.width, 640);
    for (unsigned n = 0; n < 256; n++)
        ck_assert(shows(n % 80 * 8, n / 80 * 16 + 3, glyph(0, n, 3), n * 7 & 15, n * 7 >> 4 & 7));
}
END_TEST

START_TEST(blink_or_bright_background)
{
    put(0, 'x', 0xce);
    look();
    ck_assert(text.blink);
    ck_assert(shows(0, 0, glyph(0, 'x', 0), 14, 4)); // as while it is lit
    attr(0x10, 0x04);
    look();
    ck_assert(!text.blink);
    ck_assert(shows(0, 0, glyph(0, 'x', 0), 14, 12));
}
END_TEST

START_TEST(fonts)
{
    put(0, 'A', 0x07);
    put(1, 'A', 0x0f);
    for (unsigned select = 0; select < 64; select++) {
        unsigned first = (select & 3) | (select >> 2 & 4), second = (select >> 2 & 3) | (select >> 3 & 4);

        seq(3, select);
        look();
        for (unsigned row = 0; row < 16; row++) {
            ck_assert(shows(0, row, glyph(first, 'A', row), 7, 0));
            ck_assert(shows(9, row, glyph(second, 'A', row), 15, 0));
        }
    }
    // 512 characters in eight colours: plane 3 does not reach the palette.
    attr(0x12, 0x07);
    put(1, 'A', 0xff);
    look();
    ck_assert(shows(9, 0, glyph(7, 'A', 0), 7, 7));
    ck_assert_uint_eq(text.cell[1], 0xf741);
    attr(0x10, 0x04);
    look();
    ck_assert_uint_eq(text.cell[1], 0x7741);
}
END_TEST

START_TEST(underline)
{
    static const struct { u8 attribute; bool underlined; } cases[] = {
        { 0x01, true }, { 0x09, true }, { 0x81, true }, { 0x89, true },
        { 0x07, false }, { 0x11, false }, { 0x03, false }, { 0x71, false },
    };

    crtc(0x14, 0x0c);
    for (unsigned n = 0; n < ARRAY_LEN(cases); n++)
        put(n, 'u', cases[n].attribute);
    look();
    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        u8 fore = cases[n].attribute & 15, back = cases[n].attribute >> 4 & 7;
        u8 bits = cases[n].underlined ? 0xff : glyph(0, 'u', 12);

        ck_assert(shows(n * 9, 12, bits, fore, back));
        ck_assert_uint_eq(at(n * 9 + 8, 12), color(cases[n].underlined ? fore : back));
        ck_assert(shows(n * 9, 11, glyph(0, 'u', 11), fore, back));
    }
    crtc(0x14, 0x1f); // below every character: none
    look();
    ck_assert(shows(0, 12, glyph(0, 'u', 12), 1, 0));
}
END_TEST

// ---- The cursor

static void expect_cursor(unsigned column, unsigned line, unsigned first, unsigned last)
{
    look();
    for (unsigned row = 0; row < 16; row++) {
        bool lit = row >= first && row <= last;

        ck_assert(shows(column * 9, line * 16 + row, lit ? 0xff : glyph(0, ' ', row), 7, 0));
        ck_assert_uint_eq(at(column * 9 + 8, line * 16 + row), color(lit ? 7 : 0));
    }
    ck_assert_int_eq(text.cursor_x, first <= last && first < 16 ? (int)column : -1);
    ck_assert_int_eq(text.cursor_y, first <= last && first < 16 ? (int)line : -1);
}

START_TEST(cursor)
{
    crtc(14, 0);
    crtc(15, 162); // line 2, column 2
    for (unsigned first = 0; first < 32; first += 3)
        for (unsigned last = 0; last < 32; last += 5) {
            crtc(10, first);
            crtc(11, last);
            expect_cursor(2, 2, first, last);
        }
    crtc(10, 0);
    for (unsigned skew = 0; skew < 4; skew++) {
        crtc(11, skew << 5 | 7);
        expect_cursor(2 + skew, 2, 0, 7);
    }
    crtc(10, 0x20);
    expect_cursor(2, 2, 99, 0);
    // It goes with the address, not with the place.
    crtc(10, 14);
    crtc(11, 15);
    crtc(13, 80);
    expect_cursor(2, 1, 14, 15);
    crtc(14, 0xff);
    look();
    ck_assert_int_eq(text.cursor_x, -1);
}
END_TEST

// ---- Places

START_TEST(pages)
{
    for (unsigned n = 0; n < 0x4000; n++)
        put(n, n ^ n >> 8, 0x07);
    for (unsigned start = 0; start < 0x4000; start += 0x3ef) {
        crtc(12, start >> 8);
        crtc(13, start);
        look();
        for (unsigned n = 0; n < 2000; n += 111) {
            unsigned cell = start + n;

            if (cell >= 0x4000) // beyond what the window reaches
                break;
            ck_assert_uint_eq(text.cell[n] & 0xff, (cell ^ cell >> 8) & 0xff);
            ck_assert(shows(n % 80 * 9, n / 80 * 16, glyph(0, cell ^ cell >> 8, 0), 7, 0));
        }
    }
    // Lines longer than the screen.
    crtc(12, 0);
    crtc(13, 0);
    crtc(0x13, 64);
    look();
    ck_assert_uint_eq(text.cell[80], 0x0700 | 128);
    ck_assert(shows(0, 16, glyph(0, 128, 0), 7, 0));
}
END_TEST

START_TEST(panning)
{
    for (unsigned n = 0; n < 2100; n++)
        put(n, n + n / 80, 0x07);
    for (unsigned pan = 0; pan < 9; pan++) { // of nine dots, 8 means none
        int left = pan == 8 ? 0 : (int)pan + 1;

        attr(0x13, pan);
        look();
        for (int n = 0; n < 80; n++)
            ck_assert(shows(n * 9 - left, 5, glyph(0, n, 5), 7, 0));
    }
    seq(1, 1);
    for (unsigned pan = 0; pan < 8; pan++) {
        attr(0x13, pan);
        look();
        for (int n = 0; n < 80; n++)
            ck_assert(shows(n * 8 - (int)pan, 5, glyph(0, n, 5), 7, 0));
    }
    attr(0x13, 0);
    for (unsigned bytes = 0; bytes < 4; bytes++)
        for (unsigned lines = 0; lines < 16; lines += 5) {
            crtc(8, bytes << 5 | lines);
            look();
            ck_assert(shows(0, 0, glyph(0, bytes, lines), 7, 0));
            ck_assert(shows(0, 16 - lines, glyph(0, bytes + 81, 0), 7, 0));
            ck_assert_uint_eq(text.cell[0], 0x0700 | bytes);
            ck_assert_uint_eq(text.cell[80], 0x0700 | (bytes + 81));
            ck_assert_uint_eq(text.rows, 25);
        }
    // A first line beyond the character's last: the counter runs through all 32.
    crtc(8, 30);
    look();
    ck_assert(shows(0, 1, glyph(0, 0, 31), 7, 0));
    ck_assert(shows(0, 2, glyph(0, 0, 0), 7, 0));
    ck_assert(shows(0, 18, glyph(0, 81, 0), 7, 0));
}
END_TEST

static void split_at(unsigned line)
{
    crtc(0x18, line);
    crtc(0x07, (in_index(0x3d4, 7) & ~0x10) | (line >> 8 & 1) << 4);
    crtc(0x09, (in_index(0x3d4, 9) & ~0x40) | (line >> 9 & 1) << 6);
}

START_TEST(split_screen)
{
    for (unsigned n = 0; n < 4000; n++)
        put(n, n / 80 + n % 80, 0x07);
    crtc(12, 2000 >> 8);
    crtc(13, 2000 & 0xff);
    for (unsigned line = 15; line < 399; line += 37) {
        split_at(line);
        look();
        ck_assert(shows(0, 0, glyph(0, 25, 0), 7, 0));
        ck_assert(shows(0, line, glyph(0, 25 + line / 16, line % 16), 7, 0));
        ck_assert(shows(0, line + 1, glyph(0, 0, 0), 7, 0)); // address 0, from its first line on
        ck_assert(line > 380 || shows(9, line + 17, glyph(0, 2, 0), 7, 0));
        ck_assert_uint_eq(text.cell[line / 16 * 80], 0x0700 | (25 + line / 16));
        ck_assert(line > 380 || text.cell[(line / 16 + 1) * 80] == 0x0700);
    }
    split_at(400); // below the screen
    look();
    ck_assert(shows(0, 399, glyph(0, 49, 15), 7, 0));
    // Panning is for both halves, or for the upper one.
    split_at(199);
    seq(1, 1);
    attr(0x13, 3);
    crtc(8, 0x20);
    look();
    ck_assert(shows(-3, 0, glyph(0, 26, 0), 7, 0));
    ck_assert(shows(-3, 200, glyph(0, 1, 0), 7, 0));
    attr(0x10, 0x2c);
    look();
    ck_assert(shows(-3, 0, glyph(0, 26, 0), 7, 0));
    ck_assert(shows(0, 200, glyph(0, 0, 0), 7, 0));
}
END_TEST

// ---- Sizes

START_TEST(sizes)
{
    static const struct { u8 columns, clocking, scan, display; u8 overflow; unsigned width, height, rows; } modes[] = {
        { 80, 0x00, 0x4f, 0x8f, 0x1f, 720, 400, 25 },
        { 80, 0x00, 0x4d, 0x5d, 0x1f, 720, 350, 25 }, // EGA's
        { 80, 0x00, 0x47, 0x5d, 0x1f, 720, 350, 43 }, // and its 43 lines, the last one incomplete
        { 80, 0x00, 0x47, 0x8f, 0x1f, 720, 400, 50 },
        { 40, 0x08, 0x4f, 0x8f, 0x1f, 360, 400, 25 },
        { 80, 0x01, 0xc7, 0x8f, 0x1f, 640, 200, 25 }, // CGA's, each line twice
        { 132, 0x01, 0x4f, 0x8f, 0x1f, 1056, 400, 25 },
        { 132, 0x01, 0x47, 0x5f, 0x1f, 1056, 352, 44 },
        { 132, 0x01, 0x47, 0xdf, 0x1f, 1056, 480, 60 },
    };

    for (unsigned m = 0; m < ARRAY_LEN(modes); m++) {
        unsigned columns = modes[m].columns, lines = (modes[m].scan & 0x1f) + 1, last = columns * modes[m].rows - 1;

        crtc(1, columns - 1);
        crtc(0x13, columns / 2);
        crtc(7, modes[m].overflow);
        crtc(9, modes[m].scan);
        crtc(0x12, modes[m].display);
        seq(1, modes[m].clocking);
        for (unsigned n = 0; n <= last; n++)
            put(n, n + n / columns, 0x07);
        look();
        ck_assert_uint_eq(shot.width, modes[m].width);
        ck_assert_uint_eq(shot.height, modes[m].height);
        ck_assert_uint_eq(text.width, modes[m].width);
        ck_assert_uint_eq(text.columns, columns);
        ck_assert_uint_eq(text.rows, modes[m].rows);
        ck_assert_uint_eq(text.cell[last], 0x0700 | ((last + last / columns) & 0xff));
        ck_assert(shows((int)((columns - 1) * (modes[m].width / columns)), modes[m].rows * lines - 1,
                        glyph(0, last + last / columns, lines - 1), 7, 0));
    }
    // A split below an odd line of lines shown twice.
    crtc(9, 0xc7);
    seq(1, 1);
    crtc(1, 79);
    crtc(0x12, 0x8f);
    crtc(0x13, 40);
    crtc(12, 1);
    for (unsigned line = 99; line <= 100; line++) {
        const unsigned first = 256 + 6 * 80; // of the row that line 50 is in, when the split is below it
        const u8 shown = line == 99 ? 0 : (u8)(first + first / 132);

        split_at(line);
        look();
        ck_assert(shows(0, 50, glyph(0, shown, line == 99 ? 0 : 2), 7, 0));
        ck_assert(shows(0, 51, glyph(0, 0, line == 99), 7, 0));
    }
    // The vertical counter counts every other line.
    crtc(12, 0);
    split_at(0x3ff);
    crtc(9, 0x4f);
    crtc(0x17, 0xa7);
    look();
    ck_assert_uint_eq(shot.height, 800);
    ck_assert_uint_eq(text.rows, 50);
    // The address counter counts every other, or every fourth character.
    crtc(0x17, 0xab);
    look();
    ck_assert(shows(8, 0, glyph(0, 0, 0), 7, 0) && shows(16, 0, glyph(0, 1, 0), 7, 0));
    ck_assert_uint_eq(text.cell[3], 0x0701);
    crtc(0x14, 0x3f);
    look();
    ck_assert(shows(24, 0, glyph(0, 0, 0), 7, 0) && shows(32, 0, glyph(0, 1, 0), 7, 0));
}
END_TEST

START_TEST(blank)
{
    put(0, 'x', 0x47);
    seq(1, 0x20);
    look();
    ck_assert_uint_eq(at(0, 0), 0);
    ck_assert(!text.text);
    seq(1, 0);
    rig_in(r, 0x3da);
    rig_out(r, 0x3c0, 0x10); // the palette is the CPU's
    look();
    ck_assert(!text.text);
    attr(0x11, 0);
    crtc(0x17, 0x23); // the CRT controller stands still
    look();
    ck_assert(!text.text);
    crtc(0x17, 0xa3);
    look();
    ck_assert(text.text);
    gfx(6, 0x0f);
    look();
    ck_assert(!text.text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vga text");
    TCase *tc = tcase_create("vga text");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, characters);
    tcase_add_test(tc, blink_or_bright_background);
    tcase_add_test(tc, fonts);
    tcase_add_test(tc, underline);
    tcase_add_test(tc, cursor);
    tcase_add_test(tc, pages);
    tcase_add_test(tc, panning);
    tcase_add_test(tc, split_screen);
    tcase_add_test(tc, sizes);
    tcase_add_test(tc, blank);
    suite_add_tcase(suite, tc);
    return run_tests(srunner_create(suite));
}
