// SPDX-License-Identifier: GPL-2.0-or-later The run loop: enter the engine, see why it came back,
// serve that, enter it again. Every device runs here, on the vCPU thread, between two guest
// instructions.
#include "machine_impl.h"

#include <sys/prctl.h>
#include <x86intrin.h>

// What ends a sleep. Interrupts come from devices, which run on this thread, after a kick or at a
// deadline.
#define WAKE (EV_KICK | EV_STOP)

static u64 host_deadline(struct machine *m)
{
    u64 deadline = m->paused_at ? UINT64_MAX : board_deadline(m->board);

    return deadline == UINT64_MAX ? IO_NEVER : deadline + m->time_lost;
}

// Gives a serial port what the console has, as far as the port takes it.
static void pump_port(struct machine *m, int port)
{
    u8 buf[256];
    size_t room, got;

    do {
        room = m->paused_at ? 0 : board_serial_room(m->board, port);
        got = m->config.serial_in(m->config.console, port, buf, MIN(room, sizeof(buf)));
        if (got)
            CHECK(board_serial_in(m->board, port, buf, got) == got);
    } while (got);
    m->input_waits = (m->input_waits & ~BIT(port)) | (room == 0 ? BIT(port) : 0);
}

// ports: bit per port that may have something.
static void pump_serial(struct machine *m, u8 ports)
{
    for (unsigned port = 0; m->config.serial_in && port < MAX(m->config.serial_ports, 1u); port++)
        if (ports & BIT(port))
            pump_port(m, (int)port);
}

// Runs what the event word and the clock ask for. *limit: the time limit was met.
static void serve_events(struct machine *m, bool *limit)
{
    u32 pending = 0;

    if (__atomic_load_n(&m->v->event, __ATOMIC_SEQ_CST) & EV_KICK) {
        // The event first: what is posted from here on posts it again.
        __atomic_and_fetch(&m->v->event, ~(u32)EV_KICK, __ATOMIC_SEQ_CST);
        pending = io_take(&m->io);
    }
    if (!m->paused_at)
        board_poll(m->board);
    if (pending & IO_FRONT && m->config.front_poll)
        m->config.front_poll(m->config.console);
    if (pending & IO_FRONT || m->input_waits)
        pump_serial(m, pending & IO_FRONT ? 0xff : m->input_waits);
    if (pending & IO_FRONT)
        io_listen(&m->io);
    if (pending & IO_LIMIT)
        *limit = true;
    io_arm(&m->io, host_deadline(m));
}

static void sleep_halted(struct machine *m)
{
    u64 before, after, deadline, late = 0;
    bool woken;

    if (cpu_interruptible(m->v))
        return;
    m->sleeps++;
    before = io_now();
    deadline = host_deadline(m);
    if (!m->config.exact)
        late = idle_late(&m->idle, before, io_cpu_time(), deadline, board_deadline_once(m->board));
    woken = io_sleep(&m->io, deadline + late, &m->v->event, WAKE);
    after = io_now();
    idle_woke(&m->idle, !woken);
    if (m->profile)
        profile_slept(m->profile, after - before);
}

static void say_triple_fault(struct machine *m)
{
    fprintf(stderr, "ring3: the guest triple-faulted\n");
    machine_print_state(m, stderr);
    fflush(stderr);
}

// Restarts the guest; false, with the exit status in *status, if the run is over instead.
static bool restart(struct machine *m, const char *why, int *status, struct err *err)
{
    if (m->config.no_reboot) {
        err_set(err, EXIT_TRIPLE_FAULT, "%s, and -no-reboot is given", why);
        *status = EXIT_TRIPLE_FAULT;
        return false;
    }
    m->resets++;
    if (m->config.boot_once)
        board_boot_order(m->board, m->config.boot_order);
    if (machine_load(m, err))
        return true;
    *status = err->status;
    return false;
}

// Serves EV_STOP; false, with the exit status in *status, if the run is over.
static bool serve_requests(struct machine *m, int *status, struct err *err)
{
    u32 requests;

    if (!(__atomic_load_n(&m->v->event, __ATOMIC_SEQ_CST) & EV_STOP))
        return true;
    __atomic_and_fetch(&m->v->event, ~(u32)EV_STOP, __ATOMIC_SEQ_CST);
    requests = __atomic_exchange_n(&m->requests, 0, __ATOMIC_SEQ_CST);
    if (requests & REQ_DEBUG_EXIT) {
        *status = (int)((m->debug_value << 1 | 1) & 0xff);
        return false;
    }
    if (requests & (REQ_POWER_OFF | REQ_QUIT)) {
        *status = EXIT_OK;
        return false;
    }
    if (requests & REQ_INIT && !(requests & REQ_RESET))
        machine_init(m);
    return !(requests & REQ_RESET) || restart(m, "the guest reset the machine", status, err);
}

static int run(struct machine *m, struct err *err)
{
    bool limit = false;
    int status = EXIT_OK;

    err->text[0] = '\0';
    prctl(PR_SET_TIMERSLACK, 1ul);
    serve_events(m, &limit);
    while (!limit) {
        enum cpu_exit exit = m->paused_at ? CPU_HALTED : m->ops->run(m->engine);

        m->v->phase = PHASE_DEVICES;
        m->exits++;
        switch (exit) {
        case CPU_RAN:
            break;
        case CPU_HALTED:
            if (m->paused_at)
                io_sleep(&m->io, IO_NEVER, &m->v->event, WAKE);
            else
                sleep_halted(m);
            break;
        case CPU_FINISHED:
            fprintf(stderr, "ring3: the engine has run all it was asked to\n");
            return EXIT_OK;
        case CPU_DIVERGED:
            err_set(err, EXIT_BUG, "the engines disagree");
            return EXIT_BUG;
        case CPU_TRIPLE_FAULT:
            if (board_comes_back(m->board)) {
                machine_init(m);
                break;
            }
            say_triple_fault(m);
            if (!restart(m, "the guest triple-faulted", &status, err))
                return status;
            break;
        }
        serve_events(m, &limit);
        if (!serve_requests(m, &status, err))
            return status;
    }
    err_set(err, EXIT_TIMEOUT, "the time limit of %u s (-timeout) is over", m->config.timeout_s);
    return EXIT_TIMEOUT;
}

int machine_run(struct machine *m, struct err *err)
{
    int status;

    profile_start(m->profile, m->ops, m->engine);
    status = run(m, err);
    profile_stop(m->profile);
    return status;
}

void machine_power_button(struct machine *m)
{
    board_power_button(m->board);
}

void machine_reset(struct machine *m)
{
    __atomic_or_fetch(&m->requests, REQ_RESET, __ATOMIC_SEQ_CST);
    vcpu_post(m->v, EV_STOP);
}

void machine_pause(struct machine *m, bool pause)
{
    if (pause && !m->paused_at) {
        m->paused_at = io_now();
        m->paused_tsc = __rdtsc();
        // out of guest code, even if the console was asked in the middle of it
        vcpu_post(m->v, EV_KICK);
    } else if (!pause && m->paused_at) {
        m->time_lost += io_now() - m->paused_at;
        m->v->tsc_offset -= __rdtsc() - m->paused_tsc;
        m->paused_at = 0;
        board_resume(m->board);
        vcpu_post(m->v, EV_KICK);
    }
}
