// SPDX-License-Identifier: GPL-2.0-or-later
// Servers as children: what they get, what they say, how they end. This program is the server, too: with an argument it
// does what that says.
#include "monitor/dev/nbd_server.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char self[] = "/proc/self/exe", folder[] = "/tmp/ring3-nbd-test-XXXXXX";
static struct nbd_server server = { .said = -1 };

// ---- The server's side

// What it has been given, on one line for its client.
static int report(int fd)
{
    const char *fds = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID"), *names = getenv("LISTEN_FDNAMES");
    unsigned open_fds = 0; // beyond the standard streams
    char line[256];
    sigset_t set;

    for (int i = 3; i < 256; i++)
        open_fds += i != fd && fcntl(i, F_GETFD) >= 0;
    sigprocmask(SIG_BLOCK, NULL, &set);
    snprintf(line, sizeof(line), "fds=%s pid=%d names=%d group=%d blocked=%d ignored=%d open=%u kept=%s\n", fds ? fds : "none",
             pid && atoi(pid) == getpid(), names != NULL, getpgrp() == getpid(), sigismember(&set, SIGTERM),
             signal(SIGPIPE, SIG_DFL) == SIG_IGN, open_fds, getenv("RING3_TEST") ? getenv("RING3_TEST") : "none");
    return write(fd, line, strlen(line)) > 0 ? 0 : 1;
}

static const char *start(char *what);

static int try_places(void)
{
    for (int taken = 0; taken < 2; taken++) {
        for (int fd = 3; fd < 256; fd++)
            close(fd);
        for (int i = 0; taken && i < 10; i++)
            if (dup(2) < 0)
                return 1;
        if (!strstr(start("report"), "fds=1 pid=1 "))
            return 1;
        nbd_server_end(&server, 1000);
    }
    return 0;
}

static int serve(int argc, char **argv)
{
    int fd;

    if (strcmp(argv[1], "places") == 0)
        return try_places();
    if (strcmp(argv[1], "says") == 0) {
        for (int i = 2; i < argc; i++)
            printf("%s\n", argv[i]);
        return 1;
    }
    if (strcmp(argv[1], "stubborn") == 0)
        signal(SIGTERM, SIG_IGN);
    fd = accept(3, NULL, NULL);
    if (fd < 0 || report(fd) != 0)
        return 1;
    for (;;)
        pause();
}

// ---- Tests

static void setup(void)
{
    server = (struct nbd_server){ .said = -1 };
    strcpy(folder + sizeof(folder) - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    setenv("TMPDIR", folder, 1);
}

static void teardown(void)
{
    nbd_server_end(&server, 1000);
    ck_assert_msg(rmdir(folder) == 0, "something was left in %s", folder);
}

static u64 now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000 + (u64)t.tv_nsec / 1000000;
}

// Starts this program with an argument; what it answers, as a string.
static const char *start(char *what)
{
    static char line[256];
    char *argv[] = { self, what, NULL };
    int fd = nbd_server_start(&server, argv);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

    line[n < 0 ? 0 : n] = '\0';
    if (fd >= 0)
        close(fd);
    return line;
}

static void says(char *first, char *second, const char *wanted)
{
    char *argv[] = { self, "says", first, second, NULL }, text[64];
    int fd = nbd_server_start(&server, argv);
    char byte;

    // It ends without having accepted: so does the connection.
    ck_assert_int_ge(fd, 0);
    ck_assert_int_le(read(fd, &byte, 1), 0);
    close(fd);
    nbd_server_complaint(&server, text, sizeof(text));
    ck_assert_str_eq(text, wanted);
    nbd_server_end(&server, 1000);
    ck_assert(server.pid == 0 && server.said == -1);
}

