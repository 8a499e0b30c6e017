/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ppp.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bytes.h"

#define LCP		0xc021u
#define CHAP		0xc223u
#define CCP		0x80fdu
#define IPCP		0x8021u
#define COMP		0x00fdu
#define IP		0x0021u

enum { CONF_REQ = 1, CONF_ACK, CONF_NAK, CONF_REJ, TERM_REQ, TERM_ACK,
	CODE_REJ, PROTO_REJ, ECHO_REQ, ECHO_REPLY };
enum { CHALLENGE = 1, RESPONSE, SUCCESS, FAILURE };

/* LCP's options, IPCP's, CCP's */
#define OPT_MRU		1u
#define OPT_ASYNCMAP	2u
#define OPT_AUTH	3u
#define OPT_MAGIC	5u
#define OPT_PCOMP	7u
#define OPT_ACCOMP	8u
#define OPT_ADDRESS	3u
#define OPT_MPPE	18u
#define MSCHAP_V2	0x81u
#define MPPE_128_STATELESS 0x01000040u

#define RESEND_US	3000000u
#define CONTROL_MAX	512u

static void
put_frame(struct ppp *p, uint16_t protocol, uint8_t code, uint8_t id,
    const uint8_t *data, size_t len)
{
	uint8_t frame[8 + CONTROL_MAX] = { 0xff, 0x03 };

	if (len > CONTROL_MAX)
		return;
	put16(frame + 2, protocol);
	frame[4] = code;
	frame[5] = id;
	put16(frame + 6, (uint16_t)(len + 4));
	if (len > 0)
		memcpy(frame + 8, data, len);
	p->io->frame(p->arg, frame, len + 8);
}

static void
go_down(struct ppp *p, const char *reason)
{
	if (p->down)
		return;
	p->down = true;
	p->up = false;
	p->reason = reason;
	p->io->event(p->arg, PPP_EV_DOWN);
}

/* --- our requests ------------------------------------------------------- */

static size_t
own_options(const struct ppp *p, uint16_t protocol, uint8_t *at)
{
	switch (protocol) {
	case LCP:
		at[0] = OPT_MRU;
		at[1] = 4;
		put16(at + 2, PPP_MRU);
		at[4] = OPT_MAGIC;
		at[5] = 6;
		put32(at + 6, p->magic);
		return 10;
	case CCP:
		at[0] = OPT_MPPE;
		at[1] = 6;
		put32(at + 2, MPPE_128_STATELESS);
		return 6;
	default:
		at[0] = OPT_ADDRESS;
		at[1] = 6;
		memcpy(at + 2, &p->own, 4);
		return 6;
	}
}

static void
request(struct ppp *p, struct ppp_layer *l, uint64_t now_us)
{
	uint8_t options[16];
	size_t len = own_options(p, l->protocol, options);

	l->started = true;
	l->acked = false;
	l->resend_at = now_us + RESEND_US;
	put_frame(p, l->protocol, CONF_REQ, ++l->id, options, len);
}

static bool
is_open(const struct ppp_layer *l)
{
	return l->acked && l->peer_acked;
}

/* A layer may have opened: the next one's turn. */
static void
go_on(struct ppp *p, uint64_t now_us)
{
	if (p->authenticated && !p->ccp.started)
		request(p, &p->ccp, now_us);
	if (is_open(&p->ccp) && !p->encrypting) {
		p->encrypting = true;
		mppe_init(&p->send, p->secret.send_key);
		mppe_init(&p->receive, p->secret.receive_key);
	}
	if (p->authenticated && (is_open(&p->ccp) || p->early) &&
	    !p->ipcp.started)
		request(p, &p->ipcp, now_us);
	if (is_open(&p->ccp) && is_open(&p->ipcp) && !p->up) {
		p->up = true;
		p->io->event(p->arg, PPP_EV_UP);
	}
}

/* --- the server's requests ---------------------------------------------- */

struct judged {			/* options of a request, sorted by answer */
	uint8_t nak[CONTROL_MAX], rej[CONTROL_MAX];
	size_t nak_len, rej_len;
};

static void
nak32(struct judged *j, uint8_t type, uint32_t value)
{
	j->nak[j->nak_len] = type;
	j->nak[j->nak_len + 1] = 6;
	put32(j->nak + j->nak_len + 2, value);
	j->nak_len += 6;
}

static bool
lcp_option(struct judged *j, const uint8_t *opt, size_t len)
{
	static const uint8_t want[] = { OPT_AUTH, 5, 0xc2, 0x23, MSCHAP_V2 };

	switch (opt[0]) {
	case OPT_MRU:
		return len == 4;
	case OPT_ASYNCMAP:
	case OPT_MAGIC:
		return len == 6;
	case OPT_PCOMP:
	case OPT_ACCOMP:
		return len == 2;
	case OPT_AUTH:
		if (len != sizeof(want) || memcmp(opt, want, len) != 0) {
			memcpy(j->nak + j->nak_len, want, sizeof(want));
			j->nak_len += sizeof(want);
		}
		return true;
	default:
		return false;
	}
}

