// SPDX-License-Identifier: GPL-2.0-or-later
// Paging: accessed and dirty bits, error codes for each combination of permissions, CPL and WP, large pages,
// aliases, INVLPG, global pages, CR3 switches, code through remapped pages (SDM 3A chapter 4).
// Run: tests/guest/run-sys paging
#include "tests/guest/lib/kernel.h"

enum access { READ, WRITE, EXECUTE };

static volatile u32 sink;

static void do_read(void *p)
{
    sink = *(volatile u32 *)p;
}
static void do_write(void *p)
{
    *(volatile u32 *)p = 0xc3c3c3c3; // a RET, so that it can be executed too
}
static void do_execute(void *p)
{
    ((void (*)(void))p)();
}
static void (*const doers[])(void *) = { do_read, do_write, do_execute };

static u32 *pte_of(void *address)
{
    return &page_table[(u32)address >> 12];
}
static void set_pte(void *address, u32 value)
{
    *pte_of(address) = value;
    invlpg((u32)address);
}

// Every combination of P, W, U in PDE and PTE, access, CPL, WP: the fault, its error code, and A and D.
static void permissions(void)
{
    u8 *page = arena[0];
    u32 pde = page_directory[(u32)page >> 22], bad = 0, cases = 0;

    page[0] = 0xc3;
    for (u32 c = 0; c < 64 * 3 * 2 * 2; c++) {
        u32 pde_bits = c & 7, pte_bits = c >> 3 & 7;
        enum access access = c / 64 % 3;
        bool user = c / 192 % 2, wp = c / 384 % 2;
        // The arena shares its directory entry with this code and its stack: they stay reachable for the kernel
        // only if P is set, and for the user if U is.
        bool p = pte_bits & PTE_P, w = (pte_bits & pde_bits) & PTE_W, u = (pte_bits & pde_bits) & PTE_U;
        bool allowed = p && (!user || u) && (access != WRITE || w || (!user && !wp));
        u32 error = (p ? 1 : 0) | (access == WRITE ? 2 : 0) | (user ? 4 : 0), pte;
        int fault;

        if (!(pde_bits & PTE_P) || (user && !(pde_bits & PTE_U)) || (wp && !(pde_bits & PTE_W)) ||
            (user && !(pde_bits & PTE_W)))
            continue;
        cases++;
        write_cr0((read_cr0() & ~0x10000u) | (wp ? 0x10000 : 0));
        page_directory[(u32)page >> 22] = (pde & ~7u) | pde_bits;
        *pte_of(page) = (u32)page | pte_bits;
        write_cr3(read_cr3());
        fault = user ? guarded_user(doers[access], page, 0x202) : guarded_call(doers[access], page);
        pte = *pte_of(page);
        page_directory[(u32)page >> 22] = pde;
        write_cr3(read_cr3());
        if (fault != (allowed ? NO_FAULT : 14) || (!allowed && (last.error != error || last_cr2 != (u32)page)) ||
            (allowed && (pte & PTE_A) == 0) || (allowed && (access == WRITE) != !!(pte & PTE_D)) ||
            (!allowed && (pte & (PTE_A | PTE_D)))) {
            if (bad++ < 5)
                print("FAILED access %u, %s, WP %u, PDE %x, PTE %x: vector %d, error %x, cr2 %x; then %x\n", access,
                      user ? "user" : "kernel", wp, pde_bits, pte_bits, fault, last.error, last_cr2, pte);
        }
    }
    write_cr0(read_cr0() | 0x10000);
    set_pte(page, (u32)page | 7);
    print("%u combinations of permissions\n", cases);
    check("permissions", bad, 0);
}

static void aliases(void)
{
    volatile u32 *a = (u32 *)arena[1], *b = (u32 *)arena[2];

    a[0] = 1;
    b[0] = 2;
    set_pte(arena[2], (u32)arena[1] | 7);
    check("alias reads the other's frame", b[0], 1);
    b[5] = 77;
    check("a write through the alias shows", a[5], 77);
    a[6] = 78;
    check("and back", b[6], 78);
    set_pte(arena[2], (u32)arena[2] | 7);
    check("mapped back", b[0], 2);
    set_pte(arena[1], (u32)arena[2] | 7);
    set_pte(arena[2], (u32)arena[1] | 7);
    check("swapped, first", a[0], 2);
    check("swapped, second", b[0], 1);
    set_pte(arena[1], (u32)arena[1] | 7);
    set_pte(arena[2], (u32)arena[2] | 7);
}

