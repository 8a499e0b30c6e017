/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fast path's programs as this machine's kernel runs them, verified and
 * compiled by it: packet by packet through BPF_PROG_TEST_RUN.  What the relay
 * makes of all this is tests/unit/test_offload.c's.  Needs root; exits with 77
 * where the kernel does not let it.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/offload.h"

#define IP		14	/* where it begins */
#define BODY		34	/* after it */
#define PACKET_MAX	2100
#define CALL		0x1234
#define PEER_CALL	0x0017
#define SEQ		7000u
#define KERNEL_PORT	4001
#define RELAY_PORT	4002
#define TUNNEL		99
#define MTU		1500
#define UNTOUCHED	((uint32_t)TC_ACT_UNSPEC)
/* Of from_network: left to user space as it was, or changed on the way. */
#define LEFT		1000u
#define BROKEN		1001u

extern const uint8_t programs[], programs_end[];
__asm__(".section .rodata\n"
    ".balign 8\n"
    ".globl programs, programs_end\n"
    "programs: .incbin \"" OFFLOAD_OBJECT "\"\n"
    "programs_end:\n"
    ".previous\n");

static const uint8_t peer[4] = { 198, 18, 1, 1 }, own[4] = { 198, 18, 0, 1 },
    near[4] = { 169, 254, 9, 8 }, far[4] = { 169, 254, 9, 9 };

static struct bpf_object *obj;
static unsigned n_cases, n_failed;

static void
verdict(const char *name, bool good, const char *what)
{
	n_cases++;
	n_failed += !good;
	printf("%s %s%s%s\n", good ? "ok" : "FAILED", name, good ? "" : ": ",
	    good ? "" : what);
}

/* --- maps ------------------------------------------------------------------ */

static int
map(const char *name)
{
	return bpf_object__find_map_fd_by_name(obj, name);
}

static void
set(const char *name, uint32_t key, const void *value)
{
	if (bpf_map_update_elem(map(name), &key, value, BPF_ANY) < 0) {
		perror(name);
		exit(1);
	}
}

static struct offload_state
state(void)
{
	struct offload_state st;
	uint32_t key = CALL;

	bpf_map_lookup_elem(map("state_map"), &key, &st);
	return st;
}

/* One call, whose next frame is SEQ and of MPPE's count 5; both directions
 * are the programs'. */
static void
begin(bool paused)
{
	struct offload_dev dev = { .ifindex = 7,
	    .kernel_port = htons(KERNEL_PORT), .tunnel = htons(TUNNEL),
	    .relay_port = htons(RELAY_PORT), .paused = paused };
	struct offload_call call = { .ifindex = 8, .mtu = MTU,
	    .peer_call = htons(PEER_CALL) };
	struct offload_state st = { .started = 1, .protocol = 0xfd,
	    .check_count = 1,
	    .delta = 5 - SEQ, .out = OFFLOAD_OUT_FAST, .tx_next = 300,
	    .acked = SEQ - 1 };

	st.word = OFFLOAD_WORD(SEQ, OFFLOAD_FAST);
	memcpy(&dev.near, near, 4);
	memcpy(&dev.far, far, 4);
	memcpy(&call.peer, peer, 4);
	memcpy(&call.own, own, 4);
	set("dev_map", 0, &dev);
	set("call_map", CALL, &call);
	set("state_map", CALL, &st);
}

/* --- packets --------------------------------------------------------------- */

struct packet {
	uint8_t byte[PACKET_MAX];
	uint32_t len;
};

static void
put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static unsigned
get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static void
put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value & 0xffff);
}

static uint32_t
get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

