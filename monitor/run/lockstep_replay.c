// SPDX-License-Identifier: GPL-2.0-or-later
// What comes from outside: recorded on bt's side, played back to the shadow.
#include "lockstep.h"

#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

// A repeated instruction that reads from a device would fill memory with what the shadow has not come to yet: it is
// interrupted.
#define QUEUE_MANY 65536u

static void push(struct lockstep *ls, struct input in)
{
    if (ls->count >= QUEUE_MANY)
        vcpu_post(ls->v, EV_KICK);
    if (ls->count == ls->capacity) {
        ls->capacity = ls->capacity ? 2 * ls->capacity : 256;
        ls->queue = realloc(ls->queue, ls->capacity * sizeof(*ls->queue));
        if (!ls->queue)
            err_no_memory("lockstep");
    }
    ls->queue[ls->count++] = in;
    log_record(ls, &in);
    ls->stat.inputs++;
}

void replay_clear(struct lockstep *ls)
{
    for (u32 i = ls->head; i < ls->count; i++)
        free(ls->queue[i].bytes);
    ls->head = ls->count = 0;
    ls->watch.stop_block = false;
}

// ---- bt's side
#define PORT(dev) ((const __typeof__(((struct lockstep *)0)->port[0][0]) *)(dev))

static u64 record_read(void *dev, u32 addr, unsigned size)
{
    struct lockstep *ls = PORT(dev)->ls;
    u64 value;

    addr += PORT(dev)->base;
    ls->accesses++;
    value = ls->log.replays ? log_take(ls, IN_READ, PORT(dev)->space, addr, size)
                            : bus_read(ls->real_bus, PORT(dev)->space, addr, size);
    ls->accesses--;
    push(ls, (struct input){ .kind = IN_READ, .space = PORT(dev)->space, .size = size, .addr = addr, .value = value });
    return value;
}

static void record_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct lockstep *ls = PORT(dev)->ls;

    addr += PORT(dev)->base;
    push(ls, (struct input){ .kind = IN_WRITE, .space = PORT(dev)->space, .size = size, .addr = addr, .value = value });
    ls->accesses++;
    if (ls->log.replays)
        log_take(ls, IN_WRITE, PORT(dev)->space, addr, size);
    else
        bus_write(ls->real_bus, PORT(dev)->space, addr, value, size);
    ls->accesses--;
}

static u64 record_clock(struct vcpu *v)
{
    struct lockstep *ls = lockstep_of(bt_engine(v));
    u64 value = ls->log.replays ? log_take(ls, IN_TSC, 0, 0, 0) : __rdtsc() + v->tsc_offset;

    push(ls, (struct input){ .kind = IN_TSC, .value = value });
    return value;
}

static int record_ack(void *opaque)
{
    struct lockstep *ls = opaque;

    if (ls->log.replays)
        return ls->vector = ls->log.vector < VECTOR_NMI - 1 ? (int)ls->log.vector : -1;
    return ls->vector = ls->intr_ack ? ls->intr_ack(ls->pic) : -1;
}

// Whether the processor waits for IRQ 13 then depends on an interrupt's being there.
static void record_ferr(void *opaque, bool level)
{
    struct lockstep *ls = opaque;
    u64 pending;

    if (ls->ferr && !ls->log.replays)
        ls->ferr(ls->pic, level);
    if (!level)
        return;
    pending = ls->log.replays ? log_take(ls, IN_FERR, 0, 0, 0) : ls->v->event & EV_INTR;
    if (pending)
        vcpu_post(ls->v, EV_INTR);
    push(ls, (struct input){ .kind = IN_FERR, .value = pending });
}

void replay_memory(struct lockstep *ls, gpa_t gpa, size_t len)
{
    u8 *bytes = malloc(len);

    if (!bytes)
        err_no_memory("lockstep");
    phys_read(ls->v->mmu->phys, gpa, bytes, len);
    push(ls, (struct input){ .kind = IN_MEMORY, .gpa = gpa, .value = len, .bytes = bytes });
}

void replay_map(struct lockstep *ls)
{
    push(ls, (struct input){ .kind = IN_MAP });
    ls->watch.stop_block = true;
}

// ---- The shadow's side
void replay_copy_map(struct lockstep *ls)
{
    const struct phys *from = ls->v->mmu->phys;

    for (u32 i = 0; i < 1u << 20; i++) {
        struct phys_page p = from->page[i];

        p.flags &= ~PHYS_CODE;
        if (p.frame != ls->phys.page[i].frame || p.flags != ls->phys.page[i].flags)
            ls->phys.page[i] = p;
    }
    ls->phys.a20_mask = from->a20_mask;
}

// Video memory is a device's: its contents come with the map.
static void copy_spare(struct lockstep *ls)
{
    const struct phys *from = ls->v->mmu->phys;
    u64 start = (from->ram_size + (2u << 20) - 1) & ~(u64)((2u << 20) - 1);

    memcpy(ls->phys.mem + start, from->mem + start, from->spare_used);
}

