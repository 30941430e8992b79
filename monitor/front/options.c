// SPDX-License-Identifier: GPL-2.0-or-later
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#ifndef RING3_VERSION
#define RING3_VERSION "unknown"
#endif

#define GROUP_LIST(X)                                                                        \
    X(GUEST, "The guest")                                                                    \
    X(DISKS, "Drives")                                                                       \
    X(MACHINE, "The machine")                                                                \
    X(RUN, "Execution")                                                                      \
    X(IO, "Input and output")                                                                \
    X(LOOK, "Looking inside")                                                                \
    X(HELP, "Help")

enum group {
#define X(id, title) GROUP_##id,
    GROUP_LIST(X)
#undef X
    GROUPS
};

static const char *const group_title[GROUPS] = {
#define X(id, title) title,
    GROUP_LIST(X)
#undef X
};

static const struct {
    enum group group;
    const char *name, *arg, *help;
} table[] = {
#define X(group, name, arg, help) { GROUP_##group, name, arg, help },
    OPTION_LIST(X)
#undef X
};

// ---- Help

static void print_help(void)
{
    printf("Usage: ring3 [-kernel FILE] [OPTION]...\n"
           "Runs an unmodified 32-bit x86 system by binary translation, without privileges.\n");
    for (unsigned g = 0; g < GROUPS; g++) {
        printf("\n%s\n", group_title[g]);
        for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
            char left[32];

            if (table[i].group != g || !*table[i].help)
                continue;
            snprintf(left, sizeof(left), "-%s %s", table[i].name, table[i].arg ? table[i].arg : "");
            printf("  %-19s %s\n", left, table[i].help);
        }
    }
    printf("\nOn the console, Ctrl-a x quits, Ctrl-a c gives commands, Ctrl-a h helps.\n"
           "The manual page ring3(1) has the details and the exit statuses.\n");
}

static void print_cpus(void)
{
    const struct cpu_model *model;

    for (unsigned i = 0; (model = cpu_model_at(i)); i++)
        printf("%-12s %s\n", model->name, model->help);
}

static void print_engines(void)
{
    const struct engine_ops *ops;

    for (unsigned i = 0; (ops = engine_at(i)); i++)
        printf("%-8s %s%s\n", ops->name, ops->help, i == 0 ? " (default)" : "");
}

static void print_logs(void)
{
#define X(id, name, help) printf("%-14s %s\n", name, help);
    LOG_LIST(X)
#undef X
}

static void print_devices(void)
{
    printf("What -device adds:\n"
           "isa-debug-exit  iobase=0x501,iosize=2: a write of V ends ring3 with status V<<1 | 1\n\n"
           "What the board always has:\n");
    machine_print_board(stdout);
}

// ---- Parts

static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[64], m = (unsigned)MIN(strlen(b), ARRAY_LEN(row) - 1);

    for (unsigned j = 0; j <= m; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= m; j++) {
            unsigned change = diagonal + (tolower(a[i - 1]) != tolower(b[j - 1]));

            diagonal = row[j];
            row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[m];
}

const char *options_nearest(const char *name)
{
    unsigned best = UINT_MAX;
    const char *nearest = NULL;

    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        unsigned distance = edit_distance(name, table[i].name);

        if (distance < best) {
            best = distance;
            nearest = table[i].name;
        }
    }
    // With more than half of it wrong it is no typing error.
    return best <= strlen(name) / 2 || best <= 1 ? nearest : NULL;
}

u64 options_size(const char *text)
{
    static const char suffixes[] = "KMG";
    unsigned long long number;
    unsigned shift = 20;
    char *end;

    if (strncmp(text, "size=", 5) == 0)
        text += 5;
    if (!isdigit((unsigned char)*text))
        return 0;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (*end) {
        const char *suffix = strchr(suffixes, toupper((unsigned char)*end));

        if (!suffix || end[1])
            return 0;
        shift = 10 * (unsigned)(suffix - suffixes + 1);
    }
    return errno || number >> (63 - shift) ? 0 : number << shift;
}

