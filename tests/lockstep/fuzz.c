// SPDX-License-Identifier: GPL-2.0-or-later
// The guest fuzzer (README.md): fuzz [--seed N] [--cases N] [--seconds N] [--case N] [--bt OPTIONS]
//     [--refuse N] [--memory] [--keep-going]
//
// Each guest runs under the lockstep engine, disturbed by interrupts, NMIs, DMA and the A20 gate at places that its number
// determines; then, if it ends by itself, in the interpreter and in the translator at full speed with some set of options,
// to compare how it ended; else only in the translator, under a timer that kicks it, to see that nothing breaks.
// A child process runs the guests, so that what kills the monitor is a finding too.
#include "fuzz.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define INSTRUCTIONS 100000 // of a guest in lockstep
#define BUDGET 100000      // in the interpreter, before it counts as one that does not end
#define HUNG_S 60
#define ENDLESS_US 1000000 // BUDGET takes milliseconds, but for repeated instructions that ask devices
#define HUNG_BT_US 30000000 // what the interpreter does in ENDLESS_US
#define INPUTS 20          // take as long as an instruction

static const char *const bt_options[] = {
    "", "direct=off", "chain=off", "returns=off", "esp=off", "lahf=off", "sensitive=off", "loops=off,young=off",
    "chain=off,returns=off,esp=off,lahf=off,sensitive=off,loops=off,direct=off", "block=1", "flush=7", "cache=256K",
};

struct shared { // with the parent
    u64 number;         // of the guest that runs
    u64 cases, instructions, exits, interrupts, inputs, wild, compared, kicked, refused, asked, failures;
    bool done;
};

struct fuzz {
    u64 seed, cases, seconds;
    const char *options; // of the lockstep engine
    unsigned refuse;     // one in so many host mappings
    bool memory;         // requests for memory, one in each run
    bool keep_going;
    struct shared *shared;
    struct machine *lockstep, *interp, *bt[ARRAY_LEN(bt_options)];
    struct guest guest;
};

// ---- One guest
// Tables of random words, in device memory too, are not the same for who reads them early and who late, and global
// pages may outlive them.
static bool wild_tables(const struct vcpu *v)
{
    return v->cr0 & CR0_PG && (v->cr3 & ~0x1fu) != AT_PAGING;
}

// In front of the lockstep engine's own.
static bool ran(struct bt_watch *w, u32 n)
{
    const struct lockstep *ls = (const struct lockstep *)w;
    const struct machine *m = ls->pic;

    return !wild_tables(m->v) && m->ran(w, n);
}

static void restart(struct fuzz *z, struct rng *rng, bool shadow_follows)
{
    struct lockstep *ls = lockstep_of(z->lockstep->engine);

    guest_move(&z->guest, rng);
    cpu_fpu_acquire(z->lockstep->v);
    machine_start(z->lockstep->v, &z->guest);
    if (shadow_follows)
        machine_start(ls->shadow, &z->guest);
    else
        ls->seeded = false;
}

static bool run_lockstep(struct fuzz *z, struct rng *rng)
{
    struct machine *m = z->lockstep;
    struct lockstep *ls = lockstep_of(m->engine);
    enum cpu_exit exit = CPU_RAN;

    machine_load(m, &z->guest);
    ls->stat.instructions = ls->stat.exits = ls->stat.interrupts = ls->stat.inputs = 0;
    ls->limit = 1 + rng_below(rng, 3000);
    while (ls->stat.instructions + ls->stat.inputs / INPUTS < INSTRUCTIONS) {
        exit = m->ops->run(m->engine);
        __atomic_and_fetch(&m->v->event, ~(u32)EV_KICK, __ATOMIC_SEQ_CST);
        if (exit == CPU_DIVERGED && ls->differs)
            break;
        // Most random code is soon caught in a fault that its handler does not cure.
        if (wild_tables(m->v)) {
            z->shared->wild++;
            restart(z, rng, false);
        } else if (exit == CPU_TRIPLE_FAULT || exit == CPU_HALTED || rng_one_in(rng, 4)) {
            restart(z, rng, true);
        } else {
            machine_disturb(m, rng);
        }
        ls->limit = ls->stat.instructions + 1 + rng_below(rng, rng_one_in(rng, 2) ? 20 : 3000);
    }
    lockstep_compare_all(ls);
    cpu_fpu_acquire(m->v); // the host's unit is the next machine's
    z->shared->instructions += ls->stat.instructions;
    z->shared->exits += ls->stat.exits;
    z->shared->interrupts += ls->stat.interrupts;
    z->shared->inputs += ls->stat.inputs;
    return !ls->differs;
}

