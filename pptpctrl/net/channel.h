/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One call's way to its pppd: frames as PPP over L2TP on the loopback UDP
 * pair that all calls share, or as async HDLC on a pty of its own.  On the
 * kernel path there is none.
 */
#ifndef NET_CHANNEL_H
#define NET_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "proto/hdlc.h"

#define CHANNEL_HEADROOM 8u	/* bytes that channel_put may write before */
/* The kernel's L2TP takes no frame that is shorter: it wants 14 bytes with the
 * header (L2TP_HDR_SIZE_MAX), and leaves the others in its socket. */
#define CHANNEL_MIN	8u
#define L2TP_HEADER	6u	/* RFC 2661 3.1: flags, tunnel, session */

/* --- the pair that all relay calls share ------------------------------- */

#define L2TP_BATCH	64u

struct senders;

struct l2tp {			/* private, but embedded by the relay */
	int fd;
	unsigned n;
	struct {
		uint8_t *at;	/* starts with the L2TP header */
		size_t len;
	} out[L2TP_BATCH];
	bool no_gso;		/* the kernel refused UDP_SEGMENT */
	uint64_t n_dropped;
	bool by_session;	/* one send's frames are of one session */
	struct senders *senders;	/* who may send them; NULL: nobody */
};

/* by_session: a send is of one session only, so that each session's can be
 * queued by itself. */
void l2tp_init(struct l2tp *l, int fd, bool by_session);

/* Send what channel_put collected; what the kernel refuses is counted. */
void l2tp_flush(struct l2tp *l);

/* --- a call's channel --------------------------------------------------- */

/* A frame from pppd; valid during the call only, no headroom.  NULL: no more
 * for now. */
typedef void (*channel_rx_fn)(void *arg, const uint8_t *frame, size_t len);

enum channel_kind {
	CHANNEL_NONE,
	CHANNEL_L2TP,
	CHANNEL_PTY,
};

struct channel {		/* private, but embedded by the flow */
	enum channel_kind kind;
	uint8_t header[L2TP_HEADER];
	struct l2tp *l2tp;	/* borrowed */
	uint32_t n_put;
	/* pty */
	int fd;
	bool ready;		/* pppd has made it a PPP line */
	bool waiting;		/* for room */
	sd_event_source *io;
	uint8_t *out;		/* encoded, not yet written */
	size_t out_len;
	struct hdlc_dec *dec;
	channel_rx_fn rx;
	void *arg;
	uint64_t n_dropped;
};

/* A channel that is not there yet, or on the kernel path never. */
void channel_init(struct channel *c);

/* On the shared pair: session id is the call id. */
void channel_l2tp(struct channel *c, struct l2tp *l, uint16_t tunnel,
    uint16_t session);

/* On the pty master fd, which it owns from now on.  0 or -errno. */
int channel_pty(struct channel *c, sd_event *loop, int fd, channel_rx_fn rx,
    void *arg);

/* pppd has the pty: what waited may be written. */
void channel_ready(struct channel *c);

/*
 * Pass a frame on.  CHANNEL_HEADROOM bytes before it may be overwritten, and
 * so may what it lacks of CHANNEL_MIN after it: zeros there are padding (RFC
 * 1661 section 2).  It must stay until channel_flush (or l2tp_flush).
 */
void channel_put(struct channel *c, uint8_t *frame, size_t len);

/* Write what was put. */
void channel_flush(struct channel *c);

/* Give rx what lies in a pty; the L2TP socket is its owner's to read. */
void channel_read(struct channel *c);

/* Forget it; a pty is hung up. */
void channel_close(struct channel *c);

#endif
