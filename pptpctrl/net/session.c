/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/adopt.h"
#include "net/call_log.h"
#include "net/ids.h"
#include "net/worker.h"
#include "reason.h"

#define OPEN_TRIES	8u	/* ids that another program has */
#define START_PLACE_MS	10000u	/* a slow login keeps its place so long */
#define PUMP_MS		1000u
#define PPPD_AUTH_FAILED 11	/* pppd(8), exit status */

TAILQ_HEAD(start_list, session);

struct sessions {
	struct session *by_id[UINT16_MAX + 1];
	struct ids ids;
	unsigned count;
	/* max-starting: those with GRE first. */
	struct start_list with_gre, without;
	struct start_list starting;
	unsigned n_starting;
	sd_event_source *pump_timer;
};

static void pump(struct worker *w);

struct sessions *
sessions_new(struct worker *w)
{
	struct sessions *ss = calloc(1, sizeof(*ss));

	(void)w;
	if (!ss)
		return NULL;
	ids_init(&ss->ids);
	TAILQ_INIT(&ss->with_gre);
	TAILQ_INIT(&ss->without);
	TAILQ_INIT(&ss->starting);
	return ss;
}

unsigned
sessions_count(const struct worker *w)
{
	return w->sessions->count;
}

unsigned
sessions_starting(const struct worker *w)
{
	return w->sessions->n_starting;
}

unsigned
sessions_waiting(const struct worker *w)
{
	const struct session *s;
	unsigned n = 0;

	TAILQ_FOREACH(s, &w->sessions->with_gre, starts)
		n++;
	TAILQ_FOREACH(s, &w->sessions->without, starts)
		n++;
	return n;
}

struct session *
session_next(struct worker *w, unsigned from)
{
	for (unsigned id = from; id <= UINT16_MAX; id++)
		if (w->sessions->by_id[id])
			return w->sessions->by_id[id];
	return NULL;
}

/* --- opening ------------------------------------------------------------ */

static bool
ask_open(struct session *s)
{
	struct req req = { .op = REQ_OPEN, .call = s->flow.own_id,
	    .peer_call = s->flow.peer_id, .peer = s->flow.peer.s_addr,
	    .own = s->flow.own.s_addr };

	s->open_tries++;
	return worker_ask(s->worker, &req);
}

struct session *
session_open(struct worker *w, struct conn *conn, unsigned slot,
    uint16_t peer_call)
{
	struct session *s = calloc(1, sizeof(*s));
	uint16_t id = ids_take(&w->sessions->ids, worker_now(w));

	if (!s || id == 0) {
		free(s);
		if (id != 0)
			ids_put(&w->sessions->ids, id);
		return NULL;
	}
	flow_init(&s->flow, id, peer_call, conn_peer(conn), conn_own(conn));
	s->worker = w;
	s->conn = conn;
	s->slot = slot;
	s->asked_ms = worker_now(w);
	w->sessions->by_id[id] = s;
	w->sessions->count++;
	if (ask_open(s))
		return s;
	w->sessions->by_id[id] = NULL;
	w->sessions->count--;
	ids_put(&w->sessions->ids, id);
	free(s);
	return NULL;
}

/* Another program or an ending call has the id on this host. */
static bool
try_other_id(struct session *s)
{
	struct worker *w = s->worker;
	uint16_t id;

	if (s->open_tries >= OPEN_TRIES)
		return false;
	id = ids_take(&w->sessions->ids, worker_now(w));
	if (id == 0)
		return false;
	w->sessions->by_id[s->flow.own_id] = NULL;
	ids_rest(&w->sessions->ids, s->flow.own_id, worker_now(w));
	s->flow.own_id = id;
	w->sessions->by_id[id] = s;
	return ask_open(s);
}

static int
attach(struct session *s, const struct rep *rep, int fd)
{
	struct worker *w = s->worker;

	switch (w->path) {
	case CONF_DP_KERNEL:
	case CONF_DP_AUTO:
		return 0;
	case CONF_DP_RELAY:
		s->tunnel = (uint16_t)rep->tunnel;
		relay_attach_l2tp(w->relay, &s->flow, s->tunnel);
		return 0;
	case CONF_DP_TTY:
		break;
	}
	return fd < 0 ? -EBADF : relay_attach_pty(w->relay, &s->flow, fd);
}

