// SPDX-License-Identifier: GPL-2.0-or-later
// What the host cannot tell: control-register checks, the pointers to the last instruction,
// environments of all formats, FXSAVE and FXRSTOR, FERR#, and that faults leave everything as it
// was.
#include "cpu_fpu_native.inc"

#include <check.h>

#define NOTHING 0xff

// Runs one instruction in rig b's vcpu as it is. Returns the vector raised, or NOTHING.
static u8 step(struct rig *b, const char *bytes, unsigned len)
{
    struct vcpu *v = b->v;
    struct insn insn;
    jmp_buf catcher;
    u8 vector = NOTHING;

    ck_assert_int_eq(insn_decode(&insn, (const u8 *)bytes, len, true), INSN_OK);
    ck_assert_uint_eq(insn.len, len);
    v->catcher = &catcher;
    if (setjmp(catcher) == 0) {
        if (insn.op >> 8 == MAP_1)
            interp_x87(v, &insn);
        else
            interp_simd(v, &insn);
        v->eip += len; // as the interpreter does
    } else {
        vector = v->fault.vector;
    }
    v->catcher = NULL;
    return vector;
}
#define STEP(b, bytes) step(b, bytes, sizeof(bytes) - 1)

static struct rig *reset(void)
{
    struct rig *b = rig_new();

    fpu_reset(b->v);
    b->v->eip = 0x1000;
    b->v->gpr[R_EDI] = TEST_AT;
    return b;
}

static u8 memory(struct rig *b, u32 at)
{
    u8 x;

    phys_read(&b->phys, at, &x, 1);
    return x;
}

START_TEST(reset_state)
{
    struct rig *b = reset();
    const u8 *fx = b->v->fx;

    ck_assert_uint_eq(fx_get16(fx, FX_FCW), 0x37f);
    ck_assert_uint_eq(fx_get16(fx, FX_FSW), 0);
    ck_assert_uint_eq(fx_get32(fx, FX_MXCSR), 0x1f80);
    ck_assert_uint_eq(fpu_tags(fx), 0xffff);
    rig_free(b);
}
END_TEST

static const struct {
    const char *bytes;
    unsigned len;
    u8 em, ts, mp_ts, no_osfxsr; // vector with CR0.EM; TS; MP and TS; with CR4.OSFXSR clear
} checks[] = {
#define C(bytes, ...) { bytes, sizeof(bytes) - 1, __VA_ARGS__ }
    C("\xd9\xe8", X_NM, X_NM, X_NM, NOTHING),         // FLD1
    C("\xdb\xe3", X_NM, X_NM, X_NM, NOTHING),         // FNINIT
    C("\xdf\xe0", X_NM, X_NM, X_NM, NOTHING),         // FNSTSW AX
    C("\x9b", NOTHING, NOTHING, X_NM, NOTHING),       // FWAIT
    C("\x0f\x77", X_UD, X_NM, X_NM, NOTHING),         // EMMS
    C("\x0f\xfc\xc1", X_UD, X_NM, X_NM, NOTHING),     // PADDB MM
    C("\x0f\x71\xd1\x01", X_UD, X_NM, X_NM, NOTHING), // PSRLW MM, imm
    C("\x0f\xf7\xc1", X_UD, X_NM, X_NM, NOTHING),     // MASKMOVQ
    C("\x66\x0f\xf7\xc1", X_UD, X_NM, X_NM, X_UD),    // MASKMOVDQU
    C("\x0f\x58\xc1", X_UD, X_NM, X_NM, X_UD),        // ADDPS
    C("\x0f\x2a\x07", X_UD, X_NM, X_NM, X_UD),        // CVTPI2PS m64
    C("\x66\x0f\x73\xd9\x01", X_UD, X_NM, X_NM, X_UD),// PSRLDQ
    C("\xf3\x0f\xd6\xc1", X_UD, X_NM, X_NM, X_UD),    // MOVQ2DQ
    C("\x0f\xae\x17", X_UD, X_NM, X_NM, X_UD),        // LDMXCSR
    C("\x0f\xae\x1f", X_UD, X_NM, X_NM, X_UD),        // STMXCSR
    C("\x0f\xae\x07", X_NM, X_NM, X_NM, NOTHING),     // FXSAVE
    C("\x0f\xae\x0f", X_NM, X_NM, X_NM, NOTHING),     // FXRSTOR
    C("\x0f\xae\xf8", NOTHING, NOTHING, NOTHING, NOTHING), // SFENCE
    C("\x0f\xae\x3f", NOTHING, NOTHING, NOTHING, NOTHING), // CLFLUSH
    C("\x0f\x18\x07", NOTHING, NOTHING, NOTHING, NOTHING), // PREFETCHNTA
    C("\x0f\xc3\x07", NOTHING, NOTHING, NOTHING, NOTHING), // MOVNTI
    C("\x66\x0f\x38\x00\xc1", X_UD, X_NM, X_NM, X_UD),// PSHUFB XMM
    C("\x0f\x38\x00\xc1", X_UD, X_NM, X_NM, NOTHING), // PSHUFB MM
#undef C
};

