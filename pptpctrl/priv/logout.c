/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/logout.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "plugin/record.h"

void
logout_write(const char *ifname)
{
	pid_t pid = fork();

	if (pid < 0)
		log_warn("logout record of %s: fork: %s", ifname,
		    strerror(errno));
	if (pid != 0)
		return;
	/* It may wait: nothing of a call may wait with it. */
	close_range(STDERR_FILENO + 1, ~0U, 0);
	pptp_record_write(ifname, "", "", 0);
	_exit(0);
}
