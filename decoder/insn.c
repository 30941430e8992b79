// SPDX-License-Identifier: GPL-2.0-or-later
// Guest bytes to struct insn. The tables (map_*.c) say what each opcode is; this file knows the
// encoding: prefixes, ModRM, SIB, displacements, immediates, and what LOCK may stand before.
#include "insn.h"

#include "row.h"

const char *const sensitive_name[SENS_COUNT] = {
    [SENS_NONE] = "none",
#define X(id, name, priv) [SENS_##id] = name,
    SENSITIVE_LIST(X)
#undef X
};

// What the loop over the prefixes does with a byte.
enum { P_NONE, P_SEG, P_66, P_67, P_LOCK, P_REPNE, P_REP };
static const u8 prefix_kind[256] = {
    [0x26] = P_SEG, [0x2e] = P_SEG, [0x36] = P_SEG, [0x3e] = P_SEG, [0x64] = P_SEG, [0x65] = P_SEG,
    [0x66] = P_66, [0x67] = P_67, [0xf0] = P_LOCK, [0xf2] = P_REPNE, [0xf3] = P_REP,
};

static const u8 mem_size[][2] = { // by operand size: 16, 32
    [SIZE_0] = { 0, 0 }, [SIZE_1] = { 1, 1 }, [SIZE_2] = { 2, 2 }, [SIZE_4] = { 4, 4 },
    [SIZE_8] = { 8, 8 }, [SIZE_6] = { 6, 6 }, [SIZE_10] = { 10, 10 }, [SIZE_16] = { 16, 16 },
    [SIZE_V] = { 2, 4 }, [SIZE_P] = { 4, 6 }, [SIZE_A] = { 4, 8 }, [SIZE_ENV] = { 14, 28 },
    [SIZE_SAVE] = { 94, 108 },
};

// The bytes being decoded. Reads past end set `out` and give 0, so that only the end of the
// decoding has to look; end is never more than INSN_MAX bytes from the start.
struct cursor {
    const u8 *p, *end;
    bool out;
};

static inline u32 fetch(struct cursor *c, unsigned n)
{
    const u8 *p = c->p;

    if (unlikely((size_t)(c->end - p) < n)) {
        c->p = c->end;
        c->out = true;
        return 0;
    }
    c->p = p + n;
    switch (n) {
    case 1:
        return (u32)(i8)p[0];
    case 2:
        return (u32)(i16)(p[0] | p[1] << 8);
    default:
        return p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24;
    }
}

static inline void decode_modrm(struct insn *insn, struct cursor *c)
{
    u8 modrm = fetch(c, 1);

    insn->attr = INSN_MODRM;
    insn->modrm = modrm;
    insn->mod = modrm >> 6;
    insn->reg = modrm >> 3 & 7;
    insn->rm = modrm & 7;
}

static inline void decode_disp(struct insn *insn, struct cursor *c, unsigned n)
{
    insn->disp_len = n;
    if (n)
        insn->disp = fetch(c, n);
}

// SDM volume 2, table 2-2 and 2-3.
static inline void decode_mem32(struct insn *insn, struct cursor *c)
{
    unsigned base = insn->rm;
    bool absolute;

    if (base == R_ESP) { // a SIB byte follows
        u8 sib = fetch(c, 1);

        base = sib & 7;
        if ((sib >> 3 & 7) != R_ESP) {
            insn->index = sib >> 3 & 7;
            insn->scale = sib >> 6;
        }
    }
    absolute = base == R_EBP && insn->mod == 0;
    if (!absolute) {
        insn->base = base;
        if ((base == R_ESP || base == R_EBP) && !(insn->prefix & PFX_SEG))
            insn->seg = S_SS;
    }
    decode_disp(insn, c, absolute || insn->mod == 2 ? 4 : insn->mod);
}

