// SPDX-License-Identifier: GPL-2.0-or-later
// Segments and far transfers: checks and error codes, call gates, returns, IRET's forms, tasks,
// V86 mode, SYSENTER.
#include "cpu_rig.h"

static struct rig rig, *r = &rig;

static void setup(void)
{
    rig_init(r);
}

static void teardown(void)
{
    rig_free(r);
}

// ---- Limits and types
SNIPPET(read_ds, "mov 0x1000, %eax\n hlt");
SNIPPET(read_ss, "mov %ss:0x1000, %eax\n hlt");
SNIPPET(write_ds, "mov %eax, 0x1000\n hlt");
SNIPPET(write_cs, "mov %eax, %cs:0x20000\n hlt");
SNIPPET(push_wrap, "pushl $0x12345678\n hlt");
SNIPPET(load_ds, "mov %eax, %ds\n hlt");
SNIPPET(load_ss, "mov %eax, %ss\n hlt");
SNIPPET(lar_lsl, "lar %ax, %ebx\n setz %cl\n lsl %ax, %edx\n setz %ch\n verr %ax\n setz 0x20000\n"
                 " verw %ax\n setz 0x20001\n hlt");

START_TEST(limits)
{
    // attr, limit, faults
    static const struct {
        u32 attr, limit;
        bool fault;
    } c[] = {
        { 0x4093, 0x1003, false }, { 0x4093, 0x1002, true }, { 0x4097, 0xfff, false },
        { 0x4097, 0x1000, true },  { 0x0097, 0xfff, false }, { 0x4093, 0, true },
        { 0x4099, 0xffff, true },  { 0x409b, 0xffff, false }, { 0, 0xffffffff, true },
    };

    for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
        poke(r, RIG_VECTOR, 0xffffffff);
        rig_protected(r, 0);
        r->v->halted = false;
        r->v->seg[S_DS] = (struct seg){ SEL_A, c[i].attr, 0x20000, c[i].limit };
        rig_go(r, read_ds);
        ck_vector(r, c[i].fault ? X_GP : -1);
        if (c[i].fault)
            ck_assert_uint_eq(rig_frame(r, 0), 0);
    }
}
END_TEST

START_TEST(stack_segment_faults_are_ss)
{
    rig_protected(r, 3);
    r->v->seg[S_SS].limit = 0xfff;
    rig_go(r, read_ss);
    ck_vector(r, X_SS);
    ck_assert_uint_eq(rig_frame(r, 0), 0);
}
END_TEST

START_TEST(read_only_data)
{
    rig_protected(r, 0);
    r->v->seg[S_DS].attr = 0xc091;
    rig_go(r, write_ds);
    ck_vector(r, X_GP);
}
END_TEST

START_TEST(code_is_never_written)
{
    rig_protected(r, 0);
    rig_go(r, write_cs);
    ck_vector(r, X_GP);
}
END_TEST

START_TEST(a_16_bit_stack_wraps)
{
    rig_protected(r, 0);
    r->v->seg[S_SS] = (struct seg){ SEL_A, 0x93, 0x30000, 0xffff };
    r->v->gpr[R_ESP] = 0xabcd0000;
    rig_go(r, push_wrap);
    ck_vector(r, -1);
    ck_assert_uint_eq(r->v->gpr[R_ESP], 0xabcdfffc);
    ck_assert_uint_eq(peek(r, 0x3fffc), 0x12345678);
}
END_TEST

