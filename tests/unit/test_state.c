/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "state.h"

#define SLOTS	4u
#define REC	40u

static const struct state_kind kind = { .magic = 0x74657374, .major = 3,
	.minor = 2, .layout = 99, .rec_size = REC, .live_size = 16 };
static struct state table;
static char why[STATE_WHY_MAX];

static int
fresh(void **state)
{
	(void)state;
	return state_create(&table, &kind, "test", SLOTS);
}

static int
end(void **state)
{
	(void)state;
	state_close(&table);
	return 0;
}

static void
fill(uint8_t rec[REC], uint8_t with)
{
	memset(rec, with, REC);
}

/* What another process sees in the table. */
static enum state_got
look(uint32_t i, uint8_t rec[REC])
{
	struct state other = STATE_INIT;
	enum state_got got;

	assert_int_equal(state_open(&other, &kind, dup(table.fd), why), 0);
	got = state_get(&other, i, rec, REC, NULL);
	state_close(&other);
	return got;
}

static void
what_was_put_is_there_for_another(void **state)
{
	uint8_t rec[REC], got[REC];

	(void)state;
	fill(rec, 7);
	assert_int_equal(look(1, got), STATE_EMPTY);
	state_put(&table, 1, rec, sizeof(rec));
	assert_int_equal(look(1, got), STATE_OK);
	assert_memory_equal(got, rec, REC);
	assert_int_equal(look(0, got), STATE_EMPTY);
	assert_int_equal(look(2, got), STATE_EMPTY);
	fill(rec, 8);
	state_put(&table, 1, rec, sizeof(rec));
	assert_int_equal(look(1, got), STATE_OK);
	assert_memory_equal(got, rec, REC);
	state_clear(&table, 1);
	assert_int_equal(look(1, got), STATE_EMPTY);
}

static void
what_does_not_fit_changes_nothing(void **state)
{
	uint8_t rec[REC + 1] = { 1 }, got[REC];

	(void)state;
	state_put(&table, 1, rec, REC + 1);
	state_put(&table, 1, rec, 0);
	state_put(&table, SLOTS, rec, 1);
	state_clear(&table, SLOTS);
	for (uint32_t i = 0; i < SLOTS; i++)
		assert_int_equal(look(i, got), STATE_EMPTY);
	assert_int_equal(state_get(&table, SLOTS, got, REC, NULL),
	    STATE_EMPTY);
}

static void
a_shorter_record_is_filled_up_a_longer_one_is_cut(void **state)
{
	uint8_t rec[REC], got[REC];
	size_t len = 0;

	(void)state;
	fill(rec, 5);
	fill(got, 9);
	state_put(&table, 0, rec, 10);
	assert_int_equal(state_get(&table, 0, got, REC, &len), STATE_OK);
	assert_int_equal(len, 10);
	assert_int_equal(got[9], 5);
	for (unsigned i = 10; i < REC; i++)
		assert_int_equal(got[i], 0);
	state_put(&table, 0, rec, REC);
	fill(got, 9);
	assert_int_equal(state_get(&table, 0, got, 10, &len), STATE_OK);
	assert_int_equal(len, REC);
	assert_int_equal(got[9], 5);
	assert_int_equal(got[10], 9);
}

/* A record is one that was put, whole, or none: whatever byte is broken. */
static void
every_broken_byte_is_seen(void **state)
{
	uint8_t rec[2][REC], got[REC];

	(void)state;
	fill(rec[0], 1);
	fill(rec[1], 2);
	state_put(&table, 1, rec[0], REC);
	state_put(&table, 1, rec[1], REC);
	for (size_t at = 0; at < table.size; at++) {
		struct state other = STATE_INIT;
		enum state_got is;

		table.map[at] ^= 0x41;
		if (state_open(&other, &kind, dup(table.fd), why) == 0) {
			is = state_get(&other, 1, got, REC, NULL);
			assert_true(is != STATE_EMPTY);
			assert_true(is == STATE_BAD ||
			    memcmp(got, rec[0], REC) == 0 ||
			    memcmp(got, rec[1], REC) == 0);
			is = state_get(&other, 2, got, REC, NULL);
			assert_true(is != STATE_OK);
			state_close(&other);
		}
		table.map[at] ^= 0x41;
	}
	assert_int_equal(look(1, got), STATE_OK);
	assert_memory_equal(got, rec[1], REC);
}

static void
both_copies_broken_is_no_record(void **state)
{
	uint8_t rec[REC], got[REC];
	bool seen = false;

	(void)state;
	fill(rec, 0x5a);
	state_put(&table, 1, rec, REC);
	state_put(&table, 1, rec, REC);
	for (size_t at = 0; at + REC <= table.size; at++)
		if (memcmp(table.map + at, rec, REC) == 0) {
			table.map[at] = 0;
			seen = true;
		}
	assert_true(seen);
	assert_int_equal(look(1, got), STATE_BAD);
	/* It can be used again. */
	state_put(&table, 1, rec, REC);
	assert_int_equal(look(1, got), STATE_OK);
}

/*
 * The writer is stopped after each of its stores: whatever part of an update
 * is there, the record before or the new one is read.
 */