START_TEST(control_registers)
{
    struct rig *b = reset();
    u32 cr0 = b->v->cr0, cr4 = b->v->cr4;

    for (unsigned i = 0; i < ARRAY_LEN(checks); i++) {
        const char *p = checks[i].bytes;
        unsigned n = checks[i].len;

        b->v->cr0 = cr0 | CR0_EM;
        ck_assert_msg(step(b, p, n) == checks[i].em, "EM, %u", i);
        b->v->cr0 = cr0 | CR0_TS;
        ck_assert_msg(step(b, p, n) == checks[i].ts, "TS, %u", i);
        b->v->cr0 = cr0 | CR0_MP;
        ck_assert_msg(step(b, p, n) == NOTHING, "MP, %u", i);
        b->v->cr0 = cr0 | CR0_MP | CR0_TS;
        ck_assert_msg(step(b, p, n) == checks[i].mp_ts, "MP TS, %u", i);
        b->v->cr0 = cr0;
        b->v->cr4 = cr4 & ~CR4_OSFXSR;
        ck_assert_msg(step(b, p, n) == checks[i].no_osfxsr, "OSFXSR, %u", i);
        b->v->cr4 = cr4;
        ck_assert_msg(step(b, p, n) == NOTHING, "%u", i);
    }
    rig_free(b);
}
END_TEST

