/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The relay's fast path in the kernel.  One program on the interfaces by
 * which clients come sends the GRE of calls through our own device, where a
 * call's frames meet in one queue.  Behind it another makes L2TP in UDP of a
 * call's next frame, and sends all others back.  A third, on the way out of
 * the device, makes GRE of what the tunnel sends; the device also stands
 * between the tunnel's socket and the relay's, which take frames that are not
 * forwarded.  Whatever is not exactly what is expected stays untouched.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/offload.h"

#define MPPE_PROTO	0x00fd
#define MPPE_BITS	0x9000	/* RFC 3078 section 3: flushed, encrypted */
#define MPPE_COUNT	0x0fff
/* The kernel's L2TP takes no shorter one, as net/channel.h has it; after any
 * protocol field there is room for MPPE's count and a byte. */
#define FRAME_MIN	8
#define DATA_MAX	1596	/* after the protocol: as pppfilter.c has it */

#define GRE_KS		0x3001	/* key, sequence, version 1 */
#define GRE_ACK		0x0080
#define GRE_PPP		0x880b
/* A frame that is not much ahead is queued again so often. */
#define AHEAD_MAX	64
#define AGAIN_MAX	16
/* Where for two ticks no frame went to the tunnel the last one is through with
 * PPP, and home is where the next one comes.  A call of whose frames more than
 * a third come elsewhere goes to the launcher's place for it, after so many. */
#define SILENCE		2
#define AWAY_MAX	32
/* Late and duplicate: not further back, and not in a silence, in which the
 * peer may begin its numbers anew. */
#define LATE_MAX	64
#define LATE_NS		1000000000ull

#define IP_FRAGMENT	0x3fff
#define FAMILY_IPV4	2	/* AF_INET, whose header is not for BPF */
#define TTL		64

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct offload_dev);
} dev_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OFFLOAD_CALLS);
	__type(key, __u32);
	__type(value, struct offload_call);
} call_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, OFFLOAD_CALLS);
	__type(key, __u32);
	__type(value, struct offload_state);
} state_map SEC(".maps");

struct l2tp_data {			/* RFC 2661 section 3.1, no options */
	__be16 flags, tunnel, session;
};

struct udp_header {
	__be16 source, dest, len, check;
};

/* After the link header, in natural alignment. */
struct gre_packet {
	struct iphdr ip;
	__be16 flags, proto, len, call;
	__be32 seq;
	union {
		__be32 ack;	/* if there is one */
		__u8 rest[12];	/* up to the MPPE count */
	};
};

struct l2tp_packet {
	struct iphdr ip;
	struct udp_header udp;
	struct l2tp_data l2tp;
	__u8 ppp[6];
};

/* The packet's part after the link header, size bytes of it, or 0. */
static __always_inline void *
at_ip(struct __sk_buff *skb, __u32 size)
{
	void *p = (void *)(long)skb->data;

	if (p + sizeof(struct ethhdr) + size > (void *)(long)skb->data_end)
		return 0;
	return p + sizeof(struct ethhdr);
}

static __always_inline void *
pull_ip(struct __sk_buff *skb, __u32 size)
{
	void *p = at_ip(skb, size);

	if (p || skb->len < sizeof(struct ethhdr) + size ||
	    bpf_skb_pull_data(skb, sizeof(struct ethhdr) + size) < 0)
		return p;
	return at_ip(skb, size);
}

static __always_inline __u16
fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

static __always_inline __u16
ip_sum(const struct iphdr *ip)
{
	const __u16 *w = (const __u16 *)ip;
	__u32 sum = 0;

	for (int i = 0; i < 10; i++)
		sum += w[i];
	return fold(sum);
}

static __always_inline void
ip_header(struct iphdr *ip, __u8 tos, __u16 len, __u16 id, __u8 ttl,
    __u8 protocol, __u32 src, __u32 dst)
{
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = tos;
	ip->tot_len = bpf_htons(len);
	ip->id = bpf_htons(id);
	ip->frag_off = 0;
	ip->ttl = ttl;
	ip->protocol = protocol;
	ip->check = 0;
	ip->saddr = src;
	ip->daddr = dst;
	ip->check = ip_sum(ip);
}

/* Is it a data frame as the call negotiated it?  p has 6 bytes.  *ret_head:
 * bytes to the end of the protocol field. */
