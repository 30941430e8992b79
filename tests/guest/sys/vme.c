// SPDX-License-Identifier: GPL-2.0-or-later
// Every sensitive instruction in virtual-8086 mode, with VME off and on, by IOPL 0 to 3 and all combinations of IF, VIF and
// VIP, INT n with both states of its redirection bit, ports with both states of their permission bit; the same for
// protected-mode virtual interrupts. What must come of it is computed here from SDM 3B 21.2, 21.3 and 2A/2B's
// operation sections. Run: tests/guest/run-sys vme
#include "tests/guest/lib/modes.h"

enum {
    CF = 1, TF = 0x100, IF = 0x200, IOPL = 0x3000, NT = 0x4000, RF = 0x10000, VM = 0x20000, AC = 0x40000, VIF = 0x80000,
    VIP = 0x100000, ID = 0x200000,
};
enum { UD = 6, GP = 13 };
#define PORT 0x21
#define VECTOR 0x90
#define SP 0x8ff0

static struct {
    struct tss32 t;
    u8 redirect[32];
    u8 io[128 + 1];
} __attribute__((packed)) wide;

// What a piece of code starts under, and what it ended in.
static u32 flags, iopl;
static bool vme, pvi;
static u32 wrong, tried, total;

static u8 *low(u32 address) // not for the compiler to reason about
{
    __asm__("" : "+r"(address));
    return (u8 *)address;
}

// Runs the code in virtual-8086 mode under `flags`; returns the vector that ended it. UD2 is behind the code.
static u32 run(const char *code, u32 n)
{
    static u8 bytes[32];

    for (u32 i = 0; i < n; i++)
        bytes[i] = (u8)code[i];
    bytes[n] = 0x0f, bytes[n + 1] = 0x0b;
    return (u32)guarded_v86(bytes, n + 2, flags);
}
#define RUN(code) run(code, sizeof(code) - 1)

static void expect(const char *name, bool right, u32 vector)
{
    tried++;
    total++;
    if (right)
        return;
    if (wrong++ < 5)
        print("%s, %s%s IOPL %u, EFLAGS %06x: vector %u, EIP %x, EFLAGS %x, EAX %x, ESP %x\n", name, vme ? "VME" : "",
              pvi ? "PVI" : "", iopl >> 12, flags, vector, last.eip, last.eflags, last.eax, last.esp);
}

static void verdict(const char *name)
{
    check(name, wrong, 0);
    check("  tried", tried >= 7, true);
    wrong = tried = 0;
}

#define MODEL_FLAGS (IF | IOPL | VIF | VIP | VM | NT | CF)

// The code (n bytes) went through, with these flags and ESP; or raised #GP(0) at `fault_at`, with nothing changed.
static bool ended(u32 vector, bool fine, u32 n, u32 fault_at, u32 after, u32 sp)
{
    if (fine)
        return vector == UD && last.eip == n && (last.eflags & MODEL_FLAGS) == (after & MODEL_FLAGS) && last.esp == sp;
    return vector == GP && last.error == 0 && last.eip == fault_at && last.eflags & RF;
}

static void for_all_flags(void (*body)(void))
{
    for (vme = false;; vme = true) {
        write_cr4((read_cr4() & ~1u) | vme);
        for (iopl = 0; iopl <= IOPL; iopl += 0x1000)
            for (u32 i = 0; i < 8; i++) {
                flags = VM | 2 | iopl | (i & 1 ? IF : 0) | (i & 2 ? VIF : 0) | (i & 4 ? VIP : 0);
                body();
            }
        if (vme)
            break;
    }
    vme = false;
    write_cr4(read_cr4() & ~1u);
}

// ---- CLI, STI, PUSHF, POPF, IRET
static void cli_sti(void)
{
    bool real = iopl == IOPL, virtual = !real && vme;
    u32 v;

    v = RUN("\xfa");
    expect("CLI", ended(v, real || virtual, 1, 0, flags & ~(real ? IF : VIF), SP), v);
    v = RUN("\xfb");
    expect("STI", ended(v, real || (virtual && !(flags & VIP)), 1, 0, flags | (real ? IF : VIF), SP), v);
}

static void pushes(void)
{
    bool real = iopl == IOPL, virtual = !real && vme;
    u32 image = real ? flags : (flags & ~IF) | IOPL | (flags & VIF ? IF : 0), v;

    v = RUN("\x9c");
    expect("PUSHF", ended(v, real || virtual, 1, 0, flags, SP - 2), v);
    if (v == UD)
        expect("PUSHF's image", *(volatile u16 *)low(SP - 2) == (u16)image, v);
    v = RUN("\x66\x9c");
    expect("PUSHFD", ended(v, real, 2, 0, flags, SP - 4), v);
    if (v == UD)
        expect("PUSHFD's image", *(volatile u32 *)low(SP - 4) == (image & ~(u32)(VM | RF)), v);
}

// What POPF and IRET of 16 bits make of an image; false: #GP.
static bool loads_16(u32 image, u32 *after)
{
    *after = flags;
    if (iopl == IOPL) {
        *after = (flags & 0xffff0000) | (image & 0xcfd7) | IOPL | 2;
        return true;
    }
    if (!vme || image & TF || (image & IF && flags & VIP))
        return false;
    *after = (flags & (0xffff0000 | IOPL | IF) & ~(u32)VIF) | (image & 0x4dd7 & ~(u32)IF) | 2 | (image & IF ? VIF : 0);
    return true;
}

static const u16 images[] = { 0x0002, 0x0202, 0x3202, 0x3003, 0x4202, 0x7001 };

static void pops(void)
{
    char popf[] = "\x68\0\0\x9d", iret[] = "\x68\0\0\x0e\x68\x08\0\xcf";
    char iretd[] = "\x66\x68\0\0\0\0\x66\x68\0\x09\0\0\x66\x6a\x11\x66\xcf";
    char popfd[] = "\x66\x68\0\0\0\0\x66\x9d";

    for (u32 i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
        u32 image = images[i], after, v;
        bool fine = loads_16(image, &after);

        popf[1] = iret[1] = (char)image, popf[2] = iret[2] = (char)(image >> 8);
        v = run(popf, 4);
        expect("POPF", ended(v, fine, 4, 3, after, SP), v);
        v = run(iret, 8);
        expect("IRET", ended(v, fine, 8, 7, after, SP), v);
        popfd[2] = iretd[2] = (char)image, popfd[3] = iretd[3] = (char)(image >> 8);
        popfd[4] = iretd[4] = 0x1a; // VIF, VIP and VM, which are not theirs to change
        after = (flags & 0xffff0000) | (image & 0xcfd7) | IOPL | 2;
        v = run(popfd, 8);
        expect("POPFD", ended(v, iopl == IOPL, 8, 6, after, SP), v);
        v = run(iretd, 17);
        expect("IRETD", ended(v, iopl == IOPL, 17, 15, after, SP), v);
    }
}

// TF from an image, which only IOPL 3 may load: the trap comes behind the next instruction.
static volatile u32 steps, step_eip;

static void on_step(struct trap *t)
{
    steps++;
    step_eip = t->eip;
    t->eflags &= ~(u32)TF;
    write_dr6(0xffff0ff0);
}

static void traps(void)
{
    u32 v;

    handle(1, on_step);
    steps = 0;
    v = RUN("\x68\x02\x01\x9d\x90\x90");
    expect("POPF with TF", iopl == IOPL ? steps == 1 && step_eip == 5 && v == UD : steps == 0 && v == GP && last.eip == 3, v);
    steps = 0;
    v = RUN("\x68\x02\x01\x0e\x68\x08\0\xcf\x90\x90");
    expect("IRET with TF", iopl == IOPL ? steps == 1 && step_eip == 9 && v == UD : steps == 0 && v == GP && last.eip == 7, v);
    handle(1, NULL);
}

// ---- Interrupts
static volatile u32 gates, gate_flags, gate_eip;

static void on_gate(struct trap *t)
{
    gates++;
    gate_flags = t->eflags;
    gate_eip = t->eip;
}

static void software(void)
{
    for (u32 redirect = 0; redirect < 2; redirect++) {
        bool own = vme && redirect, gate = !own && iopl == IOPL;
        u32 pushed = iopl == IOPL ? flags : (flags & ~IF) | IOPL | (flags & VIF ? IF : 0), v;

        wide.redirect[VECTOR / 8] = redirect ? 0 : 1 << VECTOR % 8;
        gates = 0;
        v = RUN("\xcd\x90");
        if (own) {
            // The handler at 0:0500 is UD2: what it is entered with.
            u32 inside = flags & ~(u32)(iopl == IOPL ? IF : VIF);

            expect("INT, redirected", v == UD && last.cs == 0 && last.eip == 0x500 && last.esp == SP - 6 && gates == 0 &&
                   (last.eflags & MODEL_FLAGS) == (inside & MODEL_FLAGS), v);
            expect("  its frame", *(volatile u16 *)low(SP - 2) == (u16)pushed && *(volatile u16 *)low(SP - 4) == 0x900 &&
                   *(volatile u16 *)low(SP - 6) == 2, v);
        } else {
            expect("INT", ended(v, gate, 2, 0, flags, SP) && gates == gate, v);
            if (gate)
                expect("  its frame", gate_eip == 2 && (gate_flags & MODEL_FLAGS) == (flags & MODEL_FLAGS), v);
        }
        // INT3 and INTO are sensitive to neither, nor redirected.
        gates = 0;
        v = RUN("\xcc");
        expect("INT3", ended(v, true, 1, 0, flags, SP) && gates == 1 && gate_eip == 1, v);
        gates = 0;
        v = RUN("\xb0\x7f\x04\x01\xce"); // mov al, 7fh; add al, 1; into
        expect("INTO", v == UD && last.eip == 5 && gates == 1 && gate_eip == 5, v);
    }
    wide.redirect[VECTOR / 8] = 0xff;
}

// The map lies where the I/O map's base says, less 32 bytes; it must be within the TSS.
static void maps(void)
{
    static const u16 base[] = { 0, 31, 32, 0x67, 0x88, 0x110, 0xffff };

    vme = true;
    write_cr4(read_cr4() | 1);
    iopl = 0;
    flags = VM | 2;
    for (u32 i = 0; i < sizeof(base) / sizeof(base[0]); i++) {
        u32 at = base[i] - 32u + VECTOR / 8, v;
        bool in = base[i] >= 32 && at < sizeof(wide);

        wide.t.io_map = base[i];
        v = RUN("\xcd\x90");
        if (!in)
            expect("a redirection map beyond the TSS", v == GP && last.error == 0 && last.eip == 0, v);
        else if (((u8 *)&wide)[at] & 1 << VECTOR % 8)
            expect("a bit that is set", v == GP && last.eip == 0, v);
        else
            expect("a bit that is clear", v == UD && last.eip == 0x500, v);
    }
    wide.t.io_map = (u16)((u32)wide.io - (u32)&wide);
    // A TSS without room for the base has no map, whatever lies there; nor has one of 16 bits.
    wide.t.io_map = 0x67; // the bit is in FS's slot
    for (u32 i = 0; i < 3; i++) {
        static const struct {
            u16 limit;
            u8 access;
        } tss_of[] = { { 0x67, 0x89 }, { 0x66, 0x89 }, { sizeof(wide) - 1, 0x81 } };
        u16 *const small = (u16 *)low((u32)&wide);
        u16 kept[2] = { small[1], small[2] };
        u32 v;

        if (tss_of[i].access == 0x81)
            small[1] = 0x7000, small[2] = KERNEL_DS; // the stack of CPL 0 in its place there
        gdt[SPARE / 8] = descriptor((u32)&wide, tss_of[i].limit, tss_of[i].access, 0);
        __asm__ volatile("ltr %w0" : : "r"(SPARE));
        v = RUN("\xcd\x90");
        if (i == 0)
            expect("a TSS just long enough", v == UD && last.eip == 0x500, v);
        else
            expect("a TSS too short, or of 16 bits", v == GP && last.error == 0 && last.eip == 0, v);
        small[1] = kept[0], small[2] = kept[1];
    }
    wide.t.io_map = (u16)((u32)wide.io - (u32)&wide);
    wide.redirect[VECTOR / 8] = 0xff;
    gdt[SPARE / 8] = descriptor((u32)&wide, sizeof(wide) - 1, 0x89, 0);
    __asm__ volatile("ltr %w0" : : "r"(SPARE));
    write_cr4(read_cr4() & ~1u);
    vme = false;
}