static void
refused(struct session *s, const struct rep *rep)
{
	enum call_open_result result = CALL_OPEN_NO_RESOURCE;

	if (rep->status == REP_OPEN_FULL)
		result = CALL_OPEN_BUSY;
	s->exited = *rep;
	conn_opened(s->conn, s->slot, result, 0);
}

static void
opened(struct session *s, const struct rep *rep, int fd)
{
	int r;

	if (rep->status == REP_OPEN_RETRY && try_other_id(s))
		return;
	if (rep->status != REP_OPEN_OK) {
		refused(s, rep);
		return;
	}
	s->opened = true;
	s->local = rep->local;
	s->remote = rep->remote;
	r = attach(s, rep, fd);
	if (r < 0)
		/* It comes up without traffic and ends by its deadline. */
		log_err("call %u: channel: %s", s->flow.own_id, strerror(-r));
	conn_opened(s->conn, s->slot, CALL_OPENED, s->flow.own_id);
}

/* --- starting ----------------------------------------------------------- */

static void
leave_queues(struct session *s)
{
	struct sessions *ss = s->worker->sessions;

	if (s->start_wanted)
		TAILQ_REMOVE(s->start_gre ? &ss->with_gre : &ss->without, s,
		    starts);
	s->start_wanted = false;
	if (s->counts_start) {
		TAILQ_REMOVE(&ss->starting, s, starts);
		ss->n_starting--;
		admit_starting(conn_admit(s->conn), -1);
	}
	s->counts_start = false;
}

static void
start_now(struct session *s)
{
	struct worker *w = s->worker;
	struct sessions *ss = w->sessions;
	struct req req = { .op = REQ_START, .call = s->flow.own_id };
	char ip[INET_ADDRSTRLEN];

	s->started = true;
	s->start_ms = worker_now(w);
	s->gone_ms = s->start_ms + START_PLACE_MS;
	s->counts_start = true;
	TAILQ_INSERT_TAIL(&ss->starting, s, starts);
	ss->n_starting++;
	admit_starting(conn_admit(s->conn), 1);
	inet_ntop(AF_INET, &s->flow.peer, ip, sizeof(ip));
	log_about(&(struct log_about){ .call = s->flow.own_id,
	    .peer = s->flow.peer.s_addr,
	    .shown_pid = conn_shown_pid(s->conn) }, LOG_INFO,
	    "CTRL: Starting call (launching pppd, opening GRE)");
	log_debug("call %u: client %s: pppd starts %s", s->flow.own_id, ip,
	    s->flow.first_seen ? "at its first GRE frame" :
	    "without a GRE frame yet");
	worker_ask(w, &req);
	adopt_save(s->conn);
}

static int
on_pump(sd_event_source *src, uint64_t usec, void *arg)
{
	(void)src;
	(void)usec;
	pump(arg);
	return 0;
}

/* Of those who wait, the oldest of the sources that have the fewest starting:
 * one address with many clients, or an attacker's, takes no more than its
 * share.  NULL: none waits. */
static struct session *
next_start(const struct start_list *list)
{
	struct session *best = TAILQ_FIRST(list), *s;

	TAILQ_FOREACH(s, list, starts)
		if (admit_fewer_starting(conn_admit(s->conn),
		    conn_admit(best->conn)))
			best = s;
	return best;
}

/* Give free places to those who wait. */
static void
pump(struct worker *w)
{
	struct sessions *ss = w->sessions;
	uint64_t now = worker_now(w);
	struct session *s;

	while ((s = TAILQ_FIRST(&ss->starting)) && s->gone_ms <= now)
		leave_queues(s);
	while (ss->n_starting < w->conf->limits.max_starting.n) {
		s = next_start(&ss->with_gre);
		if (!s)
			s = next_start(&ss->without);
		if (!s)
			return;
		leave_queues(s);
		start_now(s);
	}
	if (TAILQ_EMPTY(&ss->with_gre) && TAILQ_EMPTY(&ss->without))
		return;
	sd_event_source_disable_unref(ss->pump_timer);
	ss->pump_timer = NULL;
	sd_event_add_time_relative(w->loop, &ss->pump_timer, CLOCK_MONOTONIC,
	    PUMP_MS * 1000u, 100000, on_pump, w);
}

