/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/inherit.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "priv/launcher.h"
#include "priv/offload.h"
#include "priv/pool.h"
#include "priv/proc.h"
#include "priv/saved.h"
#include "priv/shim.h"
#include "priv/store.h"

#define RECORDS_SPARE	64u	/* calls that are leaving need one too */
#define WORKER_WAIT_MS	5000
#define BLAMED_MAX	2u

/* --- before the configuration counts -------------------------------------- */

static void
drop(enum store_kind kind, uint32_t n, int fd)
{
	store_remove(kind, n);
	close(fd);
}

/* The newest table that is whole. */
static void
open_calls(struct launch *l)
{
	char why[STATE_WHY_MAX];
	long gen;

	while ((gen = store_last(STORE_CALLS)) >= 0) {
		int fd = store_take(STORE_CALLS, (uint32_t)gen);

		if (state_open(&l->old_calls, saved_kind(), fd, why) < 0) {
			log_err("MGR: the table of calls of the manager "
			    "before %s: they are ended", why);
			drop(STORE_CALLS, (uint32_t)gen, fd);
			continue;
		}
		l->calls_gen = (uint32_t)gen;
		if (state_complete(&l->old_calls))
			return;
		store_remove(STORE_CALLS, (uint32_t)gen);
		state_close(&l->old_calls);
	}
}

