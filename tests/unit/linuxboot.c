// SPDX-License-Identifier: GPL-2.0-or-later
// The option ROM that starts Linux under a BIOS: its headers as a BIOS checks them (PnP BIOS 1.0A, 3.2), and itself, run by the
// interpreter from its boot entry to the kernel's, with a real fw_cfg behind its ports.
#include "cpu_rig.h"

#include "monitor/dev/fw_cfg.h"
#include "monitor/dev/linuxboot.h"

#define ROM_AT 0xd0000u
#define ROM_KEY_NAME "genroms/linuxboot.bin"
#define INITRD_AT 0x2a5000u
#define STACK_AT 0x7000

static struct rig rig;
static struct fw_cfg fw;
static struct board_host host;
static u8 setup_part[5 * 512], kernel[300000], initrd[70001];

static void dma_read(void *opaque, u64 gpa, void *buf, size_t len)
{
    (void)opaque;
    phys_read(&rig.phys, gpa, buf, len);
}

static void dma_write(void *opaque, u64 gpa, const void *buf, size_t len)
{
    (void)opaque;
    phys_write(&rig.phys, gpa, buf, len);
}

static void setup(void)
{
    struct err err;

    rig_init(&rig);
    host = (struct board_host){ .dma_read = dma_read, .dma_write = dma_write };
    fw_cfg_init(&fw, &host);
    ck_assert(bus_add(&rig.bus, BUS_PORT, 0x510, 2, &fw_cfg_ops, &fw, "fw_cfg", &err));
    ck_assert(bus_add(&rig.bus, BUS_PORT, 0x514, 8, &fw_cfg_dma_ops, &fw, "fw_cfg dma", &err));
    for (size_t i = 0; i < sizeof(kernel); i++)
        kernel[i] = i * 7 + (i >> 9);
    for (size_t i = 0; i < sizeof(initrd); i++)
        initrd[i] = i * 5 + (i >> 8);
    for (size_t i = 0; i < sizeof(setup_part); i++)
        setup_part[i] = i * 3;
    setup_part[0x200] = 0xf4; // where the kernel is entered: HLT
}

static void teardown(void)
{
    fw_cfg_destroy(&fw);
    rig_free(&rig);
}

static bool describe(const char *cmdline, u32 initrd_len)
{
    const struct board_kernel k = {
        .setup = setup_part, .setup_len = sizeof(setup_part), .kernel = kernel, .kernel_len = sizeof(kernel),
        .initrd = initrd_len ? initrd : NULL, .initrd_len = initrd_len, .initrd_at = INITRD_AT, .cmdline = cmdline,
    };

    return linuxboot_describe(&fw, &k);
}

static const struct fw_cfg_item *file(const char *name)
{
    for (unsigned i = 0; i < fw.count; i++)
        if (strcmp(fw.item[i].name, name) == 0)
            return &fw.item[i];
    return NULL;
}

static u8 sum(const u8 *p, size_t len)
{
    u8 s = 0;

    while (len--)
        s += *p++;
    return s;
}

static u16 get16(const u8 *p) { return p[0] | p[1] << 8; }

// Checks the ROM's headers, copies it to its place, and returns the offset of its boot entry.
static u16 check_rom(void)
{
    const struct fw_cfg_item *order = file("bootorder"), *item = file(ROM_KEY_NAME);
    const u8 *rom, *pnp;
    u16 entry;

    ck_assert(order && order->len == sizeof("/rom@" ROM_KEY_NAME "\n"));
    ck_assert_str_eq((const char *)order->data, "/rom@" ROM_KEY_NAME "\n");
    ck_assert_ptr_nonnull(item);
    rom = item->data;
    ck_assert_uint_eq(get16(rom), 0xaa55);
    ck_assert_uint_eq(rom[2] * 512u, item->len);
    ck_assert_uint_eq(sum(rom, item->len), 0);
    ck_assert_uint_le(get16(rom + 0x1a) + 32u, item->len);
    ck_assert_uint_eq(get16(rom + 0x1a) % 16, 0); // a BIOS looks at paragraphs
    pnp = rom + get16(rom + 0x1a);
    ck_assert_mem_eq(pnp, "$PnP", 4);
    ck_assert_uint_eq(pnp[5] * 16, 32);
    ck_assert_uint_eq(sum(pnp, 32), 0);
    ck_assert_uint_eq(get16(pnp + 6), 0); // no further header
    ck_assert_uint_lt(get16(pnp + 16), item->len);
    ck_assert_str_eq((const char *)rom + get16(pnp + 16), "Linux (-kernel)");
    ck_assert_uint_eq(get16(pnp + 22), 0); // no connection vector: INT 19h is not taken
    entry = get16(pnp + 26);
    ck_assert(entry && entry < item->len);
    phys_write(&rig.phys, ROM_AT, rom, item->len);
    return entry;
}

