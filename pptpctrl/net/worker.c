/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/accept.h"
#include "net/adopt.h"
#include "net/sandbox.h"
#include "net/senders.h"
#include "net/status.h"

#define FROZEN_US	30000000u	/* as long as per-call parents wait */

uint64_t
worker_now(const struct worker *w)
{
	struct timespec ts;

	(void)w;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 +
	    1;
}

bool
worker_ask(struct worker *w, struct req *req)
{
	req->version = REQ_VERSION;
	if (!w->launcher)
		return false;
	if (ipc_send(w->launcher, req, sizeof(*req), -1) == 0)
		return true;
	log_err("worker: launcher does not read its messages: %s",
	    strerror(errno));
	return false;
}

void
worker_check_done(struct worker *w)
{
	if (w->stopping && w->n_conns == 0 && sessions_count(w) == 0)
		sd_event_exit(w->loop, 0);
}

static int
on_nobody_came(sd_event_source *src, uint64_t usec, void *arg)
{
	struct worker *w = arg;

	(void)src;
	(void)usec;
	log_err("worker: no other manager came, ending");
	sd_event_exit(w->loop, 1);
	return 0;
}

/*
 * There is no launcher any more, but there will be one, whose worker goes on
 * with everything and ends this one first.  Until then frames pass, and
 * nothing else is done.
 */
static void
freeze(struct worker *w)
{
	w->frozen = true;
	status_end(w);
	accept_end(w);
	conn_freeze_all(w);
	ipc_free(w->launcher);
	w->launcher = NULL;
	if (sd_event_add_time_relative(w->loop, NULL, CLOCK_MONOTONIC,
	    FROZEN_US, 0, on_nobody_came, w) < 0)
		sd_event_exit(w->loop, 1);
}

static void
on_launcher(void *arg, const void *buf, size_t len, int fd)
{
	struct req pong = { .op = REQ_PONG };
	struct worker *w = arg;
	struct rep rep;

	if (len == 0 && w->outlives && !w->stopping) {
		freeze(w);
		return;
	}
	if (len == 0) {
		/* Without it no call can be managed: the per-call parents
		 * end them. */
		log_err("worker: the launcher is gone, ending");
		sd_event_exit(w->loop, 1);
		return;
	}
	if (!rep_check(buf, len, &rep)) {
		log_err("worker: message of another version, ending");
		sd_event_exit(w->loop, 1);
		return;
	}
	if (rep.op == REP_SHUTDOWN) {
		w->stopping = true;
		accept_stop(w);
		conn_shutdown_all(w);
		worker_check_done(w);
		return;
	}
	if (rep.op == REP_PING)
		worker_ask(w, &pong);
	else if (rep.op == REP_DRAIN)
		admit_drain(w->admit, rep.status != 0);
	else if (rep.op == REP_HANDOVER)
		freeze(w);
	else if (rep.op == REP_KEPT && rep.call == 0)
		session_kept_end(w);
	else
		session_reply(w, &rep, fd);
}

static void
on_first_frame(struct flow *f, void *arg)
{
	struct session *s = (struct session *)(void *)f;

	/* Nobody starts a pppd now; the next worker sees a first one too. */
	if (((struct worker *)arg)->frozen)
		return;
	session_first_frame(s);
	conn_gre(s->conn, s->slot);
}

static bool
on_claim(struct flow *f, const char *name, void *arg)
{
	(void)arg;
	return session_claim((struct session *)(void *)f, name);
}

static int
by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Descriptors of the launcher that are not ours to have. */
static void
keep_only(const struct worker_setup *setup)
{
	size_t max = LISTENERS_MAX + WORKER_STATUS_MAX + 8u +
	    CONF_SENDERS_MAX + setup->n_keys + UINT16_MAX + 2u;
	int *keep = calloc(max, sizeof(*keep)), from = 3;
	size_t n = 0;

	if (!keep)
		log_fatal("worker: out of memory");
	keep[n++] = setup->control;
	keep[n++] = setup->gre_fd;
	keep[n++] = setup->udp_fd;
	keep[n++] = setup->offload_fd;
	for (int i = 0; i < setup->n_send; i++)
		keep[n++] = setup->send_fd[i];
	keep[n++] = setup->old_table;
	keep[n++] = setup->gate;
	keep[n++] = log_fd();
	for (int i = 0; i < setup->n_listen; i++)
		keep[n++] = setup->listen_fd[i];
	for (int i = 0; i < setup->n_status; i++)
		keep[n++] = setup->status_fd[i];
	for (uint32_t i = 0; i <= setup->n_keys && setup->tcp; i++)
		keep[n++] = setup->tcp[i];
	for (uint32_t i = 0; i <= UINT16_MAX && setup->pty; i++)
		if (setup->pty[i] > 0)
			keep[n++] = setup->pty[i];
	qsort(keep, n, sizeof(*keep), by_number);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < from)
			continue;
		if (keep[i] > from)
			close_range((unsigned)from, (unsigned)keep[i] - 1, 0);
		from = keep[i] + 1;
	}
	close_range((unsigned)from, ~0U, 0);
	free(keep);
}

