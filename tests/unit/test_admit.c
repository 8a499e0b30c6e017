/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "net/admit.h"

#define CALLS		10u
#define CROWD		1000u
#define BEGIN		1000000u	/* ms */
#define SEED		0x123456789abcdefu

static struct conf conf;
static struct conf_limits *const limits = &conf.limits;
static struct admit *admit;
static struct admit_client client[CROWD];
static uint64_t now;

static int
fresh(void **state)
{
	(void)state;
	memset(client, 0, sizeof(client));
	now = BEGIN;
	conf_init(&conf);
	admit = admit_new(limits, CALLS, SEED);
	assert_non_null(admit);
	return 0;
}

static int
over(void **state)
{
	(void)state;
	admit_free(admit);
	conf_free(&conf);
	return 0;
}

/* The limits are read when they are needed, but for the sizes of tables. */
static void
renew(void)
{
	admit_free(admit);
	admit = admit_new(limits, CALLS, SEED);
	assert_non_null(admit);
}

static struct in_addr
host(uint32_t n)
{
	return (struct in_addr){ .s_addr = htonl(0xc0000200 + n) };
}

/* Client i connects from host n: nobody waits and nobody gives way. */
static void
connects(unsigned i, unsigned n)
{
	struct admit_client *victim = &client[i];
	enum admit_count why;
	uint64_t wait = 99;

	assert_true(admit_connect(admit, &client[i], host(n), now, &wait,
	    &victim, &why));
	assert_null(victim);
	assert_int_equal(wait, 0);
}

static void
turned_away(unsigned i, unsigned n, enum admit_count expected)
{
	struct admit_client *victim;
	enum admit_count why;
	uint64_t wait, before = admit_counted(admit, expected);

	assert_false(admit_connect(admit, &client[i], host(n), now, &wait,
	    &victim, &why));
	assert_int_equal(why, expected);
	assert_int_equal(admit_counted(admit, expected), before + 1);
	assert_int_equal(client[i].stage, ADMIT_NONE);
}

/* Client i connects, and victim is to be closed for it. */
static void
takes_place(unsigned i, unsigned n, unsigned victim, enum admit_count reason)
{
	struct admit_client *found;
	enum admit_count why;
	uint64_t wait;

	assert_true(admit_connect(admit, &client[i], host(n), now, &wait,
	    &found, &why));
	assert_ptr_equal(found, &client[victim]);
	assert_int_equal(found->stage, ADMIT_LEAVING);
	assert_int_equal(why, reason);
	assert_int_equal(admit_counted(admit, reason), 1);
}

static void
greets(unsigned i)
{
	enum admit_count why;

	assert_null(admit_greeted(admit, &client[i], &why));
}

static void
calls(unsigned i, enum admit_call expected)
{
	enum admit_count why;

	assert_int_equal(admit_call(admit, &client[i], now, &why), expected);
}

/* From TCP to a call that is up. */
static void
logs_in(unsigned i, unsigned n, const char *name)
{
	connects(i, n);
	greets(i);
	calls(i, ADMIT_CALL_OK);
	admit_gre(admit, &client[i]);
	assert_int_equal(admit_login(admit, &client[i], name, now),
	    BANS_PASS);
	admit_authenticated(admit, &client[i], name);
	assert_int_equal(client[i].stage, ADMIT_AUTH);
}

static void
goes(unsigned i, bool authenticated)
{
	while (client[i].n_calls > 0)
		admit_call_over(admit, &client[i], authenticated);
	admit_closed(admit, &client[i]);
	admit_gone(admit, &client[i]);
	assert_int_equal(client[i].stage, ADMIT_NONE);
}

/* --- connections -------------------------------------------------------- */

static void
a_source_has_its_share_of_silence(void **state)
{
	(void)state;
	limits->max_half_open_source.n = 64;
	for (unsigned i = 0; i < 64; i++)
		connects(i, 1);
	takes_place(64, 1, 0, ADMIT_HALF_OPEN_OF_SOURCE);
	/* Others are not concerned, nor is it once one has spoken or left. */
	connects(65, 2);
	greets(5);
	connects(66, 1);
	goes(1, false);
	connects(67, 1);
	assert_int_equal(admit_in_stage(admit, ADMIT_HALF_OPEN), 65);
}

