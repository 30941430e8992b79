// SPDX-License-Identifier: GPL-2.0-or-later
// Faults and traps with precise state: page faults by every kind of access in the middle of blocks, #UD, #GP by
// privilege, #BR, #OF, #BP, single-step through every kind of control transfer, #AC, x87 and SSE exceptions.
//
// Expected: the registers, flags and memory of the instruction that faults, and none of those after it.
// Not in: flat kernel
// Run: tests/guest/run-insn fault
#include "tests/guest/lib/insn.h"

    .text
    .globl test_main

// A block of register changes around a fault at 55: what is before it counts, what is behind does not.
.macro block name, body
    call preset
    movl %esp, scratch + 32
    expect 56f
    addl $0x111, %eax
    leal 3(%ecx, %ecx), %ecx
    stc
    adcl $5, %esi
    movl %esi, scratch
55: \body
    incl %eax
    movl $0, scratch
    ud2
56: pushfl
    subl %esp, scratch + 32
    subl $4, scratch + 32
    popfl
    showfault 55b, "\name"
    mixmem scratch, 16
    mixmem scratch+32, 4
    addl scratch + 32, %esp
    report "\name memory"
.endm

// body runs with TF set; the trap must come behind its first instruction.
.macro step name, body
    call preset
    movl $stack_there, %esi
    movl $stack_there + 16, %edi
    movl $3, %ecx
    movl %ss, %edx
    movl %esp, scratch + 32
    expect 56f
    cmpl $5, %ecx
    pushfl
    orl $0x100, (%esp)
    popfl
55: \body
    ud2
56: movl scratch + 32, %esp
    pushfl
    andl $~0x100, (%esp)
    popfl
    xorl %edx, %edx // SS differs between environments
    showfault 55b, "step \name"
.endm

// body runs with AC set at CPL 3.
.macro align name, body
    call preset
    movl %esp, scratch + 32
    expect 56f
    pushfl
    orl $0x40000, (%esp)
    popfl
55: \body
    ud2
56: movl scratch + 32, %esp
    pushfl
    andl $~0x40000, (%esp)
    popfl
    showfault 55b, "align \name"
.endm

