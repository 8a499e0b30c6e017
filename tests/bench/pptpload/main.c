/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pptpload: many PPTP clients in one process, to load any PPTP server.  See
 * README.md.
 */
#include "pptpload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control.h"

#define CALLS_MAX	60000u
#define SIZE_LEAST	(28u + 32u)	/* IP, UDP, flow_head */

static const char usage[] =
"usage: pptpload MODE [OPTION]... SERVER\n"
"       pptpload sink [ADDRESS]\n"
"       pptpload bare ADDRESS\n"
"       pptpload kernel [OPTION]... SERVER PPPD [ARGUMENT]...\n"
"modes: login    all log in and hang up\n"
"       hold     calls without traffic\n"
"       echo     ICMP echo to the server's address in each call\n"
"       up, down, both   datagrams to and from 'pptpload sink'\n"
"       udp-up, udp-down   the same without a call, SERVER is the sink\n"
"       control  connect, SCCRQ, SCCRP, close, one after the other\n"
"       kernel   one call, its PPP by pppd on the kernel's PPTP socket\n"
"       bare     a server: starts pppd on the kernel's PPTP socket, no more\n"
"  -n CALLS      how many (1)\n"
"  -u USER -p PASSWORD   (alice, wonder)\n"
"  -N            USER is followed by the call's number, from 0\n"
"  -s ADDRESS[+COUNT]    local addresses, used in turn\n"
"  -r RATE       logins per second (all at once)\n"
"  -m CALLS      begin no login while so many are not done (all at once)\n"
"  -t SECONDS    of traffic, or of holding (5)\n"
"  -z BYTES      size of the IP packets inside (1396, what MPPE leaves)\n"
"  -R RATE       packets per second and call (echo: 10; else by window)\n"
"  -w PACKETS    window of each call's bulk flow (64)\n"
"  -T ADDRESS    where the sink is (the call's far end)\n"
"  -P SECONDS    patience while a call logs in (60)\n"
"  -k SECONDS    between Echo-Requests; unanswered, the call is lost (off)\n"
"  -a            calls that end log in again\n"
"  -E            IPCP is asked for once, before CCP is open, as Windows does\n"
"Results: a line of JSON for each event. Exit status: 0 all well, 1 not all\n"
"came or stayed up, or bytes were damaged, 2 it could not work.\n";

uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void __attribute__((noreturn))
bad_usage(const char *what, const char *value)
{
	if (what)
		fprintf(stderr, "pptpload: %s: '%s'\n", what, value);
	fputs(usage, stderr);
	exit(2);
}

static double
number(const char *text, double least, double most)
{
	char *end;
	double v;

	errno = 0;
	v = strtod(text, &end);
	if (errno != 0 || end == text || *end != '\0' || !(v >= least) ||
	    !(v <= most)) {
		fprintf(stderr, "pptpload: '%s' is not a number from %g to "
		    "%g\n", text, least, most);
		exit(2);
	}
	return v;
}

static struct in_addr
address(const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1)
		bad_usage("not an IPv4 address", text);
	return a;
}

static void
set_source(struct options *o, char *text)
{
	char *plus = strchr(text, '+');

	o->n_sources = 1;
	if (plus) {
		*plus = '\0';
		o->n_sources = (unsigned)number(plus + 1, 1, 65535);
	}
	o->source = address(text);
}

static enum mode
mode_of(const char *name)
{
	static const char *const names[] = { "login", "hold", "echo", "up",
	    "down", "both", "sink", "udp-up", "udp-down", "control",
	    "kernel", "bare" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0)
			return (enum mode)i;
	}
	bad_usage("no such mode", name);
}

static void
parse(struct options *o, int argc, char **argv)
{
	int c;

	/* "+": what follows the server is a command. */
	while ((c = getopt(argc, argv, "+n:u:p:Ns:r:m:t:z:R:w:T:P:k:aE")) != -1) {
		switch (c) {
		case 'n': o->calls = (unsigned)number(optarg, 1, CALLS_MAX); break;
		case 'u': o->user = optarg; break;
		case 'p': o->password = optarg; break;
		case 'N': o->numbered = true; break;
		case 's': set_source(o, optarg); break;
		case 'r': o->login_rate = number(optarg, 0.01, 1e6); break;
		case 'm': o->logins = (unsigned)number(optarg, 1, CALLS_MAX); break;
		case 't': o->seconds = number(optarg, 0, 1e6); break;
		case 'z': o->size = (unsigned)number(optarg, SIZE_LEAST, 1396); break;
		case 'R': o->pps = number(optarg, 0.01, 1e7); break;
		case 'w': o->window = (unsigned)number(optarg, 8, 65536); break;
		case 'T': o->target = address(optarg); break;
		case 'P': o->patience = number(optarg, 1, 3600); break;
		case 'k': o->keepalive = number(optarg, 0.1, 3600); break;
		case 'a': o->again = true; break;
		case 'E': o->early = true; break;
		default: bad_usage(NULL, NULL);
		}
	}
	if (optind < argc)
		o->server = address(argv[optind++]);
	else if (o->mode != MODE_SINK)
		bad_usage("a server's address is missing after", argv[argc - 1]);
	o->command = argv + optind;
	if ((o->mode == MODE_KERNEL) != (optind < argc))
		bad_usage(o->mode == MODE_KERNEL ? "a command is missing after" :
		    "too many words", argv[argc - 1]);
	if (o->mode == MODE_ECHO && o->pps == 0)
		o->pps = 10;
}

int
main(int argc, char **argv)
{
	struct options o = { .calls = 1, .user = "alice",
	    .password = "wonder", .seconds = 5,
	    .size = 1396, .window = 64,
	    .patience = 60, .logins = CALLS_MAX };

	if (argc < 2)
		bad_usage(NULL, NULL);
	o.mode = mode_of(argv[1]);
	parse(&o, argc - 1, argv + 1);
	switch (o.mode) {
	case MODE_SINK:
		return sink_main(&o);
	case MODE_UDP_UP:
	case MODE_UDP_DOWN:
		return udp_main(&o);
	case MODE_CONTROL:
		return control_main(&o);
	case MODE_KERNEL:
		return kernel_main(&o);
	case MODE_BARE:
		return bare_main(&o);
	case MODE_LOGIN:
	case MODE_HOLD:
	case MODE_ECHO:
	case MODE_UP:
	case MODE_DOWN:
	case MODE_BOTH:
		break;
	}
	return load_main(&o);
}
