// SPDX-License-Identifier: GPL-2.0-or-later
// Isolation: code at CPL 3 tries to read, write and execute supervisor pages in every form an
// instruction has for naming memory, through segments that wrap, at the ends of the address space,
// and across changes of tables, CR3, WP and CPL. Each attempt must end in the right fault, show
// nothing of the secret, and leave it as it was. Each site is made hot on user pages first, so that
// the translated form that meets the secret is the one that normally never misses.
// Run: tests/guest/run-sys isolation. (QEMU 7.2 fails: RETF and IRET at CPL 3 read supervisor
// pages, FLDENV and limits go unchecked, read-modify-writes count as reads.)
#include "tests/guest/lib/kernel.h"

#define SECRET(i) (0x5ec2e700u | ((i) & 0xff))
#define SEL(i) (SPARE + 8 * (i))
#define WARM 40

// The secret lies between two user pages.
static u8 *const before = arena[4], *const secret = arena[5], *const after = arena[6];
static u8 *const plain = arena[8]; // user pages to warm up with
static u64 *const hidden_gdt = (u64 *)arena[7]; // a supervisor page
extern u32 kept_esp, stolen[4];
u32 kept_esp;
static u32 fs_selector;
static bool pae, nx;
static u64 pae_pdpt[4] __attribute__((aligned(32)));
static u64 pae_directory[4][512] __attribute__((aligned(4096)));
static u64 pae_table[8][512] __attribute__((aligned(4096)));

// ---- The ways. %0 is the address; all run at CPL 3.
#define WAY(id, code)                                                                   \
    static void id(void *p)                                                                  \
    {                                                                                        \
        __asm__ volatile(code : : "S"(p), "b"(fs_selector) : "eax", "ecx", "edx", "edi",     \
                         "memory", "cc");                                                    \
    }
#define ON_STACK(code) "movl %%esp, kept_esp; movl %%esi, %%esp; " code "; movl kept_esp, %%esp"

WAY(load8, "movb (%%esi), %%al")
WAY(load8_high, "movb 1(%%esi), %%ah")
WAY(load16, "movw (%%esi), %%ax")
WAY(load32, "movl (%%esi), %%eax")
WAY(load_indexed, "movl $0x1234, %%ecx; leal -0x48d0(%%esi), %%edx; movl (%%edx, %%ecx, 4), %%eax")
WAY(load_negative, "leal 0x7ffffff0(%%esi), %%edx; movl -0x7ffffff0(%%edx), %%eax")
WAY(load_far_up, "leal -0x7ffffff0(%%esi), %%edx; movl 0x7ffffff0(%%edx), %%eax")
WAY(load_wrapping, "movl $0x40000001, %%ecx; leal -4(%%esi), %%edx; movl (%%edx, %%ecx, 4), %%eax")
WAY(load_sum, "movl $0xffff0000, %%ecx; leal 0x10000(%%esi), %%edx; movl (%%edx, %%ecx), %%eax")
WAY(load_thrice, "movl $-1, %%ecx; leal -0x7fffffe7(%%esi), %%edx;"
                 "movl 0x7fffffef(%%edx, %%ecx, 8), %%eax")
WAY(load_esp, ON_STACK("movl (%%esp), %%eax"))
WAY(movzx, "movzbl (%%esi), %%eax")
WAY(movsx, "movswl (%%esi), %%eax")
WAY(cmp, "cmpl $5, (%%esi)")
WAY(test, "testl $5, (%%esi)")
WAY(imul, "imull (%%esi), %%eax")
WAY(mul, "mull (%%esi)")
WAY(bsf, "bsfl (%%esi), %%eax")
WAY(bt_far, "leal -0x2000000(%%esi), %%edx; movl $0x10000000, %%ecx; btl %%ecx, (%%edx)")
WAY(bt_below, "leal 0x1000000(%%esi), %%edx; movl $-0x8000000, %%ecx; btl %%ecx, (%%edx)")
WAY(lods, "lodsl")
WAY(scas, "movl %%esi, %%edi; scasl")
WAY(cmps, "leal 0(%%esi), %%edi; cmpsl")
WAY(movs_from, "movl %1, %%ecx; leal stolen, %%edi; movsl")
WAY(xlat, "movl $0, %%eax; pushl %%ebx; movl %%esi, %%ebx; xlat; popl %%ebx")
WAY(push_mem, "pushl (%%esi); popl %%eax")
WAY(pop_at, ON_STACK("popl %%eax"))
WAY(popw_at, ON_STACK("popw %%ax"))
WAY(popf_at, ON_STACK("popfl"))
WAY(leave_at, "pushl %%ebp; movl %%esp, kept_esp; movl %%esi, %%ebp; leave;"
              "movl kept_esp, %%esp; popl %%ebp")
