// SPDX-License-Identifier: GPL-2.0-or-later
// User code: memory.
#include "user.h"

#include <stdlib.h>
#include <string.h>

// Follows a random cycle through `count` cells that lie `stride` bytes apart.
static uint32_t chase(struct bench *b, uint32_t n, size_t count, size_t stride)
{
    uint32_t *order = malloc(count * sizeof(*order)), seed = BENCH_SEED, sum = 0;
    char *memory = aligned_alloc(4096, (count * stride + 4095) & ~(size_t)4095);
    void **at;

    bench_need(order && memory, "malloc");
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (uint32_t i = (uint32_t)count - 1; i > 0; i--) {
        uint32_t k = bench_random(&seed) % i, t = order[i];

        order[i] = order[k];
        order[k] = t;
    }
    for (size_t i = 0; i < count; i++)
        *(void **)(memory + order[i] * stride) = memory + order[(i + 1) % count] * stride;
    at = (void **)memory;
    bench_begin(b);
    for (uint32_t i = 0; i < n; i++)
        at = *at;
    bench_end(b);
    sum = (uint32_t)(((char *)at - memory) / (ptrdiff_t)stride);
    free(order);
    free(memory);
    return sum;
}

static uint32_t chase_l1(struct bench *b, uint32_t n)
{
    return chase(b, n, 256, 64); // 16 KiB
}

static uint32_t chase_l2(struct bench *b, uint32_t n)
{
    return chase(b, n, 4096, 64); // 256 KiB
}

static uint32_t chase_memory(struct bench *b, uint32_t n)
{
    return chase(b, n, 1 << 20, 64); // 64 MiB
}

static uint32_t chase_tlb(struct bench *b, uint32_t n)
{
    return chase(b, n, 8192, 4096 + 64); // a page each: 32 MiB of pages, 0.5 MiB of lines
}

enum { COPY = 65536 };

struct buffers {
    unsigned char from[COPY], to[COPY];
};

static struct buffers *buffers(void)
{
    struct buffers *m = aligned_alloc(4096, sizeof(*m));
    uint32_t seed = BENCH_SEED;

    bench_need(m != NULL, "malloc");
    for (int i = 0; i < COPY; i++)
        m->from[i] = (unsigned char)bench_random(&seed);
    memset(m->to, 0, COPY);
    return m;
}

static uint32_t copy_sum(struct bench *b, struct buffers *m)
{
    uint32_t sum = 0;

    bench_end(b);
    for (int i = 0; i < COPY; i++)
        sum = sum * 31 + m->to[i];
    free(m);
    return sum;
}

static uint32_t copy_rep(struct bench *b, uint32_t n)
{
    struct buffers *m = buffers();

    bench_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        void *from = m->from, *to = m->to;
        uint32_t count = COPY / 4;

        asm volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
        m->from[i % COPY]++;
    }
    return copy_sum(b, m);
}

// A byte of `rep stosb` is what Debian's kernels clear pages with; 128 bytes are what programs copy.
static uint32_t fill_rep(struct bench *b, uint32_t n)
{
    struct buffers *m = buffers();

    bench_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        void *to = m->to;
        uint32_t count = COPY;

        asm volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(i) : "memory");
    }
    return copy_sum(b, m);
}

static uint32_t copy_rep_short(struct bench *b, uint32_t n)
{
    struct buffers *m = buffers();

    bench_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        void *from = m->from + (i * 64) % (COPY - 128), *to = m->to + (i * 192) % (COPY - 128);
        uint32_t count = 32;

        asm volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    }
    return copy_sum(b, m);
}

static uint32_t copy_words(struct bench *b, uint32_t n)
{
    struct buffers *m = buffers();

    bench_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t *from = (const uint32_t *)m->from;
        uint32_t *to = (uint32_t *)m->to;

        for (uint32_t k = 0; k < COPY / 4; k++) {
            to[k] = from[k];
            asm volatile("" : : : "memory"); // GCC knows memcpy when it sees one
        }
        m->from[i % COPY]++;
    }
    return copy_sum(b, m);
}

static uint32_t copy_bytes(struct bench *b, uint32_t n)
{
    struct buffers *m = buffers();

    bench_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < COPY; k++) {
            m->to[k] = m->from[k];
            asm volatile("" : : : "memory");
        }
        m->from[i % COPY]++;
    }
    return copy_sum(b, m);
}

__attribute__((target("sse2"))) static uint32_t copy_sse2(struct bench *b, uint32_t n)
{
    struct buffers *m = buffers();

    bench_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        const unsigned char *from = m->from;
        unsigned char *to = m->to;
        uint32_t count = COPY / 64;

        asm volatile("1: movdqa (%0), %%xmm0\n movdqa 16(%0), %%xmm1\n movdqa 32(%0), %%xmm2\n movdqa 48(%0), %%xmm3\n"
                     "movdqa %%xmm0, (%1)\n movdqa %%xmm1, 16(%1)\n movdqa %%xmm2, 32(%1)\n movdqa %%xmm3, 48(%1)\n"
                     "add $64, %0\n add $64, %1\n decl %2\n jnz 1b\n"
                     : "+r"(from), "+r"(to), "+r"(count)
                     :
                     : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3");
        m->from[i % COPY]++;
    }
    return copy_sum(b, m);
}

// A hash table with chains, as compilers and interpreters have them.
static uint32_t hash(struct bench *b, uint32_t n)
{
    enum { BUCKETS = 4096, NODES = 8192 };
    struct node {
        struct node *next;
        uint32_t key, value;
    } *nodes = calloc(NODES, sizeof(*nodes)), **buckets = calloc(BUCKETS, sizeof(*buckets));
    uint32_t seed = BENCH_SEED, used = 0, sum = 0;

    bench_need(nodes && buckets, "malloc");
    bench_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t key = bench_random(&seed) % 10000, bucket = key * 2654435761u >> 20;
        struct node *node = buckets[bucket];

        while (node && node->key != key)
            node = node->next;
        if (!node && used < NODES) {
            node = &nodes[used++];
            node->key = key;
            node->next = buckets[bucket];
            buckets[bucket] = node;
        }
        if (node)
            sum += ++node->value;
    }
    bench_end(b);
    free(nodes);
    free(buckets);
    return sum;
}

const struct work user_memory[] = {
    {"chase_l1", chase_l1, 180000000},
    {"chase_l2", chase_l2, 43000000},
    {"chase_memory", chase_memory, 1300000},
    {"chase_tlb", chase_tlb, 7500000},
    {"copy_rep", copy_rep, 160000},
    {"fill_rep", fill_rep, 260000},
    {"copy_rep_short", copy_rep_short, 28000000},
    {"copy_words", copy_words, 25000},
    {"copy_bytes", copy_bytes, 11000},
    {"copy_sse2", copy_sse2, 180000},
    {"hash", hash, 16000000},
    {NULL, NULL, 0},
};
