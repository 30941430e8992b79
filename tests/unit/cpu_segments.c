// SPDX-License-Identifier: GPL-2.0-or-later
// Segments at random, on the host CPU and in the interpreter: limits, expand-down, read-only,
// execute-only and absent ones, loads of selectors with all their checks, LAR, LSL, VERR, VERW,
// ARPL. The host gives them in its LDT; where it has no modify_ldt, three at a time in the
// GDT's slots for thread-local storage, and only 32-bit data.
#include "cpu_native.h"

#include <asm/ldt.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct guest guest_rig;

// The segments: data that instructions may use lies in DATA+1000 .. DATA+2000 whatever the segment.
static const struct {
    u32 base, limit; // limit as in the descriptor
    unsigned contents; // 0 data, 1 expand-down, 2 code, 3 conforming code
    bool big, pages, read_only, absent;
} segs[] = {
    { DATA, 0x1fff, 0, true, false, false, false },
    { DATA + 0x1000, 0x7ff, 0, false, false, false, false },
    { DATA + 0x1000, 0, 0, true, true, false, false },
    { DATA + 0x1000, 0xfff, 0, true, false, true, false },
    { DATA + 0x2000 - 0x10000, 0xefff, 1, false, false, false, false },
    { DATA + 0x2000, 0xffffe, 1, true, true, false, false },
    { DATA + 0x2000, 0xffffe, 1, true, true, true, false },
    { DATA + 0x1000, 0x800, 2, true, false, false, false },
    { DATA + 0x1000, 0x800, 2, true, false, true, false }, // execute-only
    { DATA + 0x1000, 0x900, 3, true, false, false, false },
    { DATA + 0x1000, 0xfff, 0, true, false, false, true },
    { DATA + 0x1000, 0xfff, 2, true, false, false, true },
};

// Which segment each slot holds: all of them in the LDT, or three in the GDT.
static bool have_ldt;
static unsigned slots, slot_seg[ARRAY_LEN(segs)];

#define TLS_FIRST 12 // GDT entries of 64-bit Linux

static u16 slot_sel(unsigned slot)
{
    return have_ldt ? slot << 3 | 7 : (TLS_FIRST + slot) << 3 | 3;
}

// The segment that a selector of ours names.
static unsigned sel_seg(u16 sel)
{
    return slot_seg[have_ldt ? sel >> 3 : (sel >> 3) - TLS_FIRST];
}

static struct user_desc host_desc(unsigned entry, unsigned i)
{
    return (struct user_desc){
        .entry_number = entry,
        .base_addr = segs[i].base,
        .limit = segs[i].limit,
        .seg_32bit = segs[i].big,
        .contents = segs[i].contents,
        .read_exec_only = segs[i].read_only,
        .limit_in_pages = segs[i].pages,
        .seg_not_present = segs[i].absent,
        .useable = 1,
    };
}

// The 32-bit set_thread_area: 64-bit code has it through INT 80 only.
static long set_thread_area(struct user_desc *d)
{
    long ret;

    asm volatile("int $0x80" : "=a"(ret) : "a"(243), "b"(d) : "memory", "r8", "r9", "r10", "r11");
    return ret;
}

// Fills the slots on the host; false if it has neither way.
static bool host_slots(void)
{
    struct user_desc *low = (struct user_desc *)(uintptr_t)(DATA + DATA_SIZE - 64);

    if (have_ldt || !slots) {
        have_ldt = true;
        for (unsigned i = 0; i < ARRAY_LEN(segs) && have_ldt; i++) {
            struct user_desc d = host_desc(i, i);

            have_ldt = syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)) == 0;
            slot_seg[i] = i;
        }
        slots = have_ldt ? ARRAY_LEN(segs) : 3;
        if (have_ldt)
            return true;
    }
    for (unsigned slot = 0; slot < slots; slot++) {
        unsigned i;

        do
            i = rnd() % ARRAY_LEN(segs);
        while (!segs[i].big || segs[i].contents > 1 || segs[i].absent);
        *low = host_desc(TLS_FIRST + slot, i);
        slot_seg[slot] = i;
        if (set_thread_area(low) != 0)
            return false;
    }
    return true;
}

// The same in the guest, as Linux builds descriptors: accessed, DPL 3.
static void guest_slots(void)
{
    for (unsigned slot = 0; slot < slots; slot++) {
        unsigned i = slot_seg[slot];
        u32 at = have_ldt ? GUEST_LDT + 8 * slot : GUEST_GDT + 8 * (TLS_FIRST + slot);
        u32 type = 1 | !segs[i].read_only << 1 | segs[i].contents << 2;

        phys_write32(&guest_rig.phys, at, (segs[i].limit & 0xffff) | segs[i].base << 16);
        phys_write32(&guest_rig.phys, at + 4,
                     (segs[i].base >> 16 & 0xff) | type << 8 | 0x7000 | !segs[i].absent << 15 |
                         (segs[i].limit & 0xf0000) | 1 << 20 | segs[i].big << 22 |
                         (u32)segs[i].pages << 23 | (segs[i].base & 0xff000000));
    }
    guest_rig.v->ldtr.limit = ARRAY_LEN(segs) * 8 - 1;
    if (!have_ldt)
        guest_rig.v->ldtr.attr = 0;
}

