// SPDX-License-Identifier: GPL-2.0-or-later
// One 32-bit instruction on the host CPU itself, in compatibility mode, and in the interpreter:
// the same code, data and segments at the same addresses. The includer defines _GNU_SOURCE first.
#ifndef RING3_TESTS_CPU_NATIVE_H
#define RING3_TESTS_CPU_NATIVE_H

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
    u16 ds, es;
};

struct outcome {
    struct state state;
    int trap; // -1: none
    u32 error, cr2;
};

// ---- The host. One page of code: 64-bit entry, 32-bit body, 64-bit exit, and the state.
enum { ENTRY = 0, BODY = 0x100, EXIT = 0x300, IN = 0x400, OUT = 0x500, SAVED_RSP = 0x600 };
#define SAFE_STACK (CODE + 0xf00)

static sigjmp_buf fault_jump;
static struct outcome fault_seen;

static inline void on_fault(int sig, siginfo_t *info, void *context)
{
    const greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

    (void)sig, (void)info;
    fault_seen.trap = g[REG_TRAPNO];
    fault_seen.error = g[REG_ERR];
    fault_seen.cr2 = g[REG_TRAPNO] == X_PF ? g[REG_CR2] : 0;
    fault_seen.state = (struct state){
        .gpr = { g[REG_RAX], g[REG_RCX], g[REG_RDX], g[REG_RBX], g[REG_RSP], g[REG_RBP], g[REG_RSI],
                 g[REG_RDI] },
        .eflags = g[REG_EFL],
    };
    siglongjmp(fault_jump, 1);
}

static inline u8 *put(u8 *p, const void *bytes, unsigned n)
{
    memcpy(p, bytes, n);
    return p + n;
}

// An instruction with an absolute operand, by SS, which is always flat.
static inline u8 *put_ss(u8 *p, u8 a, u8 b, u32 address)
{
    *p++ = 0x36;
    *p++ = a;
    *p++ = b;
    return put(p, &address, 4);
}

static inline void host_build(const u8 *bytes, unsigned len);
static inline void host_run(const struct state *in, struct outcome *out);

// False, with the reason printed: this host runs no 32-bit code for us.
static inline bool host_init(void)
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
    struct state flat = { .eflags = FL_FIXED1, .ds = 0x2b, .es = 0x2b };
    struct outcome probe;

    if (code == MAP_FAILED || data == MAP_FAILED) {
        printf("no memory below 4 GiB to run 32-bit code in\n");
        return false;
    }
    sigaltstack(&ss, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &sa, NULL);
    // push rbx rbp r12-r15; mov [saved],rsp; push 23; push body; retfq
    p = put(p, entry, sizeof(entry));
    p = put(p, "\x48\x89\x24\x25", 4);
    p = put(p, &(u32){ CODE + SAVED_RSP }, 4);
    p = put(p, "\x6a\x23\x68", 3);
    p = put(p, &(u32){ CODE + BODY }, 4);
    put(p, "\x48\xcb", 2);
    // mov rsp,[saved]; cld; pops; ret
    p = put(code + EXIT, "\x48\x8b\x24\x25", 4);
    p = put(p, &(u32){ CODE + SAVED_RSP }, 4);
    put(p, leave, sizeof(leave));
    // Some virtual machines' processors have no compatibility mode.
    host_build((const u8 *)"\x90", 1);
    host_run(&flat, &probe);
    if (probe.trap >= 0)
        printf("this host runs no 32-bit code: nothing compared\n");
    return probe.trap < 0;
}

static inline void host_build(const u8 *bytes, unsigned len)
{
    u8 *code = (u8 *)(uintptr_t)CODE, *p = code + BODY;

    // mov esp,safe; push [eflags]; popf; mov ds/es,[...]; mov reg,[...] for all; the instruction
    *p++ = 0xbc;
    p = put(p, &(u32){ SAFE_STACK }, 4);
    p = put_ss(p, 0xff, 0x35, CODE + IN + offsetof(struct state, eflags));
    *p++ = 0x9d;
    p = put_ss(p, 0x8e, 0x1d, CODE + IN + offsetof(struct state, ds));
    p = put_ss(p, 0x8e, 0x05, CODE + IN + offsetof(struct state, es));
    for (unsigned i = 0; i < 8; i++)
        p = put_ss(p, 0x8b, 0x05 | i << 3, CODE + IN + 4 * i);
    p = put(p, bytes, len);
    // The same backwards, then jmp far 33:exit.
    for (unsigned i = 0; i < 8; i++)
        p = put_ss(p, 0x89, 0x05 | i << 3, CODE + OUT + 4 * i);
    p = put_ss(p, 0x8c, 0x1d, CODE + OUT + offsetof(struct state, ds));
    p = put_ss(p, 0x8c, 0x05, CODE + OUT + offsetof(struct state, es));
    *p++ = 0xbc;
    p = put(p, &(u32){ SAFE_STACK }, 4);
    *p++ = 0x9c;
    p = put_ss(p, 0x8f, 0x05, CODE + OUT + offsetof(struct state, eflags));
    *p++ = 0xea;
    p = put(p, &(u32){ CODE + EXIT }, 4);
    put(p, "\x33\x00", 2);
}

static inline void host_run(const struct state *in, struct outcome *out)
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
struct guest {
    struct vcpu *v;
    struct phys phys;
    struct mmu mmu;
    struct bus bus;
    struct log log;
};

