/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * With pppd's own option debug, pppd logs each CHAP and EAP packet in full.
 * Challenge and response together are what the password can be computed from:
 * in the log go the kind of packet, its id and the name, and no more.
 */
#include <net/ppp_defs.h>

#include "plugin.h"

#define CHAP_RESPONSE	2

static const char *
code_name(int protocol, int code)
{
	static const char *const chap[] = { "Challenge", "Response", "Success",
	    "Failure" };
	static const char *const eap[] = { "Request", "Response", "Success",
	    "Failure" };

	if (code < 1 || code > 4)
		return "packet";
	return protocol == PPP_EAP ? eap[code - 1] : chap[code - 1];
}

/* Returns how much of the packet was told of, as pppd's own printers do. */
static int
print_packet(int protocol, unsigned char *p, int len, printer_func printer,
    void *arg)
{
	int whole, name;

	if (len < 4)
		return 0;
	whole = p[2] << 8 | p[3];
	if (whole < 4 || whole > len)
		return 0;
	printer(arg, " %s id=0x%x <hidden>", code_name(protocol, p[0]), p[1]);
	if (protocol == PPP_EAP || p[0] > CHAP_RESPONSE || whole < 5)
		return whole;
	name = 5 + p[4];
	if (name < whole) {
		printer(arg, ", name = ");
		print_string((char *)p + name, whole - name, printer, arg);
	}
	return whole;
}

static int
print_chap(unsigned char *p, int len, printer_func printer, void *arg)
{
	return print_packet(PPP_CHAP, p, len, printer, arg);
}

static int
print_eap(unsigned char *p, int len, printer_func printer, void *arg)
{
	return print_packet(PPP_EAP, p, len, printer, arg);
}

void
pptp_hush(void)
{
	for (int i = 0; protocols[i] != NULL; i++) {
		if (protocols[i]->protocol == PPP_CHAP)
			protocols[i]->printpkt = print_chap;
		else if (protocols[i]->protocol == PPP_EAP)
			protocols[i]->printpkt = print_eap;
	}
}
