// SPDX-License-Identifier: GPL-2.0-or-later
// Jcc LOOPcc JCXZ JECXZ of all lengths, JMP and CALL through registers, memory and tables, RET n, far
// transfers to the same segment, 16-bit forms of conditions.
//
// Expected: the path that the host takes, recorded as bits in ebp.
// Run: tests/guest/run-insn branch
#include "tests/guest/lib/matrix.h"

    .globl test_main

// Shifts a 1 into ebp if the branch is taken, a 0 if not. lea keeps the flags.
.macro path branch, pad=0
    \branch 66f
    leal (%ebp, %ebp), %ebp
    jmp 67f
    .if \pad
    .skip \pad, 0x90
    .endif
66: leal 1(%ebp, %ebp), %ebp
67:
.endm

test_main:
    // Every condition after every kind of flag setter, short and near, over all value pairs.
    matrix "jcc cmp", ARITH, "cmpl %edx, %eax; call conditions"
    matrix "jcc test", LOGIC, "testl %edx, %eax; call conditions"
    matrix "jcc add8", ARITH, "addb %dl, %al; call conditions"
    matrix "jcc sub16", ARITH, "subw %dx, %ax; call conditions"
    matrix "jcc inc", ARITH, "incl %edx; call conditions"
    matrix "jcc adc", ARITH, "adcl %edx, %eax; call conditions"
    matrix "jcc neg", ARITH, "negl %edx; call conditions"
    matrix "jcc shl", CF | PF | ZF | SF | OF, "shll $1, %edx; call conditions"
    matrix "jcc bt", CF, "btl %edx, %eax; setc %cl; testb %cl, %cl; call conditions"
    matrix "jcc inline", ARITH, "cmpl %edx, %eax; path jg; path jb; cmpb %dh, %al; path jle; path jo; testl %eax, %eax; path js; path jnp"
    matrix "two on one", ARITH, "subl %edx, %eax; path ja; adcl $0, %ebx; path jne; sbbl $0, %ecx; path jl"

    // LOOP forms: counts 0 and 1 and with ZF both ways; CX with a 16-bit address size.
    flags 0
    .irp count, 0, 1, 2, 0x10000, 0x10001, 0xffffffff
    .irp zero, 0, 1
    .irp op, loop, loope, loopne, jecxz
    movl $\count, %ecx
    cmpl $\zero, %edx
    path \op
    mix
    .endr
    .irp byte, 0xe0, 0xe1, 0xe2, 0xe3
    movl $\count, %ecx
    cmpl $\zero, %edx
    leal (%ebp, %ebp), %ebp
    .byte 0x67, \byte, 1
    incl %ebp
    mix
    .endr
    .endr
    .endr
    report "loop"
    // A LOOP that loops.
    movl $1000, %ecx
    xorl %eax, %eax
1:  addl %ecx, %eax
    loop 1b
    mix
    movl $0x30003, %ecx
1:  addl %ecx, %eax
    .byte 0x67
    loop 1b
    mix
    report "loops"

    // A switch through a table, 64 times through 8 cases, in a scrambled order.
    flags 0
    movl $64, %ecx
    movl $1, %eax
1:  imull $1103515245, %eax, %eax
    addl $12345, %eax
    movl %eax, %edx
    shrl $20, %edx
    andl $7, %edx
    jmp *table(, %edx, 4)
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7
case\i:
    leal \i(%esi, %esi, 2), %esi
    .if \i & 1
    xorl %esi, %edi
    jmp 2f
    .endif
    .endr
2:  mix
    loop 1b
    report "switch"
    // The same by calls, through register, memory and a computed pointer.
    movl $64, %ecx
1:  imull $1103515245, %eax, %eax
    addl $12345, %eax
    movl %eax, %edx
    shrl $17, %edx
    andl $7, %edx
    call *calls(, %edx, 4)
    leal calls(, %edx, 4), %ebx
    call *(%ebx)
    movl calls(, %edx, 4), %ebx
    call *%ebx
    pushl %ebx
    call *(%esp)
    addl $4, %esp
    mix
    loop 1b
    report "calls"
    // jmp to a register, push and ret as a jump, call and pop.
    movl $1f, %eax
    jmp *%eax
    ud2
1:  pushl $1f
    ret
    ud2
1:  call 1f
1:  popl %edx
    subl $1b, %edx
    mix
    // RET n, and one whose return address was edited.
    pushl $1
    pushl $2
    call ret8
    mix
    call skip
    ud2
    mix
    report "rets"
    // Near jump of its 32-bit form, forward and backward, across a page.
    jmp far_away
back_again:
    mix
    report "far away"
    // Far transfers within the segment.
    movl $0, target
    movl $1f, target
    movw %cs, target + 4
    ljmp *target
    ud2
1:  movl $far_routine, target
    lcall *target
    incl %eax
    pushl %cs
    pushl $1f
    lret
    ud2
1:  pushl $5
    pushl %cs
    pushl $1f
    lret $4
    ud2
1:  mix
    report "far"
    ret

conditions:
    .irp cc, jo, jno, jb, jae, je, jne, jbe, ja, js, jns, jp, jnp, jl, jge, jle, jg
    path \cc
    .endr
    .irp cc, jo, jno, jb, jae, je, jne, jbe, ja, js, jns, jp, jnp, jl, jge, jle, jg
    path \cc, 150
    .endr
    ret

    .irp i, 0, 1, 2, 3, 4, 5, 6, 7
callee\i:
    leal \i+3(%esi, %edi), %esi
    roll $\i, %edi
    xorl %esi, %edi
    ret
    .endr
ret8:
    movl 4(%esp), %eax
    movl 8(%esp), %ebx
    ret $8
skip:
    addl $2, (%esp)
    ret
far_routine:
    movl $77, %ebx
    lret

    .data
    .balign 4
table: .long case0, case1, case2, case3, case4, case5, case6, case7
calls: .long callee0, callee1, callee2, callee3, callee4, callee5, callee6, callee7
target: .long 0, 0

    .text
    .balign 4096
    .skip 4093
far_away:
    movl $0x12345678, %eax
    movl $0x9abcdef0, %edx
    jmp back_again