void
session_start(struct session *s, bool gre)
{
	struct sessions *ss = s->worker->sessions;

	if (s->started || s->start_wanted)
		return;
	s->start_wanted = true;
	s->start_gre = gre;
	TAILQ_INSERT_TAIL(gre ? &ss->with_gre : &ss->without, s, starts);
	pump(s->worker);
}

void
session_first_frame(struct session *s)
{
	struct sessions *ss = s->worker->sessions;

	if (!s->start_wanted || s->start_gre)
		return;
	TAILQ_REMOVE(&ss->without, s, starts);
	s->start_gre = true;
	TAILQ_INSERT_TAIL(&ss->with_gre, s, starts);
}

/* --- ending ------------------------------------------------------------- */

void
session_stop(struct session *s, bool client_gone)
{
	struct req req = { .op = REQ_STOP, .call = s->flow.own_id };

	leave_queues(s);
	if (client_gone)
		s->flow.client_gone = true;
	if (s->stop_sent)
		return;
	s->stop_sent = true;
	worker_ask(s->worker, &req);
}

/* pppd says that the client did not prove a name; once per call. */
static void
auth_failed(struct session *s)
{
	struct worker *w = s->worker;

	if (s->auth_failed)
		return;
	s->auth_failed = true;
	call_log_auth_failed(s, s->user[0] ? "credentials" : "no-method");
	if (!s->claim[0])
		snprintf(s->claim, sizeof(s->claim), "%s", s->user);
	if (s->claim[0] && admit_failed(w->admit, conn_admit(s->conn),
	    s->claim, worker_now(w)))
		call_log_ban(s);
}

/* End it for what it claimed. */
static void
banned(struct session *s)
{
	if (!s->auth_failed)
		call_log_auth_failed(s, "banned");
	s->auth_failed = true;
	conn_terminate(s->conn, s->slot, CALL_END_BANNED);
}

bool
session_claim(struct session *s, const char *name)
{
	struct worker *w = s->worker;

	snprintf(s->claim, sizeof(s->claim), "%s", name);
	switch (admit_login(w->admit, conn_admit(s->conn), s->claim,
	    worker_now(w))) {
	case BANS_PASS:
		return true;
	case BANS_LATER:
		return false;
	case BANS_BANNED:
		break;
	}
	snprintf(s->user, sizeof(s->user), "%s", name);
	banned(s);
	return false;
}

/* The user proved to be who he is: may he have one more? */
static void
limit_user(struct session *s)
{
	struct worker *w = s->worker;
	const struct conf_limits *l = &w->conf->limits;
	unsigned most = l->sessions == CONF_SESSIONS_REFUSE ? 1 :
	    l->max_calls_user.n;
	struct session *other;
	unsigned n = 0;

	for (unsigned id = 1; (other = session_next(w, id));
	    id = other->flow.own_id + 1u) {
		if (other == s || !other->user_proven || other->stop_sent ||
		    strcmp(other->user, s->user) != 0)
			continue;
		n++;
		if (l->sessions != CONF_SESSIONS_REPLACE)
			continue;
		admit_note(w->admit, ADMIT_USER_REPLACED);
		conn_terminate(other->conn, other->slot, CALL_END_REPLACED);
	}
	if (l->sessions == CONF_SESSIONS_REPLACE || most == 0 || n < most)
		return;
	admit_note(w->admit, ADMIT_USER_LIMIT);
	conn_terminate(s->conn, s->slot, CALL_END_USER_LIMIT);
}

/* From now on its connection gives way to nobody.  On the kernel path a banned
 * user's call may come up while it is ended: that must not lift the ban. */
static void
established(struct session *s)
{
	if (s->auth_failed)
		return;
	s->flow.trusted = true;
	if (s->authenticated)
		return;
	s->authenticated = true;
	admit_authenticated(s->worker->admit, conn_admit(s->conn), s->claim);
}

static void
authenticated(struct session *s)
{
	struct worker *w = s->worker;

	if (s->authenticated || s->stop_sent)
		return;
	if (!s->claim[0])
		snprintf(s->claim, sizeof(s->claim), "%s", s->user);
	/* Where no frame comes by here it is known only now. */
	if (w->path == CONF_DP_KERNEL && admit_login(w->admit,
	    conn_admit(s->conn), s->claim, worker_now(w)) == BANS_BANNED) {
		banned(s);
		return;
	}
	established(s);
	limit_user(s);
}

