// SPDX-License-Identifier: GPL-2.0-or-later
// The memory image of a case.
#include "segments.h"

#include <string.h>

// A value that means something to some instruction.
static u64 pattern(u64 *random)
{
    static const u64 special[] = {
        0, ~0ull, 0x8000000000000000, 0x7fffffffffffffff, 0x3ff0000000000000, 0x7ff0000000000000,
        0xfff8000000000000, 0x7ff4000000000001, 0x000fffffffffffff, 0x0000000000000001,
        0x3f800000bf800000, 0x7f800000ff800000, 0x7fc000007f800001, 0x0000000180000001,
        0xc000000000000000, 0x4330000000000000, 0x1000000010000abc, 0x0800000010001ffc,
    };
    u64 r = random_next(random);

    switch (r % 8) {
    case 0: case 1: case 2:
        return special[(r >> 8) % ARRAY_LEN(special)];
    case 3:
        return (u64)(i64)(i8)(r >> 8);
    case 4: // the exponent of an extended-precision number
        return (r & 0xffffffffffff0000) | (0x3fff - 70 + (r >> 16) % 140);
    default:
        return random_next(random);
    }
}

void memory_template(u64 seed, u8 *image)
{
    u64 random = seed;

    for (u32 i = 0; i < IMAGE_SIZE; i += 8) {
        u64 x = pattern(&random);

        memcpy(image + i, &x, 8);
    }
    for (int i = 0; i < AREA_COUNT; i++)
        if (areas[i].flags & AREA_EXEC)
            memset(image + areas[i].first * PAGE_SIZE, CODE_FILL, areas[i].pages * PAGE_SIZE);
}

int memory_offset(u32 gla)
{
    for (int i = 0; i < AREA_COUNT; i++)
        if (gla - areas[i].gla < areas[i].pages * PAGE_SIZE)
            return areas[i].first * PAGE_SIZE + (gla - areas[i].gla);
    return -1;
}

bool memory_executable(u32 gla)
{
    for (int i = 0; i < AREA_COUNT; i++)
        if (gla - areas[i].gla < areas[i].pages * PAGE_SIZE)
            return areas[i].flags & AREA_EXEC;
    return false;
}

void memory_prepare(const struct oracle_case *c, const u8 *template, u8 *image)
{
    memcpy(image, template, IMAGE_SIZE);
    for (u32 i = 0; i < c->code_len; i++) {
        int at = memory_offset(case_code_at(c) + i);

        if (at >= 0)
            image[at] = c->code[i];
    }
}

void memory_diff(const u8 *before, const u8 *after, struct oracle_result *r)
{
    r->diffs = 0;
    r->hash = 0;
    for (u32 line = 0; line < IMAGE_SIZE; line += 64) {
        if (memcmp(before + line, after + line, 64) == 0)
            continue;
        for (u32 i = line; i < line + 64; i++) {
            if (before[i] == after[i])
                continue;
            if (r->diffs < MAX_DIFFS) {
                r->diff[r->diffs].at = i;
                r->diff[r->diffs].now = after[i];
            }
            r->diffs++;
            r->hash = (r->hash ^ ((u64)i << 8 | after[i])) * 0x9e3779b97f4a7c15;
            r->hash ^= r->hash >> 29;
        }
    }
}
