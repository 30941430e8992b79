// SPDX-License-Identifier: GPL-2.0-or-later
// Linux's boot protocol (Documentation/x86/boot.rst), 32-bit entry: the setup header tells what the
// kernel wants, struct boot_params (the "zero page") tells it what it gets.
//
//   90000  boot_params   as kernels before 2.6 expect it; later ones take its address from ESI
//   91000  setup_data: a seed for the guest's random numbers
//   92000  command line
//   load   the protected-mode kernel: 10000..90000 (zImage; runs at 1000) or at 1 MiB and above
//   top    initrd, as high as the kernel can reach
#include "image.h"

#include <stdlib.h>
#include <sys/random.h>

// Offsets in the setup header (in the file) and, the same, in boot_params.
enum {
    H_SETUP_SECTS = 0x1f1, H_SYSSIZE = 0x1f4, H_JUMP = 0x200, H_VERSION = 0x206,
    H_TYPE_OF_LOADER = 0x210, H_LOADFLAGS = 0x211, H_CODE32_START = 0x214,
    H_RAMDISK_IMAGE = 0x218, H_RAMDISK_SIZE = 0x21c, H_HEAP_END_PTR = 0x224,
    H_CMD_LINE_PTR = 0x228, H_INITRD_ADDR_MAX = 0x22c, H_KERNEL_ALIGNMENT = 0x230,
    H_RELOCATABLE = 0x234, H_XLOADFLAGS = 0x236, H_CMDLINE_SIZE = 0x238,
    H_SETUP_DATA = 0x250, H_PREF_ADDRESS = 0x258, H_INIT_SIZE = 0x260,
    HEADER_MAX = 0x290, // where the header's part of boot_params ends
};
#define LOADED_HIGH BIT(0)
#define CAN_USE_HEAP BIT(7)
#define XLF_KERNEL_64 BIT(0)

// Offsets in boot_params alone.
enum {
    B_EXT_MEM_K = 0x02, B_VIDEO = 0x06, B_OLD_CL_MAGIC = 0x20, B_OLD_CL_OFFSET = 0x22, B_ACPI_RSDP = 0x70,
    B_ALT_MEM_K = 0x1e0, B_E820_ENTRIES = 0x1e8, B_E820 = 0x2d0,
};
#define OLD_CL_MAGIC 0xa33f

static bool bzimage_truncated(const struct image *image, u64 need, struct err *err)
{
    return err_set(err, EXIT_INPUT,
                   "the kernel %s is truncated: its header speaks of %llu bytes, the file has %zu; "
                   "fetch or build it again", image->name, (unsigned long long)need, image->size);
}

