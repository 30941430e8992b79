// SPDX-License-Identifier: GPL-2.0-or-later
// What an instruction test is written with. A test defines test_main, which is called with all registers 0,
// DF = 0, an initialised x87, and 1 MiB of stack, and returns. Every macro and h_ function below keeps all
// registers and flags, so it can stand between any two instructions.
#ifndef RING3_TESTS_GUEST_INSN_H
#define RING3_TESTS_GUEST_INSN_H

#define CF 0x001
#define PF 0x004
#define AF 0x010
#define ZF 0x040
#define SF 0x080
#define DF 0x400
#define OF 0x800
#define ARITH (CF | PF | AF | ZF | SF | OF)
#define LOGIC (CF | PF | ZF | SF | OF) // what AND, OR, XOR and TEST define

// The page-fault area: one writable page, directly below one that is not there. The environments
// `kernel`, `user`, `pae` and `seg` and the native program have it; `flat` has no paging.
    .set EDGE, 0x7ff000 // the writable page
    .set HOLE, 0x800000 // the page that is not there

// ---- Folding state into a hash

// Folds eax, ecx, edx, ebx, esi, edi, ebp and the flags that h_mask selects into the hash.
.macro mix
    call h_mix
.endm

// Folds len bytes (1 to 255) at a fixed address.
.macro mixmem addr, len
    call h_mixmem
    .long \addr
    .byte \len
.endm

// Selects the flags that mix and regs look at: those the instruction under test defines. DF always counts.
.macro flags mask
    movl $(\mask | DF), h_mask
.endm

// ---- Output. Text must be the same in every environment.

// Prints "NAME HASH" and starts a new hash.
.macro report name:vararg
    call h_report
    .asciz \name
.endm

// Prints "NAME eax=... ebp=... flags=...".
.macro regs name:vararg
    call h_regs
    .asciz \name
.endm

.macro say text:vararg
    call h_say
    .asciz \text
.endm

// ---- Faults

// The next fault or trap is expected, and continues at label with all registers as the faulting
// instruction found them. A fault that was not expected ends the test as failed.
.macro expect label
    movl $\label, h_resume
.endm

// Prints vector, error code, CR2 (page faults only) and EIP - label of the last fault, or that there was
// none since the last showfault, and then the registers as regs does.
.macro showfault label, name:vararg
    call h_showfault
    .long \label
    .asciz \name
.endm

#endif
