/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/launch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
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
#include "priv/rtnl.h"
#include "priv/scope.h"
#include "priv/shim.h"
#include "priv/store.h"
#include "priv/vrf.h"
#include "req.h"

#define RESTART_SIGNAL	SIGUSR2	/* RestartKillSignal= of the unit */

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

uint64_t
launch_now_ms(const struct launcher *la)
{
	uint64_t now = 0;

	sd_event_now(la->loop, CLOCK_MONOTONIC, &now);
	return now / MS;
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

/* --- the worker's and our own end ------------------------------------- */

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

	(void)src;
	if (la->stopping)
		return 0;
	log_info("MGR: signal %u: telling all clients, then stopping",
	    si->ssi_signo);
	la->stopping = true;
	sd_notify(0, "STOPPING=1\nSTATUS=stopping");
	worker_stop(la);
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
	struct launch *l = la->l;
	const char *error = NULL;
	uint64_t now = 0;

	(void)src;
	(void)si;
	sd_event_now(la->loop, CLOCK_MONOTONIC, &now);
	if (la->stopping || la->handover != HANDOVER_NONE || !la->serving)
		return 0;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now);
	error = l->check();
	if (error)
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
	if (error)
		launch_trouble(l, error);
	notify_changed(la);
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

void
launch_trouble(struct launch *l, const char *error)
{
	snprintf(l->trouble, sizeof(l->trouble), "%s: %s",
	    l->conf->last_good ? "no new calls before the configuration is "
	    "mended" : "the configuration before goes on", error);
}

enum launch_exit
launch_run(struct launch *l, launch_worker_fn worker, launch_ready_fn ready,
    void *arg)
{
	struct launcher *la = calloc(1, sizeof(*la));
	int r;

	if (!la)
		log_fatal("MGR: out of memory");
	la->l = l;
	la->ready = ready;
	la->ready_arg = arg;
	la->worker_fn = worker;
	la->live_table = -1;
	/* pppd of a lost per-call parent comes to us, not to init. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
	la->pool = pool_new(l->conf, rtnl_has_address);
	r = sd_event_new(&la->loop);
	block_signals();
	if (r >= 0)
		la->scopes = scopes_new(la->loop);
	if (!la->pool || r < 0 || inherit_calls(la) < 0)
		log_fatal("MGR: cannot start: %s", strerror(r < 0 ? -r :
		    errno));
	if (worker_first(la) < 0)
		log_fatal("MGR: cannot start the worker: %s",
		    strerror(errno));
	r = add_sources(la);
	if (r < 0)
		log_fatal("MGR: event loop: %s", strerror(-r));
	r = sd_event_loop(la->loop);
	if (la->handover == HANDOVER_RESTART) {
		log_notice("MGR: kept %u calls; to end them: systemctl stop "
		    "pptpd", la->n_calls);
	} else {
		unlink(l->status_path);
		store_empty();
		offload_close(l->offload);
	}
	if (la->stopping)
		drain_forget(la);
	log_about(&(struct log_about){ .kind = LOG_ENDED }, LOG_INFO,
	    "MGR: Manager process ended");
	return r < 0 ? LAUNCH_CRASHED : (enum launch_exit)r;
}
