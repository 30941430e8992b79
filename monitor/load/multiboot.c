// SPDX-License-Identifier: GPL-2.0-or-later
// Multiboot 1 (Multiboot Specification 0.6.96): kernels as ELF, or placed by the header's own
// addresses (the "a.out kludge"); modules; memory map; command line.
#include "image.h"

#include <stdio.h>
#include <stdlib.h>

#define HEADER_MAGIC 0x1badb002
#define LOADER_MAGIC 0x2badb002
#define SEARCH 8192

enum { // header flags
    HF_ALIGN = BIT(0), HF_MEMORY = BIT(1), HF_VIDEO = BIT(2),
    HF_REQUIRED = 0xffff, HF_ADDRESSES = BIT(16),
};
enum { // information flags, and the structure's offsets (3.3)
    IF_MEMORY = BIT(0), IF_CMDLINE = BIT(2), IF_MODULES = BIT(3), IF_MMAP = BIT(6),
    IF_NAME = BIT(9),
    I_FLAGS = 0, I_MEM_LOWER = 4, I_MEM_UPPER = 8, I_CMDLINE = 16, I_MODS_COUNT = 20,
    I_MODS_ADDR = 24,
    I_MMAP_LENGTH = 44, I_MMAP_ADDR = 48, I_NAME = 64, I_SIZE = 120,
    MODULE_SIZE = 16, MMAP_SIZE = 24,
};

bool multiboot_find(const u8 *image, size_t size, u32 *off)
{
    size_t limit = MIN(size, SEARCH);

    for (size_t at = 0; at + 12 <= limit; at += 4)
        if (get32(image, at) == HEADER_MAGIC &&
            get32(image, at) + get32(image, at + 4) + get32(image, at + 8) == 0) {
            *off = (u32)at;
            return true;
        }
    return false;
}

// The header's address fields say where the file goes.
static bool parse_addresses(struct plan *plan, const struct image *image, u32 off, struct err *err)
{
    const u8 *h = image->bytes + off;
    u32 header_addr, load_addr, load_end, bss_end, start;
    struct piece piece;

    if (image->size - off < 32)
        return err_set(err, EXIT_INPUT, "the kernel %s is truncated: it ends within its Multiboot "
                       "header", image->name);
    header_addr = get32(h, 12);
    load_addr = get32(h, 16);
    load_end = get32(h, 20);
    bss_end = get32(h, 24);
    if (load_addr > header_addr || header_addr - load_addr > off)
        return err_set(err, EXIT_INPUT,
                       "the kernel %s is malformed: its Multiboot header at %#x says "
                       "that it lies at %#x, and that the file is loaded at %#x", image->name, off,
                       header_addr, load_addr);
    start = off - (header_addr - load_addr);
    if ((load_end && load_end < load_addr) || image->size - start > 0xffffffffu)
        return err_set(err, EXIT_INPUT, "the kernel %s is malformed: its Multiboot load end %#x is "
                       "below its start %#x", image->name, load_end, load_addr);
    piece = (struct piece){ start, load_end ? load_end - load_addr : (u32)(image->size - start),
                            load_addr, 0 };
    piece.memsz = piece.filesz;
    if (bss_end > load_addr && bss_end - load_addr > piece.memsz)
        piece.memsz = bss_end - load_addr;
    plan->entry = get32(h, 28);
    return plan_add(plan, image, &piece, err);
}

bool multiboot_parse(struct plan *plan, const struct image *image, struct err *err)
{
    u32 off, flags;

    *plan = (struct plan){ .count = 0 };
    if (!multiboot_find(image->bytes, image->size, &off))
        return err_set(err, EXIT_INPUT, "the kernel %s has no Multiboot header", image->name);
    flags = get32(image->bytes, off + 4);
    // A wish for a video mode is granted as text without a screen, as loaders without VBE do.
    if (flags & HF_REQUIRED & ~(u32)(HF_ALIGN | HF_MEMORY | HF_VIDEO))
        return err_set(err, EXIT_INPUT, "the kernel %s requires Multiboot features that ring3 does "
                       "not have (header flags %#x)", image->name, flags);
    if (flags & HF_ADDRESSES)
        return parse_addresses(plan, image, off, err);
    return elf_parse(plan, image, err);
}

// The information structure and its strings, being built for address base.
struct info {
    u8 bytes[LOW_INFO_END - LOW_INFO];
    u32 base, used;
};

// Reserves len bytes, aligned to 4; 0 when the area is full.
static u32 info_reserve(struct info *info, size_t len)
{
    u32 at = info->used;

    if (len > sizeof(info->bytes) - at)
        return 0;
    info->used = (u32)MIN((at + len + 3) & ~(size_t)3, sizeof(info->bytes));
    return info->base + at;
}

static u32 info_string(struct info *info, const char *a, const char *b)
{
    size_t la = strlen(a), lb = b && *b ? strlen(b) + 1 : 0;
    u32 at = info_reserve(info, la + lb + 1);

    if (!at)
        return 0;
    snprintf((char *)info->bytes + (at - info->base), la + lb + 1, lb ? "%s %s" : "%s", a, b);
    return at;
}

static bool info_full(struct err *err)
{
    return err_set(err, EXIT_USAGE,
                   "the command lines in -append and -initrd are too long: together "
                   "they must stay below %u characters", LOW_INFO_END - LOW_INFO - 1024);
}

// Loads one module ("file args") at *at; its entry goes to the structure's offset mod.
static bool load_module(struct info *info, u32 mod, const char *text, u64 *at, u64 top,
                        struct phys *phys, struct err *err)
{
    size_t path_len = strcspn(text, " ");
    char *path = strndup(text, path_len);
    struct image file;
    u8 *entry = info->bytes + mod;
    bool ok;