START_TEST(data_loads)
{
    static const struct {
        u32 attr;
        u16 sel;
        unsigned cpl;
        int vector;
        u32 error;
    } c[] = {
        { AT_DATA3, SEL_A | 3, 3, -1, 0 },      { AT_DATA0, SEL_A, 0, -1, 0 },
        { AT_DATA0, SEL_A | 3, 0, X_GP, SEL_A }, { AT_DATA0, SEL_A, 3, X_GP, SEL_A },
        { 0xc013, SEL_A, 0, X_NP, SEL_A },      { 0xc099, SEL_A, 0, X_GP, SEL_A }, // execute-only
        { 0xc09f, SEL_A | 3, 3, -1, 0 },         // conforming, DPL 0
        { 0x8b, SEL_A, 0, X_GP, SEL_A },         { AT_DATA0, 0x7fc, 0, X_GP, 0x7fc },
        { AT_DATA0, 0x800, 0, X_GP, 0x800 },     { 0, 3, 3, -1, 0 },
    };

    for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
        poke(r, RIG_VECTOR, 0xffffffff);
        rig_protected(r, c[i].cpl);
        r->v->halted = false;
        rig_desc(r, SEL_A, 0x1000, 0xfffff, c[i].attr & ~1u);
        r->v->gpr[R_EAX] = c[i].sel;
        rig_load(r, RIG_CODE, load_ds);
        interp_run(r->v, 1);
        if (c[i].vector < 0) {
            ck_assert_uint_eq(r->v->seg[S_DS].sel, c[i].sel);
            if (c[i].sel > 3)
                ck_assert_uint_eq(peek(r, RIG_GDT + SEL_A + 4) >> 8 & 1, 1); // accessed
        } else {
            rig_run(r);
            ck_vector(r, c[i].vector);
            ck_assert_uint_eq(rig_frame(r, 0), c[i].error);
            ck_assert_uint_eq(r->v->seg[S_DS].sel, c[i].cpl ? SEL_DATA3 : SEL_DATA0);
        }
    }
}
END_TEST

START_TEST(stack_loads)
{
    static const struct {
        u32 attr;
        u16 sel;
        int vector;
        u32 error;
    } c[] = {
        { AT_DATA0, 0, X_GP, 0 },          { AT_DATA0, SEL_A | 1, X_GP, SEL_A },
        { AT_DATA3, SEL_A, X_GP, SEL_A },  { 0xc091, SEL_A, X_GP, SEL_A },
        { 0xc013, SEL_A, X_SS, SEL_A },    { AT_CODE0, SEL_A, X_GP, SEL_A },
    };

    for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
        rig_protected(r, 0);
        r->v->halted = false;
        rig_desc(r, SEL_A, 0, 0xffffffff, c[i].attr);
        r->v->gpr[R_EAX] = c[i].sel;
        rig_go(r, load_ss);
        ck_vector(r, c[i].vector);
        ck_assert_uint_eq(rig_frame(r, 0), c[i].error);
    }
}
END_TEST

START_TEST(looking_at_descriptors)
{
    rig_protected(r, 3);
    rig_desc(r, SEL_A, 0x12345678, 0xabcde000, 0xd0f1);
    r->v->gpr[R_EAX] = SEL_A | 3;
    rig_load(r, RIG_CODE, lar_lsl);
    r->v->gpr[R_ECX] = 0;
    rig_run(r); // HLT in ring 3 is the #GP that ends it
    ck_vector(r, X_GP);
    ck_assert_uint_eq(r->v->gpr[R_EBX], 0xdaf100);
    ck_assert_uint_eq(r->v->gpr[R_EDX], 0xabcdefff);
    ck_assert_uint_eq(r->v->gpr[R_ECX], 0x101);
    ck_assert_uint_eq(peek(r, 0x20000) & 0xffff, 0x0001); // readable, not writable
}
END_TEST

// ---- Calls
SNIPPET(call_far, "pushl $0x1111\n pushl $0x2222\n lcall $0x33, $0\n hlt");
SNIPPET(inner, "mov 8(%esp), %eax\n mov 12(%esp), %ebx\n mov %ss, %ecx\n mov %esp, %edx\n lret $8");
SNIPPET(jmp_gate, "ljmp $0x30, $0\n hlt");
SNIPPET(ret_far, "lret\n hlt");

START_TEST(call_gate_to_ring_0_and_back)
{
    struct vcpu *v = r->v;

    rig_protected(r, 3);
    rig_gate(r, RIG_GDT + SEL_A, SEL_CODE0, 0x11000, 0xec, 2);
    rig_load(r, 0x11000, inner);
    v->seg[S_GS] = (struct seg){ SEL_DATA0, AT_DATA0, 0, 0xffffffff }; // too good for ring 3
    v->seg[S_FS] = (struct seg){ .sel = 3 };
    rig_load(r, RIG_CODE, call_far);
    rig_run(r);
    ck_vector(r, X_GP); // the HLT
    ck_assert_uint_eq(rig_frame(r, 1), RIG_CODE + 17);
    ck_assert_uint_eq(v->gpr[R_EAX], 0x2222);
    ck_assert_uint_eq(v->gpr[R_EBX], 0x1111);
    ck_assert_uint_eq(v->gpr[R_ECX], SEL_DATA0);
    ck_assert_uint_eq(v->gpr[R_EDX], RIG_STACK0 - 24);
    ck_assert_uint_eq(rig_frame(r, 4), RIG_STACK3); // LRET 8 released the outer parameters
    ck_assert_uint_eq(v->seg[S_GS].sel, 0);
    ck_assert_uint_eq(v->seg[S_FS].sel, 0); // the RPL of a null selector is lost too
    ck_assert_uint_eq(v->seg[S_DS].sel, SEL_DATA3);
}
END_TEST

