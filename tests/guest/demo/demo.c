// SPDX-License-Identifier: GPL-2.0-or-later
// The guest that `monitor/demo` boots where Debian's packages cannot be had: paging, rings, interrupts, and what
// each sensitive instruction does at CPL 0 and at CPL 3, on the serial console. Then it powers off.
#include "tests/guest/lib/kernel.h"

static volatile u32 result, ticks;

static void section(const char *title)
{
    print("\n-- %s\n\n", title);
}

// "#GP(0)" and the like, or what the instruction gave.
static void outcome(int fault, bool has_value)
{
    static const char *const names[] = { "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "", "#TS",
                                         "#NP", "#SS", "#GP", "#PF" };

    if (fault >= 0 && fault <= 14)
        print("%-14s", names[fault]);
    else if (fault != NO_FAULT)
        print("vector %-7d", fault);
    else if (has_value)
        print("%08x      ", result);
    else
        print("done          ");
}

// ---- Paging

static void read_word(void *address)
{
    result = *(volatile u32 *)address;
}

static void write_word(void *address)
{
    *(volatile u32 *)address = 0x52494e47;
}

static void show_pte(const char *when, u32 page)
{
    u32 pte = page_table[page];

    print("  %-44s PTE %08x  %s%s%s%s%s\n", when, pte, pte & PTE_P ? "present " : "not-present ",
          pte & PTE_W ? "writable " : "read-only ", pte & PTE_U ? "user " : "supervisor ",
          pte & PTE_A ? "accessed " : "", pte & PTE_D ? "dirty" : "");
}

static void paging(void)
{
    u32 page = (u32)arena[0] >> 12, other = (u32)arena[1] >> 12;
    int fault;

    section("Paging");
    paging_on();
    print("  CR0 %08x, CR3 %08x: the MMU is on.\n", read_cr0(), read_cr3());
    show_pte("a page nobody has touched", page);
    read_word(arena[0]);
    show_pte("after a read", page);
    write_word(arena[0]);
    show_pte("after a write", page);
    page_table[other] = (page_table[page] & ~0xfffu) | PTE_P | PTE_W;
    invlpg((u32)arena[1]);
    read_word(arena[1]);
    print("  The page after it, mapped to the same frame, reads %08x there.\n", result);
    page_table[other] &= ~(u32)PTE_P;
    invlpg((u32)arena[1]);
    fault = guarded_call(read_word, arena[1]);
    print("  Not present: reading gives exception %d, error code %x, CR2 %08x.\n", fault, last.error, last_cr2);
    page_table[other] = (u32)arena[1] | PTE_P | PTE_U;
    invlpg((u32)arena[1]);
    fault = guarded_call(write_word, arena[1]);
    print("  Read-only, CR0.WP set: writing gives exception %d, error code %x.\n", fault, last.error);
    page_table[other] = (u32)arena[1] | PTE_P | PTE_W;
    invlpg((u32)arena[1]);
    fault = guarded_user(read_word, arena[1], 0x202);
    print("  A supervisor page from CPL 3: exception %d, error code %x.\n", fault, last.error);
    page_table[other] = (u32)arena[1] | PTE_P | PTE_W | PTE_U;
    invlpg((u32)arena[1]);
}

// ---- Rings

static void read_cs(void *unused)
{
    u32 value;

    (void)unused;
    __asm__ volatile("movl %%cs, %0" : "=r"(value));
    result = value;
}

static void rings(void)
{
    section("Rings");
    read_cs(NULL);
    print("  Here CS is %04x: CPL %u, the kernel.\n", result, result & 3);
    guarded_user(read_cs, NULL, 0x202);
    print("  After an IRET to the user code segment CS is %04x: CPL %u.\n", result, result & 3);
    print("  INT 0x81 brings us back through a gate, onto the stack that the TSS names.\n");
}

// ---- Interrupts

static void tick(struct trap *t)
{
    (void)t;
    ticks++;
    outb(0x20, 0x20);
}

