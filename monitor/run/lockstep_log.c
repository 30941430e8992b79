// SPDX-License-Identifier: GPL-2.0-or-later
// The log of what came from outside (-bt record=FILE), and runs that take it from there (-bt replay=FILE): a difference
// between the engines that a recorded run found comes again at the same instruction, as often as one likes.
//
// The file is a head and records, each with the number of instructions executed before it. What an access of the guest's
// brought (values read, memory that a device changed in the course of it) is found by the order of the accesses; what came
// between two instructions (interrupts, DMA) by the number. Instructions that were left between two iterations are not
// counted: their records say how far they had got.
#include "lockstep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x32676f6c336e6972ull // "rin3log2"

struct head {
    u64 magic, ram_size, state;
};

struct map_run { // IN_MAP's data are these, one with count 0 behind them, and pages of video memory
    u32 page, frame, count, flags;
};

// ---- The guest at the start, in one number
static u64 mix(u64 hash, const void *data, size_t len)
{
    const u64 *word = data;

    for (size_t i = 0; i < len / 8; i++)
        hash = ((hash << 5 | hash >> 59) ^ word[i]) * 0x9e3779b97f4a7c15ull;
    return hash;
}

static u64 initial_state(struct lockstep *ls)
{
    const struct phys *phys = &ls->phys;
    static const u8 zero[PAGE_SIZE];
    u64 hash = mix(0, ls->shadow->gpr, sizeof(ls->shadow->gpr));

    for (u64 at = 0; at < phys->ram_size; at += PAGE_SIZE)
        if (memcmp(phys->mem + at, zero, PAGE_SIZE))
            hash = mix(hash + at, phys->mem + at, PAGE_SIZE);
    return hash + ls->shadow->eip;
}

// ---- Recording
static void put(struct lockstep *ls, const void *data, size_t len)
{
    if (ls->log.file && fwrite(data, 1, len, ls->log.file) != len) {
        fprintf(stderr, "ring3: -bt record=%s: %s; the log ends here\n", ls->log.path, strerror(errno));
        fclose(ls->log.file);
        ls->log.file = NULL;
    }
}

static bool next_run(struct lockstep *ls, struct map_run *run)
{
    const struct phys_page *a = ls->v->mmu->phys->page, *b = ls->phys.page;
    u32 i = run->page + run->count;

    while (i < 1u << 20 && a[i].frame == b[i].frame && (a[i].flags & ~PHYS_CODE) == b[i].flags)
        i++;
    *run = (struct map_run){ .page = i };
    if (i == 1u << 20)
        return false;
    run->frame = a[i].frame;
    run->flags = a[i].flags & ~PHYS_CODE;
    while (i < 1u << 20 && a[i].frame == run->frame + run->count && (a[i].flags & ~PHYS_CODE) == (u8)run->flags)
        i++, run->count++;
    return true;
}

static u8 *map_data(struct lockstep *ls, u64 *len)
{
    const struct phys *phys = ls->v->mmu->phys;
    u32 first = (phys->ram_size + (2u << 20) - 1) >> 21 << 9, pages = phys->spare_used >> PAGE_SHIFT;
    struct map_run run = { 0 };
    char *data;
    FILE *f = open_memstream(&data, (size_t *)len);

    CHECK(f != NULL);
    while (next_run(ls, &run))
        fwrite(&run, sizeof(run), 1, f);
    run = (struct map_run){ .frame = phys->a20_mask };
    fwrite(&run, sizeof(run), 1, f);
    for (u32 i = first; i < first + pages; i++)
        if (memcmp(phys_frame_host(phys, i), phys_frame_host(&ls->phys, i), PAGE_SIZE)) {
            fwrite(&i, sizeof(i), 1, f);
            fwrite(phys_frame_host(phys, i), PAGE_SIZE, 1, f);
        }
    fclose(f);
    return (u8 *)data;
}

void log_record(struct lockstep *ls, const struct input *in)
{
    struct log_record r = {
        .at = ls->position, .eip = ls->partial_eip, .ecx = ls->partial_ecx, .kind = in->kind, .space = in->space,
        .size = in->size, .inside = ls->accesses > 0, .partial = ls->partial, .addr = in->addr,
        .gpa = in->gpa, .value = in->value,
    };
    u8 *map = NULL;

    if (!ls->log.file || ls->log.replays)
        return;
    if (in->kind == IN_MAP)
        map = map_data(ls, &r.value);
    put(ls, &r, sizeof(r));
    if (in->kind == IN_MEMORY || in->kind == IN_MAP)
        put(ls, map ? map : in->bytes, r.value);
    free(map);
}

// ---- Replaying
static void read_next(struct lockstep *ls)
{
    struct input_log *log = &ls->log;
    struct log_record *r = &log->next;

    free(log->data);
    log->data = NULL;
    if (fread(r, sizeof(*r), 1, log->file) != 1)
        *r = (struct log_record){ .kind = IN_END, .at = UINT64_MAX };
    if (r->kind != IN_MEMORY && r->kind != IN_MAP)
        return;
    log->data = malloc(r->value + 1);
    if (!log->data || fread(log->data, 1, r->value, log->file) != r->value)
        *r = (struct log_record){ .kind = IN_END, .at = UINT64_MAX };
}

