// SPDX-License-Identifier: GPL-2.0-or-later
// Panes of text, and the keys that a terminal's codes stand for.
#include "monitor/front/keys.c"
#include "monitor/front/pane.c"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/front/term_keys.c"

static struct pane p;

static void put(const char *text)
{
    for (; *text; text++)
        pane_put(&p, (u8)*text);
}

START_TEST(lines)
{
    pane_init(&p, 10);
    put("one\r\ntwo\b\bxy\nfour");
    ck_assert_str_eq(pane_line(&p, 0), "four");
    ck_assert_str_eq(pane_line(&p, 1), "txy");
    ck_assert_str_eq(pane_line(&p, 2), "one");
    ck_assert_ptr_null(pane_line(&p, 3));
    put("\n0123456789abc"); // folded
    ck_assert_str_eq(pane_line(&p, 0), "abc");
    ck_assert_str_eq(pane_line(&p, 1), "0123456789");
    for (int i = 0; i < 2 * PANE_LINES; i++)
        put("x\n");
    ck_assert_str_eq(pane_line(&p, PANE_LINES - 1), "x");
    ck_assert_ptr_null(pane_line(&p, PANE_LINES));
}
END_TEST

START_TEST(sequences)
{
    pane_init(&p, 80);
    put("\033[1;31mred\033[0m\033(Bab");
    ck_assert_str_eq(pane_line(&p, 0), "redBab"); // ESC ( is taken for a sequence of its own
    put("\033[3D\033[Kxy\033[5Cz");
    ck_assert_str_eq(pane_line(&p, 0), "redxy     z");
    put("\033[99999999999999999999999D-\033[99999999C+");
    ck_assert_int_eq(pane_line(&p, 0)[0], '-');
    ck_assert_int_eq(pane_line(&p, 0)[79], '+');
}
END_TEST

START_TEST(noise)
{
    srand(1);
    for (unsigned columns = 1; columns <= PANE_COLUMNS + 10; columns += 50) {
        pane_init(&p, columns);
        for (int i = 0; i < 200000; i++)
            pane_put(&p, rand() % 4 ? (u8)rand() : "\033[\r\n\b\tCDK9"[rand() % 10]);
    }
}
END_TEST

#ifdef RING3_CURSES
static void expect(int code, bool alt, const char *name)
{
    u8 want[KEYS_CHORD], keys[KEYS_CHORD];
    unsigned n = key_chord(name, strlen(name), want);

    ck_assert_uint_gt(n, 0);
    ck_assert_msg(term_key(code, alt, keys) == n && memcmp(keys, want, n) == 0, "code %#x is not %s", code, name);
}

START_TEST(keys)
{
    u8 none[KEYS_CHORD];

    expect('a', false, "a");
    expect('A', false, "shift-a");
    expect('a', true, "alt-a");
    expect('A', true, "alt-shift-a");
    expect('~', false, "shift-grave_accent");
    expect(1, false, "ctrl-a");
    expect(26, false, "ctrl-z");
    expect('\r', false, "ret");
    expect('\n', false, "ctrl-j");
    expect('\t', true, "alt-tab");
    expect(8, false, "ctrl-h");
    expect(0x7f, false, "backspace");
    expect(0x1b, false, "esc");
    expect(0, false, "ctrl-spc");
    expect(0x1c, false, "ctrl-backslash");
    expect(0x1f, false, "ctrl-minus");
    expect(KEY_F(1), false, "f1");
    expect(KEY_F(11), false, "f11");
    expect(KEY_F(12), true, "alt-f12");
    expect(KEY_F(13), false, "shift-f1");
    expect(KEY_F(28), false, "ctrl-f4");
    expect(KEY_F(50), false, "alt-f2");
    expect(KEY_UP, false, "up");
    expect(KEY_SLEFT, false, "shift-left");
    expect(KEY_BTAB, false, "shift-tab");
    expect(KEY_DC, true, "alt-delete");
    ck_assert_uint_eq(term_key(0x80, false, none), 0);
    ck_assert_uint_eq(term_key(-5, false, none), 0);
    ck_assert_uint_eq(term_key(KEY_MOUSE, false, none), 0);
}
END_TEST
#endif

int main(void)
{
    Suite *s = suite_create("pane");
    TCase *t = tcase_create("pane");
    SRunner *runner = srunner_create(s);
    int failed;

    tcase_add_test(t, lines);
    tcase_add_test(t, sequences);
    tcase_add_test(t, noise);
#ifdef RING3_CURSES
    tcase_add_test(t, keys);
#endif
    suite_add_tcase(s, t);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
