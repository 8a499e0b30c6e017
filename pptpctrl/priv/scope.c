/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/scope.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#include "log.h"

#define LEAVE_US	1000000u
#define LEAVE_TRIES	100
#define RETRY_US	10000000u	/* after the bus was lost */
#define TASKS_MAX	64u		/* scripts of one call */
#define UNIT		"pptpd.service"
#define MANAGER		"org.freedesktop.systemd1",			\
	"/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"

struct scopes {
	sd_event *loop;
	sd_bus *bus;		/* NULL: none now */
	uint64_t retry;		/* us, when to look for one again */
	bool said;
};

/* Once: it is no fault of a call's, and calls are many. */
static void
complain(struct scopes *s, const char *what, const char *why)
{
	if (!s->said)
		log_notice("MGR: %s: %s; calls stay in the service's group of "
		    "processes", what, why);
	s->said = true;
}

static bool
have_bus(struct scopes *s)
{
	uint64_t now = 0;
	int r;

	if (s->bus && sd_bus_is_open(s->bus) > 0)
		return true;
	s->bus = sd_bus_close_unref(s->bus);
	sd_event_now(s->loop, CLOCK_MONOTONIC, &now);
	if (now < s->retry)
		return false;
	s->retry = now + RETRY_US;
	r = sd_bus_open_system(&s->bus);
	if (r >= 0)
		r = sd_bus_attach_event(s->bus, s->loop,
		    SD_EVENT_PRIORITY_NORMAL);
	if (r >= 0)
		return true;
	s->bus = sd_bus_close_unref(s->bus);
	complain(s, "no system bus", strerror(-r));
	return false;
}

struct scopes *
scopes_new(sd_event *loop)
{
	struct scopes *s;

	if (!getenv("NOTIFY_SOCKET") || sd_booted() <= 0)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s) {
		s->loop = loop;
		(void)have_bus(s);
	}
	return s;
}

static int
on_answer(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	const sd_bus_error *e = sd_bus_message_get_error(m);

	(void)error;
	/* A call may be over before its scope is made; that of a launcher
	 * before this one has it already. */
	if (e && !sd_bus_error_has_names(e,
	    "org.freedesktop.DBus.Error.UnixProcessIdUnknown",
	    "org.freedesktop.systemd1.UnitExists"))
		complain(arg, "no scope for a call", e->message ? e->message :
		    e->name);
	return 0;
}

/* The limits of the service that a group of its own would lose. */
static int
append_limits(sd_bus_message *m)
{
	int r = sd_bus_message_append(m, "(sv)(sv)", "DevicePolicy", "s",
	    "closed", "TasksMax", "t", (uint64_t)TASKS_MAX);

	if (r >= 0)
		r = sd_bus_message_append(m, "(sv)", "DeviceAllow", "a(ss)", 2,
		    "char-ppp", "rw", "char-pts", "rw");
	return r;
}

static int
append(sd_bus_message *m, bool call, const char *name, const char *text,
    const uint32_t *pids, size_t n_pids)
{
	int r = sd_bus_message_append(m, "ss", name, "fail");

	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "(sv)");
	if (r >= 0)
		r = sd_bus_message_append(m, "(sv)(sv)", "Description", "s",
		    text, "CollectMode", "s", "inactive-or-failed");
	for (size_t i = 0; i < n_pids && r >= 0; i++)
		r = sd_bus_message_append(m, "(sv)", "PIDs", "au", 1,
		    pids[i]);
	/* When the machine goes down, the service ends calls first.  With an
	 * order, a worker's scope would wait for the service to stop. */
	if (r >= 0 && call)
		r = sd_bus_message_append(m, "(sv)", "Before", "as", 1, UNIT);
	if (r >= 0)
		r = append_limits(m);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_message_append(m, "a(sa(sv))", 0);
	return r;
}

/* The request for it; NULL, and said why, when it cannot be asked for. */
static sd_bus_message *
request(struct scopes *s, bool call, const char *name, const char *text,
    const uint32_t *pids, size_t n_pids)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(s->bus, &m, MANAGER,
	    "StartTransientUnit");

	if (r >= 0)
		r = append(m, call, name, text, pids, n_pids);
	if (r >= 0)
		return m;
	complain(s, "no scope", strerror(-r));
	sd_bus_message_unref(m);
	return NULL;
}

void
scope_move(struct scopes *s, unsigned call, struct in_addr peer, pid_t parent,
    pid_t pppd)
{
	const uint32_t pids[] = { (uint32_t)parent, (uint32_t)pppd };
	char ip[INET_ADDRSTRLEN], name[64], text[96];
	sd_bus_message *m;

	if (!s || !have_bus(s))
		return;
	inet_ntop(AF_INET, &peer, ip, sizeof(ip));
	snprintf(name, sizeof(name), "pptpd-call-%u.scope", call);
	snprintf(text, sizeof(text), "PPTP call %u of %s", call, ip);
	m = request(s, true, name, text, pids, 2);
	if (m && sd_bus_call_async(s->bus, NULL, m, on_answer, s, 0) < 0)
		complain(s, "no scope for a call", "the bus is busy");
	sd_bus_message_unref(m);
}

/* Does systemd count pid as the service's still? */
static bool
is_in_service(struct scopes *s, uint32_t pid)
{
	sd_bus_message *answer = NULL;
	const char *unit = "";
	bool is;

	is = sd_bus_call_method(s->bus, MANAGER, "GetUnitByPID", NULL,
	    &answer, "u", pid) >= 0 &&
	    sd_bus_message_read(answer, "o", &unit) >= 0 &&
	    strstr(unit, "/pptpd_2eservice");
	sd_bus_message_unref(answer);
	return is;
}

void
scope_leave(struct scopes *s, pid_t worker)
{
	const uint32_t pid = (uint32_t)worker;
	sd_bus_message *m;
	char name[64];
	int tries = 0;

	if (!s || !have_bus(s))
		return;
	snprintf(name, sizeof(name), "pptpd-worker-%d.scope", (int)worker);
	m = request(s, false, name, "PPTP server, until the next one serves",
	    &pid, 1);
	/* The answer comes before it is done. */
	if (m && sd_bus_call(s->bus, m, LEAVE_US, NULL, NULL) >= 0)
		while (tries++ < LEAVE_TRIES && is_in_service(s, pid))
			;
	sd_bus_message_unref(m);
}
