// SPDX-License-Identifier: GPL-2.0-or-later
#include "pane.h"

#include <string.h>

void pane_init(struct pane *p, unsigned columns)
{
    memset(p, 0, sizeof(*p));
    p->used = 1;
    p->columns = MIN(columns, PANE_COLUMNS);
}

static void feed(struct pane *p)
{
    p->last = (p->last + 1) % PANE_LINES;
    p->used = MIN(p->used + 1, PANE_LINES);
    memset(p->line[p->last], 0, PANE_COLUMNS);
    p->x = 0;
}

static void erase_rest(struct pane *p)
{
    memset(p->line[p->last] + p->x, 0, PANE_COLUMNS - p->x);
}

// The control sequences that matter where lines are edited: to the right, left, erase.
static void control(struct pane *p, u8 ch)
{
    unsigned n = MAX(p->argument, 1u);

    if (ch == 'C')
        p->x = MIN(p->x + n, p->columns - 1);
    else if (ch == 'D')
        p->x -= MIN(p->x, n);
    else if (ch == 'K')
        erase_rest(p);
}

// True if ch belonged to an escape sequence.
static bool in_sequence(struct pane *p, u8 ch)
{
    switch (p->state) {
    case PANE_PLAIN:
        if (ch != 0x1b)
            return false;
        p->state = PANE_ESCAPE;
        break;
    case PANE_ESCAPE:
        p->state = ch == '[' ? PANE_CONTROL : PANE_PLAIN;
        p->argument = 0;
        break;
    case PANE_CONTROL:
        if (ch >= '0' && ch <= '9') {
            p->argument = MIN(10 * p->argument + (ch - '0'), 999u);
        } else if (ch >= '@' && ch <= '~') {
            control(p, ch);
            p->state = PANE_PLAIN;
        }
        break;
    }
    return true;
}

void pane_put(struct pane *p, u8 ch)
{
    p->changed = true;
    if (in_sequence(p, ch))
        return;
    switch (ch) {
    case '\n':
        feed(p);
        break;
    case '\r':
        p->x = 0;
        break;
    case '\b':
        p->x -= p->x != 0;
        break;
    case '\t':
        for (unsigned n = 8 - p->x % 8; n; n--)
            pane_put(p, ' ');
        break;
    default:
        if (ch < ' ' || ch == 0x7f)
            break;
        if (p->x >= p->columns)
            feed(p);
        // Lines have no gaps.
        for (unsigned i = p->x; i-- > 0 && !p->line[p->last][i];)
            p->line[p->last][i] = ' ';
        p->line[p->last][p->x++] = (char)ch;
    }
}

const char *pane_line(const struct pane *p, unsigned up)
{
    return up < p->used ? p->line[(p->last + PANE_LINES - up) % PANE_LINES] : NULL;
}
