// SPDX-License-Identifier: GPL-2.0-or-later
// The code cache's tables: arena, blocks, spaces and slots.
#include "cache/arena.h"
#include "cache/block.h"
#include "cache/space.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(arena_views_and_bounds)
{
    struct arena a;
    struct err err;
    u8 *room;

    ck_assert(arena_init(&a, 64 << 10, &err));
    ck_assert_uint_lt((u64)a.rx + a.size, 1ull << 32);
    room = arena_reserve(&a, 100);
    memset(room, 0xc3, 100);
    ck_assert_ptr_eq(arena_reserve(&a, 100), room); // nothing was committed
    arena_commit(&a, 100);
    ck_assert_int_eq(*arena_rx(&a, room), 0xc3);    // the other view of the same bytes
    ck_assert_ptr_eq(arena_rw(&a, arena_rx(&a, room)), room);
    ((void (*)(void))arena_rx(&a, room))();          // and it executes
    room = arena_reserve(&a, 16);
    ck_assert_uint_eq((u64)room % 16, 0);
    ck_assert_ptr_null(arena_reserve(&a, 64 << 10));
    ck_assert_ptr_nonnull(arena_reserve(&a, (64 << 10) - a.used));
    a.floor = 64;
    arena_reset(&a);
    ck_assert_uint_eq(a.used, 64);
    ck_assert(arena_has(&a, (u64)a.rx));
    ck_assert(!arena_has(&a, (u64)a.rx + a.size));
    arena_destroy(&a);
}
END_TEST

static u32 add(struct blocks *b, u32 page, u32 eip, u32 mode, u32 host)
{
    struct block_insn insn[3] = { { .host = 0 }, { .host = 10, .guest = 2 }, { .host = 30, .guest = 5 } };
    u32 ret_point = host + 20;
    struct block proto = {
        .gpa_page = page, .eip = eip, .mode = mode, .host = host, .entry = host, .host_len = 64,
        .guest_len = 8, .insn_count = 3, .ret_count = 1,
    };

    return block_new(b, &proto, insn, &ret_point);
}

START_TEST(blocks_are_found_by_key_page_and_host)
{
    struct blocks b;
    struct err err;
    u32 first;

    ck_assert(blocks_init(&b, &err));
    first = add(&b, 5, 0x5123, 1, 1000);
    add(&b, 5, 0x5123, 2, 2000);
    add(&b, 6, 0x5123, 1, 3000);
    ck_assert_uint_eq(first, 1);
    ck_assert_uint_eq(block_find(&b, 5, 0x5123, 1)->host, 1000);
    ck_assert_uint_eq(block_find(&b, 5, 0x5123, 2)->host, 2000);
    ck_assert_uint_eq(block_find(&b, 6, 0x5123, 1)->host, 3000);
    ck_assert_ptr_null(block_find(&b, 7, 0x5123, 1));
    ck_assert_ptr_null(block_at_host(&b, 999));
    ck_assert_uint_eq(block_at_host(&b, 1063)->host, 1000);
    ck_assert_ptr_null(block_at_host(&b, 1064));
    ck_assert_uint_eq(block_at_host(&b, 3001)->host, 3000);
    ck_assert_uint_eq(block_insn_at_host(&b, block_at_host(&b, 1000), 1009)->guest, 0);
    ck_assert_uint_eq(block_insn_at_host(&b, block_at_host(&b, 1000), 1010)->guest, 2);
    ck_assert_uint_eq(block_insn_at_host(&b, block_at_host(&b, 1000), 1060)->guest, 5);

    block_invalidate(&b, block_find(&b, 5, 0x5123, 1));
    ck_assert_ptr_null(block_find(&b, 5, 0x5123, 1));
    ck_assert_uint_eq(block_at_host(&b, 1000)->host, 1000); // its code may still run
    ck_assert_uint_eq(block_first_in_page(&b, 5)->host, 2000);
    ck_assert_ptr_null(block_next_in_page(&b, block_first_in_page(&b, 5)));
    blocks_reset(&b);
    ck_assert_ptr_null(block_find(&b, 6, 0x5123, 1));
    ck_assert_ptr_null(block_first_in_page(&b, 6));
    blocks_destroy(&b);
}
END_TEST

