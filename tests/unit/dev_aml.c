// SPDX-License-Identifier: GPL-2.0-or-later
// The writer of ACPI machine language against the specification's encodings (ACPI 2.0, chapters 6.4 and 17), and what the
// board writes with it, read by a strict reader: each package must end where its contents do.
#include "dev_rig.h"

#include "monitor/dev/acpi.h"
#include "monitor/dev/aml.h"

static u8 out[1 << 20];
static struct aml a;

static void setup(void)
{
    memset(out, 0xee, sizeof(out));
    aml_init(&a, out, sizeof(out));
}

#define WROTE(...)                                                     \
    do {                                                               \
        static const u8 wanted_[] = { __VA_ARGS__ };                   \
                                                                       \
        ck_assert_uint_eq(a.at, sizeof(wanted_));                      \
        ck_assert_mem_eq(out, wanted_, sizeof(wanted_));               \
        ck_assert_uint_eq(out[sizeof(wanted_)], 0xee);                 \
        ck_assert_uint_eq(a.depth, 0);                                 \
        setup();                                                       \
    } while (0)

START_TEST(integers)
{
    aml_integer(&a, 0);
    WROTE(0x00);
    aml_integer(&a, 1);
    WROTE(0x01);
    aml_integer(&a, 2);
    WROTE(0x0a, 2);
    aml_integer(&a, 0xff);
    WROTE(0x0a, 0xff);
    aml_integer(&a, 0x100);
    WROTE(0x0b, 0x00, 0x01);
    aml_integer(&a, 0xffff);
    WROTE(0x0b, 0xff, 0xff);
    aml_integer(&a, 0x10000);
    WROTE(0x0c, 0x00, 0x00, 0x01, 0x00);
    aml_integer(&a, 0xfedcba98);
    WROTE(0x0c, 0x98, 0xba, 0xdc, 0xfe);
    // As iasl has them.
    aml_eisa_id(&a, "PNP0A03");
    WROTE(0x0c, 0x41, 0xd0, 0x0a, 0x03);
    aml_eisa_id(&a, "PNP0C0F");
    WROTE(0x0c, 0x41, 0xd0, 0x0c, 0x0f);
}
END_TEST

START_TEST(names)
{
    aml_name(&a, "_HID");
    WROTE(0x08, '_', 'H', 'I', 'D');
    aml_name(&a, "A");
    WROTE(0x08, 'A', '_', '_', '_');
    aml_name(&a, "\\_S5");
    WROTE(0x08, '\\', '_', 'S', '5', '_');
    aml_scope(&a, "\\_SB");
    aml_close(&a);
    WROTE(0x10, 0x88, 0x00, 0x00, '\\', '_', 'S', 'B', '_');
    aml_device(&a, "COM1");
    aml_close(&a);
    WROTE(0x5b, 0x82, 0x87, 0x00, 0x00, 'C', 'O', 'M', '1');
    aml_package(&a, 2);
    aml_integer(&a, 5);
    aml_integer(&a, 0);
    aml_close(&a);
    WROTE(0x12, 0x87, 0x00, 0x00, 2, 0x0a, 5, 0x00);
}
END_TEST

// PkgLength (17.2.4) counts itself: the low nibble lies in the first byte, whose bits 5-4 are zero.
static u32 package_length(const u8 *p, unsigned *bytes)
{
    u32 len = p[0] & 0x3f;

    *bytes = 1 + (p[0] >> 6);
    if (*bytes > 1) {
        ck_assert_uint_eq(p[0] & 0x30, 0);
        len = p[0] & 0x0f;
        for (unsigned i = 1; i < *bytes; i++)
            len |= (u32)p[i] << (8 * i - 4);
    }
    return len;
}

START_TEST(lengths)
{
    static const u32 sizes[] = { 0, 1, 0x0a, 0x0b, 0x3f, 0x40, 0xff8, 0xff9, 0xffff, 0x10000, 0xffff7 };

    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        unsigned bytes;

        setup();
        aml_scope(&a, "\\ABCD");
        for (u32 n = 0; n < sizes[i]; n++)
            aml_byte(&a, 0xa3); // Noop
        aml_close(&a);
        ck_assert_uint_eq(package_length(out + 1, &bytes), a.at - 1);
        ck_assert_uint_eq(a.at, 1 + bytes + 5 + sizes[i]);
    }
}
END_TEST

START_TEST(nesting)
{
    unsigned bytes;
    size_t at = 0, end;

    for (unsigned i = 0; i < AML_DEPTH; i++)
        aml_scope(&a, "ABCD");
    for (unsigned i = 0; i < AML_DEPTH; i++)
        aml_close(&a);
    end = a.at;
    for (unsigned i = 0; i < AML_DEPTH; i++) { // all of them end together
        ck_assert_uint_eq(out[at], 0x10);
        ck_assert_uint_eq(at + 1 + package_length(out + at + 1, &bytes), end);
        at += 1 + bytes + 4;
    }
    ck_assert_uint_eq(at, end);
}
END_TEST

