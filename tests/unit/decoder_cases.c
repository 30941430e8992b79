// SPDX-License-Identifier: GPL-2.0-or-later
// What the comparisons with other decoders cannot show: the sensitive list, where blocks end,
// flags that depend on a count, LOCK, truncation, the 15-byte limit, and that no byte past
// `avail` is read.
#include "decoder/insn.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static struct insn decode(const char *hex, bool code32)
{
    struct insn insn;
    u8 bytes[INSN_MAX];
    unsigned n = 0;
    int used;

    for (unsigned byte; n < INSN_MAX && sscanf(hex, "%x%n", &byte, &used) == 1; hex += used)
        bytes[n++] = byte;
    ck_assert_msg(insn_decode(&insn, bytes, n, code32) == INSN_OK, "%s: not decoded", hex);
    ck_assert_msg(insn.len == n, "%s: length %u of %u", insn.name, insn.len, n);
    return insn;
}

// Every row of SENSITIVE_LIST has an encoding here, so that none is a dead letter.
static const struct {
    const char *hex; // 32-bit code
    u8 sensitive;
    bool stop;
} sensitive[] = {
    { "fa", SENS_CLI, 0 }, { "fb", SENS_STI, 1 }, { "f4", SENS_HLT, 1 }, { "e4 60", SENS_IN, 1 },
    { "66 ed", SENS_IN, 1 }, { "ee", SENS_OUT, 1 }, { "e7 10", SENS_OUT, 1 },
    { "f3 6c", SENS_INS, 1 },
    { "6f", SENS_OUTS, 1 }, { "0f 01 10", SENS_LGDT, 1 }, { "0f 01 1e", SENS_LIDT, 1 },
    { "0f 00 d0", SENS_LLDT, 1 }, { "0f 00 18", SENS_LTR, 1 }, { "0f 01 f0", SENS_LMSW, 1 },
    { "0f 06", SENS_CLTS, 1 }, { "0f 20 c0", SENS_MOV_FROM_CR, 0 },
    { "0f 22 c0", SENS_MOV_TO_CR, 1 },
    { "0f 22 18", SENS_MOV_TO_CR, 1 }, { "0f 21 f8", SENS_MOV_FROM_DR, 0 },
    { "0f 23 f8", SENS_MOV_TO_DR, 1 }, { "0f 01 38", SENS_INVLPG, 1 }, { "0f 08", SENS_INVD, 0 },
    { "0f 09", SENS_WBINVD, 0 }, { "0f 32", SENS_RDMSR, 0 }, { "0f 30", SENS_WRMSR, 1 },
    { "0f 33", SENS_RDPMC, 0 }, { "0f 31", SENS_RDTSC, 0 }, { "0f 35", SENS_SYSEXIT, 1 },
    { "0f 34", SENS_SYSENTER, 1 }, { "0f a2", SENS_CPUID, 0 }, { "0f 01 00", SENS_SGDT, 0 },
    { "0f 01 08", SENS_SIDT, 0 }, { "0f 00 c0", SENS_SLDT, 0 }, { "0f 00 08", SENS_STR, 0 },
    { "0f 01 e0", SENS_SMSW, 0 }, { "0f 01 20", SENS_SMSW, 0 }, { "9c", SENS_PUSHF, 0 },
    { "66 9d", SENS_POPF, 1 }, { "cf", SENS_IRET, 1 }, { "0f 02 c1", SENS_LAR, 0 },
    { "0f 03 01", SENS_LSL, 0 }, { "0f 00 e0", SENS_VERR, 0 }, { "0f 00 28", SENS_VERW, 0 },
    { "63 c8", SENS_ARPL, 0 }, { "06", SENS_PUSH_SEG, 0 }, { "0e", SENS_PUSH_SEG, 0 },
    { "0f a8", SENS_PUSH_SEG, 0 }, { "17", SENS_POP_SEG, 1 }, { "1f", SENS_POP_SEG, 1 },
    { "0f a1", SENS_POP_SEG, 1 }, { "8c d8", SENS_MOV_FROM_SEG, 0 },
    { "8c 18", SENS_MOV_FROM_SEG, 0 },
    { "8e d0", SENS_MOV_TO_SEG, 1 }, { "8e 18", SENS_MOV_TO_SEG, 1 },
    { "c5 00", SENS_LOAD_FAR_PTR, 1 },
    { "0f b2 20", SENS_LOAD_FAR_PTR, 1 }, { "9a 1 2 3 4 5 6", SENS_FAR_CALL, 1 },
    { "ff 18", SENS_FAR_CALL, 1 }, { "ea 1 2 3 4 5 6", SENS_FAR_JMP, 1 },
    { "ff 28", SENS_FAR_JMP, 1 },
    { "cb", SENS_FAR_RET, 1 }, { "ca 4 0", SENS_FAR_RET, 1 }, { "cd 80", SENS_INT, 1 },
    { "cc", SENS_INT3, 1 }, { "f1", SENS_INT1, 1 }, { "ce", SENS_INTO, 1 },
    { "0f aa", SENS_RSM, 1 },
};