static bool same_seg(const struct seg *a, const struct seg *b)
{
    return a->sel == b->sel && a->attr == b->attr && a->base == b->base && a->limit == b->limit;
}

// NULL if the two ended in the same state, else what differs.
static const char *difference(struct machine *a, struct machine *b)
{
    static char text[64];
    const struct vcpu *v = a->v, *w = b->v;

    cpu_fpu_acquire(a->v);
    cpu_fpu_acquire(b->v);
    if (v->eip != w->eip)
        return "EIP";
    if (memcmp(v->gpr, w->gpr, sizeof(v->gpr)))
        return "a general register";
    if ((v->eflags ^ w->eflags) & ~FL_RF)
        return "EFLAGS";
    for (int i = 0; i < S_COUNT; i++)
        if (!same_seg(&v->seg[i], &w->seg[i]))
            return "a segment register";
    if (!same_seg(&v->tr, &w->tr) || !same_seg(&v->ldtr, &w->ldtr))
        return "TR or LDTR";
    if (v->cr0 != w->cr0 || v->cr2 != w->cr2 || v->cr3 != w->cr3 || v->cr4 != w->cr4 || v->efer != w->efer)
        return "a control register";
    if (memcmp(v->dr, w->dr, sizeof(v->dr)))
        return "a debug register";
    for (u32 i = 0; i < 288; i++) // but for what is reserved
        if (v->fx[i] != w->fx[i] && (i < 28 || i >= 32) && (i < 32 || i >= 160 || i % 16 < 10)) {
            snprintf(text, sizeof(text), "byte %u of FXSAVE's image", i);
            return text;
        }
    for (u32 i = 0; i < RAM; i += 4)
        if ((*(u32 *)(a->phys.mem + i) ^ *(u32 *)(b->phys.mem + i)) & ~0x60u) { // A and D: when they are set is free
            snprintf(text, sizeof(text), "memory at %#x", i);
            return text;
        }
    return NULL;
}

static struct machine *ticking; // for the signal handler
static volatile bool too_long;  // ticking should have ended by itself

static void tick(int signo)
{
    (void)signo;
    if (ticking && too_long) {
        vcpu_post(ticking->v, EV_STOP);
        ticking->ops->kick(ticking->engine);
    } else if (ticking) {
        vcpu_post(ticking->v, EV_KICK | (ticking->clock_reads++ & 1 ? EV_INTR : 0));
        ticking->ops->kick(ticking->engine);
    }
}

static void timer(unsigned us)
{
    struct itimerval it = { { us / 1000000, us % 1000000 }, { us / 1000000, us % 1000000 } };

    setitimer(ITIMER_REAL, &it, NULL);
}

// Stops m if it does not end before that.
static void start_timer(struct machine *m, unsigned us)
{
    ticking = m;
    too_long = true;
    timer(us);
}

static void stop_timer(void)
{
    timer(0);
    too_long = false;
    ticking = NULL;
}

