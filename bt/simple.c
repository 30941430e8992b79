// SPDX-License-Identifier: GPL-2.0-or-later
// Instructions that are copied nearly as they are ("identical translation"): the opcode stays, ESP becomes r13, and a memory
// operand becomes one of memory.c's.
#include "trans.h"

#include "simd_forms.h"

// A byte register operand 4-7 is AH-BH only without a REX prefix, and every memory operand of ours has one. The byte travels
// through the red zone below RSP, which signal frames (on their own stack) leave alone.
static const struct hmem red_zone = { H_RSP, -1, 0, -8 };

// One CPU, and devices that look at what drivers share with them on its thread only: nobody sees the difference.
unsigned lock_form(const struct trans *t, const struct insn *insn)
{
    return insn->prefix & PFX_LOCK && !t->bt->opt.unlock ? E_LOCK : 0;
}

static unsigned form_of(const struct trans *t, const struct insn *insn)
{
    unsigned form = lock_form(t, insn);

    if (insn->opsize == 2 && !(insn->attr & INSN_8BIT))
        form |= E_66;
    return form;
}

static void emit_imm(struct trans *t, const struct insn *insn)
{
    emit_bytes(t->e, &insn->imm, insn->imm_len);
}

// XCHG with memory, which locks unasked. Its first access is to be a read and write, as XCHG's is, for the sake of the
// error code of a fault; NOT leaves the flags alone.
static void exchange(struct trans *t, const struct insn *insn, unsigned form, unsigned reg)
{
    struct hmem m = mem_operand(t, insn, insn->mem_size, MEMACC_WRITE);
    unsigned wide = insn->op & 1;

    emit_rm(t->e, form, 0xf6 | wide, 2, &m);                  // not [m]
    emit_rm(t->e, form, 0x8a | wide, H_R11, &m);
    emit_rm(t->e, form, 0x88 | wide, reg, &m);
    emit_rr(t->e, form, 0xf6 | wide, 2, H_R11);
    emit_rr(t->e, form, 0x8a | wide, reg, H_R11);
}

enum reg_role { REG_GPR, REG_EXT, REG_OTHER };

// op with a ModRM byte, general registers.
static bool copy_modrm(struct trans *t, const struct insn *insn, unsigned op, enum reg_role role)
{
    struct emit *e = t->e;
    unsigned form = form_of(t, insn);
    bool byte = insn->attr & INSN_8BIT;
    bool reg8 = byte && role == REG_GPR; // reg is a byte register
    unsigned reg = role == REG_GPR && !byte ? host_gpr(insn->reg) : insn->reg;
    enum mem_access access = insn->mem & MEM_WRITE ? MEMACC_WRITE : MEMACC_READ;
    struct hmem m;

    if (!insn->has_mem) {
        unsigned rm = byte ? insn->rm : host_gpr(insn->rm);

        emit_rr(e, form, op, reg, rm);
        emit_imm(t, insn);
        return true;
    }
    if (!insn->mem_size || insn->mem_size > 16)
        return false;
    if (reg8 && insn->reg >= 4) {
        // AH-BH: 88, 84 and the ALU forms 0-3 of each row only.
        bool to_reg = (op & 3) == 2;

        if (op >= 0x100 || op == OP1(0x86))
            return false;
        m = mem_operand(t, insn, 1, access);
        if (to_reg) {
            emit_rm(e, 0, OP0F(0xb6), H_R11, &m);             // movzx r11d, byte [m]
            emit_rm(e, 0, 0x88, H_R11, &red_zone);
            emit_rm(e, 0, op, insn->reg, &red_zone);
        } else {
            emit_rm(e, 0, 0x88, insn->reg, &red_zone);
            emit_rm(e, 0, OP0F(0xb6), H_R11, &red_zone);      // r9 may hold a segment's window
            emit_rm(e, form, op, H_R11, &m);
        }
        return true;
    }
    if ((op & ~1u) == OP1(0x86) && t->bt->opt.unlock) {
        exchange(t, insn, form, reg);
        return true;
    }
    m = mem_operand(t, insn, insn->mem_size, access);
    // RSP, RBP, RSI, RDI as byte registers cannot be meant here: reg < 4.
    emit_rm(e, form, op, reg, &m);
    emit_imm(t, insn);
    return true;
}