START_TEST(test_sensitive)
{
    bool seen[SENS_COUNT] = { [SENS_NONE] = true };

    for (unsigned i = 0; i < ARRAY_LEN(sensitive); i++) {
        struct insn insn = decode(sensitive[i].hex, true);

        ck_assert_msg(insn.sensitive == sensitive[i].sensitive, "%s is %s", sensitive[i].hex,
                      sensitive_name[insn.sensitive]);
        ck_assert_msg(!!(insn.attr & INSN_STOP) == sensitive[i].stop, "%s", sensitive[i].hex);
        ck_assert_msg(!(insn.attr & INSN_UD), "%s", sensitive[i].hex);
        seen[insn.sensitive] = true;
    }
    for (unsigned i = 0; i < SENS_COUNT; i++) {
        ck_assert_msg(seen[i], "nothing decodes to %s", sensitive_name[i]);
        ck_assert_ptr_nonnull(sensitive_name[i]);
    }
}
END_TEST

START_TEST(test_plain_is_not_sensitive)
{
    static const char *const plain[] = { "90", "8b 00", "50", "c3", "e8 0 0 0 0", "fc", "0f 1f 00",
                                         "d9 00", "0f 28 c1", "c8 0 0 0", "62 00", "d7", "9b" };

    for (unsigned i = 0; i < ARRAY_LEN(plain); i++) {
        struct insn insn = decode(plain[i], true);

        ck_assert_msg(insn.sensitive == SENS_NONE, "%s", plain[i]);
        ck_assert_msg(!(insn.attr & (INSN_STOP | INSN_UD)), "%s", plain[i]);
    }
}
END_TEST

static const struct {
    const char *hex; // 32-bit code
    u16 read, written;
} flags[] = {
    { "01 c8", 0, FL_ARITH },
    { "11 c8", FL_CF, FL_ARITH },
    { "40", 0, FL_ARITH & ~FL_CF },
    { "f7 d0", 0, 0 },
    { "f7 e1", 0, FL_CF | FL_OF },
    { "0f af c1", 0, FL_CF | FL_OF },
    { "f7 f1", 0, 0 },
    // Shifts by a count: by one, by a non-zero and a zero immediate, by CL.
    { "d1 e0", 0, FL_ARITH },
    { "c1 e0 04", 0, FL_ARITH },
    { "c1 e0 00", FL_ARITH, 0 },
    { "c1 e0 60", FL_ARITH, 0 },
    { "d3 e0", FL_ARITH, 0 },
    { "c0 00 21", 0, FL_CF | FL_OF },
    { "c0 00 20", FL_CF | FL_OF, 0 },
    { "d0 d0", FL_CF, FL_CF | FL_OF },
    { "c0 d0 09", FL_CF, FL_CF | FL_OF },
    { "d2 d8", FL_CF | FL_OF, 0 },
    { "0f a4 c8 01", 0, FL_ARITH },
    { "0f a4 c8 40", FL_ARITH, 0 },
    { "0f ad c8", FL_ARITH, 0 },
    { "a6", FL_DF, FL_ARITH },
    { "f3 a6", FL_DF | FL_ARITH, 0 },
    { "f2 af", FL_DF | FL_ARITH, 0 },
    { "f3 a5", FL_DF, 0 },
    { "0f 47 c1", FL_CF | FL_ZF, 0 },
    { "0f 9f 00", FL_ZF | FL_SF | FL_OF, 0 },
    { "7b 00", FL_PF, 0 },
    { "e3 00", 0, 0 },
    { "e1 00", FL_ZF, 0 },
    { "9f", FL_ARITH & ~FL_OF, 0 },
    { "9e", 0, FL_ARITH & ~FL_OF },
    { "9c", FL_ARITH | FL_DF, 0 },
    { "9d", 0, FL_ARITH },
    { "27", FL_AF | FL_CF, FL_ARITH },
    { "d6", FL_CF, 0 },
    { "da d1", FL_CF | FL_ZF, 0 },
    { "db f1", FL_ZF | FL_PF | FL_CF, 0 },
    { "0f 2e c1", 0, FL_ARITH },
    { "0f ab c8", 0, FL_CF },
    { "0f c7 08", 0, FL_ZF },
    { "f3 0f bd c1", 0, FL_ZF },
    { "66 0f 38 f6 c1", FL_CF, FL_CF },
    { "f3 0f 38 f6 c1", FL_OF, FL_OF },
    { "cd 80", FL_ARITH | FL_DF, 0 },
    { "0f 0b", FL_ARITH | FL_DF, 0 },
};

