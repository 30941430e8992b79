// SPDX-License-Identifier: GPL-2.0-or-later
// Translates guest bytes with dummy callouts, and holds the host code against what bt/README.md promises: above all
// that nothing it can address lies outside the guest's window and the few places that are meant (isolation).
//
// The code is decoded again with Zydis, from its start to its end, and followed with a small abstract state: what the
// scratch registers are known to hold, and which registers are not zero-extended just now.
#ifndef RING3_TESTS_BT_CHECKER_H
#define RING3_TESTS_BT_CHECKER_H

#include "bt_rig.h"

#include <stdarg.h>

enum scratch {
    UNKNOWN, U32, U16, RCX_COPY,        // RCX_COPY: the guest's rcx, all of it
    LAST, LAST_PAGE, LAST_TAG,          // r9: of the last byte, its page, the tag to find
    COPY, SHIFTED, INDEX, ADDEND,       // r10: of r8d, and on to a TLB entry's addend
    SEG_WINDOW, JUMP,                   // r9: a segment's window, an entry of the jump table
    TLB_NUMBER,                         // r9: the one to look for
    SOURCE,                             // r10: rq->compare
    SLOT_HOST,                          // r10: host address in a slot
};

// Of each byte of host code. Where a branch leads, within an instruction's code or to a tail: with a copy of rcx in r9, or not.
// Or with a TLB entry that was looked up, for writing, and did not match.
enum { CODE = 1, DATA = 2, FROM_COPY = 4, FROM_OTHER = 8, FROM_MISS = 16 };

struct checker {
    struct rig *r;
    const struct bt_request *rq;
    const struct bt_code *code;
    u8 *kind;              // of each byte: CODE where an instruction starts, DATA
    u32 at, insn;          // the instruction's offset; which guest instruction it is of
    ZydisDecodedInstruction z;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    enum scratch r8, r9, r10;
    u32 last;              // size that LAST.. and ADDEND are about
    bool compared, compared_write, missed, tlb_write;
    bool skips;            // the last instruction was a JRCXZ over the next one, a jump
    u32 wide;              // general registers that may exceed 32 bits, a bit each
    bool bad;
};

static inline void print_checker(const struct checker *c)
{
    const struct block *b = &c->code->block;

    fprintf(stderr, "guest, mode %#x, eip %#x, options:", c->rq->mode, c->rq->eip);
#define X(id, def, help) fprintf(stderr, " " #id "=%d", c->r->bt.opt.id);
    BT_OPTION_LIST(X)
#undef X
    fprintf(stderr, "\nbytes:");
    for (u32 i = 0; i < c->rq->avail; i++)
        fprintf(stderr, " %02x", c->rq->bytes[i]);
    fprintf(stderr, "\n");
    insn_print(stderr, c->rq->bytes, b->guest_len, b->eip, c->rq->mode & MODE_CODE16 ? 16 : 32);
    fprintf(stderr, "host:\n");
    insn_print(stderr, c->r->room, b->host_len, b->host, 64);
}

__attribute__((format(printf, 2, 3))) static void complain(struct checker *c, const char *fmt, ...)
{
    va_list ap;

    if (!c->bad && !c->r->silent) {
        print_checker(c);
        va_start(ap, fmt);
        fprintf(stderr, "at %#x, guest instruction %u: ", c->code->block.host + c->at, c->insn);
        vfprintf(stderr, fmt, ap);
        fprintf(stderr, "\n");
        va_end(ap);
    }
    c->bad = true;
}

static int reg_of(ZydisRegister reg) // 0-15, or -1
{
    switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_GPR8:
        return ZydisRegisterGetId(ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg));
    case ZYDIS_REGCLASS_GPR16: case ZYDIS_REGCLASS_GPR32: case ZYDIS_REGCLASS_GPR64:
        return ZydisRegisterGetId(reg);
    default:
        return -1;
    }
}

static bool is_checked(const struct checker *c)
{
    return !c->r->bt.opt.direct || c->rq->mode & MODE_CHECKED;
}

static bool is_string(ZydisMnemonic m)
{
    switch (m) {
    case ZYDIS_MNEMONIC_MOVSB: case ZYDIS_MNEMONIC_MOVSW: case ZYDIS_MNEMONIC_MOVSD:
    case ZYDIS_MNEMONIC_CMPSB: case ZYDIS_MNEMONIC_CMPSW: case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_STOSB: case ZYDIS_MNEMONIC_STOSW: case ZYDIS_MNEMONIC_STOSD:
    case ZYDIS_MNEMONIC_LODSB: case ZYDIS_MNEMONIC_LODSW: case ZYDIS_MNEMONIC_LODSD:
    case ZYDIS_MNEMONIC_SCASB: case ZYDIS_MNEMONIC_SCASW: case ZYDIS_MNEMONIC_SCASD:
        return true;
    default:
        return false;
    }
}

