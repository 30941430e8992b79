// SPDX-License-Identifier: GPL-2.0-or-later
// Two engines on one guest: bt runs the machine; the interpreter runs a shadow of it and must come to the same state.
//
//   engine_lockstep.c   create, run, seed the shadow, statistics
//   lockstep_replay.c   what bt's side took from outside, recorded and played back to the shadow
//   lockstep_log.c      the same in a file: recorded runs can be repeated
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

// How often, in exits of blocks, x87 and SSE state and the pages are compared that the shadow's TLB says were written
// (-bt every=N), and all memory (-bt all=N).
#define LOCKSTEP_EVERY 1024u
#define LOCKSTEP_ALL (8192u * LOCKSTEP_EVERY)
#define LOCKSTEP_HISTORY 100

struct input {
    // What only the log has comes last.
    enum { IN_READ, IN_WRITE, IN_TSC, IN_FERR, IN_MEMORY, IN_MAP, IN_VECTOR, IN_END } kind;
    u8 space, size;
    u32 addr;
    gpa_t gpa;  // IN_MEMORY
    u64 value;  // IN_MEMORY: length
    u8 *bytes;  // IN_MEMORY, owned
};

struct log_record {
    u64 at;        // lockstep.position
    u32 eip, ecx;
    u8 kind, space, size;
    u8 inside;     // came in the course of an access of the guest's
    u8 partial;    // the instruction at eip had been left between two iterations
    u8 unused[3];
    u32 addr;
    u64 gpa, value; // as in struct input; behind IN_MEMORY and IN_MAP, value bytes of data follow
};
#define VECTOR_NMI 0xffffffffu
#define NO_VECTOR 0xfffffffeu

struct input_log {
    FILE *file;    // NULL: none
    char *path;
    bool replays;
    bool over;     // replayed to its end
    u64 state;     // of the guest it was recorded with
    u32 vector;    // of the interrupt that comes next, or NO_VECTOR
    struct log_record next;
    u8 *data;      // next's
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
    u64 every, all;
    u64 position;          // instructions completed by both
    u64 limit;             // run ends when that many have been executed
    u64 differ;            // from there on the shadow is spoiled: a test of the report
    bool partial;          // the one at eip has been left between two iterations,
    u32 partial_eip, partial_ecx; // there
    u32 accesses;          // of the guest's to devices, under way
    struct input_log log;
    struct cpu_model model; // bt's and the shadow's: the configured one without random numbers
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

// The only field of a shadow CPU that leads back to us is the bus.
struct lockstep *lockstep_of_shadow(const struct vcpu *s);

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

// ---- lockstep_log.c
// Opens the log; false with *err filled.
bool log_open(struct lockstep *ls, const char *path, bool replays, struct err *err);
// At the guest's first instruction. False if the log was recorded with another guest.
bool log_start(struct lockstep *ls);
// Writes the end, and closes the log.
void log_close(struct lockstep *ls);
// Records what has come (nothing, when replaying).
void log_record(struct lockstep *ls, const struct input *in);
// Replaying: what the guest's access got, having applied what came with it.
u64 log_take(struct lockstep *ls, int kind, unsigned space, u32 addr, unsigned size);
// Replaying: true if something came before the next `insns` instructions were completed.
bool log_before(const struct lockstep *ls, u32 insns);
// Replaying, between two instructions: applies what came here; an interrupt is posted.
void log_between(struct lockstep *ls);

// ---- engine_lockstep.c
// Runs iterations of the repeated instruction at v->eip until ECX is `left`; false if it is none.
bool partial_step(struct vcpu *v, u32 left);

// Compares all there is. False, with the report printed, at a difference.
bool lockstep_compare_all(struct lockstep *ls);

// ---- lockstep_compare.c
// Notes the first difference.
void lockstep_differs(struct lockstep *ls, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void compare_registers(struct lockstep *ls);
void compare_fpu(struct lockstep *ls);
void compare_written_pages(struct lockstep *ls);
void compare_ram(struct lockstep *ls);
void lockstep_report(struct lockstep *ls, FILE *f);

#endif
