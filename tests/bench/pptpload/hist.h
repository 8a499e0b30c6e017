/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Distribution of times in microseconds, to 3 %, in constant space. */
#ifndef PPTPLOAD_HIST_H
#define PPTPLOAD_HIST_H

#include <stdint.h>
#include <stdio.h>

#define HIST_SUB	32u	/* buckets per power of two */
#define HIST_BUCKETS	(40u * HIST_SUB)

struct hist {
	uint64_t n, max;
	uint32_t bucket[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t us);

/* The value that a part (0..1) of all does not exceed; 0 when empty. */
uint64_t hist_at(const struct hist *h, double part);

/* Write "name":{"n":..,"median":..,...}, in milliseconds. */
void hist_print(FILE *out, const char *name, const struct hist *h);

#endif
