// SPDX-License-Identifier: GPL-2.0-or-later
// The Bochs VBE extensions, and the PCI function: a linear frame buffer and the option ROM. After QEMU's
// "standard VGA" specification (docs/specs/standard-vga), but without the registers in memory (BAR 2): the VGA
// BIOS looks there for an EDID through a flat real mode that not every firmware gives it.
#include "vga.h"

#include <string.h>

#define VBE_ID0 0xb0c0
#define VBE_ID5 0xb0c5
#define VBE_GET_CAPS BIT(1)
#define VBE_LINEAR BIT(6)
#define VBE_NO_CLEAR BIT(7)
#define MAX_X 2560
#define MAX_Y 1600
#define MAX_BPP 32

#define BAR_LINEAR 0
#define PCI_ROM 0x30

// ---- VBE

static u32 line_bytes(const struct vga *vga)
{
    unsigned bpp = vga->vbe[VBE_BPP];

    return bpp == 4 ? vga->vbe[VBE_VIRTUAL_X] / 8 : vga->vbe[VBE_VIRTUAL_X] * ((bpp + 7) / 8);
}

// Keeps virtual width and offsets inside the memory.
static void settle(struct vga *vga)
{
    u16 *r = vga->vbe;
    u32 room = r[VBE_BPP] == 4 ? VGA_MEMORY / 4 : VGA_MEMORY, lines;

    if (r[VBE_VIRTUAL_X] < r[VBE_X])
        r[VBE_VIRTUAL_X] = r[VBE_X];
    lines = room / MAX(line_bytes(vga), 1u);
    if (lines < r[VBE_Y]) {
        r[VBE_VIRTUAL_X] = r[VBE_X];
        lines = room / MAX(line_bytes(vga), 1u);
    }
    r[VBE_VIRTUAL_Y] = MIN(lines, 0xffffu);
    if (r[VBE_X_OFFSET] + r[VBE_X] > r[VBE_VIRTUAL_X])
        r[VBE_X_OFFSET] = 0;
    if (r[VBE_Y_OFFSET] + r[VBE_Y] > r[VBE_VIRTUAL_Y])
        r[VBE_Y_OFFSET] = 0;
}

static bool mode_fits(const struct vga *vga)
{
    const u16 *r = vga->vbe;
    unsigned bpp = r[VBE_BPP];

    return r[VBE_X] && r[VBE_Y]
           && (bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32)
           && (u64)r[VBE_X] * r[VBE_Y] * ((bpp + 7) / 8) <= VGA_MEMORY;
}

static void enable(struct vga *vga, u16 value)
{
    u16 *r = vga->vbe;
    bool was = r[VBE_ENABLE] & VBE_ENABLED;

    if ((value & VBE_ENABLED) && !was && !mode_fits(vga))
        return;
    r[VBE_ENABLE] = value & (VBE_ENABLED | VBE_GET_CAPS | VBE_DAC8 | VBE_LINEAR | VBE_NO_CLEAR);
    if (!(value & VBE_ENABLED) || was) {
        r[VBE_BANK] = value & VBE_ENABLED ? r[VBE_BANK] : 0;
        return;
    }
    r[VBE_VIRTUAL_X] = r[VBE_X];
    r[VBE_X_OFFSET] = r[VBE_Y_OFFSET] = r[VBE_BANK] = 0;
    settle(vga);
    // Firmware leaves the standard registers to us.
    vga->gfx[GFX_MISC] = (vga->gfx[GFX_MISC] & ~0x0f) | 0x05;
    vga_choose_view(vga); // before clearing: the old view is written back here
    if (!(value & VBE_NO_CLEAR))
        memset(vga->memory, 0, MIN((u64)line_bytes(vga) * r[VBE_Y] * (r[VBE_BPP] == 4 ? 4 : 1),
                                   (u64)VGA_MEMORY));
}

static u16 vbe_get(const struct vga *vga, unsigned index)
{
    if (index >= VBE_REGS)
        return 0;
    if (vga->vbe[VBE_ENABLE] & VBE_GET_CAPS) {
        if (index == VBE_X)
            return MAX_X;
        if (index == VBE_Y)
            return MAX_Y;
        if (index == VBE_BPP)
            return MAX_BPP;
    }
    return vga->vbe[index];
}