test_main:
    // #PF by loads, in the order of the manual. esi, edi and ebp all point into the hole or to its edge.
    block "load movb HOLE, %dl", "movb HOLE, %dl"
    block "load movw HOLE, %cx", "movw HOLE, %cx"
    block "load movl HOLE, %ecx", "movl HOLE, %ecx"
    block "load movzbl HOLE+5, %eax", "movzbl HOLE+5, %eax"
    block "load movswl HOLE, %eax", "movswl HOLE, %eax"
    block "load addl HOLE, %eax", "addl HOLE, %eax"
    block "load cmpl HOLE, %eax", "cmpl HOLE, %eax"
    block "load testl %eax, HOLE", "testl %eax, HOLE"
    block "load imull HOLE, %eax", "imull HOLE, %eax"
    block "load imull $3, HOLE, %edx", "imull $3, HOLE, %edx"
    block "load cmovel HOLE, %eax", "cmovel HOLE, %eax"
    block "load cmovnel HOLE, %eax", "cmovnel HOLE, %eax"
    block "load bsfl HOLE, %ecx", "bsfl HOLE, %ecx"
    block "load btl $3, HOLE", "btl $3, HOLE"
    block "load btl %ecx, EDGE+4092", "btl %ecx, EDGE+4092"
    block "load mull HOLE", "mull HOLE"
    block "load divl HOLE", "divl HOLE"
    block "load pushl HOLE", "pushl HOLE"
    block "load jmp *HOLE", "jmp *HOLE"
    block "load call *HOLE", "call *HOLE"
    block "load movl HOLE(, %edi, 4), %eax", "movl HOLE(, %edi, 4), %eax"
    block "load movl (%ebp), %ebx", "movl (%ebp), %ebx"
    block "load movb 4(%ebp), %ah", "movb 4(%ebp), %ah"
    block "load movl -2(%ebp), %eax", "movl -2(%ebp), %eax"
    block "load movzwl -1(%ebp), %eax", "movzwl -1(%ebp), %eax"
    block "load leave", "leave"
    block "load lodsb", "lodsb"
    block "load xlat", "xlat"
    block "load flds HOLE", "flds HOLE"
    block "load fildl HOLE", "fildl HOLE"
    block "load fldcw HOLE", "fldcw HOLE"
    block "load frstor HOLE", "frstor HOLE"
    block "load fldt -4(%ebp)", "fldt -4(%ebp)"
    block "load movq HOLE, %mm0", "movq HOLE, %mm0"
    block "load movaps HOLE, %xmm0", "movaps HOLE, %xmm0"
    block "load movups -8(%ebp), %xmm0", "movups -8(%ebp), %xmm0"
    block "load movss HOLE, %xmm1", "movss HOLE, %xmm1"
    block "load addps HOLE, %xmm1", "addps HOLE, %xmm1"
    block "load ldmxcsr HOLE", "ldmxcsr HOLE"
    block "load verr HOLE", "verr HOLE"
    block "load lldt HOLE", "lldt HOLE"
    // #PF by stores and read-modify-writes: the error code has W.
    block "store movb %al, HOLE", "movb %al, HOLE"
    block "store movl %eax, HOLE", "movl %eax, HOLE"
    block "store movl $5, HOLE", "movl $5, HOLE"
    block "store movw $5, -1(%ebp)", "movw $5, -1(%ebp)"
    block "store addl %eax, HOLE", "addl %eax, HOLE"
    block "store incl HOLE", "incl HOLE"
    block "store notl HOLE", "notl HOLE"
    block "store negl HOLE", "negl HOLE"
    block "store shll $3, HOLE", "shll $3, HOLE"
    block "store shldl $3, %eax, HOLE", "shldl $3, %eax, HOLE"
    block "store xchgl %eax, HOLE", "xchgl %eax, HOLE"
    block "store xaddl %eax, HOLE", "xaddl %eax, HOLE"
    block "store lock; cmpxchgl %eax, HOLE", "lock; cmpxchgl %eax, HOLE"
    block "store cmpxchgl %eax, -2(%ebp)", "cmpxchgl %eax, -2(%ebp)"
    block "store cmpxchg8b HOLE", "cmpxchg8b HOLE"
    block "store btsl $3, HOLE", "btsl $3, HOLE"
    block "store sete HOLE", "sete HOLE"
    block "store setne -1(%ebp)", "setne -1(%ebp)"
    block "store popl HOLE", "popl HOLE"
    block "store fstps HOLE", "fstps HOLE"
    block "store fstpl -4(%ebp)", "fstpl -4(%ebp)"
    block "store fistpl HOLE", "fistpl HOLE"
    block "store fnstcw HOLE", "fnstcw HOLE"
    block "store fnstsw HOLE", "fnstsw HOLE"
    block "store fnsave HOLE", "fnsave HOLE"
    block "store movntps %xmm0, HOLE", "movntps %xmm0, HOLE"
    block "store movups %xmm0, -8(%ebp)", "movups %xmm0, -8(%ebp)"
    block "store stmxcsr HOLE", "stmxcsr HOLE"
    block "store movl %cs, HOLE", "movw %cs, HOLE"
    block "store sgdt HOLE", "sgdt HOLE"
    block "store smsw HOLE", "smsw HOLE"
    block "store stosl", "stosl"
    block "store movsb", "movsb"
    // #UD.
    block "ud ud2", "ud2"
    block "ud .byte 0x0f, 0xff", ".byte 0x0f, 0xff"
    block "ud .byte 0xf0; movl %eax, %ecx", ".byte 0xf0; movl %eax, %ecx"
    block "ud .byte 0xf0; addl %eax, %ecx", ".byte 0xf0; addl %eax, %ecx"
    block "ud .byte 0xf0; nop", ".byte 0xf0; nop"
    block "ud .byte 0x8d, 0xc0", ".byte 0x8d, 0xc0"
    block "ud .byte 0xfe, 0xf8", ".byte 0xfe, 0xf8"
    block "ud .byte 0xff, 0xf8", ".byte 0xff, 0xf8"
    block "ud .byte 0x8f, 0xc8", ".byte 0x8f, 0xc8"
    block "ud .byte 0xc6, 0xc8, 1", ".byte 0xc6, 0xc8, 1"
    block "ud .byte 0x62, 0xc0", ".byte 0x62, 0xc0"
    block "ud .byte 0xc4, 0xc0", ".byte 0xc4, 0xc0"
    block "ud .byte 0x0f, 0x01, 0xff", ".byte 0x0f, 0x01, 0xff"
    block "ud .byte 0x0f, 0xb2, 0xc0", ".byte 0x0f, 0xb2, 0xc0"
    block "ud .byte 0x8e, 0xc8", ".byte 0x8e, 0xc8"
    block "ud .byte 0x8e, 0xf0", ".byte 0x8e, 0xf0"
    block "ud .byte 0x0f, 0xc7, 0xc8", ".byte 0x0f, 0xc7, 0xc8"
    block "ud .byte 0x0f, 0x0a", ".byte 0x0f, 0x0a"
    block "ud .byte 0x0f, 0x04", ".byte 0x0f, 0x04"
    block "ud .byte 0xf0, 0x0f, 0xba, 0x25; .long scratch; .byte 1", ".byte 0xf0, 0x0f, 0xba, 0x25; .long scratch; .byte 1"
    block "ud .byte 0x0f, 0xba, 0xc0, 1", ".byte 0x0f, 0xba, 0xc0, 1"
    block "ud .byte 0xdb, 0xff", ".byte 0xdb, 0xff"
    // #GP at CPL 3, and by alignment.
    block "gp cli", "cli"
    block "gp sti", "sti"
    block "gp hlt", "hlt"
    block "gp movl %cr0, %eax", "movl %cr0, %eax"
    block "gp movl %eax, %cr3", "movl %eax, %cr3"
    block "gp movl %dr7, %eax", "movl %dr7, %eax"
    block "gp lgdt scratch", "lgdt scratch"
    block "gp lidt scratch", "lidt scratch"
    block "gp lmsw %ax", "lmsw %ax"
    block "gp clts", "clts"
    block "gp invlpg scratch", "invlpg scratch"
    block "gp wbinvd", "wbinvd"
    block "gp rdmsr", "rdmsr"
    block "gp wrmsr", "wrmsr"
    block "gp inb $0x80, %al", "inb $0x80, %al"
    block "gp outb %al, $0x80", "outb %al, $0x80"
    block "gp insb", "insb"
    block "gp outsl", "outsl"
    block "gp int $0x21", "int $0x21"
    block "gp int $14", "int $14"
    block "gp lldt %ax", "lldt %ax"
    block "gp ltr %ax", "ltr %ax"
    block "gp movl $0x1000, %edx; inl %dx, %eax", "nop; movl $0x1000, %edx; 55: inl %dx, %eax"
    block "gp movl $8, %edx; movl %edx, %ds", "nop; movl $8, %edx; 55: movl %edx, %ds"
    block "gp movl $0x7f7, %edx; movl %edx, %es", "nop; movl $0x7f7, %edx; 55: movl %edx, %es"
    block "gp xorl %edx, %edx; movl %edx, %ss", "nop; xorl %edx, %edx; 55: movl %edx, %ss"
    block "gp movaps scratch+4, %xmm0", "movaps scratch+4, %xmm0"
    block "gp addps scratch+4, %xmm0", "addps scratch+4, %xmm0"
    block "gp ljmp $0x7f7, $0", "ljmp $0x7f7, $0"
    block "gp ljmp $0, $0", "ljmp $0, $0"
    block "gp lcall $0, $0", "lcall $0, $0"
    // Traps behind the instruction.
    block "int3", "int3"
    block "int 3", ".byte 0xcd, 3"
    block "into", "movb $0x7f, %dl; addb $1, %dl; 55: into"
    block "bound", "movl $5, scratch; movl $9, scratch + 4; movl $10, %edx; 55: bound %edx, scratch"
    block "bound below", "movl $5, scratch; movl $9, scratch + 4; movl $-1, %edx; 55: bound %edx, scratch"
    block "bound w", "movl $0x00090005, scratch; movl $10, %edx; 55: bound %dx, scratch"
    // Code that is not there: a jump, a call (the return address is pushed), a return, and running off a page.
    block "jump away", "movl $HOLE + 5, %edx; jmp *%edx"
    block "call away", "movl $HOLE + 5, %edx; call *%edx"
    block "ret away", "pushl $HOLE + 6; ret"
    movb $0x40, EDGE + 4094 // inc eax; then half of a mov
    movb $0xb8, EDGE + 4095
    block "off the page", "movl $EDGE + 4094, %edx; jmp *%edx"
    // A branch not taken before, taken after, the fault.
    block "behind a branch", "cmpl %eax, %eax; jne 57f; 55: movl HOLE, %edx; 57: nop"
    block "behind a taken branch", "cmpl %eax, %eax; je 57f; nop; 57: 55: movl HOLE, %edx"
    block "inc dec chain", "incl %eax; incl %eax; decl %ecx; pushl %eax; popl %edx; subl %edx, %ecx; 55: movb HOLE, %dl"
    block "flags of cmp, then fault", "cmpb $0x80, %al; 55: movl HOLE, %edx"
    block "flags of shift, then fault", "shll $1, %esi; 55: movl HOLE, %edx"

    // Single-step: TF set by POPF lets one more instruction run, and the trap comes behind it.
    step "nop", "nop"
    step "add", "addl $1, %eax"
    step "jump", "jmp 58f; nop; 58: nop"
    step "branch taken", "jnz 58f; nop; 58: nop"
    step "branch not taken", "jz 58f; nop; 58: nop"
    step "call", "call 58f; nop; 58: nop"
    step "indirect jump", "jmp *target; nop"
    step "push", "pushl %eax"
    step "load that faults", "movl HOLE, %eax"
    step "rep lods", "rep; lodsb"
    step "rep movs", "rep; movsb"
    step "lea", "leal 5(%eax), %eax"
    step "ud2", "ud2"
    step "mov ss", "movw %dx, %ss; incl %eax; incl %eax"
    step "fld1", "fld1"
    step "int3", "int3"
    // Alignment checks: AC is on at CPL 3 only while the test wants it.
    align "dword", "movl scratch + 1, %eax"
    align "aligned", "movl scratch + 4, %eax; ud2"
    align "word store", "movw %ax, scratch + 3"
    align "byte", "movb scratch + 3, %al; ud2"
    align "push", "leal -2(%esp), %esp; 55: pushl %eax"
    align "double", "fldl scratch + 4"
    align "page before alignment", "movl HOLE + 1, %eax"
    // x87 and SSE exceptions.
    fninit
    movl $0x37b, scratch // unmask zero-divide
    fldcw scratch
    call preset
    fld1
    fldz
    expect 2f
    fdivrp
