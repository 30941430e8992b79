// SPDX-License-Identifier: GPL-2.0-or-later
// The task file, as in the ATA/ATAPI-6 standard (T13 1410D), and reset.
#include "ide.h"

#include <stdlib.h>
#include <string.h>

#define CONTROL_NIEN 0x02
#define CONTROL_SRST 0x04
#define CONTROL_HOB 0x80

// What an empty channel reads as: DD7 is pulled down, so that nobody waits for BSY to end.
#define FLOATING 0x7f
#define SELECT_FIXED 0xa0 // bits that read as one

// ---- Interrupt

static void update_irq(struct ide_channel *ch)
{
    bool level = ch->irq_level && !(ch->control & CONTROL_NIEN);

    // The bus master sees the edge too, if there is one.
    if (level && !ch->intrq)
        ch->dma.status |= 0x04;
    ch->intrq = level;
    irq_set(&ch->irq, level);
}

void ide_raise(struct ide_channel *ch)
{
    // Each end of a command or block is an edge, even when the host has not looked at the last one.
    ch->intrq = false;
    ch->irq_level = true;
    update_irq(ch);
}

static void lower(struct ide_channel *ch)
{
    ch->irq_level = false;
    update_irq(ch);
}

// ---- The ends of a command and of its phases

void ide_done(struct ide_channel *ch, struct ide_drive *d)
{
    d->status = IDE_DRDY | IDE_DSC;
    d->error = 0;
    ch->wanted = false;
    ide_raise(ch);
}

void ide_fail(struct ide_channel *ch, struct ide_drive *d, u8 error)
{
    d->status = IDE_DRDY | IDE_DSC | IDE_ERR;
    d->error = error;
    ch->wanted = false;
    ide_raise(ch);
}

void ide_transfer(struct ide_channel *ch, struct ide_drive *d, u32 len, bool irq,
                  void (*then)(struct ide_channel *ch, struct ide_drive *d))
{
    CHECK(len && len <= IDE_BUFFER);
    ch->pos = 0;
    ch->len = len;
    ch->then = then;
    d->status = IDE_DRDY | IDE_DSC | IDE_DRQ;
    if (irq)
        ide_raise(ch);
}

void ide_submit(struct ide_channel *ch, struct ide_drive *d, enum block_op op, u64 offset, u32 len,
                void (*done)(struct block_request *request), bool mapped)
{
    d->status = IDE_BSY | (d->status & IDE_DRDY);
    ch->request = (struct block_request){
        .op = op, .offset = offset, .len = len, .buf = ch->buf, .done = done, .opaque = ch,
        .iov = mapped ? ch->iov : NULL, .iovs = ch->iovs,
    };
    block_submit(d->block, &ch->request);
}

void ide_string(u16 *to, unsigned words, const char *text)
{
    for (unsigned i = 0; i < words; i++) {
        u8 a = *text ? *text++ : ' ', b = *text ? *text++ : ' ';

        to[i] = a << 8 | b;
    }
}

// ---- Registers

void ide_signature(struct ide_drive *d)
{
    bool cd = d->kind == IDE_CDROM;

    d->select &= 0x10;
    d->count[0] = d->lba[0][0] = 1;
    d->lba[1][0] = cd ? 0x14 : 0;
    d->lba[2][0] = cd ? 0xeb : 0;
}

static void reset_drive(struct ide_drive *d)
{
    u8 select = d->select & 0x10;

    memset(d->feature, 0, sizeof(d->feature));
    memset(d->count, 0, sizeof(d->count));
    memset(d->lba, 0, sizeof(d->lba));
    ide_signature(d);
    d->select = select;
    d->status = d->kind == IDE_DISK ? IDE_DRDY | IDE_DSC : 0;
    d->error = 1; // diagnostic code: passed
    d->multiple = 0;
    d->cyl_now = d->cylinders;
    d->heads_now = d->heads;
    d->spt_now = d->sectors;
    d->locked = false;
    d->sense = (struct ide_sense){ 0 };
}

// Whatever was under way is over.
static void abandon(struct ide_channel *ch)
{
    for (unsigned n = 0; n < 2; n++)
        if (ch->drive[n].block)
            block_cancel(ch->drive[n].block);
    ch->request.busy = false;
    ch->wanted = false;
    ch->then = NULL;
    ch->pos = ch->len = 0;
}

static void reset_channel(struct ide_channel *ch)
{
    abandon(ch);
    for (unsigned n = 0; n < 2; n++) {
        ch->drive[n].select = 0;
        reset_drive(&ch->drive[n]);
    }
    lower(ch);
}

