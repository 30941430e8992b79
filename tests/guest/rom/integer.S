// SPDX-License-Identifier: GPL-2.0-or-later
// Stages 02 to 09: what computes, in real mode.
#include "real.h"

    .code16
    .section .real, "ax"
    .globl integer_stages
integer_stages:
    STAGE(0x02, "moves and conversions")
    movl $0x12345678, %eax
    movl %eax, %ebx
    movl %ebx, %ecx
    movl %ecx, %edx
    movl %edx, %esi
    movl %esi, %edi
    movl %edi, %ebp
    cmpl $0x12345678, %ebp
    MUST(e)
    movb $0x9a, %ah
    EQ(%eax, 0x12349a78)
    movb %ah, %bl
    EQ(%ebx, 0x1234569a)
    xchgb %bl, %bh
    EQ(%ebx, 0x12349a56)
    xchgl %eax, %ebx
    EQ(%eax, 0x12349a56)
    movl %eax, 0
    movb 1, %cl
    EQ(%cl, 0x9a)
    xchgw %cx, 2
    EQ(%cx, 0x1234)
    movw 2, %cx
    EQ(%cx, 0x569a)
    movzbl 1, %edx
    EQ(%edx, 0x9a)
    movsbl 1, %edx
    EQ(%edx, 0xffffff9a)
    movsbw 1, %dx
    EQ(%dx, 0xff9a)
    movl $0x7fff8000, %eax
    movswl %ax, %edx
    EQ(%edx, 0xffff8000)
    movzwl %ax, %edx
    EQ(%edx, 0x8000)
    cbtw
    EQ(%ax, 0)
    movb $0x80, %al
    cbtw
    EQ(%ax, 0xff80)
    cwtl
    EQ(%eax, 0xffffff80)
    cltd
    EQ(%edx, 0xffffffff)
    movw $0x7fff, %ax
    cwtd
    EQ(%dx, 0)
    movw $0x10, %bx // XLAT
    movb $0x5a, 0x15
    movb $5, %al
    xlat
    EQ(%al, 0x5a)
    movw $0x1234, 0x20 // LDS and kin load a selector and an offset
    movw $0x3000, 0x22
    lgs 0x20, %si
    EQ(%si, 0x1234)
    movw %gs, %ax
    EQ(%ax, 0x3000)
    movl $0xffff0000, %eax
    movw %gs, %ax
    EQ(%eax, 0xffff3000)

    STAGE(0x03, "flags and conditional jumps")
    movb $0xff, %ah
    sahf
    FLAGS(STATUS & ~OF, CF | PF | AF | ZF | SF)
    movb $0, %ah
    sahf
    lahf
    EQ(%ah, 2)
    stc
    FLAGS(CF, CF)
    stc
    cmc
    FLAGS(CF, 0)
    cmc
    FLAGS(CF, CF)
    std
    FLAGS(DF, DF)
    cld
    FLAGS(DF, 0)
    sti
    FLAGS(IF, IF)
    cli
    FLAGS(IF, 0)
    pushl $0xffffffff // the bits that exist; VM, RF read as 0
    andl $~(TF | IF | 0x3f0000), (%esp)
    popfl
    pushfl
    popl %eax
    andl $0x3ffff, %eax
    EQ(%eax, 0x7cd7)
    pushl $2
    popfl
// Each condition with the flags that make it true, and with those that do not.
.macro condition line, cc, yes, no
    pushw $\yes
    popfw
    must \line, \cc
    set\cc %al
    cmpb $1, %al
    must \line, e
    pushw $\no
    popfw
    j\cc 78f
    set\cc %al
    cmpb $0, %al
    must \line, e
    jmp 79f
