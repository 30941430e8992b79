// SPDX-License-Identifier: GPL-2.0-or-later
// The -cpu models: each instruction form raises #UD in both engines exactly if its step is not the model's, and CPUID
// announces what there is.
#include "forms.h"
#include "rig.h"
#include "segments.h"

#include "monitor/cpu/model.h"

#include <stdio.h>
#include <string.h>

// Where CPUID says that a step is there: CPUID.1 EDX and ECX, CPUID.7.0 EBX, CPUID.80000001h ECX.
enum { LEAF_1_EDX, LEAF_1_ECX, LEAF_7_EBX, LEAF_EXT_ECX, LEAVES };
static const struct { u8 isa, leaf, bit; } announced[] = {
    { ISA_P5, LEAF_1_EDX, 8 }, { ISA_P5, LEAF_1_EDX, 4 }, { ISA_P5, LEAF_1_EDX, 5 }, { ISA_CMOV, LEAF_1_EDX, 15 },
    { ISA_MMX, LEAF_1_EDX, 23 }, { ISA_SEP, LEAF_1_EDX, 11 }, { ISA_FXSR, LEAF_1_EDX, 24 },
    { ISA_SSE, LEAF_1_EDX, 25 }, { ISA_SSE2, LEAF_1_EDX, 26 }, { ISA_SSE3, LEAF_1_ECX, 0 },
    { ISA_PCLMUL, LEAF_1_ECX, 1 }, { ISA_SSSE3, LEAF_1_ECX, 9 }, { ISA_SSE41, LEAF_1_ECX, 19 },
    { ISA_SSE42, LEAF_1_ECX, 20 }, { ISA_MOVBE, LEAF_1_ECX, 22 }, { ISA_POPCNT, LEAF_1_ECX, 23 },
    { ISA_AES, LEAF_1_ECX, 25 }, { ISA_RDRAND, LEAF_1_ECX, 30 }, { ISA_RDSEED, LEAF_7_EBX, 18 },
    { ISA_ADX, LEAF_7_EBX, 19 }, { ISA_BMI1, LEAF_7_EBX, 3 }, { ISA_TZCNT, LEAF_7_EBX, 3 }, { ISA_LZCNT, LEAF_EXT_ECX, 5 },
};

static unsigned checks, failures;

static void check_cpuid(struct vcpu *v)
{
    const struct cpu_model *m = v->model;
    u32 leaf1[4], leaf7[4], ext[4];

    if (!m->has_cpuid)
        return;
    if (m->max_leaf > 2)
        cpu_wrmsr(v, 0x1a0, cpu_rdmsr(v, 0x1a0) & ~BIT(22)); // MISC_ENABLE: all leaves
    cpu_cpuid(v, 1, 0, leaf1);
    cpu_cpuid(v, 7, 0, leaf7);
    cpu_cpuid(v, 0x80000001, 0, ext);
    for (unsigned i = 0; i < ARRAY_LEN(announced); i++) {
        u32 leaf[LEAVES] = { leaf1[3], leaf1[2], leaf7[1], ext[2] };
        bool says = leaf[announced[i].leaf] >> announced[i].bit & 1, has = cpu_model_has(m, announced[i].isa);

        checks++;
        if (says == has)
            continue;
        printf("-cpu %s: step %u: CPUID says %d, the model %d\n", m->name, announced[i].isa, says, has);
        failures++;
    }
}

// Those that raise #UD on every model; MOV CR4 where there is none.
static bool undefined_here(const struct form *form, const struct cpu_model *m)
{
    if (form->row->sensitive == SENS_MOV_FROM_CR || form->row->sensitive == SENS_MOV_TO_CR)
        return form->reg == 4 && !m->cr4_mask;
    return ENC_ATTR(form->row->enc) & INSN_UD || form->row->sensitive == SENS_RSM;
}

static void make_case(const struct form *form, struct oracle_case *c)
{
    unsigned n = form_opcode(form, 0, c->code);

    if (form->has_rm)
        c->code[n] = form_modrm(form, 0x0b); // [EBX]
    c->code_len = CASE_CODE;
    c->eip = 0x08000100;
    c->eflags = FL_FIXED1 | FL_IF;
    c->gpr[R_EBX] = c->gpr[R_ESI] = c->gpr[R_EDI] = c->gpr[R_EBP] = c->gpr[R_ESP] = 0x10000800;
    for (int i = 0; i < S_COUNT; i++)
        c->seg[i] = i == S_CS ? SEL_CODE : SEL_DATA;
    memcpy(c->fx, "\x7f\x03", 2);
    memcpy(c->fx + 24, "\x80\x1f", 2);
}

static void check_form(struct rig *rig, const struct form *form, const u8 *template)
{
    const struct cpu_model *m = rig->v->model;
    static u8 image[IMAGE_SIZE];
    struct oracle_case c = { 0 };
    struct oracle_result r;
    unsigned isa = form->row->isa;
    // TZCNT and LZCNT are BSF and BSR to older processors.
    bool has = cpu_model_has(m, isa) || isa == ISA_TZCNT || isa == ISA_LZCNT;
    bool undefined = !has || undefined_here(form, m);
    char key[FORM_KEY];

    make_case(form, &c);
    memory_prepare(&c, template, image);
    rig_run(rig, &c, image, &r);
    checks++;
    // What it executes may well run into zeros and on; only what is raised at its own address counts.
    if ((r.vector == X_UD && r.eip == c.eip) == undefined)
        return;
    form_key(form, key);
    printf("-cpu %s, %s: %s (%s): %s\n", m->name, rig->mode->name, key, form->row->name,
           undefined ? "is executed, and the model has no such instruction" : "raises #UD, and the model has it");
    failures++;
}

int main(void)
{
    static struct form_set forms;
    static u8 template[IMAGE_SIZE];
    const struct cpu_model *model;

    forms_init(&forms);
    memory_template(1, template);
    for (unsigned i = 0; (model = cpu_model_at(i)); i++)
        for (unsigned k = 0; k < rig_mode_count; k++) {
            struct rig *rig;

            if (strcmp(rig_modes[k].name, "interp") != 0 && strcmp(rig_modes[k].name, "bt") != 0 &&
                strcmp(rig_modes[k].name, "plain") != 0)
                continue;
            rig = rig_new(&rig_modes[k], model->name, false);
            if (!rig)
                return 2;
            if (k == 0)
                check_cpuid(rig->v);
            for (unsigned f = 0; f < forms.count; f++)
                check_form(rig, &forms.form[f], template);
            rig_free(rig);
        }
    printf("%u checks, %u failed\n", checks, failures);
    return failures != 0;
}