static void
the_oldest_silent_one_gives_way(void **state)
{
	(void)state;
	limits->max_half_open.n = 100;
	for (unsigned i = 0; i < 100; i++)
		connects(i, i);
	goes(0, false);
	connects(0, 0);
	takes_place(100, 999, 1, ADMIT_HALF_OPEN_ALL);
	assert_int_equal(admit_in_stage(admit, ADMIT_HALF_OPEN), 100);
	assert_int_equal(admit_in_stage(admit, ADMIT_LEAVING), 1);
}

static void
a_limit_of_one_lets_the_newest_in(void **state)
{
	(void)state;
	limits->max_half_open.n = limits->max_half_open_source.n = 1;
	connects(0, 1);
	takes_place(1, 1, 0, ADMIT_HALF_OPEN_OF_SOURCE);
	takes_place(2, 2, 1, ADMIT_HALF_OPEN_ALL);
}

static void
those_without_a_login_give_way(void **state)
{
	struct admit_client *victim;
	enum admit_count why;

	(void)state;
	limits->max_unauthenticated_source.n = 4;
	logs_in(0, 1, "alice");
	for (unsigned i = 1; i <= 4; i++) {
		connects(i, 1);
		greets(i);
	}
	admit_gre(admit, &client[1]);
	connects(5, 1);
	victim = admit_greeted(admit, &client[5], &why);
	/* Number 1 is older, but there is GRE of it. */
	assert_ptr_equal(victim, &client[2]);
	assert_int_equal(why, ADMIT_UNAUTH_OF_SOURCE);
	admit_gre(admit, &client[3]);
	admit_gre(admit, &client[4]);
	admit_gre(admit, &client[5]);
	connects(6, 1);
	assert_ptr_equal(admit_greeted(admit, &client[6], &why), &client[1]);
	/* Never the call that is up. */
	assert_int_equal(client[0].stage, ADMIT_AUTH);
	/* Greeting again is nothing new. */
	greets(6);
}

static void
so_they_do_in_all(void **state)
{
	enum admit_count why;

	(void)state;
	limits->max_unauthenticated.n = 3;
	for (unsigned i = 0; i < 3; i++) {
		connects(i, i);
		greets(i);
	}
	connects(3, 3);
	assert_ptr_equal(admit_greeted(admit, &client[3], &why), &client[0]);
	assert_int_equal(why, ADMIT_UNAUTH_ALL);
	/* One that has left does not count. */
	goes(1, false);
	connects(4, 4);
	greets(4);
}

static void
connections_are_bounded(void **state)
{
	unsigned most;

	(void)state;
	limits->max_half_open.n = limits->max_unauthenticated.n = 5;
	limits->connection_rate.n = 0;
	renew();
	most = CALLS + 5 + 5 + CONF_LEAVING_MAX;
	for (unsigned i = 0; i < most; i++) {
		struct admit_client *victim;
		enum admit_count why;
		uint64_t wait;

		assert_true(admit_connect(admit, &client[i], host(i), now,
		    &wait, &victim, &why));
	}
	turned_away(most, 1, ADMIT_FULL);
	/* A closed one makes place, though its call still ends. */
	admit_closed(admit, &client[0]);
	admit_closed(admit, &client[0]);
	assert_int_equal(admit_in_stage(admit, ADMIT_CLOSED), 1);
	{
		struct admit_client *victim;
		enum admit_count why;
		uint64_t wait;

		assert_true(admit_connect(admit, &client[most], host(1), now,
		    &wait, &victim, &why));
	}
	admit_gone(admit, &client[0]);
	admit_gone(admit, &client[0]);		/* harmless */
}

static void
lists_decide_first(void **state)
{
	static struct conf_net office = { 0xc0000200, 0xffffff00 };
	static struct conf_net guest = { 0xc0000207, 0xffffffff };

	(void)state;
	limits->allow = (struct conf_nets){ &office, 1 };
	limits->deny = (struct conf_nets){ &guest, 1 };
	connects(0, 6);
	turned_away(1, 7, ADMIT_DENIED);
	turned_away(1, 256, ADMIT_DENIED);
	limits->allow.n = 0;
	connects(1, 256);
	limits->allow = limits->deny = (struct conf_nets){ NULL, 0 };
}