static __always_inline bool
is_data(const __u8 *p, __u16 protocol, int *ret_head, __u16 *ret_count)
{
	if (p[0] == 0xff && p[1] == 0x03) {
		if (p[2] == 0 && p[3] == protocol) {
			*ret_head = 4;
			*ret_count = p[4] << 8 | p[5];
			return true;
		}
		if (p[2] == protocol) {
			*ret_head = 3;
			*ret_count = p[3] << 8 | p[4];
			return true;
		}
		return false;
	}
	if (p[0] == 0 && p[1] == protocol) {
		*ret_head = 2;
		*ret_count = p[2] << 8 | p[3];
		return true;
	}
	if (p[0] == protocol) {
		*ret_head = 1;
		*ret_count = p[1] << 8 | p[2];
		return true;
	}
	return false;
}

static __always_inline __u32
hash_of(const struct offload_dev *dev, __u32 home)
{
	/* The verifier follows the test below, not what clang makes of it and
	 * of where home comes from. */
	__asm__ volatile("" : "+r"(home));
	return home < OFFLOAD_HOMES ? dev->home_hash[home] : 0;
}

/* The hash of the call's home; only the launcher's words choose a queue. */
static __always_inline __u32
home_of(const struct offload_dev *dev, const struct offload_call *call,
    __u64 word)
{
	__u32 hash = hash_of(dev, OFFLOAD_HOME(word));

	return hash ? hash : call->hash;
}

/* Through the queue of the CPU that has the hash (RPS). */
static __always_inline int
to_queue(struct __sk_buff *skb, const struct offload_dev *dev, __u32 hash)
{
	bpf_set_hash(skb, hash ? hash : 1);
	skb->queue_mapping = 0;		/* of another device */
	return bpf_redirect(dev->ifindex, BPF_F_INGRESS);
}

static __always_inline bool
is_gre(const struct iphdr *ip)
{
	return ip->protocol == IPPROTO_GRE && *(const __u8 *)ip == 0x45 &&
	    (ip->frag_off & bpf_htons(IP_FRAGMENT)) == 0;
}

/* --- interfaces by which clients come ------------------------------------ */

static __always_inline bool
move_home(struct offload_state *st, __u64 word, __u32 home)
{
	return __sync_val_compare_and_swap(&st->word, word,
	    (word & ~OFFLOAD_HOME_MASK) |
	    (__u64)home << OFFLOAD_HOME_SHIFT) == word;
}

/* Have all the worker's frames reached the tunnel that must be before ours? */
static __always_inline bool
worker_is_through(const struct offload_state *st)
{
	return (__s32)(*(volatile __u32 *)&st->arrived - st->after) >= 0;
}

/* The hash with which a client's frame that came here enters the queue. */
static __always_inline __u32
hash_at(const struct offload_dev *dev, const struct offload_call *call,
    struct offload_state *st)
{
	__u64 word = *(volatile __u64 *)&st->word;
	__u32 cpu = bpf_get_smp_processor_id() + 1;
	__u32 home = home_of(dev, call, word), here = hash_of(dev, cpu);

	if (!(word & OFFLOAD_FAST))
		return home;
	if ((__u32)bpf_jiffies64() - *(volatile __u32 *)&st->tick >= SILENCE) {
		st->away = 0;
		return here != 0 && here != home && worker_is_through(st) &&
		    move_home(st, word, cpu) ? here : home;
	}
	if (here == home) {
		st->away -= st->away > 0;
		return home;
	}
	st->away += 2;
	if (home == call->hash || st->away < 2 * AWAY_MAX)
		return home;
	st->away = 0;
	return home + ((__u32)call->home << OFFLOAD_HASH_MOVE_SHIFT);
}

