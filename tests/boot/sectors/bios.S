// SPDX-License-Identifier: GPL-2.0-or-later
// A boot floppy that uses the BIOS as DOS programs do: INT 10h, 11h, 12h, 13h, 15h, 16h, 1Ah, a timer hook, and PIT and
// keyboard by their ports. It prints "ok NAME" or "FAILED NAME" on the screen, then waits for a key that says how to leave:
//   8 8042   9 port 92h   c port CF9h   t triple fault   f jump to FFFF:0   p APM off   a ACPI off
// or to come back from protected mode as 286 programs do, by the vector at 40:67: v, w with CMOS 0Fh = 0Ah, 05h and the 8042's
// pulse, x, y the same with a triple fault, z as v with the A20 gate closed
// Memory: code and data from 7C00 on, the stack below, a buffer at 6000.
        .code16
        .set    LAST, 79 * 36 + 35      // the floppy's last sector, which holds a signature

        .text
        .globl  _start
_start: ljmp    $0, $1f
1:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        sti
        cld
        movb    %dl, drive
        movb    $0, %ah                 // reset the drive
        int     $0x13
        movw    $0x0200 + 17, %ax       // the rest of this program: all of the first track
        movw    $0x0002, %cx
        movw    $0x0000, %dx
        movw    $0x7e00, %bx
        int     $0x13
        jc      1f
        jmp     main
1:      movw    $0x0e21, %ax            // "!"
        movw    $7, %bx
        int     $0x10
        hlt
        jmp     1b
drive:  .byte   0
        .org    510
        .word   0xaa55

// ---- Printing
puts:   lodsb                           // the string at si
        testb   %al, %al
        jz      1f
        call    putc
        jmp     puts
1:      ret
putc:   pushw   %bx
        movb    $0x0e, %ah
        movw    $7, %bx
        int     $0x10
        popw    %bx
        ret

hex:    pushw   %ax                     // al, in two digits
        shrb    $4, %al
        call    1f
        popw    %ax
1:      andb    $0x0f, %al
        addb    $'0', %al
        jmp     putc

// TEST name: runs the routine `name`, which returns with CF set if all is well.
        .macro  TEST name
        .text 1
1:      .asciz  "\name\r\n"
        .text   0
        call    \name
        movw    $1b, %si
        call    report
        .endm
        .macro  EXPECT condition        // else the test fails
        j\condition 9f
        clc
        ret
9:
        .endm
report: pushw   %si
        jc      2f
        incb    failures
        movw    %si, failed_name        // mode changes clear the screen: the last one is named again
        movw    $failed_text, %si
        jmp     1f
2:      movw    $ok_text, %si
1:      call    puts
        popw    %si
        jmp     puts

main:   movw    $0x0003, %ax
        int     $0x10
        TEST    video_state
        TEST    video_cells
        TEST    video_scroll
        TEST    video_50_rows
        TEST    video_mode_13
        TEST    video_vesa
        movw    $0x0003, %ax
        int     $0x10
        movw    $title, %si
        call    puts
        TEST    equipment
        TEST    floppy_geometry
        TEST    floppy_last_sector
        TEST    floppy_write
        TEST    floppy_no_sector
        TEST    disk_extensions
        TEST    memory_map
        TEST    a20_gate
        TEST    block_move
        TEST    wait_rtc
        TEST    keyboard_buffer
        TEST    clock_ticks
        TEST    clock_time
        TEST    timer_hook
        TEST    timer_fast
        TEST    speaker_gate
        TEST    pci_bios
        movw    failed_name, %si
        call    puts
        movw    $booted_text, %si
        call    puts
        movb    drive, %al
        call    hex
        movw    $done_text, %si
        call    puts
        jmp     leave_by_key

// ---- INT 10h
video_state:
        movb    $0x0f, %ah
        int     $0x10
        cmpw    $0x5003, %ax            // 80 columns, mode 3
        EXPECT  e
        movw    $0x1a00, %ax
        int     $0x10
        cmpb    $0x08, %bl              // VGA with a colour display
        EXPECT  e
        movb    $0x12, %ah
        movb    $0x10, %bl
        int     $0x10
        cmpb    $0x03, %bl              // 256K
        EXPECT  e
        stc
        ret