// The first and the last valid offset.
static void seg_range(unsigned i, u32 *first, u32 *last)
{
    u32 limit = segs[i].pages ? segs[i].limit << 12 | 0xfff : segs[i].limit;

    *first = segs[i].contents == 1 ? limit + 1 : 0;
    *last = segs[i].contents != 1 ? limit : segs[i].big ? 0xffffffff : 0xffff;
}

// A selector worth trying: one of ours, with any RPL, null, or beyond the table.
static u16 rnd_sel(void)
{
    switch (rnd() % 8) {
    case 0:
        return rnd() % 4;
    case 1:
        return (ARRAY_LEN(segs) + rnd() % 4) << 3 | 4 | rnd() % 4;
    case 2:
        return 0x2b;
    default:
        return (slot_sel(rnd() % slots) & ~3u) | rnd() % 4;
    }
}

static u16 rnd_loadable(void)
{
    unsigned slot = rnd() % (slots + 2), i;

    if (slot >= slots)
        return slot == slots ? 0 : 0x2b;
    i = slot_seg[slot];
    return segs[i].absent || (segs[i].contents >= 2 && segs[i].read_only) ? 0x2b : slot_sel(slot);
}

// Offsets at and around the ends of the segment, now and then in its middle; always in mapped
// memory if valid.
static u32 rnd_offset(u16 sel)
{
    unsigned i;
    u32 first, last;

    if (sel == 0x2b)
        return DATA + 0x1000 + rnd() % 0xf00;
    if (sel < 4)
        return rnd();
    i = sel_seg(sel);
    seg_range(i, &first, &last);
    switch (rnd() % 3) {
    case 0:
        return first + rnd() % 24 - (segs[i].contents == 1 ? 12 : 0);
    case 1:
        return last - rnd() % 24 + (last != 0xffffffff ? 12 : 0);
    default:
        return first + 64 + rnd() % 0x700;
    }
}

enum { T_READ, T_WRITE, T_RMW, T_MOVS, T_LOAD, T_LOAD_MEM, T_LES, T_LDS, T_PUSH, T_POP, T_LAR,
       T_LSL, T_VERR, T_VERW, T_ARPL, T_STORE, T_KINDS };

// The bytes of one case; memory operands are [ebx].
static unsigned make(unsigned kind, u8 *b)
{
    unsigned n = 0, wide = rnd() % 3; // byte, word, dword
    bool es = rnd() % 2;

    if (kind >= T_LOAD && rnd() % 2)
        b[n++] = 0x66;
    if (kind < T_MOVS && wide == 1)
        b[n++] = 0x66;
    if (es && kind != T_MOVS)
        b[n++] = 0x26;
    switch (kind) {
    case T_READ: // mov ecx,[ebx]
        b[n++] = 0x8a + !!wide;
        b[n++] = 0x0b;
        break;
    case T_WRITE:
        b[n++] = 0x88 + !!wide;
        b[n++] = 0x0b;
        break;
    case T_RMW: // add [ebx],ecx
        b[n++] = !!wide;
        b[n++] = 0x0b;
        break;
    case T_MOVS:
        if (wide == 1)
            b[n++] = 0x66;
        if (rnd() % 2)
            b[n++] = 0xf3;
        b[n++] = 0xa4 + !!wide;
        break;
    case T_LOAD: // mov ds/es,ax
        b[n++] = 0x8e;
        b[n++] = rnd() % 2 ? 0xd8 : 0xc0;
        break;
    case T_LOAD_MEM: // mov ds/es,[ebx]
        b[n++] = 0x8e;
        b[n++] = rnd() % 2 ? 0x1b : 0x03;
        break;
    case T_LES:
        b[n++] = 0xc4;
        b[n++] = 0x0b;
        break;
    case T_LDS:
        b[n++] = 0xc5;
        b[n++] = 0x0b;
        break;
    case T_PUSH:
        b[n++] = rnd() % 2 ? 0x06 : rnd() % 2 ? 0x1e : rnd() % 2 ? 0x0e : 0x16;
        break;
    case T_POP:
        b[n++] = rnd() % 2 ? 0x07 : 0x1f;
        break;
    case T_LAR:
    case T_LSL:
        b[n++] = 0x0f;
        b[n++] = kind == T_LAR ? 2 : 3;
        b[n++] = 0xc8; // ecx,eax
        break;
    case T_VERR:
    case T_VERW:
        b[n++] = 0x0f;
        b[n++] = 0x00;
        b[n++] = kind == T_VERR ? 0xe0 : 0xe8;
        break;
    case T_ARPL: // ax,cx
        b[n++] = 0x63;
        b[n++] = 0xc8;
        break;
    case T_STORE: // mov ecx,ds; mov [ebx],es
        b[n++] = 0x8c;
        b[n++] = rnd() % 2 ? 0xd9 : 0x03;
        break;
    }
    return n;
}

