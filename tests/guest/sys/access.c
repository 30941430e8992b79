// SPDX-License-Identifier: GPL-2.0-or-later
// Every combination of page-table bits at every level, in two-level and PAE paging, with large pages, NX,
// WP, and both privileges, by read, write and fetch: the fault, its error code, A and D; reserved bits;
// what a change means before and after INVLPG (SDM 3A 4.3 to 4.10).
// Run: tests/guest/run-sys access; with -a all also with A, D and G set before, both flushes, PGE, and PS without PSE.
#include "tests/guest/lib/kernel.h"

#define LINEAR 0x40000000u // the page on trial, alone in its directory entry
#define P PTE_P
#define W PTE_W
#define U PTE_U
#define NX (1ull << 63)

enum access { READ, WRITE, EXECUTE };

static volatile u32 sink;
static u64 pdpt[4] __attribute__((aligned(32)));
static u64 directory[4][512] __attribute__((aligned(4096)));
static u64 table[8][512] __attribute__((aligned(4096)));
static u32 small_table[1024] __attribute__((aligned(4096)));
#define large ((u8 *)0x800000) // 4 MiB of free memory
static bool pae, nx_on, large_on;
static bool everything; // -a all
static u32 preset;      // of A, D and G, in both entries
static bool by_invlpg;

static void do_read(void *p)
{
    sink = *(volatile u32 *)p;
}
static void do_write(void *p)
{
    *(volatile u32 *)p = 0xc3c3c3c3;
}
static void do_execute(void *p)
{
    ((void (*)(void))p)();
}
static void (*const doers[])(void *) = { do_read, do_write, do_execute };

static void set_entries(u64 pde, u64 pte)
{
    if (pae) {
        directory[LINEAR >> 30][0] = pde;
        table[7][0] = pte;
    } else {
        page_directory[LINEAR >> 22] = (u32)pde;
        small_table[0] = (u32)pte;
    }
}

static u64 peek(bool leaf)
{
    __asm__ volatile("" : : : "memory");
    if (pae)
        return leaf ? table[7][0] : directory[LINEAR >> 30][0];
    return leaf ? small_table[0] : page_directory[LINEAR >> 22];
}

static u64 table_address(void)
{
    return pae ? (u32)table[7] : (u32)small_table;
}

static int go(enum access access, bool user)
{
    return user ? guarded_user(doers[access], (void *)LINEAR, 0x202)
                : guarded_call(doers[access], (void *)LINEAR);
}

static u32 bad;

static void expect(u64 pde, u64 pte, enum access access, bool user, bool wp, int fault, u32 error,
                   bool in_large)
{
    u64 leaf, upper;
    bool right;
    int got;

    pde |= preset;
    pte |= in_large ? 0 : preset;
    set_entries(pde, pte);
    if (by_invlpg)
        invlpg(LINEAR);
    else
        write_cr3(read_cr3());
    got = go(access, user);
    leaf = peek(!in_large);
    upper = peek(false);
    if (fault == NO_FAULT)
        right = got == NO_FAULT && upper & PTE_A &&
                leaf == ((in_large ? pde : pte) | PTE_A | (access == WRITE ? PTE_D : 0));
    else
        right = got == 14 && last.error == error && last_cr2 == LINEAR && leaf == (in_large ? pde : pte);
    if (!right && bad++ < 5)
        print("FAILED access %u, %s, WP %u, PDE %x%08x, PTE %x%08x: vector %d, error %x; then %x, %x\n", access,
              user ? "user" : "kernel", wp, (u32)(pde >> 32), (u32)pde, (u32)(pte >> 32), (u32)pte, got,
              last.error, (u32)upper, (u32)leaf);
}

// All the bits of both entries; `reserved` is a bit that must be 0 in the leaf, or 0.
static u32 combinations(u64 reserved)
{
    u32 cases = 0;

    for (u32 c = 0; c < 8 * 8 * 4 * 2 * 2 * 3 * 2; c++) {
        u32 pde_bits = c & 7, pte_bits = c >> 3 & 7, x = c >> 6 & 3;
        bool user = c >> 8 & 1, wp = c >> 9 & 1, set_reserved = c / 1024 / 3;
        enum access access = c / 1024 % 3;
        u64 pde_nx = x & 1 ? NX : 0, pte_nx = x & 2 ? NX : 0, pde, pte;
        bool p, w, u, n, r, allowed;
        u32 error;

        if ((x && !(pae && nx_on)) || (set_reserved && !reserved) || (large_on && pte_bits != 7) ||
            (large_on && x & 2))
            continue;
        write_cr0((read_cr0() & ~0x10000u) | (wp ? 0x10000 : 0));
        if (large_on) {
            pde = (u32)large | PTE_PS | pde_bits | pde_nx | (set_reserved ? reserved : 0);
            pte = 0;
            pte_bits = pde_bits;
        } else {
            pde = table_address() | pde_bits | pde_nx | (pae || read_cr4() & 0x10 ? 0 : PTE_PS); // then it means nothing
            pte = (u32)large | pte_bits | pte_nx | (set_reserved ? reserved : 0);
        }
        p = pde_bits & pte_bits & P;
        w = pde_bits & pte_bits & W;
        u = pde_bits & pte_bits & U;
        n = x && access == EXECUTE;
        r = p && set_reserved;
        allowed = p && !r && (!user || u) && !n && (access != WRITE || w || (!user && !wp));
        error = (p ? 1 : 0) | (access == WRITE ? 2 : 0) | (user ? 4 : 0) | (r ? 8 : 0) |
                (access == EXECUTE && pae && nx_on ? 16 : 0);
        expect(pde, pte, access, user, wp, allowed ? NO_FAULT : 14, error, large_on);
        cases++;
    }
    write_cr0(read_cr0() | 0x10000);
    return cases;
}

