// SPDX-License-Identifier: GPL-2.0-or-later
// Runs a fuzz target over its corpus without libFuzzer: fuzz_NAME CORPUS-FOLDER...
// The empty input is always run, so that a target without findings is exercised too.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    uint8_t *data;
    int ok;

    if (!f || fstat(fileno(f), &st) != 0) {
        perror(path);
        return 1;
    }
    // Exactly as large as the input, so that the sanitizers see any read past it.
    data = malloc(st.st_size ? (size_t)st.st_size : 1);
    ok = data && fread(data, 1, (size_t)st.st_size, f) == (size_t)st.st_size;
    if (ok)
        LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
    else
        perror(path);
    free(data);
    fclose(f);
    return !ok;
}

int main(int argc, char **argv)
{
    int failed = 0, runs = 1;

    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        struct dirent *entry;

        while (dir && (entry = readdir(dir))) {
            char path[4096];

            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
            failed |= replay_file(path);
            runs++;
        }
        if (dir)
            closedir(dir);
    }
    printf("%d inputs replayed\n", runs);
    return failed;
}
