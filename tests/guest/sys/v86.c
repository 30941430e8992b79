// SPDX-License-Identifier: GPL-2.0-or-later
// Virtual-8086 mode: entry and frames, what IOPL decides, INT with and without VME's redirection, the virtual
// interrupt flag, wrapping and limits, ports, stepping and breakpoints, tasks (SDM 3B chapter 21).
// Run: tests/guest/run-sys v86
#include "tests/guest/lib/modes.h"

#define SEL(i) (SPARE + 8 * (i))
#define IOPL3 0x3000
#define VIF 0x80000
#define VIP 0x100000

// A TSS with redirection and I/O maps.
static struct {
    struct tss32 t;
    u8 redirect[32];
    u8 io[128 + 1];
} __attribute__((packed)) wide;

static void fault(const char *name, int got, int vector, u32 eip)
{
    check(name, (u32)got, (u32)vector);
    check("  EIP", last.eip, eip);
}

V86_CODE(basics, "movw %cs, %ax; movw %ds, %bx; movw $0xa00, %cx; movw %cx, %ds; movw %ax, 0x20;"
                 "movw %cx, %gs; pushw %gs; popw %fs; movl $0xdeadbeef, %gs:0x24; smsw %dx; ud2");
V86_CODE(moves_sp, "pushw $1; pushl $2; pushal; popal; popl %eax; popw %bx; ud2");
V86_CODE(far_calls, "lcallw $0x901, $0; hlt; .org far_calls_start + 16; movw %cs, %ax; lretw");
V86_CODE(wraps, "movw $0xffff, %bx; movb (%bx), %al; movb $0x5a, (%bx); movb (%bx), %cl; ud2");
V86_CODE(over, "movw $0xffff, %bx; movw (%bx), %ax");
V86_CODE(over32, "movl $0x10000, %ebx; movb (%ebx), %al");
V86_CODE(over_stack, "movw $1, %sp; pushw %ax");
V86_CODE(cli, "cli; ud2");
V86_CODE(sti, "sti; ud2");
V86_CODE(pushf, "pushfw; popw %ax; ud2");
V86_CODE(pushfd, "pushfl; popl %eax; ud2");
V86_CODE(popf, "pushw $0x3ed7; popfw; pushfw; popw %ax; ud2");
V86_CODE(popf_off, "pushw $0; popfw; pushfw; popw %ax; ud2");
V86_CODE(int20, "int $0x20; ud2");
V86_CODE(int90, "movw $0x1234, %ax; int $0x90; ud2");
V86_CODE(int3_, "int3; ud2");
V86_CODE(iret, "pushw $0; pushw %cs; pushw $1f - iret_start; iretw; hlt; 1: ud2");
V86_CODE(hlt, "hlt");
V86_CODE(clts, "clts");
V86_CODE(lgdt, "lgdtw 0");
V86_CODE(to_cr, "movl %eax, %cr0");
V86_CODE(lldt, "lldt %ax");
V86_CODE(lar, "larw %ax, %bx");
V86_CODE(arpl, ".byte 0x63, 0xc0");
V86_CODE(in21, "inb $0x21, %al; ud2");
V86_CODE(sysexit, "sysexit");
V86_CODE(ins_, "movw $0x21, %dx; xorw %di, %di; insb; ud2");
V86_CODE(loop, "movw $50, %cx; xorw %ax, %ax; 1: addw %cx, %ax; pushw %ax; popw %bx; loop 1b; ud2");
V86_CODE(iretd, "pushl $0x23202; pushl $0x900; pushl $1f - iretd_start; iretl; hlt; 1: ud2");
V86_CODE(lds_, "movl $0x0b000010, 0x80; ldsw 0x80, %si; movb $7, (%si); ud2");

