// SPDX-License-Identifier: GPL-2.0-or-later
// Builds the machine: CPU, memory, board, engine, and the wires between them.
#include "machine_impl.h"
#include "monitor/load/load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

// Where the ACPI tables lie: the last bytes of RAM.
#define ACPI_LEN 0x10000u
// Where Debian's package puts it.
#define BIOS "/usr/share/seabios/bios.bin"
#define VGA_BIOS "/usr/share/seabios/vgabios-stdvga.bin"
#define MP_TABLE 0xf5c00u
#define RAM_MIN (2ull << 20)
#define RAM_MAX 0xe0000000ull

u64 machine_now(void *machine)
{
    struct machine *m = machine;

    return (m->paused_at ? m->paused_at : io_now()) - m->time_lost;
}

static void request(struct machine *m, u32 bits)
{
    __atomic_or_fetch(&m->requests, bits, __ATOMIC_SEQ_CST);
    vcpu_post(m->v, EV_STOP);
}

// ---- What the board asks of the machine. On the vCPU thread.

static void memory_changed(struct machine *m, gpa_t gpa, size_t len)
{
    if (m->built && m->ops->memory_changed)
        m->ops->memory_changed(m->engine, gpa, len);
}

static void map_changed(struct machine *m)
{
    if (!m->built)
        return;
    mmu_flush_all(m->v);
    memory_changed(m, 0, 0);
}

static u64 host_wall_us(void *opaque)
{
    struct timespec ts;

    (void)opaque;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (u64)ts.tv_sec * 1000000 + (u64)ts.tv_nsec / 1000;
}

static void host_intr(void *opaque, bool level)
{
    struct machine *m = opaque;

    m->v->intr_line = level;
    if (level)
        vcpu_post(m->v, EV_INTR);
    else
        __atomic_and_fetch(&m->v->event, ~(u32)EV_INTR, __ATOMIC_SEQ_CST);
}

static void host_nmi(void *opaque)
{
    struct machine *m = opaque;

    vcpu_post(m->v, EV_NMI);
}

static void host_reset(void *opaque)
{
    struct machine *m = opaque;

    if (m->built)
        request(m, REQ_RESET);
}

static void host_init(void *opaque)
{
    request(opaque, REQ_INIT);
}

static void host_power_off(void *opaque)
{
    request(opaque, REQ_POWER_OFF);
}

static void host_debug_exit(void *opaque, u32 value)
{
    struct machine *m = opaque;

    m->debug_value = value;
    request(m, REQ_DEBUG_EXIT);
}

static void host_set_a20(void *opaque, bool on)
{
    struct machine *m = opaque;
    u32 mask = on ? ~0u : ~0x100000u;

    if (m->phys.a20_mask == mask)
        return;
    m->phys.a20_mask = mask;
    map_changed(m);
}

static void host_serial_out(void *opaque, int port, const u8 *bytes, size_t len)
{
    struct machine *m = opaque;

    m->config.serial_out(m->config.console, port, bytes, len);
}

static void host_parallel_out(void *opaque, u8 byte)
{
    struct machine *m = opaque;

    m->config.parallel_out(m->config.console, byte);
}

static void host_debug_out(void *opaque, u8 byte)
{
    struct machine *m = opaque;

    m->config.debug_out(m->config.console, byte);
}

static void host_timer_changed(void *opaque)
{
    struct machine *m = opaque;

    if (m->built && !m->paused_at) {
        u64 deadline = board_deadline(m->board);

        io_arm(&m->io, deadline == UINT64_MAX ? IO_NEVER : deadline + m->time_lost);
    }
}

static void host_serial_room(void *opaque, int port)
{
    struct machine *m = opaque;

    // The loop offers waiting input whenever it comes round.
    if (m->input_waits & BIT(port))
        vcpu_post(m->v, EV_KICK);
}

static void host_memory_map(void *opaque, u32 base, u32 len, bool read_ram, bool write_ram)
{
    struct machine *m = opaque;

    lowmem_map(&m->lowmem, base, len, read_ram, write_ram);
    map_changed(m);
}

