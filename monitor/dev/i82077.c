// SPDX-License-Identifier: GPL-2.0-or-later
// Registers and commands as in Intel's 82077AA data sheet (290166).
#include "i82077.h"

#include <string.h>

#define DOR_RUN 0x04      // not reset
#define DOR_DMA 0x08      // DMA and interrupt enabled
#define MSR_BUSY 0x10
#define MSR_PIO 0x20
#define MSR_TO_HOST 0x40
#define MSR_READY 0x80
#define ST0_ABNORMAL 0x40
#define ST0_INVALID 0x80
#define ST0_POLL 0xc0
#define ST0_SEEK 0x20
#define ST0_NO_TRACK0 0x10
#define ST1_MISSING_MARK 0x01
#define ST1_PROTECTED 0x02
#define ST1_NO_DATA 0x04
#define ST1_OVERRUN 0x10
#define ST1_CRC 0x20
#define ST1_END 0x80
#define ST3_PROTECTED 0x40
#define ST3_READY 0x20
#define ST3_TRACK0 0x10
#define ST3_TWO_SIDES 0x08

#define SECTOR_NS 50000u  // much less than a disk takes, and enough for drivers to get ready
#define STEP_NS 20000u
#define RESET_NS 20000u
#define MAX_WAITS 20000   // a second of DMA that is not set up

// Commands, without the option bits.
enum {
    READ_TRACK = 0x02, SPECIFY = 0x03, SENSE_DRIVE = 0x04, WRITE = 0x05, READ = 0x06,
    RECALIBRATE = 0x07, SENSE_INTERRUPT = 0x08, WRITE_DELETED = 0x09, READ_ID = 0x0a,
    READ_DELETED = 0x0c, FORMAT = 0x0d, DUMP = 0x0e, SEEK = 0x0f, VERSION = 0x10,
    PERPENDICULAR = 0x12, CONFIGURE = 0x13, LOCK = 0x14, VERIFY = 0x16,
};

#define IMPLIED_SEEK 0x40 // of CONFIGURE
#define FIFO_OFF 0x20
#define PERPENDICULAR_DRIVES 0x3c
#define RELATIVE 0x80 // of SEEK
#define INWARDS 0x40

static u8 command_of(const struct i82077 *fdc)
{
    return fdc->fifo[0] & 0x1f;
}

static struct floppy_unit *unit(struct i82077 *fdc)
{
    return &fdc->unit[fdc->unit_no];
}

// ---- Interrupt

static void update_irq(struct i82077 *fdc)
{
    irq_set(&fdc->irq, fdc->irq_level && fdc->dor & DOR_DMA);
}

static void set_irq(struct i82077 *fdc, bool level)
{
    fdc->irq_level = level;
    update_irq(fdc);
}

// Heads that are under way are there.
static void arrived(struct i82077 *fdc)
{
    fdc->interrupts |= fdc->seeking;
    fdc->seeking = 0;
    set_irq(fdc, true);
}

static void after(struct i82077 *fdc, u64 ns, void (*step)(struct i82077 *fdc))
{
    if (fdc->seeking && step != arrived) // the timer has something else to do
        arrived(fdc);
    fdc->step = step;
    timer_arm(fdc->timers, &fdc->timer, timers_now(fdc->timers) + ns);
}

static void fire(void *opaque)
{
    struct i82077 *fdc = opaque;

    fdc->step(fdc);
}

// ---- Results

static void expect_command(struct i82077 *fdc)
{
    fdc->phase = FDC_COMMAND;
    fdc->count = 0;
    fdc->want = 1;
    fdc->pio_ready = false;
}

static void result(struct i82077 *fdc, const u8 *bytes, unsigned count)
{
    memcpy(fdc->fifo, bytes, count);
    fdc->phase = FDC_RESULT;
    fdc->count = count;
    fdc->at = 0;
    fdc->pio_ready = false;
}

// The seven bytes that end a data command, and its interrupt.
static void end_data(struct i82077 *fdc, u8 st0)
{
    u8 bytes[7] = { st0 | fdc->head << 2 | fdc->unit_no, fdc->st1, fdc->st2, fdc->cylinder, fdc->head,
                    fdc->sector, fdc->size_code };

    result(fdc, bytes, sizeof(bytes));
    set_irq(fdc, true);
}