video_cells:
        movb    $0x02, %ah              // row 10, column 20
        movb    $0, %bh
        movw    $0x0a14, %dx
        int     $0x10
        movw    $0x0941, %ax            // three A's, white on blue
        movw    $0x001f, %bx
        movw    $3, %cx
        int     $0x10
        movw    $0xb800, %ax
        movw    %ax, %fs
        cmpw    $0x1f41, %fs:(10 * 80 + 22) * 2
        EXPECT  e
        movb    $0x08, %ah
        movb    $0, %bh
        int     $0x10
        cmpw    $0x1f41, %ax
        EXPECT  e
        movb    $0x03, %ah
        int     $0x10
        cmpw    $0x0a14, %dx
        EXPECT  e
        stc
        ret
video_scroll:
        movw    $0x0601, %ax
        movb    $0x07, %bh
        movw    $0, %cx
        movw    $0x184f, %dx
        int     $0x10
        cmpw    $0x1f6f, %fs:(9 * 80 + 20) * 2 // the "o" of "ok video_cells"
        EXPECT  e
        cmpw    $0x0720, %fs:(24 * 80) * 2
        EXPECT  e
        stc
        ret
video_50_rows:
        movw    $0x1112, %ax
        movb    $0, %bl
        int     $0x10
        cmpb    $49, 0x484
        EXPECT  e
        movw    $0x3d4, %dx             // the character is 8 lines high
        movb    $9, %al
        outb    %al, %dx
        incw    %dx
        inb     %dx, %al
        andb    $0x1f, %al
        cmpb    $7, %al
        EXPECT  e
        stc
        ret
video_mode_13:
        movw    $0x0013, %ax
        int     $0x10
        movw    $0xa000, %ax
        movw    %ax, %fs
        movb    $0x55, %fs:100 * 320 + 160
        movb    $0x0d, %ah
        movw    $160, %cx
        movw    $100, %dx
        int     $0x10
        cmpb    $0x55, %al
        EXPECT  e
        movw    $0x0c66, %ax            // and the other way round
        int     $0x10
        cmpb    $0x66, %fs:100 * 320 + 160
        EXPECT  e
        stc
        ret
video_vesa:
        movw    $0x4f00, %ax
        movw    $buffer, %di
        int     $0x10
        cmpw    $0x004f, %ax
        EXPECT  e
        cmpl    $0x41534556, buffer     // "VESA"
        EXPECT  e
        movw    $0x4f02, %ax
        movw    $0x0101, %bx            // 640x480x256
        int     $0x10
        cmpw    $0x004f, %ax
        EXPECT  e
        stc
        ret

// ---- INT 11h, 12h, 13h
equipment:
        int     $0x12
        cmpw    $600, %ax
        EXPECT  a
        cmpw    $640, %ax
        EXPECT  be
        int     $0x11
        testw   $1, %ax                 // there is a floppy drive
        EXPECT  nz
        stc
        ret
floppy_geometry:
        movb    $0x08, %ah
        movb    $0, %dl
        int     $0x13
        EXPECT  nc
        cmpw    $79 << 8 | 18, %cx
        EXPECT  e
        cmpb    $1, %dh
        EXPECT  e
        pushw   %ds
        popw    %es
        stc
        ret
floppy_last_sector:
        movw    $0x0201, %ax
        movw    $79 << 8 | 18, %cx
        movw    $0x0100, %dx
        movw    $buffer, %bx
        int     $0x13
        EXPECT  nc
        cmpl    $0x676e6972, buffer     // "ring"
        EXPECT  e
        stc
        ret
floppy_write:
        movl    $0x12345678, buffer
        movw    $0x0301, %ax
        movw    $40 << 8 | 7, %cx
        movw    $0x0100, %dx
        movw    $buffer, %bx
        int     $0x13
        EXPECT  nc
        movl    $0, buffer
        movw    $0x0201, %ax
        int     $0x13
        EXPECT  nc
        cmpl    $0x12345678, buffer
        EXPECT  e
        stc
        ret