// FADD DWORD [EBX+4] through ES, then the environment in the four formats.
START_TEST(pointers)
{
    struct rig *b = reset();
    struct vcpu *v = b->v;
    u32 env[7];
    u16 small[7];

    v->gpr[R_EBX] = TEST_AT - 0x400;
    v->seg[S_ES].base = 0x100;
    v->seg[S_ES].sel = 0x1234;
    v->seg[S_CS].sel = 0x5678;
    v->eip = 0x9abcde;
    ck_assert_uint_eq(STEP(b, "\x26\xd8\x43\x04"), NOTHING);
    ck_assert_uint_eq(fx_get32(v->fx, FX_FIP), 0x9abcde);
    ck_assert_uint_eq(fx_get16(v->fx, FX_FCS), 0x5678);
    ck_assert_uint_eq(fx_get32(v->fx, FX_FDP), TEST_AT - 0x400 + 4);
    ck_assert_uint_eq(fx_get16(v->fx, FX_FDS), 0x1234);
    ck_assert_uint_eq(fx_get16(v->fx, FX_FOP), 0x043);

    // FNSTENV itself is not noted, and FWAIT and FNSTCW neither.
    ck_assert_uint_eq(STEP(b, "\x9b"), NOTHING);
    ck_assert_uint_eq(STEP(b, "\xd9\x3f"), NOTHING);
    ck_assert_uint_eq(STEP(b, "\xd9\x37"), NOTHING);
    phys_read(&b->phys, TEST_AT, env, sizeof(env));
    ck_assert_uint_eq(env[0], 0xffff037f);
    ck_assert_uint_eq(env[3], 0x9abcde);
    ck_assert_uint_eq(env[4], 0x00435678);
    ck_assert_uint_eq(env[5], TEST_AT - 0x400 + 4);
    ck_assert_uint_eq(env[6], 0xffff1234);

    ck_assert_uint_eq(STEP(b, "\x66\xd9\x37"), NOTHING);
    phys_read(&b->phys, TEST_AT, small, sizeof(small));
    ck_assert_uint_eq(small[0], 0x037f);
    ck_assert_uint_eq(small[3], 0xbcde);
    ck_assert_uint_eq(small[4], 0x5678);
    ck_assert_uint_eq(small[5], (TEST_AT - 0x400 + 4) & 0xffff);
    ck_assert_uint_eq(small[6], 0x1234);

    // Real-mode formats have linear addresses: FIP = 5678 * 16 + 1bcde, FDP = 1234 * 16 + 404.
    fx_put32(v->fx, FX_FIP, 0x1bcde);
    fx_put32(v->fx, FX_FDP, 0x404);
    v->cr0 &= ~CR0_PE;
    ck_assert_uint_eq(STEP(b, "\xd9\x37"), NOTHING);
    phys_read(&b->phys, TEST_AT, env, sizeof(env));
    ck_assert_uint_eq(env[3], 0xffff245e); // 0x7245e
    ck_assert_uint_eq(env[4], 7 << 12 | 0x43);
    ck_assert_uint_eq(env[5], 0xffff2744); // 0x12744
    ck_assert_uint_eq(env[6], 1 << 12);
    ck_assert_uint_eq(STEP(b, "\x66\xd9\x37"), NOTHING);
    phys_read(&b->phys, TEST_AT, small, sizeof(small));
    ck_assert_uint_eq(small[3], 0x245e);
    ck_assert_uint_eq(small[4], 7 << 12 | 0x43);
    ck_assert_uint_eq(small[5], 0x2744);
    ck_assert_uint_eq(small[6], 1 << 12);

    // Loaded back, they are linear addresses in segment 0.
    ck_assert_uint_eq(STEP(b, "\x66\xd9\x27"), NOTHING);
    ck_assert_uint_eq(fx_get32(v->fx, FX_FIP), 0x7245e);
    ck_assert_uint_eq(fx_get16(v->fx, FX_FCS), 0);
    ck_assert_uint_eq(fx_get32(v->fx, FX_FDP), 0x12744);
    ck_assert_uint_eq(fx_get16(v->fx, FX_FOP), 0x43);

    ck_assert_uint_eq(STEP(b, "\xdb\xe3"), NOTHING);
    ck_assert_uint_eq(fx_get32(v->fx, FX_FIP), 0);
    ck_assert_uint_eq(fx_get32(v->fx, FX_FDP), 0);
    rig_free(b);
}
END_TEST

// FNSAVE and FRSTOR of random states give the state back, in every format.
START_TEST(save_and_restore)
{
    struct rig *b = reset();

    for (unsigned i = 0; i < 4000; i++) {
        unsigned format = i & 3;
        u8 image[FPU_SAVE_MAX];
        struct trial t, u;

        rig_state(b, &t, false);
        fx_put32(t.fx, FX_FIP, rig_random(b) & (format ? 0xfffff : 0xffff));
        fx_put32(t.fx, FX_FDP, rig_random(b) & (format ? 0xfffff : 0xffff));
        if (format & FPU_ENV_REAL || format & FPU_ENV_32)
            fx_put16(t.fx, FX_FOP, rig_random(b) & FOP_BITS);
        if (!(format & FPU_ENV_REAL)) {
            fx_put16(t.fx, FX_FCS, rig_random(b));
            fx_put16(t.fx, FX_FDS, rig_random(b));
        }
        fpu_save_store(t.fx, format, image);
        rig_state(b, &u, false);
        fpu_save_load(u.fx, format, image);
        ck_assert_int_eq(memcmp(t.fx, u.fx, FX_MXCSR), 0);
        ck_assert_int_eq(memcmp(t.fx + FX_ST, u.fx + FX_ST, 128), 0);
    }
    rig_free(b);
}
END_TEST