static void fail_data(struct i82077 *fdc, u8 st1)
{
    fdc->st1 |= st1;
    end_data(fdc, ST0_ABNORMAL);
}

// ---- Sectors

// Whether the current sector exists on the disk, at the rate that is set.
static bool find_sector(struct i82077 *fdc)
{
    const struct floppy_format *f = unit(fdc)->format;

    if (!f || f->rate != fdc->rate) {
        fail_data(fdc, ST1_MISSING_MARK);
        return false;
    }
    if (fdc->cylinder >= f->tracks || fdc->head >= f->heads || fdc->sector == 0
        || fdc->sector > f->sectors || fdc->size_code != 2) {
        fail_data(fdc, ST1_NO_DATA);
        return false;
    }
    return true;
}

static u64 sector_offset(struct i82077 *fdc)
{
    const struct floppy_format *f = unit(fdc)->format;

    return (((u64)fdc->cylinder * f->heads + fdc->head) * f->sectors + fdc->sector - 1) * 512;
}

// Moves on to the next sector; false if the command ends there.
static bool next_sector(struct i82077 *fdc)
{
    bool multi = fdc->fifo[0] & 0x80;

    if (fdc->sector != fdc->last) {
        fdc->sector++;
        return true;
    }
    fdc->sector = 1;
    if (multi && fdc->head == 0) {
        fdc->head = 1;
        return true;
    }
    if (multi)
        fdc->head = 0;
    fdc->cylinder++;
    return false;
}

static void read_sector(struct i82077 *fdc);
static void write_sector(struct i82077 *fdc);

static void submit(struct i82077 *fdc, enum block_op op, void (*done)(struct block_request *r))
{
    fdc->request = (struct block_request){
        .op = op, .offset = sector_offset(fdc), .len = 512, .buf = fdc->buf, .done = done, .opaque = fdc,
    };
    block_submit(unit(fdc)->block, &fdc->request);
}

// A sector is through. `done`: the DMA controller said it was the last.
static void sector_over(struct i82077 *fdc, bool done, void (*more)(struct i82077 *fdc))
{
    fdc->pos = 0;
    if (!next_sector(fdc) && !done)
        fail_data(fdc, ST1_END);
    else if (done)
        end_data(fdc, 0);
    else
        after(fdc, SECTOR_NS, more);
}

static bool by_pio(const struct i82077 *fdc)
{
    return fdc->specify[1] & 1;
}

// The channel takes or gives what it can; false if the rest must wait. *done as i8237_transfer's.
static bool move(struct i82077 *fdc, bool to_memory, unsigned len, bool *done, void (*again)(struct i82077 *fdc))
{
    fdc->pos += i8237_transfer(fdc->dma, 2, to_memory, fdc->buf + fdc->pos, len - fdc->pos, done);
    if (fdc->pos == len || *done) {
        fdc->waits = 0;
        return true;
    }
    if (++fdc->waits > MAX_WAITS)
        fail_data(fdc, ST1_OVERRUN);
    else
        after(fdc, SECTOR_NS, again);
    return false;
}

static void send_sector(struct i82077 *fdc)
{
    bool done;

    if (by_pio(fdc)) {
        fdc->pio_ready = true;
        set_irq(fdc, true);
        return;
    }
    if (move(fdc, true, 512, &done, send_sector))
        sector_over(fdc, done, read_sector);
}

static void sector_read(struct block_request *r)
{
    struct i82077 *fdc = r->opaque;

    if (r->error) {
        fdc->st2 |= ST1_CRC;
        fail_data(fdc, ST1_CRC);
    } else if (command_of(fdc) == VERIFY) {
        sector_over(fdc, fdc->sector == fdc->last, read_sector);
    } else {
        send_sector(fdc);
    }
}

static void read_sector(struct i82077 *fdc)
{
    fdc->pos = 0;
    if (find_sector(fdc))
        submit(fdc, BLOCK_READ, sector_read);
}

static void sector_written(struct block_request *r)
{
    struct i82077 *fdc = r->opaque;

    if (r->error)
        fail_data(fdc, ST1_CRC);
    else
        sector_over(fdc, fdc->terminal, write_sector);
}

static void store_sector(struct i82077 *fdc, bool done)
{
    fdc->terminal = done;
    submit(fdc, BLOCK_WRITE, sector_written);
}

