/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/admit.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define US		1000u		/* rates count in microseconds */
#define SOURCE_FACTOR	4u		/* ban-after of a whole source */
#define SLOW_LOGIN_US	2000000u	/* between logins of a bad source */
#define N_LISTED	(ADMIT_LOGIN + 1)

TAILQ_HEAD(client_list, admit_client);

struct admit_source {
	uint32_t key;
	unsigned n_clients;		/* whatever their stage */
	unsigned n[ADMIT_STAGES];
	unsigned n_calls, n_auth, n_starting;
	/* When the next one may come if they come evenly; microseconds. */
	uint64_t conn_at, call_at, login_at;
	unsigned fails;
	uint64_t failed_at, banned_until;
	struct client_list own[N_LISTED];	/* oldest first */
	LIST_ENTRY(admit_source) chain;
	TAILQ_ENTRY(admit_source) age;	/* while it has no client */
};

struct admit {
	const struct conf_limits *limits;
	uint64_t seed;
	struct bans *bans;
	unsigned max_open;
	bool draining;
	unsigned n[ADMIT_STAGES];
	struct client_list all[N_LISTED];
	uint64_t count[ADMIT_COUNTS];
	/* Sources by key; those without a client, oldest first. */
	TAILQ_HEAD(, admit_source) idle;
	unsigned n_sources, max_sources;
	uint32_t chain_mask;
	LIST_HEAD(source_chain, admit_source) *chain;
	struct admit_source *source;
};

static const struct {
	const char *name, *text;
} counts[ADMIT_COUNTS] = {
	[ADMIT_DENIED] = { "denied", "allow and deny do not let it in" },
	[ADMIT_HOSTS] = { "hosts", "hosts.allow and hosts.deny do not let it "
	    "in" },
	[ADMIT_FULL] = { "full", "there are as many connections as there "
	    "can be" },
	[ADMIT_RATE] = { "connection-rate", "connects too often "
	    "(connection-rate)" },
	[ADMIT_SLOWED] = { "slowed", "connects too often and waits "
	    "(connection-rate)" },
	[ADMIT_HALF_OPEN_OF_SOURCE] = { "half-open-of-source", "says nothing, "
	    "and gave way to a newer one (max-half-open-per-source)" },
	[ADMIT_HALF_OPEN_ALL] = { "half-open", "says nothing, and gave way to "
	    "a newer one (max-half-open)" },
	[ADMIT_UNAUTH_OF_SOURCE] = { "unauthenticated-of-source", "does not "
	    "log in, and gave way to a newer one "
	    "(max-unauthenticated-per-source)" },
	[ADMIT_UNAUTH_ALL] = { "unauthenticated", "does not log in, and gave "
	    "way to a newer one (max-unauthenticated)" },
	[ADMIT_CALL_RATE] = { "call-rate", "calls too often (call-rate)" },
	[ADMIT_CALLS_OF_SOURCE] = { "calls-of-source", "has as many calls as "
	    "it may (max-calls-per-source)" },
	[ADMIT_SOURCE_BANNED] = { "source-banned", "is banned after failed "
	    "logins (ban-after)" },
	[ADMIT_LOGIN_FAILED] = { "login-failed", "failed to log in" },
	[ADMIT_LOGIN_DELAYED] = { "login-delayed", "has to wait after failed "
	    "logins" },
	[ADMIT_LOGIN_BANNED] = { "login-banned", "is banned after failed "
	    "logins (ban-after)" },
	[ADMIT_BANS] = { "bans", "was banned" },
	[ADMIT_SOURCE_BANS] = { "source-bans", "was banned" },
	[ADMIT_USER_LIMIT] = { "user-limit", "has as many calls as the user "
	    "may" },
	[ADMIT_USER_REPLACED] = { "user-replaced", "was replaced" },
	[ADMIT_DRAINING] = { "draining", "no new calls (pptpctrl resume ends "
	    "that)" },
};

const char *
admit_count_name(enum admit_count what)
{
	return what < ADMIT_COUNTS ? counts[what].name : "?";
}

const char *
admit_count_text(enum admit_count what)
{
	return what < ADMIT_COUNTS ? counts[what].text : "?";
}

