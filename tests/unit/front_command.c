// SPDX-License-Identifier: GPL-2.0-or-later The ring3 command from outside: bad input, exit
// statuses, pipes, and a terminal that is always given back.
#include "monitor/base/err.h"
#include "monitor/base/types.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char ring3[4096], dir[] = "/tmp/ring3-front-XXXXXX", echo_bin[64];

// Echoes each byte of the serial port until a 0 comes, then ends with debug-exit 1 (status 3): 1:
// mov $0x3fd, %dx; 2: in %dx, %al; test $1, %al; jz 2b; mov $0x3f8, %dx; in %dx, %al; mov %al, %bl;
// mov $0x3fd, %dx; 3: in %dx, %al; test $0x20, %al; jz 3b; mov $0x3f8, %dx; mov %bl, %al; out %al,
// %dx; test %bl, %bl; jne 1b; mov $1, %al; out %al, $0xf4; jmp .
static const char echo_code[] =
    "\x66\xba\xfd\x03\xec\xa8\x01\x74\xfb\x66\xba\xf8\x03\xec\x88\xc3\x66\xba\xfd\x03"
    "\xec\xa8\x20\x74\xfb\x66\xba\xf8\x03\x88\xd8\xee\x84\xdb\x75\xdc\xb0\x01\xe6\xf4\xeb\xfe";
#define DEVICE "-device", "isa-debug-exit,iobase=0xf4,iosize=4"

static void setup(void)
{
    ssize_t n = readlink("/proc/self/exe", ring3, sizeof(ring3) - 16);
    FILE *f;

    // The test lies in BUILD/tests, ring3 in BUILD.
    ck_assert_int_gt(n, 0);
    ring3[n] = '\0';
    *strrchr(ring3, '/') = '\0';
    strcpy(strrchr(ring3, '/'), "/ring3");
    ck_assert_msg(access(ring3, X_OK) == 0, "%s is not built", ring3);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(echo_bin, sizeof(echo_bin), "%s/echo.bin", dir);
    f = fopen(echo_bin, "wb");
    ck_assert_uint_eq(fwrite(echo_code, 1, sizeof(echo_code) - 1, f), sizeof(echo_code) - 1);
    fclose(f);
    signal(SIGPIPE, SIG_IGN);
}

static void teardown(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

// ---- Without a terminal

static char out[8 << 20], messages[65536];

static size_t slurp(const char *name, char *buf, size_t size)
{
    char path[64];
    FILE *f;
    size_t n;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "rb");
    n = f ? fread(buf, 1, size - 1, f) : 0;
    buf[n] = '\0';
    if (f)
        fclose(f);
    return n;
}