static bool copy_bytes(struct trans *t, const struct insn *insn)
{
    if (form_of(t, insn) & E_66)
        emit8(t->e, 0x66);
    if (insn->op >> 8)
        emit8(t->e, 0x0f);
    emit8(t->e, insn->op);
    if (insn->attr & INSN_MODRM)
        emit8(t->e, insn->modrm);
    emit_imm(t, insn);
    return true;
}

// MOVZX, MOVSX: rm is a byte or word, reg a full register.
static bool extend(struct trans *t, const struct insn *insn)
{
    unsigned form = insn->opsize == 2 ? E_66 : 0;
    bool byte = !(insn->op & 1);

    if (insn->has_mem) {
        struct hmem m = mem_operand(t, insn, byte ? 1 : 2, MEMACC_READ);

        emit_rm(t->e, form, insn->op, host_gpr(insn->reg), &m);
        return true;
    }
    if (byte && insn->rm >= 4 && insn->reg == R_ESP)
        return false;
    emit_rr(t->e, form, insn->op, host_gpr(insn->reg), byte ? insn->rm : host_gpr(insn->rm));
    return true;
}

static bool translate_lea(struct trans *t, const struct insn *insn)
{
    if (!insn->has_mem)
        return false;
    if (insn->opsize == 2) {
        if (insn->reg == R_ESP)
            flush_delta(t);
        emit_ea(t, insn, H_R8);
        emit_rr(t->e, E_66, 0x8b, host_gpr(insn->reg), H_R8);
    } else if (insn->reg == R_ESP && insn->base == R_ESP && insn->index < 0 &&
               insn->addrsize == 4 && t->bt->opt.esp && !trans_mode(t, MODE_STACK16)) {
        t->delta = (u32)t->delta + insn->disp;
    } else if (insn->reg == R_ESP) {
        emit_ea(t, insn, H_R8);
        emit_mov_rr(t->e, H_ESP, H_R8);
        t->delta = 0;
    } else {
        emit_ea(t, insn, insn->reg);
    }
    return true;
}

// FLDCW, FNSTCW, FNSTSW, FNCLEX and the like leave x87's pointers alone.
static bool x87_control(const struct insn *insn)
{
    if (insn->has_mem)
        return (insn->op == OP1(0xd9) && insn->reg >= 5) || (insn->op == OP1(0xdd) && insn->reg == 7);
    return (insn->op == OP1(0xdb) && insn->reg == 4) || (insn->op == OP1(0xdf) && insn->modrm == 0xe0);
}

// Do x87's operands in the block lie in one segment?
static bool x87_one_segment(const struct trans *t, unsigned seg)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->insn[i].attr & INSN_X87 && t->insn[i].has_mem && t->insn[i].seg != seg)
            return false;
    return true;
}

// Whose segments its pointers belong to (struct bt_frame). Once a block, mostly.
static void x87_note_segments(struct trans *t, const struct insn *insn)
{
    struct emit *e = t->e;

    if (!insn->has_mem) {
        if (t->x87_noted)
            return;
        emit_rm(e, 0, 0xc6, 0, &(struct hmem){ H_VCPU, -1, 0, FRAME_OFF(x87_cs) });
        emit8(e, 1);
        t->x87_noted = X87_CS;
        return;
    }
    if (trans_mode(t, MODE_REAL)) {
        emit_rm(e, 0, OP0F(0xb7), H_R8, &(struct hmem){ H_VCPU, -1, 0, SEG_OFF(insn->seg, sel) });
        emit_store(e, H_VCPU, FRAME_OFF(x87_data_sel), H_R8);
        emit_store_imm(e, H_VCPU, FRAME_OFF(x87_cs), 1);
    } else if (t->x87_noted != insn->seg + 1u || !x87_one_segment(t, insn->seg)) {
        emit_store_imm(e, H_VCPU, FRAME_OFF(x87_cs), 1 | (insn->seg + 1) << 8); // x87_data, too
    }
    t->x87_noted = insn->seg + 1;
}

