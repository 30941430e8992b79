// SPDX-License-Identifier: GPL-2.0-or-later
// The board as a whole: PCI and its bridges, power management, the ways to reset and leave, wiring, and that
// no access of any port, order, size or value does harm.
#include "dev_rig.h"

#include "monitor/dev/i8237.h"
#include "monitor/dev/pci.h"

static struct rig *r;
static struct board *board;

static void setup_with(bool firmware)
{
    struct board_config config = { .ram_size = 256 << 20, .apic = true, .debug_exit_base = 0xf4,
                                   .debug_exit_size = 4, .serial_ports = 4,
                                   .firmware = firmware };

    r = rig_new();
    board = rig_board(r, &config);
}

static void setup(void) { setup_with(false); }
static void setup_firmware(void) { setup_with(true); }

static void teardown(void)
{
    board_destroy(board);
    ck_assert_uint_eq(r->bus.count[BUS_PORT], 0); // it leaves nothing behind
    ck_assert_uint_eq(r->bus.count[BUS_MMIO], 0);
    rig_free(r);
}

static void out(u16 port, u32 v, unsigned size) { bus_write(&r->bus, BUS_PORT, port, v, size); }
static u32 in(u16 port, unsigned size) { return bus_read(&r->bus, BUS_PORT, port, size); }

static u32 pci_in(unsigned slot, unsigned fn, unsigned at, unsigned size)
{
    out(0xcf8, 1u << 31 | slot << 11 | fn << 8 | (at & ~3u), 4);
    return in(0xcfc + (at & 3), size);
}

static void pci_out(unsigned slot, unsigned fn, unsigned at, u32 v, unsigned size)
{
    out(0xcf8, 1u << 31 | slot << 11 | fn << 8 | (at & ~3u), 4);
    out(0xcfc + (at & 3), v, size);
}

static void init_pics(void)
{
    static const u8 words[4] = { 0x11, 0x20, 0x04, 0x01 }, slave[4] = { 0x11, 0x28, 0x02, 0x01 };

    for (int i = 0; i < 4; i++) {
        out(0x20 + !!i, words[i], 1);
        out(0xa0 + !!i, slave[i], 1);
    }
}

static void eoi(void)
{
    out(0xa0, 0x20, 1);
    out(0x20, 0x20, 1);
}

// ---- PCI

START_TEST(configuration_mechanism)
{
    ck_assert_uint_eq(pci_in(0, 0, 0, 4), 0x12378086);
    ck_assert_uint_eq(pci_in(1, 0, 0, 4), 0x70008086);
    ck_assert_uint_eq(pci_in(1, 3, 0, 4), 0x71138086);
    ck_assert_uint_eq(pci_in(0, 0, 8, 4) >> 8, 0x060000);
    ck_assert_uint_eq(pci_in(1, 0, 8, 4) >> 8, 0x060100);
    ck_assert_uint_eq(pci_in(1, 3, 8, 4) >> 8, 0x068000);
    ck_assert_uint_eq(pci_in(1, 0, 0x0e, 1), 0x80); // multi-function
    ck_assert_uint_eq(pci_in(0, 0, 2, 2), 0x1237);
    ck_assert_uint_eq(pci_in(0, 0, 1, 1), 0x80);
    ck_assert_uint_eq(pci_in(5, 0, 0, 4), 0xffffffff);
    ck_assert_uint_eq(pci_in(1, 2, 0, 2), 0xffff);
    // Another bus is empty; without the enable bit the data port is a port like any other.
    out(0xcf8, 0x80010000, 4);
    ck_assert_uint_eq(in(0xcfc, 4), 0xffffffff);
    out(0xcf8, 0x00000000, 4);
    ck_assert_uint_eq(in(0xcfc, 4), 0xffffffff);
    // The address register keeps what it has and takes only double words.
    out(0xcf8, 0xffffffff, 4);
    ck_assert_uint_eq(in(0xcf8, 4), 0x80fffffc);
    out(0xcf8, 0x00, 1);
    out(0xcfa, 0x0000, 2);
    ck_assert_uint_eq(in(0xcf8, 4), 0x80fffffc);
    ck_assert_uint_eq(in(0xcf8, 1), 0xff);
    // Identity is read-only.
    pci_out(0, 0, 0, 0, 4);
    pci_out(0, 0, 8, 0, 4);
    ck_assert_uint_eq(pci_in(0, 0, 0, 4), 0x12378086);
    ck_assert_uint_eq(pci_in(0, 0, 8, 4) >> 8, 0x060000);
    // Interrupt line is the system's to scribble on.
    pci_out(1, 3, 0x3c, 0xab, 1);
    ck_assert_uint_eq(pci_in(1, 3, 0x3c, 2), 0x01ab);
}
END_TEST

