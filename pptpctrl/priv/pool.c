/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/pool.h"

#include <stdlib.h>
#include <string.h>

struct slot {
	bool taken;
	char *last_user;	/* NULL: nobody yet */
};

struct pool {
	const struct conf *conf;
	pool_busy_fn busy;
	unsigned size;
	unsigned used;
	struct slot slot[];
};

struct pool *
pool_new(const struct conf *conf, pool_busy_fn busy)
{
	unsigned size = conf->connections;
	struct pool *p;

	if (!conf->delegate && size > conf->n_remote)
		size = (unsigned)conf->n_remote;
	p = calloc(1, sizeof(*p) + size * sizeof(p->slot[0]));
	if (!p)
		return NULL;
	p->conf = conf;
	p->busy = busy;
	p->size = size;
	return p;
}

void
pool_free(struct pool *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->size; i++)
		free(p->slot[i].last_user);
	free(p);
}

void
pool_addresses(const struct pool *p, int slot, struct in_addr *ret_local,
    struct in_addr *ret_remote)
{
	const struct conf *conf = p->conf;

	ret_local->s_addr = ret_remote->s_addr = 0;
	if (conf->delegate || slot < 0 || (unsigned)slot >= p->size)
		return;
	*ret_remote = conf->remote[slot];
	*ret_local = conf->local[conf->n_local == 1 ? 0 : slot];
}

static bool
is_free(const struct pool *p, unsigned i)
{
	struct in_addr local, remote;

	if (p->slot[i].taken)
		return false;
	pool_addresses(p, (int)i, &local, &remote);
	return remote.s_addr == 0 || !p->busy(remote);
}

int
pool_take(struct pool *p, struct in_addr *ret_local, struct in_addr *ret_remote)
{
	if (p->used >= p->conf->connections)
		return POOL_NONE;
	for (unsigned i = 0; i < p->size; i++) {
		if (!is_free(p, i))
			continue;
		p->slot[i].taken = true;
		p->used++;
		pool_addresses(p, (int)i, ret_local, ret_remote);
		return (int)i;
	}
	return POOL_NONE;
}

int
pool_prefer(struct pool *p, int slot, const char *name)
{
	struct in_addr local, remote, other_local;

	if (p->conf->delegate || slot < 0 || !name[0])
		return slot;
	pool_addresses(p, slot, &local, &remote);
	for (unsigned i = 0; i < p->size; i++) {
		if (!p->slot[i].last_user ||
		    strcmp(p->slot[i].last_user, name) != 0)
			continue;
		pool_addresses(p, (int)i, &other_local, &remote);
		if (other_local.s_addr != local.s_addr || !is_free(p, i))
			continue;
		p->slot[slot].taken = false;
		p->slot[i].taken = true;
		return (int)i;
	}
	return slot;
}

static int
slot_of(const struct pool *p, struct in_addr addr)
{
	for (unsigned i = 0; i < p->size; i++)
		if (p->conf->remote[i].s_addr == addr.s_addr)
			return (int)i;
	return POOL_OUTSIDE;
}

int
pool_settle(struct pool *p, int slot, struct in_addr remote)
{
	int other;

	if (p->conf->delegate || slot < 0 || (unsigned)slot >= p->size ||
	    p->conf->remote[slot].s_addr == remote.s_addr)
		return slot;
	p->slot[slot].taken = false;
	other = slot_of(p, remote);
	if (other == POOL_OUTSIDE || p->slot[other].taken)
		return POOL_OUTSIDE;
	p->slot[other].taken = true;
	return other;
}

static void
set_last_user(struct pool *p, struct slot *s, const char *name)
{
	/* One slot per user: the newest. */
	for (unsigned i = 0; i < p->size; i++) {
		if (p->slot[i].last_user &&
		    strcmp(p->slot[i].last_user, name) == 0) {
			free(p->slot[i].last_user);
			p->slot[i].last_user = NULL;
		}
	}
	free(s->last_user);
	s->last_user = strdup(name);
}

void
pool_put(struct pool *p, int slot, const char *name)
{
	struct slot *s;

	if (slot == POOL_OUTSIDE)
		p->used--;
	if (slot < 0 || (unsigned)slot >= p->size || !p->slot[slot].taken)
		return;
	s = &p->slot[slot];
	s->taken = false;
	p->used--;
	if (name && name[0])
		set_last_user(p, s, name);
}

int
pool_claim(struct pool *p, struct in_addr remote)
{
	int slot = POOL_OUTSIDE;

	/* With delegate any one stands for any call. */
	for (unsigned i = 0; p->conf->delegate && i < p->size; i++)
		if (!p->slot[i].taken)
			slot = (int)i;
	if (!p->conf->delegate)
		slot = slot_of(p, remote);
	p->used++;
	if (slot < 0 || p->slot[slot].taken)
		return POOL_OUTSIDE;
	p->slot[slot].taken = true;
	return slot;
}

int
pool_remember(struct pool *p, struct in_addr remote, const char *name)
{
	int slot = p->conf->delegate ? POOL_OUTSIDE : slot_of(p, remote);

	if (slot < 0)
		return POOL_NONE;
	set_last_user(p, &p->slot[slot], name);
	return slot;
}

unsigned
pool_size(const struct pool *p)
{
	return p->size;
}

unsigned
pool_used(const struct pool *p)
{
	return p->used;
}