static void take_sector(struct i82077 *fdc)
{
    bool done;

    if (!move(fdc, false, 512, &done, take_sector))
        return;
    memset(fdc->buf + fdc->pos, 0, sizeof(fdc->buf) - fdc->pos);
    store_sector(fdc, done);
}

static void write_sector(struct i82077 *fdc)
{
    fdc->pos = 0;
    if (!find_sector(fdc))
        return;
    if (unit(fdc)->block->readonly) {
        fail_data(fdc, ST1_PROTECTED);
    } else if (by_pio(fdc)) {
        fdc->pio_ready = true;
        set_irq(fdc, true);
    } else {
        take_sector(fdc);
    }
}

// ---- FORMAT TRACK: four bytes of address a sector, by DMA

static void format_sector(struct i82077 *fdc);

static void sector_formatted(struct block_request *r)
{
    struct i82077 *fdc = r->opaque;

    if (r->error) {
        fail_data(fdc, ST1_CRC);
    } else if (--fdc->sectors_left == 0) {
        end_data(fdc, 0);
    } else {
        fdc->pos = 0;
        after(fdc, SECTOR_NS, format_sector);
    }
}

static void format_sector(struct i82077 *fdc)
{
    bool done;

    if (!move(fdc, false, 4, &done, format_sector))
        return;
    fdc->cylinder = fdc->buf[0];
    fdc->head = fdc->buf[1] & 1;
    fdc->sector = fdc->buf[2];
    fdc->size_code = fdc->buf[3];
    if (!find_sector(fdc))
        return;
    memset(fdc->buf, fdc->fifo[5], sizeof(fdc->buf));
    submit(fdc, BLOCK_WRITE, sector_formatted);
}

static void format_track(struct i82077 *fdc)
{
    const struct floppy_unit *u = unit(fdc);

    fdc->head = fdc->fifo[1] >> 2 & 1;
    fdc->sectors_left = fdc->fifo[3];
    fdc->pos = 0;
    if (!u->format || u->format->rate != fdc->rate)
        fail_data(fdc, ST1_MISSING_MARK);
    else if (u->block->readonly)
        fail_data(fdc, ST1_PROTECTED);
    else if (!fdc->sectors_left)
        end_data(fdc, 0);
    else
        after(fdc, SECTOR_NS, format_sector);
}

// ---- Commands

static void begin_data(struct i82077 *fdc)
{
    u8 command = command_of(fdc);

    fdc->cylinder = fdc->fifo[2];
    fdc->head = fdc->fifo[3];
    fdc->sector = command == READ_TRACK ? 1 : fdc->fifo[4];
    fdc->size_code = fdc->fifo[5];
    fdc->last = fdc->fifo[6];
    if (fdc->configure[0] & IMPLIED_SEEK)
        fdc->unit[fdc->unit_no].track = fdc->cylinder;
    after(fdc, SECTOR_NS, command == WRITE || command == WRITE_DELETED ? write_sector : read_sector);
}

// A disk of 40 tracks in a drive of 80: each lies under two positions of the head.
static unsigned track_below(const struct floppy_unit *u)
{
    return u->format && u->format->tracks == 40 ? u->track / 2 : u->track;
}

static void read_id(struct i82077 *fdc)
{
    const struct floppy_unit *u = unit(fdc);

    fdc->cylinder = track_below(u);
    fdc->head = fdc->fifo[1] >> 2 & 1;
    fdc->sector = 1;
    fdc->size_code = 2;
    if (!u->format || u->format->rate != fdc->rate || fdc->head >= u->format->heads
        || fdc->cylinder >= u->format->tracks)
        fail_data(fdc, ST1_MISSING_MARK);
    else
        end_data(fdc, 0);
}

// SEEK and RECALIBRATE run beside the command phase, of several drives at once.
static void move_head(struct i82077 *fdc, u8 track)
{
    struct floppy_unit *u = unit(fdc);
    unsigned steps = u->track > track ? u->track - track : track - u->track;

    fdc->st0[fdc->unit_no] = ST0_SEEK | fdc->unit_no | (fdc->fifo[1] & 4);
    if (!u->present) { // its track 0 sensor never answers
        fdc->st0[fdc->unit_no] |= ST0_ABNORMAL | (command_of(fdc) == RECALIBRATE ? ST0_NO_TRACK0 : 0);
    } else {
        u->track = track;
        if (u->block)
            u->changed = false;
    }
    fdc->seeking |= BIT(fdc->unit_no);
    fdc->reset_sense = 0; // an XT's driver has asked once only, and asks for this one next
    expect_command(fdc);
    after(fdc, STEP_NS * (steps + 1), arrived);
}

