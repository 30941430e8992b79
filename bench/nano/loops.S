// SPDX-License-Identifier: GPL-2.0-or-later
// The measured loops: void loop(u32 count), count > 0. The handlers do nothing but return.
#include "nano.h"

    .text
.macro loop name
    .globl \name
    .balign 16
\name:
    pushl %ebx
    movl 8(%esp), %ebx
.endm
.macro again
    decl %ebx
    jnz 1b
    popl %ebx
    ret
.endm

    loop loop_empty
1:  again

    loop loop_in
1:  inb $0x80, %al
    again

    // Two address spaces take turns: count is even.
    loop loop_cr3
1:  movl %ebx, %eax
    andl $1, %eax
    movl nano_directories(, %eax, 4), %eax
    movl %eax, %cr3
    again

    loop loop_call
1:  call leaf
    again
leaf:
    ret

    loop loop_pgfault
    movl $NANO_HOLE, %edx
1:  movb %al, (%edx)
    again

    loop loop_divide
    xorl %ecx, %ecx
1:  divl %ecx
    again

    // The entry of a page that nobody uses, as in a fork or an exit.
    loop loop_pte
    movl $page_table + 4 * (NANO_PAGE >> 12), %edx
    movl $NANO_PAGE + 7, %eax
1:  movl %eax, (%edx)
    xorl $0x1000, %eax
    again

    // A page is moved, flushed and used.
    loop loop_pte_used
    movl $page_table + 4 * (NANO_PAGE >> 12), %edx
    movl $NANO_PAGE + 7, %eax
1:  movl %eax, (%edx)
    invlpg NANO_PAGE
    movl NANO_PAGE, %ecx
    xorl $0x1000, %eax
    again

    loop loop_invlpg
1:  invlpg NANO_PAGE
    again

    loop loop_sti_cli
1:  sti
    cli
    again

    loop loop_int80
1:  int $0x80
    again

    loop loop_sysenter
1:  movl %esp, %ecx
    movl $2f, %edx
    sysenter
2:  again

    .globl on_divide, on_page_fault, on_int80, on_sysenter
    .balign 16
on_divide:
    addl $2, (%esp)
    iret

    .balign 16
on_page_fault:
    addl $4, %esp
    addl $2, (%esp)
    iret

    .balign 16
on_int80:
    iret

    .balign 16
on_sysenter:
    sysexit

    .data
    .globl nano_directories
    .balign 64
nano_directories:
    .long 0, 0

    .section .note.GNU-stack, "", @progbits
