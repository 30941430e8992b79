// SPDX-License-Identifier: GPL-2.0-or-later
#include "console.h"

#include "term.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CTRL_A 0x01

static const char help_text[] =
    "\n"
    "Ctrl-a x       quit ring3\n"
    "Ctrl-a c       commands, and back to the guest\n"
    "Ctrl-a h       this help\n"
    "Ctrl-a Ctrl-a  send Ctrl-a to the guest\n";

// ---- Opening

static bool watch(struct console *c, int fd, struct err *err)
{
    struct epoll_event event = { .events = EPOLLIN };

    return epoll_ctl(c->events, EPOLL_CTL_ADD, fd, &event) == 0
           || err_set(err, EXIT_HOST, "cannot wait for input: %s", strerror(errno));
}

// A stream that only takes output.
static bool open_output(struct chardev *dev, const char *name, const char *text, struct err *err)
{
    if (strncmp(text, "unix:", 5) == 0)
        return err_set(err, EXIT_USAGE, "-%s %s: give stdio, file:PATH or none", name, text);
    if (!chardev_open(dev, name, text, err))
        return false;
    // Standard input, if anyone's, is a serial port's.
    chardev_watch(dev, false);
    dev->in = -1;
    return true;
}

static bool open_port(struct console *c, const char *text, struct err *err)
{
    struct port *p = &c->port[c->ports++];

    p->console = c;
    p->pane = strcmp(text, "vc") == 0;
    if (p->pane && (p != c->port || !c->display))
        return err_set(err, EXIT_USAGE, "-serial vc is for the first port, under -display curses");
    if (!(p->backlog = malloc(CONSOLE_BACKLOG)))
        return err_set(err, EXIT_HOST, "out of memory");
    if (!chardev_open(&p->dev, "serial", p->pane ? "none" : text, err) || !watch(c, p->dev.events, err))
        return false;
    if (p->dev.kind != CHARDEV_STDIO)
        return true;
    if (c->terminal)
        return err_set(err, EXIT_USAGE, "-serial stdio: one port alone can have the terminal");
    c->terminal = p;
    return !c->display || err_set(err, EXIT_USAGE, "-serial stdio: with -display curses the terminal is the "
                                  "screen's; give vc, file:PATH, unix:PATH or none");
}

static void print_prompt(void *opaque, const char *text, size_t len)
{
    struct console *c = opaque;

    // No idle call here: this runs in the middle of reading input.
    if (c->display)
        display_print(c->display, PANE_MONITOR, (const u8 *)text, len);
    else if (c->terminal)
        chardev_write(&c->terminal->dev, (const u8 *)text, len, NULL, NULL);
}

bool console_open(struct console *c, const struct options *o, struct err *err)
{
    bool ok = true;

    memset(c, 0, sizeof(*c));
    for (unsigned n = 0; n < SERIAL_PORTS; n++)
        c->port[n].dev = CHARDEV_CLOSED;
    c->debug = c->parallel = CHARDEV_CLOSED;
    c->prompt.print = print_prompt;
    c->prompt.opaque = c;
    c->events = epoll_create1(EPOLL_CLOEXEC);
    if (c->events < 0)
        return err_set(err, EXIT_HOST, "no epoll descriptor: %s", strerror(errno));
    if (strcmp(o->display, "curses") == 0)
        ok = (c->display = display_new(err)) && watch(c, display_events(c->display), err);
    for (unsigned n = 0; ok && n < o->serials; n++)
        ok = open_port(c, o->serial[n], err);
    ok = ok && open_output(&c->debug, "debugcon", o->debugcon, err)
         && (!o->parallel || open_output(&c->parallel, "parallel", o->parallel, err));
    if (!ok) {
        console_close(c);
        return false;
    }
    if (c->debug.kind == CHARDEV_STDIO)
        c->debug_port = c->terminal;
    return true;
}

static void type_to_guest(void *opaque, u8 ch)
{
    struct port *p = opaque;

    // A person cannot fill it.
    if (p->tail < CONSOLE_BACKLOG)
        p->backlog[p->tail++] = ch;
}

