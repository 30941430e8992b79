// SPDX-License-Identifier: GPL-2.0-or-later
// Runs a guest as ring3 -accel interp does, instruction by instruction, and records which forms it executes:
//
//   opcodes-record RECORD GUEST [COMMAND-LINE]     exits with the status that the guest gave isa-debug-exit
#include "monitor/run/machine_impl.h"
#include "record.h"

#include <stdlib.h>

struct recorder { // the run's; engines are given no more than the vcpu
    struct vcpu *v;
    struct record record;
};

// An engine has no pointer of ours: v->engine is its own.
struct engine {
    struct recorder *recorder;
};

// Decodes what the next step will execute. False: fetching it faults.
static bool peek(struct vcpu *v, struct insn *insn)
{
    const struct seg *cs = &v->seg[S_CS];
    u32 room = cs->limit - v->eip;
    jmp_buf catcher;
    u8 bytes[16] = { 0 };
    gpa_t gpa;
    bool fine = false;

    if (v->eip > cs->limit)
        return false;
    v->catcher = &catcher;
    if (_setjmp(catcher) == 0) {
        unsigned want = room >= INSN_MAX - 1 ? INSN_MAX : room + 1;
        unsigned have = mmu_fetch(v, cs->base + v->eip, bytes, want, &gpa);

        fine = insn_decode(insn, bytes, have, cs->attr & SEG_DB) == INSN_OK;
    }
    v->catcher = NULL;
    return fine;
}

static enum cpu_exit run(struct engine *e)
{
    struct vcpu *v = e->recorder->v;
    enum cpu_exit exit = CPU_RAN;

    for (;;) {
        u64 exceptions = v->count.exceptions;
        u32 cr2 = v->cr2;
        struct insn insn;
        bool known;

        if (__atomic_load_n(&v->event, __ATOMIC_ACQUIRE) & ~(u32)(EV_INTR | EV_NMI))
            return CPU_RAN;
        cpu_interrupt(v, &exit);
        if (exit != CPU_RAN)
            return exit;
        if (v->halted)
            return CPU_HALTED;
        known = peek(v, &insn);
        v->cr2 = cr2;
        exit = interp_step(v);
        if (known)
            record_add(&e->recorder->record, &insn,
                       v->count.exceptions == exceptions ? -1 : v->recent[(v->recent_count - 1) % FAULT_RECORDS].vector);
        if (exit != CPU_RAN)
            return exit;
    }
}

static void nothing(struct engine *e)
{
    (void)e;
}

static void print(void *console, int port, const u8 *bytes, size_t len)
{
    (void)console;
    if (port == 0)
        fwrite(bytes, 1, len, stdout);
}

int main(int argc, char **argv)
{
    static const struct engine_ops ops = { .name = "recorder", .run = run, .kick = nothing, .destroy = nothing };
    static struct recorder recorder;
    struct engine engine = { &recorder };
    struct log log = { .file = stderr };
    struct err err = { 0 };
    struct machine_config config = {
        .ram_size = 32 << 20, .cpu = "max", .accel = "interp", .kernel = argc > 2 ? argv[2] : NULL,
        .append = argc > 3 ? argv[3] : "", .debug_exit_base = 0xf4, .debug_exit_size = 4, .no_reboot = true,
        .timeout_s = 100, .log = &log, .front_fd = -1, .serial_out = print,
    };
    struct machine *m;
    int status;

    if (argc < 3) {
        fprintf(stderr, "usage: %s RECORD GUEST [COMMAND-LINE]\n", argv[0]);
        return 2;
    }
    forms_init(&recorder.record.forms);
    m = machine_create(&config, &err);
    if (!m) {
        fprintf(stderr, "%s: %s\n", argv[0], err.text);
        return 2;
    }
    recorder.v = m->v;
    m->ops->destroy(m->engine);
    m->ops = &ops;
    m->engine = &engine;
    status = machine_run(m, &err);
    machine_destroy(m);
    if (err.text[0])
        fprintf(stderr, "%s: %s\n", argv[0], err.text);
    return record_write(&recorder.record, argv[1]) ? status : 2;
}
