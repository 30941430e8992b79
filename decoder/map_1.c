// SPDX-License-Identifier: GPL-2.0-or-later
// The one-byte opcodes (SDM volume 2D, table A-2 and the groups of table A-6).
#include "row.h"

#define ALU(op, name, access, read)                                                          \
    [op + 0] = I(name, Eb | Gb | access, FR(read), FW(FL_ARITH)),                            \
    [op + 1] = I(name, Ev | Gv | access, FR(read), FW(FL_ARITH)),                            \
    [op + 2] = I(name, Gb | Eb | RD, FR(read), FW(FL_ARITH)),                                \
    [op + 3] = I(name, Gv | Ev | RD, FR(read), FW(FL_ARITH)),                                \
    [op + 4] = I(name, AL | Ib, FR(read), FW(FL_ARITH)),                                     \
    [op + 5] = I(name, eAX | Iz, FR(read), FW(FL_ARITH))

#define GROUP1(E, imm)                                                                       \
    CHOOSE(BY_REG,                                                                           \
        I("add", E | imm | RW | LK, FW(FL_ARITH)),                                           \
        I("or", E | imm | RW | LK, FW(FL_ARITH)),                                            \
        I("adc", E | imm | RW | LK, FR(FL_CF), FW(FL_ARITH)),                                \
        I("sbb", E | imm | RW | LK, FR(FL_CF), FW(FL_ARITH)),                                \
        I("and", E | imm | RW | LK, FW(FL_ARITH)),                                           \
        I("sub", E | imm | RW | LK, FW(FL_ARITH)),                                           \
        I("xor", E | imm | RW | LK, FW(FL_ARITH)),                                           \
        I("cmp", E | imm | RD, FW(FL_ARITH)))

// Shifts by one, or by an immediate (E_FIX_COUNT): /6 is an alias of SHL.
#define FL_ROTATE (FL_CF | FL_OF)
#define GROUP2(E, count)                                                                     \
    CHOOSE(BY_REG,                                                                           \
        I("rol", E | count | RW, FW(FL_ROTATE)),                                             \
        I("ror", E | count | RW, FW(FL_ROTATE)),                                             \
        I("rcl", E | count | RW, FR(FL_CF), FW(FL_ROTATE)),                                  \
        I("rcr", E | count | RW, FR(FL_CF), FW(FL_ROTATE)),                                  \
        I("shl", E | count | RW, FW(FL_ARITH)),                                              \
        I("shr", E | count | RW, FW(FL_ARITH)),                                              \
        I("shl", E | count | RW, FW(FL_ARITH)),                                              \
        I("sar", E | count | RW, FW(FL_ARITH)))

// Shifts by CL, which may be 0: what they would write may survive, so it is read.
#define GROUP2_CL(E)                                                                         \
    CHOOSE(BY_REG,                                                                           \
        I("rol", E | CL | RW, FR(FL_ROTATE)),                                                \
        I("ror", E | CL | RW, FR(FL_ROTATE)),                                                \
        I("rcl", E | CL | RW, FR(FL_ROTATE)),                                                \
        I("rcr", E | CL | RW, FR(FL_ROTATE)),                                                \
        I("shl", E | CL | RW, FR(FL_ARITH)),                                                 \
        I("shr", E | CL | RW, FR(FL_ARITH)),                                                 \
        I("shl", E | CL | RW, FR(FL_ARITH)),                                                 \
        I("sar", E | CL | RW, FR(FL_ARITH)))

// /1 is an alias of TEST. A multiplication leaves all flags but CF and OF undefined, a division all:
// AMD's keep them, or some (tests/unit/decoder_hardware.c).
#define GROUP3(E, imm)                                                                       \
    CHOOSE(BY_REG,                                                                           \
        I("test", E | imm | RD, FW(FL_ARITH)),                                               \
        I("test", E | imm | RD, FW(FL_ARITH)),                                               \
        I("not", E | RW | LK),                                                               \
        I("neg", E | RW | LK, FW(FL_ARITH)),                                                 \
        I("mul", E | RD, FW(FL_MUL)),                                                        \
        I("imul", E | RD, FW(FL_MUL)),                                                       \
        I("div", E | RD),                                                                    \
        I("idiv", E | RD))