static void sense_interrupt(struct i82077 *fdc)
{
    u8 bytes[2] = { ST0_INVALID, 0 };

    set_irq(fdc, false);
    if (fdc->reset_sense) {
        unsigned n = 4 - fdc->reset_sense--;

        bytes[0] = ST0_POLL | n;
        bytes[1] = fdc->unit[n].track;
        result(fdc, bytes, 2);
        return;
    }
    for (unsigned n = 0; n < 4; n++)
        if (fdc->interrupts & BIT(n)) {
            fdc->interrupts &= ~BIT(n);
            bytes[0] = fdc->st0[n];
            bytes[1] = fdc->unit[n].track;
            result(fdc, bytes, 2);
            return;
        }
    result(fdc, bytes, 1);
}

static void sense_drive(struct i82077 *fdc)
{
    const struct floppy_unit *u = unit(fdc);
    u8 st3 = (fdc->fifo[1] & 7) | ST3_READY | ST3_TWO_SIDES;

    if (u->present && u->track == 0)
        st3 |= ST3_TRACK0;
    if (u->block && u->block->readonly)
        st3 |= ST3_PROTECTED;
    result(fdc, &st3, 1);
}

static void dump(struct i82077 *fdc)
{
    const u8 bytes[10] = {
        fdc->unit[0].track, fdc->unit[1].track, 0, 0, fdc->specify[0], fdc->specify[1], fdc->last,
        fdc->lock << 7 | fdc->perpendicular, fdc->configure[0], fdc->configure[1],
    };

    result(fdc, bytes, sizeof(bytes));
}

static void one_byte(struct i82077 *fdc, u8 byte)
{
    result(fdc, &byte, 1);
}

// How many bytes a command has, itself included; 0: there is no such command (those of the later 82078 are none).
static unsigned command_length(u8 byte)
{
    switch (byte & 0x1f) {
    case READ: case READ_DELETED: case WRITE: case WRITE_DELETED: case READ_TRACK: case VERIFY:
        return 9;
    case FORMAT:
        return 6;
    case CONFIGURE:
        return 4;
    case SPECIFY: case SEEK:
        return 3;
    case SENSE_DRIVE: case RECALIBRATE: case READ_ID: case PERPENDICULAR:
        return 2;
    case SENSE_INTERRUPT: case DUMP: case VERSION: case LOCK:
        return 1;
    default:
        return 0;
    }
}

static void relative_seek(struct i82077 *fdc)
{
    int track = unit(fdc)->track + (fdc->fifo[0] & INWARDS ? fdc->fifo[2] : -fdc->fifo[2]);

    move_head(fdc, track < 0 ? 0 : MIN(track, 255));
}

// The bits of the drives change only along with bit 7.
static void perpendicular(struct i82077 *fdc)
{
    u8 drives = (fdc->fifo[1] & 0x80 ? fdc->fifo[1] : fdc->perpendicular) & PERPENDICULAR_DRIVES;

    fdc->perpendicular = drives | (fdc->fifo[1] & 3);
}

static void execute(struct i82077 *fdc)
{
    fdc->phase = FDC_EXECUTION;
    fdc->unit_no = fdc->fifo[1] & 3;
    fdc->st1 = fdc->st2 = fdc->waits = 0;
    switch (command_of(fdc)) {
    case READ: case READ_DELETED: case WRITE: case WRITE_DELETED: case READ_TRACK: case VERIFY:
        begin_data(fdc);
        break;
    case FORMAT:
        format_track(fdc);
        break;
    case READ_ID:
        after(fdc, SECTOR_NS, read_id);
        break;
    case SEEK:
        if (fdc->fifo[0] & RELATIVE)
            relative_seek(fdc);
        else
            move_head(fdc, fdc->fifo[2]);
        break;
    case RECALIBRATE:
        move_head(fdc, 0);
        break;
    case SENSE_INTERRUPT:
        sense_interrupt(fdc);
        break;
    case SENSE_DRIVE:
        sense_drive(fdc);
        break;
    case SPECIFY:
        memcpy(fdc->specify, fdc->fifo + 1, 2);
        expect_command(fdc);
        break;
    case CONFIGURE:
        memcpy(fdc->configure, fdc->fifo + 2, 2);
        expect_command(fdc);
        break;
    case PERPENDICULAR:
        perpendicular(fdc);
        expect_command(fdc);
        break;
    case LOCK:
        fdc->lock = fdc->fifo[0] & 0x80;
        one_byte(fdc, fdc->lock << 4);
        break;
    case DUMP:
        dump(fdc);
        break;
    case VERSION:
        one_byte(fdc, 0x90);
        break;
    }
}