START_TEST(test_flags)
{
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
        struct insn insn = decode(flags[i].hex, true);

        ck_assert_msg(insn.flags_read == flags[i].read, "%s reads %x", flags[i].hex,
                      insn.flags_read);
        ck_assert_msg(insn.flags_written == flags[i].written, "%s writes %x", flags[i].hex,
                      insn.flags_written);
    }
}
END_TEST

static const char *const undefined[] = {
    "0f 0b", "0f b9 c0", "0f ff c0", "0f ff 04 25 1 2 3 4", // UD2, UD1, UD0
    "c4 c0", "c5 f8", "62 c0",                              // VEX and EVEX to others
    "8d c0", "0f c7 c8", "0f b2 c0", "ff d8", "ff e8", "ff f8", "fe d0", "8f c8",
    "8e c8", "8e f0", "8c f0", "0f 20 c8", "0f 22 f8", "0f 05", "0f 07", "0f 24", "0f 01 c1",
    "0f 01 c8",
    "0f b8", "f3 0f 28", "0f 6c", "0f 38 10", "d9 e2", "d9 d1", "da e8", "db e5", "dd f0", "de d8",
    "df e1",
    "0f ae c0", "66 0f ae", "0f 0f", "0f ba c0",
    // LOCK: on what has no memory destination, or is not in the list.
    "f0 01 c8", "f0 03 00", "f0 89 00", "f0 38 00", "f0 90", "f0 f7 00 1 2 3 4", "f0 f7 20",
    "f0 0f a3 00",
    "f0 0f ba 20 1", "f0 a1 1 2 3 4", "f0 8f 00", "f0 40", "f0 a4", "f0 0f 22 c0", "f0 c1 20 1",
};

static const char *const lockable[] = {
    "f0 01 00", "f0 80 08 1", "f0 81 10 1 2 3 4", "f0 82 18 1", "f0 83 20 1", "f0 28 00",
    "f0 31 00",
    "f0 fe 00", "f0 ff 08", "f0 f6 10", "f0 f7 18", "f0 86 00", "f0 87 00", "f0 0f ab 00",
    "f0 0f b3 00",
    "f0 0f bb 00", "f0 0f ba 28 1", "f0 0f ba 30 1", "f0 0f ba 38 1", "f0 0f b0 00", "f0 0f b1 00",
    "f0 0f c0 00", "f0 0f c1 00", "f0 0f c7 08", "66 f0 01 00", "f0 f3 01 00",
};

START_TEST(test_undefined)
{
    for (unsigned i = 0; i < ARRAY_LEN(undefined); i++) {
        struct insn insn = decode(undefined[i], true);

        ck_assert_msg(insn.attr & INSN_UD && insn.attr & INSN_STOP, "%s is defined", undefined[i]);
        ck_assert_uint_eq(insn.mem, MEM_NONE);
        ck_assert_uint_eq(insn.flow, FLOW_NONE);
        ck_assert_uint_eq(insn.sensitive, SENS_NONE);
        ck_assert_ptr_nonnull(insn.name);
    }
    for (unsigned i = 0; i < ARRAY_LEN(lockable); i++) {
        struct insn insn = decode(lockable[i], true);

        ck_assert_msg(!(insn.attr & INSN_UD), "%s is undefined", lockable[i]);
        ck_assert(insn.attr & INSN_LOCKABLE);
        ck_assert_uint_eq(insn.mem, MEM_RMW);
    }
}
END_TEST

