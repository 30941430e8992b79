// SPDX-License-Identifier: GPL-2.0-or-later
// Loaders: synthetic images in, memory and CPU state, or one clear sentence, out.
#include "monitor/load/image.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1ull << 20)

static struct bus bus;
static struct phys phys;
static struct vcpu *v;
static struct err err;
static char dir[] = "/tmp/ring3-load-XXXXXX", path[2][64];

static void machine_make(u64 ram)
{
    v = mmap(NULL, sizeof(*v), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(v, MAP_FAILED);
    bus_init(&bus);
    ck_assert_msg(phys_init(&phys, ram, &bus, &err), "%s", err.text);
}

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    machine_make(32 * MIB);
}

static void teardown(void)
{
    phys_destroy(&phys);
    for (int i = 0; i < 2; i++)
        if (path[i][0])
            unlink(path[i]);
    rmdir(dir);
}

static const char *file(int i, const char *name, const void *bytes, size_t size)
{
    FILE *f;

    snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
    f = fopen(path[i], "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, size, f), size);
    fclose(f);
    return path[i];
}

// A bzImage of protocol 2.15: 2 sectors of setup, 4 KiB of kernel that starts with F4.
#define BZ_SETUP 1024
#define BZ_KERNEL 4096
static u8 bz[BZ_SETUP + BZ_KERNEL];

static void bz_make(void)
{
    memset(bz, 0, sizeof(bz));
    bz[0x1f1] = 1;
    put32(bz, 0x1f4, BZ_KERNEL / 16);
    put16(bz, 0x1fe, 0xaa55);
    put16(bz, 0x200, 0x6aeb);
    memcpy(bz + 0x202, "HdrS", 4);
    put16(bz, 0x206, 0x20f);
    bz[0x211] = 1;
    put32(bz, 0x22c, 0x7fffffff);
    put32(bz, 0x238, 100);
    put64(bz, 0x258, 0x1000000);
    put32(bz, 0x260, 0x300000);
    bz[BZ_SETUP] = 0xf4;
    bz[BZ_SETUP + BZ_KERNEL - 1] = 0x77;
}

static bool start(const char *kernel, const char *initrd, const char *append)
{
    struct load_config config = { kernel, initrd, append, (u32)phys.ram_size - 0x10000, 0x10000, true };

    phys_write(&phys, config.acpi_base, "RSD PTR ", 8);
    return load_guest(&config, v, &phys, &err);
}

// Loading fails with this status, and the sentence has these words.
static void refused(const char *kernel, const char *initrd, enum exit_status status,
                    const char *words)
{
    ck_assert(!start(kernel, initrd, "x"));
    ck_assert_msg(strstr(err.text, words), "\"%s\" lacks \"%s\"", err.text, words);
    ck_assert_int_eq(err.status, status);
}

static void flat_state(u32 eip)
{
    ck_assert_uint_eq(v->eip, eip);
    ck_assert_uint_eq(v->cr0, CR0_PE | CR0_ET);
    ck_assert_uint_eq(v->eflags, FL_FIXED1);
    ck_assert_uint_eq(v->seg[S_CS].sel, 0x10);
    ck_assert_uint_eq(v->seg[S_SS].sel, 0x18);
    for (int s = 0; s < S_COUNT; s++) {
        // The hidden parts are what the GDT in memory says.
        u64 d = phys_read64(&phys, v->gdtr.base + v->seg[s].sel);

        ck_assert_uint_eq(v->seg[s].base, 0);
        ck_assert_uint_eq(v->seg[s].limit, ~0u);
        ck_assert_uint_eq(v->seg[s].attr, (d >> 40 & 0xff) | (d >> 52 & 0xf) << 12);
    }
}

START_TEST(test_bzimage)
{
    u8 params[4096], initrd[5000];
    u32 at;

    bz_make();
    memset(initrd, 0xab, sizeof(initrd));
    ck_assert_msg(start(file(0, "bz", bz, sizeof(bz)), file(1, "rd", initrd, sizeof(initrd)),
                        "console=ttyS0"), "%s", err.text);
    flat_state(0x1000000);
    ck_assert_uint_eq(v->gpr[R_EBX] | v->gpr[R_EBP] | v->gpr[R_EDI], 0);
    ck_assert_uint_eq(*phys_host(&phys, 0x1000000), 0xf4);
    ck_assert_uint_eq(*phys_host(&phys, 0x1000000 + BZ_KERNEL - 1), 0x77);
    phys_read(&phys, v->gpr[R_ESI], params, sizeof(params));
    ck_assert_mem_eq(params + 0x202, "HdrS", 4);
    ck_assert_uint_eq(params[0x210], 0xff);
    ck_assert_uint_eq(params[0x211], 0x81);
    ck_assert_uint_eq(get32(params, 0x214), 0x1000000);
    ck_assert_uint_eq(get64(params, 0x70), 32 * MIB - 0x10000);
    ck_assert_str_eq((char *)phys_host(&phys, get32(params, 0x228)), "console=ttyS0");
    // The initrd: as high as RAM without the ACPI area allows.
    at = get32(params, 0x218);
    ck_assert_uint_eq(at, 32 * MIB - 0x10000 - 0x2000);
    ck_assert_uint_eq(get32(params, 0x21c), sizeof(initrd));
    ck_assert_uint_eq(*phys_host(&phys, at + sizeof(initrd) - 1), 0xab);
    // screen_info: a VGA in text mode 3, and nothing else.
    ck_assert(params[6] == 3 && params[7] == 80 && params[14] == 25 && params[15] == 1);
    for (int i = 0; i < 0x40; i++)
        ck_assert_msg(params[i] == 0 || i == 2 || i == 3 || (i >= 6 && i < 18), "screen_info byte %#x",
                      i);
    ck_assert_mem_eq(phys_host(&phys, LOW_RSDP), "RSD PTR ", 8);
}
END_TEST

START_TEST(test_e820)
{
    static const struct mem_range want[] = {
        { 0, 0x9fc00, MEM_RAM }, { 0x9fc00, 0x400, MEM_RESERVED }, { 0xf0000, 0x10000,
                                                                     MEM_RESERVED },
        { 0x100000, 31 * MIB - 0x10000, MEM_RAM }, { 32 * MIB - 0x10000, 0x10000, MEM_ACPI },
    };
    u8 params[4096];

    bz_make();
    ck_assert_msg(start(file(0, "bz", bz, sizeof(bz)), NULL, NULL), "%s", err.text);
    phys_read(&phys, v->gpr[R_ESI], params, sizeof(params));
    ck_assert_uint_eq(params[0x1e8], ARRAY_LEN(want));
    for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
        ck_assert_uint_eq(get64(params, 0x2d0 + i * 20), want[i].base);
        ck_assert_uint_eq(get64(params, 0x2d0 + i * 20 + 8), want[i].len);
        ck_assert_uint_eq(get32(params, 0x2d0 + i * 20 + 16), want[i].type);
    }
    ck_assert_uint_eq(get32(params, 0x218) | get32(params, 0x21c), 0);
}
END_TEST

