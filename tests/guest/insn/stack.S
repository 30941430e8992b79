// SPDX-License-Identifier: GPL-2.0-or-later
// The stack: PUSH POP PUSHA POPA PUSHF POPF ENTER LEAVE of all sizes, ESP as operand, base and result,
// and faults that leave it as it was.
//
// Expected: the host's registers, memory and ESP (as an offset into the test's stack).
// Not in: flat kernel (a fault without a stack cannot be delivered there)
// Run: tests/guest/run-insn stack
#include "tests/guest/lib/insn.h"

    .text
    .globl test_main

// Runs body on a small stack, known below and above, and folds it, ESP and the registers.
.macro on_stack name, body
    movl $area, %edi
    movl $64, %ecx
1:  movl %ecx, (%edi)
    addl $4, %edi
    loop 1b
    .set value, 0x11111111
    .irp reg, eax, ecx, edx, ebx, ebp, esi, edi
    movl $value, %\reg
    .set value, value + 0x11111111
    .endr
    movl %esp, saved
    movl $area + 128, %esp
    cmpl $0x11111112, %eax
    \body
    movl %esp, result
    movl saved, %esp
    mix
    mixmem result, 4
    mixmem area, 252
    report "\name"
.endm

// The same for a body that faults at label 55.
.macro torn name, body
    movl $0x1234, %eax
    movl $0x5678, %ecx
    movl $EDGE + 8, %ebp
    movl %esp, saved
    expect 56f
    \body
56: movl %esp, result
    movl saved, %esp
    showfault 55b, "\name"
    mixmem result, 4
    report "\name esp"
.endm

