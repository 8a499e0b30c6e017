/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "req.h"

#include <arpa/inet.h>
#include <string.h>

bool
req_unicast(uint32_t addr)
{
	uint32_t a = ntohl(addr);

	return a >> 24 != 0 && a >> 28 < 0xe;
}

static bool
is_about_no_call(uint32_t op)
{
	return op == REQ_READY || op == REQ_KEEP || op == REQ_DROP ||
	    op == REQ_PONG || op == REQ_DRAIN || op == REQ_RESUME;
}

bool
req_check(const void *buf, size_t len, struct req *ret)
{
	struct req r;

	if (len != sizeof(r))
		return false;
	memcpy(&r, buf, sizeof(r));
	if (r.version != REQ_VERSION || r.call > UINT16_MAX ||
	    (r.call == 0) != is_about_no_call(r.op) ||
	    (r.key != 0 && r.op != REQ_KEEP && r.op != REQ_DROP))
		return false;
	switch (r.op) {
	case REQ_OPEN:
		if (r.peer_call > UINT16_MAX || !req_unicast(r.peer) ||
		    !req_unicast(r.own))
			return false;
		break;
	case REQ_START:
	case REQ_STOP:
	case REQ_TRAFFIC:
	case REQ_READY:
	case REQ_KEEP:
	case REQ_DROP:
	case REQ_PONG:
	case REQ_DRAIN:
	case REQ_RESUME:
		if (r.peer_call != 0 || r.peer != 0 || r.own != 0)
			return false;
		break;
	default:
		return false;
	}
	*ret = r;
	return true;
}

bool
rep_check(const void *buf, size_t len, struct rep *ret)
{
	struct rep r;

	if (len != sizeof(r))
		return false;
	memcpy(&r, buf, sizeof(r));
	if (r.version != REQ_VERSION || r.call > UINT16_MAX ||
	    r.op < REP_OPENED || r.op > REP_KEPT)
		return false;
	*ret = r;
	return true;
}

bool
ev_check(const void *buf, size_t len, struct ev *ret)
{
	struct ev e;

	if (len != sizeof(e))
		return false;
	memcpy(&e, buf, sizeof(e));
	if (e.version != EV_VERSION)
		return false;
	e.ifname[sizeof(e.ifname) - 1] = '\0';
	e.name[sizeof(e.name) - 1] = '\0';
	*ret = e;
	return true;
}
