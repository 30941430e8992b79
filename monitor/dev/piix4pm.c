// SPDX-License-Identifier: GPL-2.0-or-later
// Registers as in the 82371AB data sheet (290562), chapter 7; their meaning from ACPI 1.0, section
// 4.7.
#include "piix4pm.h"

#include <string.h>

enum { PMBASE = 0x40, DEVACTB = 0x58, PMREGMISC = 0x80 }; // configuration
enum { PMSTS = 0x00, PMEN = 0x02, PMCNTRL = 0x04, PMTMR = 0x08, GPSTS = 0x0c, GPEN = 0x0e };

#define PM_TIMER_CARRY BIT(0)
#define PM_POWER_BUTTON BIT(8)
#define PM_RTC BIT(10)
#define PM_STATUS 0x8d31  // the bits that exist
#define PM_ENABLE 0x0521

#define CNT_SCI_EN BIT(0)
#define CNT_SLP_EN BIT(13)
#define CNT_SLP_TYP (7u << 10)
#define CNT_KEPT 0x1c03
#define SLP_SOFT_OFF 0

#define APMC_EN BIT(25) // in DEVACTB: SMIs on the APM port have been set up

// 3.579545 MHz: 14.31818 MHz / 4.
static u64 pm_ticks(const struct piix4pm *pm)
{
    u64 ns = timers_now(pm->timers) - pm->start;

    return (u64)((unsigned __int128)ns * 715909 / 200000000);
}

static u64 ticks_to_ns(u64 ticks)
{
    return (u64)(((unsigned __int128)ticks * 200000000 + 715908) / 715909);
}

static u16 get16(const struct piix4pm *pm, unsigned at)
{
    return pm->reg[at] | pm->reg[at + 1] << 8;
}

static void put16(struct piix4pm *pm, unsigned at, u16 value)
{
    pm->reg[at] = value;
    pm->reg[at + 1] = value >> 8;
}

// Brings the carry status, the SCI and the timer for the next carry up to date.
static void update(struct piix4pm *pm)
{
    u64 wraps = pm_ticks(pm) >> 23;
    u16 status;
    bool sci;

    if (wraps != pm->wraps)
        put16(pm, PMSTS, get16(pm, PMSTS) | PM_TIMER_CARRY);
    pm->wraps = wraps;
    status = get16(pm, PMSTS);
    sci = (status & get16(pm, PMEN) & PM_ENABLE) || (get16(pm, GPSTS) & get16(pm, GPEN));
    // In legacy mode these would be SMIs, and there is no system management mode to take them.
    irq_set(&pm->sci, sci && (pm->reg[PMCNTRL] & CNT_SCI_EN));
    if ((get16(pm, PMEN) & PM_TIMER_CARRY) && !(status & PM_TIMER_CARRY))
        timer_arm(pm->timers, &pm->timer, pm->start + ticks_to_ns((wraps + 1) << 23));
    else
        timer_arm(pm->timers, &pm->timer, TIMER_NEVER);
}

static void timer_fired(void *opaque)
{
    update(opaque);
}

static void raise(struct piix4pm *pm, u16 status)
{
    put16(pm, PMSTS, get16(pm, PMSTS) | status);
    update(pm);
}

void piix4pm_power_button(struct piix4pm *pm)
{
    raise(pm, PM_POWER_BUTTON);
}

void piix4pm_rtc_alarm(void *pm)
{
    raise(pm, PM_RTC);
}

// ---- The ACPI registers, byte by byte: software reads them in all sizes.

static u64 pm_read(void *dev, u32 addr, unsigned size)
{
    struct piix4pm *pm = dev;
    u32 ticks = pm_ticks(pm) & 0xffffff;
    u64 value = 0;

    update(pm);
    for (unsigned i = 0; i < size; i++) {
        unsigned at = addr + i;
        u8 byte = at - PMTMR < 4 ? ticks >> (8 * (at - PMTMR)) : pm->reg[at];

        value |= (u64)byte << (8 * i);
    }
    return value;
}

static void write_control(struct piix4pm *pm, u8 high)
{
    u16 value = high << 8;

    pm->reg[PMCNTRL + 1] = (value & CNT_KEPT) >> 8;
    if ((value & CNT_SLP_EN) && (value & CNT_SLP_TYP) >> 10 == SLP_SOFT_OFF)
        pm->power_off(pm->opaque);
}

static void write_byte(struct piix4pm *pm, unsigned at, u8 value)
{
    switch (at) {
    case PMSTS:
    case PMSTS + 1:
    case GPSTS:
    case GPSTS + 1:
        pm->reg[at] &= ~value;
        break;
    case PMEN:
    case PMEN + 1:
        pm->reg[at] = value & PM_ENABLE >> (8 * (at - PMEN));
        break;
    case PMCNTRL:
        pm->reg[at] = value & CNT_KEPT;
        break;
    case PMCNTRL + 1:
        write_control(pm, value);
        break;
    case PMTMR ... PMTMR + 3:
    case 0x14 ... 0x15: // processor level 2 and 3: read to enter
    case 0x30 ... 0x33: // general-purpose inputs
        break;
    default:
        pm->reg[at] = value;
        break;
    }
}

