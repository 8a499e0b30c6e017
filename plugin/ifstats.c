/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Byte counters of a network interface, by rtnetlink.  pppd 2.4.9 counts in
 * 32 bits, which a busy call fills in a minute; /sys need not be mounted, or
 * may show another network namespace.
 */
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugin.h"

struct request {
	struct nlmsghdr hdr;
	struct ifinfomsg info;
};

static ssize_t
ask_kernel(int index, void *reply, size_t size)
{
	struct request req = {
		.hdr = { .nlmsg_len = sizeof(req), .nlmsg_type = RTM_GETLINK,
		    .nlmsg_flags = NLM_F_REQUEST },
		.info = { .ifi_family = AF_UNSPEC, .ifi_index = index },
	};
	ssize_t n = -1;
	int fd;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -1;
	if (send(fd, &req, sizeof(req), 0) == (ssize_t)sizeof(req))
		n = recv(fd, reply, size, 0);
	close(fd);
	return n;
}

int
pptp_ifstats(const char *name, uint64_t *ret_rx, uint64_t *ret_tx)
{
	union {
		struct nlmsghdr hdr;
		char room[8192];
	} reply;
	struct rtnl_link_stats64 st;
	struct rtattr *rta;
	unsigned int index, left;
	ssize_t n;

	index = if_nametoindex(name);
	if (index == 0)
		return -1;
	n = ask_kernel((int)index, &reply, sizeof(reply));
	if (n < 0 || !NLMSG_OK(&reply.hdr, (size_t)n) ||
	    reply.hdr.nlmsg_type != RTM_NEWLINK ||
	    reply.hdr.nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg)))
		return -1;
	rta = IFLA_RTA(NLMSG_DATA(&reply.hdr));
	left = (unsigned int)IFLA_PAYLOAD(&reply.hdr);
	for (; RTA_OK(rta, left); rta = RTA_NEXT(rta, left)) {
		if (rta->rta_type != IFLA_STATS64)
			continue;
		/* Newer kernels append counters; older have fewer. */
		memset(&st, 0, sizeof(st));
		memcpy(&st, RTA_DATA(rta), RTA_PAYLOAD(rta) < sizeof(st) ?
		    RTA_PAYLOAD(rta) : sizeof(st));
		*ret_rx = st.rx_bytes;
		*ret_tx = st.tx_bytes;
		return 0;
	}
	return -1;
}
