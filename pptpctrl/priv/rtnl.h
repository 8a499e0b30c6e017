/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The few things that the launcher asks the kernel by netlink: a device of
 * our own, the way to a client, who has an address, whether there are IPsec
 * policies.
 */
#ifndef PRIV_RTNL_H
#define PRIV_RTNL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* A netlink socket that hears of every change of routes, links and
 * addresses, or (ipsec) of IPsec policies.  A descriptor, or -1 with errno. */
int rtnl_monitor(bool ipsec);

/* Make a dummy device, up, with address near and peer far that only it has;
 * IPv6 is left off it.  Its index, or -1 with errno. */
int rtnl_dummy(const char *name, unsigned mtu, struct in_addr near,
    struct in_addr far);

/* 0, or -1 with errno. */
int rtnl_delete(int ifindex);

/* Does any interface here have addr, as its own or as its peer's?  No where
 * the kernel does not say. */
bool rtnl_has_address(struct in_addr addr);

struct rtnl_way {
	int ifindex;
	unsigned mtu;		/* the route's; 0: the device's */
	struct in_addr next;	/* the gateway, or the peer; 0: IPv6's */
};

/* Which way leads from own to peer?  0, or -1 with errno. */
int rtnl_route(struct in_addr peer, struct in_addr own,
    struct rtnl_way *ret_way);

/* Is there a BPF filter at this place of the interface's ingress hook, and
 * does the name of its program begin with name? */
bool rtnl_has_filter(int ifindex, uint16_t priority, uint32_t handle,
    const char *name);

/* Is there any IPsec policy in this network namespace? */
bool rtnl_has_ipsec(void);

#endif
