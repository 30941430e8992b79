// SPDX-License-Identifier: GPL-2.0-or-later
// Register names and interrupt rules from the PC16550D data sheet, section 8.
#include "ns16550.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };

#define IER_RDA BIT(0)
#define IER_THRE BIT(1)
#define IER_RLS BIT(2)
#define IER_MS BIT(3)

#define IIR_NONE 0x01
#define IIR_RLS 0x06
#define IIR_RDA 0x04
#define IIR_TIMEOUT 0x0c
#define IIR_THRE 0x02
#define IIR_MS 0x00
#define IIR_FIFOS 0xc0

#define FCR_ENABLE BIT(0)
#define FCR_CLEAR_RX BIT(1)
#define FCR_KEPT 0xc9

#define LCR_BREAK BIT(6)
#define LCR_DLAB BIT(7)

#define MCR_DTR BIT(0)
#define MCR_RTS BIT(1)
#define MCR_OUT1 BIT(2)
#define MCR_OUT2 BIT(3)
#define MCR_LOOP BIT(4)

#define LSR_DR BIT(0)
#define LSR_OE BIT(1)
#define LSR_BI BIT(4)
#define LSR_ERRORS 0x1e
#define LSR_EMPTY 0x60 // THRE and TEMT: bytes leave at once
#define LSR_FIFO_ERROR BIT(7)

#define MSR_CTS BIT(4)
#define MSR_DSR BIT(5)
#define MSR_RI BIT(6)
#define MSR_DCD BIT(7)

static bool fifos(const struct ns16550 *u)
{
    return u->fcr & FCR_ENABLE;
}

static unsigned depth(const struct ns16550 *u)
{
    return fifos(u) ? NS16550_FIFO : 1;
}

static unsigned trigger(const struct ns16550 *u)
{
    static const u8 level[4] = { 1, 4, 8, 14 };

    return fifos(u) ? level[u->fcr >> 6] : 1;
}

// The time one character takes on the wire: start, data, parity and stop bits of 16 clocks x
// divisor.
static u64 char_ns(const struct ns16550 *u)
{
    u64 bits = 1 + 5 + (u->lcr & 3) + !!(u->lcr & 8) + (u->lcr & 4 ? 2 : 1);

    return bits * 16 * (u->divisor ? u->divisor : 65536) * NS_PER_S / 1843200;
}

// The highest-priority interrupt that is pending and enabled, as IIR shows it.
static u8 pending(const struct ns16550 *u)
{
    if ((u->ier & IER_RLS) && (u->lsr_errors & LSR_ERRORS))
        return IIR_RLS;
    if ((u->ier & IER_RDA) && u->count >= trigger(u))
        return IIR_RDA;
    if ((u->ier & IER_RDA) && u->timeout)
        return IIR_TIMEOUT;
    if ((u->ier & IER_THRE) && u->thre)
        return IIR_THRE;
    if ((u->ier & IER_MS) && (u->msr & 0x0f))
        return IIR_MS;
    return IIR_NONE;
}

// On a PC, OUT2 gates the interrupt output.
static void update_irq(struct ns16550 *u)
{
    irq_set(&u->irq, (u->mcr & MCR_OUT2) && pending(u) != IIR_NONE);
}

// A byte came or went. The timer stays where it is and looks here when it fires: arming it anew for
// each byte would cost more than the byte.
static void restart_silence(struct ns16550 *u)
{
    u->active = timers_now(u->timers);
    if (fifos(u) && u->count && !u->timeout && !u->silence.armed)
        timer_arm(u->timers, &u->silence, u->active + 4 * char_ns(u));
}

static void silence_fired(void *opaque)
{
    struct ns16550 *u = opaque;
    u64 due = u->active + 4 * char_ns(u);

    if (!fifos(u) || !u->count || u->timeout)
        return;
    if (due > timers_now(u->timers)) {
        timer_arm(u->timers, &u->silence, due);
        return;
    }
    u->timeout = true;
    update_irq(u);
}

// ---- Receiver

// The byte on top brings its errors into the line status.
static void reveal_errors(struct ns16550 *u)
{
    if (u->count)
        u->lsr_errors |= u->flags[u->head];
}

