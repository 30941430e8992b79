// SPDX-License-Identifier: GPL-2.0-or-later
// bt_translate: what every block promises (bt_checker.h), over every opcode, under every option and mode; what replaces
// blocks (bt_block_kill, bt_redirect); and that the checker notices code that breaks a promise.
#include "bt_checker.h"

#include <check.h>

static struct rig rig;
static struct bt_code code;

#define EIP 0x08048100u
#define LIMIT 0x80ff
#define FLAT (MODE_DS_FLAT | MODE_ES_FLAT)
#define REAL (MODE_SEGMENTED | MODE_CODE16 | MODE_STACK16 | MODE_DATA64K | MODE_REAL)

static bool translate(const u8 *bytes, u32 avail, u32 mode, u8 hint)
{
    u8 hints[PAGE_SIZE];
    struct bt_request rq = {
        .bytes = bytes, .avail = avail, .eip = EIP, .mode = mode, .hints = hints,
        .cs = 7, .base = EIP & ~0xffff, .limit = LIMIT,
    };

    memset(hints, hint, sizeof(hints));
    rig_sane(&rq);
    return rig_translate(&rig, &rq, &code);
}

static void setup(void) { rig_init(&rig); }
static void teardown(void) { rig_destroy(&rig); }

// Options that change code, in sets worth a full round; the rest is for the random tests.
static void options(unsigned set)
{
#define X(id, def, help) rig.bt.opt.id = def;
    BT_OPTION_LIST(X)
#undef X
    switch (set) {
    case 1: rig.bt.opt.direct = false; break;
    case 2: rig.bt.opt.lahf = false; break;
    case 3: rig_options(&rig, 0); break;
    case 4: rig_options(&rig, ~0u); break;
    }
}
#define OPTION_SETS 5

// Modes and hints for those rounds.
static const struct {
    u32 mode;
    u8 hint;
} ways[] = {
    { FLAT | MODE_TSC, 0 }, { FLAT | MODE_USER, 0 }, { MODE_USER | MODE_SHARED, 0 }, { FLAT | MODE_CHECKED, 0 },
    { FLAT, HINT_WRAP }, { FLAT | MODE_TSC, HINT_CHECKED }, { FLAT, HINT_EMULATE }, { MODE_CHECKED, 0 },
    { FLAT | MODE_NO_FPU, 0 }, { FLAT | MODE_NO_SSE, 0 }, { FLAT | MODE_DF, 0 }, { MODE_DS_FLAT, 0 },
    { FLAT | MODE_USER | MODE_SHARED | MODE_CHECKED, 0 },
    { 0, HINT_LIMITS }, { REAL, 0 }, { REAL, HINT_WRAP }, { REAL | MODE_CHECKED, 0 }, { REAL | MODE_USER | MODE_V86, 0 },
    { MODE_SEGMENTED | MODE_CODE16 | MODE_STACK16, 0 }, { MODE_SEGMENTED | MODE_DATA64K, HINT_CHECKED },
    { MODE_SEGMENTED | MODE_STACK16 | MODE_SS_FLAT | FLAT, 0 }, { MODE_SEGMENTED | MODE_CODE16 | MODE_DATA64K, 0 },
};

#define SEGMENTED_WAYS 13 // from here on

