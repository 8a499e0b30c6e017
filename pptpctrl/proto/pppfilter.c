/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/pppfilter.h"

#include <string.h>

#include "proto/wire.h"

#define ALLSTATIONS	0xffu
#define UI		0x03u
#define HDR_LEN		4u	/* ff 03 and protocol */

#define PPP_IP		0x0021u
#define PPP_IPV6	0x0057u
#define FIRST_CONTROL	0x8000u	/* data protocols are below */

#define CODE_CONF_REQ	1u
#define CODE_CONF_ACK	2u
#define CODE_TERM_REQ	5u
#define CODE_TERM_ACK	6u
#define CONTROL_HDR_LEN	4u	/* code, id, length */
#define CODE_CHAP_RESPONSE 2u
#define CODE_PAP_REQUEST 1u
#define CODE_EAP_RESPONSE 2u
#define EAP_IDENTITY	1u

/* RFC 3078 section 3: A (keys begin anew) and D (encrypted); stateless, each
 * frame has both. */
#define MPPE_BITS	0x9000u
#define MPPE_COUNT_MASK	0x0fffu
#define MPPE_COUNTS	4096u
#define MPPE_HALF	2048u	/* ppp_mppe takes more than that for late */
/* Count and two bytes.  Of a single one that decrypts to an even byte
 * ppp_generic looks for the rest of the protocol behind its end; finding a
 * network protocol there it pulls both, which stops the whole kernel. */
#define MPPE_MIN	4u
/* Up to here the distance of the numbers is believed to be lost frames;
 * above, the client began its numbers anew.  As far as reorder.c believes
 * that a burst was lost. */
#define MPPE_GAP_MAX	65536u

struct ppp_hdr {
	uint16_t proto;
	size_t len;		/* of what follows it */
	unsigned code, id;	/* its first bytes; 0 when they are missing */
};

static bool
parse(const uint8_t *frame, size_t len, struct ppp_hdr *ret_hdr)
{
	struct rd r = { .p = frame, .left = len };
	struct ppp_hdr h = { 0 };
	uint8_t first = rd_u8(&r);

	if (first == ALLSTATIONS && r.left > 0 && r.p[0] == UI) {
		rd_u8(&r);
		first = rd_u8(&r);
	}
	/* RFC 1661 section 2: the last byte of a protocol, and no other, is
	 * odd. */
	h.proto = first;
	if ((first & 1) == 0)
		h.proto = (uint16_t)(first << 8 | rd_u8(&r));
	if (r.bad || len < 2)
		return false;
	h.len = r.left;
	h.code = rd_u8(&r);
	h.id = rd_u8(&r);
	*ret_hdr = h;
	return true;
}

void
pppfilter_init(struct pppfilter *f)
{
	memset(f, 0, sizeof(*f));
}

void
pppfilter_config(struct pppfilter *f, bool require_mppe, bool stateful,
    bool pap, bool chap, bool eap, bool ipv6)
{
	f->known = true;
	f->require_mppe = require_mppe;
	f->stateless = !stateful;
	f->allow_pap = pap;
	f->allow_chap = chap;
	f->allow_eap = eap;
	f->allow_ipv6 = ipv6;
}

/*
 * Would ppp_mppe take it, and can it be true?  A count that is not ahead stops
 * the receiver until a CCP reset; one too far ahead, forged, makes all true
 * ones after it late; wrong bits end the link at the sixteenth frame.
 */
static bool
mppe_coherent(struct pppfilter *f, const struct ppp_hdr *h, uint32_t seq)
{
	unsigned field = h->code << 8 | h->id;
	uint16_t count = (uint16_t)(field & MPPE_COUNT_MASK);
	uint32_t frames = seq - f->mppe_seq;
	uint32_t own = frames - f->mppe_others;
	uint32_t ahead = ((count - f->mppe_count - 1u) & MPPE_COUNT_MASK) + 1;

	f->mppe_ahead = 0;
	if ((field & MPPE_BITS) != MPPE_BITS)
		return false;
	if (f->mppe_any) {
		bool gap = own <= MPPE_GAP_MAX;

		/* The others may have been forged, each with the number of a
		 * true frame that was late after it: they count here. */
		if (gap && ahead > frames)
			return false;
		/* The count says it only modulo 4096: all frames between that
		 * were lost, and only they, can have been MPPE's. */
		if (gap && own > ahead)
			ahead += (own - ahead) / MPPE_COUNTS * MPPE_COUNTS;
		if (ahead > MPPE_HALF) {
			f->mppe_ahead = gap ? ahead : 0;
			return false;
		}
	}
	f->mppe_any = true;
	f->mppe_count = count;
	f->mppe_seq = seq;
	f->mppe_others = 0;
	return true;
}

