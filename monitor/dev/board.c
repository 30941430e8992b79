// SPDX-License-Identifier: GPL-2.0-or-later
#include "board_impl.h"

#include <stdlib.h>
#include <string.h>

#define CHIP(field) offsetof(struct board, field)
#define IRQ(line, wire) line, CHIP(wire)
#define NO_IRQ -1, 0

const struct slot board_slots[] = {
    // name            port  len  what answers          the chip       there   its line
    { "dma 0-3",      0x00, 16, &i8237_ops,          CHIP(dma[0]), ALWAYS, NO_IRQ },
    { "pic master",   0x20,  2, &i8259_ops,          CHIP(pic[0]), ALWAYS, NO_IRQ },
    { "pit",          0x40,  4, &i8254_ops,          CHIP(pit),    ALWAYS, IRQ(0, pit.irq0) },
    { "8042 data",    0x60,  1, &i8042_data_ops,     CHIP(kbc),    ALWAYS, IRQ(1, kbc.kbd.irq) },
    { "port 61",      0x61,  1, &i8254_port61_ops,   CHIP(pit),    ALWAYS, NO_IRQ },
    { "8042",         0x64,  1, &i8042_command_ops,  CHIP(kbc),    ALWAYS, IRQ(12, kbc.aux.irq) },
    { "rtc",          0x70,  2, &mc146818_ops,       CHIP(rtc),    ALWAYS, IRQ(8, rtc.irq) },
    { "post",         0x80,  1, &debug_post_ops,     CHIP(debug),  ALWAYS, NO_IRQ },
    { "dma pages",    0x81, 15, &i8237_page_ops,     CHIP(pages),  ALWAYS, NO_IRQ },
    { "port 92",      0x92,  1, &a20_ops,            CHIP(a20),    ALWAYS, NO_IRQ },
    { "pic slave",    0xa0,  2, &i8259_ops,          CHIP(pic[1]), ALWAYS, NO_IRQ },
    { "apm",          0xb2,  2, &piix4pm_apm_ops,    CHIP(pm),     ALWAYS, IRQ(9, pm.sci) },
    { "dma 4-7",      0xc0, 32, &i8237_ops,          CHIP(dma[1]), ALWAYS, NO_IRQ },
    { "debug",        0xe9,  1, &debug_console_ops,  CHIP(debug),  ALWAYS, NO_IRQ },
    { "coprocessor",  0xf0,  2, &ferr_ops,           CHIP(ferr),   ALWAYS, IRQ(13, ferr.irq) },
    { "ide 1",       0x170,  8, &ide_ops,            CHIP(ide.channel[1]), ALWAYS,
      IRQ(15, ide.channel[1].irq) },
    { "vbe",         0x1ce,  4, &vga_vbe_ops,        CHIP(vga),    ALWAYS, NO_IRQ },
    { "post, tests", 0x190,  1, &debug_post_ops,     CHIP(debug),  ALWAYS, NO_IRQ },
    { "ide 0",       0x1f0,  8, &ide_ops,            CHIP(ide.channel[0]), ALWAYS,
      IRQ(14, ide.channel[0].irq) },
    { "com4",        0x2e8,  8, &ns16550_ops,        CHIP(com[3]), COM4,   IRQ(3, com[3].irq) },
    { "com2",        0x2f8,  8, &ns16550_ops,        CHIP(com[1]), COM2,   IRQ(3, com[1].irq) },
    { "ide 1 control",0x376, 1, &ide_control_ops,    CHIP(ide.channel[1]), ALWAYS, NO_IRQ },
    { "lpt1",        0x378,  3, &lpt_ops,            CHIP(lpt),    LPT,    IRQ(7, lpt.irq) },
    { "vga mono",    0x3b0, 12, &vga_mono_ops,       CHIP(vga),    ALWAYS, NO_IRQ },
    { "vga",         0x3c0, 16, &vga_ops,            CHIP(vga),    ALWAYS, NO_IRQ },
    { "vga color",   0x3d0, 16, &vga_color_ops,      CHIP(vga),    ALWAYS, NO_IRQ },
    { "com3",        0x3e8,  8, &ns16550_ops,        CHIP(com[2]), COM3,   IRQ(4, com[2].irq) },
    { "floppy",      0x3f0,  6, &i82077_ops,         CHIP(fdc),    ALWAYS, IRQ(6, fdc.irq) },
    { "ide 0 control",0x3f6, 1, &ide_control_ops,    CHIP(ide.channel[0]), ALWAYS, NO_IRQ },
    { "floppy change",0x3f7, 1, &i82077_dir_ops,     CHIP(fdc),    ALWAYS, NO_IRQ },
    { "com1",        0x3f8,  8, &ns16550_ops,        CHIP(com[0]), COM1,   IRQ(4, com[0].irq) },
    { "elcr master", 0x4d0,  1, &i8259_elcr_ops,     CHIP(pic[0]), ALWAYS, NO_IRQ },
    { "firmware log",0x402,  1, &debug_firmware_ops, CHIP(debug),  FIRMWARE, NO_IRQ },
    { "elcr slave",  0x4d1,  1, &i8259_elcr_ops,     CHIP(pic[1]), ALWAYS, NO_IRQ },
    { "fw_cfg",      0x510,  2, &fw_cfg_ops,         CHIP(fw),     FIRMWARE, NO_IRQ },
    { "fw_cfg dma",  0x514,  8, &fw_cfg_dma_ops,     CHIP(fw),     FIRMWARE, NO_IRQ },
    { "pci address", 0xcf8,  4, &pci_address_ops,    CHIP(pci),    ALWAYS, NO_IRQ },
    { "pci data",    0xcfc,  4, &pci_data_ops,       CHIP(pci),    ALWAYS, NO_IRQ },
    { "vga memory", VGA_WINDOW, VGA_WINDOW_LEN, &vga_memory_ops, CHIP(vga), ALWAYS, NO_IRQ },
    { "ioapic", IOAPIC_BASE, IOAPIC_LEN, &ioapic_ops, CHIP(ioapic), APIC, NO_IRQ },
    { "local apic", APIC_BASE, APIC_LEN, &apic_ops,   CHIP(apic),   APIC,   NO_IRQ },
};

