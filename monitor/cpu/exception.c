// SPDX-License-Identifier: GPL-2.0-or-later
// Delivery of exceptions and interrupts: real mode, protected mode through gates, from
// virtual-8086 mode, by task gates; and what becomes of faults in between (SDM volume 3A,
// chapter 6).
#include "local.h"
#include "mem.h"

struct event {
    enum event_kind kind;
    u8 vector;
    u32 error;
    bool has_error;
    u32 eip;   // to push
    u32 flags; // to push
};

// ---- Real mode
static void enter_real(struct vcpu *v, const struct event *e)
{
    struct frame f;
    u32 target;

    if (e->vector * 4u + 3 > v->idtr.limit)
        raise_gp(v, 0);
    target = mmu_read32(v, v->idtr.base + e->vector * 4, false);
    frame_current(v, &f, 2);
    frame_add(&f, e->flags);
    frame_add(&f, v->seg[S_CS].sel);
    frame_add(&f, e->eip);
    frame_check(v, &f);
    if ((target & 0xffff) > v->seg[S_CS].limit)
        raise_gp(v, 0);
    frame_write(v, &f);
    frame_commit(v, &f, false);
    seg_load_real(v, S_CS, target >> 16);
    v->eip = target & 0xffff;
    v->eflags &= ~(FL_IF | FL_TF | FL_AC | FL_RF);
}

// ---- Protected mode
// The IDT's error code: index, IDT bit.
static u32 idt_error(u8 vector)
{
    return vector * 8u + 2;
}

static void enter_task(struct vcpu *v, const struct event *e, const struct desc *gate)
{
    u16 sel = gate->lo >> 16;
    struct desc tss;

    task_gate_tss(v, sel, &tss);
    task_switch(v, TASK_EVENT, sel, &tss, e->eip, e->flags);
    if (e->has_error)
        task_push_error(v, e->error);
    if (v->eip > v->seg[S_CS].limit)
        raise_gp(v, 0);
}

static void frame_event(struct vcpu *v, struct frame *f, const struct event *e)
{
    frame_add(f, e->flags);
    frame_add(f, v->seg[S_CS].sel);
    frame_add(f, e->eip);
    if (e->has_error)
        frame_add(f, e->error);
}

static void enter_gate(struct vcpu *v, const struct event *e, const struct desc *gate)
{
    static const u8 v86_order[] = { S_GS, S_FS, S_DS, S_ES };
    unsigned size = desc_type(gate) & 8 ? 4 : 2, cpl;
    bool interrupt_gate = !(desc_type(gate) & 1), inner, v86 = cpu_v86(v);
    u32 offset = gate_offset(gate);
    u16 sel = gate->lo >> 16;
    struct frame f;
    struct desc d;
    struct seg cs;

    if (sel_null(sel))
        raise_gp(v, 0);
    if (!desc_read(v, sel, &d) || !desc_code(&d) || desc_dpl(&d) > v->cpl)
        raise_gp(v, sel_error(sel));
    if (!desc_present(&d))
        vcpu_raise(v, X_NP, sel_error(sel));
    inner = !desc_conforming(&d) && desc_dpl(&d) < v->cpl;
    cpl = inner ? desc_dpl(&d) : v->cpl;
    if (v86 && cpl != 0)
        raise_gp(v, sel_error(sel));
    if (inner) {
        frame_inner(v, &f, size, cpl);
        if (v86)
            for (unsigned i = 0; i < ARRAY_LEN(v86_order); i++)
                frame_add(&f, v->seg[v86_order[i]].sel);
        frame_add(&f, v->seg[S_SS].sel);
        frame_add(&f, v->gpr[R_ESP]);
    } else {
        frame_current(v, &f, size);
    }
    frame_event(v, &f, e);
    frame_check(v, &f);
    desc_to_seg(&d, sel, &cs);
    if (offset > cs.limit)
        raise_gp(v, 0);
    desc_accessed(v, &d);
    frame_write(v, &f);
    v->eflags &= ~(FL_TF | FL_VM | FL_RF | FL_NT);
    if (interrupt_gate)
        v->eflags &= ~FL_IF;
    if (v86)
        for (unsigned i = 0; i < ARRAY_LEN(v86_order); i++)
            v->seg[v86_order[i]] = (struct seg){ 0 };
    cs_commit(v, sel, &d, cpl);
    frame_commit(v, &f, inner);
    v->eip = offset;
}

