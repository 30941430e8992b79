// SPDX-License-Identifier: GPL-2.0-or-later
// Shifts, rotates and double shifts: all sizes, counts 0 to 40 in CL and immediate, and the flags they define:
// OF by single-bit shifts only, none by a count of 0.
//
// Expected: the host's results and flags.
// Run: tests/guest/run-insn shift
#include "tests/guest/lib/matrix.h"

#define ONE (CF | PF | ZF | SF | OF)
#define MANY (CF | PF | ZF | SF)
#define ROTATE_ONE (CF | OF)
#define NONE (PF | ZF | SF) // what a rotate leaves alone, beside AF

    .globl test_main

.macro single op, mask
    matrix "\op by one r8", \mask, "\op\()b %al"
    matrix "\op by one rh", \mask, "\op\()b %dh"
    matrix "\op by one r16", \mask, "\op\()w %ax"
    matrix "\op by one r32", \mask, "\op\()l %edx"
    matrix "\op by one m8", \mask, "\op\()b cell"
    matrix "\op by one m16", \mask, "\op\()w cell+1"
    matrix "\op by one m32", \mask, "\op\()l cell"
    matrix "\op by zero", ARITH, "\op\()l $0, %eax"
    matrix "\op by cl 0", ARITH, "movb $0, %cl; \op\()w %cl, %ax"
    matrix "\op by cl 32", ARITH, "movb $32, %cl; \op\()l %cl, cell"
.endm

// By 1 to `limit` - 1: where the carry is defined for every kind of shift of that size.
.macro counts op, mask, size, limit, reg
    flags \mask
    movl $1, inner
1:  movl $0, outer
2:  movl outer, %edi
    movl values(, %edi, 4), %edx
    movl %edx, cell
    movl %edx, %eax
    movl inner, %ecx
    cmpl $7, %edi
    \op\size %cl, \reg
    mix
    \op\size %cl, cell
    mixmem cell-4, 12
    mix
    incl outer
    cmpl $14, outer
    jne 2b
    incl inner
    cmpl $\limit, inner
    jne 1b
    report "\op\size by cl"
.endm

.macro immediates op, mask
    .irp count, 2, 3, 7
    matrix "\op\()b \count", \mask, "\op\()b $\count, %ah"
    .endr
    .irp count, 2, 8, 15
    matrix "\op\()w \count", \mask, "\op\()w $\count, %dx"
    .endr
    .irp count, 2, 16, 31
    matrix "\op\()l \count", \mask, "\op\()l $\count, %eax"
    matrix "\op\()l \count m", \mask, "\op\()l $\count, cell"
    .endr
.endm

.macro double op
    .irp count, 2, 5, 16, 31
    matrix "\op\()l \count", MANY, "\op\()l $\count, %edx, %eax"
    matrix "\op\()l \count m", MANY, "\op\()l $\count, %edx, cell"
    .endr
    .irp count, 2, 9, 15
    matrix "\op\()w \count", MANY, "\op\()w $\count, %dx, %ax"
    matrix "\op\()w \count m", MANY, "\op\()w $\count, %dx, cell"
    .endr
    matrix "\op\()l by one", ONE, "\op\()l $1, %edx, %eax"
    matrix "\op\()l zero", ARITH, "\op\()l $32, %edx, %eax"
    matrix "\op\()l cl", MANY, "movb $0x2b, %cl; \op\()l %cl, %edx, %eax"
    matrix "\op\()w cl", MANY, "movb $0x2b, %cl; \op\()w %cl, %dx, cell+2"
    matrix "\op\()l cl zero", ARITH, "movb $0xe0, %cl; \op\()l %cl, %eax, %edx"
    matrix "\op\()l same", MANY, "\op\()l $7, %eax, %eax"
.endm

test_main:
    .irp op, rol, ror, rcl, rcr
    single \op, CF | OF
    counts \op, CF, b, 8, %ah
    counts \op, CF, w, 16, %ax
    counts \op, CF, l, 32, %eax
    counts \op, NONE | AF, l, 32, %edx
    immediates \op, CF
    .endr
    // Rotates through more than the operand: the count is taken modulo 9 and 17 by RCL and RCR,
    // and a multiple of the size still sets CF for ROL and ROR.
    .irp op, rcl, rcr, rol, ror
    counts \op, CF, b, 41, %dl
    counts \op, CF, w, 41, %dx
    counts \op, CF, l, 41, %edx
    .endr
    .irp op, shl, shr, sar
    single \op, ONE
    counts \op, MANY, b, 8, %ah
    counts \op, MANY, w, 16, %ax
    counts \op, MANY, l, 32, %eax
    counts \op, PF | ZF | SF, b, 41, %dh
    counts \op, PF | ZF | SF, w, 41, %dx
    counts \op, PF | ZF | SF, l, 41, %edx
    immediates \op, MANY
    .endr
    double shld
    double shrd
    // Flags of a shift whose count turns out to be 0 are those of the instruction before.
    matrix "flags pass", ARITH, "movb %dl, %cl; andb $0x20, %cl; addb $1, %al; shll %cl, %ebx; adcl $0, %edx"
    matrix "shift, branch", CF, "movb $3, %cl; shrl %cl, %eax; jc 77f; incl %ebx; 77: rcrl %edx"
    ret