SEC("tc")
int
pptpctrl_in(struct __sk_buff *skb)
{
	struct gre_packet *h;
	struct offload_dev *dev;
	struct offload_call *call;
	struct offload_state *st;
	__u32 zero = 0, id;

	/* Not by way of our device again. */
	if (skb->tc_index == OFFLOAD_BACK) {
		skb->tc_index = 0;
		bpf_skb_change_type(skb, PACKET_HOST);
		return TC_ACT_UNSPEC;
	}
	if (skb->protocol != bpf_htons(ETH_P_IP) || skb->vlan_present ||
	    skb->pkt_type != PACKET_HOST || skb->gso_segs > 1 ||
	    skb->tc_index != 0 || skb->ifindex >= OFFLOAD_BACK)
		return TC_ACT_UNSPEC;
	pull_ip(skb, sizeof(*h));
	h = at_ip(skb, __builtin_offsetof(struct gre_packet, rest));
	if (!h || !is_gre(&h->ip) || h->proto != bpf_htons(GRE_PPP) ||
	    (h->flags & ~bpf_htons(GRE_ACK)) != bpf_htons(GRE_KS))
		return TC_ACT_UNSPEC;
	dev = bpf_map_lookup_elem(&dev_map, &zero);
	id = bpf_ntohs(h->call);
	call = bpf_map_lookup_elem(&call_map, &id);
	st = bpf_map_lookup_elem(&state_map, &id);
	if (!dev || !call || !st || dev->paused ||
	    call->peer == 0 || call->peer != h->ip.saddr ||
	    call->own != h->ip.daddr || !st->started)
		return TC_ACT_UNSPEC;
	/* Also those for the worker, which would overtake others else. */
	skb->tc_index = skb->ifindex;
	return to_queue(skb, dev, hash_at(dev, call, st));
}

/* --- our device, behind the queue ---------------------------------------- */

static __always_inline int
send_back(struct __sk_buff *skb)
{
	__u32 from = skb->tc_index;

	skb->tc_index = OFFLOAD_BACK;
	bpf_set_hash_invalid(skb);
	return bpf_redirect(from, BPF_F_INGRESS);
}

static __always_inline __u32
sent_to(__u32 home)
{
	return OFFLOAD_HASH_SENT | home << OFFLOAD_HASH_MOVE_SHIFT;
}

/* The hash of the queue through which a frame of this note is to go before it
 * is judged; 0: it is where it belongs. */
static __always_inline __u32
other_queue(const struct offload_dev *dev, __u32 home, struct offload_state *st,
    __u64 word, __u32 note)
{
	bool sent = note & OFFLOAD_HASH_SENT;
	__u32 to = note >> OFFLOAD_HASH_MOVE_SHIFT, now = OFFLOAD_HOME(word);

	if (hash_of(dev, bpf_get_smp_processor_id() + 1) != home)
		/* If it was sent to this home, its hash leads here. */
		return sent && to == now ? 0 :
		    home + sent_to(now) + (note & OFFLOAD_HASH_TIMES) + 1;
	if (sent || !to || !worker_is_through(st) || !move_home(st, word, to))
		return 0;
	/* All that was queued here before it is through with PPP. */
	return hash_of(dev, to) + sent_to(to);
}

