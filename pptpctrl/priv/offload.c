/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/offload.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bpf/offload.h"
#include "log.h"
#include "priv/channel_open.h"
#include "priv/crossing.h"
#include "priv/rtnl.h"
#include "priv/store.h"

#define INSTANCES	8	/* servers in one network namespace */
#define PORTS_MAX	64	/* interfaces by which clients come */
#define DEVICE_MTU	9000u
#define CPU_MASK_MAX	(CPU_SETSIZE / 32 * 9 + 1)
#define PRIORITY	0xbb00u	/* of our filters: after others' */
#define HANDLE		1u
#define NAME_IN		"pptpctrl_in"
#define SETTLE_US	300000u	/* a burst of changes is looked at once */
#define PROBE_US	2000000u	/* the device is probed so often, */
#define PROBE_AGAIN_US	500000u		/* or so after a failure */
#define PROBE_TRIES	3u	/* that fail in a row: it is shut */

/* In the store. */
enum kept { KEPT_NAME, KEPT_DEV, KEPT_CALL, KEPT_STATE };

static const char *const map_name[] = {
	[KEPT_DEV] = "dev_map",
	[KEPT_CALL] = "call_map",
	[KEPT_STATE] = "state_map",
};

/* The programs, as clang made them. */
extern const uint8_t offload_object[], offload_object_end[];
__asm__(".section .rodata\n"
    ".balign 8\n"
    ".globl offload_object, offload_object_end\n"
    "offload_object: .incbin \"" OFFLOAD_OBJECT "\"\n"
    "offload_object_end:\n"
    ".previous\n");

struct entry {
	uint16_t id;
	struct offload_call call;
};

struct offload {
	int instance;
	int lock_fd;
	int dev_fd, call_fd, state_fd;		/* maps */
	int in_fd, out_fd, queued_fd;		/* programs */
	struct offload_dev dev;
	struct offload_state *zero;	/* of call 0: what is for all */
	struct tunnel *tunnel;	/* borrowed */
	int ifindex;
	bool paused;		/* by the configuration */
	bool ipsec;		/* policies: nothing may go past them */
	bool shut;		/* the device lets nothing through */
	struct crossing crossing;
	unsigned missed;	/* probes, in a row */
	unsigned n_ports;
	int port[PORTS_MAX];
	sd_event *loop;
	sd_event_source *route_io, *ipsec_io, *timer, *probe_timer;
	bool settling;		/* the timer runs */
	unsigned n_calls, room;		/* entries, in no order */
	struct entry *calls;
};

static void
device_name(int instance, char name[IF_NAMESIZE])
{
	snprintf(name, IF_NAMESIZE, "pptpctl%d", instance);
}

/* --- filters ------------------------------------------------------------ */

/* Our place on an interface.  libbpf wants zeros between fields, too. */
static void
place_of(struct bpf_tc_hook *hook, struct bpf_tc_opts *opts, int ifindex,
    enum bpf_tc_attach_point point, int instance)
{
	memset(hook, 0, sizeof(*hook));
	memset(opts, 0, sizeof(*opts));
	hook->sz = sizeof(*hook);
	hook->ifindex = ifindex;
	hook->attach_point = point;
	opts->sz = sizeof(*opts);
	opts->handle = HANDLE;
	opts->priority = PRIORITY + (unsigned)instance;
}

static int
attach(const struct offload *o, int ifindex, enum bpf_tc_attach_point point,
    int prog_fd)
{
	struct bpf_tc_hook hook;
	struct bpf_tc_opts opts;
	int r;

	place_of(&hook, &opts, ifindex, point, o->instance);
	opts.prog_fd = prog_fd;
	opts.flags = BPF_TC_F_REPLACE;
	r = bpf_tc_hook_create(&hook);
	if (r < 0 && r != -EEXIST)
		return r;
	return bpf_tc_attach(&hook, &opts);
}

/* Only what we made ourselves, now or in a run before. */
static void
detach(const struct offload *o, int ifindex)
{
	struct bpf_tc_hook hook;
	struct bpf_tc_opts opts;

	place_of(&hook, &opts, ifindex, BPF_TC_INGRESS, o->instance);
	if (rtnl_has_filter(ifindex, (uint16_t)opts.priority, HANDLE,
	    NAME_IN))
		bpf_tc_detach(&hook, &opts);
}

