/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asynchronous HDLC framing for the pty channel: RFC 1662 sections 3 and 4
 * (flag 0x7e, escape 0x7d, FCS-16).
 *
 * Pure: no system calls, no allocation, no clock, no log.
 */
#ifndef PROTO_HDLC_H
#define PROTO_HDLC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HDLC_FRAME_MAX	2048u	/* frame with FCS, before escaping */

/* Most bytes that n bytes of frame can become on the line. */
#define HDLC_ENCODED_MAX(n)	(2u * ((n) + 2u) + 2u)

/*
 * Encode frame[0..len) (starting at ff 03 or at the protocol) with opening
 * and closing flag and FCS to out.  Escapes 0x7d, 0x7e and the control
 * characters whose bit is set in accm.  Returns the length, or 0 when out_size
 * is less than HDLC_ENCODED_MAX(len) or the frame is empty or longer than
 * HDLC_FRAME_MAX - 2.
 */
size_t hdlc_encode(uint8_t *out, size_t out_size, const uint8_t *frame,
    size_t len, uint32_t accm);

struct hdlc_dec {		/* private, but embedded by the caller */
	uint8_t buf[HDLC_FRAME_MAX];
	size_t len;
	bool escaped;
	bool hunting;		/* drop until the next flag */
	/* Counters, for the caller to read. */
	uint32_t n_bad_fcs, n_overrun, n_short, n_abort;
};

/* What comes before the first flag (an echoing tty's) is dropped. */
void hdlc_dec_init(struct hdlc_dec *d);

/*
 * Feed in[0..len).  Stops after the first whole frame: sets *ret_frame (into
 * d, valid until the next call) and *ret_len without FCS and returns the
 * bytes consumed.  When no frame is whole yet, *ret_frame is NULL and all
 * len bytes are consumed.
 */
size_t hdlc_decode(struct hdlc_dec *d, const uint8_t *in, size_t len,
    const uint8_t **ret_frame, size_t *ret_len);

#endif
