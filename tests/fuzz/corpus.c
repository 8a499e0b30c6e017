/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Feeds files to a fuzz target without a fuzzer: the corpus, as a test.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX	(1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
feed(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *copy, *buf;
	size_t n;

	buf = malloc(INPUT_MAX);
	if (!f || !buf) {
		perror(path);
		exit(1);
	}
	n = fread(buf, 1, INPUT_MAX, f);
	fclose(f);
	/* Of the exact size, so that reading past the end is seen. */
	copy = malloc(n ? n : 1);
	if (!copy)
		exit(1);
	for (size_t i = 0; i < n; i++)
		copy[i] = buf[i];
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	free(buf);
	return 1;
}

int
main(int argc, char **argv)
{
	int n = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		const struct dirent *e;

		if (!dir) {
			n += feed(argv[i]);
			continue;
		}
		while ((e = readdir(dir))) {
			char path[1024];

			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i],
			    e->d_name);
			n += feed(path);
		}
		closedir(dir);
	}
	printf("%d inputs\n", n);
	return 0;
}