bool console_start(struct console *c, struct machine *machine, struct err *err)
{
    c->machine = c->prompt.machine = machine;
    if (c->display)
        return display_start(c->display, machine, &c->prompt, c->port[0].pane ? type_to_guest : NULL,
                             &c->port[0], err);
    if (c->terminal && c->terminal->dev.in >= 0)
        term_raw(c->terminal->dev.in);
    return true;
}

void console_stop(struct console *c)
{
    if (c->display)
        display_stop(c->display);
    term_restore();
}

void console_close(struct console *c)
{
    console_stop(c);
    if (c->display)
        display_free(c->display);
    c->display = NULL;
    chardev_close(&c->debug);
    chardev_close(&c->parallel);
    for (unsigned n = 0; n < SERIAL_PORTS; n++) {
        chardev_close(&c->port[n].dev);
        free(c->port[n].backlog);
        c->port[n].backlog = NULL;
    }
    if (c->events >= 0)
        close(c->events);
    c->events = -1;
}

// ---- Input

static void deliver(struct console *c, u8 ch)
{
    if (c->commanding)
        prompt_key(&c->prompt, ch);
    else
        c->terminal->backlog[c->terminal->tail++] = ch;
}

static void escape(struct console *c, u8 ch)
{
    c->escaped = false;
    switch (ch) {
    case CTRL_A:
    case 'a':
        deliver(c, CTRL_A);
        break;
    case 'x':
        prompt_print(&c->prompt, "\nring3: quit\n");
        machine_quit(c->machine);
        break;
    case 'c':
        c->commanding = !c->commanding;
        prompt_print(&c->prompt, "\n");
        if (c->commanding)
            prompt_start(&c->prompt);
        break;
    case 'h':
    case '?':
        prompt_print(&c->prompt, help_text);
        if (c->commanding)
            prompt_start(&c->prompt);
        break;
    default:
        // Not an escape after all.
        deliver(c, CTRL_A);
        deliver(c, ch);
    }
}

static void typed(struct port *p, u8 ch)
{
    struct console *c = p->console;

    if (p != c->terminal)
        p->backlog[p->tail++] = ch;
    else if (c->escaped)
        escape(c, ch);
    else if (ch == CTRL_A)
        c->escaped = true;
    else
        deliver(c, ch);
}

// Reads what input there is and room for.
static void fill(struct port *p)
{
    u8 buf[4096];
    size_t got;

    if (p->head == p->tail) {
        p->head = p->tail = 0;
    } else if (p->head >= CONSOLE_BACKLOG / 4 && CONSOLE_BACKLOG - p->tail <= sizeof(buf)) {
        memmove(p->backlog, p->backlog + p->head, p->tail - p->head);
        p->tail -= p->head;
        p->head = 0;
    }
    // Room for one character more than is read: a Ctrl-a from last time may still be delivered.
    while (CONSOLE_BACKLOG - p->tail > sizeof(buf) && (got = chardev_read(&p->dev, buf, sizeof(buf))))
        for (size_t i = 0; i < got; i++)
            typed(p, buf[i]);
    chardev_watch(&p->dev, CONSOLE_BACKLOG - p->tail > sizeof(buf));
}

static void fill_idle(void *port)
{
    fill(port);
}

void console_poll(void *console)
{
    struct console *c = console;

    if (c->display)
        display_poll(c->display);
}

size_t console_read(void *console, int port, u8 *buf, size_t len)
{
    struct console *c = console;
    struct port *p = &c->port[port];
    size_t n;

    fill(p);
    n = MIN(len, p->tail - p->head);
    memcpy(buf, p->backlog + p->head, n);
    p->head += n;
    return n;
}

// ---- Output

void console_serial_out(void *console, int port, const u8 *bytes, size_t len)
{
    struct console *c = console;
    struct port *p = &c->port[port];

    if (p->pane)
        display_print(c->display, PANE_SERIAL, bytes, len);
    else
        chardev_write(&p->dev, bytes, len, fill_idle, p);
}

void console_parallel_out(void *console, u8 byte)
{
    struct console *c = console;

    chardev_write(&c->parallel, &byte, 1, NULL, NULL);
}

void console_debug_out(void *console, u8 byte)
{
    struct console *c = console;

    if (c->debug_port)
        chardev_write(&c->debug_port->dev, &byte, 1, fill_idle, c->debug_port);
    else
        chardev_write(&c->debug, &byte, 1, NULL, NULL);
}
