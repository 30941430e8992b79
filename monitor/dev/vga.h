// SPDX-License-Identifier: GPL-2.0-or-later
// The VGA of IBM's PS/2, with the Bochs extensions (VBE) for linear modes, as a PCI function.
//
// The four planes are interleaved: cell n holds byte n of plane 0 in its lowest byte, of plane 3 in
// its highest. An address of the host's window becomes a cell and a plane as the hardware does it:
//
//            text (odd/even)          chain 4 (320x200x256)     planar
//   cell     address & ~1             address & ~3              address
//   plane    address & 1              address & 3               map mask, read map select
//
// In the first two a guest sees linear memory, and needs no help from us to write it: the "view", a
// linear copy that is mapped into the guest while such a mode lasts.
//
// Invariants
//  1. While view.kind is not VIEW_NONE, the guest's window is the view, and cells are out of date
//     where the view stands for them; vga_sync brings them up to date.
//  2. The view is chosen from the registers alone (vga_choose_view), after each write to one that
//     matters.
#ifndef RING3_MONITOR_DEV_VGA_H
#define RING3_MONITOR_DEV_VGA_H

#include "board.h"
#include "pci.h"
#include "screen.h"
#include "timers.h"

#define VGA_SLOT 2
#define VGA_MEMORY (16u << 20)
#define VGA_VIEW 0x10000u     // the view's size, behind the memory
#define VGA_CELLS 0x10000u    // that the standard modes reach
#define VGA_WINDOW 0xa0000u
#define VGA_WINDOW_LEN 0x20000u

#define VGA_SEQ 5
#define VGA_GFX 9
#define VGA_ATTR 21
#define VGA_CRTC 25
#define VBE_REGS 11

enum { // indices
    SEQ_CLOCKING = 1, SEQ_MAP_MASK = 2, SEQ_FONTS = 3, SEQ_MEMORY = 4,
    GFX_SET_RESET = 0, GFX_ENABLE_SET_RESET = 1, GFX_COMPARE = 2, GFX_ROTATE = 3, GFX_READ_MAP = 4,
    GFX_MODE = 5, GFX_MISC = 6, GFX_DONT_CARE = 7, GFX_BIT_MASK = 8,
    ATTR_MODE = 0x10, ATTR_OVERSCAN = 0x11, ATTR_PLANES = 0x12, ATTR_PANNING = 0x13, ATTR_COLOR = 0x14,
    CRTC_H_TOTAL = 0, CRTC_H_DISPLAY = 1, CRTC_V_TOTAL = 6, CRTC_OVERFLOW = 7, CRTC_PRESET_ROW = 8,
    CRTC_MAX_SCAN = 9, CRTC_CURSOR_START = 10, CRTC_CURSOR_END = 11, CRTC_START_HIGH = 12,
    CRTC_START_LOW = 13, CRTC_CURSOR_HIGH = 14, CRTC_CURSOR_LOW = 15, CRTC_RETRACE_START = 16,
    CRTC_RETRACE_END = 17, CRTC_V_DISPLAY = 18, CRTC_OFFSET = 19, CRTC_UNDERLINE = 20,
    CRTC_MODE = 23, CRTC_COMPARE = 24,
    VBE_ID = 0, VBE_X, VBE_Y, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRTUAL_X, VBE_VIRTUAL_Y,
    VBE_X_OFFSET, VBE_Y_OFFSET, VBE_MEMORY,
};
#define ATTR_MODE_LINES BIT(2)        // of nine columns, the last repeats the eighth in line drawing characters
#define ATTR_MODE_BLINK BIT(3)
#define ATTR_MODE_SPLIT_STAYS BIT(5)  // panning is not for what is below the split
#define MISC_COLOR BIT(0)
#define MISC_RAM BIT(1)
#define VBE_ENABLED BIT(0)
#define VBE_DAC8 BIT(5)

enum vga_view { VIEW_NONE, VIEW_TEXT, VIEW_CHAIN4, VIEW_BANK };

struct vga {
    struct pci_func func;
    const struct board_host *host; // not owned
    struct timers *timers;