WAY(popa_at, "pushl %%ebx; pushl %%ebp; " ON_STACK("popal") "; popl %%ebp; popl %%ebx")
WAY(ret_at, ON_STACK("ret"))
WAY(ret_n_at, ON_STACK("ret $8"))
WAY(lret_at, ON_STACK("lret"))
WAY(iret_at, ON_STACK("iret"))
WAY(call_mem, "call *(%%esi)")
WAY(jmp_mem, "jmp *(%%esi)")
WAY(lcall_mem, "lcall *(%%esi)")
WAY(ljmp_mem, "ljmp *(%%esi)")
WAY(les, "les (%%esi), %%eax")
WAY(lfs, "lfs (%%esi), %%eax")
WAY(lss, "lss (%%esi), %%esp")
WAY(bound, "movl $0, %%eax; bound %%eax, (%%esi)")
WAY(mov_seg, "movw (%%esi), %%fs")
WAY(lar, "larl (%%esi), %%eax")
WAY(lsl, "lsll (%%esi), %%eax")
WAY(verr, "verr (%%esi)")
WAY(fld32, "flds (%%esi); fstp %%st(0)")
WAY(fld64, "fldl (%%esi); fstp %%st(0)")
WAY(fld80, "fldt (%%esi); fstp %%st(0)")
WAY(fild, "fildll (%%esi); fstp %%st(0)")
WAY(fadd, "fninit; fadds (%%esi); fninit")
WAY(fldcw, "fldcw (%%esi); fninit")
WAY(fldenv, "fldenv (%%esi); fninit")
WAY(frstor, "frstor (%%esi); fninit")
WAY(fxrstor, "fxrstor (%%esi)")
WAY(movq_load, "movq (%%esi), %%mm0; emms")
WAY(paddb, "paddb (%%esi), %%mm1; emms")
WAY(movups_load, "movups (%%esi), %%xmm0")
WAY(movaps_load, "movaps (%%esi), %%xmm0")
WAY(addps, "addps (%%esi), %%xmm1")
WAY(movhps_load, "movhps (%%esi), %%xmm2")
WAY(ldmxcsr, "ldmxcsr (%%esi)")

WAY(store8, "movb $0, (%%esi)")
WAY(store16, "movw $0, (%%esi)")
WAY(store32, "movl $0, (%%esi)")
WAY(store_negative, "leal 0x7ffffff0(%%esi), %%edx; movl $0, -0x7ffffff0(%%edx)")
WAY(store_sum, "movl $0x87654321, %%ecx; movl %%esi, %%edx; subl %%ecx, %%edx;"
               "movb %%al, (%%edx, %%ecx)")
WAY(add, "addl $1, (%%esi)")
WAY(lock_xadd, "lock xaddl %%eax, (%%esi)")
WAY(not_, "notb (%%esi)")
WAY(shl_, "shll $4, (%%esi)")
WAY(shld, "shldl $4, %%eax, (%%esi)")
WAY(xchg, "xchgl %%eax, (%%esi)")
WAY(cmpxchg, "cmpxchgl %%ecx, (%%esi)")
WAY(cmpxchg8b, "pushl %%ebx; lock cmpxchg8b (%%esi); popl %%ebx")
WAY(bts_far, "leal -0x2000000(%%esi), %%edx; movl $0x10000000, %%ecx; btsl %%ecx, (%%edx)")
WAY(setcc, "setz (%%esi)")
WAY(stos, "movl %%esi, %%edi; stosl")
WAY(stos_back, "movl %%esi, %%edi; std; stosl; cld")
WAY(rep_stos, "movl %%esi, %%edi; movl $4, %%ecx; rep stosl")
WAY(movs_to, "movl %%esi, %%edi; leal stolen, %%esi; movsl")
WAY(ins, "movl %%esi, %%edi; movl $0x80, %%edx; insb")
WAY(pop_mem, "pushl $0; popl (%%esi)")
WAY(push_at, "addl $4, %%esi; " ON_STACK("pushl $0"))
WAY(pushf_at, "addl $4, %%esi; " ON_STACK("pushfl"))
WAY(pushw_at, "addl $2, %%esi; " ON_STACK("pushw $0"))
WAY(call_at, "addl $4, %%esi; movl %%esp, kept_esp; movl %%esi, %%esp; call 1f;"
             "1: movl kept_esp, %%esp")
WAY(call_mem_at, "addl $4, %%esi; movl %%esp, kept_esp; movl %%esi, %%esp; movl $1f, stolen;"
                 "call *stolen; 1: movl kept_esp, %%esp")
WAY(pusha_at, "addl $32, %%esi; " ON_STACK("pushal"))
WAY(enter_at, "pushl %%ebp; addl $4, %%esi; movl %%esp, kept_esp; movl %%esi, %%esp; enter $0, $0;"
              "movl kept_esp, %%esp; popl %%ebp")
WAY(lcall_at, "addl $8, %%esi; movl %%esp, kept_esp; movl %%esi, %%esp; lcall $0x1b, $1f;"
              "1: movl kept_esp, %%esp")
WAY(mov_from_seg, "movw %%ds, (%%esi)")
WAY(sgdt, "sgdt (%%esi)")
WAY(sidt, "sidt (%%esi)")
WAY(sldt, "sldt (%%esi)")
WAY(str, "str (%%esi)")
WAY(smsw, "smsw (%%esi)")
WAY(fst32, "fld1; fstps (%%esi)")
WAY(fst80, "fld1; fstpt (%%esi)")
WAY(fbstp, "fld1; fbstp (%%esi)")
WAY(fist, "fld1; fistpll (%%esi)")
WAY(fnstcw, "fnstcw (%%esi)")
WAY(fnstsw, "fnstsw (%%esi)")
WAY(fnstenv, "fnstenv (%%esi)")
WAY(fnsave, "fnsave (%%esi)")
WAY(fxsave, "fxsave (%%esi)")
WAY(movq_store, "movq %%mm0, (%%esi); emms")
WAY(movntq, "movntq %%mm0, (%%esi); emms")
WAY(maskmovq, "movl %%esi, %%edi; pcmpeqb %%mm1, %%mm1; maskmovq %%mm1, %%mm0; emms")
WAY(movups_store, "movups %%xmm0, (%%esi)")
WAY(movaps_store, "movaps %%xmm0, (%%esi)")
WAY(movntps, "movntps %%xmm0, (%%esi)")
WAY(movss_store, "movss %%xmm0, (%%esi)")
WAY(stmxcsr, "stmxcsr (%%esi)")

