// SPDX-License-Identifier: GPL-2.0-or-later
// Disk images: requests that a worker thread carries out, and whose completion comes back on the vCPU thread.
//
//   vCPU thread                               worker thread, one an image
//   block_submit ---- queue ----------------> read, write or fdatasync
//   block_poll <----- finished, host->kick -- (blocks as long as it must)
//     request's done()
//
// Invariants
//  1. A request is reported finished after its data is where it belongs: a write after the host's
//     kernel has it (it survives the death of this process), a flush after fdatasync.
//  2. done() runs on the vCPU thread, from block_poll or from within block_submit.
//  3. Requests are carried out in the order of submission, so a flush covers every earlier write.
//  4. A request that failed in a way the user can mend (policy) is not finished: it waits in
//     `stalled`, the host has been told to stop the guest, and block_resume repeats it.
//  5. A flush that failed is never repeated, and all later ones fail: the data may be gone.
#ifndef RING3_MONITOR_DEV_BLOCK_H
#define RING3_MONITOR_DEV_BLOCK_H

#include "board.h"

#include <pthread.h>
#include <sys/uio.h>

#define BLOCK_SECTOR 512u

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH };

struct block_request {
    enum block_op op;
    u64 offset;      // bytes
    u32 len;
    u8 *buf;         // belongs to the device until done
    // Of a write: the pieces to be written instead of buf, as long, not at the image's ends. They may change meanwhile.
    const struct iovec *iov;
    unsigned iovs;
    void (*done)(struct block_request *request);
    void *opaque;
    int error;       // 0 or an errno value, for done
    bool busy;       // submitted and not done
    struct block_request *next;
};

struct block;

// A kind of image. All but open and close run on the worker thread, and may block; they return 0 or an errno
// value. read and write stay inside the image's size.
struct block_backend {
    // May be NULL: then there is a write for each piece.
    int (*writev)(struct block *b, u64 offset, const struct iovec *iov, unsigned iovs);
    int (*read)(struct block *b, u64 offset, u8 *buf, u32 len);
    int (*write)(struct block *b, u64 offset, const u8 *buf, u32 len);
    int (*flush)(struct block *b);
    void (*close)(struct block *b);
};

struct block_list {
    struct block_request *first, **last;
};

struct block {
    const struct board_host *host; // not owned
    struct block_config config;
    char *name;                    // the file's, owned
    const struct block_backend *ops;
    u64 size;                      // bytes, a multiple of 512
    bool readonly;

    // The file.
    int fd;
    u64 file_size;                 // bytes when it was opened; zeroes follow up to size
    int overlay;                   // of a snapshot, or -1
    u64 *written;                  // bit per page of the image that is in the overlay
    const struct block_backend *below; // what a snapshot covers
    struct nbd *nbd;               // of an image that a server has

    pthread_t thread;
    pthread_mutex_t lock;          // of what follows
    pthread_cond_t work, idle;
    struct block_list queue, finished;
    bool working, ending;
    bool plugged;                  // between block_plug and block_unplug
    bool hurry;                    // somebody waits for the worker: servers get less time
    int lost;                      // the error of a flush that failed

    struct block_list stalled;     // the vCPU thread's own
    int told;                      // the error that the user knows of
    u64 reads, writes, flushes, bytes_read, bytes_written; // counted for `info block`
};

// Opens an image and starts its worker. NULL on failure, with one sentence in *err.
struct block *block_open(const struct block_config *config, const struct board_host *host,
                         struct err *err);
// Ends what is under way, flushes, and closes. NULL is nothing.
void block_close(struct block *b);

// Starts a request, which must not be busy. Its range lies inside the image.
void block_submit(struct block *b, struct block_request *request);
// Reads at once, if nothing else is under way and nobody has to wait for it; else false, and all is to do by block_submit.
bool block_read_now(struct block *b, u64 offset, const struct iovec *iov, unsigned iovs, u32 len);
// Between the two, requests are only collected. At the end the worker gets them, and what is finished by then is done(): on a
// CPU that both threads share that may be all of them, without a kick.
void block_plug(struct block *b);
void block_unplug(struct block *b);
// Calls done() of what is finished.
void block_poll(struct block *b);
// Waits until nothing is under way, and forgets it: done() is not called. For resets.
void block_cancel(struct block *b);
// Repeats what is stalled.
void block_resume(struct block *b);
void block_print(struct block *b, const char *drive, FILE *f);

// Takes the image's size in bytes: rounds it up to sectors, or to a floppy disk's format. False if no drive of this kind
// can be so large.
bool block_fit(struct block *b, u64 bytes, struct err *err);

// block_raw.c: opens b->name as a plain file; fills in fd, sizes, readonly and ops.
bool block_raw_open(struct block *b, struct err *err);
// Reads from the file itself without waiting; false if that cannot be done just now, or not from this kind of image.
bool block_raw_try(struct block *b, u64 offset, const struct iovec *iov, unsigned iovs, u32 len);
// The name (qemu-nbd's) of the image format that the file's first or last bytes show, or NULL.
const char *block_raw_format(const char *file);
// block_nbd.c: whether the name is a URI of something that is reached over NBD.
bool block_nbd_uri(const char *name);
// Opens b->name over NBD: a URI, or a file of this format, for which a server is started. Fills in what block_raw_open
// does. Its requests fail with ECONNRESET while the server is gone; repeated ones start it again.
bool block_nbd_open(struct block *b, const char *format, struct err *err);
// block_snapshot.c: puts a temporary file over an open image.
bool block_snapshot_open(struct block *b, struct err *err);

#endif
