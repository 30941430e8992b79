// SPDX-License-Identifier: GPL-2.0-or-later
#include "virtio_blk.h"

#include <stdlib.h>
#include <string.h>

#define F_SEG_MAX (1ull << 2)
#define F_READONLY (1ull << 5)
#define F_BLOCK_SIZE (1ull << 6)
#define F_FLUSH (1ull << 9)
#define F_WCE (1ull << 11)

enum { TYPE_IN = 0, TYPE_OUT = 1, TYPE_FLUSH = 4, TYPE_GET_ID = 8 };
enum { STATUS_OK = 0, STATUS_ERROR = 1, STATUS_UNSUPPORTED = 2 };
enum { CONFIG_CAPACITY = 0, CONFIG_SEG_MAX = 12, CONFIG_BLOCK_SIZE = 20, CONFIG_WCE = 32, CONFIG_LEN = 60 };

#define HEADER_LEN 16
#define ID_LEN 20

static void run_queue(struct virtio_blk *vb);

// Gives the chain back: its last byte is the status.
static void end(struct virtio_blk_request *r, u8 status, u32 written)
{
    struct virtio_blk *vb = r->owner;
    struct virtqueue *q = &vb->virtio.queue[0];

    if (r->chain.in_len)
        virtqueue_write(q, &r->chain, r->chain.in_len - 1, &status, 1);
    virtqueue_push(q, r->chain.head, written + (r->chain.in_len ? 1 : 0));
    r->taken = false;
    virtio_signal(&vb->virtio, 0);
}

static void done(struct block_request *block)
{
    struct virtio_blk_request *r = block->opaque;
    struct virtio_blk *vb = r->owner;
    struct virtqueue *q = &vb->virtio.queue[0];
    bool write_through = block->op == BLOCK_WRITE && !vb->virtio.config[CONFIG_WCE];

    if (!block->error && block->op == BLOCK_READ)
        virtqueue_write(q, &r->chain, 0, r->buf, block->len);
    if (!block->error && write_through) { // no cache to be flushed later
        *block = (struct block_request){ .op = BLOCK_FLUSH, .done = done, .opaque = r };
        block_submit(vb->block, block);
        return;
    }
    end(r, block->error ? STATUS_ERROR : STATUS_OK, block->op == BLOCK_READ && !block->error ? block->len : 0);
    // There is room for another request now.
    run_queue(vb);
}

static bool reserve(struct virtio_blk_request *r, u64 len)
{
    if (len <= r->buf_len)
        return true;
    free(r->buf);
    r->buf = malloc(len);
    r->buf_len = r->buf ? len : 0;
    return r->buf;
}

// Straight into the guest's memory; false if that cannot be done now.
static bool read_now(struct virtio_blk_request *r, u64 offset, u32 len)
{
    struct virtio_blk *vb = r->owner;
    struct virtqueue *q = &vb->virtio.queue[0];
    unsigned iovs = virtqueue_map(q, &r->chain, true, 0, len, r->iov);

    if (!iovs || !block_read_now(vb->block, offset, r->iov, iovs, len))
        return false;
    virtqueue_written(q, &r->chain, len);
    end(r, STATUS_OK, len);
    return true;
}

static void transfer(struct virtio_blk_request *r, bool write, u64 sector)
{
    struct virtio_blk *vb = r->owner;
    struct virtqueue *q = &vb->virtio.queue[0];
    u64 size = vb->block->size, offset = sector * BLOCK_SECTOR;
    u64 len = write ? r->chain.out_len - HEADER_LEN : r->chain.in_len - 1;
    unsigned iovs = 0;

    if (len % BLOCK_SECTOR || sector > size / BLOCK_SECTOR || len > size - offset || len > VIRTIO_BLK_MAX
        || (write && vb->block->readonly)) {
        end(r, STATUS_ERROR, 0);
        return;
    }
    if (len == 0) {
        end(r, STATUS_OK, 0);
        return;
    }
    if (!write && read_now(r, offset, len))
        return;
    // The disk's ends go by the buffer: an image looks at what is written there, and the guest must not change it then.
    if (write && offset && offset + len < size)
        iovs = virtqueue_map(q, &r->chain, false, HEADER_LEN, len, r->iov);
    if (!iovs && !reserve(r, len)) {
        end(r, STATUS_ERROR, 0);
        return;
    }
    if (write && !iovs)
        virtqueue_read(q, &r->chain, HEADER_LEN, r->buf, len);
    r->block = (struct block_request){
        .op = write ? BLOCK_WRITE : BLOCK_READ, .offset = offset, .len = len, .buf = r->buf,
        .iov = iovs ? r->iov : NULL, .iovs = iovs, .done = done, .opaque = r,
    };
    block_submit(vb->block, &r->block);
}

