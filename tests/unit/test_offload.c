/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fast path's programs, compiled for this machine, with net/fast.c beside
 * them, against the relay's own judgement alone: the same packets must bring
 * the same frames to PPP, in the same order.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* --- what the kernel gives to the programs ----------------------------------- */

#define _LINUX_IN_H	/* netinet/in.h has the same */
#define __BPF_HELPERS__
#define __BPF_HELPER_DEFS__
/* The kernel lets a program read words at any address here. */
#define SEC(name) __attribute__((no_sanitize("alignment")))
#undef __always_inline
#define __always_inline inline __attribute__((no_sanitize("alignment")))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) __typeof__(val) *name

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wpointer-arith"
#pragma GCC diagnostic ignored "-Wattributes"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

struct __sk_buff;
static void *bpf_map_lookup_elem(const void *map, const void *key);
static long bpf_skb_pull_data(struct __sk_buff *skb, uint32_t len);
static long bpf_skb_adjust_room(struct __sk_buff *skb, int32_t diff,
    uint32_t mode, uint64_t flags);
static long bpf_redirect(uint32_t ifindex, uint64_t flags);
static long bpf_redirect_neigh(uint32_t ifindex, void *params, int len,
    uint64_t flags);
static uint64_t bpf_ktime_get_coarse_ns(void);
static uint64_t bpf_jiffies64(void);
static uint32_t bpf_get_smp_processor_id(void);
static long bpf_skb_change_type(struct __sk_buff *skb, uint32_t type);
static uint32_t bpf_set_hash(struct __sk_buff *skb, uint32_t hash);
static void bpf_set_hash_invalid(struct __sk_buff *skb);

#include "bpf/offload.bpf.c"
#pragma GCC diagnostic pop

#include "net/fast.h"
#include "net/relay.h"
#include "proto/gre.h"

#define HEADROOM	64
#define ROOM		2048
#define OUR_IFINDEX	77
#define CLIENT_IFINDEX	78
#define CALL		4660
#define CPUS		2u
#define HASH		0x40000000	/* of CPU 0 */
#define TICK_US		4000u

static struct offload_dev dev;
static struct offload_call call[OFFLOAD_CALLS];
static struct offload_state state[OFFLOAD_CALLS];
static uint8_t *room;		/* below 4 GB: a program's pointers are 32 bits */
static uint32_t redirected;
static uint64_t now = 1000000;	/* us */
static uint32_t cpu;		/* on which a program runs */

static void *
bpf_map_lookup_elem(const void *map, const void *key)
{
	uint32_t i = *(const uint32_t *)key;

	if (map == &dev_map)
		return &dev;
	return map == &call_map ? (void *)&call[i] : &state[i];
}

static long
bpf_skb_pull_data(struct __sk_buff *skb, uint32_t len)
{
	return len <= skb->len ? 0 : -1;
}

static long
bpf_skb_adjust_room(struct __sk_buff *skb, int32_t diff, uint32_t mode,
    uint64_t flags)
{
	uint8_t *p = (uint8_t *)(uintptr_t)skb->data;

	(void)mode;
	(void)flags;
	memmove(p - diff, p, 34);
	skb->data = (uint32_t)((int64_t)skb->data - diff);
	skb->len = (uint32_t)((int64_t)skb->len + diff);
	return 0;
}

static long
bpf_redirect(uint32_t ifindex, uint64_t flags)
{
	assert_int_equal(flags, BPF_F_INGRESS);
	redirected = ifindex;
	return TC_ACT_REDIRECT;
}

static long
bpf_redirect_neigh(uint32_t ifindex, void *params, int len, uint64_t flags)
{
	(void)params;
	(void)len;
	(void)flags;
	redirected = ifindex;
	return TC_ACT_REDIRECT;
}

static uint64_t
bpf_ktime_get_coarse_ns(void)
{
	return now * 1000;
}

static uint64_t
bpf_jiffies64(void)
{
	return now / TICK_US;
}

static uint32_t
bpf_get_smp_processor_id(void)
{
	return cpu;
}

static long
bpf_skb_change_type(struct __sk_buff *skb, uint32_t type)
{
	skb->pkt_type = type;
	return 0;
}

static uint32_t
bpf_set_hash(struct __sk_buff *skb, uint32_t hash)
{
	skb->hash = hash;
	return 0;
}

static void
bpf_set_hash_invalid(struct __sk_buff *skb)
{
	skb->hash = 0;
}

/* --- packets ----------------------------------------------------------------- */

static const uint8_t peer[4] = { 198, 18, 1, 1 }, own[4] = { 198, 18, 0, 1 };
static uint64_t rng;

static uint32_t
rnd(uint32_t n)
{
	rng = rng * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(rng >> 33) % n;
}

static struct __sk_buff
skb_of(const uint8_t *packet, size_t len)
{
	struct __sk_buff skb = { .protocol = bpf_htons(ETH_P_IP),
	    .len = (uint32_t)len, .ifindex = CLIENT_IFINDEX };

	memcpy(room + HEADROOM, packet, len);
	skb.data = (uint32_t)(uintptr_t)(room + HEADROOM);
	skb.data_end = (uint32_t)(skb.data + len);
	return skb;
}

static size_t
ip_packet(uint8_t *out, uint8_t protocol, const uint8_t *src,
    const uint8_t *dst, const uint8_t *body, size_t len)
{
	struct iphdr ip;
	uint32_t s, d;

	memset(out, 0, 14);
	memcpy(&s, src, 4);
	memcpy(&d, dst, 4);
	ip_header(&ip, 0, (uint16_t)(20 + len), 0, 60, protocol, s, d);
	memcpy(out + 14, &ip, 20);
	memcpy(out + 34, body, len);
	return 34 + len;
}

