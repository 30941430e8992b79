// SPDX-License-Identifier: GPL-2.0-or-later
// MOVS CMPS STOS LODS SCAS: all sizes, single and repeated, both directions, counts 0 to many, overlapping,
// 16-bit addresses, segment overrides, and page faults in the middle.
//
// Expected: the host's registers, flags and memory; a faulting repetition leaves the registers at
// the element that faulted.
// Not in: flat
// Run: tests/guest/run-insn string
#include "tests/guest/lib/insn.h"

    .text
    .globl test_main

// source = 00 07 0e ..., target = 255 x e7; esi and edi in their middles.
fill:
    pushl %eax
    xorl %ecx, %ecx
1:  imull $7, %ecx, %eax
    movb %al, source(%ecx)
    movb $0xe7, target(%ecx)
    incl %ecx
    cmpl $255, %ecx
    jne 1b
    popl %eax
    movl $source + 64, %esi
    movl $target + 64, %edi
    movl $5, %ecx
    movl $0x7c757068, %eax
    xorl %edx, %edx // defined flags
    ret

// One instruction sequence in both directions.
.macro both name, body
    .irp direction, cld, std
    call fill
    \direction
    \body
    cld
    mix
    mixmem target, 255
    mixmem source, 255
    .endr
    report "\name"
.endm

.macro sizes op
    .irp size, b, w, l
    both "\op\size", "\op\size; \op\size"
    both "rep \op\size", "rep; \op\size"
    both "rep \op\size 0", "xorl %ecx, %ecx; rep; \op\size"
    both "rep \op\size 1", "movl $1, %ecx; rep; \op\size"
    both "rep \op\size 16", "movl $16, %ecx; rep; \op\size"
    .endr
.endm

.macro compares op
    .irp size, b, w, l
    both "\op\size", "\op\size; mix; \op\size"
    both "repe \op\size differing", "repe; \op\size"
    both "repne \op\size differing", "repne; \op\size"
    both "repe \op\size 0", "cmpl %esi, %edi; movl $0, %ecx; repe; \op\size"
    both "repe \op\size equal", "movl $source + 64, %edi; movl $9, %ecx; repe; \op\size"
    both "repne \op\size found", "movl $source + 68, %edi; movl $30, %ecx; repne; \op\size"
    .endr
.endm

// A repetition that runs into the hole, or down to it from above the edge.
.macro torn name, body
    call fill
    expect 2f
1:  \body
2:  cld
    showfault 1b, "\name"
    mixmem EDGE+4080, 16
    report "\name"
.endm

test_main:
    sizes movs
    sizes stos
    sizes lods
    compares cmps
    compares scas
    both "movsb overlapping", "leal 1(%esi), %edi; movl $40, %ecx; rep; movsb"
    both "movsb overlapping down", "leal -1(%esi), %edi; movl $40, %ecx; rep; movsb"
    both "movsl overlapping by 2", "leal 2(%esi), %edi; movl $10, %ecx; rep; movsl"
    both "movsl to itself", "movl %esi, %edi; movl $10, %ecx; rep; movsl"
    both "stosb into the source", "movl %esi, %edi; movl $20, %ecx; rep; stosb; lodsl"
    both "es override", "rep; movsb %es:(%esi), (%edi); lodsb %es:(%esi)"
    both "cs override", "rep; movsb %cs:(%esi), (%edi)"
    both "ss override", "repe; cmpsb %es:(%edi), %ss:(%esi)"
    both "repne movs is rep movs", "repne; movsb"
    both "repne stos is rep stos", "repne; stosl"
    both "16-bit count", "movl $0x50000, %ecx; .byte 0x67; rep; lodsb; movl $0x10000, %ecx; jcxz 77f; nop; 77: nop"
    both "negative count of none", "movl $3, %ecx; rep; stosb; rep; stosb"
    // Long ones cross pages.
    movl $big, %edi
    movl $0x01234567, %eax
    movl $5000, %ecx
    rep
    stosl
    mix
    movl $big + 3, %esi
    movl $big + 20011, %edi
    movl $9001, %ecx
    rep
    movsw
    mix
    movl $big, %esi
    movl $big + 4, %edi
    movl $9000, %ecx
    repe
    cmpsl
    mix
    movl $big, %edi
    movb $0, %al
    movl $60000, %ecx
    repne
    scasb
    mix
    mixmem big+20000, 64
    mixmem big+38000, 64
    report "long"

    torn "movsl into the hole", "movl $HOLE - 10, %edi; movl $10, %ecx; rep; movsl"
    torn "movsl out of the hole", "movl $HOLE - 9, %esi; movl $10, %ecx; rep; movsl"
    torn "stosb into the hole", "movl $HOLE - 3, %edi; movl $10, %ecx; rep; stosb"
    torn "stosw across", "movl $HOLE - 3, %edi; movl $10, %ecx; rep; stosw"
    torn "stosl at once", "movl $HOLE, %edi; movl $10, %ecx; rep; stosl"
    torn "stosl none", "movl $HOLE, %edi; movl $0, %ecx; rep; stosl; ud2"
    torn "lodsl", "movl $HOLE - 8, %esi; movl $10, %ecx; rep; lodsl"
    torn "lodsb single", "movl $HOLE, %esi; lodsb"
    torn "scasb", "movl $HOLE - 8, %edi; movl $10, %ecx; movb $1, %al; repne; scasb"
    torn "cmpsl", "movl $HOLE - 8, %edi; movl $HOLE - 12, %esi; movl $10, %ecx; movl $0, EDGE + 4084; repe; cmpsl"
    torn "movsb down", "movl $HOLE, %edi; std; movl $10, %ecx; rep; movsb"
    torn "movsl both", "movl $HOLE + 4, %edi; movl $HOLE, %esi; movl $10, %ecx; rep; movsl"
    ret

    .bss
    .balign 64
source: .skip 256
target: .skip 256
big: .skip 65536
