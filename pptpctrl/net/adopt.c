/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/adopt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/worker.h"

/* Raise ADOPT_MAJOR when a field moves or means something else, and with any
 * change of struct flow_live; what is new goes to the end of struct saved_conn
 * and raises ADOPT_MINOR.  Tests build other ones. */
#define MAGIC		0x50575450u	/* "PTWP" */
#ifndef ADOPT_MAJOR
#define ADOPT_MAJOR	2u
#endif
#ifndef ADOPT_MINOR
#define ADOPT_MINOR	0u
#endif
#define BLAMED_MAX	2u

struct saved_session {
	uint16_t own_id, peer_id, tunnel;
	bool used;
	bool opened, start_wanted, start_gre, started, stop_sent, was_up;
	bool pppd_seen, user_proven, has_exited, first_seen, client_gone;
	bool trusted, authenticated, auth_failed;
	uint32_t open_tries;
	uint64_t asked_ms, start_ms, up_ms;
	uint32_t local, remote;
	uint32_t auth, flags, mtu;
	int32_t pid;
	uint32_t exit_status;
	int32_t exit_error, exit_wait, exit_plugin;
	uint64_t if_rx, if_tx;
	struct pppfilter filter;
	char ifname[16];
	char user[256];
	char claim[256];
};

/* A record: this, as long as its writer knew it, then out_len bytes. */
struct saved_conn {
	uint32_t size;
	struct in_addr peer, own;
	bool has_socket, announced, closing, lingering;
	uint16_t in_len, out_len;
	uint64_t linger_until, write_until;
	uint8_t in[CONN_IN_SIZE];
	struct ctrl ctrl;
	struct saved_session session[CTRL_MAX_CALLS];
};

/* Room for fields of later versions. */
#define SPARE		256u
#define REC_SIZE	(sizeof(struct saved_conn) + SPARE + CONN_OUT_MAX)

/* What the record embeds, so that a change of it is never taken for the old
 * form. */
#define LAYOUT	((uint32_t)(sizeof(struct ctrl) * 31u +			\
	sizeof(struct call) * 1009u + sizeof(struct pppfilter) * 65537u +	\
	offsetof(struct saved_conn, session) +				\
	sizeof(struct saved_session) * 7u))

const struct state_kind *
adopt_kind(void)
{
	static const struct state_kind kind = {
		.magic = MAGIC, .major = ADOPT_MAJOR, .minor = ADOPT_MINOR,
		.layout = LAYOUT, .rec_size = REC_SIZE,
		.live_size = CTRL_MAX_CALLS * sizeof(struct flow_live),
	};

	return &kind;
}

/* --- saving --------------------------------------------------------------- */

static void
export_session(struct saved_session *to, const struct session *s)
{
	const struct flow *f = &s->flow;

	*to = (struct saved_session){ .used = true,
		.own_id = f->own_id, .peer_id = f->peer_id,
		.tunnel = s->tunnel, .opened = s->opened,
		.start_wanted = s->start_wanted, .start_gre = s->start_gre,
		.started = s->started, .stop_sent = s->stop_sent,
		.was_up = s->was_up, .pppd_seen = s->pppd_seen,
		.user_proven = s->user_proven, .has_exited = s->has_exited,
		.first_seen = f->first_seen, .client_gone = f->client_gone,
		.trusted = f->trusted, .authenticated = s->authenticated,
		.auth_failed = s->auth_failed,
		.open_tries = s->open_tries, .asked_ms = s->asked_ms,
		.start_ms = s->start_ms, .up_ms = s->up_ms,
		.local = s->local, .remote = s->remote, .auth = s->auth,
		.flags = s->flags, .mtu = s->mtu, .pid = s->pid,
		.exit_status = s->exited.status,
		.exit_error = s->exited.error,
		.exit_wait = s->exited.wait_status,
		.exit_plugin = s->exited.plugin_status,
		.if_rx = s->if_rx, .if_tx = s->if_tx, .filter = f->filter };
	memcpy(to->ifname, s->ifname, sizeof(to->ifname));
	memcpy(to->user, s->user, sizeof(to->user));
	memcpy(to->claim, s->claim, sizeof(to->claim));
}

