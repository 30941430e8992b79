// SPDX-License-Identifier: GPL-2.0-or-later What runs guest code. An engine knows nothing of
// devices; the run loop knows nothing of translation.
#ifndef RING3_MONITOR_RUN_ENGINE_H
#define RING3_MONITOR_RUN_ENGINE_H

#include "monitor/base/err.h"
#include "monitor/cpu/cpu.h"

struct engine;
struct profile_place;

struct engine_ops {
    const char *name, *help;
    bool repeatable; // its guests start alike each time: nothing random is put into their memory
    // options: the -bt LIST text or NULL. NULL on failure, *err filled.
    struct engine *(*create)(struct vcpu *v, const char *options, struct err *err);
    void (*destroy)(struct engine *e);
    // Runs until v->event has EV_KICK or EV_STOP, HLT or shutdown. Interrupts are delivered inside.
    enum cpu_exit (*run)(struct engine *e);
    // Called on the vCPU thread's signal, or from other threads after vcpu_post: makes run return
    // soon. Async-signal-safe.
    void (*kick)(struct engine *e);
    // Prints the help of its options, or NULL if it has none.
    void (*help_options)(FILE *f);
    // Prints its part of -stats.
    void (*stats)(struct engine *e, FILE *f);
    // For profile.c; either may be NULL. In a signal handler that interrupted this engine's thread (context is a
    // ucontext_t): where the guest is. And prints the n blocks that were executed most often.
    void (*locate)(struct engine *e, const void *context, struct profile_place *place);
    void (*print_hot)(struct engine *e, unsigned n, FILE *f);
    // Either may be NULL. A device has written len bytes of memory at gpa (len 0: the physical map has changed)...
    void (*memory_changed)(struct engine *e, gpa_t gpa, size_t len);
    // ... and the guest was put to its start.
    void (*restarted)(struct engine *e);
};

// engine_bt.help_options prints what -bt takes.
extern const struct engine_ops engine_interp, engine_bt, engine_lockstep;

// engines.c: by name, NULL if there is none; the default for a NULL name.
const struct engine_ops *engine_find(const char *name);
// The i-th engine, or NULL past the end: for -accel help.
const struct engine_ops *engine_at(unsigned i);

#endif
