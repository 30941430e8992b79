// SPDX-License-Identifier: GPL-2.0-or-later
// Talks to a program on its console, as `expect` does:
//
//   talk [-t] [-l LOG] SCRIPT PROGRAM ARGUMENT...
//
// The program's output (standard output and error) is copied to LOG. -t gives it a terminal of its own instead
// of pipes. Lines of the script:
//
//   wait SECONDS TEXT     until TEXT appears in the output, behind what an earlier wait has matched
//   send TEXT             TEXT and a carriage return; \xHH, \n, \r and \\ are understood
//   type TEXT             the same without the carriage return
//   paste BYTES           that many bytes of text in lines of 64, at full speed
//   drift MS FROM TO COMMAND   sends COMMAND (which prints "clock SECONDS.FRACTION") twice, FROM seconds and TO
//                         seconds after now, and fails if the guest's clock went more than MS milliseconds
//                         wrong against the host's between the two
//   screen SECONDS TEXT   until TEXT is on the guest's text screen (ring3's screentext, through Ctrl-a c)
//   monitor COMMAND       gives a command to ring3's prompt, as: sendkey ret, type ls -l
//   exit STATUS SECONDS   the program ends by itself, with this status, within this time
//
// A script that ends without `exit` kills the program. Exit status 0: every line came true.
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

struct talk {
    pid_t pid;
    int in, out;       // the program's standard input and output, our ends; out -1: closed
    FILE *log;
    char *text;        // all output so far, zero-terminated
    size_t len, room;
    size_t matched;    // what earlier waits have used up
    const char *script;
    int line;
};

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

