// SPDX-License-Identifier: GPL-2.0-or-later
// A disk over virtio (VIRTIO 1.1, section 5.2), with several requests under way at a time.
#ifndef RING3_MONITOR_DEV_VIRTIO_BLK_H
#define RING3_MONITOR_DEV_VIRTIO_BLK_H

#include "block.h"
#include "virtio.h"

#define VIRTIO_BLK_REQUESTS 16
#define VIRTIO_BLK_MAX (8u << 20) // bytes of one request

struct virtio_blk_request {
    struct block_request block;
    struct virtqueue_chain chain;
    struct virtio_blk *owner;
    struct iovec iov[VIRTQUEUE_PIECES]; // the guest's memory, if it can be had; else buf
    u8 *buf;
    u32 buf_len;
    bool taken;
};

struct virtio_blk {
    struct virtio virtio;
    struct block *block; // not owned
    struct virtio_blk_request request[VIRTIO_BLK_REQUESTS];
    char name[16];
    bool running;        // the queue is being worked on
};

void virtio_blk_init(struct virtio_blk *vb, unsigned index, u8 devfn, struct block *block,
                     const struct board_host *host);
void virtio_blk_destroy(struct virtio_blk *vb);

#endif
