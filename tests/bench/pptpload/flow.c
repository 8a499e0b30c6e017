/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flow.h"

#include "bytes.h"

#define MAGIC	0x70707431u
#define HEAD	FLOW_MIN

static uint32_t
step(uint32_t x)
{
	return x * 1664525u + 1013904223u;
}

void
flow_write(uint8_t *at, size_t len, const struct flow_head *h)
{
	uint32_t x = step(h->flow ^ step(h->number));
	size_t i;

	put32(at, MAGIC ^ (uint32_t)h->kind);
	put32(at + 4, h->flow);
	put32(at + 8, h->number);
	put32(at + 12, h->a);
	put32(at + 16, h->b);
	put32(at + 20, (uint32_t)(h->stamp >> 32));
	put32(at + 24, (uint32_t)h->stamp);
	put32(at + 28, (uint32_t)len);
	for (i = HEAD; i + 4 <= len; i += 4) {
		memcpy(at + i, &x, 4);
		x = step(x);
	}
	memcpy(at + i, &x, len - i);
}

bool
flow_read(const uint8_t *at, size_t len, struct flow_head *ret)
{
	uint32_t x, wrong = 0;
	size_t i;

	if (len < FLOW_MIN || get32(at + 28) != len)
		return false;
	ret->kind = get32(at) ^ MAGIC;
	ret->flow = get32(at + 4);
	ret->number = get32(at + 8);
	ret->a = get32(at + 12);
	ret->b = get32(at + 16);
	ret->stamp = (uint64_t)get32(at + 20) << 32 | get32(at + 24);
	if (ret->kind < FLOW_DATA || ret->kind > FLOW_STOP)
		return false;
	x = step(ret->flow ^ step(ret->number));
	for (i = HEAD; i + 4 <= len; i += 4) {
		uint32_t word;

		memcpy(&word, at + i, 4);
		wrong |= word ^ x;
		x = step(x);
	}
	return wrong == 0 && memcmp(at + i, &x, len - i) == 0;
}

void
flow_received(struct flow_rx *r, uint32_t number, size_t bytes)
{
	uint32_t ahead = number - r->highest;
	uint32_t behind = r->highest - number;

	if (!r->any || (ahead > 0 && ahead < UINT32_MAX / 2)) {
		r->window = r->any && ahead < 64 ? r->window << ahead | 1 : 1;
		r->highest = number;
		r->any = true;
	} else if (behind >= 64 || (r->window >> behind & 1) == 0) {
		r->reordered++;
		if (behind < 64)
			r->window |= (uint64_t)1 << behind;
	} else {
		r->duplicate++;
		return;
	}
	r->received++;
	r->bytes += bytes;
}
