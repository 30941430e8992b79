// SPDX-License-Identifier: GPL-2.0-or-later
// Runs a list of workloads one after the other, and reports each on the standard output:
//   suite FOLDER            as a program: FOLDER holds `list`, bin/ and is where everything happens
//   as /init of a guest     the folder is /bench; the machine is switched off at the end
// A line of the list is NAME, KIND, SECONDS and a command, separated by tabs. KIND is
//   self    the command measures itself and prints "NANOSECONDS CHECKSUM"
//   cmd     the command is measured from fork to wait; its standard output's checksum counts
//   file    not measured: the standard output lands in the file NAME
// The report is read by the driver, which also notes when each line came:
//   @begin NAME / @end NAME NANOSECONDS CHECKSUM / @fail NAME why / @done
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX 64

struct job {
    char *name, *kind;
    unsigned seconds; // after which it is killed
    char *argv[ARGS_MAX + 1];
};

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// One write a line: nothing of the guest kernel's lands inside it.
static void say(const char *format, ...)
{
    char line[512];
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (write(1, line, (size_t)size) < 0)
        exit(1);
}

static uint32_t checksum(const char *file)
{
    uint32_t sum = 2166136261u;
    unsigned char buffer[16384];
    ssize_t size;
    int fd = open(file, O_RDONLY);

    while (fd >= 0 && (size = read(fd, buffer, sizeof(buffer))) > 0)
        for (ssize_t i = 0; i < size; i++)
            sum = (sum ^ buffer[i]) * 16777619u;
    if (fd >= 0)
        close(fd);
    return sum;
}

static bool parse(char *line, struct job *job)
{
    int count = 0;
    char *field;

    job->name = strsep(&line, "\t");
    job->kind = strsep(&line, "\t");
    field = strsep(&line, "\t");
    if (!field || !line)
        return false;
    job->seconds = (unsigned)strtoul(field, NULL, 10);
    while (line && count < ARGS_MAX)
        job->argv[count++] = strsep(&line, "\t");
    job->argv[count] = NULL;
    return true;
}

static void child(const struct job *job, const char *output, const sigset_t *chld)
{
    int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    int null = open("/dev/null", O_RDONLY);

    setpgid(0, 0);
    sigprocmask(SIG_UNBLOCK, chld, NULL);
    if (fd < 0 || dup2(fd, 1) < 0)
        _exit(126);
    if (null >= 0)
        dup2(null, 0);
    execvp(job->argv[0], job->argv);
    _exit(127);
}

// Waits for `pid`, and kills its group when it has run for too long. False then.
static bool await(pid_t pid, unsigned seconds, int *status, const sigset_t *chld)
{
    struct timespec limit = {.tv_sec = seconds};

    for (;;) {
        if (waitpid(pid, status, WNOHANG) == pid)
            return true;
        if (sigtimedwait(chld, NULL, &limit) < 0 && errno == EAGAIN) {
            kill(-pid, SIGKILL);
            waitpid(pid, status, 0);
            return false;
        }
    }
}

// `chld` holds SIGCHLD alone; it is blocked here.
static void run(const struct job *job, const sigset_t *chld)
{
    bool file = !strcmp(job->kind, "file"), self = !strcmp(job->kind, "self"), ended;
    const char *output = file ? job->name : "output";
    unsigned long long ns;
    uint64_t begin, end;
    uint32_t sum;
    int status;
    FILE *f;
    pid_t pid;

    if (!file)
        say("@begin %s\n", job->name);
    begin = now();
    pid = fork();
    if (pid == 0)
        child(job, output, chld);
    ended = await(pid, job->seconds, &status, chld);
    end = now();
    if (!ended || !WIFEXITED(status) || WEXITSTATUS(status)) {
        say("@fail %s %s %d\n", job->name, ended ? "status" : "time limit", ended ? status : (int)job->seconds);
        return;
    }
    if (self) {
        f = fopen(output, "r");
        if (!f || fscanf(f, "%llu %x", &ns, &sum) != 2)
            say("@fail %s no result\n", job->name);
        else
            say("@end %s %llu %08x\n", job->name, ns, sum);
        if (f)
            fclose(f);
    } else if (!file) {
        // The checksum comes after the marker: the driver compares the marker's time with ours.
        say("@end %s %llu ", job->name, (unsigned long long)(end - begin));
        say("%08x\n", checksum(output));
    }
}

static void become_init(void)
{
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sys", "/sys", "sysfs", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    mount("tmp", "/tmp", "tmpfs", 0, NULL);
    setenv("PATH", "/bench/bin:/bin", 1);
    setenv("HOME", "/bench", 1);
    setenv("LC_ALL", "C", 1);
    setenv("OPENSSL_CONF", "/dev/null", 1);
    setenv("OPENSSL_ia32cap", "0:0", 1);
}

int main(int argc, char **argv)
{
    bool init = getpid() == 1;
    sigset_t set;
    struct job job;
    char line[4096];
    FILE *f;

    if (init)
        become_init();
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (chdir(argc > 1 && !init ? argv[1] : "/bench") || !(f = fopen("list", "r"))) {
        say("@fail suite no list\n");
        return 1;
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
    say("@start\n");
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] && line[0] != '#' && parse(line, &job))
            run(&job, &set);
    }
    say("@done\n");
    if (init) {
        sync();
        reboot(RB_POWER_OFF);
        for (;;)
            pause();
    }
    return 0;
}