static bool in_array(i64 disp, i32 start, u32 element, u32 count)
{
    return disp >= start && disp < start + (i64)(element * count) && (disp - start) % element == 0;
}

static bool is_reg(const ZydisDecodedOperand *op, ZydisRegister reg)
{
    return op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->reg.value == reg;
}

// [r15 + disp], [r15 + r10 + disp]
static bool vcpu_shape(struct checker *c, const ZydisDecodedOperand *op)
{
    i64 disp = op->mem.disp.value;
    bool write = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    i32 tlb = VCPU_OFF(tlb), sel = VCPU_OFF(seg) + offsetof(struct seg, sel);

    if (op->mem.index == ZYDIS_REGISTER_R10)
        return c->r10 == INDEX && op->mem.scale == 1 && !write &&
               (disp == tlb + (i32)offsetof(struct tlb_entry, rtag) ||
                (disp == tlb + (i32)offsetof(struct tlb_entry, free) && c->z.mnemonic == ZYDIS_MNEMONIC_BT) ||
                disp == tlb + (i32)offsetof(struct tlb_entry, wtag) ||
                disp == tlb + (i32)offsetof(struct tlb_entry, addend));
    if (op->mem.index != ZYDIS_REGISTER_NONE)
        return false;
    if (disp == FRAME_OFF(x87_cs))
        return write && (op->size == 8 || op->size == 32);
    // From tmp on, the frame has what emitted code keeps for itself and for C code.
    if (disp == VCPU_OFF(eflags) ||
        in_array(disp, FRAME_OFF(tmp), 4, (FRAME_OFF(seg_window) - FRAME_OFF(tmp)) / 4))
        return op->size == 32;
    if (write) // loads of segment registers
        return (c->rq->mode & MODE_REAL) &&
               ((in_array(disp, sel, sizeof(struct seg), S_COUNT) && op->size == 16) ||
                (in_array(disp, SEG_OFF(0, base), sizeof(struct seg), S_COUNT) && op->size == 32) ||
                (in_array(disp, FRAME_OFF(seg_origin), 8, S_COUNT) && op->size == 64));
    return ((disp == VCPU_OFF(event) || disp == VCPU_OFF(asid)) && op->size == 32) ||
           (disp == VCPU_OFF(tsc_offset) && op->size == 64) ||
           (in_array(disp, sel, sizeof(struct seg), S_COUNT) && op->size == 16) ||
           (in_array(disp, FRAME_OFF(seg_window), 8, S_COUNT) && op->size == 64) ||
           (in_array(disp, SEG_OFF(0, base), sizeof(struct seg), S_COUNT) && op->size == 32) ||
           (in_array(disp, FRAME_OFF(seg_origin), 8, S_COUNT) && op->size == 64) ||
           (in_array(disp, FRAME_OFF(seg_rlimit), 8, 2 * S_COUNT) && op->size == 64) ||
           (disp == FRAME_OFF(cs_key) && op->size == 64) ||
           (in_array(disp, FRAME_OFF(seg_asid), 4, S_COUNT) && op->size == 32);
}

static bool is_slot(i64 disp)
{
    return in_array(disp, offsetof(struct space_table, slot), 8, SPACE_SLOTS);
}

// Where a call's slot leads: read to see whether there is a thunk's mark.
static bool reads_slot(const struct checker *c)
{
    return c->r->bt.opt.thunks && !(c->rq->mode & MODE_SEGMENTED) && c->z.mnemonic == ZYDIS_MNEMONIC_MOV &&
           is_reg(&c->op[0], ZYDIS_REGISTER_R10D) && c->op[1].type == ZYDIS_OPERAND_TYPE_MEMORY &&
           c->op[1].mem.base == ZYDIS_REGISTER_R14 && c->op[1].mem.index == ZYDIS_REGISTER_NONE &&
           is_slot(c->op[1].mem.disp.value);
}

