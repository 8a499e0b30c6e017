/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hosts_parse on any bytes, the first half as hosts.allow.  Invariants:
 * findings are printable, a failure has said why, every refusal names a file
 * and a line of it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hosts.h"

static void
see(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	if (severity == CONF_ERROR)
		++*(unsigned *)arg;
	if (file == NULL || line == 0)
		abort();
	for (; *text != '\0'; text++)
		if (*text < 0x20 || *text > 0x7e)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t clients[] = { 0, 0x0100007f, 0x010200c0,
	    0xffffffff };
	const char *text = (const char *)data, *name = NULL;
	struct hosts *h = hosts_new();
	unsigned errors = 0, line = 0;
	bool ok;

	if (h == NULL)
		return 0;
	ok = hosts_parse(h, false, "allow", text, size / 2, see, &errors) &&
	    hosts_parse(h, true, "deny", text + size / 2, size - size / 2,
	    see, &errors);
	if (ok != (errors == 0))
		abort();
	for (size_t i = 0; ok && i < sizeof(clients) / sizeof(clients[0]);
	    i++) {
		struct in_addr addr = { .s_addr = clients[i] };

		if (!hosts_ask(h, addr, addr, &name, &line) &&
		    (name == NULL || line == 0 || line > size + 1))
			abort();
	}
	hosts_free(h);
	return 0;
}
