// SPDX-License-Identifier: GPL-2.0-or-later
// A hard disk's commands, as in ATA/ATAPI-6.
#include "ide.h"

#include <string.h>

#define MAX_MULTIPLE 16
#define LBA28_MAX 0x0fffffffu
#define SELECT_LBA 0x40
#define CHUNK (IDE_BUFFER / BLOCK_SECTOR)

static u64 sectors_of(const struct ide_drive *d)
{
    return d->block->size / BLOCK_SECTOR;
}

// ---- Geometry

static u32 le32(const u8 *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24;
}

// The geometry that whoever partitioned the disk thought of: partitions end with a track.
static bool partitioned_for(const u8 *mbr, u64 total, struct ide_drive *d)
{
    if (mbr[510] != 0x55 || mbr[511] != 0xaa)
        return false;
    for (const u8 *p = mbr + 446; p < mbr + 510; p += 16) {
        u32 heads = p[5] + 1u, sectors = p[6] & 63, cylinders;

        if (!le32(p + 12) || !p[5] || !sectors || heads > 16)
            continue;
        cylinders = total / (heads * sectors);
        if (cylinders == 0 || cylinders > 16383)
            continue;
        d->heads = heads;
        d->sectors = sectors;
        d->cylinders = cylinders;
        return true;
    }
    return false;
}

void ata_find_geometry(struct ide_drive *d)
{
    u8 mbr[BLOCK_SECTOR];
    u64 total = sectors_of(d);

    // Before the worker has anything to do, its backend may be used from here.
    if (d->block->size >= sizeof(mbr) && d->block->ops->read(d->block, 0, mbr, sizeof(mbr)) == 0
        && partitioned_for(mbr, total, d))
        return;
    d->heads = 16;
    d->sectors = 63;
    d->cylinders = MIN(MAX(total / (16 * 63), 1ull), 16383ull);
}

// ---- IDENTIFY DEVICE

static void identify(struct ide_channel *ch, struct ide_drive *d)
{
    u16 *w = (u16 *)(void *)ch->buf;
    u64 total = sectors_of(d);
    u32 lba28 = MIN(total, (u64)LBA28_MAX), now = (u32)d->cyl_now * d->heads_now * d->spt_now;
    char serial[21];

    memset(w, 0, BLOCK_SECTOR);
    snprintf(serial, sizeof(serial), "R3%05u", (unsigned)(d->name[3] - '0') * 2 + (d->name[7] - '0'));
    w[0] = 0x0040;                  // a fixed disk
    w[1] = d->cylinders;
    w[3] = d->heads;
    w[4] = d->sectors * BLOCK_SECTOR;
    w[5] = BLOCK_SECTOR;
    w[6] = d->sectors;
    ide_string(w + 10, 10, serial);
    w[20] = 3;                      // buffer: dual ported, caching
    w[21] = IDE_BUFFER / BLOCK_SECTOR;
    w[22] = 4;
    ide_string(w + 23, 4, "1.0");
    ide_string(w + 27, 20, "RING3 HARDDISK");
    w[47] = 0x8000 | MAX_MULTIPLE;
    w[48] = 1;                      // 32-bit data port accesses
    w[49] = 0x0f00;                 // IORDY, LBA, DMA
    w[50] = 0x4000;
    w[51] = w[52] = 0x0200;
    w[53] = 7;                      // words 54-58, 64-70, 88 are valid
    w[54] = d->cyl_now;
    w[55] = d->heads_now;
    w[56] = d->spt_now;
    w[57] = now;
    w[58] = now >> 16;
    w[59] = d->multiple ? 0x100 | d->multiple : 0;
    w[60] = lba28;
    w[61] = lba28 >> 16;
    w[63] = 0x07 | d->mdma << 8;    // multiword DMA 0-2
    w[64] = 0x03;                   // PIO 3 and 4
    w[65] = w[66] = w[67] = w[68] = 120;
    w[80] = 0x7e;                   // ATA 1 to 6
    w[81] = 0x16;
    w[82] = 0x4020;                 // NOP, write cache
    w[83] = 0x7400;                 // FLUSH CACHE (EXT), 48-bit addresses
    w[84] = 0x4000;
    w[85] = d->no_write_cache ? 0x4000 : 0x4020;
    w[86] = 0x3400;
    w[87] = 0x4000;
    w[88] = 0x3f | d->udma << 8;    // ultra DMA 0-5
    w[93] = 0x6001;
    for (unsigned i = 0; i < 4; i++)
        w[100 + i] = total >> (16 * i);
    ch->write = false;
}

