// SPDX-License-Identifier: GPL-2.0-or-later
// Calls and returns that do not pair: deep recursion, calls that never return (longjmp), more returns than
// calls, switching stacks, return addresses that are edited or made up.
//
// Expected: the host's results. The host stack of the translator must neither overflow nor be trusted.
// Run: tests/guest/run-insn callret
#include "tests/guest/lib/insn.h"

    .text
    .globl test_main

test_main:
    flags 0
    // Recursion: 20,000 deep, and a tree of calls.
    movl $20000, %eax
    xorl %edx, %edx
    call depth
    mix
    report "deep"
    movl $18, %eax
    call fib
    mix
    report "fib"

    // longjmp out of 100 calls, 5,000 times: half a million calls never return.
    movl $5000, %esi
1:  movl %esp, jump_esp
    movl $2f, jump_eip
    movl $100, %eax
    call dive
    ud2
2:  decl %esi
    jnz 1b
    mix
    report "longjmp"

    // Ten thousand return addresses made by hand, returned through one by one.
    movl $10000, %ecx
    xorl %eax, %eax
    pushl $3f
1:  pushl $2f
    loop 1b
    ret
2:  incl %eax
    ret
3:  mix
    report "returns without calls"

    // Two coroutines with stacks of their own, switching in each other's middle.
    movl $other_top - 4, %ebx
    movl $coroutine, (%ebx)
    movl $1000, %ecx
    xorl %eax, %eax
1:  call switch
    leal 1(%eax, %eax, 2), %eax
    loop 1b
    mix
    report "coroutines"

    // Return addresses that change under the callee: to another place, and back and forth.
    movl $300, %ecx
    xorl %eax, %eax
1:  movl $4f, edited
    testl $1, %ecx
    jz 2f
    movl $5f, edited
2:  testl $3, %ecx
    jz 3f
    call edit
3:  addl $1, %eax
    jmp 6f
4:  addl $10, %eax
    jmp 6f
5:  addl $100, %eax
6:  loop 1b
    mix
    report "edited returns"

    // One function called from many sites, returning to each.
    xorl %eax, %eax
    movl $50, %ecx
1:
    .rept 40
    call count
    leal 3(%eax, %eax), %eax
    .endr
    decl %ecx
    jnz 1b
    mix
    report "many sites"

    // Returns with and without a matching call to one point.
    xorl %eax, %eax
    movl $100, %ecx
1:  call mixed
point:
    incl %eax
    testl $4, %eax
    jz 2f
    pushl $point
    addl $3, %eax
    ret
2:  loop 1b
    mix
    report "one point"
    // ret with a count, and leaving arguments behind.
    movl %esp, %ebx
    movl $100, %ecx
1:  pushl %ecx
    pushl %eax
    call two_arguments
    loop 1b
    subl %esp, %ebx
    mix
    report "ret 8"
    // The stack pointer moved by whole frames inside a callee.
    movl $100, %ecx
1:  call frameless
    loop 1b
    mix
    report "frameless"
    ret

depth:
    leal (%edx, %eax), %edx
    decl %eax
    jz 1f
    call depth
    xorl $0x55, %edx
1:  addl $1, %edx
    ret

fib:
    cmpl $2, %eax
    jb 1f
    pushl %eax
    decl %eax
    call fib
    popl %edx
    pushl %eax
    leal -2(%edx), %eax
    call fib
    popl %edx
    addl %edx, %eax
1:  ret

dive:
    decl %eax
    jz 1f
    call dive
    ud2
1:  movl jump_esp, %esp
    jmp *jump_eip

// Exchanges esp with ebx and returns on the other stack.
switch:
    xchgl %esp, %ebx
    ret

coroutine:
    addl $7, %eax
    call switch
    xorl $0x33, %eax
    call switch
    rorl $3, %eax
    call switch
    jmp coroutine

edit:
    pushl %eax
    movl edited, %eax
    movl %eax, 4(%esp)
    popl %eax
    ret

count:
    addl $5, %eax
    ret

mixed:
    addl $2, %eax
    ret

two_arguments:
    movl 4(%esp), %eax
    addl 8(%esp), %eax
    ret $8

frameless:
    subl $4000, %esp
    movl %ecx, (%esp)
    movl %eax, 3996(%esp)
    call 1f
    addl $4000, %esp
    ret
1:  addl 4(%esp), %eax
    ret

    .bss
    .balign 16
jump_esp: .skip 4
jump_eip: .skip 4
edited: .skip 4
    .skip 4096
other_top:
