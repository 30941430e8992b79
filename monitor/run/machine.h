// SPDX-License-Identifier: GPL-2.0-or-later
// The virtual machine: CPU, memory, board, one engine, and the loop that drives them.
#ifndef RING3_MONITOR_RUN_MACHINE_H
#define RING3_MONITOR_RUN_MACHINE_H

#include "engine.h"
#include "monitor/base/err.h"
#include "monitor/base/log.h"
#include "profile.h"
#include "monitor/dev/drive.h"
#include "monitor/dev/screen.h"

struct machine;

struct machine_config {
    u64 ram_size;                 // bytes
    const char *cpu;              // model name
    const char *accel;            // engine name
    const char *bt_options;       // -bt LIST or NULL
    const char *kernel, *initrd, *append;
    const char *bios;             // firmware image; NULL: none with a kernel, else SeaBIOS
    const char *boot_order, *boot_once; // letters of a, c, d, n; or NULL. boot_once is for the first boot.
    bool boot_menu;
    struct board_drive drive[BOARD_DRIVES];
    unsigned drives;
    unsigned boot_menu_wait_ms;
    int debug_exit_base, debug_exit_size; // base -1: none
    bool apic;                    // local APIC and I/O APIC, where the CPU model has one
    bool exact;                   // the tick of an idle guest is never late (idle.h)
    bool no_reboot;
    struct profile_config profile;
    unsigned timeout_s;           // 0: none
    struct log *log;              // not owned
    // The outside of the serial ports, the printer and the debug port. serial_in gives at most len
    // bytes that are ready for a port, without blocking; it is also called with len 0, when the guest
    // takes nothing, so that the console sees its escapes. serial_out never loses bytes. front_fd (-1:
    // none) is readable while front_poll, which may be NULL, or serial_in for any port has something
    // to do. parallel_out may be NULL: no printer.
    void *console;
    int front_fd;
    unsigned serial_ports;        // COM1..COMn; 0 means 1
    void (*front_poll)(void *console);
    size_t (*serial_in)(void *console, int port, u8 *buf, size_t len);
    void (*serial_out)(void *console, int port, const u8 *bytes, size_t len);
    void (*parallel_out)(void *console, u8 byte);
    void (*debug_out)(void *console, u8 byte);
};

// Builds the machine and loads the guest. NULL on failure, nothing left behind.
struct machine *machine_create(const struct machine_config *config, struct err *err);
void machine_destroy(struct machine *m);

// Runs to the end: power-off, reset under -no-reboot, debug exit, time limit, machine_quit. Returns
// the exit status of the program; err->text is filled where there is something to say, else empty.
int machine_run(struct machine *m, struct err *err);

// From the console, another thread or a signal handler: ends machine_run with EXIT_OK.
void machine_quit(struct machine *m);

// ---- The rest is for the vCPU thread: from within serial_in and front_poll, or before and after machine_run.
// ACPI power button.
void machine_power_button(struct machine *m);
// Resets the machine, as its reset button would.
void machine_reset(struct machine *m);
// Stops and resumes the guest and its clock (not the console).
void machine_pause(struct machine *m, bool pause);
// Prints the CPU's state and the last exceptions, as after a triple fault.
void machine_print_state(struct machine *m, FILE *f);

// Puts another image (NULL: none) into a drive with removable media, as board_change.
bool machine_change(struct machine *m, const char *drive, const char *file, struct err *err);

// The display, and keys pressed, as in board.h.
void machine_screen(struct machine *m, struct screen_text *out);
bool machine_pixels(struct machine *m, struct screen_pixels *out);
bool machine_press(struct machine *m, const u8 *keys, unsigned count, unsigned hold_ms);
void machine_key(struct machine *m, u8 key, bool down);

// `info WHAT` (registers, faults, tlb, stats, and the board's pic, pci, mtree, irq...); false if
// there is no such page.
bool machine_info(struct machine *m, const char *what, FILE *f);
// Prints the board that every machine is built on.
void machine_print_board(FILE *f);
void machine_print_stats(struct machine *m, FILE *f);

// After machine_run: prints the hot blocks and writes the folded stacks, where the configuration asks for them.
bool machine_report(struct machine *m, FILE *f, struct err *err);

#endif