78: fail \line
79:
.endm
#define CONDITION(cc, yes, no) condition __LINE__, cc, yes, no
    CONDITION(o, OF, STATUS & ~OF)
    CONDITION(no, 0, OF)
    CONDITION(b, CF, STATUS & ~CF)
    CONDITION(ae, ZF, CF)
    CONDITION(e, ZF, STATUS & ~ZF)
    CONDITION(ne, CF, ZF)
    CONDITION(be, CF, STATUS & ~(CF | ZF))
    CONDITION(be, ZF, 0)
    CONDITION(a, SF, CF)
    CONDITION(s, SF, STATUS & ~SF)
    CONDITION(ns, 0, SF)
    CONDITION(p, PF, STATUS & ~PF)
    CONDITION(np, 0, PF)
    CONDITION(l, SF, SF | OF)
    CONDITION(l, OF, 0)
    CONDITION(ge, SF | OF, OF)
    CONDITION(le, ZF | SF | OF, SF | OF)
    CONDITION(le, OF, 0)
    CONDITION(g, SF | OF, ZF)

    STAGE(0x04, "addition and subtraction")
    ALU(addb, %al, %bl, 0x7f, 0x01, 0, 0x80, STATUS, OF | SF | AF)
    ALU(addb, %ah, %bh, 0xff, 0x01, CF, 0x00, STATUS, CF | ZF | PF | AF)
    ALU(addw, %ax, %bx, 0x8000, 0x8000, 0, 0, STATUS, CF | OF | ZF | PF)
    ALU(addl, %eax, %ebx, 0x7fffffff, 0x10, 0, 0x8000000f, STATUS, OF | SF | PF)
    ALU(adcb, %al, %bl, 0xff, 0x00, CF, 0x00, STATUS, CF | ZF | PF | AF)
    ALU(adcb, %al, %bl, 0xff, 0xff, CF, 0xff, STATUS, CF | SF | PF | AF)
    ALU(adcl, %eax, %ebx, 0x7fffffff, 0, CF, 0x80000000, STATUS, OF | SF | PF | AF)
    ALU(subb, %al, %bl, 0x80, 0x01, CF, 0x7f, STATUS, OF | AF)
    ALU(subw, %ax, %bx, 0x0000, 0x0001, 0, 0xffff, STATUS, CF | SF | PF | AF)
    ALU(subl, %eax, %ebx, 5, 5, 0, 0, STATUS, ZF | PF)
    ALU(sbbb, %al, %bl, 0x00, 0xff, CF, 0x00, STATUS, CF | ZF | PF | AF)
    ALU(sbbl, %eax, %ebx, 0x80000000, 0, CF, 0x7fffffff, STATUS, OF | PF | AF)
    ALU(cmpb, %al, %bl, 0x10, 0x20, 0, 0x10, STATUS, CF | SF | PF)
    ALU(cmpl, %eax, %ebx, 0x80000000, 0x7fffffff, 0, 0x80000000, STATUS, OF | AF)
    UNARY(incb, %al, 0x7f, CF, 0x80, STATUS, CF | OF | SF | AF)
    UNARY(incl, %eax, 0xffffffff, 0, 0, STATUS, ZF | PF | AF)
    UNARY(decw, %ax, 0x8000, CF, 0x7fff, STATUS, CF | OF | PF | AF)
    UNARY(decl, %eax, 0, 0, 0xffffffff, STATUS, SF | PF | AF)
    UNARY(negb, %al, 0x80, 0, 0x80, STATUS, CF | OF | SF)
    UNARY(negl, %eax, 0, CF, 0, STATUS, ZF | PF)
    UNARY(negw, %ax, 1, 0, 0xffff, STATUS, CF | SF | PF | AF)
    movl $0x100, 0x40 // in memory, with immediates of both lengths
    addl $-1, 0x40
    adcw $0x1234, 0x40
    subb $0x33, 0x41
    movl 0x40, %eax
    EQ(%eax, 0x0000e034) // 100 - 1 + 1234 + carry 1 = 1334; its byte 13 - 33

    STAGE(0x05, "logic")
    ALU(andb, %al, %bl, 0xf0, 0x8f, CF, 0x80, STATUS & ~AF, SF)
    ALU(andl, %eax, %ebx, 0xff00ff00, 0x00ff00ff, CF, 0, STATUS & ~AF, ZF | PF)
    ALU(orw, %ax, %bx, 0x8001, 0x0010, CF, 0x8011, STATUS & ~AF, SF | PF)
    ALU(xorl, %eax, %ebx, 0xffffffff, 0xfffffffe, CF, 1, STATUS & ~AF, 0)
    ALU(testb, %al, %bl, 0x81, 0x80, CF, 0x81, STATUS & ~AF, SF)
    UNARY(notl, %eax, 0x0f0f0f0f, CF, 0xf0f0f0f0, STATUS, CF)

    STAGE(0x06, "shifts and rotates")
    SHIFT(shlb, %al, 0x81, 1, 0, 0x02, STATUS & ~AF, CF | OF)
    SHIFT(shlw, %ax, 0x0001, 15, 0, 0x8000, CF | SF | ZF | PF, SF | PF)
    SHIFT(shll, %eax, 0x80000001, 32, CF, 0x80000001, STATUS, CF) // a count of 0 changes nothing
    SHIFT(shll, %eax, 0x80000001, 33, 0, 2, CF, CF)               // counts are 5 bits
    SHIFT(shrb, %al, 0x81, 1, 0, 0x40, STATUS & ~AF, CF | OF)
    SHIFT(shrl, %eax, 0x80000000, 31, 0, 1, CF | SF | ZF | PF, 0)
    SHIFT(sarw, %ax, 0x8001, 1, 0, 0xc000, STATUS & ~AF, CF | SF | PF)
    SHIFT(sarl, %eax, 0x80000000, 31, 0, 0xffffffff, CF | SF | ZF | PF, SF | PF)
    SHIFT(rolb, %al, 0x81, 1, 0, 0x03, CF | OF, CF | OF)
    SHIFT(rolw, %ax, 0x1234, 4, 0, 0x2341, CF, CF)
    SHIFT(rorl, %eax, 0x00000001, 1, 0, 0x80000000, CF | OF, CF | OF)
    SHIFT(rclb, %al, 0x80, 1, CF, 0x01, CF | OF, CF | OF)
    SHIFT(rclb, %al, 0x80, 9, CF, 0x80, CF, CF)                   // 9 bits go round once
    SHIFT(rclw, %ax, 0x8000, 2, 0, 0x0001, CF, 0)
    SHIFT(rcrl, %eax, 0x00000001, 1, 0, 0, CF | OF, CF)
    SHIFT(rcrw, %ax, 0x0001, 17, CF, 0x0001, CF, CF)
    movl $0x12345678, %eax
    movl $0x9abcdef0, %ebx
    shldl $8, %ebx, %eax
    EQ(%eax, 0x3456789a)
    movb $12, %cl
    shrdl %cl, %ebx, %eax
    EQ(%eax, 0xef034567)
    movw $0x8001, %ax
    shrdw $1, %ax, %ax
    FLAGS(CF, CF)
    EQ(%ax, 0xc000)

    STAGE(0x07, "multiplication and division")
    movl $0x55550000 | 0x80, %eax
    movb $0xff, %bl
    mulb %bl
    FLAGS(CF | OF, CF | OF)
    EQ(%eax, 0x55557f80)
    movb $0x80, %al
    imulb %bl // -128 * -1
    FLAGS(CF | OF, CF | OF)
    EQ(%ax, 0x0080)
    movw $0x1234, %ax
    movw $0x10, %bx
    mulw %bx
    EQ(%ax, 0x2340)
    EQ(%dx, 1)
    movl $0x80000000, %eax
    movl $-1, %ebx
    imull %ebx
    EQ(%edx, 0)
    EQ(%eax, 0x80000000)
    mull %ebx
    EQ(%edx, 0x7fffffff)
    imull $-3, %ebx, %ecx
    FLAGS(CF | OF, 0)
    EQ(%ecx, 3)
    movw $0x4000, %cx
    imulw $4, %cx
    FLAGS(CF | OF, CF | OF)
    EQ(%cx, 0)
    EDX_EAX(1, 5)
    movl $2, %ebx
    divl %ebx
    EQ(%eax, 0x80000002)
    EQ(%edx, 1)
    EDX_EAX(-1, -7)
    idivl %ebx
    EQ(%eax, -3)
    EQ(%edx, -1)
    movw $-7, %ax
    movb $-2, %bl
    idivb %bl
    EQ(%ax, 0xff03)
    VECTOR(0, divide_fault)
    movw $1f, %di // where the fault leads on
    movw $2f, %si // and where it happens
    EDX_EAX(2, 0)
    movl $2, %ebx