START_TEST(fxsave_fxrstor)
{
    struct rig *b = reset();
    struct vcpu *v = b->v;
    struct trial t;
    u8 image[FX_SIZE], saved[FX_SIZE];

    rig_state(b, &t, false);
    memcpy(v->fx, t.fx, FX_SIZE);
    memset(image, 0x5a, sizeof(image));
    phys_write(&b->phys, TEST_AT, image, sizeof(image));
    ck_assert_uint_eq(STEP(b, "\x0f\xae\x07"), NOTHING);
    phys_read(&b->phys, TEST_AT, saved, sizeof(saved));
    ck_assert_int_eq(memcmp(saved, t.fx, FX_MXCSR_MASK), 0);
    ck_assert_uint_eq(fx_get32(saved, FX_MXCSR_MASK), 0xffff);
    ck_assert_int_eq(memcmp(saved + FX_ST, t.fx + FX_ST, FX_USED - FX_ST), 0);
    for (unsigned i = FX_USED; i < FX_SIZE; i++)
        ck_assert_uint_eq(saved[i], 0x5a);

    fpu_reset(v);
    ck_assert_uint_eq(STEP(b, "\x0f\xae\x0f"), NOTHING);
    ck_assert_int_eq(memcmp(v->fx, t.fx, FX_MXCSR_MASK), 0);
    ck_assert_int_eq(memcmp(v->fx + FX_ST, t.fx + FX_ST, FX_USED - FX_ST), 0);

    // Without OSFXSR the XMM registers stay out of it.
    v->cr4 &= ~CR4_OSFXSR;
    phys_write(&b->phys, TEST_AT, image, sizeof(image));
    ck_assert_uint_eq(STEP(b, "\x0f\xae\x07"), NOTHING);
    ck_assert_uint_eq(memory(b, TEST_AT + FX_XMM), 0x5a);
    phys_write(&b->phys, TEST_AT, saved, sizeof(saved));
    memset(v->fx + FX_XMM, 0x77, 128);
    ck_assert_uint_eq(STEP(b, "\x0f\xae\x0f"), NOTHING);
    ck_assert_uint_eq(v->fx[FX_XMM], 0x77);
    v->cr4 |= CR4_OSFXSR;

    // A reserved bit of MXCSR, and an unaligned operand.
    fx_put32(saved, FX_MXCSR, 0x11f80);
    phys_write(&b->phys, TEST_AT, saved, sizeof(saved));
    memcpy(image, v->fx, FX_SIZE);
    ck_assert_uint_eq(STEP(b, "\x0f\xae\x0f"), X_GP);
    ck_assert_int_eq(memcmp(image, v->fx, FX_SIZE), 0);
    v->gpr[R_EDI] += 8;
    ck_assert_uint_eq(STEP(b, "\x0f\xae\x0f"), X_GP);
    ck_assert_uint_eq(STEP(b, "\x0f\xae\x07"), X_GP);
    rig_free(b);
}
END_TEST

