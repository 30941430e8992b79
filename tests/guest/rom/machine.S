// SPDX-License-Identifier: GPL-2.0-or-later
// Stages 0a to 10: stack, strings, control, addresses, interrupts, A20, the way to protected mode.
#include "real.h"

    .code16
    .section .real, "ax"
    .globl machine_stages
machine_stages:
    STAGE(0x0a, "the stack")
    movw %sp, %si
    pushl $0x11112222
    pushw $0x3333
    pushw %sp
    popw %ax
    leaw -6(%si), %bx // PUSH SP pushes what SP was
    cmpw %ax, %bx
    MUST(e)
    pushw $-2 // six bits of immediate, extended
    popw %ax
    EQ(%ax, 0xfffe)
    popw %ax
    popl %ebx
    EQ(%ax, 0x3333)
    EQ(%ebx, 0x11112222)
    cmpw %si, %sp
    MUST(e)
    movl $1, %eax
    movl $2, %ecx
    movl $3, %edx
    movl $4, %ebx
    movl $5, %edi
    pushaw
    pushal
    movl 16(%esp), %eax
    EQ(%eax, 4)
    xorl %ecx, %ecx
    xorl %ebx, %ebx
    popal
    EQ(%ecx, 2)
    EQ(%ebx, 4)
    popaw
    EQ(%ax, 1)
    cmpw %si, %sp
    MUST(e)
    pushw $0x40 // POP to memory, with its address behind the increment
    popw 0x40
    movw 0x40, %ax
    EQ(%ax, 0x40)
    movw $0xabcd, %bp
    enterw $6, $0
    movw %bp, %ax
    leaw -2(%si), %bx
    cmpw %ax, %bx
    MUST(e)
    leaw -8(%si), %bx
    cmpw %sp, %bx
    MUST(e)
    leavew
    cmpw $0xabcd, %bp
    MUST(e)
    cmpw %si, %sp
    MUST(e)
    movw $0x6800, %bp // a frame of two levels has the outer one's pointer
    movw $0x5a5a, -2(%bp)
    enterw $0, $2
    popw %ax
    popw %bx
    popw %cx
    EQ(%bx, 0x5a5a)
    EQ(%cx, 0x6800)
    leaw -2(%si), %bx
    cmpw %ax, %bx
    MUST(e)
    movl $0x12340000, %esp // the upper half of ESP is not an address here
    movw %si, %sp
    pushw $7
    popw %ax
    EQ(%ax, 7)
    movl %esp, %eax
    shrl $16, %eax
    EQ(%eax, 0x1234)
    movzwl %si, %esp

    STAGE(0x0b, "strings")
    cld
    movw $0x100, %si
    movl $0x44332211, (%si)
    movl $0x88776655, 4(%si)
    movw $0x200, %di
    movw $8, %cx
    rep movsb
    EQ(%cx, 0)
    EQ(%si, 0x108)
    EQ(%di, 0x208)
    movl %es:0x204, %eax
    EQ(%eax, 0x88776655)
    std
    movw $0x106, %si
    lodsw
    EQ(%ax, 0x8877)
    EQ(%si, 0x104)
    cld
    movw $0x200, %di
    movb $0x44, %al
    movw $20, %cx
    repne scasb
    FLAGS(ZF, ZF)
    EQ(%di, 0x204)
    EQ(%cx, 16)
    movw $0x100, %si
    movw $0x200, %di
    movb $0, %es:0x205
    movw $8, %cx
    repe cmpsb
    FLAGS(ZF | CF, 0)
    EQ(%cx, 2)
    EQ(%si, 0x106)
    xorw %cx, %cx // REP with no count does nothing, and leaves the flags
    stc
    repe cmpsb
    FLAGS(CF, CF)
    EQ(%si, 0x106)
    movl $0xdeadbeef, %eax
    movl $0xffff0300, %edi // 16-bit addresses use DI
    movl $0x10002, %ecx    // and CX
    rep stosl
    EQ(%ecx, 0x10000)
    EQ(%edi, 0xffff0308)
    movl %es:0x304, %eax
    EQ(%eax, 0xdeadbeef)
    movl $0x304, %esi // 32-bit ones need the whole
    movl $0x400, %edi
    movl $1, %ecx
    addr32 rep movsl %es:(%esi), %es:(%edi)
    movl %es:0x400, %eax
    EQ(%eax, 0xdeadbeef)
    movw $0xfffe, %di // DI wraps
    movw $0x1111, %ax
    stosw
    EQ(%di, 0)

    STAGE(0x0c, "calls, returns and loops")
    movw %sp, %si
    call 1f
