// SPDX-License-Identifier: GPL-2.0-or-later
// The loaders' parsers: any bytes give a plan that stays inside them, or an error.
#include "monitor/base/log.h"
#include "monitor/load/image.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_plan(const struct plan *plan, const struct image *image)
{
    CHECK(plan->count > 0 && plan->count <= PIECES_MAX);
    for (unsigned i = 0; i < plan->count; i++) {
        const struct piece *p = &plan->piece[i];

        CHECK(p->offset <= image->size && p->filesz <= image->size - p->offset);
        CHECK(p->filesz <= p->memsz && (u64)p->gpa + p->memsz <= 1ull << 32);
    }
    CHECK(plan_end(plan) <= 1ull << 32);
}

static void check_bzimage(const struct bzimage *bz, const struct image *image)
{
    struct err err;
    u32 at;

    CHECK(bz->setup_len + bz->kernel_len <= image->size);
    CHECK(bz->header_end <= image->size && bz->cmdline_max < LOW_CMDLINE_MAX);
    CHECK(bz->end >= bz->load + (u64)bz->kernel_len);
    at = bzimage_initrd(bz, "initrd", image->size, 64 << 20, &err);
    CHECK(!at || (at >= bz->end && at + image->size <= 64 << 20));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // A copy of exactly this size, which libelf may not write either.
    struct image image = { .name = "image", .bytes = malloc(size ? size : 1), .size = size };
    enum image_kind kind;
    struct bzimage bz;
    struct plan plan;
    struct err err;

    CHECK(image.bytes);
    memcpy(image.bytes, data, size);
    load_identify(image.bytes, size, "image", &kind, &err);
    load_identify(image.bytes, size, "image.bin", &kind, &err);
    if (bzimage_parse(&bz, &image, &err))
        check_bzimage(&bz, &image);
    if (elf_parse(&plan, &image, &err))
        check_plan(&plan, &image);
    if (multiboot_parse(&plan, &image, &err))
        check_plan(&plan, &image);
    free(image.bytes);
    return 0;
}