START_TEST(jmp_through_a_gate_keeps_the_ring)
{
    rig_protected(r, 0);
    rig_gate(r, RIG_GDT + SEL_A, SEL_CODE0, 0x11000, 0x8c, 0);
    rig_load(r, 0x11000, (struct snippet){ (const u8 *)"\xf4", (const u8 *)"\xf4" + 1 });
    rig_go(r, jmp_gate);
    ck_assert_uint_eq(r->v->eip, 0x11001);
    ck_assert_uint_eq(r->v->gpr[R_ESP], RIG_STACK0);
}
END_TEST

START_TEST(far_jump_checks)
{
    static const struct {
        u32 attr;
        unsigned cpl;
        int vector;
        u32 error;
    } c[] = {
        { AT_DATA0, 0, X_GP, SEL_A }, { 0xc01b, 0, X_NP, SEL_A }, { AT_CODE3, 0, X_GP, SEL_A },
        { AT_CODE0, 3, X_GP, SEL_A }, { 0x82, 0, X_GP, SEL_A },   { 0x8b, 0, X_GP, SEL_A },
    };

    for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
        rig_protected(r, c[i].cpl);
        r->v->halted = false;
        rig_desc(r, SEL_A, 0, 0xffffffff, c[i].attr);
        rig_load(r, RIG_CODE, jmp_gate);
        rig_run(r);
        ck_vector(r, c[i].vector);
        ck_assert_uint_eq(rig_frame(r, 0), c[i].error);
        ck_assert_uint_eq(rig_frame(r, 1), RIG_CODE);
    }
}
END_TEST

START_TEST(conforming_code_keeps_the_ring)
{
    rig_protected(r, 3);
    rig_desc(r, SEL_A, 0x11000, 0xfff, 0x409f);
    rig_load(r, 0x11000, read_ds);
    rig_load(r, RIG_CODE, jmp_gate);
    interp_run(r->v, 1);
    ck_assert_uint_eq(r->v->cpl, 3);
    ck_assert_uint_eq(r->v->seg[S_CS].sel, SEL_A | 3);
    ck_assert_uint_eq(r->v->eip, 0);
}
END_TEST

START_TEST(return_to_an_inner_ring)
{
    rig_protected(r, 3);
    poke(r, RIG_STACK3 - 8, RIG_CODE);
    poke(r, RIG_STACK3 - 4, SEL_CODE0);
    r->v->gpr[R_ESP] = RIG_STACK3 - 8;
    rig_go(r, ret_far);
    ck_vector(r, X_GP);
    ck_assert_uint_eq(rig_frame(r, 0), SEL_CODE0);
    ck_assert_uint_eq(rig_frame(r, 4), RIG_STACK3 - 8); // nothing was popped
}
END_TEST

// ---- IRET and V86 mode
SNIPPET(iret32, "iret\n hlt");
SNIPPET16(v86_code, "mov $0x55, %al\n int $0x30\n hlt");
SNIPPET16(v86_cli, "cli\n pushf\n pop %ax\n sti\n pushf\n pop %bx\n int $0x30\n hlt");
SNIPPET16(v86_popf, "mov $0x302, %ax\n push %ax\n popf\n hlt");
SNIPPET16(hlt16, "hlt");

static void iret_frame(u32 eip, u32 cs, u32 eflags, u32 esp, u32 ss)
{
    u32 at = RIG_STACK0 - 64;
    u32 frame[] = { eip, cs, eflags, esp, ss, 0x2000, 0x2100, 0x2200, 0x2300 };

    for (unsigned i = 0; i < ARRAY_LEN(frame); i++)
        poke(r, at + 4 * i, frame[i]);
    r->v->gpr[R_ESP] = at;
}

