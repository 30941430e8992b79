// SPDX-License-Identifier: GPL-2.0-or-later
// x87: loads and stores of all formats, arithmetic in all forms and precisions and roundings, comparisons,
// constants, transcendentals, stack overflow and underflow, exceptions and their flags, environment images.
//
// Expected: the host's bits: 80-bit images of results, status and tag words.
// Run: tests/guest/run-insn x87
#include "tests/guest/lib/insn.h"

    .text
    .globl test_main

// Folds the x87 state: status and tag word, and the register stack as 80-bit images; leaves it empty.
.macro state name
    call fold_state
    report "\name"
.endm

// Every pair of values as st(1), st(0) through body.
.macro pairs name, body
    movl $0, outer
1:  movl $0, inner
2:  fninit
    fldcw control
    movl outer, %edi
    movl inner, %esi
    imull $10, %edi, %edi
    imull $10, %esi, %esi
    fldt values(%edi)
    fldt values(%esi)
    fnclex
    \body
    call fold_state
    incl inner
    cmpl $COUNT, inner
    jne 2b
    incl outer
    cmpl $COUNT, outer
    jne 1b
    report "\name"
.endm

.macro each name, body
    movl $0, inner
2:  fninit
    fldcw control
    movl inner, %esi
    imull $10, %esi, %esi
    fldt values(%esi)
    fnclex
    \body
    call fold_state
    incl inner
    cmpl $COUNT, inner
    jne 2b
    report "\name"
.endm

test_main:
    flags 0
    movw $0x37f, control
    .irp op, add, mul, sub, subr, div, divr
    pairs "f\op st(1), st", "f\op %st(1), %st"
    pairs "f\op st, st(1)", "f\op %st, %st(1)"
    pairs "f\op\()p", "f\op\()p %st, %st(1)"
    each "f\op m32", "f\op\()s single"
    each "f\op m64", "f\op\()l double"
    each "fi\op m16", "fi\op\()s word"
    each "fi\op m32", "fi\op\()l dword"
    .endr
    // Rounding and precision: nearest, down, up, zero; 24, 53, 64 bits.
    .irp mode, 0x07f, 0x27f, 0x47f, 0x87f, 0xc7f, 0x77f, 0xb7f, 0xe7f
    movw $\mode, control
    pairs "fadd \mode", "fadd %st(1), %st"
    pairs "fdiv \mode", "fdiv %st(1), %st"
    each "fsqrt \mode", "fsqrt"
    each "frndint \mode", "frndint"
    each "fst m32 \mode", "fsts out; fstl out + 8; mixmem out, 16"
    each "fist \mode", "fists out; fistl out + 4; mixmem out, 8"
    each "fistp \mode", "fld %st(0); fistpll out; fbstp out + 8; mixmem out, 18"
    .endr
    movw $0x37f, control
    pairs "fcom", "fcom %st(1)"
    pairs "fucom", "fucom %st(1)"
    pairs "fcompp", "fcompp"
    pairs "fcomi", "fcomi %st(1), %st; flags 0x45; mix; flags 0"
    pairs "fucomip", "fucomip %st(1), %st; flags 0x45; mix; flags 0"
    each "fcom m32", "fcoms single; fnstsw %ax; mix; fcompl double"
    each "ficom", "ficoms word; fnstsw %ax; mix; ficompl dword"
    each "ftst", "ftst"
    each "fxam", "fxam"
    each "fabs fchs", "fabs; fchs; fld %st(0); fchs"
    each "fxch", "fld1; fxch %st(1); fldpi; fxch %st(2)"
    each "fxtract", "fxtract"
    pairs "fscale", "fscale"
    pairs "fprem", "fprem"
    pairs "fprem1", "fprem1"
    each "fst st(i)", "fldz; fst %st(3); fstp %st(1)"
    each "fcmov", "cmpl %eax, %eax; fld1; fcmove %st(1), %st; fldz; fcmovne %st(1), %st; stc; fcmovb %st(2), %st; fcmovnu %st(1), %st"
    each "fld forms", "flds single; fldl double; fldt values; filds word; fildl dword; fildll quad; fbld bcd"
    each "fstp m80", "fstpt out; mixmem out, 10"
    // Transcendentals are the host's own: bits may differ between CPU models, but not between engines here.
    each "fsin", "fsin"
    each "fcos", "fcos"
    each "fsincos", "fsincos"
    each "fptan", "fptan"
    pairs "fpatan", "fpatan"
    each "f2xm1", "f2xm1"
    pairs "fyl2x", "fyl2x"
    pairs "fyl2xp1", "fyl2xp1"

    fninit
    fldz
    fld1
    fldl2t
    fldl2e
    fldpi
    fldlg2
    fldln2
    state "constants"
    // Overflow and underflow of the register stack.
    fninit
    .rept 9
    fld1
    .endr
    state "stack overflow"
    fninit
    faddp
    fld1
    fstp %st(0)
    fsts out
    fistl out + 4
    mixmem out, 8
    state "stack underflow"
    fninit
    fld1
    fincstp
    fldpi
    fdecstp
    fdecstp
    ffree %st(1)
    state "fincstp fdecstp ffree"
    // FNSAVE, FRSTOR, FLDENV; pointers are masked: they hold EIP and selectors.
    fninit
    fld1
    fldpi
    fnsave image
    movl image, %eax
    movl image + 4, %ecx
    movl image + 8, %edx
    mix
    mixmem image+28, 80
    frstor image
    fld1
    state "fnsave frstor"
    fninit
    fldpi
    fnstenv image
    movw $0x0c7f, image
    movw $0x3800, image + 4
    fldenv image
    fnstcw out
    mixmem out, 2
    state "fnstenv fldenv"
    .byte 0x66
    fnsave image
    movw image, %ax
    movw image + 4, %cx
    mix
    .byte 0x66
    frstor image
    state "16-bit image"
    // FNSTSW, FNSTCW, FNCLEX, FNOP, FWAIT, and operations that 387s ignore.
    fninit
    fld1
    fldz
    fdivrp
    fnstsw %ax
    mix
    fnstsw out
    fnclex
    fnstsw out + 2
    fnstcw out + 4
    mixmem out, 6
    fnop
    fwait
    .byte 0xdb, 0xe0 // fneni
    .byte 0xdb, 0xe1 // fndisi
    .byte 0xdb, 0xe4 // fnsetpm
    state "fnstsw"
    // Registers live across calls, branches and fault-free system calls.
    fninit
    fld1
    movl $1000, %ecx
