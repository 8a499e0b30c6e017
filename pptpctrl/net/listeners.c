/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/listeners.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_US	100000u

int
listeners_add(struct listeners *l, sd_event *loop, int fd,
    sd_event_io_handler_t on_input, void *arg)
{
	int r = sd_event_add_io(loop, &l->io[l->n], fd, EPOLLIN, on_input, arg);

	if (r < 0)
		return r;
	l->n++;
	return 0;
}

bool
listeners_full(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS ||
	    error == ENOMEM;
}

static void
set_all(struct listeners *l, int on)
{
	for (int i = 0; i < l->n; i++)
		sd_event_source_set_enabled(l->io[i], on);
}

static int
on_resume(sd_event_source *src, uint64_t usec, void *arg)
{
	(void)src;
	(void)usec;
	set_all(arg, SD_EVENT_ON);
	return 0;
}

void
listeners_stop(struct listeners *l)
{
	set_all(l, SD_EVENT_OFF);
	sd_event_source_disable_unref(l->pause);
	l->pause = NULL;
}

void
listeners_pause(struct listeners *l, sd_event *loop)
{
	listeners_stop(l);
	/* Rather spin than be deaf. */
	if (sd_event_add_time_relative(loop, &l->pause, CLOCK_MONOTONIC,
	    PAUSE_US, 10000, on_resume, l) < 0)
		set_all(l, SD_EVENT_ON);
}

void
listeners_close(struct listeners *l)
{
	listeners_stop(l);
	for (int i = 0; i < l->n; i++) {
		int fd = sd_event_source_get_io_fd(l->io[i]);

		sd_event_source_disable_unref(l->io[i]);
		close(fd);
	}
	l->n = 0;
}