const unsigned board_slots_count = ARRAY_LEN(board_slots);

// Lines whose trigger mode is fixed to edge: 0, 1, 2, 8, 13.
static const u8 elcr_mask[2] = { 0xf8, 0xde };

static void *chip_of(struct board *board, size_t offset)
{
    return (char *)board + offset;
}

bool board_present(const struct board *board, const struct slot *slot)
{
    if (slot->option == LPT)
        return board->host.parallel_out;
    if (slot->option == FIRMWARE)
        return board->config.firmware;
    if (slot->option == APIC)
        return board->config.apic;
    return slot->option <= board->config.serial_ports;
}

#define CMOS_SHUTDOWN 0x0f // what the firmware is to do after a reset

// ---- Wires between chips and to the machine

static void intr_out(void *sink, int pin, bool level)
{
    struct board *board = sink;

    (void)pin;
    board->host.intr(board->host.opaque, level);
}

// The 8259s' INT: to the CPU itself, or as both APICs' first input.
static void pic_out(void *sink, int pin, bool level)
{
    struct board *board = sink;

    if (!board->config.apic) {
        intr_out(board, pin, level);
        return;
    }
    apic_pic(&board->apic, 0, level);
    ioapic_set(&board->ioapic, 0, level);
}

static void line_out(void *sink, int line, bool level)
{
    struct board *board = sink;

    i8259_set(&board->pic[line / 8], line % 8, level);
    if (board->config.apic)
        ioapic_set(&board->ioapic, line ? line : IOAPIC_TIMER_PIN, level);
}

// The timer's tick may go to the 8259, to the I/O APIC, or to neither.
static bool pic_irq0(const struct board *board)
{
    return board->pic[0].ready && !(board->pic[0].imr & 1);
}

static bool ioapic_irq0(const struct board *board)
{
    return board->config.apic && !ioapic_masked(&board->ioapic, IOAPIC_TIMER_PIN);
}

static bool irq0_pending(void *opaque)
{
    const struct board *board = opaque;

    return ioapic_irq0(board)
               ? apic_requested(&board->apic, ioapic_vector(&board->ioapic, IOAPIC_TIMER_PIN))
               : board->pic[0].irr & 1;
}

static bool irq0_masked(void *opaque)
{
    const struct board *board = opaque;

    return !pic_irq0(board) && !ioapic_irq0(board);
}

static void apic_acked(void *opaque, u8 vector)
{
    struct board *board = opaque;

    if (ioapic_irq0(board) && vector == ioapic_vector(&board->ioapic, IOAPIC_TIMER_PIN))
        i8254_irq0_acked(&board->pit);
}

