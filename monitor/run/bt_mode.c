// SPDX-License-Identifier: GPL-2.0-or-later
// The mode that code is translated under, and what its segments allow.
//
// Code segments are numbered by base and limit: in real mode nearly every far transfer changes the base, so these
// numbers, not mode bits, tell the blocks of one linear address apart. A space per base would cost far too much.
#include "engine_bt.h"

#include <stdlib.h>
#include <string.h>

// Beyond any 32-bit address from the window, inside its guards.
#define WINDOW_POISON (6ull << 30)

#define CS_MAX 4096u
#define CS_HASH (2 * CS_MAX)

struct cs_numbers {
    u32 count;                    // numbers given: 1..count
    u32 base[CS_MAX], limit[CS_MAX];
    u16 hash[CS_HASH];            // numbers; 0: free
};

bool bt_cs_init(struct engine *e, struct err *err)
{
    e->cs = calloc(1, sizeof(*e->cs));
    return e->cs || err_set(err, EXIT_HOST, "out of memory for the translator");
}

void bt_cs_destroy(struct engine *e)
{
    free(e->cs);
}

u32 bt_cs_base(const struct engine *e, u64 key)
{
    return key & MODE_SEGMENTED ? e->cs->base[key >> 32] : 0;
}

static u32 cs_number(struct engine *e)
{
    const struct seg *seg = &e->v->seg[S_CS];
    struct cs_numbers *cs = e->cs;
    u32 h = ((seg->base ^ seg->limit << 4) * 0x9e3779b1u) >> 19, n;

    _Static_assert(CS_HASH == 1u << 13, "13 bits of hash");
    for (; (n = cs->hash[h]); h = (h + 1) % CS_HASH)
        if (cs->base[n] == seg->base && cs->limit[n] == seg->limit)
            return n;
    if (cs->count == CS_MAX - 1) {
        bt_flush(e);
        memset(cs, 0, sizeof(*cs));
        return cs_number(e);
    }
    n = cs->hash[h] = ++cs->count;
    cs->base[n] = seg->base;
    cs->limit[n] = seg->limit;
    return n;
}

// ---- Modes
static bool flat_data(const struct seg *s)
{
    return s->base == 0 && s->limit == ~0u &&
           (s->attr & (SEG_P | SEG_S | SEG_CODE | SEG_W | SEG_E)) == (SEG_P | SEG_S | SEG_W);
}

// The last byte that translated code may read or write; -1: what may be accessed has no such simple form, or there is nothing.
static i64 read_limit(const struct vcpu *v, const struct seg *s)
{
    if (!(s->attr & SEG_CODE) && s->attr & SEG_E)
        return -1;
    if (v->cr0 & CR0_PE && (!(s->attr & SEG_P) || (s->attr & (SEG_CODE | SEG_R)) == SEG_CODE))
        return -1;
    return s->limit;
}

static i64 write_limit(const struct vcpu *v, const struct seg *s)
{
    if (v->cr0 & CR0_PE && (s->attr & SEG_CODE || !(s->attr & SEG_W)))
        return -1;
    return read_limit(v, s);
}

static bool data64k(const struct vcpu *v, unsigned seg)
{
    return write_limit(v, &v->seg[seg]) >= 0xffff;
}

// Whether a load of any segment register changes nothing but its selector and base.
static bool loads_simply(const struct vcpu *v)
{
    for (unsigned s = 0; s < S_COUNT; s++)
        if (!(v->seg[s].attr & SEG_P) || !data64k(v, s))
            return false;
    return true;
}

static u32 segmented_mode(const struct vcpu *v)
{
    const struct seg *cs = &v->seg[S_CS], *ss = &v->seg[S_SS];
    u32 mode = MODE_SEGMENTED;

    mode |= (cs->attr & SEG_DB ? 0 : MODE_CODE16) | (ss->attr & SEG_DB ? 0 : MODE_STACK16);
    if (vcpu_protected(v)) {
        mode |= (flat_data(ss) ? MODE_SS_FLAT : 0) | (flat_data(&v->seg[S_DS]) ? MODE_DS_FLAT : 0) |
                (flat_data(&v->seg[S_ES]) ? MODE_ES_FLAT : 0);
        if (data64k(v, S_DS) && data64k(v, S_ES) && data64k(v, S_SS))
            mode |= MODE_DATA64K;
    } else if (loads_simply(v)) {
        mode |= MODE_REAL | MODE_DATA64K;
    }
    return mode | (v->eflags & FL_VM ? MODE_V86 : 0);
}

u32 bt_mode(const struct vcpu *v)
{
    const struct seg *cs = &v->seg[S_CS], *ss = &v->seg[S_SS];
    u32 mode;

    // While FERR# is asserted, what the unit does has to be seen: FNCLEX ends it.
    if (v->ferr_level || v->eflags & FL_TF || v->dr[7] & 0xff || (v->eflags & FL_AC && v->cr0 & CR0_AM && v->cpl == 3))
        return MODE_INTERPRET;
    if (likely(vcpu_protected(v) && cs->attr & SEG_DB && cs->attr & SEG_R && !cs->base && cs->limit == ~0u &&
               ss->attr & SEG_DB && flat_data(ss)))
        mode = (flat_data(&v->seg[S_DS]) ? MODE_DS_FLAT : 0) | (flat_data(&v->seg[S_ES]) ? MODE_ES_FLAT : 0);
    else
        mode = segmented_mode(v);
    return mode | (v->cpl == 3 ? MODE_USER : v->cpl ? MODE_INNER : 0) |
           (v->cr0 & (CR0_EM | CR0_TS) ? MODE_NO_FPU : 0) |
           (v->cr4 & CR4_OSFXSR ? 0 : MODE_NO_SSE) | (v->eflags & FL_DF ? MODE_DF : 0) |
           (v->cpl == 0 || !(v->cr4 & CR4_TSD) ? MODE_TSC : 0);
}

static void refresh_segment(const struct vcpu *v, struct bt_frame *f, int s)
{
    const struct seg *seg = &v->seg[s];
    bool data = (seg->attr & (SEG_P | SEG_S | SEG_CODE | SEG_W | SEG_E)) == (SEG_P | SEG_S | SEG_W);
    bool plain = data && seg->limit == ~0u;

    f->seg_asid[s] = plain ? v->asid : TLB_ASID_NONE;
    f->seg_window[s] = f->window + (plain ? 0 : WINDOW_POISON);
    f->seg_origin[s] = f->window + seg->base;
    f->seg_rlimit[s] = data ? seg->limit : read_limit(v, seg);
    f->seg_wlimit[s] = data ? seg->limit : write_limit(v, seg);
}

void bt_refresh_key(struct engine *e)
{
    e->key = bt_mode_key(e->mode, e->mode & MODE_SEGMENTED ? cs_number(e) : 0);
}

void bt_refresh_segments(struct engine *e)
{
    struct bt_frame *f = bt_frame(e->v);

    for (int s = 0; s < S_COUNT; s++)
        refresh_segment(e->v, f, s);
    f->cs_key = e->key & ~0xffffffffull;
}

void bt_refresh_asid(struct engine *e)
{
    struct bt_frame *f = bt_frame(e->v);

    for (int s = 0; s < S_COUNT; s++)
        if (f->seg_asid[s] != TLB_ASID_NONE)
            f->seg_asid[s] = e->v->asid;
}

void bt_state_at(struct engine *e, const struct block *b, const struct block_insn *insn)
{
    struct vcpu *v = e->v;

    v->eip = bt_block_linear(e, e->space, b) + insn->guest - v->seg[S_CS].base;
    v->gpr[R_ESP] += insn->esp_delta;
}