START_TEST(blocks_survive_many)
{
    struct blocks b;
    struct err err;

    ck_assert(blocks_init(&b, &err));
    for (u32 i = 0; i < 5000; i++)
        add(&b, i % 37, i * 16, 0, 1000 + i * 64);
    for (u32 i = 0; i < 5000; i += 3)
        block_invalidate(&b, block_find(&b, i % 37, i * 16, 0));
    for (u32 i = 0; i < 5000; i++) {
        struct block *block = block_find(&b, i % 37, i * 16, 0);

        if (i % 3 == 0)
            ck_assert_ptr_null(block);
        else
            ck_assert_uint_eq(block->host, 1000 + i * 64);
    }
    for (u32 page = 0; page < 37; page++)
        for (struct block *p = block_first_in_page(&b, page); p; p = block_next_in_page(&b, p))
            ck_assert(p->valid && p->gpa_page == page);
    blocks_destroy(&b);
}
END_TEST

// With gaps, blocks longer than pages, and several in a page.
START_TEST(host_addresses_find_their_blocks)
{
    static const u32 len[] = { 64, 5000, 100, 20000, 64, 3000, 4096, 60 };
    struct block proto = { .gpa_page = 1, .insn_count = 1 };
    struct block_insn insn = { .host = 0 };
    struct blocks b;
    struct err err;
    u32 at;

    ck_assert(blocks_init(&b, &err));
    for (int round = 0; round < 2; round++) {
        at = 0x20000fc0;
        ck_assert_ptr_null(block_at_host(&b, at));
        for (u32 i = 0; i < 400; i++) {
            proto.eip = i;
            proto.host = proto.entry = at;
            proto.host_len = len[i % 8];
            block_new(&b, &proto, &insn, &b.count);
            at += len[i % 8] + (i % 3) * 1000;
        }
        ck_assert_ptr_null(block_at_host(&b, 0x20000fbf));
        ck_assert_ptr_null(block_at_host(&b, at));
        ck_assert_ptr_null(block_at_host(&b, at + 1000000));
        ck_assert_ptr_null(block_at_host(&b, 0x7f0020000fc0));
        for (u32 n = 1; n <= b.count; n++) {
            const struct block *block = &b.block[n];

            for (u32 i = 0; i < block->host_len; i += 59)
                ck_assert_ptr_eq(block_at_host(&b, block->host + i), block);
            ck_assert_ptr_eq(block_at_host(&b, block->host + block->host_len - 1), block);
            if ((n - 1) % 3)
                ck_assert_ptr_null(block_at_host(&b, block->host + block->host_len));
        }
        blocks_reset(&b);
    }
    blocks_destroy(&b);
}
END_TEST

// CMPS comes with REP only, X87 with neither.
static u16 valid_flags(u32 i)
{
    if (i & BLOCK_INSN_CMPS && !(i & BLOCK_INSN_REP))
        return (i & (BLOCK_INSN_SHADOW | BLOCK_INSN_SS)) | BLOCK_INSN_X87 | (i * 31 & 0x7ff) << BLOCK_INSN_FOP_SHIFT;
    return i & 15;
}

START_TEST(instructions_come_back_as_they_were)
{
    struct block_insn insn[BLOCK_INSNS];
    struct block proto = { .gpa_page = 1, .host = 4096, .entry = 4096, .host_len = 60000, .room = 60000 };
    struct blocks b;
    struct err err;

    ck_assert(blocks_init(&b, &err));
    for (u32 i = 0; i < BLOCK_INSNS; i++)
        insn[i] = (struct block_insn){
            .host = i ? insn[i - 1].host + (i % 7 == 0 ? 126 + i % 3 : i % 11 == 0 ? 5000 : i % 4) : 700,
            .guest = i ? insn[i - 1].guest + i % 16 : 0, .flags = valid_flags(i),
            .esp_delta = i % 5 < 2 ? (i32)i * 500 - 12000 : i ? insn[i - 1].esp_delta : 0,
        };
    for (u32 count = 1; count <= BLOCK_INSNS; count += count < 3 ? 1 : 7) {
        proto.insn_count = count;
        if (b.count)
            block_replace(&b, &b.block[1], &proto, insn);
        else
            block_new(&b, &proto, insn, &b.count);
        ck_assert_int_eq(memcmp(block_insns(&b, &b.block[1]), insn, count * sizeof(*insn)), 0);
        for (u32 i = 0; i + 1 < count; i++)
            if (insn[i + 1].host > insn[i].host) {
                struct block_insn copy = block_insn_copy(&b, &b.block[1], 4096 + insn[i + 1].host - 1);

                ck_assert_int_eq(memcmp(&copy, &insn[i], sizeof(copy)), 0);
                ck_assert_uint_eq(block_insn_at_host(&b, &b.block[1], 4096 + insn[i + 1].host - 1)->guest, insn[i].guest);
            }
    }
    blocks_destroy(&b);
}
END_TEST

