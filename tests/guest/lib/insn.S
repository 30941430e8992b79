// SPDX-License-Identifier: GPL-2.0-or-later
// The upper half of the harness for instruction tests: hashing, printing, the record of faults. It
// uses plain moves and adds only, so that it is the last thing to break. The lower half (native.S or
// guest.S) brings h_start's caller, h_write, h_exit and the delivery of faults.
    .globl h_start, h_stack_top, h_mix, h_mixmem, h_report, h_regs, h_say, h_showfault, h_unexpected
    .globl h_verbose, h_resume, h_mask, h_fault_seen, h_fault_vector, h_fault_error, h_fault_cr2, h_fault_eip

// pushfl; pushal leaves this frame; the caller's return address is the inline argument pointer.
.set F_EDI, 0
.set F_ESI, 4
.set F_EBP, 8
.set F_ESP, 12
.set F_EBX, 16
.set F_EDX, 20
.set F_ECX, 24
.set F_EAX, 28
.set F_FLAGS, 32
.set F_RET, 36

.macro enter_helper
    pushfl
    pushal
    cld
    movl %esp, %ebp
.endm

.macro leave_helper
    popal
    popfl
    ret
.endm

    .text
// Entered with a jump, on any stack, from the lower half.
h_start:
    movl $h_stack_top, %esp
    fninit
    xorl %eax, %eax
    movl %eax, %ecx
    movl %eax, %edx
    movl %eax, %ebx
    movl %eax, %esi
    movl %eax, %edi
    movl %eax, %ebp
    cld
    call test_main
    cmpl $h_stack_top, %esp
    jne 1f
    call h_say
    .asciz "end\n"
    call h_flush
    movl $0, %eax
    jmp h_exit
1:  movl $h_stack_top, %esp
    call h_say
    .asciz "FAILED: esp is wrong at the end\n"
    call h_flush
    movl $1, %eax
    jmp h_exit

// eax: a word to fold. Changes eax, edx.
fold:
    movl h_hash, %edx
    roll $5, %edx
    xorl %eax, %edx
    imull $0x9e3779b1, %edx, %edx
    movl %edx, h_hash
    ret

h_mix:
    enter_helper
    cmpl $0, h_verbose
    je 1f
    movl $name_mix, %esi
    call puts
    movl F_RET(%ebp), %ebx
    call hex
    call frame
1:
    .irp field, F_EAX, F_ECX, F_EDX, F_EBX, F_ESI, F_EDI, F_EBP
    movl \field(%ebp), %eax
    call fold
    .endr
    movl F_FLAGS(%ebp), %eax
    andl h_mask, %eax
    call fold
    leave_helper

h_mixmem:
    enter_helper
    movl F_RET(%ebp), %edi
    movl (%edi), %esi
    movzbl 4(%edi), %ecx
    addl $5, F_RET(%ebp)
1:  movzbl (%esi), %eax
    call fold
    incl %esi
    decl %ecx
    jnz 1b
    leave_helper

// al: a character. Appends it to the output; writes the output when it is full. Keeps all but eax.
putc:
    pushl %edx
    movl h_used, %edx
    movb %al, h_buffer(%edx)
    incl %edx
    movl %edx, h_used
    cmpl $h_buffer_end - h_buffer, %edx
    jb 1f
    call h_flush
1:  popl %edx
    ret

h_flush:
    pushal
    movl $h_buffer, %ecx
    movl h_used, %edx
    call h_write
    movl $0, h_used
    popal
    ret

// esi: text with a zero at its end; left behind the zero.
puts:
    movb (%esi), %al
    incl %esi
    testb %al, %al
    jz 1f
    call putc
    jmp puts
1:  ret

// ebx: a word to print as eight hexadecimal digits. Changes eax, ebx, ecx.
hex:
    movl $8, %ecx
1:  roll $4, %ebx
    movl %ebx, %eax
    andl $15, %eax
    movb digits(%eax), %al
    call putc
    decl %ecx
    jnz 1b
    ret