// ---- Addresses

// The sector that the task file names.
static u64 get_sector(const struct ide_channel *ch, const struct ide_drive *d)
{
    u32 low = d->lba[0][0] | d->lba[1][0] << 8 | (u32)d->lba[2][0] << 16;

    if (ch->ext)
        return low | (u64)d->lba[0][1] << 24 | (u64)d->lba[1][1] << 32 | (u64)d->lba[2][1] << 40;
    if (d->select & SELECT_LBA)
        return low | (u32)(d->select & 0x0f) << 24;
    if (!d->lba[0][0] || d->lba[0][0] > d->spt_now || (d->select & 0x0f) >= d->heads_now)
        return ~0ull;
    return ((low >> 8) * (u64)d->heads_now + (d->select & 0x0f)) * d->spt_now + d->lba[0][0] - 1;
}

static void put_sector(const struct ide_channel *ch, struct ide_drive *d, u64 sector)
{
    if (ch->ext) {
        for (unsigned i = 0; i < 3; i++) {
            d->lba[i][0] = sector >> (8 * i);
            d->lba[i][1] = sector >> (8 * i + 24);
        }
    } else if (d->select & SELECT_LBA) {
        for (unsigned i = 0; i < 3; i++)
            d->lba[i][0] = sector >> (8 * i);
        d->select = (d->select & 0xf0) | (sector >> 24 & 0x0f);
    } else {
        u32 track = sector / d->spt_now, cylinder = track / d->heads_now;

        d->lba[0][0] = sector % d->spt_now + 1;
        d->lba[1][0] = cylinder;
        d->lba[2][0] = cylinder >> 8;
        d->select = (d->select & 0xf0) | track % d->heads_now;
    }
}

static u32 get_count(const struct ide_channel *ch, const struct ide_drive *d)
{
    u32 count = ch->ext ? d->count[0] | d->count[1] << 8 : d->count[0];

    return count ? count : ch->ext ? 0x10000 : 0x100;
}

// Prepares a transfer; false (and the command has failed) if it is outside the disk.
static bool aim(struct ide_channel *ch, struct ide_drive *d)
{
    ch->sector = get_sector(ch, d);
    ch->left = get_count(ch, d);
    if (ch->sector < sectors_of(d) && ch->left <= sectors_of(d) - ch->sector)
        return true;
    ide_fail(ch, d, IDE_IDNF);
    return false;
}

// A request has failed: the task file shows where.
static bool failed(struct ide_channel *ch, struct ide_drive *d)
{
    if (!ch->request.error)
        return false;
    put_sector(ch, d, ch->sector);
    if (ch->by_dma)
        ide_dma_done(ch);
    ide_fail(ch, d, ch->write ? IDE_ABRT : IDE_UNC);
    return true;
}

static void advance(struct ide_channel *ch, struct ide_drive *d)
{
    ch->sector += ch->chunk;
    ch->left -= ch->chunk;
    d->count[0] = ch->left;
    d->count[1] = ch->left >> 8;
    put_sector(ch, d, ch->left ? ch->sector : ch->sector - 1);
}

// ---- PIO

static void read_more(struct ide_channel *ch, struct ide_drive *d);

static void sent(struct ide_channel *ch, struct ide_drive *d)
{
    if (ch->left)
        read_more(ch, d);
    else
        d->status = IDE_DRDY | IDE_DSC; // the last block's interrupt was the last
}

static void pio_read_done(struct block_request *r)
{
    struct ide_channel *ch = r->opaque;
    struct ide_drive *d = ide_selected(ch);

    if (failed(ch, d))
        return;
    advance(ch, d);
    ide_transfer(ch, d, ch->chunk * BLOCK_SECTOR, true, sent);
}

static void read_more(struct ide_channel *ch, struct ide_drive *d)
{
    ch->chunk = MIN(ch->left, ch->block);
    ide_submit(ch, d, BLOCK_READ, ch->sector * BLOCK_SECTOR, ch->chunk * BLOCK_SECTOR, pio_read_done, false);
}

static void write_more(struct ide_channel *ch, struct ide_drive *d, bool irq);

static void flushed(struct block_request *r)
{
    struct ide_channel *ch = r->opaque;
    struct ide_drive *d = ide_selected(ch);

    if (r->error)
        ide_fail(ch, d, IDE_ABRT);
    else
        ide_done(ch, d);
}

