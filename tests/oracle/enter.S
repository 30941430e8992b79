// SPDX-License-Identifier: GPL-2.0-or-later
// The ways into 32-bit code and back: IRET out, a signal handler back in.
//
// Loading FS with a selector clears its base, which is the C library's thread pointer, so nothing here may use
// it until native_handler has set it again.
    .globl native_enter, native_handler, native_alarm, native_leave

// struct native_entry of native.c
#define E_GPR 0
#define E_EIP 32
#define E_EFLAGS 40
#define E_ESP 48
#define E_CS 56
#define E_SS 64
#define E_SEG 72
#define E_FX 80

#define SYS_arch_prctl 158
#define ARCH_SET_FS 0x1002
#define MAX_TICKS 3

    .text
// rdi: struct native_entry. Returns by way of native_leave.
native_enter:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, native_sp(%rip)
    movl $0, native_ticks(%rip)
    movq E_FX(%rdi), %rax
    fxrstor (%rax)
    pushq E_SS(%rdi)
    pushq E_ESP(%rdi)
    pushq E_EFLAGS(%rdi)
    pushq E_CS(%rdi)
    pushq E_EIP(%rdi)
    movw E_SEG(%rdi), %es
    movw E_SEG + 2(%rdi), %ds
    movw E_SEG + 4(%rdi), %fs
    movw E_SEG + 6(%rdi), %gs
    movl E_GPR(%rdi), %eax
    movl E_GPR + 4(%rdi), %ecx
    movl E_GPR + 8(%rdi), %edx
    movl E_GPR + 12(%rdi), %ebx
    movl E_GPR + 20(%rdi), %ebp
    movl E_GPR + 24(%rdi), %esi
    movl E_GPR + 28(%rdi), %edi
    iretq

// rdi, rsi, rdx: a signal's arguments, to be passed on once there is a thread pointer.
native_handler:
    movw %es, native_seg(%rip)
    movw %ds, native_seg + 2(%rip)
    movw %fs, native_seg + 4(%rip)
    movw %gs, native_seg + 6(%rip)
    pushfq
    andl $~0x44000, (%rsp) // the case's AC and NT, which the kernel leaves set
    popfq
    pushq %rdi
    pushq %rsi
    pushq %rdx
    movl $SYS_arch_prctl, %eax
    movl $ARCH_SET_FS, %edi
    movq native_fsbase(%rip), %rsi
    syscall
    popq %rdx
    popq %rsi
    popq %rdi
    jmp native_fault

// SIGALRM: the case goes on until it has seen a few of them.
native_alarm:
    incl native_ticks(%rip)
    cmpl $MAX_TICKS, native_ticks(%rip)
    je native_handler
    ret

native_leave:
    movq native_sp(%rip), %rsp
    cld
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

    .globl native_seg, native_fsbase
    .bss
    .balign 8
native_sp: .skip 8
native_fsbase: .skip 8
native_seg: .skip 8
native_ticks: .skip 4
    .section .note.GNU-stack, "", @progbits
