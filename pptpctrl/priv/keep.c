/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/keep.h"
#include "priv/store.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int
keep_init(struct keep *k, uint32_t n_keys)
{
	k->n_keys = n_keys;
	k->tcp = calloc(n_keys + 1u, sizeof(*k->tcp));
	k->pty = calloc(UINT16_MAX + 1u, sizeof(*k->pty));
	return k->tcp && k->pty ? 0 : -1;
}

static int
option(int fd, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -1 : value;
}

bool
keep_is_connection(int fd)
{
	return option(fd, SO_DOMAIN) == AF_INET &&
	    option(fd, SO_PROTOCOL) == IPPROTO_TCP &&
	    option(fd, SO_ACCEPTCONN) == 0;
}

void
keep_connection(struct keep *k, uint32_t key, int fd)
{
	k->tcp[key] = fd;
	k->n_tcp++;
}

bool
keep_tcp(struct keep *k, uint32_t key, int fd)
{
	if (fd >= 0 && key > 0 && key <= k->n_keys && k->tcp[key] == 0 &&
	    keep_is_connection(fd)) {
		keep_connection(k, key, fd);
		store_put(STORE_TCP, key, fd);
		return true;
	}
	if (fd >= 0)
		close(fd);
	return false;
}

void
keep_drop_tcp(struct keep *k, uint32_t key)
{
	if (key > k->n_keys || k->tcp[key] == 0)
		return;
	store_remove(STORE_TCP, key);
	close(k->tcp[key]);
	k->tcp[key] = 0;
	k->n_tcp--;
}

void
keep_pty(struct keep *k, uint16_t call, int fd)
{
	k->pty[call] = fd;
	store_put(STORE_PTY, call, fd);
}

void
keep_drop_pty(struct keep *k, uint16_t call)
{
	if (k->pty[call] <= 0)
		return;
	store_remove(STORE_PTY, call);
	close(k->pty[call]);
	k->pty[call] = 0;
}

void
keep_end_all(struct keep *k)
{
	/* RFC 2637 section 2.3, reason 3: local shutdown. */
	static const uint8_t stop[16] = { 0, 16, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d,
	    0, 3, 0, 0, 3, 0, 0, 0 };

	for (uint32_t key = 1; key <= k->n_keys; key++) {
		if (k->tcp[key] == 0)
			continue;
		(void)send(k->tcp[key], stop, sizeof(stop), MSG_NOSIGNAL |
		    MSG_DONTWAIT);
		shutdown(k->tcp[key], SHUT_RDWR);
		keep_drop_tcp(k, key);
	}
}
