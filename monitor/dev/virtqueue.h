// SPDX-License-Identifier: GPL-2.0-or-later
// Split virtqueues, as in VIRTIO 1.1, section 2.6 (and in the legacy interface: there ring addresses follow from
// one page number).
//
// Everything in the rings is the guest's word: indices, addresses and lengths are checked where they are read, and
// a queue whose structure makes no sense is `broken` until the device is reset.
#ifndef RING3_MONITOR_DEV_VIRTQUEUE_H
#define RING3_MONITOR_DEV_VIRTQUEUE_H

#include "board.h"

#include <sys/uio.h>

#define VIRTQUEUE_MAX 256
#define VIRTQUEUE_PIECES 260

struct virtqueue {
    const struct board_host *host; // not owned
    u16 size;                      // of the rings, as the guest set it
    u64 desc, avail, used;         // guest-physical
    bool ready, broken;
    bool event_idx;                // VIRTIO_F_EVENT_IDX is in force
    u16 seen;                      // next entry of the available ring
    u16 done;                      // next entry of the used ring
    u16 signalled;                 // used index when the guest was last interrupted
    bool signalled_valid;
};

struct virtqueue_piece {
    u64 gpa;
    u32 len;
};

// A chain of buffers: first what the device reads, then what it writes.
struct virtqueue_chain {
    u16 head;
    unsigned out, in;              // pieces
    u64 out_len, in_len;           // bytes
    struct virtqueue_piece piece[VIRTQUEUE_PIECES]; // `out` and then `in` of them
};

void virtqueue_reset(struct virtqueue *q);
// Takes the next chain; false if there is none (or the queue is, or has just been found, broken).
bool virtqueue_pop(struct virtqueue *q, struct virtqueue_chain *chain);
// Gives a chain back, with so many bytes written.
void virtqueue_push(struct virtqueue *q, u16 head, u32 written);
// Whether the guest wants an interrupt for what was pushed since the last.
bool virtqueue_interrupts(struct virtqueue *q);
// Copies between buf and the chain's readable or writable part from `offset` on; the number of bytes.
u32 virtqueue_read(const struct virtqueue *q, const struct virtqueue_chain *chain, u64 offset, void *buf, u32 len);
u32 virtqueue_write(const struct virtqueue *q, const struct virtqueue_chain *chain, u64 offset, const void *buf,
                    u32 len);
// The memory itself of len bytes of the readable or writable part from `offset` on: the number of pieces in iov (of at
// least VIRTQUEUE_PIECES), or 0 if it cannot be had. Written memory is announced by virtqueue_written.
unsigned virtqueue_map(const struct virtqueue *q, const struct virtqueue_chain *chain, bool write, u64 offset, u32 len,
                       struct iovec *iov);
void virtqueue_written(const struct virtqueue *q, const struct virtqueue_chain *chain, u32 len);

#endif
