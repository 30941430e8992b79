// SPDX-License-Identifier: GPL-2.0-or-later
// MMX, SSE and SSE2: every two-operand instruction in register and memory form over patterns of integers and
// floats; shuffles, conversions, moves, masks; MXCSR flags; FXSAVE.
//
// Expected: the host's registers, EFLAGS of the comparisons, and MXCSR.
// Run: tests/guest/run-insn simd
#include "tests/guest/lib/insn.h"

    .text
    .globl test_main

// op on all pairs of 16 patterns, register and memory forms, into xmm1.
.macro xmm op, imm
    movl $0, %edi
1:  movl $0, %esi
2:  movaps patterns(%edi), %xmm1
    movaps patterns(%edi), %xmm3
    movaps patterns(%esi), %xmm2
    .ifb \imm
    \op %xmm2, %xmm1
    \op patterns(%esi), %xmm3
    .else
    \op $\imm, %xmm2, %xmm1
    \op $\imm, patterns(%esi), %xmm3
    .endif
    call fold_xmm
    addl $16, %esi
    cmpl $PATTERNS * 16, %esi
    jne 2b
    addl $16, %edi
    cmpl $PATTERNS * 16, %edi
    jne 1b
    report "\op \imm"
.endm

.macro mmx op, imm
    movl $0, %edi
1:  movl $0, %esi
2:  movq patterns(%edi), %mm1
    movq patterns(%edi), %mm3
    movq patterns(%esi), %mm2
    .ifb \imm
    \op %mm2, %mm1
    \op patterns(%esi), %mm3
    .else
    \op $\imm, %mm2, %mm1
    \op $\imm, patterns(%esi), %mm3
    .endif
    movq %mm1, out
    movq %mm3, out + 16
    mixmem out, 32
    addl $8, %esi
    cmpl $PATTERNS * 16, %esi
    jne 2b
    addl $8, %edi
    cmpl $PATTERNS * 16, %edi
    jne 1b
    emms
    report "mmx \op \imm"
.endm

// Whatever body does with xmm1 and xmm2, and eax.
.macro each name, body
    movl $0, %edi
1:  movaps patterns(%edi), %xmm1
    movaps patterns(%edi), %xmm2
    movaps %xmm1, %xmm3
    movl patterns + 4(%edi), %eax
    \body
    call fold_xmm
    mix
    addl $16, %edi
    cmpl $PATTERNS * 16, %edi
    jne 1b
    report "\name"
.endm

test_main:
    flags 0
    movl $0x1f80, mxcsr
    ldmxcsr mxcsr
    // MMX and its SSE extensions, then the same on xmm registers.
    .irp op, paddb, paddw, paddd, paddq, paddsb, paddsw, paddusb, paddusw, psubb, psubw, psubd, psubq, psubsb, psubsw, psubusb, psubusw
    mmx \op
    xmm \op
    .endr
    .irp op, pmullw, pmulhw, pmulhuw, pmuludq, pmaddwd, pavgb, pavgw, pminub, pminsw, pmaxub, pmaxsw, psadbw
    mmx \op
    xmm \op
    .endr
    .irp op, pand, pandn, por, pxor, pcmpeqb, pcmpeqw, pcmpeqd, pcmpgtb, pcmpgtw, pcmpgtd, packsswb, packssdw, packuswb
    mmx \op
    xmm \op
    .endr
    .irp op, punpcklbw, punpcklwd, punpckldq, punpckhbw, punpckhwd, punpckhdq
    mmx \op
    xmm \op
    .endr
    .irp op, psllw, pslld, psllq, psrlw, psrld, psrlq, psraw, psrad
    mmx \op
    xmm \op
    .endr
    xmm punpcklqdq
    xmm punpckhqdq
    mmx pshufw, 0x1b
    .irp op, pshufd, pshuflw, pshufhw
    xmm \op, 0x93
    .endr
    xmm shufps, 0xc6
    xmm shufpd, 1
    .irp op, addps, mulps, subps, divps, minps, maxps, addss, mulss, subss, divss, minss, maxss
    xmm \op
    .endr
    .irp op, addpd, mulpd, subpd, divpd, minpd, maxpd, addsd, mulsd, subsd, divsd, minsd, maxsd
    xmm \op
    .endr
    .irp op, sqrtps, sqrtss, sqrtpd, sqrtsd, andps, andnps, orps, xorps, andpd, andnpd, orpd, xorpd, unpcklps, unpckhps, unpcklpd, unpckhpd
    xmm \op
    .endr
    .irp imm, 0, 1, 2, 3, 4, 5, 6, 7
    xmm cmpps, \imm
    xmm cmpsd, \imm
    .endr
    xmm cmppd, 1
    xmm cmpss, 6
    .irp op, cvtdq2ps, cvtps2dq, cvttps2dq, cvtdq2pd, cvtpd2dq, cvttpd2dq, cvtps2pd, cvtpd2ps, cvtss2sd, cvtsd2ss
    xmm \op
    .endr
    // Comparisons into EFLAGS.
    flags ARITH
    .irp op, ucomiss, comiss, ucomisd, comisd
    movl $0, %edi