floppy_no_sector:
        movw    $0x0201, %ax
        movw    $40 << 8 | 19, %cx
        movw    $0x0000, %dx
        movw    $buffer, %bx
        int     $0x13
        EXPECT  c
        movb    $0x00, %ah              // and the drive works again
        movb    $0, %dl
        int     $0x13
        EXPECT  nc
        stc
        ret
disk_extensions:
        movb    $0x41, %ah
        movw    $0x55aa, %bx
        movb    $0x80, %dl
        int     $0x13
        EXPECT  nc
        cmpw    $0xaa55, %bx
        EXPECT  e
        movw    $packet, %si            // LBA 0: this very program
        movb    $0x42, %ah
        movb    $0x80, %dl
        int     $0x13
        EXPECT  nc
        movw    $0x7c00, %si
        movw    $buffer, %di
        movw    $drive - _start, %cx
        repe    cmpsb
        EXPECT  e
        stc
        ret

// ---- INT 15h
memory_map:
        xorl    %ebx, %ebx
        xorl    %ebp, %ebp              // the RAM above 1 MiB
1:      movl    $0xe820, %eax
        movl    $0x534d4150, %edx
        movl    $20, %ecx
        movw    $buffer, %di
        int     $0x15
        jc      2f
        cmpl    $0x534d4150, %eax
        EXPECT  e
        cmpl    $1, buffer + 16
        jne     3f
        cmpl    $0x100000, buffer
        jb      3f
        addl    buffer + 8, %ebp
3:      testl   %ebx, %ebx
        jnz     1b
2:      movw    $0xe801, %ax
        xorw    %cx, %cx
        xorw    %dx, %dx
        int     $0x15
        EXPECT  nc
        movzwl  %ax, %eax
        shll    $10, %eax
        movzwl  %bx, %ebx
        shll    $16, %ebx
        addl    %ebx, %eax
        subl    %ebp, %eax              // both say the same
        EXPECT  e
        movb    $0x88, %ah
        int     $0x15
        cmpw    $1024, %ax
        EXPECT  a
        stc
        ret
a20_gate:
        movw    $0x2401, %ax
        int     $0x15
        EXPECT  nc
        movw    $0x2402, %ax
        int     $0x15
        cmpb    $1, %al
        EXPECT  e
        movw    $0xffff, %ax
        movw    %ax, %fs
        movw    $0x1234, 0x500
        movw    $0x4321, %fs:0x510
        cmpw    $0x1234, 0x500
        EXPECT  e
        movw    $0x2400, %ax
        int     $0x15
        cmpw    $0x1234, %fs:0x510      // wraps
        EXPECT  e
        movw    $0x2401, %ax
        int     $0x15
        stc
        ret
block_move:
        movl    $0xcafef00d, 0x500
        movb    $0x87, %ah
        movw    $2, %cx
        movw    $move_up, %si
        int     $0x15
        EXPECT  nc
        movl    $0, 0x500
        movb    $0x87, %ah
        movw    $2, %cx
        movw    $move_down, %si
        int     $0x15
        EXPECT  nc
        cmpl    $0xcafef00d, 0x500
        EXPECT  e
        stc
        ret
wait_rtc:                               // 120 ms by the RTC's periodic interrupt: two or three ticks
        call    next_tick
        movw    %dx, %bp
        movw    $0x0001, %cx
        movw    $0xd4c0, %dx
        movb    $0x86, %ah
        int     $0x15
        EXPECT  nc
        movb    $0, %ah
        int     $0x1a
        subw    %bp, %dx
        cmpw    $1, %dx
        EXPECT  ae
        stc
        ret

// ---- INT 16h
keyboard_buffer:
        movb    $0x05, %ah              // as if typed
        movw    $0x1e61, %cx
        int     $0x16
        testb   %al, %al
        EXPECT  z
        movb    $0x01, %ah
        int     $0x16
        EXPECT  nz
        movb    $0x00, %ah
        int     $0x16
        cmpw    $0x1e61, %ax
        EXPECT  e
        movb    $0x01, %ah
        int     $0x16
        EXPECT  z
        stc
        ret

// ---- INT 1Ah, 8, 1Ch
next_tick:                              // waits for one; dx: the count
        movb    $0, %ah
        int     $0x1a
        movw    %dx, %bx
1:      movb    $0, %ah
        int     $0x1a
        cmpw    %bx, %dx
        je      1b
        ret