/* 0 for a header whose sum is right. */
static unsigned
ip_sum(const uint8_t *ip)
{
	unsigned sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += get16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static void
fix_sum(struct packet *p)
{
	put16(p->byte + IP + 10, 0);
	put16(p->byte + IP + 10, ip_sum(p->byte + IP));
}

static void
ip_header(struct packet *p, uint8_t protocol, const uint8_t *source,
    const uint8_t *destination)
{
	uint8_t *ip = p->byte + IP;

	put16(p->byte + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, p->len - IP);
	ip[8] = 60;
	ip[9] = protocol;
	memcpy(ip + 12, source, 4);
	memcpy(ip + 16, destination, 4);
	fix_sum(p);
}

/* An MPPE frame of that count. */
static uint32_t
mppe(uint8_t *to, unsigned count)
{
	static const uint8_t head[] = { 0xff, 0x03, 0x00, 0xfd };

	memcpy(to, head, sizeof(head));
	put16(to + 4, 0x9000 | count);
	memset(to + 6, 0xa5, 40);
	return 46;
}

/* From the client. */
static struct packet
gre(bool ack, uint32_t seq, unsigned count)
{
	uint32_t head = ack ? 16 : 12, payload;
	struct packet p = { .len = 0 };
	uint8_t *at = p.byte + BODY;

	put16(at, ack ? 0x3081 : 0x3001);
	put16(at + 2, 0x880b);
	put16(at + 6, CALL);
	put32(at + 8, seq);
	payload = mppe(at + head, count);
	put16(at + 4, payload);
	p.len = BODY + head + payload;
	ip_header(&p, 47, peer, own);
	return p;
}

/* From the tunnel's socket, or the relay's. */
static struct packet
l2tp(unsigned source, unsigned destination)
{
	struct packet p = { .len = 0 };
	uint8_t *at = p.byte + BODY;
	uint32_t payload = mppe(at + 14, 9);

	put16(at, source);
	put16(at + 2, destination);
	put16(at + 4, 14 + payload);
	put16(at + 8, 2);
	put16(at + 10, TUNNEL);
	put16(at + 12, CALL);
	p.len = BODY + 14 + payload;
	ip_header(&p, 17, near, far);
	return p;
}

static uint32_t
run(const char *program, const struct packet *in, struct packet *out)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->byte,
	    .data_size_in = in->len, .data_out = out->byte,
	    .data_size_out = sizeof(out->byte), .repeat = 1);
	int fd = bpf_program__fd(bpf_object__find_program_by_name(obj,
	    program));

	if (bpf_prog_test_run_opts(fd, &opts) < 0) {
		fprintf(stderr, "%s: BPF_PROG_TEST_RUN: %s\n", program,
		    strerror(errno));
		exit(errno == ENOSYS ? 77 : 1);
	}
	out->len = opts.data_size_out;
	return opts.retval;
}

static bool
same(const struct packet *a, const struct packet *b)
{
	return a->len == b->len && memcmp(a->byte, b->byte, a->len) == 0;
}

/* --- from the client ------------------------------------------------------- */

/* Through both programs; what the kernel does between them it leaves out. */
static uint32_t
from_network(const struct packet *in, struct packet *out)
{
	uint32_t r = run("pptpctrl_in", in, out);

	if (r == UNTOUCHED || !same(in, out))
		return r == UNTOUCHED && same(in, out) ? LEFT : BROKEN;
	r = run("pptpctrl_queued", in, out);
	return r != TC_ACT_REDIRECT ? r : same(in, out) ? LEFT : BROKEN;
}

static void
forwarded(const char *name, const struct packet *in)
{
	const uint8_t *from = in->byte + BODY, *to;
	uint32_t payload = get16(from + 4), seq = get32(from + 8);
	uint32_t head = from[1] & 0x80 ? 16 : 12;
	struct packet out;

	if (from_network(in, &out) != UNTOUCHED) {
		verdict(name, false, "not forwarded");
		return;
	}
	to = out.byte + BODY;
	verdict(name, get16(out.byte + IP + 2) == 34 + payload &&
	    out.len == in->len - head + 14 && ip_sum(out.byte + IP) == 0 &&
	    out.byte[IP + 9] == 17 && memcmp(out.byte + IP + 12, far, 4) == 0 &&
	    memcmp(out.byte + IP + 16, near, 4) == 0 &&
	    get16(to) == RELAY_PORT && get16(to + 2) == KERNEL_PORT &&
	    get16(to + 4) == 14 + payload && get16(to + 6) == 0 &&
	    get16(to + 8) == 2 && get16(to + 10) == TUNNEL &&
	    get16(to + 12) == CALL &&
	    memcmp(to + 14, from + head, payload) == 0 &&
	    OFFLOAD_EXPECTED(state().word) == seq + 1,
	    "what is forwarded is not the client's frame in L2TP");
}

