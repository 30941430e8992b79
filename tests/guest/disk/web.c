// SPDX-License-Identifier: GPL-2.0-or-later
// A small web server on 127.0.0.1 for tests/guest/run-disks: web FILE [PORT]. Prints its port, and serves the file as
// /image, by ranges, and as /whole, without; nothing else is found. One process, so that one signal stops or kills it all.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECTIONS 16
#define REQUEST_MAX 4096

struct connection {
    char text[REQUEST_MAX];
    size_t len;
};

static struct pollfd fds[1 + CONNECTIONS]; // the first one listens
static struct connection connections[CONNECTIONS];
static const char *file;

static bool send_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);

        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static bool send_file(int to, int from, long long at, long long len)
{
    static char buf[65536];

    while (len) {
        ssize_t n = pread(from, buf, len < (long long)sizeof(buf) ? (size_t)len : sizeof(buf), at);

        if (n <= 0 || !send_all(to, buf, (size_t)n))
            return false;
        at += n;
        len -= n;
    }
    return true;
}

// Answers one request; false if the connection is to end.
static bool answer(int to, const char *request)
{
    bool head = strncmp(request, "HEAD ", 5) == 0, image = strstr(request, " /image "), ranged;
    const char *range = strcasestr(request, "\nRange: bytes=");
    long long first = 0, last, size;
    char text[512];
    struct stat st;
    int from = open(file, O_RDONLY), len;
    bool ok;

    if (from < 0 || fstat(from, &st) != 0 || !(image || strstr(request, " /whole "))) {
        static const char nothing[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

        if (from >= 0)
            close(from);
        return send_all(to, nothing, strlen(nothing));
    }
    size = st.st_size;
    last = size - 1;
    ranged = image && range && sscanf(range + 14, "%lld-%lld", &first, &last) >= 1;
    last = last < size ? last : size - 1; // RFC 9110, 14.1.2
    if (ranged && (first < 0 || first >= size || last < first)) {
        len = snprintf(text, sizeof(text), "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */%lld\r\n"
                       "Content-Length: 0\r\n\r\n", size);
        head = true;
    } else {
        len = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: %lld\r\n%s",
                       ranged ? "206 Partial Content" : "200 OK", last - first + 1, image ? "Accept-Ranges: bytes\r\n" : "");
        if (ranged)
            len += snprintf(text + len, sizeof(text) - (size_t)len, "Content-Range: bytes %lld-%lld/%lld\r\n", first, last,
                            size);
        len += snprintf(text + len, sizeof(text) - (size_t)len, "\r\n");
    }
    ok = send_all(to, text, (size_t)len) && (head || send_file(to, from, first, last - first + 1));
    close(from);
    return ok;
}

// Takes what has come; false if the connection is to end.
static bool take(int fd, struct connection *c)
{
    ssize_t n = read(fd, c->text + c->len, sizeof(c->text) - 1 - c->len);

    if (n <= 0)
        return false;
    c->len += (size_t)n;
    c->text[c->len] = '\0';
    if (!strstr(c->text, "\r\n\r\n"))
        return c->len < sizeof(c->text) - 1;
    c->len = 0; // nobody sends the next request before the answer
    return answer(fd, c->text);
}

static void welcome(void)
{
    int fd = accept(fds[0].fd, NULL, NULL);

    for (int i = 0; fd >= 0 && i < CONNECTIONS; i++)
        if (fds[1 + i].fd < 0) {
            fds[1 + i].fd = fd;
            connections[i].len = 0;
            return;
        }
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    int one = 1;

    if (argc < 2)
        return 2;
    file = argv[1];
    signal(SIGPIPE, SIG_IGN);
    address.sin_port = htons((unsigned short)(argc > 2 ? atoi(argv[2]) : 0));
    for (int i = 0; i < 1 + CONNECTIONS; i++)
        fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
    fds[0].fd = socket(AF_INET, SOCK_STREAM, 0);
    if (setsockopt(fds[0].fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0
        || bind(fds[0].fd, (const struct sockaddr *)&address, sizeof(address)) != 0 || listen(fds[0].fd, 16) != 0
        || getsockname(fds[0].fd, (struct sockaddr *)&address, &len) != 0) {
        perror("web");
        return 1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (poll(fds, 1 + CONNECTIONS, -1) > 0) {
        for (int i = 0; i < CONNECTIONS; i++)
            if (fds[1 + i].fd >= 0 && fds[1 + i].revents && !take(fds[1 + i].fd, &connections[i])) {
                close(fds[1 + i].fd);
                fds[1 + i].fd = -1;
            }
        if (fds[0].revents)
            welcome();
    }
    return 1;
}