bool bzimage_parse(struct bzimage *bz, const struct image *image, struct err *err)
{
    const u8 *b = image->bytes;
    u64 pref = 0, runs_at, need;
    u32 syssize;

    *bz = (struct bzimage){ .initrd_max = 0x37ffffff, .cmdline_max = 255 };
    if (image->size < HEADER_MAX)
        return bzimage_truncated(image, HEADER_MAX, err);
    bz->version = get16(b, H_VERSION);
    if (bz->version < 0x200)
        return err_set(err, EXIT_INPUT,
                       "the kernel %s speaks boot protocol %u.%02u, older than the "
                       "2.00 that ring3 needs", image->name, bz->version >> 8, bz->version & 0xff);
    bz->setup_len = (b[H_SETUP_SECTS] ? b[H_SETUP_SECTS] + 1u : 5u) * 512;
    if (bz->setup_len >= image->size)
        return bzimage_truncated(image, (u64)bz->setup_len + 512, err);
    bz->kernel_len = image->size - bz->setup_len;
    bz->header_end = MIN(0x202u + b[H_JUMP + 1], (u32)HEADER_MAX);
    bz->high = b[H_LOADFLAGS] & LOADED_HIGH;
    if (bz->version >= 0x204) {
        // syssize counts paragraphs, rounded up; what follows it (a signature) isn't the kernel.
        syssize = get32(b, H_SYSSIZE);
        need = (u64)syssize * 16;
        if (need > (u64)bz->kernel_len + 15)
            return bzimage_truncated(image, need + bz->setup_len, err);
        if (need)
            bz->kernel_len = MIN(bz->kernel_len, need);
    }
    if (bz->version >= 0x20c && (get16(b, H_XLOADFLAGS) & XLF_KERNEL_64))
        return err_set(err, EXIT_INPUT,
                       "the kernel %s is a 64-bit Linux kernel, and ring3's guests "
                       "are 32-bit: use its i386 build", image->name);
    if (bz->version >= 0x203)
        bz->initrd_max = get32(b, H_INITRD_ADDR_MAX);
    if (bz->version >= 0x206 && get32(b, H_CMDLINE_SIZE))
        bz->cmdline_max = MIN(get32(b, H_CMDLINE_SIZE), (u32)LOW_CMDLINE_MAX - 1);
    bz->load = bz->high ? 0x100000 : 0x1000;
    if (bz->version >= 0x20a && bz->high)
        pref = get64(b, H_PREF_ADDRESS);
    if (pref >= 0xe0000000 || (pref && pref < 0x100000))
        return err_set(err, EXIT_INPUT, "the kernel %s is malformed: it prefers to run at %#llx",
                       image->name, (unsigned long long)pref);
    // A relocatable kernel below its preferred address moves itself up to it: it needs that memory
    // anyway.
    if (pref)
        bz->load = (u32)pref;
    runs_at = bz->load;
    bz->end = runs_at + bz->kernel_len;
    if (bz->version >= 0x20a && bz->high)
        bz->end = MAX(bz->end, runs_at + get32(b, H_INIT_SIZE));
    if (!bz->high && bz->end > LOW_BOOT_PARAMS)
        return err_set(err, EXIT_INPUT, "the kernel %s is malformed: a zImage of %zu bytes, more "
                       "than fit below 640 KiB", image->name, bz->kernel_len);
    return true;
}

u32 bzimage_initrd(const struct bzimage *bz, const char *name, u64 size, u64 top, struct err *err)
{
    u64 lowest = MAX(bz->end, 0x100000ull);
    u64 limit = MIN(top, (u64)bz->initrd_max + 1), at;

    at = size <= limit ? (limit - size) & PAGE_MASK : 0;
    if (at < lowest) {
        u64 need = lowest + size + PAGE_SIZE;

        if (need > (u64)bz->initrd_max + 1)
            err_set(err, EXIT_INPUT, "the initrd %s does not fit: %llu bytes, but the kernel can "
                    "only reach an initrd below %#llx", name, (unsigned long long)size,
                    (unsigned long long)bz->initrd_max + 1);
        else
            err_set(err, EXIT_INPUT, "the initrd %s does not fit: %llu bytes, with a kernel that "
                    "needs memory up to %#llx, and RAM that ends at %#llx; use -m %llu or more",
                    name, (unsigned long long)size, (unsigned long long)lowest,
                    (unsigned long long)top, (unsigned long long)(need >> 20) + 2);
        return 0;
    }
    return (u32)at;
}

static void put_memory_map(u8 *params, const struct load_config *config, u64 ram_size)
{
    struct mem_range range[MEM_RANGES_MAX];
    unsigned n = memmap_build(range, ram_size, config->acpi_base, config->acpi_len);
    u64 above_k = (memmap_top(ram_size, config->acpi_base, config->acpi_len) - 0x100000) >> 10;

    for (unsigned i = 0; i < n; i++) {
        put64(params, B_E820 + i * 20, range[i].base);
        put64(params, B_E820 + i * 20 + 8, range[i].len);
        put32(params, B_E820 + i * 20 + 16, range[i].type);
    }
    params[B_E820_ENTRIES] = (u8)n;
    put16(params, B_EXT_MEM_K, (u16)MIN(above_k, 0xfc00));
    put32(params, B_ALT_MEM_K, (u32)above_k);
}

