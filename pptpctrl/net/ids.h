/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Call ids of this end: random, so that they cannot be guessed, and none that
 * a call had of late, whose frames may still be under way (RFC 2637 section
 * 4.1: a frame is its call's by the id alone).
 */
#ifndef NET_IDS_H
#define NET_IDS_H

#include <stdint.h>
#include <sys/queue.h>

#define IDS_REST_MS	60000u	/* an id that a call had waits so long */

struct ids_resting;

struct ids {			/* private, but embedded by the caller */
	uint8_t state[UINT16_MAX + 1];
	STAILQ_HEAD(, ids_resting) resting;	/* the first to wake first */
};

/* All are free. */
void ids_init(struct ids *ids);

/* A free id, in use from now on; 0 when there is none.  now_ms: of one
 * monotonic clock. */
uint16_t ids_take(struct ids *ids, uint64_t now_ms);

/* id belongs to a call that is there already. */
void ids_use(struct ids *ids, uint16_t id);

/* Its call is over: it rests. */
void ids_rest(struct ids *ids, uint16_t id, uint64_t now_ms);

/* No client ever heard of it: it is free at once. */
void ids_put(struct ids *ids, uint16_t id);

#endif