// Through FS, whose base is not 0: esi is then an offset.
#define FS(code) "movl %%ebx, %%fs; " code "; movl $0, %%eax; movl %%eax, %%fs"
WAY(fs_load, FS("movl %%fs:(%%esi), %%eax"))
WAY(fs_store, FS("movl $0, %%fs:(%%esi)"))
WAY(fs_add, FS("addl $1, %%fs:(%%esi)"))
WAY(fs_indexed, FS("movl $-8, %%ecx; movl %%fs:8(%%esi, %%ecx), %%eax"))
WAY(fs_push, FS("pushl %%fs:(%%esi); popl %%eax"))
WAY(fs_movs, FS("leal stolen, %%edi; fs movsl"))
WAY(fs_lods, FS("fs lodsb"))
WAY(fs_call, FS("call *%%fs:(%%esi)"))
WAY(fs_movups, FS("movups %%fs:(%%esi), %%xmm0"))
WAY(fs_fld, FS("fldt %%fs:(%%esi); fstp %%st(0)"))
WAY(fs_xchg, FS("xchgb %%al, %%fs:(%%esi)"))

u32 stolen[4];

enum { RD = 5, WR = 7 };
enum { COLD = 1, ALIGNED = 2, WHOLE = 4, POINTER = 8 };

struct way {
    const char *name;
    void (*run)(void *);
    u16 size; // bytes from the address on
    u8 error, flags; // COLD: can't return from user pages; WHOLE: not tried across the edge
};

static const struct way ways[] = {
    { "mov r8", load8, 1, RD, 0 }, { "mov ah", load8_high, 2, RD, WHOLE },
    { "mov r16", load16, 2, RD, 0 }, { "mov r32", load32, 4, RD, 0 },
    { "base + index", load_indexed, 4, RD, 0 }, { "negative disp", load_negative, 4, RD, 0 },
    { "large disp", load_far_up, 4, RD, 0 }, { "wrapping index", load_wrapping, 4, RD, 0 },
    { "wrapping sum", load_sum, 4, RD, 0 }, { "wrapping thrice", load_thrice, 4, RD, 0 },
    { "(esp)", load_esp, 4, RD, 0 }, { "movzx", movzx, 1, RD, 0 }, { "movsx", movsx, 2, RD, 0 },
    { "cmp", cmp, 4, RD, 0 }, { "test", test, 4, RD, 0 }, { "imul", imul, 4, RD, 0 },
    { "mul", mul, 4, RD, 0 }, { "bsf", bsf, 4, RD, 0 }, { "bt far", bt_far, 4, RD, WHOLE },
    { "bt below", bt_below, 4, RD, WHOLE }, { "lods", lods, 4, RD, 0 },
    { "scas", scas, 4, RD, 0 }, { "cmps", cmps, 4, RD, 0 }, { "movs from", movs_from, 4, RD, 0 },
    { "xlat", xlat, 1, RD, 0 }, { "push m", push_mem, 4, RD, 0 }, { "pop", pop_at, 4, RD, 0 },
    { "pop 16", popw_at, 2, RD, 0 }, { "popf", popf_at, 4, RD, COLD },
    { "leave", leave_at, 4, RD, 0 }, { "popa", popa_at, 32, RD, WHOLE },
    { "ret", ret_at, 4, RD, COLD }, { "ret n", ret_n_at, 4, RD, COLD },
    { "retf", lret_at, 8, RD, COLD }, { "iret", iret_at, 12, RD, COLD },
    { "call m", call_mem, 4, RD, COLD }, { "jmp m", jmp_mem, 4, RD, COLD },
    { "call far m", lcall_mem, 6, RD, COLD }, { "jmp far m", ljmp_mem, 6, RD, COLD },
    { "les", les, 6, RD, COLD }, { "lfs", lfs, 6, RD, COLD }, { "lss", lss, 6, RD, COLD },
    { "bound", bound, 8, RD, COLD }, { "mov fs", mov_seg, 2, RD, COLD },
    { "lar", lar, 2, RD, 0 }, { "lsl", lsl, 2, RD, 0 }, { "verr", verr, 2, RD, 0 },
    { "fld 32", fld32, 4, RD, 0 }, { "fld 64", fld64, 8, RD, 0 }, { "fld 80", fld80, 10, RD, 0 },
    { "fild", fild, 8, RD, 0 }, { "fadd", fadd, 4, RD, 0 }, { "fldcw", fldcw, 2, RD, 0 },
    { "fldenv", fldenv, 28, RD, COLD }, { "frstor", frstor, 108, RD, COLD },
    { "fxrstor", fxrstor, 512, RD, COLD | ALIGNED }, { "movq load", movq_load, 8, RD, 0 },
    { "paddb", paddb, 8, RD, 0 }, { "movups load", movups_load, 16, RD, 0 },
    { "movaps load", movaps_load, 16, RD, ALIGNED | WHOLE },
    { "addps", addps, 16, RD, ALIGNED | WHOLE }, { "movhps load", movhps_load, 8, RD, 0 },
    { "ldmxcsr", ldmxcsr, 4, RD, COLD },
    { "store 8", store8, 1, WR, 0 }, { "store 16", store16, 2, WR, 0 },
    { "store 32", store32, 4, WR, 0 }, { "store, negative disp", store_negative, 4, WR, 0 },
    { "store, wrapping sum", store_sum, 1, WR, 0 }, { "add", add, 4, WR, 0 },
    { "lock xadd", lock_xadd, 4, WR, 0 }, { "not", not_, 1, WR, 0 }, { "shl", shl_, 4, WR, 0 },
    { "shld", shld, 4, WR, 0 }, { "xchg", xchg, 4, WR, 0 }, { "cmpxchg", cmpxchg, 4, WR, 0 },
    { "cmpxchg8b", cmpxchg8b, 8, WR, 0 }, { "bts far", bts_far, 4, WR, WHOLE },
    { "setz", setcc, 1, WR, 0 }, { "stos", stos, 4, WR, 0 }, { "std stos", stos_back, 4, WR, 0 },
    { "rep stos", rep_stos, 16, WR, 0 }, { "movs to", movs_to, 4, WR, 0 },
    { "ins", ins, 1, WR, 0 }, { "pop m", pop_mem, 4, WR, 0 }, { "push", push_at, 4, WR, 0 },
    { "pushf", pushf_at, 4, WR, 0 }, { "push 16", pushw_at, 2, WR, 0 },
    { "call", call_at, 4, WR, 0 }, { "call m, stack", call_mem_at, 4, WR, 0 },
    { "pusha", pusha_at, 32, WR, WHOLE }, { "enter", enter_at, 4, WR, 0 },
    { "call far, stack", lcall_at, 8, WR, WHOLE }, { "mov m, ds", mov_from_seg, 2, WR, 0 },
    { "sgdt", sgdt, 6, WR, 0 }, { "sidt", sidt, 6, WR, 0 }, { "sldt", sldt, 2, WR, 0 },
    { "str", str, 2, WR, 0 }, { "smsw", smsw, 2, WR, 0 }, { "fst 32", fst32, 4, WR, 0 },
    { "fst 80", fst80, 10, WR, 0 }, { "fbstp", fbstp, 10, WR, 0 }, { "fistp", fist, 8, WR, 0 },
    { "fnstcw", fnstcw, 2, WR, 0 }, { "fnstsw", fnstsw, 2, WR, 0 },
    { "fnstenv", fnstenv, 28, WR, 0 }, { "fnsave", fnsave, 108, WR, 0 },
    { "fxsave", fxsave, 512, WR, ALIGNED }, { "movq store", movq_store, 8, WR, 0 },
    { "movntq", movntq, 8, WR, 0 }, { "maskmovq", maskmovq, 8, WR, 0 },
    { "movups store", movups_store, 16, WR, 0 },
    { "movaps store", movaps_store, 16, WR, ALIGNED | WHOLE },
    { "movntps", movntps, 16, WR, ALIGNED | WHOLE }, { "movss store", movss_store, 4, WR, 0 },
    { "stmxcsr", stmxcsr, 4, WR, 0 },
};

