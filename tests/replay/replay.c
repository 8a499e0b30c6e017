/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links: proto/ctrl.c proto/call.c proto/msg.c proto/frame.c
 *
 * Runs the conversations of this folder; README.md has their language.
 * Takes the folder as its argument, default tests/replay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "acts_text.h"
#include "hex_text.h"
#include "proto/ctrl.h"
#include "proto/frame.h"

#define LINE	1024u
#define DONE_MAX 64u
#define START_MS 1000000u

static const char *folder = "tests/replay";

struct run {
	const char *name;
	unsigned line;
	bool bytewise;		/* every byte in a read of its own */
	struct ctrl_conf conf;
	struct ctrl c;
	uint64_t now;
	uint8_t in[LINE];	/* not yet cut into messages */
	size_t in_len;
	bool closed;
	char done[DONE_MAX][LINE];	/* actions not yet expected */
	size_t n_done;
};

__attribute__((format(printf, 2, 3), noreturn))
static void
broken(const struct run *r, const char *fmt, ...)
{
	va_list ap;

	print_error("%s:%u%s: ", r->name, r->line,
	    r->bytewise ? " (bytewise)" : "");
	va_start(ap, fmt);
	vprint_error(fmt, ap);
	va_end(ap);
	print_error("\n");
	fail();
	abort();
}

static void
hex_of(char *to, const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		snprintf(to + 2 * i, 3, "%02x", buf[i]);
}

static void
took(struct run *r, struct ctrl_acts *out)
{
	for (size_t i = 0; i < out->n; i++) {
		struct ctrl_act *a = &out->act[i];
		struct text t = { .n = 0 };
		char *to = r->done[r->n_done];

		if (r->n_done == DONE_MAX)
			broken(r, "too many actions");
		r->n_done++;
		if (r->closed && (a->type == CTRL_ACT_SEND ||
		    a->type == CTRL_ACT_CLOSE))
			broken(r, "sent or closed after close");
		text_act(&t, &r->c, out, a);
		if (a->type == CTRL_ACT_SEND) {
			memcpy(to, "> ", 3);
			hex_of(to + 2, out->buf + a->off, a->len);
		} else {
			snprintf(to, LINE, "= %.1000s", t.s);
		}
		if (a->type == CTRL_ACT_CLOSE)
			r->closed = true;
	}
	memset(out, 0, sizeof(*out));
}

/* What net/conn does after a read. */
static void
received(struct run *r, const uint8_t *buf, size_t len)
{
	struct ctrl_acts out = { .n = 0 };
	enum frame_status st = FRAME_MORE;
	size_t off = 0, n;

	if (r->in_len + len > sizeof(r->in))
		broken(r, "segment too long");
	memcpy(r->in + r->in_len, buf, len);
	r->in_len += len;
	while (!r->closed && (st = frame_next(r->in + off, r->in_len - off,
	    &n)) == FRAME_READY) {
		ctrl_input(&r->c, r->in + off, n, r->now, &out);
		took(r, &out);
		off += n;
	}
	if (r->closed) {
		r->in_len = 0;
		return;
	}
	if (st == FRAME_DESYNC) {
		ctrl_desync(&r->c, r->now, &out);
		took(r, &out);
	}
	r->in_len -= off;
	memmove(r->in, r->in + off, r->in_len);
	ctrl_partial(&r->c, r->in_len > 0, r->now);
}

static void
segment(struct run *r, const uint8_t *buf, size_t len)
{
	if (!r->bytewise)
		received(r, buf, len);
	else
		for (size_t i = 0; i < len; i++)
			received(r, buf + i, 1);
}

static void
go_to(struct run *r, uint64_t until)
{
	struct ctrl_acts out = { .n = 0 };

	if (until < r->now)
		broken(r, "time runs backwards");
	while (ctrl_deadline(&r->c) <= until) {
		r->now = ctrl_deadline(&r->c);
		ctrl_tick(&r->c, r->now, &out);
		took(r, &out);
	}
	r->now = until;
}

static enum call_end
end_named(const struct run *r, const char *name)
{
	for (size_t i = 0; i < sizeof(text_end) / sizeof(text_end[0]); i++)
		if (strcmp(text_end[i], name) == 0)
			return (enum call_end)i;
	broken(r, "no such end: %s", name);
}

static enum call_open_result
result_named(const struct run *r, const char *name)
{
	if (strcmp(name, "busy") == 0)
		return CALL_OPEN_BUSY;
	if (strcmp(name, "resource") == 0)
		return CALL_OPEN_NO_RESOURCE;
	if (strcmp(name, "policy") == 0)
		return CALL_OPEN_POLICY;
	broken(r, "no such result: %s", name);
}

