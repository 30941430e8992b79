// SPDX-License-Identifier: GPL-2.0-or-later
// The harness itself: registers, hashes, an expected fault.
//
// Expected: registers as set, the fault at its instruction with registers as before it.
// Not in: flat
// Run: tests/guest/run-insn smoke
#include "tests/guest/lib/insn.h"

    .text
    .globl test_main
test_main:
    movl $1, %eax
    movl $2, %ecx
    movl $3, %edx
    movl $4, %ebx
    movl $5, %esi
    movl $6, %edi
    movl $7, %ebp
    cmpl $1, %eax
    regs "equal"
    cmpl $2, %eax
    stc
    std
    regs "less, std"
    cld
    mix
    report "hash"
    expect 2f
1:  ud2
2:  showfault 1b, "ud2"
    expect 2f
1:  movl HOLE + 16, %eax
2:  showfault 1b, "read hole"
    expect 2f
1:  addl %ecx, EDGE + 4094
2:  showfault 1b, "add across the edge"
    expect 2f
    nop
2:  showfault 1b, "nothing"
    movl $0, h_resume
    ret
