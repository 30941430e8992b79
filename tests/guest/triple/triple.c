// SPDX-License-Identifier: GPL-2.0-or-later
// Shutdown: what the command line names goes wrong in the delivery of a double fault. Run by tests/guest/run-triple.
// A machine that starts again after that finds a note in the memory of the RTC, and passes.
#include "tests/guest/lib/kernel.h"

static u8 *const hole = arena[3];

static void cmos_write(u8 at, u8 value)
{
    outb(0x70, at);
    outb(0x71, value);
}

static u8 cmos_read(u8 at)
{
    outb(0x70, at);
    return inb(0x71);
}

static void use_idt(const void *base, u16 limit)
{
    struct {
        u16 limit;
        u32 base;
    } __attribute__((packed)) t = { limit, (u32)base };

    __asm__ volatile("lidt %0" : : "m"(t));
}

_Noreturn static void divide(void)
{
    __asm__ volatile("movl $0xfeedface, %%eax; movl $0xc0ffee, %%ebx; xorl %%edx, %%edx; xorl %%ecx, %%ecx; divl %%ecx" : :
                     : "eax", "ebx", "ecx", "edx");
    debug_exit(0x11);
}

static void user(void *unused)
{
    (void)unused;
    divide();
}

void kernel_main(const u32 *info);
void kernel_main(const u32 *info)
{
    const char *line = info[0] & 4 ? (const char *)info[4] : " ";

    kernel_init();
    if (cmos_read(0x60) == 0xa7) {
        cmos_write(0x60, 0);
        print("once more\n");
        check("started again", read_cr0() & 0x80000000, 0);
        finish();
    }
    cmos_write(0x60, 0xa7);
    paging_on();
    print("%s\n", line);
    while (line[1])
        line++;
    idt[0] = 0;
    switch (*line) {
    case '1': // no gate for the double fault
        idt[8] = 0;
        break;
    case '2': // no IDT at all
        use_idt(NULL, 0);
        break;
    case '3': // the IDT's page is missing
        page_table[(u32)hole >> 12] = 0;
        invlpg((u32)hole);
        use_idt(hole, 0x7ff);
        break;
    case '4': // no stack: from CPL 3
        idt[0] = gate(KERNEL_CS, (u32)trap_stubs, 0x8e);
        tss[1] = (u32)hole + 64;
        page_table[(u32)hole >> 12] = 0;
        invlpg((u32)hole);
        guarded_user(user, NULL, 2);
        break;
    default: // no page tables
        write_cr3((u32)arena[5]);
    }
    divide();
}
