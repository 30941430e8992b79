// SPDX-License-Identifier: GPL-2.0-or-later
// One of each instruction that no program at CPL 3 can execute, or whose result there is the host's own: what the
// random-instruction oracle leaves out (tests/opcodes/README.md). Run: tests/guest/run-sys privileged
#include "tests/guest/lib/kernel.h"

#define SEL(i) (SPARE + 8 * (i))

extern u32 kept_esp, user_esp, kernel_esp, user_cs, user_ss, far_target[2];
extern u8 sysenter_back[], far_landing[];
u32 kept_esp, user_esp, kernel_esp, user_cs, user_ss, far_target[2];
static u16 word;
static u32 dword;

static void wrmsr(u32 msr, u32 low)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"(low), "d"(0));
}

static u32 rdmsr(u32 msr)
{
    u32 low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return low;
}

// ---- Ports
static void ports(void)
{
    u32 address = 0x80000800, got = 0, by_dx;
    u8 byte = 0x5a, back = 0;
    void *p;

    p = &address;
    __asm__ volatile("outsl" : "+S"(p) : "d"(0xcf8) : "memory");
    p = &got;
    __asm__ volatile("insl" : "+D"(p) : "d"(0xcf8) : "memory");
    check("OUTSD, INSD", got, address);
    p = &byte;
    __asm__ volatile("outsb" : "+S"(p) : "d"(0x3ff) : "memory"); // the UART's scratch register
    p = &back;
    __asm__ volatile("insb" : "+D"(p) : "d"(0x3ff) : "memory");
    check("OUTSB, INSB", back, byte);
    __asm__ volatile("outb %%al, $0x70; inb $0x71, %%al" : "=a"(got) : "a"(0x0e));
    __asm__ volatile("movb $0x0e, %%al; outb %%al, $0x70; inb %%dx, %%al" : "=a"(by_dx) : "d"(0x71));
    check("IN AL, imm8", (u8)got, (u8)by_dx);
    __asm__ volatile("outl %%eax, $0x84; inl $0x84, %%eax" : "=a"(got) : "a"(0x12345678));
    check("OUT and IN EAX, imm8", got, inl(0x84));
}

// ---- Segment registers and tables
static void far_jump(void *unused)
{
    (void)unused;
    far_target[0] = (u32)far_landing;
    far_target[1] = KERNEL_CS;
    __asm__ volatile("movl $0, %%eax; ljmp *far_target; hlt; .globl far_landing; far_landing:" : : : "eax", "memory");
}

static void segments(void)
{
    struct { u32 esp; u16 ss; } pointer = { 0, KERNEL_DS };
    u32 esp, same;
    u16 ds = KERNEL_DS;

    __asm__ volatile("pushl %%ss; popl %%ss; movw %%ss, %0" : "=m"(word) : : "memory");
    check("POP SS", word, KERNEL_DS);
    __asm__ volatile("movw %1, %%ss; movw %%ss, %0" : "=m"(word) : "m"(ds));
    check("MOV SS, mem", word, KERNEL_DS);
    __asm__ volatile("movl %%esp, %1; movl %%esp, %2; lss %2, %%esp; movl %%esp, %0"
                     : "=&r"(same), "=&r"(esp), "+m"(pointer));
    check("LSS", same, esp);
    check("JMP FAR mem", (u32)guarded_call(far_jump, NULL), (u32)NO_FAULT);

    gdt[SEL(0) / 8] = descriptor((u32)arena[0], 0xff, 0x82, 0);
    word = SEL(0);
    __asm__ volatile("lldt %1; movl $-1, %%eax; sldt %%eax; movl %%eax, %0" : "=r"(dword) : "m"(word) : "eax");
    check("LLDT mem, SLDT reg", dword, SEL(0));
    __asm__ volatile("xorl %%eax, %%eax; lldt %%ax; sldt %0" : "=m"(word) : : "eax");
    check("LLDT reg, SLDT mem", word, 0);
    gdt[TSS_SELECTOR / 8] &= ~(2ull << 40); // not busy
    word = TSS_SELECTOR;
    __asm__ volatile("ltr %1; movl $-1, %%eax; str %%eax; movl %%eax, %0" : "=r"(dword) : "m"(word) : "eax");
    check("LTR mem, STR reg", dword, TSS_SELECTOR);
    check("it is busy", (u32)(gdt[TSS_SELECTOR / 8] >> 41) & 1, 1);
    gdt[TSS_SELECTOR / 8] &= ~(2ull << 40);
    __asm__ volatile("movl %1, %%eax; ltr %%ax; str %0" : "=m"(word) : "i"(TSS_SELECTOR) : "eax");
    check("LTR reg, STR mem", word, TSS_SELECTOR);
    word = KERNEL_DS;
    __asm__ volatile("verw %1; sete %b0" : "=q"(dword) : "m"(word), "0"(0) : "cc");
    check("VERW mem, data", (u8)dword, 1);
    word = KERNEL_CS;
    __asm__ volatile("verw %1; sete %b0" : "=q"(dword) : "m"(word), "0"(0) : "cc");
    check("VERW mem, code", (u8)dword, 0);
}

