/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/admit.h"

#include <string.h>

void
admit_init(struct admit *a, unsigned calls)
{
	memset(a, 0, sizeof(*a));
	TAILQ_INIT(&a->half_open);
	a->max_connections = calls + ADMIT_SPARE;
}

bool
admit_ask(struct admit *a, struct in_addr source, unsigned n_connections)
{
	const struct admit_entry *e;
	unsigned n = 0;

	if (n_connections >= a->max_connections) {
		a->refused_total++;
		return false;
	}
	TAILQ_FOREACH(e, &a->half_open, next)
		n += e->source.s_addr == source.s_addr;
	if (n >= ADMIT_HALF_OPEN_SOURCE) {
		a->refused_source++;
		return false;
	}
	return true;
}

void
admit_half_open(struct admit *a, struct admit_entry *e, struct in_addr source,
    struct admit_entry **ret_oldest)
{
	*ret_oldest = NULL;
	if (a->n_half_open >= ADMIT_HALF_OPEN) {
		*ret_oldest = TAILQ_FIRST(&a->half_open);
		a->displaced++;
	}
	e->source = source;
	e->listed = true;
	TAILQ_INSERT_TAIL(&a->half_open, e, next);
	a->n_half_open++;
}

void
admit_done(struct admit *a, struct admit_entry *e)
{
	if (!e->listed)
		return;
	TAILQ_REMOVE(&a->half_open, e, next);
	e->listed = false;
	a->n_half_open--;
}
