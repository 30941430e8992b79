// SPDX-License-Identifier: GPL-2.0-or-later The whole machine, with guests of a few instructions,
// under every engine: how runs end, what is lost on the way (nothing), and what an idle guest
// costs.
#include "monitor/run/machine.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static char path[] = "/tmp/ring3-run-XXXXXX.bin";
static struct log quiet;
static struct err err;

// What goes to and comes from the guest's serial port.
static struct {
    u8 in[65536], out[65536];
    size_t in_len, in_at, out_len;
    int fd;
} line;

static size_t serial_in(void *opaque, int port, u8 *buf, size_t len)
{
    size_t n = MIN(len, line.in_len - line.in_at);
    u64 drained;

    (void)opaque;
    ck_assert_int_eq(port, 0);
    // As a console with a backlog does: all that came is taken from the descriptor at once.
    if (read(line.fd, &drained, sizeof(drained)) < 0)
        ck_assert_int_eq(errno, EAGAIN);
    memcpy(buf, line.in + line.in_at, n);
    line.in_at += n;
    return n;
}

static void serial_out(void *opaque, int port, const u8 *bytes, size_t len)
{
    (void)opaque;
    ck_assert_int_eq(port, 0);
    ck_assert_uint_le(line.out_len + len, sizeof(line.out));
    memcpy(line.out + line.out_len, bytes, len);
    line.out_len += len;
}

static void debug_out(void *opaque, u8 byte)
{
    serial_out(opaque, 0, &byte, 1);
}

static struct machine_config config_for(unsigned engine)
{
    return (struct machine_config){
        .ram_size = 4 << 20,
        .cpu = "pentium3",
        .accel = engine_at(engine)->name,
        .kernel = path,
        .debug_exit_base = 0xf4,
        .debug_exit_size = 4,
        .timeout_s = 20,
        .log = &quiet,
        .front_fd = line.fd,
        .serial_in = serial_in,
        .serial_out = serial_out,
        .debug_out = debug_out,
    };
}

static void setup(void)
{
    int fd = mkstemps(path, 4);

    ck_assert_int_ge(fd, 0);
    close(fd);
    quiet.file = fopen("/dev/null", "w");
    line.fd = eventfd(0, EFD_NONBLOCK);
    // The report of a triple fault is for people.
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
}

static void teardown(void)
{
    unlink(path);
}

static void guest(const char *code, size_t len)
{
    FILE *f = fopen(path, "wb");

    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(code, 1, len, f), len);
    fclose(f);
}
#define GUEST(code) guest(code, sizeof(code) - 1)

static struct machine *make(const struct machine_config *config)
{
    struct machine *m = machine_create(config, &err);

    ck_assert_msg(m, "%s", err.text);
    return m;
}

static int run(const struct machine_config *config)
{
    struct machine *m = make(config);
    int status = machine_run(m, &err);

    machine_destroy(m);
    return status;
}

static int run_with(unsigned engine)
{
    struct machine_config config = config_for(engine);

    return run(&config);
}

