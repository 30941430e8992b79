// SPDX-License-Identifier: GPL-2.0-or-later
// Virtual-8086 mode and hardware tasks, for guests upon kernel.h.
#ifndef RING3_TESTS_GUEST_MODES_H
#define RING3_TESTS_GUEST_MODES_H

#include "kernel.h"

// What IRET takes to virtual-8086 mode.
struct v86_frame {
    u32 eip, cs, eflags, esp, ss, es, ds, fs, gs;
};

static inline void v86_iret(void *frame)
{
    __asm__ volatile("movl %0, %%esp; iret" : : "r"(frame) : "memory");
}

// Copies code (16-bit, position-independent) to linear 0x9000 and runs it in virtual-8086 mode with
// CS = DS = ES = 900h, SS:SP = 0:8ff0h, until an exception without a handler. Returns its vector.
static inline int guarded_v86(const void *code, u32 size, u32 eflags)
{
    static struct v86_frame frame;

    for (u32 i = 0; i < size; i++)
        ((volatile u8 *)0x9000)[i] = ((const u8 *)code)[i];
    frame = (struct v86_frame){ 0, 0x900, eflags | 0x20002, 0x8ff0, 0, 0x900, 0x900, 0, 0 };
    return guarded_call(v86_iret, &frame);
}

// 16-bit code for it: V86_CODE(name, "..."); then name##_start and name##_size.
#define V86_CODE(name, code)                                                                 \
    extern const u8 name##_start[], name##_end[];                                            \
    __asm__(".pushsection .text\n.code16\n" #name "_start:\n" code "\n" #name                \
            "_end:\n.code32\n.popsection")
#define RUN_V86(name, eflags) guarded_v86(name##_start, (u32)(name##_end - name##_start), eflags)

struct tss32 {
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi,
        edi, es, cs, ss, ds, fs, gs, ldt;
    u16 trap, io_map;
};

struct tss16 {
    u16 link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss,
        ds, ldt;
};

// A task of CPL 0 with flat segments.
static inline struct tss32 task32(void (*entry)(void), u32 stack)
{
    return (struct tss32){
        .cr3 = read_cr3(), .eip = (u32)entry, .eflags = 2, .esp = stack, .cs = KERNEL_CS,
        .ss = KERNEL_DS, .ds = KERNEL_DS, .es = KERNEL_DS, .esp0 = stack, .ss0 = KERNEL_DS,
        .io_map = sizeof(struct tss32),
    };
}

#endif
