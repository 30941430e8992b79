// SPDX-License-Identifier: GPL-2.0-or-later
#include "chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// A pipe that poll calls writable takes this much without blocking (POSIX: PIPE_BUF is at least
// 512).
#define CHUNK 512

static void epoll_set(struct chardev *c, int op, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

    epoll_ctl(c->events, op, fd, &event);
}

void chardev_watch(struct chardev *c, bool on)
{
    if (on == c->watching || c->in < 0)
        return;
    c->watching = on;
    epoll_set(c, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, c->always >= 0 ? c->always : c->in);
}

static bool open_stdio(struct chardev *c)
{
    struct epoll_event event = { .events = EPOLLIN };

    c->in = STDIN_FILENO;
    c->out = STDOUT_FILENO;
    // Standard input may be closed, or a plain file or /dev/null, which epoll refuses but which
    // never block.
    if (epoll_ctl(c->events, EPOLL_CTL_ADD, c->in, &event) == 0) {
        c->watching = true;
        return true;
    }
    if (errno != EPERM) {
        c->in = -1;
        return true;
    }
    c->always = eventfd(1, EFD_CLOEXEC);
    if (c->always < 0)
        return false;
    chardev_watch(c, true);
    return true;
}

static bool open_file(struct chardev *c, const char *name, const char *path, struct err *err)
{
    c->out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (c->out < 0)
        return err_set(err, EXIT_HOST, "-%s: cannot write %s: %s", name, path, strerror(errno));
    return true;
}

static void connected(struct chardev *c, int fd)
{
    c->in = c->out = fd;
    c->watching = false;
    chardev_watch(c, true);
    if (c->kept_len) {
        size_t len = c->kept_len;

        c->kept_len = 0;
        chardev_write(c, c->kept, len, NULL, NULL);
    }
}

static void accept_one(struct chardev *c)
{
    int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    // One at a time: the next waits in the backlog.
    epoll_set(c, EPOLL_CTL_DEL, c->listener);
    connected(c, fd);
}

static void disconnected(struct chardev *c)
{
    if (c->in < 0)
        return;
    chardev_watch(c, false);
    if (c->kind == CHARDEV_UNIX) {
        close(c->in);
        c->out = -1;
    }
    c->in = -1;
    if (c->listener >= 0)
        epoll_set(c, EPOLL_CTL_ADD, c->listener);
}

// ",name", ",name=on", ",name=off"
static bool flag_option(const char *option, const char *name, bool *value)
{
    size_t n = strlen(name);

    if (strncmp(option, name, n) != 0)
        return false;
    option += n;
    if (!*option || strcmp(option, "=on") == 0)
        *value = true;
    else if (strcmp(option, "=off") == 0)
        *value = false;
    else
        return false;
    return true;
}