// The screen as the board leaves it: VGA's text mode 3, 80x25 of 16 lines each.
static void put_screen(u8 *params)
{
    static const u8 video[12] = { 3, 80, 0, 0, 3, 0, 0, 0, 25, 1, 16, 0 };

    memcpy(params + B_VIDEO, video, sizeof(video));
}

static bool put_cmdline(u8 *params, const struct bzimage *bz, const struct load_config *config,
                        struct phys *phys, struct err *err)
{
    const char *line = config->append ? config->append : "";
    size_t len = strlen(line);

    if (len > bz->cmdline_max)
        return err_set(err, EXIT_USAGE,
                       "-append is too long: %zu characters, and the kernel %s takes "
                       "%u", len, config->kernel, bz->cmdline_max);
    phys_write(phys, LOW_CMDLINE, line, len + 1);
    if (bz->version >= 0x202) {
        put32(params, H_CMD_LINE_PTR, LOW_CMDLINE);
    } else {
        put16(params, B_OLD_CL_MAGIC, OLD_CL_MAGIC);
        put16(params, B_OLD_CL_OFFSET, LOW_CMDLINE - LOW_BOOT_PARAMS);
    }
    return true;
}

// struct setup_data: the next one's address, type, length, and as many bytes. Kernels from 6.0 on take type 9
// (SETUP_RNG_SEED) for their random numbers; without it a guest that has no RDRAND waits a second for entropy when
// the first process asks for some. Older kernels pass over types that they don't know.
static void put_random_seed(u8 *params, struct phys *phys)
{
    enum { TYPE = 8, LENGTH = 12, DATA = 16, SEED_BYTES = 32, RNG_SEED = 9 };
    u8 data[DATA + SEED_BYTES] = { 0 };

    // Where the host has nothing to give, early in its own boot, the guest gathers its own.
    if (getrandom(data + DATA, SEED_BYTES, GRND_NONBLOCK) != SEED_BYTES)
        return;
    put32(data, TYPE, RNG_SEED);
    put32(data, LENGTH, SEED_BYTES);
    phys_write(phys, LOW_SETUP_DATA, data, sizeof(data));
    put64(params, H_SETUP_DATA, LOW_SETUP_DATA);
}

static bool put_initrd(u8 *params, const struct bzimage *bz, const struct load_config *config,
                       u64 top, struct phys *phys, struct err *err)
{
    struct image initrd;
    u32 at;

    if (!image_read(&initrd, config->initrd, "initrd", err))
        return false;
    at = bzimage_initrd(bz, config->initrd, initrd.size, top, err);
    if (at) {
        phys_write(phys, at, initrd.bytes, initrd.size);
        put32(params, H_RAMDISK_IMAGE, at);
        put32(params, H_RAMDISK_SIZE, (u32)initrd.size);
    }
    image_free(&initrd);
    return at != 0;
}

bool bzimage_load(const struct load_config *config, const struct image *image, struct vcpu *v,
                  struct phys *phys, struct err *err)
{
    u64 top = memmap_top(phys->ram_size, config->acpi_base, config->acpi_len);
    u8 params[PAGE_SIZE] = { 0 };
    struct bzimage bz;

