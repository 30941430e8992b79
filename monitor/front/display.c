// SPDX-License-Identifier: GPL-2.0-or-later
#include "display.h"

#ifndef RING3_CURSES

bool display_possible(void)
{
    return false;
}

struct display *display_new(struct err *err)
{
    err_set(err, EXIT_USAGE, "-display curses: ring3 was built without ncurses (package libncurses-dev)");
    return NULL;
}

// Without a display nobody calls these.
void display_free(struct display *d) { (void)d; }
int display_events(const struct display *d) { (void)d; return -1; }
void display_stop(struct display *d) { (void)d; }
void display_poll(struct display *d) { (void)d; }

bool display_start(struct display *d, struct machine *machine, struct prompt *prompt,
                   void (*typed)(void *, u8), void *opaque, struct err *err)
{
    (void)d, (void)machine, (void)prompt, (void)typed, (void)opaque, (void)err;
    return false;
}

void display_print(struct display *d, enum display_pane pane, const u8 *bytes, size_t len)
{
    (void)d, (void)pane, (void)bytes, (void)len;
}

#else

#define NCURSES_WIDECHAR 1
#include "pane.h"
#include "picture.h"
#include "term.h"
#include "term_keys.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>

#define MS 1000000l
#define BUSY_MS 33   // between two looks at a screen that changes
#define IDLE_MS 200  // and at one that does not
#define BUSY_LOOKS 30 // before it is called one
#define HOLD_MS 10   // how long a key is held
#define ESCAPE_MS 25 // how long ESC may wait for what makes it a sequence

enum view { VIEW_SCREEN, VIEW_MONITOR, VIEW_SERIAL };

struct display {
    struct machine *machine;      // not owned, as the next four
    struct prompt *prompt;
    void (*typed)(void *opaque, u8 ch);
    void *opaque;
    SCREEN *screen;               // NULL: not started
    int events, timer;
    int held, real_stderr;        // where standard error goes meanwhile, and belongs
    size_t held_read;
    unsigned quiet;               // looks without a change
    enum view view;
    bool redraw, utf8;
    bool key_waits;               // a chord that the guest's keyboard had no room for
    u8 keys[KEYS_CHORD];
    unsigned key_count;
    struct screen_text now, shown;
    struct pane pane[PANES];
};

bool display_possible(void)
{
    return true;
}

static void set_timer(struct display *d, unsigned ms)
{
    struct itimerspec when = { .it_value.tv_nsec = ms * MS };

    timerfd_settime(d->timer, 0, &when, NULL);
}

struct display *display_new(struct err *err)
{
    struct epoll_event event = { .events = EPOLLIN };
    struct display *d = calloc(1, sizeof(*d));

    if (!d) {
        err_set(err, EXIT_HOST, "out of memory");
        return NULL;
    }
    d->held = d->real_stderr = -1;
    d->events = epoll_create1(EPOLL_CLOEXEC);
    d->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    for (unsigned i = 0; i < PANES; i++)
        pane_init(&d->pane[i], 80);
    if (d->events < 0 || d->timer < 0 || epoll_ctl(d->events, EPOLL_CTL_ADD, d->timer, &event) < 0) {
        err_set(err, EXIT_HOST, "-display curses: cannot set up events: %s", strerror(errno));
        display_free(d);
        return NULL;
    }
    return d;
}

void display_free(struct display *d)
{
    display_stop(d);
    if (d->events >= 0)
        close(d->events);
    if (d->timer >= 0)
        close(d->timer);
    free(d);
}

int display_events(const struct display *d)
{
    return d->events;
}

// ---- Standard error, which would spoil the screen

static void hold_stderr(struct display *d)
{
    d->held_read = 0;
    d->held = memfd_create("stderr", MFD_CLOEXEC);
    d->real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (d->held < 0 || d->real_stderr < 0 || !isatty(STDERR_FILENO))
        return;
    fflush(stderr);
    dup2(d->held, STDERR_FILENO);
}

