// SPDX-License-Identifier: GPL-2.0-or-later
// What the oracle must not run, and what of an outcome it must not compare.
#include "generate.h"

#include <string.h>

// Depends on the host's kernel, on time, on this CPU's model, or leaves the 32-bit world.
static bool map_0f_allowed(const u8 *bytes, const struct insn *insn)
{
    (void)bytes;
    switch ((u8)insn->op) {
    case 0x00:            // SLDT, STR (UMIP); LAR's family sees the kernel's GDT
    case 0x02: case 0x03: // LAR, LSL
    case 0x05: case 0x07: // SYSCALL, SYSRET: AMD's in 32-bit code
    case 0x0e: case 0x0f: // 3DNow!
        return false;
    case 0x0d:            // its register form is Intel's NOP, AMD's #UD
        return insn->has_mem;
    case 0x01:            // SGDT, SMSW (UMIP); MONITORX, CLZERO, RDTSCP...
    case 0x31: case 0x33: case 0x34: case 0x35: case 0x37: // RDTSC, RDPMC, SYSENTER, SYSEXIT, GETSEC
    case 0xa2:            // CPUID
    case 0x78: case 0x79: // SSE4A
        return false;
    case 0x20: case 0x22: // LOCK makes CR0 CR8 on AMD's processors
        return !(insn->prefix & PFX_LOCK);
    case 0x1a: case 0x1b: case 0x1e: // MPX, CET
        return true;
    case 0x2b:            // MOVNTSS, MOVNTSD of SSE4A
        return !(insn->prefix & (PFX_REP | PFX_REPNE));
    case 0xae:
        // FXSAVE's format has bytes we don't compare; XSAVE, CLWB, CLFLUSHOPT, FSGSBASE, PTWRITE...
        if (!insn->has_mem)
            return insn->reg >= 5 && !(insn->prefix & (PFX_66 | PFX_REP | PFX_REPNE));
        return (insn->reg == 2 || insn->reg == 3 || insn->reg == 7) &&
               !(insn->prefix & (PFX_66 | PFX_REP | PFX_REPNE));
    case 0xbc:            // TZCNT: announced with BMI1 only, which has VEX forms
        return !(insn->prefix & PFX_REP);
    case 0xc7:            // RDRAND, RDSEED, XSAVEC, RDPID
        return insn->reg == 1;
    }
    return true;
}

static bool map_0f38_allowed(const struct insn *insn)
{
    u8 op = insn->op;

    if (op >= 0x80 && op <= 0x82) // INVPCID
        return false;
    return op < 0xc8 || (op >= 0xd8 && op <= 0xdf) || op == 0xf0 || op == 0xf1 || op == 0xf6;
}

bool insn_allowed(const u8 *bytes, const struct insn *insn)
{
    u8 op = insn->op;

    switch (insn->op >> 8) {
    case MAP_0F:
        return map_0f_allowed(bytes, insn);
    case MAP_0F38:
        return map_0f38_allowed(insn);
    case MAP_0F3A:
        return op < 0xcc;
    }
    switch (op) {
    case 0xe0: case 0xe1:            // LOOPcc: F2 and F3 choose the condition on AMD's processors
        return !(insn->prefix & (PFX_REP | PFX_REPNE));
    case 0xcd:                       // INT n: Linux's system call gate
        return (u8)insn->imm != 0x80;
    case 0xc4: case 0xc5: case 0x62: // AVX, AVX-512
        return insn->has_mem;
    case 0x8f:                       // XOP
        return insn->reg == 0;
    case 0xd8 ... 0xdf:              // FDS is not known once a register form came after
        return !insn->has_mem || insn->seg != S_CS;
    case 0xf1:                       // INT1: Linux asks DR6
        return false;
    case 0x9a: case 0xea: case 0xca: case 0xcb: case 0xcf: // far transfers could find 64-bit code
        return false;
    case 0xff:
        return insn->reg != 3 && insn->reg != 5;
    }
    return true;
}

u32 insn_undefined_flags(const struct insn *insn)
{
    (void)insn;
    return 0;
}

u32 case_undefined_flags(const struct oracle_case *c, u32 end_eip)
{
    (void)c;
    (void)end_eip;
    return 0;
}

static bool crosses(u32 offset, u32 size)
{
    return offset + size - 1 < offset;
}

// Several accesses, and more than one of them could have faulted.
static bool fault_order_is_free(const struct insn *insn)
{
    if (insn->attr & INSN_X87 && insn->mem_size == 10) // eight bytes and two
        return true;
    switch (insn->op) {
    case OP1(0xa6): case OP1(0xa7): // CMPS
    case OP1(0xc8):                 // ENTER: which of its many wraps or faults, with what written before
    case OP1(0xe8): case OP1(0xff): // CALL: the push, or the target's limit
    case OP1(0xcf):                 // IRET: the last dword first, or the first
    case OP1(0x61):                 // POPA: AMD's keep what was popped before the fault
        return true;
    case OP1(0xd9): case OP1(0xdd): // FLDENV, FNSTENV, FRSTOR, FNSAVE
        return insn->has_mem && (insn->reg == 4 || insn->reg == 6);
    case OP0F(0xae): case OP0F(0xf7): // FXRSTOR; MASKMOVQ enters MMX mode first
        return true;
    }
    return false;
}