static void enter_protected(struct vcpu *v, const struct event *e)
{
    bool soft = e->kind == EVENT_SOFT ||
                (e->kind == EVENT_TRAP && (e->vector == X_BP || e->vector == X_OF));
    struct desc gate;
    u64 raw;

    if (e->vector * 8u + 7 > v->idtr.limit)
        raise_gp(v, idt_error(e->vector));
    raw = mmu_read64(v, v->idtr.base + e->vector * 8, false);
    gate.lo = raw;
    gate.hi = raw >> 32;
    if (!desc_system(&gate))
        raise_gp(v, idt_error(e->vector));
    switch (desc_type(&gate)) {
    case SYS_TASK_GATE:
    case SYS_INT16:
    case SYS_TRAP16:
    case SYS_INT32:
    case SYS_TRAP32:
        break;
    default:
        raise_gp(v, idt_error(e->vector));
    }
    if (soft && desc_dpl(&gate) < v->cpl)
        raise_gp(v, idt_error(e->vector));
    if (!desc_present(&gate))
        vcpu_raise(v, X_NP, idt_error(e->vector));
    if (desc_type(&gate) == SYS_TASK_GATE)
        enter_task(v, e, &gate);
    else
        enter_gate(v, e, &gate);
}

void event_enter(struct vcpu *v, enum event_kind kind, u8 vector, u32 error, u32 eip)
{
    struct event e = { kind, vector, error, false, eip, v->eflags };
    bool program = kind == EVENT_SOFT || (kind == EVENT_TRAP && vector != X_DB);
    u32 owed = program ? DB_PENDING(v) : 0;

    // What a data breakpoint of MOV SS still owes comes behind an INT's delivery; faults and INT1 make the
    // processor forget it. What the delivery's own writes hit is added.
    DB_PENDING(v) = 0;
    e.has_error = kind == EVENT_FAULT && vector < 32 && BIT(vector) & X_HAS_ERROR;
    // A fault resumes its instruction without its instruction breakpoint; the breakpoint itself
    // doesn't.
    if (kind == EVENT_FAULT && vector != X_DB)
        e.flags |= FL_RF;
    if (log_on(v->log, LOG_INT))
        log_to(v->log, LOG_INT,
               "%s %#x error %#x at %04x:%08x flags %08x cpl %u ss:esp %04x:%08x eax %08x cr2 %08x\n",
               kind == EVENT_INTR   ? "interrupt"
               : kind == EVENT_SOFT ? "int"
                                    : "exception",
               vector, error, v->seg[S_CS].sel, eip, v->eflags, v->cpl, v->seg[S_SS].sel,
               v->gpr[R_ESP], v->gpr[R_EAX], v->cr2);
    if (cpu_real(v))
        enter_real(v, &e);
    else
        enter_protected(v, &e);
    DB_PENDING(v) |= owed;
    v->shadow = 0;
    if (vector == X_DB && kind != EVENT_SOFT && kind != EVENT_INTR) {
        v->dr[7] &= ~DR7_GD;
        v->misc_msr[MISC_DEBUGCTL] &= ~(u64)DEBUGCTL_BTF;
    }
    if (kind == EVENT_INTR)
        v->count.interrupts++;
    else if (kind == EVENT_SOFT || vector == X_BP || vector == X_OF)
        v->count.softints++;
    else
        v->count.exceptions++;
}