// ---- FIFO

static void command_byte(struct i82077 *fdc, u8 byte)
{
    fdc->fifo[fdc->count++] = byte;
    if (fdc->count == 1) {
        fdc->want = command_length(byte);
        if (!fdc->want) {
            one_byte(fdc, ST0_INVALID);
            return;
        }
    }
    if (fdc->count == fdc->want)
        execute(fdc);
}

static void fifo_write(struct i82077 *fdc, u8 byte)
{
    if (!(fdc->dor & DOR_RUN))
        return;
    if (fdc->phase == FDC_COMMAND) {
        command_byte(fdc, byte);
    } else if (fdc->phase == FDC_EXECUTION && fdc->pio_ready
               && (command_of(fdc) == WRITE || command_of(fdc) == WRITE_DELETED)) {
        set_irq(fdc, false);
        fdc->buf[fdc->pos++] = byte;
        if (fdc->pos == sizeof(fdc->buf)) {
            fdc->pio_ready = false;
            store_sector(fdc, false);
        } else {
            set_irq(fdc, true);
        }
    }
}

static u8 fifo_read(struct i82077 *fdc)
{
    u8 byte = 0;

    if (fdc->phase == FDC_RESULT) {
        set_irq(fdc, false);
        byte = fdc->fifo[fdc->at++];
        if (fdc->at == fdc->count) {
            expect_command(fdc);
            if (fdc->interrupts) // another head has arrived
                set_irq(fdc, true);
        }
    } else if (fdc->phase == FDC_EXECUTION && fdc->pio_ready && command_of(fdc) != WRITE
               && command_of(fdc) != WRITE_DELETED) {
        set_irq(fdc, false);
        byte = fdc->buf[fdc->pos++];
        if (fdc->pos == sizeof(fdc->buf)) {
            fdc->pio_ready = false;
            sector_over(fdc, false, read_sector);
        } else {
            set_irq(fdc, true);
        }
    }
    return byte;
}

static u8 main_status(const struct i82077 *fdc)
{
    bool writing = command_of(fdc) == WRITE || command_of(fdc) == WRITE_DELETED;

    if (!(fdc->dor & DOR_RUN))
        return 0;
    switch (fdc->phase) {
    case FDC_COMMAND:
        return MSR_READY | (fdc->count ? MSR_BUSY : 0) | fdc->seeking;
    case FDC_RESULT:
        return MSR_READY | MSR_TO_HOST | MSR_BUSY;
    default:
        return MSR_BUSY | (by_pio(fdc) ? MSR_PIO : 0)
               | (fdc->pio_ready ? MSR_READY | (writing ? 0 : MSR_TO_HOST) : 0);
    }
}

// ---- Reset

// What is under way ends, by either reset bit.
static void abandon(struct i82077 *fdc)
{
    for (unsigned n = 0; n < FLOPPY_DRIVES; n++)
        if (fdc->unit[n].block)
            block_cancel(fdc->unit[n].block);
    fdc->request.busy = false;
    timer_arm(fdc->timers, &fdc->timer, TIMER_NEVER);
    fdc->interrupts = fdc->seeking = fdc->reset_sense = 0;
    if (!fdc->lock) {
        fdc->configure[0] = FIFO_OFF;
        fdc->configure[1] = 0;
    }
    fdc->perpendicular &= PERPENDICULAR_DRIVES;
    memset(fdc->fifo, 0, sizeof(fdc->fifo));
    expect_command(fdc);
    set_irq(fdc, false);
}

static void polled(struct i82077 *fdc)
{
    fdc->reset_sense = 4;
    set_irq(fdc, true);
}

