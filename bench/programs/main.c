// SPDX-License-Identifier: GPL-2.0-or-later
// Runs one work of a program's tables:  PROGRAM WORK [PERCENT]    or lists them:  PROGRAM -l
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void bench_begin(struct bench *b)
{
    b->begin = now();
}

void bench_end(struct bench *b)
{
    b->end = now();
}

void bench_need(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static const struct work *find(const char *name)
{
    for (const struct work *const *t = work_tables; *t; t++)
        for (const struct work *w = *t; w->name; w++)
            if (!strcmp(w->name, name))
                return w;
    return NULL;
}

static void list(void)
{
    for (const struct work *const *t = work_tables; *t; t++)
        for (const struct work *w = *t; w->name; w++)
            puts(w->name);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    const struct work *w;
    uint64_t begin, n;
    uint32_t sum;

    // What the works that execute a program execute.
    if (argc == 2 && !strcmp(argv[1], "-exit"))
        _exit(42);
    if (argc == 2 && !strcmp(argv[1], "-l")) {
        list();
        return 0;
    }
    w = argc >= 2 ? find(argv[1]) : NULL;
    if (!w) {
        fprintf(stderr, "usage: %s WORK [PERCENT] | -l\n", argv[0]);
        return 2;
    }
    n = (uint64_t)w->n * (argc > 2 ? strtoul(argv[2], NULL, 10) : 100) / 100;
    if (!n)
        n = 1;
    begin = now();
    sum = w->run(&b, (uint32_t)n);
    if (!b.begin)
        b.begin = begin;
    if (!b.end)
        bench_end(&b);
    printf("%llu %08x\n", (unsigned long long)(b.end - b.begin), sum);
    return 0;
}
