// SPDX-License-Identifier: GPL-2.0-or-later
#include "block.h"

#include "floppy_format.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TIMEOUT_S 30 // of servers

static void list_init(struct block_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_add(struct block_list *list, struct block_request *r)
{
    r->next = NULL;
    *list->last = r;
    list->last = &r->next;
}

static struct block_request *list_take(struct block_list *list)
{
    struct block_request *r = list->first;

    if (r) {
        list->first = r->next;
        if (!list->first)
            list->last = &list->first;
    }
    return r;
}

// ---- The worker

// The server is gone, or silent.
static bool unreachable(const struct block *b, int error)
{
    return b->nbd && (error == ECONNRESET || error == ETIMEDOUT || error == EREMOTEIO);
}

// After a failed flush the host's kernel may have dropped what it could not write, and another one would succeed all the
// same: what was promised can not be kept any more, so no later flush succeeds.
static int flush(struct block *b)
{
    int error = b->config.cache == BLOCK_UNSAFE ? 0 : b->lost ? b->lost : b->ops->flush(b);

    if (!unreachable(b, error)) // a server that comes back gets everything again
        b->lost = error;
    return error;
}

static int write_out(struct block *b, const struct block_request *r)
{
    u64 offset = r->offset;
    int error = 0;

    if (!r->iov)
        return b->ops->write(b, r->offset, r->buf, r->len);
    if (b->ops->writev)
        return b->ops->writev(b, r->offset, r->iov, r->iovs);
    for (unsigned i = 0; i < r->iovs && !error; offset += r->iov[i++].iov_len)
        error = b->ops->write(b, offset, r->iov[i].iov_base, (u32)r->iov[i].iov_len);
    return error;
}

static int carry_out(struct block *b, const struct block_request *r)
{
    int error;

    switch (r->op) {
    case BLOCK_READ:
        return b->ops->read(b, r->offset, r->buf, r->len);
    case BLOCK_WRITE:
        error = write_out(b, r);
        return error || b->config.cache != BLOCK_WRITETHROUGH ? error : flush(b);
    default:
        return flush(b);
    }
}

static void forget(struct block_list *list)
{
    struct block_request *r;

    while ((r = list_take(list)))
        r->busy = false;
}

static void *worker(void *opaque)
{
    struct block *b = opaque;

    prctl(PR_SET_NAME, "ring3-disk");
    pthread_mutex_lock(&b->lock);
    while (!b->ending || b->queue.first) {
        struct block_request *r = list_take(&b->queue);
        bool first;

        if (!r) {
            b->working = false;
            pthread_cond_broadcast(&b->idle);
            pthread_cond_wait(&b->work, &b->lock);
            continue;
        }
        b->working = true;
        pthread_mutex_unlock(&b->lock);
        r->error = carry_out(b, r);
        pthread_mutex_lock(&b->lock);
        first = !b->finished.first;
        list_add(&b->finished, r);
        if (b->ending && r->error == ETIMEDOUT) // nor would the rest come to an end
            forget(&b->queue);
        if (!first || b->plugged || !b->host->kick) // block_poll is on its way already
            continue;
        pthread_mutex_unlock(&b->lock);
        b->host->kick(b->host->opaque);
        pthread_mutex_lock(&b->lock);
    }
    b->working = false;
    pthread_cond_broadcast(&b->idle);
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

static bool start_worker(struct block *b, struct err *err)
{
    sigset_t all, old;
    int rc;

    // Signals are for the vCPU thread.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&b->thread, NULL, worker, b);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc == 0 || err_set(err, EXIT_HOST, "cannot start a thread for %s: %s", b->name, strerror(rc));
}

// ---- The vCPU thread's side

// An image of a floppy disk may end early: to the guest it has all of its format's size.
bool block_fit(struct block *b, u64 bytes, struct err *err)
{
    unsigned long long n = bytes;

    if (bytes == 0)
        return err_set(err, EXIT_INPUT, "%s is empty", b->name);
    b->size = (bytes + BLOCK_SECTOR - 1) & ~(u64)(BLOCK_SECTOR - 1);
    if (b->config.floppy) {
        if (!floppy_format(bytes))
            return err_set(err, EXIT_INPUT, "%s is no floppy image: %llu bytes are more than a 2.88 MB disk "
                           "has; is it for -hda?", b->name, n);
        b->size = floppy_bytes(floppy_format(bytes));
    }
    if (b->size != bytes && !b->config.floppy && !b->config.cdrom)
        return err_set(err, EXIT_INPUT, "%s is no disk image: its size, %llu bytes, is not a multiple of 512 "
                       "(truncate -s %%512 would make it one)", b->name, n);
    return true;
}

static const char *reason(int error)
{
    switch (error) {
    case EPERM:
        return "this would make the raw image look like one of another format; format=raw allows it";
    case ENODATA:
        return "the file has been made shorter meanwhile";
    case ECONNRESET:
        return "the server is gone";
    case ETIMEDOUT:
        return "the server does not answer";
    case EREMOTEIO:
        return "the web server is gone, or does not give what it did";
    default:
        return strerror(error);
    }
}

static bool open_image(struct block *b, struct err *err)
{
    const char *format = b->config.format;

    if (block_nbd_uri(b->name))
        return block_nbd_open(b, NULL, err);
    if (!format)
        format = block_raw_format(b->name);
    return !format || strcmp(format, "raw") == 0 ? block_raw_open(b, err) : block_nbd_open(b, format, err);
}

struct block *block_open(const struct block_config *config, const struct board_host *host,
                         struct err *err)
{
    struct block *b = calloc(1, sizeof(*b));

    if (!b || !(b->name = strdup(config->file))) {
        free(b);
        err_set(err, EXIT_HOST, "out of memory for %s", config->file);
        return NULL;
    }
    b->host = host;
    b->config = *config;
    if (!b->config.timeout_s)
        b->config.timeout_s = TIMEOUT_S;
    b->fd = b->overlay = -1;
    list_init(&b->queue);
    list_init(&b->finished);
    list_init(&b->stalled);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->work, NULL);
    pthread_cond_init(&b->idle, NULL);
    if (open_image(b, err) && (!config->snapshot || block_snapshot_open(b, err))
        && start_worker(b, err))
        return b;
    if (b->ops)
        b->ops->close(b);
    free(b->name);
    free(b);
    return NULL;
}

// Nobody is left who could repeat it.
static void last_flush(struct block *b)
{
    int error = b->ops->flush(b);
    char text[512];

    if (!error || !b->host->tell)
        return;
    snprintf(text, sizeof(text), "flushing %s failed: %s; what the guest wrote last may be lost", b->name,
             reason(error));
    b->host->tell(b->host->opaque, text);
}

void block_close(struct block *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->ending = true;
    __atomic_store_n(&b->hurry, true, __ATOMIC_RELAXED);
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    if (!b->readonly && b->config.cache != BLOCK_UNSAFE)
        last_flush(b);
    b->ops->close(b);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->work);
    pthread_cond_destroy(&b->idle);
    free(b->name);
    free(b);
}

