// SPDX-License-Identifier: GPL-2.0-or-later
// A boot sector that scrolls a text screen, a character at a time, by the BIOS or by itself, and leaves by port F4h.
// run-scroll sets how, and how many lines.
        .code16
        .text
        .globl  _start
_start: ljmp    $0, $1f
1:      xorw    %ax, %ax
        movw    %ax, %ss
        movw    $0x7c00, %sp
        sti
        cld
        movw    $0x0003, %ax
        int     $0x10
        movw    $0xb800, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %cs:lines, %bp
line:   movw    $80, %cx
        cmpb    $0, %cs:bios
        je      2f
1:      pushw   %cx
        movw    $0x0e41, %ax
        movw    $7, %bx
        int     $0x10
        popw    %cx
        loop    1b
        jmp     3f
2:      movw    $160, %si
        xorw    %di, %di
        movw    $24 * 80, %cx
        rep     movsw
        movw    $80, %cx
1:      movb    $'B', %es:(%di)
        movb    $0x07, %es:1(%di)
        addw    $2, %di
        loop    1b
3:      decw    %bp
        jnz     line
        movw    $0xf4, %dx
        outb    %al, %dx
1:      hlt
        jmp     1b

        .org    506
lines:  .word   0
bios:   .byte   0, 0
        .word   0xaa55
