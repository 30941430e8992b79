// SPDX-License-Identifier: GPL-2.0-or-later
// The board: every chip of the PC, wired in one readable table (board.c).
#ifndef RING3_MONITOR_DEV_BOARD_H
#define RING3_MONITOR_DEV_BOARD_H

#include "monitor/base/bus.h"
#include "monitor/base/err.h"
#include "monitor/base/irq.h"
#include "monitor/base/log.h"
#include "drive.h"
#include "screen.h"

// What memory_place puts somewhere.
enum memory_kind { MEMORY_NONE, MEMORY_RAM, MEMORY_ROM };

// What the chips need from the machine around them. All callbacks run on the vCPU thread, as do all
// chips.
struct board_host {
    void *opaque;
    u64 (*now_ns)(void *opaque);                      // monotonic guest time
    u64 (*wall_us)(void *opaque);                     // host wall-clock time, UTC, for the RTC
    void (*intr)(void *opaque, bool level);           // INTR, from the local APIC or the PIC
    void (*reset)(void *opaque);                      // CPU and board reset requested
    // INIT to the CPU alone: a program will come back through its vector at 40:67. NULL: reset does.
    void (*init)(void *opaque);
    void (*power_off)(void *opaque);
    void (*debug_exit)(void *opaque, u32 value);      // isa-debug-exit
    void (*set_a20)(void *opaque, bool on);
    void (*serial_out)(void *opaque, int port, const u8 *bytes, size_t len);
    void (*debug_out)(void *opaque, u8 byte);         // port 0xe9
    // Both may be NULL. board_deadline may have moved to an earlier time (a timer was programmed);
    // board_serial_room grew for this port (so that stalled input is offered again at once).
    void (*timer_changed)(void *opaque);
    void (*serial_room)(void *opaque, int port);
    // More that may be NULL. How [base, base+len) answers has changed (PAM registers): reads and
    // writes go to RAM or, where false, to the ROM or bus behind it.
    void (*memory_map)(void *opaque, u32 base, u32 len, bool read_ram, bool write_ram);
    // DMA: guest-physical memory. Without them DMA reads give 0xff and writes go nowhere.
    void (*dma_read)(void *opaque, u64 gpa, void *buf, size_t len);
    void (*dma_write)(void *opaque, u64 gpa, const void *buf, size_t len);
    // The memory itself, to be read by any thread, or written at once, before the guest goes on; dma_written follows then.
    // NULL if [gpa, gpa+len) is not all RAM in one piece. Both may be NULL.
    u8 *(*dma_map)(void *opaque, u64 gpa, size_t len, bool write);
    void (*dma_written)(void *opaque, u64 gpa, size_t len);
    void (*parallel_out)(void *opaque, u8 byte);      // LPT1
    void (*nmi)(void *opaque);
    // Callable from any thread: board_poll is to run soon.
    void (*kick)(void *opaque);
    // The guest cannot go on until the user has mended something: stop it and say why. What waits goes
    // on with board_resume.
    void (*stop)(void *opaque, const char *why);
    // The user should know this, and the guest goes on; may be NULL.
    void (*tell)(void *opaque, const char *what);
    // Memory on a board (video memory, option ROMs): creates len zeroed bytes, for the board's life,
    // or NULL; *handle names them. memory_place lets [base, base+len) of the guest's physical memory
    // show them from byte `offset` on, or, with MEMORY_NONE or len 0, nothing; false if something
    // else is there. In A0000-BFFFF it replaces what it placed there before.
    u8 *(*memory_create)(void *opaque, u32 len, u32 *handle);
    bool (*memory_place)(void *opaque, u32 base, u32 len, u32 handle, u32 offset, enum memory_kind kind);
};

// A Linux kernel that firmware is to start, in pieces.
struct board_kernel {
    const u8 *setup, *kernel, *initrd;  // 16-bit part, patched for its loader; the rest; may be NULL
    u32 setup_len, kernel_len, initrd_len;
    u32 initrd_at;
    const char *cmdline;
};