static void
detach_all(const struct offload *o)
{
	struct if_nameindex *list = if_nameindex();

	for (struct if_nameindex *i = list; i && i->if_index; i++)
		detach(o, (int)i->if_index);
	if_freenameindex(list);
}

/* What a run that was killed left. */
static void
remove_stale(const struct offload *o)
{
	char name[IF_NAMESIZE];
	int ifindex;

	detach_all(o);
	device_name(o->instance, name);
	ifindex = (int)if_nametoindex(name);
	if (ifindex > 0)
		rtnl_delete(ifindex);
}

/* --- an interface by which clients come --------------------------------- */

/* Its MTU, or 0 when it is none that the programs can work on. */
static unsigned
usable(int ifindex)
{
	struct ifreq ifr;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned mtu = 0;

	memset(&ifr, 0, sizeof(ifr));
	if (fd < 0)
		return 0;
	if (if_indextoname((unsigned)ifindex, ifr.ifr_name) &&
	    ioctl(fd, SIOCGIFHWADDR, &ifr) == 0 &&
	    ifr.ifr_hwaddr.sa_family == ARPHRD_ETHER &&
	    ioctl(fd, SIOCGIFMTU, &ifr) == 0 && ifr.ifr_mtu > 0)
		mtu = (unsigned)ifr.ifr_mtu;
	close(fd);
	return mtu;
}

static bool
have_port(struct offload *o, int ifindex)
{
	char name[IF_NAMESIZE] = "?";
	int r;

	for (unsigned i = 0; i < o->n_ports; i++)
		if (o->port[i] == ifindex)
			return true;
	if (o->n_ports == PORTS_MAX || ifindex >= (int)OFFLOAD_BACK)
		return false;
	r = attach(o, ifindex, BPF_TC_INGRESS, o->in_fd);
	if_indextoname((unsigned)ifindex, name);
	if (r < 0) {
		log_warn("MGR: relay-offload: no program on %s: %s; its "
		    "calls are relayed in user space", name, strerror(-r));
		return false;
	}
	log_debug("MGR: relay-offload: attached to %s", name);
	o->port[o->n_ports++] = ifindex;
	return true;
}

/* Where do frames for this call go? */
static void
find_way(struct offload *o, struct offload_call *c)
{
	struct in_addr peer = { c->peer }, own = { c->own };
	struct rtnl_way way;
	unsigned mtu;

	c->ifindex = c->mtu = c->next = 0;
	if (rtnl_route(peer, own, &way) < 0)
		return;
	mtu = usable(way.ifindex);
	if (mtu == 0 || !have_port(o, way.ifindex))
		return;
	c->ifindex = (uint32_t)way.ifindex;
	c->next = way.next.s_addr;
	c->mtu = way.mtu > 0 && way.mtu < mtu ? way.mtu : mtu;
}

/* --- calls -------------------------------------------------------------- */

static struct entry *
find(struct offload *o, uint16_t id)
{
	for (unsigned i = 0; i < o->n_calls; i++)
		if (o->calls[i].id == id)
			return &o->calls[i];
	return NULL;
}

/* False: no memory, the call is relayed in user space. */
static bool
add(struct offload *o, uint16_t id, const struct offload_call *call)
{
	struct entry *more;

	if (o->n_calls == o->room) {
		more = reallocarray(o->calls, 2u * o->room + 16u,
		    sizeof(*more));
		if (!more)
			return false;
		o->calls = more;
		o->room = 2 * o->room + 16;
	}
	o->calls[o->n_calls++] = (struct entry){ .id = id, .call = *call };
	return true;
}

/* The hash of the queue of the i-th CPU: RPS takes it as a fraction of the
 * number of its CPUs. */
static uint32_t
hash_of(unsigned i, unsigned n_cpus)
{
	return (uint32_t)(((2ull * i + 1) << 31) / n_cpus) &
	    ~OFFLOAD_HASH_NOTE;
}