static void finish(struct block_request *r)
{
    r->busy = false;
    r->done(r);
}

static void enqueue(struct block *b, struct block_request *r)
{
    bool wake;

    pthread_mutex_lock(&b->lock);
    list_add(&b->queue, r);
    b->working = true;
    wake = !b->plugged;
    pthread_mutex_unlock(&b->lock);
    // Without the lock, for which a worker on this CPU would have to wait at once.
    if (wake)
        pthread_cond_signal(&b->work);
}

static void count(struct block *b, const struct block_request *r)
{
    b->reads += r->op == BLOCK_READ;
    b->writes += r->op == BLOCK_WRITE;
    b->flushes += r->op == BLOCK_FLUSH;
    b->bytes_read += r->op == BLOCK_READ ? r->len : 0;
    b->bytes_written += r->op == BLOCK_WRITE ? r->len : 0;
}

static bool idle(struct block *b)
{
    bool waits;

    pthread_mutex_lock(&b->lock);
    waits = b->working;
    pthread_mutex_unlock(&b->lock);
    return !waits && !b->stalled.first;
}

bool block_read_now(struct block *b, u64 offset, const struct iovec *iov, unsigned iovs, u32 len)
{
    const struct block_request r = { .op = BLOCK_READ, .len = len };

    CHECK(offset <= b->size && len <= b->size - offset);
    // Behind other requests the order is kept.
    if (!idle(b) || !block_raw_try(b, offset, iov, iovs, len))
        return false;
    count(b, &r);
    return true;
}

