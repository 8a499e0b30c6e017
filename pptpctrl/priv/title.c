/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static char *area;
static size_t area_size;

void
title_init(int argc, char **argv)
{
	char *end = argv[0];
	size_t n = 0;
	char **copy;

	for (int i = 0; i < argc; i++)
		if (argv[i] == end)
			end += strlen(argv[i]) + 1;
	for (char **e = environ; *e; e++, n++)
		if (*e == end)
			end += strlen(*e) + 1;
	/* The environment moves away, its place becomes title. */
	copy = calloc(n + 1, sizeof(*copy));
	if (!copy)
		return;
	for (size_t i = 0; i < n; i++)
		copy[i] = strdup(environ[i]);
	environ = copy;
	area = argv[0];
	area_size = (size_t)(end - argv[0]);
}

void
title_set(const char *fmt, ...)
{
	char text[128];
	size_t len;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	prctl(PR_SET_NAME, "pptpd");
	if (!area || area_size < 2)
		return;
	len = strlen(text);
	if (len > area_size - 1)
		len = area_size - 1;
	memset(area, 0, area_size);
	memcpy(area, text, len);
}