static struct flow_live *
live_of(const struct state *t, uint32_t key, unsigned slot)
{
	return (struct flow_live *)state_live(t, key) + slot;
}

void
adopt_save(struct conn *c)
{
	static struct {
		struct saved_conn conn;
		uint8_t out[CONN_OUT_MAX];
	} rec;
	struct saved_conn *to = &rec.conn;

	if (c->key == 0 || c->busy > 0)
		return;
	memset(to, 0, sizeof(*to));
	to->size = sizeof(*to);
	to->peer = c->peer;
	to->own = c->own;
	to->has_socket = c->fd >= 0;
	to->announced = c->announced;
	to->closing = c->closing;
	to->lingering = c->lingering;
	to->linger_until = c->linger_until;
	to->write_until = c->write_until;
	to->in_len = (uint16_t)(c->in_len - c->in_off);
	memcpy(to->in, c->in + c->in_off, to->in_len);
	to->ctrl = c->ctrl;
	to->ctrl.conf = NULL;
	for (unsigned i = 0; i < CTRL_MAX_CALLS; i++) {
		struct session *s = c->session[i];

		if (!s)
			continue;
		export_session(&to->session[i], s);
		if (s->flow.live == &s->flow.own_live)
			flow_set_live(&s->flow, live_of(&c->worker->table,
			    c->key, i), c->key, false);
	}
	to->out_len = c->out_len;
	if (c->out_len > 0)
		memcpy(rec.out, c->out, c->out_len);
	state_put(&c->worker->table, c->key, &rec, sizeof(*to) + c->out_len);
}

static void
ask(struct worker *w, enum req_op op, uint32_t key, int fd)
{
	struct req req = { .version = REQ_VERSION, .op = op, .key = key };

	if (w->launcher && ipc_send(w->launcher, &req, sizeof(req), fd) < 0)
		log_err("worker: launcher does not read its messages: %s",
		    strerror(errno));
}

void
adopt_keep(struct conn *c)
{
	struct worker *w = c->worker;

	if (c->key != 0 || c->fd < 0 || w->n_free_keys == 0)
		return;
	c->key = w->free_key[--w->n_free_keys];
	ask(w, REQ_KEEP, c->key, c->fd);
}

void
adopt_drop(struct conn *c)
{
	if (c->key != 0)
		ask(c->worker, REQ_DROP, c->key, -1);
}

void
adopt_forget(struct conn *c)
{
	struct worker *w = c->worker;

	if (c->key == 0)
		return;
	state_clear(&w->table, c->key);
	w->free_key[w->n_free_keys++] = c->key;
	c->key = 0;
}

void
adopt_begin(const struct conn *c)
{
	if (c->key != 0)
		state_begin(&c->worker->table, c->key);
}

void
adopt_end(struct worker *w)
{
	state_end(&w->table);
}

/* --- taking over ---------------------------------------------------------- */

static bool
is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

/* Can this record be gone on with? */
static bool
is_sound(const struct worker *w, const struct saved_conn *rec)
{
	if (rec->in_len > CONN_IN_SIZE || rec->out_len > CONN_OUT_MAX)
		return false;
	for (unsigned i = 0; i < CTRL_MAX_CALLS; i++) {
		const struct saved_session *one = &rec->session[i];

		if (one->used != (rec->ctrl.call[i].state != CALL_FREE))
			return false;
		if (!one->used)
			continue;
		if (one->own_id == 0 || session_id_used(w, one->own_id) ||
		    !is_text(one->ifname, sizeof(one->ifname)) ||
		    !is_text(one->user, sizeof(one->user)) ||
		    !is_text(one->claim, sizeof(one->claim)))
			return false;
		for (unsigned k = 0; k < i; k++)
			if (rec->session[k].used &&
			    rec->session[k].own_id == one->own_id)
				return false;
	}
	return true;
}