static void apic_eoi(void *opaque, u8 vector)
{
    struct board *board = opaque;

    ioapic_eoi(&board->ioapic, vector);
}

static void nmi_out(void *opaque)
{
    struct board *board = opaque;

    if (board->host.nmi)
        board->host.nmi(board->host.opaque);
}

static void reset_out(void *opaque)
{
    struct board *board = opaque;

    board->host.reset(board->host.opaque);
}

bool board_comes_back(const struct board *board)
{
    u8 code = board->rtc.ram[CMOS_SHUTDOWN];

    return board->config.firmware && (code == 0x05 || (code >= 0x09 && code <= 0x0c));
}

// What the PIIX3 makes INIT of, and not a reset. The difference is for programs that come back; for all others a whole reset
// is the surer start.
static void init_out(void *opaque)
{
    struct board *board = opaque;

    if (board->host.init && board_comes_back(board))
        board->host.init(board->host.opaque);
    else
        board->host.reset(board->host.opaque);
}

static void power_off_out(void *opaque)
{
    struct board *board = opaque;

    board->host.power_off(board->host.opaque);
}

static void wire(struct board *board)
{
    for (int n = 0; n < 2; n++)
        board->pic[n].elcr_mask = elcr_mask[n];
    board->pic[0].slave = &board->pic[1];
    board->pic[0].out = (struct irq){ pic_out, board, 0 };
    board->pic[1].out = (struct irq){ i8259_set, &board->pic[0], 2 };
    for (int n = 0; n < LINES; n++)
        if (n != 2)
            board->lines.sink[n] = (struct irq){ line_out, board, n };
    board->pic[0].acked = i8254_irq0_acked;
    board->pic[0].acked_opaque = &board->pit;
    board->pit.irq0_pending = irq0_pending;
    board->pit.irq0_masked = irq0_masked;
    board->pit.pic = board;
    board->apic.out = (struct irq){ intr_out, board, 0 };
    board->apic.nmi = nmi_out;
    board->apic.init = init_out;
    board->apic.eoi = apic_eoi;
    board->apic.acked = apic_acked;
    board->apic.opaque = board;
    board->rtc.alarm = piix4pm_rtc_alarm;
    board->rtc.alarm_opaque = &board->pm;
    board->kbc.set_a20 = a20_set;
    board->kbc.get_a20 = a20_get;
    board->kbc.opaque = &board->a20;
    board->kbc.reset_cpu = init_out;
    board->kbc.reset_opaque = board;
    board->a20.reset_cpu = init_out;
    board->a20.opaque = board;
    board->pci.reset = reset_out;
    board->pci.init = init_out;
    board->pci.opaque = board;
    for (int n = 0; n < PCI_PIRQS; n++)
        board->pci.pirq[n] = (struct irq){ piix3_pirq, &board->piix, n };
    board->pm.power_off = power_off_out;
    board->pm.opaque = board;
}

// ---- Drives

static bool open_images(struct board *board, struct err *err)
{
    const struct board_config *config = &board->config;

    for (unsigned i = 0; i < config->drives; i++)
        if (config->drive[i].image.file
            && !(board->block[i] = block_open(&config->drive[i].image, &board->host, err)))
            return false;
    return true;
}

// Virtio disks take the slots behind the VGA, in the order of their index.
static bool init_virtio(struct board *board)
{
    for (unsigned index = 0; index < BOARD_DRIVES; index++)
        for (unsigned i = 0; i < board->config.drives; i++) {
            struct virtio_blk *vb;

            if (board->config.drive[i].bus != DRIVE_VIRTIO || board->config.drive[i].index != index)
                continue;
            vb = board->virtio_blk[i] = calloc(1, sizeof(*vb));
            if (!vb)
                return false;
            virtio_blk_init(vb, index, (VIRTIO_SLOT + index) << 3, board->block[i], &board->host);
            pci_add(&board->pci, &vb->virtio.func);
        }
    return true;
}

static bool init_drives(struct board *board)
{
    struct block *ide[4] = { NULL };
    bool cdrom[4] = { false };

    i82077_init(&board->fdc, &board->timers, &board->dma[0]);
    for (unsigned i = 0; i < board->config.drives; i++) {
        const struct board_drive *drive = &board->config.drive[i];

        if (drive->bus == DRIVE_IDE) {
            ide[drive->index] = board->block[i];
            cdrom[drive->index] = drive->image.cdrom;
        } else if (drive->bus == DRIVE_FLOPPY) {
            i82077_drive(&board->fdc, drive->index, board->block[i]);
        }
    }
    if (!ide_init(&board->ide, &board->host, ide, cdrom))
        return false;
    pci_add(&board->pci, &board->ide.func);
    return init_virtio(board);
}

