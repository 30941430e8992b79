// SPDX-License-Identifier: GPL-2.0-or-later Where the time goes: attribution for -stats, guest call
// stacks for -folded, and what Linux perf needs to name translated code (-perfmap, -jitdump).
//  A timer on the CPU time of the vCPU's thread interrupts it some hundred times a second (so an
// idle guest not at all). The sample is guest code if the host's program counter is there, else
// what v->phase says; CPU time is divided by samples, and sleeping and waiting for a CPU are known
// without them.
#ifndef RING3_MONITOR_RUN_PROFILE_H
#define RING3_MONITOR_RUN_PROFILE_H

#include "monitor/base/err.h"
#include "monitor/base/phase.h"
#include "monitor/base/types.h"

#include <signal.h>
#include <stdio.h>

struct vcpu;
struct engine;
struct engine_ops;

struct profile_config {
    bool stats;               // attribute time
    bool perfmap, jitdump;
    unsigned hot;             // print that many hot blocks at the end; 0: count none
    const char *folded;       // file for folded stacks, or NULL
    const char *symbols;      // what guest addresses are called: System.map, nm or ELF; or NULL
};

// Where the guest was when it was interrupted; filled by an engine's locate.
struct profile_place {
    enum phase phase;
    u32 eip, ebp;
    u8 kind;                  // enum sensitive of what the emulator does; 0: nothing of those
};

struct profile;

// Opens the files. NULL with *err filled on failure, and with err->text empty where nothing is
// asked for.
struct profile *profile_create(const struct profile_config *config, struct vcpu *v,
                               struct err *err);
// Writes the folded stacks. False, *err filled, if they could not be written.
bool profile_finish(struct profile *p, struct err *err);
void profile_destroy(struct profile *p);

// On the vCPU's thread: sampling starts and stops.
void profile_start(struct profile *p, const struct engine_ops *ops, struct engine *e);
void profile_stop(struct profile *p);
// The guest slept in HLT for so long.
void profile_slept(struct profile *p, u64 ns);
void profile_print(const struct profile *p, FILE *f);

// New host code at `host`, made from the guest's at eip. p may be NULL.
void profile_code(struct profile *p, u32 host, const u8 *bytes, u32 len, u32 eip, const char *name);
// How many hot blocks are asked for; 0: none, or no p.
unsigned profile_hot(const struct profile *p);
// The guest address's name, or NULL; *offset from it.
const char *profile_symbol(const struct profile *p, u32 address, u32 *offset);

// ---- symbols.c
struct symbols;
struct symbols *symbols_read(const char *file, struct err *err);
void symbols_free(struct symbols *s);
const char *symbols_find(const struct symbols *s, u32 address, u32 *offset);

// ---- jitdump.c: the format of Linux's tools/perf/Documentation/jitdump-specification.txt.
struct jitdump;
struct jitdump *jitdump_create(struct err *err);
void jitdump_code(struct jitdump *j, u32 host, const u8 *bytes, u32 len, const char *name);
void jitdump_close(struct jitdump *j);

#endif
