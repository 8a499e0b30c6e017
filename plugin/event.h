/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the pppd plugin tells the manager, and the one question it asks:
 * fixed-size records on a SOCK_SEQPACKET pair (pppd's descriptor 4).
 * The plugin writes without ever blocking pppd; a full socket loses the
 * record, except for EV_ADDR, which pppd waits for EV_ADDR_WAIT_MS.
 *
 * Host byte order except addresses: both ends are one machine and one build.
 */
#ifndef PLUGIN_EVENT_H
#define PLUGIN_EVENT_H

#include <stdint.h>

#define EV_VERSION	1u
#define EV_ADDR_WAIT_MS	2000

enum ev_type {
	EV_BOUND = 1,	/* the channel has a ppp unit: flags say what is asked */
	EV_FIRST,	/* first frame from the client reached pppd */
	/* 3 was every phase of pppd, which nobody used */
	EV_AUTH = 4,	/* the client is who it says: name, auth, ifname */
	EV_ADDR,	/* question: which address for this user? name, remote */
	EV_UP,		/* IPCP is open: ifname, local, remote, mtu, flags */
	EV_DOWN,	/* IPCP went down: rx_bytes, tx_bytes, seconds */
	EV_STATUS,	/* value: pppd's EXIT_* at the start of termination;
			 * name: the one that the client claimed */
	EV_EXIT,	/* value: pppd's exit status; the last record */
	EV_CONFIG,	/* all options were read: flags as in EV_BOUND; the
			 * only record of a dryrun */
};

/* How the client proved its name. */
enum ev_auth {
	EV_AUTH_NONE,
	EV_AUTH_PAP,
	EV_AUTH_CHAP_MD5,
	EV_AUTH_MSCHAP,
	EV_AUTH_MSCHAPV2,
	EV_AUTH_EAP,
};

/* ev.flags: in EV_BOUND what the options ask for, in EV_UP what is in force. */
#define EV_F_MPPE_REQUIRED	0x0001u	/* require-mppe* */
#define EV_F_MPPE_40		0x0002u
#define EV_F_MPPE_56		0x0004u
#define EV_F_MPPE_128		0x0008u
#define EV_F_MPPE_STATEFUL	0x0010u
#define EV_F_AUTH_REQUIRED	0x0020u	/* the client must authenticate */
#define EV_F_AUTH_PAP		0x0100u	/* methods pppd may ask for */
#define EV_F_AUTH_CHAP_MD5	0x0200u
#define EV_F_AUTH_MSCHAP	0x0400u
#define EV_F_AUTH_MSCHAPV2	0x0800u
#define EV_F_AUTH_EAP		0x1000u
#define EV_F_IPV6		0x2000u	/* IPV6CP is not disabled */
#define EV_F_ECHO		0x4000u	/* LCP echo requests are on */
#define EV_F_WTMP		0x8000u	/* login records can be written; only
					 * in EV_CONFIG of a dryrun */

struct ev {
	uint32_t version;	/* EV_VERSION */
	uint32_t type;		/* enum ev_type */
	int32_t value;
	uint32_t flags;
	uint32_t auth;		/* enum ev_auth */
	uint32_t local;		/* network byte order */
	uint32_t remote;	/* network byte order */
	uint32_t mtu;
	uint32_t seconds;
	uint32_t reserved;
	uint64_t rx_bytes;	/* of the ppp interface: from the client */
	uint64_t tx_bytes;	/* to the client */
	char ifname[16];	/* NUL terminated */
	char name[256];		/* NUL terminated; chosen by the peer */
};

/*
 * Answer to EV_ADDR, the only thing the manager ever sends: the address to
 * give, or 0 to keep what pppd has.
 */
struct ev_addr_reply {
	uint32_t version;
	uint32_t remote;	/* network byte order */
};

#endif
