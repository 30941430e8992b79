// SPDX-License-Identifier: GPL-2.0-or-later
// The one list of engines, the default first.
#include "engine.h"

#include <string.h>

static const struct engine_ops *const engines[] = {
#if __has_include("engine_bt.c")
    &engine_bt,
#endif
    &engine_interp,
#if __has_include("engine_bt.c")
    &engine_lockstep,
#endif
};

const struct engine_ops *engine_at(unsigned i)
{
    return i < ARRAY_LEN(engines) ? engines[i] : NULL;
}

const struct engine_ops *engine_find(const char *name)
{
    if (!name)
        return engines[0];
    for (unsigned i = 0; i < ARRAY_LEN(engines); i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    return NULL;
}