static bool run_alone(struct fuzz *z, struct rng *rng)
{
    unsigned set = rng_below(rng, ARRAY_LEN(bt_options));
    struct machine *ref = z->interp, *m;
    enum cpu_exit exit, bt_exit;
    const char *what;
    u64 end, interrupts;

    if (!z->bt[set]) {
        refuse_maps(0, 0);
        z->bt[set] = machine_new("bt", bt_options[set]);
        refuse_maps(z->guest.number, z->refuse);
    }
    if (!z->bt[set])
        _exit(2);
    m = z->bt[set];
    guest_make(&z->guest, z->guest.number);
    machine_load(ref, &z->guest);
    interrupts = ref->v->count.interrupts;
    start_timer(ref, ENDLESS_US);
    exit = interp_run(ref->v, BUDGET);
    stop_timer();
    machine_load(m, &z->guest);
    if (exit != CPU_RAN) {
        start_timer(m, HUNG_BT_US);
        do
            bt_exit = m->ops->run(m->engine);
        while (bt_exit == CPU_RAN && !(m->v->event & EV_STOP));
        stop_timer();
        cpu_fpu_acquire(m->v);
        // bt reads the host's clock inline, and takes interrupts elsewhere.
        if (ref->clock_reads || ref->v->count.interrupts != interrupts || ref->v->cr3 >> 5 != AT_PAGING >> 5)
            return true;
        z->shared->compared++;
        what = bt_exit != exit ? "the way it ended" : difference(ref, m);
        if (!what)
            return true;
        fprintf(stderr, "guest %llu: -bt \"%s\" differs from the interpreter: %s\n---- bt:\n",
                (unsigned long long)z->guest.number, bt_options[set], what);
        cpu_print(m->v, stderr);
        fprintf(stderr, "---- interp:\n");
        cpu_print(ref->v, stderr);
        return false;
    }
    ticking = m;
    timer(200);
    for (end = 0; end < 10; end++) {
        bt_exit = m->ops->run(m->engine);
        if (bt_exit == CPU_TRIPLE_FAULT)
            break;
        __atomic_and_fetch(&m->v->event, ~(u32)EV_KICK, __ATOMIC_SEQ_CST);
        if (bt_exit == CPU_HALTED)
            vcpu_post(m->v, EV_NMI);
        else
            machine_disturb(m, rng);
    }
    timer(0);
    ticking = NULL;
    cpu_fpu_acquire(m->v);
    z->shared->kicked++;
    return true;
}

static bool run_case(struct fuzz *z, u64 number)
{
    struct rng rng = { ~number };
    u64 refused = refuse_refused();
    bool same;

    z->shared->number = number;
    guest_make(&z->guest, number);
    refuse_maps(number, z->refuse);
    same = run_lockstep(z, &rng) && run_alone(z, &rng);
    refuse_maps(0, 0);
    z->shared->refused += refuse_refused() - refused;
    if (refuse_left_hole())
        return fprintf(stderr, "fuzz: guest %llu: what a refused mapping took away is still missing\n",
                       (unsigned long long)number), false;
    if (same)
        return true;
    fprintf(stderr, "fuzz: guest %llu (%s) differs; again: fuzz --case %llu\n", (unsigned long long)number, z->guest.mode,
            (unsigned long long)number);
    return false;
}

// ---- Processes
static void build_machines(struct fuzz *z)
{
    struct sigaction action = { .sa_handler = tick, .sa_flags = SA_RESTART | SA_ONSTACK };

    sigfillset(&action.sa_mask); // the kick comes when translated code goes on
    sigaction(SIGALRM, &action, NULL);
    z->lockstep = machine_new("lockstep", z->options);
    z->interp = machine_new("interp", NULL);
    if (!z->lockstep || !z->interp)
        _exit(2);
    z->lockstep->ran = z->lockstep->engine->watch->ran;
    z->lockstep->engine->watch->ran = ran;
}

// One guest, from the first allocation on, to which the host refuses request `at`.
static int run_poor(struct fuzz *z, u64 number, u64 at, FILE *messages)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        dup2(fileno(messages), STDERR_FILENO);
        refuse_memory(at);
        build_machines(z);
        status = !run_case(z, number);
        z->shared->asked = refuse_asked();
        _exit(status);
    }
    waitpid(pid, &status, 0);
    return status;
}

// Works, or says in one sentence why not.
static bool poor_but_honest(struct fuzz *z, u64 number, u64 at)
{
    FILE *messages = tmpfile();
    int status, lines = 0, c;

    if (!messages)
        exit(2);
    status = run_poor(z, number, at, messages);
    rewind(messages);
    while ((c = getc(messages)) != EOF)
        lines += c == '\n';
    fclose(messages);
    z->shared->refused += at && at <= z->shared->asked;
    if (WIFEXITED(status) && ((WEXITSTATUS(status) == 0 && !lines) || (at && WEXITSTATUS(status) == EXIT_HOST && lines == 1)))
        return true;
    fprintf(stderr, "fuzz: guest %llu, request %llu for memory refused: status %#x, %d lines\n", (unsigned long long)number,
            (unsigned long long)at, status, lines);
    z->shared->failures++;
    return false;
}