struct toy { u32 reg; };
static u64 toy_read(void *dev, u32 addr, unsigned size)
{
    (void)addr, (void)size;
    return ((struct toy *)dev)->reg;
}
static void toy_write(void *dev, u32 addr, u64 v, unsigned size)
{
    (void)addr, (void)size;
    ((struct toy *)dev)->reg = v;
}
static const struct bus_ops toy_ops = { toy_read, toy_write, 4 };

START_TEST(base_addresses)
{
    struct toy toy = { 0x12345678 };
    struct pci pci;
    struct pci_func f;

    pci_init(&pci, &r->bus, &r->log);
    pci_func_init(&f, "toy", 5 << 3, 0x1234, 0x5678, 0x020000, 1);
    pci_func_bar(&f, 0, BUS_PORT, 32, &toy_ops, &toy);
    pci_func_bar(&f, 1, BUS_MMIO, 4096, &toy_ops, &toy);
    pci_add(&pci, &f);
    pci_reset(&pci);
    pci_address_ops.write(&pci, 0, 0x80002800 | 0x10, 4);
    pci_data_ops.write(&pci, 0, 0xffffffff, 4); // sizing
    ck_assert_uint_eq(pci_data_ops.read(&pci, 0, 4), 0xffffffe1);
    pci_data_ops.write(&pci, 0, 0xc001, 4);
    ck_assert_uint_eq(pci_data_ops.read(&pci, 0, 4), 0xc001);
    ck_assert_uint_eq(in(0xc000, 4), 0xffffffff); // not decoded yet
    pci_address_ops.write(&pci, 0, 0x80002800 | 0x14, 4);
    pci_data_ops.write(&pci, 0, 0xffffffff, 4);
    ck_assert_uint_eq(pci_data_ops.read(&pci, 0, 4), 0xfffff000);
    pci_data_ops.write(&pci, 0, 0xe0000fff, 4);
    pci_address_ops.write(&pci, 0, 0x80002800 | 0x18, 4);
    pci_data_ops.write(&pci, 0, 0xffffffff, 4);
    ck_assert_uint_eq(pci_data_ops.read(&pci, 0, 4), 0); // no third one
    pci_address_ops.write(&pci, 0, 0x80002800 | 0x04, 4);
    pci_data_ops.write(&pci, 0, 0x0003, 2);
    ck_assert_uint_eq(in(0xc000, 4), 0x12345678);
    ck_assert_uint_eq(bus_read(&r->bus, BUS_MMIO, 0xe0000ffc, 4), 0x12345678);
    // It moves while decoded, in pieces too.
    pci_address_ops.write(&pci, 0, 0x80002800 | 0x10, 4);
    pci_data_ops.write(&pci, 1, 0xd0, 1);
    ck_assert_uint_eq(in(0xc000, 4), 0xffffffff);
    ck_assert_uint_eq(in(0xd01c, 4), 0x12345678);
    // Sizing while decoded, and an address where something else is, are harmless.
    pci_data_ops.write(&pci, 0, 0xffffffff, 4);
    pci_data_ops.write(&pci, 0, 0x0041, 4);
    ck_assert_ptr_ne(bus_find(&r->bus, BUS_PORT, 0x40)->dev, &toy);
    pci_data_ops.write(&pci, 0, 0xd001, 4);
    ck_assert_uint_eq(in(0xd000, 4), 0x12345678);
    pci_reset(&pci);
    ck_assert_ptr_null(bus_find(&r->bus, BUS_PORT, 0xd000));
    ck_assert_ptr_null(bus_find(&r->bus, BUS_MMIO, 0xe0000000));
}
END_TEST

