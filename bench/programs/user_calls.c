// SPDX-License-Identifier: GPL-2.0-or-later
// User code: calls, returns, indirect branches.
#include "user.h"

static NOINLINE uint32_t fib_of(uint32_t n)
{
    return n < 2 ? n : fib_of(n - 1) + fib_of(n - 2);
}

static uint32_t fib(struct bench *b, uint32_t n)
{
    uint32_t sum = 0;

    (void)b;
    for (uint32_t i = 0; i < n; i++)
        sum += fib_of(20);
    return sum;
}

// Deeper than any return predictor.
static NOINLINE uint32_t descend(uint32_t depth)
{
    uint32_t below;

    if (!depth)
        return 1;
    below = descend(depth - 1);
    asm volatile("" : "+r"(below)); // no tail call
    return below + depth;
}

static uint32_t deep_calls(struct bench *b, uint32_t n)
{
    uint32_t sum = 0;

    (void)b;
    for (uint32_t i = 0; i < n; i++)
        sum += descend(2000);
    return sum;
}

// Small functions that differ, for indirect calls.
#define TARGET(k)                                                                                                      \
    static NOINLINE uint32_t target_##k(uint32_t x)                                                                    \
    {                                                                                                                  \
        return x * (2 * k + 3) + k;                                                                                    \
    }
#define TARGETS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
TARGETS(TARGET)
#define NAME(k) target_##k,
typedef uint32_t target_fn(uint32_t);
static target_fn *const targets[] = {TARGETS(NAME)};

static uint32_t call_one(struct bench *b, uint32_t n)
{
    target_fn *f = targets[n % 3];
    uint32_t x = 1;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        asm volatile("" : "+r"(f));
        x = f(x);
    }
    return x;
}

// One site, sixteen targets in random order.
static uint32_t call_many(struct bench *b, uint32_t n)
{
    uint32_t x = 1, seed = BENCH_SEED;

    (void)b;
    for (uint32_t i = 0; i < n; i++)
        x = targets[bench_random(&seed) >> 28](x);
    return x;
}

// A site with sixteen targets in a fixed order, which predictors learn.
static uint32_t call_cycle(struct bench *b, uint32_t n)
{
    uint32_t x = 1;

    (void)b;
    for (uint32_t i = 0; i < n; i++)
        x = targets[i & 15](x);
    return x;
}

enum op { PUSH, ADD, SUB, MUL, DUP, SWAP, DECREMENT, JUMP_IF, LOAD, STORE, HALT };

// A stack machine; `code` is trusted.
static NOINLINE uint32_t interpret(const int *code, uint32_t n)
{
    uint32_t stack[16], locals[4] = {n, 1, 0, 7}, t;
    const int *pc = code;
    uint32_t *sp = stack;

    for (;;) {
        switch (*pc++) {
        case PUSH:
            *sp++ = (uint32_t)*pc++;
            break;
        case ADD:
            sp--;
            sp[-1] += *sp;
            break;
        case SUB:
            sp--;
            sp[-1] -= *sp;
            break;
        case MUL:
            sp--;
            sp[-1] *= *sp;
            break;
        case DUP:
            *sp = sp[-1];
            sp++;
            break;
        case SWAP:
            t = sp[-1];
            sp[-1] = sp[-2];
            sp[-2] = t;
            break;
        case DECREMENT:
            locals[*pc++]--;
            break;
        case JUMP_IF:
            sp--;
            pc = *sp ? code + *pc : pc + 1;
            break;
        case LOAD:
            *sp++ = locals[*pc++];
            break;
        case STORE:
            locals[*pc++] = *--sp;
            break;
        case HALT:
            return locals[1] ^ locals[2];
        default:
            __builtin_unreachable();
        }
    }
}

static uint32_t interpreter(struct bench *b, uint32_t n)
{
    static const int code[] = {
        LOAD, 1, PUSH, 5, MUL, LOAD, 3, ADD, STORE, 1,          // a = a * 5 + d
        LOAD, 2, LOAD, 1, DUP, LOAD, 0, SUB, SWAP, ADD, ADD, STORE, 2, // c += a - n + a
        DECREMENT, 0, LOAD, 0, JUMP_IF, 0, HALT,
    };

    (void)b;
    return interpret(code, n);
}

#ifdef __i386__
// Runs of PUSH and POP, as prologues and epilogues have them.
static uint32_t push_pop(struct bench *b, uint32_t n)
{
    uint32_t x = 1, y = 2;

    (void)b;
    for (uint32_t i = 0; i < n; i++)
        asm volatile("pushl %0\n pushl %1\n pushl %0\n pushl $17\n pushl %1\n pushl %0\n"
                     "popl %1\n popl %0\n addl $4, %%esp\n popl %%eax\n addl %%eax, %0\n popl %%eax\n popl %%eax\n"
                     "addl %%eax, %1\n"
                     : "+r"(x), "+r"(y)
                     :
                     : "eax", "cc", "memory");
    return x ^ y;
}
#endif

const struct work user_calls[] = {
    {"fib", fib, 12000},
    {"deep_calls", deep_calls, 60000},
    {"call_one", call_one, 140000000},
    {"call_many", call_many, 22000000},
    {"call_cycle", call_cycle, 60000000},
    {"interpreter", interpreter, 11000000},
#ifdef __i386__
    {"push_pop", push_pop, 100000000},
#endif
    {NULL, NULL, 0},
};
