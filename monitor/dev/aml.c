// SPDX-License-Identifier: GPL-2.0-or-later
#include "aml.h"

#include "monitor/base/log.h"

#include <string.h>

enum {
    OP_NAME = 0x08, OP_BYTE = 0x0a, OP_WORD = 0x0b, OP_DWORD = 0x0c, OP_SCOPE = 0x10,
    OP_BUFFER = 0x11, OP_PACKAGE = 0x12, OP_EXTENDED = 0x5b, OP_DEVICE = 0x82,
};

// Lengths are written in this many bytes whatever they are: legal, and no need to move things
// later.
#define LENGTH_BYTES 3
// A resource template's BufferSize: a word constant.
#define BUFFER_SIZE_BYTES 3
#define NOT_A_BUFFER ((size_t)1 << 63)

void aml_byte(struct aml *a, u8 byte)
{
    if (a->at < a->size)
        a->out[a->at] = byte;
    a->at++;
}

void aml_bytes(struct aml *a, const void *bytes, size_t n)
{
    const u8 *p = bytes;

    while (n--)
        aml_byte(a, *p++);
}

static void word(struct aml *a, u16 value)
{
    aml_byte(a, value);
    aml_byte(a, value >> 8);
}

static void dword(struct aml *a, u32 value)
{
    word(a, value);
    word(a, value >> 16);
}

static void patch(struct aml *a, size_t at, u8 byte)
{
    if (at < a->size)
        a->out[at] = byte;
}

static void open_length(struct aml *a, size_t kind)
{
    CHECK(a->depth < AML_DEPTH);
    a->open[a->depth++] = a->at | kind;
    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        aml_byte(a, 0);
}

static void name_string(struct aml *a, const char *name)
{
    size_t len;

    if (*name == '\\')
        aml_byte(a, *name++);
    len = strlen(name);
    CHECK(len >= 1 && len <= 4);
    aml_bytes(a, name, len);
    aml_bytes(a, "___", 4 - len);
}

void aml_scope(struct aml *a, const char *name)
{
    aml_byte(a, OP_SCOPE);
    open_length(a, NOT_A_BUFFER);
    name_string(a, name);
}

void aml_device(struct aml *a, const char *name)
{
    aml_byte(a, OP_EXTENDED);
    aml_byte(a, OP_DEVICE);
    open_length(a, NOT_A_BUFFER);
    name_string(a, name);
}

void aml_name(struct aml *a, const char *name)
{
    aml_byte(a, OP_NAME);
    name_string(a, name);
}

void aml_package(struct aml *a, u8 elements)
{
    aml_byte(a, OP_PACKAGE);
    open_length(a, NOT_A_BUFFER);
    aml_byte(a, elements);
}

void aml_resources(struct aml *a)
{
    aml_byte(a, OP_BUFFER);
    open_length(a, 0);
    aml_byte(a, OP_WORD);
    word(a, 0);
}

void aml_close(struct aml *a)
{
    size_t mark, at, len;

    CHECK(a->depth > 0);
    mark = a->open[--a->depth];
    at = mark & ~NOT_A_BUFFER;
    if (!(mark & NOT_A_BUFFER)) {
        aml_byte(a, 0x79); // end tag
        aml_byte(a, 0);    // no checksum
        len = a->at - at - LENGTH_BYTES - BUFFER_SIZE_BYTES;
        patch(a, at + LENGTH_BYTES + 1, len);
        patch(a, at + LENGTH_BYTES + 2, len >> 8);
    }
    len = a->at - at;
    CHECK(len < 1 << 20);
    patch(a, at, (LENGTH_BYTES - 1) << 6 | (len & 0x0f));
    patch(a, at + 1, len >> 4);
    patch(a, at + 2, len >> 12);
}

void aml_integer(struct aml *a, u32 value)
{
    if (value <= 1) {
        aml_byte(a, value); // ZeroOp, OneOp
    } else if (value <= 0xff) {
        aml_byte(a, OP_BYTE);
        aml_byte(a, value);
    } else if (value <= 0xffff) {
        aml_byte(a, OP_WORD);
        word(a, value);
    } else {
        aml_byte(a, OP_DWORD);
        dword(a, value);
    }
}

static unsigned hex(char c)
{
    return c <= '9' ? c - '0' : c - 'A' + 10;
}

void aml_eisa_id(struct aml *a, const char *id)
{
    CHECK(strlen(id) == 7);
    unsigned letters = (id[0] - 0x40) << 10 | (id[1] - 0x40) << 5 | (id[2] - 0x40);

    aml_byte(a, OP_DWORD); // big-endian, as the ISA bus had it
    aml_byte(a, letters >> 8);
    aml_byte(a, letters);
    aml_byte(a, hex(id[3]) << 4 | hex(id[4]));
    aml_byte(a, hex(id[5]) << 4 | hex(id[6]));
}

void aml_io(struct aml *a, u16 base, u8 len)
{
    aml_byte(a, 0x47);
    aml_byte(a, 1); // decodes 16 bits
    word(a, base);
    word(a, base);
    aml_byte(a, 1);
    aml_byte(a, len);
}

void aml_irq(struct aml *a, unsigned irq)
{
    aml_byte(a, 0x22);
    word(a, BIT(irq));
}

void aml_dma(struct aml *a, unsigned channel)
{
    aml_byte(a, 0x2a);
    aml_byte(a, BIT(channel));
    aml_byte(a, 0);
}

// The head of a word or double-word address space descriptor (ACPI 2.0, 6.4.3.5). Both ends are
// fixed.
static void window(struct aml *a, u8 tag, u8 len, u8 type, u8 type_flags)
{
    aml_byte(a, tag);
    word(a, len);
    aml_byte(a, type);
    aml_byte(a, 0x0c);
    aml_byte(a, type_flags);
}

static void word_window(struct aml *a, u8 type, u8 type_flags, u16 first, u16 last)
{
    window(a, 0x88, 13, type, type_flags);
    word(a, 0); // granularity
    word(a, first);
    word(a, last);
    word(a, 0); // translation
    word(a, last - first + 1);
}

void aml_port_window(struct aml *a, u16 first, u16 last)
{
    word_window(a, 1, 0x03, first, last);
}

void aml_bus_range(struct aml *a, u8 first, u8 last)
{
    word_window(a, 2, 0x00, first, last);
}

void aml_memory_window(struct aml *a, u32 first, u32 last, bool cacheable)
{
    window(a, 0x87, 23, 0, cacheable ? 0x03 : 0x01);
    dword(a, 0);
    dword(a, first);
    dword(a, last);
    dword(a, 0);
    dword(a, last - first + 1);
}
