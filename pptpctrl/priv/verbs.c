/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/launcher.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "priv/nofile.h"
#include "priv/offload.h"
#include "priv/pool.h"
#include "priv/pppd.h"
#include "priv/proc.h"
#include "priv/shim.h"
#include "priv/store.h"

#define BOUNCE_MS	2000
#define DRAIN_MAX	256
#define L2TP_MIN	14	/* net/channel.h: header and CHANNEL_MIN */
#define ROOM_LOG_MS	10000

/* --- the tunnel ------------------------------------------------------- */

static int
on_bounce_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct lcall *c = arg;

	(void)src;
	(void)usec;
	if (c->stage == STAGE_OPEN)
		send_exited(c, REP_EXIT_CHANNEL, 0, 0);
	else if (c->stage == STAGE_RUNNING) {
		c->bounced = true;
		log_err("call %u: its L2TP session was deleted under it; "
		    "ending pppd %d", c->id, (int)c->pppd_pid);
		call_stop(c);
	}
	return 0;
}

/*
 * A frame that the kernel's L2TP does not know comes back here: the worker
 * sent it to a session that is gone.  For a call that is just ending that is
 * normal, so it gets a moment.  One that is too short for L2TP says nothing
 * about its session.
 */
static int
on_tunnel(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct launcher *la = arg;

	(void)src;
	(void)revents;
	for (int i = 0; i < DRAIN_MAX; i++) {
		uint8_t h[6];	/* flags, tunnel, session: the worker's */
		ssize_t n = recv(fd, h, sizeof(h), MSG_DONTWAIT | MSG_TRUNC);
		struct lcall *c;

		if (n < 0 && errno != ECONNREFUSED)
			break;
		if (n < L2TP_MIN)
			continue;
		c = la->call[h[4] << 8 | h[5]];
		if (c && !c->timer && (c->stage == STAGE_OPEN ||
		    c->stage == STAGE_RUNNING))
			arm(la, &c->timer, BOUNCE_MS, on_bounce_timer, c);
	}
	return 0;
}
int
watch_tunnel(struct launcher *la)
{
	return sd_event_add_io(la->loop, &la->tunnel_io,
	    la->l->tunnel.kernel_fd, EPOLLIN, on_tunnel, la);
}

static int
renew_tunnel(struct launcher *la)
{
	char why[CHANNEL_WHY_MAX];

	log_warn("MGR: the L2TP tunnel %u on 127.0.0.1 is gone (%s), making "
	    "a new one", la->l->tunnel.id, strerror(errno));
	sd_event_source_disable_unref(la->tunnel_io);
	la->tunnel_io = NULL;
	if (tunnel_open(&la->l->tunnel, why) == 0 && watch_tunnel(la) >= 0) {
		store_put(STORE_TUNNEL, 0, la->l->tunnel.kernel_fd);
		offload_tunnel(la->l->offload);
		save_server(la);
		return 0;
	}
	log_err("MGR: no new tunnel: %s", why);
	return -1;
}

static int
open_session(struct launcher *la, uint16_t id)
{
	int fd = -1;

	errno = ENOTCONN;
	if (tunnel_alive(&la->l->tunnel))
		fd = tunnel_session(&la->l->tunnel, id);
	if (fd >= 0 || (errno != ENOTCONN && errno != ENOENT))
		return fd;
	/* Somebody took it away; its calls are lost already. */
	if (renew_tunnel(la) < 0) {
		errno = EIO;
		return -1;
	}
	return tunnel_session(&la->l->tunnel, id);
}

/* The call's channel; *ret_other is what the worker gets (pty master). */
static int
open_channel(struct launcher *la, struct lcall *c, int *ret_other)
{
	int slave;

	*ret_other = -1;
	switch (la->l->path) {
	case CONF_DP_RELAY:
		return open_session(la, c->id);
	case CONF_DP_KERNEL:
		return pptp_socket(c->id, c->own, c->peer_call, c->peer);
	case CONF_DP_TTY:
	case CONF_DP_AUTO:
		break;
	}
	return pty_open(ret_other, &slave) < 0 ? -1 : slave;
}

/* --- requests --------------------------------------------------------- */

static void
refuse(struct launcher *la, uint16_t id, enum rep_open_status status,
    int error)
{
	struct rep rep = { .op = REP_OPENED, .call = id, .status = status,
	    .error = error };

	reply(la, &rep);
}