static bool empty(const struct ide_channel *ch)
{
    return ch->drive[0].kind == IDE_NONE && ch->drive[1].kind == IDE_NONE;
}

static void diagnose(struct ide_channel *ch)
{
    for (unsigned n = 0; n < 2; n++)
        reset_drive(&ch->drive[n]);
    ch->drive[0].select = ch->drive[1].select = 0;
    ide_raise(ch);
}

static void command(struct ide_channel *ch, u8 value)
{
    struct ide_drive *d = ide_selected(ch);

    if (value == 0x90 && d->kind == IDE_NONE) // EXECUTE DEVICE DIAGNOSTIC is for both drives
        d = &ch->drive[d == ch->drive];
    if (d->kind == IDE_NONE)
        return;
    // Only DEVICE RESET gets through to a busy drive, and only to one with packets.
    if ((d->status & (IDE_BSY | IDE_DRQ)) && !(value == 0x08 && d->kind == IDE_CDROM))
        return;
    lower(ch);
    if (value == 0x08 && d->kind == IDE_CDROM) {
        abandon(ch);
        reset_drive(d);
        return;
    }
    // The buffer is this drive's from here on: a transfer that the other one has left is lost.
    ch->drive[d == ch->drive].status &= ~IDE_DRQ;
    d->error = 0;
    d->status = IDE_DRDY | IDE_DSC;
    ch->by_dma = false;
    if (value == 0x90) {
        diagnose(ch);
    } else if (d->kind == IDE_DISK) {
        ata_command(ch, d, value);
    } else if (value == 0xa0) {
        atapi_packet(ch, d);
    } else if (value == 0xa1) {
        atapi_identify(ch, d);
    } else if (value == 0xec) { // where a disk would identify itself, a CD-ROM drive shows what it is
        ide_signature(d);
        ide_fail(ch, d, IDE_ABRT);
    } else if (value == 0xef || value == 0xe0 || value == 0xe1 || value == 0xe6) {
        if (value == 0xef)
            ata_command(ch, d, value);
        else
            ide_done(ch, d);
    } else if (value == 0xe5) {
        d->count[0] = 0xff; // idle or active
        ide_done(ch, d);
    } else {
        ide_fail(ch, d, IDE_ABRT);
    }
}

static u8 status(struct ide_channel *ch)
{
    struct ide_drive *d = ide_selected(ch);

    if (empty(ch))
        return FLOATING;
    return d->kind == IDE_NONE ? 0 : d->status;
}

static u64 data_read(struct ide_channel *ch, unsigned size)
{
    struct ide_drive *d = ide_selected(ch);
    u32 value = 0;

    if (!(d->status & IDE_DRQ) || ch->write)
        return 0;
    for (unsigned i = 0; i < size && ch->pos < ch->len; i++)
        value |= (u32)ch->buf[ch->pos++] << (8 * i);
    if (ch->pos == ch->len)
        ch->then(ch, d);
    return value;
}

static void data_write(struct ide_channel *ch, u32 value, unsigned size)
{
    struct ide_drive *d = ide_selected(ch);

    if (!(d->status & IDE_DRQ) || !ch->write)
        return;
    for (unsigned i = 0; i < size && ch->pos < ch->len; i++)
        ch->buf[ch->pos++] = value >> (8 * i);
    if (ch->pos == ch->len)
        ch->then(ch, d);
}

static u64 ide_read(void *dev, u32 addr, unsigned size)
{
    struct ide_channel *ch = dev;
    struct ide_drive *d = ide_selected(ch);
    unsigned old = ch->control & CONTROL_HOB ? 1 : 0;

    if (addr == 0)
        return data_read(ch, size);
    if (size > 1) // the registers are one byte each, next to one another
        return ide_read(dev, addr, size / 2)
               | (addr + size / 2 < 8 ? ide_read(dev, addr + size / 2, size / 2) : 0) << (4 * size);
    if (empty(ch))
        return FLOATING;
    if (d->kind == IDE_NONE) // drive 0 answers for drive 1
        d = &ch->drive[0];
    switch (addr) {
    case 1:
        return d->error;
    case 2:
        return d->count[old];
    case 3 ... 5:
        return d->lba[addr - 3][old];
    case 6:
        return ch->drive[0].select | SELECT_FIXED;
    default:
        lower(ch);
        return status(ch);
    }
}

