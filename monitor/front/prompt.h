// SPDX-License-Identifier: GPL-2.0-or-later
// The (ring3) prompt: a line editor in front of the commands (commands.c).
#ifndef RING3_MONITOR_FRONT_PROMPT_H
#define RING3_MONITOR_FRONT_PROMPT_H

#include "monitor/run/machine.h"

struct prompt {
    struct machine *machine; // not owned
    void (*print)(void *opaque, const char *text, size_t len);
    void *opaque;
    bool sequence;           // the last character was ESC: skip what belongs to it
    char line[256];
    unsigned len;
};

// Prints the prompt for an empty line.
void prompt_start(struct prompt *p);
// A character was typed.
void prompt_key(struct prompt *p, u8 ch);
void prompt_print(struct prompt *p, const char *text);

// commands.c: runs one command line, printing to f.
void command_run(struct machine *m, const char *line, FILE *f);

#endif
