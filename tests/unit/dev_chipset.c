// SPDX-License-Identifier: GPL-2.0-or-later
// 82441FX and 82371SB: what of the first megabyte is RAM, where PCI interrupts go, the reset control register.
#include "disk_rig.h"

#include "monitor/dev/board_impl.h"

static struct rig *r;
static struct board *board;

static void setup(void)
{
    struct board_config config = { .ram_size = 96 << 20, .debug_exit_base = -1, .serial_ports = 1, .firmware = true };

    r = rig_new();
    r->host.parallel_out = NULL; // LPT1's line rests high
    board = rig_board(r, &config);
}

static void teardown(void)
{
    board_destroy(board);
    rig_free(r);
}

static void select_register(unsigned devfn, unsigned at) { rig_out32(r, 0xcf8, 1u << 31 | devfn << 8 | (at & ~3u)); }
static u32 config_in(unsigned devfn, unsigned at, unsigned size)
{
    select_register(devfn, at);
    return (u32)bus_read(&r->bus, BUS_PORT, 0xcfc + (at & 3), size);
}
static void config_out(unsigned devfn, unsigned at, u32 value, unsigned size)
{
    select_register(devfn, at);
    bus_write(&r->bus, BUS_PORT, 0xcfc + (at & 3), value, size);
}
#define HOST_BRIDGE 0
#define ISA_BRIDGE 8

// ---- 82441FX

START_TEST(identity)
{
    static const struct { unsigned devfn, at; u32 value; } registers[] = {
        { HOST_BRIDGE, 0x00, 0x12378086 }, { HOST_BRIDGE, 0x08, 0x06000002 }, { HOST_BRIDGE, 0x0c, 0 },
        { ISA_BRIDGE, 0x00, 0x70008086 }, { ISA_BRIDGE, 0x08, 0x06010000 }, { ISA_BRIDGE, 0x0c, 0x00800000 },
        { ISA_BRIDGE, 0x10, 0 }, { HOST_BRIDGE, 0x10, 0 },
    };

    for (unsigned i = 0; i < ARRAY_LEN(registers); i++) {
        ck_assert_uint_eq(config_in(registers[i].devfn, registers[i].at, 4), registers[i].value);
        config_out(registers[i].devfn, registers[i].at, registers[i].at == 0x0c ? 0 : ~registers[i].value, 4);
        ck_assert_uint_eq(config_in(registers[i].devfn, registers[i].at, 4), registers[i].value);
    }
    ck_assert_uint_eq(config_in(HOST_BRIDGE, 4, 2) & 6, 6); // memory and bus master: fixed
    config_out(HOST_BRIDGE, 4, 0, 2);
    ck_assert_uint_eq(config_in(HOST_BRIDGE, 4, 2) & 6, 6);
    for (unsigned n = 0; n < 8; n++)
        ck_assert_uint_eq(config_in(HOST_BRIDGE, 0x60 + n, 1), 96 / 8);
}
END_TEST

// What the PAM registers say of a place, 3 bits of registers 59h to 5Fh: the data sheet's table.
static void pam_place(unsigned area, unsigned *reg, unsigned *shift, u32 *base, u32 *len)
{
    *reg = area == 0 ? 0x59 : 0x5a + (area - 1) / 2;
    *shift = area == 0 ? 4 : (area - 1) % 2 * 4;
    *base = area == 0 ? 0xf0000 : 0xc0000 + (area - 1) * 0x4000;
    *len = area == 0 ? 0x10000 : 0x4000;
}

START_TEST(shadow_memory)
{
    for (unsigned area = 0; area < 13; area++) {
        unsigned reg, shift;
        u32 base, len;

        pam_place(area, &reg, &shift, &base, &len);
        for (unsigned value = 4; value-- > 0;) {
            unsigned before = r->maps;

            config_out(HOST_BRIDGE, reg, value << shift, 1);
            if (value == 3)
                before = r->maps - 1; // from 0, or again
            ck_assert_uint_eq(r->maps, before + 1);
            ck_assert_uint_eq(r->map[before % 64].base, base);
            ck_assert_uint_eq(r->map[before % 64].len, len);
            ck_assert(r->map[before % 64].read == (value & 1) && r->map[before % 64].write == (value >> 1));
            ck_assert_uint_eq(config_in(HOST_BRIDGE, reg, 1), value << shift);
        }
    }
    // All of them at once, in double words that reach over other registers; and a reset.
    r->maps = 0;
    config_out(HOST_BRIDGE, 0x58, 0xffffff00 | config_in(HOST_BRIDGE, 0x58, 1), 4);
    config_out(HOST_BRIDGE, 0x5c, 0xffffffff, 4);
    ck_assert_uint_eq(r->maps, 13);
    ck_assert_uint_eq(config_in(HOST_BRIDGE, 0x5c, 4), 0x77777777);
    ck_assert_uint_eq(config_in(HOST_BRIDGE, 0x59, 1), 0x70);
    board_reset(board);
    ck_assert_uint_eq(r->maps, 26);
    ck_assert_uint_eq(config_in(HOST_BRIDGE, 0x5c, 4), 0);
}
END_TEST

