// SPDX-License-Identifier: GPL-2.0-or-later
// User-mode integer instructions, at random, on the host CPU itself (in compatibility mode) and
// in the interpreter: registers, all flags, memory and exceptions must agree. CPU_NATIVE_CASES
// and CPU_NATIVE_SEED override how many, and which.
#include "cpu_native.h"

static struct guest guest_rig;

// In fault mode the guest pages, DATA+1000 is read-only, nothing follows DATA's end, and operands
// lie about these edges.
#define READ_ONLY (DATA + 0x1000)
static bool fault_mode;

static u32 edge(void)
{
    static const u32 edges[] = { 0x1000, 0x2000, 0x4000, 0x4000, 0x3000 };

    return DATA + edges[rnd() % ARRAY_LEN(edges)] - 24 + rnd() % 32;
}

static void fault_mode_start(void)
{
    struct vcpu *v = guest_rig.v;

    fault_mode = true;
    phys_write32(&guest_rig.phys, 0x10000 + 4 * (DATA >> 22), 0x11000 | 7);
    phys_write32(&guest_rig.phys, 0x10000, 0x12000 | 7);
    for (u32 i = 0; i < 16; i++) // the descriptor tables
        phys_write32(&guest_rig.phys, 0x12000 + 4 * i, i << 12 | 3);
    for (u32 at = DATA; at < DATA + DATA_SIZE; at += 0x1000)
        phys_write32(&guest_rig.phys, 0x11000 + 4 * (at >> 12 & 1023),
                     at | (at == READ_ONLY ? 5 : 7));
    v->cr3 = 0x10000;
    cpu_write_cr0(v, v->cr0 | CR0_PG | CR0_WP);
    mprotect((void *)(uintptr_t)READ_ONLY, 0x1000, PROT_READ);
}

// What may be tried: integer instructions that stay here and touch nothing but registers and
// memory.
static bool suitable(const struct insn *insn)
{
    if (insn->attr & (INSN_UD | INSN_X87 | INSN_MMX | INSN_SSE) || insn->flow != FLOW_NONE ||
        insn->sensitive != SENS_NONE || insn->prefix & PFX_67 || insn->seg == S_FS ||
        insn->seg == S_GS || insn->isa == ISA_RDRAND || insn->isa == ISA_RDSEED)
        return false;
    if (!cpu_model_has(guest_rig.v->model, insn->isa))
        return false; // what the host has and the model does not
    switch (insn->op) {
    case OP0F(0x77):
    case OP0F(0xae):
    case OP0F(0x71):
    case OP0F(0x72):
    case OP0F(0x73):
    case OP0F(0xc3):
    case OP1(0x9b):
    case OP1(0xcc):
        return false;
    case OP0F(0x0d): // PREFETCHW of a register: AMD's #UD, a NOP to Intel's
        return insn->has_mem;
    case OP1(0xc8): // ENTER: keep the frame small
        return (insn->imm & 0xffff) < 0x400;
    }
    return insn->op >> 8 < 2 || insn->op >= OP0F38(0xf0);
}

// Points the memory operand, the string registers and the stack into the data area; false if
// that can't be.
static bool place(const struct insn *insn, struct state *s)
{
    u32 target = fault_mode ? edge() : DATA + 0x400 + rnd() % 0x1c00, ea = insn->disp;
    bool bits = insn->op == OP0F(0xa3) || insn->op == OP0F(0xab) || insn->op == OP0F(0xb3) ||
                insn->op == OP0F(0xbb);

    s->gpr[R_ESP] = fault_mode ? edge() : STACK + rnd() % 64;
    if (insn->attr & INSN_STRING || insn->op == OP1(0xd7)) {
        s->gpr[R_ESI] = DATA + 0x1000 + rnd() % 0x100;
        s->gpr[R_EDI] = DATA + 0x1000 + rnd() % 0x100;
        s->gpr[R_EBX] = DATA + 0x1000;
        s->gpr[R_ECX] = rnd() % 0x80;
        if (fault_mode) {
            s->gpr[R_ESI] = edge();
            s->gpr[R_EDI] = edge();
        }
        if (insn->op == OP1(0xd7))
            s->gpr[R_EAX] &= 0xff;
    }
    if (insn->op == OP1(0xc8) || insn->op == OP1(0xc9))
        s->gpr[R_EBP] = fault_mode ? edge() : STACK + rnd() % 64;
    if (!insn->has_mem || insn->mem == MEM_ADDRESS)
        return true;
    if (bits)
        s->gpr[insn->reg] = (i32)s->gpr[insn->reg] % 0x1000;
    if (insn->index >= 0 && insn->index != insn->base)
        ea += s->gpr[insn->index] << insn->scale;
    if (insn->base < 0 || insn->base == R_ESP || insn->base == insn->index)
        return false;
    s->gpr[insn->base] = target - ea;
    if (bits && insn->base == insn->reg)
        return false;
    if (bits && insn->index == (int)insn->reg)
        s->gpr[insn->base] = target - (insn->disp + (s->gpr[insn->index] << insn->scale));
    return true;
}

