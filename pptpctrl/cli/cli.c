/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cli/check.h"
#include "conf.h"
#include "log.h"
#include "net/relay.h"
#include "net/status.h"
#include "priv/listen.h"
#include "proto/call.h"
#include "reason.h"

#define WAIT_S	10
#define TRIES	3

static int cmd_list(int argc, char **argv);
static int cmd_terminate(int argc, char **argv);
static int cmd_check(int argc, char **argv);
static int cmd_status(int argc, char **argv);
static int cmd_unban(int argc, char **argv);
static int cmd_drain(int argc, char **argv);
static int cmd_resume(int argc, char **argv);
static int cmd_help(int argc, char **argv);
static int cmd_version(int argc, char **argv);

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
} commands[] = {
	{ "list", cmd_list, "list [--json]\n"
	    "    calls with user, addresses, interface, age, traffic, state" },
	{ "terminate", cmd_terminate,
	    "terminate CALL | user=NAME | ip=ADDRESS | all\n"
	    "    end calls in order; ADDRESS is the client's or the "
	    "assigned one" },
	{ "status", cmd_status, "status [--json]\n"
	    "    what was refused and dropped, what there is now, bans" },
	{ "unban", cmd_unban, "unban user=NAME | all\n"
	    "    forget failed logins and the bans after them" },
	{ "drain", cmd_drain, "drain\n"
	    "    take no new calls, let those there are go on" },
	{ "resume", cmd_resume, "resume\n"
	    "    take new calls again" },
	{ "check", cmd_check, "check [-c FILE]\n"
	    "    the effective configuration and what is wrong with it" },
	{ "help", cmd_help, "help" },
	{ "version", cmd_version, "version" },
};

static const char *pidfile = CONF_DEFAULT_PIDFILE;

static int
cmd_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("usage: pptpctrl COMMAND [-p PIDFILE]\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		printf("  %s\n", commands[i].usage);
	printf("The server itself is started as pptpd: see pptpd(8).\n");
	return 0;
}

static int
cmd_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("pptpctrl %s (plugin for pppd %s)\n", VERSION, PPPD_VERSION);
	return 0;
}

static int
cmd_check(int argc, char **argv)
{
	return check_run(argc, argv);
}

/* A socket that is being bound anew is not there for a moment. */
static bool
connect_status(int fd, const struct sockaddr_un *sun)
{
	static const struct timespec moment = { .tv_nsec = 100000000 };

	if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0)
		return true;
	if (errno != ENOENT && errno != ECONNREFUSED)
		return false;
	nanosleep(&moment, NULL);
	return connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0;
}

static int
open_status(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = WAIT_S };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		fprintf(stderr, "pptpctrl: socket: %s\n", strerror(errno));
		return -1;
	}
	listen_status_path(pidfile, sun.sun_path, sizeof(sun.sun_path));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connect_status(fd, &sun))
		return fd;
	fprintf(stderr, "pptpctrl: no server answers on %s: %s%s\n",
	    sun.sun_path, strerror(errno), errno == EACCES ?
	    " (only root may ask)" : " (is pptpd running? another "
	    "instance is chosen with -p PIDFILE)");
	close(fd);
	return -1;
}

/* Is rec, of n bytes, or -1 with errno, a record?  If not, says why: the
 * server went, or is another version. */
static bool
check_record(ssize_t n, const struct status_record *rec)
{
	if (n == sizeof(*rec) && rec->version == STATUS_VERSION) {
		if (rec->kind == STATUS_CALL || rec->kind == STATUS_DONE ||
		    rec->kind == STATUS_NUMBER || rec->kind == STATUS_BAN)
			return true;
		fprintf(stderr, "pptpctrl: %s\n", rec->kind == STATUS_DENIED ?
		    "only root may ask the server" :
		    "the server did not understand: is it another version?");
		return false;
	}
	fprintf(stderr, "pptpctrl: %s\n", n < 0 ? strerror(errno) : n == 0 ?
	    "the server ended" : "the server is another version");
	return false;
}

static bool
next_record(int fd, struct status_record *rec)
{
	return check_record(recv(fd, rec, sizeof(*rec), 0), rec);
}

/*
 * Ask, and get the first record of the answer.  A server that is being started
 * again leaves who it has not answered to the next one.  Returns the
 * connection; -1 when there is no answer, and why was said.
 */
