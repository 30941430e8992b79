// SPDX-License-Identifier: GPL-2.0-or-later
// The classes of exceptions, whole: each first event, met by each fault that can come up in its delivery, is delivered after
// another or ends in a double fault, with the right error code (SDM 3A 6.15, tables 6-4 and 6-5).
// Run: tests/guest/run-sys classes
#include "tests/guest/lib/modes.h"

#define SEL(i) (SPARE + 8 * (i))
#define ABSENT SEL(0) // a data segment that is not present
#define SHORT SEL(1)  // user data of one page
#define JUDGES 2      // SEL(2) and on: a task for each vector that ends a case

static u8 *const hole = arena[3], *const far_idt = arena[6];
static u64 *const moved_idt = (u64 *)(arena[6] - 8 * 32); // vectors up to 1f are in one page, INT 90h in the next

static void set_pte(const void *p, u32 entry)
{
    page_table[(u32)p >> 12] = entry;
    invlpg((u32)p);
}

static void use_idt(const u64 *table)
{
    struct {
        u16 limit;
        u32 base;
    } __attribute__((packed)) t = { 0x7ff, (u32)table };

    __asm__ volatile("lidt %0" : : "m"(t));
}

// ---- What ends a case: tasks, as there may be no stack.
static const u8 judged_by[] = { 8, 10, 11, 12, 13, 14 };
static struct tss32 judges[sizeof(judged_by)];
static u32 judge_stacks[sizeof(judged_by)][64];
static volatile u32 vector_seen, error_seen;
extern void judging(void), judged(u32 error, u32 vector), user_exit(void);
__asm__("judging: pushl %eax; pushl 4(%esp); call judged");

// The main task goes on at the end of its user code.
void judged(u32 error, u32 vector)
{
    u32 far[2] = { 0, TSS_SELECTOR };

    vector_seen = vector;
    error_seen = error;
    tss[1] = (u32)trap_stack_top;
    tss[2] = KERNEL_DS;
    tss[8] = (u32)user_exit;
    tss[9] = 0x202;
    tss[14] = (u32)user_stack_top - 16;
    tss[20] = tss[18] = tss[21] = USER_DS;
    use_idt(idt);
    gdt[TSS_SELECTOR / 8] &= ~(2ull << 40);
    __asm__ volatile("clts; ljmp *%0" : : "m"(far) : "memory");
    __builtin_unreachable();
}

static void make_judges(void)
{
    for (u32 i = 0; i < sizeof(judged_by); i++) {
        judges[i] = task32(judging, (u32)(judge_stacks[i] + 64));
        judges[i].eax = judged_by[i];
        gdt[JUDGES + SPARE / 8 + i] = descriptor((u32)&judges[i], sizeof(judges[i]) - 1, 0x89, 0);
        idt[judged_by[i]] = gate(SEL(JUDGES + i), 0, 0x85);
    }
}

// ---- First events, at CPL 3
#define FIRST(name, code)                                                                    \
    static void name(void *p)                                                                \
    {                                                                                        \
        __asm__ volatile(code : : "d"(p) : "eax", "ecx", "memory", "cc");                    \
    }
FIRST(de, "xorl %%ecx, %%ecx; divl %%ecx")
FIRST(db, ".byte 0xf1")
FIRST(bp, "int3")
FIRST(of, "movb $0x7f, %%al; incb %%al; into")
FIRST(br, "pushl $5; pushl $3; movl $7, %%eax; boundl %%eax, (%%esp)")
FIRST(ud, "ud2")
FIRST(nm, "fld1")
FIRST(ts, "pushl $0x4202; popfl; iret") // NT without a task to return to
FIRST(np, "movl $0x33, %%eax; movl %%eax, %%ds")
FIRST(ss, "movl $0x3b, %%eax; movl %%eax, %%ss; nop; pushl $1")
FIRST(gp, "hlt")
FIRST(pf, "movl (%%edx), %%eax")
FIRST(mf, "fninit; pushl $0x37b; fldcw (%%esp); fld1; fldz; fdivrp %%st, %%st(1); fwait")
FIRST(ac, "pushl $0x40202; popfl; movl 1(%%esp), %%eax")
FIRST(xm, "pushl $0x1d00; ldmxcsr (%%esp); xorps %%xmm0, %%xmm0; divps %%xmm0, %%xmm0")
FIRST(soft, "int $0x90")

enum class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static const struct {
    const char *name;
    void (*raise)(void *);
    u8 vector, class, ext;
} firsts[] = {
    { "#DE", de, 0, CONTRIBUTORY, 1 }, { "INT1", db, 1, BENIGN, 1 },       { "INT3", bp, 3, BENIGN, 0 },
    { "INTO", of, 4, BENIGN, 0 },      { "#BR", br, 5, BENIGN, 1 },        { "#UD", ud, 6, BENIGN, 1 },
    { "#NM", nm, 7, BENIGN, 1 },       { "#TS", ts, 10, CONTRIBUTORY, 1 }, { "#NP", np, 11, CONTRIBUTORY, 1 },
    { "#SS", ss, 12, CONTRIBUTORY, 1 }, { "#GP", gp, 13, CONTRIBUTORY, 1 }, { "#PF", pf, 14, PAGE_FAULT, 1 },
    { "#MF", mf, 16, BENIGN, 1 },      { "#AC", ac, 17, BENIGN, 1 },       { "#XM", xm, 19, BENIGN, 1 },
    { "INT n", soft, 0x90, BENIGN, 0 },
};

