// SPDX-License-Identifier: GPL-2.0-or-later
// The machines that random guests run on.
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static u64 device_read(void *dev, u32 addr, unsigned size)
{
    struct machine *m = dev;

    (void)addr, (void)size;
    if (rng_one_in(&m->rng, 64))
        vcpu_post(m->v, EV_INTR);
    return rng_next(&m->rng);
}

static void device_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct machine *m = dev;

    (void)addr, (void)value, (void)size;
    if (rng_one_in(&m->rng, 64))
        vcpu_post(m->v, EV_INTR);
}

static int acknowledge(void *opaque)
{
    struct machine *m = opaque;

    return rng_one_in(&m->rng, 16) ? -1 : (int)(32 + rng_below(&m->rng, 32));
}

static u64 count_clock(struct vcpu *v)
{
    struct machine *m = v->pic;

    return ++m->clock_reads * 1000;
}

static bool build(struct machine *m, const char *options, struct err *err)
{
    static const struct bus_ops device = { device_read, device_write, 8 };
    struct vcpu *v = mmap(NULL, sizeof(*v), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (v == MAP_FAILED)
        return err_set(err, EXIT_HOST, "no memory for a CPU");
    m->v = v;
    v->bus = &m->bus;
    m->model = *cpu_model_find("max");
    m->model.isa &= ~(BIT(ISA_RDRAND) | BIT(ISA_RDSEED)); // two engines would get two numbers
    v->model = &m->model;
    v->log = &m->log;
    v->intr_ack = acknowledge;
    v->pic = m;
    v->clock = count_clock;
    bus_init(&m->bus);
    if (!bus_add(&m->bus, BUS_PORT, 0, 0x10000, &device, m, "ports", err) ||
        !bus_add(&m->bus, BUS_MMIO, 0xa0000, 0x20000, &device, m, "video", err) ||
        !bus_add(&m->bus, BUS_MMIO, RAM, 0x10000000, &device, m, "high", err) ||
        !phys_init(&m->phys, RAM, &m->bus, err) || !mmu_init(&m->mmu, v, &m->phys, err))
        return false;
    m->engine = m->ops->create(v, options, err);
    return m->engine != NULL;
}

struct machine *machine_new(const char *engine, const char *options)
{
    struct machine *m = calloc(1, sizeof(*m));
    struct err err = { 0 };

    if (!m)
        return fprintf(stderr, "fuzz: out of memory\n"), NULL;
    m->log.file = stderr;
    m->ops = engine_find(engine);
    if (m->ops && build(m, options, &err))
        return m;
    fprintf(stderr, "fuzz: engine %s (%s): %s\n", engine, options ? options : "", err.text);
    return NULL; // the process ends
}

static void load_memory(struct machine *m, const struct guest *g)
{
    static const u8 zero[PAGE_SIZE];

    for (u32 at = 0; at < RAM; at += PAGE_SIZE) {
        const u8 *from = at < AT_END ? g->mem + at : at - AT_PAGING < PAGING_LEN ? g->paging + (at - AT_PAGING) : zero;

        if (at >= 0xa0000 && at < 0xc0000)
            continue;
        if (phys_page(&m->phys, at)->flags & PHYS_CODE)
            phys_write(&m->phys, at, from, PAGE_SIZE);
        else if (memcmp(m->phys.mem + at, from, PAGE_SIZE))
            memcpy(m->phys.mem + at, from, PAGE_SIZE);
    }
}

void machine_start(struct vcpu *v, const struct guest *g)
{
    const struct vcpu *s = &g->start;

    cpu_reset(v);
    memcpy(v->gpr, s->gpr, sizeof(v->gpr));
    memcpy(v->seg, s->seg, sizeof(v->seg));
    memcpy(v->pdpte, s->pdpte, sizeof(v->pdpte));
    memcpy(v->fx, s->fx, sizeof(v->fx));
    v->eip = s->eip, v->eflags = s->eflags;
    v->ldtr = s->ldtr, v->tr = s->tr;
    v->gdtr = s->gdtr, v->idtr = s->idtr;
    v->cr0 = s->cr0, v->cr2 = 0, v->cr3 = s->cr3, v->cr4 = s->cr4;
    v->efer = s->efer;
    v->shadow = 0;
    v->halted = v->nmi_blocked = v->intr_line = false;
    __atomic_store_n(&v->event, 0, __ATOMIC_SEQ_CST);
    cpu_set_cpl(v, s->cpl);
    mmu_mode_changed(v);
    mmu_flush_all(v);
}

void machine_load(struct machine *m, const struct guest *g)
{
    m->rng.state = g->number;
    m->clock_reads = 0;
    m->phys.a20_mask = ~0u;
    load_memory(m, g);
    machine_start(m->v, g);
    if (m->ops->restarted)
        m->ops->restarted(m->engine);
}

void machine_disturb(struct machine *m, struct rng *rng)
{
    u8 bytes[64];
    u32 at = rng_below(rng, AT_END - sizeof(bytes)), len = 1 + rng_below(rng, sizeof(bytes) - 1);

    switch (rng_below(rng, 40)) {
    case 0: case 1: case 2:
        vcpu_post(m->v, EV_NMI);
        break;
    case 4: case 5: case 6: case 7: // DMA, into code as a rule
        if (rng_one_in(rng, 2))
            at = AT_CODE + at % 0x10000;
        for (u32 i = 0; i < len; i++)
            bytes[i] = rng_next(rng);
        phys_write(&m->phys, at, bytes, len);
        if (m->ops->memory_changed)
            m->ops->memory_changed(m->engine, at, len);
        break;
    case 3: // the A20 gate
        m->phys.a20_mask ^= 1u << 20;
        mmu_flush_all(m->v);
        if (m->ops->memory_changed)
            m->ops->memory_changed(m->engine, 0, 0);
        break;
    default:
        vcpu_post(m->v, EV_INTR);
    }
}
