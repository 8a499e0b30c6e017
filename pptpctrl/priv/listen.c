/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "log.h"
#include "priv/vrf.h"
#include "priv/store.h"

#define BACKLOG		4096
#define UNIT_MAX	(LISTEN_MAX / 2)	/* the others are kept */
#define GIVEN_MAX	(UNIT_MAX + LISTEN_STATUS_MAX)
#define KEEP_IDLE_S	60
#define USER_TIMEOUT_MS	120000u

static void
set_int(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

void
listen_tune(int fd)
{
	/* NAT helpers read one message per segment: never join two. */
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	/* Half-open connections of clients that vanished. */
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_IDLE_S / 4);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
	set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)USER_TIMEOUT_MS);
}

/* pptpd-admin.socket's, or what is kept of it. */
static bool
is_status(int fd)
{
	return sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, NULL, 0) > 0;
}

static int
from_systemd(int ret_fd[UNIT_MAX], char why[LISTEN_WHY_MAX])
{
	const char *name[GIVEN_MAX];
	int given[GIVEN_MAX], used = 0;
	int n = store_others(given, name, GIVEN_MAX);

	for (int i = 0; i < n; i++) {
		int fd = i < GIVEN_MAX ? given[i] : -1;

		if (fd >= 0 && is_status(fd))
			continue;
		if (fd < 0 || used == UNIT_MAX ||
		    sd_is_socket_inet(fd, AF_INET, SOCK_STREAM, 1, 0) <= 0) {
			snprintf(why, LISTEN_WHY_MAX, "descriptor %d from "
			    "systemd is not a listening IPv4 TCP socket (PPTP "
			    "has no IPv6), or there are more than %d: see "
			    "ListenStream= in pptpd.socket", fd, UNIT_MAX);
			return -1;
		}
		listen_tune(fd);
		/* systemd passes them blocking; we accept until EAGAIN. */
		if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0) {
			snprintf(why, LISTEN_WHY_MAX, "descriptor %d from "
			    "systemd: %s", fd, strerror(errno));
			return -1;
		}
		ret_fd[used++] = fd;
	}
	return used;
}

/* --- the port during a restart ------------------------------------------- */

/* Two descriptors of one socket? */
static bool
is_same(int a, int b)
{
	uint64_t of_a = 0, of_b = 1;
	socklen_t len = sizeof(of_a);

	return getsockopt(a, SOL_SOCKET, SO_COOKIE, &of_a, &len) == 0 &&
	    getsockopt(b, SOL_SOCKET, SO_COOKIE, &of_b, &len) == 0 &&
	    of_a == of_b;
}

static void
device_of(int fd, char ret[IF_NAMESIZE])
{
	socklen_t len = IF_NAMESIZE;

	memset(ret, 0, IF_NAMESIZE);
	(void)getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ret, &len);
}

/* Do clients who come to given come to kept as well?  given will be bound to
 * the VRF. */
static bool
is_for_same(const struct conf *conf, int kept, int given)
{
	char of_kept[IF_NAMESIZE], of_given[IF_NAMESIZE];
	struct sockaddr_in a = { 0 }, b = { 0 };
	socklen_t len = sizeof(a);

	device_of(kept, of_kept);
	device_of(given, of_given);
	return strcmp(of_kept, conf->vrf ? conf->vrf : of_given) == 0 &&
	    sd_is_socket_inet(kept, AF_INET, SOCK_STREAM, 1, 0) > 0 &&
	    getsockname(kept, (struct sockaddr *)&a, &len) == 0 &&
	    getsockname(given, (struct sockaddr *)&b, &len) == 0 &&
	    a.sin_addr.s_addr == b.sin_addr.s_addr &&
	    a.sin_port == b.sin_port;
}

/* Of the sockets at this place, which may be several because of ReusePort=,
 * the first gets all clients. */
static bool
make_first(int fd)
{
	struct sock_filter first = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &first };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
	    sizeof(program)) == 0;
}

/*
 * A restart, by hand or after a kill, is one of pptpd.socket too, for stop to
 * close the port: systemd closes its sockets and binds others.  So the first
 * ones are kept, and go on to take the clients; systemd's later ones, which
 * ReusePort= lets it bind beside them, get none.  Adds those kept to the n
 * that systemd gave; returns how many there are.
 */