static void enter(u16 ip)
{
    struct vcpu *v = rig.v;

    for (unsigned i = 0; i < S_COUNT; i++)
        seg_load_real(v, i, i == S_CS ? ROM_AT >> 4 : 0);
    v->gpr[R_ESP] = STACK_AT;
    v->eip = ip;
}

static bool memory_is(u32 at, const void *bytes, u32 len)
{
    u8 *copy = malloc(len);
    bool same;

    phys_read(&rig.phys, at, copy, len);
    same = memcmp(copy, bytes, len) == 0;
    free(copy);
    return same;
}

static void boots(const char *cmdline, u32 initrd_len)
{
    static const unsigned data[] = { S_DS, S_ES, S_FS, S_GS, S_SS };
    struct vcpu *v = rig.v;

    ck_assert(describe(cmdline, initrd_len));
    poke(&rig, INITRD_AT, 0xdeadbeef);
    enter(check_rom());
    v->eflags |= FL_IF | FL_DF; // whatever the BIOS leaves
    ck_assert_int_eq(rig_run(&rig), CPU_HALTED);
    // boot.rst, "Running the kernel"
    ck_assert_uint_eq(v->seg[S_CS].sel, 0x1020);
    ck_assert_uint_eq(v->eip, 1);
    for (unsigned i = 0; i < ARRAY_LEN(data); i++)
        ck_assert_uint_eq(v->seg[data[i]].sel, 0x1000);
    ck_assert_uint_eq(v->gpr[R_ESP] & 0xffff, 0xfff0);
    ck_assert(!(v->eflags & (FL_IF | FL_DF)));
    ck_assert(memory_is(0x10000, setup_part, sizeof(setup_part)));
    ck_assert(memory_is(0x20000, cmdline, strlen(cmdline) + 1));
    ck_assert(memory_is(0x100000, kernel, sizeof(kernel)));
    ck_assert(initrd_len ? memory_is(INITRD_AT, initrd, initrd_len) : peek(&rig, INITRD_AT) == 0xdeadbeef);
}

START_TEST(with_initrd)
{
    boots("console=ttyS0 a=b", sizeof(initrd));
}
END_TEST

START_TEST(without_initrd)
{
    boots("", 0);
}
END_TEST

// The BIOS calls every ROM at offset 3, which has to return, and leave it what it has.
START_TEST(initialisation)
{
    struct vcpu *v = rig.v;

    ck_assert(describe("", 0));
    check_rom();
    enter(3);
    v->gpr[R_ESP] = STACK_AT - 4;
    poke(&rig, STACK_AT - 4, 0x0060 << 16 | 0x0010); // back to 0060:0010
    poke(&rig, 0x610, 0xf4);
    ck_assert_int_eq(rig_run(&rig), CPU_HALTED);
    ck_assert_uint_eq(v->seg[S_CS].sel, 0x60);
    ck_assert_uint_eq(v->eip, 0x11);
    ck_assert_uint_eq(v->gpr[R_ESP] & 0xffff, STACK_AT);
}
END_TEST

// A fw_cfg that has no room says so, and is not spoilt.
START_TEST(no_room)
{
    for (unsigned n = 0; n < FW_CFG_ITEMS - 3; n++) {
        char name[16];

        snprintf(name, sizeof(name), "f%u", n);
        ck_assert(fw_cfg_file(&fw, name, name, 2));
    }
    ck_assert(!describe("x", sizeof(initrd)));
    ck_assert_uint_le(fw.count, FW_CFG_ITEMS);
    ck_assert_ptr_nonnull(file("f0"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("linuxboot");
    TCase *tc = tcase_create("linuxboot");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, with_initrd);
    tcase_add_test(tc, without_initrd);
    tcase_add_test(tc, initialisation);
    tcase_add_test(tc, no_room);
    suite_add_tcase(s, tc);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