static void entry(void)
{
    fault("V86 code runs", RUN_V86(basics, IOPL3), 6, (u32)(basics_end - basics_start) - 2);
    check("CS", last.eax & 0xffff, 0x900);
    check("DS", last.ebx & 0xffff, 0x900);
    check("VM in the frame", last.eflags & 0x20000, 0x20000);
    check("DS in the frame", last.v86_ds, 0xa00);
    check("FS in the frame", last.v86_fs, 0xa00);
    check("GS in the frame", last.v86_gs, 0xa00);
    check("ES in the frame", last.v86_es, 0x900);
    check("SS in the frame", last.ss, 0);
    check("ESP in the frame", last.esp, 0x8ff0);
    check("stored by DS", *(volatile u16 *)0xa020, 0x900);
    check("stored by GS", *(volatile u32 *)0xa024, 0xdeadbeef);
    check("SMSW shows PE", last.edx & 1, 1);
    check("the handler's DS was null", last.ds, 0);
    fault("the stack", RUN_V86(moves_sp, IOPL3), 6, (u32)(moves_sp_end - moves_sp_start) - 2);
    check("popped", last.eax, 2);
    check("popped", last.ebx & 0xffff, 1);
    fault("far call and return", RUN_V86(far_calls, 0), 13, 5); // HLT
    check("in its segment", last.eax & 0xffff, 0x901);
    fault("a loop", RUN_V86(loop, 0), 6, (u32)(loop_end - loop_start) - 2);
    check("its sum", last.ebx & 0xffff, 50 * 51 / 2);
    fault("the last byte", RUN_V86(wraps, 0), 6, (u32)(wraps_end - wraps_start) - 2);
    check("is there", last.ecx & 0xff, 0x5a);
    fault("a word over the limit", RUN_V86(over, 0), 13, 3);
    fault("a 32-bit address over it", RUN_V86(over32, 0), 13, 6);
    fault("the stack over it", RUN_V86(over_stack, 0), 12, 3);
    fault("LDS", RUN_V86(lds_, 0), 6, (u32)(lds__end - lds__start) - 2);
    check("loads a segment", *(volatile u8 *)0xb010, 7);
}

static void privileges(void)
{
    fault("HLT", RUN_V86(hlt, IOPL3), 13, 0);
    fault("CLTS", RUN_V86(clts, IOPL3), 13, 0);
    fault("LGDT", RUN_V86(lgdt, IOPL3), 13, 0);
    fault("MOV CR0", RUN_V86(to_cr, IOPL3), 13, 0);
    fault("SYSEXIT", RUN_V86(sysexit, IOPL3), 13, 0);
    fault("LLDT is undefined", RUN_V86(lldt, IOPL3), 6, 0);
    fault("LAR", RUN_V86(lar, IOPL3), 6, 0);
    fault("ARPL", RUN_V86(arpl, IOPL3), 6, 0);
    fault("IN, no map", RUN_V86(in21, IOPL3), 13, 0);
    fault("INS", RUN_V86(ins_, IOPL3), 13, 5);
    fault("CLI, IOPL 3", RUN_V86(cli, IOPL3 | 0x200), 6, 1);
    check("clears IF", last.eflags & 0x200, 0);
    fault("CLI, IOPL 0", RUN_V86(cli, 0), 13, 0);
    fault("STI, IOPL 2", RUN_V86(sti, 0x2000), 13, 0);
    fault("PUSHF, IOPL 0", RUN_V86(pushf, 0), 13, 0);
    fault("PUSHF, IOPL 3", RUN_V86(pushf, IOPL3), 6, 2);
    check("pushes IOPL 3", last.eax & 0x7200, 0x3000);
    fault("PUSHFD, IOPL 3", RUN_V86(pushfd, IOPL3), 6, 4);
    check("without VM and RF", last.eax & 0x30000, 0);
    fault("POPF, IOPL 0", RUN_V86(popf, 0), 13, 3);
    fault("POPF, IOPL 3", RUN_V86(popf, IOPL3), 6, 6);
    check("changes IF, not IOPL", last.eax & 0x3ed5, 0x3ed5);
    fault("IRET, IOPL 0", RUN_V86(iret, 0), 13, 6);
    fault("IRET, IOPL 3", RUN_V86(iret, IOPL3), 6, (u32)(iret_end - iret_start) - 2);
    check("keeps IOPL and VM", last.eflags & 0x23000, 0x23000);
    fault("IRETD, IOPL 3", RUN_V86(iretd, IOPL3), 6, (u32)(iretd_end - iretd_start) - 2);
    check("leaves IOPL alone", last.eflags & 0x23000, 0x23000);
}

// ---- INT without VME: by the gate with IOPL 3, #GP else
static volatile u32 seen_cs, seen_eip, seen_flags, seen_sp, frames;

static void gate_90(struct trap *t)
{
    frames++;
    seen_cs = t->cs;
    seen_eip = t->eip;
    seen_flags = t->eflags;
    seen_sp = t->esp;
    t->eax = 0x4321;
}