static u8 *host_memory_create(void *opaque, u32 len, u32 *handle)
{
    struct machine *m = opaque;

    *handle = phys_reserve(&m->phys, len);
    return *handle ? phys_frame_host(&m->phys, *handle) : NULL;
}

static bool host_memory_place(void *opaque, u32 base, u32 len, u32 handle, u32 offset,
                              enum memory_kind kind)
{
    static const u8 flags[] = { [MEMORY_RAM] = PHYS_READ | PHYS_WRITE, [MEMORY_ROM] = PHYS_READ | PHYS_ROM };
    struct machine *m = opaque;
    u32 frame = handle + (offset >> PAGE_SHIFT);
    bool ok = true;

    if (base >= 0xa0000 && base < 0xc0000)
        lowmem_video(&m->lowmem, base, kind == MEMORY_NONE ? 0 : len, frame);
    else
        ok = lowmem_place(&m->lowmem, base, len, frame, flags[kind]);
    if (ok)
        map_changed(m);
    return ok;
}

static void host_dma_read(void *opaque, u64 gpa, void *buf, size_t len)
{
    struct machine *m = opaque;

    phys_read(&m->phys, gpa, buf, len);
}

static void host_dma_write(void *opaque, u64 gpa, const void *buf, size_t len)
{
    struct machine *m = opaque;

    phys_write(&m->phys, gpa, buf, len);
    memory_changed(m, gpa, len);
}

static u8 *host_dma_map(void *opaque, u64 gpa, size_t len, bool write)
{
    struct machine *m = opaque;

    return phys_range(&m->phys, gpa, len, write);
}

static void host_dma_written(void *opaque, u64 gpa, size_t len)
{
    memory_changed(opaque, gpa, len);
}

// ---- The I/O thread and signal handlers

static void kick(struct machine *m)
{
    m->ops->kick(m->engine);
    io_wake(&m->io);
}

static void io_ready(void *opaque)
{
    struct machine *m = opaque;

    vcpu_post(m->v, EV_KICK);
    kick(m);
}

void machine_quit(struct machine *m)
{
    request(m, REQ_QUIT);
    kick(m);
}

// Called by the board when the user should know something, or has to mend something first.
static void host_tell(void *opaque, const char *what)
{
    (void)opaque;
    fprintf(stderr, "ring3: %s\r\n", what);
}

static void host_stop(void *opaque, const char *why)
{
    machine_pause(opaque, true);
    host_tell(opaque, why);
}

// ---- Building

// With firmware, a kernel is the firmware's to start.
static bool kernel_for_firmware(struct machine *m, struct load_firmware *pieces, struct board_kernel *kernel,
                                struct err *err)
{
    struct load_config load = {
        .kernel = m->config.kernel, .initrd = m->config.initrd, .append = m->config.append,
    };

    if (!load_for_firmware(pieces, &load, m->config.ram_size, err)) {
        load_firmware_free(pieces);
        return false;
    }
    *kernel = (struct board_kernel){
        .setup = pieces->setup, .setup_len = pieces->setup_len,
        .kernel = pieces->kernel, .kernel_len = pieces->kernel_len,
        .initrd = pieces->initrd, .initrd_len = pieces->initrd_len, .initrd_at = pieces->initrd_at,
        .cmdline = m->config.append ? m->config.append : "",
    };
    return true;
}

