// SPDX-License-Identifier: GPL-2.0-or-later ring3: the command. Puts options, console and machine
// together, and ends with the documented status.
#include "console.h"
#include "options.h"
#include "picture.h"
#include "term.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// What signal handlers and the hook of a failed CHECK must find: the one machine of this process.
static struct {
    struct machine *machine;
    struct log *log;
    volatile sig_atomic_t signal; // the one that asked us to end
} running;

static void say(const char *text)
{
    fprintf(stderr, "ring3: %s\n", text);
}

// The first signal ends the run in order; the second doesn't wait for that.
static void asked_to_end(int sig)
{
    if (running.signal || !running.machine) {
        term_restore();
        _exit(128 + sig);
    }
    running.signal = sig;
    machine_quit(running.machine);
}

static void bug_found(void)
{
    term_restore();
    if (running.machine)
        machine_print_state(running.machine, stderr);
    fflush(stderr);
    if (running.log)
        fflush(running.log->file);
}

static void install_handlers(void)
{
    static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction action = { .sa_handler = asked_to_end, .sa_flags = SA_ONSTACK | SA_RESTART };

    term_guard();
    // None of the others inside: a kick of the vCPU has to find the guest's code, not this handler.
    sigfillset(&action.sa_mask);
    for (unsigned i = 0; i < ARRAY_LEN(ends); i++)
        sigaction(ends[i], &action, NULL);
    // A reader of our output that goes away is an error of write, not our death.
    signal(SIGPIPE, SIG_IGN);
    // A disk image at the limit of file sizes likewise.
    signal(SIGXFSZ, SIG_IGN);
    check_hook = bug_found;
}

static bool open_log(struct log *log, const struct options *options, struct err *err)
{
    *log = (struct log){ .mask = options->log_mask, .file = stderr };
    if (!options->log_file)
        return true;
    log->file = fopen(options->log_file, "we");
    if (!log->file)
        return err_set(err, EXIT_HOST, "-D: cannot write the log %s: %s", options->log_file,
                       strerror(errno));
    return true;
}

static bool close_log(struct log *log, struct err *err)
{
    bool bad = ferror(log->file);

    if (log->file == stderr)
        return true;
    bad |= fclose(log->file) != 0;
    return !bad || err_set(err, EXIT_HOST, "-D: the log could not be written completely: %s",
                           strerror(errno));
}

static int run(struct options *options, struct console *console, struct log *log, struct err *err)
{
    struct machine_config *config = &options->machine;
    struct machine *machine;
    int status;

    config->log = log;
    config->console = console;
    config->front_fd = console->events;
    config->front_poll = console_poll;
    config->serial_ports = console->ports;
    config->serial_in = console_read;
    config->serial_out = console_serial_out;
    config->parallel_out = console->parallel.kind == CHARDEV_NONE ? NULL : console_parallel_out;
    config->debug_out = console_debug_out;
    machine = machine_create(config, err);
    if (!machine) {
        say(err->text);
        return err->status;
    }
    running.machine = machine;
    status = EXIT_USAGE;
    if (console_start(console, machine, err))
        status = machine_run(machine, err);
    running.machine = NULL;
    console_stop(console);
    if (log_on(log, LOG_SCREEN))
        picture_text(machine, log->file);
    if (err->text[0])
        say(err->text);
    if (options->stats)
        machine_print_stats(machine, stderr);
    if (!machine_report(machine, log->file, err)) {
        say(err->text);
        status = status ? status : (int)err->status;
    }
    machine_destroy(machine);
    return status;
}

int main(int argc, char **argv)
{
    struct options options;
    struct console console;
    struct log log;
    struct err err = { .status = EXIT_OK };
    int status;

    switch (options_parse(&options, argc, argv, &err)) {
    case OPTIONS_DONE:
        return fflush(stdout) == 0 ? EXIT_OK : EXIT_HOST;
    case OPTIONS_ERROR:
        say(err.text);
        return err.status;
    case OPTIONS_RUN:
        break;
    }
    install_handlers();
    if (!open_log(&log, &options, &err) ||
        !options_console(&options, isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && display_possible(),
                         &err) ||
        !console_open(&console, &options, &err)) {
        say(err.text);
        return err.status;
    }
    running.log = &log;
    status = run(&options, &console, &log, &err);
    console_close(&console);
    running.log = NULL;
    if (!close_log(&log, &err)) {
        say(err.text);
        status = status ? status : (int)err.status;
    }
    if (running.signal) {
        // Ended by a signal: let the parent see that.
        signal(running.signal, SIG_DFL);
        raise(running.signal);
    }
    return status;
}
