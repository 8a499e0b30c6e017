/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pppd plugin: run PPP over a channel that a PPTP server made, and tell the
 * server what happens.
 *
 *	pptp_client IP	the client's outer address
 *	pptp_sock FD	the channel (channel.c)
 *	pptp_event FD	where to report (events.c); optional
 *
 * and those of PoPToP's plugin for login records (wtmp.c):
 *
 *	pptpd-original-ip IP		write them, with this address
 *	pptpd-logwtmp-strip-domain	without DOMAIN\ before the user's name
 */
#include <arpa/inet.h>

#include "plugin.h"

#define NUMBER_LEN	12

/* pppd prints these for "dump" and "dryrun". */
static char client_str[INET_ADDRSTRLEN];
static char sock_str[NUMBER_LEN];
static char event_str[NUMBER_LEN];

/* pppd compares this with its own; it must be visible. */
const char pppd_version[] = PPPD_VERSION;

void plugin_init(void);

static int
set_client(char **argv)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, *argv, &addr) != 1) {
		ppp_option_error("pptp_client %s: not an IPv4 address", *argv);
		return 0;
	}
	strlcpy(client_str, *argv, sizeof(client_str));
	pptp_client_set(client_str);
	return 1;
}

static int
set_fd(const char *option, char *arg, const char *(*take)(int))
{
	const char *wrong;
	int fd;

	if (!ppp_int_option(arg, &fd))
		return 0;
	wrong = take(fd);
	if (wrong != NULL) {
		ppp_option_error("%s %d: %s", option, fd, wrong);
		return 0;
	}
	return 1;
}

static int
set_sock(char **argv)
{
	if (!set_fd("pptp_sock", *argv, pptp_channel_take))
		return 0;
	strlcpy(sock_str, *argv, sizeof(sock_str));
	the_channel = &pptp_channel;
	ppp_set_modem(0);
	return 1;
}

static int
set_event(char **argv)
{
	if (!set_fd("pptp_event", *argv, pptp_events_take))
		return 0;
	strlcpy(event_str, *argv, sizeof(event_str));
	return 1;
}

static int
set_strip(char **argv)
{
	(void)argv;
	pptp_wtmp_strip = 1;
	return 1;
}

#define OPT_OURS	(OPT_INITONLY | OPT_PRIV | OPT_STATIC | OPT_A2STRVAL)

static option_t options[] = {
	{ .name = "pptp_client", .type = o_special, .addr = (void *)set_client,
	  .description = "Outer address of the PPTP client",
	  .flags = OPT_OURS, .addr2 = client_str },
	{ .name = "pptp_sock", .type = o_special, .addr = (void *)set_sock,
	  .description = "Descriptor of the PPP channel",
	  .flags = OPT_OURS, .addr2 = sock_str },
	{ .name = "pptp_event", .type = o_special, .addr = (void *)set_event,
	  .description = "Descriptor to report events on",
	  .flags = OPT_OURS, .addr2 = event_str },
	{ .name = "pptpd-original-ip", .type = o_string,
	  .addr = pptp_wtmp_host, .description = "Write login records, with "
	      "this address of the client",
	  .flags = OPT_STATIC, .upper_limit = sizeof(pptp_wtmp_host) },
	{ .name = "pptpd-logwtmp-strip-domain", .type = o_special_noarg,
	  .addr = (void *)set_strip,
	  .description = "Login records without the domain" },
	{ .name = NULL }
};

/*
 * Comes again when an options file names the plugin too, by this name or as
 * PoPToP's, which is a link to it: same file, same handle, one copy.
 */
void
plugin_init(void)
{
	static int loaded;

	if (loaded)
		return;
	loaded = 1;
	ppp_add_options(options);
	pptp_events_init();
	pptp_hush();
}