struct board_config {
    u64 ram_size;
    int debug_exit_base;  // -1: no isa-debug-exit
    int debug_exit_size;
    unsigned serial_ports; // COM1..COMn, at most 4; 0 means 1
    // True when firmware will set the chipset up. Otherwise the board leaves reset as a BIOS would
    // hand it over: PIRQs routed, power management mapped, the interval timer at 18.2 Hz.
    bool firmware;
    // For firmware: which devices to boot from, in order (a floppy, c disk, d CD, n network), NULL
    // for "cad"; whether to show its boot menu, and for how long (0: its own choice).
    const char *boot_order;
    bool boot_menu;
    unsigned boot_menu_wait_ms;
    bool apic;             // the CPU has a local APIC, and so the board an I/O APIC
    u32 cpu_signature, cpu_features; // CPUID.1's EAX and EDX, for the MP table
    const struct board_kernel *kernel; // NULL: none; copied
    const struct board_drive *drive; // copied, but not its strings
    unsigned drives;
    const u8 *vga_rom;     // the VGA's option ROM, copied; vga_rom_len 0: none
    u32 vga_rom_len;
};

struct board; // board.c

struct board *board_create(const struct board_config *config, const struct board_host *host,
                           struct bus *bus, struct log *log, struct err *err);
void board_destroy(struct board *board);
void board_reset(struct board *board);
// Whether the firmware would jump through the vector at 40:67 instead of starting anew, as 286 systems have it do to leave
// protected mode. Then what is a reset of the CPU alone on hardware has to be one.
bool board_comes_back(const struct board *board);
// Changes the boot order, from the next reset on; NULL: to the usual one.
void board_boot_order(struct board *board, const char *order);

// When board_poll must next be called at the latest, in now_ns time; UINT64_MAX if no timer is
// armed.
u64 board_deadline(struct board *board);
// Whether that is a timer which the guest has programmed since it last fired, and which does not repeat by itself.
bool board_deadline_once(struct board *board);
// Runs the timers that are due.
void board_poll(struct board *board);

// Offers received bytes to serial port `port`; returns how many it took (the rest is offered again
// later: nothing is lost). board_serial_room tells how many it would take now; it is worth asking
// again after each board_poll, for a port that wants a pause before its next byte arms a deadline
// for its end.
size_t board_serial_in(struct board *board, int port, const u8 *bytes, size_t len);
size_t board_serial_room(struct board *board, int port);

// Interrupt acknowledge: the vector, or -1 if the PIC has none after all.
int board_intr_ack(void *board);
// The CPU's IA32_APIC_BASE was written.
void board_apic_base(void *board, u64 value);
// FERR# from the CPU (IRQ 13 when CR0.NE = 0).
void board_ferr(void *board, bool level);
// Presses the ACPI power button.
void board_power_button(struct board *board);

// A key goes down or up: its set-1 make code, 80h added for keys with an E0 prefix (ps2.h).
void board_key(struct board *board, u8 key, bool down);
// Presses keys (at most 4) in this order, holds them, and releases them, after what was asked for
// before; false if too much of that is waiting.
bool board_press(struct board *board, const u8 *keys, unsigned count, unsigned hold_ms);

// The ACPI tables (RSDP, RSDT, FADT, FACS, DSDT, ...), for a machine without firmware: relocated to
// base. Writes at most len bytes to out; returns the size used. The RSDP comes first.
size_t board_acpi_tables(struct board *board, u32 base, u8 *out, size_t len);

// The MP tables to lie at base (a multiple of 16), for a machine without firmware: at most
// BOARD_MP_MAX bytes; 0: there are no APICs.
#define BOARD_MP_MAX 512
size_t board_mp_table(struct board *board, u32 base, u8 *out);

// What was stopped by an error of the host's goes on.
void board_resume(struct board *board);
// Puts another image into a drive by its name ("ide1-cd0", "floppy0"), or with file NULL takes it out.
bool board_change(struct board *board, const char *drive, const char *file, struct err *err);

// What the display shows. board_pixels: false when out of memory.
void board_screen(struct board *board, struct screen_text *out);
bool board_pixels(struct board *board, struct screen_pixels *out);

// Prints the board as it is built, a line a chip.
void board_print_table(FILE *f);
// `info NAME` texts for the console ("pic", "apic", "pci", "irq"... board_info.c has the list); false if
// there is no such page.
bool board_info(struct board *board, const char *what, FILE *f);

#endif
