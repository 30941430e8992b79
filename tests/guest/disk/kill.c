// SPDX-License-Identifier: GPL-2.0-or-later
// Kills a monitor whose guest (writer.c) writes, again and again, and looks whether the image has all that the guest
// was told is written:
//
//   kill IMAGE ROUNDS PROGRAM ARGUMENT...
//   kill IMAGE 0 LOG
//
// PROGRAM runs writer.c on IMAGE, with the serial port on its standard output. The second form looks at an image after a
// run whose output is in LOG.
#include "numbered.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECTOR 512

static unsigned acked[NUMBERED_SLOTS]; // the newest number of each slot; 0: none yet
static unsigned writes;

static void take(const char *line, unsigned *newest)
{
    unsigned number;

    if (sscanf(line, "w %u", &number) == 1) {
        acked[number % NUMBERED_SLOTS] = number;
        *newest = number;
        writes++;
    }
}

// Starts the monitor, kills it `delay` microseconds after its first answer, and takes in what it said. How many writes.
static unsigned run(char **argv, unsigned delay, unsigned *newest)
{
    char line[256];
    unsigned lines = 0, len = 0;
    int out[2], c;
    pid_t pid;
    FILE *f;

    if (pipe(out) != 0 || (pid = fork()) < 0)
        abort();
    if (pid == 0) {
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        execv(argv[0], argv);
        _exit(127);
    }
    close(out[1]);
    f = fdopen(out[0], "r");
    while ((c = fgetc(f)) != EOF) {
        if (c != '\n') {
            if (len < sizeof(line) - 1)
                line[len++] = (char)c;
            continue;
        }
        line[len] = 0;
        len = 0;
        take(line, newest);
        if (lines++ == 1) {
            usleep(delay);
            kill(pid, SIGKILL);
        }
    }
    fclose(f);
    waitpid(pid, NULL, 0);
    return lines;
}

// Each sector must be as the newest acknowledged number, or a later one up to `last`, has written it.
static bool verify(int fd, unsigned last)
{
    unsigned words[SECTOR / 4];

    for (unsigned slot = 0; slot < NUMBERED_SLOTS; slot++) {
        if (!acked[slot])
            continue;
        for (unsigned s = 0; s < NUMBERED_SLOT; s++) {
            unsigned number;

            if (pread(fd, words, SECTOR, (numbered_sector(slot) + s) * (off_t)SECTOR) != SECTOR)
                return printf("FAILED: the image cannot be read\n"), false;
            number = words[0];
            if (number < acked[slot] || number > last || number % NUMBERED_SLOTS != slot)
                return printf("FAILED: slot %u, sector %u holds number %u, and %u was acknowledged\n", slot, s, number,
                              acked[slot]), false;
            for (unsigned i = 0; i < SECTOR / 4; i++)
                if (words[i] != numbered_word(number, s * SECTOR / 4 + i))
                    return printf("FAILED: slot %u, sector %u is torn\n", slot, s), false;
        }
    }
    return true;
}

static int look(int fd, const char *name)
{
    FILE *f = fopen(name, "r");
    char line[256];
    unsigned newest = 0;

    while (f && fgets(line, sizeof(line), f))
        if (strchr(line, '\n')) // the last one may be cut
            take(line, &newest);
    if (f)
        fclose(f);
    printf("%u acknowledged writes\n", writes);
    // How far the log was behind when the monitor was killed is not known.
    return newest && verify(fd, UINT_MAX) ? 0 : 1;
}

int main(int argc, char **argv)
{
    unsigned first = 1, newest = 0, seed = (unsigned)getpid(), silent = 0, rounds;
    int fd;

    if (argc < 4 || (fd = open(argv[1], O_RDWR)) < 0)
        return fprintf(stderr, "usage: kill IMAGE ROUNDS PROGRAM ARGUMENT...\n"), 2;
    rounds = (unsigned)atoi(argv[2]);
    if (!rounds)
        return look(fd, argv[3]);
    for (unsigned round = 0; round < rounds; round++) {
        if (pwrite(fd, &first, sizeof(first), 0) != sizeof(first))
            abort();
        silent += run(argv + 3, (unsigned)rand_r(&seed) % 20000, &newest) < 2;
        if (!verify(fd, newest + NUMBERED_SLOTS))
            return printf("FAILED in round %u\n", round), 1;
        // Numbers that were on their way are not used again.
        first = newest + 1 + NUMBERED_SLOTS;
    }
    if (silent)
        return printf("FAILED: in %u of %u rounds the guest wrote nothing\n", silent, rounds), 1;
    printf("killed %u times; all of %u acknowledged writes are there\n", rounds, writes);
    return 0;
}
