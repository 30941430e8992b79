// SPDX-License-Identifier: GPL-2.0-or-later
// Runs workloads on request, and reports each on the standard output:
//   suite FOLDER            as a program: FOLDER holds `list`, bin/ and is where everything happens
//   as /init of a guest     the folder is /bench; the machine is switched off at the end
// The driver names the next one on the standard input, a name a line, so that several machines can take turns; the end
// of the input, or a dot, ends it. A line of the list is NAME, KIND, SECONDS and a command, separated by tabs. KIND is
//   self    the command measures itself and prints "NANOSECONDS CHECKSUM"
//   cmd     the command is measured from fork to wait; its standard output's checksum counts
//   file    not measured: run before anything else, the standard output lands in the file NAME
// The report is read by the driver, which also notes when each line came:
//   @start / @begin NAME / @end NAME NANOSECONDS CHECKSUM DELAY WHOLE / @fail NAME why / @done
// DELAY: the nanoseconds for which the command's process waited for a CPU. WHOLE: those from fork to wait.
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
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX 64
#define JOBS_MAX 256

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

// For how long a process has waited for a CPU: the second number of its schedstat, which is there until it is reaped.
static unsigned long long delay_of(pid_t pid)
{
    unsigned long long ran, waited = 0;
    char path[64];
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
    f = fopen(path, "r");
    if (!f)
        return 0;
    if (fscanf(f, "%llu %llu", &ran, &waited) != 2)
        waited = 0;
    fclose(f);
    return waited;
}

// Waits for `pid`, and kills its group when it has run for too long. False then.
static bool await(pid_t pid, unsigned seconds, int *status, const sigset_t *chld)
{
    struct timespec limit = {.tv_sec = seconds};

    for (;;) {
        siginfo_t info = {0};

        if (!waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid == pid)
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
    unsigned long long ns, delay;
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
    delay = delay_of(pid);
    if (ended)
        waitpid(pid, &status, 0);
    if (!ended || !WIFEXITED(status) || WEXITSTATUS(status)) {
        say("@fail %s %s %d\n", job->name, ended ? "status" : "time limit", ended ? status : (int)job->seconds);
        return;
    }
    if (self) {
        f = fopen(output, "r");
        if (!f || fscanf(f, "%llu %x", &ns, &sum) != 2)
            say("@fail %s no result\n", job->name);
        else
            say("@end %s %llu %08x %llu %llu\n", job->name, ns, sum, delay, (unsigned long long)(end - begin));
        if (f)
            fclose(f);
    } else if (!file) {
        // The checksum comes after the marker: the driver compares the marker's time with ours.
        say("@end %s %llu ", job->name, (unsigned long long)(end - begin));
        say("%08x %llu %llu\n", checksum(output), delay, (unsigned long long)(end - begin));
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

// Lines as they are: nothing is sent back.
static void make_raw(void)
{
    struct termios t;

    if (tcgetattr(0, &t))
        return;
    cfmakeraw(&t);
    t.c_iflag |= ICRNL;
    t.c_oflag |= OPOST;
    t.c_lflag |= ICANON;
    tcsetattr(0, TCSANOW, &t);
}

static unsigned read_list(const char *folder, struct job *jobs)
{
    unsigned count = 0;
    char line[4096];
    FILE *f;

    if (chdir(folder) || !(f = fopen("list", "r"))) {
        say("@fail suite no list\n");
        exit(1);
    }
    while (count < JOBS_MAX && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] && line[0] != '#' && parse(strdup(line), &jobs[count]))
            count++;
    }
    fclose(f);
    return count;
}

int main(int argc, char **argv)
{
    static struct job jobs[JOBS_MAX];
    bool init = getpid() == 1;
    unsigned count, i;
    sigset_t set;
    char line[256];

    if (init)
        become_init();
    make_raw();
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    count = read_list(argc > 1 && !init ? argv[1] : "/bench", jobs);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (i = 0; i < count; i++)
        if (!strcmp(jobs[i].kind, "file"))
            run(&jobs[i], &set);
    say("\n@start\n"); // behind whatever firmware left on the line
    while (fgets(line, sizeof(line), stdin) && line[0] != '.') {
        line[strcspn(line, "\n")] = 0;
        for (i = 0; i < count && strcmp(jobs[i].name, line); i++)
            ;
        if (i < count)
            run(&jobs[i], &set);
        else
            say("@fail %s not in the list\n", line);
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
