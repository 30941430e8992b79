// SPDX-License-Identifier: GPL-2.0-or-later
// A host that refuses: the linker sends what the engines ask the host for through here (CMakeLists.txt).
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

static struct {
    struct rng rng;
    unsigned maps_one_in; // of the host mappings that make windows; 0: none
    u64 memory_at;        // the Nth allocation; 0: none
    u64 asked;
    u64 refused;
    struct { void *at; size_t len; } taken[64]; // the last that refusals took away
    unsigned takes;
} host;

void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
int __real_mprotect(void *at, size_t len, int prot);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
int __wrap_mprotect(void *at, size_t len, int prot);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);

void refuse_maps(u64 seed, unsigned one_in)
{
    host.rng.state = seed;
    host.maps_one_in = one_in;
}

void refuse_memory(u64 at)
{
    host.memory_at = at;
    host.asked = 0;
}

u64 refuse_asked(void)
{
    return host.asked;
}

u64 refuse_refused(void)
{
    return host.refused;
}

bool refuse_left_hole(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(host.taken) && i < host.takes; i++)
        if (msync(host.taken[i].at, host.taken[i].len, MS_ASYNC) < 0 && errno == ENOMEM)
            return true;
    return false;
}

static bool refuses_map(void)
{
    bool refuses = host.maps_one_in && rng_one_in(&host.rng, host.maps_one_in);

    host.refused += refuses;
    if (refuses)
        errno = ENOMEM;
    return refuses;
}

static bool refuses_memory(void)
{
    bool refuses = ++host.asked == host.memory_at;

    host.refused += refuses;
    if (refuses)
        errno = ENOMEM;
    return refuses;
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    // Into windows go parts of the memfd, shared, and what takes their place. What replaces mappings that have just been
    // removed is not refused: there is room.
    bool window = flags & MAP_FIXED && (flags & MAP_SHARED || prot == PROT_NONE);
    bool refused = window ? refuses_map() : !(flags & MAP_FIXED_NOREPLACE) && refuses_memory();

    if (!refused)
        return __real_mmap(at, len, prot, flags, fd, offset);
    // Linux removes what was there first, at times, and then has nothing to put there.
    if (window && fd >= 0 && rng_one_in(&host.rng, 2)) {
        munmap(at, len);
        host.taken[host.takes % ARRAY_LEN(host.taken)].at = at;
        host.taken[host.takes++ % ARRAY_LEN(host.taken)].len = len;
    }
    return MAP_FAILED;
}

int __wrap_mprotect(void *at, size_t len, int prot)
{
    return refuses_map() ? -1 : __real_mprotect(at, len, prot);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refuses_memory() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return refuses_memory() ? NULL : __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return refuses_memory() ? NULL : __real_aligned_alloc(align, size);
}
