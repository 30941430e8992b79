// SPDX-License-Identifier: GPL-2.0-or-later
#include "prompt.h"

#include <stdlib.h>
#include <string.h>

#define PROMPT "(ring3) "

void prompt_print(struct prompt *p, const char *text)
{
    p->print(p->opaque, text, strlen(text));
}

void prompt_start(struct prompt *p)
{
    p->len = 0;
    prompt_print(p, PROMPT);
}

static void run_line(struct prompt *p)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    prompt_print(p, "\n");
    p->line[p->len] = '\0';
    if (!f)
        return;
    command_run(p->machine, p->line, f);
    fclose(f);
    p->print(p->opaque, text, len);
    free(text);
    prompt_start(p);
}

void prompt_key(struct prompt *p, u8 ch)
{
    if (p->sequence) {
        // An escape sequence (an arrow key): skip to its final letter.
        p->sequence = !(ch >= '@' && ch != '[' && ch != 'O');
    } else if (ch == 0x1b) {
        p->sequence = true;
    } else if (ch == '\r' || ch == '\n') {
        run_line(p);
    } else if (ch == 0x7f || ch == '\b') {
        if (p->len) {
            p->len--;
            prompt_print(p, "\b \b");
        }
    } else if (ch == 0x15 || ch == 0x03) {
        prompt_print(p, "\n");
        prompt_start(p);
    } else if (ch >= ' ' && p->len < sizeof(p->line) - 1) {
        p->line[p->len++] = (char)ch;
        p->print(p->opaque, (const char *)&ch, 1);
    }
}
