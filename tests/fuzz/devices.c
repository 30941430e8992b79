// SPDX-License-Identifier: GPL-2.0-or-later
// Fuzzes every chip of the board as a guest driver would, however wrong: accesses of any size, order and value to ports and
// memory-mapped registers, DMA from and to any address, time that passes, media that change.
//
// The input: records of 8 bytes: what (low four bits; the others choose a memory-mapped range), size, u16 place, u32 value.
// corpus/devices holds what drivers do, in this form.
#include "monitor/dev/board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM (1u << 20)
#define RECORD 8
#define IMAGES 5

enum { IN, OUT, READ, WRITE, TIME, POKE, KEY, SERIAL, RESET, EJECT, INSERT, CALM, IN_RANGE, OUT_RANGE, INFO, RESUME };

struct world {
    struct bus bus;
    struct log log;
    struct board *board;
    u64 now;
    u8 *ram; // exactly RAM bytes: ASan sees any beyond
    struct screen_text screen;
};

static u64 now_ns(void *w) { return ((struct world *)w)->now; }
static u64 wall_us(void *w) { return ((struct world *)w)->now / 1000 + 1700000000000000; }
static void ignore(void *w) { (void)w; }
static void intr(void *w, bool level) { (void)w, (void)level; }
static void number(void *w, u32 value) { (void)w, (void)value; }
static void byte_out(void *w, u8 value) { (void)w, (void)value; }
static void text_out(void *w, const char *text) { (void)w, (void)text; }
static void serial_out(void *w, int port, const u8 *bytes, size_t len) { (void)w, (void)port, (void)bytes, (void)len; }

static void dma_read(void *opaque, u64 gpa, void *buf, size_t len)
{
    struct world *w = opaque;

    for (size_t i = 0; i < len; i++)
        ((u8 *)buf)[i] = gpa + i < RAM ? w->ram[gpa + i] : 0xff;
}

static void dma_write(void *opaque, u64 gpa, const void *buf, size_t len)
{
    struct world *w = opaque;

    for (size_t i = 0; i < len; i++)
        if (gpa + i < RAM)
            w->ram[gpa + i] = ((const u8 *)buf)[i];
}

static u8 *dma_map(void *opaque, u64 gpa, size_t len, bool write)
{
    struct world *w = opaque;

    (void)write;
    return gpa < RAM && len <= RAM - gpa ? w->ram + gpa : NULL;
}

static void dma_written(void *w, u64 gpa, size_t len) { (void)w, (void)gpa, (void)len; }

// A file in memory, by a name that can be opened again.
static const char *image(unsigned n, u64 size)
{
    static char names[IMAGES][64];

    if (!names[n][0]) {
        int fd = memfd_create("image", 0);

        if (fd < 0 || ftruncate(fd, (off_t)size) != 0)
            abort();
        snprintf(names[n], sizeof(names[n]), "/proc/%d/fd/%d", (int)getpid(), fd);
    }
    return names[n];
}

static void out32(struct world *w, u32 devfn, u32 at, u32 value)
{
    bus_write(&w->bus, BUS_PORT, 0xcf8, 0x80000000 | devfn << 8 | at, 4);
    bus_write(&w->bus, BUS_PORT, 0xcfc, value, 4);
}

// What firmware would have done: the functions' registers have places.
static void place_bars(struct world *w)
{
    out32(w, 1 << 3 | 1, 0x20, 0xc100);
    out32(w, 1 << 3 | 1, 4, 5);
    for (u32 n = 0; n < 2; n++) {
        out32(w, (8 + n) << 3, 0x10, 0xc200 + n * 0x100);
        out32(w, (8 + n) << 3, 0x20, 0xe0000000 + n * 0x10000);
        out32(w, (8 + n) << 3, 4, 7);
    }
}