// SDM volume 2, table 2-1.
static inline void decode_mem16(struct insn *insn, struct cursor *c)
{
    static const i8 base[8] = { R_EBX, R_EBX, R_EBP, R_EBP, -1, -1, R_EBP, R_EBX };
    static const i8 index[8] = { R_ESI, R_EDI, R_ESI, R_EDI, R_ESI, R_EDI, -1, -1 };

    if (insn->mod == 0 && insn->rm == 6) {
        decode_disp(insn, c, 2);
        return;
    }
    insn->base = base[insn->rm];
    insn->index = index[insn->rm];
    if (insn->base == R_EBP && !(insn->prefix & PFX_SEG))
        insn->seg = S_SS;
    decode_disp(insn, c, insn->mod);
}

static inline void decode_imm(struct insn *insn, struct cursor *c, unsigned kind)
{
    switch (kind) {
    case IMM_NONE:
        return;
    case IMM_O:
        insn->has_mem = true;
        insn->disp_len = insn->addrsize;
        insn->disp = fetch(c, insn->addrsize);
        if (insn->addrsize == 2)
            insn->disp &= 0xffff;
        return;
    case IMM_B:
        insn->imm_len = 1;
        break;
    case IMM_W:
    case IMM_WB:
        insn->imm_len = 2;
        break;
    case IMM_Z:
    case IMM_AP:
        insn->imm_len = insn->opsize;
        break;
    }
    insn->imm = fetch(c, insn->imm_len);
    if (kind == IMM_AP)
        insn->imm2 = fetch(c, 2);
    else if (kind == IMM_WB)
        insn->imm2 = (u8)fetch(c, 1);
}

// Follows a row's choices to the row that describes the instruction, reading ModRM if they ask.
static inline const struct row *row_find(const struct row *row, struct insn *insn, struct cursor *c)
{
    while (row->by != BY_NONE) {
        if (row->by != BY_PFX && !(insn->attr & INSN_MODRM))
            decode_modrm(insn, c);
        row = row_choose(row, insn);
    }
    return row;
}

// An undefined instruction has a length and nothing else; its #UD shows all flags to the guest.
static void insn_undefined(struct insn *insn)
{
    insn->attr = (insn->attr & INSN_MODRM) | INSN_UD | INSN_STOP;
    insn->mem = MEM_NONE;
    insn->mem_size = 0;
    insn->flow = FLOW_NONE;
    insn->sensitive = SENS_NONE;
    insn->isa = ISA_386;
    insn->flags_read = FL_EVERY;
    insn->flags_written = 0;
    if (!insn->name)
        insn->name = "(undefined)";
}

// C4 with what would be a register operand of LES: VEX. Where it is of no map that we have, or behind a prefix that VEX does
// away with, it is as undefined as that LES; what it takes to know that is fetched.
static const struct row *decode_vex(struct insn *insn, struct cursor *c)
{
    static const struct row none = NONE;
    const struct row *row;
    u8 byte;

    insn->op = OP1(0xc4);
    if ((fetch(c, 1) & 0x1f) != 2 || insn->prefix & (PFX_66 | PFX_REP | PFX_REPNE | PFX_LOCK))
        return &none;
    byte = fetch(c, 1); // WvvvvLpp
    if (byte & 7)
        return &none;
    insn->vreg = ~byte >> 3 & 7;
    byte = fetch(c, 1);
    row = &insn_map_vex38[byte];
    if (!row->name && row->by == BY_NONE)
        return &none;
    insn->op = OPVEX38(byte);
    return row;
}

static const struct row *decode_opcode(struct insn *insn, struct cursor *c)
{
    u8 byte = fetch(c, 1);

    if (unlikely(byte == 0xc4) && c->p < c->end && *c->p >= 0xc0)
        return decode_vex(insn, c);
    if (byte != 0x0f) {
        insn->op = OP1(byte);
        return &insn_map_1[byte];
    }
    byte = fetch(c, 1);
    if (byte == 0x38) {
        byte = fetch(c, 1);
        insn->op = OP0F38(byte);
        return &insn_map_0f38[byte];
    }
    if (byte == 0x3a) {
        byte = fetch(c, 1);
        insn->op = OP0F3A(byte);
        return &insn_map_0f3a[byte];
    }
    insn->op = OP0F(byte);
    return &insn_map_0f[byte];
}