START_TEST(what_it_gets)
{
    sigset_t all;

    // Ours, which are not for it.
    setenv("LISTEN_FDS", "7", 1);
    setenv("LISTEN_PID", "1", 1);
    setenv("LISTEN_FDNAMES", "x", 1);
    setenv("RING3_TEST", "yes", 1);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGPIPE, SIG_IGN);
    for (int fd = 3; fd < 256; fd++) // Check's own
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    // The listening socket is all that is open.
    ck_assert_str_eq(start("report"), "fds=1 pid=1 names=0 group=1 blocked=0 ignored=0 open=1 kept=yes\n");
    ck_assert_str_eq(getenv("LISTEN_FDS"), "7");
}
END_TEST

// The listening socket's number is free already, and is not: in a process of its own, for Check has files open, too.
START_TEST(socket_at_its_place)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execl(self, self, "places", NULL);
        _exit(1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(complaints)
{
    says("one thing", "and another", "one thing");
    says("program: what is wrong: this", NULL, "what is wrong: this"); // without its name
    says("this is wrong: that", NULL, "this is wrong: that");
    says("nbdkit: curl[1]: error: no such server", NULL, "no such server");
    says("nbdkit: error: no such plugin", NULL, "no such plugin");
    says("nbdkit: not an error: this", NULL, "not an error: this");
    says("", NULL, "its server has ended without a word");
    says(NULL, NULL, "its server has ended without a word");
    says("a line of more characters than there is room for in the text that it goes to", NULL,
         "a line of more characters than there is room for in the text th");
}
END_TEST

START_TEST(no_program)
{
    char *argv[] = { "ring3-no-such-program", NULL }, text[128], byte;
    int fd = nbd_server_start(&server, argv);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_le(read(fd, &byte, 1), 0);
    close(fd);
    nbd_server_complaint(&server, text, sizeof(text));
    ck_assert_str_eq(text, "ring3-no-such-program cannot be run: No such file or directory");
}
END_TEST

START_TEST(no_folder)
{
    char *argv[] = { self, "report", NULL };

    setenv("TMPDIR", "/nonexistent", 1);
    errno = 0;
    ck_assert_int_eq(nbd_server_start(&server, argv), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(server.pid, 0);
    // One that is too long for a socket's address is passed by.
    setenv("TMPDIR", "/a-folder-whose-name-is-so-long-that-no-socket-could-be-bound-to-a-file-in-it", 1);
    ck_assert_str_ne(start("report"), "");
}
END_TEST

START_TEST(ends)
{
    pid_t pid;
    u64 before;

    nbd_server_end(&server, 1000); // none
    ck_assert_str_ne(start("report"), "");
    pid = server.pid;
    before = now_ms();
    nbd_server_end(&server, 5000);
    ck_assert_uint_lt(now_ms() - before, 4000);
    ck_assert(server.pid == 0 && server.said == -1);
    ck_assert(waitpid(pid, NULL, 0) < 0 && errno == ECHILD); // no zombie
    // It does not want to.
    ck_assert_str_ne(start("stubborn"), "");
    pid = server.pid;
    before = now_ms();
    nbd_server_end(&server, 100);
    ck_assert_uint_ge(now_ms() - before, 95);
    ck_assert(kill(pid, 0) < 0 && errno == ESRCH);
    // It has ended by itself.
    ck_assert_str_ne(start("report"), "");
    pid = server.pid;
    kill(pid, SIGKILL);
    nbd_server_end(&server, 1000);
    ck_assert(waitpid(pid, NULL, 0) < 0 && errno == ECHILD);
    // It is stopped, and nobody waits.
    ck_assert_str_ne(start("report"), "");
    pid = server.pid;
    kill(pid, SIGSTOP);
    nbd_server_end(&server, 0);
    ck_assert(kill(pid, 0) < 0 && errno == ESRCH);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *s;
    TCase *tc;
    SRunner *runner;
    int failed;

    if (argc > 1)
        return serve(argc, argv);
    s = suite_create("nbd_server");
    tc = tcase_create("nbd_server");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_it_gets);
    tcase_add_test(tc, socket_at_its_place);
    tcase_add_test(tc, complaints);
    tcase_add_test(tc, no_program);
    tcase_add_test(tc, no_folder);
    tcase_add_test(tc, ends);
    suite_add_tcase(s, tc);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
