// SPDX-License-Identifier: GPL-2.0-or-later
// Reset, and printing the state.
#include "local.h"

#include <string.h>

void cpu_init(struct vcpu *v)
{
    u32 kept = v->cr0 & (CR0_CD | CR0_NW);

    memset(v->gpr, 0, sizeof(v->gpr));
    v->gpr[R_EDX] = v->model->signature;
    v->eip = 0xfff0;
    v->eflags = FL_FIXED1;
    v->shadow = 0;
    v->halted = v->nmi_blocked = false;
    for (unsigned i = 0; i < S_COUNT; i++)
        v->seg[i] = (struct seg){ 0, SEG_P | SEG_S | SEG_W | SEG_A, 0, 0xffff };
    v->seg[S_CS] = (struct seg){ 0xf000, SEG_P | SEG_S | SEG_CODE | SEG_R | SEG_A, 0xffff0000,
                                 0xffff };
    v->ldtr = (struct seg){ 0, SEG_P | SYS_LDT, 0, 0xffff };
    v->tr = (struct seg){ 0, SEG_P | SYS_TSS32_BUSY, 0, 0xffff };
    v->gdtr = v->idtr = (struct dtable){ 0, 0xffff };
    v->cr0 = kept | CR0_ET;
    v->cr2 = v->cr3 = v->cr4 = 0;
    memset(v->pdpte, 0, sizeof(v->pdpte));
    memset(v->dr, 0, sizeof(v->dr));
    v->dr[6] = DR6_FIXED1;
    v->dr[7] = DR7_FIXED1;
    v->efer = 0;
    cpu_set_cpl(v, 0);
    mmu_mode_changed(v);
    mmu_cpl_changed(v);
}

void cpu_reset(struct vcpu *v)
{
    v->cr0 = CR0_CD | CR0_NW; // which INIT leaves as they are
    v->apic_base = APIC_BASE_BOOT | 0xfee00000;
    if (v->has_apic)
        v->apic_base |= APIC_BASE_ENABLE;
    v->sysenter_cs = v->sysenter_esp = v->sysenter_eip = 0;
    memset(v->mtrr, 0, sizeof(v->mtrr));
    memset(v->mtrr_fixed, 0, sizeof(v->mtrr_fixed));
    v->mtrr_deftype = 0;
    v->pat = 0x0007040600070406;
    memset(v->misc_msr, 0, sizeof(v->misc_msr));
    v->misc_msr[MISC_ENABLE] = MISC_ENABLE_FAST_STRINGS;
    if (v->model->max_leaf > 2)
        v->misc_msr[MISC_ENABLE] |= MISC_ENABLE_LIMIT_CPUID;
    fpu_reset(v);
    cpu_init(v);
}

static void print_seg(FILE *f, const char *name, const struct seg *s)
{
    fprintf(f, "%-4s %04x base %08x limit %08x attr %04x%s\n", name, s->sel, s->base, s->limit,
            s->attr, s->attr & SEG_P ? "" : " (null)");
}

void cpu_print(const struct vcpu *v, FILE *f)
{
    static const char *const gpr[8] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };
    static const char *const seg[S_COUNT] = { "es", "cs", "ss", "ds", "fs", "gs" };
    static const struct {
        u32 bit;
        char letter;
    } flag[] = {
        { FL_OF, 'O' }, { FL_DF, 'D' }, { FL_IF, 'I' }, { FL_TF, 'T' }, { FL_SF, 'S' },
        { FL_ZF, 'Z' }, { FL_AF, 'A' }, { FL_PF, 'P' }, { FL_CF, 'C' },
    };

    for (unsigned i = 0; i < 8; i++)
        fprintf(f, "%s %08x%s", gpr[i], v->gpr[i], i % 4 == 3 ? "\n" : "  ");
    fprintf(f, "eip %08x  eflags %08x ", v->eip, v->eflags);
    for (unsigned i = 0; i < ARRAY_LEN(flag); i++)
        fputc(v->eflags & flag[i].bit ? flag[i].letter : '-', f);
    fprintf(f, "  cpl %u%s%s\n", v->cpl, v->halted ? "  halted" : "",
            v->shadow ? "  interrupt shadow" : "");
    for (unsigned i = 0; i < S_COUNT; i++)
        print_seg(f, seg[i], &v->seg[i]);
    print_seg(f, "ldtr", &v->ldtr);
    print_seg(f, "tr", &v->tr);
    fprintf(f, "gdtr base %08x limit %04x  idtr base %08x limit %04x\n", v->gdtr.base,
            v->gdtr.limit, v->idtr.base, v->idtr.limit);
    fprintf(f, "cr0 %08x  cr2 %08x  cr3 %08x  cr4 %08x  efer %llx\n", v->cr0, v->cr2, v->cr3,
            v->cr4, (unsigned long long)v->efer);
    fprintf(f, "dr0 %08x  dr1 %08x  dr2 %08x  dr3 %08x  dr6 %08x  dr7 %08x\n", v->dr[0],
            v->dr[1], v->dr[2], v->dr[3], v->dr[6], v->dr[7]);
}
