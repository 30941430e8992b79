// SPDX-License-Identifier: GPL-2.0-or-later
// The random-instruction oracle: the same few instructions on the host's CPU, in the interpreter and in the translator
// in all its ways, and everything compared. README.md says how to use it.
#include "oracle.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUN_TICKS 20 // of 100 ms, that one run may take

struct settings {
    u64 seed, cases;
    unsigned seconds, max_failures;
    const char *modes, *kinds, *server, *record;
    bool reduce, list, every, manual;
    int replay; // first file in argv, or 0
};

static const char *const kind_name[KIND_COUNT] = {
#define X(id, name) name,
    KIND_LIST(X)
#undef X
};

// Signal handlers get no argument: the run being watched.
static struct oracle *watched;
static u64 watched_runs;
static unsigned watched_ticks;

static void watch(int signo)
{
    struct oracle *o = watched;

    (void)signo;
    if (!o || o->progress->runs != watched_runs) {
        watched_runs = o ? o->progress->runs : 0;
        watched_ticks = 0;
    } else if (++watched_ticks > RUN_TICKS) {
        watched_ticks = 0;
        for (unsigned i = 0; i < o->rigs; i++)
            if (o->rig[i]->mode->name == o->progress->mode)
                rig_stop(o->rig[i]);
    }
}

static void start_watch(struct oracle *o)
{
    struct sigaction action = { .sa_handler = watch, .sa_flags = SA_ONSTACK | SA_RESTART };
    struct itimerval timer = { { 0, 100000 }, { 0, 100000 } };

    watched = o;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

// Whether name is in a comma-separated list; NULL is everything.
static bool listed(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (strncmp(p, name, len) == 0 && (p[len] == ',' || !p[len]))
            return true;
    return !list;
}

static void report(struct oracle *o, struct rig *rig, const struct oracle_case *c, bool reduce)
{
    struct oracle_case small = *c;
    struct oracle_result guest;
    struct trial trial;

    if (reduce)
        oracle_reduce(o, rig, &small);
    oracle_trace(o, &small, &trial);
    o->batch->c[0] = small;
    oracle_native(o, 1);
    trial.native = o->batch->r[0];
    printf("\n# ---- a difference\n");
    if (oracle_judge(o, rig, &trial, &guest, stdout))
        printf("# it does not show again\n");
    result_print(stdout, "native", &trial.native);
    result_print(stdout, rig->mode->name, &guest);
    case_print(stdout, &small);
    fflush(stdout);
}

// Judges `count` cases that have been traced and lie in the batch.
static void judge_batch(struct oracle *o, struct trial *trials, u32 count, const struct settings *s)
{
    oracle_native(o, count);
    for (u32 i = 0; i < count; i++)
        trials[i].native = o->batch->r[i]; // judging and reducing use the batch again
    for (u32 i = 0; i < count && o->progress->failures < s->max_failures; i++) {
        o->progress->cases++;
        if (!oracle_usable(&trials[i])) {
            o->progress->skipped++;
            continue;
        }
        for (unsigned k = 0; k < o->rigs; k++) {
            struct oracle_result guest;

            if (oracle_judge(o, o->rig[k], &trials[i], &guest, NULL))
                continue;
            o->progress->failures++;
            report(o, o->rig[k], trials[i].c, s->reduce);
            break;
        }
    }
}

static void run_random(struct oracle *o, const struct settings *s)
{
    static struct oracle_case cases[BATCH];
    static struct trial trials[BATCH];
    struct generator g = { .has_zero = o->batch->has_zero, .forms = &o->record->forms };
    time_t end = time(NULL) + s->seconds;
    u64 seeds = s->seed, left = s->cases;

    for (int i = 0; i < KIND_COUNT; i++)
        if (listed(s->kinds, kind_name[i]) && (i != KIND_SEGMENT || o->batch->has_ldt))
            g.kinds |= BIT(i);
    if (!g.kinds) {
        fprintf(stderr, "oracle: no such kind of case, or the host has no modify_ldt\n");
        o->progress->failures++;
        return;
    }
    while (left && o->progress->failures < s->max_failures && (!s->seconds || time(NULL) < end)) {
        u32 count = left < BATCH ? left : BATCH;

        g.mem_seed = random_next(&seeds);
        for (u32 i = 0; i < count; i++) {
            do
                generate(&g, random_next(&seeds), &cases[i]);
            while (!oracle_trace(o, &cases[i], &trials[i]));
            o->batch->c[i] = cases[i];
        }
        judge_batch(o, trials, count, s);
        left -= count;
    }
}

static void run_every(struct oracle *o, const struct settings *s)
{
    static struct oracle_case cases[BATCH];
    static struct trial trials[BATCH];
    struct generator g = { .has_zero = o->batch->has_zero, .has_ldt = o->batch->has_ldt };
    u64 seeds = s->seed;

    for (u32 n = 0; n < EVERY && o->progress->failures < s->max_failures;) {
        u32 count = 0;

        g.mem_seed = random_next(&seeds);
        for (; count < BATCH && n < EVERY; n++) {
            if (!generate_every(&g, random_next(&seeds), n, &cases[count]) ||
                !oracle_trace(o, &cases[count], &trials[count]))
                continue;
            o->batch->c[count] = cases[count];
            count++;
        }
        judge_batch(o, trials, count, s);
    }
}

static void run_files(struct oracle *o, const struct settings *s, char **files)
{
    for (; *files; files++) {
        struct oracle_case c;
        struct trial trial;

        if (!case_read(*files, &c)) {
            o->progress->failures++;
            continue;
        }
        if (!oracle_trace(o, &c, &trial)) {
            printf("%s: not for this host: it executes what the rules forbid\n", *files);
            o->progress->skipped++;
            continue;
        }
        o->batch->c[0] = c;
        judge_batch(o, &trial, 1, s);
    }
}

static int work(struct oracle *o, const struct settings *s, char **argv)
{
    if (!oracle_server_start(o))
        return 2;
    oracle_native(o, 0); // so that has_zero is known
    if (!oracle_server_works(o)) {
        printf("this host runs no 32-bit code: the interpreter stands in for it\n");
        oracle_server_stop(o);
        o->stand_in = rig_new(&rig_modes[0], "max", o->batch->has_zero);
        if (!o->stand_in)
            return 2;
    }
    for (unsigned i = 0; i < rig_mode_count; i++) {
        if (!listed(s->modes, rig_modes[i].name))
            continue;
        o->rig[o->rigs] = rig_new(&rig_modes[i], "max", o->batch->has_zero);
        if (!o->rig[o->rigs++])
            return 2;
    }
    o->tracer = rig_new(&rig_modes[0], "max", o->batch->has_zero);
    if (!o->tracer)
        return 2;
    rules_init(&o->rules, s->manual);
    if (!o->rigs) {
        fprintf(stderr, "oracle: no such mode; --list lists them\n");
        return 2;
    }
    forms_init(&o->record->forms);
    start_watch(o);
    if (s->replay)
        run_files(o, s, argv + s->replay);
    else if (s->every)
        run_every(o, s);
    else
        run_random(o, s);
    watched = NULL;
    if (s->record && !record_write(o->record, s->record))
        o->progress->failures++;
    oracle_server_stop(o);
    for (unsigned i = 0; i < o->rigs; i++)
        rig_free(o->rig[i]);
    rig_free(o->tracer);
    if (o->stand_in)
        rig_free(o->stand_in);
    return o->progress->failures != 0;
}

static void *shared(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        perror("oracle");
        exit(2);
    }
    return p;
}