static unsigned make_bytes(u8 *bytes)
{
    static const u8 prefixes[] = { 0x66, 0xf2, 0xf3, 0xf0, 0x26, 0x3e, 0x36 };
    u8 *p = bytes;

    while (rnd() % 3 == 0 && p < bytes + 3)
        *p++ = rnd() % 2 ? 0x66 : prefixes[rnd() % ARRAY_LEN(prefixes)];
    if (rnd() % 3 == 0)
        *p++ = 0x0f;
    while (p < bytes + 16)
        *p++ = rnd();
    if (rnd() % 2) // a register form, more often than by chance
        bytes[rnd() % 3 + 1] |= 0xc0;
    return 16;
}

// Whether both ended alike. Flags that AMD and Intel leave differently are the host's in both.
static bool same(const struct outcome *a, const struct outcome *b, const struct insn *insn)
{
    u32 flags = FL_TESTED;

    // Computed in C for want of a 64-bit encoding: only what the manual defines.
    switch (insn->op) {
    case OP1(0x27): // DAA DAS
    case OP1(0x2f):
        flags &= ~FL_OF;
        break;
    case OP1(0x37): // AAA AAS
    case OP1(0x3f):
        flags &= ~(FL_OF | FL_SF | FL_ZF | FL_PF);
        break;
    case OP1(0xd4): // AAM AAD
    case OP1(0xd5):
        flags &= ~(FL_OF | FL_AF | FL_CF);
        break;
    }
    if (a->trap != b->trap || a->error != b->error)
        return false;
    // A POPA that faults has popped some registers on AMD's; ESP says that it starts again.
    if (a->trap >= 0 && insn->op == OP1(0x61))
        return a->cr2 == b->cr2 && a->state.gpr[R_ESP] == b->state.gpr[R_ESP];
    // Which of CMPS's operands faults first depends on its form and on the host's make.
    if (a->cr2 != b->cr2 && insn->op != OP1(0xa6) && insn->op != OP1(0xa7))
        return false;
    return memcmp(a->state.gpr, b->state.gpr, sizeof(a->state.gpr)) == 0 &&
           !((a->state.eflags ^ b->state.eflags) & flags);
}

static void compare(unsigned long cases)
{
    u8 *data = (u8 *)(uintptr_t)DATA, *guest_data = phys_host(&guest_rig.phys, DATA);
    unsigned long done = 0, faults = 0;
    unsigned differences = 0;

    while (done < cases && differences < 10) {
        struct outcome host = { 0 }, guest = { 0 };
        struct insn insn;
        struct state in;
        u8 bytes[16];
        bool memory;

        make_bytes(bytes);
        if (insn_decode(&insn, bytes, 15, true) != INSN_OK || !suitable(&insn))
            continue;
        for (unsigned i = 0; i < 8; i++)
            in.gpr[i] = rnd_value();
        in.ds = in.es = 0x2b;
        in.eflags = (rnd() & FL_TESTED) | FL_FIXED1 | FL_IF;
        if (!place(&insn, &in))
            continue;
        host_build(bytes, insn.len);
        host_run(&in, &host);
        if (insn.attr & INSN_STRING)
            guest_run_partial(&guest_rig, &insn, &in, &guest);
        else
            guest_run(&guest_rig, &insn, &in, &guest);
        done++;
        faults += host.trap >= 0;
        memory = memcmp(data, guest_data, DATA_SIZE) == 0;
        if (!memory && host.trap >= 0 && insn.attr & INSN_STACK) {
            // How much of a frame is written before a fault is no part of the architecture.
            memcpy(guest_data, data, DATA_SIZE);
            memory = true;
        }
        if (same(&host, &guest, &insn) && memory)
            continue;
        report(&insn, bytes, &in, &host, &guest);
        for (unsigned i = 0; i < DATA_SIZE; i++)
            if (data[i] != guest_data[i])
                fprintf(stderr, "memory at %#x: host %02x, guest %02x\n", DATA + i, data[i],
                        guest_data[i]);
        memcpy(guest_data, data, DATA_SIZE);
        differences++;
    }
    printf("%lu cases, %lu of them faults\n", done, faults);
    ck_assert_uint_eq(differences, 0);
}

static unsigned long prepare(void)
{
    const char *cases = getenv("CPU_NATIVE_CASES"), *seed = getenv("CPU_NATIVE_SEED");
    u8 *data = (u8 *)(uintptr_t)DATA;

    rng = seed ? strtoull(seed, NULL, 0) : (u64)time(NULL) * 0x9e3779b97f4a7c15;
    printf("seed %#llx\n", (unsigned long long)rng);
    guest_init(&guest_rig);
    for (unsigned i = 0; i < DATA_SIZE; i++)
        data[i] = rnd() % 4 ? rnd() : 0;
    memcpy(phys_host(&guest_rig.phys, DATA), data, DATA_SIZE);
    return cases ? strtoul(cases, NULL, 0) : 300000;
}

START_TEST(random_instructions)
{
    compare(prepare());
    guest_free(&guest_rig);
}
END_TEST

START_TEST(random_faults)
{
    unsigned long cases = prepare();

    fault_mode_start();
    compare(cases);
    guest_free(&guest_rig);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu against the host");
    TCase *tc = tcase_create("random");
    SRunner *runner;
    int failed;

    if (!host_init())
        return 77;
    tcase_add_test(tc, random_instructions);
    tcase_add_test(tc, random_faults); // last: it takes memory away
    tcase_set_timeout(tc, 100);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
