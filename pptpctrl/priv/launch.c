/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/launch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "ipc.h"
#include "log.h"
#include "priv/inherit.h"
#include "priv/launcher.h"
#include "priv/logout.h"
#include "priv/offload.h"
#include "priv/pool.h"
#include "priv/pppd.h"
#include "priv/probe.h"
#include "priv/proc.h"
#include "priv/scope.h"
#include "priv/shim.h"
#include "priv/store.h"
#include "priv/vrf.h"
#include "req.h"

#define KILL_MS		5000		/* after SIGTERM, parent lost */
#define WORKER_END_MS	15000		/* from shutdown to SIGKILL */
#define IFACE_RETRY_MS	100
#define BOUNCE_MS	2000
#define DRAIN_MAX	256
#define RESTART_SIGNAL	SIGUSR2	/* RestartKillSignal= of the unit */

/* Does any interface here have addr, as its own or as its peer's? */
static bool
address_busy(struct in_addr addr)
{
	struct ifaddrs *list, *i;
	bool busy = false;

	if (getifaddrs(&list) < 0)
		return false;
	for (i = list; i && !busy; i = i->ifa_next) {
		struct sockaddr_in sin;

		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
			continue;
		memcpy(&sin, i->ifa_addr, sizeof(sin));
		busy = sin.sin_addr.s_addr == addr.s_addr;
		if (!busy && (i->ifa_flags & IFF_POINTOPOINT) &&
		    i->ifa_dstaddr) {
			memcpy(&sin, i->ifa_dstaddr, sizeof(sin));
			busy = sin.sin_addr.s_addr == addr.s_addr;
		}
	}
	freeifaddrs(list);
	return busy;
}

void
reply(struct launcher *la, struct rep *rep)
{
	rep->version = REQ_VERSION;
	if (!la->worker)
		return;
	if (ipc_send(la->worker, rep, sizeof(*rep), -1) == 0 || la->deaf)
		return;
	/* What it missed the next one is told anew. */
	log_err("MGR: worker %d does not read its messages (%s): killed",
	    (int)la->worker_pid, strerror(errno));
	la->deaf = true;
	kill(la->worker_pid, SIGKILL);
}

void
finish_if_done(struct launcher *la)
{
	if ((la->stopping || la->failed) && la->worker_gone &&
	    la->n_calls == 0)
		sd_event_exit(la->loop, !la->failed ? LAUNCH_OK :
		    la->serving ? LAUNCH_CRASHED : LAUNCH_FAILED);
}

int
arm(struct launcher *la, sd_event_source **timer, unsigned ms,
    sd_event_time_handler_t fn, void *arg)
{
	sd_event_source_disable_unref(*timer);
	*timer = NULL;
	return sd_event_add_time_relative(la->loop, timer, CLOCK_MONOTONIC,
	    ms * MS, 10 * MS, fn, arg);
}

/* --- the end of a call ------------------------------------------------ */

static void
close_shim(struct lcall *c)
{
	store_remove(STORE_SHIM, c->id);
	ipc_free(c->shim);
	c->shim = NULL;
}

static void
close_channel(struct lcall *c)
{
	if (c->channel < 0)
		return;
	store_remove(STORE_CHANNEL, c->id);
	close(c->channel);
	c->channel = -1;
}

static void
close_event(struct lcall *c)
{
	if (c->event < 0)
		return;
	sd_event_source_disable_unref(c->event_io);
	c->event_io = NULL;
	store_remove(STORE_EVENT, c->id);
	close(c->event);
	c->event = -1;
}

void
call_free(struct lcall *c)
{
	struct launcher *la = c->la;

	sd_event_source_disable_unref(c->timer);
	sd_event_source_disable_unref(c->pppd_io);
	close_shim(c);
	close_channel(c);
	close_event(c);
	if (c->pppd_fd >= 0)
		close(c->pppd_fd);
	keep_drop_pty(&la->l->keep, c->id);
	offload_call_end(la->l->offload, c->id);
	pool_put(la->pool, c->slot, c->user);
	forget_call(c);
	la->call[c->id] = NULL;
	la->n_calls--;
	notify_changed(la);
	free(c);
	finish_if_done(la);
}