static enum ppp_verdict
compressed_in(struct pppfilter *f, const struct ppp_hdr *h, uint32_t seq)
{
	/* Without MPPE pppd rejects such a frame: the control limit holds. */
	size_t max = f->require_mppe ? PPP_DATA_MAX : PPP_CONTROL_MAX;

	if (!f->known)
		return PPP_DROP_PROTOCOL;
	if (h->len < MPPE_MIN)
		return PPP_DROP_SHORT;
	if (h->len + HDR_LEN > max)
		return PPP_DROP_OVERSIZE;
	if (f->require_mppe && f->stateless && !mppe_coherent(f, h, seq))
		return PPP_DROP_MPPE;
	return PPP_PASS;
}

static enum ppp_verdict
plain_in(const struct pppfilter *f, const struct ppp_hdr *h)
{
	if (!f->known || f->require_mppe)
		return PPP_DROP_PLAIN;
	if (h->len + HDR_LEN > PPP_DATA_MAX)
		return PPP_DROP_OVERSIZE;
	if (h->proto == PPP_IP || (h->proto == PPP_IPV6 && f->allow_ipv6))
		return PPP_PASS;
	return PPP_DROP_PROTOCOL;
}

static bool
is_ncp(uint16_t proto)
{
	return proto == PPP_IPCP || proto == PPP_IPV6CP;
}

static bool
control_allowed(const struct pppfilter *f, uint16_t proto)
{
	switch (proto) {
	case PPP_LCP:
	case PPP_CCP:
	case PPP_IPCP:
	case PPP_IPV6CP:
		return true;
	case PPP_PAP:
		return !f->known || f->allow_pap;
	case PPP_CHAP:
		return !f->known || f->allow_chap;
	case PPP_EAP:
		return !f->known || f->allow_eap;
	default:
		return false;
	}
}

static enum ppp_verdict
control_in(struct pppfilter *f, const struct ppp_hdr *h, unsigned *ret_slot)
{
	size_t max = PPP_CONTROL_MAX;

	if (!control_allowed(f, h->proto))
		return PPP_DROP_PROTOCOL;
	if (h->len < CONTROL_HDR_LEN)
		return PPP_DROP_SHORT;
	if (h->code == CODE_CONF_REQ &&
	    (h->proto == PPP_LCP || h->proto == PPP_CCP || is_ncp(h->proto)))
		max = PPP_CONFIG_MAX;
	if (h->len + HDR_LEN > max)
		return PPP_DROP_OVERSIZE;

	/* The ack of our request, and only that, is where the kernel makes its
	 * decompressor new and the client starts to count from 0. */
	if (h->proto == PPP_CCP && h->code == CODE_CONF_ACK && f->ccp_asked &&
	    h->id == f->ccp_id) {
		f->ccp_asked = false;
		f->mppe_any = false;
	}
	/* Without IPv6 pppd's Protocol-Reject is what the client needs. */
	if (is_ncp(h->proto) && !f->ncp_out &&
	    (h->proto == PPP_IPCP || !f->known || f->allow_ipv6)) {
		*ret_slot = h->proto == PPP_IPCP ? 0 : 1;
		return PPP_HOLD;
	}
	return PPP_PASS;
}

/* Bit 63: any; 62..44: others; 43..32: count; the rest: number. */
#define WORD_ANY	(1ull << 63)
#define WORD_OTHERS	0x7ffffu

uint64_t
pppfilter_word(const struct pppfilter *f)
{
	uint64_t others = f->mppe_others < WORD_OTHERS ? f->mppe_others :
	    WORD_OTHERS;

	if (!f->mppe_any)
		return 0;
	return WORD_ANY | others << 44 |
	    (uint64_t)(f->mppe_count & MPPE_COUNT_MASK) << 32 | f->mppe_seq;
}

void
pppfilter_resume(struct pppfilter *f, uint64_t word)
{
	f->mppe_any = (word & WORD_ANY) != 0;
	f->mppe_others = (uint32_t)(word >> 44) & WORD_OTHERS;
	f->mppe_count = (uint16_t)((word >> 32) & MPPE_COUNT_MASK);
	f->mppe_seq = (uint32_t)word;
	f->mppe_ahead = 0;
}

enum ppp_verdict
pppfilter_in(struct pppfilter *f, const uint8_t *frame, size_t len,
    uint32_t seq, unsigned *ret_slot)
{
	struct ppp_hdr h;

	if (!parse(frame, len, &h)) {
		f->mppe_others++;
		return PPP_DROP_SHORT;
	}
	if (h.proto == PPP_COMP)
		return compressed_in(f, &h, seq);
	/* Days of LCP echoes on an idle call are no lost MPPE frames. */
	f->mppe_others++;
	if (h.proto < FIRST_CONTROL)
		return plain_in(f, &h);
	return control_in(f, &h, ret_slot);
}

bool
pppfilter_simple(const struct pppfilter *f, uint32_t seq,
    uint16_t *ret_protocol, bool *ret_check, uint32_t *ret_delta)
{
	uint32_t own = seq - f->mppe_seq - f->mppe_others;

	/* Once network frames leave, no early NCP frame is held any more. */
	if (!f->known || !f->ncp_out)
		return false;
	*ret_protocol = f->require_mppe ? PPP_COMP : PPP_IP;
	*ret_check = f->require_mppe && f->stateless;
	*ret_delta = 0;
	if (!*ret_check)
		return true;
	/* Those lost since the last one took a count each. */
	*ret_delta = (f->mppe_count + own - seq) & MPPE_COUNT_MASK;
	return f->mppe_any && own > 0 && own <= MPPE_HALF;
}

