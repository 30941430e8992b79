// SPDX-License-Identifier: GPL-2.0-or-later
// Guest pages that hold translated code, and are written.
//
//   protected --- written often in a short time ---> open
//   open -------- code not seen to change for a while, data the same ----> protected when next translated
//
// Of a protected page only the blocks that are made of the bytes written become invalid: data lies beside code
// everywhere in 16-bit systems, and at the seams of others. A write to other bytes takes the checked form; it comes to C if
// its 64 bytes have code too (struct tlb_entry.free). The blocks of an open page
// compare their bytes (bt/compare.c), so it needs no protection: its data are written at full speed, and code that
// changes costs a translation but no host signal.
#include "engine_bt.h"

#include <string.h>
#include <x86intrin.h>

// What a write costs, in units of one that only comes to C; so much within a burst opens a page.
#define COST_DATA 1
#define COST_CODE 16
#define COST_MAX 64
// A page that is written by so much at once, and has no code then, is put to another use: as kernels clear pages.
#define RECYCLED (PAGE_SIZE / 4)
// In 2^20 ticks of the host's TSC, some 0.4 ms.
#define CODE_BURST 64
#define CODE_REST 250 // doubled each time that the page had to be opened again
#define CODE_REST_MAX 7
#define OPEN_LOOK 4u // pages that an event looks at

static u32 clock_now(void)
{
    return __rdtsc() >> 20;
}

void bt_uncover(struct engine *e, u32 gpa_page)
{
    phys_page(e->v->mmu->phys, (gpa_t)gpa_page << PAGE_SHIFT)->flags &= ~PHYS_CODE;
    e->code_map[gpa_page] = 0;
}

void bt_kill(struct engine *e, struct block *b)
{
    bt_block_kill(&e->bt, &e->arena, &e->blocks, b);
    block_invalidate(&e->blocks, b);
    e->invalidations++;
    e->count.invalidated++;
}

// Only RAM that stays where it is: blocks name its host address.
static bool may_open(const struct engine *e, u32 gpa_page)
{
    gpa_t gpa = (gpa_t)gpa_page << PAGE_SHIFT;

    return e->bt.opt.compare && !e->watch && gpa < e->v->mmu->phys->ram_size &&
           (gpa < 0xa0000 || gpa >= 0x100000);
}

static u64 span_bits(u32 at, u32 len) // within a page
{
    u32 first = at / 64, last = (at + MAX(len, 1u) - 1) / 64;

    return ~0ull << first & ~0ull >> (63 - last);
}

// The part of a block's code that lies in a page: offset in the page and length.
static u32 part_in_page(const struct block *b, u32 page, u32 *len)
{
    u32 at = b->eip & ~PAGE_MASK, first = MIN(b->guest_len, PAGE_SIZE - at);

    if (b->gpa_page == page) {
        *len = first;
        return at;
    }
    *len = b->guest_len - first;
    return 0;
}

static void cover_part(struct engine *e, const struct block *b, u32 page)
{
    u32 len, at = part_in_page(b, page, &len);
    u64 bits = span_bits(at, len) & ~e->code_map[page];

    if (!bits)
        return;
    e->code_map[page] |= bits;
    mmu_protect_parts(e->v, (gpa_t)page << PAGE_SHIFT, bits);
}

void bt_cover(struct engine *e, const struct block *b)
{
    cover_part(e, b, b->gpa_page);
    if (b->gpa_page2)
        cover_part(e, b, b->gpa_page2);
}

// What is left of the page's code.
static void recover(struct engine *e, u32 page)
{
    struct block *b;
    u32 at, len;

    bt_uncover(e, page);
    for (b = block_first_in_page(&e->blocks, page); b; b = block_next_in_page(&e->blocks, b)) {
        at = part_in_page(b, page, &len);
        e->code_map[page] |= span_bits(at, len);
    }
    for (b = block_first_into_page(&e->blocks, page); b; b = block_next_into_page(&e->blocks, b)) {
        at = part_in_page(b, page, &len);
        e->code_map[page] |= span_bits(at, len);
    }
    if (e->code_map[page])
        phys_page(e->v->mmu->phys, (gpa_t)page << PAGE_SHIFT)->flags |= PHYS_CODE;
}

static bool overlaps(const struct block *b, u32 page, u32 at, u32 len)
{
    u32 has, from = part_in_page(b, page, &has);

    return from < at + len && at < from + MAX(has, 1u);
}

static void kill_all(struct engine *e, u32 page)
{
    struct block *b;

    while ((b = block_first_in_page(&e->blocks, page)) || (b = block_first_into_page(&e->blocks, page))) {
        bt_kill(e, b);
    }
}

static u32 page_sum(const struct engine *e, u32 page)
{
    const u8 *at = phys_host(e->v->mmu->phys, (gpa_t)page << PAGE_SHIFT);
    u64 sum = 0, word;

    for (u32 i = 0; i < PAGE_SIZE; i += 8) {
        memcpy(&word, at + i, 8);
        sum = (sum ^ word) * 0x9e3779b97f4a7c15ull;
    }
    return sum >> 32;
}

// Its code has not been seen to change for a while, nor has anything else in it: data that are written at times would
// take the checked form again.
static bool rested(struct engine *e, u32 page)
{
    struct code_page *p = &e->code_page[page];
    u32 sum;

    if (clock_now() - p->stamp < (u32)CODE_REST << p->rest)
        return false;
    sum = page_sum(e, page);
    if (sum == p->sum)
        return true;
    p->sum = sum;
    p->stamp = clock_now();
    return false;
}

