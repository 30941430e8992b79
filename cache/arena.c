// SPDX-License-Identifier: GPL-2.0-or-later
#include "arena.h"

#include "monitor/base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

// Shared anonymous memory rather than a memfd: Linux perf looks for the names of such code in
// /tmp/perf-PID.map. Its second mapping is made by mremap of no bytes. Kernels before 4.17 take
// MAP_FIXED_NOREPLACE for a hint: the address is checked either way.
static u8 *map_low(u8 *rw, u32 size)
{
    for (u64 at = 0x20000000; at + size < 0xf0000000; at += 0x04000000) {
        void *p = mmap((void *)at, size, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

        if (p == (void *)at &&
            mremap(rw, 0, size, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p &&
            mprotect(p, size, PROT_READ | PROT_EXEC) == 0)
            return p;
        if (p != MAP_FAILED)
            munmap(p, size);
    }
    return NULL;
}

// Bytes that get memory at once, and how many at least are ready.
#define STEP (256u << 10)
#define AHEAD (16u << 10)

bool arena_init(struct arena *a, u32 size, struct err *err)
{
    void *rw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);

    memset(a, 0, sizeof(*a));
    if (rw == MAP_FAILED)
        return err_set(err, EXIT_HOST, "cannot get %u MiB for translated code: %s", size >> 20,
                       strerror(errno));
    a->rw = rw;
    a->size = size;
    a->rx = map_low(rw, size);
    if (!a->rx) {
        arena_destroy(a);
        return err_set(err, EXIT_HOST, "cannot map %u MiB for translated code below 4 GiB, once "
                       "writable and once executable: does the host forbid executable memory?",
                       size >> 20);
    }
    return true;
}

void arena_destroy(struct arena *a)
{
    if (a->rx)
        munmap(a->rx, a->size);
    if (a->rw)
        munmap(a->rw, a->size);
    memset(a, 0, sizeof(*a));
}

// A fault for each page in each view costs more than the translations that fill it.
static void touch(struct arena *a)
{
#if defined(MADV_POPULATE_READ) && defined(MADV_POPULATE_WRITE)
    u32 n = MIN(STEP, a->size - a->touched);

    madvise(a->rw + a->touched, n, MADV_POPULATE_WRITE); // Linux 5.14; without it there are faults
    madvise(a->rx + a->touched, n, MADV_POPULATE_READ);
    a->touched += n;
#else
    a->touched = a->size;
#endif
}

u8 *arena_reserve(struct arena *a, u32 len)
{
    while (a->touched < a->size && a->touched - a->used < AHEAD)
        touch(a);
    return len <= a->size - a->used ? a->rw + a->used : NULL;
}

void arena_commit(struct arena *a, u32 len)
{
    CHECK(len <= a->size - a->used);
    a->used = MIN((a->used + len + 15) & ~15u, a->size);
}

void arena_reset(struct arena *a)
{
    a->used = a->floor;
}