1:  movl $0, %esi
2:  movaps patterns(%edi), %xmm1
    movaps patterns(%esi), %xmm2
    \op %xmm2, %xmm1
    mix
    stmxcsr mxcsr
    mixmem mxcsr, 4
    addl $16, %esi
    cmpl $PATTERNS * 16, %esi
    jne 2b
    addl $16, %edi
    cmpl $PATTERNS * 16, %edi
    jne 1b
    report "\op"
    .endr
    flags 0
    each "cvtsi2ss", "cvtsi2ssl %eax, %xmm1; cvtsi2ssl patterns+8(%edi), %xmm2"
    each "cvtsi2sd", "cvtsi2sdl %eax, %xmm1; cvtsi2sdl patterns+8(%edi), %xmm2"
    each "cvtss2si", "cvtss2si %xmm1, %eax; cvttss2si %xmm1, %ecx; cvtss2si patterns+4(%edi), %edx"
    each "cvtsd2si", "cvtsd2si %xmm1, %eax; cvttsd2si %xmm1, %ecx; cvttsd2si patterns+8(%edi), %edx"
    each "cvtpi2ps", "movq patterns(%edi), %mm1; cvtpi2ps %mm1, %xmm1; cvtpi2pd %mm1, %xmm2; cvtps2pi %xmm3, %mm2; movq %mm2, out; cvttpd2pi %xmm3, %mm2; movq %mm2, out + 8; emms; mixmem out, 16"
    each "moves", "movss %xmm1, %xmm2; movsd %xmm3, %xmm1; movhlps %xmm3, %xmm2; movlhps %xmm1, %xmm3; movups patterns+3(%edi), %xmm1"
    each "half moves", "movlps patterns+8(%edi), %xmm1; movhps patterns(%edi), %xmm2; movlps %xmm1, out; movhps %xmm2, out+8; movlpd out, %xmm3; movhpd %xmm3, out+16; mixmem out, 24"
    each "movd movq", "movd %eax, %xmm1; movd %xmm2, %ecx; movq %xmm2, %xmm3; movq patterns+8(%edi), %xmm2; movq %xmm2, out; movd %xmm3, out+8; mixmem out, 12"
    each "mmx moves", "movd %eax, %mm1; movq2dq %mm1, %xmm1; movdq2q %xmm2, %mm2; movd %mm2, %ecx; movq %mm2, out; movntq %mm2, out+8; emms; mixmem out, 16"
    each "masks", "movmskps %xmm1, %ecx; movmskpd %xmm2, %edx; pmovmskb %xmm3, %eax"
    each "mmx mask", "movq patterns(%edi), %mm1; pmovmskb %mm1, %eax; pextrw $2, %mm1, %ecx; pinsrw $1, %eax, %mm1; movq %mm1, out; emms; mixmem out, 8"
    each "pinsrw pextrw", "pinsrw $5, %eax, %xmm1; pextrw $3, %xmm1, %ecx; pinsrw $0, patterns+2(%edi), %xmm2"
    each "pslldq", "pslldq $3, %xmm1; psrldq $5, %xmm2; pslldq $16, %xmm3"
    each "shift imm", "psllw $3, %xmm1; psrld $9, %xmm2; psraw $15, %xmm3; psrlq $33, %xmm1; psrad $40, %xmm2; psllq $64, %xmm3"
    each "mmx shift imm", "movq patterns(%edi), %mm1; psllw $3, %mm1; psrad $2, %mm1; psrlq $7, %mm1; movq %mm1, out; emms; mixmem out, 8"
    each "stores", "movaps %xmm1, out; movups %xmm2, out+17; movntps %xmm3, out+48; movdqu %xmm1, out+65; movss %xmm2, out+90; movsd %xmm2, out+96; movnti %eax, out+104; mixmem out, 108"
    each "maskmov", "movl %edi, saved; movl $out, %edi; maskmovdqu %xmm2, %xmm1; movq patterns, %mm1; movq patterns+40, %mm2; movl $out+32, %edi; maskmovq %mm2, %mm1; emms; movl saved, %edi; mixmem out, 48"
    each "other registers", "movaps %xmm1, %xmm7; addps %xmm7, %xmm7; movaps %xmm7, %xmm0; mulss %xmm0, %xmm4; pxor %xmm4, %xmm4; movaps %xmm0, %xmm1; paddd %xmm5, %xmm5; pxor %xmm5, %xmm5"
    each "fences", "lfence; mfence; sfence; prefetcht0 (%edi); prefetchnta patterns; pause; clflush patterns(%edi)"
    // Rounding modes, and denormals flushed.
    .irp mode, 0x3f80, 0x5f80, 0x7f80, 0x9f80, 0x1fc0, 0xffc0
    movl $\mode, mxcsr
    ldmxcsr mxcsr
    xmm addps
    xmm mulpd
    xmm cvtps2dq
    xmm cvtpd2ps
    report "\mode"
    .endr
    movl $0x1f80, mxcsr
    ldmxcsr mxcsr
    // FXSAVE and FXRSTOR of everything; the reserved bytes and pointers are left out.
    fninit
    fld1
    fldpi
    movaps patterns + 64, %xmm6
    fxsave area
    mixmem area, 5
    mixmem area+24, 4
    mixmem area+32, 128
    mixmem area+160, 128
    pxor %xmm6, %xmm6
    fninit
    fxrstor area
    fnstsw %ax
    mix
    movaps %xmm6, out
    fstpt out + 16
    mixmem out, 26
    report "fxsave"
    // MMX and x87 share their registers: tags and top of stack.
    fninit
    fld1
    movq patterns, %mm3
    fnstenv area
    movl area + 8, %eax
    movl area + 4, %ecx
    andl $0xffff, %eax
    andl $0xffff, %ecx
    mix
    emms
    fnstenv area
    movl area + 8, %eax
    andl $0xffff, %eax
    mix
    fninit
    report "tags"
    ret