// struct setup_data with a seed (boot.rst, setup_data), another one at each start.
START_TEST(test_random_seed)
{
    u8 params[4096], seed[2][48];

    bz_make();
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(start(file(0, "bz", bz, sizeof(bz)), NULL, NULL), "%s", err.text);
        phys_read(&phys, v->gpr[R_ESI], params, sizeof(params));
        ck_assert_uint_eq(get64(params, 0x250), LOW_SETUP_DATA);
        phys_read(&phys, LOW_SETUP_DATA, seed[i], sizeof(seed[i]));
        ck_assert_uint_eq(get64(seed[i], 0), 0);
        ck_assert_uint_eq(get32(seed[i], 8), 9);
        ck_assert_uint_eq(get32(seed[i], 12), 32);
    }
    ck_assert_mem_ne(seed[0] + 16, seed[1] + 16, 32);
    put16(bz, 0x206, 0x208); // before setup_data
    ck_assert_msg(start(file(0, "bz", bz, sizeof(bz)), NULL, NULL), "%s", err.text);
    phys_read(&phys, v->gpr[R_ESI], params, sizeof(params));
    ck_assert_uint_eq(get64(params, 0x250), 0);
}
END_TEST

START_TEST(test_bzimage_old)
{
    // Protocol 2.01: no command line pointer, no initrd limit, loaded at 1 MiB; and a zImage at 4
    // KiB.
    bz_make();
    put16(bz, 0x206, 0x201);
    ck_assert_msg(start(file(0, "bz", bz, sizeof(bz)), NULL, "a b"), "%s", err.text);
    ck_assert_uint_eq(v->eip, 0x100000);
    ck_assert_uint_eq(phys_read32(&phys, 0x90020), 0x2000a33f);
    ck_assert_str_eq((char *)phys_host(&phys, 0x92000), "a b");
    bz[0x211] = 0;
    ck_assert_msg(start(file(0, "bz", bz, sizeof(bz)), NULL, "a b"), "%s", err.text);
    ck_assert_uint_eq(v->eip, 0x1000);
    ck_assert_uint_eq(*phys_host(&phys, 0x1000), 0xf4);
}
END_TEST