// ---- Faults while an event is being delivered (SDM tables 6-4 and 6-5)
enum severity { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum severity severity(enum event_kind kind, u8 vector)
{
    if (kind != EVENT_FAULT)
        return BENIGN;
    switch (vector) {
    case X_DE:
    case X_TS:
    case X_NP:
    case X_SS:
    case X_GP:
        return CONTRIBUTORY;
    case X_PF:
        return PAGE_FAULT;
    default:
        return BENIGN;
    }
}

// The EXT bit: the fault's cause is an event that the program did not ask for.
static bool external(enum event_kind kind, u8 vector)
{
    return kind == EVENT_FAULT || kind == EVENT_INTR || (kind == EVENT_TRAP && vector == X_DB);
}

// False if the delivery faulted: v->fault says how.
static bool try_enter(struct vcpu *v, const struct event *e)
{
    jmp_buf catcher, *outer = v->catcher;

    if (_setjmp(catcher)) {
        v->catcher = outer;
        return false;
    }
    v->catcher = &catcher;
    event_enter(v, e->kind, e->vector, e->error, v->eip);
    v->catcher = outer;
    return true;
}

// A benign fault may meet itself for ever: #AC whose handler's stack is misaligned. Processors then hang. Here the
// instruction is tried again, so that whoever wants to stop the machine can.
#define REPEATS_MAX 64

enum cpu_exit cpu_deliver(struct vcpu *v, enum event_kind kind, u8 vector, u32 error)
{
    struct event e = { .kind = kind, .vector = vector, .error = error };

    v->halted = false;
    for (unsigned i = 0; i < REPEATS_MAX; i++) {
        enum severity first = severity(e.kind, e.vector), second;
        bool ext = external(e.kind, e.vector);

        if (e.kind == EVENT_FAULT)
            vcpu_record_fault(v, e.vector, e.error);
        if (try_enter(v, &e))
            return CPU_RAN;
        second = severity(EVENT_FAULT, v->fault.vector);
        if (e.kind == EVENT_FAULT && e.vector == X_DF && second != BENIGN) {
            log_to(v->log, LOG_INT, "exception %#x error %#x while delivering #DF: shutdown\n",
                   v->fault.vector, v->fault.error);
            return CPU_TRIPLE_FAULT;
        }
        e = (struct event){ .kind = EVENT_FAULT, .vector = v->fault.vector,
                            .error = v->fault.error };
        if ((first == CONTRIBUTORY && second == CONTRIBUTORY) ||
            (first == PAGE_FAULT && second != BENIGN))
            e = (struct event){ .kind = EVENT_FAULT, .vector = X_DF };
        else if (ext && BIT(e.vector) & (BIT(X_TS) | BIT(X_NP) | BIT(X_SS) | BIT(X_GP)))
            e.error |= 1;
    }
    return CPU_RAN;
}

// ---- Interrupts
static u32 events(const struct vcpu *v)
{
    return __atomic_load_n(&v->event, __ATOMIC_ACQUIRE);
}

static void event_clear(struct vcpu *v, u32 bits)
{
    __atomic_and_fetch(&v->event, ~bits, __ATOMIC_SEQ_CST);
}

static bool nmi_ready(const struct vcpu *v)
{
    return events(v) & EV_NMI && !v->nmi_blocked && v->shadow < 2;
}

bool cpu_interruptible(const struct vcpu *v)
{
    return nmi_ready(v) || (events(v) & EV_INTR && v->eflags & FL_IF && !v->shadow);
}

bool cpu_interrupt(struct vcpu *v, enum cpu_exit *exit)
{
    int vector;

    if (!cpu_interruptible(v))
        return false;
    if (nmi_ready(v)) {
        event_clear(v, EV_NMI);
        v->nmi_blocked = true;
        *exit = cpu_deliver(v, EVENT_INTR, X_NMI, 0);
        return true;
    }
    vector = v->intr_ack ? v->intr_ack(v->pic) : -1;
    if (!v->intr_line)
        event_clear(v, EV_INTR);
    if (vector < 0)
        return false;
    *exit = cpu_deliver(v, EVENT_INTR, vector, 0);
    return true;
}