START_TEST(iret_to_v86_and_back)
{
    struct vcpu *v = r->v;

    rig_protected(r, 0);
    iret_frame(0x100, 0x1000, FL_VM | FL_IF | FL_IOPL | FL_FIXED1, 0x8000, 0x3000);
    rig_load(r, 0x10100, v86_code);
    rig_load(r, RIG_CODE, iret32);
    interp_run(v, 1);
    ck_assert_uint_eq(v->cpl, 3);
    ck_assert_uint_eq(v->seg[S_CS].base, 0x10000);
    ck_assert_uint_eq(v->seg[S_ES].sel, 0x2000);
    ck_assert_uint_eq(v->seg[S_DS].sel, 0x2100);
    ck_assert_uint_eq(v->seg[S_FS].sel, 0x2200);
    ck_assert_uint_eq(v->seg[S_GS].sel, 0x2300);
    rig_gate(r, RIG_IDT + 8 * 0x30, SEL_CODE0, 0x11000, AT_INT32_DPL3, 0);
    rig_load(r, 0x11000, iret32);
    interp_run(v, 2);
    ck_assert_uint_eq(v->eip, 0x11000);
    ck_assert_uint_eq(v->cpl, 0);
    interp_run(v, 1);
    ck_assert_uint_eq(v->eip, 0x104);
    ck_assert_uint_eq(v->gpr[R_ESP], 0x8000);
    ck_assert_uint_eq(v->eflags, FL_VM | FL_IF | FL_IOPL | FL_FIXED1);
    ck_assert_uint_eq(v->seg[S_FS].base, 0x22000);
}
END_TEST

START_TEST(v86_frame)
{
    struct vcpu *v = r->v;

    rig_v86(r, 3);
    rig_gate(r, RIG_IDT + 8 * 0x30, SEL_CODE0, 0x11000, AT_INT32_DPL3, 0);
    rig_load(r, 0x11000, hlt16);
    v->gpr[R_EBP] = 0x77777777;
    rig_go(r, v86_code);
    ck_assert_uint_eq(v->gpr[R_ESP], RIG_STACK0 - 36);
    ck_assert_uint_eq(rig_frame(r, 0), 4);
    ck_assert_uint_eq(rig_frame(r, 1), 0x1000);
    ck_assert_uint_eq(rig_frame(r, 2), FL_VM | FL_IOPL | FL_FIXED1);
    ck_assert_uint_eq(rig_frame(r, 3), 0x8000);
    ck_assert_uint_eq(rig_frame(r, 4), 0x3000);
    ck_assert_uint_eq(rig_frame(r, 5), 0x2000); // ES DS FS GS
    ck_assert_uint_eq(rig_frame(r, 8), 0x2000);
    ck_assert_uint_eq(v->seg[S_DS].attr & SEG_P, 0);
    ck_assert_uint_eq(v->eflags & FL_VM, 0);
}
END_TEST

START_TEST(v86_is_sensitive_below_iopl_3)
{
    rig_v86(r, 0);
    rig_gate(r, RIG_IDT + 8 * X_GP, SEL_CODE0, 0x11000, AT_INT32, 0);
    rig_load(r, 0x11000, hlt16);
    rig_go(r, v86_cli);
    ck_assert_uint_eq(rig_frame(r, 0), 0);
    ck_assert_uint_eq(rig_frame(r, 1), 0);
    ck_assert_uint_eq(r->v->eip, 0x11001);
}
END_TEST

START_TEST(vme_virtualises_if)
{
    rig_v86(r, 0);
    r->v->cr4 |= CR4_VME;
    r->v->eflags |= FL_VIF | FL_IF;
    // INT 30 goes to the 8086 program's own vector: its bit in the map is 0.
    rig_load(r, 0x11000, hlt16);
    rig_gate(r, RIG_IDT + 8 * X_GP, SEL_CODE0, 0x12000, AT_INT32, 0);
    rig_load(r, 0x12000, hlt16); // for the HLT in V86 mode
    poke(r, 0x30 * 4, 0x1100 << 16);
    rig_go(r, v86_cli);
    ck_assert_uint_eq(r->v->gpr[R_EAX] & 0xffff, FL_IOPL | FL_FIXED1);
    ck_assert_uint_eq(r->v->gpr[R_EBX] & 0xffff, FL_IOPL | FL_IF | FL_FIXED1);
    ck_assert_uint_eq(rig_frame(r, 2), 0x1100); // V86 CS when HLT faulted
    ck_assert_uint_eq(rig_frame(r, 1), 0);
    ck_assert_uint_eq(rig_frame(r, 3) & (FL_VIF | FL_IF), FL_IF); // the redirected INT cleared VIF
    ck_assert_uint_eq(peek(r, 0x37ffe) & 0xffff, FL_IOPL | FL_IF | FL_FIXED1);
}
END_TEST

