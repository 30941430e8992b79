// SPDX-License-Identifier: GPL-2.0-or-later
// The commands of the (ring3) prompt.
#include "keys.h"
#include "picture.h"
#include "prompt.h"

#include <string.h>

struct command {
    const char *name, *args, *help;
    void (*run)(struct machine *m, const char *args, FILE *f);
};

static void run_help(struct machine *m, const char *args, FILE *f);

static void run_info(struct machine *m, const char *args, FILE *f)
{
    if (!*args)
        fprintf(f, "info registers, faults, tlb, stats, pic, apic, ioapic, pci, mtree, irq, timers, dma,\n"
                   "     serial, keyboard, vga, block\n");
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

static void run_screentext(struct machine *m, const char *args, FILE *f)
{
    (void)args;
    picture_text(m, f);
}

static void run_screendump(struct machine *m, const char *args, FILE *f)
{
    struct err err;

    if (!*args)
        fprintf(f, "screendump FILE: name the PNG file to write\n");
    else if (!picture_png(m, args, &err))
        fprintf(f, "%s\n", err.text);
}

static void press(struct machine *m, const u8 *keys, unsigned count, FILE *f)
{
    if (!machine_press(m, keys, count, 50))
        fprintf(f, "too many keys are waiting: this one is lost\n");
}

// Chords, separated by blanks.
static void run_sendkey(struct machine *m, const char *args, FILE *f)
{
    u8 keys[KEYS_CHORD];

    while (*args) {
        size_t len = strcspn(args, " ");
        unsigned count = key_chord(args, len, keys);

        if (!count) {
            fprintf(f, "%.*s is no key; there are:", (int)len, args);
            for (unsigned i = 0; key_nth_name(i); i++)
                fprintf(f, " %s", key_nth_name(i));
            fprintf(f, "\n");
            return;
        }
        press(m, keys, count, f);
        args += len;
        args += strspn(args, " ");
    }
}

static void run_type(struct machine *m, const char *args, FILE *f)
{
    u8 keys[KEYS_CHORD];

    for (; *args; args++) {
        unsigned count = key_type(*args, keys);

        if (count)
            press(m, keys, count, f);
    }
}

static void run_change(struct machine *m, const char *args, FILE *f)
{
    size_t len = strcspn(args, " ");
    const char *file = args + len + strspn(args + len, " ");
    char drive[32];
    struct err err;

    snprintf(drive, sizeof(drive), "%.*s", (int)len, args);
    if (!*drive || !*file)
        fprintf(f, "change DRIVE FILE: as in change ide1-cd0 disc2.iso\n");
    else if (!machine_change(m, drive, file, &err))
        fprintf(f, "%s\n", err.text);
}

static void run_eject(struct machine *m, const char *args, FILE *f)
{
    struct err err;

    if (!machine_change(m, args, NULL, &err))
        fprintf(f, "%s\n", err.text);
}

static const struct command commands[] = {
    { "help", "", "list the commands", run_help },
    { "info", "WHAT", "look into the machine; info alone lists what there is", run_info },
    { "stop", "", "stop the guest and its clock", run_stop },
    { "cont", "", "let it go on", run_cont },
    { "system_reset", "", "reset the machine", run_reset },
    { "system_powerdown", "", "press the power button", run_powerdown },
    { "change", "DRIVE", "put an image into a drive, as in: change ide1-cd0 FILE", run_change },
    { "eject", "DRIVE", "take the medium out of a drive", run_eject },
    { "screentext", "", "print the text screen", run_screentext },
    { "screendump", "FILE", "write the screen to a PNG file", run_screendump },
    { "sendkey", "KEYS", "press keys, as in: sendkey ctrl-alt-delete, sendkey e x i t ret", run_sendkey },
    { "type", "TEXT", "type a text on a US keyboard", run_type },
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
    char rest[256];

    args = word + len + strspn(word + len, " ");
    snprintf(rest, sizeof(rest), "%s", args);
    for (size_t n = strlen(rest); n && rest[n - 1] == ' ' && strncmp(word, "type", len) != 0;)
        rest[--n] = '\0';
    if (!len)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        if (strlen(commands[i].name) == len && strncmp(commands[i].name, word, len) == 0) {
            commands[i].run(m, rest, f);
            return;
        }
    fprintf(f, "unknown command %.*s; help lists the commands\n", (int)len, word);
}
