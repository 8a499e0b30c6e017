/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one way to read and write network-order bytes.  A cursor that ran out
 * sets .bad and yields zeros; test .bad once at the end.
 */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Read cursor over bytes it does not own. */
struct rd {
	const uint8_t *p;
	size_t left;
	bool bad;
};

/* Write cursor over bytes it does not own. */
struct wr {
	uint8_t *p;
	size_t left;
	bool bad;
};

/* The next n bytes, or NULL when there are fewer (and .bad from then on). */
static inline const uint8_t *
rd_bytes(struct rd *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || r->left < n) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	r->left -= n;
	return p;
}

static inline uint8_t
rd_u8(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 1);

	return p ? p[0] : 0;
}

static inline uint16_t
rd_u16(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 2);

	if (!p)			/* gcc's UBSan + -Wconversion dislikes "?:" */
		return 0;
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
rd_u32(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 4);

	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3] : 0;
}

/* Room for n bytes, or NULL when there is less (and .bad from then on). */
static inline uint8_t *
wr_bytes(struct wr *w, size_t n)
{
	uint8_t *p = w->p;

	if (w->bad || w->left < n) {
		w->bad = true;
		return NULL;
	}
	w->p += n;
	w->left -= n;
	return p;
}

static inline void
wr_u8(struct wr *w, uint8_t v)
{
	uint8_t *p = wr_bytes(w, 1);

	if (p)
		p[0] = v;
}

static inline void
wr_u16(struct wr *w, uint16_t v)
{
	uint8_t *p = wr_bytes(w, 2);

	if (p) {
		p[0] = (uint8_t)(v >> 8);
		p[1] = (uint8_t)v;
	}
}

static inline void
wr_u32(struct wr *w, uint32_t v)
{
	uint8_t *p = wr_bytes(w, 4);

	if (p) {
		p[0] = (uint8_t)(v >> 24);
		p[1] = (uint8_t)(v >> 16);
		p[2] = (uint8_t)(v >> 8);
		p[3] = (uint8_t)v;
	}
}

/* n zero bytes. */
static inline void
wr_zero(struct wr *w, size_t n)
{
	uint8_t *p = wr_bytes(w, n);

	if (p)
		memset(p, 0, n);
}

#endif
