// SPDX-License-Identifier: GPL-2.0-or-later
// Commands as in IBM's PS/2 Technical Reference, "Keyboard and auxiliary device controller".
#include "i8042.h"

#include "scancodes.h"

#include <string.h>

#define STATUS_OBF BIT(0)
#define STATUS_SYS BIT(2)
#define STATUS_CMD BIT(3)
#define STATUS_UNLOCKED BIT(4)
#define STATUS_AUX BIT(5)
#define STATUS_TIMEOUT BIT(6)

#define CB_KBD_IRQ BIT(0)
#define CB_AUX_IRQ BIT(1)
#define CB_SYS BIT(2)
#define CB_KBD_OFF BIT(4)
#define CB_AUX_OFF BIT(5)
#define CB_TRANSLATE BIT(6)

#define OUT_RESET BIT(0) // low resets the CPU
#define OUT_A20 BIT(1)
#define OUT_KBD_FULL BIT(4)
#define OUT_AUX_FULL BIT(5)

// A byte takes eleven bits at some 12 kHz to come in. Drivers that read port 60h twice for one
// interrupt rely on the second byte not being there yet.
#define WIRE_NS 500000

// ---- Output buffer

static void update_irq(struct i8042 *k)
{
    bool full = k->status & STATUS_OBF, aux = k->status & STATUS_AUX;

    irq_set(&k->kbd.irq, full && !aux && (k->ram[0] & CB_KBD_IRQ));
    irq_set(&k->aux.irq, full && aux && (k->ram[0] & CB_AUX_IRQ));
}

static void fill(struct i8042 *k, u8 byte, u8 flags)
{
    k->output = byte;
    k->status &= ~(STATUS_AUX | STATUS_TIMEOUT);
    k->status |= STATUS_OBF | flags;
    update_irq(k);
}

static bool has_input(const struct i8042_port *port, bool off)
{
    return port->dev && port->dev->count && !off;
}

static bool kbd_has_input(const struct i8042 *k)
{
    return has_input(&k->kbd, k->ram[0] & CB_KBD_OFF);
}

static bool aux_has_input(const struct i8042 *k)
{
    return has_input(&k->aux, k->ram[0] & CB_AUX_OFF);
}

// Takes care that the next byte gets into the output buffer when it is free.
static void feed(struct i8042 *k)
{
    if (k->status & STATUS_OBF)
        return;
    if (k->reply_count) {
        u8 byte = k->replies[0], flags = k->reply_flags[0];

        k->reply_count--;
        memmove(k->replies, k->replies + 1, k->reply_count);
        memmove(k->reply_flags, k->reply_flags + 1, k->reply_count);
        fill(k, byte, flags);
    } else if (!k->wire.armed && (kbd_has_input(k) || aux_has_input(k))) {
        timer_arm(k->timers, &k->wire, timers_now(k->timers) + WIRE_NS);
    }
}

static void reply(struct i8042 *k, u8 byte, u8 flags)
{
    if (k->reply_count == ARRAY_LEN(k->replies)) // a host that only commands and never reads
        return;
    k->replies[k->reply_count] = byte;
    k->reply_flags[k->reply_count++] = flags;
    feed(k);
}

// Set 2 to set 1: F0h becomes bit 7 of the code that follows. False: nothing to show yet.
static bool translate(struct i8042 *k, u8 *byte)
{
    if (!(k->ram[0] & CB_TRANSLATE))
        return true;
    if (*byte == 0xf0) {
        k->breaking = true;
        return false;
    }
    *byte = scancode_translate(*byte) | (k->breaking ? 0x80 : 0);
    k->breaking = false;
    return true;
}

static void wire_fired(void *opaque)
{
    struct i8042 *k = opaque;

    if (k->status & STATUS_OBF)
        return;
    while (kbd_has_input(k)) {
        u8 byte = ps2_take(k->kbd.dev);

        if (translate(k, &byte)) {
            fill(k, byte, 0);
            return;
        }
    }
    if (aux_has_input(k))
        fill(k, ps2_take(k->aux.dev), STATUS_AUX);
}

static void device_ready(void *opaque)
{
    feed(opaque);
}

// ---- Commands

// A byte for a device. One that is not there does not answer: the controller says so (FEh,
// time-out).
static void send(struct i8042 *k, struct i8042_port *port, u8 off, u8 byte)
{
    k->ram[0] &= ~off; // sending turns the port's clock on
    if (port->dev)
        port->dev->ops->write(port->dev, byte);
    else
        reply(k, 0xfe, STATUS_TIMEOUT | (port == &k->aux ? STATUS_AUX : 0));
    feed(k);
}

static u8 output_port(const struct i8042 *k)
{
    u8 value = k->outport & ~(OUT_A20 | OUT_KBD_FULL | OUT_AUX_FULL);

    if (k->get_a20(k->opaque))
        value |= OUT_A20;
    if (k->status & STATUS_OBF)
        value |= k->status & STATUS_AUX ? OUT_AUX_FULL : OUT_KBD_FULL;
    return value;
}

static void write_output_port(struct i8042 *k, u8 value)
{
    k->outport = value;
    k->set_a20(k->opaque, value & OUT_A20);
    if (!(value & OUT_RESET))
        k->reset_cpu(k->reset_opaque);
}

static void write_ram(struct i8042 *k, unsigned at, u8 value)
{
    k->ram[at] = value;
    if (at != 0)
        return;
    k->status = (k->status & ~STATUS_SYS) | (value & CB_SYS ? STATUS_SYS : 0);
    update_irq(k);
    feed(k);
}

