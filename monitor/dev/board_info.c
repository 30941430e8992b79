// SPDX-License-Identifier: GPL-2.0-or-later
// Looking at the board: the console's `info` pages.
#include "board_impl.h"

#include <string.h>

static void print_pic(struct board *board, FILE *f)
{
    i8259_print(&board->pic[0], "pic master", f);
    i8259_print(&board->pic[1], "pic slave ", f);
    piix3_print(&board->piix, f);
}

static void print_apic(struct board *board, FILE *f)
{
    if (board->config.apic)
        apic_print(&board->apic, f);
    else
        fprintf(f, "there is no local APIC\n");
}

static void print_ioapic(struct board *board, FILE *f)
{
    if (board->config.apic)
        ioapic_print(&board->ioapic, f);
    else
        fprintf(f, "there is no I/O APIC\n");
}

static void print_pci(struct board *board, FILE *f)
{
    pci_print(&board->pci, f);
}

static void print_irq(struct board *board, FILE *f)
{
    for (unsigned line = 0; line < LINES; line++) {
        fprintf(f, "irq %2u: %s %10llu", line, board->lines.driven[line] ? "high" : "low ",
                (unsigned long long)board->lines.rises[line]);
        for (unsigned i = 0; i < board_slots_count; i++)
            if (board_slots[i].irq == (int)line && board_present(board, &board_slots[i]))
                fprintf(f, "  %s", board_slots[i].name);
        for (unsigned pirq = 0; pirq < PCI_PIRQS; pirq++)
            if (piix3_line(&board->piix, pirq) == (int)line)
                fprintf(f, "  pirq%c", 'a' + (int)pirq);
        fputc('\n', f);
    }
}

static void print_mtree(struct board *board, FILE *f)
{
    static const char *const space_name[BUS_SPACES] = { "ports", "memory-mapped I/O" };

    for (int space = 0; space < BUS_SPACES; space++) {
        fprintf(f, "%s\n", space_name[space]);
        for (unsigned i = 0; i < board->bus->count[space]; i++) {
            const struct bus_range *r = &board->bus->range[space][i];

            fprintf(f, "  %0*x-%0*x %s\n", space == BUS_PORT ? 4 : 8, r->base,
                    space == BUS_PORT ? 4 : 8, r->base + (r->len - 1), r->name);
        }
    }
}

static void print_timers(struct board *board, FILE *f)
{
    i8254_print(&board->pit, f);
    mc146818_print(&board->rtc, f);
    piix4pm_print(&board->pm, f);
}

static void print_dma(struct board *board, FILE *f)
{
    i8237_print(&board->dma[0], f);
    i8237_print(&board->dma[1], f);
}

static void print_serial(struct board *board, FILE *f)
{
    for (unsigned n = 0; n < board->config.serial_ports; n++)
        ns16550_print(&board->com[n], f);
}

static void print_keyboard(struct board *board, FILE *f)
{
    i8042_print(&board->kbc, f);
}

static void print_block(struct board *board, FILE *f)
{
    ide_print(&board->ide, f);
    i82077_print(&board->fdc, f);
    for (unsigned i = 0; i < board->config.drives; i++)
        if (board->virtio_blk[i])
            block_print(board->block[i], board->virtio_blk[i]->name, f);
}

static void print_vga(struct board *board, FILE *f)
{
    vga_print(&board->vga, f);
}

static const struct {
    const char *name;
    void (*print)(struct board *board, FILE *f);
} pages[] = {
    { "pic", print_pic },       { "apic", print_apic },     { "ioapic", print_ioapic },
    { "pci", print_pci },       { "irq", print_irq },       { "mtree", print_mtree },
    { "timers", print_timers }, { "dma", print_dma },       { "serial", print_serial },
    { "keyboard", print_keyboard }, { "vga", print_vga },   { "block", print_block },
};

bool board_info(struct board *board, const char *what, FILE *f)
{
    for (unsigned i = 0; i < ARRAY_LEN(pages); i++)
        if (!strcmp(pages[i].name, what)) {
            pages[i].print(board, f);
            return true;
        }
    return false;
}

// ---- The table

static const char *const needs[] = {
    [ALWAYS] = "", [COM1] = "", [COM2] = "with -serial, twice", [COM3] = "with -serial, three times",
    [COM4] = "with -serial, four times", [LPT] = "with -parallel", [FIRMWARE] = "with firmware",
    [APIC] = "unless -machine apic=off or -cpu 486",
};

void board_print_table(FILE *f)
{
    static const struct { unsigned slot, function; const char *name, *help; } functions[] = {
        { 0, 0, "i440FX", "host bridge" },
        { PIIX3_SLOT, 0, "PIIX3", "ISA bridge: routes PCI interrupts A and B to line 10, C and D to 11" },
        { PIIX3_SLOT, 1, "PIIX3 IDE", "-hda to -hdd, -cdrom, -drive if=ide" },
        { PIIX3_SLOT, 3, "PIIX4 PM", "ACPI and APM" },
        { VGA_SLOT, 0, "VGA", "16 MiB, with the Bochs VBE extensions" },
        { VIRTIO_SLOT, 0, "virtio-blk", "-drive if=virtio, one a slot from here on" },
    };

    fprintf(f, "chip             where              line\n");
    for (unsigned i = 0; i < board_slots_count; i++) {
        const struct slot *slot = &board_slots[i];
        int digits = slot_space(slot) == BUS_PORT ? 3 : 8;
        char line[16] = "";

        if (slot->irq >= 0)
            snprintf(line, sizeof(line), "%d", slot->irq);
        fprintf(f, "%-16s %0*x-%0*x%*s %s%*s%s\n", slot->name, digits, slot->base, digits,
                slot->base + slot->len - 1, 17 - 2 * digits, "", line,
                *needs[slot->option] ? 5 - (int)strlen(line) : 0, "", needs[slot->option]);
    }
    fprintf(f, "\nPCI function     where\n");
    for (unsigned i = 0; i < ARRAY_LEN(functions); i++)
        fprintf(f, "%-16s 00:%02x.%u           %s\n", functions[i].name, functions[i].slot,
                functions[i].function, functions[i].help);
}