static void
untouched(const char *name, const struct packet *in)
{
	struct offload_state before = state(), after;
	struct packet out;
	uint32_t r = from_network(in, &out);

	after = state();
	verdict(name, r == LEFT && memcmp(&before, &after, sizeof(before)) == 0,
	    "not left to user space as it was");
}

/* One byte of the expected frame is another, and IP's sum right. */
static void
differs(const char *name, uint32_t at, uint8_t value)
{
	struct packet p = gre(false, SEQ, 5);

	begin(false);
	p.byte[at] = value;
	fix_sum(&p);
	untouched(name, &p);
}

/* A frame of the worker's that is queued behind goes first. */
static void
waits_for_the_worker(void)
{
	struct packet p = gre(false, SEQ, 5), out;
	struct packet other = l2tp(RELAY_PORT, KERNEL_PORT);
	struct offload_state st;

	begin(false);
	st = state();
	st.arrived = UINT32_MAX;
	st.after = 0;
	set("state_map", CALL, &st);
	untouched("a frame of the worker's is underway", &p);
	run("pptpctrl_out", &other, &out);
	other = out;
	verdict("the worker's", run("pptpctrl_queued", &other, &out) ==
	    UNTOUCHED && same(&other, &out) && state().arrived == 0,
	    "changed, or not counted");
	forwarded("after it", &p);
}

static void
from_client(void)
{
	struct packet p = gre(false, SEQ, 5), out;

	begin(false);
	forwarded("expected", &p);
	verdict("late", from_network(&p, &out) == TC_ACT_SHOT &&
	    state().late == 1 && OFFLOAD_EXPECTED(state().word) == SEQ + 1,
	    "not dropped and counted");
	p = gre(true, SEQ + 1, 6);
	forwarded("expected, with an acknowledgment", &p);
	p = gre(false, SEQ + 2, 7);
	p.len += 9;
	forwarded("filled up behind IP's end", &p);
	p = gre(false, SEQ + 4, 9);
	untouched("jump ahead", &p);
	p = gre(false, SEQ - 1000, 9);
	untouched("far behind", &p);

	differs("IP options", IP, 0x46);
	differs("fragment", IP + 6, 0x20);
	differs("other protocol", IP + 9, 17);
	differs("foreign source", IP + 15, 9);
	differs("other destination", IP + 19, 9);
	differs("lone acknowledgment", BODY, 0x20);
	differs("other version of GRE", BODY + 1, 0x00);
	differs("not PPP", BODY + 2, 0x08);
	differs("longer than IP's length", BODY + 4, 0x01);
	differs("empty", BODY + 5, 0x00);
	differs("other call", BODY + 7, 0x35);
	differs("PPP control", BODY + 14, 0xc0);
	differs("plaintext", BODY + 15, 0x21);
	differs("MPPE's bits", BODY + 16, 0x80);
	differs("MPPE's count", BODY + 17, 0x06);

	begin(false);
	p = gre(false, SEQ, 5);
	p.byte[IP + 10] ^= 1;
	untouched("wrong sum", &p);
	begin(true);
	p = gre(false, SEQ, 5);
	untouched("paused", &p);
	begin(false);
	p.len = BODY + 12 + 1601;
	put16(p.byte + BODY + 4, 1601);
	put16(p.byte + IP + 2, p.len - IP);
	fix_sum(&p);
	untouched("oversize", &p);
	/* The kernel's L2TP takes 8 bytes, and no less. */
	begin(false);
	p = gre(false, SEQ, 5);
	p.len = BODY + 12 + 7;
	put16(p.byte + BODY + 4, 7);
	put16(p.byte + IP + 2, p.len - IP);
	fix_sum(&p);
	p.len += 20;
	untouched("too short", &p);
	put16(p.byte + BODY + 4, 8);
	put16(p.byte + IP + 2, 20 + 12 + 8);
	fix_sum(&p);
	forwarded("just long enough", &p);
	p = gre(false, SEQ, 5);
	begin(false);
	set("state_map", CALL, &(struct offload_state){ .started = 1,
	    .word = OFFLOAD_WORD(SEQ, 0), .protocol = 0xfd });
	untouched("user space's turn", &p);
	set("state_map", CALL, &(struct offload_state){ .protocol = 0xfd,
	    .word = OFFLOAD_WORD(SEQ, OFFLOAD_FAST) });
	untouched("not begun", &p);
	waits_for_the_worker();
}