/* "opened 0 0x1234": verb, slot if it has one, word. */
static void
event(struct run *r, const char *text)
{
	struct ctrl_acts out = { .n = 0 };
	char verb[16] = "", word[16] = "";
	unsigned slot = 0;

	if (sscanf(text, "%15s %u %15s", verb, &slot, word) < 2)
		sscanf(text, "%15s %15s", verb, word);
	if (slot >= CTRL_MAX_CALLS)
		broken(r, "no such slot");
	if (strcmp(verb, "opened") == 0)
		ctrl_opened(&r->c, slot, CALL_OPENED,
		    (uint16_t)strtoul(word, NULL, 0), r->now, &out);
	else if (strcmp(verb, "refused") == 0)
		ctrl_opened(&r->c, slot, result_named(r, word), 0, r->now,
		    &out);
	else if (strcmp(verb, "gre") == 0)
		ctrl_gre(&r->c, slot, r->now, &out);
	else if (strcmp(verb, "up") == 0)
		ctrl_up(&r->c, slot, r->now);
	else if (strcmp(verb, "exited") == 0)
		ctrl_exited(&r->c, slot, end_named(r, word), r->now, &out);
	else if (strcmp(verb, "terminate") == 0)
		ctrl_terminate(&r->c, slot, end_named(r, word), r->now, &out);
	else if (strcmp(verb, "shutdown") == 0)
		ctrl_shutdown(&r->c, end_named(r, word), r->now, &out);
	else if (strcmp(verb, "hangup") == 0)
		ctrl_hangup(&r->c, end_named(r, word), r->now, &out);
	else
		broken(r, "no such event: %s", text);
	took(r, &out);
}

static void
expect(struct run *r, const char *want)
{
	if (r->n_done == 0)
		broken(r, "expected %s, nothing came", want);
	if (strcmp(r->done[0], want) != 0)
		broken(r, "expected %s\ngot %s", want, r->done[0]);
	r->n_done--;
	memmove(r->done[0], r->done[1], r->n_done * LINE);
}

static void
nothing_left(const struct run *r)
{
	if (r->n_done > 0)
		broken(r, "not expected: %s", r->done[0]);
}

static size_t
bytes_of(const struct run *r, const char *text, uint8_t *buf, size_t size)
{
	long n = hex_text(text, buf, size);

	if (n <= 0)
		broken(r, "cannot read the bytes");
	return (size_t)n;
}

/* One line, but "+", which belongs to the line before. */
static void
perform(struct run *r, const char *s, const uint8_t *seg, size_t seg_len)
{
	uint8_t buf[LINE / 2 - 2];
	char want[LINE] = "> ";

	switch (s[0]) {
	case '<':
		nothing_left(r);
		segment(r, seg, seg_len);
		break;
	case '>':
		hex_of(want + 2, buf, bytes_of(r, s + 1, buf, sizeof(buf)));
		expect(r, want);
		break;
	case '=':
		expect(r, s);
		break;
	case '!':
		nothing_left(r);
		event(r, s + 1);
		break;
	case 'a':
		nothing_left(r);
		go_to(r, START_MS + strtoull(s + 2, NULL, 10));
		break;
	case 'd':
		nothing_left(r);
		assert_true(ctrl_done(&r->c));
		assert_true(r->closed);
		assert_true(ctrl_deadline(&r->c) == UINT64_MAX);
		break;
	default:
		broken(r, "what is this: %s", s);
	}
}

/* Reads the whole file, so that a "+" can be seen coming. */
static void
run_file(struct run *r, FILE *f)
{
	static char text[256][LINE];
	uint8_t seg[LINE];
	size_t n = 0;

	while (n < 256 && fgets(text[n], (int)LINE, f))
		n++;
	assert_true(feof(f));
	assert_true(n > 0 && strcmp(text[n - 1], "done\n") == 0);
	for (size_t i = 0; i < n; i++) {
		size_t len = 0, at = i;

		text[i][strcspn(text[i], "\n")] = '\0';
		r->line = (unsigned)i + 1;
		if (text[i][0] == '#' || text[i][0] == '\0')
			continue;
		if (text[i][0] == '<')
			len = bytes_of(r, text[i] + 1, seg, sizeof(seg));
		while (text[at][0] == '<' && text[i + 1][0] == '+') {
			i++;
			len += bytes_of(r, text[i] + 1, seg + len,
			    sizeof(seg) - len);
		}
		perform(r, text[at], seg, len);
	}
}

static void
replay(void **state)
{
	static struct run r;
	char path[512];

	for (int bytewise = 0; bytewise <= 1; bytewise++) {
		FILE *f;

		memset(&r, 0, sizeof(r));
		r.name = *state;
		r.bytewise = bytewise;
		r.now = START_MS;
		ctrl_conf_init(&r.conf);
		ctrl_init(&r.c, &r.conf, r.now);
		snprintf(path, sizeof(path), "%s/%s", folder, r.name);
		f = fopen(path, "r");
		if (!f)
			broken(&r, "cannot open %s", path);
		run_file(&r, f);
		fclose(f);
	}
}

int
main(int argc, char **argv)
{
	static char name[][24] = {
		"win2000-poptop.txt", "win7-poptop.txt", "win10-poptop.txt",
		"pptp-linux-rras.txt", "ndpi-server-sli.txt",
		"windows-logout.txt", "one-segment.txt", "banner.txt",
	};
	struct CMUnitTest tests[sizeof(name) / sizeof(name[0])] = { 0 };

	if (argc > 1)
		folder = argv[1];
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		tests[i].name = name[i];
		tests[i].test_func = replay;
		tests[i].initial_state = name[i];
	}
	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
