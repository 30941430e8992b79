// SPDX-License-Identifier: GPL-2.0-or-later
// The assembly under kernel.c: the Multiboot entry, one stub for each vector, and the ways into and out of a
// protected call.
    .globl _start, trap_stubs, recover, guarded_call, guarded_user, user_exit

#include "tests/guest/lib/selectors.h"

    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 3, -(0x1badb002 + 3)

    .text
_start:
    movl $stack_top, %esp
    pushl $0
    popfl
    pushl %ebx
    call kernel_main
1:  cli
    hlt
    jmp 1b

// ---- Exceptions and interrupts. The frame is struct trap of kernel.h.
    .altmacro
.macro stub number
    .balign 16
    .set has_error, 0
    .if \number < 32
    .set has_error, (0x27d00 >> \number) & 1
    .endif
    .if has_error == 0
    pushl $0
    .endif
    pushl $\number
    jmp trap_common
.endm
    .balign 16
trap_stubs:
    .set i, 0
    .rept 256
    stub %i
    .set i, i + 1
    .endr

trap_common:
    pushl %ds
    pushl %es
    pushal
    cld
    movl $KERNEL_DS, %eax
    movl %eax, %ds
    movl %eax, %es
    pushl %esp
    call trap_dispatch
    addl $4, %esp
    popal
    popl %es
    popl %ds
    addl $8, %esp
    iret

// int guarded_call(void (*function)(void *), void *argument): calls it. Returns -1, or the vector of the
// exception that ended it (recover). Nests: what was saved before is kept on the stack.
guarded_call:
    movl 4(%esp), %eax
    movl 8(%esp), %edx
    pushl %ebp
    pushl %ebx
    pushl %esi
    pushl %edi
    pushl guard_esp
    movl %esp, guard_esp
    pushl %edx
    call *%eax
    movl $-1, %eax
// eax: the result. Leaves the innermost guarded call, from any stack.
leave_guard:
    movl guard_esp, %esp
    popl guard_esp
    popl %edi
    popl %esi
    popl %ebx
    popl %ebp
    ret

// int guarded_user(void (*function)(void *), void *argument, unsigned eflags): the same at CPL 3, on a stack
// of its own.
guarded_user:
    movl 4(%esp), %eax
    movl 8(%esp), %edx
    movl 12(%esp), %ecx
    pushl %ebp
    pushl %ebx
    pushl %esi
    pushl %edi
    pushl guard_esp
    movl %esp, guard_esp
    movl $user_exit, user_stack_top - 8
    movl %edx, user_stack_top - 4
    movl $USER_DS, %ebx
    pushl %ebx
    pushl $user_stack_top - 8
    pushl %ecx
    pushl $USER_CS
    pushl %eax
    movl %ebx, %ds
    movl %ebx, %es
    xorl %ebx, %ebx
    movl %ebx, %fs
    movl %ebx, %gs
    iret
user_exit:
    int $0x81

// void recover(int result): ends the innermost guarded call with this result.
recover:
    movl 4(%esp), %eax
    movl $KERNEL_DS, %edx
    movl %edx, %ds
    movl %edx, %es
    movl %edx, %ss
    pushl $2
    popfl
    jmp leave_guard

    .bss
    .balign 4096
    .skip 16384
    .globl stack_top
stack_top:
    .skip 8192
    .globl trap_stack_top
trap_stack_top:
    .skip 4096
    .globl user_stack_top
user_stack_top:
    .skip 4
    .globl guard_esp
guard_esp: .skip 4

    .section .note.GNU-stack, "", @progbits
