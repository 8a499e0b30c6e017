/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames from pppd: those that overtook one another on the way to the relay,
 * and those of a pty.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/relay.h"
#include "proto/gre.h"
#include "unit/relay_ends.h"
#include "unit/relay_raw.h"

#define CALLS	3
#define FIRST	100	/* its call id, and its peer's: the one after it */
#define TUNNEL	99
#define COUNTS	4096
#define SEEDS	300
#define PLAIN	-1	/* an LCP echo request */
#define CCP	-2
#define PTY_SEEDS 100
#define FULL	40	/* bytes of the longest frame on the pty */

struct world {
	sd_event *loop;
	struct relay *relay;
	struct flow flow[CALLS];
	int network, tunnel;	/* the other ends */
	uint32_t seq[CALLS];	/* next number to the peer */
};

static void
first(struct flow *f, void *arg)
{
	(void)f;
	(void)arg;
}

static int
set_up(void **state)
{
	struct in_addr peer = { htonl(0xc6120101) }, own = { htonl(0xc6120001) };
	struct world *w = calloc(1, sizeof(*w));
	int gre[2], udp[2];

	relay_ends(gre, udp);
	relay_raw = gre[0];
	w->network = gre[1];
	w->tunnel = udp[1];
	assert_true(sd_event_new(&w->loop) >= 0);
	w->relay = relay_new(w->loop, gre[0], udp[0], -1, first, NULL);
	assert_non_null(w->relay);
	for (uint16_t i = 0; i < CALLS; i++) {
		struct flow *f = &w->flow[i];

		flow_init(f, FIRST + i, FIRST + i + 1, peer, own);
		pppfilter_config(&f->filter, true, false, false, true, false,
		    true);
		f->filter.ncp_out = true;
		relay_attach_l2tp(w->relay, f, TUNNEL);
	}
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < CALLS; i++)
		relay_detach(w->relay, &w->flow[i]);
	relay_free(w->relay);
	sd_event_unref(w->loop);
	close(w->network);
	close(w->tunnel);
	free(w);
	return 0;
}

static void
from_pppd(struct world *w, unsigned call, int count)
{
	uint8_t frame[] = { 0, 2, 0, TUNNEL, 0, (uint8_t)(FIRST + call),
	    0xff, 0x03, 0x00, 0xfd, 0x90, 0, 1, 2 };
	static const uint8_t echo[] = { 0xc0, 0x21, 9, 1 },
	    ccp[] = { 0x80, 0xfd, 1, 1 };

	frame[10] |= (uint8_t)((unsigned)count >> 8 & 0x0f);
	frame[11] = (uint8_t)count;
	if (count < 0)
		memcpy(frame + 8, count == CCP ? ccp : echo, 4);
	assert_int_equal(send(w->tunnel, frame, sizeof(frame), 0),
	    sizeof(frame));
}

static void
turn(struct world *w)
{
	assert_true(sd_event_run(w->loop, 1000) >= 0);
}

/* The next frame that the peers get: whose, and its count. */
static bool
at_network(struct world *w, unsigned *ret_call, int *ret_count)
{
	uint8_t packet[64];
	ssize_t n = recv(w->network, packet, sizeof(packet), 0);
	struct gre_pkt pkt;

	if (n < 0)
		return false;
	assert_int_equal(gre_parse(packet, (size_t)n, &pkt), GRE_OK);
	*ret_call = pkt.call_id - FIRST - 1;
	assert_true(*ret_call < CALLS);
	assert_int_equal(pkt.seq, w->seq[*ret_call]);
	w->seq[*ret_call]++;
	*ret_count = pkt.payload[2] == 0xc0 ? PLAIN : pkt.payload[2] == 0x80 ?
	    CCP : (pkt.payload[4] & 0x0f) << 8 | pkt.payload[5];
	return true;
}

static void
expect(struct world *w, unsigned call, int count)
{
	unsigned got_call;
	int got;

	assert_true(at_network(w, &got_call, &got));
	assert_int_equal(got_call, call);
	assert_int_equal(got, count);
}

/* Of a batch each call's frames leave in the order of their counts, whatever
 * order they come in; all of them, over the end of the counts too. */
static void
a_batch_is_put_in_order(void **state)
{
	struct world *w = *state;

	for (unsigned seed = 0; seed < SEEDS; seed++) {
		int in[16], next[CALLS], plain = 0, got_plain = 0, got;
		unsigned call, n = 0;

		srand(seed);
		for (call = 0; call < CALLS; call++)
			next[call] = (int)(seed * 16) % COUNTS;
		for (unsigned i = 0; i < 16; i++)
			in[i] = (int)(seed * 16 + i) % COUNTS;
		for (unsigned i = 16; i-- > 1;) {
			unsigned j = (unsigned)rand() % (i + 1);
			int swap = in[i];

			in[i] = in[j];
			in[j] = swap;
		}
		for (unsigned i = 0; i < 16; i++) {
			for (call = 0; call < CALLS; call++)
				from_pppd(w, call, in[i]);
			if (rand() % 8 == 0) {
				from_pppd(w, 0, PLAIN);
				plain++;
			}
		}
		turn(w);
		while (at_network(w, &call, &got)) {
			if (got == PLAIN) {
				got_plain++;
				continue;
			}
			assert_int_equal(got, next[call]);
			next[call] = (next[call] + 1) % COUNTS;
			n++;
		}
		assert_int_equal(n, 16 * CALLS);
		assert_int_equal(got_plain, plain);
	}
	for (unsigned i = 0; i < CALLS; i++)
		assert_int_equal(w->flow[i].counts.drop[DROP_OUT], 0);
}