void board_resume(struct board *board)
{
    for (unsigned i = 0; i < board->config.drives; i++)
        if (board->block[i])
            block_resume(board->block[i]);
}

// The drive with this name that media can be changed in, or -1.
static int find_drive(const struct board *board, const char *name)
{
    for (unsigned i = 0; i < board->config.drives; i++) {
        const struct board_drive *drive = &board->config.drive[i];

        if (drive->bus == DRIVE_IDE && drive->image.cdrom
            && strcmp(name, board->ide.channel[drive->index / 2].drive[drive->index % 2].name) == 0)
            return (int)i;
        if (drive->bus == DRIVE_FLOPPY && strncmp(name, "floppy", 6) == 0
            && name[6] == '0' + (char)drive->index && !name[7])
            return (int)i;
    }
    return -1;
}

static void put_medium(struct board *board, int i, struct block *block)
{
    const struct board_drive *drive = &board->config.drive[i];
    struct block *old = board->block[i];

    board->block[i] = block;
    if (drive->bus == DRIVE_FLOPPY)
        i82077_change(&board->fdc, drive->index, block);
    else
        ide_change(&board->ide, drive->index, block);
    block_close(old);
}

bool board_change(struct board *board, const char *name, const char *file, struct err *err)
{
    int i = find_drive(board, name);
    struct block *block = NULL;
    struct block_config image;

    if (i < 0)
        return err_set(err, EXIT_USAGE, "%s is no drive whose medium can be changed; info block lists drives",
                       name);
    image = board->config.drive[i].image;
    image.file = file;
    image.format = NULL;
    // The same file again: it is locked until it is out.
    if (file && board->block[i] && strcmp(board->block[i]->name, file) == 0)
        put_medium(board, i, NULL);
    if (file && !(block = block_open(&image, &board->host, err)))
        return false;
    put_medium(board, i, block);
    return true;
}

static bool init_chips(struct board *board, struct log *log)
{
    bool bare = !board->config.firmware;
    u64 ram_size = board->config.ram_size;

    timers_init(&board->timers, &board->host);
    lines_init(&board->lines);
    apic_init(&board->apic, &board->timers);
    ioapic_init(&board->ioapic, &board->apic);
    board->apic_at = APIC_BASE;
    i8254_init(&board->pit, &board->timers);
    mc146818_init(&board->rtc, &board->timers, ram_size);
    ps2_keyboard_init(&board->kbd, &board->timers);
    typist_init(&board->typist, &board->timers, &board->kbd);
    i8042_init(&board->kbc, &board->timers, &board->kbd.port, NULL);
    a20_init(&board->a20, &board->host);
    for (int n = 0; n < MAX_SERIAL; n++)
        ns16550_init(&board->com[n], &board->timers, n);
    lpt_init(&board->lpt, &board->host);
    for (int n = 0; n < 2; n++)
        i8237_init(&board->dma[n], &board->host, &board->pages, n == 1);
    debug_init(&board->debug, &board->host, log);
    fw_cfg_init(&board->fw, &board->host);
    pci_init(&board->pci, board->bus, log);
    i440fx_init(&board->fx, &board->host, ram_size, bare);
    piix3_init(&board->piix, &board->lines, bare);
    piix4pm_init(&board->pm, &board->timers, bare);
    pci_add(&board->pci, &board->fx.func);
    pci_add(&board->pci, &board->piix.func);
    pci_add(&board->pci, &board->pm.func);
    if (!vga_init(&board->vga, &board->timers, board->config.vga_rom, board->config.vga_rom_len))
        return false;
    pci_add(&board->pci, &board->vga.func);
    return init_drives(board);
}

