// SPDX-License-Identifier: GPL-2.0-or-later
#include "phys.h"

#include "monitor/base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SPARE_SPACE (32u << 20)
#define HUGE_PAGE (2u << 20)
#define PAGES_4G (1u << 20)
#define RAM_MIN (1u << 20)
#define RAM_MAX 0xe0000000u
#define HOLE_FIRST (0xa0000u >> PAGE_SHIFT)
#define HOLE_LAST (0xbffffu >> PAGE_SHIFT)

// Maps the memfd at an address aligned to a huge page, so that the host can back it with them.
static u8 *map_aligned(int fd, u64 size)
{
    u64 span = size + HUGE_PAGE;
    u8 *area = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    u8 *at;

    if (area == MAP_FAILED)
        return NULL;
    at = (u8 *)(((uintptr_t)area + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
    if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0) ==
        MAP_FAILED) {
        munmap(area, span);
        return NULL;
    }
    if (at > area)
        munmap(area, at - area);
    munmap(at + size, area + span - (at + size));
    // Advice only: hosts without huge pages for shared memory refuse it, and nothing is lost.
    madvise(at, size, MADV_HUGEPAGE);
    return at;
}

bool phys_init(struct phys *phys, u64 ram_size, struct bus *bus, struct err *err)
{
    void *page;

    memset(phys, 0, sizeof(*phys));
    phys->memfd = -1;
    if (ram_size < RAM_MIN || ram_size > RAM_MAX || ram_size % PAGE_SIZE)
        return err_set(err, EXIT_USAGE,
                       "-m: %llu bytes of memory are out of range: use 1M to 3584M, in whole pages",
                       (unsigned long long)ram_size);
    phys->ram_size = ram_size;
    // Whole huge pages, so that the spare space starts at one and RAM's last can be one.
    phys->mem_size = ((ram_size + HUGE_PAGE - 1) & ~(u64)(HUGE_PAGE - 1)) + SPARE_SPACE;
    phys->a20_mask = ~0u;
    phys->nowhere.flags = PHYS_KNOWN;
    phys->bus = bus;
    phys->memfd = memfd_create("ring3-guest", MFD_CLOEXEC);
    if (phys->memfd < 0 || ftruncate(phys->memfd, phys->mem_size) < 0) {
        err_set(err, EXIT_HOST, "cannot create the guest's memory: memfd: %s", strerror(errno));
        goto fail;
    }
    phys->mem = map_aligned(phys->memfd, phys->mem_size);
    if (!phys->mem) {
        err_set(err, EXIT_HOST,
                "cannot map %llu MiB of guest memory: %s; lower -m or raise ulimit -v",
                (unsigned long long)ram_size >> 20, strerror(errno));
        goto fail;
    }
    page = mmap(NULL, PAGES_4G * sizeof(*phys->page), PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (page == MAP_FAILED) {
        err_set(err, EXIT_HOST, "cannot map the physical page table: %s", strerror(errno));
        goto fail;
    }
    phys->page = page;
    return true;
fail:
    phys_destroy(phys);
    return false;
}

void phys_destroy(struct phys *phys)
{
    if (phys->page)
        munmap(phys->page, PAGES_4G * sizeof(*phys->page));
    if (phys->mem)
        munmap(phys->mem, phys->mem_size);
    if (phys->memfd >= 0)
        close(phys->memfd);
    memset(phys, 0, sizeof(*phys));
    phys->memfd = -1;
}

struct phys_page *phys_page_default(struct phys *phys, gpa_t gpa)
{
    u32 n = gpa >> PAGE_SHIFT;
    struct phys_page *p = &phys->page[n];
    bool ram = n < phys->ram_size >> PAGE_SHIFT && !(n >= HOLE_FIRST && n <= HOLE_LAST);

    if (!(p->flags & PHYS_KNOWN))
        *p = (struct phys_page){ n, PHYS_KNOWN | (ram ? PHYS_READ | PHYS_WRITE : 0) };
    return p;
}

void phys_map(struct phys *phys, gpa_t gpa, u32 len, u32 frame, u8 flags)
{
    CHECK((gpa | len) % PAGE_SIZE == 0 && gpa + len <= (u64)PAGES_4G << PAGE_SHIFT);
    CHECK(!(flags & (PHYS_READ | PHYS_WRITE)) ||
          ((u64)frame << PAGE_SHIFT) + len <= phys->mem_size);
    for (u32 i = 0; i < len >> PAGE_SHIFT; i++) {
        gpa_t at = gpa + ((gpa_t)i << PAGE_SHIFT);
        // Not phys_page: what the chipset maps is behind the A20 gate.
        struct phys_page *p = phys_page_default(phys, at);

        // The code that was translated from here is no longer what is here.
        if (p->flags & PHYS_CODE && phys->code_write)
            phys->code_write(phys->opaque, at, PAGE_SIZE);
        *p = (struct phys_page){ frame + i, (flags & ~PHYS_CODE) | PHYS_KNOWN };
    }
}

u32 phys_reserve(struct phys *phys, u32 len)
{
    u64 size = ((u64)len + PAGE_SIZE - 1) & ~(u64)(PAGE_SIZE - 1);
    u64 at = phys->mem_size - SPARE_SPACE + phys->spare_used;

    if (size > SPARE_SPACE - phys->spare_used)
        return 0;
    phys->spare_used += size;
    return at >> PAGE_SHIFT;
}

u8 *phys_add_rom(struct phys *phys, gpa_t gpa, const u8 *image, u32 len)
{
    u64 size = ((u64)len + PAGE_SIZE - 1) & ~(u64)(PAGE_SIZE - 1);
    u32 frame;

    if (gpa % PAGE_SIZE || gpa + size > (u64)PAGES_4G << PAGE_SHIFT)
        return NULL;
    frame = phys_reserve(phys, len);
    if (!frame)
        return NULL;
    memcpy(phys_frame_host(phys, frame), image, len);
    phys_map(phys, gpa, size, frame, PHYS_READ | PHYS_ROM);
    return phys_frame_host(phys, frame);
}

u64 phys_load(struct phys *phys, gpa_t gpa, unsigned size)
{
    struct phys_page *p = phys_page(phys, gpa);
    u64 value = 0;

    if (p->flags & PHYS_READ)
        memcpy(&value, phys_frame_host(phys, p->frame) + (gpa & ~PAGE_MASK), size);
    else if (gpa >> 32)
        value = ~0ull >> (64 - 8 * size);
    else
        value = bus_read(phys->bus, BUS_MMIO, phys_a20(phys, gpa), size);
    return value;
}

// Invariant 2: asks for [gpa, gpa+len) of page p to be unprotected if it needs to be.
static void before_write(struct phys *phys, struct phys_page *p, gpa_t gpa, u32 len)
{
    if (unlikely(p->flags & PHYS_CODE) && phys->code_write)
        phys->code_write(phys->opaque, phys_a20(phys, gpa), len);
}

u8 *phys_host_write(struct phys *phys, gpa_t gpa, u32 len)
{
    struct phys_page *p = phys_page(phys, gpa);

    if (~p->flags & (PHYS_READ | PHYS_WRITE))
        return NULL;
    before_write(phys, p, gpa, len);
    return phys_frame_host(phys, p->frame) + (gpa & ~PAGE_MASK);
}

void phys_store(struct phys *phys, gpa_t gpa, u64 value, unsigned size)
{
    struct phys_page *p = phys_page(phys, gpa);

    if (p->flags & PHYS_WRITE) {
        before_write(phys, p, gpa, size);
        memcpy(phys_frame_host(phys, p->frame) + (gpa & ~PAGE_MASK), &value, size);
    } else if (!(p->flags & PHYS_ROM) && !(gpa >> 32)) {
        bus_write(phys->bus, BUS_MMIO, phys_a20(phys, gpa), value, size);
    }
}

// The widest naturally aligned piece of [gpa, gpa+len) that a device takes at once.
static unsigned piece(gpa_t gpa, size_t len)
{
    unsigned size = 4;

    while (size > len || gpa % size)
        size /= 2;
    return size;
}

void phys_read(struct phys *phys, gpa_t gpa, void *buf, size_t len)
{
    u8 *to = buf;

    while (len) {
        struct phys_page *p = phys_page(phys, gpa);
        size_t n = MIN(len, PAGE_SIZE - (gpa & ~PAGE_MASK));

        if (p->flags & PHYS_READ) {
            memcpy(to, phys_frame_host(phys, p->frame) + (gpa & ~PAGE_MASK), n);
        } else {
            u64 value;

            n = piece(gpa, n);
            value = phys_load(phys, gpa, n);
            memcpy(to, &value, n);
        }
        gpa += n, to += n, len -= n;
    }
}

void phys_write(struct phys *phys, gpa_t gpa, const void *buf, size_t len)
{
    const u8 *from = buf;

    while (len) {
        struct phys_page *p = phys_page(phys, gpa);
        size_t n = MIN(len, PAGE_SIZE - (gpa & ~PAGE_MASK));

        if (p->flags & PHYS_WRITE) {
            before_write(phys, p, gpa, n);
            memcpy(phys_frame_host(phys, p->frame) + (gpa & ~PAGE_MASK), from, n);
        } else {
            u64 value = 0;

            n = piece(gpa, n);
            memcpy(&value, from, n);
            phys_store(phys, gpa, value, n);
        }
        gpa += n, from += n, len -= n;
    }
}

u8 *phys_range(struct phys *phys, gpa_t gpa, size_t len, bool write)
{
    const u8 need = write ? PHYS_READ | PHYS_WRITE : PHYS_READ;
    gpa_t first = gpa & PAGE_MASK, last = (gpa + len - 1) & PAGE_MASK;
    u32 frame = phys_page(phys, gpa)->frame;

    if (!len || last < first)
        return NULL;
    for (gpa_t at = first; at <= last; at += PAGE_SIZE) {
        const struct phys_page *p = phys_page(phys, at);

        if ((p->flags & need) != need || p->frame != frame + (u32)((at - first) >> PAGE_SHIFT))
            return NULL;
    }
    for (gpa_t at = first; write && at <= last; at += PAGE_SIZE) {
        gpa_t from = MAX(at, gpa);

        before_write(phys, phys_page(phys, at), from, MIN(at + PAGE_SIZE, gpa + len) - from);
    }
    return phys_frame_host(phys, frame) + (gpa & ~PAGE_MASK);
}

u32 phys_read32(struct phys *phys, gpa_t gpa)
{
    u32 value;

    if (likely((gpa & ~PAGE_MASK) <= PAGE_SIZE - sizeof(value)))
        return phys_load(phys, gpa, sizeof(value));
    phys_read(phys, gpa, &value, sizeof(value));
    return value;
}

u64 phys_read64(struct phys *phys, gpa_t gpa)
{
    u64 value;

    if (likely((gpa & ~PAGE_MASK) <= PAGE_SIZE - sizeof(value)))
        return phys_load(phys, gpa, sizeof(value));
    phys_read(phys, gpa, &value, sizeof(value));
    return value;
}

void phys_write32(struct phys *phys, gpa_t gpa, u32 value)
{
    if (likely((gpa & ~PAGE_MASK) <= PAGE_SIZE - sizeof(value)))
        phys_store(phys, gpa, value, sizeof(value));
    else
        phys_write(phys, gpa, &value, sizeof(value));
}

void phys_write64(struct phys *phys, gpa_t gpa, u64 value)
{
    if (likely((gpa & ~PAGE_MASK) <= PAGE_SIZE - sizeof(value)))
        phys_store(phys, gpa, value, sizeof(value));
    else
        phys_write(phys, gpa, &value, sizeof(value));
}
