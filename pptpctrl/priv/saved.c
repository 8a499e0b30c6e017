/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/saved.h"

#include <string.h>

#include "log.h"
#include "req.h"

/* Raise SAVED_MAJOR when a field moves or means something else.  Tests build
 * other ones. */
#define MAGIC		0x4c575450u	/* "PTWL" */
#ifndef SAVED_MAJOR
#define SAVED_MAJOR	1u
#endif
#ifndef SAVED_MINOR
#define SAVED_MINOR	1u
#endif
#define SPARE		128u

const struct state_kind *
saved_kind(void)
{
	static const struct state_kind kind = {
		.magic = MAGIC, .major = SAVED_MAJOR, .minor = SAVED_MINOR,
		.rec_size = sizeof(struct saved_call) + SPARE,
	};

	return &kind;
}

static bool
get(const struct state *t, uint32_t i, void *ret, size_t size,
    const char *what)
{
	enum state_got got = state_get(t, i, ret, size, NULL);

	if (got == STATE_BAD)
		log_err("MGR: record %u of the table of calls (%s) is corrupt",
		    i, what);
	return got == STATE_OK;
}

static bool
is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

bool
saved_get_server(const struct state *t, struct saved_server *ret)
{
	return get(t, 0, ret, sizeof(*ret), "server") &&
	    ret->n_calls < t->n;
}

bool
saved_get_call(const struct state *t, uint32_t i, struct saved_call *ret)
{
	return get(t, i, ret, sizeof(*ret), "call") && ret->id != 0 &&
	    req_unicast(ret->peer.s_addr) &&
	    is_text(ret->ifname, sizeof(ret->ifname)) &&
	    is_text(ret->user, sizeof(ret->user));
}

bool
saved_get_user(const struct state *t, uint32_t i, struct saved_user *ret)
{
	return get(t, i, ret, sizeof(*ret), "user") && ret->user[0] &&
	    is_text(ret->user, sizeof(ret->user));
}