static int
begin(const struct status_request *req, struct status_record *rec)
{
	for (int left = TRIES - 1;; left--) {
		int fd = open_status();
		ssize_t n;

		if (fd < 0)
			return -1;
		n = send(fd, req, sizeof(*req), MSG_NOSIGNAL);
		if (n >= 0)
			n = recv(fd, rec, sizeof(*rec), 0);
		if (left > 0 && (n == 0 || (n < 0 && (errno == EPIPE ||
		    errno == ECONNRESET)))) {
			close(fd);
			continue;
		}
		if (check_record(n, rec))
			return fd;
		close(fd);
		return -1;
	}
}

/* One request with one answer; false when there is none, and why was said. */
static bool
ask(const struct status_request *req, struct status_record *rec)
{
	int fd = begin(req, rec);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static const char *
ip_text(uint32_t ip, char buf[INET_ADDRSTRLEN])
{
	if (ip == 0)
		return "-";
	inet_ntop(AF_INET, &ip, buf, INET_ADDRSTRLEN);
	return buf;
}

static const char *
age_text(uint64_t ms, char *buf, size_t size)
{
	uint64_t s = ms / 1000;

	snprintf(buf, size, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600,
	    s / 60 % 60, s % 60);
	return buf;
}

static void
print_title(void)
{
	printf("%5s  %-8s  %-15s  %-15s  %-7s  %10s  %12s  %12s  %s\n",
	    "CALL", "STATE", "CLIENT", "ADDRESS", "IFACE", "AGE", "BYTES IN",
	    "BYTES OUT", "USER");
}

static void
print_row(const struct status_record *r)
{
	char client[INET_ADDRSTRLEN], remote[INET_ADDRSTRLEN], age[32];
	char user[LOG_ESCAPED_MAX(sizeof(r->user))];

	printf("%5" PRIu32 "  %-8s  %-15s  %-15s  %-7s  %10s  %12" PRIu64
	    "  %12" PRIu64 "  %s\n", r->call,
	    call_state_name((enum call_state)r->state),
	    ip_text(r->client, client), ip_text(r->remote, remote),
	    r->ifname[0] ? r->ifname : "-", age_text(r->up_ms ? r->up_ms :
	    r->age_ms, age, sizeof(age)), r->rx_bytes, r->tx_bytes,
	    r->user[0] ? log_escape(user, sizeof(user), r->user) : "-");
}

static void
add_text(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

static void
add_number(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_int64((int64_t)value));
}

static struct json_object *
json_call(const struct status_record *r)
{
	struct json_object *o = json_object_new_object();
	struct json_object *drops = json_object_new_object();
	char ip[INET_ADDRSTRLEN];
	char user[LOG_ESCAPED_MAX(sizeof(r->user))];

	add_number(o, "call", r->call);
	add_number(o, "peer_call", r->peer_call);
	add_text(o, "state", call_state_name((enum call_state)r->state));
	add_text(o, "user", log_escape(user, sizeof(user), r->user));
	add_text(o, "client", ip_text(r->client, ip));
	add_text(o, "server", ip_text(r->own, ip));
	add_text(o, "address", r->remote ? ip_text(r->remote, ip) : "");
	add_text(o, "local_address", r->local ? ip_text(r->local, ip) : "");
	add_text(o, "interface", r->ifname);
	add_text(o, "datapath",
	    conf_datapath_name((enum conf_datapath)r->datapath));
	add_text(o, "authentication", reason_auth(r->auth));
	add_text(o, "encryption", reason_mppe(r->flags));
	add_number(o, "pid", r->pid);
	add_number(o, "age_ms", r->age_ms);
	add_number(o, "up_ms", r->up_ms);
	add_number(o, "rx_bytes", r->rx_bytes);
	add_number(o, "tx_bytes", r->tx_bytes);
	add_number(o, "rx_frames", r->rx_frames);
	add_number(o, "tx_frames", r->tx_frames);
	add_number(o, "offloaded_rx_frames", r->fast_rx);
	add_number(o, "offloaded_tx_frames", r->fast_tx);
	add_number(o, "reordered", r->reordered);
	add_number(o, "lost", r->lost);
	add_number(o, "reorder_hold_us", r->hold_us);
	for (int i = 0; i < DROP_KINDS; i++)
		add_number(drops, flow_drop_names[i], r->drop[i]);
	json_object_object_add(o, "dropped", drops);
	return o;
}

static int
cmd_list(int argc, char **argv)
{
	struct status_request req = { .version = STATUS_VERSION,
	    .op = STATUS_LIST };
	struct json_object *array = NULL;
	struct status_record rec;
	int fd;

	if (argc == 2 && strcmp(argv[1], "--json") == 0) {
		array = json_object_new_array();
	} else if (argc != 1) {
		fprintf(stderr, "usage: pptpctrl list [--json]\n");
		return 2;
	}
	fd = begin(&req, &rec);
	if (fd < 0)
		return 1;
	if (!array)
		print_title();
	while (rec.kind != STATUS_DONE) {
		if (array)
			json_object_array_add(array, json_call(&rec));
		else
			print_row(&rec);
		if (!next_record(fd, &rec))
			return 1;
	}
	if (!array && rec.draining)
		printf("draining: no new calls are taken (pptpctrl resume)\n");
	close(fd);
	if (array) {
		printf("%s\n", json_object_to_json_string_ext(array,
		    JSON_C_TO_STRING_PRETTY));
		json_object_put(array);
	}
	return 0;
}

/* What to terminate; false with a message. */
static bool
parse_selection(const char *text, struct status_request *req)
{
	unsigned long id;
	char *end;

	if (strcmp(text, "all") == 0) {
		req->select = STATUS_ALL;
		return true;
	}
	if (strncmp(text, "user=", 5) == 0 && text[5] &&
	    strlen(text + 5) < sizeof(req->user)) {
		req->select = STATUS_BY_USER;
		memcpy(req->user, text + 5, strlen(text + 5) + 1);
		return true;
	}
	if (strncmp(text, "ip=", 3) == 0 &&
	    inet_pton(AF_INET, text + 3, &req->ip) == 1) {
		req->select = STATUS_BY_IP;
		return true;
	}
	id = strtoul(text, &end, 10);
	if (*text >= '0' && *text <= '9' && *end == '\0' && id >= 1 &&
	    id <= UINT16_MAX) {
		req->select = STATUS_BY_CALL;
		req->call = (uint32_t)id;
		return true;
	}
	fprintf(stderr, "pptpctrl: \"%s\" is not a call number (see pptpctrl "
	    "list), user=NAME, ip=ADDRESS or all\n", text);
	return false;
}

static int
cmd_terminate(int argc, char **argv)
{
	struct status_request req = { .version = STATUS_VERSION,
	    .op = STATUS_TERMINATE };
	struct status_record rec;

	if (argc != 2) {
		fprintf(stderr, "usage: pptpctrl terminate CALL | user=NAME "
		    "| ip=ADDRESS | all\n");
		return 2;
	}
	if (!parse_selection(argv[1], &req))
		return 2;
	if (!ask(&req, &rec))
		return 1;
	printf("%" PRIu32 " call%s ending\n", rec.count,
	    rec.count == 1 ? "" : "s");
	return rec.count > 0 || req.select == STATUS_ALL ? 0 : 1;
}

/* --- status and unban --------------------------------------------------- */

static void
print_ban(const struct status_record *r)
{
	char user[LOG_ESCAPED_MAX(sizeof(r->user))], ip[INET_ADDRSTRLEN];

	printf("%s from %s: ", r->value > 0 ? "banned" : "failed",
	    ip_text(r->client, ip));
	if (r->value > 0)
		printf("%" PRIu64 " s left", (r->value + 999) / 1000);
	else
		printf("%" PRIu32 " times", r->count);
	printf(", user \"%s\"\n", log_escape(user, sizeof(user), r->user));
}

static void
print_number(const struct status_record *r)
{
	printf("%-36s %12" PRIu64 "\n", r->user, r->value);
}

/* "group.name" goes to name in the object called group. */
static void
json_number(struct json_object *top, const struct status_record *r)
{
	const char *dot = strchr(r->user, '.');
	struct json_object *o;
	char group[64];

	if (!dot)
		return;
	snprintf(group, sizeof(group), "%.*s", (int)(dot - r->user), r->user);
	if (!json_object_object_get_ex(top, group, &o)) {
		o = json_object_new_object();
		json_object_object_add(top, group, o);
	}
	add_number(o, dot + 1, r->value);
}

static void
json_ban(struct json_object *array, const struct status_record *r)
{
	struct json_object *o = json_object_new_object();
	char user[LOG_ESCAPED_MAX(sizeof(r->user))], ip[INET_ADDRSTRLEN];

	add_text(o, "user", log_escape(user, sizeof(user), r->user));
	add_text(o, "source", ip_text(r->client, ip));
	add_number(o, "failures", r->count);
	add_number(o, "banned_ms", r->value);
	json_object_array_add(array, o);
}

static int
cmd_status(int argc, char **argv)
{
	struct status_request req = { .version = STATUS_VERSION,
	    .op = STATUS_NUMBERS };
	struct json_object *top = NULL, *bans = NULL;
	struct status_record rec;
	int fd;

	if (argc == 2 && strcmp(argv[1], "--json") == 0) {
		top = json_object_new_object();
		bans = json_object_new_array();
		json_object_object_add(top, "bans", bans);
	} else if (argc != 1) {
		fprintf(stderr, "usage: pptpctrl status [--json]\n");
		return 2;
	}
	fd = begin(&req, &rec);
	if (fd < 0)
		return 1;
	while (rec.kind != STATUS_DONE) {
		rec.user[sizeof(rec.user) - 1] = '\0';
		if (rec.kind == STATUS_NUMBER && top)
			json_number(top, &rec);
		else if (rec.kind == STATUS_NUMBER)
			print_number(&rec);
		else if (rec.kind == STATUS_BAN && top)
			json_ban(bans, &rec);
		else if (rec.kind == STATUS_BAN)
			print_ban(&rec);
		if (!next_record(fd, &rec))
			return 1;
	}
	close(fd);
	if (top) {
		printf("%s\n", json_object_to_json_string_ext(top,
		    JSON_C_TO_STRING_PRETTY));
		json_object_put(top);
	}
	return 0;
}

static int
cmd_unban(int argc, char **argv)
{
	struct status_request req = { .version = STATUS_VERSION,
	    .op = STATUS_UNBAN };
	struct status_record rec;

	if (argc != 2 || (strcmp(argv[1], "all") != 0 &&
	    strncmp(argv[1], "user=", 5) != 0)) {
		fprintf(stderr, "usage: pptpctrl unban user=NAME | all\n");
		return 2;
	}
	if (!parse_selection(argv[1], &req))
		return 2;
	if (!ask(&req, &rec))
		return 1;
	printf("%" PRIu32 " ban%s lifted\n", rec.count,
	    rec.count == 1 ? "" : "s");
	return 0;
}

static int
set_drain(int argc, uint32_t op, const char *text)
{
	struct status_request req = { .version = STATUS_VERSION, .op = op };
	struct status_record rec;

	if (argc != 1) {
		fprintf(stderr, "usage: pptpctrl drain | resume\n");
		return 2;
	}
	if (!ask(&req, &rec))
		return 1;
	if (op == STATUS_RESUME && rec.draining) {
		fprintf(stderr, "pptpctrl: no new calls before the "
		    "configuration is mended: systemctl status pptpd says "
		    "what is wrong, systemctl reload pptpd reads it again\n");
		return 1;
	}
	printf("%s; %" PRIu32 " call%s\n", text, rec.count,
	    rec.count == 1 ? "" : "s");
	return 0;
}

static int
cmd_drain(int argc, char **argv)
{
	(void)argv;
	return set_drain(argc, STATUS_DRAIN, "no new calls are taken");
}

static int
cmd_resume(int argc, char **argv)
{
	(void)argv;
	return set_drain(argc, STATUS_RESUME, "new calls are taken");
}

bool
cli_is_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return true;
	return false;
}

int
cli_run(int argc, char **argv)
{
	char *rest[4];
	int n = 0;

	if (strcmp(argv[0], "check") == 0)
		return cmd_check(argc, argv);
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "-p") == 0 && i + 1 < argc)
			pidfile = argv[++i];
		else if (n < 3)
			rest[n++] = argv[i];
	}
	rest[n] = NULL;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, argv[0]) == 0)
			return commands[i].run(n, rest);
	return 2;
}