h_say:
    enter_helper
    movl F_RET(%ebp), %esi
    call puts
    movl %esi, F_RET(%ebp)
    leave_helper

h_report:
    enter_helper
    movl F_RET(%ebp), %esi
    call puts
    movl %esi, F_RET(%ebp)
    movb $' ', %al
    call putc
    movl h_hash, %ebx
    call hex
    movb $'\n', %al
    call putc
    movl $0, h_hash
    leave_helper

// ebp: a helper's frame. Prints its registers.
frame:
    .irp reg, EAX, ECX, EDX, EBX, ESI, EDI, EBP
    movl $name_\reg, %esi
    call puts
    movl F_\reg(%ebp), %ebx
    call hex
    .endr
    movl $name_flags, %esi
    call puts
    movl F_FLAGS(%ebp), %ebx
    andl h_mask, %ebx
    call hex
    movb $'\n', %al
    call putc
    ret

h_regs:
    enter_helper
    movl F_RET(%ebp), %esi
    call puts
    movl %esi, F_RET(%ebp)
    call frame
    leave_helper

h_showfault:
    enter_helper
    movl F_RET(%ebp), %edi
    leal 4(%edi), %esi
    call puts
    movl %esi, F_RET(%ebp)
    cmpl $0, h_fault_seen
    je 2f
    movl $0, h_fault_seen
    movl $name_vector, %esi
    call puts
    movl h_fault_vector, %ebx
    call hex
    movl $name_error, %esi
    call puts
    // The U and I bits of a page fault's error code tell of the environment, not of the instruction. Linux leaves
    // a stale error code in the signal frame of vectors that have none.
    movl h_fault_vector, %eax
    movl h_fault_error, %ebx
    cmpl $14, %eax
    jne 4f
    andl $~0x14, %ebx
4:  cmpl $8, %eax
    je 1f
    cmpl $10, %eax
    jb 3f
    cmpl $14, %eax
    jbe 1f
3:  movl $0, %ebx
1:  call hex
    cmpl $14, h_fault_vector
    jne 1f
    movl $name_cr2, %esi
    call puts
    movl h_fault_cr2, %ebx
    call hex
1:  movl $name_eip, %esi
    call puts
    movl h_fault_eip, %ebx
    subl (%edi), %ebx
    call hex
    jmp 3f
2:  movl $name_none, %esi
    call puts
3:  call frame
    leave_helper

// Jumped to by the lower half, on a good stack, when a fault comes that was not expected.
h_unexpected:
    call h_say
    .asciz "FAILED: unexpected fault:"
    .irp name, vector, error, cr2, eip
    movl $name_\name, %esi
    call puts
    movl h_fault_\name, %ebx
    call hex
    .endr
    movb $'\n', %al
    call putc
    call h_flush
    movl $1, %eax
    jmp h_exit

    .data
digits: .ascii "0123456789abcdef"
name_EAX: .asciz " eax="
name_ECX: .asciz " ecx="
name_EDX: .asciz " edx="
name_EBX: .asciz " ebx="
name_ESI: .asciz " esi="
name_EDI: .asciz " edi="
name_EBP: .asciz " ebp="
name_flags: .asciz " flags="
name_vector: .asciz " vector="
name_error: .asciz " error="
name_cr2: .asciz " cr2="
name_eip: .asciz " eip="
name_mix: .asciz "  mix before "
name_none: .asciz " no fault"
    .balign 4
h_mask: .long 0xcd5
    .bss
    .balign 4
h_hash: .skip 4
h_used: .skip 4
h_verbose: .skip 4 // not 0: every mix prints what it folds
h_resume: .skip 4
h_fault_seen: .skip 4
h_fault_vector: .skip 4
h_fault_error: .skip 4
h_fault_cr2: .skip 4
h_fault_eip: .skip 4
h_buffer: .skip 16384
h_buffer_end:
    .balign 4096
    .skip 1 << 20
h_stack_top:
