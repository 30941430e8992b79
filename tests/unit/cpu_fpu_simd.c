// SPDX-License-Identifier: GPL-2.0-or-later
// Every MMX and SSE encoding, from random states, against the host: results, flags, MXCSR in all
// modes, unmasked exceptions, alignment, pending x87 exceptions, undefined prefix combinations.
#include "cpu_fpu_native.inc"

#include "monitor/cpu/simd_form.h"

#include <check.h>

#define ROUNDS 60

struct encoding {
    u8 map, op, prefix; // MAP_*, opcode, none 66 F3 F2
};

static unsigned encode(u8 *p, struct encoding e, u8 modrm, const u8 *imm)
{
    static const u8 prefix[] = { 0, 0x66, 0xf3, 0xf2 };
    unsigned n = 0;

    if (e.prefix)
        p[n++] = prefix[e.prefix];
    p[n++] = 0x0f;
    if (e.map == MAP_0F38)
        p[n++] = 0x38;
    else if (e.map == MAP_0F3A)
        p[n++] = 0x3a;
    p[n++] = e.op;
    p[n++] = modrm;
    if (imm)
        p[n++] = *imm;
    return n;
}

// One instruction from one state. modrm names [edi] for memory.
static void try_one(struct rig *b, struct encoding e, u8 modrm, const u8 *imm, unsigned misalign)
{
    u8 bytes[16];
    unsigned len = encode(bytes, e, modrm, imm);
    struct trial native, interp, before;
    struct insn insn;
    const char *difference;

    ck_assert_int_eq(insn_decode(&insn, bytes, len, true), INSN_OK);
    rig_state(b, &before, rig_random(b) % 16 == 0);
    before.gpr[R_EDI] += misalign;
    native = interp = before;
    rig_native(b, &native, bytes, len);
    rig_interp(b, &interp, &insn);
    difference = rig_compare(&native, &interp, 0, 0);
    if (difference)
        ck_abort_msg("map %u op %02x prefix %u modrm %02x imm %02x (%s): %s\n"
                     "before: fcw %04x fsw %04x tags %02x mxcsr %04x edi %x",
                     e.map, e.op, e.prefix, modrm, imm ? *imm : 0, insn.name, difference,
                     fx_get16(before.fx, FX_FCW), fx_get16(before.fx, FX_FSW), before.fx[FX_FTW],
                     fx_get32(before.fx, FX_MXCSR), before.gpr[R_EDI]);
}

// ESP is the host's own, and EDI has the memory operand's address.
static bool usable(const struct simd_form *form, u8 modrm)
{
    return !(form->reg == KIND_G && (modrm >> 3 & 7) == R_ESP) &&
           !(form->rm == KIND_G && modrm >= 0xc0 && (modrm & 7) == R_ESP);
}

// Does the host have it? MOVBE's neighbours and such are in no map we enumerate.
static bool host_has(u8 isa)
{
    switch (isa) {
    case ISA_SSE3:
        return __builtin_cpu_supports("sse3");
    case ISA_SSSE3:
        return __builtin_cpu_supports("ssse3");
    case ISA_SSE41:
        return __builtin_cpu_supports("sse4.1");
    case ISA_SSE42:
        return __builtin_cpu_supports("sse4.2");
    case ISA_AES:
        return __builtin_cpu_supports("aes");
    case ISA_PCLMUL:
        return __builtin_cpu_supports("pclmul");
    }
    return true;
}

static unsigned run_map(struct rig *b, u8 map)
{
    unsigned forms = 0;

    for (unsigned op = 0; op < 256; op++) {
        for (unsigned prefix = 0; prefix < 4; prefix++) {
            struct encoding e = { map, op, prefix };

            for (unsigned mem = 0; mem < 2; mem++) {
                struct insn insn = { .op = OP(map, op), .has_mem = mem,
                                     .prefix = (const u8[]){ 0, PFX_66, PFX_REP, PFX_REPNE }[prefix] };
                unsigned p;
                const struct simd_form *form = simd_form_find(&insn, &p);
                u8 bytes[16], imm = 0;
                struct insn decoded;
                unsigned rounds = ROUNDS;

                if (!form)
                    continue;
                ck_assert_uint_eq(p, prefix);
                encode(bytes, e, mem ? 7 : 0xc1, &imm);
                insn_decode(&decoded, bytes, sizeof(bytes), true);
                ck_assert_msg(!(decoded.attr & INSN_UD), "map %u op %02x prefix %u mem %u", map, op,
                              prefix, mem);
                ck_assert_uint_eq(decoded.imm_len, form->imm ? 1 : 0);
                if (mem)
                    ck_assert_uint_eq(decoded.mem_size, form->size);
                if (!host_has(decoded.isa))
                    continue;
                forms++;
                if (form->imm)
                    rounds *= 8;
                for (unsigned i = 0; i < rounds; i++) {
                    u8 modrm = mem ? (rig_random(b) & 0x38) | 7 : 0xc0 | (rig_random(b) & 0x3f);
                    unsigned misalign = mem && i % 8 == 0 ? rig_random(b) & 15 : 0;

                    imm = i;
                    if (usable(form, modrm))
                        try_one(b, e, modrm, form->imm ? &imm : NULL, misalign);
                }
            }
        }
    }
    return forms;
}

START_TEST(map_0f)
{
    struct rig *b = rig_new();

    ck_assert_uint_gt(run_map(b, MAP_0F), 400);
    rig_free(b);
}
END_TEST

