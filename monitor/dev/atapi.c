// SPDX-License-Identifier: GPL-2.0-or-later
// A CD-ROM drive's packet commands, as in SFF-8020i and MMC-3. Discs have one data track.
#include "ide.h"

#include <string.h>

// Interrupt reason, in the count register.
#define REASON_COMMAND 0x01 // the packet, or status
#define REASON_IN 0x02      // to the host

#define FEATURE_DMA 0x01
#define RAW_SECTOR 2352u
#define LEAD_IN 150u        // frames before sector 0

enum { NO_SENSE = 0, NOT_READY = 2, MEDIUM_ERROR = 3, ILLEGAL_REQUEST = 5, UNIT_ATTENTION = 6 };
enum { // additional sense codes
    ASC_INVALID_COMMAND = 0x20, ASC_LBA_RANGE = 0x21, ASC_INVALID_FIELD = 0x24, ASC_CHANGED = 0x28,
    ASC_SAVING = 0x39, ASC_NO_MEDIUM = 0x3a, ASC_LOCKED = 0x53, ASC_READ_ERROR = 0x11,
    ASC_ILLEGAL_MODE = 0x64,
};

static u32 be16(const u8 *p)
{
    return p[0] << 8 | p[1];
}

static u32 be32(const u8 *p)
{
    return be16(p) << 16 | be16(p + 2);
}

static void put_be16(u8 *p, u32 value)
{
    p[0] = value >> 8;
    p[1] = value;
}

static void put_be32(u8 *p, u32 value)
{
    put_be16(p, value >> 16);
    put_be16(p + 2, value);
}

static u32 disc_sectors(const struct ide_drive *d)
{
    u64 n = (d->block->size + CD_SECTOR - 1) / CD_SECTOR;

    return MIN(n, 0x7fffffffull);
}

// ---- Ends

static void good(struct ide_channel *ch, struct ide_drive *d)
{
    d->count[0] = REASON_IN | REASON_COMMAND;
    ide_done(ch, d);
}

static void check(struct ide_channel *ch, struct ide_drive *d, u8 key, u8 asc, u8 ascq)
{
    d->sense = (struct ide_sense){ key, asc, ascq };
    d->count[0] = REASON_IN | REASON_COMMAND;
    ide_fail(ch, d, key << 4 | IDE_ABRT);
    d->status &= ~IDE_DSC;
}

static void invalid(struct ide_channel *ch, struct ide_drive *d)
{
    check(ch, d, ILLEGAL_REQUEST, ASC_INVALID_FIELD, 0);
}

// ---- Data to the host

static void read_more(struct ide_channel *ch, struct ide_drive *d);

static void taken(struct ide_channel *ch, struct ide_drive *d);

// Offers the next piece of buf, as much as the host said it takes at once.
static void offer(struct ide_channel *ch, struct ide_drive *d)
{
    u32 n = MIN(ch->reply, ch->limit);

    ch->pos = ch->sent;
    ch->len = ch->sent + n;
    ch->sent += n;
    ch->reply -= n;
    ch->then = taken;
    d->lba[1][0] = n;
    d->lba[2][0] = n >> 8;
    d->count[0] = REASON_IN;
    d->status = IDE_DRDY | IDE_DSC | IDE_DRQ;
    ide_raise(ch);
}

static void taken(struct ide_channel *ch, struct ide_drive *d)
{
    if (ch->reply)
        offer(ch, d);
    else if (ch->cd_left)
        read_more(ch, d);
    else
        good(ch, d);
}

// `reply` bytes lie in buf.
static void send(struct ide_channel *ch, struct ide_drive *d)
{
    ch->sent = 0;
    if (!ch->by_dma) {
        offer(ch, d);
    } else if (!ide_dma_move(ch, true, ch->buf, ch->reply)) {
        ide_dma_done(ch);
        check(ch, d, ILLEGAL_REQUEST, ASC_INVALID_FIELD, 0);
    } else if (ch->cd_left) {
        read_more(ch, d);
    } else {
        ide_dma_done(ch);
        good(ch, d);
    }
}

void atapi_dma_start(struct ide_channel *ch, struct ide_drive *d)
{
    if (ch->cd_left)
        read_more(ch, d);
    else
        send(ch, d);
}

static void begin(struct ide_channel *ch, struct ide_drive *d)
{
    ch->write = false;
    if (!ch->by_dma) {
        atapi_dma_start(ch, d);
        return;
    }
    d->status = IDE_DRDY | IDE_BSY;
    ide_want_dma(ch, d);
}