static int
keep_open(const struct conf *conf, int fd[LISTEN_MAX], int n)
{
	bool is_kept[UNIT_MAX] = { false }, used[UNIT_MAX] = { false };
	uint32_t number = 0;
	int all = n, reuse;
	long k;

	while ((k = store_last(STORE_LISTEN)) >= 0) {
		int kept = store_take(STORE_LISTEN, (uint32_t)k), i = 0;

		while (i < n && !is_for_same(conf, kept, fd[i]))
			i++;
		if (i == n || is_kept[i] || k >= UNIT_MAX) {
			store_remove(STORE_LISTEN, (uint32_t)k);
			close(kept);
			continue;
		}
		is_kept[i] = used[k] = true;
		if (!is_same(kept, fd[i]))
			fd[all++] = kept;
	}
	for (int i = 0; i < n; i++) {
		socklen_t len = sizeof(reuse);

		/* Else systemd could not bind another one beside it. */
		if (is_kept[i] || getsockopt(fd[i], SOL_SOCKET, SO_REUSEPORT,
		    &reuse, &len) < 0 || !reuse || !make_first(fd[i]))
			continue;
		while (used[number])
			number++;
		used[number] = true;
		store_put(STORE_LISTEN, number, fd[i]);
	}
	return all;
}

/* Is one of them bound to the address of listen, or to all? */
static bool
any_serves(const struct conf *conf, const int *fd, int n)
{
	for (int i = 0; i < n; i++) {
		struct sockaddr_in sin;
		socklen_t len = sizeof(sin);

		if (getsockname(fd[i], (struct sockaddr *)&sin, &len) == 0 &&
		    (sin.sin_addr.s_addr == conf->listen.s_addr ||
		    sin.sin_addr.s_addr == htonl(INADDR_ANY)))
			return true;
	}
	return false;
}

static int
own_socket(const struct conf *conf, char why[LISTEN_WHY_MAX])
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_port = htons(conf->port), .sin_addr = conf->listen };
	char ip[INET_ADDRSTRLEN];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);

	inet_ntop(AF_INET, &conf->listen, ip, sizeof(ip));
	if (fd < 0) {
		snprintf(why, LISTEN_WHY_MAX, "TCP socket: %s",
		    strerror(errno));
		return -1;
	}
	if (conf->vrf && vrf_bind(fd, conf->vrf, why, LISTEN_WHY_MAX) < 0) {
		close(fd);
		return -1;
	}
	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	listen_tune(fd);
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	if (errno == EADDRINUSE)
		snprintf(why, LISTEN_WHY_MAX, "TCP port %u of %s is taken by "
		    "another program: find it with ss -ltnp 'sport = :%u' and "
		    "stop it, or choose another address with listen",
		    conf->port, ip, conf->port);
	else if (errno == EADDRNOTAVAIL)
		snprintf(why, LISTEN_WHY_MAX, "no interface of this host has "
		    "the address %s that listen names", ip);
	else
		snprintf(why, LISTEN_WHY_MAX, "listening on %s port %u: %s",
		    ip, conf->port, strerror(errno));
	close(fd);
	return -1;
}

/* The one that an earlier launcher opened, if it is where conf wants it. */
static int
kept_socket(const struct conf *conf)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	int fd = store_take(STORE_LISTEN, 0);

	if (fd < 0)
		return -1;
	if (sd_is_socket_inet(fd, AF_INET, SOCK_STREAM, 1, conf->port) > 0 &&
	    getsockname(fd, (struct sockaddr *)&sin, &len) == 0 &&
	    sin.sin_addr.s_addr == conf->listen.s_addr)
		return fd;
	store_remove(STORE_LISTEN, 0);
	close(fd);
	return -1;
}

