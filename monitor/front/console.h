// SPDX-License-Identifier: GPL-2.0-or-later The user's end of the guest's first serial port: the
// terminal, its escapes (Ctrl-a), and the command prompt behind Ctrl-a c.
//
//   input ---> escape filter ---> backlog ---> console_read (the guest takes what it has room for)
//                   |
//                   +---> quit, help, the command line
//
// Invariants
//  1. Nothing that was typed or piped in is dropped: when the backlog is full, input is left where
// it is.
//  2. Input is read, and so escapes are seen, also while the guest takes nothing or output has to
// wait.
#ifndef RING3_MONITOR_FRONT_CONSOLE_H
#define RING3_MONITOR_FRONT_CONSOLE_H

#include "chardev.h"
#include "monitor/run/machine.h"

struct console {
    struct chardev serial, debug;
    bool debug_shared;       // port 0xe9 writes to `serial`
    struct machine *machine; // not owned; set before the machine runs
    u8 *backlog;             // CONSOLE_BACKLOG bytes; [head, tail) waits for the guest
    size_t head, tail;
    bool escaped;            // Ctrl-a was typed
    bool commanding;         // input goes to the command line
    bool bracket;            // the last character of a command line was ESC: skip a sequence
    char line[256];
    unsigned line_len;
};
#define CONSOLE_BACKLOG (4u << 20)

// Opens both streams. The terminal is made raw later, by console_start.
bool console_open(struct console *c, const char *serial, const char *debugcon, struct err *err);
// From here on the machine may run: raw terminal, if there is one.
void console_start(struct console *c, struct machine *machine);
// Gives the terminal back and closes the streams.
void console_close(struct console *c);

// The callbacks of struct machine_config.
size_t console_read(void *console, u8 *buf, size_t len);
void console_serial_out(void *console, int port, const u8 *bytes, size_t len);
void console_debug_out(void *console, u8 byte);

// Prints to the user, after what the guest wrote.
void console_print(struct console *c, const char *text, size_t len);

// commands.c: runs one command line, printing to f.
void command_run(struct machine *m, const char *line, FILE *f);

#endif
