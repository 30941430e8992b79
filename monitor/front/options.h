// SPDX-License-Identifier: GPL-2.0-or-later
// The command line: one table of options, from which parsing, --help and "did you mean" are made.
#ifndef RING3_MONITOR_FRONT_OPTIONS_H
#define RING3_MONITOR_FRONT_OPTIONS_H

#include "monitor/base/err.h"
#include "monitor/base/log.h"
#include "monitor/run/machine.h"

// Columns: group, name, argument or NULL, help. Groups are in options.c; their order is the
// table's.
#define OPTION_LIST(X)                                                                       \
    X(GUEST, "kernel", "FILE", "bzImage, Multiboot, 32-bit ELF, *.bin or boot sector to start")\
    X(GUEST, "initrd", "FILE", "initial RAM disk; for Multiboot \"FILE ARGS,FILE ARGS...\"") \
    X(GUEST, "bios", "FILE", "firmware (default, without -kernel: Debian's SeaBIOS)")        \
    X(GUEST, "boot", "LIST", "order=LETTERS (a floppy, c disk, d CD),once=...,menu=on,splash-time=MS")\
    X(DISKS, "hda", "FILE", "disk image, likewise -hdb, -hdc, -hdd")                         \
    X(DISKS, "hdb", "FILE", "")                                                              \
    X(DISKS, "hdc", "FILE", "")                                                              \
    X(DISKS, "hdd", "FILE", "")                                                              \
    X(DISKS, "cdrom", "FILE", "CD-ROM image")                                                \
    X(DISKS, "fda", "FILE", "floppy image, likewise -fdb")                                   \
    X(DISKS, "fdb", "FILE", "")                                                              \
    X(DISKS, "drive", "LIST", "file=,if=ide|floppy|virtio,media=disk|cdrom,index=,readonly=on...")\
    X(DISKS, "snapshot", NULL, "throw away what is written to the images")                   \
    X(GUEST, "append", "TEXT", "kernel command line")                                        \
    X(MACHINE, "m", "SIZE", "memory in MiB, or with a suffix K, M or G (default 128)")       \
    X(MACHINE, "machine", "LIST", "apic=off: without APICs; exact-ticks=on (help prints the board)")   \
    X(MACHINE, "M", "LIST", "")                                                              \
    X(MACHINE, "cpu", "MODEL", "CPU model (default pentium3; help lists them)")              \
    X(MACHINE, "device", "NAME,...", "isa-debug-exit,iobase=PORT,iosize=BYTES (help lists)") \
    X(MACHINE, "no-reboot", NULL, "exit instead of rebooting")                               \
    X(RUN, "accel", "ENGINE", "engine that runs guest code (help lists them)")               \
    X(RUN, "bt", "LIST", "options of the translator, as chain=off,direct=off")               \
    X(RUN, "timeout", "SECONDS", "end the run after this time, with status 68")              \
    X(IO, "display", "TYPE", "curses (the text screen on the terminal) or none; see the manual page")\
    X(IO, "serial", "DEV", "stdio, file:PATH, unix:PATH[,server=on][,wait=off] or none; for COM1 to COM4")\
    X(IO, "parallel", "DEV", "what the guest prints: file:PATH, stdio or none")              \
    X(IO, "debugcon", "DEV", "what the guest writes to port 0xe9: stdio, file:PATH or none") \
    X(IO, "nographic", NULL, "-display none -serial stdio")                                   \
    X(LOOK, "d", "LIST", "traces, separated by commas (help lists them)")                    \
    X(LOOK, "D", "FILE", "write traces to FILE instead of standard error")                   \
    X(LOOK, "stats", NULL, "print where the time went, and counters, at the end")            \
    X(LOOK, "hot", "N", "print the N blocks executed most often, at the end")                \
    X(LOOK, "folded", "FILE", "write sampled guest call stacks, for flame graphs")           \
    X(LOOK, "symbols", "FILE", "names of guest addresses: System.map, kallsyms, nm, 32-bit ELF")\
    X(LOOK, "perfmap", NULL, "name translated code for Linux perf, in /tmp/perf-PID.map")    \
    X(LOOK, "jitdump", NULL, "and for perf inject --jit, in /tmp/jit-PID.dump")              \
    X(HELP, "help", NULL, "print this help")                                                 \
    X(HELP, "h", NULL, "the same")                                                           \
    X(HELP, "version", NULL, "print the version")

#define SERIAL_PORTS 4

struct options {
    struct machine_config machine; // all but the log and the console's fields is filled
    const char *serial[SERIAL_PORTS], *debugcon, *parallel, *display;
    unsigned serials;
    bool nographic;
    const char *log_file;          // -D or NULL
    u32 log_mask;                  // -d
    bool stats, snapshot;
};

enum options_result {
    OPTIONS_RUN,   // go on
    OPTIONS_DONE,  // help was asked for, and printed
    OPTIONS_ERROR, // *err says what is wrong
};

// Parses argv; options_console is the rest. Strings in *options point into argv. Prints help to standard output.
enum options_result options_parse(struct options *options, int argc, char **argv, struct err *err);

// Take the arguments of -boot, of -hda, -cdrom, -fda and their like, and of -drive; drives.c.
bool options_boot(struct machine_config *m, const char *text, struct err *err);
bool options_image(struct machine_config *m, const char *option, const char *file, struct err *err);
bool options_drive(struct machine_config *m, const char *text, struct err *err);
// Finds places for the drives that were given none.
bool options_settle(struct machine_config *m, bool snapshot, struct err *err);

// Fills in display, serial ports and debug port where nothing was given. tty: standard input and output are
// a terminal that a screen can be shown on.
bool options_console(struct options *o, bool tty, struct err *err);

// Parts, for unit tests. A size: digits with an optional suffix, MiB without one; 0 if malformed.
u64 options_size(const char *text);
// The option whose name is nearest to `name` (without dashes) by edit distance; NULL if none is
// near.
const char *options_nearest(const char *name);
// Adds the traces of a comma-separated list to *mask.
bool options_log(const char *list, u32 *mask, struct err *err);

#endif
