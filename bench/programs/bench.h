// SPDX-License-Identifier: GPL-2.0-or-later
// What the self-timed i386 programs share. A program is a table of works; main.c picks one by name, runs it
// once and prints "NANOSECONDS CHECKSUM". The checksum depends on the work's results alone, so that it must
// agree between machines.
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench {
    uint64_t begin, end; // nanoseconds of CLOCK_MONOTONIC; 0: not set yet
};

// What comes before bench_begin and after bench_end is not measured. Without them, the whole run is.
void bench_begin(struct bench *b);
void bench_end(struct bench *b);

// Ends the program with a message when a system call that the work relies on failed.
void bench_need(bool ok, const char *what);

struct work {
    const char *name;
    uint32_t (*run)(struct bench *b, uint32_t n); // returns the checksum
    uint32_t n;                                   // some 100 to 300 ms on the CPU itself
};

// The end has no name. Defined by each program.
extern const struct work *const work_tables[];

// A small generator: the same numbers everywhere.
static inline uint32_t bench_random(uint32_t *state)
{
    uint32_t x = *state;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

#define BENCH_SEED 0x2545f491u
#define NOINLINE __attribute__((noinline, noclone))

#endif
