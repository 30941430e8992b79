// SPDX-License-Identifier: GPL-2.0-or-later
#include "virtqueue.h"

#include <string.h>

#define DESC_NEXT 1
#define DESC_WRITE 2
#define DESC_INDIRECT 4
#define AVAIL_NO_INTERRUPT 1

struct desc {
    u64 gpa;
    u32 len;
    u16 flags, next;
};

static void get(const struct virtqueue *q, u64 gpa, void *buf, size_t len)
{
    if (q->host->dma_read)
        q->host->dma_read(q->host->opaque, gpa, buf, len);
    else
        memset(buf, 0, len);
}

static void put(const struct virtqueue *q, u64 gpa, const void *buf, size_t len)
{
    if (q->host->dma_write)
        q->host->dma_write(q->host->opaque, gpa, buf, len);
}

static u16 get16(const struct virtqueue *q, u64 gpa)
{
    u16 value;

    get(q, gpa, &value, 2);
    return value;
}

static void put16(const struct virtqueue *q, u64 gpa, u16 value)
{
    put(q, gpa, &value, 2);
}

void virtqueue_reset(struct virtqueue *q)
{
    const struct board_host *host = q->host;

    *q = (struct virtqueue){ .host = host, .size = VIRTQUEUE_MAX };
}

static bool add_piece(struct virtqueue_chain *c, const struct desc *d)
{
    bool in = d->flags & DESC_WRITE;

    // What the device writes comes last.
    if (c->out + c->in == VIRTQUEUE_PIECES || (!in && c->in))
        return false;
    c->piece[c->out + c->in] = (struct virtqueue_piece){ d->gpa, d->len };
    c->out += !in;
    c->in += in;
    c->out_len += in ? 0 : d->len;
    c->in_len += in ? d->len : 0;
    return true;
}

// Follows a chain through a table of n descriptors.
static bool follow(const struct virtqueue *q, struct virtqueue_chain *c, u64 table, u32 n, u32 at, bool inside)
{
    for (u32 steps = 0; steps < n; steps++) {
        struct desc d;

        if (at >= n)
            return false;
        get(q, table + 16ull * at, &d, sizeof(d));
        if (d.flags & DESC_INDIRECT) {
            // A table of its own, which ends the chain, and has no tables inside.
            if (inside || d.flags & DESC_NEXT || !d.len || d.len % 16 || d.len / 16 > VIRTQUEUE_PIECES)
                return false;
            return follow(q, c, d.gpa, d.len / 16, 0, true);
        }
        if (!add_piece(c, &d))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        at = d.next;
    }
    return false; // in a circle
}

bool virtqueue_pop(struct virtqueue *q, struct virtqueue_chain *c)
{
    u16 index;

    if (!q->ready || q->broken)
        return false;
    index = get16(q, q->avail + 2);
    if (index == q->seen)
        return false;
    if ((u16)(index - q->seen) > q->size) {
        q->broken = true;
        return false;
    }
    *c = (struct virtqueue_chain){ .head = get16(q, q->avail + 4 + 2ull * (q->seen % q->size)) };
    q->seen++;
    if (q->event_idx)
        put16(q, q->used + 4 + 8ull * q->size, q->seen);
    q->broken = !follow(q, c, q->desc, q->size, c->head, false);
    return !q->broken;
}

void virtqueue_push(struct virtqueue *q, u16 head, u32 written)
{
    const u32 element[2] = { head, written };

    if (!q->ready)
        return;
    put(q, q->used + 4 + 8ull * (q->done % q->size), element, sizeof(element));
    q->done++;
    put16(q, q->used + 2, q->done);
}

bool virtqueue_interrupts(struct virtqueue *q)
{
    u16 before = q->signalled, now = q->done, event;
    bool first = !q->signalled_valid;

    if (!q->event_idx)
        return !(get16(q, q->avail) & AVAIL_NO_INTERRUPT);
    q->signalled = now;
    q->signalled_valid = true;
    event = get16(q, q->avail + 4 + 2ull * q->size);
    return first || (u16)(now - event - 1) < (u16)(now - before);
}

static u32 copy(const struct virtqueue *q, const struct virtqueue_piece *piece, unsigned pieces, u64 offset,
                u8 *buf, u32 len, bool to_guest)
{
    u32 done = 0;

    for (unsigned i = 0; i < pieces && done < len; i++) {
        u32 n;

        if (offset >= piece[i].len) {
            offset -= piece[i].len;
            continue;
        }
        n = MIN((u64)(len - done), piece[i].len - offset);
        if (to_guest)
            put(q, piece[i].gpa + offset, buf + done, n);
        else
            get(q, piece[i].gpa + offset, buf + done, n);
        done += n;
        offset = 0;
    }
    return done;
}

u32 virtqueue_read(const struct virtqueue *q, const struct virtqueue_chain *c, u64 offset, void *buf, u32 len)
{
    return copy(q, c->piece, c->out, offset, buf, len, false);
}

u32 virtqueue_write(const struct virtqueue *q, const struct virtqueue_chain *c, u64 offset, const void *buf,
                    u32 len)
{
    return copy(q, c->piece + c->out, c->in, offset, (u8 *)(uintptr_t)buf, len, true);
}

unsigned virtqueue_map(const struct virtqueue *q, const struct virtqueue_chain *c, bool write, u64 offset, u32 len,
                       struct iovec *iov)
{
    const struct virtqueue_piece *piece = write ? c->piece + c->out : c->piece;
    unsigned pieces = write ? c->in : c->out, count = 0;

    for (unsigned i = 0; i < pieces && len && q->host->dma_map; i++) {
        u32 n;

        if (offset >= piece[i].len) {
            offset -= piece[i].len;
            continue;
        }
        n = MIN((u64)len, piece[i].len - offset);
        iov[count] = (struct iovec){ q->host->dma_map(q->host->opaque, piece[i].gpa + offset, n, write), n };
        if (!iov[count++].iov_base)
            return 0;
        len -= n;
        offset = 0;
    }
    return len ? 0 : count;
}

void virtqueue_written(const struct virtqueue *q, const struct virtqueue_chain *c, u32 len)
{
    for (unsigned i = c->out; i < c->out + c->in && len && q->host->dma_written; i++) {
        u32 n = MIN(len, c->piece[i].len);

        q->host->dma_written(q->host->opaque, c->piece[i].gpa, n);
        len -= n;
    }
}