test_main:
    .irp reg, eax, ecx, edx, ebx, esp, ebp, esi, edi
    on_stack "push \reg", "pushl %\reg"
    on_stack "pop \reg", "popl %\reg"
    .endr
    .irp reg, eax, ecx, edx, ebx, ebp, esi, edi
    on_stack "push pop \reg", "pushl %\reg; pushl %ecx; popl %\reg; popl %edx; movl $area + 128, %esp"
    .endr
    .irp reg, ax, cx, sp, bp, di
    on_stack "push \reg", "pushw %\reg"
    on_stack "pop \reg", "popw %\reg; movl $area + 96, %esp"
    .endr
    on_stack "push imm", "pushl $0x12345678; pushl $-3; pushw $0x1234; pushw $-2; pushl $127"
    on_stack "push mem", "pushl area; pushl 4(%esp); pushl (%esp); pushw 2(%esp); movl $8, %eax; pushl (%esp, %eax, 4)"
    on_stack "pop mem", "popl area; popl (%esp); popl 8(%esp); popl -8(%esp); popw 3(%esp)"
    on_stack "push esp twice", "pushl %esp; pushl %esp; popl %eax; popl %ebx"
    on_stack "pop esp", "pushl $area + 64; popl %esp; pushl %eax"
    on_stack "mov esp", "movl %esp, %eax; subl $16, %esp; movl %esp, %ebx; movl %eax, (%esp); addl $8, %esp"
    on_stack "esp arithmetic", "incl %esp; decl %esp; andl $-16, %esp; orl $4, %esp; xorl $8, %esp; addb $4, %al"
    on_stack "lea esp", "leal -12(%esp), %esp; leal 4(%esp), %eax; leal (%esp, %esi, 2), %ebx; leal -4(%esp, %eax, 1), %edx"
    on_stack "xchg esp", "movl $area + 80, %ebp; xchgl %esp, %ebp; pushl %ebp; xchgl %esp, (%esp); xchgl %eax, %esp; movl $area + 32, %esp"
    on_stack "esp as index base", "movl $2, %eax; movl (%esp, %eax, 4), %ebx; movw 1(%esp), %cx; addl %ecx, 12(%esp)"
    on_stack "sp", "movw %sp, %ax; addw $4, %sp; movw %ax, %sp; subw $32, %sp"
    on_stack "byte ops on esp's neighbours", "movb %ah, (%esp); movb %ch, 5(%esp); addb 2(%esp), %dh; movzbl 1(%esp), %ebx"
    on_stack "cmp esp", "cmpl $area + 128, %esp; sete %al; testl %esp, %esp; setns %ah; cmpl %esp, %eax; setb %bl"
    on_stack "pusha", "pushal"
    on_stack "popa", "popal"
    on_stack "pushaw", "pushaw"
    on_stack "popaw", "popaw"
    on_stack "pusha popa", "pushal; incl (%esp); decl 28(%esp); popal"
    on_stack "pushf popf", "stc; pushfl; popl %eax; andl $0xcd5, %eax; pushl $0x8d5; popfl; pushfw; popw %bx; andl $0xcd5, %ebx; pushl $0; movl $area, %esp; movl $0, (%esp)"
    on_stack "popf all arith", "movl $2, %eax; pushl %eax; popfl; setc %al; pushl $0xcd7; popfl; setc %ah; setz %bl; seto %bh; cld; movl $area, %esp; movl $0, (%esp)"
    on_stack "popfw", "pushw $0x8d5; popfw; setc %al; seto %ah"
    on_stack "enter 0", "enter $16, $0"
    on_stack "enter 1", "enter $16, $1"
    on_stack "enter 3", "movl $area + 160, %ebp; enter $8, $3"
    on_stack "enter 31", "movl $area + 240, %ebp; enter $0, $7"
    on_stack "enterw", "enterw $8, $0"
    on_stack "leave", "movl $area + 64, %ebp; leave"
    on_stack "enter leave", "enter $24, $0; pushl %eax; leave; pushl %ebp"
    on_stack "push fs gs", "pushl %fs; pushl %gs; popl %eax; popl %ebx"
    on_stack "push es pop es", "pushl %es; popl %es; pushl %ds; popl %ds; pushl %eax; popl %eax; movw %ds, (%esp); movw %ss, (%esp); movl %eax, (%esp)"
    on_stack "misaligned", "movl $area + 125, %esp; pushl %eax; pushw %cx; popl %edx; pushl %ebx; call 77f; 77: popl (%esp)"
    on_stack "deltas merge", "pushl %eax; pushl %ecx; movl 4(%esp), %edx; pushl %edx; addl $4, %esp; popl %ebx; movl %esp, %esi; jmp 77f; 77: movl (%esp), %edi; popl %ecx"

    torn "push over the edge", "movl $EDGE + 4096 + 4, %esp; 55: pushl %eax"
    torn "push mem", "movl $EDGE + 64, %esp; pushl %eax; 55: pushl HOLE"
    torn "pop from the hole", "movl $HOLE, %esp; 55: popl %eax"
    torn "pop after pop", "movl $HOLE - 4, %esp; popl %eax; 55: popl %ecx"
    torn "pop into the hole", "movl $EDGE + 64, %esp; 55: popl HOLE + 8"
    torn "pop across", "movl $HOLE - 2, %esp; 55: popl %eax"
    torn "pusha", "movl $HOLE + 16, %esp; 55: pushal"
    // A POPA that faults after its first pop leaves those registers changed on some CPUs.
    torn "popa", "movl $HOLE, %esp; 55: popal"
    torn "call mem", "movl $EDGE + 64, %esp; 55: call *HOLE"
    torn "call, no stack", "movl $HOLE + 4, %esp; 55: call 57f; 57: nop"
    torn "ret, no stack", "movl $HOLE, %esp; 55: ret"
    torn "ret after pops", "movl $HOLE - 8, %esp; popl %eax; popl %ecx; 55: ret $8"
    torn "leave", "movl $EDGE + 64, %esp; movl $HOLE, %ebp; 55: leave"
    torn "enter", "movl $HOLE + 4, %esp; 55: enter $8, $0"
    torn "pushf", "movl $HOLE + 4, %esp; 55: pushfl"
    torn "popf", "movl $HOLE, %esp; 55: popfl"
    torn "push after others", "movl $EDGE + 4096 + 4, %esp; subl $12, %esp; pushl %eax; addl $16, %esp; 55: pushl %ecx"
    torn "mov under a delta", "movl $HOLE - 16, %esp; popl %edx; popl %edx; 55: movl 8(%esp), %eax"
    torn "store under a delta", "movl $HOLE - 4, %esp; pushl %eax; popl %edx; 55: movl %edx, 4(%esp)"
    ret

    .bss
    .balign 4096
    .skip 64
area: .skip 256
    .skip 64
saved: .skip 4
result: .skip 4
