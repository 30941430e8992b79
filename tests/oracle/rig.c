// SPDX-License-Identifier: GPL-2.0-or-later
// The guest machines.
//
//   physical   1000 page-directory pointers, 2000-5fff directories, 6000... page tables
//              20000 GDT, IDT, TSS | 21000 HLTs, one a vector | 22000 ring-0 stack
//              40000 the case's image
#include "rig.h"
#include "segments.h"

#include "monitor/cpu/fpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PDPT 0x1000u
#define DIRECTORIES 0x2000u
#define TABLES 0x6000u
#define SYSTEM 0x20000u
#define IMAGE 0x40000u
#define RAM (1u << 20)

// Within the system pages.
#define GDT 0x000u
#define TSS 0x100u
#define LDT 0x200u
#define IDT 0x800u
#define HANDLERS 0x1000u
#define STACK_TOP 0x3000u

const struct rig_mode rig_modes[] = {
    { "interp", "interp", NULL },
    { "bt", "bt", NULL },
    { "checked", "bt", "direct=off" },
    { "no-chain", "bt", "chain=off" },
    { "no-returns", "bt", "returns=off" },
    { "no-esp", "bt", "esp=off" },
    { "no-lahf", "bt", "lahf=off,direct=off" },
    { "no-inline", "bt", "sensitive=off" },
    { "no-loops", "bt", "loops=off,direct=off" },
    { "plain", "bt", "chain=off,returns=off,esp=off,lahf=off,sensitive=off,loops=off,unlock=off,direct=off" },
    { "one-insn", "bt", "block=1" },
    { "flush", "bt", "flush=1" },
};
const unsigned rig_mode_count = ARRAY_LEN(rig_modes);

static void put64(struct rig *rig, u32 gpa, u64 x)
{
    memcpy(rig->phys.mem + gpa, &x, 8);
}

// Maps linear page gla to gpa with the given bits.
static void map_page(struct rig *rig, u32 *next_table, u32 gla, u32 gpa, u64 bits)
{
    u32 at = DIRECTORIES + (gla >> 21) * 8;
    u64 dir;

    memcpy(&dir, rig->phys.mem + at, 8);
    if (!dir) {
        dir = *next_table | PTE_P | PTE_W | PTE_U | PTE_A;
        *next_table += PAGE_SIZE;
        put64(rig, at, dir);
    }
    put64(rig, (u32)(dir & PAGE_MASK) + (gla >> 12 & 511) * 8, gpa | PTE_P | PTE_A | PTE_D | bits);
}

static void make_paging(struct rig *rig)
{
    u32 table = TABLES;

    for (u32 i = 0; i < 4; i++)
        put64(rig, PDPT + 8 * i, (DIRECTORIES + i * PAGE_SIZE) | PTE_P);
    for (int i = 0; i < AREA_COUNT; i++) {
        const struct area *a = &areas[i];
        u64 bits = PTE_U | (a->flags & AREA_WRITE ? PTE_W : 0) | (a->flags & AREA_EXEC ? 0 : PTE_NX);

        if (i == AREA_ZERO && !rig->has_zero)
            continue;
        for (u32 p = 0; p < a->pages; p++)
            map_page(rig, &table, a->gla + p * PAGE_SIZE, IMAGE + (a->first + p) * PAGE_SIZE, bits);
    }
    for (u32 p = 0; p < RIG_SYSTEM_PAGES; p++)
        map_page(rig, &table, RIG_SYSTEM + p * PAGE_SIZE, SYSTEM + p * PAGE_SIZE, PTE_W);
}

static u64 descriptor(u32 base, u32 limit, u16 attr)
{
    return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(attr & 0xff) << 40 |
           (u64)(limit >> 16 & 0xf) << 48 | (u64)(attr >> 12) << 52 | (u64)(base >> 24) << 56;
}

// As Linux makes it of modify_ldt's argument: DPL 3, accessed.
static u16 ldt_attr(const struct ldt_entry *e)
{
    return SEG_S | SEG_A | 3 << SEG_DPL_SHIFT | (e->flags & LDT_CONTENTS) << 2 |
           (e->flags & LDT_CLOSED ? 0 : SEG_W) | (e->flags & LDT_ABSENT ? 0 : SEG_P) |
           (e->flags & LDT_BIG ? SEG_DB : 0) | (e->flags & LDT_PAGES ? SEG_G : 0);
}