static struct session *
import_session(struct conn *c, unsigned slot, const struct saved_session *from,
    const struct flow_live *live)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		log_fatal("worker: out of memory");
	flow_init(&s->flow, from->own_id, from->peer_id, c->peer, c->own);
	s->flow.filter = from->filter;
	s->flow.first_seen = from->first_seen;
	s->flow.client_gone = from->client_gone;
	s->flow.trusted = from->trusted;
	s->flow.own_live = *live;
	flow_set_live(&s->flow, &s->flow.own_live, 0, true);
	s->worker = c->worker;
	s->conn = c;
	s->slot = slot;
	s->tunnel = from->tunnel;
	s->opened = from->opened;
	s->start_wanted = from->start_wanted;
	s->start_gre = from->start_gre;
	s->started = from->started;
	s->stop_sent = from->stop_sent;
	s->was_up = from->was_up;
	s->pppd_seen = from->pppd_seen;
	s->user_proven = from->user_proven;
	s->has_exited = from->has_exited;
	s->authenticated = from->authenticated;
	s->auth_failed = from->auth_failed;
	s->open_tries = from->open_tries;
	s->asked_ms = from->asked_ms;
	s->start_ms = from->start_ms;
	s->up_ms = from->up_ms;
	s->local = from->local;
	s->remote = from->remote;
	s->auth = from->auth;
	s->flags = from->flags;
	s->mtu = from->mtu;
	s->pid = from->pid;
	s->exited.status = from->exit_status;
	s->exited.error = from->exit_error;
	s->exited.wait_status = from->exit_wait;
	s->exited.plugin_status = from->exit_plugin;
	s->if_rx = from->if_rx;
	s->if_tx = from->if_tx;
	memcpy(s->ifname, from->ifname, sizeof(s->ifname));
	memcpy(s->user, from->user, sizeof(s->user));
	memcpy(s->claim, from->claim, sizeof(s->claim));
	return s;
}

/* It counts for the limits as it did; what they said before, and who was
 * banned, is forgotten. */
static bool
admit_again(struct conn *c, const struct saved_conn *from)
{
	enum admit_stage stage = ADMIT_GREETED;
	unsigned n_calls = 0, n_auth = 0;

	for (unsigned i = 0; i < CTRL_MAX_CALLS; i++) {
		const struct saved_session *one = &from->session[i];

		n_calls += one->used;
		n_auth += one->used && one->authenticated;
		if (one->used && one->first_seen)
			stage = ADMIT_LOGIN;
	}
	if (c->fd < 0)
		stage = ADMIT_CLOSED;
	else if (c->closing)
		stage = ADMIT_LEAVING;
	else if (n_auth > 0)
		stage = ADMIT_AUTH;
	return admit_adopt(c->worker->admit, &c->admit, c->peer, stage,
	    n_calls, n_auth, worker_now(c->worker));
}

static void
import_sessions(struct conn *c, const struct saved_conn *from,
    const struct state *old, const int *pty)
{
	for (unsigned i = 0; i < CTRL_MAX_CALLS; i++) {
		const struct saved_session *one = &from->session[i];

		if (!one->used)
			continue;
		c->session[i] = import_session(c, i, one,
		    live_of(old, c->key, i));
		session_adopt(c->session[i], pty && pty[one->own_id] > 0 ?
		    pty[one->own_id] : -1);
	}
}

/* A connection of record from; NULL: its machine is not to be believed. */
static struct conn *
import_conn(struct worker *w, const struct saved_conn *from,
    const uint8_t *out)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		log_fatal("worker: out of memory");
	c->worker = w;
	c->peer = from->peer;
	c->own = from->own;
	c->announced = from->announced;
	c->closing = from->closing;
	c->lingering = from->lingering;
	c->linger_until = from->linger_until;
	c->write_until = from->write_until;
	c->ctrl = from->ctrl;
	if (!ctrl_resume(&c->ctrl, &w->ctrl_conf)) {
		free(c);
		return NULL;
	}
	c->in_len = from->in_len;
	memcpy(c->in, from->in, c->in_len);
	if (from->out_len == 0)
		return c;
	c->out = malloc(CONN_OUT_MAX);
	if (!c->out)
		log_fatal("worker: out of memory");
	c->out_len = from->out_len;
	memcpy(c->out, out, c->out_len);
	return c;
}