static bool plug(struct board *board, struct err *err)
{
    const struct board_config *config = &board->config;

    for (unsigned i = 0; i < ARRAY_LEN(board_slots); i++) {
        const struct slot *slot = &board_slots[i];

        if (!board_present(board, slot))
            continue;
        if (!bus_add(board->bus, slot_space(slot), slot->base, slot->len, slot->ops,
                     chip_of(board, slot->chip), slot->name, err))
            return false;
        if (slot->irq >= 0)
            *(struct irq *)chip_of(board, slot->wire) = lines_connect(&board->lines, slot->irq);
    }
    return config->debug_exit_base < 0
           || bus_add(board->bus, BUS_PORT, config->debug_exit_base, config->debug_exit_size,
                      &debug_exit_ops, &board->debug, "isa-debug-exit", err);
}

// ---- Firmware

#define CMOS_FLOPPY_CHECK 0x38 // bit 0: boot floppies without a signature; third device in bits 7-4
#define CMOS_FLOPPIES 0x10     // types of the drives
#define CMOS_DISKS 0x12        // types of the first two IDE disks: a nibble each; 15: see CMOS_DISK_TYPE
#define CMOS_EQUIPMENT 0x14
#define CMOS_DISK_TYPE 0x19    // a byte each; 47: see CMOS_GEOMETRY
#define CMOS_GEOMETRY 0x1b     // nine bytes each, as in a BIOS's table of drives
#define CMOS_CHECKSUM 0x2e     // of 10h to 2Dh, high byte first
#define CMOS_TRANSLATION 0x39  // two bits an IDE drive; 1: LBA
#define CMOS_BOOT_ORDER 0x3d   // first and second device

static u8 boot_code(char letter)
{
    static const char letters[] = "acdn";
    const char *at = letter ? strchr(letters, letter) : NULL;

    return at ? at - letters + 1 : 0;
}

void board_boot_order(struct board *board, const char *order)
{
    u8 code[3] = { 0 };

    if (!order)
        order = "cad";
    for (unsigned i = 0; i < ARRAY_LEN(code) && order[i]; i++)
        code[i] = boot_code(order[i]);
    board->rtc.ram[CMOS_BOOT_ORDER] = code[1] << 4 | code[0];
    board->rtc.ram[CMOS_FLOPPY_CHECK] = code[2] << 4;
}

// A disk on the first channel, for systems that know only the AT's types: without one, old Linux kernels and others find no
// disk at all.
static void describe_disk(struct mc146818 *rtc, unsigned n, const struct ide_drive *d)
{
    const u8 geometry[9] = {
        d->cylinders, d->cylinders >> 8, d->heads, 0xff, 0xff, 0xc0 | (d->heads > 8 ? 8 : 0), d->cylinders,
        d->cylinders >> 8, d->sectors,
    };

    rtc->ram[CMOS_DISKS] |= n ? 0x0f : 0xf0;
    rtc->ram[CMOS_DISK_TYPE + n] = 47;
    memcpy(rtc->ram + CMOS_GEOMETRY + n * sizeof(geometry), geometry, sizeof(geometry));
}

// Disks of more than 1024 cylinders are to appear translated.
static void describe_disks(struct board *board)
{
    u8 translation = 0, floppies = i82077_types(&board->fdc);
    u16 sum = 0;

    for (unsigned n = 0; n < 4; n++) {
        const struct ide_drive *d = &board->ide.channel[n / 2].drive[n % 2];

        if (d->kind == IDE_DISK && (d->cylinders > 1024 || d->heads > 16))
            translation |= 1 << (2 * n);
        if (d->kind == IDE_DISK && n < 2)
            describe_disk(&board->rtc, n, d);
    }
    board->rtc.ram[CMOS_TRANSLATION] = translation;
    board->rtc.ram[CMOS_FLOPPIES] = floppies;
    // The equipment byte: whether there are floppy drives, and how many.
    if (floppies)
        board->rtc.ram[CMOS_EQUIPMENT] |= 0x01 | (floppies & 0x0f ? 0x40 : 0);
    for (unsigned at = 0x10; at < CMOS_CHECKSUM; at++)
        sum += board->rtc.ram[at];
    board->rtc.ram[CMOS_CHECKSUM] = sum >> 8;
    board->rtc.ram[CMOS_CHECKSUM + 1] = sum;
}

