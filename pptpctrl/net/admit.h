/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may connect, call and log in: limits per source (an address, or all
 * with the same first bits), limits in all, rates, bans; pptpd.conf(5),
 * LIMITS.  Established calls are never touched by them.
 *
 * Memory is bounded whatever comes: a node per source with a connection, and
 * as many of former ones as there is room for.  No system calls, no clock, no
 * log: addresses and times in, verdicts out.  Times are milliseconds of one
 * monotonic clock, never 0.
 */
#ifndef NET_ADMIT_H
#define NET_ADMIT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "conf.h"
#include "net/bans.h"

#define ADMIT_WAIT_MAX_MS 5000u	/* a slowed connection waits at most so long */
#define ADMIT_SOURCES	4096u	/* sources remembered without a connection */

enum admit_stage {
	ADMIT_NONE,		/* not admitted, or gone */
	ADMIT_HALF_OPEN,	/* no SCCRQ yet */
	ADMIT_GREETED,		/* no call whose GRE has come */
	ADMIT_LOGIN,		/* GRE has come */
	ADMIT_AUTH,		/* a call of it proved a name */
	ADMIT_LEAVING,		/* to be closed: gave way, or ends */
	ADMIT_CLOSED,		/* its calls are still ending */
	ADMIT_STAGES
};

struct admit;
struct admit_source;

/* Embedded in a connection, zeroed at first; private but for .stage. */
struct admit_client {
	struct admit_source *source;
	enum admit_stage stage;
	unsigned n_calls, n_auth;
	TAILQ_ENTRY(admit_client) all, own;
};

/* What was refused, slowed or ended, for counters and the log. */
enum admit_count {
	ADMIT_DENIED,		/* allow, deny */
	ADMIT_HOSTS,		/* hosts.allow, hosts.deny */
	ADMIT_FULL,		/* as many connections as there can be */
	ADMIT_RATE,		/* connection-rate */
	ADMIT_SLOWED,		/* the same, of a source with a call up */
	ADMIT_HALF_OPEN_OF_SOURCE,	/* gave way */
	ADMIT_HALF_OPEN_ALL,
	ADMIT_UNAUTH_OF_SOURCE,
	ADMIT_UNAUTH_ALL,
	ADMIT_CALL_RATE,
	ADMIT_CALLS_OF_SOURCE,	/* max-calls-per-source */
	ADMIT_SOURCE_BANNED,	/* a call of a banned source */
	ADMIT_LOGIN_FAILED,
	ADMIT_LOGIN_DELAYED,	/* answers dropped before their time */
	ADMIT_LOGIN_BANNED,	/* answers of the banned */
	ADMIT_BANS,		/* bans of users begun */
	ADMIT_SOURCE_BANS,	/* and of sources */
	ADMIT_USER_LIMIT,	/* max-calls-per-user, single-session refuse */
	ADMIT_USER_REPLACED,	/* single-session replace */
	ADMIT_DRAINING,		/* admit_drain */
	ADMIT_COUNTS
};

/* "denied", for keys of JSON; never NULL. */
const char *admit_count_name(enum admit_count what);

/* A sentence's end for the log: "refused: ...". */
const char *admit_count_text(enum admit_count what);

/*
 * limits is borrowed and outlives it, calls is the most calls at once, seed
 * is random.  NULL: out of memory.
 */
struct admit *admit_new(const struct conf_limits *limits, unsigned calls,
    uint64_t seed);
void admit_free(struct admit *a);

/*
 * A connection of addr was accepted: may it stay?  Then *ret_wait_ms says how
 * long not to read from it, and *ret_victim another one to be closed for it,
 * or NULL.  False: close it at once.  *ret_why says by which limit.
 */
bool admit_connect(struct admit *a, struct admit_client *c,
    struct in_addr addr, uint64_t now_ms, uint64_t *ret_wait_ms,
    struct admit_client **ret_victim, enum admit_count *ret_why);

/* With on, no connection and no call more; those there are go on. */
void admit_drain(struct admit *a, bool on);
bool admit_draining(const struct admit *a);

/* It said SCCRQ.  Returns one to be closed for it, or NULL; *ret_why says by
 * which limit. */
struct admit_client *admit_greeted(struct admit *a, struct admit_client *c,
    enum admit_count *ret_why);

/* It asks for a call.  On ADMIT_CALL_OK admit_call_over must follow once. */
enum admit_call {
	ADMIT_CALL_OK,
	ADMIT_CALL_BUSY,
	ADMIT_CALL_BANNED,
};
enum admit_call admit_call(struct admit *a, struct admit_client *c,
    uint64_t now_ms, enum admit_count *ret_why);

/* GRE of one of its calls is here. */
void admit_gre(struct admit *a, struct admit_client *c);

/* It answers a challenge as name: may pppd see that? */
enum bans_verdict admit_login(struct admit *a, struct admit_client *c,
    const char *name, uint64_t now_ms);

/* pppd refused name.  True: that was the one failure too many. */
bool admit_failed(struct admit *a, struct admit_client *c, const char *name,
    uint64_t now_ms);

/* One of its calls proved a name, claimed as name.  Once per call. */
void admit_authenticated(struct admit *a, struct admit_client *c,
    const char *name);

/* A call ended; authenticated: admit_authenticated was called for it. */
void admit_call_over(struct admit *a, struct admit_client *c,
    bool authenticated);

/* Its socket is closed; calls may still end. */
void admit_closed(struct admit *a, struct admit_client *c);

/* All is over, its memory goes. */
void admit_gone(struct admit *a, struct admit_client *c);

/*
 * A connection that a worker before this one admitted, with its calls: the
 * limits are not asked, only counted.  False: no memory.
 */
bool admit_adopt(struct admit *a, struct admit_client *c, struct in_addr addr,
    enum admit_stage stage, unsigned n_calls, unsigned n_auth,
    uint64_t now_ms);

/* Has its source fewer pppds starting than the other's?  For max-starting. */
bool admit_fewer_starting(const struct admit_client *c,
    const struct admit_client *than);

/* by +1 or -1: a pppd of it starts, or has started. */
void admit_starting(struct admit_client *c, int by);

/* Counts something that is decided elsewhere. */
void admit_note(struct admit *a, enum admit_count what);

uint64_t admit_counted(const struct admit *a, enum admit_count what);
unsigned admit_in_stage(const struct admit *a, enum admit_stage stage);

/* The bans of users, for those who want to see them. */
const struct bans *admit_bans(const struct admit *a);

/* Lift all bans (name NULL), or those of one name.  Returns how many. */
unsigned admit_unban(struct admit *a, const char *name);

#endif