static void
limits(struct worker *w)
{
	const struct conf_limits *l = &w->conf->limits;

	ctrl_conf_init(&w->ctrl_conf);
	w->ctrl_conf.sccrq_ms = w->conf->stimeout * 1000;
	w->ctrl_conf.idle_ms = l->idle_timeout.n * 1000;
	w->ctrl_conf.echo_ms = l->echo_interval.n * 1000;
	w->ctrl_conf.echo_wait_ms = l->echo_timeout.n * 1000;
	w->ctrl_conf.setup_ms = l->setup_timeout.n * 1000;
	w->ctrl_conf.calls_per_minute = l->calls_per_minute.n;
	w->ctrl_conf.msg_rate = l->message_rate.n;
	w->ctrl_conf.msg_burst = l->message_burst.n;
	w->ctrl_conf.echo_rate = l->echo_rate.n;
	/* One call per connection is what every client does; more need call
	 * ids that kernel clients cannot tell apart. */
	w->ctrl_conf.max_calls = w->path == CONF_DP_KERNEL ? 1 :
	    CTRL_MAX_CALLS;
	/* The kernel path shows us no GRE to wait for. */
	if (w->path == CONF_DP_KERNEL)
		w->ctrl_conf.start_ms = 1;
}

/* Only one worker may serve the calls.  False when there will be no turn: the
 * launcher is gone. */
static bool
wait_for_turn(int gate)
{
	char byte = 0;
	bool ok;

	if (gate < 0)
		return true;
	ok = send(gate, &byte, 1, MSG_NOSIGNAL) == 1 &&
	    recv(gate, &byte, 1, 0) == 1;
	close(gate);
	return ok;
}

static void
start_senders(struct worker *w, const struct worker_setup *setup)
{
	int r;

	if (setup->n_send == 0)
		return;
	w->senders = senders_new(setup->send_fd, (unsigned)setup->n_send,
	    setup->udp_fd);
	if (!w->senders) {
		log_warn("worker: %d threads: %s; going on without them",
		    setup->n_send, strerror(errno));
		return;
	}
	r = senders_stay(w->senders);
	if (r < 0)
		log_warn("worker: threads may not stay on their CPUs (%s): "
		    "frames may overtake one another; allow the system call "
		    "sched_setaffinity, or set relay-threads 1",
		    strerror(-r));
}

static int
set_up(struct worker *w, const struct worker_setup *setup)
{
	int r = sd_event_new(&w->loop);
	uint64_t seed;

	if (r < 0)
		return r;
	w->launcher = ipc_new(w->loop, setup->control, on_launcher, w);
	if (!w->launcher)
		return -errno;
	w->sessions = sessions_new(w);
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -EIO;
	w->admit = admit_new(&w->conf->limits, w->conf->connections, seed);
	if (!w->sessions || !w->admit)
		return -ENOMEM;
	admit_drain(w->admit, w->conf->last_good);
	if (setup->gre_fd >= 0) {
		w->relay = relay_new(w->loop, setup->gre_fd, setup->udp_fd,
		    setup->offload_fd, on_first_frame, w);
		if (!w->relay)
			return -errno;
		relay_on_claim(w->relay, on_claim);
		relay_set_senders(w->relay, w->senders);
	}
	for (int i = 0; i < setup->n_listen && r >= 0; i++)
		r = accept_listen(w, setup->listen_fd[i]);
	for (int i = 0; i < setup->n_status && r >= 0; i++)
		r = status_start(w, setup->status_fd[i]);
	if (r >= 0 && !wait_for_turn(setup->gate))
		r = -EPIPE;
	if (r >= 0)
		r = adopt_all(w, setup);
	return r;
}

int
worker_main(const struct worker_setup *setup)
{
	static struct worker worker;
	struct worker *w = &worker;
	struct req ready = { .op = REQ_READY };
	sigset_t none;
	int r;

	/* The launcher decides when this process ends, not a terminal. */
	prctl(PR_SET_NAME, "pptpd-worker");
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	keep_only(setup);
	w->conf = setup->conf;
	w->outlives = setup->outlives;
	w->path = setup->path;
	TAILQ_INIT(&w->conns);
	limits(w);
	sandbox_enter();
	start_senders(w, setup);
	sandbox_filter();
	/* No right is left and no byte was read. */
	r = set_up(w, setup);
	if (r < 0) {
		log_err("worker: %s", strerror(-r));
		return 1;
	}
	worker_ask(w, &ready);
	r = sd_event_loop(w->loop);
	return r < 0 ? 1 : r;
}
