// SPDX-License-Identifier: GPL-2.0-or-later
// Puts a guest into memory and the CPU at its entry, as the boot protocols say.
#ifndef RING3_MONITOR_LOAD_LOAD_H
#define RING3_MONITOR_LOAD_LOAD_H

#include "monitor/base/err.h"
#include "monitor/base/vcpu.h"
#include "shadow-mmu/phys.h"

struct load_config {
    const char *kernel;  // path
    const char *initrd;  // path or NULL; for Multiboot a comma-separated list of "file args"
    const char *append;  // kernel command line or NULL
    u32 acpi_base, acpi_len; // physical range of the ACPI tables already in memory (0: none)
    bool random_seed;    // Linux is given random bytes of the host's for its generator
};

// Recognises bzImage (Linux boot protocol 2.x, 32-bit entry), Multiboot 1 (ELF or a.out kludge),
// static ELF32, and, for anything else, a flat binary loaded at 0x100000 if its name ends in ".bin"
// and started in flat protected mode, or, with a 55AA signature at byte 510 and exactly 512 bytes,
// a boot sector at 0000:7C00. Leaves memory loaded and *v ready to run. On failure *err says what,
// which file, why and what to do.
bool load_guest(const struct load_config *config, struct vcpu *v, struct phys *phys,
                struct err *err);

// A Linux kernel for firmware to start: its 16-bit part, patched as a boot loader does it (boot protocol
// 2.02 and later, bzImage only), what follows it, and an initrd with the place it is meant for. The
// command line goes to LOAD_FIRMWARE_CMDLINE.
struct load_firmware {
    u8 *file, *setup, *kernel, *initrd; // owned: file (which setup and kernel lie in) and initrd
    u32 setup_len, kernel_len, initrd_len, initrd_at;
};
#define LOAD_FIRMWARE_CMDLINE 0x20000u
bool load_for_firmware(struct load_firmware *out, const struct load_config *config, u64 ram_size,
                       struct err *err);
void load_firmware_free(struct load_firmware *pieces);

// Pure parsers, for unit tests and fuzzers: image bytes in, plan out. They never read outside
// [image, image+size).
enum image_kind { IMAGE_BZIMAGE, IMAGE_MULTIBOOT, IMAGE_ELF32, IMAGE_BOOT_SECTOR, IMAGE_FLAT };
// What this image is. False, with *err, for things that look like something but are unfit (ELF64,
// truncated...).
bool load_identify(const u8 *image, size_t size, const char *name, enum image_kind *kind,
                   struct err *err);

#endif
