// SPDX-License-Identifier: GPL-2.0-or-later
// The two-byte opcodes 0F xx (SDM volume 2D, table A-3 and the groups of table A-6).
#include "row.h"

// An MMX instruction of the given step and its SSE2 twin on XMM registers.
#define MMX_(name, mm, step)                                                                 \
    PFX2(I(name, Pq | mm | RD, ISA(step)), I(name, Vx | Wx | RD, ISA(SSE2)))
#define MMX(name) MMX_(name, Qq, MMX)

// SSE arithmetic: packed single and double, scalar single and double.
#define SSE(name, packed, scalar)                                                            \
    PFX(I(name "ps", Vx | Wx | RD packed, ISA(SSE)), I(name "pd", Vx | Wx | RD packed, ISA(SSE2)), \
        I(name "ss", Vx | Wd | RD scalar, ISA(SSE)), I(name "sd", Vx | Wq | RD scalar, ISA(SSE2)))
#define SSE4(name) SSE(name, , )
#define SSE_PACKED(name)                                                                     \
    PFX2(I(name "ps", Vx | Wx | RD, ISA(SSE)), I(name "pd", Vx | Wx | RD, ISA(SSE2)))
#define SSE_SINGLE(name)                                                                     \
    PFX(I(name "ps", Vx | Wx | RD, ISA(SSE)), NONE, I(name "ss", Vx | Wd | RD, ISA(SSE)), NONE)
#define SSE_COMPARE(name)                                                                    \
    PFX(I(name "ss", Vx | Wd | RD, ISA(SSE), FW(FL_ARITH)),                                  \
        I(name "sd", Vx | Wq | RD, ISA(SSE2), FW(FL_ARITH)), NONE, NONE)
#define SSE3_HORIZONTAL(name)                                                                \
    PFX(NONE, I(name "pd", Vx | Wx | RD, ISA(SSE3)), NONE, I(name "ps", Vx | Wx | RD, ISA(SSE3)))

// Groups 12 to 14: shifts of MMX and XMM registers by an immediate.
#define SHIFT_IMM(name) PFX2(I(name, Nq | Ib, ISA(MMX)), I(name, Ux | Ib, ISA(SSE2)))
#define SHIFT_XMM(name) PFX2(NONE, I(name, Ux | Ib, ISA(SSE2)))

#define HINT_NOP I("nop", Ev | AD, ISA(P6))
#define PREFETCH(name) I(name, Eb_zx | AD, ISA(P6))

#define MOV_CR(row) CHOOSE(BY_REG, row, UNDEF_CR, row, row, row, UNDEF_CR, UNDEF_CR, UNDEF_CR)
#define UNDEF_CR { .enc = Rd }

// SDM: BT leaves ZF alone and the rest undefined. Silicon keeps them, and so do we.
#define BIT_OP(name, form, access) I(name, form | access, FW(FL_CF))

#define LOAD_FAR(name) I(name, Gv | Mp | RD | STOP, SENS(LOAD_FAR_PTR))

