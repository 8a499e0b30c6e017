/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The addresses of localip and remoteip: which slot is whose.  Lowest free
 * slot first, as PoPToP; the slot that a user had last is found again by
 * name.
 */
#ifndef PRIV_POOL_H
#define PRIV_POOL_H

#include <netinet/in.h>
#include <stdbool.h>

#include "conf.h"

struct pool;

#define POOL_NONE	(-1)
#define POOL_OUTSIDE	(-2)	/* a call with an address of its own */

/* Is an interface of this host using addr (ours or its peer's)?  Answers
 * what the pool cannot know: calls of an older manager, other programs. */
typedef bool (*pool_busy_fn)(struct in_addr addr);

/* As many slots as conf says; conf is borrowed for ever.  NULL: no memory. */
struct pool *pool_new(const struct conf *conf, pool_busy_fn busy);
void pool_free(struct pool *p);

/* Take the lowest free slot: its number, or POOL_NONE when all are taken or
 * there are as many calls as conf allows.  Addresses are 0 with delegate. */
int pool_take(struct pool *p, struct in_addr *ret_local,
    struct in_addr *ret_remote);

/*
 * User name is on slot: is the slot that it had last free, with the same
 * local address?  Then moves the reservation there and returns that slot,
 * else returns slot.
 */
int pool_prefer(struct pool *p, int slot, const char *name);

/*
 * The call on slot came up with address remote.  Is that not the slot's own,
 * because chap-secrets or a RADIUS server gives it to the user?  Then moves
 * the reservation to the slot that has it, or to POOL_OUTSIDE when none has,
 * so that nobody else gets that address, and others may have the slot's.
 * Returns the new slot; POOL_OUTSIDE too when another call has that slot.
 */
int pool_settle(struct pool *p, int slot, struct in_addr remote);

/* The addresses of a slot. */
void pool_addresses(const struct pool *p, int slot, struct in_addr *ret_local,
    struct in_addr *ret_remote);

/* Give a slot (or POOL_OUTSIDE) back; name (may be NULL) is remembered as its
 * last user. */
void pool_put(struct pool *p, int slot, const char *name);

/* A call of an earlier launcher has this address: take its slot, or
 * POOL_OUTSIDE when none has it or another call took it. */
int pool_claim(struct pool *p, struct in_addr remote);

/* User name had this address last, as pool_put remembers it.  The slot, or
 * POOL_NONE when there is none for it. */
int pool_remember(struct pool *p, struct in_addr remote, const char *name);

/* Slots in all, and calls. */
unsigned pool_size(const struct pool *p);
unsigned pool_used(const struct pool *p);

#endif