// A reply of len bytes, of which the host allows `max`.
static void reply(struct ide_channel *ch, struct ide_drive *d, u32 len, u32 max)
{
    ch->reply = MIN(len, max);
    ch->cd_left = 0;
    if (ch->reply)
        begin(ch, d);
    else
        good(ch, d);
}

// ---- Reading the disc

static u8 bcd(u32 n)
{
    return (n / 10 % 10) << 4 | n % 10;
}

static void put_msf(u8 *p, u32 sector)
{
    u32 frame = sector + LEAD_IN;

    p[0] = frame / (75 * 60);
    p[1] = frame / 75 % 60;
    p[2] = frame % 75;
}

// Makes the raw sector of a mode 1 disc out of its data; the error correction is left out.
static void make_raw(struct ide_channel *ch)
{
    u8 *b = ch->buf;

    memmove(b + 16, b, CD_SECTOR);
    memset(b + 16 + CD_SECTOR, 0, RAW_SECTOR - 16 - CD_SECTOR);
    memset(b, 0xff, 12);
    b[0] = b[11] = 0;
    put_msf(b + 12, ch->cd_at);
    for (unsigned i = 12; i < 15; i++)
        b[i] = bcd(b[i]);
    b[15] = 1;
}

static void sectors_read(struct block_request *r)
{
    struct ide_channel *ch = r->opaque;
    struct ide_drive *d = ide_selected(ch);

    if (r->error) {
        if (ch->by_dma)
            ide_dma_done(ch);
        check(ch, d, MEDIUM_ERROR, ASC_READ_ERROR, 0);
        return;
    }
    // The image may end in the middle of a sector.
    memset(ch->buf + r->len, 0, ch->chunk * CD_SECTOR - r->len);
    if (ch->cd_size == RAW_SECTOR)
        make_raw(ch);
    ch->cd_at += ch->chunk;
    ch->cd_left -= ch->chunk;
    ch->reply = ch->chunk * ch->cd_size;
    send(ch, d);
}

static void read_more(struct ide_channel *ch, struct ide_drive *d)
{
    u64 at = (u64)ch->cd_at * CD_SECTOR;

    if (!d->block) {
        check(ch, d, NOT_READY, ASC_NO_MEDIUM, 0);
        return;
    }
    ch->chunk = ch->cd_size == RAW_SECTOR ? 1 : MIN(ch->cd_left, IDE_BUFFER / CD_SECTOR);
    ide_submit(ch, d, BLOCK_READ, at, MIN((u64)ch->chunk * CD_SECTOR, d->block->size - at), sectors_read, false);
}

static void read_disc(struct ide_channel *ch, struct ide_drive *d, u32 at, u32 count, u32 size)
{
    if (at > disc_sectors(d) || count > disc_sectors(d) - at) {
        check(ch, d, ILLEGAL_REQUEST, ASC_LBA_RANGE, 0);
        return;
    }
    ch->cd_at = at;
    ch->cd_left = size ? count : 0;
    ch->cd_size = size;
    ch->reply = 0;
    if (ch->cd_left)
        begin(ch, d);
    else
        good(ch, d);
}

static void read_cd(struct ide_channel *ch, struct ide_drive *d)
{
    const u8 *p = ch->packet;
    u32 count = be32(p + 5) & 0xffffff;

    switch (p[9] & 0xf8) {
    case 0x00:
        read_disc(ch, d, be32(p + 2), count, 0);
        break;
    case 0x10:
        read_disc(ch, d, be32(p + 2), count, CD_SECTOR);
        break;
    case 0xf8:
        read_disc(ch, d, be32(p + 2), count, RAW_SECTOR);
        break;
    default:
        invalid(ch, d);
    }
}

// ---- What the drive tells

static void request_sense(struct ide_channel *ch, struct ide_drive *d)
{
    u8 *b = ch->buf;

    memset(b, 0, 18);
    b[0] = 0x70;
    b[2] = d->sense.key;
    b[7] = 10;
    b[12] = d->sense.asc;
    b[13] = d->sense.ascq;
    d->sense = (struct ide_sense){ 0 };
    reply(ch, d, 18, ch->packet[4]);
}

