// SPDX-License-Identifier: GPL-2.0-or-later
// Code that changes, and code that there is much of.
#include "bench.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef uint32_t code_fn(uint32_t);

static unsigned char *code_pages(size_t size)
{
    unsigned char *code = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    bench_need(code != MAP_FAILED, "mmap");
    return code;
}

static unsigned char *put32(unsigned char *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

// A function of `count` steps on its argument (cdecl); returns the end.
static unsigned char *emit_function(unsigned char *at, int count, uint32_t *seed)
{
    static const unsigned char head[] = {0x8b, 0x44, 0x24, 0x04}; // movl 4(%esp), %eax

    memcpy(at, head, sizeof(head));
    at += sizeof(head);
    for (int i = 0; i < count; i++) {
        uint32_t r = bench_random(seed);

        switch (r & 3) {
        case 0: // addl $r, %eax
            *at++ = 0x05;
            at = put32(at, r);
            break;
        case 1: // xorl $r, %eax
            *at++ = 0x35;
            at = put32(at, r);
            break;
        case 2: // roll $r, %eax
            *at++ = 0xc1;
            *at++ = 0xc0;
            *at++ = r >> 3 & 31;
            break;
        default: // leal (%eax,%eax,4), %eax
            *at++ = 0x8d;
            *at++ = 0x04;
            *at++ = 0x80;
        }
    }
    *at++ = 0xc3;
    return at;
}

// A compiler that writes a function anew, over the old one, and calls it a few times.
static uint32_t rewrite(struct bench *b, uint32_t n)
{
    unsigned char *code = code_pages(4096);
    uint32_t seed = BENCH_SEED, x = 1;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        emit_function(code, 40, &seed);
        for (int k = 0; k < 10; k++)
            x = ((code_fn *)code)(x);
    }
    return x;
}

// One that appends functions to pages which hold code already.
static uint32_t append(struct bench *b, uint32_t n)
{
    enum { SIZE = 65536 };
    unsigned char *code = code_pages(SIZE), *at = code;
    uint32_t seed = BENCH_SEED, x = 1;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        unsigned char *function = at;

        at = emit_function(at, 20, &seed);
        for (int k = 0; k < 10; k++)
            x = ((code_fn *)function)(x);
        if (at > code + SIZE - 256)
            at = code;
    }
    return x;
}

// An instruction's immediate operand changes before each call.
static uint32_t patch(struct bench *b, uint32_t n)
{
    unsigned char *code = code_pages(4096);
    uint32_t x = 1;

    memcpy(code, "\x8b\x44\x24\x04\x05\x00\x00\x00\x00\xc3", 10); // movl 4(%esp), %eax; addl $0, %eax; ret
    bench_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        put32(code + 5, i * 2654435761u);
        x = x * 3 + ((code_fn *)code)(x);
    }
    return x;
}

// The function's data lies in its own page, as in old programs and in trampolines.
static uint32_t mixed(struct bench *b, uint32_t n)
{
    unsigned char *code = code_pages(4096);
    uint32_t sum = 0;

    // movl 4(%esp), %ecx; 1: addl %ecx, DATA; movl DATA, %eax; decl %ecx; jnz 1b; ret
    memcpy(code, "\x8b\x4c\x24\x04\x01\x0d....\xa1....\x49\x75\xf2\xc3", 19);
    put32(code + 6, (uint32_t)code + 2048);
    put32(code + 11, (uint32_t)code + 2048);
    bench_begin(b);
    for (uint32_t i = 0; i < n; i++)
        sum += ((code_fn *)code)(100);
    return sum;
}

enum { FUNCTIONS = 4096, FOOTPRINT = FUNCTIONS * 256 };

// A mebibyte of functions of some 256 bytes each.
static void emit_many(unsigned char *code, uint32_t *seed)
{
    for (int i = 0; i < FUNCTIONS; i++)
        emit_function(code + i * 256, 48, seed);
}

static uint32_t call_each(unsigned char *code, uint32_t x)
{
    for (int i = 0; i < FUNCTIONS; i++)
        x = ((code_fn *)(code + (uint32_t)i * 256))(x);
    return x;
}

// Code that is run once: start-up, initialisers.
static uint32_t once(struct bench *b, uint32_t n)
{
    uint32_t seed = BENCH_SEED, x = 1;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        unsigned char *code = code_pages(FOOTPRINT);

        emit_many(code, &seed);
        x = call_each(code, x);
        munmap(code, FOOTPRINT);
    }
    return x;
}

static uint32_t hot(struct bench *b, uint32_t n)
{
    unsigned char *code = code_pages(FOOTPRINT);
    uint32_t seed = BENCH_SEED, x = 1;

    emit_many(code, &seed);
    bench_begin(b);
    for (uint32_t i = 0; i < n; i++)
        x = call_each(code, x);
    return x;
}

// Two pages of code take turns at one address.
static uint32_t remap(struct bench *b, uint32_t n)
{
    int fd = (int)syscall(SYS_memfd_create, "code", 0);
    unsigned char *code, *at;
    uint32_t seed = BENCH_SEED, x = 1;

    bench_need(fd >= 0 && !ftruncate(fd, 8192), "memfd");
    code = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    bench_need(code != MAP_FAILED && at != MAP_FAILED, "mmap");
    emit_function(code, 40, &seed);
    emit_function(code + 4096, 40, &seed);
    bench_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        if (mmap(at, 4096, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, i & 1 ? 4096 : 0) != at)
            bench_need(false, "mmap");
        x = ((code_fn *)at)(x);
    }
    return x;
}

static const struct work works[] = {
    {"rewrite", rewrite, 240000},
    {"append", append, 120000},
    {"patch", patch, 1000000},
    {"mixed", mixed, 600000},
    {"once", once, 32},
    {"hot", hot, 1600},
    {"remap", remap, 30000},
    {NULL, NULL, 0},
};

const struct work *const work_tables[] = {works, NULL};