// Every opcode of the maps with every prefix, in one way; operands are dealt out, so that all ways together see them all.
static void all_opcodes(unsigned set, unsigned way)
{
    static const u8 prefix[][2] = {
        { 0 }, { 0x66 }, { 0x67 }, { 0xf2 }, { 0xf3 }, { 0xf0 }, { 0x64 }, { 0x66, 0xf3 }, { 0x2e }, { 0x36, 0xf0 },
    };
    // [eax], [esp+8], [eax+ecx*8-1], [ebp+disp32], [disp32], and register 4 (ESP, AH)
    static const u8 operand[][3] = {
        { 0x00 }, { 0x44, 0x24, 0x08 }, { 0x44, 0xc8, 0xff }, { 0x85 }, { 0x05 }, { 0xc4 },
    };
    unsigned deal = set * ARRAY_LEN(ways) + way;

    for (unsigned op = 0; op < MAP_COUNT * 256; op++)
        for (unsigned p = 0; p < ARRAY_LEN(prefix); p++) {
            u8 bytes[24], *at = bytes;

            memset(bytes, 0x80, sizeof(bytes));
            *at++ = 0x50;                               // push eax: an ESP adjustment is pending
            for (unsigned i = 0; i < 2 && prefix[p][i]; i++)
                *at++ = prefix[p][i];
            if (op >> 8 == MAP_VEX38) {
                memcpy(at, "\xc4\xe2\x58", 3); // vvvv is ESP
                at += 3;
            } else if (op >> 8) {
                *at++ = 0x0f;
            }
            if (op >> 8 == MAP_0F38 || op >> 8 == MAP_0F3A)
                *at++ = op >> 8 == 2 ? 0x38 : 0x3a;
            *at++ = op;
            deal = deal * 1103515245 + 12345;
            memcpy(at, operand[(deal >> 16) % ARRAY_LEN(operand)], 3);
            *at |= (deal >> 24 & 7) << 3;
            ck_assert_msg(translate(bytes, sizeof(bytes), ways[way].mode, ways[way].hint),
                          "opcode %x, prefix %u, option set %u, way %u", op, p, set, way);
        }
}

START_TEST(every_opcode_keeps_the_promises)
{
    rig.bt.opt.block_insns = 3;
    for (unsigned way = 0; way < ARRAY_LEN(ways); way++) {
        if (way >= SEGMENTED_WAYS && _i % 3)
            continue; // what the other options do is the same there
        options(_i);
        all_opcodes(_i, way);
    }
}
END_TEST