static bool table_shape(struct checker *c, const ZydisDecodedOperand *op)
{
    i64 disp = op->mem.disp.value;

    if (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
        return false;
    if (op->mem.index == ZYDIS_REGISTER_R9)
        return c->r9 == U16 && op->mem.scale == 4 && op->size == 32 &&
               disp == offsetof(struct space_table, jump);
    if (reads_slot(c))
        return true;
    if (c->rq->mode & MODE_SHARED && op->size == 32 && op->mem.index == ZYDIS_REGISTER_NONE)
        return disp / 4 * 4 == disp && (disp - (i64)offsetof(struct space_table, slot)) / 8 == c->rq->page_slot;
    return op->mem.index == ZYDIS_REGISTER_NONE && op->size == 64 && is_slot(disp);
}

static bool memory_shape(struct checker *c, const ZydisDecodedOperand *op)
{
    int index = reg_of(op->mem.index);
    bool write = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    bool hidden = op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;

    if (op->mem.segment == ZYDIS_REGISTER_FS || op->mem.segment == ZYDIS_REGISTER_GS)
        return false;
    switch (op->mem.base) {
    case ZYDIS_REGISTER_R12: // the guards hold a 32-bit register times 8 and a displacement
        if (is_checked(c) || ZydisRegisterGetClass(op->mem.base) != ZYDIS_REGCLASS_GPR64)
            return false;
        return op->mem.index == ZYDIS_REGISTER_NONE ? op->mem.disp.value >= 0 :
               index == H_R8 ? c->r8 == U32 && op->mem.scale == 1 :
               (index < 8 || index == H_ESP) && index != H_RSP && !(c->wide & BIT(index));
    case ZYDIS_REGISTER_R10:
        if (c->r10 == SOURCE)
            return !write && index < 0 && op->mem.disp.value >= 0 &&
                   op->mem.disp.value + op->size / 8 <= c->rq->avail;
        if (c->r10 == SLOT_HOST)
            return !write && index < 0 && op->mem.disp.value == 0 && op->size == 32 && is_reg(&c->op[0], ZYDIS_REGISTER_R10D);
        return c->r10 == ADDEND && index == H_R8 && op->mem.scale == 1 && op->mem.disp.value >= 0 &&
               op->mem.disp.value * 8 + op->size <= c->last * 8 && (!write || c->tlb_write);
    case ZYDIS_REGISTER_R9:
        return c->r9 == SEG_WINDOW && index == H_R8 && c->r8 == U32 && op->mem.scale == 1 &&
               op->mem.disp.value >= 0 && op->mem.disp.value <= 4;
    case ZYDIS_REGISTER_R14:
        return table_shape(c, op);
    case ZYDIS_REGISTER_R15:
        return vcpu_shape(c, op);
    case ZYDIS_REGISTER_RSP: // the red zone, one byte; calls, returns, PUSHFQ and the like
        return hidden || (op->mem.index == ZYDIS_REGISTER_NONE && op->mem.disp.value == -8 &&
                          op->size == 8);
    case ZYDIS_REGISTER_RSI: case ZYDIS_REGISTER_RDI:
        return is_string(c->z.mnemonic) && op->mem.index == ZYDIS_REGISTER_NONE && !is_checked(c) &&
               c->wide & BIT(reg_of(op->mem.base)) && !op->mem.disp.value;
    default:
        return false;
    }
}

static bool is_mem(const ZydisDecodedOperand *op, ZydisRegister base, i64 disp)
{
    return op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.base == base && op->mem.disp.value == disp;
}

// r8 was written: what was derived from it is not of it any more.
static enum scratch wrote_r8(struct checker *c, const ZydisDecodedOperand *op)
{
    if (c->r10 != SOURCE)
        c->r10 = UNKNOWN;
    return op->size == 32 ? U32 : UNKNOWN;
}

static enum scratch wrote_r9(struct checker *c, const ZydisDecodedOperand *dst)
{
    const ZydisDecodedOperand *src = &c->op[1];
    bool or_tag = c->z.mnemonic == ZYDIS_MNEMONIC_OR && c->r9 == LAST_PAGE && is_reg(dst, ZYDIS_REGISTER_R9D);

    if (c->z.mnemonic == ZYDIS_MNEMONIC_MOV && is_reg(dst, ZYDIS_REGISTER_R9)) {
        if (is_reg(src, ZYDIS_REGISTER_RCX))
            return RCX_COPY;
        if (src->type == ZYDIS_OPERAND_TYPE_MEMORY && src->mem.base == ZYDIS_REGISTER_R15 &&
            (in_array(src->mem.disp.value, FRAME_OFF(seg_window), 8, S_COUNT) ||
             in_array(src->mem.disp.value, FRAME_OFF(seg_origin), 8, S_COUNT)))
            return SEG_WINDOW;
        return UNKNOWN;
    }
    if (c->z.mnemonic == ZYDIS_MNEMONIC_MOV && is_reg(dst, ZYDIS_REGISTER_R9D) &&
        (is_mem(src, ZYDIS_REGISTER_R15, VCPU_OFF(asid)) ||
         (src->type == ZYDIS_OPERAND_TYPE_MEMORY && src->mem.base == ZYDIS_REGISTER_R15 &&
          in_array(src->mem.disp.value, FRAME_OFF(seg_asid), 4, S_COUNT))))
        return TLB_NUMBER;
    if (c->z.mnemonic == ZYDIS_MNEMONIC_LEA && src->mem.base == ZYDIS_REGISTER_R8 &&
        src->mem.index == ZYDIS_REGISTER_NONE && c->r8 == U32) {
        c->last = src->mem.disp.value + 1;
        return LAST;
    }
    if (c->z.mnemonic == ZYDIS_MNEMONIC_AND && c->r9 == LAST && src->imm.value.s == (i32)PAGE_MASK)
        return LAST_PAGE;
    if (or_tag && (is_mem(src, ZYDIS_REGISTER_R15, VCPU_OFF(asid)) ||
                   (src->mem.base == ZYDIS_REGISTER_R15 &&
                    in_array(src->mem.disp.value, FRAME_OFF(seg_asid), 4, S_COUNT))))
        return LAST_TAG;
    if (c->z.mnemonic == ZYDIS_MNEMONIC_MOVZX && is_reg(src, ZYDIS_REGISTER_R8W))
        return U16;
    if (c->z.mnemonic == ZYDIS_MNEMONIC_MOV && src->type == ZYDIS_OPERAND_TYPE_MEMORY &&
        src->mem.base == ZYDIS_REGISTER_R14)
        return JUMP;
    return dst->size == 32 ? U32 : UNKNOWN;
}

static enum scratch wrote_r10(struct checker *c, const ZydisDecodedOperand *dst)
{
    const ZydisDecodedOperand *src = &c->op[1];

    if (c->z.mnemonic == ZYDIS_MNEMONIC_MOV && is_reg(dst, ZYDIS_REGISTER_R10D) &&
        is_reg(src, ZYDIS_REGISTER_R8D) && c->r8 == U32)
        return COPY;
    if (c->z.mnemonic == ZYDIS_MNEMONIC_SHR && c->r10 == COPY && src->imm.value.u == PAGE_SHIFT - 5)
        return SHIFTED;
    if (c->z.mnemonic == ZYDIS_MNEMONIC_AND && c->r10 == SHIFTED &&
        src->imm.value.u == (TLB_SIZE - 1) << 5)
        return INDEX;
    if (c->z.mnemonic == ZYDIS_MNEMONIC_MOV && c->r10 == INDEX && c->missed &&
        src->type == ZYDIS_OPERAND_TYPE_MEMORY && src->mem.index == ZYDIS_REGISTER_R10 &&
        src->mem.disp.value == VCPU_OFF(tlb) + (i64)offsetof(struct tlb_entry, addend)) {
        c->tlb_write = c->compared_write;
        return ADDEND;
    }
    if (c->z.mnemonic == ZYDIS_MNEMONIC_MOV && dst->size == 64 && c->rq->compare &&
        src->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && src->imm.value.u == (u64)c->rq->compare)
        return SOURCE;
    if (reads_slot(c))
        return SLOT_HOST;
    return dst->size == 32 ? U32 : UNKNOWN;
}

// A general register was written: is it one that this instruction may write, and is it zero-extended now?
static void wrote_guest(struct checker *c, const ZydisDecodedOperand *dst, int reg)
{
    const ZydisDecodedOperand *src = &c->op[1];
    ZydisMnemonic m = c->z.mnemonic;

    if (dst->size < 32)
        return;
    if (dst->size == 32 || (m == ZYDIS_MNEMONIC_SHR && src->imm.value.u == 32)) {
        c->wide &= ~BIT(reg);
        return;
    }
    if (m == ZYDIS_MNEMONIC_MOV && reg == H_RCX && is_reg(src, ZYDIS_REGISTER_R9) && c->r9 == RCX_COPY) {
        c->wide &= ~BIT(H_RCX);
        return;
    }
    if (reg == H_RCX && c->r9 == RCX_COPY) { // what is compared with a limit, or a code segment's key
        c->wide |= BIT(H_RCX);
        return;
    }
    if (is_string(m) && (reg == H_RCX || c->wide & BIT(reg)))
        return; // a count of 32 bits counts down; pointers stay in the window
    if (m == ZYDIS_MNEMONIC_LEA && (reg == H_RSI || reg == H_RDI) && !is_checked(c) &&
        src->mem.base == ZYDIS_REGISTER_R12 && reg_of(src->mem.index) == reg &&
        src->mem.scale == 1 && !src->mem.disp.value && !(c->wide & BIT(reg))) {
        c->wide |= BIT(reg);
        return;
    }
    if (m == ZYDIS_MNEMONIC_RDTSC) // zero-extended by itself
        return;
    if ((reg == H_RAX || reg == H_RDX) && c->rq->mode & MODE_TSC &&
        (m == ZYDIS_MNEMONIC_SHL || m == ZYDIS_MNEMONIC_OR || m == ZYDIS_MNEMONIC_ADD ||
         (m == ZYDIS_MNEMONIC_MOV && src->type == ZYDIS_OPERAND_TYPE_REGISTER))) {
        c->wide |= BIT(reg);
        return;
    }
    complain(c, "writes all of register %d", reg);
}

static void check_write(struct checker *c, const ZydisDecodedOperand *op)
{
    int reg = reg_of(op->reg.value);
    ZydisRegisterClass class = ZydisRegisterGetClass(op->reg.value);

    if (reg < 0) {
        bool simd = class == ZYDIS_REGCLASS_XMM || class == ZYDIS_REGCLASS_MMX;
        bool fine = class == ZYDIS_REGCLASS_FLAGS || class == ZYDIS_REGCLASS_IP || simd ||
                    class == ZYDIS_REGCLASS_X87 || op->reg.value == ZYDIS_REGISTER_MXCSR ||
                    op->reg.value == ZYDIS_REGISTER_X87STATUS ||
                    op->reg.value == ZYDIS_REGISTER_X87CONTROL || op->reg.value == ZYDIS_REGISTER_X87TAG;

        if (!fine || (simd && ZydisRegisterGetId(op->reg.value) >= 8))
            complain(c, "writes %s", ZydisRegisterGetString(op->reg.value));
        return;
    }
    switch (reg) {
    case H_WINDOW: case H_TABLE: case H_VCPU:
        complain(c, "writes %s", ZydisRegisterGetString(op->reg.value));
        break;
    case H_RSP:
        if (op->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
            complain(c, "writes rsp");
        break;
    case H_R8:
        c->r8 = wrote_r8(c, op);
        break;
    case H_R9:
        c->r9 = wrote_r9(c, op);
        break;
    case H_R10:
        c->r10 = wrote_r10(c, op);
        break;
    case H_R11:
        break;
    default:
        wrote_guest(c, op, reg);
    }
}

// Host addresses and what is only the monitor's business never become data.
static void check_read(struct checker *c, const ZydisDecodedOperand *op)
{
    int reg = reg_of(op->reg.value);

    if (op->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
        return;
    if (reg == H_WINDOW || reg == H_TABLE || reg == H_VCPU || reg == H_RSP ||
        (reg == H_R9 && c->r9 == SEG_WINDOW) || (reg == H_R10 && (c->r10 == ADDEND || c->r10 == SOURCE || c->r10 == SLOT_HOST)))
        complain(c, "reads %s", ZydisRegisterGetString(op->reg.value));
    if (reg == H_R9 && (c->r9 == JUMP) != (c->z.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR))
        complain(c, "r9 is not what it is used for");
}

static bool forbidden(struct checker *c)
{
    const struct bt_stubs *s = &c->r->bt.stubs;

    if (c->z.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || c->z.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED)
        return true;
    switch (c->z.meta.category) {
    case ZYDIS_CATEGORY_SYSTEM:
        return c->z.mnemonic != ZYDIS_MNEMONIC_RDTSC || !(c->rq->mode & MODE_TSC);
    case ZYDIS_CATEGORY_SYSCALL: case ZYDIS_CATEGORY_SYSRET: case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_IO: case ZYDIS_CATEGORY_IOSTRINGOP: case ZYDIS_CATEGORY_SEGOP:
        return true;
    default:
        break;
    }
    switch (c->z.mnemonic) {
    case ZYDIS_MNEMONIC_PUSHFQ: case ZYDIS_MNEMONIC_POPFQ: case ZYDIS_MNEMONIC_PUSH: case ZYDIS_MNEMONIC_POP:
        return s->lahf;
    case ZYDIS_MNEMONIC_LAHF: case ZYDIS_MNEMONIC_SAHF:
        return !s->lahf;
    case ZYDIS_MNEMONIC_STD: case ZYDIS_MNEMONIC_CLD: case ZYDIS_MNEMONIC_CPUID:
    case ZYDIS_MNEMONIC_LEAVE: case ZYDIS_MNEMONIC_ENTER: case ZYDIS_MNEMONIC_XLAT:
    case ZYDIS_MNEMONIC_FXSAVE: case ZYDIS_MNEMONIC_FXRSTOR: case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
        return true;
    default:
        return false;
    }
}

static void check_unit(struct checker *c, const ZydisDecodedOperand *op)
{
    ZydisRegisterClass class = ZydisRegisterGetClass(op->reg.value);

    if ((class == ZYDIS_REGCLASS_XMM && c->rq->mode & (MODE_NO_FPU | MODE_NO_SSE)) ||
        ((class == ZYDIS_REGCLASS_X87 || class == ZYDIS_REGCLASS_MMX) && c->rq->mode & MODE_NO_FPU))
        complain(c, "uses %s in this mode", ZydisRegisterGetString(op->reg.value));
}

static void check_operands(struct checker *c)
{
    bool nop = c->z.mnemonic == ZYDIS_MNEMONIC_NOP;
    bool cmp;

    for (unsigned i = 0; i < c->z.operand_count && !nop; i++) {
        const ZydisDecodedOperand *op = &c->op[i];

        if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
            check_read(c, op);
        if (op->type == ZYDIS_OPERAND_TYPE_REGISTER)
            check_unit(c, op);
        if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.type != ZYDIS_MEMOP_TYPE_AGEN &&
            !memory_shape(c, op))
            complain(c, "names memory it may not");
        if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.type == ZYDIS_MEMOP_TYPE_AGEN &&
            op->mem.base >= ZYDIS_REGISTER_R12 && op->mem.base <= ZYDIS_REGISTER_R15 &&
            op->mem.base != ZYDIS_REGISTER_R13 && c->op[0].size != 64)
            complain(c, "computes with a host address");
    }
    cmp = c->z.mnemonic == ZYDIS_MNEMONIC_CMP && c->r9 == LAST_TAG && is_reg(&c->op[0], ZYDIS_REGISTER_R9D) &&
          c->op[1].type == ZYDIS_OPERAND_TYPE_MEMORY && c->op[1].mem.index == ZYDIS_REGISTER_R10;
    if (cmp)
        c->compared_write = c->op[1].mem.disp.value ==
                            VCPU_OFF(tlb) + (i64)offsetof(struct tlb_entry, wtag);
    // Writes last, with the state before them.
    for (unsigned i = 0; i < c->z.operand_count; i++)
        if (c->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            c->op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
            check_write(c, &c->op[i]);
    c->missed = c->compared && c->z.mnemonic == ZYDIS_MNEMONIC_JNZ;
    c->compared = cmp;
}

// A host address that must be where an instruction of the block starts; known only when all is decoded.
static bool starts(const struct checker *c, u32 host)
{
    u32 at = host - c->code->block.host;

    return at < c->code->block.host_len && c->kind[at] & CODE;
}

static void check_site(struct checker *c, const struct bt_site *site, bool emulate)
{
    const struct bt_code *code = &c->code[0];
    u32 base = c->rq->mode & MODE_SEGMENTED ? c->rq->base : 0;
    bool shared = c->rq->mode & MODE_SHARED;

    if (!site->shared == shared || (shared && site->eip >> PAGE_SHIFT != c->rq->page_slot))
        complain(c, "the site's EIP is not of its kind");
    for (u32 i = 0; i < MAX(code->block.insn_count, 1u); i++) {
        if (code->block.eip + code->insn[i].guest - base != (shared ? site->eip & ~PAGE_MASK : site->eip))
            continue;
        if (site->retry != code->block.host + code->insn[i].host || !starts(c, site->retry))
            complain(c, "the site's retry address is not its instruction's");
        if (site->delta != code->insn[i].esp_delta)
            complain(c, "the site's ESP delta is not its instruction's");
        if (site->next && !starts(c, site->next))
            complain(c, "the site's next address is in the middle of something");
        if (!emulate && (site->size < 1 || site->size > 16 || site->access > 1))
            complain(c, "the site's access makes no sense");
        return;
    }
    complain(c, "the site is of no instruction");
}

static bool guest_insn_starts(const struct checker *c, u32 host)
{
    for (u32 i = 0; i < c->code->block.insn_count; i++)
        if (c->code->block.host + c->code->insn[i].host == host)
            return true;
    return false;
}

static void note_state_at(struct checker *c, u32 host)
{
    u8 *kind = &c->kind[host - c->code->block.host];

    if (guest_insn_starts(c, host))
        return; // nothing is assumed there
    *kind |= c->r9 == RCX_COPY ? FROM_COPY :
             c->compared && c->compared_write && c->z.mnemonic == ZYDIS_MNEMONIC_JNZ ? FROM_MISS : FROM_OTHER;
    if ((*kind & (FROM_COPY | FROM_OTHER)) == (FROM_COPY | FROM_OTHER) ||
        (*kind & FROM_MISS && *kind & (FROM_COPY | FROM_OTHER)))
        complain(c, "where it branches rcx may have a copy, or not");
}

// Bytes of data behind a call to this stub.
static u32 data_len(const struct checker *c, u32 target)
{
    const struct bt_stubs *s = &c->r->bt.stubs;

    return target == s->emulate ? sizeof(struct bt_site) + sizeof(struct insn) :
           target == s->memory ? sizeof(struct bt_site) : target == s->link ? sizeof(struct bt_link) :
           target == s->changed ? c->code->block.guest_len : 0;
}

// The check stub at target: what it has found in the TLB when it comes back. False: it is none.
static bool check_called(struct checker *c, u32 target)
{
    for (u32 i = 0; i < 4 * BT_CHECK_SIZES; i++) {
        bool flags = i & 1, write = i & 2;
        const struct bt_check *check = &c->r->bt.stubs.check[flags][write][i / 4];

        if (target != check->flat && target != check->seg)
            continue;
        if (c->r8 != U32 || (target == check->seg && c->r9 != TLB_NUMBER))
            complain(c, "has nothing to check");
        c->r9 = UNKNOWN;
        c->r10 = ADDEND;
        c->last = 1u << i / 4;
        c->tlb_write = write;
        return true;
    }
    return false;
}

static void check_branch(struct checker *c, u32 target, bool call)
{
    const struct bt_stubs *s = &c->r->bt.stubs;
    const u8 *data = c->r->room + c->at + c->z.length;
    u32 base = c->rq->mode & MODE_SEGMENTED ? c->rq->base : 0;

    if (c->wide & ~(c->r9 == RCX_COPY ? BIT(H_RCX) : 0))
        complain(c, "branches with a register that is not zero-extended");
    if (call && (target == s->emulate || target == s->memory)) {
        struct bt_site site;

        memcpy(&site, data, sizeof(site));
        check_site(c, &site, target == s->emulate);
    } else if (call && target == s->link) {
        struct bt_link link;
        i32 rel;

        memcpy(&link, data, sizeof(link));
        if (!c->r->bt.opt.chain || ((link.target + base) ^ c->rq->eip) >= PAGE_SIZE)
            complain(c, "links across pages");
        if (link.patch - c->code->block.host >= c->code->block.host_len - 4u) {
            complain(c, "the patch is outside");
            return;
        }
        memcpy(&rel, c->r->room + (link.patch - c->code->block.host), 4);
        if (link.patch + 4 + (u32)rel != c->code->block.host + c->at)
            complain(c, "what is to be patched does not lead to its link");
    } else if (call && target == s->changed) {
        if (!c->rq->compare)
            complain(c, "compares nothing");
        else if (memcmp(data, c->rq->bytes, c->code->block.guest_len))
            complain(c, "what it compared with is not behind it");
    } else if (call && target == s->stale) {
        if (c->at + c->z.length != c->code->block.host_len)
            complain(c, "the stub of killed blocks is not at the end");
    } else if (call && check_called(c, target)) {
        return;
    } else if (!starts(c, target) && (call || (target != s->lookup && target != s->probe && target != s->jump))) {
        complain(c, "branches to %#x", target);
    } else if (!call && starts(c, target)) {
        note_state_at(c, target);
    }
}

static void check_insn(struct checker *c)
{
    if (forbidden(c))
        complain(c, "may not be there");
    if (c->z.raw.imm[0].is_relative)
        check_branch(c, c->code->block.host + c->at + c->z.length + (u32)c->z.raw.imm[0].value.u,
                     c->z.meta.category == ZYDIS_CATEGORY_CALL);
    else if (c->z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && c->wide)
        complain(c, "branches with a register that is not zero-extended");
    check_operands(c);
}

// Marks where instructions start, then looks at each, with what came before it.
static void sweep(struct checker *c, bool mark)
{
    const struct block *b = &c->code->block;
    u32 next;

    c->insn = 0;
    c->r8 = c->r9 = c->r10 = UNKNOWN;
    for (c->at = 0; c->at < b->host_len && !c->bad; c->at = next) {
        while (c->insn + 1 < b->insn_count && c->code->insn[c->insn + 1].host <= c->at)
            c->insn++;
        if (c->code->insn[c->insn].host == c->at && c->insn < MAX(b->insn_count, 1u)) {
            c->r8 = c->r9 = c->r10 = UNKNOWN;
            if (c->wide)
                complain(c, "a register is not zero-extended at the start");
        }
        if (c->kind[c->at] & FROM_COPY)
            c->r9 = RCX_COPY;
        if (c->kind[c->at] & FROM_MISS) {
            c->r8 = U32;
            c->r9 = LAST_TAG;
            c->r10 = INDEX;
        }
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&c->r->decoder, c->r->room + c->at, b->host_len - c->at,
                                                 &c->z, c->op))) {
            complain(c, "does not decode");
            return;
        }
        next = c->at + c->z.length;
        if (mark)
            c->kind[c->at] = CODE;
        else
            check_insn(c);
        if (c->z.meta.category == ZYDIS_CATEGORY_CALL && c->z.raw.imm[0].is_relative) {
            u32 len = data_len(c, b->host + next + (u32)c->z.raw.imm[0].value.u);

            if (mark && next + len <= b->host_len)
                memset(c->kind + next, DATA, len);
            next += len;
        }
        if (!c->skips && c->z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE &&
            (c->z.mnemonic == ZYDIS_MNEMONIC_JMP || c->z.mnemonic == ZYDIS_MNEMONIC_RET)) {
            c->r8 = c->r10 = UNKNOWN;
            if (c->r9 != RCX_COPY) // both ways out of flow_check_target put it back
                c->r9 = UNKNOWN;
        }
        c->skips = c->z.mnemonic == ZYDIS_MNEMONIC_JRCXZ && c->z.raw.imm[0].value.s == 5 &&
                   c->r->room[next] == 0xe9;
    }
    if (c->at != b->host_len)
        complain(c, "the last instruction runs on");
}

