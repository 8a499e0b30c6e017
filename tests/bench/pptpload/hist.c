/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hist.h"

static unsigned
bucket_of(uint64_t us)
{
	unsigned power = 0;

	while (us >> power >= 2 * HIST_SUB)
		power++;
	power = power * HIST_SUB + (unsigned)(us >> power);
	return power < HIST_BUCKETS ? power : HIST_BUCKETS - 1;
}

static uint64_t
value_of(unsigned bucket)
{
	unsigned power = bucket / HIST_SUB;

	if (power < 2)
		return bucket;
	return (uint64_t)(bucket - (power - 1) * HIST_SUB) << (power - 1);
}

void
hist_add(struct hist *h, uint64_t us)
{
	h->bucket[bucket_of(us)]++;
	h->n++;
	if (us > h->max)
		h->max = us;
}

uint64_t
hist_at(const struct hist *h, double part)
{
	uint64_t want = (uint64_t)(part * (double)h->n), seen = 0;

	if (h->n == 0)
		return 0;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen > want)
			return value_of(i);
	}
	return h->max;
}

void
hist_print(FILE *out, const char *name, const struct hist *h)
{
	fprintf(out, "\"%s\":{\"n\":%llu,\"median\":%.3f,\"p90\":%.3f,"
	    "\"p99\":%.3f,\"max\":%.3f}", name, (unsigned long long)h->n,
	    (double)hist_at(h, 0.5) / 1e3, (double)hist_at(h, 0.9) / 1e3,
	    (double)hist_at(h, 0.99) / 1e3, (double)h->max / 1e3);
}
