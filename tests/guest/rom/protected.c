// SPDX-License-Identifier: GPL-2.0-or-later
// Stages 11 to 15: segments, what instructions tell of them, gates, privilege, tasks, exceptions.
#include "rom.h"
#include "tests/guest/lib/modes.h"

#define SEL(i) (SPARE + 8 * (i))
#define STORED(insn, type)                                                                   \
    ({                                                                                       \
        type value_;                                                                         \
        __asm__ volatile(insn " %0" : "=m"(value_));                                         \
        value_;                                                                              \
    })

static u32 selector, offset;
extern volatile u32 value;
volatile u32 value;

static void load(void *sel)
{
    __asm__ volatile("movl %0, %%fs" : : "r"(sel));
}
static void load_stack(void *sel)
{
    __asm__ volatile("movl %%ss, %%ecx; movl %0, %%ss; movl %%ecx, %%ss" : : "r"(sel) : "ecx");
}
static void read_fs(void *at)
{
    u32 got;

    __asm__ volatile("movl %1, %%fs; movl %%fs:(%2), %0" : "=r"(got) : "r"(selector), "r"(at));
    value = got;
}
static void write_fs(void *at)
{
    __asm__ volatile("movl %0, %%fs; movl %0, %%fs:(%1)" : : "r"(selector), "r"(at) : "memory");
}

static void segments(void)
{
    u32 *data = (u32 *)arena[0];

    stage(0x11, "segments: bases, limits, types");
    selector = SEL(0);
    data[5] = 0x1234;
    gdt[SEL(0) / 8] = descriptor((u32)data + 16, 7, 0x92, 4);
    FAULTS(read_fs, 4, NO_FAULT);
    MUST(value == 0x1234);
    MUST(gdt[SEL(0) / 8] >> 40 & 1); // accessed
    FAULTS(read_fs, 5, 13);
    FAULTS(write_fs, 8, 13);
    MUST(last.error == 0);
    gdt[SEL(0) / 8] = descriptor((u32)data, 0, 0x93, 0xc); // in pages
    FAULTS(read_fs, 4092, NO_FAULT);
    FAULTS(read_fs, 4093, 13);
    gdt[SEL(0) / 8] = descriptor((u32)data, 0xff, 0x97, 4); // expands down
    FAULTS(read_fs, 0x100, NO_FAULT);
    FAULTS(read_fs, 0xff, 13);
    gdt[SEL(0) / 8] = descriptor((u32)data, 0xfff, 0x91, 4);
    FAULTS(write_fs, 0, 13);
    gdt[SEL(0) / 8] = descriptor((u32)data, 0xfff, 0x99, 4); // code that can't be read
    FAULTS(load, SEL(0), 13);
    MUST(last.error == SEL(0));
    gdt[SEL(0) / 8] = descriptor((u32)data, 0xfff, 0x12, 4);
    FAULTS(load, SEL(0), 11);
    FAULTS(load_stack, SEL(0), 12);
    FAULTS(load_stack, 0, 13);
    FAULTS(load_stack, USER_DS, 13);
    FAULTS(load, 0x1000, 13);
    MUST(last.error == 0x1000);
    FAULTS(load, 4, 13); // no LDT
    FAULTS(load, 3, NO_FAULT);
    selector = 0;
    FAULTS(read_fs, 0, 13);
}

static bool verify(bool write, u32 sel)
{
    u8 zf;

    if (write)
        __asm__ volatile("verw %w1; setz %0" : "=q"(zf) : "r"(sel));
    else
        __asm__ volatile("verr %w1; setz %0" : "=q"(zf) : "r"(sel));
    return zf;
}

static u32 rights(u32 sel)
{
    u32 r = 0x5a5a5a5a;

    __asm__ volatile("larl %1, %0" : "+r"(r) : "r"(sel) : "cc");
    return r;
}

static u32 limit(u32 sel)
{
    u32 r = 0x5a5a5a5a;

    __asm__ volatile("lsll %1, %0" : "+r"(r) : "r"(sel) : "cc");
    return r;
}

