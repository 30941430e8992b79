// SPDX-License-Identifier: GPL-2.0-or-later
// Images that are not plain files, over NBD: what has a URI, and files of other formats, which a qemu-nbd of ours serves.
//
// A server may die at any time, with what it has not written yet (of a qcow2 image: which cluster is where). So all writes
// since the last flush are kept here, and are repeated to the server that is started in its place: nothing that was
// acknowledged is lost. When they become too many, a flush of our own makes them superfluous.
#include "block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const schemes[] = { "nbd://", "nbds://", "nbd+unix://", "nbds+unix://", "http://", "https://" };

bool block_nbd_uri(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(schemes); i++)
        if (strncmp(name, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

#ifndef RING3_NBD

bool block_nbd_open(struct block *b, const char *format, struct err *err)
{
    return err_set(err, EXIT_INPUT, "%s is %s%s, and this ring3 was built without libnbd (package libnbd-dev): it takes "
                   "only raw images; convert it with qemu-img convert -O raw, or say format=raw if it is one", b->name,
                   format ? "an image of format " : "reached over NBD", format ? format : "");
}

#else

#include "nbd_server.h"

#include <libnbd.h>
#include <time.h>

#define KEPT_MAX (32u << 20) // bytes of writes since the last flush
#define LOOK_MS 100          // how often a wait looks whether it should end
#define HURRY_MS 2000        // how long a server may be silent while somebody waits for the disk to be at rest
#define FAREWELL_MS 1000
#define END_MS 5000          // for a server of ours to end by itself

struct kept {
    struct kept *next;
    u64 offset;
    u32 len;
    u8 data[];
};

struct nbd {
    struct nbd_handle *handle;
    struct nbd_server server;
    const char *format;        // NULL: b->name is a URI
    bool can_flush, silent;    // silent: it has not answered in time
    struct kept *first, **last;
    u64 kept;                  // bytes
};

// ---- Waiting, for what may never answer

static u64 now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000 + (u64)t.tv_nsec / 1000000;
}

// Waits for news from the server; false if it has been silent for too long since *heard, which moves with each news.
static bool news(struct block *b, u64 *heard, u64 patience)
{
    if (__atomic_load_n(&b->hurry, __ATOMIC_RELAXED))
        patience = MIN(patience, (u64)HURRY_MS);
    if (nbd_poll(b->nbd->handle, LOOK_MS) > 0)
        *heard = now_ms();
    b->nbd->silent = now_ms() - *heard > patience;
    return !b->nbd->silent;
}

static u64 patience(const struct block *b)
{
    return (u64)b->config.timeout_s * 1000;
}

static bool await_connection(struct block *b)
{
    u64 heard = now_ms();

    while (nbd_aio_is_connecting(b->nbd->handle) > 0)
        if (!news(b, &heard, patience(b)))
            return false;
    return nbd_aio_is_ready(b->nbd->handle) > 0;
}

// ---- Connecting

static bool is_web(const char *name)
{
    return strncmp(name, "http", 4) == 0 && block_nbd_uri(name);
}

static bool wants_write(const struct block *b)
{
    return !b->config.readonly && !b->config.snapshot && !b->config.cdrom;
}

// Starts the server that the image needs; the socket, or -1.
static int serve(struct block *b, struct nbd *nbd)
{
    char format[64], url[4096];
    char *cache = b->config.cache == BLOCK_UNSAFE ? "--cache=unsafe" : "--cache=writeback";
    char *nbdkit[] = { "nbdkit", "--foreground", "--exit-with-parent", "--readonly", "curl", url, NULL };
    char *qemu_nbd[] = { "qemu-nbd", format, cache, "--", b->name, NULL, NULL };

    snprintf(url, sizeof(url), "url=%s", b->name);
    snprintf(format, sizeof(format), "--format=%s", nbd->format ? nbd->format : "raw");
    if (!wants_write(b)) {
        qemu_nbd[3] = "--read-only";
        qemu_nbd[4] = "--";
        qemu_nbd[5] = b->name;
    }
    return nbd_server_start(&nbd->server, is_web(b->name) ? nbdkit : qemu_nbd);
}

static bool connect_to(struct block *b, struct nbd *nbd)
{
    bool own = nbd->format || is_web(b->name);
    int fd;

    nbd->handle = nbd_create();
    if (!nbd->handle)
        return false;
    if (!own)
        return nbd_aio_connect_uri(nbd->handle, b->name) == 0 && await_connection(b);
    fd = serve(b, nbd);
    return fd >= 0 && nbd_aio_connect_socket(nbd->handle, fd) == 0 && await_connection(b);
}

static void disconnect(struct block *b)
{
    struct nbd *nbd = b->nbd;
    u64 heard = now_ms();
    bool silent = nbd->silent;

    if (nbd->handle) {
        if (!silent && nbd_aio_is_ready(nbd->handle) > 0 && nbd_aio_disconnect(nbd->handle, 0) == 0)
            while (nbd_aio_is_closed(nbd->handle) == 0 && nbd_aio_is_dead(nbd->handle) == 0
                   && news(b, &heard, FAREWELL_MS))
                continue;
        nbd_close(nbd->handle);
    }
    nbd->handle = NULL;
    nbd->silent = false;
    nbd_server_end(&nbd->server, silent ? 0 : END_MS);
}

// ---- Commands

// The error of the call that has just failed.
static int error_of(struct nbd *nbd)
{
    int error = nbd_get_errno();

    if (nbd_aio_is_ready(nbd->handle) <= 0)
        return ECONNRESET;
    return error ? error : EIO;
}

// Waits for the end of a command; 0 or its error. After ETIMEDOUT there is no connection: the command's buffer is free.
static int await_command(struct block *b, int64_t cookie)
{
    u64 heard = now_ms();
    int done;

    if (cookie < 0)
        return error_of(b->nbd);
    while ((done = nbd_aio_command_completed(b->nbd->handle, (uint64_t)cookie)) == 0)
        if (!news(b, &heard, patience(b))) {
            disconnect(b);
            return ETIMEDOUT;
        }
    return done > 0 ? 0 : error_of(b->nbd);
}

static int send_write(struct block *b, u64 offset, const u8 *buf, u32 len)
{
    return await_command(b, nbd_aio_pwrite(b->nbd->handle, buf, len, offset, NBD_NULL_COMPLETION, 0));
}

// Makes the connection again if it is gone; 0, or why that cannot be done.
static int connected(struct block *b)
{
    struct nbd *nbd = b->nbd;

    if (nbd->handle && nbd_aio_is_ready(nbd->handle) > 0)
        return 0;
    disconnect(b);
    if (!connect_to(b, nbd))
        return nbd->silent ? ETIMEDOUT : ECONNRESET;
    if (nbd_get_size(nbd->handle) < (int64_t)b->file_size)
        return ECONNRESET;
    for (const struct kept *k = nbd->first; k; k = k->next) {
        int error = send_write(b, k->offset, k->data, k->len);

        if (error)
            return error;
    }
    return 0;
}

// ---- Requests

static int nbd_read(struct block *b, u64 offset, u8 *buf, u32 len)
{
    u32 n = offset >= b->file_size ? 0 : MIN((u64)len, b->file_size - offset);
    int error = connected(b);

    memset(buf + n, 0, len - n);
    if (error || !n)
        return error;
    error = await_command(b, nbd_aio_pread(b->nbd->handle, buf, n, offset, NBD_NULL_COMPLETION, 0));
    // nbdkit is there, and what it asks in its turn is not, or has changed: both can be mended.
    return error && error != ECONNRESET && error != ETIMEDOUT && is_web(b->name) ? EREMOTEIO : error;
}

static void forget_kept(struct nbd *nbd)
{
    struct kept *k;

    while ((k = nbd->first)) {
        nbd->first = k->next;
        free(k);
    }
    nbd->last = &nbd->first;
    nbd->kept = 0;
}

static int nbd_flush_all(struct block *b)
{
    int error = connected(b);

    if (!error && b->nbd->can_flush)
        error = await_command(b, nbd_aio_flush(b->nbd->handle, NBD_NULL_COMPLETION, 0));
    if (!error)
        forget_kept(b->nbd);
    return error;
}

static int keep(struct block *b, u64 offset, const u8 *buf, u32 len)
{
    struct nbd *nbd = b->nbd;
    struct kept *k;

    if (b->config.cache == BLOCK_UNSAFE)
        return 0;
    k = malloc(sizeof(*k) + len);
    if (!k)
        return nbd_flush_all(b);
    *k = (struct kept){ .offset = offset, .len = len };
    memcpy(k->data, buf, len);
    *nbd->last = k;
    nbd->last = &k->next;
    nbd->kept += len;
    return nbd->kept > KEPT_MAX ? nbd_flush_all(b) : 0;
}

static int nbd_write(struct block *b, u64 offset, const u8 *buf, u32 len)
{
    int error;

    // What a floppy's image leaves out of its format cannot be added here.
    if (offset + len > b->file_size)
        return EIO;
    error = connected(b);
    if (!error)
        error = send_write(b, offset, buf, len);
    return error ? error : keep(b, offset, buf, len);
}

static void nbd_close_all(struct block *b)
{
    forget_kept(b->nbd);
    disconnect(b);
    free(b->nbd);
    b->nbd = NULL;
}

static const struct block_backend nbd_backend = { NULL, nbd_read, nbd_write, nbd_flush_all, nbd_close_all };

bool block_nbd_open(struct block *b, const char *format, struct err *err)
{
    struct nbd *nbd = calloc(1, sizeof(*nbd));
    int64_t size;

    if (!nbd)
        return err_set(err, EXIT_HOST, "out of memory for %s", b->name);
    nbd->server.said = -1;
    nbd->last = &nbd->first;
    nbd->format = format && strcmp(format, "vhd") == 0 ? "vpc" : format;
    b->nbd = nbd;
    b->ops = &nbd_backend;
    b->readonly = b->config.readonly || b->config.cdrom;
    if (!connect_to(b, nbd) || (size = nbd_get_size(nbd->handle)) < 0) {
        char why[512];

        if (nbd->silent)
            snprintf(why, sizeof(why), "the server does not answer (timeout=%u seconds)", b->config.timeout_s);
        else if (nbd->server.pid)
            nbd_server_complaint(&nbd->server, why, sizeof(why));
        else
            snprintf(why, sizeof(why), "%s", nbd_get_error() ? nbd_get_error() : strerror(errno));
        return err_set(err, EXIT_INPUT, "cannot open %s%s%s: %s", b->name, format ? " as a disk image of format " : "",
                       format ? format : "", why);
    }
    if (wants_write(b) && nbd_is_read_only(nbd->handle) > 0)
        return err_set(err, EXIT_INPUT, "%s can only be read: use readonly=on, or -snapshot to throw writes away",
                       b->name);
    nbd->can_flush = nbd_can_flush(nbd->handle) > 0;
    b->file_size = (u64)size;
    return block_fit(b, b->file_size, err);
}

#endif