clock_ticks:
        call    next_tick
        call    next_tick
        subw    %bx, %dx
        cmpw    $1, %dx
        EXPECT  ae
        stc
        ret
clock_time:
        movb    $0x04, %ah
        int     $0x1a
        EXPECT  nc
        cmpb    $0x20, %ch              // the century
        EXPECT  e
        movb    $0x02, %ah
        int     $0x1a
        EXPECT  nc
        cmpb    $0x23, %ch
        EXPECT  be
        cmpb    $0x59, %cl
        EXPECT  be
        stc
        ret
timer_hook:                             // INT 1Ch, the user's tick
        movl    0x1c * 4, %eax
        movl    %eax, old_hook
        movw    $0, hooked
        cli
        movw    $hook, 0x1c * 4
        movw    %cs, 0x1c * 4 + 2
        sti
1:      hlt
        cmpw    $3, hooked
        jb      1b
        cli
        movl    old_hook, %eax
        movl    %eax, 0x1c * 4
        sti
        stc
        ret
hook:   incw    %cs:hooked
        iret
timer_fast:                             // INT 8 at 1000 Hz, as games do; the BIOS's one at its own rate
        movl    0x08 * 4, %eax
        movl    %eax, old_hook
        movw    $0, hooked
        cli
        movw    $fast, 0x08 * 4
        movw    %cs, 0x08 * 4 + 2
        movb    $0x34, %al              // mode 2
        outb    %al, $0x43
        movb    $1193 & 0xff, %al
        outb    %al, $0x40
        movb    $1193 >> 8, %al
        outb    %al, $0x40
        sti
1:      hlt
        cmpw    $100, hooked
        jb      1b
        cli
        movl    old_hook, %eax
        movl    %eax, 0x08 * 4
        movb    $0x36, %al
        outb    %al, $0x43
        movb    $0, %al
        outb    %al, $0x40
        outb    %al, $0x40
        sti
        call    next_tick
        stc
        ret
fast:   pushw   %ax
        incw    %cs:hooked
        movb    $0x20, %al
        outb    %al, $0x20
        popw    %ax
        iret
speaker_gate:                           // channel 2 in mode 0, through port 61h: how programs measure short times
        inb     $0x61, %al
        andb    $0xfc, %al
        outb    %al, $0x61
        movb    $0xb0, %al
        outb    %al, $0x43
        movb    $0x00, %al
        outb    %al, $0x42
        movb    $0x20, %al
        outb    %al, $0x42
        inb     $0x61, %al
        testb   $0x20, %al              // the gate is shut: OUT stays low
        EXPECT  z
        orb     $1, %al
        outb    %al, $0x61
        movw    $0xffff, %cx
1:      inb     $0x61, %al
        testb   $0x20, %al
        jnz     2f
        inb     $0x80, %al
        loop    1b
        clc
        ret
2:      andb    $0xfc, %al
        outb    %al, $0x61
        stc
        ret
pci_bios:
        movw    $0xb101, %ax
        int     $0x1a
        EXPECT  nc
        cmpl    $0x20494350, %edx       // "PCI "
        EXPECT  e
        movw    $0xb103, %ax
        movl    $0x030000, %ecx         // a VGA
        xorw    %si, %si
        int     $0x1a
        EXPECT  nc
        movw    $0xb10a, %ax
        movw    $0x08, %di
        int     $0x1a
        EXPECT  nc
        shrl    $8, %ecx
        cmpl    $0x030000, %ecx
        EXPECT  e
        stc
        ret

// ---- Leaving
leave_by_key:
        movb    $0x10, %ah
        int     $0x16
        pushw   %ax
        call    putc
        movw    $leaving, %si
        call    puts
        popw    %ax
        cli
        cmpb    $'8', %al
        je      by_8042
        cmpb    $'9', %al
        je      by_port_92
        cmpb    $'c', %al
        je      by_cf9
        cmpb    $'t', %al
        je      by_triple_fault
        cmpb    $'f', %al
        je      by_jump
        cmpb    $'p', %al
        je      by_apm
        cmpb    $'a', %al
        je      by_acpi
        movw    $0x000a, %bx            // CMOS 0Fh; how
        cmpb    $'v', %al
        je      by_vector
        movw    $0x0005, %bx
        cmpb    $'w', %al
        je      by_vector
        movw    $0x010a, %bx
        cmpb    $'x', %al
        je      by_vector
        movw    $0x0105, %bx
        cmpb    $'y', %al
        je      by_vector
        movw    $0x020a, %bx
        cmpb    $'z', %al
        je      by_vector
        sti
        jmp     leave_by_key
