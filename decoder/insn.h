// SPDX-License-Identifier: GPL-2.0-or-later
// One decoded guest instruction, and the function that decodes it.
//
//   prefixes   opcode (one of five maps)   ModRM   SIB   displacement   immediate(s)
//   66 67 F0   xx / 0F xx /                 xx     xx    8/16/32 bit    8/16/32 bit
//   F2 F3 seg  0F 38 xx / 0F 3A xx /                                     (Intel SDM volume 2, 2.1)
//              C4 RXB+map WvvvvLpp xx                                    (VEX: 2.3)
#ifndef RING3_DECODER_INSN_H
#define RING3_DECODER_INSN_H

#include "monitor/base/types.h"
#include "monitor/base/x86.h"

#define INSN_MAX 15 // bytes, the architecture's limit; longer is #GP(0)

// MAP_VEX38 is VEX's 0F 38 with L and pp 0: BMI1's instructions on general registers. Of VEX there is nothing else.
enum insn_map { MAP_1, MAP_0F, MAP_0F38, MAP_0F3A, MAP_VEX38, MAP_COUNT };

// op = map << 8 | opcode byte: what everyone switches on.
#define OP(map, byte) ((map) << 8 | (byte))
#define OP1(byte) (byte)
#define OP0F(byte) OP(MAP_0F, byte)
#define OP0F38(byte) OP(MAP_0F38, byte)
#define OP0F3A(byte) OP(MAP_0F3A, byte)
#define OPVEX38(byte) OP(MAP_VEX38, byte)

enum { // insn.prefix
    PFX_LOCK = BIT(0),
    PFX_REP = BIT(1),    // F3, if it is the last of F2/F3
    PFX_REPNE = BIT(2),  // F2, if it is the last of F2/F3
    PFX_66 = BIT(3),
    PFX_67 = BIT(4),
    PFX_SEG = BIT(5),
};

// What an instruction does to control flow.
enum insn_flow {
    FLOW_NONE,   // falls through
    FLOW_JCC,    // conditional direct: Jcc, LOOPcc, JCXZ
    FLOW_JMP,    // direct near jump
    FLOW_CALL,   // direct near call
    FLOW_RET,    // near return
    FLOW_IJMP,   // indirect near jump
    FLOW_ICALL,  // indirect near call
    FLOW_FAR,    // far transfer, INT n, IRET, SYSENTER, SYSEXIT, HLT...: ends a block
};

// How it uses its explicit memory operand (ModRM or moffs). MEM_ADDRESS: it computes the address
// and no more (LEA, INVLPG, NOP, PREFETCH).
enum { MEM_NONE, MEM_READ = 1, MEM_WRITE = 2, MEM_RMW = 3, MEM_ADDRESS = 4 };

// The one list of sensitive instructions: privileged ones, I/O, and the seventeen or so that
// violate Popek and Goldberg's condition (Robin and Irvine, USENIX Security 2000).
// Columns: enumerator, name printed, privileged (faults outside CPL 0 or IOPL by itself)?
#define SENSITIVE_LIST(X)                                                                    \
    X(CLI, "cli", 1) X(STI, "sti", 1) X(HLT, "hlt", 1) X(IN, "in", 1) X(OUT, "out", 1)       \
    X(INS, "ins", 1) X(OUTS, "outs", 1) X(LGDT, "lgdt", 1) X(LIDT, "lidt", 1)                \
    X(LLDT, "lldt", 1) X(LTR, "ltr", 1) X(LMSW, "lmsw", 1) X(CLTS, "clts", 1)                \
    X(MOV_FROM_CR, "mov r,cr", 1) X(MOV_TO_CR, "mov cr,r", 1) X(MOV_FROM_DR, "mov r,dr", 1)  \
    X(MOV_TO_DR, "mov dr,r", 1) X(INVLPG, "invlpg", 1) X(INVD, "invd", 1)                    \
    X(WBINVD, "wbinvd", 1) X(RDMSR, "rdmsr", 1) X(WRMSR, "wrmsr", 1) X(RDPMC, "rdpmc", 1)    \
    X(RDTSC, "rdtsc", 1) X(SYSEXIT, "sysexit", 1) X(SYSENTER, "sysenter", 0)                 \
    X(CPUID, "cpuid", 0) X(SGDT, "sgdt", 0) X(SIDT, "sidt", 0) X(SLDT, "sldt", 0)            \
    X(STR, "str", 0) X(SMSW, "smsw", 0) X(PUSHF, "pushf", 0) X(POPF, "popf", 0)              \
    X(IRET, "iret", 0) X(LAR, "lar", 0) X(LSL, "lsl", 0) X(VERR, "verr", 0)                  \
    X(VERW, "verw", 0) X(ARPL, "arpl", 0) X(PUSH_SEG, "push seg", 0) X(POP_SEG, "pop seg", 0)\
    X(MOV_FROM_SEG, "mov r,seg", 0) X(MOV_TO_SEG, "mov seg,r", 0)                            \
    X(LOAD_FAR_PTR, "lds/les/lss/lfs/lgs", 0) X(FAR_CALL, "call far", 0)                     \
    X(FAR_JMP, "jmp far", 0) X(FAR_RET, "ret far", 0) X(INT, "int n", 0)                     \
    X(INT3, "int3", 0) X(INT1, "int1", 0) X(INTO, "into", 0) X(RSM, "rsm", 1)

enum insn_sensitive {
    SENS_NONE,
#define X(id, name, priv) SENS_##id,
    SENSITIVE_LIST(X)
#undef X
    SENS_COUNT
};
extern const char *const sensitive_name[SENS_COUNT];

