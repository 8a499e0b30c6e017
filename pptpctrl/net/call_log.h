/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A call's lines in the log: that it is up, how its login failed, why it
 * ended.
 */
#ifndef NET_CALL_LOG_H
#define NET_CALL_LOG_H

struct call;
struct session;

/* The network is up; what is weak about it has a line of its own. */
void call_log_up(const struct session *s);

/* The line that log watchers such as fail2ban read. */
void call_log_auth_failed(const struct session *s, const char *reason);

/* After failed logins. */
void call_log_ban(const struct session *s);

/* Why it was refused, failed, or ended, and what the relay dropped of it. */
void call_log_end(const struct session *s, const struct call *call);

#endif
