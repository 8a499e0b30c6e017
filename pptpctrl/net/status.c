/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/accept.h"
#include "net/stats.h"
#include "net/worker.h"

#define CLIENTS_MAX	32u
#define SILENT_US	10000000u	/* a client that does nothing goes */

static unsigned n_clients;

/* One administrator's connection: one request, its answer, the end. */
struct client {
	struct worker *worker;
	int fd;
	sd_event_source *io, *timer;
	bool denied, asked;
	bool numbers_sent;
	struct status_request req;
	unsigned next_id;	/* list: to be sent next */
	uint32_t count;
};

static void
client_free(struct client *c)
{
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->timer);
	close(c->fd);
	free(c);
	n_clients--;
}

static void
fill(struct status_record *rec, struct session *s)
{
	const struct call *call = &conn_ctrl(s->conn)->call[s->slot];
	uint64_t now = worker_now(s->worker);
	bool kernel = s->worker->path == CONF_DP_KERNEL;
	const struct flow *f = &s->flow;

	relay_look(&s->flow);
	rec->call = f->own_id;
	rec->peer_call = f->peer_id;
	rec->client = f->peer.s_addr;
	rec->own = f->own.s_addr;
	rec->local = s->local;
	rec->remote = s->remote;
	rec->datapath = s->worker->path;
	rec->state = call->state;
	rec->auth = s->auth;
	rec->flags = s->flags;
	rec->pid = (uint32_t)s->pid;

	rec->hold_us = f->reorder.hold_us;
	rec->age_ms = now - s->asked_ms;
	rec->up_ms = s->was_up ? now - s->up_ms : 0;
	rec->rx_bytes = kernel ? s->if_rx : f->counts.rx_bytes;
	rec->tx_bytes = kernel ? s->if_tx : f->counts.tx_bytes;
	rec->rx_frames = f->counts.rx_frames;
	rec->tx_frames = f->counts.tx_frames;
	rec->fast_rx = f->counts.fast_rx;
	rec->fast_tx = f->counts.fast_tx;
	rec->reordered = f->reorder.n_reordered;
	rec->lost = f->reorder.n_lost;
	for (int i = 0; i < DROP_KINDS; i++)
		rec->drop[i] = f->counts.drop[i];
	memcpy(rec->ifname, s->ifname, sizeof(rec->ifname));
	memcpy(rec->user, s->user, sizeof(rec->user));
}