_Noreturn __attribute__((format(printf, 2, 3))) static void fail(struct talk *t, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s:%d: ", t->script, t->line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    // The end of the output tells most.
    fprintf(stderr, "\n---- the last of %zu bytes of output:\n%s\n----\n", t->len,
            t->len > 3000 ? t->text + t->len - 3000 : t->text ? t->text : "");
    if (t->pid > 0) {
        int status;

        usleep(50000);
        if (waitpid(t->pid, &status, WNOHANG) == t->pid)
            fprintf(stderr, "The program ended with %s %d.\n", WIFSIGNALED(status) ? "signal" : "exit status",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        else
            kill(t->pid, SIGKILL);
    }
    exit(1);
}

// Reads what the program writes, waiting at most `seconds` for it. False if there was nothing.
static bool pump(struct talk *t, double seconds)
{
    struct pollfd p = { .fd = t->out, .events = POLLIN };
    ssize_t n;

    if (t->out < 0 || poll(&p, 1, seconds > 0 ? (int)(seconds * 1000) + 1 : 0) <= 0)
        return false;
    if (t->len + 65536 > t->room) {
        t->room = t->room * 2 + 131072;
        t->text = realloc(t->text, t->room);
        if (!t->text)
            abort();
    }
    n = read(t->out, t->text + t->len, 65535);
    if (n <= 0) {
        close(t->out);
        t->out = -1;
        return false;
    }
    fwrite(t->text + t->len, 1, (size_t)n, t->log);
    fflush(t->log);
    for (ssize_t i = 0; i < n; i++) // strstr must see past zeros
        if (!t->text[t->len + (size_t)i])
            t->text[t->len + (size_t)i] = '?';
    t->len += (size_t)n;
    t->text[t->len] = 0;
    return true;
}

// Waits for text; t->matched is then behind it.
static void await(struct talk *t, double seconds, const char *text)
{
    double end = now() + seconds;

    for (;;) {
        char *found = t->text ? strstr(t->text + t->matched, text) : NULL;

        if (found) {
            t->matched = (size_t)(found - t->text) + strlen(text);
            return;
        }
        if (t->out < 0)
            fail(t, "the program ended before it printed \"%s\"", text);
        if (now() > end)
            fail(t, "no \"%s\" within %.0f s", text, seconds);
        pump(t, end - now());
    }
}

// Writes all of it, reading meanwhile, so that neither side blocks the other.
static void put(struct talk *t, const char *bytes, size_t len)
{
    double end = now() + 120;

    while (len > 0) {
        ssize_t n = write(t->in, bytes, len);

        if (n < 0 && errno != EAGAIN)
            fail(t, "the program takes no more input");
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
        if (now() > end)
            fail(t, "the program has not taken %zu bytes of input within 120 s", len);
        while (pump(t, n > 0 ? 0 : 0.01))
            continue;
    }
}

// Resolves the escapes in place; returns the length.
static size_t unescape(char *s)
{
    char *from = s, *to = s;

    while (*from) {
        unsigned code;

        if (from[0] == '\\' && from[1] == 'x' && sscanf(from + 2, "%2x", &code) == 1) {
            *to++ = (char)code;
            from += 4;
        } else if (from[0] == '\\' && from[1]) {
            *to++ = from[1] == 'n' ? '\n' : from[1] == 'r' ? '\r' : from[1];
            from += 2;
        } else {
            *to++ = *from++;
        }
    }
    return (size_t)(to - s);
}

static void paste(struct talk *t, size_t bytes)
{
    char line[65];
    unsigned seed = 1;

    while (bytes > 0) {
        size_t n = bytes < 64 ? bytes : 64;

        for (size_t i = 0; i + 1 < n; i++) {
            seed = seed * 1103515245 + 12345;
            line[i] = (char)('a' + (seed >> 16) % 26);
        }
        line[n - 1] = '\n';
        put(t, line, n);
        bytes -= n;
    }
}

// One reading of the guest's clock against the host's: their difference in seconds.
static double clock_offset(struct talk *t, const char *command)
{
    struct timespec ts;
    double best = 1e9, value = 0;

    // The quickest of a few answers is the least disturbed one.
    for (int i = 0; i < 8; i++) {
        double asked = now(), took, guest;
        char *found;

        put(t, command, strlen(command));
        put(t, "\r", 1);
        // The echo of the command has no digit behind "clock ".
        do {
            await(t, 20, "clock ");
            while (!strpbrk(t->text + t->matched, "\r\n") && pump(t, 5))
                continue;
            found = t->text + t->matched;
        } while (!isdigit((unsigned char)*found));
        took = now() - asked;
        clock_gettime(CLOCK_REALTIME, &ts);
        guest = strtod(found, NULL);
        if (took < best) {
            best = took;
            value = guest - (ts.tv_sec + ts.tv_nsec / 1e9 - took / 2);
        }
    }
    printf("%s:%d: guest clock - host clock = %.3f ms (asked and answered in %.3f ms)\n", t->script, t->line,
           value * 1e3, best * 1e3);
    return value;
}

static void drift(struct talk *t, double ms, double from, double to, const char *command)
{
    double start = now(), first, second;

    while (now() < start + from)
        if (!pump(t, start + from - now()) && t->out < 0)
            fail(t, "the program ended");
    first = clock_offset(t, command);
    while (now() < start + to)
        if (!pump(t, start + to - now()) && t->out < 0)
            fail(t, "the program ended");
    second = clock_offset(t, command);
    if ((second - first) * 1e3 > ms || (first - second) * 1e3 > ms)
        fail(t, "the guest's clock drifted by %.3f ms in %.0f s", (second - first) * 1e3, to - from);
}

static void expect_exit(struct talk *t, int wanted, double seconds)
{
    double end = now() + seconds;
    int status;

    for (;;) {
        pid_t pid = waitpid(t->pid, &status, WNOHANG);

        if (pid == t->pid)
            break;
        if (now() > end)
            fail(t, "the program has not ended within %.0f s", seconds);
        if (!pump(t, 0.05))
            usleep(10000);
    }
    while (pump(t, 0.1))
        continue;
    t->pid = -1;
    if (WIFSIGNALED(status))
        fail(t, "the program was ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != wanted)
        fail(t, "exit status %d, not %d", WEXITSTATUS(status), wanted);
}

static void start(struct talk *t, bool terminal, char **argv)
{
    int in[2], out[2];

    if (terminal) {
        struct winsize size = { .ws_row = 25, .ws_col = 80 };

        t->pid = forkpty(&t->out, NULL, NULL, &size);
        t->in = t->out;
    } else {
        if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
            fail(t, "pipe: %s", strerror(errno));
        t->pid = fork();
        t->in = in[1];
        t->out = out[0];
    }
    if (t->pid < 0)
        fail(t, "fork: %s", strerror(errno));
    if (t->pid == 0) {
        if (!terminal) {
            dup2(in[0], 0);
            dup2(out[1], 1);
            dup2(out[1], 2);
        }
        execvp(argv[0], argv);
        fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    if (!terminal) {
        close(in[0]);
        close(out[1]);
    }
    fcntl(t->in, F_SETFL, O_NONBLOCK);
    fcntl(t->out, F_SETFL, O_NONBLOCK);
}

static void monitor(struct talk *t, const char *command)
{
    put(t, "\x01" "c", 2);
    put(t, command, strlen(command));
    put(t, "\r\x01" "c", 3);
}

// Asks for the screen again and again; t->matched is then behind the whole of what came so far.
static void await_screen(struct talk *t, double seconds, const char *text)
{
    double end = now() + seconds;

    for (;;) {
        double next = now() + 0.5;

        t->matched = t->len;
        monitor(t, "screentext");
        while (now() < next) {
            pump(t, next - now());
            if (t->text && strstr(t->text + t->matched, text)) {
                t->matched = t->len;
                return;
            }
            if (t->out < 0)
                fail(t, "the program ended before \"%s\" was on the screen", text);
        }
        if (now() > end)
            fail(t, "no \"%s\" on the screen within %.0f s", text, seconds);
    }
}

static void run(struct talk *t, char *line)
{
    char *rest;
    double a, b, c;
    int n = 0;

    line[strcspn(line, "\n")] = 0;
    if (!line[0] || line[0] == '#')
        return;
    rest = strchr(line, ' ') ? strchr(line, ' ') + 1 : line + strlen(line);
    if (sscanf(line, "wait %lf %n", &a, &n) == 1 && n) {
        line[n + (int)unescape(line + n)] = 0;
        await(t, a, line + n);
    } else if (sscanf(line, "screen %lf %n", &a, &n) == 1 && n) {
        line[n + (int)unescape(line + n)] = 0;
        await_screen(t, a, line + n);
    } else if (!strncmp(line, "monitor ", 8)) {
        monitor(t, rest);
    } else if (!strncmp(line, "send ", 5) || !strcmp(line, "send")) {
        put(t, rest, unescape(rest));
        put(t, "\r", 1);
    } else if (!strncmp(line, "type ", 5)) {
        put(t, rest, unescape(rest));
    } else if (sscanf(line, "paste %lf", &a) == 1) {
        paste(t, (size_t)a);
    } else if (sscanf(line, "drift %lf %lf %lf %n", &a, &b, &c, &n) == 3 && n) {
        drift(t, a, b, c, line + n);
    } else if (sscanf(line, "exit %lf %lf", &a, &b) == 2) {
        expect_exit(t, (int)a, b);
    } else {
        fail(t, "what does \"%s\" mean?", line);
    }
}

int main(int argc, char **argv)
{
    struct talk t = { .out = -1, .in = -1 };
    bool terminal = false;
    char line[4096];
    FILE *script;
    int option;

    t.log = fopen("/dev/null", "w");
    while ((option = getopt(argc, argv, "+tl:")) != -1) {
        if (option == 't')
            terminal = true;
        else if (option != 'l' || !(t.log = fopen(optarg, "w")))
            return fprintf(stderr, "usage: talk [-t] [-l LOG] SCRIPT PROGRAM ARGUMENT...\n"), 2;
    }
    if (argc - optind < 2 || !(script = fopen(argv[optind], "r")) || !t.log)
        return fprintf(stderr, "usage: talk [-t] [-l LOG] SCRIPT PROGRAM ARGUMENT...\n"), 2;
    t.script = argv[optind];
    signal(SIGPIPE, SIG_IGN);
    start(&t, terminal, argv + optind + 1);
    while (fgets(line, sizeof(line), script)) {
        t.line++;
        run(&t, line);
    }
    if (t.pid > 0)
        kill(t.pid, SIGKILL);
    return 0;
}