static bool describe(struct board *board, struct err *err)
{
    struct firmware_config config = {
        .ram_size = board->config.ram_size,
        .boot_menu = board->config.boot_menu,
        .menu_wait_ms = board->config.boot_menu_wait_ms,
    };
    u8 *acpi;
    bool ok;

    board_boot_order(board, board->config.boot_order);
    config.acpi_len = board_acpi_tables(board, 0, NULL, 0);
    config.acpi = acpi = calloc(1, config.acpi_len);
    ok = acpi && board_acpi_tables(board, 0, acpi, config.acpi_len) == config.acpi_len
         && firmware_describe(&board->fw, &config)
         && (!board->config.kernel || linuxboot_describe(&board->fw, board->config.kernel));
    board->config.kernel = NULL;
    free(acpi);
    return ok || err_set(err, EXIT_HOST, "out of memory for the firmware's tables");
}

// ---- The board

struct board *board_create(const struct board_config *config, const struct board_host *host,
                           struct bus *bus, struct log *log, struct err *err)
{
    struct board *board = calloc(1, sizeof(*board));

    if (!board) {
        err_set(err, EXIT_HOST, "out of memory for the board");
        return NULL;
    }
    board->host = *host;
    board->config = *config;
    board->config.serial_ports = MIN(MAX(config->serial_ports, 1), MAX_SERIAL);
    board->bus = bus;
    if (config->drives)
        memcpy(board->drive, config->drive, config->drives * sizeof(*board->drive));
    board->config.drive = board->drive;
    if (!open_images(board, err)) {
        board_destroy(board);
        return NULL;
    }
    if (!init_chips(board, log)) {
        err_set(err, EXIT_HOST, "out of memory for the board's");
        board_destroy(board);
        return NULL;
    }
    describe_disks(board);
    if (!plug(board, err) || (config->firmware && !describe(board, err))) {
        board_destroy(board);
        return NULL;
    }
    wire(board);
    board_reset(board);
    return board;
}

void board_destroy(struct board *board)
{
    if (!board)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(board_slots); i++)
        bus_remove(board->bus, slot_space(&board_slots[i]), board_slots[i].base,
                   chip_of(board, board_slots[i].chip));
    bus_remove(board->bus, BUS_MMIO, board->apic_at, &board->apic);
    if (board->config.debug_exit_base >= 0)
        bus_remove(board->bus, BUS_PORT, board->config.debug_exit_base, &board->debug);
    piix4pm_remove(&board->pm);
    for (unsigned n = 0; n < PCI_FUNCS; n++)
        if (board->pci.func[n])
            pci_remove(board->pci.func[n]);
    ide_destroy(&board->ide);
    for (unsigned i = 0; i < board->config.drives; i++) {
        if (board->virtio_blk[i])
            virtio_blk_destroy(board->virtio_blk[i]);
        free(board->virtio_blk[i]);
        block_close(board->block[i]);
    }
    fw_cfg_destroy(&board->fw);
    vga_destroy(&board->vga);
    free(board);
}

static void program_timer(struct board *board, unsigned channel, u8 control, u16 count)
{
    const struct bus_ops *ops = &i8254_ops;

    ops->write(&board->pit, 3, control, 1);
    ops->write(&board->pit, channel, count & 0xff, 1);
    ops->write(&board->pit, channel, count >> 8, 1);
}

// What a BIOS has set up by the time it starts a system.
static void hand_over(struct board *board)
{
    u16 level = BIT(PIIX4PM_SCI);

    for (unsigned n = 0; n < PCI_PIRQS; n++)
        level |= BIT(piix3_default_line(n));
    i8259_set_elcr(&board->pic[0], level);
    i8259_set_elcr(&board->pic[1], level >> 8);
    program_timer(board, 0, 0x36, 0);  // 18.2 Hz
    program_timer(board, 1, 0x74, 18); // memory refresh
    if (board->config.apic)
        apic_hand_over(&board->apic);
    vga_set_text_mode(&board->vga);
}

void board_reset(struct board *board)
{
    for (int n = 0; n < 2; n++) {
        i8259_reset(&board->pic[n]);
        i8237_reset(&board->dma[n]);
    }
    memset(&board->pages, 0, sizeof(board->pages));
    if (board->config.apic) {
        board_apic_base(board, APIC_BASE | APIC_BASE_ENABLE);
        apic_reset(&board->apic);
        ioapic_reset(&board->ioapic);
    }
    i8254_reset(&board->pit);
    mc146818_reset(&board->rtc);
    i8042_reset(&board->kbc);
    a20_reset(&board->a20);
    for (int n = 0; n < MAX_SERIAL; n++)
        ns16550_reset(&board->com[n]);
    lpt_reset(&board->lpt);
    ferr_reset(&board->ferr);
    fw_cfg_reset(&board->fw);
    pci_reset(&board->pci);
    piix4pm_reset(&board->pm);
    vga_reset(&board->vga);
    typist_reset(&board->typist);
    ide_reset(&board->ide);
    i82077_reset(&board->fdc);
    for (unsigned i = 0; i < board->config.drives; i++)
        if (board->virtio_blk[i])
            virtio_reset(&board->virtio_blk[i]->virtio);
    if (!board->config.firmware)
        hand_over(board);
}

