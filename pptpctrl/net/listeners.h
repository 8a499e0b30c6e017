/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's listening sockets of one kind: owns each, and what watches it.
 */
#ifndef NET_LISTENERS_H
#define NET_LISTENERS_H

#include <stdbool.h>
#include <systemd/sd-event.h>

#define LISTENERS_MAX	32

struct listeners {
	sd_event_source *io[LISTENERS_MAX];
	int n;			/* fewer than LISTENERS_MAX before each _add */
	sd_event_source *pause;	/* until it is over */
};

/* Watch fd and own it; when somebody comes, on_input gets arg.  0 or -errno,
 * then fd is the caller's still. */
int listeners_add(struct listeners *l, sd_event *loop, int fd,
    sd_event_io_handler_t on_input, void *arg);

/* Is errno after accept4 one that stays?  There is no descriptor or memory:
 * trying again at once would only spin. */
bool listeners_full(int error);

/* Hear nobody for a moment. */
void listeners_pause(struct listeners *l, sd_event *loop);

/* Hear nobody any more. */
void listeners_stop(struct listeners *l);

void listeners_close(struct listeners *l);

#endif