    if (!bzimage_parse(&bz, image, err))
        return false;
    if (bz.end > top)
        return err_set(err, EXIT_INPUT,
                       "the kernel %s does not fit: it needs memory up to %#llx, and "
                       "RAM ends at %#llx; use -m %llu or more", image->name,
                       (unsigned long long)bz.end, (unsigned long long)top,
                       (unsigned long long)(bz.end >> 20) + 2);
    memcpy(params + H_SETUP_SECTS, image->bytes + H_SETUP_SECTS, bz.header_end - H_SETUP_SECTS);
    params[H_TYPE_OF_LOADER] = 0xff;
    if (bz.version >= 0x201) {
        params[H_LOADFLAGS] |= CAN_USE_HEAP;
        put16(params, H_HEAP_END_PTR, 0xfe00);
    }
    put32(params, H_CODE32_START, bz.load);
    put32(params, H_RAMDISK_IMAGE, 0);
    put32(params, H_RAMDISK_SIZE, 0);
    put_memory_map(params, config, phys->ram_size);
    put_screen(params);
    if (bz.version >= 0x20e && config->acpi_len)
        put64(params, B_ACPI_RSDP, config->acpi_base);
    if (bz.version >= 0x209 && config->random_seed)
        put_random_seed(params, phys);
    if (!put_cmdline(params, &bz, config, phys, err) ||
        (config->initrd && !put_initrd(params, &bz, config, top, phys, err)))
        return false;
    phys_write(phys, bz.load, image->bytes + bz.setup_len, bz.kernel_len);
    phys_write(phys, LOW_BOOT_PARAMS, params, sizeof(params));
    enter_flat(v, phys, bz.load);
    v->gpr[R_ESI] = LOW_BOOT_PARAMS;
    v->gpr[R_ESP] = LOW_BOOT_PARAMS;
    return true;
}

// ---- Under firmware

// What firmware keeps for itself at the top of memory.
#define FIRMWARE_TOP 0x100000u

bool load_for_firmware(struct load_firmware *out, const struct load_config *config, u64 ram_size,
                       struct err *err)
{
    struct image image, initrd = { .bytes = NULL };
    enum image_kind kind;
    struct bzimage bz;
    u64 top = ram_size - FIRMWARE_TOP;
    u8 *header;

    memset(out, 0, sizeof(*out));
    if (!image_read(&image, config->kernel, "kernel", err))
        return false;
    out->file = image.bytes;
    if (!load_identify(image.bytes, image.size, image.name, &kind, err))
        return false;
    if (kind != IMAGE_BZIMAGE)
        return err_set(err, EXIT_INPUT, "with -bios, -kernel starts Linux kernels alone, and %s is none: leave "
                       "-bios out", image.name);
    if (!bzimage_parse(&bz, &image, err))
        return false;
    if (bz.version < 0x202 || !bz.high)
        return err_set(err, EXIT_INPUT, "the kernel %s is too old to be started by firmware: leave -bios out",
                       image.name);
    if (bz.end > top)
        return err_set(err, EXIT_INPUT, "the kernel %s does not fit: it needs memory up to %#llx; use a larger -m",
                       image.name, (unsigned long long)bz.end);
    if (config->append && strlen(config->append) > bz.cmdline_max)
        return err_set(err, EXIT_USAGE, "-append is too long: the kernel %s takes %u characters", image.name,
                       bz.cmdline_max);
    out->setup = header = image.bytes;
    out->setup_len = bz.setup_len;
    out->kernel = image.bytes + bz.setup_len;
    out->kernel_len = (u32)bz.kernel_len;
    if (config->initrd) {
        if (!image_read(&initrd, config->initrd, "initrd", err))
            return false;
        out->initrd = initrd.bytes;
        out->initrd_len = (u32)initrd.size;
        out->initrd_at = bzimage_initrd(&bz, config->initrd, initrd.size, top, err);
        if (!out->initrd_at)
            return false;
    }
    header[H_TYPE_OF_LOADER] = 0xff;
    header[H_LOADFLAGS] |= CAN_USE_HEAP;
    put16(header, H_HEAP_END_PTR, 0xfe00);
    put32(header, H_CODE32_START, 0x100000);
    put32(header, H_RAMDISK_IMAGE, out->initrd_at);
    put32(header, H_RAMDISK_SIZE, out->initrd_len);
    put32(header, H_CMD_LINE_PTR, LOAD_FIRMWARE_CMDLINE);
    return true;
}

void load_firmware_free(struct load_firmware *pieces)
{
    free(pieces->file);
    free(pieces->initrd);
    memset(pieces, 0, sizeof(*pieces));
}