static void dor_write(struct i82077 *fdc, u8 value)
{
    u8 before = fdc->dor;

    fdc->dor = value;
    if (before & ~value & DOR_RUN)
        abandon(fdc);
    else if (value & ~before & DOR_RUN)
        after(fdc, RESET_NS, polled);
    update_irq(fdc);
}

// ---- Ports

static u64 fdc_read(void *dev, u32 addr, unsigned size)
{
    struct i82077 *fdc = dev;

    (void)size;
    switch (addr) {
    case 0: // status register A: interrupt pending, no second drive's sign, track 0
        return (fdc->irq_level ? 0x80 : 0) | 0x40;
    case 1:
        return 0xc0 | (fdc->dor & 1) << 5;
    case 2:
        return fdc->dor;
    case 3:
        return fdc->tdr;
    case 4:
        return main_status(fdc);
    case 5:
        return fifo_read(fdc);
    default:
        return 0xff;
    }
}

static void fdc_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct i82077 *fdc = dev;

    (void)size;
    switch (addr) {
    case 2:
        dor_write(fdc, value);
        break;
    case 3:
        fdc->tdr = value & 3;
        break;
    case 4: // data rate select; bit 7 is a reset that ends by itself
        fdc->rate = value & 3;
        if (value & 0x80 && fdc->dor & DOR_RUN) {
            abandon(fdc);
            after(fdc, RESET_NS, polled);
        }
        break;
    case 5:
        fifo_write(fdc, value);
        break;
    }
}

const struct bus_ops i82077_ops = { fdc_read, fdc_write, 1 };

// Only bit 7 is ours; the others belong to the IDE's drive address register, and float.
static u64 dir_read(void *dev, u32 addr, unsigned size)
{
    struct i82077 *fdc = dev;
    const struct floppy_unit *u = &fdc->unit[fdc->dor & 3];

    (void)addr, (void)size;
    // A drive shows the line only while its motor runs.
    return fdc->dor & 0x10 << (fdc->dor & 3) && u->present && (u->changed || !u->block) ? 0x80 : 0;
}

static void ccr_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct i82077 *fdc = dev;

    (void)addr, (void)size;
    fdc->rate = value & 3;
}

const struct bus_ops i82077_dir_ops = { dir_read, ccr_write, 1 };

// ---- The controller

void i82077_init(struct i82077 *fdc, struct timers *timers, struct i8237 *dma)
{
    memset(fdc, 0, sizeof(*fdc));
    fdc->timers = timers;
    fdc->dma = dma;
    timer_init(&fdc->timer, fire, fdc);
}

void i82077_drive(struct i82077 *fdc, unsigned n, struct block *block)
{
    struct floppy_unit *u = &fdc->unit[n];

    u->present = true;
    u->block = block;
    u->format = block ? floppy_format(block->size) : NULL;
    u->drive = u->format ? u->format->drive : DRIVE_1440K;
    u->changed = true;
}

void i82077_change(struct i82077 *fdc, unsigned n, struct block *block)
{
    struct floppy_unit *u = &fdc->unit[n];

    if (fdc->phase == FDC_EXECUTION && fdc->unit_no == n) {
        if (u->block)
            block_cancel(u->block);
        fdc->request.busy = false;
        timer_arm(fdc->timers, &fdc->timer, TIMER_NEVER);
        fail_data(fdc, ST1_MISSING_MARK);
    }
    u->block = block;
    u->format = block ? floppy_format(block->size) : NULL;
    u->changed = true;
}

void i82077_reset(struct i82077 *fdc)
{
    fdc->lock = false;
    abandon(fdc);
    fdc->dor = fdc->tdr = 0;
    fdc->rate = RATE_250;
    memset(fdc->specify, 0, sizeof(fdc->specify));
    fdc->perpendicular = 0;
    update_irq(fdc);
}

u8 i82077_types(const struct i82077 *fdc)
{
    return (fdc->unit[0].present ? fdc->unit[0].drive << 4 : 0)
           | (fdc->unit[1].present ? fdc->unit[1].drive : 0);
}

void i82077_print(struct i82077 *fdc, FILE *f)
{
    static const char *const names[] = { "floppy0", "floppy1" };

    for (unsigned n = 0; n < FLOPPY_DRIVES; n++) {
        struct floppy_unit *u = &fdc->unit[n];

        if (u->block)
            block_print(u->block, names[n], f);
        else if (u->present)
            fprintf(f, "%-8s no disk\n", names[n]);
    }
}
