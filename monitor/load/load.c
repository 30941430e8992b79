// SPDX-License-Identifier: GPL-2.0-or-later
// Recognises images, and starts those that need no protocol of their own.
#include "load.h"

#include "image.h"

#include <elf.h>

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && strcmp(s + n - m, end) == 0;
}

// What a file that is no guest image looks like, to say more than "unknown".
static const char *what_else(const u8 *image, size_t size)
{
    if (size >= 2 && image[0] == 0x1f && image[1] == 0x8b)
        return "it is gzip-compressed; gunzip it first";
    if (size >= 6 && memcmp(image, "\xfd" "7zXZ", 6) == 0)
        return "it is xz-compressed; unxz it first";
    if (size >= 6 && memcmp(image, "070701", 6) == 0)
        return "it is a cpio archive; give it as -initrd";
    if (size >= 2 && image[0] == 'M' && image[1] == 'Z')
        return size < 0x206 ? "it ends within its first sectors; fetch or build it again"
                            : "it is an EFI or DOS program";
    if (size >= 8 && memcmp(image, "!<arch>\n", 8) == 0)
        return "it is a package or a library; extract the kernel from it";
    return "it is neither a bzImage, a Multiboot kernel, a 32-bit ELF file, a boot sector of 512 "
           "bytes nor a file named *.bin";
}

bool load_identify(const u8 *image, size_t size, const char *name, enum image_kind *kind,
                   struct err *err)
{
    u32 off;

    if (size >= 0x206 && get16(image, 0x1fe) == 0xaa55 && memcmp(image + 0x202, "HdrS", 4) == 0) {
        *kind = IMAGE_BZIMAGE;
        return true;
    }
    if (multiboot_find(image, size, &off)) {
        *kind = IMAGE_MULTIBOOT;
        return true;
    }
    if (size >= SELFMAG && memcmp(image, ELFMAG, SELFMAG) == 0) {
        if (size > EI_CLASS && image[EI_CLASS] == ELFCLASS64)
            return err_set(err, EXIT_INPUT, "the kernel %s is a 64-bit ELF file, and ring3's "
                           "guests are 32-bit: use its i386 build", name);
        *kind = IMAGE_ELF32;
        return true;
    }
    if (size == 512 && get16(image, 510) == 0xaa55) {
        *kind = IMAGE_BOOT_SECTOR;
        return true;
    }
    if (size > 0 && ends_with(name, ".bin")) {
        *kind = IMAGE_FLAT;
        return true;
    }
    if (size == 0)
        return err_set(err, EXIT_INPUT, "the kernel %s is empty", name);
    return err_set(err, EXIT_INPUT, "the kernel %s is of no kind that ring3 starts: %s", name,
                   what_else(image, size));
}

void enter_flat(struct vcpu *v, struct phys *phys, u32 entry)
{
    static const u64 gdt[4] = { 0, 0, 0x00cf9b000000ffffull, 0x00cf93000000ffffull };
    const u16 common = SEG_P | SEG_S | SEG_A | SEG_DB | SEG_G;
    const struct seg code = { 0x10, common | SEG_CODE | SEG_R, 0, ~0u };
    const struct seg data = { 0x18, common | SEG_W, 0, ~0u };

    phys_write(phys, LOW_GDT, gdt, sizeof(gdt));
    for (unsigned s = 0; s < S_COUNT; s++)
        v->seg[s] = s == S_CS ? code : data;
    memset(v->gpr, 0, sizeof(v->gpr));
    v->gdtr = (struct dtable){ LOW_GDT, sizeof(gdt) - 1 };
    v->idtr = (struct dtable){ 0, 0 };
    v->cr0 = CR0_PE | CR0_ET;
    v->cpl = 0;
    v->eflags = FL_FIXED1;
    v->eip = entry;
}