/* A frame, and who it is. */
struct frame {
	uint32_t seq;
	size_t len;
	uint8_t byte[64];
};

static size_t
gre_packet(uint8_t *out, const struct frame *f, bool ack)
{
	struct gre_pkt pkt = { .call_id = CALL, .has_seq = true,
	    .has_ack = ack, .seq = f->seq, .payload_len = f->len };
	uint8_t body[GRE_HDR_MAX + 64];
	size_t n = gre_build(body, &pkt);

	memcpy(body + n, f->byte, f->len);
	return ip_packet(out, 47, peer, own, body, n + f->len);
}

/* --- one server --------------------------------------------------------------- */

#define LOG_MAX		4096

struct side {
	struct flow flow;
	bool has_fast;
	struct frame held[2 * REORDER_SLOTS];
	uint32_t next_handle;
	struct frame got[LOG_MAX];
	unsigned n_got;
};

static struct side plain, fast_side;
static struct fast fast;

static void
got(struct side *s, const uint8_t *p, size_t len, uint32_t seq)
{
	struct frame *f = &s->got[s->n_got++];

	assert_true(s->n_got < LOG_MAX);
	memset(f, 0, sizeof(*f));
	f->seq = seq;
	f->len = len;
	memcpy(f->byte, p, len);
}

/* --- the device's queues ------------------------------------------------------ */

struct queued {
	bool worker;		/* from it */
	struct frame frame;
	uint8_t packet[256];
	struct __sk_buff skb;
};

/* That of a CPU, and the frame that the CPU takes through PPP: with the next
 * one it is through. */
static struct cpu_queue {
	struct queued at[LOG_MAX];
	unsigned head, tail;
	bool busy;
	struct frame in_ppp;
} queue[CPUS];

static void user(struct side *s, const struct frame *f);
static struct __sk_buff from_tunnel(const struct frame *f, bool from_relay);

static struct queued *
put(const struct frame *f, const struct __sk_buff *skb, bool worker)
{
	struct cpu_queue *c = &queue[skb->hash / (1u << 31)];
	uint32_t base = skb->hash & ~OFFLOAD_HASH_NOTE;
	struct queued *q = &c->at[c->tail++ % LOG_MAX];

	assert_true(c->tail - c->head < LOG_MAX);
	assert_int_equal(base, dev.home_hash[c - queue + 1]);
	q->worker = worker;
	q->frame = *f;
	q->skb = *skb;
	return q;
}

static void
through_ppp(struct cpu_queue *c)
{
	if (c->busy)
		got(&fast_side, c->in_ppp.byte, c->in_ppp.len, c->in_ppp.seq);
	c->busy = false;
}

static void
into_ppp(struct cpu_queue *c, const uint8_t *p, size_t len, uint32_t seq)
{
	c->in_ppp = (struct frame){ .seq = seq, .len = len };
	memcpy(c->in_ppp.byte, p, len);
	c->busy = true;
}

/* One of the worker's as it enters the queue. */
static struct __sk_buff
reflected(const struct frame *f)
{
	struct __sk_buff skb = from_tunnel(f, true);

	assert_int_equal(pptpctrl_out(&skb), TC_ACT_REDIRECT);
	assert_int_equal(redirected, OUR_IFINDEX);
	return skb;
}

/* One that user space passes on. */
static void
pass(struct side *s, const uint8_t *p, size_t len, uint32_t seq)
{
	struct frame f = { .seq = seq, .len = len };
	struct __sk_buff skb;

	if (!s->has_fast) {
		got(s, p, len, seq);
		return;
	}
	memcpy(f.byte, p, len);
	s->flow.channel.n_put++;
	skb = reflected(&f);
	put(&f, &skb, true);
}

/* Frames of the worker go to the tunnel in any case. */
static void
take_from_worker(struct cpu_queue *c, const struct frame *f)
{
	struct __sk_buff skb = reflected(f);

	assert_int_equal(pptpctrl_queued(&skb), TC_ACT_UNSPEC);
	into_ppp(c, f->byte, f->len, f->seq);
}

/* A client's that user space is to judge, as it came. */
static void
take_back(struct __sk_buff *skb, const uint8_t *packet, size_t len)
{
	assert_int_equal(redirected, CLIENT_IFINDEX);
	assert_int_equal(skb->hash, 0);
	skb->pkt_type = PACKET_OTHERHOST;	/* for all that it knows */
	assert_int_equal(pptpctrl_in(skb), TC_ACT_UNSPEC);
	assert_int_equal(skb->tc_index, 0);
	assert_int_equal(skb->pkt_type, PACKET_HOST);
	assert_memory_equal(room + HEADROOM, packet, len);
}

static void
expect_l2tp(const struct __sk_buff *skb)
{
	const uint8_t *p = (const uint8_t *)(uintptr_t)skb->data;

	assert_int_equal(skb->pkt_type, PACKET_HOST);
	assert_int_equal(ip_sum((const struct iphdr *)(const void *)(p + 14)),
	    0);
	assert_memory_equal(p + 26, &dev.far, 4);
	assert_memory_equal(p + 30, &dev.near, 4);
	assert_memory_equal(p + 34, &dev.relay_port, 2);
	assert_memory_equal(p + 36, &dev.kernel_port, 2);
	assert_int_equal(p[46] << 8 | p[47], CALL);
}