// Those that x87() below leaves to the emulator.
static bool x87_emulated(const struct insn *insn)
{
    if (!insn->has_mem)
        return insn->op == OP1(0xdb) && insn->modrm == 0xe3; // FNINIT: clears pointers that the engine keeps
    // FLDENV, FNSTENV, FRSTOR, FNSAVE have formats that depend on the mode, and pointers that do on us.
    return ((insn->op == OP1(0xd9) || insn->op == OP1(0xdd)) && (insn->reg == 4 || insn->reg == 6)) || !insn->mem_size;
}

// Does the next instruction overwrite what is noted of this one? Who stops between the two makes up for it (bt_fpu_settle).
static bool x87_goes_on(const struct trans *t)
{
    const struct insn *next = &t->insn[t->cur + 1];

    if (t->rq->compare || t->cur + 1 == t->count || next->attr & INSN_UD)
        return false;
    return next->op >= OP1(0xd8) && next->op <= OP1(0xdf) && !x87_control(next) && !x87_emulated(next) &&
           !(t->rq->hints && t->rq->hints[t->offset[t->cur + 1]] & HINT_EMULATE);
}

// Behind the instruction, which changes no general register: that it was the last one, and where its operand is.
static void x87_note(struct trans *t, const struct insn *insn, const struct hmem *m)
{
    struct emit *e = t->e;

    if (x87_control(insn))
        return;
    t->out->insn[t->cur].flags |= BLOCK_INSN_X87 | ((insn->op & 7) << 8 | insn->modrm) << BLOCK_INSN_FOP_SHIFT;
    x87_note_segments(t, insn);
    if (x87_goes_on(t))
        return;
    emit_store_imm(e, H_VCPU, FRAME_OFF(x87_host), t->host[t->cur]);
    for (unsigned i = t->cur; !insn->has_mem && i > 0 && t->out->insn[i - 1].flags & BLOCK_INSN_X87; )
        insn = &t->insn[--i]; // the last operand of the row
    if (insn->has_mem && insn->base < 0 && insn->index < 0) {
        emit_store_imm(e, H_VCPU, FRAME_OFF(x87_offset), insn->addrsize == 2 ? (u16)insn->disp : (u32)insn->disp);
    } else if (insn->has_mem) {
        // It may be there already, as the offset is the linear address.
        if (insn != &t->insn[t->cur] || m->index != H_R8 || !seg_flat(t, insn->seg))
            emit_ea(t, insn, H_R8);
        emit_store(e, H_VCPU, FRAME_OFF(x87_offset), H_R8);
    }
}

static bool x87(struct trans *t, const struct insn *insn)
{
    unsigned ext = insn->reg;
    struct hmem m;

    if (x87_emulated(insn))
        return false;
    if (!insn->has_mem) {
        emit8(t->e, insn->op);
        emit8(t->e, insn->modrm);
        x87_note(t, insn, NULL);
        return true;
    }
    m = mem_operand(t, insn, insn->mem_size, insn->mem & MEM_WRITE ? MEMACC_WRITE : MEMACC_READ);
    emit_rm(t->e, 0, insn->op, ext, &m);
    x87_note(t, insn, &m);
    return true;
}

static bool simd(struct trans *t, const struct insn *insn)
{
    struct emit *e = t->e;
    unsigned form = 0, roles;

    if (t->rq->mode & MODE_NO_FPU || (insn->attr & INSN_SSE && t->rq->mode & MODE_NO_SSE))
        return false;
    roles = simd_roles(insn);
    if (roles & SIMD_EMULATE)
        return false;
    if ((roles & SIMD_REG_GPR && insn->reg == R_ESP) ||
        (roles & SIMD_RM_GPR && !insn->has_mem && insn->rm == R_ESP))
        return false;
    if (!(insn->attr & INSN_MODRM)) { // EMMS
        emit8(e, 0x0f), emit8(e, 0x77);
        return true;
    }
    if (insn->prefix & PFX_66)
        form |= E_66;
    if (insn->prefix & PFX_REPNE)
        form |= E_F2;
    else if (insn->prefix & PFX_REP)
        form |= E_F3;
    if (insn->has_mem) {
        enum mem_access access = insn->mem & MEM_WRITE ? MEMACC_WRITE : MEMACC_READ;
        struct hmem m;

        if (!insn->mem_size)
            return false;
        m = mem_operand(t, insn, insn->mem_size, access);
        emit_rm(e, form, insn->op, insn->reg, &m);
    } else {
        emit_rr(e, form, insn->op, insn->reg, insn->rm);
    }
    emit_imm(t, insn);
    return true;
}

// Eight bytes whatever the operand size.
static bool cmpxchg8b(struct trans *t, const struct insn *insn)
{
    struct hmem m = mem_operand(t, insn, 8, MEMACC_WRITE);

    emit_rm(t->e, lock_form(t, insn), insn->op, insn->reg, &m);
    return true;
}

static bool xlat(struct trans *t, const struct insn *insn)
{
    struct emit *e = t->e;
    struct hmem m;

    emit_rr(e, 0, OP0F(0xb6), H_R9, H_RAX);              // movzx r9d, al
    emit_lea(e, H_R8, H_RBX, H_R9, 0, 0);
    if (insn->addrsize == 2)
        emit_rr(e, 0, OP0F(0xb7), H_R8, H_R8);
    m = segment_operand(t, insn->seg, insn->addrsize == 2 ? 0xffff : ~0u, 1, MEMACC_READ);
    emit_rm(e, 0, 0x8a, H_RAX, &m);
    return true;
}

// POPCNT, TZCNT, LZCNT, CRC32, MOVBE, ADCX, ADOX: a mandatory prefix is part of the opcode.
static bool prefixed(struct trans *t, const struct insn *insn)
{
    bool byte = insn->op == OP0F38(0xf0) && insn->prefix & PFX_REPNE, adx = insn->op == OP0F38(0xf6);
    unsigned form = adx ? insn->prefix & PFX_66 ? E_66 : 0 : insn->opsize == 2 && !byte ? E_66 : 0;
    struct hmem m;

    if (insn->prefix & PFX_REPNE)
        form |= E_F2;
    else if (insn->prefix & PFX_REP)
        form |= E_F3;
    if (insn->has_mem) {
        m = mem_operand(t, insn, insn->mem_size, insn->mem & MEM_WRITE ? MEMACC_WRITE : MEMACC_READ);
        emit_rm(t->e, form, insn->op, host_gpr(insn->reg), &m);
        return true;
    }
    if (byte && insn->rm >= 4 && insn->reg == R_ESP)
        return false; // AH-BH have no name beside r13
    emit_rr(t->e, form, insn->op, host_gpr(insn->reg), byte ? insn->rm : host_gpr(insn->rm));
    return true;
}

static bool map_1(struct trans *t, const struct insn *insn)
{
    u8 op = insn->op;

    if (op < 0x40 && (op & 7) < 4)
        return copy_modrm(t, insn, op, REG_GPR);
    if (op < 0x40 && (op & 7) < 6)
        return copy_bytes(t, insn);
    switch (op) {
    case 0x40 ... 0x4f: // INC/DEC r: the one-byte forms are REX prefixes in 64-bit mode
        emit_rr(t->e, form_of(t, insn), 0xff, op >= 0x48, host_gpr(op & 7));
        return true;
    case 0x69: case 0x6b: case 0x84 ... 0x8b:
        return copy_modrm(t, insn, op, REG_GPR);
    case 0x80: case 0x81: case 0x83: case 0xc0: case 0xc1: case 0xd0 ... 0xd3:
        return copy_modrm(t, insn, op, REG_EXT);
    case 0x82:
        return copy_modrm(t, insn, 0x80, REG_EXT);
    case 0x8d:
        return translate_lea(t, insn);
    case 0x90:
        if (insn->prefix & PFX_REP)
            emit8(t->e, 0xf3), emit8(t->e, 0x90); // pause
        return true;
    case 0x91 ... 0x97:
        emit_rr(t->e, form_of(t, insn), 0x87, H_RAX, host_gpr(op & 7));
        return true;
    case 0x98: case 0x99: case 0xa8: case 0xa9: case 0xb0 ... 0xb7: case 0xf5: case 0xf8: case 0xf9:
        return copy_bytes(t, insn);
    case 0x9e: case 0x9f:
        return t->bt->stubs.lahf && copy_bytes(t, insn);
    case 0xb8 ... 0xbf:
        if (insn->opsize == 2) {
            emit_rr(t->e, E_66, 0xc7, 0, host_gpr(op & 7));
            emit16(t->e, insn->imm);
        } else {
            emit_mov_ri(t->e, host_gpr(op & 7), insn->imm);
        }
        return true;
    case 0xa0 ... 0xa3: { // MOV with an absolute offset: as 8A/8B/88/89 (67 with these stalls decoders)
        static const u8 same[4] = { 0x8a, 0x8b, 0x88, 0x89 };
        struct hmem m = mem_operand(t, insn, insn->mem_size, op & 2 ? MEMACC_WRITE : MEMACC_READ);

        emit_rm(t->e, op & 1 && insn->opsize == 2 ? E_66 : 0, same[op & 3], H_RAX, &m);
        return true;
    }
    case 0xc6: case 0xc7: case 0xf6: case 0xf7: case 0xfe:
        return copy_modrm(t, insn, op, REG_EXT);
    case 0xff:
        return insn->reg < 2 && copy_modrm(t, insn, op, REG_EXT);
    case 0xd7:
        return xlat(t, insn);
    case 0x9b:
        if (t->rq->mode & MODE_NO_FPU)
            return false;
        return copy_bytes(t, insn);
    case 0xd8 ... 0xdf:
        return !(t->rq->mode & MODE_NO_FPU) && x87(t, insn);
    }
    return false;
}