static void check_tables(struct checker *c)
{
    const struct bt_code *code = c->code;
    const struct block *b = &code->block;
    u32 max = c->rq->crossing ? 1 : c->r->bt.opt.block_insns;

    c->at = 0;
    if (b->eip != c->rq->eip || b->mode != bt_mode_key(c->rq->mode, c->rq->cs) ||
        b->entry - b->host != bt_header_len(c->rq->mode) ||
        b->host_len > BT_MAX_CODE || b->guest_len > c->rq->avail || b->insn_count < 1 ||
        b->insn_count > max || b->ret_count > b->insn_count)
        complain(c, "the block's fields make no sense");
    if (c->bad)
        return;
    if (code->insn[0].host < bt_header_len(c->rq->mode) || code->insn[0].guest != 0)
        complain(c, "the first instruction is not first");
    for (u32 i = 0; i < b->insn_count; i++) {
        c->insn = i;
        c->at = code->insn[i].host;
        if (i && (code->insn[i].host < code->insn[i - 1].host ||
                  code->insn[i].guest <= code->insn[i - 1].guest))
            complain(c, "instructions are out of order");
        if (!starts(c, b->host + code->insn[i].host))
            complain(c, "an instruction starts in the middle of another");
    }
    for (u32 i = 0; i < b->ret_count; i++)
        if (!starts(c, code->ret_point[i]) || (i && code->ret_point[i] <= code->ret_point[i - 1]))
            complain(c, "a return point is in the middle of something");
    if (bt_entry_if(b->host, b->eip, b->mode) != b->entry || bt_entry_if(b->host, b->eip + 0x10000, b->mode) ||
        (c->rq->mode & MODE_SEGMENTED && bt_entry_if(b->host, b->eip, b->mode + (1ull << 32))))
        complain(c, "the indirect entry does not know its eip");
}