bool options_log(const char *list, u32 *mask, struct err *err)
{
    static const char *const names[] = {
#define X(id, name, help) name,
        LOG_LIST(X)
#undef X
    };

    for (;;) {
        size_t len = strcspn(list, ",");
        bool found = false;

        for (unsigned i = 0; i < ARRAY_LEN(names); i++)
            if (strlen(names[i]) == len && strncmp(names[i], list, len) == 0) {
                *mask |= BIT(i);
                found = true;
            }
        if (!found)
            return err_set(err, EXIT_USAGE, "-d %.*s: there is no such trace; -d help lists them",
                           (int)len, list);
        if (!list[len])
            return true;
        list += len + 1;
    }
}

// A number with any of C's prefixes in [0, max].
static bool parse_number(const char *text, unsigned long max, unsigned long *number)
{
    char *end;

    errno = 0;
    *number = strtoul(text, &end, 0);
    return isdigit((unsigned char)*text) && !*end && !errno && *number <= max;
}

static bool parse_device(struct options *o, const char *text, struct err *err)
{
    static const char name[] = "isa-debug-exit";
    unsigned long base = 0x501, size = 2;
    char copy[128], *rest = copy, *key;

    snprintf(copy, sizeof(copy), "%s", text);
    key = strsep(&rest, ",");
    if (strlen(text) >= sizeof(copy) || strcmp(key, name) != 0)
        return err_set(err, EXIT_USAGE,
                       "-device %s: there is no such device; -device help lists them",
                       text);
    while ((key = strsep(&rest, ","))) {
        char *value = key;
        bool ok;

        strsep(&value, "=");
        if (strcmp(key, "iobase") == 0)
            ok = value && parse_number(value, 0xffff, &base);
        else if (strcmp(key, "iosize") == 0)
            ok = value && parse_number(value, 4, &size) && size;
        else
            return err_set(err, EXIT_USAGE, "-device %s: %s has iobase= and iosize=, no \"%s\"",
                           text,
                           name, key);
        if (!ok)
            return err_set(err, EXIT_USAGE, "-device %s: \"%s\" is no %s", text, value ? value : "",
                           key[2] == 'b' ? "port (0 to 0xffff)" : "size (1, 2 or 4)");
    }
    o->machine.debug_exit_base = (int)base;
    o->machine.debug_exit_size = (int)size;
    return true;
}

// pc is the only machine; its name may come first, or as type=.
static bool parse_machine(struct options *o, const char *text, struct err *err)
{
    char copy[128], *rest = copy, *key;
    bool first = true;

    snprintf(copy, sizeof(copy), "%s", text);
    if (strlen(text) >= sizeof(copy))
        return err_set(err, EXIT_USAGE, "-machine: too long");
    for (; (key = strsep(&rest, ",")); first = false) {
        char *value = key;

        strsep(&value, "=");
        if ((first && !value && strcmp(key, "pc") == 0) ||
            (value && strcmp(key, "type") == 0 && strcmp(value, "pc") == 0))
            continue;
        if (!value || (strcmp(key, "apic") != 0 && strcmp(key, "exact-ticks") != 0) ||
            (strcmp(value, "on") != 0 && strcmp(value, "off") != 0))
            return err_set(err, EXIT_USAGE, "-machine %s: there is one machine, pc, with the options "
                           "apic=on|off and exact-ticks=on|off; -machine help prints its board", text);
        *(key[0] == 'a' ? &o->machine.apic : &o->machine.exact) = strcmp(value, "on") == 0;
    }
    return true;
}

// ---- The whole

static bool once(const char **where, const char *name, const char *value, struct err *err)
{
    if (*where)
        return err_set(err, EXIT_USAGE, "-%s is given twice", name);
    *where = value;
    return true;
}