START_TEST(test_bzimage_refused)
{
    char longline[102] = { 0 };
    static u8 big[13 * MIB / 2];

    bz_make();
    refused("/no/such/file", NULL, EXIT_INPUT,
            "cannot open the kernel /no/such/file: No such file");
    refused("/", NULL, EXIT_INPUT, "is a directory");
    refused(file(0, "empty", bz, 0), NULL, EXIT_INPUT, "is empty");
    refused(file(0, "bz", bz, 0x280), NULL, EXIT_INPUT, "truncated");
    refused(file(0, "bz", bz, BZ_SETUP), NULL, EXIT_INPUT, "truncated");
    refused(file(0, "bz", bz, sizeof(bz) - 100), NULL, EXIT_INPUT, "truncated");
    refused(file(0, "bz", bz, sizeof(bz)), "/no/such/file", EXIT_INPUT, "cannot open the initrd");
    refused(path[0], file(1, "rd", bz, 0), EXIT_INPUT, "is empty");
    put32(bz, 0x260, 0xa00000);
    refused(file(0, "bz", bz, sizeof(bz)), file(1, "rd", big, sizeof(big)), EXIT_INPUT,
            "initrd");
    ck_assert_ptr_nonnull(strstr(err.text, "use -m 34 or more"));
    put32(bz, 0x22c, 0x1ffffff);
    refused(file(0, "bz", bz, sizeof(bz)), path[1], EXIT_INPUT, "can only reach");
    put32(bz, 0x260, 0x1000000);
    refused(file(0, "bz", bz, sizeof(bz)), NULL, EXIT_INPUT, "does not fit");
    ck_assert_ptr_nonnull(strstr(err.text, "use -m 34 or more"));
    bz_make();
    put16(bz, 0x236, 1);
    refused(file(0, "bz", bz, sizeof(bz)), NULL, EXIT_INPUT, "64-bit Linux kernel");
    bz_make();
    put16(bz, 0x206, 0x105);
    refused(file(0, "bz", bz, sizeof(bz)), NULL, EXIT_INPUT, "older than");
    bz_make();
    put64(bz, 0x258, 1ull << 32);
    refused(file(0, "bz", bz, sizeof(bz)), NULL, EXIT_INPUT, "malformed");
    bz_make();
    memset(longline, 'x', 101);
    ck_assert(!start(file(0, "bz", bz, sizeof(bz)), NULL, longline));
    ck_assert_int_eq(err.status, EXIT_USAGE);
    ck_assert_ptr_nonnull(strstr(err.text, "too long"));
}
END_TEST

// An ELF file with one segment of 16 bytes at file offset 128, and room for a Multiboot header
// behind it.
static u8 elf[256];

static void elf_make(void)
{
    static const u8 ident[] = { 0x7f, 'E', 'L', 'F', 1, 1, 1 };

    memset(elf, 0, sizeof(elf));
    memcpy(elf, ident, sizeof(ident));
    put16(elf, 16, 2); // ET_EXEC
    put16(elf, 18, 3); // EM_386
    put32(elf, 20, 1);
    put32(elf, 24, 0xc0100004);
    put32(elf, 28, 52);
    put16(elf, 40, 52);
    put16(elf, 42, 32);
    put16(elf, 44, 1);
    put32(elf, 52, 1); // PT_LOAD
    put32(elf, 56, 128);
    put32(elf, 60, 0xc0100000);
    put32(elf, 64, 0x100000);
    put32(elf, 68, 16);
    put32(elf, 72, 8192);
    memset(elf + 128, 0x90, 16);
}

START_TEST(test_elf)
{
    u8 dirt[8192];

    elf_make();
    memset(dirt, 0xff, sizeof(dirt));
    phys_write(&phys, 0x100000, dirt, sizeof(dirt));
    ck_assert_msg(start(file(0, "elf", elf, sizeof(elf)), NULL, NULL), "%s", err.text);
    flat_state(0x100004);
    ck_assert_uint_eq(phys_read32(&phys, 0x10000c), 0x90909090);
    ck_assert_uint_eq(phys_read32(&phys, 0x100010), 0);
    ck_assert_uint_eq(phys_read32(&phys, 0x101ffc), 0);
}
END_TEST