static void
a_prefix_makes_a_source(void **state)
{
	(void)state;
	limits->source_prefix.n = 24;
	limits->max_half_open_source.n = 2;
	connects(0, 1);
	connects(1, 2);
	takes_place(2, 200, 0, ADMIT_HALF_OPEN_OF_SOURCE);
	connects(3, 256);
}

static void
a_stranger_in_a_hurry_is_turned_away(void **state)
{
	(void)state;
	limits->connection_rate.n = 10;
	limits->connection_burst.n = 3;
	for (unsigned i = 0; i < 3; i++)
		connects(i, 1);
	turned_away(3, 1, ADMIT_RATE);
	connects(3, 2);
	now += 99;
	turned_away(4, 1, ADMIT_RATE);
	now += 1;
	connects(4, 1);
	turned_away(5, 1, ADMIT_RATE);
	/* Rest brings the burst back, and no more than that. */
	now += 3600000;
	for (unsigned i = 5; i < 8; i++)
		connects(i, 1);
	turned_away(8, 1, ADMIT_RATE);
}

static void
a_source_with_a_call_is_only_slowed(void **state)
{
	struct admit_client *victim;
	enum admit_count why;
	uint64_t wait;

	(void)state;
	limits->connection_rate.n = 10;
	limits->connection_burst.n = 2;
	logs_in(0, 1, "alice");
	connects(1, 1);
	for (unsigned i = 2; i <= 51; i++) {
		assert_true(admit_connect(admit, &client[i], host(1), now,
		    &wait, &victim, &why));
		assert_int_equal(wait, (i - 1) * 100);
	}
	assert_int_equal(admit_counted(admit, ADMIT_SLOWED), 50);
	/* Who would have to wait longer is told so at once. */
	turned_away(52, 1, ADMIT_RATE);
	/* Without its call it is a stranger again. */
	admit_call_over(admit, &client[0], true);
	assert_int_equal(client[0].stage, ADMIT_GREETED);
	now += 1000;
	turned_away(52, 1, ADMIT_RATE);
}

/* --- calls -------------------------------------------------------------- */

static void
calls_of_a_source_are_counted(void **state)
{
	(void)state;
	limits->max_calls_source.n = 2;
	connects(0, 1);
	connects(1, 1);
	connects(2, 2);
	calls(0, ADMIT_CALL_OK);
	calls(1, ADMIT_CALL_OK);
	calls(1, ADMIT_CALL_BUSY);
	calls(2, ADMIT_CALL_OK);
	assert_int_equal(admit_counted(admit, ADMIT_CALLS_OF_SOURCE), 1);
	admit_call_over(admit, &client[0], false);
	calls(1, ADMIT_CALL_OK);
	/* A call that outlives its connection counts. */
	admit_closed(admit, &client[1]);
	calls(0, ADMIT_CALL_BUSY);
	goes(1, false);
	calls(0, ADMIT_CALL_OK);
}

static void
calls_have_a_rate(void **state)
{
	(void)state;
	limits->call_rate.n = 1;
	limits->call_burst.n = 2;
	connects(0, 1);
	calls(0, ADMIT_CALL_OK);
	calls(0, ADMIT_CALL_OK);
	calls(0, ADMIT_CALL_BUSY);
	assert_int_equal(admit_counted(admit, ADMIT_CALL_RATE), 1);
	now += 1000;
	calls(0, ADMIT_CALL_OK);
	/* Who is trusted is not asked to wait for this. */
	admit_authenticated(admit, &client[0], "alice");
	calls(0, ADMIT_CALL_OK);
}

static void
starts_are_shared_between_sources(void **state)
{
	(void)state;
	connects(0, 1);
	connects(1, 1);
	connects(2, 2);
	assert_false(admit_fewer_starting(&client[0], &client[2]));
	admit_starting(&client[0], 1);
	assert_true(admit_fewer_starting(&client[2], &client[1]));
	assert_false(admit_fewer_starting(&client[1], &client[0]));
	admit_starting(&client[0], -1);
	assert_false(admit_fewer_starting(&client[2], &client[1]));
}

