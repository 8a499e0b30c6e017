/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/launcher.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "log.h"
#include "priv/inherit.h"
#include "priv/nofile.h"
#include "priv/scope.h"
#include "priv/shim.h"
#include "priv/store.h"

#define READY_MS	10000
#define WORKER_END_MS	15000	/* from shutdown to SIGKILL */
#define RETRY_MS	1000	/* when no worker can be started */
#define RETRY_LOG_MS	10000

/* The calls there are, and through their parents all about them. */
static void
tell_kept(struct launcher *la)
{
	struct shim_cmd again = { .op = SHIM_AGAIN, .pid = getpid() };
	struct rep rep = { .op = REP_KEPT };
	static const uint32_t status[] = {
		[STAGE_OPEN] = REP_KEPT_OPEN,
		[STAGE_RUNNING] = REP_KEPT_STARTED,
		[STAGE_ENDING] = REP_KEPT_ENDING,
	};

	for (unsigned id = 1; id <= UINT16_MAX; id++) {
		const struct lcall *c = la->call[id];

		if (!c || c->stage == STAGE_LEAVING)
			continue;
		rep.call = id;
		rep.status = status[c->stage];
		rep.tunnel = la->l->tunnel.id;
		rep.local = c->local.s_addr;
		rep.remote = c->remote.s_addr;
		rep.pid = c->shim ? c->shim_pid : c->pppd_pid;
		reply(la, &rep);
		if (c->shim)
			ipc_send(c->shim, &again, sizeof(again), -1);
	}
	rep = (struct rep){ .op = REP_KEPT };
	reply(la, &rep);
}

static int
not_forked(struct launcher *la, const int pair[2])
{
	int saved = errno;

	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
	state_close(&la->l->table);
	nofile_reserve(true);
	errno = saved;
	return -1;
}

int
worker_fork(struct launcher *la)
{
	struct launch *l = la->l;
	int pair[2] = { -1, -1 };
	pid_t pid = -1;

	nofile_reserve(false);
	if (state_create(&l->table, l->worker_kind, "pptpd-worker",
	    l->keep.n_keys + 1) < 0 || ipc_pair(pair) < 0 ||
	    (pid = fork()) < 0)
		return not_forked(la, pair);
	if (pid == 0) {
		close(pair[0]);
		_exit(la->worker_fn(l, pair[1]));
	}
	close(pair[1]);
	la->worker_pid = pid;
	la->worker_gone = la->worker_ready = la->deaf = la->unkept = false;
	la->worker = ipc_new(la->loop, pair[0], on_worker, la);
	if (!la->worker) {
		/* Another one follows when it has ended. */
		close(pair[0]);
		kill(pid, SIGKILL);
		return 0;
	}
	tell_kept(la);
	save_server(la);
	nofile_reserve(true);
	return 0;
}

/* Neither one that runs nor one whose last words are to be heard. */
static bool
is_absent(const struct launcher *la)
{
	return la->worker_gone && !la->worker;
}

/* More deaths than a healthy machine has?  Counts this one. */
static bool
dies_too_often(struct launcher *la)
{
	uint64_t now = launch_now_ms(la);

	la->death[la->n_deaths++ % DEATHS_MAX] = now;
	/* The place of the next one is that of the oldest. */
	return la->n_deaths >= DEATHS_MAX &&
	    now - la->death[la->n_deaths % DEATHS_MAX] < DEATHS_MS;
}

/* No worker will know of the calls that there are. */
static void
forget_calls(struct launcher *la)
{
	keep_end_all(&la->l->keep);
	end_all_calls(la);
	store_remove(STORE_WORKER, la->worker_gen);
	if (la->l->old_table >= 0)
		close(la->l->old_table);
	la->l->old_table = -1;
}

static void
give_up(struct launcher *la)
{
	la->failed = true;
	forget_calls(la);
	finish_if_done(la);
}

static void try_worker(struct launcher *la);

static int
on_retry(sd_event_source *src, uint64_t usec, void *arg)
{
	(void)src;
	(void)usec;
	try_worker(arg);
	return 0;
}

/* The calls stand without a worker too: until there can be one again, no
 * frame passes, and nothing else happens to them. */
static void
try_worker(struct launcher *la)
{
	uint32_t more;
	int error;

	if (worker_fork(la) == 0)
		return;
	error = errno;
	if (log_rate_ok(&la->retry_rate, launch_now_ms(la), RETRY_LOG_MS, &more))
		log_err("MGR: cannot start another worker: %s; trying again, "
		    "%u calls wait", strerror(error), la->n_calls);
	arm(la, &la->worker_timer, RETRY_MS, on_retry, la);
}

static void
forget_timer(struct launcher *la)
{
	sd_event_source_disable_unref(la->worker_timer);
	la->worker_timer = NULL;
}