START_TEST(test_elf_refused)
{
    static const struct {
        unsigned off, size;
        u32 value;
        const char *words;
    } bad[] = {
        { 4, 1, 2, "64-bit ELF" }, { 5, 1, 2, "little-endian" }, { 18, 2, 62, "another processor" },
        { 16, 2, 3, "static executable" }, { 16, 2, 1, "static executable" },
        { 42, 2, 40, "program headers" }, { 28, 4, 250, "truncated" }, { 44, 2, 9999, "truncated" },
        { 44, 2, 0, "nothing to load" }, { 52, 4, 3, "dynamically linked" }, { 52, 4, 2,
                                                                               "nothing to load" },
        { 56, 4, 250, "truncated" }, { 56, 4, 0xfffffff0, "truncated" }, { 68, 4, 9000,
                                                                           "truncated" },
        { 72, 4, 8, "malformed" }, { 64, 4, 0xfffff000, "malformed" }, { 64, 4, 32 << 20,
                                                                         "use -m 33" },
        { 64, 4, 0xa0000, "adapter" }, { 64, 4, 0, "first page" },
    };

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        elf_make();
        memcpy(elf + bad[i].off, &bad[i].value, bad[i].size);
        refused(file(0, "elf", elf, sizeof(elf)), NULL, EXIT_INPUT, bad[i].words);
    }
    elf_make();
    refused(file(0, "elf", elf, 40), NULL, EXIT_INPUT, "truncated");
    refused(file(0, "elf", elf, sizeof(elf)), "/dev/null", EXIT_USAGE, "takes no initrd");
}
END_TEST

static void multiboot_header(u8 *at, u32 flags)
{
    put32(at, 0, 0x1badb002);
    put32(at, 4, flags);
    put32(at, 8, 0u - 0x1badb002 - flags);
}

START_TEST(test_multiboot_elf)
{
    char modules[200], line[96];
    u32 info, mods, mmap;
    u64 ram = 0;

    elf_make();
    multiboot_header(elf + 144, 3);
    file(1, "mod", "MODULE", 6);
    snprintf(modules, sizeof(modules), "%s one,,two,%s", path[1], path[1]);
    ck_assert_msg(start(file(0, "mb", elf, sizeof(elf)), modules, "-v"), "%s", err.text);
    flat_state(0x100004);
    ck_assert_uint_eq(v->gpr[R_EAX], 0x2badb002);
    info = v->gpr[R_EBX];
    ck_assert_uint_eq(phys_read32(&phys, info), 0x24d);
    ck_assert_uint_eq(phys_read32(&phys, info + 4), 639);
    ck_assert_uint_eq(phys_read32(&phys, info + 8), 31 * 1024 - 64);
    snprintf(line, sizeof(line), "%s -v", path[0]);
    ck_assert_str_eq((char *)phys_host(&phys, phys_read32(&phys, info + 16)), line);
    ck_assert_str_eq((char *)phys_host(&phys, phys_read32(&phys, info + 64)), "ring3");
    ck_assert_uint_eq(phys_read32(&phys, info + 20), 2);
    mods = phys_read32(&phys, info + 24);
    ck_assert_uint_eq(phys_read32(&phys, mods), 0x102000);
    ck_assert_uint_eq(phys_read32(&phys, mods + 4), 0x102006);
    ck_assert_uint_eq(phys_read32(&phys, mods + 16), 0x103000);
    ck_assert_mem_eq(phys_host(&phys, 0x103000), "MODULE", 6);
    snprintf(line, sizeof(line), "%s one,two", path[1]);
    ck_assert_str_eq((char *)phys_host(&phys, phys_read32(&phys, mods + 8)), line);
    mmap = phys_read32(&phys, info + 48);
    for (u32 at = mmap; at < mmap + phys_read32(&phys, info + 44); at += phys_read32(&phys, at) + 4)
        if (phys_read32(&phys, at + 20) == MEM_RAM)
            ram += phys_read64(&phys, at + 12);
    ck_assert_uint_eq(ram, 0x9fc00 + 31 * MIB - 0x10000);
}
END_TEST