START_TEST(vme_with_vip_pending)
{
    rig_v86(r, 0);
    r->v->cr4 |= CR4_VME;
    r->v->eflags |= FL_VIP;
    rig_gate(r, RIG_IDT + 8 * X_GP, SEL_CODE0, 0x11000, AT_INT32, 0);
    rig_load(r, 0x11000, hlt16);
    rig_go(r, v86_cli);
    ck_assert_uint_eq(rig_frame(r, 1), 3); // the STI
}
END_TEST

START_TEST(vme_popf_of_tf)
{
    rig_v86(r, 0);
    r->v->cr4 |= CR4_VME;
    rig_gate(r, RIG_IDT + 8 * X_GP, SEL_CODE0, 0x11000, AT_INT32, 0);
    rig_load(r, 0x11000, hlt16);
    rig_go(r, v86_popf);
    ck_assert_uint_eq(rig_frame(r, 1), 4);
}
END_TEST

SNIPPET(cli_sti, "cli\n sti\n hlt");

START_TEST(pvi)
{
    rig_protected(r, 3);
    r->v->cr4 |= CR4_PVI;
    r->v->eflags |= FL_IF | FL_VIF;
    rig_load(r, RIG_CODE, cli_sti);
    interp_run(r->v, 1);
    ck_assert_uint_eq(r->v->eflags & (FL_IF | FL_VIF), FL_IF);
    interp_run(r->v, 1);
    ck_assert_uint_eq(r->v->eflags & (FL_IF | FL_VIF), FL_IF | FL_VIF);
}
END_TEST

START_TEST(iret_outward_restores_flags_by_privilege)
{
    rig_protected(r, 0);
    iret_frame(RIG_CODE + 1, SEL_CODE3, FL_IF | FL_IOPL | FL_AC | FL_FIXED1, RIG_STACK3, SEL_DATA3);
    rig_load(r, RIG_CODE, iret32);
    interp_run(r->v, 1);
    ck_assert_uint_eq(r->v->eflags, FL_IF | FL_IOPL | FL_AC | FL_FIXED1);
    ck_assert_uint_eq(r->v->cpl, 3);
    ck_assert_uint_eq(r->v->gpr[R_ESP], RIG_STACK3);
    ck_assert_uint_eq(r->v->seg[S_DS].sel, 0);
    // From ring 3 with IOPL 0, neither IF nor IOPL changes.
    r->v->eflags = FL_IF | FL_FIXED1;
    poke(r, RIG_STACK3 - 12, RIG_CODE);
    poke(r, RIG_STACK3 - 8, SEL_CODE3);
    poke(r, RIG_STACK3 - 4, FL_IOPL | FL_CF);
    r->v->gpr[R_ESP] = RIG_STACK3 - 12;
    r->v->eip = RIG_CODE;
    interp_run(r->v, 1);
    ck_assert_uint_eq(r->v->eflags, FL_IF | FL_FIXED1 | FL_CF);
}
END_TEST

START_TEST(iret_with_a_bad_frame)
{
    rig_protected(r, 0);
    iret_frame(RIG_CODE, SEL_CODE3, FL_FIXED1, RIG_STACK3, SEL_DATA0);
    rig_go(r, iret32);
    ck_vector(r, X_GP);
    ck_assert_uint_eq(rig_frame(r, 0), SEL_DATA0);
    ck_assert_uint_eq(rig_frame(r, 1), RIG_CODE);
    ck_assert_uint_eq(rig_frame(r, 2), SEL_CODE0);
}
END_TEST

// ---- Tasks
SNIPPET(call_task, "mov $0x1234, %ecx\n lcall $0x30, $0\n hlt");
SNIPPET(task_body, "mov %ecx, 0x20000\n iret\n jmp .-7");

