// SPDX-License-Identifier: GPL-2.0-or-later
// Lets the host's SSE unit say which flags an instruction with an unmasked exception sets.
#include "fpu_host.h"

#include "monitor/base/log.h"

#include <signal.h>
#include <ucontext.h>

// Of <ucontext.h>, where these names need _GNU_SOURCE: the order of gregs is the kernel's.
enum { GREG_R8 = 0, GREG_RSI = 9, GREG_RSP = 15, GREG_RIP = 16 };

// The only SIGFPE while this handler is installed comes from the first instruction of a stub, whose
// address the trampoline has left in rsi. Act as its RET; MXCSR, with the flags the host has set,
// is in the frame and loaded again as we return.
static void on_sigfpe(int sig, siginfo_t *info, void *context)
{
    greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;

    (void)sig;
    (void)info;
    CHECK(reg[GREG_RIP] == reg[GREG_RSI] && reg[GREG_RIP] >= (greg_t)(uintptr_t)fpu_stub_first &&
          reg[GREG_RIP] < (greg_t)(uintptr_t)fpu_stub_end);
    reg[GREG_RIP] = *(const greg_t *)(uintptr_t)reg[GREG_RSP];
    reg[GREG_RSP] += 8;
    reg[GREG_R8] = 1;
}

void fpu_host_trap(fpu_host_fn *run, struct fpu_host *h, const u8 *stub)
{
    struct sigaction ours = { .sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO | SA_ONSTACK }, old;

    sigemptyset(&ours.sa_mask);
    CHECK(sigaction(SIGFPE, &ours, &old) == 0);
    run(h, stub);
    CHECK(sigaction(SIGFPE, &old, NULL) == 0);
}
