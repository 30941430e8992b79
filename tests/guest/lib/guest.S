// SPDX-License-Identifier: GPL-2.0-or-later
// The lower half of the harness in a virtual machine: a Multiboot kernel that gives the test an environment
// as Linux does. "env=" on the kernel command line chooses it:
//
//   user    CPL 3, paging, flat segments (the default)
//   kernel  CPL 0, paging
//   flat    CPL 0, no paging
//   pae     CPL 3, PAE paging
//   seg     CPL 3, all segments with base 0x40000000 and a limit of 1 GiB, mapped to the same memory
//
// "verbose" there prints everything that is hashed. Output goes to the first serial port; the end is a write
// to isa-debug-exit: 0x10 passed (the monitor's exit status is then 33), anything else failed.
    .globl _start, h_write, h_exit

#define COM1 0x3f8
#define DEBUG_EXIT 0xf4
#define BASE 0x40000000 // of the segments in environment seg
#define EDGE_HOLE 0x800000

// Selectors as 64-bit Linux has them for 32-bit programs.
#define KERNEL_CS 0x08
#define KERNEL_DS 0x10
#define USER_CS 0x23
#define USER_DS 0x2b
#define TSS 0x30

    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 3, -(0x1badb002 + 3)

    .section .boot.text, "ax"
_start:
    movl $boot_stack_top, %esp
    cld
    // The command line: the letter after "env=".
    movb $'u', environment
    testl $4, (%ebx)
    jz 2f
    movl 16(%ebx), %esi
1:  movl (%esi), %eax
    testb %al, %al
    jz 2f
    incl %esi
    cmpl $0x62726576, %eax // "verb"ose
    jne 3f
    movl $1, h_verbose
3:  cmpl $0x3d766e65, %eax // "env="
    jne 1b
    movb 3(%esi), %al
    movb %al, environment
    jmp 1b
2:  cmpb $'s', environment
    jne 1f
    // Base and limit of the four code and data descriptors.
    .irp selector, KERNEL_CS, KERNEL_DS, USER_CS & ~3, USER_DS & ~3
    movb $BASE >> 24, gdt + \selector + 7
    movb $0xc3, gdt + \selector + 6
    .endr
1:  call make_idt
    movl $tss, %eax
    movw %ax, gdt + TSS + 2
    shrl $16, %eax
    movb %al, gdt + TSS + 4
    lgdt gdtr
    lidt idtr
    cmpb $'f', environment
    je 1f
    call make_pages
1:  movl %cr0, %eax
    // MP, NE, WP, AM; not EM, TS, CD, NW
    andl $~0x6000000c, %eax
    orl $0x50022, %eax
    cmpb $'f', environment
    je 1f
    orl $0x80000000, %eax
1:  movl %eax, %cr0
    jmp 1f
1:  ljmp $KERNEL_CS, $2f
2:  movl $KERNEL_DS, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $boot_stack_top, %esp
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $TSS, %eax
    ltr %ax
    // OSFXSR and OSXMMEXCPT where the CPU has SSE
    movl $1, %eax
    cpuid
    testl $1 << 25, %edx
    jz 1f
    movl %cr4, %eax
    orl $0x600, %eax
    movl %eax, %cr4
1:  // All interrupts masked: tests run with IF = 1, as programs do.
    movb $0xff, %al
    outb %al, $0x21
    outb %al, $0xa1
    // 115200 baud, 8 bits, no parity.
    movl $COM1 + 3, %edx
    movb $0x80, %al
    outb %al, %dx
    movl $COM1, %edx
    movb $1, %al
    outb %al, %dx
    incl %edx
    movb $0, %al
    outb %al, %dx
    movl $COM1 + 3, %edx
    movb $3, %al
    outb %al, %dx
    cmpb $'k', environment
    je h_start
    cmpb $'f', environment
    je h_start
    movl $USER_DS, %eax
    movl %eax, %ds
    movl %eax, %es
    pushl %eax
    pushl $h_stack_top
    pushl $0x202
    pushl $USER_CS
    pushl $h_start
    iret

// Identity-maps the first 16 MiB, and the same at BASE, with user and write access, but for the hole.
make_pages:
    movl $page_tables, %edi
    movl $7, %eax
    cmpb $'p', environment
    je 3f
1:  movl %eax, (%edi)
    addl $4, %edi
    addl $0x1000, %eax
    cmpl $0x1000007, %eax
    jne 1b
    andl $~1, page_tables + (EDGE_HOLE >> 12) * 4
    movl $page_tables + 7, %eax
    movl $4, %ecx
    xorl %edi, %edi
2:  movl %eax, page_directory(, %edi, 4)
    movl %eax, page_directory + (BASE >> 22) * 4(, %edi, 4)
    addl $0x1000, %eax
    incl %edi
    loop 2b
    movl $page_directory, %eax
    movl %eax, %cr3
    ret