static u32 all_sizes(u64 reserved, u64 reserved_large)
{
    u32 cases = combinations(0);

    if (reserved)
        cases += combinations(reserved);
    large_on = true;
    if (pae || read_cr4() & 0x10)
        cases += combinations(reserved_large);
    large_on = false;
    return cases;
}

static void all(const char *name, u64 reserved, u64 reserved_large)
{
    u32 cases = 0;

    bad = 0;
    for (u32 i = 0; i < (everything ? 32 : 1); i++) {
        preset = (i & 1 ? PTE_A : 0) | (i & 2 ? PTE_D : 0) | (i & 4 ? PTE_G : 0);
        by_invlpg = i & 8;
        write_cr4((read_cr4() & ~0x80u) | (i & 16 ? 0x80 : 0)); // PGE
        by_invlpg = by_invlpg || i & 16;
        cases += all_sizes(reserved, reserved_large);
    }
    preset = by_invlpg = 0;
    write_cr4(read_cr4() & ~0x80u);
    print("%s: %u combinations\n", name, cases);
    check(name, bad, 0);
}

// ---- Changes: what must show after INVLPG or a CR3 write; before, either is right.
static void changes(void)
{
    static const struct {
        const char *name;
        u32 pde, pte;
        int read, write, user_read, user_write;
    } steps[] = {
        { "all allowed", 7, 7, -1, -1, -1, -1 },         { "supervisor", 7, 3, -1, -1, 14, 14 },
        { "read-only", 7, 5, -1, 14, -1, 14 },           { "absent", 7, 0, 14, 14, 14, 14 },
        { "present again", 7, 7, -1, -1, -1, -1 },       { "supervisor table", 3, 7, -1, -1, 14, 14 },
        { "read-only table", 5, 7, -1, 14, -1, 14 },     { "no table", 0, 7, 14, 14, 14, 14 },
        { "table again", 7, 7, -1, -1, -1, -1 },         { "read-only supervisor", 7, 1, -1, 14, 14, 14 },
        { "all allowed", 7, 7, -1, -1, -1, -1 },
    };

    for (u32 how = 0; how < 2; how++) {
        for (u32 i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
            bool right;

            set_entries(table_address() | steps[i].pde, (u32)large | steps[i].pte);
            if (how)
                write_cr3(read_cr3());
            else
                invlpg(LINEAR);
            right = go(READ, true) == steps[i].user_read && go(READ, false) == steps[i].read &&
                    go(WRITE, true) == steps[i].user_write && go(WRITE, false) == steps[i].write &&
                    go(READ, true) == steps[i].user_read;
            check(steps[i].name, right, true);
        }
    }
    // An entry that becomes present needs no flush.
    for (u32 i = 0; i < 20; i++) {
        set_entries(table_address() | 7, 0);
        invlpg(LINEAR);
        check("absent", (u32)go(READ, i & 1), 14);
        set_entries(table_address() | 7, (u32)large | 7);
        check("present without a flush", (u32)go(READ, i & 1), (u32)NO_FAULT);
    }
    // Rights that are widened need none either: the fault itself re-walks.
    set_entries(table_address() | 7, (u32)large | 5);
    invlpg(LINEAR);
    check("a read", (u32)go(READ, true), (u32)NO_FAULT);
    set_entries(table_address() | 7, (u32)large | 7);
    check("a write, allowed without a flush", (u32)go(WRITE, true), (u32)NO_FAULT);
    set_entries(table_address() | 7, (u32)large | 3);
    invlpg(LINEAR);
    check("supervisor", (u32)go(READ, true), 14);
    set_entries(table_address() | 7, (u32)large | 7);
    check("the user's, without a flush", (u32)go(READ, true), (u32)NO_FAULT);
    // A that is cleared without a flush may stay so; with one it is set again.
    set_entries(table_address() | 7, (u32)large | 7);
    write_cr3(read_cr3());
    go(READ, false);
    check("A after a flush", (u32)peek(true) & (PTE_A | PTE_D), PTE_A);
    check("A of the directory", (u32)peek(false) & PTE_A, PTE_A);
    go(WRITE, true);
    check("D at the first write", (u32)peek(true) & (PTE_A | PTE_D), PTE_A | PTE_D);
}

