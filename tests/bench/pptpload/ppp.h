/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client's PPP (RFC 1661): LCP, MS-CHAPv2, CCP for stateless MPPE-128 and
 * IPCP, then encrypted IP.  Bytes and time in, frames out through a callback;
 * numbers of frames are the caller's business.
 */
#ifndef PPTPLOAD_PPP_H
#define PPTPLOAD_PPP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto.h"

#define PPP_MRU		1400u
/* Bytes that ppp_send_ip writes before a packet: ff 03 00 fd, MPPE's header
 * and the protocol of what is encrypted. */
#define PPP_HEADROOM	8u

enum ppp_event {
	PPP_EV_LCP,		/* LCP is open */
	PPP_EV_AUTH,		/* the server took our name, and proved itself */
	PPP_EV_UP,		/* MPPE and IPCP are open: addresses are set */
	PPP_EV_DOWN,		/* reason says why; nothing more will come */
};

struct ppp_layer {		/* LCP, CCP, IPCP: RFC 1661's automaton */
	uint16_t protocol;
	uint8_t id;		/* of our newest request */
	bool started, acked, peer_acked;
	uint64_t resend_at;	/* us */
};

struct ppp_io {
	void (*frame)(void *arg, uint8_t *frame, size_t len);
	void (*ip)(void *arg, uint8_t *packet, size_t len);
	void (*event)(void *arg, enum ppp_event event);
};

struct ppp {			/* private, but embedded by the caller */
	const struct ppp_io *io;
	void *arg;
	const char *user, *password;
	const char *reason;	/* of PPP_EV_DOWN */
	struct in_addr own, peer;	/* valid from PPP_EV_UP on */
	struct ppp_layer lcp, ccp, ipcp;
	uint32_t magic;
	bool authenticated, encrypting, up, down;
	/* Ask for IPCP as soon as CCP, and not again until it is answered: the
	 * caller may set it before ppp_start. */
	bool early;
	uint8_t challenge_id;
	uint8_t challenge[CHALLENGE_LEN], answer[CHALLENGE_LEN];
	struct mschap secret;
	struct mppe send, receive;
	/* Counted, for the caller to read. */
	uint64_t undecryptable;	/* late, or out of step */
	uint64_t plain;		/* data outside MPPE after it was agreed on */
};

void ppp_init(struct ppp *p, const struct ppp_io *io, void *arg,
    const char *user, const char *password);

/* Send the first request. */
void ppp_start(struct ppp *p, uint64_t now_us);

/* A frame arrived, with or without ff 03; it is changed in place. */
void ppp_input(struct ppp *p, uint8_t *frame, size_t len, uint64_t now_us);

/* Ask again what was not answered for 3 s (but IPCP, where early). */
void ppp_tick(struct ppp *p, uint64_t now_us);

/* Encrypt and send a packet of up to PPP_MRU bytes, with PPP_HEADROOM bytes
 * before it; its content is lost.  Only when up. */
void ppp_send_ip(struct ppp *p, uint8_t *packet, size_t len);

/* Say goodbye: an LCP Terminate-Request. */
void ppp_terminate(struct ppp *p);

#endif