static int
on_iface_retry(sd_event_source *src, uint64_t usec, void *arg)
{
	struct lcall *c = arg;

	(void)src;
	(void)usec;
	if (c->ifname[0] && if_nametoindex(c->ifname) != 0)
		arm(c->la, &c->timer, IFACE_RETRY_MS, on_iface_retry, c);
	else
		call_free(c);
	return 0;
}

/*
 * A pppd that is killed runs no ip-down script: what ip-up did for the
 * client, routes and firewall rules perhaps, is there until somebody undoes
 * it.
 */
static void
tell_no_ip_down(const struct lcall *c)
{
	char client[INET_ADDRSTRLEN], local[INET_ADDRSTRLEN];
	char remote[INET_ADDRSTRLEN], user[LOG_ESCAPED_MAX(64)];

	inet_ntop(AF_INET, &c->peer, client, sizeof(client));
	inet_ntop(AF_INET, &c->local, local, sizeof(local));
	inet_ntop(AF_INET, &c->remote, remote, sizeof(remote));
	log_warn("call %u: pppd %d was killed, ip-down did not run: %s, "
	    "address %s, local address %s, client %s, user \"%s\"", c->id,
	    (int)c->pppd_pid, c->ifname, remote, local, client,
	    log_escape(user, sizeof(user), c->user));
}

/* Report the end and give the address back once its interface is gone. */
void
send_exited(struct lcall *c, enum rep_exit_status status, int wait_status,
    int error)
{
	struct rep rep = { .op = REP_EXITED, .call = c->id, .status = status,
	    .wait_status = wait_status, .error = error,
	    .plugin_status = c->plugin_status };

	if (c->bounced && status == REP_EXIT_PPPD)
		rep.status = REP_EXIT_CHANNEL;
	if (c->ip_up) {
		tell_no_ip_down(c);
		if (c->la->l->conf->logwtmp && c->user[0] != '\0')
			logout_write(c->ifname);
	}
	c->ip_up = false;
	reply(c->la, &rep);
	c->stage = STAGE_LEAVING;
	save_call(c);
	sd_event_source_disable_unref(c->pppd_io);
	c->pppd_io = NULL;
	on_iface_retry(NULL, 0, c);
}

static void
ask_end(struct lcall *c)
{
	struct shim_cmd cmd = { .op = SHIM_TERM };

	if (c->stage != STAGE_RUNNING)
		return;
	c->stage = STAGE_ENDING;
	save_call(c);
	if (c->shim)
		ipc_send(c->shim, &cmd, sizeof(cmd), -1);
	else
		orphan_end(c);
}

void
call_stop(struct lcall *c)
{
	if (c->stage == STAGE_OPEN)
		send_exited(c, REP_EXIT_NO_PPPD, 0, 0);
	else
		ask_end(c);
}

static int
signal_pppd(struct lcall *c, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, c->pppd_fd, sig, NULL, 0);
}

static int
on_pppd_kill(sd_event_source *src, uint64_t usec, void *arg)
{
	struct lcall *c = arg;

	(void)src;
	(void)usec;
	signal_pppd(c, SIGKILL);
	return 0;
}

static int
on_orphan_exit(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct lcall *c = arg;

	(void)src;
	(void)fd;
	(void)revents;
	/* We are its subreaper: the status is collected with SIGCHLD. */
	send_exited(c, REP_EXIT_LOST, 0, 0);
	return 0;
}

