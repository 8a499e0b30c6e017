/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pppd 2.4.9 and 2.5.x behind one face, that of 2.5: the names 2.5 gave to
 * what 2.4.9 has as plain variables and unprefixed functions, and the few
 * symbols that every pppd exports but 2.5 no longer declares.
 *
 * Nothing else in the plugin may ask which pppd it is built for.
 *
 * pppd.h of 2.4.9 makes its own "bool": no <stdbool.h>, no C23, and use int.
 */
#ifndef PLUGIN_COMPAT_H
#define PLUGIN_COMPAT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <pppd/pppd.h>
#include <pppd/fsm.h>
#include <pppd/lcp.h>
#include <pppd/ccp.h>
#include <pppd/ipcp.h>
#include <pppd/mppe.h>

#ifndef PPP_EAP
#define PPP_EAP		0xc227	/* 2.5 keeps it in a header of its own */
#endif

#ifdef PPPD_VERSION

#include <pppd/chap.h>
#include <pppd/options.h>

/* No longer in a header; exported by 2.5.0 to 2.5.3. */
extern int listen_time;
extern int baud_rate;
extern int inspeed;
extern bool demand;
extern bool dryrun;
extern bool auth_required;
extern int auth_ip_addr(int unit, uint32_t addr);
extern void print_string(char *p, int len, printer_func printer, void *arg);

#else

#include <pppd/chap-new.h>

#define PPPD_VERSION	VERSION

enum {
	NF_PHASE_CHANGE,
	NF_EXIT,
	NF_IP_UP,
	NF_IP_DOWN,
	NF_AUTH_UP,
};

static inline void
ppp_add_notify(int which, notify_func func, void *ctx)
{
	struct notifier **const list[] = {
		[NF_PHASE_CHANGE] = &phasechange,
		[NF_EXIT] = &exitnotify,
		[NF_IP_UP] = &ip_up_notifier,
		[NF_IP_DOWN] = &ip_down_notifier,
		[NF_AUTH_UP] = &auth_up_notifier,
	};

	add_notifier(list[which], func, ctx);
}

#define ppp_add_options		add_options
#define ppp_int_option		int_option
#define ppp_option_error	option_error
#define ppp_generic_establish	generic_establish_ppp
#define ppp_generic_disestablish generic_disestablish_ppp
#define ppp_safe_fork		safe_fork
#define ppp_timeout		timeout
#define ppp_script_setenv(name, value, key) \
	script_setenv((name), (char *)(value), (key))
#define ppp_get_mtu		netif_get_mtu

#define ppp_status()		((int)status)
#define ppp_ifname()		((const char *)ifname)
#define ppp_ifunit()		(ifunit)
#define ppp_set_modem(on)	((void)(modem = (on)))
#define ppp_set_devnam(s)	((void)strlcpy(devnam, (s), MAXPATHLEN))
#define ppp_set_pppdevnam(s)	((void)strlcpy(ppp_devnam, (s), MAXPATHLEN))
#define ppp_get_remote_number()	((const char *)remote_number)
#define ppp_set_remote_number(s) ((void)strlcpy(remote_number, (s), MAXNAMELEN))
#define ppp_peer_authname(buf, size) ((void)strlcpy((buf), peer_authname, (size)))

#endif

#endif