/* Calls that there are wait for it, as for any later one. */
static int
first_fork(struct launcher *la)
{
	if (!la->l->inherits)
		return worker_fork(la);
	try_worker(la);
	return 0;
}

int
worker_first(struct launcher *la)
{
	struct launch *l = la->l;
	struct pollfd pfd = { .events = POLLIN };
	int pair[2], r;

	l->gate = -1;
	la->worker_gone = true;
	if (!inherit_has_worker(l)) {
		l->old_worker = 0;
		return first_fork(la);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	l->gate = pair[1];
	r = first_fork(la);
	close(pair[1]);
	l->gate = -1;
	/* Until it lacks nothing but the calls, the one before relays on. */
	pfd.fd = pair[0];
	if (!la->worker_gone)
		(void)poll(&pfd, 1, READY_MS);
	inherit_end_worker(l);
	save_server(la);
	(void)send(pair[0], "", 1, MSG_NOSIGNAL);
	close(pair[0]);
	return r;
}

/* Another worker takes over what this one left. */
static void
next_worker(struct launcher *la)
{
	struct launch *l = la->l;

	/* Of one that was never ready the table before it still counts. */
	if (la->worker_ready) {
		if (l->old_table >= 0)
			close(l->old_table);
		l->old_table = la->live_table;
		l->table.fd = la->live_table = -1;
	}
	la->worker_ready = false;
	state_close(&l->table);
	if (la->condemned)
		forget_calls(la);
	la->condemned = false;
	try_worker(la);
}

static void
worker_died(struct launcher *la)
{
	if (!la->condemned && dies_too_often(la)) {
		if (la->emptied != 0 && launch_now_ms(la) - la->emptied < DEATHS_MS) {
			log_err("MGR: workers die even without calls: "
			    "giving up");
			give_up(la);
			return;
		}
		log_err("MGR: %d WORKERS DIED WITHIN A MINUTE: ALL CALLS ARE "
		    "ENDED, starting empty; please report the lines above",
		    DEATHS_MAX);
		la->emptied = launch_now_ms(la);
		la->n_deaths = 0;
		la->condemned = true;
	}
	next_worker(la);
}

/* Its process has ended and all that it said was heard. */
static void
worker_over(struct launcher *la)
{
	if (!is_absent(la))
		return;
	if (!la->stopping && la->serving && !la->failed) {
		worker_died(la);
		return;
	}
	la->failed |= !la->stopping;
	forget_calls(la);
	finish_if_done(la);
}

/* The worker left everything as it was asked to. */
static void
handed_over(struct launcher *la)
{
	if (la->handover == HANDOVER_RESTART) {
		scope_leave(la->scopes, la->worker_pid);
		sd_event_exit(la->loop, LAUNCH_OK);
		return;
	}
	store_exec(la->l->program, la->l->argv);
	log_err("MGR: cannot execute %s: %s; going on with the old program "
	    "and configuration", la->l->program, strerror(errno));
	la->handover = HANDOVER_NONE;
	sd_notify(0, "READY=1");
	if (la->worker_gone)
		worker_over(la);
	else
		kill(la->worker_pid, SIGKILL);
}

/* Tell the worker to go, which it has done after ms; where there is none, what
 * follows comes at once. */
static void
send_away(struct launcher *la, enum rep_op op, unsigned ms,
    void (*follows)(struct launcher *la))
{
	struct rep rep = { .op = op };

	if (is_absent(la)) {
		forget_timer(la);
		follows(la);
		return;
	}
	reply(la, &rep);
	arm(la, &la->worker_timer, ms, on_worker_timer, la);
}

void
worker_stop(struct launcher *la)
{
	send_away(la, REP_SHUTDOWN, WORKER_END_MS, worker_over);
}

void
worker_hand_over(struct launcher *la, enum handover why)
{
	la->handover = why;
	send_away(la, REP_HANDOVER, HANDOVER_MS, handed_over);
}

void
worker_lost(struct launcher *la)
{
	ipc_free(la->worker);
	la->worker = NULL;
	/* It still relays, until its successor ends it. */
	if (!la->stopping && la->handover != HANDOVER_NONE)
		handed_over(la);
	else
		worker_over(la);
}

void
worker_ended(struct launcher *la, int status)
{
	la->worker_gone = true;
	forget_timer(la);
	la->l->crashed = !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL;
	if (la->handover != HANDOVER_NONE)
		la->l->crashed = false;
	else if (!la->stopping && WIFSIGNALED(status))
		log_err("MGR: worker %d was killed by signal %d",
		    (int)la->worker_pid, WTERMSIG(status));
	else if (!la->stopping)
		log_err("MGR: worker %d ended with status %d",
		    (int)la->worker_pid, WEXITSTATUS(status));
	worker_over(la);
}
