// SPDX-License-Identifier: GPL-2.0-or-later
// User code: floating point, on the x87 and with SSE2. (i686 code uses the x87 by default.)
#include "user.h"

#include <math.h>
#include <string.h>

enum { SIZE = 64 };

struct matrices {
    double x[SIZE][SIZE], y[SIZE][SIZE], z[SIZE][SIZE];
};

static void fill(struct matrices *m)
{
    for (int i = 0; i < SIZE; i++)
        for (int k = 0; k < SIZE; k++) {
            m->x[i][k] = (i * 3 + k) % 17 * 0.25;
            m->y[i][k] = (i + k * 5) % 13 * 0.5 - 1;
        }
}

static uint32_t bits(double x)
{
    uint64_t u;

    memcpy(&u, &x, sizeof(u));
    return (uint32_t)(u ^ u >> 32);
}

static void product_x87(struct matrices *m)
{
    for (int i = 0; i < SIZE; i++)
        for (int k = 0; k < SIZE; k++) {
            double sum = 0;

            for (int j = 0; j < SIZE; j++)
                sum += m->x[i][j] * m->y[j][k];
            m->z[i][k] = sum;
        }
}

__attribute__((target("sse2,fpmath=sse"))) static void product_sse2(struct matrices *m)
{
    typedef double pair __attribute__((vector_size(16)));

    for (int i = 0; i < SIZE; i++)
        for (int k = 0; k < SIZE; k += 2) {
            pair sum = {0, 0};

            for (int j = 0; j < SIZE; j++) {
                pair x = {m->x[i][j], m->x[i][j]}, y;

                memcpy(&y, &m->y[j][k], sizeof(y));
                sum += x * y;
            }
            memcpy(&m->z[i][k], &sum, sizeof(sum));
        }
}

static uint32_t matmul(struct bench *b, uint32_t n, void (*product)(struct matrices *))
{
    static struct matrices m __attribute__((aligned(16)));
    uint32_t sum = 0;

    fill(&m);
    bench_begin(b);
    for (uint32_t round = 0; round < n; round++) {
        product(&m);
        sum += bits(m.z[round % SIZE][7]);
        m.x[round % SIZE][3] += 0.125;
    }
    return sum;
}

static uint32_t matmul_x87(struct bench *b, uint32_t n)
{
    return matmul(b, n, product_x87);
}

static uint32_t matmul_sse2(struct bench *b, uint32_t n)
{
    return matmul(b, n, product_sse2);
}

// Rounded to float, so that the last bit of the unit's own approximations does not matter.
static uint32_t transcendental(struct bench *b, uint32_t n)
{
    double sum = 0;

    (void)b;
    for (uint32_t i = 1; i <= n; i++) {
        double x = i % 1000 * 0.001 + 0.01, s, c, l, t;

        asm("fsincos" : "=t"(c), "=u"(s) : "0"(x));
        asm("fyl2x" : "=t"(l) : "0"(x), "u"(1.0) : "st(1)");
        asm("fpatan" : "=t"(t) : "0"(1.0), "u"(x) : "st(1)");
        sum += (float)(s * c) + (float)l + (float)t;
        asm("fsqrt" : "+t"(x));
        sum -= (float)x;
    }
    return bits((float)sum);
}

static uint32_t conversions(struct bench *b, uint32_t n)
{
    uint32_t sum = 0;
    float f = 1;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        double d = (double)(int32_t)(i * 2654435761u);
        short s;
        int w;

        f = (float)(d * 0.001 + f * 0.5);
        w = (int)lrint(d * 0.25);
        s = (short)(f * 0.0001f);
        sum += (uint32_t)w + (uint32_t)s + (uint32_t)(int32_t)(long long)d;
    }
    return sum;
}

// Bodies that attract each other: what simulations do all day.
static uint32_t bodies(struct bench *b, uint32_t n)
{
    enum { COUNT = 5 };
    double p[COUNT][3], v[COUNT][3] = {{0}};

    (void)b;
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < 3; k++)
            p[i][k] = (i * 7 + k * 3) % 11 - 5;
    for (uint32_t step = 0; step < n; step++) {
        for (int i = 0; i < COUNT; i++)
            for (int j = i + 1; j < COUNT; j++) {
                double d[3], square = 0.01, force;

                for (int k = 0; k < 3; k++) {
                    d[k] = p[i][k] - p[j][k];
                    square += d[k] * d[k];
                }
                force = 0.001 / (square * sqrt(square));
                for (int k = 0; k < 3; k++) {
                    v[i][k] -= d[k] * force;
                    v[j][k] += d[k] * force;
                }
            }
        for (int i = 0; i < COUNT; i++)
            for (int k = 0; k < 3; k++)
                p[i][k] += 0.01 * v[i][k];
    }
    return bits(p[0][0]) ^ bits(v[4][2]);
}

const struct work user_floating[] = {
    {"matmul_x87", matmul_x87, 450},
    {"matmul_sse2", matmul_sse2, 1200},
    {"x87_functions", transcendental, 2000000},
    {"conversions", conversions, 24000000},
    {"bodies", bodies, 1600000},
    {NULL, NULL, 0},
};