// Undocumented encodings that silicon executes.
START_TEST(test_aliases)
{
    static const struct {
        const char *hex, *name;
    } alias[] = {
        { "82 c8 01", "or" }, { "d6", "salc" }, { "f1", "int1" }, { "c0 f0 01", "shl" },
        { "d3 f0", "shl" }, { "f6 c8 01", "test" }, { "f7 c8 1 2 3 4", "test" },
        { "0f 0d c0", "prefetchw" },
        { "0f 19 c0", "nop" }, { "f3 0f 1e fa", "nop" }, { "dc d1", "fcom" }, { "dc d9", "fcomp" },
        { "dd c9", "fxch" }, { "de d1", "fcomp" }, { "df c0", "ffreep" }, { "df c9", "fxch" },
        { "df d1", "fstp" }, { "df d9", "fstp" }, { "d9 d8", "fstp" }, { "db e0", "fneni" },
        { "db e1", "fndisi" }, { "db e4", "fnsetpm" }, { "dc e1", "fsubr" }, { "de e1", "fsubrp" },
        { "f3 90", "pause" }, { "f2 f3 0f 10 c1", "movss" }, { "f3 f2 66 0f 10 c1", "movsd" },
    };

    for (unsigned i = 0; i < ARRAY_LEN(alias); i++) {
        struct insn insn = decode(alias[i].hex, true);

        ck_assert_str_eq(insn.name, alias[i].name);
        ck_assert(!(insn.attr & INSN_UD));
    }
}
END_TEST

START_TEST(test_operands)
{
    struct insn insn = decode("26 66 81 84 b5 78 56 34 12 cd ab", true);

    ck_assert_uint_eq(insn.op, OP1(0x81));
    ck_assert_uint_eq(insn.prefix, PFX_SEG | PFX_66);
    ck_assert_uint_eq(insn.pfx_len, 2);
    ck_assert_uint_eq(insn.seg, S_ES);
    ck_assert_int_eq(insn.base, R_EBP);
    ck_assert_int_eq(insn.index, R_ESI);
    ck_assert_uint_eq(insn.scale, 2);
    ck_assert_int_eq(insn.disp, 0x12345678);
    ck_assert_uint_eq(insn.imm, 0xffffabcd);
    ck_assert_uint_eq(insn.mem_size, 2);
    ck_assert_uint_eq(insn.mem, MEM_RMW);

    insn = decode("8b 44 fe", false); // mov ax, [si-2]
    ck_assert_int_eq(insn.base, -1);
    ck_assert_int_eq(insn.index, R_ESI);
    ck_assert_int_eq(insn.disp, -2);
    ck_assert_uint_eq(insn.seg, S_DS);

    insn = decode("8b 46 00", false); // mov ax, [bp]
    ck_assert_int_eq(insn.base, R_EBP);
    ck_assert_uint_eq(insn.seg, S_SS);

    insn = decode("8b 06 00 80", false); // mov ax, [8000h]
    ck_assert_int_eq(insn.base, -1);
    ck_assert_uint_eq((u16)insn.disp, 0x8000);

    insn = decode("a1 00 80", false);
    ck_assert(insn.has_mem && insn.disp == 0x8000);

    insn = decode("8b 04 25 0 0 0 80", true); // no base, no index
    ck_assert_int_eq(insn.base, -1);
    ck_assert_int_eq(insn.index, -1);

    insn = decode("8b 04 2c", true); // [esp+ebp]: the base picks the segment
    ck_assert_int_eq(insn.base, R_ESP);
    ck_assert_uint_eq(insn.seg, S_SS);
    insn = decode("8b 04 28", true); // [eax+ebp]
    ck_assert_uint_eq(insn.seg, S_DS);

    insn = decode("66 eb fe", true);
    ck_assert_uint_eq(insn_target(&insn, 0x12345678), 0x5679);
    insn = decode("e9 fb ff ff ff", true);
    ck_assert_uint_eq(insn_target(&insn, 0x1000), 0x1000);

    insn = decode("c8 34 12 05", true);
    ck_assert_uint_eq(insn.imm, 0x1234);
    ck_assert_uint_eq(insn.imm2, 5);
    insn = decode("ea 44 33 22 11 66 55", true);
    ck_assert_uint_eq(insn.imm, 0x11223344);
    ck_assert_uint_eq(insn.imm2, 0x5566);

    insn = decode("0f 22 05", true); // mod is ignored: no displacement follows
    ck_assert(!insn.has_mem && insn.mod == 3 && insn.rm == R_EBP);
    insn = decode("66 0f 6e 00", true); // MOVD: a dword, though 66 is there
    ck_assert_uint_eq(insn.mem_size, 4);
    ck_assert_uint_eq(insn.opsize, 4);
}
END_TEST