const struct row insn_map_0f[256] = {
    [0x00] = CHOOSE(BY_REG,
        I("sldt", Ew | WR, SENS(SLDT)), I("str", Ew | WR, SENS(STR)),
        I("lldt", Ew | RD | STOP | E_OS16, SENS(LLDT)),
        I("ltr", Ew | RD | STOP | E_OS16, SENS(LTR)),
        I("verr", Ew | RD | E_OS16, SENS(VERR), FW(FL_ZF)),
        I("verw", Ew | RD | E_OS16, SENS(VERW), FW(FL_ZF)), NONE, NONE),
    [0x01] = CHOOSE(BY_MODREG,
        I("sgdt", Ms | WR, SENS(SGDT)), I("sidt", Ms | WR, SENS(SIDT)),
        I("lgdt", Ms | RD | STOP, SENS(LGDT)), I("lidt", Ms | RD | STOP, SENS(LIDT)),
        I("smsw", Ew | WR, SENS(SMSW)), NONE,
        I("lmsw", Ew | RD | STOP | E_OS16, SENS(LMSW)),
        I("invlpg", M | AD | STOP, SENS(INVLPG), ISA(486)),
        NONE, NONE, NONE, NONE, I("smsw", Ew | WR, SENS(SMSW)), NONE,
        I("lmsw", Ew | RD | STOP | E_OS16, SENS(LMSW)), NONE),
    [0x02] = I("lar", Gv | Ew | RD, SENS(LAR), FW(FL_ZF)),
    [0x03] = I("lsl", Gv | Ew | RD, SENS(LSL), FW(FL_ZF)),
    [0x06] = I("clts", STOP, SENS(CLTS)),
    [0x08] = I("invd", 0, SENS(INVD), ISA(486)),
    [0x09] = I("wbinvd", 0, SENS(WBINVD), ISA(486)),
    [0x0b] = I("ud2", UD),
    [0x0d] = PREFETCH("prefetchw"),

    [0x10] = PFX(I("movups", Vx | Wx | RD, ISA(SSE)), I("movupd", Vx | Wx | RD, ISA(SSE2)),
                 I("movss", Vx | Wd | RD, ISA(SSE)), I("movsd", Vx | Wq | RD, ISA(SSE2))),
    [0x11] = PFX(I("movups", Wx | Vx | WR, ISA(SSE)), I("movupd", Wx | Vx | WR, ISA(SSE2)),
                 I("movss", Wd | Vx | WR, ISA(SSE)), I("movsd", Wq | Vx | WR, ISA(SSE2))),
    [0x12] = PFX(CHOOSE(BY_MOD, I("movlps", Vx | Mq | RD, ISA(SSE)),
                        I("movhlps", Vx | Ux, ISA(SSE))),
                 I("movlpd", Vx | Mq | RD, ISA(SSE2)),
                 I("movsldup", Vx | Wx | RD, ISA(SSE3)), I("movddup", Vx | Wq | RD, ISA(SSE3))),
    [0x13] = PFX2(I("movlps", Mq | Vx | WR, ISA(SSE)), I("movlpd", Mq | Vx | WR, ISA(SSE2))),
    [0x14] = SSE_PACKED("unpckl"),
    [0x15] = SSE_PACKED("unpckh"),
    [0x16] = PFX(CHOOSE(BY_MOD, I("movhps", Vx | Mq | RD, ISA(SSE)),
                        I("movlhps", Vx | Ux, ISA(SSE))),
                 I("movhpd", Vx | Mq | RD, ISA(SSE2)), I("movshdup", Vx | Wx | RD, ISA(SSE3)),
                 NONE),
    [0x17] = PFX2(I("movhps", Mq | Vx | WR, ISA(SSE)), I("movhpd", Mq | Vx | WR, ISA(SSE2))),
    [0x18] = CHOOSE(BY_MODREG,
        PREFETCH("prefetchnta"), PREFETCH("prefetcht0"), PREFETCH("prefetcht1"),
        PREFETCH("prefetcht2"),
        HINT_NOP, HINT_NOP, HINT_NOP, HINT_NOP,
        HINT_NOP, HINT_NOP, HINT_NOP, HINT_NOP, HINT_NOP, HINT_NOP, HINT_NOP, HINT_NOP),
    [0x19] = HINT_NOP, [0x1a] = HINT_NOP, [0x1b] = HINT_NOP, [0x1c] = HINT_NOP, [0x1d] = HINT_NOP,
    [0x1e] = HINT_NOP, [0x1f] = HINT_NOP,

    [0x20] = MOV_CR(I("mov", Rd | Cd, SENS(MOV_FROM_CR))),
    [0x21] = I("mov", Rd | Dd, SENS(MOV_FROM_DR)),
    [0x22] = MOV_CR(I("mov", Cd | Rd | STOP, SENS(MOV_TO_CR))),
    [0x23] = I("mov", Dd | Rd | STOP, SENS(MOV_TO_DR)),
    [0x28] = PFX2(I("movaps", Vx | Wx | RD, ISA(SSE)), I("movapd", Vx | Wx | RD, ISA(SSE2))),
    [0x29] = PFX2(I("movaps", Wx | Vx | WR, ISA(SSE)), I("movapd", Wx | Vx | WR, ISA(SSE2))),
    [0x2a] = PFX(I("cvtpi2ps", Vx | Qq | RD, ISA(SSE)), I("cvtpi2pd", Vx | Qq | RD, ISA(SSE2)),
                 I("cvtsi2ss", Vx | Ed | RD, ISA(SSE)), I("cvtsi2sd", Vx | Ed | RD, ISA(SSE2))),
    [0x2b] = PFX2(I("movntps", Mx | Vx | WR, ISA(SSE)), I("movntpd", Mx | Vx | WR, ISA(SSE2))),
    [0x2c] = PFX(I("cvttps2pi", Pq | Wq | RD, ISA(SSE)), I("cvttpd2pi", Pq | Wx | RD, ISA(SSE2)),
                 I("cvttss2si", Gd | Wd | RD, ISA(SSE)), I("cvttsd2si", Gd | Wq | RD, ISA(SSE2))),
    [0x2d] = PFX(I("cvtps2pi", Pq | Wq | RD, ISA(SSE)), I("cvtpd2pi", Pq | Wx | RD, ISA(SSE2)),
                 I("cvtss2si", Gd | Wd | RD, ISA(SSE)), I("cvtsd2si", Gd | Wq | RD, ISA(SSE2))),
    [0x2e] = SSE_COMPARE("ucomi"),
    [0x2f] = SSE_COMPARE("comi"),

    [0x30] = I("wrmsr", STOP, SENS(WRMSR), ISA(P5)),
    [0x31] = I("rdtsc", 0, SENS(RDTSC), ISA(P5)),
    [0x32] = I("rdmsr", 0, SENS(RDMSR), ISA(P5)),
    [0x33] = I("rdpmc", 0, SENS(RDPMC), ISA(P6)),
    [0x34] = I("sysenter", STOP, FAR(SYSENTER), ISA(SEP)),
    [0x35] = I("sysexit", STOP, FAR(SYSEXIT), ISA(SEP)),
#define X(code, cc, read) [0x40 + code] = I("cmov" cc, Gv | Ev | RD, ISA(CMOV), FR(read)),
    CC_LIST(X)
#undef X

    [0x50] = PFX2(I("movmskps", Gd | Ux, ISA(SSE)), I("movmskpd", Gd | Ux, ISA(SSE2))),
    [0x51] = SSE4("sqrt"),
    [0x52] = SSE_SINGLE("rsqrt"),
    [0x53] = SSE_SINGLE("rcp"),
    [0x54] = SSE_PACKED("and"),
    [0x55] = SSE_PACKED("andn"),
    [0x56] = SSE_PACKED("or"),
    [0x57] = SSE_PACKED("xor"),
    [0x58] = SSE4("add"),
    [0x59] = SSE4("mul"),
    [0x5a] = PFX(I("cvtps2pd", Vx | Wq | RD, ISA(SSE2)), I("cvtpd2ps", Vx | Wx | RD, ISA(SSE2)),
                 I("cvtss2sd", Vx | Wd | RD, ISA(SSE2)), I("cvtsd2ss", Vx | Wq | RD, ISA(SSE2))),
    [0x5b] = PFX(I("cvtdq2ps", Vx | Wx | RD, ISA(SSE2)), I("cvtps2dq", Vx | Wx | RD, ISA(SSE2)),
                 I("cvttps2dq", Vx | Wx | RD, ISA(SSE2)), NONE),
    [0x5c] = SSE4("sub"),
    [0x5d] = SSE4("min"),
    [0x5e] = SSE4("div"),
    [0x5f] = SSE4("max"),

    [0x60] = MMX_("punpcklbw", Qd, MMX),
    [0x61] = MMX_("punpcklwd", Qd, MMX),
    [0x62] = MMX_("punpckldq", Qd, MMX),
    [0x63] = MMX("packsswb"),
    [0x64] = MMX("pcmpgtb"),
    [0x65] = MMX("pcmpgtw"),
    [0x66] = MMX("pcmpgtd"),
    [0x67] = MMX("packuswb"),
    [0x68] = MMX("punpckhbw"),
    [0x69] = MMX("punpckhwd"),
    [0x6a] = MMX("punpckhdq"),
    [0x6b] = MMX("packssdw"),
    [0x6c] = PFX2(NONE, I("punpcklqdq", Vx | Wx | RD, ISA(SSE2))),
    [0x6d] = PFX2(NONE, I("punpckhqdq", Vx | Wx | RD, ISA(SSE2))),
    [0x6e] = PFX2(I("movd", Pq | Ed | RD, ISA(MMX)), I("movd", Vx | Ed | RD, ISA(SSE2))),
    [0x6f] = PFX(I("movq", Pq | Qq | RD, ISA(MMX)), I("movdqa", Vx | Wx | RD, ISA(SSE2)),
                 I("movdqu", Vx | Wx | RD, ISA(SSE2)), NONE),
    [0x70] = PFX(I("pshufw", Pq | Qq | Ib | RD, ISA(SSE)),
                 I("pshufd", Vx | Wx | Ib | RD, ISA(SSE2)),
                 I("pshufhw", Vx | Wx | Ib | RD, ISA(SSE2)),
                 I("pshuflw", Vx | Wx | Ib | RD, ISA(SSE2))),
    [0x71] = CHOOSE(BY_REG, NONE, NONE, SHIFT_IMM("psrlw"), NONE, SHIFT_IMM("psraw"), NONE,
                    SHIFT_IMM("psllw"), NONE),
    [0x72] = CHOOSE(BY_REG, NONE, NONE, SHIFT_IMM("psrld"), NONE, SHIFT_IMM("psrad"), NONE,
                    SHIFT_IMM("pslld"), NONE),
    [0x73] = CHOOSE(BY_REG, NONE, NONE, SHIFT_IMM("psrlq"), SHIFT_XMM("psrldq"), NONE, NONE,
                    SHIFT_IMM("psllq"), SHIFT_XMM("pslldq")),
    [0x74] = MMX("pcmpeqb"),
    [0x75] = MMX("pcmpeqw"),
    [0x76] = MMX("pcmpeqd"),
    [0x77] = PFX2(I("emms", Pq, ISA(MMX)), NONE),
    [0x7c] = SSE3_HORIZONTAL("hadd"),
    [0x7d] = SSE3_HORIZONTAL("hsub"),
    [0x7e] = PFX(I("movd", Ed | Pq | WR, ISA(MMX)), I("movd", Ed | Vx | WR, ISA(SSE2)),
                 I("movq", Vx | Wq | RD, ISA(SSE2)), NONE),
    [0x7f] = PFX(I("movq", Qq | Pq | WR, ISA(MMX)), I("movdqa", Wx | Vx | WR, ISA(SSE2)),
                 I("movdqu", Wx | Vx | WR, ISA(SSE2)), NONE),
#define X(code, cc, read) [0x80 + code] = I("j" cc, Jz, FLOW(JCC), FR(read)),
    CC_LIST(X)
#undef X
#define X(code, cc, read) [0x90 + code] = I("set" cc, Eb | WR, FR(read)),
    CC_LIST(X)
#undef X

    [0xa0] = I("push fs", STACK, SENS(PUSH_SEG)),
    [0xa1] = I("pop fs", STACK | STOP, SENS(POP_SEG)),
    [0xa2] = I("cpuid", 0, SENS(CPUID), ISA(P5)),
    [0xa3] = BIT_OP("bt", Ev | Gv, RD),
    [0xa4] = I("shld", Ev | Gv | Ib | RW | E_FIX_COUNT, FW(FL_ARITH)),
    [0xa5] = I("shld", Ev | Gv | CL | RW, FR(FL_ARITH)),
    [0xa8] = I("push gs", STACK, SENS(PUSH_SEG)),
    [0xa9] = I("pop gs", STACK | STOP, SENS(POP_SEG)),
    [0xaa] = I("rsm", STOP, FAR(RSM), FW(FL_ARITH), ISA(P5)),
    [0xab] = BIT_OP("bts", Ev | Gv, RW | LK),
    [0xac] = I("shrd", Ev | Gv | Ib | RW | E_FIX_COUNT, FW(FL_ARITH)),
    [0xad] = I("shrd", Ev | Gv | CL | RW, FR(FL_ARITH)),
    [0xae] = PFX2(
        CHOOSE(BY_MODREG,
            I("fxsave", M | WR | X87, ISA(FXSR)), I("fxrstor", M | RD | X87, ISA(FXSR)),
            I("ldmxcsr", Vx | Md | RD, ISA(SSE)), I("stmxcsr", Vx | Md | WR, ISA(SSE)),
            NONE, NONE, NONE, I("clflush", Mb | RD, ISA(SSE2)),
            NONE, NONE, NONE, NONE, NONE,
            I("lfence", E_MODRM, ISA(SSE2)), I("mfence", E_MODRM, ISA(SSE2)),
            I("sfence", E_MODRM, ISA(SSE))),
        NONE),
    [0xaf] = I("imul", Gv | Ev | RD, FW(FL_MUL)),

    [0xb0] = I("cmpxchg", Eb | Gb | RW | LK, ISA(486), FW(FL_ARITH)),
    [0xb1] = I("cmpxchg", Ev | Gv | RW | LK, ISA(486), FW(FL_ARITH)),
    [0xb2] = LOAD_FAR("lss"),
    [0xb3] = BIT_OP("btr", Ev | Gv, RW | LK),
    [0xb4] = LOAD_FAR("lfs"),
    [0xb5] = LOAD_FAR("lgs"),
    [0xb6] = I("movzx", Gv | Eb_zx | RD),
    [0xb7] = I("movzx", Gv | Ew | RD),
    [0xb8] = PFX(NONE, NONE, I("popcnt", Gv | Ev | RD, ISA(POPCNT), FW(FL_ARITH)), NONE),
    [0xb9] = I("ud1", Gv | Ev | UD),
    [0xba] = CHOOSE(BY_REG, NONE, NONE, NONE, NONE,
        BIT_OP("bt", Ev | Ib, RD), BIT_OP("bts", Ev | Ib, RW | LK),
        BIT_OP("btr", Ev | Ib, RW | LK), BIT_OP("btc", Ev | Ib, RW | LK)),
    [0xbb] = BIT_OP("btc", Ev | Gv, RW | LK),
    // BSF and BSR write ZF; the others are undefined, and kept by some silicon. TZCNT and LZCNT are
    // BSF and BSR where they are not implemented, so they count as no more.
    [0xbc] = PFX(I("bsf", Gv | Ev | RD, FW(FL_ZF)), I("bsf", Gv | Ev | RD, FW(FL_ZF)),
                 I("tzcnt", Gv | Ev | RD, ISA(TZCNT), FW(FL_ZF)),
                 I("bsf", Gv | Ev | RD, FW(FL_ZF))),
    [0xbd] = PFX(I("bsr", Gv | Ev | RD, FW(FL_ZF)), I("bsr", Gv | Ev | RD, FW(FL_ZF)),
                 I("lzcnt", Gv | Ev | RD, ISA(LZCNT), FW(FL_ZF)),
                 I("bsr", Gv | Ev | RD, FW(FL_ZF))),
    [0xbe] = I("movsx", Gv | Eb_zx | RD),
    [0xbf] = I("movsx", Gv | Ew | RD),

    [0xc0] = I("xadd", Eb | Gb | RW | LK, ISA(486), FW(FL_ARITH)),
    [0xc1] = I("xadd", Ev | Gv | RW | LK, ISA(486), FW(FL_ARITH)),
    [0xc2] = SSE("cmp", | Ib, | Ib),
    [0xc3] = PFX2(I("movnti", Md | Gd | WR, ISA(SSE2)), NONE),
    [0xc4] = PFX2(I("pinsrw", Pq | Ew | Ib | RD | E_OS32, ISA(SSE)),
                  I("pinsrw", Vx | Ew | Ib | RD | E_OS32, ISA(SSE2))),
    [0xc5] = PFX2(I("pextrw", Gd | Nq | Ib, ISA(SSE)), I("pextrw", Gd | Ux | Ib, ISA(SSE2))),
    [0xc6] = PFX(I("shufps", Vx | Wx | Ib | RD, ISA(SSE)),
                 I("shufpd", Vx | Wx | Ib | RD, ISA(SSE2)),
                 NONE, NONE),
    [0xc7] = CHOOSE(BY_MODREG,
        NONE, I("cmpxchg8b", Mq | RW | LK, ISA(P5), FW(FL_ZF)), NONE, NONE, NONE, NONE, NONE, NONE,
        NONE, NONE, NONE, NONE, NONE, NONE,
        PFX(I("rdrand", Rv, ISA(RDRAND), FW(FL_ARITH)), I("rdrand", Rv, ISA(RDRAND), FW(FL_ARITH)),
            NONE, NONE),
        PFX(I("rdseed", Rv, ISA(RDSEED), FW(FL_ARITH)), I("rdseed", Rv, ISA(RDSEED), FW(FL_ARITH)),
            NONE, NONE)),
    REGS(0xc8, "bswap", Zv, ISA(486)),

    [0xd0] = SSE3_HORIZONTAL("addsub"),
    [0xd1] = MMX("psrlw"),
    [0xd2] = MMX("psrld"),
    [0xd3] = MMX("psrlq"),
    [0xd4] = MMX_("paddq", Qq, SSE2),
    [0xd5] = MMX("pmullw"),
    [0xd6] = PFX(NONE, I("movq", Wq | Vx | WR, ISA(SSE2)), I("movq2dq", Vx | Nq, ISA(SSE2)),
                 I("movdq2q", Pq | Ux, ISA(SSE2))),
    [0xd7] = PFX2(I("pmovmskb", Gd | Nq, ISA(SSE)), I("pmovmskb", Gd | Ux, ISA(SSE2))),
    [0xd8] = MMX("psubusb"),
    [0xd9] = MMX("psubusw"),
    [0xda] = MMX_("pminub", Qq, SSE),
    [0xdb] = MMX("pand"),
    [0xdc] = MMX("paddusb"),
    [0xdd] = MMX("paddusw"),
    [0xde] = MMX_("pmaxub", Qq, SSE),
    [0xdf] = MMX("pandn"),
    [0xe0] = MMX_("pavgb", Qq, SSE),
    [0xe1] = MMX("psraw"),
    [0xe2] = MMX("psrad"),
    [0xe3] = MMX_("pavgw", Qq, SSE),
    [0xe4] = MMX_("pmulhuw", Qq, SSE),
    [0xe5] = MMX("pmulhw"),
    [0xe6] = PFX(NONE, I("cvttpd2dq", Vx | Wx | RD, ISA(SSE2)),
                 I("cvtdq2pd", Vx | Wq | RD, ISA(SSE2)),
                 I("cvtpd2dq", Vx | Wx | RD, ISA(SSE2))),
    [0xe7] = PFX2(I("movntq", Mq | Pq | WR, ISA(SSE)), I("movntdq", Mx | Vx | WR, ISA(SSE2))),
    [0xe8] = MMX("psubsb"),
    [0xe9] = MMX("psubsw"),
    [0xea] = MMX_("pminsw", Qq, SSE),
    [0xeb] = MMX("por"),
    [0xec] = MMX("paddsb"),
    [0xed] = MMX("paddsw"),
    [0xee] = MMX_("pmaxsw", Qq, SSE),
    [0xef] = MMX("pxor"),
    [0xf0] = PFX(NONE, NONE, NONE, I("lddqu", Vx | Mx | RD, ISA(SSE3))),
    [0xf1] = MMX("psllw"),
    [0xf2] = MMX("pslld"),
    [0xf3] = MMX("psllq"),
    [0xf4] = MMX_("pmuludq", Qq, SSE2),
    [0xf5] = MMX("pmaddwd"),
    [0xf6] = MMX_("psadbw", Qq, SSE),
    [0xf7] = PFX2(I("maskmovq", Pq | Nq, ISA(SSE)), I("maskmovdqu", Vx | Ux, ISA(SSE2))),
    [0xf8] = MMX("psubb"),
    [0xf9] = MMX("psubw"),
    [0xfa] = MMX("psubd"),
    [0xfb] = MMX_("psubq", Qq, SSE2),
    [0xfc] = MMX("paddb"),
    [0xfd] = MMX("paddw"),
    [0xfe] = MMX("paddd"),
    [0xff] = I("ud0", Gv | Ev | UD),
};