static void
what_was_admitted_before_counts(void **state)
{
	(void)state;
	limits->max_calls_source.n = 2;
	assert_true(admit_adopt(admit, &client[0], host(1), ADMIT_AUTH, 2, 1,
	    now));
	connects(1, 1);
	calls(1, ADMIT_CALL_BUSY);
	admit_call_over(admit, &client[0], true);
	calls(1, ADMIT_CALL_OK);
	goes(0, false);
	goes(1, false);
}

/* --- logins ------------------------------------------------------------- */

static void
may(unsigned i, const char *name, enum bans_verdict expected)
{
	assert_int_equal(admit_login(admit, &client[i], name, now), expected);
}

static void
failures_grow_the_wait(void **state)
{
	static const unsigned waits[] = { 0, 1000, 2000, 4000, 8000, 8000 };

	(void)state;
	connects(0, 1);
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		may(0, "alice", BANS_PASS);
		assert_false(admit_failed(admit, &client[0], "alice", now));
		if (waits[i] > 0) {
			now += waits[i] - 1;
			may(0, "alice", BANS_LATER);
			now += 1;
		}
	}
	may(0, "alice", BANS_PASS);
	assert_int_equal(admit_counted(admit, ADMIT_LOGIN_DELAYED), 5);
	assert_int_equal(admit_counted(admit, ADMIT_LOGIN_FAILED), 6);
}

static void
one_name_of_one_source_is_banned(void **state)
{
	(void)state;
	limits->ban_after.n = 3;
	connects(0, 1);
	connects(1, 2);
	assert_false(admit_failed(admit, &client[0], "alice", now));
	assert_false(admit_failed(admit, &client[0], "alice", now));
	assert_true(admit_failed(admit, &client[0], "alice", now));
	may(0, "alice", BANS_BANNED);
	/* Nobody else is, and she is not elsewhere. */
	may(0, "alicia", BANS_PASS);
	may(0, "alic", BANS_PASS);
	may(1, "alice", BANS_PASS);
	/* A call that was under way does not make it longer. */
	now += limits->ban_time.n * 1000 - 1;
	assert_false(admit_failed(admit, &client[0], "alice", now));
	may(0, "alice", BANS_BANNED);
	now += 1;
	may(0, "alice", BANS_PASS);
	/* The next one comes sooner: one failure of the three is kept. */
	assert_false(admit_failed(admit, &client[0], "alice", now));
	now += 8000;
	assert_true(admit_failed(admit, &client[0], "alice", now));
	assert_int_equal(admit_counted(admit, ADMIT_BANS), 2);
	assert_int_equal(admit_unban(admit, "bob"), 0);
	assert_int_equal(admit_unban(admit, "alice"), 1);
	may(0, "alice", BANS_PASS);
}

static void
success_and_time_heal(void **state)
{
	(void)state;
	limits->ban_after.n = 2;
	connects(0, 1);
	calls(0, ADMIT_CALL_OK);
	assert_false(admit_failed(admit, &client[0], "alice", now));
	admit_authenticated(admit, &client[0], "alice");
	assert_false(admit_failed(admit, &client[0], "alice", now));
	now += limits->ban_time.n * 1000 + 1;
	assert_false(admit_failed(admit, &client[0], "alice", now));
	assert_true(admit_failed(admit, &client[0], "alice", now));
}

static void
no_ban_where_none_is_wanted(void **state)
{
	(void)state;
	limits->ban_after.n = 0;
	connects(0, 1);
	for (int i = 0; i < 1000; i++) {
		assert_false(admit_failed(admit, &client[0], "alice", now));
		now += 8000;
		may(0, "alice", BANS_PASS);
	}
	calls(0, ADMIT_CALL_OK);
}

/* n different names fail. */
static void
guess(unsigned i, unsigned n)
{
	static unsigned number;

	while (n-- > 0) {
		char name[] = "user-aaaaaaaa";

		for (unsigned k = 0, v = number++; k < 8; k++, v /= 26)
			name[5 + k] = (char)('a' + v % 26);
		may(i, name, BANS_PASS);
		if (admit_failed(admit, &client[i], name, now))
			assert_int_equal(n, 0);
	}
}