static void far_call(void *unused)
{
    (void)unused;
    __asm__ volatile("lcall %0, $1f; jmp 2f; 1: lret; 2:" : : "i"(KERNEL_CS) : "memory");
}

static void descriptors(void)
{
    struct { u16 limit; u32 base; } __attribute__((packed)) table;

    check("CALL FAR", (u32)guarded_call(far_call, NULL), (u32)NO_FAULT);
    __asm__ volatile("sgdt %0" : "=m"(table));
    check("SGDT", table.base, (u32)gdt);
    __asm__ volatile("sidt %0" : "=m"(table));
    check("SIDT", table.base, (u32)idt);
    word = KERNEL_CS;
    __asm__ volatile("lar %1, %0" : "=r"(dword) : "m"(word) : "cc");
    check("LAR mem", dword & 0xf000, 0x9000);
    __asm__ volatile("lsl %1, %0" : "=r"(dword) : "m"(word) : "cc");
    check("LSL mem", dword, 0xffffffff);
    __asm__ volatile("verr %1; sete %b0" : "=q"(dword) : "m"(word), "0"(0) : "cc");
    check("VERR mem", (u8)dword, 1);
}

static u8 fx[512] __attribute__((aligned(16)));

static void fxsave(void)
{
    u32 cr4 = read_cr4();
    u16 fcw = 0x27f;

    write_cr4(cr4 | 0x200); // OSFXSR
    __asm__ volatile("fninit; fldcw %1; fxsave %0; fninit; fxrstor %0; fnstcw %1" : "+m"(fx), "+m"(fcw));
    check("FXSAVE", fx[0] | fx[1] << 8, 0x27f);
    check("FXRSTOR", fcw, 0x27f);
    write_cr4(cr4);
}

// Not privileged, but random operands seldom leave it a stack.
static void enter(void)
{
    u32 frame;

    __asm__ volatile("movl %%esp, %%eax; enter $16, $3; subl %%esp, %%eax; leave" : "=a"(frame) : : "memory", "cc");
    check("ENTER 16, 3", frame, 4 * 4 + 16);
}

// ---- Control
static void control(void)
{
    u32 cr0 = read_cr0();

    __asm__ volatile("smsw %0" : "=m"(word));
    check("SMSW mem", word, (u16)cr0);
    write_dr0(0x12345678);
    check("MOV DR0", read_dr0(), 0x12345678);
    word = (u16)cr0 | 8;
    __asm__ volatile("lmsw %0" : : "m"(word));
    check("LMSW mem sets TS", read_cr0(), cr0 | 8);
    __asm__ volatile("clts");
    check("CLTS", read_cr0(), cr0 & ~8u);
    __asm__ volatile("lmsw %w0" : : "r"((cr0 & ~1u) | 8)); // PE cannot be cleared
    check("LMSW reg", read_cr0(), cr0 | 8);
    write_cr0(cr0);
    write_cr2(0x12345678);
    check("MOV CR2", read_cr2(), 0x12345678);
    __asm__ volatile("wbinvd; invd" : : : "memory");
    __asm__ volatile("movl $1, %%eax; .byte 0x0f, 0x0d, 0xc8; movl %%eax, %0" : "=r"(dword) : : "eax");
    check("0F 0D, register form, is a NOP", dword, 1);
}

static void int1(void *unused)
{
    (void)unused;
    __asm__ volatile(".byte 0xf1");
}

static void rdpmc(void *counter)
{
    __asm__ volatile("rdpmc" : : "c"(counter) : "eax", "edx");
}

