// SPDX-License-Identifier: GPL-2.0-or-later
// Lengths against a third opinion, Capstone, over random operands for every opcode. Where
// Capstone cannot decode something, or decodes what is undefined, it is known to be loose and is
// not asked; where both decode, the lengths must agree.
#include "decoder/insn.h"

#include <capstone/capstone.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(test_lengths)
{
    static const u8 escape[][2] = { { 0 }, { 0x0f }, { 0x0f, 0x38 }, { 0x0f, 0x3a } };
    static const u8 prefix[][3] = { { 0 }, { 1, 0x66 }, { 1, 0x67 }, { 1, 0xf3 }, { 1, 0xf2 },
                                    { 1, 0x2e }, { 1, 0x65 }, { 2, 0x66, 0x67 } };
    unsigned long compared = 0, different = 0;
    csh cs[2];
    cs_insn *line;

    ck_assert_int_eq(cs_open(CS_ARCH_X86, CS_MODE_16, &cs[0]), CS_ERR_OK);
    ck_assert_int_eq(cs_open(CS_ARCH_X86, CS_MODE_32, &cs[1]), CS_ERR_OK);
    line = cs_malloc(cs[1]);
    srandom(1);
    for (unsigned i = 0; i < 4 * 256 * ARRAY_LEN(prefix) * 2 * 128; i++) {
        unsigned map = i & 3, opcode = i >> 2 & 255, p = i >> 10 & 7, n = 0;
        bool code32 = i >> 13 & 1;
        u8 bytes[INSN_MAX];
        struct insn insn;
        const u8 *at = bytes;
        size_t left = INSN_MAX;
        u64 address = 0;

        for (unsigned k = 0; k < INSN_MAX; k++)
            bytes[k] = random() >> 7;
        memcpy(bytes, prefix[p] + 1, prefix[p][0]);
        n = prefix[p][0];
        memcpy(bytes + n, escape[map], 2);
        n += map ? map == MAP_0F ? 1 : 2 : 0;
        bytes[n] = opcode;
        if (insn_decode(&insn, bytes, INSN_MAX, code32) != INSN_OK || insn.attr & INSN_UD)
            continue;
        if (!cs_disasm_iter(cs[code32], &at, &left, &address, line))
            continue;
        compared++;
        if (line->size == insn.len)
            continue;
        different++;
        printf("op %03x /%u code%d %s: %u, Capstone %u (%s %s):", insn.op, insn.reg,
               code32 ? 32 : 16,
               insn.name, insn.len, line->size, line->mnemonic, line->op_str);
        for (unsigned k = 0; k < INSN_MAX; k++)
            printf(" %02x", bytes[k]);
        printf("\n");
    }
    ck_assert_uint_gt(compared, 900000);
    ck_assert_uint_eq(different, 0);
    cs_free(line, 1);
    cs_close(&cs[0]);
    cs_close(&cs[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("decoder against Capstone");
    TCase *tcase = tcase_create("lengths");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_lengths);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