/* --- from the tunnel ------------------------------------------------------- */

static void
sent(const char *name, const struct packet *in, uint32_t seq, bool ack)
{
	uint32_t payload = in->len - BODY - 14, head = ack ? 16 : 12;
	const uint8_t *to;
	struct packet out;

	if (run("pptpctrl_out", in, &out) != TC_ACT_REDIRECT) {
		verdict(name, false, "not sent");
		return;
	}
	to = out.byte + BODY;
	verdict(name, out.len == BODY + head + payload &&
	    ip_sum(out.byte + IP) == 0 &&
	    get16(out.byte + IP + 2) == out.len - IP &&
	    out.byte[IP + 9] == 47 && memcmp(out.byte + IP + 12, own, 4) == 0 &&
	    memcmp(out.byte + IP + 16, peer, 4) == 0 &&
	    get16(to) == (ack ? 0x3081 : 0x3001) && get16(to + 2) == 0x880b &&
	    get16(to + 4) == payload && get16(to + 6) == PEER_CALL &&
	    get32(to + 8) == seq && (!ack || get32(to + 12) == SEQ) &&
	    memcmp(to + head, in->byte + BODY + 14, payload) == 0,
	    "what is sent is not the tunnel's frame in GRE");
}

/* Turned round; turn: of the call's frames to the client, afterwards. */
static void
reflected(const char *name, const struct packet *in, uint32_t turn)
{
	struct packet want = *in, out;

	memcpy(want.byte + IP + 12, far, 4);
	memcpy(want.byte + IP + 16, near, 4);
	verdict(name, run("pptpctrl_out", in, &out) == TC_ACT_REDIRECT &&
	    same(&want, &out) && state().out == turn && state().tx_next == 300,
	    "not turned round, or the wrong turn");
}

static void
from_tunnel(void)
{
	struct packet p = gre(false, SEQ, 5), out;
	struct packet data = l2tp(KERNEL_PORT, RELAY_PORT);

	begin(false);
	sent("data", &data, 300, false);
	from_network(&p, &out);
	sent("data, which acknowledges", &data, 301, true);
	sent("data again", &data, 302, false);

	begin(false);
	p = l2tp(RELAY_PORT, KERNEL_PORT);
	reflected("the relay's", &p, OFFLOAD_OUT_FAST);
	p = data;
	p.byte[BODY + 16] = 0xc0;
	reflected("PPP control", &p, OFFLOAD_OUT_FRAME);
	reflected("what follows it", &data, 2 * OFFLOAD_OUT_FRAME);
	begin(false);
	p = data;
	p.byte[BODY + 17] = 0x21;
	reflected("plaintext", &p, OFFLOAD_OUT_FRAME);
	begin(false);
	p = data;
	p.len = IP + MTU - 1;
	put16(p.byte + IP + 2, p.len - IP);
	put16(p.byte + BODY + 4, p.len - BODY);
	fix_sum(&p);
	reflected("larger than the path", &p, OFFLOAD_OUT_FRAME);
	begin(true);
	reflected("paused", &data, OFFLOAD_OUT_FRAME);
}

static void
load(void)
{
	struct bpf_program *p;
	int r;

	libbpf_set_print(NULL);
	obj = bpf_object__open_mem(programs,
	    (size_t)(programs_end - programs), NULL);
	if (!obj) {
		perror("libbpf");
		exit(1);
	}
	bpf_object__for_each_program(p, obj)
		bpf_program__set_type(p, BPF_PROG_TYPE_SCHED_CLS);
	r = bpf_object__load(obj);
	if (r < 0) {
		fprintf(stderr, "the kernel does not take the programs: %s\n",
		    strerror(-r));
		exit(r == -EPERM || r == -ENOSYS ? 77 : 1);
	}
}

int
main(void)
{
	load();
	from_client();
	from_tunnel();
	printf("%u of %u\n", n_cases - n_failed, n_cases);
	return n_failed > 0;
}
