// SPDX-License-Identifier: GPL-2.0-or-later
// The text screen as characters, and what a BIOS leaves in the registers for the standard text mode.
#include "vga.h"

#include <string.h>

// The attribute as the planes that are enabled leave it.
static u16 shown(const struct vga *vga, u32 cell)
{
    u8 planes = vga->attr[ATTR_PLANES] & 0x0f;

    if (vga->attr[ATTR_MODE] & ATTR_MODE_BLINK)
        planes |= 0x80 | (planes & 7) << 4;
    else
        planes |= planes << 4;
    return cell & (planes << 8 | 0xff);
}

static void text_row(const struct vga *vga, struct screen_text *out, u32 ma)
{
    unsigned y = out->rows++;

    for (unsigned x = 0; x < out->columns; x++) {
        out->cell[y * out->columns + x] = shown(vga, vga_cells(vga)[vga_address(vga, vga_column(vga, ma, x), 0)]);
        if (out->cursor_y < 0 && vga_cursor(vga, ma, x)) {
            out->cursor_x = (int)x;
            out->cursor_y = (int)y;
        }
    }
}

// Rows are those that begin on the screen, but for a last one that does not end there.
void vga_text(struct vga *vga, struct screen_text *out)
{
    const u8 *crtc = vga->crtc;
    unsigned start = crtc[CRTC_CURSOR_START] & 0x3f, lines = crtc[CRTC_MAX_SCAN] & 0x1f;
    struct vga_scan s;
    u32 ma;

    vga_sync(vga);
    out->text = !vga_graphics(vga) && vga_visible(vga) && !(vga->vbe[VBE_ENABLE] & VBE_ENABLED);
    vga_size(vga, &out->width, &out->height);
    out->columns = MIN(crtc[CRTC_H_DISPLAY] + 1u, SCREEN_COLUMNS);
    out->blink = vga->attr[ATTR_MODE] & ATTR_MODE_BLINK;
    out->rows = 0;
    out->cursor_x = out->cursor_y = -1;
    vga_scan_start(vga, &s);
    for (ma = s.ma; s.y < out->height && (out->rows + 1) * out->columns <= SCREEN_CELLS;)
        if (vga_scan_next(vga, &s)) {
            text_row(vga, out, ma);
            ma = s.ma;
        }
    // No line of the cursor, or none that a character has: it is not seen.
    if (start > (crtc[CRTC_CURSOR_END] & 0x1fu) || start > lines)
        out->cursor_x = out->cursor_y = -1;
}

// ---- Mode 3

static const u8 mode3_crtc[VGA_CRTC] = {
    0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
    0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
};
static const u8 mode3_attr[VGA_ATTR] = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
    0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00,
};
static const u8 mode3_seq[VGA_SEQ] = { 0x03, 0x00, 0x03, 0x00, 0x02 };
static const u8 mode3_gfx[VGA_GFX] = { 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x0f, 0xff };

// In the first 64 colours, bits 0 to 2 of the index mean blue, green, red at two thirds, bits 3 to 5 at
// one third.
static void ega_palette(struct vga *vga)
{
    for (unsigned n = 0; n < 64; n++)
        for (unsigned i = 0; i < 3; i++)
            vga->dac[n][2 - i] = (n & 1u << i ? 0x2a : 0) + (n & 8u << i ? 0x15 : 0);
}

// The 8x16 font that a VGA BIOS carries: found by its first two glyphs after the blank, two faces.
static const u8 *find_font(const struct vga *vga)
{
    static const u8 faces[32] = {
        0x00, 0x00, 0x7e, 0x81, 0xa5, 0x81, 0x81, 0xbd, 0x99, 0x81, 0x81, 0x7e, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x7e, 0xff, 0xdb, 0xff, 0xff, 0xc3, 0xe7, 0xff, 0xff, 0x7e, 0x00, 0x00, 0x00, 0x00,
    };
    const u8 *at = vga->rom ? memmem(vga->rom, vga->rom_len, faces, sizeof(faces)) : NULL;

    return at && at - vga->rom >= 16 && at - 16 + 4096 <= vga->rom + vga->rom_len ? at - 16 : NULL;
}

void vga_set_text_mode(struct vga *vga)
{
    const u8 *font = find_font(vga);
    u32 *cells = vga_cells(vga);

    vga->misc = 0;
    vga_choose_view(vga); // the old one, if any, is written back
    memcpy(vga->crtc, mode3_crtc, sizeof(vga->crtc));
    memcpy(vga->attr, mode3_attr, sizeof(vga->attr));
    memcpy(vga->seq, mode3_seq, sizeof(vga->seq));
    memcpy(vga->gfx, mode3_gfx, sizeof(vga->gfx));
    vga->attr_index = 0x20;
    ega_palette(vga);
    for (unsigned n = 0; n < VGA_CELLS; n++)
        cells[n] = n & 1 ? 0 : 0x0720;
    for (unsigned n = 0; font && n < 4096; n++)
        cells[n / 16 * 32 + n % 16] |= (u32)font[n] << 16;
    vga->misc = 0x67;
    vga_choose_view(vga);
}

void vga_print(struct vga *vga, FILE *f)
{
    static const char *const views[] = { "none", "text", "chain 4", "bank" };
    unsigned width, height;

    vga_size(vga, &width, &height);
    fprintf(f, "vga: %s %ux%u%s, plain memory: %s at %05x+%x, linear at %08x\n",
            vga_graphics(vga) ? "graphics" : "text", width, height,
            vga->vbe[VBE_ENABLE] & VBE_ENABLED ? " (VBE)" : "", views[vga->view.kind], vga->view.base,
            vga->view.len, vga->linear);
    fprintf(f, "misc %02x sequencer", vga->misc);
    for (unsigned i = 0; i < VGA_SEQ; i++)
        fprintf(f, " %02x", vga->seq[i]);
    fprintf(f, "\ngraphics");
    for (unsigned i = 0; i < VGA_GFX; i++)
        fprintf(f, " %02x", vga->gfx[i]);
    fprintf(f, "\ncrtc");
    for (unsigned i = 0; i < VGA_CRTC; i++)
        fprintf(f, " %02x", vga->crtc[i]);
    fprintf(f, "\nattributes");
    for (unsigned i = 0; i < VGA_ATTR; i++)
        fprintf(f, " %02x", vga->attr[i]);
    fprintf(f, "\nvbe");
    for (unsigned i = 0; i < VBE_REGS; i++)
        fprintf(f, " %04x", vga->vbe[i]);
    fputc('\n', f);
}
