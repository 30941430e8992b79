// SPDX-License-Identifier: GPL-2.0-or-later
#include "profile.h"

#include "decoder/insn.h"
#include "engine.h"
#include "monitor/base/vcpu.h"
#include "shadow-mmu/mmu.h"
#include "shadow-mmu/walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// The host looks at CPU timers at its ticks: some 4 ms in truth.
#define SAMPLE_NS 1009000
#define DEPTH 64                   // frames of a stack
#define STACK_WORDS (16u << 20)    // room for stacks: 64 MiB, touched as it is used

struct profile {
    struct profile_config config;
    struct vcpu *v;
    struct symbols *symbols;
    FILE *perfmap, *folded;
    struct jitdump *jitdump;

    const struct engine_ops *ops;
    struct engine *engine;
    timer_t timer;
    bool running;
    u64 began, ended, cpu_began, cpu_ended; // ns
    u64 slept;

    u64 phases[PHASES], kinds[SENS_COUNT], samples;
    // Stacks as they came: number of frames | PROFILE_USER, phase, then the frames, innermost
    // first.
    u32 *stack;
    u32 used, lost;
};

#define PROFILE_USER BIT(16)

// Signal handlers get no argument: what samples this thread.
static __thread struct profile *sampling;

static u64 clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (u64)t.tv_sec * 1000000000ull + (u64)t.tv_nsec;
}

// Reads a guest word without side effects; in a signal handler.
static bool peek(struct vcpu *v, u32 gla, u32 *word)
{
    struct walk w;
    const u8 *host;

    if (gla & 3 || !walk_probe(v, v->mmu->phys, gla, &w))
        return false;
    host = phys_host(v->mmu->phys, w.gpa);
    if (host)
        memcpy(word, host, sizeof(*word));
    return host != NULL;
}

// Follows the guest's frame pointers, as far as it keeps any.
static void note_stack(struct profile *p, const struct profile_place *place)
{
    struct vcpu *v = p->v;
    u32 *at = p->stack + p->used, frames = 0, ebp = place->ebp, next, back;

    if (p->used + DEPTH + 2 > STACK_WORDS) {
        p->lost++;
        return;
    }
    at[2 + frames++] = place->eip;
    if (vcpu_protected(v)) {
        while (frames < DEPTH && peek(v, ebp + 4, &back) && peek(v, ebp, &next) && back) {
            at[2 + frames++] = back - 1; // in the call
            if (next <= ebp)
                break;
            ebp = next;
        }
    }
    at[0] = frames | (v->cpl == 3 ? PROFILE_USER : 0);
    at[1] = place->phase;
    p->used += 2 + frames;
}

static void sample(int signo, siginfo_t *info, void *context)
{
    struct profile *p = sampling;
    struct profile_place place;
    int saved_errno = errno;

    (void)signo, (void)info;
    if (!p)
        return;
    place = (struct profile_place){ .phase = p->v->phase, .eip = p->v->eip,
                                    .ebp = p->v->gpr[R_EBP] };
    if (p->ops->locate)
        p->ops->locate(p->engine, context, &place);
    p->samples++;
    p->phases[place.phase]++;
    if (place.phase == PHASE_EMULATE)
        p->kinds[place.kind]++;
    if (p->stack)
        note_stack(p, &place);
    errno = saved_errno;
}

static bool open_files(struct profile *p, struct err *err)
{
    char name[64];

    if (p->config.symbols && !(p->symbols = symbols_read(p->config.symbols, err)))
        return false;
    if (p->config.perfmap) {
        snprintf(name, sizeof(name), "/tmp/perf-%d.map", (int)getpid());
        p->perfmap = fopen(name, "we");
        if (!p->perfmap)
            return err_set(err, EXIT_HOST, "-perfmap: cannot write %s: %s", name, strerror(errno));
    }
    if (p->config.jitdump && !(p->jitdump = jitdump_create(err)))
        return false;
    if (p->config.folded) {
        p->folded = fopen(p->config.folded, "we");
        if (!p->folded)
            return err_set(err, EXIT_HOST, "-folded: cannot write %s: %s", p->config.folded,
                           strerror(errno));
        p->stack = mmap(NULL, STACK_WORDS * sizeof(u32), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p->stack == MAP_FAILED) {
            p->stack = NULL;
            return err_set(err, EXIT_HOST, "-folded: no memory for the stacks");
        }
    }
    return true;
}

struct profile *profile_create(const struct profile_config *config, struct vcpu *v, struct err *err)
{
    struct profile *p;

    err->text[0] = '\0';
    if (!config->stats && !config->perfmap && !config->jitdump && !config->folded && !config->hot &&
        !config->symbols)
        return NULL;
    p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->config = *config;
    p->v = v;
    if (open_files(p, err))
        return p;
    profile_destroy(p);
    return NULL;
}

void profile_destroy(struct profile *p)
{
    if (!p)
        return;
    profile_stop(p);
    symbols_free(p->symbols);
    if (p->perfmap)
        fclose(p->perfmap);
    if (p->folded)
        fclose(p->folded);
    jitdump_close(p->jitdump);
    if (p->stack)
        munmap(p->stack, STACK_WORDS * sizeof(u32));
    free(p);
}