/* A client's frame. */
static __always_inline int
forward(struct __sk_buff *skb, const struct offload_dev *dev)
{
	struct gre_packet *h = at_ip(skb, sizeof(*h));
	struct l2tp_packet *t;
	struct offload_call *call;
	struct offload_state *st;
	__u32 id, seq, payload, ahead, times, home, hash;
	__u16 flags, count = 0;
	__u64 word;
	__u8 tos;
	int head, gre_len;

	if (!h)
		return send_back(skb);
	id = bpf_ntohs(h->call);
	call = bpf_map_lookup_elem(&call_map, &id);
	st = bpf_map_lookup_elem(&state_map, &id);
	if (!call || !st || dev->paused || call->peer != h->ip.saddr ||
	    call->own != h->ip.daddr || ip_sum(&h->ip) != 0)
		return send_back(skb);
	/* Not only read: what the worker wrote before it is read after it. */
	word = __sync_fetch_and_add(&st->word, 0);
	flags = bpf_ntohs(h->flags);
	if (!(word & OFFLOAD_FAST))
		return send_back(skb);
	home = home_of(dev, call, word);
	times = skb->hash & OFFLOAD_HASH_TIMES;
	hash = other_queue(dev, home, st, word, skb->hash & OFFLOAD_HASH_NOTE);
	if (hash)
		return times < AGAIN_MAX ? to_queue(skb, dev, hash) :
		    send_back(skb);
	seq = bpf_ntohl(h->seq);
	payload = bpf_ntohs(h->len);
	gre_len = flags & GRE_ACK ? 16 : 12;
	if (payload == 0 ||
	    bpf_ntohs(h->ip.tot_len) < 20 + gre_len + payload ||
	    bpf_ntohs(h->ip.tot_len) > skb->len - sizeof(struct ethhdr))
		return send_back(skb);
	ahead = seq - OFFLOAD_EXPECTED(word);
	if (ahead != 0) {
		/* One before it may still be with another CPU. */
		if (ahead <= AHEAD_MAX && times < AGAIN_MAX)
			return to_queue(skb, dev, home + times + 1);
		if (-ahead > LATE_MAX || (word & OFFLOAD_LEARN) ||
		    bpf_ktime_get_coarse_ns() - st->last_in > LATE_NS)
			return send_back(skb);
		__sync_fetch_and_add(&st->late, 1);
		return TC_ACT_SHOT;
	}
	if (!is_data(flags & GRE_ACK ? h->rest + 4 : h->rest, st->protocol,
	    &head, &count) || payload < FRAME_MIN ||
	    payload > (__u32)head + DATA_MAX)
		return send_back(skb);
	if (st->check_count && count !=
	    (MPPE_BITS | ((seq + st->delta) & MPPE_COUNT)))
		return send_back(skb);
	if (!worker_is_through(st))
		return send_back(skb);

	tos = h->ip.tos;
	if (__sync_val_compare_and_swap(&st->word, word,
	    OFFLOAD_WORD(seq + 1, word & ~0xffffffffull)) != word)
		return send_back(skb);
	/* From here on the frame is ours, or lost. */
	if (bpf_skb_adjust_room(skb, gre_len == 16 ? -2 : 2,
	    BPF_ADJ_ROOM_NET, 0) < 0)
		return TC_ACT_SHOT;
	t = at_ip(skb, sizeof(*t));
	if (!t)
		return TC_ACT_SHOT;
	ip_header(&t->ip, tos, (__u16)(34 + payload), (__u16)seq, TTL,
	    IPPROTO_UDP, dev->far, dev->near);
	t->udp.source = dev->relay_port;
	t->udp.dest = dev->kernel_port;
	t->udp.len = bpf_htons((__u16)(14 + payload));
	t->udp.check = 0;
	t->l2tp.flags = bpf_htons(2);
	t->l2tp.tunnel = dev->tunnel;
	t->l2tp.session = bpf_htons((__u16)id);
	__sync_fetch_and_add(&st->rx_bytes, payload);
	st->last_in = bpf_ktime_get_coarse_ns();
	st->tick = (__u32)bpf_jiffies64();
	bpf_skb_change_type(skb, PACKET_HOST);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int
pptpctrl_queued(struct __sk_buff *skb)
{
	struct l2tp_packet *h;
	struct offload_state *st;
	struct offload_dev *dev;
	__u32 zero = 0, id;

	dev = bpf_map_lookup_elem(&dev_map, &zero);
	h = at_ip(skb, sizeof(h->ip));
	if (!dev || !h || skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_UNSPEC;
	if (h->ip.protocol == IPPROTO_GRE)
		return forward(skb, dev);
	h = at_ip(skb, __builtin_offsetof(struct l2tp_packet, ppp));
	if (!h || h->udp.dest != dev->kernel_port ||
	    h->udp.source != dev->relay_port || h->ip.daddr != dev->near)
		return TC_ACT_UNSPEC;
	/* From the worker, and nothing queues from here on. */
	id = bpf_ntohs(h->l2tp.session);
	st = bpf_map_lookup_elem(&state_map, &id);
	if (st) {
		st->tick = (__u32)bpf_jiffies64();
		__sync_fetch_and_add(&st->arrived,
		    skb->gso_segs > 1 ? skb->gso_segs : 1);
	}
	return TC_ACT_UNSPEC;
}

/* --- our device, on the way out ------------------------------------------ */

/* The two sockets have the same address, and talk to the same one that nobody
 * has: what one sends comes back to the other.  No checksum changes. */
static __always_inline int
reflect(struct __sk_buff *skb, struct iphdr *ip,
    const struct offload_dev *dev, __u32 hash)
{
	ip->saddr = dev->far;
	ip->daddr = dev->near;
	return to_queue(skb, dev, hash);
}

/* May this frame of the tunnel be sent to the call's peer from here? */
static __always_inline bool
may_send(const struct __sk_buff *skb, const struct l2tp_packet *h,
    const struct offload_call *call, const struct offload_state *st)
{
	__u16 count;
	int head;

	return call->ifindex != 0 && h->l2tp.flags == bpf_htons(2) &&
	    skb->len - sizeof(struct ethhdr) + 2 <= call->mtu &&
	    is_data(h->ppp, st->protocol, &head, &count);
}

/* Take a turn with a frame to the peer, if it is ours and the frame may be
 * sent; else the frame goes to the worker, and all that follow. */
static __always_inline bool
claim_out(struct offload_state *st, bool may)
{
	/* Only the worker changes it at the same time, and seldom. */
	for (int i = 0; i < 4; i++) {
		__u32 out = *(volatile __u32 *)&st->out;

		if (may && (out & OFFLOAD_OUT_FAST))
			return true;
		if (__sync_val_compare_and_swap(&st->out, out,
		    (out & ~OFFLOAD_OUT_FAST) + OFFLOAD_OUT_FRAME) == out)
			return false;
	}
	return false;
}

SEC("tc")
int
pptpctrl_out(struct __sk_buff *skb)
{
	struct l2tp_packet *h;
	struct offload_state *st;
	struct offload_call *call;
	struct offload_dev *dev;
	struct gre_packet *g;
	struct bpf_redir_neigh nh = { .nh_family = FAMILY_IPV4 };
	__u32 zero = 0, payload, seq, ack, id, got;
	bool with_ack, may;
	__u8 tos;

	dev = bpf_map_lookup_elem(&dev_map, &zero);
	if (!dev || skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_UNSPEC;
	pull_ip(skb, sizeof(*h));
	h = at_ip(skb, __builtin_offsetof(struct l2tp_packet, l2tp));
	if (!h)
		return TC_ACT_UNSPEC;
	if (h->ip.saddr != dev->near || h->ip.daddr != dev->far)
		return TC_ACT_UNSPEC;
	if (*(__u8 *)&h->ip != 0x45 || h->ip.protocol != IPPROTO_UDP ||
	    (h->ip.frag_off & bpf_htons(IP_FRAGMENT)) ||
	    (void *)&h->ppp > (void *)(long)skb->data_end)
		return reflect(skb, &h->ip, dev, 0);
	id = bpf_ntohs(h->l2tp.session);
	call = bpf_map_lookup_elem(&call_map, &id);
	st = bpf_map_lookup_elem(&state_map, &id);
	if (!call || !st)
		return reflect(skb, &h->ip, dev, 0);
	/* From the relay. */
	if (h->udp.source != dev->kernel_port || skb->gso_segs > 1)
		return reflect(skb, &h->ip, dev, home_of(dev, call,
		    *(volatile __u64 *)&st->word));
	may = !dev->paused && (void *)(h + 1) <= (void *)(long)skb->data_end &&
	    may_send(skb, h, call, st);
	if (!claim_out(st, may))
		return reflect(skb, &h->ip, dev, call->hash);

	payload = bpf_ntohs(h->udp.len) - 14;
	tos = h->ip.tos;
	seq = __sync_fetch_and_add(&st->tx_next, 1);
	got = OFFLOAD_EXPECTED(*(volatile __u64 *)&st->word) - 1;
	ack = st->acked;
	with_ack = (__s32)(got - ack) > 0;
	if (with_ack)
		st->acked = got;
	if (bpf_skb_adjust_room(skb, with_ack ? 2 : -2, BPF_ADJ_ROOM_NET,
	    0) < 0)
		return TC_ACT_SHOT;
	g = at_ip(skb, __builtin_offsetof(struct gre_packet, rest) + 4);
	if (!g)
		return TC_ACT_SHOT;
	ip_header(&g->ip, tos, (__u16)((with_ack ? 36 : 32) + payload),
	    (__u16)seq, TTL, IPPROTO_GRE, call->own, call->peer);
	g->flags = bpf_htons(with_ack ? GRE_KS | GRE_ACK : GRE_KS);
	g->proto = bpf_htons(GRE_PPP);
	g->len = bpf_htons((__u16)payload);
	g->call = call->peer_call;
	g->seq = bpf_htonl(seq);
	if (with_ack)
		g->ack = bpf_htonl(got);
	__sync_fetch_and_add(&st->tx_frames, 1);
	__sync_fetch_and_add(&st->tx_bytes, payload);
	nh.ipv4_nh = call->next;
	if (nh.ipv4_nh == 0)
		return bpf_redirect_neigh(call->ifindex, 0, 0, 0);
	/* The kernel needs not look for a route. */
	return bpf_redirect_neigh(call->ifindex, &nh, sizeof(nh), 0);
}

char _license[] SEC("license") = "GPL";