static bool serve(struct chardev *c, const struct sockaddr_un *addr, bool wait)
{
    struct stat st;

    // A socket left behind by a run that was killed; never anything else.
    if (lstat(addr->sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(addr->sun_path);
    c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->listener < 0 || bind(c->listener, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
        return false;
    c->path = strdup(addr->sun_path);
    if (!c->path || listen(c->listener, 1) < 0)
        return false;
    epoll_set(c, EPOLL_CTL_ADD, c->listener);
    while (wait && c->in < 0)
        accept_one(c);
    return fcntl(c->listener, F_SETFL, O_NONBLOCK) == 0;
}

static bool join(struct chardev *c, const struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return false;
    }
    connected(c, fd);
    return true;
}

static bool open_unix(struct chardev *c, const char *name, const char *text, struct err *err)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    char copy[256], *rest = copy, *path, *option;
    bool server = false, wait = true, no;

    snprintf(copy, sizeof(copy), "%s", text);
    path = strsep(&rest, ",");
    if (!*path || strlen(text) >= sizeof(copy) || strlen(path) >= sizeof(addr.sun_path))
        return err_set(err, EXIT_USAGE, "-%s: a socket's path has 1 to %zu characters", name,
                       sizeof(addr.sun_path) - 1);
    while ((option = strsep(&rest, ","))) {
        if (flag_option(option, "nowait", &no))
            wait = !no;
        else if (!flag_option(option, "server", &server) && !flag_option(option, "wait", &wait))
            return err_set(err, EXIT_USAGE,
                           "-%s: unix: has server=on|off and wait=on|off, no \"%s\"",
                           name, option);
    }
    memcpy(addr.sun_path, path, strlen(path));
    if (server ? !serve(c, &addr, wait) : !join(c, &addr))
        return err_set(err, EXIT_HOST, "-%s: cannot %s the socket %s: %s", name,
                       server ? "listen on" : "connect to", path, strerror(errno));
    return true;
}

bool chardev_open(struct chardev *c, const char *name, const char *text, struct err *err)
{
    bool ok = true;

    *c = CHARDEV_CLOSED;
    c->events = epoll_create1(EPOLL_CLOEXEC);
    if (c->events < 0)
        return err_set(err, EXIT_HOST, "-%s: no epoll descriptor: %s", name, strerror(errno));
    if (strcmp(text, "none") == 0 || strcmp(text, "null") == 0) {
        c->kind = CHARDEV_NONE;
    } else if (strcmp(text, "stdio") == 0) {
        c->kind = CHARDEV_STDIO;
        ok = open_stdio(c) ||
             err_set(err, EXIT_HOST, "-%s: no event descriptor: %s", name, strerror(errno));
    } else if (strncmp(text, "file:", 5) == 0) {
        c->kind = CHARDEV_FILE;
        ok = open_file(c, name, text + 5, err);
    } else if (strncmp(text, "unix:", 5) == 0) {
        c->kind = CHARDEV_UNIX;
        ok = open_unix(c, name, text + 5, err);
    } else {
        ok = err_set(err, EXIT_USAGE, "-%s %s: give stdio, file:PATH, unix:PATH or none", name,
                     text);
    }
    if (!ok)
        chardev_close(c);
    return ok;
}

void chardev_close(struct chardev *c)
{
    if (c->kind == CHARDEV_UNIX && c->in >= 0)
        close(c->in);
    if (c->kind == CHARDEV_FILE && c->out >= 0)
        close(c->out);
    if (c->path)
        unlink(c->path);
    if (c->listener >= 0)
        close(c->listener);
    if (c->always >= 0)
        close(c->always);
    if (c->events >= 0)
        close(c->events);
    free(c->path);
    free(c->kept);
    *c = CHARDEV_CLOSED;
}

size_t chardev_read(struct chardev *c, u8 *buf, size_t len)
{
    struct pollfd fd = { .fd = c->in, .events = POLLIN };
    ssize_t got;

    if (c->in < 0 && c->listener >= 0)
        accept_one(c);
    if (c->in < 0 || len == 0)
        return 0;
    fd.fd = c->in;
    // Standard input is shared with other processes and so stays blocking: look first.
    if (poll(&fd, 1, 0) <= 0)
        return 0;
    got = read(c->in, buf, len);
    if (got > 0)
        return (size_t)got;
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
        disconnected(c);
    return 0;
}

static void keep(struct chardev *c, const u8 *bytes, size_t len)
{
    size_t drop;

    if (!c->kept && !(c->kept = malloc(CHARDEV_KEEP)))
        return;
    if (len > CHARDEV_KEEP) {
        bytes += len - CHARDEV_KEEP;
        len = CHARDEV_KEEP;
    }
    drop = c->kept_len + len > CHARDEV_KEEP ? c->kept_len + len - CHARDEV_KEEP : 0;
    memmove(c->kept, c->kept + drop, c->kept_len - drop);
    c->kept_len -= drop;
    memcpy(c->kept + c->kept_len, bytes, len);
    c->kept_len += len;
}

void chardev_write(struct chardev *c, const u8 *bytes, size_t len, void (*idle)(void *),
                   void *opaque)
{
    while (len) {
        struct pollfd fds[2] = { { .fd = c->out, .events = POLLOUT },
                                 { .fd = idle && c->watching ? c->events : -1, .events = POLLIN } };
        ssize_t put;

        if (c->out < 0) {
            if (c->listener >= 0)
                keep(c, bytes, len);
            return;
        }
        if (poll(fds, 1, 0) == 0)
            poll(fds, 2, -1);
        if (fds[1].revents)
            idle(opaque);
        if (!fds[0].revents)
            continue;
        put = write(c->out, bytes, MIN(len, CHUNK));
        if (put > 0) {
            bytes += put;
            len -= (size_t)put;
        } else if (put < 0 && errno != EAGAIN && errno != EINTR) {
            // The reader is gone. For a socket its next reader gets what follows.
            if (c->kind == CHARDEV_UNIX)
                disconnected(c);
            else
                c->out = -1;
        }
    }
}
