/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/bans.h"

#include <stdlib.h>
#include <string.h>

#define N_CHAINS	BANS_MAX	/* a power of two */
#define EVICT_LOOK	32u		/* entries looked at for one not banned */
#define DELAY_FIRST_MS	1000u		/* after the second failure */
#define DELAY_MAX_MS	8000u

TAILQ_HEAD(ban_age, ban);
LIST_HEAD(ban_chain, ban);

struct bans {
	uint64_t seed;
	unsigned n;		/* of entry, ever used */
	struct ban_age age;	/* oldest failure first */
	struct ban_age unused;
	struct ban_chain chain[N_CHAINS];
	struct ban entry[BANS_MAX];
};

struct bans *
bans_new(uint64_t seed)
{
	struct bans *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->seed = seed;
	TAILQ_INIT(&b->age);
	TAILQ_INIT(&b->unused);
	return b;
}

void
bans_free(struct bans *b)
{
	free(b);
}

static struct ban_chain *
chain_of(struct bans *b, uint32_t source, const char *name)
{
	uint64_t h = (b->seed ^ source) * 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < BANS_NAME - 1 && name[i] != '\0'; i++) {
		h = (h ^ (unsigned char)name[i]) * 0x100000001b3u;
		h ^= h >> 29;
	}
	return &b->chain[h % N_CHAINS];
}

static struct ban *
find(struct bans *b, uint32_t source, const char *name)
{
	struct ban *e;

	LIST_FOREACH(e, chain_of(b, source, name), chain)
		if (e->source == source &&
		    strncmp(e->name, name, BANS_NAME - 1) == 0)
			return e;
	return NULL;
}

static void
forget(struct bans *b, struct ban *e)
{
	LIST_REMOVE(e, chain);
	TAILQ_REMOVE(&b->age, e, age);
	TAILQ_INSERT_HEAD(&b->unused, e, age);
}

/* A place for a new entry: who is banned keeps his as long as possible. */
static struct ban *
take_place(struct bans *b, uint64_t now_ms)
{
	struct ban *e = TAILQ_FIRST(&b->unused), *look;
	unsigned n = 0;

	if (!e && b->n < BANS_MAX)
		return &b->entry[b->n++];
	if (!e) {
		e = TAILQ_FIRST(&b->age);
		TAILQ_FOREACH(look, &b->age, age) {
			if (look->until <= now_ms) {
				e = look;
				break;
			}
			if (++n == EVICT_LOOK)
				break;
		}
		forget(b, e);
	}
	TAILQ_REMOVE(&b->unused, e, age);
	return e;
}

enum bans_verdict
bans_ask(struct bans *b, uint32_t source, const char *name, uint64_t now_ms)
{
	const struct ban *e = find(b, source, name);

	if (!e)
		return BANS_PASS;
	if (e->until > now_ms)
		return BANS_BANNED;
	return e->not_before > now_ms ? BANS_LATER : BANS_PASS;
}

static uint64_t
delay(unsigned fails)
{
	uint64_t ms = DELAY_FIRST_MS;

	if (fails < 2)
		return 0;
	for (unsigned i = 2; i < fails && ms < DELAY_MAX_MS; i++)
		ms *= 2;
	return ms;
}

bool
bans_failed(struct bans *b, uint32_t source, const char *name, unsigned after,
    uint64_t time_ms, uint64_t now_ms)
{
	struct ban *e = find(b, source, name);

	if (e) {
		TAILQ_REMOVE(&b->age, e, age);
	} else {
		e = take_place(b, now_ms);
		memset(e, 0, sizeof(*e));
		e->source = source;
		strncpy(e->name, name, BANS_NAME - 1);
		LIST_INSERT_HEAD(chain_of(b, source, name), e, chain);
	}
	TAILQ_INSERT_TAIL(&b->age, e, age);
	if (e->until > now_ms)
		return false;	/* a call that was under way already */
	if (now_ms - e->failed_at > time_ms)
		e->fails = 0;
	e->fails++;
	e->failed_at = now_ms;
	e->not_before = now_ms + delay(e->fails);
	if (after == 0 || e->fails < after)
		return false;
	e->until = now_ms + time_ms;
	/* Who goes on after a ban is banned again sooner. */
	e->fails = after / 2;
	return true;
}

void
bans_clear(struct bans *b, uint32_t source, const char *name)
{
	struct ban *e = find(b, source, name);

	if (e)
		forget(b, e);
}

const struct ban *
bans_next(const struct bans *b, const struct ban *e)
{
	return e ? TAILQ_NEXT(e, age) : TAILQ_FIRST(&b->age);
}