static void inquiry(struct ide_channel *ch, struct ide_drive *d)
{
    u8 *b = ch->buf;

    if (ch->packet[1] & 1) { // vital product data: none
        invalid(ch, d);
        return;
    }
    memset(b, 0, 36);
    b[0] = 5;
    b[1] = 0x80;
    b[3] = 0x21;
    b[4] = 31;
    memcpy(b + 8, "RING3   CD-ROM          1.0 ", 28);
    reply(ch, d, 36, ch->packet[4]);
}

static void toc_entry(u8 *b, u8 control, u8 track, u32 sector, bool msf)
{
    memset(b, 0, 8);
    b[1] = control;
    b[2] = track;
    if (msf)
        put_msf(b + 5, sector);
    else
        put_be32(b + 4, sector);
}

static void read_toc(struct ide_channel *ch, struct ide_drive *d)
{
    const u8 *p = ch->packet;
    u8 *b = ch->buf;
    bool msf = p[1] & 2;
    u32 format = p[2] & 0x0f ? p[2] & 0x0f : p[9] >> 6, len = 4;

    memset(b, 0, 64);
    b[2] = b[3] = 1;
    if (format == 0) {
        if (p[6] > 1 && p[6] != 0xaa) {
            invalid(ch, d);
            return;
        }
        if (p[6] <= 1) {
            toc_entry(b + len, 0x14, 1, 0, msf);
            len += 8;
        }
        toc_entry(b + len, 0x14, 0xaa, disc_sectors(d), msf);
        len += 8;
    } else if (format == 1) {
        toc_entry(b + len, 0x14, 1, 0, msf);
        len += 8;
    } else if (format == 2) { // first track, last track, lead-out, track 1: 11 bytes each
        static const u8 point[4] = { 0xa0, 0xa1, 0xa2, 0x01 };

        for (unsigned i = 0; i < 4; i++, len += 11) {
            b[len] = 1;
            b[len + 1] = 0x14;
            b[len + 3] = point[i];
            if (i < 2)
                b[len + 8] = 1;
            else
                put_msf(b + len + 8, i == 2 ? disc_sectors(d) : 0);
        }
    } else {
        invalid(ch, d);
        return;
    }
    put_be16(b, len - 2);
    reply(ch, d, len, be16(p + 7));
}

static void read_capacity(struct ide_channel *ch, struct ide_drive *d)
{
    put_be32(ch->buf, disc_sectors(d) - 1);
    put_be32(ch->buf + 4, CD_SECTOR);
    reply(ch, d, 8, 8);
}

static u32 mode_page(u8 *b, u8 page, const struct ide_drive *d)
{
    switch (page) {
    case 0x01: // error recovery
        memset(b, 0, 8);
        b[0] = page;
        b[1] = 6;
        b[3] = 5;
        return 8;
    case 0x0e: // audio control
        memset(b, 0, 16);
        b[0] = page;
        b[1] = 14;
        b[2] = 4;
        b[9] = b[11] = 0xff;
        b[8] = 1;
        b[10] = 2;
        return 16;
    case 0x2a: // capabilities
        memset(b, 0, 22);
        b[0] = page;
        b[1] = 20;
        b[2] = 0x3b;                  // reads CD-R, CD-RW, DVD
        b[4] = 0x71;
        b[5] = 0x60;
        b[6] = 0x29 | (d->locked ? 2 : 0); // a tray, ejects, locks
        put_be16(b + 8, 706 * 4);     // KB/s
        b[11] = 2;
        put_be16(b + 12, 512);        // KiB of buffer
        put_be16(b + 14, 706 * 4);
        return 22;
    default:
        return 0;
    }
}

static void mode_sense(struct ide_channel *ch, struct ide_drive *d)
{
    static const u8 all[] = { 0x01, 0x0e, 0x2a };
    const u8 *p = ch->packet;
    u8 *b = ch->buf, page = p[2] & 0x3f;
    u32 len = 8;

    if (p[2] >> 6 == 3) {
        check(ch, d, ILLEGAL_REQUEST, ASC_SAVING, 0);
        return;
    }
    memset(b, 0, 8);
    b[2] = d->open ? 0x71 : d->block ? 0x01 : 0x70; // medium
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        if (page == all[i] || page == 0x3f)
            len += mode_page(b + len, all[i], d);
    if (len == 8) {
        invalid(ch, d);
        return;
    }
    put_be16(b, len - 2);
    reply(ch, d, len, be16(p + 7));
}

