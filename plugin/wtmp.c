/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Login records (record.h): the user, the interface and the client's public
 * address when IPCP opens, the end when it closes.  Each is written by a
 * process of its own: whatever becomes of a record, the call does not notice.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "plugin.h"
#include "record.h"

char pptp_wtmp_host[PPTP_WTMP_HOST_MAX];
int pptp_wtmp_strip;

static pid_t last_writer;

static void
record(const char *tty, const char *name)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const char *why;
	pid_t pid;

	if (null < 0)
		return;
	/* pppd's own fork closes what a child must not keep: the call. */
	pid = ppp_safe_fork(null, null, null);
	if (pid == 0) {
		why = pptp_record_write(tty, name, name[0] != '\0' ?
		    pptp_wtmp_host : "", last_writer);
		if (why != NULL)
			warn("login record in wtmpdb: %s", why);
		_exit(0);
	}
	close(null);
	if (pid > 0)
		last_writer = pid;
	else
		warn("login record of %s: fork: %m", tty);
}

void
pptp_wtmp_login(const char *tty, const char *name)
{
	const char *domain_end = strrchr(name, '\\');

	if (pptp_wtmp_host[0] == '\0')
		return;
	if (pptp_wtmp_strip && domain_end != NULL)
		name = domain_end + 1;
	/* Without a name it would be a logout. */
	if (name[0] != '\0')
		record(tty, name);
}

void
pptp_wtmp_logout(const char *tty)
{
	if (pptp_wtmp_host[0] != '\0' && last_writer != 0)
		record(tty, "");
}