static bool create_board(struct machine *m, struct err *err)
{
    struct load_firmware pieces = { .file = NULL };
    struct board_kernel kernel;
    u8 *rom;
    struct board_config config = {
        .ram_size = m->config.ram_size,
        .debug_exit_base = m->config.debug_exit_base,
        .debug_exit_size = m->config.debug_exit_size,
        .serial_ports = m->config.serial_ports,
        .firmware = m->config.bios != NULL,
        .apic = m->v->has_apic,
        .cpu_signature = m->v->model->signature,
        .cpu_features = m->v->model->features_edx,
        .boot_order = m->config.boot_once ? m->config.boot_once : m->config.boot_order,
        .boot_menu = m->config.boot_menu,
        .drive = m->config.drive,
        .drives = m->config.drives,
        .boot_menu_wait_ms = m->config.boot_menu_wait_ms,
    };
    const struct board_host host = {
        .opaque = m,
        .now_ns = machine_now,
        .wall_us = host_wall_us,
        .intr = host_intr,
        .reset = host_reset,
        .init = host_init,
        .power_off = host_power_off,
        .debug_exit = host_debug_exit,
        .set_a20 = host_set_a20,
        .serial_out = host_serial_out,
        .debug_out = host_debug_out,
        .parallel_out = m->config.parallel_out ? host_parallel_out : NULL,
        .timer_changed = host_timer_changed,
        .serial_room = host_serial_room,
        .memory_map = host_memory_map,
        .dma_read = host_dma_read,
        .dma_write = host_dma_write,
        .dma_map = host_dma_map,
        .dma_written = host_dma_written,
        .kick = io_ready,
        .stop = host_stop,
        .tell = host_tell,
        .memory_create = host_memory_create,
        .memory_place = host_memory_place,
        .nmi = host_nmi,
    };

    // Without it there is no picture, but a machine all the same: only SeaBIOS itself is a must.
    rom = lowmem_read(VGA_BIOS, 64u << 10, &config.vga_rom_len);
    config.vga_rom = rom;
    if (m->config.bios && m->config.kernel) {
        if (!kernel_for_firmware(m, &pieces, &kernel, err)) {
            free(rom);
            return false;
        }
        config.kernel = &kernel;
    }
    m->board = board_create(&config, &host, &m->bus, m->config.log, err);
    load_firmware_free(&pieces);
    free(rom);
    return m->board != NULL;
}

static bool create_vcpu(struct machine *m, struct err *err)
{
    const struct cpu_model *model = cpu_model_find(m->config.cpu);
    void *mem;

    if (!model)
        return err_set(err, EXIT_USAGE, "-cpu %s: there is no such CPU model; -cpu help lists them",
                       m->config.cpu);
    mem = mmap(NULL, sizeof(struct vcpu), PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED)
        return err_set(err, EXIT_HOST, "no memory for the virtual CPU");
    m->v = mem;
    m->v->bus = &m->bus;
    m->v->model = model;
    m->v->log = m->config.log;
    return true;
}

static bool check_config(struct machine *m, struct err *err)
{
    u64 ram = m->config.ram_size;

    m->ops = engine_find(m->config.accel);
    if (!m->ops)
        return err_set(err, EXIT_USAGE,
                       "-accel %s: there is no such engine; -accel help lists them",
                       m->config.accel);
    if (ram < RAM_MIN || ram > RAM_MAX)
        return err_set(err, EXIT_USAGE,
                       "-m: %llu KiB is too %s memory: the machine takes %lluM to %lluM",
                       (unsigned long long)(ram >> 10), ram < RAM_MIN ? "little" : "much",
                       RAM_MIN >> 20, RAM_MAX >> 20);
    if (ram % PAGE_SIZE)
        return err_set(err, EXIT_USAGE, "-m: the memory size must be a multiple of 4 KiB");
    return true;
}

// Where U-Boot sees a local APIC it starts processors, and uses MFENCE, which came with SSE2: on an older
// CPU it would end there.
static void choose_apic(struct machine *m)
{
    u32 features = m->v->model->features_edx;

    m->v->has_apic = m->config.apic && features & CPUID_APIC && !(m->lowmem.u_boot && !(features & CPUID_SSE2));
}

static bool build(struct machine *m, struct err *err)
{
    if (!check_config(m, err) || !create_vcpu(m, err))
        return false;
    if (!phys_init(&m->phys, m->config.ram_size, &m->bus, err)) {
        m->phys.memfd = -1;
        return false;
    }
    if (!mmu_init(&m->mmu, m->v, &m->phys, err)) {
        m->v->mmu = NULL;
        return false;
    }
    if (!lowmem_init(&m->lowmem, &m->phys, &m->bus, err) ||
        (m->config.bios && !lowmem_firmware(&m->lowmem, m->config.bios, err)))
        return false;
    choose_apic(m);
    if (!create_board(m, err))
        return false;
    m->v->intr_ack = board_intr_ack;
    m->v->pic = m->board;
    m->v->ferr = board_ferr;
    m->v->apic_base_changed = board_apic_base;
    m->profile = profile_create(&m->config.profile, m->v, err);
    if (!m->profile && err->text[0])
        return false;
    m->v->profile = m->profile;
    m->engine = m->ops->create(m->v, m->config.bt_options, err);
    if (!m->engine ||
        !io_init(&m->io, m->config.front_fd, m->config.timeout_s, io_ready, m, err))
        return false;
    m->built = true;
    return machine_load(m, err);
}

