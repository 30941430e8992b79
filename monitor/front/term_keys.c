// SPDX-License-Identifier: GPL-2.0-or-later
#include "term_keys.h"

#ifdef RING3_CURSES
#include <curses.h>
#include <string.h>

enum { SHIFT = 1, ALT = 2, CTRL = 4 }; // as in xterm's parameters, less one
#define KEY_CTRL 0x1d
#define KEY_SHIFT 0x2a
#define KEY_ALT 0x38

static const struct {
    int code;
    const char *name; // keys.h's
    unsigned modifiers;
} special[] = {
    { KEY_UP, "up", 0 }, { KEY_DOWN, "down", 0 }, { KEY_LEFT, "left", 0 }, { KEY_RIGHT, "right", 0 },
    { KEY_HOME, "home", 0 }, { KEY_END, "end", 0 }, { KEY_PPAGE, "pgup", 0 }, { KEY_NPAGE, "pgdn", 0 },
    { KEY_IC, "insert", 0 }, { KEY_DC, "delete", 0 }, { KEY_BACKSPACE, "backspace", 0 },
    { KEY_ENTER, "kp_enter", 0 }, { KEY_B2, "kp_5", 0 }, { KEY_A1, "home", 0 }, { KEY_A3, "pgup", 0 },
    { KEY_C1, "end", 0 }, { KEY_C3, "pgdn", 0 }, { KEY_FIND, "home", 0 }, { KEY_SELECT, "end", 0 },
    { KEY_BTAB, "tab", SHIFT }, { KEY_SR, "up", SHIFT }, { KEY_SF, "down", SHIFT },
    { KEY_SLEFT, "left", SHIFT }, { KEY_SRIGHT, "right", SHIFT }, { KEY_SHOME, "home", SHIFT },
    { KEY_SEND, "end", SHIFT }, { KEY_SPREVIOUS, "pgup", SHIFT }, { KEY_SNEXT, "pgdn", SHIFT },
    { KEY_SIC, "insert", SHIFT }, { KEY_SDC, "delete", SHIFT },
};

// The extended names of terminfo, which end in the modifiers plus one.
static const struct { const char *cap, *name; } extended[] = {
    { "kUP", "up" }, { "kDN", "down" }, { "kLFT", "left" }, { "kRIT", "right" }, { "kHOM", "home" },
    { "kEND", "end" }, { "kPRV", "pgup" }, { "kNXT", "pgdn" }, { "kIC", "insert" }, { "kDC", "delete" },
};

static unsigned chord(unsigned modifiers, u8 key, u8 keys[KEYS_CHORD])
{
    unsigned n = 0;

    if (modifiers & CTRL)
        keys[n++] = KEY_CTRL;
    if (modifiers & ALT)
        keys[n++] = KEY_ALT;
    if (modifiers & SHIFT)
        keys[n++] = KEY_SHIFT;
    keys[n++] = key;
    return n;
}

static unsigned named(unsigned modifiers, const char *name, u8 keys[KEYS_CHORD])
{
    return chord(modifiers, key_find(name, strlen(name)), keys);
}

// xterm's order: twelve alone, then with Shift, Ctrl, Ctrl and Shift, Alt, Alt and Shift.
static unsigned function_key(unsigned n, unsigned modifiers, u8 keys[KEYS_CHORD])
{
    static const u8 more[] = { 0, SHIFT, CTRL, CTRL | SHIFT, ALT, ALT | SHIFT };
    unsigned key = n % 12;

    if (n / 12 >= ARRAY_LEN(more))
        return 0;
    return chord(modifiers | more[n / 12], key < 10 ? 0x3b + key : 0x57 + (key - 10), keys);
}

static unsigned extended_key(int code, unsigned modifiers, u8 keys[KEYS_CHORD])
{
    const char *cap = keyname(code);

    for (unsigned i = 0; cap && i < ARRAY_LEN(extended); i++) {
        size_t n = strlen(extended[i].cap);

        if (strncmp(cap, extended[i].cap, n) == 0 && cap[n] >= '1' && cap[n] <= '8' && !cap[n + 1])
            return named(modifiers | (cap[n] - '1'), extended[i].name, keys);
    }
    return 0;
}

// A control character: Ctrl with a letter or sign, but for the keys that send one alone.
static unsigned control_key(int code, unsigned modifiers, u8 keys[KEYS_CHORD])
{
    static const char signs[] = "\\]6-"; // 1Ch to 1Fh
    u8 key[KEYS_CHORD];
    char sign;

    switch (code) {
    case '\r':
        return named(modifiers, "ret", keys);
    case '\t':
        return named(modifiers, "tab", keys);
    case 0x1b:
        return named(modifiers, "esc", keys);
    case 0:
        return named(modifiers | CTRL, "spc", keys);
    }
    sign = code < 0x1b ? (char)('a' + code - 1) : signs[code - 0x1c];
    return key_type(sign, key) == 1 ? chord(modifiers | CTRL, key[0], keys) : 0;
}

unsigned term_key(int code, bool alt, u8 keys[KEYS_CHORD])
{
    unsigned modifiers = alt ? ALT : 0, n;
    u8 key[KEYS_CHORD];

    if (code >= KEY_F(1) && code <= KEY_F(63))
        return function_key((unsigned)(code - KEY_F(1)), modifiers, keys);
    for (unsigned i = 0; i < ARRAY_LEN(special); i++)
        if (special[i].code == code)
            return named(modifiers | special[i].modifiers, special[i].name, keys);
    if (code == 0x7f)
        return named(modifiers, "backspace", keys);
    if (code >= 0 && code < ' ')
        return control_key(code, modifiers, keys);
    if (code > KEY_MAX)
        return extended_key(code, modifiers, keys);
    if (code < 0 || code > '~' || !(n = key_type((char)code, key)))
        return 0;
    return chord(modifiers | (n == 2 ? SHIFT : 0), key[n - 1], keys);
}
#endif
