/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/vrf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int
vrf_bind(int fd, const char *device, char *why, size_t size)
{
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device,
	    (socklen_t)strlen(device)) == 0)
		return 0;
	if (errno == ENODEV)
		snprintf(why, size, "vrf %s: there is no such device; make it "
		    "with ip link add %s type vrf table N, or remove the "
		    "keyword", device, device);
	else
		snprintf(why, size, "vrf %s: %s", device, strerror(errno));
	return -1;
}