static void
a_source_that_guesses_is_banned(void **state)
{
	enum admit_count why;

	(void)state;
	limits->ban_after.n = 5;
	connects(0, 1);
	guess(0, 20);
	may(0, "alice", BANS_BANNED);
	assert_int_equal(admit_call(admit, &client[0], now, &why),
	    ADMIT_CALL_BANNED);
	assert_int_equal(why, ADMIT_SOURCE_BANNED);
	connects(1, 2);
	calls(1, ADMIT_CALL_OK);
	/* It is remembered when the connection is gone. */
	goes(0, false);
	connects(0, 1);
	calls(0, ADMIT_CALL_BANNED);
	assert_int_equal(admit_unban(admit, NULL), 1);
	calls(0, ADMIT_CALL_OK);
	guess(0, 20);
	calls(0, ADMIT_CALL_BANNED);
	now += limits->ban_time.n * 1000;
	calls(0, ADMIT_CALL_OK);
	assert_int_equal(admit_counted(admit, ADMIT_SOURCE_BANS), 2);
}

static void
a_source_with_a_call_is_never_banned(void **state)
{
	(void)state;
	limits->ban_after.n = 5;
	logs_in(0, 1, "alice");
	connects(1, 1);
	guess(1, 20);
	calls(1, ADMIT_CALL_OK);
	/* But its logins are slowed. */
	may(1, "bob", BANS_PASS);
	may(1, "carol", BANS_LATER);
	now += 1999;
	may(1, "carol", BANS_LATER);
	now += 1;
	may(1, "carol", BANS_PASS);
	assert_int_equal(admit_counted(admit, ADMIT_SOURCE_BANS), 0);
}

/* --- memory ------------------------------------------------------------- */

static void
forgotten_sources_make_room(void **state)
{
	enum admit_count why;

	(void)state;
	limits->ban_after.n = 2;
	connects(0, 0);
	guess(0, 8);
	goes(0, false);
	connects(1, 1);
	for (unsigned n = 2; n < 20000; n++) {
		connects(0, n);
		goes(0, false);
	}
	/* Who is here, and who is banned, is still known. */
	connects(0, 0);
	assert_int_equal(admit_call(admit, &client[0], now, &why),
	    ADMIT_CALL_BANNED);
	limits->max_half_open_source.n = 1;
	takes_place(2, 1, 1, ADMIT_HALF_OPEN_OF_SOURCE);
}

static void
names_make_room_too(void **state)
{
	char name[] = "aaaa";

	(void)state;
	limits->ban_after.n = 2;
	connects(0, 1);
	connects(1, 2);
	admit_failed(admit, &client[0], "alice", now);
	admit_failed(admit, &client[0], "alice", now);
	for (unsigned i = 0; i < 3 * BANS_MAX; i++) {
		for (unsigned k = 0, v = i; k < 4; k++, v /= 26)
			name[k] = (char)('a' + v % 26);
		admit_failed(admit, &client[1], name, now);
		now++;
	}
	may(0, "alice", BANS_BANNED);
	assert_string_equal(bans_next(admit_bans(admit), NULL)->name,
	    "alice");
}

static void
when_all_are_banned_the_oldest_goes(void **state)
{
	char name[] = "aaaa";
	unsigned n = 0;

	(void)state;
	limits->ban_after.n = 1;
	connects(0, 1);
	for (unsigned i = 0; i < BANS_MAX + 1; i++) {
		for (unsigned k = 0, v = i; k < 4; k++, v /= 26)
			name[k] = (char)('a' + v % 26);
		admit_failed(admit, &client[0], name, now);
	}
	limits->ban_after.n = 0;	/* the source apart */
	for (const struct ban *b = bans_next(admit_bans(admit), NULL); b;
	    b = bans_next(admit_bans(admit), b))
		n++;
	assert_int_equal(n, BANS_MAX);
	assert_string_equal(bans_next(admit_bans(admit), NULL)->name,
	    "baaa");
}

