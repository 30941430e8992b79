// SPDX-License-Identifier: GPL-2.0-or-later
// Every x87 encoding, from random states, against the host: results, NaN payloads, stack faults,
// flags, all rounding and precision modes, unmasked exceptions, pending ones.
#include "cpu_fpu_native.inc"

#include <check.h>

#define ROUNDS 150

static void try_one(struct rig *b, const u8 *bytes, unsigned len, unsigned skip_from,
                    unsigned skip_to)
{
    struct insn insn;
    struct trial native, interp, before;
    const char *difference;

    ck_assert_int_eq(insn_decode(&insn, bytes, len, true), INSN_OK);
    ck_assert_uint_eq(insn.len, len);
    rig_state(b, &before, rig_random(b) % 8 == 0);
    native = interp = before;
    rig_native(b, &native, bytes, len);
    rig_interp(b, &interp, &insn);
    difference = rig_compare(&native, &interp, skip_from, skip_to);
    if (difference)
        ck_abort_msg("%02x %02x (%s): %s\nbefore: fcw %04x fsw %04x tags %02x", bytes[0], bytes[1],
                     insn.name, difference, fx_get16(before.fx, FX_FCW),
                     fx_get16(before.fx, FX_FSW), before.fx[FX_FTW]);
    if (!native.signal) {
        b->v->eip += len;
        ck_assert_uint_eq(b->v->eip, 0x1234 + len);
    }
}

START_TEST(register_forms)
{
    struct rig *b = rig_new();
    unsigned ran = 0;

    for (unsigned op = 0xd8; op < 0xe0; op++)
        for (unsigned modrm = 0xc0; modrm < 0x100; modrm++)
            for (unsigned i = 0; i < ROUNDS; i++, ran++)
                try_one(b, (u8[]){ op, modrm }, 2, 0, 0);
    ck_assert_uint_eq(ran, 512 * ROUNDS);
    rig_free(b);
}
END_TEST

START_TEST(memory_forms)
{
    struct rig *b = rig_new();

    for (unsigned op = 0xd8; op < 0xe0; op++)
        for (unsigned reg = 0; reg < 8; reg++)
            for (unsigned i = 0; i < ROUNDS * 4; i++) {
                // The pointers that FNSTENV and FNSAVE store are the host's.
                bool env = (op == 0xd9 || op == 0xdd) && reg == 6;

                try_one(b, (u8[]){ op, reg << 3 | 7 }, 2, env ? 12 : 0, env ? 28 : 0);
            }
    rig_free(b);
}
END_TEST

// The 16-bit environment: the same instructions with an operand-size prefix.
START_TEST(small_environment)
{
    static const u8 form[][2] = { { 0xd9, 0x27 }, { 0xd9, 0x37 }, { 0xdd, 0x27 }, { 0xdd, 0x37 } };
    struct rig *b = rig_new();

    for (unsigned k = 0; k < ARRAY_LEN(form); k++)
        for (unsigned i = 0; i < ROUNDS * 4; i++)
            try_one(b, (u8[]){ 0x66, form[k][0], form[k][1] }, 3, k & 1 ? 6 : 0, k & 1 ? 14 : 0);
    rig_free(b);
}
END_TEST

START_TEST(fwait)
{
    struct rig *b = rig_new();

    for (unsigned i = 0; i < ROUNDS; i++)
        try_one(b, (u8[]){ 0x9b }, 1, 0, 0);
    rig_free(b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fpu_x87");
    TCase *tc = tcase_create("host");
    SRunner *runner = srunner_create(s);
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, register_forms);
    tcase_add_test(tc, memory_forms);
    tcase_add_test(tc, small_environment);
    tcase_add_test(tc, fwait);
    suite_add_tcase(s, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