u64 board_deadline(struct board *board)
{
    return timers_deadline(&board->timers);
}

bool board_deadline_once(struct board *board)
{
    return board->timers.head && board->timers.head->programmed;
}

void board_poll(struct board *board)
{
    for (unsigned i = 0; i < board->config.drives; i++)
        if (board->block[i])
            block_poll(board->block[i]);
    timers_run(&board->timers);
}

size_t board_serial_room(struct board *board, int port)
{
    if (port < 0 || port >= (int)board->config.serial_ports)
        return 0;
    return ns16550_room(&board->com[port]);
}

size_t board_serial_in(struct board *board, int port, const u8 *bytes, size_t len)
{
    if (port < 0 || port >= (int)board->config.serial_ports)
        return 0;
    return ns16550_in(&board->com[port], bytes, len);
}

int board_intr_ack(void *opaque)
{
    struct board *board = opaque;

    if (board->config.apic) {
        int vector = apic_ack(&board->apic);

        if (vector != -1)
            return vector < 0 ? -1 : vector;
    }
    // The CPU does not begin the acknowledge cycle when INTR has fallen meanwhile.
    return i8259_int(&board->pic[0]) ? i8259_ack(&board->pic[0]) : -1;
}

void board_ferr(void *opaque, bool level)
{
    struct board *board = opaque;

    ferr_set(&board->ferr, level);
}

void board_power_button(struct board *board)
{
    piix4pm_power_button(&board->pm);
}

void board_key(struct board *board, u8 key, bool down)
{
    ps2_keyboard_key(&board->kbd, key, down);
}

bool board_press(struct board *board, const u8 *keys, unsigned count, unsigned hold_ms)
{
    return typist_press(&board->typist, keys, count, hold_ms);
}

void board_screen(struct board *board, struct screen_text *out)
{
    vga_text(&board->vga, out);
}

bool board_pixels(struct board *board, struct screen_pixels *out)
{
    return vga_pixels(&board->vga, out);
}

void board_apic_base(void *opaque, u64 value)
{
    struct board *board = opaque;
    u32 to = value & PAGE_MASK;
    struct err err;

    if (!board->config.apic)
        return;
    apic_enable(&board->apic, value & APIC_BASE_ENABLE);
    // Disabled, or where something else is, or beyond 4 GiB, it does not answer.
    if (!(value & APIC_BASE_ENABLE) || value >> 32)
        to = 0;
    if (to == board->apic_at)
        return;
    if (board->apic_at)
        bus_remove(board->bus, BUS_MMIO, board->apic_at, &board->apic);
    board->apic_at = to && bus_add(board->bus, BUS_MMIO, to, APIC_LEN, &apic_ops, &board->apic,
                                   "local apic", &err) ? to : 0;
}

size_t board_mp_table(struct board *board, u32 base, u8 *out)
{
    struct mptable_config config = {
        .cpu_signature = board->config.cpu_signature,
        .cpu_features = board->config.cpu_features,
    };

    for (unsigned n = 0; n < PCI_PIRQS; n++)
        config.pci_lines |= BIT(piix3_default_line(n));
    return board->config.apic ? mptable_build(&config, base, out) : 0;
}

size_t board_acpi_tables(struct board *board, u32 base, u8 *out, size_t len)
{
    struct acpi_config config = {
        .ram_size = board->config.ram_size,
        .serial_ports = board->config.serial_ports,
        .mouse = board->kbc.aux.dev,
        .printer = board->host.parallel_out,
        .floppy = i82077_types(&board->fdc),
        .apic = board->config.apic,
    };

    for (unsigned i = 0; i < ARRAY_LEN(board_slots); i++)
        if (board_slots[i].option >= COM1 && board_slots[i].option <= COM4) {
            config.serial_base[board_slots[i].option - COM1] = board_slots[i].base;
            config.serial_irq[board_slots[i].option - COM1] = board_slots[i].irq;
        }
    return acpi_build(&config, base, out, len);
}
