// SPDX-License-Identifier: GPL-2.0-or-later
// The command line's parts, and what a whole one comes to.
#include "monitor/front/drives.c"
#include "monitor/front/options.c"

#include <check.h>

static struct options options;
static struct err err;

// Parses up to 12 words after the program's name.
static enum options_result parse(const char *const words[])
{
    char *argv[14] = { (char *)"ring3" };
    int argc = 1;

    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)words[argc - 1];
    err.text[0] = '\0';
    return options_parse(&options, argc, argv, &err);
}
#define PARSE(...) parse((const char *const[]){ __VA_ARGS__, NULL })

START_TEST(test_sizes)
{
    static const struct {
        const char *text;
        u64 size;
    } sizes[] = {
        { "128", 128ull << 20 }, { "8M", 8 << 20 }, { "8m", 8 << 20 }, { "1G", 1 << 30 },
        { "65536k", 64 << 20 }, { "size=64", 64 << 20 }, { "", 0 }, { "M", 0 }, { "12X", 0 },
        { "1GB", 0 }, { "-1", 0 }, { "0x10", 0 }, { "1.5G", 0 }, { "99999999999999999999", 0 },
        { "18446744073709551615", 0 }, { "9007199254740992G", 0 },
    };

    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++)
        ck_assert_msg(options_size(sizes[i].text) == sizes[i].size, "%s", sizes[i].text);
}
END_TEST

START_TEST(test_nearest)
{
    ck_assert_str_eq(options_nearest("kernl"), "kernel");
    ck_assert_str_eq(options_nearest("Kernel"), "kernel");
    ck_assert_str_eq(options_nearest("no-rebot"), "no-reboot");
    ck_assert_str_eq(options_nearest("noreboot"), "no-reboot");
    ck_assert_str_eq(options_nearest("serail"), "serial");
    ck_assert_str_eq(options_nearest("acel"), "accel");
    ck_assert_ptr_null(options_nearest("entirely-different"));
}
END_TEST

START_TEST(test_profile)
{
    ck_assert_int_eq(PARSE("-kernel", "k", "-hot", "7", "-folded", "f", "-symbols", "s", "-perfmap",
                           "-jitdump", "-stats"), OPTIONS_RUN);
    ck_assert_uint_eq(options.machine.profile.hot, 7);
    ck_assert_str_eq(options.machine.profile.folded, "f");
    ck_assert_str_eq(options.machine.profile.symbols, "s");
    ck_assert(options.machine.profile.perfmap && options.machine.profile.jitdump);
    ck_assert(options.machine.profile.stats);
    ck_assert_int_eq(PARSE("-hot", "0"), OPTIONS_ERROR);
    ck_assert_int_eq(PARSE("-hot", "x"), OPTIONS_ERROR);
    ck_assert_int_eq(PARSE("-folded", "f", "-folded", "g"), OPTIONS_ERROR);
}
END_TEST

START_TEST(test_whole)
{
    ck_assert_int_eq(PARSE("-kernel", "k", "--initrd", "i", "-append=a b", "-m", "64M", "-cpu",
                           "486",
                           "-no-reboot", "-nographic", "-stats"), OPTIONS_RUN);
    ck_assert_str_eq(options.machine.kernel, "k");
    ck_assert_str_eq(options.machine.initrd, "i");
    ck_assert_str_eq(options.machine.append, "a b");
    ck_assert_uint_eq(options.machine.ram_size, 64 << 20);
    ck_assert_str_eq(options.machine.cpu, "486");
    ck_assert(options.machine.no_reboot && options.stats);
    ck_assert_uint_eq(options.serials, 0);
    ck_assert_int_eq(options.machine.debug_exit_base, -1);
    ck_assert_int_eq(PARSE("-kernel", "k", "-d", "int,mmu", "-D", "f", "-device",
                           "isa-debug-exit,iobase=0xf4,iosize=0x04", "-timeout", "5"), OPTIONS_RUN);
    ck_assert_uint_eq(options.log_mask, BIT(LOG_INT) | BIT(LOG_MMU));
    ck_assert_str_eq(options.log_file, "f");
    ck_assert_int_eq(options.machine.debug_exit_base, 0xf4);
    ck_assert_int_eq(options.machine.debug_exit_size, 4);
    ck_assert_uint_eq(options.machine.timeout_s, 5);
    // The defaults of a first kernel and nothing else, after all that.
    ck_assert_int_eq(PARSE("-kernel", "k"), OPTIONS_RUN);
    ck_assert_uint_eq(options.machine.ram_size, 128 << 20);
    ck_assert_str_eq(options.machine.cpu, "pentium3");
    ck_assert_ptr_null(options.machine.accel);
    ck_assert_uint_eq(options.log_mask, 0);
}
END_TEST

// display, serial[0] and debugcon for options and a terminal, or not.
static void console(bool tty, const char *display, const char *serial, const char *debugcon)
{
    ck_assert_msg(options_console(&options, tty, &err), "%s", err.text);
    ck_assert_str_eq(options.display, display);
    ck_assert_str_eq(options.serial[0], serial);
    ck_assert_str_eq(options.debugcon, debugcon);
}

