// SPDX-License-Identifier: GPL-2.0-or-later
// The options that say what to boot from.
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