static void
names_count_up_to_a_length(void **state)
{
	char one[100], other[100];

	(void)state;
	memset(one, 'x', sizeof(one));
	memset(other, 'x', sizeof(other));
	one[99] = other[99] = '\0';
	other[80] = 'y';
	limits->ban_after.n = 1;
	connects(0, 1);
	assert_true(admit_failed(admit, &client[0], one, now));
	may(0, other, BANS_BANNED);
	other[BANS_NAME - 1] = '\0';
	may(0, other, BANS_BANNED);
	other[BANS_NAME - 2] = '\0';
	may(0, other, BANS_PASS);
}

/* --- an office after an outage ------------------------------------------ */

/* 200 clients behind one address lost their calls and all dial at once; each
 * has to be let in with the defaults, at the first try. */
static void
an_office_of_200_comes_back(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 200; i++)
		logs_in(i, 1, "somebody");
	now += 3600000;
	for (unsigned i = 0; i < 200; i++)
		goes(i, true);
	for (unsigned i = 0; i < 200; i++)
		connects(i, 1);
	for (unsigned i = 0; i < 200; i++)
		greets(i);
	for (unsigned i = 0; i < 200; i++)
		calls(i, ADMIT_CALL_OK);
	for (unsigned i = 0; i < 200; i++) {
		admit_gre(admit, &client[i]);
		may(i, "somebody", BANS_PASS);
		admit_authenticated(admit, &client[i], "somebody");
	}
	/* A second try of each at the same moment, and nobody is closed. */
	for (unsigned i = 200; i < 400; i++)
		connects(i, 1);
	for (int i = 0; i < ADMIT_COUNTS; i++)
		assert_int_equal(admit_counted(admit, (enum admit_count)i),
		    0);
}

static void
counts_have_names(void **state)
{
	(void)state;
	for (int i = 0; i < ADMIT_COUNTS; i++) {
		assert_true(strlen(admit_count_name((enum admit_count)i)) > 3);
		assert_true(strlen(admit_count_text((enum admit_count)i)) > 8);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(
			    admit_count_name((enum admit_count)i),
			    admit_count_name((enum admit_count)k));
	}
	assert_string_equal(admit_count_name(ADMIT_COUNTS), "?");
	assert_string_equal(admit_count_text(ADMIT_COUNTS), "?");
	admit_note(admit, ADMIT_USER_LIMIT);
	assert_int_equal(admit_counted(admit, ADMIT_USER_LIMIT), 1);
}

static void
draining_lets_nobody_new_in(void **state)
{
	enum admit_count why;

	(void)state;
	connects(0, 1);
	greets(0);
	admit_drain(admit, true);
	assert_true(admit_draining(admit));
	turned_away(1, 2, ADMIT_DRAINING);
	assert_int_equal(admit_call(admit, &client[0], now, &why),
	    ADMIT_CALL_BUSY);
	assert_int_equal(why, ADMIT_DRAINING);
	admit_drain(admit, false);
	connects(1, 2);
	assert_int_equal(admit_call(admit, &client[0], now, &why),
	    ADMIT_CALL_OK);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, fresh, over)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_source_has_its_share_of_silence),
		T(the_oldest_silent_one_gives_way),
		T(a_limit_of_one_lets_the_newest_in),
		T(those_without_a_login_give_way),
		T(so_they_do_in_all),
		T(connections_are_bounded),
		T(lists_decide_first),
		T(a_prefix_makes_a_source),
		T(a_stranger_in_a_hurry_is_turned_away),
		T(a_source_with_a_call_is_only_slowed),
		T(calls_of_a_source_are_counted),
		T(calls_have_a_rate),
		T(starts_are_shared_between_sources),
		T(what_was_admitted_before_counts),
		T(failures_grow_the_wait),
		T(one_name_of_one_source_is_banned),
		T(success_and_time_heal),
		T(no_ban_where_none_is_wanted),
		T(a_source_that_guesses_is_banned),
		T(a_source_with_a_call_is_never_banned),
		T(forgotten_sources_make_room),
		T(names_make_room_too),
		T(when_all_are_banned_the_oldest_goes),
		T(names_count_up_to_a_length),
		T(an_office_of_200_comes_back),
		T(counts_have_names),
		T(draining_lets_nobody_new_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
