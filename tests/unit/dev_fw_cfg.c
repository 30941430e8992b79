// SPDX-License-Identifier: GPL-2.0-or-later
// fw_cfg by its ports and by DMA, as QEMU's specification has it, and what the board puts into it.
#include "disk_rig.h"

#include "monitor/dev/fw_cfg.h"

#define SELECTOR 0x510
#define DATA 0x511
#define DMA 0x514

static struct rig *r;
static struct fw_cfg fw;
static const char item[] = "an item of some bytes";

static void setup(void)
{
    struct err err;

    r = rig_new();
    fw_cfg_init(&fw, &r->host);
    ck_assert(bus_add(&r->bus, BUS_PORT, SELECTOR, 2, &fw_cfg_ops, &fw, "fw_cfg", &err));
    ck_assert(bus_add(&r->bus, BUS_PORT, DMA, 8, &fw_cfg_dma_ops, &fw, "fw_cfg dma", &err));
    ck_assert(fw_cfg_file(&fw, "opt/item", item, sizeof(item)));
}

static void teardown(void)
{
    fw_cfg_destroy(&fw);
    rig_free(r);
}

static void read_item(u16 key, void *buf, size_t len)
{
    rig_out16(r, SELECTOR, key);
    for (size_t i = 0; i < len; i++)
        ((u8 *)buf)[i] = rig_in(r, DATA);
}

static u32 be32(const u8 *p) { return (u32)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]; }

// The key of a file in the directory, and its length.
static u16 find_file(const char *name, u32 *len)
{
    u8 number[4], entry[64];

    rig_out16(r, SELECTOR, FW_CFG_DIRECTORY);
    for (unsigned i = 0; i < 4; i++)
        number[i] = rig_in(r, DATA);
    for (u32 n = be32(number); n > 0; n--) {
        for (unsigned i = 0; i < 64; i++)
            entry[i] = rig_in(r, DATA);
        if (strcmp((char *)entry + 8, name) == 0) {
            *len = be32(entry);
            return entry[4] << 8 | entry[5];
        }
    }
    ck_abort_msg("no file %s", name);
    return 0;
}

// ---- Ports

START_TEST(signature_and_id)
{
    u8 bytes[8];

    read_item(FW_CFG_SIGNATURE, bytes, 5);
    ck_assert_mem_eq(bytes, "QEMU", 5); // and zeroes behind it
    read_item(FW_CFG_ID, bytes, 4);
    ck_assert_mem_eq(bytes, "\3\0\0", 4);
    read_item(0x7fff, bytes, 4); // no such item
    ck_assert_mem_eq(bytes, "\0\0\0", 4);
    read_item(FW_CFG_SIGNATURE, bytes, 2);
    rig_out(r, SELECTOR, 0x01); // only words select
    rig_out(r, DATA, 0x01);
    ck_assert_uint_eq(rig_in(r, DATA), 'M');
    rig_out16(r, SELECTOR, FW_CFG_SIGNATURE); // from its start again
    ck_assert_uint_eq(rig_in(r, DATA), 'Q');
    ck_assert_uint_eq(rig_in(r, SELECTOR), 0xff);
    fw_cfg_reset(&fw);
    ck_assert_uint_eq(rig_in(r, DATA), 'Q');
}
END_TEST

START_TEST(files)
{
    u8 bytes[sizeof(item) + 4];
    u32 len;
    u16 key = find_file("opt/item", &len);

    ck_assert_uint_ge(key, FW_CFG_FIRST_FILE);
    ck_assert_uint_eq(len, sizeof(item));
    read_item(key, bytes, sizeof(bytes));
    ck_assert_mem_eq(bytes, item, sizeof(item));
    ck_assert_mem_eq(bytes + sizeof(item), "\0\0\0", 4);
    // Another content under the same key; shorter than what was read already.
    rig_out16(r, SELECTOR, key);
    for (unsigned i = 0; i < 10; i++)
        rig_in(r, DATA);
    ck_assert(fw_cfg_file(&fw, "opt/item", "new", 3));
    ck_assert_uint_eq(rig_in(r, DATA), 0);
    ck_assert_uint_eq(find_file("opt/item", &len), key);
    ck_assert_uint_eq(len, 3);
    ck_assert(fw_cfg_file_number(&fw, "opt/number", 0x123456, 4));
    ck_assert_uint_ne(find_file("opt/number", &len), key);
    fw_cfg_remove(&fw, "opt/item");
    rig_out16(r, SELECTOR, key);
    ck_assert_uint_eq(rig_in(r, DATA), 0);
    read_item(find_file("opt/number", &len), bytes, 4);
    ck_assert_mem_eq(bytes, "\x56\x34\x12", 4);
    ck_assert(!fw_cfg_file(&fw, "a name that is longer than the directory's fifty-six characters", "", 0));
    for (unsigned n = 0; n < 2 * FW_CFG_ITEMS; n++) { // no more than there is room for
        char name[16];

        snprintf(name, sizeof(name), "f%u", n);
        fw_cfg_file(&fw, name, name, 2);
    }
    ck_assert_uint_eq(fw.count, FW_CFG_ITEMS);
    find_file("opt/number", &len);
}
END_TEST