/* The call that needs what there is no room for is not begun. */
static bool
has_room(struct launcher *la)
{
	bool kept = !la->unkept;
	uint32_t more;

	la->unkept = false;
	nofile_reserve(true);
	if (kept && nofile_has_room(la->n_calls + 1, la->l->keep.n_tcp))
		return true;
	if (log_rate_ok(&la->room_rate, launch_now_ms(la), ROOM_LOG_MS, &more))
		log_err("MGR: %s: calls are refused, %u more since the last "
		    "such line (raise LimitNOFILE, or ulimit -n)",
		    strerror(EMFILE), more);
	return false;
}

static void
verb_open(struct launcher *la, const struct req *req)
{
	struct rep rep = { .op = REP_OPENED, .call = req->call };
	struct lcall *c;
	int other = -1;

	if (!has_room(la)) {
		refuse(la, (uint16_t)req->call, REP_OPEN_FAILED, EMFILE);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		refuse(la, (uint16_t)req->call, REP_OPEN_FAILED, ENOMEM);
		return;
	}
	c->la = la;
	c->id = (uint16_t)req->call;
	c->peer.s_addr = req->peer;
	c->own.s_addr = req->own;
	c->peer_call = (uint16_t)req->peer_call;
	c->pppd_fd = c->event = -1;
	c->plugin_status = c->exit_value = -1;
	c->slot = pool_take(la->pool, &c->local, &c->remote);
	if (c->slot == POOL_NONE) {
		refuse(la, c->id, REP_OPEN_FULL, 0);
		free(c);
		return;
	}
	c->channel = open_channel(la, c, &other);
	if (c->channel < 0) {
		refuse(la, c->id, errno == EEXIST || errno == EBUSY ?
		    REP_OPEN_RETRY : REP_OPEN_FAILED, errno);
		pool_put(la->pool, c->slot, NULL);
		free(c);
		return;
	}
	la->call[c->id] = c;
	la->n_calls++;
	notify_changed(la);
	if (la->l->path == CONF_DP_RELAY)
		offload_call(la->l->offload, c->id, c->peer, c->own,
		    c->peer_call);
	save_call(c);
	store_put(STORE_CHANNEL, c->id, c->channel);
	rep.tunnel = la->l->tunnel.id;
	rep.local = c->local.s_addr;
	rep.remote = c->remote.s_addr;
	rep.version = REQ_VERSION;
	if (ipc_send(la->worker, &rep, sizeof(rep), other) < 0)
		log_err("MGR: call %u: %s", c->id, strerror(errno));
	if (other >= 0)
		keep_pty(&la->l->keep, c->id, other);
}

static void
verb_start(struct launcher *la, struct lcall *c)
{
	struct shim_args args = { .channel = c->channel,
	    .tunnel = la->l->tunnel.kernel_fd, .client = c->peer,
	    .peer_call = c->peer_call, .own_call = c->id };
	int pair[2], error;

	pppd_args(&args.pppd, la->l->conf, c->local, c->remote, c->peer,
	    false);
	if (ipc_pair(pair) < 0) {
		send_exited(c, REP_EXIT_FAILED, 0, errno);
		return;
	}
	args.control = pair[1];
	/* Before there is a parent: no other launcher may start a second. */
	c->stage = STAGE_RUNNING;
	save_call(c);
	store_put(STORE_SHIM, c->id, pair[0]);
	c->shim_pid = shim_start(&args);
	error = errno;
	close(pair[1]);
	call_close_channel(c);
	if (c->shim_pid < 0) {
		store_remove(STORE_SHIM, c->id);
		close(pair[0]);
		send_exited(c, REP_EXIT_FAILED, 0, error);
		return;
	}
	c->shim_start = proc_start(c->shim_pid);
	save_call(c);
	c->shim = ipc_new(la->loop, pair[0], on_shim, c);
	if (!c->shim) {
		/* Its end closes: the parent ends pppd by itself. */
		store_remove(STORE_SHIM, c->id);
		close(pair[0]);
		send_exited(c, REP_EXIT_FAILED, 0, ENOMEM);
	}
}

/* By /proc: /sys may show another network namespace. */
static void
verb_traffic(struct launcher *la, struct lcall *c)
{
	struct rep rep = { .op = REP_TRAFFIC, .call = c->id };
	unsigned long long rx, tx;
	char line[256], name[32];
	FILE *f;

	f = c->ifname[0] ? fopen("/proc/self/net/dev", "re") : NULL;
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %31[^:]: %llu %*u %*u %*u %*u %*u %*u %*u "
		    "%llu", name, &rx, &tx) != 3 ||
		    strcmp(name, c->ifname) != 0)
			continue;
		rep.ev.rx_bytes = rx;
		rep.ev.tx_bytes = tx;
		reply(la, &rep);
		break;
	}
	fclose(f);
}