static void second_task(u32 attr)
{
    rig_desc(r, SEL_A, RIG_TSS2, 0x67, attr);
    poke(r, RIG_TSS2 + 0x20, 0x11000);
    poke(r, RIG_TSS2 + 0x24, FL_FIXED1);
    poke(r, RIG_TSS2 + 0x2c, 0x5678); // ECX
    poke(r, RIG_TSS2 + 0x38, RIG_STACK0 - 0x1000);
    for (unsigned i = 0; i < 6; i++)
        poke(r, RIG_TSS2 + 0x48 + 4 * i, i == 1 ? SEL_CODE0 : SEL_DATA0);
    rig_load(r, 0x11000, task_body);
}

static u32 tss_type(unsigned sel)
{
    return peek(r, RIG_GDT + sel + 4) >> 8 & 15;
}

START_TEST(task_call_and_return)
{
    rig_protected(r, 0);
    second_task(0x89);
    rig_load(r, RIG_CODE, call_task);
    interp_run(r->v, 2);
    ck_assert_uint_eq(r->v->eip, 0x11000);
    ck_assert(r->v->eflags & FL_NT);
    ck_assert(r->v->cr0 & CR0_TS);
    ck_assert_uint_eq(r->v->tr.sel, SEL_A);
    ck_assert_uint_eq(tss_type(SEL_A), SYS_TSS32_BUSY);
    ck_assert_uint_eq(tss_type(SEL_TSS), SYS_TSS32_BUSY);
    ck_assert_uint_eq(peek(r, RIG_TSS2) & 0xffff, SEL_TSS);
    ck_assert_uint_eq(peek(r, RIG_TSS + 0x20), RIG_CODE + 12);
    ck_assert_int_eq(rig_run(r), CPU_HALTED);
    ck_assert_uint_eq(peek(r, 0x20000), 0x5678);
    ck_assert_uint_eq(r->v->gpr[R_ECX], 0x1234);
    ck_assert_uint_eq(r->v->tr.sel, SEL_TSS);
    ck_assert_uint_eq(tss_type(SEL_A), SYS_TSS32);
    ck_assert_uint_eq(r->v->eflags & FL_NT, 0);
    ck_assert_uint_eq(peek(r, RIG_TSS2 + 0x24) & FL_NT, 0);
    ck_assert_uint_eq(peek(r, RIG_TSS2 + 0x20), 0x11007);
}
END_TEST

START_TEST(jump_to_a_busy_task)
{
    rig_protected(r, 0);
    second_task(0x8b);
    rig_go(r, call_task);
    ck_vector(r, X_GP);
    ck_assert_uint_eq(rig_frame(r, 0), SEL_A);
}
END_TEST

START_TEST(task_with_a_bad_stack)
{
    rig_protected(r, 0);
    second_task(0x89);
    poke(r, RIG_TSS2 + 0x50, SEL_DATA3);
    // The #TS is the new task's, whose stack can't take it: it needs a task of its own.
    rig_desc(r, SEL_B, RIG_TSS2 + 0x100, 0x67, 0x89);
    rig_gate(r, RIG_IDT + 8 * X_TS, SEL_B, 0, 0x85, 0);
    poke(r, RIG_TSS2 + 0x120, RIG_HANDLER(X_TS));
    poke(r, RIG_TSS2 + 0x138, RIG_STACK0);
    for (unsigned i = 0; i < 6; i++)
        poke(r, RIG_TSS2 + 0x148 + 4 * i, i == 1 ? SEL_CODE0 : SEL_DATA0);
    rig_go(r, call_task);
    ck_vector(r, X_TS);
    ck_assert_uint_eq(rig_frame(r, 0), SEL_DATA3 & ~3u);
    ck_assert_uint_eq(peek(r, RIG_TSS2 + 0x100) & 0xffff, SEL_A);
    ck_assert_uint_eq(peek(r, RIG_TSS2 + 0x20), 0x11000);
}
END_TEST

START_TEST(short_tss)
{
    rig_protected(r, 0);
    second_task(0x89);
    rig_desc(r, SEL_A, RIG_TSS2, 0x66, 0x89);
    rig_go(r, call_task);
    ck_vector(r, X_TS);
    ck_assert_uint_eq(rig_frame(r, 0), SEL_A);
    ck_assert_uint_eq(r->v->tr.sel, SEL_TSS);
}
END_TEST

START_TEST(trap_bit_of_a_task)
{
    rig_protected(r, 0);
    second_task(0x89);
    poke(r, RIG_TSS2 + 0x64, 1);
    rig_go(r, call_task);
    ck_vector(r, X_DB);
    ck_assert_uint_eq(r->v->dr[6] & BIT(15), BIT(15));
    ck_assert_uint_eq(rig_frame(r, 0), 0x11000);
}
END_TEST

