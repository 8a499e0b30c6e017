/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A resolver and a services file for tests of conf.c, in place of libc's by
 * the linker's order: no test waits for DNS or depends on /etc/services.
 * Included once, by the file that has main or the fuzzer's entry.
 *
 *	localhost	127.0.0.1
 *	vpn.example	192.0.2.7
 *	v6.example	has no IPv4 address
 */
#ifndef TESTS_FAKE_NETDB_H
#define TESTS_FAKE_NETDB_H

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

static int fake_port = 1723;		/* 0: not in the services file */
static unsigned fake_lookups;		/* how often a name was asked for */

struct hostent *
gethostbyname(const char *name)
{
	static struct hostent ent;
	static struct in_addr addr;
	static char *list[2] = { (char *)&addr, NULL };

	fake_lookups++;
	if (strcmp(name, "localhost") == 0)
		addr.s_addr = htonl(0x7f000001);
	else if (strcmp(name, "vpn.example") == 0)
		addr.s_addr = htonl(0xc0000207);
	else
		return NULL;
	ent = (struct hostent){ .h_addrtype = AF_INET,
	    .h_length = (int)sizeof(addr), .h_addr_list = list };
	return &ent;
}

struct servent *
getservbyname(const char *name, const char *proto)
{
	static struct servent ent;

	if (fake_port == 0 || strcmp(name, "pptp") != 0 ||
	    strcmp(proto, "tcp") != 0)
		return NULL;
	ent.s_port = htons((uint16_t)fake_port);
	return &ent;
}

#endif