/* A worker that asks for what cannot be asked for is not ours any more. */
static void
condemn_worker(struct launcher *la, const char *what)
{
	log_err("MGR: worker %d sent %s: killed, all calls end",
	    (int)la->worker_pid, what);
	kill(la->worker_pid, SIGKILL);
	/* Nothing more that it said is heard, nor what it wrote believed. */
	la->condemned = true;
	worker_lost(la);
}

/* Where calls went on at once, whether new ones can come is found out now. */
static int
on_late_check(sd_event_source *src, void *arg)
{
	struct launcher *la = arg;
	char why[LAUNCH_WHY_MAX];

	(void)src;
	if (launch_check(la->l, why) == 0)
		return 0;
	log_err("MGR: new calls will fail: %s", why);
	if (!la->l->conf->last_good)
		snprintf(la->l->trouble, sizeof(la->l->trouble),
		    "new calls will fail: %.*s", LAUNCH_WHY_MAX - 32, why);
	notify_changed(la);
	return 0;
}

static void
worker_ready(struct launcher *la)
{
	struct launch *l = la->l;

	la->worker_ready = true;
	nofile_reserve(true);
	drain_inherit(la);
	if (l->old_table >= 0)
		close(l->old_table);
	l->old_table = -1;
	la->live_table = l->table.fd;
	store_put(STORE_WORKER, la->worker_gen + 1, la->live_table);
	store_remove(STORE_WORKER, la->worker_gen++);
	save_server(la);
	if (la->serving) {
		log_info("MGR: worker %d goes on with %u calls",
		    (int)la->worker_pid, la->n_calls);
		return;
	}
	la->serving = true;
	log_about(&(struct log_about){ .kind = LOG_STARTED }, LOG_INFO,
	    "MGR: Manager process started");
	log_info("MGR: Maximum of %u connections available",
	    pool_size(la->pool));
	la->ready(la->ready_arg);
	if (l->inherits)
		sd_event_add_defer(la->loop, NULL, on_late_check, la);
}

void
on_worker(void *arg, const void *buf, size_t len, int fd)
{
	struct launcher *la = arg;
	struct lcall *c;
	struct req req;

	if (len == 0) {
		/* It is ending; or it sent what is no message, and would stay
		 * with nobody to hear it.  One that hands over relays on
		 * until its successor ends it. */
		if (!la->worker_gone && (la->stopping ||
		    la->handover == HANDOVER_NONE))
			kill(la->worker_pid, SIGKILL);
		worker_lost(la);
		return;
	}
	if (!req_check(buf, len, &req) || (fd >= 0 && req.op != REQ_KEEP)) {
		if (fd >= 0)
			close(fd);
		condemn_worker(la, "a malformed request");
		return;
	}
	notify_heard(la);
	c = la->call[req.call];
	switch ((enum req_op)req.op) {
	case REQ_OPEN:
		/* An id that still waits for its interface is not free. */
		if (c && c->stage == STAGE_LEAVING)
			refuse(la, c->id, REP_OPEN_RETRY, EBUSY);
		else if (c)
			condemn_worker(la, "an open for a call that is open");
		else if (la->stopping)
			refuse(la, (uint16_t)req.call, REP_OPEN_FULL, 0);
		else
			verb_open(la, &req);
		break;
	/* The call may have ended while the request was on its way. */
	case REQ_START:
		if (c && c->stage == STAGE_OPEN)
			verb_start(la, c);
		else if (c && c->stage == STAGE_RUNNING)
			condemn_worker(la, "a second start");
		break;
	case REQ_STOP:
		if (c)
			call_stop(c);
		break;
	case REQ_TRAFFIC:
		if (c)
			verb_traffic(la, c);
		break;
	case REQ_READY:
		if (la->worker_ready)
			condemn_worker(la, "a second ready");
		else
			worker_ready(la);
		break;
	case REQ_KEEP:
		/* The call for which it is comes next. */
		if (fd == IPC_FD_LOST)
			la->unkept = true;
		else if (!keep_tcp(&la->l->keep, req.key, fd))
			condemn_worker(la, "no connection to keep");
		break;
	case REQ_DROP:
		keep_drop_tcp(&la->l->keep, req.key);
		break;
	case REQ_PONG:
		break;
	case REQ_DRAIN:
	case REQ_RESUME:
		drain_set(la, req.op == REQ_DRAIN);
		break;
	}
}