static inline void decode_prefixes(struct insn *insn, struct cursor *c)
{
    static const u8 seg_of[8] = { // by bits 5..3 of 26, 2E, 36, 3E and bit 0 of 64, 65
        [0x26 >> 3 & 7] = S_ES, [0x2e >> 3 & 7] = S_CS, [0x36 >> 3 & 7] = S_SS,
        [0x3e >> 3 & 7] = S_DS,
    };
    unsigned prefix = 0;

    for (; c->p < c->end; c->p++) {
        u8 byte = *c->p;

        switch (prefix_kind[byte]) {
        case P_NONE:
            goto done;
        case P_SEG:
            prefix |= PFX_SEG;
            insn->seg = byte & 0x40 ? S_FS + (byte & 1) : seg_of[byte >> 3 & 7];
            break;
        case P_66:
            prefix |= PFX_66;
            break;
        case P_67:
            prefix |= PFX_67;
            break;
        case P_LOCK:
            prefix |= PFX_LOCK;
            break;
        case P_REPNE:
            prefix = (prefix & ~PFX_REP) | PFX_REPNE;
            break;
        case P_REP:
            prefix = (prefix & ~PFX_REPNE) | PFX_REP;
            break;
        }
    }
done:
    insn->prefix = prefix;
}

// The flags it would write may keep their old values instead: they count as read.
static inline void flags_survive(struct insn *insn)
{
    insn->flags_read |= insn->flags_written;
    insn->flags_written = 0;
}

enum insn_status insn_decode(struct insn *insn, const u8 *bytes, unsigned avail, bool code32)
{
    struct cursor c = { .p = bytes, .end = bytes + MIN(avail, INSN_MAX) };
    const struct row *row;
    u64 enc;

    *insn = (struct insn){ .seg = S_DS, .base = -1, .index = -1 };
    decode_prefixes(insn, &c);
    insn->pfx_len = c.p - bytes;
    insn->opsize = code32 ^ !!(insn->prefix & PFX_66) ? 4 : 2;
    insn->addrsize = code32 ^ !!(insn->prefix & PFX_67) ? 4 : 2;

    row = row_find(decode_opcode(insn, &c), insn, &c);
    enc = row->enc;
    if (enc & E_MODRM && !(insn->attr & INSN_MODRM))
        decode_modrm(insn, &c);
    if (insn->attr & INSN_MODRM) {
        if (unlikely(enc & E_NO_MEM))
            insn->mod = 3;
        if (insn->mod != 3) {
            insn->has_mem = true;
            if (likely(insn->addrsize == 4))
                decode_mem32(insn, &c);
            else
                decode_mem16(insn, &c);
        }
    }
    if (unlikely(enc & (E_OS16 | E_OS32)))
        insn->opsize = enc & E_OS16 ? 2 : 4;
    decode_imm(insn, &c, ENC_IMM(enc));
    if (unlikely(c.out))
        return avail >= INSN_MAX ? INSN_TOO_LONG : INSN_TRUNCATED;

    insn->len = c.p - bytes;
    insn->attr |= ENC_ATTR(enc);
    insn->name = row->name;
    insn->flow = row->flow;
    insn->sensitive = row->sensitive;
    insn->isa = row->isa;
    insn->flags_read = row->flags_read;
    insn->flags_written = row->flags_written;
    if (insn->has_mem) {
        insn->mem = ENC_MEM(enc);
        insn->mem_size = mem_size[ENC_SIZE(enc)][insn->opsize == 4];
    }
    if ((enc & E_FIX_COUNT && !(insn->imm & 31)) ||
        (enc & E_FIX_REP && insn->prefix & (PFX_REP | PFX_REPNE)))
        flags_survive(insn);

    if (unlikely(!row->name || insn->attr & INSN_UD ||
                 (enc & E_MEM_ONLY && !insn->has_mem) || (enc & E_REG_ONLY && insn->has_mem) ||
                 (insn->prefix & PFX_LOCK && !(insn->attr & INSN_LOCKABLE && insn->has_mem))))
        insn_undefined(insn);
    return INSN_OK;
}