static void poor(struct fuzz *z, time_t until)
{
    struct rng rng = { z->seed };

    for (u64 n = z->seed; z->shared->cases < z->cases && time(NULL) < until; n++, z->shared->cases++)
        if (poor_but_honest(z, n, 0))
            for (unsigned i = 0; i < 8 && time(NULL) < until; i++)
                poor_but_honest(z, n, 1 + rng_below(&rng, z->shared->asked));
    z->shared->done = true;
}

static void child(struct fuzz *z, u64 first, time_t until)
{
    build_machines(z);
    for (u64 n = first; z->shared->cases < z->cases && time(NULL) < until; n++) {
        bool fine = run_case(z, n);

        z->shared->cases++;
        if (!fine) // what it left behind in the engines is of no use
            _exit(1);
    }
    z->shared->done = true;
    _exit(0);
}

static void watch(struct fuzz *z, pid_t pid)
{
    u64 last = 0;
    int status, quiet = 0;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        struct timespec ts = { 0, 10000000 };

        nanosleep(&ts, NULL);
        quiet = last == z->shared->number ? quiet + 1 : 0;
        last = z->shared->number;
        if (quiet > HUNG_S * 100) {
            fprintf(stderr, "fuzz: guest %llu hangs\n", (unsigned long long)last);
            kill(pid, SIGKILL);
            quiet = 0;
        }
    }
    if (WIFSIGNALED(status))
        fprintf(stderr, "fuzz: guest %llu ended the monitor: %s\n", (unsigned long long)z->shared->number,
                strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == 2)
        exit(2);
    if (!z->shared->done) {
        z->shared->failures++;
        z->shared->cases += WIFSIGNALED(status);
    }
}

static void report(const struct shared *s)
{
    const struct {
        u64 count;
        const char *what;
    } line[] = {
        { s->cases, "guests" }, { s->instructions, "instructions in lockstep" }, { s->exits, "exits compared" },
        { s->interrupts, "interrupts" }, { s->inputs, "inputs" }, { s->wild, "page tables of their own" },
        { s->compared, "ends compared" }, { s->kicked, "kicked" }, { s->refused, "refusals" },
        { s->failures, "failures" },
    };

    for (unsigned i = 0; i < ARRAY_LEN(line); i++)
        printf("%llu %s%s", (unsigned long long)line[i].count, line[i].what, i + 1 < ARRAY_LEN(line) ? ", " : "\n");
}

static u64 number_of(const char *text)
{
    return text ? strtoull(text, NULL, 0) : 0;
}

int main(int argc, char **argv)
{
    static struct fuzz z = { .cases = ~0ull, .seconds = 20, .options = "every=16" };
    u64 first;
    time_t until;

    z.seed = (u64)time(NULL) << 20 ^ (u64)getpid() << 40;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0)
            z.seed = number_of(argv[++i]);
        else if (strcmp(argv[i], "--cases") == 0)
            z.cases = number_of(argv[++i]);
        else if (strcmp(argv[i], "--seconds") == 0)
            z.seconds = number_of(argv[++i]);
        else if (strcmp(argv[i], "--case") == 0)
            z.seed = number_of(argv[++i]), z.cases = 1;
        else if (strcmp(argv[i], "--bt") == 0 && i + 1 < argc)
            z.options = argv[++i];
        else if (strcmp(argv[i], "--refuse") == 0)
            z.refuse = number_of(argv[++i]);
        else if (strcmp(argv[i], "--memory") == 0)
            z.memory = true;
        else if (strcmp(argv[i], "--keep-going") == 0)
            z.keep_going = true;
        else
            return fprintf(stderr, "usage: fuzz [--seed N] [--cases N] [--seconds N] [--case N] [--bt OPTIONS] "
                                   "[--refuse N] [--memory] [--keep-going]\n"), 2;
    }
    z.shared = mmap(NULL, sizeof(*z.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (z.shared == MAP_FAILED)
        return perror("fuzz"), 2;
    printf("seed %llu\n", (unsigned long long)z.seed);
    fflush(stdout);
    until = time(NULL) + (time_t)z.seconds;
    if (z.memory)
        poor(&z, until);
    for (first = z.seed; !z.shared->done && time(NULL) < until && z.shared->cases < z.cases; first = z.shared->number + 1) {
        pid_t pid = fork();

        if (pid == 0)
            child(&z, first, until);
        watch(&z, pid);
        if (z.shared->failures && !z.keep_going)
            break;
    }
    report(z.shared);
    return z.shared->failures != 0;
}