static void get_configuration(struct ide_channel *ch, struct ide_drive *d)
{
    static const u8 features[] = {
        0x00, 0x00, 0x03, 0x08, 0x00, 0x08, 0x01, 0x00, 0x00, 0x10, 0x01, 0x00, // profiles: CD, DVD
        0x00, 0x01, 0x03, 0x08, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, // core: ATAPI
        0x00, 0x03, 0x03, 0x04, 0x29, 0x00, 0x00, 0x00,                         // removable: tray
        0x00, 0x10, 0x01, 0x08, 0x00, 0x00, 0x08, 0x00, 0x00, 0x01, 0x01, 0x00, // random readable
        0x00, 0x1e, 0x01, 0x04, 0x00, 0x00, 0x00, 0x00,                         // CD read
    };
    u8 *b = ch->buf;

    memset(b, 0, 8);
    memcpy(b + 8, features, sizeof(features));
    if (d->block) { // a CD, or what does not fit on one
        bool dvd = d->block->size > 900u << 20;

        put_be16(b + 6, dvd ? 0x0010 : 0x0008);
        b[8 + 6 + (dvd ? 4 : 0)] = 1; // its profile is the current one
    }
    put_be32(b, sizeof(features) + 4);
    reply(ch, d, sizeof(features) + 8, be16(ch->packet + 7));
}

static void get_event(struct ide_channel *ch, struct ide_drive *d)
{
    u8 *b = ch->buf;
    bool media = ch->packet[4] & 0x10;

    if (!(ch->packet[1] & 1)) { // only polling
        invalid(ch, d);
        return;
    }
    memset(b, 0, 8);
    b[3] = 0x10; // only media events
    if (!media) {
        put_be16(b, 2);
        b[2] = 0x80;
        reply(ch, d, 4, be16(ch->packet + 7));
        return;
    }
    put_be16(b, 6);
    b[2] = 4;
    b[4] = d->event;
    b[5] = (d->block ? 2 : 0) | (d->open ? 1 : 0);
    d->event = 0;
    reply(ch, d, 8, be16(ch->packet + 7));
}

static void disc_information(struct ide_channel *ch, struct ide_drive *d)
{
    u8 *b = ch->buf;

    memset(b, 0, 34);
    put_be16(b, 32);
    b[2] = 0x0e; // complete, last session complete
    b[3] = b[4] = b[5] = b[6] = 1;
    b[7] = 0x20;
    memset(b + 16, 0xff, 8);
    reply(ch, d, 34, be16(ch->packet + 7));
}

static void track_information(struct ide_channel *ch, struct ide_drive *d)
{
    u8 *b = ch->buf;

    memset(b, 0, 36);
    put_be16(b, 34);
    b[2] = b[3] = 1;
    b[5] = 4;
    b[6] = 1;
    put_be32(b + 24, disc_sectors(d));
    reply(ch, d, 36, be16(ch->packet + 7));
}

static void sub_channel(struct ide_channel *ch, struct ide_drive *d)
{
    u8 *b = ch->buf;

    memset(b, 0, 24);
    b[1] = 0x15; // no audio to report on
    reply(ch, d, 4, be16(ch->packet + 7));
}

static void mechanism_status(struct ide_channel *ch, struct ide_drive *d)
{
    memset(ch->buf, 0, 8);
    ch->buf[1] = d->open ? 0x10 : 0;
    ch->buf[5] = 1;
    reply(ch, d, 8, be16(ch->packet + 8));
}

// ---- Mechanics

static void start_stop(struct ide_channel *ch, struct ide_drive *d)
{
    u8 how = ch->packet[4];

    if ((how & 2) && !(how & 1) && d->locked) {
        check(ch, d, d->block ? NOT_READY : ILLEGAL_REQUEST, ASC_LOCKED, 2);
        return;
    }
    if (how & 2)
        d->open = !(how & 1);
    good(ch, d);
}

// ---- Packets

static bool needs_medium(u8 command)
{
    static const u8 list[] = { 0x00, 0x25, 0x28, 0x2b, 0x42, 0x43, 0x44, 0x51, 0x52, 0xa8, 0xb9, 0xbe };

    return memchr(list, command, sizeof(list));
}

// What may be asked although there is news to tell.
static bool before_attention(u8 command)
{
    return command == 0x12 || command == 0x03 || command == 0x4a || command == 0x46;
}

