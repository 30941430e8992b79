// SPDX-License-Identifier: GPL-2.0-or-later What guest addresses are called: "ADDRESS TYPE NAME" a
// line, as in System.map, /proc/kallsyms and nm's output, or the symbol table of a 32-bit ELF file.
#include "profile.h"

#include "monitor/load/image.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

// What is further than this from a symbol is not in it.
#define REACH (1u << 20)

struct symbol {
    u32 address;
    char *name;
};

struct symbols {
    struct symbol *symbol;
    size_t count, capacity;
};

static void add(struct symbols *s, u32 address, const char *name, size_t len)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 1024;
        s->symbol = realloc(s->symbol, s->capacity * sizeof(*s->symbol));
        CHECK(s->symbol != NULL);
    }
    s->symbol[s->count] = (struct symbol){ address, strndup(name, len) };
    CHECK(s->symbol[s->count].name != NULL);
    s->count++;
}

static void add_line(struct symbols *s, const char *line, size_t len)
{
    char copy[256], name[200], type;
    unsigned long long address;

    if (len >= sizeof(copy))
        return;
    memcpy(copy, line, len);
    copy[len] = '\0';
    if (sscanf(copy, "%llx %c %199s", &address, &type, name) == 3 && strchr("tTwW", type) &&
        address <= ~0u)
        add(s, (u32)address, name, strlen(name));
}

static void read_lines(struct symbols *s, const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t len = end ? (size_t)(end - text) - at : size - at;

        add_line(s, text + at, len);
        at += len + 1;
    }
}

// The i-th of a table of structures of `each` bytes at offset `table`, copied; false if it lies
// outside.
static bool entry(const struct image *image, u64 table, u64 i, void *to, size_t each)
{
    u64 at = table + i * each;

    if (at > image->size || image->size - at < each)
        return false;
    memcpy(to, image->bytes + at, each);
    return true;
}

static void read_table(struct symbols *s, const struct image *image, const Elf32_Shdr *table,
                       const Elf32_Shdr *names)
{
    Elf32_Sym symbol;

    for (u32 i = 0; i < table->sh_size / sizeof(symbol); i++) {
        u64 at;

        if (!entry(image, table->sh_offset, i, &symbol, sizeof(symbol)))
            return;
        at = (u64)names->sh_offset + symbol.st_name;
        if (symbol.st_name && at < image->size && ELF32_ST_TYPE(symbol.st_info) <= STT_FUNC &&
            symbol.st_shndx != SHN_UNDEF && symbol.st_shndx < SHN_LORESERVE)
            add(s, symbol.st_value, (const char *)image->bytes + at,
                strnlen((const char *)image->bytes + at, image->size - at));
    }
}

static void read_elf(struct symbols *s, const struct image *image)
{
    Elf32_Ehdr head;
    Elf32_Shdr table, names;

    if (!entry(image, 0, 0, &head, sizeof(head)) || head.e_ident[EI_CLASS] != ELFCLASS32)
        return;
    for (u32 i = 0; i < head.e_shnum; i++)
        if (entry(image, head.e_shoff, i, &table, sizeof(table)) && table.sh_type == SHT_SYMTAB &&
            entry(image, head.e_shoff, table.sh_link, &names, sizeof(names)))
            read_table(s, image, &table, &names);
}

static int by_address(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;

    return (x->address > y->address) - (x->address < y->address);
}

struct symbols *symbols_read(const char *file, struct err *err)
{
    struct symbols *s = calloc(1, sizeof(*s));
    struct image image;

    CHECK(s != NULL);
    if (!image_read(&image, file, "symbol file", err)) {
        free(s);
        return NULL;
    }
    if (image.size >= SELFMAG && memcmp(image.bytes, ELFMAG, SELFMAG) == 0)
        read_elf(s, &image);
    else
        read_lines(s, (const char *)image.bytes, image.size);
    image_free(&image);
    if (!s->count) {
        err_set(err, EXIT_INPUT,
                "-symbols %s: there are no functions in it; give a System.map, nm's output or a "
                "32-bit ELF file that is not stripped", file);
        symbols_free(s);
        return NULL;
    }
    qsort(s->symbol, s->count, sizeof(*s->symbol), by_address);
    return s;
}

void symbols_free(struct symbols *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        free(s->symbol[i].name);
    free(s->symbol);
    free(s);
}

const char *symbols_find(const struct symbols *s, u32 address, u32 *offset)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (s->symbol[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low || address - s->symbol[low - 1].address >= REACH)
        return NULL;
    *offset = address - s->symbol[low - 1].address;
    return s->symbol[low - 1].name;
}
