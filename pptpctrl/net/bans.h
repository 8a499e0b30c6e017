/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Failed logins by user and source: how long the next answer of that pair to
 * a challenge waits, and whether it is banned.  A table of fixed size; where
 * it is full the entry with the oldest failure gives way.
 *
 * No system calls, no clock, no log: times are milliseconds of one monotonic
 * clock, never 0.
 */
#ifndef NET_BANS_H
#define NET_BANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define BANS_NAME	64u	/* bytes of a name that count, with the NUL */
#define BANS_MAX	4096u	/* pairs remembered */

struct bans;

struct ban {			/* read, do not write */
	uint32_t source;	/* first bits of the address, host order */
	char name[BANS_NAME];	/* as the client sent it */
	unsigned fails;
	uint64_t failed_at;
	uint64_t not_before;	/* the next answer counts from then on */
	uint64_t until;		/* banned; 0: is not */
	TAILQ_ENTRY(ban) age;
	LIST_ENTRY(ban) chain;
};

enum bans_verdict {
	BANS_PASS,
	BANS_LATER,		/* drop this answer; the client sends another */
	BANS_BANNED,
};

/* seed: random, so that nobody can choose names that collide.  NULL: out of
 * memory. */
struct bans *bans_new(uint64_t seed);
void bans_free(struct bans *b);

/* May name of source try now? */
enum bans_verdict bans_ask(struct bans *b, uint32_t source, const char *name,
    uint64_t now_ms);

/* It failed.  after: failures until a ban, 0: none ever; time_ms: how long a
 * ban lasts, and how long a failure counts.  True: it is banned now, and was
 * not before. */
bool bans_failed(struct bans *b, uint32_t source, const char *name,
    unsigned after, uint64_t time_ms, uint64_t now_ms);

/* It logged in: all is forgotten. */
void bans_clear(struct bans *b, uint32_t source, const char *name);

/* The entry after e, by the age of the last failure; NULL: the first, or no
 * more. */
const struct ban *bans_next(const struct bans *b, const struct ban *e);

#endif
