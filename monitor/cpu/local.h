// SPDX-License-Identifier: GPL-2.0-or-later
// What the files of monitor/cpu share beside handlers (exec.h) and memory (mem.h).
#ifndef RING3_MONITOR_CPU_LOCAL_H
#define RING3_MONITOR_CPU_LOCAL_H

#include "cpu.h"

// DR4 and DR5 are aliases and store nothing: v->dr[4] collects what a #DB trap after the
// current instruction will report in DR6 (breakpoints hit, BS, BT).
#define DB_PENDING(v) ((v)->dr[4])
enum { DR6_BD = BIT(13), DR6_BS = BIT(14), DR6_BT = BIT(15) };
enum { DR7_GD = BIT(13) };
#define DR6_FIXED1 0xffff0ff0u
#define DR7_FIXED1 BIT(10)

// Slots of v->misc_msr.
enum {
    MISC_ENABLE, MISC_TSC_ADJUST, MISC_MCG_STATUS, MISC_DEBUGCTL, MISC_MC_ADDR, MISC_MC_TYPE,
    MISC_EBL, MISC_BBL,
};
#define DEBUGCTL_BTF BIT(1)
#define MISC_ENABLE_FAST_STRINGS BIT(0)
#define MISC_ENABLE_LIMIT_CPUID BIT(22)

// The condition of Jcc, SETcc and CMOVcc (SDM volume 1, appendix B).
static inline bool cond(u32 eflags, unsigned cc)
{
    bool r;

    switch (cc >> 1) {
    case 0:
        r = eflags & FL_OF;
        break;
    case 1:
        r = eflags & FL_CF;
        break;
    case 2:
        r = eflags & FL_ZF;
        break;
    case 3:
        r = eflags & (FL_CF | FL_ZF);
        break;
    case 4:
        r = eflags & FL_SF;
        break;
    case 5:
        r = eflags & FL_PF;
        break;
    case 6:
        r = (eflags >> 7 ^ eflags >> 11) & 1;
        break;
    default:
        r = ((eflags >> 7 ^ eflags >> 11) & 1) || eflags & FL_ZF;
        break;
    }
    return r ^ (cc & 1);
}

static inline bool cpu_real(const struct vcpu *v)
{
    return !(v->cr0 & CR0_PE);
}

static inline bool cpu_v86(const struct vcpu *v)
{
    return v->eflags & FL_VM;
}

_Noreturn static inline void raise_gp(struct vcpu *v, u32 error)
{
    vcpu_raise(v, X_GP, error);
}

// ---- segment.c: descriptors (SDM 3.4.5).
struct desc {
    u32 lo, hi;
    gla_t gla; // where it lies
};

static inline unsigned desc_type(const struct desc *d)
{
    return d->hi >> 8 & 15;
}

static inline unsigned desc_dpl(const struct desc *d)
{
    return d->hi >> 13 & 3;
}

static inline bool desc_present(const struct desc *d)
{
    return d->hi & BIT(15);
}

static inline bool desc_system(const struct desc *d)
{
    return !(d->hi & BIT(12));
}

static inline bool desc_code(const struct desc *d)
{
    return !desc_system(d) && d->hi & BIT(11);
}

static inline bool desc_conforming(const struct desc *d)
{
    return desc_code(d) && d->hi & BIT(10);
}

static inline bool desc_writable_data(const struct desc *d)
{
    return !desc_system(d) && !desc_code(d) && d->hi & BIT(9);
}

static inline u32 gate_offset(const struct desc *d)
{
    u32 lo = d->lo & 0xffff;

    return desc_type(d) & 8 ? (d->hi & 0xffff0000) | lo : lo;
}

// The error code that names a selector.
static inline u32 sel_error(u16 sel)
{
    return sel & 0xfffc;
}

static inline bool sel_null(u16 sel)
{
    return !(sel & 0xfffc);
}

// Reads the descriptor of a non-null selector; false if it lies outside its table.
bool desc_read(struct vcpu *v, u16 sel, struct desc *d);
// Fills the hidden part; sel as given.
void desc_to_seg(const struct desc *d, u16 sel, struct seg *s);
// Sets the accessed bit in memory and in *d.
void desc_accessed(struct vcpu *v, struct desc *d);
// Whether s allows the access (limit and type), without raising.
bool seg_allows(const struct vcpu *v, const struct seg *s, u32 offset, u32 size,
                enum access access);
