/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

#include <linux/if_pppox.h>
#include <linux/ppp-ioctl.h>


/* CCP option MPPE, stateless, 128 bits (RFC 3078 section 2). */
static const uint8_t mppe_128[] = { 18, 6, 0x01, 0, 0, 0x40 };

/* Which package has the PPP modules that this kernel lacks. */
static void
kernel_hint(char *hint, size_t size)
{
	struct utsname u;
	char modules[128];

	if (uname(&u) < 0) {
		snprintf(hint, size, "this kernel");
		return;
	}
	snprintf(modules, sizeof(modules), "/lib/modules/%.80s", u.release);
	if (strstr(u.release, "cloud"))
		snprintf(hint, size, "kernel %.80s is Debian's cloud kernel, "
		    "which has no PPP: install package linux-image-amd64 and "
		    "boot that one", u.release);
	else if (access(modules, F_OK) < 0)
		snprintf(hint, size, "%s is not there: the running kernel's "
		    "modules were removed or never installed (reboot after a "
		    "kernel upgrade, or install the package of kernel %.80s)",
		    modules, u.release);
	else
		snprintf(hint, size, "kernel %.80s was built without it, or "
		    "its modules package is not installed (Debian "
		    "linux-image-amd64, Ubuntu linux-modules-extra-%.80s, "
		    "Red Hat kernel-modules-extra)", u.release, u.release);
}

int
probe_ppp(char why[PROBE_WHY_MAX])
{
	char hint[400];
	int fd = open("/dev/ppp", O_RDWR | O_CLOEXEC);
	int error = errno;

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	kernel_hint(hint, sizeof(hint));
	if (error == ENOENT && access("/sys/class/ppp", F_OK) == 0)
		snprintf(why, PROBE_WHY_MAX, "/dev/ppp is not there though "
		    "the kernel has PPP: in a container, pass the device in "
		    "(--device /dev/ppp, or DeviceAllow and mknod /dev/ppp "
		    "c 108 0)");
	else if (error == ENOENT)
		snprintf(why, PROBE_WHY_MAX, "/dev/ppp is not there: %s; in "
		    "a container, load ppp_generic on the host and pass the "
		    "device in (mknod /dev/ppp c 108 0)", hint);
	else if (error == ENXIO || error == ENODEV)
		snprintf(why, PROBE_WHY_MAX, "module ppp_generic cannot be "
		    "loaded: %s", hint);
	else
		snprintf(why, PROBE_WHY_MAX, "/dev/ppp: %s (the server needs "
		    "root with CAP_NET_ADMIN, and the device must be allowed "
		    "to it)", strerror(error));
	return -1;
}

int
probe_mppe(char why[PROBE_WHY_MAX])
{
	uint8_t opt[32];
	struct ppp_option_data data = { .ptr = opt, .length = sizeof(opt),
	    .transmit = 1 };
	char hint[400];
	int unit = -1, fd = open("/dev/ppp", O_RDWR | O_CLOEXEC), r;

	if (fd < 0 || ioctl(fd, PPPIOCNEWUNIT, &unit) < 0) {
		snprintf(why, PROBE_WHY_MAX, "no ppp unit can be made: %s",
		    strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	/* The kernel wants the option followed by a key (RFC 3078). */
	memset(opt, 0, sizeof(opt));
	memcpy(opt, mppe_128, sizeof(mppe_128));
	data.length = sizeof(mppe_128) + 16;
	r = ioctl(fd, PPPIOCSCOMPRESS, &data);
	close(fd);
	if (r == 0)
		return 0;
	kernel_hint(hint, sizeof(hint));
	snprintf(why, PROBE_WHY_MAX, "the options require MPPE, and module "
	    "ppp_mppe cannot be loaded: %s", hint);
	return -1;
}

static bool
has_pptp(void)
{
	int fd = socket(AF_PPPOX, SOCK_STREAM | SOCK_CLOEXEC, PX_PROTO_PPTP);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int
probe_datapath(const struct conf *conf, struct tunnel *t,
    enum conf_datapath *ret_path, char why[PROBE_WHY_MAX])
{
	char reason[CHANNEL_WHY_MAX];

	why[0] = '\0';
	if (conf->datapath == CONF_DP_KERNEL) {
		if (has_pptp()) {
			*ret_path = CONF_DP_KERNEL;
			return 0;
		}
		snprintf(why, PROBE_WHY_MAX, "datapath kernel: module pptp "
		    "cannot be loaded (Debian: package linux-image-amd64 has "
		    "it, the cloud kernel does not); use datapath auto");
		return -1;
	}
	if (conf->datapath == CONF_DP_TTY) {
		*ret_path = CONF_DP_TTY;
		return 0;
	}
	if (tunnel_open(t, reason) == 0) {
		*ret_path = CONF_DP_RELAY;
		return 0;
	}
	if (conf->datapath == CONF_DP_RELAY) {
		snprintf(why, PROBE_WHY_MAX, "datapath relay: %s", reason);
		return -1;
	}
	snprintf(why, PROBE_WHY_MAX, "data path tty (slower) instead of "
	    "relay: %s", reason);
	*ret_path = CONF_DP_TTY;
	return 0;
}

/* pppd sets this line discipline, of module ppp_async, on the pty. */
static bool
has_async(int slave)
{
	int ppp = N_PPP, tty = N_TTY;

	return ioctl(slave, TIOCSETD, &ppp) == 0 &&
	    ioctl(slave, TIOCSETD, &tty) == 0;
}

int
probe_channel(enum conf_datapath path, const struct tunnel *t,
    int *ret_channel, int *ret_other, char why[PROBE_WHY_MAX])
{
	struct in_addr lo = { .s_addr = htonl(INADDR_LOOPBACK) };
	int fd = -1;

	*ret_other = -1;
	/* Any free number will do: it is given back at once. */
	for (int i = 0; i < 16 && fd < 0; i++) {
		uint16_t id;

		if (getrandom(&id, sizeof(id), 0) != sizeof(id) || id == 0)
			continue;
		if (path == CONF_DP_RELAY)
			fd = tunnel_session(t, id);
		else if (path == CONF_DP_KERNEL)
			fd = pptp_socket(id, lo, id, lo);
		else if (pty_open(ret_other, &fd) < 0)
			fd = -1;
		if (fd < 0 && errno != EEXIST && errno != EBUSY)
			break;
	}
	if (fd < 0) {
		snprintf(why, PROBE_WHY_MAX, "datapath %s: no channel: %s",
		    conf_datapath_name(path), strerror(errno));
		return -1;
	}
	if (path == CONF_DP_TTY && !has_async(fd)) {
		char hint[400];

		kernel_hint(hint, sizeof(hint));
		snprintf(why, PROBE_WHY_MAX, "datapath tty: module ppp_async "
		    "cannot be loaded: %s", hint);
		return -1;
	}
	*ret_channel = fd;
	return 0;
}
