// SPDX-License-Identifier: GPL-2.0-or-later
// Architectural constants of the 32-bit x86 (Intel SDM volume 3A, chapters 2 to 6).
#ifndef RING3_BASE_X86_H
#define RING3_BASE_X86_H

#include "types.h"

// General registers and segments, in encoding order.
enum { R_EAX, R_ECX, R_EDX, R_EBX, R_ESP, R_EBP, R_ESI, R_EDI };
enum { S_ES, S_CS, S_SS, S_DS, S_FS, S_GS, S_COUNT };

// EFLAGS (SDM 3.4.3).
#define FL_CF BIT(0)
#define FL_FIXED1 BIT(1)
#define FL_PF BIT(2)
#define FL_AF BIT(4)
#define FL_ZF BIT(6)
#define FL_SF BIT(7)
#define FL_TF BIT(8)
#define FL_IF BIT(9)
#define FL_DF BIT(10)
#define FL_OF BIT(11)
#define FL_IOPL (3u << 12)
#define FL_NT BIT(14)
#define FL_RF BIT(16)
#define FL_VM BIT(17)
#define FL_AC BIT(18)
#define FL_VIF BIT(19)
#define FL_VIP BIT(20)
#define FL_ID BIT(21)
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

// Control registers (SDM 2.5).
#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR4_VME BIT(0)
#define CR4_PVI BIT(1)
#define CR4_TSD BIT(2)
#define CR4_DE BIT(3)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)
#define CR4_PCE BIT(8)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define EFER_SCE BIT(0)
#define EFER_NXE BIT(11)

// Page-table entries (SDM 4.3 and 4.4); the low twelve bits are the same in all formats.
#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_PWT BIT(3)
#define PTE_PCD BIT(4)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_G BIT(8)
#define PTE_NX (1ull << 63)

// #PF error code (SDM 4.7).
#define PFERR_P BIT(0)
#define PFERR_W BIT(1)
#define PFERR_U BIT(2)
#define PFERR_RSVD BIT(3)
#define PFERR_I BIT(4)

// Exception vectors (SDM 6.3.1).
enum {
    X_DE = 0, X_DB = 1, X_NMI = 2, X_BP = 3, X_OF = 4, X_BR = 5, X_UD = 6, X_NM = 7,
    X_DF = 8, X_TS = 10, X_NP = 11, X_SS = 12, X_GP = 13, X_PF = 14, X_MF = 16, X_AC = 17,
    X_MC = 18, X_XM = 19,
};
// The vectors that push an error code.
#define X_HAS_ERROR (BIT(X_DF) | BIT(X_TS) | BIT(X_NP) | BIT(X_SS) | BIT(X_GP) | BIT(X_PF) | BIT(X_AC))

// Segment attributes as cached in struct seg: byte 5 of the descriptor in bits 0-7,
// the high nibble of byte 6 (G, D/B, 0, AVL) in bits 12-15 (SDM 3.4.5).
#define SEG_TYPE 0x0fu
#define SEG_A BIT(0)      // accessed
#define SEG_W BIT(1)      // data: writable
#define SEG_R BIT(1)      // code: readable
#define SEG_E BIT(2)      // data: expand-down
#define SEG_C BIT(2)      // code: conforming
#define SEG_CODE BIT(3)
#define SEG_S BIT(4)      // code or data, not system
#define SEG_DPL_SHIFT 5
#define SEG_P BIT(7)
#define SEG_AVL BIT(12)
#define SEG_DB BIT(14)
#define SEG_G BIT(15)

// System descriptor types (SDM 3.5).
enum {
    SYS_TSS16 = 1, SYS_LDT = 2, SYS_TSS16_BUSY = 3, SYS_CALL16 = 4, SYS_TASK_GATE = 5,
    SYS_INT16 = 6, SYS_TRAP16 = 7, SYS_TSS32 = 9, SYS_TSS32_BUSY = 11, SYS_CALL32 = 12,
    SYS_INT32 = 14, SYS_TRAP32 = 15,
};

// Model-specific registers ring3 knows (SDM volume 4).
enum {
    MSR_P5_MC_ADDR = 0x0, MSR_P5_MC_TYPE = 0x1, MSR_TSC = 0x10, MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1b, MSR_UCODE_REV = 0x8b, MSR_MTRRCAP = 0xfe,
    MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP = 0x175, MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179, MSR_MCG_STATUS = 0x17a, MSR_MISC_ENABLE = 0x1a0,
    MSR_MTRR_FIRST = 0x200, MSR_PAT = 0x277, MSR_MTRR_DEFTYPE = 0x2ff, MSR_EFER = 0xc0000080,
};

#define APIC_BASE_BOOT BIT(8) // of MSR_APIC_BASE: this is the boot processor
#define APIC_BASE_ENABLE BIT(11)

#endif