bool
inherit_has_worker(const struct launch *l)
{
	int fd = proc_open(l->old_worker, l->old_worker_start);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* A signal to the process that had this pid: one that started at another time
 * is not meant.  Its pidfd, -1: it is gone. */
static int
send_signal(pid_t pid, uint64_t start, int sig)
{
	int fd = proc_open(pid, start);

	if (fd >= 0)
		proc_signal(fd, sig);
	return fd;
}

static void
terminate(pid_t pid, uint64_t start)
{
	int fd = send_signal(pid, start, SIGTERM);

	if (fd >= 0)
		close(fd);
}

/* Two workers must not serve the same calls. */
void
inherit_end_worker(struct launch *l)
{
	int fd = send_signal(l->old_worker, l->old_worker_start, SIGKILL);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return;
	if (poll(&pfd, 1, WORKER_WAIT_MS) != 1)
		log_err("MGR: worker %d of the manager before does not end",
		    l->old_worker);
	close(fd);
	l->old_worker = 0;
}

void
inherit_tables(struct launch *l)
{
	struct saved_server server;
	long gen;

	l->old_calls = (struct state)STATE_INIT;
	l->old_table = -1;
	l->inherits = store_inherited();
	if (!l->inherits)
		return;
	open_calls(l);
	if (saved_get_server(&l->old_calls, &server)) {
		l->old_worker = server.worker;
		l->old_worker_start = server.worker_start;
	}
	gen = store_last(STORE_WORKER);
	if (gen < 0)
		return;
	l->worker_gen = (uint32_t)gen;
	l->old_table = store_take(STORE_WORKER, l->worker_gen);
}

/* --- sockets -------------------------------------------------------------- */

static bool
is_socket(int fd, int domain, int type, int protocol)
{
	static const int name[] = { SO_DOMAIN, SO_TYPE, SO_PROTOCOL };
	const int want[] = { domain, type, protocol };

	for (int i = 0; i < 3; i++) {
		int value = -1;
		socklen_t len = sizeof(value);

		if (getsockopt(fd, SOL_SOCKET, name[i], &value, &len) < 0 ||
		    value != want[i])
			return false;
	}
	return true;
}

static int
take_socket(enum store_kind kind, int domain, int type, int protocol)
{
	int fd = store_take(kind, 0);

	if (fd < 0 || is_socket(fd, domain, type, protocol))
		return fd;
	log_err("MGR: a descriptor that was kept is of the wrong kind");
	drop(kind, 0, fd);
	return -1;
}

static void
take_tunnel(struct launch *l, uint32_t id)
{
	struct tunnel t = TUNNEL_INIT;

	t.id = id;
	t.kernel_fd = take_socket(STORE_TUNNEL, AF_INET, SOCK_DGRAM,
	    IPPROTO_UDP);
	t.relay_fd = take_socket(STORE_RELAY, AF_INET, SOCK_DGRAM,
	    IPPROTO_UDP);
	tunnel_locate(&t);
	if (t.kernel_fd >= 0 && t.relay_fd >= 0 && tunnel_alive(&t)) {
		l->tunnel = t;
		return;
	}
	log_err("MGR: the L2TP tunnel was not kept: its calls are lost");
	if (t.kernel_fd >= 0)
		drop(STORE_TUNNEL, 0, t.kernel_fd);
	if (t.relay_fd >= 0)
		drop(STORE_RELAY, 0, t.relay_fd);
}

static void
take_connections(struct launch *l)
{
	for (long key = store_last(STORE_TCP); key > 0; key--) {
		int fd = store_take(STORE_TCP, (uint32_t)key);

		if (fd < 0)
			continue;
		if ((uint32_t)key > l->keep.n_keys ||
		    !keep_is_connection(fd)) {
			log_err("MGR: a control connection that was kept is "
			    "none");
			drop(STORE_TCP, (uint32_t)key, fd);
			continue;
		}
		keep_connection(&l->keep, (uint32_t)key, fd);
	}
}

static bool
has_calls(const struct state *t, uint32_t n_calls)
{
	struct saved_call call;

	for (uint32_t i = 1; i <= n_calls; i++)
		if (saved_get_call(t, i, &call))
			return true;
	return false;
}

void
inherit_sockets(struct launch *l)
{
	struct saved_server server;

	if (!l->inherits)
		return;
	take_connections(l);
	/* Without calls the configuration chooses anew. */
	if (!saved_get_server(&l->old_calls, &server) ||
	    !has_calls(&l->old_calls, server.n_calls))
		return;
	if (server.datapath == CONF_DP_RELAY || server.datapath ==
	    CONF_DP_TTY || server.datapath == CONF_DP_KERNEL)
		l->path = (enum conf_datapath)server.datapath;
	if (l->path == CONF_DP_RELAY)
		take_tunnel(l, server.tunnel);
	if (l->path == CONF_DP_RELAY || l->path == CONF_DP_TTY)
		l->gre_fd = take_socket(STORE_GRE, AF_INET, SOCK_RAW,
		    IPPROTO_GRE);
	if (l->conf->datapath != CONF_DP_AUTO &&
	    l->conf->datapath != l->path)
		log_warn("MGR: datapath stays %s until the server is stopped "
		    "and started", conf_datapath_name(l->path));
}

/* --- writing -------------------------------------------------------------- */

void
save_server(struct launcher *la)
{
	/* While there are two, the new one ends with this process. */
	pid_t worker = la->l->old_worker != 0 ? la->l->old_worker :
	    la->worker_pid;
	struct saved_server rec = { .datapath = la->l->path,
		.tunnel = la->l->tunnel.id, .worker = worker,
		.worker_start = proc_start(worker), .n_calls = la->n_rec };

	state_put(&la->calls, 0, &rec, sizeof(rec));
}

void
save_call(struct lcall *c)
{
	struct launcher *la = c->la;
	struct saved_call rec = { .id = c->id, .peer_call = c->peer_call,
		.stage = c->stage, .peer = c->peer, .own = c->own,
		.local = c->local, .remote = c->remote,
		.plugin_status = c->plugin_status, .shim = c->shim_pid,
		.pppd = c->pppd_pid, .bounced = c->bounced,
		.shim_start = c->shim_start, .pppd_start = c->pppd_start,
		.ifindex = c->ifindex };

	if (c->rec == 0 && la->n_free_rec > 0)
		c->rec = la->free_rec[--la->n_free_rec];
	if (c->rec == 0)
		return;
	memcpy(rec.ifname, c->ifname, sizeof(rec.ifname));
	memcpy(rec.user, c->user, sizeof(rec.user));
	state_put(&la->calls, c->rec, &rec, sizeof(rec));
}

void
forget_call(struct lcall *c)
{
	struct launcher *la = c->la;
	struct saved_user rec = { .remote = c->remote };

	if (c->rec != 0) {
		state_clear(&la->calls, c->rec);
		la->free_rec[la->n_free_rec++] = c->rec;
		c->rec = 0;
	}
	if (c->slot < 0 || !c->user[0])
		return;
	memcpy(rec.user, c->user, sizeof(rec.user));
	state_put(&la->calls, 1 + la->n_rec + (uint32_t)c->slot, &rec,
	    sizeof(rec));
}

/* --- taking calls over ---------------------------------------------------- */

static struct lcall *
new_call(struct launcher *la, const struct saved_call *rec)
{
	struct lcall *c = calloc(1, sizeof(*c));

	if (!c)
		log_fatal("MGR: out of memory");
	c->la = la;
	c->id = rec->id;
	c->peer_call = rec->peer_call;
	c->peer = rec->peer;
	c->own = rec->own;
	c->local = rec->local;
	c->remote = rec->remote;
	c->plugin_status = rec->plugin_status;
	c->bounced = rec->bounced != 0;
	c->shim_pid = rec->shim;
	c->shim_start = rec->shim_start;
	c->pppd_pid = rec->pppd;
	c->pppd_start = rec->pppd_start;
	memcpy(c->ifname, rec->ifname, sizeof(c->ifname));
	c->ifindex = rec->ifindex;
	if (c->ifindex == 0 && c->ifname[0])
		c->ifindex = if_nametoindex(c->ifname);
	memcpy(c->user, rec->user, sizeof(c->user));
	c->channel = c->event = c->exit_value = -1;
	c->pppd_fd = proc_open(c->pppd_pid, c->pppd_start);
	c->slot = pool_claim(la->pool, c->remote);
	la->call[c->id] = c;
	la->n_calls++;
	offload_call_resume(la->l->offload, c->id);
	return c;
}

static void
take_event(struct lcall *c)
{
	int fd = store_take(STORE_EVENT, c->id);

	if (fd < 0 || is_socket(fd, AF_UNIX, SOCK_SEQPACKET, 0))
		c->event = fd;
	else
		drop(STORE_EVENT, c->id, fd);
}

static void
take_pty(struct lcall *c)
{
	int fd = store_take(STORE_PTY, c->id), number;

	if (fd >= 0 && ioctl(fd, TIOCGPTN, &number) == 0)
		c->la->l->keep.pty[c->id] = fd;
	else if (fd >= 0)
		drop(STORE_PTY, c->id, fd);
}

static bool
take_shim(struct lcall *c)
{
	struct shim_cmd here = { .op = SHIM_HERE, .pid = getpid() };
	int fd = store_take(STORE_SHIM, c->id);

	if (fd < 0)
		return false;
	if (is_socket(fd, AF_UNIX, SOCK_SEQPACKET, 0))
		c->shim = ipc_new(c->la->loop, fd, on_shim, c);
	if (!c->shim) {
		drop(STORE_SHIM, c->id, fd);
		return false;
	}
	/* What it has to say must wait until there is a worker; its patience
	 * must not. */
	ipc_send(c->shim, &here, sizeof(here), -1);
	return true;
}

/* Its parent had died before the launcher did. */
static bool
take_orphan(struct lcall *c)
{
	int fd = proc_open(c->shim_pid, c->shim_start);

	if (fd < 0)
		return orphan_begin(c);
	close(fd);
	return false;
}

/* Its per-call parent cannot be asked: it is ended by its pids. */
static void
end_doubtful(struct lcall *c)
{
	log_err("call %u: the socket to its parent process was not kept: the "
	    "call is ended", c->id);
	c->stage = STAGE_ENDING;
	terminate(c->shim_pid, c->shim_start);
	parent_lost(c);
}

/* Whatever is done with this record may bring the manager down again, so
 * nothing is.  Its descriptors are dropped with the rest of the store, and
 * the worker tells the client, as of any call that is lost. */
static void
end_untouched(const struct saved_call *rec)
{
	log_err("call %u: its record brought the manager down twice: the call "
	    "is ended", rec->id);
	terminate(rec->shim, rec->shim_start);
	terminate(rec->pppd, rec->pppd_start);
}

static void
take_call(struct launcher *la, const struct saved_call *rec)
{
	struct lcall *c;

	if (la->call[rec->id] || rec->stage > STAGE_ENDING)
		return;		/* leaving ones are only an interface */
	c = new_call(la, rec);
	take_pty(c);
	take_event(c);
	if (rec->stage == STAGE_OPEN) {
		c->channel = store_take(STORE_CHANNEL, c->id);
		c->stage = STAGE_OPEN;
		/* The worker tells its client, as of any that is lost. */
		if (c->channel < 0)
			call_free(c);
		else
			save_call(c);
		return;
	}
	c->stage = STAGE_RUNNING;
	save_call(c);
	if (!take_shim(c) && !take_orphan(c))
		end_doubtful(c);
	else if (rec->stage == STAGE_ENDING)
		call_stop(c);
}

static void
take_calls(struct launcher *la, struct state *old)
{
	struct saved_server server;
	struct saved_call call;
	struct saved_user user;
	long suspect = state_suspect(old);
	uint32_t i;

	if (!saved_get_server(old, &server))
		return;
	state_end(old);
	if (suspect > 0)
		state_blame(old, (uint32_t)suspect);
	for (i = 1; i <= server.n_calls; i++) {
		if (!saved_get_call(old, i, &call))
			continue;
		if (state_blamed(old, i) >= BLAMED_MAX) {
			end_untouched(&call);
			continue;
		}
		state_begin(old, i);
		take_call(la, &call);
		state_end(old);
		for (unsigned k = 0; la->call[call.id] &&
		    k < state_blamed(old, i); k++)
			state_blame(&la->calls, la->call[call.id]->rec);
	}
	for (; i < old->n; i++) {
		int slot = POOL_NONE;

		if (saved_get_user(old, i, &user))
			slot = pool_remember(la->pool, user.remote,
			    user.user);
		if (slot >= 0)
			state_put(&la->calls, 1 + la->n_rec + (uint32_t)slot,
			    &user, sizeof(user));
	}
}

int
inherit_calls(struct launcher *la)
{
	struct state *old = &la->l->old_calls;
	uint32_t users = pool_size(la->pool);
	uint32_t old_gen = la->l->calls_gen;

	la->worker_gen = la->l->worker_gen;
	la->calls_gen = old_gen + 1;
	la->n_rec = users + RECORDS_SPARE;
	if (state_is_open(old) && la->n_rec < old->n)
		la->n_rec = old->n;
	la->free_rec = calloc(la->n_rec, sizeof(*la->free_rec));
	if (!la->free_rec || state_create(&la->calls, saved_kind(),
	    "pptpd-calls", 1 + la->n_rec + users) < 0)
		return -1;
	for (uint32_t i = la->n_rec; i > 0; i--)
		la->free_rec[la->n_free_rec++] = i;
	save_server(la);
	if (state_is_open(old))
		take_calls(la, old);
	state_set_complete(&la->calls);
	store_put(STORE_CALLS, la->calls_gen, la->calls.fd);
	if (state_is_open(old)) {
		store_remove(STORE_CALLS, old_gen);
		state_close(old);
		log_notice("MGR: %u calls of the manager before go on",
		    la->n_calls);
	}
	store_drop_rest();
	return 0;
}