void profile_start(struct profile *p, const struct engine_ops *ops, struct engine *e)
{
    struct sigaction action = { .sa_sigaction = sample,
                                .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF };
    const struct itimerspec every = { .it_interval.tv_nsec = SAMPLE_NS,
                                      .it_value.tv_nsec = SAMPLE_NS };

    if (!p || (!p->config.stats && !p->stack))
        return;
    p->ops = ops;
    p->engine = e;
    p->began = clock_ns(CLOCK_MONOTONIC);
    p->cpu_began = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    sampling = p;
    sigfillset(&action.sa_mask);
    sigaction(SIGPROF, &action, NULL);
    event._sigev_un._tid = (int)syscall(SYS_gettid);
    p->running = true;
    // Without the timer the counters are there all the same.
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &p->timer) < 0) {
        fprintf(stderr, "ring3: no samples: %s\n", strerror(errno));
        profile_stop(p);
        return;
    }
    timer_settime(p->timer, 0, &every, NULL);
}

void profile_stop(struct profile *p)
{
    if (!p || !p->running)
        return;
    p->running = false;
    signal(SIGPROF, SIG_IGN); // for good: one may be on its way, and is deadly else
    if (p->timer)
        timer_delete(p->timer);
    p->timer = NULL;
    p->ended = clock_ns(CLOCK_MONOTONIC);
    p->cpu_ended = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    sampling = NULL;
}

void profile_slept(struct profile *p, u64 ns)
{
    if (p)
        p->slept += ns;
}

static void print_share(FILE *f, double seconds, double wall, const char *what, const char *kind)
{
    fprintf(f, "%13.3f s %5.1f%%  %s%s%s\n", seconds, wall > 0 ? 100 * seconds / wall : 0, what,
            *kind ? ": " : "", kind);
}

void profile_print(const struct profile *p, FILE *f)
{
    u64 now = p->running ? clock_ns(CLOCK_MONOTONIC) : p->ended;
    u64 cpu_now = p->running ? clock_ns(CLOCK_THREAD_CPUTIME_ID) : p->cpu_ended;
    double wall = (double)(now - p->began) / 1e9, cpu = (double)(cpu_now - p->cpu_began) / 1e9;
    double idle = (double)p->slept / 1e9, each = p->samples ? cpu / (double)p->samples : 0;

    if (!p->config.stats || !p->began)
        return;
    fprintf(f, "time: %.3f s, by %llu samples of the CPU time\n", wall,
            (unsigned long long)p->samples);
    for (unsigned i = 0; i < PHASES; i++) {
        static const char *const name[] = {
#define X(id, help) help,
            PHASE_LIST(X)
#undef X
        };

        if (!p->phases[i])
            continue;
        print_share(f, each * (double)p->phases[i], wall, name[i], "");
        for (unsigned k = 0; i == PHASE_EMULATE && k < SENS_COUNT; k++)
            if (p->kinds[k])
                print_share(f, each * (double)p->kinds[k], wall, "    of it",
                            k ? sensitive_name[k] : "others");
    }
    print_share(f, idle, wall, "idle, in HLT", "");
    print_share(f, wall > cpu + idle ? wall - cpu - idle : 0, wall,
                "waiting for a CPU, the terminal, files", "");
}

void profile_code(struct profile *p, u32 host, const u8 *bytes, u32 len, u32 eip, const char *name)
{
    char text[300];

    if (!p || (!p->perfmap && !p->jitdump))
        return;
    if (!name) {
        u32 offset = 0;
        const char *symbol = profile_symbol(p, eip, &offset);

        if (symbol)
            snprintf(text, sizeof(text), "guest:%s+0x%x", symbol, offset);
        else
            snprintf(text, sizeof(text), "guest:%08x", eip);
        name = text;
    }
    if (p->perfmap)
        fprintf(p->perfmap, "%x %x %s\n", host, len, name);
    if (p->jitdump)
        jitdump_code(p->jitdump, host, bytes, len, name);
}

const char *profile_symbol(const struct profile *p, u32 address, u32 *offset)
{
    return p->symbols ? symbols_find(p->symbols, address, offset) : NULL;
}

unsigned profile_hot(const struct profile *p)
{
    return p ? p->config.hot : 0;
}

// One stack as text: the outermost frame first.
static void fold(const struct profile *p, const u32 *at, FILE *f)
{
    static const char *const phase[] = {
#define X(id, help) help,
        PHASE_LIST(X)
#undef X
    };
    u32 frames = at[0] & ~PROFILE_USER, offset;

    fputs(at[0] & PROFILE_USER ? "user" : "kernel", f);
    for (u32 i = frames; i-- > 0;) {
        const char *name = profile_symbol(p, at[2 + i], &offset);

        if (name)
            fprintf(f, ";%s", name);
        else
            fprintf(f, ";%08x", at[2 + i]);
    }
    if (at[1] != PHASE_GUEST)
        fprintf(f, ";[%s]", phase[at[1]]);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool profile_finish(struct profile *p, struct err *err)
{
    char **lines;
    size_t count = 0;

    if (!p || !p->folded)
        return true;
    lines = calloc(p->used / 3 + 1, sizeof(*lines));
    CHECK(lines != NULL);
    for (u32 at = 0; at < p->used; at += 2 + (p->stack[at] & ~PROFILE_USER)) {
        size_t size;
        FILE *f = open_memstream(&lines[count++], &size);

        CHECK(f != NULL);
        fold(p, p->stack + at, f);
        fclose(f);
    }
    qsort(lines, count, sizeof(*lines), by_text);
    for (size_t i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && strcmp(lines[i], lines[i + n]) == 0; n++)
            ;
        fprintf(p->folded, "%s %zu\n", lines[i], n);
    }
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    free(lines);
    if (p->lost)
        fprintf(stderr, "ring3: -folded: %u samples found no room\n", p->lost);
    p->stack[0] = 0;
    p->used = 0;
    if (fflush(p->folded) == 0)
        return true;
    return err_set(err, EXIT_HOST, "-folded: %s could not be written: %s", p->config.folded,
                   strerror(errno));
}