START_TEST(shadow_areas)
{
    unsigned before = r->maps;

    pci_out(0, 0, 0x59, 0x10, 1); // F0000-FFFFF: read RAM, write ROM
    ck_assert_uint_eq(r->maps, before + 1);
    ck_assert_uint_eq(r->map[before % 64].base, 0xf0000);
    ck_assert_uint_eq(r->map[before % 64].len, 0x10000);
    ck_assert(r->map[before % 64].read);
    ck_assert(!r->map[before % 64].write);
    pci_out(0, 0, 0x5d, 0x23, 1); // D8000 stays as it is, DC000: write only
    ck_assert_uint_eq(r->maps, before + 2);
    ck_assert_uint_eq(r->map[(before + 1) % 64].base, 0xdc000);
    ck_assert_uint_eq(r->map[(before + 1) % 64].len, 0x4000);
    ck_assert(!r->map[(before + 1) % 64].read);
    ck_assert(r->map[(before + 1) % 64].write);
    pci_out(0, 0, 0x5d, 0x23, 1); // no news
    ck_assert_uint_eq(r->maps, before + 2);
    pci_out(0, 0, 0x59, 0xff, 1);
    ck_assert_uint_eq(pci_in(0, 0, 0x59, 1), 0x70);
    // SMRAM opens and, once locked, does not.
    before = r->maps;
    pci_out(0, 0, 0x72, 0x4a, 1);
    ck_assert_uint_eq(r->map[before % 64].base, 0xa0000);
    ck_assert(r->map[before % 64].read);
    pci_out(0, 0, 0x72, 0x1a, 1);
    ck_assert(!r->map[(before + 1) % 64].read);
    pci_out(0, 0, 0x72, 0x4a, 1);
    ck_assert_uint_eq(r->maps, before + 2);
    ck_assert_uint_eq(pci_in(0, 0, 0x72, 1), 0x1a);
}
END_TEST

START_TEST(firmware_finds_the_chipset_raw)
{
    ck_assert_uint_eq(pci_in(1, 0, 0x60, 4), 0x80808080);
    ck_assert_uint_eq(pci_in(0, 0, 0x59, 1), 0x00);
    ck_assert_uint_eq(pci_in(1, 3, 0x40, 4), 0x00000001);
    ck_assert_uint_eq(in(0x608, 4), 0xffffffff);
    ck_assert_uint_eq(in(0x4d0, 1), 0);
    ck_assert_uint_eq(board_deadline(board), UINT64_MAX);
    // As SeaBIOS does it.
    pci_out(1, 3, 0x40, 0xb001, 4);
    pci_out(1, 3, 0x80, 0x01, 1);
    ck_assert_uint_ne(in(0xb008, 4), 0xffffffff);
    pci_out(1, 3, 0x40, 0x0601, 4);
    ck_assert_uint_eq(in(0xb008, 4), 0xffffffff);
    ck_assert_uint_ne(in(0x608, 4), 0xffffffff);
    pci_out(1, 3, 0x40, 0x0001, 4); // over another chip's ports: refused, and nothing breaks
    pci_out(1, 3, 0x40, 0x03c1, 4);
    ck_assert_uint_eq(in(0x3fd, 1), 0x60);
    board_reset(board);
    ck_assert_uint_eq(in(0x608, 4), 0xffffffff);
}
END_TEST

START_TEST(pirq_routing)
{
    // Boards without firmware have them routed, level-triggered.
    ck_assert_uint_eq(pci_in(1, 0, 0x60, 4), 0x0b0b0a0a);
    ck_assert_uint_eq(in(0x4d1, 1), 0x0e); // 9, 10, 11
    pci_out(1, 0, 0x60, 0xffffffff, 4);
    ck_assert_uint_eq(pci_in(1, 0, 0x60, 4), 0x8f8f8f8f);
    board_reset(board);
    ck_assert_uint_eq(pci_in(1, 0, 0x60, 4), 0x0b0b0a0a);
}
END_TEST

