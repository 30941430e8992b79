// SPDX-License-Identifier: GPL-2.0-or-later
// The tables of the program `kernel`.
#ifndef KERNEL_H
#define KERNEL_H

#include "bench.h"

extern const struct work kernel_process[], kernel_memory[], kernel_talk[];

// Keeps both ends of a conversation on one CPU: guests have one, too.
void kernel_one_cpu(void);

#endif
