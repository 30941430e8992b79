// SPDX-License-Identifier: GPL-2.0-or-later
// The user's ends of the guest's serial ports, printer and debug port, the escapes of the one that is
// the terminal (Ctrl-a), and the display.
//
//   input ---> escape filter ---> backlog ---> console_read (the guest takes what it has room for)
//                   |
//                   +---> quit, help, the command line
//
// Invariants
//  1. Nothing that was typed or piped in is dropped: when the backlog is full, input is left where
//     it is.
//  2. Input is read, and so escapes are seen, also while the guest takes nothing or output has to
//     wait.
#ifndef RING3_MONITOR_FRONT_CONSOLE_H
#define RING3_MONITOR_FRONT_CONSOLE_H

#include "chardev.h"
#include "display.h"
#include "options.h"
#include "prompt.h"

struct port {
    struct console *console;
    struct chardev dev;
    bool pane;           // leads to the display's pane instead
    u8 *backlog;         // CONSOLE_BACKLOG bytes; [head, tail) waits for the guest
    size_t head, tail;
};

struct console {
    struct port port[SERIAL_PORTS];
    unsigned ports;
    struct chardev debug, parallel;
    struct port *debug_port; // the one that port 0xe9 writes to as well, or NULL
    struct display *display; // NULL: none
    int events;              // an epoll descriptor of all there is to wait for
    struct machine *machine; // not owned; set before the machine runs
    struct prompt prompt;
    struct port *terminal;   // the port that is standard input, or NULL
    bool escaped;            // Ctrl-a was typed there
    bool commanding;         // what is typed there goes to the prompt
};
#define CONSOLE_BACKLOG (4u << 20)

// Opens what the options say. The terminal is made raw later, by console_start.
bool console_open(struct console *c, const struct options *options, struct err *err);
// From here on the machine may run: raw terminal, if there is one, or the display.
bool console_start(struct console *c, struct machine *machine, struct err *err);
// The run is over: gives the terminal back.
void console_stop(struct console *c);
// Closes the streams as well.
void console_close(struct console *c);

// The callbacks of struct machine_config.
void console_poll(void *console);
size_t console_read(void *console, int port, u8 *buf, size_t len);
void console_serial_out(void *console, int port, const u8 *bytes, size_t len);
void console_parallel_out(void *console, u8 byte);
void console_debug_out(void *console, u8 byte);

#endif
