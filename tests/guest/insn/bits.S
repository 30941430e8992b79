// SPDX-License-Identifier: GPL-2.0-or-later
// BT BTS BTR BTC BSF BSR SETcc CMOVcc XADD CMPXCHG CMPXCHG8B BSWAP XCHG MOVZX MOVSX XLAT, and their LOCK forms.
//
// Expected: the host's results; bit offsets from registers reach beyond the operand, both ways.
// Run: tests/guest/run-insn bits
#include "tests/guest/lib/matrix.h"

    .globl test_main

.macro bit op
    matrix "\op r32 r32", CF, "\op\()l %edx, %eax"
    matrix "\op r16 r16", CF, "\op\()w %dx, %ax"
    matrix "\op r32 imm", CF, "\op\()l $31, %eax; \op\()l $0, %edx; \op\()l $37, %ebx"
    matrix "\op r16 imm", CF, "\op\()w $15, %ax; \op\()w $18, %dx"
    matrix "\op m32 imm", CF, "\op\()l $29, cell; mix; \op\()l $35, cell"
    matrix "\op m16 imm", CF, "\op\()w $9, cell; mix; \op\()w $35, cell+1"
    // Within the 12 bytes that are folded: bits -32 to 63.
    matrix "\op m32 r32", CF, "movl %edi, %ecx; imull $6, %ecx, %ecx; subl $25, %ecx; \op\()l %ecx, cell"
    matrix "\op m16 r16", CF, "movl %edi, %ecx; imull $5, %ecx, %ecx; subl $30, %ecx; \op\()w %cx, cell"
    matrix "\op far", CF, "movl $field, %ebp; movl %esi, %ecx; shll $10, %ecx; subl $7000, %ecx; \op\()l %ecx, (%ebp); mix; mixmem field-896, 128; mixmem field+64, 128"
.endm

test_main:
    .irp op, bt, bts, btr, btc
    bit \op
    .endr
    .irp op, bts, btr, btc
    matrix "lock \op", CF, "lock; \op\()l $7, cell; movl $33, %ecx; lock; \op\()l %ecx, cell"
    .endr
    .irp op, bsf, bsr
    matrix "\op r32", ZF, "orl $0x4000, %eax; \op\()l %eax, %ecx; orl $8, %edx; \op\()l %edx, %edx"
    matrix "\op r16", ZF, "orl $0x40, %eax; \op\()w %ax, %cx"
    matrix "\op m32", ZF, "orl $0x80000000, cell; \op\()l cell, %ecx"
    matrix "\op zero flag", ZF, "\op\()l %eax, %ecx; movl $0, %ecx"
    .endr
    .irp cc, o, no, b, ae, e, ne, be, a, s, ns, p, np, l, ge, le, g
    matrix "set\cc", ARITH, "cmpl %edx, %eax; set\cc %cl; set\cc %bh; set\cc cell+1"
    matrix "cmov\cc", ARITH, "cmpw %dx, %ax; cmov\cc\()l %edx, %ecx; cmov\cc\()w %ax, %bx; cmov\cc\()l cell, %ebp"
    .endr
    matrix "xadd r8", ARITH, "xaddb %dl, %ah; xaddb %al, %al"
    matrix "xadd r16", ARITH, "xaddw %dx, %ax"
    matrix "xadd r32", ARITH, "xaddl %edx, %eax; xaddl %ebx, %ebx"
    matrix "xadd m8", ARITH, "xaddb %dh, cell"
    matrix "xadd m16", ARITH, "lock; xaddw %dx, cell+1"
    matrix "xadd m32", ARITH, "lock; xaddl %edx, cell"
    matrix "cmpxchg r8", ARITH, "cmpxchgb %dl, %ah; cmpxchgb %bh, %al"
    matrix "cmpxchg r16", ARITH, "cmpxchgw %cx, %dx"
    matrix "cmpxchg r32", ARITH, "cmpxchgl %ecx, %edx; cmpxchgl %ebx, %eax"
    matrix "cmpxchg m8", ARITH, "cmpxchgb %dh, cell; mix; incb %al; cmpxchgb %dl, cell+1"
    matrix "cmpxchg m16", ARITH, "cmpxchgw %dx, cell; mix; lock; cmpxchgw %dx, cell+1"
    matrix "cmpxchg m32", ARITH, "lock; cmpxchgl %edx, cell; mix; lock; cmpxchgl %ecx, cell"
    matrix "cmpxchg8b", ARITH, "cmpxchg8b cell; mix; lock; cmpxchg8b cell; mix; movl $0xa5a5a5a5, %edx; movl %edi, %eax; lock; cmpxchg8b cell"
    .irp reg, eax, ecx, edx, ebx, ebp, esi, edi
    matrix "bswap \reg", ARITH, "bswap %\reg"
    matrix "xchg \reg", ARITH, "xchgl %eax, %\reg; xchgl %\reg, %edx; xchgl %\reg, cell"
    .endr
    matrix "xchg8", ARITH, "xchgb %al, %ah; xchgb %dh, %dl; xchgb %ch, cell; xchgb %bl, %bh; xchgw %cx, cell+1"
    matrix "nop forms", ARITH, "nop; xchgw %ax, %ax; .byte 0xf3, 0x90; .byte 0x0f, 0x1f, 0x44, 0, 0; .byte 0x66, 0x90"
    matrix "movzx", ARITH, "movzbl %ah, %ecx; movzbw %dl, %bx; movzwl %dx, %ebp; movzbl cell+3, %esi; movzwl cell+1, %edi"
    matrix "movsx", ARITH, "movsbl %ah, %ecx; movsbw %dh, %bx; movswl %dx, %ebp; movsbl cell+3, %esi; movswl cell+1, %edi; movsbw cell, %ax"
    matrix "movzx same", ARITH, "movzbl %al, %eax; movsbl %dh, %edx; movswl %bx, %ebx; movzbl %ch, %ecx"
    matrix "xlat", ARITH, "movl $values, %ebx; andb $31, %al; xlat; movl $values+200, %ebx; movb $-200, %al; xlat"
    matrix "mov8", ARITH, "movb %ah, %dl; movb %dh, %al; movb %ch, %ah; movb %bl, %ch; movb %ah, cell; movb cell+3, %dh; movb $0x7e, %bh; movb $3, cell+2"
    matrix "mov16", ARITH, "movw %ax, %cx; movw %dx, cell+1; movw cell, %bx; movw $0x8765, %bp; movw $-2, cell+2"
    matrix "moffs", ARITH, "movl cell, %eax; movb cell+5, %al; movw cell+3, %ax; movl %eax, cell; movb %al, cell+6; movw %ax, cell+5"
    matrix "lea", ARITH, "leal (%eax, %edx), %ecx; leal -5(%eax, %edx, 8), %ebx; leaw 3(%edx), %bp; leal 0x12345(, %edx, 4), %esi; leaw (%eax, %eax, 2), %di"
    ret

    .bss
    .balign 64
    .skip 1024
field: .skip 4096