// Dirty after a read was mapped writable: the first write must still set D.
static void dirty(void)
{
    volatile u32 *p = (u32 *)arena[3];

    set_pte(arena[3], (u32)arena[3] | 7);
    sink = p[0];
    check("read sets A only", *pte_of(arena[3]) & 0x60, PTE_A);
    p[1] = 5;
    check("write sets D", *pte_of(arena[3]) & 0x60, PTE_A | PTE_D);
    *pte_of(arena[3]) &= ~(u32)(PTE_A | PTE_D);
    write_cr3(read_cr3());
    sink = p[2];
    check("cleared and flushed: a read sets A again", *pte_of(arena[3]) & 0x60, PTE_A);
    __asm__ volatile("addl $1, %0" : "+m"(p[2]));
    check("read-modify-write sets D", *pte_of(arena[3]) & 0x60, PTE_A | PTE_D);
    set_pte(arena[3], (u32)arena[3] | PTE_P | PTE_U);
    check("read-only to the kernel under WP", (u32)guarded_call(do_write, arena[3]), 14);
    check("D stays clear on a fault", *pte_of(arena[3]) & PTE_D, 0);
    write_cr0(read_cr0() & ~0x10000u);
    check("allowed without WP", (u32)guarded_call(do_write, arena[3]), (u32)NO_FAULT);
    check("and D is set", *pte_of(arena[3]) & PTE_D, PTE_D);
    write_cr0(read_cr0() | 0x10000);
    check("WP again", (u32)guarded_call(do_write, arena[3]), 14);
    set_pte(arena[3], (u32)arena[3] | 7);
}

// An access over two pages, either of which may be missing; a string instruction stops at the right element.
static void crossing(void)
{
    u8 *edge = arena[5];
    u32 count, di;

    set_pte(arena[5], 0);
    check("second page missing", (u32)guarded_call(do_read, edge - 2), 14);
    check("CR2 is the second page", last_cr2, (u32)edge);
    check("write, second page missing", (u32)guarded_call(do_write, edge - 1), 14);
    check("CR2 is the second page", last_cr2, (u32)edge);
    check("error code of the write", last.error, 2);
    set_pte(arena[5], (u32)arena[5] | 7);
    set_pte(arena[4], 0);
    check("first page missing", (u32)guarded_call(do_read, edge - 2), 14);
    check("CR2 is the access", last_cr2, (u32)edge - 2);
    set_pte(arena[4], (u32)arena[4] | 7);
    __asm__ volatile("cld; rep stosl" : "=c"(count), "=D"(di) : "0"(16), "1"(edge - 32), "a"(0) : "memory");
    check("rep stos over the edge", di, (u32)edge + 32);
}

// 4 MiB pages, and a table that becomes a large page and back.
static void large(void)
{
    u32 *pde = &page_directory[0x30000000 >> 22];
    volatile u32 *far = (u32 *)(0x30000000 + ((u32)arena[6] & 0x3fffff));

    check("nothing there", (u32)guarded_call(do_read, (void *)far), 14);
    write_cr4(read_cr4() | 0x10);
    arena[6][0] = 0x5a;
    *pde = ((u32)arena[6] & ~0x3fffffu) | PTE_PS | 7;
    check("4 MiB page reads", far[0] & 0xff, 0x5a);
    check("A is set in the directory", *pde & 0x60, PTE_A);
    far[1] = 1234;
    check("D is set in the directory", *pde & 0x60, PTE_A | PTE_D);
    check("written through", ((u32 *)arena[6])[1], 1234);
    *pde = page_directory[(u32)arena[6] >> 22];
    invlpg((u32)far);
    check("as a table", far[1], 1234);
    *pde = ((u32)arena[6] & ~0x3fffffu) | PTE_PS | PTE_P;
    write_cr3(read_cr3());
    check("read-only large page", (u32)guarded_call(do_write, (void *)far), 14);
    check("supervisor large page", (u32)guarded_user(do_read, (void *)far, 0x202), 14);
    check("its error code", last.error, 5);
    *pde = 0;
    write_cr3(read_cr3());
    check("gone", (u32)guarded_call(do_read, (void *)far), 14);
}