// A crash of an engine ends the worker; the parent says on what.
static int supervise(struct oracle *o, const struct settings *s, char **argv)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0)
        exit(work(o, s, argv));
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) < 3)
        return WEXITSTATUS(status);
    printf("\n# ---- mode %s: the engine crashed (wait status %#x)\n", o->progress->mode, status);
    case_print(stdout, &o->progress->c);
    o->progress->failures++;
    return 1;
}

static bool parse(int argc, char **argv, struct settings *s)
{
    static const struct option options[] = {
        { "seed", 1, 0, 's' }, { "cases", 1, 0, 'n' }, { "seconds", 1, 0, 't' }, { "mode", 1, 0, 'm' },
        { "kind", 1, 0, 'k' }, { "reduce", 1, 0, 'r' }, { "failures", 1, 0, 'f' }, { "list", 0, 0, 'l' },
        { "native", 1, 0, 'N' }, { "record", 1, 0, 'c' }, { "every", 0, 0, 'e' },
        { "manual", 0, 0, 'M' }, { "replay", 0, 0, 'R' }, { 0, 0, 0, 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (c) {
        case 's': s->seed = strtoull(optarg, NULL, 0); break;
        case 'n': s->cases = strtoull(optarg, NULL, 0); break;
        case 't': s->seconds = atoi(optarg); break;
        case 'm': s->modes = optarg; break;
        case 'k': s->kinds = optarg; break;
        case 'r': s->reduce = strcmp(optarg, "off") != 0; break;
        case 'f': s->max_failures = atoi(optarg); break;
        case 'l': s->list = true; break;
        case 'N': s->server = optarg; break;
        case 'M': s->manual = true; break;
        case 'e': s->every = true; break;
        case 'c': s->record = optarg; break;
        case 'R': s->replay = optind; return true;
        default: return false;
        }
    }
    return optind == argc;
}

static const char *default_server(void)
{
    static char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);

    snprintf(path + (n < 0 ? 0 : n), 16, "-native");
    return path;
}

int main(int argc, char **argv)
{
    struct settings s = { .cases = 20000, .reduce = true, .max_failures = 5, .server = default_server() };
    static struct record record;
    static struct oracle o = { .record = &record };
    int status;

    if (getentropy(&s.seed, sizeof(s.seed)) < 0 || !parse(argc, argv, &s)) {
        fprintf(stderr, "usage: %s [--seed N] [--cases N] [--seconds N] [--mode LIST] [--kind LIST] [--reduce on|off]\n"
                "       [--failures N] [--native PROGRAM] [--record FILE] [--every] [--manual]\n"
                "       [--list] [--replay FILE...]\n", argv[0]);
        return 2;
    }
    for (unsigned i = 0; s.list && i < rig_mode_count; i++)
        printf("mode %-12s %s %s\n", rig_modes[i].name, rig_modes[i].engine, rig_modes[i].options ?: "");
    for (unsigned i = 0; s.list && i < KIND_COUNT; i++)
        printf("kind %s\n", kind_name[i]);
    if (s.list)
        return 0;
    if (!s.replay)
        printf("seed %#llx\n", (unsigned long long)s.seed);
    fflush(stdout);
    signal(SIGPIPE, SIG_IGN);
    o.server = s.server;
    o.progress = shared(sizeof(*o.progress));
    o.memfd = memfd_create("batch", 0);
    if (o.memfd < 0 || ftruncate(o.memfd, sizeof(struct batch)) < 0) {
        perror("oracle: memfd");
        return 2;
    }
    o.batch = mmap(NULL, sizeof(struct batch), PROT_READ | PROT_WRITE, MAP_SHARED, o.memfd, 0);
    status = supervise(&o, &s, argv);
    printf("%llu cases, %llu runs, %llu skipped, %llu failed\n", (unsigned long long)o.progress->cases,
           (unsigned long long)o.progress->runs, (unsigned long long)o.progress->skipped,
           (unsigned long long)o.progress->failures);
    return status;
}