static void put_two(u8 reg[2], u8 value)
{
    reg[1] = reg[0];
    reg[0] = value;
}

static void ide_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct ide_channel *ch = dev;

    if (addr == 0) {
        data_write(ch, value, size);
        return;
    }
    if (size > 1) {
        for (unsigned i = 0; i < size && addr + i < 8; i++)
            ide_write(dev, addr + i, value >> (8 * i) & 0xff, 1);
        return;
    }
    ch->control &= ~CONTROL_HOB;
    if (addr == 7) {
        command(ch, value);
        return;
    }
    // Both drives listen, unless busy.
    for (unsigned n = 0; n < 2; n++) {
        struct ide_drive *d = &ch->drive[n];

        if (ide_selected(ch)->status & IDE_BSY)
            return;
        if (addr == 6)
            continue;
        if (addr == 1)
            put_two(d->feature, value);
        else if (addr == 2)
            put_two(d->count, value);
        else
            put_two(d->lba[addr - 3], value);
    }
    if (addr == 6)
        ch->drive[0].select = ch->drive[1].select = value & ~SELECT_FIXED;
}

const struct bus_ops ide_ops = { ide_read, ide_write, 4 };

static u64 control_read(void *dev, u32 addr, unsigned size)
{
    (void)addr, (void)size;
    return status(dev);
}

static void control_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct ide_channel *ch = dev;
    u8 before = ch->control;

    (void)addr, (void)size;
    ch->control = value;
    if (!(before & CONTROL_SRST) && value & CONTROL_SRST) {
        reset_channel(ch);
        for (unsigned n = 0; n < 2; n++)
            ch->drive[n].status = IDE_BSY;
    } else if (before & CONTROL_SRST && !(value & CONTROL_SRST)) {
        reset_channel(ch);
    }
    update_irq(ch);
}

const struct bus_ops ide_control_ops = { control_read, control_write, 1 };

// ---- The controller

bool ide_init(struct ide *ide, const struct board_host *host, struct block *const block[4],
              const bool cdrom[4])
{
    static const char *const names[2][4] = {
        { "ide0-hd0", "ide0-hd1", "ide1-hd0", "ide1-hd1" }, { "ide0-cd0", "ide0-cd1", "ide1-cd0", "ide1-cd1" },
    };

    memset(ide, 0, sizeof(*ide));
    for (unsigned n = 0; n < 4; n++) {
        struct ide_channel *ch = &ide->channel[n / 2];
        struct ide_drive *d = &ch->drive[n % 2];

        ch->host = host;
        ch->func = &ide->func;
        d->name = names[cdrom[n]][n];
        d->block = block[n];
        d->kind = cdrom[n] ? IDE_CDROM : block[n] ? IDE_DISK : IDE_NONE;
        if (d->kind == IDE_DISK)
            ata_find_geometry(d);
        if (d->kind != IDE_NONE && !ch->buf && !(ch->buf = malloc(IDE_BUFFER)))
            return false;
    }
    ide_dma_init(ide);
    return true;
}

void ide_destroy(struct ide *ide)
{
    for (unsigned n = 0; n < 2; n++) {
        if (ide->channel[n].host)
            abandon(&ide->channel[n]);
        free(ide->channel[n].buf);
        ide->channel[n].buf = NULL;
    }
}

void ide_reset(struct ide *ide)
{
    for (unsigned n = 0; n < 2; n++) {
        ide->channel[n].control = 0;
        reset_channel(&ide->channel[n]);
        ide_dma_reset(&ide->channel[n]);
    }
}

void ide_change(struct ide *ide, unsigned n, struct block *block)
{
    struct ide_channel *ch = &ide->channel[n / 2];
    struct ide_drive *d = &ch->drive[n % 2];

    if (ch->request.busy && ide_selected(ch) == d) {
        // The disc is gone in the middle of a read.
        block_cancel(d->block);
        ch->request.busy = false;
        ide_fail(ch, d, 0x60 | IDE_ABRT);
    }
    d->block = block;
    d->changed = true;
    d->event = block ? 2 : 3; // new media, media removed
}

void ide_print(struct ide *ide, FILE *f)
{
    for (unsigned n = 0; n < 4; n++) {
        struct ide_drive *d = &ide->channel[n / 2].drive[n % 2];

        if (d->kind == IDE_NONE)
            continue;
        if (d->block)
            block_print(d->block, d->name, f);
        else
            fprintf(f, "%-8s no disc\n", d->name);
    }
}