/* False: to be rejected. */
static bool
option(struct ppp *p, uint16_t protocol, struct judged *j, const uint8_t *opt,
    size_t len)
{
	if (protocol == LCP)
		return lcp_option(j, opt, len);
	if (protocol == CCP && opt[0] == OPT_MPPE && len == 6) {
		if (get32(opt + 2) != MPPE_128_STATELESS)
			nak32(j, OPT_MPPE, MPPE_128_STATELESS);
		return true;
	}
	if (protocol == IPCP && opt[0] == OPT_ADDRESS && len == 6) {
		memcpy(&p->peer, opt + 2, 4);
		return true;
	}
	return false;
}

static void
answer_request(struct ppp *p, struct ppp_layer *l, uint8_t id,
    const uint8_t *data, size_t len)
{
	struct judged j = { .nak_len = 0 };

	for (size_t at = 0; at < len; at += data[at + 1]) {
		size_t n = at + 1 < len ? data[at + 1] : 0;

		if (n < 2 || n > len - at || j.nak_len > CONTROL_MAX - 8)
			return;		/* malformed: not answered */
		if (!option(p, l->protocol, &j, data + at, n)) {
			memcpy(j.rej + j.rej_len, data + at, n);
			j.rej_len += n;
		}
	}
	l->peer_acked = j.rej_len == 0 && j.nak_len == 0;
	if (j.rej_len > 0)
		put_frame(p, l->protocol, CONF_REJ, id, j.rej, j.rej_len);
	else if (j.nak_len > 0)
		put_frame(p, l->protocol, CONF_NAK, id, j.nak, j.nak_len);
	else
		put_frame(p, l->protocol, CONF_ACK, id, data, len);
}

/* --- the automaton ------------------------------------------------------ */

/* The server wants something else: only an address can be had. */
static void
refused(struct ppp *p, struct ppp_layer *l, const uint8_t *data, size_t len,
    uint64_t now_us)
{
	if (l->protocol == IPCP && len >= 6 && data[0] == OPT_ADDRESS) {
		memcpy(&p->own, data + 2, 4);
		request(p, l, now_us);
	} else if (l->protocol == CCP) {
		go_down(p, "MPPE refused");
	} else {
		go_down(p, "options refused");
	}
}

static void
layer_input(struct ppp *p, struct ppp_layer *l, const uint8_t *packet,
    size_t len, uint64_t now_us)
{
	uint8_t code = packet[0], id = packet[1];
	const uint8_t *data = packet + 4;

	len -= 4;
	switch (code) {
	case CONF_REQ:
		answer_request(p, l, id, data, len);
		break;
	case CONF_ACK:
		l->acked = l->acked || id == l->id;
		break;
	case CONF_NAK:
	case CONF_REJ:
		if (id == l->id && !l->acked)
			refused(p, l, data, len, now_us);
		break;
	case TERM_REQ:
		put_frame(p, l->protocol, TERM_ACK, id, data, len);
		go_down(p, "terminated by the server");
		break;
	case TERM_ACK:
		break;
	case PROTO_REJ:
		/* Data that came before pppd was ready for it is rejected,
		 * too; that means nothing. */
		if (l == &p->lcp && len >= 2 && get16(data) >= 0x8000)
			go_down(p, "protocol rejected by the server");
		break;
	case ECHO_REQ:
		if (l == &p->lcp && len >= 4) {
			uint8_t reply[CONTROL_MAX];

			memcpy(reply, data, len);
			put32(reply, p->magic);
			put_frame(p, LCP, ECHO_REPLY, id, reply, len);
		}
		break;
	default:
		break;
	}
}

static void
lcp_input(struct ppp *p, const uint8_t *packet, size_t len, uint64_t now_us)
{
	bool was_open = is_open(&p->lcp);

	layer_input(p, &p->lcp, packet, len, now_us);
	if (!was_open && is_open(&p->lcp))
		p->io->event(p->arg, PPP_EV_LCP);
}

static void
respond(struct ppp *p, uint8_t id, const uint8_t *data, size_t len)
{
	uint8_t value[1 + 49 + 256] = { 49 };
	size_t name = strnlen(p->user, 255);

	if (len < 1 + CHALLENGE_LEN || data[0] != CHALLENGE_LEN)
		return;
	/* One that was asked again is answered as before: the server's proof
	 * may be of either answer. */
	if (id != p->challenge_id ||
	    memcmp(p->challenge, data + 1, CHALLENGE_LEN) != 0) {
		memcpy(p->challenge, data + 1, CHALLENGE_LEN);
		if (getrandom(p->answer, CHALLENGE_LEN, 0) != CHALLENGE_LEN)
			abort();
		mschap_compute(&p->secret, p->user, p->password, p->challenge,
		    p->answer);
	}
	memcpy(value + 1, p->answer, CHALLENGE_LEN);
	memcpy(value + 1 + 24, p->secret.response, NT_RESPONSE_LEN);
	memcpy(value + 1 + 49, p->user, name);
	p->challenge_id = id;
	put_frame(p, CHAP, RESPONSE, id, value, 1 + 49 + name);
}

