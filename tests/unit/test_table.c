/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links: proto/ctrl.c proto/call.c proto/msg.c proto/frame.c
 *
 * Runs tests/wire/table.txt over the pure core: every message in every state,
 * with its fields at their edges.  tests/wire runs the same over sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../replay/acts_text.h"
#include "proto/ctrl.h"
#include "proto/frame.h"
#include "proto/msg.h"

#define TABLE	"tests/wire/table.txt"
#define PEER	0x11u		/* the client's call id */
#define OWN	0x77u		/* ours */
#define LINE	1024
#define FIELDS	24
#define TYPES	15

/* All states a connection with one call can be in, in the table's order. */
enum at {
	AT_WAIT_SCCRQ,
	AT_ESTABLISHED,		/* no call */
	AT_OPENING,
	AT_WAITING,
	AT_STARTING,
	AT_UP,
	AT_ENDING,		/* by us: CDN not sent, pppd still there */
	AT_DYING,		/* by the client: CDN sent, the same */
	AT_WAIT_STOP,
	AT_CLOSED,
	AT_N,
};

static const char *const at_name[AT_N] = {
	"wait-sccrq", "established", "opening", "waiting", "starting", "up",
	"ending", "dying", "wait-stop", "closed",
};

struct field {
	char name[24];
	size_t off, size;
	char value[24];		/* "" for 0 */
};

struct layout {
	char name[16];
	unsigned type;
	size_t len;
	struct field field[FIELDS];
	size_t n;
};

static const struct field header[] = {
	{ "length", 0, 2, "" }, { "type", 2, 2, "" }, { "magic", 4, 4, "" },
	{ "control", 8, 2, "" }, { "reserved0", 10, 2, "" },
};

static struct layout layout[TYPES + 1];	/* by type */
static unsigned line_no;
static struct ctrl_conf conf;
static struct ctrl c;
static struct text got;
static struct ctrl_acts out;
static const uint64_t now = 1000000;

/* --- the core ----------------------------------------------------------- */

static void
took(void)
{
	for (size_t i = 0; i < out.n; i++)
		text_act(&got, &c, &out, &out.act[i]);
	memset(&out, 0, sizeof(out));
}

/* What net/conn does after a read of one segment. */
static void
receive(const uint8_t *buf, size_t len)
{
	enum frame_status st = FRAME_MORE;
	size_t off = 0, n;

	while (c.state != CTRL_CLOSED &&
	    (st = frame_next(buf + off, len - off, &n)) == FRAME_READY) {
		ctrl_input(&c, buf + off, n, now, &out);
		took();
		off += n;
	}
	if (st == FRAME_DESYNC) {
		ctrl_desync(&c, now, &out);
		took();
	}
}

static void
say(struct msg m)
{
	uint8_t buf[MSG_MAX_LEN];

	receive(buf, msg_encode(&m, buf, sizeof(buf)));
}

static void
reach(enum at at)
{
	ctrl_conf_init(&conf);
	memset(&c, 0x5a, sizeof(c));
	ctrl_init(&c, &conf, now);
	if (at == AT_WAIT_SCCRQ)
		return;
	say((struct msg){ .type = MSG_SCCRQ,
	    .scc = { .version = MSG_VERSION } });
	if (at == AT_WAIT_STOP)
		ctrl_shutdown(&c, CALL_END_SHUTDOWN, now, &out);
	if (at == AT_CLOSED)
		ctrl_hangup(&c, CALL_END_EOF, now, &out);
	if (at >= AT_OPENING && at <= AT_DYING)
		say((struct msg){ .type = MSG_OCRQ,
		    .ocrq = { .call_id = PEER } });
	if (at >= AT_WAITING && at <= AT_DYING)
		ctrl_opened(&c, 0, CALL_OPENED, OWN, now, &out);
	if (at >= AT_STARTING && at <= AT_DYING)
		ctrl_gre(&c, 0, now, &out);
	if (at >= AT_UP && at <= AT_DYING)
		ctrl_up(&c, 0, now);
	if (at == AT_ENDING)
		ctrl_terminate(&c, 0, CALL_END_ADMIN, now, &out);
	if (at == AT_DYING)
		say((struct msg){ .type = MSG_CCR, .ccr = { .call_id = PEER } });
	memset(&out, 0, sizeof(out));
}

/* --- the table ---------------------------------------------------------- */

__attribute__((format(printf, 1, 2), noreturn))
static void
broken(const char *fmt, ...)
{
	va_list ap;

	print_error(TABLE ":%u: ", line_no);
	va_start(ap, fmt);
	vprint_error(fmt, ap);
	va_end(ap);
	print_error("\n");
	fail();
	abort();
}

/* A long field is filled with the value's last byte. */
static void
put(uint8_t *buf, const struct field *f, const char *value)
{
	uint32_t v = (uint32_t)strtoul(value, NULL, 0);

	if (strcmp(value, "peer") == 0)
		v = PEER;
	if (strcmp(value, "own") == 0)
		v = OWN;
	for (size_t i = 0; i < f->size; i++)
		buf[f->off + i] = (uint8_t)(f->size > 4 ? v :
		    v >> 8 * (f->size - 1 - i));
}