// The end of a write: without a write cache it is on the disk before the drive says so.
static void written(struct ide_channel *ch, struct ide_drive *d)
{
    if (ch->by_dma)
        ide_dma_done(ch);
    if (d->no_write_cache)
        ide_submit(ch, d, BLOCK_FLUSH, 0, 0, flushed, false);
    else
        ide_done(ch, d);
}

static void pio_write_done(struct block_request *r)
{
    struct ide_channel *ch = r->opaque;
    struct ide_drive *d = ide_selected(ch);

    if (failed(ch, d))
        return;
    advance(ch, d);
    if (ch->left)
        write_more(ch, d, true);
    else
        written(ch, d);
}

static void received(struct ide_channel *ch, struct ide_drive *d)
{
    ide_submit(ch, d, BLOCK_WRITE, ch->sector * BLOCK_SECTOR, ch->chunk * BLOCK_SECTOR, pio_write_done, false);
}

static void write_more(struct ide_channel *ch, struct ide_drive *d, bool irq)
{
    ch->chunk = MIN(ch->left, ch->block);
    ide_transfer(ch, d, ch->chunk * BLOCK_SECTOR, irq, received);
}

static void pio(struct ide_channel *ch, struct ide_drive *d, bool write, u32 block)
{
    ch->write = write;
    ch->block = block;
    if (!block) { // READ MULTIPLE without SET MULTIPLE
        ide_fail(ch, d, IDE_ABRT);
        return;
    }
    if (!aim(ch, d))
        return;
    if (write)
        write_more(ch, d, false);
    else
        read_more(ch, d);
}

// ---- DMA

static void dma_more(struct ide_channel *ch, struct ide_drive *d);

static void dma_broken(struct ide_channel *ch, struct ide_drive *d)
{
    ide_dma_done(ch);
    ide_fail(ch, d, IDE_ABRT);
}

static void dma_moved(struct ide_channel *ch, struct ide_drive *d)
{
    advance(ch, d);
    if (ch->left) {
        dma_more(ch, d);
    } else if (ch->write) {
        written(ch, d);
    } else {
        ide_dma_done(ch);
        ide_done(ch, d);
    }
}

static void dma_io_done(struct block_request *r)
{
    struct ide_channel *ch = r->opaque;
    struct ide_drive *d = ide_selected(ch);

    if (failed(ch, d))
        return;
    if (!ch->write && !ide_dma_move(ch, true, ch->buf, r->len))
        dma_broken(ch, d);
    else
        dma_moved(ch, d);
}

// Straight into the guest's memory; false if that cannot be done now.
static bool read_now(struct ide_channel *ch, struct ide_drive *d, u32 len)
{
    const struct ide_dma before = ch->dma;

    if (!ide_dma_map(ch, true, len))
        return false;
    if (!block_read_now(d->block, ch->sector * BLOCK_SECTOR, ch->iov, ch->iovs, len)) {
        ch->dma = before;
        return false;
    }
    ide_dma_written(ch);
    return true;
}

static void dma_more(struct ide_channel *ch, struct ide_drive *d)
{
    u64 offset = ch->sector * BLOCK_SECTOR;
    bool ends, mapped;
    u32 len;

    ch->chunk = MIN(ch->left, CHUNK);
    len = ch->chunk * BLOCK_SECTOR;
    if (!ch->write && read_now(ch, d, len)) {
        dma_moved(ch, d);
        return;
    }
    // The disk's ends go by the buffer (block.h).
    ends = offset == 0 || offset + len == d->block->size;
    mapped = ch->write && !ends && ide_dma_map(ch, false, len);
    if (ch->write && !mapped && !ide_dma_move(ch, false, ch->buf, len)) {
        dma_broken(ch, d);
        return;
    }
    ide_submit(ch, d, ch->write ? BLOCK_WRITE : BLOCK_READ, offset, len, dma_io_done, mapped);
}

void ata_dma_start(struct ide_channel *ch, struct ide_drive *d)
{
    dma_more(ch, d);
}

static void dma(struct ide_channel *ch, struct ide_drive *d, bool write)
{
    ch->write = write;
    ch->by_dma = true;
    if (!aim(ch, d))
        return;
    d->status = IDE_DRDY | IDE_DSC | IDE_DRQ;
    ch->len = ch->pos = 0;
    d->status = IDE_DRDY | IDE_BSY;
    ide_want_dma(ch, d);
}

// ---- Commands without sectors