/* The CPU that is the place of the fewest calls; 0: there is none. */
static uint16_t
choose_home(const struct offload *o)
{
	unsigned calls[OFFLOAD_HOMES] = { 0 };
	uint16_t least = 0;

	for (unsigned i = 0; i < o->n_calls; i++)
		calls[o->calls[i].call.home % OFFLOAD_HOMES]++;
	for (uint16_t home = 1; home < OFFLOAD_HOMES; home++)
		if (o->dev.home_hash[home] != 0 &&
		    (least == 0 || calls[home] < calls[least]))
			least = home;
	return least;
}

static void
store(const struct offload *o, uint16_t id, const struct offload_call *call)
{
	uint32_t key = id;

	bpf_map_update_elem(o->call_fd, &key, call, BPF_ANY);
}

void
offload_call(struct offload *o, uint16_t id, struct in_addr peer,
    struct in_addr own, uint16_t peer_call)
{
	struct offload_call call = { .peer = peer.s_addr, .own = own.s_addr,
	    .peer_call = htons(peer_call) };
	struct offload_state fresh = { 0 };
	uint32_t key = id;

	if (!o)
		return;
	call.home = choose_home(o);
	call.hash = o->dev.home_hash[call.home];
	find_way(o, &call);
	/* An old call's numbers must not be this one's. */
	if (add(o, id, &call) && bpf_map_update_elem(o->state_fd, &key,
	    &fresh, BPF_ANY) == 0)
		store(o, id, &call);
}

void
offload_call_resume(struct offload *o, uint16_t id)
{
	struct offload_call call;
	uint32_t key = id;

	if (!o || bpf_map_lookup_elem(o->call_fd, &key, &call) < 0 ||
	    call.peer == 0)
		return;
	find_way(o, &call);
	if (!add(o, id, &call))
		memset(&call, 0, sizeof(call));
	store(o, id, &call);
}

void
offload_call_end(struct offload *o, uint16_t id)
{
	const struct offload_call none = { 0 };
	struct entry *e = o ? find(o, id) : NULL;

	if (!e)
		return;
	store(o, id, &none);
	*e = o->calls[--o->n_calls];
}

/* --- what changes around us --------------------------------------------- */

static void
store_dev(struct offload *o)
{
	uint32_t key = 0;

	o->dev.paused = o->paused || o->ipsec || o->shut;
	bpf_map_update_elem(o->dev_fd, &key, &o->dev, BPF_ANY);
}

/* GRE that IPsec is to protect must go through it. */
static void
look_at_ipsec(struct offload *o)
{
	bool now = rtnl_has_ipsec();

	if (now != o->ipsec)
		log_notice("MGR: relay-offload %s: %s", now ? "off" : "on",
		    now ? "there are IPsec policies, which the fast path "
		    "would go past" : "the IPsec policies are gone");
	o->ipsec = now;
	store_dev(o);
}

static int
on_settled(sd_event_source *src, uint64_t usec, void *arg)
{
	struct offload *o = arg;
	unsigned kept = 0;

	(void)src;
	(void)usec;
	o->settling = false;
	look_at_ipsec(o);
	/* An index is not used again soon; but a device that came back has
	 * another one. */
	for (unsigned i = 0; i < o->n_ports; i++)
		if (usable(o->port[i]) > 0)
			o->port[kept++] = o->port[i];
	o->n_ports = kept;
	for (unsigned i = 0; i < o->n_calls; i++) {
		find_way(o, &o->calls[i].call);
		store(o, o->calls[i].id, &o->calls[i].call);
	}
	return 0;
}

static int
on_change(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct offload *o = arg;
	char buf[16];	/* what changed is looked up anew */

	(void)src;
	(void)revents;
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		;
	/* Not put off by what comes meanwhile: that may never end. */
	if (o->settling)
		return 0;
	sd_event_source_disable_unref(o->timer);
	o->timer = NULL;
	o->settling = sd_event_add_time_relative(o->loop, &o->timer,
	    CLOCK_MONOTONIC, SETTLE_US, 1000, on_settled, o) >= 0;
	return 0;
}

/* The tunnel goes by lo while the device is shut, as without a fast path. */
static void
set_shut(struct offload *o, bool shut)
{
	struct in_addr near = { o->dev.near }, far = { o->dev.far };
	char name[IF_NAMESIZE];

	device_name(o->instance, name);
	o->shut = shut;
	if (shut)
		store_dev(o);
	if (tunnel_move(o->tunnel, shut ? near : far) < 0)
		log_err("MGR: relay-offload: moving the tunnel: %s",
		    strerror(errno));
	if (!shut) {
		store_dev(o);
		log_notice("MGR: relay-offload on: UDP on its device %s gets "
		    "through again", name);
		return;
	}
	__atomic_fetch_add(&o->zero->falls, 1, __ATOMIC_RELAXED);
	log_warn("MGR: relay-offload off: UDP on its device %s does not get "
	    "through any more: a firewall drops it; until it accepts "
	    "everything there, frames go by lo (iptables -I INPUT -i pptpctl+ "
	    "-j ACCEPT; iptables -I OUTPUT -o pptpctl+ -j ACCEPT, or the same "
	    "in nftables)", name);
}

static int
on_probe(sd_event_source *src, uint64_t usec, void *arg)
{
	struct offload *o = arg;

	(void)usec;
	o->missed = crossing_done(&o->crossing) ? 0 : o->missed + 1;
	if (o->shut ? o->missed == 0 : o->missed >= PROBE_TRIES)
		set_shut(o, !o->shut);
	crossing_send(&o->crossing);
	sd_event_source_set_time_relative(src, o->missed > 0 && !o->shut ?
	    PROBE_AGAIN_US : PROBE_US);
	return sd_event_source_set_enabled(src, SD_EVENT_ONESHOT);
}

static int
watch_device(struct offload *o)
{
	struct in_addr near = { o->dev.near }, far = { o->dev.far };

	if (crossing_open(&o->crossing, near, far) < 0)
		return -errno;
	crossing_send(&o->crossing);
	return sd_event_add_time_relative(o->loop, &o->probe_timer,
	    CLOCK_MONOTONIC, PROBE_US, 0, on_probe, o);
}

static int
watch(struct offload *o, bool ipsec, sd_event_source **ret_io)
{
	int fd = rtnl_monitor(ipsec), r;

	if (fd < 0)
		return -errno;
	r = sd_event_add_io(o->loop, ret_io, fd, EPOLLIN, on_change, o);
	if (r < 0)
		close(fd);
	else
		sd_event_source_set_io_fd_own(*ret_io, 1);
	return r;
}

int
offload_watch(struct offload *o, sd_event *loop)
{
	int r;

	if (!o)
		return 0;
	o->loop = loop;
	/* A kernel without IPsec has no policies to watch. */
	(void)watch(o, true, &o->ipsec_io);
	r = watch(o, false, &o->route_io);
	if (r >= 0)
		r = watch_device(o);
	look_at_ipsec(o);
	return r;
}

/* --- start and end ------------------------------------------------------ */

#define LOCK_NAME	"pptpctrl/offload/%d"

/* The name that was ours before we were started again. */
static bool
kept_instance(struct offload *o)
{
	struct sockaddr_un sun = { 0 };
	socklen_t len = sizeof(sun) - 1;
	int fd = store_take(STORE_OFFLOAD, KEPT_NAME);

	if (fd < 0)
		return false;
	if (getsockname(fd, (struct sockaddr *)&sun, &len) == 0 &&
	    sscanf(sun.sun_path + 1, LOCK_NAME, &o->instance) == 1 &&
	    o->instance >= 0 && o->instance < INSTANCES) {
		o->lock_fd = fd;
		return true;
	}
	store_remove(STORE_OFFLOAD, KEPT_NAME);
	close(fd);
	return false;
}

/* Which of the possible servers here are we?  The name in the network
 * namespace is ours while the socket lives. */
static int
take_instance(struct offload *o)
{
	if (kept_instance(o))
		return 0;
	for (int i = 0; i < INSTANCES; i++) {
		struct sockaddr_un sun = { .sun_family = AF_UNIX };
		int n = snprintf(sun.sun_path + 1, sizeof(sun.sun_path) - 1,
		    LOCK_NAME, i);

		o->lock_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (o->lock_fd < 0)
			return -1;
		if (bind(o->lock_fd, (struct sockaddr *)&sun,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
		    (size_t)n)) == 0) {
			o->instance = i;
			return 0;
		}
		close(o->lock_fd);
		o->lock_fd = -1;
	}
	errno = EADDRINUSE;
	return -1;
}

