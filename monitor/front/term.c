// SPDX-License-Identifier: GPL-2.0-or-later
#include "term.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

// The one terminal of the process: signal handlers must find it, so it cannot be an instance.
static struct {
    int fd;
    volatile sig_atomic_t active; // from term_raw to term_restore
    volatile sig_atomic_t raw;    // now; not while stopped or in the background
    struct termios saved, wanted;
    volatile sig_atomic_t changed; // size, or continued
    char leave[128];              // written before the terminal is given back
} term = { .fd = -1 };

static void make_raw(void)
{
    int saved = errno;

    term.raw = 1;
    tcsetattr(term.fd, TCSANOW, &term.wanted);
    errno = saved;
}

static void give_back(void)
{
    sigset_t ttou, old;
    int saved = errno;

    if (!term.raw)
        return;
    term.raw = 0;
    // From the background this would stop us; the terminal must be usable again all the same.
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &ttou, &old);
    if (*term.leave && write(STDOUT_FILENO, term.leave, strlen(term.leave)) < 0)
        *term.leave = '\0';
    tcsetattr(term.fd, TCSANOW, &term.saved);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = saved;
}

void term_restore(void)
{
    term.active = 0;
    give_back();
}

// SIGTSTP: stop as any program would, with the terminal as it was found. SIGCONT makes it raw
// again.
static void stopped(int sig)
{
    int saved = errno;

    (void)sig;
    give_back();
    kill(getpid(), SIGSTOP);
    errno = saved;
}

// SIGCONT: whoever had the terminal meanwhile may have changed it. In the background it isn't ours.
static void continued(int sig)
{
    (void)sig;
    if (term.active && tcgetpgrp(term.fd) == getpgrp())
        make_raw();
    term.changed = 1;
}

static void resized(int sig)
{
    (void)sig;
    term.changed = 1;
}

static void crashed(int sig)
{
    term_restore();
    // SA_RESETHAND is in effect: this ends us as the crash would have.
    raise(sig);
}

static void handle(int sig, void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK | flags };

    sigfillset(&action.sa_mask); // a kick of the vCPU must not come inside (main.c)
    sigaction(sig, &action, NULL);
}

void term_guard(void)
{
    static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT };

    atexit(term_restore);
    for (unsigned i = 0; i < ARRAY_LEN(crashes); i++)
        handle(crashes[i], crashed, (int)SA_RESETHAND);
    handle(SIGTSTP, stopped, SA_RESTART);
    handle(SIGCONT, continued, SA_RESTART);
}

void term_adopt(int fd, const struct termios *saved, const char *leave)
{
    term.fd = fd;
    term.saved = *saved;
    tcgetattr(fd, &term.wanted);
    snprintf(term.leave, sizeof(term.leave), "%s", leave);
    term.changed = 0;
    term.active = term.raw = 1;
    handle(SIGTSTP, stopped, SA_RESTART);
    handle(SIGWINCH, resized, SA_RESTART);
}

bool term_changed(void)
{
    bool changed = term.changed;

    term.changed = 0;
    return changed;
}

bool term_raw(int fd)
{
    if (tcgetattr(fd, &term.saved) < 0)
        return false;
    term.fd = fd;
    *term.leave = '\0';
    term.wanted = term.saved;
    cfmakeraw(&term.wanted);
    // Output processing stays: our own messages end their lines as anyone's.
    term.wanted.c_oflag |= OPOST;
    term.wanted.c_cc[VMIN] = 1;
    term.wanted.c_cc[VTIME] = 0;
    term.active = 1;
    make_raw();
    return true;
}