2:  FAIL
1:  popw %ax
    EQ(%ax, 2b)
    movw $1f, %ax
    call *%ax
1:  popw %ax
    EQ(%ax, 1b)
    lcallw $0xf000, $1f
2:  FAIL
1:  popw %ax
    popw %bx
    EQ(%ax, 2b)
    EQ(%bx, 0xf000)
    movw $1f, 0x40
    movw $0xf000, 0x42
    ljmpw *0x40
    FAIL
1:  pushw $1111
    pushw $2222
    pushw $1f
    retw $4
    FAIL
1:  pushw $0xf000
    pushw $1f
    lretw
    FAIL
1:  cmpw %si, %sp
    MUST(e)
    movw $5, %cx
    xorw %ax, %ax
1:  incw %ax
    loop 1b
    EQ(%ax, 5)
    jcxz 1f
    FAIL
1:  movl $0x10000, %ecx
    jcxz 1f
    FAIL
1:  jecxz 1f
    jmp 2f
1:  FAIL
2:  movw $5, %cx
    xorw %ax, %ax
1:  incw %ax
    cmpw $3, %ax
    loopne 1b
    EQ(%cx, 2)
    movw $9, %cx
    cmpw %ax, %ax
1:  loope 1b
    EQ(%cx, 0)
    pushl $1f // 32-bit returns in 16-bit code
    retl
    FAIL
1:  cmpw %si, %sp
    MUST(e)

    STAGE(0x0d, "addressing")
.macro store_at address, value
    movb $\value, \address
.endm
    movw $0x500, %bx
    movw $0x20, %si
    movw $3, %di
    store_at 0x520, 1
    store_at 0x503, 2
    store_at 0x530, 3
    movb (%bx, %si), %al
    EQ(%al, 1)
    movb (%bx, %di), %al
    EQ(%al, 2)
    movb 0x10(%bx, %si), %al
    EQ(%al, 3)
    movb 0x7fff(%bx), %cl // 16-bit sums wrap
    movw $0x8000, %bx
    movb 0x10(%bx, %si), %cl
    movw $0xfff0, %si
    store_at 0x7ff0, 4
    movb (%bx, %si), %al
    EQ(%al, 4)
    movw $0x500, %bx
    movl $0x100, %ecx
    leal 0x20(%ebx, %ecx, 8), %edx
    EQ(%dx, 0xd20)
    leaw 0x7fff(%bx), %ax
    EQ(%ax, 0x84ff)
    movw $0x6ff0, %bp // BP and ESP mean SS
    movw $0x1234, %ss:(%bp)
    movl $0x6ff0, %eax
    movw %fs:(%eax), %dx
    EQ(%dx, 0x1234)
    movl $0x6ff0, %ebp
    movw (%ebp), %dx
    EQ(%dx, 0x1234)
    movw %es:(%bp), %dx // but for a prefix
    cmpw $0x1234, %dx
    MUST(ne)
    VECTOR(13, general_fault)
    movw $1f, %di // beyond FFFF there is a fault, with 16-bit and 32-bit addresses
    movw $2f, %si
2:  movw 0xffff, %ax
    FAIL
1:  movw $1f, %di
    movw $2f, %si
    movl $0x10000, %ebx
2:  movb (%ebx), %al
    FAIL
1:  VECTOR(12, general_fault) // and a stack fault for the stack
    movw $1f, %di
    movw $2f, %si
    movl $0xffff, %ebx
2:  movw %ss:(%ebx), %ax
    FAIL
1:

    STAGE(0x0e, "interrupts")
    VECTOR(0x40, count_interrupt)
    xorl %ebx, %ebx
    sti
    stc
    int $0x40
    FLAGS(IF | CF, IF | CF)
    cli
    EQ(%ebx, 1)
    VECTOR(3, count_interrupt)
    int3
    EQ(%ebx, 2)
    VECTOR(4, count_interrupt)
    into // OF is clear
    EQ(%ebx, 2)
    movb $0x7f, %al
    incb %al
    into
    EQ(%ebx, 3)
    VECTOR(5, general_fault)
    movw $10, 0x40
    movw $20, 0x42
    movw $20, %ax
    boundw %ax, 0x40
    movw $21, %ax
    movw $1f, %di
    movw $2f, %si