static u64 next_random(u64 *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

START_TEST(random_code_keeps_the_promises)
{
    // One-byte opcodes that do not end a block, to get long ones.
    static const u8 usual[] = "\x50\x58\x54\x5c\x01\x8b\x89\xff\xf7\x83\x8d\x74\xe8\xa5\xab\x9c\xfa\xfb\xe2\xc9\x8f\x64\x66\x0f";
    u64 state = 0x9e3779b97f4a7c15;

    for (unsigned round = 0; round < 20000; round++) {
        u8 bytes[256], hints[256];
        u32 avail = 1 + next_random(&state) % sizeof(bytes);
        struct bt_request rq = {
            .bytes = bytes, .avail = avail, .eip = (u32)next_random(&state), .mode = next_random(&state) & (BIT(MODE_BITS) - 1),
            .hints = next_random(&state) & 1 ? hints : NULL, .cs = 1 + next_random(&state) % 4096,
        };

        rig_sane(&rq);
        rq.base = next_random(&state) & 1 ? rq.eip & ~0xffff : rq.eip - (u32)next_random(&state) % 0x100000;
        rq.limit = MAX(rq.eip - rq.base + avail - 1, next_random(&state) & 1 ? 0xffff : (u32)next_random(&state));
        for (u32 i = 0; i < sizeof(bytes); i++) {
            bytes[i] = next_random(&state) & 3 ? usual[next_random(&state) % (sizeof(usual) - 1)]
                                               : next_random(&state);
            hints[i] = next_random(&state) % 6 ? 0 : next_random(&state) & (BIT(HINT_BITS) - 1);
        }
        if (next_random(&state) % 4 == 0)
            rq.compare = bytes;
        rig_options(&rig, (u32)next_random(&state));
        rig.bt.opt.block_insns = 1 + next_random(&state) % BT_MAX_INSNS;
        rig.bt.isa = next_random(&state) & 3 ? ~0u : (u32)next_random(&state);
        ck_assert(rig_translate(&rig, &rq, &code));
    }
}
END_TEST

// The longest code that anything gives must fit: here as many of one instruction as a block takes.
START_TEST(longest_blocks_fit)
{
    static const struct {
        u8 len, bytes[8];
    } insn[] = {
        { 7, { 0x8f, 0x84, 0xc8, 1, 2, 3, 4 } },        // pop [eax+ecx*8+disp32]
        { 8, { 0x64, 0x8f, 0x84, 0xc8, 1, 2, 3, 4 } },  // pop fs:[..]
        { 8, { 0x64, 0xff, 0xb4, 0xc8, 1, 2, 3, 4 } },  // push fs:[..]
        { 8, { 0x64, 0xff, 0x94, 0xc8, 1, 2, 3, 4 } },  // call fs:[..]
        { 8, { 0x0f, 0xab, 0x84, 0xc8, 1, 2, 3, 4 } },  // bts [..], eax
        { 2, { 0x66, 0xa5 } }, { 1, { 0x9c } }, { 1, { 0xfb } }, { 2, { 0x0f, 0xa2 } },
        { 3, { 0x83, 0xec, 0x7f } }, { 2, { 0x74, 0x7f } }, { 5, { 0xe8, 0, 0x10, 0, 0 } },
        { 8, { 0x64, 0x80, 0xa4, 0xc8, 1, 2, 3, 4 } },
    };
    u32 longest = 0;

    for (unsigned i = 0; i < ARRAY_LEN(insn); i++)
        for (unsigned set = 0; set < OPTION_SETS; set++)
            for (unsigned way = 0; way < ARRAY_LEN(ways); way++) {
                u8 bytes[BT_MAX_INSNS * 9] = { 0 };

                for (unsigned n = 0; n < BT_MAX_INSNS; n++)
                    memcpy(bytes + n * insn[i].len, insn[i].bytes, insn[i].len);
                options(set);
                ck_assert(translate(bytes, BT_MAX_INSNS * insn[i].len, ways[way].mode, ways[way].hint));
                longest = MAX(longest, code.block.host_len);
            }
    ck_assert_uint_lt(longest, BT_MAX_CODE / 4 * 3); // the rest is for what nobody thought of
}
END_TEST

// As the engine runs it: the translation becomes a block.
static struct block *as_block(struct blocks *b)
{
    u32 n = block_new(b, &code.block, code.insn, code.ret_point); // moves b->block

    return &b->block[n];
}

// Where the jump at a host address leads; 0 if there is none.
static u32 jump_target(u32 host)
{
    const u8 *p = (const u8 *)(u64)host;
    i32 rel;

    memcpy(&rel, p + 1, 4);
    return *p == 0xe9 ? host + 5 + (u32)rel : 0;
}

START_TEST(killed_blocks_lead_to_the_look_up)
{
    // call; call; ret
    static const u8 bytes[] = { 0xe8, 1, 0, 0, 0, 0xe8, 1, 0, 0, 0, 0xc3 };
    struct blocks blocks;
    struct block *b;
    struct err err;
    u32 stale, offset;

    ck_assert(blocks_init(&blocks, &err));
    ck_assert(translate(bytes, sizeof(bytes), FLAT, 0));
    b = as_block(&blocks);
    ck_assert_uint_eq(b->ret_count, 2);
    ck_assert_uint_eq(bt_entry_if(b->host, EIP, FLAT), b->entry);
    ck_assert_uint_eq(bt_entry_if(b->host, EIP + 0x10000, FLAT), 0);
    bt_block_kill(&rig.bt, &rig.arena, &blocks, b);
    ck_assert_uint_eq(bt_entry_if(b->host, EIP, FLAT), 0);
    stale = jump_target(b->entry);
    ck_assert_uint_eq(stale, b->host + b->host_len - BT_STALE_LEN);
    memcpy(&offset, (void *)(u64)(stale + 1), 4);
    ck_assert_uint_eq(*(u8 *)(u64)stale, 0xe8);
    ck_assert_uint_eq(stale + 5 + offset, rig.bt.stubs.stale);
    for (u32 i = 0; i < b->ret_count; i++)
        ck_assert_uint_eq(jump_target(blocks.ret_point[b->ret_first + i]), rig.bt.stubs.lookup);
    bt_redirect(&rig.arena, b, b->host + b->host_len);
    ck_assert_uint_eq(jump_target(b->entry), b->host + b->host_len);
    ck_assert_uint_eq(jump_target(blocks.ret_point[b->ret_first]), rig.bt.stubs.lookup);
    blocks_destroy(&blocks);
}
END_TEST

// The shortest block has room for the jump that kills it, and the stale stub behind that.
START_TEST(short_blocks_can_be_killed)
{
    static const u8 bytes[][2] = { { 0xeb, 0xfe }, { 0x90 }, { 0xc3 }, { 0x0f, 0x0b }, { 0x0f } };
    static const u8 lens[] = { 2, 1, 1, 2, 1 };

    for (unsigned i = 0; i < ARRAY_LEN(lens); i++)
        for (unsigned set = 0; set < OPTION_SETS; set++) {
            options(set);
            ck_assert(translate(bytes[i], lens[i], FLAT, 0));
            ck_assert_uint_ge(code.block.host + code.block.host_len - BT_STALE_LEN, code.block.entry + 5);
        }
}
END_TEST

START_TEST(links_are_patched_in_place)
{
    u8 *room = arena_reserve(&rig.arena, 16);
    u32 host = (u32)(u64)arena_rx(&rig.arena, room);

    memset(room, 0x90, 16);
    room[0] = 0xe9;
    bt_patch_rel32(&rig.arena, host + 1, host + 0x1000);
    ck_assert_uint_eq(jump_target(host), host + 0x1000);
    bt_patch_rel32(&rig.arena, host + 1, host - 0x1000);
    ck_assert_uint_eq(jump_target(host), host - 0x1000);
    ck_assert_int_eq(room[5], 0x90);
}
END_TEST

// Nothing but the next page's slot may lead to an instruction that crosses into it.
START_TEST(an_instruction_that_crosses_stands_alone)
{
    static const u8 bytes[INSN_MAX] = { 0xb8, 1, 2, 3, 4, 0x90, 0x90 };
    struct bt_request rq = {
        .bytes = bytes, .avail = INSN_MAX, .eip = 0x08048ffd, .mode = FLAT, .crossing = true,
    };

    ck_assert(rig_translate(&rig, &rq, &code));
    ck_assert_uint_eq(code.block.insn_count, 1);
    ck_assert_uint_eq(code.block.guest_len, 5);
    rq.avail = 3; // the other page is not there: the emulator fetches it, and faults
    rq.crossing = false;
    ck_assert(rig_translate(&rig, &rq, &code));
    ck_assert_uint_eq(code.block.guest_len, 0);
    ck_assert_uint_eq(code.block.insn_count, 1);
}
END_TEST

// sti; 1: jmp 1b. The first jump is in STI's shadow; a later one must not be, or no event could ever be taken.
START_TEST(the_shadow_of_sti_is_one_instruction)
{
    static const u8 bytes[] = { 0xfb, 0xeb, 0xfe };
    u32 jump;

    ck_assert(translate(bytes, sizeof(bytes), FLAT, 0));
    ck_assert_uint_eq(code.block.insn_count, 2);
    ck_assert(!(code.insn[0].flags & BLOCK_INSN_SHADOW));
    ck_assert(code.insn[1].flags & BLOCK_INSN_SHADOW);
    jump = code.block.host + code.insn[1].host;
    ck_assert_uint_ne(jump_target(jump), jump);
}
END_TEST

// pop ss; pop ss; pop ss; nop: a row of them shades every other one.
START_TEST(the_shadow_of_ss_ends_in_a_row)
{
    static const u8 bytes[] = { 0x17, 0x17, 0x17, 0x90 };
    static const u16 flags[] = { 0, BLOCK_INSN_SHADOW | BLOCK_INSN_SS, 0, BLOCK_INSN_SHADOW | BLOCK_INSN_SS };

    ck_assert(translate(bytes, sizeof(bytes), MODE_SEGMENTED | MODE_REAL | MODE_DATA64K | MODE_CODE16 | MODE_STACK16, 0));
    ck_assert_uint_eq(code.block.insn_count, 4);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(code.insn[i].flags, flags[i]);
}
END_TEST

// Each of these breaks a promise; the checker must say so.
START_TEST(the_checker_notices)
{
    static const struct {
        const char *what;
        u8 len, guest[4], from[8], to[8]; // the host bytes `from` become `to`
        u8 count;
    } broken[] = {
        { "another base", 2, { 0x8b, 0x03 }, { 0x41, 0x8b, 0x04, 0x1c }, { 0x41, 0x8b, 0x04, 0x1d }, 4 },
        { "no base", 2, { 0x8b, 0x03 }, { 0x41, 0x8b, 0x04, 0x1c }, { 0x67, 0x8b, 0x03, 0x90 }, 4 },
        { "the window as data", 2, { 0x89, 0xc8 }, { 0x89, 0xc8 }, { 0x41, 0x54 }, 2 },
        { "OUT", 2, { 0x89, 0xc8 }, { 0x89, 0xc8 }, { 0xee, 0x90 }, 2 },
        { "SYSCALL", 2, { 0x89, 0xc8 }, { 0x89, 0xc8 }, { 0x0f, 0x05 }, 2 },
        { "INT3", 2, { 0x89, 0xc8 }, { 0x89, 0xc8 }, { 0xcc, 0x90 }, 2 },
        { "a 64-bit result", 3, { 0x8b, 0x43, 0x01 }, { 0x41, 0x8b, 0x44, 0x1c }, { 0x49, 0x8b, 0x44, 0x1c }, 4 },
        { "writes rsp", 2, { 0x89, 0xc8 }, { 0x89, 0xc8 }, { 0x89, 0xc4 }, 2 },
        { "no decode", 2, { 0x89, 0xc8 }, { 0x89, 0xc8 }, { 0x06, 0x06 }, 2 },
        { "a segment", 3, { 0x8b, 0x43, 0x01 }, { 0x41, 0x8b, 0x44, 0x1c }, { 0x64, 0x8b, 0x44, 0x1c }, 4 },
    };

    rig.silent = true;
    for (unsigned i = 0; i < ARRAY_LEN(broken); i++) {
        struct bt_request rq = {
            .bytes = broken[i].guest, .avail = broken[i].len, .eip = EIP, .mode = FLAT,
        };
        u8 *at;

        ck_assert(rig_translate(&rig, &rq, &code));
        at = memmem(rig.room + bt_header_len(FLAT), code.block.host_len, broken[i].from, broken[i].count);
        ck_assert_msg(at != NULL, "%s: no such code", broken[i].what);
        memcpy(at, broken[i].to, broken[i].count);
        ck_assert_msg(!rig_verify(&rig, &rq, &code), "%s goes unnoticed", broken[i].what);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bt");
    TCase *tc = tcase_create("translate");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tc, 100);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, every_opcode_keeps_the_promises, 0, OPTION_SETS);
    tcase_add_test(tc, random_code_keeps_the_promises);
    tcase_add_test(tc, longest_blocks_fit);
    tcase_add_test(tc, killed_blocks_lead_to_the_look_up);
    tcase_add_test(tc, short_blocks_can_be_killed);
    tcase_add_test(tc, links_are_patched_in_place);
    tcase_add_test(tc, an_instruction_that_crosses_stands_alone);
    tcase_add_test(tc, the_shadow_of_sti_is_one_instruction);
    tcase_add_test(tc, the_shadow_of_ss_ends_in_a_row);
    tcase_add_test(tc, the_checker_notices);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
