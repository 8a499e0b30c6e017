/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/hdlc.h"

#include <string.h>

#define FLAG		0x7eu
#define ESCAPE		0x7du
#define ESCAPE_BIT	0x20u

#define FCS_LEN		2u
#define FCS_INIT	0xffffu
#define FCS_GOOD	0xf0b8u	/* of a frame with its right FCS */
#define FRAME_MIN	4u	/* protocol and FCS */

#define FCS_STEP	8u	/* bytes that are taken at a time */

/* A sum, so a byte's share is that of its bits. */
#define BIT(b, i, share) ((b) >> (i) & 1 ? (share) : 0)
#define SHARE(b, b0, b1, b2, b3, b4, b5, b6, b7)			\
	BIT(b, 0, b0) ^ BIT(b, 1, b1) ^ BIT(b, 2, b2) ^ BIT(b, 3, b3) ^	\
	BIT(b, 4, b4) ^ BIT(b, 5, b5) ^ BIT(b, 6, b6) ^ BIT(b, 7, b7)
#define ROW_4(b, ...)							\
	SHARE((b), __VA_ARGS__), SHARE((b) + 1, __VA_ARGS__),		\
	SHARE((b) + 2, __VA_ARGS__), SHARE((b) + 3, __VA_ARGS__)
#define ROW_16(b, ...)							\
	ROW_4((b), __VA_ARGS__), ROW_4((b) + 4, __VA_ARGS__),		\
	ROW_4((b) + 8, __VA_ARGS__), ROW_4((b) + 12, __VA_ARGS__)
#define ROW_64(b, ...)							\
	ROW_16((b), __VA_ARGS__), ROW_16((b) + 16, __VA_ARGS__),	\
	ROW_16((b) + 32, __VA_ARGS__), ROW_16((b) + 48, __VA_ARGS__)
#define ROW(...)							\
	ROW_64(0, __VA_ARGS__), ROW_64(64, __VA_ARGS__),		\
	ROW_64(128, __VA_ARGS__), ROW_64(192, __VA_ARGS__)

/* CRC-CCITT, reflected: x^16 + x^12 + x^5 + 1.  Row i has each byte's share
 * in the FCS after i more bytes.  One byte at a time, each would wait for the
 * look-up of the one before it, seven times as long in all. */
static const uint16_t fcs_table[FCS_STEP][256] = {
	{ ROW(0x1189, 0x2312, 0x4624, 0x8c48,
	    0x1081, 0x2102, 0x4204, 0x8408) },
	{ ROW(0x19d8, 0x33b0, 0x6760, 0xcec0,
	    0x9591, 0x2333, 0x4666, 0x8ccc) },
	{ ROW(0x5adc, 0xb5b8, 0x6361, 0xc6c2,
	    0x8595, 0x033b, 0x0676, 0x0cec) },
	{ ROW(0x1cbb, 0x3976, 0x72ec, 0xe5d8,
	    0xc3a1, 0x8f53, 0x16b7, 0x2d6e) },
	{ ROW(0x0b44, 0x1688, 0x2d10, 0x5a20,
	    0xb440, 0x6091, 0xc122, 0x8a55) },
	{ ROW(0x042b, 0x0856, 0x10ac, 0x2158,
	    0x42b0, 0x8560, 0x02d1, 0x05a2) },
	{ ROW(0x9fd5, 0x37bb, 0x6f76, 0xdeec,
	    0xb5c9, 0x6383, 0xc706, 0x861d) },
	{ ROW(0x81bf, 0x0b6f, 0x16de, 0x2dbc,
	    0x5b78, 0xb6f0, 0x65f1, 0xcbe2) },
};

static uint16_t
fcs_of(const uint8_t *p, size_t len)
{
	unsigned fcs = FCS_INIT;

	for (; len >= FCS_STEP; p += FCS_STEP, len -= FCS_STEP)
		fcs = fcs_table[7][(fcs ^ p[0]) & 0xff] ^
		    fcs_table[6][fcs >> 8 ^ p[1]] ^
		    fcs_table[5][p[2]] ^ fcs_table[4][p[3]] ^
		    fcs_table[3][p[4]] ^ fcs_table[2][p[5]] ^
		    fcs_table[1][p[6]] ^ fcs_table[0][p[7]];
	for (; len > 0; p++, len--)
		fcs = fcs >> 8 ^ fcs_table[0][(fcs ^ *p) & 0xff];
	return (uint16_t)fcs;
}

