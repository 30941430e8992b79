// SPDX-License-Identifier: GPL-2.0-or-later
// The 32-bit half of the test ROM: reports, and the order of its stages.
#include "rom.h"

#define POST_PORT 0x190
#define DEBUG_PORT 0xe9
#define EXIT_PORT 0xf4

static void say(const char *s)
{
    for (; *s; s++)
        outb(DEBUG_PORT, (u8)*s);
}

static void say_number(u32 value, u32 base, u32 width)
{
    char digits[12];
    u32 n = 0;

    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value || n < width);
    while (n > 0)
        outb(DEBUG_PORT, (u8)digits[--n]);
}

void stage(u8 code, const char *name)
{
    outb(POST_PORT, code);
    say_number(code, 16, 2);
    say(" ");
    say(name);
    say("\n");
}

static _Noreturn void end(u32 value)
{
    outl(EXIT_PORT, value);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void failed(const char *file, int line, const char *what)
{
    say("FAILED: ");
    say(file);
    say(", line ");
    say_number((u32)line, 10, 1);
    say(": ");
    say(what);
    say("\nthe last exception: vector ");
    say_number(last.vector, 10, 1);
    say(", error ");
    say_number(last.error, 16, 1);
    say(", EIP ");
    say_number(last.eip, 16, 8);
    say(", CR2 ");
    say_number(last_cr2, 16, 8);
    say("\n");
    end(0x11);
}

// Ends guarded calls; anywhere else it is the end of the ROM.
static void exception(struct trap *t)
{
    extern u32 guard_esp;

    last = *t;
    last_cr2 = read_cr2();
    if (!guard_esp)
        failed(__FILE_NAME__, __LINE__, "no exception here");
    recover((int)t->vector);
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    for (u32 i = 0; i < 32; i++)
        handle((u8)i, exception);
    protected_stages();
    memory_stages();
    extension_stages();
    stage(0xff, "PASSED");
    end(0x10);
}