#define GUEST_LDT 0x8000u
#define GUEST_GDT 0x9000u

static inline void guest_init(struct guest *g)
{
    struct vcpu *v;
    struct err err;

    memset(g, 0, sizeof(*g));
    g->log.file = stderr;
    bus_init(&g->bus);
    ck_assert(phys_init(&g->phys, 32 << 20, &g->bus, &err));
    v = g->v = aligned_alloc(64, (sizeof(*v) + 63) & ~63ul);
    memset(v, 0, sizeof(*v));
    v->bus = &g->bus;
    v->log = &g->log;
    v->model = cpu_model_find("max");
    ck_assert(mmu_init(&g->mmu, v, &g->phys, &err));
    cpu_reset(v);
    v->cr0 |= CR0_PE;
    for (unsigned i = 0; i < S_COUNT; i++)
        v->seg[i] = (struct seg){ 0x2b, 0xc0f3, 0, 0xffffffff };
    v->seg[S_CS] = (struct seg){ 0x23, 0xc0fb, 0, 0xffffffff };
    v->seg[S_FS] = v->seg[S_GS] = (struct seg){ 0 };
    v->gdtr = (struct dtable){ GUEST_GDT, 0x7f };
    // Code and data as Linux has them at 20 and 28.
    phys_write64(&g->phys, GUEST_GDT + 0x20, 0x00cffb000000ffff);
    phys_write64(&g->phys, GUEST_GDT + 0x28, 0x00cff3000000ffff);
    v->ldtr = (struct seg){ 0x38, 0x82, GUEST_LDT, 0xfff };
    cpu_set_cpl(v, 3);
}

static inline void guest_free(struct guest *g)
{
    mmu_destroy(&g->mmu);
    phys_destroy(&g->phys);
    bus_destroy(&g->bus);
    free(g->v);
}

// partial: a fault may leave a repeated string instruction half done.
static inline void guest_do(struct guest *g, const struct insn *insn, const struct state *in,
                            struct outcome *out, bool partial)
{
    struct vcpu *v = g->v;
    jmp_buf catcher;

    v->catcher = &catcher;
    if (_setjmp(catcher))
        ck_abort_msg("selectors %#x, %#x can't be loaded", in->ds, in->es);
    seg_load(v, S_DS, in->ds);
    seg_load(v, S_ES, in->es);
    memcpy(v->gpr, in->gpr, sizeof(v->gpr));
    v->eflags = in->eflags;
    v->eip = CODE + BODY;
    if (_setjmp(catcher)) {
        out->trap = v->fault.vector;
        out->error = v->fault.error;
        out->cr2 = v->fault.vector == X_PF ? v->cr2 : 0;
        memcpy(out->state.gpr, v->gpr, sizeof(v->gpr));
        out->state.eflags = v->eflags;
        if (partial)
            return;
        ck_assert_mem_eq(v->gpr, in->gpr, sizeof(v->gpr)); // as it was before the instruction
        ck_assert_uint_eq(v->eflags, in->eflags);
        ck_assert_uint_eq(v->eip, CODE + BODY);
    } else {
        interp_insn(v, insn);
        memcpy(out->state.gpr, v->gpr, sizeof(v->gpr));
        out->state.eflags = v->eflags;
        out->state.ds = v->seg[S_DS].sel;
        out->state.es = v->seg[S_ES].sel;
        out->trap = -1;
        out->error = 0;
        ck_assert_uint_eq(v->eip, CODE + BODY + insn->len);
    }
}

static inline void guest_run(struct guest *g, const struct insn *insn, const struct state *in,
                             struct outcome *out)
{
    guest_do(g, insn, in, out, false);
}

static inline void guest_run_partial(struct guest *g, const struct insn *insn,
                                     const struct state *in, struct outcome *out)
{
    guest_do(g, insn, in, out, true);
}

// ---- Random operands
static u64 rng;

static inline u32 rnd(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng >> 16;
}

// Numbers that provoke: small, negative, at the edges of the sizes, random.
static inline u32 rnd_value(void)
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

static inline void report(const struct insn *insn, const u8 *bytes, const struct state *in,
                   const struct outcome *host, const struct outcome *guest)
{
    fprintf(stderr, "%s:", insn->name);
    for (unsigned i = 0; i < insn->len; i++)
        fprintf(stderr, " %02x", bytes[i]);
    fprintf(stderr, "\n       eax      ecx      edx      ebx      esp      ebp      esi      edi      "
                    "flags    ds   es   trap\nin   ");
    for (unsigned i = 0; i < 9; i++)
        fprintf(stderr, " %08x", i < 8 ? in->gpr[i] : in->eflags);
    fprintf(stderr, " %04x %04x", in->ds, in->es);
    for (int k = 0; k < 2; k++) {
        const struct outcome *o = k ? guest : host;

        fprintf(stderr, "\n%s", k ? "guest" : "host ");
        for (unsigned i = 0; i < 9; i++)
            fprintf(stderr, " %08x", i < 8 ? o->state.gpr[i] : o->state.eflags & FL_TESTED);
        fprintf(stderr, " %04x %04x %d/%#x %08x", o->state.ds, o->state.es, o->trap, o->error,
                o->cr2);
    }
    fprintf(stderr, "\n");
}

#endif