static bool map_0f(struct trans *t, const struct insn *insn)
{
    u8 op = insn->op;

    if (insn->attr & (INSN_MMX | INSN_SSE))
        return simd(t, insn);
    switch (op) {
    case 0x0d: case 0x18 ... 0x1f: // hints
        return true;
    case 0xae: // LFENCE, also to wait for what was executed before; MFENCE and SFENCE order stores for other CPUs
        if (insn->has_mem || insn->reg < 5)
            return false;
        if (insn->reg == 5 || !t->bt->opt.unlock)
            emit8(t->e, 0x0f), emit8(t->e, 0xae), emit8(t->e, insn->modrm);
        return true;
    case 0x40 ... 0x4f: case 0xa4: case 0xac: case 0xa5: case 0xad: case 0xaf:
        return copy_modrm(t, insn, insn->op, REG_GPR);
    case 0xb0: case 0xb1: case 0xc0: case 0xc1:
        if (insn->attr & INSN_8BIT && insn->has_mem && insn->reg >= 4)
            return false;
        return copy_modrm(t, insn, insn->op, REG_GPR);
    case 0x90 ... 0x9f: case 0xba:
        return copy_modrm(t, insn, insn->op, REG_EXT);
    case 0xa3: case 0xab: case 0xb3: case 0xbb: // BT r/m, r: the bit may lie far from a memory operand
        return !insn->has_mem && copy_modrm(t, insn, insn->op, REG_GPR);
    case 0xb6: case 0xb7: case 0xbe: case 0xbf:
        return extend(t, insn);
    case 0xbc: case 0xbd:
        // TZCNT and LZCNT where the guest's CPU has them (then the host's does too), else BSF and BSR.
        if (insn->prefix & PFX_REP && t->bt->isa & BIT(insn->op == OP0F(0xbc) ? ISA_TZCNT : ISA_LZCNT))
            return prefixed(t, insn);
        return copy_modrm(t, insn, insn->op, REG_GPR);
    case 0xb8:
        return prefixed(t, insn);
    case 0xc7:
        return insn->reg == 1 && insn->has_mem && cmpxchg8b(t, insn);
    case 0xc8 ... 0xcf:
        if (insn->opsize == 2)
            return false;
        emit8(t->e, host_gpr(op & 7) >= 8 ? 0x41 : 0x40);
        emit8(t->e, 0x0f);
        emit8(t->e, 0xc8 | (host_gpr(op & 7) & 7));
        return true;
    }
    return false;
}

bool simple_translate(struct trans *t, const struct insn *insn)
{
    switch (insn->op >> 8) {
    case MAP_1:
        return map_1(t, insn);
    case MAP_0F:
        return map_0f(t, insn);
    default:
        if (insn->op == OP0F38(0xf0) || insn->op == OP0F38(0xf1) || insn->op == OP0F38(0xf6))
            return prefixed(t, insn);
        return insn->attr & (INSN_MMX | INSN_SSE) && simd(t, insn);
    }
}