/* The per-call parent is gone without a word: its pppd is ours now. */
void
parent_lost(struct lcall *c)
{
	int r;

	close_shim(c);
	if (c->stage == STAGE_RUNNING && orphan_begin(c))
		return;
	c->stage = STAGE_ENDING;
	save_call(c);
	log_err("call %u: its parent process %d is gone; ending pppd %d",
	    c->id, (int)c->shim_pid, (int)c->pppd_pid);
	if (c->pppd_fd < 0) {
		send_exited(c, REP_EXIT_LOST, 0, 0);
		return;
	}
	r = sd_event_add_io(c->la->loop, &c->pppd_io, c->pppd_fd, EPOLLIN,
	    on_orphan_exit, c);
	if (r < 0 || signal_pppd(c, SIGTERM) < 0) {
		signal_pppd(c, SIGKILL);
		if (r < 0)
			send_exited(c, REP_EXIT_LOST, 0, 0);
		return;
	}
	arm(c->la, &c->timer, KILL_MS, on_pppd_kill, c);
}

/* --- what the per-call parent says ------------------------------------ */

static void
answer_address(struct lcall *c, const struct ev *ev)
{
	struct shim_cmd cmd = { .op = SHIM_ADDR };
	struct ev_addr_reply reply = { .version = EV_VERSION };
	struct in_addr local, remote;
	int slot = pool_prefer(c->la->pool, c->slot, ev->name);

	if (slot != c->slot) {
		pool_addresses(c->la->pool, slot, &local, &remote);
		c->remote = remote;
		cmd.remote = reply.remote = remote.s_addr;
		c->slot = slot;
	}
	if (c->shim)
		ipc_send(c->shim, &cmd, sizeof(cmd), -1);
	else
		send(c->event, &reply, sizeof(reply), MSG_NOSIGNAL |
		    MSG_DONTWAIT);
}

/* Addresses that chap-secrets or a RADIUS server chose are not the pool's. */
static void
ip_is_up(struct lcall *c, const struct ev *ev)
{
	struct in_addr remote = { .s_addr = ev->remote };
	int slot = pool_settle(c->la->pool, c->slot, remote);

	if (slot == POOL_OUTSIDE && c->slot != slot)
		log_debug("call %u: its address is not from the pool", c->id);
	c->slot = slot;
	c->ip_up = true;
	c->local.s_addr = ev->local;
	c->remote = remote;
}

void
on_event(struct lcall *c, struct rep *rep)
{
	const struct ev *ev = &rep->ev;

	switch (ev->type) {
	case EV_ADDR:
		answer_address(c, ev);
		return;
	case EV_AUTH:
		memcpy(c->user, ev->name, sizeof(c->user));
		logout_cancel(ev->ifname);
		break;
	case EV_BOUND:
	case EV_UP:
		if (ev->ifname[0])
			memcpy(c->ifname, ev->ifname, sizeof(c->ifname));
		if (ev->type == EV_UP)
			ip_is_up(c, ev);
		notify_changed(c->la);
		break;
	case EV_DOWN:
		c->ip_up = false;
		notify_changed(c->la);
		break;
	case EV_STATUS:
		c->plugin_status = ev->value;
		break;
	}
	save_call(c);
	rep->call = c->id;
	reply(c->la, rep);
}

/* pppd's own lines know no call: this says whose its process id is. */
static void
log_pppd(const struct lcall *c)
{
	char ip[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &c->peer, ip, sizeof(ip));
	log_journal(&(struct log_about){ .kind = LOG_CALL_PPPD, .call = c->id,
	    .peer = c->peer.s_addr, .pppd = c->pppd_pid },
	    "call %u: pppd %d for client %s", c->id, (int)c->pppd_pid, ip);
}

