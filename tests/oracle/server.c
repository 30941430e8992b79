// SPDX-License-Identifier: GPL-2.0-or-later
// The oracle's side of the native server.
#include "oracle.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool oracle_server_start(struct oracle *o)
{
    int to[2], from[2];
    char fd[16];

    if (pipe(to) < 0 || pipe(from) < 0) {
        perror("oracle: pipe");
        return false;
    }
    snprintf(fd, sizeof(fd), "%d", o->memfd);
    o->pid = fork();
    if (o->pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[1]);
        close(from[0]);
        execl(o->server, o->server, fd, (char *)NULL);
        perror(o->server);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    o->to = to[1];
    o->from = from[0];
    return o->pid > 0;
}

void oracle_server_stop(struct oracle *o)
{
    if (o->pid <= 0)
        return;
    close(o->to);
    close(o->from);
    kill(o->pid, SIGKILL);
    waitpid(o->pid, NULL, 0);
    o->pid = 0;
}

static bool exchange(struct oracle *o)
{
    char byte = 1;
    ssize_t n;

    if (write(o->to, &byte, 1) != 1)
        return false;
    do
        n = read(o->from, &byte, 1);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

static void stand_in(struct oracle *o, u32 count)
{
    struct batch *b = o->batch;

    for (u32 i = 0; i < count; i++) {
        oracle_prepare(o, &b->c[i]);
        o->progress->c = b->c[i];
        o->progress->mode = o->stand_in->mode->name;
        rig_run(o->stand_in, &b->c[i], o->before, &b->r[i]);
    }
}

bool oracle_server_works(struct oracle *o)
{
    struct batch *b = o->batch;

    // The HLT that fills the code pages.
    b->c[0] = (struct oracle_case){
        .eip = areas[AREA_CODE].gla, .eflags = FL_FIXED1 | FL_IF,
        .seg = { SEL_DATA, SEL_CODE, SEL_DATA, SEL_DATA },
    };
    oracle_native(o, 1);
    return b->r[0].vector == X_GP;
}

void oracle_native(struct oracle *o, u32 count)
{
    struct batch *b = o->batch;

    if (o->stand_in) {
        stand_in(o, count);
        return;
    }
    memset(b->r, 0, sizeof(b->r[0]) * count);
    b->count = count;
    b->done = 0;
    while (!exchange(o)) {
        oracle_server_stop(o);
        if (b->done >= count || !oracle_server_start(o))
            exit(2);
        b->r[b->done++].vector = VECTOR_ESCAPED;
    }
}