static void
to_user(const struct frame *f)
{
	fast_look(&fast_side.flow, now);
	fast_take(&fast_side.flow, now);
	user(&fast_side, f);
}

/* What is first in this CPU's queue leaves it; forwarded frames are entered in
 * the log with the number that they had. */
static int
leave_queue(void)
{
	struct cpu_queue *c = &queue[cpu];
	struct queued *q = &c->at[c->head++ % LOG_MAX];
	uint32_t hash = q->skb.hash;
	const uint8_t *p;
	int r;

	through_ppp(c);
	if (q->worker) {
		take_from_worker(c, &q->frame);
		return TC_ACT_UNSPEC;
	}
	q->skb = skb_of(q->packet, q->skb.len);
	q->skb.tc_index = CLIENT_IFINDEX;
	q->skb.pkt_type = PACKET_OTHERHOST;
	q->skb.hash = hash;
	r = pptpctrl_queued(&q->skb);
	if (r == TC_ACT_REDIRECT && redirected == OUR_IFINDEX) {
		/* Once more, or moved with the call. */
		assert_true((q->skb.hash & OFFLOAD_HASH_TIMES) ==
		    (hash & OFFLOAD_HASH_TIMES) + 1 ||
		    ((q->skb.hash & OFFLOAD_HASH_SENT) != 0 &&
		    (hash & OFFLOAD_HASH_SENT) == 0));
		memcpy(put(&q->frame, &q->skb, false)->packet, q->packet,
		    sizeof(q->packet));
	} else if (r == TC_ACT_REDIRECT) {
		take_back(&q->skb, q->packet, q->skb.len);
		to_user(&q->frame);
	} else if (r == TC_ACT_UNSPEC) {
		expect_l2tp(&q->skb);
		p = (const uint8_t *)(uintptr_t)q->skb.data;
		into_ppp(c, p + 48, (size_t)(p[38] << 8 | p[39]) - 14,
		    q->frame.seq);
	} else {
		assert_int_equal(r, TC_ACT_SHOT);
	}
	return r;
}

static bool
any_queued(void)
{
	return queue[cpu].head != queue[cpu].tail;
}

static void
empty_queues(void)
{
	uint32_t here = cpu;

	for (bool any = true; any;) {
		any = false;
		for (cpu = 0; cpu < CPUS; cpu++)
			for (; any_queued(); any = true)
				leave_queue();
	}
	for (cpu = 0; cpu < CPUS; cpu++)
		through_ppp(&queue[cpu]);
	cpu = here;
}

/* A packet comes in.  True: it is queued. */
static bool
enter(const struct frame *f, const uint8_t *packet, size_t len)
{
	struct __sk_buff skb = skb_of(packet, len);

	redirected = 0;
	if (pptpctrl_in(&skb) != TC_ACT_REDIRECT) {
		assert_int_equal(redirected, 0);
		assert_memory_equal(room + HEADROOM, packet, len);
		return false;
	}
	assert_int_equal(redirected, OUR_IFINDEX);
	assert_int_equal(skb.tc_index, CLIENT_IFINDEX);
	assert_memory_equal(room + HEADROOM, packet, len);
	memcpy(put(f, &skb, false)->packet, packet, len);
	return true;
}

/* --- user space ---------------------------------------------------------------- */

static void
judge(struct side *s, const struct frame *f)
{
	struct pppfilter *filter = &s->flow.filter;
	enum ppp_verdict v;
	uint8_t step[PPP_STEP_LEN];
	unsigned slot;
	size_t n;

	v = pppfilter_in(filter, f->byte, f->len, f->seq, &slot);
	if (v == PPP_DROP_MPPE) {
		bool any = false;

		while ((n = pppfilter_step(filter, step, sizeof(step))) > 0) {
			pass(s, step, n, 0);
			any = true;
		}
		if (any)
			v = pppfilter_in(filter, f->byte, f->len, f->seq,
			    &slot);
	}
	if (v == PPP_PASS)
		pass(s, f->byte, f->len, f->seq);
}

static void
drain(struct side *s)
{
	uint32_t h, seq;

	while (reorder_next(&s->flow.reorder, &h, &seq))
		judge(s, &s->held[h]);
}

static void
user(struct side *s, const struct frame *f)
{
	enum reorder_verdict v;

	v = reorder_input(&s->flow.reorder, f->seq, now);
	if (v == REORDER_DELIVER)
		judge(s, f);
	if (v == REORDER_HOLD) {
		uint32_t h = s->next_handle++ % (2 * REORDER_SLOTS);

		s->held[h] = *f;
		reorder_put(&s->flow.reorder, f->seq, h);
	}
	if (v == REORDER_DELIVER || v == REORDER_HOLD)
		drain(s);
}

static void
input(struct side *s, const struct frame *f, bool ack)
{
	uint8_t packet[256];
	size_t len = gre_packet(packet, f, ack);

	if (!s->has_fast)
		user(s, f);
	else if (!enter(f, packet, len))
		to_user(f);
}

static void
expire(struct side *s)
{
	uint64_t due = reorder_deadline(&s->flow.reorder);

	if (due == 0 || due > now)
		return;
	reorder_expire(&s->flow.reorder, now);
	drain(s);
}