3:  movl %eax, (%edi)
    addl $8, %edi
    addl $0x1000, %eax
    cmpl $0x1000007, %eax
    jne 3b
    andl $~1, page_tables + (EDGE_HOLE >> 12) * 8
    movl $page_tables + 7, %eax
    movl $8, %ecx
    xorl %edi, %edi
4:  movl %eax, page_directory(, %edi, 8)
    addl $0x1000, %eax
    incl %edi
    loop 4b
    movl $page_directory + 1, pdpt
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $pdpt, %eax
    movl %eax, %cr3
    ret

// Interrupt gates for vectors 0 to 31 and 0x80.
make_idt:
    xorl %ecx, %ecx
    movl $stubs, %eax
1:  call gate
    addl $16, %eax
    incl %ecx
    cmpl $32, %ecx
    jne 1b
    movl $0x80, %ecx
    movl $system_call, %eax
gate:
    movw %ax, idt(, %ecx, 8)
    movw $KERNEL_CS, idt + 2(, %ecx, 8)
    // Present 32-bit interrupt gates. As under Linux programs may use vectors 3, 4 and 0x80.
    movw $0x8e00, idt + 4(, %ecx, 8)
    cmpl $3, %ecx
    je 1f
    cmpl $4, %ecx
    je 1f
    cmpl $0x80, %ecx
    jne 2f
1:  movw $0xee00, idt + 4(, %ecx, 8)
2:
    movl %eax, %edx
    shrl $16, %edx
    movw %dx, idt + 6(, %ecx, 8)
    ret

// Every stub leaves vector and error code on the stack; each has 16 bytes.
    .altmacro
.macro stub number
stub_\number:
    .if ((0x27d00 >> \number) & 1) == 0 // 8, 10 to 14, 17: the CPU pushes an error code
    pushl $0
    .endif
    pushl $\number
    jmp exception
    .balign 16
.endm
    .balign 16
stubs:
    .set i, 0
    .rept 32
    stub %i
    .set i, i + 1
    .endr

// On the stack: eax, vector, error, eip, cs, eflags and, from CPL 3, esp and ss. DS may be anything.
exception:
    pushl %eax
    movl 4(%esp), %eax
    movl %eax, %ss:h_fault_vector
    movl 8(%esp), %eax
    movl %eax, %ss:h_fault_error
    movl %cr2, %eax
    cmpb $'s', %ss:environment
    jne 1f
    subl $BASE, %eax // the test's own view of the address
1:  movl %eax, %ss:h_fault_cr2
    movl 12(%esp), %eax
    movl %eax, %ss:h_fault_eip
    movl $1, %ss:h_fault_seen
    movl %ss:h_resume, %eax
    testl %eax, %eax
    jz 2f
    movl %eax, 12(%esp)
    andl $~0x100, 20(%esp) // one single-step trap is enough
    movl $0, %ss:h_resume
    popl %eax
    addl $8, %esp
    iret
2:  movl $KERNEL_DS, %eax
    movl %eax, %ds
    movl %eax, %es
    movl $boot_stack_top, %esp
    cld
    jmp h_unexpected

// Linux's int 0x80, as much as the lower half needs: eax 1 exit, 4 write of edx bytes at ecx.
system_call:
    cmpl $1, %eax
    je 2f
    pushal
    movl %ecx, %esi
    movl %edx, %edi
    testl %edi, %edi
    jz 3f
1:  movl $COM1 + 5, %edx
4:  inb %dx, %al
    testb $0x20, %al
    jz 4b
    movl $COM1, %edx
    movb (%esi), %al
    outb %al, %dx
    incl %esi
    decl %edi
    jnz 1b
3:  popal
    iret
2:  movl $COM1 + 5, %edx
5:  inb %dx, %al
    testb $0x40, %al
    jz 5b
    leal 0x10(%ebx), %eax
    movl $DEBUG_EXIT, %edx
    outl %eax, %dx
    cli
    hlt

// eax: 0 passed.
h_exit:
    movl %eax, %ebx
    movl $1, %eax
    int $0x80

h_write:
    movl $4, %eax
    int $0x80
    ret

    .section .boot.data, "aw"
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff // 08 kernel code
    .quad 0x00cf93000000ffff // 10 kernel data
    .quad 0
    .quad 0x00cffb000000ffff // 20 user code
    .quad 0x00cff3000000ffff // 28 user data
    .quad 0x0000890000000067 // 30 TSS, base filled in
gdtr: .word . - gdt - 1
    .long gdt
    .balign 4
idtr: .word 0x81 * 8 - 1
    .long idt
    .balign 4
tss: .long 0, trap_stack_top, KERNEL_DS
    .fill 22, 4, 0
    .long 0x680000 // no I/O map: it begins at the limit
environment: .byte 0

    .section .boot.bss, "aw", @nobits
    .balign 4096
page_directory: .skip 4096
page_tables: .skip 8 * 4096
pdpt: .skip 32
idt: .skip 0x81 * 8
    .balign 16
    .skip 16384
boot_stack_top:
    .skip 4096
trap_stack_top:
