/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hosts.allow and hosts.deny (hosts_access(5)) for daemon pptpd, as far as
 * they can be decided by numbers: parsed at start into a table that the
 * worker asks for each client.  What needs DNS, ident, NIS or a program is an
 * error: to leave it out would let in, or keep out, others than before.
 *
 * Nothing here but hosts_load* touches the file system.
 */
#ifndef PPTPCTRL_HOSTS_H
#define PPTPCTRL_HOSTS_H

#include "conf.h"

#define HOSTS_DAEMON	"pptpd"
#define HOSTS_ALLOW	"/etc/hosts.allow"
#define HOSTS_DENY	"/etc/hosts.deny"

struct hosts;

/* An empty table, which allows everybody; NULL when out of memory. */
struct hosts *hosts_new(void);

/* Takes NULL too. */
void hosts_free(struct hosts *h);

/*
 * Add the rules of one file's text[0..len), called name (borrowed, as long as
 * h lives): first hosts.allow (deny false), then hosts.deny.  Findings go to
 * report.  Returns false if one was CONF_ERROR.
 */
bool hosts_parse(struct hosts *h, bool deny, const char *name,
    const char *text, size_t len, conf_report_fn report, void *arg);

/*
 * May client connect to the address server of this host?  The first rule
 * that matches decides; *ret_name and *ret_line say which refused, and are
 * untouched otherwise.
 */
bool hosts_ask(const struct hosts *h, struct in_addr client,
    struct in_addr server, const char **ret_name, unsigned *ret_line);

/* hosts_parse for a file, with patterns that are names of files of patterns;
 * one that is missing is empty. */
bool hosts_load_file(struct hosts *h, bool deny, const char *name,
    conf_report_fn report, void *arg);

/*
 * Read both files into *ret, which stays NULL when they hold nothing for us.
 * A file that is missing is empty.  Returns false after a CONF_ERROR.
 */
bool hosts_load(struct hosts **ret, conf_report_fn report, void *arg);

#endif