void block_submit(struct block *b, struct block_request *r)
{
    const struct iovec whole = { r->buf, r->len };

    CHECK(!r->busy && (r->op == BLOCK_FLUSH || (r->offset <= b->size && r->len <= b->size - r->offset)));
    r->busy = true;
    r->error = 0;
    count(b, r);
    // What is in the host's page cache needs no thread.
    if (r->op == BLOCK_READ && idle(b) && block_raw_try(b, r->offset, &whole, 1, r->len))
        finish(r);
    else if (r->op == BLOCK_WRITE && b->readonly) {
        r->error = EROFS;
        finish(r);
    } else {
        enqueue(b, r);
    }
}

static void set_plugged(struct block *b, bool plugged)
{
    pthread_mutex_lock(&b->lock);
    b->plugged = plugged;
    pthread_mutex_unlock(&b->lock);
}

void block_plug(struct block *b)
{
    set_plugged(b, true);
}

void block_unplug(struct block *b)
{
    bool waits;

    pthread_mutex_lock(&b->lock);
    waits = b->queue.first;
    pthread_mutex_unlock(&b->lock);
    if (waits)
        pthread_cond_signal(&b->work);
    set_plugged(b, false);
    block_poll(b);
}

// Whether this failure is for the user to mend and not for the guest to see.
static bool stops(const struct block *b, const struct block_request *r)
{
    enum block_error policy = r->op == BLOCK_READ ? b->config.rerror : b->config.werror;
    bool curable = r->error == ENOSPC || r->error == EDQUOT || r->error == EFBIG || unreachable(b, r->error);

    // After a flush that failed there is nothing to repeat.
    if (!r->error || !b->host->stop || r->error == EROFS || b->lost)
        return false;
    return policy == BLOCK_ERROR_STOP || (policy == BLOCK_ERROR_ENOSPC && curable);
}

static void describe_error(const struct block *b, const struct block_request *r, const char *then,
                           char *text, size_t len)
{
    static const char *const doing[] = { "reading", "writing", "flushing" };

    snprintf(text, len, "%s %s failed: %s; %s", doing[r->op], b->name,
             reason(r->error), then);
}

static void stall(struct block *b, struct block_request *r)
{
    char text[512];

    if (!b->stalled.first) {
        describe_error(b, r, "the guest is stopped, cont repeats it", text, sizeof(text));
        b->host->stop(b->host->opaque, text);
    }
    list_add(&b->stalled, r);
}

// The guest sees that something failed, but not why: that is told to the user, once.
static void tell(struct block *b, const struct block_request *r)
{
    char text[512];

    if (!r->error || r->error == EROFS || r->error == b->told)
        return;
    b->told = r->error;
    describe_error(b, r, b->lost ? "what the guest wrote last may be lost, and each later flush will fail"
                                 : "the guest sees a disk error", text, sizeof(text));
    if (b->host->tell)
        b->host->tell(b->host->opaque, text);
}

void block_poll(struct block *b)
{
    struct block_request *r, *next;

    if (!__atomic_load_n(&b->finished.first, __ATOMIC_ACQUIRE))
        return;
    pthread_mutex_lock(&b->lock);
    r = b->finished.first;
    list_init(&b->finished);
    pthread_mutex_unlock(&b->lock);
    for (; r; r = next) {
        next = r->next;
        if (stops(b, r)) {
            stall(b, r);
        } else {
            tell(b, r);
            finish(r);
        }
    }
}

void block_cancel(struct block *b)
{
    pthread_mutex_lock(&b->lock);
    forget(&b->queue);
    __atomic_store_n(&b->hurry, true, __ATOMIC_RELAXED);
    pthread_cond_signal(&b->work); // it may not know of what was only collected
    while (b->working)
        pthread_cond_wait(&b->idle, &b->lock);
    __atomic_store_n(&b->hurry, false, __ATOMIC_RELAXED);
    forget(&b->finished);
    pthread_mutex_unlock(&b->lock);
    forget(&b->stalled);
}

void block_resume(struct block *b)
{
    struct block_request *r;

    while ((r = list_take(&b->stalled)))
        enqueue(b, r);
}

void block_print(struct block *b, const char *drive, FILE *f)
{
    fprintf(f, "%-8s %s: %" PRIu64 " KiB%s%s%s; %" PRIu64 " reads of %" PRIu64 " KiB, %" PRIu64
            " writes of %" PRIu64 " KiB, %" PRIu64 " flushes\n", drive, b->name, b->size >> 10,
            b->readonly ? ", read-only" : "", b->config.snapshot ? ", snapshot" : "",
            b->stalled.first ? ", stalled by an error" : "", b->reads, b->bytes_read >> 10, b->writes,
            b->bytes_written >> 10, b->flushes);
}
