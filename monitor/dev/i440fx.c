// SPDX-License-Identifier: GPL-2.0-or-later
// Registers as in the 82441FX data sheet (290549).
#include "i440fx.h"

#include <string.h>

enum { PAM0 = 0x59, PAM6 = 0x5f, DRB0 = 0x60, SMRAM = 0x72 };

#define PAM_READ BIT(0)
#define PAM_WRITE BIT(1)
#define SMRAM_OPEN BIT(6)
#define SMRAM_LOCK BIT(4)

#define UNKNOWN 0xff // no value of a PAM nibble's two bits

// Area 0 is F0000-FFFFF (PAM0, high nibble), 1 to 12 are the 16 KiB steps from C0000, 13 is SMRAM.
static void area_range(unsigned n, u32 *base, u32 *len)
{
    *base = n == 0 ? 0xf0000 : 0xc0000 + (n - 1) * 0x4000;
    *len = n == 0 ? 0x10000 : 0x4000;
    if (n == 13) {
        *base = 0xa0000;
        *len = 0x20000;
    }
}

static u8 area_enables(const struct i440fx *fx, unsigned n)
{
    const u8 *config = fx->func.config;
    u8 nibble;

    if (n == 13)
        return config[SMRAM] & SMRAM_OPEN ? PAM_READ | PAM_WRITE : 0;
    if (n == 0)
        nibble = config[PAM0] >> 4;
    else
        nibble = config[PAM0 + 1 + (n - 1) / 2] >> ((n - 1) % 2 * 4);
    return nibble & (PAM_READ | PAM_WRITE);
}

static void written(void *opaque, unsigned at, unsigned len)
{
    struct i440fx *fx = opaque;
    u8 *config = fx->func.config;

    (void)at, (void)len;
    if (config[SMRAM] & SMRAM_LOCK) { // until reset it stays closed and locked
        config[SMRAM] &= ~SMRAM_OPEN;
        fx->func.writable[SMRAM] = 0;
    } else {
        fx->func.writable[SMRAM] = 0x78;
    }
    if (!fx->host->memory_map)
        return;
    for (unsigned n = 0; n < I440FX_AREAS; n++) {
        u8 enables = area_enables(fx, n);
        u32 base, size;

        if (enables == fx->area[n])
            continue;
        fx->area[n] = enables;
        area_range(n, &base, &size);
        fx->host->memory_map(fx->host->opaque, base, size, enables & PAM_READ, enables & PAM_WRITE);
    }
}

void i440fx_init(struct i440fx *fx, const struct board_host *host, u64 ram_size, bool open)
{
    struct pci_func *f = &fx->func;
    u64 rows = ram_size >> 23; // in units of 8 MiB

    pci_func_init(f, "i440FX", 0x00, 0x8086, 0x1237, 0x060000, 0x02);
    fx->host = host;
    memset(fx->area, UNKNOWN, sizeof(fx->area));
    f->written = written;
    f->opaque = fx;
    pci_put16(f->power_on, PCI_COMMAND, 0x0006);
    pci_put16(f->power_on, PCI_STATUS, 0x0280);
    pci_func_writable(f, 0x0d, 1, 0xf8);       // latency timer
    f->writable[PCI_COMMAND + 1] = 0x01;       // SERR#
    f->clearable[PCI_STATUS + 1] = 0xf0;
    pci_func_writable(f, 0x50, 9, 0xff);       // PMCCFG to DRAMT
    f->power_on[0x57] = 0x01;
    f->power_on[0x58] = 0x10;
    pci_func_writable(f, PAM0, 7, 0x77);
    f->writable[PAM0] = 0x70;
    pci_func_writable(f, DRB0, 8, 0xff);
    memset(f->power_on + DRB0, MIN(rows, 0xff), 8);
    pci_func_writable(f, 0x68, 1, 0xc0);       // fixed DRAM holes: kept only
    f->power_on[SMRAM] = 0x02;
    if (open) {
        memset(f->power_on + PAM0, 0x33, 7);
        f->power_on[PAM0] = 0x30;
    }
}