void
admit_note(struct admit *a, enum admit_count what)
{
	a->count[what]++;
}

uint64_t
admit_counted(const struct admit *a, enum admit_count what)
{
	return a->count[what];
}

unsigned
admit_in_stage(const struct admit *a, enum admit_stage stage)
{
	return a->n[stage];
}

const struct bans *
admit_bans(const struct admit *a)
{
	return a->bans;
}

struct admit *
admit_new(const struct conf_limits *limits, unsigned calls, uint64_t seed)
{
	struct admit *a = calloc(1, sizeof(*a));
	uint32_t chains = 1024;

	if (!a)
		return NULL;
	a->limits = limits;
	a->seed = seed;
	a->max_open = CONF_OPEN(limits, calls);
	if (limits->most_open > 0 && limits->most_open < a->max_open)
		a->max_open = limits->most_open;
	/* Calls can outlive their connection. */
	a->max_sources = a->max_open + calls + ADMIT_SOURCES;
	while (chains < a->max_sources)
		chains *= 2;
	a->chain_mask = chains - 1;
	a->chain = calloc(chains, sizeof(*a->chain));
	a->source = calloc(a->max_sources, sizeof(*a->source));
	a->bans = bans_new(seed);
	TAILQ_INIT(&a->idle);
	for (int i = 0; i < N_LISTED; i++)
		TAILQ_INIT(&a->all[i]);
	if (a->chain && a->source && a->bans)
		return a;
	admit_free(a);
	return NULL;
}

void
admit_free(struct admit *a)
{
	if (!a)
		return;
	bans_free(a->bans);
	free(a->source);
	free(a->chain);
	free(a);
}

/* --- sources ------------------------------------------------------------ */

static struct source_chain *
chain_of(struct admit *a, uint32_t key)
{
	uint64_t h = (key ^ a->seed) * (a->seed >> 1 | 1) *
	    0x9e3779b97f4a7c15u;

	return &a->chain[h >> 32 & a->chain_mask];
}

/* A node nobody has, or that of the source which was idle for longest; one
 * that is banned only when there is no other near. */
static struct admit_source *
take_node(struct admit *a, uint64_t now_ms)
{
	struct admit_source *s, *look;
	unsigned n = 0;

	if (a->n_sources < a->max_sources)
		return &a->source[a->n_sources++];
	s = TAILQ_FIRST(&a->idle);
	if (!s)
		return NULL;
	TAILQ_FOREACH(look, &a->idle, age) {
		if (look->banned_until <= now_ms) {
			s = look;
			break;
		}
		if (++n == 32)
			break;
	}
	LIST_REMOVE(s, chain);
	TAILQ_REMOVE(&a->idle, s, age);
	return s;
}

static struct admit_source *
source_of(struct admit *a, struct in_addr addr, uint64_t now_ms)
{
	uint32_t key = ntohl(addr.s_addr) &
	    UINT32_MAX << (32 - a->limits->source_prefix.n);
	struct source_chain *chain = chain_of(a, key);
	struct admit_source *s;

	LIST_FOREACH(s, chain, chain)
		if (s->key == key)
			return s;
	s = take_node(a, now_ms);
	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->key = key;
	for (int i = 0; i < N_LISTED; i++)
		TAILQ_INIT(&s->own[i]);
	LIST_INSERT_HEAD(chain, s, chain);
	TAILQ_INSERT_TAIL(&a->idle, s, age);
	return s;
}

static bool
trusted(const struct admit_source *s)
{
	return s->n_auth > 0;
}

static bool
source_banned(const struct admit_source *s, uint64_t now_ms)
{
	return !trusted(s) && s->banned_until > now_ms;
}

/* How long the next one has to wait, in microseconds; 0: it may come now. */
static uint64_t
too_early(uint64_t at, unsigned rate, unsigned burst, uint64_t now_us)
{
	uint64_t ahead = at > now_us ? at - now_us : 0;
	uint64_t allowed;

	if (rate == 0)
		return 0;
	allowed = (burst - 1) * (1000000u / rate);
	return ahead > allowed ? ahead - allowed : 0;
}