START_TEST(resources)
{
    aml_resources(&a);
    aml_close(&a);
    WROTE(0x11, 0x88, 0x00, 0x00, 0x0b, 0x02, 0x00, 0x79, 0x00); // nothing but the end tag
    aml_resources(&a);
    aml_io(&a, 0x3f8, 8);
    aml_irq(&a, 4);
    aml_dma(&a, 2);
    aml_close(&a);
    WROTE(0x11, 0x86, 0x01, 0x00, 0x0b, 0x10, 0x00, // sixteen bytes
          0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08, // 6.4.2.5
          0x22, 0x10, 0x00,                               // 6.4.2.1, without its flags: edges, active high
          0x2a, 0x04, 0x00,                               // 6.4.2.2: bytes, no bus master
          0x79, 0x00);
    aml_irq(&a, 0);
    WROTE(0x22, 0x01, 0x00);
    aml_irq(&a, 15);
    WROTE(0x22, 0x00, 0x80);
    aml_port_window(&a, 0x0d00, 0xffff);
    WROTE(0x88, 0x0d, 0x00, 0x01, 0x0c, 0x03, 0x00, 0x00, 0x00, 0x0d, 0xff, 0xff, 0x00, 0x00, 0x00, 0xf3);
    aml_bus_range(&a, 0, 255);
    WROTE(0x88, 0x0d, 0x00, 0x02, 0x0c, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0x00, 0x00, 0x00, 0x00, 0x01);
    aml_memory_window(&a, 0xa0000, 0xbffff, true);
    WROTE(0x87, 0x17, 0x00, 0x00, 0x0c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x00, 0xff, 0xff, 0x0b, 0x00,
          0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00);
    aml_memory_window(&a, 0x80000000, 0xfebfffff, false);
    WROTE(0x87, 0x17, 0x00, 0x00, 0x0c, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0xff, 0xff, 0xbf, 0xfe,
          0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc0, 0x7e);
}
END_TEST

// However little room there is: nothing lies beyond it, and the length needed is told.
START_TEST(little_room)
{
    static u8 whole[256];
    size_t len = 0;

    for (size_t room = sizeof(whole); room-- > 0;) {
        memset(out, 0xee, sizeof(out));
        aml_init(&a, room ? out : NULL, room);
        aml_scope(&a, "\\_SB");
        aml_device(&a, "DEV");
        aml_name(&a, "_CRS");
        aml_resources(&a);
        aml_io(&a, 0x60, 1);
        aml_memory_window(&a, 0xa0000, 0xbffff, true);
        aml_close(&a);
        aml_close(&a);
        aml_close(&a);
        if (!len) {
            len = a.at;
            memcpy(whole, out, len);
        }
        ck_assert_uint_eq(a.at, len);
        ck_assert_mem_eq(out, whole, MIN(room, 0u + 5)); // the lengths behind may not be filled in
        for (size_t i = MIN(room, len); i < sizeof(whole); i++)
            ck_assert_uint_eq(out[i], 0xee);
    }
}
END_TEST

// ---- Reading what the board writes

struct found {
    unsigned devices, routes, with_id;
    u16 irqs;
    u8 dmas;
    char names[64][5];
};

static struct found found;

static void read_resources(const u8 *p, const u8 *end)
{
    while (p < end) {
        u32 len = p[0] & 0x80 ? 3u + p[1] + ((u32)p[2] << 8) : 1u + (p[0] & 7);
        u16 first, last;
        u32 low, high, span;

        ck_assert(p + len <= end);
        switch (p[0]) {
        case 0x22:
            found.irqs |= p[1] | p[2] << 8;
            break;
        case 0x2a:
            found.dmas |= p[1];
            break;
        case 0x47:
            ck_assert_mem_eq(p + 2, p + 4, 2);
            ck_assert_uint_gt(p[7], 0);
            break;
        case 0x79:
            ck_assert_ptr_eq(p + len, end);
            return;
        case 0x87:
            memcpy(&low, p + 10, 4);
            memcpy(&high, p + 14, 4);
            memcpy(&span, p + 22, 4);
            ck_assert(len == 26 && low < high && span == high - low + 1);
            break;
        case 0x88:
            memcpy(&first, p + 8, 2);
            memcpy(&last, p + 10, 2);
            ck_assert(len == 16 && first < last);
            break;
        default:
            ck_abort_msg("resource %02x", p[0]);
        }
        p += len;
    }
    ck_abort_msg("no end tag");
}

