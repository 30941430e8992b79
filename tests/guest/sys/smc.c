// SPDX-License-Identifier: GPL-2.0-or-later
// Code that is written, by each kind of store, in each position to the code that stores and the code that runs: what
// is executed is what memory holds (SDM 3A 8.1.3 asks for a jump between; processors since the P6 ask for nothing). And
// code that the processor itself or a device writes: frames, page tables' A and D bits, descriptors, TSSs, DMA.
// Run: tests/guest/run-sys smc
#include "tests/guest/lib/modes.h"

#define SEL(i) (SPARE + 8 * (i))

// ---- Stores: EDI has the address of four bytes (16 that may be written, and hold VEC's upper 12 already), EBX a new value
// for them, EDX what they hold, VEC the new value and 12 bytes that belong behind it. EAX, ECX, EDX, ESI may be changed.
u32 vec[4] __attribute__((aligned(16))), differences;

#define STORES(X)                                                                            \
    X(mov, "movl %ebx, (%edi)")                                                              \
    X(mov_byte, "movb %bl, 1(%edi)")                                                         \
    X(mov_ah, "movb %bh, %ah; movb %ah, 3(%edi)")                                            \
    X(mov_word, "movw %bx, 2(%edi)")                                                         \
    X(mov_imm, "movl $0x13572468, (%edi)")                                                   \
    X(mov_scaled, "movl $1, %ecx; leal -4(%edi), %esi; movl %ebx, (%esi, %ecx, 4)")          \
    X(mov_wraps, "movl $0x80000000, %ecx; leal 0x80000000(%edi), %esi; movl %ebx, (%esi, %ecx)") \
    X(stosd, "pushl %edi; movl %ebx, %eax; stosl; popl %edi")                                \
    X(stosb, "pushl %edi; movb %bl, %al; movl $4, %ecx; rep stosb; popl %edi")               \
    X(stos_down, "pushl %edi; addl $3, %edi; std; movb %bl, %al; movl $4, %ecx; rep stosb; cld; popl %edi") \
    X(movsd, "pushl %edi; movl $vec, %esi; movsl; popl %edi")                                \
    X(movsb, "pushl %edi; movl $vec, %esi; movl $4, %ecx; rep movsb; popl %edi")             \
    X(movsw, "pushl %edi; movl $vec, %esi; movl $8, %ecx; rep movsw; popl %edi")             \
    X(insb, "pushl %edi; movl $0x92, %edx; insb; popl %edi; notb (%edi)")                    \
    X(add, "addl %ebx, (%edi)")                                                              \
    X(adc, "stc; adcl %ebx, (%edi)")                                                         \
    X(xor_imm, "xorl $0x55aa, (%edi)")                                                       \
    X(inc, "incl (%edi)")                                                                    \
    X(dec_byte, "decb 2(%edi)")                                                              \
    X(not, "notl (%edi)")                                                                    \
    X(neg_word, "negw (%edi)")                                                               \
    X(lock_add, "lock; addl %ebx, (%edi)")                                                   \
    X(xchg, "movl %ebx, %eax; xchgl %eax, (%edi)")                                           \
    X(xadd, "movl %ebx, %eax; lock; xaddl %eax, (%edi)")                                     \
    X(cmpxchg, "movl (%edi), %eax; lock; cmpxchgl %ebx, (%edi)")                             \
    X(cmpxchg_fails, "movl (%edi), %eax; notl %eax; cmpxchgl %ebx, (%edi)")                  \
    X(cmpxchg8b, "movl (%edi), %eax; movl 4(%edi), %edx; movl %edx, %ecx; lock; cmpxchg8b (%edi)") \
    X(bts, "btsl $3, (%edi); btcl $5, (%edi)")                                               \
    X(btc_far, "movl $8 * 64 + 9, %ecx; leal -64(%edi), %esi; btcl %ecx, (%esi)")            \
    X(btr_back, "movl $-32 + 2, %ecx; leal 4(%edi), %esi; btrl %ecx, (%esi); btcl $6, (%edi)") \
    X(btc_absolute, "movl $8 * 64 + 9, %ecx; btcl %ecx, arena + 0x100 - 64") \
    X(add_absolute, "addl %ebx, arena + 0x100")                                              \
    X(rol, "roll $5, (%edi)")                                                                \
    X(shl_cl, "movb $3, %cl; shll %cl, (%edi)")                                              \
    X(rcr, "stc; rcrl $1, (%edi)")                                                           \
    X(shld, "shldl $7, %ebx, (%edi)")                                                        \
    X(setcc, "testl %edi, %edi; setnz 1(%edi); notb 2(%edi)")                                \
    X(pop, "pushl %ebx; popl (%edi)")                                                        \
    X(push, "movl %esp, %esi; leal 4(%edi), %esp; pushl %ebx; movl %esi, %esp")              \
    X(push_imm, "movl %esp, %esi; leal 4(%edi), %esp; pushl $0x24681357; movl %esi, %esp")   \
    X(push_mem, "movl %esp, %esi; leal 4(%edi), %esp; pushl vec; movl %esi, %esp")           \
    X(pushf, "movl %esp, %esi; leal 4(%edi), %esp; pushfl; movl %esi, %esp; orl %ebx, (%edi)") \
    X(push_seg, "movl %esp, %esi; leal 4(%edi), %esp; pushl %ds; movl %esi, %esp; rolb $3, 3(%edi); orl %ebx, (%edi)") \
    X(call, "movl %esp, %esi; leal 4(%edi), %esp; call 1f; 1: movl %esi, %esp")              \
    X(call_reg, "movl %esp, %esi; leal 4(%edi), %esp; call 2f; 2: popl %eax; addl $3f - 2b, %eax; call *%eax;" \
                "3: movl %esi, %esp")                                                        \
    X(enter, "pushl %ebp; movl %ebx, %ebp; movl %esp, %esi; leal 4(%edi), %esp; enter $0, $0; movl %esi, %esp; popl %ebp") \
    X(sgdt, "sgdt (%edi); movw $0x0aeb, 4(%edi); xorl %ebx, (%edi)")      \
    X(str, "str (%edi); xorl %ebx, (%edi)")                                                  \
    X(smsw, "smsw 2(%edi); xorl %ebx, (%edi)")                                               \
    X(mov_seg, "movw %ds, (%edi); xorl %ebx, (%edi)")                                        \
    X(based, "movl $0x48, %eax; movl %eax, %es; movl %ebx, %es:0x100; movl %ds, %eax; movl %eax, %es") \
    X(based_stos, "movl $0x48, %eax; movl %eax, %es; pushl %edi; movl $0x100, %edi; movl %ebx, %eax; stosl; popl %edi;" \
                  "movl %ds, %eax; movl %eax, %es")                                          \
    X(address16, "movl $0x48, %eax; movl %eax, %fs; movl $0x120, %esi; movl %ebx, %fs:-0x20(%si)")