static pid_t start(const char *const args[], int in)
{
    pid_t pid = fork();

    if (pid == 0) {
        char path[64], *argv[24] = { ring3 };

        for (int i = 0; args[i]; i++)
            argv[i + 1] = (char *)args[i];
        dup2(in, 0);
        snprintf(path, sizeof(path), "%s/out", dir);
        dup2(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
        snprintf(path, sizeof(path), "%s/messages", dir);
        dup2(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
        execv(ring3, argv);
        _exit(126);
    }
    ck_assert_int_gt(pid, 0);
    return pid;
}

// The wait status of a child that must end soon.
static int reap(pid_t pid)
{
    int status;

    for (double end = now() + 60; waitpid(pid, &status, WNOHANG) == 0; usleep(2000))
        if (now() > end) {
            kill(pid, SIGKILL);
            ck_abort_msg("ring3 does not end");
        }
    return status;
}

// Runs it with standard input from fd; the exit status. Output goes to out, messages to messages.
static int run_from(int fd, const char *const args[], size_t *len)
{
    int status = reap(start(args, fd));

    *len = slurp("out", out, sizeof(out));
    slurp("messages", messages, sizeof(messages));
    ck_assert_msg(WIFEXITED(status), "died of signal %d: %s", WTERMSIG(status), messages);
    return WEXITSTATUS(status);
}

static int run(const char *const args[])
{
    int fd = open("/dev/null", O_RDONLY), status;
    size_t len;

    status = run_from(fd, args, &len);
    close(fd);
    return status;
}
#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void refused(const char *const args[], int status, const char *words)
{
    int got = run(args);

    ck_assert_msg(got == status && strstr(messages, words), "status %d, not %d with \"%s\": %s",
                  got,
                  status, words, messages);
    // One sentence on one line.
    ck_assert_ptr_eq(strchr(messages, '\n'), messages + strlen(messages) - 1);
}

START_TEST(test_bad_input)
{
    char bad[64], missing[80];

    snprintf(bad, sizeof(bad), "%s/bad", dir);
    fclose(fopen(bad, "w"));
    snprintf(missing, sizeof(missing), "%s/no/such/log", dir);
    refused(ARGS("-kernl", "x"), EXIT_USAGE, "did you mean -kernel?");
    refused(ARGS("-kernel", "/no/such"), EXIT_INPUT, "/no/such: No such file");
    refused(ARGS("-kernel", bad), EXIT_INPUT, "is empty");
    refused(ARGS("-kernel", ring3), EXIT_INPUT, "64-bit ELF");
    refused(ARGS("-kernel", echo_bin, "-m", "1"), EXIT_USAGE, "too little memory");
    refused(ARGS("-kernel", echo_bin, "-m", "0"), EXIT_USAGE, "too little memory");
    refused(ARGS("-kernel", echo_bin, "-m", "5G"), EXIT_USAGE, "too much memory");
    refused(ARGS("-kernel", echo_bin, "-cpu", "z80"), EXIT_USAGE, "-cpu z80");
    refused(ARGS("-kernel", echo_bin, "-accel", "magic"), EXIT_USAGE, "-accel magic");
    refused(ARGS("-kernel", echo_bin, "-serial", "tape"), EXIT_USAGE, "-serial tape");
    refused(ARGS("-kernel", echo_bin, "-serial", "unix:"), EXIT_USAGE, "characters");
    refused(ARGS("-kernel", echo_bin, "-serial", "unix:/x,colour=red"), EXIT_USAGE, "colour=red");
    refused(ARGS("-kernel", echo_bin, "-serial", "unix:/no/such/socket"), EXIT_HOST, "connect");
    refused(ARGS("-kernel", echo_bin, "-serial", "file:/no/such/file"), EXIT_HOST, "cannot write");
    refused(ARGS("-kernel", echo_bin, "-D", missing), EXIT_HOST, "cannot write the log");
    refused(ARGS("-kernel", echo_bin, "-initrd", bad), EXIT_USAGE, "takes no initrd");
    refused(ARGS("-kernel", echo_bin, "-timeout", "1"), EXIT_TIMEOUT, "time limit");
}
END_TEST

START_TEST(test_help_and_version)
{
    size_t len;
    int fd = open("/dev/null", O_RDONLY);

    ck_assert_int_eq(run_from(fd, ARGS("--help"), &len), 0);
    ck_assert_ptr_nonnull(strstr(out, "-kernel FILE"));
    ck_assert_int_eq(run_from(fd, ARGS("--version"), &len), 0);
    ck_assert_int_eq(strncmp(out, "ring3 ", 6), 0);
    close(fd);
}
END_TEST

START_TEST(test_megabyte_through_pipe)
{
    static char data[1 << 20];
    size_t len;
    int pipes[2];
    pid_t feeder;

    // All values but 0, which ends the guest, and Ctrl-a, which is an escape.
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i % 254 + 2);
    data[sizeof(data) - 1] = 0;
    ck_assert_int_eq(pipe(pipes), 0);
    feeder = fork();
    if (feeder == 0) {
        close(pipes[0]);
        _exit(write(pipes[1], data, sizeof(data)) != sizeof(data));
    }
    close(pipes[1]);
    // The faster engine, whichever that is.
    ck_assert_int_eq(run_from(pipes[0], ARGS("-kernel", echo_bin, "-m", "4", DEVICE), &len), 3);
    ck_assert_int_eq(reap(feeder), 0);
    ck_assert_uint_eq(len, sizeof(data));
    ck_assert_mem_eq(out, data, sizeof(data));
}
END_TEST

START_TEST(test_file_and_escapes)
{
    char path[64];
    size_t len;
    FILE *f;
    int fd;

    // A plain file for input; Ctrl-a twice is one for the guest; and Ctrl-a x quits.
    snprintf(path, sizeof(path), "%s/in", dir);
    f = fopen(path, "wb");
    ck_assert_uint_eq(fwrite("ab\1\1cd\1qe\0", 1, 10, f), 10);
    fclose(f);
    fd = open(path, O_RDONLY);
    ck_assert_int_eq(run_from(fd, ARGS("-kernel", echo_bin, "-m", "4", DEVICE), &len), 3);
    ck_assert_uint_eq(len, 9);
    ck_assert_mem_eq(out, "ab\1cd\1qe\0", 9);
    close(fd);
    f = fopen(path, "wb");
    ck_assert_uint_eq(fwrite("\1x", 1, 2, f), 2);
    fclose(f);
    fd = open(path, O_RDONLY);
    ck_assert_int_eq(run_from(fd, ARGS("-kernel", echo_bin, "-m", "4", "-timeout", "20"), &len), 0);
    close(fd);
}
END_TEST

START_TEST(test_unix_socket)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    char serial[160], got[4] = { 0 };
    int fd = -1, null = open("/dev/null", O_RDONLY), tries = 0;
    struct stat st;
    pid_t pid;

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/socket", dir);
    snprintf(serial, sizeof(serial), "unix:%s,server=on,wait=off", addr.sun_path);
    pid = start(ARGS("-kernel", echo_bin, "-m", "4", "-serial", serial, "-timeout", "20", DEVICE),
                null);
    do {
        if (fd >= 0)
            close(fd);
        usleep(20000);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
    } while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 && ++tries < 500);
    ck_assert_int_eq(write(fd, "x", 1), 1);
    ck_assert_int_eq(read(fd, got, 1), 1);
    ck_assert_int_eq(got[0], 'x');
    // The next one to connect is served too. Ctrl-a means nothing here.
    close(fd);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    ck_assert_int_eq(write(fd, "\1x\0", 3), 3);
    ck_assert_int_eq(recv(fd, got, 3, MSG_WAITALL), 3);
    ck_assert_mem_eq(got, "\1x\0", 3);
    ck_assert_int_eq(WEXITSTATUS(reap(pid)), 3);
    ck_assert_int_lt(lstat(addr.sun_path, &st), 0);
    close(fd);
    close(null);
}
END_TEST

