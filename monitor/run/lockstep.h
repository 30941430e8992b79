// SPDX-License-Identifier: GPL-2.0-or-later
// Two engines on one guest: bt runs the machine; the interpreter runs a shadow of it and must come to the same state.
//
//   engine_lockstep.c   create, run, seed the shadow, statistics
//   lockstep_replay.c   what bt's side took from outside, recorded and played back to the shadow
//   lockstep_compare.c  the comparison, and the report of a difference
//
// The shadow is a second struct vcpu with RAM of its own and no devices. What comes from outside (values read from ports,
// devices and the time stamp counter, interrupt vectors, what devices wrote to memory) is queued by bt's side; the shadow
// takes it from there, and its own accesses must be the same, in the same order. bt runs without
// chaining, so that C code sees each exit of a block, and takes events only there. At each exit the
// shadow runs as many instructions as bt did, and registers are compared; memory is compared now and then.
//
// Invariants
//  1. Outside bt_watch.ran the queue holds what the shadow has not yet taken; behind it, the queue is empty.
//  2. The physical map changes between two instructions only: bt leaves the block behind the one that changed it.
#ifndef RING3_MONITOR_RUN_LOCKSTEP_H
#define RING3_MONITOR_RUN_LOCKSTEP_H

#include "engine_bt.h"

// How often, in exits of blocks.
#define LOCKSTEP_FPU_EVERY 64      // x87 and SSE state
#define LOCKSTEP_PAGES_EVERY 1024  // the pages that the shadow's TLB says were written
#define LOCKSTEP_RAM_EVERY (1u << 20) // all memory
#define LOCKSTEP_HISTORY 100

struct input {
    enum { IN_READ, IN_WRITE, IN_TSC, IN_MEMORY, IN_MAP } kind;
    u8 space, size;
    u32 addr;
    gpa_t gpa;  // IN_MEMORY
    u64 value;  // IN_MEMORY: length
    u8 *bytes;  // IN_MEMORY, owned
};

struct lockstep {
    struct bt_watch watch; // first: bt's side finds us by it
    struct engine *bt;
    struct vcpu *v;        // bt's
    struct vcpu *shadow;
    struct phys phys;      // the shadow's
    struct mmu mmu;
    struct bus shadow_bus, record_bus;
    struct bus *real_bus;
    struct log quiet;
    struct { // one per half of a bus: what its callbacks get
        struct lockstep *ls;
        enum bus_space space;
        u32 base;
    } port[2][3];
    int (*intr_ack)(void *pic); // bt's side, behind our own
    void (*ferr)(void *pic, bool level);
    void *pic;
    int vector;            // of the interrupt being accepted; -1: none
    struct input *queue;
    u32 head, count, capacity;
    bool seeded;           // the shadow holds the guest
    bool differs;
    char why[256];
    u32 history[LOCKSTEP_HISTORY];
    u64 history_count;
    struct block block;    // entered last
    struct {
        u64 instructions, exits, fpu, pages, ram, inputs, interrupts, accessed;
    } stat;
};

static inline struct lockstep *lockstep_of(const struct engine *e)
{
    return (struct lockstep *)e->watch;
}

// ---- lockstep_replay.c
bool replay_init(struct lockstep *ls, struct err *err);
void replay_destroy(struct lockstep *ls);
void replay_clear(struct lockstep *ls);
void replay_memory(struct lockstep *ls, gpa_t gpa, size_t len);
void replay_map(struct lockstep *ls);
// Gives the shadow what devices did to memory up to its next access of its own.
void replay_memory_changes(struct lockstep *ls);
// Copies bt's physical map to the shadow.
void replay_copy_map(struct lockstep *ls);

// ---- lockstep_compare.c
// Notes the first difference.
void lockstep_differs(struct lockstep *ls, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void compare_registers(struct lockstep *ls);
void compare_fpu(struct lockstep *ls);
void compare_written_pages(struct lockstep *ls);
void compare_ram(struct lockstep *ls);
void lockstep_report(struct lockstep *ls, FILE *f);

#endif
