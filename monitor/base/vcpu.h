// SPDX-License-Identifier: GPL-2.0-or-later
// The state of the one virtual CPU: what the architecture defines, the software TLB that the
// engines share, and a private area for the engine that runs it.
#ifndef RING3_BASE_VCPU_H
#define RING3_BASE_VCPU_H

#include "bus.h"
#include "log.h"
#include "types.h"
#include "x86.h"

#include <setjmp.h>

struct cpu_model; // monitor/cpu/model.h
struct decoded;   // monitor/cpu/interp.c
struct mmu;       // shadow-mmu/mmu.h
struct profile;   // monitor/run/profile.h

// A segment register with its hidden part (SDM 3.4.3). In real and virtual-8086 mode the hidden
// part is maintained as hardware does it (real-mode loads change the base only).
struct seg {
    u16 sel;
    u16 attr;  // SEG_*; 0 (P clear) when a null selector was loaded
    u32 base;
    u32 limit; // in bytes, inclusive, already scaled by G
};

struct dtable { // GDTR, IDTR
    u32 base;
    u16 limit;
};

struct fault {
    u8 vector;
    u32 error; // for the vectors in X_HAS_ERROR
};

// One entry of the software TLB: direct-mapped on the linear page number. A tag is the linear
// page | the address-space number (asid, 1..4094) it is valid in; 0 never matches. Only plain RAM or
// ROM has tags: MMIO and pages that hold translated code (for writes) always take the slow path, but for what `free` says.
// The engine's emitted code reads this layout: see the static asserts in bt/.
struct tlb_entry {
    u32 rtag, wtag, xtag;
    u32 page;         // guest-physical page number
    uintptr_t addend; // host address = addend + gla
    u64 free;         // of a page with translated code: which 64 bytes may be written where rtag matches, a bit each
};
#define TLB_BITS 10
#define TLB_SIZE (1u << TLB_BITS)
#define TLB_ASID_NONE 0xfffu // no address space's number: what is compared with it always misses

// Why a vcpu must leave guest code, set by anyone (atomically), cleared by the run loop.
enum {
    EV_INTR = BIT(0),  // the interrupt controller has a vector for us
    EV_NMI = BIT(1),
    EV_KICK = BIT(2),  // the machine wants the vCPU thread (a device, the console, a timer)
    EV_STOP = BIT(3),  // leave the run loop: power-off, reset, time limit, quit
};

// Host-visible counters, printed by -stats.
#define VCPU_COUNTER_LIST(X)                                                                 \
    X(exceptions, "exceptions delivered")                                                    \
    X(interrupts, "hardware interrupts delivered")                                           \
    X(softints, "software interrupts")                                                       \
    X(tlb_fills, "software TLB fills")                                                       \
    X(tlb_flushes, "TLB flushes")                                                            \
    X(invlpg, "INVLPG")                                                                      \
    X(page_walks, "page walks")                                                              \
    X(io, "port accesses")                                                                   \
    X(mmio, "MMIO accesses")                                                                 \
    X(interpreted, "instructions interpreted")                                               \
    X(undefined, "undefined or unimplemented instructions")                                  \
    X(code_writes, "writes to pages that hold translated code")

struct counters {
#define X(id, help) u64 id;
    VCPU_COUNTER_LIST(X)
#undef X
};

// The last exceptions delivered, oldest overwritten first, each with the state it met: what is
// printed after a triple fault.
struct fault_record {
    u32 gpr[8];
    u32 eip, eflags, cr0, cr2, cr3, error;
    u16 cs, ss;
    u8 vector, cpl;
};
#define FAULT_RECORDS 8

#define ENGINE_AREA 2048 // bytes

struct vcpu {
    // General state. gpr is in encoding order; eflags is complete, as PUSHFD at CPL 0 shows it,
    // whenever C code runs.
    u32 gpr[8];
    u32 eip;
    u32 eflags;

    u32 event;     // EV_*; atomic
    u32 asid;      // current address-space number for TLB tags (differs for CPL 3)
    u8 cpl;
    // Interrupt shadow: 1 after STI (inhibits INTR), 2 after MOV SS/POP SS (inhibits also #DB, NMI).
    // Holds for exactly the next instruction.
    u8 shadow;
    bool halted;
    bool nmi_blocked;
    bool intr_line; // the interrupt controller's INTR output

    struct seg seg[S_COUNT]; // encoding order
    struct seg ldtr, tr;
    struct dtable gdtr, idtr;
    u32 cr0, cr2, cr3, cr4;
    u64 pdpte[4]; // PAE: loaded with CR3 (SDM 4.4.1)
    u32 dr[8];
    u64 efer;
    u64 tsc_offset; // guest TSC = host TSC + offset
    u64 apic_base;  // IA32_APIC_BASE
    bool has_apic;  // there is a local APIC for it
    u32 sysenter_cs, sysenter_esp, sysenter_eip;
    u64 mtrr[16], mtrr_fixed[11], mtrr_deftype, pat;
    u64 misc_msr[8];

    // x87, MMX and SSE, in FXSAVE's 32-bit format (SDM volume 1, 10.5.1.1): valid for C code
    // unless fpu_live, when the host's unit holds it and fpu_sync must be called first.
    _Alignas(64) u8 fx[512];
    bool fpu_live;
    void (*fpu_sync)(struct vcpu *v);

    // Faults raised by C code on the guest's behalf jump here.
    jmp_buf *catcher;
    struct fault fault;

    // What it is wired to. Not owned.
    struct bus *bus;
    struct mmu *mmu;
    const struct cpu_model *model;
    struct log *log;
    int (*intr_ack)(void *pic); // the vector, after raising INTA; -1 if none after all
    void *pic;
    void (*apic_base_changed)(void *pic, u64 value); // may be NULL
    void (*ferr)(void *pic, bool level); // FERR# output, for CR0.NE = 0
    u64 (*clock)(struct vcpu *v); // what RDTSC reads; NULL: the host's TSC and tsc_offset
    bool ferr_level; // what ferr was last told (monitor/cpu/fpu.c)

    struct profile *profile; // or NULL; not owned
    volatile u8 phase;       // enum phase: what C code is doing
    struct decoded *decoded; // the interpreter's decode cache; whoever runs it, NULL at first

    struct counters count;
    struct fault_record recent[FAULT_RECORDS]; // [recent_count % FAULT_RECORDS] is the next
    u32 recent_count;

    _Alignas(64) struct tlb_entry tlb[TLB_SIZE];
    _Alignas(64) u8 engine[ENGINE_AREA]; // private to the engine
};

// Raises a guest fault from C code: records it and jumps to v->catcher, which must be set.
// CR2 must have been set for X_PF. error is ignored for vectors that push none.
_Noreturn void vcpu_raise(struct vcpu *v, u8 vector, u32 error);

// Notes an exception (not an interrupt) in v->recent, before its delivery changes the state.
void vcpu_record_fault(struct vcpu *v, u8 vector, u32 error);

// Sets event bits; safe from any thread and from signal handlers. (The run loop's kick, which
// also interrupts translated code, is machine_kick in monitor/run.)
static inline void vcpu_post(struct vcpu *v, u32 events)
{
    __atomic_or_fetch(&v->event, events, __ATOMIC_SEQ_CST);
}

static inline bool vcpu_protected(const struct vcpu *v)
{
    return (v->cr0 & CR0_PE) && !(v->eflags & FL_VM);
}

static inline unsigned vcpu_iopl(const struct vcpu *v)
{
    return (v->eflags & FL_IOPL) >> 12;
}

#endif
