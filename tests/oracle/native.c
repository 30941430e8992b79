// SPDX-License-Identifier: GPL-2.0-or-later
// The native server: runs cases on the host's CPU, as 32-bit code of this 64-bit process. It is a program of its
// own so that the 4 GiB that 32-bit code can reach hold the case's memory and nothing else, and so that what
// goes wrong there is no more than the end of this process:
//
//   oracle-native MEMFD     MEMFD holds a struct batch; a byte on stdin runs it, a byte on stdout answers
//
// System calls made by the case are refused by a filter (SIGSYS).
#include "segments.h"

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

struct native_entry { // enter.S knows the layout
    u32 gpr[8];
    u64 eip, eflags, esp, cs, ss;
    u16 seg[4]; // ES DS FS GS
    const u8 *fx;
};

void native_enter(const struct native_entry *entry);
void native_handler(int signo, siginfo_t *info, void *context);
void native_alarm(int signo, siginfo_t *info, void *context);
_Noreturn void native_leave(void);
void native_fault(int signo, siginfo_t *info, void *context);
extern u16 native_seg[4];
extern u64 native_fsbase;

#define CS_64 0x33

// Signal handlers get no argument: the result being made. NULL outside of cases.
static struct oracle_result *current;

static void save_fpu(struct oracle_result *r, const ucontext_t *uc)
{
    memcpy(r->fx, uc->uc_mcontext.fpregs, FX_BYTES);
}

void native_fault(int signo, siginfo_t *info, void *context)
{
    static const u8 order[8] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI };
    const ucontext_t *uc = context;
    const greg_t *reg = uc->uc_mcontext.gregs;
    struct oracle_result *r = current;
    u16 cs = reg[REG_CSGSFS];

    (void)info;
    if (signo == SIGALRM && (!r || cs == CS_64))
        return; // idle, or on the way in or out
    if (!r || cs == CS_64)
        _exit(3);
    for (int i = 0; i < 8; i++)
        r->gpr[i] = reg[order[i]];
    r->eip = reg[REG_RIP];
    r->eflags = reg[REG_EFL];
    r->seg[0] = native_seg[0];
    r->seg[1] = cs;
    r->seg[2] = (u64)reg[REG_CSGSFS] >> 48;
    r->seg[3] = native_seg[1];
    r->seg[4] = native_seg[2];
    r->seg[5] = native_seg[3];
    r->vector = reg[REG_TRAPNO];
    r->error = reg[REG_ERR];
    r->cr2 = r->vector == 14 ? reg[REG_CR2] : 0;
    if (signo == SIGALRM)
        r->vector = VECTOR_TIMEOUT;
    else if (signo == SIGSYS)
        r->vector = VECTOR_ESCAPED;
    save_fpu(r, uc);
    native_leave();
}

static void die(const char *what)
{
    fprintf(stderr, "oracle-native: %s: %s\n", what, strerror(errno));
    exit(2);
}

// System calls of 32-bit code become SIGSYS.
static void filter_system_calls(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = { ARRAY_LEN(code), code };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        die("cannot filter system calls");
}

static void catch_signals(void)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS };
    struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    static u8 stack_memory[64 << 10];
    stack_t stack = { .ss_sp = stack_memory, .ss_size = sizeof(stack_memory) };
    struct itimerval timer = { { 0, 3000 }, { 0, 3000 } };

    if (sigaltstack(&stack, NULL) < 0)
        die("sigaltstack");
    sigaddset(&action.sa_mask, SIGALRM);
    action.sa_sigaction = native_handler;
    for (unsigned i = 0; i < ARRAY_LEN(faults); i++)
        sigaction(faults[i], &action, NULL);
    action.sa_flags |= SA_RESTART;
    action.sa_sigaction = native_alarm;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

// Maps the areas of the image, with nothing left to be mapped on demand, which would show in page-fault error codes;
// returns a view of it in one piece.
static u8 *map_image(struct batch *b)
{
    int fd = memfd_create("image", 0);
    u8 *image;

    if (fd < 0 || ftruncate(fd, IMAGE_SIZE) < 0)
        die("no memory for the image");
    image = mmap(NULL, IMAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (image == MAP_FAILED)
        die("no memory for the image");
    for (int i = 0; i < AREA_COUNT; i++) {
        const struct area *a = &areas[i];
        int prot = PROT_READ | (a->flags & AREA_WRITE ? PROT_WRITE : 0) | (a->flags & AREA_EXEC ? PROT_EXEC : 0);
        void *at = (void *)(u64)a->gla;
        void *got = mmap(at, a->pages * PAGE_SIZE, prot, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, a->first * PAGE_SIZE);

        if (got != at && !(a->flags & AREA_OPTIONAL))
            die("cannot map the case's memory");
        if (i == AREA_ZERO)
            b->has_zero = got == at;
    }
    if (mlockall(MCL_CURRENT) < 0)
        fprintf(stderr, "oracle-native: mlockall: %s; going on without\n", strerror(errno));
    return image;
}

static bool load_ldt(void)
{
    for (int i = 0; i < LDT_COUNT; i++) {
        struct user_desc d = {
            .entry_number = i, .base_addr = ldt[i].base, .limit = ldt[i].limit,
            .seg_32bit = !!(ldt[i].flags & LDT_BIG), .contents = ldt[i].flags & LDT_CONTENTS,
            .read_exec_only = !!(ldt[i].flags & LDT_CLOSED), .limit_in_pages = !!(ldt[i].flags & LDT_PAGES),
            .seg_not_present = !!(ldt[i].flags & LDT_ABSENT),
        };

        if (syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)) != 0)
            return false;
    }
    return true;
}

static void unblock(int signo)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, signo);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void run(const struct oracle_case *c, struct oracle_result *r)
{
    struct native_entry entry = {
        .eip = c->eip, .eflags = c->eflags, .esp = c->gpr[4], .cs = c->seg[1], .ss = c->seg[2],
        .seg = { c->seg[0], c->seg[3], c->seg[4], c->seg[5] }, .fx = c->fx,
    };

    memcpy(entry.gpr, c->gpr, sizeof(entry.gpr));
    current = r;
    native_enter(&entry);
    current = NULL;
    unblock(SIGALRM); // the handler was left, not returned from
}

int main(int argc, char **argv)
{
    static u8 template[IMAGE_SIZE], before[IMAGE_SIZE];
    struct batch *b;
    u64 seed = 0;
    u8 *image;
    char byte;

    if (argc != 2)
        return 2;
    b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[1]), 0);
    if (b == MAP_FAILED)
        die("cannot map the batch");
    image = map_image(b);
    b->has_ldt = load_ldt();
    if (syscall(SYS_arch_prctl, ARCH_GET_FS, &native_fsbase) < 0)
        die("arch_prctl");
    catch_signals();
    filter_system_calls();
    memory_template(seed, template);
    while (read(0, &byte, 1) == 1) {
        for (u32 i = b->done; i < b->count; i++) {
            const struct oracle_case *c = &b->c[i];

            if (c->mem_seed != seed) {
                seed = c->mem_seed;
                memory_template(seed, template);
            }
            memory_prepare(c, template, before);
            memcpy(image, before, IMAGE_SIZE);
            run(c, &b->r[i]);
            memory_diff(before, image, &b->r[i]);
            b->done = i + 1;
        }
        if (write(1, &byte, 1) != 1)
            break;
    }
    return 0;
}
