/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/logout.h"

#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "plugin/record.h"

#define WRITERS_MAX	64u	/* many wait only where all would fail */

/* Processes that write, until they are collected. */
static struct writer {
	pid_t pid;		/* 0: free */
	char ifname[IF_NAMESIZE];
} writers[WRITERS_MAX];

static struct writer *
find(pid_t pid)
{
	for (unsigned i = 0; i < WRITERS_MAX; i++)
		if (writers[i].pid == pid)
			return &writers[i];
	return NULL;
}

void
logout_write(const char *ifname)
{
	struct writer *w = find(0);

	if (w == NULL) {
		log_warn("no logout record of %s: %u others are still to be "
		    "written", ifname, WRITERS_MAX);
		return;
	}
	w->pid = fork();
	if (w->pid == 0) {
		/* Nothing of a call may wait with it. */
		close_range(STDERR_FILENO + 1, ~0U, 0);
		pptp_record_write(ifname, "", "", 0);
		_exit(0);
	}
	if (w->pid < 0) {
		w->pid = 0;
		log_warn("no logout record of %s: fork: %s", ifname,
		    strerror(errno));
		return;
	}
	snprintf(w->ifname, sizeof(w->ifname), "%s", ifname);
}

void
logout_cancel(const char *ifname)
{
	for (unsigned i = 0; i < WRITERS_MAX; i++)
		if (writers[i].pid != 0 &&
		    strcmp(writers[i].ifname, ifname) == 0)
			kill(writers[i].pid, SIGKILL);
}

void
logout_ended(pid_t pid)
{
	struct writer *w = find(pid);

	if (w != NULL)
		w->pid = 0;
}
