// SPDX-License-Identifier: GPL-2.0-or-later
// Images: what is told when, which errors stop the guest, what a snapshot keeps to itself (block.h's invariants).
#include "disk_rig.h"

#include "monitor/dev/block.h"

#include <errno.h>

static struct rig *r;
static char name[64], said[512];
static int fd, stops, tells;
static struct block *b;

// A backend whose calls are counted, and fail as told.
static const struct block_backend *real;
static int flushes, written, fail_write, fail_flush;

static int test_read(struct block *block, u64 offset, u8 *buf, u32 len) { return real->read(block, offset, buf, len); }

static int test_write(struct block *block, u64 offset, const u8 *buf, u32 len)
{
    if (fail_write)
        return fail_write;
    usleep(2000);
    written++;
    return real->write(block, offset, buf, len);
}

static int test_flush(struct block *block)
{
    usleep(2000);
    flushes++;
    return fail_flush ? fail_flush : real->flush(block);
}

static void test_close(struct block *block) { real->close(block); }
static const struct block_backend test_backend = { NULL, test_read, test_write, test_flush, test_close };

static void stop(void *opaque, const char *why)
{
    (void)opaque;
    stops++;
    snprintf(said, sizeof(said), "%s", why);
}

static void tell(void *opaque, const char *what)
{
    (void)opaque;
    tells++;
    snprintf(said, sizeof(said), "%s", what);
}

static void setup(void)
{
    r = rig_new();
    r->host.stop = stop;
    r->host.tell = tell;
    fd = image_new(100, name);
    flushes = written = fail_write = fail_flush = stops = tells = 0;
    b = NULL;
}

static void teardown(void)
{
    block_close(b);
    rig_free(r);
    close(fd);
}

static void open_image(struct block_config config)
{
    struct err err;

    config.file = name;
    b = block_open(&config, &r->host, &err);
    ck_assert_msg(b != NULL, "%s", err.text);
}

static void watch_backend(void)
{
    real = b->ops;
    b->ops = &test_backend;
}

static int dones;
static void done(struct block_request *request)
{
    (void)request;
    dones++;
}

static void submit(struct block_request *q, enum block_op op, u32 sector, u8 *buf)
{
    *q = (struct block_request){ .op = op, .offset = sector * 512ull, .len = op == BLOCK_FLUSH ? 0 : 512, .buf = buf,
                                 .done = done };
    block_submit(b, q);
}

static void await_done(int count)
{
    for (int i = 0; dones < count; i++) {
        ck_assert_int_lt(i, 10000);
        usleep(200);
        block_poll(b);
    }
}

START_TEST(told_afterwards)
{
    struct block_request q[9];
    u8 buf[512] = { 1 };

    open_image((struct block_config){ .format = "raw" });
    watch_backend();
    dones = 0;
    for (int i = 0; i < 8; i++)
        submit(&q[i], BLOCK_WRITE, i, buf);
    submit(&q[8], BLOCK_FLUSH, 0, NULL);
    ck_assert_int_eq(dones, 0);
    for (int n = 1; n <= 9; n++) {
        await_done(n);
        ck_assert_int_ge(written, MIN(dones, 8)); // on the file before it is told
    }
    ck_assert(flushes == 1 && written == 8);
    ck_assert(image_has(fd, 7, buf, 512));
}
END_TEST

static unsigned kicks;

static void kick(void *opaque)
{
    (void)opaque;
    __atomic_add_fetch(&kicks, 1, __ATOMIC_SEQ_CST);
}

START_TEST(plugged)
{
    struct block_request q[4];
    u8 buf[512] = { 1 };

    r->host.kick = kick;
    open_image((struct block_config){ .format = "raw" });
    watch_backend();
    dones = 0;
    kicks = 0;
    block_plug(b);
    for (int i = 0; i < 4; i++)
        submit(&q[i], BLOCK_WRITE, i, buf);
    ck_assert_int_eq(dones, 0);
    block_unplug(b);
    await_done(4);
    ck_assert_int_eq(written, 4);
    // What was finished meanwhile is done at once, and nobody is kicked for it.
    block_plug(b);
    kicks = 0;
    submit(&q[0], BLOCK_WRITE, 0, buf);
    pthread_cond_signal(&b->work);
    for (int i = 0; i < 10000 && written < 5; i++)
        usleep(200);
    usleep(20000);
    ck_assert(dones == 4 && written == 5);
    block_unplug(b);
    ck_assert(dones == 5 && kicks == 0);
    // What was only collected can be forgotten.
    block_plug(b);
    submit(&q[0], BLOCK_WRITE, 0, buf);
    block_cancel(b);
    ck_assert(!q[0].busy);
    block_unplug(b);
    ck_assert_int_eq(dones, 5);
}
END_TEST

START_TEST(cache_modes)
{
    static const struct { enum block_cache cache; int after_write, after_flush; } modes[] = {
        { BLOCK_WRITEBACK, 0, 1 }, { BLOCK_WRITETHROUGH, 1, 2 }, { BLOCK_UNSAFE, 0, 0 },
    };
    struct block_request q;
    u8 buf[512] = { 2 };

    open_image((struct block_config){ .format = "raw", .cache = modes[_i].cache });
    watch_backend();
    dones = 0;
    submit(&q, BLOCK_WRITE, 3, buf);
    await_done(1);
    ck_assert_int_eq(flushes, modes[_i].after_write);
    submit(&q, BLOCK_FLUSH, 0, NULL);
    await_done(2);
    ck_assert_int_eq(flushes, modes[_i].after_flush);
}
END_TEST