    u8 misc, feature, enable;
    u8 seq_index, seq[VGA_SEQ];
    u8 gfx_index, gfx[VGA_GFX];
    u8 crtc_index, crtc[VGA_CRTC];
    u8 attr_index, attr[VGA_ATTR];
    bool attr_data;               // the next write of 3C0h is data
    u8 dac_mask, dac_state, dac_read, dac_write, dac_part;
    u8 dac_color[3];              // of the colour being written
    u8 dac[256][3];
    u32 latch;
    u16 vbe_index, vbe[VBE_REGS];

    u8 *memory;                   // VGA_MEMORY and the view; from the host, or our own
    bool own_memory;
    u32 handle;                   // the host's name for it
    struct {
        enum vga_view kind;
        u32 base, len;            // in the guest
        u32 bank;                 // byte offset in memory (VIEW_BANK)
    } view;
    u32 linear;                   // where the linear frame buffer is mapped; 0: nowhere
    u8 *rom;                      // option ROM, from the host as well; NULL: none
    u32 rom_len, rom_handle, rom_at;
};

// A bus range of the VGA's.
struct vga_range {
    u16 base, len;
    const struct bus_ops *ops;
};
extern const struct bus_ops vga_mono_ops;   // 16 ports: 3B0h
extern const struct bus_ops vga_ops;        // 16 ports: 3C0h
extern const struct bus_ops vga_color_ops;  // 16 ports: 3D0h
extern const struct bus_ops vga_vbe_ops;    // 4 ports: 1CEh
extern const struct bus_ops vga_memory_ops; // A0000-BFFFF

// rom is copied. False when out of memory.
bool vga_init(struct vga *vga, struct timers *timers, const u8 *rom, u32 rom_len);
void vga_destroy(struct vga *vga);
void vga_reset(struct vga *vga);
// Sets mode 3 (80x25 text) with an empty screen, as a BIOS leaves it; there is a font only if the
// option ROM has one that can be found.
void vga_set_text_mode(struct vga *vga);

// vga_memory.c
void vga_choose_view(struct vga *vga);
void vga_sync(struct vga *vga);
static inline u32 *vga_cells(const struct vga *vga)
{
    return (u32 *)(void *)vga->memory;
}

// vga_pci.c
void vga_pci_init(struct vga *vga);
void vga_pci_reset(struct vga *vga);
static inline bool vga_linear_mode(const struct vga *vga)
{
    return vga->vbe[VBE_ENABLE] & VBE_ENABLED && vga->vbe[VBE_BPP] > 4;
}

// vga_draw.c: what is on the screen. False when out of memory.
bool vga_pixels(struct vga *vga, struct screen_pixels *out);
// vga_text.c
void vga_text(struct vga *vga, struct screen_text *out);
void vga_print(struct vga *vga, FILE *f);
// The size of the picture in dots and lines, as the CRT controller counts them.
void vga_size(const struct vga *vga, unsigned *width, unsigned *height);
static inline bool vga_graphics(const struct vga *vga)
{
    return vga->gfx[GFX_MISC] & 1;
}
// False while the screen is off: in reset, or no palette address source.
static inline bool vga_visible(const struct vga *vga)
{
    return (vga->attr_index & 0x20) && !(vga->seq[SEQ_CLOCKING] & 0x20) && vga->crtc[CRTC_MODE] & 0x80;
}
// The address in cells that the CRT controller's counter `ma` stands for in scan line `row` of a
// character.
u32 vga_address(const struct vga *vga, u32 ma, unsigned row);
// The counter in column x of a line that begins with ma.
u32 vga_column(const struct vga *vga, u32 ma, unsigned x);
// Whether the cursor is in column x of a line that begins with ma.
bool vga_cursor(const struct vga *vga, u32 ma, unsigned x);

// Where the CRT controller is at the left of a line of the picture.
struct vga_scan {
    unsigned y;        // the line
    u32 ma;            // the address counter
    unsigned row;      // scan line of the character
    unsigned byte_pan; // in characters
    unsigned split;    // the last line above the split screen
    bool below;        // in the split screen
};
void vga_scan_start(const struct vga *vga, struct vga_scan *s);
// True if the new line begins a row of characters.
bool vga_scan_next(const struct vga *vga, struct vga_scan *s);

#endif