START_TEST(smram)
{
    ck_assert_uint_eq(config_in(HOST_BRIDGE, 0x72, 1), 0x02);
    config_out(HOST_BRIDGE, 0x72, 0x4a, 1);
    ck_assert(r->map[(r->maps - 1) % 64].base == 0xa0000 && r->map[(r->maps - 1) % 64].read);
    config_out(HOST_BRIDGE, 0x72, 0x1a, 1); // closed and locked
    ck_assert(!r->map[(r->maps - 1) % 64].read);
    config_out(HOST_BRIDGE, 0x72, 0x4a, 1);
    config_out(HOST_BRIDGE, 0x70, 0xffffffff, 4);
    ck_assert_uint_eq(config_in(HOST_BRIDGE, 0x72, 1) & 0x50, 0x10);
    board_reset(board);
    ck_assert_uint_eq(config_in(HOST_BRIDGE, 0x72, 1), 0x02);
}
END_TEST

// ---- 82371SB: interrupts

static struct pci_func card[2];

// A card with an interrupt pin in each of two slots.
static void plug_cards(unsigned slot0, u8 pin0, unsigned slot1, u8 pin1)
{
    pci_func_init(&card[0], "card", slot0 << 3, 0x1234, 1, 0xff0000, 0);
    pci_func_init(&card[1], "card", slot1 << 3, 0x1234, 2, 0xff0000, 0);
    pci_func_pin(&card[0], pin0);
    pci_func_pin(&card[1], pin1);
    for (unsigned n = 0; n < 2; n++) {
        board->pci.func[card[n].devfn] = NULL;
        pci_add(&board->pci, &card[n]);
    }
}

// Requests as the 8259s have them, all lines that can be level-triggered.
static u16 requests(void)
{
    rig_out(r, 0x20, 0x0a);
    rig_out(r, 0xa0, 0x0a);
    return (u16)(rig_in(r, 0xa0) << 8 | rig_in(r, 0x20)) & (u16)~4; // without the cascade
}

static void init_pics(void)
{
    static const u8 words[2][4] = { { 0x11, 0x20, 0x04, 0x01 }, { 0x11, 0x28, 0x02, 0x01 } };

    rig_out(r, 0x4d0, 0xf8);
    rig_out(r, 0x4d1, 0xde);
    for (unsigned n = 0; n < 2; n++)
        for (unsigned i = 0; i < 4; i++)
            rig_out(r, (n ? 0xa0 : 0x20) + !!i, words[n][i]);
}

static bool routable(unsigned line) { return line > 2 && line != 8 && line != 13; }

START_TEST(routes)
{
    init_pics();
    for (unsigned slot = 9; slot < 13; slot++)
        for (u8 pin = 1; pin <= 4; pin++) {
            unsigned pirq = (slot - 1 + pin - 1) % 4;

            plug_cards(slot, pin, 20, 1);
            pci_intx(&card[0], true);
            for (unsigned value = 0; value < 256; value += 1 + (value & 8)) {
                config_out(ISA_BRIDGE, 0x60, 0x80808080, 4);
                ck_assert_uint_eq(requests(), 0);
                config_out(ISA_BRIDGE, 0x60 + pirq, value, 1);
                ck_assert_uint_eq(config_in(ISA_BRIDGE, 0x60 + pirq, 1), value & 0x8f);
                ck_assert_uint_eq(requests(), value & 0x80 || !routable(value & 15) ? 0 : 1u << (value & 15));
            }
            pci_intx(&card[0], false);
            board->pci.func[card[0].devfn] = board->pci.func[card[1].devfn] = NULL;
        }
}
END_TEST

START_TEST(shared_wires)
{
    init_pics();
    plug_cards(9, 1, 10, 4); // both at PIRQA
    config_out(ISA_BRIDGE, 0x60, 0x8080800b, 4);
    pci_intx(&card[0], true);
    pci_intx(&card[1], true);
    pci_intx(&card[0], false);
    ck_assert_uint_eq(requests(), 1 << 11); // while any of them asks
    ck_assert_uint_eq(config_in(card[1].devfn, 6, 2) & 8, 8);
    ck_assert_uint_eq(config_in(card[0].devfn, 6, 2) & 8, 0);
    pci_intx(&card[1], false);
    ck_assert_uint_eq(requests(), 0);
    // Two wires on one line.
    plug_cards(9, 1, 10, 1);
    config_out(ISA_BRIDGE, 0x60, 0x80800505, 4);
    pci_intx(&card[0], true);
    pci_intx(&card[1], true);
    config_out(ISA_BRIDGE, 0x60, 0x80, 1);
    ck_assert_uint_eq(requests(), 1 << 5);
    config_out(ISA_BRIDGE, 0x61, 0x09, 1); // moved while asserted
    ck_assert_uint_eq(requests(), 1 << 9);
    // The function's own switch.
    config_out(card[1].devfn, 4, 0x400, 2);
    ck_assert_uint_eq(requests(), 0);
    ck_assert_uint_eq(config_in(card[1].devfn, 6, 2) & 8, 8); // still pending
    config_out(card[1].devfn, 4, 0, 2);
    ck_assert_uint_eq(requests(), 1 << 9);
    // With an ISA device: COM1's line, which is edge-triggered then.
    pci_intx(&card[0], false);
    config_out(ISA_BRIDGE, 0x60, 0x80808004, 4);
    rig_out(r, 0x4d0, 0);
    rig_out(r, 0x3fc, 0x08);
    rig_out(r, 0x3f9, 0x02);
    pci_intx(&card[0], true);
    ck_assert_uint_eq(requests() & 1 << 4, 1 << 4);
    rig_in(r, 0x3fa);
    ck_assert_uint_eq(requests() & 1 << 4, 1 << 4); // PCI holds it
    pci_intx(&card[0], false);
    ck_assert_uint_eq(requests() & 1 << 4, 0);
    // Reset: nothing asserted, nothing routed.
    pci_intx(&card[1], true);
    board_reset(board);
    init_pics();
    ck_assert_uint_eq(config_in(ISA_BRIDGE, 0x60, 4), 0x80808080);
    config_out(ISA_BRIDGE, 0x60, 0x0b0b0b0b, 4);
    ck_assert_uint_eq(requests(), 0);
    board->pci.func[card[0].devfn] = board->pci.func[card[1].devfn] = NULL;
}
END_TEST