START_TEST(pin_to_pirq)
{
    // Slot 1's INTA# is PIRQA, slot 3's is PIRQC, and pins step on.
    ck_assert_uint_eq(pci_pirq(1, 0), 0);
    ck_assert_uint_eq(pci_pirq(3, 0), 2);
    ck_assert_uint_eq(pci_pirq(3, 2), 0);
    ck_assert_uint_eq(pci_pirq(4, 1), 0);
}
END_TEST

// ---- Power management

START_TEST(pm_timer)
{
    u32 a = in(0x608, 4), b;

    ck_assert_uint_le(a, 0xffffff);
    r->now += 1000000000;
    b = in(0x608, 4);
    ck_assert_uint_eq((b - a) & 0xffffff, 3579545);
    r->now += 60ull * 1000000000;
    ck_assert_uint_eq((in(0x608, 4) - b) & 0xffffff, 60ull * 3579545 & 0xffffff);
    b = in(0x608, 4);
    ck_assert_uint_eq(in(0x608, 2), b & 0xffff);
    ck_assert_uint_eq(in(0x60a, 1), b >> 16);
    out(0x608, 0, 4); // read-only
    ck_assert_uint_eq(in(0x608, 4), b);
}
END_TEST

START_TEST(pm_timer_carry)
{
    u64 start;
    unsigned carries = 0;

    init_pics();
    out(0x21, 0xfb, 1); // only the slave: the interval timer is not meant here
    out(0xb2, 0xf1, 1);
    out(0x600, 0xffff, 2);
    out(0x602, 0x0001, 2);
    start = r->now;
    while (r->now < start + 30000000000ull) {
        u64 due = board_deadline(board);

        r->now = MAX(r->now, due);
        board_poll(board);
        if (!r->intr)
            continue;
        ck_assert_int_eq(board_intr_ack(board), 0x29);
        carries++;
        ck_assert_uint_eq(in(0x600, 2) & 1, 1);
        ck_assert_uint_lt(in(0x608, 4) & 0x7fffff, 1000); // bit 23 has just changed
        out(0x600, 1, 2);
        eoi();
    }
    ck_assert_uint_eq(carries, 12); // every 2.34 s
}
END_TEST

START_TEST(power_button_and_sci)
{
    init_pics();
    out(0x21, 0xfb, 1);
    board_power_button(board); // legacy mode: no SCI
    ck_assert_uint_eq(in(0x600, 2) & 0x100, 0x100);
    ck_assert(!r->intr);
    out(0x602, 0x0100, 2);
    ck_assert(!r->intr);
    ck_assert_uint_eq(in(0x604, 2) & 1, 0);
    out(0xb2, 0xf1, 1); // ACPI mode on
    ck_assert_uint_eq(in(0x604, 2) & 1, 1);
    ck_assert(r->intr);
    ck_assert_int_eq(board_intr_ack(board), 0x29);
    eoi();
    ck_assert(r->intr); // level: until the status is cleared
    out(0x600, 0x0100, 2);
    ck_assert(!r->intr);
    ck_assert_int_eq(board_intr_ack(board), -1);
    out(0xb2, 0xf0, 1);
    ck_assert_uint_eq(in(0x604, 2) & 1, 0);
    ck_assert_uint_eq(in(0xb2, 1), 0xf0);
}
END_TEST

START_TEST(soft_off)
{
    out(0x604, 0x0001, 2);
    out(0x604, 0x0401, 2); // the type alone does nothing
    ck_assert_uint_eq(r->power_offs, 0);
    out(0x604, 0x3c01, 2); // SLP_TYP 7 is nothing
    ck_assert_uint_eq(r->power_offs, 0);
    out(0x604, 0x2001, 2);
    ck_assert_uint_eq(r->power_offs, 1);
    out(0x605, 0x20, 1); // by bytes as well
    ck_assert_uint_eq(r->power_offs, 2);
    ck_assert_uint_eq(in(0x604, 2) & 0x2000, 0); // the bit reads as zero
}
END_TEST