static void
charge(uint64_t *at, unsigned rate, uint64_t now_us)
{
	if (rate == 0)
		return;
	if (*at < now_us)
		*at = now_us;
	*at += 1000000u / rate;
}

/* --- connections -------------------------------------------------------- */

static void
enter(struct admit *a, struct admit_client *c, enum admit_stage stage)
{
	struct admit_source *s = c->source;

	if (c->stage >= ADMIT_HALF_OPEN && c->stage < N_LISTED) {
		TAILQ_REMOVE(&a->all[c->stage], c, all);
		TAILQ_REMOVE(&s->own[c->stage], c, own);
	}
	if (c->stage != ADMIT_NONE) {
		a->n[c->stage]--;
		s->n[c->stage]--;
	}
	c->stage = stage;
	if (stage != ADMIT_NONE) {
		a->n[stage]++;
		s->n[stage]++;
	}
	if (stage >= ADMIT_HALF_OPEN && stage < N_LISTED) {
		TAILQ_INSERT_TAIL(&a->all[stage], c, all);
		TAILQ_INSERT_TAIL(&s->own[stage], c, own);
	}
}

/* The oldest of a list that is not c itself. */
static struct admit_client *
oldest(const struct client_list *list, const struct admit_client *c)
{
	struct admit_client *e = TAILQ_FIRST(list);

	return e == c ? NULL : e;
}

static struct admit_client *
displace(struct admit *a, struct admit_client *victim, enum admit_count why,
    enum admit_count *ret_why)
{
	if (!victim)
		return NULL;
	a->count[why]++;
	*ret_why = why;
	enter(a, victim, ADMIT_LEAVING);
	return victim;
}

static struct admit_client *
half_open_victim(struct admit *a, const struct admit_client *c,
    enum admit_count *ret_why)
{
	const struct admit_source *s = c->source;

	if (s->n[ADMIT_HALF_OPEN] > a->limits->max_half_open_source.n)
		return displace(a, oldest(&s->own[ADMIT_HALF_OPEN], c),
		    ADMIT_HALF_OPEN_OF_SOURCE, ret_why);
	if (a->n[ADMIT_HALF_OPEN] > a->limits->max_half_open.n)
		return displace(a, oldest(&a->all[ADMIT_HALF_OPEN], c),
		    ADMIT_HALF_OPEN_ALL, ret_why);
	return NULL;
}

static unsigned
unauthenticated(const unsigned n[ADMIT_STAGES])
{
	return n[ADMIT_GREETED] + n[ADMIT_LOGIN];
}

static struct admit_client *
oldest_unauthenticated(const struct client_list *list,
    const struct admit_client *c)
{
	struct admit_client *e = oldest(&list[ADMIT_GREETED], c);

	return e ? e : oldest(&list[ADMIT_LOGIN], c);
}

static unsigned
open_connections(const struct admit *a)
{
	return a->n[ADMIT_HALF_OPEN] + a->n[ADMIT_GREETED] +
	    a->n[ADMIT_LOGIN] + a->n[ADMIT_AUTH] + a->n[ADMIT_LEAVING];
}

/* Does the rate allow it?  A source with a call up may wait. */
static bool
in_time(struct admit *a, struct admit_source *s, uint64_t now_us,
    uint64_t *ret_wait_ms, enum admit_count *ret_why)
{
	const struct conf_limits *l = a->limits;
	uint64_t early = too_early(s->conn_at, l->connection_rate.n,
	    l->connection_burst.n, now_us);

	*ret_wait_ms = (early + US - 1) / US;
	if (early > 0 && (!trusted(s) || *ret_wait_ms > ADMIT_WAIT_MAX_MS)) {
		*ret_why = ADMIT_RATE;
		return false;
	}
	if (early > 0)
		a->count[ADMIT_SLOWED]++;
	charge(&s->conn_at, l->connection_rate.n, now_us);
	return true;
}

static bool
may_connect(struct admit *a, struct in_addr addr, uint64_t now_ms,
    struct admit_source **ret_source, uint64_t *ret_wait_ms,
    enum admit_count *ret_why)
{
	const struct conf_limits *l = a->limits;

