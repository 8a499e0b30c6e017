/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/listeners.h"

#include <sys/epoll.h>
#include <unistd.h>

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

void
listeners_set(struct listeners *l, int on)
{
	for (int i = 0; i < l->n; i++)
		sd_event_source_set_enabled(l->io[i], on);
}

void
listeners_close(struct listeners *l)
{
	for (int i = 0; i < l->n; i++) {
		int fd = sd_event_source_get_io_fd(l->io[i]);

		sd_event_source_disable_unref(l->io[i]);
		close(fd);
	}
	l->n = 0;
}