START_TEST(acpi_tables)
{
    static u8 t[16384];
    size_t n = board_acpi_tables(board, 0xe0000, t, sizeof(t));
    static const struct { const char *name; unsigned at; } tables[] = {
        { "RSDT", 32 }, { "FACP", 192 }, { "APIC", 448 }, { "DSDT", 576 },
    };
    u8 sum = 0;

    ck_assert_uint_gt(n, 1000);
    ck_assert_mem_eq(t, "RSD PTR ", 8);
    for (int i = 0; i < 20; i++)
        sum += t[i];
    ck_assert_uint_eq(sum, 0);
    for (unsigned i = 0; i < ARRAY_LEN(tables); i++) {
        u32 len;

        ck_assert_mem_eq(t + tables[i].at, tables[i].name, 4);
        memcpy(&len, t + tables[i].at + 4, 4);
        ck_assert_uint_le(tables[i].at + len, n);
        sum = 0;
        for (u32 k = 0; k < len; k++)
            sum += t[tables[i].at + k];
        ck_assert_uint_eq(sum, 0);
    }
    ck_assert_uint_eq(*(u32 *)(t + 16), 0xe0020);          // RSDP -> RSDT -> FADT -> FACS, DSDT
    ck_assert_uint_eq(*(u32 *)(t + 32 + 36), 0xe00c0);
    ck_assert_uint_eq(*(u32 *)(t + 192 + 36) & 63, 0);
    ck_assert_uint_eq(*(u32 *)(t + 192 + 40), 0xe0240);
    // Too small a place is not overrun, and the need is told.
    u8 *small = malloc(700);
    ck_assert_uint_eq(board_acpi_tables(board, 0xe0000, small, 700), n);
    free(small);
}
END_TEST

// ---- Ways to reset and to leave

START_TEST(resets)
{
    out(0xcf9, 0x02, 1);
    ck_assert_uint_eq(r->resets, 0);
    out(0xcf9, 0x06, 1);
    ck_assert_uint_eq(r->resets, 1);
    out(0x64, 0xfe, 1);
    ck_assert_uint_eq(r->resets, 2);
    out(0x92, 0x03, 1);
    ck_assert_uint_eq(r->resets, 3);
    out(0x92, 0x03, 1); // only the rising edge
    ck_assert_uint_eq(r->resets, 3);
    out(0xcf8, 0x80000600, 4); // an address, not CF9h
    ck_assert_uint_eq(r->resets, 3);
}
END_TEST

START_TEST(a20_gate)
{
    ck_assert(r->a20);
    ck_assert_uint_eq(in(0x92, 1) & 2, 2);
    out(0x92, 0x00, 1);
    ck_assert(!r->a20);
    out(0x64, 0xd1, 1);
    out(0x60, 0xdf, 1);
    ck_assert(r->a20);
    ck_assert_uint_eq(in(0x92, 1) & 2, 2);
    out(0x64, 0xdd, 1);
    ck_assert(!r->a20);
    board_reset(board);
    ck_assert(r->a20);
}
END_TEST

START_TEST(debug_ports)
{
    ck_assert_uint_eq(in(0xe9, 1), 0xe9);
    out(0xe9, 'x', 1);
    ck_assert_uint_eq(r->debug_len, 1);
    ck_assert_int_eq(r->debug[0], 'x');
    out(0x80, 0x42, 1);
    ck_assert_uint_eq(in(0x80, 1), 0x42);
    out(0xf4, 0x1234, 4);
    ck_assert_uint_eq(r->exits, 1);
    ck_assert_uint_eq(r->exit_value, 0x1234);
    out(0xf4, 7, 1);
    ck_assert_uint_eq(r->exit_value, 7);
}
END_TEST

START_TEST(empty_ports)
{
    static const u16 probed[] = { 0x220, 0x2ea, 0x300, 0x3b0, 0xa79,
                                  0xc000, 0xffff };

    for (unsigned i = 0; i < ARRAY_LEN(probed); i++) {
        if (probed[i] == 0x2ea) // COM4 is there
            continue;
        ck_assert_uint_eq(in(probed[i], 1), 0xff);
        out(probed[i], 0xaa, 1);
        ck_assert_uint_eq(in(probed[i], 1), 0xff);
    }
    ck_assert_uint_eq(in(0x300, 4), 0xffffffff);
}
END_TEST

// ---- Wiring