// The guest's GDT is Linux's as far as programs can tell: the kernel's segments cannot be loaded, and the 64-bit
// code segment is a flat one to whoever loads it as data.
static void make_tables(struct rig *rig)
{
    u8 *sys = rig->phys.mem + SYSTEM;
    u32 esp0 = RIG_SYSTEM + STACK_TOP;
    u16 ss0 = 0x18, no_bitmap = 0x68;

    put64(rig, SYSTEM + GDT + 0x08, descriptor(0, 0xfffff, 0xc09b));
    put64(rig, SYSTEM + GDT + 0x10, descriptor(0, 0xfffff, 0xc09b));
    put64(rig, SYSTEM + GDT + 0x18, descriptor(0, 0xfffff, 0xc093));
    put64(rig, SYSTEM + GDT + 0x20, descriptor(0, 0xfffff, 0xc0fb));
    put64(rig, SYSTEM + GDT + 0x28, descriptor(0, 0xfffff, 0xc0f3));
    put64(rig, SYSTEM + GDT + 0x30, descriptor(0, 0xfffff, 0xa0fb));
    put64(rig, SYSTEM + GDT + 0x50, descriptor(RIG_SYSTEM + LDT, LDT_COUNT * 8 - 1, SEG_P | SYS_LDT));
    for (u32 n = 0; n < LDT_COUNT; n++)
        put64(rig, SYSTEM + LDT + 8 * n, descriptor(ldt[n].base, ldt[n].limit, ldt_attr(&ldt[n])));
    put64(rig, SYSTEM + GDT + 0x78, descriptor(0, 0, 0x40f5));
    put64(rig, SYSTEM + GDT + 0x40, descriptor(RIG_SYSTEM + TSS, 0x67, SEG_P | SYS_TSS32_BUSY));
    memcpy(sys + TSS + 4, &esp0, 4);
    memcpy(sys + TSS + 8, &ss0, 2);
    memcpy(sys + TSS + 102, &no_bitmap, 2);
    for (u32 n = 0; n < 256; n++) {
        u32 handler = RIG_SYSTEM + HANDLERS + n;
        bool user = n == 3 || n == 4 || n == 0x80;

        put64(rig, SYSTEM + IDT + 8 * n,
              (handler & 0xffff) | 0x10 << 16 | (u64)(SEG_P | SYS_INT32 | (user ? 3 << SEG_DPL_SHIFT : 0)) << 40 |
              (u64)(handler >> 16) << 48);
    }
    memset(sys + HANDLERS, 0xf4, PAGE_SIZE);
}

static void make_cpu(struct rig *rig)
{
    struct vcpu *v = rig->v;

    cpu_reset(v);
    v->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    v->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    v->efer = EFER_NXE;
    v->cr3 = PDPT;
    for (int i = 0; i < 4; i++)
        v->pdpte[i] = (DIRECTORIES + i * PAGE_SIZE) | PTE_P;
    v->gdtr = (struct dtable){ RIG_SYSTEM + GDT, 0x7f };
    v->idtr = (struct dtable){ RIG_SYSTEM + IDT, 0x7ff };
    v->tr = (struct seg){ 0x40, SEG_P | SYS_TSS32_BUSY, RIG_SYSTEM + TSS, 0x67 };
    v->ldtr = (struct seg){ 0x50, SEG_P | SYS_LDT, RIG_SYSTEM + LDT, LDT_COUNT * 8 - 1 };
    v->eflags = FL_FIXED1;
    mmu_mode_changed(v);
}

static bool build(struct rig *rig, const struct cpu_model *model)
{
    struct err err = { 0 };
    struct vcpu *v = mmap(NULL, sizeof(*v), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (v == MAP_FAILED)
        return false;
    rig->v = v;
    v->bus = &rig->bus;
    v->model = model;
    v->log = &rig->log;
    bus_init(&rig->bus);
    if (!phys_init(&rig->phys, RAM, &rig->bus, &err) || !mmu_init(&rig->mmu, v, &rig->phys, &err))
        goto fail;
    make_paging(rig);
    make_tables(rig);
    rig->image = rig->phys.mem + IMAGE;
    rig->engine = rig->ops->create(v, rig->mode->options, &err);
    if (!rig->engine)
        goto fail;
    make_cpu(rig);
    return true;
fail:
    fprintf(stderr, "oracle: mode %s: %s\n", rig->mode->name, err.text);
    return false;
}

struct rig *rig_new(const struct rig_mode *mode, const char *model, bool has_zero)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    if (!rig)
        return NULL;
    rig->mode = mode;
    rig->ops = engine_find(mode->engine);
    rig->has_zero = has_zero;
    rig->log.file = stderr;
    rig->phys.memfd = -1;
    if (!build(rig, cpu_model_find(model))) {
        rig_free(rig);
        return NULL;
    }
    return rig;
}