START_TEST(test_console)
{
    PARSE("-hda", "x");
    console(true, "curses", "vc", "none");
    PARSE("-hda", "x");
    console(false, "none", "stdio", "stdio");
    PARSE("-hda", "x", "-nographic");
    console(true, "none", "stdio", "stdio");
    PARSE("-hda", "x", "-serial", "stdio");
    console(true, "none", "stdio", "stdio");
    PARSE("-hda", "x", "-display", "none");
    console(true, "none", "stdio", "stdio");
    PARSE("-hda", "x", "-serial", "none", "-debugcon", "file:x");
    console(true, "curses", "none", "file:x");
    PARSE("-kernel", "x");
    console(true, "none", "stdio", "stdio");
    PARSE("-kernel", "x", "-display", "curses");
    console(true, "curses", "vc", "none");
    PARSE("-hda", "x", "-display", "sdl");
    ck_assert(!options_console(&options, true, &err));
    PARSE("-hda", "x", "-display", "curses", "-nographic");
    ck_assert(!options_console(&options, true, &err));
    PARSE("-hda", "x", "-display", "curses", "-debugcon", "stdio");
    ck_assert(!options_console(&options, true, &err));
    ck_assert_int_eq(PARSE("-kernel", "k", "-serial", "none", "-serial", "file:a", "-parallel", "file:b"), OPTIONS_RUN);
    ck_assert_uint_eq(options.serials, 2);
    ck_assert_str_eq(options.parallel, "file:b");
    ck_assert_int_eq(PARSE("-kernel", "k", "-machine", "pc,apic=off"), OPTIONS_RUN);
    ck_assert(!options.machine.apic);
}
END_TEST

static void wrong(enum options_result result, const char *words)
{
    ck_assert_int_eq(result, OPTIONS_ERROR);
    ck_assert_int_eq(err.status, EXIT_USAGE);
    ck_assert_msg(strstr(err.text, words), "\"%s\" lacks \"%s\"", err.text, words);
}

START_TEST(test_wrong)
{
    wrong(PARSE("-kernal", "k"), "unknown option -kernal; did you mean -kernel?");
    wrong(PARSE("--frobnicate"), "unknown option --frobnicate; --help");
    wrong(PARSE("-s", "x"), "short for more than one");
    wrong(PARSE("-kernel"), "-kernel wants a value");
    wrong(PARSE("-nographic=yes"), "takes no value");
    wrong(PARSE("-kernel", "k", "disk.img"), "unexpected argument disk.img");
    wrong(PARSE("-kernel", "k", "-kernel", "l"), "given twice");
    wrong(PARSE("-m", "lots"), "not a size");
    wrong(PARSE("-timeout", "0"), "seconds");
    wrong(PARSE("-timeout", "1s"), "seconds");
    wrong(PARSE("-d", "int,nonsense"), "-d nonsense");
    wrong(PARSE("-d", ""), "no such trace");
    wrong(PARSE("-serial", "none", "-serial", "none", "-serial", "none", "-serial", "none", "-serial", "none"),
          "too often");
    wrong(PARSE("-machine", "q35"), "one machine, pc");
    wrong(PARSE("-machine", "apic=perhaps"), "apic=on|off");
    wrong(PARSE("-machine", "exact-ticks"), "exact-ticks=on|off");
    wrong(PARSE("-device", "sb16"), "no such device");
    wrong(PARSE("-device", "isa-debug-exit,iobase=0x10000"), "no port");
    wrong(PARSE("-device", "isa-debug-exit,iosize=0"), "no size");
    wrong(PARSE("-device", "isa-debug-exit,iobase"), "no port");
    wrong(PARSE("-device", "isa-debug-exit,irq=4"), "no \"irq\"");
}
END_TEST

START_TEST(test_help)
{
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stdout));
    ck_assert_int_eq(PARSE("-help"), OPTIONS_DONE);
    ck_assert_int_eq(PARSE("-h"), OPTIONS_DONE);
    ck_assert_int_eq(PARSE("--version"), OPTIONS_DONE);
    ck_assert_int_eq(PARSE("-cpu", "help"), OPTIONS_DONE);
    ck_assert_int_eq(PARSE("-accel", "help"), OPTIONS_DONE);
    ck_assert_int_eq(PARSE("-d", "help"), OPTIONS_DONE);
    ck_assert_int_eq(PARSE("-device", "help"), OPTIONS_DONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("front");
    TCase *tcase = tcase_create("options");
    SRunner *runner;
    int failed;

    tcase_add_test(tcase, test_sizes);
    tcase_add_test(tcase, test_nearest);
    tcase_add_test(tcase, test_profile);
    tcase_add_test(tcase, test_whole);
    tcase_add_test(tcase, test_console);
    tcase_add_test(tcase, test_wrong);
    tcase_add_test(tcase, test_help);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