void
pppfilter_passed(struct pppfilter *f, uint32_t seq, uint32_t delta)
{
	f->mppe_count = (uint16_t)((seq + delta) & MPPE_COUNT_MASK);
	f->mppe_seq = seq;
	f->mppe_others = 0;
}

size_t
pppfilter_step(struct pppfilter *f, uint8_t *out, size_t size)
{
	struct wr w = { .p = out, .left = size };

	if (f->mppe_ahead <= MPPE_HALF || size < PPP_STEP_LEN)
		return 0;
	f->mppe_ahead -= MPPE_HALF;
	f->mppe_seq += MPPE_HALF;
	f->mppe_count = (f->mppe_count + MPPE_HALF) & MPPE_COUNT_MASK;
	wr_u16(&w, ALLSTATIONS << 8 | UI);
	wr_u16(&w, PPP_COMP);
	wr_u16(&w, (uint16_t)(MPPE_BITS | f->mppe_count));
	wr_u16(&w, 0);
	return PPP_STEP_LEN;
}

enum ppp_out
pppfilter_out(struct pppfilter *f, const uint8_t *frame, size_t len)
{
	struct ppp_hdr h;
	bool network = false;

	if (!parse(frame, len, &h))
		return PPP_OUT_BAD;
	if (h.proto < FIRST_CONTROL) {
		if (h.proto != PPP_COMP && (!f->known || f->require_mppe))
			return PPP_OUT_BAD;
		/* A manager that took a running call over finds it so. */
		network = true;
	} else if (h.proto == PPP_LCP && h.code == CODE_TERM_REQ)
		return PPP_OUT_TERM_REQ;
	else if (h.proto == PPP_LCP && h.code == CODE_CONF_REQ)
		f->ncp_out = false;	/* LCP anew: so will be the rest */
	else if (h.proto == PPP_CCP && h.code == CODE_CONF_REQ) {
		f->ccp_asked = true;
		f->ccp_id = (uint8_t)h.id;
	} else if (is_ncp(h.proto) && h.code == CODE_CONF_REQ)
		network = true;

	if (!network || f->ncp_out)
		return PPP_OUT_PLAIN;
	f->ncp_out = true;
	return PPP_OUT_RELEASE;
}

bool
pppfilter_look(const uint8_t *frame, size_t len, uint16_t *ret_protocol,
    uint16_t *ret_word)
{
	struct ppp_hdr h;

	if (!parse(frame, len, &h))
		return false;
	*ret_protocol = h.proto;
	*ret_word = (uint16_t)(h.code << 8 | h.id);
	return true;
}

size_t
pppfilter_term_ack(uint8_t *out, size_t size, const uint8_t *frame,
    size_t len)
{
	struct wr w = { .p = out, .left = size };
	struct ppp_hdr h;

	if (!parse(frame, len, &h) || h.proto != PPP_LCP ||
	    h.code != CODE_TERM_REQ || h.len < CONTROL_HDR_LEN)
		return 0;
	wr_u16(&w, ALLSTATIONS << 8 | UI);
	wr_u16(&w, PPP_LCP);
	wr_u8(&w, CODE_TERM_ACK);
	wr_u8(&w, (uint8_t)h.id);
	wr_u16(&w, CONTROL_HDR_LEN);
	return w.bad ? 0 : size - w.left;
}

bool
pppfilter_claim(const uint8_t *frame, size_t len, char *out, size_t size)
{
	struct ppp_hdr h;
	struct rd r;
	size_t whole, n;
	unsigned first;

	if (!parse(frame, len, &h) || h.len < CONTROL_HDR_LEN + 1)
		return false;
	r = (struct rd){ .p = frame + (len - h.len) + 2, .left = h.len - 2 };
	whole = rd_u16(&r);
	first = rd_u8(&r);
	if (whole <= CONTROL_HDR_LEN || whole > h.len)
		return false;
	n = whole - CONTROL_HDR_LEN - 1;
	if (h.proto == PPP_CHAP && h.code == CODE_CHAP_RESPONSE) {
		/* first: length of the value before the name */
		if (first > n)
			return false;
		r.p += first;
		n -= first;
	} else if (h.proto == PPP_PAP && h.code == CODE_PAP_REQUEST) {
		/* first: length of the name */
		if (first > n)
			return false;
		n = first;
	} else if (h.proto != PPP_EAP || h.code != CODE_EAP_RESPONSE ||
	    first != EAP_IDENTITY) {
		return false;
	}
	if (n > size - 1)
		n = size - 1;
	memcpy(out, r.p, n);
	out[n] = '\0';
	return true;
}
