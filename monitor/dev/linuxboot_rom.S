// SPDX-License-Identifier: GPL-2.0-or-later
// The option ROM of linuxboot.c: four DMA transfers from fw_cfg, then the kernel's own 16-bit entry (boot.rst, "Running the
// kernel"). linuxboot.c fills in the transfers and the checksums.
        .section .rodata
        .code16
        .globl  linuxboot_rom, linuxboot_rom_end, linuxboot_rom_commands, linuxboot_rom_pnp
        .set    COMMAND, 0x7b00         // where a transfer's command lies while it runs

        .balign 16
linuxboot_rom:
        .word   0xaa55
        .byte   2                       // 512-byte blocks
        lret                            // nothing to set up
        .org    linuxboot_rom + 0x1a
        .word   linuxboot_rom_pnp - linuxboot_rom
        .balign 16
linuxboot_rom_pnp:
        .ascii  "$PnP"
        .byte   1, 2                    // revision, length / 16
        .word   0
        .byte   0, 0                    // reserved, checksum
        .long   0
        .word   0, product - linuxboot_rom
        .byte   0, 0x80, 0              // device type
        .byte   0x64                    // boots by its entry vector
        .word   0, 0
        .word   entry - linuxboot_rom
        .word   0, 0

entry:  cli
        cld
        pushw   %cs
        popw    %ds
        xorw    %ax, %ax
        movw    %ax, %es
        movw    $linuxboot_rom_commands - linuxboot_rom, %si
        movw    $4, %bx
1:      movw    $COMMAND, %di
        movw    $8, %cx
        rep movsw
        movw    $0x514, %dx             // the command's address, big-endian
        xorl    %eax, %eax
        outl    %eax, %dx
        movw    $0x518, %dx
        movl    $(COMMAND >> 8 | (COMMAND & 0xff) << 8) << 16, %eax
        outl    %eax, %dx
        decw    %bx
        jnz     1b
        movw    $0x1000, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movw    $0xfff0, %sp
        ljmp    $0x1020, $0

product: .asciz "Linux (-kernel)"
        .balign 16
linuxboot_rom_commands:
        .fill   4 * 16, 1, 0
linuxboot_rom_end:
        .section .note.GNU-stack, "", @progbits