static const struct way fs_ways[] = {
    { "fs: load", fs_load, 4, RD, 0 }, { "fs: store", fs_store, 4, WR, 0 },
    { "fs: add", fs_add, 4, WR, 0 }, { "fs: indexed", fs_indexed, 4, RD, 0 },
    { "fs: push", fs_push, 4, RD, 0 }, { "fs: movs", fs_movs, 4, RD, 0 },
    { "fs: lods", fs_lods, 1, RD, 0 }, { "fs: call", fs_call, 4, RD, COLD },
    { "fs: movups", fs_movups, 16, RD, 0 }, { "fs: fld", fs_fld, 10, RD, 0 },
    { "fs: xchg", fs_xchg, 1, WR, 0 },
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

// ---- Judgement
static u8 image[512] __attribute__((aligned(16)));
static u32 bad, attempts;

static void hide(u8 *page)
{
    for (u32 i = 0; i < 1024; i++)
        ((u32 *)page)[i] = SECRET(i);
}

static bool intact(const u8 *page)
{
    for (u32 i = 0; i < 1024; i++)
        if (((const u32 *)page)[i] != SECRET(i))
            return false;
    return true;
}

// Whether three bytes of the secret in a row stand in memory of ours.
static bool holds(const void *memory, u32 bytes)
{
    const u8 *p = memory;

    for (u32 i = 0; i + 2 < bytes; i++)
        if (p[i] == 0xe7 && p[i + 1] == 0xc2 && p[i + 2] == 0x5e)
            return true;
    return false;
}

static bool shown(void)
{
    u32 cleared[4] = { 0 };
    bool yes;

    __asm__ volatile("fxsave %0" : "=m"(image));
    yes = holds(image, sizeof(image)) || holds(&last.edi, 12) || holds(&last.ebx, 16) ||
          holds(stolen, sizeof(stolen));
    __asm__ volatile("fninit; xorps %%xmm0, %%xmm0; xorps %%xmm1, %%xmm1; xorps %%xmm2, %%xmm2;"
                     "ldmxcsr %0" : : "m"((u32){ 0x1f80 }) : "memory");
    for (u32 i = 0; i < 4; i++)
        stolen[i] = cleared[i];
    return yes;
}

// Runs it at CPL 3 with IOPL 3: it must take vector, a #PF with the error and CR2 in the range.
static void attempt(const struct way *w, u32 address, int vector, u32 error, u32 low, u32 high)
{
    int got = guarded_user(w->run, (void *)address, 0x3202);
    bool right = got == vector && (vector == NO_FAULT || last.error == error) &&
                 (vector != 14 || (last_cr2 >= low && last_cr2 <= high));

    attempts++;
    if (vector != NO_FAULT && (shown() || !intact(secret))) {
        print("LEAK ");
        right = false;
    }
    if (!right && bad++ < 8)
        print("FAILED %s at %08x: vector %d, error %x, cr2 %08x\n", w->name, address, got,
              last.error, last_cr2);
    if (!right)
        hide(secret);
}

static void make_hot(const struct way *w, u32 address)
{
    if (w->flags & COLD)
        return;
    for (u32 i = 0; i < WARM; i++)
        attempt(w, address + 64 * (i & 7), NO_FAULT, 0, 0, 0);
}

static void try_all(const char *name, u32 at, u32 warm)
{
    bad = 0;
    for (u32 i = 0; i < COUNT(ways); i++) {
        const struct way *w = &ways[i];
        u32 edge = (u32)secret - (w->flags & ALIGNED ? (w->size / 2) & ~15u : w->size / 2u);

        make_hot(w, warm);
        attempt(w, at + 0x100, 14, w->error, at + 0x100, at + 0x100 + w->size - 1u);
        if (w->flags & WHOLE || at != (u32)secret)
            continue;
        attempt(w, at, 14, w->error, at, at + w->size - 1u);
        if (w->size > 1) {
            attempt(w, edge, 14, w->error, (u32)secret, (u32)secret + w->size - 1);
            if (!(w->flags & COLD))
                attempt(w, (u32)after, NO_FAULT, 0, 0, 0);
        }
    }
    check(name, bad, 0);
}

// ---- Segments: FS with bases that make the sum wrap, limits that must hold.
static void set_fs(u32 base, u32 limit, u8 access, u8 flags)
{
    hidden_gdt[SEL(0) / 8] = descriptor(base, limit, access, flags);
    fs_selector = SEL(0) | 3;
}

static void segments(void)
{
    static const u32 base[] = { 0, 1, 0x1000, 0x80000000, 0xfffff000, 0xffffffff, 0x7fffffff };

    bad = 0;
    for (u32 b = 0; b < COUNT(base); b++) {
        set_fs(base[b], 0xfffff, 0xf3, 0xc);
        for (u32 i = 0; i < COUNT(fs_ways); i++) {
            const struct way *w = &fs_ways[i];

            make_hot(w, (u32)plain - base[b]);
            attempt(w, (u32)secret + 0x200 - base[b], 14, w->error, (u32)secret + 0x200,
                    (u32)secret + 0x200 + w->size - 1);
            if (w->size > 1)
                attempt(w, (u32)secret - 1 - base[b], 14, w->error, (u32)secret, (u32)secret);
        }
    }
    check("FS with a base", bad, 0);
    bad = 0;
    for (u32 i = 0; i < COUNT(fs_ways); i++) {
        const struct way *w = &fs_ways[i];

        set_fs((u32)before, 0xfff, 0xf3, 4); // ends where the secret begins
        make_hot(w, 0);
        attempt(w, 0x1000, 13, 0, 0, 0);
        attempt(w, 0xfffffff0, 13, 0, 0, 0);
        if (w->size > 1)
            attempt(w, 0x1001 - w->size, 13, 0, 0, 0);
        if (!(w->flags & COLD))
            attempt(w, 0x1000 - w->size, NO_FAULT, 0, 0, 0);
        set_fs((u32)after, 0xffff, 0xf7, 4); // expand-down: 64 KiB to 4 GiB - 1
        attempt(w, 0xffff, 13, 0, 0, 0);
        attempt(w, -0x800u, 14, w->error, (u32)secret + 0x800, (u32)secret + 0x80f);
        set_fs((u32)plain, 0xfff, 0xf1, 4);
        if (!(w->flags & COLD))
            attempt(w, 0, w->error == WR ? 13 : NO_FAULT, 0, 0, 0);
    }
    check("FS with limits", bad, 0);
}

// ---- Page 0, the last page, and what lies between
static void set_page(u32 page, u32 frame, u32 bits)
{
    if (pae)
        pae_table[page >> 21 == 0x7ff ? 7 : page >> 21][page >> 12 & 511] = frame | bits;
    else
        (page >> 22 == 0x3ff ? page_table + 3 * 1024 : page_table + 1024 * (page >> 22))
            [page >> 12 & 1023] = frame | bits;
    invlpg(page);
}

WAY(absolute_0, "movl 0, %%eax")
WAY(absolute_low, "movl 0x1234, %%eax")
WAY(absolute_end, "movl 0xfffffffc, %%eax")
WAY(absolute_wrap, "movl 0xfffffffe, %%eax")
WAY(store_wrap, "movl %%eax, 0xfffffffe")
WAY(small_16, "movl $0x1200, %%eax; pushl %%ebx; movl %%eax, %%ebx; movl %%esi, %%edx;"
              "movl $0x34, %%esi; addr16 movl (%%bx, %%si), %%eax; movl %%edx, %%esi; popl %%ebx")
WAY(jump, "call *%%esi")

static void ends(void)
{
    static const struct way absolute[] = {
        { "absolute 0", absolute_0, 4, RD, 0 }, { "absolute 1234", absolute_low, 4, RD, 0 },
        { "absolute end", absolute_end, 4, RD, 0 }, { "16-bit address", small_16, 4, RD, 0 },
    };
    static const u32 where[] = { 0, 0x1234, 0xfffffffc, 0x1234 };
    static const struct way wrap = { "read over 4 GiB", absolute_wrap, 4, RD, 0 },
                            store = { "write over 4 GiB", store_wrap, 4, WR, 0 };
    static const u32 bits[] = { 0, PTE_P | PTE_W };
    u32 zero = 0, one = 0x1000, end = 0xfffff000;

    for (u32 b = 0; b < 2; b++) {
        u32 p = bits[b] & PTE_P ? 1 : 0;

        set_page(zero, (u32)secret, bits[b]);
        set_page(one, (u32)secret, bits[b]);
        set_page(end, (u32)secret, bits[b]);
        bad = 0;
        for (u32 i = 0; i < COUNT(absolute); i++)
            attempt(&absolute[i], 0, 14, 4 | p, where[i], where[i]);
        for (u32 i = 0; i < COUNT(ways); i++) {
            const struct way *w = &ways[i];

            if (w->size > 64)
                continue;
            attempt(w, 0x40, 14, (w->error & 6) | p, 0x40, 0x7f);
            attempt(w, 0xfffffe00, 14, (w->error & 6) | p, 0xfffffe00, 0xfffffe00u + w->size);
        }
        check(p ? "ends of memory, supervisor" : "ends of memory, absent", bad, 0);
    }
    set_page(end, (u32)plain, 7);
    bad = 0;
    // Over the end of a flat segment: silicon faults before it looks at pages.
    attempt(&wrap, 0, 13, 0, 0, 0);
    attempt(&store, 0, 13, 0, 0, 0);
    set_page(zero, (u32)after, 7);
    attempt(&wrap, 0, 13, 0, 0, 0);
    attempt(&store, 0, 13, 0, 0, 0);
    check("over the end of memory", bad, 0);
    set_page(zero, zero, 7);
    set_page(one, one, 7);
}

static void execute(void)
{
    static const struct way run = { "execute", jump, 1, RD, 0 };
    u32 error = nx ? 0x15 : RD;

    bad = 0;
    plain[0] = 0xc3;
    attempt(&run, (u32)plain, NO_FAULT, 0, 0, 0);
    attempt(&run, (u32)secret, 14, error, (u32)secret, (u32)secret);
    attempt(&run, (u32)secret + 0xfff, 14, error, (u32)secret + 0xfff, (u32)secret + 0xfff);
    before[0xfff] = 0xb8; // MOV EAX, with its immediate in the secret
    attempt(&run, (u32)before + 0xfff, 14, error, (u32)secret, (u32)secret);
    for (u32 i = 0; i < WARM; i++)
        attempt(&run, (u32)plain, NO_FAULT, 0, 0, 0);
    set_page((u32)plain, (u32)plain, 3);
    attempt(&run, (u32)plain, 14, error, (u32)plain, (u32)plain);
    set_page((u32)plain, (u32)plain, 7);
    attempt(&run, (u32)plain, NO_FAULT, 0, 0, 0);
    check("executing supervisor pages", bad, 0);
}

// ---- Changes while the user's translations are warm
static const struct way reads = { "read", load32, 4, RD, 0 },
                        writes = { "write", store32, 4, WR, 0 },
                        adds = { "add", add, 4, WR, 0 }, pushes = { "push", push_at, 4, WR, 0 };
static u32 other_directory[1024] __attribute__((aligned(4096)));

static void warm_four(void)
{
    make_hot(&reads, (u32)plain);
    make_hot(&writes, (u32)plain);
    make_hot(&adds, (u32)plain);
    make_hot(&pushes, (u32)plain);
}

static void four(int read, int write, u32 p)
{
    u32 a = (u32)plain;

    attempt(&reads, a, read, 4 | p, a, a);
    attempt(&writes, a, write, 6 | p, a, a);
    attempt(&adds, a, write, 6 | p, a, a);
    attempt(&pushes, a, write, 6 | p, a, a);
}

static volatile u32 sink;

static void kernel_write(void *p)
{
    *(volatile u32 *)p = 1;
}

static void changes(void)
{
    u32 page = (u32)plain, cr0 = read_cr0();

    bad = 0;
    for (u32 round = 0; round < 3; round++) {
        warm_four();
        set_page(page, page, 3);
        sink = *(volatile u32 *)page; // fills the kernel's window and TLB
        four(14, 14, 1);
        set_page(page, page, 5);
        four(NO_FAULT, 14, 1);
        set_page(page, page, 0);
        four(14, 14, 0);
        set_page(page, page, 7);
    }
    check("INVLPG takes rights away", bad, 0);
    bad = 0;
    for (u32 round = 0; round < 3; round++) {
        warm_four();
        set_page(page, page, 5);
        write_cr0(cr0 & ~0x10000u);
        check("a kernel without WP writes", (u32)guarded_call(kernel_write, plain), (u32)NO_FAULT);
        four(NO_FAULT, 14, 1);
        write_cr0(cr0);
        check("and not with WP", (u32)guarded_call(kernel_write, plain), 14);
        four(NO_FAULT, 14, 1);
        set_page(page, page, 1);
        write_cr0(cr0 & ~0x10000u);
        kernel_write(plain);
        four(14, 14, 1);
        write_cr0(cr0);
        set_page(page, page, 7);
    }
    check("WP changes nothing for the user", bad, 0);
}

static void address_spaces(void)
{
    u32 table = (u32)plain >> 22, page = (u32)plain;

    for (u32 i = 0; i < 1024; i++) {
        other_directory[i] = page_directory[i];
        ((u32 *)arena[12])[i] = page_table[table * 1024 + i];
    }
    other_directory[table] = (u32)arena[12] | 7;
    ((u32 *)arena[12])[page >> 12 & 1023] = (u32)secret | 3;
    bad = 0;
    for (u32 round = 0; round < 5; round++) {
        warm_four();
        write_cr3((u32)other_directory);
        sink = *(volatile u32 *)page;
        four(14, 14, 1);
        write_cr3((u32)page_directory);
        warm_four();
    }
    // The directory is changed while the other one is in CR3.
    write_cr3((u32)other_directory);
    page_table[page >> 12] = (u32)secret | 3;
    write_cr3((u32)page_directory);
    four(14, 14, 1);
    page_table[page >> 12] = page | 7;
    write_cr3((u32)page_directory);
    warm_four();
    check("CR3 switches", bad, 0);

    bad = 0;
    write_cr4(read_cr4() | 0x90); // PSE, PGE
    page_directory[0x300] = 0x83 | PTE_G; // 4 MiB of RAM for the kernel: the secret is in it
    write_cr3((u32)page_directory);
    check("the kernel's large page", *(volatile u32 *)(0xc0000000 + (u32)secret), SECRET(0));
    attempt(&reads, 0xc0000000 + (u32)secret, 14, RD, 0xc0000000 + (u32)secret, ~0u);
    write_cr3((u32)page_directory);
    attempt(&writes, 0xc0000000 + (u32)secret, 14, WR, 0xc0000000 + (u32)secret, ~0u);
    page_directory[0x300] = 0x87;
    invlpg(0xc0000000);
    attempt(&reads, 0xc0000000 + (u32)plain, NO_FAULT, 0, 0, 0);
    page_directory[0x300] = (u32)page_table | 7; // the small ones say no again
    invlpg(0xc0000000 + (u32)secret);
    attempt(&reads, 0xc0000000 + (u32)secret, 14, RD, 0xc0000000 + (u32)secret, ~0u);
    attempt(&reads, 0xc0000000 + (u32)plain, NO_FAULT, 0, 0, 0);
    page_directory[0x300] = (u32)page_table | 3; // the directory does
    write_cr3((u32)page_directory);
    attempt(&reads, 0xc0000000 + (u32)plain, 14, RD, 0xc0000000 + (u32)plain, ~0u);
    page_directory[0x300] = 0;
    write_cr4(read_cr4() & ~0x80u);
    check("large and global pages", bad, 0);
}

// Strings that run from user pages into the secret stop at its edge.
WAY(rep_movs_in, "movl %%esi, %%edi; subl $64, %%edi; leal arena + 0x8000, %%esi; movl $32, %%ecx;"
                 "rep movsl")
WAY(rep_movs_down, "movl %%esi, %%edi; addl $60, %%edi; leal arena + 0x8ffc, %%esi;"
                   "movl $32, %%ecx; std; rep movsl; cld")
WAY(rep_lods, "subl $64, %%esi; movl $32, %%ecx; rep lodsl")
WAY(repe_scas, "leal -64(%%esi), %%edi; xorl %%eax, %%eax; movl $128, %%ecx; repe scasb")

static void strings(void)
{
    static const struct way in = { "rep movs", rep_movs_in, 4, WR, 0 },
                            down = { "rep movs down", rep_movs_down, 4, WR, 0 },
                            lods_in = { "rep lods", rep_lods, 4, RD, 0 },
                            scas_in = { "repe scas", repe_scas, 4, RD, 0 };

    bad = 0;
    for (u32 i = 0; i < 16; i++)
        ((u32 *)secret)[-16 + (int)i] = 0;
    for (u32 round = 0; round < 3; round++) {
        attempt(&in, (u32)secret, 14, WR, (u32)secret, (u32)secret);
        check("rep movs: ECX at the edge", last.ecx, 16);
        attempt(&down, (u32)after, 14, WR, (u32)after - 4, (u32)after - 4);
        check("rep movs down: ECX at the edge", last.ecx, 16);
        attempt(&lods_in, (u32)secret, 14, RD, (u32)secret, (u32)secret);
        check("rep lods: ECX at the edge", last.ecx, 16);
        for (u32 i = 0; i < 16; i++)
            ((u32 *)secret)[-16 + (int)i] = 0;
        attempt(&scas_in, (u32)secret, 14, RD, (u32)secret, (u32)secret);
        check("repe scas: ECX at the edge", last.ecx, 64);
    }
    check("strings", bad, 0);
}

// What is privileged whatever its operand; user memory is no help.
#define DENY(id, code) WAY(id, code)
DENY(lgdt, "lgdt (%%esi)")
DENY(lidt, "lidt (%%esi)")
DENY(lldt, "movl $0, %%eax; lldt %%ax")
DENY(ltr, "movl $0x28, %%eax; ltr %%ax")
DENY(lmsw, "smsw %%eax; lmsw %%ax")
DENY(clts, "clts")
DENY(hlt, "hlt")
DENY(invd, "invd")
DENY(wbinvd, "wbinvd")
DENY(invlpg_user, "invlpg (%%esi)")
DENY(rdmsr, "movl $0x10, %%ecx; rdmsr")
DENY(wrmsr, "movl $0x10, %%ecx; wrmsr")
DENY(from_cr0, "movl %%cr0, %%eax")
DENY(to_cr0, "movl %%eax, %%cr0")
DENY(from_cr2, "movl %%cr2, %%eax")
DENY(to_cr3, "movl %%eax, %%cr3")
DENY(to_cr4, "movl %%eax, %%cr4")
DENY(from_dr7, "movl %%dr7, %%eax")
DENY(to_dr0, "movl %%eax, %%dr0")
DENY(kernel_ds, "movl $0x10, %%eax; movl %%eax, %%fs")
DENY(kernel_ss, "movl $0x10, %%eax; movl %%eax, %%ss")
DENY(kernel_cs, "ljmp $0x8, $0x100000")
DENY(kernel_cs_3, "lcall $0xb, $0x100000")
DENY(tss_as_data, "movl $0x2b, %%eax; movl %%eax, %%es")
DENY(int_kernel, "int $0x20")
DENY(sysexit, "sysexit")

static void privileged(void)
{
    static const struct {
        struct way w;
        u32 error;
    } denied[] = {
        { { "lgdt", lgdt, 6, 0, 0 }, 0 }, { { "lidt", lidt, 6, 0, 0 }, 0 },
        { { "lldt", lldt, 0, 0, 0 }, 0 }, { { "ltr", ltr, 0, 0, 0 }, 0 },
        { { "lmsw", lmsw, 0, 0, 0 }, 0 }, { { "clts", clts, 0, 0, 0 }, 0 },
        { { "hlt", hlt, 0, 0, 0 }, 0 }, { { "invd", invd, 0, 0, 0 }, 0 },
        { { "wbinvd", wbinvd, 0, 0, 0 }, 0 }, { { "invlpg", invlpg_user, 0, 0, 0 }, 0 },
        { { "rdmsr", rdmsr, 0, 0, 0 }, 0 }, { { "wrmsr", wrmsr, 0, 0, 0 }, 0 },
        { { "mov r, cr0", from_cr0, 0, 0, 0 }, 0 }, { { "mov cr0", to_cr0, 0, 0, 0 }, 0 },
        { { "mov r, cr2", from_cr2, 0, 0, 0 }, 0 }, { { "mov cr3", to_cr3, 0, 0, 0 }, 0 },
        { { "mov cr4", to_cr4, 0, 0, 0 }, 0 }, { { "mov r, dr7", from_dr7, 0, 0, 0 }, 0 },
        { { "mov dr0", to_dr0, 0, 0, 0 }, 0 },
        { { "kernel DS", kernel_ds, 0, 0, 0 }, KERNEL_DS },
        { { "kernel SS", kernel_ss, 0, 0, 0 }, KERNEL_DS },
        { { "jump to kernel CS", kernel_cs, 0, 0, 0 }, KERNEL_CS },
        { { "call of kernel CS, RPL 3", kernel_cs_3, 0, 0, 0 }, KERNEL_CS },
        { { "a TSS as data", tss_as_data, 0, 0, 0 }, TSS_SELECTOR },
        { { "INT through a kernel gate", int_kernel, 0, 0, 0 }, 0x20 * 8 + 2 },
        { { "sysexit", sysexit, 0, 0, 0 }, 0 },
    };

    bad = 0;
    for (u32 i = 0; i < COUNT(denied); i++)
        attempt(&denied[i].w, (u32)plain, 13, denied[i].error, 0, 0);
    check("privileged instructions", bad, 0);
}

// ---- Tables
static void move_gdt(void)
{
    struct {
        u16 limit;
        u32 base;
    } __attribute__((packed)) table = { sizeof(gdt) - 1, (u32)hidden_gdt };

    for (u32 i = 0; i < COUNT(gdt); i++)
        hidden_gdt[i] = gdt[i];
    __asm__ volatile("lgdt %0" : : "m"(table));
}

static void pae_on(bool with_nx)
{
    u32 low, high;

    for (u32 i = 0; i < 8; i++)
        for (u32 j = 0; j < 512; j++)
            pae_table[i][j] = (i * 512 + j) * 4096 | 7;
    for (u32 i = 0; i < 7; i++)
        pae_directory[0][i] = (u32)pae_table[i] | 7;
    pae_directory[3][511] = (u32)pae_table[7] | 7; // its table ends the address space
    for (u32 i = 0; i < 4; i++)
        pae_pdpt[i] = (u32)pae_directory[i] | 1;
    write_cr0(read_cr0() & 0x7fffffff);
    write_cr4(read_cr4() | 0x20);
    write_cr3((u32)pae_pdpt);
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0xc0000080));
    low = with_nx ? low | 0x800 : low & ~0x800u;
    __asm__ volatile("wrmsr" : : "a"(low), "d"(high), "c"(0xc0000080));
    write_cr0(read_cr0() | 0x80000000);
    pae = true;
    nx = with_nx;
}

