// SPDX-License-Identifier: GPL-2.0-or-later
// Where a stream of characters comes from and goes to: -serial and -debugcon.
#ifndef RING3_MONITOR_FRONT_CHARDEV_H
#define RING3_MONITOR_FRONT_CHARDEV_H

#include "monitor/base/err.h"
#include "monitor/base/types.h"

enum chardev_kind { CHARDEV_NONE, CHARDEV_STDIO, CHARDEV_FILE, CHARDEV_UNIX };

// Output for a socket that nobody is connected to yet: the last so many bytes are kept for who
// comes.
#define CHARDEV_KEEP 65536

struct chardev {
    enum chardev_kind kind;
    int in, out;     // descriptors; -1: end of file, or nobody there
    int listener;    // the server's socket, or -1
    int events;      // an epoll descriptor: readable while input, or a new connection, waits
    int always;      // an eventfd that stands for an input that epoll cannot watch (a plain file)
    bool watching;   // `in` is watched
    u8 *kept;        // CHARDEV_KEEP bytes, allocated when first needed
    size_t kept_len;
    char *path;      // of the server's socket file, which is removed at the end; owned
};

// Nothing, fit for chardev_close.
#define CHARDEV_CLOSED ((struct chardev){ .in = -1, .out = -1, .listener = -1, .events = -1, .always = -1 })

// Opens what text says: stdio, file:PATH, unix:PATH[,server[=on|off]][,wait[=on|off]|,nowait],
// none. name is the option, for messages. On failure nothing is left behind.
bool chardev_open(struct chardev *c, const char *name, const char *text, struct err *err);
void chardev_close(struct chardev *c);

// Reads up to len bytes without blocking; 0 when there are none now or no more. Accepts
// connections.
size_t chardev_read(struct chardev *c, u8 *buf, size_t len);
// Whether `events` tells about input (no: the reader's buffer is full).
void chardev_watch(struct chardev *c, bool on);
// Writes all bytes. While it has to wait, calls idle(opaque), if given, whenever input comes. A
// reader that went away takes nothing more.
void chardev_write(struct chardev *c, const u8 *bytes, size_t len, void (*idle)(void *),
                   void *opaque);

#endif
