// SPDX-License-Identifier: GPL-2.0-or-later
// What the loaders share: files in memory, bounds-checked reads, and the plan that a parser makes.
//
//   file -> image_read -> load_identify -> X_parse (pure) -> plan -> plan_fits -> plan_place
//
// Parsers see bytes and give plans; only plan_place and the loaders' last steps touch the guest.
#ifndef RING3_MONITOR_LOAD_IMAGE_H
#define RING3_MONITOR_LOAD_IMAGE_H

#include "load.h"

#include <string.h>

struct image {
    const char *name; // for messages; not owned
    u8 *bytes;        // owned; NULL for an empty file
    size_t size;
};

// Reads a whole file. what says what it is for ("kernel", "initrd"). On failure nothing is left
// behind.
bool image_read(struct image *image, const char *path, const char *what, struct err *err);
void image_free(struct image *image);

// Little-endian reads from file bytes. The caller has checked that off + width <= size.
static inline u16 get16(const u8 *p, size_t off)
{
    u16 v;
    memcpy(&v, p + off, sizeof(v));
    return v;
}

static inline u32 get32(const u8 *p, size_t off)
{
    u32 v;
    memcpy(&v, p + off, sizeof(v));
    return v;
}

static inline u64 get64(const u8 *p, size_t off)
{
    u64 v;
    memcpy(&v, p + off, sizeof(v));
    return v;
}

static inline void put16(u8 *p, size_t off, u16 v)
{
    memcpy(p + off, &v, sizeof(v));
}

static inline void put32(u8 *p, size_t off, u32 v)
{
    memcpy(p + off, &v, sizeof(v));
}

static inline void put64(u8 *p, size_t off, u64 v)
{
    memcpy(p + off, &v, sizeof(v));
}

// Where the parts of an image go. Every piece lies inside the image, and gpa + memsz does not wrap.
#define PIECES_MAX 64
struct piece {
    size_t offset;  // in the image
    u32 filesz;     // bytes copied; the rest up to memsz is zeroed
    u32 gpa, memsz;
};
struct plan {
    struct piece piece[PIECES_MAX];
    unsigned count;
    u32 entry; // physical address of the first instruction
};

// Adds a piece; false, with *err, if it lies outside the image or the 32-bit address space.
bool plan_add(struct plan *plan, const struct image *image, const struct piece *piece,
              struct err *err);
// The first address after all pieces.
u64 plan_end(const struct plan *plan);
// True if [gpa, gpa+len) touches a piece.
bool plan_overlaps(const struct plan *plan, u64 gpa, u64 len);
// Whether all pieces lie in RAM that ends at top.
bool plan_fits(const struct plan *plan, const char *name, u64 top, struct err *err);
void plan_place(const struct plan *plan, const struct image *image, struct phys *phys);

// The physical memory map as firmware reports it (ACPI 15, INT 15h E820).
enum { MEM_RAM = 1, MEM_RESERVED = 2, MEM_ACPI = 3 };
struct mem_range {
    u64 base, len;
    u32 type;
};
#define MEM_RANGES_MAX 8
// Fills range[] in ascending order and returns how many there are. Pure.
unsigned memmap_build(struct mem_range range[MEM_RANGES_MAX], u64 ram_size, u32 acpi_base,
                      u32 acpi_len);
// The end of the RAM that starts at 1 MiB (its ACPI area excluded).
u64 memmap_top(u64 ram_size, u32 acpi_base, u32 acpi_len);

// Low memory without firmware underneath: what lies where.
enum {
    LOW_GDT = 0x0800,         // the flat GDT of the protocols that promise one
    LOW_BOOT_PARAMS = 0x90000, // where kernels before 2.6 look for it, whatever ESI says
    LOW_SETUP_DATA = 0x91000,
    LOW_CMDLINE = 0x92000,
    LOW_CMDLINE_MAX = 0x8000,
    LOW_INFO = 0x90000,       // Multiboot information, strings after it
    LOW_INFO_END = 0x9fc00,
    LOW_EBDA = 0x9fc00,
    LOW_RSDP = 0xf5a00,
};

// Puts the CPU into flat 32-bit protected mode at entry, with CS 10h, the rest 18h, interrupts off,
// all general registers zero, and a GDT to match at LOW_GDT.
void enter_flat(struct vcpu *v, struct phys *phys, u32 entry);

// The formats. Each parser is pure; each loader leaves memory loaded and *v at the entry.
struct bzimage {
    u16 version;      // boot protocol, 0x020f for 2.15
    u32 setup_len;    // bytes of boot sector and setup code
    size_t kernel_len; // bytes of the protected-mode part
    u32 load;         // where the protected-mode part goes and starts
    u64 end;          // first byte after what it needs there before it has read the memory map
    u32 header_end;   // of the setup header in the file
    u32 initrd_max;   // highest address of an initrd's last byte
    u32 cmdline_max;  // longest command line, without its NUL
    bool high;        // bzImage, not zImage
};
bool bzimage_parse(struct bzimage *bz, const struct image *image, struct err *err);
// The address for an initrd of this size below top, or 0 with *err.
u32 bzimage_initrd(const struct bzimage *bz, const char *name, u64 size, u64 top, struct err *err);
bool bzimage_load(const struct load_config *config, const struct image *image, struct vcpu *v,
                  struct phys *phys, struct err *err);

// True if the image's program headers make a plan.
bool elf_parse(struct plan *plan, const struct image *image, struct err *err);

// True if there is a Multiboot 1 header in the first 8 KiB; *off is where.
bool multiboot_find(const u8 *image, size_t size, u32 *off);
bool multiboot_parse(struct plan *plan, const struct image *image, struct err *err);
bool multiboot_load(const struct load_config *config, const struct image *image, struct vcpu *v,
                    struct phys *phys, struct err *err);

#endif
