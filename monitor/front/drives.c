// SPDX-License-Identifier: GPL-2.0-or-later
// The options that say what to boot from, and what drives there are.
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DRIVE_ANY (~0u) // a place still to be found

static bool letters_ok(const char *order)
{
    return *order && strspn(order, "acdn") == strlen(order);
}

static bool take_switch(bool *to, const char *value)
{
    *to = strcmp(value, "on") == 0;
    return *to || strcmp(value, "off") == 0;
}

bool options_boot(struct machine_config *m, const char *text, struct err *err)
{
    char *copy = strdup(text), *rest = copy, *key;
    bool ok = copy != NULL;

    // The strings stay for the program's life, as argv does.
    while (ok && (key = strsep(&rest, ","))) {
        char *value = strchr(key, '='), *end;

        if (!value) {
            ok = letters_ok(key);
            m->boot_order = key;
            continue;
        }
        *value++ = '\0';
        if (strcmp(key, "order") == 0) {
            ok = letters_ok(value);
            m->boot_order = value;
        } else if (strcmp(key, "once") == 0) {
            ok = letters_ok(value);
            m->boot_once = value;
        } else if (strcmp(key, "menu") == 0) {
            ok = take_switch(&m->boot_menu, value);
        } else if (strcmp(key, "splash-time") == 0) {
            m->boot_menu_wait_ms = strtoul(value, &end, 10);
            ok = *value && !*end && m->boot_menu_wait_ms < 65536;
        } else {
            ok = false;
        }
    }
    return ok || err_set(err, EXIT_USAGE, "-boot %s: give order=LETTERS or once=LETTERS (of a, c, d and n), "
                         "menu=on|off or splash-time=MILLISECONDS (below 65536)", text);
}

// ---- Drives

static struct board_drive *new_drive(struct machine_config *m, struct err *err)
{
    struct board_drive *d;

    if (m->drives == BOARD_DRIVES) {
        err_set(err, EXIT_USAGE, "there are too many drives: the machine takes %d", BOARD_DRIVES);
        return NULL;
    }
    d = &m->drive[m->drives++];
    *d = (struct board_drive){ .index = DRIVE_ANY };
    return d;
}

// The first of `count` places on the bus, from `from` on, that no drive has; DRIVE_ANY if there is none.
static unsigned free_place(const struct machine_config *m, enum drive_bus bus, unsigned from, unsigned count)
{
    for (unsigned place = from; place < count; place++) {
        bool taken = false;

        for (unsigned i = 0; i < m->drives; i++)
            taken = taken || (m->drive[i].bus == bus && m->drive[i].index == place);
        if (!taken)
            return place;
    }
    return DRIVE_ANY;
}

bool options_image(struct machine_config *m, const char *option, const char *file, struct err *err)
{
    bool cdrom = strcmp(option, "cdrom") == 0, floppy = option[0] == 'f';
    unsigned index = cdrom ? 2 : (unsigned)(option[2] - 'a');
    enum drive_bus bus = floppy ? DRIVE_FLOPPY : DRIVE_IDE;
    struct board_drive *d;

    for (unsigned i = 0; i < m->drives; i++)
        if (m->drive[i].bus == bus && m->drive[i].index == index)
            return err_set(err, EXIT_USAGE, "-%s %s: %s is there already", option, file,
                           m->drive[i].image.file ? m->drive[i].image.file : "another drive");
    d = new_drive(m, err);
    if (!d)
        return false;
    d->bus = bus;
    d->index = index;
    d->image.file = file;
    d->image.cdrom = cdrom;
    d->image.floppy = floppy;
    return true;
}

// The words that an option's value may be, in the order of its enumerators.
static bool take_word(const char *value, const char *const *words, unsigned *which)
{
    for (unsigned i = 0; words[i]; i++)
        if (strcmp(value, words[i]) == 0) {
            *which = i;
            return true;
        }
    return false;
}

