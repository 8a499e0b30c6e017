/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The relay beside the fast path: frames that come to it while what the
 * program passed on is still on its way.  The program and the launcher are
 * this file, by the map that they share with the relay.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/offload.h"
#include "net/relay.h"
#include "proto/gre.h"

#define CALL	4660
#define TUNNEL	99
#define MAP	(OFFLOAD_CALLS * sizeof(struct offload_state))

struct world {
	sd_event *loop;
	struct relay *relay;
	struct flow flow;
	struct offload_state *state;
	int network, tunnel;	/* the other ends */
};

static void
first(struct flow *f, void *arg)
{
	(void)f;
	(void)arg;
}

/* A raw socket's place takes one that keeps messages apart, too; the tunnel's
 * must know UDP_SEGMENT. */
static void
pairs(int gre[2], int udp[2])
{
	struct sockaddr_in name = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(name);

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0,
	    gre), 0);
	for (int i = 0; i < 2; i++) {
		udp[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		assert_int_equal(bind(udp[i], (struct sockaddr *)&name,
		    sizeof(name)), 0);
		assert_int_equal(getsockname(udp[i],
		    (struct sockaddr *)&name, &len), 0);
		if (i == 1)
			assert_int_equal(connect(udp[0],
			    (struct sockaddr *)&name, len), 0);
		name.sin_port = 0;
	}
}

/* The client's frame of that number; it counts MPPE frames from 0. */
static void
from_client(struct world *w, uint32_t seq)
{
	struct gre_pkt pkt = { .call_id = CALL, .has_seq = true, .seq = seq,
	    .payload_len = 10 };
	uint8_t ip[20 + GRE_HDR_MAX + 10] = { 0x45, [9] = 47 };
	uint8_t ppp[10] = { 0xff, 0x03, 0x00, 0xfd, 0x90, (uint8_t)seq,
	    1, 2, 3, 4 };
	size_t n = 20 + gre_build(ip + 20, &pkt);

	memcpy(ip + n, ppp, sizeof(ppp));
	n += sizeof(ppp);
	ip[3] = (uint8_t)n;
	memcpy(ip + 12, &w->flow.peer, 4);
	memcpy(ip + 16, &w->flow.own, 4);
	assert_int_equal(send(w->network, ip, n, 0), n);
}

static void
turn(struct world *w)
{
	assert_true(sd_event_run(w->loop, 1000) >= 0);
}

/* The number of the next frame that reaches the tunnel, or -1. */
static int
at_tunnel(struct world *w)
{
	uint8_t frame[64];
	ssize_t n = recv(w->tunnel, frame, sizeof(frame), 0);

	if (n < 0)
		return -1;
	assert_int_equal(n, 16);
	assert_int_equal(frame[4] << 8 | frame[5], CALL);
	w->state[0].arrived++;
	return frame[11];
}

static void
expect_at_tunnel(struct world *w, int from, int to)
{
	for (; from <= to; from++) {
		int got = -1;

		while ((got = at_tunnel(w)) < 0)
			turn(w);
		assert_int_equal(got, from);
	}
	assert_int_equal(at_tunnel(w), -1);
}

static bool
given(const struct world *w)
{
	return w->state[CALL].word & OFFLOAD_FAST;
}

/* The program passes on all up to that number; the last of them stays in its
 * queue. */
static void
pass_on(struct world *w, uint32_t last)
{
	while (!given(w))
		turn(w);
	w->state[CALL].arrived = (uint16_t)last;
	w->state[CALL].last_in = 1;
	w->state[CALL].word = OFFLOAD_WORD(last + 1, 0, OFFLOAD_FAST);
}

static int
set_up(void **state)
{
	static struct world world;
	static const uint8_t ncp[] = { 0xff, 0x03, 0x80, 0x21, 1, 1, 0, 4 };
	int map = memfd_create("state_map", MFD_CLOEXEC), gre[2], udp[2];
	struct in_addr peer = { htonl(0xc6120101) }, own = { htonl(0xc6120001) };
	struct world *w = &world;

	memset(w, 0, sizeof(*w));
	assert_int_equal(ftruncate(map, MAP), 0);
	w->state = mmap(NULL, MAP, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	assert_ptr_not_equal(w->state, MAP_FAILED);
	pairs(gre, udp);
	w->network = gre[1];
	w->tunnel = udp[1];
	assert_true(sd_event_new(&w->loop) >= 0);
	w->relay = relay_new(w->loop, gre[0], udp[0], map, first, NULL);
	assert_non_null(w->relay);
	flow_init(&w->flow, CALL, 17, peer, own);
	pppfilter_config(&w->flow.filter, true, false, false, true, false,
	    true);
	pppfilter_out(&w->flow.filter, ncp, sizeof(ncp));
	relay_attach_l2tp(w->relay, &w->flow, TUNNEL);
	from_client(w, 0);
	expect_at_tunnel(w, 0, 0);
	relay_up(&w->flow);
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	relay_detach(w->relay, &w->flow);
	relay_free(w->relay);
	sd_event_unref(w->loop);
	munmap(w->state, MAP);
	return 0;
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* Frames 3 and 4 come to the relay while 2 is in the program's queue, and are
 * looked at once.  False: this machine took so long that they need not wait. */
static bool
waits(struct world *w)
{
	uint64_t since = now_us();
	bool here;

	pass_on(w, 2);
	from_client(w, 3);
	from_client(w, 4);
	turn(w);
	here = recv(w->tunnel, NULL, 0, MSG_PEEK) >= 0;
	if (now_us() - since >= OFFLOAD_SETTLE_US)
		return false;
	assert_false(here);
	return true;
}

static void
frames_wait_for_the_programs(void **state)
{
	struct world *w = *state;

	if (!waits(w))
		skip();
	assert_false(given(w));
	w->state[CALL].arrived = 3;
	from_client(w, 5);
	expect_at_tunnel(w, 3, 5);
	assert_int_equal(w->flow.counts.fast_rx, 2);
	/* Then the call is the program's again. */
	pass_on(w, 9);
	w->state[CALL].arrived = 10;
	from_client(w, 10);
	expect_at_tunnel(w, 10, 10);
}

/* One that never arrives is not waited for. */
static void
a_lost_one_does_not_stop_them(void **state)
{
	struct world *w = *state;

	pass_on(w, 2);
	from_client(w, 3);
	from_client(w, 5);
	from_client(w, 4);
	expect_at_tunnel(w, 3, 5);
}

/* A call that ends meanwhile takes them along. */
static void
the_end_does_not_wait(void **state)
{
	if (!waits(*state))
		skip();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames_wait_for_the_programs,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_lost_one_does_not_stop_them,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_end_does_not_wait,
		    set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
