// SPDX-License-Identifier: GPL-2.0-or-later
// Addressing: every base, index, scale and displacement size; sums that wrap at 4 GiB; negative indexes; ESP and
// EBP as bases; AH-DH beside memory; absolute and 16-bit addresses; segment overrides; unaligned and
// page-crossing accesses.
//
// Expected: the host's loads and stores, to the byte.
// Run: tests/guest/run-insn addr
#include "tests/guest/lib/insn.h"

    .text
    .globl test_main

// Loads and stores of all sizes through one operand. eax and edx carry data, unless they make the address.
.macro access operand, data=eax
    movl \operand, %\data
    mix
    movzbl 1+\operand, %\data
    mix
    movswl 2+\operand, %\data
    mix
    addl $0x01030507, \operand
    mix
    xorb $0x5a, 3+\operand
    movw $0x1234, 6+\operand
    leal \operand, %\data
    mix
    cmpb $0x12, 7+\operand
    mix
.endm

.macro fresh
    call fill
.endm

test_main:
    flags ARITH
    // Base alone, all displacement sizes.
    .irp base, ecx, edx, ebx, ebp, esi, edi
    fresh
    movl $data + 64, %\base
    access 0(%\base)
    access 0x10(%\base)
    access -0x20(%\base)
    movl $data + 64 + 0x12345678, %\base
    access -0x12345678(%\base)
    movl $data + 64 - 0x7ffffff0, %\base
    access 0x7ffffff0(%\base)
    mixmem data, 192
    report "base \base"
    .endr
    fresh
    movl $data + 64, %eax
    movl (%eax), %ecx
    addl %eax, 4(%eax)
    movl %eax, 8(%eax)
    movb %ah, (%eax)
    movl 4(%eax), %eax
    mix
    mixmem data, 192
    report "base eax"
    // Base and index with all scales, and the wrap-around of their sum.
    .irp base, ecx, edx, ebx, ebp, esi, edi
    .irp index, ecx, ebx, ebp, edi
    .ifnc \base, \index
    fresh
    .irp scale, 1, 2, 4, 8
    movl $data + 64, %\base
    movl $3, %\index
    access "0(%\base, %\index, \scale)"
    access "-7(%\base, %\index, \scale)"
    movl $-5, %\index
    access "0(%\base, %\index, \scale)"
    access "0x100(%\base, %\index, \scale)"
    .endr
    movl $data + 64 - 0xc0000000, %\base
    movl $0xc0000000, %\index
    access "0(%\base, %\index)"
    movl $0x30000000, %\index
    access "8(%\base, %\index, 4)"
    movl $data - 0x7fffff00, %\base
    movl $0x7fffff00 - 0x70000000, %\index
    access "0x70000040(%\base, %\index)"
    mixmem data, 192
    report "\base \index"
    .endif
    .endr
    .endr
    // One register twice, and an index without a base.
    fresh
    movl $data + 64, %esi
    shrl $1, %esi
    cmpl %eax, %ebx
    access "0(%esi, %esi)"
    movl $data + 64, %edi
    shrl $3, %edi
    cmpl %eax, %ebx
    access "0(,%edi,8)"
    movl $-0x10000, %edi
    access "data+64+0x50000(%edi,%edi,4)", edx
    movl $-3, %edi
    access "data+64(,%edi,4)"
    movl $-0x20000000, %edi
    access "data+64(,%edi,8)"
    mixmem data, 192
    report "index only"
    // ESP and EBP bases.
    fresh
    movl %esp, saved
    movl $data + 64, %esp
    movl (%esp), %eax
    movl 8(%esp), %ecx
    movl $2, %edx
    movl (%esp, %edx, 4), %ebx
    movb 3(%esp), %dh
    addl %eax, 12(%esp)
    movl %esp, 16(%esp)
    movl $data + 32, %ebp
    movl (%ebp), %esi
    movl 4(%ebp, %edx, 2), %edi
    xchgl %esp, saved
    mix
    xchgl %esp, saved
    addl $4, %esp
    subb %dh, (%esp, %edx)
    incl 4(%esp)
    notw 2(%esp)
    pushl 8(%esp)
    popl %eax
    xchgl %eax, (%esp)
    movl saved, %esp
    mix
    mixmem data, 192
    report "esp ebp"
    // High byte registers with every kind of operand.
    fresh
    movl $data + 64, %ebx
    movl $data + 80, %esi
    movl $0x01020304, %eax
    movl $2, %ecx
    movl $0xa1b2c3d4, %edx
    movb (%esi), %ah
    movb 1(%esi, %ecx), %dh
    addb %ah, 4(%esi)
    addb 5(%esi), %ch
    subb %dh, -3(%esi, %ecx, 4)
    movb %bh, 9(%esi)
    movb $0x77, %ah
    cmpb %ah, 4(%esi)
    mix
    xchgb %dh, 6(%esi)
    movb %ah, data + 90
    movb data + 91, %ch
    mix
    mixmem data, 192
    report "high bytes"
    // Absolute addresses, with and without overrides of the same flat segment.
    fresh
    movl data + 64, %eax
    movl %eax, data + 68
    movb data + 70, %al
    movw %ax, data + 72
    movl %es:data + 76, %ecx
    movl %ss:data + 80, %edx
    movl %cs:data + 84, %ebx
    movl %ecx, %es:data + 88
    movl %edx, %ss:data + 92
    incl %ds:data + 96
    movl $data + 100, %ebp
    movl %ds:(%ebp), %esi
    movl %es:4(%ebp), %edi
    movl $data + 64, %esi
    movl %ss:(%esi), %ebx
    mix
    mixmem data, 192
    report "absolute"
    // 16-bit address arithmetic, seen through LEA (memory below 64 KiB is not there).
    movl $0x1234fff0, %ebx
    movl $0x5678ff00, %ebp
    movl $0x9abc0033, %esi
    movl $0xdef00144, %edi
    .irp operand, "(%bx, %si)", "(%bx, %di)", "(%bp, %si)", "(%bp, %di)", "(%si)", "(%di)", "(%bx)"
    movl $0xcccccccc, %ecx
    addr16 leal \operand, %eax
    addr16 leal 0x7f\operand, %ecx
    addr16 leaw -0x80\operand, %dx
    mix
    addr16 leal 0x8001\operand, %edx
    mix
    .endr
    addr16 leal 5(%bp), %eax
    addr16 leal 0x1234, %ecx
    mix
    report "16-bit"
    // 32-bit LEA into 16-bit registers and back; a LEA that wraps.
    movl $0xffffffff, %eax
    leal 1(%eax), %ecx
    leal (%eax, %eax, 8), %edx
    leaw (%eax, %eax), %bx
    leal -0x80000000(%eax, %eax), %esi
    leal 0x7fffffff(, %eax, 4), %edi
    mix
    report "lea"
    // Unaligned, over cache lines and pages.
    fresh
    movl $edges - 3, %esi
    .rept 6
    movl (%esi), %eax
    addl %eax, (%esi)
    movw (%esi), %cx
    incw 1(%esi)
    movl %ecx, (%esi)
    rolw $3, (%esi)
    lock
    xaddl %eax, (%esi)
    pushl (%esi)
    popl -1(%esi)
    incl %esi
    mix
    .endr
    mixmem edges-16, 32
    report "page crossing"
    ret

fill:
    pushal
    xorl %ecx, %ecx
1:  imull $0x35, %ecx, %eax
    addl $0x47, %eax
    movb %al, data(%ecx)
    movb %al, edges - 128(%ecx)
    incl %ecx
    cmpl $255, %ecx
    jne 1b
    popal
    ret

    .bss
    .balign 4096
data: .skip 512
saved: .skip 4
    .balign 4096
edges: .skip 512
