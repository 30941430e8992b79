// SPDX-License-Identifier: GPL-2.0-or-later
// The lower half of the harness on the host: a static 32-bit Linux program. Faults arrive as signals,
// whose frame holds the registers; the handler edits EIP in it.
    .globl _start, h_write, h_exit

#define SYS_exit 1
#define SYS_write 4
#define SYS_sigaction 67
#define SYS_mmap 90
#define SYS_sigreturn 119
#define SYS_sigaltstack 186

// struct sigcontext of i386, behind the return address and the signal number.
#define SC_ESP (8 + 28)
#define SC_TRAPNO (8 + 48)
#define SC_ERR (8 + 52)
#define SC_EIP (8 + 56)
#define SC_EFLAGS (8 + 64)
#define SC_CR2 (8 + 84)

    .section .boot.text, "ax"
_start:
    movl (%esp), %eax // argc: any argument makes it verbose
    decl %eax
    movl %eax, h_verbose
    movl $SYS_sigaltstack, %eax
    movl $altstack, %ebx
    xorl %ecx, %ecx
    int $0x80
    .irp signal, 4, 5, 7, 8, 11 // ILL TRAP BUS FPE SEGV
    movl $SYS_sigaction, %eax
    movl $\signal, %ebx
    movl $action, %ecx
    xorl %edx, %edx
    int $0x80
    testl %eax, %eax
    jnz fail
    .endr
    movl $SYS_mmap, %eax
    movl $edge, %ebx
    int $0x80
    cmpl edge, %eax
    jne fail
    jmp h_start
fail:
    movl $99, %eax

// eax: exit status.
h_exit:
    movl %eax, %ebx
    movl $SYS_exit, %eax
    int $0x80

// ecx, edx: text and length. Changes all registers.
h_write:
    movl $SYS_write, %eax
    movl $1, %ebx
    int $0x80
    ret

handler:
    movl SC_TRAPNO(%esp), %eax
    movl %eax, h_fault_vector
    movl SC_ERR(%esp), %eax
    movl %eax, h_fault_error
    movl SC_CR2(%esp), %eax
    movl %eax, h_fault_cr2
    movl SC_EIP(%esp), %eax
    movl %eax, h_fault_eip
    movl $1, h_fault_seen
    movl h_resume, %eax
    testl %eax, %eax
    jz h_unexpected
    movl %eax, SC_EIP(%esp)
    andl $~0x100, SC_EFLAGS(%esp) // one single-step trap is enough
    movl $0, h_resume
    popl %eax // the return address; sigreturn wants the frame as it was under it
    movl $SYS_sigreturn, %eax
    popl %ebx
    int $0x80

    .section .boot.data, "aw"
    .balign 4
#define SA_ONSTACK 0x08000000
#define SA_NODEFER 0x40000000
action: .long handler, 0, SA_ONSTACK | SA_NODEFER, 0
altstack: .long altstack_bottom, 0, 65536 // ss_sp, ss_flags, ss_size
// MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, read and write
edge: .long 0x7ff000, 4096, 3, 0x32, -1, 0
    .section .boot.bss, "aw", @nobits
    .balign 16
altstack_bottom: .skip 65536