// Takes one option. *done: help was printed.
static bool take(struct options *o, const char *name, const char *arg, bool *done, struct err *err)
{
    struct machine_config *m = &o->machine;
    unsigned long number;

    *done = true;
    if (strcmp(name, "help") == 0 || strcmp(name, "h") == 0)
        print_help();
    else if (strcmp(name, "version") == 0)
        printf("ring3 %s\n", RING3_VERSION);
    else if (arg && strcmp(arg, "help") == 0 && strcmp(name, "cpu") == 0)
        print_cpus();
    else if (arg && strcmp(arg, "help") == 0 && strcmp(name, "accel") == 0)
        print_engines();
    else if (arg && strcmp(arg, "help") == 0 && strcmp(name, "bt") == 0)
        engine_bt.help_options(stdout);
    else if (arg && strcmp(arg, "help") == 0 && strcmp(name, "d") == 0)
        print_logs();
    else if (arg && strcmp(arg, "help") == 0 && strcmp(name, "device") == 0)
        print_devices();
    else if (arg && strcmp(arg, "help") == 0 && (strcmp(name, "machine") == 0 || strcmp(name, "M") == 0))
        machine_print_board(stdout);
    else
        *done = false;
    if (*done)
        return true;
    if (strcmp(name, "kernel") == 0)
        return once(&m->kernel, name, arg, err);
    if (strcmp(name, "initrd") == 0)
        return once(&m->initrd, name, arg, err);
    if (strcmp(name, "append") == 0)
        return once(&m->append, name, arg, err);
    if (strcmp(name, "bios") == 0)
        return once(&m->bios, name, arg, err);
    if (strcmp(name, "boot") == 0)
        return options_boot(m, arg, err);
    if (strcmp(name, "drive") == 0)
        return options_drive(m, arg, err);
    if (strncmp(name, "hd", 2) == 0 || strncmp(name, "fd", 2) == 0 || strcmp(name, "cdrom") == 0)
        return options_image(m, name, arg, err);
    if (strcmp(name, "serial") == 0) {
        if (o->serials == SERIAL_PORTS)
            return err_set(err, EXIT_USAGE, "-serial is given too often: there are COM1 to COM4");
        o->serial[o->serials++] = arg;
        return true;
    }
    if (strcmp(name, "parallel") == 0)
        return once(&o->parallel, name, arg, err);
    if (strcmp(name, "display") == 0)
        return once(&o->display, name, arg, err);
    if (strcmp(name, "debugcon") == 0)
        return once(&o->debugcon, name, arg, err);
    if (strcmp(name, "D") == 0)
        return once(&o->log_file, name, arg, err);
    if (strcmp(name, "folded") == 0)
        return once(&m->profile.folded, name, arg, err);
    if (strcmp(name, "symbols") == 0)
        return once(&m->profile.symbols, name, arg, err);
    if (strcmp(name, "bt") == 0)
        return once(&m->bt_options, name, arg, err);
    if (strcmp(name, "d") == 0)
        return options_log(arg, &o->log_mask, err);
    if (strcmp(name, "machine") == 0 || strcmp(name, "M") == 0)
        return parse_machine(o, arg, err);
    if (strcmp(name, "device") == 0)
        return parse_device(o, arg, err);
    if (strcmp(name, "m") == 0) {
        m->ram_size = options_size(arg);
        // No memory at all is a matter of the machine's limits, like too little of it.
        if (!m->ram_size && strspn(arg, "0") != strlen(arg))
            return err_set(err, EXIT_USAGE,
                           "-m %s: not a size; give MiB, or a number with K, M or G",
                           arg);
    } else if (strcmp(name, "timeout") == 0) {
        if (!parse_number(arg, 1000000000, &number) || !number)
            return err_set(err, EXIT_USAGE, "-timeout %s: not a number of seconds", arg);
        m->timeout_s = (unsigned)number;
    } else if (strcmp(name, "cpu") == 0) {
        m->cpu = arg;
    } else if (strcmp(name, "accel") == 0) {
        m->accel = arg;
    } else if (strcmp(name, "no-reboot") == 0) {
        m->no_reboot = true;
    } else if (strcmp(name, "stats") == 0) {
        o->stats = m->profile.stats = true;
    } else if (strcmp(name, "perfmap") == 0) {
        m->profile.perfmap = true;
    } else if (strcmp(name, "jitdump") == 0) {
        m->profile.jitdump = true;
    } else if (strcmp(name, "hot") == 0) {
        if (!parse_number(arg, 10000, &number) || !number)
            return err_set(err, EXIT_USAGE, "-hot %s: not a number of blocks, 1 to 10000", arg);
        m->profile.hot = (unsigned)number;
    } else if (strcmp(name, "snapshot") == 0) {
        o->snapshot = true;
    } else if (strcmp(name, "nographic") == 0) {
        o->nographic = true;
    }
    return true;
}