static void interrupts(void)
{
    u32 slept = 0;

    section("Interrupts");
    handle(0x20, tick);
    // Both 8259s: vectors 20h to 2Fh, only IRQ 0 unmasked. The 8254: channel 0, mode 2, 100 Hz.
    outb(0x20, 0x11), outb(0x21, 0x20), outb(0x21, 4), outb(0x21, 1), outb(0x21, 0xfe);
    outb(0xa0, 0x11), outb(0xa1, 0x28), outb(0xa1, 2), outb(0xa1, 1), outb(0xa1, 0xff);
    outb(0x43, 0x34), outb(0x40, 11932 & 0xff), outb(0x40, 11932 >> 8);
    while (ticks < 20) {
        __asm__ volatile("sti; hlt; cli");
        slept++;
    }
    outb(0x21, 0xff);
    print("  %u timer interrupts arrived in %u HLTs, %s.\n", ticks, slept,
          slept == ticks ? "one each" : "some while awake");
}

// ---- Sensitive instructions

struct entry {
    const char *name;
    void (*run)(void *);
    bool has_value;
    const char *note;
};

// Functions of one instruction, with and without a result.
#define VALUE(id, code)                                                                      \
    static void run_##id(void *unused)                                                       \
    {                                                                                        \
        u32 value = 0;                                                                       \
                                                                                             \
        (void)unused;                                                                        \
        __asm__ volatile(code : "+r"(value) : : "memory", "cc");                             \
        result = value;                                                                      \
    }
#define BARE(id, code)                                                                       \
    static void run_##id(void *unused)                                                       \
    {                                                                                        \
        (void)unused;                                                                        \
        __asm__ volatile(code : : : "memory", "cc", "eax", "edx", "ecx");                    \
    }

static struct {
    u16 limit;
    u32 base;
} __attribute__((packed)) table;

static void run_sgdt(void *unused)
{
    (void)unused;
    __asm__ volatile("sgdt %0" : "=m"(table));
    result = table.base;
}
static void run_sidt(void *unused)
{
    (void)unused;
    __asm__ volatile("sidt %0" : "=m"(table));
    result = table.base;
}
static void run_lgdt(void *unused)
{
    (void)unused;
    __asm__ volatile("sgdt %0; lgdt %0" : "+m"(table));
}
static void run_lidt(void *unused)
{
    (void)unused;
    __asm__ volatile("sidt %0; lidt %0" : "+m"(table));
}
VALUE(sldt, "sldt %0")
VALUE(str, "str %0")
VALUE(smsw, "smsw %0")
VALUE(pushf, "pushfl; popl %0")
// Tries to set IF and IOPL 3.
VALUE(popf, "pushfl; pushl $0x3202; popfl; pushfl; popl %0; popfl")
VALUE(lar, "movl $8, %%ecx; larl %%ecx, %0; jz 1f; movl $0, %0; 1:")
VALUE(lsl, "movl $8, %%ecx; lsll %%ecx, %0; jz 1f; movl $0, %0; 1:")
VALUE(verr, "movl $0x10, %%ecx; verr %%cx; setz %b0")
VALUE(verw, "movl $0x10, %%ecx; verw %%cx; setz %b0")
VALUE(arpl, "movl $3, %%ecx; movw %%cs, %w0; andl $~3, %0; arpl %%cx, %w0")
VALUE(mov_seg, "movl %%ss, %0")
VALUE(push_seg, "pushl %%cs; popl %0")
VALUE(load_seg, "movl %%ds, %0; movl %0, %%es")
VALUE(cpuid, "pushl %%ebx; movl $1, %%eax; cpuid; popl %%ebx; movl %%eax, %0")
BARE(cli, "pushfl; cli; popfl")
BARE(sti, "pushfl; sti; popfl")
BARE(hlt, "movl %%cs, %%eax; testl $3, %%eax; jz 1f; hlt; 1:")
VALUE(in, "movl $0x3fd, %%edx; xorl %%eax, %%eax; inb %%dx, %%al; movl %%eax, %0")
BARE(out, "movl $0x80, %%edx; outb %%al, %%dx")
VALUE(mov_cr0, "movl %%cr0, %0")
BARE(mov_to_cr3, "movl %%cr3, %%eax; movl %%eax, %%cr3")
VALUE(mov_dr7, "movl %%dr7, %0")
BARE(clts, "clts")
BARE(invlpg, "invlpg (%%esp)")
BARE(wbinvd, "wbinvd")
BARE(rdmsr, "movl $0x10, %%ecx; rdmsr")
BARE(lmsw, "smsw %%ax; lmsw %%ax")
BARE(lldt, "xorl %%eax, %%eax; lldt %%ax")
BARE(ltr, "movl $0x28, %%eax; ltr %%ax")
BARE(rdtsc, "rdtsc")
BARE(int3, "int3")