START_TEST(full_disk)
{
    struct block_request q, other;
    u8 buf[512] = { 3 };

    open_image((struct block_config){ .format = "raw" });
    watch_backend();
    dones = 0;
    fail_write = ENOSPC;
    submit(&q, BLOCK_WRITE, 4, buf);
    submit(&other, BLOCK_WRITE, 5, buf);
    for (int i = 0; i < 100; i++) {
        usleep(200);
        block_poll(b);
    }
    ck_assert(dones == 0 && stops == 1 && tells == 0); // one message
    ck_assert_ptr_nonnull(strstr(said, "No space left on device; the guest is stopped"));
    block_resume(b); // still full
    for (int i = 0; i < 100; i++) {
        usleep(200);
        block_poll(b);
    }
    ck_assert(dones == 0 && stops == 2);
    fail_write = 0;
    block_resume(b);
    await_done(2);
    ck_assert(q.error == 0 && other.error == 0 && image_has(fd, 4, buf, 512));
    fail_write = EIO; // this one the guest sees
    submit(&q, BLOCK_WRITE, 4, buf);
    await_done(3);
    ck_assert(q.error == EIO && stops == 2 && tells == 1);
    submit(&q, BLOCK_WRITE, 4, buf);
    await_done(4);
    ck_assert_int_eq(tells, 1); // the user knows
}
END_TEST

START_TEST(policies)
{
    struct block_request q;
    u8 buf[512] = { 3 };

    open_image((struct block_config){ .format = "raw", .werror = _i ? BLOCK_ERROR_STOP : BLOCK_ERROR_REPORT });
    watch_backend();
    dones = 0;
    fail_write = _i ? EIO : ENOSPC;
    submit(&q, BLOCK_WRITE, 4, buf);
    for (int i = 0; i < 100; i++) {
        usleep(200);
        block_poll(b);
    }
    ck_assert(dones == !_i && stops == _i && tells == !_i);
    block_cancel(b);
}
END_TEST

START_TEST(lost_flush)
{
    struct block_request q;

    open_image((struct block_config){ .format = "raw", .werror = BLOCK_ERROR_STOP });
    watch_backend();
    dones = 0;
    fail_flush = EIO;
    submit(&q, BLOCK_FLUSH, 0, NULL);
    await_done(1);
    ck_assert(q.error == EIO && stops == 0 && tells == 1);
    ck_assert_ptr_nonnull(strstr(said, "may be lost"));
    fail_flush = 0; // the kernel would say yes now
    submit(&q, BLOCK_FLUSH, 0, NULL);
    await_done(2);
    ck_assert(q.error == EIO && flushes == 1);
}
END_TEST

START_TEST(snapshot)
{
    struct block_request q;
    u8 buf[512], before[512];

    for (int i = 0; i < 512; i++)
        before[i] = sector_byte(9, i);
    memset(buf, 0xcc, sizeof(buf));
    open_image((struct block_config){ .format = "raw", .snapshot = true });
    dones = 0;
    submit(&q, BLOCK_WRITE, 9, buf);
    await_done(1);
    for (u32 s = 8; s <= 10; s++) {
        memset(buf, 0, sizeof(buf));
        submit(&q, BLOCK_READ, s, buf);
        await_done(dones + 1);
        ck_assert(s == 9 ? buf[100] == 0xcc : holds(buf, s, 1));
    }
    ck_assert(image_has(fd, 9, before, 512));
}
END_TEST

// Without format=, nothing that would be opened as another format next time.
START_TEST(raw_stays_raw)
{
    static const struct { u32 sector; const char *magic; } magics[] = { { 0, "QFI\xfb" }, { 0, "KDMV" }, { 99, "conectix" } };
    struct block_request q;
    u8 buf[512] = { 0 };

    memcpy(buf, magics[_i].magic, strlen(magics[_i].magic));
    open_image((struct block_config){ 0 });
    dones = 0;
    submit(&q, BLOCK_WRITE, magics[_i].sector, buf);
    await_done(1);
    ck_assert(q.error == EPERM && tells == 1 && !image_has(fd, magics[_i].sector, buf, 512));
    submit(&q, BLOCK_WRITE, 50, buf); // elsewhere it is only data
    await_done(2);
    ck_assert_int_eq(q.error, 0);
    block_close(b);
    open_image((struct block_config){ .format = "raw" });
    submit(&q, BLOCK_WRITE, magics[_i].sector, buf);
    await_done(3);
    ck_assert_int_eq(q.error, 0);
}
END_TEST

START_TEST(locks)
{
    struct block_config write = { .file = name, .format = "raw" }, read = { .file = name, .format = "raw", .readonly = true };
    struct block *other;
    struct err err;

    open_image(write);
    ck_assert_ptr_null(block_open(&write, &r->host, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "in use"));
    ck_assert_ptr_null(block_open(&read, &r->host, &err));
    block_close(b);
    open_image(read);
    other = block_open(&read, &r->host, &err);
    ck_assert_ptr_nonnull(other);
    ck_assert_ptr_null(block_open(&write, &r->host, &err));
    block_close(other);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("block");
    TCase *t = tcase_create("block");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, told_afterwards);
    tcase_add_test(t, plugged);
    tcase_add_loop_test(t, cache_modes, 0, 3);
    tcase_add_test(t, full_disk);
    tcase_add_loop_test(t, policies, 0, 2);
    tcase_add_test(t, lost_flush);
    tcase_add_test(t, snapshot);
    tcase_add_loop_test(t, raw_stays_raw, 0, 3);
    tcase_add_test(t, locks);
    suite_add_tcase(s, t);
    return run_tests(srunner_create(s));
}