static bool take_key(struct board_drive *d, const char *key, const char *value)
{
    static const char *const buses[] = { "ide", "floppy", "virtio", NULL };
    static const char *const media[] = { "disk", "cdrom", NULL };
    static const char *const caches[] = { "writeback", "writethrough", "unsafe", "none", "directsync", NULL };
    static const char *const errors[] = { "enospc", "stop", "report", NULL };
    unsigned which;
    char *end;

    if (strcmp(key, "file") == 0) {
        d->image.file = value;
    } else if (strcmp(key, "format") == 0) {
        d->image.format = value;
    } else if (strcmp(key, "if") == 0 && take_word(value, buses, &which)) {
        d->bus = which;
    } else if (strcmp(key, "index") == 0) {
        d->index = (unsigned)strtoul(value, &end, 10);
        return *value && !*end && d->index < BOARD_DRIVES;
    } else if (strcmp(key, "media") == 0 && take_word(value, media, &which)) {
        d->image.cdrom = which;
    } else if (strcmp(key, "cache") == 0 && take_word(value, caches, &which)) {
        // Without the host's cache is as with it, as far as a guest can tell.
        d->image.cache = which == 3 ? BLOCK_WRITEBACK : which == 4 ? BLOCK_WRITETHROUGH : which;
    } else if (strcmp(key, "timeout") == 0) {
        d->image.timeout_s = (unsigned)strtoul(value, &end, 10);
        return *value && !*end && d->image.timeout_s > 0 && d->image.timeout_s <= 3600;
    } else if (strcmp(key, "readonly") == 0) {
        return take_switch(&d->image.readonly, value);
    } else if (strcmp(key, "snapshot") == 0) {
        return take_switch(&d->image.snapshot, value);
    } else if (strcmp(key, "werror") == 0 && take_word(value, errors, &which)) {
        d->image.werror = which;
    } else if (strcmp(key, "rerror") == 0 && take_word(value, errors, &which)) {
        d->image.rerror = which;
    } else {
        return false;
    }
    return true;
}

// Ends the next part of a list at its comma; two commas stand for one inside a part. NULL at the end.
static char *next_part(char **rest)
{
    char *part = *rest, *to, *from;

    if (!part)
        return NULL;
    for (to = from = part; *from && (*from != ',' || from[1] == ','); from++) {
        if (*from == ',')
            from++;
        *to++ = *from;
    }
    *rest = *from ? from + 1 : NULL;
    *to = '\0';
    return part;
}

bool options_drive(struct machine_config *m, const char *text, struct err *err)
{
    struct board_drive *d = new_drive(m, err);
    char *copy = strdup(text), *rest = copy, *part;

    if (!d || !copy)
        return false;
    while ((part = next_part(&rest))) {
        char *value = strchr(part, '=');

        if (value)
            *value++ = '\0';
        if (!value || !take_key(d, part, value))
            return err_set(err, EXIT_USAGE, "-drive %s: \"%s%s%s\" is not understood; give file=, format=, "
                           "if=ide|floppy|virtio, index=, media=disk|cdrom, cache=writeback|writethrough|"
                           "unsafe, readonly=on, snapshot=on, werror= or rerror=stop|report|enospc, timeout=SECONDS", text,
                           part, value ? "=" : "", value ? value : "");
    }
    d->image.floppy = d->bus == DRIVE_FLOPPY;
    if (!d->image.file && !d->image.cdrom && !d->image.floppy)
        return err_set(err, EXIT_USAGE, "-drive %s: a disk needs an image: add file=", text);
    if (d->image.cdrom && d->bus != DRIVE_IDE)
        return err_set(err, EXIT_USAGE, "-drive %s: CD-ROM drives are if=ide", text);
    return true;
}

bool options_settle(struct machine_config *m, bool snapshot, struct err *err)
{
    static const unsigned places[DRIVE_BUSES] = { 4, 2, BOARD_DRIVES };
    static const char *const names[DRIVE_BUSES] = { "ide", "floppy", "virtio" };

    for (unsigned i = 0; i < m->drives; i++) {
        struct board_drive *d = &m->drive[i];

        if (d->index == DRIVE_ANY)
            d->index = free_place(m, d->bus, d->image.cdrom ? 2 : 0, places[d->bus]);
        if (d->index == DRIVE_ANY)
            d->index = free_place(m, d->bus, 0, places[d->bus]);
        if (d->index >= places[d->bus])
            return err_set(err, EXIT_USAGE, "there is no place for another drive with if=%s: it has %u",
                           names[d->bus], places[d->bus]);
        for (unsigned j = 0; j < i; j++)
            if (m->drive[j].bus == d->bus && m->drive[j].index == d->index)
                return err_set(err, EXIT_USAGE, "two drives have if=%s,index=%u", names[d->bus], d->index);
        d->image.snapshot = d->image.snapshot || (snapshot && !d->image.cdrom);
    }
    return true;
}
