/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's listening sockets of one kind: owns each, and what watches it.
 */
#ifndef NET_LISTENERS_H
#define NET_LISTENERS_H

#include <systemd/sd-event.h>

#define LISTENERS_MAX	32

struct listeners {
	sd_event_source *io[LISTENERS_MAX];
	int n;			/* fewer than LISTENERS_MAX before each _add */
};

/* Watch fd and own it; when somebody comes, on_input gets arg.  0 or -errno,
 * then fd is the caller's still. */
int listeners_add(struct listeners *l, sd_event *loop, int fd,
    sd_event_io_handler_t on_input, void *arg);

/* Hear nobody for a while: on is SD_EVENT_OFF, then SD_EVENT_ON. */
void listeners_set(struct listeners *l, int on);

void listeners_close(struct listeners *l);

#endif