static void ints(void)
{
    u64 kept = idt[0x90];

    handle(0x90, gate_90);
    frames = 0;
    fault("INT, IOPL 0", RUN_V86(int90, 0), 13, 3);
    check("its error code", last.error, 0);
    fault("INT, IOPL 3, by the gate", RUN_V86(int90, IOPL3), 6, 5);
    check("came once", frames, 1);
    check("behind the INT", seen_eip, 5);
    check("from V86", seen_flags & 0x20000, 0x20000);
    check("the handler may change registers", last.eax & 0xffff, 0x4321);
    fault("a gate of DPL 0", RUN_V86(int20, IOPL3), 13, 0);
    check("its error code", last.error, 0x20 * 8 + 2);
    idt[0x90] = gate(USER_CS, (u32)trap_stubs + 0x900, 0xee);
    fault("a gate to CPL 3", RUN_V86(int90, IOPL3), 13, 3);
    check("its error code", last.error, USER_CS & ~3u);
    gdt[SEL(0) / 8] = descriptor(0, 0xfffff, 0x9f, 0xc);
    idt[0x90] = gate(SEL(0), (u32)trap_stubs + 0x900, 0xee);
    fault("a gate to conforming code", RUN_V86(int90, IOPL3), 13, 3);
    check("its error code", last.error, SEL(0));
    idt[0x90] = kept;
    check("INT3 without IOPL", (u32)RUN_V86(int3_, 0), 3);
    check("is a trap", last.eip, 1);
}

// ---- VME
// Memory where the compiler thinks there is none.
static volatile u8 *low(u32 address)
{
    __asm__("" : "+r"(address));
    return (volatile u8 *)address;
}

static void use_wide(bool all_by_gate)
{
    wide.t = *(struct tss32 *)tss;
    wide.t.io_map = (u16)((u32)wide.io - (u32)&wide);
    for (u32 i = 0; i < 32; i++)
        wide.redirect[i] = all_by_gate ? 0xff : 0;
    for (u32 i = 0; i < sizeof(wide.io); i++)
        wide.io[i] = 0xff;
    gdt[SEL(1) / 8] = descriptor((u32)&wide, sizeof(wide) - 1, 0x89, 0);
    __asm__ volatile("ltr %w0" : : "r"(SEL(1)));
}

static void vme(void)
{
    // INT 90h of the 8086: MOV AX, 7777h; IRET, at 0:0500h.
    static const u8 handler[] = { 0xb8, 0x77, 0x77, 0x9c, 0x5b, 0xcf };

    for (u32 i = 0; i < sizeof(handler); i++)
        low(0x500)[i] = handler[i];
    *(volatile u32 *)low(0x90 * 4) = 0x500;
    write_cr4(read_cr4() | 1);
    use_wide(false);
    frames = 0;
    fault("INT redirected, IOPL 3", RUN_V86(int90, IOPL3 | 0x200), 6, 5);
    check("to the program's vector", last.eax & 0xffff, 0x7777);
    check("IF is clear there", last.ebx & 0x200, 0);
    check("and set again", last.eflags & 0x200, 0x200);
    fault("INT redirected, IOPL 0", RUN_V86(int90, VIF | 0x200), 6, 5);
    check("to the program's vector", last.eax & 0xffff, 0x7777);
    check("its PUSHF shows VIF as IF", last.ebx & 0x200, 0);
    check("and IOPL 3", last.ebx & 0x3000, 0x3000);
    check("IRET sets VIF", last.eflags & (VIF | 0x200), VIF | 0x200);
    check("not through the gate", frames, 0);
    use_wide(true);
    fault("not redirected, IOPL 0", RUN_V86(int90, 0), 13, 3);
    fault("not redirected, IOPL 3", RUN_V86(int90, IOPL3), 6, 5);
    check("by the gate", frames, 1);
    use_wide(false);
    fault("STI, IOPL 0: VIF", RUN_V86(sti, 0), 6, 1);
    check("is set", last.eflags & (VIF | 0x200), VIF);
    fault("CLI, IOPL 0: VIF", RUN_V86(cli, VIF | 0x200), 6, 1);
    check("is clear, IF is not", last.eflags & (VIF | 0x200), 0x200);
    fault("STI with VIP", RUN_V86(sti, VIP), 13, 0);
    fault("CLI with VIP", RUN_V86(cli, VIP | VIF), 6, 1);
    fault("PUSHF, IOPL 0", RUN_V86(pushf, VIF), 6, 2);
    check("shows VIF and IOPL 3", last.eax & 0x3200, 0x3200);
    fault("PUSHFD, IOPL 0", RUN_V86(pushfd, VIF), 13, 0);
    fault("POPF sets VIF", RUN_V86(popf_off, VIF | 0x200), 6, 5);
    check("clears VIF only", last.eflags & (VIF | 0x200), 0x200);
    check("IOPL in the image", last.eax & 0x3200, 0x3000);
    fault("IRET, IOPL 0", RUN_V86(iret, VIF | 0x200), 6, (u32)(iret_end - iret_start) - 2);
    check("clears VIF", last.eflags & (VIF | 0x200), 0x200);
    fault("IOPL 3 has no VIF", RUN_V86(sti, IOPL3), 6, 1);
    check("but IF", last.eflags & (VIF | 0x200), 0x200);
    // Ports by the map.
    fault("IN, denied", RUN_V86(in21, 0), 13, 0);
    wide.io[0x21 / 8] = (u8)~(1u << (0x21 & 7));
    fault("IN, allowed", RUN_V86(in21, 0), 6, 2);
    fault("INS, allowed", RUN_V86(ins_, 0), 6, 6);
    write_cr4(read_cr4() & ~1u);
    fault("VME off", RUN_V86(sti, 0), 13, 0);
}

