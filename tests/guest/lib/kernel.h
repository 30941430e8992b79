// SPDX-License-Identifier: GPL-2.0-or-later
// A kernel for guests of our own: the demo and the system-level tests. It is a Multiboot ELF at 1 MiB that
// starts in flat protected mode at CPL 0, without paging, and ends through isa-debug-exit.
#ifndef RING3_TESTS_GUEST_KERNEL_H
#define RING3_TESTS_GUEST_KERNEL_H

#include "selectors.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

// ---- The console: the first serial port.
void print(const char *format, ...) __attribute__((format(printf, 1, 2))); // %s %d %u %x %c, width and 0

// ---- Verdicts.
// Prints "ok NAME" or "FAILED NAME: GOT, not WANTED", and remembers.
void check(const char *name, u32 got, u32 wanted);
// Ends the guest: exit status 33 of the monitor if all checks held and there were some, else 35.
_Noreturn void finish(void);
_Noreturn void debug_exit(u32 value);
_Noreturn void power_off(void); // by ACPI, of the i440FX board; by isa-debug-exit if that does nothing

// ---- Ports.
static inline void outb(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
static inline void outw(u16 port, u16 value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}
static inline void outl(u16 port, u32 value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}
static inline u8 inb(u16 port)
{
    u8 value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline u16 inw(u16 port)
{
    u16 value;

    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline u32 inl(u16 port)
{
    u32 value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

// ---- Control registers.
#define REGISTER(name)                                                                       \
    static inline u32 read_##name(void)                                                      \
    {                                                                                        \
        u32 value;                                                                           \
                                                                                             \
        __asm__ volatile("movl %%" #name ", %0" : "=r"(value) : : "memory");                 \
        return value;                                                                        \
    }                                                                                        \
    static inline void write_##name(u32 value)                                               \
    {                                                                                        \
        __asm__ volatile("movl %0, %%" #name : : "r"(value) : "memory");                     \
    }
REGISTER(cr0)
REGISTER(cr2)
REGISTER(cr3)
REGISTER(cr4)
REGISTER(dr0)
REGISTER(dr1)
REGISTER(dr2)
REGISTER(dr3)
REGISTER(dr6)
REGISTER(dr7)
#undef REGISTER

static inline void invlpg(u32 address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}
static inline u32 read_eflags(void)
{
    u32 value;

    __asm__ volatile("pushfl; popl %0" : "=r"(value));
    return value;
}
bool cpu_has(u32 edx_bit); // CPUID.1:EDX

// ---- Exceptions. Vectors without a handler end the innermost guarded call, or the guest.
struct trap {
    u32 edi, esi, ebp, esp_before, ebx, edx, ecx, eax;
    u32 es, ds;
    u32 vector, error;
    u32 eip, cs, eflags;
    u32 esp, ss;                  // only if it came from CPL 3 or V86 mode
    u32 v86_es, v86_ds, v86_fs, v86_gs; // only from V86 mode
};

// The last exception without a handler, and CR2 then.
extern struct trap last;
extern u32 last_cr2;
extern u32 trap_count; // all exceptions and interrupts so far

// Called for the vector instead; may change the frame, which is returned to.
void handle(u8 vector, void (*handler)(struct trap *));

// Runs function(argument) at CPL 0 or 3; returns -1, or the vector of the exception that ended it.
int guarded_call(void (*function)(void *), void *argument);
int guarded_user(void (*function)(void *), void *argument, u32 eflags);
_Noreturn void recover(int result); // from a handler: ends the innermost guarded call
#define NO_FAULT (-1)

// ---- Segments and gates.
extern u64 gdt[16];
extern u64 idt[256];
extern u32 tss[26];
extern u32 trap_stack_top[], user_stack_top[], stack_top[];
extern u8 trap_stubs[]; // 16 bytes each
// A segment descriptor: access is its byte 5 (P, DPL, S, type), flags its high nibble of byte 6 (G, D, L, AVL).
u64 descriptor(u32 base, u32 limit, u8 access, u8 flags);
u64 gate(u16 selector, u32 offset, u8 access); // interrupt, trap, call and task gates
void kernel_init(void); // GDT, IDT, TSS, serial port

// ---- Paging: one table of 4 KiB pages for the first 16 MiB, identity, all user and writable; [n] is page n.
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_G = 0x100 };
extern u32 page_directory[1024], page_table[4096];
void paging_on(void);

// Free, page-aligned memory for tests, mapped one to one.
extern u8 arena[16][4096];

#endif