static double seconds(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#define EXIT_AL "\xe6\xf4" // out %al, $0xf4

START_TEST(test_debug_exit)
{
    // mov $0x10, %al; out; jmp .
    GUEST("\xb0\x10" EXIT_AL "\xeb\xfe");
    ck_assert_int_eq(run_with((unsigned)_i), 0x21);
    ck_assert_str_eq(err.text, "");
}
END_TEST

START_TEST(test_triple_fault)
{
    struct machine_config config = config_for((unsigned)_i);

    // int3 with no IDT
    GUEST("\xcc");
    config.no_reboot = true;
    ck_assert_int_eq(run(&config), EXIT_TRIPLE_FAULT);
    ck_assert_ptr_nonnull(strstr(err.text, "triple-faulted"));
}
END_TEST

START_TEST(test_last_exceptions)
{
    struct machine_config config = config_for((unsigned)_i);
    struct machine *m;
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    // mov $0x1234567, %ebx; ud2: #UD at 100005, with EBX in the report
    GUEST("\xbb\x67\x45\x23\x01\x0f\x0b");
    config.no_reboot = true;
    m = make(&config);
    ck_assert_int_eq(machine_run(m, &err), EXIT_TRIPLE_FAULT);
    ck_assert(machine_info(m, "faults", f));
    ck_assert(!machine_info(m, "nonsense", f));
    fclose(f);
    ck_assert_ptr_nonnull(strstr(text, "exception 06 error 00000000 at 0010:00100005"));
    ck_assert_ptr_nonnull(strstr(text, "ebx 01234567"));
    machine_destroy(m);
    free(text);
}
END_TEST

START_TEST(test_reset_keeps_ram)
{
    struct machine_config config = config_for((unsigned)_i);
    // incl 0x300000; cmpl $3, 0x300000; je 1f; mov $0xfe, %al; out %al, $0x64; jmp .;
    // 1: mov $7, %al; out
    static const char code[] = "\xff\x05\x00\x00\x30\x00\x83\x3d\x00\x00\x30\x00\x03\x74\x06"
                               "\xb0\xfe\xe6\x64\xeb\xfe\xb0\x07" EXIT_AL "\xeb\xfe";

    GUEST(code);
    ck_assert_int_eq(run(&config), 15);
    config.no_reboot = true;
    ck_assert_int_eq(run(&config), EXIT_TRIPLE_FAULT);
    ck_assert_ptr_nonnull(strstr(err.text, "-no-reboot"));
}
END_TEST

START_TEST(test_triple_fault_restarts)
{
    // The same, with a triple fault for a reset.
    static const char code[] = "\xff\x05\x00\x00\x30\x00\x83\x3d\x00\x00\x30\x00\x03\x74\x02\xcc\x90"
                               "\xb0\x07" EXIT_AL "\xeb\xfe";

    GUEST(code);
    ck_assert_int_eq(run_with((unsigned)_i), 15);
}
END_TEST

START_TEST(test_time_limit)
{
    struct machine_config config = config_for((unsigned)_i);
    double start;

    // jmp . -- even a guest that never leaves its loop is ended
    GUEST("\xeb\xfe");
    config.timeout_s = 1;
    start = seconds(CLOCK_MONOTONIC);
    ck_assert_int_eq(run(&config), EXIT_TIMEOUT);
    ck_assert(seconds(CLOCK_MONOTONIC) - start < 5);
    ck_assert_ptr_nonnull(strstr(err.text, "time limit of 1 s"));
}
END_TEST

START_TEST(test_halt_sleeps)
{
    struct machine_config config = config_for((unsigned)_i);
    struct machine *m;
    double start;

    // cli; hlt
    GUEST("\xfa\xf4");
    config.timeout_s = 1;
    m = make(&config);
    start = seconds(CLOCK_PROCESS_CPUTIME_ID);
    ck_assert_int_eq(machine_run(m, &err), EXIT_TIMEOUT);
    // Who does not sleep takes a second. Lockstep copies and compares all memory first, 2,000 of the host's page faults.
    ck_assert(seconds(CLOCK_PROCESS_CPUTIME_ID) - start < 0.2);
    machine_destroy(m);
}
END_TEST

START_TEST(test_debug_port)
{
    // mov $'A', %al; out %al, $0xe9; inc %al; out %al, $0xe9; out
    GUEST("\xb0\x41\xe6\xe9\xfe\xc0\xe6\xe9" EXIT_AL "\xeb\xfe");
    line.out_len = 0;
    ck_assert_int_eq(run_with((unsigned)_i), ('B' << 1 | 1) & 0xff);
    ck_assert_mem_eq(line.out, "AB", 2);
    ck_assert_uint_eq(line.out_len, 2);
}
END_TEST

START_TEST(test_serial_loses_nothing)
{
    // Echoes every byte after it was complemented, until the complement of 0 comes: 1: mov $0x3fd,
    // %dx; 2: in %dx, %al; test $1, %al; jz 2b; mov $0x3f8, %dx; in %dx, %al; not %al; mov %al,
    // %bl; mov $0x3fd, %dx; 3: in %dx, %al; test $0x20, %al; jz 3b; mov $0x3f8, %dx; mov %bl, %al;
    // out %al, %dx; cmp $0xff, %bl; jne 1b; mov $1, %al; out
    static const char code[] =
        "\x66\xba\xfd\x03\xec\xa8\x01\x74\xfb\x66\xba\xf8\x03\xec\xf6\xd0\x88\xc3\x66\xba\xfd\x03"
        "\xec\xa8\x20\x74\xfb\x66\xba\xf8\x03\x88\xd8\xee\x80\xfb\xff\x75\xd9\xb0\x01" EXIT_AL
        "\xeb\xfe";
    u64 one = 1;

    GUEST(code);
    line.in_len = 20000;
    line.in_at = line.out_len = 0;
    for (size_t i = 0; i < line.in_len; i++)
        line.in[i] = (u8)(i % 255 + 1);
    line.in[line.in_len - 1] = 0;
    ck_assert_int_eq(write(line.fd, &one, sizeof(one)), sizeof(one));
    ck_assert_int_eq(run_with((unsigned)_i), 3);
    ck_assert_uint_eq(line.out_len, line.in_len);
    for (size_t i = 0; i < line.in_len; i++)
        ck_assert_msg((line.out[i] ^ line.in[i]) == 0xff, "byte %zu", i);
}
END_TEST

static void *quit_later(void *m)
{
    usleep(200000);
    machine_quit(m);
    return NULL;
}

START_TEST(test_quit_from_another_thread)
{
    static const char *const guests[] = { "\xeb\xfe", "\xfa\xf4" }; // in a loop; asleep

    for (int i = 0; i < 2; i++) {
        struct machine_config config = config_for((unsigned)_i);
        struct machine *m;
        pthread_t thread;

        guest(guests[i], 2);
        m = make(&config);
        ck_assert_int_eq(pthread_create(&thread, NULL, quit_later, m), 0);
        ck_assert_int_eq(machine_run(m, &err), EXIT_OK);
        pthread_join(thread, NULL);
        machine_destroy(m);
    }
}
END_TEST

static void refused(const struct machine_config *config, enum exit_status status, const char *words)
{
    ck_assert_ptr_null(machine_create(config, &err));
    ck_assert_int_eq(err.status, status);
    ck_assert_msg(strstr(err.text, words), "\"%s\" lacks \"%s\"", err.text, words);
}

START_TEST(test_refused)
{
    struct machine_config good = config_for(0), config;

    GUEST("\xf4");
    config = good, config.cpu = "z80";
    refused(&config, EXIT_USAGE, "-cpu z80");
    config = good, config.accel = "magic";
    refused(&config, EXIT_USAGE, "-accel magic");
    config = good, config.ram_size = 1 << 20;
    refused(&config, EXIT_USAGE, "too little memory");
    config = good, config.ram_size = 4ull << 30;
    refused(&config, EXIT_USAGE, "too much memory");
    config = good, config.kernel = "/no/such/kernel";
    refused(&config, EXIT_INPUT, "/no/such/kernel");
    config = good, config.debug_exit_base = 0x3f8;
    refused(&config, EXIT_USAGE, "overlaps");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run");
    TCase *tcase = tcase_create("machine");
    SRunner *runner;
    int failed, engines = 0;

    while (engine_at((unsigned)engines))
        engines++;
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, test_debug_exit, 0, engines);
    tcase_add_loop_test(tcase, test_triple_fault, 0, engines);
    tcase_add_loop_test(tcase, test_last_exceptions, 0, engines);
    tcase_add_loop_test(tcase, test_reset_keeps_ram, 0, engines);
    tcase_add_loop_test(tcase, test_triple_fault_restarts, 0, engines);
    tcase_add_loop_test(tcase, test_time_limit, 0, engines);
    tcase_add_loop_test(tcase, test_halt_sleeps, 0, engines);
    tcase_add_loop_test(tcase, test_debug_port, 0, engines);
    tcase_add_loop_test(tcase, test_serial_loses_nothing, 0, engines);
    tcase_add_loop_test(tcase, test_quit_from_another_thread, 0, engines);
    tcase_add_test(tcase, test_refused);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
