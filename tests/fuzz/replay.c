/* Stands in for libFuzzer in ordinary builds: feeds a target the empty input and every file of its corpus
 * folder, so that what a fuzzer once found is checked by every test run. A crash ends the program before its
 * `ok` line, which the runner counts as a failure. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    bool whole = false;
    uint8_t *data = NULL;
    if (fseek(file, 0, SEEK_END) == 0) {
        long size = ftell(file);
        rewind(file);
        /* exactly as large as the input, so that a sanitizer sees one byte too many */
        data = size >= 0 ? malloc((size_t)size > 0 ? (size_t)size : 1) : NULL;
        if (data && fread(data, 1, (size_t)size, file) == (size_t)size) {
            fprintf(stderr, "replaying %s\n", path);
            LLVMFuzzerTestOneInput(data, (size_t)size);
            whole = true;
        }
    }
    free(data);
    fclose(file);
    return whole;
}

int main(void)
{
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    unsigned files = 0;
    DIR *corpus = opendir(BW_FUZZ_CORPUS);
    if (!corpus && errno != ENOENT) {
        printf("not ok replay: cannot open %s: %s\n", BW_FUZZ_CORPUS, strerror(errno));
        return 1;
    }
    struct dirent *entry;
    while (corpus && (entry = readdir(corpus))) {
        if (entry->d_name[0] == '.')
            continue;
        char path[PATH_MAX];
        snprintf(path, sizeof(path), "%s/%s", BW_FUZZ_CORPUS, entry->d_name);
        if (!replay_file(path)) {
            printf("not ok replay: cannot read %s\n", path);
            closedir(corpus);
            return 1;
        }
        files++;
    }
    if (corpus)
        closedir(corpus);
    printf("ok replay of the empty input and %u corpus files\n", files);
    return 0;
}