// ---- Modes
static void efer_nx(bool on)
{
    u32 low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0xc0000080));
    low = on ? low | 0x800 : low & ~0x800u;
    __asm__ volatile("wrmsr" : : "a"(low), "d"(high), "c"(0xc0000080));
    nx_on = on;
}

static void pae_on(void)
{
    for (u32 i = 0; i < 7; i++) {
        for (u32 j = 0; j < 512; j++)
            table[i][j] = (i * 512 + j) * 4096 | 7;
        directory[0][i] = (u32)table[i] | 7;
    }
    for (u32 i = 0; i < 4; i++)
        pdpt[i] = (u32)directory[i] | 1;
    write_cr0(read_cr0() & 0x7fffffff);
    write_cr4(read_cr4() | 0x20);
    write_cr3((u32)pdpt);
    write_cr0(read_cr0() | 0x80000000);
    pae = true;
}

static void bad_pdpt(void *unused)
{
    (void)unused;
    write_cr3((u32)pdpt);
}

static void pdptes(void)
{
    u64 kept = pdpt[3];

    pdpt[3] |= 2; // W is reserved here
    check("a PDPTE with a reserved bit", (u32)guarded_call(bad_pdpt, NULL), 13);
    check("its error code", last.error, 0);
    pdpt[3] = 2; // but not if it is absent
    check("an absent PDPTE", (u32)guarded_call(bad_pdpt, NULL), (u32)NO_FAULT);
    check("has nothing", (u32)guarded_call(do_read, (void *)0xc0000000), 14);
    check("its error code", last.error, 0);
    pdpt[3] = kept;
    directory[3][0] = (u32)table[0] | 7;
    check("PDPTEs are read at the CR3 write only", (u32)guarded_call(do_read, (void *)0xc0000000), 14);
    write_cr3((u32)pdpt);
    check("by which it is there", (u32)guarded_call(do_read, (void *)0xc0100000), (u32)NO_FAULT);
}

// PGE: global pages outlive a CR3 write (or may), INVLPG and CR4.PGE flush them.
static void global(void)
{
    for (u32 user = 0; user < 2; user++) {
        set_entries(table_address() | 7, (u32)large | 7 | PTE_G);
        write_cr4(read_cr4() | 0x80);
        check("a global page", (u32)go(WRITE, user), (u32)NO_FAULT);
        set_entries(table_address() | 7, (u32)large | 1 | PTE_G);
        invlpg(LINEAR);
        check("INVLPG flushes it", (u32)go(WRITE, user), 14);
        set_entries(table_address() | 7, (u32)large | 7 | PTE_G);
        check("a write again", (u32)go(WRITE, user), (u32)NO_FAULT);
        set_entries(table_address() | 7, (u32)large | 1 | PTE_G);
        write_cr4(read_cr4() & ~0x80u);
        check("CR4.PGE flushes it", (u32)go(WRITE, user), 14);
        set_entries(table_address() | 7, (u32)large | 7 | PTE_G);
        invlpg(LINEAR);
        check("without PGE", (u32)go(WRITE, user), (u32)NO_FAULT);
        set_entries(table_address() | 7, (u32)large | 1 | PTE_G);
        write_cr3(read_cr3());
        check("G means nothing", (u32)go(WRITE, user), 14);
    }
}

void kernel_main(const u32 *info);
void kernel_main(const u32 *info)
{
    const char *line = info[0] & 4 ? (const char *)info[4] : ""; // Multiboot's command line

    while (*line)
        line++;
    everything = info[0] & 4 && line[-1] == 'l' && line[-2] == 'l' && line[-3] == 'a';
    kernel_init();
    for (u32 i = 0; i < 64; i++)
        large[i] = 0xc3;
    paging_on();
    all("without PSE", 0, 0);
    write_cr4(read_cr4() | 0x10);
    all("PSE", 0, 0x200000); // bit 21 of a 4 MiB page
    changes();
    global();
    pae_on();
    all("PAE", NX, NX);
    changes();
    global();
    pdptes();
    efer_nx(true);
    all("PAE with NX", 1ull << 62, 1ull << 13); // beyond the address; below the page
    changes();
    efer_nx(false);
    all("PAE, NX off again", NX, NX);
    finish();
}