#define STORES_X87(X)                                                                        \
    X(fsts, "fninit; fldpi; fsts (%edi)")                                                    \
    X(fistl, "fninit; pushl %ebx; fildl (%esp); popl %eax; fistpl (%edi)")                   \
    X(fistps, "fninit; pushl %ebx; filds (%esp); popl %eax; fistps (%edi)")                  \
    X(fnstcw, "fninit; fnstcw 2(%edi); xorl %ebx, (%edi)")                                   \
    X(fstpl, "fninit; fldl vec; fstpl (%edi)")

#define STORES_SSE(X)                                                                        \
    X(movd_mm, "movd %ebx, %mm1; movd %mm1, (%edi); emms")                                   \
    X(movq_mm, "movq vec, %mm1; movq %mm1, (%edi); emms")                                    \
    X(movntq, "movq vec, %mm1; movntq %mm1, (%edi); emms")                                   \
    X(movss, "movss vec, %xmm1; movss %xmm1, (%edi)")                                        \
    X(movups, "movups vec, %xmm1; movups %xmm1, (%edi)")                                     \
    X(movaps, "movaps vec, %xmm1; movaps %xmm1, (%edi)")                                     \
    X(movntps, "movaps vec, %xmm1; movntps %xmm1, (%edi)")                                   \
    X(movhps, "movhps vec, %xmm1; movhps %xmm1, (%edi)")                                     \
    X(maskmovq, "movq vec, %mm1; pcmpeqb %mm0, %mm0; maskmovq %mm0, %mm1; emms")             \
    X(stmxcsr, "stmxcsr (%edi); xorl %ebx, (%edi)")

