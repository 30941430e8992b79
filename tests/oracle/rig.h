// SPDX-License-Identifier: GPL-2.0-or-later
// A guest machine for one engine and one set of its options, which runs cases as CPL 3 code under PAE paging
// with the host's flat segments. Every exception leads to a HLT at CPL 0, which leaves the engine.
#ifndef RING3_TESTS_ORACLE_RIG_H
#define RING3_TESTS_ORACLE_RIG_H

#include "case.h"
#include "monitor/run/engine.h"
#include "shadow-mmu/mmu.h"

struct rig_mode {
    const char *name;    // what --mode takes
    const char *engine;
    const char *options; // -bt
};
extern const struct rig_mode rig_modes[];
extern const unsigned rig_mode_count;

struct rig {
    const struct rig_mode *mode;
    const struct engine_ops *ops;
    struct engine *engine;
    struct vcpu *v;
    struct mmu mmu;
    struct phys phys;
    struct bus bus;
    struct log log;
    u8 *image;       // in guest memory
    bool has_zero;
};

// NULL, with a message printed, if the machine cannot be built. model: as -cpu takes it. has_zero: map the page at 0.
struct rig *rig_new(const struct rig_mode *mode, const char *model, bool has_zero);
void rig_free(struct rig *rig);

// Runs the case, whose memory before is `before`.
void rig_run(struct rig *rig, const struct oracle_case *c, const u8 *before, struct oracle_result *r);
// The first half of that, for who steps through the case: memory and registers.
void rig_start(struct rig *rig, const struct oracle_case *c, const u8 *before);
// The exception that has just been delivered (CPL is 0).
u8 rig_vector(const struct rig *rig);
// The time limit: called from a signal handler, makes rig_run end with VECTOR_TIMEOUT.
void rig_stop(struct rig *rig);

// The machine's own pages, where host and guest differ.
#define RIG_SYSTEM 0xe7a30000u
#define RIG_SYSTEM_PAGES 4u

#endif