static void
put_number(uint8_t *buf, const struct field *f, unsigned value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	put(buf, f, text);
}

static void
read_layout(char *line)
{
	struct layout l = { .n = 0 };
	int at = 0;

	if (sscanf(line, "message %15s %u %zu %n", l.name, &l.type, &l.len,
	    &at) != 3 || l.type < 1 || l.type > TYPES || l.len > MSG_MAX_LEN)
		broken("not a layout: %s", line);
	for (char *word = strtok(line + at, " "); word;
	    word = strtok(NULL, " ")) {
		struct field *f = &l.field[l.n++];

		if (l.n > FIELDS || sscanf(word, "%23[^:]:%zu:%zu=%23s",
		    f->name, &f->off, &f->size, f->value) < 3 ||
		    f->off + f->size > l.len)
			broken("not a field: %s", word);
	}
	layout[l.type] = l;
}

static const struct field *
field_named(const struct layout *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->field[i].name, name) == 0)
			return &l->field[i];
	for (size_t i = 0; i < sizeof(header) / sizeof(header[0]); i++)
		if (strcmp(header[i].name, name) == 0)
			return &header[i];
	broken("%s has no field %s", l->name, name);
}

/* "OCRQ window=0 delay=0" to bytes; its type. */
static unsigned
build(char *line, uint8_t *buf, size_t *ret_len, bool *ret_plain)
{
	char *word = strtok(line, " ");
	const struct layout *l = NULL;

	for (unsigned t = 1; t <= TYPES && word; t++)
		if (strcmp(layout[t].name, word) == 0)
			l = &layout[t];
	if (!l)
		broken("no such message: %s", line);
	memset(buf, 0, MSG_MAX_LEN);
	put_number(buf, &header[0], (unsigned)l->len);
	put_number(buf, &header[1], 1);
	put_number(buf, &header[2], 0x1a2b3c4d);
	put_number(buf, &header[3], l->type);
	for (size_t i = 0; i < l->n; i++)
		put(buf, &l->field[i], l->field[i].value);
	*ret_plain = true;
	while ((word = strtok(NULL, " "))) {
		char *value = strchr(word, '=');

		if (!value)
			broken("not FIELD=VALUE: %s", word);
		*value++ = '\0';
		put(buf, field_named(l, word), value);
		*ret_plain = false;
	}
	*ret_len = l->len;
	return l->type;
}

static enum at
at_named(const char *name, size_t len)
{
	for (int at = 0; at < AT_N; at++)
		if (strlen(at_name[at]) == len &&
		    strncmp(at_name[at], name, len) == 0)
			return (enum at)at;
	broken("no such state: %.*s", (int)len, name);
}

/* Each of "a b..d" with the message: what is done must be want.  The bits of
 * the states are returned. */
static unsigned
expect(char *states, const char *want, const uint8_t *msg, size_t len)
{
	unsigned seen = 0;

	for (char *word = strtok(states, " \t"); word;
	    word = strtok(NULL, " \t")) {
		char *dots = strstr(word, "..");
		enum at from = at_named(word, dots ? (size_t)(dots - word) :
		    strlen(word));
		enum at to = dots ? at_named(dots + 2, strlen(dots + 2)) :
		    from;

		for (int at = (int)from; at <= (int)to; at++) {
			reach((enum at)at);
			memset(&got, 0, sizeof(got));
			receive(msg, len);
			if (strcmp(got.s, want) != 0)
				broken("in state %s: \"%s\", not \"%s\"",
				    at_name[at], got.s, want);
			seen |= 1u << at;
		}
	}
	return seen;
}

static void
every_line_of_the_table(void **state)
{
	FILE *f = fopen(TABLE, "r");
	char line[LINE];
	uint8_t msg[MSG_MAX_LEN];
	unsigned seen[TYPES + 1] = { 0 }, type = 0, rows = 0;
	size_t len = 0;
	bool plain = false;

	(void)state;
	assert_non_null(f);
	for (line_no = 1; fgets(line, sizeof(line), f); line_no++) {
		char *colon, *want;

		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0' ||
		    strncmp(line, "states ", 7) == 0)
			continue;
		if (strncmp(line, "message ", 8) == 0) {
			read_layout(line);
			continue;
		}
		if (line[0] != '\t') {
			type = build(line, msg, &len, &plain);
			rows++;
			continue;
		}
		colon = strstr(line, ": ");
		if (!colon || type == 0)
			broken("not STATES: WHAT: %s", line);
		*colon = '\0';
		want = strcmp(colon + 2, "-") == 0 ? "" : colon + 2;
		seen[type] |= expect(line, want, msg, len) *
		    (plain ? 1u : 0u);
	}
	fclose(f);
	/* No cell may be missing. */
	for (type = 1; type <= TYPES; type++)
		assert_int_equal(seen[type], (1u << AT_N) - 1);
	assert_true(rows > 80);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_line_of_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