// The summary and the exception it stands for follow the control word.
START_TEST(unmasking)
{
    struct rig *b = reset();
    struct vcpu *v = b->v;
    u16 unmasked = 0x37e;

    ck_assert_uint_eq(STEP(b, "\xd9\xee"), NOTHING); // FLDZ twice, 0 / 0
    ck_assert_uint_eq(STEP(b, "\xd9\xee"), NOTHING);
    ck_assert_uint_eq(STEP(b, "\xde\xf9"), NOTHING);
    ck_assert_uint_eq(fx_get16(v->fx, FX_FSW) & 0x80ff, FSW_IE);
    phys_write(&b->phys, TEST_AT, &unmasked, 2);
    ck_assert_uint_eq(STEP(b, "\xd9\x2f"), NOTHING); // FLDCW
    ck_assert_uint_eq(fx_get16(v->fx, FX_FSW) & 0x80ff, FSW_IE | FSW_ES | FSW_B);
    ck_assert_uint_eq(STEP(b, "\x9b"), X_MF);
    ck_assert_uint_eq(STEP(b, "\xd9\xe8"), X_MF);
    ck_assert_uint_eq(STEP(b, "\xd9\x2f"), X_MF);
    ck_assert_uint_eq(STEP(b, "\x0f\x77"), X_MF);
    ck_assert_uint_eq(STEP(b, "\x0f\xae\x07"), NOTHING); // FXSAVE doesn't wait
    ck_assert_uint_eq(STEP(b, "\x0f\x58\xc1"), NOTHING); // nor does SSE
    ck_assert_uint_eq(STEP(b, "\xd9\x37"), NOTHING);     // FNSTENV masks
    ck_assert_uint_eq(fx_get16(v->fx, FX_FSW) & 0x80ff, FSW_IE);
    ck_assert_uint_eq(STEP(b, "\xd9\x27"), NOTHING); // FLDENV unmasks again
    ck_assert_uint_eq(STEP(b, "\x9b"), X_MF);
    ck_assert_uint_eq(STEP(b, "\xdb\xe2"), NOTHING); // FNCLEX
    ck_assert_uint_eq(STEP(b, "\x9b"), NOTHING);
    rig_free(b);
}
END_TEST

// A PC's interrupt controller, as far as FERR# goes.
struct wire {
    struct vcpu *v;
    unsigned raised, lowered;
};

static void ferr(void *pic, bool level)
{
    struct wire *wire = pic;

    wire->raised += level;
    wire->lowered += !level;
    if (level)
        vcpu_post(wire->v, EV_INTR);
}

START_TEST(external_error)
{
    struct rig *b = reset();
    struct vcpu *v = b->v;
    struct wire wire = { .v = v };
    u16 unmasked = 0x37b;

    v->cr0 &= ~CR0_NE;
    v->ferr = ferr;
    v->pic = &wire;
    v->eflags |= FL_IF;
    phys_write(&b->phys, TEST_AT, &unmasked, 2);
    STEP(b, "\xd9\x2f"); // FLDCW, FLD1, FLDZ, 1 / 0
    STEP(b, "\xd9\xe8");
    STEP(b, "\xd9\xee");
    STEP(b, "\xde\xf9");
    ck_assert_uint_eq(wire.raised, 0);

    // The next waiting instruction waits for the interrupt.
    v->eip = 0x2000;
    ck_assert_uint_eq(STEP(b, "\xd9\xee"), NOTHING);
    ck_assert_uint_eq(v->eip, 0x2000);
    ck_assert_uint_eq(wire.raised, 1);
    // If its handler doesn't clear the exception, it goes on, and the exception stays pending.
    v->event = 0;
    ck_assert_uint_eq(STEP(b, "\xd9\xee"), NOTHING);
    ck_assert_uint_eq(v->eip, 0x2002);
    ck_assert_uint_eq(wire.raised, 1);
    ck_assert_uint_eq(fx_get16(v->fx, FX_FSW) & 0x80bf, FSW_B | FSW_ES | BIT(2));
    ck_assert_uint_eq(wire.lowered, 0);
    STEP(b, "\xdb\xe2");
    ck_assert_uint_eq(wire.lowered, 1);
    ck_assert_uint_eq(STEP(b, "\xd9\xee"), NOTHING);
    ck_assert_uint_eq(wire.raised, 1);
    rig_free(b);
}
END_TEST

START_TEST(simd_exception)
{
    struct rig *b = reset();
    struct vcpu *v = b->v;
    u8 before[FX_SIZE];

    fx_put32(v->fx, FX_MXCSR, 0x1d80); // divide by zero unmasked
    fx_put32(v->fx, FX_XMM, 0x3f800000);
    memcpy(before, v->fx, FX_SIZE);
    ck_assert_uint_eq(STEP(b, "\xf3\x0f\x5e\xc1"), X_XM);
    fx_put32(before, FX_MXCSR, 0x1d84);
    ck_assert_int_eq(memcmp(before, v->fx, FX_SIZE), 0);
    v->cr4 &= ~CR4_OSXMMEXCPT;
    ck_assert_uint_eq(STEP(b, "\xf3\x0f\x5e\xc1"), X_UD);
    rig_free(b);
}
END_TEST