// ---- What goes wrong in their delivery
enum second { NP_GATE, NP_CODE, GP_CODE, GP_TYPE, PF_IDT, PF_STACK, TS_NULL, TS_TYPE, SS_ABSENT, SS_LIMIT, SECONDS };
static const char *const second_names[SECONDS] = {
    "gate not present", "code not present", "gate to data", "no gate", "IDT's page", "stack's page", "SS0 null",
    "SS0 of CPL 3", "SS0 not present", "SS0's limit",
};

// Breaks what the vector's delivery needs. Returns the fault's vector, and its error code.
static u8 arrange(enum second second, u8 vector, u32 *error)
{
    u64 good = gate(KERNEL_CS, (u32)trap_stubs + 16 * vector, 0xee);

    moved_idt[vector] = good;
    switch (second) {
    case NP_GATE:
        moved_idt[vector] = good & ~(0x80ull << 40);
        *error = vector * 8u + 2;
        return 11;
    case NP_CODE:
        gdt[SEL(9) / 8] = descriptor(0, 0xfffff, 0x1b, 0xc);
        moved_idt[vector] = gate(SEL(9), 0, 0xee);
        *error = SEL(9);
        return 11;
    case GP_CODE:
        moved_idt[vector] = gate(KERNEL_DS, 0, 0xee);
        *error = KERNEL_DS;
        return 13;
    case GP_TYPE:
        moved_idt[vector] = gate(KERNEL_CS, 0, 0xec);
        *error = vector * 8u + 2;
        return 13;
    case PF_IDT:
        set_pte(far_idt, 0);
        *error = 0;
        return 14;
    case PF_STACK:
        tss[1] = (u32)hole + 64;
        *error = 2;
        return 14;
    case TS_NULL:
        tss[2] = 0;
        *error = 0;
        return 10;
    case TS_TYPE:
        tss[2] = USER_DS;
        *error = USER_DS & ~3u;
        return 10;
    case SS_ABSENT:
        gdt[SEL(9) / 8] = descriptor(0, 0xfffff, 0x13, 0xc);
        tss[2] = *error = SEL(9);
        return 12;
    default:
        gdt[SEL(9) / 8] = descriptor(0, 0xfff, 0x93, 4);
        tss[2] = *error = SEL(9);
        return 12;
    }
}

static u32 bad;

static void one(u32 first, enum second second)
{
    u8 vector = firsts[first].vector, want;
    u32 error, want_error;

    make_judges();
    for (u32 i = 0; i < 256; i++)
        moved_idt[i] = idt[i];
    want = arrange(second, vector, &error);
    want_error = want == 14 ? error : error + firsts[first].ext;
    if ((firsts[first].class == CONTRIBUTORY && want != 14) || firsts[first].class == PAGE_FAULT)
        want = 8, want_error = 0;
    vector_seen = error_seen = ~0u;
    if (vector == 7)
        write_cr0(read_cr0() | 8);
    use_idt(moved_idt);
    guarded_user(firsts[first].raise, hole, 0x202);
    __asm__ volatile("clts; fninit");
    tss[1] = (u32)trap_stack_top;
    tss[2] = KERNEL_DS;
    set_pte(far_idt, (u32)far_idt | 7);
    if (vector_seen == want && error_seen == want_error)
        return;
    bad++;
    print("FAILED %s, then %s: %u (%x), not %u (%x)\n", firsts[first].name, second_names[second], vector_seen,
          error_seen, want, want_error);
}

void kernel_main(void);
void kernel_main(void)
{
    u32 cases = 0;

    kernel_init();
    paging_on();
    write_cr0((read_cr0() & ~0xcu) | 0x40020); // NE, AM
    if (cpu_has(25))
        write_cr4(read_cr4() | 0x600);
    gdt[ABSENT / 8] = descriptor(0, 0xfffff, 0x73, 0xc);
    gdt[SHORT / 8] = descriptor(0, 0xfff, 0xf3, 4);
    tss[7] = read_cr3();
    set_pte(hole, 0);
    for (u32 round = 0; round < 3; round++)
        for (u32 first = 0; first < sizeof(firsts) / sizeof(firsts[0]); first++)
            for (enum second second = 0; second < SECONDS; second++) {
                // The IDT's page that is taken away has INT 90h's gate only, and only INT's gates can have a wrong one of theirs.
                if (second == PF_IDT && firsts[first].vector < 0x20)
                    continue;
                if (firsts[first].vector == 19 && !cpu_has(25))
                    continue;
                one(first, second);
                cases++;
            }
    print("%u cases\n", cases);
    check("the classes of exceptions", bad, 0);
    finish();
}