// The same code address, mapped to one function and then to another.
static void code(void)
{
    static const u8 first[] = { 0xb8, 1, 0, 0, 0, 0xc3 }, second[] = { 0xb8, 2, 0, 0, 0, 0xc3 };
    u32 (*function)(void) = (u32(*)(void))arena[9], sum = 0;

    for (unsigned i = 0; i < sizeof(first); i++) {
        arena[7][i] = first[i];
        arena[8][i] = second[i];
    }
    for (u32 i = 0; i < 200; i++) {
        set_pte(arena[9], (u32)arena[7 + (i & 1)] | 7);
        sum = sum * 3 + function();
    }
    set_pte(arena[9], (u32)arena[7] | 7);
    check("remapped code", sum, 0x2adb6e64);
    check("the last mapping", function(), 1);
    arena[7][1] = 9; // through the other address
    check("modified through an alias", function(), 9);
    set_pte(arena[9], (u32)arena[8] | 7);
    check("switched", function(), 2);
    arena[8][1] = 10;
    arena[7][1] = 11;
    check("modified again", function(), 10);
    set_pte(arena[9], 0);
    check("fetch from an absent page", (u32)guarded_call(do_execute, arena[9]), 14);
    check("CR2 of the fetch", last_cr2, (u32)arena[9]);
    check("EIP of the fetch", last.eip, (u32)arena[9]);
    set_pte(arena[9], (u32)arena[9] | 7);
}

// A second directory that differs in one table; pages that are global survive the switch.
static u32 other_directory[1024] __attribute__((aligned(4096)));
static u32 other_table[1024] __attribute__((aligned(4096)));

static void directories(void)
{
    u32 table = (u32)arena[10] >> 22, sum = 0;
    volatile u32 *a = (u32 *)arena[10], *b = (u32 *)arena[11];

    for (u32 i = 0; i < 1024; i++) {
        other_directory[i] = page_directory[i];
        other_table[i] = page_table[table * 1024 + i];
    }
    other_directory[table] = (u32)other_table | 7;
    other_table[(u32)arena[10] >> 12 & 1023] = (u32)arena[11] | 7;
    a[0] = 100;
    b[0] = 200;
    for (u32 i = 0; i < 100; i++) {
        write_cr3((u32)other_directory);
        sum += a[0];
        a[1] = i;
        write_cr3((u32)page_directory);
        sum += a[0] * 3;
        a[1] = i + 1000;
    }
    check("two address spaces", sum, 200 * 100 + 300 * 100);
    check("private page of the first", a[1], 1099);
    check("private page of the second", b[1], 99);
    // Change the inactive one; a CR3 write must show it.
    other_table[(u32)arena[10] >> 12 & 1023] = (u32)arena[12] | 7;
    *(volatile u32 *)arena[12] = 300;
    write_cr3((u32)other_directory);
    check("changed while inactive", a[0], 300);
    write_cr3((u32)page_directory);
    check("and back", a[0], 100);
    // Page tables are ordinary memory, written through their own mapping while in use.
    for (u32 i = 0; i < 50; i++) {
        page_table[(u32)arena[10] >> 12] = (u32)arena[11 + (i & 1)] | 7;
        write_cr3(read_cr3());
        sum += a[0];
    }
    check("table written in use", sum, 50000 + 25 * 500);
    set_pte(arena[10], (u32)arena[10] | 7);
}

static void global(void)
{
    volatile u32 *a = (u32 *)arena[13];

    if (!cpu_has(13))
        return;
    write_cr4(read_cr4() | 0x80);
    *(volatile u32 *)arena[14] = 2;
    a[0] = 1;
    set_pte(arena[13], (u32)arena[13] | PTE_G | 7);
    check("global page", a[0], 1);
    *pte_of(arena[13]) = (u32)arena[14] | PTE_G | 7;
    write_cr4(read_cr4() & ~0x80u); // flushes global pages as well
    check("PGE off flushes global pages", a[0], 2);
    write_cr4(read_cr4() | 0x80);
    *pte_of(arena[13]) = (u32)arena[13] | PTE_G | 7;
    invlpg((u32)arena[13]);
    check("INVLPG flushes a global page", a[0], 1);
    write_cr4(read_cr4() & ~0x80u);
}

// Paging off and on again, in the middle of work.
static void off_and_on(void)
{
    volatile u32 *a = (u32 *)arena[15];

    a[0] = 11;
    *(volatile u32 *)arena[14] = 22;
    set_pte(arena[15], (u32)arena[14] | 7);
    check("mapped elsewhere", a[0], 22);
    write_cr0(read_cr0() & 0x7fffffff);
    check("paging off", a[0], 11);
    write_cr0(read_cr0() | 0x80000000);
    check("paging on", a[0], 22);
    set_pte(arena[15], (u32)arena[15] | 7);
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    paging_on();
    permissions();
    aliases();
    dirty();
    crossing();
    large();
    code();
    directories();
    global();
    off_and_on();
    finish();
}
