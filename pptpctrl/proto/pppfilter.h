/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may pass between the tunnel and pppd: the protocol field of each
 * frame (RFC 1661 section 2, with and without ff 03 and protocol
 * compression), and MPPE's coherency count (RFC 3078 section 3).
 *
 * The kernel delivers plain IP on a link that is to be encrypted, so this is
 * the only guard against injected plaintext.
 *
 * Pure: no system calls, no allocation, no clock, no log.
 */
#ifndef PROTO_PPPFILTER_H
#define PROTO_PPPFILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PPP_LCP		0xc021u
#define PPP_PAP		0xc023u
#define PPP_CHAP	0xc223u
#define PPP_EAP		0xc227u
#define PPP_CCP		0x80fdu
#define PPP_IPCP	0x8021u
#define PPP_IPV6CP	0x8057u
#define PPP_COMP	0x00fdu	/* a compressed (MPPE) frame */

/*
 * Sizes, counted as if ff 03 and both bytes of the protocol were there.
 *
 * pppd up to 2.5.2 writes a Protocol-Reject, 6 bytes longer than the frame
 * that it rejects, or a Code-Reject, 4 longer, into 1504 bytes without looking
 * when the client asked for a large MRU, before any authentication.
 */
#define PPP_CONTROL_MAX	1490u
/* An answer to a Configure-Request can be longer than the request (a Nak of
 * PAP with CHAP is 5 bytes for 4, as often as the option is repeated) and
 * has 1500 bytes.  True ones have less than 200. */
#define PPP_CONFIG_MAX	1024u
/* RFC 2637 1.4 wants 1532; our MRU is at most 1500, with MPPE's 4 bytes. */
#define PPP_DATA_MAX	1600u
#define PPP_STEP_LEN	8u	/* a frame of pppfilter_step */
#define PPP_HOLD_SLOTS	2u	/* early NCP frames kept: one per protocol */

enum ppp_verdict {
	PPP_PASS,
	PPP_HOLD,		/* keep the newest of this slot; see below */
	PPP_DROP_SHORT,		/* no protocol field or no room for content */
	PPP_DROP_PLAIN,		/* data outside MPPE where MPPE is required */
	PPP_DROP_OVERSIZE,
	PPP_DROP_PROTOCOL,	/* pppd was not asked to speak it */
	PPP_DROP_MPPE,		/* coherency count that the kernel would punish;
				 * see pppfilter_step */
};

struct pppfilter {		/* private, but embedded by the caller */
	bool known;		/* pppfilter_config was called */
	bool require_mppe;
	bool stateless;		/* the count check applies */
	bool allow_pap, allow_chap, allow_eap, allow_ipv6;
	bool ncp_out;		/* our side's first NCP request went out */
	bool ccp_asked;		/* our CCP request ccp_id is not answered yet */
	uint8_t ccp_id;
	bool mppe_any;
	uint16_t mppe_count;	/* last coherency count passed on, 12 bits */
	uint32_t mppe_seq;	/* its number */
	uint32_t mppe_others;	/* frames since that were none of MPPE's */
	uint32_t mppe_ahead;	/* what pppfilter_step has to bridge */
};

/* Until pppfilter_config: data protocols are dropped, all authentication
 * protocols pass. */
void pppfilter_init(struct pppfilter *f);

/* What pppd's options ask for. */
void pppfilter_config(struct pppfilter *f, bool require_mppe, bool stateful,
    bool pap, bool chap, bool eap, bool ipv6);

/*
 * What changes with each encrypted frame, as one word that can be stored at
 * once, and back: the rest of the struct changes with pppd's states only.
 */
uint64_t pppfilter_word(const struct pppfilter *f);
void pppfilter_resume(struct pppfilter *f, uint64_t word);

/*
 * Judge a frame from the client, in the order in which it is passed on, seq
 * its GRE number.  On PPP_HOLD *ret_slot (0..PPP_HOLD_SLOTS-1) says which
 * held frame it replaces: a request for a network protocol that pppd would
 * answer with Terminate-Ack because MPPE is not up yet.
 */
enum ppp_verdict pppfilter_in(struct pppfilter *f, const uint8_t *frame,
    size_t len, uint32_t seq, unsigned *ret_slot);

/*
 * May somebody else judge the client's data frames from number seq on, by a
 * simple rule?  True with the one protocol that passes, and, if *ret_check,
 * that frame n has to have MPPE's bits and count n + *ret_delta.
 */
bool pppfilter_simple(const struct pppfilter *f, uint32_t seq,
    uint16_t *ret_protocol, bool *ret_check, uint32_t *ret_delta);

/* By that rule frames passed, the last of them with number seq. */
void pppfilter_passed(struct pppfilter *f, uint32_t seq, uint32_t delta);

/*
 * After PPP_DROP_MPPE: when more than 2048 MPPE frames were lost together, the
 * kernel takes what follows for late, for ever, since its keys can go only
 * half way round the count at a time.  This writes a frame without content
 * that makes it go such a step.  Pass it on, call again until 0 is returned
 * (31 times at most), then judge the dropped frame once more if there was any.
 * Returns the length, or 0; size must be at least PPP_STEP_LEN.
 */
size_t pppfilter_step(struct pppfilter *f, uint8_t *out, size_t size);

/* What a frame from pppd means for us. */
enum ppp_out {
	PPP_OUT_PLAIN,		/* nothing special: send it */
	PPP_OUT_RELEASE,	/* first NCP request: send it, then pass on
				 * the held frames */
	PPP_OUT_TERM_REQ,	/* LCP Terminate-Request: send it; if the
				 * client is gone answer it ourselves */
	PPP_OUT_BAD,		/* no protocol field, or plain data though MPPE
				 * is required or may be (not configured yet):
				 * drop */
};
enum ppp_out pppfilter_out(struct pppfilter *f, const uint8_t *frame,
    size_t len);

/* A frame's protocol, and the two bytes after it (0 where they are missing):
 * MPPE's bits and count.  False: it has no protocol field. */
bool pppfilter_look(const uint8_t *frame, size_t len, uint16_t *ret_protocol,
    uint16_t *ret_word);

/* The LCP Terminate-Ack for the Terminate-Request frame[0..len), written to
 * out (at least 8 bytes).  Returns its length, 0 if frame is not one. */
size_t pppfilter_term_ack(uint8_t *out, size_t size, const uint8_t *frame,
    size_t len);

/*
 * Does the frame claim a name: CHAP Response, PAP Authenticate-Request or EAP
 * identity?  Then the name, cut to what fits and ended by NUL, is in
 * out[0..size), size at least 1.
 */
bool pppfilter_claim(const uint8_t *frame, size_t len, char *out,
    size_t size);

#endif
