// SPDX-License-Identifier: GPL-2.0-or-later
// What the chipset makes of A0000-FFFFF: the video memory's window, RAM or ROM piece by piece as the
// host bridge's PAM registers say, and the firmware's ROM at the top of the 4 GiB, whose last 128
// KiB also answer at E0000.
//
//   reads   writes    C0000-DFFFF                   E0000-FFFFF
//   RAM     RAM       RAM                           RAM
//   RAM     -         RAM, write-protected          RAM, write-protected
//   -       RAM       the bus; writes reach RAM     ROM; writes reach the RAM behind it
//   -       -         the bus                       ROM
#ifndef RING3_MONITOR_RUN_LOWMEM_H
#define RING3_MONITOR_RUN_LOWMEM_H

#include "shadow-mmu/phys.h"

#define LOWMEM_AREAS 16 // of 16 KiB, from C0000

struct lowmem {
    struct phys *phys;             // not owned
    u32 rom_frame;                 // of what answers at E0000; 0: no firmware
    bool u_boot;                   // the firmware is U-Boot
    u32 rom_base;                  // where the ROM's image below 1 MiB begins
    bool write_behind[LOWMEM_AREAS]; // writes go to RAM that is not read
    bool smram;                    // RAM answers at A0000-BFFFF
    u32 video_frame;               // what of A0000-BFFFF is plain memory just now
    u32 video_base, video_len;     // len 0: nothing
};

// Puts the part behind the bus's range in place. phys and bus outlive lm.
bool lowmem_init(struct lowmem *lm, struct phys *phys, struct bus *bus, struct err *err);
void lowmem_destroy(struct lowmem *lm, struct bus *bus);

// Reads a firmware image into ROM. On failure *err says what is wrong with the file.
bool lowmem_firmware(struct lowmem *lm, const char *path, struct err *err);

// Reads a file of at most `max` bytes; NULL, with *len 0, if that fails. The caller frees it.
u8 *lowmem_read(const char *path, u32 max, u32 *len);

// PAM and SMRAM registers: [base, base+len) reads and writes RAM or does not. The caller flushes the MMU.
void lowmem_map(struct lowmem *lm, u32 base, u32 len, bool read_ram, bool write_ram);
// [base, base+len) of A0000-BFFFF is plain memory in the given frames; len 0: all of it is the device's. The
// caller flushes the MMU.
void lowmem_video(struct lowmem *lm, u32 base, u32 len, u32 frame);
// [base, base+len) above RAM shows frames, or with flags 0 the bus. False, with nothing done, where
// RAM, firmware or the chipset's own ranges are. The caller flushes the MMU.
bool lowmem_place(struct lowmem *lm, u32 base, u32 len, u32 frame, u8 flags);

#endif