static void
side_init(struct side *s, bool has_fast)
{
	struct in_addr p, o;
	uint8_t ncp[] = { 0xff, 0x03, 0x80, 0x21, 1, 1, 0, 4 };

	memcpy(&p, peer, 4);
	memcpy(&o, own, 4);
	memset(s, 0, sizeof(*s));
	s->flow.own_id = CALL;
	s->flow.peer_id = 17;
	s->flow.peer = p;
	s->flow.own = o;
	s->flow.live = &s->flow.own_live;
	gre_flow_init(&s->flow.gre);
	reorder_init(&s->flow.reorder);
	pppfilter_init(&s->flow.filter);
	pppfilter_config(&s->flow.filter, true, false, false, true, false,
	    true);
	pppfilter_out(&s->flow.filter, ncp, sizeof(ncp));
	s->flow.channel.kind = CHANNEL_L2TP;
	s->has_fast = has_fast;
}

static void
begin(void)
{
	memset(call, 0, sizeof(call));
	memset(state, 0, sizeof(state));
	memset(&fast, 0, sizeof(fast));
	fast.state = state;
	memset(queue, 0, sizeof(queue));
	now = 1000000;
	dev = (struct offload_dev){ .ifindex = OUR_IFINDEX,
	    .near = htonl(0xa9fe0a0a), .far = htonl(0xa9fe0a0b),
	    .kernel_port = htons(4001), .relay_port = htons(4002),
	    .tunnel = htons(99), .home_hash = { 0, HASH, HASH + (1u << 31) } };
	cpu = 0;
	memcpy(&call[CALL].peer, peer, 4);
	memcpy(&call[CALL].own, own, 4);
	call[CALL].ifindex = CLIENT_IFINDEX;
	call[CALL].mtu = 1500;
	call[CALL].hash = HASH;
	call[CALL].home = 1;
	call[CALL].peer_call = htons(17);
	side_init(&plain, false);
	side_init(&fast_side, true);
}

static int
set_up(void **state_)
{
	(void)state_;
	room = mmap((void *)(uintptr_t)0x20000000, 2 * ROOM,
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED || (uintptr_t)room > 0x7fffffff)
		return -1;
	return 0;
}

/* --- the client ---------------------------------------------------------------- */

static uint32_t client_seq;
static uint16_t client_count;
static uint32_t serial;

static void
put_id(struct frame *f)
{
	serial++;
	memcpy(f->byte + f->len, &serial, 4);
	f->len += 6 + rnd(20);	/* very short ones go to user space */
}

static struct frame
mppe_frame(uint32_t seq, uint16_t count, unsigned form)
{
	static const uint8_t head[4][4] = { { 0xff, 0x03, 0x00, 0xfd },
	    { 0x00, 0xfd }, { 0xfd }, { 0xff, 0x03, 0xfd } };
	static const size_t size[4] = { 4, 2, 1, 3 };
	struct frame f = { .seq = seq, .len = size[form] };

	memcpy(f.byte, head[form], f.len);
	f.byte[f.len++] = (uint8_t)(0x90 | (count >> 8 & 0x0f));
	f.byte[f.len++] = (uint8_t)count;
	put_id(&f);
	return f;
}

static struct frame
other_frame(uint32_t seq, uint16_t protocol)
{
	struct frame f = { .seq = seq, .len = 8, .byte = { 0xff, 0x03,
	    (uint8_t)(protocol >> 8), (uint8_t)protocol, 9, 1, 0, 12 } };

	put_id(&f);
	return f;
}

static struct frame
next_frame(void)
{
	if (rnd(20) == 0)
		return other_frame(client_seq++, 0xc021);
	client_count = (client_count + 1) & 0xfff;
	return mppe_frame(client_seq++, client_count, rnd(4));
}

static void
both(const struct frame *f)
{
	bool ack = rnd(2);

	cpu = rnd(10) == 0 ? !cpu : cpu;
	input(&plain, f, ack);
	input(&fast_side, f, ack);
	empty_queues();
	if (rnd(4) != 0)
		fast_give(&fast_side.flow, now);
}

static void
tick(uint64_t us)
{
	now += us;
	expire(&plain);
	expire(&fast_side);
	empty_queues();
	if (rnd(3) == 0)
		fast_look(&fast_side.flow, now);
	fast_give(&fast_side.flow, now);
}

static void
trouble(void)
{
	struct frame a, b;

	switch (rnd(12)) {
	case 0:			/* loss, of one or of many */
		for (uint32_t n = rnd(5) ? 1 : rnd(5000); n > 0; n--)
			next_frame();
		break;
	case 1:			/* two change places */
	case 2:
		a = next_frame();
		b = next_frame();
		both(&b);
		tick(rnd(400));
		both(&a);
		break;
	case 3:			/* twice */
		a = next_frame();
		both(&a);
		both(&a);
		break;
	case 4:			/* so late that it was given up */
		a = next_frame();
		for (int i = 0; i < 5; i++) {
			b = next_frame();
			both(&b);
		}
		tick(rnd(60000));
		both(&a);
		break;
	case 5:			/* from the past */
		a = mppe_frame(client_seq - 1 - rnd(300),
		    (uint16_t)rnd(4096), 0);
		both(&a);
		break;
	case 6:			/* forged, far ahead */
		a = mppe_frame(client_seq + rnd(0x7fffffff),
		    (uint16_t)rnd(4096), 0);
		both(&a);
		break;
	case 7:			/* forged, the next number */
		a = mppe_frame(client_seq, (uint16_t)rnd(4096), rnd(4));
		both(&a);
		break;
	case 8:
		a = other_frame(client_seq, rnd(2) ? 0x0021 : 0x0057);
		both(&a);
		break;
	case 9:
		a = other_frame(client_seq, rnd(2) ? 0x8057 : 0xc023);
		both(&a);
		break;
	case 10:		/* quiet, and sometimes another numbering */
		tick(rnd(3000000));
		if (rnd(8) == 0)
			client_seq = rnd(2) ? client_seq - 100 : rnd(UINT32_MAX);
		break;
	case 11:
		tick(rnd(100000));
		break;
	}
}