static void receive(struct ns16550 *u, u8 byte, u8 flags)
{
    if (u->count == depth(u)) {
        u->lsr_errors |= LSR_OE;
        if (fifos(u)) // the shift register is overwritten, the FIFO is not
            return;
        u->count = 0;
    }
    unsigned at = (u->head + u->count++) % NS16550_FIFO;

    u->data[at] = byte;
    u->flags[at] = flags;
    if (u->count == 1)
        reveal_errors(u);
    u->received++;
}

static void clear_rx(struct ns16550 *u)
{
    u->count = 0;
    u->full = u->timeout = false;
    timer_arm(u->timers, &u->silence, TIMER_NEVER);
}

static void room_again(struct ns16550 *u)
{
    const struct board_host *host = u->timers->host;

    if (host->serial_room)
        host->serial_room(host->opaque, u->port);
}

static void pause_over(void *opaque)
{
    room_again(opaque);
}

// The FIFO is empty: three times as long as that took, the guest has for other things; but never
// more than four times what the wire itself would have taken.
static void start_pause(struct ns16550 *u)
{
    u64 now = timers_now(u->timers), busy = now - u->filled;
    u64 pause = MIN(3 * busy, 4 * depth(u) * char_ns(u));

    u->full = false;
    timer_arm(u->timers, &u->pause, now + pause);
}

static u8 read_rbr(struct ns16550 *u)
{
    u8 byte = u->data[u->head]; // an empty receiver gives the last byte again

    if (!u->count)
        return u->data[(u->head + NS16550_FIFO - 1) % NS16550_FIFO];
    u->head = (u->head + 1) % NS16550_FIFO;
    u->count--;
    u->timeout = false;
    reveal_errors(u);
    restart_silence(u);
    if (!u->count && !(u->mcr & MCR_LOOP))
        start_pause(u);
    return byte;
}

size_t ns16550_room(const struct ns16550 *u)
{
    if ((u->mcr & MCR_LOOP) || u->full || u->pause.armed)
        return 0;
    return depth(u) - u->count;
}

size_t ns16550_in(struct ns16550 *u, const u8 *bytes, size_t len)
{
    size_t n = MIN(len, ns16550_room(u));

    if (!n)
        return 0;
    if (!u->count)
        u->filled = timers_now(u->timers);
    for (size_t i = 0; i < n; i++)
        receive(u, bytes[i], 0);
    u->full = u->count == depth(u);
    restart_silence(u);
    update_irq(u);
    return n;
}

// ---- Transmitter and modem lines

static void transmit(struct ns16550 *u, u8 byte)
{
    const struct board_host *host = u->timers->host;

    if (u->mcr & MCR_LOOP) {
        receive(u, byte & 0xff >> (3 - (u->lcr & 3)), 0); // five to eight data bits
        restart_silence(u);
    } else if (!(u->lcr & LCR_BREAK)) {
        // All eight bits, whatever the frame: guests that never set LCR expect a console that
        // reads them.
        host->serial_out(host->opaque, u->port, &byte, 1);
        u->sent++;
    }
    u->thre = true;
}