// Holds the last translation against all promises; false if it breaks one, of which the first is printed.
static bool rig_verify(struct rig *r, const struct bt_request *rq, const struct bt_code *code)
{
    static u8 kind[BT_MAX_CODE];
    struct checker c = { .r = r, .rq = rq, .code = code, .kind = kind };
    u32 end = code->block.host_len + 7; // emit_put stores eight bytes at a time

    // All that follows is as it was.
    if (r->room[end] != 0xcc || memcmp(r->room + end, r->room + end + 1, BT_MAX_CODE + CANARY - 1 - end) != 0) {
        complain(&c, "writes behind its end");
        return false;
    }
    memset(kind, 0, sizeof(kind));
    sweep(&c, true);
    if (!c.bad)
        check_tables(&c);
    if (!c.bad)
        sweep(&c, false);
    return !c.bad;
}

// Translates rq into code; false if the result breaks a promise.
static bool rig_translate(struct rig *r, const struct bt_request *rq, struct bt_code *code)
{
    arena_reset(&r->arena);
    r->bt.stubs = r->stubs[r->bt.opt.lahf];
    for (int attempt = 0; ; attempt++) {
        struct emit e;

        r->room = arena_reserve(&r->arena, BT_MAX_CODE + CANARY);
        memset(r->room, 0xcc, BT_MAX_CODE + CANARY);
        e = (struct emit){ r->room, r->room, r->room + BT_MAX_CODE, (u64)arena_rx(&r->arena, r->room) };
        if (bt_translate(&r->bt, &e, rq, code))
            break;
        if (attempt) {
            fprintf(stderr, "slots run out in an empty cache\n");
            return false;
        }
        spaces_reset(&r->spaces);
    }
    arena_commit(&r->arena, code->block.host_len);
    return rig_verify(r, rq, code);
}

#endif
