// SPDX-License-Identifier: GPL-2.0-or-later
// Zydis against Capstone over the whole opcode space: every opcode of the five maps, every ModRM byte, each prefix that
// can be mandatory, and LOCK. Each difference, in what exists or in how long it is, has its reason here, and each reason
// its differences. What ring3's decoder says where they differ is held against Zydis by decoder_zydis.c, and against the
// host's CPU by decoder_hardware.c and the oracle.
#include "decoder/insn.h"

#include <Zydis/Zydis.h>
#include <capstone/capstone.h>
#include <check.h>
#include <stdio.h>
#include <string.h>

struct opinion {
    unsigned map, op, prefix, modrm;
    unsigned zydis, capstone; // length; 0: no such instruction
    unsigned plain;           // Zydis's length without the prefix
};

static const u8 prefixes[] = { 0x3e, 0x66, 0xf3, 0xf2, 0xf0 };

static bool is(const struct opinion *o, unsigned map, unsigned first, unsigned last)
{
    return o->map == map && o->op >= first && o->op <= last;
}

static unsigned reg(const struct opinion *o)
{
    return o->modrm >> 3 & 7;
}

// ---- The reasons, the first that holds counts.
static bool lock(const struct opinion *o)
{
    return o->prefix == 0xf0 && o->capstone && !o->zydis;
}
static bool mandatory(const struct opinion *o)
{
    return o->capstone && !o->zydis && o->plain && o->prefix != 0x3e;
}
static bool segment_cs(const struct opinion *o)
{
    return is(o, MAP_1, 0x8e, 0x8e) && reg(o) == 1;
}
static bool control_register(const struct opinion *o)
{
    return is(o, MAP_0F, 0x20, 0x23);
}
static bool system_group(const struct opinion *o)
{
    return is(o, MAP_0F, 0x01, 0x01) && o->modrm >= 0xc0;
}
static bool hints(const struct opinion *o)
{
    return is(o, MAP_0F, 0x0d, 0x0d) || is(o, MAP_0F, 0x18, 0x1f);
}
static bool undefined_by_name(const struct opinion *o)
{
    return is(o, MAP_0F, 0xb9, 0xb9) || is(o, MAP_0F, 0xff, 0xff);
}
static bool fences(const struct opinion *o)
{
    return is(o, MAP_0F, 0xae, 0xae);
}
static bool padlock(const struct opinion *o)
{
    return is(o, MAP_0F, 0xa6, 0xa7);
}
static bool newer(const struct opinion *o)
{
    return o->zydis && !o->capstone &&
           (is(o, MAP_0F, 0x01, 0x01) || is(o, MAP_0F38, 0xcf, 0xdf) || is(o, MAP_0F38, 0xf5, 0xfb) ||
            is(o, MAP_0F3A, 0xce, 0xf0));
}

static struct {
    bool (*holds)(const struct opinion *o);
    const char *why;
    unsigned count;
} reasons[] = {
    { lock, "Capstone takes LOCK before anything; on hardware it is #UD (SDM volume 2, LOCK)", 0 },
    { mandatory, "Capstone ignores a mandatory prefix that makes a reserved encoding: #UD", 0 },
    { segment_cs, "Capstone has MOV CS, which is #UD", 0 },
    { control_register, "Capstone has control registers that are not there: #UD", 0 },
    { system_group, "0F 01 with a register: Capstone has SWAPGS in 32-bit code, Zydis SGX, CET and the like", 0 },
    { hints, "reserved NOPs: Zydis has all of them; in 0F 1A and 1B it decodes MPX, which leaves holes", 0 },
    { undefined_by_name, "UD0 and UD1: with ModRM for Zydis, as on hardware; Capstone leaves it away", 0 },
    { fences, "fences ignore ModRM.rm, says the manual; Capstone knows rm 0 only", 0 },
    { padlock, "Capstone has VIA's PadLock", 0 },
    { newer, "Zydis knows what came later: CET, Key Locker, GFNI, WAITPKG and so on", 0 },
};

static unsigned zydis_length(const ZydisDecoder *z, const u8 *bytes)
{
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];

    return ZYAN_SUCCESS(ZydisDecoderDecodeFull(z, bytes, INSN_MAX, &insn, op)) ? insn.length : 0;
}

static bool is_prefix(unsigned op)
{
    return op == 0x26 || op == 0x2e || op == 0x36 || op == 0x3e || (op >= 0x64 && op <= 0x67) || op == 0xf0 ||
           op == 0xf2 || op == 0xf3;
}

START_TEST(test_differences)
{
    unsigned compared = 0, different = 0, unexplained = 0;
    ZydisDecoder z;
    cs_insn *line;
    csh cs;

    ZydisDecoderInit(&z, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    ck_assert_int_eq(cs_open(CS_ARCH_X86, CS_MODE_32, &cs), CS_ERR_OK);
    line = cs_malloc(cs);
    for (unsigned n = 0; n < MAP_COUNT * 256 * ARRAY_LEN(prefixes) * 256; n++) {
        struct opinion o = {
            .modrm = n & 255, .prefix = prefixes[(n >> 8) % ARRAY_LEN(prefixes)],
            .op = (n >> 8) / ARRAY_LEN(prefixes) & 255, .map = (n >> 8) / ARRAY_LEN(prefixes) >> 8,
        };
        u8 bytes[INSN_MAX + 1] = { o.prefix, 0x0f, o.map == MAP_0F38 ? 0x38 : 0x3a };
        const u8 *at = bytes;
        size_t left = INSN_MAX, len = 1 + (o.map ? o.map == MAP_0F ? 1 : 2 : 0);
        u64 address = 0;
        unsigned i = 0;

        if (o.map == MAP_VEX38) {
            memcpy(bytes + 1, "\xc4\xe2\x78", 3);
            len = 4;
        }
        // Prefixes and the escapes to other maps are no opcodes.
        if (o.map == MAP_1 ? o.op == 0x0f || is_prefix(o.op) : o.map == MAP_0F && (o.op == 0x38 || o.op == 0x3a))
            continue;
        bytes[len] = o.op;
        bytes[len + 1] = o.modrm;
        o.zydis = zydis_length(&z, bytes);
        o.plain = zydis_length(&z, bytes + 1);
        if (cs_disasm_iter(cs, &at, &left, &address, line))
            o.capstone = line->size;
        compared++;
        if (o.zydis == o.capstone)
            continue;
        different++;
        while (i < ARRAY_LEN(reasons) && !reasons[i].holds(&o))
            i++;
        if (i < ARRAY_LEN(reasons)) {
            reasons[i].count++;
        } else if (unexplained++ < 20) {
            printf("map %u opcode %02x prefix %02x ModRM %02x: Zydis %u bytes, Capstone %u %s %s\n", o.map, o.op,
                   o.prefix, o.modrm, o.zydis, o.capstone, o.capstone ? line->mnemonic : "",
                   o.capstone ? line->op_str : "");
        }
    }
    printf("%u encodings, %u differences:\n", compared, different);
    for (unsigned i = 0; i < ARRAY_LEN(reasons); i++)
        printf("  %6u %s\n", reasons[i].count, reasons[i].why);
    cs_free(line, 1);
    cs_close(&cs);
    fflush(stdout);
    ck_assert_uint_eq(unexplained, 0);
    for (unsigned i = 0; i < ARRAY_LEN(reasons); i++)
        ck_assert_uint_gt(reasons[i].count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("decoder_opinions");
    TCase *tcase = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_differences);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
