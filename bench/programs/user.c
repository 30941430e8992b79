// SPDX-License-Identifier: GPL-2.0-or-later
// User code: integers; and the tables of the whole program.
#include "user.h"

#include <stdlib.h>
#include <string.h>

static uint32_t loop(struct bench *b, uint32_t n)
{
    uint32_t x = 1, y = 2;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        x = x * 5 + i;
        y ^= (x >> 3) + (y << 1);
        asm("" : "+r"(x), "+r"(y)); // no vector code, no closed form
    }
    return x ^ y;
}

static uint32_t division(struct bench *b, uint32_t n)
{
    uint32_t x = 0xdeadbeef, sum = 0;
    int32_t s = -1000000007;

    (void)b;
    for (uint32_t i = 1; i <= n; i++) {
        uint32_t divisor = (i & 1023) + 3;

        sum += x / divisor + x % divisor;
        sum += (uint32_t)(s / (int32_t)divisor);
        x += 0x9e3779b9u;
        s ^= (int32_t)(x >> 4);
    }
    return sum;
}

static uint32_t sieve(struct bench *b, uint32_t n)
{
    static unsigned char composite[65536];
    uint32_t count = 0;

    (void)b;
    for (uint32_t round = 0; round < n; round++) {
        memset(composite, 0, sizeof(composite));
        for (uint32_t i = 2; i < sizeof(composite); i++) {
            if (composite[i])
                continue;
            count++;
            for (uint32_t k = 2 * i; k < sizeof(composite); k += i)
                composite[k] = 1;
        }
    }
    return count;
}

static uint32_t crc(struct bench *b, uint32_t n)
{
    static uint32_t table[256];
    static unsigned char data[4096];
    uint32_t seed = BENCH_SEED, value = ~0u;

    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
        table[i] = c;
    }
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)bench_random(&seed);
    bench_begin(b);
    for (uint32_t round = 0; round < n; round++)
        for (size_t i = 0; i < sizeof(data); i++)
            value = table[(value ^ data[i]) & 0xff] ^ value >> 8;
    return ~value;
}

// Branches that no predictor guesses, on random bits.
static uint32_t branches(struct bench *b, uint32_t n)
{
    uint32_t seed = BENCH_SEED, x = 1;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t r = bench_random(&seed);

        if (r & 1) {
            x += r;
            asm volatile("" : "+r"(x));
        } else {
            x ^= r;
            asm volatile("" : "+r"(x));
        }
        if ((r & 0x300) == 0x100) {
            x = x << 1 | x >> 31;
            asm volatile("" : "+r"(x));
        }
        if ((int32_t)x < (int32_t)r) {
            x -= 12345;
            asm volatile("" : "+r"(x));
        }
    }
    return x;
}

// Adds and shifts numbers of 1024 bits: carry chains.
static uint32_t long_numbers(struct bench *b, uint32_t n)
{
    uint32_t x[32], y[32], seed = BENCH_SEED, sum = 0;

    for (int i = 0; i < 32; i++) {
        x[i] = bench_random(&seed);
        y[i] = bench_random(&seed);
    }
    bench_begin(b);
    for (uint32_t round = 0; round < n; round++) {
        uint32_t *px = x, *py = y, count = 32, t;

        asm volatile("clc\n"
                     "1: movl (%1), %3\n"
                     "adcl %3, (%0)\n"
                     "lea 4(%0), %0\n"
                     "lea 4(%1), %1\n"
                     "decl %2\n"
                     "jnz 1b\n"
                     : "+r"(px), "+r"(py), "+r"(count), "=&r"(t)
                     :
                     : "memory", "cc");
        count = 32;
        py = y;
        asm volatile("clc\n"
                     "1: rcll $1, (%0)\n"
                     "lea 4(%0), %0\n"
                     "decl %1\n"
                     "jnz 1b\n"
                     : "+r"(py), "+r"(count)
                     :
                     : "memory", "cc");
        sum += x[31];
    }
    return sum;
}

// Multiplies numbers of 512 bits.
static uint32_t long_products(struct bench *b, uint32_t n)
{
    uint32_t x[16], y[16], z[32], seed = BENCH_SEED, sum = 0;

    for (int i = 0; i < 16; i++) {
        x[i] = bench_random(&seed);
        y[i] = bench_random(&seed);
    }
    bench_begin(b);
    for (uint32_t round = 0; round < n; round++) {
        memset(z, 0, sizeof(z));
        for (int i = 0; i < 16; i++) {
            uint32_t carry = 0;

            for (int k = 0; k < 16; k++) {
                uint64_t t = (uint64_t)x[i] * y[k] + z[i + k] + carry;

                z[i + k] = (uint32_t)t;
                carry = (uint32_t)(t >> 32);
            }
            z[i + 16] = carry;
        }
        x[round & 15] ^= z[31];
        sum += z[20];
    }
    return sum;
}

static int compare(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

    return (a > b) - (a < b);
}

static uint32_t sort(struct bench *b, uint32_t n)
{
    enum { COUNT = 20000 };
    static uint32_t numbers[COUNT];
    uint32_t seed = BENCH_SEED, sum = 0;

    (void)b;
    for (uint32_t round = 0; round < n; round++) {
        for (int i = 0; i < COUNT; i++)
            numbers[i] = bench_random(&seed);
        qsort(numbers, COUNT, sizeof(*numbers), compare);
        for (int i = 0; i < COUNT; i += 1000)
            sum = sum * 31 + numbers[i];
    }
    return sum;
}

static const struct work integers[] = {
    {"loop", loop, 300000000},
    {"division", division, 60000000},
    {"sieve", sieve, 1700},
    {"crc", crc, 22000},
    {"branches", branches, 24000000},
    {"long_numbers", long_numbers, 4500000},
    {"long_products", long_products, 400000},
    {"sort", sort, 90},
    {NULL, NULL, 0},
};

const struct work *const work_tables[] = {
    integers, user_calls, user_memory, user_floating, user_system, NULL,
};
