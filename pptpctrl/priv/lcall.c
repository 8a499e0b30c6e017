/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/launcher.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "priv/logout.h"
#include "priv/nofile.h"
#include "priv/offload.h"
#include "priv/pool.h"
#include "priv/proc.h"
#include "priv/scope.h"
#include "priv/shim.h"
#include "priv/store.h"

#define IFACE_RETRY_MS	100

/* --- its end ---------------------------------------------------------- */

static void
close_shim(struct lcall *c)
{
	store_remove(STORE_SHIM, c->id);
	ipc_free(c->shim);
	c->shim = NULL;
}

void
call_close_channel(struct lcall *c)
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
	call_close_channel(c);
	close_event(c);
	if (c->pppd_fd >= 0)
		close(c->pppd_fd);
	keep_drop_pty(&la->l->keep, c->id);
	offload_call_end(la->l->offload, c->id);
	pool_put(la->pool, c->slot, c->user);
	forget_call(c);
	nofile_reserve(true);
	la->call[c->id] = NULL;
	la->n_calls--;
	notify_changed(la);
	free(c);
	finish_if_done(la);
}

/*
 * Asked by number.  By the name of one that is gone the kernel would look for a
 * driver: it runs modprobe twice, for which this process, and so every client
 * that comes meanwhile, would have to wait; and another call may have the name
 * by now.
 */
static bool
has_interface(const struct lcall *c)
{
	char name[IF_NAMESIZE];

	return c->ifindex != 0 && if_indextoname(c->ifindex, name);
}

static int
on_iface_retry(sd_event_source *src, uint64_t usec, void *arg)
{
	struct lcall *c = arg;

	(void)src;
	(void)usec;
	if (has_interface(c))
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
	if (status == REP_EXIT_PPPD && c->stage == STAGE_ENDING &&
	    WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL)
		log_warn("call %u: pppd %d was killed before it had ended by "
		    "itself", c->id, (int)c->pppd_pid);
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
on_pppd_kill(sd_event_source *src, uint64_t usec, void *arg)
{
	struct lcall *c = arg;

	(void)src;
	(void)usec;
	proc_signal(c->pppd_fd, SIGKILL);
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
	if (c->pppd_fd < 0)
		c->pppd_fd = proc_open(c->pppd_pid, c->pppd_start);
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
	if (r < 0 || proc_signal(c->pppd_fd, SIGTERM) < 0) {
		proc_signal(c->pppd_fd, SIGKILL);
		if (r < 0)
			send_exited(c, REP_EXIT_LOST, 0, 0);
		return;
	}
	arm(c->la, &c->timer, PPPD_KILL_MS, on_pppd_kill, c);
}

void
end_all_calls(struct launcher *la)
{
	for (unsigned id = 1; id <= UINT16_MAX; id++)
		if (la->call[id])
			call_stop(la->call[id]);
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
		if (ev->ifname[0] && (c->ifindex == 0 ||
		    strcmp(ev->ifname, c->ifname) != 0)) {
			memcpy(c->ifname, ev->ifname, sizeof(c->ifname));
			c->ifindex = if_nametoindex(c->ifname);
		}
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

/* Its parent says so again to each new worker. */
static void
pppd_started(struct lcall *c, pid_t pid)
{
	if (c->pppd_fd < 0 || c->pppd_pid != pid) {
		if (c->pppd_fd >= 0)
			close(c->pppd_fd);
		c->pppd_pid = pid;
		c->pppd_fd = (int)syscall(SYS_pidfd_open, pid, 0);
		c->pppd_start = proc_start(pid);
		save_call(c);
		log_pppd(c);
	}
	/* Once by each launcher: the one before may have died over it. */
	if (!c->scoped)
		scope_move(c->la->scopes, c->id, c->peer, c->shim_pid,
		    c->pppd_pid);
	c->scoped = true;
}

static void
from_shim(struct lcall *c, struct rep *rep)
{
	switch (rep->op) {
	case REP_STARTED:
		pppd_started(c, rep->pid);
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