START_TEST(spaces_keep_their_own_targets)
{
    static struct spaces s; // large
    struct err err;
    struct space *one, *two;
    u32 slot;

    ck_assert(spaces_init(&s, 0xdef, 0xdef, &err));
    one = space_get(&s, 1);
    slot = slot_for(&s, 0x8048000, 7);
    ck_assert_uint_eq(slot_for(&s, 0x8048000, 7), slot);
    ck_assert_uint_eq(slot_find(&s, 0x8048000, 7), slot);
    ck_assert_uint_eq(slot_find(&s, 0x8048000, 8), SLOT_NONE);
    two = space_get(&s, 2);
    ck_assert_uint_eq(two->table->slot[slot], 0xdef);
    space_fill_slot(&s, one, slot, 0x1111);
    space_fill_jump(&s, one, 0x12345678, 0x2222);
    ck_assert_uint_eq(one->table->slot[slot], 0x1111);
    ck_assert_uint_eq(one->table->jump[0x5678], 0x2222);
    ck_assert_uint_eq(two->table->slot[slot], 0xdef);
    ck_assert_uint_eq(two->table->jump[0x5678], 0xdef);
    for (u32 i = 0; i < 1000; i++) // refilling does not grow the journal
        space_fill_jump(&s, one, 0x5678, 0x3000 + i);
    ck_assert_uint_eq(one->journal_count, 2);
    space_clear(&s, one);
    ck_assert_uint_eq(one->table->slot[slot], 0xdef);
    ck_assert_uint_eq(one->table->jump[0x5678], 0xdef);
    ck_assert_ptr_eq(space_get(&s, 1), one);
    spaces_destroy(&s);
}
END_TEST

START_TEST(spaces_are_recycled_empty)
{
    static struct spaces s;
    struct err err;

    ck_assert(spaces_init(&s, 0xdef, 0xdef, &err));
    for (u64 key = 1; key < 3 * SPACE_MAX; key++) {
        struct space *space = space_get(&s, key);

        ck_assert_uint_eq(space->table->jump[42], 0xdef);
        space_fill_jump(&s, space, 42, (u32)key);
    }
    spaces_destroy(&s);
}
END_TEST

START_TEST(slots_run_out_cleanly)
{
    static struct spaces s;
    struct err err;

    ck_assert(spaces_init(&s, 0xdef, 0xdef, &err));
    for (u32 i = 0; i < SPACE_SLOTS; i++)
        ck_assert_uint_eq(slot_for(&s, i * 4096, 0), i);
    ck_assert_uint_eq(slot_for(&s, 1, 0), SLOT_NONE);
    ck_assert_uint_eq(slot_for(&s, 4096, 0), 1);
    spaces_reset(&s);
    ck_assert_uint_eq(slot_for(&s, 1, 0), 0);
    spaces_destroy(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache");
    TCase *tc = tcase_create("tables");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, arena_views_and_bounds);
    tcase_add_test(tc, blocks_are_found_by_key_page_and_host);
    tcase_add_test(tc, blocks_survive_many);
    tcase_add_test(tc, host_addresses_find_their_blocks);
    tcase_add_test(tc, instructions_come_back_as_they_were);
    tcase_add_test(tc, spaces_keep_their_own_targets);
    tcase_add_test(tc, spaces_are_recycled_empty);
    tcase_add_test(tc, slots_run_out_cleanly);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
