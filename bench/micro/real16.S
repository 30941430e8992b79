# SPDX-License-Identifier: GPL-2.0-or-later
# What real16 boots: an integer loop in real mode, a million software interrupts with IRET, 100,000 switches from real
# to protected mode and back, by way of 32-bit and of 16-bit code. Prints "@real16 NAME CYCLES" (of the time-stamp
# counter, in hexadecimal) on COM1, and ends with a write to port F4.
        .code16
        .globl _start
_start: ljmp $0, $1f
1:      xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %ss
        movw $0x7c00, %sp
        movw $0x1000, %ax
        movw %ax, %es
        cli
        movw $handler, 0x80*4
        movw $0, 0x80*4+2

        movw $loop_name, %si
        movw $integer_loop, %bx
        call measure
        movw $int_name, %si
        movw $interrupts, %bx
        call measure
        movw $switch_name, %si
        movw $switches, %bx
        call measure
        movb $0x10, %al
        outb %al, $0xf4
1:      hlt
        jmp 1b

# Calls *%bx; prints %si and the cycles it took.
measure:
        call print
        rdtsc
        pushl %eax
        pushl %edx
        call *%bx
        rdtsc
        popl %ecx
        popl %ebx
        subl %ebx, %eax
        sbbl %ecx, %edx
        pushl %eax
        movl %edx, %eax
        call hex
        popl %eax
        call hex
        movw $newline, %si
        jmp print

hex:    movw $8, %cx
1:      roll $4, %eax
        pushl %eax
        andb $15, %al
        cmpb $10, %al
        sbbb $0x69, %al
        das
        call putc
        popl %eax
        loop 1b
        ret

print:  lodsb
        testb %al, %al
        jz 1f
        call putc
        jmp print
1:      ret

putc:   movw $0x3f8, %dx
        outb %al, %dx
        ret

# A checksum over 16 KiB in ES, 4096 times: loads, stores, adds, rotations, a loop.
integer_loop:
        movw $4096, %bp
2:      xorw %di, %di
        movw $8192, %cx
        xorw %ax, %ax
1:      addw %es:(%di), %ax
        rolw $3, %ax
        xorw %di, %ax
        movw %ax, %es:(%di)
        addw $2, %di
        decw %cx
        jnz 1b
        decw %bp
        jnz 2b
        ret

interrupts:
        movl $1000000, %ecx
1:      int $0x80
        decl %ecx
        jnz 1b
        ret
handler: iret

switches:
        movl $100000, %ebp
        lgdt gdtr
1:      movl %cr0, %eax
        orb $1, %al
        movl %eax, %cr0
        ljmpl $8, $protected
        .code32
protected:
        movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        ljmpl $24, $sixteen
        .code16
sixteen:
        movw $32, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movl %cr0, %eax
        andb $0xfe, %al
        movl %eax, %cr0
        ljmp $0, $real
real:   xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        decl %ebp
        jnz 1b
        ret

        .balign 8
gdt:    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00009b000000ffff, 0x000093000000ffff
gdtr:   .word gdtr - gdt - 1
        .long gdt
loop_name: .asciz "@real16 loop "
int_name: .asciz "@real16 int "
switch_name: .asciz "@real16 switch "
newline: .asciz "\r\n"
        .org 510
        .word 0xaa55