static bool
must_escape(uint8_t c, uint32_t accm)
{
	return c == FLAG || c == ESCAPE || (c < 32 && (accm >> c & 1) != 0);
}

/* The caller made sure that there is room for the worst case. */
static uint8_t *
put_escaped(uint8_t *out, const uint8_t *p, size_t len, uint32_t accm)
{
	for (size_t i = 0; i < len; i++) {
		if (must_escape(p[i], accm)) {
			*out++ = ESCAPE;
			*out++ = p[i] ^ ESCAPE_BIT;
		} else
			*out++ = p[i];
	}
	return out;
}

size_t
hdlc_encode(uint8_t *out, size_t out_size, const uint8_t *frame, size_t len,
    uint32_t accm)
{
	uint8_t trailer[FCS_LEN];
	uint8_t *end = out;
	unsigned fcs;

	if (len == 0 || len > HDLC_FRAME_MAX - FCS_LEN ||
	    out_size < HDLC_ENCODED_MAX(len))
		return 0;

	fcs = ~(unsigned)fcs_of(frame, len);
	trailer[0] = (uint8_t)fcs;
	trailer[1] = (uint8_t)(fcs >> 8);
	*end++ = FLAG;
	end = put_escaped(end, frame, len, accm);
	end = put_escaped(end, trailer, sizeof(trailer), accm);
	*end++ = FLAG;
	return (size_t)(end - out);
}

void
hdlc_dec_init(struct hdlc_dec *d)
{
	memset(d, 0, sizeof(*d));
	d->hunting = true;
}

/* Append in[0..len), which has no flag in it.  Runs between escapes are long
 * (128 bytes of encrypted data on average): worth memchr and memcpy. */
static void
take(struct hdlc_dec *d, const uint8_t *in, size_t len)
{
	while (len > 0 && !d->hunting) {
		const uint8_t *escape = memchr(in, ESCAPE, len);
		size_t run = escape ? (size_t)(escape - in) : len;

		if (d->escaped)
			run = 1;
		if (run > sizeof(d->buf) - d->len) {
			d->n_overrun++;
			d->hunting = true;
			return;
		}
		if (d->escaped) {
			d->buf[d->len++] = in[0] ^ ESCAPE_BIT;
			d->escaped = false;
		} else {
			memcpy(d->buf + d->len, in, run);
			d->len += run;
			d->escaped = escape != NULL;
			run += d->escaped;
		}
		in += run;
		len -= run;
	}
}

/* A flag: whatever came before it ends, and the next frame begins.  Returns
 * the length without FCS of a good frame in d->buf, else 0. */
static size_t
finish(struct hdlc_dec *d)
{
	size_t len = d->len;
	bool hunting = d->hunting;
	bool aborted = d->escaped;	/* RFC 1662 4.3 */

	d->len = 0;
	d->escaped = false;
	d->hunting = false;
	if (hunting)
		return 0;
	if (aborted) {
		d->n_abort++;
		return 0;
	}
	if (len == 0)
		return 0;		/* two flags in a row */
	if (len < FRAME_MIN) {
		d->n_short++;
		return 0;
	}
	if (fcs_of(d->buf, len) != FCS_GOOD) {
		d->n_bad_fcs++;
		return 0;
	}
	return len - FCS_LEN;
}

size_t
hdlc_decode(struct hdlc_dec *d, const uint8_t *in, size_t len,
    const uint8_t **ret_frame, size_t *ret_len)
{
	size_t used = 0;

	*ret_frame = NULL;
	while (used < len) {
		const uint8_t *flag = memchr(in + used, FLAG, len - used);
		size_t end = flag ? (size_t)(flag - in) : len;
		size_t frame_len;

		take(d, in + used, end - used);
		if (flag == NULL)
			return len;
		used = end + 1;
		frame_len = finish(d);
		if (frame_len > 0) {
			*ret_frame = d->buf;
			*ret_len = frame_len;
			return used;
		}
	}
	return used;
}