/* Maps that were kept go into the programs, or are of no use any more. */
static int
reuse_maps(struct bpf_object *obj, bool resume, char why[OFFLOAD_WHY_MAX])
{
	for (unsigned i = KEPT_DEV; i <= KEPT_STATE; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(obj,
		    map_name[i]);
		int fd = store_take(STORE_OFFLOAD, i);
		int r = fd >= 0 && resume ? bpf_map__reuse_fd(map, fd) : 0;

		if (fd >= 0) {
			store_remove(STORE_OFFLOAD, i);
			close(fd);
		}
		if (resume && (fd < 0 || r < 0)) {
			snprintf(why, OFFLOAD_WHY_MAX, "its maps were not "
			    "kept");
			return -1;
		}
	}
	return 0;
}

/* Copies: the object that they are taken from does not stay. */
static int
map_fd(const struct bpf_object *obj, enum kept which)
{
	int fd = fcntl(bpf_object__find_map_fd_by_name(obj, map_name[which]),
	    F_DUPFD_CLOEXEC, 3);

	if (fd >= 0)
		store_put(STORE_OFFLOAD, which, fd);
	return fd;
}

static int
prog_fd(const struct bpf_object *obj, const char *name)
{
	return fcntl(bpf_program__fd(bpf_object__find_program_by_name(obj,
	    name)), F_DUPFD_CLOEXEC, 3);
}

static int
load_object(struct offload *o, struct bpf_object *obj, bool resume,
    char why[OFFLOAD_WHY_MAX])
{
	struct bpf_program *p;
	int r;

	if (reuse_maps(obj, resume, why) < 0)
		return -1;
	bpf_object__for_each_program(p, obj)
		bpf_program__set_type(p, BPF_PROG_TYPE_SCHED_CLS);
	r = bpf_object__load(obj);
	if (r < 0) {
		snprintf(why, OFFLOAD_WHY_MAX, "the kernel does not take the "
		    "BPF programs: %s (it needs Linux 5.12 or later with "
		    "CONFIG_BPF_SYSCALL, and CAP_BPF, CAP_PERFMON and "
		    "CAP_NET_ADMIN)",
		    strerror(-r));
		return -1;
	}
	o->dev_fd = map_fd(obj, KEPT_DEV);
	o->call_fd = map_fd(obj, KEPT_CALL);
	o->state_fd = map_fd(obj, KEPT_STATE);
	o->in_fd = prog_fd(obj, NAME_IN);
	o->out_fd = prog_fd(obj, "pptpctrl_out");
	o->queued_fd = prog_fd(obj, "pptpctrl_queued");
	o->zero = mmap(NULL, sizeof(*o->zero), PROT_READ | PROT_WRITE,
	    MAP_SHARED, o->state_fd, 0);
	if (o->zero == MAP_FAILED || o->dev_fd < 0 || o->call_fd < 0 ||
	    o->in_fd < 0 || o->out_fd < 0 || o->queued_fd < 0) {
		snprintf(why, OFFLOAD_WHY_MAX, "its programs and maps: %s",
		    strerror(errno));
		return -1;
	}
	return 0;
}

static int
load(struct offload *o, bool resume, char why[OFFLOAD_WHY_MAX])
{
	struct bpf_object_open_opts opts;
	struct bpf_object *obj;
	int r;

	libbpf_set_print(NULL);
	memset(&opts, 0, sizeof(opts));
	opts.sz = sizeof(opts);
	opts.object_name = "pptpctrl";
	obj = bpf_object__open_mem(offload_object,
	    (size_t)(offload_object_end - offload_object), &opts);
	if (!obj) {
		snprintf(why, OFFLOAD_WHY_MAX, "libbpf does not read the "
		    "programs: %s", strerror(errno));
		return -1;
	}
	r = load_object(o, obj, resume, why);
	bpf_object__close(obj);
	return r;
}

/* Two neighbours of the link-local range, which nobody routes (RFC 3927
 * section 2.1); not of 169.254.169, where clouds have their services. */
static int
choose_addresses(struct in_addr *ret_near, struct in_addr *ret_far)
{
	uint16_t host;

	do
		if (getrandom(&host, sizeof(host), 0) != sizeof(host))
			return -1;
	while (host < 0x100 || host >= 0xff00 || host >> 8 == 169);
	ret_near->s_addr = htonl(0xa9fe0000u | (host & 0xfffeu));
	ret_far->s_addr = htonl(0xa9fe0000u | host | 1u);
	return 0;
}

/* sysfs that shows our network namespace, where /sys shows another. */
static int
fresh_sysfs(void)
{
	int fs = fsopen("sysfs", FSOPEN_CLOEXEC), r = -1;

	if (fs >= 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		r = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (fs >= 0)
		close(fs);
	return r;
}

/* The file that says which CPUs take frames from the device's queue. */
static int
open_rps_cpus(const char *path)
{
	int dir = open("/sys", O_PATH | O_CLOEXEC);
	int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		if (dir >= 0)
			close(dir);
		dir = fresh_sysfs();
		fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
	}
	if (dir >= 0)
		close(dir);
	return fd;
}

/* A set of CPUs as the kernel writes it; returns its length. */
static size_t
cpu_mask(const cpu_set_t *cpus, char mask[CPU_MASK_MAX])
{
	size_t n = 0;

	for (int word = CPU_SETSIZE / 32 - 1; word >= 0; word--) {
		uint32_t bits = 0;

		for (int i = 0; i < 32; i++)
			if (CPU_ISSET((size_t)(word * 32 + i), cpus))
				bits |= 1u << i;
		if (n > 0 || bits != 0)
			n += (size_t)snprintf(mask + n, CPU_MASK_MAX - n,
			    word > 0 ? "%08x," : "%08x", bits);
	}
	return n;
}

/* The CPUs that we may use share the calls; stored with the tunnel's ports. */
static void
share_calls(struct offload *o, const cpu_set_t *cpus)
{
	unsigned n = 0, all = (unsigned)CPU_COUNT(cpus);

	for (unsigned home = 1; home < OFFLOAD_HOMES; home++)
		o->dev.home_hash[home] = CPU_ISSET(home - 1, cpus) ?
		    hash_of(n++, all) : 0;
}

/* Have one CPU take all frames of a hash from the device (RPS): so they stay
 * in order. */
static int
one_queue_a_call(struct offload *o, const char *name,
    char why[OFFLOAD_WHY_MAX])
{
	char path[80], mask[CPU_MASK_MAX];
	cpu_set_t cpus;
	bool done;
	size_t n;
	int fd;

	CPU_ZERO(&cpus);
	(void)sched_getaffinity(0, sizeof(cpus), &cpus);
	n = cpu_mask(&cpus, mask);
	share_calls(o, &cpus);
	if (sysconf(_SC_NPROCESSORS_CONF) <= 1)
		return 0;
	snprintf(path, sizeof(path), "class/net/%s/queues/rx-0/rps_cpus",
	    name);
	fd = open_rps_cpus(path);
	done = fd >= 0 && n > 0 && write(fd, mask, n) == (ssize_t)n;
	if (!done)
		snprintf(why, OFFLOAD_WHY_MAX, "/sys/%s: %s (there are "
		    "several CPUs, and each call's frames must stay with one)",
		    path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return done ? 0 : -1;
}

static int
attach_device(struct offload *o, const char *name, char why[OFFLOAD_WHY_MAX])
{
	int r;

	if (one_queue_a_call(o, name, why) < 0)
		return -1;
	r = attach(o, o->ifindex, BPF_TC_EGRESS, o->out_fd);
	if (r == 0)
		r = attach(o, o->ifindex, BPF_TC_INGRESS, o->queued_fd);
	if (r == 0)
		return 0;
	snprintf(why, OFFLOAD_WHY_MAX, "no program on %s: %s (the kernel "
	    "needs modules sch_ingress and cls_bpf)", name, strerror(-r));
	return -1;
}

static int
make_device(struct offload *o, struct tunnel *t, char why[OFFLOAD_WHY_MAX])
{
	char name[IF_NAMESIZE];

	device_name(o->instance, name);
	if (choose_addresses(&t->near, &t->far) == 0)
		o->ifindex = rtnl_dummy(name, DEVICE_MTU, t->near, t->far);
	if (o->ifindex <= 0) {
		snprintf(why, OFFLOAD_WHY_MAX, "device %s: %s (the kernel "
		    "needs module dummy)", name, strerror(errno));
		return -1;
	}
	o->dev.ifindex = (uint32_t)o->ifindex;
	o->dev.near = t->near.s_addr;
	o->dev.far = t->far.s_addr;
	o->dev.layout = OFFLOAD_LAYOUT;
	store_dev(o);
	return attach_device(o, name, why);
}

/* The device and all that the maps say of it are there. */
static int
resume_device(struct offload *o, const struct tunnel *t,
    char why[OFFLOAD_WHY_MAX])
{
	char name[IF_NAMESIZE];
	uint32_t key = 0;

	device_name(o->instance, name);
	if (bpf_map_lookup_elem(o->dev_fd, &key, &o->dev) < 0 ||
	    o->dev.near != t->near.s_addr ||
	    o->dev.ifindex != if_nametoindex(name)) {
		snprintf(why, OFFLOAD_WHY_MAX, "its device %s is gone", name);
		return -1;
	}
	if (o->dev.layout != OFFLOAD_LAYOUT) {
		snprintf(why, OFFLOAD_WHY_MAX, "its maps are of another "
		    "version");
		return -1;
	}
	o->shut = t->far.s_addr == t->near.s_addr;
	o->ifindex = (int)o->dev.ifindex;
	return attach_device(o, name, why);
}

struct offload *
offload_open(struct tunnel *t, bool paused, char why[OFFLOAD_WHY_MAX])
{
	struct offload *o = calloc(1, sizeof(*o));
	bool resume = t->kernel_fd >= 0;

	if (!o) {
		snprintf(why, OFFLOAD_WHY_MAX, "out of memory");
		return NULL;
	}
	o->lock_fd = o->dev_fd = o->call_fd = o->state_fd = -1;
	o->in_fd = o->out_fd = o->queued_fd = -1;
	o->zero = MAP_FAILED;
	o->crossing = (struct crossing)CROSSING_INIT;
	o->tunnel = t;
	o->paused = paused;
	if (take_instance(o) < 0) {
		snprintf(why, OFFLOAD_WHY_MAX, "no place among %d servers: %s",
		    INSTANCES, strerror(errno));
		offload_close(o);
		return NULL;
	}
	store_put(STORE_OFFLOAD, KEPT_NAME, o->lock_fd);
	if (!resume)
		remove_stale(o);
	if (load(o, resume, why) == 0 && (resume ?
	    resume_device(o, t, why) : make_device(o, t, why)) == 0)
		return o;
	offload_close(o);
	t->near.s_addr = t->far.s_addr = 0;
	return NULL;
}

static void
close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void
offload_close(struct offload *o)
{
	if (!o)
		return;
	sd_event_source_disable_unref(o->route_io);
	sd_event_source_disable_unref(o->ipsec_io);
	sd_event_source_disable_unref(o->timer);
	sd_event_source_disable_unref(o->probe_timer);
	crossing_close(&o->crossing);
	if (o->zero != MAP_FAILED)
		munmap(o->zero, sizeof(*o->zero));
	if (o->lock_fd >= 0)
		remove_stale(o);
	for (unsigned i = KEPT_NAME; i <= KEPT_STATE; i++)
		store_remove(STORE_OFFLOAD, i);
	close_fd(o->lock_fd);
	close_fd(o->dev_fd);
	close_fd(o->call_fd);
	close_fd(o->state_fd);
	close_fd(o->in_fd);
	close_fd(o->out_fd);
	close_fd(o->queued_fd);
	free(o->calls);
	free(o);
}

static uint16_t
port_of(int fd)
{
	struct sockaddr_in sin = { 0 };
	socklen_t len = sizeof(sin);

	getsockname(fd, (struct sockaddr *)&sin, &len);
	return sin.sin_port;
}

void
offload_tunnel(struct offload *o)
{
	if (!o)
		return;
	o->dev.kernel_port = port_of(o->tunnel->kernel_fd);
	o->dev.relay_port = port_of(o->tunnel->relay_fd);
	o->dev.tunnel = htons((uint16_t)o->tunnel->id);
	store_dev(o);
}

int
offload_state_fd(const struct offload *o)
{
	return o ? o->state_fd : -1;
}