/* Read the record of key: its fixed part and where its output begins. */
static bool
read_record(const struct state *old, uint32_t key, struct saved_conn *ret,
    uint8_t *buf, const uint8_t **ret_out)
{
	size_t len, size;

	if (state_get(old, key, buf, old->rec_size, &len) != STATE_OK ||
	    len < sizeof(ret->size))
		return false;
	memcpy(&ret->size, buf, sizeof(ret->size));
	size = ret->size;
	/* Nothing that there was in the first version may be missing. */
	if (size > len || size < offsetof(struct saved_conn, session) +
	    sizeof(ret->session))
		return false;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, buf, size < sizeof(*ret) ? size : sizeof(*ret));
	*ret_out = buf + size;
	return ret->out_len == len - size;
}

/* What is left of a connection whose record is lost: its socket. */
static void
end_forgotten(struct worker *w, uint32_t key, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c || conn_add(c, w, fd) < 0) {
		free(c);
		close(fd);
		return;
	}
	c->key = key;
	ctrl_init_forgotten(&c->ctrl, &w->ctrl_conf, worker_now(w));
	conn_shutdown(c, CALL_END_LOST);
}

/* False, and nothing was done: the record cannot be gone on with. */
static bool
adopt_record(struct worker *w, const struct state *old, uint32_t key,
    const struct worker_setup *setup, const struct saved_conn *from,
    const uint8_t *out)
{
	int fd = setup->tcp && setup->tcp[key] > 0 ? setup->tcp[key] : -1;
	struct conn *c;
	int r;

	if (!is_sound(w, from))
		return false;
	c = import_conn(w, from, out);
	if (!c)
		return false;
	r = conn_add(c, w, fd);
	if (r >= 0 && !admit_again(c, from))
		r = -ENOMEM;
	if (r < 0)
		log_fatal("worker: %s", strerror(-r));
	c->key = key;
	for (unsigned i = 0; i < state_blamed(old, key); i++)
		state_blame(&w->table, key);
	import_sessions(c, from, old, setup->pty);
	if (from->has_socket && fd < 0)
		conn_lost(c);
	else
		conn_resume(c);
	return true;
}

/* Whose input was being worked on when the one before us went down? */
static void
blame(struct state *old)
{
	long key = state_suspect(old);

	state_end(old);
	if (key > 0)
		state_blame(old, (uint32_t)key);
}

static void
adopt_key(struct worker *w, struct state *old, uint32_t key,
    const struct worker_setup *setup, uint8_t *buf)
{
	int fd = setup->tcp ? setup->tcp[key] : 0;
	struct saved_conn from;
	const uint8_t *out;
	bool known;

	known = state_is_open(old) && read_record(old, key, &from, buf, &out);
	if (known && state_blamed(old, key) >= BLAMED_MAX) {
		log_err("worker: the connection of record %u brought the "
		    "worker down %u times: its calls are ended", key,
		    state_blamed(old, key));
		known = false;
	}
	if (known) {
		state_begin(old, key);
		known = adopt_record(w, old, key, setup, &from, out);
		state_end(old);
	}
	if (!known && fd > 0)
		end_forgotten(w, key, fd);
	else if (!known)
		w->free_key[w->n_free_keys++] = key;
}

static void
open_old(struct state *old, const struct worker_setup *setup)
{
	char why[STATE_WHY_MAX];

	if (setup->old_table < 0)
		return;
	if (state_open(old, adopt_kind(), setup->old_table, why) < 0) {
		log_err("worker: the table of calls of the worker before "
		    "%s: they are ended", why);
		close(setup->old_table);
	} else if (setup->crashed) {
		blame(old);
	}
}

int
adopt_all(struct worker *w, const struct worker_setup *setup)
{
	struct state old = STATE_INIT;
	uint8_t *buf;

	w->table = setup->table;
	w->table.fd = -1;	/* only its memory is ours */
	w->free_key = calloc(setup->n_keys + 1u, sizeof(*w->free_key));
	if (!w->free_key)
		return -ENOMEM;
	if (w->relay)
		relay_set_table(w->relay, &w->table);
	open_old(&old, setup);
	buf = malloc(STATE_REC_MAX);
	if (!buf)
		return -ENOMEM;
	/* Downwards, so that low keys are given out first. */
	for (uint32_t key = setup->n_keys; key > 0; key--)
		adopt_key(w, &old, key, setup, buf);
	free(buf);
	state_close(&old);
	state_set_complete(&w->table);
	return 0;
}
