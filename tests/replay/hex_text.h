/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes as text, for vectors: hex digits in groups, "ASCII" in quotes, and
 * 00*64 for a group repeated; spaces separate.
 */
#ifndef TESTS_HEX_TEXT_H
#define TESTS_HEX_TEXT_H

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of s to buf; -1 if it cannot be read or is too long. */
static long
hex_text(const char *s, uint8_t *buf, size_t size)
{
	size_t n = 0;

	while (*s != '\0') {
		size_t from = n, times = 1;

		if (isspace((unsigned char)*s)) {
			s++;
			continue;
		}
		if (*s == '"') {
			for (s++; *s != '"'; s++) {
				if (*s == '\0' || n == size)
					return -1;
				buf[n++] = (uint8_t)*s;
			}
			s++;
			continue;
		}
		while (isxdigit((unsigned char)*s)) {
			char two[3] = { s[0], s[1], '\0' };

			if (!isxdigit((unsigned char)two[1]) || n == size)
				return -1;
			buf[n++] = (uint8_t)strtoul(two, NULL, 16);
			s += 2;
		}
		if (*s == '*') {
			char *end;

			times = strtoul(s + 1, &end, 10);
			if (end == s + 1 || times == 0 ||
			    (n - from) * times > size - from)
				return -1;
			s = end;
		}
		if (n == from)
			return -1;
		for (size_t len = n - from; times > 1; times--) {
			memcpy(buf + n, buf + from, len);
			n += len;
		}
	}
	return (long)n;
}

#endif