void
session_free(struct session *s, const struct call *call)
{
	struct worker *w = s->worker;

	relay_look(&s->flow);
	call_log_end(s, call);
	leave_queues(s);
	if (w->relay)
		relay_detach(w->relay, &s->flow);
	w->sessions->by_id[s->flow.own_id] = NULL;
	w->sessions->count--;
	ids_rest(&w->sessions->ids, s->flow.own_id, worker_now(w));
	free(s);
	pump(w);
	worker_check_done(w);
}

/* --- what the launcher and the plugin say ------------------------------- */

static void
is_up(struct session *s, const struct ev *ev)
{
	s->local = ev->local;
	s->remote = ev->remote;
	s->flags = ev->flags;
	s->auth = ev->auth;
	s->mtu = ev->mtu;
	memcpy(s->ifname, ev->ifname, sizeof(s->ifname));
	if (ev->name[0])
		memcpy(s->user, ev->name, sizeof(s->user));
	established(s);
	relay_up(&s->flow);
	if (s->was_up)
		return;		/* IPCP renegotiated */
	s->was_up = true;
	s->up_ms = worker_now(s->worker);
	leave_queues(s);
	call_log_up(s);
	conn_up(s->conn, s->slot);
	pump(s->worker);
}

static void
plugin_event(struct session *s, const struct ev *ev)
{
	switch ((enum ev_type)ev->type) {
	case EV_BOUND:
		pppfilter_config(&s->flow.filter,
		    ev->flags & EV_F_MPPE_REQUIRED,
		    ev->flags & EV_F_MPPE_STATEFUL,
		    ev->flags & EV_F_AUTH_PAP,
		    ev->flags & (EV_F_AUTH_CHAP_MD5 | EV_F_AUTH_MSCHAP |
		    EV_F_AUTH_MSCHAPV2), ev->flags & EV_F_AUTH_EAP,
		    ev->flags & EV_F_IPV6);
		channel_ready(&s->flow.channel);
		break;
	case EV_FIRST:
		s->pppd_seen = true;
		if (s->worker->path == CONF_DP_KERNEL)
			conn_gre(s->conn, s->slot);
		break;
	case EV_AUTH:
		memcpy(s->user, ev->name, sizeof(s->user));
		s->user_proven = ev->auth != EV_AUTH_NONE;
		s->auth = ev->auth;
		if (s->user_proven)
			authenticated(s);
		break;
	case EV_UP:
		is_up(s, ev);
		break;
	case EV_DOWN:
		s->if_rx = ev->rx_bytes;
		s->if_tx = ev->tx_bytes;
		break;
	case EV_STATUS:
		/* A name that was only claimed comes with a failure. */
		if (!s->user[0] && ev->name[0])
			memcpy(s->user, ev->name, sizeof(s->user));
		if (ev->value == PPPD_AUTH_FAILED)
			auth_failed(s);
		/* Nobody will answer pppd's Terminate-Request. */
		if (ev->value == 15)
			s->flow.client_gone = true;
		break;
	case EV_ADDR:
	case EV_EXIT:
	case EV_CONFIG:
		return;
	}
	adopt_save(s->conn);
}

static void
exited(struct session *s, const struct rep *rep)
{
	enum call_end why = rep->status == REP_EXIT_PPPD ||
	    rep->status == REP_EXIT_NO_PPPD ? CALL_END_PPPD : CALL_END_LOST;

	s->exited = *rep;
	s->has_exited = true;
	if (reason_status(rep->wait_status, rep->plugin_status) ==
	    PPPD_AUTH_FAILED && why == CALL_END_PPPD && !s->was_up)
		auth_failed(s);
	/* Late frames must find nobody. */
	if (s->worker->relay) {
		relay_last(s->worker->relay, &s->flow);
		relay_detach(s->worker->relay, &s->flow);
	}
	leave_queues(s);
	conn_exited(s->conn, s->slot, why);
}

/* --- going on where another worker stopped ------------------------------- */