static void everything(const char *name)
{
    print("%s\n", name);
    set_page((u32)secret, (u32)secret, 3);
    set_page((u32)hidden_gdt, (u32)hidden_gdt, 3);
    set_page((u32)trap_stack_top - 4096, (u32)trap_stack_top - 4096, 3);
    hide(secret);
    attempts = 0;
    try_all("every form", (u32)secret, (u32)plain);
    segments();
    execute();
    ends();
    changes();
    strings();
    privileged();
    print("%u attempts\n", attempts);
}

static void no_execute(void)
{
    static const struct way run = { "execute", jump, 1, RD, 0 };
    u64 *pte = &pae_table[(u32)plain >> 21][(u32)plain >> 12 & 511];

    bad = 0;
    plain[0] = 0xc3;
    attempt(&run, (u32)plain, NO_FAULT, 0, 0, 0);
    *pte |= 1ull << 63;
    invlpg((u32)plain);
    attempt(&run, (u32)plain, 14, 0x15, (u32)plain, (u32)plain);
    attempt(&reads, (u32)plain, NO_FAULT, 0, 0, 0);
    *pte &= ~(1ull << 63);
    invlpg((u32)plain);
    attempt(&run, (u32)plain, NO_FAULT, 0, 0, 0);
    check("NX", bad, 0);
}

void kernel_main(void);
void kernel_main(void)
{
    kernel_init();
    write_cr0((read_cr0() & ~0xcu) | 0x22); // MP, NE; no TS, no EM
    write_cr4(read_cr4() | 0x600);          // OSFXSR, OSXMMEXCPT
    move_gdt();
    page_directory[1023] = (u32)(page_table + 3 * 1024) | 7;
    paging_on();
    everything("two levels");
    address_spaces();
    pae_on(false);
    everything("PAE");
    pae_on(true);
    everything("PAE with NX");
    no_execute();
    finish();
}
