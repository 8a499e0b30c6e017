/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In place of the C library's sendmmsg: what stands for a raw socket knows no
 * addresses.
 */
#ifndef UNIT_RELAY_RAW_H
#define UNIT_RELAY_RAW_H

#include <sys/syscall.h>

static int relay_raw = -1;	/* it */

int
sendmmsg(int fd, struct mmsghdr *msg, unsigned n, int flags)
{
	if (fd != relay_raw)
		return (int)syscall(SYS_sendmmsg, fd, msg, n, flags);
	for (unsigned i = 0; i < n; i++)
		if (send(fd, msg[i].msg_hdr.msg_iov->iov_base,
		    msg[i].msg_hdr.msg_iov->iov_len, flags) < 0)
			return i > 0 ? (int)i : -1;
	return (int)n;
}

#endif
