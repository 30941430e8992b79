// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel.h"

#define COM1 0x3f8
#define DEBUG_EXIT 0xf4

u64 gdt[16], idt[256];
u32 tss[26];
u32 page_directory[1024] __attribute__((aligned(4096)));
u32 page_table[4096] __attribute__((aligned(4096)));
u8 arena[16][4096] __attribute__((aligned(4096)));

struct trap last;
u32 last_cr2, trap_count;

static void (*handlers[256])(struct trap *);
static u32 checks, failures;
extern u32 guard_esp; // entry.S: 0 outside guarded calls

static void put(char c)
{
    if (c == '\n')
        put('\r');
    while (!(inb(COM1 + 5) & 0x20))
        continue;
    outb(COM1, (u8)c);
}

static void put_number(u32 value, u32 base, int width, char fill)
{
    char digits[12];
    int n = 0;

    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    for (; width > n; width--)
        put(fill);
    while (n > 0)
        put(digits[--n]);
}

void print(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    for (; *format; format++) {
        int width = 0;
        char fill = ' ';
        bool left = false;

        if (*format != '%') {
            put(*format);
            continue;
        }
        format++;
        if (*format == '-') {
            left = true;
            format++;
        }
        if (*format == '0')
            fill = *format++;
        while (*format >= '0' && *format <= '9')
            width = width * 10 + *format++ - '0';
        if (*format == 's') {
            const char *s = va_arg(ap, const char *);
            int n = 0;

            while (s[n])
                n++;
            for (int i = n; !left && i < width; i++)
                put(' ');
            for (int i = 0; i < n; i++)
                put(s[i]);
            for (int i = n; left && i < width; i++)
                put(' ');
        } else if (*format == 'x') {
            put_number(va_arg(ap, u32), 16, width, fill);
        } else if (*format == 'u') {
            put_number(va_arg(ap, u32), 10, width, fill);
        } else if (*format == 'd') {
            int value = va_arg(ap, int);

            if (value < 0)
                put('-');
            put_number(value < 0 ? -(u32)value : (u32)value, 10, width, fill);
        } else if (*format == 'c') {
            put((char)va_arg(ap, int));
        } else {
            put(*format);
        }
    }
    va_end(ap);
}

void check(const char *name, u32 got, u32 wanted)
{
    checks++;
    if (got == wanted) {
        print("ok %s\n", name);
    } else {
        failures++;
        print("FAILED %s: %08x, not %08x\n", name, got, wanted);
    }
}

void debug_exit(u32 value)
{
    while (!(inb(COM1 + 5) & 0x40))
        continue;
    outl(DEBUG_EXIT, value);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void finish(void)
{
    print("%u checks, %u failed\n", checks, failures);
    debug_exit(failures || !checks ? 0x11 : 0x10);
}

void power_off(void)
{
    u32 pm_base;

    while (!(inb(COM1 + 5) & 0x40))
        continue;
    // PIIX4 power management: device 1 (or 7) function 3, PMBASE at 0x40. SLP_TYP 0 with SLP_EN is S5 there.
    outl(0xcf8, 0x80000b40);
    pm_base = inl(0xcfc) & 0xffc0;
    if (pm_base && pm_base != 0xffc0)
        outw((u16)(pm_base + 4), 0x2000);
    outw(0x604, 0x2000);
    outw(0xb004, 0x2000);
    debug_exit(0);
}

bool cpu_has(u32 edx_bit)
{
    u32 a = 1, b, c, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return d >> edx_bit & 1;
}

// ---- Exceptions

void handle(u8 vector, void (*handler)(struct trap *))
{
    handlers[vector] = handler;
}

void trap_dispatch(struct trap *t);
void trap_dispatch(struct trap *t)
{
    trap_count++;
    if (handlers[t->vector]) {
        handlers[t->vector](t);
        return;
    }
    if (t->vector == 0x81) // user_exit
        recover(NO_FAULT);
    last = *t;
    last_cr2 = read_cr2();
    if (guard_esp)
        recover((int)t->vector);
    print("FAILED unexpected exception %u, error %x, at %x:%08x, cr2 %08x\n", t->vector, t->error, t->cs, t->eip,
          last_cr2);
    debug_exit(0x11);
}

// ---- Segments and gates

u64 descriptor(u32 base, u32 limit, u8 access, u8 flags)
{
    return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16 & 15) << 48 |
           (u64)(flags & 15) << 52 | (u64)(base >> 24) << 56;
}

u64 gate(u16 selector, u32 offset, u8 access)
{
    return (offset & 0xffff) | (u64)selector << 16 | (u64)access << 40 | (u64)(offset >> 16) << 48;
}

void kernel_init(void)
{
    struct {
        u16 limit;
        u32 base;
    } __attribute__((packed)) table;

    outb(COM1 + 3, 0x80);
    outb(COM1, 1);
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 3);
    outb(0x21, 0xff);
    outb(0xa1, 0xff);

    gdt[KERNEL_CS / 8] = descriptor(0, 0xfffff, 0x9b, 0xc);
    gdt[KERNEL_DS / 8] = descriptor(0, 0xfffff, 0x93, 0xc);
    gdt[USER_CS / 8] = descriptor(0, 0xfffff, 0xfb, 0xc);
    gdt[USER_DS / 8] = descriptor(0, 0xfffff, 0xf3, 0xc);
    gdt[TSS_SELECTOR / 8] = descriptor((u32)tss, sizeof(tss) - 1, 0x89, 0);
    tss[1] = (u32)trap_stack_top;
    tss[2] = KERNEL_DS;
    tss[25] = sizeof(tss) << 16; // no I/O map
    for (unsigned i = 0; i < 256; i++)
        idt[i] = gate(KERNEL_CS, (u32)trap_stubs + 16 * i, i >= 0x80 || i == 3 || i == 4 ? 0xee : 0x8e);

    table.limit = sizeof(gdt) - 1;
    table.base = (u32)gdt;
    __asm__ volatile("lgdt %0" : : "m"(table));
    table.limit = sizeof(idt) - 1;
    table.base = (u32)idt;
    __asm__ volatile("lidt %0" : : "m"(table));
    __asm__ volatile("ljmp %0, $1f\n1:" : : "i"(KERNEL_CS));
    __asm__ volatile("movl %0, %%ds; movl %0, %%es; movl %0, %%ss; movl %1, %%fs; movl %1, %%gs"
                     : : "r"(KERNEL_DS), "r"(0));
    __asm__ volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

void paging_on(void)
{
    for (u32 i = 0; i < 4096; i++)
        page_table[i] = i << 12 | PTE_P | PTE_W | PTE_U;
    for (u32 i = 0; i < 4; i++)
        page_directory[i] = (u32)(page_table + 1024 * i) | PTE_P | PTE_W | PTE_U;
    write_cr3((u32)page_directory);
    write_cr0(read_cr0() | 0x80010000); // PG, WP
}
