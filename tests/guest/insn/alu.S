// SPDX-License-Identifier: GPL-2.0-or-later
// ADD OR ADC SBB AND SUB XOR CMP TEST NEG NOT INC DEC: all sizes, every operand form, both carries, all
// pairs of 14 edge values, and all flags they define.
//
// Expected: the host's results and flags; memory changed by its width only.
// Run: tests/guest/run-insn alu
#include "tests/guest/lib/matrix.h"

    .text
    .globl test_main

// AF is undefined after the logical operations.
.macro arithmetic op, mask
    matrix "\op rr8", \mask, "\op\()b %dl, %al"
    matrix "\op rr8 high", \mask, "\op\()b %dh, %ah"
    matrix "\op rr8 mixed", \mask, "\op\()b %ah, %dl"
    matrix "\op rr16", \mask, "\op\()w %dx, %ax"
    matrix "\op rr32", \mask, "\op\()l %edx, %eax"
    matrix "\op rm8", \mask, "\op\()b cell, %dl"
    matrix "\op rm8 high", \mask, "\op\()b cell + 1, %dh"
    matrix "\op rm16", \mask, "\op\()w cell, %dx"
    matrix "\op rm32", \mask, "\op\()l cell, %edx"
    matrix "\op mr8", \mask, "\op\()b %dl, cell"
    matrix "\op mr8 high", \mask, "\op\()b %dh, cell"
    matrix "\op mr16", \mask, "\op\()w %dx, cell"
    matrix "\op mr32", \mask, "\op\()l %edx, cell"
    matrix "\op ai8", \mask, "\op\()b $0x7f, %al"
    matrix "\op ai16", \mask, "\op\()w $0x8001, %ax"
    matrix "\op ai32", \mask, "\op\()l $0x80000001, %eax"
    matrix "\op ri8", \mask, "\op\()b $0x80, %ah"
    matrix "\op ri16", \mask, "\op\()w $0x1234, %dx"
    matrix "\op ri32", \mask, "\op\()l $0x7fffffff, %edx"
    matrix "\op ri16 short", \mask, "\op\()w $-1, %dx"
    matrix "\op ri32 short", \mask, "\op\()l $-2, %edx"
    matrix "\op mi8", \mask, "\op\()b $0xf0, cell + 3"
    matrix "\op mi16", \mask, "\op\()w $0x7fff, cell + 1"
    matrix "\op mi32", \mask, "\op\()l $0x12345678, cell"
    matrix "\op mi32 short", \mask, "\op\()l $-128, cell"
.endm

.macro unary op, mask
    matrix "\op r8", \mask, "\op\()b %al"
    matrix "\op r8 high", \mask, "\op\()b %dh"
    matrix "\op r16", \mask, "\op\()w %dx"
    matrix "\op r32", \mask, "\op\()l %eax"
    matrix "\op m8", \mask, "\op\()b cell"
    matrix "\op m16", \mask, "\op\()w cell + 1"
    matrix "\op m32", \mask, "\op\()l cell"
.endm

test_main:
    .irp op, add, adc, sub, sbb, cmp
    arithmetic \op, ARITH
    .endr
    .irp op, and, or, xor
    arithmetic \op, LOGIC
    .endr
    matrix "test rr8", LOGIC, "testb %dh, %al"
    matrix "test rr16", LOGIC, "testw %dx, %ax"
    matrix "test rr32", LOGIC, "testl %edx, %eax"
    matrix "test mr32", LOGIC, "testl %edx, cell"
    matrix "test ai8", LOGIC, "testb $0x81, %al"
    matrix "test ai32", LOGIC, "testl $0x80000100, %eax"
    matrix "test ri8", LOGIC, "testb $0x81, %dh"
    matrix "test mi8", LOGIC, "testb $0x81, cell + 2"
    matrix "test mi32", LOGIC, "testl $0x10ff0001, cell"
    unary inc, ARITH
    unary dec, ARITH
    unary neg, ARITH
    unary not, LOGIC
    // Register forms in their own encodings, 40-4F, and the operation on one register twice.
    .irp reg, eax, ecx, edx, ebx, ebp
    matrix "inc \reg", ARITH, "incl %\reg"
    matrix "dec \reg", ARITH, "decl %\reg"
    matrix "sub \reg \reg", ARITH, "subl %\reg, %\reg"
    matrix "sbb \reg \reg", ARITH, "sbbl %\reg, %\reg"
    matrix "adc \reg \reg", ARITH, "adcl %\reg, %\reg"
    .endr
    // Flags of one instruction feed the next over several instructions.
    matrix "carry chain", ARITH, "addl %edx, %eax; adcl %eax, %edx; sbbl $3, %ecx; adcb %cl, %ch"
    matrix "inc keeps carry", ARITH, "addb %dl, %al; incl %ecx; adcl $0, %ebx; decl %ecx; sbbl $0, %ebx"
    ret
