// SPDX-License-Identifier: GPL-2.0-or-later
// Two-operand instructions over all pairs of edge values. Included once by a test.
#ifndef RING3_TESTS_GUEST_MATRIX_H
#define RING3_TESTS_GUEST_MATRIX_H

#include "tests/guest/lib/insn.h"

// Runs `body` for all pairs of values in eax and edx, with CF clear and set, and folds the results.
// `body`, in quotes, may be several instructions. ecx is 01020304, ebx 0a0b0c0d and ebp 0; cell holds
// eax, with known bytes around it. body may change all of these.
.macro matrix name, mask, body
    flags \mask
    movl $0, outer
1:  movl $0, inner
2:  .irp carry, clc, stc
    movl outer, %edi
    movl inner, %esi
    movl values(, %edi, 4), %eax
    movl values(, %esi, 4), %edx
    movl $0x5a5a5a5a, cell - 4
    movl %eax, cell
    movl $0xa5a5a5a5, cell + 4
    movl $0x01020304, %ecx
    movl $0x0a0b0c0d, %ebx
    xorl %ebp, %ebp
    cmpl %eax, %edx
    \carry
    \body
    mix
    mixmem cell-4, 12
    .endr
    incl inner
    cmpl $14, inner
    jne 2b
    incl outer
    cmpl $14, outer
    jne 1b
    report "\name"
.endm

    .data
    .balign 4
values:
    .long 0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff
    .long 0x7fffffff, 0x80000000, 0xffffffff, 0x12345678, 0x89abcdef
    .bss
    .balign 4
    .skip 4
cell: .skip 8
outer: .skip 4
inner: .skip 4
    .text

#endif
