// SPDX-License-Identifier: GPL-2.0-or-later
// User-mode integer instructions, at random, on the host CPU itself (in compatibility mode) and
// in the interpreter: registers, all flags, memory and exceptions must agree. CPU_NATIVE_CASES
// and CPU_NATIVE_SEED override how many, and which.
#define _GNU_SOURCE
#include "monitor/cpu/cpu.h"

#include <check.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

// The same linear addresses in this process and in the guest.
#define CODE 0x01000000u
#define DATA 0x01100000u
#define DATA_SIZE 0x4000u
#define STACK (DATA + 0x3000)

struct state {
    u32 gpr[8], eflags;
};

struct outcome {
    struct state state;
    int trap; // -1: none
    u32 error;
};

// ---- The host. One page of code: 64-bit entry, 32-bit body, 64-bit exit, and the state it works on.
enum { ENTRY = 0, BODY = 0x100, EXIT = 0x300, IN = 0x400, OUT = 0x500, SAVED_RSP = 0x600 };
#define SAFE_STACK (CODE + 0xf00)

static sigjmp_buf fault_jump;
static struct outcome fault_seen;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    const greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

    (void)sig, (void)info;
    fault_seen.trap = g[REG_TRAPNO];
    fault_seen.error = g[REG_ERR];
    siglongjmp(fault_jump, 1);
}

static u8 *put(u8 *p, const void *bytes, unsigned n)
{
    memcpy(p, bytes, n);
    return p + n;
}

static u8 *put_op(u8 *p, u8 a, u8 b, u32 address)
{
    *p++ = a;
    *p++ = b;
    return put(p, &address, 4);
}