    if (!path)
        return err_set(err, EXIT_HOST, "out of memory");
    ok = image_read(&file, path, "module", err);
    if (ok && *at + file.size > top) {
        ok = err_set(err, EXIT_INPUT,
                     "the module %s does not fit: %zu bytes at %#llx, and memory ends "
                     "at %#llx; use -m %llu or more", path, file.size, (unsigned long long)*at,
                     (unsigned long long)top, (unsigned long long)((*at + file.size) >> 20) + 2);
        image_free(&file);
    }
    free(path);
    if (!ok)
        return false;
    phys_write(phys, *at, file.bytes, file.size);
    put32(entry, 0, (u32)*at);
    put32(entry, 4, (u32)(*at + file.size));
    put32(entry, 8, info_string(info, text, NULL));
    *at = (*at + file.size + PAGE_SIZE - 1) & ~(u64)(PAGE_SIZE - 1);
    image_free(&file);
    return get32(entry, 8) ? true : info_full(err);
}

// -initrd "file args,file args": a doubled comma stands for one, as in QEMU.
static bool load_modules(struct info *info, const char *list, u64 at, u64 top, struct phys *phys,
                         struct err *err)
{
    char *copy = strdup(list), *to = copy, *item = copy;
    unsigned count = 1;
    u32 mods;
    bool ok = true;

    if (!copy)
        return err_set(err, EXIT_HOST, "out of memory");
    for (const char *p = list; *p; p++) {
        if (*p == ',' && p[1] == ',')
            *to++ = *p++;
        else if (*p == ',')
            *to++ = '\0', count++;
        else
            *to++ = *p;
    }
    *to = '\0';
    mods = info_reserve(info, (size_t)count * MODULE_SIZE);
    ok = mods ? true : info_full(err);
    for (unsigned i = 0; ok && i < count; i++, item += strlen(item) + 1)
        ok = load_module(info, mods - info->base + i * MODULE_SIZE, item, &at, top, phys, err);
    free(copy);
    if (ok) {
        put32(info->bytes, I_MODS_COUNT, count);
        put32(info->bytes, I_MODS_ADDR, mods);
    }
    return ok;
}

static bool info_memory(struct info *info, const struct load_config *config, u64 ram_size)
{
    struct mem_range range[MEM_RANGES_MAX];
    unsigned n = memmap_build(range, ram_size, config->acpi_base, config->acpi_len);
    u64 top = memmap_top(ram_size, config->acpi_base, config->acpi_len);
    u32 at = info_reserve(info, n * MMAP_SIZE);
    u8 *entry = info->bytes + (at - info->base);

    if (!at)
        return false;
    for (unsigned i = 0; i < n; i++, entry += MMAP_SIZE) {
        put32(entry, 0, MMAP_SIZE - 4); // "size" doesn't count itself
        put64(entry, 4, range[i].base);
        put64(entry, 12, range[i].len);
        put32(entry, 20, range[i].type);
    }
    put32(info->bytes, I_MMAP_ADDR, at);
    put32(info->bytes, I_MMAP_LENGTH, n * MMAP_SIZE);
    put32(info->bytes, I_MEM_LOWER, LOW_EBDA >> 10);
    put32(info->bytes, I_MEM_UPPER, (u32)((top - 0x100000) >> 10));
    return true;
}

// Fills the structure and loads the modules above `end`.
static bool info_fill(struct info *info, const struct load_config *config, u64 end, u64 top,
                      struct phys *phys, struct err *err)
{
    u32 flags = IF_MEMORY | IF_CMDLINE | IF_MMAP | IF_NAME, cmdline, name;

    info_reserve(info, I_SIZE);
    cmdline = info_string(info, config->kernel, config->append);
    name = info_string(info, "ring3", NULL);
    if (!cmdline || !name || !info_memory(info, config, phys->ram_size))
        return info_full(err);
    put32(info->bytes, I_CMDLINE, cmdline);
    put32(info->bytes, I_NAME, name);
    if (config->initrd) {
        if (!load_modules(info, config->initrd, end, top, phys, err))
            return false;
        flags |= IF_MODULES;
    }
    put32(info->bytes, I_FLAGS, flags);
    return true;
}

bool multiboot_load(const struct load_config *config, const struct image *image, struct vcpu *v,
                    struct phys *phys, struct err *err)
{
    u64 top = memmap_top(phys->ram_size, config->acpi_base, config->acpi_len), end;
    struct info *info;
    struct plan plan;
    bool ok;

    if (!multiboot_parse(&plan, image, err) || !plan_fits(&plan, image->name, top, err))
        return false;
    if (plan_overlaps(&plan, LOW_INFO, LOW_INFO_END - LOW_INFO))
        return err_set(err, EXIT_INPUT,
                       "the kernel %s wants to be loaded over %#x-%#x, where its boot "
                       "information lies: link it elsewhere", image->name, LOW_INFO,
                       LOW_INFO_END - 1);
    info = calloc(1, sizeof(*info));
    if (!info)
        return err_set(err, EXIT_HOST, "out of memory");
    info->base = LOW_INFO;
    end = (MAX(plan_end(&plan), 0x100000ull) + PAGE_SIZE - 1) & ~(u64)(PAGE_SIZE - 1);
    plan_place(&plan, image, phys);
    ok = info_fill(info, config, end, top, phys, err);
    if (ok) {
        phys_write(phys, LOW_INFO, info->bytes, info->used);
        enter_flat(v, phys, plan.entry);
        v->gpr[R_EAX] = LOADER_MAGIC;
        v->gpr[R_EBX] = LOW_INFO;
    }
    free(info);
    return ok;
}
