/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>

#define REPLY_MAX	8192
#define SHORT_REPLY	1024	/* one route; the first part of a dump */

/* One request. */
struct msg {
	union {
		struct nlmsghdr h;
		uint8_t buf[512];
	};
};

static void *
begin(struct msg *m, uint16_t type, uint16_t flags, size_t size)
{
	memset(m, 0, sizeof(*m));
	m->h.nlmsg_type = type;
	m->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	m->h.nlmsg_len = (uint32_t)NLMSG_LENGTH(size);
	return NLMSG_DATA(&m->h);
}

/* Returns where the attribute begins, for nest_end. */
static struct rtattr *
put(struct msg *m, uint16_t type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)(void *)(m->buf +
	    NLMSG_ALIGN(m->h.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	if (len > 0)
		memcpy(RTA_DATA(a), data, len);
	m->h.nlmsg_len = NLMSG_ALIGN(m->h.nlmsg_len) +
	    (uint32_t)RTA_ALIGN(a->rta_len);
	return a;
}

static void
nest_end(struct msg *m, struct rtattr *a)
{
	a->rta_len = (uint16_t)(m->buf + m->h.nlmsg_len - (uint8_t *)a);
}

/* Send it and read one answer.  Bytes, or -1 with errno; an error message is
 * its errno, an acknowledgment 0. */
static ssize_t
ask(int protocol, const struct msg *m, void *reply, size_t size)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	struct nlmsghdr *h = reply;
	ssize_t n = -1;

	if (fd < 0)
		return -1;
	if (send(fd, m, m->h.nlmsg_len, 0) == (ssize_t)m->h.nlmsg_len)
		n = recv(fd, reply, size, 0);
	close(fd);
	if (n < (ssize_t)sizeof(*h))
		return -1;
	if (h->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = NLMSG_DATA(h);

		errno = -e->error;
		return e->error == 0 ? 0 : -1;
	}
	return n;
}

static int
change(const struct msg *m)
{
	uint8_t reply[REPLY_MAX] __attribute__((aligned(8)));

	return ask(NETLINK_ROUTE, m, reply, sizeof(reply)) < 0 ? -1 : 0;
}

int
rtnl_monitor(bool ipsec)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK,
	    .nl_groups = ipsec ? XFRMGRP_POLICY :
	    RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    ipsec ? NETLINK_XFRM : NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&nl, sizeof(nl)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
add_link(const char *name, unsigned mtu)
{
	struct rtattr *info;
	uint32_t value = mtu;
	struct msg m;

	begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
	    sizeof(struct ifinfomsg));
	put(&m, IFLA_IFNAME, name, strlen(name) + 1);
	put(&m, IFLA_MTU, &value, sizeof(value));
	info = put(&m, IFLA_LINKINFO, NULL, 0);
	put(&m, IFLA_INFO_KIND, "dummy", 5);
	nest_end(&m, info);
	return change(&m);
}

static int
set_up(int ifindex)
{
	uint8_t none = IN6_ADDR_GEN_MODE_NONE;
	struct rtattr *spec, *inet6;
	struct ifinfomsg *i;
	struct msg m;

	/* Fails where the kernel has no IPv6, which is as good. */
	i = begin(&m, RTM_NEWLINK, NLM_F_ACK, sizeof(*i));
	i->ifi_index = ifindex;
	spec = put(&m, IFLA_AF_SPEC, NULL, 0);
	inet6 = put(&m, AF_INET6, NULL, 0);
	put(&m, IFLA_INET6_ADDR_GEN_MODE, &none, sizeof(none));
	nest_end(&m, inet6);
	nest_end(&m, spec);
	(void)change(&m);

	i = begin(&m, RTM_NEWLINK, NLM_F_ACK, sizeof(*i));
	i->ifi_index = ifindex;
	i->ifi_flags = i->ifi_change = IFF_UP;
	return change(&m);
}

static int
add_address(int ifindex, struct in_addr near, struct in_addr far)
{
	struct ifaddrmsg *a;
	struct msg m;

	a = begin(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
	    sizeof(*a));
	a->ifa_family = AF_INET;
	a->ifa_prefixlen = 32;
	/* Not one that programs take for this machine's address. */
	a->ifa_scope = RT_SCOPE_LINK;
	a->ifa_index = (uint32_t)ifindex;
	put(&m, IFA_LOCAL, &near, sizeof(near));
	put(&m, IFA_ADDRESS, &far, sizeof(far));
	return change(&m);
}

int
rtnl_dummy(const char *name, unsigned mtu, struct in_addr near,
    struct in_addr far)
{
	int ifindex, saved;

	if (add_link(name, mtu) < 0)
		return -1;
	ifindex = (int)if_nametoindex(name);
	if (ifindex == 0)
		return -1;
	if (add_address(ifindex, near, far) == 0 && set_up(ifindex) == 0)
		return ifindex;
	saved = errno;
	rtnl_delete(ifindex);
	errno = saved;
	return -1;
}

int
rtnl_delete(int ifindex)
{
	struct ifinfomsg *i;
	struct msg m;

	i = begin(&m, RTM_DELLINK, NLM_F_ACK, sizeof(*i));
	i->ifi_index = ifindex;
	return change(&m);
}

/* Is addr in this RTM_NEWADDR, as the interface's own or its peer's? */
static bool
names_address(struct nlmsghdr *h, struct in_addr addr)
{
	struct rtattr *a = IFA_RTA(NLMSG_DATA(h));
	int left = (int)IFA_PAYLOAD(h);

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if ((a->rta_type == IFA_LOCAL || a->rta_type == IFA_ADDRESS) &&
		    RTA_PAYLOAD(a) == sizeof(addr) &&
		    memcmp(RTA_DATA(a), &addr, sizeof(addr)) == 0)
			return true;
	return false;
}

