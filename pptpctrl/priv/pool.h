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

/* Is an interface of this host using addr (ours or its peer's)?  Answers
 * what the pool cannot know: calls of an older manager, other programs. */
typedef bool (*pool_busy_fn)(struct in_addr addr);

/* As many slots as conf says; conf is borrowed for ever.  NULL: no memory. */
struct pool *pool_new(const struct conf *conf, pool_busy_fn busy);
void pool_free(struct pool *p);

/* Take the lowest free slot: its number, or POOL_NONE when all are taken.
 * Addresses are 0 with delegate. */
int pool_take(struct pool *p, struct in_addr *ret_local,
    struct in_addr *ret_remote);

/*
 * User name is on slot: is the slot that it had last free, with the same
 * local address?  Then moves the reservation there and returns that slot,
 * else returns slot.
 */
int pool_prefer(struct pool *p, int slot, const char *name);

/* The addresses of a slot. */
void pool_addresses(const struct pool *p, int slot, struct in_addr *ret_local,
    struct in_addr *ret_remote);

/* Give a slot back; name (may be NULL) is remembered as its last user. */
void pool_put(struct pool *p, int slot, const char *name);

/* Slots in all and taken. */
unsigned pool_size(const struct pool *p);
unsigned pool_used(const struct pool *p);

#endif
