/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf_parse on any bytes.  Invariants: findings are printable, a failure has
 * said why, and after success no slot lacks an address.
 * Corpus: tests/conf, whose files are inputs as they are.
 */
#include <stdint.h>
#include <stdlib.h>

#include "conf.h"
#include "../conf/fake_netdb.h"

static void
see(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	(void)line;
	if (severity == CONF_ERROR)
		++*(unsigned *)arg;
	if (file == NULL)
		abort();
	for (; *text != '\0'; text++)
		if (*text < 0x20 || *text > 0x7e)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned errors = 0;
	struct conf conf;
	bool ok;

	conf_init(&conf);
	ok = conf_parse(&conf, "fuzz", (const char *)data, size, see, &errors);
	if (ok != (errors == 0))
		abort();
	if (ok && conf.delegate && (conf.n_local != 0 || conf.n_remote != 0))
		abort();
	if (ok && !conf.delegate && (conf.n_remote != conf.connections ||
	    (conf.n_local != 1 && conf.n_local != conf.connections)))
		abort();
	if (ok && (conf.connections < 1 || conf.stimeout < 1 ||
	    conf.connections > CONF_MAX_CONNECTIONS))
		abort();
	conf_free(&conf);
	return 0;
}