static void start(struct virtio_blk_request *r)
{
    struct virtio_blk *vb = r->owner;
    struct virtqueue *q = &vb->virtio.queue[0];
    struct { u32 type, priority; u64 sector; } header;
    char id[ID_LEN] = { 0 };

    // A header to read and a status to write are the least.
    if (virtqueue_read(q, &r->chain, 0, &header, sizeof(header)) < HEADER_LEN || !r->chain.in_len) {
        q->broken = true;
        r->taken = false;
        return;
    }
    switch (header.type) {
    case TYPE_IN:
    case TYPE_OUT:
        transfer(r, header.type == TYPE_OUT, header.sector);
        break;
    case TYPE_FLUSH:
        r->block = (struct block_request){ .op = BLOCK_FLUSH, .done = done, .opaque = r };
        block_submit(vb->block, &r->block);
        break;
    case TYPE_GET_ID:
        snprintf(id, sizeof(id), "ring3-%.13s", vb->name);
        end(r, STATUS_OK, virtqueue_write(q, &r->chain, 0, id, MIN(r->chain.in_len - 1, (u64)ID_LEN)));
        break;
    default:
        end(r, STATUS_UNSUPPORTED, 0);
    }
}

static struct virtio_blk_request *free_request(struct virtio_blk *vb)
{
    for (unsigned i = 0; i < VIRTIO_BLK_REQUESTS; i++)
        if (!vb->request[i].taken)
            return &vb->request[i];
    return NULL;
}

static void run_queue(struct virtio_blk *vb)
{
    struct virtio_blk_request *r;

    // A request that is finished at once comes back here through done().
    if (vb->running)
        return;
    vb->running = true;
    while ((r = free_request(vb)) && virtqueue_pop(&vb->virtio.queue[0], &r->chain)) {
        r->taken = true;
        start(r);
    }
    vb->running = false;
    if (vb->virtio.queue[0].broken)
        virtio_broken(&vb->virtio);
}

static void notified(struct virtio *v, unsigned n)
{
    struct virtio_blk *vb = (struct virtio_blk *)(void *)v;

    (void)n;
    block_plug(vb->block);
    run_queue(vb);
    block_unplug(vb->block);
}

static void forget(struct virtio *v)
{
    struct virtio_blk *vb = (struct virtio_blk *)(void *)v;

    block_cancel(vb->block);
    for (unsigned i = 0; i < VIRTIO_BLK_REQUESTS; i++)
        vb->request[i].taken = false;
    v->config[CONFIG_WCE] = 1;
}

static const struct virtio_ops ops = { notified, forget, NULL };

void virtio_blk_init(struct virtio_blk *vb, unsigned index, u8 devfn, struct block *block,
                     const struct board_host *host)
{
    struct virtio *v = &vb->virtio;
    u64 sectors = block->size / BLOCK_SECTOR;
    const u32 seg_max = VIRTQUEUE_MAX - 2, block_size = BLOCK_SECTOR;

    snprintf(vb->name, sizeof(vb->name), "virtio%u", index);
    virtio_init(v, vb->name, devfn, 2, 0x010000, &ops, host);
    v->offered |= F_SEG_MAX | F_BLOCK_SIZE | F_FLUSH | F_WCE | (block->readonly ? F_READONLY : 0);
    vb->block = block;
    for (unsigned i = 0; i < VIRTIO_BLK_REQUESTS; i++)
        vb->request[i] = (struct virtio_blk_request){ .owner = vb };
    v->config_len = CONFIG_LEN;
    memcpy(v->config + CONFIG_CAPACITY, &sectors, 8);
    memcpy(v->config + CONFIG_SEG_MAX, &seg_max, 4);
    memcpy(v->config + CONFIG_BLOCK_SIZE, &block_size, 4);
    v->config[CONFIG_WCE] = 1;
    v->config_writable[CONFIG_WCE] = 1;
}

void virtio_blk_destroy(struct virtio_blk *vb)
{
    if (vb->block)
        block_cancel(vb->block);
    for (unsigned i = 0; i < VIRTIO_BLK_REQUESTS; i++)
        free(vb->request[i].buf);
}