// Checks a stack segment for CPL `cpl`, raising `vector` (#TS or #GP) with its selector, #SS if
// not present.
void ss_check(struct vcpu *v, u16 sel, unsigned cpl, u8 vector, struct desc *d);
// Loads LDTR; faults are `vector` with the selector, or #NP (LLDT) where vector is #GP.
void ldt_load(struct vcpu *v, u16 sel, u8 vector);
// After a return to an outer ring: data segments that it may not see become null.
void seg_drop_inner(struct vcpu *v);
// Loads all of V86 mode's segments.
void seg_load_v86(struct vcpu *v, const u16 sel[S_COUNT]);

// ---- far.c: moves to a new stack, and frames on it.
struct frame {
    struct seg ss;
    u32 esp;
    bool user;      // who writes it
    u16 error_sel;  // selector in the #SS that too little room raises
    unsigned size;  // bytes a slot
    unsigned count;
    u32 slot[40];   // in the order of pushing
};

static inline void frame_add(struct frame *f, u32 value)
{
    f->slot[f->count++] = value;
}

// Starts a frame on the current stack, or on the TSS's stack for an inner ring, all checks made.
void frame_current(struct vcpu *v, struct frame *f, unsigned size);
void frame_inner(struct vcpu *v, struct frame *f, unsigned size, unsigned cpl);
// Raises #SS unless there is room for all slots.
void frame_check(struct vcpu *v, struct frame *f);
// Writes the slots; esp is then the new stack pointer.
void frame_write(struct vcpu *v, struct frame *f);
// Makes the frame's stack the current one: SS for an inner frame, and ESP.
void frame_commit(struct vcpu *v, const struct frame *f, bool inner);
// Sets CS from a checked descriptor, with RPL = cpl.
void cs_commit(struct vcpu *v, u16 sel, const struct desc *d, unsigned cpl);

// ---- task.c
enum task_cause { TASK_JMP, TASK_CALL, TASK_IRET, TASK_EVENT };
// Switches to the task whose available (busy for TASK_IRET) TSS has passed the caller's
// privilege checks. eip is what the old task will resume at, flags its saved EFLAGS.
void task_switch(struct vcpu *v, enum task_cause cause, u16 sel, struct desc *tss, u32 eip,
                 u32 flags);
// Checks a task gate's or IRET's TSS selector and reads its descriptor: #GP(sel) (or #TS for
// IRET), #NP.
void task_gate_tss(struct vcpu *v, u16 sel, struct desc *tss);
// Pushes an error code on the new task's stack.
void task_push_error(struct vcpu *v, u32 error);

// ---- exception.c
// Enters the handler of a vector; raises what the delivery faults with. eip is what is pushed.
void event_enter(struct vcpu *v, enum event_kind kind, u8 vector, u32 error, u32 eip);

// ---- debug.c
// Alignment check and data breakpoints for an access that passed segmentation.
void debug_access(struct vcpu *v, gla_t gla, u32 size, enum access access);
// Data breakpoints alone, for accesses that the processor makes as supervisor.
void debug_data(struct vcpu *v, gla_t gla, u32 size, enum access access);
// I/O breakpoints.
void debug_io(struct vcpu *v, u32 port, u32 size);
// Raises #DB if an instruction breakpoint is set at the linear address.
void debug_fetch(struct vcpu *v, gla_t gla);

// ---- flags.c
// The flags that POPF and IRET may change at the current privilege.
u32 flags_changeable(const struct vcpu *v, unsigned size);
// Writes the popped value through mask; reserved bits keep their fixed values.
void flags_write(struct vcpu *v, u32 value, u32 mask);
// V86 mode with VME and IOPL < 3: the 16-bit image that POPF and IRET take; raises #GP(0).
u32 flags_from_vme(struct vcpu *v, u16 image);
// The image that PUSHF and INT push there: IF is VIF, IOPL 3.
u16 flags_to_vme(const struct vcpu *v);

// ---- control.c
// Loads the PDPTEs that CR3 names; #GP(0) if one has reserved bits set.
void pdpte_load(struct vcpu *v, u32 cr3);
// Whether the paging mode uses PDPTEs.
static inline bool cpu_pae_paging(const struct vcpu *v)
{
    return (v->cr0 & CR0_PG) && (v->cr4 & CR4_PAE);
}

#endif
