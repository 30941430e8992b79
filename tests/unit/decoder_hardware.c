// SPDX-License-Identifier: GPL-2.0-or-later
// The host's own CPU as oracle. Instructions run in 32-bit compatibility mode, one at a time under the trap
// flag, their last byte just before an inaccessible page: with one byte less than insn_decode's length
// the fetch must fault there, with all of them it must not, and #UD must come where INSN_UD says so. Those
// that complete run again with other flags, which checks flags_read and flags_written.
#include "decoder/insn.h"

#include <check.h>
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define USER32_CS 0x23 // Linux's compatibility-mode code segment
#define SKIPPED 77     // ctest's, for a host that cannot do this

struct regs {
    u32 gpr[8], eip, eflags;
};

struct outcome {
    int signal, trap;
    bool fetch; // a page fault on instruction fetch
    u64 cr2;
};

// A request to the signal handler, and what came of it. The handler must find it without arguments.
static struct {
    bool pending;
    struct regs regs;
    struct outcome outcome;
    gregset_t home;
    u8 home_fx[512];
} step;

static const int greg_of[8] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX,
                                REG_RSP, REG_RBP, REG_RSI, REG_RDI };

static void handler(int signal, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    greg_t *g = u->uc_mcontext.gregs;

    (void)info;
    if (step.pending) { // the UD2 in run: leave for the guest
        step.pending = false;
        memcpy(step.home, g, sizeof(step.home));
        memcpy(step.home_fx, u->uc_mcontext.fpregs, sizeof(step.home_fx));
        for (unsigned i = 0; i < 8; i++)
            g[greg_of[i]] = step.regs.gpr[i];
        memset(u->uc_mcontext.fpregs->_xmm, 0x5a, 8 * 16); // the same in every run
        g[REG_RIP] = step.regs.eip;
        g[REG_EFL] = step.regs.eflags | FL_TF | FL_IF | FL_FIXED1;
        g[REG_CSGSFS] = (g[REG_CSGSFS] & ~0xffffll) | USER32_CS;
        return;
    }
    for (unsigned i = 0; i < 8; i++)
        step.regs.gpr[i] = (u32)g[greg_of[i]];
    step.regs.eip = (u32)g[REG_RIP];
    step.regs.eflags = (u32)g[REG_EFL];
    step.outcome = (struct outcome){ .signal = signal, .trap = (int)g[REG_TRAPNO],
                                     .fetch = g[REG_TRAPNO] == X_PF && g[REG_ERR] & PFERR_I,
                                     .cr2 = (u64)g[REG_CR2] };
    memcpy(g, step.home, sizeof(step.home));
    memcpy(u->uc_mcontext.fpregs, step.home_fx, sizeof(step.home_fx));
    g[REG_RIP] += 2; // over the UD2
}

// Runs one instruction with the registers in *regs, which it updates.
static struct outcome run(struct regs *regs)
{
    step.regs = *regs;
    step.pending = true;
    __asm__ volatile("ud2" ::: "memory");
    *regs = step.regs;
    return step.outcome;
}