static void inspection(void)
{
    u32 sel = 0x10;
    u8 zf;

    stage(0x12, "LAR, LSL, VERR, VERW, ARPL, SLDT, STR, SMSW, LTR, LLDT");
    MUST(rights(KERNEL_CS) == 0x00cf9b00);
    MUST(rights(USER_DS) == 0x00cff300);
    MUST(rights(0) == 0x5a5a5a5a);
    MUST(rights(KERNEL_DS | 3) == 0x5a5a5a5a);
    MUST(rights(TSS_SELECTOR) == 0x8b00); // busy
    MUST(limit(KERNEL_DS) == 0xffffffff);
    MUST(limit(TSS_SELECTOR) == 103);
    gdt[SEL(0) / 8] = gate(KERNEL_CS, 0, 0x8c);
    MUST(rights(SEL(0)) == 0x8c00);
    MUST(limit(SEL(0)) == 0x5a5a5a5a);
    MUST(verify(false, KERNEL_CS) && !verify(true, KERNEL_CS) && verify(true, KERNEL_DS));
    MUST(!verify(false, TSS_SELECTOR) && !verify(false, 0));
    __asm__("arpl %w2, %w0; setz %1" : "+r"(sel), "=q"(zf) : "r"(3));
    MUST(sel == 0x13 && zf);
    __asm__("arpl %w2, %w0; setz %1" : "+r"(sel), "=q"(zf) : "r"(1));
    MUST(sel == 0x13 && !zf);
    MUST(STORED("str", u16) == TSS_SELECTOR);
    MUST(STORED("sldt", u16) == 0);
    MUST((STORED("smsw", u16) & 1) == 1);
    gdt[SEL(1) / 8] = descriptor((u32)arena[0], 0xff, 0x82, 0);
    __asm__ volatile("lldt %w0" : : "r"(SEL(1)));
    MUST(STORED("sldt", u16) == SEL(1));
    ((u64 *)arena[0])[1] = descriptor(0x5000, 0xfff, 0x93, 4);
    FAULTS(load, 12, NO_FAULT);
    FAULTS(load, 0x104, 13); // beyond the LDT
    __asm__ volatile("lldt %w0" : : "r"(0));
}

// ---- Gates and privilege
static volatile u32 seen_cs, seen_flags, seen_esp;

static void note(struct trap *t)
{
    seen_cs = t->cs;
    seen_flags = t->eflags;
    seen_esp = t->esp;
}
static void interrupt(void *unused)
{
    (void)unused;
    __asm__ volatile("int $0x90");
}
static void far_call(void *sel)
{
    u32 pointer[2] = { offset, (u32)sel };
    u32 got;

    __asm__ volatile("lcall *%1" : "=a"(got) : "m"(pointer) : "ecx", "edx", "memory");
    value = got;
}
#define DENIED(name, insn)                                                                   \
    static void name(void *unused)                                                           \
    {                                                                                        \
        (void)unused;                                                                        \
        __asm__ volatile(insn : : : "eax", "ecx", "edx", "memory");                          \
    }
DENIED(do_cli, "cli")
DENIED(do_hlt, "hlt")
DENIED(do_clts, "clts")
DENIED(do_cr0, "movl %%cr0, %%eax")
DENIED(do_dr7, "movl %%dr7, %%eax")
DENIED(do_in, "inb $0x21, %%al")
DENIED(do_lidt, "lidt idt")
DENIED(do_popf, "pushfl; orl $0x3200, (%%esp); popfl; pushfl; popl value")
DENIED(kernel_ds, "movl $0x10, %%eax; movl %%eax, %%ds")
DENIED(do_ud, "ud2")
DENIED(do_overflow, "movb $0x7f, %%al; incb %%al; into")
DENIED(do_bound, "movl $5, %%eax; boundl %%eax, idt")
static void (*const denied[])(void *) = { do_cli, do_hlt, do_clts, do_cr0, do_dr7, do_in, do_lidt,
                                          kernel_ds };

static u32 mapped_tss[30];