	*ret_why = ADMIT_DENIED;
	if (conf_nets_match(&l->deny, addr) ||
	    (l->allow.n > 0 && !conf_nets_match(&l->allow, addr)))
		return false;
	*ret_why = ADMIT_DRAINING;
	if (a->draining)
		return false;
	*ret_why = ADMIT_FULL;
	if (open_connections(a) >= a->max_open)
		return false;
	*ret_source = source_of(a, addr, now_ms);
	return *ret_source && in_time(a, *ret_source, now_ms * US,
	    ret_wait_ms, ret_why);
}

bool
admit_connect(struct admit *a, struct admit_client *c, struct in_addr addr,
    uint64_t now_ms, uint64_t *ret_wait_ms, struct admit_client **ret_victim,
    enum admit_count *ret_why)
{
	struct admit_source *s;

	if (!may_connect(a, addr, now_ms, &s, ret_wait_ms, ret_why)) {
		a->count[*ret_why]++;
		return false;
	}
	if (s->n_clients++ == 0)
		TAILQ_REMOVE(&a->idle, s, age);
	c->source = s;
	enter(a, c, ADMIT_HALF_OPEN);
	*ret_victim = half_open_victim(a, c, ret_why);
	return true;
}

bool
admit_adopt(struct admit *a, struct admit_client *c, struct in_addr addr,
    enum admit_stage stage, unsigned n_calls, unsigned n_auth,
    uint64_t now_ms)
{
	struct admit_source *s = source_of(a, addr, now_ms);

	if (!s)
		return false;
	if (s->n_clients++ == 0)
		TAILQ_REMOVE(&a->idle, s, age);
	c->source = s;
	c->n_calls = n_calls;
	c->n_auth = n_auth;
	s->n_calls += n_calls;
	s->n_auth += n_auth;
	enter(a, c, stage);
	return true;
}

struct admit_client *
admit_greeted(struct admit *a, struct admit_client *c,
    enum admit_count *ret_why)
{
	const struct conf_limits *l = a->limits;
	struct admit_source *s = c->source;

	if (c->stage != ADMIT_HALF_OPEN)
		return NULL;
	enter(a, c, ADMIT_GREETED);
	if (unauthenticated(s->n) > l->max_unauthenticated_source.n)
		return displace(a, oldest_unauthenticated(s->own, c),
		    ADMIT_UNAUTH_OF_SOURCE, ret_why);
	if (unauthenticated(a->n) > l->max_unauthenticated.n)
		return displace(a, oldest_unauthenticated(a->all, c),
		    ADMIT_UNAUTH_ALL, ret_why);
	return NULL;
}

void
admit_closed(struct admit *a, struct admit_client *c)
{
	if (c->source && c->stage != ADMIT_CLOSED)
		enter(a, c, ADMIT_CLOSED);
}

void
admit_gone(struct admit *a, struct admit_client *c)
{
	struct admit_source *s = c->source;

	if (!s)
		return;
	enter(a, c, ADMIT_NONE);
	c->source = NULL;
	if (--s->n_clients == 0)
		TAILQ_INSERT_TAIL(&a->idle, s, age);
}

/* --- calls -------------------------------------------------------------- */

void
admit_drain(struct admit *a, bool on)
{
	a->draining = on;
}

bool
admit_draining(const struct admit *a)
{
	return a->draining;
}

enum admit_call
admit_call(struct admit *a, struct admit_client *c, uint64_t now_ms,
    enum admit_count *ret_why)
{
	const struct conf_limits *l = a->limits;
	struct admit_source *s = c->source;
	enum admit_call verdict = ADMIT_CALL_BUSY;

	if (a->draining) {
		*ret_why = ADMIT_DRAINING;
	} else if (source_banned(s, now_ms)) {
		*ret_why = ADMIT_SOURCE_BANNED;
		verdict = ADMIT_CALL_BANNED;
	} else if (l->max_calls_source.n > 0 &&
	    s->n_calls >= l->max_calls_source.n) {
		*ret_why = ADMIT_CALLS_OF_SOURCE;
	} else if (!trusted(s) && too_early(s->call_at, l->call_rate.n,
	    l->call_burst.n, now_ms * US) > 0) {
		*ret_why = ADMIT_CALL_RATE;
	} else {
		charge(&s->call_at, l->call_rate.n, now_ms * US);
		s->n_calls++;
		c->n_calls++;
		return ADMIT_CALL_OK;
	}
	a->count[*ret_why]++;
	return verdict;
}