// ---- DMA

enum { ERROR = 1, READ = 2, SKIP = 4, SELECT = 8, WRITE = 16 };

static void put_be(u32 at, u64 value, unsigned size)
{
    while (size--) {
        r->mem[at + size] = (u8)value;
        value >>= 8;
    }
}

// A command at 4000h; returns the control word that is left there.
static u32 dma(u32 control, u32 len, u64 to)
{
    put_be(0x4000, control, 4);
    put_be(0x4004, len, 4);
    put_be(0x4008, to, 8);
    rig_out32(r, DMA, 0);
    rig_out32(r, DMA + 4, __builtin_bswap32(0x4000));
    return be32(r->mem + 0x4000);
}

START_TEST(dma_reads)
{
    u32 len, key = find_file("opt/item", &len);

    ck_assert_uint_eq(rig_in32(r, DMA), 0x554d4551); // "QEMU CFG"
    ck_assert_uint_eq(rig_in32(r, DMA + 4), 0x47464320);
    memset(r->mem + 0x8000, 0xee, 64);
    ck_assert_uint_eq(dma(key << 16 | SELECT | READ, 7, 0x8000), 0);
    ck_assert_mem_eq(r->mem + 0x8000, item, 7);
    ck_assert_uint_eq(r->mem[0x8007], 0xee);
    ck_assert_uint_eq(dma(READ, 3, 0x8010), 0); // goes on
    ck_assert_mem_eq(r->mem + 0x8010, item + 7, 3);
    ck_assert_uint_eq(rig_in(r, DATA), (u8)item[10]); // both ways share the place
    ck_assert_uint_eq(dma(SKIP, 2, 0), 0);
    ck_assert_uint_eq(dma(READ, 40, 0x8010), 0); // zeroes behind its end
    ck_assert_mem_eq(r->mem + 0x8010, item + 13, sizeof(item) - 13);
    ck_assert_uint_eq(r->mem[0x8010 + 39], 0);
    ck_assert_uint_eq(r->mem[0x8010 + 40], 0xee);
    ck_assert_uint_eq(dma(key << 16 | SELECT, 0, 0), 0);
    ck_assert_uint_eq(rig_in(r, DATA), (u8)item[0]);
    // Nothing can be written.
    ck_assert_uint_eq(dma(key << 16 | SELECT | WRITE, 4, 0x8000), ERROR);
    ck_assert_uint_eq(dma(READ, 4, 0x8000), 0);
    ck_assert_mem_eq(r->mem + 0x8000, item, 4);
    ck_assert_uint_eq(dma(0, 1, 0x8000), 0); // nothing to do
}
END_TEST

START_TEST(dma_register)
{
    u32 len, key = find_file("opt/item", &len);

    dma(key << 16 | SELECT, 0, 0);
    put_be(0x4000, READ, 4);
    put_be(0x4004, 1, 4);
    // The lower half starts it, in one piece; after that the upper half is zero again.
    rig_out32(r, DMA, __builtin_bswap32(1));
    rig_out(r, DMA + 4, 0);
    rig_out16(r, DMA + 4, 0x40);
    rig_out(r, DMA + 7, 0);
    ck_assert_uint_eq(be32(r->mem + 0x4000), READ);
    r->dma_last = 0;
    rig_out32(r, DMA + 4, __builtin_bswap32(0x4000));
    ck_assert_uint_eq(r->dma_last, 0x100004000);
    put_be(0x4000, READ, 4);
    rig_out32(r, DMA + 4, __builtin_bswap32(0x4000));
    ck_assert_uint_eq(r->dma_last, 0x4000);
    rig_out32(r, DMA, __builtin_bswap32(1));
    fw_cfg_reset(&fw);
    rig_out32(r, DMA + 4, __builtin_bswap32(0x4000));
    ck_assert_uint_eq(r->dma_last, 0x4000);
}
END_TEST

// Memory that ends at 1 MiB, as a machine's; counts what was asked for beyond.
static unsigned beyond;