static void close_page(struct engine *e, u32 page)
{
    e->code_page[page].open = false;
    kill_all(e, page);
}

// To be looked at by bt_pages_rest. Of more pages than there is room for the oldest are left to bt_page_hot.
static void remember_open(struct engine *e, u32 page)
{
    e->open_pages[e->open_last++ % ARRAY_LEN(e->open_pages)] = page;
    if (e->open_last - e->open_first > ARRAY_LEN(e->open_pages))
        e->open_first++;
}

static void note_cost(struct engine *e, u32 page, unsigned cost)
{
    struct code_page *p = &e->code_page[page];
    u32 now = clock_now();

    if (p->open || !may_open(e, page))
        return;
    if (now - p->stamp > CODE_BURST) {
        p->cost = 0;
        p->stamp = now;
    }
    p->cost += cost;
    if (p->cost < COST_MAX)
        return;
    p->cost = 0;
    p->stamp = now;
    p->open = true;
    p->sum = page_sum(e, page);
    kill_all(e, page);
    bt_uncover(e, page);
    e->count.opened++;
    if (p->rest < CODE_REST_MAX)
        p->rest++;
    remember_open(e, page);
}

static void page_written(struct engine *e, u32 page, u32 at, u32 len)
{
    struct block *b, *next;
    bool any = false;

    if (!e->code_map[page])
        bt_uncover(e, page);
    if (!(e->code_map[page] & span_bits(at, len))) {
        if (e->code_map[page])
            note_cost(e, page, COST_DATA);
        return;
    }
    for (b = block_first_in_page(&e->blocks, page); b; b = next) {
        next = block_next_in_page(&e->blocks, b);
        if (overlaps(b, page, at, len)) {
            bt_kill(e, b);
            any = true;
        }
    }
    for (b = block_first_into_page(&e->blocks, page); b; b = next) {
        next = block_next_into_page(&e->blocks, b);
        if (overlaps(b, page, at, len)) {
            bt_kill(e, b);
            any = true;
        }
    }
    if (e->hints[page]) // they were about other instructions
        memset(e->hints[page] + at, 0, len);
    if (any)
        recover(e, page);
    if (!e->code_map[page])
        bt_unshare(e, page);
    if (!e->code_map[page] && len >= RECYCLED)
        e->code_page[page].cost = 0;
    else
        note_cost(e, page, any ? COST_CODE : COST_DATA);
}

void bt_code_write(void *opaque, gpa_t gpa, u32 len)
{
    struct engine *e = opaque;

    do {
        u32 at = gpa & ~PAGE_MASK, n = MIN(MAX(len, 1u), PAGE_SIZE - at);

        page_written(e, gpa >> PAGE_SHIFT, at, n);
        e->v->count.code_writes++;
        gpa += n;
        len -= MIN(n, len);
    } while (len);
}

// If nothing but immediates has changed, they are to be read from now on; if other things have, this is other code.
static void note_immediates(struct engine *e, const struct block *b, const u8 *old)
{
    const struct block_insn *insn = block_insns(&e->blocks, b);
    const u8 *now = phys_host(e->v->mmu->phys, (gpa_t)b->gpa_page << PAGE_SHIFT | (b->eip & ~PAGE_MASK));
    u8 *hints = bt_hints(e, b->gpa_page) + (b->eip & ~PAGE_MASK);
    bool only = true;

    for (u32 i = 0; i < b->insn_count && only; i++) {
        u32 at = insn[i].guest, len = (i + 1 < b->insn_count ? insn[i + 1].guest : b->guest_len) - at;
        struct insn was;

        if (memcmp(old + at, now + at, len))
            only = insn_decode(&was, old + at, len, !(b->mode & MODE_CODE16)) == INSN_OK && bt_may_vary(&was) &&
                   memcmp(old + at, now + at, len - 4) == 0;
    }
    for (u32 i = 0; i < b->insn_count; i++) {
        u32 at = insn[i].guest, len = (i + 1 < b->insn_count ? insn[i + 1].guest : b->guest_len) - at;

        if (!only)
            hints[at] &= ~HINT_VARIES;
        else if (memcmp(old + at, now + at, len))
            hints[at] |= HINT_VARIES;
    }
}

bool bt_page_changed(struct engine *e, struct block *b, const u8 *old)
{
    e->code_page[b->gpa_page].stamp = clock_now();
    e->count.changed++;
    if (!b->valid)
        return false;
    note_immediates(e, b, old);
    if (bt_retranslate(e, b))
        return true;
    bt_kill(e, b);
    e->spare = true;
    return false;
}

void bt_page_hot(struct engine *e, u32 gpa_page)
{
    if (e->code_page[gpa_page].open && rested(e, gpa_page))
        close_page(e, gpa_page);
}

void bt_pages_rest(struct engine *e)
{
    for (u32 n = MIN(e->open_last - e->open_first, OPEN_LOOK); n > 0; n--) {
        u32 page = e->open_pages[e->open_first++ % ARRAY_LEN(e->open_pages)];

        if (!e->code_page[page].open)
            continue;
        if (rested(e, page))
            close_page(e, page);
        else
            remember_open(e, page);
    }
}
