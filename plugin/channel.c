/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The channel: a descriptor that our parent opened and connected, and what
 * pppd does with it.  Two kinds:
 *
 *  - a PPPoX socket (PPP over L2TP towards our relay, or the kernel's PPTP):
 *    the kernel hands over whole frames;
 *  - the slave of a pseudo terminal that carries async HDLC (RFC 1662).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ppp-ioctl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "plugin.h"

/*
 * LCP waits this long for the client to speak first.  Our parent starts pppd
 * when the client's first frame is in the channel already, so the time only
 * passes with clients that wait for us.
 */
#define LISTEN_MS	1000

/* Unix98 slaves have eight majors, devices.txt of the kernel. */
#define PTS_MAJOR_FIRST	136
#define PTS_MAJOR_LAST	143

/* The kernel drops longer async frames.  Some clients ignore our MRU, and
 * MPPE adds a few bytes. */
#define ASYNC_MRU	1600

/* pppd before 2.5.3 overruns its buffer with more: see tune.c. */
#define PEER_MRU_MAX	1500

static int channel_fd = -1;
static int channel_tty;
static int channel_ppp = -1;	/* /dev/ppp attached to it, pppd's */

static int
is_pts(int fd)
{
	struct stat st;

	return isatty(fd) && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
	    major(st.st_rdev) >= PTS_MAJOR_FIRST &&
	    major(st.st_rdev) <= PTS_MAJOR_LAST;
}

static int
is_pppox(int fd)
{
	int domain;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	    domain == AF_PPPOX;
}

const char *
pptp_channel_take(int fd)
{
	int tty, index;

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return "not an open descriptor";
	tty = is_pts(fd);
	if (!tty && !is_pppox(fd))
		return "neither a PPPoX socket nor a pseudo terminal's slave";
	/* Only a connected socket has a channel.  Asking also tells the
	 * kernel to keep arriving frames for PPP from now on. */
	if (!tty && ioctl(fd, PPPIOCGCHAN, &index) < 0)
		return errno == ENOTCONN ? "the socket is not connected" :
		    "the kernel has no PPP channel for it";
	channel_fd = fd;
	channel_tty = tty;
	return NULL;
}

int
pptp_channel_is_tty(void)
{
	return channel_tty;
}

static int
channel_connect(void)
{
	char speed[12];

	if (channel_fd < 0) {
		error("The PPTP call is over; it cannot be reopened");
		return -1;
	}
	if (pptp_events_start() < 0) {
		error("The PPTP server that started this call is gone");
		return -1;
	}
	listen_time = LISTEN_MS;
	/* As the tty channel does, which would ask the terminal. */
	baud_rate = inspeed;
	snprintf(speed, sizeof(speed), "%d", baud_rate);
	ppp_script_setenv("SPEED", speed, 0);
	return channel_fd;
}

/*
 * Our relay escapes only flag and escape characters, and does not care what
 * it gets escaped.  These ioctls go to the channel's /dev/ppp descriptor.
 */
static int
async_setup(void)
{
	ext_accm send_map = { [3] = 0x60000000u };	/* 7d and 7e */
	int receive_map = 0, mru = ASYNC_MRU;

	if (ioctl(channel_ppp, PPPIOCSXASYNCMAP, send_map) < 0 ||
	    ioctl(channel_ppp, PPPIOCSRASYNCMAP, &receive_map) < 0 ||
	    ioctl(channel_ppp, PPPIOCSMRU, &mru) < 0)
		return -1;
	return 0;
}

static int
set_discipline(int fd)
{
	int discipline = N_PPP;

	if (ioctl(fd, TIOCSETD, &discipline) == 0)
		return 0;
	error("Couldn't set PPP line discipline "
	    "(is there a module ppp_async?): %m");
	return -1;
}

static void
channel_disestablish(int fd)
{
	channel_ppp = -1;
	ppp_generic_disestablish(fd);
}

static int
channel_establish(int fd)
{
	if (channel_tty && set_discipline(fd) < 0)
		return -1;
	channel_ppp = ppp_generic_establish(fd);
	if (channel_ppp < 0)
		return -1;
	if (channel_tty && async_setup() < 0) {
		error("Couldn't clear the async character maps: %m");
		channel_disestablish(fd);
		return -1;
	}
	pptp_events_bound();
	return channel_ppp;
}

/*
 * The kernel's async driver reads LCP itself: what both sides acknowledge
 * becomes its character maps and its largest frame, which is too small for
 * MPPE's overhead.  pppd comes here when LCP is open, after that.
 *
 * There is nothing to do for packet channels, and no send_config at all: LCP
 * sets the interface's MTU itself, the smaller of ours and the peer's, and we
 * compress no headers.
 */
static void
async_again(void)
{
	if (channel_tty && channel_ppp >= 0 && async_setup() < 0)
		dbglog("async settings not renewed: %m");	/* hung up */
}

/* pppd takes over the peer's MRU, its limit for control frames, after this. */
static void
limit_peer_mru(void)
{
	if (lcp_hisoptions[0].neg_mru && lcp_hisoptions[0].mru > PEER_MRU_MAX)
		lcp_hisoptions[0].mru = PEER_MRU_MAX;
}

static void
channel_recv_config(int mru, uint32_t asyncmap, int pcomp, int accomp)
{
	(void)mru;
	(void)asyncmap;
	(void)pcomp;
	(void)accomp;
	async_again();
	limit_peer_mru();
}

/*
 * Called for disconnect, for cleanup (more than once) and in children.  We
 * hold the only copy: for the other end this is the end of the call.
 */
static void
channel_release(void)
{
	if (channel_fd >= 0)
		close(channel_fd);
	channel_fd = -1;
}

/* In each forked child: no script inherits the call. */
static void
channel_close(void)
{
	channel_release();
	pptp_events_close();
}

struct channel pptp_channel = {
	.options = pptp_tty_options,
	.process_extra_options = pptp_tune_names,
	.check_options = pptp_tune_options,
	.connect = channel_connect,
	.disconnect = channel_release,
	.establish_ppp = channel_establish,
	.disestablish_ppp = channel_disestablish,
	.send_config = NULL,
	.recv_config = channel_recv_config,
	.cleanup = channel_release,
	.close = channel_close,
};