static void small_write(void *opaque, u64 gpa, const void *buf, size_t len)
{
    struct rig *rig = opaque;

    ck_assert_uint_le(len, 4096);
    beyond += gpa >= sizeof(rig->mem) || gpa + len > sizeof(rig->mem);
    for (size_t i = 0; i < len; i++)
        if (gpa + i < sizeof(rig->mem))
            rig->mem[gpa + i] = ((const u8 *)buf)[i];
}

START_TEST(hostile_dma)
{
    static const u64 places[] = { 0, 0xffff0, 0xfffff, 0x100000, 0xfffffff0, 0xffffffff, 0x100000000, 1ull << 52,
                                  0x7fffffffffffffff, 0xfffffffffffffff0, 0xffffffffffffffff };
    static const u32 lengths[] = { 0, 1, 4096, 0x100000, 0x7fffffff, 0xffffffff };
    u32 len, key = find_file("opt/item", &len);

    r->host.dma_write = small_write;
    for (unsigned p = 0; p < ARRAY_LEN(places); p++)
        for (unsigned n = 0; n < ARRAY_LEN(lengths); n++) {
            beyond = 0;
            dma(key << 16 | SELECT | READ, lengths[n], places[p]);
            ck_assert_uint_le(beyond, 300); // an endless length is no endless work
            dma(key << 16 | SELECT | SKIP, lengths[n], places[p]);
            dma(key << 16 | SELECT | WRITE, lengths[n], places[p]);
        }
    // The command itself anywhere.
    for (unsigned p = 0; p < ARRAY_LEN(places); p++) {
        rig_out32(r, DMA, __builtin_bswap32((u32)(places[p] >> 32)));
        rig_out32(r, DMA + 4, __builtin_bswap32((u32)places[p]));
    }
    // An item that is read over its own command.
    dma(FW_CFG_DIRECTORY << 16 | SELECT | READ, 0x100, 0x4000 - 8);
    rig_out16(r, SELECTOR, FW_CFG_SIGNATURE);
    ck_assert_uint_eq(rig_in(r, DATA), 'Q');
    // Without DMA in the machine nothing happens.
    r->host.dma_read = NULL;
    dma(key << 16 | SELECT | READ, 4, 0x8000);
    rig_out32(r, DMA + 4, 0);
}
END_TEST

START_TEST(nonsense)
{
    srand(_i);
    for (unsigned n = 0; n < 30000; n++) {
        u16 port = SELECTOR + rand() % 12;
        unsigned size = 1u << rand() % 3;

        if (rand() % 4 == 0)
            put_be(rand() & 0xffff, (u64)rand() << 32 | (u32)rand(), 8);
        if (rand() % 2)
            bus_write(&r->bus, BUS_PORT, port, rand() % 3 ? (u32)rand() & 0xff00007f : (u32)rand(), size);
        else
            bus_read(&r->bus, BUS_PORT, port, size);
    }
}
END_TEST

// ---- What the board says through it

static u8 *file(const char *name, u32 *len)
{
    u16 key = find_file(name, len);
    u8 *data = malloc(*len + 1u);

    read_item(key, data, *len);
    return data;
}

static u8 sum(const u8 *p, size_t len)
{
    u8 s = 0;

    while (len--)
        s += *p++;
    return s;
}

// Carries the table loader's script out as firmware does; the tables must be sound then.
static void check_tables(void)
{
    u32 script_len, tables_len, rsdp_len, at, entries;
    u8 *script = file("etc/table-loader", &script_len), *tables = file("etc/acpi/tables", &tables_len);
    u8 *rsdp = file("etc/acpi/rsdp", &rsdp_len);
    const u32 base = 0x7fe0000;
    bool apic = false;

    ck_assert_uint_eq(script_len % 128, 0);
    for (const u8 *e = script; e < script + script_len; e += 128) {
        bool in_rsdp = strcmp((const char *)e + 4, "etc/acpi/rsdp") == 0;
        u8 *target = in_rsdp ? rsdp : tables;
        u32 limit = in_rsdp ? rsdp_len : tables_len, w[3], value;

        ck_assert(in_rsdp || strcmp((const char *)e + 4, "etc/acpi/tables") == 0);
        memcpy(w, e + 60, 12);
        switch (e[0]) {
        case 1: // allocate
            ck_assert_uint_eq(e[64], in_rsdp ? 2 : 1);
            break;
        case 2: // add a pointer
            memcpy(&at, e + 116, 4);
            ck_assert_uint_le(at + e[120], limit);
            memcpy(&value, target + at, 4);
            ck_assert_uint_lt(value, tables_len);
            value += base;
            memcpy(target + at, &value, 4);
            break;
        case 3: // a checksum
            ck_assert(w[1] + w[2] <= limit && w[0] >= w[1] && w[0] < w[1] + w[2]);
            target[w[0]] -= sum(target + w[1], w[2]);
            break;
        default:
            ck_abort_msg("entry %u", e[0]);
        }
    }
    ck_assert_uint_eq(sum(rsdp, 20), 0);
    memcpy(&at, rsdp + 16, 4);
    at -= base;
    memcpy(&entries, tables + at + 4, 4);
    ck_assert_mem_eq(tables + at, "RSDT", 4);
    ck_assert_uint_eq(sum(tables + at, entries), 0);
    for (u32 n = 36; n < entries; n += 4) {
        u32 table, len;

        memcpy(&table, tables + at + n, 4);
        table -= base;
        ck_assert_uint_le(table + 36, tables_len);
        memcpy(&len, tables + table + 4, 4);
        ck_assert_uint_le(table + len, tables_len);
        ck_assert_uint_eq(sum(tables + table, len), 0);
        apic |= memcmp(tables + table, "APIC", 4) == 0;
    }
    ck_assert(apic);
    free(script);
    free(tables);
    free(rsdp);
}

