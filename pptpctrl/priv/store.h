/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors that outlive the launcher: each has a kind and a number, which
 * make its name.  They are handed to systemd's descriptor store as they come,
 * so that a launcher started after a kill finds them in LISTEN_FDS, and
 * through execve by store_exec.
 *
 * The store knows descriptors, it does not own them.
 */
#ifndef PRIV_STORE_H
#define PRIV_STORE_H

#include <stdbool.h>
#include <stdint.h>

#define STORE_NUMBERS	131072u		/* numbers are below */

enum store_kind {
	STORE_CALLS,		/* launcher's table; its generation */
	STORE_WORKER,		/* worker's table; its generation */
	STORE_TUNNEL,		/* kernel's end of the L2TP pair */
	STORE_RELAY,		/* and the relay's */
	STORE_GRE,
	STORE_LISTEN,		/* where clients come to (listen.h) */
	STORE_STATUS,		/* where pptpctrl comes to now */
	STORE_SHIM,		/* to a per-call parent; call id */
	STORE_CHANNEL,		/* of a call without pppd; call id */
	STORE_PTY,		/* master; call id */
	STORE_TCP,		/* control connection; key */
	STORE_EVENT,		/* where a pppd reports; call id */
	STORE_OFFLOAD,		/* the fast path's name and maps */
	STORE_CONF,		/* the last good configuration (lastgood.h) */
	STORE_KINDS
};

/*
 * Look at what was handed to this process.  Call it once, before anything
 * else asks for LISTEN_FDS.  0, or -1 with errno.
 */
int store_init(void);

/* What came that is not ours: the sockets of pptpd.socket.  Returns how many
 * there are, at most max are copied to ret with their names (borrowed). */
int store_others(int *ret, const char **ret_name, int max);

/* Is there a launcher's table among what was handed over? */
bool store_inherited(void);

/* Does systemd hold what is put here?  As far as can be known. */
bool store_is_kept(void);

/*
 * The descriptor that was handed over under this name, -1 if none was.  It is
 * the caller's from then on, and in the store.
 */
int store_take(enum store_kind kind, uint32_t n);

/* The highest number that was handed over of a kind and not taken, or -1. */
long store_last(enum store_kind kind);

/* Forget what was handed over and not taken: close it. */
void store_drop_rest(void);

/* Put fd, replacing another of that name.  It stays the caller's. */
void store_put(enum store_kind kind, uint32_t n, int fd);

/* Take a name away, before the descriptor is closed. */
void store_remove(enum store_kind kind, uint32_t n);

/* Take everything away: nothing of this server is to outlive it. */
void store_empty(void);

/* Execute path with all that is in the store and the sockets of store_others.
 * Returns only on failure, with errno, and all is as before. */
void store_exec(const char *path, char **argv);

#endif
