/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One call's frames, both ways.  Each: direction, number's step, length of
 * what is given, length that is filled up with zeros, the bytes. */
#undef NDEBUG
#include <assert.h>
#include <string.h>

#include "proto/pppfilter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Written from RFC 1661, not from the filter. */
static unsigned
protocol_of(const uint8_t *p, size_t len, size_t *ret_info)
{
	size_t at = 0;

	if (len >= 2 && p[0] == 0xff && p[1] == 0x03)
		at = 2;
	assert(at < len);
	if (p[at] & 1) {
		*ret_info = len - at - 1;
		return p[at];
	}
	assert(at + 1 < len);
	*ret_info = len - at - 2;
	return (unsigned)(p[at] << 8 | p[at + 1]);
}

static void
passed(const uint8_t *p, size_t len, bool require, bool ipv6)
{
	size_t info;
	unsigned proto = protocol_of(p, len, &info);

	assert(proto & 1);
	assert(len <= 2048);
	if (proto < 0x8000) {
		assert(require ? proto == 0xfd : proto == 0x21 ||
		    proto == 0xfd || (proto == 0x57 && ipv6));
		return;
	}
	assert(proto == 0xc021 || proto == 0xc023 || proto == 0xc223 ||
	    proto == 0xc227 || proto == 0x80fd || proto == 0x8021 ||
	    proto == 0x8057);
	/* pppd 2.4.9's Protocol-Reject of it fits 1504 bytes. */
	assert(info >= 4 && 8 + 2 + info <= 1504);
}

/* A name is found in what claims one and nowhere else, and it ends. */
static void
look_for_name(const uint8_t *p, size_t len)
{
	char name[9];
	size_t info;
	unsigned proto;

	memset(name, 'x', sizeof(name));
	if (!pppfilter_claim(p, len, name, sizeof(name)))
		return;
	proto = protocol_of(p, len, &info);
	assert(memchr(name, '\0', sizeof(name)));
	assert(proto == 0xc023 || proto == 0xc223 || proto == 0xc227);
}

static void
judge(struct pppfilter *f, const uint8_t *p, size_t len, uint32_t seq)
{
	uint8_t step[PPP_STEP_LEN];
	unsigned slot = 7, n = 0;
	enum ppp_verdict v = pppfilter_in(f, p, len, seq, &slot);

	assert((v == PPP_HOLD) == (slot < PPP_HOLD_SLOTS));
	assert(v == PPP_HOLD || slot == 7);
	if (v == PPP_PASS || v == PPP_HOLD)
		passed(p, len, f->require_mppe, f->allow_ipv6);
	if (v != PPP_DROP_MPPE)
		return;
	while (pppfilter_step(f, step, sizeof(step)) > 0)
		n++;
	assert(n <= 31);
	if (n > 0) {
		v = pppfilter_in(f, p, len, seq, &slot);
		assert(v == PPP_PASS);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pppfilter f;
	uint8_t frame[5000], ack[8];
	uint32_t seq = 0;

	if (size < 1)
		return 0;
	pppfilter_init(&f);
	if (data[0] & 1)
		pppfilter_config(&f, data[0] & 2, data[0] & 4, data[0] & 8,
		    data[0] & 16, data[0] & 32, data[0] & 64);
	data++;
	size--;
	while (size >= 4) {
		size_t given = data[2] < size - 4 ? data[2] : size - 4;
		size_t len = given + (data[3] > 200 ? data[3] * 16u : 0);
		bool out = data[0] & 1;

		seq += data[0] & 2 ? (uint32_t)data[1] << (data[0] >> 3) : 1;
		memset(frame, 0, sizeof(frame));
		memcpy(frame, data + 4, given);
		data += 4 + given;
		size -= 4 + given;
		look_for_name(frame, len);
		if (!out) {
			judge(&f, frame, len, seq);
			continue;
		}
		switch (pppfilter_out(&f, frame, len)) {
		case PPP_OUT_TERM_REQ:
			pppfilter_term_ack(ack, sizeof(ack), frame, len);
			break;
		case PPP_OUT_PLAIN:
		case PPP_OUT_RELEASE: {
			size_t info;
			unsigned p = protocol_of(frame, len, &info);

			assert(!f.require_mppe || p >= 0x8000 || p == 0xfd);
			break;
		}
		case PPP_OUT_BAD:
			break;
		}
	}
	return 0;
}
