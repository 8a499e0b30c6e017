/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may connect at all: limits that are checked before any state is
 * allocated.  Established calls are never touched by them.
 */
#ifndef NET_ADMIT_H
#define NET_ADMIT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/queue.h>

#define ADMIT_HALF_OPEN		256u	/* connections without SCCRQ, all */
#define ADMIT_HALF_OPEN_SOURCE	64u	/* and from one address */
#define ADMIT_SPARE		512u	/* connections beyond the calls */

/* Embedded in a connection as long as it has not sent SCCRQ. */
struct admit_entry {
	struct in_addr source;
	bool listed;
	TAILQ_ENTRY(admit_entry) next;
};

struct admit {
	unsigned n_half_open;
	unsigned max_connections;
	TAILQ_HEAD(admit_list, admit_entry) half_open;	/* oldest first */
	unsigned long refused_source, refused_total, displaced;
};

void admit_init(struct admit *a, unsigned calls);

/* May source connect, with n_connections there are?  Counts a no. */
bool admit_ask(struct admit *a, struct in_addr source,
    unsigned n_connections);

/* The connection is half-open; *ret_oldest is one to drop for it, or NULL. */
void admit_half_open(struct admit *a, struct admit_entry *e,
    struct in_addr source, struct admit_entry **ret_oldest);

/* It said SCCRQ, or is gone. */
void admit_done(struct admit *a, struct admit_entry *e);

#endif
