// SPDX-License-Identifier: GPL-2.0-or-later
// Plain files (and block devices) as images.
#include "block.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

// The bytes of [offset, offset+len) that the file had when it was opened, or got since.
static u32 in_file(const struct block *b, u64 offset, u32 len)
{
    return offset >= b->file_size ? 0 : MIN((u64)len, b->file_size - offset);
}

static int raw_read(struct block *b, u64 offset, u8 *buf, u32 len)
{
    u32 left = in_file(b, offset, len);

    memset(buf + left, 0, len - left);
    while (left) {
        ssize_t n = pread(b->fd, buf, left, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENODATA; // it was truncated meanwhile
        buf += n;
        offset += (u64)n;
        left -= (u32)n;
    }
    return 0;
}

bool block_raw_try(struct block *b, u64 offset, const struct iovec *iov, unsigned iovs, u32 len)
{
    return b->overlay < 0 && b->fd >= 0 && in_file(b, offset, len) == len
           && preadv2(b->fd, iov, (int)iovs, (off_t)offset, RWF_NOWAIT) == (ssize_t)len;
}

// ---- Formats

// The format that a file with these first bytes and this beginning of its last sector has (qemu-nbd's name), or NULL.
static const char *find_magic(const u8 head[128], const u8 tail[8])
{
    static const struct { u64 at; const char *magic; u32 len; const char *name; } formats[] = {
        { 0, "QFI\xfb\0\0\0\1", 8, "qcow" },
        { 0, "QFI\xfb", 4, "qcow2" },
        { 0, "QED\0", 4, "qed" },
        { 0, "KDMV", 4, "vmdk" },
        { 0, "# Disk DescriptorFile", 21, "vmdk" },
        { 64, "\x7f\x10\xda\xbe", 4, "vdi" },
        { 0, "vhdxfile", 8, "vhdx" },
        { 0, "conectix", 8, "vpc" },
    };

    for (unsigned i = 0; i < ARRAY_LEN(formats); i++)
        if (memcmp(head + formats[i].at, formats[i].magic, formats[i].len) == 0)
            return formats[i].name;
    return memcmp(tail, "conectix", 8) == 0 ? "vpc" : NULL; // of fixed size
}

const char *block_raw_format(const char *file)
{
    u8 head[128] = { 0 }, tail[8] = { 0 };
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *name = NULL;
    off_t end;

    if (fd < 0)
        return NULL;
    end = lseek(fd, 0, SEEK_END);
    if (pread(fd, head, sizeof(head), 0) > 0 && (end < 1024 || pread(fd, tail, sizeof(tail), end - 512) > 0))
        name = find_magic(head, tail);
    close(fd);
    return name;
}

// A guest must not turn its raw image into one of a format that is opened as such next time: what such an image names as
// its base could be any file of the user's.
static bool disguises(const struct block *b, u64 offset, const u8 *buf, u32 len)
{
    static const u8 nothing[128];
    const u8 *head = offset == 0 && len >= 128 ? buf : nothing;
    const u8 *tail = offset + len == b->size && len >= 512 ? buf + len - 512 : nothing;

    return !b->config.format && (head != nothing || tail != nothing) && find_magic(head, tail);
}

// ---- The file

static int raw_write(struct block *b, u64 offset, const u8 *buf, u32 len)
{
    if (disguises(b, offset, buf, len))
        return EPERM;
    while (len) {
        ssize_t n = pwrite(b->fd, buf, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        buf += n;
        offset += (u64)n;
        len -= (u32)n;
        if (offset > b->file_size)
            b->file_size = offset;
    }
    return 0;
}

static int raw_writev(struct block *b, u64 offset, const struct iovec *iov, unsigned iovs)
{
    u64 at = offset;
    ssize_t n = pwritev(b->fd, iov, (int)iovs, (off_t)offset);

    if (n > 0) {
        at += (u64)n;
        b->file_size = MAX(b->file_size, at);
    }
    // What is left shows the error.
    for (unsigned i = 0; i < iovs; offset += iov[i++].iov_len) {
        u64 skip = MIN(at - offset, iov[i].iov_len);
        int error = at < offset + iov[i].iov_len
                        ? raw_write(b, at, (const u8 *)iov[i].iov_base + skip, (u32)(iov[i].iov_len - skip)) : 0;

        if (error)
            return error;
        at = MAX(at, offset + iov[i].iov_len);
    }
    return 0;
}

static int raw_flush(struct block *b)
{
    return fdatasync(b->fd) == 0 ? 0 : errno;
}

static void raw_close(struct block *b)
{
    close(b->fd); // and with it the lock
    b->fd = -1;
}

static const struct block_backend raw_backend = { raw_writev, raw_read, raw_write, raw_flush, raw_close };

// ---- Opening

// Another process that has the image: a lock of the file's description, which ends with it.
static bool lock_file(struct block *b, bool exclusive, struct err *err)
{
    struct flock lock = { .l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };

    if (fcntl(b->fd, F_OFD_SETLK, &lock) == 0)
        return true;
    if (errno == EAGAIN || errno == EACCES)
        return err_set(err, EXIT_INPUT, "%s is in use by another machine or another drive: two writers would "
                       "destroy it; end the other, or use readonly=on for both", b->name);
    return true; // a file system without locks
}

bool block_raw_open(struct block *b, struct err *err)
{
    bool write = !b->config.readonly && !b->config.snapshot && !b->config.cdrom;
    struct stat st;
    off_t end;

    b->readonly = b->config.readonly || b->config.cdrom;
    b->fd = open(b->name, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (b->fd < 0 && write && (errno == EACCES || errno == EROFS || errno == EPERM))
        return err_set(err, EXIT_INPUT, "%s cannot be written (%s): use readonly=on, or -snapshot to throw "
                       "writes away", b->name, strerror(errno));
    if (b->fd < 0)
        return err_set(err, EXIT_INPUT, "cannot open the image %s: %s", b->name, strerror(errno));
    b->ops = &raw_backend;
    if (fstat(b->fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return err_set(err, EXIT_INPUT, "%s is neither a file nor a block device", b->name);
    if (!lock_file(b, write, err))
        return false;
    end = lseek(b->fd, 0, SEEK_END);
    if (end < 0)
        return err_set(err, EXIT_INPUT, "cannot find the size of %s: %s", b->name, strerror(errno));
    b->file_size = (u64)end;
    return block_fit(b, b->file_size, err);
}
