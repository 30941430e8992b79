// SPDX-License-Identifier: GPL-2.0-or-later
#include "emit.h"

#include "monitor/base/log.h"

void emit_bytes(struct emit *e, const void *bytes, u32 len)
{
    for (u32 i = 0; i < len; i++)
        emit8(e, ((const u8 *)bytes)[i]);
}

void emit16(struct emit *e, u16 v) { emit_bytes(e, &v, 2); }
void emit32(struct emit *e, u32 v) { emit_bytes(e, &v, 4); }
void emit64(struct emit *e, u64 v) { emit_bytes(e, &v, 8); }

// Prefixes, REX and opcode (SDM volume 2, 2.2.1: mandatory prefixes come before REX).
static void emit_head(struct emit *e, unsigned form, unsigned op, bool r, bool x, bool b)
{
    u8 rex = 0x40 | (form & E_W ? 8 : 0) | r << 2 | x << 1 | b;

    if (form & E_LOCK)
        emit8(e, 0xf0);
    if (form & E_66)
        emit8(e, 0x66);
    if (form & E_F2)
        emit8(e, 0xf2);
    if (form & E_F3)
        emit8(e, 0xf3);
    if (rex != 0x40 || (form & E_REX))
        emit8(e, rex);
    if (op >> 8)
        emit8(e, 0x0f);
    if (op >> 8 == 2)
        emit8(e, 0x38);
    if (op >> 8 == 3)
        emit8(e, 0x3a);
    emit8(e, op);
}

void emit_rr(struct emit *e, unsigned form, unsigned op, unsigned reg, unsigned rm)
{
    emit_head(e, form, op, reg >= 8, false, rm >= 8);
    emit8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

void emit_rm(struct emit *e, unsigned form, unsigned op, unsigned reg, const struct hmem *m)
{
    bool sib = m->index >= 0 || m->base < 0 || (m->base & 7) == H_RSP;
    bool disp8 = m->disp == (i8)m->disp;
    u8 mod = m->base < 0 ? 0 : m->disp == 0 && (m->base & 7) != H_RBP ? 0 : disp8 ? 1 : 2;

    CHECK(m->index != H_RSP);
    emit_head(e, form, op, reg >= 8, m->index >= 8, m->base >= 8);
    emit8(e, mod << 6 | (reg & 7) << 3 | (sib ? 4 : m->base & 7));
    if (sib)
        emit8(e, m->scale << 6 | (m->index < 0 ? 4 : m->index & 7) << 3 |
                     (m->base < 0 ? 5 : m->base & 7));
    if (m->base < 0 || mod == 2)
        emit32(e, m->disp);
    else if (mod == 1)
        emit8(e, m->disp);
}

void emit_mov_rr(struct emit *e, unsigned dst, unsigned src) { emit_rr(e, 0, 0x8b, dst, src); }
void emit_mov64_rr(struct emit *e, unsigned dst, unsigned src) { emit_rr(e, E_W, 0x8b, dst, src); }

void emit_mov_ri(struct emit *e, unsigned dst, u32 imm)
{
    emit_head(e, 0, 0xb8 + (dst & 7), false, false, dst >= 8);
    emit32(e, imm);
}

void emit_mov64_ri(struct emit *e, unsigned dst, u64 imm)
{
    emit_head(e, E_W, 0xb8 + (dst & 7), false, false, dst >= 8);
    emit64(e, imm);
}

void emit_lea(struct emit *e, unsigned dst, int base, int index, unsigned scale, i32 disp)
{
    emit_rm(e, 0, 0x8d, dst, &(struct hmem){ base, index, scale, disp });
}

void emit_load(struct emit *e, unsigned dst, unsigned base, i32 disp)
{
    emit_rm(e, 0, 0x8b, dst, &(struct hmem){ base, -1, 0, disp });
}

void emit_load64(struct emit *e, unsigned dst, unsigned base, i32 disp)
{
    emit_rm(e, E_W, 0x8b, dst, &(struct hmem){ base, -1, 0, disp });
}

void emit_store(struct emit *e, unsigned base, i32 disp, unsigned src)
{
    emit_rm(e, 0, 0x89, src, &(struct hmem){ base, -1, 0, disp });
}

void emit_store64(struct emit *e, unsigned base, i32 disp, unsigned src)
{
    emit_rm(e, E_W, 0x89, src, &(struct hmem){ base, -1, 0, disp });
}

void emit_store_imm(struct emit *e, unsigned base, i32 disp, u32 imm)
{
    emit_rm(e, 0, 0xc7, 0, &(struct hmem){ base, -1, 0, disp });
    emit32(e, imm);
}

void emit_alu_ri(struct emit *e, unsigned ext, unsigned reg, u32 imm)
{
    bool small = (i32)imm == (i8)imm;

    emit_rr(e, 0, small ? 0x83 : 0x81, ext, reg);
    if (small)
        emit8(e, imm);
    else
        emit32(e, imm);
}

void emit_jmp(struct emit *e, u32 target)
{
    emit8(e, 0xe9);
    emit32(e, target - (emit_here(e) + 4));
}

void emit_call(struct emit *e, u32 target)
{
    emit8(e, 0xe8);
    emit32(e, target - (emit_here(e) + 4));
}

void emit_jcc(struct emit *e, unsigned cc, u32 target)
{
    emit8(e, 0x0f);
    emit8(e, 0x80 + cc);
    emit32(e, target - (emit_here(e) + 4));
}

u8 *emit_short(struct emit *e, u8 opcode)
{
    emit8(e, opcode);
    emit8(e, 0);
    return e->p - 1;
}

void emit_land(struct emit *e, u8 *place)
{
    if (place < e->end)
        *place = e->p - (place + 1);
}

void emit_align(struct emit *e, unsigned to)
{
    static const u8 nop[8][8] = {
        { 0x90 }, { 0x66, 0x90 }, { 0x0f, 0x1f, 0x00 }, { 0x0f, 0x1f, 0x40, 0x00 },
        { 0x0f, 0x1f, 0x44, 0x00, 0x00 }, { 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00 },
        { 0x0f, 0x1f, 0x80, 0, 0, 0, 0 }, { 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0 },
    };
    unsigned pad = -(u32)(e->p - e->start) & (to - 1);

    while (pad > 0) {
        unsigned n = MIN(pad, 8);

        emit_bytes(e, nop[n - 1], n);
        pad -= n;
    }
}
