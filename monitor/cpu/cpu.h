// SPDX-License-Identifier: GPL-2.0-or-later
// The CPU in C: reset, the interpreter, exceptions and interrupts, segments, sensitive
// instructions. Both engines use it; it is the reference.
#ifndef RING3_MONITOR_CPU_CPU_H
#define RING3_MONITOR_CPU_CPU_H

#include "decoder/insn.h"
#include "model.h"
#include "monitor/base/vcpu.h"
#include "shadow-mmu/mmu.h"

// ---- cpu.c
// Puts the CPU in its state after RESET (SDM 3A table 9-1): real mode at F000:FFF0, base FFFF0000.
// Wiring (bus, mmu, model, log, pic) and counters are kept.
void cpu_reset(struct vcpu *v);
// The state after INIT, which leaves FPU, MSRs and the cache bits of CR0 as they are (SDM 3A, table 9-1).
void cpu_init(struct vcpu *v);
// Prints all registers, segments and control registers as `info registers` shows them.
void cpu_print(const struct vcpu *v, FILE *f);

enum cpu_exit {
    CPU_RAN,           // the budget is used up, or an event is posted
    CPU_HALTED,        // HLT: nothing to do until an interrupt
    CPU_TRIPLE_FAULT,  // shutdown: the last faults are in the log
    CPU_FINISHED,      // from engines that repeat a recorded run: that is over
    CPU_DIVERGED,      // from engines that check themselves: a difference was found, and reported
};

// ---- interp.c
// Interprets up to `budget` instructions, delivering exceptions as they arise and, at
// instruction boundaries, pending interrupts (EV_INTR with IF and no shadow, EV_NMI) and
// single-step/breakpoint traps. Returns early when v->event has a bit other than
// EV_INTR/EV_NMI, on HLT, and on shutdown.
enum cpu_exit interp_run(struct vcpu *v, u64 budget);
// Frees the decode cache that interp_run keeps in v->decoded.
void interp_release(struct vcpu *v);

// Executes exactly one instruction at CS:EIP, faults delivered, traps (TF, DR) included; no
// interrupts are accepted. What the translator calls for instructions it leaves to the
// emulator.
enum cpu_exit interp_step(struct vcpu *v);
// The same, but a repeated string instruction is left as by an event once *left iterations (not 0) remain. *left
// becomes 0 if it was not: another instruction, one with fewer iterations to do, or one that faulted.
enum cpu_exit interp_step_until(struct vcpu *v, u32 *left);

// Fetches and decodes the instruction at CS:EIP. Raises what its execution would raise so far; v->catcher must be set.
void interp_fetch(struct vcpu *v, struct insn *insn);

// Executes one already decoded instruction whose first byte is at v->eip. v->catcher must be
// set; a fault jumps there with v as it was before the instruction (but for memory and CR2). On
// return eip is advanced.
void interp_insn(struct vcpu *v, const struct insn *insn);
// Delivers the #DB trap that the instruction before has left (of TF, breakpoints, a task's T bit), if there
// is one and MOV SS does not hold it back. interp_step and interp_run do so themselves.
enum cpu_exit cpu_traps(struct vcpu *v);

// ---- exception.c
enum event_kind {
    EVENT_FAULT,     // CPU exception; error code if the vector has one
    EVENT_TRAP,      // #DB trap, INT3, INTO (soft: IDT gate DPL is checked for INT3/INTO/INT n)
    EVENT_SOFT,      // INT n
    EVENT_INTR,      // external interrupt or NMI
};
// Delivers an event through the IVT, IDT or a task gate, from any mode, at the current eip
// (which is what gets pushed). Faults in delivery are handled by the rules of SDM table 6-5:
// contributory, double, and shutdown, which returns CPU_TRIPLE_FAULT. Sets v->cpl, eip, flags.
// Counts, and traces under -d int.
enum cpu_exit cpu_deliver(struct vcpu *v, enum event_kind kind, u8 vector, u32 error);
// Accepts a pending NMI or interrupt now if the architecture allows it. True if one was delivered.
bool cpu_interrupt(struct vcpu *v, enum cpu_exit *exit);
// True if cpu_interrupt would deliver.
bool cpu_interruptible(const struct vcpu *v);

// ---- segment.c
// Offset to linear with the segment's checks for [offset, offset+size); raises #GP(0)/#SS(0).
// (SDM 5.3)
gla_t seg_check(struct vcpu *v, unsigned seg, u32 offset, u32 size, enum access access);
// Loads a data or stack segment register, all checks for the current mode (SDM 5.4 and MOV's page).
void seg_load(struct vcpu *v, unsigned seg, u16 sel);
// Fills a segment register as real or V86 mode does.
void seg_load_real(struct vcpu *v, unsigned seg, u16 sel);
// Changes CPL and tells the MMU.
void cpu_set_cpl(struct vcpu *v, unsigned cpl);

// ---- control.c
// CR writes with all checks and consequences (#GP on reserved bits, MMU and mode).
void cpu_write_cr0(struct vcpu *v, u32 value);
void cpu_write_cr3(struct vcpu *v, u32 value);
void cpu_write_cr4(struct vcpu *v, u32 value);
u64 cpu_read_tsc(struct vcpu *v);
u64 cpu_rdmsr(struct vcpu *v, u32 msr);             // raises #GP
void cpu_wrmsr(struct vcpu *v, u32 msr, u64 value); // raises #GP
void cpu_cpuid(struct vcpu *v, u32 leaf, u32 subleaf, u32 out[4]); // eax ebx ecx edx

// ---- fpu.c, sse.c: executed by the interpreter on v->fx.
void interp_x87(struct vcpu *v, const struct insn *insn); // D8-DF, FWAIT
void interp_simd(struct vcpu *v, const struct insn *insn); // MMX, SSE*, FXSAVE/FXRSTOR, LDMXCSR...
// Makes v->fx valid for C code and reusable after it was changed.
static inline void cpu_fpu_acquire(struct vcpu *v)
{
    if (v->fpu_live)
        v->fpu_sync(v);
}
// FNINIT state with the guest's reset MXCSR.
void fpu_reset(struct vcpu *v);

// ---- operand.c: shared by the interpreter's instruction files.
// Linear address of the insn's explicit memory operand, checked for size bytes.
gla_t op_mem(struct vcpu *v, const struct insn *insn, u32 size, enum access access);
// Effective address (offset) of the memory operand, masked to the address size.
u32 op_ea(struct vcpu *v, const struct insn *insn);

#endif
