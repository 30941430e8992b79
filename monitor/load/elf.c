// SPDX-License-Identifier: GPL-2.0-or-later
// Static ELF32 executables: their PT_LOAD segments go to their physical addresses.
#include "image.h"

#include <libelf.h>
#include <string.h>

// The headers are checked here before libelf sees them: it trusts what it is given more than we do.
static bool elf_check(const struct image *image, struct err *err)
{
    const u8 *b = image->bytes;
    u16 machine, type;
    u32 phoff;

    if (image->size < sizeof(Elf32_Ehdr))
        return err_set(err, EXIT_INPUT, "the kernel %s is truncated: it ends within its ELF header",
                       image->name);
    if (b[EI_CLASS] == ELFCLASS64)
        return err_set(err, EXIT_INPUT,
                       "the kernel %s is a 64-bit ELF file, and ring3's guests are "
                       "32-bit: use its i386 build", image->name);
    if (b[EI_CLASS] != ELFCLASS32 || b[EI_DATA] != ELFDATA2LSB || b[EI_VERSION] != EV_CURRENT)
        return err_set(err, EXIT_INPUT, "the kernel %s is not a little-endian 32-bit ELF file",
                       image->name);
    type = get16(b, offsetof(Elf32_Ehdr, e_type));
    machine = get16(b, offsetof(Elf32_Ehdr, e_machine));
    if (machine != EM_386)
        return err_set(err, EXIT_INPUT, "the kernel %s is for another processor (ELF machine %u), "
                       "not for the 386 (%u)", image->name, machine, EM_386);
    if (type != ET_EXEC)
        return err_set(err, EXIT_INPUT, "the kernel %s is not a static executable (ELF type %u): "
                       "link it without -shared, -pie and -r", image->name, type);
    if (get16(b, offsetof(Elf32_Ehdr, e_phentsize)) != sizeof(Elf32_Phdr))
        return err_set(err, EXIT_INPUT, "the kernel %s has no usable ELF program headers",
                       image->name);
    phoff = get32(b, offsetof(Elf32_Ehdr, e_phoff));
    if (phoff > image->size || get16(b, offsetof(Elf32_Ehdr, e_phnum)) >
                                   (image->size - phoff) / sizeof(Elf32_Phdr))
        return err_set(err, EXIT_INPUT, "the kernel %s is truncated: its ELF program headers lie "
                       "outside its %zu bytes", image->name, image->size);
    return true;
}

// The i-th program header. libelf gives the image's own bytes, which may lie at any address.
static Elf32_Phdr phdr_at(const Elf32_Phdr *table, size_t i)
{
    Elf32_Phdr ph;

    memcpy(&ph, (const char *)table + i * sizeof(ph), sizeof(ph));
    return ph;
}

// e_entry is a virtual address where the segments' virtual and physical addresses differ.
static u32 elf_entry(const Elf32_Phdr *table, size_t count, u32 entry)
{
    for (size_t i = 0; i < count; i++) {
        Elf32_Phdr ph = phdr_at(table, i);

        if (ph.p_type == PT_LOAD && entry - ph.p_vaddr < ph.p_memsz)
            return entry - ph.p_vaddr + ph.p_paddr;
    }
    return entry;
}

static bool elf_plan(struct plan *plan, const struct image *image, Elf *elf, struct err *err)
{
    const Elf32_Ehdr *eh = elf32_getehdr(elf);
    const Elf32_Phdr *table = eh && eh->e_phnum ? elf32_getphdr(elf) : NULL;
    size_t count = table ? eh->e_phnum : 0;

    for (size_t i = 0; i < count; i++) {
        Elf32_Phdr ph = phdr_at(table, i);
        struct piece piece = { ph.p_offset, ph.p_filesz, ph.p_paddr, ph.p_memsz };

        if (ph.p_type == PT_INTERP)
            return err_set(err, EXIT_INPUT, "the kernel %s is a dynamically linked program, not a "
                           "kernel: link it with -static", image->name);
        if (ph.p_type == PT_LOAD && piece.memsz && !plan_add(plan, image, &piece, err))
            return false;
    }
    if (plan->count == 0)
        return err_set(err, EXIT_INPUT, "the kernel %s has nothing to load: it has no ELF PT_LOAD "
                       "segment", image->name);
    plan->entry = elf_entry(table, count, eh->e_entry);
    return true;
}

bool elf_parse(struct plan *plan, const struct image *image, struct err *err)
{
    Elf *elf;
    bool ok;

    *plan = (struct plan){ .count = 0 };
    if (!elf_check(image, err))
        return false;
    if (elf_version(EV_CURRENT) == EV_NONE)
        return err_set(err, EXIT_HOST, "libelf is too old: %s", elf_errmsg(-1));
    elf = elf_memory((char *)image->bytes, image->size);
    if (!elf)
        return err_set(err, EXIT_INPUT, "the kernel %s is not a readable ELF file: %s", image->name,
                       elf_errmsg(-1));
    ok = elf_plan(plan, image, elf, err);
    elf_end(elf);
    return ok;
}
