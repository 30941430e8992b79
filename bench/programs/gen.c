// SPDX-License-Identifier: GPL-2.0-or-later
// Writes SIZE bytes of text that compresses about as well as prose and logs do:  gen SIZE
// The same bytes everywhere.
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 3000

// Words of two to nine letters, the frequent ones short.
static void make_words(char words[WORDS][12], uint32_t *seed)
{
    static const char letters[] = "etaoinshrdlucmfwypvbgkjqxz";

    for (int i = 0; i < WORDS; i++) {
        int size = 2 + (int)(bench_random(seed) % (i < 100 ? 3 : 8));

        for (int k = 0; k < size; k++) {
            uint32_t r = bench_random(seed) % 676;

            words[i][k] = letters[r % 26 < r / 26 ? r % 26 : r / 26];
        }
        words[i][size] = 0;
    }
}

int main(int argc, char **argv)
{
    static char words[WORDS][12];
    size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) : 1 << 20, at = 0;
    uint32_t seed = BENCH_SEED, line = 1;
    char *text = malloc(size + 64);

    make_words(words, &seed);
    while (at < size) {
        // Squaring favours the first words.
        uint32_t r = bench_random(&seed) % WORDS, w = r * (bench_random(&seed) % WORDS) / WORDS;

        if (bench_random(&seed) % 12 == 0)
            at += (size_t)sprintf(text + at, ".\n%u\t%u ", line++, bench_random(&seed) % 100000);
        at += (size_t)sprintf(text + at, "%s ", words[w]);
    }
    return fwrite(text, 1, size, stdout) != size;
}