1:  fwait
2:  showfault 1b, "x87 zero-divide"
    fnstsw %ax
    andl $0xbfff, %eax
    regs "status"
    fnclex
    fninit
    movl $0x1d80, scratch
    ldmxcsr scratch
    call preset
    movl $0x3f800000, scratch
    movl $0, scratch + 4
    movss scratch, %xmm0
    expect 2f
1:  divss scratch + 4, %xmm0
2:  showfault 1b, "SSE zero-divide"
    stmxcsr scratch
    movl scratch, %eax
    regs "mxcsr"
    movl $0x1f80, scratch
    ldmxcsr scratch
    ret

// Known registers; esi, edi and ebp at the hole; a stack with something on it.
preset:
    movl $0x01234567, %eax
    movl $0x11112222, %ecx
    movl $0x33334444, %edx
    movl $HOLE - 0x67, %ebx
    movl $HOLE - 6, %esi
    movl $HOLE, %edi
    movl $HOLE, %ebp
    movl $0, scratch
    movl $0, scratch + 4
    movl $0, scratch + 8
    movl $0, scratch + 12
    addl $0x10, %esp
    subl $0x10, %esp
    ret

    .data
    .balign 16
target: .long indirect
    .bss
    .balign 16
scratch: .skip 64
stack_there: .skip 64
    .text
indirect:
    nop
    ud2