// ---- SYSENTER
SNIPPET(sysenter, "sysenter");
SNIPPET(sysexit, "mov $0x10000, %edx\n mov $0x38000, %ecx\n sysexit");

START_TEST(sysenter_and_back)
{
    struct vcpu *v = r->v;

    rig_protected(r, 3);
    v->eflags |= FL_IF;
    v->sysenter_cs = SEL_CODE0;
    v->sysenter_esp = RIG_STACK0;
    v->sysenter_eip = 0x11000;
    rig_load(r, 0x11000, sysexit);
    rig_load(r, RIG_CODE, sysenter);
    interp_run(v, 1);
    ck_assert_uint_eq(v->cpl, 0);
    ck_assert_uint_eq(v->eip, 0x11000);
    ck_assert_uint_eq(v->gpr[R_ESP], RIG_STACK0);
    ck_assert_uint_eq(v->seg[S_SS].sel, SEL_DATA0);
    ck_assert_uint_eq(v->eflags & FL_IF, 0);
    interp_run(v, 3);
    ck_assert_uint_eq(v->cpl, 3);
    ck_assert_uint_eq(v->eip, 0x10000);
    ck_assert_uint_eq(v->gpr[R_ESP], 0x38000);
    ck_assert_uint_eq(v->seg[S_CS].sel, SEL_CODE3);
    ck_assert_uint_eq(v->seg[S_SS].sel, SEL_DATA3);
}
END_TEST

START_TEST(sysenter_without_a_segment)
{
    rig_protected(r, 3);
    rig_load(r, RIG_CODE, sysenter);
    rig_run(r);
    ck_vector(r, X_GP);
}
END_TEST

// ---- Modes
SNIPPET16(to_protected, "mov %cr0, %eax\n or $1, %al\n mov %eax, %cr0\n mov $0x10, %bx\n"
                        " mov %bx, %ds\n and $0xfe, %al\n mov %eax, %cr0\n xor %bx, %bx\n mov %bx, %ds\n"
                        " mov $0x20000, %esi\n movl $7, (%esi)\n hlt");

START_TEST(big_real_mode)
{
    struct vcpu *v = r->v;

    seg_load_real(v, S_CS, RIG_CODE >> 4);
    v->eip = 0;
    rig_go(r, to_protected);
    ck_assert_uint_eq(peek(r, 0x20000), 7); // beyond 64 KiB, in real mode
    ck_assert_uint_eq(v->cr0 & CR0_PE, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segments and far transfers");
    TCase *tc = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, limits);
    tcase_add_test(tc, stack_segment_faults_are_ss);
    tcase_add_test(tc, read_only_data);
    tcase_add_test(tc, code_is_never_written);
    tcase_add_test(tc, a_16_bit_stack_wraps);
    tcase_add_test(tc, data_loads);
    tcase_add_test(tc, stack_loads);
    tcase_add_test(tc, looking_at_descriptors);
    tcase_add_test(tc, call_gate_to_ring_0_and_back);
    tcase_add_test(tc, jmp_through_a_gate_keeps_the_ring);
    tcase_add_test(tc, far_jump_checks);
    tcase_add_test(tc, conforming_code_keeps_the_ring);
    tcase_add_test(tc, return_to_an_inner_ring);
    tcase_add_test(tc, iret_to_v86_and_back);
    tcase_add_test(tc, v86_frame);
    tcase_add_test(tc, v86_is_sensitive_below_iopl_3);
    tcase_add_test(tc, vme_virtualises_if);
    tcase_add_test(tc, vme_with_vip_pending);
    tcase_add_test(tc, vme_popf_of_tf);
    tcase_add_test(tc, pvi);
    tcase_add_test(tc, iret_outward_restores_flags_by_privilege);
    tcase_add_test(tc, iret_with_a_bad_frame);
    tcase_add_test(tc, task_call_and_return);
    tcase_add_test(tc, jump_to_a_busy_task);
    tcase_add_test(tc, task_with_a_bad_stack);
    tcase_add_test(tc, short_tss);
    tcase_add_test(tc, trap_bit_of_a_task);
    tcase_add_test(tc, sysenter_and_back);
    tcase_add_test(tc, sysenter_without_a_segment);
    tcase_add_test(tc, big_real_mode);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
