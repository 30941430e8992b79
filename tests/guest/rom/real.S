// SPDX-License-Identifier: GPL-2.0-or-later
// The reset vector, stage 01, and the reports of all real-mode stages.
#include "real.h"

    .code16
// ---- F000:FFF0, which is FFFFFFF0: where the processor begins.
    .section .reset, "ax"
    .globl reset
reset:
    .byte 0xea // JMP F000:start; CS gets an ordinary base by it
    .word start, 0xf000

    .section .real, "ax"
// What the processor is like after reset.
start:
    movl %edx, %ecx // its family, model and stepping
    movb $0x01, %al
    movw $POST_PORT, %dx
    outb %al, %dx
    movw $0x7000, %sp
    pushfl
    popl %ebx
    EQ(%ebx, 2)
    movw %ss, %bx
    EQ(%bx, 0)
    movw %ds, %bx
    EQ(%bx, 0)
    movl %cr0, %ebx
    andl $0x8000000f, %ebx // PG, TS, EM, MP, PE
    MUST(z)
    movw %cs, %bx
    EQ(%bx, 0xf000)
    testl $0xf00, %ecx
    MUST(nz)
    STAGE(0x01, "reset")
    movw $0x1000, %ax
    movw %ax, %ds
    movw $0x2000, %ax
    movw %ax, %es
    xorw %ax, %ax
    movw %ax, %fs
    movw %ax, %gs
    jmp integer_stages

// ---- Handlers. A fault must be at SI and leads on at DI.
    .globl divide_fault, general_fault, count_interrupt, begin_stage, real_failed
divide_fault:
general_fault:
    popw %ax
    cmpw %ax, %si
    MUST(e)
    addw $4, %sp
    jmp *%di
count_interrupt:
    pushfw
    testw $IF | TF, %ss:(%esp)
    MUST(z)
    popfw
    incl %ebx
    iretw

// ---- Reports
// The code in AL, and behind the call the name. Keeps nothing but the segments.
begin_stage:
    movw $POST_PORT, %dx
    outb %al, %dx
    movb %al, %bl
    movw $DEBUG_PORT, %dx
    call put_hex
    movb $' ', %al
    outb %al, %dx
    popw %si
    call put_string
    movb $'\n', %al
    outb %al, %dx
    jmp *%si
put_string:
    lodsb %cs:(%si)
    cmpb $0, %al
    je 1f
    outb %al, %dx
    jmp put_string
1:  ret
put_hex:
    movb %bl, %al
    shrb $4, %al
    call 1f
    movb %bl, %al
    andb $15, %al
1:  addb $'0', %al
    cmpb $'9', %al
    jbe 2f
    addb $'a' - '0' - 10, %al
2:  outb %al, %dx
    ret

// The verdict: the file that SI names, the line in BP.
real_failed:
    movw $DEBUG_PORT, %dx
    pushw %si
    movw $failure, %si
    call put_string
    popw %si
    call put_string
    movw $failure_line, %si
    call put_string
    movw %bp, %ax
    movw $10, %bx
    xorw %cx, %cx
3:  xorw %dx, %dx
    divw %bx
    pushw %dx
    incw %cx
    testw %ax, %ax
    jnz 3b
    movw $DEBUG_PORT, %dx
4:  popw %ax
    addb $'0', %al
    outb %al, %dx
    loop 4b
    movb $'\n', %al
    outb %al, %dx
    movl $0x11, %eax
    movw $EXIT_PORT, %dx
    outl %eax, %dx
    cli
    hlt
failure:
    .asciz "FAILED: "
failure_line:
    .asciz ", line "
this_file:
    .asciz "real.S"

    .section .note.GNU-stack, "", @progbits