// A Pentium III has no DAZ; a Pentium II has no MXCSR at all.
START_TEST(older_models)
{
    struct cpu_model pentium3 = { .isa = BIT(ISA_FXSR) | BIT(ISA_SSE) };
    struct cpu_model pentium2 = { .isa = BIT(ISA_FXSR) };
    struct rig *b = reset();
    struct vcpu *v = b->v;
    u8 image[FX_SIZE];
    u32 daz = 0x1fc0;

    v->model = &pentium3;
    phys_write(&b->phys, TEST_AT, &daz, 4);
    ck_assert_uint_eq(STEP(b, "\x0f\xae\x17"), X_GP);
    ck_assert_uint_eq(STEP(b, "\x0f\xae\x07"), NOTHING);
    phys_read(&b->phys, TEST_AT, image, sizeof(image));
    ck_assert_uint_eq(fx_get32(image, FX_MXCSR_MASK), 0xffbf);
    memcpy(image + FX_MXCSR, &daz, 4);
    phys_write(&b->phys, TEST_AT, image, sizeof(image));
    ck_assert_uint_eq(STEP(b, "\x0f\xae\x0f"), X_GP);

    v->model = &pentium2;
    ck_assert_uint_eq(STEP(b, "\x0f\xae\x0f"), NOTHING);
    ck_assert_uint_eq(fx_get32(v->fx, FX_MXCSR), 0x1f80);
    memset(image, 0x5a, sizeof(image));
    phys_write(&b->phys, TEST_AT, image, sizeof(image));
    ck_assert_uint_eq(STEP(b, "\x0f\xae\x07"), NOTHING);
    ck_assert_uint_eq(memory(b, TEST_AT + FX_MXCSR), 0x5a);
    ck_assert_uint_eq(memory(b, TEST_AT + FX_XMM), 0x5a);
    ck_assert_uint_eq(memory(b, TEST_AT + FX_FCW), 0x7f);
    rig_free(b);
}
END_TEST

// What the comparison with the host leaves out: ESP, 16-bit addresses, segment bases.
START_TEST(other_operands)
{
    struct rig *b = reset();
    struct vcpu *v = b->v;
    u64 value = 0x8877665544332211, mask = 0x80000000ff000080;

    memcpy(v->fx + fpu_reg_at(v->fx, 1), &value, 8);
    memcpy(v->fx + fpu_reg_at(v->fx, 2), &mask, 8);
    ck_assert_uint_eq(STEP(b, "\x0f\x7e\xcc"), NOTHING); // MOVD ESP, MM1
    ck_assert_uint_eq(v->gpr[R_ESP], 0x44332211);
    ck_assert_uint_eq(STEP(b, "\x0f\x6e\xdc"), NOTHING); // MOVD MM3, ESP
    ck_assert_uint_eq(fx_get32(v->fx, fpu_reg_at(v->fx, 3)), 0x44332211);
    ck_assert_uint_eq(fx_get32(v->fx, fpu_reg_at(v->fx, 3) + 4), 0);

    v->gpr[R_EDI] = 0xffff0800;
    v->seg[S_FS].base = TEST_PAGE;
    ck_assert_uint_eq(STEP(b, "\x64\x67\x0f\xf7\xca"), NOTHING); // MASKMOVQ MM1, MM2
    ck_assert_uint_eq(memory(b, TEST_AT), 0x11);
    ck_assert_uint_eq(memory(b, TEST_AT + 1), 0);
    ck_assert_uint_eq(memory(b, TEST_AT + 3), 0x44);
    ck_assert_uint_eq(memory(b, TEST_AT + 7), 0x88);
    rig_free(b);
}
END_TEST