// Folds xmm1, xmm2, xmm3 and MXCSR, whose flags are then cleared.
fold_xmm:
    movaps %xmm1, fold_area
    movaps %xmm2, fold_area + 16
    movaps %xmm3, fold_area + 32
    stmxcsr fold_area + 48
    mixmem fold_area, 52
    andl $~0x3f, fold_area + 48
    ldmxcsr fold_area + 48
    ret

    .data
    .balign 16
    .set PATTERNS, 13
patterns:
    .long 0, 0, 0, 0
    .long 0x3f800000, 0xbf800000, 0x40490fdb, 0x3eaaaaab       // 1, -1, pi, 1/3
    .long 0, 0x3ff00000, 0x54442d18, 0xc00921fb                // 1.0, -pi
    .long 0x7f800000, 0xff800000, 0x7fc00001, 0x7f800001       // infinities, NaNs
    .long 0, 0x7ff00000, 1, 0x7ff80000
    .long 2, 0x7ff00000, 0, 0xfff00000                         // signalling NaN
    .long 1, 0x807fffff, 0x00800000, 0x7f7fffff                // denormals, extremes
    .long 1, 0, 0xffffffff, 0x7fefffff
    .long 0x80000000, 0x80000000, 0, 0x80000000                // negative zeros
    .long 0x01020304, 0x7f80ff00, 0x80007fff, 0xfffe0102       // integers
    .long 0xffffffff, 0x7fffffff, 0x80000000, 0x00000001
    .long 0x4f000000, 0xcf000000, 0x4effffff, 0x3f000000       // about 2^31; 0.5
    .long 0x00000003, 0, 0x41dfffff, 0xffe00000
    .long 0, 0, 0, 0
mxcsr: .long 0
saved: .long 0
    .bss
    .balign 16
out: .skip 128
fold_area: .skip 64
area: .skip 512