// ---- Ports: the map decides, whatever IOPL and VME
static void ports(void)
{
    for (u32 allowed = 0; allowed < 2; allowed++) {
        u32 v;

        wide.io[PORT / 8] = wide.io[0x80 / 8] = allowed ? 0 : 0xff;
        v = RUN("\xe4\x21");
        expect("IN AL, imm", ended(v, allowed, 2, 0, flags, SP), v);
        v = RUN("\xe6\x80");
        expect("OUT imm, AL", ended(v, allowed, 2, 0, flags, SP), v);
        v = RUN("\xba\x21\0\xec");
        expect("IN AL, DX", ended(v, allowed, 4, 3, flags, SP), v);
        v = RUN("\xba\x80\0\xee");
        expect("OUT DX, AL", ended(v, allowed, 4, 3, flags, SP), v);
        v = RUN("\xba\x80\0\xef");
        expect("OUT DX, AX", ended(v, allowed, 4, 3, flags, SP), v);
        v = RUN("\xba\x27\0\xed"); // the word's second port has a bit in the next byte
        expect("IN over a forbidden port", ended(v, false, 4, 3, flags, SP), v);
        v = RUN("\xba\x21\0\x31\xff\x6c");
        expect("INSB", v == (allowed ? UD : GP) && last.eip == (allowed ? 6 : 5) && (last.edi & 0xffff) == allowed, v);
        v = RUN("\xba\x80\0\x31\xf6\x6e");
        expect("OUTSB", v == (allowed ? UD : GP) && last.eip == (allowed ? 6 : 5) && (last.esi & 0xffff) == allowed, v);
        v = RUN("\xba\x80\0\x31\xf6\xb9\x03\0\xf3\x6e");
        expect("REP OUTSB", v == (allowed ? UD : GP) && (last.ecx & 0xffff) == (allowed ? 0 : 3), v);
    }
    wide.io[PORT / 8] = wide.io[0x80 / 8] = 0xff;
}

// ---- What is for CPL 0, or not for this mode, whatever IOPL
static const struct {
    const char *name, *code;
    u8 len, vector; // 0: goes through
} fixed[] = {
    { "HLT", "\xf4", 1, GP }, { "CLTS", "\x0f\x06", 2, GP }, { "LGDT", "\x0f\x01\x16\0\0", 5, GP },
    { "LIDT", "\x0f\x01\x1e\0\0", 5, GP }, { "LMSW", "\x0f\x01\xf0", 3, GP }, { "INVLPG", "\x0f\x01\x3e\0\0", 5, GP },
    { "MOV from CR0", "\x0f\x20\xc0", 3, GP }, { "MOV to CR0", "\x0f\x22\xc0", 3, GP },
    { "MOV to CR3", "\x0f\x22\xd8", 3, GP }, { "MOV from CR4", "\x0f\x20\xe0", 3, GP },
    { "MOV from DR7", "\x0f\x21\xf8", 3, GP }, { "MOV to DR7", "\x0f\x23\xf8", 3, GP }, { "RDMSR", "\x0f\x32", 2, GP },
    { "WRMSR", "\x0f\x30", 2, GP }, { "INVD", "\x0f\x08", 2, GP }, { "WBINVD", "\x0f\x09", 2, GP },
    { "RDPMC", "\x0f\x33", 2, GP }, { "SYSEXIT", "\x0f\x35", 2, GP }, { "SLDT", "\x0f\x00\xc0", 3, UD },
    { "STR", "\x0f\x00\xc8", 3, UD }, { "LLDT", "\x0f\x00\xd0", 3, UD }, { "LTR", "\x0f\x00\xd8", 3, UD },
    { "VERR", "\x0f\x00\xe0", 3, UD }, { "VERW", "\x0f\x00\xe8", 3, UD }, { "LAR", "\x0f\x02\xc0", 3, UD },
    { "LSL", "\x0f\x03\xc0", 3, UD }, { "ARPL", "\x63\xc0", 2, UD }, { "RSM", "\x0f\xaa", 2, UD },
    { "LOCK CLI", "\xf0\xfa", 2, UD }, { "SMSW", "\x0f\x01\xe0", 3, 0 }, { "SGDT", "\x0f\x01\x06\x80\0", 5, 0 },
    { "SIDT", "\x0f\x01\x0e\x80\0", 5, 0 }, { "RDTSC", "\x0f\x31", 2, 0 }, { "CPUID", "\x0f\xa2", 2, 0 },
};

static void others(void)
{
    for (u32 i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        u32 v = run(fixed[i].code, fixed[i].len);

        if (fixed[i].vector)
            expect(fixed[i].name, v == fixed[i].vector && last.eip == 0 && (last.eflags & (VM | IF | VIF | VIP | IOPL)) ==
                   (flags & (VM | IF | VIF | VIP | IOPL)) && (v == UD || last.error == 0), v);
        else
            expect(fixed[i].name, ended(v, true, fixed[i].len, 0, flags, SP), v);
    }
    write_cr4(read_cr4() | 4);
    {
        u32 v = RUN("\x0f\x31");

        expect("RDTSC with TSD", v == GP && last.eip == 0, v);
    }
    write_cr4(read_cr4() & ~4u);
}

// ---- Protected mode at CPL 3: PVI. PUSHF, POPF and IRET know nothing of it.
static u32 user_esp;