static const struct {
    const char *bytes;
    unsigned len;
} touching[] = {
#define T(bytes) { bytes, sizeof(bytes) - 1 }
    T("\xd8\x07"), T("\xd9\x07"), T("\xd9\x17"), T("\xd9\x1f"),
    T("\xd9\x27"), T("\xd9\x2f"), T("\xd9\x37"),
    T("\xd9\x3f"), T("\xdb\x2f"), T("\xdb\x3f"), T("\xdd\x27"),
    T("\xdd\x37"), T("\xdd\x3f"), T("\xdf\x27"),
    T("\xdf\x37"), T("\xdf\x3f"), T("\x0f\x6f\x07"), T("\x0f\x7f\x07"),
    T("\x0f\xfc\x07"), T("\x0f\xe7\x07"),
    T("\x0f\x10\x07"), T("\x0f\x11\x07"), T("\x0f\x28\x07"), T("\x0f\x29\x07"),
    T("\x0f\x2d\x07"),
    T("\xf2\x0f\x2d\x07"), T("\x0f\xae\x07"), T("\x0f\xae\x0f"), T("\x0f\xae\x17"),
    T("\x0f\xae\x1f"),
    T("\x0f\xae\x3f"), T("\x0f\xc3\x07"), T("\x66\x0f\x3a\x63\x07\x0c"), T("\x0f\xf7\xc1"),
    T("\x66\x0f\x7e\x07"), T("\x0f\x2f\x07"),
#undef T
};

// With paging on and the operand's page absent.
START_TEST(page_faults)
{
    struct rig *b = reset();
    struct vcpu *v = b->v;
    u32 pde = PTE_P | PTE_W | PTE_PS, none = 0;

    for (u32 i = 0; i < 8; i++)
        phys_write32(&b->phys, 0x2000 + 4 * i, pde | i << 22);
    phys_write(&b->phys, 0x2000 + 4 * (TEST_PAGE >> 22), &none, 4);
    v->cr3 = 0x2000;
    v->cr4 |= CR4_PSE;
    v->cr0 |= CR0_PG;
    mmu_mode_changed(v);
    for (unsigned i = 0; i < ARRAY_LEN(touching); i++) {
        struct trial t;
        u8 fx[FX_SIZE];
        u32 gpr[8];

        rig_state(b, &t, false);
        memcpy(v->fx, t.fx, FX_SIZE);
        memcpy(v->gpr, t.gpr, sizeof(gpr));
        fx_put32(v->fx, FX_MXCSR_MASK, 0xffff);
        memset(v->fx + FX_ST, 0x80, 128); // among them MASKMOVQ's mask
        memcpy(fx, v->fx, FX_SIZE);
        memcpy(gpr, v->gpr, sizeof(gpr));
        v->eip = 0x1000;
        v->cr2 = 0;
        ck_assert_msg(step(b, touching[i].bytes, touching[i].len) == X_PF, "%u", i);
        ck_assert_uint_eq(v->cr2, TEST_AT);
        ck_assert_uint_eq(v->eip, 0x1000);
        ck_assert_msg(memcmp(fx, v->fx, FX_SIZE) == 0, "%u", i);
        ck_assert_int_eq(memcmp(gpr, v->gpr, sizeof(gpr)), 0);
    }
    rig_free(b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fpu_state");
    TCase *tc = tcase_create("state");
    SRunner *runner = srunner_create(s);
    int failed;

    tcase_add_test(tc, reset_state);
    tcase_add_test(tc, control_registers);
    tcase_add_test(tc, pointers);
    tcase_add_test(tc, save_and_restore);
    tcase_add_test(tc, fxsave_fxrstor);
    tcase_add_test(tc, unmasking);
    tcase_add_test(tc, external_error);
    tcase_add_test(tc, simd_exception);
    tcase_add_test(tc, older_models);
    tcase_add_test(tc, other_operands);
    tcase_add_test(tc, page_faults);
    suite_add_tcase(s, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