1:  fldpi
    fmul %st(1), %st
    call add_sqrt
    fdivl double
    fstp %st(1)
    loop 1b
    state "across calls"
    fninit
    ret

add_sqrt:
    faddl double
    fsqrt
    ret

// Folds status word, tag word, and everything on the stack.
fold_state:
    pushl %eax
    pushl %ecx
    pushl %edx
    pushl %esi
    pushl %edi
    fnstsw %ax
    movzwl %ax, %eax
    xorl %ecx, %ecx
    xorl %edx, %edx
    xorl %esi, %esi
    xorl %edi, %edi
    mix
    fnsave fold_image
    movzwl fold_image + 8, %eax
    mix
    mixmem fold_image+28, 80
    popl %edi
    popl %esi
    popl %edx
    popl %ecx
    popl %eax
    fninit
    ret

    .data
    .balign 16
    .set COUNT, 22
// Significand, then sign and exponent.
.macro extended high, low, exponent
    .long \low, \high
    .word \exponent
.endm
values:
    extended 0, 0, 0                    // 0
    extended 0, 0, 0x8000               // -0
    extended 0x80000000, 0, 0x3fff      // 1
    extended 0x80000000, 0, 0xbfff      // -1
    extended 0xc90fdaa2, 0x2168c235, 0x4000 // pi
    extended 0xaaaaaaaa, 0xaaaaaaab, 0x3ffd // 1/3
    extended 0xffffffff, 0xffffffff, 0x3ffe // just below 1
    extended 0xffffffff, 0xffffffff, 0xc03e // -2^63 + 1/2
    extended 0x80000000, 0, 0x401e      // 2^31
    extended 0xfffffffe, 0x80000000, 0x401d // near 2^31
    extended 0x80000000, 0, 0x3fde      // 2^-33
    extended 0xd0e03000, 0, 0x4009      // 1671.0
    extended 0x9c400000, 0x12345678, 0x400e // 40000 and a bit
    extended 0xffffffff, 0xffffffff, 0x7ffe // the largest
    extended 0x80000000, 0, 1           // the smallest normal
    extended 1, 0x10, 0                 // denormal
    extended 0x80000000, 0, 0x7fff      // infinity
    extended 0x80000000, 0, 0xffff      // -infinity
    extended 0xc0000000, 0x123, 0x7fff  // quiet NaN
    extended 0xa0000000, 0x456, 0xffff  // signalling NaN
    extended 0x40000000, 0, 0x3fff      // unnormal: unsupported
    extended 0x80000000, 0, 0x43ff      // beyond double
single: .long 0x40490fdb
    .balign 8
double: .long 0x9999999a, 0x3fb99999
word: .word -1234
    .balign 4
dword: .long 123456789
    .balign 8
quad: .long 0x89abcdef, 0x12345678
bcd: .byte 0x89, 0x67, 0x45, 0x23, 0x01, 0x98, 0x76, 0x54, 0x32, 0x80
    .balign 2
control: .word 0
    .bss
    .balign 16
image: .skip 128
fold_image: .skip 128
out: .skip 32
outer: .skip 4
inner: .skip 4