static void set_features(struct ide_channel *ch, struct ide_drive *d)
{
    u8 mode = d->count[0];

    switch (d->feature[0]) {
    case 0x02: // write cache on, off
    case 0x82:
        d->no_write_cache = d->feature[0] == 0x82;
        break;
    case 0x03: // transfer mode
        if (mode >> 3 == 4 && (mode & 7) <= 2) {
            d->mdma = 1 << (mode & 7);
            d->udma = 0;
        } else if (mode >> 3 == 8 && (mode & 7) <= 5) {
            d->udma = 1 << (mode & 7);
            d->mdma = 0;
        } else if (mode >> 3 > 1) {
            ide_fail(ch, d, IDE_ABRT);
            return;
        }
        break;
    case 0x05: case 0x85: // power management, read look-ahead, reverting to defaults: nothing to do
    case 0x55: case 0xaa:
    case 0x66: case 0xcc:
        break;
    default:
        ide_fail(ch, d, IDE_ABRT);
        return;
    }
    ide_done(ch, d);
}

static void set_parameters(struct ide_channel *ch, struct ide_drive *d)
{
    u32 heads = (d->select & 0x0f) + 1u, sectors = d->count[0];

    if (!sectors) {
        ide_fail(ch, d, IDE_ABRT);
        return;
    }
    d->heads_now = heads;
    d->spt_now = sectors;
    d->cyl_now = MIN(sectors_of(d) / (heads * sectors), 65535ull);
    ide_done(ch, d);
}

static void set_multiple(struct ide_channel *ch, struct ide_drive *d)
{
    u8 n = d->count[0];

    if (n > MAX_MULTIPLE || (n & (n - 1))) {
        ide_fail(ch, d, IDE_ABRT);
        return;
    }
    d->multiple = n;
    ide_done(ch, d);
}

static void verify(struct ide_channel *ch, struct ide_drive *d)
{
    if (!aim(ch, d))
        return;
    put_sector(ch, d, ch->sector + ch->left - 1);
    ide_done(ch, d);
}

static void native_max(struct ide_channel *ch, struct ide_drive *d)
{
    u64 last = sectors_of(d) - 1;

    if (!ch->ext) {
        last = MIN(last, (u64)LBA28_MAX - 1);
        d->select |= SELECT_LBA;
    }
    put_sector(ch, d, last);
    ide_done(ch, d);
}

static void identified(struct ide_channel *ch, struct ide_drive *d)
{
    (void)ch;
    d->status = IDE_DRDY | IDE_DSC;
}

void ata_command(struct ide_channel *ch, struct ide_drive *d, u8 command)
{
    ch->ext = command == 0x24 || command == 0x25 || command == 0x27 || command == 0x29
              || command == 0x34 || command == 0x35 || command == 0x39 || command == 0x42
              || command == 0xea;
    switch (command) {
    case 0x20: case 0x21: case 0x24:
        pio(ch, d, false, 1);
        break;
    case 0x30: case 0x31: case 0x34: case 0x3c:
        pio(ch, d, true, 1);
        break;
    case 0xc4: case 0x29:
        pio(ch, d, false, d->multiple);
        break;
    case 0xc5: case 0x39:
        pio(ch, d, true, d->multiple);
        break;
    case 0xc8: case 0xc9: case 0x25:
        dma(ch, d, false);
        break;
    case 0xca: case 0xcb: case 0x35:
        dma(ch, d, true);
        break;
    case 0x40: case 0x41: case 0x42:
        verify(ch, d);
        break;
    case 0x27: case 0xf8:
        native_max(ch, d);
        break;
    case 0xe7: case 0xea:
        ch->write = true;
        ide_submit(ch, d, BLOCK_FLUSH, 0, 0, flushed, false);
        break;
    case 0xec:
        identify(ch, d);
        ide_transfer(ch, d, BLOCK_SECTOR, true, identified);
        break;
    case 0xef:
        set_features(ch, d);
        break;
    case 0x91:
        set_parameters(ch, d);
        break;
    case 0xc6:
        set_multiple(ch, d);
        break;
    case 0xe5: case 0x98: // check power mode: active
        d->count[0] = 0xff;
        ide_done(ch, d);
        break;
    case 0x10 ... 0x1f: // recalibrate
    case 0x70 ... 0x7f: // seek
    case 0xe0 ... 0xe3: // standby, idle
    case 0x94 ... 0x97:
    case 0xe6: case 0x99: // sleep
        ide_done(ch, d);
        break;
    default:
        ide_fail(ch, d, IDE_ABRT);
    }
}