#define FL_INC (FL_ARITH & ~FL_CF)

// A segment load ends the block: what the code after it was translated under (flatness, size of
// the stack, interrupt shadow) may have changed.
#define PUSH_SEG(seg) I("push " seg, STACK, SENS(PUSH_SEG))
#define POP_SEG(seg) I("pop " seg, STACK | STOP, SENS(POP_SEG))

// The memory form stores a word whatever the operand size; the register form does not.
#define FROM_SEG I("mov", Ew | Sw | WR, SENS(MOV_FROM_SEG))
#define TO_SEG I("mov", Sw | Ew | RD | STOP, SENS(MOV_TO_SEG))

const struct row insn_map_1[256] = {
    ALU(0x00, "add", RW | LK, 0),
    [0x06] = PUSH_SEG("es"), [0x07] = POP_SEG("es"),
    ALU(0x08, "or", RW | LK, 0),
    [0x0e] = PUSH_SEG("cs"),
    ALU(0x10, "adc", RW | LK, FL_CF),
    [0x16] = PUSH_SEG("ss"), [0x17] = POP_SEG("ss"),
    ALU(0x18, "sbb", RW | LK, FL_CF),
    [0x1e] = PUSH_SEG("ds"), [0x1f] = POP_SEG("ds"),
    ALU(0x20, "and", RW | LK, 0),
    [0x27] = I("daa", 0, FR(FL_AF | FL_CF), FW(FL_ARITH)),
    ALU(0x28, "sub", RW | LK, 0),
    [0x2f] = I("das", 0, FR(FL_AF | FL_CF), FW(FL_ARITH)),
    ALU(0x30, "xor", RW | LK, 0),
    [0x37] = I("aaa", 0, FR(FL_AF), FW(FL_ARITH)),
    ALU(0x38, "cmp", RD, 0),
    [0x3f] = I("aas", 0, FR(FL_AF), FW(FL_ARITH)),
    REGS(0x40, "inc", Zv, FW(FL_INC)),
    REGS(0x48, "dec", Zv, FW(FL_INC)),
    REGS(0x50, "push", Zv | STACK),
    REGS(0x58, "pop", Zv | STACK),
    [0x60] = I("pusha", STACK),
    [0x61] = I("popa", STACK),
    [0x62] = I("bound", Gv | Ma | RD),
    [0x63] = I("arpl", Ew | Gw | RW | E_OS16, SENS(ARPL), FW(FL_ZF)),
    [0x68] = I("push", Iz | STACK),
    [0x69] = I("imul", Gv | Ev | Iz | RD, FW(FL_MUL)),
    [0x6a] = I("push", Ib | STACK),
    [0x6b] = I("imul", Gv | Ev | Ib | RD, FW(FL_MUL)),
    [0x6c] = I("insb", STRING | STOP, SENS(INS), FR(FL_DF)),
    [0x6d] = I("ins", STRING | STOP, SENS(INS), FR(FL_DF)),
    [0x6e] = I("outsb", STRING | STOP, SENS(OUTS), FR(FL_DF)),
    [0x6f] = I("outs", STRING | STOP, SENS(OUTS), FR(FL_DF)),
#define X(code, cc, read) [0x70 + code] = I("j" cc, Jb, FLOW(JCC), FR(read)),
    CC_LIST(X)
#undef X
    [0x80] = GROUP1(Eb, Ib),
    [0x81] = GROUP1(Ev, Iz),
    [0x82] = GROUP1(Eb, Ib),
    [0x83] = GROUP1(Ev, Ib),
    [0x84] = I("test", Eb | Gb | RD, FW(FL_ARITH)),
    [0x85] = I("test", Ev | Gv | RD, FW(FL_ARITH)),
    [0x86] = I("xchg", Eb | Gb | RW | LK),
    [0x87] = I("xchg", Ev | Gv | RW | LK),
    [0x88] = I("mov", Eb | Gb | WR),
    [0x89] = I("mov", Ev | Gv | WR),
    [0x8a] = I("mov", Gb | Eb | RD),
    [0x8b] = I("mov", Gv | Ev | RD),
    [0x8c] = CHOOSE(BY_REG, FROM_SEG, FROM_SEG, FROM_SEG, FROM_SEG, FROM_SEG, FROM_SEG, NONE, NONE),
    [0x8d] = I("lea", Gv | M | AD),
    [0x8e] = CHOOSE(BY_REG, TO_SEG, NONE, TO_SEG, TO_SEG, TO_SEG, TO_SEG, NONE, NONE),
    [0x8f] = CHOOSE(BY_REG, I("pop", Ev | WR | STACK), NONE, NONE, NONE, NONE, NONE, NONE, NONE),
    [0x90] = PFX(I("nop", 0), I("nop", 0), I("pause", 0), I("nop", 0)),
    REGS_1_7(0x90, "xchg", Zv | eAX),
    [0x98] = I("cbw/cwde", 0),
    [0x99] = I("cwd/cdq", 0),
    [0x9a] = I("call far", Ap | STACK | STOP, FAR(FAR_CALL)),
    [0x9b] = I("fwait", X87),
    [0x9c] = I("pushf", STACK, SENS(PUSHF), FR(FL_EVERY)),
    [0x9d] = I("popf", STACK | STOP, SENS(POPF), FW(FL_ARITH)),
    [0x9e] = I("sahf", 0, FW(FL_ARITH & ~FL_OF)),
    [0x9f] = I("lahf", 0, FR(FL_ARITH & ~FL_OF)),
    [0xa0] = I("mov", AL | Ob | RD),
    [0xa1] = I("mov", eAX | Ov | RD),
    [0xa2] = I("mov", Ob | AL | WR),
    [0xa3] = I("mov", Ov | eAX | WR),
    [0xa4] = I("movsb", STRING, FR(FL_DF)),
    [0xa5] = I("movs", STRING, FR(FL_DF)),
    [0xa6] = I("cmpsb", STRING | E_FIX_REP, FR(FL_DF), FW(FL_ARITH)),
    [0xa7] = I("cmps", STRING | E_FIX_REP, FR(FL_DF), FW(FL_ARITH)),
    [0xa8] = I("test", AL | Ib, FW(FL_ARITH)),
    [0xa9] = I("test", eAX | Iz, FW(FL_ARITH)),
    [0xaa] = I("stosb", STRING, FR(FL_DF)),
    [0xab] = I("stos", STRING, FR(FL_DF)),
    [0xac] = I("lodsb", STRING, FR(FL_DF)),
    [0xad] = I("lods", STRING, FR(FL_DF)),
    [0xae] = I("scasb", STRING | E_FIX_REP, FR(FL_DF), FW(FL_ARITH)),
    [0xaf] = I("scas", STRING | E_FIX_REP, FR(FL_DF), FW(FL_ARITH)),
    REGS(0xb0, "mov", Zb | Ib),
    REGS(0xb8, "mov", Zv | Iz),
    [0xc0] = GROUP2(Eb, Ib | E_FIX_COUNT),
    [0xc1] = GROUP2(Ev, Ib | E_FIX_COUNT),
    [0xc2] = I("ret", Iw | STACK, FLOW(RET)),
    [0xc3] = I("ret", STACK, FLOW(RET)),
    [0xc4] = I("les", Gv | Mp | RD | STOP, SENS(LOAD_FAR_PTR)),
    [0xc5] = I("lds", Gv | Mp | RD | STOP, SENS(LOAD_FAR_PTR)),
    [0xc6] = CHOOSE(BY_REG, I("mov", Eb | Ib | WR), NONE, NONE, NONE, NONE, NONE, NONE, NONE),
    [0xc7] = CHOOSE(BY_REG, I("mov", Ev | Iz | WR), NONE, NONE, NONE, NONE, NONE, NONE, NONE),
    [0xc8] = I("enter", IwIb | STACK),
    [0xc9] = I("leave", STACK),
    [0xca] = I("ret far", Iw | STACK | STOP, FAR(FAR_RET)),
    [0xcb] = I("ret far", STACK | STOP, FAR(FAR_RET)),
    [0xcc] = I("int3", STACK | STOP, FAR(INT3)),
    [0xcd] = I("int", Ib | STACK | STOP, FAR(INT)),
    [0xce] = I("into", STACK | STOP, FAR(INTO)),
    [0xcf] = I("iret", STACK | STOP, FAR(IRET), FW(FL_ARITH)),
    [0xd0] = GROUP2(Eb, 0),
    [0xd1] = GROUP2(Ev, 0),
    [0xd2] = GROUP2_CL(Eb),
    [0xd3] = GROUP2_CL(Ev),
    [0xd4] = I("aam", Ib, FW(FL_ARITH)),
    [0xd5] = I("aad", Ib, FW(FL_ARITH)),
    [0xd6] = I("salc", 0, FR(FL_CF)),
    [0xd7] = I("xlat", 0),
    [0xd8] = { .by = BY_MODREG, .sub = insn_x87[0] },
    [0xd9] = { .by = BY_MODREG, .sub = insn_x87[1] },
    [0xda] = { .by = BY_MODREG, .sub = insn_x87[2] },
    [0xdb] = { .by = BY_MODREG, .sub = insn_x87[3] },
    [0xdc] = { .by = BY_MODREG, .sub = insn_x87[4] },
    [0xdd] = { .by = BY_MODREG, .sub = insn_x87[5] },
    [0xde] = { .by = BY_MODREG, .sub = insn_x87[6] },
    [0xdf] = { .by = BY_MODREG, .sub = insn_x87[7] },
    [0xe0] = I("loopne", Jb, FLOW(JCC), FR(FL_ZF)),
    [0xe1] = I("loope", Jb, FLOW(JCC), FR(FL_ZF)),
    [0xe2] = I("loop", Jb, FLOW(JCC)),
    [0xe3] = I("jcxz", Jb, FLOW(JCC)),
    [0xe4] = I("in", AL | Ib | STOP, SENS(IN)),
    [0xe5] = I("in", eAX | Ib | STOP, SENS(IN)),
    [0xe6] = I("out", Ib | AL | STOP, SENS(OUT)),
    [0xe7] = I("out", Ib | eAX | STOP, SENS(OUT)),
    [0xe8] = I("call", Jz | STACK, FLOW(CALL)),
    [0xe9] = I("jmp", Jz, FLOW(JMP)),
    [0xea] = I("jmp far", Ap | STOP, FAR(FAR_JMP)),
    [0xeb] = I("jmp", Jb, FLOW(JMP)),
    [0xec] = I("in", AL | DX | STOP, SENS(IN)),
    [0xed] = I("in", eAX | DX | STOP, SENS(IN)),
    [0xee] = I("out", DX | AL | STOP, SENS(OUT)),
    [0xef] = I("out", DX | eAX | STOP, SENS(OUT)),
    [0xf1] = I("int1", STACK | STOP, FAR(INT1)),
    [0xf4] = I("hlt", STOP, FAR(HLT)),
    [0xf5] = I("cmc", 0, FR(FL_CF), FW(FL_CF)),
    [0xf6] = GROUP3(Eb, Ib),
    [0xf7] = GROUP3(Ev, Iz),
    [0xf8] = I("clc", 0, FW(FL_CF)),
    [0xf9] = I("stc", 0, FW(FL_CF)),
    [0xfa] = I("cli", 0, SENS(CLI)),
    [0xfb] = I("sti", STOP, SENS(STI)),
    [0xfc] = I("cld", 0),
    [0xfd] = I("std", 0),
    [0xfe] = CHOOSE(BY_REG,
        I("inc", Eb | RW | LK, FW(FL_INC)), I("dec", Eb | RW | LK, FW(FL_INC)),
        NONE, NONE, NONE, NONE, NONE, NONE),
    [0xff] = CHOOSE(BY_REG,
        I("inc", Ev | RW | LK, FW(FL_INC)), I("dec", Ev | RW | LK, FW(FL_INC)),
        I("call", Ev | RD | STACK, FLOW(ICALL)),
        I("call far", Ep | RD | STACK | STOP, FAR(FAR_CALL)),
        I("jmp", Ev | RD, FLOW(IJMP)),
        I("jmp far", Ep | RD | STOP, FAR(FAR_JMP)),
        I("push", Ev | RD | STACK), NONE),
};
