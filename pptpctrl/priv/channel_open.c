/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/channel_open.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/if_pppox.h>
#include <linux/ppp-ioctl.h>

#define SOCKET_BUF	(4 << 20)	/* some 2000 full frames */
#define LOOPBACK_TEST_MS 1000
#define ID_TRIES	16

static void
set_int(int fd, int level, int option, int value)
{
	/* A missing option costs speed or comfort, never correctness. */
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

static void
big_buffers(int fd)
{
	set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUF);
	set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUF);
}

/* Does the tunnel lie on the fast path's device? */
static bool
on_device(const struct tunnel *t)
{
	return t->near.s_addr != 0;
}

static int
udp_socket(const struct tunnel *t, struct sockaddr_in *ret_name)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(*ret_name);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (on_device(t))
		sin.sin_addr = t->near;
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 ||
	    getsockname(fd, (struct sockaddr *)ret_name, &len) < 0) {
		close(fd);
		return -1;
	}
	big_buffers(fd);
	return fd;
}

static bool
lo_is_up(int fd)
{
	struct ifreq ifr;

	memset(&ifr, 0, sizeof(ifr));
	memcpy(ifr.ifr_name, "lo", 3);
	return ioctl(fd, SIOCGIFFLAGS, &ifr) == 0 &&
	    (ifr.ifr_flags & IFF_UP);
}

/* One datagram from a to b within the time; stray ones are read away. */
static bool
crosses(int a, int b)
{
	struct pollfd pfd = { .fd = b, .events = POLLIN };
	uint8_t out[16], in[16];

	if (getrandom(out, sizeof(out), 0) != sizeof(out) ||
	    send(a, out, sizeof(out), MSG_NOSIGNAL) != sizeof(out))
		return false;
	while (poll(&pfd, 1, LOOPBACK_TEST_MS) == 1) {
		ssize_t n = recv(b, in, sizeof(in), 0);

		if (n == sizeof(in) && memcmp(in, out, sizeof(in)) == 0)
			return true;
		if (n < 0 && errno != EAGAIN && errno != ECONNREFUSED)
			return false;
	}
	return false;
}

/* Only l2tp_core's receive path ever sees the tunnel's datagrams, and it
 * wants the two ids; the management socket may go once the tunnel stands. */
static int
make_tunnel(struct tunnel *t)
{
	struct sockaddr_pppol2tp sa;
	int fd = socket(AF_PPPOX, SOCK_DGRAM | SOCK_CLOEXEC, PX_PROTO_OL2TP);
	int saved;

	if (fd < 0)
		return -1;
	for (int i = 0; i < ID_TRIES; i++) {
		uint16_t id;

		if (getrandom(&id, sizeof(id), 0) != sizeof(id) || id == 0)
			continue;
		memset(&sa, 0, sizeof(sa));
		sa.sa_family = AF_PPPOX;
		sa.sa_protocol = PX_PROTO_OL2TP;
		sa.pppol2tp.fd = t->kernel_fd;
		sa.pppol2tp.s_tunnel = sa.pppol2tp.d_tunnel = id;
		if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0) {
			t->id = id;
			close(fd);
			return 0;
		}
		if (errno != EEXIST)
			break;
	}
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int
make_pair(struct tunnel *t, char why[CHANNEL_WHY_MAX])
{
	struct sockaddr_in k, r;
	socklen_t len = sizeof(r);

	t->kernel_fd = udp_socket(t, &k);
	if (t->kernel_fd < 0) {
		snprintf(why, CHANNEL_WHY_MAX, "no UDP socket on 127.0.0.1: "
		    "%s; is the loopback interface up? (ip link set lo up)",
		    strerror(errno));
		return -1;
	}
	if (t->relay_fd < 0)
		t->relay_fd = udp_socket(t, &r);
	else if (getsockname(t->relay_fd, (struct sockaddr *)&r, &len) < 0)
		return -1;
	if (on_device(t)) {
		/* The programs write no checksum and take none. */
		set_int(t->kernel_fd, SOL_SOCKET, SO_NO_CHECK, 1);
		/* By another one they know what they forwarded. */
		set_int(t->relay_fd, IPPROTO_IP, IP_TTL, 64);
		k.sin_addr = r.sin_addr = t->far;
	}
	if (t->relay_fd < 0 ||
	    connect(t->kernel_fd, (struct sockaddr *)&r, sizeof(r)) < 0 ||
	    connect(t->relay_fd, (struct sockaddr *)&k, sizeof(k)) < 0) {
		snprintf(why, CHANNEL_WHY_MAX, "UDP pair on 127.0.0.1: %s",
		    strerror(errno));
		return -1;
	}
	return 0;
}

static int
test_pair(const struct tunnel *t, char why[CHANNEL_WHY_MAX])
{
	if (!on_device(t) && !lo_is_up(t->kernel_fd)) {
		snprintf(why, CHANNEL_WHY_MAX, "the loopback interface lo is "
		    "down; bring it up with: ip link set lo up");
		return -1;
	}
	if (crosses(t->relay_fd, t->kernel_fd) &&
	    crosses(t->kernel_fd, t->relay_fd))
		return 0;
	if (on_device(t)) {
		snprintf(why, CHANNEL_WHY_MAX, "UDP on its device pptpctl0 "
		    "does not get through: a firewall drops it; accept "
		    "everything there (iptables -I INPUT -i pptpctl+ -j "
		    "ACCEPT; iptables -I OUTPUT -o pptpctl+ -j ACCEPT, or "
		    "the same in nftables)");
		return -1;
	}
	snprintf(why, CHANNEL_WHY_MAX, "UDP from 127.0.0.1 to 127.0.0.1 does "
	    "not get through: a firewall drops it on lo; accept everything "
	    "on lo (iptables -I INPUT -i lo -j ACCEPT; iptables -I OUTPUT "
	    "-o lo -j ACCEPT, or the same in nftables)");
	return -1;
}

int
tunnel_open(struct tunnel *t, char why[CHANNEL_WHY_MAX])
{
	bool keep_relay = t->relay_fd >= 0;

	why[0] = '\0';
	if (t->kernel_fd >= 0)
		close(t->kernel_fd);
	t->kernel_fd = -1;
	/* A tunnel rebuilt under calls shares relay_fd with the worker, which
	 * would eat the test's datagrams: the pair was tested at start. */
	if (make_pair(t, why) < 0 || (!keep_relay && test_pair(t, why) < 0))
		goto fail;
	if (make_tunnel(t) == 0)
		return 0;
	if (errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT)
		snprintf(why, CHANNEL_WHY_MAX, "the kernel has no PPP over "
		    "L2TP: module l2tp_ppp is not there (Debian: package "
		    "linux-image-amd64 has it, the cloud kernel does not; "
		    "Red Hat: kernel-modules-extra)");
	else
		snprintf(why, CHANNEL_WHY_MAX, "L2TP tunnel on 127.0.0.1: %s",
		    strerror(errno));
fail:
	close(t->kernel_fd);
	t->kernel_fd = -1;
	if (!keep_relay && t->relay_fd >= 0) {
		close(t->relay_fd);
		t->relay_fd = -1;
	}
	return -1;
}

/* Is a's peer b, on the device with b's address turned round? */
static bool
points_to(const struct tunnel *t, int a, int b)
{
	struct sockaddr_in peer, name;
	socklen_t peer_len = sizeof(peer), name_len = sizeof(name);

	return getpeername(a, (struct sockaddr *)&peer, &peer_len) == 0 &&
	    getsockname(b, (struct sockaddr *)&name, &name_len) == 0 &&
	    peer.sin_port == name.sin_port &&
	    peer.sin_addr.s_addr == (on_device(t) ? t->far.s_addr :
	    name.sin_addr.s_addr);
}

void
tunnel_locate(struct tunnel *t)
{
	struct sockaddr_in name, peer;
	socklen_t name_len = sizeof(name), peer_len = sizeof(peer);

	if (getsockname(t->kernel_fd, (struct sockaddr *)&name,
	    &name_len) < 0 || getpeername(t->kernel_fd,
	    (struct sockaddr *)&peer, &peer_len) < 0 ||
	    name.sin_addr.s_addr == htonl(INADDR_LOOPBACK))
		return;
	t->near = name.sin_addr;
	t->far = peer.sin_addr;
}

static int
turn_to(int fd, int other, struct in_addr far)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	if (getsockname(other, (struct sockaddr *)&sin, &len) < 0)
		return -1;
	sin.sin_addr = far;
	return connect(fd, (struct sockaddr *)&sin, sizeof(sin));
}

int
tunnel_move(struct tunnel *t, struct in_addr far)
{
	t->far = far;
	return turn_to(t->kernel_fd, t->relay_fd, far) < 0 ||
	    turn_to(t->relay_fd, t->kernel_fd, far) < 0 ? -1 : 0;
}

bool
tunnel_alive(const struct tunnel *t)
{
	return points_to(t, t->kernel_fd, t->relay_fd) &&
	    points_to(t, t->relay_fd, t->kernel_fd);
}

void
tunnel_close(struct tunnel *t)
{
	if (t->kernel_fd >= 0)
		close(t->kernel_fd);
	if (t->relay_fd >= 0)
		close(t->relay_fd);
	t->kernel_fd = t->relay_fd = -1;
}

/* From PPPIOCGCHAN on the channel keeps the newest frames; before it they
 * would go to a queue that nobody reads. */
static int
bind_channel(int fd)
{
	int index;

	return ioctl(fd, PPPIOCGCHAN, &index);
}

static int
close_errno(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return -1;
}

int
tunnel_session(const struct tunnel *t, uint16_t call)
{
	struct sockaddr_pppol2tp sa;
	int fd = socket(AF_PPPOX, SOCK_DGRAM | SOCK_CLOEXEC, PX_PROTO_OL2TP);

	if (fd < 0)
		return -1;
	memset(&sa, 0, sizeof(sa));
	sa.sa_family = AF_PPPOX;
	sa.sa_protocol = PX_PROTO_OL2TP;
	sa.pppol2tp.fd = t->kernel_fd;
	sa.pppol2tp.s_tunnel = sa.pppol2tp.d_tunnel = (uint16_t)t->id;
	sa.pppol2tp.s_session = sa.pppol2tp.d_session = call;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    bind_channel(fd) < 0)
		return close_errno(fd);
	return fd;
}

int
pty_open(int *ret_master, int *ret_slave)
{
	struct termios tio;
	int master, slave;

	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (master < 0)
		return -1;
	if (grantpt(master) < 0 || unlockpt(master) < 0)
		return close_errno(master);
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return close_errno(master);
	/* Raw before the first byte: an echo would look like a loop. */
	if (tcgetattr(slave, &tio) == 0) {
		cfmakeraw(&tio);
		tio.c_cflag |= CLOCAL | CREAD | HUPCL;
		if (tcsetattr(slave, TCSANOW, &tio) == 0) {
			*ret_master = master;
			*ret_slave = slave;
			return 0;
		}
	}
	close_errno(slave);
	return close_errno(master);
}

int
pptp_socket(uint16_t call, struct in_addr own, uint16_t peer_call,
    struct in_addr peer)
{
	struct sockaddr_pppox src, dst;
	int fd = socket(AF_PPPOX, SOCK_STREAM | SOCK_CLOEXEC, PX_PROTO_PPTP);

	if (fd < 0)
		return -1;
	memset(&src, 0, sizeof(src));
	src.sa_family = AF_PPPOX;
	src.sa_protocol = PX_PROTO_PPTP;
	dst = src;
	src.sa_addr.pptp.call_id = call;	/* host order, oddly */
	src.sa_addr.pptp.sin_addr = own;
	dst.sa_addr.pptp.call_id = peer_call;
	dst.sa_addr.pptp.sin_addr = peer;
	if (bind(fd, (struct sockaddr *)&src, sizeof(src)) < 0 ||
	    connect(fd, (struct sockaddr *)&dst, sizeof(dst)) < 0 ||
	    bind_channel(fd) < 0)
		return close_errno(fd);
	return fd;
}

/* Never DF: a hop with a smaller MTU fragments, as Windows' does. */
static void
may_fragment(int fd)
{
	set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
}

int
gre_socket(void)
{
	/* IP header first: X = its length, then flags and protocol type. */
	static const struct sock_filter code[] = {
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 0),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x2007),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x2001, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x880b, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0x40000),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	union {
		const struct sock_filter *in;
		struct sock_filter *out;
	} u = { .in = code };
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]),
	    .filter = u.out };
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    IPPROTO_GRE);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
	    sizeof(prog)) < 0)
		return close_errno(fd);
	set_int(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
	big_buffers(fd);
	may_fragment(fd);
	return fd;
}

int
gre_send_socket(void)
{
	/* Bound to where nothing comes, it costs nothing per packet.  The
	 * source of what it sends is given with each. */
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    IPPROTO_GRE);

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		return close_errno(fd);
	big_buffers(fd);
	may_fragment(fd);
	return fd;
}
