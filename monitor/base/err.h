// SPDX-License-Identifier: GPL-2.0-or-later
// A failure of the host or the user: one clear sentence and the exit status that goes with it.
// (The guest's mistakes are guest faults, vcpu.h; our own bugs are CHECK, log.h.)
#ifndef RING3_BASE_ERR_H
#define RING3_BASE_ERR_H

#include "types.h"

// Exit statuses of the ring3 program, documented in ring3(1).
enum exit_status {
    EXIT_OK = 0,            // the guest powered itself off, or the user quit from the console
    EXIT_HOST = 2,          // the host lacks something, or a host call failed
    EXIT_USAGE = 64,        // the command line is wrong (sysexits.h: EX_USAGE)
    EXIT_INPUT = 65,        // a kernel, initrd or image is missing or unfit
    EXIT_TRIPLE_FAULT = 66, // the guest triple-faulted or reset under -no-reboot
    EXIT_TIMEOUT = 68,      // -timeout expired
    EXIT_BUG = 70,          // a CHECK failed: a bug of ring3's
};

struct err {
    enum exit_status status;
    char text[512]; // what, which file or option, why, what to do; no newline
};

// Fills *e; always returns false, so that callers can `return err_set(...)`.
bool err_set(struct err *e, enum exit_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// In mid-run: the host gave no memory or mapping for `what`, without which the guest cannot go on. Says so in a sentence
// and exits with EXIT_HOST.
_Noreturn void err_no_memory(const char *what);

#endif