static void apply_map(struct lockstep *ls, const u8 *data, u64 len)
{
    struct phys *phys = ls->v->mmu->phys;
    struct map_run run = { .frame = ~0u };
    const u8 *end = data + len;
    u32 i;

    while (data + sizeof(run) <= end) {
        memcpy(&run, data, sizeof(run));
        data += sizeof(run);
        if (!run.count)
            break;
        phys_map(phys, (gpa_t)run.page << PAGE_SHIFT, run.count << PAGE_SHIFT, run.frame, run.flags);
    }
    phys->a20_mask = run.frame;
    for (; data + sizeof(i) + PAGE_SIZE <= end; data += sizeof(i) + PAGE_SIZE) {
        memcpy(&i, data, sizeof(i));
        if (i < phys->mem_size >> PAGE_SHIFT)
            memcpy(phys_frame_host(phys, i), data + sizeof(i), PAGE_SIZE);
    }
    mmu_flush_all(ls->v);
    replay_map(ls);
}

// Takes the next record if it is a change of memory.
static bool apply_memory(struct lockstep *ls)
{
    const struct log_record *r = &ls->log.next;

    if (r->kind == IN_MEMORY) {
        phys_write(ls->v->mmu->phys, r->gpa, ls->log.data, r->value);
        replay_memory(ls, r->gpa, r->value);
    } else if (r->kind == IN_MAP) {
        apply_map(ls, ls->log.data, r->value);
    } else {
        return false;
    }
    read_next(ls);
    return true;
}

u64 log_take(struct lockstep *ls, int kind, unsigned space, u32 addr, unsigned size)
{
    const struct log_record *r = &ls->log.next;
    u64 value;

    while (r->inside && apply_memory(ls))
        continue;
    if (r->kind != kind || (kind != IN_TSC && (r->space != space || r->addr != addr || r->size != size))) {
        if (r->kind != IN_END)
            lockstep_differs(ls, "the guest accesses %s %#x, and the log has something else (kind %u, %#x)",
                             space == BUS_PORT ? "port" : "address", addr, r->kind, r->addr);
        ls->log.over = true;
        ls->watch.stop_block = true;
        return ~0ull;
    }
    value = r->value;
    read_next(ls);
    while (r->inside && apply_memory(ls))
        continue;
    if (r->kind >= IN_MEMORY) // perhaps in the rest of this block
        ls->watch.stop_block = true;
    return value;
}

bool log_before(const struct lockstep *ls, u32 insns)
{
    const struct log_record *r = &ls->log.next;

    return ls->log.replays && !r->inside && r->kind >= IN_MEMORY && r->at < ls->position + insns;
}

void log_between(struct lockstep *ls)
{
    struct vcpu *v = ls->v;
    const struct log_record *r = &ls->log.next;

    if (!ls->log.replays || ls->log.vector != NO_VECTOR)
        return;
    while (log_before(ls, 1) && r->at == ls->position && !ls->log.over) {
        if (r->partial && (v->eip != r->eip || v->gpr[R_ECX] != r->ecx)) {
            if (!partial_step(v, r->ecx) || !partial_step(ls->shadow, r->ecx)) {
                lockstep_differs(ls, "the log has a repeated instruction at %08x here", r->eip);
                ls->log.over = true;
            }
        } else if (r->kind == IN_VECTOR) {
            ls->log.vector = r->value;
            v->intr_line = false;
            vcpu_post(v, r->value == VECTOR_NMI ? EV_NMI : EV_INTR);
            read_next(ls);
            return;
        } else if (!apply_memory(ls)) {
            ls->log.over = true;
        }
    }
}

// ---- Open and close
bool log_open(struct lockstep *ls, const char *path, bool replays, struct err *err)
{
    struct head head;

    if (ls->log.file)
        return err_set(err, EXIT_USAGE, "-bt %s=%s: one log is enough", replays ? "replay" : "record", path);
    ls->log.replays = replays;
    ls->log.vector = NO_VECTOR;
    ls->log.path = strdup(path);
    ls->log.file = fopen(path, replays ? "rb" : "wb");
    if (!ls->log.file || !ls->log.path)
        return err_set(err, EXIT_USAGE, "-bt %s=%s: %s", replays ? "replay" : "record", path, strerror(errno));
    if (replays && (fread(&head, sizeof(head), 1, ls->log.file) != 1 || head.magic != MAGIC))
        return err_set(err, EXIT_USAGE, "-bt replay=%s: not a log of -bt record", path);
    ls->log.state = replays ? head.state : 0;
    return true;
}

bool log_start(struct lockstep *ls)
{
    struct head head = { MAGIC, ls->phys.ram_size, 0 };

    if (!ls->log.file)
        return true;
    head.state = initial_state(ls);
    if (!ls->log.replays)
        put(ls, &head, sizeof(head));
    else if (head.state != ls->log.state)
        return false;
    else
        read_next(ls);
    return true;
}

void log_close(struct lockstep *ls)
{
    if (ls->log.file) {
        log_record(ls, &(struct input){ .kind = IN_END });
        fclose(ls->log.file);
    }
    ls->log.file = NULL;
    free(ls->log.data);
    ls->log.data = NULL;
    free(ls->log.path);
    ls->log.path = NULL;
}