static bool unknown_option(const char *given, struct err *err)
{
    const char *name = given + strspn(given, "-"), *nearest;
    size_t len = strcspn(name, "=");
    unsigned same = 0;
    char bare[40];

    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        if (strlen(table[i].name) == len && strncmp(table[i].name, name, len) == 0)
            return err_set(err, EXIT_USAGE, "%s: -%s takes no value", given, table[i].name);
        same += strncmp(table[i].name, name, len) == 0;
    }
    if (len && same > 1)
        return err_set(err, EXIT_USAGE, "option %s is short for more than one; --help lists them",
                       given);
    snprintf(bare, sizeof(bare), "%.*s", (int)MIN(len, sizeof(bare) - 1), name);
    nearest = options_nearest(bare);
    return nearest ? err_set(err, EXIT_USAGE,
                             "unknown option %s; did you mean -%s? (--help lists all)",
                             given, nearest)
                   : err_set(err, EXIT_USAGE, "unknown option %s; --help lists all", given);
}

static void defaults(struct options *o)
{
    *o = (struct options){
        .machine = { .ram_size = 128ull << 20, .cpu = "pentium3", .debug_exit_base = -1, .apic = true,
                     .front_fd = -1 },
    };
}

bool options_console(struct options *o, bool tty, struct err *err)
{
    bool curses, terminal = false;

    for (unsigned i = 0; i < o->serials; i++)
        terminal = terminal || strcmp(o->serial[i], "stdio") == 0;
    // What boots from a disk shows itself on a screen; a kernel's output is where its command line says,
    // which is the serial port as a rule.
    if (!o->display)
        o->display = tty && !o->nographic && !terminal && !o->machine.kernel ? "curses" : "none";
    curses = strcmp(o->display, "curses") == 0;
    if (!curses && strcmp(o->display, "none") != 0)
        return err_set(err, EXIT_USAGE, "-display %s: there are curses and none", o->display);
    if (curses && o->nographic)
        return err_set(err, EXIT_USAGE, "-nographic and -display curses exclude each other");
    if (!o->serials)
        o->serial[o->serials++] = curses ? "vc" : "stdio";
    if (!o->debugcon)
        o->debugcon = curses ? "none" : "stdio";
    if (curses && (strcmp(o->debugcon, "stdio") == 0 || (o->parallel && strcmp(o->parallel, "stdio") == 0)))
        return err_set(err, EXIT_USAGE, "-display curses has the terminal: nothing else can lead to stdio");
    return true;
}

enum options_result options_parse(struct options *o, int argc, char **argv, struct err *err)
{
    struct option longs[ARRAY_LEN(table) + 1] = { 0 };
    int which = -1, c;
    bool done;

    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        longs[i] = (struct option){ table[i].name, table[i].arg ? required_argument : no_argument,
                                    NULL, 1000 + (int)i };
    defaults(o);
    opterr = 0;
    optind = 0; // glibc: start afresh, also on a second call
    while ((c = getopt_long_only(argc, argv, ":", longs, &which)) != -1) {
        if (c == ':') {
            err_set(err, EXIT_USAGE, "option %s wants a value after it", argv[optind - 1]);
            return OPTIONS_ERROR;
        }
        if (c == '?') {
            unknown_option(argv[optind - 1], err);
            return OPTIONS_ERROR;
        }
        if (!take(o, table[c - 1000].name, optarg, &done, err))
            return OPTIONS_ERROR;
        if (done)
            return OPTIONS_DONE;
    }
    if (optind < argc) {
        err_set(err, EXIT_USAGE, "unexpected argument %s; a kernel is given with -kernel, a disk with -hda",
                argv[optind]);
        return OPTIONS_ERROR;
    }
    if (!options_settle(&o->machine, o->snapshot, err))
        return OPTIONS_ERROR;
    if (!o->machine.kernel && !o->machine.bios && !o->machine.drives) {
        err_set(err, EXIT_USAGE,
                "there is nothing to run: name a disk with -hda or -cdrom FILE, a kernel with "
                "-kernel FILE, or firmware with -bios FILE (--help)");
        return OPTIONS_ERROR;
    }
    return OPTIONS_RUN;
}