static void privilege(void)
{
    u64 kept = idt[0x90];

    stage(0x13, "gates and privilege");
    handle(0x90, note);
    USER_FAULTS(interrupt, 0, NO_FAULT);
    MUST(seen_cs == USER_CS);
    idt[0x90] = gate(KERNEL_CS, (u32)trap_stubs + 0x900, 0x8e);
    USER_FAULTS(interrupt, 0, 13);
    MUST(last.error == 0x90 * 8 + 2);
    idt[0x90] = gate(KERNEL_CS, (u32)trap_stubs + 0x900, 0x0e);
    FAULTS(interrupt, 0, 11);
    idt[0x90] = kept;
    for (u32 i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
        USER_FAULTS(denied[i], 0, 13);
    FAULTS(do_cr0, 0, NO_FAULT);
    USER_FAULTS(do_popf, 0, NO_FAULT);
    MUST((value & 0x3200) == 0x200);
    MUST(guarded_user(do_cli, NULL, 0x3202) == NO_FAULT); // IOPL 3
    MUST(guarded_user(do_in, NULL, 0x3202) == NO_FAULT);
    // MOV EAX, CS; RETF through a call gate, in conforming code, and directly.
    arena[1][0] = 0x8c, arena[1][1] = 0xc8, arena[1][2] = 0xcb;
    offset = (u32)arena[1];
    gdt[SEL(0) / 8] = gate(KERNEL_CS, offset, 0xec);
    USER_FAULTS(far_call, SEL(0) | 3, NO_FAULT);
    MUST((value & 0xffff) == KERNEL_CS);
    gdt[SEL(0) / 8] = descriptor(0, 0xfffff, 0x9f, 0xc);
    USER_FAULTS(far_call, SEL(0) | 3, NO_FAULT);
    MUST((value & 0xffff) == (SEL(0) | 3));
    USER_FAULTS(far_call, KERNEL_CS, 13);
    FAULTS(far_call, KERNEL_DS, 13);
    FAULTS(far_call, 0, 13);
    // The permission map of a TSS.
    for (u32 i = 0; i < 26; i++)
        mapped_tss[i] = tss[i];
    mapped_tss[25] = 104 << 16;
    for (u32 i = 26; i < 30; i++)
        mapped_tss[i] = 0xffffffff;
    mapped_tss[27] = 0xfffffffd; // port 21h
    gdt[SEL(1) / 8] = descriptor((u32)mapped_tss, sizeof(mapped_tss) - 1, 0x89, 0);
    __asm__ volatile("ltr %w0" : : "r"(SEL(1)));
    USER_FAULTS(do_in, 0, NO_FAULT);
    mapped_tss[27] = 0xffffffff;
    USER_FAULTS(do_in, 0, 13);
    gdt[TSS_SELECTOR / 8] &= ~(2ull << 40); // not busy, for LTR
    __asm__ volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

// ---- Tasks
static struct tss32 other;
static volatile u32 visits;

static void other_task(void)
{
    for (;;) {
        visits = visits * 10 + 1;
        __asm__ volatile("iret");
        visits = visits * 10 + 2;
        __asm__ volatile("ljmp $0x28, $0");
    }
}

static void tasks(void)
{
    static u32 pointer[2] = { 0, SEL(0) }, through_gate[2] = { 0, SEL(1) };

    stage(0x14, "hardware tasks");
    other = task32(other_task, (u32)arena[3]);
    gdt[SEL(0) / 8] = descriptor((u32)&other, sizeof(other) - 1, 0x89, 0);
    gdt[SEL(1) / 8] = gate(SEL(0), 0, 0x85);
    __asm__ volatile("lcall *%0" : : "m"(pointer) : "memory"); // nested: IRET comes back
    MUST(visits == 1);
    MUST(other.link == TSS_SELECTOR);
    MUST(read_cr0() & 8);
    MUST(rights(SEL(0)) == 0x8900 && rights(TSS_SELECTOR) == 0x8b00);
    __asm__ volatile("ljmp *%0" : : "m"(pointer) : "memory"); // jumps back
    MUST(visits == 12);
    __asm__ volatile("lcall *%0" : : "m"(through_gate) : "memory");
    MUST(visits == 121);
    idt[0x91] = gate(SEL(0), 0, 0x85);
    __asm__ volatile("ljmp *%0" : : "m"(pointer) : "memory");
    MUST(visits == 1212);
    __asm__ volatile("int $0x91");
    MUST(visits == 12121);
    __asm__ volatile("clts");
    other.ss = 0; // found in the new task
    other.eip = (u32)other_task;
    gdt[SEL(0) / 8] = descriptor((u32)&other, 0x66, 0x89, 0);
    selector = SEL(0);
    FAULTS(far_call, SEL(0), 10); // too short
    MUST(last.error == SEL(0));
    gdt[SEL(0) / 8] = descriptor((u32)&other, 0x67, 0x8b, 0);
    FAULTS(far_call, SEL(0), 13); // busy
}

static void exceptions(void)
{
    u64 ud = idt[6], np = idt[11];

    stage(0x15, "exceptions");
    FAULTS(do_ud, 0, 6);
    MUST(*(u16 *)last.eip == 0x0b0f);
    FAULTS(do_overflow, 0, 4);
    FAULTS(do_bound, 0, 5);
    idt[6] = gate(KERNEL_CS, 0, 0x0e); // #NP while delivering #UD
    FAULTS(do_ud, 0, 11);
    MUST(last.error == 6 * 8 + 3);
    idt[11] = gate(KERNEL_CS, 0, 0x0e); // #NP twice
    FAULTS(do_ud, 0, 8);
    MUST(last.error == 0);
    idt[6] = ud;
    idt[11] = np;
}

void protected_stages(void)
{
    segments();
    inspection();
    privilege();
    tasks();
    exceptions();
}