static void enter_boot_sector(struct vcpu *v)
{
    for (unsigned s = 0; s < S_COUNT; s++)
        v->seg[s] = (struct seg){ 0, (s == S_CS ? SEG_CODE : 0) | SEG_P | SEG_S | SEG_W | SEG_A, 0,
                                  0xffff };
    memset(v->gpr, 0, sizeof(v->gpr));
    v->gpr[R_EDX] = 0x80; // the first hard disk
    v->gpr[R_ESP] = 0x7c00;
    v->idtr = (struct dtable){ 0, 0x3ff };
    v->cr0 = CR0_ET;
    v->cpl = 0;
    v->eflags = FL_FIXED1;
    v->eip = 0x7c00;
}

// What firmware leaves in low memory and systems look for: the BIOS data area's sizes and a copy of
// the RSDP where ACPI 5.2.5.1 says to scan for it.
static void bios_areas(const struct load_config *config, struct phys *phys)
{
    static const u16 com[4] = { 0x3f8, 0, 0, 0 };
    const u16 ebda_seg = LOW_EBDA >> 4, base_kib = LOW_EBDA >> 10, ebda_kib = 1;
    u8 rsdp[36];

    phys_write(phys, 0x400, com, sizeof(com));
    phys_write(phys, 0x40e, &ebda_seg, 2);
    phys_write(phys, 0x413, &base_kib, 2);
    phys_write(phys, LOW_EBDA, &ebda_kib, 2);
    if (config->acpi_len < sizeof(rsdp))
        return;
    phys_read(phys, config->acpi_base, rsdp, sizeof(rsdp));
    if (memcmp(rsdp, "RSD PTR ", 8) == 0)
        phys_write(phys, LOW_RSDP, rsdp, rsdp[15] >= 2 ? sizeof(rsdp) : 20);
}

static bool load_elf(const struct load_config *config, const struct image *image, struct vcpu *v,
                     struct phys *phys, struct err *err)
{
    u64 top = memmap_top(phys->ram_size, config->acpi_base, config->acpi_len);
    struct plan plan;

    if (!elf_parse(&plan, image, err) || !plan_fits(&plan, image->name, top, err))
        return false;
    plan_place(&plan, image, phys);
    enter_flat(v, phys, plan.entry);
    return true;
}

static bool load_flat(const struct load_config *config, const struct image *image, struct vcpu *v,
                      struct phys *phys, struct err *err)
{
    u64 top = memmap_top(phys->ram_size, config->acpi_base, config->acpi_len);
    struct plan plan = { .count = 0, .entry = 0x100000 };
    struct piece all = { 0, (u32)image->size, 0x100000, (u32)image->size };

    if (!plan_add(&plan, image, &all, err) || !plan_fits(&plan, image->name, top, err))
        return false;
    plan_place(&plan, image, phys);
    enter_flat(v, phys, plan.entry);
    return true;
}

static bool load_kind(enum image_kind kind, const struct load_config *config,
                      const struct image *image, struct vcpu *v, struct phys *phys, struct err *err)
{
    if (config->initrd && kind != IMAGE_BZIMAGE && kind != IMAGE_MULTIBOOT)
        return err_set(err, EXIT_USAGE,
                       "-initrd %s: the kernel %s takes no initrd; only bzImage and "
                       "Multiboot kernels do", config->initrd, image->name);
    switch (kind) {
    case IMAGE_BZIMAGE:
        return bzimage_load(config, image, v, phys, err);
    case IMAGE_MULTIBOOT:
        return multiboot_load(config, image, v, phys, err);
    case IMAGE_ELF32:
        return load_elf(config, image, v, phys, err);
    case IMAGE_FLAT:
        return load_flat(config, image, v, phys, err);
    case IMAGE_BOOT_SECTOR:
        phys_write(phys, 0x7c00, image->bytes, image->size);
        enter_boot_sector(v);
        return true;
    }
    return err_set(err, EXIT_BUG, "image kind %d", kind);
}

bool load_guest(const struct load_config *config, struct vcpu *v, struct phys *phys,
                struct err *err)
{
    enum image_kind kind;
    struct image image;
    bool ok;

    if (!image_read(&image, config->kernel, "kernel", err))
        return false;
    ok = load_identify(image.bytes, image.size, config->kernel, &kind, err);
    if (ok) {
        bios_areas(config, phys);
        ok = load_kind(kind, config, &image, v, phys, err);
    }
    image_free(&image);
    return ok;
}