static void
compare(uint64_t seed)
{
	for (unsigned i = 0; i < plain.n_got && i < fast_side.n_got; i++)
		if (memcmp(&plain.got[i], &fast_side.got[i],
		    sizeof(plain.got[i])) != 0)
			fail_msg("seed %llu: frame %u of %u, %u differs: "
			    "numbers %u, %u", (unsigned long long)seed, i,
			    plain.n_got, fast_side.n_got, plain.got[i].seq,
			    fast_side.got[i].seq);
	if (plain.n_got != fast_side.n_got)
		fail_msg("seed %llu: %u frames without, %u with",
		    (unsigned long long)seed, plain.n_got, fast_side.n_got);
}

static void
same_frames_reach_ppp(void **state_)
{
	static const uint32_t first[] = { 0, 1, 0xffffffff, 0xfffffff0,
	    0x7ffffff8, 123456 };
	unsigned forwarded = 0, all = 0;

	(void)state_;
	for (uint64_t seed = 1; seed <= 500; seed++) {
		begin();
		rng = seed;
		client_seq = first[seed % 6];
		client_count = (uint16_t)rnd(4096);
		for (int i = 0; i < 3; i++) {
			struct frame f = other_frame(client_seq++, 0xc021);

			both(&f);
		}
		fast_start(&fast, &fast_side.flow);
		for (int i = 0; i < 300; i++) {
			if (rnd(10) == 0) {
				trouble();
			} else {
				struct frame f = next_frame();

				both(&f);
			}
			if (rnd(3) == 0)
				tick(rnd(2000));
		}
		tick(100000);
		fast_look(&fast_side.flow, now);
		compare(seed);
		assert_int_equal(plain.flow.reorder.expected,
		    fast_side.flow.reorder.expected);
		assert_int_equal(plain.flow.reorder.highest,
		    fast_side.flow.reorder.highest);
		forwarded += fast_side.flow.counts.fast_rx;
		all += plain.n_got;
	}
	/* Else this test would show nothing. */
	assert_true(forwarded > all / 3);
}

/* --- one by one ---------------------------------------------------------------- */

/* A call whose next frame the program forwards. */
static struct frame
ready(uint32_t seq)
{
	struct frame f = mppe_frame(seq, 7, 0);

	begin();
	input(&fast_side, &f, false);
	empty_queues();
	fast_start(&fast, &fast_side.flow);
	fast_give(&fast_side.flow, now);
	assert_true(state[CALL].word & OFFLOAD_FAST);
	return mppe_frame(seq + 1, 8, 0);
}

/* TC_ACT_UNSPEC: it is forwarded, TC_ACT_REDIRECT: left to user space, in the
 * end. */
static int
judge_packet(const uint8_t *packet, size_t len)
{
	struct __sk_buff skb = skb_of(packet, len);
	int r = pptpctrl_in(&skb);

	if (r != TC_ACT_REDIRECT) {
		assert_memory_equal(room + HEADROOM, packet, len);
		return TC_ACT_REDIRECT;
	}
	skb.pkt_type = PACKET_OTHERHOST;
	do
		r = pptpctrl_queued(&skb);
	while (r == TC_ACT_REDIRECT && redirected == OUR_IFINDEX);
	if (r == TC_ACT_REDIRECT)
		take_back(&skb, packet, len);
	else if (r == TC_ACT_UNSPEC)
		expect_l2tp(&skb);
	return r;
}

static void
fix_sum(uint8_t *packet)
{
	uint16_t sum;

	packet[24] = packet[25] = 0;
	sum = ip_sum((const struct iphdr *)(const void *)(packet + 14));
	memcpy(packet + 24, &sum, 2);
}

static void
what_is_not_expected_is_untouched(void **state_)
{
	/* Where, and what is put there; fix the IP header's sum? */
	static const struct {
		uint8_t at, value;
		bool fix;
	} wrong[] = {
		{ 14, 0x46, true }, { 14, 0x65, true },	/* options, version 6 */
		{ 20, 0x20, true }, { 21, 0x01, true },	/* fragments */
		{ 23, 17, true }, { 29, 9, true }, { 33, 9, true },
		{ 25, 0x55, false },			/* sum */
		{ 34, 0xb0, true }, { 34, 0x70, true },	/* GRE's C, R */
		{ 34, 0x38, true }, { 34, 0x20, true },	/* s, no S */
		{ 35, 0x00, true }, { 35, 0x02, true },	/* version */
		{ 36, 0x08, true }, { 37, 0x0c, true },
		{ 38, 0x01, true }, { 41, 0x35, true },	/* length, call */
		{ 42, 0x80, true }, { 45, 0x99, true },	/* number */
		{ 49, 0x21, true }, { 49, 0xff, true },	/* protocol */
		{ 50, 0x80, true }, { 51, 0x09, true },	/* MPPE's bits, count */
	};
	struct frame f;
	uint8_t packet[256];
	size_t len;

	(void)state_;
	rng = 5;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		f = ready(100);
		len = gre_packet(packet, &f, false);
		packet[wrong[i].at] = wrong[i].value;
		if (wrong[i].fix)
			fix_sum(packet);
		if (judge_packet(packet, len) != TC_ACT_REDIRECT)
			fail_msg("byte %u as %02x", wrong[i].at,
			    wrong[i].value);
		len = gre_packet(packet, &f, false);
		assert_int_equal(judge_packet(packet, len), TC_ACT_UNSPEC);
	}
	/* Too short for the kernel's L2TP. */
	f = ready(100);
	f.len = 7;
	len = gre_packet(packet, &f, false);
	assert_int_equal(judge_packet(packet, len + 20), TC_ACT_REDIRECT);
	f.len = 8;
	len = gre_packet(packet, &f, false);
	assert_int_equal(judge_packet(packet, len + 20), TC_ACT_UNSPEC);
}