static void vbe_set(struct vga *vga, unsigned index, u16 value)
{
    u16 *r = vga->vbe;
    bool on = r[VBE_ENABLE] & VBE_ENABLED;

    switch (index) {
    case VBE_ID:
        if (value >= VBE_ID0 && value <= VBE_ID5)
            r[VBE_ID] = value;
        return;
    case VBE_X:
    case VBE_Y:
    case VBE_BPP:
        if (!on && value <= (index == VBE_X ? MAX_X : index == VBE_Y ? MAX_Y : MAX_BPP))
            r[index] = index == VBE_X ? value & ~7 : value == 0 && index == VBE_BPP ? 8 : value;
        return;
    case VBE_ENABLE:
        enable(vga, value);
        break;
    case VBE_BANK:
        r[VBE_BANK] = value & (VGA_MEMORY / 0x10000 - 1);
        break;
    case VBE_VIRTUAL_X:
    case VBE_X_OFFSET:
    case VBE_Y_OFFSET:
        r[index] = value;
        if (on)
            settle(vga);
        return;
    }
    vga_choose_view(vga);
}

// Index at 1CEh; data, a word as well, at 1CFh or 1D0h.
static u64 vbe_read(void *dev, u32 addr, unsigned size)
{
    const struct vga *vga = dev;

    (void)size;
    return addr == 0 ? vga->vbe_index : vbe_get(vga, vga->vbe_index);
}

static void vbe_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct vga *vga = dev;

    (void)size;
    if (addr == 0)
        vga->vbe_index = value;
    else
        vbe_set(vga, vga->vbe_index, value);
}

const struct bus_ops vga_vbe_ops = { vbe_read, vbe_write, 2 };

// ---- Base addresses that the host maps

static void place(const struct vga *vga, u32 *at, u32 base, u32 len, u32 handle, enum memory_kind kind)
{
    const struct board_host *host = vga->host;

    if (*at == base || !host->memory_place)
        return;
    if (*at)
        host->memory_place(host->opaque, *at, len, handle, 0, MEMORY_NONE);
    *at = base && host->memory_place(host->opaque, base, len, handle, 0, kind) ? base : 0;
}

static void written(void *opaque, unsigned at, unsigned len)
{
    struct vga *vga = opaque;
    bool on = vga->func.config[PCI_COMMAND] & PCI_COMMAND_MEMORY;
    u32 rom = pci_get32(&vga->func, PCI_ROM);

    (void)at, (void)len;
    place(vga, &vga->linear, on ? pci_get32(&vga->func, PCI_BAR0) & ~0xfu : 0, VGA_MEMORY, vga->handle,
          MEMORY_RAM);
    if (vga->rom)
        place(vga, &vga->rom_at, on && rom & 1 ? rom & ~1u : 0, vga->rom_len, vga->rom_handle, MEMORY_ROM);
}

void vga_pci_init(struct vga *vga)
{
    struct pci_func *f = &vga->func;

    pci_func_init(f, "VGA", VGA_SLOT << 3, 0x1234, 0x1111, 0x030000, 0x00);
    pci_put16(f->power_on, PCI_SUBSYSTEM_VENDOR, 0x1af4);
    pci_put16(f->power_on, PCI_SUBSYSTEM, 0x1100);
    f->written = written;
    f->opaque = vga;
    f->writable[PCI_COMMAND] |= PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
    pci_put32(f->power_on, PCI_BAR0 + 4 * BAR_LINEAR, 0x08); // prefetchable
    pci_put32(f->writable, PCI_BAR0 + 4 * BAR_LINEAR, ~(VGA_MEMORY - 1));
    if (vga->rom)
        pci_put32(f->writable, PCI_ROM, ~(vga->rom_len - 1) | 1);
}

void vga_pci_reset(struct vga *vga)
{
    memset(vga->vbe, 0, sizeof(vga->vbe));
    vga->vbe_index = 0;
    vga->vbe[VBE_ID] = VBE_ID5;
    vga->vbe[VBE_BPP] = 8;
    vga->vbe[VBE_MEMORY] = VGA_MEMORY >> 16;
}