/* Whose successor was sent already, the client would stop at it. */
static void
what_comes_too_late_is_dropped(void **state)
{
	struct world *w = *state;
	unsigned call;
	int count;

	from_pppd(w, 0, 7);
	turn(w);
	expect(w, 0, 7);
	from_pppd(w, 0, 6);
	from_pppd(w, 1, 6);
	from_pppd(w, 0, 8);
	turn(w);
	expect(w, 1, 6);
	expect(w, 0, 8);
	assert_false(at_network(w, &call, &count));
	assert_int_equal(w->flow[0].counts.drop[DROP_OUT], 1);
	assert_int_equal(w->flow[1].counts.drop[DROP_OUT], 0);
}

/* With new keys, and after a jump that no CPU can make. */
static void
counts_may_begin_anew(void **state)
{
	struct world *w = *state;
	static const int counts[] = { 20, CCP, 0, 1, 1500, 1000, 1001 };

	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		from_pppd(w, 0, counts[i]);
		turn(w);
		expect(w, 0, counts[i]);
	}
	assert_int_equal(w->flow[0].counts.drop[DROP_OUT], 0);
}

/* --- by a pty ------------------------------------------------------------- */

/* One end of what stands for the first call's pty: each write is a read. */
static int
pty_of_first(struct world *w)
{
	struct flow *f = &w->flow[0];
	int pty[2];

	relay_detach(w->relay, f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK,
	    0, pty), 0);
	assert_int_equal(relay_attach_pty(w->relay, f, pty[0]), 0);
	return pty[1];
}

/* Frames of counts 0 to n - 1 and of any length, as pppd's kernel writes
 * them. */
static size_t
on_the_line(uint8_t *line, size_t size, unsigned n)
{
	uint8_t frame[FULL] = { 0xff, 0x03, 0x00, 0xfd };
	size_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		frame[4] = (uint8_t)(0x90 | i >> 8);
		frame[5] = (uint8_t)i;
		for (unsigned k = 6; k < FULL; k++)
			frame[k] = (uint8_t)rand();
		len += hdlc_encode(line + len, size - len, frame,
		    6 + (unsigned)rand() % (FULL - 5), 0);
	}
	assert_true(len > 0);
	return len;
}

/* In reads of so many bytes. */
static void
write_line(int pty, const uint8_t *line, size_t len, size_t each)
{
	for (size_t at = 0; at < len; at += each)
		assert_true(send(pty, line + at, len - at < each ? len - at :
		    each, 0) > 0);
}

static unsigned
frames_at_network(struct world *w, int *next)
{
	unsigned call, n = 0;
	int got;

	for (; at_network(w, &call, &got); n++) {
		assert_int_equal(call, 0);
		assert_int_equal(got, *next);
		*next = (*next + 1) % COUNTS;
	}
	return n;
}

/* Wherever reads end, whole frames leave in their order; and none stays here
 * once what was written is read. */
static void
a_pty_is_read_in_any_pieces(void **state)
{
	static uint8_t line[10 * HDLC_ENCODED_MAX(FULL)];
	struct world *w = *state;
	int pty = pty_of_first(w);

	for (unsigned seed = 0; seed < PTY_SEEDS; seed++) {
		int n = 1 + (int)seed % 10, next = 0;
		size_t len;

		srand(seed);
		len = on_the_line(line, sizeof(line), (unsigned)n);
		write_line(pty, line, len, 1 + seed);
		while (next < n) {
			turn(w);
			frames_at_network(w, &next);
		}
		assert_int_equal(next, n);
	}
	close(pty);
}

/* What a pty gives in several reads leaves after one look at it. */
static void
a_pty_is_read_until_it_is_empty(void **state)
{
	static uint8_t line[8 * HDLC_ENCODED_MAX(FULL)];
	struct world *w = *state;
	int pty = pty_of_first(w), next = 0;
	size_t len = on_the_line(line, sizeof(line), 8);

	write_line(pty, line, len, len / 7);
	turn(w);
	assert_int_equal(frames_at_network(w, &next), 8);
	close(pty);
}

/* A call that never falls silent does not keep the loop to itself. */
static void
a_pty_is_not_read_for_ever(void **state)
{
	static uint8_t line[60 * HDLC_ENCODED_MAX(FULL)];
	struct world *w = *state;
	int pty = pty_of_first(w), next = 0;

	write_line(pty, line, on_the_line(line, sizeof(line), 60), FULL);
	turn(w);
	assert_in_range(frames_at_network(w, &next), 1, 59);
	while (next < 60) {
		turn(w);
		frames_at_network(w, &next);
	}
	close(pty);
}

/* What pppd wrote last is sent, and then it is left alone. */
static void
a_pty_that_is_hung_up_is_read_to_its_end(void **state)
{
	static uint8_t line[3 * HDLC_ENCODED_MAX(FULL)];
	struct world *w = *state;
	int pty = pty_of_first(w), next = 0;
	size_t len = on_the_line(line, sizeof(line), 3);

	write_line(pty, line, len, len / 2);
	close(pty);
	turn(w);
	assert_int_equal(frames_at_network(w, &next), 3);
	assert_int_equal(sd_event_run(w->loop, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_batch_is_put_in_order,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    what_comes_too_late_is_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(counts_may_begin_anew,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_pty_is_read_in_any_pieces,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_pty_is_read_until_it_is_empty, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_pty_is_not_read_for_ever,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_pty_that_is_hung_up_is_read_to_its_end, set_up,
		    tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