static void
not_for_us_or_paused(void **state_)
{
	struct frame f = ready(100);
	struct __sk_buff skb;
	uint8_t packet[256];
	size_t len = gre_packet(packet, &f, true);

	(void)state_;
	skb = skb_of(packet, len);
	skb.pkt_type = PACKET_OTHERHOST;
	assert_int_equal(pptpctrl_in(&skb), TC_ACT_UNSPEC);
	skb = skb_of(packet, len);
	skb.vlan_present = 1;
	assert_int_equal(pptpctrl_in(&skb), TC_ACT_UNSPEC);
	skb = skb_of(packet, len);
	skb.gso_segs = 2;
	assert_int_equal(pptpctrl_in(&skb), TC_ACT_UNSPEC);
	skb = skb_of(packet, len);
	skb.tc_index = 1;	/* somebody else's */
	assert_int_equal(pptpctrl_in(&skb), TC_ACT_UNSPEC);
	skb = skb_of(packet, len);
	skb.ifindex = OFFLOAD_BACK;
	assert_int_equal(pptpctrl_in(&skb), TC_ACT_UNSPEC);
	dev.paused = 1;
	assert_int_equal(judge_packet(packet, len), TC_ACT_REDIRECT);
	dev.paused = 0;
	memset(&call[CALL], 0, sizeof(call[CALL]));
	assert_int_equal(judge_packet(packet, len), TC_ACT_REDIRECT);
}

/* In which no frame stays in a queue or in PPP. */
static void
silence(void)
{
	empty_queues();
	now += SILENCE * TICK_US;
}

/* Some frames leave the queue of any CPU; what is AHEAD_MAX behind would be of
 * the far past. */
static void
some_leave(uint32_t n)
{
	uint32_t here = cpu;

	for (cpu = rnd(3) == 0 ? !here : here; n > 0 && any_queued(); n--)
		leave_queue();
	cpu = here;
	if (queue[0].tail - queue[0].head + queue[1].tail - queue[1].head >=
	    AHEAD_MAX)
		empty_queues();
}

/* The worker's frames and the program's meet in a queue, which lags behind,
 * and now and then come to another CPU: all arrive, in order. */
static void
the_queue_keeps_order(void **state_)
{
	unsigned forwarded = 0, moves = 0;

	(void)state_;
	for (uint64_t seed = 1; seed <= 500; seed++) {
		uint32_t home = 0;

		rng = seed;
		client_seq = (uint32_t)seed * 3 - 9;
		ready(client_seq);
		client_count = 7;
		client_seq++;
		for (int i = 0; i < 300; i++) {
			struct frame f = next_frame();

			if (rnd(seed % 3 ? 50 : 5) == 0)
				cpu = !cpu;
			input(&fast_side, &f, rnd(2));
			if (rnd(3) == 0)
				fast_give(&fast_side.flow, now);
			some_leave(rnd(seed % 2 ? 3 : 6));
			now += rnd(20);
			if (seed % 2 == 0 && rnd(60) == 0)
				silence();
			if (home != OFFLOAD_HOME(state[CALL].word))
				moves++;
			home = OFFLOAD_HOME(state[CALL].word);
		}
		empty_queues();
		fast_look(&fast_side.flow, now);
		for (unsigned i = 0; i < fast_side.n_got; i++)
			if (fast_side.got[i].seq != client_seq - 301 + i)
				fail_msg("seed %llu: frame %u has number %u",
				    (unsigned long long)seed, i,
				    fast_side.got[i].seq);
		assert_int_equal(fast_side.n_got, 301);
		forwarded += fast_side.flow.counts.fast_rx;
	}
	assert_true(forwarded > 500 * 300 / 10);
	assert_true(moves > 100);
}

/* So many frames come, in turn to so many CPUs, from the one on at which the
 * last came; returns the call's home. */
static uint32_t
home_after(unsigned frames, unsigned cpus)
{
	for (; frames > 0; frames--) {
		struct frame f = mppe_frame(client_seq++, ++client_count, 0);

		cpu = cpus > 1 ? !cpu : cpu;
		input(&fast_side, &f, false);
		empty_queues();
	}
	return OFFLOAD_HOME(state[CALL].word);
}

static void
home_is_where_frames_come(void **state_)
{
	(void)state_;
	client_seq = ready(100).seq;
	client_count = 7;
	assert_int_equal(home_after(5, 1), 0);
	silence();
	cpu = 1;
	assert_int_equal(home_after(1000, 1), 2);
	/* One that strays changes nothing, many do. */
	home_after(1, 2);
	cpu = 1;
	assert_int_equal(home_after(100, 1), 2);
	assert_int_equal(home_after(2 * AWAY_MAX, 2), 2);
	assert_int_equal(home_after(2 * AWAY_MAX + 4, 2), 1);
	cpu = 1;
	assert_int_equal(home_after(200, 1), 1);
	silence();
	assert_int_equal(home_after(1, 1), 2);
	assert_int_equal(fast_side.n_got, client_seq - 100);
}

/* A frame that comes a little early, since the one before it is still with
 * another CPU, stays in the queue for a while. */