START_TEST(timer_to_cpu)
{
    unsigned ticks = 0;
    u64 start = r->now;

    init_pics();
    out(0x43, 0x34, 1);
    out(0x40, 4773 & 0xff, 1); // 250 Hz
    out(0x40, 4773 >> 8, 1);
    while (r->intr) {
        board_intr_ack(board);
        eoi();
    }
    while (r->now < start + 10000000000ull) {
        r->now = MAX(r->now, board_deadline(board));
        board_poll(board);
        while (r->intr) {
            ck_assert_int_eq(board_intr_ack(board), 0x20);
            ticks++;
            eoi();
        }
    }
    ck_assert_uint_ge(ticks, 2499);
    ck_assert_uint_le(ticks, 2501);
}
END_TEST

START_TEST(shared_serial_lines)
{
    static const u16 base[4] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };

    init_pics();
    out(0x21, 0xe7, 1);
    for (int n = 0; n < 4; n++) {
        out(base[n] + 3, 0x03, 1);
        out(base[n] + 4, 0x0b, 1);
        out(base[n] + 1, 0x02, 1);
        out(base[n], 'a' + n, 1);
        ck_assert_int_eq(r->serial[n][0], 'a' + n);
    }
    ck_assert(r->intr);
    ck_assert_int_eq(board_intr_ack(board), 0x23); // COM2 and COM4
    eoi();
    ck_assert_int_eq(board_intr_ack(board), 0x24); // COM1 and COM3
    eoi();
    ck_assert(!r->intr); // edges: not again while either holds the line
    in(base[0] + 2, 1);
    in(base[2] + 2, 1);
    out(base[0] + 1, 0, 1);
    out(base[0] + 1, 2, 1);
    ck_assert_int_eq(board_intr_ack(board), 0x24);
    ck_assert_uint_eq(board_serial_in(board, 2, (const u8 *)"z", 1), 1);
    ck_assert_uint_eq(in(base[2], 1), 'z');
    ck_assert_uint_eq(board_serial_in(board, 4, (const u8 *)"z", 1), 0);
    ck_assert_uint_eq(board_serial_room(board, -1), 0);
}
END_TEST

START_TEST(coprocessor_error)
{
    init_pics();
    out(0x21, 0xfb, 1);
    board_ferr(board, true);
    ck_assert_int_eq(board_intr_ack(board), 0x2d);
    eoi();
    out(0xf0, 0, 1);
    board_ferr(board, false);
    board_ferr(board, true);
    ck_assert_int_eq(board_intr_ack(board), 0x2d);
}
END_TEST

START_TEST(rtc_alarm_reaches_acpi)
{
    out(0x70, 0x01, 1);
    out(0x71, 0xff, 1);
    out(0x70, 0x03, 1);
    out(0x71, 0xff, 1);
    out(0x70, 0x05, 1);
    out(0x71, 0xff, 1);
    out(0x70, 0x0b, 1);
    out(0x71, 0x22, 1);
    rig_run(r, board, 2000000000);
    ck_assert_uint_eq(in(0x600, 2) & 0x400, 0x400);
}
END_TEST

START_TEST(keys_reach_the_cpu)
{
    init_pics();
    out(0x21, 0xfd, 1);
    board_key(board, 0x1e, true);
    rig_run(r, board, 2000000);
    ck_assert_int_eq(board_intr_ack(board), 0x21);
    ck_assert_uint_eq(in(0x60, 1), 0x1e);
}
END_TEST

START_TEST(printer)
{
    init_pics();
    out(0x21, 0x7f, 1);
    ck_assert_uint_eq(in(0x379, 1) & 0xf8, 0xd8); // ready, selected, no error
    ck_assert_uint_eq(in(0x37a, 1), 0xc4);
    out(0x378, 'p', 1);
    ck_assert_uint_eq(in(0x378, 1), 'p');
    out(0x37a, 0x0d, 1); // strobe
    out(0x37a, 0x0d, 1); // held: not again
    out(0x37a, 0x0c, 1);
    ck_assert_uint_eq(r->parallel_len, 1);
    ck_assert_int_eq(r->parallel[0], 'p');
    ck_assert(!r->intr);
    out(0x37a, 0x1c, 1); // with interrupts
    ck_assert(!r->intr);
    out(0x37a, 0x1d, 1);
    ck_assert_int_eq(board_intr_ack(board), 0x27);
    eoi();
    out(0x37a, 0x3c, 1); // turned round: nobody drives the lines
    ck_assert_uint_eq(in(0x378, 1), 0xff);
}
END_TEST

