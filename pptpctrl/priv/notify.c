/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "log.h"
#include "priv/pool.h"

#define STATUS_MS	500u	/* at most one STATUS= line in so long */
#define PING_MS		30000u	/* without a watchdog */
#define DRAIN_LOG_MS	1000u	/* between two lines of the same */

/* As asked for, or because the configuration has errors. */
static bool
draining(const struct launcher *la)
{
	return la->draining || la->l->conf->last_good;
}

/* --- STATUS= ------------------------------------------------------------ */

static int
on_status_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct launcher *la = arg;
	unsigned up = 0;
	char pool[48] = "";

	(void)src;
	(void)usec;
	sd_event_source_disable_unref(la->status_timer);
	la->status_timer = NULL;
	if (la->stopping)
		return 0;
	for (unsigned id = 1; id <= UINT16_MAX; id++)
		up += la->call[id] && la->call[id]->ip_up;
	if (!la->l->conf->delegate)
		snprintf(pool, sizeof(pool), ", pool %u/%u",
		    pool_used(la->pool), pool_size(la->pool));
	sd_notifyf(0, "STATUS=%s%u calls, %u logging in%s%s%s",
	    draining(la) ? "draining: " : "", la->n_calls, la->n_calls - up,
	    pool, la->l->trouble[0] ? "; " : "", la->l->trouble);
	return 0;
}

void
notify_changed(struct launcher *la)
{
	if (!la->status_timer)
		arm(la, &la->status_timer, STATUS_MS, on_status_timer, la);
}

/* --- WATCHDOG= ---------------------------------------------------------- */

/* A worker that hangs is as good as dead: another one goes on. */
static int
on_ping_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct launcher *la = arg;
	struct rep rep = { .op = REP_PING };

	(void)src;
	(void)usec;
	arm(la, &la->ping_timer, la->ping_ms, on_ping_timer, la);
	if (la->stopping || !la->worker_ready || !la->worker ||
	    la->handover != HANDOVER_NONE)
		return 0;
	if (la->pinged == la->worker_pid) {
		log_err("MGR: worker %d does not answer for %u s: killed",
		    (int)la->worker_pid, la->ping_ms / 1000);
		kill(la->worker_pid, SIGKILL);
		return 0;
	}
	la->pinged = la->worker_pid;
	reply(la, &rep);
	return 0;
}

void
notify_heard(struct launcher *la)
{
	if (la->pinged == 0)
		return;
	la->pinged = 0;
	sd_notify(0, "WATCHDOG=1");
}

int
notify_start(struct launcher *la)
{
	uint64_t usec;

	la->ping_ms = PING_MS;
	/* A ping, one that is not answered, another worker's. */
	if (sd_watchdog_enabled(0, &usec) > 0 && usec / MS / 3 < PING_MS)
		la->ping_ms = (unsigned)(usec / MS / 3);
	notify_changed(la);
	return arm(la, &la->ping_timer, la->ping_ms, on_ping_timer, la);
}

/* --- drain -------------------------------------------------------------- */

/* The file says it to the launcher after this one. */
static const char *
drain_path(const struct launcher *la, char *buf, size_t size)
{
	snprintf(buf, size, "%s.drain", la->l->status_path);
	return buf;
}

static void
tell_worker(struct launcher *la)
{
	struct rep rep = { .op = REP_DRAIN, .status = draining(la) };

	reply(la, &rep);
	notify_changed(la);
}

void
drain_inherit(struct launcher *la)
{
	char path[sizeof(la->l->status_path) + 8];

	if (!la->draining && access(drain_path(la, path, sizeof(path)),
	    F_OK) == 0) {
		la->draining = true;
		log_about(&(struct log_about){ .kind = LOG_DRAIN }, LOG_NOTICE,
		    "MGR: draining as before: no new calls; pptpctrl resume "
		    "ends that");
	}
	if (draining(la))
		tell_worker(la);
}

/* Only root asks for it; but it is the worker that says so. */
static void
say_drain(struct launcher *la)
{
	uint32_t more;

	if (!log_rate_ok(&la->drain_rate[la->draining], launch_now_ms(la),
	    DRAIN_LOG_MS, &more))
		return;
	log_about(&(struct log_about){ .kind = LOG_DRAIN }, LOG_NOTICE,
	    la->draining ? "MGR: draining: no new calls, %u go on" :
	    "MGR: taking new calls again, %u go on", la->n_calls);
	if (more > 0)
		log_notice("MGR: %u more such changes not shown", more);
}

void
drain_set(struct launcher *la, bool on)
{
	char path[sizeof(la->l->status_path) + 8];
	int fd;

	if (la->draining == on)
		return;
	la->draining = on;
	drain_path(la, path, sizeof(path));
	if (!on) {
		unlink(path);
	} else {
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		    0600);
		if (fd < 0)
			log_err("MGR: %s: %s: a restart will forget to drain",
			    path, strerror(errno));
		else
			close(fd);
	}
	say_drain(la);
	tell_worker(la);
}

void
drain_forget(struct launcher *la)
{
	char path[sizeof(la->l->status_path) + 8];

	unlink(drain_path(la, path, sizeof(path)));
}