static void pm_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct piix4pm *pm = dev;

    update(pm);
    for (unsigned i = 0; i < size; i++)
        write_byte(pm, addr + i, value >> (8 * i));
    update(pm);
}

static const struct bus_ops pm_ops = { pm_read, pm_write, 4 };

// ---- Where they are

void piix4pm_remove(struct piix4pm *pm)
{
    if (pm->mapped)
        bus_remove(pm->func.pci->bus, BUS_PORT, pm->mapped, pm);
    pm->mapped = 0;
}

static void written(void *opaque, unsigned at, unsigned len)
{
    struct piix4pm *pm = opaque;
    struct pci *pci = pm->func.pci;
    u32 base = pci_get32(&pm->func, PMBASE) & 0xffc0;
    struct err err;

    (void)at, (void)len;
    if (!(pm->func.config[PMREGMISC] & 1))
        base = 0;
    if (base == pm->mapped)
        return;
    piix4pm_remove(pm);
    if (!base)
        return;
    if (bus_add(pci->bus, BUS_PORT, base, PIIX4PM_LEN, &pm_ops, pm, "ACPI", &err))
        pm->mapped = base;
    else
        log_to(pci->log, LOG_GUEST, "pm: %s\n", err.text);
}

// ---- APM control and status. Nothing takes the SMI that a write would raise; the two commands by
// which an ACPI system enters and leaves ACPI mode act as a BIOS's SMI handler would.

static u64 apm_read(void *dev, u32 addr, unsigned size)
{
    const struct piix4pm *pm = dev;

    (void)size;
    return pm->apm[addr];
}

static void apm_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct piix4pm *pm = dev;

    (void)size;
    pm->apm[addr] = value;
    if (addr != 0)
        return;
    if (value == PIIX4PM_ACPI_ON)
        pm->reg[PMCNTRL] |= CNT_SCI_EN;
    else if (value == PIIX4PM_ACPI_OFF)
        pm->reg[PMCNTRL] &= ~CNT_SCI_EN;
    update(pm);
}

const struct bus_ops piix4pm_apm_ops = { apm_read, apm_write, 1 };

void piix4pm_init(struct piix4pm *pm, struct timers *timers, bool mapped)
{
    struct pci_func *f = &pm->func;

    memset(pm, 0, sizeof(*pm));
    pci_func_init(f, "PIIX4 power management", 1 << 3 | 3, 0x8086, 0x7113, 0x068000, 0x03);
    pm->timers = timers;
    timer_init(&pm->timer, timer_fired, pm);
    f->written = written;
    f->opaque = pm;
    pci_put16(f->power_on, PCI_STATUS, 0x0280);
    f->writable[PCI_COMMAND] = PCI_COMMAND_IO;
    f->clearable[PCI_STATUS + 1] = 0x78;
    pci_func_pin(f, 1);
    f->power_on[PCI_LINE] = PIIX4PM_SCI;
    f->power_on[PMBASE] = 0x01;
    f->writable[PMBASE] = 0xc0;
    f->writable[PMBASE + 1] = 0xff;
    pci_func_writable(f, 0x44, 0x80 - 0x44, 0xff);
    pci_func_writable(f, PMREGMISC, 1, 0x01);
    f->power_on[0x90] = 0x01;                 // SMBus base, not enabled
    f->writable[0x90] = 0xf0;
    f->writable[0x91] = 0xff;
    pci_func_writable(f, 0xd2, 4, 0xff);
    // Firmware that looks finds SMI handling done, and so leaves system management mode alone.
    pci_put32(f->power_on, DEVACTB, APMC_EN);
    if (mapped) {
        pci_put32(f->power_on, PMBASE, PIIX4PM_BASE | 1);
        f->power_on[PMREGMISC] = 1;
        f->power_on[PCI_COMMAND] = PCI_COMMAND_IO;
    }
}

void piix4pm_reset(struct piix4pm *pm)
{
    memset(pm->reg, 0, sizeof(pm->reg));
    memset(pm->apm, 0, sizeof(pm->apm));
    pm->start = timers_now(pm->timers);
    pm->wraps = 0;
    update(pm);
}

void piix4pm_print(struct piix4pm *pm, FILE *f)
{
    update(pm);
    fprintf(f, "acpi: at %04x status %04x enable %04x control %04x gpe %04x/%04x timer %06x\n",
            pm->mapped, get16(pm, PMSTS), get16(pm, PMEN), get16(pm, PMCNTRL), get16(pm, GPSTS),
            get16(pm, GPEN), (u32)pm_ticks(pm) & 0xffffff);
}
