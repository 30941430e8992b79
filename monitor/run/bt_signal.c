// SPDX-License-Identifier: GPL-2.0-or-later
// Host signals that meet translated code become callouts; no policy lives here.
//
// A fault (SIGSEGV, SIGFPE, ...) leaves the guest state of the instruction in the registers: the handler points RIP
// at the signal stub, which saves them. A kick (SIGUSR1) must stop at an instruction boundary, where the state is
// exact too: if RIP is not at one, the host single-steps there (TF, SIGTRAP). So events cost running code nothing.
#include "engine_bt.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define SIGNAL_STACK_SIZE (64u << 10)

static const int signals[] = { SIGUSR1, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL };

// Signal handlers get no argument: the engine this thread runs.
static __thread struct engine *running_engine;
// Whose signal stack this thread has.
static __thread struct engine *stack_engine;

static void divert(struct engine *e, greg_t *reg, int signo, const siginfo_t *info)
{
    struct bt_frame *f = bt_frame(e->v);

    f->fault_pc = reg[REG_RIP];
    f->fault_signo = signo;
    f->fault_addr = signo ? (u64)info->si_addr : 0;
    f->fault_error = reg[REG_ERR] & (PFERR_P | PFERR_W | PFERR_I);
    reg[REG_EFL] &= ~(greg_t)FL_TF;
    reg[REG_RIP] = e->bt.stubs.signal;
}

// True if host is where a guest instruction's code starts and an event may be taken there. stepped: the host has executed
// an instruction at the same address before, which makes that one an iteration of a REP.
static bool at_boundary(struct engine *e, u64 host, bool stepped)
{
    const struct block *b = block_at_host(&e->blocks, host);
    const struct block_insn *insn;

    if (!b || host < b->entry)
        return false;
    insn = block_insn_at_host(&e->blocks, b, host);
    if (insn->flags & BLOCK_INSN_REP) { // the host traps behind each iteration, at the instruction itself
        u8 byte = *(const u8 *)host;

        // The shadow of STI ends with the first iteration; where no step tells whether it was done, one will.
        if (byte == 0xf2 || byte == 0xf3 || byte == 0x66)
            return stepped || !(insn->flags & BLOCK_INSN_SHADOW);
    }
    return b->host + insn->host == host && !(insn->flags & BLOCK_INSN_SHADOW);
}

static void step_or_stop(struct engine *e, greg_t *reg, int signo)
{
    u64 rip = reg[REG_RIP];
    bool stepped = signo == SIGTRAP && rip == e->stepped_from;

    if (!arena_has(&e->arena, rip) || e->v->event == bt_frame(e->v)->seen) {
        reg[REG_EFL] &= ~(greg_t)FL_TF; // C code looks at the events itself before it comes back
    } else if (rip >= e->bt.stubs.end && at_boundary(e, rip, stepped)) {
        divert(e, reg, 0, NULL);
    } else {
        reg[REG_EFL] |= FL_TF;
        e->stepped_from = rip;
        e->count.steps++;
    }
}

static bool host_stack_fault(struct engine *e, greg_t *reg, u64 addr)
{
    for (int i = 0; i < 2; i++) {
        if (addr - ((u64)e->stack + i * HOST_STACK_SIZE) < HOST_STACK_GUARD) {
            // Guest calls that never returned: forget them, and do the CALL again, which may be that of a check (where it
            // pushes flags).
            if (reg[REG_RIP] >= e->bt.stubs.checks && reg[REG_RIP] < e->bt.stubs.end)
                reg[REG_RIP] = *(const u64 *)reg[REG_RSP] - BT_CALL_LEN;
            reg[REG_RSP] = e->stack_top[i];
            return true;
        }
    }
    return false;
}

// What was there before, to go back to. Dispositions are the process's, and so is this.
static struct sigaction previous[NSIG];

static void handler(int signo, siginfo_t *info, void *context)
{
    greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;
    struct engine *e = running_engine;
    int saved_errno = errno;

    if (e && (signo == SIGUSR1 || signo == SIGTRAP)) {
        step_or_stop(e, reg, signo);
    } else if (info->si_code > 0 && e && arena_has(&e->arena, reg[REG_RIP])) {
        if (!host_stack_fault(e, reg, (u64)info->si_addr)) {
            if ((u64)reg[REG_RIP] < e->bt.stubs.end)
                goto ours;
            divert(e, reg, signo, info);
        }
    } else if (signo != SIGUSR1) {
ours:
        // A bug of ours: die of it at the place, after whoever handled it before us (the terminal).
        sigaction(signo, &previous[signo], NULL);
        if (info->si_code <= 0) // sent by somebody (kill): it will not come again by itself
            raise(signo);
    }
    errno = saved_errno;
}

bool bt_signals_install(struct engine *e, struct err *err)
{
    struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

    e->signal_stack = mmap(NULL, SIGNAL_STACK_SIZE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (e->signal_stack == MAP_FAILED) {
        e->signal_stack = NULL;
        return err_set(err, EXIT_HOST, "out of memory for the signal stack");
    }
    action.sa_sigaction = handler;
    sigfillset(&action.sa_mask);
    for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &action, &previous[signals[i]]);
    return true;
}

void bt_signals_remove(struct engine *e)
{
    stack_t none = { .ss_flags = SS_DISABLE };

    if (stack_engine == e) {
        sigaltstack(&none, NULL);
        stack_engine = NULL;
    }
    for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &previous[signals[i]], NULL);
    if (e->signal_stack)
        munmap(e->signal_stack, SIGNAL_STACK_SIZE);
}

void bt_signal_thread(struct engine *e)
{
    if (e && stack_engine != e) { // once: an idle guest comes here at every tick
        stack_t stack = { .ss_sp = e->signal_stack, .ss_size = SIGNAL_STACK_SIZE };

        sigaltstack(&stack, NULL);
        stack_engine = e;
        e->thread = pthread_self();
    }
    if (!e && running_engine)
        running_engine->running = false;
    running_engine = e;
    if (e)
        e->running = true;
}

void bt_kick(struct engine *e)
{
    if (e->running)
        pthread_kill(e->thread, SIGUSR1);
}