#define DECLARE(name, code)                                                                  \
    extern const u8 store_##name[], store_##name##_end[];                                    \
    __asm__(".pushsection .text; store_" #name ": " code "; store_" #name "_end: .popsection");
STORES(DECLARE)
STORES_X87(DECLARE)
STORES_SSE(DECLARE)

enum { PLAIN, NEEDS_SSE };
#define ROW(name, code) { #name, store_##name, store_##name##_end, PLAIN },
#define ROW_SSE(name, code) { #name, store_##name, store_##name##_end, NEEDS_SSE },
static const struct store {
    const char *name;
    const u8 *code, *end;
    u32 needs;
} stores[] = { STORES(ROW) STORES_X87(ROW) STORES_SSE(ROW_SSE) };

// ---- The code that is written: at `imm` MOV EAX's immediate, with a jump over what may be written behind it
static u8 *put(u8 *at, const void *bytes, u32 n)
{
    for (u32 i = 0; i < n; i++)
        ((volatile u8 *)at)[i] = ((const u8 *)bytes)[i];
    return at + n;
}
#define PUT(at, bytes) put(at, bytes, sizeof(bytes) - 1)

static u8 *const page = arena[0], *const elsewhere = arena[2], *const alias = arena[4];
#define OFFSET 0x100 // of the immediate in its page: aligned

static u8 *put_target(void)
{
    return PUT(page + OFFSET - 1, "\xb8\x01\0\0\0\xeb\x0a\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90");
}

static volatile u32 *imm_at(u8 *p)
{
    return (volatile u32 *)(p + OFFSET);
}

static u32 fresh(void)
{
    static u32 value = 0x1badcafe;

    value = value * 1664525 + 1013904223;
    vec[0] = value;
    return value;
}

// Runs code with EDI and EBX set; returns EAX. `based`: in a code segment that starts at the arena.
static bool based;

static u32 call(const void *code, const void *edi, u32 ebx)
{
    static const struct {
        u32 offset;
        u16 selector;
    } stub = { 4096, SEL(2) }; // CALL EDX; RETF
    u32 eax = 0, count = 3;

    if (based) {
        u32 offset = (u32)code - (u32)arena;

        __asm__ volatile("pushl %%ebp; movl %%ecx, %%ebp; lcall *%5; popl %%ebp"
                         : "+a"(eax), "+c"(count), "+d"(offset), "+b"(ebx), "+D"(edi)
                         : "m"(stub) : "esi", "memory", "cc");
        return eax;
    }
    __asm__ volatile("pushl %%ebp; movl %%ecx, %%ebp; call *%%edx; popl %%ebp"
                     : "+a"(eax), "+c"(count), "+d"(code), "+b"(ebx), "+D"(edi) : : "esi", "memory", "cc");
    return eax;
}

enum { ROUNDS = 12 };
static u32 wrong, tried, total;

// Only the first time a store is sure to change anything.
static void judge(const struct store *s, const char *shape, u32 round, u32 got, u32 before)
{
    u32 now = *imm_at(page);

    tried++;
    total++;
    if (got == now && (now != before || round || s->code == store_cmpxchg_fails))
        return;
    if (wrong++ < 6)
        print("%s, %s: executed %08x, memory has %08x, had %08x\n", s->name, shape, got, now, before);
}

// The store is in another page, and returns before the target is called. Warm: translated, chained, linked, hot.
static void from_elsewhere(const struct store *s, u8 *through, const char *shape)
{
    u8 *at = put(elsewhere, s->code, (u32)(s->end - s->code));

    PUT(at, "\xc3");
    PUT(put_target(), "\xc3");
    for (u32 i = 0; i < ROUNDS; i++) {
        u32 before, value = fresh();

        for (u32 k = 0; k < (i == 6 ? 100 : 2); k++)
            call(page + OFFSET - 1, NULL, 0);
        before = *imm_at(page);
        call(elsewhere, through + OFFSET, value);
        judge(s, shape, i, call(page + OFFSET - 1, NULL, 0), before);
    }
}

// The store is right before the target: the next instruction but one or two.
static void ahead(const struct store *s, u8 *through, const char *shape)
{
    u32 n = (u32)(s->end - s->code);
    u8 *start = page + OFFSET - 1 - n;

    PUT(put_target(), "\xc3");
    put(start, s->code, n);
    for (u32 i = 0; i < ROUNDS; i++) {
        u32 before = *imm_at(page), value = fresh();

        judge(s, shape, i, call(start, through + OFFSET, value), before);
    }
}

// A loop: the target, what it has executed against what memory holds, then the store, and back.
static void behind(const struct store *s, u8 *through, const char *shape)
{
    u8 *at = PUT(put_target(), "\x33\x07\x09\x05\0\0\0\0"); // xor eax, [edi]; or [differences], eax

    *(u32 **)(at - 4) = &differences;
    at = put(at, s->code, (u32)(s->end - s->code));
    at = PUT(at, "\x4d\x0f\x85\0\0\0\0\xc3"); // dec ebp; jnz back; ret
    *(volatile u32 *)(at - 5) = (u32)(page + OFFSET - 1) - ((u32)at - 1);
    for (u32 i = 0; i < ROUNDS; i++) {
        u32 before = *imm_at(page), value = fresh();

        differences = 0;
        call(page + OFFSET - 1, through + OFFSET, value);
        judge(s, shape, i, *imm_at(page) ^ differences, before);
    }
}

// Each round of a loop writes the code of the next, which adds it up; C does the same.
static void summed(void)
{
    u32 sum = 0, seed = 7, want = 0, value = 7;
    u8 *at;

    // eax: sum; 1: mov edx, imm; add eax, edx; imul edx, 69069; inc edx; mov [edi], edx; dec ecx; jnz 1b; ret
    at = PUT(page + OFFSET - 1, "\xba\0\0\0\0\x01\xd0\x69\xd2\xcd\x0d\x01\0\x42\x89\x17\x49\x75\xed\xc3");
    (void)at;
    *imm_at(page) = seed;
    for (u32 i = 0; i < 1000; i++) {
        want += value;
        value = value * 69069 + 1;
    }
    __asm__ volatile("call *%3" : "+a"(sum) : "c"(1000), "D"(imm_at(page)), "r"(page + OFFSET - 1) : "edx", "memory", "cc");
    check("a loop that writes its next round", sum, want);
    check("  what it left", *imm_at(page), value);
}

// ---- All of them
static void all_stores(bool paging)
{
    for (u32 i = 0; i < sizeof(stores) / sizeof(stores[0]); i++) {
        const struct store *s = &stores[i];
        // Through a segment the store or absolute it has its own address.
        bool own = s->code == store_based || s->code == store_based_stos || s->code == store_address16 ||
                   s->code == store_btc_absolute || s->code == store_add_absolute;

        if (s->needs == NEEDS_SSE && !cpu_has(25))
            continue;
        from_elsewhere(s, page, "from elsewhere");
        ahead(s, page, "ahead");
        behind(s, page, "behind, in a loop");
        if (paging && !own) {
            from_elsewhere(s, alias, "from elsewhere, through an alias");
            ahead(s, alias, "ahead, through an alias");
            behind(s, alias, "behind, in a loop, through an alias");
        }
        check(s->name, wrong, 0);
        check("  tried", tried, (paging && !own ? 6 : 3) * ROUNDS);
        wrong = tried = 0;
    }
    summed();
}

// ---- What the processor writes by itself
static void ignore(struct trap *t)
{
    (void)t;
}

static u32 exec(const void *at, u32 eax, u32 ebx, u32 edx)
{
    __asm__ volatile("call *%3" : "+a"(eax), "+b"(ebx), "+d"(edx) : "S"(at) : "ecx", "memory", "cc");
    return eax;
}

// Return addresses that are code themselves: 00C34090 is NOP; INC EAX; RET.
#define RETURN 0x00c34090u

static void by_frames(void)
{
    u8 *const stack = arena[6] + 0x800, *const code = (u8 *)RETURN;

    handle(0x90, ignore);
    for (u32 round = 0; round < 6; round++) {
        // DEC EAX; DEC EAX; RET where the return address will be.
        PUT(stack, "\x48\x48\xc3\x90");
        check("before", exec(stack, 10, 0, 0), 8);
        // INT 90h; then the stack is left: xchg esp, ebp; ret.
        PUT(code - 4, "\x87\xec\xcd\x90\x87\xec\xc3");
        __asm__ volatile("pushl %%ebp; movl %1, %%ebp; call *%0; popl %%ebp"
                         : : "S"(code - 4), "D"(stack + 12) : "eax", "memory", "cc");
        check("an interrupt's frame", exec(stack, 10, 0, 0), 11);
        PUT(stack, "\x48\x48\xc3\x90");
        check("before", exec(stack, 10, 0, 0), 8);
        PUT(code - 7, "\x87\xec\xe8\x05\0\0\0\x87\xec\xc3\x90\x90\xc3"); // call; back: xchg, ret; there: ret
        __asm__ volatile("pushl %%ebp; movl %1, %%ebp; call *%0; popl %%ebp"
                         : : "S"(code - 7), "D"(stack + 4) : "eax", "memory", "cc");
        check("a return address", exec(stack, 10, 0, 0), 11);
    }
}

// #GP's error code for the selector C340h: INC EAX; RET.
static volatile u32 faulted;

static void skip_load(struct trap *t)
{
    faulted++;
    t->eip += 2;
}

static void by_error_code(void)
{
    u8 *const stack = arena[6] + 0x400;

    handle(13, skip_load);
    for (u32 round = 0; round < 6; round++) {
        PUT(stack, "\x48\x48\xc3\x90");
        check("before", exec(stack, 10, 0, 0), 8);
        faulted = 0;
        __asm__ volatile("movl %%esp, %%ebx; movl %0, %%esp; .byte 0x8e, 0xe0; movl %%ebx, %%esp"
                         : : "D"(stack + 16), "a"(0xc340) : "ebx", "memory");
        check("an error code", faulted << 8 | exec(stack, 10, 0, 0), 0x100 | 11);
    }
    handle(13, NULL);
}

// The accessed bit of a descriptor: XCHG EAX, EDX; RET becomes XCHG EAX, EBX; RET.
static void by_descriptor(void)
{
    u8 *at = (u8 *)&gdt[SEL(4) / 8] + 5;

    for (u32 round = 0; round < 6; round++) {
        gdt[SEL(4) / 8] = descriptor(0, 0x3ffff, 0x92, 0xc);
        check("not accessed", exec(at, 1, 2, 3), 3);
        __asm__ volatile("movw %w0, %%fs" : : "r"(SEL(4)));
        check("the accessed bit", exec(at, 1, 2, 3), 2);
        __asm__ volatile("movw %w0, %%fs" : : "r"(0));
    }
    gdt[SEL(4) / 8] = 0;
}

// Busy: MOV EBX, EAX becomes MOV EAX, EBX; behind it ADD AL, AL; RET in the next descriptor.
static void by_tss_descriptor(void)
{
    static struct tss32 other;
    u8 *at = (u8 *)&gdt[SEL(4) / 8] + 5;
    u16 kept;

    __asm__ volatile("str %0" : "=r"(kept));
    gdt[SEL(5) / 8] = 0xc3c0;
    for (u32 round = 0; round < 6; round++) {
        gdt[SEL(4) / 8] = descriptor((u32)&other, 0x3ffff, 0x89, 0xc);
        check("available", exec(at, 5, 7, 3), 10);
        __asm__ volatile("ltr %w0" : : "r"(SEL(4)));
        check("busy", exec(at, 5, 7, 3), 14);
    }
    gdt[kept / 8] &= ~(u64)(2ull << 40);
    __asm__ volatile("ltr %w0" : : "r"((u32)kept));
    gdt[SEL(4) / 8] = gdt[SEL(5) / 8] = 0;
}

// A task's state: the EIP that a task switch stores is NOP; INC EAX; RET.
static struct tss32 *one, *two;

static void by_task(void)
{
    static u32 stack[256];
    u8 *at = (u8 *)RETURN, *eip_field;
    u16 kept;

    one = (struct tss32 *)arena[8];
    two = (struct tss32 *)arena[9];
    eip_field = (u8 *)&one->eip;
    __asm__ volatile("str %0" : "=r"(kept));
    for (u32 round = 0; round < 6; round++) {
        *one = task32(NULL, 0);
        *two = task32((void (*)(void))(RETURN + 0x20), (u32)(stack + 250));
        gdt[SEL(6) / 8] = descriptor((u32)one, 0xfff, 0x89, 0);
        gdt[SEL(7) / 8] = descriptor((u32)two, 0xfff, 0x89, 0);
        __asm__ volatile("ltr %w0" : : "r"(SEL(6)));
        PUT(eip_field, "\x48\x48\xc3\x90");
        check("before", exec(eip_field, 10, 0, 0), 8);
        PUT(at - 7, "\xea\0\0\0\0\0\0\xc3"); // jmp far; ret
        *(volatile u16 *)(at - 2) = SEL(7);
        PUT(at + 0x20, "\xea\0\0\0\0\0\0\xc3");
        *(volatile u16 *)(at + 0x25) = SEL(6);
        __asm__ volatile("pushal; call *%0; popal" : : "S"(at - 7) : "memory", "cc");
        check("a task's saved EIP", exec(eip_field, 10, 0, 0), 11);
    }
    gdt[kept / 8] &= ~(u64)(2ull << 40);
    __asm__ volatile("ltr %w0; clts" : : "r"((u32)kept));
}

// A page-table entry: ADD EAX, C340h; NOP; RET in two entries. The accessed bit makes it AND, the dirty bit then
// GS INC EAX; RET.
static void by_tables(void)
{
    u32 *entry = &page_table[0xd00];
    volatile u8 *p = (volatile u8 *)(0xd00 << 12);

    for (u32 round = 0; round < 6; round++) {
        entry[0] = 0x00c34000 | 5, entry[1] = 0x00c39000;
        write_cr3(read_cr3());
        check("an entry", exec(entry, 0xffffffff, 0, 0), 0xc33f);
        (void)*p;
        check("its accessed bit", exec(entry, 0xffffffff, 0, 0), 0xc340);
        entry[0] = 0x00c34000 | 0x25;
        write_cr0(read_cr0() & ~0x10000u); // a write to a read-only page by CPL 0
        write_cr3(read_cr3());
        check("made anew", exec(entry, 0xffffffff, 0, 0), 0xc340);
        *p = 0;
        check("its dirty bit", exec(entry, 10, 0, 0), 11);
        write_cr0(read_cr0() | 0x10000);
    }
    entry[0] = (0xd00 << 12) | 7, entry[1] = (0xd01 << 12) | 7;
    write_cr3(read_cr3());
}

// ---- The disk, whose first bytes are MOV EAX, "DISK"; RET: by bus-master DMA, and by REP INSW
static u32 pci_read(u32 devfn, u32 at)
{
    outl(0xcf8, 0x80000000 | devfn << 8 | at);
    return inl(0xcfc);
}

static void pci_write(u32 devfn, u32 at, u32 value)
{
    outl(0xcf8, 0x80000000 | devfn << 8 | at);
    outl(0xcfc, value);
}

static void read_sector(u8 command)
{
    while (inb(0x1f7) & 0x80)
        continue;
    outb(0x1f6, 0xe0);
    outb(0x1f2, 1);
    outb(0x1f3, 0);
    outb(0x1f4, 0);
    outb(0x1f5, 0);
    outb(0x1f7, command);
}

static void by_device(void)
{
    static u32 prd[2] __attribute__((aligned(16)));
    u8 *code = arena[14];
    u32 devfn = 0, port;

    while (devfn < 256 && pci_read(devfn, 0) != 0x70108086)
        devfn++;
    check("the disk's controller", devfn < 256, true);
    if (!(pci_read(devfn, 0x20) & ~3u))
        pci_write(devfn, 0x20, 0xc000);
    pci_write(devfn, 4, 5);
    port = pci_read(devfn, 0x20) & ~3u;
    for (u32 round = 0; round < 12; round++) {
        PUT(code, "\xb8\x01\0\0\0\xc3");
        for (u32 k = 0; k < (round % 3 == 2 ? 100 : 2); k++)
            if (call(code, NULL, 0) != 1)
                check("before", 0, 1);
        if (round & 1) {
            u32 edi = (u32)code, ecx = 256;

            read_sector(0x20);
            while ((inb(0x1f7) & 0x88) != 8)
                continue;
            __asm__ volatile("rep insw" : "+D"(edi), "+c"(ecx) : "d"(0x1f0) : "memory");
            check("by REP INSW", call(code, NULL, 0), 0x4b534944);
            continue;
        }
        prd[0] = (u32)code, prd[1] = 512 | 0x80000000;
        outl((u16)(port + 4), (u32)prd);
        outb((u16)port, 8);
        outb((u16)(port + 2), 6);
        read_sector(0xc8);
        outb((u16)port, 9);
        while (!(inb((u16)(port + 2)) & 4))
            continue;
        outb((u16)port, 0);
        check("by DMA", call(code, NULL, 0), 0x4b534944);
    }
}

// ---- Page tables: what runs is what they say since they were last flushed
static void set_pte(const void *p, u32 entry)
{
    page_table[(u32)p >> 12] = entry;
}

static void returns(u8 *at, u32 value)
{
    PUT(at, "\xb8\0\0\0\0\xc3");
    *(volatile u32 *)(at + 1) = value;
}

static void by_mapping(void)
{
    u8 *p = arena[10], *q = arena[11];
    u32 got;

    returns(p, 1);
    returns(q, 2);
    // A caller in another page, chained to it; and a callee that changes the mapping of its caller.
    PUT(arena[12], "\xe8\0\0\0\0\x89\xc2\xe8\0\0\0\0\xc1\xe2\x08\x09\xd0\xc3"); // call; mov edx, eax; call; shl, or
    *(volatile u32 *)(arena[12] + 1) = (u32)p - ((u32)arena[12] + 5);
    *(volatile u32 *)(arena[12] + 8) = (u32)p - ((u32)arena[12] + 12);
    for (u32 round = 0; round < 50; round++) {
        check("mapped to itself", call(arena[12], NULL, 0), 0x101);
        set_pte(p, (u32)q | 7);
        got = call(arena[12], NULL, 0);
        check("stale or new", got == 0x101 || got == 0x202 || got == 0x102 || got == 0x201, true);
        invlpg((u32)p);
        check("new, behind INVLPG", call(arena[12], NULL, 0), 0x202);
        *(volatile u32 *)(q + 1) = 3;
        check("and written", call(arena[12], NULL, 0), 0x303);
        *(volatile u32 *)(q + 1) = 2;
        set_pte(p, (u32)p | 7);
        if (round & 1)
            write_cr3(read_cr3());
        else
            write_cr4(read_cr4() ^ 0x80);
    }
    set_pte(p, 0);
    invlpg((u32)p);
    check("absent", (u32)guarded_call((void (*)(void *))p, NULL), 14);
    set_pte(p, (u32)p | 7);
    invlpg((u32)p);
    check("back", call(p, NULL, 0), 1);
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    write_cr0(read_cr0() & ~0xcu);
    if (cpu_has(25))
        write_cr4(read_cr4() | 0x600);
    gdt[SEL(3) / 8] = descriptor((u32)arena[0], 0xffff, 0x93, 4); // 48h: the page of the target
    gdt[SEL(2) / 8] = descriptor((u32)arena[0], 0xffff, 0x9b, 4);
    PUT(arena[1], "\xff\xd2\xcb");
    vec[1] = 0x90900aeb, vec[2] = vec[3] = 0x90909090;
    for (u32 paging = 0; paging < 2; paging++) {
        print(paging ? "with paging\n" : "without paging\n");
        if (paging) {
            paging_on();
            page_table[(u32)alias >> 12] = (u32)page | 7;
            write_cr3(read_cr3());
        }
        all_stores(paging);
        print("in a code segment with a base\n");
        based = true;
        all_stores(paging);
        based = false;
        by_frames();
        by_error_code();
        by_descriptor();
        by_tss_descriptor();
        by_task();
        by_device();
    }
    by_tables();
    by_mapping();
    print("%u tries\n", total);
    finish();
}
