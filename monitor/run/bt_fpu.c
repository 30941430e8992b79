// SPDX-License-Identifier: GPL-2.0-or-later
// Who holds the guest's x87 and SSE state: the host's unit (fpu_live; the stubs keep XMM0-7 in the
// frame while C runs), or vcpu.fx. C code of ours never touches x87, so the guest's stays where it
// is across callouts.
//
// The x87 pointers (FIP, FDP, FOP) are the guest's in vcpu.fx, also while fpu_live: what they were when the unit was
// loaded. Translated code notes which of its x87 instructions was the last (struct bt_frame). What the host's unit says does
// not do: many keep no selectors, or operands after unmasked exceptions only, and the kernel's signals lose them.
#include "engine_bt.h"

#include "monitor/cpu/fpu.h"

#include <string.h>

#define POINTERS FX_FOP // FOP, FIP, FCS, FDP, FDS lie together
#define POINTERS_LEN (FX_MXCSR - FX_FOP)

void bt_fpu_load(struct engine *e)
{
    struct vcpu *v = e->v;
    u8 pointers[POINTERS_LEN];

    if (v->fpu_live)
        return;
    memcpy(bt_frame(v)->xmm, v->fx + FX_XMM, sizeof(bt_frame(v)->xmm));
    memcpy(pointers, v->fx + POINTERS, sizeof(pointers));
    memset(v->fx + POINTERS, 0, sizeof(pointers));
    __asm__ volatile("fxrstor %0" : : "m"(v->fx)
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    memcpy(v->fx + POINTERS, pointers, sizeof(pointers));
    v->fpu_live = true;
    bt_frame(v)->x87_cs = bt_frame(v)->x87_data = 0;
    bt_frame(v)->x87_host = 0;
    bt_frame(v)->x87_data_sel = X87_NONE;
}

void bt_fpu_note_segments(struct vcpu *v)
{
    struct bt_frame *f = bt_frame(v);

    if (f->x87_cs)
        f->x87_cs_sel = v->seg[S_CS].sel;
    if (f->x87_data)
        f->x87_data_sel = v->seg[f->x87_data - 1].sel;
    f->x87_cs = f->x87_data = 0;
}

static void set_pointers(struct engine *e, u8 *fx)
{
    struct bt_frame *f = bt_frame(e->v);
    struct block_insn insn;
    const struct block *b;

    if (!f->x87_host)
        return;
    bt_fpu_note(e->v);
    b = block_at_host(&e->blocks, f->x87_host); // valid or not
    CHECK(b != NULL);
    insn = block_insn_copy(&e->blocks, b, f->x87_host);
    CHECK(insn.flags & BLOCK_INSN_X87);
    // Shared blocks are of user code; bt_refresh has not let another process's run since.
    fx_put32(fx, FX_FIP, bt_block_linear(e, e->host_stack[1].space, b) + insn.guest - bt_cs_base(e, b->mode));
    fx_put16(fx, FX_FCS, f->x87_cs_sel);
    fx_put16(fx, FX_FOP, insn.flags >> BLOCK_INSN_FOP_SHIFT);
    if (f->x87_data_sel == X87_NONE)
        return;
    fx_put32(fx, FX_FDP, f->x87_offset);
    fx_put16(fx, FX_FDS, f->x87_data_sel);
}

// The operand's offset in its segment, with the registers as they are.
static u32 operand_offset(const struct vcpu *v, const struct insn *insn)
{
    u32 at = insn->disp + (insn->base >= 0 ? v->gpr[insn->base] : 0) +
             (insn->index >= 0 ? v->gpr[insn->index] << insn->scale : 0);

    return insn->addrsize == 2 ? (u16)at : at;
}

void bt_fpu_settle(struct engine *e, const struct block *b, const struct block_insn *at)
{
    const struct block_insn *first = e->blocks.unpacked;
    struct bt_frame *f = bt_frame(e->v);
    const u8 *code;

    if (b->compares || at == first || !(at->flags & at[-1].flags & BLOCK_INSN_X87))
        return;
    f->x87_host = b->host + at[-1].host;
    code = phys_host(e->v->mmu->phys, (gpa_t)b->gpa_page << PAGE_SHIFT | (b->eip & ~PAGE_MASK));
    for (const struct block_insn *i = at; code && i > first && i[-1].flags & BLOCK_INSN_X87; i--) {
        struct insn insn;

        if (insn_decode(&insn, code + i[-1].guest, i->guest - i[-1].guest, !(b->mode & MODE_CODE16)) != INSN_OK ||
            !insn.has_mem)
            continue;
        f->x87_offset = operand_offset(e->v, &insn);
        return;
    }
}

void bt_fpu_sync(struct vcpu *v)
{
    static const u32 default_mxcsr = 0x1f80;
    u8 pointers[POINTERS_LEN];

    memcpy(pointers, v->fx + POINTERS, sizeof(pointers));
    __asm__ volatile("fxsave %0\n\tfninit\n\tldmxcsr %1" : "=m"(v->fx) : "m"(default_mxcsr));
    memcpy(v->fx + POINTERS, pointers, sizeof(pointers));
    memcpy(v->fx + FX_XMM, bt_frame(v)->xmm, sizeof(bt_frame(v)->xmm));
    v->fpu_live = false;
    set_pointers(bt_engine(v), v->fx);
}
