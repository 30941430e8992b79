// SPDX-License-Identifier: GPL-2.0-or-later
// User code that lies at several linear addresses, as programs and libraries do where each process is given its own
// (address-space randomization): translated once for all of them.
//
//   linear page known ---- met at another ----> shared ---- its code is written, none is left ----> (unknown)
//
// A guest that has done so to many pages will do it to more: then those of its upper addresses, where such systems put what they
// move, are shared from the start, which saves the first translation.
//
// A page of code is first translated for the linear address it is met at, which costs its calls and returns least. When it
// is met at another, those blocks go, and what is made from then on takes the page's linear address from a slot
// (MODE_SHARED). In each space a page has one such address, the first it runs at after the space was cleared; an alias
// in the same space has blocks of its own, made for that alone.
#include "engine_bt.h"

#define MANY 32
#define MOVED 0x40000000u // the lowest address that such systems choose

static struct code_page *page_of(const struct engine *e, u32 page)
{
    struct code_page *p = &e->code_page[page];

    if (p->epoch != (u32)e->flush_count) {
        p->epoch = (u32)e->flush_count;
        p->slot = p->in = p->out = 0;
    }
    return p;
}

static void forget_pinned(struct engine *e, u32 page)
{
    struct block *b, *next;

    for (b = block_first_in_page(&e->blocks, page); b; b = next) {
        next = block_next_in_page(&e->blocks, b);
        if ((b->mode & (MODE_USER | MODE_SEGMENTED)) == MODE_USER)
            bt_kill(e, b);
    }
}

// The linear address of a shared page in the current space, or ~0.
static u32 page_linear(struct engine *e, u32 page)
{
    u32 slot = page_of(e, page)->slot;
    u64 where = slot ? e->space->table->slot[slot - 1] : e->spaces.empty_slot;

    return where == e->spaces.empty_slot ? ~0u : (u32)where;
}

// A new process would come to C once for each branch from page to page of each library. But what one page had from another, it
// has wherever both lie at the same distance: slot `first` and the rest of its list are filled if they do.
static void fill_pair(struct engine *e, u32 first)
{
    const struct slot_key *k = slot_key_of(&e->spaces, first);
    u32 source = k->mode >> 32, from = page_linear(e, source), to = e->spaces.slot_last[first].gpa_page;
    struct slot_last *m;

    if (k->mode != bt_shared_key(e->mode, source) || from == ~0u ||
        page_linear(e, to) != from + (k->eip & PAGE_MASK))
        return;
    for (u32 n = first + 1; n; n = m->next) {
        m = &e->spaces.slot_last[n - 1];
        if (m->host && m->gpa_page == to && e->space->table->slot[n - 1] == e->spaces.empty_slot &&
            *(const u8 *)(u64)m->host != BT_KILLED)
            space_fill_slot(&e->spaces, e->space, n - 1, m->host);
    }
}

// In the current space the page lies at `linear`: it is executed there for the first time.
static void settle(struct engine *e, u32 page, u32 linear)
{
    const struct slot_last *all = e->spaces.slot_last;
    struct code_page *p = page_of(e, page);

    p->linear = linear | 1;
    space_fill_slot(&e->spaces, e->space, p->slot - 1, bt_page_value(linear));
    if (!e->bt.opt.chain || e->watch)
        return;
    for (u32 n = p->out; n; n = all[n - 1].out)
        fill_pair(e, n - 1);
    for (u32 n = p->in; n; n = all[n - 1].in)
        fill_pair(e, n - 1);
}

bool bt_shares(struct engine *e, u32 page, u32 at)
{
    struct code_page *p = page_of(e, page);
    u32 linear = at & PAGE_MASK;

    if (!e->bt.opt.share || (e->mode & (MODE_USER | MODE_SEGMENTED)) != MODE_USER || p->open)
        return false;
    if (!p->shared) {
        if (!p->linear && (e->count.shared < MANY || linear < MOVED))
            p->linear = linear | 1;
        if (p->linear == (linear | 1))
            return false;
        if (p->linear) {
            forget_pinned(e, page);
            e->count.shared++;
        }
        p->shared = true;
    }
    if (!p->slot)
        p->slot = bt_page_slot(&e->spaces, page) + 1; // SLOT_NONE wraps to 0
    if (!p->slot)
        return false;
    if (e->space->table->slot[p->slot - 1] == e->spaces.empty_slot)
        settle(e, page, linear);
    return page_linear(e, page) == linear;
}

void bt_share_slot(struct engine *e, u32 slot, u32 host)
{
    struct slot_last *all = e->spaces.slot_last, *last = &all[slot];
    const struct slot_key *k = slot_key_of(&e->spaces, slot);
    const struct block *b;
    u32 first, source = k->mode >> 32;

    if (last->host == host)
        return;
    b = block_at_host(&e->blocks, host);
    first = slot_for(&e->spaces, k->eip & PAGE_MASK, k->mode); // it stands for the two pages
    if (!(b->mode & MODE_SHARED) || b->gpa_page2 || first == SLOT_NONE)
        return;
    if (!all[first].gpa_page) {
        all[first].gpa_page = b->gpa_page;
        all[first].in = page_of(e, b->gpa_page)->in;
        page_of(e, b->gpa_page)->in = first + 1;
        all[first].out = page_of(e, source)->out;
        page_of(e, source)->out = first + 1;
    }
    if (!last->host && first != slot) {
        last->next = all[first].next;
        all[first].next = slot + 1;
    }
    last->host = host;
    last->gpa_page = b->gpa_page;
}

void bt_unshare(struct engine *e, u32 page)
{
    e->code_page[page].linear = 0;
    e->code_page[page].shared = false;
}

u32 bt_block_linear(const struct engine *e, const struct space *space, const struct block *b)
{
    u32 slot;

    if (!(b->mode & MODE_SHARED))
        return b->eip;
    slot = page_of(e, b->gpa_page)->slot;
    if (space && slot && space->table->slot[slot - 1] != e->spaces.empty_slot)
        return (u32)space->table->slot[slot - 1] + b->eip;
    return (e->code_page[b->gpa_page].linear & PAGE_MASK) + b->eip;
}

u32 bt_site_eip(const struct engine *e, const struct bt_site *site)
{
    if (!site->shared)
        return site->eip;
    return (u32)e->space->table->slot[site->eip >> PAGE_SHIFT] + (site->eip & ~PAGE_MASK);
}
