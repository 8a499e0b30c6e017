/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/launcher.h"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "log.h"
#include "priv/proc.h"
#include "priv/shim.h"

#define EXIT_STATUS(n)	((n) << 8)	/* as waitpid gives it */

/* Everything the plugin has said so far; false at its end. */
static bool
read_events(struct lcall *c)
{
	struct rep rep = { .op = REP_EVENT };
	int r;

	while ((r = shim_next_event(c->event, &rep.ev)) > 0) {
		if (rep.ev.type == EV_EXIT)
			c->exit_value = rep.ev.value;
		on_event(c, &rep);
	}
	return r < 0;
}

static int
on_orphan_event(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	(void)fd;
	(void)revents;
	if (!read_events(arg))
		sd_event_source_set_enabled(src, SD_EVENT_OFF);
	return 0;
}

static int
on_exit_of_pppd(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct lcall *c = arg;

	(void)src;
	(void)fd;
	(void)revents;
	read_events(c);
	/* Who waits for it is not us for sure; the plugin knows as well. */
	if (c->exit_value >= 0)
		send_exited(c, REP_EXIT_PPPD, EXIT_STATUS(c->exit_value), 0);
	else
		send_exited(c, REP_EXIT_LOST, 0, 0);
	return 0;
}

bool
orphan_begin(struct lcall *c)
{
	struct rep rep = { .op = REP_STARTED, .call = c->id,
	    .pid = c->pppd_pid };
	sd_event *loop = c->la->loop;

	if (c->event < 0 || c->pppd_fd < 0)
		return false;
	if (sd_event_add_io(loop, &c->event_io, c->event, EPOLLIN,
	    on_orphan_event, c) < 0 ||
	    sd_event_add_io(loop, &c->pppd_io, c->pppd_fd, EPOLLIN,
	    on_exit_of_pppd, c) < 0) {
		sd_event_source_disable_unref(c->event_io);
		c->event_io = NULL;
		return false;
	}
	log_err("call %u: its parent process %d is gone; the call goes on, "
	    "pppd %d is the manager's now", c->id, (int)c->shim_pid,
	    (int)c->pppd_pid);
	reply(c->la, &rep);
	return true;
}

static int
on_kill(sd_event_source *src, uint64_t usec, void *arg)
{
	struct lcall *c = arg;

	(void)src;
	(void)usec;
	proc_signal(c->pppd_fd, SIGKILL);
	return 0;
}

void
orphan_end(struct lcall *c)
{
	if (c->pppd_fd < 0 || proc_signal(c->pppd_fd, SIGTERM) < 0)
		return;
	arm(c->la, &c->timer, PPPD_KILL_MS, on_kill, c);
}
