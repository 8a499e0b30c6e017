/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of pptpload share: its options and its clock. */
#ifndef PPTPLOAD_H
#define PPTPLOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mode {
	MODE_LOGIN,		/* all log in and hang up */
	MODE_HOLD,		/* calls without traffic */
	MODE_ECHO,		/* ICMP echo to the server's address */
	MODE_UP, MODE_DOWN, MODE_BOTH,	/* datagrams to and from a sink */
	MODE_SINK,
	MODE_UDP_UP, MODE_UDP_DOWN,	/* through another client's call */
	MODE_CONTROL,		/* connect, SCCRQ, SCCRP, close, in turn */
	MODE_KERNEL,		/* one call, pppd on the kernel's socket */
	MODE_BARE,		/* a server: pppds on the kernel's sockets */
};

struct options {
	enum mode mode;
	struct in_addr server;	/* sink, bare: own address */
	struct in_addr target;	/* of bulk flows; 0: the call's peer */
	struct in_addr source;	/* first of n_sources; 0: the kernel's */
	unsigned n_sources;
	unsigned calls;
	const char *user, *password;
	bool numbered;		/* user is followed by the call's number */
	double login_rate;	/* per second; 0: all at once */
	unsigned logins;	/* that many at a time at most */
	double seconds;		/* of traffic */
	double pps;		/* per call; 0: as fast as the window allows */
	unsigned size;		/* bytes of IP packet inside */
	unsigned window;	/* packets per call */
	double patience;	/* seconds for all to be up */
	double keepalive;	/* seconds between Echo-Requests; 0: none */
	bool again;		/* calls that end log in again */
	bool early;		/* IPCP before CCP is open, asked once */
	char **command;		/* of MODE_KERNEL */
};

/* Microseconds, CLOCK_MONOTONIC. */
uint64_t now_us(void);

/* Each runs a mode to its end and returns the exit status. */
int load_main(const struct options *o);
int sink_main(const struct options *o);
int udp_main(const struct options *o);
int control_main(const struct options *o);
int kernel_main(const struct options *o);
int bare_main(const struct options *o);

#endif