2:  boundw %ax, 0x40
    FAIL
1:  VECTOR(6, general_fault)
    movw $1f, %di
    movw $2f, %si
2:  ud2
    FAIL
1:  movw $1f, %di // LOCK on what can't be locked
    movw $2f, %si
2:  .byte 0xf0, 0x90
    FAIL
1:  VECTOR(1, count_interrupt)
    xorl %ebx, %ebx
    pushfw
    orw $TF, (%esp)
    popfw
    nop // a trap behind each of these
    nop
    pushfw
    andw $~TF, (%esp)
    popfw
    EQ(%ebx, 5)
    xorl %ebx, %ebx
    pushfw
    orw $TF, (%esp)
    popfw
    movw %ss, %ax
    movw %ax, %ss // none behind this
    nop
    pushfw
    andw $~TF, (%esp)
    popfw
    EQ(%ebx, 5)
    sidt 0x40
    movw 0x40, %ax
    EQ(%ax, 0xffff) // as reset has left it
    // the table can be elsewhere
    movl %fs:0x40 * 4, %eax
    movw $0x0100, %dx
    movw %dx, %gs
    movl %eax, %gs:0x40 * 4
    movl $0x1000, 0x42
    lidtl 0x40
    movl $0, %fs:0x40 * 4
    xorl %ebx, %ebx
    int $0x40
    EQ(%ebx, 1)
    movl $0, 0x42
    lidtl 0x40

    STAGE(0x0f, "A20")
    movb $0x00, %al
    outb %al, $0x92
    movw $0xffff, %ax
    movw %ax, %gs
    movl $0x600df00d, %fs:0x600
    movl $0, %eax
    movl %gs:0x610, %eax // FFFF:0610 is 100600, and 600 without A20
    EQ(%eax, 0x600df00d)
    movl $0x0ddba11, %gs:0x610
    movl %fs:0x600, %eax
    EQ(%eax, 0x0ddba11)
    movb $0x02, %al
    outb %al, $0x92
    movl $0x13579bdf, %gs:0x610
    movl %fs:0x600, %eax
    EQ(%eax, 0x0ddba11)
    movl %gs:0x610, %eax
    EQ(%eax, 0x13579bdf)

// ---- Protected mode, and big real mode: the segment's limit outlives PE.
    STAGE(0x10, "protected mode and back")
    lgdtl %cs:rom_gdt_pointer
    movl $0x10001, %eax
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    movw $0x10, %bx // with PE set, but CS still as it was
    movw %bx, %fs
    smsw %bx
    testb $1, %bl
    MUST(nz)
    andb $0xfe, %al
    movl %eax, %cr0
    ljmpw $0xf000, $1f
1:  movl $0x100600, %ebx
    movl %fs:(%ebx), %eax
    EQ(%eax, 0x13579bdf)
    xorw %ax, %ax
    movw %ax, %fs // the base is a new one, the limit is not
    movl %fs:(%ebx), %eax
    EQ(%eax, 0x13579bdf)
    // Copy the other half of this ROM from where it shows below 4 GiB, and go there.
    movl $0xfffe0000, %esi
    movl $0x100000, %edi
    movl $0x4000, %ecx
1:  movl %fs:(%esi), %eax
    movl %eax, %fs:(%edi)
    addl $4, %esi
    addl $4, %edi
    decl %ecx
    jnz 1b
    movl $bss_start, %edi
1:  movl $0, %fs:(%edi)
    addl $4, %edi
    cmpl $bss_end, %edi
    jb 1b
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x08, $protected + 0xf0000
    .code32
protected: // flat, in the ROM below 1 MiB
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $0x7000, %esp
    movl $protected_high + 0xffff0000, %eax // and in the ROM below 4 GiB
    jmp *%eax
protected_high:
    call 1f
1:  popl %eax
    cmpl $1b + 0xffff0000, %eax
    jne 2f
    movl $_start, %eax
    jmp *%eax
2:  movl $real_failed + 0xf0000, %eax
    jmp *%eax

    .code16
this_file:
    .asciz "machine.S"
    .balign 8
rom_gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
rom_gdt_pointer:
    .word . - rom_gdt - 1
    .long rom_gdt + 0xf0000

    .section .note.GNU-stack, "", @progbits