// An interrupt on the host clears the RPL of null selectors when it returns.
static bool same_sel(u16 a, u16 b)
{
    return a == b || (a < 4 && b < 4);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    if (a->trap != b->trap || a->error != b->error)
        return false;
    return a->trap >= 0 || (memcmp(a->state.gpr, b->state.gpr, sizeof(a->state.gpr)) == 0 &&
                            same_sel(a->state.ds, b->state.ds) &&
                            same_sel(a->state.es, b->state.es) &&
                            !((a->state.eflags ^ b->state.eflags) & FL_TESTED));
}

// Selectors that loads will find in memory.
static void plant(u32 address, u16 sel)
{
    if (address >= DATA && address < DATA + DATA_SIZE - 2) {
        memcpy((void *)(uintptr_t)address, &sel, 2);
        phys_write(&guest_rig.phys, address, &sel, 2);
    }
}

static u32 seg_base(u16 sel)
{
    return sel == 0x2b || sel < 4 ? 0 : segs[sel_seg(sel)].base;
}

START_TEST(random_segments)
{
    const char *cases_env = getenv("CPU_NATIVE_CASES"), *seed_env = getenv("CPU_NATIVE_SEED");
    unsigned long cases = cases_env ? strtoul(cases_env, NULL, 0) : 200000, faults = 0;
    u8 *data = (u8 *)(uintptr_t)DATA;
    unsigned differences = 0;

    rng = seed_env ? strtoull(seed_env, NULL, 0) : (u64)time(NULL) * 0x9e3779b97f4a7c15;
    printf("seed %#llx\n", (unsigned long long)rng);
    guest_init(&guest_rig);
    for (unsigned long done = 0; done < cases && differences < 10; done++) {
        struct outcome host = { 0 }, guest = { 0 };
        unsigned kind = rnd() % T_KINDS, len;
        struct state in = { .eflags = FL_FIXED1 | FL_IF | (rnd() & FL_ARITH) };
        struct insn insn;
        u8 bytes[16];
        u16 sel;

        if (done % 1000 == 0) {
            ck_assert(host_slots());
            guest_slots();
            memset(data + DATA_SIZE - 64, 0, 64); // host_slots' work space
        }
        len = make(kind, bytes);
        ck_assert_int_eq(insn_decode(&insn, bytes, len, true), INSN_OK);
        for (unsigned i = 0; i < 8; i++)
            in.gpr[i] = rnd_value();
        in.ds = rnd_loadable();
        in.es = rnd_loadable();
        sel = insn.seg == S_ES ? in.es : in.ds;
        in.gpr[R_EBX] = rnd_offset(sel);
        in.gpr[R_ESP] = STACK;
        if (kind == T_MOVS) {
            in.gpr[R_ESI] = rnd_offset(in.ds);
            in.gpr[R_EDI] = rnd_offset(in.es);
            in.gpr[R_ECX] = rnd() % 40;
        } else if (kind >= T_LOAD) {
            in.gpr[R_EAX] = (in.gpr[R_EAX] & 0xffff0000) | rnd_sel();
            plant(STACK, rnd_sel());
            plant(seg_base(sel) + in.gpr[R_EBX] + (kind == T_LOAD_MEM ? 0 : insn.opsize),
                  rnd_sel());
        }
        host_build(bytes, insn.len);
        host_run(&in, &host);
        if (kind == T_MOVS && host.trap >= 0) {
            // Iterations done before the fault count; only the exception itself is compared here.
            struct outcome none = host;

            guest_run_partial(&guest_rig, &insn, &in, &guest);
            none.state = guest.state;
            if (!same(&none, &guest))
                differences++, report(&insn, bytes, &in, &host, &guest);
        } else {
            guest_run(&guest_rig, &insn, &in, &guest);
            if (!same(&host, &guest))
                differences++, report(&insn, bytes, &in, &host, &guest);
        }
        faults += host.trap >= 0;
        if (memcmp(data, phys_host(&guest_rig.phys, DATA), DATA_SIZE / 4) != 0 ||
            memcmp(data + 0x1000, phys_host(&guest_rig.phys, DATA + 0x1000), 0x1000) != 0 ||
            memcmp(data + 0x2000, phys_host(&guest_rig.phys, DATA + 0x2000), 0x2000) != 0) {
            report(&insn, bytes, &in, &host, &guest);
            fprintf(stderr, "memory differs\n");
            for (u32 at = 0; at < DATA_SIZE; at += 0x1000)
                memcpy(data + at, phys_host(&guest_rig.phys, DATA + at), 0x1000);
            differences++;
        }
    }
    printf("%lu cases in the %s, %lu of them faults\n", cases, have_ldt ? "LDT" : "GDT", faults);
    ck_assert_uint_gt(faults, cases / 10);
    ck_assert_uint_eq(differences, 0);
    guest_free(&guest_rig);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segments against the host");
    TCase *tc = tcase_create("random");
    SRunner *runner;
    int failed;

    if (!host_init())
        return 77;
    rng = 1;
    if (!host_slots()) {
        printf("neither modify_ldt nor set_thread_area here\n");
        return 77;
    }
    tcase_add_test(tc, random_segments);
    tcase_set_timeout(tc, 100);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