static void create(struct world *w)
{
    const struct board_drive drives[] = {
        { DRIVE_IDE, 0, { .file = image(0, 8 << 20), .cache = BLOCK_UNSAFE } },
        { DRIVE_IDE, 2, { .file = image(1, 1 << 20), .cdrom = true } },
        { DRIVE_FLOPPY, 0, { .file = image(2, 1440 << 10), .floppy = true } },
        { DRIVE_FLOPPY, 1, { .floppy = true } },
        { DRIVE_VIRTIO, 0, { .file = image(3, 4 << 20), .cache = BLOCK_WRITETHROUGH } },
        { DRIVE_VIRTIO, 1, { .file = image(4, 1 << 20), .readonly = true } },
    };
    const struct board_config config = {
        .ram_size = RAM, .debug_exit_base = 0xf4, .debug_exit_size = 4, .serial_ports = 4, .firmware = true,
        .drive = drives, .drives = ARRAY_LEN(drives),
    };
    const struct board_host host = {
        .opaque = w, .now_ns = now_ns, .wall_us = wall_us, .intr = intr, .reset = ignore, .power_off = ignore,
        .debug_exit = number, .set_a20 = intr, .serial_out = serial_out, .debug_out = byte_out, .dma_read = dma_read,
        .dma_write = dma_write, .dma_map = dma_map, .dma_written = dma_written, .parallel_out = byte_out,
        .stop = text_out, .tell = text_out,
    };
    struct err err;

    w->board = board_create(&config, &host, &w->bus, &w->log, &err);
    if (!w->board) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    place_bars(w);
}

static void pass_time(struct world *w, u64 ns)
{
    u64 end = w->now + ns;

    for (unsigned i = 0; i < 64 && board_deadline(w->board) <= end; i++) {
        w->now = MAX(w->now, board_deadline(w->board));
        board_poll(w->board);
    }
    w->now = end;
    board_poll(w->board);
}

// The disks' threads get some time.
static void calm(struct world *w)
{
    for (unsigned i = 0; i < 4; i++) {
        usleep(30);
        pass_time(w, 100000);
    }
}

static const struct bus_range *range(struct world *w, enum bus_space space, unsigned n)
{
    return &w->bus.range[space][n % w->bus.count[space]];
}

static void step(struct world *w, const u8 *r)
{
    static const char *const pages[] = { "pic", "pci", "irq", "mtree", "timers", "dma", "serial", "keyboard", "vga", "block" };
    const struct bus_range *port = range(w, BUS_PORT, r[3]), *mmio = range(w, BUS_MMIO, r[0] >> 4);
    unsigned size = 1u << (r[1] & 3);
    u32 place;
    u16 at;
    u32 value;
    struct err err;

    memcpy(&at, r + 2, 2);
    memcpy(&value, r + 4, 4);
    place = mmio->base + at % mmio->len;
    switch (r[0] & 15) {
    case IN:
        bus_read(&w->bus, BUS_PORT, at, MIN(size, 4u));
        break;
    case OUT:
        bus_write(&w->bus, BUS_PORT, at, value, MIN(size, 4u));
        break;
    case READ:
        bus_read(&w->bus, BUS_MMIO, place, size);
        break;
    case WRITE:
        bus_write(&w->bus, BUS_MMIO, place, value | (u64)value << 32, size);
        break;
    case TIME:
        pass_time(w, value);
        break;
    case POKE:
        memcpy(w->ram + at * 16u + r[1] % 4 * 4u, &value, 4);
        break;
    case KEY:
        board_key(w->board, value, at & 1);
        break;
    case SERIAL:
        board_serial_in(w->board, r[1] & 3, r + 4, 1 + at % 4);
        break;
    case RESET:
        board_reset(w->board);
        place_bars(w);
        break;
    case EJECT:
        board_change(w->board, at & 1 ? "ide1-cd0" : "floppy0", NULL, &err);
        break;
    case INSERT:
        board_change(w->board, at & 1 ? "ide1-cd0" : "floppy0", at & 1 ? image(1, 0) : image(2, 0), &err);
        break;
    case CALM:
        calm(w);
        break;
    case IN_RANGE:
        bus_read(&w->bus, BUS_PORT, port->base + r[2] % port->len, MIN(size, 4u));
        break;
    case OUT_RANGE:
        bus_write(&w->bus, BUS_PORT, port->base + r[2] % port->len, value, MIN(size, 4u));
        break;
    case INFO: {
        FILE *f = fopen("/dev/null", "w");
        struct screen_pixels pixels;

        board_info(w->board, pages[at % ARRAY_LEN(pages)], f);
        fclose(f);
        board_screen(w->board, &w->screen);
        if (board_pixels(w->board, &pixels))
            free(pixels.rgb);
        break;
    }
    case RESUME:
        board_resume(w->board);
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    struct world w = { .now = 1000000000, .ram = calloc(1, RAM), .log.file = stderr };

    bus_init(&w.bus);
    create(&w);
    for (size_t at = 0; at + RECORD <= len && at < 400 * RECORD; at += RECORD)
        step(&w, data + at);
    calm(&w);
    board_destroy(w.board);
    bus_destroy(&w.bus);
    free(w.ram);
    return 0;
}