2:  divl %ebx
    FAIL
1:  EQ(%edx, 2)
    movw $1f, %di
    movw $2f, %si
    xorw %bx, %bx
2:  divw %bx
    FAIL
1:  movw $1f, %di
    movw $2f, %si
    movw $-128, %ax
    movb $-1, %bl
2:  idivb %bl
    FAIL
1:  movw $-128, %ax // -128 is a quotient, 128 is none
    movb $1, %bl
    idivb %bl
    EQ(%ax, 0x0080)

    STAGE(0x08, "decimal arithmetic")
    movb $0x79, %al
    addb $0x35, %al
    daa
    FLAGS(CF | AF | ZF, CF | AF)
    EQ(%al, 0x14)
    movb $0x21, %al
    subb $0x48, %al
    das
    FLAGS(CF | AF, CF | AF)
    EQ(%al, 0x73)
    movw $0x0109, %ax
    addb $4, %al
    aaa
    FLAGS(CF | AF, CF | AF)
    EQ(%ax, 0x0203)
    movw $0x0203, %ax
    subb $7, %al
    aas
    EQ(%ax, 0x0106)
    movb $63, %al
    aam
    FLAGS(SF | ZF | PF, PF)
    EQ(%ax, 0x0603)
    aad
    EQ(%ax, 63)
    .byte 0xd4, 16 // AAM in base 16
    EQ(%ax, 0x030f)
    movw $1f, %di
    movw $2f, %si
2:  .byte 0xd4, 0
    FAIL
1:

    STAGE(0x09, "bits")
    movl $0x00018000, %eax
    bsfl %eax, %ebx
    EQ(%ebx, 15)
    bsrl %eax, %ebx
    EQ(%ebx, 16)
    xorl %eax, %eax
    bsfl %eax, %ebx
    FLAGS(ZF, ZF)
    movl $0x80000000, %eax
    btl $31, %eax
    FLAGS(CF, CF)
    btrl $63, %eax // modulo 32 in registers
    FLAGS(CF, CF)
    EQ(%eax, 0)
    btcw $4, %ax
    btsw $20, %ax
    FLAGS(CF, CF)
    EQ(%ax, 0x10)
    movl $0, 0x40
    movl $0, 0x44
    movl $0, 0x3c
    movl $37, %ecx // but anywhere in memory
    btsl %ecx, 0x40
    movl $-1, %ecx
    btcl %ecx, 0x40
    movl 0x44, %eax
    EQ(%eax, 0x20)
    movl 0x3c, %eax
    EQ(%eax, 0x80000000)
    jmp machine_stages

this_file:
    .asciz "integer.S"

    .section .note.GNU-stack, "", @progbits