static void set_ram0(struct i8042 *k, u8 clear, u8 set)
{
    write_ram(k, 0, (k->ram[0] & ~clear) | set);
}

static void i8042_command(void *dev, u32 addr, u64 value, unsigned size)
{
    struct i8042 *k = dev;
    u8 command = value;

    (void)addr, (void)size;
    k->status |= STATUS_CMD;
    k->command = 0;
    switch (command) {
    case 0x20 ... 0x3f:
        reply(k, k->ram[command & 0x1f], 0);
        break;
    case 0x60 ... 0x7f: // write RAM
    case 0xd1:          // write the output port
    case 0xd2:          // write the output buffer, as from the keyboard
    case 0xd3:          // as from the auxiliary device
    case 0xd4:          // to the auxiliary device
        k->command = command;
        break;
    case 0xa4: // password test: none is installed
        reply(k, 0xf1, 0);
        break;
    case 0xa7:
        set_ram0(k, 0, CB_AUX_OFF);
        break;
    case 0xa8:
        set_ram0(k, CB_AUX_OFF, 0);
        break;
    case 0xa9: // test the auxiliary port's lines
    case 0xab: // test the keyboard's
        reply(k, 0x00, 0);
        break;
    case 0xaa: // self-test: sets the command byte up, too
        set_ram0(k, 0xff, CB_SYS | CB_KBD_OFF | CB_AUX_OFF | CB_TRANSLATE);
        reply(k, 0x55, 0);
        break;
    case 0xad:
        set_ram0(k, 0, CB_KBD_OFF);
        break;
    case 0xae:
        set_ram0(k, CB_KBD_OFF, 0);
        break;
    case 0xc0: // input port: keyboard not locked, colour display, no manufacturing jumper
        reply(k, 0xb0, 0);
        break;
    case 0xd0:
        reply(k, output_port(k), 0);
        break;
    case 0xdd:
        k->set_a20(k->opaque, false);
        break;
    case 0xdf:
        k->set_a20(k->opaque, true);
        break;
    case 0xe0: // test inputs: both clocks high
        reply(k, 0x03, 0);
        break;
    case 0xf0 ... 0xff: // pulse the output-port bits that are 0; only the reset line is wired
        if (!(command & OUT_RESET))
            k->reset_cpu(k->reset_opaque);
        break;
    }
}

static void i8042_data_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct i8042 *k = dev;
    u8 command = k->command, byte = value;

    (void)addr, (void)size;
    k->status &= ~STATUS_CMD;
    k->command = 0;
    switch (command) {
    case 0:
        send(k, &k->kbd, CB_KBD_OFF, byte);
        break;
    case 0xd1:
        write_output_port(k, byte);
        break;
    case 0xd2:
        reply(k, byte, 0);
        break;
    case 0xd3:
        reply(k, byte, STATUS_AUX);
        break;
    case 0xd4:
        send(k, &k->aux, CB_AUX_OFF, byte);
        break;
    default:
        write_ram(k, command & 0x1f, byte);
        break;
    }
}

static u64 i8042_data_read(void *dev, u32 addr, unsigned size)
{
    struct i8042 *k = dev;
    u8 value = k->output;

    (void)addr, (void)size;
    k->status &= ~(STATUS_OBF | STATUS_AUX | STATUS_TIMEOUT);
    update_irq(k);
    feed(k);
    return value;
}

static u64 i8042_status_read(void *dev, u32 addr, unsigned size)
{
    const struct i8042 *k = dev;

    (void)addr, (void)size;
    return k->status;
}

const struct bus_ops i8042_data_ops = { i8042_data_read, i8042_data_write, 1 };
const struct bus_ops i8042_command_ops = { i8042_status_read, i8042_command, 1 };

static void plug(struct i8042 *k, struct i8042_port *port, struct ps2 *dev)
{
    port->dev = dev;
    if (!dev)
        return;
    dev->ready = device_ready;
    dev->opaque = k;
}

void i8042_init(struct i8042 *k, struct timers *timers, struct ps2 *kbd, struct ps2 *aux)
{
    memset(k, 0, sizeof(*k));
    k->timers = timers;
    timer_init(&k->wire, wire_fired, k);
    plug(k, &k->kbd, kbd);
    plug(k, &k->aux, aux);
}

void i8042_reset(struct i8042 *k)
{
    timer_arm(k->timers, &k->wire, TIMER_NEVER);
    memset(k->ram, 0, sizeof(k->ram));
    // As a BIOS leaves it: the keyboard on, with its interrupt and translation.
    k->ram[0] = CB_KBD_IRQ | CB_SYS | CB_TRANSLATE | CB_AUX_OFF;
    k->status = STATUS_SYS | STATUS_UNLOCKED;
    k->output = k->command = 0;
    k->outport = 0xcd;
    k->reply_count = 0;
    k->breaking = false;
    if (k->kbd.dev)
        k->kbd.dev->ops->reset(k->kbd.dev);
    if (k->aux.dev)
        k->aux.dev->ops->reset(k->aux.dev);
    update_irq(k);
}

void i8042_print(const struct i8042 *k, FILE *f)
{
    fprintf(f, "8042: command byte %02x status %02x output %02x keyboard %u aux %u bytes\n",
            k->ram[0], k->status, k->output, k->kbd.dev ? k->kbd.dev->count : 0,
            k->aux.dev ? k->aux.dev->count : 0);
}