void replay_memory_changes(struct lockstep *ls)
{
    for (; ls->head < ls->count && ls->queue[ls->head].kind >= IN_MEMORY; ls->head++) {
        struct input *in = &ls->queue[ls->head];

        if (in->kind == IN_MEMORY) {
            phys_write(&ls->phys, in->gpa, in->bytes, in->value);
            free(in->bytes);
            in->bytes = NULL;
        } else {
            replay_copy_map(ls);
            copy_spare(ls);
            mmu_flush_all(ls->shadow);
        }
    }
}

static const char *const kind_name[] = { "a read", "a write", "RDTSC", "FERR#", "DMA", "a change of the map" };

// What bt's side did at this point, which must have been of that kind; NULL if not.
static const struct input *take(struct lockstep *ls, int kind, unsigned space, u32 addr, unsigned size)
{
    const struct input *in;

    replay_memory_changes(ls);
    if (ls->head == ls->count) {
        lockstep_differs(ls, "the interpreter does %s (%s %#x, size %u), and the translator nothing of the kind",
                         kind_name[kind], space == BUS_PORT ? "port" : "address", addr, size);
        return NULL;
    }
    in = &ls->queue[ls->head++];
    if ((int)in->kind != kind || (kind != IN_TSC && (in->space != space || in->addr != addr || in->size != size))) {
        lockstep_differs(ls, "the interpreter does %s (%s %#x, size %u), the translator %s (%s %#x, size %u)",
                         kind_name[kind], space == BUS_PORT ? "port" : "address", addr, size, kind_name[in->kind],
                         in->space == BUS_PORT ? "port" : "address", in->addr, in->size);
        return NULL;
    }
    return in;
}

static u64 play_read(void *dev, u32 addr, unsigned size)
{
    struct lockstep *ls = PORT(dev)->ls;
    const struct input *in = take(ls, IN_READ, PORT(dev)->space, PORT(dev)->base + addr, size);

    return in ? in->value : ~0ull >> (64 - 8 * size);
}

static void play_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct lockstep *ls = PORT(dev)->ls;
    const struct input *in = take(ls, IN_WRITE, PORT(dev)->space, PORT(dev)->base + addr, size);

    if (in && (in->value ^ value) & ~0ull >> (64 - 8 * size))
        lockstep_differs(ls, "the interpreter writes %#llx to %s %#x, the translator %#llx", (unsigned long long)value,
                         in->space == BUS_PORT ? "port" : "address", in->addr, (unsigned long long)in->value);
    replay_memory_changes(ls);
}

struct lockstep *lockstep_of_shadow(const struct vcpu *s)
{
    return PORT(s->bus->range[BUS_PORT][0].dev)->ls;
}

static u64 play_clock(struct vcpu *v)
{
    struct lockstep *ls = lockstep_of_shadow(v);
    const struct input *in = take(ls, IN_TSC, 0, 0, 0);

    return in ? in->value : 0;
}

static void play_ferr(void *opaque, bool level)
{
    struct lockstep *ls = opaque;
    const struct input *in = level ? take(ls, IN_FERR, 0, 0, 0) : NULL;

    if (in && in->value)
        vcpu_post(ls->shadow, EV_INTR);
}

// ---- Wiring
static bool add_ranges(struct lockstep *ls, struct bus *bus, unsigned side, const struct bus_ops *ops, struct err *err)
{
    static const struct {
        enum bus_space space;
        u32 base, len;
    } range[3] = { { BUS_PORT, 0, 0x10000 }, { BUS_MMIO, 0, 0x80000000 }, { BUS_MMIO, 0x80000000, 0x80000000 } };

    bus_init(bus);
    for (unsigned i = 0; i < ARRAY_LEN(range); i++) {
        ls->port[side][i].ls = ls;
        ls->port[side][i].space = range[i].space;
        ls->port[side][i].base = range[i].base;
        if (!bus_add(bus, range[i].space, range[i].base, range[i].len, ops, &ls->port[side][i], "lockstep", err))
            return false;
    }
    return true;
}

bool replay_init(struct lockstep *ls, struct err *err)
{
    static const struct bus_ops record = { record_read, record_write, 8 }, play = { play_read, play_write, 8 };
    struct vcpu *v = ls->v;

    if (!add_ranges(ls, &ls->record_bus, 0, &record, err) || !add_ranges(ls, &ls->shadow_bus, 1, &play, err))
        return false;
    ls->real_bus = v->bus;
    ls->intr_ack = v->intr_ack;
    ls->ferr = v->ferr;
    ls->pic = v->pic;
    v->bus = v->mmu->phys->bus = &ls->record_bus;
    v->intr_ack = record_ack;
    v->ferr = record_ferr;
    v->pic = ls;
    v->clock = record_clock;
    ls->shadow->bus = &ls->shadow_bus;
    ls->shadow->clock = play_clock;
    ls->shadow->ferr = play_ferr;
    return true;
}

void replay_destroy(struct lockstep *ls)
{
    struct vcpu *v = ls->v;

    if (ls->real_bus) {
        v->bus = v->mmu->phys->bus = ls->real_bus;
        v->intr_ack = ls->intr_ack;
        v->ferr = ls->ferr;
        v->pic = ls->pic;
        v->clock = NULL;
    }
    replay_clear(ls);
    free(ls->queue);
    bus_destroy(&ls->record_bus);
    bus_destroy(&ls->shadow_bus);
}
