// SPDX-License-Identifier: GPL-2.0-or-later
// MUL IMUL DIV IDIV, AAM: results, the flags they define, and #DE on overflow and division by zero with
// nothing changed.
//
// Expected: the host's results; vector 0 at the dividing instruction.
// Not in: flat
// Run: tests/guest/run-insn muldiv
#include "tests/guest/lib/matrix.h"

    .globl test_main

// The division may fault: then the number 0xdede stands in ebp.
.macro division name, body
    flags 0
    matrix "\name", 0, "expect 88f; \body; jmp 89f; 88: movl $0xdede, %ebp; 89: movl $0, h_resume"
.endm

.macro divide op
    division "\op r8", "movw %dx, %bx; xchgb %dl, %ah; \op\()b %bl"
    division "\op rh", "andl $0x0fff, %eax; \op\()b %dh"
    division "\op ah", "\op\()b %ah"
    division "\op r16", "movw $3, %cx; xchgw %cx, %dx; \op\()w %cx"
    division "\op r32", "movl %edx, %ecx; xorl %edx, %edx; \op\()l %ecx"
    division "\op r32 sign", "movl %edx, %ecx; cltd; \op\()l %ecx"
    division "\op r32 wide", "movl $0x7fffffff, %ecx; sarl $4, %edx; \op\()l %ecx"
    division "\op m8", "movw $0x0123, %ax; \op\()b cell"
    division "\op m16", "movw $1, %dx; \op\()w cell+1"
    division "\op m32", "sarl $12, %edx; \op\()l cell"
    division "\op edx", "movl $7, %edx; \op\()l %edx"
    division "\op eax", "xorl %edx, %edx; \op\()l %eax"
    division "\op high", "movl %edx, %ecx; xorl %edx, %edx; divl %ecx; xchgb %ah, %dh"
.endm

test_main:
    .irp op, mul, imul
    matrix "\op r8", CF | OF, "\op\()b %dl"
    matrix "\op rh", CF | OF, "\op\()b %dh"
    matrix "\op ah", CF | OF, "\op\()b %ah"
    matrix "\op r16", CF | OF, "\op\()w %dx"
    matrix "\op r32", CF | OF, "\op\()l %edx"
    matrix "\op eax", CF | OF, "\op\()l %eax"
    matrix "\op m8", CF | OF, "\op\()b cell+1"
    matrix "\op m16", CF | OF, "\op\()w cell"
    matrix "\op m32", CF | OF, "\op\()l cell"
    .endr
    matrix "imul 2 r32", CF | OF, "imull %edx, %eax"
    matrix "imul 2 r16", CF | OF, "imulw %dx, %ax"
    matrix "imul 2 m32", CF | OF, "imull cell, %edx"
    matrix "imul 2 m16", CF | OF, "imulw cell+1, %dx"
    matrix "imul 3 r32", CF | OF, "imull $0x12345, %edx, %eax"
    matrix "imul 3 short", CF | OF, "imull $-7, %edx, %ecx"
    matrix "imul 3 r16", CF | OF, "imulw $300, %dx, %ax"
    matrix "imul 3 m32", CF | OF, "imull $-100000, cell, %edx"
    matrix "imul 3 m16", CF | OF, "imulw $-3, cell, %dx"
    divide div
    divide idiv
    matrix "aam", PF | ZF | SF, "aam"
    matrix "aam 7", PF | ZF | SF, "aam $7"
    division "aam 0", "aam $0"

    // The fault in full.
    flags 0
    movl $0x11223344, %eax
    movl $0x55667788, %edx
    xorl %ecx, %ecx
    expect 2f
1:  divl %ecx
2:  showfault 1b, "div by zero"
    movl $1, %ecx
    expect 2f
1:  divl %ecx
2:  showfault 1b, "div overflow"
    movl $0x80000000, %eax
    cltd
    movl $-1, %ecx
    expect 2f
1:  idivl %ecx
2:  showfault 1b, "idiv of the smallest"
    expect 2f
1:  divb HOLE
2:  showfault 1b, "div by what is not there"
    ret
