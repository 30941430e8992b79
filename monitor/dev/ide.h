// SPDX-License-Identifier: GPL-2.0-or-later
// An IDE channel with up to two drives, and the bus-master function of the PIIX3 that moves their data.
//
// A command goes through these phases; `then` is what follows the current one.
//
//   command ----> BSY: block request ----> DRQ: the host moves `len` bytes of buf by PIO --+
//      |            ^                                                                      |
//      |            +---------------------------- then() ----------------------------------+
//      +--------> DMA wanted; starts with the bus master: request, PRD table, request...
//      +--------> done: status, interrupt
//
// Invariants
//  1. While `request` is busy, status is BSY and no register write has an effect but a reset.
//  2. pos <= len <= IDE_BUFFER; the data port moves bytes of buf only while DRQ is set.
#ifndef RING3_MONITOR_DEV_IDE_H
#define RING3_MONITOR_DEV_IDE_H

#include "block.h"
#include "monitor/base/irq.h"
#include "pci.h"

#define IDE_BUFFER (256u << 10)
#define CD_SECTOR 2048u
#define IDE_PIECES 128 // of memory, for one request

enum { // status
    IDE_ERR = 0x01, IDE_DRQ = 0x08, IDE_DSC = 0x10, IDE_DF = 0x20, IDE_DRDY = 0x40, IDE_BSY = 0x80,
};
enum { // error
    IDE_ABRT = 0x04, IDE_IDNF = 0x10, IDE_UNC = 0x40,
};

enum ide_kind { IDE_NONE, IDE_DISK, IDE_CDROM };

struct ide_sense {
    u8 key, asc, ascq;
};

struct ide_drive {
    enum ide_kind kind;
    struct block *block;     // not owned; NULL: a CD-ROM drive without a disc
    const char *name;        // "ide0-hd0" and so on
    // The task file. Of the two-byte ones, [0] was written last, [1] before.
    u8 feature[2], count[2], lba[3][2], select;
    u8 status, error;
    // A disk.
    u16 cylinders, heads, sectors;   // as built
    u16 cyl_now, heads_now, spt_now; // as INITIALIZE DEVICE PARAMETERS set it
    u8 multiple;             // sectors of READ MULTIPLE, 0: off
    u8 udma, mdma;           // the mode chosen, a bit each, as IDENTIFY shows it
    bool no_write_cache;     // SET FEATURES 82h: each write is flushed
    // A CD-ROM.
    struct ide_sense sense;
    bool locked, open, changed; // changed: the next command fails with UNIT ATTENTION
    u8 event;                // of GET EVENT STATUS NOTIFICATION
};

struct ide_dma {
    u8 command, status;      // BMICx, BMISx
    u32 table;               // BMIDTPx
    u32 at, addr, left;      // where in the table, and in its current entry
    bool last;               // that entry is the last
};

struct ide_channel {
    struct ide_drive drive[2];
    u8 control;              // device control
    struct irq irq;
    bool irq_level, intrq;   // an interrupt is pending; it is on the wire, which nIEN cuts
    const struct board_host *host;
    struct pci_func *func;
    struct ide_dma dma;

    // The command that is being carried out.
    u8 *buf;
    u32 pos, len;
    void (*then)(struct ide_channel *ch, struct ide_drive *d);
    bool wanted;             // it waits for the bus master
    bool write, ext, by_dma; // ext: 48-bit
    u64 sector;              // the next one
    u32 left, chunk;         // sectors to go; of them in buf
    u32 block;               // sectors of one interrupt
    struct block_request request;
    struct iovec iov[IDE_PIECES]; // the guest's memory for it, if it can be had; else buf
    u32 at[IDE_PIECES];      // where that is for the guest
    unsigned iovs;
    // An ATAPI command.
    u8 packet[12];
    u32 reply;               // bytes of buf still to be sent
    u32 limit;               // bytes the host takes at once
    u32 sent;                // bytes of buf that it has taken
    u32 cd_left;             // CD sectors to go
    u32 cd_at;
    u32 cd_size;             // bytes of each that are sent
};

struct ide {
    struct pci_func func;
    struct ide_channel channel[2];
};

extern const struct bus_ops ide_ops;         // eight ports: 1F0h
extern const struct bus_ops ide_control_ops; // one port: 3F6h

// block[n] (n: channel * 2 + drive) may be NULL; cdrom[n] says that there is a CD-ROM drive. False when out of
// memory.
bool ide_init(struct ide *ide, const struct board_host *host, struct block *const block[4],
              const bool cdrom[4]);
void ide_destroy(struct ide *ide);
void ide_reset(struct ide *ide);
// Puts another disc (NULL: none) into a CD-ROM drive; the old one is the caller's to close.
void ide_change(struct ide *ide, unsigned n, struct block *block);
void ide_print(struct ide *ide, FILE *f);

// ---- Between ide.c (registers), ata.c, atapi.c and ide_dma.c
static inline struct ide_drive *ide_selected(struct ide_channel *ch)
{
    return &ch->drive[ch->drive[0].select >> 4 & 1];
}
void ide_raise(struct ide_channel *ch);
// Ends the command: status DRDY and DSC, or an error, and an interrupt.
void ide_done(struct ide_channel *ch, struct ide_drive *d);
void ide_fail(struct ide_channel *ch, struct ide_drive *d, u8 error);
// Offers len bytes of buf to the host (or asks it for so many), with an interrupt if irq; then()
// follows.
void ide_transfer(struct ide_channel *ch, struct ide_drive *d, u32 len, bool irq,
                  void (*then)(struct ide_channel *ch, struct ide_drive *d));
// Starts a request for buf, or, of a write that is mapped, for iov; `done` gets it back.
void ide_submit(struct ide_channel *ch, struct ide_drive *d, enum block_op op, u64 offset, u32 len,
                void (*done)(struct block_request *request), bool mapped);
// Puts the signature of the drive's kind into the task file.
void ide_signature(struct ide_drive *d);
// IDENTIFY strings: bytes swapped, filled with blanks.
void ide_string(u16 *to, unsigned words, const char *text);

void ata_command(struct ide_channel *ch, struct ide_drive *d, u8 command);
void ata_find_geometry(struct ide_drive *d);
void atapi_packet(struct ide_channel *ch, struct ide_drive *d);  // PACKET
void atapi_identify(struct ide_channel *ch, struct ide_drive *d);

// The drive is ready to move data by DMA: calls dma_start now, or when the host starts the bus master.
void ide_want_dma(struct ide_channel *ch, struct ide_drive *d);
void ata_dma_start(struct ide_channel *ch, struct ide_drive *d);
void atapi_dma_start(struct ide_channel *ch, struct ide_drive *d);
// Moves len bytes between buf and the memory that the PRD table names; false if that ends before.
bool ide_dma_move(struct ide_channel *ch, bool to_memory, u8 *buf, u32 len);
// The memory itself of the next len bytes: into ch->iov; false, with nothing changed, if it cannot be had. What is written
// there is announced by ide_dma_written.
bool ide_dma_map(struct ide_channel *ch, bool to_memory, u32 len);
void ide_dma_written(struct ide_channel *ch);
// All data is moved (or not, after an error): the bus master's status follows.
void ide_dma_done(struct ide_channel *ch);
void ide_dma_init(struct ide *ide);
void ide_dma_reset(struct ide_channel *ch);

#endif