static void check_smbios(void)
{
    u32 anchor_len, len;
    u8 *anchor = file("etc/smbios/smbios-anchor", &anchor_len), *tables = file("etc/smbios/smbios-tables", &len);
    bool seen[128] = { false };
    unsigned count = 0;
    u16 total, structures;

    ck_assert_uint_eq(anchor_len, 31);
    ck_assert_mem_eq(anchor, "_SM_", 4);
    ck_assert_mem_eq(anchor + 16, "_DMI_", 5);
    ck_assert_uint_eq(sum(anchor, 31), 0);
    ck_assert_uint_eq(sum(anchor + 16, 15), 0);
    memcpy(&total, anchor + 22, 2);
    memcpy(&structures, anchor + 28, 2);
    ck_assert_uint_eq(total, len);
    for (u32 at = 0; at < len; count++) {
        u32 next = at + tables[at + 1];

        seen[tables[at] & 127] = true;
        while (next + 1 < len && (tables[next] || tables[next + 1])) // its strings
            next++;
        at = next + 2;
        ck_assert_uint_le(at, len);
    }
    ck_assert_uint_eq(count, structures);
    // BIOS, system, enclosure, processor, memory array and device, mapped address, end: what version 2 asks for.
    ck_assert(seen[0] && seen[1] && seen[3] && seen[4] && seen[16] && seen[17] && seen[19] && seen[127]);
    free(anchor);
    free(tables);
}

START_TEST(of_the_board)
{
    struct board_config config = { .ram_size = 128 << 20, .debug_exit_base = -1, .serial_ports = 1, .apic = true,
                                   .firmware = true, .boot_menu = true, .boot_menu_wait_ms = 1234 };
    struct board *board;
    u64 number = 0;
    u8 *map;
    u32 len;

    bus_remove(&r->bus, BUS_PORT, SELECTOR, &fw);
    bus_remove(&r->bus, BUS_PORT, DMA, &fw);
    board = rig_board(r, &config);
    read_item(FW_CFG_RAM_SIZE, &number, 8);
    ck_assert_uint_eq(number, 128 << 20);
    read_item(FW_CFG_CPUS, &number, 2);
    ck_assert_uint_eq(number & 0xffff, 1);
    read_item(FW_CFG_BOOT_MENU, &number, 2);
    ck_assert_uint_eq(number & 0xffff, 1);
    map = file("etc/boot-menu-wait", &len);
    ck_assert(len == 2 && (map[0] | map[1] << 8) == 1234);
    free(map);
    map = file("etc/e820", &len);
    ck_assert_uint_eq(len % 20, 0);
    memcpy(&number, map + 8, 8);
    ck_assert_uint_eq(number, 128 << 20);
    free(map);
    check_tables();
    check_smbios();
    // Boot order, equipment and floppy drives are in the CMOS, with its checksum.
    rig_out(r, 0x70, 0x3d);
    ck_assert_uint_eq(rig_in(r, 0x71), 0x12); // c, then a
    board_destroy(board);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fw_cfg");
    TCase *tc = tcase_create("fw_cfg");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, signature_and_id);
    tcase_add_test(tc, files);
    tcase_add_test(tc, dma_reads);
    tcase_add_test(tc, dma_register);
    tcase_add_test(tc, hostile_dma);
    tcase_add_loop_test(tc, nonsense, 0, 3);
    tcase_add_test(tc, of_the_board);
    suite_add_tcase(suite, tc);
    return run_tests(srunner_create(suite));
}
