// SPDX-License-Identifier: GPL-2.0-or-later
// The tables of the program `user`.
#ifndef USER_H
#define USER_H

#include "bench.h"

extern const struct work user_calls[], user_memory[], user_floating[], user_system[];

#endif
