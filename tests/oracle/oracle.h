// SPDX-License-Identifier: GPL-2.0-or-later
// The run: the native server, the guest machines, and judging a case.
#ifndef RING3_TESTS_ORACLE_ORACLE_H
#define RING3_TESTS_ORACLE_ORACLE_H

#include "casefile.h"
#include "generate.h"
#include "record.h"
#include "rig.h"
#include "trace.h"

#include <sys/types.h>

#define MAX_RIGS 32

struct oracle {
    struct batch *batch;   // shared with the server
    int memfd;
    const char *server;    // its path
    pid_t pid;
    int to, from;          // pipes
    struct rig *stand_in;  // an interpreter that answers for a host that runs no 32-bit code; else NULL
    struct rig *rig[MAX_RIGS];
    unsigned rigs;
    struct rig *tracer;    // an interpreter
    struct rules rules;
    struct record *record; // what cases execute
    u8 template[IMAGE_SIZE], before[IMAGE_SIZE];
    u64 template_seed;
    // For whoever tells of a crash: in shared memory.
    struct progress {
        struct oracle_case c;
        const char *mode;
        u64 cases, runs, skipped, failures;
    } *progress;
};

// ---- server.c
// Runs batch->c[0..count) natively, into batch->r. A case that takes the server down gets VECTOR_ESCAPED.
void oracle_native(struct oracle *o, u32 count);
// Whether the host runs 32-bit code at all: some virtual machines' processors have no compatibility mode.
bool oracle_server_works(struct oracle *o);
bool oracle_server_start(struct oracle *o);
void oracle_server_stop(struct oracle *o);

// ---- judge.c
// A case on its way: what it executes and what the host made of it.
struct trial {
    const struct oracle_case *c;
    struct trace trace;
    struct oracle_result native;
};

// Makes o->before the image as the case finds it.
void oracle_prepare(struct oracle *o, const struct oracle_case *c);
// Fills in all but native. False: not a case for the oracle.
bool oracle_trace(struct oracle *o, const struct oracle_case *c, struct trial *trial);
// Whether the case can be judged from its native outcome.
bool oracle_usable(const struct trial *trial);
// Runs the case on one machine, twice, and compares; natively anew where the outcome may depend on whether the host was
// interrupted. True if all is equal; else *guest is the outcome that is not, and the differences are printed to f
// (may be NULL).
bool oracle_judge(struct oracle *o, struct rig *rig, struct trial *trial, struct oracle_result *guest, FILE *f);
// Makes a failing case smaller while it fails on the machine.
void oracle_reduce(struct oracle *o, struct rig *rig, struct oracle_case *c);

#endif
