// SPDX-License-Identifier: GPL-2.0-or-later
// Files in memory, plans, and the memory map.
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// Nothing larger fits below the 4 GiB's device hole.
#define IMAGE_MAX 0xe0000000u

bool image_read(struct image *image, const char *path, const char *what, struct err *err)
{
    struct stat st;
    size_t room = 0;
    int fd;

    *image = (struct image){ .name = path };
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, EXIT_INPUT, "cannot open the %s %s: %s", what, path, strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        return err_set(err, EXIT_INPUT, "the %s %s is a directory: name a file", what, path);
    }
    // One byte more than the file has, so that its end is seen without growing.
    if (st.st_size > 0 && (u64)st.st_size < IMAGE_MAX)
        room = (size_t)st.st_size + 1;
    for (;;) {
        ssize_t got;

        if (image->size == room || !image->bytes) {
            u8 *bytes;

            if (image->bytes || !room)
                room += room / 2 + 65536;
            bytes = room <= IMAGE_MAX ? realloc(image->bytes, room) : NULL;
            if (!bytes) {
                err_set(err, EXIT_INPUT, "the %s %s is too big: it cannot fit a 32-bit machine",
                        what, path);
                goto fail;
            }
            image->bytes = bytes;
        }
        got = read(fd, image->bytes + image->size, room - image->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            err_set(err, EXIT_INPUT, "cannot read the %s %s: %s", what, path, strerror(errno));
            goto fail;
        }
        if (got == 0)
            break;
        image->size += (size_t)got;
    }
    close(fd);
    if (image->size == 0) {
        image_free(image);
        return err_set(err, EXIT_INPUT, "the %s %s is empty", what, path);
    }
    return true;

fail:
    close(fd);
    image_free(image);
    return false;
}

void image_free(struct image *image)
{
    free(image->bytes);
    image->bytes = NULL;
    image->size = 0;
}

bool plan_add(struct plan *plan, const struct image *image, const struct piece *piece,
              struct err *err)
{
    if (piece->offset > image->size || piece->filesz > image->size - piece->offset)
        return err_set(err, EXIT_INPUT,
                       "the kernel %s is truncated: a part of %u bytes at offset %zu lies outside "
                       "its %zu bytes; fetch or build it again", image->name, piece->filesz,
                       piece->offset, image->size);
    if (piece->filesz > piece->memsz || (u64)piece->gpa + piece->memsz > 1ull << 32)
        return err_set(err, EXIT_INPUT,
                       "the kernel %s is malformed: a part of %u bytes for %u bytes at %#x",
                       image->name, piece->filesz, piece->memsz, piece->gpa);
    if (plan->count == PIECES_MAX)
        return err_set(err, EXIT_INPUT, "the kernel %s has more than %d loadable parts",
                       image->name, PIECES_MAX);
    plan->piece[plan->count++] = *piece;
    return true;
}

u64 plan_end(const struct plan *plan)
{
    u64 end = 0;

    for (unsigned i = 0; i < plan->count; i++)
        end = MAX(end, (u64)plan->piece[i].gpa + plan->piece[i].memsz);
    return end;
}

static bool ranges_touch(u64 a, u64 alen, u64 b, u64 blen)
{
    return a < b + blen && b < a + alen;
}

bool plan_overlaps(const struct plan *plan, u64 gpa, u64 len)
{
    for (unsigned i = 0; i < plan->count; i++)
        if (ranges_touch(plan->piece[i].gpa, plan->piece[i].memsz, gpa, len))
            return true;
    return false;
}

bool plan_fits(const struct plan *plan, const char *name, u64 top, struct err *err)
{
    u64 end = plan_end(plan);

    if (end > top)
        return err_set(err, EXIT_INPUT,
                       "the kernel %s does not fit: it reaches to %#llx, but memory ends at %#llx; "
                       "use -m %llu or more", name, (unsigned long long)end,
                       (unsigned long long)top, (unsigned long long)(end >> 20) + 1);
    if (plan_overlaps(plan, 0xa0000, 0x60000))
        return err_set(err, EXIT_INPUT,
                       "the kernel %s wants to be loaded over the adapter area (A0000-FFFFF)",
                       name);
    if (plan_overlaps(plan, LOW_GDT, 32))
        return err_set(err, EXIT_INPUT,
                       "the kernel %s wants to be loaded over the first page, where the start-up "
                       "GDT lies: link it higher", name);
    return true;
}

void plan_place(const struct plan *plan, const struct image *image, struct phys *phys)
{
    static const u8 zeros[PAGE_SIZE];

    for (unsigned i = 0; i < plan->count; i++) {
        const struct piece *p = &plan->piece[i];

        phys_write(phys, p->gpa, image->bytes + p->offset, p->filesz);
        for (u32 at = p->filesz; at < p->memsz; at += MIN(p->memsz - at, PAGE_SIZE))
            phys_write(phys, (gpa_t)p->gpa + at, zeros, MIN(p->memsz - at, PAGE_SIZE));
    }
}

u64 memmap_top(u64 ram_size, u32 acpi_base, u32 acpi_len)
{
    return acpi_len && acpi_base >= 0x100000 && acpi_base < ram_size ? acpi_base : ram_size;
}

unsigned memmap_build(struct mem_range range[MEM_RANGES_MAX], u64 ram_size, u32 acpi_base,
                      u32 acpi_len)
{
    u64 top = memmap_top(ram_size, acpi_base, acpi_len), acpi_end = (u64)acpi_base + acpi_len;
    unsigned n = 0;

    range[n++] = (struct mem_range){ 0, LOW_EBDA, MEM_RAM };
    range[n++] = (struct mem_range){ LOW_EBDA, 0xa0000 - LOW_EBDA, MEM_RESERVED };
    range[n++] = (struct mem_range){ 0xf0000, 0x10000, MEM_RESERVED };
    if (top > 0x100000)
        range[n++] = (struct mem_range){ 0x100000, top - 0x100000, MEM_RAM };
    if (acpi_len)
        range[n++] = (struct mem_range){ acpi_base, acpi_len, MEM_ACPI };
    if (top < ram_size && acpi_end < ram_size)
        range[n++] = (struct mem_range){ acpi_end, ram_size - acpi_end, MEM_RAM };
    return n;
}
