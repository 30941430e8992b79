// SPDX-License-Identifier: GPL-2.0-or-later
// Self-modifying code in every shape that needs no page tables: the next instruction, the same block, a loop
// that rewrites itself, another page, code and data in one page, REP MOVS over code, a JIT, a write that
// straddles two pages, call targets and jump tables rewritten, one instruction growing out of two.
//
// Expected: each write is seen by the very next instruction executed, as on every Intel CPU since the P6.
// Run: tests/guest/run-insn smc
#include "tests/guest/lib/insn.h"

    .text
    .globl test_main

    .set NOP, 0x90
    .set INC_EAX, 0x40
    .set INC_EDX, 0x42
    .set RET, 0xc3

test_main:
    flags 0
    // The next instruction: mov imm8's own successor.
    movb $INC_EDX, 1f
1:  incl %eax
    mix
    report "next instruction"
    // Three instructions on, in the same block, by different widths.
    movw $INC_EDX * 0x101, 1f
    nop
    nop
1:  incl %eax
    incl %eax
    mix
    movl $INC_EDX * 0x01010101, 1f + 1
    nop
1:  incl %eax
    incl %eax
    incl %eax
    incl %eax
    incl %eax
    mix
    report "same block"
    // An instruction that rewrites its own immediate: it executes as it was.
    .rept 3
    call own_immediate
    mix
    .endr
    report "own immediate"
    // A loop whose body is patched at every turn.
    movl $500, %ecx
1:  movl %ecx, 2f + 1
2:  addl $0x12345678, %eax
    xorb $INC_EAX ^ INC_EDX, 3f
3:  incl %eax
    decl %ecx
    jnz 1b
    mix
    report "patched loop"
    // A routine in another page, patched between calls; both orders.
    movl $200, %ecx
1:  movb %cl, routine + 1
    call routine
    call routine
    addb $3, routine + 1
    call routine
    movl %ecx, routine_imm + 2
    call routine
    loop 1b
    mix
    report "other page"
    // Data beside code that runs: no stale data, no lost code.
    movl $2000, %ecx
1:  call beside
    incl counter
    addl counter, %eax
    xorl %ecx, counter + 4
    loop 1b
    mix
    mixmem counter, 8
    report "data beside code"
    // Copies of a routine, made by REP MOVSB, run, overwritten by another.
    movl $100, %ebp
1:  movl $first, %esi
    testl $1, %ebp
    jz 2f
    movl $second, %esi
2:  movl $arena, %edi
    movl $16, %ecx
    rep
    movsb
    call arena
    movl $first, %esi
    movl $arena + 4093, %edi
    movl $16, %ecx
    rep
    movsb
    call arena + 4093
    decl %ebp
    jnz 1b
    mix
    report "rep movs over code"
    // REP STOS that overwrites what follows it.
    movb $INC_EDX, %al
    movl $3, %ecx
    movl $1f, %edi
    rep
    stosb
1:  incl %eax
    incl %eax
    incl %eax
    mix
    report "rep stos ahead"
    // A JIT: a function per turn, at a moving place, of all inc eax; then ret.
    movl $300, %ebp
    xorl %eax, %eax
1:  leal arena(, %ebp, 8), %ebx
    movl %ebp, %ecx
    andl $7, %ecx
    movl %ebx, %edi
    pushl %eax
    movb $INC_EAX, %al
    rep
    stosb
    movb $RET, (%edi)
    popl %eax
    call *%ebx
    decl %ebp
    jnz 1b
    mix
    report "jit"
    // A write across a page boundary that patches the ends of two blocks.
    movl $50, %ecx
1:  movl $0x90909090, straddle - 2
    testl $1, %ecx
    jz 2f
    movl $INC_EDX * 0x01010101, straddle - 2
2:  call straddle - 4
    loop 1b
    mix
    report "straddling write"
    // The displacement of a call and of a jump.
    movl $100, %ecx
1:  movl $first - 3f, %eax
    testl $1, %ecx
    jz 2f
    movl $second - 3f, %eax
2:  movl %eax, 3f - 4
    call first
3:  mix
    xorb $9f - 8f, 4f + 1
4:  jmp 8f
8:  nop
9:  loop 1b
    mix
    report "displacements"
    // A conditional jump becomes unconditional and back; a block's own end is patched from within.
    movl $64, %ecx
1:  movb $0x74, 3f // je
    testl $4, %ecx
    jz 2f
    movb $0xeb, 3f // jmp