static bool ready(struct ide_channel *ch, struct ide_drive *d)
{
    u8 command = ch->packet[0];

    if (d->changed && !before_attention(command)) {
        d->changed = false;
        if (d->block) {
            check(ch, d, UNIT_ATTENTION, ASC_CHANGED, 0);
            return false;
        }
    }
    if (needs_medium(command) && (!d->block || d->open)) {
        check(ch, d, NOT_READY, ASC_NO_MEDIUM, d->open ? 2 : 1);
        return false;
    }
    return true;
}

static void run_packet(struct ide_channel *ch, struct ide_drive *d)
{
    const u8 *p;

    memcpy(ch->packet, ch->buf, sizeof(ch->packet));
    p = ch->packet;
    ch->write = false;
    d->status = IDE_DRDY | IDE_BSY;
    if (!ready(ch, d))
        return;
    if (p[0] != 0x03)
        d->sense = (struct ide_sense){ 0 };
    switch (p[0]) {
    case 0x00: // TEST UNIT READY
    case 0x2b: // SEEK
    case 0xbb: // SET CD SPEED
        good(ch, d);
        break;
    case 0x03:
        request_sense(ch, d);
        break;
    case 0x12:
        inquiry(ch, d);
        break;
    case 0x1b:
        start_stop(ch, d);
        break;
    case 0x1e: // PREVENT/ALLOW MEDIUM REMOVAL
        d->locked = p[4] & 1;
        good(ch, d);
        break;
    case 0x25:
        read_capacity(ch, d);
        break;
    case 0x28:
        read_disc(ch, d, be32(p + 2), be16(p + 7), CD_SECTOR);
        break;
    case 0xa8:
        read_disc(ch, d, be32(p + 2), be32(p + 6), CD_SECTOR);
        break;
    case 0xbe:
        read_cd(ch, d);
        break;
    case 0x42:
        sub_channel(ch, d);
        break;
    case 0x43:
        read_toc(ch, d);
        break;
    case 0x46:
        get_configuration(ch, d);
        break;
    case 0x4a:
        get_event(ch, d);
        break;
    case 0x51:
        disc_information(ch, d);
        break;
    case 0x52:
        track_information(ch, d);
        break;
    case 0x5a:
        mode_sense(ch, d);
        break;
    case 0xbd:
        mechanism_status(ch, d);
        break;
    default:
        check(ch, d, ILLEGAL_REQUEST, ASC_INVALID_COMMAND, 0);
    }
}

void atapi_packet(struct ide_channel *ch, struct ide_drive *d)
{
    ch->by_dma = d->feature[0] & FEATURE_DMA;
    ch->limit = (d->lba[1][0] | d->lba[2][0] << 8) & 0xfffe;
    if (ch->limit == 0)
        ch->limit = 0xfffe;
    d->count[0] = REASON_COMMAND;
    ch->write = true;
    ide_transfer(ch, d, sizeof(ch->packet), false, run_packet);
}

static void identified(struct ide_channel *ch, struct ide_drive *d)
{
    (void)ch;
    d->status = IDE_DRDY | IDE_DSC;
}

void atapi_identify(struct ide_channel *ch, struct ide_drive *d)
{
    u16 *w = (u16 *)(void *)ch->buf;
    char serial[21];

    memset(w, 0, BLOCK_SECTOR);
    snprintf(serial, sizeof(serial), "R3%05u", (unsigned)(d->name[3] - '0') * 2 + (d->name[7] - '0'));
    w[0] = 0x85c0;                  // a removable CD-ROM; DRQ within 50 us; packets of 12 bytes
    ide_string(w + 10, 10, serial);
    ide_string(w + 23, 4, "1.0");
    ide_string(w + 27, 20, "RING3 CD-ROM");
    w[48] = 1;
    w[49] = 0x0f00;                 // IORDY, LBA, DMA
    w[53] = 7;
    w[63] = 0x07 | d->mdma << 8;
    w[64] = 3;
    w[65] = w[66] = w[67] = w[68] = 120;
    w[71] = w[72] = 30;
    w[80] = 0x7e;
    w[82] = 0x4010;                 // NOP, packets
    w[83] = 0x4000;
    w[84] = 0x4000;
    w[85] = 0x4010;
    w[87] = 0x4000;
    w[88] = 0x3f | d->udma << 8;
    w[93] = 0x6001;
    ch->write = false;
    ide_transfer(ch, d, BLOCK_SECTOR, true, identified);
}
