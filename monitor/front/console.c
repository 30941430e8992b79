// SPDX-License-Identifier: GPL-2.0-or-later
#include "console.h"

#include "term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CTRL_A 0x01
#define PROMPT "(ring3) "

static const char help_text[] =
    "\n"
    "Ctrl-a x       quit ring3\n"
    "Ctrl-a c       commands, and back to the guest\n"
    "Ctrl-a h       this help\n"
    "Ctrl-a Ctrl-a  send Ctrl-a to the guest\n";

static bool open_debug(struct console *c, const char *text, struct err *err)
{
    if (strncmp(text, "unix:", 5) == 0)
        return err_set(err, EXIT_USAGE, "-debugcon %s: give stdio, file:PATH or none", text);
    if (!chardev_open(&c->debug, "debugcon", text, err))
        return false;
    // Output only: standard input, if anyone's, is the serial port's.
    chardev_watch(&c->debug, false);
    c->debug.in = -1;
    c->debug_shared = c->debug.kind == CHARDEV_STDIO && c->serial.kind == CHARDEV_STDIO;
    return true;
}

bool console_open(struct console *c, const char *serial, const char *debugcon, struct err *err)
{
    *c = (struct console){ .machine = NULL };
    c->backlog = malloc(CONSOLE_BACKLOG);
    if (!c->backlog)
        return err_set(err, EXIT_HOST, "out of memory");
    if (!chardev_open(&c->serial, "serial", serial, err)) {
        free(c->backlog);
        return false;
    }
    if (!open_debug(c, debugcon, err)) {
        chardev_close(&c->serial);
        free(c->backlog);
        return false;
    }
    return true;
}

void console_start(struct console *c, struct machine *machine)
{
    c->machine = machine;
    if (c->serial.kind == CHARDEV_STDIO && c->serial.in >= 0)
        term_raw(c->serial.in);
}

void console_close(struct console *c)
{
    term_restore();
    chardev_close(&c->debug);
    chardev_close(&c->serial);
    free(c->backlog);
    c->backlog = NULL;
}

void console_print(struct console *c, const char *text, size_t len)
{
    // No idle call here: this runs in the middle of reading input.
    chardev_write(&c->serial, (const u8 *)text, len, NULL, NULL);
}

static void print(struct console *c, const char *text)
{
    console_print(c, text, strlen(text));
}

static void run_line(struct console *c)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    print(c, "\n");
    c->line[c->line_len] = '\0';
    c->line_len = 0;
    if (!f)
        return;
    command_run(c->machine, c->line, f);
    fclose(f);
    console_print(c, text, len);
    free(text);
    print(c, PROMPT);
}

// One character typed at the command prompt.
static void edit_line(struct console *c, u8 ch)
{
    if (c->bracket) {
        // An escape sequence (an arrow key): skip to its final letter.
        c->bracket = !(ch >= '@' && ch != '[' && ch != 'O');
    } else if (ch == 0x1b) {
        c->bracket = true;
    } else if (ch == '\r' || ch == '\n') {
        run_line(c);
    } else if (ch == 0x7f || ch == '\b') {
        if (c->line_len) {
            c->line_len--;
            print(c, "\b \b");
        }
    } else if (ch == 0x15 || ch == 0x03) {
        c->line_len = 0;
        print(c, "\n" PROMPT);
    } else if (ch >= ' ' && c->line_len < sizeof(c->line) - 1) {
        c->line[c->line_len++] = (char)ch;
        console_print(c, (const char *)&ch, 1);
    }
}

static void deliver(struct console *c, u8 ch)
{
    if (c->commanding)
        edit_line(c, ch);
    else
        c->backlog[c->tail++] = ch;
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
        print(c, "\nring3: quit\n");
        machine_quit(c->machine);
        break;
    case 'c':
        c->commanding = !c->commanding;
        c->line_len = 0;
        print(c, c->commanding ? "\n" PROMPT : "\n");
        break;
    case 'h':
    case '?':
        print(c, help_text);
        if (c->commanding)
            print(c, PROMPT);
        break;
    default:
        // Not an escape after all.
        deliver(c, CTRL_A);
        deliver(c, ch);
    }
}

// Reads what input there is and room for.
static void fill(struct console *c)
{
    u8 buf[4096];
    size_t got;

    if (c->head == c->tail) {
        c->head = c->tail = 0;
    } else if (c->head >= CONSOLE_BACKLOG / 4 && CONSOLE_BACKLOG - c->tail <= sizeof(buf)) {
        memmove(c->backlog, c->backlog + c->head, c->tail - c->head);
        c->tail -= c->head;
        c->head = 0;
    }
    // Room for one character more than is read: a Ctrl-a from last time may still be delivered.
    while (CONSOLE_BACKLOG - c->tail > sizeof(buf) && (got = chardev_read(&c->serial, buf,
                                                                          sizeof(buf))))
        for (size_t i = 0; i < got; i++) {
            if (c->serial.kind != CHARDEV_STDIO)
                deliver(c, buf[i]);
            else if (c->escaped)
                escape(c, buf[i]);
            else if (buf[i] == CTRL_A)
                c->escaped = true;
            else
                deliver(c, buf[i]);
        }
    chardev_watch(&c->serial, CONSOLE_BACKLOG - c->tail > sizeof(buf));
}

static void fill_idle(void *console)
{
    fill(console);
}

size_t console_read(void *console, u8 *buf, size_t len)
{
    struct console *c = console;
    size_t n;

    fill(c);
    n = MIN(len, c->tail - c->head);
    memcpy(buf, c->backlog + c->head, n);
    c->head += n;
    return n;
}

void console_serial_out(void *console, int port, const u8 *bytes, size_t len)
{
    struct console *c = console;

    if (port == 0)
        chardev_write(&c->serial, bytes, len, fill_idle, c);
}

void console_debug_out(void *console, u8 byte)
{
    struct console *c = console;

    if (c->debug_shared)
        console_serial_out(c, 0, &byte, 1);
    else
        chardev_write(&c->debug, &byte, 1, NULL, NULL);
}
