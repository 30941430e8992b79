// SPDX-License-Identifier: GPL-2.0-or-later
#include "block.h"

#include "monitor/base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

_Static_assert(sizeof(struct block) == 64, "some bytes more are megabytes");

#define HASH_BITS 17
#define PAGES (1u << 20)

static u32 hash_key(u32 gpa_page, u32 eip, u64 mode)
{
    u32 h = (gpa_page << PAGE_SHIFT | (eip & 0xfff)) * 0x9e3779b1u;

    h ^= (eip >> PAGE_SHIFT) * 0x85ebca6bu;
    h ^= (u32)(mode ^ mode >> 19) * 0xc2b2ae35u;
    return h >> (32 - HASH_BITS) ^ (h & ((1u << HASH_BITS) - 1));
}

// The page heads are mapped, not allocated: 4 MiB of address space, of which only what is used
// becomes memory.
bool blocks_init(struct blocks *b, struct err *err)
{
    memset(b, 0, sizeof(*b));
    b->hash = calloc(1u << HASH_BITS, sizeof(*b->hash));
    b->page = mmap(NULL, 2 * PAGES * sizeof(*b->page), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (b->page == MAP_FAILED)
        b->page = NULL;
    else
        b->page2 = b->page + PAGES;
    if (!b->hash || !b->page) {
        blocks_destroy(b);
        return err_set(err, EXIT_HOST, "out of memory for the block tables");
    }
    return true;
}

void blocks_destroy(struct blocks *b)
{
    free(b->block);
    free(b->insn);
    free(b->ret_point);
    free(b->from);
    free(b->hash);
    if (b->page)
        munmap(b->page, 2 * PAGES * sizeof(*b->page));
    memset(b, 0, sizeof(*b));
}

void blocks_reset(struct blocks *b)
{
    for (u32 n = 1; n <= b->count; n++) {
        const struct block *block = &b->block[n];

        b->page[block->gpa_page] = BLOCK_NONE;
        b->page2[block->gpa_page2] = BLOCK_NONE;
        b->hash[hash_key(block->gpa_page, block->eip, block->mode)] = BLOCK_NONE;
    }
    b->count = 0;
    b->insn_count = 0;
    b->ret_count = 0;
    b->from_count = 0;
}

// Makes room for `more` elements behind `count`.
static void *grow(void *array, u32 *capacity, u32 count, u32 more, size_t size)
{
    u32 want = *capacity ? *capacity : 1024;

    while (want < count + more)
        want *= 2;
    if (want != *capacity) {
        array = realloc(array, want * size);
        if (!array)
            err_no_memory("the translator's tables");
        *capacity = want;
    }
    return array;
}

// An instruction is packed as its distance in host code from the one before it, two bytes more if that is long, with a bit
// that says whether a new esp_delta follows; and a byte with the length of the one before it, and flags. CMPS without REP
// stands for X87: all flags follow.
#define PACKED_MAX (BLOCK_INSNS * 8)
#define PACKED_FLAGS 15
#define PACKED_LONG 127
#define PACKED_ESP 128

static u32 pack(const struct block_insn *insn, unsigned count, u8 *to)
{
    struct block_insn at = { 0 };
    u8 *start = to;

    for (unsigned i = 0; i < count; at = insn[i++]) {
        u32 host = insn[i].host - at.host, guest = insn[i].guest - at.guest;
        bool esp = insn[i].esp_delta != at.esp_delta;
        bool x87 = insn[i].flags & BLOCK_INSN_X87;

        CHECK(guest < 16 && host <= 0xffff);
        CHECK(x87 ? !(insn[i].flags & (BLOCK_INSN_REP | BLOCK_INSN_CMPS)) : insn[i].flags <= PACKED_FLAGS &&
                  (insn[i].flags & BLOCK_INSN_REP || !(insn[i].flags & BLOCK_INSN_CMPS)));
        *to++ = MIN(host, PACKED_LONG) | (esp ? PACKED_ESP : 0);
        if (host >= PACKED_LONG) {
            memcpy(to, &insn[i].host, 2);
            to += 2;
        }
        *to++ = guest << 4 | (insn[i].flags & PACKED_FLAGS) | (x87 ? BLOCK_INSN_CMPS : 0);
        if (x87) {
            memcpy(to, &insn[i].flags, 2);
            to += 2;
        }
        if (esp) {
            memcpy(to, &insn[i].esp_delta, 2);
            to += 2;
        }
    }
    return to - start;
}

static const u8 *unpack(const u8 *from, struct block_insn *at)
{
    u8 host = *from++, bits;

    if ((host & ~PACKED_ESP) == PACKED_LONG) {
        memcpy(&at->host, from, 2);
        from += 2;
    } else {
        at->host += host & ~PACKED_ESP;
    }
    bits = *from++;
    at->guest += bits >> 4;
    at->flags = bits & PACKED_FLAGS;
    if ((bits & (BLOCK_INSN_REP | BLOCK_INSN_CMPS)) == BLOCK_INSN_CMPS) {
        memcpy(&at->flags, from, 2);
        from += 2;
    }
    if (host & PACKED_ESP) {
        memcpy(&at->esp_delta, from, 2);
        from += 2;
    }
    return from;
}

u32 block_new(struct blocks *b, const struct block *proto, const struct block_insn *insn,
              const u32 *ret_point)
{
    u32 n = b->count + 1, h = hash_key(proto->gpa_page, proto->eip, proto->mode);
    struct block *block;
    u32 pages;
    u8 packed[PACKED_MAX];
    u32 len = pack(insn, proto->insn_count, packed);

    b->block = grow(b->block, &b->capacity, n, 1, sizeof(*b->block));
    b->insn = grow(b->insn, &b->insn_capacity, b->insn_count, len, 1);
    b->ret_point = grow(b->ret_point, &b->ret_capacity, b->ret_count, proto->ret_count,
                        sizeof(*b->ret_point));
    block = &b->block[n];
    *block = *proto;
    CHECK(b->count == 0 || block->host >= b->block[b->count].host + b->block[b->count].host_len);
    b->count = n;
    pages = (block->host >> PAGE_SHIFT) - (b->block[1].host >> PAGE_SHIFT) + 1 - b->from_count;
    block->insn_first = b->insn_count;
    block->insn_room = len;
    memcpy(b->insn + b->insn_count, packed, len);
    b->insn_count += len;
    block->ret_first = b->ret_count;
    memcpy(b->ret_point + b->ret_count, ret_point, proto->ret_count * sizeof(*ret_point));
    b->ret_count += proto->ret_count;
    b->from = grow(b->from, &b->from_capacity, b->from_count, pages, sizeof(*b->from));
    while (pages-- > 0)
        b->from[b->from_count++] = n;
    block->valid = true;
    block->hash_next = b->hash[h];
    b->hash[h] = n;
    block->page_next = b->page[block->gpa_page];
    b->page[block->gpa_page] = n;
    if (block->gpa_page2) {
        block->page2_next = b->page2[block->gpa_page2];
        b->page2[block->gpa_page2] = n;
    }
    return n;
}

void block_replace(struct blocks *b, struct block *block, const struct block *proto, const struct block_insn *insn)
{
    u8 packed[PACKED_MAX];
    u32 len = pack(insn, proto->insn_count, packed);

    CHECK(block->valid && proto->host == block->host && proto->host_len <= block->room && !proto->ret_count);
    if (len > block->insn_room) {
        b->insn = grow(b->insn, &b->insn_capacity, b->insn_count, len, 1);
        block->insn_first = b->insn_count;
        block->insn_room = len;
        b->insn_count += len;
    }
    memcpy(b->insn + block->insn_first, packed, len);
    block->insn_count = proto->insn_count;
    block->host_len = proto->host_len;
    block->guest_len = proto->guest_len;
    block->x87 = proto->x87;
}

struct block *block_find(struct blocks *b, u32 gpa_page, u32 eip, u64 mode)
{
    u32 n = b->hash[hash_key(gpa_page, eip, mode)];

    while (n != BLOCK_NONE) {
        struct block *block = &b->block[n];

        if (block->eip == eip && block->gpa_page == gpa_page && block->mode == mode)
            return block;
        n = block->hash_next;
    }
    return NULL;
}

// A search among all blocks is a dozen cache misses.
struct block *block_at_host(struct blocks *b, u64 host)
{
    u64 page = b->count ? (host >> PAGE_SHIFT) - (b->block[1].host >> PAGE_SHIFT) : 0;
    u32 lo = 1, hi = b->count + 1;

    if (page >= 1ull << (32 - PAGE_SHIFT)) // below the first
        return NULL;
    if (page < b->from_count)
        lo = MAX(b->from[page], 2u) - 1; // what runs on into the page
    else if (b->count)
        lo = b->count;
    if (page + 1 < b->from_count)
        hi = b->from[page + 1];
    while (lo < hi) { // the first block that starts after host
        u32 mid = lo + (hi - lo) / 2;

        if (b->block[mid].host <= host)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 1 || host >= (u64)b->block[lo - 1].host + b->block[lo - 1].host_len)
        return NULL;
    return &b->block[lo - 1];
}

// Follows a chain to its first valid block, taking the invalid ones before it out: a block that is invalidated stays in
// its page's chains until somebody comes by, for a page may have thousands of them.
static struct block *valid_from(struct blocks *b, u32 *link, bool second)
{
    while (*link != BLOCK_NONE) {
        struct block *block = &b->block[*link];

        if (block->valid)
            return block;
        *link = second ? block->page2_next : block->page_next;
    }
    return NULL;
}

struct block *block_first_in_page(struct blocks *b, u32 gpa_page)
{
    return valid_from(b, &b->page[gpa_page], false);
}

struct block *block_next_in_page(struct blocks *b, struct block *block)
{
    return valid_from(b, &block->page_next, false);
}

struct block *block_first_into_page(struct blocks *b, u32 gpa_page)
{
    return valid_from(b, &b->page2[gpa_page], true);
}

struct block *block_next_into_page(struct blocks *b, struct block *block)
{
    return valid_from(b, &block->page2_next, true);
}

void block_invalidate(struct blocks *b, struct block *block)
{
    u32 n = block - b->block;
    u32 *link = &b->hash[hash_key(block->gpa_page, block->eip, block->mode)];

    CHECK(block->valid);
    while (*link != n)
        link = &b->block[*link].hash_next;
    *link = block->hash_next;
    block->valid = false;
}

const struct block_insn *block_insns(struct blocks *b, const struct block *block)
{
    const u8 *from = b->insn + block->insn_first;
    struct block_insn at = { 0 };

    for (unsigned i = 0; i < block->insn_count; i++) {
        from = unpack(from, &at);
        b->unpacked[i] = at;
    }
    return b->unpacked;
}

const struct block_insn *block_insn_at_host(struct blocks *b, const struct block *block, u64 host)
{
    const struct block_insn *insn = block_insns(b, block);
    u32 lo = 0;

    while (lo + 1 < block->insn_count && block->host + insn[lo + 1].host <= host)
        lo++;
    return &insn[lo];
}

struct block_insn block_insn_copy(const struct blocks *b, const struct block *block, u64 host)
{
    const u8 *from = b->insn + block->insn_first;
    struct block_insn at = { 0 }, next = { 0 };

    for (unsigned i = 0; i < block->insn_count; i++, at = next) {
        from = unpack(from, &next);
        if (i && block->host + next.host > host)
            break;
    }
    return at;
}