static void
chap_input(struct ppp *p, const uint8_t *packet, size_t len, uint64_t now_us)
{
	const uint8_t *data = packet + 4;

	len -= 4;
	switch (packet[0]) {
	case CHALLENGE:
		/* A second one after success would change our keys. */
		if (!p->authenticated)
			respond(p, packet[1], data, len);
		break;
	case SUCCESS:
		if (p->authenticated || packet[1] != p->challenge_id)
			break;
		if (len < SUCCESS_LEN ||
		    memcmp(data, p->secret.success, SUCCESS_LEN) != 0) {
			go_down(p, "the server does not know the password");
			break;
		}
		p->authenticated = true;
		p->io->event(p->arg, PPP_EV_AUTH);
		go_on(p, now_us);
		break;
	case FAILURE:
		go_down(p, "not authenticated");
		break;
	default:
		break;
	}
}

static void
encrypted_input(struct ppp *p, uint8_t *data, size_t len)
{
	size_t head;

	if (!is_open(&p->ccp) || len < MPPE_HEADER + 2 ||
	    !mppe_decrypt(&p->receive, data, data + MPPE_HEADER,
	    len - MPPE_HEADER)) {
		p->undecryptable++;
		return;
	}
	data += MPPE_HEADER;
	len -= MPPE_HEADER;
	head = data[0] & 1 ? 1 : 2;	/* compressed protocol field */
	if (data[head - 1] != IP || (head == 2 && data[0] != 0)) {
		p->undecryptable++;
		return;
	}
	p->io->ip(p->arg, data + head, len - head);
}

static void
control_input(struct ppp *p, uint16_t protocol, uint8_t *packet, size_t len,
    uint64_t now_us)
{
	uint8_t reject[CONTROL_MAX];
	size_t own = len >= 4 ? get16(packet + 2) : 0;

	if (own < 4 || own > len || own > CONTROL_MAX - 8)
		return;
	switch (protocol) {
	case LCP:
		lcp_input(p, packet, own, now_us);
		break;
	case CHAP:
		chap_input(p, packet, own, now_us);
		break;
	case CCP:
		layer_input(p, &p->ccp, packet, own, now_us);
		break;
	case IPCP:
		layer_input(p, &p->ipcp, packet, own, now_us);
		break;
	default:
		put16(reject, protocol);
		memcpy(reject + 2, packet, own);
		put_frame(p, LCP, PROTO_REJ, ++p->lcp.id, reject, own + 2);
		break;
	}
	if (!p->down)
		go_on(p, now_us);
}

void
ppp_input(struct ppp *p, uint8_t *frame, size_t len, uint64_t now_us)
{
	uint16_t protocol;
	size_t head;

	if (len >= 2 && frame[0] == 0xff && frame[1] == 0x03) {
		frame += 2;
		len -= 2;
	}
	head = len > 0 && frame[0] & 1 ? 1 : 2;
	if (len < head || p->down)
		return;
	protocol = head == 1 ? frame[0] : get16(frame);
	if (protocol == COMP)
		encrypted_input(p, frame + head, len - head);
	else if (protocol < 0x8000)
		p->plain++;
	else
		control_input(p, protocol, frame + head, len - head, now_us);
}

/* --- the caller's side -------------------------------------------------- */

void
ppp_init(struct ppp *p, const struct ppp_io *io, void *arg, const char *user,
    const char *password)
{
	memset(p, 0, sizeof(*p));
	p->io = io;
	p->arg = arg;
	p->user = user;
	p->password = password;
	p->lcp.protocol = LCP;
	p->ccp.protocol = CCP;
	p->ipcp.protocol = IPCP;
	if (getrandom(&p->magic, sizeof(p->magic), 0) != sizeof(p->magic))
		abort();
}

void
ppp_start(struct ppp *p, uint64_t now_us)
{
	request(p, &p->lcp, now_us);
}

void
ppp_tick(struct ppp *p, uint64_t now_us)
{
	struct ppp_layer *layers[] = { &p->lcp, &p->ccp, &p->ipcp };
	size_t n = p->early ? 2 : 3;

	for (size_t i = 0; i < n && !p->down; i++) {
		struct ppp_layer *l = layers[i];

		if (l->started && !l->acked && now_us >= l->resend_at)
			request(p, l, now_us);
	}
}

void
ppp_send_ip(struct ppp *p, uint8_t *packet, size_t len)
{
	uint8_t *at = packet - PPP_HEADROOM;

	at[0] = 0xff;
	at[1] = 0x03;
	put16(at + 2, COMP);
	put16(packet - 2, IP);
	mppe_encrypt(&p->send, at + 4, packet - 2, len + 2);
	p->io->frame(p->arg, at, len + PPP_HEADROOM);
}

void
ppp_terminate(struct ppp *p)
{
	if (p->lcp.acked)
		put_frame(p, LCP, TERM_REQ, ++p->lcp.id, NULL, 0);
}
