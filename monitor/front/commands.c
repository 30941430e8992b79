// SPDX-License-Identifier: GPL-2.0-or-later
// The commands of the (ring3) prompt.
#include "console.h"

#include <string.h>

struct command {
    const char *name, *args, *help;
    void (*run)(struct machine *m, const char *args, FILE *f);
};

static void run_help(struct machine *m, const char *args, FILE *f);

static void run_info(struct machine *m, const char *args, FILE *f)
{
    if (!*args)
        fprintf(f, "info registers, faults, tlb, stats, pic, pci, mtree, irq\n");
    else if (!machine_info(m, args, f))
        fprintf(f, "there is no info %s; info alone lists what there is\n", args);
}

static void run_quit(struct machine *m, const char *args, FILE *f)
{
    (void)args;
    (void)f;
    machine_quit(m);
}

static void run_reset(struct machine *m, const char *args, FILE *f)
{
    (void)args;
    (void)f;
    machine_reset(m);
}

static void run_powerdown(struct machine *m, const char *args, FILE *f)
{
    (void)args;
    (void)f;
    machine_power_button(m);
}

static void run_stop(struct machine *m, const char *args, FILE *f)
{
    (void)args;
    (void)f;
    machine_pause(m, true);
}

static void run_cont(struct machine *m, const char *args, FILE *f)
{
    (void)args;
    (void)f;
    machine_pause(m, false);
}

static const struct command commands[] = {
    { "help", "", "list the commands", run_help },
    { "info", "WHAT", "look into the machine; info alone lists what there is", run_info },
    { "stop", "", "stop the guest and its clock", run_stop },
    { "cont", "", "let it go on", run_cont },
    { "system_reset", "", "reset the machine", run_reset },
    { "system_powerdown", "", "press the power button", run_powerdown },
    { "quit", "", "end ring3", run_quit },
};

static void run_help(struct machine *m, const char *args, FILE *f)
{
    (void)m;
    (void)args;
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(f, "%-16s %-5s %s\n", commands[i].name, commands[i].args, commands[i].help);
    fprintf(f, "Ctrl-a c goes back to the guest.\n");
}

void command_run(struct machine *m, const char *line, FILE *f)
{
    const char *word = line + strspn(line, " "), *args;
    size_t len = strcspn(word, " ");
    char rest[64];

    args = word + len + strspn(word + len, " ");
    snprintf(rest, sizeof(rest), "%.*s", (int)strcspn(args, " "), args);
    if (!len)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        if (strlen(commands[i].name) == len && strncmp(commands[i].name, word, len) == 0) {
            commands[i].run(m, rest, f);
            return;
        }
    fprintf(f, "unknown command %.*s; help lists the commands\n", (int)len, word);
}
