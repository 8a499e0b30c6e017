/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "net/status.h"

static bool
known_selection(const struct status_request *r)
{
	switch (r->op) {
	case STATUS_LIST:
	case STATUS_NUMBERS:
	case STATUS_DRAIN:
	case STATUS_RESUME:
	case STATUS_TAKE:
		return true;
	case STATUS_TERMINATE:
		return r->select >= STATUS_ALL && r->select <= STATUS_BY_IP;
	case STATUS_UNBAN:
		return r->select == STATUS_ALL || r->select == STATUS_BY_USER;
	}
	return false;
}

bool
status_check(const void *buf, size_t len, struct status_request *ret)
{
	struct status_request r;

	if (len != sizeof(r))
		return false;
	memcpy(&r, buf, sizeof(r));
	if (r.version != STATUS_VERSION || !known_selection(&r) ||
	    !memchr(r.user, '\0', sizeof(r.user)))
		return false;
	*ret = r;
	return true;
}