static const u8 *read_integer(const u8 *p, u32 *value)
{
    unsigned bytes = p[0] == 0x0a ? 1 : p[0] == 0x0b ? 2 : 4;

    *value = p[0];
    if (p[0] <= 1)
        return p + 1;
    ck_assert(p[0] >= 0x0a && p[0] <= 0x0c);
    *value = 0;
    memcpy(value, p + 1, bytes);
    return p + 1 + bytes;
}

static const u8 *read_object(const u8 *p, const u8 *end)
{
    const u8 *package_end;
    unsigned bytes;
    u32 value;

    ck_assert(p < end);
    if (p[0] != 0x11 && p[0] != 0x12)
        return read_integer(p, &value);
    package_end = p + 1 + package_length(p + 1, &bytes);
    ck_assert(package_end <= end);
    if (p[0] == 0x11) {
        p = read_integer(p + 1 + bytes, &value);
        ck_assert_uint_eq(value, (size_t)(package_end - p));
        read_resources(p, package_end);
        return package_end;
    }
    p += 1 + bytes;
    found.routes += *p == 4;
    for (unsigned n = *p++; n; n--)
        p = read_object(p, package_end);
    ck_assert_ptr_eq(p, package_end);
    return package_end;
}

static const u8 *read_name(const u8 *p, char name[5])
{
    p += *p == '\\';
    for (unsigned i = 0; i < 4; i++)
        ck_assert(p[i] == '_' || (p[i] >= 'A' && p[i] <= 'Z') || (i && p[i] >= '0' && p[i] <= '9'));
    memcpy(name, p, 4);
    name[4] = '\0';
    return p + 4;
}

static void read_terms(const u8 *p, const u8 *end)
{
    while (p < end) {
        bool device = p[0] == 0x5b && p[1] == 0x82;
        const u8 *package_end;
        unsigned bytes;
        char name[5];

        if (p[0] == 0x08) {
            p = read_name(p + 1, name);
            found.with_id += strcmp(name, "_HID") == 0 || strcmp(name, "_ADR") == 0;
            p = read_object(p, end);
            continue;
        }
        ck_assert_msg(device || p[0] == 0x10, "opcode %02x", p[0]);
        p += device ? 2 : 1;
        package_end = p + package_length(p, &bytes);
        ck_assert(package_end <= end);
        p = read_name(p + bytes, name);
        if (device) {
            for (unsigned i = 0; i < found.devices; i++)
                ck_assert_str_ne(found.names[i], name);
            memcpy(found.names[found.devices++], name, 5);
        }
        read_terms(p, package_end);
        p = package_end;
    }
    ck_assert_ptr_eq(p, end);
}

static bool has_device(const char *name)
{
    for (unsigned i = 0; i < found.devices; i++)
        if (strcmp(found.names[i], name) == 0)
            return true;
    return false;
}

START_TEST(board_tables)
{
    for (unsigned ports = 1; ports <= 4; ports++) {
        struct acpi_config config = {
            .ram_size = (u64)ports << 30, .apic = ports & 1, .mouse = ports & 2, .printer = ports > 2,
            .floppy = ports > 1, .serial_ports = ports,
            .serial_base = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 }, .serial_irq = { 4, 3, 4, 3 },
        };
        size_t len = acpi_build(&config, 0x7fe0000, out, sizeof(out));
        const u8 *dsdt = NULL;
        u32 size;

        for (size_t at = 0; at + 4 < len; at += 16)
            if (memcmp(out + at, "DSDT", 4) == 0)
                dsdt = out + at;
        ck_assert_ptr_nonnull(dsdt);
        memcpy(&size, dsdt + 4, 4);
        ck_assert_ptr_eq(dsdt + size, out + len);
        memset(&found, 0, sizeof(found));
        read_terms(dsdt + 36, dsdt + size);
        ck_assert(has_device("PCI0") && has_device("ISA_") && has_device("RTC_") && has_device("KBD_"));
        ck_assert_int_eq(has_device("COM4"), ports == 4);
        ck_assert_int_eq(has_device("MOU_"), config.mouse);
        ck_assert_int_eq(has_device("LPT1"), config.printer);
        ck_assert_int_eq(has_device("FDC0"), config.floppy);
        ck_assert_uint_eq(found.dmas, config.floppy ? 0x04 : 0);
        ck_assert_int_eq((found.irqs & 0x40) != 0, config.floppy);
        ck_assert_uint_eq(found.routes, 31 * 4 + 1); // the interrupts' packages, and \_S5
        ck_assert_uint_ge(found.with_id, found.devices);
        ck_assert_uint_eq(found.irqs & 0x0112, 0x0112); // keyboard, COM1, RTC
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("aml");
    TCase *tc = tcase_create("aml");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, integers);
    tcase_add_test(tc, names);
    tcase_add_test(tc, lengths);
    tcase_add_test(tc, nesting);
    tcase_add_test(tc, resources);
    tcase_add_test(tc, little_room);
    tcase_add_test(tc, board_tables);
    suite_add_tcase(s, tc);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
