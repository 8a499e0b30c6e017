/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/launch.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "priv/inherit.h"
#include "priv/offload.h"
#include "priv/pppd.h"
#include "priv/probe.h"
#include "priv/store.h"
#include "priv/vrf.h"
#include "req.h"

#define THREADS_AUTO	4u	/* what one thread can receive for */

static void
warn_weak(uint32_t flags, const struct conf *conf)
{
	const char *file = conf->option ? conf->option : "/etc/ppp/options";
	uint32_t weak = flags & (EV_F_AUTH_PAP | EV_F_AUTH_CHAP_MD5 |
	    EV_F_AUTH_MSCHAP);

	if (flags & EV_F_AUTH_MSCHAPV2)
		log_warn("MGR: MS-CHAPv2, the best login that PPTP has, is "
		    "broken since 2012: whoever records one can compute its "
		    "key and read the call; see pptpd(8)");
	if (!(flags & EV_F_AUTH_REQUIRED))
		log_warn("MGR: %s lets clients in without a password: add "
		    "require-mschap-v2", file);
	else if (weak)
		log_warn("MGR: %s lets clients use %s, which can be read or "
		    "broken at once: allow require-mschap-v2 only", file,
		    weak & EV_F_AUTH_PAP ? "PAP" :
		    weak & EV_F_AUTH_CHAP_MD5 ? "CHAP-MD5" : "MS-CHAPv1");
	if (!(flags & EV_F_MPPE_REQUIRED))
		log_warn("MGR: %s lets clients in without encryption: add "
		    "require-mppe-128", file);
}

static int
check_pppd(struct launch *l, char why[LAUNCH_WHY_MAX])
{
	const struct conf *conf = l->conf;
	int channel, other, r;

	if (probe_channel(l->path, &l->tunnel, &channel, &other, why) < 0)
		return -1;
	r = pppd_check(conf, channel, &l->option_flags, why);
	close(channel);
	if (other >= 0)
		close(other);
	if (r < 0)
		return -1;
	if (why[0])
		log_warn("MGR: %s", why);
	if ((l->option_flags & EV_F_MPPE_REQUIRED) && probe_mppe(why) < 0)
		return -1;
	if (conf->logwtmp && !(l->option_flags & EV_F_WTMP))
		log_notice("MGR: logwtmp: there is neither a file "
		    "/var/log/wtmp nor a library libwtmpdb.so.0: logins are "
		    "not recorded (create the one, install the other, or "
		    "remove the keyword)");
	warn_weak(l->option_flags, conf);
	return 0;
}

static int
check_files(const struct conf *conf, char why[LAUNCH_WHY_MAX])
{
	if (conf->option && access(conf->option, R_OK) < 0) {
		snprintf(why, LAUNCH_WHY_MAX, "PPP options file %s not "
		    "readable: %s (keyword option in %s)", conf->option,
		    strerror(errno), conf->file);
		return -1;
	}
	if (access(conf->ppp, X_OK) < 0) {
		snprintf(why, LAUNCH_WHY_MAX, "PPP binary %s not executable: "
		    "%s (install package ppp, or set keyword ppp)",
		    conf->ppp, strerror(errno));
		return -1;
	}
	return probe_ppp(why);
}

int
launch_check(struct launch *l, char why[LAUNCH_WHY_MAX])
{
	return check_files(l->conf, why) < 0 ? -1 : check_pppd(l, why);
}

/* The tunnel on the fast path's device.  0, or -1 with why when there is no
 * fast path. */
static int
open_offload(struct launch *l, char why[CHANNEL_WHY_MAX])
{
	if (l->conf->vrf) {
		snprintf(why, CHANNEL_WHY_MAX, "it knows no ways in a VRF");
		return -1;
	}
	l->offload = offload_open(&l->tunnel, false, why);
	if (!l->offload)
		return -1;
	if (tunnel_open(&l->tunnel, why) == 0) {
		offload_tunnel(l->offload);
		l->path = CONF_DP_RELAY;
		return 0;
	}
	offload_close(l->offload);
	l->offload = NULL;
	l->tunnel = (struct tunnel)TUNNEL_INIT;
	return -1;
}

/* What a tunnel that was taken over needs. */
static void
resume_offload(struct launch *l)
{
	enum conf_offload want = l->conf->offload;
	char reason[CHANNEL_WHY_MAX];

	if (l->tunnel.near.s_addr == 0) {
		if (want != CONF_OFFLOAD_OFF)
			log_notice("MGR: relay-offload stays off until the "
			    "server is stopped and started");
		return;
	}
	l->offload = offload_open(&l->tunnel, want == CONF_OFFLOAD_OFF,
	    reason);
	if (l->offload) {
		offload_tunnel(l->offload);
		return;
	}
	log_err("MGR: relay-offload: %s: the calls are lost", reason);
	tunnel_close(&l->tunnel);
	l->tunnel = (struct tunnel)TUNNEL_INIT;
}

/* Where the configuration allows it and the path is still open. */
static bool
may_offload(const struct launch *l)
{
	enum conf_datapath path = l->path == CONF_DP_AUTO ?
	    l->conf->datapath : l->path;

	return l->conf->offload != CONF_OFFLOAD_OFF &&
	    l->tunnel.kernel_fd < 0 &&
	    (path == CONF_DP_AUTO || path == CONF_DP_RELAY);
}