static bool host_init(void)
{
    static const int signals[] = { SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP };
    struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    static u8 alt[1 << 16];
    stack_t ss = { .ss_sp = alt, .ss_size = sizeof(alt) };
    static const u8 entry[] = { 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57 };
    static const u8 leave[] = { 0xfc, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b,
                                0xc3 };
    u8 *code = mmap((void *)(uintptr_t)CODE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    u8 *data = mmap((void *)(uintptr_t)DATA, DATA_SIZE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    u8 *p = code;

    if (code == MAP_FAILED || data == MAP_FAILED)
        return false;
    sigaltstack(&ss, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &sa, NULL);
    // push rbx rbp r12-r15; mov [saved],rsp; mov eax,2B; mov ds,eax; mov es,eax; push 23; push
    // body; retfq
    p = put(p, entry, sizeof(entry));
    p = put(p, "\x48\x89\x24\x25", 4);
    p = put(p, &(u32){ CODE + SAVED_RSP }, 4);
    p = put(p, "\xb8\x2b\x00\x00\x00\x8e\xd8\x8e\xc0\x6a\x23\x68", 12);
    p = put(p, &(u32){ CODE + BODY }, 4);
    put(p, "\x48\xcb", 2);
    // mov rsp,[saved]; cld; pops; ret
    p = put(code + EXIT, "\x48\x8b\x24\x25", 4);
    p = put(p, &(u32){ CODE + SAVED_RSP }, 4);
    put(p, leave, sizeof(leave));
    return true;
}

static void host_build(const u8 *bytes, unsigned len)
{
    u8 *code = (u8 *)(uintptr_t)CODE, *p = code + BODY;

    // mov esp,safe; push [eflags]; popf; mov reg,[...] for all; the instruction
    *p++ = 0xbc;
    p = put(p, &(u32){ SAFE_STACK }, 4);
    p = put_op(p, 0xff, 0x35, CODE + IN + 32);
    *p++ = 0x9d;
    for (unsigned i = 0; i < 8; i++)
        p = put_op(p, 0x8b, 0x05 | i << 3, CODE + IN + 4 * i);
    p = put(p, bytes, len);
    // The same backwards, then jmp far 33:exit.
    for (unsigned i = 0; i < 8; i++)
        p = put_op(p, 0x89, 0x05 | i << 3, CODE + OUT + 4 * i);
    *p++ = 0xbc;
    p = put(p, &(u32){ SAFE_STACK }, 4);
    *p++ = 0x9c;
    p = put_op(p, 0x8f, 0x05, CODE + OUT + 32);
    *p++ = 0xea;
    p = put(p, &(u32){ CODE + EXIT }, 4);
    put(p, "\x33\x00", 2);
}

static void host_run(const struct state *in, struct outcome *out)
{
    u8 *code = (u8 *)(uintptr_t)CODE;

    memcpy(code + IN, in, sizeof(*in));
    if (sigsetjmp(fault_jump, 1)) {
        *out = fault_seen;
        return;
    }
    ((void (*)(void))(code + ENTRY))();
    memcpy(&out->state, code + OUT, sizeof(out->state));
    out->trap = -1;
    out->error = 0;
}

// ---- The guest: flat segments, CPL 3, no paging.
static struct vcpu *v;
static struct phys phys;
static struct mmu mmu;
static struct bus bus;
static struct log logger;

static void guest_init(void)
{
    struct err err;

    logger.file = stderr;
    bus_init(&bus);
    ck_assert(phys_init(&phys, 32 << 20, &bus, &err));
    v = aligned_alloc(64, (sizeof(*v) + 63) & ~63ul);
    memset(v, 0, sizeof(*v));
    v->bus = &bus;
    v->log = &logger;
    v->model = cpu_model_find("max");
    ck_assert(mmu_init(&mmu, v, &phys, &err));
    cpu_reset(v);
    v->cr0 |= CR0_PE;
    for (unsigned i = 0; i < S_COUNT; i++)
        v->seg[i] = (struct seg){ 0x2b, 0xc0f3, 0, 0xffffffff };
    v->seg[S_CS] = (struct seg){ 0x23, 0xc0fb, 0, 0xffffffff };
    cpu_set_cpl(v, 3);
}

static void guest_run(const struct insn *insn, const struct state *in, struct outcome *out)
{
    jmp_buf catcher;

    memcpy(v->gpr, in->gpr, sizeof(v->gpr));
    v->eflags = in->eflags;
    v->eip = CODE + BODY;
    v->catcher = &catcher;
    if (_setjmp(catcher)) {
        out->trap = v->fault.vector;
        out->error = v->fault.error;
        ck_assert_mem_eq(v->gpr, in->gpr, sizeof(v->gpr)); // as it was before the instruction
        ck_assert_uint_eq(v->eflags, in->eflags);
        ck_assert_uint_eq(v->eip, CODE + BODY);
    } else {
        interp_insn(v, insn);
        memcpy(out->state.gpr, v->gpr, sizeof(v->gpr));
        out->state.eflags = v->eflags;
        out->trap = -1;
        out->error = 0;
        ck_assert_uint_eq(v->eip, CODE + BODY + insn->len);
    }
}

// ---- Cases
static u64 rng;

static u32 rnd(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng >> 16;
}

// Numbers that provoke: small, negative, at the edges of the sizes, random.
static u32 rnd_value(void)
{
    static const u32 edge[] = { 0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
                                0x80000000, 0xffffffff, 9, 10, 0x99, 31, 32, 33 };

    switch (rnd() % 4) {
    case 0:
        return edge[rnd() % ARRAY_LEN(edge)];
    case 1:
        return rnd() % 256 * 0x01010101u + edge[rnd() % ARRAY_LEN(edge)];
    default:
        return rnd();
    }
}

#define FL_TESTED (FL_ARITH | FL_DF)

// What may be tried: integer instructions that stay here and touch nothing but registers and
// memory.
static bool suitable(const struct insn *insn)
{
    if (insn->attr & (INSN_UD | INSN_X87 | INSN_MMX | INSN_SSE) || insn->flow != FLOW_NONE ||
        insn->sensitive != SENS_NONE || insn->prefix & PFX_67 || insn->seg == S_FS ||
        insn->seg == S_GS || insn->isa == ISA_RDRAND || insn->isa == ISA_RDSEED)
        return false;
    if (!cpu_model_has(v->model, insn->isa))
        return false; // what the host has and the model does not
    switch (insn->op) {
    case OP0F(0x77):
    case OP0F(0xae):
    case OP0F(0x71):
    case OP0F(0x72):
    case OP0F(0x73):
    case OP0F(0xc3):
    case OP1(0x9b):
    case OP1(0xcc):
        return false;
    case OP0F(0x0d): // PREFETCHW of a register: AMD's #UD, a NOP to Intel's
        return insn->has_mem;
    case OP1(0xc8): // ENTER: keep the frame small
        return (insn->imm & 0xffff) < 0x400;
    }
    return insn->op >> 8 < 2 || insn->op >= OP0F38(0xf0);
}

// Points the memory operand, the string registers and the stack into the data area; false if
// that can't be.
static bool place(const struct insn *insn, struct state *s)
{
    u32 target = DATA + 0x400 + rnd() % 0x1c00, ea = insn->disp;
    bool bits = insn->op == OP0F(0xa3) || insn->op == OP0F(0xab) || insn->op == OP0F(0xb3) ||
                insn->op == OP0F(0xbb);

    s->gpr[R_ESP] = STACK + rnd() % 64;
    if (insn->attr & INSN_STRING || insn->op == OP1(0xd7)) {
        s->gpr[R_ESI] = DATA + 0x1000 + rnd() % 0x100;
        s->gpr[R_EDI] = DATA + 0x1000 + rnd() % 0x100;
        s->gpr[R_EBX] = DATA + 0x1000;
        s->gpr[R_ECX] = rnd() % 0x80;
        if (insn->op == OP1(0xd7))
            s->gpr[R_EAX] &= 0xff;
    }
    if (insn->op == OP1(0xc8) || insn->op == OP1(0xc9))
        s->gpr[R_EBP] = STACK + rnd() % 64;
    if (!insn->has_mem || insn->mem == MEM_ADDRESS)
        return true;
    if (bits)
        s->gpr[insn->reg] = (i32)s->gpr[insn->reg] % 0x1000;
    if (insn->index >= 0 && insn->index != insn->base)
        ea += s->gpr[insn->index] << insn->scale;
    if (insn->base < 0 || insn->base == R_ESP || insn->base == insn->index)
        return false;
    s->gpr[insn->base] = target - ea;
    if (bits && insn->base == insn->reg)
        return false;
    if (bits && insn->index == (int)insn->reg)
        s->gpr[insn->base] = target - (insn->disp + (s->gpr[insn->index] << insn->scale));
    return true;
}

static unsigned make_bytes(u8 *bytes)
{
    static const u8 prefixes[] = { 0x66, 0xf2, 0xf3, 0xf0, 0x26, 0x3e, 0x36 };
    u8 *p = bytes;

    while (rnd() % 3 == 0 && p < bytes + 3)
        *p++ = rnd() % 2 ? 0x66 : prefixes[rnd() % ARRAY_LEN(prefixes)];
    if (rnd() % 3 == 0)
        *p++ = 0x0f;
    while (p < bytes + 16)
        *p++ = rnd();
    if (rnd() % 2) // a register form, more often than by chance
        bytes[rnd() % 3 + 1] |= 0xc0;
    return 16;
}

static void report(const struct insn *insn, const u8 *bytes, const struct state *in,
                   const struct outcome *host, const struct outcome *guest)
{
    fprintf(stderr, "%s:", insn->name);
    for (unsigned i = 0; i < insn->len; i++)
        fprintf(stderr, " %02x", bytes[i]);
    fprintf(stderr, "\n       eax      ecx      edx      ebx      esp      ebp      esi      edi      "
                    "flags    trap\nin   ");
    for (unsigned i = 0; i < 9; i++)
        fprintf(stderr, " %08x", i < 8 ? in->gpr[i] : in->eflags);
    for (int k = 0; k < 2; k++) {
        const struct outcome *o = k ? guest : host;

        fprintf(stderr, "\n%s", k ? "guest" : "host ");
        for (unsigned i = 0; i < 9; i++)
            fprintf(stderr, " %08x", i < 8 ? o->state.gpr[i] : o->state.eflags & FL_TESTED);
        fprintf(stderr, " %d/%#x", o->trap, o->error);
    }
    fprintf(stderr, "\n");
}

// Whether both ended alike. Flags that AMD and Intel leave differently are the host's in both.
static bool same(const struct outcome *a, const struct outcome *b, const struct insn *insn)
{
    u32 flags = FL_TESTED;

    // Computed in C for want of a 64-bit encoding: only what the manual defines.
    switch (insn->op) {
    case OP1(0x27): // DAA DAS
    case OP1(0x2f):
        flags &= ~FL_OF;
        break;
    case OP1(0x37): // AAA AAS
    case OP1(0x3f):
        flags &= ~(FL_OF | FL_SF | FL_ZF | FL_PF);
        break;
    case OP1(0xd4): // AAM AAD
    case OP1(0xd5):
        flags &= ~(FL_OF | FL_AF | FL_CF);
        break;
    }
    if (a->trap != b->trap || a->error != b->error)
        return false;
    return a->trap >= 0 || (memcmp(a->state.gpr, b->state.gpr, sizeof(a->state.gpr)) == 0 &&
                            !((a->state.eflags ^ b->state.eflags) & flags));
}

START_TEST(random_instructions)
{
    const char *cases_env = getenv("CPU_NATIVE_CASES"), *seed_env = getenv("CPU_NATIVE_SEED");
    unsigned long cases = cases_env ? strtoul(cases_env, NULL, 0) : 400000, done = 0;
    u8 *data = (u8 *)(uintptr_t)DATA, *guest_data;
    static u8 pattern[DATA_SIZE];
    unsigned differences = 0;

    rng = seed_env ? strtoull(seed_env, NULL, 0) : (u64)time(NULL) * 0x9e3779b97f4a7c15;
    printf("seed %#llx\n", (unsigned long long)rng);
    guest_init();
    guest_data = phys_host(&phys, DATA);
    for (unsigned i = 0; i < DATA_SIZE; i++)
        pattern[i] = rnd() % 4 ? rnd() : 0;
    memcpy(data, pattern, DATA_SIZE);
    memcpy(guest_data, pattern, DATA_SIZE);
    while (done < cases && differences < 10) {
        struct outcome host = { 0 }, guest = { 0 };
        struct insn insn;
        struct state in;
        u8 bytes[16];

        make_bytes(bytes);
        if (insn_decode(&insn, bytes, 15, true) != INSN_OK || !suitable(&insn))
            continue;
        for (unsigned i = 0; i < 8; i++)
            in.gpr[i] = rnd_value();
        in.eflags = (rnd() & FL_TESTED) | FL_FIXED1 | FL_IF;
        if (!place(&insn, &in))
            continue;
        host_build(bytes, insn.len);
        host_run(&in, &host);
        guest_run(&insn, &in, &guest);
        done++;
        if (!same(&host, &guest, &insn)) {
            report(&insn, bytes, &in, &host, &guest);
            differences++;
        }
        if (memcmp(data, guest_data, DATA_SIZE) != 0) {
            report(&insn, bytes, &in, &host, &guest);
            for (unsigned i = 0; i < DATA_SIZE; i++)
                if (data[i] != guest_data[i])
                    fprintf(stderr, "memory at %#x: host %02x, guest %02x\n", DATA + i, data[i],
                            guest_data[i]);
            memcpy(data, pattern, DATA_SIZE);
            memcpy(guest_data, pattern, DATA_SIZE);
            differences++;
        }
    }
    printf("%lu cases\n", done);
    ck_assert_uint_eq(differences, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu against the host");
    TCase *tc = tcase_create("random");
    SRunner *runner;
    int failed;

    if (!host_init()) {
        printf("no memory below 4 GiB to run 32-bit code in\n");
        return 77;
    }
    tcase_add_test(tc, random_instructions);
    tcase_set_timeout(tc, 100);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