static void
keep_event(struct lcall *c, int fd)
{
	if (c->event >= 0 || fd < 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	c->event = fd;
	store_put(STORE_EVENT, c->id, fd);
}

static void
from_shim(struct lcall *c, struct rep *rep)
{
	switch (rep->op) {
	case REP_STARTED:
		c->pppd_pid = rep->pid;
		if (c->pppd_fd >= 0)
			close(c->pppd_fd);
		c->pppd_fd = (int)syscall(SYS_pidfd_open, rep->pid, 0);
		c->pppd_start = proc_start(rep->pid);
		save_call(c);
		log_pppd(c);
		scope_move(c->la->scopes, c->id, c->peer, c->shim_pid,
		    c->pppd_pid);
		rep->call = c->id;
		rep->pid = c->shim_pid;
		reply(c->la, rep);
		break;
	case REP_EVENT:
		on_event(c, rep);
		break;
	case REP_EXITED:
		close_shim(c);
		if (rep->error != 0)
			log_err("call %u: cannot run %s: %s", c->id,
			    c->la->l->conf->ppp, strerror(rep->error));
		send_exited(c, rep->error ? REP_EXIT_FAILED : REP_EXIT_PPPD,
		    rep->wait_status, rep->error);
		break;
	default:
		parent_lost(c);
	}
}

void
on_shim(void *arg, const void *buf, size_t len, int fd)
{
	struct lcall *c = arg;
	struct launcher *la = c->la;
	struct rep rep;

	if (len == 0 || !rep_check(buf, len, &rep)) {
		if (fd >= 0)
			close(fd);
		parent_lost(c);
		return;
	}
	keep_event(c, fd);
	state_begin(&la->calls, c->rec);
	from_shim(c, &rep);
	state_end(&la->calls);
}

/* --- verbs ------------------------------------------------------------ */

static int on_tunnel(sd_event_source *src, int fd, uint32_t revents,
    void *arg);

static int
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
		offload_tunnel(la->l->offload, &la->l->tunnel);
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

static void
refuse(struct launcher *la, uint16_t id, enum rep_open_status status,
    int error)
{
	struct rep rep = { .op = REP_OPENED, .call = id, .status = status,
	    .error = error };

	reply(la, &rep);
}

static void
verb_open(struct launcher *la, const struct req *req)
{
	struct rep rep = { .op = REP_OPENED, .call = req->call };
	struct lcall *c;
	int other = -1;

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
	close_channel(c);
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

static int on_late_check(sd_event_source *src, void *arg);

static void
worker_ready(struct launcher *la)
{
	struct launch *l = la->l;

	la->worker_ready = true;
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
		 * with nobody to hear it. */
		if (!la->worker_gone)
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
		if (!keep_tcp(&la->l->keep, req.key, fd))
			condemn_worker(la, "no connection to keep");
		break;
	case REQ_DROP:
		keep_drop_tcp(&la->l->keep, req.key);
		break;
	case REQ_PONG:
		notify_pong(la);
		break;
	case REQ_DRAIN:
	case REQ_RESUME:
		drain_set(la, req.op == REQ_DRAIN);
		break;
	}
}

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
		ask_end(c);
	}
	return 0;
}

/*
 * A frame that the kernel's L2TP does not know comes back here: the worker
 * sent it to a session that is gone.  For a call that is just ending that is
 * normal, so it gets a moment.
 */
static int
on_tunnel(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct launcher *la = arg;

	(void)src;
	(void)revents;
	for (int i = 0; i < DRAIN_MAX; i++) {
		uint8_t h[6];	/* flags, tunnel, session: the worker's */
		ssize_t n = recv(fd, h, sizeof(h), MSG_DONTWAIT);
		struct lcall *c;

		if (n < 0 && errno != ECONNREFUSED)
			break;
		if (n != sizeof(h))
			continue;
		c = la->call[h[4] << 8 | h[5]];
		if (c && !c->timer && (c->stage == STAGE_OPEN ||
		    c->stage == STAGE_RUNNING))
			arm(la, &c->timer, BOUNCE_MS, on_bounce_timer, c);
	}
	return 0;
}

/* --- the worker's and our own end ------------------------------------- */

void
end_all_calls(struct launcher *la)
{
	for (unsigned id = 1; id <= UINT16_MAX; id++)
		if (la->call[id])
			call_stop(la->call[id]);
}