/* The data path, and its sockets as far as they were not taken over. */
static int
open_path(struct launch *l, char why[LAUNCH_WHY_MAX])
{
	char reason[CHANNEL_WHY_MAX];

	why[0] = '\0';
	if (l->tunnel.kernel_fd >= 0)
		resume_offload(l);
	if (may_offload(l) && open_offload(l, reason) < 0) {
		if (l->conf->offload == CONF_OFFLOAD_ON) {
			snprintf(why, LAUNCH_WHY_MAX, "relay-offload on: %s",
			    reason);
			return -1;
		}
		log_notice("MGR: relay-offload off: %s", reason);
	}
	if (l->path == CONF_DP_AUTO &&
	    probe_datapath(l->conf, &l->tunnel, &l->path, why) < 0)
		return -1;
	if (why[0])
		log_warn("MGR: %s", why);
	if (l->path == CONF_DP_RELAY && l->tunnel.kernel_fd < 0 &&
	    tunnel_open(&l->tunnel, why) < 0)
		return -1;
	if (l->path == CONF_DP_KERNEL || l->gre_fd >= 0)
		return 0;
	l->gre_fd = gre_socket();
	if (l->gre_fd >= 0)
		return 0;
	snprintf(why, LAUNCH_WHY_MAX, "raw GRE socket: %s (needs "
	    "CAP_NET_RAW)", strerror(errno));
	return -1;
}

/* As many as there are CPUs, unless told otherwise; one is none. */
static unsigned
threads_wanted(const struct conf *conf)
{
	unsigned n = conf->limits.relay_threads.n;
	cpu_set_t cpus;

	if (n == 0 && sched_getaffinity(0, sizeof(cpus), &cpus) == 0) {
		n = (unsigned)CPU_COUNT(&cpus);
		n = n < THREADS_AUTO ? n : THREADS_AUTO;
	}
	return n > 1 ? n : 0;
}

/* For the worker's threads: a raw socket sends for one at a time.  With the
 * fast path the kernel uses the other CPUs, and the worker counts on its sends
 * being over when they return. */
static void
open_send(struct launch *l)
{
	unsigned n = threads_wanted(l->conf);
	int fd;

	while (l->gre_fd >= 0 && !l->offload && (unsigned)l->n_send < n) {
		fd = gre_send_socket();
		if (fd < 0) {
			log_warn("MGR: relay-threads: raw GRE socket %d: %s; "
			    "going on with fewer", l->n_send + 1,
			    strerror(errno));
			return;
		}
		l->send_fd[l->n_send++] = fd;
	}
}

/* Sockets that were handed over, and GRE. */
static int
enter_vrf(struct launch *l, char why[LAUNCH_WHY_MAX])
{
	const char *vrf = l->conf->vrf;

	if (!vrf)
		return 0;
	if (l->path == CONF_DP_KERNEL) {
		snprintf(why, LAUNCH_WHY_MAX, "vrf %s: the kernel's PPTP "
		    "sockets know no VRF; use datapath relay or tty", vrf);
		return -1;
	}
	for (int i = 0; i < l->n_listen; i++)
		if (vrf_bind(l->listen_fd[i], vrf, why, LAUNCH_WHY_MAX) < 0)
			return -1;
	for (int i = 0; i < l->n_send; i++)
		if (vrf_bind(l->send_fd[i], vrf, why, LAUNCH_WHY_MAX) < 0)
			return -1;
	return vrf_bind(l->gre_fd, vrf, why, LAUNCH_WHY_MAX);
}

static int
open_sockets(struct launch *l, char why[LAUNCH_WHY_MAX])
{
	l->n_listen = listen_sockets(l->conf, l->listen_fd, why);
	if (l->n_listen < 0)
		return -1;
	listen_status_path(l->conf->pidfile, l->status_path,
	    sizeof(l->status_path));
	l->n_status = listen_status(l->status_path, l->status_fd, why);
	if (l->n_status < 0 || open_path(l, why) < 0)
		return -1;
	open_send(l);
	return enter_vrf(l, why);
}

int
launch_prepare(struct launch *l, const struct conf *conf,
    char why[LAUNCH_WHY_MAX])
{
	uint32_t keys = REQ_KEYS(conf->connections);

	memset(l, 0, sizeof(*l));
	l->conf = conf;
	l->path = CONF_DP_AUTO;
	l->tunnel = (struct tunnel)TUNNEL_INIT;
	l->gre_fd = -1;
	l->table = (struct state)STATE_INIT;
	inherit_tables(l);
	if (conf->limits.most_open > 0 && keys > conf->limits.most_open)
		keys = conf->limits.most_open;
	if (store_last(STORE_TCP) > (long)keys)
		keys = (uint32_t)store_last(STORE_TCP);
	if (keep_init(&l->keep, keys) < 0) {
		snprintf(why, LAUNCH_WHY_MAX, "out of memory");
		return -1;
	}
	inherit_sockets(l);
	/* Calls have chosen a path. */
	if (conf->last_good && l->path == CONF_DP_AUTO) {
		snprintf(why, LAUNCH_WHY_MAX, "the configuration has errors, "
		    "see above, and there are no calls to go on with");
		return -1;
	}
	/* With calls to go on with, they come first: see worker_ready. */
	if (!l->inherits && check_files(conf, why) < 0)
		return -1;
	if (open_sockets(l, why) < 0)
		return -1;
	if (!l->inherits && check_pppd(l, why) < 0)
		return -1;
	if (l->tunnel.kernel_fd >= 0) {
		store_put(STORE_TUNNEL, 0, l->tunnel.kernel_fd);
		store_put(STORE_RELAY, 0, l->tunnel.relay_fd);
	}
	if (l->gre_fd >= 0)
		store_put(STORE_GRE, 0, l->gre_fd);
	return 0;
}
