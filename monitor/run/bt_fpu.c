// SPDX-License-Identifier: GPL-2.0-or-later
// Who holds the guest's x87 and SSE state: the host's unit (fpu_live; the stubs keep XMM0-7 in the frame while C runs), or
// vcpu.fx. C code of ours never touches x87, so the guest's stays where it is across callouts.
#include "engine_bt.h"

#include <string.h>

enum { FX_FIP = 8, FX_FCS = 12, FX_FDP = 16, FX_FDS = 20, FX_MXCSR = 24, FX_XMM = 160 };

void bt_fpu_load(struct engine *e)
{
    struct vcpu *v = e->v;

    if (v->fpu_live)
        return;
    memcpy(bt_frame(v)->xmm, v->fx + FX_XMM, sizeof(bt_frame(v)->xmm));
    __asm__ volatile("fxrstor %0" : : "m"(v->fx));
    v->fpu_live = true;
}

// Translated code runs at addresses of ours: the guest sees its own. The host address of an x87
// instruction leads to the guest's; a data pointer lies in a window. (The code cache lies below 4 GiB, so FXSAVE's 32-bit
// form has the whole address.)
static void fix_pointers(struct engine *e, u8 *fx)
{
    u32 fip, fdp;
    u16 sel;

    memcpy(&fip, fx + FX_FIP, 4);
    memcpy(&fdp, fx + FX_FDP, 4);
    if (arena_has(&e->arena, fip)) {
        const struct block *b = block_at_host(&e->blocks, fip);

        fip = b ? b->eip + block_insn_at_host(&e->blocks, b, fip)->guest : 0;
        sel = e->v->seg[S_CS].sel;
        memcpy(fx + FX_FIP, &fip, 4);
        memcpy(fx + FX_FCS, &sel, 2);
        fdp -= (u32)bt_frame(e->v)->window;
        sel = e->v->seg[S_DS].sel;
        memcpy(fx + FX_FDP, &fdp, 4);
        memcpy(fx + FX_FDS, &sel, 2);
    }
}

void bt_fpu_sync(struct vcpu *v)
{
    static const u32 default_mxcsr = 0x1f80;

    __asm__ volatile("fxsave %0\n\tfninit\n\tldmxcsr %1" : "=m"(v->fx) : "m"(default_mxcsr));
    memcpy(v->fx + FX_XMM, bt_frame(v)->xmm, sizeof(bt_frame(v)->xmm));
    v->fpu_live = false;
    fix_pointers(bt_engine(v), v->fx);
}