static u8 *map_low(size_t size)
{
    u8 *p = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

// Code that ends at a page that nothing can be fetched from; NULL if the host does not play along.
static u8 *setup(void)
{
    static u8 stack[65536];
    stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    static const int signals[] = { SIGSEGV, SIGILL, SIGTRAP, SIGFPE, SIGBUS, SIGSYS };
    u8 *page = map_low(2 * PAGE_SIZE);
    struct regs regs = { .gpr = { 1 } };
    struct outcome o;

    if (!page || mprotect(page + PAGE_SIZE, PAGE_SIZE, PROT_NONE) != 0)
        return NULL;
    sigaltstack(&alt, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &action, NULL);

    page[PAGE_SIZE - 2] = 0x40; // inc eax, in 32-bit code
    page[PAGE_SIZE - 1] = 0xb8; // mov eax, imm32: the immediate is out of reach
    regs.eip = (u32)(uintptr_t)page + PAGE_SIZE - 2;
    o = run(&regs);
    if (o.signal != SIGTRAP || regs.gpr[R_EAX] != 2)
        return NULL;
    o = run(&regs);
    if (!o.fetch || o.cr2 != (uintptr_t)page + PAGE_SIZE)
        return NULL;
    return page + PAGE_SIZE;
}

// Whether the host has what an instruction of this step needs.
static bool host_has(unsigned isa)
{
    unsigned a, b = 0, c = 0, d = 0, b7 = 0, c7, d7, ce = 0;

    __get_cpuid(1, &a, &b, &c, &d);
    __get_cpuid_count(7, 0, &a, &b7, &c7, &d7);
    __get_cpuid(0x80000001, &a, &b, &ce, &d);
    switch (isa) {
    case ISA_SSE3:
        return c & bit_SSE3;
    case ISA_SSSE3:
        return c & bit_SSSE3;
    case ISA_SSE41:
        return c & bit_SSE4_1;
    case ISA_SSE42:
        return c & bit_SSE4_2;
    case ISA_POPCNT:
        return c & bit_POPCNT;
    case ISA_MOVBE:
        return c & bit_MOVBE;
    case ISA_AES:
        return c & bit_AES;
    case ISA_PCLMUL:
        return c & bit_PCLMUL;
    case ISA_RDRAND:
        return c & bit_RDRND;
    case ISA_RDSEED:
        return b7 & bit_RDSEED;
    case ISA_ADX:
        return b7 & bit_ADX;
    case ISA_LZCNT:
        return ce & bit_LZCNT;
    case ISA_TZCNT:
    case ISA_BMI1:
        return b7 & bit_BMI;
    default:
        return true; // part of x86-64
    }
}

// What must not be run, because it would leave this process, or wedge it.
static bool unsafe(const struct insn *insn, const u8 *modrm)
{
    switch (insn->op) {
    case OP1(0xcd): // INT 80h
    case OP0F(0x05): // SYSCALL
    case OP0F(0x07):
    case OP0F(0x34): // SYSENTER
    case OP0F(0x35):
        return true;
    case OP1(0x8e): // a null FS or GS in the handler
        return insn->reg == S_FS || insn->reg == S_GS;
    case OP0F(0x01): // VMCALL, VMMCALL, MWAIT, XSETBV...; SMSW and LMSW are fine
        return *modrm >= 0xc0 && (*modrm >> 3 & 5) != 4;
    default:
        return false;
    }
}

// Vendors differ, or it means something to a newer CPU that no model of ours has.
static bool undecided(const struct insn *insn)
{
    if (insn->op >> 8 != MAP_1 && insn->attr & INSN_UD) // XSAVE, SHA, SSE4A, LOCK MOV CR0...
        return !(insn->prefix & PFX_LOCK) || (insn->op >= OP0F(0x20) && insn->op <= OP0F(0x23)) ||
               insn->op == OP0F(0x00); // LOCK VERW is #GP on some Zen, before it is #UD
    return insn->op == OP0F(0x0d) ||   // PREFETCHW with a register is #UD on AMD
           insn->op == OP0F(0xaa) ||   // RSM is #UD outside SMM
           insn->op == OP1(0x62) || insn->op == OP1(0xc4) || insn->op == OP1(0xc5); // VEX, EVEX
}

struct state {
    u8 *end;
    unsigned long lengths, flags;
    unsigned failures;
    u16 said_op; // what the last complaint was about, to say it once
    const char *said_what;
};

static void complain(struct state *s, const struct insn *insn, const u8 *bytes, const char *what,
                     unsigned value)
{
    s->failures++;
    if (s->said_op == insn->op && s->said_what == what)
        return;
    s->said_op = insn->op;
    s->said_what = what;
    printf("op %03x /%u %s: %s %x:", insn->op, insn->reg, insn->name, what, value);
    for (unsigned i = 0; i < insn->len; i++)
        printf(" %02x", bytes[i]);
    printf("\n");
}

static struct outcome run_bytes(struct state *s, const u8 *bytes, unsigned n, struct regs *regs)
{
    memcpy(s->end - n, bytes, n);
    regs->eip = (u32)(uintptr_t)(s->end - n);
    return run(regs);
}

static bool hit_end(const struct state *s, const struct outcome *o)
{
    return o->fetch && o->cr2 == (uintptr_t)s->end;
}

// The flags that are undefined after an instruction, and neither surely kept nor surely lost.
static u32 undefined_flags(const struct insn *insn)
{
    switch (insn->op) {
    case OP1(0x69):
    case OP1(0x6b):
    case OP0F(0xaf):
        return FL_ARITH;
    case OP1(0xf6):
    case OP1(0xf7):
        return insn->reg >= 4 ? FL_ARITH : 0; // MUL IMUL DIV IDIV
    case OP1(0xdb):
    case OP1(0xdf): // FCOMI: defined, but only if there is no unmasked #IA
        return FL_OF | FL_SF | FL_AF;
    case OP0F(0xa3):
    case OP0F(0xab):
    case OP0F(0xb3):
    case OP0F(0xba):
    case OP0F(0xbb):
        return FL_ARITH & ~FL_ZF;
    case OP0F(0xbc):
    case OP0F(0xbd):
        return FL_ARITH;
    case OPVEX38(0xf2):
    case OPVEX38(0xf3):
        return FL_PF | FL_AF;
    case OPVEX38(0xf7):
        return FL_PF | FL_AF | FL_SF;
    default:
        return 0;
    }
}

// Two runs that differ in the flags that should not matter, then compared.
static void check_flags(struct state *s, const struct insn *insn, const u8 *bytes, u32 seed)
{
    u32 survive = FL_ARITH & ~insn->flags_written & ~undefined_flags(insn);
    u32 free = FL_ARITH & ~insn->flags_read;
    struct regs a = { .gpr = { 0 } }, b;
    struct outcome oa, ob;
    u32 differ;

    for (unsigned i = 0; i < 8; i++)
        a.gpr[i] = (seed = seed * 1664525 + 1013904223) ^ (i ? 0 : 0x80);
    a.gpr[R_ESP] = 0; // stack accesses fault, and then nothing is compared
    if (seed & 1) {   // some divisions should not
        a.gpr[R_EAX] &= 0x7f;
        a.gpr[R_EDX] = 0;
    }
    a.eflags = seed >> 8 & insn->flags_read & FL_ARITH;
    b = a;
    b.eflags |= free;
    oa = run_bytes(s, bytes, insn->len, &a);
    ob = run_bytes(s, bytes, insn->len, &b);
    if (oa.signal != SIGTRAP || ob.signal != SIGTRAP)
        return;
    s->flags++;
    differ = a.eflags ^ b.eflags;
    if (differ & insn->flags_written)
        complain(s, insn, bytes, "flags written, but they survive", differ & insn->flags_written);
    // A flag that is neither written nor read is still what it was.
    if ((differ & free & survive) != (free & survive))
        complain(s, insn, bytes, "flags not written, but they change",
                 ~differ & free & survive);
    if (memcmp(a.gpr, b.gpr, sizeof(a.gpr)))
        complain(s, insn, bytes, "results depend on flags not read", free);
}

static void check_insn(struct state *s, const u8 *bytes, const u8 *modrm, bool flags)
{
    struct regs zero = { .gpr = { 0 } }, regs = zero;
    struct insn insn;
    struct outcome o;

    ck_assert_int_eq(insn_decode(&insn, bytes, INSN_MAX, true), INSN_OK);
    if (unsafe(&insn, modrm) || undecided(&insn) || !host_has(insn.isa))
        return;
    s->lengths++;
    if (insn.attr & INSN_UD) {
        o = run_bytes(s, bytes, insn.len, &regs);
        if (o.signal != SIGILL && !hit_end(s, &o))
            complain(s, &insn, bytes, "should be undefined; signal", (unsigned)o.signal);
        return;
    }
    if (insn.len > 1) {
        o = run_bytes(s, bytes, insn.len - 1u, &regs);
        if (!hit_end(s, &o))
            complain(s, &insn, bytes, "should be longer; signal", (unsigned)o.signal);
    }
    regs = zero;
    o = run_bytes(s, bytes, insn.len, &regs);
    if (hit_end(s, &o) && o.cr2 == regs.eip + insn.len)
        complain(s, &insn, bytes, "should be shorter than", insn.len + 1u);
    if (o.signal == SIGILL)
        complain(s, &insn, bytes, "should be defined; signal", (unsigned)o.signal);
    // INT1 and such are a SIGTRAP too, and what is random has no two equal runs.
    if (flags && (o.signal == SIGTRAP || o.signal == SIGFPE) && !insn.flow && !insn.sensitive &&
        insn.isa != ISA_RDRAND && insn.isa != ISA_RDSEED)
        for (u32 seed = 1; seed < 5; seed++)
            check_flags(s, &insn, bytes, seed);
}

static u8 *code_end; // of setup, for the test

START_TEST(test_host)
{
    static const struct {
        u8 n, byte[3];
    } prefix[] = { { 0, { 0 } }, { 1, { 0x66 } }, { 1, { 0xf2 } }, { 1, { 0xf3 } }, { 1, { 0xf0 } },
                   { 2, { 0x67, 0x66 } } };
    struct state s = { .end = code_end };

    for (unsigned i = 0; i < ARRAY_LEN(prefix) * 5 * 256; i++) {
        unsigned p = (i >> 8) / 5, map = (i >> 8) % 5, opcode = i & 255;
        bool x87 = map == MAP_1 && (opcode & 0xf8) == 0xd8;

        if ((map == MAP_1 && (opcode == 0x0f || strchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3",
                                                       (int)opcode))) ||
            (map == MAP_0F && (opcode == 0x38 || opcode == 0x3a)))
            continue;
        for (unsigned modrm = 0; modrm < 256; modrm++) {
            u8 bytes[INSN_MAX + 1] = { 0 };
            unsigned n = prefix[p].n;

            // Every reg, and of rm [eax], [disp32] and ebx; but all of the x87's register forms.
            if (modrm < 0xc0 ? modrm >= 0x40 || ((modrm & 7) != 0 && (modrm & 7) != 5)
                             : !(x87 && !p) && (modrm & 7) != 3)
                continue;
            memcpy(bytes, prefix[p].byte, n);
            if (map == MAP_VEX38) {
                memcpy(bytes + n, "\xc4\xe2\x78", 3);
                n += 3;
            } else if (map != MAP_1) {
                bytes[n++] = 0x0f;
            }
            if (map == MAP_0F38 || map == MAP_0F3A)
                bytes[n++] = map == MAP_0F38 ? 0x38 : 0x3a;
            bytes[n++] = opcode;
            bytes[n] = modrm;
            bytes[n + 1] = modrm < 0xc0 ? 0x00 : modrm * 37; // an immediate, for register forms
            check_insn(&s, bytes, bytes + n, p < 2);
        }
    }
    printf("%lu instructions run, flags of %lu runs compared\n", s.lengths, s.flags);
    ck_assert_uint_eq(s.failures, 0);
    ck_assert_uint_gt(s.lengths, 50000);
    ck_assert_uint_gt(s.flags, 20000);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase;
    SRunner *runner;
    int failed;

    code_end = setup();
    if (!code_end) {
        printf("this host runs no 32-bit code for us: nothing compared\n");
        return SKIPPED;
    }
    suite = suite_create("decoder against the host's CPU");
    tcase = tcase_create("host");
    tcase_set_timeout(tcase, 100);
    tcase_add_test(tcase, test_host);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
