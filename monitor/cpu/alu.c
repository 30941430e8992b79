// SPDX-License-Identifier: GPL-2.0-or-later
// ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NOT NEG's relatives, XADD, CMPXCHG, CMPXCHG8B.
#include "exec.h"
#include "hostflags.h"
#include "local.h"
#include "mem.h"

enum { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

// One function an operation and size: the host's instruction on host registers. The carry goes
// in for all; only ADC and SBB look at it.
#define ALU(name, mnemonic, suffix, type)                                                    \
    static inline type alu_##name##suffix(u32 *eflags, type a, type b)                       \
    {                                                                                        \
        u32 ax;                                                                              \
                                                                                             \
        asm("btl $0, %[fl]\n\t" mnemonic " %[b], %[a]" FLAGS_OUT                             \
            : [a] "+q"(a), "=&a"(ax)                                                         \
            : [b] "q"(b), [fl] "r"(*eflags)                                                  \
            : "cc");                                                                         \
        flags_set(eflags, ax, FL_ARITH);                                                     \
        return a;                                                                            \
    }
#define ALU_SIZES(name, mnemonic)                                                            \
    ALU(name, mnemonic "b", 8, u8) ALU(name, mnemonic "w", 16, u16)                          \
    ALU(name, mnemonic "l", 32, u32)
ALU_SIZES(add, "add")
ALU_SIZES(or, "or")
ALU_SIZES(adc, "adc")
ALU_SIZES(sbb, "sbb")
ALU_SIZES(and, "and")
ALU_SIZES(sub, "sub")
ALU_SIZES(xor, "xor")

// CMP's and TEST's results go nowhere.
#define alu_cmp8 alu_sub8
#define alu_cmp16 alu_sub16
#define alu_cmp32 alu_sub32

// The six forms of each operation; `store` is 0 for CMP.
#define ALU_FORMS(name, store)                                                               \
    static inline u32 name##_sized(u32 *fl, u32 a, u32 b, unsigned size)                     \
    {                                                                                        \
        return size == 4   ? alu_##name##32(fl, a, b)                                        \
               : size == 2 ? alu_##name##16(fl, a, b)                                        \
                           : alu_##name##8(fl, a, b);                                        \
    }                                                                                        \
    static inline enum done name##_rm(struct vcpu *v, const struct insn *insn, u32 b,        \
                                      unsigned size)                                         \
    {                                                                                        \
        struct rmw m;                                                                        \
                                                                                             \
        if (!store) {                                                                        \
            name##_sized(&v->eflags, rm_read(v, insn, size), b, size);                       \
            return DONE_NEXT;                                                                \
        }                                                                                    \
        u32 a = rmw_begin(v, insn, size, &m);                                                \
        rmw_end(v, &m, name##_sized(&v->eflags, a, b, size), size);                          \
        return DONE_NEXT;                                                                    \
    }                                                                                        \
    static inline enum done name##_reg(struct vcpu *v, unsigned reg, u32 b, unsigned size)   \
    {                                                                                        \
        u32 r = name##_sized(&v->eflags, reg_read(v, reg, size), b, size);                   \
                                                                                             \
        if (store)                                                                           \
            reg_write(v, reg, r, size);                                                      \
        return DONE_NEXT;                                                                    \
    }                                                                                        \
    enum done op_##name##_eb_gb(struct vcpu *v, const struct insn *insn)                     \
    {                                                                                        \
        return name##_rm(v, insn, *reg8(v, insn->reg), 1);                                   \
    }                                                                                        \
    enum done op_##name##_ev_gv(struct vcpu *v, const struct insn *insn)                     \
    {                                                                                        \
        if (likely(insn->opsize == 4))                                                       \
            return name##_rm(v, insn, v->gpr[insn->reg], 4);                                 \
        return name##_rm(v, insn, v->gpr[insn->reg], 2);                                     \
    }                                                                                        \
    enum done op_##name##_gb_eb(struct vcpu *v, const struct insn *insn)                     \
    {                                                                                        \
        return name##_reg(v, insn->reg, rm_read(v, insn, 1), 1);                             \
    }                                                                                        \
    enum done op_##name##_gv_ev(struct vcpu *v, const struct insn *insn)                     \
    {                                                                                        \
        if (likely(insn->opsize == 4))                                                       \
            return name##_reg(v, insn->reg, rm_read(v, insn, 4), 4);                         \
        return name##_reg(v, insn->reg, rm_read(v, insn, 2), 2);                             \
    }                                                                                        \
    enum done op_##name##_al_ib(struct vcpu *v, const struct insn *insn)                     \
    {                                                                                        \
        return name##_reg(v, R_EAX, insn->imm, 1);                                           \
    }                                                                                        \
    enum done op_##name##_ax_iv(struct vcpu *v, const struct insn *insn)                     \
    {                                                                                        \
        return name##_reg(v, R_EAX, insn->imm, insn->opsize);                                \
    }
ALU_FORMS(add, 1)
ALU_FORMS(or, 1)
ALU_FORMS(adc, 1)
ALU_FORMS(sbb, 1)
ALU_FORMS(and, 1)
ALU_FORMS(sub, 1)
ALU_FORMS(xor, 1)
ALU_FORMS(cmp, 0)

// Group 1: 80, 81, 82, 83.
static inline enum done group1(struct vcpu *v, const struct insn *insn, unsigned size)
{
    switch (insn->reg) {
    case ALU_ADD:
        return add_rm(v, insn, insn->imm, size);
    case ALU_OR:
        return or_rm(v, insn, insn->imm, size);
    case ALU_ADC:
        return adc_rm(v, insn, insn->imm, size);
    case ALU_SBB:
        return sbb_rm(v, insn, insn->imm, size);
    case ALU_AND:
        return and_rm(v, insn, insn->imm, size);
    case ALU_SUB:
        return sub_rm(v, insn, insn->imm, size);
    case ALU_XOR:
        return xor_rm(v, insn, insn->imm, size);
    default:
        return cmp_rm(v, insn, insn->imm, size);
    }
}

enum done op_alu_eb_ib(struct vcpu *v, const struct insn *insn)
{
    return group1(v, insn, 1);
}

enum done op_alu_ev_iv(struct vcpu *v, const struct insn *insn)
{
    return likely(insn->opsize == 4) ? group1(v, insn, 4) : group1(v, insn, 2);
}

enum done op_test_eb_gb(struct vcpu *v, const struct insn *insn)
{
    alu_and8(&v->eflags, rm_read(v, insn, 1), *reg8(v, insn->reg));
    return DONE_NEXT;
}

enum done op_test_ev_gv(struct vcpu *v, const struct insn *insn)
{
    if (insn->opsize == 4)
        alu_and32(&v->eflags, rm_read(v, insn, 4), v->gpr[insn->reg]);
    else
        alu_and16(&v->eflags, rm_read(v, insn, 2), v->gpr[insn->reg]);
    return DONE_NEXT;
}

enum done op_test_al_ib(struct vcpu *v, const struct insn *insn)
{
    alu_and8(&v->eflags, v->gpr[R_EAX], insn->imm);
    return DONE_NEXT;
}

enum done op_test_ax_iv(struct vcpu *v, const struct insn *insn)
{
    and_sized(&v->eflags, v->gpr[R_EAX], insn->imm, insn->opsize);
    return DONE_NEXT;
}

// INC and DEC leave CF alone.
static inline u32 incdec(u32 *eflags, u32 a, bool dec, unsigned size)
{
    u32 cf = *eflags & FL_CF;

    a = dec ? sub_sized(eflags, a, 1, size) : add_sized(eflags, a, 1, size);
    *eflags = (*eflags & ~FL_CF) | cf;
    return a;
}

enum done op_inc_reg(struct vcpu *v, const struct insn *insn)
{
    unsigned reg = insn->op & 7, size = insn->opsize;

    reg_write(v, reg, incdec(&v->eflags, reg_read(v, reg, size), false, size), size);
    return DONE_NEXT;
}

enum done op_dec_reg(struct vcpu *v, const struct insn *insn)
{
    unsigned reg = insn->op & 7, size = insn->opsize;

    reg_write(v, reg, incdec(&v->eflags, reg_read(v, reg, size), true, size), size);
    return DONE_NEXT;
}

static enum done incdec_rm(struct vcpu *v, const struct insn *insn, unsigned size)
{
    struct rmw m;
    u32 a = rmw_begin(v, insn, size, &m);

    rmw_end(v, &m, incdec(&v->eflags, a, insn->reg & 1, size), size);
    return DONE_NEXT;
}

enum done op_incdec_eb(struct vcpu *v, const struct insn *insn)
{
    return insn->reg < 2 ? incdec_rm(v, insn, 1) : op_undefined(v, insn);
}

// FF: INC DEC CALL CALLF JMP JMPF PUSH.
enum done op_group5(struct vcpu *v, const struct insn *insn)
{
    switch (insn->reg) {
    case 0:
    case 1:
        return incdec_rm(v, insn, insn->opsize);
    case 2:
        return op_call_ev(v, insn);
    case 3:
        return insn->has_mem ? op_call_far_mem(v, insn) : op_undefined(v, insn);
    case 4:
        return op_jmp_ev(v, insn);
    case 5:
        return insn->has_mem ? op_jmp_far_mem(v, insn) : op_undefined(v, insn);
    case 6:
        return op_push_ev(v, insn);
    default:
        return op_undefined(v, insn);
    }
}

// Always writes its destination, with the old value if the comparison fails.
static enum done cmpxchg(struct vcpu *v, const struct insn *insn, unsigned size)
{
    struct rmw m;
    u32 a = reg_read(v, R_EAX, size);
    u32 b = rmw_begin(v, insn, size, &m);

    cmp_sized(&v->eflags, a, b, size);
    if (v->eflags & FL_ZF) {
        rmw_end(v, &m, reg_read(v, insn->reg, size), size);
    } else {
        rmw_end(v, &m, b, size);
        reg_write(v, R_EAX, b, size);
    }
    return DONE_NEXT;
}

enum done op_cmpxchg_eb(struct vcpu *v, const struct insn *insn)
{
    return cmpxchg(v, insn, 1);
}

enum done op_cmpxchg_ev(struct vcpu *v, const struct insn *insn)
{
    return cmpxchg(v, insn, insn->opsize);
}

static enum done xadd(struct vcpu *v, const struct insn *insn, unsigned size)
{
    struct rmw m;
    u32 b = reg_read(v, insn->reg, size);
    u32 a = rmw_begin(v, insn, size, &m);
    u32 sum = add_sized(&v->eflags, a, b, size);

    // The register first: with one register for both, the sum stays.
    reg_write(v, insn->reg, a, size);
    rmw_end(v, &m, sum, size);
    return DONE_NEXT;
}

enum done op_xadd_eb(struct vcpu *v, const struct insn *insn)
{
    return xadd(v, insn, 1);
}

enum done op_xadd_ev(struct vcpu *v, const struct insn *insn)
{
    return xadd(v, insn, insn->opsize);
}

// 0F C7 /1; /6 and /7 are RDRAND and RDSEED.
enum done op_cmpxchg8b(struct vcpu *v, const struct insn *insn)
{
    u64 expected = (u64)v->gpr[R_EDX] << 32 | v->gpr[R_EAX], old;
    gla_t gla;

    if (!insn->has_mem && insn->reg >= 6)
        return op_rdrand(v, insn);
    if (!insn->has_mem || insn->reg != 1)
        return op_undefined(v, insn);
    gla = mem_operand(v, insn, 8, ACC_WRITE);
    mmu_probe(v, gla, 8, ACC_WRITE, mem_user(v));
    old = mem_read64(v, gla);
    if (old == expected) {
        mem_write64(v, gla, (u64)v->gpr[R_ECX] << 32 | v->gpr[R_EBX]);
        v->eflags |= FL_ZF;
    } else {
        mem_write64(v, gla, old);
        v->gpr[R_EAX] = old;
        v->gpr[R_EDX] = old >> 32;
        v->eflags &= ~FL_ZF;
    }
    return DONE_NEXT;
}

// ADCX (66) and ADOX (F3): an addition with carry that touches only CF or only OF.
enum done op_adx(struct vcpu *v, const struct insn *insn)
{
    u32 flag = insn->prefix & PFX_REP ? FL_OF : FL_CF;
    u64 sum = (u64)v->gpr[insn->reg] + rm_read(v, insn, 4) + !!(v->eflags & flag);

    v->gpr[insn->reg] = sum;
    v->eflags = sum >> 32 ? v->eflags | flag : v->eflags & ~flag;
    return DONE_NEXT;
}