void
admit_gre(struct admit *a, struct admit_client *c)
{
	if (c->stage == ADMIT_GREETED)
		enter(a, c, ADMIT_LOGIN);
}

void
admit_call_over(struct admit *a, struct admit_client *c, bool authenticated)
{
	struct admit_source *s = c->source;

	s->n_calls--;
	c->n_calls--;
	if (!authenticated)
		return;
	s->n_auth--;
	c->n_auth--;
	if (c->n_auth == 0 && c->stage == ADMIT_AUTH)
		enter(a, c, ADMIT_GREETED);
}

bool
admit_fewer_starting(const struct admit_client *c,
    const struct admit_client *than)
{
	return c->source->n_starting < than->source->n_starting;
}

void
admit_starting(struct admit_client *c, int by)
{
	c->source->n_starting += (unsigned)by;
}

/* --- logins ------------------------------------------------------------- */

static bool
bad_source(const struct admit *a, const struct admit_source *s,
    uint64_t now_ms)
{
	const struct conf_limits *l = a->limits;

	return l->ban_after.n > 0 &&
	    s->fails >= l->ban_after.n * SOURCE_FACTOR &&
	    now_ms - s->failed_at <= l->ban_time.n * 1000u;
}

enum bans_verdict
admit_login(struct admit *a, struct admit_client *c, const char *name,
    uint64_t now_ms)
{
	struct admit_source *s = c->source;
	enum bans_verdict v = bans_ask(a->bans, s->key, name, now_ms);

	if (source_banned(s, now_ms))
		v = BANS_BANNED;
	if (v == BANS_PASS && trusted(s) && bad_source(a, s, now_ms)) {
		if (s->login_at > now_ms * US)
			v = BANS_LATER;
		else
			s->login_at = now_ms * US + SLOW_LOGIN_US;
	}
	if (v == BANS_LATER)
		a->count[ADMIT_LOGIN_DELAYED]++;
	else if (v == BANS_BANNED)
		a->count[ADMIT_LOGIN_BANNED]++;
	return v;
}

bool
admit_failed(struct admit *a, struct admit_client *c, const char *name,
    uint64_t now_ms)
{
	const struct conf_limits *l = a->limits;
	uint64_t time_ms = l->ban_time.n * 1000u;
	struct admit_source *s = c->source;
	bool banned = bans_failed(a->bans, s->key, name, l->ban_after.n,
	    time_ms, now_ms);

	a->count[ADMIT_LOGIN_FAILED]++;
	a->count[ADMIT_BANS] += banned;
	if (now_ms - s->failed_at > time_ms)
		s->fails = 0;
	s->fails++;
	s->failed_at = now_ms;
	if (!trusted(s) && bad_source(a, s, now_ms)) {
		s->banned_until = now_ms + time_ms;
		s->fails = 0;
		a->count[ADMIT_SOURCE_BANS]++;
		return true;
	}
	return banned;
}

void
admit_authenticated(struct admit *a, struct admit_client *c, const char *name)
{
	struct admit_source *s = c->source;

	bans_clear(a->bans, s->key, name);
	s->n_auth++;
	c->n_auth++;
	if (c->stage == ADMIT_GREETED || c->stage == ADMIT_LOGIN)
		enter(a, c, ADMIT_AUTH);
}

unsigned
admit_unban(struct admit *a, const char *name)
{
	const struct ban *e = bans_next(a->bans, NULL), *next;
	unsigned n = 0;

	for (; e; e = next) {
		next = bans_next(a->bans, e);
		if (name && strcmp(e->name, name) != 0)
			continue;
		n += e->until != 0;
		bans_clear(a->bans, e->source, e->name);
	}
	for (unsigned i = 0; !name && i < a->n_sources; i++) {
		n += a->source[i].banned_until != 0;
		a->source[i].banned_until = 0;
		a->source[i].fails = 0;
	}
	return n;
}
