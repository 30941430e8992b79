// SPDX-License-Identifier: GPL-2.0-or-later
// Nanobenchmarks: what single operations of a kernel cost, in cycles of the time-stamp counter. After Adams and
// Agesen, "A Comparison of Software and Hardware Techniques for x86 Virtualization" (ASPLOS 2006), who named
// syscall, in, cr8wr, call/ret, pgfault, divzero and ptemod; this guest has CR3 writes instead of CR8's.
// Prints "@nano NAME CYCLES" with two decimals, the median of several batches less an empty loop's.
#include "nano.h"

enum { BATCHES = 15, BATCH = 400 };

static u64 rdtsc(void)
{
    u32 low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (u64)high << 32 | low;
}

static u32 median(u32 *values)
{
    for (int i = 1; i < BATCHES; i++)
        for (int k = i; k > 0 && values[k - 1] > values[k]; k--) {
            u32 t = values[k];

            values[k] = values[k - 1];
            values[k - 1] = t;
        }
    return values[BATCHES / 2];
}

// Runs a loop of nano_loops.S; the cycles of one iteration, times 100.
static u32 measure(void (*loop)(u32 count), u32 count)
{
    u32 values[BATCHES];

    loop(count); // warm: translated, mapped
    for (int i = 0; i < BATCHES; i++) {
        u64 begin = rdtsc();

        loop(count);
        values[i] = (u32)(rdtsc() - begin);
    }
    return median(values) / count * 100 + median(values) % count * 100 / count;
}

static void report(const char *name, u32 cycles100, u32 empty)
{
    cycles100 = cycles100 > empty ? cycles100 - empty : 0;
    print("@nano %s %u.%02u\n", name, cycles100 / 100, cycles100 % 100);
}

static void write_msr(u32 msr, u32 value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"(value), "d"(0));
}

// What is measured at CPL 3, where the console cannot be reached.
struct user_results {
    u32 empty, int80, sysenter, pgfault; // cycles times 100; 0: not measured
};

static void in_user_mode(void *results)
{
    struct user_results *r = results;

    r->empty = measure(loop_empty, BATCH);
    r->int80 = measure(loop_int80, BATCH);
    r->pgfault = measure(loop_pgfault, BATCH);
    if (cpu_has(1u << 11))
        r->sysenter = measure(loop_sysenter, BATCH);
}

// A second address space: the same pages through a directory of its own.
static u32 second_directory(void)
{
    static u32 directory[1024] __attribute__((aligned(4096)));

    for (u32 i = 0; i < 1024; i++)
        directory[i] = page_directory[i];
    return (u32)directory;
}

_Noreturn void kernel_main(u32 info)
{
    struct user_results user = {0};
    u32 empty;

    (void)info;
    kernel_init();
    paging_on();
    idt[0] = gate(KERNEL_CS, (u32)on_divide, 0x8e);
    idt[14] = gate(KERNEL_CS, (u32)on_page_fault, 0x8e);
    idt[0x80] = gate(KERNEL_CS, (u32)on_int80, 0xee);
    if (cpu_has(1u << 11)) {
        write_msr(0x174, KERNEL_CS);
        write_msr(0x175, (u32)trap_stack_top);
        write_msr(0x176, (u32)on_sysenter);
    }
    page_table[NANO_HOLE >> 12] = 0;
    nano_directories[0] = read_cr3();
    nano_directories[1] = second_directory();

    empty = measure(loop_empty, BATCH);
    report("in", measure(loop_in, BATCH), empty);
    report("cr3wr", measure(loop_cr3, BATCH), empty);
    report("callret", measure(loop_call, 100 * BATCH), empty);
    report("pgfault", measure(loop_pgfault, BATCH), empty);
    report("divzero", measure(loop_divide, BATCH), empty);
    report("ptemod", measure(loop_pte, BATCH), empty);
    report("ptemod_used", measure(loop_pte_used, BATCH), empty);
    report("invlpg", measure(loop_invlpg, BATCH), empty);
    report("sti_cli", measure(loop_sti_cli, 10 * BATCH), empty);

    guarded_user(in_user_mode, &user, 2);
    report("int80", user.int80, user.empty);
    report("syscall", user.sysenter, user.empty);
    report("pgfault_user", user.pgfault, user.empty);
    print("@done\n");
    power_off();
}
