/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the plugin share.  pppd serves one call per process and
 * knows a plugin only through globals, so each file keeps its state in file
 * statics and is reached through the functions below.
 *
 * pppd loads plugins into the namespace it exports itself, and its own
 * symbols win there.  Everything here is therefore hidden, and named pptp_*.
 */
#ifndef PLUGIN_PLUGIN_H
#define PLUGIN_PLUGIN_H

#include "compat.h"

#pragma GCC visibility push(hidden)

/* channel.c: the descriptor PPP runs on, as pppd's struct channel. */

extern struct channel pptp_channel;

/*
 * Take fd as the channel: a connected PPPoX socket or the slave side of a
 * pseudo terminal.  Returns NULL, or what is wrong with it; then nothing has
 * changed.  From NULL on the descriptor is the plugin's.
 */
const char *pptp_channel_take(int fd);

int pptp_channel_is_tty(void);

/* tune.c: what the channel asks of pppd's other options. */

void pptp_client_set(const char *addr);
void pptp_tune_names(void);	/* struct channel: process_extra_options */
void pptp_tune_options(void);	/* struct channel: check_options */

/*
 * pppd's own entry for an option of LCP or CCP, NULL if it has none.  Some
 * variables are static in one version or the other; the table reaches them
 * in all.
 */
const option_t *pptp_option_find(const struct protent *p, const char *name);

/* hush.c: from now on pppd's debug option shows no challenge or response. */

void pptp_hush(void);

/* ttyopts.c: the options of pppd's tty channel, accepted and ignored. */

extern option_t pptp_tty_options[];

/* events.c: records to the manager. */

/*
 * Take fd as the event socket.  Returns NULL or what is wrong with it.
 */
const char *pptp_events_take(int fd);

/*
 * Remember the address the options give to the client.  Only this one may be
 * exchanged for another by the manager.
 */
void pptp_events_options_done(void);

/*
 * The link is about to start.  Returns -1 when there was a manager and it is
 * gone: nobody would ever end this pppd.
 */
int pptp_events_start(void);

void pptp_events_bound(void);
void pptp_events_close(void);	/* in forked children */
void pptp_events_init(void);	/* register the notifiers */

/* ifstats.c */

/* Byte counters of a network interface, 64 bit in every version of pppd. */
int pptp_ifstats(const char *name, uint64_t *ret_rx, uint64_t *ret_tx);

/* wtmp.c: login records, when pptp_wtmp_host is set. */

#define PPTP_WTMP_HOST_MAX	64

/* Values of the options pptpd-original-ip and pptpd-logwtmp-strip-domain. */
extern char pptp_wtmp_host[PPTP_WTMP_HOST_MAX];
extern int pptp_wtmp_strip;

/* The user is on interface tty, or gone.  Neither waits for anything. */
void pptp_wtmp_login(const char *tty, const char *name);
void pptp_wtmp_logout(const char *tty);

#pragma GCC visibility pop

#endif
