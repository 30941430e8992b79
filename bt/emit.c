// SPDX-License-Identifier: GPL-2.0-or-later
#include "emit.h"

#include "monitor/base/log.h"

void emit_bytes(struct emit *e, const void *bytes, u32 len)
{
    if (likely(e->p <= e->end && (u64)(e->end - e->p) >= len))
        memcpy(e->p, bytes, len);
    else if (e->p < e->end)
        memcpy(e->p, bytes, e->end - e->p);
    e->p += len;
}

// The first bytes of an instruction.
struct head {
    u64 bytes;
    unsigned len;
};

static inline void add(struct head *h, u8 byte)
{
    h->bytes |= (u64)byte << 8 * h->len++;
}

// Prefixes, REX and opcode (SDM volume 2, 2.2.1: mandatory prefixes come before REX): at most six bytes, for no form has
// more than two of the prefixes.
static inline struct head head(unsigned form, unsigned op, bool r, bool x, bool b)
{
    struct head h = { 0, 0 };
    u8 rex = 0x40 | (form & E_W ? 8 : 0) | r << 2 | x << 1 | b;

    if (unlikely(form & ~E_W)) {
        if (form & E_LOCK)
            add(&h, 0xf0);
        if (form & E_66)
            add(&h, 0x66);
        if (form & E_F2)
            add(&h, 0xf2);
        else if (form & E_F3)
            add(&h, 0xf3);
    }
    if (rex != 0x40 || (form & E_REX))
        add(&h, rex);
    if (op >> 8) {
        add(&h, 0x0f);
        if (op >> 8 == 2)
            add(&h, 0x38);
        if (op >> 8 == 3)
            add(&h, 0x3a);
    }
    add(&h, op);
    return h;
}

void emit_rr(struct emit *e, unsigned form, unsigned op, unsigned reg, unsigned rm)
{
    struct head h = head(form, op, reg >= 8, false, rm >= 8);

    add(&h, 0xc0 | (reg & 7) << 3 | (rm & 7));
    emit_put(e, h.bytes, h.len);
}

void emit_rm(struct emit *e, unsigned form, unsigned op, unsigned reg, const struct hmem *m)
{
    bool sib = m->index >= 0 || m->base < 0 || (m->base & 7) == H_RSP;
    bool disp8 = m->disp == (i8)m->disp;
    u8 mod = m->base < 0 ? 0 : m->disp == 0 && (m->base & 7) != H_RBP ? 0 : disp8 ? 1 : 2;
    struct head h = head(form, op, reg >= 8, m->index >= 8, m->base >= 8);

    CHECK(m->index != H_RSP);
    add(&h, mod << 6 | (reg & 7) << 3 | (sib ? 4 : m->base & 7));
    if (sib)
        add(&h, m->scale << 6 | (m->index < 0 ? 4 : m->index & 7) << 3 | (m->base < 0 ? 5 : m->base & 7));
    CHECK(h.len <= 8);
    emit_put(e, h.bytes, h.len);
    if (m->base < 0 || mod == 2)
        emit32(e, m->disp);
    else if (mod == 1)
        emit8(e, m->disp);
}

void emit_mov_rr(struct emit *e, unsigned dst, unsigned src) { emit_rr(e, 0, 0x8b, dst, src); }
void emit_mov64_rr(struct emit *e, unsigned dst, unsigned src) { emit_rr(e, E_W, 0x8b, dst, src); }

void emit_mov_ri(struct emit *e, unsigned dst, u32 imm)
{
    struct head h = head(0, 0xb8 + (dst & 7), false, false, dst >= 8);

    emit_put(e, h.bytes | (u64)imm << 8 * h.len, h.len + 4);
}

void emit_mov64_ri(struct emit *e, unsigned dst, u64 imm)
{
    struct head h = head(E_W, 0xb8 + (dst & 7), false, false, dst >= 8);

    emit_put(e, h.bytes, h.len);
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
    emit_put(e, 0xe9 | (u64)(target - (emit_here(e) + 5)) << 8, 5);
}

void emit_call(struct emit *e, u32 target)
{
    emit_put(e, 0xe8 | (u64)(target - (emit_here(e) + 5)) << 8, 5);
}

void emit_jcc(struct emit *e, unsigned cc, u32 target)
{
    emit_put(e, 0x0f | (0x80 + cc) << 8 | (u64)(target - (emit_here(e) + 6)) << 16, 6);
}

u8 *emit_short(struct emit *e, u8 opcode)
{
    emit_put(e, opcode, 2);
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
