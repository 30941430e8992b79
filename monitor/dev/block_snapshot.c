// SPDX-License-Identifier: GPL-2.0-or-later
// -snapshot: what is written goes to a temporary file without a name, page by page at the image's own
// offsets, and is gone when the machine ends.
#include "block.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_written(const struct block *b, u64 page)
{
    return b->written[page / 64] >> (page % 64) & 1;
}

static int overlay_io(struct block *b, u64 offset, u8 *buf, u32 len, bool write)
{
    while (len) {
        ssize_t n = write ? pwrite(b->overlay, buf, len, (off_t)offset)
                          : pread(b->overlay, buf, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        buf += n;
        offset += (u64)n;
        len -= (u32)n;
    }
    return 0;
}

static int snapshot_read(struct block *b, u64 offset, u8 *buf, u32 len)
{
    int error = 0;

    while (len && !error) {
        bool above = is_written(b, offset / PAGE_SIZE);
        u32 n = MIN(len, PAGE_SIZE - offset % PAGE_SIZE);

        while (n < len && is_written(b, (offset + n) / PAGE_SIZE) == above)
            n += MIN(len - n, PAGE_SIZE);
        error = above ? overlay_io(b, offset, buf, n, false) : b->below->read(b, offset, buf, n);
        offset += n;
        buf += n;
        len -= n;
    }
    return error;
}

// Brings a page that will be written in part into the overlay.
static int fetch_page(struct block *b, u64 page)
{
    u8 buf[PAGE_SIZE] = { 0 };
    u64 at = page * PAGE_SIZE;
    u32 len = MIN((u64)PAGE_SIZE, b->size - at);
    int error;

    if (is_written(b, page))
        return 0;
    error = b->below->read(b, at, buf, len);
    return error ? error : overlay_io(b, at, buf, len, true);
}

static int snapshot_write(struct block *b, u64 offset, const u8 *buf, u32 len)
{
    u64 first = offset / PAGE_SIZE, last = (offset + len - 1) / PAGE_SIZE;
    int error = 0;

    if (len == 0)
        return 0;
    if (offset % PAGE_SIZE)
        error = fetch_page(b, first);
    if (!error && (offset + len) % PAGE_SIZE)
        error = fetch_page(b, last);
    if (!error)
        error = overlay_io(b, offset, (u8 *)(uintptr_t)buf, len, true);
    for (u64 page = first; !error && page <= last; page++)
        b->written[page / 64] |= 1ull << (page % 64);
    return error;
}

// What is thrown away at the end needs no place on the disk before.
static int snapshot_flush(struct block *b)
{
    (void)b;
    return 0;
}

static void snapshot_close(struct block *b)
{
    b->below->close(b);
    if (b->overlay >= 0)
        close(b->overlay);
    free(b->written);
}

static const struct block_backend snapshot_backend = {
    NULL, snapshot_read, snapshot_write, snapshot_flush, snapshot_close,
};

bool block_snapshot_open(struct block *b, struct err *err)
{
    const char *dir = getenv("TMPDIR");
    u64 pages = (b->size + PAGE_SIZE - 1) / PAGE_SIZE;
    char path[4096];

    b->written = calloc((pages + 63) / 64, sizeof(*b->written));
    if (!b->written)
        return err_set(err, EXIT_HOST, "out of memory for the snapshot of %s", b->name);
    b->below = b->ops;
    b->ops = &snapshot_backend;
    snprintf(path, sizeof(path), "%s/ring3-snapshot-XXXXXX", dir ? dir : "/tmp");
    b->overlay = mkostemp(path, O_CLOEXEC);
    if (b->overlay < 0)
        return err_set(err, EXIT_HOST, "cannot create the snapshot's file %s: %s", path, strerror(errno));
    unlink(path);
    return true;
}