// What the modem inputs are: a terminal that is always there, or in loop-back mode our own outputs.
static u8 modem_inputs(const struct ns16550 *u)
{
    if (!(u->mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0)
           | (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void update_modem(struct ns16550 *u)
{
    u8 before = u->msr & 0xf0, after = modem_inputs(u), changed = before ^ after;
    u8 delta = changed >> 4 & 0x0b;

    if (before & ~after & MSR_RI) // TERI: only the trailing edge of RI counts
        delta |= 4;
    u->msr = after | (u->msr & 0x0f) | delta;
}

// ---- Registers

static void write_fcr(struct ns16550 *u, u8 value)
{
    bool toggled = (value ^ u->fcr) & FCR_ENABLE;

    // The other bits are only taken together with the enable.
    u->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
    if (toggled || ((value & FCR_ENABLE) && (value & FCR_CLEAR_RX))) {
        clear_rx(u);
        room_again(u);
    }
}

static void set_divisor(struct ns16550 *u, u16 divisor)
{
    u->divisor = divisor;
    if (u->silence.armed) // character times have changed: look again
        timer_arm(u->timers, &u->silence, timers_now(u->timers));
}

static void write_ier(struct ns16550 *u, u8 value)
{
    // Enabling it with the holding register empty asks at once, whatever was read from IIR before.
    if (~u->ier & value & IER_THRE)
        u->thre = true;
    u->ier = value & 0x0f;
}

static void write_lcr(struct ns16550 *u, u8 value)
{
    bool breaks = ~u->lcr & value & LCR_BREAK;

    u->lcr = value;
    if (breaks && (u->mcr & MCR_LOOP))
        receive(u, 0, LSR_BI);
}

static void write_mcr(struct ns16550 *u, u8 value)
{
    bool was_looped = u->mcr & MCR_LOOP;

    u->mcr = value & 0x1f;
    update_modem(u);
    if (was_looped && !(value & MCR_LOOP))
        room_again(u);
}

static void ns16550_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct ns16550 *u = dev;
    bool dlab = u->lcr & LCR_DLAB;

    (void)size;
    switch (addr) {
    case RBR:
        if (dlab) {
            set_divisor(u, (u->divisor & 0xff00) | value);
        } else {
            u->thre = false;
            transmit(u, value);
        }
        break;
    case IER:
        if (dlab)
            set_divisor(u, (u->divisor & 0x00ff) | value << 8);
        else
            write_ier(u, value);
        break;
    case IIR:
        write_fcr(u, value);
        break;
    case LCR:
        write_lcr(u, value);
        break;
    case MCR:
        write_mcr(u, value);
        break;
    case SCR:
        u->scr = value;
        break;
    }
    update_irq(u);
}

static u8 read_lsr(struct ns16550 *u)
{
    u8 value = u->lsr_errors | (u->count ? LSR_DR : 0) | LSR_EMPTY;

    if (fifos(u))
        for (unsigned i = 0; i < u->count; i++)
            if (u->flags[(u->head + i) % NS16550_FIFO])
                value |= LSR_FIFO_ERROR;
    if (u->count)
        u->flags[u->head] = 0; // seen
    u->lsr_errors = 0;
    // Who polls for the next byte needn't wait until the timer wakes somebody up.
    if (u->pause.armed && timers_now(u->timers) >= u->pause.due) {
        timer_arm(u->timers, &u->pause, TIMER_NEVER);
        room_again(u);
    }
    return value;
}

static u8 read_iir(struct ns16550 *u)
{
    u8 value = pending(u);

    if (value == IIR_THRE) // reading it as the source is what clears it
        u->thre = false;
    return value | (fifos(u) ? IIR_FIFOS : 0);
}

static u64 ns16550_read(void *dev, u32 addr, unsigned size)
{
    struct ns16550 *u = dev;
    bool dlab = u->lcr & LCR_DLAB;
    u8 value = 0;

    (void)size;
    switch (addr) {
    case RBR:
        value = dlab ? u->divisor & 0xff : read_rbr(u);
        break;
    case IER:
        value = dlab ? u->divisor >> 8 : u->ier;
        break;
    case IIR:
        value = read_iir(u);
        break;
    case LCR:
        value = u->lcr;
        break;
    case MCR:
        value = u->mcr;
        break;
    case LSR:
        value = read_lsr(u);
        break;
    case MSR:
        value = u->msr;
        u->msr &= 0xf0;
        break;
    case SCR:
        value = u->scr;
        break;
    }
    update_irq(u);
    return value;
}

const struct bus_ops ns16550_ops = { ns16550_read, ns16550_write, 1 };

void ns16550_init(struct ns16550 *u, struct timers *timers, int port)
{
    *u = (struct ns16550){ .timers = timers, .port = port };
    timer_init(&u->silence, silence_fired, u);
    timer_init(&u->pause, pause_over, u);
}

void ns16550_reset(struct ns16550 *u)
{
    u->ier = u->lcr = u->mcr = u->fcr = u->lsr_errors = 0;
    u->divisor = 12; // 9600 baud; the data sheet leaves it undefined
    u->thre = false;
    u->msr = modem_inputs(u);
    u->head = 0;
    clear_rx(u);
    timer_arm(u->timers, &u->pause, TIMER_NEVER);
    update_irq(u);
}

void ns16550_print(const struct ns16550 *u, FILE *f)
{
    fprintf(f, "com%d: ier %02x lcr %02x mcr %02x msr %02x fcr %02x divisor %u fifo %u "
            "received %llu sent %llu\n", u->port + 1, u->ier, u->lcr, u->mcr, u->msr, u->fcr,
            u->divisor, u->count, (unsigned long long)u->received, (unsigned long long)u->sent);
}
