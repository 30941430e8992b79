// SPDX-License-Identifier: GPL-2.0-or-later
// The stubs and trampolines of fpu_host.h.
#include "fpu_host.h"

    .text

// Mandatory prefixes by index, as in the tables' second dimension.
.macro prefix_0
.endm
.macro prefix_1
    .byte 0x66
.endm
.macro prefix_2
    .byte 0xf3
.endm
.macro prefix_3
    .byte 0xf2
.endm
.macro prefix_np
.endm
.macro prefix_p66
    .byte 0x66
.endm
.macro prefix_pf3
    .byte 0xf3
.endm
.macro prefix_pf2
    .byte 0xf2
.endm
.macro map_0f
    .byte 0x0f
.endm
.macro map_38
    .byte 0x0f, 0x38
.endm
.macro map_3a
    .byte 0x0f, 0x3a
.endm

// ModRM for (xmm1, xmm2) and (xmm1, [rdi]).
#define MODRM_REG 0xca
#define MODRM_MEM 0x0f

.macro stub_end
    ret
    .balign HOST_STUB_SIZE, 0xcc
.endm

.macro stub_modrm pfx, map, op, modrm
    prefix_\pfx
    map_\map
    .byte \op, \modrm
    stub_end
.endm

.macro stubs_imm pfx, map, op, modrm
    .set imm, 0
    .rept 256
    prefix_\pfx
    map_\map
    .byte 0x\op, \modrm, imm
    stub_end
    .set imm, imm + 1
    .endr
.endm

    .balign 64
    .globl fpu_stub_first, fpu_stub_x87, fpu_stub_0f, fpu_stub_0f38, fpu_stub_imm, fpu_stub_end
fpu_stub_first:
fpu_stub_x87:
    .set op, 0xd8
    .rept 8
    .set modrm, 0xc0
    .rept 64
    .byte op, modrm
    stub_end
    .set modrm, modrm + 1
    .endr
    .set modrm, 0x07
    .rept 8
    .byte op, modrm
    stub_end
    .set modrm, modrm + 8
    .endr
    .set op, op + 1
    .endr

fpu_stub_0f:
    .set op, 0
    .rept 256
    .irp pfx, 0, 1, 2, 3
    stub_modrm \pfx, 0f, op, MODRM_REG
    stub_modrm \pfx, 0f, op, MODRM_MEM
    .endr
    .set op, op + 1
    .endr

fpu_stub_0f38:
    .set op, 0
    .rept 256
    .irp pfx, 0, 1
    stub_modrm \pfx, 38, op, MODRM_REG
    stub_modrm \pfx, 38, op, MODRM_MEM
    .endr
    .set op, op + 1
    .endr

fpu_stub_imm:
#define X(pfx, map, op) stubs_imm pfx, map, op, MODRM_REG; stubs_imm pfx, map, op, MODRM_MEM;
    HOST_IMM_LIST(X)
#undef X
fpu_stub_end:

// Saves rbx and MXCSR, loads what the stub takes but the flags. In: rdi = struct fpu_host, rsi =
// stub. The SIGFPE handler relies on rsi being the stub's address and r8 the "faulted" result.
.macro enter
    push %rbx
    sub $16, %rsp
    mov %rdi, %rbx
    stmxcsr (%rsp)
    ldmxcsr HOST_MXCSR(%rbx)
    movaps HOST_XMM(%rbx), %xmm0
    movaps HOST_XMM+16(%rbx), %xmm1
    movaps HOST_XMM+32(%rbx), %xmm2
    mov HOST_ECX(%rbx), %ecx
    mov HOST_EDX(%rbx), %edx
    mov HOST_EAX(%rbx), %eax
    lea HOST_MEM(%rbx), %rdi
    xor %r8d, %r8d
.endm

// Runs the stub with the guest's flags and keeps every result.
.macro run
    push HOST_FLAGS(%rbx)
    popfq
    call *%rsi
    pushfq
    pop HOST_FLAGS(%rbx)
    mov %eax, HOST_EAX(%rbx)
    mov %ecx, HOST_ECX(%rbx)
    mov %edx, HOST_EDX(%rbx)
.endm

.macro leave_simd
    mov %r8d, HOST_FAULTED(%rbx)
    movaps %xmm0, HOST_XMM(%rbx)
    movaps %xmm1, HOST_XMM+16(%rbx)
    movaps %xmm2, HOST_XMM+32(%rbx)
    stmxcsr HOST_MXCSR(%rbx)
    ldmxcsr (%rsp)
    add $16, %rsp
    pop %rbx
    ret
.endm

.macro function name
    .balign 16
    .globl \name
    .type \name, @function
\name:
.endm

function fpu_host_xmm
    enter
    run
    leave_simd
    .size fpu_host_xmm, . - fpu_host_xmm

function fpu_host_mmx
    enter
    movq HOST_MM(%rbx), %mm1
    movq HOST_MM+8(%rbx), %mm2
    run
    movq %mm1, HOST_MM(%rbx)
    movq %mm2, HOST_MM+8(%rbx)
    emms
    leave_simd
    .size fpu_host_mmx, . - fpu_host_mmx

// In: rdi = FXSAVE image, rsi = struct fpu_host, rdx = stub.
function fpu_host_x87
    push %rbx
    push %rbp
    sub $24, %rsp
    mov %rdi, %rbp
    mov %rsi, %rbx
    mov %rdx, %rsi
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    fxrstor (%rbp)
    lea HOST_MEM(%rbx), %rdi
    run
    fxsave (%rbp)
    // FNINIT drops a pending unmasked exception, which the waiting FLDCW would deliver to us.
    fninit
    fldcw 4(%rsp)
    ldmxcsr (%rsp)
    add $24, %rsp
    pop %rbp
    pop %rbx
    ret
    .size fpu_host_x87, . - fpu_host_x87

    .section .note.GNU-stack, "", @progbits
