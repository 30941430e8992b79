// SPDX-License-Identifier: GPL-2.0-or-later
// DAA DAS AAA AAS AAM AAD, CBW CWDE CWD CDQ, LAHF SAHF, SALC: every AL, with AF and CF in all four states.
//
// Expected: the host's results and the flags they define.
// Run: tests/guest/run-insn bcd
#include "tests/guest/lib/insn.h"

    .text
    .globl test_main

.macro every name, mask, body
    flags \mask
    movl $0, count
1:  movl count, %edi
    movl %edi, %eax
    shll $6, %eax
    andl $0x1100, %eax      // AF and CF from bits 6 and 2 of the counter, into ah
    movb values(%edi), %dl
    movb %dl, %al
    movl %edi, %ecx
    shrl $8, %ecx
    imull $0x55, %ecx, %ecx
    sahf
    movb %cl, %ah
    \body
    mix
    incl count
    cmpl $1024, count
    jne 1b
    report "\name"
.endm

test_main:
    // values[i] = i, four times over
    xorl %edi, %edi
1:  movl %edi, %eax
    movb %al, values(%edi)
    incl %edi
    cmpl $1024, %edi
    jne 1b
    every "daa", (CF | PF | AF | ZF | SF), "daa"
    every "das", (CF | PF | AF | ZF | SF), "das"
    every "aaa", (CF | AF), "aaa"
    every "aas", (CF | AF), "aas"
    every "aam", (PF | ZF | SF), "aam"
    every "aam 16", (PF | ZF | SF), "aam $16"
    every "aad", (PF | ZF | SF), "aad"
    every "aad 3", (PF | ZF | SF), "aad $3"
    every "cbw", ARITH, "cbtw"
    every "cwde", ARITH, "cwtl"
    every "cwd", ARITH, "movb %al, %ah; cwtd"
    every "cdq", (CF | PF | ZF | SF), "shll $24, %eax; cltd"
    every "lahf", ARITH, "lahf"
    every "sahf", ARITH, "movb %al, %ah; sahf"
    every "sahf lahf", ARITH, "movb %al, %ah; sahf; incb %ah; lahf"
    every "salc", ARITH, ".byte 0xd6"
    every "cmc clc stc", ARITH, "cmc; adcl %eax, %ebx; clc; adcl %ebx, %esi; stc; adcl %esi, %ebp"
    ret

    .bss
count: .skip 4
values: .skip 1024
