// SPDX-License-Identifier: GPL-2.0-or-later
// How host registers and memory are shared between translated code, its stubs and the C code behind
// them.
//
//   guest  EAX ECX EDX EBX EBP ESI EDI   rax rcx rdx rbx rbp rsi rdi, zero-extended
//          ESP (less the pending delta)  r13
//          CF PF AF ZF SF OF             host flags; the rest of EFLAGS in vcpu.eflags
//          XMM0-7, x87                   xmm0-7, the host's x87
//   ours   r12  window base: linear address 0 of the current address space
//          r14  struct space_table of the current space (cache/space.h)
//          r15  struct vcpu
//          r8-r11 scratch within one guest instruction; r8d carries the target across indirect transfers
//          rsp  a stack of return points: guest calls are host calls
#ifndef RING3_BT_FRAME_H
#define RING3_BT_FRAME_H

#include "monitor/base/vcpu.h"

enum {
    H_RAX, H_RCX, H_RDX, H_RBX, H_RSP, H_RBP, H_RSI, H_RDI,
    H_R8, H_R9, H_R10, H_R11, H_WINDOW, H_ESP, H_TABLE, H_VCPU,
};

// The engine's private part of struct vcpu.
struct bt_frame {
    _Alignas(16) u8 xmm[8][16]; // the guest's XMM registers while C code runs
    u64 window;       // r12
    u64 table;        // r14
    u64 host_sp;      // rsp of translated code while C code runs
    u64 monitor_sp;   // the monitor's stack while translated code runs
    u64 r8, r9;       // scratch registers at the last callout
    void *owner;      // the engine
    u64 resume;       // host address the resume stub jumps to
    u64 fault_pc;     // where a host signal diverted translated code from
    u64 fault_addr;   // si_addr
    u32 fault_signo;
    u32 fault_error;  // page-fault error code bits of the host (PFERR_*)
    u32 seen;         // vcpu.event as C code last saw it
    u32 tmp;          // one 32-bit temporary of an instruction's host code
    // x87's last instruction and operand, for FNSTENV, while the host's unit is the guest's. Of some hosts, and
    // behind a signal, the unit itself does not tell.
    u32 x87_host;     // host address of the instruction's code; 0: none since the unit was loaded
    u32 x87_offset;   // the operand's, in its segment
    // Their segments: those that the segment registers have now (x87_cs; x87_data, the operand's, plus one), else what is
    // noted here. C code takes notes before it changes a segment register; in real and V86 mode, where segment loads are
    // inline, x87 code notes the operand's itself.
    u8 x87_cs, x87_data, x87_unused[2];
    u32 x87_cs_sel, x87_data_sel; // x87_data_sel: X87_NONE without an operand since the unit was loaded
    u32 executed;     // with the option count: guest instructions from the block's entry to its exit
    // For accesses through a segment that is not flat, in 32-bit code with flat CS and SS: the window and TLB
    // number to use, which are such that every access goes to the slow path when the segment is not a
    // plain 4 GiB one with a base.
    u64 seg_window[S_COUNT];
    u32 seg_asid[S_COUNT];
    // And where limits are checked: the host address of offset 0, and the last byte that may be read
    // or written; -1: none without the emulator.
    u64 seg_origin[S_COUNT];
    i64 seg_rlimit[S_COUNT], seg_wlimit[S_COUNT];
    u64 cs_key;       // number of the current code segment << 32: see struct bt_request
};

#define X87_NONE (~0u) // no selector

static inline struct bt_frame *bt_frame(struct vcpu *v)
{
    return (struct bt_frame *)v->engine;
}

#define SEG_OFF(s, field) \
    ((i32)(offsetof(struct vcpu, seg) + sizeof(struct seg) * (s) + offsetof(struct seg, field)))
#define VCPU_OFF(field) ((i32)offsetof(struct vcpu, field))
#define FRAME_OFF(field) ((i32)(offsetof(struct vcpu, engine) + offsetof(struct bt_frame, field)))

_Static_assert(sizeof(struct bt_frame) <= ENGINE_AREA, "the engine area is too small");
_Static_assert(sizeof(struct tlb_entry) == 32, "emitted code scales TLB indices by 32");
_Static_assert(offsetof(struct vcpu, gpr) == 0, "emitted code saves registers at disp8 offsets");

// What translated code was doing when it called out: follows the call instruction in the code, at
// any alignment (hence packed).
struct __attribute__((packed)) bt_site {
    u32 eip;          // of the guest instruction, in its segment; or see `shared`
    i16 delta;        // guest ESP = r13 + delta before it
    i16 delta_next;   // and after it
    u32 retry;        // host address to do the instruction again
    u32 next;         // host address of the next instruction's code; 0: this is the last one
    u8 len;           // guest bytes
    u8 size;          // bytes accessed
    u8 access;        // enum access
    u8 x87;           // of a memory operand: x87's
    u8 shared;        // MODE_SHARED: eip is the offset in the page, and above its 12 bits the page's slot
};

// An exit that has not been linked yet: follows the call instruction in the code.
struct __attribute__((packed)) bt_link {
    u32 target;       // guest eip, in its segment; with MODE_SHARED the offset in the page
    u32 patch;        // host address of the rel32 to patch
};

#endif
