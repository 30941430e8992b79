// SPDX-License-Identifier: GPL-2.0-or-later
// Who holds the guest's x87 and SSE state: the host's unit (fpu_live; the stubs keep XMM0-7 in the
// frame while C runs), or vcpu.fx. C code of ours never touches x87, so the guest's stays where it
// is across callouts.
//
// The x87 pointers (FIP, FDP, FOP) are the guest's in vcpu.fx, also while fpu_live: what they were when
// the unit was loaded. The unit starts with pointers of 0 each time; if it has others when it is
// unloaded, they are of translated code and stand for a guest instruction. FXSAVE does not say: some
// processors leave the pointers out of its image unless an exception is pending. FNSTENV does.
#include "engine_bt.h"

#include "monitor/cpu/fpu.h"

#include <string.h>

#define POINTERS FX_FOP // FOP, FIP, FCS, FDP, FDS lie together
#define POINTERS_LEN (FX_MXCSR - FX_FOP)

// FNSTENV's image with a 32-bit operand (SDM volume 1, figure 8-9).
struct environment {
    u32 fcw, fsw, ftw, fip, fcs_fop, fdp, fds;
};

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
}

void bt_fpu_note_segments(struct vcpu *v)
{
    struct bt_frame *f = bt_frame(v);

    if (f->x87_cs)
        f->x87_cs_sel = v->seg[S_CS].sel;
    if (f->x87_data && f->x87_data != X87_NOTED) {
        const struct seg *s = &v->seg[f->x87_data - 1];

        f->x87_data_sel = s->sel;
        f->x87_data_base = s->base;
    }
    if (f->x87_data)
        f->x87_window = f->window;
    f->x87_cs = f->x87_data = 0;
}

// Decodes the guest instruction that host address fip belongs to. False if there is none.
static bool guest_insn(struct engine *e, u32 fip, struct insn *insn, u32 *eip)
{
    const struct block *b = block_at_host(&e->blocks, fip);
    struct phys *phys = e->v->mmu->phys;
    u8 bytes[INSN_MAX];
    u32 first, at;

    if (!b)
        return false;
    // Shared blocks are of user code; bt_refresh has not let another process's run since.
    at = bt_block_linear(e, e->host_stack[1].space, b) + block_insn_at_host(&e->blocks, b, fip)->guest;
    *eip = at - bt_cs_base(e, b->mode);
    first = MIN(PAGE_SIZE - (at & ~PAGE_MASK), sizeof(bytes));
    phys_read(phys, ((gpa_t)b->gpa_page << PAGE_SHIFT) | (at & ~PAGE_MASK), bytes, first);
    if (b->gpa_page2)
        phys_read(phys, (gpa_t)b->gpa_page2 << PAGE_SHIFT, bytes + first, sizeof(bytes) - first);
    return insn_decode(insn, bytes, b->gpa_page2 ? sizeof(bytes) : first, !(b->mode & MODE_CODE16)) == INSN_OK;
}

// The linear address of an operand at host address fdp: in the window of then, or, if the access took the
// checked form, as that noted it.
static u32 guest_address(struct engine *e, u32 fdp)
{
    const struct phys *phys = e->v->mmu->phys;
    const struct bt_frame *f = bt_frame(e->v);

    if (fdp - (u32)(u64)phys->mem < phys->mem_size && !((fdp ^ f->fdp) & ~PAGE_MASK))
        return f->fdp;
    return fdp - f->x87_window;
}

static void set_pointers(struct engine *e, const struct environment *env, u8 *fx)
{
    struct bt_frame *f = bt_frame(e->v);
    struct insn insn;
    u32 eip;

    if (e->v->fpu_blind)
        return;
    bt_fpu_note(e->v);
    if (!arena_has(&e->arena, env->fip) || !guest_insn(e, env->fip, &insn, &eip))
        return;
    fx_put32(fx, FX_FIP, eip);
    fx_put16(fx, FX_FCS, f->x87_cs_sel);
    fx_put16(fx, FX_FOP, (insn.op & 7) << 8 | insn.modrm);
    if (!env->fdp)
        return;
    fx_put32(fx, FX_FDP, guest_address(e, env->fdp) - f->x87_data_base);
    fx_put16(fx, FX_FDS, f->x87_data_sel);
}

void bt_fpu_sync(struct vcpu *v)
{
    static const u32 default_mxcsr = 0x1f80;
    struct environment env;
    u8 pointers[POINTERS_LEN];

    memcpy(pointers, v->fx + POINTERS, sizeof(pointers));
    __asm__ volatile("fxsave %0\n\tfnstenv %1\n\tfninit\n\tldmxcsr %2"
                     : "=m"(v->fx), "=m"(env) : "m"(default_mxcsr));
    memcpy(v->fx + POINTERS, pointers, sizeof(pointers));
    memcpy(v->fx + FX_XMM, bt_frame(v)->xmm, sizeof(bt_frame(v)->xmm));
    v->fpu_live = false;
    set_pointers(bt_engine(v), &env, v->fx);
}