static void rdtsc_user(void *unused)
{
    (void)unused;
    __asm__ volatile("rdtsc" : : : "eax", "edx");
}

static u64 rdtsc(void)
{
    u64 value;

    __asm__ volatile("rdtsc" : "=A"(value));
    return value;
}

static void counters(void)
{
    u64 first = rdtsc(), second = rdtsc();

    check("RDTSC goes on", second > first, 1);
    check("RDTSC at CPL 3", (u32)guarded_user(rdtsc_user, NULL, 2), (u32)NO_FAULT);
    write_cr4(read_cr4() | 4); // TSD
    check("RDTSC at CPL 3, CR4.TSD", (u32)guarded_user(rdtsc_user, NULL, 2), 13);
    check("RDTSC at CPL 0, CR4.TSD", (u32)guarded_call(rdtsc_user, NULL), (u32)NO_FAULT);
    write_cr4(read_cr4() & ~4u);
    check("RDPMC", (u32)guarded_call(rdpmc, NULL), (u32)NO_FAULT);
    check("RDPMC, no such counter", (u32)guarded_call(rdpmc, (void *)99), 13);
    check("RDPMC at CPL 3", (u32)guarded_user(rdpmc, NULL, 2), 13);
    check("INT1", (u32)guarded_call(int1, NULL), 1);
}

// ---- SYSEXIT to CPL 3, SYSENTER back
static void sysexit_sysenter(void *unused)
{
    (void)unused;
    __asm__ volatile("pushal; movl %%esp, kept_esp\n"
                     "movl $1f, %%edx; movl %0, %%ecx; sysexit\n"
                     "1: movl %%cs, %%eax; movl %%eax, user_cs; movl %%ss, %%eax; movl %%eax, user_ss\n"
                     "movl %%esp, user_esp; sysenter; hlt\n"
                     ".globl sysenter_back\n"
                     "sysenter_back: movl %%esp, kernel_esp; movl kept_esp, %%esp; popal"
                     : : "i"(user_stack_top) : "memory", "cc");
}

static void sysenter_alone(void *unused)
{
    (void)unused;
    __asm__ volatile("sysenter");
}

static void fast_calls(void)
{
    wrmsr(0x174, 0);
    check("SYSEXIT without a selector", (u32)guarded_call(sysexit_sysenter, NULL), 13);
    check("SYSENTER without one", (u32)guarded_call(sysenter_alone, NULL), 13);
    wrmsr(0x174, KERNEL_CS);
    wrmsr(0x175, 0x00345678);
    wrmsr(0x176, (u32)sysenter_back);
    check("SYSENTER's MSR", rdmsr(0x175), 0x00345678);
    check("SYSEXIT and SYSENTER", (u32)guarded_call(sysexit_sysenter, NULL), (u32)NO_FAULT);
    check("SYSEXIT's CS", user_cs, USER_CS);
    check("SYSEXIT's SS", user_ss, USER_DS);
    check("SYSEXIT's ESP", user_esp, (u32)user_stack_top);
    check("SYSENTER's ESP", kernel_esp, 0x00345678);
}

// ---- Randomness, where there is any
static u32 cpuid(u32 leaf, u32 want_ebx)
{
    u32 a = leaf, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return want_ebx ? b : c;
}

static void random_numbers(void)
{
    u32 one = 0, two = 0;
    u8 carry = 1;

    wrmsr(0x1a0, rdmsr(0x1a0) & ~(1u << 22)); // all leaves of CPUID
    if (cpuid(1, 0) >> 30 & 1)
        __asm__ volatile("1: rdrand %0; jnc 1b; rdrand %1; setc %2" : "=r"(one), "=r"(two), "=q"(carry));
    else
        two = 1;
    check("RDRAND", carry && one != two, 1);
    one = two = 0;
    if (cpuid(7, 1) >> 18 & 1)
        __asm__ volatile("1: rdseed %0; jnc 1b; 2: rdseed %1; jnc 2b" : "=r"(one), "=r"(two));
    else
        two = 1;
    check("RDSEED", one != two, 1);
}

_Noreturn void kernel_main(void);
_Noreturn void kernel_main(void)
{
    kernel_init();
    ports();
    segments();
    descriptors();
    fxsave();
    enter();
    control();
    counters();
    fast_calls();
    random_numbers();
    finish();
}
