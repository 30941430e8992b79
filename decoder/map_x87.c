// SPDX-License-Identifier: GPL-2.0-or-later
// The x87 escapes D8..DF (SDM volume 2D, tables ), with the undocumented aliases that
// silicon has: DC D0 FCOM2, DC D8 FCOMP3, DD C8 FXCH4, DE D0 FCOMP5, DF C0 FFREEP, DF C8 FXCH7,
// DF D0 FSTP8, DF D8 FSTP9, D9 D8 FSTP1, and the 8087's and 80287's FENI, FDISI and FSETPM as NOPs.
#include "row.h"

#define F(name, ...) I(name, X87 | E_MODRM, ##__VA_ARGS__) // registers only
#define FM(name, size, access, ...)                                                          \
    I(name, X87 | E_MODRM | E_SIZE(SIZE_##size) | access, ##__VA_ARGS__)

#define ARITH_M(i, size)                                                                     \
    FM("f" i "add", size, RD), FM("f" i "mul", size, RD),                                    \
    FM("f" i "com", size, RD), FM("f" i "comp", size, RD),                                   \
    FM("f" i "sub", size, RD), FM("f" i "subr", size, RD),                                   \
    FM("f" i "div", size, RD), FM("f" i "divr", size, RD)

// An unmasked #IA leaves EFLAGS alone and is reported later: the old flags may survive.
#define FCOMI(name) F(name, ISA(CMOV), FR(FL_ZF | FL_PF | FL_CF))
#define FCMOV(name, read) F(name, ISA(CMOV), FR(read))

#define RM(...) CHOOSE(BY_RM, __VA_ARGS__)

const struct row insn_x87[8][16] = {
    { // D8
        ARITH_M("", 4),
        F("fadd"), F("fmul"), F("fcom"), F("fcomp"), F("fsub"), F("fsubr"), F("fdiv"), F("fdivr"),
    },
    { // D9
        FM("fld", 4, RD), NONE, FM("fst", 4, WR), FM("fstp", 4, WR),
        FM("fldenv", ENV, RD), FM("fldcw", 2, RD), FM("fnstenv", ENV, WR), FM("fnstcw", 2, WR),
        F("fld"),
        F("fxch"),
        RM(F("fnop"), NONE, NONE, NONE, NONE, NONE, NONE, NONE),
        F("fstp"),
        RM(F("fchs"), F("fabs"), NONE, NONE, F("ftst"), F("fxam"), NONE, NONE),
        RM(F("fld1"), F("fldl2t"), F("fldl2e"), F("fldpi"), F("fldlg2"), F("fldln2"), F("fldz"),
           NONE),
        RM(F("f2xm1"), F("fyl2x"), F("fptan"), F("fpatan"), F("fxtract"), F("fprem1"), F("fdecstp"),
           F("fincstp")),
        RM(F("fprem"), F("fyl2xp1"), F("fsqrt"), F("fsincos"), F("frndint"), F("fscale"), F("fsin"),
           F("fcos")),
    },
    { // DA
        ARITH_M("i", 4),
        FCMOV("fcmovb", FL_CF), FCMOV("fcmove", FL_ZF), FCMOV("fcmovbe", FL_CF | FL_ZF),
        FCMOV("fcmovu", FL_PF),
        NONE,
        RM(NONE, F("fucompp"), NONE, NONE, NONE, NONE, NONE, NONE),
        NONE, NONE,
    },
    { // DB
        FM("fild", 4, RD), FM("fisttp", 4, WR, ISA(SSE3)), FM("fist", 4, WR), FM("fistp", 4, WR),
        NONE, FM("fld", 10, RD), NONE, FM("fstp", 10, WR),
        FCMOV("fcmovnb", FL_CF), FCMOV("fcmovne", FL_ZF), FCMOV("fcmovnbe", FL_CF | FL_ZF),
        FCMOV("fcmovnu", FL_PF),
        RM(F("fneni"), F("fndisi"), F("fnclex"), F("fninit"), F("fnsetpm"), NONE, NONE, NONE),
        FCOMI("fucomi"),
        FCOMI("fcomi"),
        NONE,
    },
    { // DC
        ARITH_M("", 8),
        F("fadd"), F("fmul"), F("fcom"), F("fcomp"), F("fsubr"), F("fsub"), F("fdivr"), F("fdiv"),
    },
    { // DD
        FM("fld", 8, RD), FM("fisttp", 8, WR, ISA(SSE3)), FM("fst", 8, WR), FM("fstp", 8, WR),
        FM("frstor", SAVE, RD), NONE, FM("fnsave", SAVE, WR), FM("fnstsw", 2, WR),
        F("ffree"), F("fxch"), F("fst"), F("fstp"), F("fucom"), F("fucomp"), NONE, NONE,
    },
    { // DE
        ARITH_M("i", 2),
        F("faddp"), F("fmulp"), F("fcomp"),
        RM(NONE, F("fcompp"), NONE, NONE, NONE, NONE, NONE, NONE),
        F("fsubrp"), F("fsubp"), F("fdivrp"), F("fdivp"),
    },
    { // DF
        FM("fild", 2, RD), FM("fisttp", 2, WR, ISA(SSE3)), FM("fist", 2, WR), FM("fistp", 2, WR),
        FM("fbld", 10, RD), FM("fild", 8, RD), FM("fbstp", 10, WR), FM("fistp", 8, WR),
        F("ffreep"), F("fxch"), F("fstp"), F("fstp"),
        RM(F("fnstsw"), NONE, NONE, NONE, NONE, NONE, NONE, NONE),
        FCOMI("fucomip"), FCOMI("fcomip"), NONE,
    },
};