struct machine *machine_create(const struct machine_config *config, struct err *err)
{
    struct machine *m = calloc(1, sizeof(*m));

    if (!m) {
        err_set(err, EXIT_HOST, "out of memory");
        return NULL;
    }
    m->config = *config;
    if (!m->config.bios && !m->config.kernel)
        m->config.bios = BIOS;
    m->phys.memfd = -1;
    m->io = (struct io){ .epoll = -1, .timer = -1, .limit = -1, .wake = -1, .stop = -1,
                         .front = -1 };
    bus_init(&m->bus);
    if (!build(m, err)) {
        machine_destroy(m);
        return NULL;
    }
    return m;
}

void machine_destroy(struct machine *m)
{
    // The board first: until its disks are at rest, their threads kick the engine.
    if (m->board)
        board_destroy(m->board);
    io_destroy(&m->io);
    if (m->engine)
        m->ops->destroy(m->engine);
    profile_destroy(m->profile);
    if (m->v && m->v->mmu)
        mmu_destroy(&m->mmu);
    if (m->phys.memfd >= 0)
        phys_destroy(&m->phys);
    if (m->v) {
        interp_release(m->v);
        munmap(m->v, sizeof(struct vcpu));
    }
    bus_destroy(&m->bus);
    free(m);
}

static bool place_acpi(struct machine *m, u32 *base, u32 *len, struct err *err)
{
    u8 *tables = calloc(1, ACPI_LEN);

    if (!tables)
        return err_set(err, EXIT_HOST, "out of memory");
    *base = (u32)m->config.ram_size - ACPI_LEN;
    *len = board_acpi_tables(m->board, *base, tables, ACPI_LEN) ? ACPI_LEN : 0;
    phys_write(&m->phys, *base, tables, *len);
    free(tables);
    return true;
}

// Systems look for the MP tables' pointer in the BIOS's ROM.
static void place_mp_table(struct machine *m)
{
    u8 table[BOARD_MP_MAX];
    size_t len = board_mp_table(m->board, MP_TABLE, table);

    phys_write(&m->phys, MP_TABLE, table, len);
}

static void restarted(struct machine *m)
{
    if (m->ops->restarted)
        m->ops->restarted(m->engine);
}

bool machine_load(struct machine *m, struct err *err)
{
    struct load_config load = {
        .kernel = m->config.kernel,
        .initrd = m->config.initrd,
        .append = m->config.append,
        .random_seed = !m->ops->repeatable,
    };
    struct vcpu *v = m->v;

    cpu_reset(v);
    v->halted = false;
    __atomic_store_n(&m->requests, 0, __ATOMIC_SEQ_CST);
    __atomic_and_fetch(&v->event, ~(u32)(EV_INTR | EV_NMI | EV_STOP), __ATOMIC_SEQ_CST);
    board_reset(m->board);
    if (m->config.bios) {
        // Firmware comes first, from the reset vector.
        mmu_mode_changed(v);
        mmu_flush_all(v);
        restarted(m);
        return true;
    }
    // All protocols but the boot sector's promise A20 on, and firmware would have left it so.
    m->phys.a20_mask = ~0u;
    place_mp_table(m);
    if (!place_acpi(m, &load.acpi_base, &load.acpi_len, err) ||
        !load_guest(&load, v, &m->phys, err))
        return false;
    mmu_mode_changed(v);
    mmu_flush_all(v);
    restarted(m);
    return true;
}

void machine_init(struct machine *m)
{
    cpu_init(m->v);
    mmu_flush_all(m->v);
    restarted(m);
}

// ---- Looking inside