2:  cmpl $1, %ecx
3:  je 4f
    addl $5, %eax
4:  incl %eax
    decl %ecx
    jnz 1b
    mix
    report "condition"
    // Push writes code: the stack grows down into it.
    movl %esp, %ebx
    movl $pushed + 8, %esp
    movl $INC_EDX * 0x01010101, %esi
    pushl %esi
    pushl %esi
    jmp pushed
    .balign 16
pushed:
    .fill 8, 1, NOP
    movl %ebx, %esp
    mix
    report "pushed code"
    // Code changes under a return address: the caller's next instruction.
    movl $20, %ecx
1:  call patch_return
return_point:
    incl %eax
    loop 1b
    mix
    report "patched at the return"
    // An instruction overlapped by another: jump into an immediate.
    movl $10, %ecx
1:  movl $0xc3424040, %eax // 40 inc eax; 40; 42 inc edx; c3 ret
    call 1b + 1
    loop 1b
    mix
    report "jump into an immediate"
    // Read-modify-write on code, by add, xchg and cmpxchg.
    movl $30, %ecx
1:  addl $0x100, 2f
2:  movb $1, %dl
    addl %edx, %eax
    movb %cl, %dh
    xchgb %dh, 2b + 1
    lock
    incb 2b + 1
    loop 1b
    mix
    report "read-modify-write"
    // Immediates that change, one, another, all; now and then the opcode before one.
    movl $400, %ebp
1:  imull $0x9e3779b1, %ebp, %esi
    movl %esi, vary_add + 1
    testl $3, %ebp
    jz 2f
    movl %esi, vary_adc + 2
    movl %esi, vary_test + 1
    notl %esi
    movl %esi, vary_mov + 1
    movl %esi, vary_test2 + 2
    movl %esi, vary_imul + 2
    roll $7, %esi
    movl %esi, vary_cmp + 2
    movl %esi, vary_mov2 + 2
    testl $31, %ebp
    jnz 2f
    xorb $0x30, vary_add // add, xor
    xorb $0x08, vary_imul + 1 // the other source
2:  call varying
    call varying
    mix
    decl %ebp
    jnz 1b
    report "immediates"
    // Writes to constant addresses in the code's own page: far from the loop, right behind it, into it.
    movl $200, %ebp
1:  incb near_patched + 2
    movl $9, %ecx
    call near_loop
    mix
    decl %ebp
    jnz 1b
    mixmem near_data, 4
    mixmem far_data, 4
    report "writes beside a loop"
    ret

own_immediate:
    addl $0x01010101, own_immediate + 6 // its own immediate, at its byte 6
    movl own_immediate + 6, %eax
    ret

patch_return:
    xorb $INC_EAX ^ INC_EDX, return_point
    ret

    .balign 4096
routine:
    movb $1, %al
    addl %eax, %edx
routine_imm:
    addl $0x12345678, %esi
    ret

    .balign 4096
counter: .long 0, 0
beside:
    addl $3, %edx
    leal (%edx, %edx, 2), %edx
    ret

first:
    addl $3, %eax
    roll $3, %eax
    ret
    .balign 16
second:
    xorl %eax, %edx
    subl $9, %edx
    ret
    .balign 16

    .balign 4096
varying:
vary_add: addl $0x11111111, %eax
vary_adc: .byte 0x81, 0xd2 // adcl to edx
    .long 0x11111111
vary_mov: movl $0x11111111, %ebx
vary_test: testl $0x11111111, %eax
    setz %cl
vary_test2: testl $0x11111111, %ebx
    sets %ch
vary_imul: .byte 0x69, 0xfb // imull ebx to edi
    .long 0x11111111
    adcl %ecx, %edx
vary_cmp: .byte 0x81, 0xff // cmpl edi
    .long 0x11111111
    adcl %edi, %edx
vary_mov2: .byte 0xc7, 0xc1 // movl to ecx
    .long 0x11111111
    addl %ecx, %eax
    ret

    .balign 4096
near_loop:
near_patched: addl $1, %eax // its immediate is a byte
1:  addl %ecx, far_data
    addl far_data, %eax
    xorl %eax, near_data
    incb 2f + 2
2:  addl $1, %edx
    decl %ecx
    jnz 1b
    ret
near_data: .long 0
    .skip 256
far_data: .long 0

    .balign 4096
    .skip 4092
    .fill 4, 1, NOP
straddle:
    .fill 4, 1, NOP
    addl $2, %eax
    ret

    .bss
    .balign 4096
arena: .skip 8192
