// SPDX-License-Identifier: GPL-2.0-or-later
// An NBD server as a child of ours: it gets a listening socket as systemd would pass it (LISTEN_FDS).
#ifndef RING3_MONITOR_DEV_NBD_SERVER_H
#define RING3_MONITOR_DEV_NBD_SERVER_H

#include "monitor/base/types.h"

#include <sys/types.h>

struct nbd_server {
    pid_t pid; // 0: none
    int said;  // what it prints: a file; -1: none
};

// Starts argv[0] (looked up in PATH) and connects to it; the connection's socket, or -1 with errno set. It has a process
// group of its own, so that Ctrl-C on our terminal is not for it.
int nbd_server_start(struct nbd_server *server, char *const *argv);
// The first line that it has printed, without its own name, into text.
void nbd_server_complaint(const struct nbd_server *server, char *text, size_t len);
// Asks it to end, waits for that as many milliseconds at most, and kills it. No server is nothing.
void nbd_server_end(struct nbd_server *server, unsigned ms);

#endif