static void print_faults(const struct vcpu *v, FILE *f)
{
    u32 n = MIN(v->recent_count, (u32)FAULT_RECORDS);

    if (n == 0)
        fprintf(f, "no exception was delivered yet\n");
    for (u32 i = v->recent_count - n; i != v->recent_count; i++) {
        const struct fault_record *r = &v->recent[i % FAULT_RECORDS];

        fprintf(f,
                "exception %02x error %08x at %04x:%08x cpl %u eflags %08x "
                "cr2 %08x cr3 %08x cr0 %08x\n"
                "  eax %08x ecx %08x edx %08x ebx %08x esp %04x:%08x ebp %08x esi %08x edi %08x\n",
                r->vector, r->error, r->cs, r->eip, r->cpl, r->eflags, r->cr2, r->cr3, r->cr0,
                r->gpr[R_EAX], r->gpr[R_ECX], r->gpr[R_EDX], r->gpr[R_EBX], r->ss, r->gpr[R_ESP],
                r->gpr[R_EBP], r->gpr[R_ESI], r->gpr[R_EDI]);
    }
}

static void print_tlb(const struct vcpu *v, FILE *f)
{
    for (unsigned i = 0; i < TLB_SIZE; i++) {
        const struct tlb_entry *t = &v->tlb[i];
        u32 tag = t->rtag | t->wtag | t->xtag;

        if (tag)
            fprintf(f, "%08x -> %09llx asid %03x %c%c%c\n", tag & PAGE_MASK,
                    (unsigned long long)t->page << PAGE_SHIFT,
                    tag & ~PAGE_MASK, t->rtag ? 'r' : '-', t->wtag ? 'w' : '-',
                    t->xtag ? 'x' : '-');
    }
}

void machine_print_state(struct machine *m, FILE *f)
{
    fprintf(f, "the last exceptions, oldest first:\n");
    print_faults(m->v, f);
    cpu_print(m->v, f);
}

bool machine_change(struct machine *m, const char *drive, const char *file, struct err *err)
{
    return board_change(m->board, drive, file, err);
}

void machine_screen(struct machine *m, struct screen_text *out)
{
    board_screen(m->board, out);
}

bool machine_pixels(struct machine *m, struct screen_pixels *out)
{
    return board_pixels(m->board, out);
}

bool machine_press(struct machine *m, const u8 *keys, unsigned count, unsigned hold_ms)
{
    return board_press(m->board, keys, count, hold_ms);
}

void machine_key(struct machine *m, u8 key, bool down)
{
    board_key(m->board, key, down);
}

bool machine_info(struct machine *m, const char *what, FILE *f)
{
    if (strcmp(what, "registers") == 0)
        cpu_print(m->v, f);
    else if (strcmp(what, "faults") == 0)
        print_faults(m->v, f);
    else if (strcmp(what, "tlb") == 0)
        print_tlb(m->v, f);
    else if (strcmp(what, "stats") == 0)
        machine_print_stats(m, f);
    else
        return board_info(m->board, what, f);
    return true;
}

void machine_print_board(FILE *f)
{
    board_print_table(f);
}

void machine_print_stats(struct machine *m, FILE *f)
{
    const struct counters *c = &m->v->count;

    if (m->profile)
        profile_print(m->profile, f);
    m->ops->stats(m->engine, f);
#define X(id, help) fprintf(f, "%14llu  %s\n", (unsigned long long)c->id, help);
    VCPU_COUNTER_LIST(X)
#undef X
    fprintf(f, "%14llu  accesses that nothing answered\n", (unsigned long long)m->bus.unassigned);
    fprintf(f, "%14llu  returns to the run loop\n", (unsigned long long)m->exits);
    fprintf(f, "%14llu  sleeps in HLT\n", (unsigned long long)m->sleeps);
    fprintf(f, "%14llu  resets\n", (unsigned long long)m->resets);
}

bool machine_report(struct machine *m, FILE *f, struct err *err)
{
    if (m->config.profile.hot && m->ops->print_hot)
        m->ops->print_hot(m->engine, m->config.profile.hot, f);
    return profile_finish(m->profile, err);
}
