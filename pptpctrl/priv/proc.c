/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/proc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

uint64_t
proc_start(pid_t pid)
{
	char path[32], text[512], *at;
	uint64_t start = 0;
	size_t n;
	FILE *f;

	if (pid <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	/* Field 22; the second, the name, may have blanks and brackets. */
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u "
	    "%*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64, &start) != 1)
		return 0;
	return start;
}

int
proc_open(pid_t pid, uint64_t start)
{
	int fd;

	if (pid <= 0 || start == 0)
		return -1;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	/* Asked after the descriptor stands for one process only. */
	if (fd >= 0 && proc_start(pid) != start) {
		close(fd);
		errno = ESRCH;
		return -1;
	}
	return fd;
}

int
proc_signal(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}