static void
a_little_early(void **state_)
{
	struct frame a = ready(100), b = mppe_frame(102, 9, 0);
	struct frame c = mppe_frame(104, 11, 0);
	uint8_t packet[256];
	size_t len = gre_packet(packet, &b, false);
	unsigned times = 0;

	(void)state_;
	assert_true(enter(&b, packet, len));
	for (int i = 0; i < 5; i++)
		leave_queue();
	len = gre_packet(packet, &a, false);
	assert_true(enter(&a, packet, len));
	empty_queues();
	fast_look(&fast_side.flow, now);
	assert_int_equal(fast_side.flow.counts.fast_rx, 2);
	assert_int_equal(fast_side.got[1].seq, 101);
	assert_int_equal(fast_side.got[2].seq, 102);
	/* But not for ever. */
	len = gre_packet(packet, &c, false);
	assert_true(enter(&c, packet, len));
	for (; any_queued(); times++)
		leave_queue();
	assert_int_equal(times, AGAIN_MAX + 1);
	assert_false(state[CALL].word & OFFLOAD_FAST);
}

/* Frames of the worker's that do not arrive are waited for a while. */
static void
lost_ones_are_forgotten(void **state_)
{
	struct frame f = ready(100);
	uint8_t packet[256];
	size_t len = gre_packet(packet, &f, false);

	(void)state_;
	fast_look(&fast_side.flow, now);
	fast_take(&fast_side.flow, now);
	fast_side.flow.channel.n_put += 2;
	fast_give(&fast_side.flow, now);
	assert_int_equal(judge_packet(packet, len), TC_ACT_REDIRECT);
	for (int i = 0; i < 2; i++) {
		now += 49999;
		fast_look(&fast_side.flow, now);
		fast_take(&fast_side.flow, now);
		fast_give(&fast_side.flow, now);
		assert_int_equal(judge_packet(packet, len), TC_ACT_REDIRECT);
	}
	now += 2;
	fast_look(&fast_side.flow, now);
	fast_take(&fast_side.flow, now);
	fast_give(&fast_side.flow, now);
	assert_int_equal(judge_packet(packet, len), TC_ACT_UNSPEC);
}

/* --- to the client ------------------------------------------------------------- */

static struct __sk_buff
from_tunnel(const struct frame *f, bool from_relay)
{
	uint8_t body[128] = { 0 }, packet[256];
	uint16_t word;
	size_t len = 14 + f->len;
	uint8_t near[4], far[4];

	memcpy(near, &dev.near, 4);
	memcpy(far, &dev.far, 4);
	memcpy(body, from_relay ? &dev.relay_port : &dev.kernel_port, 2);
	memcpy(body + 2, from_relay ? &dev.kernel_port : &dev.relay_port, 2);
	word = htons((uint16_t)len);
	memcpy(body + 4, &word, 2);
	body[9] = 2;
	memcpy(body + 10, &dev.tunnel, 2);
	body[12] = CALL >> 8;
	body[13] = CALL & 0xff;
	memcpy(body + 14, f->byte, f->len);
	return skb_of(packet, ip_packet(packet, 17, near, far, body, len));
}

static void
expect_reflected(struct __sk_buff skb)
{
	const uint8_t *p = (const uint8_t *)(uintptr_t)skb.data;

	redirected = 0;
	assert_int_equal(pptpctrl_out(&skb), TC_ACT_REDIRECT);
	assert_int_equal(redirected, OUR_IFINDEX);
	assert_memory_equal(p + 26, &dev.far, 4);
	assert_memory_equal(p + 30, &dev.near, 4);
	assert_int_equal(ip_sum((const struct iphdr *)(const void *)(p + 14)),
	    0);
}

static struct gre_pkt
expect_sent(struct __sk_buff skb)
{
	const uint8_t *p, *gre;
	struct gre_pkt pkt;
	uint32_t src, dst;
	size_t len;

	redirected = 0;
	assert_int_equal(pptpctrl_out(&skb), TC_ACT_REDIRECT);
	assert_int_equal(redirected, CLIENT_IFINDEX);
	p = (const uint8_t *)(uintptr_t)skb.data + 14;
	assert_int_equal(ip_sum((const struct iphdr *)(const void *)p), 0);
	assert_true(gre_strip_ip(p, skb.len - 14, &src, &dst, &gre, &len));
	assert_memory_equal(&src, own, 4);
	assert_memory_equal(&dst, peer, 4);
	assert_int_equal(gre_parse(gre, len, &pkt), GRE_OK);
	assert_int_equal(pkt.call_id, 17);
	return pkt;
}

/* Give the program its turn with frames to the client. */
static void
give_out(void)
{
	if (fast_may_give_out(&fast_side.flow))
		fast_give_out(&fast_side.flow, now);
}

/* The worker reads one from the tunnel's socket. */
static void
read_out(void)
{
	fast_take_out(&fast, CALL, &fast_side.flow);
}

