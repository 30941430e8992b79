// SPDX-License-Identifier: GPL-2.0-or-later
// The PIIX3's IDE function, 0:1.1, and its bus masters ("Programming Interface for Bus Master IDE
// Controller", revision 1.0).
#include "ide.h"

#include <string.h>

#define COMMAND_START 0x01
#define COMMAND_TO_MEMORY 0x08
#define STATUS_ACTIVE 0x01
#define STATUS_ERROR 0x02
#define STATUS_IRQ 0x04
#define PRD_LAST BIT(31)

void ide_dma_reset(struct ide_channel *ch)
{
    memset(&ch->dma, 0, sizeof(ch->dma));
}

// Fetches the next region; false after the last.
static bool next_region(struct ide_channel *ch)
{
    struct ide_dma *dma = &ch->dma;
    const struct board_host *host = ch->host;
    u32 entry[2] = { 0, PRD_LAST };

    if (dma->last || !host->dma_read)
        return false;
    host->dma_read(host->opaque, dma->at, entry, sizeof(entry));
    dma->at += sizeof(entry);
    dma->addr = entry[0] & ~1u;
    dma->left = entry[1] & 0xfffe;
    if (dma->left == 0)
        dma->left = 0x10000;
    dma->last = entry[1] & PRD_LAST;
    return true;
}

bool ide_dma_move(struct ide_channel *ch, bool to_memory, u8 *buf, u32 len)
{
    struct ide_dma *dma = &ch->dma;
    const struct board_host *host = ch->host;

    while (len) {
        u32 n;

        if (!dma->left && !next_region(ch))
            return false;
        n = MIN(len, dma->left);
        if (to_memory)
            host->dma_write(host->opaque, dma->addr, buf, n);
        else
            host->dma_read(host->opaque, dma->addr, buf, n);
        dma->addr += n;
        dma->left -= n;
        buf += n;
        len -= n;
    }
    return true;
}

bool ide_dma_map(struct ide_channel *ch, bool to_memory, u32 len)
{
    const struct board_host *host = ch->host;
    const struct ide_dma before = ch->dma;
    struct ide_dma *dma = &ch->dma;

    for (ch->iovs = 0; len && host->dma_map && ch->iovs < IDE_PIECES; ch->iovs++) {
        struct iovec *iov = &ch->iov[ch->iovs];

        if (!dma->left && !next_region(ch))
            break;
        iov->iov_len = MIN(len, dma->left);
        iov->iov_base = host->dma_map(host->opaque, dma->addr, iov->iov_len, to_memory);
        if (!iov->iov_base)
            break;
        ch->at[ch->iovs] = dma->addr;
        dma->addr += iov->iov_len;
        dma->left -= iov->iov_len;
        len -= iov->iov_len;
    }
    if (len)
        *dma = before;
    return !len;
}

void ide_dma_written(struct ide_channel *ch)
{
    for (unsigned i = 0; i < ch->iovs && ch->host->dma_written; i++)
        ch->host->dma_written(ch->host->opaque, ch->at[i], ch->iov[i].iov_len);
}

void ide_dma_done(struct ide_channel *ch)
{
    // It stays active if the table offers more than the drive took.
    if (ch->dma.left == 0 && ch->dma.last)
        ch->dma.status &= ~STATUS_ACTIVE;
    ch->wanted = false;
}

static void start(struct ide_channel *ch, struct ide_drive *d)
{
    ch->wanted = false;
    if (d->kind == IDE_DISK)
        ata_dma_start(ch, d);
    else
        atapi_dma_start(ch, d);
}

void ide_want_dma(struct ide_channel *ch, struct ide_drive *d)
{
    ch->wanted = true;
    if (ch->dma.status & STATUS_ACTIVE)
        start(ch, d);
}

// ---- Registers: two times eight ports

static u64 dma_read(void *dev, u32 addr, unsigned size)
{
    struct ide *ide = dev;
    const struct ide_dma *dma = &ide->channel[addr >> 3].dma;

    (void)size;
    switch (addr & 7) {
    case 0:
        return dma->command;
    case 2:
        return dma->status;
    case 4 ... 7:
        return dma->table >> (8 * (addr & 3)) & 0xff;
    default:
        return 0xff;
    }
}

static void command(struct ide_channel *ch, u8 value)
{
    struct ide_dma *dma = &ch->dma;
    bool was = dma->command & COMMAND_START;

    dma->command = value & (COMMAND_START | COMMAND_TO_MEMORY);
    if (!was && value & COMMAND_START) {
        dma->status |= STATUS_ACTIVE;
        dma->at = dma->table;
        dma->left = 0;
        dma->last = false;
        if (ch->wanted)
            start(ch, ide_selected(ch));
    } else if (was && !(value & COMMAND_START)) {
        dma->status &= ~STATUS_ACTIVE;
    }
}

static void dma_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct ide *ide = dev;
    struct ide_channel *ch = &ide->channel[addr >> 3];
    struct ide_dma *dma = &ch->dma;
    unsigned shift = 8 * (addr & 3);

    (void)size;
    switch (addr & 7) {
    case 0:
        command(ch, value);
        break;
    case 2: // two bits are cleared by writing ones, two are the driver's own
        dma->status = (dma->status & ~(value & (STATUS_ERROR | STATUS_IRQ)) & ~0x60) | (value & 0x60);
        break;
    case 4 ... 7:
        dma->table = ((dma->table & ~(0xffu << shift)) | (u32)value << shift) & ~3u;
        break;
    }
}

static const struct bus_ops dma_ops = { dma_read, dma_write, 1 };

void ide_dma_init(struct ide *ide)
{
    struct pci_func *f = &ide->func;

    pci_func_init(f, "PIIX3 IDE", 1 << 3 | 1, 0x8086, 0x7010, 0x010180, 0x00);
    pci_put16(f->power_on, PCI_STATUS, 0x0280);
    pci_put16(f->power_on, PCI_SUBSYSTEM_VENDOR, 0x1af4);
    pci_put16(f->power_on, PCI_SUBSYSTEM, 0x1100);
    f->clearable[PCI_STATUS + 1] = 0x38;
    f->writable[PCI_COMMAND] = PCI_COMMAND_MASTER;
    pci_func_bar(f, 4, BUS_PORT, 16, &dma_ops, ide);
    // Both channels decode their ports from the start, as firmware would have it.
    f->power_on[0x41] = f->power_on[0x43] = 0x80;
    pci_func_writable(f, 0x40, 5, 0xff);
}