START_TEST(test_terminated)
{
    int null = open("/dev/null", O_RDONLY), status;
    pid_t pid = start(ARGS("-kernel", echo_bin, "-m", "4"), null);

    usleep(300000);
    kill(pid, SIGTERM);
    status = reap(pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    close(null);
}
END_TEST

// ---- On a terminal

static int master;
static struct termios before;
static char seen[65536];
static size_t seen_len;

static pid_t start_on_terminal(void)
{
    struct termios tio;
    pid_t pid;
    int slave;

    ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
    tcgetattr(slave, &before);
    seen_len = 0;
    pid = fork();
    if (pid == 0) {
        close(master);
        setsid();
        ioctl(slave, TIOCSCTTY, 0);
        for (int fd = 0; fd < 3; fd++)
            dup2(slave, fd);
        close(slave);
        execl(ring3, ring3, "-kernel", echo_bin, "-m", "4", "-timeout", "25", "-no-reboot", DEVICE,
              NULL);
        _exit(126);
    }
    // Raw before anything is typed. (The slave's attributes are seen through the master.)
    for (int i = 0; i < 1000; i++) {
        tcgetattr(master, &tio);
        if (!(tio.c_lflag & ICANON))
            break;
        usleep(10000);
    }
    ck_assert_uint_eq(tio.c_lflag & (ICANON | ISIG | ECHO), 0);
    close(slave);
    return pid;
}

static void type(const char *text, size_t len)
{
    ck_assert_int_eq(write(master, text, len), (ssize_t)len);
}
#define TYPE(text) type(text, sizeof(text) - 1)

// Waits until the terminal shows text, and forgets what came up to it.
static void expect(const char *text)
{
    struct pollfd fd = { .fd = master, .events = POLLIN };
    char *found;

    for (double end = now() + 15;;) {
        ssize_t n;

        seen[seen_len] = '\0';
        if ((found = strstr(seen, text)))
            break;
        ck_assert_msg(now() < end && poll(&fd, 1, 15000) > 0, "no \"%s\" in \"%s\"", text, seen);
        n = read(master, seen + seen_len, sizeof(seen) - 1 - seen_len);
        ck_assert_msg(n > 0, "terminal closed; no \"%s\" in \"%s\"", text, seen);
        seen_len += (size_t)n;
    }
    found += strlen(text);
    seen_len -= (size_t)(found - seen);
    memmove(seen, found, seen_len);
}

static void check_restored(void)
{
    struct termios tio;

    tcgetattr(master, &tio);
    ck_assert_uint_eq(tio.c_lflag, before.c_lflag);
    ck_assert_uint_eq(tio.c_iflag, before.c_iflag);
    ck_assert_uint_eq(tio.c_oflag, before.c_oflag);
}

START_TEST(test_terminal_console)
{
    pid_t pid = start_on_terminal();
    int status;

    TYPE("hello\3\1\1");
    expect("hello\3\1");
    TYPE("\1h");
    expect("Ctrl-a x");
    TYPE("\1c");
    expect("(ring3) ");
    TYPE("info regx\b");
    TYPE("isters\r");
    expect("eip");
    expect("(ring3) ");
    TYPE("nonsense\r");
    expect("unknown command nonsense");
    TYPE("help\r");
    expect("system_powerdown");
    // Stopped, the guest echoes nothing; what was typed to it waits.
    TYPE("stop\r");
    expect("(ring3) ");
    TYPE("\1cwait\1c");
    expect("(ring3) ");
    TYPE("info stats\r");
    expect("port accesses");
    ck_assert_ptr_null(strstr(seen, "wait"));
    TYPE("cont\r");
    expect("wait");
    TYPE("quit\r");
    status = reap(pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_restored();
}
END_TEST

START_TEST(test_terminal_quit)
{
    pid_t pid = start_on_terminal();
    int status;

    TYPE("\1x");
    status = reap(pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_restored();
}
END_TEST

START_TEST(test_terminal_debug_exit)
{
    pid_t pid = start_on_terminal();

    type("", 1); // the byte 0
    ck_assert_int_eq(WEXITSTATUS(reap(pid)), 3);
    check_restored();
}
END_TEST

static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGSEGV, SIGABRT, SIGBUS, SIGQUIT, SIGFPE };

START_TEST(test_terminal_signals)
{
    pid_t pid = start_on_terminal();
    int status;

    kill(pid, signals[_i]);
    status = reap(pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == signals[_i], "status %#x", status);
    check_restored();
}
END_TEST

START_TEST(test_terminal_stop_and_continue)
{
    pid_t pid = start_on_terminal();
    struct termios tio;
    int status;

    kill(pid, SIGTSTP);
    ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
    ck_assert(WIFSTOPPED(status));
    check_restored();
    kill(pid, SIGCONT);
    for (int i = 0; i < 500; i++) {
        tcgetattr(master, &tio);
        if (!(tio.c_lflag & ICANON))
            break;
        usleep(10000);
    }
    TYPE("again");
    expect("again");
    ck_assert_uint_eq(tio.c_lflag & (ICANON | ISIG | ECHO), 0);
    TYPE("\1x");
    ck_assert_int_eq(WEXITSTATUS(reap(pid)), 0);
    check_restored();
}
END_TEST

START_TEST(test_terminal_hangup)
{
    pid_t pid = start_on_terminal();
    int status;

    // The terminal goes away altogether.
    close(master);
    status = reap(pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP);
}
END_TEST

START_TEST(test_output_blocked)
{
    pid_t pid = start_on_terminal();
    char text[4000];

    // Nobody reads what the guest echoes, until the terminal is full; Ctrl-a x is seen all the
    // same.
    memset(text, 'y', sizeof(text));
    for (int i = 0; i < 20; i++) {
        type(text, sizeof(text));
        usleep(20000);
    }
    TYPE("\1x");
    for (int i = 0; i < 100; i++) {
        usleep(20000);
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return;
    }
    // Some terminals finish the last write first.
    expect("y");
    reap(pid);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("front");
    TCase *tcase = tcase_create("command");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 90);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_bad_input);
    tcase_add_test(tcase, test_help_and_version);
    tcase_add_test(tcase, test_megabyte_through_pipe);
    tcase_add_test(tcase, test_file_and_escapes);
    tcase_add_test(tcase, test_unix_socket);
    tcase_add_test(tcase, test_terminated);
    tcase_add_test(tcase, test_terminal_console);
    tcase_add_test(tcase, test_terminal_quit);
    tcase_add_test(tcase, test_terminal_debug_exit);
    tcase_add_loop_test(tcase, test_terminal_signals, 0, ARRAY_LEN(signals));
    tcase_add_test(tcase, test_terminal_stop_and_continue);
    tcase_add_test(tcase, test_terminal_hangup);
    tcase_add_test(tcase, test_output_blocked);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
