// SPDX-License-Identifier: GPL-2.0-or-later
// The interpreter as an engine: the reference that the translator is judged by.
#include "engine.h"

#include <stdlib.h>

struct engine {
    struct vcpu *v;
};

// So many instructions between two looks at what could not be seen as an event: none today, so any
// large number does.
#define BUDGET (1ull << 40)

static struct engine *create(struct vcpu *v, const char *options, struct err *err)
{
    struct engine *e;

    if (options) {
        err_set(err, EXIT_USAGE, "-bt %s is for -accel bt: the interpreter has no options",
                options);
        return NULL;
    }
    e = malloc(sizeof(*e));
    if (!e)
        err_set(err, EXIT_HOST, "out of memory");
    else
        e->v = v;
    return e;
}

static enum cpu_exit run(struct engine *e)
{
    return interp_run(e->v, BUDGET);
}

// The interpreter looks at the event word before each instruction.
static void kick(struct engine *e)
{
    (void)e;
}

static void stats(struct engine *e, FILE *f)
{
    (void)e;
    fprintf(f, "engine: interp\n");
}

static void destroy(struct engine *e)
{
    free(e);
}

const struct engine_ops engine_interp = {
    .name = "interp",
    .help = "interpret every instruction: slow, plain, the reference",
    .create = create,
    .destroy = destroy,
    .run = run,
    .kick = kick,
    .stats = stats,
};