static void release_stderr(struct display *d)
{
    char buf[4096];
    ssize_t n;

    fflush(stderr);
    if (d->real_stderr >= 0)
        dup2(d->real_stderr, STDERR_FILENO);
    for (off_t at = 0; d->held >= 0 && (n = pread(d->held, buf, sizeof(buf), at)) > 0; at += n)
        if (write(STDERR_FILENO, buf, (size_t)n) < 0)
            break;
    if (d->held >= 0)
        close(d->held);
    if (d->real_stderr >= 0)
        close(d->real_stderr);
    d->held = d->real_stderr = -1;
}

static void show_stderr(struct display *d)
{
    char buf[1024];
    ssize_t n;

    if (d->held < 0)
        return;
    fflush(stderr);
    while ((n = pread(d->held, buf, sizeof(buf), (off_t)d->held_read)) > 0) {
        d->held_read += (size_t)n;
        display_print(d, PANE_MONITOR, (const u8 *)buf, (size_t)n);
        d->redraw = true;
    }
}

// ---- Beginning and end

static void init_colors(void)
{
    // VGA's order of colours is BGR, terminals' RGB.
    static const short color[16] = { 0, 4, 2, 6, 1, 5, 3, 7, 8, 12, 10, 14, 9, 13, 11, 15 };

    if (!has_colors())
        return;
    start_color();
    for (int back = 0; back < 16; back++)
        for (int fore = 0; fore < 16; fore++)
            if (back * 16 + fore + 1 < COLOR_PAIRS)
                init_pair((short)(back * 16 + fore + 1), color[fore] % COLORS, color[back] % COLORS);
}