START_TEST(map_0f38)
{
    struct rig *b = rig_new();

    ck_assert_uint_gt(run_map(b, MAP_0F38), 0);
    rig_free(b);
}
END_TEST

START_TEST(map_0f3a)
{
    struct rig *b = rig_new();

    ck_assert_uint_gt(run_map(b, MAP_0F3A), 0);
    rig_free(b);
}
END_TEST

// Group 12-14 shifts, MASKMOVx, MOVNTI, EMMS: not in the tables.
START_TEST(others)
{
    struct rig *b = rig_new();

    for (unsigned i = 0; i < 20000; i++) {
        u8 imm = rig_random(b) % 4 ? rig_random(b) % 70 : rig_random(b);
        u8 modrm = 0xc0 | (rig_random(b) & 0x3f);
        u8 prefix = rig_random(b) & 1;

        try_one(b, (struct encoding){ MAP_0F, 0x71 + i % 3, prefix }, modrm, &imm, 0);
    }
    for (unsigned i = 0; i < 4000; i++) {
        u8 r = rig_random(b);

        try_one(b, (struct encoding){ MAP_0F, 0xf7, r & 1 }, 0xc0 | (r >> 2), NULL,
                rig_random(b) & 15);
        if ((r & 0x38) != R_ESP << 3)
            try_one(b, (struct encoding){ MAP_0F, 0xc3, 0 }, (r & 0x38) | 7, NULL,
                    rig_random(b) & 15);
    }
    for (unsigned i = 0; i < 500; i++) {
        struct trial native, interp;
        struct insn insn;
        const char *difference;

        rig_state(b, &native, i % 8 == 0);
        interp = native;
        insn_decode(&insn, (const u8[]){ 0x0f, 0x77 }, 2, true);
        rig_native(b, &native, (const u8[]){ 0x0f, 0x77 }, 2);
        rig_interp(b, &interp, &insn);
        difference = rig_compare(&native, &interp, 0, 0);
        ck_assert_msg(!difference, "emms: %s", difference);
    }
    bool ldmxcsr_faulted = false;
    for (unsigned i = 0; i < 500; i++) {
        struct trial t;
        u32 value = rig_random(b) & rig_random(b) & (i & 1 ? 0x1ffff : 0xffff);
        struct insn insn;

        rig_state(b, &t, false);
        memcpy(t.mem + TEST_OFFSET, &value, 4);
        insn_decode(&insn, (const u8[]){ 0x0f, 0xae, 0x17 }, 3, true);
        rig_interp(b, &t, &insn);
        ck_assert_int_eq(t.signal, value & 0x10000 ? SIGSEGV : 0);
        if (value & 0x10000)
            ldmxcsr_faulted = true;
        else
            ck_assert_uint_eq(fx_get32(t.fx, FX_MXCSR), value);
        insn_decode(&insn, (const u8[]){ 0x0f, 0xae, 0x1f }, 3, true);
        rig_interp(b, &t, &insn);
        ck_assert_int_eq(memcmp(t.mem + TEST_OFFSET, t.fx + FX_MXCSR, 4), 0);
    }
    ck_assert(ldmxcsr_faulted);
    rig_free(b);
}
END_TEST

// Opcodes beside which AMD and newer processors have put others, that a guest must not see.
static bool newer(u8 map, u8 op, u8 prefix)
{
    if (map == MAP_0F)
        return (op == 0x2b && prefix >= 2) /* MOVNTSx */ || op == 0x78 || op == 0x79 /* EXTRQ.. */;
    return false;
}

// What the table doesn't have is undefined on the host too, and the decoder and interpreter agree.
START_TEST(undefined)
{
    static const u8 ranges[][2] = { { 0x10, 0x17 }, { 0x28, 0x2f }, { 0x50, 0x70 }, { 0x74, 0x76 },
                                    { 0x7c, 0x7f }, { 0xc2, 0xc2 }, { 0xc4, 0xc6 }, { 0xd0, 0xf6 },
                                    { 0xf8, 0xfe } };
    struct rig *b = rig_new();
    unsigned tried = 0;

    for (unsigned k = 0; k < ARRAY_LEN(ranges); k++) {
        for (unsigned op = ranges[k][0]; op <= ranges[k][1]; op++) {
            for (unsigned i = 0; i < 8; i++) {
                struct encoding e = { MAP_0F, op, i >> 1 };
                struct insn insn = { .op = OP0F(op), .has_mem = i & 1,
                                     .prefix = (const u8[]){ 0, PFX_66, PFX_REP, PFX_REPNE }[e.prefix] };
                unsigned p;
                bool imm;

                if (simd_form_find(&insn, &p) || newer(MAP_0F, op, e.prefix))
                    continue;
                tried++;
                imm = op == 0x70 || op == 0xc2 || (op >= 0xc4 && op <= 0xc6);
                try_one(b, e, i & 1 ? 0x0f : 0xca, imm ? (const u8[]){ 0 } : NULL, 0);
            }
        }
    }
    ck_assert_uint_gt(tried, 100);
    rig_free(b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fpu_simd");
    TCase *tc = tcase_create("host");
    SRunner *runner = srunner_create(s);
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, map_0f);
    tcase_add_test(tc, map_0f38);
    tcase_add_test(tc, map_0f3a);
    tcase_add_test(tc, others);
    tcase_add_test(tc, undefined);
    suite_add_tcase(s, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