int
on_worker_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct launcher *la = arg;

	(void)src;
	(void)usec;
	log_warn("MGR: worker %d does not end: killed", (int)la->worker_pid);
	kill(la->worker_pid, SIGKILL);
	return 0;
}

static int
on_stop_signal(sd_event_source *src, const struct signalfd_siginfo *si,
    void *arg)
{
	struct launcher *la = arg;
	struct rep rep = { .op = REP_SHUTDOWN };

	(void)src;
	if (la->stopping)
		return 0;
	log_info("MGR: signal %u: telling all clients, then stopping",
	    si->ssi_signo);
	la->stopping = true;
	sd_notify(0, "STOPPING=1\nSTATUS=stopping");
	reply(la, &rep);
	arm(la, &la->worker_timer, WORKER_END_MS, on_worker_timer, la);
	return 0;
}

/* Would the program that would be executed run at all? */
static bool
runs(const char *path)
{
	char *argv[] = { (char *)(uintptr_t)path, NULL, NULL };
	char option[] = "--version";
	int status = -1;
	pid_t pid;

	argv[1] = option;
	pid = fork();
	if (pid == 0) {
		close_range(0, ~0U, CLOSE_RANGE_CLOEXEC);
		execv(path, argv);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int
on_hup(sd_event_source *src, const struct signalfd_siginfo *si, void *arg)
{
	struct launcher *la = arg;
	const struct launch *l = la->l;
	uint64_t now = 0;

	(void)src;
	(void)si;
	sd_event_now(la->loop, CLOCK_MONOTONIC, &now);
	if (la->stopping || la->handover != HANDOVER_NONE || !la->serving)
		return 0;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now);
	if (!l->check(l->check_arg))
		log_err("MGR: SIGHUP: the configuration has errors: all goes "
		    "on with the old one");
	else if (!runs(l->program))
		log_err("MGR: SIGHUP: %s does not run: all goes on with the "
		    "old program and configuration", l->program);
	else {
		log_info("MGR: SIGHUP: reading the configuration again for "
		    "new calls");
		worker_hand_over(la, HANDOVER_RELOAD);
		return 0;
	}
	sd_notify(0, "READY=1");
	return 0;
}

static int
on_restart_signal(sd_event_source *src, const struct signalfd_siginfo *si,
    void *arg)
{
	struct launcher *la = arg;

	if (la->stopping || la->handover == HANDOVER_RESTART)
		return 0;
	if (!store_is_kept()) {
		log_warn("MGR: signal %u: without systemd nobody can hold the "
		    "calls for another manager", si->ssi_signo);
		return on_stop_signal(src, si, arg);
	}
	worker_hand_over(la, HANDOVER_RESTART);
	return 0;
}

static int
on_child(sd_event_source *src, const struct signalfd_siginfo *si, void *arg)
{
	struct launcher *la = arg;
	int status;
	pid_t pid;

	(void)src;
	(void)si;
	/* Per-call parents tell through their socket; orphaned scripts of
	 * pppd are only collected. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		logout_ended(pid);
		if (pid == la->worker_pid)
			worker_ended(la, status);
	}
	return 0;
}

/* --- start ------------------------------------------------------------ */

static void
warn_weak(uint32_t flags, const struct conf *conf)
{
	const char *file = conf->option ? conf->option : "/etc/ppp/options";
	uint32_t weak = flags & (EV_F_AUTH_PAP | EV_F_AUTH_CHAP_MD5 |
	    EV_F_AUTH_MSCHAP);

	if (flags & EV_F_AUTH_MSCHAPV2)
		log_warn("MGR: MS-CHAPv2, the best login that PPTP has, is "
		    "broken since 2012: whoever records one can compute its "
		    "key and read the call; see pptpd(8)");
	if (!(flags & EV_F_AUTH_REQUIRED))
		log_warn("MGR: %s lets clients in without a password: add "
		    "require-mschap-v2", file);
	else if (weak)
		log_warn("MGR: %s lets clients use %s, which can be read or "
		    "broken at once: allow require-mschap-v2 only", file,
		    weak & EV_F_AUTH_PAP ? "PAP" :
		    weak & EV_F_AUTH_CHAP_MD5 ? "CHAP-MD5" : "MS-CHAPv1");
	if (!(flags & EV_F_MPPE_REQUIRED))
		log_warn("MGR: %s lets clients in without encryption: add "
		    "require-mppe-128", file);
}

/* Whether calls can be made: what takes time, or makes a process. */
static int
check_pppd(struct launch *l, char why[LAUNCH_WHY_MAX])
{
	const struct conf *conf = l->conf;
	int channel, other, r;

	if (probe_channel(l->path, &l->tunnel, &channel, &other, why) < 0)
		return -1;
	r = pppd_check(conf, channel, &l->option_flags, why);
	close(channel);
	if (other >= 0)
		close(other);
	if (r < 0)
		return -1;
	if (why[0])
		log_warn("MGR: %s", why);
	if ((l->option_flags & EV_F_MPPE_REQUIRED) && probe_mppe(why) < 0)
		return -1;
	if (conf->logwtmp && !(l->option_flags & EV_F_WTMP))
		log_notice("MGR: logwtmp: there is neither a file "
		    "/var/log/wtmp nor a library libwtmpdb.so.0: logins are "
		    "not recorded (create the one, install the other, or "
		    "remove the keyword)");
	warn_weak(l->option_flags, conf);
	return 0;
}

static int
check_files(const struct conf *conf, char why[LAUNCH_WHY_MAX])
{
	if (conf->option && access(conf->option, R_OK) < 0) {
		snprintf(why, LAUNCH_WHY_MAX, "PPP options file %s not "
		    "readable: %s (keyword option in %s)", conf->option,
		    strerror(errno), conf->file);
		return -1;
	}
	if (access(conf->ppp, X_OK) < 0) {
		snprintf(why, LAUNCH_WHY_MAX, "PPP binary %s not executable: "
		    "%s (install package ppp, or set keyword ppp)",
		    conf->ppp, strerror(errno));
		return -1;
	}
	return probe_ppp(why);
}

/* The tunnel on the fast path's device.  0, or -1 with why when there is no
 * fast path. */
static int
open_offload(struct launch *l, char why[CHANNEL_WHY_MAX])
{
	if (l->conf->vrf) {
		snprintf(why, CHANNEL_WHY_MAX, "it knows no ways in a VRF");
		return -1;
	}
	/* Where a CPU is stopped for long, frames of another one, or of the
	 * worker, have been seen to overtake those in its queue. */
	if (l->conf->offload == CONF_OFFLOAD_AUTO &&
	    sysconf(_SC_NPROCESSORS_ONLN) > 1) {
		snprintf(why, CHANNEL_WHY_MAX, "on more than one CPU it does "
		    "not keep the order of all frames; relay-offload on uses "
		    "it all the same");
		return -1;
	}
	l->offload = offload_open(&l->tunnel, false, why);
	if (!l->offload)
		return -1;
	if (tunnel_open(&l->tunnel, why) == 0) {
		offload_tunnel(l->offload, &l->tunnel);
		l->path = CONF_DP_RELAY;
		return 0;
	}
	offload_close(l->offload);
	l->offload = NULL;
	l->tunnel = (struct tunnel)TUNNEL_INIT;
	return -1;
}

/* What a tunnel that was taken over needs. */
static void
resume_offload(struct launch *l)
{
	enum conf_offload want = l->conf->offload;
	char reason[CHANNEL_WHY_MAX];

	if (l->tunnel.near.s_addr == 0) {
		if (want != CONF_OFFLOAD_OFF)
			log_notice("MGR: relay-offload stays off until the "
			    "server is stopped and started");
		return;
	}
	l->offload = offload_open(&l->tunnel, want == CONF_OFFLOAD_OFF,
	    reason);
	if (l->offload) {
		offload_tunnel(l->offload, &l->tunnel);
		return;
	}
	log_err("MGR: relay-offload: %s: the calls are lost", reason);
	tunnel_close(&l->tunnel);
	l->tunnel = (struct tunnel)TUNNEL_INIT;
}

/* Where the configuration allows it and the path is still open. */
static bool
may_offload(const struct launch *l)
{
	enum conf_datapath path = l->path == CONF_DP_AUTO ?
	    l->conf->datapath : l->path;

	return l->conf->offload != CONF_OFFLOAD_OFF &&
	    l->tunnel.kernel_fd < 0 &&
	    (path == CONF_DP_AUTO || path == CONF_DP_RELAY);
}

/* The data path, and its sockets as far as they were not taken over. */
static int
open_path(struct launch *l, char why[LAUNCH_WHY_MAX])
{
	char reason[CHANNEL_WHY_MAX];

	why[0] = '\0';
	if (l->tunnel.kernel_fd >= 0)
		resume_offload(l);
	if (may_offload(l) && open_offload(l, reason) < 0) {
		if (l->conf->offload == CONF_OFFLOAD_ON) {
			snprintf(why, LAUNCH_WHY_MAX, "relay-offload on: %s",
			    reason);
			return -1;
		}
		log_notice("MGR: relay-offload off: %s", reason);
	}
	if (l->path == CONF_DP_AUTO &&
	    probe_datapath(l->conf, &l->tunnel, &l->path, why) < 0)
		return -1;
	if (why[0])
		log_warn("MGR: %s", why);
	if (l->path == CONF_DP_RELAY && l->tunnel.kernel_fd < 0 &&
	    tunnel_open(&l->tunnel, why) < 0)
		return -1;
	if (l->path == CONF_DP_KERNEL || l->gre_fd >= 0)
		return 0;
	l->gre_fd = gre_socket();
	if (l->gre_fd >= 0)
		return 0;
	snprintf(why, LAUNCH_WHY_MAX, "raw GRE socket: %s (needs "
	    "CAP_NET_RAW)", strerror(errno));
	return -1;
}

/* Sockets that were handed over, and GRE. */
static int
enter_vrf(struct launch *l, char why[LAUNCH_WHY_MAX])
{
	const char *vrf = l->conf->vrf;

	if (!vrf)
		return 0;
	if (l->path == CONF_DP_KERNEL) {
		snprintf(why, LAUNCH_WHY_MAX, "vrf %s: the kernel's PPTP "
		    "sockets know no VRF; use datapath relay or tty", vrf);
		return -1;
	}
	for (int i = 0; i < l->n_listen; i++)
		if (vrf_bind(l->listen_fd[i], vrf, why, LAUNCH_WHY_MAX) < 0)
			return -1;
	return vrf_bind(l->gre_fd, vrf, why, LAUNCH_WHY_MAX);
}

static int
open_sockets(struct launch *l, char why[LAUNCH_WHY_MAX])
{
	l->n_listen = listen_sockets(l->conf, l->listen_fd, why);
	if (l->n_listen < 0)
		return -1;
	listen_status_path(l->conf->pidfile, l->status_path,
	    sizeof(l->status_path));
	l->status_fd = listen_status(l->status_path, why);
	if (l->status_fd < 0 || open_path(l, why) < 0)
		return -1;
	return enter_vrf(l, why);
}

int
launch_prepare(struct launch *l, const struct conf *conf,
    char why[LAUNCH_WHY_MAX])
{
	uint32_t keys = REQ_KEYS(conf->connections);

	memset(l, 0, sizeof(*l));
	l->conf = conf;
	l->path = CONF_DP_AUTO;
	l->tunnel = (struct tunnel)TUNNEL_INIT;
	l->gre_fd = l->status_fd = -1;
	l->table = (struct state)STATE_INIT;
	inherit_tables(l);
	if (store_last(STORE_TCP) > (long)keys)
		keys = (uint32_t)store_last(STORE_TCP);
	if (keep_init(&l->keep, keys) < 0) {
		snprintf(why, LAUNCH_WHY_MAX, "out of memory");
		return -1;
	}
	inherit_sockets(l);
	if (check_files(conf, why) < 0 || open_sockets(l, why) < 0)
		return -1;
	/* With calls to go on with, they come first: see worker_ready. */
	if (!l->inherits && check_pppd(l, why) < 0)
		return -1;
	if (l->tunnel.kernel_fd >= 0) {
		store_put(STORE_TUNNEL, 0, l->tunnel.kernel_fd);
		store_put(STORE_RELAY, 0, l->tunnel.relay_fd);
	}
	if (l->gre_fd >= 0)
		store_put(STORE_GRE, 0, l->gre_fd);
	return 0;
}

/* Where calls went on at once, whether new ones can come is found out now. */
static int
on_late_check(sd_event_source *src, void *arg)
{
	struct launcher *la = arg;
	char why[LAUNCH_WHY_MAX];

	(void)src;
	if (check_pppd(la->l, why) < 0)
		log_err("MGR: new calls will fail: %s", why);
	return 0;
}

/* Before the worker is forked, or its early end would go unheard. */
static void
block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, RESTART_SIGNAL);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int
add_sources(struct launcher *la)
{
	int r;

	r = sd_event_add_signal(la->loop, NULL, SIGCHLD, on_child, la);
	if (r >= 0)
		r = sd_event_add_signal(la->loop, NULL, SIGTERM,
		    on_stop_signal, la);
	if (r >= 0)
		r = sd_event_add_signal(la->loop, NULL, SIGINT,
		    on_stop_signal, la);
	if (r >= 0)
		r = sd_event_add_signal(la->loop, NULL, SIGHUP, on_hup, la);
	if (r >= 0)
		r = sd_event_add_signal(la->loop, NULL, RESTART_SIGNAL,
		    on_restart_signal, la);
	if (r >= 0)
		r = notify_start(la);
	if (r >= 0 && la->l->path == CONF_DP_RELAY)
		r = watch_tunnel(la);
	if (r >= 0)
		r = offload_watch(la->l->offload, la->loop);
	return r;
}

enum launch_exit
launch_run(struct launch *l, launch_worker_fn worker, launch_ready_fn ready,
    void *arg)
{
	struct launcher *la = calloc(1, sizeof(*la));
	struct rlimit rl;
	int r;

	if (!la)
		log_fatal("MGR: out of memory");
	la->l = l;
	la->ready = ready;
	la->ready_arg = arg;
	la->worker_fn = worker;
	la->live_table = -1;
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	/* pppd of a lost per-call parent comes to us, not to init. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
	la->pool = pool_new(l->conf, address_busy);
	r = sd_event_new(&la->loop);
	block_signals();
	if (r >= 0)
		la->scopes = scopes_new(la->loop);
	if (!la->pool || r < 0 || inherit_calls(la) < 0)
		log_fatal("MGR: cannot start: %s", strerror(r < 0 ? -r :
		    errno));
	inherit_end_worker(l);
	if (worker_fork(la) < 0)
		log_fatal("MGR: cannot start the worker: %s",
		    strerror(errno));
	r = add_sources(la);
	if (r < 0)
		log_fatal("MGR: event loop: %s", strerror(-r));
	r = sd_event_loop(la->loop);
	unlink(l->status_path);
	if (la->handover == HANDOVER_RESTART)
		log_notice("MGR: kept %u calls; to end them: systemctl stop "
		    "pptpd", la->n_calls);
	else
		store_empty();
	/* Else it goes on for the calls that were kept. */
	if (la->handover != HANDOVER_RESTART)
		offload_close(l->offload);
	if (la->stopping)
		drain_forget(la);
	log_about(&(struct log_about){ .kind = LOG_ENDED }, LOG_INFO,
	    "MGR: Manager process ended");
	return r < 0 ? LAUNCH_CRASHED : (enum launch_exit)r;
}