enum { // insn.attr
    INSN_MODRM = BIT(0),    // has a ModRM byte
    INSN_LOCKABLE = BIT(1), // LOCK is allowed with its memory destination
    INSN_X87 = BIT(2),
    INSN_MMX = BIT(3),      // touches MMX registers
    INSN_SSE = BIT(4),      // touches XMM registers or MXCSR
    INSN_STRING = BIT(5),   // MOVS CMPS STOS LODS SCAS INS OUTS
    INSN_STACK = BIT(6),    // implicit stack access
    // Its ModRM reg/rm register operands are byte registers. Not set where only rm is (MOVZX and
    // MOVSX Gv,Eb, CRC32 Gd,Eb).
    INSN_8BIT = BIT(7),
    INSN_UD = BIT(8),       // undefined: raises #UD
    // Ends a block although it falls through: what the code after it was translated under may have
    // changed (CR writes, segment loads, STI, POPF, I/O...). Set with FLOW_FAR and INSN_UD too.
    INSN_STOP = BIT(9),
};

// The instruction-set step that introduced a form, for -cpu: it is #UD on older models. Except
// LZCNT and TZCNT: there the F3 is ignored, and they are BSR and BSF.
enum insn_isa {
    ISA_386,
    ISA_486,
    ISA_P5, // CPUID RDTSC CMPXCHG8B RDMSR..
    ISA_CMOV, ISA_MMX,
    ISA_P6, // RDPMC, NOP Ev, PREFETCHh
    ISA_SEP, ISA_FXSR, ISA_SSE, ISA_SSE2, ISA_SSE3, ISA_SSSE3, ISA_SSE41, ISA_SSE42, ISA_POPCNT,
    ISA_MOVBE, ISA_AES, ISA_PCLMUL, ISA_RDRAND, ISA_RDSEED, ISA_ADX, ISA_LZCNT, ISA_TZCNT,
    ISA_BMI1, // but for TZCNT
    ISA_COUNT
};

struct insn {
    u16 op;          // OP(map, opcode byte)
    u16 attr;        // INSN_*
    u8 len;          // total length in bytes, 1..15
    u8 prefix;       // PFX_*
    u8 seg;          // effective segment of the memory operand (override or default), S_*
    u8 opsize;       // 2 or 4: effective operand size. Forms whose general register operands have
                     // one size whatever the prefixes say (MOVD, MOV CRn, ARPL...) have that
    u8 addrsize;     // 2 or 4: effective address size
    u8 pfx_len;      // bytes of legacy prefixes before the opcode

    // ModRM, split. For a memory operand base/index are register numbers or -1.
    u8 modrm, mod, reg, rm; // mod is 3 for MOV CRn and DRn, which ignore the encoded one
    bool has_mem;    // ModRM names memory, or the instruction has a moffs operand
    u8 vreg;         // VEX.vvvv, a general register
    i8 base, index;  // 32-bit forms: R_*; 16-bit forms: R_EBX/R_EBP and R_ESI/R_EDI. -1: none
    u8 scale;        // 0..3: index << scale
    u8 disp_len;     // 0, 1, 2 or 4 bytes in the encoding
    i32 disp;        // sign-extended; for moffs, the absolute offset

    u8 imm_len;      // bytes of the (first) immediate: 0, 1, 2, 4
    u32 imm;         // sign-extended from imm_len to 32 bits (branch displacements too)
    u16 imm2;        // far pointers: the selector; ENTER: the level

    u8 mem;          // MEM_*: use of the explicit memory operand
    u8 mem_size;     // its size in bytes (0 if none or variable: FXSAVE 512 does not fit, see op)
    u8 flow;         // enum insn_flow
    u8 sensitive;    // enum insn_sensitive
    u8 isa;          // enum insn_isa
    u16 flags_read;  // EFLAGS bits in FL_ARITH | FL_DF it depends on
    // Arithmetic flags whose old value is always gone: defined, or undefined and lost on all silicon.
    // A flag in neither set is kept, or undefined and perhaps kept (MUL, DIV, BSF, BT...).
    u16 flags_written;
    const char *name; // mnemonic for messages; static storage
};

enum insn_status {
    INSN_OK,
    INSN_TRUNCATED, // the bytes end before the instruction does: fetch more (may fault)
    INSN_TOO_LONG,  // over 15 bytes: #GP(0)
};

// Decodes one instruction from bytes[0..avail). code32 is CS.D. On INSN_OK *insn is complete;
// undefined encodings give INSN_OK with INSN_UD set and len covering the opcode and what belongs to
// it. LOCK on a form that cannot be locked sets INSN_UD. Pure; touches nothing but *insn.
enum insn_status insn_decode(struct insn *insn, const u8 *bytes, unsigned avail, bool code32);

// The target of a direct near branch at eip (masked to 16 bits where the operand size says so).
static inline u32 insn_target(const struct insn *insn, u32 eip)
{
    u32 target = eip + insn->len + insn->imm;

    return insn->opsize == 2 ? target & 0xffff : target;
}

// Prints guest code with Capstone, one line per instruction, indented by two spaces.
// bits is 16 or 32 for guest code, 64 for host code.
#include <stdio.h>
void insn_print(FILE *f, const u8 *bytes, size_t len, u64 address, int bits);

// The same for code with something between its instructions. `before` is called ahead of each line; `behind`, after it,
// says how many of the bytes that follow are data, which are not printed. Either may be NULL.
struct insn_print_hooks {
    void (*before)(void *arg, u64 address);
    size_t (*behind)(void *arg, u64 address, const u8 *bytes, size_t size);
    void *arg;
};
void insn_print_with(FILE *f, const u8 *bytes, size_t len, u64 address, int bits,
                     const struct insn_print_hooks *hooks);

#endif