by_8042:
        movb    $0xfe, %al
        outb    %al, $0x64
        jmp     stay
by_port_92:
        inb     $0x92, %al
        andb    $0xfe, %al
        outb    %al, $0x92
        orb     $1, %al
        outb    %al, $0x92
        jmp     stay
by_cf9: movw    $0xcf9, %dx
        movb    $0x02, %al
        outb    %al, %dx
        movb    $0x06, %al
        outb    %al, %dx
        jmp     stay
by_triple_fault:
        lidt    no_idt
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        int3
by_jump:
        movw    $0x1234, 0x472          // a warm start
        ljmp    $0xffff, $0
by_apm: movw    $0x5301, %ax            // connect, and tell it our version
        xorw    %bx, %bx
        int     $0x15
        movw    $0x530e, %ax
        xorw    %bx, %bx
        movw    $0x0102, %cx
        int     $0x15
        movw    $0x5307, %ax
        movw    $1, %bx
        movw    $3, %cx
        int     $0x15
        jmp     stay
by_vector:
        movb    $0x8f, %al
        outb    %al, $0x70
        movb    %bl, %al
        outb    %al, $0x71
        movw    $back, 0x467
        movw    $0, 0x469
        movw    %sp, saved_sp
        movw    $0x55aa, kept
        lgdt    gdt
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmp    $8, $1f
1:      cmpb    $1, %bh
        je      3f
        jb      1f
        inb     $0x92, %al
        andb    $0xfc, %al              // A20 off
        outb    %al, $0x92
1:      movb    $0xfe, %al
        outb    %al, $0x64
2:      hlt
        jmp     2b
3:      lidt    no_idt
        int3
back:   xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    saved_sp, %sp
        cmpw    $0x55aa, kept           // memory is as it was
        jne     2b
        movb    $0x8f, %al
        outb    %al, $0x70
        movb    $0, %al
        outb    %al, $0x71
        sti
        movw    $back_text, %si
        call    puts
        jmp     leave_by_key
by_acpi:
        movw    $0xb10a, %ax            // where power management is: dword 40h of 0:1.3
        movw    $0x000b, %bx
        movw    $0x40, %di
        int     $0x1a
        movw    %cx, %dx
        andw    $0xffc0, %dx
        addw    $4, %dx
        movw    $0x2000, %ax            // S5
        outw    %ax, %dx
stay:   hlt
        jmp     stay

        .text 1
title:  .asciz  "The BIOS's services\r\n"
ok_text: .asciz "ok "
failed_text: .asciz "FAILED "
booted_text: .asciz "booted from "
done_text: .ascii "; all tests are done; failed: "
failures: .asciz "0; how shall I leave? "
back_text: .asciz "back by 40:67; and now? "
        .balign 8
gdt:    .word   15, gdt, 0, 0
        .quad   0x00009b000000ffff      // 16-bit code
saved_sp: .word 0
kept:   .word   0
leaving: .asciz ": leaving\r\n"
no_idt: .word   0
        .long   0
        .balign 4
packet: .byte   16, 0
        .word   1, buffer, 0
        .quad   0
old_hook: .long 0
failed_name: .word 1f
1:      .asciz  ""
hooked: .word   0
// INT 15h AH=87h: descriptors for a move from 500h to 2 MiB, and back.
        .macro  DESCRIPTOR base
        .word   0xffff, (\base) & 0xffff
        .byte   (\base) >> 16, 0x93
        .word   0
        .endm
move_up: .quad  0, 0
        DESCRIPTOR 0x500
        DESCRIPTOR 0x200000
        .quad   0, 0
move_down: .quad 0, 0
        DESCRIPTOR 0x200000
        DESCRIPTOR 0x500
        .quad   0, 0
        .set    buffer, 0x6000
