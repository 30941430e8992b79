// SPDX-License-Identifier: GPL-2.0-or-later
#include "keys.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    u8 code;
} keys_table[] = {
    { "esc", 0x01 }, { "1", 0x02 }, { "2", 0x03 }, { "3", 0x04 }, { "4", 0x05 }, { "5", 0x06 },
    { "6", 0x07 }, { "7", 0x08 }, { "8", 0x09 }, { "9", 0x0a }, { "0", 0x0b }, { "minus", 0x0c },
    { "equal", 0x0d }, { "backspace", 0x0e }, { "tab", 0x0f }, { "q", 0x10 }, { "w", 0x11 },
    { "e", 0x12 }, { "r", 0x13 }, { "t", 0x14 }, { "y", 0x15 }, { "u", 0x16 }, { "i", 0x17 },
    { "o", 0x18 }, { "p", 0x19 }, { "bracket_left", 0x1a }, { "bracket_right", 0x1b },
    { "ret", 0x1c }, { "enter", 0x1c }, { "ctrl", 0x1d }, { "a", 0x1e }, { "s", 0x1f }, { "d", 0x20 },
    { "f", 0x21 }, { "g", 0x22 }, { "h", 0x23 }, { "j", 0x24 }, { "k", 0x25 }, { "l", 0x26 },
    { "semicolon", 0x27 }, { "apostrophe", 0x28 }, { "grave_accent", 0x29 }, { "shift", 0x2a },
    { "backslash", 0x2b }, { "z", 0x2c }, { "x", 0x2d }, { "c", 0x2e }, { "v", 0x2f }, { "b", 0x30 },
    { "n", 0x31 }, { "m", 0x32 }, { "comma", 0x33 }, { "dot", 0x34 }, { "slash", 0x35 },
    { "shift_r", 0x36 }, { "kp_multiply", 0x37 }, { "alt", 0x38 }, { "spc", 0x39 },
    { "caps_lock", 0x3a }, { "f1", 0x3b }, { "f2", 0x3c }, { "f3", 0x3d }, { "f4", 0x3e },
    { "f5", 0x3f }, { "f6", 0x40 }, { "f7", 0x41 }, { "f8", 0x42 }, { "f9", 0x43 }, { "f10", 0x44 },
    { "num_lock", 0x45 }, { "scroll_lock", 0x46 }, { "kp_7", 0x47 }, { "kp_8", 0x48 },
    { "kp_9", 0x49 }, { "kp_subtract", 0x4a }, { "kp_4", 0x4b }, { "kp_5", 0x4c }, { "kp_6", 0x4d },
    { "kp_add", 0x4e }, { "kp_1", 0x4f }, { "kp_2", 0x50 }, { "kp_3", 0x51 }, { "kp_0", 0x52 },
    { "kp_decimal", 0x53 }, { "sysrq", 0xb7 }, { "less", 0x56 }, { "f11", 0x57 }, { "f12", 0x58 },
    { "kp_enter", 0x9c }, { "ctrl_r", 0x9d }, { "kp_divide", 0xb5 }, { "print", 0xb7 },
    { "alt_r", 0xb8 }, { "home", 0xc7 }, { "up", 0xc8 }, { "pgup", 0xc9 }, { "left", 0xcb },
    { "right", 0xcd }, { "end", 0xcf }, { "down", 0xd0 }, { "pgdn", 0xd1 }, { "insert", 0xd2 },
    { "delete", 0xd3 }, { "meta_l", 0xdb }, { "meta_r", 0xdc }, { "menu", 0xdd }, { "pause", 0xc6 },
};

u8 key_find(const char *name, size_t len)
{
    char *end;
    unsigned long code;

    for (unsigned i = 0; i < ARRAY_LEN(keys_table); i++)
        if (strlen(keys_table[i].name) == len && strncmp(keys_table[i].name, name, len) == 0)
            return keys_table[i].code;
    // Any other key by its code.
    if (len < 3 || strncmp(name, "0x", 2) != 0)
        return 0;
    code = strtoul(name, &end, 16);
    return end == name + len && code < 0x100 ? code : 0;
}

unsigned key_chord(const char *text, size_t len, u8 keys[KEYS_CHORD])
{
    unsigned count = 0;

    while (count < KEYS_CHORD) {
        const char *dash = memchr(text, '-', len);
        size_t n = dash ? (size_t)(dash - text) : len;

        keys[count] = key_find(text, n);
        if (!keys[count++])
            return 0;
        if (!dash)
            return count;
        text += n + 1;
        len -= n + 1;
    }
    return 0;
}

unsigned key_type(char c, u8 keys[KEYS_CHORD])
{
    // By key: the characters alone and with Shift, in the order of the codes from 02h.
    static const char plain[] = "1234567890-=\b\tqwertyuiop[]\n\0asdfghjkl;'`\0\\zxcvbnm,./";
    static const char shifted[] = "!@#$%^&*()_+\b\tQWERTYUIOP{}\n\0ASDFGHJKL:\"~\0|ZXCVBNM<>?";
    const char *at;

    if (c == ' ' || c == 0x1b) {
        keys[0] = c == ' ' ? 0x39 : 0x01;
        return 1;
    }
    if (c == 0)
        return 0;
    if ((at = memchr(plain, c, sizeof(plain) - 1))) {
        keys[0] = 2 + (at - plain);
        return 1;
    }
    if ((at = memchr(shifted, c, sizeof(shifted) - 1))) {
        keys[0] = 0x2a;
        keys[1] = 2 + (at - shifted);
        return 2;
    }
    return 0;
}

const char *key_nth_name(unsigned i)
{
    return i < ARRAY_LEN(keys_table) ? keys_table[i].name : NULL;
}