// Terminals speak UTF-8 even where nobody has said so.
static bool choose_locale(void)
{
    const char *set = setlocale(LC_CTYPE, "");

    if (!set || strcmp(set, "C") == 0 || strcmp(set, "POSIX") == 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

// What brings a terminal back that curses has set up, for signal handlers.
static void leave_string(char *text, size_t len)
{
    static const char *const caps[] = { "sgr0", "cnorm", "rmkx", "rmcup" };

    *text = '\0';
    for (unsigned i = 0; i < ARRAY_LEN(caps); i++) {
        const char *s = tigetstr(caps[i]);

        if (s && s != (const char *)-1 && strlen(text) + strlen(s) < len)
            strcat(text, s);
    }
}

bool display_start(struct display *d, struct machine *machine, struct prompt *prompt,
                   void (*typed)(void *, u8), void *opaque, struct err *err)
{
    struct epoll_event event = { .events = EPOLLIN };
    struct termios saved;
    char leave[96];

    d->machine = machine;
    d->prompt = prompt;
    d->typed = typed;
    d->opaque = opaque;
    if (tcgetattr(STDIN_FILENO, &saved) < 0 || !isatty(STDOUT_FILENO))
        return err_set(err, EXIT_USAGE, "-display curses: standard input and output must be a terminal");
    d->utf8 = choose_locale();
    set_escdelay(ESCAPE_MS);
    d->screen = newterm(NULL, stdout, stdin);
    if (!d->screen)
        return err_set(err, EXIT_USAGE, "-display curses: cannot work with a terminal of type %s (TERM)",
                       getenv("TERM") ? getenv("TERM") : "unknown");
    raw();
    noecho();
    nonl();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    init_colors();
    leave_string(leave, sizeof(leave));
    term_adopt(STDIN_FILENO, &saved, leave);
    hold_stderr(d);
    epoll_ctl(d->events, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    d->redraw = true;
    prompt_print(prompt, "Alt-1 shows the guest's screen, Alt-2 this prompt, Alt-3 its first serial port.\n"
                         "quit ends ring3; help lists more.\n");
    prompt_start(prompt);
    set_timer(d, 1);
    return true;
}

void display_stop(struct display *d)
{
    if (!d->screen)
        return;
    epoll_ctl(d->events, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    endwin();
    term_restore();
    delscreen(d->screen);
    d->screen = NULL;
    release_stderr(d);
}

// ---- Drawing

static cchar_t cell(wchar_t c, attr_t attr, short pair)
{
    wchar_t text[2] = { c, 0 };
    cchar_t out;

    setcchar(&out, text, attr, pair, NULL);
    return out;
}

// A character for terminals that know ASCII alone.
static wchar_t plain(u32 c)
{
    if (c < 0x7f)
        return (wchar_t)c;
    if (c >= 0x2500 && c < 0x2580) // box drawing
        return c == 0x2500 || c == 0x2550 ? '-' : c == 0x2502 || c == 0x2551 ? '|' : '+';
    return c >= 0x2580 && c <= 0x2593 ? '#' : '?';
}

static cchar_t screen_cell(const struct display *d, u16 value)
{
    u32 c = picture_unicode(value & 0xff);
    unsigned attribute = value >> 8;
    unsigned fore = attribute & 15, back = attribute >> 4;
    attr_t attr = A_NORMAL;

    if (d->now.blink && back & 8) {
        attr |= A_BLINK;
        back &= 7;
    }
    if (!has_colors()) {
        attr |= fore & 8 ? A_BOLD : 0;
        return cell(d->utf8 ? (wchar_t)c : plain(c), attr | (back & 7 ? A_REVERSE : 0), 0);
    }
    if (COLORS < 16) {
        attr |= fore & 8 ? A_BOLD : 0;
        fore &= 7;
        back &= 7;
    }
    return cell(d->utf8 ? (wchar_t)c : plain(c), attr, (short)(back * 16 + fore + 1));
}

static void notice(const struct display *d)
{
    const char *text = "ring3: Alt-1 screen, Alt-2 monitor, Alt-3 serial port";

    if (d->now.text && (unsigned)LINES <= d->now.rows)
        return;
    move(LINES - 1, 0);
    clrtoeol();
    attrset(A_DIM);
    addnstr(text, COLS - 1);
    attrset(A_NORMAL);
}

static void draw_screen(struct display *d)
{
    const struct screen_text *s = &d->now;
    unsigned rows = MIN(s->rows, (unsigned)LINES), columns = MIN(s->columns, (unsigned)COLS), top = 0;
    char text[96];

    erase();
    if (!s->text) {
        snprintf(text, sizeof(text), "%u x %u: no text. In the monitor (Alt-2), screendump FILE saves a picture.",
                 s->width, s->height);
        mvaddnstr(LINES / 2, 0, text, COLS);
        notice(d);
        curs_set(0);
        return;
    }
    // On a lower terminal the line with the cursor is seen.
    if (s->cursor_y >= (int)rows)
        top = (unsigned)s->cursor_y - rows + 1;
    for (unsigned y = 0; y < rows; y++)
        for (unsigned x = 0; x < columns; x++) {
            cchar_t c = screen_cell(d, s->cell[(top + y) * s->columns + x]);

            mvadd_wch((int)y, (int)x, &c);
        }
    notice(d);
    curs_set(s->cursor_y >= 0 && s->cursor_x < (int)columns);
    if (s->cursor_y >= 0)
        move(s->cursor_y - (int)top, MIN(s->cursor_x, (int)columns - 1));
}

static void draw_pane(const struct pane *p)
{
    erase();
    for (int y = LINES - 1; y >= 0; y--) {
        const char *line = pane_line(p, p->back + (unsigned)(LINES - 1 - y));

        if (line)
            mvaddnstr(y, 0, line, MIN(COLS, PANE_COLUMNS));
    }
    curs_set(p->back == 0);
    move(LINES - 1, MIN((int)p->x, COLS - 1));
}

static struct pane *seen_pane(struct display *d)
{
    return d->view == VIEW_SCREEN ? NULL : &d->pane[d->view == VIEW_MONITOR ? PANE_MONITOR : PANE_SERIAL];
}

static bool screen_differs(const struct screen_text *a, const struct screen_text *b)
{
    if (a->text != b->text || a->width != b->width || a->height != b->height || a->columns != b->columns
        || a->rows != b->rows || a->cursor_x != b->cursor_x || a->cursor_y != b->cursor_y || a->blink != b->blink)
        return true;
    return a->text && memcmp(a->cell, b->cell, (size_t)a->columns * a->rows * sizeof(a->cell[0])) != 0;
}

// True if there was something to draw.
static bool draw(struct display *d)
{
    struct pane *p = seen_pane(d);
    bool changed = d->redraw;

    if (p) {
        changed |= p->changed;
        p->changed = false;
    } else {
        machine_screen(d->machine, &d->now);
        changed |= screen_differs(&d->now, &d->shown);
        d->shown = d->now;
    }
    if (!changed)
        return false;
    d->redraw = false;
    if (p)
        draw_pane(p);
    else
        draw_screen(d);
    refresh();
    return true;
}

static void adapt(struct display *d)
{
    struct winsize size;

    // After a stop curses must set the terminal up anew.
    endwin();
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
        resizeterm(size.ws_row, size.ws_col);
    clearok(stdscr, TRUE);
    refresh();
    for (unsigned i = 0; i < PANES; i++)
        d->pane[i].columns = MIN(MAX((unsigned)COLS, 20u), PANE_COLUMNS);
    d->redraw = true;
}

// ---- The keyboard

static void scroll_pane(struct pane *p, int lines)
{
    unsigned most = p->used > (unsigned)LINES ? p->used - (unsigned)LINES : 0;

    if (lines < 0)
        p->back -= MIN(p->back, (unsigned)-lines);
    else
        p->back = MIN(p->back + (unsigned)lines, most);
    p->changed = true;
}

// What is typed into a pane goes there as characters.
static void type_to_pane(struct display *d, struct pane *p, int code)
{
    static const struct { int code; const char *text; } sequences[] = {
        { KEY_UP, "\033[A" }, { KEY_DOWN, "\033[B" }, { KEY_RIGHT, "\033[C" }, { KEY_LEFT, "\033[D" },
        { KEY_HOME, "\033[H" }, { KEY_END, "\033[F" }, { KEY_DC, "\033[3~" }, { KEY_BACKSPACE, "\177" },
        { KEY_ENTER, "\r" },
    };
    char one[2] = { (char)code, 0 };
    const char *text = code < 0x80 ? one : "";

    if (code == KEY_PPAGE || code == KEY_NPAGE) {
        scroll_pane(p, code == KEY_PPAGE ? LINES / 2 : -LINES / 2);
        return;
    }
    p->back = 0;
    for (unsigned i = 0; i < ARRAY_LEN(sequences); i++)
        if (sequences[i].code == code)
            text = sequences[i].text;
    for (; *text; text++)
        if (d->view == VIEW_MONITOR)
            prompt_key(d->prompt, (u8)*text);
        else if (d->typed)
            d->typed(d->opaque, (u8)*text);
}

// The chord that waits, if there is one, reaches the guest's keyboard; false if it has no room.
static bool press(struct display *d)
{
    d->key_waits = d->key_waits && !machine_press(d->machine, d->keys, d->key_count, HOLD_MS);
    return !d->key_waits;
}

static void take_key(struct display *d, int code, bool alt)
{
    struct pane *p = seen_pane(d);

    if (alt && code >= '1' && code <= '3') {
        d->view = (enum view)(code - '1');
        d->redraw = true;
    } else if (p) {
        if (alt)
            type_to_pane(d, p, 0x1b);
        type_to_pane(d, p, code);
    } else if ((d->key_count = term_key(code, alt, d->keys))) {
        d->key_waits = true;
        press(d);
    }
}

static void read_keys(struct display *d)
{
    int code, next;

    while (press(d) && (code = getch()) != ERR) {
        d->quiet = 0;
        // A terminal's Alt is ESC in front.
        next = code == 0x1b ? getch() : ERR;
        take_key(d, next == ERR ? code : next, next != ERR);
    }
}

void display_poll(struct display *d)
{
    u64 ticks;

    if (!d->screen)
        return;
    if (read(d->timer, &ticks, sizeof(ticks)) < 0)
        ticks = 0;
    if (term_changed())
        adapt(d);
    show_stderr(d);
    read_keys(d);
    if (draw(d))
        d->quiet = 0;
    else
        d->quiet = MIN(d->quiet + 1, BUSY_LOOKS);
    set_timer(d, d->quiet < BUSY_LOOKS ? BUSY_MS : IDLE_MS);
}

void display_print(struct display *d, enum display_pane pane, const u8 *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        pane_put(&d->pane[pane], bytes[i]);
}
#endif
