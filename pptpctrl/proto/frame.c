/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/frame.h"

#include "proto/msg.h"
#include "proto/wire.h"

enum frame_status
frame_next(const uint8_t *buf, size_t len, size_t *ret_len)
{
	struct rd r = { .p = buf, .left = len };
	uint16_t said, control, type;
	uint32_t cookie;

	/* A wrong length is seen here, before anything is computed from it
	 * (CVE-2003-0213), and a peer that sends one is not waited for. */
	said = rd_u16(&r);
	if (r.bad)
		return FRAME_MORE;
	if (said < FRAME_HDR_LEN || said > FRAME_MAX_LEN)
		return FRAME_DESYNC;

	control = rd_u16(&r);
	if (r.bad)
		return FRAME_MORE;
	if (control != MSG_CONTROL)
		return FRAME_DESYNC;

	cookie = rd_u32(&r);
	if (r.bad)
		return FRAME_MORE;
	if (cookie != MSG_COOKIE)
		return FRAME_DESYNC;

	type = rd_u16(&r);
	if (r.bad)
		return FRAME_MORE;
	if (said != msg_len(type))
		return FRAME_DESYNC;

	if (len < said)
		return FRAME_MORE;
	*ret_len = said;
	return FRAME_READY;
}