#define USER_CASE(name, code)                                                                \
    static void name(void *p)                                                                \
    {                                                                                        \
        (void)p;                                                                             \
        __asm__ volatile("movl %%esp, %0\n\t" code "\n\tud2" : "=m"(user_esp) : : "eax", "memory", "cc"); \
    }
USER_CASE(user_cli, "cli")
USER_CASE(user_sti, "sti")
USER_CASE(user_pushf, "pushfl; popl %%eax")
USER_CASE(user_popf_set, "pushl $0x203202; popfl")
USER_CASE(user_popf_clear, "pushl $2; popfl")
USER_CASE(user_iret, "pushl $0x1a0202; pushl %%cs; pushl $1f; iret; 1:")
USER_CASE(user_int, "int $0x90")

static bool user_ended(u32 v, bool fine, u32 after)
{
    const u32 mask = IF | VIF | VIP | IOPL | VM;

    if (v == UD)
        return fine && (last.eflags & mask) == (after & mask) && last.esp == user_esp;
    return !fine && v == GP && last.error == 0 && (last.eflags & mask) == (flags & mask);
}

static void user(void)
{
    for (pvi = false;; pvi = true) {
        write_cr4((read_cr4() & ~2u) | (pvi ? 2 : 0));
        for (iopl = 0; iopl <= IOPL; iopl += 0x1000)
            for (u32 i = 0; i < 8; i++) {
                bool real = iopl == IOPL, virtual = !real && pvi;
                u32 v;

                flags = 2 | iopl | (i & 1 ? IF : 0) | (i & 2 ? VIF : 0) | (i & 4 ? VIP : 0);
                v = (u32)guarded_user(user_cli, NULL, flags);
                expect("CLI", user_ended(v, real || virtual, flags & ~(u32)(real ? IF : VIF)), v);
                v = (u32)guarded_user(user_sti, NULL, flags);
                expect("STI", user_ended(v, real || (virtual && !(flags & VIP)), flags | (real ? IF : VIF)), v);
                v = (u32)guarded_user(user_pushf, NULL, flags);
                expect("PUSHF", user_ended(v, true, flags) && (last.eax & (IF | IOPL | VIF | VIP | VM | RF)) ==
                       (flags & (IF | IOPL | VIF | VIP)), v);
                v = (u32)guarded_user(user_popf_set, NULL, flags);
                expect("POPF with IF", user_ended(v, true, real ? flags | IF : flags), v);
                v = (u32)guarded_user(user_popf_clear, NULL, flags);
                expect("POPF without", user_ended(v, true, real ? flags & ~(u32)IF : flags), v);
                v = (u32)guarded_user(user_iret, NULL, flags);
                expect("IRET", user_ended(v, true, real ? flags | IF : flags), v);
                gates = 0;
                v = (u32)guarded_user(user_int, NULL, flags);
                expect("INT", user_ended(v, true, flags) && gates == 1, v);
            }
        if (pvi)
            break;
    }
    pvi = false;
    write_cr4(read_cr4() & ~2u);
    verdict("CPL 3, with and without PVI");
}

static void all(void)
{
    for_all_flags(cli_sti);
    verdict("CLI and STI");
    for_all_flags(pushes);
    verdict("PUSHF");
    for_all_flags(pops);
    verdict("POPF and IRET");
    for_all_flags(traps);
    verdict("POPF and IRET with TF");
    for_all_flags(software);
    verdict("INT n, INT3, INTO");
    maps();
    verdict("the redirection map's place");
    for_all_flags(ports);
    verdict("ports");
    for_all_flags(others);
    verdict("privileged and undefined");
    user();
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    wide.t = *(struct tss32 *)tss;
    wide.t.io_map = (u16)((u32)wide.io - (u32)&wide);
    for (u32 i = 0; i < sizeof(wide.redirect); i++)
        wide.redirect[i] = 0xff;
    for (u32 i = 0; i < sizeof(wide.io); i++)
        wide.io[i] = 0xff;
    gdt[SPARE / 8] = descriptor((u32)&wide, sizeof(wide) - 1, 0x89, 0);
    __asm__ volatile("ltr %w0" : : "r"(SPARE));
    // The 8086's own handler of INT 90h.
    *(volatile u16 *)low(0x500) = 0x0b0f;
    *(volatile u32 *)low(VECTOR * 4) = 0x500;
    handle(VECTOR, on_gate);
    handle(3, on_gate);
    handle(4, on_gate);
    all();
    paging_on();
    all();
    print("%u tries\n", total);
    finish();
}