START_TEST(information_pages)
{
    static const char *const names[] = { "pic", "pci", "irq", "mtree", "timers", "dma", "serial",
                                         "keyboard" };

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        char *text;
        size_t len;
        FILE *f = open_memstream(&text, &len);

        ck_assert(board_info(board, names[i], f));
        fclose(f);
        ck_assert_uint_gt(len, 40);
        if (!strcmp(names[i], "mtree"))
            ck_assert_ptr_nonnull(strstr(text, "03f8-03ff com1"));
        free(text);
    }
    ck_assert(!board_info(board, "nothing", stderr));
}
END_TEST

START_TEST(overlap_is_refused)
{
    struct board_config config = { .ram_size = 64 << 20, .debug_exit_base = 0x60,
                                   .debug_exit_size = 4 };
    struct rig *other = rig_new();
    struct err err;

    ck_assert_ptr_null(board_create(&config, &other->host, &other->bus, &other->log, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "isa-debug-exit"));
    ck_assert_uint_eq(other->bus.count[BUS_PORT], 0);
    rig_free(other);
}
END_TEST

// ---- Any access at all

START_TEST(random_accesses)
{
    srand(_i);
    for (int op = 0; op < 40000; op++) {
        const struct bus_range *range;
        u16 port = rand();
        unsigned size = 1u << rand() % 3;

        if (rand() % 8) { // mostly where there is something
            range = &r->bus.range[BUS_PORT][rand() % r->bus.count[BUS_PORT]];
            port = range->base + rand() % range->len;
        }
        if (rand() % 2)
            out(port, rand() % 4 ? (u32)rand() : (u32)rand() << 1 & 0x8000ffff, size);
        else
            in(port, size);
        if (rand() % 16 == 0) {
            r->now += rand() % 8 ? rand() % 2000000u : rand() * 10ull;
            board_poll(board);
        }
        if (rand() % 8 == 0 && r->intr)
            board_intr_ack(board);
        if (rand() % 64 == 0)
            board_key(board, rand(), rand() & 1);
        if (rand() % 64 == 0)
            board_serial_in(board, rand() % 4, (const u8 *)"abcdefghijklmnopqrstuvwxyz", 26);
        if (rand() % 2000 == 0)
            board_reset(board);
        if (rand() % 4000 == 0) {
            char *text;
            size_t len;
            FILE *f = open_memstream(&text, &len);

            board_info(board, "pci", f);
            board_info(board, "timers", f);
            fclose(f);
            free(text);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("board");
    TCase *t = tcase_create("board"), *raw = tcase_create("firmware");

    tcase_set_timeout(t, 60);
    tcase_set_timeout(raw, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, configuration_mechanism);
    tcase_add_test(t, base_addresses);
    tcase_add_test(t, shadow_areas);
    tcase_add_test(t, pirq_routing);
    tcase_add_test(t, pin_to_pirq);
    tcase_add_test(t, pm_timer);
    tcase_add_test(t, pm_timer_carry);
    tcase_add_test(t, power_button_and_sci);
    tcase_add_test(t, soft_off);
    tcase_add_test(t, acpi_tables);
    tcase_add_test(t, resets);
    tcase_add_test(t, a20_gate);
    tcase_add_test(t, debug_ports);
    tcase_add_test(t, empty_ports);
    tcase_add_test(t, timer_to_cpu);
    tcase_add_test(t, shared_serial_lines);
    tcase_add_test(t, coprocessor_error);
    tcase_add_test(t, rtc_alarm_reaches_acpi);
    tcase_add_test(t, keys_reach_the_cpu);
    tcase_add_test(t, printer);
    tcase_add_test(t, information_pages);
    tcase_add_test(t, overlap_is_refused);
    tcase_add_loop_test(t, random_accesses, 0, 12);
    tcase_add_checked_fixture(raw, setup_firmware, teardown);
    tcase_add_test(raw, firmware_finds_the_chipset_raw);
    suite_add_tcase(s, t);
    suite_add_tcase(s, raw);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