/* What the one before us asked for may not have reached the launcher. */
static void
kept(struct session *s, const struct rep *rep)
{
	struct req req = { .op = REQ_STOP, .call = s->flow.own_id };

	s->kept = true;
	if (!s->opened && rep->status == REP_KEPT_OPEN) {
		struct rep as_opened = *rep;

		as_opened.status = REP_OPEN_OK;
		opened(s, &as_opened, -1);
		return;
	}
	s->pid = rep->pid;
	if (s->stop_sent && rep->status != REP_KEPT_ENDING) {
		worker_ask(s->worker, &req);
	} else if (s->started && rep->status == REP_KEPT_OPEN) {
		req.op = REQ_START;
		worker_ask(s->worker, &req);
	} else if (rep->status == REP_KEPT_STARTED) {
		s->started = true;
	}
	adopt_save(s->conn);
}

void
session_kept_end(struct worker *w)
{
	struct session *s;

	for (unsigned id = 1; (s = session_next(w, id)); id++) {
		struct rep rep = { .status = REP_EXIT_LOST };

		id = s->flow.own_id;
		if (s->kept || !s->adopted)
			continue;
		if (s->opened)
			exited(s, &rep);
		else
			ask_open(s);
	}
}

bool
session_id_used(const struct worker *w, uint16_t id)
{
	return w->sessions->by_id[id] != NULL;
}

static bool
reattach(struct session *s, int pty)
{
	struct worker *w = s->worker;
	int r = 0;

	switch (w->path) {
	case CONF_DP_KERNEL:
	case CONF_DP_AUTO:
		break;
	case CONF_DP_RELAY:
		relay_attach_l2tp(w->relay, &s->flow, s->tunnel);
		break;
	case CONF_DP_TTY:
		r = pty < 0 ? -EBADF : relay_attach_pty(w->relay, &s->flow,
		    pty);
		break;
	}
	if (r < 0) {
		log_err("call %u: its pty is lost: %s", s->flow.own_id,
		    strerror(-r));
		return false;
	}
	if (s->flow.filter.known)
		channel_ready(&s->flow.channel);
	if (s->was_up)
		relay_up(&s->flow);
	return true;
}

void
session_adopt(struct session *s, int pty)
{
	struct worker *w = s->worker;
	struct sessions *ss = w->sessions;
	uint16_t id = s->flow.own_id;
	bool wanted = s->start_wanted;

	ss->by_id[id] = s;
	ids_use(&ss->ids, id);
	ss->count++;
	s->adopted = true;
	s->start_wanted = s->counts_start = false;
	/* kept() asks for its end when that is wanted. */
	if (s->opened && !s->has_exited && !reattach(s, pty))
		s->stop_sent = true;
	if (wanted)
		session_start(s, s->start_gre);
	if (s->started && !s->was_up && !s->has_exited) {
		s->counts_start = true;
		s->gone_ms = worker_now(w) + START_PLACE_MS;
		TAILQ_INSERT_TAIL(&ss->starting, s, starts);
		ss->n_starting++;
		admit_starting(conn_admit(s->conn), 1);
	}
}

void
session_reply(struct worker *w, const struct rep *rep, int fd)
{
	struct session *s = w->sessions->by_id[rep->call & UINT16_MAX];

	if (fd >= 0 && (!s || rep->op != REP_OPENED || s->opened ||
	    rep->status != REP_OPEN_OK || w->path != CONF_DP_TTY)) {
		close(fd);
		fd = -1;
	}
	if (!s) {
		/* What is not in our table cannot be gone on with. */
		if (rep->op == REP_KEPT)
			worker_ask(w, &(struct req){ .op = REQ_STOP,
			    .call = rep->call });
		return;
	}
	switch ((enum rep_op)rep->op) {
	case REP_OPENED:
		if (!s->opened)
			opened(s, rep, fd);
		break;
	case REP_STARTED:
		s->pid = rep->pid;
		adopt_save(s->conn);
		break;
	case REP_KEPT:
		kept(s, rep);
		break;
	case REP_EVENT:
		plugin_event(s, &rep->ev);
		break;
	case REP_EXITED:
		exited(s, rep);
		break;
	case REP_TRAFFIC:
		s->if_rx = rep->ev.rx_bytes;
		s->if_tx = rep->ev.tx_bytes;
		break;
	case REP_PING:
	case REP_DRAIN:
	case REP_SHUTDOWN:
	case REP_HANDOVER:
		break;
	}
}

void
session_ask_traffic(struct session *s)
{
	struct req req = { .op = REQ_TRAFFIC, .call = s->flow.own_id };

	if (s->worker->path == CONF_DP_KERNEL && s->was_up && !s->has_exited)
		worker_ask(s->worker, &req);
}
