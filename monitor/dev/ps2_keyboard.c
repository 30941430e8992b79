// SPDX-License-Identifier: GPL-2.0-or-later
// The 101/102-key keyboard of IBM's PS/2 Technical Reference, "Keyboard": commands and scan-code
// sets.
#include "ps2.h"

#include "scancodes.h"

#define ACK 0xfa
#define RESEND 0xfe
#define SELF_TEST_OK 0xaa
#define ECHO 0xee

enum {
    CMD_LEDS = 0xed, CMD_ECHO = 0xee, CMD_SET = 0xf0, CMD_ID = 0xf2, CMD_RATE = 0xf3,
    CMD_ENABLE = 0xf4, CMD_DISABLE = 0xf5, CMD_DEFAULTS = 0xf6, CMD_ALL_TYPEMATIC = 0xf7,
    CMD_KEY_TYPEMATIC = 0xfb, CMD_KEY_MAKE = 0xfd, CMD_RESEND = 0xfe, CMD_RESET = 0xff,
};

#define DEFAULT_RATE 0x2b // 10.9 characters a second after 500 ms

static void defaults(struct ps2_keyboard *k)
{
    k->set = 2;
    k->rate = DEFAULT_RATE;
    k->repeating = 0;
    timer_arm(k->timers, &k->typematic, TIMER_NEVER);
}

static void power_on(struct ps2 *dev)
{
    struct ps2_keyboard *k = (struct ps2_keyboard *)dev;

    ps2_clear(dev);
    defaults(k);
    k->command = k->leds = k->last = 0;
    k->scanning = true;
    k->overrun = false;
}

static void reply(struct ps2_keyboard *k, u8 byte)
{
    k->last = byte;
    ps2_queue(&k->port, byte);
}

static void argument(struct ps2_keyboard *k, u8 byte)
{
    u8 command = k->command;

    k->command = 0;
    if (command == CMD_LEDS) {
        k->leds = byte & 7;
        reply(k, ACK);
    } else if (command == CMD_RATE) {
        k->rate = byte & 0x7f;
        reply(k, ACK);
    } else if (command == CMD_SET && byte <= 3) {
        reply(k, ACK);
        if (byte)
            k->set = byte;
        else
            reply(k, k->set);
    } else if (command == CMD_SET) {
        reply(k, RESEND);
    } else {
        // Key types of set 3, for single keys: FBh-FDh take key after key, until the next command.
        // They change nothing here: every key repeats and says when it is released.
        reply(k, ACK);
        k->command = command;
    }
}

static void command(struct ps2_keyboard *k, u8 byte)
{
    k->command = 0;
    switch (byte) {
    case CMD_LEDS:
    case CMD_SET:
    case CMD_RATE:
        ps2_clear(&k->port);
        k->command = byte;
        reply(k, ACK);
        break;
    case CMD_ECHO:
        reply(k, ECHO);
        break;
    case CMD_ID:
        reply(k, ACK);
        reply(k, 0xab);
        reply(k, 0x83);
        break;
    case CMD_ENABLE:
        ps2_clear(&k->port);
        k->scanning = true;
        reply(k, ACK);
        break;
    case CMD_DISABLE:
    case CMD_DEFAULTS:
        ps2_clear(&k->port);
        defaults(k);
        k->scanning = byte == CMD_DEFAULTS;
        reply(k, ACK);
        break;
    case CMD_RESEND:
        ps2_queue(&k->port, k->last);
        break;
    case CMD_RESET:
        power_on(&k->port);
        reply(k, ACK);
        reply(k, SELF_TEST_OK);
        break;
    default:
        if (byte >= CMD_KEY_TYPEMATIC && byte <= CMD_KEY_MAKE)
            k->command = byte;
        reply(k, byte >= CMD_ALL_TYPEMATIC && byte <= CMD_KEY_MAKE ? ACK : RESEND);
        break;
    }
}

static void keyboard_write(struct ps2 *dev, u8 byte)
{
    struct ps2_keyboard *k = (struct ps2_keyboard *)dev;

    if (k->command && byte < CMD_LEDS)
        argument(k, byte);
    else
        command(k, byte);
}

static const struct ps2_ops keyboard_ops = { keyboard_write, power_on };

// ---- Keys

static void send_key(struct ps2_keyboard *k, u8 key, bool down)
{
    u8 codes[SCANCODE_MAX];
    unsigned n = scancode_of(key, k->set, down, codes);

    // Codes go whole or not at all; a full buffer says so once (00h in sets 2 and 3, FFh in set 1).
    if (k->port.count + n + 1 > 17) {
        if (!k->overrun)
            ps2_queue(&k->port, k->set == 1 ? 0xff : 0x00);
        k->overrun = true;
        return;
    }
    k->overrun = false;
    for (unsigned i = 0; i < n; i++)
        ps2_queue(&k->port, codes[i]);
    if (n)
        k->last = codes[n - 1];
}

static u64 repeat_ns(const struct ps2_keyboard *k)
{
    // Period = (8 + A) * 2^B * 4.17 ms, with A in bits 0-2 and B in bits 3-4.
    return (8ull + (k->rate & 7)) * (1u << (k->rate >> 3 & 3)) * 4170000;
}

static void repeat(void *opaque)
{
    struct ps2_keyboard *k = opaque;

    if (!k->repeating || !k->scanning)
        return;
    send_key(k, k->repeating, true);
    timer_arm(k->timers, &k->typematic, timers_now(k->timers) + repeat_ns(k));
}

void ps2_keyboard_key(struct ps2_keyboard *k, u8 key, bool down)
{
    u64 delay = 250000000ull * (1 + (k->rate >> 5 & 3));

    if (!k->scanning)
        return;
    if (down && key != SCANCODE_PAUSE) {
        k->repeating = key;
        timer_arm(k->timers, &k->typematic, timers_now(k->timers) + delay);
    } else if (key == k->repeating) {
        k->repeating = 0;
        timer_arm(k->timers, &k->typematic, TIMER_NEVER);
    }
    send_key(k, key, down);
}

void ps2_keyboard_init(struct ps2_keyboard *k, struct timers *timers)
{
    *k = (struct ps2_keyboard){ .port.ops = &keyboard_ops, .timers = timers };
    timer_init(&k->typematic, repeat, k);
}
