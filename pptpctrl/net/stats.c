/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/stats.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "net/worker.h"

static const struct {
	const char *name;
	size_t offset;
} relay_numbers[] = {
	{ "packets", offsetof(struct relay_counts, gre_packets) },
	{ "not-pptp", offsetof(struct relay_counts, not_pptp) },
	{ "bad", offsetof(struct relay_counts, bad) },
	{ "short", offsetof(struct relay_counts, short_) },
	{ "unknown-call", offsetof(struct relay_counts, unknown_call) },
	{ "spoofed", offsetof(struct relay_counts, spoofed) },
	{ "truncated", offsetof(struct relay_counts, truncated) },
};

#define N_RELAY	(sizeof(relay_numbers) / sizeof(relay_numbers[0]))

static const char *const now_names[] = {
	"connections", "half-open", "unauthenticated", "calls", "starting",
	"waiting", "draining",
};

#define N_NOW	(sizeof(now_names) / sizeof(now_names[0]))

static uint64_t
now_number(const struct worker *w, unsigned i)
{
	switch (i) {
	case 0:
		return w->n_conns;
	case 1:
		return admit_in_stage(w->admit, ADMIT_HALF_OPEN);
	case 2:
		return admit_in_stage(w->admit, ADMIT_GREETED) +
		    admit_in_stage(w->admit, ADMIT_LOGIN);
	case 3:
		return sessions_count(w);
	case 4:
		return sessions_starting(w);
	case 6:
		return admit_draining(w->admit);
	}
	return sessions_waiting(w);
}

static uint64_t
relay_number(const struct worker *w, unsigned i)
{
	uint64_t n;

	if (!w->relay)
		return 0;
	memcpy(&n, (const char *)relay_counts(w->relay) +
	    relay_numbers[i].offset, sizeof(n));
	return n;
}

const char *
stats_number(const struct worker *w, unsigned i, char name[64], uint64_t *ret)
{
	if (i < N_NOW) {
		snprintf(name, 64, "now.%s", now_names[i]);
		*ret = now_number(w, i);
		return name;
	}
	i -= N_NOW;
	if (i < ADMIT_COUNTS) {
		snprintf(name, 64, "refused.%s",
		    admit_count_name((enum admit_count)i));
		*ret = admit_counted(w->admit, (enum admit_count)i);
		return name;
	}
	i -= ADMIT_COUNTS;
	if (i == N_RELAY) {
		snprintf(name, 64, "offload.falls");
		*ret = w->relay ? relay_falls(w->relay) : 0;
		return name;
	}
	if (i == N_RELAY + 1) {
		snprintf(name, 64, "threads.frames");
		*ret = w->relay ? relay_by_threads(w->relay) : 0;
		return name;
	}
	if (i > N_RELAY)
		return NULL;
	snprintf(name, 64, "gre.%s", relay_numbers[i].name);
	*ret = relay_number(w, i);
	return name;
}