/* False: would block, or the client is gone (then it is freed). */
static bool
send_record(struct client *c, struct status_record *rec)
{
	rec->version = STATUS_VERSION;
	if (send(c->fd, rec, sizeof(*rec), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return true;
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		sd_event_source_set_io_events(c->io, EPOLLOUT);
	else
		client_free(c);
	return false;
}

static void
finish(struct client *c, enum status_kind kind)
{
	struct status_record rec = { .kind = kind, .count = c->count,
	    .draining = admit_draining(c->worker->admit) };

	if (send_record(c, &rec))
		client_free(c);
}

static void
list(struct client *c)
{
	struct session *s;

	while ((s = session_next(c->worker, c->next_id))) {
		struct status_record rec = { .kind = STATUS_CALL };

		fill(&rec, s);
		if (!send_record(c, &rec))
			return;
		c->count++;
		c->next_id = s->flow.own_id + 1u;
	}
	finish(c, STATUS_DONE);
}

/* The n-th ban from the oldest; NULL: there are less. */
static const struct ban *
ban_number(const struct bans *bans, unsigned n)
{
	const struct ban *b = bans_next(bans, NULL);

	while (b && n-- > 0)
		b = bans_next(bans, b);
	return b;
}

static void
numbers(struct client *c)
{
	const struct worker *w = c->worker;
	const struct bans *bans = admit_bans(w->admit);
	uint64_t now = worker_now(w);
	const struct ban *b;

	for (; !c->numbers_sent; c->next_id++) {
		struct status_record rec = { .kind = STATUS_NUMBER };

		if (!stats_number(w, c->next_id - 1, rec.user, &rec.value)) {
			c->numbers_sent = true;
			c->next_id = 0;
			break;
		}
		if (!send_record(c, &rec))
			return;
	}
	/* Bans may come and go while this waits for its reader: then one is
	 * shown twice, or not. */
	for (b = ban_number(bans, c->next_id); b; b = bans_next(bans, b)) {
		struct status_record rec = { .kind = STATUS_BAN,
		    .client = htonl(b->source), .count = b->fails };

		memcpy(rec.user, b->name, sizeof(b->name));
		if (b->until > now)
			rec.value = b->until - now;
		if (!send_record(c, &rec))
			return;
		c->next_id++;
	}
	finish(c, STATUS_DONE);
}

static void
unban(struct client *c)
{
	c->count = admit_unban(c->worker->admit,
	    c->req.select == STATUS_BY_USER ? c->req.user : NULL);
	finish(c, STATUS_DONE);
}

static bool
selected(const struct session *s, const struct status_request *req)
{
	switch ((enum status_select)req->select) {
	case STATUS_ALL:
		return true;
	case STATUS_BY_CALL:
		return s->flow.own_id == req->call;
	case STATUS_BY_USER:
		return strcmp(s->user, req->user) == 0 && s->user[0];
	case STATUS_BY_IP:
		return s->flow.peer.s_addr == req->ip ||
		    s->remote == req->ip;
	}
	return false;
}

static void
terminate(struct client *c)
{
	struct session *s;
	unsigned id = 1;

	while ((s = session_next(c->worker, id))) {
		id = s->flow.own_id + 1u;
		if (!selected(s, &c->req))
			continue;
		c->count++;
		conn_terminate(s->conn, s->slot, CALL_END_ADMIN);
	}
	finish(c, STATUS_DONE);
}

/* At once here; the launcher keeps it for the worker after this one.  Not all
 * may be resumed: the answer says whether it drains. */
static void
drain(struct client *c, bool on)
{
	struct req req = { .op = on ? REQ_DRAIN : REQ_RESUME };

	admit_drain(c->worker->admit, on || c->worker->conf->last_good);
	worker_ask(c->worker, &req);
	c->count = sessions_count(c->worker);
	finish(c, STATUS_DONE);
}

static void
answer(struct client *c)
{
	switch ((enum status_op)c->req.op) {
	case STATUS_LIST:
		list(c);
		break;
	case STATUS_TERMINATE:
		terminate(c);
		break;
	case STATUS_NUMBERS:
		numbers(c);
		break;
	case STATUS_UNBAN:
		unban(c);
		break;
	case STATUS_DRAIN:
	case STATUS_RESUME:
		drain(c, c->req.op == STATUS_DRAIN);
		break;
	case STATUS_TAKE:
		finish(c, STATUS_DONE);
		break;
	}
}

static int
on_silent(sd_event_source *src, uint64_t usec, void *arg)
{
	(void)src;
	(void)usec;
	client_free(arg);
	return 0;
}

/* The kernel counts the bytes of its own calls; the launcher asks it. */
static int
on_traffic(sd_event_source *src, uint64_t usec, void *arg)
{
	(void)src;
	(void)usec;
	answer(arg);
	return 0;
}

static bool
wait_for_traffic(struct client *c)
{
	struct session *s;
	unsigned asked = 0;

	if (c->worker->path != CONF_DP_KERNEL || c->req.op != STATUS_LIST)
		return false;
	for (unsigned id = 1; (s = session_next(c->worker, id));
	    id = s->flow.own_id + 1u, asked++)
		session_ask_traffic(s);
	if (asked == 0)
		return false;
	sd_event_source_disable_unref(c->timer);
	c->timer = NULL;
	return sd_event_add_time_relative(c->worker->loop, &c->timer,
	    CLOCK_MONOTONIC, 50000, 1000, on_traffic, c) >= 0;
}

static int
on_client(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct client *c = arg;
	struct status_request req;
	int given = -1;
	ssize_t n;

	(void)src;
	if (c->asked) {
		if (revents & (EPOLLHUP | EPOLLERR))
			client_free(c);
		else if (revents & EPOLLOUT)
			answer(c);
		return 0;
	}
	n = ipc_recv(fd, &req, sizeof(req), &given);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == 0 || (n < 0 && errno != EMSGSIZE)) {
		client_free(c);
		return 0;
	}
	if (c->denied || !status_check(&req, n < 0 ? 0 : (size_t)n, &c->req)) {
		if (given >= 0)
			close(given);
		finish(c, c->denied ? STATUS_DENIED : STATUS_BAD);
		return 0;
	}
	c->asked = true;
	sd_event_source_set_io_events(c->io, 0);
	if (given >= 0 && c->req.op != STATUS_TAKE)
		close(given);
	else if (given >= 0)
		c->count = accept_take(c->worker, given);
	if (!wait_for_traffic(c))
		answer(c);
	return 0;
}

static int
on_status(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct worker *w = arg;
	struct ucred cred = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(cred);
	struct client *c;
	int got;

	(void)src;
	(void)revents;
	got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (got < 0 && listeners_full(errno))
		listeners_pause(&w->status, w->loop);
	if (got < 0)
		return 0;
	c = n_clients < CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		close(got);
		return 0;
	}
	n_clients++;
	c->worker = w;
	c->fd = got;
	c->next_id = 1;
	if (getsockopt(got, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
	    cred.uid != 0)
		c->denied = true;
	if (sd_event_add_io(w->loop, &c->io, got, EPOLLIN, on_client, c) < 0 ||
	    sd_event_add_time_relative(w->loop, &c->timer, CLOCK_MONOTONIC,
	    SILENT_US, 0, on_silent, c) < 0)
		client_free(c);
	return 0;
}

int
status_start(struct worker *w, int fd)
{
	return listeners_add(&w->status, w->loop, fd, on_status, w);
}

void
status_end(struct worker *w)
{
	listeners_close(&w->status);
}