START_TEST(test_multiboot_addresses)
{
    u8 image[96] = { 0 };

    memset(image, 0x90, sizeof(image));
    multiboot_header(image + 16, 0x10000);
    put32(image, 16 + 12, 0x200010);
    put32(image, 16 + 16, 0x200000);
    put32(image, 16 + 20, 0);
    put32(image, 16 + 24, 0x201000);
    put32(image, 16 + 28, 0x200040);
    ck_assert_msg(start(file(0, "mb", image, sizeof(image)), NULL, NULL), "%s", err.text);
    flat_state(0x200040);
    ck_assert_mem_eq(phys_host(&phys, 0x200000), image, sizeof(image));
    ck_assert_uint_eq(phys_read32(&phys, v->gpr[R_EBX]), 0x245);
    // The whole file, from its first byte, or not at all.
    put32(image, 16 + 20, 0x200100);
    refused(file(0, "mb", image, sizeof(image)), NULL, EXIT_INPUT, "truncated");
    put32(image, 16 + 20, 0x1fffff);
    refused(file(0, "mb", image, sizeof(image)), NULL, EXIT_INPUT, "malformed");
    put32(image, 16 + 12, 0x200011);
    refused(file(0, "mb", image, sizeof(image)), NULL, EXIT_INPUT, "malformed");
    put32(image, 16 + 12, 0x1fffff);
    refused(file(0, "mb", image, sizeof(image)), NULL, EXIT_INPUT, "malformed");
    refused(file(0, "mb", image, 40), NULL, EXIT_INPUT, "truncated");
    multiboot_header(image + 16, 0x10008);
    refused(file(0, "mb", image, sizeof(image)), NULL, EXIT_INPUT, "requires Multiboot features");
}
END_TEST

START_TEST(test_flat_and_boot_sector)
{
    u8 sector[513] = { 0xf4 };

    put16(sector, 510, 0xaa55);
    ck_assert_msg(start(file(0, "a.img", sector, 512), NULL, NULL), "%s", err.text);
    ck_assert_uint_eq(v->eip, 0x7c00);
    ck_assert_uint_eq(v->cr0 & CR0_PE, 0);
    ck_assert_uint_eq(v->seg[S_CS].base | v->seg[S_CS].sel, 0);
    ck_assert_uint_eq(v->seg[S_CS].limit, 0xffff);
    ck_assert_uint_eq(*phys_host(&phys, 0x7c00), 0xf4);
    ck_assert_uint_eq(*phys_host(&phys, 0x7dff), 0xaa);
    unlink(path[0]);
    ck_assert_msg(start(file(0, "a.bin", sector, 513), NULL, NULL), "%s", err.text);
    flat_state(0x100000);
    ck_assert_uint_eq(*phys_host(&phys, 0x100000), 0xf4);
    unlink(path[0]);
    refused(file(0, "a.img", sector, 513), NULL, EXIT_INPUT, "of no kind");
    refused(file(0, "a.img", "\x1f\x8b\x08", 3), NULL, EXIT_INPUT, "gunzip");
}
END_TEST

START_TEST(test_memory_map)
{
    struct mem_range range[MEM_RANGES_MAX];
    u64 end = 0;
    unsigned n;

    // With ACPI in the middle of RAM: in order, without overlaps, nothing lost.
    n = memmap_build(range, 64 * MIB, 32 << 20, 1 << 20);
    ck_assert_uint_le(n, MEM_RANGES_MAX);
    for (unsigned i = 0; i < n; i++) {
        ck_assert_uint_ge(range[i].base, end);
        end = range[i].base + range[i].len;
    }
    ck_assert_uint_eq(end, 64 * MIB);
    ck_assert_uint_eq(memmap_top(64 * MIB, 32 << 20, 1 << 20), 32 * MIB);
    ck_assert_uint_eq(memmap_top(64 * MIB, 0, 0), 64 * MIB);
    n = memmap_build(range, 64 * MIB, 0, 0);
    ck_assert_uint_eq(range[n - 1].type, MEM_RAM);
    ck_assert_uint_eq(range[n - 1].base + range[n - 1].len, 64 * MIB);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("load");
    TCase *tcase = tcase_create("images");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_bzimage);
    tcase_add_test(tcase, test_e820);
    tcase_add_test(tcase, test_random_seed);
    tcase_add_test(tcase, test_bzimage_old);
    tcase_add_test(tcase, test_bzimage_refused);
    tcase_add_test(tcase, test_elf);
    tcase_add_test(tcase, test_elf_refused);
    tcase_add_test(tcase, test_multiboot_elf);
    tcase_add_test(tcase, test_multiboot_addresses);
    tcase_add_test(tcase, test_flat_and_boot_sector);
    tcase_add_test(tcase, test_memory_map);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
