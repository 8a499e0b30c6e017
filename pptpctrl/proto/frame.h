/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cut a control connection's byte stream into PPTP messages.
 * RFC 2637 section 1.4: a peer that loses sync is disconnected.
 *
 * Pure: no system calls, no allocation, no clock, no log.
 */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_HDR_LEN	12u	/* length, type, cookie, code, reserved */
#define FRAME_MAX_LEN	220u	/* the longest message: Incoming-Call-Request */

enum frame_status {
	FRAME_READY,		/* one whole message is in the buffer */
	FRAME_MORE,		/* nothing wrong so far; read more */
	FRAME_DESYNC,		/* not PPTP; close the connection */
};

/*
 * Examine the first message in buf[0..len).  Keeps no pointer to buf.  Each
 * header field is judged as soon as it is there; the length must be the one
 * of the message's type.  Sets *ret_len, the number of bytes to consume, only
 * on FRAME_READY.
 */
enum frame_status frame_next(const uint8_t *buf, size_t len, size_t *ret_len);

#endif