int
listen_sockets(const struct conf *conf, int ret_fd[LISTEN_MAX],
    char why[LISTEN_WHY_MAX])
{
	int n = from_systemd(ret_fd, why);

	if (n > 0 && conf->listen_set && !any_serves(conf, ret_fd, n))
		log_warn("MGR: no socket that systemd hands over can get a "
		    "connection to the address that listen names, and those "
		    "to others are refused: ListenStream= in pptpd.socket "
		    "names other addresses (systemctl daemon-reload, then "
		    "restart pptpd.socket, after a change of listen)");
	if (n < 0)
		return n;
	if (n > 0)
		return keep_open(conf, ret_fd, n);
	if (getenv(LISTEN_NONE)) {
		log_notice("MGR: not listening: inetd, or a socket unit with "
		    "Accept=yes, has the port and hands clients over");
		return 0;
	}
	if (getenv("NOTIFY_SOCKET"))
		log_notice("MGR: systemd handed over no socket (is "
		    "pptpd.socket masked, or did it fail?): opening one as "
		    "pptpd.conf says");
	ret_fd[0] = kept_socket(conf);
	if (ret_fd[0] < 0)
		ret_fd[0] = own_socket(conf, why);
	if (ret_fd[0] < 0)
		return -1;
	store_put(STORE_LISTEN, 0, ret_fd[0]);
	return 1;
}

void
listen_status_path(const char *pidfile, char *ret, size_t size)
{
	/* /var/run is /run. */
	if (!pidfile[0] || strcmp(pidfile, CONF_DEFAULT_PIDFILE) == 0 ||
	    strcmp(pidfile, CONF_DEFAULT_PIDFILE + strlen("/var")) == 0)
		snprintf(ret, size, "%s", STATUS_PATH);
	else
		snprintf(ret, size, "%s.control", pidfile);
}

static int
make_parent(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	return mkdir(dir, 0755) < 0 && errno != EEXIST ? -1 : 0;
}

/* Does who connects to path come to fd? */
static bool
is_at(int fd, const char *path)
{
	return sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, path, 0) > 0 &&
	    access(path, F_OK) == 0;
}

static int
own_status(const char *path, char why[LISTEN_WHY_MAX])
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	mode_t mask;
	int fd, r;

	memcpy(sun.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (fd < 0 || make_parent(path) < 0)
		goto fail;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0) {
		snprintf(why, LISTEN_WHY_MAX, "another pptpctrl is running: "
		    "it answers on %s; stop it, or give this one its own "
		    "configuration and pid file (-c, -p)", path);
		close(fd);
		return -1;
	}
	unlink(path);
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&sun, sizeof(sun));
	umask(mask);
	if (r == 0 && listen(fd, 64) == 0)
		return fd;
fail:
	snprintf(why, LISTEN_WHY_MAX, "status socket %s: %s", path,
	    strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Those of pptpd-admin.socket. */
static int
status_from_systemd(int ret_fd[LISTEN_STATUS_MAX])
{
	const char *name[GIVEN_MAX];
	int given[GIVEN_MAX], used = 0;
	int n = store_others(given, name, GIVEN_MAX);

	for (int i = 0; i < n && i < GIVEN_MAX; i++)
		if (is_status(given[i]) && used < LISTEN_STATUS_MAX - 2 &&
		    fcntl(given[i], F_SETFL, O_RDWR | O_NONBLOCK) == 0)
			ret_fd[used++] = given[i];
	return used;
}

int
listen_status(const char *path, int ret_fd[LISTEN_STATUS_MAX],
    char why[LISTEN_WHY_MAX])
{
	int n = status_from_systemd(ret_fd), current = -1;
	int kept = store_take(STORE_STATUS, 0);

	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		snprintf(why, LISTEN_WHY_MAX, "status socket %s: path longer "
		    "than %zu bytes", path,
		    sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
		return -1;
	}
	for (int i = 0; i < n; i++)
		if (is_at(ret_fd[i], path))
			current = ret_fd[i];
	if (kept >= 0 && current >= 0 && is_same(kept, current))
		return n;
	if (kept >= 0 && is_status(kept)) {
		/* Who has come to it already waits there. */
		ret_fd[n++] = kept;
		if (current < 0 && is_at(kept, path))
			current = kept;
	}
	if (current < 0)
		current = ret_fd[n++] = own_status(path, why);
	if (current < 0)
		return -1;
	store_put(STORE_STATUS, 0, current);
	return n;
}