static void
a_torn_update_leaves_the_record_before(void **state)
{
	uint8_t rec[2][REC], got[REC], *before, *after;
	size_t size = table.size;
	unsigned n_old = 0, n_new = 0;

	(void)state;
	fill(rec[0], 1);
	fill(rec[1], 2);
	state_put(&table, 1, rec[0], REC);
	before = malloc(size);
	after = malloc(size);
	assert_true(before && after);
	memcpy(before, table.map, size);
	state_put(&table, 1, rec[1], REC);
	memcpy(after, table.map, size);
	/* Stores go forward over the copy; its generation is the last. */
	for (size_t cut = 0; cut <= size; cut++) {
		memcpy(table.map, after, cut);
		memcpy(table.map + cut, before + cut, size - cut);
		assert_int_equal(look(1, got), STATE_OK);
		if (memcmp(got, rec[0], REC) == 0)
			n_old++;
		else if (memcmp(got, rec[1], REC) == 0)
			n_new++;
		else
			fail();
	}
	assert_true(n_old > 0 && n_new > 0);
	free(before);
	free(after);
}

static void
only_what_is_sealed_and_whole_is_opened(void **state)
{
	struct state other = STATE_INIT;
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint8_t page[4096];

	(void)state;
	assert_true(fd >= 0 && null >= 0);
	assert_int_equal(state_open(&other, &kind, null, why), -1);
	assert_non_null(strstr(why, "sealed"));
	assert_int_equal(state_open(&other, &kind, fd, why), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW),
	    0);
	assert_int_equal(state_open(&other, &kind, fd, why), -1);
	assert_non_null(strstr(why, "truncated"));
	close(fd);
	/* The beginning of a table, and no more. */
	fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	memcpy(page, table.map, table.size < 64 ? table.size : 64);
	assert_int_equal(write(fd, page, 64), 64);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW),
	    0);
	assert_int_equal(state_open(&other, &kind, fd, why), -1);
	assert_non_null(strstr(why, "truncated"));
	assert_false(state_is_open(&other));
	close(fd);
	close(null);
	/* Ours cannot be cut under whoever reads it. */
	assert_int_equal(ftruncate(table.fd, 10), -1);
	assert_true(state_is_table(table.fd));
}

static void
another_version_is_refused_another_minor_one_is_not(void **state)
{
	struct state_kind other_kind = kind;
	struct state other = STATE_INIT;
	uint8_t rec[REC] = { 1 }, got[2 * REC];
	int fd = dup(table.fd);

	(void)state;
	state_put(&table, 1, rec, REC);
	other_kind.major++;
	assert_int_equal(state_open(&other, &other_kind, fd, why), -1);
	assert_non_null(strstr(why, "version"));
	other_kind = kind;
	other_kind.layout++;
	assert_int_equal(state_open(&other, &other_kind, fd, why), -1);
	other_kind = kind;
	other_kind.magic++;
	assert_int_equal(state_open(&other, &other_kind, fd, why), -1);
	other_kind = kind;
	other_kind.minor++;
	other_kind.rec_size *= 2;
	assert_int_equal(state_open(&other, &other_kind, fd, why), 0);
	assert_int_equal(other.minor, kind.minor);
	assert_int_equal(state_get(&other, 1, got, sizeof(got), NULL),
	    STATE_OK);
	assert_int_equal(got[0], 1);
	state_close(&other);
}

static void
live_words_are_apart_from_the_record(void **state)
{
	uint8_t rec[REC] = { 1 }, got[REC];
	uint64_t *live = state_live(&table, 1);

	(void)state;
	state_put(&table, 1, rec, REC);
	live[0] = live[1] = UINT64_MAX;
	assert_int_equal(look(1, got), STATE_OK);
	assert_int_equal(look(2, got), STATE_EMPTY);
	assert_int_equal(*(uint64_t *)state_live(&table, 0), 0);
	assert_int_equal(*(uint64_t *)state_live(&table, 2), 0);
	assert_int_equal(live[0], UINT64_MAX);
	state_clear(&table, 1);
	assert_int_equal(live[0], 0);
	assert_int_equal(live[1], 0);
}

static void
who_was_worked_on_is_blamed(void **state)
{
	(void)state;
	assert_int_equal(state_suspect(&table), -1);
	state_begin(&table, 2);
	assert_int_equal(state_suspect(&table), 2);
	assert_int_equal(state_blame(&table, 2), 1);
	assert_int_equal(state_blame(&table, 2), 2);
	assert_int_equal(state_blamed(&table, 2), 2);
	assert_int_equal(state_blamed(&table, 1), 0);
	assert_int_equal(state_blame(&table, SLOTS), 0);
	state_end(&table);
	assert_int_equal(state_suspect(&table), -1);
	state_begin(&table, SLOTS);
	assert_int_equal(state_suspect(&table), -1);
	state_clear(&table, 2);
	assert_int_equal(state_blamed(&table, 2), 0);
}

static void
it_is_complete_when_that_is_said(void **state)
{
	(void)state;
	assert_false(state_complete(&table));
	state_set_complete(&table);
	assert_true(state_complete(&table));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, end)
		TEST(what_was_put_is_there_for_another),
		TEST(what_does_not_fit_changes_nothing),
		TEST(a_shorter_record_is_filled_up_a_longer_one_is_cut),
		TEST(every_broken_byte_is_seen),
		TEST(both_copies_broken_is_no_record),
		TEST(a_torn_update_leaves_the_record_before),
		TEST(only_what_is_sealed_and_whole_is_opened),
		TEST(another_version_is_refused_another_minor_one_is_not),
		TEST(live_words_are_apart_from_the_record),
		TEST(who_was_worked_on_is_blamed),
		TEST(it_is_complete_when_that_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
