/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that send: nothing is lost or overtaken within a call.
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

#include "net/flow.h"
#include "net/senders.h"
#include "unit/relay_ends.h"
#include "unit/relay_raw.h"

#define THREADS	3
#define CALLS	7
#define ROUNDS	400

static struct senders *senders;
static int network, tunnel;	/* the other ends */

static int
set_up(void **state)
{
	int gre[2], udp[2], fd[THREADS];

	(void)state;
	relay_ends(gre, udp);
	relay_raw = gre[0];
	network = gre[1];
	tunnel = udp[1];
	for (unsigned i = 0; i < THREADS; i++)
		fd[i] = gre[0];
	senders = senders_new(fd, THREADS, udp[0]);
	assert_non_null(senders);
	return 0;
}

/* One of the call's, with a number of its own. */
struct frame {
	uint8_t room[CHANNEL_HEADROOM];
	uint8_t call, number;
	uint8_t rest[8];
};

static void
expect_next(uint8_t next[CALLS], const uint8_t *frame)
{
	assert_true(frame[0] < CALLS);
	assert_int_equal(frame[1], next[frame[0]]);
	next[frame[0]]++;
}

/* Batches of all sizes and mixtures, to the tunnel. */
static void
to_the_tunnel(void **state)
{
	uint8_t sent[CALLS] = { 0 }, got[CALLS] = { 0 };
	struct channel channel[CALLS];
	struct l2tp l;

	(void)state;
	l2tp_init(&l, -1, false);
	l.senders = senders;
	for (uint16_t i = 0; i < CALLS; i++)
		channel_l2tp(&channel[i], &l, 1, i + 1);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned n = 1 + (unsigned)rand() % L2TP_BATCH;
		struct frame frame[L2TP_BATCH];
		uint8_t buf[64];

		for (unsigned i = 0; i < n; i++) {
			frame[i].call = (uint8_t)(rand() % CALLS);
			frame[i].number = sent[frame[i].call]++;
			channel_put(&channel[frame[i].call], &frame[i].call,
			    2 + (size_t)rand() % 2 * 8);
		}
		l2tp_flush(&l);
		assert_int_equal(l.n, 0);
		/* What was taken does not lie here any more. */
		memset(frame, 0xee, sizeof(frame));
		for (uint16_t i = 0; i < CALLS; i++)
			senders_drain(senders, i + 1);
		while (n-- > 0) {
			assert_true(recv(tunnel, buf, sizeof(buf), 0) >=
			    (ssize_t)L2TP_HEADER + 2);
			assert_int_equal(buf[5], buf[L2TP_HEADER] + 1);
			expect_next(got, buf + L2TP_HEADER);
		}
	}
	assert_memory_equal(sent, got, sizeof(sent));
}

/* More at once than there are places for. */
static void
to_the_network(void **state)
{
	uint8_t sent[CALLS] = { 0 }, got[CALLS] = { 0 };
	static struct flow flow[CALLS];
	static struct tx_batch tx;
	unsigned n = 0;

	(void)state;
	for (uint16_t i = 0; i < CALLS; i++)
		flow_init(&flow[i], i + 1, 0, (struct in_addr){ 0 },
		    (struct in_addr){ 0 });
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t packet[2], buf[8];

		packet[0] = (uint8_t)(rand() % CALLS);
		packet[1] = sent[packet[0]]++;
		tx_add(&tx, &flow[packet[0]], packet, sizeof(packet));
		senders_take_tx(senders, &tx);
		assert_int_equal(tx.n, 0);
		n++;
		while (recv(network, buf, sizeof(buf), MSG_DONTWAIT) == 2) {
			expect_next(got, buf);
			n--;
		}
	}
	for (uint16_t i = 0; i < CALLS; i++)
		senders_drain(senders, i + 1);
	for (uint8_t buf[8]; recv(network, buf, sizeof(buf), MSG_DONTWAIT) ==
	    2; n--)
		expect_next(got, buf);
	assert_int_equal(n, 0);
	assert_memory_equal(sent, got, sizeof(sent));
	for (unsigned i = 0; i < CALLS; i++)
		assert_int_equal(flow[i].counts.drop[DROP_SEND], 0);
}

/* Its call counts it, and what follows goes on. */
static void
what_the_kernel_refuses(void **state)
{
	static struct tx_batch tx;
	static struct flow flow;
	uint8_t packet[2] = { 0 };

	(void)state;
	flow_init(&flow, 5, 0, (struct in_addr){ 0 }, (struct in_addr){ 0 });
	close(network);
	for (unsigned i = 0; i < 3; i++)
		tx_add(&tx, &flow, packet, sizeof(packet));
	senders_take_tx(senders, &tx);
	senders_drain(senders, 5);
	assert_int_equal(flow.counts.drop[DROP_SEND], 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(to_the_tunnel),
		cmocka_unit_test(to_the_network),
		cmocka_unit_test(what_the_kernel_refuses),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