bool
rtnl_has_address(struct in_addr addr)
{
	/* A page of the stack or heap that is written between two calls is
	 * one more page of a per-call parent's own. */
	void *reply = mmap(NULL, REPLY_MAX, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	bool found = false, more = fd >= 0 && reply != MAP_FAILED;
	struct ifaddrmsg *i;
	struct msg m;

	i = begin(&m, RTM_GETADDR, NLM_F_DUMP, sizeof(*i));
	i->ifa_family = AF_INET;
	if (more && send(fd, &m, m.h.nlmsg_len, 0) < 0)
		more = false;
	while (more && !found) {
		struct nlmsghdr *h = reply;
		ssize_t left = recv(fd, reply, REPLY_MAX, 0);

		more = left > 0;
		for (; NLMSG_OK(h, left) && !found; h = NLMSG_NEXT(h, left)) {
			/* Else its end, or an error. */
			more = h->nlmsg_type == RTM_NEWADDR;
			found = more && names_address(h, addr);
		}
	}
	if (fd >= 0)
		close(fd);
	if (reply != MAP_FAILED)
		munmap(reply, REPLY_MAX);
	return found;
}

/* The metrics' MTU, 0 when there is none. */
static unsigned
metric_mtu(struct rtattr *metrics)
{
	struct rtattr *a = RTA_DATA(metrics);
	int left = (int)RTA_PAYLOAD(metrics);
	unsigned mtu = 0;

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == RTAX_MTU)
			memcpy(&mtu, RTA_DATA(a), sizeof(mtu));
	return mtu;
}

int
rtnl_route(struct in_addr peer, struct in_addr own,
    struct rtnl_way *ret_way)
{
	uint8_t reply[SHORT_REPLY] __attribute__((aligned(8)));
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)reply;
	struct rtnl_way way = { .next = peer };
	struct rtattr *a;
	struct rtmsg *r;
	int left;
	struct msg m;
	ssize_t n;

	r = begin(&m, RTM_GETROUTE, 0, sizeof(*r));
	r->rtm_family = AF_INET;
	r->rtm_dst_len = r->rtm_src_len = 32;
	put(&m, RTA_DST, &peer, sizeof(peer));
	put(&m, RTA_SRC, &own, sizeof(own));
	n = ask(NETLINK_ROUTE, &m, reply, sizeof(reply));
	if (n <= 0)
		return -1;
	if ((size_t)n < h->nlmsg_len) {
		errno = EMSGSIZE;
		return -1;
	}
	r = NLMSG_DATA(h);
	if (h->nlmsg_type != RTM_NEWROUTE || r->rtm_type != RTN_UNICAST) {
		errno = ENETUNREACH;
		return -1;
	}
	left = (int)RTM_PAYLOAD(h);
	for (a = RTM_RTA(r); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == RTA_OIF)
			memcpy(&way.ifindex, RTA_DATA(a), sizeof(way.ifindex));
		else if (a->rta_type == RTA_METRICS)
			way.mtu = metric_mtu(a);
		else if (a->rta_type == RTA_GATEWAY)
			memcpy(&way.next, RTA_DATA(a), sizeof(way.next));
		else if (a->rta_type == RTA_VIA)
			way.next.s_addr = 0;
	}
	*ret_way = way;
	return 0;
}

/* The name among a BPF filter's options. */
static bool
is_named(struct rtattr *options, const char *name)
{
	struct rtattr *a = RTA_DATA(options);
	int left = (int)RTA_PAYLOAD(options);
	size_t len = strlen(name);

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == TCA_BPF_NAME && RTA_PAYLOAD(a) > len &&
		    memcmp(RTA_DATA(a), name, len) == 0)
			return true;
	return false;
}

bool
rtnl_has_filter(int ifindex, uint16_t priority, uint32_t handle,
    const char *name)
{
	uint8_t reply[REPLY_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)reply;
	struct rtattr *a;
	struct tcmsg *t;
	struct msg m;
	int left;

	t = begin(&m, RTM_GETTFILTER, 0, sizeof(*t));
	t->tcm_ifindex = ifindex;
	t->tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
	t->tcm_handle = handle;
	t->tcm_info = TC_H_MAKE((uint32_t)priority << 16, htons(ETH_P_ALL));
	put(&m, TCA_KIND, "bpf", 4);
	if (ask(NETLINK_ROUTE, &m, reply, sizeof(reply)) <= 0 ||
	    h->nlmsg_type != RTM_NEWTFILTER)
		return false;
	left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*t)));
	for (a = TCA_RTA(NLMSG_DATA(h)); RTA_OK(a, left);
	    a = RTA_NEXT(a, left))
		if (a->rta_type == TCA_OPTIONS)
			return is_named(a, name);
	return false;
}

bool
rtnl_has_ipsec(void)
{
	uint8_t reply[SHORT_REPLY] __attribute__((aligned(8)));
	const struct nlmsghdr *h = (struct nlmsghdr *)(void *)reply;
	struct msg m;

	begin(&m, XFRM_MSG_GETPOLICY, NLM_F_DUMP,
	    sizeof(struct xfrm_userpolicy_id));
	return ask(NETLINK_XFRM, &m, reply, sizeof(reply)) > 0 &&
	    h->nlmsg_type == XFRM_MSG_NEWPOLICY;
}
