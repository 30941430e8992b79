// SPDX-License-Identifier: GPL-2.0-or-later
// User code that lies at several linear addresses, as programs and libraries do where each process is given its own
// (address-space randomization): translated once for all of them.
//
//   linear page known ---- met at another ----> shared ---- its code is written, none is left ----> (unknown)
//
// A page of code is first translated for the linear address it is met at, which costs its calls and returns least. When it
// is met at another, those blocks go, and what is made from then on takes the page's linear address from a slot
// (MODE_SHARED). In each space a page has one such address, the first it runs at after the space was cleared; an alias
// in the same space has blocks of its own, made for that alone.
#include "engine_bt.h"

static void forget_pinned(struct engine *e, u32 page)
{
    struct block *b, *next;

    for (b = block_first_in_page(&e->blocks, page); b; b = next) {
        next = block_next_in_page(&e->blocks, b);
        if ((b->mode & (MODE_USER | MODE_SEGMENTED)) == MODE_USER)
            bt_kill(e, b);
    }
}

bool bt_shares(struct engine *e, u32 page, u32 at)
{
    struct code_page *p = &e->code_page[page];
    u32 linear = at & PAGE_MASK, slot;
    u64 where;

    if (!e->bt.opt.share || (e->mode & (MODE_USER | MODE_SEGMENTED)) != MODE_USER || p->open)
        return false;
    if (!p->shared) {
        if (!p->linear)
            p->linear = linear | 1;
        if (p->linear == (linear | 1))
            return false;
        forget_pinned(e, page);
        p->shared = true;
        e->count.shared++;
    }
    slot = bt_page_slot(&e->spaces, page);
    if (slot == SLOT_NONE)
        return false;
    where = e->space->table->slot[slot];
    if (where == e->spaces.empty_slot) {
        p->linear = linear | 1;
        where = bt_page_value(linear);
        space_fill_slot(&e->spaces, e->space, slot, where);
    }
    return (u32)where == linear;
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
    slot = slot_find(&e->spaces, b->gpa_page, MODE_SHARED);
    if (space && slot != SLOT_NONE && space->table->slot[slot] != e->spaces.empty_slot)
        return (u32)space->table->slot[slot] + b->eip;
    return (e->code_page[b->gpa_page].linear & PAGE_MASK) + b->eip;
}

u32 bt_site_eip(const struct engine *e, const struct bt_site *site)
{
    if (!site->shared)
        return site->eip;
    return (u32)e->space->table->slot[site->eip >> PAGE_SHIFT] + (site->eip & ~PAGE_MASK);
}