static void
to_the_client(void **state_)
{
	struct frame f = ready(500), data = mppe_frame(0, 3, 2);
	struct gre_pkt pkt;

	(void)state_;
	/* Before it is given a frame goes to user space. */
	expect_reflected(from_tunnel(&data, false));
	read_out();
	give_out();
	/* The first acknowledges what came before. */
	pkt = expect_sent(from_tunnel(&data, false));
	assert_int_equal(pkt.seq, 0);
	assert_int_equal(pkt.payload_len, data.len);
	assert_memory_equal(pkt.payload, data.byte, data.len);
	pkt = expect_sent(from_tunnel(&data, false));
	assert_int_equal(pkt.seq, 1);
	assert_false(pkt.has_ack);
	input(&fast_side, &f, false);
	empty_queues();
	pkt = expect_sent(from_tunnel(&data, false));
	assert_true(pkt.has_ack);
	assert_int_equal(pkt.ack, 501);
	/* What the relay sends is not a call's. */
	expect_reflected(from_tunnel(&data, true));
	pkt = expect_sent(from_tunnel(&data, false));
	assert_int_equal(pkt.seq, 3);
	fast_stop(&fast_side.flow, now);
	expect_reflected(from_tunnel(&data, false));
	assert_int_equal(fast_side.flow.counts.fast_tx, 4);
}

/* What the program may not send goes to the worker, and all that follows,
 * until the worker has sent it: so numbers leave in order. */
static void
the_worker_has_its_turn(void **state_)
{
	struct frame data = mppe_frame(0, 3, 2), ip, echo, small;

	(void)state_;
	ready(500);
	echo = other_frame(0, 0xc021);
	ip = other_frame(0, 0x0021);
	small = (struct frame){ .len = 5, .byte = { 0xff, 0x03, 0x80, 0xfd, 5 } };
	for (int i = 0; i < 6; i++) {
		give_out();
		expect_sent(from_tunnel(&data, false));
		if (i == 3)
			call[CALL].mtu = 40;
		if (i == 4)
			call[CALL].ifindex = 0;
		if (i == 5)
			dev.paused = 1;
		expect_reflected(from_tunnel(i == 0 ? &echo : i == 1 ? &ip :
		    i == 2 ? &small : &data, false));
		call[CALL].mtu = 1500;
		call[CALL].ifindex = CLIENT_IFINDEX;
		dev.paused = 0;
		expect_reflected(from_tunnel(&data, false));
		/* One of the two is on its way to the worker. */
		read_out();
		give_out();
		expect_reflected(from_tunnel(&data, false));
		read_out();
		assert_true(fast_may_give_out(&fast_side.flow));
		expect_reflected(from_tunnel(&data, false));
		read_out();
		read_out();
		/* The last came after the look. */
		fast_give_out(&fast_side.flow, now);
		assert_int_equal(fast_tx_number(&fast_side.flow), 2 * i + 1);
		assert_false(state[CALL].out & OFFLOAD_OUT_FAST);
	}
	assert_int_equal(state[CALL].tx_next, 12);
}

/* A frame that is lost between the program and the worker. */
static void
a_lost_frame_is_not_waited_for(void **state_)
{
	struct frame data = mppe_frame(0, 3, 2);

	(void)state_;
	ready(500);
	expect_reflected(from_tunnel(&data, false));
	give_out();
	now += 500000;
	expect_reflected(from_tunnel(&data, false));
	give_out();	/* two are missing: another count */
	read_out();
	give_out();
	now += 999999;
	give_out();
	give_out();
	assert_false(state[CALL].out & OFFLOAD_OUT_FAST);
	expect_reflected(from_tunnel(&data, false));
	read_out();
	now += 1;
	give_out();
	give_out();
	expect_sent(from_tunnel(&data, false));
	/* The client has said goodbye: the worker answers for it. */
	fast_side.flow.client_gone = true;
	data = other_frame(0, 0xc021);
	expect_reflected(from_tunnel(&data, false));
	read_out();
	give_out();
	assert_false(state[CALL].out & OFFLOAD_OUT_FAST);
}

/* While the tunnel goes by lo nothing passes the program. */
static void
frames_that_come_past_it_count_for_nothing(void **state_)
{
	struct frame data = mppe_frame(0, 3, 2);

	(void)state_;
	ready(500);
	give_out();
	for (int i = 0; i < 3; i++) {
		read_out();
		assert_false(state[CALL].out & OFFLOAD_OUT_FAST);
		give_out();
		assert_true(state[CALL].out & OFFLOAD_OUT_FAST);
	}
	expect_sent(from_tunnel(&data, false));
}

/* A worker that takes over finds the numbers where the program is. */
static void
another_worker_goes_on(void **state_)
{
	struct frame f = ready(500);
	struct frame data = mppe_frame(0, 3, 2);

	(void)state_;
	input(&fast_side, &f, false);
	empty_queues();
	give_out();
	expect_sent(from_tunnel(&data, false));
	memset(&fast_side.flow.fast, 0, sizeof(fast_side.flow.fast));
	fast_start(&fast, &fast_side.flow);
	assert_true(fast_look(&fast_side.flow, now));
	assert_int_equal(fast_side.flow.reorder.expected, 502);
	assert_int_equal(fast_side.flow.gre.tx_next, 1);
	assert_int_equal(fast_side.flow.filter.mppe_count, 8);
	f = mppe_frame(502, 9, 1);
	input(&fast_side, &f, false);
	empty_queues();
	assert_int_equal(fast_side.n_got, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_frames_reach_ppp),
		cmocka_unit_test(what_is_not_expected_is_untouched),
		cmocka_unit_test(not_for_us_or_paused),
		cmocka_unit_test(the_queue_keeps_order),
		cmocka_unit_test(home_is_where_frames_come),
		cmocka_unit_test(a_little_early),
		cmocka_unit_test(lost_ones_are_forgotten),
		cmocka_unit_test(to_the_client),
		cmocka_unit_test(the_worker_has_its_turn),
		cmocka_unit_test(a_lost_frame_is_not_waited_for),
		cmocka_unit_test(frames_that_come_past_it_count_for_nothing),
		cmocka_unit_test(another_worker_goes_on),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