// ---- IRET's other conditions
static struct v86_frame frame;

static void from_user(void *unused)
{
    (void)unused;
    v86_iret(&frame);
}

static void irets(void)
{
    frame = (struct v86_frame){ 0x10000, 0x900, 0x20002, 0x8ff0, 0, 0, 0, 0, 0 };
    check("EIP over the limit", (u32)guarded_call(v86_iret, &frame), 13);
    check("its error code", last.error, 0);
    check("still in protected mode", last.eflags & 0x20000, 0);
    // VM is no business of CPL 3: the frame is one to the same ring.
    frame = (struct v86_frame){ (u32)trap_stubs, USER_CS, 0x20202, 0, 0, 0, 0, 0, 0 };
    check("IRET at CPL 3 ignores VM", (u32)guarded_user(from_user, NULL, 0x202), 13);
    check("comes to the stub", last.eflags & 0x20000, 0);
}

// ---- Debugging
static volatile u32 steps;

static void step(struct trap *t)
{
    steps++;
    write_dr6(0xffff0ff0);
    t->eflags |= 0x10000;
}

V86_CODE(nops, "nop; nop; nop; nop; movb %al, 0x90; ud2");

static void debug(void)
{
    handle(1, step);
    steps = 0;
    fault("stepping", RUN_V86(nops, 0x100), 6, (u32)(nops_end - nops_start) - 2);
    check("steps", steps, 5);
    steps = 0;
    write_dr0(0x9002);
    write_dr1(0x9090);
    write_dr7(0x00100400 | 2 | 8);
    RUN_V86(nops, 0);
    check("breakpoints", steps, 2);
    write_dr7(0x400);
    handle(1, NULL);
}

// ---- Paging: the 8086's megabyte is where the tables put it
static void paged(void)
{
    paging_on();
    page_table[0x9] = (u32)arena[0] | 7;
    page_table[0xa] = 0x9000 | 7;
    page_table[0x8] = 0x8000 | 7;
    invlpg(0x9000);
    fault("V86 in a remapped page", RUN_V86(loop, 0), 6, (u32)(loop_end - loop_start) - 2);
    check("its sum", last.ebx & 0xffff, 50 * 51 / 2);
    page_table[0x8] = 0x8000 | 3;
    invlpg(0x8000);
    check("a supervisor stack", (u32)RUN_V86(moves_sp, IOPL3), 14);
    check("its error code", last.error, 7);
    check("CR2", last_cr2, 0x8fee);
    page_table[0x8] = 0x8000 | 7;
    page_table[0x9] = 0x9000 | 7;
    page_table[0xa] = 0xa000 | 7;
    write_cr3(read_cr3());
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    for (u32 round = 0; round < 3; round++) {
        entry();
        privileges();
        ints();
        irets();
        debug();
    }
    paged();
    entry();
    ints();
    vme();
    finish();
}