void rig_free(struct rig *rig)
{
    if (rig->engine)
        rig->ops->destroy(rig->engine);
    if (rig->v && rig->v->mmu)
        mmu_destroy(&rig->mmu);
    if (rig->phys.memfd >= 0)
        phys_destroy(&rig->phys);
    bus_destroy(&rig->bus);
    if (rig->v) {
        interp_release(rig->v);
        munmap(rig->v, sizeof(*rig->v));
    }
    free(rig);
}

static void load_memory(struct rig *rig, const u8 *before)
{
    for (u32 p = 0; p < IMAGE_PAGES; p++) {
        u32 at = p * PAGE_SIZE;

        if (memcmp(rig->image + at, before + at, PAGE_SIZE) == 0)
            continue;
        if (phys_page(&rig->phys, IMAGE + at)->flags & PHYS_CODE)
            phys_write(&rig->phys, IMAGE + at, before + at, PAGE_SIZE);
        else
            memcpy(rig->image + at, before + at, PAGE_SIZE);
    }
}

static struct seg segment(u16 sel, bool code)
{
    static const u16 flat = SEG_P | SEG_S | SEG_W | SEG_A | 3 << SEG_DPL_SHIFT | SEG_G | SEG_DB;
    const struct ldt_entry *e = ldt_find(sel);

    if (!(sel & ~3))
        return (struct seg){ sel, 0, 0, 0 };
    if (!e)
        return (struct seg){ sel, flat | (code ? SEG_CODE : 0), 0, ~0u };
    return (struct seg){ sel, ldt_attr(e), e->base, e->flags & LDT_PAGES ? e->limit << 12 | 0xfff : e->limit };
}

void rig_start(struct rig *rig, const struct oracle_case *c, const u8 *before)
{
    struct vcpu *v = rig->v;

    load_memory(rig, before);
    cpu_fpu_acquire(v);
    memcpy(v->gpr, c->gpr, sizeof(v->gpr));
    v->eip = c->eip;
    v->eflags = c->eflags;
    v->cr2 = 0;
    v->shadow = 0;
    v->halted = v->nmi_blocked = false;
    for (int i = 0; i < S_COUNT; i++)
        v->seg[i] = segment(c->seg[i], i == S_CS);
    cpu_set_cpl(v, 3);
    memcpy(v->fx, c->fx, sizeof(v->fx));
    fpu_normalise(v->fx);
    __atomic_store_n(&v->event, 0, __ATOMIC_SEQ_CST);
}

u8 rig_vector(const struct rig *rig)
{
    return rig->v->eip - (RIG_SYSTEM + HANDLERS);
}

// The exception's frame on the ring-0 stack: [error] EIP CS EFLAGS ESP SS.
static void take_state(struct rig *rig, struct oracle_result *r)
{
    struct vcpu *v = rig->v;
    const u8 *sp = rig->phys.mem + SYSTEM + (v->gpr[R_ESP] - RIG_SYSTEM);
    u32 frame[6] = { 0 };

    r->vector = v->eip - 1 - (RIG_SYSTEM + HANDLERS);
    if (X_HAS_ERROR & (r->vector < 32 ? BIT(r->vector) : 0)) {
        memcpy(&r->error, sp, 4);
        sp += 4;
    }
    memcpy(frame, sp, 20);
    memcpy(r->gpr, v->gpr, sizeof(r->gpr));
    r->gpr[R_ESP] = frame[3];
    r->eip = frame[0];
    r->eflags = frame[2];
    for (int i = 0; i < S_COUNT; i++)
        r->seg[i] = v->seg[i].sel;
    r->seg[S_CS] = frame[1];
    r->seg[S_SS] = frame[4];
    r->cr2 = r->vector == X_PF ? v->cr2 : 0;
}

void rig_run(struct rig *rig, const struct oracle_case *c, const u8 *before, struct oracle_result *r)
{
    struct vcpu *v = rig->v;
    enum cpu_exit exit;

    memset(r, 0, sizeof(*r));
    rig_start(rig, c, before);
    do
        exit = rig->ops->run(rig->engine);
    while (exit == CPU_RAN && !(v->event & EV_STOP));
    cpu_fpu_acquire(v);
    if (exit == CPU_TRIPLE_FAULT)
        r->vector = VECTOR_SHUTDOWN;
    else if (exit == CPU_RAN)
        r->vector = VECTOR_TIMEOUT;
    else
        take_state(rig, r);
    memcpy(r->fx, v->fx, FX_BYTES);
    memory_diff(before, rig->image, r);
}

void rig_stop(struct rig *rig)
{
    vcpu_post(rig->v, EV_STOP);
    rig->ops->kick(rig->engine);
}