static const struct entry table_of_instructions[] = {
    { "SGDT", run_sgdt, true, "reads the GDT's address at any CPL" },
    { "SIDT", run_sidt, true, "likewise the IDT's" },
    { "SLDT", run_sldt, true, "" },
    { "STR", run_str, true, "" },
    { "SMSW", run_smsw, true, "CR0's low half, at any CPL" },
    { "PUSHF", run_pushf, true, "shows IF and IOPL as they are" },
    { "POPF of IF, IOPL", run_popf, true, "changes neither at CPL 3, and does not fault" },
    { "LAR", run_lar, true, "depends on CPL without faulting" },
    { "LSL", run_lsl, true, "" },
    { "VERR", run_verr, true, "" },
    { "VERW", run_verw, true, "" },
    { "ARPL", run_arpl, true, "" },
    { "MOV r, SS", run_mov_seg, true, "shows the CPL" },
    { "PUSH CS", run_push_seg, true, "" },
    { "MOV ES, r", run_load_seg, true, "" },
    { "CPUID", run_cpuid, true, "" },
    { "RDTSC", run_rdtsc, false, "" },
    { "INT3", run_int3, false, "" },
    { "CLI", run_cli, false, "privileged from here on" },
    { "STI", run_sti, false, "" },
    { "HLT", run_hlt, false, "" },
    { "IN", run_in, true, "" },
    { "OUT", run_out, false, "" },
    { "MOV r, CR0", run_mov_cr0, true, "" },
    { "MOV CR3, r", run_mov_to_cr3, false, "" },
    { "MOV r, DR7", run_mov_dr7, true, "" },
    { "LGDT", run_lgdt, false, "" },
    { "LIDT", run_lidt, false, "" },
    { "LLDT", run_lldt, false, "" },
    { "LTR", run_ltr, false, "the TSS is busy" },
    { "LMSW", run_lmsw, false, "" },
    { "CLTS", run_clts, false, "" },
    { "INVLPG", run_invlpg, false, "" },
    { "WBINVD", run_wbinvd, false, "" },
    { "RDMSR", run_rdmsr, false, "" },
};

static void sensitive(void)
{
    section("Sensitive instructions");
    print("  A virtual machine monitor must answer each of these with the guest's state, not the host's.\n");
    print("  Those above CLI do not fault outside CPL 0, so that no trap tells the monitor of them: they are\n");
    print("  why x86 needed binary translation.\n\n");
    print("  instruction         at CPL 0      at CPL 3\n");
    for (unsigned i = 0; i < sizeof(table_of_instructions) / sizeof(*table_of_instructions); i++) {
        const struct entry *e = &table_of_instructions[i];

        print("  %-20s", e->name);
        outcome(guarded_call(e->run, NULL), e->has_value);
        outcome(guarded_user(e->run, NULL, 0x202), e->has_value);
        print("%s\n", e->note);
    }
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    print("\nThis is a small 32-bit kernel. Every instruction of it is run by the monitor underneath.\n");
    paging();
    rings();
    interrupts();
    sensitive();
    print("\nPowering off.\n");
    power_off();
}