START_TEST(test_length_limit)
{
    u8 bytes[20];
    struct insn insn;

    memset(bytes, 0x66, sizeof(bytes));
    bytes[14] = 0x90;
    ck_assert_int_eq(insn_decode(&insn, bytes, 15, true), INSN_OK);
    ck_assert_uint_eq(insn.len, 15);
    bytes[14] = 0x05; // 14 prefixes, opcode: the immediate is beyond the limit
    ck_assert_int_eq(insn_decode(&insn, bytes, 20, true), INSN_TOO_LONG);
    ck_assert_int_eq(insn_decode(&insn, bytes, 15, true), INSN_TOO_LONG);
    ck_assert_int_eq(insn_decode(&insn, bytes, 14, true), INSN_TRUNCATED);
    bytes[14] = 0x66;
    ck_assert_int_eq(insn_decode(&insn, bytes, 20, true), INSN_TOO_LONG);
    ck_assert_int_eq(insn_decode(&insn, bytes, 0, true), INSN_TRUNCATED);
}
END_TEST

// Instructions that end at the last byte before an inaccessible page decode; every proper prefix,
// put there too, is truncated. A read past the end is a SIGSEGV.
START_TEST(test_truncation)
{
    u8 *page = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                    0);
    u8 *end = page + PAGE_SIZE;
    unsigned long done = 0;

    ck_assert_ptr_ne(page, MAP_FAILED);
    ck_assert_int_eq(mprotect(end, PAGE_SIZE, PROT_NONE), 0);
    srandom(1);
    for (unsigned i = 0; i < 300000; i++) {
        static const u8 start[][2] = { { 0 }, { 0x0f }, { 0x0f, 0x38 }, { 0x0f, 0x3a } };
        bool code32 = i & 1;
        u8 bytes[INSN_MAX];
        struct insn whole, again;
        unsigned n = 0, map = i >> 1 & 3;

        for (unsigned k = 0; k < INSN_MAX; k++)
            bytes[k] = random() >> 7;
        if (i & 8)
            bytes[n++] = "\x66\x67\xf2\xf3"[i >> 4 & 3];
        if (map)
            memcpy(bytes + n, start[map], map == MAP_0F ? 1 : 2);
        memset(&whole, 0, sizeof(whole)); // padding too: they are compared as bytes
        memset(&again, 0, sizeof(again));
        if (insn_decode(&whole, bytes, INSN_MAX, code32) != INSN_OK)
            continue;
        for (unsigned avail = 0; avail < whole.len; avail++) {
            memcpy(end - avail, bytes, avail);
            ck_assert_msg(insn_decode(&again, end - avail, avail, code32) == INSN_TRUNCATED,
                          "op %x: %u bytes of %u", whole.op, avail, whole.len);
        }
        memcpy(end - whole.len, bytes, whole.len);
        ck_assert_int_eq(insn_decode(&again, end - whole.len, whole.len, code32), INSN_OK);
        ck_assert_mem_eq(&whole, &again, sizeof(whole));
        done++;
    }
    ck_assert_uint_gt(done, 250000);
    munmap(page, 2 * PAGE_SIZE);
}
END_TEST

START_TEST(test_print)
{
    static const u8 code[] = { 0x8b, 0x45, 0x08, 0x0f, 0x04, 0x90, 0x90 };
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    insn_print(f, code, sizeof(code), 0x1000, 32);
    fclose(f);
    ck_assert_ptr_nonnull(strstr(text, "  00001000  8b 45 08 "));
    ck_assert_ptr_nonnull(strstr(text, "mov eax, dword ptr [ebp + 8]\n"));
    ck_assert_ptr_nonnull(strstr(text, "(bad)\n")); // and goes on
    ck_assert_ptr_nonnull(strstr(text, "nop\n"));
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("decoder");
    TCase *tcase = tcase_create("cases");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_sensitive);
    tcase_add_test(tcase, test_plain_is_not_sensitive);
    tcase_add_test(tcase, test_flags);
    tcase_add_test(tcase, test_undefined);
    tcase_add_test(tcase, test_aliases);
    tcase_add_test(tcase, test_operands);
    tcase_add_test(tcase, test_length_limit);
    tcase_add_test(tcase, test_truncation);
    tcase_add_test(tcase, test_print);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