// A repeated string instruction has written over the case's code, perhaps over itself: whether it then goes on
// depends on when an interrupt comes.
static bool repeat_overwrites_code(const struct oracle_case *c, const struct oracle_result *native)
{
    u32 at = 0, n = native->diffs < MAX_DIFFS ? native->diffs : MAX_DIFFS, code = memory_offset(case_code_at(c));
    bool repeat = false, overwritten = native->diffs > MAX_DIFFS; // who knows
    struct insn insn;

    for (unsigned i = 0; i < c->count; at += c->len[i++])
        if (insn_decode(&insn, c->code + at, c->len[i], case_code32(c)) == INSN_OK && insn.attr & INSN_STRING &&
            insn.prefix & (PFX_REP | PFX_REPNE))
            repeat = true;
    for (u32 i = 0; i < n; i++)
        overwritten |= native->diff[i].at - code < c->code_len;
    return repeat && overwritten;
}

#define CODE_ROOM (CASE_CODE + INSN_MAX)

// The case's code and what follows it, as the run left it. True if it has changed.
static bool final_code(const struct oracle_case *c, const struct oracle_result *native, u8 *bytes)
{
    u32 n = native->diffs < MAX_DIFFS ? native->diffs : MAX_DIFFS, code = memory_offset(case_code_at(c));
    bool changed = false;

    memset(bytes, CODE_FILL, CODE_ROOM);
    memcpy(bytes, c->code, c->code_len);
    for (u32 i = 0; i < n; i++)
        if (native->diff[i].at - code < CODE_ROOM) {
            bytes[native->diff[i].at - code] = native->diff[i].now;
            changed = true;
        }
    return changed;
}

// The case has made an instruction of itself that the oracle must not run.
static bool becomes_forbidden(const struct oracle_case *c, const u8 *bytes)
{
    u32 start = 0;

    for (unsigned i = 0; i < c->count; start += c->len[i++]) {
        struct insn insn;

        for (u32 at = start; at < CASE_CODE; at += insn.len) {
            if (insn_decode(&insn, bytes + at, CODE_ROOM - at, case_code32(c)) != INSN_OK || bytes[at] == CODE_FILL)
                break;
            if (!insn_allowed(bytes + at, &insn))
                return true;
        }
    }
    return false;
}

bool case_implementation_specific(const struct oracle_case *c, const struct oracle_result *native)
{
    const u32 *gpr = native->gpr;
    u32 at = native->eip - c->eip, ea;
    struct insn insn;
    u8 bytes[CODE_ROOM];

    if (repeat_overwrites_code(c, native) || (final_code(c, native, bytes) && becomes_forbidden(c, bytes)))
        return true;
    // Undefined forms: how many of their bytes are fetched before they are refused?
    if ((native->vector == X_PF || native->vector == X_UD) && at < CASE_CODE &&
        insn_decode(&insn, bytes + at, CODE_ROOM - at, case_code32(c)) == INSN_OK && insn.attr & INSN_UD &&
        (native->eip & ~PAGE_MASK) + insn.len > PAGE_SIZE - INSN_MAX)
        return true;
    if (at < CASE_CODE && bytes[at] == CODE_FILL) // the ordinary end
        return false;
    if (native->vector != X_GP && native->vector != X_SS && native->vector != X_PF &&
        native->vector != X_AC)
        return false;
    if (at >= CASE_CODE || insn_decode(&insn, bytes + at, CODE_ROOM - at, case_code32(c)) != INSN_OK)
        return native->eip > 0xfffffff0 || native->eip < 16;
    if (native->vector == X_PF || native->vector == X_AC)
        return fault_order_is_free(&insn);
    if (fault_order_is_free(&insn))
        return true;
    if (insn.attr & (INSN_STACK | INSN_STRING) || insn.flow != FLOW_NONE || insn.sensitive)
        for (int r = R_ESP; r <= R_EDI; r++)
            if (gpr[r] + 64 < 128)
                return true;
    if (!insn.has_mem)
        return false;
    if (insn.op == OP0F(0xa3) || insn.op == OP0F(0xab) || insn.op == OP0F(0xb3) || insn.op == OP0F(0xbb))
        return true; // BT: the bit is somewhere else
    ea = insn.disp + (insn.base >= 0 ? gpr[insn.base] : 0) + (insn.index >= 0 ? gpr[insn.index] << insn.scale : 0);
    return insn.addrsize == 4 && (crosses(ea, 16) || crosses(ea, insn.mem_size));
}