// ---- Reset control

START_TEST(reset_control)
{
    ck_assert_uint_eq(rig_in(r, 0xcf9), 0);
    for (unsigned value = 0; value < 256; value++) {
        unsigned before = r->resets;

        rig_out(r, 0xcf9, 0);
        rig_out(r, 0xcf9, value);
        // Bit 2 going from 0 to 1 resets, soft or hard by bit 1.
        ck_assert_uint_eq(r->resets, before + !!(value & 4));
        ck_assert_uint_eq(rig_in(r, 0xcf9), value & 6);
        rig_out(r, 0xcf9, value);
        ck_assert_uint_eq(r->resets, before + !!(value & 4));
    }
    // It stands inside the PCI address register, which takes double words alone.
    rig_out32(r, 0xcf8, 0x80000600);
    rig_out(r, 0xcf9, 0);
    ck_assert_uint_eq(rig_in32(r, 0xcf8), 0x80000600);
    rig_out(r, 0xcf9, 2);
    board_reset(board);
    ck_assert_uint_eq(rig_in(r, 0xcf9), 0);
    ck_assert_uint_eq(rig_in32(r, 0xcf8), 0);
}
END_TEST

static unsigned inits;
static void count_init(void *opaque) { (void)opaque, inits++; }

// INIT, and not a reset, where the CMOS says that a program will be come back to; a hard reset stays one.
START_TEST(ways_back)
{
    struct board_config config = { .ram_size = 96 << 20, .debug_exit_base = -1, .serial_ports = 1, .firmware = true };
    struct rig *other = rig_new();
    struct board *b;

    other->host.init = count_init;
    b = rig_board(other, &config);
    inits = 0;
    for (unsigned code = 0; code < 16; code++) {
        unsigned resets = other->resets, before = inits;
        bool back = code == 5 || (code >= 9 && code <= 12);

        rig_out(other, 0x70, 0x8f);
        rig_out(other, 0x71, code);
        rig_out(other, 0x64, 0xfe);
        rig_out(other, 0x92, 0x02);
        rig_out(other, 0x92, 0x03);
        rig_out(other, 0xcf9, 0x00);
        rig_out(other, 0xcf9, 0x04);
        ck_assert_uint_eq(inits - before, back ? 3 : 0);
        ck_assert_uint_eq(other->resets - resets, back ? 0 : 3);
        rig_out(other, 0xcf9, 0x02);
        rig_out(other, 0xcf9, 0x06);
        ck_assert_uint_eq(other->resets - resets, back ? 1 : 4);
    }
    board_destroy(b);
    rig_free(other);
}
END_TEST

START_TEST(nonsense)
{
    srand(_i);
    for (unsigned n = 0; n < 30000; n++) {
        unsigned devfn = rand() & 1 ? HOST_BRIDGE : ISA_BRIDGE, at = rand() & 0xff, size = 1u << rand() % 3;
        u32 identity = config_in(devfn, 0, 4);

        config_out(devfn, at, (u32)rand() << 1 ^ (u32)rand(), size);
        ck_assert_uint_eq(config_in(devfn, 0, 4), identity);
        ck_assert_uint_eq(config_in(ISA_BRIDGE, 0x60, 4) & 0x70707070, 0);
        if (rand() % 100 == 0)
            board_reset(board);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chipset");
    TCase *tc = tcase_create("chipset");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, identity);
    tcase_add_test(tc, shadow_memory);
    tcase_add_test(tc, smram);
    tcase_add_test(tc, routes);
    tcase_add_test(tc, shared_wires);
    tcase_add_test(tc, reset_control);
    tcase_add_test(tc, ways_back);
    tcase_add_loop_test(tc, nonsense, 0, 2);
    suite_add_tcase(suite, tc);
    return run_tests(srunner_create(suite));
}
