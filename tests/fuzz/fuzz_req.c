/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What comes over sockets between processes: the worker's requests, the
 * launcher's answers, the plugin's events, the status socket's requests.  The
 * first byte says which. */
#undef NDEBUG
#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "net/status.h"
#include "req.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_req(const uint8_t *data, size_t size)
{
	struct req r, before;

	memset(&r, 0x55, sizeof(r));
	before = r;
	if (!req_check(data, size, &r)) {
		assert(memcmp(&r, &before, sizeof(r)) == 0);
		return;
	}
	assert(size == sizeof(r) && r.version == REQ_VERSION);
	assert(r.op >= REQ_OPEN && r.call <= UINT16_MAX);
	if (r.op == REQ_OPEN)
		assert(r.call > 0 && r.peer_call <= UINT16_MAX &&
		    req_unicast(r.peer) && req_unicast(r.own));
	else
		assert(r.peer == 0 && r.own == 0 && r.peer_call == 0);
}

static void
check_rep(const uint8_t *data, size_t size)
{
	struct rep r;

	if (rep_check(data, size, &r))
		assert(size == sizeof(r) && r.call <= UINT16_MAX);
}

static void
check_ev(const uint8_t *data, size_t size)
{
	struct ev e;

	if (ev_check(data, size, &e))
		assert(memchr(e.name, '\0', sizeof(e.name)) &&
		    memchr(e.ifname, '\0', sizeof(e.ifname)));
}

static void
check_status(const uint8_t *data, size_t size)
{
	struct status_request r;

	if (status_check(data, size, &r))
		assert(memchr(r.user, '\0', sizeof(r.user)) &&
		    r.op >= STATUS_LIST && r.op <= STATUS_TAKE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const check[])(const uint8_t *, size_t) = {
		check_req, check_rep, check_ev, check_status,
	};

	if (size > 0)
		check[data[0] % 4](data + 1, size - 1);
	return 0;
}
